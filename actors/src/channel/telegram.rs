//! The Telegram channel: a bot that customers write to in private chats.
//!
//! | file | does |
//! | --- | --- |
//! | `receive.rs` | one session: has the updates pushed to our webhook, or polls for them |
//! | `update.rs`, `content.rs`, `entities.rs` | an update of the Bot API to an [`Update`](crate::message::Update) |
//! | `compose.rs`, `markup.rs` | [`Outbound`] to the parts that Telegram takes, Markdown to its HTML |
//! | `api.rs`, `failure.rs` | calls of the Bot API, and what their errors mean |
//!
//! Calls are made with the library's `Bot` and its types. Answers and updates are read from JSON by ourselves: a field that the
//! library does not know yet, or knows otherwise, must neither lose a customer's message nor send an agent's twice.
//!
//! The provider's id of a message is `chat:message`, since Telegram counts messages by chat; one that went in several parts is
//! `chat:message,message,…`. Telegram tells of no delivery and no reading: a message that was sent stays `sent`.
mod api;
mod compose;
mod content;
mod entities;
mod failure;
mod markup;
mod receive;
mod update;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod live_tests;

use super::request::{Answer, Webhook, WebhookRequest, same_secret};
use super::{Channel, ChannelError, Inlet, Media, Presence, Registration, Revisions, Tools};
use crate::message::{Capabilities, FirstContact, Outbound, ProviderId, RemoteFile};
use crate::secret::{self, Secret};
use api::Api;
use async_trait::async_trait;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::Sha256;

/// Names of the contract (section 2, Inboxes).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// What BotFather gave: the bot's id, a colon, a secret.
    pub bot_token: Secret,
    /// The bot's user name; told by Telegram.
    pub bot_name: String,
    /// How updates come.
    pub mode: Mode,
}

/// How updates come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Pushed where the daemon's public address is https, otherwise polled.
    #[default]
    Auto,
    /// Telegram pushes them to the daemon's public address.
    Webhook,
    /// The daemon asks for them; needs no public address.
    Polling,
}

impl Settings {
    /// # Errors
    /// Names the field that is wrong.
    pub fn validate(&self) -> Result<(), String> {
        let is_token = |token: &str| {
            let is_secret = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
            let parts = token.split_once(':').filter(|(id, secret)| !id.is_empty() && !secret.is_empty() && token.len() <= 200);
            parts.is_some_and(|(id, secret)| id.chars().all(|letter| letter.is_ascii_digit()) && secret.chars().all(is_secret))
        };
        if is_token(self.bot_token.expose()) {
            return Ok(());
        }
        Err("bot_token must be the token that BotFather gave, such as 7123456789:AAF…".into())
    }

    /// What no two inboxes may share: each bot has one reader of its updates. The bot's id, which stays when its token changes.
    pub fn unique_key(&self) -> String {
        let token = self.bot_token.expose();
        format!("telegram:{}", token.split_once(':').map_or(token, |(id, _)| id))
    }

    /// What Telegram sends along with each update: derived from the token, so that nothing more is to be kept.
    fn webhook_secret(&self) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(self.bot_token.expose().as_bytes());
        let mac = mac.map(|mac| mac.chain_update(b"konversio telegram webhook"));
        // An HMAC takes keys of any length.
        mac.map(|mac| hex::encode(mac.finalize().into_bytes())).unwrap_or_default()
    }
}

/// Sealed at rest, blanked on the wire.
pub const SECRET_FIELDS: &[&str] = &["bot_token"];

/// What the Telegram channel can do.
pub fn capabilities() -> Capabilities {
    Capabilities {
        attachment_limit: 50 << 20,
        parallel_sends: 8,
        first_contact: FirstContact::Never,
        edits: true,
        deletions: true,
        ..Capabilities::PLAIN
    }
}

/// The Telegram channel.
pub struct TelegramChannel {
    settings: Settings,
    public_url: String,
    api: Api,
}

impl TelegramChannel {
    /// From its settings.
    pub fn new(settings: Settings, tools: &Tools) -> Self {
        let api = Api::new(&settings.bot_token, &tools.providers.telegram_url);
        TelegramChannel { settings, public_url: tools.public_url.clone(), api }
    }

    fn is_pushed(&self) -> bool {
        match self.settings.mode {
            Mode::Auto => self.public_url.starts_with("https://"),
            Mode::Webhook => true,
            Mode::Polling => false,
        }
    }

    fn webhook_url(&self) -> String {
        format!("{}/webhooks/telegram/{}", self.public_url, self.settings.bot_token.expose())
    }
}

#[async_trait]
impl Channel for TelegramChannel {
    async fn run(&self, inlet: &Inlet) -> Result<(), ChannelError> {
        if self.is_pushed() { receive::be_pushed(self, inlet).await } else { receive::poll(self, inlet).await }
    }

    async fn send(&self, message: &Outbound) -> Result<ProviderId, ChannelError> {
        let chat = chat(&message.source_id)?;
        let parts = compose::parts(message).map_err(ChannelError::Rejected)?;
        let quotes = message.quotes.as_deref().and_then(|id| message_ids(id).first().copied());
        for (position, part) in parts.iter().enumerate().skip(message.sent.count()) {
            let ids = self.api.send(chat, part, quotes.filter(|_| position == 0)).await?;
            message.sent.add(ids.into_iter().map(|id| provider_id(chat, id)).collect());
        }
        let ids: Vec<String> = message.sent.all().into_iter().flatten().map(|id| id.replace(&format!("{chat}:"), "")).collect();
        Ok(ProviderId(format!("{chat}:{}", ids.join(","))))
    }

    fn capabilities(&self) -> Capabilities {
        capabilities()
    }

    /// Telegram repeats what was not answered with 200 and holds back what came after it: everything but a wrong secret is 200.
    /// The answer may carry one call to make: so the button that the contact pressed stops waiting without a request of ours.
    fn webhook(&self, request: &WebhookRequest) -> Result<Webhook, ChannelError> {
        let claimed = request.header("x-telegram-bot-api-secret-token").unwrap_or_default();
        if !same_secret(claimed, &self.settings.webhook_secret()) {
            return Err(ChannelError::Rejected("the secret token of the request is missing or wrong".into()));
        }
        let read: Result<Value, _> = serde_json::from_slice(&request.body);
        let update = match &read {
            Ok(update) => update,
            Err(error) => {
                let key = secret::hash(&String::from_utf8_lossy(&request.body));
                let unreadable = update::unreadable(key, format!("not JSON: {error}"), request.body.clone());
                return Ok(Webhook { updates: vec![unreadable], answer: Answer::default() });
            }
        };
        let answer = update::pressed(update).map_or_else(Answer::default, |id| Answer {
            body: json!({ "method": "answerCallbackQuery", "callback_query_id": id }).to_string(),
            ..Answer::default()
        });
        Ok(Webhook { updates: update::read(update), answer })
    }

    fn media(&self) -> Option<&dyn Media> {
        Some(self)
    }
    fn presence(&self) -> Option<&dyn Presence> {
        Some(self)
    }
    fn revisions(&self) -> Option<&dyn Revisions> {
        Some(self)
    }
    fn registration(&self) -> Option<&dyn Registration> {
        Some(self)
    }
}

#[async_trait]
impl Media for TelegramChannel {
    async fn fetch(&self, file: &RemoteFile, limit: u64) -> Result<bytes::Bytes, ChannelError> {
        let id = file.reference.get("file_id").and_then(Value::as_str);
        let id = id.ok_or_else(|| ChannelError::Rejected("the file has no file_id".into()))?;
        self.api.file(id, limit).await
    }

    async fn picture(&self, source_id: &str) -> Result<Option<bytes::Bytes>, ChannelError> {
        let Some(id) = self.api.picture(chat(source_id)?).await? else { return Ok(None) };
        self.api.file(&id, 10 << 20).await.map(Some)
    }
}

#[async_trait]
impl Presence for TelegramChannel {
    async fn typing(&self, source_id: &str, _: Option<&str>) -> Result<(), ChannelError> {
        self.api.typing(chat(source_id)?).await
    }

    async fn read(&self, _: &str, _: &str) -> Result<(), ChannelError> {
        // A bot cannot tell that it has read.
        Ok(())
    }
}

#[async_trait]
impl Revisions for TelegramChannel {
    async fn edit(&self, source_id: &str, provider_id: &str, content: &str) -> Result<(), ChannelError> {
        let rejected = |reason: &str| ChannelError::Rejected(reason.to_owned());
        let id = match message_ids(provider_id)[..] {
            [id] => id,
            [] => return Err(unknown()),
            _ => return Err(rejected("a message that went in several parts cannot be changed at Telegram: delete it and write it again")),
        };
        let text = compose::one_text(content).map_err(ChannelError::Rejected)?;
        self.api.edit(chat(source_id)?, id, &text).await
    }

    async fn delete(&self, source_id: &str, provider_id: &str) -> Result<(), ChannelError> {
        let (chat, ids) = (chat(source_id)?, message_ids(provider_id));
        if ids.is_empty() {
            return Err(unknown());
        }
        for id in ids {
            self.api.delete(chat, id).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Registration for TelegramChannel {
    async fn check(&self) -> Result<Map<String, Value>, ChannelError> {
        let bot = self.api.me().await?;
        let name = bot.get("username").and_then(Value::as_str).unwrap_or_default();
        Ok(Map::from_iter([("bot_name".into(), json!(name))]))
    }

    async fn unregister(&self) -> Result<(), ChannelError> {
        match self.api.delete_webhook().await {
            // The token was revoked: there is nothing left to take back.
            Err(ChannelError::NeedsAttention(_)) => Ok(()),
            other => other,
        }
    }
}

/// The chat of a contact: in private chats its id is that of the person.
fn chat(source_id: &str) -> Result<i64, ChannelError> {
    source_id.parse().map_err(|_| ChannelError::Rejected(format!("{source_id:?} is no chat of Telegram: a number is expected")))
}

/// What messages are known by here: Telegram counts them by chat.
fn provider_id(chat: i64, message: i64) -> String {
    format!("{chat}:{message}")
}

/// Telegram's ids of the parts of a message; empty when it has none of Telegram's.
fn message_ids(provider_id: &str) -> Vec<i32> {
    // The press of a button is known by a word and a number that is none of a message.
    let ids = provider_id.split_once(':').filter(|(chat, _)| chat.parse::<i64>().is_ok()).map_or("", |(_, ids)| ids);
    ids.split(',').map(str::parse).collect::<Result<_, _>>().unwrap_or_default()
}

fn unknown() -> ChannelError {
    ChannelError::Rejected("Telegram does not have this message: it was not sent, or not by this bot".into())
}

#[cfg(test)]
mod tests;
