//! Who is there: kept in memory only, since it is about the sockets of this very moment.
//!
//! A user or contact is there while one of its sockets has said so within the last seconds (contract, section 7). What a
//! user *chose* to show is stored (`account_users`); a user who switched `auto_offline` off counts as chosen without a socket.
use crate::catalog::Catalog;
use entity::account_user::Availability;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Agents say so every 20 s; a late one is given another half.
const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// Widgets say so every 60 s.
const CONTACT_TIMEOUT: Duration = Duration::from_secs(90);

/// Who is there.
#[derive(Clone)]
pub struct Presence {
    seen: Arc<Mutex<Seen>>,
    catalog: Catalog,
}

#[derive(Default)]
struct Seen {
    /// By account and user.
    users: HashMap<(i64, i64), Instant>,
    /// By account and contact.
    contacts: HashMap<(i64, i64), Instant>,
}

impl Presence {
    /// Nobody is there yet.
    pub fn new(catalog: Catalog) -> Self {
        Presence { seen: Arc::default(), catalog }
    }

    /// A user says so; true if this is news.
    pub fn user_is_there(&self, account_id: i64, user_id: i64) -> bool {
        let before = self.lock().users.insert((account_id, user_id), Instant::now());
        before.is_none_or(|before| before.elapsed() >= USER_TIMEOUT)
    }

    /// The last socket of a user has closed.
    pub fn user_left(&self, account_id: i64, user_id: i64) {
        self.lock().users.remove(&(account_id, user_id));
    }

    /// A contact says so.
    pub fn contact_is_there(&self, account_id: i64, contact_id: i64) {
        self.lock().contacts.insert((account_id, contact_id), Instant::now());
    }

    /// The last socket of a contact has closed.
    pub fn contact_left(&self, account_id: i64, contact_id: i64) {
        self.lock().contacts.remove(&(account_id, contact_id));
    }

    /// Whether a contact is there.
    pub fn is_contact_online(&self, account_id: i64, contact_id: i64) -> bool {
        self.lock().contacts.get(&(account_id, contact_id)).is_some_and(|seen| seen.elapsed() < CONTACT_TIMEOUT)
    }

    /// What is shown of a user: what it chose if it is there or need not be, otherwise offline.
    pub fn availability(&self, account_id: i64, user_id: i64) -> Availability {
        let chosen = self.catalog.now().user(user_id).and_then(|user| crate::catalog::chosen_availability(user, account_id));
        let Some((chosen, auto_offline)) = chosen else { return Availability::Offline };
        let is_there = || self.lock().users.get(&(account_id, user_id)).is_some_and(|seen| seen.elapsed() < USER_TIMEOUT);
        if !auto_offline || is_there() { chosen } else { Availability::Offline }
    }

    /// The users of an account that are not offline, with what they show.
    pub fn users(&self, account_id: i64) -> HashMap<String, &'static str> {
        let catalog = self.catalog.now();
        let shown = catalog.users_of(account_id).into_iter().map(|user| (user.row.id, self.availability(account_id, user.row.id)));
        shown.filter(|(_, shown)| *shown != Availability::Offline).map(|(id, shown)| (id.to_string(), shown.name())).collect()
    }

    /// The contacts of an account that are there.
    pub fn contacts(&self, account_id: i64) -> HashMap<String, &'static str> {
        let seen = self.lock();
        let online = seen.contacts.iter().filter(|((account, _), seen)| *account == account_id && seen.elapsed() < CONTACT_TIMEOUT);
        online.map(|((_, contact), _)| (contact.to_string(), "online")).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
