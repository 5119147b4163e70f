//! One change of a contact at a time: a change is computed from the row, and nobody else may replace the row meanwhile.
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use tokio::sync::{Mutex, MutexGuard};

/// Contacts share so many locks: enough that two of them seldom meet, few enough to keep for ever.
const LOCKS: usize = 256;

/// The locks.
#[derive(Clone)]
pub struct Turns(Arc<[Mutex<()>]>);

impl Default for Turns {
    fn default() -> Self {
        Turns((0..LOCKS).map(|_| Mutex::new(())).collect())
    }
}

impl Turns {
    /// Waits until nobody else changes the contact.
    pub async fn of(&self, contact_id: i64) -> Option<MutexGuard<'_, ()>> {
        self.lock(place(contact_id)).await
    }

    /// The same for two contacts; everybody takes the locks in the same order, so that nobody waits for ever.
    pub async fn of_both(&self, one: i64, other: i64) -> [Option<MutexGuard<'_, ()>>; 2] {
        let (one, other) = (place(one), place(other));
        let first = self.lock(one.min(other)).await;
        let second = if one == other { None } else { self.lock(one.max(other)).await };
        [first, second]
    }

    /// The same for a person in an inbox, by all its addresses there.
    pub async fn of_names(&self, inbox_id: i64, names: &[&str]) -> Vec<Option<MutexGuard<'_, ()>>> {
        let place_of = |name: &&str| {
            let mut hasher = DefaultHasher::new();
            (inbox_id, name).hash(&mut hasher);
            usize::try_from(hasher.finish() % LOCKS as u64).unwrap_or_default()
        };
        let places: BTreeSet<usize> = names.iter().map(place_of).collect();
        let mut held = Vec::with_capacity(places.len());
        for place in places {
            held.push(self.lock(place).await);
        }
        held
    }

    async fn lock(&self, place: usize) -> Option<MutexGuard<'_, ()>> {
        match self.0.get(place) {
            Some(lock) => Some(lock.lock().await),
            None => None,
        }
    }
}

fn place(contact_id: i64) -> usize {
    usize::try_from(contact_id).unwrap_or_default() % LOCKS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pairs_that_share_a_lock_or_come_crosswise_do_not_wait_for_ever() {
        let turns = Turns::default();
        drop(turns.of_both(1, 257).await);
        let (one, other) = (turns.clone(), turns.clone());
        let crosswise = async { tokio::join!(async { drop(one.of_both(1, 2).await) }, async { drop(other.of_both(2, 1).await) }) };
        tokio::time::timeout(std::time::Duration::from_secs(5), crosswise).await.unwrap();
    }
}
