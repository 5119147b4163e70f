//! Owns a channel and its session: starts it, knows how it is doing, and decides what happens when it ends.
mod fetch;
mod push;
mod show;

pub use push::Push;
pub use show::{Show, What};

use crate::backoff;
use crate::catalog::{Catalog, Inbox};
use crate::channel::{Channel, ChannelError, SessionStatus, Tools};
use crate::contacts::{Contacts, Turns};
use crate::conversations::Conversations;
use crate::db::Db;
use crate::session::{Pictures, Session, Throttle, Unsettled};
use crate::wake::Wakes;
use actix::prelude::*;
use chrono::{DateTime, Utc};
use fetch::Fetching;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long an ending session may take to finish what it has begun.
const GRACE: Duration = Duration::from_secs(6);
/// A session that was connected for so long has not failed, even if nothing came and nothing went.
const LASTING: Duration = Duration::from_secs(60);
/// How often templates are fetched of which nobody told that they changed.
const TEMPLATES_AGAIN: Duration = Duration::from_secs(6 * 60 * 60);

/// How an inbox is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A session has begun and is not connected yet.
    Connecting,
    /// Messages flow.
    Connected,
    /// The last session ended; the next one begins after a while.
    Waiting,
    /// Only a person can help.
    NeedsAttention,
    /// Switched off.
    Disabled,
}

impl State {
    /// The word the API shows.
    pub fn name(self) -> &'static str {
        match self {
            State::Connecting => "connecting",
            State::Connected => "connected",
            State::Waiting => "waiting",
            State::NeedsAttention => "needs_attention",
            State::Disabled => "disabled",
        }
    }
}

/// What is known of an inbox's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// How it is doing.
    pub state: State,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Counts the sessions since the daemon began: a session that was not touched keeps its number.
    pub session: u64,
    /// Sessions that failed in a row: that ended before they moved a message or lasted a minute.
    pub failures: u32,
    /// Why the last one failed.
    pub last_error: Option<String>,
    /// When it failed.
    pub last_error_at: Option<DateTime<Utc>>,
}

/// Which inboxes need a person, for whoever shows them.
#[derive(Clone, Default)]
pub struct Troubled(Arc<Mutex<HashSet<i64>>>);

impl Troubled {
    /// Whether this one does.
    pub fn has(&self, inbox_id: i64) -> bool {
        self.lock().contains(&inbox_id)
    }

    fn note(&self, inbox_id: i64, needs_attention: bool) {
        match needs_attention {
            true => self.lock().insert(inbox_id),
            false => self.lock().remove(&inbox_id),
        };
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What every inbox actor works with.
#[derive(Clone)]
pub struct Surroundings {
    /// For the session.
    pub db: Db,
    /// Renewed when templates have changed.
    pub catalog: Catalog,
    /// Hears which inboxes need a person.
    pub troubled: Troubled,
    /// For the channel.
    pub tools: Tools,
    /// Where messages go.
    pub conversations: Addr<Conversations>,
    /// What rings when something is to be sent.
    pub wakes: Wakes,
    /// What became of messages, until it is stored.
    pub unsettled: Unsettled,
    /// Contacts that are renamed, merged, pictured.
    pub contacts: Contacts,
    /// One introduction of a person at a time.
    pub introductions: Turns,
    /// Whose picture was asked for.
    pub pictures: Pictures,
    /// Where sessions run.
    pub pool: Handle,
}

/// The sessions of one inbox actor, for whoever is to see to it that they end: also when the actor is gone.
#[derive(Clone, Default)]
pub struct Lifeline {
    cancelled: CancellationToken,
    sessions: TaskTracker,
    running: Arc<Mutex<Option<AbortHandle>>>,
}

impl Lifeline {
    /// Ends the session that runs, and lets no other begin; returns when it has ended: by itself, or cut off after a grace.
    pub async fn end(&self) {
        self.cancelled.cancel();
        self.sessions.close();
        if tokio::time::timeout(GRACE, self.sessions.wait()).await.is_err() {
            if let Some(running) = self.lock().take() {
                running.abort();
            }
            self.sessions.wait().await;
        }
    }

    fn begin(&self, session: impl Future<Output = Result<(), ChannelError>> + Send + 'static, pool: &Handle) -> Task {
        let task = self.sessions.spawn_on(session, pool);
        *self.lock() = Some(task.abort_handle());
        task
    }

    fn lock(&self) -> MutexGuard<'_, Option<AbortHandle>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Task = JoinHandle<Result<(), ChannelError>>;

/// The actor of one inbox.
pub struct InboxActor {
    inbox: Arc<Inbox>,
    /// Outlives sessions, so that it can tell what breaks every one of them.
    channel: Arc<dyn Channel>,
    surroundings: Surroundings,
    connection: Connection,
    lifeline: Lifeline,
    throttle: Throttle,
    /// The session, or the pause before the next one.
    running: Option<CancellationToken>,
    /// What runs is ending, and nothing begins after it: a person is to help first.
    rests: bool,
    templates: Fetching,
}

/// The inbox's row, settings or members are these now. The session is restarted only if the channel's settings differ.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Apply(pub Arc<Inbox>);

/// Leave as soon as the session has ended.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Stop;

/// Try again now.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Reconnect;

/// How is it doing?
#[derive(Message)]
#[rtype(result = "Connection")]
pub struct Look;

#[derive(Message)]
#[rtype(result = "()")]
struct Report {
    session: u64,
    channel: Arc<dyn Channel>,
    status: SessionStatus,
}

impl InboxActor {
    /// Of an inbox that is enabled. It leaves when the lifeline is ended.
    pub fn new(inbox: Arc<Inbox>, surroundings: Surroundings, lifeline: Lifeline) -> Self {
        let connection =
            Connection { state: State::Connecting, since: entity::now(), session: 0, failures: 0, last_error: None, last_error_at: None };
        let channel = inbox.settings.build(&surroundings.tools);
        InboxActor {
            inbox,
            channel,
            surroundings,
            connection,
            lifeline,
            throttle: Throttle::default(),
            running: None,
            rests: false,
            templates: Fetching::No,
        }
    }

    fn start_session(&mut self, ctx: &mut Context<Self>) {
        if self.lifeline.cancelled.is_cancelled() {
            return ctx.stop();
        }
        self.connection.session += 1;
        self.turn(State::Connecting);
        let session = self.session(self.reports(ctx));
        tracing::info!(inbox.id = self.inbox.row.id, session = self.connection.session, "session begins");
        self.run(session.cancelled.clone(), session.run(), Self::session_ended, ctx);
    }

    /// Where a session of now tells of itself.
    fn reports(&self, ctx: &Context<Self>) -> Arc<dyn Fn(SessionStatus) + Send + Sync> {
        let (session, channel, address) = (self.connection.session, self.channel.clone(), ctx.address());
        Arc::new(move |status| address.do_send(Report { session, channel: channel.clone(), status }))
    }

    /// A session of the channel, which tells of itself to `report`.
    fn session(&self, report: Arc<dyn Fn(SessionStatus) + Send + Sync>) -> Session {
        Session {
            inbox: self.inbox.clone(),
            channel: self.channel.clone(),
            db: self.surroundings.db.clone(),
            files: self.surroundings.tools.files.clone(),
            conversations: self.surroundings.conversations.clone(),
            wakes: self.surroundings.wakes.clone(),
            unsettled: self.surroundings.unsettled.clone(),
            contacts: self.surroundings.contacts.clone(),
            introductions: self.surroundings.introductions.clone(),
            throttle: self.throttle.clone(),
            pictures: self.surroundings.pictures.clone(),
            report,
            cancelled: self.lifeline.cancelled.child_token(),
        }
    }

    /// Runs a session, or what is done between two, as a task; at its end calls `then`, unless the actor is to leave or to begin
    /// afresh.
    fn run(
        &mut self,
        cancelled: CancellationToken,
        work: impl Future<Output = Result<(), ChannelError>> + Send + 'static,
        then: fn(&mut Self, Result<(), ChannelError>, &mut Context<Self>),
        ctx: &mut Context<Self>,
    ) {
        self.running = Some(cancelled.clone());
        let task = self.lifeline.begin(work, &self.surroundings.pool);
        let abort = task.abort_handle();
        let ended = async move {
            let mut task = task;
            tokio::select! {
                ended = &mut task => ended,
                () = async { cancelled.cancelled().await; tokio::time::sleep(GRACE).await } => {
                    abort.abort();
                    task.await
                }
            }
        };
        ctx.spawn(ended.into_actor(self).map(move |ended, actor, ctx| {
            let ended = ended.unwrap_or_else(|error| match error.is_panic() {
                true => Err(ChannelError::temporary("the connector broke down (a bug: its panic is in the log)")),
                false => Ok(()),
            });
            let was_cancelled = actor.running.take().is_some_and(|token| token.is_cancelled());
            if std::mem::take(&mut actor.rests) && !actor.lifeline.cancelled.is_cancelled() {
                return;
            }
            // Begins afresh, or leaves.
            if was_cancelled { actor.start_session(ctx) } else { then(actor, ended, ctx) }
        }));
    }

    /// The only place that decides what follows from the end of a session.
    fn session_ended(&mut self, ended: Result<(), ChannelError>, ctx: &mut Context<Self>) {
        let error = match ended {
            Ok(()) => ChannelError::temporary("the connection ended"),
            Err(error) => error,
        };
        self.note(&error);
        let inbox_id = self.inbox.row.id;
        match error {
            ChannelError::NeedsAttention(reason) => self.call_for_help(&reason),
            ChannelError::Temporary { cause, retry_after, .. } => {
                tracing::warn!(inbox.id = inbox_id, cause, failures = self.connection.failures, "session ended");
                self.start_later(retry_after, ctx);
            }
            ChannelError::Rejected(reason) => {
                tracing::error!(inbox.id = inbox_id, reason, "session ended in a way that is a bug of its connector");
                self.start_later(None, ctx);
            }
        }
    }

    /// Waits before the next session. What is to be sent meanwhile is sent: a mailbox that cannot be reached is no reason to let
    /// customers wait for answers.
    fn start_later(&mut self, retry_after: Option<Duration>, ctx: &mut Context<Self>) {
        let delay = backoff::with_hint(self.connection.failures, retry_after);
        self.connection.failures = self.connection.failures.saturating_add(1);
        self.turn(State::Waiting);
        // What is sent now says nothing about the connection that failed.
        let session = self.session(Arc::new(|_| {}));
        self.run(session.cancelled.clone(), session.pause(delay), Self::pause_ended, ctx);
    }

    fn pause_ended(&mut self, ended: Result<(), ChannelError>, ctx: &mut Context<Self>) {
        match ended {
            Err(ChannelError::NeedsAttention(reason)) => {
                self.note(&ChannelError::NeedsAttention(reason.clone()));
                self.call_for_help(&reason);
            }
            // Reading the queue failed, or nothing did.
            Ok(()) | Err(_) => self.start_session(ctx),
        }
    }

    fn note(&mut self, error: &ChannelError) {
        self.connection.last_error = Some(error.to_string());
        self.connection.last_error_at = Some(entity::now());
    }

    fn call_for_help(&mut self, reason: &str) {
        tracing::warn!(inbox.id = self.inbox.row.id, reason, "the inbox needs attention: it is not tried again until its settings change");
        self.turn(State::NeedsAttention);
    }

    /// The provider itself says that a person is needed: what runs ends, and what is to be sent waits.
    fn rest(&mut self, reason: &str) {
        self.note(&ChannelError::NeedsAttention(reason.to_owned()));
        self.call_for_help(reason);
        if let Some(running) = &self.running {
            self.rests = true;
            running.cancel();
        }
    }

    /// Begins afresh: with a new channel, and without the memory of failures.
    fn restart(&mut self, ctx: &mut Context<Self>) {
        self.rests = false;
        self.connection.failures = 0;
        self.channel = self.inbox.settings.build(&self.surroundings.tools);
        match &self.running {
            // Its end starts the next one.
            Some(running) => running.cancel(),
            None => self.start_session(ctx),
        }
    }

    /// A server that takes the login and then always breaks off must not be asked every second for ever, so being connected
    /// is not enough to have the failures forgotten. Breaking off on a bad line after some mail came through is no reason to
    /// wait.
    fn hears(&mut self, status: SessionStatus, ctx: &mut Context<Self>) {
        match status {
            SessionStatus::Connected => {
                self.turn(State::Connected);
                self.fetch_templates(ctx);
                let session = self.connection.session;
                ctx.run_later(LASTING, move |actor, _| {
                    if actor.connection.session == session && actor.connection.state == State::Connected {
                        actor.connection.failures = 0;
                    }
                });
            }
            SessionStatus::Useful => self.connection.failures = 0,
            SessionStatus::NeedsAttention(reason) => self.rest(&reason),
            SessionStatus::TemplatesChanged => self.fetch_templates(ctx),
        }
    }

    fn turn(&mut self, state: State) {
        self.surroundings.troubled.note(self.inbox.row.id, state == State::NeedsAttention);
        if self.connection.state != state {
            self.connection.state = state;
            self.connection.since = entity::now();
        }
    }
}

impl Actor for InboxActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.start_session(ctx);
        ctx.run_interval(TEMPLATES_AGAIN, |actor, ctx| {
            if actor.connection.state == State::Connected {
                actor.fetch_templates(ctx);
            }
        });
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.surroundings.troubled.note(self.inbox.row.id, false);
    }
}

impl Handler<Apply> for InboxActor {
    type Result = ();

    fn handle(&mut self, Apply(inbox): Apply, ctx: &mut Self::Context) {
        let before = std::mem::replace(&mut self.inbox, inbox);
        if !self.inbox.settings.keeps_session(&before.settings) {
            self.restart(ctx);
        }
    }
}

impl Handler<Reconnect> for InboxActor {
    type Result = ();

    fn handle(&mut self, _: Reconnect, ctx: &mut Self::Context) {
        self.restart(ctx);
    }
}

impl Handler<Stop> for InboxActor {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        self.lifeline.cancelled.cancel();
        if self.running.is_none() {
            ctx.stop();
        }
    }
}

impl Handler<Look> for InboxActor {
    type Result = MessageResult<Look>;

    fn handle(&mut self, _: Look, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.connection.clone())
    }
}

impl Handler<Report> for InboxActor {
    type Result = ();

    fn handle(&mut self, Report { session, channel, status }: Report, ctx: &mut Self::Context) {
        let is_heard = match status {
            // What comes from a session that has ended says nothing about the next one.
            SessionStatus::Connected | SessionStatus::Useful => {
                session == self.connection.session && matches!(self.connection.state, State::Connecting | State::Connected)
            }
            // What the provider says holds until the settings change.
            SessionStatus::NeedsAttention(_) | SessionStatus::TemplatesChanged => Arc::ptr_eq(&channel, &self.channel),
        };
        if is_heard {
            self.hears(status, ctx);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_session_whose_actor_is_gone_ends_by_itself_or_is_cut_off() {
        for obeys in [true, false] {
            let lifeline = Lifeline::default();
            let cancelled = lifeline.cancelled.child_token();
            let session = async move {
                cancelled.cancelled().await;
                if !obeys {
                    std::future::pending::<()>().await;
                }
                Ok(())
            };
            // What would wait for its end is gone.
            drop(lifeline.begin(session, &Handle::current()));
            let begun = tokio::time::Instant::now();
            lifeline.end().await;
            assert!(lifeline.sessions.is_empty(), "the session still runs");
            assert_eq!(begun.elapsed() >= GRACE, !obeys, "{:?}", begun.elapsed());
        }
    }
}
