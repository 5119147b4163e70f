//! The conversations of a visitor (contract, section 6.4, `conversations`). Where none is named it is the latest one.
use super::ask::tell;
use super::body::{Body, Request};
use super::client::{ClientContact, ClientTyping};
use super::contacts::check_attributes;
use super::error::{ApiError, ApiResult};
use super::idempotency::Claim;
use super::scope::Found;
use super::throttle::{Limit, Throttle};
use super::visitors::{OwnConversation, Visitor};
use super::widget_contacts::{check_growth, introduced};
use super::widget_messages::{Destination, Said, WidgetMessage, page, shown_message};
use super::{fields, transcript, views};
use actix_web::{HttpRequest, HttpResponse, web};
use actors::addresses::Address;
use actors::channel::web_widget::Feature;
use actors::conversation::rules::{By, Change, LabelEdit, labels_of};
use actors::conversation::{Command, Open, Target};
use actors::message::Sender;
use actors::system::Handles;
use actors::wire::{epoch, epoch_or_zero};
use entity::conversation::Status;
use entity::message;
use entity::{conversation, label};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Statement};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// How many conversations a visitor is shown.
const SHOWN: u64 = 100;

/// Which conversation.
#[derive(Deserialize, IntoParams)]
pub struct Which {
    /// Its number; the latest one without.
    pub conversation_id: Option<i64>,
}

/// The latest conversation; an empty object if there is none.
#[utoipa::path(get, path = "", tag = "Widget", params(Which), responses((status = 200, description = "id, inbox_id, contact_last_seen_at, status")))]
pub async fn show(handles: web::Data<Handles>, visitor: Visitor, which: web::Query<Which>) -> ApiResult<HttpResponse> {
    let own = visitor.conversation(&handles, which.conversation_id).await?;
    Ok(HttpResponse::Ok().json(own.map_or_else(|| json!({}), |own| slim(&own.row))))
}

/// All conversations of the visitor, each with its last message and how many messages are new to the visitor.
#[utoipa::path(get, path = "", tag = "Widget", responses((status = 200, description = "payload: conversations")))]
pub async fn all(handles: web::Data<Handles>, visitor: Visitor) -> ApiResult<HttpResponse> {
    let rows = visitor.conversations(&handles, SHOWN).await?;
    let ends = ends(&handles, &rows).await?;
    let last = ends.values().filter_map(|(last, _)| *last).collect();
    let last = views::messages_by_id(&handles, last).await?;
    let shown = rows.iter().map(|row| {
        let (last_id, unread) = ends.get(&row.id).copied().unwrap_or_default();
        let last_message = last_id.and_then(|id| last.get(&id)).map(|view| shown_message(&handles, view, row.display_id));
        json!({
            "id": row.display_id,
            "status": row.status.name(),
            "created_at": epoch(row.created_at),
            "last_activity_at": epoch(row.last_activity_at),
            "contact_last_seen_at": epoch_or_zero(row.contact_last_seen_at),
            "agent_last_seen_at": epoch_or_zero(row.agent_last_seen_at),
            "unread_count": unread,
            "last_message": last_message,
        })
    });
    Ok(HttpResponse::Ok().json(json!({ "payload": shown.collect::<Vec<_>>() })))
}

/// By conversation: the last message that its contact may see, and how many to the contact came after it looked last.
async fn ends(handles: &Handles, rows: &[conversation::Model]) -> ApiResult<HashMap<i64, (Option<i64>, i64)>> {
    let mut found = HashMap::new();
    if rows.is_empty() {
        return Ok(found);
    }
    let db = &handles.db.read;
    let ids: Vec<String> = rows.iter().map(|row| row.id.to_string()).collect();
    let public = "m.conversation_id = c.id AND m.private = FALSE";
    let statement = format!(
        "SELECT c.id, \
         (SELECT m.id FROM messages m WHERE {public} AND m.message_type <> 2 ORDER BY m.id DESC LIMIT 1), \
         (SELECT COUNT(*) FROM messages m WHERE {public} AND m.message_type IN (1, 3) \
          AND (c.contact_last_seen_at IS NULL OR m.created_at > c.contact_last_seen_at)) \
         FROM conversations c WHERE c.id IN ({})",
        ids.join(", ")
    );
    for row in db.query_all_raw(Statement::from_string(db.get_database_backend(), statement)).await? {
        found.insert(row.try_get_by_index(0)?, (row.try_get_by_index(1)?, row.try_get_by_index(2)?));
    }
    Ok(found)
}

/// A conversation with its first message, after what the visitor was asked before it.
#[derive(Deserialize, ToSchema)]
pub struct WidgetConversation {
    #[serde(default)]
    contact: Option<ClientContact>,
    #[serde(default)]
    message: Option<WidgetMessage>,
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Option<Object>)]
    custom_attributes: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "fields::texts")]
    labels: Vec<String>,
}

impl Request for WidgetConversation {}

/// Begins a conversation; in an inbox that keeps to a single one, the last goes on.
#[utoipa::path(post, path = "", tag = "Widget", request_body = WidgetConversation, responses((status = 200, description = "id, inbox_id, contact_last_seen_at, status, messages, custom_attributes, contact"), (status = 422, description = "a field is wrong")))]
pub async fn create(
    handles: web::Data<Handles>,
    mut visitor: Visitor,
    throttle: Throttle,
    request: HttpRequest,
    claim: Claim,
    body: Body<WidgetConversation>,
) -> ApiResult<HttpResponse> {
    let WidgetConversation { contact, message, custom_attributes, labels } = body.value;
    let message = message.filter(|message| message.says_something() || !body.files.is_empty());
    if let Some(made) = claim.made {
        let id = match message {
            Some(_) => message::Entity::find_by_id(made).one(&handles.db.read).await?.map(|row| row.conversation_id),
            None => Some(made),
        };
        return answer(&handles, &visitor, id.ok_or_else(ApiError::not_found)?).await;
    }
    throttle.admit_address(Limit::VisitorConversations)?;
    check_attributes("custom_attributes", custom_attributes.as_ref())?;
    let attributes = custom_attributes.unwrap_or_default();
    check_growth(&Value::Null, &attributes)?;
    let contact = contact.map(ClientContact::checked).transpose()?;
    let labels = defined(&handles, visitor.website.inbox.row.account_id, &labels).await?;
    let said = match message {
        Some(message) => Some(Said::new(&handles, &visitor, message, body.files).await?),
        None => None,
    };
    if let Some(contact) = contact {
        visitor = introduced(&handles, visitor, contact.update()).await?;
    }
    let command = match said {
        Some(said) => {
            let destination = Destination { target: Target::New, custom_attributes: attributes, labels };
            Command::Deliver(Box::new(said.incoming(&request, destination, claim.id)))
        }
        None => Command::Open(Box::new(Open {
            by: By::Contact,
            status: None,
            snoozed_until: None,
            assignee_id: None,
            team_id: None,
            additional_attributes: super::widget_messages::origin_of(&request, None, None),
            custom_attributes: attributes,
            first: None,
            claim: claim.id,
        })),
    };
    let recorded = tell(&handles, visitor.key(), command).await?;
    let row = recorded.conversation.ok_or_else(|| ApiError::failed("a conversation was opened and is not there"))?;
    answer(&handles, &visitor, row.id).await
}

async fn answer(handles: &Handles, visitor: &Visitor, conversation_id: i64) -> ApiResult<HttpResponse> {
    let row = conversation::Entity::find_by_id(conversation_id).one(&handles.db.read).await?.ok_or_else(ApiError::not_found)?;
    let mut shown = slim(&row);
    let messages = page(handles, &row, None, None).await?;
    for (name, value) in
        [("messages", messages), ("custom_attributes", row.custom_attributes.clone()), ("contact", visitor.shown(handles).await?)]
    {
        actors::wire::set(&mut shown, name, value);
    }
    Ok(HttpResponse::Ok().json(shown))
}

fn slim(row: &conversation::Model) -> Value {
    json!({
        "id": row.display_id,
        "inbox_id": row.inbox_id,
        "contact_last_seen_at": epoch_or_zero(row.contact_last_seen_at),
        "agent_last_seen_at": epoch_or_zero(row.agent_last_seen_at),
        "status": row.status.name(),
    })
}

/// Tells agents that the visitor types.
#[utoipa::path(post, path = "", tag = "Widget", params(Which), request_body = ClientTyping, responses((status = 200, description = "told"), (status = 404, description = "no conversation")))]
pub async fn typing(
    handles: web::Data<Handles>,
    visitor: Visitor,
    which: web::Query<Which>,
    body: Body<ClientTyping>,
) -> ApiResult<HttpResponse> {
    let OwnConversation { row, key } = visitor.existing(&handles, which.conversation_id).await?;
    let (who, is_typing) = (Sender::Contact(Arc::new(visitor.contact)), body.value.is_on());
    tell(&handles, key, Command::Typing { conversation_id: row.id, who, is_typing, is_private: false }).await?;
    Ok(HttpResponse::Ok().finish())
}

/// Notes that the visitor has seen everything: what agents wrote is read.
#[utoipa::path(post, path = "", tag = "Widget", params(Which), responses((status = 200, description = "noted")))]
pub async fn update_last_seen(handles: web::Data<Handles>, visitor: Visitor, which: web::Query<Which>) -> ApiResult<HttpResponse> {
    if let Some(OwnConversation { row, key }) = visitor.conversation(&handles, which.conversation_id).await? {
        let seen = Command::Change { conversation_id: row.id, by: By::Contact, change: Change::SeenByContact };
        tell(&handles, key, seen).await?;
    }
    Ok(HttpResponse::Ok().finish())
}

/// Ends a conversation, where the inbox lets visitors; one that is resolved stays so.
#[utoipa::path(get, path = "", tag = "Widget", params(Which), responses((status = 200, description = "resolved"), (status = 403, description = "the inbox does not let visitors"), (status = 404, description = "no conversation")))]
pub async fn resolve(handles: web::Data<Handles>, visitor: Visitor, which: web::Query<Which>) -> ApiResult<HttpResponse> {
    if !visitor.website.settings().offers(Feature::EndConversation) {
        return Err(ApiError::forbidden("Visitors cannot end conversations here (end_conversation of selected_feature_flags)"));
    }
    let own = visitor.existing(&handles, which.conversation_id).await?;
    if own.row.status != Status::Resolved {
        change(&handles, own, Change::Status { status: Some(Status::Resolved), snoozed_until: None }).await?;
    }
    Ok(HttpResponse::Ok().finish())
}

/// Sends the visitor what was said, by mail.
#[utoipa::path(post, path = "", tag = "Widget", params(Which), responses((status = 200, description = "it will be sent"), (status = 422, description = "no address, or no mail relay")))]
pub async fn transcript(
    handles: web::Data<Handles>,
    visitor: Visitor,
    throttle: Throttle,
    which: web::Query<Which>,
) -> ApiResult<HttpResponse> {
    let OwnConversation { row, key } = visitor.existing(&handles, which.conversation_id).await?;
    let email = visitor.contact.email.as_deref();
    let email = email.ok_or_else(|| ApiError::invalid("email", "There is no e-mail address to send it to: tell one first"))?;
    throttle.admit(Limit::LetterTo, email)?;
    let found = Found { address: Address { conversation_id: row.id, key }, inbox: visitor.website.inbox.clone() };
    transcript::send(&handles, &found, row.display_id, email).await?;
    Ok(HttpResponse::Ok().finish())
}

/// Attributes of a conversation.
#[derive(Deserialize, ToSchema)]
pub struct SetAttributes {
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Option<Object>)]
    custom_attributes: Option<Map<String, Value>>,
}

impl Request for SetAttributes {}

/// Adds attributes to the conversation.
#[utoipa::path(post, path = "", tag = "Widget", params(Which), request_body = SetAttributes, responses((status = 200, description = "noted"), (status = 404, description = "no conversation")))]
pub async fn set_custom_attributes(
    handles: web::Data<Handles>,
    visitor: Visitor,
    which: web::Query<Which>,
    body: Body<SetAttributes>,
) -> ApiResult<HttpResponse> {
    check_attributes("custom_attributes", body.value.custom_attributes.as_ref())?;
    let own = visitor.existing(&handles, which.conversation_id).await?;
    let more = body.value.custom_attributes.unwrap_or_default();
    check_growth(&own.row.custom_attributes, &more)?;
    let mut attributes = own.row.custom_attributes.as_object().cloned().unwrap_or_default();
    attributes.extend(more);
    change(&handles, own, Change::CustomAttributes(attributes)).await?;
    Ok(HttpResponse::Ok().finish())
}

/// Names of attributes of a conversation.
#[derive(Deserialize, ToSchema)]
pub struct RemoveAttributes {
    #[serde(default, deserialize_with = "fields::texts")]
    custom_attribute: Vec<String>,
}

impl Request for RemoveAttributes {}

/// Takes attributes off the conversation.
#[utoipa::path(post, path = "", tag = "Widget", params(Which), request_body = RemoveAttributes, responses((status = 200, description = "the conversation"), (status = 404, description = "no conversation")))]
pub async fn destroy_custom_attributes(
    handles: web::Data<Handles>,
    visitor: Visitor,
    which: web::Query<Which>,
    body: Body<RemoveAttributes>,
) -> ApiResult<HttpResponse> {
    let own = visitor.existing(&handles, which.conversation_id).await?;
    let id = own.row.id;
    let mut attributes = own.row.custom_attributes.as_object().cloned().unwrap_or_default();
    attributes.retain(|name, _| !body.value.custom_attribute.contains(name));
    change(&handles, own, Change::CustomAttributes(attributes)).await?;
    answer(&handles, &visitor, id).await
}

/// A label.
#[derive(Deserialize, ToSchema)]
pub struct WidgetLabel {
    #[serde(default, deserialize_with = "fields::text")]
    label: Option<String>,
}

impl Request for WidgetLabel {}

/// Labels the conversation, if the account has such a label.
#[utoipa::path(post, path = "", tag = "Widget", request_body = WidgetLabel, responses((status = 204, description = "noted")))]
pub async fn add_label(handles: web::Data<Handles>, visitor: Visitor, body: Body<WidgetLabel>) -> ApiResult<HttpResponse> {
    let given: Vec<String> = body.value.label.into_iter().collect();
    let known = defined(&handles, visitor.website.inbox.row.account_id, &given).await?;
    relabel(&handles, &visitor, LabelEdit::Edit { add: known, remove: Vec::new() }).await
}

/// Takes a label off the conversation.
#[utoipa::path(delete, path = "", tag = "Widget", responses((status = 204, description = "noted")))]
pub async fn remove_label(handles: web::Data<Handles>, visitor: Visitor, path: web::Path<String>) -> ApiResult<HttpResponse> {
    let known = defined(&handles, visitor.website.inbox.row.account_id, &[path.into_inner()]).await?;
    relabel(&handles, &visitor, LabelEdit::Edit { add: Vec::new(), remove: known }).await
}

async fn relabel(handles: &Handles, visitor: &Visitor, edit: LabelEdit) -> ApiResult<HttpResponse> {
    let LabelEdit::Edit { add, remove } = &edit else { return Ok(HttpResponse::NoContent().finish()) };
    if let Some(own) = visitor.conversation(handles, None).await? {
        let has = labels_of(&own.row);
        if add.iter().any(|title| !has.contains(title)) || remove.iter().any(|title| has.contains(title)) {
            change(handles, own, Change::Labels(edit)).await?;
        }
    }
    Ok(HttpResponse::NoContent().finish())
}

/// Those labels that the account has: visitors make no new ones.
///
/// # Errors
/// 422 for a title that is too long.
pub async fn defined(handles: &Handles, account_id: i64, given: &[String]) -> ApiResult<Vec<String>> {
    let titles = super::labels::titles(given)?;
    if titles.is_empty() {
        return Ok(titles);
    }
    let found = label::Entity::find()
        .filter(label::Column::AccountId.eq(account_id))
        .filter(label::Column::Title.is_in(titles))
        .all(&handles.db.read);
    Ok(found.await?.into_iter().map(|label| label.title).collect())
}

async fn change(handles: &Handles, own: OwnConversation, change: Change) -> ApiResult<()> {
    tell(handles, own.key, Command::Change { conversation_id: own.row.id, by: By::Contact, change }).await?;
    Ok(())
}
