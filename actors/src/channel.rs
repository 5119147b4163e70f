//! How one kind of connection speaks: the trait [`Channel`], its errors, its settings.
//!
//! A channel is plain async Rust that knows its provider and nothing else: no actix, no SQL, no retry loop. Its
//! `InboxActor` owns it and runs one *session* of it at a time; retries live in
//! `inbox.rs` (sessions) and `outbox.rs` (messages) only. What a channel decides is what an error means:
//!
//! | [`ChannelError`] | ended [`Channel::run`] | failed [`Channel::send`] |
//! | --- | --- | --- |
//! | `Temporary` | state `waiting`, a new session after a backoff | the message is tried again later; later ones of its conversation wait |
//! | `NeedsAttention` | state `needs_attention`, no retry until the settings change | the message stays queued, the session ends |
//! | `Rejected` | a bug: as temporary, logged as an error | the message fails, and the agent sees the reason |
pub mod api;
pub mod direct;
pub mod email;
pub mod request;
pub mod telegram;
pub mod web_widget;
pub mod whatsapp;

#[cfg(test)]
mod stand_ins;

use crate::files::Files;
use crate::message::{Capabilities, Outbound, ProviderId, RemoteFile, Update};
use crate::secret::Secret;
use async_trait::async_trait;
use request::{Webhook, WebhookRequest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;

/// One kind of connection, built from its settings.
#[async_trait]
pub trait Channel: Send + Sync + 'static {
    /// Runs one session and returns why it could not go on. Called by the session task, one at a time; may be dropped at any
    /// await. A polling channel fetches and delivers here; one that has nothing to connect reports `Connected` and waits.
    async fn run(&self, inlet: &Inlet) -> Result<(), ChannelError>;

    /// Sends one message and returns the provider's id of it. Called by the outbox of a running session: for one conversation
    /// at a time, for several conversations at once. Must not retry.
    async fn send(&self, message: &Outbound) -> Result<ProviderId, ChannelError>;

    /// What the dashboard may offer and a reply may contain. Does no I/O.
    fn capabilities(&self) -> Capabilities;

    /// Reads one webhook request: what happened, and what to answer once that is stored. Does no I/O. An error is answered to
    /// the provider: 401 for `Rejected` (a wrong signature), 503 for the others, so that it repeats.
    fn webhook(&self, _: &WebhookRequest) -> Result<Webhook, ChannelError> {
        Err(ChannelError::Rejected("this channel takes no webhooks".into()))
    }

    // Optional abilities, each a small trait of its own; `None` means that the channel has not got it.

    /// Fetches files that the provider keeps.
    fn media(&self) -> Option<&dyn Media> {
        None
    }
    /// Templates that the provider approves.
    fn templates(&self) -> Option<&dyn Templates> {
        None
    }
    /// Tells the contact that somebody types, or has read.
    fn presence(&self) -> Option<&dyn Presence> {
        None
    }
    /// Changes and takes back messages that were sent.
    fn revisions(&self) -> Option<&dyn Revisions> {
        None
    }
    /// Is known to the provider under an address of ours.
    fn registration(&self) -> Option<&dyn Registration> {
        None
    }
}

/// Fetches files that the provider keeps for us; called after the message is stored, again after a `Temporary` error.
#[async_trait]
pub trait Media: Send + Sync {
    /// The file, no larger than `limit` bytes. `Rejected` when it will never come (too large, gone): the reason is shown in its
    /// place.
    async fn fetch(&self, file: &RemoteFile, limit: u64) -> Result<bytes::Bytes, ChannelError>;
    /// The contact's picture, where the provider shows it.
    async fn picture(&self, _source_id: &str) -> Result<Option<bytes::Bytes>, ChannelError> {
        Ok(None)
    }
}

/// Templates that the provider approves.
#[async_trait]
pub trait Templates: Send + Sync {
    /// All of them, in the form of the contract's `message_templates`.
    async fn list(&self) -> Result<Vec<Value>, ChannelError>;
}

/// Tells the contact what agents do. Nothing of it is repeated: what fails is forgotten.
#[async_trait]
pub trait Presence: Send + Sync {
    /// Somebody types.
    async fn typing(&self, source_id: &str, last_inbound: Option<&str>) -> Result<(), ChannelError>;
    /// Messages up to this one of the contact were read.
    async fn read(&self, source_id: &str, provider_id: &str) -> Result<(), ChannelError>;
}

/// Changes and takes back messages that were sent.
#[async_trait]
pub trait Revisions: Send + Sync {
    /// Another text. `Rejected` where the channel cannot.
    async fn edit(&self, source_id: &str, provider_id: &str, content: &str) -> Result<(), ChannelError>;
    /// Takes it back. `Rejected` where the channel cannot.
    async fn delete(&self, source_id: &str, provider_id: &str) -> Result<(), ChannelError>;
}

/// Is known to the provider under an address of ours.
#[async_trait]
pub trait Registration: Send + Sync {
    /// Checks the credentials, when an inbox is made or its settings change; `Rejected` or `NeedsAttention` in the provider's
    /// words. Returns what the provider tells of the account (names, numbers), kept with the settings.
    async fn check(&self) -> Result<Map<String, Value>, ChannelError>;
    /// Tells the provider to send nothing more; when the inbox is removed.
    async fn unregister(&self) -> Result<(), ChannelError>;
}

/// Why a channel could not go on; says what the caller is to do. See the table in the module comment.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ChannelError {
    /// May work again by itself: a broken connection, a busy server.
    #[error("{cause}")]
    Temporary {
        /// What happened, in lower case, with what was attempted.
        cause: String,
        /// How long the provider asked us to wait.
        retry_after: Option<Duration>,
        /// Whom the wait is for.
        pause: Pause,
    },
    /// Only a person can help: a wrong password, a revoked token.
    #[error("{0}")]
    NeedsAttention(String),
    /// This message will never be accepted.
    #[error("{0}")]
    Rejected(String),
}

/// Whom a temporary failure delays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pause {
    /// The conversation: its later messages wait, others go on.
    #[default]
    Conversation,
    /// Everything of the inbox: the provider throttles the account.
    Inbox,
}

impl ChannelError {
    /// A temporary failure without a hint when to come back.
    pub fn temporary(cause: impl Into<String>) -> Self {
        ChannelError::Temporary { cause: cause.into(), retry_after: None, pause: Pause::Conversation }
    }

    /// The provider asks for a pause.
    pub fn throttled(cause: impl Into<String>, retry_after: Option<Duration>, pause: Pause) -> Self {
        ChannelError::Temporary { cause: cause.into(), retry_after, pause }
    }
}

/// What a session tells of itself while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionStatus {
    /// Credentials are accepted and messages flow.
    Connected,
    /// A message came in or went out. Told by the session task, not by channels: a connection that breaks after this has not
    /// failed for nothing.
    Useful,
    /// The provider wants a person to look after the account, in its words: the session ends, what is to be sent waits.
    NeedsAttention(String),
    /// The provider has other templates now.
    TemplatesChanged,
}

/// The way in for a session: what it received goes here. Implemented by the session task; a test may implement it itself.
#[async_trait]
pub trait Intake: Send + Sync + 'static {
    /// Stores what happened; returns when it is on disk: acknowledge to the provider now. `Rejected` means that it will never be
    /// stored: park it and go on. Any other error means that it may not be stored: end the session with it, the provider still
    /// has it.
    async fn deliver(&self, update: Update) -> Result<(), ChannelError>;
    /// Keeps what could not be read, so that nothing behind it waits. `provider_key` says where the provider has it; the same
    /// key again changes nothing.
    async fn park(&self, provider_key: &str, reason: &str, raw: bytes::Bytes) -> Result<(), ChannelError>;
    /// How far the channel had read, in its own form; `None` at first.
    async fn cursor(&self) -> Result<Option<Value>, ChannelError>;
    /// Remembers how far the channel has read; returns when it is on disk.
    async fn save_cursor(&self, cursor: Value) -> Result<(), ChannelError>;
    /// Tells how the session is doing.
    fn status(&self, status: SessionStatus);
}

/// A shared [`Intake`].
pub type Inlet = Arc<dyn Intake>;

/// The typed settings of every channel, as they are stored and as the contract names them on the wire.
///
/// A new channel is one variant here, one arm in each `match` below, and its file. What HTTP shows of it is in `render.rs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "there is one per inbox, behind an Arc")]
pub enum ChannelSettings {
    /// The generic channel: everything goes over HTTP.
    Api(api::Settings),
    /// IMAP in, SMTP out.
    Email(email::Settings),
    /// A bot of Telegram.
    Telegram(telegram::Settings),
    /// WhatsApp, by Meta's Cloud API.
    Whatsapp(whatsapp::Settings),
    /// The chat on a website.
    WebWidget(web_widget::Settings),
}

impl ChannelSettings {
    /// The tags of all variants.
    pub const KINDS: &[&str] = &["api", "email", "telegram", "whatsapp", "web_widget"];

    /// Settings of the channel type `kind` in which nothing is filled in yet; none if there is no such type.
    pub fn blank(kind: &str) -> Option<Self> {
        serde_json::from_value(serde_json::json!({ "type": kind })).ok()
    }

    /// Reads settings from their JSON form.
    ///
    /// # Errors
    /// Says which field is wrong, or which channel types there are.
    pub fn parse(value: Value) -> Result<Self, String> {
        let settings: ChannelSettings = serde_json::from_value(value).map_err(|error| error.to_string())?;
        match &settings {
            ChannelSettings::Api(settings) => settings.validate()?,
            ChannelSettings::Email(settings) => settings.validate()?,
            ChannelSettings::Telegram(settings) => settings.validate()?,
            ChannelSettings::Whatsapp(settings) => settings.validate()?,
            ChannelSettings::WebWidget(settings) => settings.validate()?,
        }
        Ok(settings)
    }

    /// The tag stored in `inboxes.channel`.
    pub fn kind(&self) -> &'static str {
        match self {
            ChannelSettings::Api(_) => "api",
            ChannelSettings::Email(_) => "email",
            ChannelSettings::Telegram(_) => "telegram",
            ChannelSettings::Whatsapp(_) => "whatsapp",
            ChannelSettings::WebWidget(_) => "web_widget",
        }
    }

    /// The contract's `channel_type`.
    pub fn channel_type(&self) -> &'static str {
        match self {
            ChannelSettings::Api(_) => "Channel::Api",
            ChannelSettings::Email(_) => "Channel::Email",
            ChannelSettings::Telegram(_) => "Channel::Telegram",
            ChannelSettings::Whatsapp(_) => "Channel::Whatsapp",
            ChannelSettings::WebWidget(_) => "Channel::WebWidget",
        }
    }

    /// Who has the messages at the other end.
    pub fn provider(&self) -> &'static str {
        match self {
            ChannelSettings::Api(_) => "The customer's system",
            ChannelSettings::Email(_) => "The mail server",
            ChannelSettings::Telegram(_) => "Telegram",
            ChannelSettings::Whatsapp(_) => "Meta",
            ChannelSettings::WebWidget(_) => "The visitor's browser",
        }
    }

    /// Which fields are sealed at rest, blanked on the wire, and kept when an update sends the blank; a dot leads into an object.
    pub fn secret_fields(&self) -> &'static [&'static str] {
        match self {
            ChannelSettings::Api(_) => api::SECRET_FIELDS,
            ChannelSettings::Email(_) => email::SECRET_FIELDS,
            ChannelSettings::Telegram(_) => telegram::SECRET_FIELDS,
            ChannelSettings::Whatsapp(_) => whatsapp::SECRET_FIELDS,
            ChannelSettings::WebWidget(_) => web_widget::SECRET_FIELDS,
        }
    }

    /// What no two inboxes of the installation may share; none where they may share everything.
    pub fn unique_key(&self) -> Option<String> {
        match self {
            ChannelSettings::Api(_) | ChannelSettings::Email(_) | ChannelSettings::WebWidget(_) => None,
            ChannelSettings::Telegram(settings) => Some(settings.unique_key()),
            ChannelSettings::Whatsapp(settings) => Some(format!("whatsapp:{}", settings.unique_key())),
        }
    }

    /// The field that [`Self::unique_key`] comes from.
    pub fn unique_field(&self) -> Option<&'static str> {
        match self {
            ChannelSettings::Api(_) | ChannelSettings::Email(_) | ChannelSettings::WebWidget(_) => None,
            ChannelSettings::Telegram(_) => Some("bot_token"),
            ChannelSettings::Whatsapp(_) => Some("provider_config.phone_number_id"),
        }
    }

    /// The address of the inbox in `/webhooks/{kind}/{address}`; none where no provider pushes.
    pub fn webhook_address(&self) -> Option<&str> {
        match self {
            ChannelSettings::Api(_) | ChannelSettings::Email(_) | ChannelSettings::WebWidget(_) => None,
            ChannelSettings::Telegram(settings) => Some(settings.bot_token.expose()),
            ChannelSettings::Whatsapp(settings) => Some(settings.webhook_address()),
        }
    }

    /// Whether a webhook request of this kind is for this inbox, by what stands in it and not by where it came in; see [`addressees`].
    pub fn is_addressed(&self, addressees: &[String]) -> bool {
        match self {
            ChannelSettings::Whatsapp(settings) => settings.is_addressed(addressees),
            _ => false,
        }
    }

    /// Under which address a contact who has not written yet is written to; none where that cannot be known.
    pub fn contact_address(&self, email: Option<&str>, phone_number: Option<&str>) -> Option<String> {
        match self {
            ChannelSettings::Api(_) | ChannelSettings::WebWidget(_) => Some(uuid::Uuid::new_v4().to_string()),
            ChannelSettings::Email(_) => email.map(str::to_owned),
            ChannelSettings::Telegram(_) => None,
            // WhatsApp writes numbers without their plus.
            ChannelSettings::Whatsapp(_) => phone_number.map(|number| number.trim_start_matches('+').to_owned()),
        }
    }

    /// Where the inbox wants its own events posted; none where it does not.
    pub fn events_url(&self) -> Option<&str> {
        match self {
            ChannelSettings::Api(settings) => settings.webhook_url.as_deref().filter(|url| !url.is_empty()),
            _ => None,
        }
    }

    /// Takes over what [`Registration::check`] told; what an administrator has `given` himself stays.
    pub fn learn(&mut self, told: &Map<String, Value>, given: &Map<String, Value>) {
        let text = |fields: &Map<String, Value>, name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        match self {
            ChannelSettings::Api(_) | ChannelSettings::Email(_) | ChannelSettings::WebWidget(_) => {}
            ChannelSettings::Telegram(settings) => settings.bot_name = text(told, "bot_name"),
            ChannelSettings::Whatsapp(settings) => {
                let number = text(told, "phone_number");
                if text(given, "phone_number").is_empty() && !number.is_empty() {
                    settings.phone_number = number;
                }
            }
        }
    }

    /// Whether a session that began with other settings goes on with these: what is only shown to people touches none.
    pub fn keeps_session(&self, before: &Self) -> bool {
        match (before, self) {
            (ChannelSettings::WebWidget(_), ChannelSettings::WebWidget(_)) => true,
            (before, now) => before == now,
        }
    }

    /// What the channel can do. Does no I/O.
    pub fn capabilities(&self) -> Capabilities {
        match self {
            ChannelSettings::Api(_) | ChannelSettings::WebWidget(_) => direct::capabilities(),
            ChannelSettings::Email(_) => email::capabilities(),
            ChannelSettings::Telegram(_) => telegram::capabilities(),
            ChannelSettings::Whatsapp(_) => whatsapp::capabilities(),
        }
    }

    /// Builds the channel. Does no I/O: connecting is the session's work.
    pub fn build(&self, tools: &Tools) -> Arc<dyn Channel> {
        match self {
            ChannelSettings::Api(_) | ChannelSettings::WebWidget(_) => Arc::new(direct::DirectChannel),
            ChannelSettings::Email(settings) => Arc::new(email::EmailChannel::new(settings.clone(), tools.clone())),
            ChannelSettings::Telegram(settings) => Arc::new(telegram::TelegramChannel::new(settings.clone(), tools)),
            ChannelSettings::Whatsapp(settings) => Arc::new(whatsapp::WhatsappChannel::new(settings.clone(), tools)),
        }
    }
}

/// Whom a webhook request names, where a provider has one address for several inboxes: Meta has one for all numbers of an app.
/// Empty where the address alone says it. Pure.
pub fn addressees(kind: &str, request: &WebhookRequest) -> Vec<String> {
    match kind {
        "whatsapp" => whatsapp::addressees(request),
        _ => Vec::new(),
    }
}

/// What channels need of the daemon.
#[derive(Clone)]
pub struct Tools {
    /// The daemon's address as customers and providers reach it, without a slash at the end.
    pub public_url: String,
    /// Where to send mail for inboxes without an SMTP server of their own.
    pub relay: Option<Arc<MailRelay>>,
    /// Stored files.
    pub files: Files,
    /// Where the providers are.
    pub providers: Providers,
}

/// Where the providers are: the real ones, unless a test says otherwise. Without a slash at the end.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Providers {
    /// The Bot API of Telegram, and its files.
    pub telegram_url: String,
    /// The Graph API of Meta.
    pub meta_url: String,
    /// The version of the Graph API, such as `v23.0`.
    pub meta_version: String,
}

impl Default for Providers {
    fn default() -> Self {
        Providers {
            telegram_url: "https://api.telegram.org".into(),
            meta_url: "https://graph.facebook.com".into(),
            meta_version: "v23.0".into(),
        }
    }
}

/// The daemon's own mail relay (`[mail]` in the settings).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailRelay {
    /// Host name or address.
    pub host: String,
    /// Usually 587 (STARTTLS), 465 (TLS) or 25 (none).
    pub port: u16,
    /// How the connection is secured.
    #[serde(default)]
    pub security: MailSecurity,
    /// Without it nothing is authenticated.
    #[serde(default)]
    pub username: Option<String>,
    /// The password of `username`.
    #[serde(default)]
    pub password: Option<Secret>,
    /// The sender of mails from inboxes without an SMTP server of their own; their address becomes Reply-To.
    #[serde(default)]
    pub from: Option<String>,
}

/// How a mail connection is secured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailSecurity {
    /// Plain at first, then upgraded; refused if the server cannot.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// In the clear: for a relay on the same machine.
    None,
}
