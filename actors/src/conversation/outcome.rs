//! What comes of a message after it was written: it was sent, it failed, it is tried again or taken back. Pure: a row in, a row out.
use super::rules;
use super::{ConversationError, Outcome};
use crate::message::ProviderId;
use crate::store::OutgoingChange;
use crate::wire::set;
use chrono::{DateTime, Utc};
use entity::message::{self, MessageStatus, MessageType};
use serde_json::{Map, Value, json};

/// Where a message that is tried again keeps what it is sent with, in `additional_attributes`: the contract shows its own attributes
/// cleared, and it still goes to the same people.
pub const SENT_WITH: &str = "sent_with";

/// A message after what came of it, and what becomes of its row that waits.
pub fn settled(
    before: &message::Model,
    outcome: Outcome,
    now: DateTime<Utc>,
) -> Result<(message::Model, Option<OutgoingChange>), ConversationError> {
    let message_id = before.id;
    let mut after = before.clone();
    after.updated_at = now;
    let done = Some(OutgoingChange::Done { message_id });
    let outgoing = match outcome {
        Outcome::Sent(ProviderId(id)) => {
            after.status = rules::next_status(before.status, MessageStatus::Sent).unwrap_or(before.status);
            after.source_id = Some(id).filter(|id| !id.is_empty()).or(after.source_id);
            done
        }
        Outcome::Later { failures, due_at, error } => {
            return Ok((before.clone(), Some(OutgoingChange::Later { message_id, failures, due_at, error })));
        }
        Outcome::Failed(error) => {
            // What has failed already, or arrived after all, stays as it is: to tell of it again would have no end.
            let Some(status) = rules::next_status(before.status, MessageStatus::Failed) else { return Ok((before.clone(), done)) };
            after.status = status;
            set(&mut after.content_attributes, "external_error", error.into());
            done
        }
        Outcome::Reported(status, error, _) => {
            let Some(status) = rules::reported_status(before.status, status) else { return Ok((before.clone(), None)) };
            after.status = status;
            remove(&mut after.content_attributes, "external_error");
            if let Some(error) = error {
                set(&mut after.content_attributes, "external_error", error.into());
            }
            None
        }
        Outcome::Retry(_) => {
            let is_to_contact = matches!(before.message_type, MessageType::Outgoing | MessageType::Template) && !before.private;
            if !is_to_contact || before.content_attributes.get("deleted").is_some_and(|deleted| deleted == true) {
                return Err(ConversationError::Refused("Only what was written to the contact can be sent again".into()));
            }
            if before.status == MessageStatus::Queued {
                return Ok((before.clone(), None));
            }
            after.status = MessageStatus::Queued;
            after.content_attributes = json!({});
            let sent_with = sent_with(before);
            if !sent_with.is_empty() {
                set(&mut after.additional_attributes, SENT_WITH, Value::Object(sent_with));
            }
            Some(OutgoingChange::Queue { message_id })
        }
        Outcome::Submitted(values, email) => {
            if let Some(words) = rules::answer_refusal(before, email.as_deref()) {
                return Err(ConversationError::Refused(words));
            }
            set(&mut after.content_attributes, "submitted_values", values);
            if let Some(email) = email {
                set(&mut after.content_attributes, "submitted_email", email.into());
            }
            None
        }
        Outcome::Delete(_) => {
            after.content = Some("This message was deleted".into());
            after.content_type = "text".into();
            after.content_attributes = json!({ "deleted": true });
            if after.status == MessageStatus::Queued {
                after.status = MessageStatus::Failed;
            }
            done
        }
    };
    Ok((after, outgoing))
}

/// The attributes that a message is sent with: its own, and those it had before it was tried again.
pub fn sent_with(message: &message::Model) -> Map<String, Value> {
    let object = |value: Option<&Value>| value.and_then(Value::as_object).cloned().unwrap_or_default();
    let mut attributes = object(message.additional_attributes.get(SENT_WITH));
    attributes.extend(object(Some(&message.content_attributes)));
    attributes.remove("external_error");
    attributes
}

fn remove(object: &mut Value, name: &str) {
    if let Value::Object(object) = object {
        object.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::super::rules::message_of_rule;
    use super::super::rules::tests::conversation;
    use super::*;
    use crate::message::UserCard;
    use entity::conversation::Status;

    fn agent() -> UserCard {
        UserCard { id: 3, name: "Grace".into(), available_name: "Grace".into(), email: "g@example.com".into(), avatar_url: String::new() }
    }

    fn message(status: MessageStatus, content_attributes: Value) -> message::Model {
        let message = message_of_rule(&conversation(Status::Open), MessageType::Outgoing, "hi".into(), entity::now()).message;
        message::Model { id: 9, status, content_attributes, ..message }
    }

    #[test]
    fn whatever_was_written_to_the_contact_is_sent_again() {
        let now = entity::now();
        for status in [MessageStatus::Sent, MessageStatus::Delivered, MessageStatus::Read, MessageStatus::Failed] {
            let before = message(status, json!({ "cc_emails": ["a@b.example"], "external_error": "no" }));
            let (after, outgoing) = settled(&before, Outcome::Retry(agent()), now).unwrap();
            assert_eq!((after.status, &after.content_attributes), (MessageStatus::Queued, &json!({})), "{status:?}");
            assert!(matches!(outgoing, Some(OutgoingChange::Queue { message_id: 9 })), "{status:?}");
            assert_eq!(Value::Object(sent_with(&after)), json!({ "cc_emails": ["a@b.example"] }), "it goes to the same people");
            let failed = message::Model { status: MessageStatus::Failed, content_attributes: json!({ "external_error": "no" }), ..after };
            let (again, _) = settled(&failed, Outcome::Retry(agent()), now).unwrap();
            assert_eq!(Value::Object(sent_with(&again)), json!({ "cc_emails": ["a@b.example"] }), "however often it is tried");
        }
        let waits = message(MessageStatus::Queued, json!({ "cc_emails": [] }));
        let (after, outgoing) = settled(&waits, Outcome::Retry(agent()), now).unwrap();
        assert!(after == waits && outgoing.is_none(), "what waits is sent anyway");
        let note = message::Model { private: true, ..message(MessageStatus::Sent, json!({})) };
        let heard = message::Model { message_type: MessageType::Incoming, ..message(MessageStatus::Sent, json!({})) };
        for refused in [note, heard, message(MessageStatus::Failed, json!({ "deleted": true }))] {
            assert!(settled(&refused, Outcome::Retry(agent()), now).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn a_report_brings_its_own_error_or_none() {
        let failed = message(MessageStatus::Failed, json!({ "external_error": "no route", "a": 1 }));
        let (sent, _) = settled(&failed, Outcome::Reported(MessageStatus::Sent, None, agent()), entity::now()).unwrap();
        assert_eq!((sent.status, sent.content_attributes), (MessageStatus::Sent, json!({ "a": 1 })));
        let delivered = message(MessageStatus::Delivered, json!({}));
        let (failed, _) =
            settled(&delivered, Outcome::Reported(MessageStatus::Failed, Some("lost".into()), agent()), entity::now()).unwrap();
        assert_eq!((failed.status, failed.content_attributes), (MessageStatus::Failed, json!({ "external_error": "lost" })));
    }
}
