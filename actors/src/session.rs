//! One run of a channel: what it receives goes to the conversations, what waits for it is sent. A tokio task; an error or a
//! panic ends it and nothing else.
use crate::catalog::Inbox;
use crate::channel::{Channel, ChannelError, Inlet, Intake, SessionStatus};
use crate::conversation::{Command, ConversationError, Incoming, Outcome, Target};
use crate::conversations::{Conversations, Tell};
use crate::db::Db;
use crate::files::{FileError, Files};
use crate::message::{Inbound, InboundAttachment, InboundFile, Key, Reference, Thread, Update};
use crate::outbox::{self, Flow, Queue};
use crate::store::{NewFile, StoreError};
use crate::wake::Wakes;
use actix::Addr;
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use entity::{contact_inbox, conversation, cursor, message, outgoing, parked_message};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, Condition, DbErr, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    TransactionTrait,
};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// How old a message may grow that cannot be sent.
const GIVE_UP_AFTER: chrono::Duration = chrono::Duration::days(2);

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
        let sending = outbox::drain(self.clone(), bell, stop.clone());
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

    async fn store_files(&self, attachments: Vec<InboundFile>, attributes: &mut Map<String, Value>) -> Result<Vec<NewFile>, ChannelError> {
        let limit = self.channel.capabilities().attachment_limit;
        let (mut files, mut skipped, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
        for attachment in attachments {
            match self.files.put_bytes(&attachment.file_name, &attachment.content_type, attachment.bytes, limit).await {
                Ok(stored) => {
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
        Ok(files)
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
            other => return Err(ChannelError::temporary(format!("not taken yet: {other:?}"))),
        };
        let (key, target) = self.place(&inbound).await.map_err(|error| ChannelError::temporary(format!("looking up a thread: {error}")))?;
        let mut content_attributes = inbound.content_attributes;
        let files = self.store_files(files_of(inbound.attachments), &mut content_attributes).await?;
        let is_automatic = content_attributes.get("email").and_then(|email| email.get("auto_reply")).is_some_and(|auto| auto == true);
        let incoming = Incoming {
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
                    return Ok(());
                }
                // Somebody else opened the contact at the same moment: it is there now.
                Err(ConversationError::Store(StoreError::Conflict(_) | StoreError::Taken(_))) if tries < 3 => tries += 1,
                Err(error) => return Err(error.into()),
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
            transaction.commit().await
        };
        parked.await.map_err(|error: sea_orm::DbErr| failed(error.to_string()))?;
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

    /// The oldest message of each conversation: later ones wait for it.
    async fn due(&self, busy: &[i64], now: DateTime<Utc>, limit: u64) -> Result<Vec<outgoing::Model>, DbErr> {
        let heads = outgoing::Entity::find()
            .select_only()
            .column_as(outgoing::Column::MessageId.min(), "head")
            .filter(outgoing::Column::InboxId.eq(self.inbox.row.id))
            .group_by(outgoing::Column::ConversationId)
            .into_query();
        outgoing::Entity::find()
            .filter(outgoing::Column::MessageId.in_subquery(heads))
            .filter(outgoing::Column::DueAt.lte(now))
            .filter(outgoing::Column::ConversationId.is_not_in(busy.iter().copied()))
            .order_by_asc(outgoing::Column::MessageId)
            .limit(limit)
            .all(&self.db.read)
            .await
    }

    async fn next_due(&self) -> Result<Option<DateTime<Utc>>, DbErr> {
        let first = outgoing::Entity::find().filter(outgoing::Column::InboxId.eq(self.inbox.row.id)).order_by_asc(outgoing::Column::DueAt);
        Ok(first.one(&self.db.read).await?.map(|row| row.due_at))
    }

    async fn work(&self, row: outgoing::Model) -> Flow {
        let loaded = crate::outbound::load(&self.db, &self.files, &self.inbox, row.message_id).await;
        let sent = match loaded {
            Ok(Some(outbound)) => self.channel.send(&outbound).await,
            // Deleted meanwhile.
            Ok(None) => Ok(Default::default()),
            Err(error) => Err(ChannelError::temporary(format!("loading the message: {error}"))),
        };
        let (outcome, flow) = match sent {
            Ok(id) => (Outcome::Sent(id), Flow::Continue),
            Err(ChannelError::Rejected(reason)) => (Outcome::Failed(reason), Flow::Continue),
            Err(ChannelError::Temporary { cause, retry_after, .. }) => {
                let failures = row.failures.saturating_add(1);
                let now = entity::now();
                match outbox::later(failures, retry_after, row.created_at, GIVE_UP_AFTER, now) {
                    Some(due_at) => (Outcome::Later { failures, due_at, error: cause }, Flow::Continue),
                    None => (Outcome::Failed(format!("given up after {failures} tries: {cause}")), Flow::Continue),
                }
            }
            // Stays as it is, to be sent once somebody has helped.
            Err(error @ ChannelError::NeedsAttention(_)) => return Flow::End(error),
        };
        let identity = crate::outbound::key(&self.db, row.conversation_id).await;
        let Ok(Some(key)) = identity else { return Flow::Continue };
        let settle = Command::Settle { conversation_id: row.conversation_id, message_id: row.message_id, outcome };
        match self.conversations.send(Tell { key, command: settle }).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::error!(inbox.id = row.inbox_id, message.id = row.message_id, %error, "noting what became of a message")
            }
            Err(error) => tracing::error!(inbox.id = row.inbox_id, message.id = row.message_id, %error, "noting what became of a message"),
        }
        flow
    }
}

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
