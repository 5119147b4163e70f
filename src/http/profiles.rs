//! The caller's own profile; and, as the manual names it, `POST /api/v1/profile` for customers' systems.
use super::auth::Caller;
use super::body::{Body, Request};
use super::client::{self, ClientContact};
use super::error::{ApiError, ApiResult};
use super::idempotency::Claim;
use super::sessions::end_others;
use super::{audit, fields, render, uploads};
use crate::{one_time_tokens, password, tokens};
use actix_web::{HttpResponse, web};
use actors::secret::random_token;
use actors::system::Handles;
use entity::access_token::OwnerType;
use entity::account_user::{self, Availability};
use entity::one_time_token::Purpose;
use entity::user;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ActiveValue, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, TransactionTrait};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// Changes to the profile.
#[derive(Deserialize, ToSchema)]
pub struct ProfileUpdate {
    #[serde(default, deserialize_with = "fields::text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "fields::nullable_text")]
    #[schema(value_type = Option<String>)]
    display_name: Option<Option<String>>,
    #[serde(default, deserialize_with = "fields::text")]
    email: Option<String>,
    #[serde(default, deserialize_with = "fields::nullable_text")]
    #[schema(value_type = Option<String>)]
    message_signature: Option<Option<String>>,
    #[serde(default, deserialize_with = "fields::nullable_text")]
    #[schema(value_type = Option<String>)]
    phone_number: Option<Option<String>>,
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Option<Object>)]
    ui_settings: Option<Map<String, Value>>,
    current_password: Option<String>,
    password: Option<String>,
    password_confirmation: Option<String>,
}

impl Request for ProfileUpdate {
    const ENVELOPE: Option<&'static str> = Some("profile");
}

/// The caller's profile.
#[utoipa::path(get, path = "", tag = "Profile", responses((status = 200, description = "the user")))]
pub async fn show(handles: web::Data<Handles>, caller: Caller) -> HttpResponse {
    HttpResponse::Ok().json(render::profile(&handles, &caller.user))
}

/// Changes the caller's profile. A new password ends all other sessions.
#[utoipa::path(put, path = "", tag = "Profile", request_body = ProfileUpdate, responses((status = 200, description = "the user"), (status = 422, description = "a field is wrong")))]
pub async fn update(handles: web::Data<Handles>, caller: Caller, body: Body<ProfileUpdate>) -> ApiResult<HttpResponse> {
    let (update, avatar) = (body.value, uploads::avatar(body.files)?);
    let mut row = caller.user.row.clone().into_active_model();
    let mut ends_sessions = false;
    if let Some(name) = update.name {
        if name.trim().is_empty() {
            return Err(ApiError::invalid("name", "Name can't be blank"));
        }
        row.name = ActiveValue::Set(name);
    }
    if let Some(email) = update.email {
        let email = fields::email_address(&email).ok_or_else(|| ApiError::invalid("email", "Email is invalid"))?;
        if handles.catalog.now().user_by_email(&email).is_some_and(|other| other.row.id != caller.user.row.id) {
            return Err(ApiError::invalid("email", "Email has already been taken"));
        }
        row.email = ActiveValue::Set(email);
    }
    if let Some(display_name) = update.display_name {
        row.display_name = ActiveValue::Set(display_name);
    }
    if let Some(signature) = update.message_signature {
        row.message_signature = ActiveValue::Set(signature);
    }
    if let Some(phone_number) = update.phone_number {
        row.phone_number = ActiveValue::Set(phone_number);
    }
    if let Some(settings) = update.ui_settings {
        let mut merged = caller.user.row.ui_settings.as_object().cloned().unwrap_or_default();
        merged.extend(settings);
        row.ui_settings = ActiveValue::Set(Value::Object(merged));
    }
    if let Some(new) = update.password.filter(|new| !new.is_empty()) {
        let current = update.current_password.unwrap_or_default();
        if !password::verify(current, caller.user.row.password_hash.clone()).await {
            return Err(ApiError::invalid("current_password", "Invalid current password"));
        }
        if update.password_confirmation.as_ref().is_some_and(|confirmation| *confirmation != new) {
            return Err(ApiError::invalid("password_confirmation", "Password confirmation doesn't match Password"));
        }
        if let Some(words) = password::refusal(&new) {
            return Err(ApiError::invalid("password", words));
        }
        let hashed = web::block(move || password::hash(&new)).await.map_err(ApiError::failed)?.map_err(ApiError::failed)?;
        row.password_hash = ActiveValue::Set(Some(hashed));
        row.pubsub_token = ActiveValue::Set(random_token());
        ends_sessions = true;
    }
    row.updated_at = ActiveValue::Set(entity::now());
    let transaction = handles.db.write.begin().await?;
    if ends_sessions {
        end_others(&transaction, caller.user.row.id, caller.session.as_ref().map(|own| own.id)).await?;
        one_time_tokens::void(&transaction, caller.user.row.id, [Purpose::Password, Purpose::SignIn, Purpose::SecondFactor]).await?;
    }
    if let Some(avatar) = avatar {
        let place = caller.user.places.first().ok_or_else(|| ApiError::invalid("avatar", "avatar: you belong to no account"))?;
        row.avatar_blob_id =
            ActiveValue::Set(Some(uploads::store(&transaction, place.account_id, Some(caller.user.row.id), avatar).await?.id));
    }
    let after = row.update(&transaction).await?;
    let noted = |row: &user::Model| json!({ "email": row.email, "password": row.password_hash });
    let (before, now) = (noted(&caller.user.row), noted(&after));
    if before != now {
        audit::user_updated(&transaction, &caller.user, caller.remote_address.clone(), &before, &now).await?;
    }
    transaction.commit().await?;
    if after.avatar_blob_id != caller.user.row.avatar_blob_id
        && let Some(replaced) = caller.user.row.avatar_blob_id
    {
        uploads::discard(&handles, replaced).await?;
    }
    answer(&handles, caller.user.row.id).await
}

/// Takes the caller's picture away.
#[utoipa::path(delete, path = "", tag = "Profile", responses((status = 200, description = "the user")))]
pub async fn remove_avatar(handles: web::Data<Handles>, caller: Caller) -> ApiResult<HttpResponse> {
    if let Some(avatar) = caller.user.row.avatar_blob_id {
        user::Entity::update_many()
            .col_expr(user::Column::AvatarBlobId, Expr::value(None::<i64>))
            .filter(user::Column::Id.eq(caller.user.row.id))
            .exec(&handles.db.write)
            .await?;
        uploads::discard(&handles, avatar).await?;
    }
    answer(&handles, caller.user.row.id).await
}

/// Asks to confirm the caller's address once more. Addresses are confirmed when an administrator adds them: nothing is sent.
#[utoipa::path(post, path = "", tag = "Profile", responses((status = 200, description = "there is nothing to confirm")))]
pub async fn resend_confirmation(_caller: Caller) -> HttpResponse {
    HttpResponse::Ok().finish()
}

/// Customers' systems: creates or finds a contact of an API inbox. With an `api_access_token` and without `inbox_identifier`
/// it changes the caller's profile.
#[utoipa::path(post, path = "", tag = "Client API", request_body = ClientContact, responses((status = 200, description = "the contact, or the user"), (status = 404, description = "no such inbox")))]
pub async fn create_contact(
    handles: web::Data<Handles>,
    caller: Result<Caller, ApiError>,
    claim: Claim,
    body: Body<ProfileOrContact>,
) -> ApiResult<HttpResponse> {
    let object = body.object;
    let Some(identifier) = object.get("inbox_identifier").and_then(Value::as_str).map(str::to_owned) else {
        let value = super::body::parse(object.get("profile").filter(|inner| inner.is_object()).unwrap_or(&object))?;
        return update(handles, caller?, Body { value, files: body.files, object }).await;
    };
    let inbox = handles.catalog.now().inbox_by_identifier(&identifier).cloned().filter(|inbox| inbox.settings.kind() == "api");
    let inbox = inbox.ok_or_else(ApiError::not_found)?;
    let contact = super::body::parse(&object)?;
    client::find_or_create(&handles, &inbox, contact, claim).await
}

/// Read twice: what it is depends on a field of it.
#[derive(Deserialize)]
pub struct ProfileOrContact {}

impl Request for ProfileOrContact {}

/// What the caller shows in an account.
#[derive(Deserialize, ToSchema)]
pub struct AvailabilityUpdate {
    #[serde(deserialize_with = "fields::id")]
    account_id: i64,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    availability: Option<Availability>,
    #[serde(default, deserialize_with = "fields::flag")]
    auto_offline: Option<bool>,
}

impl Request for AvailabilityUpdate {
    const ENVELOPE: Option<&'static str> = Some("profile");
}

/// Sets availability, or whether the caller counts as offline without a connection.
#[utoipa::path(post, path = "", tag = "Profile", request_body = AvailabilityUpdate, responses((status = 200, description = "the user")))]
pub async fn availability(handles: web::Data<Handles>, caller: Caller, body: Body<AvailabilityUpdate>) -> ApiResult<HttpResponse> {
    let place = caller.user.place(body.value.account_id).ok_or_else(ApiError::not_found)?;
    let mut row = place.clone().into_active_model();
    if let Some(availability) = body.value.availability {
        row.availability = ActiveValue::Set(availability);
    }
    if let Some(auto_offline) = body.value.auto_offline {
        row.auto_offline = ActiveValue::Set(auto_offline);
    }
    row.updated_at = ActiveValue::Set(entity::now());
    row.update(&handles.db.write).await?;
    let answer = answer(&handles, caller.user.row.id).await?;
    handles.hub.publish_presence(body.value.account_id);
    handles.wakes.assignment.notify_one();
    Ok(answer)
}

/// Which account the caller works in.
#[derive(Deserialize, ToSchema)]
pub struct ActiveAccount {
    #[serde(deserialize_with = "fields::id")]
    account_id: i64,
}

impl Request for ActiveAccount {
    const ENVELOPE: Option<&'static str> = Some("profile");
}

/// Notes which account the caller works in.
#[utoipa::path(put, path = "", tag = "Profile", request_body = ActiveAccount, responses((status = 200, description = "noted")))]
pub async fn set_active_account(handles: web::Data<Handles>, caller: Caller, body: Body<ActiveAccount>) -> ApiResult<HttpResponse> {
    let place = caller.user.place(body.value.account_id).ok_or_else(ApiError::not_found)?;
    account_user::Entity::update_many()
        .col_expr(account_user::Column::ActiveAt, Expr::value(entity::now()))
        .filter(account_user::Column::Id.eq(place.id))
        .exec(&handles.db.write)
        .await?;
    handles.catalog.reload().await?;
    Ok(HttpResponse::Ok().finish())
}

/// Replaces the access token; the old one is void at once.
#[utoipa::path(post, path = "", tag = "Profile", responses((status = 200, description = "the user with the new token")))]
pub async fn reset_access_token(handles: web::Data<Handles>, caller: Caller) -> ApiResult<HttpResponse> {
    let transaction = handles.db.write.begin().await?;
    tokens::replace(&transaction, &handles.vault, OwnerType::User, caller.user.row.id).await?;
    let token = |which: &str| json!({ "access_token": which });
    audit::user_updated(&transaction, &caller.user, caller.remote_address, &token("old"), &token("new")).await?;
    transaction.commit().await?;
    answer(&handles, caller.user.row.id).await
}

async fn answer(handles: &Handles, user_id: i64) -> ApiResult<HttpResponse> {
    handles.catalog.reload().await?;
    let user = handles.catalog.now().user(user_id).cloned().ok_or_else(ApiError::not_found)?;
    Ok(HttpResponse::Ok().json(render::profile(handles, &user)))
}

/// A user's row that is not stored yet.
pub fn new_user(email: String, name: String, password_hash: Option<String>, is_confirmed: bool) -> user::ActiveModel {
    let now = entity::now();
    user::ActiveModel {
        id: ActiveValue::NotSet,
        email: ActiveValue::Set(email),
        name: ActiveValue::Set(name),
        display_name: ActiveValue::Set(None),
        password_hash: ActiveValue::Set(password_hash),
        message_signature: ActiveValue::Set(None),
        phone_number: ActiveValue::Set(None),
        avatar_blob_id: ActiveValue::Set(None),
        ui_settings: ActiveValue::Set(json!({})),
        custom_attributes: ActiveValue::Set(json!({})),
        pubsub_token: ActiveValue::Set(random_token()),
        confirmed_at: ActiveValue::Set(is_confirmed.then_some(now)),
        created_at: ActiveValue::Set(now),
        updated_at: ActiveValue::Set(now),
    }
}
