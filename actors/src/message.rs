//! What travels between channels and actors: normalized messages as plain data, without actix and without SQL.
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::{Arc, Mutex, PoisonError};

/// Who talks to whom: the identity of a contact in an inbox. One conversation actor per key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The inbox.
    pub inbox_id: i64,
    /// The contact's address in it: an e-mail address, a phone number, a generated id.
    pub source_id: String,
}

/// Something that happened at the provider. A webhook request or an answer to a poll is a list of these, in the provider's order.
#[derive(Clone, Debug)]
pub enum Update {
    /// Somebody wrote.
    Message(Box<Inbound>),
    /// A message of ours went on, or came to nothing.
    Receipt(Receipt),
    /// The writer of a message changed it.
    Edit(Edit),
    /// The writer of a message took it back.
    Deletion {
        /// The contact's address in the inbox.
        source_id: String,
        /// Which message.
        provider_id: String,
    },
    /// Somebody put an emoji on a message, or took it off.
    Reaction(Reaction),
    /// The contact has another address from now on.
    Moved {
        /// The address until now.
        from: String,
        /// The address from now on, with everything that is known of the person there.
        to: Identity,
    },
    /// The contact can no longer be reached (has blocked us), or can again.
    Reachable {
        /// The contact's address in the inbox.
        source_id: String,
        /// Whether messages arrive.
        reachable: bool,
        /// The provider's words; `None` when reachable.
        reason: Option<String>,
    },
    /// The contact types, or stops.
    Typing {
        /// The contact's address in the inbox.
        source_id: String,
        /// Types, or stops.
        is_typing: bool,
    },
    /// The provider has other templates now: they are to be fetched anew.
    TemplatesChanged,
    /// The account at the provider needs a person: shown as the inbox's state, in the provider's words.
    NeedsAttention(String),
    /// Could not be read: kept as it came, so that a person may look.
    Unreadable {
        /// Where the provider has it: the same key again changes nothing.
        provider_key: String,
        /// What is wrong with it.
        reason: String,
        /// As it came.
        raw: Bytes,
    },
}

/// How far a message of ours has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt {
    /// Which message.
    pub of: ReceiptOf,
    /// How far.
    pub progress: Progress,
    /// When, by the provider's clock.
    pub at: DateTime<Utc>,
}

/// Which message a receipt is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiptOf {
    /// The one with the provider's id, and with our own where the provider gives back what it was sent
    /// ([`Outbound::message_id`]): it then settles a sending whose outcome is unknown.
    One {
        /// The provider's id.
        provider_id: String,
        /// Our id.
        message_id: Option<i64>,
    },
    /// Every message to the contact until a time (a watermark).
    UpTo {
        /// The contact's address in the inbox.
        source_id: String,
        /// The latest that is meant, by the provider's clock.
        until: DateTime<Utc>,
    },
}

/// How far a message has come. It only ever rises; a failure counts from a state that is not delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// The provider has it.
    Sent,
    /// The contact's device has it.
    Delivered,
    /// The contact has seen it.
    Read,
    /// It will not arrive, in the provider's words.
    Failed(String),
}

/// A message whose writer changed it.
#[derive(Clone, Debug)]
pub struct Edit {
    /// The contact's address in the inbox.
    pub source_id: String,
    /// Which message.
    pub provider_id: String,
    /// The text from now on.
    pub content: Option<String>,
    /// When, by the provider's clock.
    pub at: DateTime<Utc>,
}

/// An emoji on a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Reaction {
    /// The contact's address in the inbox.
    pub source_id: String,
    /// On which message.
    pub provider_id: String,
    /// All emojis that the contact has on it from now on; empty when they were taken off.
    pub emojis: Vec<String>,
    /// When, by the provider's clock.
    pub at: DateTime<Utc>,
}

/// What becomes of a message after it was said, as its provider tells. Kept as it is where it comes before the message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Amendment {
    /// It came so far.
    Receipt(Progress),
    /// Its writer changed it at this time; the text from then on.
    Edit(Option<String>, DateTime<Utc>),
    /// Its writer took it back.
    Deletion,
    /// The contact has these emojis on it from this time on.
    Reaction(Vec<String>, DateTime<Utc>),
}

/// Under which addresses a contact is known in an inbox.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identity {
    /// The address that messages are sent to, and that a new contact is kept under.
    pub source_id: String,
    /// Others that name the same person (a telephone number beside a provider's own id): a contact that is known under one of
    /// them is this one, and two contacts that turn out to be one are merged.
    pub aliases: Vec<String>,
    /// What is known of the person; fills a new contact, and gaps of a known one.
    pub profile: Profile,
}

/// Who wrote a message that came from the provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Writer {
    /// The contact.
    #[default]
    Contact,
    /// The business, with another program (the provider's own app): kept as outgoing; it opens no reply window, greets nobody.
    Business,
}

/// A message as a channel hands it over.
#[derive(Clone, Debug, Default)]
pub struct Inbound {
    /// The contact's address in the inbox.
    pub source_id: String,
    /// Other addresses of the same person, see [`Identity::aliases`].
    pub aliases: Vec<String>,
    /// Who wrote it.
    pub writer: Writer,
    /// When, by the provider's clock: messages of a contact are kept in this order; `None` where it tells no time.
    pub sent_at: Option<DateTime<Utc>>,
    /// The provider's id of the message that it quotes.
    pub quotes: Option<String>,
    /// What is known of the sender; fills a new contact, and gaps of a known one.
    pub sender: Profile,
    /// Which conversation it belongs to.
    pub thread: Thread,
    /// The provider's id of the message: the same id again is a repeat and changes nothing.
    pub provider_id: Option<String>,
    /// The message of ours that `provider_id` names in our own form: if there is one, this is its echo and changes nothing.
    pub echo_of: Option<OwnMessage>,
    /// The text; `None` for a message that only carries attachments.
    pub content: Option<String>,
    /// The contract's word, such as `incoming_email`; `text` when empty.
    pub content_type: &'static str,
    /// Kept with the message and shown on the wire (contract, section 2, Messages).
    pub content_attributes: Map<String, Value>,
    /// Kept with a conversation that this message opens.
    pub conversation_attributes: Map<String, Value>,
    /// What it carries.
    pub attachments: Vec<InboundAttachment>,
}

/// A message of ours, as the ids that we give to messages name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnMessage {
    /// The uuid of its conversation, which nobody can guess.
    pub conversation: uuid::Uuid,
    /// Its own id.
    pub message: i64,
}

/// Which conversation an inbound message belongs to.
#[derive(Clone, Debug, Default)]
pub enum Thread {
    /// The contact's latest conversation that is not resolved, or a new one.
    #[default]
    Latest,
    /// The conversation of the first of these that is known in the inbox; otherwise a new one.
    References(Vec<Reference>),
}

/// Something that names a conversation, in the order in which it is to be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// The uuid of a conversation, as it stands in a reply address or in a Message-ID of ours.
    Conversation(uuid::Uuid),
    /// The provider id of a stored message.
    Message(String),
    /// What the sender's program calls the thread: `thread_index` among the attributes of a conversation.
    ThreadIndex(String),
}

/// What a channel knows of a person.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// A display name; a new contact without one is called by its address.
    pub name: Option<String>,
    /// Lower case.
    pub email: Option<String>,
    /// E.164 with its plus sign.
    pub phone_number: Option<String>,
    /// The id that the customer's own system gave the person.
    pub identifier: Option<String>,
    /// What else the provider tells, for the contact's `additional_attributes` (`username`, `language_code`, `social_profiles`).
    pub attributes: Map<String, Value>,
}

/// What a message carries beside its text.
#[derive(Clone, Debug)]
pub enum InboundAttachment {
    /// A file that came along.
    File(InboundFile),
    /// A file that the provider has: fetched after the message is stored, by [`Media`](crate::channel::Media).
    Remote(RemoteFile),
    /// A place on the map.
    Place(Place),
    /// A person's card.
    Card(Card),
}

/// A file that the provider keeps for us.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RemoteFile {
    /// How the channel finds it again; only the channel reads this.
    pub reference: Value,
    /// What the sender called it; empty when unnamed.
    pub file_name: String,
    /// What the sender says it is; what is stored is found from the bytes.
    pub content_type: String,
    /// In bytes, where the provider tells.
    pub byte_size: Option<u64>,
}

/// A place on the map.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Its name, address, or both; empty when unnamed.
    #[serde(default)]
    pub title: String,
}

/// A person's card.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// The first name, or the whole name where it is not divided.
    pub first_name: String,
    /// The last name.
    #[serde(default)]
    pub last_name: String,
    /// The first telephone number, as the provider writes it.
    pub phone_number: Option<String>,
}

/// A file that came with a message.
#[derive(Clone, Debug)]
pub struct InboundFile {
    /// What the sender called it; empty when unnamed.
    pub file_name: String,
    /// What the sender says it is; what is stored is found from the bytes.
    pub content_type: String,
    /// The file.
    pub bytes: Bytes,
    /// The Content-ID without angle brackets of an inline image, as the attributes of the HTML write it (`&amp;` for `&`). Its
    /// references (`"cid:…"`) in `content_attributes.email.html_content` are rewritten to the stored file's address.
    pub content_id: Option<String>,
}

/// A message on its way to the provider, with everything that a connector needs to send it.
#[derive(Clone, Debug, Default)]
pub struct Outbound {
    /// Our id of the message: the same in every attempt.
    pub message_id: i64,
    /// The contact's address in the inbox.
    pub source_id: String,
    /// The contact's e-mail address, where it has one.
    pub contact_email: Option<String>,
    /// The contact's name.
    pub contact_name: String,
    /// The conversation.
    pub conversation: OutboundConversation,
    /// The text, in Markdown.
    pub content: Option<String>,
    /// The contract's word, such as `text` or `input_select`.
    pub content_type: String,
    /// As given by the agent: `cc_emails`, `bcc_emails`, `to_emails`, `in_reply_to` …
    pub content_attributes: Map<String, Value>,
    /// The files to send.
    pub attachments: Vec<OutboundAttachment>,
    /// The provider's id of the message that it quotes.
    pub quotes: Option<String>,
    /// `template_params` of the contract: name, language, namespace, category, processed_params; `None` for a free message.
    pub template: Option<Value>,
    /// The contact's telephone number, E.164.
    pub contact_phone_number: Option<String>,
    /// The last message of the contact in this conversation: what this one answers.
    pub answers: Option<Answered>,
    /// The name to sign with: the agent's, or the business's.
    pub sender_name: Option<String>,
    /// Written by a rule and not by a person (greeting, out of office).
    pub automatic: bool,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// What of it the provider has already.
    pub sent: SentParts,
}

impl Outbound {
    /// The place that it carries (`location` among its attributes).
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn place(&self) -> Result<Option<Place>, String> {
        self.attribute("location")
    }

    /// The persons' cards that it carries (`contacts` among its attributes).
    ///
    /// # Errors
    /// Says what is wrong with them.
    pub fn cards(&self) -> Result<Vec<Card>, String> {
        Ok(self.attribute("contacts")?.unwrap_or_default())
    }

    fn attribute<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Option<T>, String> {
        let Some(given) = self.content_attributes.get(name).filter(|given| !given.is_null()) else { return Ok(None) };
        serde_json::from_value(given.clone()).map(Some).map_err(|error| format!("content_attributes.{name}: {error}"))
    }
}

/// Those parts of a message that the provider has already, where a channel sends a message in several parts: of each the ids by
/// which receipts, reactions and answers may name it later.
///
/// A channel skips so many parts and adds each as it goes, whatever becomes of the next one; whoever called
/// [`Channel::send`](crate::channel::Channel::send) reads them afterwards and hands them in again with the next attempt. Clones
/// are the same list.
#[derive(Clone, Debug, Default)]
pub struct SentParts(Arc<Mutex<Vec<Vec<String>>>>);

impl SentParts {
    /// What an earlier attempt has sent.
    pub fn new(parts: Vec<Vec<String>>) -> Self {
        SentParts(Arc::new(Mutex::new(parts)))
    }

    /// All until now, in their order.
    pub fn all(&self) -> Vec<Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The provider has the next part: one message of the provider's, or several.
    pub fn add(&self, ids: Vec<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(ids);
    }
}

/// The conversation of an outbound message.
#[derive(Clone, Debug, Default)]
pub struct OutboundConversation {
    /// Its internal id: messages of one conversation are sent one after the other.
    pub id: i64,
    /// The number agents see.
    pub display_id: i64,
    /// What its Message-IDs and reply addresses carry.
    pub uuid: uuid::Uuid,
    /// Among them `mail_subject` of a conversation that a mail opened.
    pub additional_attributes: Map<String, Value>,
}

/// The message that an outbound one answers.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Its provider id, such as a Message-ID.
    pub provider_id: String,
    /// Its content attributes, among them `email` with subject, references and recipients.
    pub content_attributes: Map<String, Value>,
}

/// A file on its way out.
#[derive(Clone, Debug)]
pub struct OutboundAttachment {
    /// The name to show.
    pub file_name: String,
    /// Its MIME type.
    pub content_type: String,
    /// The file.
    pub bytes: Bytes,
}

/// The provider's id of a sent message; empty where the provider gives none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderId(pub String);

/// What a channel can do: what the dashboard may offer and a reply may contain.
#[derive(Clone, Debug, PartialEq)]
pub struct Capabilities {
    /// How outbound messages leave.
    pub delivery: Delivery,
    /// The longest text, in characters.
    pub content_limit: usize,
    /// The largest single file, in bytes, in either direction.
    pub attachment_limit: u64,
    /// How many conversations may be sent to at once.
    pub parallel_sends: usize,
    /// For how long after the contact's last message a free answer is taken; `None` for ever.
    pub reply_window: Option<chrono::Duration>,
    /// Whether the business may write first: with a template, freely, or not at all.
    pub first_contact: FirstContact,
    /// Whether a sent message can be changed at the provider.
    pub edits: bool,
    /// Whether a sent message can be taken back at the provider.
    pub deletions: bool,
    /// Whether a person may be known under several addresses ([`Identity::aliases`]).
    pub aliases: bool,
}

impl Capabilities {
    /// Texts only, sent one conversation at a time, whenever and to whom one likes: what a channel has beyond this it names.
    pub const PLAIN: Capabilities = Capabilities {
        delivery: Delivery::Send,
        content_limit: 150_000,
        attachment_limit: 40 << 20,
        parallel_sends: 1,
        reply_window: None,
        first_contact: FirstContact::Free,
        edits: false,
        deletions: false,
        aliases: false,
    };
}

/// Whether the business may write first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstContact {
    /// Whatever it likes.
    Free,
    /// A template that the provider approved.
    Template,
    /// Not at all: the contact begins.
    Never,
}

/// How outbound messages leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// By `Channel::send`, from the queue of outgoing messages.
    Send,
    /// By the events that the customer's system hears: nothing is queued for the channel.
    Events,
}

/// What is shown of an agent to others; part of events, so that they need no look-up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserCard {
    /// The user's id.
    pub id: i64,
    /// The full name.
    pub name: String,
    /// The name customers see.
    pub available_name: String,
    /// The address; shown to webhooks only.
    pub email: String,
    /// Empty when there is no picture.
    pub avatar_url: String,
}

/// What is shown of a bot to others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BotCard {
    /// The bot's id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Empty when there is no picture.
    pub avatar_url: String,
}

/// What is shown of a team to others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TeamCard {
    /// The team's id.
    pub id: i64,
    /// Its name.
    pub name: String,
}

/// Who has a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Assignee {
    /// An agent or administrator.
    User(UserCard),
    /// A bot.
    Bot(BotCard),
}

/// Who wrote a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Sender {
    /// An agent or administrator.
    User(UserCard),
    /// A program of the account.
    Bot(BotCard),
    /// The customer.
    Contact(Arc<entity::contact::Model>),
}
