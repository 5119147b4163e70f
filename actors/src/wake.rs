//! Wake-ups: hints that rows are waiting. They may be lost, since whoever is woken looks by itself now and then.
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Bells by key: of inboxes whose outgoing messages wait, and of inboxes whose conversations wait for an agent.
#[derive(Clone, Default)]
pub struct Wakes {
    /// By inbox: outgoing messages wait to be sent.
    pub outgoing: Bells<i64>,
    /// By inbox: files wait to be fetched.
    pub downloads: Bells<i64>,
    /// One bell: conversations wait for an agent, or agents for conversations.
    pub assignment: Arc<Notify>,
}

/// A bell for each key.
#[derive(Clone)]
pub struct Bells<K>(Arc<Mutex<HashMap<K, Arc<Notify>>>>);

impl<K: Eq + Hash> Default for Bells<K> {
    fn default() -> Self {
        Bells(Arc::default())
    }
}

impl<K: Eq + Hash> Bells<K> {
    /// The bell of a key. Take it before looking at the rows, so that no ring between looking and waiting is missed.
    pub fn of(&self, key: K) -> Arc<Notify> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone()
    }

    /// Rings; kept for whoever listens next.
    pub fn ring(&self, key: &K) {
        if let Some(bell) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key) {
            bell.notify_one();
        }
    }

    /// Forgets a key that nobody listens to any more.
    pub fn forget(&self, key: &K) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}
