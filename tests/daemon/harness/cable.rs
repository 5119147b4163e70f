//! A client of the daemon's websocket, which speaks the ActionCable wire protocol (contract, section 7).
//!
//! Frames are kept in the order they came. [`Cable::next_event`] takes the first one of a name that was not taken yet, so a test
//! may ask for events in any order and lose none.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::panic::Location;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::SOON;

/// The subprotocols a browser's ActionCable client offers.
const OFFERED: &str = "actioncable-v1-json, actioncable-unsupported";
/// The one the daemon must choose, or that client gives up.
const CHOSEN: &str = "actioncable-v1-json";
/// The one of clients that resume.
const EXTENDED: &str = "actioncable-v1-ext-json";

/// One websocket and what came over it.
pub struct Cable {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    frames: Vec<Frame>,
    /// Why no more frames come, once the socket has ended.
    ended: Option<String>,
}

/// One frame as it came in.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The frame.
    pub json: Value,
    /// When it was read.
    pub at: Instant,
    taken: bool,
}

impl Cable {
    /// Opens `/cable` and waits for its welcome.
    pub async fn connect(base_url: &str) -> Self {
        Self::connect_with(base_url, OFFERED, CHOSEN).await
    }

    /// The same in the extended protocol, whose data frames tell their place in the log.
    pub async fn connect_extended(base_url: &str) -> Self {
        Self::connect_with(base_url, EXTENDED, EXTENDED).await
    }

    async fn connect_with(base_url: &str, offered: &str, chosen: &str) -> Self {
        let url = format!("{}/cable", base_url.replacen("http", "ws", 1));
        let mut request = url.as_str().into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", offered.parse().unwrap());
        let (socket, response) = tokio::time::timeout(SOON, connect_async(request)).await.expect("no websocket in time").unwrap();
        let answered = response.headers().get("sec-websocket-protocol").and_then(|value| value.to_str().ok());
        assert_eq!(answered, Some(chosen), "subprotocol");
        let mut cable = Cable { socket, frames: Vec::new(), ended: None };
        cable.next_frame("the welcome", SOON, |frame| frame["type"] == "welcome").await;
        cable
    }

    /// Subscribes and waits for the confirmation; returns the identifier, as it goes over the wire. Fails the test on a refusal.
    #[track_caller]
    pub fn subscribe(&mut self, identifier: &Value) -> impl Future<Output = String> {
        let caller = Location::caller();
        let identifier = identifier.to_string();
        async move {
            let answer = self.ask_to_subscribe(&identifier).await;
            assert_eq!(answer["type"], "confirm_subscription", "{caller}: answer to subscribing to {identifier}");
            identifier
        }
    }

    /// Subscribes as an agent: to the user's own stream and the account's.
    pub async fn subscribe_agent(&mut self, pubsub_token: &str, account: i64, user: i64) -> String {
        self.subscribe(&json!({"channel": "RoomChannel", "pubsub_token": pubsub_token, "account_id": account, "user_id": user})).await
    }

    /// Subscribes as a contact.
    pub async fn subscribe_contact(&mut self, pubsub_token: &str) -> String {
        self.subscribe(&json!({"channel": "RoomChannel", "pubsub_token": pubsub_token})).await
    }

    /// Asks for a subscription with this very text as identifier, and returns the confirmation or the refusal.
    pub async fn ask_to_subscribe(&mut self, identifier: &str) -> Value {
        self.command(json!({"command": "subscribe", "identifier": identifier})).await;
        self.next_frame("an answer to a subscription", SOON, |frame| {
            let kind = frame["type"].as_str().unwrap_or_default();
            frame["identifier"] == identifier && matches!(kind, "confirm_subscription" | "reject_subscription")
        })
        .await
        .json
    }

    /// Performs an action (`update_presence`) on a subscription.
    pub async fn perform(&mut self, identifier: &str, data: &Value) {
        self.command(json!({"command": "message", "identifier": identifier, "data": data.to_string()})).await;
    }

    /// Sends any text.
    pub async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// The data of the next event of this name. Fails the test after `deadline`.
    #[track_caller]
    pub fn next_event(&mut self, name: &str, deadline: Duration) -> impl Future<Output = Value> {
        self.next_event_where(name, deadline, |_| true)
    }

    /// The data of the next event of this name that fits; others stay.
    #[track_caller]
    pub fn next_event_where(&mut self, name: &str, deadline: Duration, fits: impl Fn(&Value) -> bool) -> impl Future<Output = Value> {
        let is_it = move |frame: &Value| frame["message"]["event"] == name && fits(&frame["message"]["data"]);
        let found = self.next_frame(name, deadline, is_it);
        async move { found.await.json["message"]["data"].clone() }
    }

    /// The next frame that fits, taken out of those to come. Fails the test after `deadline`, showing what came instead.
    #[track_caller]
    pub fn next_frame(&mut self, what: &str, deadline: Duration, fits: impl Fn(&Value) -> bool) -> impl Future<Output = Frame> {
        let caller = Location::caller();
        async move {
            let until = tokio::time::Instant::now() + deadline;
            let mut looked_at = 0;
            loop {
                while let Some(frame) = self.frames.get_mut(looked_at) {
                    looked_at += 1;
                    if !frame.taken && fits(&frame.json) {
                        frame.taken = true;
                        return frame.clone();
                    }
                }
                let in_time = tokio::time::timeout_at(until, self.read()).await.is_ok();
                if !in_time || (self.ended.is_some() && looked_at == self.frames.len()) {
                    let why = self.ended.clone().unwrap_or_else(|| format!("it did not come within {deadline:?}"));
                    panic!("{caller}: waiting for {what}: {why}; there came:\n{}", self.shown());
                }
            }
        }
    }

    /// Waits until the daemon has closed the socket, and returns why.
    pub async fn closed(&mut self, deadline: Duration) -> String {
        let reading = async {
            while self.ended.is_none() {
                self.read().await;
            }
        };
        tokio::time::timeout(deadline, reading).await.expect("the websocket was not closed in time");
        self.ended.clone().unwrap_or_default()
    }

    /// All frames read so far, in order.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Names of all events read so far, in order. What has not been waited for may still be on its way.
    pub fn event_names(&self) -> Vec<&str> {
        self.frames.iter().filter_map(|frame| frame.json["message"]["event"].as_str()).collect()
    }

    async fn command(&mut self, command: Value) {
        self.send_text(&command.to_string()).await;
    }

    /// Reads one frame, or notes that there are no more.
    async fn read(&mut self) {
        match self.socket.next().await {
            Some(Ok(Message::Text(text))) => {
                let json = serde_json::from_str(&text).unwrap_or_else(|_| panic!("a frame is not JSON: {text}"));
                self.frames.push(Frame { json, at: Instant::now(), taken: false });
            }
            Some(Ok(Message::Close(reason))) => self.ended = Some(format!("the daemon closed it: {reason:?}")),
            Some(Ok(_)) => {}
            Some(Err(error)) => self.ended = Some(format!("it broke: {error}")),
            None => self.ended = Some("it ended".to_owned()),
        }
    }

    fn shown(&self) -> String {
        let lines = self.frames.iter().filter(|frame| frame.json["type"] != "ping").map(|frame| frame.json.to_string());
        lines.collect::<Vec<_>>().join("\n")
    }
}
