//! What follows from what happens in a conversation. Pure: rows in, rows out, the time given.
mod asking;
mod change;
mod words;

pub use asking::{
    EMAIL_FORM, Rating, SURVEY, answer_refusal, email_questions, is_asked_for_email, is_surveyed, is_website, note_rated, rating, survey,
    survey_locale, survey_words,
};
pub use change::{By, Change, LabelEdit, after_change, labels_of};

use crate::catalog::Inbox;
use crate::channel::{ChannelSettings, api};
use crate::event::MessageView;
use crate::message::{Capabilities, Delivery, FirstContact, Sender};
use crate::working_hours;
use chrono::{DateTime, Duration, Utc};
use entity::conversation::Status;
use entity::inbox;
use entity::message::{MessageStatus, MessageType, SenderType};
use entity::{contact, conversation, message};
use serde_json::{Value, json};

/// A new conversation of a contact.
pub fn open(inbox: &inbox::Model, contact: &contact::Model, now: DateTime<Utc>) -> conversation::Model {
    conversation::Model {
        id: 0,
        account_id: inbox.account_id,
        display_id: 0,
        uuid: uuid::Uuid::new_v4(),
        inbox_id: inbox.id,
        contact_id: contact.id,
        contact_inbox_id: 0,
        // Whoever is blocked may write, and nobody is troubled; where a bot answers first, agents wait for it.
        status: match (contact.blocked, inbox.agent_bot_id) {
            (true, _) => Status::Resolved,
            (false, Some(_)) => Status::Pending,
            (false, None) => Status::Open,
        },
        priority: None,
        assignee_id: None,
        assignee_agent_bot_id: None,
        team_id: None,
        labels: json!([]),
        unread_count: 0,
        additional_attributes: json!({}),
        custom_attributes: json!({}),
        snoozed_until: None,
        waiting_since: None,
        first_reply_created_at: None,
        agent_last_seen_at: None,
        assignee_last_seen_at: None,
        contact_last_seen_at: None,
        last_activity_at: now,
        created_at: now,
        updated_at: now,
    }
}

/// A conversation after a message of its contact: waits for an answer, and is open again unless the contact is blocked. Once
/// resolved, it goes back to the inbox's bot where there is one.
pub fn after_incoming(before: &conversation::Model, contact: &contact::Model, has_bot: bool, now: DateTime<Utc>) -> conversation::Model {
    let mut after = before.clone();
    after.unread_count = before.unread_count.saturating_add(1);
    after.waiting_since = before.waiting_since.or(Some(now));
    after.last_activity_at = now;
    after.updated_at = now;
    if matches!(before.status, Status::Resolved | Status::Snoozed) && !contact.blocked {
        after.status = if has_bot && before.status == Status::Resolved { Status::Pending } else { Status::Open };
        after.snoozed_until = None;
    }
    after
}

/// A conversation after a message to its contact, or a note.
pub fn after_outgoing(before: &conversation::Model, message: &message::Model, now: DateTime<Utc>) -> conversation::Model {
    let mut after = before.clone();
    after.last_activity_at = now;
    after.updated_at = now;
    let is_answer = message.message_type == MessageType::Outgoing && !message.private;
    if is_answer {
        after.waiting_since = None;
        if message.sender_type == Some(SenderType::User) {
            after.first_reply_created_at = before.first_reply_created_at.or(Some(now));
        }
    }
    after
}

/// Whether the channel counts by when the contact wrote last in the inbox, in whatever conversation.
pub fn counts_by_contact(capabilities: &Capabilities) -> bool {
    capabilities.reply_window.is_some() || capabilities.first_contact != FirstContact::Free
}

/// Whether an answer may be written now, given when the contact wrote last: in the inbox where the channel
/// [counts by that](counts_by_contact), otherwise in the conversation.
pub fn can_reply(settings: &ChannelSettings, last_incoming_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    let window = match settings {
        ChannelSettings::Api(settings) => api_window(settings),
        settings => {
            let capabilities = settings.capabilities();
            if capabilities.first_contact == FirstContact::Never && last_incoming_at.is_none() {
                return false;
            }
            capabilities.reply_window
        }
    };
    window.is_none_or(|window| last_incoming_at.is_some_and(|at| now - at <= window))
}

/// The window that the customer's system asked for, in hours.
fn api_window(settings: &api::Settings) -> Option<Duration> {
    let hours = settings.additional_attributes.get("agent_reply_time_window").and_then(|hours| match hours {
        Value::String(text) => text.trim().parse().ok(),
        hours => hours.as_i64(),
    });
    hours.filter(|hours| *hours > 0).map(|hours| Duration::try_hours(hours).unwrap_or(Duration::MAX))
}

/// Why this message may not be sent, in words for the agent.
pub fn refusal(message: &message::Model, file_sizes: &[i64], capabilities: &Capabilities, can_reply: bool) -> Option<String> {
    let length = message.content.as_deref().map_or(0, |content| content.chars().count());
    if length > CONTENT_LIMIT {
        return Some(format!("Content is too long (maximum is {CONTENT_LIMIT} characters)"));
    }
    if file_sizes.is_empty() && is_blank(message) {
        return Some("Content or an attachment is required".into());
    }
    let files_limit = if message.message_type == MessageType::Incoming { INCOMING_ATTACHMENTS_LIMIT } else { ATTACHMENTS_LIMIT };
    if file_sizes.len() > files_limit {
        return Some(format!("A message takes at most {files_limit} attachments"));
    }
    let is_to_contact = message.message_type != MessageType::Incoming && !message.private;
    if is_to_contact && length > capabilities.content_limit {
        return Some(format!("This channel takes at most {} characters", capabilities.content_limit));
    }
    let limit = i64::try_from(capabilities.attachment_limit).unwrap_or(i64::MAX);
    if file_sizes.iter().any(|size| *size > limit) {
        return Some(format!("This channel takes files of at most {} MB", limit >> 20));
    }
    let is_template = capabilities.first_contact == FirstContact::Template && message.additional_attributes.get(TEMPLATE_PARAMS).is_some();
    (is_to_contact && !can_reply && !is_template).then(|| closed(capabilities).into())
}

/// Where the provider's template stands that a message is made from, in `additional_attributes` (contract, section 2, Messages).
pub const TEMPLATE_PARAMS: &str = "template_params";

/// Why nothing can be written now, and the way out.
fn closed(capabilities: &Capabilities) -> &'static str {
    match capabilities.first_contact {
        FirstContact::Free => "The time to answer is over: the contact has to write again first (agent_reply_time_window of the inbox)",
        FirstContact::Template => {
            "The channel takes free messages only for a day after the contact wrote last: send a template that the provider approved \
             (template_params)"
        }
        FirstContact::Never => {
            "The channel lets nobody write first: ask the contact to write to you, then answer (at Telegram the contact opens the bot and \
             presses Start)"
        }
    }
}

/// Whether nothing is said: neither a text, nor what stands for one.
fn is_blank(message: &message::Model) -> bool {
    const SAYS: [&str; 3] = ["location", "contacts", "is_unsupported"];
    let says = SAYS.iter().any(|name| message.content_attributes.get(name).is_some_and(|value| !value.is_null()));
    let is_template = message.additional_attributes.get(TEMPLATE_PARAMS).is_some();
    message.content.as_deref().unwrap_or_default().trim().is_empty() && message.content_type == "text" && !says && !is_template
}

/// The longest content of any message (contract, section 0, Limits).
pub const CONTENT_LIMIT: usize = 150_000;
/// The most attachments of a message that is written here (contract, section 0, Limits).
pub const ATTACHMENTS_LIMIT: usize = 15;
/// The most attachments of a message that comes in: nothing that a customer sent is to be lost, and the pictures in one mail
/// count. What requests bring in is held to [`ATTACHMENTS_LIMIT`] as they are read.
pub const INCOMING_ATTACHMENTS_LIMIT: usize = 500;

/// The most messages of a conversation in a minute (contract, section 0, Limits).
pub const MESSAGES_PER_MINUTE: usize = 200;

/// Whether something was written within the last minute.
pub fn is_recent(written_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    written_at > now - Duration::minutes(1)
}

/// Whether one more message would be too many, given when the last ones were written.
pub fn is_flooded<'a>(written: impl Iterator<Item = &'a DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    written.filter(|at| is_recent(**at, now)).count() >= MESSAGES_PER_MINUTE
}

/// In which state a new message to the contact begins.
pub fn first_status(message: &message::Model, capabilities: &Capabilities) -> MessageStatus {
    let is_to_contact = matches!(message.message_type, MessageType::Outgoing | MessageType::Template) && !message.private;
    match capabilities.delivery {
        Delivery::Send if is_to_contact => MessageStatus::Queued,
        _ => MessageStatus::Sent,
    }
}

/// The greeting that follows the first message of a conversation.
pub fn greeting(inbox: &Inbox, is_automatic: bool, is_first: bool) -> Option<String> {
    let greets = inbox.row.greeting_enabled && is_first && !is_automatic;
    inbox.row.greeting_message.clone().filter(|message| greets && !message.trim().is_empty())
}

/// What is said at a time to whoever writes to an inbox that is closed then.
pub fn away(inbox: &Inbox, is_automatic: bool, now: DateTime<Utc>) -> Option<&str> {
    let row = &inbox.row;
    let is_closed = row.working_hours_enabled && !is_automatic && !working_hours::is_open(&row.working_hours, &row.timezone, now);
    row.out_of_office_message.as_deref().filter(|message| is_closed && !message.trim().is_empty())
}

/// When agents and rules wrote last in a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spoken {
    /// An agent or a bot, a note as well.
    pub outgoing_at: Option<DateTime<Utc>>,
    /// A rule.
    pub template_at: Option<DateTime<Utc>>,
}

/// Whether a contact is told now that nobody is there: not while somebody is, and once a day (contract, section 2, Messages).
pub fn is_told_away(spoken: Spoken, timezone: &str, now: DateTime<Utc>) -> bool {
    let is_attended = spoken.outgoing_at.is_some_and(|at| at > now - Duration::minutes(5));
    let is_told = spoken.template_at.is_some_and(|at| at >= working_hours::start_of_day(timezone, now));
    !is_attended && !is_told
}

/// A conversation in which nothing has happened for so long that its account has it resolved.
pub fn is_forgotten(conversation: &conversation::Model, quiet_since: DateTime<Utc>) -> bool {
    conversation.status == Status::Open && conversation.last_activity_at < quiet_since
}

/// A message of a rule.
pub fn message_of_rule(conversation: &conversation::Model, kind: MessageType, content: String, now: DateTime<Utc>) -> MessageView {
    let message = message::Model {
        id: 0,
        account_id: conversation.account_id,
        inbox_id: conversation.inbox_id,
        conversation_id: conversation.id,
        message_type: kind,
        content_type: "text".into(),
        content: Some(content),
        private: false,
        status: MessageStatus::Sent,
        source_id: None,
        sender_type: None,
        sender_id: None,
        content_attributes: json!({}),
        additional_attributes: json!({}),
        created_at: now,
        updated_at: now,
    };
    MessageView { message, attachments: Vec::new(), sender: None, echo_id: None }
}

/// The status a message may take, or `None` if it is there or beyond already: it only grows, and what was delivered cannot fail.
pub fn next_status(now: MessageStatus, reported: MessageStatus) -> Option<MessageStatus> {
    let rank = |status| match status {
        MessageStatus::Queued => 0,
        MessageStatus::Sent => 1,
        MessageStatus::Failed => 2,
        MessageStatus::Delivered => 3,
        MessageStatus::Read => 4,
    };
    (rank(reported) > rank(now)).then_some(reported)
}

/// The status a message takes when the customer's system reports one: any that is new, since that system may have tried again by
/// itself; only what was read was delivered before (contract, section 2, Messages).
pub fn reported_status(now: MessageStatus, reported: MessageStatus) -> Option<MessageStatus> {
    let is_late = now == MessageStatus::Read && reported == MessageStatus::Delivered;
    (reported != now && reported != MessageStatus::Queued && !is_late).then_some(reported)
}

/// The columns of a message's sender.
pub fn sender_columns(sender: &Sender) -> (SenderType, i64) {
    match sender {
        Sender::User(user) => (SenderType::User, user.id),
        Sender::Bot(bot) => (SenderType::AgentBot, bot.id),
        Sender::Contact(contact) => (SenderType::Contact, contact.id),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::channel::{direct, email};
    use crate::message::Profile;
    use crate::people;

    /// A conversation to change.
    pub fn conversation(status: Status) -> conversation::Model {
        let now = entity::now();
        let contact = people::new_contact(1, &Profile::default(), "Ada", now);
        conversation::Model { id: 5, status, ..new(&contact, now) }
    }

    fn new(contact: &contact::Model, now: DateTime<Utc>) -> conversation::Model {
        conversation::Model {
            id: 0,
            account_id: 1,
            display_id: 0,
            uuid: uuid::Uuid::nil(),
            inbox_id: 7,
            contact_id: contact.id,
            contact_inbox_id: 0,
            status: Status::Open,
            priority: None,
            assignee_id: None,
            assignee_agent_bot_id: None,
            team_id: None,
            labels: json!([]),
            unread_count: 0,
            additional_attributes: json!({}),
            custom_attributes: json!({}),
            snoozed_until: None,
            waiting_since: None,
            first_reply_created_at: None,
            agent_last_seen_at: None,
            assignee_last_seen_at: None,
            contact_last_seen_at: None,
            last_activity_at: now,
            created_at: now,
            updated_at: now,
        }
    }

    #[test]
    fn a_message_of_the_contact_opens_what_was_closed_unless_blocked() {
        let now = entity::now();
        let contact = people::new_contact(1, &Profile::default(), "Ada", now);
        let blocked = contact::Model { blocked: true, ..contact.clone() };
        for (before, contact, has_bot, after) in [
            (Status::Open, &contact, false, Status::Open),
            (Status::Pending, &contact, true, Status::Pending),
            (Status::Resolved, &contact, false, Status::Open),
            (Status::Resolved, &contact, true, Status::Pending),
            (Status::Snoozed, &contact, true, Status::Open),
            (Status::Resolved, &blocked, true, Status::Resolved),
        ] {
            let row = after_incoming(&conversation(before), contact, has_bot, now);
            assert_eq!((row.status, row.unread_count, row.waiting_since), (after, 1, Some(now)), "{before:?}, bot: {has_bot}");
        }
        let waits = conversation::Model { waiting_since: Some(now - Duration::hours(1)), ..conversation(Status::Open) };
        assert_eq!(
            after_incoming(&waits, &contact, false, now).waiting_since,
            waits.waiting_since,
            "the contact waits since the first message"
        );
    }

    #[test]
    fn only_a_person_s_public_answer_is_the_first_reply() {
        let now = entity::now();
        let waits = conversation::Model { waiting_since: Some(now), ..conversation(Status::Open) };
        let answer = |kind, private, sender| {
            let message = message_of_rule(&waits, kind, "hi".into(), now).message;
            after_outgoing(&waits, &message::Model { private, sender_type: sender, ..message }, now)
        };
        for (kind, private, sender, is_first_reply, still_waits) in [
            (MessageType::Outgoing, false, Some(SenderType::User), true, false),
            (MessageType::Outgoing, true, Some(SenderType::User), false, true),
            (MessageType::Outgoing, false, Some(SenderType::AgentBot), false, false),
            (MessageType::Template, false, None, false, true),
        ] {
            let row = answer(kind, private, sender);
            assert_eq!(
                (row.first_reply_created_at.is_some(), row.waiting_since.is_some()),
                (is_first_reply, still_waits),
                "{kind:?} {private} {sender:?}"
            );
        }
    }

    #[test]
    fn states_only_grow() {
        use MessageStatus::{Delivered, Failed, Queued, Read, Sent};
        for (now, reported, next) in [
            (Queued, Sent, Some(Sent)),
            (Sent, Delivered, Some(Delivered)),
            (Sent, Failed, Some(Failed)),
            (Queued, Failed, Some(Failed)),
            (Delivered, Failed, None),
            (Read, Delivered, None),
            (Read, Sent, None),
            (Failed, Read, Some(Read)),
            (Sent, Sent, None),
        ] {
            assert_eq!(next_status(now, reported), next, "{now:?} then {reported:?}");
        }
    }

    #[test]
    fn whoever_reports_a_state_knows_it() {
        use MessageStatus::{Delivered, Failed, Queued, Read, Sent};
        for (now, reported, next) in [
            (Sent, Delivered, Some(Delivered)),
            (Delivered, Sent, Some(Sent)),
            (Delivered, Failed, Some(Failed)),
            (Read, Failed, Some(Failed)),
            (Read, Sent, Some(Sent)),
            (Read, Delivered, None),
            (Failed, Sent, Some(Sent)),
            (Failed, Delivered, Some(Delivered)),
            (Sent, Sent, None),
            (Sent, Queued, None),
        ] {
            assert_eq!(reported_status(now, reported), next, "{now:?} then {reported:?}");
        }
    }

    #[test]
    fn two_hundred_messages_of_the_last_minute_are_enough() {
        let now = entity::now();
        let written =
            |count: i64, before: i64| (0..count).map(move |number| now - Duration::seconds(before) + Duration::microseconds(number));
        for (old, young, is_flooded_then) in [(0, 199, false), (0, 200, true), (300, 199, false), (300, 200, true)] {
            let all: Vec<_> = written(old, 61).chain(written(young, 59)).collect();
            assert_eq!(is_flooded(all.iter(), now), is_flooded_then, "{old} old, {young} young");
        }
    }

    #[test]
    fn nobody_is_told_twice_a_day_that_nobody_is_there() {
        let now: DateTime<Utc> = "2026-01-05T23:30:00Z".parse().unwrap();
        let ago = |minutes: i64| Some(now - Duration::minutes(minutes));
        for (outgoing_at, template_at, timezone, told) in [
            (None, None, "UTC", true),
            (ago(4), None, "UTC", false),
            (ago(6), None, "UTC", true),
            (None, ago(60), "UTC", false),
            (None, ago(24 * 60), "UTC", true),
            // In Berlin it is half past midnight, so an hour ago was yesterday.
            (None, ago(60), "Europe/Berlin", true),
            (None, ago(20), "Europe/Berlin", false),
        ] {
            let spoken = Spoken { outgoing_at, template_at };
            assert_eq!(is_told_away(spoken, timezone, now), told, "{spoken:?} {timezone}");
        }
    }

    #[test]
    fn only_what_is_open_and_quiet_is_forgotten() {
        let now = entity::now();
        for (status, quiet_for, forgotten) in
            [(Status::Open, 11, true), (Status::Open, 9, false), (Status::Pending, 11, false), (Status::Resolved, 11, false)]
        {
            let row = conversation::Model { last_activity_at: now - Duration::minutes(quiet_for), ..conversation(status) };
            assert_eq!(is_forgotten(&row, now - Duration::minutes(10)), forgotten, "{status:?} quiet for {quiet_for}");
        }
    }

    #[test]
    fn the_reply_window_is_the_inbox_s() {
        let now = entity::now();
        let window = |hours: Value| {
            ChannelSettings::Api(api::Settings {
                additional_attributes: [("agent_reply_time_window".to_owned(), hours)].into_iter().collect(),
                ..api::Settings::default()
            })
        };
        for (settings, last, can) in [
            (ChannelSettings::Api(api::Settings::default()), None, true),
            (ChannelSettings::Email(email::Settings::default()), None, true),
            (window(json!(24)), None, false),
            (window(json!(24)), Some(now - Duration::hours(23)), true),
            (window(json!("24")), Some(now - Duration::hours(25)), false),
            (window(json!("")), None, true),
            (window(json!(0)), None, true),
        ] {
            assert_eq!(can_reply(&settings, last, now), can, "{settings:?} {last:?}");
        }
    }

    #[test]
    fn messages_are_refused_with_a_reason() {
        let base = message_of_rule(&conversation(Status::Open), MessageType::Outgoing, "hi".into(), entity::now()).message;
        let with = |content: &str| message::Model { content: Some(content.into()), ..base.clone() };
        let incoming = |content: &str| message::Model { message_type: MessageType::Incoming, ..with(content) };
        let capabilities = Capabilities { content_limit: 100, ..direct::capabilities() };
        for (message, sizes, can_reply, part) in [
            (with("hi"), vec![], true, None),
            (with("  "), vec![], true, Some("required")),
            (with(""), vec![1], true, None),
            (with(&"x".repeat(101)), vec![], true, Some("at most 100 characters")),
            (message::Model { private: true, ..with(&"x".repeat(101)) }, vec![], true, None),
            (with(&"x".repeat(CONTENT_LIMIT + 1)), vec![], true, Some("too long")),
            (with("hi"), vec![1; ATTACHMENTS_LIMIT + 1], true, Some("at most 15")),
            (incoming("hi"), vec![1; ATTACHMENTS_LIMIT + 1], true, None),
            (incoming("hi"), vec![1; INCOMING_ATTACHMENTS_LIMIT + 1], true, Some("at most 500")),
            (with("hi"), vec![i64::MAX], true, Some("40 MB")),
            (with("hi"), vec![], false, Some("agent_reply_time_window")),
            (message::Model { private: true, ..with("hi") }, vec![], false, None),
        ] {
            let words = refusal(&message, &sizes, &capabilities, can_reply);
            assert_eq!(words.is_some(), part.is_some(), "{words:?}");
            assert!(part.is_none_or(|part| words.as_deref().unwrap_or_default().contains(part)), "{words:?} has no {part:?}");
        }
    }
}
