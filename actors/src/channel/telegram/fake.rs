//! A Bot API of our own, and an intake that keeps what it is given: for the tests that speak with a server. Every request is held
//! to the published description, and every answer that is meant to be one.
use super::{Settings, TelegramChannel, contract};
use crate::channel::{ChannelError, Intake, Providers, SessionStatus, Tools};
use crate::files::Files;
use crate::message::Update;
use crate::secret::{Secret, Vault};
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

pub const TOKEN: &str = "7000000001:AAFakeFakeFake";

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Call {
    /// In lower case; `file/…` for a file.
    pub method: String,
    pub parameters: Map<String, Value>,
    /// Name and bytes of each file, in order.
    pub files: Vec<(String, Vec<u8>)>,
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
}

/// What is answered.
pub enum Reply {
    Result(Value),
    Error(u16, &'static str, Value),
    Raw(u16, Vec<u8>),
    Hang,
}

/// The server.
pub struct Fake {
    pub url: String,
    calls: Mutex<Vec<Call>>,
    changed: Notify,
}

impl Fake {
    /// Answers calls with what a function says to them; none is the usual answer.
    pub async fn start(answer: impl Fn(&Call) -> Option<Reply> + Send + Sync + 'static) -> Arc<Fake> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let fake = Arc::new(Fake { url, calls: Mutex::default(), changed: Notify::new() });
        let (serving, answer) = (fake.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (fake, answer) = (serving.clone(), answer.clone());
                tokio::spawn(async move { fake.serve(stream, &*answer).await });
            }
        });
        fake
    }

    /// The calls of a method, in order.
    pub fn calls(&self, method: &str) -> Vec<Call> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|call| call.method.eq_ignore_ascii_case(method)).cloned().collect()
    }

    /// The methods that were called, in order.
    pub fn methods(&self) -> Vec<String> {
        self.calls.lock().unwrap().iter().map(|call| call.method.clone()).collect()
    }

    pub async fn wait_for(&self, what: &str, condition: impl Fn(&Fake) -> bool) {
        wait_for(&self.changed, what, || condition(self)).await;
    }

    /// A channel whose provider is this one.
    pub fn channel(&self, settings: Settings, public_url: &str) -> TelegramChannel {
        let files = Files::new(Arc::new(object_store::memory::InMemory::new()), Vault::new(&[1; 32]), public_url);
        let providers = Providers { telegram_url: self.url.clone(), ..Providers::default() };
        TelegramChannel::new(settings, &Tools { public_url: public_url.into(), relay: None, files, providers })
    }

    async fn serve(&self, mut stream: TcpStream, answer: &(impl Fn(&Call) -> Option<Reply> + ?Sized)) {
        let Some((head, body)) = read(&mut stream).await else { return };
        let path = head.split(' ').nth(1).unwrap();
        let Some(method) = path.strip_prefix(&format!("/bot{TOKEN}/")) else {
            let file = path.strip_prefix(&format!("/file/bot{TOKEN}/"));
            let call = Call { method: format!("file/{}", file.unwrap_or(path)), parameters: Map::new(), files: vec![] };
            self.note(call.clone());
            if let Some(Reply::Raw(status, body)) = answer(&call).filter(|_| file.is_some()) {
                return write(&mut stream, status, &body).await;
            }
            return write(&mut stream, 404, br#"{"ok":false,"error_code":404,"description":"Not Found"}"#).await;
        };
        let boundary = head.lines().find_map(|line| line.split_once("boundary=").map(|(_, boundary)| boundary.to_owned()));
        let (parameters, files) = match &boundary {
            Some(boundary) => form(&body, boundary.trim()),
            None => (serde_json::from_slice(&body).unwrap_or_default(), vec![]),
        };
        let names: Vec<String> = files.iter().map(|(name, _, _)| name.clone()).collect();
        let complaints = contract::request(method, &parameters, boundary.is_some(), &names);
        let call = Call {
            method: method.to_lowercase(),
            parameters,
            files: files.into_iter().map(|(_, file_name, bytes)| (file_name, bytes)).collect(),
        };
        let reply = answer(&call).unwrap_or_else(|| self.usual(&call));
        self.note(call);
        if !complaints.is_empty() {
            // Nothing is answered to a request that Telegram does not know: the test fails with the reason in its output.
            panic!("{complaints:#?}");
        }
        match reply {
            Reply::Result(result) => {
                contract::answer(method, &result);
                write(&mut stream, 200, json!({ "ok": true, "result": result }).to_string().as_bytes()).await;
            }
            Reply::Error(code, description, parameters) => {
                let mut body = json!({ "ok": false, "error_code": code, "description": description });
                if parameters.is_object() {
                    body["parameters"] = parameters;
                }
                write(&mut stream, code, body.to_string().as_bytes()).await;
            }
            Reply::Raw(status, body) => write(&mut stream, status, &body).await,
            Reply::Hang => std::future::pending().await,
        }
    }

    fn note(&self, call: Call) {
        self.calls.lock().unwrap().push(call);
        self.changed.notify_waiters();
    }

    /// What Telegram answers when all is well: messages are counted from 1001.
    fn usual(&self, call: &Call) -> Reply {
        let sent = self.calls.lock().unwrap().iter().filter(|call| call.method.starts_with("send")).count();
        let message = |offset: usize| {
            let chat = call.value("chat_id");
            json!({ "message_id": 1001 + sent + offset, "date": 1_700_000_000, "chat": { "id": chat, "type": "private" }, "text": "…" })
        };
        let user = json!({ "id": 7000000001_i64, "is_bot": true, "first_name": "Shop", "username": "shop_bot" });
        Reply::Result(match call.method.as_str() {
            "getme" => user,
            "getupdates" => json!([]),
            "getwebhookinfo" => json!({ "url": "", "has_custom_certificate": false, "pending_update_count": 0 }),
            "sendmediagroup" => (0..call.value("media").as_array().unwrap().len()).map(message).collect(),
            "sendchataction" => json!(true),
            method if method.starts_with("send") => message(0),
            method if method.starts_with("edit") => message(0),
            _ => json!(true),
        })
    }
}

/// Head and body of a request.
async fn read(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        let end = find(&bytes, b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:").map(|size| size.trim().parse::<usize>()));
            let length = length.map_or(0, Result::unwrap);
            if bytes.len() >= end + 4 + length {
                return Some((head, bytes[end + 4..end + 4 + length].to_vec()));
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

async fn write(stream: &mut TcpStream, status: u16, body: &[u8]) {
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(&[head.as_bytes(), body].concat()).await;
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Name, file name, bytes.
type Uploaded = (String, String, Vec<u8>);

/// The texts of a form, and its files.
fn form(body: &[u8], boundary: &str) -> (Map<String, Value>, Vec<Uploaded>) {
    let (mut parameters, mut files, mut rest) = (Map::new(), Vec::new(), body);
    let (opens, closes) = (format!("--{boundary}\r\n"), format!("\r\n--{boundary}"));
    while let Some(start) = find(rest, opens.as_bytes()) {
        rest = &rest[start + opens.len()..];
        let (head, end) = (find(rest, b"\r\n\r\n").unwrap(), find(rest, closes.as_bytes()).unwrap());
        let (head, content) = (String::from_utf8_lossy(&rest[..head]).into_owned(), rest[head + 4..end].to_vec());
        let word = |name: &str| head.split_once(&format!("{name}=\"")).map(|(_, word)| word.split('"').next().unwrap().to_owned());
        match word("; filename") {
            Some(file_name) => files.push((word("; name").unwrap(), file_name, content)),
            None => drop(parameters.insert(word("; name").unwrap(), json!(String::from_utf8(content).unwrap()))),
        }
        rest = &rest[end + 2..];
    }
    (parameters, files)
}

/// Settings of the bot that the server knows.
pub fn settings() -> Settings {
    Settings { bot_token: Secret::new(TOKEN), ..Settings::default() }
}

/// Keeps everything it is given.
#[derive(Default)]
pub struct Desk {
    pub delivered: Mutex<Vec<Update>>,
    pub cursor: Mutex<Option<Value>>,
    pub connected: AtomicBool,
    pub refuses: AtomicBool,
    changed: Notify,
}

impl Desk {
    pub async fn wait_for(&self, what: &str, condition: impl Fn(&Desk) -> bool) {
        wait_for(&self.changed, what, || condition(self)).await;
    }

    /// What the messages said, in order.
    pub fn said(&self) -> Vec<String> {
        let delivered = self.delivered.lock().unwrap();
        let said = |update: &Update| match update {
            Update::Message(inbound) => inbound.content.clone().unwrap_or_default(),
            Update::Unreadable { provider_key, .. } => provider_key.clone(),
            other => format!("{other:?}"),
        };
        delivered.iter().map(said).collect()
    }

    pub fn offset(&self) -> Option<i64> {
        self.cursor.lock().unwrap().as_ref().and_then(|cursor| cursor["offset"].as_i64())
    }
}

#[async_trait]
impl Intake for Desk {
    async fn deliver(&self, update: Update) -> Result<(), ChannelError> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(ChannelError::temporary("the database is away"));
        }
        self.delivered.lock().unwrap().push(update);
        self.changed.notify_waiters();
        Ok(())
    }

    async fn park(&self, provider_key: &str, _: &str, _: Bytes) -> Result<(), ChannelError> {
        panic!("told as an update instead: {provider_key}");
    }

    async fn cursor(&self) -> Result<Option<Value>, ChannelError> {
        Ok(self.cursor.lock().unwrap().clone())
    }

    async fn save_cursor(&self, cursor: Value) -> Result<(), ChannelError> {
        *self.cursor.lock().unwrap() = Some(cursor);
        self.changed.notify_waiters();
        Ok(())
    }

    fn status(&self, _: SessionStatus) {
        self.connected.store(true, Ordering::SeqCst);
        self.changed.notify_waiters();
    }
}

async fn wait_for(changed: &Notify, what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        loop {
            let changed = changed.notified();
            if condition() {
                return;
            }
            changed.await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), waiting).await.is_ok(), "still waiting for {what}");
}
