//! The statements of a group, one per table.
use super::departures::drop_blobs;
use super::{Attempt, NewMessage, OutgoingChange, Record, Recorded, Row, is_taken_back, waiting};
use crate::conversation::rules::labels_of;
use crate::event::{Event, MessageView};
use crate::wire::{VOICE_MESSAGE, set};
use entity::message::MessageStatus;
use entity::{
    account, attachment, blob, contact, contact_inbox, conversation, conversation_label, delivery, delivery_attempt, event, id_mark,
    idempotency_key, message, notification, outgoing,
};
use sea_orm::sea_query::{Expr, ExprTrait, IntoIden, OnConflict, Query, TableRef, ValueTuple};
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, Iden, IntoActiveModel, Iterable,
    ModelTrait, QueryFilter, QuerySelect, QueryTrait,
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

/// Inserts messages with their files; returns the positions of records whose first message was stored before.
pub async fn insert_messages(
    db: &impl ConnectionTrait,
    ids: &mut Ids,
    records: &mut [Record],
    skipped: &HashSet<usize>,
) -> Result<HashSet<usize>, DbErr> {
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
    insert_files(db, ids, records, &repeated).await?;
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

async fn insert_files(db: &impl ConnectionTrait, ids: &mut Ids, records: &mut [Record], repeated: &HashSet<usize>) -> Result<(), DbErr> {
    let mut attachments = Vec::new();
    for (position, record) in records.iter_mut().enumerate() {
        if repeated.contains(&position) {
            continue;
        }
        for NewMessage { view, files } in &mut record.messages {
            for file in files.drain(..) {
                let stored = file.stored;
                let blob_id = match file.blob_id {
                    Some(id) => id,
                    None => stored.row(view.message.account_id, file.uploader_id).insert(db).await?.id,
                };
                let mut meta = serde_json::json!({
                    "key": stored.key, "file_name": stored.file_name, "content_type": stored.content_type, "byte_size": stored.byte_size,
                });
                let file_type = crate::files::file_type(&stored.content_type);
                if file_type == "audio" && view.message.additional_attributes.get(VOICE_MESSAGE).is_some_and(|is_voice| is_voice == true) {
                    set(&mut meta, VOICE_MESSAGE, true.into());
                }
                view.attachments.push(attachment::Model {
                    id: next(&mut ids.attachment),
                    account_id: view.message.account_id,
                    message_id: view.message.id,
                    file_type: file_type.to_owned(),
                    blob_id: Some(blob_id),
                    external_url: None,
                    coordinates_lat: None,
                    coordinates_long: None,
                    fallback_title: None,
                    meta,
                    created_at: view.message.created_at,
                });
            }
            // Those that are there already (places, contacts) have no ids yet.
            for attachment in view.attachments.iter_mut().filter(|attachment| attachment.id == 0) {
                attachment.id = next(&mut ids.attachment);
                attachment.message_id = view.message.id;
            }
            attachments.extend(view.attachments.iter().cloned());
        }
    }
    insert::<attachment::Entity>(db, attachments).await
}

/// Updates conversations: most only in what every message touches, which no other index than the one by activity knows.
pub async fn update_conversations<'a>(db: &impl ConnectionTrait, records: impl Iterator<Item = &'a Record>) -> Result<(), DbErr> {
    use conversation::Column as C;
    let (mut touched, mut changed, mut labelled) = (Vec::new(), Vec::new(), Vec::new());
    for record in records {
        if let Some(Row::Changed { before, after }) = &record.conversation {
            if before.labels != after.labels {
                labelled.push(after);
            }
            let as_touched = conversation::Model {
                unread_count: after.unread_count,
                waiting_since: after.waiting_since,
                last_activity_at: after.last_activity_at,
                updated_at: after.updated_at,
                ..before.as_ref().clone()
            };
            if as_touched == *after { touched.push(after) } else { changed.push(after) }
        }
    }
    const TOUCHED: [C; 4] = [C::UnreadCount, C::WaitingSince, C::LastActivityAt, C::UpdatedAt];
    update::<conversation::Entity>(db, C::Id, &TOUCHED, touched, |row| row.id).await?;
    // Labels are written only where they change: a label that was renamed everywhere meanwhile keeps its new title.
    update::<conversation::Entity>(db, C::Id, &[C::Labels], labelled, |row| row.id).await?;
    let fixed = [C::Id, C::AccountId, C::DisplayId, C::Uuid, C::InboxId, C::ContactInboxId, C::CreatedAt, C::Labels];
    let columns: Vec<C> = C::iter().filter(|column| !fixed.iter().any(|fixed| fixed.to_string() == column.to_string())).collect();
    update::<conversation::Entity>(db, C::Id, &columns, changed, |row| row.id).await
}

/// Keeps the index of labels as the conversations have them.
pub async fn update_labels<'a>(db: &impl ConnectionTrait, records: impl Iterator<Item = &'a Record>) -> Result<(), DbErr> {
    use conversation_label::Column as C;
    let mut added = Vec::new();
    for record in records {
        let Some(Row::Changed { before, after }) = &record.conversation else { continue };
        if before.labels == after.labels {
            continue;
        }
        let (had, has) = (labels_of(before), labels_of(after));
        let removed: Vec<&String> = had.iter().filter(|title| !has.contains(title)).collect();
        if !removed.is_empty() {
            let gone = conversation_label::Entity::delete_many().filter(C::ConversationId.eq(after.id)).filter(C::Title.is_in(removed));
            gone.exec(db).await?;
        }
        added.extend(has.into_iter().filter(|title| !had.contains(title)).map(|title| conversation_label::ActiveModel {
            id: ActiveValue::NotSet,
            account_id: ActiveValue::Set(after.account_id),
            title: ActiveValue::Set(title),
            conversation_id: ActiveValue::Set(after.id),
        }));
    }
    if !added.is_empty() {
        conversation_label::Entity::insert_many(added).exec_without_returning(db).await?;
    }
    Ok(())
}

/// Updates contacts: most only in when they were active.
pub async fn update_contacts<'a>(db: &impl ConnectionTrait, records: impl Iterator<Item = &'a Record>) -> Result<(), DbErr> {
    use contact::Column as C;
    let (mut touched, mut changed, mut verified) = (Vec::new(), Vec::new(), Vec::new());
    for record in records {
        if let Row::Changed { before, after } = &record.contact {
            let as_touched = contact::Model { last_activity_at: after.last_activity_at, ..before.as_ref().clone() };
            if as_touched == *after { touched.push(after) } else { changed.push(after) }
        }
        if let Some(Row::Changed { after, .. }) = &record.contact_inbox {
            verified.push(after);
        }
    }
    update::<contact::Entity>(db, C::Id, &[C::LastActivityAt], touched, |row| row.id).await?;
    let columns: Vec<C> = C::iter().filter(|column| !["id", "account_id", "created_at"].contains(&column.to_string().as_str())).collect();
    update::<contact::Entity>(db, C::Id, &columns, changed, |row| row.id).await?;
    use contact_inbox::Column as I;
    update::<contact_inbox::Entity>(db, I::Id, &[I::ContactId, I::SourceId, I::HmacVerified, I::UpdatedAt], verified, |row| row.id).await
}

/// Changes messages, and what waits to be sent.
pub async fn write_outgoing<'a>(db: &impl ConnectionTrait, records: impl Iterator<Item = &'a Record>) -> Result<(), DbErr> {
    let (mut queued, mut done, mut later, mut changed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut dropped = Vec::new();
    for record in records {
        let messages = record.messages.iter().map(|message| &message.view.message);
        queued.extend(messages.filter(|message| message.status == MessageStatus::Queued).map(waiting));
        changed.extend(record.changed_messages.iter().map(|(_, after)| after));
        let taken_back = record.changed_messages.iter().filter(|(_, after)| is_taken_back(after));
        dropped.extend(taken_back.flat_map(|(before, _)| &before.attachments));
        for change in &record.outgoing {
            match change {
                OutgoingChange::Done { message_id } => done.push(*message_id),
                OutgoingChange::Later { .. } => later.push(change),
                OutgoingChange::Queue { message_id } => {
                    let message = record.changed_messages.iter().map(|(_, after)| after).find(|message| message.id == *message_id);
                    queued.extend(message.map(|message| outgoing::Model {
                        due_at: message.updated_at,
                        created_at: message.updated_at,
                        ..waiting(message)
                    }));
                }
            }
        }
    }
    use message::Column as M;
    const CHANGEABLE: [M; 7] =
        [M::Content, M::ContentType, M::Status, M::SourceId, M::ContentAttributes, M::AdditionalAttributes, M::UpdatedAt];
    update::<message::Entity>(db, M::Id, &CHANGEABLE, changed, |row| row.id).await?;
    if !dropped.is_empty() {
        let ids = dropped.iter().map(|attachment| attachment.id);
        attachment::Entity::delete_many().filter(attachment::Column::Id.is_in(ids)).exec(db).await?;
        // An uploaded file may go with several messages.
        let blobs: Vec<i64> = dropped.iter().filter_map(|attachment| attachment.blob_id).collect();
        let used = attachment::Entity::find().select_only().column(attachment::Column::BlobId);
        let used = QueryTrait::into_query(used.filter(attachment::Column::BlobId.is_in(blobs.iter().copied())));
        let unused = Condition::all().add(blob::Column::Id.is_in(blobs)).add(blob::Column::Id.not_in_subquery(used));
        drop_blobs(db, unused).await?;
    }
    insert::<outgoing::Entity>(db, queued).await?;
    if !done.is_empty() {
        outgoing::Entity::delete_many().filter(outgoing::Column::MessageId.is_in(done)).exec(db).await?;
    }
    for change in later {
        if let OutgoingChange::Later { message_id, failures, due_at, error } = change {
            outgoing::Entity::update_many()
                .col_expr(outgoing::Column::Failures, Expr::value(*failures))
                .col_expr(outgoing::Column::DueAt, Expr::value(*due_at))
                .col_expr(outgoing::Column::LastError, Expr::value(error.as_str()))
                .filter(outgoing::Column::MessageId.eq(*message_id))
                .exec(db)
                .await?;
        }
    }
    Ok(())
}

/// Notes with the requests' idempotency keys what they made.
pub async fn write_claims<'a>(db: &impl ConnectionTrait, records: impl Iterator<Item = &'a Record>) -> Result<(), DbErr> {
    for record in records {
        let Some(claim) = record.claim else { continue };
        let message = record.messages.first().map(|message| message.view.message.id);
        let made = message.or(record.conversation.as_ref().map(|row| row.after().id)).unwrap_or(record.contact.after().id);
        idempotency_key::Entity::update_many()
            .col_expr(idempotency_key::Column::ResourceId, Expr::value(made))
            .filter(idempotency_key::Column::Id.eq(claim))
            .exec(db)
            .await?;
    }
    Ok(())
}

/// Logs events, and queues their deliveries.
pub async fn insert_events(db: &impl ConnectionTrait, events: &[Arc<Event>], deliveries: Vec<delivery::Model>) -> Result<(), DbErr> {
    let mut rows = Vec::with_capacity(events.len());
    for event in events {
        let conversation = event.fact.conversation();
        rows.push(event::Model {
            id: event.id,
            account_id: event.account.id,
            inbox_id: conversation.map(|view| view.inbox.id),
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
async fn update<E: EntityTrait>(
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
