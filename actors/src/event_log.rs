//! The log of events as those read it who were away: from any place on that it still holds, and knowing when it does not.
//!
//! A place in the log is an epoch and the id of an event. Ids grow in the order of the commits, so "everything after this id"
//! has one meaning, also over a restart; the epoch says which log it is. The log is trimmed from its beginning, and notes in
//! the same transaction up to where, since some old events stay for their deliveries: the oldest row proves nothing.
use crate::db::Db;
use chrono::{DateTime, Utc};
use entity::{delivery, event, event_log};
use sea_orm::sea_query::{Expr, OnConflict, Query};
use sea_orm::{ActiveValue, ColumnTrait, Condition, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, TransactionTrait};
use std::sync::Arc;

/// How many events one transaction of a trimming removes.
const TRIMMED_AT_ONCE: u64 = 5_000;

/// How much of the log is kept.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// How old an event may become.
    pub age: chrono::Duration,
    /// How many there may be.
    pub rows: i64,
}

/// Reads and trims the log.
#[derive(Clone)]
pub struct EventLog {
    db: Db,
    epoch: Arc<str>,
}

/// Whose events are read: all that concern an account as a whole, and those of these inboxes.
pub struct Scope {
    /// The account.
    pub account_id: i64,
    /// The inboxes.
    pub inboxes: Vec<i64>,
}

impl EventLog {
    /// Opens the log; the first time it gets its epoch.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn open(db: Db) -> Result<Self, DbErr> {
        let row = event_log::ActiveModel {
            id: ActiveValue::Set(event_log::THE_ROW),
            epoch: ActiveValue::Set(uuid::Uuid::new_v4().simple().to_string()),
            trimmed_id: ActiveValue::Set(0),
            trimmed_at: ActiveValue::Set(None),
        };
        let once = OnConflict::column(event_log::Column::Id).do_nothing().to_owned();
        event_log::Entity::insert(row).on_conflict(once).exec_without_returning(&db.write).await?;
        let found = event_log::Entity::find_by_id(event_log::THE_ROW).one(&db.write).await?;
        let row = found.ok_or_else(|| DbErr::RecordNotFound("event_log".into()))?;
        Ok(EventLog { db, epoch: row.epoch.into() })
    }

    /// The database it is in.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Which log this is.
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// The id of the newest event; 0 when there is none.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn newest(&self) -> Result<i64, DbErr> {
        Ok(self.at_most(i64::MAX).await?.map_or(0, |(id, _)| id))
    }

    /// The first events in a range, `after` excluded and `up_to` included, as they were logged; `None` if the log does not
    /// hold all of the range any more.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn read(&self, scope: &Scope, after: i64, up_to: i64, limit: u64) -> Result<Option<Vec<(i64, String)>>, DbErr> {
        let of_inboxes = match scope.inboxes.is_empty() {
            true => Condition::any(),
            false => Condition::any().add(event::Column::InboxId.is_in(scope.inboxes.iter().copied())),
        };
        let rows = event::Entity::find()
            .select_only()
            .columns([event::Column::Id, event::Column::Payload])
            .filter(event::Column::Id.gt(after))
            .filter(event::Column::Id.lte(up_to))
            .filter(event::Column::AccountId.eq(scope.account_id))
            .filter(of_inboxes.add(event::Column::InboxId.is_null()))
            .order_by_asc(event::Column::Id)
            .limit(limit)
            .into_tuple()
            .all(&self.db.read)
            .await?;
        // Asked afterwards: had anything been removed before the rows were read, it would be known now.
        Ok((self.row().await?.trimmed_id <= after).then_some(rows))
    }

    /// The id after which everything lies that happened since; `None` if the log does not hold all of that any more.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn before(&self, since: DateTime<Utc>) -> Result<Option<i64>, DbErr> {
        let row = self.row().await?;
        if row.trimmed_at.is_some_and(|at| at >= since) {
            return Ok(None);
        }
        // Most ask for the last seconds: so in growing steps back from the end first, then in halves.
        let (mut low, mut high, mut step) = (row.trimmed_id, self.newest().await?, 0_i64);
        while low < high {
            let middle = (high - step).max(low + (high - low + 1) / 2);
            match self.at_most(middle).await? {
                Some((id, at)) if id > low && at >= since => (high, step) = (id - 1, step.saturating_mul(2).clamp(1, i64::MAX / 4)),
                _ => (low, step) = (middle, i64::MAX / 4),
            }
        }
        Ok(Some(high))
    }

    /// Removes what is not to be kept; the newest event always is, since the writer counts on from it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn trim(&self, kept: Kept, now: DateTime<Utc>) -> Result<(), DbErr> {
        loop {
            let (newest, begin) = (self.newest().await?, self.row().await?.trimmed_id);
            let (too_many, too_old) = (newest.saturating_sub(kept.rows), now - kept.age);
            let part: Vec<(i64, DateTime<Utc>)> = event::Entity::find()
                .select_only()
                .columns([event::Column::Id, event::Column::CreatedAt])
                .filter(event::Column::Id.gt(begin))
                .filter(event::Column::Id.lt(newest))
                .order_by_asc(event::Column::Id)
                .limit(TRIMMED_AT_ONCE)
                .into_tuple()
                .all(&self.db.read)
                .await?;
            let found = part.len();
            let old: Vec<_> = part.into_iter().take_while(|(id, at)| *id <= too_many || *at < too_old).collect();
            let Some((last, at)) = old.last().copied() else { return Ok(()) };
            let transaction = self.db.write.begin().await?;
            event_log::Entity::update_many()
                .col_expr(event_log::Column::TrimmedId, Expr::value(last))
                .col_expr(event_log::Column::TrimmedAt, Expr::value(at))
                .exec(&transaction)
                .await?;
            let needed = Query::select().column(delivery::Column::EventId).from(delivery::Entity).to_owned();
            event::Entity::delete_many()
                .filter(event::Column::Id.lte(last))
                .filter(event::Column::Id.not_in_subquery(needed))
                .exec(&transaction)
                .await?;
            transaction.commit().await?;
            if old.len() < found {
                return Ok(());
            }
        }
    }

    async fn row(&self) -> Result<event_log::Model, DbErr> {
        let found = event_log::Entity::find_by_id(event_log::THE_ROW).one(&self.db.read).await?;
        found.ok_or_else(|| DbErr::RecordNotFound("event_log".into()))
    }

    /// The newest event up to an id, and when it happened.
    async fn at_most(&self, id: i64) -> Result<Option<(i64, DateTime<Utc>)>, DbErr> {
        let newest = event::Entity::find().select_only().columns([event::Column::Id, event::Column::CreatedAt]);
        newest.filter(event::Column::Id.lte(id)).order_by_desc(event::Column::Id).limit(1).into_tuple().one(&self.db.read).await
    }
}
