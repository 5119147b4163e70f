//! Receipts, edits, reactions: of messages that are known, or kept until they are. Providers tell of a message in any order, and of
//! ours before the call that sends it has answered.
//!
//! Whoever keeps an amendment looks for the message again afterwards, and whoever stores a message looks for amendments
//! afterwards: so one of both sees the other, whatever comes first.
use super::Session;
use crate::channel::ChannelError;
use crate::conversation::{ConversationError, Outcome};
use crate::message::{Amendment, Progress};
use chrono::{DateTime, Utc};
use entity::message::{MessageStatus, MessageType};
use entity::{conversation, early_amendment, message, message_part};
use sea_orm::{ActiveValue, ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

/// How many messages a watermark is looked for in at once.
const MARKED_AT_ONCE: u64 = 100;

impl Session {
    /// Applies it to the message that the provider knows under this id, or that is ours under that one.
    pub(super) async fn amend(&self, provider_id: &str, message_id: Option<i64>, amendment: Amendment) -> Result<(), ChannelError> {
        let failed = |error: DbErr| ChannelError::temporary(format!("looking up a message: {error}"));
        if let Some(message) = self.amended(provider_id, message_id, &amendment).await.map_err(failed)? {
            return Ok(self.apply(&message, provider_id, amendment).await?);
        }
        if is_of_part(&amendment) && self.part_of(provider_id).await.map_err(failed)?.is_some() {
            // One part of several has come so far: the last one counts for all.
            return Ok(());
        }
        let kept = serde_json::to_value(&amendment).map_err(|error| ChannelError::Rejected(format!("has no JSON form: {error}")))?;
        let row = early_amendment::ActiveModel {
            id: ActiveValue::NotSet,
            inbox_id: ActiveValue::Set(self.inbox.row.id),
            provider_id: ActiveValue::Set(provider_id.to_owned()),
            amendment: ActiveValue::Set(kept),
            created_at: ActiveValue::Set(entity::now()),
        };
        early_amendment::Entity::insert(row).exec_without_returning(&self.db.write).await.map_err(failed)?;
        self.catch_up(provider_id).await
    }

    /// Applies what came before the message, if it is known now.
    pub(super) async fn catch_up(&self, provider_id: &str) -> Result<(), ChannelError> {
        let failed = |error: DbErr| ChannelError::temporary(format!("looking up what came early: {error}"));
        let early = early_amendment::Entity::find()
            .filter(early_amendment::Column::InboxId.eq(self.inbox.row.id))
            .filter(early_amendment::Column::ProviderId.eq(provider_id))
            .order_by_asc(early_amendment::Column::Id);
        for row in early.all(&self.db.read).await.map_err(failed)? {
            let Ok(amendment) = serde_json::from_value::<Amendment>(row.amendment) else {
                tracing::error!(early_amendment.id = row.id, "what came early cannot be read, and is left out");
                continue;
            };
            let Some(message) = self.amended(provider_id, None, &amendment).await.map_err(failed)? else { return Ok(()) };
            self.apply(&message, provider_id, amendment).await?;
            early_amendment::Entity::delete_by_id(row.id).exec(&self.db.write).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Applies a receipt of everything that was written to a contact until a time.
    pub(super) async fn amend_up_to(&self, source_id: &str, until: DateTime<Utc>, progress: Progress) -> Result<(), ChannelError> {
        let failed = |error: DbErr| ChannelError::temporary(format!("looking up messages: {error}"));
        let Some(identity) = self.identity(source_id).await? else { return Ok(()) };
        let Some(conversation_id) = self.latest_conversation(identity.id).await? else { return Ok(()) };
        let unread = message::Entity::find()
            .filter(message::Column::ConversationId.eq(conversation_id))
            .filter(message::Column::MessageType.is_in([MessageType::Outgoing, MessageType::Template]))
            .filter(message::Column::Status.is_in([MessageStatus::Sent, MessageStatus::Delivered]))
            .filter(message::Column::CreatedAt.lte(until))
            .order_by_desc(message::Column::Id)
            .limit(MARKED_AT_ONCE);
        for message in unread.all(&self.db.read).await.map_err(failed)? {
            let provider_id = message.source_id.clone().unwrap_or_default();
            self.apply(&message, &provider_id, Amendment::Receipt(progress.clone())).await?;
        }
        Ok(())
    }

    /// The conversation in which an identity said something last.
    pub(super) async fn latest_conversation(&self, contact_inbox_id: i64) -> Result<Option<i64>, ChannelError> {
        let latest = conversation::Entity::find()
            .select_only()
            .column(conversation::Column::Id)
            .filter(conversation::Column::ContactInboxId.eq(contact_inbox_id))
            .order_by_desc(conversation::Column::Id)
            .into_tuple()
            .one(&self.db.read);
        latest.await.map_err(|error| ChannelError::temporary(format!("looking up a conversation: {error}")))
    }

    /// The message of which the provider knows a part under this id.
    pub(super) async fn part_of(&self, provider_id: &str) -> Result<Option<i64>, DbErr> {
        let of_inbox = message_part::Entity::find().filter(message_part::Column::InboxId.eq(self.inbox.row.id));
        Ok(of_inbox.filter(message_part::Column::ProviderId.eq(provider_id)).one(&self.db.read).await?.map(|part| part.message_id))
    }

    /// The message that an amendment is of.
    async fn amended(&self, provider_id: &str, message_id: Option<i64>, amendment: &Amendment) -> Result<Option<message::Model>, DbErr> {
        let of_inbox = message::Entity::find().filter(message::Column::InboxId.eq(self.inbox.row.id));
        if let Some(id) = message_id
            && let Some(own) = of_inbox.clone().filter(message::Column::Id.eq(id)).one(&self.db.read).await?
        {
            return Ok(Some(own));
        }
        if is_of_part(amendment) {
            return of_inbox.filter(message::Column::SourceId.eq(provider_id)).one(&self.db.read).await;
        }
        self.message_of(provider_id).await
    }

    async fn apply(&self, message: &message::Model, provider_id: &str, amendment: Amendment) -> Result<(), ConversationError> {
        let outcome = Outcome::Amended(amendment, provider_id.to_owned());
        match self.settle(message.conversation_id, message.id, outcome).await {
            // Removed meanwhile.
            Err(ConversationError::NotFound) => Ok(()),
            other => other.map(drop),
        }
    }
}

/// Whether it says something of a part only, where a message went in several: that one part has arrived.
fn is_of_part(amendment: &Amendment) -> bool {
    matches!(amendment, Amendment::Receipt(Progress::Sent | Progress::Delivered | Progress::Read))
}
