//! What the tests of messengers have in common: a daemon with one inbox of a messenger, and what agents see of it.

use crate::app::administrator;
use crate::desk;
use crate::harness::{Answer, Builder, Cable, Client, Daemon, SOON, eventually};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::{SystemTime, UNIX_EPOCH};

/// How long something may take that needs a second try or a second connection.
pub const LATER: std::time::Duration = SOON.saturating_mul(4);

/// A daemon with one inbox.
pub struct Desk {
    pub daemon: Daemon,
    pub client: Client,
    pub inbox: i64,
}

impl Desk {
    /// Starts the daemon and makes the inbox.
    pub async fn open(daemon: Builder, channel: Value) -> Self {
        let daemon = daemon.start().await;
        let mut desk = Desk { client: daemon.client(), daemon, inbox: 0 };
        desk.inbox = desk.create(channel).await.expect(200).id("/id");
        desk
    }

    /// Another inbox.
    pub async fn create(&self, channel: Value) -> Answer {
        self.client.post(self.client.a("/inboxes"), json!({ "name": "Messenger", "channel": channel })).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.client.get(self.client.a(path)).await.expect(200)
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.client.post(self.client.a(path), body).await
    }

    pub async fn change_channel(&self, fields: Value) -> Answer {
        self.client.patch(self.client.a(&format!("/inboxes/{}", self.inbox)), json!({ "channel": fields })).await
    }

    /// Waits until the inbox is in a state, and returns its health.
    pub async fn is_in_state(&self, state: &str) -> Value {
        eventually(LATER, async || Some(desk::health(&self.client, self.inbox).await).filter(|health| health["state"] == state)).await
    }

    /// All conversations, in the order in which they began.
    pub async fn conversations(&self) -> Vec<Value> {
        let answer = self.get("/conversations?status=all&sort_by=created_at_asc").await;
        let mut all = answer.at("/data/payload").as_array().unwrap().clone();
        all.sort_by_key(|conversation| conversation["id"].as_i64());
        all
    }

    pub async fn conversation(&self, id: i64) -> Value {
        self.get(&format!("/conversations/{id}")).await.body
    }

    /// The newest messages of a conversation, oldest first; without what the desk notes itself.
    pub async fn messages(&self, conversation: i64) -> Vec<Value> {
        let answer = self.client.get(self.client.a(&format!("/conversations/{conversation}/messages"))).await;
        let listed = answer.body["payload"].as_array().cloned().unwrap_or_default();
        listed.into_iter().filter(|message| message["message_type"] != 2).collect()
    }

    /// What was said, oldest first.
    pub async fn texts(&self, conversation: i64) -> Vec<String> {
        self.messages(conversation).await.iter().map(|message| message["content"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Waits until a conversation has so many messages, and returns them.
    #[track_caller]
    pub fn wait_for_messages(&self, conversation: i64, count: usize) -> impl Future<Output = Vec<Value>> {
        eventually(LATER, async move || Some(self.messages(conversation).await).filter(|messages| messages.len() >= count))
    }

    /// Waits for a message that fits.
    #[track_caller]
    pub fn message(&self, conversation: i64, fits: impl Fn(&Value) -> bool) -> impl Future<Output = Value> {
        eventually(LATER, async move || self.messages(conversation).await.into_iter().find(|message| fits(message)))
    }

    /// Waits for the message that the provider calls so to fit.
    #[track_caller]
    pub fn known_as(&self, conversation: i64, source_id: &str, fits: impl Fn(&Value) -> bool) -> impl Future<Output = Value> {
        self.message(conversation, move |message| message["source_id"] == source_id && fits(message))
    }

    /// Waits until a message is in a state, and returns it. One that waits is shown as sent, too: it has no id of the provider yet.
    #[track_caller]
    pub fn in_status(&self, conversation: i64, id: i64, status: &str) -> impl Future<Output = Value> {
        self.message(conversation, move |message| {
            message["id"] == id && message["status"] == status && (status != "sent" || message["source_id"].is_string())
        })
    }

    /// An agent's message; returns its id.
    pub async fn reply(&self, conversation: i64, content: &str) -> i64 {
        self.reply_with(conversation, json!({ "content": content })).await.expect(200).id("/id")
    }

    pub async fn reply_with(&self, conversation: i64, fields: Value) -> Answer {
        self.post(&format!("/conversations/{conversation}/messages"), fields).await
    }

    /// An agent's message with files: name, type and bytes of each.
    pub async fn reply_with_files(&self, conversation: i64, content: &str, files: &[(&str, &str, &[u8])]) -> i64 {
        let mut form = Form::new().text("content", content.to_owned());
        for (name, content_type, bytes) in files {
            let part = Part::bytes(bytes.to_vec()).file_name((*name).to_owned()).mime_str(content_type).unwrap();
            form = form.part("attachments[]", part);
        }
        let path = self.client.a(&format!("/conversations/{conversation}/messages"));
        self.client.post_form(path, form).await.expect(200).id("/id")
    }

    /// A stored file by its address: its content type and its bytes.
    pub async fn fetch(&self, address: &Value) -> (String, Vec<u8>) {
        // Addresses begin with the public one, which nobody answers under here.
        let address = address.as_str().unwrap();
        let path = &address[address.find("/files/").unwrap()..];
        let answer = self.daemon.visitor().request(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{address}");
        let content_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
        (content_type, answer.bytes().await.unwrap().to_vec())
    }

    /// What the administrator hears from now on.
    pub async fn listen(&self) -> Cable {
        let (administrator, mut cable) = (administrator(&self.daemon).await, self.daemon.cable().await);
        cable.subscribe_agent(&administrator.pubsub_token, 1, administrator.id).await;
        cable
    }

    /// How many conversations, messages and contacts there are.
    pub async fn counts(&self) -> (usize, usize, usize) {
        let conversations = self.conversations().await;
        let mut messages = 0;
        for conversation in &conversations {
            messages += self.messages(conversation["id"].as_i64().unwrap()).await.len();
        }
        // The list of contacts leaves out whoever has neither an address nor a number.
        let contacts: HashSet<i64> = conversations.iter().map(|shown| shown["meta"]["sender"]["id"].as_i64().unwrap()).collect();
        (conversations.len(), messages, contacts.len())
    }
}

/// So many seconds ago, as providers tell the time.
pub fn ago(seconds: u64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    i64::try_from(now - seconds).unwrap()
}

/// Everything so many times, in any order.
pub fn shuffled<T: Clone>(of: &[T], times: usize) -> Vec<T> {
    let mut all: Vec<T> = std::iter::repeat_n(of, times).flatten().cloned().collect();
    for index in (1..all.len()).rev() {
        all.swap(index, rand::random_range(0..=index));
    }
    all
}

/// A small picture.
pub const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89";
