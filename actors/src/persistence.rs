//! Commits commands in groups, answers whoever asked, and publishes what was committed.
//!
//! While one group is being committed the next one gathers, so groups grow with the load and one fsync serves them whole.
//! There is one such actor on either database: the event log then has one order, which is the order of the commits.
use crate::event::Event;
use crate::hub::Hub;
use crate::standings::Standings;
use crate::store::{Announcement, Attempt, Command, Committed, Departure, Record, Recorded, StoreError, Writer};
use actix::prelude::*;
use std::sync::Arc;
use tokio::sync::{Mutex, oneshot};

/// Bounds how long the first of a group waits for the last.
const GROUP_LIMIT: usize = 256;

/// Store this; answered once it is committed.
#[derive(Message)]
#[rtype(result = "Result<Recorded, StoreError>")]
pub struct Commit(pub Record);

/// Note this try to deliver; answered once it is committed.
#[derive(Message)]
#[rtype(result = "Result<(), StoreError>")]
pub struct Note(pub Attempt);

/// Let this contact go; answered once it is committed, with the keys of the files that nobody has any more.
#[derive(Message)]
#[rtype(result = "Result<Vec<String>, StoreError>")]
pub struct Depart(pub Departure);

/// Tell this; answered once it is committed.
#[derive(Message)]
#[rtype(result = "Result<(), StoreError>")]
pub struct Announce(pub Announcement);

/// Tell what waits in `announcements`. A ring that is lost delays it until the next one.
#[derive(Message)]
#[rtype(result = "()")]
pub struct TellAnnouncements;

/// Count an account; answered when its counts are there.
#[derive(Message)]
#[rtype(result = "Result<(), StoreError>")]
pub struct CountUp(pub i64);

/// Tells whoever delivers webhooks that an event was committed; called in the order of the commits, never waits.
pub type Listener = Arc<dyn Fn(&Event) + Send + Sync>;

type Answer = oneshot::Sender<Result<Committed, StoreError>>;

/// The one actor that commits.
pub struct PersistenceActor {
    writer: Arc<Mutex<Writer>>,
    hub: Hub,
    standings: Standings,
    listener: Listener,
    waiting: Vec<(Command, Answer)>,
    committing: bool,
    /// Told when nothing waits any more.
    flushes: Vec<oneshot::Sender<()>>,
}

impl PersistenceActor {
    /// Over the one writer.
    pub fn new(writer: Writer, hub: Hub, standings: Standings, listener: Listener) -> Self {
        let writer = Arc::new(Mutex::new(writer));
        PersistenceActor { writer, hub, standings, listener, waiting: Vec::new(), committing: false, flushes: Vec::new() }
    }

    fn enqueue(&mut self, command: Command, ctx: &mut Context<Self>) -> oneshot::Receiver<Result<Committed, StoreError>> {
        let (answer, answered) = oneshot::channel();
        self.waiting.push((command, answer));
        self.commit_next(ctx);
        answered
    }

    fn commit_next(&mut self, ctx: &mut Context<Self>) {
        if self.committing || self.waiting.is_empty() {
            return;
        }
        self.committing = true;
        // The text of a shared statement depends on the size of the group: of powers of two there are few, and all stay prepared.
        let group = 1 << self.waiting.len().min(GROUP_LIMIT).ilog2();
        // A count stands between two groups: everything before it is in it, nothing behind it is.
        let until_count = self.waiting.iter().position(|(command, _)| matches!(command, Command::Count(_)));
        let size = until_count.map_or(group, |position| position.clamp(1, group));
        let (group, answers): (Vec<_>, Vec<_>) = self.waiting.drain(..size).unzip();
        let writer = self.writer.clone();
        // A task of its own: were it to panic, the group would be left unanswered and the actor alive.
        let commit = actix::spawn(async move { writer.lock().await.commit(group).await });
        ctx.spawn(commit.into_actor(self).map(move |committed, actor, ctx| {
            actor.committing = false;
            actor.commit_next(ctx);
            match committed {
                Ok(committed) => actor.finish(committed, answers),
                Err(error) => {
                    tracing::error!(group.size = size, %error, "a commit broke down; its senders are told that the outcome is unknown")
                }
            }
            if !actor.committing {
                for flushed in actor.flushes.drain(..) {
                    let _ = flushed.send(());
                }
            }
        }));
    }

    fn finish(&self, committed: Vec<Result<Committed, StoreError>>, answers: Vec<Answer>) {
        metrics::counter!("konversio_commits_total").increment(1);
        metrics::counter!("konversio_commands_total").increment(answers.len() as u64);
        for result in &committed {
            self.count(result);
        }
        for (result, answer) in committed.into_iter().zip(answers) {
            let events = result.as_ref().map(|committed| committed.events.clone()).unwrap_or_default();
            // Fails when the request has timed out meanwhile: it is stored, and a repeat will be told so.
            let _ = answer.send(result);
            for event in events {
                self.hub.publish(&event);
                (self.listener)(&event);
            }
        }
    }
}

impl PersistenceActor {
    /// Keeps the counts of accounts as they are stored.
    fn count(&self, result: &Result<Committed, StoreError>) {
        match result {
            Ok(committed) => {
                self.standings.add(committed.change.as_slice());
                if committed.uncounted {
                    self.standings.clear();
                }
                if let Some((account_id, standing)) = &committed.counted {
                    self.standings.put(*account_id, standing.clone());
                }
            }
            // What is stored is unknown.
            Err(StoreError::Database(_) | StoreError::Unanswered) => self.standings.clear(),
            Err(_) => {}
        }
    }
}

impl Actor for PersistenceActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // Unbounded, so that `send` enqueues at once and in call order; HTTP bounds what is in flight.
        ctx.set_mailbox_capacity(0);
    }
}

impl Handler<Commit> for PersistenceActor {
    type Result = ResponseFuture<Result<Recorded, StoreError>>;

    fn handle(&mut self, Commit(record): Commit, ctx: &mut Self::Context) -> Self::Result {
        let answered = self.enqueue(Command::Record(Box::new(record)), ctx);
        Box::pin(async move { answered.await.unwrap_or(Err(StoreError::Unanswered))?.recorded.ok_or(StoreError::Unanswered) })
    }
}

impl Handler<Note> for PersistenceActor {
    type Result = ResponseFuture<Result<(), StoreError>>;

    fn handle(&mut self, Note(attempt): Note, ctx: &mut Self::Context) -> Self::Result {
        let answered = self.enqueue(Command::Attempt(Box::new(attempt)), ctx);
        Box::pin(async move { answered.await.unwrap_or(Err(StoreError::Unanswered)).map(|_| ()) })
    }
}

impl Handler<Depart> for PersistenceActor {
    type Result = ResponseFuture<Result<Vec<String>, StoreError>>;

    fn handle(&mut self, Depart(departure): Depart, ctx: &mut Self::Context) -> Self::Result {
        let answered = self.enqueue(Command::Departure(Box::new(departure)), ctx);
        Box::pin(async move { answered.await.unwrap_or(Err(StoreError::Unanswered)).map(|committed| committed.abandoned) })
    }
}

impl Handler<Announce> for PersistenceActor {
    type Result = ResponseFuture<Result<(), StoreError>>;

    fn handle(&mut self, Announce(announcement): Announce, ctx: &mut Self::Context) -> Self::Result {
        let answered = self.enqueue(Command::Announcement(Box::new(announcement)), ctx);
        Box::pin(async move { answered.await.unwrap_or(Err(StoreError::Unanswered)).map(|_| ()) })
    }
}

impl Handler<CountUp> for PersistenceActor {
    type Result = ResponseFuture<Result<(), StoreError>>;

    fn handle(&mut self, CountUp(account_id): CountUp, ctx: &mut Self::Context) -> Self::Result {
        let answered = self.enqueue(Command::Count(account_id), ctx);
        Box::pin(async move { answered.await.unwrap_or(Err(StoreError::Unanswered)).map(|_| ()) })
    }
}

impl Handler<TellAnnouncements> for PersistenceActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: TellAnnouncements, ctx: &mut Self::Context) -> Self::Result {
        let answered = self.enqueue(Command::Announcements, ctx);
        Box::pin(async move {
            if let Err(error) = answered.await.unwrap_or(Err(StoreError::Unanswered)) {
                tracing::error!(%error, "what was announced is not told yet");
            }
        })
    }
}

/// Is everything that was asked for committed and published? Answered when it is: asked when the daemon stops.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Flush;

impl Handler<Flush> for PersistenceActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Flush, _: &mut Self::Context) -> Self::Result {
        let (flushed, waits) = oneshot::channel();
        // What waits is being committed, or is next.
        if self.committing {
            self.flushes.push(flushed);
        }
        Box::pin(async move {
            // Dropped unsent where there is nothing to wait for.
            let _ = waits.await;
        })
    }
}
