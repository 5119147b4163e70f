//! What comes of a message after it was written: it was sent, it failed, it is tried again, changed or taken back, its files arrive,
//! its contact reacts. Pure: a row in, a row out.
use super::rules;
use super::{ConversationError, Outcome};
use crate::message::{Amendment, Capabilities, Progress, ProviderId};
use crate::store::{NewFile, OutgoingChange};
use crate::wire::set;
use chrono::{DateTime, Utc};
use entity::message::{self, MessageStatus, MessageType};
use entity::outgoing::Action;
use serde_json::{Map, Value, json};

/// Where a message that is tried again keeps what it is sent with, in `additional_attributes`: the contract shows its own attributes
/// cleared, and it still goes to the same people.
pub const SENT_WITH: &str = "sent_with";

/// Where an edited message keeps what it said at first.
const PREVIOUS_CONTENT: &str = "previous_content";
/// When it was edited last, in seconds.
const EDITED_AT: &str = "edited_at";
/// The emojis that contacts have put on it.
const REACTIONS: &str = "reactions";
/// The files that are not here yet, and those that will never be.
pub const PENDING_ATTACHMENTS: &str = "pending_attachments";
/// See [`PENDING_ATTACHMENTS`].
pub const SKIPPED_ATTACHMENTS: &str = "skipped_attachments";

/// What follows from what came of a message.
#[derive(Debug)]
pub struct Settled {
    /// The message.
    pub after: message::Model,
    /// What becomes of its row that waits.
    pub outgoing: Option<OutgoingChange>,
    /// A file that it has from now on.
    pub file: Option<NewFile>,
    /// The row of `downloads` that is done.
    pub fetched: Option<i64>,
}

/// A message after what came of it. `contact_id` is whose conversation it stands in.
pub fn settled(
    before: &message::Model,
    outcome: Outcome,
    contact_id: i64,
    capabilities: &Capabilities,
    now: DateTime<Utc>,
) -> Result<Settled, ConversationError> {
    let message_id = before.id;
    let mut after = before.clone();
    let (mut file, mut fetched) = (None, None);
    let done = Some(OutgoingChange::Done { message_id, since: None, parts: Vec::new() });
    let outgoing = match outcome {
        Outcome::Sent(ProviderId(id), parts) => {
            after.status = rules::next_status(before.status, MessageStatus::Sent).unwrap_or(before.status);
            let has_gone = is_deleted(before) && capabilities.deletions && !id.is_empty();
            after.source_id = Some(id).filter(|id| !id.is_empty()).or(after.source_id);
            let parts: Vec<String> = parts.into_iter().flatten().collect();
            let parts = if parts.len() > 1 { parts } else { Vec::new() };
            match has_gone {
                // Taken back while it was on its way.
                true => Some(OutgoingChange::Queue { message_id, action: Action::Delete }),
                false => Some(OutgoingChange::Done { message_id, since: None, parts }),
            }
        }
        Outcome::Later { failures, due_at, error, sent_parts } => {
            Some(OutgoingChange::Later { message_id, failures, due_at, error, sent_parts })
        }
        Outcome::Failed(error) => {
            // What has failed already, or arrived after all, stays as it is: to tell of it again would have no end.
            if let Some(status) = rules::next_status(before.status, MessageStatus::Failed) {
                after.status = status;
                set(&mut after.content_attributes, "external_error", error.into());
            }
            done
        }
        Outcome::Revised(since, refused) => {
            remove(&mut after.content_attributes, "external_error");
            if let Some(words) = refused {
                set(&mut after.content_attributes, "external_error", words.into());
            }
            Some(OutgoingChange::Done { message_id, since: Some(since), parts: Vec::new() })
        }
        Outcome::Amended(amendment, provider_id) => {
            amend(&mut after, amendment, contact_id);
            // A receipt settles a sending whose outcome was unknown.
            let is_settled = before.status == MessageStatus::Queued && after.status != MessageStatus::Queued;
            if is_settled && after.source_id.is_none() {
                after.source_id = Some(provider_id);
            }
            done.filter(|_| is_settled)
        }
        Outcome::Fetched { download_id, file: here } => {
            fetched = Some(download_id);
            file = Some(*here).filter(|_| !is_deleted(before));
            take_pending(&mut after.content_attributes);
            None
        }
        Outcome::Lost { download_id, file_name, reason } => {
            fetched = Some(download_id);
            take_pending(&mut after.content_attributes);
            if !is_deleted(before) {
                let mut skipped = list(&after.content_attributes, SKIPPED_ATTACHMENTS);
                skipped.push(json!({ "file_name": file_name, "reason": reason }));
                set(&mut after.content_attributes, SKIPPED_ATTACHMENTS, skipped.into());
            }
            None
        }
        Outcome::Reported(status, error, _) => {
            if let Some(status) = rules::reported_status(before.status, status) {
                after.status = status;
                remove(&mut after.content_attributes, "external_error");
                if let Some(error) = error {
                    set(&mut after.content_attributes, "external_error", error.into());
                }
            }
            None
        }
        Outcome::Retry(_) => {
            if !is_to_contact(before) || is_deleted(before) {
                return Err(ConversationError::Refused("Only what was written to the contact can be sent again".into()));
            }
            if before.status != MessageStatus::Queued {
                after.status = MessageStatus::Queued;
                after.content_attributes = json!({});
                let sent_with = sent_with(before);
                if !sent_with.is_empty() {
                    set(&mut after.additional_attributes, SENT_WITH, Value::Object(sent_with));
                }
            }
            (after.status != before.status).then_some(OutgoingChange::Queue { message_id, action: Action::Send })
        }
        Outcome::Edit(content, _) => {
            if let Some(words) = edit_refusal(before, &content, capabilities) {
                return Err(ConversationError::Refused(words));
            }
            edit(&mut after, content, now);
            Some(OutgoingChange::Queue { message_id, action: Action::Edit })
        }
        Outcome::Submitted(values, email) => {
            if let Some(words) = rules::answer_refusal(before, &values, email.as_deref(), now) {
                return Err(ConversationError::Refused(words));
            }
            set(&mut after.content_attributes, "submitted_values", values);
            if let Some(email) = email {
                set(&mut after.content_attributes, "submitted_email", email.into());
            }
            None
        }
        Outcome::Delete(_) => {
            take_back(&mut after);
            let is_there = capabilities.deletions && is_to_contact(before) && before.source_id.is_some() && !is_deleted(before);
            match is_there && before.status != MessageStatus::Queued {
                true => Some(OutgoingChange::Queue { message_id, action: Action::Delete }),
                false => done,
            }
        }
    };
    if after != *before {
        after.updated_at = now;
    }
    Ok(Settled { after, outgoing, file, fetched })
}

fn amend(after: &mut message::Model, amendment: Amendment, contact_id: i64) {
    match amendment {
        Amendment::Receipt(progress) => {
            let (status, error) = match progress {
                Progress::Sent => (MessageStatus::Sent, None),
                Progress::Delivered => (MessageStatus::Delivered, None),
                Progress::Read => (MessageStatus::Read, None),
                Progress::Failed(words) => (MessageStatus::Failed, Some(words)),
            };
            let Some(status) = rules::next_status(after.status, status).filter(|_| is_to_contact(after)) else { return };
            after.status = status;
            remove(&mut after.content_attributes, "external_error");
            if let Some(words) = error {
                set(&mut after.content_attributes, "external_error", words.into());
            }
        }
        Amendment::Edit(content, at) => {
            let is_late = after.content_attributes.get(EDITED_AT).and_then(Value::as_i64).is_some_and(|last| last > at.timestamp());
            if let Some(content) = content.filter(|_| !is_late && !is_deleted(after)) {
                edit(after, content, at);
            }
        }
        Amendment::Deletion => take_back(after),
        Amendment::Reaction(emojis, at) => {
            let of_contact = |reaction: &Value| reaction.get("contact_id").and_then(Value::as_i64) == Some(contact_id);
            let last = after.additional_attributes.get("reacted_at").and_then(Value::as_i64);
            if last.is_some_and(|last| last > at.timestamp()) || is_deleted(after) {
                return;
            }
            set(&mut after.additional_attributes, "reacted_at", at.timestamp().into());
            let mut reactions = list(&after.content_attributes, REACTIONS);
            reactions.retain(|reaction| !of_contact(reaction));
            reactions.extend(emojis.into_iter().map(|emoji| json!({ "emoji": emoji, "contact_id": contact_id })));
            if reactions.is_empty() {
                remove(&mut after.content_attributes, REACTIONS);
            } else {
                set(&mut after.content_attributes, REACTIONS, reactions.into());
            }
        }
    }
}

/// Why an agent cannot change what a message says, in words for the agent.
fn edit_refusal(message: &message::Model, content: &str, capabilities: &Capabilities) -> Option<String> {
    let length = content.chars().count();
    let words = match () {
        () if !capabilities.edits => "This channel cannot change messages that were sent",
        () if !is_to_contact(message) || is_deleted(message) => "Only what was written to the contact can be changed",
        () if message.status == MessageStatus::Queued => "The message is on its way: change it once it was sent",
        () if message.source_id.is_none() => "The provider does not have this message: write a new one",
        () if content.trim().is_empty() => "Content can't be blank",
        () if length > capabilities.content_limit => "Content is too long for this channel",
        () => return None,
    };
    Some(words.into())
}

fn edit(message: &mut message::Model, content: String, at: DateTime<Utc>) {
    if message.content_attributes.get(PREVIOUS_CONTENT).is_none() {
        set(&mut message.content_attributes, PREVIOUS_CONTENT, message.content.clone().into());
    }
    set(&mut message.content_attributes, EDITED_AT, at.timestamp().into());
    message.content = Some(content);
}

fn take_back(message: &mut message::Model) {
    message.content = Some("This message was deleted".into());
    message.content_type = "text".into();
    message.content_attributes = json!({ "deleted": true });
    if message.status == MessageStatus::Queued {
        message.status = MessageStatus::Failed;
    }
}

fn is_deleted(message: &message::Model) -> bool {
    message.content_attributes.get("deleted").is_some_and(|deleted| deleted == true)
}

fn is_to_contact(message: &message::Model) -> bool {
    matches!(message.message_type, MessageType::Outgoing | MessageType::Template) && !message.private
}

/// Files of a message come in their order: the first that is waited for is the one.
fn take_pending(attributes: &mut Value) {
    let mut pending = list(attributes, PENDING_ATTACHMENTS);
    if pending.len() > 1 {
        pending.remove(0);
        set(attributes, PENDING_ATTACHMENTS, pending.into());
    } else {
        remove(attributes, PENDING_ATTACHMENTS);
    }
}

fn list(attributes: &Value, name: &str) -> Vec<Value> {
    attributes.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
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
            let Settled { after, outgoing, .. } = settled(&before, Outcome::Retry(agent()), 1, &Capabilities::PLAIN, now).unwrap();
            assert_eq!((after.status, &after.content_attributes), (MessageStatus::Queued, &json!({})), "{status:?}");
            assert!(matches!(outgoing, Some(OutgoingChange::Queue { message_id: 9, action: Action::Send })), "{status:?}");
            assert_eq!(Value::Object(sent_with(&after)), json!({ "cc_emails": ["a@b.example"] }), "it goes to the same people");
            let failed = message::Model { status: MessageStatus::Failed, content_attributes: json!({ "external_error": "no" }), ..after };
            let again = settled(&failed, Outcome::Retry(agent()), 1, &Capabilities::PLAIN, now).unwrap().after;
            assert_eq!(Value::Object(sent_with(&again)), json!({ "cc_emails": ["a@b.example"] }), "however often it is tried");
        }
        let waits = message(MessageStatus::Queued, json!({ "cc_emails": [] }));
        let Settled { after, outgoing, .. } = settled(&waits, Outcome::Retry(agent()), 1, &Capabilities::PLAIN, now).unwrap();
        assert!(after == waits && outgoing.is_none(), "what waits is sent anyway");
        let note = message::Model { private: true, ..message(MessageStatus::Sent, json!({})) };
        let heard = message::Model { message_type: MessageType::Incoming, ..message(MessageStatus::Sent, json!({})) };
        for refused in [note, heard, message(MessageStatus::Failed, json!({ "deleted": true }))] {
            assert!(settled(&refused, Outcome::Retry(agent()), 1, &Capabilities::PLAIN, now).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn a_report_brings_its_own_error_or_none() {
        let failed = message(MessageStatus::Failed, json!({ "external_error": "no route", "a": 1 }));
        let report = |message: &message::Model, outcome| settled(message, outcome, 1, &Capabilities::PLAIN, entity::now()).unwrap().after;
        let sent = report(&failed, Outcome::Reported(MessageStatus::Sent, None, agent()));
        assert_eq!((sent.status, sent.content_attributes), (MessageStatus::Sent, json!({ "a": 1 })));
        let delivered = message(MessageStatus::Delivered, json!({}));
        let failed = report(&delivered, Outcome::Reported(MessageStatus::Failed, Some("lost".into()), agent()));
        assert_eq!((failed.status, failed.content_attributes), (MessageStatus::Failed, json!({ "external_error": "lost" })));
    }

    #[test]
    fn a_message_only_rises_and_fails_before_it_arrives() {
        use MessageStatus::{Delivered, Failed, Queued, Read, Sent};
        let failed = || Progress::Failed("blocked".into());
        for (before, progress, after, waits_no_more) in [
            (Queued, Progress::Sent, Sent, true),
            (Queued, Progress::Read, Read, true),
            (Queued, failed(), Failed, true),
            (Sent, Progress::Delivered, Delivered, false),
            (Sent, failed(), Failed, false),
            (Delivered, Progress::Sent, Delivered, false),
            (Delivered, failed(), Delivered, false),
            (Read, Progress::Delivered, Read, false),
            (Failed, Progress::Sent, Failed, false),
            (Failed, Progress::Delivered, Delivered, false),
        ] {
            let had = if before == Failed { json!({ "external_error": "old" }) } else { json!({}) };
            let outcome = Outcome::Amended(Amendment::Receipt(progress.clone()), "wamid.1".into());
            let Settled { after: settled, outgoing, .. } =
                settled(&message(before, had), outcome, 1, &Capabilities::PLAIN, entity::now()).unwrap();
            assert_eq!((settled.status, outgoing.is_some()), (after, waits_no_more), "{before:?} {progress:?}");
            assert_eq!(settled.source_id.as_deref(), Some("wamid.1").filter(|_| waits_no_more), "{before:?} {progress:?}");
            let words = settled.content_attributes.get("external_error").and_then(Value::as_str);
            let expected = match (before, after) {
                (Failed, Failed) => Some("old"),
                (_, Failed) => Some("blocked"),
                _ => None,
            };
            assert_eq!(words, expected, "{before:?} {progress:?}");
        }
    }

    #[test]
    fn edits_and_reactions_follow_the_provider_s_clock() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let heard = message::Model { message_type: MessageType::Incoming, ..message(MessageStatus::Sent, json!({})) };
        let amended = |message: &message::Model, amendment| {
            settled(message, Outcome::Amended(amendment, "1".into()), 4, &Capabilities::PLAIN, entity::now()).unwrap().after
        };
        let edited = amended(&heard, Amendment::Edit(Some("two".into()), at(20)));
        let edited = amended(&edited, Amendment::Edit(Some("three".into()), at(30)));
        let late = amended(&edited, Amendment::Edit(Some("two again".into()), at(25)));
        assert_eq!(late, edited);
        assert_eq!(edited.content.as_deref(), Some("three"));
        assert_eq!(edited.content_attributes, json!({ "previous_content": "hi", "edited_at": 30 }));

        let loved = amended(&heard, Amendment::Reaction(vec!["❤".into()], at(20)));
        assert_eq!(loved.content_attributes, json!({ "reactions": [{ "emoji": "❤", "contact_id": 4 }] }));
        assert_eq!(amended(&loved, Amendment::Reaction(Vec::new(), at(10))), loved, "what was so before");
        assert_eq!(amended(&loved, Amendment::Reaction(Vec::new(), at(21))).content_attributes, json!({}));

        let gone = amended(&loved, Amendment::Deletion);
        assert_eq!((gone.content.as_deref(), &gone.content_attributes), (Some("This message was deleted"), &json!({ "deleted": true })));
        assert_eq!(amended(&gone, Amendment::Edit(Some("back".into()), at(40))), gone);
    }

    #[test]
    fn what_the_provider_has_is_changed_there_too() {
        let channel = Capabilities { edits: true, deletions: true, ..Capabilities::PLAIN };
        let sent = message::Model { source_id: Some("5:1".into()), ..message(MessageStatus::Sent, json!({})) };
        let of = |message: &message::Model, outcome, channel| settled(message, outcome, 1, channel, entity::now());
        let edited = of(&sent, Outcome::Edit("better".into(), agent()), &channel).unwrap();
        assert!(matches!(edited.outgoing, Some(OutgoingChange::Queue { action: Action::Edit, .. })), "{edited:?}");
        assert_eq!(edited.after.content.as_deref(), Some("better"));
        let refused = of(&edited.after, Outcome::Revised(sent.created_at, Some("too old".into())), &channel).unwrap().after;
        assert_eq!(refused.content_attributes.get("external_error"), Some(&json!("too old")));
        let gone = of(&sent, Outcome::Delete(agent()), &channel).unwrap();
        assert!(matches!(gone.outgoing, Some(OutgoingChange::Queue { action: Action::Delete, .. })), "{gone:?}");
        let gone = of(&sent, Outcome::Delete(agent()), &Capabilities::PLAIN).unwrap();
        assert!(matches!(gone.outgoing, Some(OutgoingChange::Done { .. })), "{gone:?}");
        // Taken back while it was on its way.
        let queued = message::Model { source_id: None, ..message(MessageStatus::Queued, json!({})) };
        let withdrawn = of(&queued, Outcome::Delete(agent()), &channel).unwrap().after;
        let arrived = of(&withdrawn, Outcome::Sent(ProviderId("5:2".into()), Vec::new()), &channel).unwrap();
        assert!(matches!(arrived.outgoing, Some(OutgoingChange::Queue { action: Action::Delete, .. })), "{arrived:?}");
        let note = message::Model { private: true, ..sent.clone() };
        for (message, channel) in [(&sent, &Capabilities::PLAIN), (&queued, &channel), (&gone.after, &channel), (&note, &channel)] {
            assert!(of(message, Outcome::Edit("x".into(), agent()), channel).is_err(), "{message:?}");
        }
    }

    #[test]
    fn files_arrive_in_their_order_or_leave_a_note() {
        let waits = json!({ "pending_attachments": [{ "file_name": "a.jpg" }, { "file_name": "b.jpg" }] });
        let lost = |download_id| Outcome::Lost { download_id, file_name: "a.jpg".into(), reason: "larger than 40 MB".into() };
        let first = settled(&message(MessageStatus::Sent, waits), lost(7), 1, &Capabilities::PLAIN, entity::now()).unwrap();
        assert_eq!(first.fetched, Some(7));
        let note = json!([{ "file_name": "a.jpg", "reason": "larger than 40 MB" }]);
        assert_eq!(
            first.after.content_attributes,
            json!({ "pending_attachments": [{ "file_name": "b.jpg" }], "skipped_attachments": note })
        );
    }
}
