//! What follows when a channel brings a message: the contact is known or new, a conversation goes on or begins, rules answer.
use super::load::{Known, PersonRows};
use super::outcome::PENDING_ATTACHMENTS;
use super::rules::{self, Spoken};
use super::{ConversationError, Incoming, TOO_MANY, Thing, Work, load, template};
use crate::catalog::Inbox;
use crate::event::MessageView;
use crate::message::{Delivery, Profile, Sender, Writer};
use crate::people;
use crate::store::{Made, NewMessage, Record, Recorded, Row};
use chrono::{DateTime, Utc};
use entity::message::{MessageType, SenderType};
use entity::{attachment, contact, conversation, message};
use serde_json::{Value, json};
use std::sync::Arc;

impl Work {
    /// The contact wrote, or the business did with another program.
    pub(super) async fn deliver(&mut self, inbox: Arc<Inbox>, mut incoming: Incoming) -> Result<Recorded, ConversationError> {
        let now = entity::now();
        let person = match &self.state.person {
            Some(person) => self.introduced(person.kept(), &incoming.profile, now).await?,
            None => load::new_person(&self.surroundings.db, &inbox.row, &self.key, &incoming.profile, now).await?,
        };
        let known = self.target(&inbox, incoming.target).await?;
        let is_echo = incoming.writer == Writer::Business;
        let contact = if is_echo { person.0.clone() } else { active(&person.0, now) };
        let is_new = known.is_none();
        // An app opens a conversation before it posts the first message.
        let is_first = known.as_ref().is_none_or(Known::is_silent);
        // What a channel brings was said already, and must not be lost; a customer's system can be told to wait.
        let is_asked = inbox.settings.capabilities().delivery == Delivery::Events;
        if is_asked && known.as_ref().is_some_and(|known| known.is_flooded(now)) {
            return Err(ConversationError::Refused(TOO_MANY.into()));
        }
        let before = match &known {
            Some(known) => known.row.clone(),
            None => {
                let mut opened = rules::open(&inbox.row, contact.after(), now);
                opened.additional_attributes = Value::Object(std::mem::take(&mut incoming.conversation_attributes));
                opened.custom_attributes = Value::Object(std::mem::take(&mut incoming.custom_attributes));
                opened.labels = json!(incoming.labels);
                Arc::new(opened)
            }
        };
        let message = said(&mut incoming, &before, contact.after(), now);
        let after = match is_echo {
            true => rules::after_outgoing(&before, &message, now),
            false => rules::after_incoming(&before, contact.after(), inbox.row.agent_bot_id.is_some(), now),
        };
        let heard_at = Some(message.created_at).filter(|_| !is_echo);
        let (is_automatic, claim) = (incoming.is_automatic || is_echo, incoming.claim.map(|id| (id, Made::Message)));
        let mut messages = vec![brought(&inbox, incoming, message, contact.after())?];
        let away = match rules::away(&inbox, is_automatic || contact.after().blocked, now) {
            Some(words) => {
                let spoken: Spoken = self.state.spoken(&self.surroundings, before.id).await?;
                Some(words.to_owned()).filter(|_| rules::is_told_away(spoken, &inbox.row.timezone, now))
            }
            None => None,
        };
        let greeting = rules::greeting(&inbox, is_automatic, is_first);
        messages.extend(away.into_iter().chain(greeting).map(|words| template(&inbox, &after, words, now)));
        let (is_unheard, collects) = (known.as_ref().is_none_or(Known::is_unheard), inbox.row.enable_email_collect);
        if rules::is_asked_for_email(collects && rules::is_website(&inbox.settings), contact.after(), is_automatic, is_unheard) {
            messages.extend(rules::email_questions(&inbox, &after, now).map(NewMessage::bare));
        }
        let conversation = if is_new { Row::New(after) } else { Row::Changed { before, after } };
        let last_heard_at = known.as_ref().map_or_else(|| self.state.heard(), Known::heard_at).max(heard_at);
        let record = Record {
            contact,
            messages,
            can_reply: rules::can_reply(&inbox.settings, last_heard_at, now),
            claim,
            ..self.record(&inbox, person, conversation, known.as_ref())
        };
        self.commit(record, heard_at).await
    }

    /// A contact who is known, with what a message tells of it beside. A telephone number or an e-mail address that another
    /// contact has stays with that one.
    async fn introduced(&self, person: PersonRows, profile: &Profile, now: DateTime<Utc>) -> Result<PersonRows, ConversationError> {
        let (Row::Kept(before), identity) = person else { return Ok(person) };
        if *profile == Profile::default() && people::is_reachable(&before) {
            return Ok((Row::Kept(before), identity));
        }
        let mut after = people::heard_from(&before, self.key.inbox_id, &self.key.source_id, profile, now);
        let of_others = async |profile: Profile| people::find_contact(&self.surroundings.db, before.account_id, &profile).await;
        let email = Profile { email: after.email.clone(), ..Profile::default() };
        if after.email != before.email && of_others(email).await?.is_some() {
            after.email = before.email.clone();
        }
        let number = Profile { phone_number: after.phone_number.clone(), ..Profile::default() };
        if after.phone_number != before.phone_number && of_others(number).await?.is_some() {
            after.phone_number = before.phone_number.clone();
        }
        let is_told = after != contact::Model { updated_at: after.updated_at, ..before.as_ref().clone() };
        Ok((if is_told { Row::Changed { before, after } } else { Row::Kept(before) }, identity))
    }
}

/// The contact after having written.
fn active(contact: &Row<contact::Model>, now: DateTime<Utc>) -> Row<contact::Model> {
    let active = |contact: &contact::Model| contact::Model { last_activity_at: Some(now), ..contact.clone() };
    match contact {
        Row::Kept(before) => Row::Changed { before: before.clone(), after: active(before) },
        Row::New(contact) => Row::New(active(contact)),
        Row::Changed { before, after } => Row::Changed { before: before.clone(), after: active(after) },
    }
}

/// The row of the message. What is shown of its time is when it was written: that is the order of a conversation.
fn said(incoming: &mut Incoming, conversation: &conversation::Model, contact: &contact::Model, now: DateTime<Utc>) -> message::Model {
    if !incoming.downloads.is_empty() {
        let pending = incoming.downloads.iter().map(|file| json!({ "file_name": file.file_name, "content_type": file.content_type }));
        incoming.content_attributes.insert(PENDING_ATTACHMENTS.into(), pending.collect());
    }
    let (kind, sender_type) = match incoming.writer {
        Writer::Contact => (MessageType::Incoming, Some(SenderType::Contact)),
        Writer::Business => (MessageType::Outgoing, None),
    };
    message::Model {
        content: incoming.content.take(),
        content_type: if incoming.content_type.is_empty() { "text".into() } else { std::mem::take(&mut incoming.content_type) },
        source_id: incoming.provider_id.take(),
        sender_type,
        sender_id: sender_type.map(|_| contact.id),
        content_attributes: Value::Object(std::mem::take(&mut incoming.content_attributes)),
        created_at: incoming.written_at.map_or(now, |at| end_of_second(at).min(now)),
        ..rules::message_of_rule(conversation, kind, String::new(), now).message
    }
}

/// Providers tell whole seconds: what was said here in the same one was said before.
fn end_of_second(at: DateTime<Utc>) -> DateTime<Utc> {
    if at.timestamp_subsec_micros() == 0 { at + chrono::Duration::microseconds(999_999) } else { at }
}

/// A message with what it carries, if the rules allow it.
fn brought(inbox: &Inbox, incoming: Incoming, message: message::Model, contact: &contact::Model) -> Result<NewMessage, ConversationError> {
    // The sizes of what is still to be fetched are unknown; places and cards have none.
    let others = std::iter::repeat_n(0, incoming.downloads.len() + incoming.things.len());
    let sizes: Vec<i64> = incoming.files.iter().map(|file| file.stored.byte_size).chain(others).collect();
    let is_heard = incoming.writer == Writer::Contact;
    if let Some(words) = rules::refusal(&message, &sizes, &inbox.settings.capabilities(), true).filter(|_| is_heard) {
        return Err(ConversationError::Refused(words));
    }
    let attachments = incoming.things.into_iter().map(|thing| attachment(&message, thing)).collect();
    let sender = is_heard.then(|| Sender::Contact(Arc::new(contact.clone())));
    let view = MessageView { message, attachments, sender, echo_id: incoming.echo_id };
    Ok(NewMessage { view, files: incoming.files, downloads: incoming.downloads })
}

/// A place or a card as the contract shows it (section 2, Messages); its ids are given when it is stored.
fn attachment(message: &message::Model, thing: Thing) -> attachment::Model {
    let bare = attachment::Model {
        id: 0,
        account_id: message.account_id,
        message_id: 0,
        file_type: String::new(),
        blob_id: None,
        external_url: None,
        coordinates_lat: None,
        coordinates_long: None,
        fallback_title: None,
        meta: json!({}),
        created_at: message.created_at,
    };
    match thing {
        Thing::Place(place) => attachment::Model {
            file_type: "location".into(),
            coordinates_lat: Some(place.latitude),
            coordinates_long: Some(place.longitude),
            fallback_title: Some(place.title).filter(|title| !title.is_empty()),
            ..bare
        },
        Thing::Card(card) => attachment::Model {
            file_type: "contact".into(),
            fallback_title: card.phone_number,
            meta: json!({ "firstName": card.first_name, "lastName": card.last_name }),
            ..bare
        },
    }
}
