//! Inboxes: the connections between channels and the desk.
use super::auth::{Administrator, Agent};
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::{ask::ask, fields, render};
use crate::inboxes::{add_members, is_managed_by_file, new_row, sealed, set_members, updated, webhook_url};
use actix_web::{HttpResponse, web};
use actors::catalog::Inbox;
use actors::channel::ChannelSettings;
use actors::inbox::{Connection, Look, Reconnect, State};
use actors::secret::random_token;
use actors::supervisor::{Find, Reconcile};
use actors::system::Handles;
use actors::wire::{iso, iso_or_null};
use chrono::{DateTime, Utc};
use entity::delivery::{DeliveryStatus, EndpointKind};
use entity::inbox::SenderNameType;
use entity::message::MessageType;
use entity::{conversation, delivery, inbox, inbox_member, message, outgoing, parked_message};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    TransactionTrait,
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
    /// `type` (`api`, `email`) and the channel's fields.
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
    let shown: Vec<Value> = visible.map(|inbox| render::inbox(inbox, agent.is_administrator())).collect();
    HttpResponse::Ok().json(json!({ "payload": shown }))
}

/// One inbox.
#[utoipa::path(get, path = "", tag = "Inboxes", responses((status = 200, description = "the inbox"), (status = 404, description = "no such inbox")))]
pub async fn show(agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let inbox = living(agent.visible_inbox(path.1)?)?;
    Ok(HttpResponse::Ok().json(render::inbox(&inbox, agent.is_administrator())))
}

/// Creates an inbox; its channel connects at once.
#[utoipa::path(post, path = "", tag = "Inboxes", request_body = InboxFields, responses((status = 200, description = "the inbox"), (status = 422, description = "a field is wrong")))]
pub async fn create(handles: web::Data<Handles>, administrator: Administrator, body: Body<InboxFields>) -> ApiResult<HttpResponse> {
    let mut fields = body.value;
    let name = fields.name.take().filter(|name| !name.trim().is_empty()).ok_or_else(|| ApiError::invalid("name", "Name can't be blank"))?;
    let channel = fields.channel.take().ok_or_else(|| ApiError::invalid("channel", "channel is missing"))?;
    let kind = channel.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let blank = ChannelSettings::parse(json!({ "type": kind, "email": "nobody@invalid" }))
        .map_err(|_| ApiError::invalid("channel.type", format!("channel.type is \"{kind}\"; this version knows api and email")))?;
    let mut given = channel;
    if kind == "email" && !given.contains_key("email") {
        given.insert("email".into(), Value::String(String::new()));
    }
    let settings = updated(&blank, &given, render::BLANK).map_err(wrong_channel)?;
    check_webhook(&handles, &settings).await?;
    let mut row = new_row(&handles.vault, administrator.0.account.id, name.trim(), &settings);
    apply(&mut row, fields)?;
    let stored = row.insert(&handles.db.write).await?;
    answer(&handles, stored.id).await
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
    if let Some(channel) = fields.channel.take() {
        let settings = updated(&inbox.settings, &channel, render::BLANK).map_err(wrong_channel)?;
        check_webhook(&handles, &settings).await?;
        row.channel_settings = ActiveValue::Set(sealed(&handles.vault, &settings));
    }
    apply(&mut row, fields)?;
    row.updated_at = ActiveValue::Set(entity::now());
    row.update(&handles.db.write).await?;
    answer(&handles, inbox.row.id).await
}

/// Deletes an inbox; its conversations stay, for administrators.
#[utoipa::path(delete, path = "", tag = "Inboxes", responses((status = 200, description = "deleted"), (status = 404, description = "no such inbox")))]
pub async fn remove(handles: web::Data<Handles>, administrator: Administrator, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let inbox = editable(&administrator, path.1)?;
    inbox::Entity::update_many()
        .col_expr(inbox::Column::DeletedAt, Expr::value(entity::now()))
        .filter(inbox::Column::Id.eq(inbox.row.id))
        .exec(&handles.db.write)
        .await?;
    apply_changes(&handles).await?;
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
    inbox::Entity::update_many()
        .col_expr(inbox::Column::SecretSealed, Expr::value(handles.vault.seal("inboxes.secret", &random_token())))
        .filter(inbox::Column::Id.eq(inbox.row.id))
        .exec(&handles.db.write)
        .await?;
    answer(&handles, inbox.row.id).await
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

/// How the inbox is doing.
#[utoipa::path(get, path = "", tag = "Inboxes", responses((status = 200, description = "state, since, session, failures, last_error, last_inbound_at, last_outbound_at, backlog")))]
pub async fn health(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let inbox = living(agent.visible_inbox(path.1)?)?;
    let running = ask(&handles.supervisor, Find(inbox.row.id)).await?;
    let connection = match running {
        Some(actor) => ask(&actor, Look).await?,
        None => Connection {
            state: State::Disabled,
            since: inbox.row.updated_at,
            session: 0,
            failures: 0,
            last_error: None,
            last_error_at: None,
        },
    };
    let (count, oldest) = backlog(&handles, &inbox).await?;
    let parked = parked_message::Entity::find().filter(parked_message::Column::InboxId.eq(inbox.row.id)).count(&handles.db.read).await?;
    Ok(HttpResponse::Ok().json(json!({
        "state": connection.state.name(),
        "since": iso(connection.since),
        "session": connection.session,
        "failures": connection.failures,
        "last_error": connection.last_error,
        "last_error_at": iso_or_null(connection.last_error_at),
        "last_inbound_at": iso_or_null(last_message(&handles, inbox.row.id, MessageType::Incoming).await?),
        "last_outbound_at": iso_or_null(last_message(&handles, inbox.row.id, MessageType::Outgoing).await?),
        "backlog": { "count": count, "oldest_age_seconds": oldest.map(|oldest| (entity::now() - oldest).num_seconds().max(0)) },
        "parked": parked,
    })))
}

/// What waits to leave: messages to be sent, or events for the inbox's webhook.
async fn backlog(handles: &Handles, inbox: &Inbox) -> ApiResult<(i64, Option<DateTime<Utc>>)> {
    let db = &handles.db.read;
    let waiting: Option<(i64, Option<DateTime<Utc>>)> = match inbox.webhook_url() {
        Some(_) => {
            delivery::Entity::find()
                .select_only()
                .column_as(delivery::Column::Id.count(), "waiting")
                .column_as(delivery::Column::CreatedAt.min(), "oldest")
                .filter(delivery::Column::Endpoint.eq(EndpointKind::Inbox))
                .filter(delivery::Column::EndpointId.eq(inbox.row.id))
                .filter(delivery::Column::Status.eq(DeliveryStatus::Queued))
                .into_tuple()
                .one(db)
                .await?
        }
        None => {
            outgoing::Entity::find()
                .select_only()
                .column_as(outgoing::Column::MessageId.count(), "waiting")
                .column_as(outgoing::Column::CreatedAt.min(), "oldest")
                .filter(outgoing::Column::InboxId.eq(inbox.row.id))
                .into_tuple()
                .one(db)
                .await?
        }
    };
    Ok(waiting.unwrap_or_default())
}

/// When the last message of a kind was stored, looked for in the conversations that were active last.
async fn last_message(handles: &Handles, inbox_id: i64, kind: MessageType) -> ApiResult<Option<DateTime<Utc>>> {
    let active: Vec<i64> = conversation::Entity::find()
        .select_only()
        .column(conversation::Column::Id)
        .filter(conversation::Column::InboxId.eq(inbox_id))
        .order_by_desc(conversation::Column::LastActivityAt)
        .limit(20)
        .into_tuple()
        .all(&handles.db.read)
        .await?;
    let last: Option<Option<DateTime<Utc>>> = message::Entity::find()
        .select_only()
        .column_as(message::Column::CreatedAt.max(), "last")
        .filter(message::Column::ConversationId.is_in(active))
        .filter(message::Column::MessageType.eq(kind))
        .into_tuple()
        .one(&handles.db.read)
        .await?;
    Ok(last.flatten())
}

/// Which agents work in an inbox.
#[derive(Deserialize, ToSchema)]
pub struct Members {
    #[serde(deserialize_with = "fields::id")]
    inbox_id: i64,
    #[serde(default, deserialize_with = "fields::ids")]
    user_ids: Vec<i64>,
}

impl Request for Members {}

/// The members of an inbox.
#[utoipa::path(get, path = "", tag = "Inboxes", responses((status = 200, description = "payload: agents")))]
pub async fn members(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let inbox = living(agent.visible_inbox(path.1)?)?;
    Ok(members_answer(&handles, &inbox))
}

/// Adds members.
#[utoipa::path(post, path = "", tag = "Inboxes", request_body = Members, responses((status = 200, description = "payload: agents")))]
pub async fn add(handles: web::Data<Handles>, administrator: Administrator, body: Body<Members>) -> ApiResult<HttpResponse> {
    let (inbox, users) = membership(&handles, &administrator, &body.value)?;
    let new: Vec<i64> = users.into_iter().filter(|user| !inbox.members.contains(user)).collect();
    add_members(&handles.db.write, inbox.row.id, &new).await?;
    changed_members(&handles, inbox.row.id).await
}

/// Replaces all members.
#[utoipa::path(patch, path = "", tag = "Inboxes", request_body = Members, responses((status = 200, description = "payload: agents")))]
pub async fn replace(handles: web::Data<Handles>, administrator: Administrator, body: Body<Members>) -> ApiResult<HttpResponse> {
    let (inbox, users) = membership(&handles, &administrator, &body.value)?;
    let transaction = handles.db.write.begin().await?;
    set_members(&transaction, inbox.row.id, &users).await?;
    transaction.commit().await?;
    changed_members(&handles, inbox.row.id).await
}

/// Takes members out.
#[utoipa::path(delete, path = "", tag = "Inboxes", request_body = Members, responses((status = 200, description = "removed")))]
pub async fn remove_members(handles: web::Data<Handles>, administrator: Administrator, body: Body<Members>) -> ApiResult<HttpResponse> {
    let inbox = editable(&administrator, body.value.inbox_id)?;
    inbox_member::Entity::delete_many()
        .filter(inbox_member::Column::InboxId.eq(inbox.row.id))
        .filter(inbox_member::Column::UserId.is_in(body.value.user_ids))
        .exec(&handles.db.write)
        .await?;
    changed_members(&handles, inbox.row.id).await?;
    Ok(HttpResponse::Ok().finish())
}

fn membership(handles: &Handles, administrator: &Administrator, members: &Members) -> ApiResult<(Arc<Inbox>, Vec<i64>)> {
    let inbox = editable(administrator, members.inbox_id)?;
    let catalog = handles.catalog.now();
    let is_stranger = |id: &&i64| catalog.user(**id).is_none_or(|user| user.place(inbox.row.account_id).is_none());
    if let Some(stranger) = members.user_ids.iter().find(is_stranger) {
        return Err(ApiError::invalid("user_ids", format!("user_ids: {stranger} is no agent of this account")));
    }
    Ok((inbox, members.user_ids.clone()))
}

async fn changed_members(handles: &Handles, inbox_id: i64) -> ApiResult<HttpResponse> {
    apply_changes(handles).await?;
    handles.wakes.assignment.notify_one();
    let inbox = handles.catalog.now().inbox(inbox_id).cloned().ok_or_else(ApiError::not_found)?;
    Ok(members_answer(handles, &inbox))
}

fn members_answer(handles: &Handles, inbox: &Inbox) -> HttpResponse {
    let shown = render::agents(handles, &handles.catalog.now(), &inbox.members, inbox.row.account_id);
    HttpResponse::Ok().json(json!({ "payload": shown }))
}

/// Agents to whom conversations of all these inboxes may be given: their members, and administrators.
#[utoipa::path(get, path = "", tag = "Inboxes", responses((status = 200, description = "payload: agents")))]
pub async fn assignable_agents(
    handles: web::Data<Handles>,
    agent: Agent,
    query: web::Query<Vec<(String, String)>>,
) -> ApiResult<HttpResponse> {
    let asked = query.iter().filter(|(name, _)| name == "inbox_ids[]" || name == "inbox_ids");
    let mut common: Option<Vec<i64>> = None;
    for (_, id) in asked {
        let id = id.parse().map_err(|_| ApiError::invalid("inbox_ids", "inbox_ids: expected numbers"))?;
        let viewers = agent.visible_inbox(id)?.viewers.clone();
        common = Some(match common {
            None => viewers,
            Some(before) => before.into_iter().filter(|user| viewers.contains(user)).collect(),
        });
    }
    let shown = render::agents(&handles, &handles.catalog.now(), &common.unwrap_or_default(), agent.account.id);
    Ok(HttpResponse::Ok().json(json!({ "payload": shown })))
}

fn apply(row: &mut inbox::ActiveModel, fields: InboxFields) -> ApiResult<()> {
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
        row.working_hours = ActiveValue::Set(hours.into_iter().map(Value::Object).collect());
    }
    if let Some(config) = fields.auto_assignment_config {
        row.auto_assignment_config = ActiveValue::Set(Value::Object(config));
    }
    if let Some(config) = fields.csat_config {
        row.csat_config = ActiveValue::Set(Value::Object(config));
    }
    if let Some(timezone) = fields.timezone {
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

fn wrong_channel(words: String) -> ApiError {
    // Most begin with the field's name.
    let field = words.split([' ', ':', '`']).next().unwrap_or_default().to_owned();
    ApiError::invalid(format!("channel.{field}"), format!("channel: {words}"))
}

async fn check_webhook(handles: &Handles, settings: &ChannelSettings) -> ApiResult<()> {
    let Some(url) = webhook_url(settings) else { return Ok(()) };
    let checked = handles.egress.check(url).await;
    checked.map(|_| ()).map_err(|refusal| ApiError::invalid("channel.webhook_url", format!("channel: webhook_url: {refusal}")))
}

/// An inbox of the account that is not deleted and not the file's.
fn editable(administrator: &Administrator, id: i64) -> ApiResult<Arc<Inbox>> {
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

async fn answer(handles: &Handles, inbox_id: i64) -> ApiResult<HttpResponse> {
    apply_changes(handles).await?;
    let inbox = handles.catalog.now().inbox(inbox_id).cloned().ok_or_else(ApiError::not_found)?;
    Ok(HttpResponse::Ok().json(render::inbox(&inbox, true)))
}

async fn apply_changes(handles: &Handles) -> ApiResult<()> {
    handles.catalog.reload().await?;
    ask(&handles.supervisor, Reconcile).await
}
