//! Owns a channel and its session: starts it, knows how it is doing, and decides what happens when it ends.
use crate::backoff;
use crate::catalog::Inbox;
use crate::channel::{Channel, ChannelError, SessionStatus, Tools};
use crate::conversations::Conversations;
use crate::db::Db;
use crate::session::Session;
use crate::wake::Wakes;
use actix::prelude::*;
use chrono::{DateTime, Utc};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// How long an ending session may take to finish what it has begun.
const GRACE: Duration = Duration::from_secs(6);

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
    /// Sessions that failed in a row.
    pub failures: u32,
    /// Why the last one failed.
    pub last_error: Option<String>,
    /// When it failed.
    pub last_error_at: Option<DateTime<Utc>>,
}

/// What every inbox actor works with.
#[derive(Clone)]
pub struct Surroundings {
    /// For the session.
    pub db: Db,
    /// For the channel.
    pub tools: Tools,
    /// Where messages go.
    pub conversations: Addr<Conversations>,
    /// What rings when something is to be sent.
    pub wakes: Wakes,
    /// Where sessions run.
    pub pool: Handle,
}

/// The actor of one inbox.
pub struct InboxActor {
    inbox: Arc<Inbox>,
    /// Outlives sessions, so that it can tell what breaks every one of them.
    channel: Arc<dyn Channel>,
    surroundings: Surroundings,
    connection: Connection,
    running: Option<CancellationToken>,
    /// Set when the actor is to leave once its session has ended.
    leaving: Vec<tokio::sync::oneshot::Sender<()>>,
    next_start: Option<SpawnHandle>,
}

/// The inbox's row, settings or members are these now. The session is restarted only if the channel's settings differ.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Apply(pub Arc<Inbox>);

/// End the session and leave; answered when it has ended.
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
    status: SessionStatus,
}

impl InboxActor {
    /// Of an inbox that is enabled.
    pub fn new(inbox: Arc<Inbox>, surroundings: Surroundings) -> Self {
        let connection =
            Connection { state: State::Connecting, since: entity::now(), session: 0, failures: 0, last_error: None, last_error_at: None };
        let channel = inbox.settings.build(&surroundings.tools);
        InboxActor { inbox, channel, surroundings, connection, running: None, leaving: Vec::new(), next_start: None }
    }

    fn start_session(&mut self, ctx: &mut Context<Self>) {
        self.next_start = None;
        self.connection.session += 1;
        self.turn(State::Connecting);
        let number = self.connection.session;
        let (address, cancelled) = (ctx.address(), CancellationToken::new());
        self.running = Some(cancelled.clone());
        let session = Session {
            inbox: self.inbox.clone(),
            channel: self.channel.clone(),
            db: self.surroundings.db.clone(),
            files: self.surroundings.tools.files.clone(),
            conversations: self.surroundings.conversations.clone(),
            wakes: self.surroundings.wakes.clone(),
            report: Arc::new(move |status| address.do_send(Report { session: number, status })),
            cancelled: cancelled.clone(),
        };
        tracing::info!(inbox.id = self.inbox.row.id, session = number, "session begins");
        let task = self.surroundings.pool.spawn(session.run());
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
            actor.session_ended(ended, ctx);
        }));
    }

    /// The only place that decides what follows from the end of a session.
    fn session_ended(&mut self, ended: Result<(), ChannelError>, ctx: &mut Context<Self>) {
        let was_cancelled = self.running.take().is_some_and(|token| token.is_cancelled());
        if !self.leaving.is_empty() {
            for waits in self.leaving.drain(..) {
                let _ = waits.send(());
            }
            return ctx.stop();
        }
        if was_cancelled {
            return self.start_session(ctx);
        }
        let error = match ended {
            Ok(()) => ChannelError::temporary("the connection ended"),
            Err(error) => error,
        };
        self.connection.last_error = Some(error.to_string());
        self.connection.last_error_at = Some(entity::now());
        let inbox_id = self.inbox.row.id;
        match error {
            ChannelError::NeedsAttention(reason) => {
                tracing::warn!(inbox.id = inbox_id, reason, "the inbox needs attention: it is not tried again until its settings change");
                self.turn(State::NeedsAttention);
            }
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

    fn start_later(&mut self, retry_after: Option<Duration>, ctx: &mut Context<Self>) {
        let delay = backoff::with_hint(self.connection.failures, retry_after);
        self.connection.failures = self.connection.failures.saturating_add(1);
        self.turn(State::Waiting);
        self.next_start = Some(ctx.run_later(delay, |actor, ctx| actor.start_session(ctx)));
    }

    /// Begins afresh: with a new channel, and without the memory of failures.
    fn restart(&mut self, ctx: &mut Context<Self>) {
        if let Some(handle) = self.next_start.take() {
            ctx.cancel_future(handle);
        }
        self.connection.failures = 0;
        self.channel = self.inbox.settings.build(&self.surroundings.tools);
        match &self.running {
            // Its end starts the next one.
            Some(running) => running.cancel(),
            None => self.start_session(ctx),
        }
    }

    fn turn(&mut self, state: State) {
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
    }
}

impl Handler<Apply> for InboxActor {
    type Result = ();

    fn handle(&mut self, Apply(inbox): Apply, ctx: &mut Self::Context) {
        let before = std::mem::replace(&mut self.inbox, inbox);
        if before.settings != self.inbox.settings {
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
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) -> Self::Result {
        if let Some(handle) = self.next_start.take() {
            ctx.cancel_future(handle);
        }
        let (done, waits) = tokio::sync::oneshot::channel();
        match &self.running {
            Some(running) => {
                self.leaving.push(done);
                running.cancel();
            }
            None => ctx.stop(),
        }
        Box::pin(async move {
            // Dropped unsent where there was nothing to wait for.
            let _ = waits.await;
        })
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

    fn handle(&mut self, Report { session, status }: Report, _: &mut Self::Context) {
        if session != self.connection.session {
            return;
        }
        match status {
            SessionStatus::Connected => {
                self.connection.failures = 0;
                self.turn(State::Connected);
            }
        }
    }
}
