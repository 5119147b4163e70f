//! The directory of live conversation actors: finds or starts the one of a key, and lets idle ones go.
use crate::conversation::{Command, ContactChanged, ContactGone, ConversationActor, ConversationError, Idle, Surroundings};
use crate::message::Key;
use crate::store::Recorded;
use actix::prelude::*;
use std::collections::HashMap;

/// The directory.
pub struct Conversations {
    live: HashMap<Key, Entry>,
    surroundings: Surroundings,
}

struct Entry {
    actor: Addr<ConversationActor>,
    forwarded: u64,
}

/// Do this in the conversations of this key; answered once it is committed.
#[derive(Message)]
#[rtype(result = "Result<Recorded, ConversationError>")]
pub struct Tell {
    /// Whose conversations.
    pub key: Key,
    /// What.
    pub command: Command,
}

/// How many actors are live; for the metrics page.
#[derive(Message)]
#[rtype(usize)]
pub struct Count;

impl Conversations {
    /// With nobody live.
    pub fn new(surroundings: Surroundings) -> Self {
        Conversations { live: HashMap::new(), surroundings }
    }
}

impl Actor for Conversations {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // Unbounded, so that `send` enqueues at once and in call order; HTTP bounds what is in flight.
        ctx.set_mailbox_capacity(0);
    }
}

impl Handler<Tell> for Conversations {
    type Result = ResponseFuture<Result<Recorded, ConversationError>>;

    fn handle(&mut self, Tell { key, command }: Tell, ctx: &mut Self::Context) -> Self::Result {
        // An actor that panicked is no longer connected; its key gets a fresh one.
        let entry = self.live.get_mut(&key).filter(|entry| entry.actor.connected());
        let answer = match entry {
            Some(entry) => {
                entry.forwarded += 1;
                entry.actor.send(command)
            }
            None => {
                let actor = ConversationActor::new(key.clone(), ctx.address().recipient(), self.surroundings.clone()).start();
                let answer = actor.send(command);
                self.live.insert(key, Entry { actor, forwarded: 1 });
                answer
            }
        };
        Box::pin(async move { answer.await.unwrap_or(Err(ConversationError::Unanswered)) })
    }
}

impl Handler<ContactChanged> for Conversations {
    type Result = ();

    fn handle(&mut self, ContactChanged(contact): ContactChanged, _: &mut Self::Context) {
        for entry in self.live.values() {
            entry.actor.do_send(ContactChanged(contact.clone()));
        }
    }
}

impl Handler<ContactGone> for Conversations {
    type Result = ();

    fn handle(&mut self, gone: ContactGone, _: &mut Self::Context) {
        for entry in self.live.values() {
            entry.actor.do_send(gone);
        }
    }
}

impl Handler<Idle> for Conversations {
    type Result = bool;

    /// Yes when everything forwarded to the actor was handled, so that nothing is in its mailbox.
    fn handle(&mut self, Idle { key, handled }: Idle, _: &mut Self::Context) -> bool {
        let leave = self.live.get(&key).is_some_and(|entry| entry.forwarded == handled);
        if leave {
            self.live.remove(&key);
        }
        leave
    }
}

impl Handler<Count> for Conversations {
    type Result = usize;

    fn handle(&mut self, _: Count, _: &mut Self::Context) -> usize {
        self.live.len()
    }
}
