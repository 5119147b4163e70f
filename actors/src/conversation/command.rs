//! What can be asked of the conversations of a contact, and why it may not be carried out.
use super::rules::{By, Change};
use crate::channel::ChannelError;
use crate::event::MacroPost;
use crate::mailer::Mail;
use crate::message::{Amendment, Card, Key, Place, Profile, ProviderId, RemoteFile, Sender, UserCard, Writer};
use crate::store::{Made, NewFile, Recorded, StoreError};
use actix::Message;
use chrono::{DateTime, Utc};
use entity::contact;
use entity::conversation::Status;
use entity::message::MessageStatus;
use serde_json::{Map, Value};
use std::sync::Arc;

/// What can be asked of the conversations of a key; answered once it is committed.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Recorded, ConversationError>")]
pub enum Command {
    /// The contact wrote.
    Deliver(Box<Incoming>),
    /// Somebody writes to the contact, or a note.
    Say(Box<Say>),
    /// Open a conversation, perhaps with a first message.
    Open(Box<Open>),
    /// Change a conversation.
    Change {
        /// Which.
        conversation_id: i64,
        /// Who.
        by: By,
        /// How.
        change: Change,
    },
    /// Do several things in a conversation.
    Act(Box<Act>),
    /// A message was sent, or could not be.
    Settle {
        /// In which conversation.
        conversation_id: i64,
        /// Which message.
        message_id: i64,
        /// What came of it.
        outcome: Outcome,
    },
    /// What the contact was answered and has not seen goes to it by mail, or is not to any more.
    FollowUp {
        /// In which conversation.
        conversation_id: i64,
    },
    /// Somebody types, or stops.
    Typing {
        /// In which conversation.
        conversation_id: i64,
        /// Who.
        who: Sender,
        /// Types, or stops.
        is_typing: bool,
        /// A note, which the contact is not to hear of.
        is_private: bool,
    },
}

/// What is done in a conversation, in order: all of it in one commit, or nothing of it.
#[derive(Clone, Debug)]
pub struct Act {
    /// In which conversation.
    pub conversation_id: i64,
    /// Who.
    pub by: By,
    /// What.
    pub steps: Vec<Step>,
    /// Nothing is done if anything has happened in the conversation since then.
    pub quiet_since: Option<DateTime<Utc>>,
    /// The row of `idempotency_keys` that this answers, and with what.
    pub claim: Option<(i64, Made)>,
}

/// One of the things that are done together.
#[derive(Clone, Debug)]
pub enum Step {
    /// Change the conversation.
    Change(Change),
    /// Write to the contact, or a note.
    Say(Sender, Box<Draft>),
    /// A rule writes to the contact, where it may be written to.
    Template(String),
    /// Tell an address how the conversation is then.
    Post(MacroPost),
    /// Send a mail in the desk's own name.
    Mail(Mail),
}

/// A message of the contact, its files stored already.
#[derive(Clone, Debug, Default)]
pub struct Incoming {
    /// Which conversation it belongs to.
    pub target: Target,
    /// Who wrote it.
    pub writer: Writer,
    /// When it was written, by the provider's clock; now, where none is given.
    pub written_at: Option<DateTime<Utc>>,
    /// Of a contact that is new.
    pub profile: Profile,
    /// The provider's id: the same id again is a repeat.
    pub provider_id: Option<String>,
    /// The text.
    pub content: Option<String>,
    /// The contract's word.
    pub content_type: String,
    /// Kept with the message.
    pub content_attributes: Map<String, Value>,
    /// Kept with a conversation that it opens, as `additional_attributes`.
    pub conversation_attributes: Map<String, Value>,
    /// Kept with a conversation that it opens.
    pub custom_attributes: Map<String, Value>,
    /// Of a conversation that it opens.
    pub labels: Vec<String>,
    /// Its files.
    pub files: Vec<NewFile>,
    /// Files that the provider still has.
    pub downloads: Vec<RemoteFile>,
    /// Places and cards.
    pub things: Vec<Thing>,
    /// The sending client's own id of the message.
    pub echo_id: Option<String>,
    /// Written by a machine: is not answered by one.
    pub is_automatic: bool,
    /// The row of `idempotency_keys` that this answers.
    pub claim: Option<i64>,
}

/// What a message carries that is no file.
#[derive(Clone, Debug, PartialEq)]
pub enum Thing {
    /// A place on the map.
    Place(Place),
    /// A person's card.
    Card(Card),
}

/// Which conversation a message of the contact belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// This one.
    Given(i64),
    /// The latest that is not resolved, or a new one.
    #[default]
    Latest,
    /// A new one, unless the inbox keeps to a single one.
    New,
}

/// A message to the contact, or a note.
#[derive(Clone, Debug)]
pub struct Say {
    /// In which conversation.
    pub conversation_id: i64,
    /// Who says it.
    pub sender: Sender,
    /// What is said.
    pub draft: Draft,
    /// The row of `idempotency_keys` that this answers.
    pub claim: Option<i64>,
}

/// What is said.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// The text, in Markdown.
    pub content: Option<String>,
    /// The contract's word; `text` when empty.
    pub content_type: String,
    /// Kept with the message.
    pub content_attributes: Map<String, Value>,
    /// Kept with the message.
    pub additional_attributes: Map<String, Value>,
    /// A note that the contact never sees.
    pub private: bool,
    /// Its files.
    pub files: Vec<NewFile>,
    /// The sending client's own id of the message.
    pub echo_id: Option<String>,
    /// An id that the caller gives.
    pub source_id: Option<String>,
}

/// A conversation to be opened.
#[derive(Clone, Debug)]
pub struct Open {
    /// Who opens it.
    pub by: By,
    /// Its first status; open when none is given.
    pub status: Option<Status>,
    /// For `snoozed`.
    pub snoozed_until: Option<DateTime<Utc>>,
    /// Whose it is.
    pub assignee_id: Option<i64>,
    /// Which team's it is.
    pub team_id: Option<i64>,
    /// Kept with it.
    pub additional_attributes: Map<String, Value>,
    /// Kept with it.
    pub custom_attributes: Map<String, Value>,
    /// Its first message.
    pub first: Option<(Sender, Draft)>,
    /// The row of `idempotency_keys` that this answers.
    pub claim: Option<i64>,
}

/// What came of a message.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The provider has it, under this id; in several parts, where it took it as several.
    Sent(ProviderId, Vec<Vec<String>>),
    /// To be tried again.
    Later {
        /// How often it has failed.
        failures: i32,
        /// When.
        due_at: DateTime<Utc>,
        /// Why.
        error: String,
        /// The parts that the provider has already.
        sent_parts: Vec<Vec<String>>,
    },
    /// The provider will never take it.
    Failed(String),
    /// What was queued at this time was done at the provider: it has the new text, or the message no more. Or it refused, in its
    /// words.
    Revised(DateTime<Utc>, Option<String>),
    /// The provider tells of it, under this id.
    Amended(Amendment, String),
    /// A file that the provider had is here.
    Fetched {
        /// The row of `downloads`.
        download_id: i64,
        /// The file.
        file: Box<NewFile>,
    },
    /// A file that the provider had will never be here.
    Lost {
        /// The row of `downloads`.
        download_id: i64,
        /// What it was called.
        file_name: String,
        /// Why.
        reason: String,
    },
    /// The customer's system reports how far it came, in the name of a user.
    Reported(MessageStatus, Option<String>, UserCard),
    /// An agent has it tried once more.
    Retry(UserCard),
    /// An agent changes what it says.
    Edit(String, UserCard),
    /// An agent takes it back.
    Delete(UserCard),
    /// The contact answers what it asks for: what was chosen or filled in, and the e-mail address among it.
    Submitted(Value, Option<String>),
}

impl Outcome {
    /// The user who caused it, if one did.
    pub fn performer(&self) -> Option<&UserCard> {
        match self {
            Outcome::Reported(_, _, user) | Outcome::Retry(user) | Outcome::Edit(_, user) | Outcome::Delete(user) => Some(user),
            _ => None,
        }
    }
}

/// Why a command was not carried out.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConversationError {
    /// There is no such conversation or message of this contact.
    #[error("no such conversation")]
    NotFound,
    /// The rules forbid it, in words for whoever asked.
    #[error("{0}")]
    Refused(String),
    /// The contact is kept under another address.
    #[error("the contact is kept under another address")]
    Renamed,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Whether it was carried out is unknown.
    #[error("whoever should have answered is gone")]
    Unanswered,
}

impl ConversationError {
    /// Whether it may have been carried out all the same.
    pub fn leaves_doubt(&self) -> bool {
        matches!(self, ConversationError::Unanswered | ConversationError::Store(StoreError::Database(_) | StoreError::Unanswered))
    }
}

impl From<StoreError> for ChannelError {
    fn from(error: StoreError) -> Self {
        ConversationError::from(error).into()
    }
}

impl From<ConversationError> for ChannelError {
    fn from(error: ConversationError) -> Self {
        match error {
            ConversationError::Refused(words) | ConversationError::Store(StoreError::Refused(words)) => ChannelError::Rejected(words),
            ConversationError::NotFound => ChannelError::Rejected("there is no such conversation or inbox any more".into()),
            other => ChannelError::temporary(format!("storing a message: {other}")),
        }
    }
}

/// A contact was changed elsewhere: those who keep it are told. Answered once every live actor will see it next.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ContactChanged(pub Arc<contact::Model>);

/// Rows were changed or removed beside the actors: those who keep them read them again before their next command.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Forget {
    /// Only what belongs to this contact, when set.
    pub contact_id: Option<i64>,
}

/// May I leave? An idle actor asks, having handled so many messages.
#[derive(Message)]
#[rtype(result = "bool")]
pub struct Idle {
    /// Who asks.
    pub key: Key,
    /// How many it has handled.
    pub handled: u64,
}
