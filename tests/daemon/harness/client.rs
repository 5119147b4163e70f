//! A thin JSON client of the daemon's API.

use super::contract;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use std::sync::Once;
use std::time::Duration;

/// Calls one daemon, as one user or as nobody.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base_url: String,
    token: Option<String>,
    visitor: Option<String>,
    account: i64,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The request line, for messages.
    pub request: String,
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body as JSON; `Null` when it is empty or something else.
    pub body: Value,
    /// The body as text.
    pub text: String,
}

impl Client {
    /// One without credentials, for account 1.
    pub fn new(base_url: &str) -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        // A redirect is an answer to be looked at, and a proxy of the environment has no part in a test. Daemons speak plain HTTP
        // here: to read the system's certificates would cost more than most tests.
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(Duration::from_secs(60));
        let http = http.no_proxy().tls_certs_only([]);
        Client { http: http.build().unwrap(), base_url: base_url.trim_end_matches('/').to_owned(), token: None, visitor: None, account: 1 }
    }

    /// The same with this API token.
    pub fn with_token(&self, token: &str) -> Self {
        Client { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same without credentials.
    pub fn without_token(&self) -> Self {
        Client { token: None, ..self.clone() }
    }

    /// The same as a visitor of a website, with the token that its page was given.
    pub fn with_visitor(&self, auth_token: &str) -> Self {
        Client { visitor: Some(auth_token.to_owned()), ..self.clone() }
    }

    /// The same for another account.
    pub fn with_account(&self, account: i64) -> Self {
        Client { account, ..self.clone() }
    }

    /// A path below the account: `a("/inboxes")` is `/api/v1/accounts/1/inboxes`.
    pub fn a(&self, path: &str) -> String {
        format!("/api/v1/accounts/{}{path}", self.account)
    }

    /// GET.
    pub async fn get(&self, path: impl AsRef<str>) -> Answer {
        self.send(Method::GET, path.as_ref(), None).await
    }

    /// POST of a JSON body.
    pub async fn post(&self, path: impl AsRef<str>, body: Value) -> Answer {
        self.send(Method::POST, path.as_ref(), Some(body)).await
    }

    /// PATCH of a JSON body.
    pub async fn patch(&self, path: impl AsRef<str>, body: Value) -> Answer {
        self.send(Method::PATCH, path.as_ref(), Some(body)).await
    }

    /// PUT of a JSON body.
    pub async fn put(&self, path: impl AsRef<str>, body: Value) -> Answer {
        self.send(Method::PUT, path.as_ref(), Some(body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: impl AsRef<str>) -> Answer {
        self.send(Method::DELETE, path.as_ref(), None).await
    }

    /// DELETE with a JSON body, as the contract has for memberships.
    pub async fn delete_with(&self, path: impl AsRef<str>, body: Value) -> Answer {
        self.send(Method::DELETE, path.as_ref(), Some(body)).await
    }

    /// POST of a multipart form (files).
    pub async fn post_form(&self, path: impl AsRef<str>, form: reqwest::multipart::Form) -> Answer {
        self.answer(self.request(Method::POST, path.as_ref()).multipart(form)).await
    }

    /// A request with this client's credentials, to be completed by the test; send it with [`Client::answer`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base_url) };
        let mut request = self.http.request(method, url);
        if let Some(token) = &self.token {
            request = request.header("api_access_token", token);
        }
        if let Some(token) = &self.visitor {
            request = request.header("x-auth-token", token);
        }
        request
    }

    /// Sends a request and reads its whole answer. Fails the test when there is none; see [`Client::try_answer`].
    pub async fn answer(&self, request: RequestBuilder) -> Answer {
        match self.try_answer(request).await {
            Ok(answer) => answer,
            Err(error) => panic!("no answer from {}: {error:?}", self.base_url),
        }
    }

    /// The same for tests in which the daemon may be gone.
    pub async fn try_answer(&self, request: RequestBuilder) -> Result<Answer, reqwest::Error> {
        let request = request.build()?;
        let line = format!("{} {}", request.method(), request.url());
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = self.http.execute(request).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        contract::check(method.as_str(), &path, status, &text, &body);
        Ok(Answer { request: line, status, headers, body, text })
    }

    pub(super) async fn is_ready(&self, base_url: &str) -> bool {
        let request = self.http.get(format!("{base_url}/ready")).timeout(Duration::from_secs(1));
        matches!(request.send().await, Ok(answer) if answer.status().is_success())
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = self.request(method, path);
        self.answer(match body {
            Some(body) => request.json(&body),
            None => request,
        })
        .await
    }
}

impl Answer {
    /// Fails the test, showing request and answer, unless the status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert!(self.status == status, "{}: expected {status}, got {}: {}", self.request, self.status, self.shown());
        self
    }

    /// One value of the body by JSON pointer (`/payload/0/id`). Fails the test, showing the body, when it is not there.
    #[track_caller]
    pub fn at(&self, pointer: &str) -> &Value {
        self.body.pointer(pointer).unwrap_or_else(|| panic!("{}: nothing at {pointer} in: {}", self.request, self.shown()))
    }

    /// The same as a number: ids.
    #[track_caller]
    pub fn id(&self, pointer: &str) -> i64 {
        self.at(pointer).as_i64().unwrap_or_else(|| panic!("{}: no whole number at {pointer} in: {}", self.request, self.shown()))
    }

    /// The same as text.
    #[track_caller]
    pub fn str(&self, pointer: &str) -> &str {
        self.at(pointer).as_str().unwrap_or_else(|| panic!("{}: no text at {pointer} in: {}", self.request, self.shown()))
    }

    /// A header, when it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn shown(&self) -> String {
        const ENOUGH: usize = 4000;
        let shown: String = self.text.chars().take(ENOUGH).collect();
        if shown.is_empty() { "an empty body".to_owned() } else { shown }
    }
}
