//! Tells providers that an inbox is gone, so that they send nothing more: rows that were written with the deletion, so that it
//! happens also when the provider is down or the daemon ends in between.
//!
//! Never while a session of the inbox still runs, which would register it again, and never where another inbox has the same
//! account at the provider by then.
use crate::catalog::open_channel;
use crate::channel::{ChannelError, ChannelSettings, Tools};
use crate::db::Db;
use crate::inbox::Reconnect;
use crate::outbox::{self, Flow, Queue};
use crate::secret::Vault;
use crate::supervisor::{Find, Runs, Supervisor};
use actix::Addr;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use entity::{inbox, unregistration};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a provider is tried.
const GIVEN_UP_AFTER: chrono::Duration = chrono::Duration::days(3);
/// How long one try may take.
const TRY: Duration = Duration::from_secs(30);
/// How long to wait for a session to end, or for the database.
const AGAIN: Duration = Duration::from_secs(1);

/// Notes that the provider of an inbox is to be told, with what makes the inbox go, or have another account there. `db` is the
/// transaction of that; [`Unregistrations::ring`] once it has committed.
///
/// # Errors
/// If the database fails.
pub async fn note(db: &impl ConnectionTrait, inbox: &inbox::Model) -> Result<(), DbErr> {
    let Some(channel_key) = inbox.channel_key.clone() else { return Ok(()) };
    let row = unregistration::ActiveModel {
        id: ActiveValue::NotSet,
        inbox_id: ActiveValue::Set(inbox.id),
        channel_key: ActiveValue::Set(channel_key),
        channel_settings: ActiveValue::Set(inbox.channel_settings.clone()),
        failures: ActiveValue::Set(0),
        due_at: ActiveValue::Set(entity::now()),
        created_at: ActiveValue::Set(entity::now()),
    };
    unregistration::Entity::insert(row).exec_without_returning(db).await.map(drop)
}

/// Works off what was noted.
#[derive(Clone)]
pub struct Unregistrations {
    waiting: Waiting,
    bell: Arc<Notify>,
    cancelled: CancellationToken,
    tasks: TaskTracker,
}

impl Unregistrations {
    /// With nothing begun.
    pub fn new(db: Db, vault: Vault, tools: Tools, supervisor: Addr<Supervisor>) -> Self {
        let waiting = Waiting { db, vault, tools, supervisor, cut: CancellationToken::new() };
        Unregistrations { waiting, bell: Arc::default(), cancelled: CancellationToken::new(), tasks: TaskTracker::new() }
    }

    /// Something was noted.
    pub fn ring(&self) {
        self.bell.notify_one();
    }

    /// Begins, with what an earlier run has left.
    pub fn start(&self, pool: &tokio::runtime::Handle) {
        let Unregistrations { waiting, bell, cancelled, tasks } = self.clone();
        tasks.spawn_on(
            async move {
                while !cancelled.is_cancelled() {
                    if let Err(error) = outbox::drain(waiting.clone(), bell.clone(), cancelled.child_token()).await {
                        tracing::error!(%error, "telling providers of inboxes that are gone; begun again soon");
                        tokio::select! {
                            () = cancelled.cancelled() => return,
                            () = tokio::time::sleep(AGAIN) => {}
                        }
                    }
                }
            },
            pool,
        );
    }

    /// Ends; what a provider has not answered by the deadline is left, and asked again after the next start.
    pub async fn stop(&self, deadline: Instant) {
        outbox::stop(&self.tasks, &self.cancelled, &self.waiting.cut, deadline).await;
    }
}

/// The rows that wait, as the loop sees them.
#[derive(Clone)]
struct Waiting {
    db: Db,
    vault: Vault,
    tools: Tools,
    supervisor: Addr<Supervisor>,
    /// Cuts off what is under way.
    cut: CancellationToken,
}

/// What becomes of a row.
enum Outcome {
    Done,
    /// Not now, and nobody is to blame.
    NotYet,
    Failed(ChannelError),
}

#[async_trait]
impl Queue for Waiting {
    type Row = unregistration::Model;

    fn lane(row: &unregistration::Model) -> i64 {
        row.id
    }

    fn slots(&self) -> usize {
        4
    }

    async fn due(&self, busy: &[i64], now: DateTime<Utc>, limit: u64) -> Result<Vec<unregistration::Model>, DbErr> {
        unregistration::Entity::find()
            .filter(unregistration::Column::DueAt.lte(now))
            .filter(unregistration::Column::Id.is_not_in(busy.iter().copied()))
            .order_by_asc(unregistration::Column::DueAt)
            .limit(limit)
            .all(&self.db.read)
            .await
    }

    async fn next_due(&self, busy: &[i64]) -> Result<Option<DateTime<Utc>>, DbErr> {
        let free = unregistration::Column::Id.is_not_in(busy.iter().copied());
        let next = unregistration::Entity::find().filter(free).order_by_asc(unregistration::Column::DueAt);
        Ok(next.one(&self.db.read).await?.map(|row| row.due_at))
    }

    async fn work(&self, row: unregistration::Model) -> Flow {
        let outcome = tokio::select! {
            outcome = self.unregister(&row) => outcome,
            () = self.cut.cancelled() => return Flow::Continue,
        };
        let noted = match outcome {
            Ok(outcome) => self.settle(&row, outcome).await,
            Err(error) => Err(error),
        };
        match noted {
            Ok(()) => Flow::Continue,
            Err(error) => Flow::End(ChannelError::temporary(format!("the database failed: {error}"))),
        }
    }
}

impl Waiting {
    async fn unregister(&self, row: &unregistration::Model) -> Result<Outcome, DbErr> {
        let living = self.living(row).await?;
        if living.is_some() {
            return Ok(Outcome::Done);
        }
        let is_deleted = inbox::Entity::find_by_id(row.inbox_id).one(&self.db.read).await?.is_none_or(|inbox| inbox.deleted_at.is_some());
        if is_deleted && self.supervisor.send(Runs(row.inbox_id)).await.unwrap_or(true) {
            return Ok(Outcome::NotYet);
        }
        let settings = match open_channel(&self.vault, row.inbox_id, row.channel_settings.clone()) {
            Ok(settings) => settings,
            Err(error) => return Ok(Outcome::Failed(ChannelError::Rejected(error.to_string()))),
        };
        let told = self.tell(&settings).await;
        // Somebody may have begun with the same account while the provider was being told.
        if let Some(living) = self.living(row).await?
            && let Ok(Some(actor)) = self.supervisor.send(Find(living.id)).await
        {
            actor.do_send(Reconnect);
        }
        Ok(told.map_or_else(Outcome::Failed, |()| Outcome::Done))
    }

    async fn tell(&self, settings: &ChannelSettings) -> Result<(), ChannelError> {
        let channel = settings.build(&self.tools);
        let Some(registration) = channel.registration() else { return Ok(()) };
        let told = tokio::time::timeout(TRY, registration.unregister()).await;
        told.unwrap_or_else(|_| Err(ChannelError::temporary(format!("{} does not answer", settings.provider()))))
    }

    /// The inbox that has the account now.
    async fn living(&self, row: &unregistration::Model) -> Result<Option<inbox::Model>, DbErr> {
        let of_key = inbox::Entity::find().filter(inbox::Column::ChannelKey.eq(&row.channel_key));
        of_key.filter(inbox::Column::DeletedAt.is_null()).one(&self.db.read).await
    }

    async fn settle(&self, row: &unregistration::Model, outcome: Outcome) -> Result<(), DbErr> {
        let now = entity::now();
        let (failures, due_at) = match outcome {
            Outcome::Done => (0, None),
            Outcome::NotYet => (row.failures, chrono::Duration::from_std(AGAIN).ok().map(|pause| now + pause)),
            Outcome::Failed(error) => {
                let failures = row.failures.saturating_add(1);
                let due_at = match &error {
                    ChannelError::Temporary { retry_after, .. } => {
                        outbox::later(failures, *retry_after, row.created_at, GIVEN_UP_AFTER, now)
                    }
                    ChannelError::NeedsAttention(_) | ChannelError::Rejected(_) => None,
                };
                let given_up = due_at.is_none();
                tracing::warn!(inbox.id = row.inbox_id, failures, given_up, %error, "the provider could not be told that an inbox is gone");
                (failures, due_at)
            }
        };
        let Some(due_at) = due_at else {
            return unregistration::Entity::delete_by_id(row.id).exec(&self.db.write).await.map(drop);
        };
        unregistration::Entity::update_many()
            .col_expr(unregistration::Column::Failures, Expr::value(failures))
            .col_expr(unregistration::Column::DueAt, Expr::value(due_at))
            .filter(unregistration::Column::Id.eq(row.id))
            .exec(&self.db.write)
            .await
            .map(drop)
    }
}
