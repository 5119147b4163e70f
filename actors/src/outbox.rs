//! The loop that empties a queue of rows: outgoing messages of an inbox, deliveries to an endpoint.
//!
//! A row says when it is due, so a restart neither forgets nor hammers. Rows of one lane go one after the other, several
//! lanes at once. A ring of the bell is a hint; without one the loop looks by itself twice a minute.
use crate::backoff;
use crate::channel::ChannelError;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sea_orm::DbErr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Rows that wait to be worked off.
#[async_trait]
pub trait Queue: Clone + Send + Sync + 'static {
    /// What waits.
    type Row: Send + 'static;

    /// Rows of one lane go one after the other.
    fn lane(row: &Self::Row) -> i64;
    /// How many lanes at once.
    fn slots(&self) -> usize;
    /// Rows that are due, oldest first: none of a busy lane, and one of a lane, so that no lane takes the places of others.
    async fn due(&self, busy: &[i64], now: DateTime<Utc>, limit: u64) -> Result<Vec<Self::Row>, DbErr>;
    /// When the next row of a lane that is not busy is due; none if none waits.
    async fn next_due(&self, busy: &[i64]) -> Result<Option<DateTime<Utc>>, DbErr>;
    /// Tries one row and notes what came of it, so that it is not due any more when this returns.
    async fn work(&self, row: Self::Row) -> Flow;
}

/// Whether the loop goes on.
pub enum Flow {
    /// It does.
    Continue,
    /// Only a person can help.
    End(ChannelError),
}

/// The loop looks at least this often.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Works until it is cancelled, or until a row says that only a person can help. What was begun is finished.
///
/// # Errors
/// What the row said, that the database failed, or that the work on a row panicked.
pub async fn drain<Q: Queue>(queue: Q, bell: Arc<Notify>, cancelled: CancellationToken) -> Result<(), ChannelError> {
    // Tasks, not futures of this loop: one that waits for a database connection would be given it and stand still with it while
    // the loop itself waits for one.
    let mut working = JoinSet::new();
    let mut busy: Vec<i64> = Vec::new();
    let mut end = Ok(());
    loop {
        let stops = cancelled.is_cancelled() || end.is_err();
        if stops && working.is_empty() {
            return end;
        }
        let mut wait = LOOK_AGAIN;
        if !stops && working.len() < queue.slots() {
            let now = entity::now();
            let free = u64::try_from(queue.slots() - working.len()).unwrap_or(1);
            let failed = |error: DbErr| ChannelError::temporary(format!("reading what waits to be sent: {error}"));
            match queue.due(&busy, now, free).await.map_err(failed) {
                Err(error) => end = Err(error),
                Ok(rows) => {
                    for row in rows {
                        let lane = Q::lane(&row);
                        if busy.contains(&lane) {
                            continue;
                        }
                        busy.push(lane);
                        let queue = queue.clone();
                        working.spawn(async move { (lane, queue.work(row).await) });
                    }
                }
            }
            // What is at work may take long: a row of another lane does not wait for it.
            if working.len() < queue.slots() && end.is_ok() {
                let next = queue.next_due(&busy).await.ok().flatten();
                let until = next.map(|due| (due - now).to_std().unwrap_or(Duration::from_millis(20)));
                wait = until.map_or(LOOK_AGAIN, |until| until.min(LOOK_AGAIN));
            }
        }
        tokio::select! {
            Some(worked) = working.join_next(), if !working.is_empty() => match worked {
                Ok((lane, flow)) => {
                    busy.retain(|other| *other != lane);
                    if let Flow::End(error) = flow {
                        end = Err(error);
                    }
                }
                Err(error) => end = Err(ChannelError::temporary(format!("working on a row: {error}"))),
            },
            () = bell.notified(), if !stops => {}
            () = cancelled.cancelled(), if !stops => {}
            () = tokio::time::sleep(wait), if !stops => {}
        }
    }
}

/// Ends loops; returns when what they had begun is finished. What another side has not answered by the deadline is cut: the
/// loops then end by themselves, so that none is stopped in the middle of noting something.
pub async fn stop(loops: &TaskTracker, cancelled: &CancellationToken, cut: &CancellationToken, deadline: Instant) {
    cancelled.cancel();
    loops.close();
    if tokio::time::timeout_at(deadline, loops.wait()).await.is_err() {
        cut.cancel();
        loops.wait().await;
    }
}

/// When to try again after so many failures; none when the row is too old.
pub fn later(
    failures: i32,
    retry_after: Option<Duration>,
    created_at: DateTime<Utc>,
    give_up_after: chrono::Duration,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let delay = backoff::with_hint(u32::try_from(failures).unwrap_or(0).saturating_sub(1), retry_after);
    let due_at = now + chrono::Duration::from_std(delay).unwrap_or(chrono::Duration::hours(1));
    (due_at - created_at <= give_up_after).then_some(due_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::{Semaphore, watch};

    /// One row, and one database connection for looking and working.
    #[derive(Clone)]
    struct Narrow {
        connection: Arc<Semaphore>,
        panics: bool,
        looks: Arc<watch::Sender<usize>>,
        begun: Arc<watch::Sender<bool>>,
        worked: Arc<watch::Sender<bool>>,
    }

    impl Narrow {
        fn new(panics: bool) -> Self {
            let connection = Arc::new(Semaphore::new(1));
            Narrow { connection, panics, looks: Arc::default(), begun: Arc::default(), worked: Arc::default() }
        }
    }

    #[async_trait]
    impl Queue for Narrow {
        type Row = ();

        fn lane((): &()) -> i64 {
            1
        }

        fn slots(&self) -> usize {
            16
        }

        async fn due(&self, _: &[i64], _: DateTime<Utc>, _: u64) -> Result<Vec<()>, DbErr> {
            self.looks.send_modify(|looks| *looks += 1);
            if *self.looks.borrow() == 1 {
                return Ok(vec![()]);
            }
            let _connection = self.connection.acquire().await.unwrap();
            Ok(Vec::new())
        }

        async fn next_due(&self, _: &[i64]) -> Result<Option<DateTime<Utc>>, DbErr> {
            Ok(None)
        }

        async fn work(&self, (): ()) -> Flow {
            assert!(!self.panics, "on purpose");
            self.begun.send_replace(true);
            let _connection = self.connection.acquire().await.unwrap();
            self.worked.send_replace(true);
            Flow::Continue
        }
    }

    const SOON: Duration = Duration::from_secs(10);

    /// Two lanes: the first hangs, the second becomes due a moment later.
    #[derive(Clone)]
    struct Slow {
        due_at: DateTime<Utc>,
        worked: Arc<watch::Sender<bool>>,
    }

    #[async_trait]
    impl Queue for Slow {
        type Row = i64;

        fn lane(row: &i64) -> i64 {
            *row
        }

        fn slots(&self) -> usize {
            16
        }

        async fn due(&self, busy: &[i64], now: DateTime<Utc>, _: u64) -> Result<Vec<i64>, DbErr> {
            let rows = [(1, DateTime::<Utc>::MIN_UTC), (2, self.due_at)];
            Ok(rows.into_iter().filter(|(lane, due_at)| !busy.contains(lane) && *due_at <= now).map(|(lane, _)| lane).collect())
        }

        async fn next_due(&self, busy: &[i64]) -> Result<Option<DateTime<Utc>>, DbErr> {
            Ok((!busy.contains(&2)).then_some(self.due_at))
        }

        async fn work(&self, row: i64) -> Flow {
            if row == 2 {
                self.worked.send_replace(true);
            }
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn a_row_that_hangs_does_not_hold_up_one_that_becomes_due_in_another_lane() {
        let queue = Slow { due_at: entity::now() + chrono::Duration::milliseconds(100), worked: Arc::default() };
        let draining = tokio::spawn(drain(queue.clone(), Arc::new(Notify::new()), CancellationToken::new()));
        let mut worked = queue.worked.subscribe();
        tokio::time::timeout(SOON, worked.wait_for(|worked| *worked)).await.expect("it waited for the other lane").unwrap();
        draining.abort();
    }

    #[tokio::test]
    async fn looking_for_more_does_not_keep_what_was_begun_from_going_on() {
        let queue = Narrow::new(false);
        let (bell, cancelled) = (Arc::new(Notify::new()), CancellationToken::new());
        let held = queue.connection.clone().acquire_owned().await.unwrap();
        let draining = tokio::spawn(drain(queue.clone(), bell.clone(), cancelled.clone()));
        // The row's work is first in the line for the connection, the next look is second.
        queue.begun.subscribe().wait_for(|begun| *begun).await.unwrap();
        bell.notify_one();
        queue.looks.subscribe().wait_for(|looks| *looks == 2).await.unwrap();
        drop(held);
        let mut worked = queue.worked.subscribe();
        tokio::time::timeout(SOON, worked.wait_for(|worked| *worked)).await.expect("the work stood still").unwrap();
        cancelled.cancel();
        tokio::time::timeout(SOON, draining).await.unwrap().unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_row_that_panics_ends_the_loop_as_an_error() {
        let draining = drain(Narrow::new(true), Arc::new(Notify::new()), CancellationToken::new());
        let ended = tokio::time::timeout(SOON, draining).await.unwrap();
        assert!(matches!(ended, Err(ChannelError::Temporary { .. })), "{ended:?}");
    }
}
