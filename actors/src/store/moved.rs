//! The conversations that a merge gives to another contact, as they are told afterwards: a constant number of statements for each
//! [`AT_ONCE`] of them.
use crate::catalog::Snapshot;
use crate::conversation::{last_heard, rules};
use crate::event::{ConversationView, Fact, InboxCard, MessageView};
use crate::message::Sender;
use chrono::{DateTime, Utc};
use entity::message::SenderType;
use entity::{attachment, contact, contact_inbox, conversation, message};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Statement};
use std::collections::HashMap;
use std::sync::Arc;

/// How many are read with one statement.
const AT_ONCE: usize = 500;

/// The ids of a contact's conversations.
pub async fn conversations_of(db: &impl ConnectionTrait, contact_id: i64) -> Result<Vec<i64>, DbErr> {
    let of_contact = conversation::Entity::find().select_only().column(conversation::Column::Id);
    let of_contact = of_contact.filter(conversation::Column::ContactId.eq(contact_id)).order_by_asc(conversation::Column::Id);
    of_contact.into_tuple().all(db).await
}

/// What is told of conversations that are the heir's now.
pub async fn facts(db: &impl ConnectionTrait, catalog: &Snapshot, heir: &Arc<contact::Model>, ids: &[i64]) -> Result<Vec<Fact>, DbErr> {
    let mut facts = Vec::with_capacity(ids.len());
    for ids in ids.chunks(AT_ONCE) {
        facts.extend(views(db, catalog, heir, ids).await?.into_iter().map(Fact::ConversationContactChanged));
    }
    Ok(facts)
}

async fn views(
    db: &impl ConnectionTrait,
    catalog: &Snapshot,
    heir: &Arc<contact::Model>,
    ids: &[i64],
) -> Result<Vec<ConversationView>, DbErr> {
    let rows = conversation::Entity::find().filter(conversation::Column::Id.is_in(ids.iter().copied()));
    let rows = rows.order_by_asc(conversation::Column::Id).all(db).await?;
    let identities = contact_inbox::Entity::find().filter(contact_inbox::Column::Id.is_in(rows.iter().map(|row| row.contact_inbox_id)));
    let identities: HashMap<i64, Arc<contact_inbox::Model>> =
        identities.all(db).await?.into_iter().map(|row| (row.id, Arc::new(row))).collect();
    let last = last_messages(db, ids).await?;
    let mut said = messages(db, catalog, heir, last.values().filter_map(|(id, _)| *id).collect()).await?;
    let now = entity::now();
    let by_contact = rows.iter().filter(|row| catalog.inbox(row.inbox_id).is_some_and(|inbox| inbox.counts_by_contact()));
    let by_contact: Vec<i64> = by_contact.map(|row| row.contact_inbox_id).collect();
    let heard = last_heard(db, &by_contact).await?;
    let view = |row: conversation::Model| {
        let (inbox, identity) = (catalog.inbox(row.inbox_id)?, identities.get(&row.contact_inbox_id)?);
        let (last_id, last_incoming_at) = last.get(&row.id).copied().unwrap_or_default();
        let last_incoming_at = if inbox.counts_by_contact() { heard.get(&row.contact_inbox_id).copied() } else { last_incoming_at };
        Some(ConversationView {
            contact: heir.clone(),
            contact_inbox: identity.clone(),
            inbox: InboxCard { id: inbox.row.id, name: inbox.row.name.clone(), channel_type: inbox.settings.channel_type().to_owned() },
            assignee: catalog.assignee(&row),
            team: row.team_id.and_then(|id| catalog.team(id)).map(|team| team.card()),
            last_message: last_id.and_then(|id| said.remove(&id)).map(Arc::new),
            can_reply: rules::can_reply(&inbox.settings, last_incoming_at, now),
            conversation: Arc::new(row),
        })
    };
    Ok(rows.into_iter().filter_map(view).collect())
}

/// By conversation: its last message, and when its contact wrote last. Each is one look-up at the end of an index.
async fn last_messages(db: &impl ConnectionTrait, ids: &[i64]) -> Result<HashMap<i64, (Option<i64>, Option<DateTime<Utc>>)>, DbErr> {
    let last = |column: &str, which: &str| {
        format!("(SELECT m.{column} FROM messages m WHERE m.conversation_id = c.id{which} ORDER BY m.id DESC LIMIT 1)")
    };
    let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
    let (newest, incoming) = (last("id", ""), last("created_at", " AND m.message_type = 0"));
    let statement = format!("SELECT c.id, {newest}, {incoming} FROM conversations c WHERE c.id IN ({})", ids.join(", "));
    let mut found = HashMap::new();
    for row in db.query_all_raw(Statement::from_string(db.get_database_backend(), statement)).await? {
        found.insert(row.try_get_by_index(0)?, (row.try_get_by_index(1)?, row.try_get_by_index(2)?));
    }
    Ok(found)
}

/// Messages with senders and attachments, by their ids.
async fn messages(
    db: &impl ConnectionTrait,
    catalog: &Snapshot,
    heir: &Arc<contact::Model>,
    ids: Vec<i64>,
) -> Result<HashMap<i64, MessageView>, DbErr> {
    let mut attachments: HashMap<i64, Vec<attachment::Model>> = HashMap::new();
    let carried = attachment::Entity::find().filter(attachment::Column::MessageId.is_in(ids.iter().copied()));
    for attachment in carried.order_by_asc(attachment::Column::Id).all(db).await? {
        attachments.entry(attachment.message_id).or_default().push(attachment);
    }
    let rows = message::Entity::find().filter(message::Column::Id.is_in(ids)).all(db).await?;
    let view = |row: message::Model| {
        let sender = match (row.sender_type, row.sender_id) {
            (Some(SenderType::User), Some(id)) => catalog.user(id).map(|user| Sender::User(user.card())),
            (Some(SenderType::AgentBot), Some(id)) => catalog.bot(id).map(|bot| Sender::Bot(bot.card())),
            (Some(SenderType::Contact), _) => Some(Sender::Contact(heir.clone())),
            _ => None,
        };
        (row.id, MessageView { attachments: attachments.remove(&row.id).unwrap_or_default(), sender, echo_id: None, message: row })
    };
    Ok(rows.into_iter().map(view).collect())
}
