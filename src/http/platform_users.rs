//! Users as platform apps manage them, and links that sign them in once (contract, section 9).
use super::auth::PlatformApp;
use super::body::{Body, Request};
use super::contacts::check_attributes;
use super::error::{ApiError, ApiResult};
use super::platform_accounts::grant;
use super::{audit, fields, render};
use crate::members::{NewMember, create_user};
use crate::{one_time_tokens, password, removal, tokens};
use actix_web::{HttpResponse, web};
use actors::catalog::User;
use actors::files::percent_encode;
use actors::secret::random_token;
use actors::system::Handles;
use entity::one_time_token::Purpose;
use entity::platform_grant::GrantKind;
use entity::session;
use sea_orm::{ActiveModelTrait, ActiveValue, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, TransactionTrait};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use utoipa::ToSchema;

/// How long a link signs in.
const LINK_LIFETIME: chrono::Duration = chrono::Duration::minutes(5);

/// A user as it is created or changed.
#[derive(Deserialize, ToSchema)]
pub struct UserFields {
    #[serde(default, deserialize_with = "fields::text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "fields::nullable_text")]
    #[schema(value_type = Option<String>)]
    display_name: Option<Option<String>>,
    #[serde(default, deserialize_with = "fields::text")]
    email: Option<String>,
    password: Option<String>,
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Option<Object>)]
    custom_attributes: Option<Map<String, Value>>,
}

impl Request for UserFields {
    const ENVELOPE: Option<&'static str> = Some("user");
}

/// Creates a user, which the app then manages; of a known address it is that user, as it is.
#[utoipa::path(post, path = "", tag = "Platform", request_body = UserFields, responses((status = 200, description = "the user"), (status = 422, description = "a field is wrong")))]
pub async fn create(handles: web::Data<Handles>, app: PlatformApp, body: Body<UserFields>) -> ApiResult<HttpResponse> {
    let fields = body.value;
    let email = checked_email(fields.email.as_deref())?;
    check_attributes("custom_attributes", fields.custom_attributes.as_ref())?;
    if let Some(known) = handles.catalog.now().user_by_email(&email).cloned() {
        grant(&handles.db.write, app.0.row.id, GrantKind::User, known.row.id).await?;
        return answer(&handles, known.row.id).await;
    }
    let name = checked_name(fields.name)?.ok_or_else(|| ApiError::invalid("name", "Name can't be blank"))?;
    let password_hash = hashed(fields.password).await?;
    let transaction = handles.db.write.begin().await?;
    let member = NewMember { email, name, password_hash, access_token: None, is_confirmed: true };
    let (user, _) = create_user(&transaction, &handles.vault, member).await?;
    let id = user.id;
    let mut row = user.into_active_model();
    row.display_name = ActiveValue::Set(fields.display_name.flatten());
    row.custom_attributes = ActiveValue::Set(Value::Object(fields.custom_attributes.unwrap_or_default()));
    row.update(&transaction).await?;
    grant(&transaction, app.0.row.id, GrantKind::User, id).await?;
    transaction.commit().await?;
    answer(&handles, id).await
}

/// One user.
#[utoipa::path(get, path = "", tag = "Platform", responses((status = 200, description = "the user"), (status = 401, description = "not the app's")))]
pub async fn show(handles: web::Data<Handles>, app: PlatformApp, path: web::Path<i64>) -> ApiResult<HttpResponse> {
    let user = managed(&handles, &app, *path)?;
    Ok(HttpResponse::Ok().json(render::profile(&handles, &user)))
}

/// Changes a user. A new password ends all sessions.
#[utoipa::path(patch, path = "", tag = "Platform", request_body = UserFields, responses((status = 200, description = "the user"), (status = 401, description = "not the app's"), (status = 422, description = "a field is wrong")))]
pub async fn update(
    handles: web::Data<Handles>,
    app: PlatformApp,
    path: web::Path<i64>,
    body: Body<UserFields>,
) -> ApiResult<HttpResponse> {
    let user = managed(&handles, &app, *path)?;
    let (fields, id) = (body.value, user.row.id);
    let mut row = user.row.clone().into_active_model();
    if let Some(name) = checked_name(fields.name)? {
        row.name = ActiveValue::Set(name);
    }
    if let Some(display_name) = fields.display_name {
        row.display_name = ActiveValue::Set(display_name);
    }
    if fields.email.is_some() {
        let email = checked_email(fields.email.as_deref())?;
        if handles.catalog.now().user_by_email(&email).is_some_and(|other| other.row.id != id) {
            return Err(ApiError::invalid("email", "Email has already been taken"));
        }
        row.email = ActiveValue::Set(email);
    }
    if let Some(attributes) = fields.custom_attributes {
        check_attributes("custom_attributes", Some(&attributes))?;
        row.custom_attributes = ActiveValue::Set(Value::Object(attributes));
    }
    let password_hash = hashed(fields.password).await?;
    row.updated_at = ActiveValue::Set(entity::now());
    let transaction = handles.db.write.begin().await?;
    if password_hash.is_some() {
        row.password_hash = ActiveValue::Set(password_hash);
        row.pubsub_token = ActiveValue::Set(random_token());
        session::Entity::delete_many().filter(session::Column::UserId.eq(id)).exec(&transaction).await?;
    }
    let after = row.update(&transaction).await?;
    for place in &user.places {
        let author = app.author(place.account_id);
        audit::updated(&transaction, &author, ("User", id), &audit::user(&user.row), &audit::user(&after)).await?;
    }
    transaction.commit().await?;
    answer(&handles, id).await
}

/// Deletes a user; what it wrote stays.
#[utoipa::path(delete, path = "", tag = "Platform", responses((status = 200, description = "deleted"), (status = 401, description = "not the app's")))]
pub async fn remove(handles: web::Data<Handles>, app: PlatformApp, path: web::Path<i64>) -> ApiResult<HttpResponse> {
    let user = managed(&handles, &app, *path)?;
    removal::remove_user(&handles, &user, |account_id| app.author(account_id)).await?;
    Ok(HttpResponse::Ok().finish())
}

/// An address that signs the user in once, within five minutes.
#[utoipa::path(get, path = "", tag = "Platform", responses((status = 200, description = "url"), (status = 401, description = "not the app's")))]
pub async fn sign_in_link(handles: web::Data<Handles>, app: PlatformApp, path: web::Path<i64>) -> ApiResult<HttpResponse> {
    let user = managed(&handles, &app, *path)?;
    let token = one_time_tokens::give(&handles.db.write, user.row.id, Purpose::SignIn, LINK_LIFETIME).await?;
    let (base, email) = (handles.files.public_url(), percent_encode(&user.row.email));
    Ok(HttpResponse::Ok().json(json!({ "url": format!("{base}/app/login?email={email}&sso_auth_token={token}") })))
}

/// The user's access token.
#[utoipa::path(post, path = "", tag = "Platform", responses((status = 200, description = "access_token, expiry, user"), (status = 401, description = "not the app's")))]
pub async fn token(handles: web::Data<Handles>, app: PlatformApp, path: web::Path<i64>) -> ApiResult<HttpResponse> {
    let user = managed(&handles, &app, *path)?;
    Ok(HttpResponse::Ok().json(json!({
        "access_token": tokens::shown(&handles.vault, user.token_sealed.as_deref()),
        "expiry": null,
        "user": {
            "id": user.row.id,
            "name": user.row.name,
            "display_name": user.row.display_name,
            "email": user.row.email,
            "pubsub_token": user.row.pubsub_token,
        },
    })))
}

fn checked_name(name: Option<String>) -> ApiResult<Option<String>> {
    match name.as_deref().map(str::trim) {
        None => Ok(None),
        Some("") => Err(ApiError::invalid("name", "Name can't be blank")),
        Some(name) if name.chars().count() > 255 => Err(ApiError::invalid("name", "name is longer than 255 characters")),
        Some(name) => Ok(Some(name.to_owned())),
    }
}

fn checked_email(email: Option<&str>) -> ApiResult<String> {
    email.and_then(fields::email_address).ok_or_else(|| ApiError::invalid("email", "Email is invalid"))
}

async fn hashed(chosen: Option<String>) -> ApiResult<Option<String>> {
    let Some(chosen) = chosen.filter(|chosen| !chosen.is_empty()) else { return Ok(None) };
    if let Some(words) = password::refusal(&chosen) {
        return Err(ApiError::invalid("password", words));
    }
    let hash = web::block(move || password::hash(&chosen)).await.map_err(ApiError::failed)?;
    hash.map(Some).map_err(ApiError::failed)
}

fn managed(handles: &Handles, app: &PlatformApp, id: i64) -> ApiResult<Arc<User>> {
    let user = handles.catalog.now().user(id).cloned().ok_or_else(ApiError::not_found)?;
    app.check(GrantKind::User, id)?;
    Ok(user)
}

async fn answer(handles: &Handles, id: i64) -> ApiResult<HttpResponse> {
    handles.catalog.reload().await?;
    let user: Arc<User> = handles.catalog.now().user(id).cloned().ok_or_else(ApiError::not_found)?;
    Ok(HttpResponse::Ok().json(render::profile(handles, &user)))
}
