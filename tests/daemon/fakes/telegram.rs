//! Telegram's Bot API: bots by their tokens, updates that are pushed or polled, messages and files both ways.
//!
//! Every request is held to the published description of the Bot API, and so is everything that is answered or told; what does
//! not fit fails the test when the stand-in goes. It does not call webhooks itself: [`Telegram::tell`] says what is to be posted.

#[path = "telegram/contract.rs"]
pub mod contract;

use super::{Received, Receiver, Reply, shared};
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// The bot that is there from the beginning.
pub const TOKEN: &str = "7000000001:AAFakeFakeFake";

/// How long a test waits for what ought to come.
const SOON: Duration = Duration::from_secs(20);
/// How often a poll that is held back looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// The largest file that bots are given.
const FILE_LIMIT: usize = 20 << 20;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Call {
    /// Which bot's.
    pub token: String,
    /// In lower case; `file/…` for a file.
    pub method: String,
    pub parameters: Map<String, Value>,
    /// Name and bytes of each file, in order.
    pub files: Vec<(String, Vec<u8>)>,
    /// When it came.
    pub at: Instant,
}

impl Call {
    pub fn text(&self, name: &str) -> &str {
        self.parameters.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// A parameter, also one that came as a text in a form.
    pub fn value(&self, name: &str) -> Value {
        match self.parameters.get(name) {
            Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
            other => other.cloned().unwrap_or_default(),
        }
    }

    pub fn chat(&self) -> Option<i64> {
        self.value("chat_id").as_i64()
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub enum Outcome {
    Result(Value),
    /// The number, Telegram's words, and what else it tells.
    Error(u16, &'static str, Value),
    Raw(u16, Vec<u8>),
    Hang,
}

impl Outcome {
    /// Telegram wants a pause.
    pub fn too_many(seconds: u64) -> Self {
        Outcome::Error(429, "Too Many Requests: retry later", json!({ "retry_after": seconds }))
    }
}

/// What is posted to the webhook of a bot.
#[derive(Clone, Debug)]
pub struct Push {
    pub url: String,
    /// For the header `X-Telegram-Bot-Api-Secret-Token`.
    pub secret: String,
    pub body: Vec<u8>,
}

/// The stand-in. Dropping it closes its port.
pub struct Telegram {
    /// Where it is.
    pub url: String,
    address: SocketAddr,
    receiver: Mutex<Option<Receiver>>,
    state: Arc<Mutex<State>>,
}

type Answerer = Box<dyn FnMut(&Call) -> Option<Outcome> + Send>;

struct State {
    bots: HashMap<String, Bot>,
    calls: Vec<Call>,
    complaints: Vec<String>,
    /// What is answered instead of the usual: to whom, how often, what.
    faults: Vec<(Fault, usize, Outcome)>,
    otherwise: Answerer,
    /// The polls that are held back, by when they came.
    held: HashSet<Instant>,
}

/// Which calls go wrong.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Any.
    All,
    /// Those of a method.
    Method(&'static str),
    /// Those that send to a chat.
    Chat(i64),
}

#[derive(Default)]
struct Bot {
    /// Address and secret.
    webhook: Option<(String, String)>,
    queue: Vec<Value>,
    /// The poll that came last.
    poll: Option<Instant>,
    updates: i64,
    messages: i64,
    files: HashMap<String, Vec<u8>>,
    pictures: HashMap<i64, String>,
    blocked_by: HashSet<i64>,
}

impl Telegram {
    /// Listens on a free port, with one bot.
    pub async fn start() -> Self {
        Self::start_with(|_| None).await
    }

    /// The same; calls are answered with what a function says to them, none is the usual answer.
    pub async fn start_with(otherwise: impl FnMut(&Call) -> Option<Outcome> + Send + 'static) -> Self {
        let receiver = Receiver::start().await;
        let state = State {
            bots: HashMap::from([(TOKEN.to_owned(), Bot::default())]),
            calls: Vec::new(),
            complaints: Vec::new(),
            faults: Vec::new(),
            otherwise: Box::new(otherwise),
            held: HashSet::new(),
        };
        let (url, address) = (receiver.url(""), receiver.address());
        let telegram = Telegram { url, address, receiver: Mutex::new(None), state: Arc::new(Mutex::new(state)) };
        telegram.serve(receiver);
        telegram
    }

    fn serve(&self, receiver: Receiver) {
        let state = self.state.clone();
        receiver.answer_with(move |request| locked(&state).answer(request));
        *locked(&self.receiver) = Some(receiver);
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

    /// Another bot.
    pub fn add_bot(&self, token: &str) {
        locked(&self.state).bots.insert(token.into(), Bot::default());
    }

    /// The token of a bot is another from now on.
    pub fn change_token(&self, from: &str, to: &str) {
        let mut state = locked(&self.state);
        let bot = state.bots.remove(from).expect("a bot of this stand-in");
        state.bots.insert(to.into(), bot);
    }

    /// So many calls go wrong.
    pub fn fail(&self, which: Fault, times: usize, outcome: Outcome) {
        locked(&self.state).faults.push((which, times, outcome));
    }

    /// Nothing goes wrong any more.
    pub fn recover(&self) {
        locked(&self.state).faults.clear();
    }

    /// The calls of a method, in order.
    pub fn calls(&self, method: &str) -> Vec<Call> {
        locked(&self.state).calls.iter().filter(|call| call.method.eq_ignore_ascii_case(method)).cloned().collect()
    }

    /// The methods that were called, in order.
    pub fn methods(&self) -> Vec<String> {
        locked(&self.state).calls.iter().map(|call| call.method.clone()).collect()
    }

    /// Address and secret of a bot's webhook.
    pub fn webhook(&self, token: &str) -> Option<(String, String)> {
        locked(&self.state).bots.get(token)?.webhook.clone()
    }

    pub async fn wait_for(&self, what: &str, condition: impl Fn(&Telegram) -> bool) {
        let started = Instant::now();
        while !condition(self) {
            assert!(started.elapsed() < SOON, "still waiting for {what}; there were {:?}", self.methods());
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Waits for the calls of a method to be so many, and returns them.
    pub async fn wait_for_calls(&self, method: &str, count: usize) -> Vec<Call> {
        self.wait_for(&format!("{count} × {method}"), |telegram| telegram.calls(method).len() >= count).await;
        self.calls(method)
    }

    /// A file that somebody sends: its id.
    pub fn give_file(&self, token: &str, id: &str, bytes: &[u8]) {
        self.bot(token, |bot| bot.files.insert(id.into(), bytes.to_vec()));
    }

    /// The picture of a person.
    pub fn give_picture(&self, token: &str, user: i64, file_id: &str, bytes: &[u8]) {
        self.give_file(token, file_id, bytes);
        self.bot(token, |bot| bot.pictures.insert(user, file_id.into()));
    }

    /// A message of a person to a bot, `own` being what it carries; not told yet.
    pub fn message(&self, token: &str, chat: i64, date: i64, own: Value) -> Value {
        let number = self.bot(token, |bot| {
            bot.messages += 1;
            bot.messages
        });
        let mut message =
            json!({ "message_id": number, "date": date, "from": person(chat), "chat": private(chat) }).as_object().unwrap().clone();
        message.extend(own.as_object().expect("an object").clone());
        Value::Object(message)
    }

    /// An update of a kind.
    pub fn update(&self, token: &str, kind: &str, of: Value) -> Value {
        let number = self.bot(token, |bot| {
            bot.updates += 1;
            bot.updates
        });
        let update = json!({ "update_id": 900_000 + number, (kind): of });
        let complaints = contract::update(&update);
        assert!(complaints.is_empty(), "Telegram would not tell {update}: {complaints:#?}");
        update
    }

    /// Tells an update: what is to be posted to the bot's webhook; none where it waits for the bot to ask.
    pub fn tell(&self, token: &str, update: &Value) -> Option<Push> {
        if let Some(chat) = update.pointer("/my_chat_member/chat/id").and_then(Value::as_i64) {
            let is_blocked = update["my_chat_member"]["new_chat_member"]["status"] == "kicked";
            self.bot(token, |bot| if is_blocked { bot.blocked_by.insert(chat) } else { bot.blocked_by.remove(&chat) });
        }
        self.bot(token, |bot| match &bot.webhook {
            Some((url, secret)) => Some(Push { url: url.clone(), secret: secret.clone(), body: update.to_string().into_bytes() }),
            None => {
                bot.queue.push(update.clone());
                None
            }
        })
    }

    /// How many updates a bot has not fetched yet.
    pub fn waiting(&self, token: &str) -> usize {
        self.bot(token, |bot| bot.queue.len())
    }

    fn bot<T>(&self, token: &str, change: impl FnOnce(&mut Bot) -> T) -> T {
        change(locked(&self.state).bots.get_mut(token).expect("a bot of this stand-in"))
    }
}

impl Drop for Telegram {
    fn drop(&mut self) {
        let complaints = std::mem::take(&mut locked(&self.state).complaints);
        assert!(complaints.is_empty() || std::thread::panicking(), "not as Telegram describes it: {complaints:#?}");
    }
}

impl State {
    fn answer(&mut self, request: &Received) -> Reply {
        if self.held.remove(&request.at) {
            return self.held_back(request);
        }
        let path = request.path.split('?').next().unwrap_or_default();
        let below = |prefix: &str| path.strip_prefix(prefix).and_then(|rest| rest.split_once('/'));
        let Some((token, method, is_file)) =
            below("/file/bot").map(|(token, file)| (token, file, true)).or(below("/bot").map(|(token, method)| (token, method, false)))
        else {
            return error(404, "Not Found", &Value::Null);
        };
        let method = if is_file { format!("file/{method}") } else { method.to_owned() };
        let (call, complaints) = read(request, token, &method, is_file);
        let told = (self.otherwise)(&call);
        let fault = self.fault(&call);
        let is_known = self.bots.contains_key(token);
        self.calls.push(call.clone());
        if !complaints.is_empty() {
            self.complaints.extend(complaints);
            return error(400, "Bad Request: not as described", &Value::Null);
        }
        match told.or(fault) {
            Some(outcome) => self.reply(&call, outcome),
            None if !is_known => error(401, "Unauthorized", &Value::Null),
            None if call.method == "getupdates" => self.held_back(request),
            None => {
                let outcome = self.usual(&call);
                self.reply(&call, outcome)
            }
        }
    }

    fn fault(&mut self, call: &Call) -> Option<Outcome> {
        let is_meant = |fault: &Fault| match fault {
            Fault::All => true,
            Fault::Method(method) => call.method.eq_ignore_ascii_case(method),
            Fault::Chat(chat) => call.chat() == Some(*chat),
        };
        let (_, left, outcome) = self.faults.iter_mut().find(|(fault, left, _)| *left > 0 && is_meant(fault))?;
        *left -= 1;
        Some(outcome.clone())
    }

    fn reply(&mut self, call: &Call, outcome: Outcome) -> Reply {
        match outcome {
            Outcome::Result(result) => {
                self.complaints.extend(contract::answer(&call.method, &result));
                Reply::json(&json!({ "ok": true, "result": result }))
            }
            Outcome::Error(code, description, parameters) => error(code, description, &parameters),
            Outcome::Raw(status, body) => Reply::status(status).body(body),
            Outcome::Hang => Reply::hang(),
        }
    }

    /// A poll waits for updates as long as it says; the newest of several is served.
    fn held_back(&mut self, request: &Received) -> Reply {
        let token = request.path.trim_start_matches("/bot").split('/').next().unwrap_or_default();
        let (call, _) = read(request, token, "getUpdates", false);
        let Some(bot) = self.bots.get_mut(token) else { return error(401, "Unauthorized", &Value::Null) };
        if bot.webhook.is_some() {
            let words = "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first";
            return error(409, words, &Value::Null);
        }
        if bot.poll.is_some_and(|newest| newest > request.at) {
            let words = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running";
            return error(409, words, &Value::Null);
        }
        bot.poll = Some(request.at);
        let offset = call.value("offset").as_i64().unwrap_or_default();
        bot.queue.retain(|update| update["update_id"].as_i64().is_some_and(|number| number >= offset));
        let wanted = call.value("allowed_updates");
        let is_wanted = |update: &&Value| {
            let kinds = wanted.as_array().filter(|kinds| !kinds.is_empty());
            // A kind that the description does not know cannot be asked for.
            kinds.is_none_or(|kinds| update.get("news").is_some() || kinds.iter().any(|kind| update.get(kind.as_str().unwrap()).is_some()))
        };
        let updates: Vec<Value> = bot.queue.iter().filter(is_wanted).take(100).cloned().collect();
        let timeout = Duration::from_secs(call.value("timeout").as_u64().unwrap_or_default());
        if updates.is_empty() && request.at.elapsed() < timeout {
            self.held.insert(request.at);
            return Reply::ask_again(LOOK_AGAIN);
        }
        Reply::json(&json!({ "ok": true, "result": updates }))
    }

    /// What Telegram answers when all is well.
    fn usual(&mut self, call: &Call) -> Outcome {
        let refused = |words| Outcome::Error(400, words, Value::Null);
        let Some(bot) = self.bots.get_mut(&call.token) else { return Outcome::Error(401, "Unauthorized", Value::Null) };
        let chat = call.chat().unwrap_or_default();
        if call.chat().is_some_and(|chat| bot.blocked_by.contains(&chat)) {
            return Outcome::Error(403, "Forbidden: bot was blocked by the user", Value::Null);
        }
        let mut message = |number: i64| {
            bot.messages = bot.messages.max(1000) + 1;
            json!({ "message_id": bot.messages, "date": 1_700_000_000 + number, "chat": private(chat), "text": "…" })
        };
        Outcome::Result(match call.method.as_str() {
            "getme" => {
                let id: i64 = call.token.split(':').next().and_then(|id| id.parse().ok()).unwrap_or_default();
                json!({
                    "id": id, "is_bot": true, "first_name": "Shop", "username": "shop_bot", "can_join_groups": true,
                    "can_read_all_group_messages": false, "supports_inline_queries": false, "has_main_web_app": false,
                })
            }
            "setwebhook" => {
                let (url, secret) = (call.text("url").to_owned(), call.text("secret_token").to_owned());
                if url.is_empty() {
                    bot.webhook = None;
                } else if !url.starts_with("https://") {
                    return refused("Bad Request: bad webhook: An HTTPS URL must be provided for webhook");
                } else {
                    bot.webhook = Some((url, secret));
                }
                json!(true)
            }
            "deletewebhook" => {
                bot.webhook = None;
                json!(true)
            }
            "getwebhookinfo" => {
                let url = bot.webhook.as_ref().map_or("", |(url, _)| url.as_str());
                json!({ "url": url, "has_custom_certificate": false, "pending_update_count": bot.queue.len() })
            }
            "getfile" => {
                let id = call.text("file_id");
                match bot.files.get(id) {
                    None => return refused("Bad Request: wrong file_id or the file is temporarily unavailable"),
                    Some(bytes) if bytes.len() > FILE_LIMIT => return refused("Bad Request: file is too big"),
                    Some(bytes) => {
                        json!({ "file_id": id, "file_unique_id": format!("u-{id}"), "file_size": bytes.len(), "file_path": format!("files/{id}") })
                    }
                }
            }
            method if method.starts_with("file/") => {
                let bytes = method.strip_prefix("file/files/").and_then(|id| bot.files.get(id));
                return bytes.map_or(Outcome::Error(404, "Not Found", Value::Null), |bytes| Outcome::Raw(200, bytes.clone()));
            }
            "getuserprofilephotos" => {
                let picture = call.value("user_id").as_i64().and_then(|user| bot.pictures.get(&user));
                let sizes = picture.map(|id| json!([{ "file_id": id, "file_unique_id": format!("u-{id}"), "width": 64, "height": 64 }]));
                json!({ "total_count": sizes.iter().len(), "photos": sizes.into_iter().collect::<Vec<_>>() })
            }
            "sendmediagroup" => {
                (0..).zip(call.value("media").as_array().into_iter().flatten()).map(|(number, _)| message(number)).collect()
            }
            "sendmessage" if call.text("text").trim().is_empty() => return refused("Bad Request: message text is empty"),
            "sendchataction" => json!(true),
            method if method.starts_with("send") || method.starts_with("edit") => message(0),
            _ => json!(true),
        })
    }
}

/// A request, and what is wrong with it.
fn read(request: &Received, token: &str, method: &str, is_file: bool) -> (Call, Vec<String>) {
    let (mut parameters, mut files, mut names) = (Map::new(), Vec::new(), Vec::new());
    let form = request.form();
    let is_form = form.is_some();
    for part in form.unwrap_or_default() {
        match part.file_name {
            Some(file_name) => {
                names.push(part.name);
                files.push((file_name, part.bytes));
            }
            None => drop(parameters.insert(part.name, json!(String::from_utf8_lossy(&part.bytes)))),
        }
    }
    if !is_form {
        parameters = request.json.as_object().cloned().unwrap_or_default();
    }
    let complaints = if is_file { Vec::new() } else { contract::request(method, &parameters, is_form, &names) };
    let method = if is_file { method.to_owned() } else { method.to_lowercase() };
    (Call { token: token.into(), method, parameters, files, at: request.at }, complaints)
}

fn error(code: u16, description: &str, parameters: &Value) -> Reply {
    let mut body = json!({ "ok": false, "error_code": code, "description": description });
    if parameters.is_object() {
        body["parameters"] = parameters.clone();
    }
    Reply::json(&body).with_status(code)
}

/// A person, as Telegram tells of one.
pub fn person(id: i64) -> Value {
    json!({ "id": id, "is_bot": false, "first_name": "Ada", "last_name": format!("L{id}"), "username": format!("ada{id}"), "language_code": "en" })
}

fn private(id: i64) -> Value {
    json!({ "id": id, "type": "private", "first_name": "Ada", "last_name": format!("L{id}") })
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
