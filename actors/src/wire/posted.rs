//! What webhooks are posted: the bodies, and the names under which they hear of events (contract, section 8).
use super::{Wire, iso, set};
use crate::event::{Changes, ConversationView, Event, Fact, InboxView, MessageView};
use crate::message::Sender;
use entity::contact;
use entity::conversation::Status;
use entity::message::MessageType;
use serde_json::{Map, Value, json};

impl Wire {
    /// The body posted to webhooks, if they hear of it (contract, section 8).
    pub fn webhook_body(&self, event: &Event) -> Option<Value> {
        let name = match &event.fact {
            Fact::MacroExecuted(..) => event.fact.name(),
            fact => webhook_name(fact)?,
        };
        let mut body = match &event.fact {
            Fact::MessageCreated(message, conversation) | Fact::MessageUpdated(message, conversation, _) => {
                self.webhook_message(event, message, conversation)
            }
            Fact::ConversationCreated(view) | Fact::MacroExecuted(view, _) => self.webhook_conversation(event, view),
            Fact::ConversationStatusChanged(view, changes) | Fact::ConversationUpdated(view, changes) => {
                let mut body = self.webhook_conversation(event, view);
                set(&mut body, "changed_attributes", changed_attributes(changes));
                body
            }
            Fact::ContactCreated(contact) => self.webhook_contact(event, contact),
            Fact::ContactUpdated(contact, changes) => {
                let mut body = self.webhook_contact(event, contact);
                set(&mut body, "changed_attributes", changed_attributes(changes));
                body
            }
            Fact::TypingOn(view, who, is_private) | Fact::TypingOff(view, who, is_private) => json!({
                "user": self.sender(who, event.account.id),
                "conversation": self.webhook_conversation(event, view),
                "is_private": is_private,
            }),
            Fact::WidgetTriggered(visit) => json!({
                "id": visit.contact_inbox.id,
                "contact": self.webhook_contact(event, &visit.contact),
                "inbox": { "id": visit.inbox.id, "name": visit.inbox.name },
                "account": event.account,
                "current_conversation": visit.conversation.as_ref().map(|view| self.webhook_conversation(event, view)),
                "source_id": visit.contact_inbox.source_id,
                "event_info": visit.event_info,
            }),
            Fact::InboxCreated(view) => webhook_inbox(event, view),
            Fact::InboxUpdated(view, changes) => {
                let mut body = webhook_inbox(event, view);
                set(&mut body, "changed_attributes", changed_attributes(changes));
                body
            }
            _ => return None,
        };
        set(&mut body, "event", name.into());
        Some(body)
    }

    fn webhook_message(&self, event: &Event, view: &MessageView, conversation: &ConversationView) -> Value {
        let message = &view.message;
        let sender = view.sender.as_ref().map(|sender| match sender {
            Sender::User(user) => json!({ "id": user.id, "name": user.name, "email": user.email, "type": "user" }),
            Sender::Bot(bot) => json!({ "id": bot.id, "name": bot.name, "type": "agent_bot" }),
            Sender::Contact(contact) => self.webhook_contact(event, contact),
        });
        let mut with_message = conversation.clone();
        with_message.last_message = Some(std::sync::Arc::new(view.clone()));
        let mut body = json!({
            "account": event.account,
            "additional_attributes": message.additional_attributes,
            "content_attributes": message.content_attributes,
            "content_type": message.content_type,
            "content": message.content.as_deref().map(webhook_content),
            "conversation": self.webhook_conversation(event, &with_message),
            "created_at": iso(message.created_at),
            "id": message.id,
            "inbox": { "id": conversation.inbox.id, "name": conversation.inbox.name },
            "message_type": message.message_type.name(),
            "private": message.private,
            "sender": sender,
            "source_id": message.source_id,
        });
        if !view.attachments.is_empty() {
            set(&mut body, "attachments", view.attachments.iter().map(|attachment| self.attachment(attachment)).collect());
        }
        body
    }

    fn webhook_conversation(&self, event: &Event, view: &ConversationView) -> Value {
        let mut body = self.conversation(view);
        for message in body.get_mut("messages").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(content) = message.get("content").and_then(Value::as_str).map(webhook_content) {
                set(message, "content", content.into());
            }
        }
        set(&mut body, "account", json!(event.account));
        body
    }

    fn webhook_contact(&self, event: &Event, contact: &contact::Model) -> Value {
        let avatar = self.contact_picture(contact);
        json!({
            "account": event.account,
            "additional_attributes": contact.additional_attributes,
            "avatar": avatar,
            "custom_attributes": contact.custom_attributes,
            "email": contact.email,
            "id": contact.id,
            "identifier": contact.identifier,
            "name": contact.name,
            "phone_number": contact.phone_number,
            "thumbnail": avatar,
            "blocked": contact.blocked,
        })
    }
}

/// The underscored name under which webhooks hear of a fact, if they do; never of activities.
pub fn webhook_name(fact: &Fact) -> Option<&'static str> {
    match fact {
        Fact::MessageCreated(view, _) | Fact::MessageUpdated(view, ..) if view.message.message_type == MessageType::Activity => None,
        Fact::MessageCreated(..) => Some("message_created"),
        Fact::MessageUpdated(..) => Some("message_updated"),
        Fact::ConversationCreated(_) => Some("conversation_created"),
        Fact::ConversationStatusChanged(..) => Some("conversation_status_changed"),
        Fact::ConversationUpdated(..) => Some("conversation_updated"),
        Fact::ContactCreated(_) => Some("contact_created"),
        Fact::ContactUpdated(..) => Some("contact_updated"),
        Fact::InboxCreated(_) => Some("inbox_created"),
        Fact::InboxUpdated(..) => Some("inbox_updated"),
        Fact::TypingOn(..) => Some("conversation_typing_on"),
        Fact::TypingOff(..) => Some("conversation_typing_off"),
        Fact::WidgetTriggered(_) => Some("webwidget_triggered"),
        _ => None,
    }
}

/// The underscored names under which a bot hears of a fact (contract, section 8).
pub fn bot_event_names(fact: &Fact) -> Vec<&'static str> {
    match (fact, webhook_name(fact)) {
        (Fact::ConversationStatusChanged(view, _), Some(name)) => match view.conversation.status {
            Status::Open => vec!["conversation_opened", name],
            Status::Resolved => vec!["conversation_resolved", name],
            Status::Pending | Status::Snoozed => vec![name],
        },
        (Fact::MessageCreated(..) | Fact::MessageUpdated(..) | Fact::ConversationUpdated(..) | Fact::WidgetTriggered(_), Some(name)) => {
            vec![name]
        }
        _ => Vec::new(),
    }
}

/// Every event a webhook may subscribe to (contract, section 8). Those after the seventh are told only where they are named.
pub const WEBHOOK_EVENTS: &[&str] = &[
    "conversation_created",
    "conversation_status_changed",
    "conversation_updated",
    "message_created",
    "message_updated",
    "contact_created",
    "contact_updated",
    "webwidget_triggered",
    "inbox_created",
    "inbox_updated",
    "conversation_typing_on",
    "conversation_typing_off",
];

/// An inbox without id and name, as the contract has it.
fn webhook_inbox(event: &Event, view: &InboxView) -> Value {
    let mut body = Value::Object(view.settings.clone());
    set(&mut body, "channel", Value::Object(view.channel.clone()));
    set(&mut body, "account", json!(event.account));
    body
}

/// What programs are to read of a text: the editor of agents ends a line that goes on with a backslash, and texts with empty
/// lines.
fn webhook_content(content: &str) -> String {
    content.replace("\\\r\n", "\n").replace("\\\n", "\n").trim_end_matches('\n').to_owned()
}

fn changed_attributes(changes: &Changes) -> Value {
    let one = |(column, pair): (&String, &Value)| {
        let mut change = Map::new();
        let column = if column == "labels" { "label_list" } else { column };
        change.insert(column.to_owned(), json!({ "previous_value": pair.get(0), "current_value": pair.get(1) }));
        Value::Object(change)
    };
    match changes.is_empty() {
        true => Value::Null,
        false => changes.iter().map(one).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_read_texts_without_the_editor_s_marks() {
        for (written, told) in [
            ("hello\n\n", "hello"),
            ("one\\\ntwo\\\nthree", "one\ntwo\nthree"),
            ("one\\\r\ntwo", "one\ntwo"),
            ("one\n\\\ntwo", "one\n\ntwo"),
            ("last\\\n", "last"),
            ("C:\\temp\\", "C:\\temp\\"),
            ("a \\* b", "a \\* b"),
            ("", ""),
        ] {
            assert_eq!(webhook_content(written), told, "{written:?}");
        }
    }
}
