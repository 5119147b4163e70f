//! The only writer of what one contact and one inbox say to each other: its conversations, their messages, status, assignee.
//!
//! The key is the contact's identity in the inbox, not the conversation, because what must be decided one at a time is
//! "reopen the last conversation, or open a new one?". An actor loads what it decides on when it starts and keeps it; a
//! message on its way then reads nothing. After any error the outcome is unknown, so it loads again before the next command.
mod act;
mod command;
mod deliver;
mod follow_up;
mod load;
mod outcome;
pub mod rules;
mod seen;

pub use command::{
    Act, Command, ContactChanged, ConversationError, Draft, Forget, Idle, Incoming, Open, Outcome, Say, Step, Target, Thing,
};
pub use load::last_heard;
pub use outcome::{PENDING_ATTACHMENTS, SKIPPED_ATTACHMENTS, sent_with};

use crate::catalog::{Catalog, Inbox};
use crate::db::Db;
use crate::event::{AccountCard, Event, Fact, MessageView};
use crate::hub::Hub;
use crate::message::{Delivery, Key, Profile, Sender};
use crate::people;
use crate::persistence::{Announce, PersistenceActor};
use crate::store::{Announcement, ChangedMessage, Made, NewMessage, Record, Recorded, Row, StoreError};
use crate::wake::Wakes;
use crate::webhooks::destinations;
use actix::prelude::*;
use chrono::{DateTime, Utc};
use entity::conversation::Status;
use entity::message::{MessageStatus, MessageType};
use entity::{contact, conversation};
use load::{Known, Person, State};
use rules::{By, Change};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

const IDLE_AFTER: Duration = Duration::from_secs(60);
/// In the contract's words (section 0, Limits).
const TOO_MANY: &str = "Too many messages";

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
    /// The daemon's address, for links to it.
    pub public_url: Arc<str>,
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
        if !self.state.load(&self.surroundings.db, &self.key).await? {
            return Err(ConversationError::Renamed);
        }
        self.state.hear(&self.surroundings.db, &inbox).await?;
        match command {
            Command::Deliver(incoming) => self.deliver(inbox, *incoming).await,
            Command::Say(say) => self.act(inbox, act::say(*say, Made::Message)).await,
            Command::Open(open) => self.open(inbox, *open).await,
            Command::Change { conversation_id, by: By::Contact, change: Change::SeenByContact } => self.seen(inbox, conversation_id).await,
            Command::Change { conversation_id, by, change } => {
                let steps = vec![Step::Change(change)];
                self.act(inbox, Act { conversation_id, by, steps, quiet_since: None, claim: None }).await
            }
            Command::Act(act) => self.act(inbox, *act).await,
            Command::Settle { conversation_id, message_id, outcome } => self.settle(inbox, conversation_id, message_id, outcome).await,
            Command::FollowUp { conversation_id } => self.follow_up(inbox, conversation_id).await,
            Command::Typing { conversation_id, who, is_typing, is_private } => {
                self.typing(inbox, conversation_id, who, is_typing, is_private).await
            }
        }
    }

    async fn open(&mut self, inbox: Arc<Inbox>, open: Open) -> Result<Recorded, ConversationError> {
        let now = entity::now();
        let person = self.person()?;
        let claim = open.claim.map(|id| (id, Made::Conversation));
        if inbox.row.lock_to_single_conversation
            && let Some(latest) = self.state.latest
        {
            let Some((sender, draft)) = open.first else {
                let known = self.known(latest).await?;
                let conversation = Row::Kept(known.row.clone());
                let record = Record { claim, ..self.record(&inbox, person, conversation, Some(&known)) };
                return self.commit(record, None).await;
            };
            return self.act(inbox, act::say(Say { conversation_id: latest, sender, draft, claim: open.claim }, Made::Conversation)).await;
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
            let can_reply = rules::can_reply(&inbox.settings, self.state.heard(), now);
            let message = self.drafted(&inbox, &opened, &sender, draft, now, can_reply)?;
            opened = rules::after_outgoing(&opened, &message.view.message, now);
            messages.push(message);
        }
        let performer = open.by.user().cloned();
        let can_reply = rules::can_reply(&inbox.settings, self.state.heard(), now);
        let record = Record { messages, performer, claim, can_reply, ..self.record(&inbox, person, Row::New(opened), None) };
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
        record.performer = outcome.performer().cloned();
        let is_retry = matches!(outcome, Outcome::Retry(_));
        let email = match &outcome {
            Outcome::Submitted(_, email) if before.message.content_type == rules::EMAIL_FORM => email.clone(),
            _ => None,
        };
        let is_answer = matches!(outcome, Outcome::Submitted(..));
        let capabilities = inbox.settings.capabilities();
        let outcome::Settled { mut after, outgoing, file, fetched } =
            outcome::settled(&before.message, outcome, known.row.contact_id, &capabilities, now)?;
        if is_answer {
            rules::note_rated(&mut after, known.row.assignee_id, now);
        }
        if is_retry && leaves_by_events {
            after.status = MessageStatus::Sent;
            record.retold.push(MessageView { message: after.clone(), ..before.clone() });
        } else {
            record.outgoing.extend(outgoing);
        }
        record.fetched.extend(fetched);
        let changes_nothing = after == before.message && file.is_none() && record.outgoing.is_empty() && record.fetched.is_empty();
        if changes_nothing && record.retold.is_empty() {
            return Ok(record.unchanged());
        }
        if after != before.message || file.is_some() {
            record.changed_messages.push(ChangedMessage { before, after, files: file.into_iter().collect() });
        }
        let Some(email) = email else { return self.commit(record, None).await };
        let contact = self.reachable(record.contact.clone(), email, now).await?;
        match self.commit(Record { contact, ..record.clone() }, None).await {
            // Another contact has come by the address meanwhile.
            Err(ConversationError::Store(StoreError::Taken(_))) => self.commit(record, None).await,
            answer => answer,
        }
    }

    /// The contact with the address that it gives, if it has none and the address is nobody else's.
    async fn reachable(
        &self,
        contact: Row<contact::Model>,
        email: String,
        now: DateTime<Utc>,
    ) -> Result<Row<contact::Model>, ConversationError> {
        let Row::Kept(before) = contact else { return Ok(contact) };
        let given = Profile { email: Some(email), ..Profile::default() };
        if before.email.is_some() || people::find_contact(&self.surroundings.db, before.account_id, &given).await?.is_some() {
            return Ok(Row::Kept(before));
        }
        let after = contact::Model { email: given.email, updated_at: now, ..before.as_ref().clone() };
        Ok(Row::Changed { before, after })
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
        let account = account_card(&inbox);
        if destinations(&fact, account.id, &self.surroundings.catalog.now()).is_empty() {
            // Nothing is stored of what only sockets hear of.
            self.surroundings.hub.publish(&Event { id: 0, account, at: entity::now(), performer, fact });
        } else {
            let announced = self.surroundings.persistence.send(Announce(Announcement { account, performer, fact })).await;
            announced.map_err(|_| ConversationError::Unanswered)??;
        }
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
            contact_labels: None,
            posts: Vec::new(),
            mails: Vec::new(),
            followed_up: false,
            outgoing: Vec::new(),
            fetched: Vec::new(),
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

/// What a rule writes to the contact.
fn template(inbox: &Inbox, conversation: &conversation::Model, words: String, now: DateTime<Utc>) -> NewMessage {
    let mut view = rules::message_of_rule(conversation, MessageType::Template, words, now);
    view.message.status = rules::first_status(&view.message, &inbox.settings.capabilities());
    NewMessage::bare(view)
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
