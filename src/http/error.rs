//! What went wrong, as the client is told.
//!
//! A handler returns [`ApiError`]: `not_found` for what is not there or not the caller's to see, `refused` for an action its
//! role does not allow, `invalid` for input it can mend, and `?` on a failure of ours, which the client hears of as 500 or
//! 503 without its cause. The cause is logged here, once.
//!
//! The bodies are the contract's (section 0); `error` and `message` both carry the words, since clients read one or the other.
use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use actors::catalog::CatalogError;
use actors::conversation::ConversationError;
use actors::files::FileError;
use actors::store::StoreError;
use serde_json::json;
use std::fmt;
use std::time::Duration;

/// A refusal or failure with its status.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    words: String,
    field: Option<String>,
    cause: Option<String>,
    is_listed: bool,
    /// When to ask again.
    wait: Option<Duration>,
}

/// What handlers return.
pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    fn new(status: StatusCode, words: impl Into<String>) -> Self {
        ApiError { status, words: words.into(), field: None, cause: None, is_listed: false, wait: None }
    }

    /// 404: not there, or not the caller's to see; which of both is not told.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Resource could not be found")
    }

    /// 404 with words.
    pub fn missing(words: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, words)
    }

    /// 401: the caller's role does not allow it (the contract has no 403 here).
    pub fn refused() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "You are not authorized to do this action")
    }

    /// 401 with words.
    pub fn unauthorized(words: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, words)
    }

    /// 401: no credentials, or a session that is over. The contract lists its words as `errors`.
    pub fn signed_out() -> Self {
        ApiError { is_listed: true, ..Self::unauthorized("You need to sign in or sign up before continuing.") }
    }

    /// 422: a field is wrong; the words say how.
    pub fn invalid(field: impl Into<String>, words: impl Into<String>) -> Self {
        ApiError { field: Some(field.into()), ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, words) }
    }

    /// 422 without a single field to blame.
    pub fn unprocessable(words: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, words)
    }

    /// 400: the request cannot be read at all.
    pub fn malformed(words: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, words)
    }

    /// 402: the account may not have more of something.
    pub fn over_limit(words: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYMENT_REQUIRED, words)
    }

    /// 429: asked too often; the contract has a text here.
    pub fn throttled(wait: Duration) -> Self {
        ApiError { wait: Some(wait), ..Self::new(StatusCode::TOO_MANY_REQUESTS, "Retry later") }
    }

    /// 403.
    pub fn forbidden(words: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, words)
    }

    /// 409.
    pub fn conflict(words: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, words)
    }

    /// 413.
    pub fn too_large(limit: u64) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, format!("The request is larger than {limit} bytes"))
    }

    /// 500: a failure of ours.
    pub fn failed(cause: impl fmt::Display) -> Self {
        ApiError {
            cause: Some(cause.to_string()),
            ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong on the server; its log says what")
        }
    }

    /// 503: nothing is known of the outcome, or the daemon is busy: the same request may be sent again.
    pub fn unavailable(cause: impl fmt::Display) -> Self {
        ApiError {
            cause: Some(cause.to_string()),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "The server is busy; send the request again")
        }
    }

    /// 503: this daemon has not got it; sending the request again is of no use.
    pub fn absent(words: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, words)
    }

    /// The status it is answered with.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.words)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        if let Some(cause) = &self.cause {
            tracing::error!(http.status = self.status.as_u16(), cause, "a request failed");
        }
        if let Some(wait) = self.wait {
            let mut response = HttpResponse::build(self.status);
            response.insert_header((header::RETRY_AFTER, (wait.as_secs() + 1).to_string()));
            return response.content_type("text/plain; charset=utf-8").body(format!("{}\n", self.words));
        }
        let mut body = json!({ "error": self.words, "message": self.words });
        if let Some(field) = &self.field {
            actors::wire::set(&mut body, "attributes", json!([field]));
        }
        if self.is_listed {
            actors::wire::set(&mut body, "errors", json!([self.words]));
        }
        let mut response = HttpResponse::build(self.status);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((header::RETRY_AFTER, "1"));
        }
        response.json(body)
    }
}

impl From<sea_orm::DbErr> for ApiError {
    fn from(error: sea_orm::DbErr) -> Self {
        StoreError::from(error).into()
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Taken(field) => ApiError::invalid(field, format!("{} has already been taken", in_words(field))),
            StoreError::Conflict(_) => ApiError::conflict("It was changed at the same time; send the request again"),
            StoreError::Gone => ApiError::not_found(),
            StoreError::Refused(words) => {
                ApiError { cause: Some(words), ..ApiError::unprocessable("The database refuses a value of this request") }
            }
            StoreError::Database(cause) => ApiError::failed(cause),
            StoreError::Unanswered => ApiError::unavailable(error),
        }
    }
}

impl From<ConversationError> for ApiError {
    fn from(error: ConversationError) -> Self {
        match error {
            ConversationError::NotFound => ApiError::not_found(),
            ConversationError::Refused(words) => ApiError::unprocessable(words),
            ConversationError::Store(error) => error.into(),
            ConversationError::Renamed | ConversationError::Unanswered => ApiError::unavailable(error),
        }
    }
}

impl From<CatalogError> for ApiError {
    fn from(error: CatalogError) -> Self {
        ApiError::failed(error)
    }
}

impl From<FileError> for ApiError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::TooLarge(limit) => {
                ApiError::invalid("attachments", format!("A file is larger than {} MB, the limit here", limit >> 20))
            }
            FileError::Interrupted(cause) => ApiError::malformed(format!("The upload broke off: {cause}")),
            FileError::Store(error) => ApiError::failed(error),
        }
    }
}

/// `phone_number` → `Phone number`.
fn in_words(field: &str) -> String {
    let words = field.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
