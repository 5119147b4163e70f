//! Remembers whose conversation a number is, so that posting to it reads nothing. What is remembered
//! seldom changes: conversations may be removed, and contacts may get other addresses.
use crate::message::Key;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How many are remembered before all are forgotten: some 20 MB.
const LIMIT: usize = 100_000;

/// Where a conversation lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Its internal id.
    pub conversation_id: i64,
    /// Whose it is.
    pub key: Key,
}

/// By account and display id.
#[derive(Clone, Default)]
pub struct Addresses(Arc<Mutex<HashMap<(i64, i64), Address>>>);

impl Addresses {
    /// What is remembered.
    pub fn get(&self, account_id: i64, display_id: i64) -> Option<Address> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&(account_id, display_id)).cloned()
    }

    /// Remembers.
    pub fn put(&self, account_id: i64, display_id: i64, address: Address) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= LIMIT {
            known.clear();
        }
        known.insert((account_id, display_id), address);
    }

    /// Forgets all, since conversations were removed or contacts have other addresses.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
