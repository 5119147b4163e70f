//! What the writer is asked to store: rows before and after, and what goes with them.
use super::Departure;
use crate::catalog::Inbox;
use crate::event::{AccountCard, Fact, MacroPost, MessageView};
use crate::files::Stored;
use crate::mailer::Mail;
use crate::message::{RemoteFile, UserCard};
use chrono::{DateTime, Utc};
use entity::outgoing::Action;
use entity::{announcement, contact, contact_inbox, conversation, delivery, delivery_attempt, message};
use sea_orm::{ActiveValue, ConnectionTrait, DbErr, EntityTrait};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A row before and after a command.
#[derive(Clone, Debug)]
pub enum Row<M> {
    /// Stays as it is.
    Kept(Arc<M>),
    /// Is new; its id is given when it is stored.
    New(M),
    /// Becomes another.
    Changed {
        /// As it was.
        before: Arc<M>,
        /// As it shall be.
        after: M,
    },
}

impl<M> Row<M> {
    /// As it shall be.
    pub fn after(&self) -> &M {
        match self {
            Row::Kept(row) => row,
            Row::New(row) | Row::Changed { after: row, .. } => row,
        }
    }

    pub(super) fn into_after(self) -> Arc<M> {
        match self {
            Row::Kept(row) => row,
            Row::New(row) | Row::Changed { after: row, .. } => Arc::new(row),
        }
    }
}

/// Everything that one thing which happened causes; committed whole or not at all.
#[derive(Clone, Debug)]
pub struct Record {
    /// The account it happens in.
    pub account: AccountCard,
    /// The user who causes it, if one does.
    pub performer: Option<UserCard>,
    /// Whom it is about.
    pub contact: Row<contact::Model>,
    /// Where it happens; none for what concerns a contact alone.
    pub inbox: Option<Arc<Inbox>>,
    /// The contact's identity there.
    pub contact_inbox: Option<Row<contact_inbox::Model>>,
    /// The conversation.
    pub conversation: Option<Row<conversation::Model>>,
    /// What is said, in order. If the first has a source id that is stored already, the whole command is a repeat.
    pub messages: Vec<NewMessage>,
    /// Messages that become others.
    pub changed_messages: Vec<ChangedMessage>,
    /// Messages that are told once more, as if they were new.
    pub retold: Vec<MessageView>,
    /// The titles of the contact's labels before and after, where they change.
    pub contact_labels: Option<(BTreeSet<String>, BTreeSet<String>)>,
    /// Addresses that are told how the conversation is then.
    pub posts: Vec<MacroPost>,
    /// Mail in the desk's own name.
    pub mails: Vec<Mail>,
    /// Whether nothing that was answered waits to be mailed any more.
    pub followed_up: bool,
    /// What becomes of rows that waited to be sent.
    pub outgoing: Vec<OutgoingChange>,
    /// Files that were fetched, or will never be: the ids of their rows.
    pub fetched: Vec<i64>,
    /// The latest message before this command, for events about the conversation.
    pub last_message: Option<Arc<MessageView>>,
    /// Whether a reply may be written now.
    pub can_reply: bool,
    /// The row of `idempotency_keys` that this command answers, and with what.
    pub claim: Option<(i64, Made)>,
}

impl Record {
    /// What would become of it if there were nothing to store.
    pub fn unchanged(self) -> Recorded {
        Recorded {
            contact: self.contact.into_after(),
            contact_inbox: self.contact_inbox.map(Row::into_after),
            conversation: self.conversation.map(Row::into_after),
            messages: Vec::new(),
            repeated: false,
            queued: false,
        }
    }
}

/// What a request has made that carries an idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// A contact.
    Contact,
    /// A conversation, whatever was said in it.
    Conversation,
    /// A message.
    Message,
}

/// A message to be stored.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// The row without its ids, and its sender.
    pub view: MessageView,
    /// The stored files that go with it.
    pub files: Vec<NewFile>,
    /// The files that the provider still has.
    pub downloads: Vec<RemoteFile>,
}

impl NewMessage {
    /// One without files.
    pub fn bare(view: MessageView) -> Self {
        NewMessage { view, files: Vec::new(), downloads: Vec::new() }
    }
}

/// A message that becomes another.
#[derive(Clone, Debug)]
pub struct ChangedMessage {
    /// As it was.
    pub before: MessageView,
    /// As it shall be.
    pub after: message::Model,
    /// Files that it has from now on beside those that it had.
    pub files: Vec<NewFile>,
}

/// A stored file on its way into a message.
#[derive(Clone, Debug)]
pub struct NewFile {
    /// What was stored.
    pub stored: Stored,
    /// Who brought it, if a user did.
    pub uploader_id: Option<i64>,
    /// Its row, where it was uploaded before.
    pub blob_id: Option<i64>,
}

impl From<entity::blob::Model> for NewFile {
    fn from(row: entity::blob::Model) -> Self {
        NewFile { blob_id: Some(row.id), uploader_id: row.uploader_id, stored: row.into() }
    }
}

/// What becomes of a row that waited to be sent.
#[derive(Clone, Debug)]
pub enum OutgoingChange {
    /// Sent, failed or withdrawn: it waits no more.
    Done {
        /// Which.
        message_id: i64,
        /// Only if it still waits since then: another change may have been queued meanwhile.
        since: Option<DateTime<Utc>>,
        /// The provider's ids of its parts, where there are several.
        parts: Vec<String>,
    },
    /// It is tried again later.
    Later {
        /// Which.
        message_id: i64,
        /// How often it has failed.
        failures: i32,
        /// When to try again.
        due_at: DateTime<Utc>,
        /// Why it failed.
        error: String,
        /// The provider's ids of the parts that it has already.
        sent_parts: Vec<Vec<String>>,
    },
    /// It waits again, from now.
    Queue {
        /// Which.
        message_id: i64,
        /// For what.
        action: Action,
    },
}

/// One try to deliver an event to an endpoint.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Of which delivery; its status, failures and due time as they shall be.
    pub delivery: delivery::Model,
    /// When, how long, with what result; its id is given when it is stored.
    pub attempt: delivery_attempt::Model,
}

/// Something to be told that follows from no record. Whoever changes rows beside the writer notes it in the same transaction
/// as a row of `announcements`; the writer gives it its place in the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Announcement {
    /// The account it happens in.
    pub account: AccountCard,
    /// The user who causes it, if one does.
    pub performer: Option<UserCard>,
    /// What happens.
    pub fact: Fact,
}

impl Announcement {
    /// Notes it; it is told once `db` has committed and the writer was asked, or at the next start.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn note(&self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
        let payload = serde_json::to_string(self).map_err(|error| DbErr::Custom(format!("an event has no JSON form: {error}")))?;
        let row = announcement::ActiveModel {
            id: ActiveValue::NotSet,
            account_id: ActiveValue::Set(self.account.id),
            payload: ActiveValue::Set(payload),
            created_at: ActiveValue::Set(entity::now()),
        };
        announcement::Entity::insert(row).exec_without_returning(db).await.map(drop)
    }
}

/// What can be committed in a group.
#[derive(Clone, Debug)]
pub enum Command {
    /// Something happened.
    Record(Box<Record>),
    /// A webhook was tried.
    Attempt(Box<Attempt>),
    /// A contact leaves.
    Departure(Box<Departure>),
    /// Something is told.
    Announcement(Box<Announcement>),
    /// What waits in `announcements` is told.
    Announcements,
    /// An account is counted; in a group of its own.
    Count(i64),
}

/// What became of a [`Record`].
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The contact as it is now.
    pub contact: Arc<contact::Model>,
    /// Its identity.
    pub contact_inbox: Option<Arc<contact_inbox::Model>>,
    /// The conversation as it is now.
    pub conversation: Option<Arc<conversation::Model>>,
    /// The messages stored, or changed, with their ids.
    pub messages: Vec<MessageView>,
    /// The first message had been stored before: nothing was written now, and `messages` holds it as it is stored.
    pub repeated: bool,
    /// Whether messages wait to be sent by the channel.
    pub queued: bool,
}
