//! The statements of a group, one per table.
use super::{Announcement, Attempt, NewMessage, Record, Recorded, Row};
use crate::event::{Event, MessageView};
use entity::{
    account, announcement, attachment, contact, contact_inbox, conversation, delivery, delivery_attempt, event, id_mark, message,
    notification,
};
use sea_orm::sea_query::{Expr, ExprTrait, IntoIden, OnConflict, Query, TableRef, ValueTuple};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, ModelTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The next ids of the tables that only the writer fills.
#[derive(Debug, Default)]
pub struct Ids {
    contact: i64,
    contact_inbox: i64,
    conversation: i64,
    message: i64,
    attachment: i64,
    event: i64,
    delivery: i64,
    attempt: i64,
    notification: i64,
}

impl Ids {
    /// From the highest ids stored, or removed.
    pub async fn load(db: &impl ConnectionTrait) -> Result<Self, DbErr> {
        let mut ids = Ids {
            contact: highest::<contact::Entity>(db, contact::Column::Id).await?,
            contact_inbox: highest::<contact_inbox::Entity>(db, contact_inbox::Column::Id).await?,
            conversation: highest::<conversation::Entity>(db, conversation::Column::Id).await?,
            message: highest::<message::Entity>(db, message::Column::Id).await?,
            attachment: highest::<attachment::Entity>(db, attachment::Column::Id).await?,
            event: highest::<event::Entity>(db, event::Column::Id).await?,
            delivery: highest::<delivery::Entity>(db, delivery::Column::Id).await?,
            attempt: highest::<delivery_attempt::Entity>(db, delivery_attempt::Column::Id).await?,
            notification: highest::<notification::Entity>(db, notification::Column::Id).await?,
        };
        let marks: HashMap<String, i64> =
            id_mark::Entity::find().all(db).await?.into_iter().map(|mark| (mark.name, mark.last_id)).collect();
        for (name, id) in ids.removable() {
            *id = std::cmp::max(*id, marks.get(name).copied().unwrap_or_default());
        }
        Ok(ids)
    }

    /// The tables from which rows are removed, and their last ids.
    fn removable(&mut self) -> [(&'static str, &mut i64); 5] {
        [
            ("contacts", &mut self.contact),
            ("contact_inboxes", &mut self.contact_inbox),
            ("conversations", &mut self.conversation),
            ("messages", &mut self.message),
            ("attachments", &mut self.attachment),
        ]
    }

    /// Notes the last ids before rows are removed, so that none is given again after the next start.
    pub async fn mark(&mut self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
        let marks = self.removable().map(|(name, id)| set_all(id_mark::Model { name: name.to_owned(), last_id: *id }));
        let again = OnConflict::column(id_mark::Column::Name).update_column(id_mark::Column::LastId).to_owned();
        id_mark::Entity::insert_many::<id_mark::ActiveModel, _>(marks).on_conflict(again).exec_without_returning(db).await?;
        Ok(())
    }

    /// The next attachment.
    pub fn attachment(&mut self) -> i64 {
        next(&mut self.attachment)
    }

    /// The next event.
    pub fn event(&mut self) -> i64 {
        next(&mut self.event)
    }

    /// The next notification.
    pub fn notification(&mut self) -> i64 {
        next(&mut self.notification)
    }

    /// The next delivery.
    pub fn delivery(&mut self) -> i64 {
        next(&mut self.delivery)
    }
}

fn next(last: &mut i64) -> i64 {
    *last += 1;
    *last
}

async fn highest<E: EntityTrait>(db: &impl ConnectionTrait, id: E::Column) -> Result<i64, DbErr> {
    let highest: Option<Option<i64>> = E::find().select_only().column_as(id.max(), "highest").into_tuple().one(db).await?;
    Ok(highest.flatten().unwrap_or(0))
}

/// Positions of records that would open a conversation for a message that is stored already, or that an earlier record of
/// the group brings as well.
pub async fn find_repeats(db: &impl ConnectionTrait, records: &[Record]) -> Result<HashSet<usize>, DbErr> {
    let mut repeats = HashSet::new();
    let mut keys: HashMap<(i64, &str), usize> = HashMap::new();
    for (position, record) in records.iter().enumerate() {
        let opens = matches!(record.conversation, Some(Row::New(_)));
        let message = record.messages.first().map(|message| &message.view.message);
        if let Some(message) = message.filter(|_| opens)
            && let Some(source_id) = &message.source_id
            && keys.insert((message.inbox_id, source_id), position).is_some()
        {
            repeats.insert(position);
        }
    }
    if keys.is_empty() {
        return Ok(repeats);
    }
    let mut condition = sea_orm::Condition::any();
    for (inbox_id, source_id) in keys.keys() {
        condition = condition.add(message::Column::InboxId.eq(*inbox_id).and(message::Column::SourceId.eq(*source_id)));
    }
    let columns = [message::Column::InboxId, message::Column::SourceId];
    let found: Vec<(i64, Option<String>)> =
        message::Entity::find().select_only().columns(columns).filter(condition).into_tuple().all(db).await?;
    let found: HashSet<(i64, Option<&str>)> = found.iter().map(|(inbox_id, source_id)| (*inbox_id, source_id.as_deref())).collect();
    let positions = records.iter().enumerate().filter(|(_, record)| {
        let message = record.messages.first().map(|message| &message.view.message);
        message.is_some_and(|message| message.source_id.is_some() && found.contains(&(message.inbox_id, message.source_id.as_deref())))
    });
    repeats.extend(positions.map(|(position, _)| position));
    Ok(repeats)
}

/// Gives ids to new rows, and display ids to new conversations.
pub async fn give_ids(db: &impl ConnectionTrait, ids: &mut Ids, records: &mut [Record], skipped: &HashSet<usize>) -> Result<(), DbErr> {
    let mut display_ids = display_ids(db, records, skipped).await?;
    for (position, record) in records.iter_mut().enumerate() {
        if skipped.contains(&position) {
            continue;
        }
        if let Row::New(contact) = &mut record.contact {
            contact.id = next(&mut ids.contact);
        }
        let contact_id = record.contact.after().id;
        if let Some(Row::New(contact_inbox)) = &mut record.contact_inbox {
            contact_inbox.id = next(&mut ids.contact_inbox);
            contact_inbox.contact_id = contact_id;
        }
        let contact_inbox_id = record.contact_inbox.as_ref().map(|row| row.after().id);
        if let Some(Row::New(conversation)) = &mut record.conversation {
            conversation.id = next(&mut ids.conversation);
            conversation.contact_id = contact_id;
            conversation.contact_inbox_id = contact_inbox_id.unwrap_or_default();
            conversation.display_id = display_ids.get_mut(&conversation.account_id).map(next).unwrap_or_default();
        }
        let conversation_id = record.conversation.as_ref().map(|row| row.after().id).unwrap_or_default();
        for NewMessage { view, .. } in &mut record.messages {
            view.message.id = next(&mut ids.message);
            view.message.conversation_id = conversation_id;
            if let Some(crate::message::Sender::Contact(sender)) = &mut view.sender {
                view.message.sender_id = Some(contact_id);
                *sender = Arc::new(record.contact.after().clone());
            }
        }
    }
    Ok(())
}

/// The last display id given in each account, before those that this group's new conversations take.
async fn display_ids(db: &impl ConnectionTrait, records: &[Record], skipped: &HashSet<usize>) -> Result<HashMap<i64, i64>, DbErr> {
    let mut wanted: HashMap<i64, i64> = HashMap::new();
    for (position, record) in records.iter().enumerate() {
        if matches!(record.conversation, Some(Row::New(_))) && !skipped.contains(&position) {
            *wanted.entry(record.account.id).or_default() += 1;
        }
    }
    let mut last_before = HashMap::new();
    for (account_id, count) in wanted {
        let last = Expr::col(account::Column::LastDisplayId).add(count);
        let accounts =
            account::Entity::update_many().col_expr(account::Column::LastDisplayId, last).filter(account::Column::Id.eq(account_id));
        for account in accounts.exec_with_returning(db).await? {
            last_before.insert(account_id, account.last_display_id - count);
        }
    }
    Ok(last_before)
}

/// Inserts new contacts, identities and conversations.
pub async fn insert_openings<'a>(db: &impl ConnectionTrait, records: impl Iterator<Item = &'a Record>) -> Result<(), DbErr> {
    let (mut contacts, mut contact_inboxes, mut conversations) = (Vec::new(), Vec::new(), Vec::new());
    for record in records {
        if let Row::New(contact) = &record.contact {
            contacts.push(contact.clone());
        }
        if let Some(Row::New(contact_inbox)) = &record.contact_inbox {
            contact_inboxes.push(contact_inbox.clone());
        }
        if let Some(Row::New(conversation)) = &record.conversation {
            conversations.push(conversation.clone());
        }
    }
    insert::<contact::Entity>(db, contacts).await?;
    insert::<contact_inbox::Entity>(db, contact_inboxes).await?;
    insert::<conversation::Entity>(db, conversations).await
}

/// Inserts messages; returns the positions of records whose first message was stored before.
pub async fn insert_messages(db: &impl ConnectionTrait, records: &[Record], skipped: &HashSet<usize>) -> Result<HashSet<usize>, DbErr> {
    let mut repeated = skipped.clone();
    let fresh = records.iter().enumerate().filter(|(position, _)| !skipped.contains(position));
    let rows: Vec<message::Model> = fresh.flat_map(|(_, record)| &record.messages).map(|message| message.view.message.clone()).collect();
    if rows.is_empty() {
        return Ok(repeated);
    }
    let may_repeat = rows.iter().any(|row| row.source_id.is_some());
    let insert = message::Entity::insert_many(rows.into_iter().map(set_all));
    if may_repeat {
        let conflict = OnConflict::columns([message::Column::InboxId, message::Column::SourceId]).do_nothing().to_owned();
        let mut statement = QueryTrait::into_query(insert.on_conflict(conflict));
        statement.returning(Query::returning().columns([message::Column::Id]));
        let mut stored = HashSet::new();
        for row in db.query_all(&statement).await? {
            stored.insert(row.try_get_by_index::<i64>(0)?);
        }
        for (position, record) in records.iter().enumerate() {
            let first = record.messages.first().filter(|_| !skipped.contains(&position));
            if first.is_some_and(|first| !stored.contains(&first.view.message.id)) {
                repeated.insert(position);
            }
        }
        forget_followers(db, records, &repeated, &stored).await?;
    } else {
        insert.exec_without_returning(db).await?;
    }
    Ok(repeated)
}

/// What came along with a repeated message is not to be stored either.
async fn forget_followers(
    db: &impl ConnectionTrait,
    records: &[Record],
    repeated: &HashSet<usize>,
    stored: &HashSet<i64>,
) -> Result<(), DbErr> {
    let of_repeats = records.iter().enumerate().filter(|(position, _)| repeated.contains(position));
    let followers = of_repeats.flat_map(|(_, record)| record.messages.iter().skip(1)).map(|message| message.view.message.id);
    let followers: Vec<i64> = followers.filter(|id| stored.contains(id)).collect();
    if !followers.is_empty() {
        message::Entity::delete_many().filter(message::Column::Id.is_in(followers)).exec(db).await?;
    }
    Ok(())
}

/// Takes the announcements that wait, oldest first.
pub async fn take_announcements(db: &impl ConnectionTrait) -> Result<Vec<Announcement>, DbErr> {
    let waiting = announcement::Entity::find().order_by_asc(announcement::Column::Id).all(db).await?;
    if !waiting.is_empty() {
        announcement::Entity::delete_many().filter(announcement::Column::Id.is_in(waiting.iter().map(|row| row.id))).exec(db).await?;
    }
    let read = |row: announcement::Model| match serde_json::from_str(&row.payload) {
        Ok(announcement) => Some(announcement),
        Err(error) => {
            tracing::error!(announcement.id = row.id, %error, "what was to be told cannot be read, and is not told");
            None
        }
    };
    Ok(waiting.into_iter().filter_map(read).collect())
}

/// Logs events, and queues their deliveries.
pub async fn insert_events(db: &impl ConnectionTrait, events: &[Arc<Event>], deliveries: Vec<delivery::Model>) -> Result<(), DbErr> {
    let mut rows = Vec::with_capacity(events.len());
    for event in events {
        let conversation = event.fact.conversation();
        rows.push(event::Model {
            id: event.id,
            account_id: event.account.id,
            inbox_id: event.fact.inbox_id(),
            conversation_id: conversation.map(|view| view.conversation.id),
            kind: event.fact.name().to_owned(),
            payload: serde_json::to_string(event).map_err(|error| DbErr::Custom(format!("an event has no JSON form: {error}")))?,
            created_at: event.at,
        });
    }
    insert::<event::Entity>(db, rows).await?;
    insert::<delivery::Entity>(db, deliveries).await
}

/// Notes tries to deliver, and what became of the deliveries.
pub async fn write_attempts(db: &impl ConnectionTrait, ids: &mut Ids, attempts: Vec<Attempt>) -> Result<(), DbErr> {
    use delivery::Column as C;
    let (mut rows, mut deliveries) = (Vec::new(), Vec::new());
    for Attempt { delivery, attempt } in attempts {
        rows.push(delivery_attempt::Model { id: next(&mut ids.attempt), delivery_id: delivery.id, ..attempt });
        deliveries.push(delivery);
    }
    insert::<delivery_attempt::Entity>(db, rows).await?;
    let columns = [C::Status, C::Failures, C::DueAt, C::FinishedAt];
    update::<delivery::Entity>(db, C::Id, &columns, deliveries.iter().collect(), |row| row.id).await
}

/// The answer to a repeat: what was stored the first time.
pub async fn stored_before(db: &impl ConnectionTrait, record: Record) -> Result<Recorded, DbErr> {
    let mut recorded = Recorded {
        contact: record.contact.into_after(),
        contact_inbox: record.contact_inbox.map(Row::into_after),
        conversation: None,
        messages: Vec::new(),
        repeated: true,
        queued: false,
    };
    let key = record.messages.into_iter().next().and_then(|message| {
        let message = message.view.message;
        message.source_id.map(|source_id| (message.inbox_id, source_id))
    });
    let Some((inbox_id, source_id)) = key else { return Ok(recorded) };
    let stored = message::Entity::find().filter(message::Column::InboxId.eq(inbox_id)).filter(message::Column::SourceId.eq(source_id));
    if let Some(message) = stored.one(db).await? {
        recorded.conversation = conversation::Entity::find_by_id(message.conversation_id).one(db).await?.map(Arc::new);
        if let Some(conversation) = &recorded.conversation {
            let contact = contact::Entity::find_by_id(conversation.contact_id).one(db).await?;
            recorded.contact = contact.map_or(recorded.contact, Arc::new);
            recorded.contact_inbox = contact_inbox::Entity::find_by_id(conversation.contact_inbox_id).one(db).await?.map(Arc::new);
        }
        let attachments = attachment::Entity::find().filter(attachment::Column::MessageId.eq(message.id)).all(db).await?;
        let sender = crate::message::Sender::Contact(recorded.contact.clone());
        recorded.messages.push(MessageView { message, attachments, sender: Some(sender), echo_id: None });
    }
    Ok(recorded)
}

/// Inserts rows with all their columns.
pub async fn insert<E>(db: &impl ConnectionTrait, rows: Vec<E::Model>) -> Result<(), DbErr>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel>,
    E::ActiveModel: ActiveModelTrait<Entity = E> + sea_orm::ActiveModelBehavior,
{
    if !rows.is_empty() {
        E::insert_many(rows.into_iter().map(set_all)).exec_without_returning(db).await?;
    }
    Ok(())
}

/// One `UPDATE … FROM (VALUES …)` for all rows; of several with one key the last one counts.
pub async fn update<E: EntityTrait>(
    db: &impl ConnectionTrait,
    key: E::Column,
    columns: &[E::Column],
    rows: Vec<&E::Model>,
    id: impl Fn(&E::Model) -> i64,
) -> Result<(), DbErr>
where
    E::Model: ModelTrait<Entity = E>,
{
    let last: HashMap<i64, &E::Model> = rows.into_iter().map(|row| (id(row), row)).collect();
    if last.is_empty() {
        return Ok(());
    }
    let tuples = last.values().map(|row| {
        let values = std::iter::once(row.get(key)).chain(columns.iter().map(|column| row.get(*column)));
        ValueTuple::Many(values.collect())
    });
    let mut update = Query::update();
    update.table(E::default().table_ref()).from(TableRef::ValuesList(tuples.collect(), "changed".into_iden()));
    for (position, column) in columns.iter().enumerate() {
        // Both databases call the columns of VALUES column1, column2 …
        update.value(*column, Expr::col(("changed".into_iden(), format!("column{}", position + 2).into_iden())));
    }
    update.and_where(Expr::col((E::default().table_name().into_iden(), key.into_iden())).eq(Expr::col(("changed", "column1"))));
    db.execute(&update).await?;
    Ok(())
}

/// Every column as it is in the model, the key included: ids are the writer's.
fn set_all<M, A>(model: M) -> A
where
    M: IntoActiveModel<A>,
    A: ActiveModelTrait,
{
    model.into_active_model().reset_all()
}
