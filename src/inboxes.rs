//! Writes inboxes: what the API and `konversio.toml` have in common.
use crate::http::render::blanked;
use actors::catalog::{CHANNEL_SETTINGS, Inbox, open_settings};
use actors::channel::ChannelSettings;
use actors::event::{AccountCard, Fact, InboxCard, InboxView, changes};
use actors::message::UserCard;
use actors::secret::{Vault, field_mut, random_token};
use actors::store::Announcement;
use entity::inbox::{self, SenderNameType};
use entity::inbox_member;
use sea_orm::{ActiveValue, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// The settings as they are stored: secrets sealed.
pub fn sealed(vault: &Vault, settings: &ChannelSettings) -> Value {
    let mut value = serde_json::to_value(settings).unwrap_or_default();
    vault.seal_fields(CHANNEL_SETTINGS, settings.secret_fields(), &mut value);
    value
}

/// The settings of an inbox after an update in the contract's names: what is not named stays, and so does a secret for which
/// the blank is sent.
///
/// # Errors
/// Names the field that is wrong.
pub fn updated(before: &ChannelSettings, update: &Map<String, Value>, blank: &str) -> Result<ChannelSettings, String> {
    let mut value = serde_json::to_value(before).unwrap_or_default();
    if let Value::Object(fields) = &mut value {
        let mut update = update.clone();
        update.remove("type");
        merge(fields, &update, "", &Secrets { fields: before.secret_fields(), blank });
    }
    ChannelSettings::parse(value.clone()).map_err(|words| wrong_field(before, &value).unwrap_or(words))
}

/// Which fields are secrets, and what stands for one that is to stay.
struct Secrets<'a> {
    fields: &'a [&'a str],
    blank: &'a str,
}

impl Secrets<'_> {
    fn is_kept(&self, name: &str, value: &Value) -> bool {
        self.fields.contains(&name) && value.as_str() == Some(self.blank)
    }

    /// Whoever changes an object that holds secrets does not know all of it, so what is not named in it stays as well.
    fn are_within(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
    }
}

/// Puts what an update names into the fields below `path`.
fn merge(fields: &mut Map<String, Value>, update: &Map<String, Value>, path: &str, secrets: &Secrets<'_>) {
    for (name, value) in update {
        let Some(before) = fields.get_mut(name) else { continue };
        let name = below(path, name);
        match (before, value) {
            (Value::Object(before), Value::Object(value)) if secrets.are_within(&name) => merge(before, value, &name, secrets),
            (_, value) if secrets.is_kept(&name, value) => {}
            (before, value) => *before = like(before, value.clone()),
        }
    }
}

/// The first changed field that is wrong without the others, and what it may not be: not its value, which may be a secret.
fn wrong_field(before: &ChannelSettings, after: &Value) -> Option<String> {
    let good = serde_json::to_value(before).ok()?;
    differing(&good, after, "").into_iter().find_map(|(name, value)| {
        let mut alone = good.clone();
        *field_mut(&mut alone, &name)? = value.clone();
        let words = serde_json::from_value::<ChannelSettings>(alone).err()?.to_string();
        let expected = words.rsplit_once("expected ").map_or("another value", |(_, expected)| expected);
        let expected = if expected.starts_with("struct ") { "an object" } else { expected };
        Some(format!("{name}: expected {expected}"))
    })
}

/// The fields that differ, by name; those of objects with a dot.
fn differing<'a>(good: &Value, after: &'a Value, path: &str) -> Vec<(String, &'a Value)> {
    match (good, after) {
        (Value::Object(good), Value::Object(after)) => {
            let both = after.iter().filter_map(|(name, value)| Some((below(path, name), good.get(name)?, value)));
            both.flat_map(|(name, good, value)| differing(good, value, &name)).collect()
        }
        (good, after) if good != after => vec![(path.to_owned(), after)],
        _ => Vec::new(),
    }
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Texts of numbers and flags in the type that the field has.
pub fn like(before: &Value, value: Value) -> Value {
    match (before, &value) {
        (Value::Bool(_), Value::String(text)) => match text.as_str() {
            "true" | "1" => true.into(),
            "false" | "0" => false.into(),
            _ => value,
        },
        (Value::Number(_), Value::String(text)) => text.parse::<i64>().map_or(value, Into::into),
        (Value::String(_), Value::Null) => "".into(),
        _ => value,
    }
}

/// A new inbox's row with the contract's defaults.
pub fn new_row(vault: &Vault, account_id: i64, name: &str, settings: &ChannelSettings) -> inbox::ActiveModel {
    let now = entity::now();
    inbox::ActiveModel {
        id: ActiveValue::NotSet,
        account_id: ActiveValue::Set(account_id),
        name: ActiveValue::Set(name.to_owned()),
        channel: ActiveValue::Set(settings.kind().to_owned()),
        channel_settings: ActiveValue::Set(sealed(vault, settings)),
        channel_key: ActiveValue::Set(settings.unique_key()),
        identifier: ActiveValue::Set(random_token()),
        hmac_token_sealed: ActiveValue::Set(vault.seal("inboxes.hmac_token", &random_token())),
        secret_sealed: ActiveValue::Set(vault.seal("inboxes.secret", &random_token())),
        enabled: ActiveValue::Set(true),
        managed_by_file: ActiveValue::Set(None),
        avatar_blob_id: ActiveValue::Set(None),
        greeting_enabled: ActiveValue::Set(false),
        greeting_message: ActiveValue::Set(None),
        enable_auto_assignment: ActiveValue::Set(true),
        auto_assignment_config: ActiveValue::Set(json!({})),
        working_hours_enabled: ActiveValue::Set(false),
        working_hours: ActiveValue::Set(default_working_hours()),
        timezone: ActiveValue::Set("UTC".into()),
        out_of_office_message: ActiveValue::Set(None),
        enable_email_collect: ActiveValue::Set(true),
        csat_survey_enabled: ActiveValue::Set(false),
        csat_config: ActiveValue::Set(json!({})),
        allow_messages_after_resolved: ActiveValue::Set(true),
        lock_to_single_conversation: ActiveValue::Set(false),
        sender_name_type: ActiveValue::Set(SenderNameType::Friendly),
        business_name: ActiveValue::Set(None),
        agent_bot_id: ActiveValue::Set(None),
        assignment_policy_id: ActiveValue::Set(None),
        deleted_at: ActiveValue::Set(None),
        created_at: ActiveValue::Set(now),
        updated_at: ActiveValue::Set(now),
    }
}

/// Monday to Friday from 9 to 17, closed on Saturday and Sunday (contract, section 2, Inboxes).
pub fn default_working_hours() -> Value {
    let day = |day_of_week: i32| match day_of_week {
        0 | 6 => json!({
            "day_of_week": day_of_week, "closed_all_day": true, "open_hour": null, "open_minutes": null, "close_hour": null,
            "close_minutes": null, "open_all_day": false,
        }),
        _ => json!({
            "day_of_week": day_of_week, "closed_all_day": false, "open_hour": 9, "open_minutes": 0, "close_hour": 17,
            "close_minutes": 0, "open_all_day": false,
        }),
    };
    (0..7).map(day).collect()
}

/// What is told of an inbox beside its name and its channel (contract, section 8).
const TOLD: &[&str] = &[
    "allow_messages_after_resolved",
    "auto_assignment_config",
    "business_name",
    "csat_config",
    "csat_survey_enabled",
    "enable_auto_assignment",
    "enable_email_collect",
    "greeting_enabled",
    "greeting_message",
    "lock_to_single_conversation",
    "out_of_office_message",
    "sender_name_type",
    "timezone",
    "working_hours",
    "working_hours_enabled",
];

/// Notes, in the transaction that stores an inbox, that webhooks are told of it; of one that changed only what differs, if
/// anything of it is told at all.
///
/// # Errors
/// If the settings cannot be opened, or the database fails.
pub async fn announce(
    db: &impl ConnectionTrait,
    vault: &Vault,
    (account, performer): (AccountCard, Option<UserCard>),
    before: Option<&inbox::Model>,
    after: &inbox::Model,
) -> anyhow::Result<()> {
    let view = view(vault, after)?;
    let fact = match before {
        None => Fact::InboxCreated(view),
        Some(before) => {
            let columns: Vec<&str> = TOLD.iter().copied().chain(["name", "channel"]).collect();
            let changes = changes(&told(&self::view(vault, before)?), &told(&view), &columns);
            if changes.is_empty() {
                return Ok(());
            }
            Fact::InboxUpdated(view, changes)
        }
    };
    Ok(Announcement { account, performer, fact }.note(db).await?)
}

fn view(vault: &Vault, row: &inbox::Model) -> anyhow::Result<InboxView> {
    let settings = open_settings(vault, row)?;
    let fields = |value: Value| match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    let mut channel = fields(blanked(&settings));
    channel.remove("type");
    channel.extend([("id".to_owned(), row.id.into()), ("account_id".to_owned(), row.account_id.into())]);
    if settings.kind() == "api" {
        channel.insert("identifier".to_owned(), row.identifier.clone().into());
    }
    let mut told = fields(serde_json::to_value(row)?);
    told.retain(|name, _| TOLD.contains(&name.as_str()));
    let inbox = InboxCard { id: row.id, name: row.name.clone(), channel_type: settings.channel_type().to_owned() };
    Ok(InboxView { inbox, settings: told, channel })
}

/// Everything that may differ, by name.
fn told(view: &InboxView) -> Map<String, Value> {
    let mut told = view.settings.clone();
    told.insert("name".to_owned(), view.inbox.name.clone().into());
    told.insert("channel".to_owned(), Value::Object(view.channel.clone()));
    told
}

/// Replaces the members of an inbox.
///
/// # Errors
/// If the database fails.
pub async fn set_members(db: &impl ConnectionTrait, inbox_id: i64, wanted: &[i64]) -> Result<(), DbErr> {
    inbox_member::Entity::delete_many().filter(inbox_member::Column::InboxId.eq(inbox_id)).exec(db).await?;
    add_members(db, inbox_id, wanted).await
}

/// Adds members, who must not be members yet.
///
/// # Errors
/// If the database fails.
pub async fn add_members(db: &impl ConnectionTrait, inbox_id: i64, new: &[i64]) -> Result<(), DbErr> {
    let distinct: HashSet<i64> = new.iter().copied().collect();
    let rows = distinct.into_iter().map(|user_id| inbox_member::ActiveModel {
        id: ActiveValue::NotSet,
        inbox_id: ActiveValue::Set(inbox_id),
        user_id: ActiveValue::Set(user_id),
        created_at: ActiveValue::Set(entity::now()),
    });
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        inbox_member::Entity::insert_many(rows).exec_without_returning(db).await?;
    }
    Ok(())
}

/// Whether an inbox is the file's, so that only the file may change it.
pub fn is_managed_by_file(inbox: &Inbox) -> bool {
    inbox.row.managed_by_file.is_some()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn updates_keep_what_they_do_not_name_and_secrets_sent_back_blank() {
        let settings = json!({ "type": "email", "email": "a@b.c", "smtp_password": "old", "imap_port": 143, "imap_address": "imap.b.c", "imap_login": "a" });
        let before = ChannelSettings::parse(settings).unwrap();
        let update = json!({ "smtp_password": "***", "imap_password": "new", "imap_enabled": "true", "smtp_port": "465", "unknown": 1, "type": "api" });
        let ChannelSettings::Email(after) = updated(&before, update.as_object().unwrap(), "***").unwrap() else { unreachable!() };
        assert_eq!((after.smtp_password.expose(), after.imap_password.expose()), ("old", "new"));
        assert_eq!((after.imap_enabled, after.smtp_port, after.imap_port, after.email.as_str()), (true, 465, 143, "a@b.c"));
        let wrong = json!({ "imap_port": "many" });
        assert_eq!(updated(&before, wrong.as_object().unwrap(), "***").unwrap_err(), "imap_port: expected u16");
    }

    #[test]
    fn an_object_with_secrets_is_merged_and_its_fields_are_named() {
        let config = json!({ "api_key": "old", "app_secret": "hush", "phone_number_id": "11", "business_account_id": "22" });
        let before = ChannelSettings::parse(json!({ "type": "whatsapp", "provider_config": config })).unwrap();
        let change = |update: Value| updated(&before, json!({ "provider_config": update }).as_object().unwrap(), "***");
        let ChannelSettings::Whatsapp(after) =
            change(json!({ "api_key": "***", "app_secret": null, "phone_number_id": "33", "x": 1 })).unwrap()
        else {
            unreachable!()
        };
        let config = after.provider_config;
        assert_eq!((config.api_key.expose(), config.app_secret.expose()), ("old", ""));
        assert_eq!((config.phone_number_id.as_str(), config.business_account_id.as_str()), ("33", "22"));
        let ChannelSettings::Whatsapp(before) = &before else { unreachable!() };
        assert_eq!(config.webhook_verify_token, before.provider_config.webhook_verify_token, "Meta has it already");
        for (update, words) in [
            (json!({ "api_key": 7 }), "provider_config.api_key: expected a string"),
            (json!({ "phone_number_id": ["1"] }), "provider_config.phone_number_id: expected a string"),
            (json!({ "phone_number_id": "x" }), "provider_config.phone_number_id must be Meta's id of the number: digits"),
            (json!("x"), "provider_config: expected an object"),
            (Value::Null, "provider_config: expected an object"),
        ] {
            assert_eq!(change(update).unwrap_err(), words);
        }
    }

    #[test]
    fn what_is_free_in_an_object_is_replaced() {
        let before = ChannelSettings::parse(json!({ "type": "api", "additional_attributes": { "a": 1, "b": 2 } })).unwrap();
        let update = json!({ "additional_attributes": { "c": 3 } });
        let ChannelSettings::Api(after) = updated(&before, update.as_object().unwrap(), "***").unwrap() else { unreachable!() };
        assert_eq!(Value::Object(after.additional_attributes), json!({ "c": 3 }));
    }
}
