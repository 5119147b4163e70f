//! Letters that let somebody in: a forgotten password is replaced, an address is confirmed (contract, section 1). Who asks never
//! learns whether an address is known.
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::sessions::{Visit, begin, end_others};
use super::throttle::{Limit, Throttle};
use super::{fields, mfa, render};
use crate::letters::{self, Letter};
use crate::{one_time_tokens, password};
use actix_web::{HttpRequest, HttpResponse, web};
use actors::catalog::User;
use actors::secret::random_token;
use actors::system::Handles;
use entity::one_time_token::Purpose;
use entity::user;
use sea_orm::sea_query::{Expr, Func, SimpleExpr};
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, TransactionTrait};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

/// Whose letter.
#[derive(Deserialize, ToSchema)]
pub struct Addressed {
    #[serde(default, deserialize_with = "fields::text")]
    email: Option<String>,
}

impl Request for Addressed {}

/// Sends a link to choose a new password, if somebody has this address.
#[utoipa::path(post, path = "", tag = "Sessions", request_body = Addressed, responses((status = 200, description = "message: the same for every address"), (status = 422, description = "no address, or no mail relay"), (status = 429, description = "too often")))]
pub async fn request(handles: web::Data<Handles>, throttle: Throttle, body: Body<Addressed>) -> ApiResult<HttpResponse> {
    let email = addressee(&throttle, body.value)?;
    if !handles.mailer.has_relay() {
        return Err(ApiError::unprocessable("No mail can be sent: the settings name no mail relay ([mail] host)"));
    }
    if let Some(user) = handles.catalog.now().user_by_email(&email).cloned() {
        send(&handles, &user, Letter::Password).await?;
    }
    let words = "If this address belongs to a user, a mail with a link to choose a new password is on its way.";
    Ok(HttpResponse::Ok().json(json!({ "message": words })))
}

/// A new password, and what allows to set it.
#[derive(Deserialize, ToSchema)]
pub struct NewPassword {
    #[serde(default, deserialize_with = "fields::text")]
    reset_password_token: Option<String>,
    password: Option<String>,
    password_confirmation: Option<String>,
}

impl Request for NewPassword {}

/// Sets a new password and signs in: all other sessions end, and the address is confirmed, since the link was sent to it.
#[utoipa::path(put, path = "", tag = "Sessions", request_body = NewPassword, responses((status = 200, description = "data: the user; session headers"), (status = 206, description = "set; mfa_required, mfa_token"), (status = 422, description = "a field is wrong")))]
pub async fn reset(
    request: HttpRequest,
    handles: web::Data<Handles>,
    throttle: Throttle,
    body: Body<NewPassword>,
) -> ApiResult<HttpResponse> {
    throttle.admit_address(Limit::SignInFrom)?;
    let NewPassword { reset_password_token, password, password_confirmation } = body.value;
    let token = reset_password_token.unwrap_or_default();
    let invalid = || ApiError::invalid("reset_password_token", "Invalid token: it has been used, is too old, or was never given");
    let user_id = one_time_tokens::owner(&handles.db.read, Purpose::Password, &token).await?.ok_or_else(invalid)?;
    let chosen = password.unwrap_or_default();
    if let Some(words) = password::refusal(&chosen) {
        return Err(ApiError::invalid("password", words));
    }
    if password_confirmation.is_some_and(|confirmation| confirmation != chosen) {
        return Err(ApiError::invalid("password_confirmation", "Password confirmation doesn't match Password"));
    }
    let hash = web::block(move || password::hash(&chosen)).await.map_err(ApiError::failed)?.map_err(ApiError::failed)?;
    let transaction = handles.db.write.begin().await?;
    if !one_time_tokens::take(&transaction, user_id, Purpose::Password, &token).await? {
        return Err(invalid());
    }
    confirm(&transaction, user_id, Some(hash)).await?;
    end_others(&transaction, user_id, None).await?;
    let voided = [Purpose::Password, Purpose::Confirmation, Purpose::SignIn, Purpose::SecondFactor];
    one_time_tokens::void(&transaction, user_id, voided).await?;
    transaction.commit().await?;
    let_in(&request, &handles, user_id).await
}

/// What confirms an address.
#[derive(Deserialize, ToSchema)]
pub struct Confirmation {
    #[serde(default, deserialize_with = "fields::text")]
    confirmation_token: Option<String>,
}

impl Request for Confirmation {}

/// Confirms the address that the token was sent to, and signs in.
#[utoipa::path(post, path = "", tag = "Sessions", request_body = Confirmation, responses((status = 200, description = "data: the user; session headers"), (status = 422, description = "the token is not valid")))]
pub async fn confirmation(
    request: HttpRequest,
    handles: web::Data<Handles>,
    throttle: Throttle,
    body: Body<Confirmation>,
) -> ApiResult<HttpResponse> {
    throttle.admit_address(Limit::SignInFrom)?;
    let token = body.value.confirmation_token.unwrap_or_default();
    let invalid = || ApiError::invalid("confirmation_token", "Invalid token: it has been used, is too old, or was never given");
    let transaction = handles.db.write.begin().await?;
    let user_id = one_time_tokens::owner(&transaction, Purpose::Confirmation, &token).await?.ok_or_else(invalid)?;
    if !one_time_tokens::take(&transaction, user_id, Purpose::Confirmation, &token).await? {
        return Err(invalid());
    }
    confirm(&transaction, user_id, None).await?;
    one_time_tokens::void(&transaction, user_id, [Purpose::Confirmation]).await?;
    transaction.commit().await?;
    let_in(&request, &handles, user_id).await
}

/// Sends the letter once more that confirms an address, where one is to be confirmed.
#[utoipa::path(post, path = "", tag = "Sessions", request_body = Addressed, responses((status = 200, description = "the same for every address"), (status = 422, description = "no address"), (status = 429, description = "too often")))]
pub async fn resend_confirmation(handles: web::Data<Handles>, throttle: Throttle, body: Body<Addressed>) -> ApiResult<HttpResponse> {
    let email = addressee(&throttle, body.value)?;
    let user = handles.catalog.now().user_by_email(&email).filter(|user| user.row.confirmed_at.is_none()).cloned();
    if let Some(user) = user.filter(|_| handles.mailer.has_relay()) {
        // Who was invited has no password yet: choosing one confirms the address as well.
        let letter = if user.row.password_hash.is_some() { Letter::Confirmation } else { Letter::Password };
        send(&handles, &user, letter).await?;
    }
    Ok(HttpResponse::Ok().finish())
}

/// The address of who is written to, counted.
fn addressee(throttle: &Throttle, body: Addressed) -> ApiResult<String> {
    let email = fields::email_address(&body.email.unwrap_or_default()).ok_or_else(|| ApiError::invalid("email", "Email is invalid"))?;
    throttle.admit_address(Limit::LetterFrom)?;
    throttle.admit(Limit::LetterTo, &email)?;
    Ok(email)
}

/// Writes to a user.
///
/// # Errors
/// If the database fails.
pub async fn send(handles: &Handles, user: &User, letter: Letter<'_>) -> ApiResult<()> {
    let account_id = user.places.first().map_or(0, |place| place.account_id);
    let transaction = handles.db.write.begin().await?;
    letters::write(&transaction, handles, &user.row, account_id, letter).await?;
    transaction.commit().await?;
    handles.mailer.ring();
    Ok(())
}

/// The address is the user's; and so may be a new password, with which sockets are asked for their token anew.
async fn confirm(db: &DatabaseTransaction, user_id: i64, password_hash: Option<String>) -> ApiResult<()> {
    let now = Expr::value(entity::now());
    let confirmed: SimpleExpr = Func::coalesce([Expr::col(user::Column::ConfirmedAt), now.clone()]).into();
    let mut update = user::Entity::update_many().col_expr(user::Column::ConfirmedAt, confirmed).col_expr(user::Column::UpdatedAt, now);
    if let Some(hash) = password_hash {
        update =
            update.col_expr(user::Column::PasswordHash, Expr::value(hash)).col_expr(user::Column::PubsubToken, Expr::value(random_token()));
    }
    update.filter(user::Column::Id.eq(user_id)).exec(db).await?;
    Ok(())
}

/// A session for whoever holds what was sent to the user; where there is a second factor, it is asked for.
async fn let_in(request: &HttpRequest, handles: &Handles, user_id: i64) -> ApiResult<HttpResponse> {
    handles.catalog.reload().await?;
    let user = handles.catalog.now().user(user_id).cloned().ok_or_else(ApiError::not_found)?;
    if let Some(answer) = mfa::asked(handles, &user).await? {
        return Ok(answer);
    }
    let transaction = handles.db.write.begin().await?;
    let begun = begin(&transaction, &user, Visit::of(request)).await?;
    transaction.commit().await?;
    Ok(begun.answer(json!({ "data": render::profile(handles, &user) })))
}
