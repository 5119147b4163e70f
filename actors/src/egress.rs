//! The guarded HTTP client for addresses that users name. Such an address may point at the operator's own network or at the
//! metadata service of the cloud, now or when its DNS changes later. So it is checked twice: when it is saved, to tell the
//! user, and when a connection is opened, where it counts: only addresses that passed are connected to.
//!
//! Everything that would get around that is off: redirects, proxies from the environment, credentials in the address. What
//! the other side answers is bounded in time and size, and never decompressed.
mod address;

pub use address::is_public;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, NaiveDateTime, Utc};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, Url};
use rustls_platform_verifier::BuilderVerifierExt;
use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// So many bytes of an answer are read, so that the connection can be used again; what is longer is cut off with it.
const BODY_LIMIT: usize = 64 * 1024;
/// So many bytes of an answer are kept.
const EXCERPT_LIMIT: usize = 1024;
/// How long a file may take to come.
const DOWNLOAD: Duration = Duration::from_secs(60);
/// How long an idle connection is kept for the next request to the same host.
const IDLE: Duration = Duration::from_secs(15);

/// Sends HTTP requests to addresses that users named. Cheap to clone.
#[derive(Clone)]
pub struct Egress {
    client: Client,
    guard: Guard,
    timeout: Duration,
}

/// What the other side answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status. Redirects are not followed, so it may be 3xx.
    pub status: u16,
    /// How long the other side asks to wait (`Retry-After`).
    pub retry_after: Option<Duration>,
    /// How the body begins, at most 1 KiB, for people to read: what is no text is replaced.
    pub excerpt: String,
}

/// A file on its way in.
pub struct Fetched {
    /// The HTTP status. Redirects are not followed, so it may be 3xx.
    pub status: u16,
    /// What the other side says it is; empty when it does not say.
    pub content_type: String,
    /// The file, of whatever length.
    pub bytes: BoxStream<'static, Result<Bytes, String>>,
}

/// A request got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It was not sent, and will not be until the address or the settings change.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No connection, no answer in time, or none that is HTTP. Whether the other side has seen it is unknown.
    #[error("it cannot be reached: {0}")]
    Failed(String),
}

/// Why an address is not acceptable, in words for whoever named it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a URL, or without a host.
    #[error("this is not an address: expected something like https://example.com/path")]
    NotAnAddress,
    /// Neither http nor https.
    #[error("an address must begin with http:// or https://, not with {0}:")]
    Scheme(String),
    /// `user:password@` in the address.
    #[error("an address must not contain a user name or a password")]
    UserInfo,
    /// A port where other protocols live.
    #[error("port {0} is not one for HTTP: use another")]
    Port(u16),
    /// The name has no address.
    #[error("the host {0} cannot be resolved: check its spelling and its DNS records")]
    Unresolvable(String),
    /// An address of the host is not public, and not allowed by the operator. Which one is not told: it would map the
    /// operator's network.
    #[error("the host {0} is not on the public internet: if this is meant, the operator must add its network to outbound.allow_cidrs")]
    NotPublic(String),
    /// A header that HTTP cannot carry.
    #[error("the header {0} has a value that cannot be sent")]
    Header(String),
}

/// The client cannot be built.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot prepare the client for outgoing requests: {0}; are root certificates (ca-certificates) installed?")]
pub struct SetupError(String);

/// Turns a host name into its addresses.
#[async_trait]
pub trait Resolver: Send + Sync + 'static {
    /// All addresses of a host.
    ///
    /// # Errors
    /// If the name is unknown or the name service does not answer.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The resolver of the operating system, with its hosts file.
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

impl Egress {
    /// A client that may connect to the public internet and to the networks of `allow_cidrs`. `timeout` bounds a whole
    /// request: name lookup, connection and answer.
    ///
    /// # Errors
    /// If the system has no usable root certificates.
    pub fn new(allow_cidrs: Vec<IpNet>, timeout: Duration) -> Result<Self, SetupError> {
        Self::with_resolver(allow_cidrs, timeout, Arc::new(SystemResolver))
    }

    /// As [`Egress::new`], with another source of addresses.
    ///
    /// # Errors
    /// As [`Egress::new`].
    pub fn with_resolver(allow_cidrs: Vec<IpNet>, timeout: Duration, resolver: Arc<dyn Resolver>) -> Result<Self, SetupError> {
        let guard = Guard { allow_cidrs: allow_cidrs.into(), resolver };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(BuilderVerifierExt::with_platform_verifier)
            .map_err(|error| SetupError(error.to_string()))?
            .with_no_client_auth();
        let client = Client::builder()
            .dns_resolver(Arc::new(guard.clone()))
            .tls_backend_preconfigured(tls)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .user_agent(concat!("konversio/", env!("CARGO_PKG_VERSION")))
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(2)
            .timeout(timeout)
            .build()
            .map_err(|error| SetupError(chain(&error)))?;
        Ok(Egress { client, guard, timeout })
    }

    /// Checks an address that is about to be saved: every address of its host must be one that [`Egress::post`] connects to.
    ///
    /// # Errors
    /// If it must not be used, or its host cannot be resolved in time.
    pub async fn check(&self, url: &str) -> Result<Url, Refusal> {
        let (url, host) = self.guard.read(url)?;
        if let Host::Name(name) = host {
            let lookup = tokio::time::timeout(self.timeout, self.guard.addresses(&name));
            let addresses = lookup.await.unwrap_or_else(|_| Err(Refusal::Unresolvable(name.clone())))?;
            if !addresses.iter().all(|address| self.guard.permits(*address)) {
                return Err(Refusal::NotPublic(name));
            }
        }
        Ok(url)
    }

    /// Fetches a file, which is read as it comes. It may take longer than a [`Egress::post`], which somebody waits behind.
    ///
    /// # Errors
    /// If the address is refused, or there is no answer.
    pub async fn get(&self, url: &str) -> Result<Fetched, Failure> {
        let (url, _) = self.guard.read(url)?;
        let response = self.client.get(url).timeout(DOWNLOAD).send().await.map_err(failure)?;
        let status = response.status().as_u16();
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let bytes = response.bytes_stream().map_err(|error| chain(&error.without_url())).boxed();
        Ok(Fetched { status, content_type, bytes })
    }

    /// Posts a body and reads the answer. An answer of any status is a [`Reply`], also if its body breaks off or drips in
    /// too slowly: the status says already whether the other side has accepted.
    ///
    /// # Errors
    /// If the address is refused, or there is no answer.
    pub async fn post(&self, url: &str, headers: &[(&'static str, String)], body: Bytes) -> Result<Reply, Failure> {
        let (url, _) = self.guard.read(url)?;
        let response = self.client.post(url).headers(header_map(headers)?).body(body).send().await.map_err(failure)?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| parse_retry_after(value.to_str().ok()?, Utc::now()));
        Ok(Reply { status, retry_after, excerpt: excerpt(response).await })
    }
}

/// Reads a `Retry-After` header: seconds, or a date (RFC 9110, 10.2.3) in any of the three forms of 5.6.7. A date that has
/// passed is no wait; `None` if it is neither.
pub fn parse_retry_after(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return value.parse().ok().map(Duration::from_secs);
    }
    let forms = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let date = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(value, form).ok())?;
    Some((date.and_utc() - now).to_std().unwrap_or_default())
}

/// Decides what may be connected to. As the resolver of the HTTP client it hands out only addresses that passed, so there is
/// no second lookup that could answer differently.
#[derive(Clone)]
struct Guard {
    allow_cidrs: Arc<[IpNet]>,
    resolver: Arc<dyn Resolver>,
}

/// Where a URL points: the client asks its resolver about names only, so addresses are judged when the URL is read.
enum Host {
    Name(String),
    Permitted,
}

impl Guard {
    /// Everything that can be said about an address without a lookup. The URL parser has by then turned each notation of an
    /// IP address (hex, octal, shortened, other scripts' digits) into the usual one.
    fn read(&self, url: &str) -> Result<(Url, Host), Refusal> {
        let url = Url::parse(url).map_err(|_| Refusal::NotAnAddress)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refusal::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::UserInfo);
        }
        if let Some(port) = url.port().filter(|port| address::is_foreign_port(*port)) {
            return Err(Refusal::Port(port));
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(Refusal::NotAnAddress)?;
        let host = match host.trim_matches(['[', ']']).parse() {
            Ok(address) if self.permits(address) => Host::Permitted,
            Ok(_) => return Err(Refusal::NotPublic(host.to_owned())),
            Err(_) => Host::Name(host.to_owned()),
        };
        Ok((url, host))
    }

    fn permits(&self, address: IpAddr) -> bool {
        is_public(address) || self.allow_cidrs.iter().any(|network| network.contains(&address.to_canonical()))
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Refusal> {
        // Some name services do not know `localhost.` with its dot, others do: the same refusal everywhere.
        let name = if host.eq_ignore_ascii_case("localhost.") { "localhost" } else { host };
        let addresses = self.resolver.resolve(name).await.unwrap_or_default();
        if addresses.is_empty() { Err(Refusal::Unresolvable(host.to_owned())) } else { Ok(addresses) }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let mut addresses = guard.addresses(name.as_str()).await?;
            addresses.retain(|address| guard.permits(*address));
            if addresses.is_empty() {
                return Err(Refusal::NotPublic(name.as_str().to_owned()).into());
            }
            // Port 0 is replaced by that of the URL.
            Ok(Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

fn header_map(headers: &[(&'static str, String)]) -> Result<HeaderMap, Refusal> {
    let pair = |(name, value): &(&'static str, String)| {
        let header = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(value).ok());
        header.ok_or_else(|| Refusal::Header((*name).to_owned()))
    };
    headers.iter().map(pair).collect()
}

async fn excerpt(mut response: Response) -> String {
    let (mut read, mut kept) = (0_usize, Vec::new());
    while read < BODY_LIMIT
        && let Ok(Some(chunk)) = response.chunk().await
    {
        read = read.saturating_add(chunk.len());
        kept.extend(chunk.iter().take(EXCERPT_LIMIT.saturating_sub(kept.len())));
    }
    let printable = |letter: char| if letter.is_control() && !letter.is_whitespace() { char::REPLACEMENT_CHARACTER } else { letter };
    String::from_utf8_lossy(&kept).chars().map(printable).collect()
}

/// Sorts an error of the HTTP client: the guard's refusal comes back as the cause of a failed lookup.
fn failure(error: reqwest::Error) -> Failure {
    let refusal = causes(&error).find_map(|cause| cause.downcast_ref::<Refusal>());
    match refusal {
        // The name service may answer again later.
        None | Some(Refusal::Unresolvable(_)) => Failure::Failed(chain(&error.without_url())),
        Some(refusal) => Failure::Refused(refusal.clone()),
    }
}

fn chain(error: &reqwest::Error) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source())
}

#[cfg(test)]
mod tests;
