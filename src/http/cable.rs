//! The websocket: ActionCable's wire protocol for agents and contacts (contract, section 7).
//!
//! Anybody may open a socket; what it hears follows from the tokens it subscribes with. Each socket has one task and one
//! mailbox. What is handed to the connection and not known to be read is bounded, the mailbox is bounded, and a socket that
//! does not keep up is cut.
//!
//! Who was away first hears from the log what it missed, then what comes: a subscription catches up page by page, begins
//! to listen, reads the log up to the event at which listening began, and only then takes frames from the mailbox.
mod protocol;
mod who;

use super::auth::handles;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{AggregatedMessage, CloseCode, CloseReason, ProtocolError, Session};
use actors::hub::Subscribed;
use actors::mailbox::{Cut, Frame, OpenMailbox, Task};
use actors::system::Handles;
use bytes::Bytes;
use chrono::DateTime;
use futures_util::StreamExt;
use protocol::{Command, Identifier, Missed, Protocol, about, data};
use sea_orm::DbErr;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use who::Who;

/// A client that has not answered a ping for so long is gone. (Browsers answer by themselves.)
const SILENCE: Duration = Duration::from_secs(40);
/// How long one frame may take to be taken over by the connection.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest command.
const COMMAND_LIMIT: usize = 64 << 10;
/// The most subscriptions of one socket.
const SUBSCRIPTIONS: usize = 32;
/// How many bytes may be under way before the client has answered a ping sent after them.
const WINDOW: usize = 1 << 20;
/// How many events are told again at most; whoever missed more reads everything anew.
const MOST_MISSED: i64 = 100_000;

/// Opens a websocket.
#[utoipa::path(get, path = "", tag = "Realtime", responses((status = 101, description = "ActionCable: sub-protocol actioncable-v1-json, or actioncable-v1-ext-json with history")))]
pub async fn open(
    request: HttpRequest,
    body: web::Payload,
    stopping: web::Data<CancellationToken>,
) -> Result<HttpResponse, actix_web::Error> {
    let handles = handles(&request)?;
    let offered = request.headers().get(header::SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let chosen = Protocol::choose(offered);
    let (mut response, session, stream) = actix_ws::handle(&request, body)?;
    if let Some(protocol) = chosen {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, header::HeaderValue::from_static(protocol.name()));
    }
    let stream = stream.max_frame_size(COMMAND_LIMIT).aggregate_continuations().max_continuation_size(COMMAND_LIMIT);
    let socket = Socket {
        mailbox: handles.hub.open_mailbox(),
        handles,
        session,
        protocol: chosen.unwrap_or(Protocol::Plain),
        subscriptions: Vec::new(),
        under_way: 0,
        heard: Instant::now(),
    };
    actix_web::rt::spawn(socket.run(stream, stopping.get_ref().clone()));
    Ok(response)
}

struct Socket {
    handles: web::Data<Handles>,
    session: Session,
    protocol: Protocol,
    mailbox: OpenMailbox,
    subscriptions: Vec<Subscription>,
    /// Bytes handed to the connection since the client last answered a ping.
    under_way: usize,
    /// When the client last said anything.
    heard: Instant,
}

struct Subscription {
    /// As the client wrote it: it is echoed byte for byte.
    identifier: String,
    /// The identifier as a JSON text, ready for every frame.
    quoted: String,
    /// What the client calls the stream.
    stream: String,
    token: String,
    who: Who,
    /// There once it hears what comes.
    live: Option<Subscribed>,
    /// There while it is told what it missed.
    replay: Option<Replay>,
    /// The client knows all of the log up to here.
    position: i64,
}

#[derive(Clone, Copy)]
struct Replay {
    /// All up to here was told.
    told: i64,
    /// Where it ends; open while the subscription does not listen yet.
    until: Option<i64>,
}

/// Told to a socket whose listener may not listen any more.
const UNAUTHORIZED: &str = "unauthorized";

/// Why a socket ends: what is told to the client, and how.
enum Ended {
    Gone,
    Closed(CloseCode),
    Told(&'static str),
}

impl Socket {
    async fn run(mut self, mut stream: actix_ws::AggregatedMessageStream, stopping: CancellationToken) {
        let Err(ended) = self.talk(&mut stream, stopping).await;
        let gone: Vec<Who> = self.subscriptions.drain(..).map(|subscription| subscription.who).collect();
        for who in gone {
            who.left(&self.handles);
        }
        let reason = match ended {
            Ended::Told(reason) => {
                // Who may not listen any more would be refused again and again.
                let reconnect = reason != UNAUTHORIZED;
                let _ = self.send(json!({ "type": "disconnect", "reason": reason, "reconnect": reconnect }).to_string()).await;
                None
            }
            Ended::Closed(code) => Some(CloseReason::from(code)),
            Ended::Gone => None,
        };
        // Without this the connection would stay open after its peer has gone.
        let _ = tokio::time::timeout(WRITE_TIMEOUT, self.session.close(reason)).await;
    }

    async fn talk(
        &mut self,
        stream: &mut actix_ws::AggregatedMessageStream,
        stopping: CancellationToken,
    ) -> Result<std::convert::Infallible, Ended> {
        self.send(self.protocol.welcome()).await?;
        loop {
            let may_send = self.under_way < WINDOW;
            let replays = may_send && self.subscriptions.iter().any(|subscription| subscription.replay.is_some());
            // What comes waits until what was missed has been told.
            let takes_frames = may_send && !self.subscriptions.iter().any(|found| found.replay.is_some() && found.live.is_some());
            // The rare branches are boxed: an idle socket keeps no room for them.
            tokio::select! {
                () = stopping.cancelled() => return Err(Ended::Told("server_restart")),
                message = stream.next() => {
                    self.heard = Instant::now();
                    match message {
                        Some(Ok(AggregatedMessage::Text(text))) => Box::pin(self.obey(&text)).await?,
                        Some(Ok(AggregatedMessage::Ping(bytes))) => in_time(self.session.pong(&bytes)).await?,
                        Some(Ok(AggregatedMessage::Pong(_))) => self.under_way = 0,
                        Some(Ok(AggregatedMessage::Binary(_))) => {}
                        Some(Err(ProtocolError::Overflow)) => return Err(Ended::Closed(CloseCode::Size)),
                        Some(Err(_)) => return Err(Ended::Closed(CloseCode::Protocol)),
                        Some(Ok(AggregatedMessage::Close(_))) | None => return Err(Ended::Gone),
                    }
                }
                task = self.mailbox.mailbox.next(takes_frames) => match task {
                    Task::Frame(frame) => self.pass_on(&frame).await?,
                    Task::Ping(ping) => Box::pin(self.ping(ping)).await?,
                    Task::Cut(Cut::TooSlow) => {
                        metrics::counter!("konversio_sockets_cut_total").increment(1);
                        return Err(Ended::Told("too_slow"));
                    }
                    Task::Cut(Cut::Unauthorized) => return Err(Ended::Told(UNAUTHORIZED)),
                },
                () = std::future::ready(()), if replays => Box::pin(self.replay()).await?,
            }
        }
    }

    async fn ping(&mut self, ping: Bytes) -> Result<(), Ended> {
        if self.heard.elapsed() > SILENCE {
            return Err(Ended::Gone);
        }
        let ping = String::from_utf8_lossy(&ping).into_owned();
        self.send(ping).await?;
        // Only this one is answered by itself, and shows that somebody is there.
        in_time(self.session.ping(b"")).await
    }

    async fn obey(&mut self, text: &str) -> Result<(), Ended> {
        let Ok(command) = serde_json::from_str::<Command>(text) else { return self.refuse("malformed", &Value::Null).await };
        match command.command.as_str() {
            "subscribe" => self.subscribe(command).await,
            "unsubscribe" => {
                let before = self.subscriptions.iter().position(|subscription| subscription.identifier == command.identifier);
                if let Some(position) = before {
                    let who = self.subscriptions.remove(position).who;
                    who.left(&self.handles);
                }
                Ok(())
            }
            "message" => self.perform(&command).await,
            "history" if self.protocol == Protocol::Extended => self.tell_history(command).await,
            "pong" if self.protocol == Protocol::Extended => Ok(()),
            _ => self.refuse("unknown_command", &json!(command.command)).await,
        }
    }

    /// Only clients of the extended protocol pass over frames they do not know.
    async fn refuse(&mut self, reason: &str, command: &Value) -> Result<(), Ended> {
        match self.protocol {
            Protocol::Plain => Ok(()),
            Protocol::Extended => self.send(json!({ "type": "error", "reason": reason, "command": command }).to_string()).await,
        }
    }

    async fn subscribe(&mut self, command: Command) -> Result<(), Ended> {
        let identifier = command.identifier;
        if self.subscriptions.iter().any(|subscription| subscription.identifier == identifier) {
            return Ok(());
        }
        let Some(mut subscription) = self.authenticate(&identifier).await else {
            return self.send(about("reject_subscription", &identifier)).await;
        };
        let history = command.history.filter(|_| self.protocol == Protocol::Extended);
        let begin = match protocol::missed(history, &subscription.stream) {
            Ok(Missed::Nothing) => None,
            Ok(missed) => Some(self.find_begin(missed).await),
            Err(_) => Some(None),
        };
        match begin {
            Some(Some(begin)) => subscription.replay = Some(Replay { told: begin, until: None }),
            _ => {
                if !self.listen(&mut subscription) {
                    return self.send(about("reject_subscription", &identifier)).await;
                }
            }
        }
        let who = subscription.who;
        self.subscriptions.push(subscription);
        self.send(about("confirm_subscription", &identifier)).await?;
        if begin == Some(None) {
            self.send(about("reject_history", &identifier)).await?;
        }
        who.is_there(&self.handles);
        self.send_presence(&identifier).await
    }

    async fn authenticate(&self, identifier: &str) -> Option<Subscription> {
        if self.subscriptions.len() >= SUBSCRIPTIONS {
            return None;
        }
        let said = serde_json::from_str::<Identifier>(identifier).ok()?;
        let who = Who::find(&self.handles, &said).await.unwrap_or_else(|error| {
            tracing::error!(%error, "authenticating a subscription");
            None
        })?;
        Some(Subscription {
            identifier: identifier.to_owned(),
            quoted: json!(identifier).to_string(),
            stream: who.stream(),
            token: said.pubsub_token,
            who,
            live: None,
            replay: None,
            position: 0,
        })
    }

    /// Hears what comes from now on; false if the token opens nothing any more.
    fn listen(&self, subscription: &mut Subscription) -> bool {
        let listener = subscription.who.listener();
        let subscribed = self.handles.hub.subscribe(listener, &subscription.token, self.mailbox.mailbox.clone());
        subscription.position = subscribed.as_ref().map_or(0, |subscribed| subscribed.since);
        subscription.live = subscribed;
        subscription.who.listens(&self.handles);
        subscription.live.is_some()
    }

    /// The event after which everything was missed, if the log still holds that.
    async fn find_begin(&self, missed: Missed) -> Option<i64> {
        let hub = &self.handles.hub;
        let begin = match missed {
            Missed::Nothing => Some(hub.newest()),
            Missed::After(place) => Some(place.offset).filter(|_| place.epoch == hub.log().epoch()),
            Missed::Since(second) => {
                let since = DateTime::from_timestamp(second, 0)?;
                hub.before(since).await.unwrap_or_else(|error| failed(&error))
            }
        };
        let newest = hub.newest();
        begin.filter(|begin| (0..=newest).contains(begin) && newest - begin <= MOST_MISSED)
    }

    /// Of a subscription that listens already: tells what came before it did.
    async fn tell_history(&mut self, command: Command) -> Result<(), Ended> {
        let found = self.subscriptions.iter().position(|found| found.identifier == command.identifier && found.replay.is_none());
        let Some((since, stream)) = found.and_then(|position| {
            let subscription = self.subscriptions.get(position)?;
            Some((subscription.live.as_ref()?.since, subscription.stream.as_str()))
        }) else {
            return self.send(about("reject_history", &command.identifier)).await;
        };
        let begin = match protocol::missed(command.history, stream) {
            Ok(missed) => self.find_begin(missed).await,
            Err(_) => None,
        };
        let subscription = found.and_then(|position| self.subscriptions.get_mut(position));
        match (begin, subscription) {
            (Some(begin), Some(subscription)) => {
                subscription.replay = Some(Replay { told: begin.min(since), until: Some(since) });
                Ok(())
            }
            _ => self.send(about("reject_history", &command.identifier)).await,
        }
    }

    /// Tells the next part of what was missed.
    async fn replay(&mut self) -> Result<(), Ended> {
        let found = self.subscriptions.iter().enumerate();
        let next = found.filter_map(|(index, found)| found.replay.map(|replay| (index, replay, found.who.listener()))).next();
        let Some((index, replay, listener)) = next else { return Ok(()) };
        let hub = &self.handles.hub;
        let up_to = replay.until.unwrap_or_else(|| hub.newest());
        let page = match replay.told < up_to {
            true => hub.page(listener, replay.told, up_to).await.unwrap_or_else(|error| failed(&error)),
            false => Some(actors::hub::Page { frames: Vec::new(), reached: up_to }),
        };
        let Some(page) = page else { return self.end_replay(index, "reject_history").await };
        let Some(subscription) = self.subscriptions.get_mut(index) else { return Ok(()) };
        subscription.replay = Some(Replay { told: page.reached, ..replay });
        for (id, message) in page.frames {
            self.send_data(index, Some(id), &message).await?;
        }
        match replay.until {
            Some(until) if page.reached >= until => self.end_replay(index, "confirm_history").await,
            None if page.reached >= up_to => {
                // It has caught up: what is committed from now on is heard, the rest is read.
                let Some(mut subscription) = (index < self.subscriptions.len()).then(|| self.subscriptions.swap_remove(index)) else {
                    return Ok(());
                };
                if !self.listen(&mut subscription) {
                    return Err(Ended::Told(UNAUTHORIZED));
                }
                subscription.replay = Some(Replay { told: page.reached, until: Some(subscription.position) });
                subscription.position = page.reached;
                self.subscriptions.push(subscription);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn end_replay(&mut self, index: usize, outcome: &str) -> Result<(), Ended> {
        let Some(mut subscription) = (index < self.subscriptions.len()).then(|| self.subscriptions.swap_remove(index)) else {
            return Ok(());
        };
        subscription.replay = None;
        let listens = match &subscription.live {
            Some(live) => {
                subscription.position = subscription.position.max(live.since);
                true
            }
            None => self.listen(&mut subscription),
        };
        let (identifier, who) = (subscription.identifier.clone(), subscription.who);
        self.subscriptions.push(subscription);
        if !listens {
            return Err(Ended::Told(UNAUTHORIZED));
        }
        self.send(about(outcome, &identifier)).await?;
        who.is_there(&self.handles);
        // It tells the client how far it is now.
        self.send_presence(&identifier).await
    }

    async fn perform(&mut self, command: &Command) -> Result<(), Ended> {
        let subscription = self.subscriptions.iter().find(|subscription| subscription.identifier == command.identifier);
        let Some(who) = subscription.map(|subscription| subscription.who) else { return Ok(()) };
        // ActionCable sends it as JSON in a text.
        let said: Value = command.data.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        match said.get("action").and_then(Value::as_str) {
            Some("update_presence") => {
                who.is_there(&self.handles);
                self.send_presence(&command.identifier).await
            }
            _ => Ok(()),
        }
    }

    async fn send_presence(&mut self, identifier: &str) -> Result<(), Ended> {
        let Some(index) = self.subscriptions.iter().position(|found| found.identifier == identifier) else { return Ok(()) };
        let Some(who) = self.subscriptions.get(index).map(|found| found.who) else { return Ok(()) };
        let (account_id, with_contacts) = who.sees();
        let frame = self.handles.hub.presence_frame(account_id, with_contacts);
        self.send_data(index, None, &frame).await
    }

    async fn pass_on(&mut self, frame: &Frame) -> Result<(), Ended> {
        let is_for = |found: &Subscription| found.live.as_ref().is_some_and(|live| live.id == frame.subscription);
        match self.subscriptions.iter().position(is_for) {
            Some(index) => self.send_data(index, Some(frame.event_id).filter(|id| *id > 0), &frame.message).await,
            // It was ended while this waited.
            None => Ok(()),
        }
    }

    /// Sends a data frame; what is not of the log tells the place that the client has reached.
    async fn send_data(&mut self, index: usize, event_id: Option<i64>, message: &[u8]) -> Result<(), Ended> {
        let Some(subscription) = self.subscriptions.get_mut(index) else { return Ok(()) };
        let offset = event_id.unwrap_or_else(|| subscription.replay.map_or(subscription.position, |replay| replay.told));
        subscription.position = subscription.position.max(offset);
        let place = match self.protocol {
            Protocol::Plain => None,
            Protocol::Extended => Some((subscription.stream.as_str(), self.handles.hub.log().epoch(), offset)),
        };
        let text = data(&subscription.quoted, message, place);
        self.send(text).await
    }

    async fn send(&mut self, text: String) -> Result<(), Ended> {
        let before = self.under_way;
        self.under_way += text.len();
        in_time(self.session.text(text)).await?;
        match before < WINDOW && self.under_way >= WINDOW {
            true => in_time(self.session.ping(b"")).await,
            false => Ok(()),
        }
    }
}

async fn in_time(sending: impl Future<Output = Result<(), actix_ws::Closed>>) -> Result<(), Ended> {
    match tokio::time::timeout(WRITE_TIMEOUT, sending).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(Ended::Gone),
    }
}

fn failed<T>(error: &DbErr) -> Option<T> {
    tracing::error!(%error, "reading the log of events for a socket");
    None
}
