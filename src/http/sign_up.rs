//! Signing up: a new account and its first administrator, where the settings allow it (contract, section 1). With a mail relay
//! nobody is let in before the address is confirmed, and nobody learns whether an address is known.
use super::auth::{Caller, access_token};
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::sessions::{Visit, begin};
use super::throttle::{Limit, Throttle};
use super::{accounts, fields, passwords, render};
use crate::letters::{self, Letter};
use crate::members::{NewMember, NewPlace, create_account, create_user, give_place};
use crate::password;
use crate::settings::SignUp;
use actix_web::{HttpRequest, HttpResponse, web};
use actors::catalog::User;
use actors::system::Handles;
use actors::wire::{iso, iso_or_null};
use entity::account_user::{Availability, Role};
use sea_orm::{ActiveModelTrait, ActiveValue, DatabaseTransaction, IntoActiveModel, TransactionTrait};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// Who signs up. Whoever is signed in already needs to name the account only.
#[derive(Deserialize, ToSchema)]
pub struct NewAccount {
    #[serde(default, deserialize_with = "fields::text")]
    account_name: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    user_full_name: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    email: Option<String>,
    password: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    locale: Option<String>,
}

impl Request for NewAccount {}

/// Creates an account and its first administrator.
#[utoipa::path(post, path = "", tag = "Sessions", request_body = NewAccount, responses((status = 200, description = "data with session headers; or email, where a letter asks to confirm it"), (status = 404, description = "nobody may sign up here"), (status = 422, description = "a field is wrong"), (status = 429, description = "too often")))]
pub async fn create(
    request: HttpRequest,
    handles: web::Data<Handles>,
    throttle: Throttle,
    caller: Result<Caller, ApiError>,
    body: Body<NewAccount>,
) -> ApiResult<HttpResponse> {
    if !request.app_data::<SignUp>().is_some_and(|settings| settings.enabled) {
        return Err(ApiError::not_found());
    }
    let caller = match caller {
        Ok(caller) => Some(caller.user),
        // Wrong credentials are no absent ones.
        Err(refusal) if access_token(&request).is_some() || request.headers().contains_key("access-token") => return Err(refusal),
        Err(_) => None,
    };
    throttle.admit_address(Limit::SignUp)?;
    let fields = body.value;
    let account_name = accounts::checked_name("account_name", fields.account_name.as_deref().unwrap_or_default())?;
    let locale = fields.locale.filter(|locale| !locale.is_empty()).map(|locale| accounts::checked_locale(&locale)).transpose()?;
    let (user_id, account_id, email) = match caller {
        Some(user) => {
            let transaction = handles.db.write.begin().await?;
            let account_id = administered(&transaction, user.row.id, &account_name, locale).await?;
            transaction.commit().await?;
            (user.row.id, account_id, None)
        }
        None => {
            let name = accounts::checked_name("user_full_name", fields.user_full_name.as_deref().unwrap_or_default())?;
            let email = fields::email_address(fields.email.as_deref().unwrap_or_default());
            let email = email.ok_or_else(|| ApiError::invalid("email", "Email is invalid"))?;
            let chosen = fields.password.unwrap_or_default();
            if let Some(words) = password::refusal(&chosen) {
                return Err(ApiError::invalid("password", words));
            }
            let hash = web::block(move || password::hash(&chosen)).await.map_err(ApiError::failed)?.map_err(ApiError::failed)?;
            let asks = handles.mailer.has_relay();
            let answer = HttpResponse::Ok().json(json!({ "email": email }));
            if let Some(known) = handles.catalog.now().user_by_email(&email).cloned() {
                if !asks {
                    return Err(ApiError::invalid("email", "Email has already been taken"));
                }
                throttle.admit(Limit::LetterTo, &email)?;
                passwords::send(&handles, &known, Letter::AlreadyThere).await?;
                return Ok(answer);
            }
            let transaction = handles.db.write.begin().await?;
            let member = NewMember { email, name, password_hash: Some(hash), access_token: None, is_confirmed: !asks };
            let (user, _) = create_user(&transaction, &handles.vault, member).await?;
            let account_id = administered(&transaction, user.id, &account_name, locale).await?;
            if asks {
                letters::write(&transaction, &handles, &user, account_id, Letter::Confirmation).await?;
            }
            transaction.commit().await?;
            (user.id, account_id, asks.then_some(answer))
        }
    };
    handles.catalog.reload().await?;
    if let Some(answer) = email {
        handles.mailer.ring();
        return Ok(answer);
    }
    let user = handles.catalog.now().user(user_id).cloned().ok_or_else(ApiError::not_found)?;
    let transaction = handles.db.write.begin().await?;
    let begun = begin(&transaction, &user, Visit::of(&request)).await?;
    transaction.commit().await?;
    Ok(begun.answer(json!({ "data": shown(&handles, &user, account_id) })))
}

/// A new account of which the user is the administrator; its id.
async fn administered(db: &DatabaseTransaction, user_id: i64, name: &str, locale: Option<String>) -> ApiResult<i64> {
    let account = create_account(db, name).await?;
    let id = account.id;
    if let Some(locale) = locale {
        let mut row = account.into_active_model();
        row.locale = ActiveValue::Set(locale);
        row.update(db).await?;
    }
    let place =
        NewPlace { account_id: id, role: Role::Administrator, inviter_id: None, availability: Availability::Online, auto_offline: true };
    give_place(db, user_id, place).await?;
    Ok(id)
}

/// The user as somebody who has just signed up (contract, section 1).
fn shown(handles: &Handles, user: &User, account_id: i64) -> Value {
    let profile = render::profile(handles, user);
    let catalog = handles.catalog.now();
    let places = user.places.iter().filter_map(|place| {
        let account = catalog.account(place.account_id)?;
        Some(json!({
            "id": account.id,
            "name": account.name,
            "active_at": iso_or_null(place.active_at),
            "role": place.role.name(),
            "locale": account.locale,
        }))
    });
    let place = user.place(account_id);
    json!({
        "id": user.row.id,
        "provider": "email",
        "uid": user.row.email,
        "name": user.row.name,
        "display_name": user.row.display_name,
        "email": user.row.email,
        "account_id": account_id,
        "created_at": iso(user.row.created_at),
        "pubsub_token": user.row.pubsub_token,
        "role": place.map(|place| place.role.name()),
        "inviter_id": place.and_then(|place| place.inviter_id),
        "confirmed": user.row.confirmed_at.is_some(),
        "avatar_url": user.avatar_url,
        "access_token": profile.get("access_token"),
        "accounts": places.collect::<Vec<_>>(),
    })
}
