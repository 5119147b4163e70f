//! Loads a message with all that a connector needs to send it.
use crate::catalog::Inbox;
use crate::conversation::rules::TEMPLATE_PARAMS;
use crate::conversation::sent_with;
use crate::db::Db;
use crate::files::Files;
use crate::message::{Answered, Outbound, OutboundAttachment, OutboundConversation, SentParts};
use entity::inbox::SenderNameType;
use entity::message::{MessageType, SenderType};
use entity::{attachment, contact, contact_inbox, conversation, message, outgoing};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder};
use serde_json::{Map, Value};

/// Why a message could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbErr),
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] crate::files::FileError),
}

/// Loads a message; none if it is gone or was deleted.
///
/// # Errors
/// See [`LoadError`].
pub async fn load(db: &Db, files: &Files, inbox: &Inbox, waiting: &outgoing::Model) -> Result<Option<Outbound>, LoadError> {
    let db = &db.read;
    let Some(row) = message::Entity::find_by_id(waiting.message_id).one(db).await? else { return Ok(None) };
    if row.content_attributes.get("deleted").is_some_and(|deleted| deleted == true) {
        return Ok(None);
    }
    let Some(conversation) = conversation::Entity::find_by_id(row.conversation_id).one(db).await? else { return Ok(None) };
    let Some(identity) = contact_inbox::Entity::find_by_id(conversation.contact_inbox_id).one(db).await? else { return Ok(None) };
    let Some(contact) = contact::Entity::find_by_id(conversation.contact_id).one(db).await? else { return Ok(None) };
    let incoming = message::Entity::find()
        .filter(message::Column::ConversationId.eq(conversation.id))
        .filter(message::Column::MessageType.eq(MessageType::Incoming))
        .filter(message::Column::Id.lt(row.id))
        .order_by_desc(message::Column::Id);
    let answers = incoming.one(db).await?.and_then(|incoming| {
        let content_attributes = object(incoming.content_attributes);
        incoming.source_id.map(|provider_id| Answered { provider_id, content_attributes })
    });
    let mut attachments = Vec::new();
    for attachment in attachment::Entity::find().filter(attachment::Column::MessageId.eq(row.id)).all(db).await? {
        let text = |name: &str| attachment.meta.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let bytes = files.bytes(&text("key")).await?;
        attachments.push(OutboundAttachment { file_name: text("file_name"), content_type: text("content_type"), bytes });
    }
    let sender_name = sender_name(db, inbox, &row).await?;
    let message = Outbound {
        message_id: row.id,
        source_id: identity.source_id,
        contact_email: contact.email,
        contact_phone_number: contact.phone_number,
        quotes: quotes(db, &row).await?,
        template: row.additional_attributes.get(TEMPLATE_PARAMS).cloned(),
        contact_name: contact.name,
        conversation: OutboundConversation {
            id: conversation.id,
            display_id: conversation.display_id,
            uuid: conversation.uuid,
            additional_attributes: object(conversation.additional_attributes),
        },
        content_attributes: sent_with(&row),
        content: row.content,
        content_type: row.content_type,
        attachments,
        answers,
        sender_name,
        automatic: row.message_type == MessageType::Template,
        created_at: row.created_at,
        sent: SentParts::new(sent_parts(waiting)),
    };
    Ok(Some(message))
}

/// The provider's ids of the parts that it has already.
pub fn sent_parts(waiting: &outgoing::Model) -> Vec<Vec<String>> {
    serde_json::from_value(waiting.sent_parts.clone()).unwrap_or_default()
}

/// A message that the provider has, as it is to be there.
#[derive(Clone, Debug)]
pub struct Revision {
    /// The contact's address in the inbox.
    pub source_id: String,
    /// The provider's id of the message.
    pub provider_id: String,
    /// The text from now on; of no meaning where it is to go.
    pub content: String,
}

/// Loads it; none if the message is gone.
///
/// # Errors
/// If the database fails.
pub async fn revision(db: &Db, waiting: &outgoing::Model) -> Result<Option<Revision>, DbErr> {
    let db = &db.read;
    let Some(row) = message::Entity::find_by_id(waiting.message_id).one(db).await? else { return Ok(None) };
    let Some(conversation) = conversation::Entity::find_by_id(row.conversation_id).one(db).await? else { return Ok(None) };
    let Some(identity) = contact_inbox::Entity::find_by_id(conversation.contact_inbox_id).one(db).await? else { return Ok(None) };
    let provider_id = row.source_id.unwrap_or_default();
    Ok(Some(Revision { source_id: identity.source_id, provider_id, content: row.content.unwrap_or_default() }))
}

/// The provider's id of the message that an agent's answer quotes.
async fn quotes(db: &impl sea_orm::ConnectionTrait, row: &message::Model) -> Result<Option<String>, DbErr> {
    let attributes = sent_with(row);
    let named = attributes.get("in_reply_to_external_id").and_then(Value::as_str).filter(|id| !id.is_empty());
    if let Some(id) = named {
        return Ok(Some(id.to_owned()));
    }
    let id = attributes.get("in_reply_to").and_then(|id| id.as_i64().or_else(|| id.as_str()?.parse().ok()));
    let Some(id) = id else { return Ok(None) };
    let quoted = message::Entity::find_by_id(id).filter(message::Column::ConversationId.eq(row.conversation_id)).one(db).await?;
    Ok(quoted.and_then(|quoted| quoted.source_id))
}

/// What a message is signed with: agent and business, or the business alone.
async fn sender_name(db: &impl sea_orm::ConnectionTrait, inbox: &Inbox, row: &message::Model) -> Result<Option<String>, DbErr> {
    if inbox.row.sender_name_type == SenderNameType::Professional || row.sender_type != Some(SenderType::User) {
        return Ok(Some(signature(&inbox.row, None)));
    }
    let user = entity::user::Entity::find_by_id(row.sender_id.unwrap_or_default()).one(db).await?;
    Ok(Some(signature(&inbox.row, user.as_ref().map(entity::user::Model::available_name))))
}

/// What an inbox's messages are signed with.
pub fn signature(inbox: &entity::inbox::Model, agent: Option<&str>) -> String {
    let business = inbox.business_name.as_deref().filter(|name| !name.is_empty()).unwrap_or(&inbox.name);
    match agent.filter(|_| inbox.sender_name_type == SenderNameType::Friendly) {
        Some(agent) => format!("{agent} from {business}"),
        None => business.to_owned(),
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
