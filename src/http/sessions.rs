//! Signing in and out, and a user's sessions (contract, section 1).
use super::auth::{Caller, remote_address};
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::{audit, fields, platform_users, render};
use crate::password;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use actors::secret::{hash, random_token};
use actors::system::Handles;
use actors::wire::{iso, set};
use entity::session;
use sea_orm::{ActiveValue, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, TransactionTrait};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// How long a session lasts.
const LIFETIME: chrono::Duration = chrono::Duration::days(60);
/// How many sessions a user may have. A person at a browser is asked which one ends; for a program the oldest does.
const SESSIONS: usize = 25;

/// Credentials.
#[derive(Deserialize, ToSchema)]
pub struct SignIn {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    /// Ends this session first.
    #[serde(default, deserialize_with = "fields::optional_id")]
    revoke_session_id: Option<i64>,
    /// Ends all sessions first.
    #[serde(default, deserialize_with = "fields::flag")]
    revoke_all_sessions: Option<bool>,
    /// From a link that a platform app gave; stands for the password, once.
    #[serde(default, deserialize_with = "fields::text")]
    sso_auth_token: Option<String>,
}

impl Request for SignIn {}

/// Starts a session.
#[utoipa::path(post, path = "", tag = "Sessions", request_body = SignIn, responses((status = 200, description = "the user; session headers access-token, client, uid, expiry"), (status = 401, description = "wrong credentials")))]
pub async fn sign_in(request: HttpRequest, handles: web::Data<Handles>, body: Body<SignIn>) -> ApiResult<HttpResponse> {
    let SignIn { email, password, revoke_session_id, revoke_all_sessions, sso_auth_token } = body.value;
    let user = handles.catalog.now().user_by_email(&email.trim().to_lowercase()).cloned();
    // An unknown address takes as long as a wrong password.
    let stored = user.as_ref().and_then(|user| user.row.password_hash.clone());
    let is_right = match (sso_auth_token.filter(|token| !token.is_empty()), &user) {
        (Some(token), Some(user)) => platform_users::take_link(&handles, user.row.id, &token).await?,
        (Some(_), None) => false,
        (None, _) => password::verify(password, stored).await,
    };
    let Some(user) = user.filter(|_| is_right) else {
        let words = "Invalid login credentials. Please try again.";
        return Ok(HttpResponse::Unauthorized().json(json!({ "success": false, "errors": [words] })));
    };
    let (token, client, now) = (random_token(), random_token(), entity::now());
    let expires_at = now + LIFETIME;
    let header = request.headers().get("user-agent").and_then(|value| value.to_str().ok());
    let user_agent: Option<String> = header.map(|value| value.chars().take(300).collect());
    let remote_address = remote_address(&request);
    let mut over =
        Condition::any().add(session::Column::ExpiresAt.lte(now)).add_option(revoke_session_id.map(|id| session::Column::Id.eq(id)));
    if revoke_all_sessions == Some(true) {
        over = Condition::all();
    }
    let transaction = handles.db.write.begin().await?;
    let of_user = session::Column::UserId.eq(user.row.id);
    session::Entity::delete_many().filter(of_user.clone()).filter(over).exec(&transaction).await?;
    let others = session::Entity::find().filter(of_user).order_by_asc(session::Column::Id).all(&transaction).await?;
    if let Some(oldest) = others.first().filter(|_| others.len() >= SESSIONS) {
        if user_agent.as_deref().is_some_and(is_browser) {
            let sessions: Vec<Value> = others.iter().map(|session| render_session(session, None)).collect();
            return Ok(HttpResponse::Conflict().json(json!({ "sessions_limit_reached": true, "sessions": sessions })));
        }
        session::Entity::delete_by_id(oldest.id).exec(&transaction).await?;
    }
    let row = session::ActiveModel {
        id: ActiveValue::NotSet,
        user_id: ActiveValue::Set(user.row.id),
        client: ActiveValue::Set(client.clone()),
        token_hash: ActiveValue::Set(hash(&token)),
        user_agent: ActiveValue::Set(user_agent),
        remote_address: ActiveValue::Set(remote_address.clone()),
        expires_at: ActiveValue::Set(expires_at),
        created_at: ActiveValue::Set(now),
    };
    session::Entity::insert(row).exec(&transaction).await?;
    audit::signed(&transaction, &user, "sign_in", remote_address).await?;
    transaction.commit().await?;
    Ok(HttpResponse::build(StatusCode::OK)
        .insert_header(("access-token", token))
        .insert_header(("token-type", "Bearer"))
        .insert_header(("client", client))
        .insert_header(("expiry", expires_at.timestamp().to_string()))
        .insert_header(("uid", user.row.email.clone()))
        .json(json!({ "data": render::profile(&handles, &user) })))
}

/// Who the session belongs to.
#[utoipa::path(get, path = "", tag = "Sessions", responses((status = 200, description = "the user"), (status = 401, description = "not signed in")))]
pub async fn validate(handles: web::Data<Handles>, caller: Result<Caller, ApiError>) -> HttpResponse {
    match caller {
        Ok(caller) => {
            let mut data = render::profile(&handles, &caller.user);
            set(&mut data, "created_at", iso(caller.user.row.created_at).into());
            HttpResponse::Ok().json(json!({ "payload": { "success": true, "data": data } }))
        }
        Err(error) => HttpResponse::Unauthorized().json(json!({ "success": false, "errors": [error.to_string()] })),
    }
}

/// Ends the session.
#[utoipa::path(delete, path = "", tag = "Sessions", responses((status = 200, description = "signed out"), (status = 404, description = "there is no session")))]
pub async fn sign_out(handles: web::Data<Handles>, caller: Result<Caller, ApiError>) -> ApiResult<HttpResponse> {
    let Some((caller, session)) = caller.ok().and_then(|caller| caller.session.clone().map(|session| (caller, session))) else {
        return Ok(HttpResponse::NotFound().json(json!({ "success": false, "errors": ["User was not found or was not logged in."] })));
    };
    let transaction = handles.db.write.begin().await?;
    session::Entity::delete_by_id(session.id).exec(&transaction).await?;
    audit::signed(&transaction, &caller.user, "sign_out", caller.remote_address).await?;
    transaction.commit().await?;
    Ok(HttpResponse::Ok().json(json!({ "success": true })))
}

/// The caller's sessions, newest first.
#[utoipa::path(get, path = "", tag = "Profile", responses((status = 200, description = "an array of sessions")))]
pub async fn list(handles: web::Data<Handles>, caller: Caller) -> ApiResult<HttpResponse> {
    let rows = session::Entity::find()
        .filter(session::Column::UserId.eq(caller.user.row.id))
        .filter(session::Column::ExpiresAt.gt(entity::now()))
        .order_by_desc(session::Column::Id)
        .all(&handles.db.read)
        .await?;
    let current = caller.session.map(|session| session.id);
    Ok(HttpResponse::Ok().json(rows.iter().map(|row| render_session(row, current)).collect::<Vec<_>>()))
}

/// Ends one of the caller's sessions.
#[utoipa::path(delete, path = "", tag = "Profile", responses((status = 200, description = "ended"), (status = 404, description = "no such session")))]
pub async fn remove(handles: web::Data<Handles>, caller: Caller, path: web::Path<i64>) -> ApiResult<HttpResponse> {
    let ended = session::Entity::delete_many()
        .filter(session::Column::UserId.eq(caller.user.row.id))
        .filter(session::Column::Id.eq(path.into_inner()))
        .exec(&handles.db.write)
        .await?;
    if ended.rows_affected == 0 { Err(ApiError::not_found()) } else { Ok(HttpResponse::Ok().finish()) }
}

/// Browsers have begun their name like this since there are two of them; programs do not.
fn is_browser(user_agent: &str) -> bool {
    user_agent.starts_with("Mozilla/")
}

fn render_session(session: &session::Model, current: Option<i64>) -> Value {
    json!({
        "id": session.id,
        "current": current == Some(session.id),
        "user_agent": session.user_agent,
        "ip_address": session.remote_address,
        "created_at": iso(session.created_at),
        "expires_at": iso(session.expires_at),
    })
}
