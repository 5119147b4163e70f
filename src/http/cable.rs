//! The websocket: ActionCable's wire protocol for agents and contacts (contract, section 7).
//!
//! Anybody may open a socket; what it hears follows from the tokens it subscribes with. Each socket has one task, which
//! reads commands and writes frames; each subscription has a bounded queue in the hub, and a socket that does not keep up
//! is cut.
use super::auth::handles;
use super::error::ApiResult;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{AggregatedMessage, Session};
use actors::hub::{Frames, Listener};
use actors::system::Handles;
use bytes::Bytes;
use entity::{contact, contact_inbox};
use futures_util::future::select_all;
use futures_util::{FutureExt, StreamExt};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::Deserialize;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Clients give up after 6 s of silence.
const PING_EVERY: Duration = Duration::from_secs(3);
/// A client that has not answered a ping for so long is gone. (Browsers answer by themselves.)
const SILENCE: Duration = Duration::from_secs(40);
/// How long one frame may take to be taken over by the connection.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest command.
const COMMAND_LIMIT: usize = 64 << 10;
/// The most subscriptions of one socket.
const SUBSCRIPTIONS: usize = 32;

/// The sub-protocol this version speaks.
const PROTOCOL: &str = "actioncable-v1-json";

/// Opens a websocket.
#[utoipa::path(get, path = "", tag = "Realtime", responses((status = 101, description = "ActionCable, sub-protocol actioncable-v1-json")))]
pub async fn open(
    request: HttpRequest,
    body: web::Payload,
    stopping: web::Data<CancellationToken>,
) -> Result<HttpResponse, actix_web::Error> {
    let handles = handles(&request)?;
    let offered = request.headers().get(header::SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let speaks = offered.split(',').any(|protocol| protocol.trim() == PROTOCOL);
    let (mut response, session, stream) = actix_ws::handle(&request, body)?;
    if speaks {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, header::HeaderValue::from_static(PROTOCOL));
    }
    let stream = stream.max_frame_size(COMMAND_LIMIT).aggregate_continuations().max_continuation_size(COMMAND_LIMIT);
    let socket = Socket { handles, session, subscriptions: Vec::new() };
    actix_web::rt::spawn(socket.run(stream, stopping.get_ref().clone()));
    Ok(response)
}

struct Socket {
    handles: web::Data<Handles>,
    session: Session,
    subscriptions: Vec<Subscription>,
}

struct Subscription {
    /// As the client wrote it: it is echoed byte for byte.
    identifier: String,
    /// The identifier as a JSON text, ready for every frame.
    quoted: String,
    frames: Frames,
    who: Who,
}

#[derive(Clone, Copy, PartialEq)]
enum Who {
    User { account_id: i64, user_id: i64 },
    Contact { account_id: i64, contact_id: i64 },
}

/// Why a socket ends.
struct Ended;

#[derive(Deserialize)]
struct Command {
    command: String,
    identifier: String,
    #[serde(default)]
    data: String,
}

#[derive(Deserialize)]
struct Identifier {
    channel: String,
    pubsub_token: String,
    account_id: Option<i64>,
}

#[derive(Deserialize)]
struct Action {
    action: String,
}

impl Socket {
    async fn run(mut self, mut stream: actix_ws::AggregatedMessageStream, stopping: CancellationToken) {
        let _ = self.talk(&mut stream, stopping).await;
        let gone: Vec<Who> = self.subscriptions.drain(..).map(|subscription| subscription.who).collect();
        for who in gone {
            self.left(who);
        }
        // Without this the connection would stay open after its peer has gone.
        let _ = tokio::time::timeout(WRITE_TIMEOUT, self.session.close(None)).await;
    }

    async fn talk(&mut self, stream: &mut actix_ws::AggregatedMessageStream, stopping: CancellationToken) -> Result<(), Ended> {
        self.send(json!({ "type": "welcome" }).to_string()).await?;
        let mut ping = tokio::time::interval_at(tokio::time::Instant::now() + PING_EVERY, PING_EVERY);
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                () = stopping.cancelled() => {
                    self.send(json!({ "type": "disconnect", "reason": "server_restart", "reconnect": true }).to_string()).await?;
                    return Err(Ended);
                }
                message = stream.next() => {
                    heard = Instant::now();
                    match message {
                        Some(Ok(AggregatedMessage::Text(text))) => self.obey(&text).await?,
                        Some(Ok(AggregatedMessage::Ping(bytes))) => self.session.pong(&bytes).await.map_err(|_| Ended)?,
                        Some(Ok(AggregatedMessage::Pong(_) | AggregatedMessage::Binary(_))) => {}
                        Some(Ok(AggregatedMessage::Close(_)) | Err(_)) | None => return Err(Ended),
                    }
                }
                _ = ping.tick() => {
                    if heard.elapsed() > SILENCE {
                        return Err(Ended);
                    }
                    let now = entity::now().timestamp();
                    self.send(json!({ "type": "ping", "message": now }).to_string()).await?;
                    // Only this one is answered by itself, and shows that somebody is there.
                    self.session.ping(b"").await.map_err(|_| Ended)?;
                }
                (position, frame) = next_frame(&mut self.subscriptions) => match frame {
                    Some(frame) => {
                        let text = match self.subscriptions.get(position) {
                            Some(subscription) => data_frame(&subscription.quoted, &frame),
                            None => continue,
                        };
                        self.send(text).await?;
                    }
                    // The hub has dropped it, since it did not keep up.
                    None => {
                        metrics::counter!("konversio_sockets_cut_total").increment(1);
                        self.send(json!({ "type": "disconnect", "reason": "too_slow", "reconnect": true }).to_string()).await?;
                        return Err(Ended);
                    }
                },
            }
        }
    }

    async fn obey(&mut self, text: &str) -> Result<(), Ended> {
        let Ok(command) = serde_json::from_str::<Command>(text) else { return Ok(()) };
        match command.command.as_str() {
            "subscribe" => self.subscribe(command.identifier).await,
            "unsubscribe" => {
                let before = self.subscriptions.iter().position(|subscription| subscription.identifier == command.identifier);
                if let Some(position) = before {
                    let who = self.subscriptions.remove(position).who;
                    self.left(who);
                }
                Ok(())
            }
            "message" => self.perform(&command).await,
            _ => Ok(()),
        }
    }

    async fn subscribe(&mut self, identifier: String) -> Result<(), Ended> {
        if self.subscriptions.iter().any(|subscription| subscription.identifier == identifier) {
            return Ok(());
        }
        let found = match self.subscriptions.len() < SUBSCRIPTIONS {
            true => self.authenticate(&identifier).await.unwrap_or_else(|error| {
                tracing::error!(%error, "authenticating a subscription");
                None
            }),
            false => None,
        };
        let Some((who, listener)) = found else {
            return self.send(json!({ "type": "reject_subscription", "identifier": identifier }).to_string()).await;
        };
        let frames = self.handles.hub.subscribe(listener);
        let quoted = json!(identifier).to_string();
        self.send(json!({ "type": "confirm_subscription", "identifier": identifier }).to_string()).await?;
        self.subscriptions.push(Subscription { identifier, quoted, frames, who });
        self.is_there(who);
        self.send_presence(who).await
    }

    async fn perform(&mut self, command: &Command) -> Result<(), Ended> {
        let subscription = self.subscriptions.iter().find(|subscription| subscription.identifier == command.identifier);
        let Some(who) = subscription.map(|subscription| subscription.who) else { return Ok(()) };
        match serde_json::from_str::<Action>(&command.data) {
            Ok(Action { action }) if action == "update_presence" => {
                self.is_there(who);
                self.send_presence(who).await
            }
            _ => Ok(()),
        }
    }

    /// Who subscribes, by the token; the account must be one of the user's.
    async fn authenticate(&self, identifier: &str) -> ApiResult<Option<(Who, Listener)>> {
        let Ok(identifier) = serde_json::from_str::<Identifier>(identifier) else { return Ok(None) };
        if identifier.channel != "RoomChannel" {
            return Ok(None);
        }
        if let Some(user) = self.handles.catalog.now().user_by_pubsub_token(&identifier.pubsub_token) {
            let account_id = identifier.account_id.or_else(|| user.places.first().map(|place| place.account_id));
            let account_id = account_id.filter(|account_id| user.place(*account_id).is_some());
            return Ok(account_id.map(|account_id| {
                let user_id = user.row.id;
                (Who::User { account_id, user_id }, Listener::User { account_id, user_id })
            }));
        }
        let found = contact_inbox::Entity::find().filter(contact_inbox::Column::PubsubToken.eq(&identifier.pubsub_token));
        let Some(identity) = found.one(&self.handles.db.read).await? else { return Ok(None) };
        let contact = contact::Entity::find_by_id(identity.contact_id).one(&self.handles.db.read).await?;
        Ok(contact.map(|contact| {
            (Who::Contact { account_id: contact.account_id, contact_id: contact.id }, Listener::Contact { contact_inbox_id: identity.id })
        }))
    }

    fn is_there(&self, who: Who) {
        let presence = &self.handles.presence;
        match who {
            Who::User { account_id, user_id } => {
                if presence.user_is_there(account_id, user_id) {
                    self.handles.hub.publish_presence(account_id);
                    self.handles.wakes.assignment.notify_one();
                }
            }
            Who::Contact { account_id, contact_id } => presence.contact_is_there(account_id, contact_id),
        }
    }

    /// Whoever has no other socket is no longer there.
    fn left(&self, who: Who) {
        match who {
            Who::User { account_id, user_id } => {
                if !self.handles.hub.is_listening(Listener::User { account_id, user_id }) {
                    self.handles.presence.user_left(account_id, user_id);
                    self.handles.hub.publish_presence(account_id);
                }
            }
            Who::Contact { account_id, contact_id } => self.handles.presence.contact_left(account_id, contact_id),
        }
    }

    async fn send_presence(&mut self, who: Who) -> Result<(), Ended> {
        let (account_id, with_contacts) = match who {
            Who::User { account_id, .. } => (account_id, true),
            Who::Contact { account_id, .. } => (account_id, false),
        };
        let frame = self.handles.hub.presence_frame(account_id, with_contacts);
        let quoted = self.subscriptions.iter().find(|subscription| subscription.who == who).map(|subscription| subscription.quoted.clone());
        match quoted {
            Some(quoted) => self.send(data_frame(&quoted, &frame)).await,
            None => Ok(()),
        }
    }

    async fn send(&mut self, text: String) -> Result<(), Ended> {
        match tokio::time::timeout(WRITE_TIMEOUT, self.session.text(text)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Ended),
        }
    }
}

/// The next frame of any subscription, and of which; waits for ever without one.
async fn next_frame(subscriptions: &mut [Subscription]) -> (usize, Option<Bytes>) {
    if subscriptions.is_empty() {
        return std::future::pending().await;
    }
    let queues = subscriptions.iter_mut().map(|subscription| subscription.frames.queue.recv().boxed_local());
    let (frame, position, _) = select_all(queues).await;
    (position, frame)
}

fn data_frame(quoted_identifier: &str, message: &Bytes) -> String {
    let message = String::from_utf8_lossy(message);
    format!("{{\"identifier\":{quoted_identifier},\"message\":{message}}}")
}
