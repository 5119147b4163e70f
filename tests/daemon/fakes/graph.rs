//! Meta's Graph API as far as WhatsApp needs it: a number of one account, messages, files in two steps, templates in pages, and
//! the webhooks that Meta would send, signed.
//!
//! It is strict where Meta is (an unknown id is error 100/33, a message without `recipient_type` is refused, a link to a file dies)
//! and can be told to refuse, hang or talk nonsense. It does not call webhooks itself: a test posts what [`Graph`] writes.

use super::{Received, Receiver, Reply};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Meta's id of the number.
pub const PHONE_NUMBER_ID: &str = "1122334455667";
/// Meta's id of the account.
pub const ACCOUNT_ID: &str = "1234567890987654321";
/// The number, in digits.
pub const NUMBER: &str = "972123456789";
/// The access token that is taken at first.
pub const TOKEN: &str = "EAAtoken";
/// What webhooks are signed with.
pub const APP_SECRET: &str = "app-secret";

/// How long a test waits for what ought to come.
const SOON: Duration = Duration::from_secs(20);
/// How often a wait looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The stand-in. Dropping it closes its port.
pub struct Graph {
    address: SocketAddr,
    receiver: Mutex<Option<Receiver>>,
    state: Arc<Mutex<State>>,
}

/// A file that Meta has.
#[derive(Clone)]
struct File {
    content_type: String,
    bytes: Vec<u8>,
    /// As Meta tells it.
    byte_size: usize,
}

struct State {
    base: String,
    token: String,
    /// Answers to the next messages, instead of taking them.
    message_replies: VecDeque<Reply>,
    /// Answers to the next requests of any kind.
    replies: VecDeque<Reply>,
    /// The answer to every request, instead of its own.
    broken: Option<Reply>,
    /// Answers to messages to a contact, with how many there will be.
    refused: HashMap<String, (usize, Reply)>,
    /// How long the answer to a message that was taken is held back.
    delay: Duration,
    received: Vec<Received>,
    sent: Vec<Value>,
    read: Vec<Value>,
    files: HashMap<String, File>,
    uploads: usize,
    /// Links to files carry the number of their generation; only the newest works.
    generation: usize,
    /// So many links die before they are used.
    dying_links: usize,
    templates: Vec<Value>,
    numbers: Vec<String>,
    is_subscribed: bool,
}

impl Graph {
    /// Listens on a free port.
    pub async fn start() -> Self {
        let receiver = Receiver::start().await;
        let state = Arc::new(Mutex::new(State {
            base: receiver.url(""),
            token: TOKEN.into(),
            message_replies: VecDeque::new(),
            replies: VecDeque::new(),
            broken: None,
            refused: HashMap::new(),
            delay: Duration::ZERO,
            received: Vec::new(),
            sent: Vec::new(),
            read: Vec::new(),
            files: HashMap::new(),
            uploads: 0,
            generation: 0,
            dying_links: 0,
            templates: Vec::new(),
            numbers: vec![PHONE_NUMBER_ID.into()],
            is_subscribed: false,
        }));
        let graph = Graph { address: receiver.address(), receiver: Mutex::new(None), state };
        graph.serve(receiver);
        graph
    }

    fn serve(&self, receiver: Receiver) {
        let state = self.state.clone();
        receiver.answer_with(move |request| locked(&state).answer(request));
        *locked(&self.receiver) = Some(receiver);
    }

    /// What `providers.meta_url` is to be.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Refuses connections from now on, and ends those that are there.
    pub fn go_down(&self) {
        *locked(&self.receiver) = None;
    }

    /// Is there again, at the same address, with everything it had.
    pub async fn come_back(&self) {
        let started = Instant::now();
        // The last connections may still be on their way out.
        while tokio::net::TcpListener::bind(self.address).await.is_err() && started.elapsed() < SOON {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        self.serve(Receiver::start_on(self.address).await);
    }

    /// All requests, in order.
    pub fn received(&self) -> Vec<Received> {
        locked(&self.state).received.clone()
    }

    /// Those of a method whose path ends so.
    pub fn requests(&self, method: &str, end: &str) -> Vec<Received> {
        let is_meant = |request: &Received| request.method == method && request.path.split('?').next().unwrap_or_default().ends_with(end);
        self.received().into_iter().filter(is_meant).collect()
    }

    pub async fn wait_for(&self, what: &str, condition: impl Fn(&Graph) -> bool) {
        let started = Instant::now();
        while !condition(self) {
            let lines = || self.received().iter().map(|one| format!("{} {}", one.method, one.path)).collect::<Vec<_>>();
            assert!(started.elapsed() < SOON, "still waiting for {what}; there were {:#?}", lines());
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Waits until so many messages were taken, and returns them.
    pub async fn wait_for_sent(&self, count: usize) -> Vec<Value> {
        self.wait_for(&format!("{count} messages"), |graph| graph.sent().len() >= count).await;
        self.sent()
    }

    /// The same answer to every request, until [`Graph::recover`].
    pub fn break_down(&self, reply: Reply) {
        locked(&self.state).broken = Some(reply);
    }

    /// The next so many messages to a contact are answered like this.
    pub fn refuse_to(&self, address: &str, times: usize, reply: Reply) {
        locked(&self.state).refused.insert(address.into(), (times, reply));
    }

    /// Takes messages at once and answers later.
    pub fn hold_answers_back(&self, delay: Duration) {
        locked(&self.state).delay = delay;
    }

    /// All is well again.
    pub fn recover(&self) {
        let mut state = locked(&self.state);
        state.broken = None;
        state.refused.clear();
        state.delay = Duration::ZERO;
    }

    /// The messages that were taken, as they were sent.
    pub fn sent(&self) -> Vec<Value> {
        locked(&self.state).sent.clone()
    }

    /// The requests that marked something as read.
    pub fn read(&self) -> Vec<Value> {
        locked(&self.state).read.clone()
    }

    /// How many files were uploaded.
    pub fn uploads(&self) -> usize {
        locked(&self.state).uploads
    }

    /// The bytes of a file that was uploaded, or given.
    pub fn file(&self, media_id: &str) -> Option<Vec<u8>> {
        locked(&self.state).files.get(media_id).map(|file| file.bytes.clone())
    }

    /// Whether the account's webhooks are subscribed to.
    pub fn is_subscribed(&self) -> bool {
        locked(&self.state).is_subscribed
    }

    /// Takes another token from now on: the old one is revoked.
    pub fn change_token(&self, token: &str) {
        locked(&self.state).token = token.into();
    }

    /// Another number in the same account.
    pub fn add_number(&self, id: &str) {
        locked(&self.state).numbers.push(id.into());
    }

    /// What the account has as templates.
    pub fn set_templates(&self, templates: Vec<Value>) {
        locked(&self.state).templates = templates;
    }

    /// Refuses the next message with an error of Meta's; several calls make a queue.
    pub fn refuse_next(&self, status: u16, code: i64, details: &str) {
        self.answer_next_message(refusal(status, code, 0, details));
    }

    /// The answer to the next message; several calls make a queue.
    pub fn answer_next_message(&self, reply: Reply) {
        locked(&self.state).message_replies.push_back(reply);
    }

    /// The answer to the next request of any kind; several calls make a queue.
    pub fn answer_next(&self, reply: Reply) {
        locked(&self.state).replies.push_back(reply);
    }

    /// A file that a contact sent: its node in a message.
    pub fn give_file(&self, media_id: &str, content_type: &str, bytes: &[u8]) -> Value {
        let file = File { content_type: content_type.into(), bytes: bytes.to_vec(), byte_size: bytes.len() };
        locked(&self.state).files.insert(media_id.into(), file);
        json!({ "id": media_id, "mime_type": content_type, "sha256": STANDARD.encode(Sha256::digest(bytes)) })
    }

    /// Meta keeps a file no longer.
    pub fn lose_file(&self, media_id: &str) {
        locked(&self.state).files.remove(media_id);
    }

    /// Another content under the same id: a damaged file.
    pub fn damage_file(&self, media_id: &str) {
        if let Some(file) = locked(&self.state).files.get_mut(media_id) {
            file.bytes.push(b'!');
        }
    }

    /// Meta says that a file has so many bytes.
    pub fn claim_size(&self, media_id: &str, byte_size: usize) {
        if let Some(file) = locked(&self.state).files.get_mut(media_id) {
            file.byte_size = byte_size;
        }
    }

    /// The next links to files die before they are used.
    pub fn let_links_die(&self, count: usize) {
        locked(&self.state).dying_links = count;
    }

    /// The webhooks of a message that was taken, from `sent` up to `last`.
    pub fn ladder(&self, provider_id: &str, last: &str) -> Vec<Value> {
        let number: usize = provider_id.rsplit('.').next().and_then(|number| number.parse().ok()).expect("an id of this stand-in");
        let request = self.sent()[number].clone();
        let steps = ["sent", "delivered", "read", "played"];
        let end = steps.iter().position(|step| *step == last).expect("a step of the ladder");
        let webhook = |(index, step): (usize, &&str)| {
            let status = json!({
                "id": provider_id, "status": step, "timestamp": (1_800_000_000 + index).to_string(), "recipient_id": request["to"],
                "biz_opaque_callback_data": request["biz_opaque_callback_data"],
                "pricing": { "billable": true, "pricing_model": "PMP", "category": "service" },
            });
            Graph::change("messages", json!({ "statuses": [status] }))
        };
        steps[..=end].iter().enumerate().map(webhook).collect()
    }

    /// The webhook of a message that failed after it was taken.
    pub fn failure(provider_id: &str, callback: &str, code: i64, details: &str) -> Value {
        let error = json!({ "code": code, "title": details, "message": details, "error_data": { "details": details } });
        let status = json!({
            "id": provider_id, "status": "failed", "timestamp": "1800000001", "recipient_id": "972987654321",
            "biz_opaque_callback_data": callback, "errors": [error],
        });
        Graph::change("messages", json!({ "statuses": [status] }))
    }

    /// The webhook of one message of a contact; `own` is what is named after the type.
    pub fn message(from: &str, name: &str, provider_id: &str, seconds: i64, kind: &str, own: Value) -> Value {
        let message = json!({ "from": from, "id": provider_id, "timestamp": seconds.to_string(), "type": kind, (kind): own });
        let contact = json!({ "profile": { "name": name }, "wa_id": from });
        Graph::change("messages", json!({ "contacts": [contact], "messages": [message] }))
    }

    /// A webhook with one change of this number and account.
    pub fn change(field: &str, mut value: Value) -> Value {
        value["messaging_product"] = "whatsapp".into();
        value["metadata"] = json!({ "display_phone_number": NUMBER, "phone_number_id": PHONE_NUMBER_ID });
        let entry = json!({ "id": ACCOUNT_ID, "time": 1_800_000_000, "changes": [{ "field": field, "value": value }] });
        json!({ "object": "whatsapp_business_account", "entry": [entry] })
    }

    /// Several webhooks in one request, as Meta does under load.
    pub fn together(webhooks: &[Value]) -> Value {
        let entries: Vec<Value> = webhooks.iter().flat_map(|webhook| webhook["entry"].as_array().cloned().unwrap_or_default()).collect();
        json!({ "object": "whatsapp_business_account", "entry": entries })
    }

    /// The bytes that Meta sends: letters beyond ASCII are escaped, so that whoever signs what it has parsed signs something else.
    pub fn body(webhook: &Value) -> Vec<u8> {
        let mut escaped = String::new();
        for letter in webhook.to_string().chars() {
            if letter.is_ascii() {
                escaped.push(letter);
            } else {
                let mut units = [0; 2];
                letter.encode_utf16(&mut units).iter().for_each(|unit| escaped.push_str(&format!("\\u{unit:04x}")));
            }
        }
        escaped.into_bytes()
    }

    /// The value of `X-Hub-Signature-256`.
    pub fn signature(secret: &str, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key");
        mac.update(body);
        format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
    }
}

/// An error in Meta's form.
pub fn refusal(status: u16, code: i64, subcode: i64, details: &str) -> Reply {
    let error = json!({
        "message": format!("(#{code}) {details}"), "type": "OAuthException", "code": code, "error_subcode": subcode,
        "error_data": { "messaging_product": "whatsapp", "details": details }, "fbtrace_id": "A1b2C3",
    });
    Reply::json(&json!({ "error": error })).with_status(status)
}

impl State {
    fn answer(&mut self, request: &Received) -> Reply {
        self.received.push(request.clone());
        if let Some(reply) = self.replies.pop_front().or_else(|| self.broken.clone()) {
            return reply;
        }
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        if request.header("user-agent").is_none_or(str::is_empty) {
            return Reply::status(400).body("<html>who are you?</html>");
        }
        if request.header("authorization") != Some(format!("Bearer {}", self.token).as_str()) {
            return refusal(401, 190, 463, "Error validating access token: Session has expired");
        }
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        match (request.method.as_str(), segments.as_slice()) {
            ("GET", ["links", generation, id]) => self.download(generation, id),
            ("GET", [_, id]) if self.numbers.iter().any(|number| number == id) => Reply::json(&json!({
                "id": id, "display_phone_number": "+972 12-345-6789", "verified_name": "Shop", "quality_rating": "GREEN",
                "code_verification_status": "VERIFIED",
            })),
            ("GET", [_, ACCOUNT_ID, "message_templates"]) => self.page_of_templates(query),
            ("GET", [_, ACCOUNT_ID, "phone_numbers"]) => {
                let numbers: Vec<Value> = self.numbers.iter().map(|id| json!({ "id": id })).collect();
                Reply::json(&json!({ "data": numbers }))
            }
            ("POST", [_, ACCOUNT_ID, "subscribed_apps"]) => self.subscribe(true),
            ("DELETE", [_, ACCOUNT_ID, "subscribed_apps"]) => self.subscribe(false),
            ("POST", [_, PHONE_NUMBER_ID, "media"]) => self.upload(request),
            ("POST", [_, PHONE_NUMBER_ID, "messages"]) => self.message(&request.json),
            ("GET", [_, id]) => self.describe(id, query),
            _ => missing(),
        }
    }

    fn subscribe(&mut self, is_subscribed: bool) -> Reply {
        self.is_subscribed = is_subscribed;
        Reply::json(&json!({ "success": true }))
    }

    fn page_of_templates(&self, query: &str) -> Reply {
        let parameter = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let limit: usize = parameter("limit").and_then(|limit| limit.parse().ok()).unwrap_or(25);
        let from: usize = parameter("after").and_then(|after| after.parse().ok()).unwrap_or(0);
        let to = (from + limit).min(self.templates.len());
        // The last page has a cursor as well; only `next` tells that there is more.
        let mut paging = json!({ "cursors": { "before": from.to_string(), "after": to.to_string() } });
        if to < self.templates.len() {
            paging["next"] = format!("{}/v23.0/{ACCOUNT_ID}/message_templates?after={to}", self.base).into();
        }
        Reply::json(&json!({ "data": self.templates[from.min(to)..to], "paging": paging }))
    }

    fn upload(&mut self, request: &Received) -> Reply {
        let Some(parts) = request.form() else { return refusal(400, 100, 0, "not multipart/form-data") };
        let part = |name: &str| parts.iter().find(|part| part.name == name);
        let text = |name: &str| part(name).map(|part| String::from_utf8_lossy(&part.bytes).into_owned()).unwrap_or_default();
        let Some(file) = part("file") else { return refusal(400, 100, 0, "file is missing") };
        let content_type = file.content_type.clone().unwrap_or_default();
        if text("messaging_product") != "whatsapp" || text("type") != content_type {
            return refusal(400, 100, 0, "messaging_product or type is wrong");
        }
        self.uploads += 1;
        let id = format!("9000{}", self.uploads);
        self.files.insert(id.clone(), File { content_type, bytes: file.bytes.clone(), byte_size: file.bytes.len() });
        Reply::json(&json!({ "id": id }))
    }

    fn message(&mut self, request: &Value) -> Reply {
        if let Some(reply) = self.message_replies.pop_front() {
            return reply;
        }
        if request["messaging_product"] != "whatsapp" {
            return refusal(400, 100, 0, "messaging_product is required");
        }
        if request["status"] == "read" {
            self.read.push(request.clone());
            return Reply::json(&json!({ "success": true }));
        }
        let kind = request["type"].as_str().unwrap_or_default();
        let address = request["to"].as_str().or(request["recipient"].as_str()).unwrap_or_default();
        if let Some((left, reply)) = self.refused.get_mut(address).filter(|(left, _)| *left > 0) {
            *left -= 1;
            return reply.clone();
        }
        if request["recipient_type"] != "individual" || address.is_empty() || request[kind].is_null() {
            return refusal(400, 100, 0, "recipient_type, to and what the type names are required");
        }
        let text = request["text"]["body"].as_str().unwrap_or_default();
        if kind == "text" && (text.is_empty() || text.chars().count() > 4096) {
            return refusal(400, 100, 0, "text.body must have 1 to 4096 characters");
        }
        if let Some(id) = request[kind]["id"].as_str()
            && !self.files.contains_key(id)
        {
            return refusal(400, 131_053, 0, "Media upload error: unknown id");
        }
        let id = format!("wamid.ours.{}", self.sent.len());
        self.sent.push(request.clone());
        Reply::json(&json!({
            "messaging_product": "whatsapp", "contacts": [{ "input": address, "wa_id": address }], "messages": [{ "id": id }],
        }))
        .after(self.delay)
    }

    fn describe(&mut self, id: &str, query: &str) -> Reply {
        let is_ours = query.is_empty() || query == format!("phone_number_id={PHONE_NUMBER_ID}");
        let Some(file) = self.files.get(id).filter(|_| is_ours) else { return missing() };
        self.generation += 1;
        Reply::json(&json!({
            "messaging_product": "whatsapp", "id": id, "mime_type": file.content_type, "file_size": file.byte_size,
            "sha256": STANDARD.encode(Sha256::digest(&file.bytes)), "url": format!("{}/links/{}/{id}", self.base, self.generation),
        }))
    }

    fn download(&mut self, generation: &str, id: &str) -> Reply {
        if self.dying_links > 0 {
            self.dying_links -= 1;
            return Reply::status(404).body("expired");
        }
        match self.files.get(id) {
            Some(file) if generation == self.generation.to_string() => {
                Reply::status(200).header("content-type", &file.content_type).body(file.bytes.clone())
            }
            _ => Reply::status(404).body("expired"),
        }
    }
}

fn missing() -> Reply {
    let words = "Object does not exist, cannot be loaded due to missing permissions, or does not support this operation";
    refusal(400, 100, 33, words)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
