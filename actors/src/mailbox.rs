//! What waits for one socket, and the one ticker that pings them all.
//!
//! A mailbox holds references to frames that were rendered once for everybody, up to a bound; over it, its socket is cut and
//! remembers nothing more. An idle one holds no buffer at all.
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How many frames may wait for one socket: more than one agent's change of hundreds of conversations tells at once, so that only who
/// does not read is cut.
const FRAMES: usize = 4096;
/// And how many bytes.
const BYTES: usize = 4 << 20;
/// Clients give up after 6 s of silence.
const PING_EVERY: Duration = Duration::from_secs(3);
/// Not all sockets are pinged at once, but in so many parts.
const PARTS: u64 = 30;

/// A frame for one of the subscriptions of a socket.
#[derive(Clone)]
pub struct Frame {
    /// The subscription, as [`crate::hub::Subscribed::id`] says.
    pub subscription: u64,
    /// The id of the event; 0 for what is not logged.
    pub event_id: i64,
    /// The `message` of the data frame as JSON (`{"event":…,"data":…}`).
    pub message: Bytes,
}

/// Why a socket is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It did not keep up.
    TooSlow,
    /// Who listens may not do so any more.
    Unauthorized,
}

/// What a socket is to do next.
pub enum Task {
    /// Send this.
    Frame(Frame),
    /// Send this ping.
    Ping(Bytes),
    /// End.
    Cut(Cut),
}

/// What waits for one socket.
#[derive(Default)]
pub struct Mailbox {
    waiting: Mutex<Waiting>,
    bell: Notify,
}

#[derive(Default)]
struct Waiting {
    frames: VecDeque<Frame>,
    bytes: usize,
    ping: Option<Bytes>,
    cut: Option<Cut>,
}

impl Mailbox {
    /// Adds a frame; false if the socket is cut, now or already.
    pub fn push(&self, frame: Frame) -> bool {
        let mut waiting = self.lock();
        if waiting.cut.is_none() && (waiting.frames.len() >= FRAMES || waiting.bytes >= BYTES) {
            waiting.cut = Some(Cut::TooSlow);
        }
        let is_open = waiting.cut.is_none();
        if is_open {
            waiting.bytes += frame.message.len();
            waiting.frames.push_back(frame);
        } else {
            (waiting.frames, waiting.bytes) = (VecDeque::new(), 0);
        }
        drop(waiting);
        self.bell.notify_one();
        is_open
    }

    /// Ends the socket.
    pub fn cut(&self, why: Cut) {
        self.lock().cut.get_or_insert(why);
        self.bell.notify_one();
    }

    /// The next task; frames stay unless `takes_frames`. For one caller at a time; dropping the future loses nothing.
    pub async fn next(&self, takes_frames: bool) -> Task {
        loop {
            if let Some(task) = self.take(takes_frames) {
                return task;
            }
            self.bell.notified().await;
        }
    }

    fn take(&self, takes_frames: bool) -> Option<Task> {
        let mut waiting = self.lock();
        if let Some(why) = waiting.cut {
            return Some(Task::Cut(why));
        }
        if let Some(ping) = waiting.ping.take() {
            return Some(Task::Ping(ping));
        }
        if !takes_frames {
            return None;
        }
        let frame = waiting.frames.pop_front()?;
        waiting.bytes -= frame.message.len();
        if waiting.frames.is_empty() && waiting.frames.capacity() > 8 {
            waiting.frames = VecDeque::new();
        }
        Some(Task::Frame(frame))
    }

    fn ping(&self, ping: Bytes) {
        self.lock().ping = Some(ping);
        self.bell.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Part → socket → mailbox.
type Parts = HashMap<u64, HashMap<u64, Arc<Mailbox>>>;

/// The mailboxes of all open sockets.
#[derive(Clone, Default)]
pub struct Mailboxes {
    open: Arc<Mutex<Parts>>,
    next_id: Arc<AtomicU64>,
}

/// The mailbox of an open socket; dropping it ends its pings.
pub struct OpenMailbox {
    /// The mailbox.
    pub mailbox: Arc<Mailbox>,
    id: u64,
    mailboxes: Mailboxes,
}

impl Mailboxes {
    /// A mailbox for a new socket.
    pub fn open(&self) -> OpenMailbox {
        let (id, mailbox) = (self.next_id.fetch_add(1, Ordering::Relaxed), Arc::<Mailbox>::default());
        self.lock().entry(id % PARTS).or_default().insert(id, mailbox.clone());
        OpenMailbox { mailbox, id, mailboxes: self.clone() }
    }

    /// Pings all, for ever.
    pub async fn ping(&self) {
        let parts = u32::try_from(PARTS).unwrap_or(u32::MAX);
        let mut ticks = tokio::time::interval(PING_EVERY / parts);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for part in (0..PARTS).cycle() {
            ticks.tick().await;
            let ping = Bytes::from(format!("{{\"type\":\"ping\",\"message\":{}}}", entity::now().timestamp()));
            for mailbox in self.lock().get(&part).into_iter().flat_map(HashMap::values) {
                mailbox.ping(ping.clone());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Parts> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OpenMailbox {
    fn drop(&mut self) {
        if let Some(part) = self.mailboxes.lock().get_mut(&(self.id % PARTS)) {
            part.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn frame(event_id: i64, length: usize) -> Frame {
        Frame { subscription: 1, event_id, message: vec![b'x'; length].into() }
    }

    #[test]
    fn frames_come_in_order_and_may_be_left_for_later() {
        let mailbox = Mailbox::default();
        assert!(mailbox.push(frame(1, 10)) && mailbox.push(frame(2, 10)));
        assert!(mailbox.next(false).now_or_never().is_none());
        for expected in [1, 2] {
            let Some(Task::Frame(frame)) = mailbox.next(true).now_or_never() else { panic!("no frame") };
            assert_eq!(frame.event_id, expected);
        }
        assert!(mailbox.next(true).now_or_never().is_none());
        assert_eq!(mailbox.lock().bytes, 0);
    }

    #[test]
    fn over_its_bound_it_holds_nothing_and_the_socket_ends() {
        for (length, fits) in [(1, FRAMES), (BYTES / 4, 4), (BYTES * 2, 1)] {
            let mailbox = Mailbox::default();
            let taken = (0..10_000).take_while(|id| mailbox.push(frame(*id, length))).count();
            assert_eq!(taken, fits, "frames of {length} bytes");
            assert!(mailbox.lock().frames.is_empty());
            assert!(matches!(mailbox.next(false).now_or_never(), Some(Task::Cut(Cut::TooSlow))));
        }
    }
}
