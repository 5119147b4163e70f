//! The account and its settings.
use super::auth::{Administrator, Agent};
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::{audit, cache_keys, fields, render};
use actix_web::{HttpResponse, web};
use actors::system::Handles;
use actors::webhooks::KEEPS_PENDING;
use actors::wire::set;
use entity::{account, account_user};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ActiveValue, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, TransactionTrait};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Changes to the account. Settings that are null or empty are removed.
#[derive(Deserialize, ToSchema)]
pub struct AccountFields {
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
    /// Minutes without an answer of the contact after which a conversation is resolved.
    #[serde(default, deserialize_with = "fields::nullable_id")]
    #[schema(value_type = Option<i64>)]
    auto_resolve_after: Option<Option<i64>>,
    #[serde(default, deserialize_with = "fields::nullable_text")]
    #[schema(value_type = Option<String>)]
    auto_resolve_message: Option<Option<String>>,
    #[serde(default, deserialize_with = "fields::flag")]
    auto_resolve_ignore_waiting: Option<bool>,
    #[serde(default, deserialize_with = "fields::nullable_text")]
    #[schema(value_type = Option<String>)]
    auto_resolve_label: Option<Option<String>>,
    #[serde(default, deserialize_with = "fields::flag")]
    audio_transcriptions: Option<bool>,
    /// A conversation stays with a bot that cannot be reached.
    #[serde(default, deserialize_with = "fields::flag")]
    keep_pending_on_bot_failure: Option<bool>,
    #[serde(default, deserialize_with = "fields::nullable_text")]
    #[schema(value_type = Option<String>)]
    industry: Option<Option<String>>,
    #[serde(default, deserialize_with = "fields::nullable_text")]
    #[schema(value_type = Option<String>)]
    company_size: Option<Option<String>>,
    #[serde(default, deserialize_with = "fields::nullable_text")]
    #[schema(value_type = Option<String>)]
    timezone: Option<Option<String>>,
}

impl Request for AccountFields {
    const ENVELOPE: Option<&'static str> = Some("account");
}

/// Auto-resolution takes from 10 minutes to 999 days.
const AUTO_RESOLVE_MINUTES: std::ops::RangeInclusive<i64> = 10..=999 * 24 * 60;
/// The longest text of a setting.
const MESSAGE_LIMIT: usize = 10_000;

/// The account.
#[utoipa::path(get, path = "", tag = "Account", responses((status = 200, description = "the account")))]
pub async fn show(handles: web::Data<Handles>, agent: Agent) -> ApiResult<HttpResponse> {
    answer(&handles, &agent.account).await
}

/// Changes the account; what is not named stays.
#[utoipa::path(patch, path = "", tag = "Account", request_body = AccountFields, responses((status = 200, description = "the account"), (status = 422, description = "a field is wrong")))]
pub async fn update(handles: web::Data<Handles>, administrator: Administrator, body: Body<AccountFields>) -> ApiResult<HttpResponse> {
    let before = administrator.0.account.as_ref();
    let mut row = before.clone().into_active_model();
    apply(&mut row, before, body.value)?;
    row.updated_at = ActiveValue::Set(entity::now());
    // Its counter belongs to whoever opens conversations.
    row.last_display_id = ActiveValue::NotSet;
    let transaction = handles.db.write.begin().await?;
    let after = row.update(&transaction).await?;
    audit::updated(&transaction, &administrator.0.author(), ("Account", before.id), before, &after).await?;
    transaction.commit().await?;
    handles.catalog.reload().await?;
    answer(&handles, &after).await
}

/// Notes that the caller works in this account now.
#[utoipa::path(post, path = "", tag = "Account", responses((status = 200, description = "noted")))]
pub async fn update_active_at(handles: web::Data<Handles>, agent: Agent) -> ApiResult<HttpResponse> {
    account_user::Entity::update_many()
        .col_expr(account_user::Column::ActiveAt, Expr::value(entity::now()))
        .filter(account_user::Column::AccountId.eq(agent.account.id))
        .filter(account_user::Column::UserId.eq(agent.user.row.id))
        .exec(&handles.db.write)
        .await?;
    handles.catalog.reload().await?;
    Ok(HttpResponse::Ok().finish())
}

fn apply(row: &mut account::ActiveModel, before: &account::Model, fields: AccountFields) -> ApiResult<()> {
    if let Some(name) = fields.name {
        row.name = ActiveValue::Set(checked_name("name", &name)?);
    }
    if let Some(locale) = fields.locale {
        row.locale = ActiveValue::Set(checked_locale(&locale)?);
    }
    if let Some(domain) = fields.domain {
        row.domain = ActiveValue::Set(domain);
    }
    if let Some(address) = fields.support_email {
        let wrong = || ApiError::invalid("support_email", "Support email is invalid");
        row.support_email = ActiveValue::Set(address.map(|address| fields::email_address(&address).ok_or_else(wrong)).transpose()?);
    }
    if let Some(Some(minutes)) = fields.auto_resolve_after
        && !AUTO_RESOLVE_MINUTES.contains(&minutes)
    {
        let (least, most) = AUTO_RESOLVE_MINUTES.into_inner();
        return Err(ApiError::invalid("auto_resolve_after", format!("auto_resolve_after must be between {least} and {most} minutes")));
    }
    if fields.auto_resolve_message.as_ref().and_then(Option::as_ref).is_some_and(|text| text.chars().count() > MESSAGE_LIMIT) {
        return Err(ApiError::invalid("auto_resolve_message", format!("auto_resolve_message is longer than {MESSAGE_LIMIT} characters")));
    }
    if let Some(Some(name)) = &fields.timezone
        && name.parse::<chrono_tz::Tz>().is_err()
    {
        return Err(ApiError::invalid("timezone", format!("timezone: \"{name}\" is no name of the time zone database")));
    }
    let text = |text: Option<String>| text.map(Value::String);
    row.settings = ActiveValue::Set(merged(
        &before.settings,
        [
            ("auto_resolve_after", fields.auto_resolve_after.map(|minutes| minutes.map(Value::from))),
            ("auto_resolve_message", fields.auto_resolve_message.map(text)),
            ("auto_resolve_ignore_waiting", fields.auto_resolve_ignore_waiting.map(|flag| Some(flag.into()))),
            ("auto_resolve_label", fields.auto_resolve_label.map(text)),
            (KEEPS_PENDING, fields.keep_pending_on_bot_failure.map(|flag| Some(flag.into()))),
            ("audio_transcriptions", fields.audio_transcriptions.map(|flag| Some(flag.into()))),
        ],
    ));
    row.custom_attributes = ActiveValue::Set(merged(
        &before.custom_attributes,
        [("industry", fields.industry.map(text)), ("company_size", fields.company_size.map(text)), ("timezone", fields.timezone.map(text))],
    ));
    Ok(())
}

/// What was there with what is given: absent stays, none is removed.
fn merged<const N: usize>(before: &Value, given: [(&str, Option<Option<Value>>); N]) -> Value {
    let mut merged: Map<String, Value> = before.as_object().cloned().unwrap_or_default();
    for (name, value) in given {
        match value {
            Some(Some(value)) => drop(merged.insert(name.to_owned(), value)),
            Some(None) => drop(merged.remove(name)),
            None => {}
        }
    }
    Value::Object(merged)
}

/// The name of an account or a person.
///
/// # Errors
/// 422 naming the field.
pub fn checked_name(field: &str, name: &str) -> ApiResult<String> {
    match name.trim() {
        "" => Err(ApiError::invalid(field, format!("{field} can't be blank"))),
        name if name.chars().count() > 255 => Err(ApiError::invalid(field, format!("{field} is longer than 255 characters"))),
        name => Ok(name.to_owned()),
    }
}

/// A language and perhaps a region: `en`, `pt_BR`.
///
/// # Errors
/// 422.
pub fn checked_locale(locale: &str) -> ApiResult<String> {
    let (language, region) = locale.split_once(['_', '-']).unwrap_or((locale, "XX"));
    let is_made_of = |text: &str, lengths: &[usize]| lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    if is_made_of(language, &[2, 3]) && is_made_of(region, &[2, 4]) {
        Ok(locale.to_owned())
    } else {
        Err(ApiError::invalid("locale", format!("locale: \"{locale}\" is no language code")))
    }
}

async fn answer(handles: &Handles, account: &account::Model) -> ApiResult<HttpResponse> {
    let mut shown = render::account(account);
    set(&mut shown, "cache_keys", cache_keys::of_account(handles, account.id).await?);
    Ok(HttpResponse::Ok().json(shown))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    #[test]
    fn locales_are_language_codes() {
        for right in ["en", "pt_BR", "zh-CN", "fil", "zh_Hant"] {
            assert_eq!(checked_locale(right).unwrap(), right);
        }
        for wrong in ["", "e", "english", "en_", "e1", "en_B1", "../x"] {
            assert!(checked_locale(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_setting_that_is_not_named_stays_and_one_that_is_null_goes() {
        let after = merged(&json!({ "a": 1, "b": 2 }), [("a", None), ("b", Some(None)), ("c", Some(Some(json!(3))))]);
        assert_eq!(after, json!({ "a": 1, "c": 3 }));
    }
}
