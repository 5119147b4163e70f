//! The forms that events and what they carry take on the wire: pushed to websockets (contract, section 7) and posted to
//! webhooks (section 8). REST answers embed the pushed forms.
//!
//! The traps are the contract's (section 12): a message type is a number here and a word at the top of a webhook; times are
//! epoch seconds here and ISO there; what is null in a push is absent in REST.
mod posted;

pub use posted::{WEBHOOK_EVENTS, bot_event_names, webhook_name};

use crate::event::{ConversationView, Event, Fact, MessageView, NotificationView};
use crate::files::{Files, is_shown_inline};
use crate::message::{Assignee, BotCard, Sender, UserCard};
use crate::presence::Presence;
use chrono::{DateTime, SecondsFormat, Utc};
use entity::message::SenderType;
use entity::notification::NotificationType;
use entity::{attachment, contact, contact_inbox};
use serde_json::{Value, json};

/// Renders the forms; knows how files are addressed and who is there.
#[derive(Clone)]
pub struct Wire {
    files: Files,
    presence: Presence,
}

/// Among the attributes of a message, and of the files in it that are sound: somebody spoke it.
pub const VOICE_MESSAGE: &str = "is_voice_message";

/// Epoch seconds.
pub fn epoch(time: DateTime<Utc>) -> i64 {
    time.timestamp()
}

/// Epoch seconds, 0 for none: how conversations show times.
pub fn epoch_or_zero(time: Option<DateTime<Utc>>) -> i64 {
    time.map_or(0, epoch)
}

/// Epoch seconds with a fraction: how conversations show `updated_at`.
pub fn epoch_fraction(time: DateTime<Utc>) -> f64 {
    let micros = f64::from(time.timestamp_subsec_micros()) / 1e6;
    #[allow(clippy::cast_precision_loss, reason = "seconds since 1970 fit into 53 bits for the next 285 million years")]
    let seconds = time.timestamp() as f64;
    seconds + micros
}

/// How many unread messages a conversation shows at most (contract, section 2, Conversations).
const UNREAD_CAP: i32 = 10;

/// How many unread messages are shown of a conversation.
pub fn unread_shown(count: i32) -> i32 {
    count.min(UNREAD_CAP)
}

/// ISO 8601 in UTC with milliseconds.
pub fn iso(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// As [`iso`], null for none.
pub fn iso_or_null(time: Option<DateTime<Utc>>) -> Value {
    time.map_or(Value::Null, |time| iso(time).into())
}

impl Wire {
    /// A renderer.
    pub fn new(files: Files, presence: Presence) -> Self {
        Wire { files, presence }
    }

    /// Who is there.
    pub fn presence(&self) -> &Presence {
        &self.presence
    }

    /// The address of a stored file.
    pub fn file_url(&self, key: &str, file_name: &str) -> String {
        self.files.url(key, file_name)
    }

    /// The `data` of a websocket event as the contact hears it: a visitor of a website learns nothing of the contact that agents, a form
    /// or the site take it for.
    pub fn push_data_for_contact(&self, event: &Event) -> Value {
        let mut data = self.push_data(event);
        if event.fact.conversation().is_some_and(|view| view.inbox.channel_type == WEBSITE) {
            hide_contact(&mut data);
        }
        data
    }

    /// The `data` of a websocket event.
    pub fn push_data(&self, event: &Event) -> Value {
        let mut data = match &event.fact {
            Fact::MessageCreated(message, conversation) | Fact::FirstReplyCreated(message, conversation) => {
                self.message(message, conversation)
            }
            Fact::MessageUpdated(message, conversation, changes) => {
                let mut data = self.message(message, conversation);
                set(&mut data, "previous_changes", Value::Object(changes.clone()));
                data
            }
            Fact::ConversationCreated(view)
            | Fact::ConversationStatusChanged(view, _)
            | Fact::ConversationUpdated(view, _)
            | Fact::ConversationRead(view)
            | Fact::AssigneeChanged(view)
            | Fact::TeamChanged(view)
            | Fact::ConversationContactChanged(view)
            | Fact::MacroExecuted(view, _)
            | Fact::ConversationMentioned(view, _) => self.conversation(view),
            Fact::NotificationCreated(told, unread) | Fact::NotificationUpdated(told, unread) => {
                let mut notification = self.notification(told);
                set(&mut notification, "account_id", event.account.id.into());
                json!({ "notification": notification, "unread_count": unread, "count": unread })
            }
            Fact::NotificationDeleted { id, unread, .. } => {
                json!({ "notification": { "id": id }, "unread_count": unread, "count": unread })
            }
            Fact::TypingOn(view, who, is_private) | Fact::TypingOff(view, who, is_private) => {
                json!({ "conversation": self.conversation(view), "user": self.sender(who, event.account.id), "is_private": is_private })
            }
            Fact::ContactCreated(contact)
            | Fact::ContactUpdated(contact, _)
            | Fact::ContactDeleted(contact)
            | Fact::ContactMerged(contact) => self.contact(contact),
            // No socket hears of these.
            Fact::InboxCreated(_) | Fact::InboxUpdated(..) | Fact::WidgetTriggered(_) => json!({}),
        };
        set(&mut data, "account_id", event.account.id.into());
        if let Some(performer) = &event.performer {
            set(&mut data, "performer", self.user(performer, event.account.id));
        }
        data
    }

    /// A message as websockets and REST lists of conversations show it (`MessagePush`).
    pub fn message(&self, view: &MessageView, conversation: &ConversationView) -> Value {
        let message = &view.message;
        let mut pushed = json!({
            "id": message.id,
            "content": message.content,
            "account_id": message.account_id,
            "inbox_id": message.inbox_id,
            "conversation_id": conversation.conversation.display_id,
            "message_type": message.message_type.number(),
            "created_at": epoch(message.created_at),
            "updated_at": iso(message.updated_at),
            "private": message.private,
            "status": message.status.name(),
            "source_id": message.source_id,
            "content_type": message.content_type,
            "content_attributes": message.content_attributes,
            "sender_type": message.sender_type.map(SenderType::name),
            "sender_id": message.sender_id,
            "external_source_ids": {},
            "additional_attributes": message.additional_attributes,
            "processed_message_content": message.content,
            "sentiment": {},
            "conversation": {
                "assignee_id": conversation.conversation.assignee_id,
                "unread_count": unread_shown(conversation.conversation.unread_count),
                "last_activity_at": epoch(conversation.conversation.last_activity_at),
                "contact_inbox": { "source_id": conversation.contact_inbox.source_id },
            },
        });
        self.add_optional(&mut pushed, view);
        pushed
    }

    /// `echo_id`, `attachments` and `sender`: there only when they are.
    pub fn add_optional(&self, object: &mut Value, view: &MessageView) {
        if let Some(echo_id) = &view.echo_id {
            set(object, "echo_id", echo_id.as_str().into());
        }
        if !view.attachments.is_empty() {
            set(object, "attachments", view.attachments.iter().map(|attachment| self.attachment(attachment)).collect());
        }
        if let Some(sender) = &view.sender {
            set(object, "sender", self.sender(sender, view.message.account_id));
        }
    }

    /// A conversation as websockets show it (`ConvPush`).
    pub fn conversation(&self, view: &ConversationView) -> Value {
        let conversation = &view.conversation;
        let last = view.last_message.iter().map(|message| self.message(message, view));
        json!({
            "additional_attributes": conversation.additional_attributes,
            "can_reply": view.can_reply,
            "channel": view.inbox.channel_type,
            "contact_inbox": contact_inbox(&view.contact_inbox),
            "id": conversation.display_id,
            "inbox_id": conversation.inbox_id,
            "messages": last.collect::<Vec<_>>(),
            "labels": conversation.labels,
            "meta": {
                "sender": self.contact(&view.contact),
                "assignee": view.assignee.as_ref().map(|assignee| match assignee {
                    Assignee::User(user) => self.user(user, conversation.account_id),
                    Assignee::Bot(bot) => self.bot(bot),
                }),
                "assignee_type": view.assignee.as_ref().map(|assignee| match assignee {
                    Assignee::User(_) => "User",
                    Assignee::Bot(_) => "AgentBot",
                }),
                "team": view.team,
                "hmac_verified": view.contact_inbox.hmac_verified,
            },
            "status": conversation.status.name(),
            "custom_attributes": conversation.custom_attributes,
            "snoozed_until": iso_or_null(conversation.snoozed_until),
            "unread_count": unread_shown(conversation.unread_count),
            "first_reply_created_at": iso_or_null(conversation.first_reply_created_at),
            "priority": conversation.priority.map(|priority| priority.name()),
            "waiting_since": epoch_or_zero(conversation.waiting_since),
            "agent_last_seen_at": epoch_or_zero(conversation.agent_last_seen_at),
            "contact_last_seen_at": epoch_or_zero(conversation.contact_last_seen_at),
            "last_activity_at": epoch(conversation.last_activity_at),
            "timestamp": epoch(conversation.last_activity_at),
            "created_at": epoch(conversation.created_at),
            "updated_at": epoch_fraction(conversation.updated_at),
        })
    }

    /// A notification, as pushed and as REST lists it (contract, section 2, Notifications).
    pub fn notification(&self, told: &NotificationView) -> Value {
        let row = &told.notification;
        let by_user = || told.performer.as_ref().map(|user| self.user(user, row.account_id));
        let caused_by = told.message.as_ref().map(|message| self.message(message, &told.conversation)).or_else(by_user);
        let said = told.message.as_ref().or(told.conversation.last_message.as_deref());
        json!({
            "id": row.id,
            "notification_type": row.notification_type.name(),
            "push_message_title": notification_title(told),
            "push_message_body": said.and_then(|said| said.message.content.clone()).unwrap_or_default(),
            "primary_actor_type": "Conversation",
            "primary_actor_id": row.conversation_id,
            "primary_actor": self.conversation(&told.conversation),
            "read_at": iso_or_null(row.read_at),
            "secondary_actor": caused_by,
            "user": self.user(&told.user, row.account_id),
            "created_at": epoch(row.created_at),
            "last_activity_at": epoch(row.last_activity_at),
            "snoozed_until": iso_or_null(row.snoozed_until),
            "meta": row.meta,
        })
    }

    /// Whoever wrote something.
    pub fn sender(&self, sender: &Sender, account_id: i64) -> Value {
        match sender {
            Sender::User(user) => self.user(user, account_id),
            Sender::Bot(bot) => self.bot(bot),
            Sender::Contact(contact) => self.contact(contact),
        }
    }

    /// A user (`UserPush`).
    pub fn user(&self, user: &UserCard, account_id: i64) -> Value {
        json!({
            "id": user.id,
            "name": user.name,
            "available_name": user.available_name,
            "avatar_url": user.avatar_url,
            "type": "user",
            "availability_status": self.presence.availability(account_id, user.id).name(),
            "thumbnail": user.avatar_url,
        })
    }

    /// A bot (`BotPush`).
    pub fn bot(&self, bot: &BotCard) -> Value {
        json!({ "id": bot.id, "name": bot.name, "avatar_url": bot.avatar_url, "type": "agent_bot" })
    }

    /// A contact (`ContactPush`).
    pub fn contact(&self, contact: &contact::Model) -> Value {
        json!({
            "additional_attributes": contact.additional_attributes,
            "custom_attributes": contact.custom_attributes,
            "email": contact.email,
            "id": contact.id,
            "identifier": contact.identifier,
            "name": contact.name,
            "phone_number": contact.phone_number,
            "thumbnail": self.contact_picture(contact),
            "blocked": contact.blocked,
            "type": "contact",
        })
    }

    /// The address of a contact's picture; empty when there is none.
    pub fn contact_picture(&self, contact: &contact::Model) -> String {
        let place = contact.avatar_url.as_deref().unwrap_or_default();
        match (contact.avatar_blob_id, place.split_once('/')) {
            (Some(_), Some((key, file_name))) => self.files.url(key, file_name),
            _ => place.to_owned(),
        }
    }

    /// An attachment.
    pub fn attachment(&self, attachment: &attachment::Model) -> Value {
        let mut shown = json!({
            "id": attachment.id,
            "message_id": attachment.message_id,
            "file_type": attachment.file_type,
            "account_id": attachment.account_id,
        });
        let text = |name: &str| attachment.meta.get(name).and_then(Value::as_str).unwrap_or_default();
        let url = match &attachment.external_url {
            Some(url) => url.clone(),
            None => self.files.url(text("key"), text("file_name")),
        };
        match attachment.file_type.as_str() {
            "location" => {
                set(&mut shown, "coordinates_lat", attachment.coordinates_lat.into());
                set(&mut shown, "coordinates_long", attachment.coordinates_long.into());
                set(&mut shown, "fallback_title", attachment.fallback_title.clone().into());
                set(&mut shown, "data_url", attachment.external_url.clone().into());
            }
            "contact" => {
                set(&mut shown, "fallback_title", attachment.fallback_title.clone().into());
                set(&mut shown, "meta", attachment.meta.clone());
            }
            "fallback" => {
                set(&mut shown, "fallback_title", attachment.fallback_title.clone().into());
                set(&mut shown, "data_url", attachment.external_url.clone().into());
            }
            "embed" => set(&mut shown, "data_url", attachment.external_url.clone().into()),
            kind => {
                let extension = text("file_name").rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
                let is_picture = kind == "image" && is_shown_inline(text("content_type"));
                set(&mut shown, "extension", extension.into());
                set(&mut shown, "content_type", text("content_type").into());
                set(&mut shown, "thumb_url", if is_picture { url.clone() } else { String::new() }.into());
                set(&mut shown, "data_url", url.into());
                set(&mut shown, "file_size", attachment.meta.get("byte_size").cloned().unwrap_or(Value::Null));
                set(&mut shown, "width", attachment.meta.get("width").cloned().unwrap_or(Value::Null));
                set(&mut shown, "height", attachment.meta.get("height").cloned().unwrap_or(Value::Null));
                if kind == "audio" {
                    set(&mut shown, "transcribed_text", text("transcribed_text").into());
                    let is_voice_message = attachment.meta.get(VOICE_MESSAGE).is_some_and(|is_voice| is_voice == true);
                    set(&mut shown, VOICE_MESSAGE, is_voice_message.into());
                }
            }
        }
        shown
    }
}

/// What a notification is headed with.
pub fn notification_title(told: &NotificationView) -> String {
    let number = told.conversation.conversation.display_id;
    match told.notification.notification_type {
        NotificationType::ConversationCreation => format!("A conversation (#{number}) was opened in {}", told.conversation.inbox.name),
        NotificationType::ConversationAssignment => format!("A conversation (#{number}) was assigned to you"),
        NotificationType::ConversationMention => format!("You were mentioned in conversation (#{number})"),
        NotificationType::AssignedConversationNewMessage | NotificationType::ParticipatingConversationNewMessage => {
            format!("A new message in conversation (#{number})")
        }
    }
}

/// The channel whose contacts anybody can claim to be.
pub const WEBSITE: &str = "Channel::WebWidget";

/// Leaves of every contact within a form only that it is one.
pub fn hide_contact(form: &mut Value) {
    match form {
        Value::Object(fields) if fields.get("type").is_some_and(|kind| kind == "contact") => {
            for (name, value) in fields.iter_mut().filter(|(name, _)| !["id", "type", "blocked"].contains(&name.as_str())) {
                *value = match name.as_str() {
                    "additional_attributes" | "custom_attributes" => json!({}),
                    "thumbnail" | "name" => "".into(),
                    _ => Value::Null,
                };
            }
        }
        Value::Object(fields) => fields.values_mut().for_each(hide_contact),
        Value::Array(list) => list.iter_mut().for_each(hide_contact),
        _ => {}
    }
}

/// The full row of an identity, as `ConvPush` carries it.
pub fn contact_inbox(row: &contact_inbox::Model) -> Value {
    json!({
        "id": row.id,
        "contact_id": row.contact_id,
        "inbox_id": row.inbox_id,
        "source_id": row.source_id,
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
        "hmac_verified": row.hmac_verified,
        "pubsub_token": row.pubsub_token,
    })
}

/// Sets a member of a JSON object.
pub fn set(object: &mut Value, name: &str, value: Value) {
    if let Value::Object(object) = object {
        object.insert(name.to_owned(), value);
    }
}
