//! Reads rows with what belongs to them, for answers: a constant number of statements per page, whatever is on it.
use super::error::ApiResult;
use actors::conversation::{last_heard, rules};
use actors::event::{ConversationView, InboxCard, MessageView, NotificationView};
use actors::message::Sender;
use actors::system::Handles;
use entity::message::SenderType;
use entity::{attachment, contact, contact_inbox, conversation, message, notification};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, Statement};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A conversation as REST shows it.
pub struct ShownConversation {
    /// With contact, identity, assignee and last message.
    pub view: ConversationView,
    /// The last message that somebody said.
    pub last_said: Option<MessageView>,
}

/// Conversations with what belongs to them, in the order given.
///
/// # Errors
/// If the database fails.
pub async fn conversations(handles: &Handles, rows: Vec<conversation::Model>) -> ApiResult<Vec<ShownConversation>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let db = &handles.db.read;
    let identities = contact_inbox::Entity::find().filter(contact_inbox::Column::Id.is_in(rows.iter().map(|row| row.contact_inbox_id)));
    let identities: HashMap<i64, Arc<contact_inbox::Model>> =
        identities.all(db).await?.into_iter().map(|row| (row.id, Arc::new(row))).collect();
    let last = last_messages(handles, &rows).await?;
    let ids = last.values().flat_map(|(last, said, _)| [*last, *said]).flatten().collect();
    let messages = messages_by_id(handles, ids).await?;
    let contacts = contacts(handles, rows.iter().map(|row| row.contact_id)).await?;
    let (catalog, now) = (handles.catalog.now(), entity::now());
    let by_contact = rows.iter().filter(|row| catalog.inbox(row.inbox_id).is_some_and(|inbox| inbox.counts_by_contact()));
    let by_contact: Vec<i64> = by_contact.map(|row| row.contact_inbox_id).collect();
    let heard = last_heard(db, &by_contact).await?;
    let mut shown = Vec::with_capacity(rows.len());
    for row in rows {
        let (Some(inbox), Some(contact), Some(identity)) =
            (catalog.inbox(row.inbox_id), contacts.get(&row.contact_id), identities.get(&row.contact_inbox_id))
        else {
            continue;
        };
        let (last_id, said_id, last_incoming_at) = last.get(&row.id).copied().unwrap_or_default();
        let last_incoming_at = if inbox.counts_by_contact() { heard.get(&row.contact_inbox_id).copied() } else { last_incoming_at };
        let view = ConversationView {
            contact: contact.clone(),
            contact_inbox: identity.clone(),
            inbox: InboxCard { id: inbox.row.id, name: inbox.row.name.clone(), channel_type: inbox.settings.channel_type().to_owned() },
            assignee: catalog.assignee(&row),
            team: row.team_id.and_then(|id| catalog.team(id)).map(|team| team.card()),
            last_message: last_id.and_then(|id| messages.get(&id)).cloned().map(Arc::new),
            can_reply: rules::can_reply(&inbox.settings, last_incoming_at, now),
            conversation: Arc::new(row),
        };
        shown.push(ShownConversation { view, last_said: said_id.and_then(|id| messages.get(&id)).cloned() });
    }
    Ok(shown)
}

type Last = (Option<i64>, Option<i64>, Option<chrono::DateTime<chrono::Utc>>);

/// By conversation: the ids of the last message and the last that somebody said, and when the contact wrote last. Each is one
/// look-up at the end of an index.
async fn last_messages(handles: &Handles, rows: &[conversation::Model]) -> ApiResult<HashMap<i64, Last>> {
    let db = &handles.db.read;
    let ids: Vec<String> = rows.iter().map(|row| row.id.to_string()).collect();
    let last = |column: &str, which: &str| {
        format!("(SELECT m.{column} FROM messages m WHERE m.conversation_id = c.id{which} ORDER BY m.id DESC LIMIT 1)")
    };
    let statement = format!(
        "SELECT c.id, {}, {}, {} FROM conversations c WHERE c.id IN ({})",
        last("id", ""),
        last("id", " AND m.message_type <> 2"),
        last("created_at", " AND m.message_type = 0"),
        ids.join(", ")
    );
    let mut found = HashMap::new();
    for row in db.query_all_raw(Statement::from_string(db.get_database_backend(), statement)).await? {
        found.insert(row.try_get_by_index(0)?, (row.try_get_by_index(1)?, row.try_get_by_index(2)?, row.try_get_by_index(3)?));
    }
    Ok(found)
}

/// Messages with senders and attachments, in the order given.
///
/// # Errors
/// If the database fails.
pub async fn messages(handles: &Handles, rows: Vec<message::Model>) -> ApiResult<Vec<MessageView>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let of_contacts = rows.iter().filter(|row| row.sender_type == Some(SenderType::Contact)).filter_map(|row| row.sender_id);
    let contacts = contacts(handles, of_contacts).await?;
    let mut attachments: HashMap<i64, Vec<attachment::Model>> = HashMap::new();
    let carried = attachment::Entity::find()
        .filter(attachment::Column::MessageId.is_in(rows.iter().map(|row| row.id)))
        .order_by_asc(attachment::Column::Id);
    for attachment in carried.all(&handles.db.read).await? {
        attachments.entry(attachment.message_id).or_default().push(attachment);
    }
    let catalog = handles.catalog.now();
    let shown = rows.into_iter().map(|row| {
        let sender = match (row.sender_type, row.sender_id) {
            (Some(SenderType::User), Some(id)) => catalog.user(id).map(|user| Sender::User(user.card())),
            (Some(SenderType::AgentBot), Some(id)) => catalog.bot(id).map(|bot| Sender::Bot(bot.card())),
            (Some(SenderType::Contact), Some(id)) => contacts.get(&id).cloned().map(Sender::Contact),
            _ => None,
        };
        MessageView { attachments: attachments.remove(&row.id).unwrap_or_default(), sender, echo_id: None, message: row }
    });
    Ok(shown.collect())
}

/// Messages by their ids, with what they are shown with.
///
/// # Errors
/// If the database fails.
pub async fn messages_by_id(handles: &Handles, ids: HashSet<i64>) -> ApiResult<HashMap<i64, MessageView>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let found = message::Entity::find().filter(message::Column::Id.is_in(ids)).all(&handles.db.read).await?;
    Ok(messages(handles, found).await?.into_iter().map(|view| (view.message.id, view)).collect())
}

/// Notifications with what they are about, in the order given; those of conversations that are gone are left out.
///
/// # Errors
/// If the database fails.
pub async fn notifications(handles: &Handles, rows: Vec<notification::Model>) -> ApiResult<Vec<NotificationView>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let db = &handles.db.read;
    let about: HashSet<i64> = rows.iter().map(|row| row.conversation_id).collect();
    let about = conversation::Entity::find().filter(conversation::Column::Id.is_in(about)).all(db).await?;
    let about: HashMap<i64, ConversationView> =
        conversations(handles, about).await?.into_iter().map(|shown| (shown.view.conversation.id, shown.view)).collect();
    let said = messages_by_id(handles, rows.iter().filter_map(|row| row.message_id).collect()).await?;
    let catalog = handles.catalog.now();
    let shown = rows.into_iter().filter_map(|row| {
        Some(NotificationView {
            conversation: about.get(&row.conversation_id)?.clone(),
            message: row.message_id.and_then(|id| said.get(&id)).cloned(),
            performer: row.performer_id.and_then(|id| catalog.user(id)).map(|user| user.card()),
            user: catalog.user(row.user_id)?.card(),
            notification: row,
        })
    });
    Ok(shown.collect())
}

/// Contacts by id.
///
/// # Errors
/// If the database fails.
pub async fn contacts(handles: &Handles, ids: impl Iterator<Item = i64>) -> ApiResult<HashMap<i64, Arc<contact::Model>>> {
    let ids: HashSet<i64> = ids.collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let found = contact::Entity::find().filter(contact::Column::Id.is_in(ids)).all(&handles.db.read).await?;
    Ok(found.into_iter().map(|row| (row.id, Arc::new(row))).collect())
}

/// The identities of contacts, oldest first.
///
/// # Errors
/// If the database fails.
pub async fn identities(handles: &Handles, contact_ids: &[i64]) -> ApiResult<Vec<contact_inbox::Model>> {
    let found = contact_inbox::Entity::find()
        .filter(contact_inbox::Column::ContactId.is_in(contact_ids.iter().copied()))
        .order_by_asc(contact_inbox::Column::Id);
    Ok(found.all(&handles.db.read).await?)
}
