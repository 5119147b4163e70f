//! What is in flight: how much of a message Meta has already, so that another try does not repeat it, and how long a contact's
//! messages wait after Meta found them too many. Kept in memory: it outlives sessions, not the process.
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How long an unfinished message is remembered: longer than its sending is tried.
const FORGET_AFTER: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// The longest wait for one contact is 4 to this power, in seconds: a good hour.
const LONGEST_PAIR_WAIT: u32 = 6;

/// What is in flight.
#[derive(Default)]
pub struct Progress {
    messages: Mutex<HashMap<i64, Unfinished>>,
    pairs: Mutex<HashMap<String, (u32, Instant)>>,
}

/// A message of which something may have been sent.
struct Unfinished {
    /// Of each part Meta's id, once it has it.
    sent: Vec<Option<String>>,
    /// Ids of files that were uploaded, by their part.
    uploaded: HashMap<usize, String>,
    /// How often Meta could not take a file.
    media_failures: u32,
    since: Instant,
}

/// What we give to Meta with a part, and get back in each status of it: our id of the message; parts but the last add their number.
/// So a status settles the message only when it is of its last part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Callback {
    /// Our id of the message.
    pub message_id: i64,
    /// Which part; none for the last one.
    pub part: Option<usize>,
}

impl Callback {
    /// Of a part of a message that has so many.
    pub fn new(message_id: i64, part: usize, parts: usize) -> Self {
        Callback { message_id, part: Some(part).filter(|part| part.saturating_add(1) < parts) }
    }

    /// As it is given to Meta.
    pub fn to_text(self) -> String {
        match self.part {
            None => self.message_id.to_string(),
            Some(part) => format!("{}/{part}", self.message_id),
        }
    }

    /// Reads what came back; none if it is not ours: other programs may send from the same number.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, part) = match text.split_once('/') {
            None => (text, None),
            Some((id, part)) => (id, Some(part.parse().ok()?)),
        };
        let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
        Some(Callback { message_id: id.parse().ok().filter(|_| is_id)?, part })
    }
}

impl Progress {
    /// A try begins.
    pub fn begin(&self, message_id: i64, parts: usize) {
        let mut messages = locked(&self.messages);
        messages.retain(|_, unfinished| unfinished.since.elapsed() < FORGET_AFTER);
        let fresh = || Unfinished { sent: vec![None; parts], uploaded: HashMap::new(), media_failures: 0, since: Instant::now() };
        let unfinished = messages.entry(message_id).or_insert_with(fresh);
        if unfinished.sent.len() != parts {
            *unfinished = fresh();
        }
    }

    /// There will be no other try.
    pub fn forget(&self, message_id: i64) {
        locked(&self.messages).remove(&message_id);
    }

    /// Meta's id of a part that it has.
    pub fn sent(&self, message_id: i64, part: usize) -> Option<String> {
        locked(&self.messages).get(&message_id)?.sent.get(part)?.clone()
    }

    /// Meta has a part: its answer says so, or a status that came before.
    pub fn note(&self, callback: Callback, provider_id: &str) {
        let mut messages = locked(&self.messages);
        let Some(unfinished) = messages.get_mut(&callback.message_id) else { return };
        let part = callback.part.unwrap_or_else(|| unfinished.sent.len().saturating_sub(1));
        if let Some(sent) = unfinished.sent.get_mut(part) {
            *sent = Some(provider_id.to_owned());
        }
    }

    /// The id of the file of a part, if it was uploaded.
    pub fn uploaded(&self, message_id: i64, part: usize) -> Option<String> {
        locked(&self.messages).get(&message_id)?.uploaded.get(&part).cloned()
    }

    /// The file of a part was uploaded.
    pub fn note_upload(&self, message_id: i64, part: usize, media_id: &str) {
        if let Some(unfinished) = locked(&self.messages).get_mut(&message_id) {
            unfinished.uploaded.insert(part, media_id.to_owned());
        }
    }

    /// Meta could not take the file of a part, which is to be uploaded again. Returns how often that was.
    pub fn note_media_failure(&self, message_id: i64, part: usize) -> u32 {
        let mut messages = locked(&self.messages);
        let Some(unfinished) = messages.get_mut(&message_id) else { return 1 };
        unfinished.uploaded.remove(&part);
        unfinished.media_failures = unfinished.media_failures.saturating_add(1);
        unfinished.media_failures
    }

    /// Meta found too many messages to a contact: how long the next one waits. Four times as long each time, until one is taken.
    pub fn pair_wait(&self, source_id: &str) -> Duration {
        let mut pairs = locked(&self.pairs);
        pairs.retain(|_, (_, since)| since.elapsed() < FORGET_AFTER);
        let (times, since) = pairs.entry(source_id.to_owned()).or_insert((0, Instant::now()));
        *times = times.saturating_add(1).min(LONGEST_PAIR_WAIT);
        *since = Instant::now();
        Duration::from_secs(4_u64.pow(*times))
    }

    /// Meta took a message to a contact.
    pub fn pair_is_free(&self, source_id: &str) {
        locked(&self.pairs).remove(source_id);
    }
}

/// A panic elsewhere leaves nothing half done here.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn callbacks_come_back_as_they_went() {
        for (message_id, part, parts, text) in [(7, 0, 1, "7"), (7, 0, 3, "7/0"), (7, 1, 3, "7/1"), (7, 2, 3, "7")] {
            let callback = Callback::new(message_id, part, parts);
            assert_eq!(callback.to_text(), text);
            assert_eq!(Callback::parse(text), Some(callback));
        }
        for foreign in ["", "some data", "7/", "7/x", "-7", "+7", "7 ", "99999999999999999999", "/1"] {
            assert_eq!(Callback::parse(foreign), None, "{foreign:?}");
        }
    }

    #[test]
    fn a_part_is_sent_once_whoever_tells_of_it() {
        let progress = Progress::default();
        progress.begin(1, 3);
        progress.note(Callback::new(1, 0, 3), "wamid.0");
        progress.note(Callback::parse("1").unwrap(), "wamid.2");
        progress.note(Callback { message_id: 1, part: Some(9) }, "wamid.9");
        progress.note(Callback { message_id: 2, part: None }, "wamid.other");
        progress.begin(1, 3);
        let sent: Vec<_> = (0..3).map(|part| progress.sent(1, part)).collect();
        assert_eq!(sent, [Some("wamid.0".into()), None, Some("wamid.2".into())]);
        assert_eq!(progress.sent(2, 0), None);
        progress.forget(1);
        assert_eq!(progress.sent(1, 0), None);
    }

    #[test]
    fn a_file_that_failed_is_uploaded_again() {
        let progress = Progress::default();
        progress.begin(1, 1);
        progress.note_upload(1, 0, "media");
        assert_eq!(progress.uploaded(1, 0).as_deref(), Some("media"));
        assert_eq!((progress.note_media_failure(1, 0), progress.uploaded(1, 0), progress.note_media_failure(1, 0)), (1, None, 2));
    }

    #[test]
    fn waits_for_one_contact_grow_until_a_message_is_taken() {
        let progress = Progress::default();
        let waits: Vec<u64> = (0..7).map(|_| progress.pair_wait("49").as_secs()).collect();
        assert_eq!(waits, [4, 16, 64, 256, 1024, 4096, 4096]);
        assert_eq!(progress.pair_wait("48").as_secs(), 4);
        progress.pair_is_free("49");
        assert_eq!(progress.pair_wait("49").as_secs(), 4);
    }
}
