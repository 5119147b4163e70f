//! One run of a channel: what it receives goes to the conversations, what waits for it is sent. A tokio task; an error or a
//! panic ends it and nothing else.
use crate::backoff;
use crate::catalog::Inbox;
use crate::channel::{Channel, ChannelError, Inlet, Intake, SessionStatus};
use crate::conversation::{Command, ConversationError, Incoming, Outcome, Target};
use crate::conversations::{Conversations, Tell};
use crate::db::Db;
use crate::files::{FileError, Files, Unkept};
use crate::message::{Inbound, InboundAttachment, InboundFile, Key, Reference, Thread, Update};
use crate::outbound;
use crate::outbox::{self, Flow, Queue};
use crate::store::{NewFile, StoreError};
use crate::wake::Wakes;
use actix::Addr;
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use entity::message::MessageType;
use entity::{blob, contact_inbox, conversation, cursor, message, outgoing, parked_message};
use sea_orm::sea_query::{Alias, Expr, OnConflict, Query};
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, Condition, DbErr, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    Select, TransactionTrait,
};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How old a message may grow that cannot be sent.
const GIVE_UP_AFTER: chrono::Duration = chrono::Duration::days(2);
/// After this long no commit that was begun is still on its way.
const DOUBT: Duration = Duration::from_secs(60);
/// The longest pause between two tries to store what became of a message.
const SETTLE_AGAIN: Duration = Duration::from_secs(30);

/// What became of messages whose rows do not say so yet. Kept beyond a session, for as long as the daemon runs: what was sent is
/// not sent again because the database could not take the news.
#[derive(Clone, Default)]
pub struct Unsettled(Arc<Mutex<HashMap<i64, Outcome>>>);

impl Unsettled {
    fn of(&self, message_id: i64) -> Option<Outcome> {
        self.lock().get(&message_id).cloned()
    }

    fn keep(&self, message_id: i64, outcome: Outcome) {
        self.lock().insert(message_id, outcome);
    }

    fn forget(&self, message_id: i64) {
        self.lock().remove(&message_id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Outcome>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a session works with.
#[derive(Clone)]
pub struct Session {
    /// Whose session it is.
    pub inbox: Arc<Inbox>,
    /// What it runs.
    pub channel: Arc<dyn Channel>,
    /// Reads, cursors, parked messages.
    pub db: Db,
    /// Where attachments go.
    pub files: Files,
    /// Where messages go.
    pub conversations: Addr<Conversations>,
    /// What rings when something is to be sent.
    pub wakes: Wakes,
    /// What an earlier session could not have stored.
    pub unsettled: Unsettled,
    /// Hears how it is doing.
    pub report: Arc<dyn Fn(SessionStatus) + Send + Sync>,
    /// Ends it.
    pub cancelled: CancellationToken,
}

impl Session {
    /// Runs until the channel cannot go on or the session is cancelled; what is being sent then is finished first.
    pub async fn run(self) -> Result<(), ChannelError> {
        let inlet: Inlet = Arc::new(self.clone());
        let cancelled = self.cancelled.clone();
        let channel = self.channel.clone();
        let receiving = async move {
            tokio::select! {
                ended = channel.run(&inlet) => ended,
                () = cancelled.cancelled() => Ok(()),
            }
        };
        let bell = self.wakes.outgoing.of(self.inbox.row.id);
        let stop = self.cancelled.child_token();
        let sending = outbox::drain(Session { cancelled: stop.clone(), ..self.clone() }, bell, stop.clone());
        tokio::pin!(receiving, sending);
        tokio::select! {
            ended = &mut receiving => {
                stop.cancel();
                // What was begun is finished: its outcome would otherwise be unknown.
                let _ = sending.await;
                ended
            }
            ended = &mut sending => ended,
        }
    }

    /// Sends what waits, without receiving, for as long as the connection is left alone.
    pub async fn pause(self, length: Duration) -> Result<(), ChannelError> {
        let bell = self.wakes.outgoing.of(self.inbox.row.id);
        let stop = self.cancelled.child_token();
        let sending = outbox::drain(self.clone(), bell, stop.clone());
        tokio::pin!(sending);
        tokio::select! {
            () = tokio::time::sleep(length) => {
                stop.cancel();
                sending.await
            }
            ended = &mut sending => match ended {
                // Begun again at once, a queue that cannot be read would be read without end.
                Err(ChannelError::Temporary { .. } | ChannelError::Rejected(_)) => {
                    tokio::select! {
                        () = tokio::time::sleep(length) => {}
                        () = self.cancelled.cancelled() => {}
                    }
                    Ok(())
                }
                ended => ended,
            }
        }
    }

    async fn store_files(
        &self,
        attachments: Vec<InboundFile>,
        attributes: &mut Map<String, Value>,
    ) -> Result<(Vec<NewFile>, Vec<Unkept>), ChannelError> {
        let limit = self.channel.capabilities().attachment_limit;
        let (mut files, mut unkept, mut skipped, mut addresses) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for attachment in attachments {
            match self.files.put_bytes(&attachment.file_name, &attachment.content_type, attachment.bytes, limit).await {
                Ok(stored) => {
                    unkept.push(self.files.unkept(&stored));
                    if let Some(content_id) = attachment.content_id {
                        addresses.push((content_id, self.files.url(&stored.key, &stored.file_name)));
                    }
                    files.push(NewFile { stored, uploader_id: None, blob_id: None });
                }
                Err(FileError::TooLarge(limit)) => {
                    skipped.push(json!({ "file_name": attachment.file_name, "reason": format!("larger than {} MB", limit >> 20) }));
                }
                Err(error) => return Err(ChannelError::temporary(format!("storing an attachment: {error}"))),
            }
        }
        if !skipped.is_empty() {
            attributes.insert("skipped_attachments".into(), Value::Array(skipped));
        }
        if let Some(html) = attributes.get_mut("email").and_then(|email| email.get_mut("html_content")) {
            rewrite_content_ids(html, &addresses);
        }
        Ok((files, unkept))
    }

    /// Whether a message is stored already, or is one of ours that came back. Asked before its files are stored.
    async fn is_known(&self, inbound: &Inbound) -> Result<bool, DbErr> {
        let of_inbox = message::Entity::find().filter(message::Column::InboxId.eq(self.inbox.row.id));
        if let Some(id) = &inbound.provider_id
            && of_inbox.clone().filter(message::Column::SourceId.eq(id)).one(&self.db.read).await?.is_some()
        {
            return Ok(true);
        }
        let Some(own) = inbound.echo_of else { return Ok(false) };
        let conversation = conversation::Entity::find().filter(conversation::Column::Uuid.eq(own.conversation)).one(&self.db.read).await?;
        let Some(conversation) = conversation else { return Ok(false) };
        let claimed = of_inbox.filter(message::Column::Id.eq(own.message)).filter(message::Column::ConversationId.eq(conversation.id));
        let claimed = claimed.filter(message::Column::MessageType.is_in([MessageType::Outgoing, MessageType::Template]));
        Ok(claimed.one(&self.db.read).await?.is_some())
    }

    /// Removes the files of a message of which nobody knows whether it was stored, once that has shown.
    fn remove_unless_stored(&self, files: Vec<NewFile>) {
        let session = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(DOUBT).await;
            let keys = files.iter().map(|file| file.stored.key.as_str());
            let stored = match blob::Entity::find().filter(blob::Column::Key.is_in(keys)).all(&session.db.read).await {
                Ok(stored) => stored,
                Err(error) => return tracing::warn!(%error, "files of a message that may be stored stay in the store"),
            };
            for file in files.iter().filter(|file| !stored.iter().any(|row| row.key == file.stored.key)) {
                drop(session.files.unkept(&file.stored));
            }
        });
    }

    /// Which conversation a message belongs to, and whose it is.
    async fn place(&self, inbound: &Inbound) -> Result<(Key, Target), DbErr> {
        let inbox_id = self.inbox.row.id;
        let own = Key { inbox_id, source_id: inbound.source_id.clone() };
        let Thread::References(references) = &inbound.thread else { return Ok((own, Target::Latest)) };
        for reference in references {
            let conversations = conversation::Entity::find().filter(conversation::Column::InboxId.eq(inbox_id));
            let found = match reference {
                Reference::Conversation(uuid) => conversations.filter(conversation::Column::Uuid.eq(*uuid)).one(&self.db.read).await?,
                Reference::Message(id) => {
                    let of_message = message::Entity::find()
                        .select_only()
                        .column(message::Column::ConversationId)
                        .filter(Condition::all().add(message::Column::InboxId.eq(inbox_id)).add(message::Column::SourceId.eq(id)))
                        .into_query();
                    conversations.filter(conversation::Column::Id.in_subquery(of_message)).one(&self.db.read).await?
                }
                Reference::ThreadIndex(index) => {
                    // In the words of the index conversations_by_thread_index.
                    let named = Expr::cust("additional_attributes ->> 'thread_index'").eq(index);
                    conversations.filter(named).order_by_desc(conversation::Column::Id).one(&self.db.read).await?
                }
            };
            let Some(found) = found else { continue };
            if let Some(identity) = contact_inbox::Entity::find_by_id(found.contact_inbox_id).one(&self.db.read).await? {
                return Ok((Key { inbox_id, source_id: identity.source_id }, Target::Given(found.id)));
            }
        }
        Ok((own, Target::New))
    }
}

#[async_trait]
impl Intake for Session {
    async fn deliver(&self, update: Update) -> Result<(), ChannelError> {
        let inbound = match update {
            Update::Message(inbound) => *inbound,
            Update::Unreadable { provider_key, reason, raw } => return self.park(&provider_key, &reason, raw).await,
            other => return Err(ChannelError::Rejected(format!("no channel that can be set up tells of this: {other:?}"))),
        };
        let failed = |error: DbErr| ChannelError::temporary(format!("looking up a message: {error}"));
        if self.is_known(&inbound).await.map_err(failed)? {
            tracing::debug!(inbox.id = self.inbox.row.id, "a message that is known already");
            return Ok(());
        }
        let (mut key, target) = self.place(&inbound).await.map_err(failed)?;
        let own = Key { inbox_id: key.inbox_id, source_id: inbound.source_id };
        let mut content_attributes = inbound.content_attributes;
        let (files, unkept) = self.store_files(files_of(inbound.attachments), &mut content_attributes).await?;
        let is_automatic = content_attributes.get("email").and_then(|email| email.get("auto_reply")).is_some_and(|auto| auto == true);
        let mut incoming = Incoming {
            target,
            profile: inbound.sender,
            provider_id: inbound.provider_id,
            content: inbound.content,
            content_type: inbound.content_type.to_owned(),
            content_attributes,
            conversation_attributes: inbound.conversation_attributes,
            files,
            echo_id: None,
            is_automatic,
            claim: None,
        };
        let mut tries = 0;
        loop {
            let tell = Tell { key: key.clone(), command: Command::Deliver(Box::new(incoming.clone())) };
            let answer = self.conversations.send(tell).await.unwrap_or(Err(ConversationError::Unanswered));
            match answer {
                Ok(recorded) => {
                    if let Some(conversation) = &recorded.conversation {
                        tracing::debug!(
                            inbox.id = key.inbox_id,
                            conversation.id = conversation.id,
                            repeated = recorded.repeated,
                            "message received"
                        );
                    }
                    if !recorded.repeated {
                        unkept.into_iter().for_each(Unkept::keep);
                        self.status(SessionStatus::Useful);
                    }
                    return Ok(());
                }
                // Somebody else opened the contact at the same moment: it is there now.
                Err(ConversationError::Store(StoreError::Conflict(_) | StoreError::Taken(_))) if tries < 3 => tries += 1,
                // The conversation that it answers was removed, or became another contact's, after it was found.
                Err(ConversationError::NotFound) if matches!(incoming.target, Target::Given(_)) => {
                    key = own.clone();
                    incoming.target = Target::New;
                }
                Err(error) => {
                    if error.leaves_doubt() {
                        unkept.into_iter().for_each(Unkept::keep);
                        self.remove_unless_stored(incoming.files);
                    }
                    return Err(error.into());
                }
            }
        }
    }

    async fn park(&self, provider_key: &str, reason: &str, raw: Bytes) -> Result<(), ChannelError> {
        let failed = |error: String| ChannelError::temporary(format!("setting a message aside: {error}"));
        let of_key = parked_message::Column::ProviderKey.eq(provider_key).and(parked_message::Column::InboxId.eq(self.inbox.row.id));
        let known = parked_message::Entity::find().filter(of_key).one(&self.db.read).await.map_err(|error| failed(error.to_string()))?;
        if known.is_some() {
            return Ok(());
        }
        let mut stored =
            self.files.put_bytes("message.eml", "message/rfc822", raw, u64::MAX).await.map_err(|error| failed(error.to_string()))?;
        let unkept = self.files.unkept(&stored);
        // Served as a download, whatever is in it.
        stored.content_type = "message/rfc822".into();
        let parked = async {
            let transaction = self.db.write.begin().await?;
            let blob = stored.row(self.inbox.row.account_id, None).insert(&transaction).await?;
            let row = parked_message::ActiveModel {
                id: ActiveValue::NotSet,
                inbox_id: ActiveValue::Set(self.inbox.row.id),
                provider_key: ActiveValue::Set(provider_key.to_owned()),
                reason: ActiveValue::Set(reason.to_owned()),
                blob_id: ActiveValue::Set(Some(blob.id)),
                created_at: ActiveValue::Set(entity::now()),
            };
            parked_message::Entity::insert(row).exec_without_returning(&transaction).await?;
            Ok(transaction)
        };
        let transaction = parked.await.map_err(|error: DbErr| failed(error.to_string()))?;
        // Whether a commit that fails has stored it is unknown.
        unkept.keep();
        transaction.commit().await.map_err(|error| failed(error.to_string()))?;
        self.status(SessionStatus::Useful);
        metrics::counter!("konversio_parked_messages_total").increment(1);
        tracing::warn!(inbox.id = self.inbox.row.id, reason, "a message could not be read and was set aside");
        Ok(())
    }

    async fn cursor(&self) -> Result<Option<Value>, ChannelError> {
        let found = cursor::Entity::find_by_id(self.inbox.row.id).one(&self.db.read).await;
        Ok(found.map_err(|error| ChannelError::temporary(format!("reading the cursor: {error}")))?.map(|row| row.value))
    }

    async fn save_cursor(&self, value: Value) -> Result<(), ChannelError> {
        let row = cursor::ActiveModel {
            inbox_id: ActiveValue::Set(self.inbox.row.id),
            value: ActiveValue::Set(value),
            updated_at: ActiveValue::Set(entity::now()),
        };
        let replace =
            OnConflict::column(cursor::Column::InboxId).update_columns([cursor::Column::Value, cursor::Column::UpdatedAt]).to_owned();
        let saved = cursor::Entity::insert(row).on_conflict(replace).exec_without_returning(&self.db.write).await;
        saved.map(|_| ()).map_err(|error| ChannelError::temporary(format!("saving the cursor: {error}")))
    }

    fn status(&self, status: SessionStatus) {
        (self.report)(status);
    }
}

#[async_trait]
impl Queue for Session {
    type Row = outgoing::Model;

    fn lane(row: &outgoing::Model) -> i64 {
        row.conversation_id
    }

    fn slots(&self) -> usize {
        self.channel.capabilities().parallel_sends
    }

    async fn due(&self, busy: &[i64], now: DateTime<Utc>, limit: u64) -> Result<Vec<outgoing::Model>, DbErr> {
        let due = self.heads(busy).filter(outgoing::Column::DueAt.lte(now)).order_by_asc(outgoing::Column::MessageId);
        due.limit(limit).all(&self.db.read).await
    }

    async fn next_due(&self, busy: &[i64]) -> Result<Option<DateTime<Utc>>, DbErr> {
        let first = self.heads(busy).order_by_asc(outgoing::Column::DueAt).one(&self.db.read).await?;
        Ok(first.map(|row| row.due_at))
    }

    async fn work(&self, row: outgoing::Model) -> Flow {
        let outcome = match self.unsettled.of(row.message_id) {
            Some(outcome) => outcome,
            None => match self.send(&row).await {
                Ok(outcome) => outcome,
                // Stays as it is, to be sent once somebody has helped.
                Err(error) => return Flow::End(error),
            },
        };
        self.unsettled.keep(row.message_id, outcome.clone());
        let mut failures = 0;
        while let Err(error) = self.settle(&row, outcome.clone()).await {
            tracing::error!(inbox.id = row.inbox_id, message.id = row.message_id, %error, "noting what became of a message; tried again");
            failures += 1;
            tokio::select! {
                () = self.cancelled.cancelled() => return Flow::Continue,
                () = tokio::time::sleep(backoff::delay(failures).min(SETTLE_AGAIN)) => {}
            }
        }
        self.unsettled.forget(row.message_id);
        Flow::Continue
    }
}

impl Session {
    /// The oldest message of each conversation that is not busy: later ones wait for it.
    fn heads(&self, busy: &[i64]) -> Select<outgoing::Entity> {
        use outgoing::Column;
        let earlier = Alias::new("earlier");
        let of_earlier = |column: Column| Expr::col((earlier.clone(), column));
        let before = Query::select()
            .expr(Expr::val(1))
            .from_as(outgoing::Entity, earlier.clone())
            .and_where(of_earlier(Column::InboxId).eq(Expr::col((outgoing::Entity, Column::InboxId))))
            .and_where(of_earlier(Column::ConversationId).eq(Expr::col((outgoing::Entity, Column::ConversationId))))
            .and_where(of_earlier(Column::MessageId).lt(Expr::col((outgoing::Entity, Column::MessageId))))
            .take();
        outgoing::Entity::find()
            .filter(Column::InboxId.eq(self.inbox.row.id))
            .filter(Column::ConversationId.is_not_in(busy.iter().copied()))
            .filter(Expr::exists(before).not())
    }

    /// Has the channel send a message. An error is what only a person can mend.
    async fn send(&self, row: &outgoing::Model) -> Result<Outcome, ChannelError> {
        let loaded = outbound::load(&self.db, &self.files, &self.inbox, row.message_id).await;
        let sent = match loaded {
            Ok(Some(outbound)) => self.channel.send(&outbound).await,
            // Deleted meanwhile.
            Ok(None) => Ok(Default::default()),
            Err(error) => Err(ChannelError::temporary(format!("loading the message: {error}"))),
        };
        match sent {
            Ok(id) => {
                self.status(SessionStatus::Useful);
                Ok(Outcome::Sent(id))
            }
            Err(ChannelError::Rejected(reason)) => Ok(Outcome::Failed(reason)),
            Err(ChannelError::Temporary { cause, retry_after, .. }) => {
                let failures = row.failures.saturating_add(1);
                Ok(match outbox::later(failures, retry_after, row.created_at, GIVE_UP_AFTER, entity::now()) {
                    Some(due_at) => Outcome::Later { failures, due_at, error: cause },
                    None => Outcome::Failed(format!("given up after {failures} tries: {cause}")),
                })
            }
            Err(error @ ChannelError::NeedsAttention(_)) => Err(error),
        }
    }

    /// Has it stored what became of a message.
    async fn settle(&self, row: &outgoing::Model, outcome: Outcome) -> Result<(), ConversationError> {
        let key = outbound::key(&self.db, row.conversation_id).await.map_err(StoreError::from)?;
        let command = Command::Settle { conversation_id: row.conversation_id, message_id: row.message_id, outcome };
        let settled = match key {
            Some(key) => self.conversations.send(Tell { key, command }).await.unwrap_or(Err(ConversationError::Unanswered)),
            None => Err(ConversationError::NotFound),
        };
        match settled {
            Err(ConversationError::NotFound) if self.is_gone(row).await.map_err(StoreError::from)? => Ok(()),
            other => other.map(drop),
        }
    }

    /// Whether a message is there no more; then nothing waits any more either.
    async fn is_gone(&self, row: &outgoing::Model) -> Result<bool, DbErr> {
        if message::Entity::find_by_id(row.message_id).one(&self.db.read).await?.is_some() {
            return Ok(false);
        }
        outgoing::Entity::delete_by_id(row.message_id).exec(&self.db.write).await?;
        Ok(true)
    }
}

/// The files that came along. Nothing else comes yet: no channel that can be set up tells of places, cards or remote files.
fn files_of(attachments: Vec<InboundAttachment>) -> Vec<InboundFile> {
    let file = |attachment| match attachment {
        InboundAttachment::File(file) => Some(file),
        _ => None,
    };
    attachments.into_iter().filter_map(file).collect()
}

/// Puts the addresses of stored files in the place of `"cid:…"` references; with their quotes, since one id may begin another.
fn rewrite_content_ids(html: &mut Value, addresses: &[(String, String)]) {
    match html {
        Value::String(text) => {
            for (content_id, address) in addresses {
                let reference = format!("\"cid:{content_id}\"");
                if text.contains(&reference) {
                    *text = text.replace(&reference, &format!("\"{address}\""));
                }
            }
        }
        Value::Object(parts) => parts.values_mut().for_each(|part| rewrite_content_ids(part, addresses)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_images_show_the_stored_file() {
        let mut html = json!({ "full": "<img src=\"cid:a@b\"> <img src=\"cid:a@b.other\">", "reply": "<img src=\"cid:a@b\">" });
        rewrite_content_ids(&mut html, &[("a@b".into(), "https://desk/files/1".into())]);
        assert_eq!(
            html,
            json!({ "full": "<img src=\"https://desk/files/1\"> <img src=\"cid:a@b.other\">", "reply": "<img src=\"https://desk/files/1\">" })
        );
    }
}
