//! What the channel hands over, by its kind; how far it has read, and what is set aside.
use super::Session;
use crate::channel::{ChannelError, Intake, SessionStatus};
use crate::conversation::Command;
use crate::message::{Amendment, ReceiptOf, Sender, Update};
use async_trait::async_trait;
use bytes::Bytes;
use entity::{cursor, parked_message};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveModelTrait, ActiveValue, ColumnTrait, DbErr, EntityTrait, ExprTrait, QueryFilter, TransactionTrait};
use serde_json::Value;

#[async_trait]
impl Intake for Session {
    async fn deliver(&self, update: Update) -> Result<(), ChannelError> {
        match update {
            Update::Message(inbound) => self.receive(*inbound).await,
            Update::Receipt(receipt) => match receipt.of {
                ReceiptOf::One { provider_id, message_id } => {
                    self.amend(&provider_id, message_id, Amendment::Receipt(receipt.progress)).await
                }
                ReceiptOf::UpTo { source_id, until } => self.amend_up_to(&source_id, until, receipt.progress).await,
            },
            Update::Edit(edit) => self.amend(&edit.provider_id, None, Amendment::Edit(edit.content, edit.at)).await,
            Update::Deletion { provider_id, .. } => self.amend(&provider_id, None, Amendment::Deletion).await,
            Update::Reaction(reaction) => self.amend(&reaction.provider_id, None, Amendment::Reaction(reaction.emojis, reaction.at)).await,
            Update::Moved { from, to } => self.moved(&from, to).await,
            Update::Reachable { source_id, reachable, reason } => {
                let Some(identity) = self.identity(&source_id).await? else { return Ok(()) };
                let reason = reason.unwrap_or_else(|| "the provider gives no reason".into());
                let reason = Some(reason).filter(|_| !reachable);
                let inbox = &self.inbox;
                Ok(self.contacts.reach(&inbox.account, identity.contact_id, inbox.row.id, reason).await?)
            }
            Update::Typing { source_id, is_typing } => self.types(&source_id, is_typing).await,
            Update::TemplatesChanged => {
                self.status(SessionStatus::TemplatesChanged);
                Ok(())
            }
            Update::NeedsAttention(reason) => {
                self.status(SessionStatus::NeedsAttention(reason));
                Ok(())
            }
            Update::Unreadable { provider_key, reason, raw } => self.park(&provider_key, &reason, raw).await,
        }
    }

    async fn park(&self, provider_key: &str, reason: &str, raw: Bytes) -> Result<(), ChannelError> {
        let failed = |error: String| ChannelError::temporary(format!("setting a message aside: {error}"));
        let of_key = parked_message::Column::ProviderKey.eq(provider_key).and(parked_message::Column::InboxId.eq(self.inbox.row.id));
        let known = parked_message::Entity::find().filter(of_key).one(&self.db.read).await.map_err(|error| failed(error.to_string()))?;
        if known.is_some() {
            return Ok(());
        }
        let (file_name, content_type) = match self.inbox.settings.kind() {
            "email" => ("message.eml", "message/rfc822"),
            _ => ("update.json", "application/json"),
        };
        let stored = self.files.put_bytes(file_name, content_type, raw, u64::MAX).await;
        let mut stored = stored.map_err(|error| failed(error.to_string()))?;
        let unkept = self.files.unkept(&stored);
        // Served as a download, whatever is in it.
        stored.content_type = content_type.into();
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

impl Session {
    /// Agents see the contact type in its latest conversation; nobody hears of it where there is none.
    async fn types(&self, source_id: &str, is_typing: bool) -> Result<(), ChannelError> {
        let Some(identity) = self.identity(source_id).await? else { return Ok(()) };
        let Some(conversation_id) = self.latest_conversation(identity.id).await? else { return Ok(()) };
        let Ok(contact) = self.contacts.row(self.inbox.row.account_id, identity.contact_id).await else { return Ok(()) };
        let who = Sender::Contact(std::sync::Arc::new(contact));
        if let Some(key) = self.key(conversation_id).await? {
            // What is not told now is not worth telling later.
            let _ = self.tell(key, Command::Typing { conversation_id, who, is_typing, is_private: false }).await;
        }
        Ok(())
    }
}
