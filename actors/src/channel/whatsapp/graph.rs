//! Calls Meta's Graph API, and says of each failure whether Meta has seen the request.
use super::errors::GraphError;
use super::json::one_line;
use crate::channel::{ChannelError, Pause, Providers};
use crate::egress::parse_retry_after;
use crate::secret::Secret;
use bytes::Bytes;
use chrono::Utc;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::multipart::{Form, Part};
use reqwest::{Client, RequestBuilder, Response, Url};
use rustls_platform_verifier::BuilderVerifierExt;
use serde_json::{Value, json};
use std::error::Error;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a file may take, either way.
const FILE_PATIENCE: Duration = Duration::from_secs(300);
/// How long opening a connection may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// How long an idle connection is kept: shorter than Meta keeps it, or requests would be lost in ones that it just closed.
const IDLE: Duration = Duration::from_secs(15);
/// How many bytes an answer may have.
const ANSWER_LIMIT: u64 = 16 << 20;
/// How long to wait before a message is sent again of which it is unknown whether Meta has it: a status that gives back our id
/// settles it first.
pub const UNKNOWN_OUTCOME_WAIT: Duration = Duration::from_secs(90);

/// Hosts that media links of Meta name, beside the Graph API itself; of these, the ones with a dot in front with all below them.
const MEDIA_HOSTS: &[&str] = &["lookaside.fbsbx.com", ".fbcdn.net"];

/// One client for all inboxes: its certificates and its connections are shared.
static CLIENT: LazyLock<Result<Client, String>> = LazyLock::new(|| {
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier)
        .map_err(|error| error.to_string())?
        .with_no_client_auth();
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .user_agent(concat!("konversio/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_PATIENCE)
        .pool_idle_timeout(IDLE);
    client.build().map_err(|error| chain(&error))
});

/// The Graph API as one inbox sees it.
pub struct Graph {
    base: String,
    token: Secret,
    /// How long a call may take.
    pub patience: Duration,
    /// How long a file may take.
    pub file_patience: Duration,
}

/// Why a call brought nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// Meta has not seen the request.
    Unsent(String),
    /// Meta may have seen the request, and may have done what it says.
    Unknown(String),
    /// Meta refused it.
    Refused(GraphError),
}

impl Graph {
    /// Under the address and version of the settings, with an inbox's token.
    pub fn new(providers: &Providers, token: Secret) -> Self {
        let base = format!("{}/{}", providers.meta_url.trim_end_matches('/'), providers.meta_version);
        Graph { base, token, patience: PATIENCE, file_patience: FILE_PATIENCE }
    }

    /// Reads something; `query` as pairs.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Failure> {
        self.call(client()?.get(self.url(path)).query(query), self.patience).await
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(client()?.post(self.url(path)).json(body), self.patience).await
    }

    /// Removes something.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.call(client()?.delete(self.url(path)), self.patience).await
    }

    /// Uploads a file and returns its id.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn upload(&self, path: &str, file_name: &str, content_type: &str, bytes: Bytes) -> Result<String, Failure> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let named = Part::stream_with_length(bytes, length).file_name(file_name.to_owned());
        let part =
            named.mime_str(content_type).map_err(|error| Failure::Unsent(format!("{content_type} is no type of a file: {error}")))?;
        let form = Form::new().text("messaging_product", "whatsapp").text("type", content_type.to_owned()).part("file", part);
        let answer = self.call(client()?.post(self.url(path)).multipart(form), self.file_patience).await?;
        super::json::id(&answer, "/id").ok_or_else(|| Failure::Unknown("the answer to an upload names no id".into()))
    }

    /// Fetches a file from where Meta says that it is; no more than `limit` bytes, `None` if there are more.
    ///
    /// # Errors
    /// See [`Failure`]; `Refused` without a code has the HTTP status of the other side.
    pub async fn download(&self, url: &str, limit: u64) -> Result<Option<Bytes>, Failure> {
        let url = Url::parse(url).map_err(|_| Failure::Unsent("the link to the file is not an address".into()))?;
        let base = Url::parse(&self.base).map_err(|error| Failure::Unsent(format!("providers.meta_url: {error}")))?;
        if !is_trusted(&url, &base) {
            // The token must not go there, and without it there is nothing to get.
            let host = one_line(url.host_str().unwrap_or_default(), 100);
            return Err(Failure::Unsent(format!("the link to the file leads to {host}, which is no host of Meta's")));
        }
        let request = client()?.get(url).bearer_auth(self.token.expose()).timeout(self.file_patience);
        let response = request.send().await.map_err(failure)?;
        let status = response.status().as_u16();
        if status != 200 {
            let words = format!("the link to the file answers with HTTP status {status}");
            return Err(Failure::Refused(GraphError { status, code: -1, subcode: 0, words, retry_after: retry_after(response.headers()) }));
        }
        read(response, limit).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }

    async fn call(&self, request: RequestBuilder, patience: Duration) -> Result<Value, Failure> {
        let response = request.bearer_auth(self.token.expose()).timeout(patience).send().await.map_err(failure)?;
        let (status, retry_after) = (response.status().as_u16(), retry_after(response.headers()));
        let body = read(response, ANSWER_LIMIT).await?.unwrap_or_default();
        let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        match GraphError::read(status, &body, retry_after) {
            Some(error) => Err(Failure::Refused(error)),
            None if (200..300).contains(&status) && body.is_object() => Ok(body),
            // Refused by something in front of Meta, before Meta could do anything.
            None if (400..500).contains(&status) => {
                let words = format!("the answer is HTTP status {status} without a reason");
                Err(Failure::Refused(GraphError { status, code: -1, subcode: 0, words, retry_after }))
            }
            None => Err(Failure::Unknown(format!("the answer (HTTP status {status}) is not one of the Graph API"))),
        }
    }
}

impl Failure {
    /// The error of a channel where nothing but another try depends on it.
    pub fn into_channel_error(self, attempted: &str) -> ChannelError {
        match self {
            Failure::Unsent(cause) | Failure::Unknown(cause) => ChannelError::temporary(format!("{attempted}: {cause}")),
            Failure::Refused(error) => error.into_channel_error(attempted),
        }
    }

    /// The error of a channel where a second request would be a second message.
    pub fn into_send_error(self) -> ChannelError {
        match self {
            Failure::Unknown(cause) => {
                let cause = format!("sending: {cause}; whether Meta has the message is unknown");
                ChannelError::throttled(cause, Some(UNKNOWN_OUTCOME_WAIT), Pause::Conversation)
            }
            other => other.into_channel_error("sending"),
        }
    }
}

/// Whether the token may go to this address: the Graph API itself, or a host where Meta keeps files.
fn is_trusted(url: &Url, base: &Url) -> bool {
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    let host = url.host_str().unwrap_or_default();
    let is_listed = |listed: &str| if listed.starts_with('.') { host.ends_with(listed) } else { host == listed };
    let is_media_host = url.scheme() == "https" && url.port().is_none() && MEDIA_HOSTS.iter().any(|listed| is_listed(listed));
    !has_credentials && (url.origin() == base.origin() || is_media_host)
}

/// The longest wait that the headers ask for: `Retry-After`, and Meta's own in minutes.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let asked = text(RETRY_AFTER.as_str()).and_then(|value| parse_retry_after(value, Utc::now()));
    let usage: Value = text("x-business-use-case-usage").and_then(|value| serde_json::from_str(value).ok()).unwrap_or(json!({}));
    let uses = usage.as_object().into_iter().flat_map(|of_business| of_business.values()).filter_map(Value::as_array).flatten();
    let minutes = uses.filter_map(|one| one.get("estimated_time_to_regain_access")?.as_u64()).max().filter(|minutes| *minutes > 0);
    asked.max(minutes.map(|minutes| Duration::from_secs(minutes.saturating_mul(60))))
}

/// Reads a body of at most `limit` bytes; `None` if it is longer.
async fn read(mut response: Response, limit: u64) -> Result<Option<Bytes>, Failure> {
    if response.content_length().is_some_and(|length| length > limit) {
        return Ok(None);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failure)? {
        body.extend_from_slice(&chunk);
        if u64::try_from(body.len()).is_ok_and(|length| length > limit) {
            return Ok(None);
        }
    }
    Ok(Some(body.into()))
}

fn client() -> Result<&'static Client, Failure> {
    CLIENT
        .as_ref()
        .map_err(|cause| Failure::Unsent(format!("preparing requests: {cause}; are root certificates (ca-certificates) installed?")))
}

fn failure(error: reqwest::Error) -> Failure {
    let is_unsent = error.is_connect() || error.is_builder();
    let cause = if error.is_timeout() { "no answer in time".to_owned() } else { chain(&error.without_url()) };
    if is_unsent { Failure::Unsent(cause) } else { Failure::Unknown(cause) }
}

fn chain(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(Some(error as &(dyn Error + 'static)), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_token_goes_to_meta_only() {
        let graph = Url::parse("https://graph.facebook.com/v23.0").unwrap();
        for (url, is_right) in [
            ("https://graph.facebook.com/v23.0/1/file", true),
            ("https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1", true),
            ("https://scontent.xx.fbcdn.net/v/1", true),
            ("http://lookaside.fbsbx.com/1", false),
            ("https://lookaside.fbsbx.com:8443/1", false),
            ("https://lookaside.fbsbx.com.evil.example/1", false),
            ("https://evilfbcdn.net/1", false),
            ("https://lookaside.fbsbx.com@evil.example/1", false),
            ("https://user:word@lookaside.fbsbx.com/1", false),
            ("http://graph.facebook.com/1", false),
            ("http://169.254.169.254/latest/meta-data", false),
            ("file:///etc/passwd", false),
        ] {
            assert_eq!(is_trusted(&Url::parse(url).unwrap(), &graph), is_right, "{url}");
        }
        let stand_in = Url::parse("http://127.0.0.1:4000/v23.0").unwrap();
        assert!(is_trusted(&Url::parse("http://127.0.0.1:4000/files/1").unwrap(), &stand_in));
        assert!(!is_trusted(&Url::parse("http://127.0.0.1:4001/files/1").unwrap(), &stand_in));
    }

    #[test]
    fn the_longest_wait_counts() {
        let usage = r#"{"1":[{"estimated_time_to_regain_access":0},{"estimated_time_to_regain_access":2}],"2":[{"type":"messaging"}]}"#;
        for (given, wait) in [
            (&[("retry-after", "7")][..], Some(7)),
            (&[("x-business-use-case-usage", usage)], Some(120)),
            (&[("retry-after", "300"), ("x-business-use-case-usage", usage)], Some(300)),
            (&[("x-business-use-case-usage", r#"{"1":[{"estimated_time_to_regain_access":0}]}"#)], None),
            (&[("retry-after", "soon"), ("x-business-use-case-usage", "[]")], None),
            (&[], None),
        ] {
            let headers = given.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            assert_eq!(retry_after(&headers), wait.map(Duration::from_secs), "{given:?}");
        }
    }
}
