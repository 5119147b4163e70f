//! The only writer of what one contact and one inbox say to each other: its conversations, their messages, status, assignee.
//!
//! The key is the contact's identity in the inbox, not the conversation, because what must be decided one at a time is
//! "reopen the last conversation, or open a new one?". An actor loads what it decides on when it starts and keeps it; a
//! message on its way then reads nothing. After any error the outcome is unknown, so it loads again before the next command.
mod command;
mod load;
pub mod rules;
mod seen;

pub use command::{Command, ContactChanged, ConversationError, Draft, Forget, Idle, Incoming, Open, Outcome, Say, Target};

use crate::catalog::{Catalog, Inbox};
use crate::db::Db;
use crate::event::{AccountCard, Event, Fact, MessageView};
use crate::hub::Hub;
use crate::message::{Delivery, Key, ProviderId, Sender};
use crate::persistence::PersistenceActor;
use crate::store::{NewMessage, OutgoingChange, Record, Recorded, Row, StoreError};
use crate::wake::Wakes;
use actix::prelude::*;
use chrono::{DateTime, Utc};
use entity::conversation::Status;
use entity::message::{MessageStatus, MessageType};
use entity::{conversation, message};
use load::{Known, Person, State};
use rules::{By, Change};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const IDLE_AFTER: Duration = Duration::from_secs(60);

/// What every conversation actor works with.
#[derive(Clone)]
pub struct Surroundings {
    /// Reads beside the writer.
    pub db: Db,
    /// Accounts, inboxes, users.
    pub catalog: Catalog,
    /// Commits.
    pub persistence: Addr<PersistenceActor>,
    /// For what is told without being stored (typing).
    pub hub: Hub,
    /// Whom to wake after a commit.
    pub wakes: Wakes,
}

/// The conversations of one contact in one inbox.
pub struct ConversationActor {
    key: Key,
    state: State,
    handled: u64,
    /// The directory, which says whether an idle actor may leave.
    directory: Recipient<Idle>,
    surroundings: Surroundings,
}

impl ConversationActor {
    /// Of a key.
    pub fn new(key: Key, directory: Recipient<Idle>, surroundings: Surroundings) -> Self {
        ConversationActor { key, state: State::default(), handled: 0, directory, surroundings }
    }

    /// Leaves after a quiet minute, if the directory agrees.
    fn watch_idle(&self, ctx: &mut Context<Self>) {
        let before = self.handled;
        ctx.run_later(IDLE_AFTER, move |actor, ctx| {
            if actor.handled != before {
                return actor.watch_idle(ctx);
            }
            let idle = Idle { key: actor.key.clone(), handled: actor.handled };
            let asked = actor.directory.send(idle).into_actor(actor);
            // A pending timer keeps an actor alive after its last address is gone, hence the explicit stop.
            ctx.spawn(asked.map(|leave, actor, ctx| if let Ok(false) = leave { actor.watch_idle(ctx) } else { ctx.stop() }));
        });
    }
}

impl Actor for ConversationActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(0);
        self.watch_idle(ctx);
    }
}

impl Handler<Command> for ConversationActor {
    type Result = AtomicResponse<Self, Result<Recorded, ConversationError>>;

    fn handle(&mut self, command: Command, _: &mut Self::Context) -> Self::Result {
        self.handled += 1;
        let state = std::mem::take(&mut self.state);
        let work = Work { key: self.key.clone(), surroundings: self.surroundings.clone(), state };
        AtomicResponse::new(Box::pin(work.run(command).into_actor(self).map(|(state, answer), actor, _| {
            actor.state = state;
            answer
        })))
    }
}

impl Handler<ContactChanged> for ConversationActor {
    type Result = ();

    fn handle(&mut self, ContactChanged(contact): ContactChanged, _: &mut Self::Context) {
        if let Some(person) = self.state.person.as_mut().filter(|person| person.contact.id == contact.id) {
            person.contact = contact;
        }
    }
}

impl Handler<Forget> for ConversationActor {
    type Result = ();

    fn handle(&mut self, Forget { contact_id }: Forget, _: &mut Self::Context) {
        let concerns = |id: i64| self.state.person.as_ref().is_some_and(|person| person.contact.id == id);
        if contact_id.is_none_or(concerns) {
            self.state = State::default();
        }
    }
}

/// One command at work.
struct Work {
    key: Key,
    surroundings: Surroundings,
    state: State,
}

impl Work {
    async fn run(mut self, command: Command) -> (State, Result<Recorded, ConversationError>) {
        let mut answer = self.answer(command.clone()).await;
        if matches!(answer, Err(ConversationError::Store(StoreError::Gone))) {
            // Nothing was written for the contact that was kept; whose conversations they are now is to be read.
            self.state = State::default();
            answer = self.answer(command).await;
        }
        if matches!(answer, Err(ConversationError::Store(_) | ConversationError::Unanswered)) {
            // What was committed is unknown: load again before the next command.
            self.state = State::default();
        }
        (self.state, answer)
    }

    async fn answer(&mut self, command: Command) -> Result<Recorded, ConversationError> {
        let inbox = self.surroundings.catalog.now().inbox(self.key.inbox_id).cloned().ok_or(ConversationError::NotFound)?;
        self.state.load(&self.surroundings.db, &self.key).await?;
        match command {
            Command::Deliver(incoming) => self.deliver(inbox, *incoming).await,
            Command::Say(say) => self.say(inbox, *say).await,
            Command::Open(open) => self.open(inbox, *open).await,
            Command::Change { conversation_id, by: By::Contact, change: Change::SeenByContact } => self.seen(inbox, conversation_id).await,
            Command::Change { conversation_id, by, change } => self.change(inbox, conversation_id, by, change).await,
            Command::Settle { conversation_id, message_id, outcome } => self.settle(inbox, conversation_id, message_id, outcome).await,
            Command::Typing { conversation_id, who, is_typing, is_private } => {
                self.typing(inbox, conversation_id, who, is_typing, is_private).await
            }
        }
    }

    async fn deliver(&mut self, inbox: Arc<Inbox>, incoming: Incoming) -> Result<Recorded, ConversationError> {
        let now = entity::now();
        let person = match &self.state.person {
            Some(person) => person.kept(),
            None => load::new_person(&self.surroundings.db, &inbox.row, &self.key, &incoming.profile, now).await?,
        };
        let known = self.target(&inbox, incoming.target).await?;
        let contact = rules_contact(&person.0, now);
        let is_new = known.is_none();
        // An app opens a conversation before it posts the first message.
        let is_first = known.as_ref().is_none_or(Known::is_silent);
        let (before, can_reply) = match &known {
            Some(known) => (known.row.clone(), known.can_reply(&inbox, now)),
            None => {
                let mut opened = rules::open(&inbox.row, contact.after(), now);
                opened.additional_attributes = Value::Object(incoming.conversation_attributes);
                (Arc::new(opened), true)
            }
        };
        let after = rules::after_incoming(&before, contact.after(), inbox.row.agent_bot_id.is_some(), now);
        let sender = Sender::Contact(Arc::new(contact.after().clone()));
        let message = message::Model {
            content: incoming.content,
            content_type: incoming.content_type,
            source_id: incoming.provider_id,
            sender_type: Some(entity::message::SenderType::Contact),
            sender_id: Some(contact.after().id),
            content_attributes: Value::Object(incoming.content_attributes),
            ..rules::message_of_rule(&after, MessageType::Incoming, String::new(), now).message
        };
        let sizes: Vec<i64> = incoming.files.iter().map(|file| file.stored.byte_size).collect();
        if let Some(words) = rules::refusal(&message, &sizes, &inbox.settings.capabilities(), can_reply) {
            return Err(ConversationError::Refused(words));
        }
        let view = MessageView { message, attachments: Vec::new(), sender: Some(sender), echo_id: incoming.echo_id };
        let mut messages = vec![NewMessage { view, files: incoming.files }];
        if let Some(greeting) = rules::greeting(&inbox, incoming.is_automatic, is_first) {
            let mut view = rules::message_of_rule(&after, MessageType::Template, greeting, now);
            view.message.status = rules::first_status(&view.message, &inbox.settings.capabilities());
            messages.push(NewMessage { view, files: Vec::new() });
        }
        let conversation = if is_new { Row::New(after) } else { Row::Changed { before, after } };
        let record = Record {
            contact,
            messages,
            can_reply: true,
            claim: incoming.claim,
            ..self.record(&inbox, person, conversation, known.as_ref())
        };
        self.commit(record, Some(now)).await
    }

    async fn say(&mut self, inbox: Arc<Inbox>, say: Say) -> Result<Recorded, ConversationError> {
        let now = entity::now();
        if inbox.is_deleted() && !say.draft.private {
            return Err(ConversationError::Refused("The inbox is deleted: only notes can be added".into()));
        }
        let known = self.known(say.conversation_id).await?;
        let person = self.person()?;
        let message = self.drafted(&inbox, &known.row, &say.sender, say.draft, now, known.can_reply(&inbox, now))?;
        let after = rules::after_outgoing(&known.row, &message.view.message, now);
        let performer = user_card(&say.sender);
        let conversation = Row::Changed { before: known.row.clone(), after };
        let can_reply = known.can_reply(&inbox, now);
        let record = Record {
            messages: vec![message],
            performer,
            claim: say.claim,
            can_reply,
            ..self.record(&inbox, person, conversation, Some(&known))
        };
        self.commit(record, None).await
    }

    fn drafted(
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
        Ok(NewMessage { view, files: draft.files })
    }

    async fn open(&mut self, inbox: Arc<Inbox>, open: Open) -> Result<Recorded, ConversationError> {
        let now = entity::now();
        let person = self.person()?;
        if inbox.row.lock_to_single_conversation
            && let Some(latest) = self.state.latest
        {
            let Some((sender, draft)) = open.first else {
                let known = self.known(latest).await?;
                let conversation = Row::Kept(known.row.clone());
                let record = Record { claim: open.claim, ..self.record(&inbox, person, conversation, Some(&known)) };
                return self.commit(record, None).await;
            };
            return self.say(inbox, Say { conversation_id: latest, sender, draft, claim: open.claim }).await;
        }
        let mut opened = rules::open(&inbox.row, person.0.after(), now);
        if opened.status == Status::Open {
            opened.status = open.status.unwrap_or(Status::Open);
        }
        opened.snoozed_until = open.snoozed_until.filter(|_| opened.status == Status::Snoozed);
        opened.assignee_id = open.assignee_id;
        opened.team_id = open.team_id;
        opened.additional_attributes = Value::Object(open.additional_attributes);
        opened.custom_attributes = Value::Object(open.custom_attributes);
        let mut messages = Vec::new();
        if let Some((sender, draft)) = open.first {
            let can_reply = rules::can_reply(&inbox.settings, None, now);
            let message = self.drafted(&inbox, &opened, &sender, draft, now, can_reply)?;
            opened = rules::after_outgoing(&opened, &message.view.message, now);
            messages.push(message);
        }
        let performer = open.by.user().cloned();
        let can_reply = rules::can_reply(&inbox.settings, None, now);
        let record = Record { messages, performer, claim: open.claim, can_reply, ..self.record(&inbox, person, Row::New(opened), None) };
        self.commit(record, None).await
    }

    async fn change(&mut self, inbox: Arc<Inbox>, conversation_id: i64, by: By, change: Change) -> Result<Recorded, ConversationError> {
        let now = entity::now();
        let known = self.known(conversation_id).await?;
        let (after, said) = rules::after_change(&known.row, &change, &by, now);
        let mut messages = Vec::new();
        if let Some(words) = said {
            messages.push(NewMessage { view: rules::message_of_rule(&after, MessageType::Activity, words, now), files: Vec::new() });
        }
        let conversation = Row::Changed { before: known.row.clone(), after };
        let can_reply = known.can_reply(&inbox, now);
        let record = Record {
            messages,
            performer: by.user().cloned(),
            can_reply,
            ..self.record(&inbox, self.person()?, conversation, Some(&known))
        };
        self.commit(record, None).await
    }

    async fn settle(
        &mut self,
        inbox: Arc<Inbox>,
        conversation_id: i64,
        message_id: i64,
        outcome: Outcome,
    ) -> Result<Recorded, ConversationError> {
        let now = entity::now();
        let known = self.known(conversation_id).await?;
        let before = load::message(&self.surroundings, conversation_id, message_id).await?.ok_or(ConversationError::NotFound)?;
        let mut record = self.record(&inbox, self.person()?, Row::Kept(known.row.clone()), Some(&known));
        record.can_reply = known.can_reply(&inbox, now);
        let leaves_by_events = inbox.settings.capabilities().delivery == Delivery::Events;
        let is_retry = matches!(outcome, Outcome::Retry);
        let (mut after, outgoing) = settled(&before.message, outcome, now)?;
        if is_retry && leaves_by_events {
            after.status = MessageStatus::Sent;
            record.retold.push(MessageView { message: after.clone(), ..before.clone() });
        } else {
            record.outgoing.extend(outgoing);
        }
        if after != before.message {
            record.changed_messages.push((before, after));
        }
        self.commit(record, None).await
    }

    async fn typing(
        &mut self,
        inbox: Arc<Inbox>,
        conversation_id: i64,
        who: Sender,
        is_typing: bool,
        is_private: bool,
    ) -> Result<Recorded, ConversationError> {
        let known = self.known(conversation_id).await?;
        let person = self.person()?;
        let (contact, contact_inbox) = (Arc::new(person.0.after().clone()), Arc::new(person.1.after().clone()));
        let view = known.view(&inbox, contact.clone(), contact_inbox.clone(), &self.surroundings.catalog.now());
        let performer = user_card(&who);
        let fact = if is_typing { Fact::TypingOn(view, who, is_private) } else { Fact::TypingOff(view, who, is_private) };
        self.surroundings.hub.publish(&Event { id: 0, account: account_card(&inbox), at: entity::now(), performer, fact });
        let conversation = Some(known.row);
        Ok(Recorded { contact, contact_inbox: Some(contact_inbox), conversation, messages: Vec::new(), repeated: false, queued: false })
    }

    /// The conversation that a message of the contact belongs to; none for a new one.
    async fn target(&mut self, inbox: &Inbox, target: Target) -> Result<Option<Known>, ConversationError> {
        match (target, self.state.latest) {
            (Target::Given(id), _) => self.known(id).await.map(Some),
            (Target::New, Some(latest)) if inbox.row.lock_to_single_conversation => self.known(latest).await.map(Some),
            (Target::New, _) | (Target::Latest, None) => Ok(None),
            (Target::Latest, Some(latest)) => {
                let known = self.known(latest).await?;
                let goes_on = inbox.row.lock_to_single_conversation || known.row.status != Status::Resolved;
                Ok(goes_on.then_some(known))
            }
        }
    }

    async fn known(&mut self, conversation_id: i64) -> Result<Known, ConversationError> {
        self.state.conversation(&self.surroundings, conversation_id).await?.ok_or(ConversationError::NotFound)
    }

    fn person(&self) -> Result<load::PersonRows, ConversationError> {
        self.state.person.as_ref().map(Person::kept).ok_or(ConversationError::NotFound)
    }

    /// A record in which nothing but the conversation happens.
    fn record(
        &self,
        inbox: &Arc<Inbox>,
        person: load::PersonRows,
        conversation: Row<conversation::Model>,
        known: Option<&Known>,
    ) -> Record {
        Record {
            account: account_card(inbox),
            performer: None,
            contact: person.0,
            inbox: Some(inbox.clone()),
            contact_inbox: Some(person.1),
            conversation: Some(conversation),
            messages: Vec::new(),
            changed_messages: Vec::new(),
            retold: Vec::new(),
            outgoing: Vec::new(),
            last_message: known.and_then(|known| known.last_message.clone()),
            can_reply: true,
            claim: None,
        }
    }

    async fn commit(&mut self, record: Record, incoming_at: Option<DateTime<Utc>>) -> Result<Recorded, ConversationError> {
        let stands_differently = match &record.conversation {
            Some(Row::Changed { before, after }) => {
                before.status != after.status
                    || before.assignee_id != after.assignee_id
                    || before.assignee_agent_bot_id != after.assignee_agent_bot_id
            }
            Some(Row::New(_)) => true,
            _ => false,
        };
        let answer = self.surroundings.persistence.send(crate::persistence::Commit(record)).await;
        let recorded = answer.map_err(|_| ConversationError::Unanswered)??;
        if recorded.queued {
            self.surroundings.wakes.outgoing.ring(&self.key.inbox_id);
        }
        if stands_differently {
            self.surroundings.wakes.assignment.notify_one();
        }
        if recorded.repeated {
            // The repeat may belong to another contact's conversation: nothing is learned from it.
            return Ok(recorded);
        }
        self.state.adopt(&recorded, incoming_at);
        Ok(recorded)
    }
}

/// The contact after having written.
fn rules_contact(contact: &Row<entity::contact::Model>, now: DateTime<Utc>) -> Row<entity::contact::Model> {
    let active = |contact: &entity::contact::Model| entity::contact::Model { last_activity_at: Some(now), ..contact.clone() };
    match contact {
        Row::Kept(before) => Row::Changed { before: before.clone(), after: active(before) },
        Row::New(contact) => Row::New(active(contact)),
        Row::Changed { before, after } => Row::Changed { before: before.clone(), after: active(after) },
    }
}

/// A message after what came of it, and what becomes of its row that waits.
fn settled(
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
            after.status = rules::next_status(before.status, MessageStatus::Failed).unwrap_or(before.status);
            crate::wire::set(&mut after.content_attributes, "external_error", error.into());
            done
        }
        Outcome::Reported(status, error) => {
            let Some(status) = rules::next_status(before.status, status) else { return Ok((before.clone(), None)) };
            after.status = status;
            if let Some(error) = error {
                crate::wire::set(&mut after.content_attributes, "external_error", error.into());
            }
            None
        }
        Outcome::Retry => {
            if before.status != MessageStatus::Failed {
                return Err(ConversationError::Refused("Only a message that failed can be tried again".into()));
            }
            after.status = MessageStatus::Queued;
            if let Value::Object(attributes) = &mut after.content_attributes {
                attributes.remove("external_error");
            }
            Some(OutgoingChange::Queue { message_id })
        }
        Outcome::Submitted(values, email) => {
            if let Some(words) = rules::answer_refusal(before, email.as_deref()) {
                return Err(ConversationError::Refused(words));
            }
            crate::wire::set(&mut after.content_attributes, "submitted_values", values);
            if let Some(email) = email {
                crate::wire::set(&mut after.content_attributes, "submitted_email", email.into());
            }
            None
        }
        Outcome::Delete => {
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

fn user_card(sender: &Sender) -> Option<crate::message::UserCard> {
    match sender {
        Sender::User(user) => Some(user.clone()),
        Sender::Bot(_) | Sender::Contact(_) => None,
    }
}

fn account_card(inbox: &Inbox) -> AccountCard {
    AccountCard { id: inbox.account.id, name: inbox.account.name.clone() }
}
