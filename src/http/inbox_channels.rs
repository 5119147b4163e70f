//! The channel of an inbox before it is stored: its fields are right, nobody else has the account, and the provider takes it.
use super::error::{ApiError, ApiResult};
use super::render::BLANK;
use crate::inboxes::updated;
use actors::catalog::Inbox;
use actors::channel::{ChannelError, ChannelSettings};
use actors::secret::field_mut;
use actors::store::StoreError;
use actors::system::Handles;
use sea_orm::DbErr;
use serde_json::{Map, Value};
use std::time::Duration;

/// How long a provider may take to say what it thinks of the credentials.
const CHECK_WITHIN: Duration = Duration::from_secs(15);

/// Settings for a new inbox of an account.
///
/// # Errors
/// 422 naming the field.
pub async fn new(handles: &Handles, account_id: i64, given: &Map<String, Value>) -> ApiResult<ChannelSettings> {
    let kind = given.get("type").and_then(Value::as_str).unwrap_or_default();
    let unknown = || {
        let known = ChannelSettings::KINDS.join(", ");
        ApiError::invalid("channel.type", format!("channel.type is \"{kind}\"; this version knows {known}"))
    };
    let blank = ChannelSettings::blank(kind).ok_or_else(unknown)?;
    let settings = updated(&blank, given, BLANK).map_err(|words| wrong(&blank, &words))?;
    checked(handles, account_id, None, settings, given).await
}

/// The settings of an inbox with what an update changes; those it has where nothing changes.
///
/// # Errors
/// 422 naming the field.
pub async fn changed(handles: &Handles, inbox: &Inbox, given: &Map<String, Value>) -> ApiResult<ChannelSettings> {
    let settings = updated(&inbox.settings, given, BLANK).map_err(|words| wrong(&inbox.settings, &words))?;
    if settings == inbox.settings {
        return Ok(settings);
    }
    checked(handles, inbox.row.account_id, Some(inbox.row.id), settings, given).await
}

/// What the database said when it was given an inbox with these settings.
pub fn refused(handles: &Handles, account_id: i64, settings: &ChannelSettings, error: DbErr) -> ApiError {
    match StoreError::from(error) {
        // Somebody else was faster.
        StoreError::Taken("channel") => taken(handles, account_id, settings),
        error => error.into(),
    }
}

async fn checked(
    handles: &Handles,
    account_id: i64,
    own: Option<i64>,
    mut settings: ChannelSettings,
    given: &Map<String, Value>,
) -> ApiResult<ChannelSettings> {
    if let Some(url) = settings.events_url() {
        let checked = handles.egress.check(url).await;
        checked.map_err(|refusal| ApiError::invalid("channel.webhook_url", format!("channel: webhook_url: {refusal}")))?;
    }
    let other = settings.unique_key().and_then(|key| handles.catalog.now().inbox_by_channel_key(&key).map(|inbox| inbox.row.id));
    if other.is_some() && other != own {
        return Err(taken(handles, account_id, &settings));
    }
    let channel = settings.build(&handles.tools);
    if let Some(registration) = channel.registration() {
        let told = tokio::time::timeout(CHECK_WITHIN, registration.check()).await;
        let told = told.unwrap_or_else(|_| Err(ChannelError::temporary(format!("no answer within {} s", CHECK_WITHIN.as_secs()))));
        let told = told.map_err(|error| match error {
            ChannelError::Temporary { cause, .. } => {
                let provider = settings.provider();
                ApiError::invalid("channel", format!("channel: {provider} could not be reached: {cause}; nothing was stored, try again"))
            }
            ChannelError::NeedsAttention(words) | ChannelError::Rejected(words) => wrong(&settings, &words),
        })?;
        settings.learn(&told, given);
    }
    Ok(settings)
}

/// Blames the field with whose name the words begin, or the whole channel.
fn wrong(settings: &ChannelSettings, words: &str) -> ApiError {
    let name = words.split([' ', ':', '`']).next().unwrap_or_default();
    let mut fields = serde_json::to_value(settings).unwrap_or_default();
    let field = match field_mut(&mut fields, name) {
        Some(_) => format!("channel.{name}"),
        None => "channel".to_owned(),
    };
    ApiError::invalid(field, format!("channel: {words}"))
}

/// Another account's inbox is not named.
fn taken(handles: &Handles, account_id: i64, settings: &ChannelSettings) -> ApiError {
    let field = settings.unique_field().unwrap_or("type");
    let catalog = handles.catalog.now();
    let other = settings.unique_key().and_then(|key| catalog.inbox_by_channel_key(&key));
    let whose = match other.filter(|inbox| inbox.row.account_id == account_id) {
        Some(inbox) => format!("inbox {} (\"{}\")", inbox.row.id, inbox.row.name),
        None => "another inbox of this installation".to_owned(),
    };
    ApiError::invalid(format!("channel.{field}"), format!("channel: {field} has already been taken by {whose}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use actix_web::ResponseError;
    use serde_json::json;

    #[tokio::test]
    async fn words_that_begin_with_a_field_blame_it() {
        let settings = ChannelSettings::blank("whatsapp").unwrap();
        for (words, field) in [
            ("provider_config.api_key must be the access token", "channel.provider_config.api_key"),
            ("phone_number: expected a string", "channel.phone_number"),
            ("Unauthorized", "channel"),
            ("asking for the number: the token has expired", "channel"),
        ] {
            let answer = wrong(&settings, words).error_response();
            let body: Value = serde_json::from_slice(&actix_web::body::to_bytes(answer.into_body()).await.unwrap()).unwrap();
            assert_eq!((&body["attributes"], body["error"].as_str()), (&json!([field]), Some(format!("channel: {words}").as_str())));
        }
    }
}
