//! One run of a channel: what it receives goes to the conversations, what waits for it is sent, what the provider still has is
//! fetched. A tokio task; an error or a panic ends it and nothing else.
//!
//! | file | does |
//! | --- | --- |
//! | `intake.rs` | what the channel hands over, by its kind; cursors, and what is set aside |
//! | `inbound.rs` | messages: whose they are, where they belong, their files |
//! | `names.rs` | under which addresses a contact is known |
//! | `amendments.rs` | receipts, edits, reactions: of messages that are known, or kept until they are |
//! | `sending.rs` | the queue of outgoing messages |
//! | `downloads.rs` | the queue of files that the provider still has |
mod amendments;
mod downloads;
mod inbound;
mod intake;
mod names;
mod sending;

use crate::catalog::Inbox;
use crate::channel::{Channel, ChannelError, Inlet, SessionStatus};
use crate::contacts::{Contacts, Turns};
use crate::conversation::{Command, ConversationError, Outcome};
use crate::conversations::{Conversations, Tell};
use crate::db::Db;
use crate::files::Files;
use crate::message::Key;
use crate::outbox;
use crate::store::{Recorded, StoreError};
use crate::wake::Wakes;
use actix::Addr;
use chrono::{DateTime, Utc};
use downloads::Downloads;
use entity::{contact_inbox, conversation};
use sea_orm::EntityTrait;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// So many contacts are remembered as asked for their picture: then it begins anew.
const PICTURES_REMEMBERED: usize = 10_000;

/// What became of messages whose rows do not say so yet. Kept beyond a session, for as long as the daemon runs: what was sent is
/// not sent again because the database could not take the news.
#[derive(Clone, Default)]
pub struct Unsettled(Arc<Mutex<HashMap<i64, Outcome>>>);

impl Unsettled {
    fn of(&self, message_id: i64) -> Option<Outcome> {
        self.lock().get(&message_id).cloned()
    }

    fn keep(&self, message_id: i64, outcome: Outcome) {
        self.lock().insert(message_id, outcome);
    }

    fn forget(&self, message_id: i64) {
        self.lock().remove(&message_id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Outcome>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Until when a provider takes nothing more of an inbox. Clones are the same.
#[derive(Clone, Default)]
pub struct Throttle(Arc<Mutex<Option<DateTime<Utc>>>>);

impl Throttle {
    /// Nothing is sent before this time.
    fn until(&self, time: DateTime<Utc>) {
        let mut until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *until = (*until).max(Some(time));
    }

    /// Until when nothing is sent; none if it may be.
    fn now(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).filter(|until| *until > now)
    }
}

/// The contacts whose picture was asked for since the daemon began. Clones are the same.
#[derive(Clone, Default)]
pub struct Pictures(Arc<Mutex<HashSet<i64>>>);

impl Pictures {
    /// Whether this contact's is to be asked for, which it is once.
    fn begin(&self, contact_id: i64) -> bool {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.len() >= PICTURES_REMEMBERED {
            asked.clear();
        }
        asked.insert(contact_id)
    }
}

/// What a session works with.
#[derive(Clone)]
pub struct Session {
    /// Whose session it is.
    pub inbox: Arc<Inbox>,
    /// What it runs.
    pub channel: Arc<dyn Channel>,
    /// Reads, cursors, parked messages.
    pub db: Db,
    /// Where attachments go.
    pub files: Files,
    /// Where messages go.
    pub conversations: Addr<Conversations>,
    /// What rings when something is to be sent.
    pub wakes: Wakes,
    /// What an earlier session could not have stored.
    pub unsettled: Unsettled,
    /// Contacts that are renamed, merged, pictured.
    pub contacts: Contacts,
    /// One introduction of a person at a time, by the addresses.
    pub introductions: Turns,
    /// Until when the provider takes nothing of the whole inbox.
    pub throttle: Throttle,
    /// Whose picture was asked for.
    pub pictures: Pictures,
    /// Hears how it is doing.
    pub report: Arc<dyn Fn(SessionStatus) + Send + Sync>,
    /// Ends it.
    pub cancelled: CancellationToken,
}

impl Session {
    /// Runs until the channel cannot go on or the session is cancelled; what is being sent then is finished first.
    pub async fn run(self) -> Result<(), ChannelError> {
        let inlet: Inlet = Arc::new(self.clone());
        let cancelled = self.cancelled.clone();
        let channel = self.channel.clone();
        let receiving = async move {
            tokio::select! {
                ended = channel.run(&inlet) => ended,
                () = cancelled.cancelled() => Ok(()),
            }
        };
        let bell = self.wakes.outgoing.of(self.inbox.row.id);
        let stop = self.cancelled.child_token();
        let sending = Session { cancelled: stop.clone(), ..self.clone() }.work_off(bell, stop.clone());
        tokio::pin!(receiving, sending);
        tokio::select! {
            ended = &mut receiving => {
                stop.cancel();
                // What was begun is finished: its outcome would otherwise be unknown.
                let _ = sending.await;
                ended
            }
            ended = &mut sending => ended,
        }
    }

    /// Sends what waits, without receiving, for as long as the connection is left alone.
    pub async fn pause(self, length: Duration) -> Result<(), ChannelError> {
        let bell = self.wakes.outgoing.of(self.inbox.row.id);
        let stop = self.cancelled.child_token();
        let sending = self.clone().work_off(bell, stop.clone());
        tokio::pin!(sending);
        tokio::select! {
            () = tokio::time::sleep(length) => {
                stop.cancel();
                sending.await
            }
            ended = &mut sending => match ended {
                // Begun again at once, a queue that cannot be read would be read without end.
                Err(ChannelError::Temporary { .. } | ChannelError::Rejected(_)) => {
                    tokio::select! {
                        () = tokio::time::sleep(length) => {}
                        () = self.cancelled.cancelled() => {}
                    }
                    Ok(())
                }
                ended => ended,
            }
        }
    }

    /// Sends what waits, and fetches what waits, until it is stopped or one of both cannot go on.
    async fn work_off(self, bell: Arc<tokio::sync::Notify>, stop: CancellationToken) -> Result<(), ChannelError> {
        let has_media = self.channel.media().is_some();
        let fetching_bell = self.wakes.downloads.of(self.inbox.row.id);
        let downloads = Downloads(self.clone());
        let sending = async {
            let ended = outbox::drain(self, bell, stop.clone()).await;
            stop.cancel();
            ended
        };
        if !has_media {
            return sending.await;
        }
        let fetching = async {
            let ended = outbox::drain(downloads, fetching_bell, stop.clone()).await;
            stop.cancel();
            ended
        };
        let (sent, fetched) = tokio::join!(sending, fetching);
        sent.and(fetched)
    }

    /// Has it stored what came of a message.
    async fn settle(&self, conversation_id: i64, message_id: i64, outcome: Outcome) -> Result<Recorded, ConversationError> {
        let mut tries = 0;
        loop {
            let key = self.key(conversation_id).await?.ok_or(ConversationError::NotFound)?;
            let command = Command::Settle { conversation_id, message_id, outcome: outcome.clone() };
            match self.tell(key, command).await {
                // Whose conversation it is was asked just before it changed.
                Err(ConversationError::Renamed | ConversationError::NotFound) if tries < TRIES => tries += 1,
                answer => return answer,
            }
        }
    }

    async fn tell(&self, key: Key, command: Command) -> Result<Recorded, ConversationError> {
        self.conversations.send(Tell { key, command }).await.unwrap_or(Err(ConversationError::Unanswered))
    }

    /// The key under whose actor a conversation lives.
    async fn key(&self, conversation_id: i64) -> Result<Option<Key>, StoreError> {
        let db = &self.db.read;
        let Some(conversation) = conversation::Entity::find_by_id(conversation_id).one(db).await? else { return Ok(None) };
        let identity = contact_inbox::Entity::find_by_id(conversation.contact_inbox_id).one(db).await?;
        Ok(identity.map(|identity| Key { inbox_id: identity.inbox_id, source_id: identity.source_id }))
    }
}

/// How often something is asked again that changed while it was asked.
const TRIES: usize = 3;
