//! Who is there: kept in memory only, since it is about the sockets of this very moment.
//!
//! A user or contact is there while one of its sockets has said so within the last seconds (contract, section 7). What a
//! user *chose* to show is stored (`account_users`); a user who switched `auto_offline` off counts as chosen without a socket,
//! and is always listed.
use crate::catalog::Catalog;
use entity::account_user::Availability;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Agents say so every 20 s.
const USER_TIMEOUT: Duration = Duration::from_secs(20);
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
        before.is_none_or(|before| !counts(before.elapsed(), USER_TIMEOUT))
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
        self.lock().contacts.get(&(account_id, contact_id)).is_some_and(|seen| counts(seen.elapsed(), CONTACT_TIMEOUT))
    }

    /// What is shown of a user: what it chose if it is there or need not be, otherwise offline.
    pub fn availability(&self, account_id: i64, user_id: i64) -> Availability {
        let chosen = self.catalog.now().user(user_id).and_then(|user| crate::catalog::chosen_availability(user, account_id));
        let Some((chosen, auto_offline)) = chosen else { return Availability::Offline };
        if !auto_offline || self.is_user_there(account_id, user_id) { chosen } else { Availability::Offline }
    }

    /// The users of an account that are there or need not be, with what they chose to show.
    pub fn users(&self, account_id: i64) -> HashMap<String, &'static str> {
        let catalog = self.catalog.now();
        let listed = catalog.users_of(account_id).into_iter().filter_map(|user| {
            let (chosen, auto_offline) = crate::catalog::chosen_availability(user, account_id)?;
            let is_listed = !auto_offline || self.is_user_there(account_id, user.row.id);
            is_listed.then(|| (user.row.id.to_string(), chosen.name()))
        });
        listed.collect()
    }

    fn is_user_there(&self, account_id: i64, user_id: i64) -> bool {
        self.lock().users.get(&(account_id, user_id)).is_some_and(|seen| counts(seen.elapsed(), USER_TIMEOUT))
    }

    /// The contacts of an account that are there.
    pub fn contacts(&self, account_id: i64) -> HashMap<String, &'static str> {
        let seen = self.lock();
        let online = seen.contacts.iter().filter(|((account, _), seen)| *account == account_id && counts(seen.elapsed(), CONTACT_TIMEOUT));
        online.map(|((_, contact), _)| (contact.to_string(), "online")).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether somebody who said so that long ago is still there. Whole seconds count, so that a word a moment late is in time.
fn counts(elapsed: Duration, timeout: Duration) -> bool {
    elapsed.as_secs() <= timeout.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_there_for_twenty_seconds_after_its_word_and_a_widget_for_ninety() {
        for (milliseconds, timeout, there) in [
            (0, USER_TIMEOUT, true),
            (20_000, USER_TIMEOUT, true),
            (20_900, USER_TIMEOUT, true),
            (21_000, USER_TIMEOUT, false),
            (90_900, CONTACT_TIMEOUT, true),
            (91_000, CONTACT_TIMEOUT, false),
        ] {
            assert_eq!(counts(Duration::from_millis(milliseconds), timeout), there, "{milliseconds} ms");
        }
    }
}
