//! `Idempotency-Key` on POST (draft-ietf-httpapi-idempotency-key-header-06): the same request sent again gets the first
//! answer, for a day.
//!
//! The key of a caller whom the daemon knows is a row before the request begins. What the request makes (a message, a
//! conversation, a contact) is noted in that row in the transaction that makes it, so nothing that happens before the answer
//! was saved makes it twice: a repeat shows what was made ([`Claim::made`]), or, if nothing is noted yet, takes the key over,
//! and the first request, should it still be on its way, comes too late (`store::rows::write_claims`). Of a route that notes
//! nothing ([`NOTING`]) it is then unknown whether the request was carried out, and a repeat is refused instead of carried out
//! twice.
//!
//! | the first request | a repeat is answered |
//! | --- | --- |
//! | was answered | the same; 422 if it says something else |
//! | still runs | 409 |
//! | was cut off or failed on our side, and noted what it made | what was made |
//! | … and its route would have noted it | as if it were the first |
//! | … and its route notes nothing | 409 |
//!
//! Bodies are compared by what they say, read on their way to the handler, so that none is held in memory here.
use super::auth::{handles, is_known};
use super::error::{ApiError, ApiResult};
use actix_web::body::{BoxBody, MessageBody, to_bytes};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, web};
use actors::secret::hash;
use actors::system::Handles;
use entity::idempotency_key::{self, Column, Entity};
use futures_util::{Stream, StreamExt};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ActiveValue, ColumnTrait, DbErr, EntityTrait, QueryFilter};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::collections::HashSet;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

/// What a handler is to note with what it makes; and what an earlier run of the same request has made already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claim {
    /// The row to note it in; none for a request without a key.
    pub id: Option<i64>,
    /// The id of what an earlier run has made: show it instead of making another.
    pub made: Option<i64>,
}

/// The routes whose handlers take a [`Claim`] and have it noted with what they make.
pub const NOTING: &[&str] = &[
    "/api/v1/profile",
    "/api/v1/accounts/{account_id}/contacts",
    "/api/v1/accounts/{account_id}/conversations",
    "/api/v1/accounts/{account_id}/conversations/{conversation_id}/messages",
    "/api/v1/widget/conversations",
    "/api/v1/widget/messages",
    "/public/api/v1/inboxes/{inbox_identifier}/contacts",
    "/public/api/v1/inboxes/{inbox_identifier}/contacts/{source_id}/conversations",
    "/public/api/v1/inboxes/{inbox_identifier}/contacts/{source_id}/conversations/{conversation_id}/messages",
];

impl FromRequest for Claim {
    type Error = ApiError;
    type Future = std::future::Ready<ApiResult<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let claim = request.extensions().get::<Claim>().copied().unwrap_or_default();
        std::future::ready(match notes(request.match_pattern().as_deref()) {
            true => Ok(claim),
            false => Err(ApiError::failed("a handler notes what it makes, and its route is not among idempotency::NOTING")),
        })
    }
}

fn notes(pattern: Option<&str>) -> bool {
    pattern.is_some_and(|pattern| NOTING.contains(&pattern))
}

/// The longest key.
const KEY_LIMIT: usize = 255;
/// How long answers are kept.
const KEPT: chrono::Duration = chrono::Duration::hours(24);
/// What a saved answer is sealed for, since it may hold a token.
const SEALED_AS: &str = "idempotency_keys.body";
/// How long the rest of a body may take of which the handler did not read the end.
const REST_WITHIN: Duration = Duration::from_secs(5);

/// The middleware.
///
/// # Errors
/// What the request's own handler answers, or a refusal of the key.
pub async fn middleware(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let key = request.headers().get("idempotency-key").map(|key| key.to_str().unwrap_or_default().to_owned());
    let key = key.filter(|_| request.method() == Method::POST);
    // A stranger is refused by the handler; signing in gives another token each time.
    let key = if key.is_some() && is_known(request.request()).await? { key } else { None };
    let Some(key) = key else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    if key.is_empty() || key.len() > KEY_LIMIT {
        return Err(
            ApiError::invalid("Idempotency-Key", format!("Idempotency-Key must have 1 to {KEY_LIMIT} visible ASCII characters")).into()
        );
    }
    let handles = handles(request.request())?;
    let key_hash = key_hash(request.request(), &key);
    let still_runs = || ApiError::conflict("A request with this Idempotency-Key is still running");
    // Until this is dropped, nobody else looks at the row.
    let _running = Running::enter(&key_hash).ok_or_else(still_runs)?;
    let body = Heard::on_its_way(&mut request);
    let (id, made) = match claim(&handles, &key_hash, notes(request.match_pattern().as_deref())).await? {
        Claimed::Mine { id, made } => (id, made),
        Claimed::Answered { fingerprint, response } => {
            let said = body.read_to_the_end().await?;
            if !fingerprint.is_empty() && fingerprint != said {
                return Err(ApiError::invalid("Idempotency-Key", "This Idempotency-Key was sent with another request before").into());
            }
            return Ok(request.into_response(response));
        }
    };
    request.extensions_mut().insert(Claim { id: Some(id), made });
    let response = match next.call(request).await {
        Ok(response) => response.map_into_boxed_body(),
        Err(error) => {
            if follows(error.as_response_error().status_code(), false) == Follows::Forgotten {
                logged(forget(&handles, id).await);
            }
            return Err(error);
        }
    };
    let (request, response) = response.into_parts();
    let (head, answer) = response.into_parts();
    let bytes = to_bytes(answer).await.map_err(|_| ApiError::failed("an answer could not be read"))?;
    let said = if head.status().is_success() { body.rest().await } else { body.whole() };
    match follows(head.status(), said.is_some()) {
        Follows::Kept => logged(keep(&handles, id, said.unwrap_or_default(), head.status(), &bytes).await),
        Follows::Forgotten => logged(forget(&handles, id).await),
        Follows::Unknown => {}
    }
    Ok(ServiceResponse::new(request, head.set_body(bytes)).map_into_boxed_body())
}

/// What becomes of a key once its request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Follows {
    /// The answer is kept for repeats.
    Kept,
    /// Nothing was made: the request may come again, with something else as well.
    Forgotten,
    /// Whether something was or will be made, nobody knows.
    Unknown,
}

fn follows(status: StatusCode, is_read_to_its_end: bool) -> Follows {
    match status {
        _ if status.is_server_error() => Follows::Unknown,
        // Somebody else was faster: the client is told to send it again.
        StatusCode::CONFLICT => Follows::Forgotten,
        // Refused before it was known what was said.
        _ if status.is_client_error() && !is_read_to_its_end => Follows::Forgotten,
        _ => Follows::Kept,
    }
}

/// The request is answered whatever becomes of its key: unanswered and not running, it counts as one that was cut off.
fn logged(noted: Result<(), DbErr>) {
    if let Err(error) = noted {
        tracing::error!(%error, "noting the answer to a request with an Idempotency-Key");
    }
}

/// Keys whose requests run, by their hashes.
static RUNNING: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

/// A key whose request runs, for as long as it does: also when it ends because its client has gone.
struct Running(String);

impl Running {
    fn enter(key_hash: &str) -> Option<Self> {
        running().insert(key_hash.to_owned()).then(|| Running(key_hash.to_owned()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        running().remove(&self.0);
    }
}

fn running() -> MutexGuard<'static, HashSet<String>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

enum Claimed {
    /// Answered before.
    Answered { fingerprint: String, response: HttpResponse },
    /// To be carried out, or what was made to be shown.
    Mine { id: i64, made: Option<i64> },
}

async fn claim(handles: &Handles, key_hash: &str, notes: bool) -> ApiResult<Claimed> {
    let (db, now) = (&handles.db.write, entity::now());
    Entity::delete_many().filter(Column::CreatedAt.lt(now - KEPT)).exec(db).await?;
    while let Some(stored) = Entity::find().filter(Column::KeyHash.eq(key_hash)).one(db).await? {
        if let (Some(status), Some(body)) = (stored.status, &stored.body) {
            let status = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::OK);
            let body = handles.vault.open(SEALED_AS, body).map_err(ApiError::failed)?.expose().to_owned();
            let response = HttpResponse::build(status).insert_header((header::CONTENT_TYPE, "application/json")).body(body);
            return Ok(Claimed::Answered { fingerprint: stored.fingerprint, response });
        }
        if stored.resource_id.is_some() {
            return Ok(Claimed::Mine { id: stored.id, made: stored.resource_id });
        }
        if !notes {
            return Err(ApiError::conflict(
                "A request with this Idempotency-Key was cut off, and whether it was carried out is not known: \
                 look, and send it again with another key",
            ));
        }
        // Ids are given once, so whatever the first request still tries to store comes too late from here on. If it was faster,
        // what it made is noted now.
        Entity::delete_many().filter(Column::Id.eq(stored.id)).filter(Column::ResourceId.is_null()).exec(db).await?;
    }
    let row = idempotency_key::ActiveModel {
        id: ActiveValue::NotSet,
        key_hash: ActiveValue::Set(key_hash.to_owned()),
        fingerprint: ActiveValue::Set(String::new()),
        resource_id: ActiveValue::Set(None),
        status: ActiveValue::Set(None),
        body: ActiveValue::Set(None),
        created_at: ActiveValue::Set(now),
    };
    Ok(Claimed::Mine { id: row.insert(db).await?.id, made: None })
}

async fn keep(handles: &Handles, id: i64, fingerprint: String, status: StatusCode, answer: &[u8]) -> Result<(), DbErr> {
    let body = handles.vault.seal(SEALED_AS, &String::from_utf8_lossy(answer));
    Entity::update_many()
        .col_expr(Column::Fingerprint, Expr::value(fingerprint))
        .col_expr(Column::Status, Expr::value(i16::try_from(status.as_u16()).unwrap_or(200)))
        .col_expr(Column::Body, Expr::value(body))
        .filter(Column::Id.eq(id))
        .exec(&handles.db.write)
        .await
        .map(drop)
}

/// What was made stays noted, for whoever asks next.
async fn forget(handles: &Handles, id: i64) -> Result<(), DbErr> {
    Entity::delete_many().filter(Column::Id.eq(id)).filter(Column::ResourceId.is_null()).exec(&handles.db.write).await.map(drop)
}

/// A key is its caller's own: the same key of another caller, or for another path, is another key.
fn key_hash(request: &HttpRequest, key: &str) -> String {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let caller = ["api_access_token", "api-access-token", "uid", "access-token", "x-auth-token"].map(header).join("\n");
    hash(&format!("{caller}\n{}\n{key}", request.uri()))
}

/// A body that is listened to while its handler reads it.
#[derive(Clone)]
struct Heard(Rc<RefCell<Listening>>);

struct Listening {
    payload: Payload,
    fingerprint: Fingerprint,
    is_whole: bool,
}

impl Heard {
    /// Puts itself between a request and its body.
    fn on_its_way(request: &mut ServiceRequest) -> Self {
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let fingerprint = Fingerprint::of(content_type);
        let heard = Heard(Rc::new(RefCell::new(Listening { payload: request.take_payload(), fingerprint, is_whole: false })));
        let stream: Pin<Box<dyn Stream<Item = Result<web::Bytes, PayloadError>>>> = Box::pin(heard.clone());
        request.set_payload(Payload::from(stream));
        heard
    }

    /// The fingerprint of all of it, read and dropped.
    async fn read_to_the_end(mut self) -> ApiResult<String> {
        while let Some(chunk) = self.next().await {
            chunk.map_err(|error| ApiError::malformed(format!("The body broke off: {error}")))?;
        }
        Ok(self.0.borrow().fingerprint.clone().text())
    }

    /// The same if the handler has read all of it.
    fn whole(&self) -> Option<String> {
        let listening = self.0.borrow();
        listening.is_whole.then(|| listening.fingerprint.clone().text())
    }

    /// The same after the handler has read what it needs; none if the rest does not come soon.
    async fn rest(self) -> Option<String> {
        tokio::time::timeout(REST_WITHIN, self.read_to_the_end()).await.ok()?.ok()
    }
}

impl Stream for Heard {
    type Item = Result<web::Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut listening = self.0.borrow_mut();
        if listening.is_whole {
            return Poll::Ready(None);
        }
        let polled = Pin::new(&mut listening.payload).poll_next(context);
        match &polled {
            Poll::Ready(Some(Ok(chunk))) => listening.fingerprint.add(chunk),
            Poll::Ready(None) => listening.is_whole = true,
            _ => {}
        }
        polled
    }
}

/// SHA-256 of what a body says. The boundary of a multipart body says nothing: it is another one each time.
#[derive(Clone)]
struct Fingerprint {
    digest: Sha256,
    /// Empty for other bodies.
    boundary: Vec<u8>,
    /// The last bytes, which the boundary may begin in.
    tail: Vec<u8>,
}

impl Fingerprint {
    fn of(content_type: &str) -> Self {
        let given = content_type.split_once("boundary=").map(|(_, rest)| rest.split(';').next().unwrap_or_default().trim());
        let boundary = given.filter(|_| content_type.starts_with("multipart/")).unwrap_or_default().trim_matches('"');
        Fingerprint { digest: Sha256::new(), boundary: boundary.as_bytes().to_vec(), tail: Vec::new() }
    }

    fn add(&mut self, chunk: &[u8]) {
        if self.boundary.is_empty() {
            return self.digest.update(chunk);
        }
        let mut bytes = std::mem::take(&mut self.tail);
        bytes.extend_from_slice(chunk);
        let mut rest = bytes.as_slice();
        while let Some(position) = rest.windows(self.boundary.len()).position(|window| window == self.boundary) {
            let (before, after) = rest.split_at(position);
            self.digest.update(before);
            rest = after.get(self.boundary.len()..).unwrap_or_default();
        }
        let (said, tail) = rest.split_at(rest.len().saturating_sub(self.boundary.len() - 1));
        self.digest.update(said);
        self.tail = tail.to_vec();
    }

    fn text(mut self) -> String {
        self.digest.update(&self.tail);
        hex::encode(self.digest.finalize())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::http::routes::ROUTES;

    fn fingerprint(content_type: &str, chunks: &[&str]) -> String {
        let mut fingerprint = Fingerprint::of(content_type);
        chunks.iter().for_each(|chunk| fingerprint.add(chunk.as_bytes()));
        fingerprint.text()
    }

    #[test]
    fn a_body_is_what_it_says_in_whatever_pieces_and_with_whatever_boundary() {
        assert_eq!(fingerprint("application/json", &["{\"a\"", ":1}"]), hex::encode(Sha256::digest("{\"a\":1}")));
        let form = |boundary: &str, content: &str| {
            format!("--{boundary}\r\ncontent-disposition: form-data; name=\"content\"\r\n\r\n{content}\r\n--{boundary}--\r\n")
        };
        let (one, other, wrong) = (form("aaaa", "hi"), form("other-one", "hi"), form("aaaa", "ho"));
        let first = fingerprint("multipart/form-data; boundary=aaaa", &[&one]);
        assert_eq!(fingerprint("multipart/form-data; boundary=\"other-one\"; x=y", &[&other]), first);
        assert_ne!(fingerprint("multipart/form-data; boundary=aaaa", &[&wrong]), first);
        for cut in 1..one.len() {
            let (start, end) = one.split_at(cut);
            assert_eq!(fingerprint("multipart/form-data; boundary=aaaa", &[start, end]), first, "cut at {cut}");
        }
    }

    #[test]
    fn only_an_answer_that_says_what_happened_is_kept() {
        for (status, is_read, expected) in [
            (200, true, Follows::Kept),
            (200, false, Follows::Kept),
            (422, true, Follows::Kept),
            (404, false, Follows::Forgotten),
            (401, false, Follows::Forgotten),
            (409, true, Follows::Forgotten),
            (500, true, Follows::Unknown),
            (503, false, Follows::Unknown),
        ] {
            assert_eq!(follows(StatusCode::from_u16(status).unwrap(), is_read), expected, "{status}");
        }
    }

    #[test]
    fn routes_that_note_what_they_make_are_routes() {
        for path in NOTING {
            assert!(ROUTES.iter().any(|route| route.method == "POST" && route.path == *path), "{path}");
        }
    }
}
