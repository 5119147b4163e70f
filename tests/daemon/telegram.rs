//! Telegram inboxes: the daemon between people and a stand-in of the Bot API that is held to Telegram's own description.
//!
//! | file | asks |
//! | --- | --- |
//! | `setup.rs` | how an inbox begins and ends |
//! | `receiving.rs` | what becomes of what people write |
//! | `changes.rs` | what becomes of it when they change their mind |
//! | `sending.rs` | what people get |
//! | `faults.rs` | whether everything is there once, whatever breaks |

mod changes;
mod faults;
mod receiving;
mod sending;
mod setup;

use crate::fakes::telegram::{Push, TOKEN, Telegram};
use crate::harness::{Builder, Daemon};
use crate::messengers::{Desk, ago};
use reqwest::Method;
use serde_json::{Value, json};
use std::ops::Deref;

/// Somebody; too large a number for 32 bits.
const ADA: i64 = 8_123_456_789;
/// Somebody else.
const BOB: i64 = 8_123_456_790;
/// Under which address Telegram is told to push: it takes https only.
const PUBLIC_URL: &str = "https://desk.example";

/// A desk with one bot.
struct Chat {
    desk: Desk,
    telegram: Telegram,
}

impl Deref for Chat {
    type Target = Desk;

    fn deref(&self) -> &Desk {
        &self.desk
    }
}

impl Chat {
    /// One that asks for its updates, since its public address is not https.
    async fn polled() -> Self {
        Self::with(Telegram::start().await, Daemon::builder(), json!({})).await
    }

    /// One that has its updates pushed.
    async fn pushed() -> Self {
        Self::with(Telegram::start().await, Daemon::builder().env("KONVERSIO__SERVER__PUBLIC_URL", PUBLIC_URL), json!({})).await
    }

    async fn with(telegram: Telegram, daemon: Builder, fields: Value) -> Self {
        let mut channel = json!({ "type": "telegram", "bot_token": TOKEN });
        channel.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let desk = Desk::open(daemon.settings(&settings(&telegram)), channel).await;
        desk.is_in_state("connected").await;
        Chat { desk, telegram }
    }

    /// Tells of something, and returns what the webhook answered; nothing where the daemon has to ask for it.
    async fn tell(&self, update: &Value) -> Option<(u16, Value)> {
        match self.telegram.tell(TOKEN, update) {
            Some(push) => Some(self.push(&push).await),
            None => None,
        }
    }

    async fn push(&self, push: &Push) -> (u16, Value) {
        let path = push.url.strip_prefix(PUBLIC_URL).expect("the address that was registered");
        let request = self.daemon.visitor().request(Method::POST, path).header("content-type", "application/json");
        let request = request.header("x-telegram-bot-api-secret-token", &push.secret).body(push.body.clone());
        let answer = self.client.answer(request).await;
        (answer.status, answer.body)
    }

    /// Somebody writes; returns what the desk knows the message by.
    async fn says(&self, chat: i64, own: Value) -> String {
        self.says_at(chat, ago(60), own).await
    }

    async fn says_at(&self, chat: i64, date: i64, own: Value) -> String {
        let message = self.telegram.message(TOKEN, chat, date, own);
        let id = format!("{chat}:{}", message["message_id"]);
        if let Some((status, body)) = self.tell(&self.telegram.update(TOKEN, "message", message)).await {
            assert_eq!(status, 200, "{body}");
        }
        id
    }

    /// Somebody begins a conversation with a text; returns its number.
    async fn begins(&self, chat: i64, text: &str) -> i64 {
        let id = self.says(chat, json!({ "text": text })).await;
        self.conversation_with(&id).await
    }

    /// The conversation with a message of a contact.
    async fn conversation_with(&self, source_id: &str) -> i64 {
        crate::harness::eventually(crate::messengers::LATER, async || {
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

/// The settings file of a daemon whose Telegram is the stand-in.
fn settings(telegram: &Telegram) -> String {
    format!("[providers]\ntelegram_url = \"{}\"\n", telegram.url)
}

/// The number of a message at Telegram.
fn number(source_id: &str) -> i64 {
    source_id.rsplit(':').next().unwrap().parse().unwrap()
}
