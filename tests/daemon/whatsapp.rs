//! WhatsApp inboxes: the daemon between people and a stand-in of Meta's Graph API, which posts signed webhooks.
//!
//! | file | asks |
//! | --- | --- |
//! | `setup.rs` | how an inbox begins and ends |
//! | `receiving.rs` | what becomes of what people write |
//! | `files.rs` | how files come and go |
//! | `changes.rs` | what becomes of a message afterwards: receipts, edits, reactions |
//! | `sending.rs` | what people get, and when they may be written to |
//! | `persons.rs` | who is who, under several addresses |
//! | `faults.rs` | whether everything is there once, whatever breaks |

mod changes;
mod faults;
mod files;
mod persons;
mod receiving;
mod sending;
mod setup;

use crate::fakes::graph::{ACCOUNT_ID, APP_SECRET, Graph, NUMBER, PHONE_NUMBER_ID, TOKEN};
use crate::harness::{Answer, Builder, Daemon, eventually};
use crate::messengers::{Desk, LATER, ago};
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::ops::Deref;

/// Somebody, as Meta tells of one: by number, by Meta's own id, or by both.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    pub name: &'static str,
    pub phone: Option<&'static str>,
    pub user_id: Option<&'static str>,
}

impl Person {
    /// What is known of the person, under these names.
    fn named(self, phone: &str, user_id: &str) -> Map<String, Value> {
        let known = [(phone, self.phone), (user_id, self.user_id)];
        known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))).collect()
    }

    fn contact(self) -> Value {
        let mut contact = self.named("wa_id", "user_id");
        contact.insert("profile".into(), json!({ "name": self.name }));
        Value::Object(contact)
    }
}

/// Somebody.
pub const ADA: Person = Person { name: "Ada", phone: Some("4930111111"), user_id: None };
/// Somebody else.
pub const BOB: Person = Person { name: "Bob", phone: Some("4930222222"), user_id: None };

/// A desk with one number.
pub struct Line {
    desk: Desk,
    pub graph: Graph,
}

impl Deref for Line {
    type Target = Desk;

    fn deref(&self) -> &Desk {
        &self.desk
    }
}

impl Line {
    pub async fn open() -> Self {
        Self::with(Graph::start().await, Daemon::builder()).await
    }

    pub async fn with(graph: Graph, daemon: Builder) -> Self {
        let desk = Desk::open(daemon.settings(&settings(&graph)), channel()).await;
        desk.is_in_state("connected").await;
        Line { desk, graph }
    }

    /// Meta posts this.
    pub async fn post_webhook(&self, webhook: &Value) -> Answer {
        let body = Graph::body(webhook);
        let signature = Graph::signature(APP_SECRET, &body);
        self.post_signed(body, &signature).await
    }

    pub async fn post_signed(&self, body: Vec<u8>, signature: &str) -> Answer {
        let request = self.daemon.visitor().request(Method::POST, &format!("/webhooks/whatsapp/+{NUMBER}"));
        let request = request.header("content-type", "application/json").header("x-hub-signature-256", signature).body(body);
        self.client.answer(request).await
    }

    /// The same, which has to be taken.
    pub async fn tell(&self, webhook: &Value) {
        self.post_webhook(webhook).await.expect(200);
    }

    /// Somebody writes.
    pub async fn says(&self, person: Person, id: &str, kind: &str, own: Value) {
        self.tell(&message(person, id, ago(60), kind, own)).await;
    }

    /// Somebody writes a text; returns the number of the conversation.
    pub async fn begins(&self, person: Person, id: &str, text: &str) -> i64 {
        self.says(person, id, "text", json!({ "body": text })).await;
        self.conversation_with(id).await
    }

    /// The conversation that a message is in.
    pub async fn conversation_with(&self, source_id: &str) -> i64 {
        eventually(LATER, async || {
            for conversation in self.conversations().await {
                let id = conversation["id"].as_i64().unwrap();
                if self.messages(id).await.iter().any(|message| message["source_id"] == source_id) {
                    return Some(id);
                }
            }
            None
        })
        .await
    }
}

/// The settings file of a daemon whose Meta is the stand-in.
pub fn settings(graph: &Graph) -> String {
    format!("[providers]\nmeta_url = \"{}\"\nmeta_version = \"v23.0\"\n", graph.url())
}

/// The number of the stand-in, as an administrator enters it.
pub fn channel() -> Value {
    json!({
        "type": "whatsapp", "phone_number": format!("+{NUMBER}"), "provider": "whatsapp_cloud",
        "provider_config": {
            "api_key": TOKEN, "phone_number_id": PHONE_NUMBER_ID, "business_account_id": ACCOUNT_ID, "app_secret": APP_SECRET,
            "webhook_verify_token": "verify-me",
        },
    })
}

/// The webhook of a message, `own` being what is named after its kind.
pub fn message(person: Person, id: &str, at: i64, kind: &str, own: Value) -> Value {
    with_fields(person, id, at, json!({ "type": kind, (kind): own }))
}

/// The webhook of a message with these fields besides the usual ones.
pub fn with_fields(person: Person, id: &str, at: i64, fields: Value) -> Value {
    let mut message = Map::from_iter([("id".to_owned(), json!(id)), ("timestamp".to_owned(), json!(at.to_string()))]);
    message.extend(person.named("from", "from_user_id"));
    message.extend(fields.as_object().unwrap().clone());
    Graph::change("messages", json!({ "contacts": [person.contact()], "messages": [message] }))
}

/// The webhook of what the business wrote with its own telephone.
pub fn echo(person: Person, id: &str, at: i64, text: &str) -> Value {
    let mut echo = person.named("to", "to_user_id");
    let own = json!({ "from": NUMBER, "id": id, "timestamp": at.to_string(), "type": "text", "text": { "body": text } });
    echo.extend(own.as_object().unwrap().clone());
    Graph::change("smb_message_echoes", json!({ "contacts": [person.contact()], "message_echoes": [echo] }))
}

/// The webhook of a person's new number, which names no contacts.
pub fn moved(person: Person, id: &str, at: i64, to: &str) -> Value {
    let mut message = person.named("from", "from_user_id");
    let words = format!("User {} changed from {} to {to}", person.name, person.phone.unwrap_or_default());
    let system = json!({ "body": words, "wa_id": to, "type": "user_changed_number" });
    let own = json!({ "id": id, "timestamp": at.to_string(), "type": "system", "system": system });
    message.extend(own.as_object().unwrap().clone());
    Graph::change("messages", json!({ "messages": [message] }))
}

/// The webhook of a message's progress, as Meta tells it of what it took.
pub fn status(person: Person, sent: &Value, provider_id: &str, step: &str, at: i64) -> Value {
    progress(person, sent, provider_id, at, json!({ "status": step }))
}

/// The webhook of a message that came to nothing after it was taken.
pub fn failure(person: Person, sent: &Value, provider_id: &str, code: i64, details: &str) -> Value {
    let error = json!({ "code": code, "title": details, "message": details, "error_data": { "details": details } });
    progress(person, sent, provider_id, ago(5), json!({ "status": "failed", "errors": [error] }))
}

fn progress(person: Person, sent: &Value, provider_id: &str, at: i64, fields: Value) -> Value {
    let mut status = person.named("recipient_id", "recipient_user_id");
    let own = json!({
        "id": provider_id, "timestamp": at.to_string(), "biz_opaque_callback_data": sent["biz_opaque_callback_data"],
        "pricing": { "billable": true, "pricing_model": "PMP", "category": "service" },
    });
    status.extend(own.as_object().unwrap().clone());
    status.extend(fields.as_object().unwrap().clone());
    Graph::change("messages", json!({ "contacts": [person.contact()], "statuses": [status] }))
}
