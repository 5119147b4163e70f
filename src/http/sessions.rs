//! Signing in and out (contract, section 1).
use super::auth::Caller;
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::{fields, platform_users, render};
use crate::password;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use actors::secret::{hash, random_token};
use actors::system::Handles;
use actors::wire::{iso, set};
use entity::session;
use sea_orm::{ActiveValue, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

/// How long a session lasts.
const LIFETIME: chrono::Duration = chrono::Duration::days(60);
/// How many sessions a user may have; the oldest ends when there are more.
const SESSIONS: u64 = 25;

/// Credentials.
#[derive(Deserialize, ToSchema)]
pub struct SignIn {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    /// From a link that a platform app gave; stands for the password, once.
    #[serde(default, deserialize_with = "fields::text")]
    sso_auth_token: Option<String>,
}

impl Request for SignIn {}

/// Starts a session.
#[utoipa::path(post, path = "", tag = "Sessions", request_body = SignIn, responses((status = 200, description = "the user; session headers access-token, client, uid, expiry"), (status = 401, description = "wrong credentials")))]
pub async fn sign_in(request: HttpRequest, handles: web::Data<Handles>, body: Body<SignIn>) -> ApiResult<HttpResponse> {
    let SignIn { email, password, sso_auth_token } = body.value;
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
    let of_user = session::Entity::find().filter(session::Column::UserId.eq(user.row.id));
    if of_user.clone().count(&handles.db.read).await? >= SESSIONS
        && let Some(oldest) = of_user.order_by_asc(session::Column::Id).one(&handles.db.read).await?
    {
        session::Entity::delete_by_id(oldest.id).exec(&handles.db.write).await?;
    }
    let header =
        |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).map(|value| value.chars().take(300).collect());
    let row = session::ActiveModel {
        id: ActiveValue::NotSet,
        user_id: ActiveValue::Set(user.row.id),
        client: ActiveValue::Set(client.clone()),
        token_hash: ActiveValue::Set(hash(&token)),
        user_agent: ActiveValue::Set(header("user-agent")),
        remote_address: ActiveValue::Set(request.peer_addr().map(|address| address.ip().to_string())),
        expires_at: ActiveValue::Set(expires_at),
        created_at: ActiveValue::Set(now),
    };
    session::Entity::insert(row).exec(&handles.db.write).await?;
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
    let Some(session) = caller.ok().and_then(|caller| caller.session) else {
        return Ok(HttpResponse::NotFound().json(json!({ "success": false, "errors": ["User was not found or was not logged in."] })));
    };
    session::Entity::delete_by_id(session.id).exec(&handles.db.write).await?;
    Ok(HttpResponse::Ok().json(json!({ "success": true })))
}
