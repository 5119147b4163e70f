//! Routes an event to the sockets of those who may hear it, and to nobody else.
//!
//! The index goes from audience to sockets, and an event is rendered once for all of them: it costs what its receivers
//! cost, not what all open sockets cost. A socket that does not keep up is cut; it never makes the daemon remember for it.
use crate::catalog::Catalog;
use crate::event::{Audience, Event, Fact};
use crate::message::Sender;
use crate::wire::Wire;
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// How many frames may wait for one socket.
const QUEUE: usize = 256;

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
    subscriptions: Arc<Mutex<HashMap<Listener, Vec<Subscription>>>>,
    catalog: Catalog,
    wire: Wire,
    next_id: Arc<AtomicU64>,
}

struct Subscription {
    id: u64,
    frames: mpsc::Sender<Bytes>,
}

/// The receiving end of a subscription; leaving drops it.
pub struct Frames {
    /// The `message` of each data frame as JSON (`{"event":…,"data":…}`). Ends when the socket fell behind and is to be cut.
    pub queue: mpsc::Receiver<Bytes>,
    id: u64,
    listener: Listener,
    hub: Hub,
}

impl Hub {
    /// Without listeners.
    pub fn new(catalog: Catalog, wire: Wire) -> Self {
        Hub { subscriptions: Arc::default(), catalog, wire, next_id: Arc::default() }
    }

    /// Begins to listen.
    pub fn subscribe(&self, listener: Listener) -> Frames {
        let (frames, queue) = mpsc::channel(QUEUE);
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.lock().entry(listener).or_default().push(Subscription { id, frames });
        Frames { queue, id, listener, hub: self.clone() }
    }

    /// Hands an event to everybody who may hear it. Called in the order of the commits; never waits.
    pub fn publish(&self, event: &Event) {
        let account_id = event.account.id;
        let user = |user_id: &i64| Listener::User { account_id, user_id: *user_id };
        let catalog = self.catalog.now();
        let viewers = |inbox_id: i64| catalog.inbox(inbox_id).map(|inbox| inbox.viewers.as_slice()).unwrap_or_default();
        let typist = typist(event);
        let is_told = |listener: &Listener| Some(*listener) != typist;
        match event.fact.audience() {
            Audience::Agents { inbox_id } => self.send(viewers(inbox_id).iter().map(user).filter(is_told), || self.render(event)),
            Audience::AgentsAndContact { inbox_id, contact_inbox_id } => {
                let contact = std::iter::once(Listener::Contact { contact_inbox_id });
                self.send(viewers(inbox_id).iter().map(user).chain(contact).filter(is_told), || self.render(event));
            }
            Audience::Account => {
                self.send(catalog.users_of(account_id).iter().map(|found| user(&found.row.id)), || self.render(event));
            }
        }
    }

    /// Tells the users of an account who is there.
    pub fn publish_presence(&self, account_id: i64) {
        let catalog = self.catalog.now();
        let users = catalog.users_of(account_id);
        let listeners = users.iter().map(|user| Listener::User { account_id, user_id: user.row.id });
        self.send(listeners, || self.presence_frame(account_id, true));
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
        self.lock().values().map(Vec::len).sum()
    }

    /// Whether a listener has any subscription.
    pub fn is_listening(&self, listener: Listener) -> bool {
        self.lock().contains_key(&listener)
    }

    fn send(&self, listeners: impl Iterator<Item = Listener>, render: impl Fn() -> Bytes) {
        let mut rendered: Option<Bytes> = None;
        let mut subscriptions = self.lock();
        for listener in listeners {
            let Some(found) = subscriptions.get_mut(&listener) else { continue };
            // A queue that is full or closed is dropped here, which ends its socket.
            found.retain(|subscription| subscription.frames.try_send(rendered.get_or_insert_with(&render).clone()).is_ok());
            if found.is_empty() {
                subscriptions.remove(&listener);
            }
        }
    }

    fn render(&self, event: &Event) -> Bytes {
        frame(event.fact.name(), self.wire.push_data(event))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Listener, Vec<Subscription>>> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        let mut subscriptions = self.hub.lock();
        if let Some(found) = subscriptions.get_mut(&self.listener) {
            found.retain(|subscription| subscription.id != self.id);
            if found.is_empty() {
                subscriptions.remove(&self.listener);
            }
        }
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
