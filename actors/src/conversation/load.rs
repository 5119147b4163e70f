//! What a conversation actor keeps, and how it comes to know it.
use super::rules::{MESSAGES_PER_MINUTE, Spoken};
use super::{Surroundings, rules};
use crate::catalog::{Inbox, Snapshot};
use crate::continuity::is_answer;
use crate::db::Db;
use crate::event::{ConversationView, InboxCard, MessageView};
use crate::message::{Key, Profile, Sender};
use crate::people;
use crate::store::{Recorded, Row, StoreError};
use chrono::{DateTime, Utc};
use entity::message::{MessageStatus, MessageType, SenderType};
use entity::{attachment, contact, contact_alias, contact_inbox, conversation, inbox, message};
use sea_orm::sea_query::{Order, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select, Statement};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// How many conversations of one contact an actor remembers beside the latest.
const REMEMBERED: usize = 8;

/// What the actor keeps between commands.
#[derive(Default)]
pub struct State {
    is_loaded: bool,
    /// None until the contact is known in the inbox.
    pub person: Option<Person>,
    /// The id of the latest conversation.
    pub latest: Option<i64>,
    known: HashMap<i64, Known>,
    /// When the contact wrote last in the inbox, where the channel counts by that; read when it is first needed.
    heard: Option<Option<DateTime<Utc>>>,
}

/// A contact and its identity.
pub struct Person {
    /// The contact.
    pub contact: Arc<contact::Model>,
    /// Its identity in the inbox.
    pub contact_inbox: Arc<contact_inbox::Model>,
}

/// A contact and its identity, as a record takes them.
pub type PersonRows = (Row<contact::Model>, Row<contact_inbox::Model>);

impl Person {
    /// Unchanged.
    pub fn kept(&self) -> PersonRows {
        (Row::Kept(self.contact.clone()), Row::Kept(self.contact_inbox.clone()))
    }
}

/// A conversation with what decisions about it need.
#[derive(Clone)]
pub struct Known {
    /// The row.
    pub row: Arc<conversation::Model>,
    /// Its latest message.
    pub last_message: Option<Arc<MessageView>>,
    last_incoming_at: Option<DateTime<Utc>>,
    /// When the contact wrote last in the inbox, where the channel counts by that.
    heard: Option<Option<DateTime<Utc>>>,
    /// When the last messages were written: no more than are allowed in a minute.
    written_at: VecDeque<DateTime<Utc>>,
    /// Read when it is first asked for.
    spoken: Option<Spoken>,
}

impl Known {
    /// One in which nothing was said yet.
    fn new(row: Arc<conversation::Model>) -> Self {
        let spoken = Some(Spoken::default());
        Known { row, last_message: None, last_incoming_at: None, heard: None, written_at: VecDeque::new(), spoken }
    }

    /// Whether an answer may be written now.
    pub fn can_reply(&self, inbox: &Inbox, now: DateTime<Utc>) -> bool {
        rules::can_reply(&inbox.settings, self.heard_at(), now)
    }

    /// When the contact wrote last, as the channel counts.
    pub fn heard_at(&self) -> Option<DateTime<Utc>> {
        self.heard.unwrap_or(self.last_incoming_at)
    }

    /// Whether one more message would be too many.
    pub fn is_flooded(&self, now: DateTime<Utc>) -> bool {
        rules::is_flooded(self.written_at.iter(), now)
    }

    /// Whether the contact has not written yet.
    pub fn is_unheard(&self) -> bool {
        self.last_incoming_at.is_none()
    }

    /// Whether neither the contact nor an agent has written yet.
    pub fn is_silent(&self) -> bool {
        self.last_incoming_at.is_none() && self.row.first_reply_created_at.is_none()
    }

    /// As events show it.
    pub fn view(
        &self,
        inbox: &Inbox,
        contact: Arc<contact::Model>,
        contact_inbox: Arc<contact_inbox::Model>,
        catalog: &Snapshot,
    ) -> ConversationView {
        ConversationView {
            conversation: self.row.clone(),
            contact,
            contact_inbox,
            inbox: InboxCard { id: inbox.row.id, name: inbox.row.name.clone(), channel_type: inbox.settings.channel_type().to_owned() },
            assignee: catalog.assignee(&self.row),
            team: self.row.team_id.and_then(|id| catalog.team(id)).map(|team| team.card()),
            last_message: self.last_message.clone(),
            can_reply: self.can_reply(inbox, entity::now()),
        }
    }
}

impl State {
    /// Reads the contact and the id of its latest conversation, once. False if the contact is kept under another address now.
    pub async fn load(&mut self, db: &Db, key: &Key) -> Result<bool, StoreError> {
        if self.is_loaded {
            return Ok(true);
        }
        let identity = contact_inbox::Entity::find()
            .filter(contact_inbox::Column::InboxId.eq(key.inbox_id))
            .filter(contact_inbox::Column::SourceId.eq(&key.source_id));
        if let Some(contact_inbox) = identity.one(&db.read).await? {
            let contact = contact::Entity::find_by_id(contact_inbox.contact_id).one(&db.read).await?;
            let latest = conversation::Entity::find()
                .select_only()
                .column(conversation::Column::Id)
                .filter(conversation::Column::ContactInboxId.eq(contact_inbox.id))
                .order_by_desc(conversation::Column::Id)
                .into_tuple()
                .one(&db.read);
            self.latest = latest.await?;
            self.person = contact.map(|contact| Person { contact: Arc::new(contact), contact_inbox: Arc::new(contact_inbox) });
        } else {
            let alias = contact_alias::Entity::find()
                .filter(contact_alias::Column::InboxId.eq(key.inbox_id))
                .filter(contact_alias::Column::Value.eq(&key.source_id));
            if alias.one(&db.read).await?.is_some() {
                return Ok(false);
            }
        }
        self.is_loaded = true;
        Ok(true)
    }

    /// Reads when the contact wrote last in the inbox, once, where the channel counts by that.
    pub async fn hear(&mut self, db: &Db, inbox: &Inbox) -> Result<(), StoreError> {
        if self.heard.is_none() && rules::counts_by_contact(&inbox.settings.capabilities()) {
            self.heard = Some(match &self.person {
                Some(person) => last_heard(&db.read, &[person.contact_inbox.id]).await?.remove(&person.contact_inbox.id),
                None => None,
            });
        }
        Ok(())
    }

    /// When the contact wrote last in the inbox, where the channel counts by that.
    pub fn heard(&self) -> Option<DateTime<Utc>> {
        self.heard.flatten()
    }

    /// A conversation of this contact in this inbox.
    pub async fn conversation(&mut self, surroundings: &Surroundings, id: i64) -> Result<Option<Known>, StoreError> {
        if let Some(known) = self.known.get(&id) {
            return Ok(Some(Known { heard: self.heard, ..known.clone() }));
        }
        let Some(person) = &self.person else { return Ok(None) };
        let db = &surroundings.db.read;
        let row = conversation::Entity::find_by_id(id).filter(conversation::Column::ContactInboxId.eq(person.contact_inbox.id));
        let Some(row) = row.one(db).await? else { return Ok(None) };
        let of_conversation = message::Entity::find().filter(message::Column::ConversationId.eq(id)).order_by_desc(message::Column::Id);
        let last = match of_conversation.clone().one(db).await? {
            Some(message) => Some(Arc::new(view(surroundings, message, Some(&person.contact)).await?)),
            None => None,
        };
        let last_incoming = of_conversation.clone().filter(message::Column::MessageType.eq(MessageType::Incoming)).one(db).await?;
        let is_busy = last.as_ref().is_some_and(|last| rules::is_recent(last.message.created_at, entity::now()));
        let written_at =
            if is_busy { times(of_conversation, MESSAGES_PER_MINUTE).all(db).await?.into_iter().rev().collect() } else { VecDeque::new() };
        let last_incoming_at = last_incoming.map(|message| message.created_at);
        let known = Known { row: Arc::new(row), last_message: last, last_incoming_at, heard: self.heard, written_at, spoken: None };
        self.remember(id, known.clone());
        Ok(Some(known))
    }

    /// When agents and rules wrote last in a conversation that is known.
    pub async fn spoken(&mut self, surroundings: &Surroundings, id: i64) -> Result<Spoken, StoreError> {
        let Some(known) = self.known.get_mut(&id) else { return Ok(Spoken::default()) };
        if let Some(spoken) = known.spoken {
            return Ok(spoken);
        }
        let db = &surroundings.db.read;
        let of_conversation = message::Entity::find().filter(message::Column::ConversationId.eq(id)).order_by_desc(message::Column::Id);
        let last = |kind: MessageType| times(of_conversation.clone().filter(message::Column::MessageType.eq(kind)), 1).one(db);
        let spoken = Spoken { outgoing_at: last(MessageType::Outgoing).await?, template_at: last(MessageType::Template).await? };
        known.spoken = Some(spoken);
        Ok(spoken)
    }

    /// Takes over what was committed.
    pub fn adopt(&mut self, recorded: &Recorded, incoming_at: Option<DateTime<Utc>>) {
        if let Some(contact_inbox) = &recorded.contact_inbox {
            self.person = Some(Person { contact: recorded.contact.clone(), contact_inbox: contact_inbox.clone() });
        }
        let Some(conversation) = &recorded.conversation else { return };
        // What is not known yet is new: nothing was written in it before.
        let before = self.known.remove(&conversation.id).unwrap_or_else(|| Known::new(conversation.clone()));
        let (last_before, incoming_before) = (before.last_message, before.last_incoming_at);
        let newest_before = last_before.as_ref().map(|last| last.message.id);
        let (mut written_at, mut spoken) = (before.written_at, before.spoken);
        for said in recorded.messages.iter().map(|view| &view.message).filter(|said| Some(said.id) > newest_before) {
            written_at.push_back(said.created_at);
            let spoken = spoken.as_mut();
            match (said.message_type, spoken) {
                (MessageType::Outgoing, Some(spoken)) => spoken.outgoing_at = Some(said.created_at),
                (MessageType::Template, Some(spoken)) => spoken.template_at = Some(said.created_at),
                _ => {}
            }
        }
        written_at.drain(..written_at.len().saturating_sub(MESSAGES_PER_MINUTE));
        let latest_said = recorded.messages.iter().max_by_key(|message| message.message.id);
        let last_message = match (latest_said, last_before) {
            (Some(said), Some(before)) if said.message.id < before.message.id => Some(before),
            (Some(said), _) => Some(Arc::new(MessageView { echo_id: None, ..said.clone() })),
            (None, before) => before,
        };
        let last_incoming_at = incoming_at.max(incoming_before);
        self.heard = self.heard.map(|heard| heard.max(incoming_at));
        let known = Known { row: conversation.clone(), last_message, last_incoming_at, heard: self.heard, written_at, spoken };
        self.latest = self.latest.max(Some(conversation.id));
        self.remember(conversation.id, known);
    }

    fn remember(&mut self, id: i64, known: Known) {
        if self.known.len() > REMEMBERED {
            let latest = self.latest;
            self.known.retain(|id, _| Some(*id) == latest);
        }
        self.known.insert(id, known);
    }
}

/// The rows of somebody who writes to the inbox for the first time: a contact that the account knows already, or a new one.
pub async fn new_person(db: &Db, inbox: &inbox::Model, key: &Key, profile: &Profile, now: DateTime<Utc>) -> Result<PersonRows, StoreError> {
    let contact = match people::find_contact(db, inbox.account_id, profile).await? {
        Some(contact) => Row::Kept(Arc::new(contact)),
        None => Row::New(people::new_contact(inbox.account_id, profile, &key.source_id, now)),
    };
    Ok((contact, Row::New(people::new_identity(key, now))))
}

/// When the contacts of identities wrote last, in whatever conversation. Each conversation is one look-up at the end of an index.
///
/// # Errors
/// If the database fails.
pub async fn last_heard(db: &impl ConnectionTrait, contact_inbox_ids: &[i64]) -> Result<HashMap<i64, DateTime<Utc>>, DbErr> {
    let mut last: HashMap<i64, DateTime<Utc>> = HashMap::new();
    if contact_inbox_ids.is_empty() {
        return Ok(last);
    }
    let ids: Vec<String> = contact_inbox_ids.iter().map(i64::to_string).collect();
    let statement = format!(
        "SELECT c.contact_inbox_id, (SELECT m.created_at FROM messages m WHERE m.conversation_id = c.id AND m.message_type = 0 \
         ORDER BY m.id DESC LIMIT 1) FROM conversations c WHERE c.contact_inbox_id IN ({})",
        ids.join(", ")
    );
    for row in db.query_all_raw(Statement::from_string(db.get_database_backend(), statement)).await? {
        let (id, at): (i64, Option<DateTime<Utc>>) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        if let Some(at) = at {
            let known = last.entry(id).or_insert(at);
            *known = at.max(*known);
        }
    }
    Ok(last)
}

/// When messages were written, of so many.
fn times(of: Select<message::Entity>, count: usize) -> sea_orm::Selector<sea_orm::SelectGetableTuple<DateTime<Utc>>> {
    of.select_only().column(message::Column::CreatedAt).limit(u64::try_from(count).ok()).into_tuple()
}

/// A message of a conversation with what belongs to it.
pub async fn message(surroundings: &Surroundings, conversation_id: i64, id: i64) -> Result<Option<MessageView>, StoreError> {
    let found =
        message::Entity::find_by_id(id).filter(message::Column::ConversationId.eq(conversation_id)).one(&surroundings.db.read).await?;
    match found {
        Some(message) => Ok(Some(view(surroundings, message, None).await?)),
        None => Ok(None),
    }
}

/// Whether the contact was asked in a conversation how it was.
pub async fn is_surveyed(surroundings: &Surroundings, conversation_id: i64) -> Result<bool, StoreError> {
    let of_conversation = message::Entity::find().filter(message::Column::ConversationId.eq(conversation_id));
    Ok(of_conversation.filter(message::Column::ContentType.eq(rules::SURVEY)).one(&surroundings.db.read).await?.is_some())
}

/// How many messages are looked through for such as are not seen yet.
pub const SEEN_AT_ONCE: u64 = 100;

/// What was said to the contact and is not marked as read, newest first: among the [`SEEN_AT_ONCE`] messages before an id.
pub async fn unread(surroundings: &Surroundings, conversation_id: i64, before: i64) -> Result<Vec<MessageView>, StoreError> {
    let db = &surroundings.db.read;
    let latest = Query::select()
        .column(message::Column::Id)
        .from(message::Entity)
        .and_where(message::Column::ConversationId.eq(conversation_id))
        .and_where(message::Column::Id.lt(before))
        .order_by(message::Column::Id, Order::Desc)
        .limit(SEEN_AT_ONCE)
        .take();
    let rows = message::Entity::find()
        .filter(message::Column::Id.in_subquery(latest))
        .filter(message::Column::MessageType.is_in([MessageType::Outgoing, MessageType::Template]))
        .filter(message::Column::Status.is_in([MessageStatus::Sent, MessageStatus::Delivered]))
        .filter(message::Column::Private.eq(false))
        .order_by_desc(message::Column::Id)
        .all(db)
        .await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut attachments: HashMap<i64, Vec<attachment::Model>> = HashMap::new();
    let carried = attachment::Entity::find().filter(attachment::Column::MessageId.is_in(rows.iter().map(|row| row.id)));
    for attachment in carried.order_by_asc(attachment::Column::Id).all(db).await? {
        attachments.entry(attachment.message_id).or_default().push(attachment);
    }
    let view = |message: message::Model| MessageView {
        attachments: attachments.remove(&message.id).unwrap_or_default(),
        sender: of_the_desk(surroundings, &message),
        echo_id: None,
        message,
    };
    Ok(rows.into_iter().map(view).collect())
}

/// What the desk wrote to the contact, from an id on and later than the contact has seen, oldest first; of many the last.
pub async fn unseen(
    surroundings: &Surroundings,
    conversation_id: i64,
    from: i64,
    seen_at: Option<DateTime<Utc>>,
) -> Result<Vec<MessageView>, StoreError> {
    let latest = message::Entity::find()
        .filter(message::Column::ConversationId.eq(conversation_id))
        .filter(message::Column::Id.gte(from))
        .filter(message::Column::MessageType.eq(MessageType::Outgoing))
        .order_by_desc(message::Column::Id)
        .limit(SEEN_AT_ONCE);
    let mut answers = Vec::new();
    for row in latest.all(&surroundings.db.read).await?.into_iter().rev() {
        if is_answer(&row) && Some(row.created_at) > seen_at {
            answers.push(view(surroundings, row, None).await?);
        }
    }
    Ok(answers)
}

/// The user or bot who wrote a message.
fn of_the_desk(surroundings: &Surroundings, message: &message::Model) -> Option<Sender> {
    let (catalog, id) = (surroundings.catalog.now(), message.sender_id?);
    match message.sender_type? {
        SenderType::User => catalog.user(id).map(|user| Sender::User(user.card())),
        SenderType::AgentBot => catalog.bot(id).map(|bot| Sender::Bot(bot.card())),
        SenderType::Contact => None,
    }
}

async fn view(
    surroundings: &Surroundings,
    message: message::Model,
    contact: Option<&Arc<contact::Model>>,
) -> Result<MessageView, StoreError> {
    let db = &surroundings.db.read;
    let sender = match (message.sender_type, message.sender_id) {
        (Some(SenderType::Contact), Some(id)) => match contact.filter(|contact| contact.id == id) {
            Some(contact) => Some(Sender::Contact(contact.clone())),
            None => contact::Entity::find_by_id(id).one(db).await?.map(|contact| Sender::Contact(Arc::new(contact))),
        },
        _ => of_the_desk(surroundings, &message),
    };
    let attachments = attachment::Entity::find().filter(attachment::Column::MessageId.eq(message.id)).all(db).await?;
    Ok(MessageView { message, attachments, sender, echo_id: None })
}
