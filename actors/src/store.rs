//! The writer: commits groups of commands, each group in one transaction whose statements the commands share.
//!
//! A command ([`Record`]) says what rows are like before and after; which events follow from that is decided here, in one
//! place ([`facts`]), and the events' deliveries are rows of the same transaction. Ids of the tables written here are given
//! by the one [`Writer`], so ids grow in the order of the commits, and an event knows its ids before it is stored.
//!
//! A sea-orm statement costs about the same whatever it does, so a group becomes one statement per table. If a shared
//! statement fails, the group is run again one command at a time, each in a savepoint: a bad command fails alone.
mod departures;
mod facts;
mod moved;
mod notices;
mod rows;

pub use departures::{ContactDeparture, Departure};
pub use notices::unread;

use crate::catalog::{Catalog, Inbox, Snapshot};
use crate::event::{AccountCard, Event, Fact, MacroPost, MessageView};
use crate::files::Stored;
use crate::mailer::{self, Mail, Postroom};
use crate::message::UserCard;
use crate::participants::Participants;
use crate::webhooks::{Destination, destinations};
use chrono::{DateTime, Utc};
use entity::delivery::DeliveryStatus;
use entity::{announcement, contact, contact_inbox, conversation, delivery, delivery_attempt, message, outgoing};
use sea_orm::{
    ActiveValue, ColumnTrait, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait, QueryFilter,
    SqlErr, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use uuid::Uuid;

/// A row before and after a command.
#[derive(Clone, Debug)]
pub enum Row<M> {
    /// Stays as it is.
    Kept(Arc<M>),
    /// Is new; its id is given when it is stored.
    New(M),
    /// Becomes another.
    Changed {
        /// As it was.
        before: Arc<M>,
        /// As it shall be.
        after: M,
    },
}

impl<M> Row<M> {
    /// As it shall be.
    pub fn after(&self) -> &M {
        match self {
            Row::Kept(row) => row,
            Row::New(row) | Row::Changed { after: row, .. } => row,
        }
    }

    fn into_after(self) -> Arc<M> {
        match self {
            Row::Kept(row) => row,
            Row::New(row) | Row::Changed { after: row, .. } => Arc::new(row),
        }
    }
}

/// Everything that one thing which happened causes; committed whole or not at all.
#[derive(Clone, Debug)]
pub struct Record {
    /// The account it happens in.
    pub account: AccountCard,
    /// The user who causes it, if one does.
    pub performer: Option<UserCard>,
    /// Whom it is about.
    pub contact: Row<contact::Model>,
    /// Where it happens; none for what concerns a contact alone.
    pub inbox: Option<Arc<Inbox>>,
    /// The contact's identity there.
    pub contact_inbox: Option<Row<contact_inbox::Model>>,
    /// The conversation.
    pub conversation: Option<Row<conversation::Model>>,
    /// What is said, in order. If the first has a source id that is stored already, the whole command is a repeat.
    pub messages: Vec<NewMessage>,
    /// Messages that become others.
    pub changed_messages: Vec<(MessageView, message::Model)>,
    /// Messages that are told once more, as if they were new.
    pub retold: Vec<MessageView>,
    /// The titles of the contact's labels before and after, where they change.
    pub contact_labels: Option<(BTreeSet<String>, BTreeSet<String>)>,
    /// Addresses that are told how the conversation is then.
    pub posts: Vec<MacroPost>,
    /// Mail in the desk's own name.
    pub mails: Vec<Mail>,
    /// What becomes of rows that waited to be sent.
    pub outgoing: Vec<OutgoingChange>,
    /// The latest message before this command, for events about the conversation.
    pub last_message: Option<Arc<MessageView>>,
    /// Whether a reply may be written now.
    pub can_reply: bool,
    /// The row of `idempotency_keys` that this command answers, and with what.
    pub claim: Option<(i64, Made)>,
}

/// What a request has made that carries an idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// A contact.
    Contact,
    /// A conversation, whatever was said in it.
    Conversation,
    /// A message.
    Message,
}

/// A message to be stored.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// The row without its ids, and its sender.
    pub view: MessageView,
    /// The stored files that go with it.
    pub files: Vec<NewFile>,
}

/// A stored file on its way into a message.
#[derive(Clone, Debug)]
pub struct NewFile {
    /// What was stored.
    pub stored: Stored,
    /// Who brought it, if a user did.
    pub uploader_id: Option<i64>,
    /// Its row, where it was uploaded before.
    pub blob_id: Option<i64>,
}

impl From<entity::blob::Model> for NewFile {
    fn from(row: entity::blob::Model) -> Self {
        NewFile { blob_id: Some(row.id), uploader_id: row.uploader_id, stored: row.into() }
    }
}

/// What becomes of a row that waited to be sent.
#[derive(Clone, Debug)]
pub enum OutgoingChange {
    /// Sent, failed or withdrawn: it waits no more.
    Done {
        /// Which.
        message_id: i64,
    },
    /// It is tried again later.
    Later {
        /// Which.
        message_id: i64,
        /// How often it has failed.
        failures: i32,
        /// When to try again.
        due_at: DateTime<Utc>,
        /// Why it failed.
        error: String,
    },
    /// It waits again, from now.
    Queue {
        /// Which.
        message_id: i64,
    },
}

/// One try to deliver an event to an endpoint.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Of which delivery; its status, failures and due time as they shall be.
    pub delivery: delivery::Model,
    /// When, how long, with what result; its id is given when it is stored.
    pub attempt: delivery_attempt::Model,
}

/// Something to be told that follows from no record. Whoever changes rows beside the writer notes it in the same transaction
/// as a row of `announcements`; the writer gives it its place in the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Announcement {
    /// The account it happens in.
    pub account: AccountCard,
    /// The user who causes it, if one does.
    pub performer: Option<UserCard>,
    /// What happens.
    pub fact: Fact,
}

impl Announcement {
    /// Notes it; it is told once `db` has committed and the writer was asked, or at the next start.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn note(&self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
        let payload = serde_json::to_string(self).map_err(|error| DbErr::Custom(format!("an event has no JSON form: {error}")))?;
        let row = announcement::ActiveModel {
            id: ActiveValue::NotSet,
            account_id: ActiveValue::Set(self.account.id),
            payload: ActiveValue::Set(payload),
            created_at: ActiveValue::Set(entity::now()),
        };
        announcement::Entity::insert(row).exec_without_returning(db).await.map(drop)
    }
}

/// What can be committed in a group.
#[derive(Clone, Debug)]
pub enum Command {
    /// Something happened.
    Record(Box<Record>),
    /// A webhook was tried.
    Attempt(Box<Attempt>),
    /// A contact leaves.
    Departure(Box<Departure>),
    /// Something is told.
    Announcement(Box<Announcement>),
    /// What waits in `announcements` is told.
    Announcements,
}

/// What became of a [`Record`].
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The contact as it is now.
    pub contact: Arc<contact::Model>,
    /// Its identity.
    pub contact_inbox: Option<Arc<contact_inbox::Model>>,
    /// The conversation as it is now.
    pub conversation: Option<Arc<conversation::Model>>,
    /// The messages stored, or changed, with their ids.
    pub messages: Vec<MessageView>,
    /// The first message had been stored before: nothing was written now, and `messages` holds it as it is stored.
    pub repeated: bool,
    /// Whether messages wait to be sent by the channel.
    pub queued: bool,
}

/// Why a command was not stored.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another row has this value already: the contract's field name.
    #[error("{0} has already been taken")]
    Taken(&'static str),
    /// Somebody else was faster; ask again.
    #[error("the row was changed meanwhile: {0}")]
    Conflict(String),
    /// The contact that it is about was removed, or merged into another one.
    #[error("the contact is not there any more")]
    Gone,
    /// The database will not take it.
    #[error("the database refused it: {0}")]
    Refused(String),
    /// The database failed; whether it was stored is unknown.
    #[error("the database failed: {0}")]
    Database(String),
    /// Whether it was stored is unknown.
    #[error("whoever should have answered is gone")]
    Unanswered,
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        // Something that a row belongs to was removed.
        if let Some(SqlErr::ForeignKeyConstraintViolation(_)) = error.sql_err() {
            return StoreError::Gone;
        }
        if let Some(SqlErr::UniqueConstraintViolation(words)) = error.sql_err() {
            let field = |names: &[&str]| names.iter().any(|name| words.contains(name));
            return match () {
                () if field(&["contacts_by_email", "contacts.email"]) => StoreError::Taken("email"),
                () if field(&["contacts_by_phone_number", "contacts.phone_number"]) => StoreError::Taken("phone_number"),
                () if field(&["contacts_by_identifier", "contacts.identifier"]) => StoreError::Taken("identifier"),
                () if field(&["users_by_email", "users.email"]) => StoreError::Taken("email"),
                () if field(&["teams_by_name", "teams.name"]) => StoreError::Taken("name"),
                () if field(&["assignment_policies_by_name", "assignment_policies.name"]) => StoreError::Taken("name"),
                () if field(&["labels_by_title", "labels.title"]) && !field(&["_labels"]) => StoreError::Taken("title"),
                () if field(&["canned_responses_by_code", "canned_responses.short_code"]) => StoreError::Taken("short_code"),
                () if field(&["custom_attribute_definitions"]) => StoreError::Taken("attribute_key"),
                () => StoreError::Conflict(words),
            };
        }
        if matches!(error, DbErr::RecordNotFound(_)) {
            return StoreError::Gone;
        }
        let words = error.to_string();
        // PostgreSQL: class 22 is bad data, 23 a violated rule; SQLite: "CHECK constraint failed", "string or blob too big".
        match error_code(&error) {
            Some(code) if code.starts_with("22") || code.starts_with("23") => StoreError::Refused(words),
            _ if words.contains("constraint failed") || words.contains("too big") => StoreError::Refused(words),
            _ => StoreError::Database(words),
        }
    }
}

fn error_code(error: &DbErr) -> Option<String> {
    match error {
        DbErr::Exec(sea_orm::RuntimeErr::SqlxError(error)) | DbErr::Query(sea_orm::RuntimeErr::SqlxError(error)) => {
            error.as_database_error().and_then(|error| error.code()).map(Into::into)
        }
        _ => None,
    }
}

/// A command that was stored.
#[derive(Clone, Debug, Default)]
pub struct Committed {
    /// What became of a [`Record`]; none for anything else.
    pub recorded: Option<Recorded>,
    /// The keys of files that nobody has any more.
    pub abandoned: Vec<String>,
    /// The events to publish.
    pub events: Vec<Arc<Event>>,
}

/// When a group failed.
enum Failure {
    /// Nothing of it is stored.
    Before(DbErr),
    /// It may be stored.
    AtCommit(DbErr),
}

impl From<DbErr> for Failure {
    fn from(error: DbErr) -> Self {
        Failure::Before(error)
    }
}

/// The one writer of contacts, conversations, messages and what they cause.
pub struct Writer {
    db: DatabaseConnection,
    catalog: Catalog,
    participants: Participants,
    ids: rows::Ids,
    postroom: Postroom,
    /// Contacts that left in this run, or were about to: before anything is written for one of them it is looked up.
    departed: HashSet<i64>,
}

impl Writer {
    /// Over the writer's connection. With the daemon's address, notifications are mailed as well.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn open(db: DatabaseConnection, catalog: Catalog, participants: Participants, postroom: Postroom) -> Result<Self, DbErr> {
        let ids = rows::Ids::load(&db).await?;
        Ok(Writer { db, catalog, participants, ids, postroom, departed: HashSet::new() })
    }

    /// Commits a group; answers every command, in order.
    pub async fn commit(&mut self, group: Vec<Command>) -> Vec<Result<Committed, StoreError>> {
        match self.together(group.clone()).await {
            Ok(committed) => committed.into_iter().map(Ok).collect(),
            // Whether it was stored is unknown: to run it again could store it twice.
            Err(Failure::AtCommit(error)) => vec![Err(StoreError::Database(format!("at the commit: {error}"))); group.len()],
            // Alone in its group, it has failed alone already.
            Err(Failure::Before(error)) if group.len() == 1 => vec![Err(error.into())],
            Err(Failure::Before(error)) => {
                tracing::debug!(group.size = group.len(), %error, "a group failed, committing its commands one by one");
                self.one_by_one(group).await
            }
        }
    }

    async fn together(&mut self, group: Vec<Command>) -> Result<Vec<Committed>, Failure> {
        let transaction = self.begin().await?;
        let committed = self.write(&transaction, group).await?;
        transaction.commit().await.map_err(Failure::AtCommit)?;
        Ok(committed)
    }

    /// On SQLite as a writer from the beginning: a command of the operator may write beside the daemon, and a transaction that had
    /// read before would fail instead of waiting for it.
    async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        let sqlite_transaction_mode = Some(SqliteTransactionMode::Immediate);
        self.db.begin_with_options(TransactionOptions { sqlite_transaction_mode, ..Default::default() }).await
    }

    async fn one_by_one(&mut self, group: Vec<Command>) -> Vec<Result<Committed, StoreError>> {
        let size = group.len();
        match self.in_savepoints(group).await {
            Ok(results) => results,
            Err(error) => vec![Err(error.into()); size],
        }
    }

    async fn in_savepoints(&mut self, group: Vec<Command>) -> Result<Vec<Result<Committed, StoreError>>, DbErr> {
        let transaction = self.begin().await?;
        let mut results = Vec::with_capacity(group.len());
        for command in group {
            let savepoint = transaction.begin().await?;
            match self.write(&savepoint, vec![command]).await {
                Ok(committed) => {
                    savepoint.commit().await?;
                    results.extend(committed.into_iter().map(Ok));
                }
                Err(error) => {
                    savepoint.rollback().await?;
                    results.push(Err(error.into()));
                }
            }
        }
        transaction.commit().await?;
        Ok(results)
    }

    /// Writes the rows of a group: one statement per table.
    async fn write(&mut self, db: &DatabaseTransaction, group: Vec<Command>) -> Result<Vec<Committed>, DbErr> {
        let (mut records, mut positions, mut attempts, mut departures) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut announced = Vec::new();
        let mut committed = Vec::with_capacity(group.len());
        for (position, command) in group.into_iter().enumerate() {
            match command {
                Command::Record(record) => {
                    positions.push(position);
                    records.push(*record);
                }
                Command::Attempt(attempt) => {
                    committed.push((position, Committed::default()));
                    attempts.push(*attempt);
                }
                Command::Departure(departure) => departures.push((position, *departure)),
                Command::Announcement(announcement) => announced.push((position, vec![*announcement])),
                Command::Announcements => announced.push((position, rows::take_announcements(db).await?)),
            }
        }
        rows::write_attempts(db, &mut self.ids, attempts).await?;
        committed.extend(positions.into_iter().zip(self.write_records(db, records).await?));
        for (position, departure) in departures {
            committed.push((position, self.write_departure(db, departure).await?));
        }
        for (position, announcements) in announced {
            committed.push((position, self.write_announcements(db, announcements).await?));
        }
        committed.sort_unstable_by_key(|(position, _)| *position);
        Ok(committed.into_iter().map(|(_, committed)| committed).collect())
    }

    async fn write_departure(&mut self, db: &DatabaseTransaction, departure: Departure) -> Result<Committed, DbErr> {
        if let Departure::Contact(departure) = &departure {
            self.departed.insert(departure.contact.id);
        }
        self.ids.mark(db).await?;
        let moving = match &departure {
            Departure::Contact(departure) if departure.heir.is_some() => moved::conversations_of(db, departure.contact.id).await?,
            _ => Vec::new(),
        };
        let abandoned = departure.write(db).await?;
        let catalog = self.catalog.now();
        let (mut events, mut deliveries) = (Vec::new(), Vec::new());
        if let Departure::Contact(departure) = &departure {
            let mut facts = departure.facts();
            if let Some((_, heir)) = &departure.heir {
                facts.extend(moved::facts(db, &catalog, &Arc::new(heir.clone()), &moving).await?);
            }
            for fact in facts {
                let event = self.event(departure.account.clone(), departure.performer.clone(), fact);
                deliveries.extend(self.deliveries(&catalog, &event));
                events.push(event);
            }
        }
        rows::insert_events(db, &events, deliveries).await?;
        Ok(Committed { recorded: None, abandoned, events })
    }

    async fn write_announcements(&mut self, db: &DatabaseTransaction, announcements: Vec<Announcement>) -> Result<Committed, DbErr> {
        let catalog = self.catalog.now();
        let (mut events, mut deliveries) = (Vec::new(), Vec::new());
        for Announcement { account, performer, fact } in announcements {
            let event = self.event(account, performer, fact);
            deliveries.extend(self.deliveries(&catalog, &event));
            events.push(event);
        }
        rows::insert_events(db, &events, deliveries).await?;
        Ok(Committed { recorded: None, abandoned: Vec::new(), events })
    }

    fn event(&mut self, account: AccountCard, performer: Option<UserCard>, fact: Fact) -> Arc<Event> {
        Arc::new(Event { id: self.ids.event(), account, at: entity::now(), performer, fact })
    }

    /// A contact that left cannot be written for: its row would come back, or its conversations go astray.
    async fn refuse_departed(&self, db: &DatabaseTransaction, records: &[Record]) -> Result<(), DbErr> {
        let known = records.iter().map(|record| record.contact.after().id);
        let suspects: HashSet<i64> = known.filter(|id| self.departed.contains(id)).collect();
        let expected = suspects.len() as u64;
        if expected > 0 && contact::Entity::find().filter(contact::Column::Id.is_in(suspects)).count(db).await? < expected {
            return Err(DbErr::RecordNotFound("a contact that left".into()));
        }
        Ok(())
    }

    async fn write_records(&mut self, db: &DatabaseTransaction, mut records: Vec<Record>) -> Result<Vec<Committed>, DbErr> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        self.refuse_departed(db, &records).await?;
        let repeats_of_openings = rows::find_repeats(db, &records).await?;
        rows::give_ids(db, &mut self.ids, &mut records, &repeats_of_openings).await?;
        let is_new = |position: usize, skipped: &HashSet<usize>| !skipped.contains(&position);
        rows::insert_openings(
            db,
            records.iter().enumerate().filter(|(position, _)| is_new(*position, &repeats_of_openings)).map(|(_, record)| record),
        )
        .await?;
        let repeated = rows::insert_messages(db, &mut self.ids, &mut records, &repeats_of_openings).await?;
        let catalog = self.catalog.now();
        let mut events_of: Vec<Vec<Arc<Event>>> = Vec::with_capacity(records.len());
        for (position, record) in records.iter().enumerate() {
            let facts = if repeated.contains(&position) { Vec::new() } else { facts::facts(record, &catalog) };
            events_of.push(facts.into_iter().map(|fact| self.event(record.account.clone(), record.performer.clone(), fact)).collect());
        }
        let told = notices::write(db, &mut self.ids, &catalog, &self.participants, &self.postroom, &events_of).await?;
        for (position, fact) in told {
            if let (Some(record), Some(events)) = (records.get(position), events_of.get_mut(position)) {
                events.push(self.event(record.account.clone(), record.performer.clone(), fact));
            }
        }
        let events: Vec<Arc<Event>> = events_of.iter().flatten().cloned().collect();
        let deliveries = events.iter().flat_map(|event| self.deliveries(&catalog, event)).collect();
        let stored = records.iter().enumerate().filter(|(position, _)| !repeated.contains(position)).map(|(_, record)| record);
        rows::update_conversations(db, stored.clone()).await?;
        rows::update_labels(db, stored.clone()).await?;
        rows::update_contact_labels(db, stored.clone()).await?;
        rows::update_contacts(db, stored.clone()).await?;
        rows::write_outgoing(db, stored.clone()).await?;
        let mails = stored.clone().flat_map(|record| record.mails.clone()).collect();
        mailer::insert(db, &self.postroom.vault, mails, entity::now()).await?;
        rows::write_claims(db, stored).await?;
        rows::insert_events(db, &events, deliveries).await?;
        let mut committed = Vec::with_capacity(records.len());
        for ((position, record), events) in records.into_iter().enumerate().zip(events_of) {
            let is_repeat = repeated.contains(&position);
            let recorded = if is_repeat { rows::stored_before(db, record).await? } else { recorded(record) };
            committed.push(Committed { recorded: Some(recorded), abandoned: Vec::new(), events });
        }
        Ok(committed)
    }

    /// A row for each endpoint that wants to hear of an event.
    fn deliveries(&mut self, catalog: &Snapshot, event: &Event) -> Vec<delivery::Model> {
        let conversation_id = event.fact.conversation().map(|view| view.conversation.id);
        let row = |((endpoint, endpoint_id), event_name): Destination| delivery::Model {
            id: self.ids.delivery(),
            uuid: Uuid::now_v7(),
            account_id: event.account.id,
            event_id: event.id,
            event_name: event_name.map(str::to_owned),
            endpoint,
            endpoint_id,
            conversation_id,
            status: DeliveryStatus::Queued,
            failures: 0,
            due_at: event.at,
            created_at: event.at,
            finished_at: None,
        };
        destinations(&event.fact, event.account.id, catalog).into_iter().map(row).collect()
    }
}

/// Whether a message was taken back.
fn is_taken_back(message: &message::Model) -> bool {
    message.content_attributes.get("deleted").is_some_and(|deleted| deleted == true)
}

/// A message after a change; one that was taken back carries nothing.
fn after_change(before: &MessageView, after: &message::Model) -> MessageView {
    let attachments = if is_taken_back(after) { Vec::new() } else { before.attachments.clone() };
    MessageView { message: after.clone(), attachments, ..before.clone() }
}

fn recorded(record: Record) -> Recorded {
    let queued = record.messages.iter().any(|message| message.view.message.status == message::MessageStatus::Queued)
        || record.outgoing.iter().any(|change| matches!(change, OutgoingChange::Queue { .. }));
    let stored = record.messages.into_iter().map(|message| message.view);
    let changed = record.changed_messages.iter().map(|(before, after)| after_change(before, after));
    Recorded {
        contact: record.contact.into_after(),
        contact_inbox: record.contact_inbox.map(Row::into_after),
        conversation: record.conversation.map(Row::into_after),
        messages: stored.chain(changed).collect(),
        repeated: false,
        queued,
    }
}

/// A row that waits to be sent.
fn waiting(message: &message::Model) -> outgoing::Model {
    outgoing::Model {
        message_id: message.id,
        inbox_id: message.inbox_id,
        conversation_id: message.conversation_id,
        failures: 0,
        due_at: message.created_at,
        last_error: None,
        created_at: message.created_at,
    }
}
