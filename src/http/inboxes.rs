//! Inboxes: the connections between channels and the desk.
use super::auth::{Administrator, Agent};
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::{ask::ask, audit, cache_keys, fields, inbox_channels, render, uploads};
use crate::inboxes::{announce, default_working_hours, is_managed_by_file, new_row, sealed};
use crate::limits::{self, Limited};
use actix_web::{HttpResponse, web};
use actors::catalog::Inbox;
use actors::channel::ChannelSettings;
use actors::event::AccountCard;
use actors::inbox::Reconnect;
use actors::message::UserCard;
use actors::secret::random_token;
use actors::supervisor::{Find, Reconcile};
use actors::system::Handles;
use actors::unregistrations;
use actors::working_hours;
use entity::inbox::{self, SenderNameType};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, TransactionTrait,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use utoipa::ToSchema;

/// An inbox as it is created or changed.
#[derive(Deserialize, ToSchema)]
pub struct InboxFields {
    #[serde(default, deserialize_with = "fields::text")]
    name: Option<String>,
    /// `type` (`api`, `email`, `telegram`, `web_widget`, `whatsapp`) and the channel's fields.
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Option<Object>)]
    channel: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "fields::flag")]
    enabled: Option<bool>,
    #[serde(default, deserialize_with = "fields::flag")]
    greeting_enabled: Option<bool>,
    #[serde(default, deserialize_with = "fields::nullable_text")]
    #[schema(value_type = Option<String>)]
    greeting_message: Option<Option<String>>,
    #[serde(default, deserialize_with = "fields::flag")]
    enable_auto_assignment: Option<bool>,
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Option<Object>)]
    auto_assignment_config: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "fields::flag")]
    working_hours_enabled: Option<bool>,
    #[schema(value_type = Option<Vec<Object>>)]
    working_hours: Option<Vec<Map<String, Value>>>,
    #[serde(default, deserialize_with = "fields::text")]
    timezone: Option<String>,
    #[serde(default, deserialize_with = "fields::nullable_text")]
    #[schema(value_type = Option<String>)]
    out_of_office_message: Option<Option<String>>,
    #[serde(default, deserialize_with = "fields::flag")]
    enable_email_collect: Option<bool>,
    #[serde(default, deserialize_with = "fields::flag")]
    csat_survey_enabled: Option<bool>,
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Option<Object>)]
    csat_config: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "fields::flag")]
    allow_messages_after_resolved: Option<bool>,
    #[serde(default, deserialize_with = "fields::flag")]
    lock_to_single_conversation: Option<bool>,
    #[schema(value_type = Option<String>)]
    sender_name_type: Option<SenderNameType>,
    #[serde(default, deserialize_with = "fields::nullable_text")]
    #[schema(value_type = Option<String>)]
    business_name: Option<Option<String>>,
}

impl Request for InboxFields {}

/// The longest greeting or out-of-office message (contract, section 0, Limits).
const MESSAGE_LIMIT: usize = 10_000;

/// The inboxes that the caller may see.
#[utoipa::path(get, path = "", tag = "Inboxes", responses((status = 200, description = "payload: inboxes")))]
pub async fn list(handles: web::Data<Handles>, agent: Agent) -> HttpResponse {
    let catalog = handles.catalog.now();
    let visible = catalog.inboxes_of(agent.account.id).into_iter().filter(|inbox| inbox.is_visible_to(agent.user.row.id));
    let shown: Vec<Value> = visible.map(|inbox| render::inbox(&handles, inbox, agent.is_administrator())).collect();
    HttpResponse::Ok().json(json!({ "payload": shown }))
}

/// One inbox.
#[utoipa::path(get, path = "", tag = "Inboxes", responses((status = 200, description = "the inbox"), (status = 404, description = "no such inbox")))]
pub async fn show(agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let inbox = living(agent.visible_inbox(path.1)?)?;
    Ok(HttpResponse::Ok().json(render::inbox(agent.handles(), &inbox, agent.is_administrator())))
}

/// Creates an inbox; its channel connects at once.
#[utoipa::path(post, path = "", tag = "Inboxes", request_body = InboxFields, responses((status = 200, description = "the inbox"), (status = 422, description = "a field is wrong")))]
pub async fn create(handles: web::Data<Handles>, administrator: Administrator, body: Body<InboxFields>) -> ApiResult<HttpResponse> {
    let mut fields = body.value;
    let name = fields.name.take().filter(|name| !name.trim().is_empty()).ok_or_else(|| ApiError::invalid("name", "Name can't be blank"))?;
    let channel = fields.channel.take().ok_or_else(|| ApiError::invalid("channel", "channel is missing"))?;
    let settings = inbox_channels::new(&handles, administrator.0.account.id, &channel).await?;
    let mut row = new_row(&handles.vault, administrator.0.account.id, name.trim(), &settings);
    apply(&mut row, None, fields)?;
    let (agent, avatar) = (administrator.0, uploads::avatar(body.files)?);
    let transaction = handles.db.write.begin().await?;
    limits::admit(&transaction, agent.account.id, Limited::Inboxes, 1).await?;
    if let Some(avatar) = avatar {
        row.avatar_blob_id =
            ActiveValue::Set(Some(uploads::store(&transaction, agent.account.id, Some(agent.user.row.id), avatar).await?.id));
    }
    let inserted = row.insert(&transaction).await;
    let stored = inserted.map_err(|error| inbox_channels::refused(&handles, agent.account.id, &settings, error))?;
    audit::created(&transaction, &agent.author(), ("Inbox", stored.id), &stored).await?;
    announce(&transaction, &handles.vault, by(&agent), None, &stored).await.map_err(ApiError::failed)?;
    transaction.commit().await?;
    handles.tell_announcements();
    answer(&handles, &stored).await
}

/// Changes an inbox; only a change of the channel's settings restarts its session.
#[utoipa::path(patch, path = "", tag = "Inboxes", request_body = InboxFields, responses((status = 200, description = "the inbox"), (status = 409, description = "konversio.toml manages it"), (status = 422, description = "a field is wrong")))]
pub async fn update(
    handles: web::Data<Handles>,
    administrator: Administrator,
    path: web::Path<(i64, i64)>,
    body: Body<InboxFields>,
) -> ApiResult<HttpResponse> {
    let inbox = editable(&administrator, path.1)?;
    let mut fields = body.value;
    let mut row = inbox.row.clone().into_active_model();
    if let Some(name) = fields.name.take() {
        if name.trim().is_empty() {
            return Err(ApiError::invalid("name", "Name can't be blank"));
        }
        row.name = ActiveValue::Set(name.trim().to_owned());
    }
    let mut settings = inbox.settings.clone();
    if let Some(channel) = fields.channel.take() {
        settings = inbox_channels::changed(&handles, &inbox, &channel).await?;
        row.channel_settings = ActiveValue::Set(sealed(&handles.vault, &settings));
        row.channel_key = ActiveValue::Set(settings.unique_key());
    }
    apply(&mut row, Some(&inbox.row), fields)?;
    let (agent, avatar) = (administrator.0, uploads::avatar(body.files)?);
    let transaction = handles.db.write.begin().await?;
    if let Some(avatar) = avatar {
        row.avatar_blob_id =
            ActiveValue::Set(Some(uploads::store(&transaction, agent.account.id, Some(agent.user.row.id), avatar).await?.id));
    }
    if settings.unique_key() != inbox.row.channel_key {
        unregistrations::note(&transaction, &inbox.row).await?;
    }
    let after = store(transaction, &agent, (&inbox.row, &settings), row).await?;
    handles.unregistrations.ring();
    if after.avatar_blob_id != inbox.row.avatar_blob_id
        && let Some(replaced) = inbox.row.avatar_blob_id
    {
        uploads::discard(&handles, replaced).await?;
    }
    answer(&handles, &after).await
}

/// Deletes an inbox; its conversations stay, for administrators.
#[utoipa::path(delete, path = "", tag = "Inboxes", responses((status = 200, description = "deleted"), (status = 404, description = "no such inbox")))]
pub async fn remove(handles: web::Data<Handles>, administrator: Administrator, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let inbox = editable(&administrator, path.1)?;
    let transaction = handles.db.write.begin().await?;
    inbox::Entity::update_many()
        .col_expr(inbox::Column::DeletedAt, Expr::value(entity::now()))
        .filter(inbox::Column::Id.eq(inbox.row.id))
        .exec(&transaction)
        .await?;
    unregistrations::note(&transaction, &inbox.row).await?;
    audit::destroyed(&transaction, &administrator.0.author(), ("Inbox", inbox.row.id), &inbox.row).await?;
    transaction.commit().await?;
    apply_changes(&handles, inbox.row.account_id).await?;
    handles.unregistrations.ring();
    Ok(HttpResponse::Ok().json(json!({ "message": "The inbox is deleted. Its conversations stay, for administrators." })))
}

/// Replaces the key that signs what is posted to the inbox's webhook.
#[utoipa::path(post, path = "", tag = "Inboxes", responses((status = 200, description = "the inbox with the new key")))]
pub async fn reset_secret(
    handles: web::Data<Handles>,
    administrator: Administrator,
    path: web::Path<(i64, i64)>,
) -> ApiResult<HttpResponse> {
    let inbox = living(administrator.0.visible_inbox(path.1)?)?;
    let mut row = inbox.row.clone().into_active_model();
    row.secret_sealed = ActiveValue::Set(handles.vault.seal("inboxes.secret", &random_token()));
    let after = store(handles.db.write.begin().await?, &administrator.0, (&inbox.row, &inbox.settings), row).await?;
    answer(&handles, &after).await
}

/// Takes the picture away.
#[utoipa::path(delete, path = "", tag = "Inboxes", responses((status = 200, description = "removed"), (status = 404, description = "no such inbox")))]
pub async fn remove_avatar(
    handles: web::Data<Handles>,
    administrator: Administrator,
    path: web::Path<(i64, i64)>,
) -> ApiResult<HttpResponse> {
    let inbox = editable(&administrator, path.1)?;
    let Some(avatar) = inbox.row.avatar_blob_id else { return Ok(HttpResponse::Ok().finish()) };
    let mut row = inbox.row.clone().into_active_model();
    row.avatar_blob_id = ActiveValue::Set(None);
    store(handles.db.write.begin().await?, &administrator.0, (&inbox.row, &inbox.settings), row).await?;
    uploads::discard(&handles, avatar).await?;
    apply_changes(&handles, inbox.row.account_id).await?;
    Ok(HttpResponse::Ok().finish())
}

/// Tries to connect again now.
#[utoipa::path(post, path = "", tag = "Inboxes", responses((status = 200, description = "begun")))]
pub async fn reconnect(handles: web::Data<Handles>, administrator: Administrator, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let inbox = living(administrator.0.visible_inbox(path.1)?)?;
    if let Some(actor) = ask(&handles.supervisor, Find(inbox.row.id)).await? {
        ask(&actor, Reconnect).await?;
    }
    Ok(HttpResponse::Ok().finish())
}

/// `before` is none for a new inbox.
fn apply(row: &mut inbox::ActiveModel, before: Option<&inbox::Model>, fields: InboxFields) -> ApiResult<()> {
    let message = |name: &str, text: Option<String>| match text {
        Some(text) if text.chars().count() > MESSAGE_LIMIT => {
            Err(ApiError::invalid(name, format!("{name} is longer than {MESSAGE_LIMIT} characters")))
        }
        text => Ok(ActiveValue::Set(text)),
    };
    if let Some(greeting) = fields.greeting_message {
        row.greeting_message = message("greeting_message", greeting)?;
    }
    if let Some(away) = fields.out_of_office_message {
        row.out_of_office_message = message("out_of_office_message", away)?;
    }
    if let Some(hours) = fields.working_hours {
        let week = before.map_or_else(default_working_hours, |before| before.working_hours.clone());
        let updated =
            working_hours::updated(&week, hours).map_err(|words| ApiError::invalid("working_hours", format!("working_hours: {words}")))?;
        row.working_hours = ActiveValue::Set(updated);
    }
    if let Some(config) = fields.auto_assignment_config {
        row.auto_assignment_config = ActiveValue::Set(Value::Object(config));
    }
    if let Some(config) = fields.csat_config {
        row.csat_config = ActiveValue::Set(checked_survey(config)?);
    }
    if let Some(timezone) = fields.timezone {
        if timezone.parse::<chrono_tz::Tz>().is_err() {
            return Err(ApiError::invalid("timezone", format!("timezone: \"{timezone}\" is no name of the time zone database")));
        }
        row.timezone = ActiveValue::Set(timezone);
    }
    if let Some(name) = fields.business_name {
        row.business_name = ActiveValue::Set(name);
    }
    if let Some(kind) = fields.sender_name_type {
        row.sender_name_type = ActiveValue::Set(kind);
    }
    let flags = [
        (fields.enabled, &mut row.enabled),
        (fields.greeting_enabled, &mut row.greeting_enabled),
        (fields.enable_auto_assignment, &mut row.enable_auto_assignment),
        (fields.working_hours_enabled, &mut row.working_hours_enabled),
        (fields.enable_email_collect, &mut row.enable_email_collect),
        (fields.csat_survey_enabled, &mut row.csat_survey_enabled),
        (fields.allow_messages_after_resolved, &mut row.allow_messages_after_resolved),
        (fields.lock_to_single_conversation, &mut row.lock_to_single_conversation),
    ];
    for (given, column) in flags {
        if let Some(given) = given {
            *column = ActiveValue::Set(given);
        }
    }
    Ok(())
}

/// What is known of it has the contract's values; the rest stays as it is.
fn checked_survey(config: Map<String, Value>) -> ApiResult<Value> {
    let wrong = |words: &str| Err(ApiError::invalid("csat_config", format!("csat_config: {words}")));
    let text = |name: &str| config.get(name).filter(|value| !value.is_null());
    if text("display_type").is_some_and(|kind| kind != "emoji" && kind != "star") {
        return wrong("display_type must be emoji or star");
    }
    for name in ["message", "button_text", "language"] {
        if text(name).is_some_and(|value| value.as_str().is_none_or(|value| value.chars().count() > MESSAGE_LIMIT)) {
            return wrong(&format!("{name} must be a text of at most {MESSAGE_LIMIT} characters"));
        }
    }
    if let Some(rules) = text("survey_rules") {
        let is_list = rules.get("values").is_none_or(|values| values.as_array().is_some_and(|values| values.iter().all(Value::is_string)));
        let is_known = rules.get("operator").is_none_or(|operator| operator == "contains" || operator == "does_not_contain");
        if !rules.is_object() || !is_list || !is_known {
            return wrong("survey_rules must have an operator (contains, does_not_contain) and values, a list of texts");
        }
    }
    Ok(Value::Object(config))
}

/// Stores a changed inbox and notes who did it.
async fn store(
    transaction: DatabaseTransaction,
    agent: &Agent,
    (before, settings): (&inbox::Model, &ChannelSettings),
    mut row: inbox::ActiveModel,
) -> ApiResult<inbox::Model> {
    row.updated_at = ActiveValue::Set(entity::now());
    let updated = row.update(&transaction).await;
    let after = updated.map_err(|error| inbox_channels::refused(agent.handles(), agent.account.id, settings, error))?;
    audit::updated(&transaction, &agent.author(), ("Inbox", after.id), before, &after).await?;
    announce(&transaction, &agent.handles().vault, by(agent), Some(before), &after).await.map_err(ApiError::failed)?;
    transaction.commit().await?;
    agent.handles().tell_announcements();
    Ok(after)
}

/// In which account, and who.
fn by(agent: &Agent) -> (AccountCard, Option<UserCard>) {
    (AccountCard { id: agent.account.id, name: agent.account.name.clone() }, Some(agent.card()))
}

/// An inbox of the account that is not deleted and not the file's.
///
/// # Errors
/// 404, or 409 if it is the file's.
pub fn editable(administrator: &Administrator, id: i64) -> ApiResult<Arc<Inbox>> {
    let inbox = living(administrator.0.visible_inbox(id)?)?;
    if is_managed_by_file(&inbox) {
        return Err(ApiError::conflict("This inbox is managed by konversio.toml; change it there"));
    }
    Ok(inbox)
}

/// An inbox in which something new may begin: one that is not deleted.
///
/// # Errors
/// 404.
pub fn living(inbox: Arc<Inbox>) -> ApiResult<Arc<Inbox>> {
    if inbox.is_deleted() { Err(ApiError::not_found()) } else { Ok(inbox) }
}

async fn answer(handles: &Handles, stored: &inbox::Model) -> ApiResult<HttpResponse> {
    apply_changes(handles, stored.account_id).await?;
    let inbox = handles.catalog.now().inbox(stored.id).cloned().ok_or_else(ApiError::not_found)?;
    Ok(HttpResponse::Ok().json(render::inbox(handles, &inbox, true)))
}

/// Everybody sees what was stored: requests, channels, dashboards.
///
/// # Errors
/// If the database fails or the supervisor does not answer.
pub async fn apply_changes(handles: &Handles, account_id: i64) -> ApiResult<()> {
    handles.catalog.reload().await?;
    ask(&handles.supervisor, Reconcile).await?;
    cache_keys::changed(handles, account_id).await
}
