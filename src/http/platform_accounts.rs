//! Accounts and their members as platform apps manage them (contract, section 9).
use super::auth::PlatformApp;
use super::body::{Body, Request};
use super::contacts::check_attributes;
use super::error::{ApiError, ApiResult};
use super::{audit, fields};
use crate::members::{NewPlace, create_account, give_place};
use crate::removal;
use actix_web::{HttpResponse, web};
use actors::system::Handles;
use actors::wire::{iso, iso_or_null};
use entity::account::Status;
use entity::account_user::{Availability, Role};
use entity::platform_grant::GrantKind;
use entity::{account, account_user, platform_grant};
use sea_orm::{ActiveModelTrait, ActiveValue, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, TransactionTrait};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use utoipa::ToSchema;

/// An account as it is created or changed.
#[derive(Deserialize, ToSchema)]
pub struct PlatformAccountFields {
    #[serde(default, deserialize_with = "fields::text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    locale: Option<String>,
    #[serde(default, deserialize_with = "fields::nullable_text")]
    #[schema(value_type = Option<String>)]
    domain: Option<Option<String>>,
    #[serde(default, deserialize_with = "fields::nullable_text")]
    #[schema(value_type = Option<String>)]
    support_email: Option<Option<String>>,
    /// `active` or `suspended`.
    #[serde(default, deserialize_with = "fields::text")]
    status: Option<String>,
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Option<Object>)]
    features: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Option<Object>)]
    limits: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Option<Object>)]
    custom_attributes: Option<Map<String, Value>>,
}

impl Request for PlatformAccountFields {
    const ENVELOPE: Option<&'static str> = Some("account");
}

/// The accounts that the app manages.
#[utoipa::path(get, path = "", tag = "Platform", responses((status = 200, description = "an array of accounts")))]
pub async fn list(handles: web::Data<Handles>, app: PlatformApp) -> HttpResponse {
    let catalog = handles.catalog.now();
    let mut accounts: Vec<_> = catalog.accounts().filter(|account| app.manages(GrantKind::Account, account.id)).collect();
    accounts.sort_unstable_by_key(|account| account.id);
    HttpResponse::Ok().json(accounts.into_iter().map(|account| shown(account)).collect::<Vec<_>>())
}

/// One account.
#[utoipa::path(get, path = "", tag = "Platform", responses((status = 200, description = "the account"), (status = 401, description = "not the app's")))]
pub async fn show(handles: web::Data<Handles>, app: PlatformApp, path: web::Path<i64>) -> ApiResult<HttpResponse> {
    Ok(HttpResponse::Ok().json(shown(&*managed(&handles, &app, *path)?)))
}

/// Creates an account, which the app then manages.
#[utoipa::path(post, path = "", tag = "Platform", request_body = PlatformAccountFields, responses((status = 200, description = "the account"), (status = 422, description = "a field is wrong")))]
pub async fn create(handles: web::Data<Handles>, app: PlatformApp, body: Body<PlatformAccountFields>) -> ApiResult<HttpResponse> {
    let fields = body.value;
    let name = fields.name.clone().ok_or_else(|| ApiError::invalid("name", "Name can't be blank"))?;
    let transaction = handles.db.write.begin().await?;
    let account = create_account(&transaction, &name).await?;
    let mut row = account.clone().into_active_model();
    apply(&mut row, &account, fields)?;
    let stored = row.update(&transaction).await?;
    grant(&transaction, app.0.row.id, GrantKind::Account, account.id).await?;
    audit::created(&transaction, &app.author(account.id), ("Account", account.id), &stored).await?;
    transaction.commit().await?;
    answer(&handles, account.id).await
}

/// Changes an account. A suspended one answers nobody.
#[utoipa::path(patch, path = "", tag = "Platform", request_body = PlatformAccountFields, responses((status = 200, description = "the account"), (status = 401, description = "not the app's"), (status = 422, description = "a field is wrong")))]
pub async fn update(
    handles: web::Data<Handles>,
    app: PlatformApp,
    path: web::Path<i64>,
    body: Body<PlatformAccountFields>,
) -> ApiResult<HttpResponse> {
    let account = managed(&handles, &app, *path)?;
    let mut row = account.as_ref().clone().into_active_model();
    apply(&mut row, &account, body.value)?;
    row.updated_at = ActiveValue::Set(entity::now());
    let transaction = handles.db.write.begin().await?;
    let after = row.update(&transaction).await?;
    audit::updated(&transaction, &app.author(account.id), ("Account", account.id), account.as_ref(), &after).await?;
    transaction.commit().await?;
    answer(&handles, account.id).await
}

/// Deletes an account with everything in it.
#[utoipa::path(delete, path = "", tag = "Platform", responses((status = 200, description = "deleted"), (status = 401, description = "not the app's")))]
pub async fn remove(handles: web::Data<Handles>, app: PlatformApp, path: web::Path<i64>) -> ApiResult<HttpResponse> {
    let account = managed(&handles, &app, *path)?;
    removal::remove_account(&handles, account.id).await?;
    Ok(HttpResponse::Ok().finish())
}

/// The members of an account.
#[utoipa::path(get, path = "", tag = "Platform", responses((status = 200, description = "an array of rows"), (status = 401, description = "not the app's")))]
pub async fn members(handles: web::Data<Handles>, app: PlatformApp, path: web::Path<i64>) -> ApiResult<HttpResponse> {
    let account = managed(&handles, &app, *path)?;
    let catalog = handles.catalog.now();
    let members = catalog.users_of(account.id).into_iter().filter_map(|user| user.place(account.id));
    Ok(HttpResponse::Ok().json(members.map(raw_place).collect::<Vec<_>>()))
}

/// Whose membership, and as what.
#[derive(Deserialize, ToSchema)]
pub struct MemberFields {
    #[serde(default, deserialize_with = "fields::optional_id")]
    user_id: Option<i64>,
    #[schema(value_type = Option<String>)]
    role: Option<Role>,
}

impl Request for MemberFields {}

impl MemberFields {
    /// Asked for once it is known whose account it is: strangers hear of that first.
    fn user_id(&self) -> ApiResult<i64> {
        self.user_id.ok_or_else(|| ApiError::invalid("user_id", "user_id is missing"))
    }
}

/// Makes a user of the app, or of one of its accounts, a member of an account, or changes the role of one.
#[utoipa::path(post, path = "", tag = "Platform", request_body = MemberFields, responses((status = 200, description = "the row"), (status = 401, description = "account or user is not the app's")))]
pub async fn add_member(
    handles: web::Data<Handles>,
    app: PlatformApp,
    path: web::Path<i64>,
    body: Body<MemberFields>,
) -> ApiResult<HttpResponse> {
    let account = managed(&handles, &app, *path)?;
    let (user_id, role) = (body.value.user_id()?, body.value.role);
    let user = handles.catalog.now().user(user_id).cloned().ok_or_else(ApiError::not_found)?;
    // Who works in one of the app's accounts already is the app's to place, whoever made the user.
    if !user.places.iter().any(|place| app.manages(GrantKind::Account, place.account_id)) {
        app.check(GrantKind::User, user_id)?;
    }
    let (author, transaction) = (app.author(account.id), handles.db.write.begin().await?);
    match user.place(account.id) {
        Some(place) => {
            let mut row = place.clone().into_active_model();
            if let Some(role) = role {
                row.role = ActiveValue::Set(role);
            }
            row.updated_at = ActiveValue::Set(entity::now());
            let after = row.update(&transaction).await?;
            audit::updated(&transaction, &author, ("AccountUser", after.id), place, &after).await?;
        }
        None => {
            let place = NewPlace {
                account_id: account.id,
                role: role.unwrap_or(Role::Agent),
                inviter_id: None,
                availability: Availability::Online,
                auto_offline: true,
            };
            let place = give_place(&transaction, user_id, place).await?;
            audit::created(&transaction, &author, ("AccountUser", place.id), &place).await?;
        }
    }
    transaction.commit().await?;
    handles.catalog.reload().await?;
    handles.wakes.assignment.notify_one();
    let user = handles.catalog.now().user(user_id).cloned().ok_or_else(ApiError::not_found)?;
    let place = user.place(account.id).ok_or_else(ApiError::not_found)?;
    Ok(HttpResponse::Ok().json(raw_place(place)))
}

/// Ends a membership.
#[utoipa::path(delete, path = "", tag = "Platform", request_body = MemberFields, responses((status = 200, description = "ended"), (status = 401, description = "not the app's"), (status = 404, description = "no member")))]
pub async fn remove_member(
    handles: web::Data<Handles>,
    app: PlatformApp,
    path: web::Path<i64>,
    body: Body<MemberFields>,
) -> ApiResult<HttpResponse> {
    let account = managed(&handles, &app, *path)?;
    let user = handles.catalog.now().user(body.value.user_id()?).cloned().ok_or_else(ApiError::not_found)?;
    let place = user.place(account.id).ok_or_else(ApiError::not_found)?;
    removal::remove_member(&handles, place, &app.author(account.id)).await?;
    Ok(HttpResponse::Ok().finish())
}

/// Lets an app manage an object; that it may already is no error.
///
/// # Errors
/// If the database fails.
pub async fn grant(db: &impl ConnectionTrait, platform_app_id: i64, kind: GrantKind, object_id: i64) -> Result<(), DbErr> {
    use platform_grant::Column;
    let row = platform_grant::ActiveModel {
        id: ActiveValue::NotSet,
        platform_app_id: ActiveValue::Set(platform_app_id),
        kind: ActiveValue::Set(kind),
        object_id: ActiveValue::Set(object_id),
        created_at: ActiveValue::Set(entity::now()),
    };
    let known = sea_orm::sea_query::OnConflict::columns([Column::PlatformAppId, Column::Kind, Column::ObjectId]).do_nothing().to_owned();
    platform_grant::Entity::insert(row).on_conflict(known).exec_without_returning(db).await?;
    Ok(())
}

fn apply(row: &mut account::ActiveModel, account: &account::Model, fields: PlatformAccountFields) -> ApiResult<()> {
    if let Some(name) = fields.name {
        match name.trim() {
            "" => return Err(ApiError::invalid("name", "Name can't be blank")),
            name if name.chars().count() > 255 => return Err(ApiError::invalid("name", "name is longer than 255 characters")),
            name => row.name = ActiveValue::Set(name.to_owned()),
        }
    }
    if let Some(locale) = fields.locale {
        let is_code = (2..=10).contains(&locale.len()) && locale.bytes().all(|byte| byte.is_ascii_alphabetic() || b"_-".contains(&byte));
        if !is_code {
            return Err(ApiError::invalid("locale", "locale is no code of a language, such as en"));
        }
        row.locale = ActiveValue::Set(locale);
    }
    if let Some(domain) = fields.domain {
        row.domain = ActiveValue::Set(domain);
    }
    if let Some(email) = fields.support_email {
        let email = match email {
            Some(email) => {
                let email = fields::email_address(&email);
                Some(email.ok_or_else(|| ApiError::invalid("support_email", "support_email is no e-mail address"))?)
            }
            None => None,
        };
        row.support_email = ActiveValue::Set(email);
    }
    if let Some(status) = fields.status {
        row.status = ActiveValue::Set(match status.as_str() {
            "active" => Status::Active,
            "suspended" => Status::Suspended,
            _ => return Err(ApiError::invalid("status", "status is neither active nor suspended")),
        });
    }
    if let Some(given) = fields.features {
        let mut features = account.features.as_object().cloned().unwrap_or_default();
        for (name, value) in given {
            let is_on = fields::flag(value).ok().flatten();
            features.insert(
                name.clone(),
                is_on.ok_or_else(|| ApiError::invalid("features", format!("features: {name} is neither true nor false")))?.into(),
            );
        }
        row.features = ActiveValue::Set(Value::Object(features));
    }
    if let Some(limits) = fields.limits {
        if let Some((name, _)) = limits.iter().find(|(_, limit)| !limit.is_null() && limit.as_u64().is_none()) {
            return Err(ApiError::invalid("limits", format!("limits: {name} is no whole number from 0")));
        }
        row.limits = ActiveValue::Set(Value::Object(limits));
    }
    if let Some(attributes) = fields.custom_attributes {
        check_attributes("custom_attributes", Some(&attributes))?;
        row.custom_attributes = ActiveValue::Set(Value::Object(attributes));
    }
    Ok(())
}

fn shown(account: &account::Model) -> Value {
    json!({
        "id": account.id,
        "name": account.name,
        "locale": account.locale,
        "domain": account.domain,
        "support_email": account.support_email,
        "features": account.features,
        "custom_attributes": account.custom_attributes,
        "limits": account.limits,
        "status": match account.status { Status::Active => "active", Status::Suspended => "suspended" },
    })
}

fn raw_place(place: &account_user::Model) -> Value {
    json!({
        "id": place.id,
        "account_id": place.account_id,
        "user_id": place.user_id,
        "role": place.role.name(),
        "inviter_id": place.inviter_id,
        "availability": place.availability.name(),
        "auto_offline": place.auto_offline,
        "active_at": iso_or_null(place.active_at),
        "created_at": iso(place.created_at),
        "updated_at": iso(place.updated_at),
    })
}

fn managed(handles: &Handles, app: &PlatformApp, id: i64) -> ApiResult<Arc<account::Model>> {
    let account = handles.catalog.now().account(id).cloned().ok_or_else(ApiError::not_found)?;
    app.check(GrantKind::Account, id)?;
    Ok(account)
}

async fn answer(handles: &Handles, id: i64) -> ApiResult<HttpResponse> {
    handles.catalog.reload().await?;
    let account = handles.catalog.now().account(id).cloned().ok_or_else(ApiError::not_found)?;
    Ok(HttpResponse::Ok().json(shown(&account)))
}
