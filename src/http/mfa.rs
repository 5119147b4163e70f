//! The second factor of a user: time-based codes of an authenticator (RFC 6238), and backup codes for when it is lost (contract,
//! section 1, `/profile/mfa`). A code is taken once; so is a backup code.
use super::auth::Caller;
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::throttle::{Limit, Throttle};
use super::{audit, fields, sessions};
use crate::{one_time_tokens, password};
use actix_web::{HttpResponse, web};
use actors::catalog::User;
use actors::secret::{hash, random_token};
use actors::system::Handles;
use entity::one_time_token::Purpose;
use entity::second_factor::{self, Column, Entity, Model};
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel, QueryFilter,
    QuerySelect, TransactionTrait,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use totp_rs::{Builder, Secret, Totp};
use utoipa::ToSchema;

/// The context under which keys are sealed.
const CONTEXT: &str = "second_factors.secret";
/// How long a right password counts without its code.
const STEP_LIFETIME: chrono::Duration = chrono::Duration::minutes(5);
/// How many backup codes there are, and how long one is (of 58 letters each: 70 bits).
const BACKUP_CODES: usize = 10;
const BACKUP_CODE_LENGTH: usize = 12;

/// Whether there is a second factor.
#[utoipa::path(get, path = "", tag = "Profile", responses((status = 200, description = "feature_available, enabled, backup_codes_generated")))]
pub async fn show(handles: web::Data<Handles>, caller: Caller) -> ApiResult<HttpResponse> {
    let factor = enabled(&handles.db.read, caller.user.row.id).await?;
    Ok(HttpResponse::Ok().json(json!({
        "feature_available": true,
        "enabled": factor.is_some(),
        "backup_codes_generated": factor.is_some_and(|factor| factor.backup_hashes.as_array().is_some_and(|left| !left.is_empty())),
    })))
}

/// Begins to set one up: what an authenticator needs to know. It counts from the first code that is shown.
#[utoipa::path(post, path = "", tag = "Profile", responses((status = 200, description = "provisioning_url, secret"), (status = 422, description = "there is one already")))]
pub async fn begin(handles: web::Data<Handles>, caller: Caller) -> ApiResult<HttpResponse> {
    let user = &caller.user;
    let secret = Secret::from(rand::random::<[u8; 20]>().to_vec()).to_base32();
    let provisioning_url = totp(&secret, &user.row.email)?.to_url().map_err(ApiError::failed)?;
    let transaction = handles.db.write.begin().await?;
    if locked(&transaction, user.row.id).await?.is_some_and(|factor| factor.enabled_at.is_some()) {
        return Err(ApiError::unprocessable("The second factor is on already; turn it off first"));
    }
    Entity::delete_many().filter(Column::UserId.eq(user.row.id)).exec(&transaction).await?;
    let row = second_factor::ActiveModel {
        id: ActiveValue::NotSet,
        user_id: ActiveValue::Set(user.row.id),
        secret_sealed: ActiveValue::Set(handles.vault.seal(CONTEXT, &secret)),
        enabled_at: ActiveValue::Set(None),
        last_step: ActiveValue::Set(0),
        backup_hashes: ActiveValue::Set(json!([])),
        created_at: ActiveValue::Set(entity::now()),
    };
    Entity::insert(row).exec_without_returning(&transaction).await?;
    transaction.commit().await?;
    Ok(HttpResponse::Ok().json(json!({ "provisioning_url": provisioning_url, "secret": secret })))
}

/// A code, and for what takes it away the password.
#[derive(Deserialize, ToSchema)]
pub struct Proof {
    /// What the authenticator shows now.
    #[serde(default, deserialize_with = "fields::text")]
    otp_code: Option<String>,
    /// Or one of the backup codes.
    #[serde(default, deserialize_with = "fields::text")]
    backup_code: Option<String>,
    password: Option<String>,
}

impl Request for Proof {}

/// Turns the second factor on with a first code, and gives the backup codes. Other sessions end.
#[utoipa::path(post, path = "", tag = "Profile", request_body = Proof, responses((status = 200, description = "enabled, backup_codes"), (status = 422, description = "the code is wrong")))]
pub async fn verify(handles: web::Data<Handles>, caller: Caller, throttle: Throttle, body: Body<Proof>) -> ApiResult<HttpResponse> {
    throttle.admit(Limit::Codes, caller.user.row.id)?;
    let transaction = handles.db.write.begin().await?;
    let factor = locked(&transaction, caller.user.row.id).await?.filter(|factor| factor.enabled_at.is_none());
    let factor =
        factor.ok_or_else(|| ApiError::unprocessable("There is no second factor to turn on; begin with POST /api/v1/profile/mfa"))?;
    let step = step(&handles, &factor, body.value.otp_code.as_deref()).ok_or_else(wrong_code)?;
    let (codes, hashes) = backup_codes();
    let mut row = factor.into_active_model();
    row.enabled_at = ActiveValue::Set(Some(entity::now()));
    row.last_step = ActiveValue::Set(step);
    row.backup_hashes = ActiveValue::Set(hashes);
    row.update(&transaction).await?;
    sessions::end_others(&transaction, caller.user.row.id, caller.session.as_ref().map(|own| own.id)).await?;
    note(&transaction, &caller, true).await?;
    transaction.commit().await?;
    Ok(HttpResponse::Ok().json(json!({ "enabled": true, "backup_codes": codes })))
}

/// Gives new backup codes; the old ones are void.
#[utoipa::path(post, path = "", tag = "Profile", request_body = Proof, responses((status = 200, description = "backup_codes"), (status = 422, description = "the code is wrong, or there is no second factor")))]
pub async fn renew_backup_codes(
    handles: web::Data<Handles>,
    caller: Caller,
    throttle: Throttle,
    body: Body<Proof>,
) -> ApiResult<HttpResponse> {
    throttle.admit(Limit::Codes, caller.user.row.id)?;
    let transaction = handles.db.write.begin().await?;
    let factor = turned_on(&transaction, caller.user.row.id).await?;
    let step = step(&handles, &factor, body.value.otp_code.as_deref()).ok_or_else(wrong_code)?;
    let (codes, hashes) = backup_codes();
    let mut row = factor.into_active_model();
    row.last_step = ActiveValue::Set(step);
    row.backup_hashes = ActiveValue::Set(hashes);
    row.update(&transaction).await?;
    transaction.commit().await?;
    Ok(HttpResponse::Ok().json(json!({ "backup_codes": codes })))
}

/// Turns the second factor off.
#[utoipa::path(delete, path = "", tag = "Profile", request_body = Proof, responses((status = 200, description = "enabled"), (status = 422, description = "password or code are wrong, or there is no second factor")))]
pub async fn remove(handles: web::Data<Handles>, caller: Caller, throttle: Throttle, body: Body<Proof>) -> ApiResult<HttpResponse> {
    throttle.admit(Limit::Codes, caller.user.row.id)?;
    let Proof { otp_code, backup_code, password } = body.value;
    if enabled(&handles.db.read, caller.user.row.id).await?.is_none() {
        return Err(not_on());
    }
    if !password::verify(password.unwrap_or_default(), caller.user.row.password_hash.clone()).await {
        return Err(ApiError::invalid("password", "Invalid password"));
    }
    let transaction = handles.db.write.begin().await?;
    if !take(&handles, &transaction, caller.user.row.id, &Given { otp_code, backup_code }).await? {
        return Err(wrong_code());
    }
    Entity::delete_many().filter(Column::UserId.eq(caller.user.row.id)).exec(&transaction).await?;
    note(&transaction, &caller, false).await?;
    transaction.commit().await?;
    Ok(HttpResponse::Ok().json(json!({ "enabled": false })))
}

/// What somebody shows at the second step of a sign-in.
pub struct Given {
    /// What the authenticator shows.
    pub otp_code: Option<String>,
    /// Or one of the backup codes.
    pub backup_code: Option<String>,
}

/// The answer to a right password where a code is wanted as well: 206 with a token for the second step.
///
/// # Errors
/// If the database fails.
pub async fn asked(handles: &Handles, user: &User) -> ApiResult<Option<HttpResponse>> {
    if enabled(&handles.db.read, user.row.id).await?.is_none() {
        return Ok(None);
    }
    let token = one_time_tokens::give(&handles.db.write, user.row.id, Purpose::SecondFactor, STEP_LIFETIME).await?;
    Ok(Some(HttpResponse::PartialContent().json(json!({ "mfa_required": true, "mfa_token": token }))))
}

/// Whose second step this is, if token and code are right; some wrong codes make the token void.
///
/// # Errors
/// If the database fails.
pub async fn complete(handles: &Handles, token: &str, given: Given) -> ApiResult<Option<Arc<User>>> {
    let transaction = handles.db.write.begin().await?;
    let Some(user_id) = one_time_tokens::owner(&transaction, Purpose::SecondFactor, token).await? else { return Ok(None) };
    let is_right = take(handles, &transaction, user_id, &given).await?
        && one_time_tokens::take(&transaction, user_id, Purpose::SecondFactor, token).await?;
    if !is_right {
        transaction.rollback().await?;
        one_time_tokens::note_failure(&handles.db.write, Purpose::SecondFactor, token).await?;
        return Ok(None);
    }
    transaction.commit().await?;
    Ok(handles.catalog.now().user(user_id).cloned())
}

/// Takes a code of the user's, if it is one.
async fn take(handles: &Handles, db: &DatabaseTransaction, user_id: i64, given: &Given) -> ApiResult<bool> {
    let Some(factor) = locked(db, user_id).await?.filter(|factor| factor.enabled_at.is_some()) else { return Ok(false) };
    if let Some(step) = step(handles, &factor, given.otp_code.as_deref()) {
        let mut row = factor.into_active_model();
        row.last_step = ActiveValue::Set(step);
        row.update(db).await?;
        return Ok(true);
    }
    let Some(code) = given.backup_code.as_deref() else { return Ok(false) };
    let Some(left) = without(&factor.backup_hashes, &hash(code.trim())) else { return Ok(false) };
    let mut row = factor.into_active_model();
    row.backup_hashes = ActiveValue::Set(left);
    row.update(db).await?;
    Ok(true)
}

/// The time step of a code, if it is right and later than the last one.
fn step(handles: &Handles, factor: &Model, code: Option<&str>) -> Option<i64> {
    let code: String = code?.split_whitespace().collect();
    let secret = handles.vault.open(CONTEXT, &factor.secret_sealed).ok()?;
    let now = u64::try_from(entity::now().timestamp()).ok()?;
    let step = totp(secret.expose(), "").ok()?.check(&code, now)?;
    i64::try_from(step).ok().filter(|step| *step > factor.last_step)
}

/// Six digits, thirty seconds, one step to either side, SHA-1: what every authenticator can do.
fn totp(secret: &str, email: &str) -> ApiResult<Totp> {
    let secret = Secret::try_from_base32(secret).map_err(|error| ApiError::failed(format!("the key of a second factor: {error}")))?;
    // A colon stands between issuer and name.
    let builder = Builder::new().with_issuer(Some("Konversio".to_owned())).with_account_name(email.replace(':', "_")).with_secret(secret);
    builder.build().map_err(ApiError::failed)
}

/// The hashes without one of them; none if it is not there.
fn without(hashes: &Value, used: &str) -> Option<Value> {
    let hashes = hashes.as_array()?;
    let left: Vec<&Value> = hashes.iter().filter(|hash| hash.as_str() != Some(used)).collect();
    (left.len() < hashes.len()).then(|| json!(left))
}

/// New backup codes and their hashes.
fn backup_codes() -> (Vec<String>, Value) {
    let codes: Vec<String> = (0..BACKUP_CODES).map(|_| random_token().chars().take(BACKUP_CODE_LENGTH).collect()).collect();
    let hashes: Vec<String> = codes.iter().map(|code| hash(code)).collect();
    (codes, json!(hashes))
}

async fn enabled(db: &impl ConnectionTrait, user_id: i64) -> Result<Option<Model>, DbErr> {
    Entity::find().filter(Column::UserId.eq(user_id)).filter(Column::EnabledAt.is_not_null()).one(db).await
}

/// The user's row, which nobody else changes meanwhile.
async fn locked(db: &DatabaseTransaction, user_id: i64) -> Result<Option<Model>, DbErr> {
    Entity::find().filter(Column::UserId.eq(user_id)).lock_exclusive().one(db).await
}

async fn turned_on(db: &DatabaseTransaction, user_id: i64) -> ApiResult<Model> {
    locked(db, user_id).await?.filter(|factor| factor.enabled_at.is_some()).ok_or_else(not_on)
}

async fn note(db: &impl ConnectionTrait, caller: &Caller, is_on: bool) -> Result<(), DbErr> {
    let shown = |is_on: bool| json!({ "second_factor": is_on });
    audit::user_updated(db, &caller.user, caller.remote_address.clone(), &shown(!is_on), &shown(is_on)).await
}

fn wrong_code() -> ApiError {
    ApiError::invalid("otp_code", "The code is wrong or has been used")
}

fn not_on() -> ApiError {
    ApiError::unprocessable("The second factor is not on")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 6238, appendix B: the key is "12345678901234567890"; the last six of the eight digits there.
        let totp = totp("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "ada@example.com").unwrap();
        for (time, code, step) in [(59, "287082", Some(1)), (1_111_111_109, "081804", Some(37_037_036)), (59, "081804", None)] {
            assert_eq!(totp.check(code, time), step, "{code} at {time}");
        }
        assert_eq!(totp.check("287082", 59 + 30), Some(1), "the step before counts");
        assert_eq!(totp.check("287082", 59 + 90), None);
        let url = totp.to_url().unwrap();
        assert!(url.starts_with("otpauth://totp/Konversio:ada%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"), "{url}");
    }

    #[test]
    fn a_backup_code_is_there_once() {
        let (codes, hashes) = backup_codes();
        assert_eq!((codes.len(), codes[0].len()), (BACKUP_CODES, BACKUP_CODE_LENGTH));
        assert!(!hashes.to_string().contains(&codes[0]));
        let left = without(&hashes, &hash(&codes[3])).unwrap();
        assert_eq!(left.as_array().unwrap().len(), BACKUP_CODES - 1);
        assert_eq!(without(&left, &hash(&codes[3])), None);
    }
}
