//! What travels between channels and actors: normalized messages as plain data, without actix and without SQL.
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Who talks to whom: the identity of a contact in an inbox. One conversation actor per key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The inbox.
    pub inbox_id: i64,
    /// The contact's address in it: an e-mail address, a phone number, a generated id.
    pub source_id: String,
}

/// A message as a channel hands it over.
#[derive(Clone, Debug)]
pub struct Inbound {
    /// The sender's address in the inbox.
    pub source_id: String,
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
    /// The contract's word, such as `text` or `incoming_email`.
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
}

/// A file that came with a message.
#[derive(Clone, Debug)]
pub struct InboundAttachment {
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
#[derive(Clone, Debug)]
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
    /// The last message of the contact in this conversation: what this one answers.
    pub answers: Option<Answered>,
    /// The name to sign with: the agent's, or the business's.
    pub sender_name: Option<String>,
    /// Written by a rule and not by a person (greeting, out of office).
    pub automatic: bool,
    /// When it was written.
    pub created_at: DateTime<Utc>,
}

/// The conversation of an outbound message.
#[derive(Clone, Debug)]
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
