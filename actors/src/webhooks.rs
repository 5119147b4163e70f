//! Delivers events to webhooks: of accounts, of API inboxes, and of agent bots.
//!
//! The deliveries are rows, written with what caused them. Each endpoint with something to deliver has a loop of its own
//! (`outbox.rs`), so a slow one delays nobody else. An endpoint that fails is tried again for days, with the same id and a fresh
//! signature; each try is noted.
//!
//! An endpoint hears of a conversation in the order of its events: one that fails holds up those after it, so that a receiver
//! that was away for a moment misses nothing and is told nothing too early. One that failed [`HOLDS_UP`] times steps aside and
//! is tried on its own, so that a receiver which cannot digest it hears of the rest. Other conversations never wait.
use crate::catalog::{Catalog, Snapshot};
use crate::conversation::rules::{By, Change};
use crate::conversation::{Command, Outcome};
use crate::conversations::{Conversations, Tell};
use crate::db::Db;
use crate::egress::Egress;
use crate::event::{Event, Fact};
use crate::message::Key;
use crate::outbox::{self, Flow, Queue};
use crate::persistence::{Note, PersistenceActor};
use crate::secret::Secret;
use crate::signature;
use crate::store::Attempt;
use crate::wire::{Wire, bot_event_names, set, webhook_name};
use actix::Addr;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use entity::delivery::{DeliveryStatus, EndpointKind};
use entity::{delivery, delivery_attempt, event};
use sea_orm::sea_query::{Alias, Expr, Query};
use sea_orm::{ColumnTrait, Condition, DbErr, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How many conversations' deliveries go to one endpoint at once.
const SLOTS: usize = 16;
/// So many failures of a delivery hold up what comes after it in its conversation: about a minute, or as long as the receiver
/// takes to answer or asks for.
const HOLDS_UP: i32 = 8;
/// How often endpoints with something to deliver are looked for, should a ring have been lost.
const TICK: Duration = Duration::from_secs(30);

/// An endpoint: what kind, and its id.
pub type Endpoint = (EndpointKind, i64);

/// An endpoint, and the name it hears of an event under where that is not the event's own.
pub type Destination = (Endpoint, Option<&'static str>);

/// Where a fact is told.
pub fn destinations(fact: &Fact, account_id: i64, catalog: &Snapshot) -> Vec<Destination> {
    if let Fact::MacroExecuted(_, post) = fact {
        return vec![((EndpointKind::Macro, post.macro_id), None)];
    }
    let Some(name) = webhook_name(fact) else { return Vec::new() };
    let view = fact.conversation();
    // Of what becomes of itself an inbox's own webhook does not hear.
    let is_of_itself = matches!(fact, Fact::InboxCreated(_) | Fact::InboxUpdated(..));
    let inbox = fact.inbox_id().filter(|_| !is_of_itself).and_then(|id| catalog.inbox(id));
    let mut found = Vec::new();
    if let Some(inbox) = inbox.filter(|inbox| inbox.webhook_url().is_some()) {
        found.push(((EndpointKind::Inbox, inbox.row.id), None));
    }
    for webhook in catalog.webhooks_of(account_id) {
        let is_wanted = webhook.subscriptions.iter().any(|subscribed| subscribed == name)
            && webhook.row.inbox_id.is_none_or(|only| fact.inbox_id() == Some(only));
        if is_wanted {
            found.push(((EndpointKind::Webhook, webhook.row.id), None));
        }
    }
    let of_inbox = inbox.filter(|inbox| !inbox.is_deleted()).and_then(|inbox| inbox.row.agent_bot_id);
    let assigned = view.and_then(|view| view.conversation.assignee_agent_bot_id).filter(|id| Some(*id) != of_inbox);
    for id in of_inbox.into_iter().chain(assigned) {
        if catalog.bot(id).is_some_and(|bot| bot.outgoing_url().is_some()) {
            found.extend(bot_event_names(fact).into_iter().map(|told| ((EndpointKind::AgentBot, id), (told != name).then_some(told))));
        }
    }
    found
}

/// A bot that cannot answer right now is asked this often: somebody waits for an answer, and people can give it.
const BOT_TRIES: i32 = 3;
/// Between the tries of a bot.
const BOT_PAUSE: chrono::Duration = chrono::Duration::seconds(3);
/// The answers of a bot after which it is asked again (contract, section 8); after any other one people are at once.
const BOT_IS_BUSY: [u16; 2] = [429, 500];
/// So long after it happened, what was worth telling only at its moment is told no more.
const MOMENT: chrono::Duration = chrono::Duration::seconds(30);

/// When a bot that failed is asked again, if ever.
fn bot_again(failures: i32, status_code: Option<u16>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let is_busy = status_code.is_some_and(|code| BOT_IS_BUSY.contains(&code));
    (is_busy && failures < BOT_TRIES).then(|| now + BOT_PAUSE)
}

/// The account's setting by which a conversation stays with a bot that cannot be reached.
pub const KEEPS_PENDING: &str = "keep_pending_on_bot_failure";

/// Starts a loop for each endpoint that has something to deliver.
#[derive(Clone)]
pub struct Webhooks {
    loops: Arc<Mutex<HashMap<Endpoint, Arc<Notify>>>>,
    surroundings: Arc<OnceLock<Surroundings>>,
    cancelled: CancellationToken,
    /// Cuts off tries that are under way.
    cut: CancellationToken,
    tasks: TaskTracker,
}

/// What deliveries work with.
#[derive(Clone)]
pub struct Surroundings {
    /// Reads.
    pub db: Db,
    /// Endpoints and their secrets.
    pub catalog: Catalog,
    /// The forms of events.
    pub wire: Wire,
    /// The guarded way out.
    pub egress: Egress,
    /// Where tries are noted.
    pub persistence: Addr<PersistenceActor>,
    /// Where a message learns that it could not be delivered.
    pub conversations: Addr<Conversations>,
    /// How long a delivery is tried.
    pub given_up_after: chrono::Duration,
    /// Where loops run.
    pub pool: Handle,
}

impl Default for Webhooks {
    fn default() -> Self {
        let (cancelled, cut) = (CancellationToken::new(), CancellationToken::new());
        Webhooks { loops: Arc::default(), surroundings: Arc::default(), cancelled, cut, tasks: TaskTracker::new() }
    }
}

impl Webhooks {
    /// Begins to deliver, with what an earlier run has left.
    pub fn start(&self, surroundings: Surroundings) {
        let (webhooks, pool) = (self.clone(), surroundings.pool.clone());
        if self.surroundings.set(surroundings).is_err() {
            return;
        }
        self.tasks.spawn_on(async move { webhooks.look_again_and_again().await }, &pool);
    }

    /// Ends all loops; returns when what was begun is finished. An endpoint that has not answered by the deadline is left; the
    /// try counts for nothing, and is made again under the same id after the next start.
    pub async fn stop(&self, deadline: tokio::time::Instant) {
        outbox::stop(&self.tasks, &self.cancelled, &self.cut, deadline).await;
    }

    /// An event was committed: wakes the endpoints that its deliveries go to.
    pub fn hear(&self, event: &Event) {
        let Some(surroundings) = self.surroundings.get() else { return };
        for (endpoint, _) in destinations(&event.fact, event.account.id, &surroundings.catalog.now()) {
            self.ring(endpoint);
        }
    }

    /// Wakes the loop of an endpoint, or starts it.
    pub fn ring(&self, endpoint: Endpoint) {
        let Some(surroundings) = self.surroundings.get() else { return };
        let mut loops = self.lock();
        if let Some(bell) = loops.get(&endpoint) {
            return bell.notify_one();
        }
        if self.cancelled.is_cancelled() {
            return;
        }
        let bell = Arc::new(Notify::new());
        loops.insert(endpoint, bell.clone());
        drop(loops);
        let (webhooks, queue) = (self.clone(), Deliveries { endpoint, surroundings: surroundings.clone(), cut: self.cut.clone() });
        self.tasks.spawn_on(async move { webhooks.deliver(queue, bell).await }, &surroundings.pool);
    }

    async fn deliver(&self, queue: Deliveries, bell: Arc<Notify>) {
        let endpoint = queue.endpoint;
        if let Err(error) = outbox::drain(queue, bell, self.cancelled.child_token()).await {
            tracing::error!(endpoint.kind = ?endpoint.0, endpoint.id = endpoint.1, %error, "delivering events; begun again soon");
        }
        self.lock().remove(&endpoint);
    }

    async fn look_again_and_again(&self) {
        loop {
            match self.endpoints_with_something().await {
                Ok(endpoints) => endpoints.into_iter().for_each(|endpoint| self.ring(endpoint)),
                Err(error) => tracing::error!(%error, "looking for deliveries that wait"),
            }
            tokio::select! {
                () = self.cancelled.cancelled() => return,
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    async fn endpoints_with_something(&self) -> Result<Vec<Endpoint>, DbErr> {
        let Some(surroundings) = self.surroundings.get() else { return Ok(Vec::new()) };
        delivery::Entity::find()
            .select_only()
            .columns([delivery::Column::Endpoint, delivery::Column::EndpointId])
            .filter(delivery::Column::Status.eq(DeliveryStatus::Queued))
            .distinct()
            .into_tuple()
            .all(&surroundings.db.read)
            .await
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Endpoint, Arc<Notify>>> {
        self.loops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The deliveries to one endpoint.
#[derive(Clone)]
struct Deliveries {
    endpoint: Endpoint,
    surroundings: Surroundings,
    cut: CancellationToken,
}

/// What came of a try.
struct Tried {
    status_code: Option<u16>,
    error: Option<String>,
    retry_after: Option<Duration>,
    /// Trying again would be of no use.
    is_hopeless: bool,
}

impl Tried {
    fn hopeless(error: String) -> Self {
        Tried { status_code: None, error: Some(error), retry_after: None, is_hopeless: true }
    }
}

impl Deliveries {
    /// Where the endpoint is and what signs for it; none if it is gone.
    fn target(&self, event: &Event) -> Option<(String, Secret)> {
        let catalog = self.surroundings.catalog.now();
        match self.endpoint {
            (EndpointKind::Webhook, id) => catalog.webhook(id).map(|webhook| (webhook.row.url.clone(), webhook.secret.clone())),
            (EndpointKind::Inbox, id) => {
                let inbox = catalog.inbox(id)?;
                inbox.webhook_url().map(|url| (url.to_owned(), inbox.secret.clone()))
            }
            (EndpointKind::AgentBot, id) => {
                let bot = catalog.bot(id)?;
                bot.outgoing_url().map(|url| (url.to_owned(), bot.secret.clone()))
            }
            // The address of the macro as it was when it was run; nothing signs for it (contract, section 2, Automation).
            (EndpointKind::Macro, _) => match &event.fact {
                Fact::MacroExecuted(_, post) => Some((post.url.clone(), Secret::default())),
                _ => None,
            },
        }
    }

    async fn attempt(&self, row: &delivery::Model, event: &Event) -> Tried {
        let Some((url, secret)) = self.target(event) else { return Tried::hopeless("the endpoint is gone".into()) };
        let Some(mut body) = self.surroundings.wire.webhook_body(event) else {
            return Tried::hopeless("the event has no form for webhooks".into());
        };
        let is_momentary = event.fact.is_momentary();
        if is_momentary && entity::now() - event.at > MOMENT {
            return Tried::hopeless("it was worth telling only at its moment".into());
        }
        if let Some(name) = &row.event_name {
            set(&mut body, "event", name.as_str().into());
        }
        let body = bytes::Bytes::from(body.to_string());
        let mut headers = vec![("content-type", "application/json".to_owned()), ("accept", "application/json".to_owned())];
        headers.extend(signature::headers(secret.expose(), &row.uuid.to_string(), entity::now().timestamp(), &body));
        match self.surroundings.egress.post(&url, &headers, body).await {
            Ok(reply) if (200..300).contains(&reply.status) => {
                Tried { status_code: Some(reply.status), error: None, retry_after: None, is_hopeless: false }
            }
            Ok(reply) => Tried {
                status_code: Some(reply.status),
                error: Some(format!("answered {}", reply.status)),
                retry_after: reply.retry_after,
                is_hopeless: is_momentary,
            },
            Err(error) => Tried { status_code: None, error: Some(error.to_string()), retry_after: None, is_hopeless: is_momentary },
        }
    }

    /// The delivery of each lane that is not busy which comes first, and what has no lane but its own.
    fn heads(&self, busy: &[i64]) -> Select<delivery::Entity> {
        use delivery::Column;
        // A word of the statement, not a parameter: so both databases know that the index of what waits is enough.
        let waits = || Expr::cust((DeliveryStatus::Queued as i16).to_string());
        let earlier = Alias::new("earlier");
        let of = |column: Column| Expr::col((delivery::Entity, column));
        let of_earlier = |column: Column| Expr::col((earlier.clone(), column));
        let held_up = Query::select()
            .expr(Expr::val(1))
            .from_as(delivery::Entity, earlier.clone())
            .and_where(of_earlier(Column::Status).eq(waits()))
            .and_where(of_earlier(Column::Endpoint).eq(of(Column::Endpoint)))
            .and_where(of_earlier(Column::EndpointId).eq(of(Column::EndpointId)))
            .and_where(of_earlier(Column::ConversationId).eq(of(Column::ConversationId)))
            .and_where(of_earlier(Column::Id).lt(of(Column::Id)))
            .and_where(of_earlier(Column::Failures).lt(HOLDS_UP))
            .take();
        let (conversations, alone): (Vec<i64>, Vec<i64>) = busy.iter().copied().partition(|lane| *lane >= 0);
        let is_head = Condition::all().add(Column::ConversationId.is_not_in(conversations)).add(Expr::exists(held_up).not());
        delivery::Entity::find()
            .filter(of(Column::Status).eq(waits()))
            .filter(Column::Endpoint.eq(self.endpoint.0))
            .filter(Column::EndpointId.eq(self.endpoint.1))
            .filter(Column::Id.is_not_in(alone.into_iter().map(|lane| -lane)))
            .filter(Condition::any().add(Column::ConversationId.is_null()).add(Column::Failures.gte(HOLDS_UP)).add(is_head))
    }

    /// When an endpoint that failed is tried again, if ever.
    fn later(&self, row: &delivery::Model, tried: &Tried, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self.endpoint.0 {
            EndpointKind::AgentBot => bot_again(row.failures, tried.status_code, now),
            _ => outbox::later(row.failures, tried.retry_after, row.created_at, self.surroundings.given_up_after, now),
        }
    }

    /// A message of an API inbox that its webhook never took has failed; what a bot never heard of is for people, unless the
    /// account wants it to wait.
    async fn tell_failure(&self, event: &Event, error: &str) {
        let (Fact::MessageCreated(message, conversation) | Fact::MessageUpdated(message, conversation, _)) = &event.fact else { return };
        let conversation_id = conversation.conversation.id;
        let catalog = self.surroundings.catalog.now();
        let keeps_pending = catalog.account(event.account.id).and_then(|account| account.settings.get(KEEPS_PENDING)?.as_bool());
        let command = match self.endpoint.0 {
            EndpointKind::AgentBot if keeps_pending == Some(true) => return,
            EndpointKind::AgentBot => Command::Change { conversation_id, by: By::System, change: Change::WithoutBot },
            EndpointKind::Inbox => Command::Settle {
                conversation_id,
                message_id: message.message.id,
                outcome: Outcome::Failed(format!("the inbox's webhook did not take it: {error}")),
            },
            EndpointKind::Webhook | EndpointKind::Macro => return,
        };
        let key = Key { inbox_id: conversation.inbox.id, source_id: conversation.contact_inbox.source_id.clone() };
        if let Ok(Err(error)) = self.surroundings.conversations.send(Tell { key, command }).await {
            tracing::warn!(message.id = message.message.id, %error, "noting that a message was not delivered");
        }
    }
}

#[async_trait]
impl Queue for Deliveries {
    type Row = delivery::Model;

    fn lane(row: &delivery::Model) -> i64 {
        // Of no conversation, or stepped aside: on its own.
        row.conversation_id.filter(|_| row.failures < HOLDS_UP).unwrap_or(-row.id)
    }

    fn slots(&self) -> usize {
        SLOTS
    }

    async fn due(&self, busy: &[i64], now: DateTime<Utc>, limit: u64) -> Result<Vec<delivery::Model>, DbErr> {
        use delivery::Column;
        let due = self.heads(busy).filter(Column::DueAt.lte(now)).order_by_asc(Column::DueAt).order_by_asc(Column::Id);
        due.limit(limit).all(&self.surroundings.db.read).await
    }

    async fn next_due(&self, busy: &[i64]) -> Result<Option<DateTime<Utc>>, DbErr> {
        let first = self.heads(busy).order_by_asc(delivery::Column::DueAt).one(&self.surroundings.db.read).await?;
        Ok(first.map(|row| row.due_at))
    }

    async fn work(&self, mut row: delivery::Model) -> Flow {
        let (attempted_at, begun) = (entity::now(), Instant::now());
        let stored = event::Entity::find_by_id(row.event_id).one(&self.surroundings.db.read).await;
        let event = match stored {
            Ok(stored) => stored.and_then(|stored| Event::parse(&stored.payload).ok()),
            Err(error) => return Flow::End(crate::channel::ChannelError::temporary(format!("reading an event: {error}"))),
        };
        let tried = match &event {
            Some(event) => tokio::select! {
                tried = self.attempt(&row, event) => tried,
                () = self.cut.cancelled() => return Flow::Continue,
            },
            None => Tried::hopeless("the event is no longer in the log".into()),
        };
        let now = entity::now();
        match &tried.error {
            None => {
                row.status = DeliveryStatus::Delivered;
                row.finished_at = Some(now);
            }
            Some(error) => {
                row.failures = row.failures.saturating_add(1);
                match self.later(&row, &tried, now).filter(|_| !tried.is_hopeless) {
                    Some(due_at) => row.due_at = due_at,
                    None => {
                        row.status = DeliveryStatus::Failed;
                        row.finished_at = Some(now);
                        if let Some(event) = &event {
                            self.tell_failure(event, error).await;
                        }
                    }
                }
            }
        }
        metrics::counter!("konversio_webhook_attempts_total", "result" => if tried.error.is_none() { "delivered" } else { "failed" })
            .increment(1);
        let attempt = delivery_attempt::Model {
            id: 0,
            delivery_id: row.id,
            attempted_at,
            duration_ms: i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX),
            status_code: tried.status_code.and_then(|code| i16::try_from(code).ok()),
            error: tried.error,
        };
        match self.surroundings.persistence.send(Note(Attempt { delivery: row, attempt })).await {
            Ok(Ok(())) => Flow::Continue,
            Ok(Err(error)) => Flow::End(crate::channel::ChannelError::temporary(format!("noting a delivery: {error}"))),
            Err(_) => Flow::End(crate::channel::ChannelError::temporary("noting a delivery: the daemon is stopping")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bot_is_asked_again_only_where_it_said_that_it_was_busy() {
        let now = entity::now();
        for (failures, status_code, is_asked) in [
            (1, Some(500), true),
            (2, Some(429), true),
            (3, Some(500), false),
            (1, Some(404), false),
            (1, Some(502), false),
            (1, Some(301), false),
            (1, None, false),
        ] {
            assert_eq!(bot_again(failures, status_code, now), is_asked.then(|| now + BOT_PAUSE), "{failures} {status_code:?}");
        }
    }
}
