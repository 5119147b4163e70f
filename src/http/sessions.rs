//! Signing in and out, and a user's sessions (contract, section 1).
use super::auth::{Caller, remote_address};
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::throttle::{Limit, Throttle};
use super::{audit, fields, mfa, render};
use crate::{one_time_tokens, password};
use actix_web::{HttpRequest, HttpResponse, web};
use actors::catalog::User;
use actors::secret::{hash, random_token};
use actors::system::Handles;
use actors::wire::{iso, set};
use chrono::{DateTime, Utc};
use entity::one_time_token::Purpose;
use entity::session;
use sea_orm::{
    ActiveValue, ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    TransactionTrait,
};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// How long a session lasts.
const LIFETIME: chrono::Duration = chrono::Duration::days(60);
/// How many sessions a user may have. A person at a browser is asked which one ends; for a program the oldest does.
const SESSIONS: usize = 25;

/// Credentials. With a second factor the password is answered with a token, which comes back with a code.
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
    /// The answer to a right password, where a second factor is on; stands for address and password.
    #[serde(default, deserialize_with = "fields::text")]
    mfa_token: Option<String>,
    /// What the authenticator shows now.
    #[serde(default, deserialize_with = "fields::text")]
    otp_code: Option<String>,
    /// One of the codes that were given when the second factor was turned on.
    #[serde(default, deserialize_with = "fields::text")]
    backup_code: Option<String>,
}

impl Request for SignIn {}

/// Starts a session.
#[utoipa::path(post, path = "", tag = "Sessions", request_body = SignIn, responses((status = 200, description = "the user; session headers access-token, client, uid, expiry"), (status = 206, description = "mfa_required, mfa_token"), (status = 401, description = "wrong credentials"), (status = 429, description = "too often")))]
pub async fn sign_in(request: HttpRequest, handles: web::Data<Handles>, throttle: Throttle, body: Body<SignIn>) -> ApiResult<HttpResponse> {
    let fields = body.value;
    let present = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let user = match present(&fields.mfa_token) {
        Some(token) => {
            let given = mfa::Given { otp_code: present(&fields.otp_code), backup_code: present(&fields.backup_code) };
            match mfa::complete(&handles, &token, given).await? {
                Some(user) => user,
                None => return Ok(refused("The code is wrong or has been used, or the time to enter it is over.", None)),
            }
        }
        None => {
            let email = fields.email.trim().to_lowercase();
            throttle.admit_address(Limit::SignInFrom)?;
            throttle.admit(Limit::SignInAs, &email)?;
            let by_link = present(&fields.sso_auth_token);
            let user = handles.catalog.now().user_by_email(&email).cloned();
            let is_right = match (&by_link, &user) {
                (Some(token), Some(user)) => one_time_tokens::take(&handles.db.write, user.row.id, Purpose::SignIn, token).await?,
                (Some(_), None) => false,
                // An unknown address takes as long as a wrong password.
                (None, _) => password::verify(fields.password, user.as_ref().and_then(|user| user.row.password_hash.clone())).await,
            };
            let Some(user) = user.filter(|_| is_right) else {
                return Ok(refused("Invalid login credentials. Please try again.", None));
            };
            if user.row.confirmed_at.is_none() {
                let words = "Confirm your e-mail address first: the link is in the mail that you got when you signed up.";
                return Ok(refused(words, Some("user_not_confirmed")));
            }
            // Whoever gave the link answers for the user.
            if by_link.is_none()
                && let Some(answer) = mfa::asked(&handles, &user).await?
            {
                return Ok(answer);
            }
            user
        }
    };
    let of_user = session::Column::UserId.eq(user.row.id);
    let mut over = Condition::any().add(session::Column::ExpiresAt.lte(entity::now()));
    over = over.add_option(fields.revoke_session_id.map(|id| session::Column::Id.eq(id)));
    if fields.revoke_all_sessions == Some(true) {
        over = Condition::all();
    }
    let visit = Visit::of(&request);
    let transaction = handles.db.write.begin().await?;
    session::Entity::delete_many().filter(of_user.clone()).filter(over).exec(&transaction).await?;
    let others = session::Entity::find().filter(of_user).order_by_asc(session::Column::Id).all(&transaction).await?;
    if others.len() >= SESSIONS && visit.user_agent.as_deref().is_some_and(is_browser) {
        let sessions: Vec<Value> = others.iter().map(|session| render_session(session, None)).collect();
        return Ok(HttpResponse::Conflict().json(json!({ "sessions_limit_reached": true, "sessions": sessions })));
    }
    let begun = begin(&transaction, &user, visit).await?;
    transaction.commit().await?;
    Ok(begun.answer(json!({ "data": render::profile(&handles, &user) })))
}

/// 401 in the form of sign-ins.
fn refused(words: &str, error_code: Option<&str>) -> HttpResponse {
    let mut body = json!({ "success": false, "errors": [words] });
    if let Some(code) = error_code {
        set(&mut body, "error_code", code.into());
    }
    HttpResponse::Unauthorized().json(body)
}

/// With what, and from where, somebody signs in.
pub struct Visit {
    user_agent: Option<String>,
    remote_address: Option<String>,
}

impl Visit {
    /// As a request tells it.
    pub fn of(request: &HttpRequest) -> Self {
        let header = request.headers().get("user-agent").and_then(|value| value.to_str().ok());
        Visit { user_agent: header.map(|value| value.chars().take(300).collect()), remote_address: remote_address(request) }
    }
}

/// A session that has begun: what its client is told, once.
pub struct Begun {
    token: String,
    client: String,
    uid: String,
    expires_at: DateTime<Utc>,
}

impl Begun {
    /// 200 with the session's headers.
    pub fn answer(self, body: Value) -> HttpResponse {
        HttpResponse::Ok()
            .insert_header(("access-token", self.token))
            .insert_header(("token-type", "Bearer"))
            .insert_header(("client", self.client))
            .insert_header(("expiry", self.expires_at.timestamp().to_string()))
            .insert_header(("uid", self.uid))
            .json(body)
    }
}

/// Begins a session; where there are too many, the oldest ends.
///
/// # Errors
/// If the database fails.
pub async fn begin(db: &DatabaseTransaction, user: &User, visit: Visit) -> ApiResult<Begun> {
    let (token, client, now) = (random_token(), random_token(), entity::now());
    let expires_at = now + LIFETIME;
    let of_user = session::Entity::find().filter(session::Column::UserId.eq(user.row.id));
    let ids: Vec<i64> = of_user.select_only().column(session::Column::Id).order_by_desc(session::Column::Id).into_tuple().all(db).await?;
    session::Entity::delete_many().filter(session::Column::Id.is_in(ids.into_iter().skip(SESSIONS - 1))).exec(db).await?;
    let row = session::ActiveModel {
        id: ActiveValue::NotSet,
        user_id: ActiveValue::Set(user.row.id),
        client: ActiveValue::Set(client.clone()),
        token_hash: ActiveValue::Set(hash(&token)),
        user_agent: ActiveValue::Set(visit.user_agent),
        remote_address: ActiveValue::Set(visit.remote_address.clone()),
        expires_at: ActiveValue::Set(expires_at),
        created_at: ActiveValue::Set(now),
    };
    session::Entity::insert(row).exec(db).await?;
    audit::signed(db, user, "sign_in", visit.remote_address).await?;
    Ok(Begun { token, client, uid: user.row.email.clone(), expires_at })
}

/// Ends the sessions of a user but one.
///
/// # Errors
/// If the database fails.
pub async fn end_others(db: &impl ConnectionTrait, user_id: i64, kept: Option<i64>) -> Result<(), DbErr> {
    let mut others = session::Entity::delete_many().filter(session::Column::UserId.eq(user_id));
    if let Some(kept) = kept {
        others = others.filter(session::Column::Id.ne(kept));
    }
    others.exec(db).await.map(drop)
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
    let transaction = handles.db.write.begin().await?;
    let ended = session::Entity::delete_many()
        .filter(session::Column::UserId.eq(caller.user.row.id))
        .filter(session::Column::Id.eq(path.into_inner()))
        .exec(&transaction)
        .await?;
    if ended.rows_affected == 0 {
        return Err(ApiError::not_found());
    }
    audit::signed(&transaction, &caller.user, "sign_out", caller.remote_address).await?;
    transaction.commit().await?;
    Ok(HttpResponse::Ok().finish())
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
