//! What the desk asks of a contact by itself: how satisfied it was, and where it can be reached. And which answers count.
use super::message_of_rule;
use super::words::in_language;
use crate::catalog::Inbox;
use crate::channel::ChannelSettings;
use crate::event::MessageView;
use crate::wire::set;
use chrono::{DateTime, Duration, Utc};
use entity::conversation::Status;
use entity::message::MessageType;
use entity::{contact, conversation, message};
use serde_json::{Value, json};

/// The contract's word for a message that asks for a rating.
pub const SURVEY: &str = "input_csat";
/// The contract's word for a message that asks for an e-mail address.
pub const EMAIL_FORM: &str = "input_email";
/// For how long after it was sent a survey is answered.
const OPEN_FOR: Duration = Duration::days(14);
/// Where a survey keeps when it was answered first and whose conversation it was then, in `additional_attributes`.
const RATED: &str = "rated";

/// Whether the widget shows an inbox's messages: it can be written to at any time, and asks by itself.
pub fn is_website(settings: &ChannelSettings) -> bool {
    matches!(settings, ChannelSettings::WebWidget(_))
}

/// Whether the contact is to be asked how it was, once a conversation has come from one status to another. Whether it was asked
/// before, and whether it can be written to, is for whoever writes.
pub fn is_surveyed(is_enabled: bool, before: Status, after: Status, is_blocked: bool) -> bool {
    is_enabled && before != Status::Resolved && after == Status::Resolved && !is_blocked
}

/// The survey, if the contact can be written to; otherwise the thread says why there is none. Elsewhere than in the widget it is a
/// link to a page.
pub fn survey(inbox: &Inbox, conversation: &conversation::Model, public_url: &str, can_reply: bool, now: DateTime<Utc>) -> MessageView {
    if !can_reply {
        let words = "The survey was not sent: the contact has to write again before the channel takes a message";
        return message_of_rule(conversation, MessageType::Activity, words.into(), now);
    }
    let config = |name: &str| inbox.row.csat_config.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    let words = config("message").unwrap_or(in_language(survey_locale(inbox)).please_rate);
    let content = match is_website(&inbox.settings) {
        true => words.to_owned(),
        false => format!("{words}\n{public_url}{}", survey_path(conversation)),
    };
    let mut view = message_of_rule(conversation, MessageType::Template, content, now);
    view.message.content_type = SURVEY.into();
    view.message.content_attributes = json!({ "display_type": config("display_type").unwrap_or("emoji") });
    view
}

/// The language of an inbox's survey.
pub fn survey_locale(inbox: &Inbox) -> &str {
    let own = inbox.row.csat_config.get("language").and_then(Value::as_str).map(str::trim);
    own.filter(|language| !language.is_empty()).unwrap_or(inbox.locale())
}

/// Where a conversation is rated, below the daemon's address.
fn survey_path(conversation: &conversation::Model) -> String {
    format!("/survey/responses/{}", conversation.uuid)
}

/// What a survey says without the link below it.
pub fn survey_words<'a>(message: &'a message::Model, conversation: &conversation::Model) -> &'a str {
    let content = message.content.as_deref().unwrap_or_default();
    let path = survey_path(conversation);
    content.rsplit_once('\n').filter(|(_, last)| last.ends_with(&path)).map_or(content, |(words, _)| words)
}

/// A survey's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rating {
    /// From 1 to 5.
    pub rating: i64,
    /// In the contact's words.
    pub feedback: Option<String>,
    /// When it was given first.
    pub rated_at: DateTime<Utc>,
    /// Whose conversation it was then.
    pub assignee_id: Option<i64>,
}

/// How a contact has answered a survey.
pub fn rating(message: &message::Model) -> Option<Rating> {
    let given = message.content_attributes.get("submitted_values")?.get("csat_survey_response")?;
    let noted = message.additional_attributes.get(RATED);
    let noted = |name: &str| noted.and_then(|noted| noted.get(name)).and_then(Value::as_i64);
    Some(Rating {
        rating: given.get("rating")?.as_i64()?,
        feedback: given.get("feedback_message").and_then(Value::as_str).map(str::to_owned),
        rated_at: noted("at").and_then(|at| DateTime::from_timestamp(at, 0)).unwrap_or(message.updated_at),
        assignee_id: noted("assignee_id"),
    })
}

/// Notes with a survey whose conversation it was when it was answered first.
pub fn note_rated(message: &mut message::Model, assignee_id: Option<i64>, now: DateTime<Utc>) {
    if message.content_type == SURVEY && message.additional_attributes.get(RATED).is_none() {
        set(&mut message.additional_attributes, RATED, json!({ "at": now.timestamp(), "assignee_id": assignee_id }));
    }
}

/// Why the contact cannot answer a message by choosing or filling in, in words for its app (contract, section 2, Messages).
pub fn answer_refusal(message: &message::Model, values: &Value, email: Option<&str>, now: DateTime<Utc>) -> Option<String> {
    const ASKING: &[&str] = &["input_select", "form", EMAIL_FORM, "input_text", "input_textarea", SURVEY];
    let is_to_contact = matches!(message.message_type, MessageType::Outgoing | MessageType::Template) && !message.private;
    if !is_to_contact || !ASKING.contains(&message.content_type.as_str()) {
        return Some(format!("submitted_values: this message asks for nothing; {} do", ASKING.join(", ")));
    }
    let has_rating = values.get("csat_survey_response").is_some_and(|response| response.get("rating").is_some());
    let words = match message.content_type.as_str() {
        EMAIL_FORM if email.is_none() => "submitted_values: this message asks for an e-mail address, and there is none",
        SURVEY if !has_rating => {
            "submitted_values: this message asks for csat_survey_response with a rating from 1 to 5, and there is none"
        }
        SURVEY if now - message.created_at > OPEN_FOR => "The survey is closed: it could be answered for 14 days",
        _ => return None,
    };
    Some(words.into())
}

/// Whether a contact who has written is asked where it can be reached: once in a conversation, if nothing is known of that.
pub fn is_asked_for_email(is_enabled: bool, contact: &contact::Model, is_automatic: bool, is_first: bool) -> bool {
    let is_unknown = contact.email.as_deref().is_none_or(str::is_empty);
    is_enabled && is_first && is_unknown && !is_automatic && !contact.blocked
}

/// What it is asked then.
pub fn email_questions(inbox: &Inbox, conversation: &conversation::Model, now: DateTime<Utc>) -> [MessageView; 2] {
    let words = in_language(inbox.locale());
    [("text", words.way_to_reach_you), (EMAIL_FORM, words.notified_by_email)].map(|(content_type, words)| {
        let mut view = message_of_rule(conversation, MessageType::Template, words.into(), now);
        view.message.content_type = content_type.into();
        view
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::conversation;
    use super::*;
    use crate::message::Profile;
    use crate::people;

    #[test]
    fn whoever_is_through_is_asked_how_it_was() {
        use Status::{Open, Pending, Resolved, Snoozed};
        for (is_enabled, before, after, is_blocked, asked) in [
            (true, Open, Resolved, false, true),
            (true, Pending, Resolved, false, true),
            (true, Snoozed, Resolved, false, true),
            (true, Resolved, Resolved, false, false),
            (true, Resolved, Open, false, false),
            (true, Open, Snoozed, false, false),
            (true, Open, Resolved, true, false),
            (false, Open, Resolved, false, false),
        ] {
            let due = is_surveyed(is_enabled, before, after, is_blocked);
            assert_eq!(due, asked, "enabled: {is_enabled}, {before:?} to {after:?}, blocked: {is_blocked}");
        }
    }

    #[test]
    fn whoever_cannot_be_reached_is_asked_once() {
        let nobody = people::new_contact(1, &Profile::default(), "Ada", entity::now());
        let known = contact::Model { email: Some("ada@example.com".into()), ..nobody.clone() };
        let blocked = contact::Model { blocked: true, ..nobody.clone() };
        for (is_enabled, contact, is_automatic, is_first, asked) in [
            (true, &nobody, false, true, true),
            (true, &nobody, false, false, false),
            (true, &nobody, true, true, false),
            (true, &known, false, true, false),
            (true, &blocked, false, true, false),
            (false, &nobody, false, true, false),
        ] {
            assert_eq!(is_asked_for_email(is_enabled, contact, is_automatic, is_first), asked, "{contact:?} {is_automatic} {is_first}");
        }
    }

    fn asked(kind: MessageType, content_type: &str, private: bool) -> message::Model {
        let message = message_of_rule(&conversation(Status::Open), kind, "?".into(), entity::now()).message;
        message::Model { content_type: content_type.into(), private, ..message }
    }

    #[test]
    fn only_what_asks_is_answered_and_with_what_it_asks_for() {
        let (chosen, rated) = (json!({ "value": "a" }), json!({ "csat_survey_response": { "rating": 5 } }));
        for (message, values, email, age, part) in [
            (asked(MessageType::Outgoing, "input_select", false), &chosen, None, 100, None),
            (asked(MessageType::Template, "form", false), &chosen, None, 0, None),
            (asked(MessageType::Outgoing, "input_email", false), &chosen, Some("a@b.c"), 0, None),
            (asked(MessageType::Outgoing, "input_email", false), &chosen, None, 0, Some("e-mail address")),
            (asked(MessageType::Outgoing, "text", false), &chosen, None, 0, Some("asks for nothing")),
            (asked(MessageType::Outgoing, "input_select", true), &chosen, None, 0, Some("asks for nothing")),
            (asked(MessageType::Incoming, "input_select", false), &chosen, None, 0, Some("asks for nothing")),
            (asked(MessageType::Template, "input_csat", false), &rated, None, 14, None),
            (asked(MessageType::Template, "input_csat", false), &rated, None, 15, Some("is closed")),
            (asked(MessageType::Template, "input_csat", false), &chosen, None, 0, Some("rating from 1 to 5")),
        ] {
            let words = answer_refusal(&message, values, email, message.created_at + Duration::days(age));
            assert_eq!(words.is_some(), part.is_some(), "{message:?} {words:?}");
            assert!(part.is_none_or(|part| words.as_deref().unwrap_or_default().contains(part)), "{words:?} has no {part:?}");
        }
    }

    #[test]
    fn a_rating_is_whose_it_was_at_first() {
        let (first, later) = (entity::now() - Duration::hours(2), entity::now());
        let mut survey = asked(MessageType::Template, SURVEY, false);
        assert_eq!(rating(&survey), None);
        note_rated(&mut survey, Some(3), first);
        note_rated(&mut survey, Some(4), later);
        let given = json!({ "csat_survey_response": { "rating": 2, "feedback_message": "slow" } });
        set(&mut survey.content_attributes, "submitted_values", given);
        let expected = Rating {
            rating: 2,
            feedback: Some("slow".into()),
            rated_at: DateTime::from_timestamp(first.timestamp(), 0).unwrap(),
            assignee_id: Some(3),
        };
        assert_eq!(rating(&survey), Some(expected));
        let mut other = asked(MessageType::Template, "input_select", false);
        note_rated(&mut other, Some(3), first);
        assert_eq!(other.additional_attributes, json!({}));
    }

    #[test]
    fn the_link_is_no_part_of_what_a_survey_says() {
        let conversation = conversation(Status::Resolved);
        let link = format!("https://desk.example/survey/responses/{}", conversation.uuid);
        for (content, words) in [
            (format!("How was it?\n{link}"), "How was it?"),
            (format!("How was it?\nTell us!\n{link}"), "How was it?\nTell us!"),
            ("How was it?\nTell us!".to_owned(), "How was it?\nTell us!"),
            ("How was it?".to_owned(), "How was it?"),
        ] {
            let message = message::Model { content: Some(content.clone()), ..asked(MessageType::Template, SURVEY, false) };
            assert_eq!(survey_words(&message, &conversation), words, "{content:?}");
        }
    }
}
