//! The queue of outgoing messages: what the channel is to send, to change or to take back, one thing of a conversation at a time.
use super::Session;
use crate::backoff;
use crate::channel::{ChannelError, Intake, Pause, SessionStatus};
use crate::conversation::{ConversationError, Outcome};
use crate::message::ProviderId;
use crate::outbound;
use crate::outbox::{self, Flow, Queue};
use crate::store::StoreError;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use entity::outgoing::Action;
use entity::{message, outgoing};
use sea_orm::sea_query::{Alias, Expr, Query};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use std::time::Duration;

/// How old a message may grow that cannot be sent.
const GIVE_UP_AFTER: chrono::Duration = chrono::Duration::days(2);
/// The longest pause between two tries to store what became of a message.
const SETTLE_AGAIN: Duration = Duration::from_secs(30);

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
        if self.throttle.now(now).is_some() {
            return Ok(Vec::new());
        }
        let due = self.heads(busy).filter(outgoing::Column::DueAt.lte(now)).order_by_asc(outgoing::Column::MessageId);
        due.limit(limit).all(&self.db.read).await
    }

    async fn next_due(&self, busy: &[i64]) -> Result<Option<DateTime<Utc>>, DbErr> {
        let first = self.heads(busy).order_by_asc(outgoing::Column::DueAt).one(&self.db.read).await?;
        let throttled = self.throttle.now(entity::now());
        Ok(first.map(|row| throttled.map_or(row.due_at, |until| std::cmp::max(until, row.due_at))))
    }

    async fn work(&self, row: outgoing::Model) -> Flow {
        let outcome = match self.unsettled.of(row.message_id) {
            Some(outcome) => outcome,
            None => match self.try_row(&row).await {
                Ok(outcome) => outcome,
                // Stays as it is, to be sent once somebody has helped.
                Err(error) => return Flow::End(error),
            },
        };
        self.unsettled.keep(row.message_id, outcome.clone());
        let mut failures = 0;
        while let Err(error) = self.note(&row, outcome.clone()).await {
            tracing::error!(inbox.id = row.inbox_id, message.id = row.message_id, %error, "noting what became of a message; tried again");
            failures += 1;
            tokio::select! {
                () = self.cancelled.cancelled() => return Flow::Continue,
                () = tokio::time::sleep(backoff::delay(failures).min(SETTLE_AGAIN)) => {}
            }
        }
        self.unsettled.forget(row.message_id);
        if let Outcome::Sent(ProviderId(id), _) = &outcome
            && !id.is_empty()
            && let Err(error) = self.catch_up(id).await
        {
            // The next receipt of the message brings it, or the provider repeats.
            tracing::warn!(inbox.id = row.inbox_id, message.id = row.message_id, %error, "receipts that came early wait");
        }
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

    /// Has the channel do what is to be done with a message. An error is what only a person can mend.
    async fn try_row(&self, row: &outgoing::Model) -> Result<Outcome, ChannelError> {
        match row.action {
            Action::Send => self.send(row).await,
            Action::Edit | Action::Delete => self.revise(row).await,
        }
    }

    async fn send(&self, row: &outgoing::Model) -> Result<Outcome, ChannelError> {
        let loaded = outbound::load(&self.db, &self.files, &self.inbox, row).await;
        let (sent, parts) = match loaded {
            Ok(Some(outbound)) => (self.channel.send(&outbound).await, outbound.sent.all()),
            // Deleted meanwhile.
            Ok(None) => (Ok(ProviderId::default()), Vec::new()),
            Err(error) => (Err(ChannelError::temporary(format!("loading the message: {error}"))), outbound::sent_parts(row)),
        };
        match sent {
            Ok(id) => {
                self.status(SessionStatus::Useful);
                Ok(Outcome::Sent(id, parts))
            }
            Err(ChannelError::Rejected(reason)) => Ok(Outcome::Failed(reason)),
            Err(error @ ChannelError::NeedsAttention(_)) => {
                self.keep_parts(row, parts).await;
                Err(error)
            }
            Err(error) => self.later(row, error, parts),
        }
    }

    /// Notes which parts the provider has, of a message that waits for a person's help.
    async fn keep_parts(&self, row: &outgoing::Model, parts: Vec<Vec<String>>) {
        if parts == outbound::sent_parts(row) {
            return;
        }
        let noted = outgoing::Entity::update_many()
            .col_expr(outgoing::Column::SentParts, Expr::value(serde_json::json!(parts)))
            .filter(outgoing::Column::MessageId.eq(row.message_id))
            .exec(&self.db.write)
            .await;
        if let Err(error) = noted {
            tracing::error!(message.id = row.message_id, %error, "which parts were sent is not noted: they may be sent again");
        }
    }

    /// Changes or takes back at the provider what it has.
    async fn revise(&self, row: &outgoing::Model) -> Result<Outcome, ChannelError> {
        let done = |refused| Ok(Outcome::Revised(row.created_at, refused));
        let Some(revisions) = self.channel.revisions() else { return done(Some("this channel cannot do that".into())) };
        let loaded = outbound::revision(&self.db, row).await;
        let revised = match loaded {
            Ok(Some(revision)) => match row.action {
                Action::Delete => revisions.delete(&revision.source_id, &revision.provider_id).await,
                Action::Send | Action::Edit => revisions.edit(&revision.source_id, &revision.provider_id, &revision.content).await,
            },
            Ok(None) => Ok(()),
            Err(error) => Err(ChannelError::temporary(format!("loading the message: {error}"))),
        };
        match revised {
            Ok(()) => done(None),
            Err(ChannelError::Rejected(reason)) => done(Some(reason)),
            Err(error) => match self.later(row, error, Vec::new())? {
                Outcome::Failed(reason) => done(Some(reason)),
                outcome => Ok(outcome),
            },
        }
    }

    /// What follows from an error that may go by itself; one that does not is given back.
    fn later(&self, row: &outgoing::Model, error: ChannelError, sent_parts: Vec<Vec<String>>) -> Result<Outcome, ChannelError> {
        let ChannelError::Temporary { cause, retry_after, pause } = error else { return Err(error) };
        let (failures, now) = (row.failures.saturating_add(1), entity::now());
        let Some(due_at) = outbox::later(failures, retry_after, row.created_at, GIVE_UP_AFTER, now) else {
            return Ok(Outcome::Failed(format!("given up after {failures} tries: {cause}")));
        };
        if pause == Pause::Inbox {
            self.throttle.until(due_at);
        }
        Ok(Outcome::Later { failures, due_at, error: cause, sent_parts })
    }

    /// Has it stored what became of a message.
    async fn note(&self, row: &outgoing::Model, outcome: Outcome) -> Result<(), ConversationError> {
        let settled = self.settle(row.conversation_id, row.message_id, outcome.clone()).await;
        match settled {
            // The provider gave an id that another message has: this one was sent all the same, and has none.
            Err(ConversationError::Store(StoreError::Conflict(_))) if matches!(outcome, Outcome::Sent(..)) => {
                tracing::error!(message.id = row.message_id, "the provider gave a message the id of another one");
                let nameless = Outcome::Sent(ProviderId::default(), Vec::new());
                self.settle(row.conversation_id, row.message_id, nameless).await.map(drop)
            }
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
