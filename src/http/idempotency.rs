//! `Idempotency-Key` on POST (draft-ietf-httpapi-idempotency-key-header-06): the same request sent again gets the first
//! answer, for a day.
//!
//! The key is a row before the request begins. What the request makes (a message, a conversation, a contact) is noted in that
//! row in the transaction that makes it, so a crash before the answer was saved does not make it twice: the handler then
//! shows what was made ([`Claim::made`]). The same key with another body is 422; while the first is still running it is 409.
use super::auth::handles;
use super::error::{ApiError, ApiResult};
use actix_web::body::{BoxBody, MessageBody, to_bytes};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, web};
use actors::secret::hash;
use actors::system::Handles;
use entity::idempotency_key::{self, Column, Entity};
use futures_util::StreamExt;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveValue, ColumnTrait, EntityTrait, QueryFilter};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;
use uuid::Uuid;

/// What a handler is to note with what it makes; and what an earlier run of the same request has made already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claim {
    /// The row to note it in; none for a request without a key.
    pub id: Option<i64>,
    /// The id of what an earlier run has made: show it instead of making another.
    pub made: Option<i64>,
}

impl FromRequest for Claim {
    type Error = ApiError;
    type Future = std::future::Ready<ApiResult<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(Ok(request.extensions().get::<Claim>().copied().unwrap_or_default()))
    }
}

/// This run of the daemon: a request taken by another one is not running any more.
static BOOT: LazyLock<Uuid> = LazyLock::new(Uuid::new_v4);

/// Bodies of requests with a key are held in memory to be compared.
const BODY_LIMIT: usize = 48 << 20;
/// The longest key.
const KEY_LIMIT: usize = 255;
/// How long answers are kept.
const KEPT: chrono::Duration = chrono::Duration::hours(24);

/// The middleware.
///
/// # Errors
/// What the request's own handler answers, or a refusal of the key.
pub async fn middleware(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let key = request.headers().get("idempotency-key").map(|key| key.to_str().unwrap_or_default().to_owned());
    let Some(key) = key.filter(|_| request.method() == Method::POST) else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    if key.is_empty() || key.len() > KEY_LIMIT {
        return Err(
            ApiError::invalid("Idempotency-Key", format!("Idempotency-Key must have 1 to {KEY_LIMIT} visible ASCII characters")).into()
        );
    }
    let handles = handles(request.request())?;
    let body = take_body(&mut request).await?;
    let fingerprint = hex::encode(Sha256::digest(&body));
    request.set_payload(Payload::from(body));
    let (id, made) = match claim(&handles, &key_hash(request.request(), &key), &fingerprint).await? {
        Claimed::Answered(response) => return Ok(request.into_response(response)),
        Claimed::Mine { id, made } => (id, made),
    };
    request.extensions_mut().insert(Claim { id: Some(id), made });
    let answered = next.call(request).await;
    let response = match answered {
        Ok(response) => response.map_into_boxed_body(),
        Err(error) => {
            settle(&handles, id, None).await?;
            return Err(error);
        }
    };
    let (request, response) = response.into_parts();
    let (head, body) = response.into_parts();
    let bytes = to_bytes(body).await.map_err(|_| ApiError::failed("an answer could not be read"))?;
    let saved = (!head.status().is_server_error()).then(|| (head.status(), String::from_utf8_lossy(&bytes).into_owned()));
    settle(&handles, id, saved).await?;
    Ok(ServiceResponse::new(request, head.set_body(bytes)).map_into_boxed_body())
}

enum Claimed {
    /// Answered before: this is the answer.
    Answered(HttpResponse),
    /// Nobody else has it now.
    Mine { id: i64, made: Option<i64> },
}

async fn claim(handles: &web::Data<Handles>, key_hash: &str, fingerprint: &str) -> ApiResult<Claimed> {
    let now = entity::now();
    Entity::delete_many().filter(Column::KeyHash.eq(key_hash)).filter(Column::CreatedAt.lt(now - KEPT)).exec(&handles.db.write).await?;
    let row = idempotency_key::ActiveModel {
        id: ActiveValue::NotSet,
        key_hash: ActiveValue::Set(key_hash.to_owned()),
        fingerprint: ActiveValue::Set(fingerprint.to_owned()),
        boot: ActiveValue::Set(*BOOT),
        resource_id: ActiveValue::Set(None),
        status: ActiveValue::Set(None),
        body: ActiveValue::Set(None),
        created_at: ActiveValue::Set(now),
    };
    let known = OnConflict::column(Column::KeyHash).do_nothing().to_owned();
    let inserted = Entity::insert(row).on_conflict(known).exec_without_returning(&handles.db.write).await?;
    let stored = Entity::find().filter(Column::KeyHash.eq(key_hash)).one(&handles.db.write).await?;
    let stored = stored.ok_or_else(|| ApiError::unavailable("an idempotency key was removed meanwhile"))?;
    if inserted == 1 {
        return Ok(Claimed::Mine { id: stored.id, made: None });
    }
    if stored.fingerprint != fingerprint {
        return Err(ApiError::invalid("Idempotency-Key", "This Idempotency-Key was sent with another request before"));
    }
    if let (Some(status), Some(body)) = (stored.status, stored.body) {
        let status = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::OK);
        return Ok(Claimed::Answered(HttpResponse::build(status).insert_header((header::CONTENT_TYPE, "application/json")).body(body)));
    }
    // Taken over from a run that is gone; of several who try, one succeeds.
    let taken = Entity::update_many()
        .col_expr(Column::Boot, Expr::value(*BOOT))
        .filter(Column::Id.eq(stored.id))
        .filter(Column::Boot.ne(*BOOT))
        .exec(&handles.db.write)
        .await?;
    match taken.rows_affected {
        1 => Ok(Claimed::Mine { id: stored.id, made: stored.resource_id }),
        _ => Err(ApiError::conflict("A request with this Idempotency-Key is still running")),
    }
}

/// Saves the answer; without one, forgets the key unless something was made, so that the request may be sent again.
async fn settle(handles: &web::Data<Handles>, id: i64, answer: Option<(StatusCode, String)>) -> ApiResult<()> {
    match answer {
        Some((status, body)) => {
            Entity::update_many()
                .col_expr(Column::Status, Expr::value(i16::try_from(status.as_u16()).unwrap_or(200)))
                .col_expr(Column::Body, Expr::value(body))
                .filter(Column::Id.eq(id))
                .exec(&handles.db.write)
                .await?;
        }
        None => {
            Entity::delete_many().filter(Column::Id.eq(id)).filter(Column::ResourceId.is_null()).exec(&handles.db.write).await?;
            // What was made stays noted, for whoever asks next.
            Entity::update_many()
                .col_expr(Column::Boot, Expr::value(Uuid::nil()))
                .filter(Column::Id.eq(id))
                .exec(&handles.db.write)
                .await?;
        }
    }
    Ok(())
}

/// A key is its caller's own: the same key of another caller, or for another path, is another key.
fn key_hash(request: &HttpRequest, key: &str) -> String {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let caller = ["api_access_token", "api-access-token", "uid", "access-token"].map(header).join("\n");
    hash(&format!("{caller}\n{}\n{key}", request.uri()))
}

async fn take_body(request: &mut ServiceRequest) -> ApiResult<web::Bytes> {
    let mut payload = request.take_payload();
    let mut bytes = web::BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| ApiError::malformed(format!("The body broke off: {error}")))?;
        if bytes.len() + chunk.len() > BODY_LIMIT {
            return Err(ApiError::too_large(BODY_LIMIT as u64));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}
