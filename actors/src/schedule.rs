//! What is due by the clock: snoozed conversations that wake, and rows that nobody will ask for again.
use crate::conversation::Command;
use crate::conversation::rules::{By, Change};
use crate::conversations::{Conversations, Tell};
use crate::db::Db;
use crate::event_log::{EventLog, Kept};
use crate::message::Key;
use actix::prelude::*;
use chrono::{DateTime, Utc};
use entity::conversation::Status;
use entity::delivery::DeliveryStatus;
use entity::{contact_inbox, conversation, delivery, delivery_attempt, idempotency_key, session};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::time::Duration;

const TICK: Duration = Duration::from_secs(10);
/// Old rows are removed once in so many ticks, so many at a time.
const TICKS_BETWEEN_CLEANINGS: u32 = 30;
const CLEANED_AT_ONCE: u64 = 5_000;
/// How long finished deliveries can be looked at and repeated.
const DELIVERIES_KEPT: chrono::Duration = chrono::Duration::days(14);
const IDEMPOTENCY_KEYS_KEPT: chrono::Duration = chrono::Duration::hours(24);

/// The actor that looks at the clock.
pub struct ScheduleActor {
    /// Reads, and removes old rows.
    pub db: Db,
    /// Where conversations are woken.
    pub conversations: Addr<Conversations>,
    /// The log of events.
    pub event_log: EventLog,
    /// How much of it is kept.
    pub events_kept: Kept,
}

impl Actor for ScheduleActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (db, conversations, event_log, events_kept) =
            (self.db.clone(), self.conversations.clone(), self.event_log.clone(), self.events_kept);
        let ticking = async move {
            let mut ticks = 0_u32;
            loop {
                if let Err(error) = wake_snoozed(&db, &conversations).await {
                    tracing::error!(%error, "waking snoozed conversations");
                }
                if ticks.is_multiple_of(TICKS_BETWEEN_CLEANINGS) {
                    if let Err(error) = clean(&db, entity::now()).await {
                        tracing::error!(%error, "removing old rows");
                    }
                    if let Err(error) = event_log.trim(events_kept, entity::now()).await {
                        tracing::error!(%error, "trimming the log of events");
                    }
                }
                ticks = ticks.wrapping_add(1);
                tokio::time::sleep(TICK).await;
            }
        };
        ctx.spawn(ticking.into_actor(self));
    }
}

async fn wake_snoozed(db: &Db, conversations: &Addr<Conversations>) -> Result<(), DbErr> {
    let due = conversation::Entity::find()
        .filter(conversation::Column::Status.eq(Status::Snoozed))
        .filter(conversation::Column::SnoozedUntil.lte(entity::now()))
        .limit(100);
    for conversation in due.all(&db.read).await? {
        let Some(identity) = contact_inbox::Entity::find_by_id(conversation.contact_inbox_id).one(&db.read).await? else { continue };
        let key = Key { inbox_id: identity.inbox_id, source_id: identity.source_id };
        let change = Change::Status { status: Some(Status::Open), snoozed_until: None };
        let wake = Command::Change { conversation_id: conversation.id, by: By::System, change };
        if let Ok(Err(error)) = conversations.send(Tell { key, command: wake }).await {
            tracing::warn!(conversation.id = conversation.id, %error, "waking a snoozed conversation; tried again soon");
        }
    }
    Ok(())
}

/// The newest row of a table stays, since the writer counts on from it.
async fn clean(db: &Db, now: DateTime<Utc>) -> Result<(), DbErr> {
    idempotency_key::Entity::delete_many()
        .filter(idempotency_key::Column::CreatedAt.lt(now - IDEMPOTENCY_KEYS_KEPT))
        .exec(&db.write)
        .await?;
    session::Entity::delete_many().filter(session::Column::ExpiresAt.lt(now)).exec(&db.write).await?;
    let finished: Vec<i64> = delivery::Entity::find()
        .select_only()
        .column(delivery::Column::Id)
        .filter(delivery::Column::Status.ne(DeliveryStatus::Queued))
        .filter(delivery::Column::FinishedAt.lt(now - DELIVERIES_KEPT))
        .filter(delivery::Column::Id.lt(newest_delivery(db).await?))
        .order_by_asc(delivery::Column::Id)
        .limit(CLEANED_AT_ONCE)
        .into_tuple()
        .all(&db.read)
        .await?;
    let newest_attempt: Option<i64> = delivery_attempt::Entity::find()
        .select_only()
        .column(delivery_attempt::Column::Id)
        .order_by_desc(delivery_attempt::Column::Id)
        .into_tuple()
        .one(&db.read)
        .await?;
    for ids in finished.chunks(500) {
        delivery_attempt::Entity::delete_many()
            .filter(delivery_attempt::Column::DeliveryId.is_in(ids.iter().copied()))
            .filter(delivery_attempt::Column::Id.lt(newest_attempt.unwrap_or(0)))
            .exec(&db.write)
            .await?;
        delivery::Entity::delete_many().filter(delivery::Column::Id.is_in(ids.iter().copied())).exec(&db.write).await?;
    }
    Ok(())
}

async fn newest_delivery(db: &Db) -> Result<i64, DbErr> {
    let newest = delivery::Entity::find().select_only().column(delivery::Column::Id).order_by_desc(delivery::Column::Id);
    Ok(newest.into_tuple::<i64>().one(&db.read).await?.unwrap_or(0))
}
