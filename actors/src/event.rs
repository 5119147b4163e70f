//! What was committed: a closed list of facts, each with all that a reader needs to tell it to somebody.
//!
//! An event is built when its transaction is (`store.rs`), stored in the event log with it, and read by the websockets' hub
//! (`hub.rs`) and by webhook deliveries (`webhooks.rs`). Its forms on the wire are in `wire.rs`.
use crate::message::{Assignee, Sender, TeamCard, UserCard};
use chrono::{DateTime, Utc};
use entity::message::{MessageType, SenderType};
use entity::{attachment, contact, contact_inbox, conversation, message, notification};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;

/// One committed fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its place in the log; grows in the order of the commits. 0 for what is not logged (typing that no webhook hears of).
    pub id: i64,
    /// The account it happened in.
    pub account: AccountCard,
    /// When.
    pub at: DateTime<Utc>,
    /// The user who caused it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub performer: Option<UserCard>,
    /// What happened.
    pub fact: Fact,
}

/// What happened. The names are those of the websocket (contract, section 7).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "events live behind an Arc")]
pub enum Fact {
    /// A message was stored; `conversation.last_message` is left out, it is this one.
    #[serde(rename = "message.created")]
    MessageCreated(MessageView, ConversationView),
    /// A message changed: status, content, attributes.
    #[serde(rename = "message.updated")]
    MessageUpdated(MessageView, ConversationView, Changes),
    /// The first answer of a person in a conversation.
    #[serde(rename = "first.reply.created")]
    FirstReplyCreated(MessageView, ConversationView),
    /// A conversation was opened.
    #[serde(rename = "conversation.created")]
    ConversationCreated(ConversationView),
    /// A conversation was resolved, reopened, snoozed.
    #[serde(rename = "conversation.status_changed")]
    ConversationStatusChanged(ConversationView, Changes),
    /// One of the columns that the contract counts as an update changed.
    #[serde(rename = "conversation.updated")]
    ConversationUpdated(ConversationView, Changes),
    /// Agents have seen it up to now.
    #[serde(rename = "conversation.read")]
    ConversationRead(ConversationView),
    /// It was given to somebody else.
    #[serde(rename = "assignee.changed")]
    AssigneeChanged(ConversationView),
    /// It was given to another team.
    #[serde(rename = "team.changed")]
    TeamChanged(ConversationView),
    /// It belongs to another contact now: both were merged.
    #[serde(rename = "conversation.contact_changed")]
    ConversationContactChanged(ConversationView),
    /// An agent's macro tells an address of it; nobody else hears of it.
    #[serde(rename = "macro.executed")]
    MacroExecuted(ConversationView, MacroPost),
    /// A note mentions a user, whose id this is.
    #[serde(rename = "conversation.mentioned")]
    ConversationMentioned(ConversationView, i64),
    /// A user is told of something, and has so many unread notifications now.
    #[serde(rename = "notification.created")]
    NotificationCreated(Box<NotificationView>, i64),
    /// A notification was read or put off; not logged.
    #[serde(rename = "notification.updated")]
    NotificationUpdated(Box<NotificationView>, i64),
    /// A notification is gone.
    #[serde(rename = "notification.deleted")]
    NotificationDeleted {
        /// Which.
        id: i64,
        /// Whose.
        user_id: i64,
        /// How many unread ones there are now.
        unread: i64,
    },
    /// Somebody began to type; logged only where a webhook hears of it.
    #[serde(rename = "conversation.typing_on")]
    TypingOn(ConversationView, Sender, bool),
    /// Somebody stopped typing; logged only where a webhook hears of it.
    #[serde(rename = "conversation.typing_off")]
    TypingOff(ConversationView, Sender, bool),
    /// A visitor opened the chat of a website; for webhooks only.
    #[serde(rename = "webwidget.triggered")]
    WidgetTriggered(Box<VisitView>),
    /// A contact was stored.
    #[serde(rename = "contact.created")]
    ContactCreated(Arc<contact::Model>),
    /// A contact changed.
    #[serde(rename = "contact.updated")]
    ContactUpdated(Arc<contact::Model>, Changes),
    /// A contact was removed.
    #[serde(rename = "contact.deleted")]
    ContactDeleted(Arc<contact::Model>),
    /// A contact took another one over.
    #[serde(rename = "contact.merged")]
    ContactMerged(Arc<contact::Model>),
    /// An inbox was made; for webhooks only.
    #[serde(rename = "inbox.created")]
    InboxCreated(InboxView),
    /// What is told of an inbox changed; for webhooks only.
    #[serde(rename = "inbox.updated")]
    InboxUpdated(InboxView, Changes),
}

/// A visitor who opened the chat of a website.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VisitView {
    /// The inbox.
    pub inbox: InboxCard,
    /// The visitor.
    pub contact: Arc<contact::Model>,
    /// The visitor's identity in the inbox.
    pub contact_inbox: Arc<contact_inbox::Model>,
    /// The visitor's latest conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<ConversationView>,
    /// What the page tells of it: referer, time, custom attributes.
    pub event_info: Map<String, Value>,
}

/// Where a macro posts a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MacroPost {
    /// Which macro.
    pub macro_id: i64,
    /// The address, checked when the macro was saved.
    pub url: String,
}

/// Column → (before, after).
pub type Changes = Map<String, Value>;

/// What events show of an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountCard {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
}

/// What events show of an inbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InboxCard {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Such as `Channel::Api`.
    pub channel_type: String,
}

/// An inbox as it is told to webhooks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InboxView {
    /// Which.
    pub inbox: InboxCard,
    /// Its settings, in the contract's names.
    pub settings: Map<String, Value>,
    /// Its channel, without secrets.
    pub channel: Map<String, Value>,
}

/// A message with what belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageView {
    /// The row.
    pub message: message::Model,
    /// What it carries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<attachment::Model>,
    /// Who wrote it; none for activities. The contact is not logged again beside its conversation.
    #[serde(default, skip_serializing_if = "is_contact_or_none")]
    pub sender: Option<Sender>,
    /// The sending client's own id of the message, given back to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo_id: Option<String>,
}

impl Event {
    /// Reads an event as it was logged.
    ///
    /// # Errors
    /// If the text is no event of this version.
    pub fn parse(logged: &str) -> serde_json::Result<Self> {
        let mut event: Event = serde_json::from_str(logged)?;
        if let Fact::MessageCreated(message, view) | Fact::MessageUpdated(message, view, _) | Fact::FirstReplyCreated(message, view) =
            &mut event.fact
        {
            message.restore_sender(&view.contact);
        }
        if let Fact::NotificationCreated(told, _) | Fact::NotificationUpdated(told, _) = &mut event.fact
            && let Some(message) = &mut told.message
        {
            message.restore_sender(&told.conversation.contact);
        }
        if let Some(view) = event.fact.conversation_mut()
            && let Some(last) = &mut view.last_message
        {
            Arc::make_mut(last).restore_sender(&view.contact);
        }
        Ok(event)
    }
}

fn is_contact_or_none(sender: &Option<Sender>) -> bool {
    !matches!(sender, Some(Sender::User(_) | Sender::Bot(_)))
}

impl MessageView {
    fn restore_sender(&mut self, contact: &Arc<contact::Model>) {
        if self.sender.is_none() && self.message.sender_type == Some(SenderType::Contact) {
            self.sender = Some(Sender::Contact(contact.clone()));
        }
    }

    /// Whether the contact may see it.
    pub fn is_public(&self) -> bool {
        !self.message.private && self.message.message_type != MessageType::Activity
    }
}

/// A conversation with what belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConversationView {
    /// The row.
    pub conversation: Arc<conversation::Model>,
    /// The customer.
    pub contact: Arc<contact::Model>,
    /// The customer's identity in the inbox.
    pub contact_inbox: Arc<contact_inbox::Model>,
    /// The inbox.
    pub inbox: InboxCard,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee: Option<Assignee>,
    /// The team that it is given to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamCard>,
    /// The latest message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_message: Option<Arc<MessageView>>,
    /// Whether a reply may be written now.
    pub can_reply: bool,
}

/// A notification with what belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NotificationView {
    /// The row.
    pub notification: notification::Model,
    /// What it is about.
    pub conversation: ConversationView,
    /// The message that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageView>,
    /// The user who caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub performer: Option<UserCard>,
    /// Who is told.
    pub user: UserCard,
}

/// Who may hear of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The viewers of an inbox.
    Agents {
        /// The inbox.
        inbox_id: i64,
    },
    /// The viewers of an inbox, and the contact behind an identity.
    AgentsAndContact {
        /// The inbox.
        inbox_id: i64,
        /// The identity.
        contact_inbox_id: i64,
    },
    /// Everybody of the account.
    Account,
    /// One user.
    User {
        /// The user.
        user_id: i64,
    },
    /// No socket at all.
    Nobody,
}

impl Fact {
    /// The dotted name.
    pub fn name(&self) -> &'static str {
        match self {
            Fact::MessageCreated(..) => "message.created",
            Fact::MessageUpdated(..) => "message.updated",
            Fact::FirstReplyCreated(..) => "first.reply.created",
            Fact::ConversationCreated(..) => "conversation.created",
            Fact::ConversationStatusChanged(..) => "conversation.status_changed",
            Fact::ConversationUpdated(..) => "conversation.updated",
            Fact::ConversationRead(..) => "conversation.read",
            Fact::AssigneeChanged(..) => "assignee.changed",
            Fact::TeamChanged(..) => "team.changed",
            Fact::ConversationContactChanged(..) => "conversation.contact_changed",
            Fact::MacroExecuted(..) => "macro.executed",
            Fact::ConversationMentioned(..) => "conversation.mentioned",
            Fact::NotificationCreated(..) => "notification.created",
            Fact::NotificationUpdated(..) => "notification.updated",
            Fact::NotificationDeleted { .. } => "notification.deleted",
            Fact::TypingOn(..) => "conversation.typing_on",
            Fact::TypingOff(..) => "conversation.typing_off",
            Fact::WidgetTriggered(..) => "webwidget.triggered",
            Fact::ContactCreated(..) => "contact.created",
            Fact::ContactUpdated(..) => "contact.updated",
            Fact::ContactDeleted(..) => "contact.deleted",
            Fact::ContactMerged(..) => "contact.merged",
            Fact::InboxCreated(..) => "inbox.created",
            Fact::InboxUpdated(..) => "inbox.updated",
        }
    }

    /// Whether it is worth telling only now: nobody who was away is told of it, and no delivery of it is tried twice.
    pub fn is_momentary(&self) -> bool {
        matches!(self, Fact::TypingOn(..) | Fact::TypingOff(..))
    }

    /// The inbox it happened in.
    pub fn inbox_id(&self) -> Option<i64> {
        match self {
            Fact::InboxCreated(view) | Fact::InboxUpdated(view, _) => Some(view.inbox.id),
            Fact::WidgetTriggered(visit) => Some(visit.inbox.id),
            _ => self.conversation().map(|view| view.inbox.id),
        }
    }

    /// The conversation it is about.
    pub fn conversation(&self) -> Option<&ConversationView> {
        match self {
            Fact::MessageCreated(_, view)
            | Fact::MessageUpdated(_, view, _)
            | Fact::FirstReplyCreated(_, view)
            | Fact::ConversationCreated(view)
            | Fact::ConversationStatusChanged(view, _)
            | Fact::ConversationUpdated(view, _)
            | Fact::ConversationRead(view)
            | Fact::AssigneeChanged(view)
            | Fact::TeamChanged(view)
            | Fact::ConversationContactChanged(view)
            | Fact::MacroExecuted(view, _)
            | Fact::TypingOn(view, ..)
            | Fact::ConversationMentioned(view, _)
            | Fact::TypingOff(view, ..) => Some(view),
            Fact::NotificationCreated(told, _) | Fact::NotificationUpdated(told, _) => Some(&told.conversation),
            Fact::WidgetTriggered(visit) => visit.conversation.as_ref(),
            Fact::NotificationDeleted { .. }
            | Fact::ContactCreated(_)
            | Fact::ContactUpdated(..)
            | Fact::ContactDeleted(_)
            | Fact::ContactMerged(_)
            | Fact::InboxCreated(_)
            | Fact::InboxUpdated(..) => None,
        }
    }

    fn conversation_mut(&mut self) -> Option<&mut ConversationView> {
        match self {
            Fact::MessageCreated(_, view)
            | Fact::MessageUpdated(_, view, _)
            | Fact::FirstReplyCreated(_, view)
            | Fact::ConversationCreated(view)
            | Fact::ConversationStatusChanged(view, _)
            | Fact::ConversationUpdated(view, _)
            | Fact::ConversationRead(view)
            | Fact::AssigneeChanged(view)
            | Fact::TeamChanged(view)
            | Fact::ConversationContactChanged(view)
            | Fact::MacroExecuted(view, _)
            | Fact::TypingOn(view, ..)
            | Fact::ConversationMentioned(view, _)
            | Fact::TypingOff(view, ..) => Some(view),
            Fact::NotificationCreated(told, _) | Fact::NotificationUpdated(told, _) => Some(&mut told.conversation),
            Fact::WidgetTriggered(visit) => visit.conversation.as_mut(),
            Fact::NotificationDeleted { .. }
            | Fact::ContactCreated(_)
            | Fact::ContactUpdated(..)
            | Fact::ContactDeleted(_)
            | Fact::ContactMerged(_)
            | Fact::InboxCreated(_)
            | Fact::InboxUpdated(..) => None,
        }
    }

    /// Whether it may change how many conversations somebody has not read.
    pub fn changes_unread(&self) -> bool {
        match self {
            Fact::MessageCreated(message, _) => message.message.message_type == MessageType::Incoming,
            Fact::ConversationRead(_) | Fact::ConversationStatusChanged(..) | Fact::TeamChanged(_) => true,
            Fact::ConversationUpdated(_, changes) => changes.contains_key("labels"),
            _ => false,
        }
    }

    /// Who may hear of it (contract, section 7).
    pub fn audience(&self) -> Audience {
        match self {
            Fact::NotificationCreated(told, _) | Fact::NotificationUpdated(told, _) => return Audience::User { user_id: told.user.id },
            Fact::NotificationDeleted { user_id, .. } | Fact::ConversationMentioned(_, user_id) => {
                return Audience::User { user_id: *user_id };
            }
            Fact::InboxCreated(_) | Fact::InboxUpdated(..) | Fact::MacroExecuted(..) | Fact::WidgetTriggered(_) => {
                return Audience::Nobody;
            }
            _ => {}
        }
        let Some(view) = self.conversation() else { return Audience::Account };
        let inbox_id = view.inbox.id;
        let contact_hears = match self {
            Fact::MessageCreated(message, _) | Fact::MessageUpdated(message, ..) => message.is_public(),
            // Read marks are for the contact as well: its page shows what was read (`agent_last_seen_at`).
            Fact::ConversationCreated(_)
            | Fact::ConversationStatusChanged(..)
            | Fact::ConversationUpdated(..)
            | Fact::ConversationRead(_) => true,
            Fact::TypingOn(_, _, is_private) | Fact::TypingOff(_, _, is_private) => !is_private,
            _ => false,
        };
        match contact_hears {
            true => Audience::AgentsAndContact { inbox_id, contact_inbox_id: view.contact_inbox.id },
            false => Audience::Agents { inbox_id },
        }
    }
}

/// What changed between two forms of a row, for the columns named: column → [before, after] in the row's own JSON.
pub fn changes<T: Serialize>(before: &T, after: &T, columns: &[&str]) -> Changes {
    let object = |row: &T| match serde_json::to_value(row) {
        Ok(Value::Object(object)) => object,
        _ => Map::new(),
    };
    let (before, after) = (object(before), object(after));
    let mut changes = Changes::new();
    for column in columns {
        let (before, after) = (before.get(*column).unwrap_or(&Value::Null), after.get(*column).unwrap_or(&Value::Null));
        if before != after {
            changes.insert((*column).to_owned(), Value::Array(vec![before.clone(), after.clone()]));
        }
    }
    changes
}

/// The columns whose change the contract announces as `conversation.updated`.
pub const CONVERSATION_COLUMNS: &[&str] = &[
    "team_id",
    "assignee_id",
    "assignee_agent_bot_id",
    "status",
    "snoozed_until",
    "custom_attributes",
    "labels",
    "waiting_since",
    "first_reply_created_at",
    "priority",
];

/// The columns whose change the contract announces as `contact.updated`.
pub const CONTACT_COLUMNS: &[&str] = &[
    "name",
    "email",
    "phone_number",
    "identifier",
    "blocked",
    "additional_attributes",
    "custom_attributes",
    "avatar_url",
    "avatar_blob_id",
];

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::conversation::rules;
    use crate::message::{Key, Profile};
    use crate::people;
    use serde_json::json;

    /// A message of a contact in a conversation that is nobody's.
    pub fn view() -> (MessageView, ConversationView) {
        let now = entity::now();
        let contact =
            Arc::new(people::new_contact(1, &Profile { email: Some("ada@example.com".into()), ..Profile::default() }, "Ada", now));
        let contact_inbox = Arc::new(people::new_identity(&Key { inbox_id: 7, source_id: "ada".into() }, now));
        let conversation: conversation::Model = serde_json::from_value(json!({
            "id": 5, "account_id": 1, "display_id": 3, "uuid": uuid::Uuid::nil(), "inbox_id": 7, "contact_id": contact.id,
            "contact_inbox_id": contact_inbox.id, "status": "open", "labels": [], "unread_count": 1, "additional_attributes": {},
            "custom_attributes": {}, "last_activity_at": now, "created_at": now, "updated_at": now,
        }))
        .unwrap();
        let mut message = rules::message_of_rule(&conversation, MessageType::Incoming, "hello".into(), now);
        message.message.sender_type = Some(SenderType::Contact);
        message.sender = Some(Sender::Contact(contact.clone()));
        let inbox = InboxCard { id: 7, name: "App".into(), channel_type: "Channel::Api".into() };
        let last_message = Some(Arc::new(message.clone()));
        (
            message,
            ConversationView {
                conversation: Arc::new(conversation),
                contact,
                contact_inbox,
                inbox,
                assignee: None,
                team: None,
                last_message,
                can_reply: true,
            },
        )
    }

    #[test]
    fn a_logged_event_is_read_back_as_it_was() {
        let (message, conversation) = view();
        let bare = ConversationView { last_message: None, ..conversation.clone() };
        for fact in [Fact::MessageCreated(message, bare), Fact::ConversationUpdated(conversation, Changes::new())] {
            let event = Event { id: 9, account: AccountCard { id: 1, name: "A".into() }, at: entity::now(), performer: None, fact };
            let logged = serde_json::to_string(&event).unwrap();
            assert_eq!(logged.matches("ada@example.com").count(), 1, "the contact is logged once: {logged}");
            assert_eq!(Event::parse(&logged).unwrap(), event);
        }
    }

    #[test]
    fn contacts_hear_what_is_public() {
        let (message, conversation) = view();
        let agents = Audience::Agents { inbox_id: 7 };
        let both = Audience::AgentsAndContact { inbox_id: 7, contact_inbox_id: conversation.contact_inbox.id };
        let mut note = message.clone();
        note.message.private = true;
        let mut activity = message.clone();
        activity.message.message_type = MessageType::Activity;
        for (fact, audience) in [
            (Fact::MessageCreated(message, conversation.clone()), both),
            (Fact::MessageCreated(note, conversation.clone()), agents),
            (Fact::MessageCreated(activity, conversation.clone()), agents),
            (Fact::ConversationCreated(conversation.clone()), both),
            (Fact::AssigneeChanged(conversation.clone()), agents),
            (Fact::ConversationRead(conversation.clone()), both),
            (Fact::ContactCreated(conversation.contact.clone()), Audience::Account),
        ] {
            assert_eq!(fact.audience(), audience, "{}", fact.name());
        }
    }
}
