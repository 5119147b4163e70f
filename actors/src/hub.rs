//! Routes an event to the sockets of those who may hear it, and to nobody else.
//!
//! The index goes from audience to sockets, and an event is rendered once for all of them: it costs what its receivers
//! cost, not what all open sockets cost. A socket that does not keep up is cut; it never makes the daemon remember for it.
//!
//! Whoever was away reads the log from the last event it heard, and begins to listen: subscribing tells the newest event
//! that was published before. Up to there the log is read, everything later is heard, so nothing is lost or doubled.
mod persons;

pub use persons::Person;

use crate::catalog::{Catalog, Snapshot};
use crate::event::{Audience, Event, Fact};
use crate::event_log::{EventLog, Scope};
use crate::mailbox::{Cut, Frame, Mailbox, Mailboxes, OpenMailbox};
use crate::message::Sender;
use crate::wire::Wire;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use entity::contact_inbox;
use persons::{Persons, person_of};
use sea_orm::{DbErr, EntityTrait};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many rows of the log are read at a time.
const PAGE: u64 = 100;

/// How often the users of an account are told who is there, at most.
const PRESENCE_EVERY: Duration = Duration::from_millis(250);

/// Who listens on a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Listener {
    /// A user, for the events of one account.
    User {
        /// The account.
        account_id: i64,
        /// The user.
        user_id: i64,
    },
    /// A contact, by its identity in an inbox.
    Contact {
        /// The identity.
        contact_inbox_id: i64,
    },
}

/// The index of open subscriptions.
#[derive(Clone)]
pub struct Hub {
    index: Arc<Mutex<Index>>,
    /// Accounts whose users are to be told who is there.
    presence: Arc<Mutex<HashSet<i64>>>,
    /// Accounts and inboxes whose viewers are to be told that other conversations are unread now.
    unread: Arc<Mutex<HashSet<(i64, i64)>>>,
    mailboxes: Mailboxes,
    catalog: Catalog,
    wire: Wire,
    log: EventLog,
}

struct Index {
    subscriptions: HashMap<Listener, Vec<Subscription>>,
    persons: Persons,
    next_id: u64,
    /// The newest event that was published.
    newest: i64,
}

struct Subscription {
    id: u64,
    mailbox: Arc<Mailbox>,
    /// A listening user's token: once it is another, the subscription ends.
    token: Box<str>,
}

/// An open subscription; dropping it ends it.
pub struct Subscribed {
    /// Its frames carry this.
    pub id: u64,
    /// The newest event that was published before: all later ones are heard.
    pub since: i64,
    listener: Listener,
    hub: Hub,
}

/// A part of the log, as its listener would have heard it.
pub struct Page {
    /// Ids of events and their frames.
    pub frames: Vec<(i64, Bytes)>,
    /// All up to this id was looked at.
    pub reached: i64,
}

impl Hub {
    /// Without listeners; `newest` is the newest event of the log.
    pub fn new(catalog: Catalog, wire: Wire, log: EventLog, newest: i64) -> Self {
        let index = Index { subscriptions: HashMap::new(), persons: Persons::default(), next_id: 0, newest };
        Hub {
            index: Arc::new(Mutex::new(index)),
            presence: Arc::default(),
            unread: Arc::default(),
            mailboxes: Mailboxes::default(),
            catalog,
            wire,
            log,
        }
    }

    /// Pings the sockets, tells who is there, and ends subscriptions of those who may not listen any more; for as long as the daemon runs.
    pub async fn keep_up(self) {
        let mut renewals = self.catalog.renewals();
        let revising = async {
            while renewals.changed().await.is_ok() {
                self.revise();
            }
        };
        let telling = async {
            let mut ticks = tokio::time::interval(PRESENCE_EVERY);
            loop {
                ticks.tick().await;
                self.tell_presence();
                self.tell_unread();
            }
        };
        tokio::join!(revising, telling, self.mailboxes.ping());
    }

    /// A mailbox for a new socket.
    pub fn open_mailbox(&self) -> OpenMailbox {
        self.mailboxes.open()
    }

    /// The log of events.
    pub fn log(&self) -> &EventLog {
        &self.log
    }

    /// Begins to listen; `None` if the token opens this no more.
    pub fn subscribe(&self, listener: Listener, token: &str, mailbox: Arc<Mailbox>) -> Option<Subscribed> {
        let mut index = self.lock();
        // Asked under the lock: a change of the catalog comes before, and is seen, or after, and revises this one too.
        if !may_listen(&self.catalog.now(), listener, token) {
            return None;
        }
        index.next_id += 1;
        let (id, since) = (index.next_id, index.newest);
        index.subscriptions.entry(listener).or_default().push(Subscription { id, mailbox, token: token.into() });
        Some(Subscribed { id, since, listener, hub: self.clone() })
    }

    /// An identity has proven whose it is: while it listens, it hears what is said to the person under any of its identities.
    pub fn note_proven(&self, contact_inbox_id: i64, person: Person) {
        let mut index = self.lock();
        if index.subscriptions.contains_key(&Listener::Contact { contact_inbox_id }) {
            index.persons.note(contact_inbox_id, person);
        }
    }

    /// The newest event that was published.
    pub fn newest(&self) -> i64 {
        self.lock().newest
    }

    /// What a listener may hear now of the next part of the log after an event; `None` if the log does not hold it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn page(&self, listener: Listener, after: i64, up_to: i64) -> Result<Option<Page>, DbErr> {
        let catalog = self.catalog.now();
        let Some((scope, person)) = self.scope(&catalog, listener).await? else {
            return Ok(Some(Page { frames: Vec::new(), reached: up_to }));
        };
        let Some(rows) = self.log.read(&scope, after, up_to, PAGE).await? else { return Ok(None) };
        let is_full = u64::try_from(rows.len()).is_ok_and(|length| length == PAGE);
        let reached = rows.last().filter(|_| is_full).map_or(up_to, |(id, _)| *id);
        let mut frames = Vec::with_capacity(rows.len());
        for (id, logged) in rows {
            match Event::parse(&logged) {
                Ok(event) if !event.fact.is_momentary() && is_heard(&catalog, &event, listener, person) => {
                    frames.push((id, self.render(&event, listener)));
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(event.id = id, %error, "an event of the log cannot be read");
                    return Ok(None);
                }
            }
        }
        Ok(Some(Page { frames, reached }))
    }

    /// The event after which everything lies that happened since; `None` if the log does not hold all of that.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn before(&self, since: DateTime<Utc>) -> Result<Option<i64>, DbErr> {
        self.log.before(since).await
    }

    /// Which part of the log may concern a listener, and whom it has proven to be; what of it does, [`is_heard`] decides.
    async fn scope(&self, catalog: &Snapshot, listener: Listener) -> Result<Option<(Scope, Option<Person>)>, DbErr> {
        match listener {
            Listener::User { account_id, user_id } => {
                let inboxes = catalog.all_inboxes().filter(|inbox| inbox.row.account_id == account_id && inbox.is_visible_to(user_id));
                Ok(Some((Scope { account_id, inboxes: inboxes.map(|inbox| inbox.row.id).collect() }, None)))
            }
            Listener::Contact { contact_inbox_id } => {
                let identity = contact_inbox::Entity::find_by_id(contact_inbox_id).one(&self.log.db().read).await?;
                let inbox = identity.as_ref().and_then(|identity| catalog.inbox(identity.inbox_id));
                let person = identity.as_ref().filter(|identity| identity.hmac_verified);
                let person = person.map(|identity| (identity.contact_id, identity.inbox_id));
                Ok(inbox.map(|inbox| (Scope { account_id: inbox.row.account_id, inboxes: vec![inbox.row.id] }, person)))
            }
        }
    }

    /// Hands an event to everybody who may hear it. Called in the order of the commits; never waits.
    pub fn publish(&self, event: &Event) {
        let mut listeners = listeners(&self.catalog.now(), event);
        if let Some(person) = person_of(event) {
            let index = self.lock();
            let all = index.persons.addresses(person).iter().map(|id| Listener::Contact { contact_inbox_id: *id });
            let others: Vec<Listener> = all.filter(|listener| !listeners.contains(listener)).collect();
            listeners.extend(others);
        }
        let is_heard = self.send(event.id, listeners, |listener| self.render(event, listener));
        if let Some(view) = event.fact.conversation().filter(|_| is_heard && event.fact.changes_unread()) {
            self.unread.lock().unwrap_or_else(PoisonError::into_inner).insert((event.account.id, view.inbox.id));
        }
    }

    /// Tells the users of an account who is there, soon: were a thousand told each time that one of them comes, a restart
    /// would cost a million frames.
    pub fn publish_presence(&self, account_id: i64) {
        self.presence.lock().unwrap_or_else(PoisonError::into_inner).insert(account_id);
    }

    /// Tells the users of an account which of its lists they must read again (contract, section 7).
    pub fn publish_cache_keys(&self, account_id: i64, cache_keys: &Value) {
        let data = json!({ "account_id": account_id, "cache_keys": cache_keys });
        self.send(0, users(&self.catalog.now(), account_id), |_| frame("account.cache_invalidated", data.clone()));
    }

    fn tell_presence(&self) {
        let accounts = std::mem::take(&mut *self.presence.lock().unwrap_or_else(PoisonError::into_inner));
        for account_id in accounts {
            let listeners = users(&self.catalog.now(), account_id);
            self.send(0, listeners, |_| self.presence_frame(account_id, true));
        }
    }

    /// Once for all that happened since the last time: whoever wants the numbers asks for them.
    fn tell_unread(&self) {
        let changed = std::mem::take(&mut *self.unread.lock().unwrap_or_else(PoisonError::into_inner));
        let catalog = self.catalog.now();
        let mut told: HashMap<i64, HashSet<Listener>> = HashMap::new();
        for (account_id, inbox_id) in changed {
            told.entry(account_id).or_default().extend(viewers(&catalog, account_id, inbox_id));
        }
        for (account_id, listeners) in told {
            self.send(0, listeners.into_iter().collect(), |_| {
                frame("conversation.unread_count_changed", json!({ "account_id": account_id }))
            });
        }
    }

    /// The frame that says who is there; contacts are told of users only.
    pub fn presence_frame(&self, account_id: i64, with_contacts: bool) -> Bytes {
        let presence = self.wire.presence();
        let mut data = json!({ "account_id": account_id, "users": presence.users(account_id) });
        if with_contacts {
            crate::wire::set(&mut data, "contacts", json!(presence.contacts(account_id)));
        }
        frame("presence.update", data)
    }

    /// How many subscriptions are open.
    pub fn count(&self) -> usize {
        self.lock().subscriptions.values().map(Vec::len).sum()
    }

    /// Whether a listener has any subscription.
    pub fn is_listening(&self, listener: Listener) -> bool {
        self.lock().subscriptions.contains_key(&listener)
    }

    /// Whether anybody listened. What is rendered for one user is told to all, and so with contacts.
    fn send(&self, event_id: i64, listeners: Vec<Listener>, render: impl Fn(Listener) -> Bytes) -> bool {
        let (mut for_users, mut for_contacts) = (None, None);
        let mut index = self.lock();
        index.newest = index.newest.max(event_id);
        for listener in listeners {
            let Some(found) = index.subscriptions.get_mut(&listener) else { continue };
            found.retain(|subscription| {
                let rendered = if matches!(listener, Listener::User { .. }) { &mut for_users } else { &mut for_contacts };
                let message: Bytes = rendered.get_or_insert_with(|| render(listener)).clone();
                subscription.mailbox.push(Frame { subscription: subscription.id, event_id, message })
            });
            if found.is_empty() {
                index.remove(listener);
            }
        }
        for_users.is_some() || for_contacts.is_some()
    }

    fn revise(&self) {
        let mut index = self.lock();
        let catalog = self.catalog.now();
        index.subscriptions.retain(|listener, found| {
            found.retain(|subscription| {
                let stays = may_listen(&catalog, *listener, &subscription.token);
                if !stays {
                    subscription.mailbox.cut(Cut::Unauthorized);
                }
                stays
            });
            !found.is_empty()
        });
    }

    fn render(&self, event: &Event, listener: Listener) -> Bytes {
        let data = match listener {
            Listener::User { .. } => self.wire.push_data(event),
            Listener::Contact { .. } => self.wire.push_data_for_contact(event),
        };
        frame(event.fact.name(), data)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    /// Nobody listens any more.
    fn remove(&mut self, listener: Listener) {
        self.subscriptions.remove(&listener);
        if let Listener::Contact { contact_inbox_id } = listener {
            self.persons.forget(contact_inbox_id);
        }
    }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        let mut index = self.hub.lock();
        if let Some(found) = index.subscriptions.get_mut(&self.listener) {
            found.retain(|subscription| subscription.id != self.id);
            if found.is_empty() {
                index.remove(self.listener);
            }
        }
    }
}

/// Who may hear of an event now, but for the other addresses of a person.
fn listeners(catalog: &Snapshot, event: &Event) -> Vec<Listener> {
    let account_id = event.account.id;
    let mut listeners: Vec<Listener> = match event.fact.audience() {
        Audience::Agents { inbox_id } => viewers(catalog, account_id, inbox_id).collect(),
        Audience::AgentsAndContact { inbox_id, contact_inbox_id } => {
            viewers(catalog, account_id, inbox_id).chain(std::iter::once(Listener::Contact { contact_inbox_id })).collect()
        }
        Audience::User { user_id } => vec![Listener::User { account_id, user_id }],
        Audience::Account => users(catalog, account_id),
        Audience::Nobody => Vec::new(),
    };
    if let Some(typist) = typist(event) {
        listeners.retain(|listener| *listener != typist);
    }
    listeners
}

/// Whether somebody who was away would have heard of an event.
fn is_heard(catalog: &Snapshot, event: &Event, listener: Listener, person: Option<Person>) -> bool {
    listeners(catalog, event).contains(&listener) || (person.is_some() && person_of(event) == person)
}

/// Those who may see the conversations of an inbox.
fn viewers(catalog: &Snapshot, account_id: i64, inbox_id: i64) -> impl Iterator<Item = Listener> {
    let viewers = catalog.inbox(inbox_id).map(|inbox| inbox.viewers.as_slice()).unwrap_or_default();
    viewers.iter().map(move |user_id| Listener::User { account_id, user_id: *user_id })
}

fn users(catalog: &Snapshot, account_id: i64) -> Vec<Listener> {
    catalog.users_of(account_id).into_iter().map(|user| Listener::User { account_id, user_id: user.row.id }).collect()
}

/// Whether a token still opens what a listener hears. The identities of contacts keep theirs.
fn may_listen(catalog: &Snapshot, listener: Listener, token: &str) -> bool {
    match listener {
        Listener::User { account_id, user_id } => {
            catalog.user_by_pubsub_token(token).is_some_and(|user| user.row.id == user_id && user.place(account_id).is_some())
        }
        Listener::Contact { .. } => true,
    }
}

/// Who types, and need not be told (contract, section 7).
fn typist(event: &Event) -> Option<Listener> {
    let (Fact::TypingOn(view, who, _) | Fact::TypingOff(view, who, _)) = &event.fact else { return None };
    match who {
        Sender::User(user) => Some(Listener::User { account_id: event.account.id, user_id: user.id }),
        Sender::Contact(_) => Some(Listener::Contact { contact_inbox_id: view.contact_inbox.id }),
        Sender::Bot(_) => None,
    }
}

fn frame(event: &str, data: Value) -> Bytes {
    Bytes::from(json!({ "event": event, "data": data }).to_string())
}
