//! The writer: commits groups of commands, each group in one transaction whose statements the commands share.
//!
//! A command ([`Record`]) says what rows are like before and after; which events follow from that is decided here, in one
//! place ([`facts`]), and the events' deliveries are rows of the same transaction. Ids of the tables written here are given
//! by the one [`Writer`], so ids grow in the order of the commits, and an event knows its ids before it is stored.
//!
//! A sea-orm statement costs about the same whatever it does, so a group becomes one statement per table. If a shared
//! statement fails, the group is run again one command at a time, each in a savepoint: a bad command fails alone.
mod facts;
mod rows;

use crate::catalog::{Catalog, Inbox, Snapshot};
use crate::event::{AccountCard, Event, MessageView};
use crate::files::Stored;
use crate::message::UserCard;
use crate::wire::webhook_name;
use chrono::{DateTime, Utc};
use entity::delivery::{DeliveryStatus, EndpointKind};
use entity::{contact, contact_inbox, conversation, delivery, delivery_attempt, message, outgoing};
use sea_orm::{DatabaseConnection, DatabaseTransaction, DbErr, SqlErr, TransactionTrait};
use std::collections::HashSet;
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
    /// What becomes of rows that waited to be sent.
    pub outgoing: Vec<OutgoingChange>,
    /// The latest message before this command, for events about the conversation.
    pub last_message: Option<Arc<MessageView>>,
    /// Whether a reply may be written now.
    pub can_reply: bool,
    /// The row of `idempotency_keys` that this command answers.
    pub claim: Option<i64>,
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

/// What can be committed in a group.
#[derive(Clone, Debug)]
pub enum Command {
    /// Something happened.
    Record(Box<Record>),
    /// A webhook was tried.
    Attempt(Box<Attempt>),
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
        if let Some(SqlErr::UniqueConstraintViolation(words)) = error.sql_err() {
            let field = |names: &[&str]| names.iter().any(|name| words.contains(name));
            return match () {
                () if field(&["contacts_by_email", "contacts.email"]) => StoreError::Taken("email"),
                () if field(&["contacts_by_phone_number", "contacts.phone_number"]) => StoreError::Taken("phone_number"),
                () if field(&["contacts_by_identifier", "contacts.identifier"]) => StoreError::Taken("identifier"),
                () => StoreError::Conflict(words),
            };
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
    /// What became of a [`Record`]; none for an [`Attempt`].
    pub recorded: Option<Recorded>,
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
    ids: rows::Ids,
}

impl Writer {
    /// Over the writer's connection.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn open(db: DatabaseConnection, catalog: Catalog) -> Result<Self, DbErr> {
        let ids = rows::Ids::load(&db).await?;
        Ok(Writer { db, catalog, ids })
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
        let transaction = self.db.begin().await?;
        let committed = self.write(&transaction, group).await?;
        transaction.commit().await.map_err(Failure::AtCommit)?;
        Ok(committed)
    }

    async fn one_by_one(&mut self, group: Vec<Command>) -> Vec<Result<Committed, StoreError>> {
        let size = group.len();
        match self.in_savepoints(group).await {
            Ok(results) => results,
            Err(error) => vec![Err(error.into()); size],
        }
    }

    async fn in_savepoints(&mut self, group: Vec<Command>) -> Result<Vec<Result<Committed, StoreError>>, DbErr> {
        let transaction = self.db.begin().await?;
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
        let (mut records, mut attempts, mut order) = (Vec::new(), Vec::new(), Vec::new());
        for command in group {
            order.push(matches!(command, Command::Record(_)));
            match command {
                Command::Record(record) => records.push(*record),
                Command::Attempt(attempt) => attempts.push(*attempt),
            }
        }
        rows::write_attempts(db, &mut self.ids, attempts).await?;
        let mut committed = self.write_records(db, records).await?.into_iter();
        Ok(order.into_iter().map(|is_record| if is_record { committed.next().unwrap_or_default() } else { Committed::default() }).collect())
    }

    async fn write_records(&mut self, db: &DatabaseTransaction, mut records: Vec<Record>) -> Result<Vec<Committed>, DbErr> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
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
        let mut events = Vec::new();
        let mut deliveries = Vec::new();
        let mut events_of: Vec<Vec<Arc<Event>>> = Vec::with_capacity(records.len());
        for (position, record) in records.iter().enumerate() {
            let mut of_record = Vec::new();
            if !repeated.contains(&position) {
                for fact in facts::facts(record, &catalog) {
                    let event = Arc::new(Event {
                        id: self.ids.event(),
                        account: record.account.clone(),
                        at: entity::now(),
                        performer: record.performer.clone(),
                        fact,
                    });
                    deliveries.extend(self.deliveries(&catalog, &event, record));
                    events.push(event.clone());
                    of_record.push(event);
                }
            }
            events_of.push(of_record);
        }
        let stored = records.iter().enumerate().filter(|(position, _)| !repeated.contains(position)).map(|(_, record)| record);
        rows::update_conversations(db, stored.clone()).await?;
        rows::update_labels(db, stored.clone()).await?;
        rows::update_contacts(db, stored.clone()).await?;
        rows::write_outgoing(db, stored.clone()).await?;
        rows::write_claims(db, stored).await?;
        rows::insert_events(db, &events, deliveries).await?;
        let mut committed = Vec::with_capacity(records.len());
        for ((position, record), events) in records.into_iter().enumerate().zip(events_of) {
            let is_repeat = repeated.contains(&position);
            let recorded = if is_repeat { rows::stored_before(db, record).await? } else { recorded(record) };
            committed.push(Committed { recorded: Some(recorded), events });
        }
        Ok(committed)
    }

    /// A row for each endpoint that wants to hear of an event.
    fn deliveries(&mut self, catalog: &Snapshot, event: &Event, record: &Record) -> Vec<delivery::Model> {
        let Some(name) = webhook_name(&event.fact) else { return Vec::new() };
        let inbox_id = event.fact.conversation().map(|view| view.inbox.id);
        let own = record.inbox.as_ref().filter(|inbox| inbox_id.is_some() && inbox.webhook_url().is_some());
        let wants = |webhook: &crate::catalog::Webhook| {
            webhook.subscriptions.iter().any(|subscribed| subscribed == name)
                && webhook.row.inbox_id.is_none_or(|only| inbox_id == Some(only))
        };
        let subscribed = catalog.webhooks_of(event.account.id).into_iter().filter(|webhook| wants(webhook));
        let endpoints = own.map(|inbox| (EndpointKind::Inbox, inbox.row.id)).into_iter();
        let endpoints: Vec<_> = endpoints.chain(subscribed.map(|webhook| (EndpointKind::Webhook, webhook.row.id))).collect();
        let conversation_id = event.fact.conversation().map(|view| view.conversation.id);
        let row = |(endpoint, endpoint_id)| delivery::Model {
            id: self.ids.delivery(),
            uuid: Uuid::now_v7(),
            account_id: event.account.id,
            event_id: event.id,
            endpoint,
            endpoint_id,
            conversation_id,
            status: DeliveryStatus::Queued,
            failures: 0,
            due_at: event.at,
            created_at: event.at,
            finished_at: None,
        };
        endpoints.into_iter().map(row).collect()
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
