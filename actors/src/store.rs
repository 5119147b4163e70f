//! The writer: commits groups of commands, each group in one transaction whose statements the commands share.
//!
//! A command ([`Record`]) says what rows are like before and after; which events follow from that is decided here, in one
//! place ([`facts`]), and the events' deliveries are rows of the same transaction. Ids of the tables written here are given
//! by the one [`Writer`], so ids grow in the order of the commits, and an event knows its ids before it is stored.
//!
//! A sea-orm statement costs about the same whatever it does, so a group becomes one statement per table. If a shared
//! statement fails, the group is run again one command at a time, each in a savepoint: a bad command fails alone.
mod departures;
mod error;
mod facts;
mod files;
mod follow_ups;
mod moved;
mod notices;
mod record;
mod rows;
mod updates;

pub use departures::{ContactDeparture, Departure};
pub use error::StoreError;
pub use notices::unread;
pub use record::{Announcement, Attempt, ChangedMessage, Command, Made, NewFile, NewMessage, OutgoingChange, Record, Recorded, Row};

use crate::catalog::{Catalog, Snapshot};
use crate::event::{AccountCard, Event, Fact, MessageView};
use crate::mailer::{self, Postroom};
use crate::message::UserCard;
use crate::participants::Participants;
use crate::standings::{Change, Standing};
use crate::webhooks::{Destination, destinations};
use entity::delivery::DeliveryStatus;
use entity::{contact, delivery, message, outgoing};
use sea_orm::{
    ColumnTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait, QueryFilter, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};
use serde_json::json;
use std::collections::HashSet;
use std::sync::Arc;
use uuid::Uuid;

/// A command that was stored.
#[derive(Clone, Debug, Default)]
pub struct Committed {
    /// What became of a [`Record`]; none for anything else.
    pub recorded: Option<Recorded>,
    /// The keys of files that nobody has any more.
    pub abandoned: Vec<String>,
    /// The events to publish.
    pub events: Vec<Arc<Event>>,
    /// What changes of the counts of an account.
    pub change: Option<Change>,
    /// An account that was counted.
    pub counted: Option<(i64, Standing)>,
    /// Whether something went that no change tells of.
    pub uncounted: bool,
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
                Command::Count(account_id) => {
                    let counted = Some((account_id, Standing::read(db, account_id).await?));
                    committed.push((position, Committed { counted, ..Committed::default() }));
                }
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
        Ok(Committed { abandoned, events, uncounted: true, ..Committed::default() })
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
        Ok(Committed { events, ..Committed::default() })
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
        let repeated = rows::insert_messages(db, &records, &repeats_of_openings).await?;
        files::insert(db, &mut self.ids, &mut records, &repeated).await?;
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
        updates::update_conversations(db, stored.clone()).await?;
        updates::update_labels(db, stored.clone()).await?;
        updates::update_contact_labels(db, stored.clone()).await?;
        updates::update_contacts(db, stored.clone()).await?;
        updates::write_outgoing(db, stored.clone()).await?;
        let mails = stored.clone().flat_map(|record| record.mails.clone()).collect();
        mailer::insert(db, &self.postroom.vault, mails, entity::now()).await?;
        if self.postroom.desk_url.is_some() {
            follow_ups::write(db, stored.clone()).await?;
        }
        updates::write_claims(db, stored).await?;
        rows::insert_events(db, &events, deliveries).await?;
        let mut committed = Vec::with_capacity(records.len());
        for ((position, record), events) in records.into_iter().enumerate().zip(events_of) {
            let is_repeat = repeated.contains(&position);
            let change = Change::of(&record).filter(|_| !is_repeat);
            let recorded = if is_repeat { rows::stored_before(db, record).await? } else { recorded(record) };
            committed.push(Committed { recorded: Some(recorded), events, change, ..Committed::default() });
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
fn after_change(ChangedMessage { before, after, .. }: &ChangedMessage) -> MessageView {
    let attachments = if is_taken_back(after) { Vec::new() } else { before.attachments.clone() };
    MessageView { message: after.clone(), attachments, ..before.clone() }
}

fn recorded(record: Record) -> Recorded {
    let queued = record.messages.iter().any(|message| message.view.message.status == message::MessageStatus::Queued)
        || record.outgoing.iter().any(|change| matches!(change, OutgoingChange::Queue { .. }));
    let stored = record.messages.into_iter().map(|message| message.view);
    let changed = record.changed_messages.iter().map(after_change);
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
        action: outgoing::Action::Send,
        sent_parts: json!([]),
    }
}
