//! What a group changes of rows that are there already, one statement per table.
use super::departures::drop_blobs;
use super::rows::{insert, update};
use super::{Made, OutgoingChange, Record, Row, is_taken_back, waiting};
use crate::conversation::rules::labels_of;
use entity::message::MessageStatus;
use entity::{
    attachment, blob, contact, contact_inbox, contact_label, conversation, conversation_label, download, idempotency_key, message,
    message_part, outgoing,
};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveValue, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, ExprTrait, Iden, Iterable, QueryFilter, QuerySelect,
    QueryTrait,
};
use serde_json::json;

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

/// Keeps the labels of contacts.
pub async fn update_contact_labels<'a>(db: &impl ConnectionTrait, records: impl Iterator<Item = &'a Record>) -> Result<(), DbErr> {
    use contact_label::Column as C;
    let mut added = Vec::new();
    for record in records {
        let Some((before, after)) = &record.contact_labels else { continue };
        let contact = record.contact.after();
        let mut removed = before.difference(after).peekable();
        if removed.peek().is_some() {
            let gone = contact_label::Entity::delete_many().filter(C::ContactId.eq(contact.id)).filter(C::Title.is_in(removed));
            gone.exec(db).await?;
        }
        added.extend(after.difference(before).map(|title| contact_label::ActiveModel {
            id: ActiveValue::NotSet,
            account_id: ActiveValue::Set(contact.account_id),
            title: ActiveValue::Set(title.clone()),
            contact_id: ActiveValue::Set(contact.id),
        }));
    }
    if !added.is_empty() {
        contact_label::Entity::insert_many(added).exec_without_returning(db).await?;
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

/// Changes messages, what waits to be sent, and what waits to be fetched.
pub async fn write_outgoing<'a>(db: &impl ConnectionTrait, records: impl Iterator<Item = &'a Record>) -> Result<(), DbErr> {
    let (mut queued, mut again, mut done, mut later, mut changed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut dropped, mut parts, mut fetched) = (Vec::new(), Vec::new(), Vec::new());
    for record in records {
        let messages = record.messages.iter().map(|message| &message.view.message);
        queued.extend(messages.filter(|message| message.status == MessageStatus::Queued).map(waiting));
        changed.extend(record.changed_messages.iter().map(|changed| &changed.after));
        let taken_back = record.changed_messages.iter().filter(|changed| is_taken_back(&changed.after));
        dropped.extend(taken_back.flat_map(|changed| &changed.before.attachments));
        fetched.extend(record.fetched.iter().copied());
        for change in &record.outgoing {
            match change {
                OutgoingChange::Done { message_id, since: None, parts: named } => {
                    done.push(*message_id);
                    let inbox_id = record.inbox.as_ref().map(|inbox| inbox.row.id).unwrap_or_default();
                    parts.extend(named.iter().map(|provider_id| message_part::ActiveModel {
                        id: ActiveValue::NotSet,
                        inbox_id: ActiveValue::Set(inbox_id),
                        provider_id: ActiveValue::Set(provider_id.clone()),
                        message_id: ActiveValue::Set(*message_id),
                    }));
                }
                OutgoingChange::Done { message_id, since: Some(since), .. } => {
                    let of = outgoing::Column::MessageId.eq(*message_id).and(outgoing::Column::CreatedAt.eq(*since));
                    outgoing::Entity::delete_many().filter(of).exec(db).await?;
                }
                OutgoingChange::Later { .. } => later.push(change),
                OutgoingChange::Queue { message_id, action } => {
                    let message = record.changed_messages.iter().map(|changed| &changed.after).find(|message| message.id == *message_id);
                    again.extend(message.map(|message| outgoing::Model {
                        due_at: message.updated_at,
                        created_at: message.updated_at,
                        action: *action,
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
    // A change of a message takes the place of one that waits.
    for row in &again {
        outgoing::Entity::delete_by_id(row.message_id).exec(db).await?;
    }
    insert::<outgoing::Entity>(db, again).await?;
    if !parts.is_empty() {
        let known = OnConflict::columns([message_part::Column::InboxId, message_part::Column::ProviderId]).do_nothing().to_owned();
        message_part::Entity::insert_many(parts).on_conflict(known).exec_without_returning(db).await?;
    }
    if !fetched.is_empty() {
        download::Entity::delete_many().filter(download::Column::Id.is_in(fetched)).exec(db).await?;
    }
    for change in later {
        if let OutgoingChange::Later { message_id, failures, due_at, error, sent_parts } = change {
            outgoing::Entity::update_many()
                .col_expr(outgoing::Column::SentParts, Expr::value(json!(sent_parts)))
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

/// Notes with the requests' idempotency keys what they made. A request that was given up, whose key another has taken over since,
/// comes too late: what it would make is made by the other.
pub async fn write_claims<'a>(db: &impl ConnectionTrait, records: impl Iterator<Item = &'a Record>) -> Result<(), DbErr> {
    for record in records {
        let Some((claim, made)) = record.claim else { continue };
        let made = match made {
            Made::Contact => Some(record.contact.after().id),
            Made::Conversation => record.conversation.as_ref().map(|row| row.after().id),
            Made::Message => record.messages.first().map(|message| message.view.message.id),
        };
        let noted = idempotency_key::Entity::update_many()
            .col_expr(idempotency_key::Column::ResourceId, Expr::value(made))
            .filter(idempotency_key::Column::Id.eq(claim))
            .exec(db)
            .await?;
        if noted.rows_affected == 0 {
            tracing::info!("a request that was given up is not carried out: its Idempotency-Key was taken over");
            return Err(DbErr::Custom("another request with this Idempotency-Key has taken over".into()));
        }
    }
    Ok(())
}
