//! Things done together in a conversation: changes, messages and what they cause are one record, so all of it happens or nothing.
use super::rules::{self, By, Change};
use super::{Act, ConversationError, Draft, Say, Step, TOO_MANY, Work, load, template};
use crate::catalog::Inbox;
use crate::event::MessageView;
use crate::message::{BotCard, Sender};
use crate::store::{Made, NewMessage, Record, Recorded, Row};
use chrono::{DateTime, Utc};
use entity::account_user::Role;
use entity::message::MessageType;
use entity::{contact, conversation, message};
use serde_json::Value;
use std::sync::Arc;

/// A single message as something that is done; `made` is what a request with an idempotency key is answered with.
pub fn say(say: Say, made: Made) -> Act {
    let Say { conversation_id, sender, draft, claim } = say;
    let by = match &sender {
        // What somebody may do is asked of changes only.
        Sender::User(user) => By::User(user.clone(), Role::Agent),
        Sender::Bot(bot) => By::Bot(BotCard::clone(bot)),
        Sender::Contact(_) => By::Contact,
    };
    Act { conversation_id, by, steps: vec![Step::Say(sender, Box::new(draft))], quiet_since: None, claim: claim.map(|id| (id, made)) }
}

impl Work {
    /// Does everything, or refuses it with nothing done.
    pub async fn act(&mut self, inbox: Arc<Inbox>, act: Act) -> Result<Recorded, ConversationError> {
        let now = entity::now();
        let known = self.known(act.conversation_id).await?;
        let can_reply = known.can_reply(&inbox, now);
        let is_over = act.quiet_since.is_some_and(|since| !rules::is_forgotten(&known.row, since));
        let steps = if is_over { Vec::new() } else { act.steps };
        let writes = steps.iter().any(|step| matches!(step, Step::Say(..)));
        if writes && known.is_flooded(now) {
            return Err(ConversationError::Refused(TOO_MANY.into()));
        }
        let (mut contact, identity) = self.person()?;
        let mut row = known.row.as_ref().clone();
        let (mut messages, mut posts, mut mails) = (Vec::new(), Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Change(change) => {
                    let (after, said) = rules::after_change(&row, &change, &act.by, now);
                    if let Some(words) = said {
                        let view = rules::message_of_rule(&after, MessageType::Activity, words, now);
                        messages.push(NewMessage::bare(view));
                    }
                    if let Change::Muted(muted) = change {
                        contact = blocked(&contact, muted, now);
                    }
                    row = after;
                }
                Step::Say(sender, draft) => {
                    if inbox.is_deleted() && !draft.private {
                        return Err(ConversationError::Refused("The inbox is deleted: only notes can be added".into()));
                    }
                    let message = self.drafted(&inbox, &row, &sender, *draft, now, can_reply)?;
                    row = rules::after_outgoing(&row, &message.view.message, now);
                    messages.push(message);
                }
                Step::Template(words) if can_reply && !inbox.is_deleted() => {
                    let message = template(&inbox, &row, words, now);
                    row = rules::after_outgoing(&row, &message.view.message, now);
                    messages.push(message);
                }
                Step::Template(_) => {}
                Step::Post(post) => posts.push(post),
                Step::Mail(mail) => mails.push(mail),
            }
        }
        let is_enabled = inbox.row.csat_survey_enabled && !inbox.is_deleted();
        if rules::is_surveyed(is_enabled, known.row.status, row.status, contact.after().blocked)
            && !load::is_surveyed(&self.surroundings, row.id).await?
        {
            let mut view = rules::survey(&inbox, &row, &self.surroundings.public_url, can_reply, now);
            view.message.status = rules::first_status(&view.message, &inbox.settings.capabilities());
            row = rules::after_outgoing(&row, &view.message, now);
            messages.push(NewMessage::bare(view));
        }
        let changes_nothing = messages.is_empty() && row == *known.row;
        let conversation =
            if changes_nothing { Row::Kept(known.row.clone()) } else { Row::Changed { before: known.row.clone(), after: row } };
        let record = Record {
            messages,
            posts,
            mails,
            performer: act.by.user().cloned(),
            claim: act.claim,
            can_reply,
            ..self.record(&inbox, (contact, identity), conversation, Some(&known))
        };
        self.commit(record, None).await
    }

    /// A message as it will be stored, if the rules allow it.
    pub fn drafted(
        &self,
        inbox: &Inbox,
        conversation: &conversation::Model,
        sender: &Sender,
        draft: Draft,
        now: DateTime<Utc>,
        can_reply: bool,
    ) -> Result<NewMessage, ConversationError> {
        let capabilities = inbox.settings.capabilities();
        let (sender_type, sender_id) = rules::sender_columns(sender);
        let mut message = message::Model {
            content: draft.content,
            content_type: if draft.content_type.is_empty() { "text".into() } else { draft.content_type },
            private: draft.private,
            source_id: draft.source_id,
            sender_type: Some(sender_type),
            sender_id: Some(sender_id),
            content_attributes: Value::Object(draft.content_attributes),
            additional_attributes: Value::Object(draft.additional_attributes),
            ..rules::message_of_rule(conversation, MessageType::Outgoing, String::new(), now).message
        };
        message.status = rules::first_status(&message, &capabilities);
        let sizes: Vec<i64> = draft.files.iter().map(|file| file.stored.byte_size).collect();
        if let Some(words) = rules::refusal(&message, &sizes, &capabilities, can_reply) {
            return Err(ConversationError::Refused(words));
        }
        let view = MessageView { message, attachments: Vec::new(), sender: Some(sender.clone()), echo_id: draft.echo_id };
        Ok(NewMessage { view, files: draft.files, downloads: Vec::new() })
    }
}

/// The contact, blocked or not any more.
fn blocked(contact: &Row<contact::Model>, blocked: bool, now: DateTime<Utc>) -> Row<contact::Model> {
    let before = match contact {
        Row::Kept(before) | Row::Changed { before, .. } => before.clone(),
        Row::New(row) => return Row::New(contact::Model { blocked, ..row.clone() }),
    };
    if before.blocked == blocked {
        return Row::Kept(before);
    }
    let after = contact::Model { blocked, updated_at: now, ..before.as_ref().clone() };
    Row::Changed { before, after }
}
