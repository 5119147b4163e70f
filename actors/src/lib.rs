//! The actors of Konversio, and the channels they own.
//!
//! **Nothing that matters lives only in memory.** An inbound message is in the provider until it is committed here; an
//! outbound message is a row until the provider has it; the inboxes that should run are rows. So any actor, task or the
//! whole process may die at any instant, wake-ups may be lost, and the system converges again.
//!
//! # Nouns
//!
//! | noun | is | where |
//! | --- | --- | --- |
//! | inbox | a row: name, channel, settings, enabled | `entity::inbox`, read through [`catalog`] |
//! | [`Channel`](channel::Channel) | a trait: how one kind of connection speaks; no actix, no SQL | [`channel`] |
//! | session | one run of a channel: a tokio task; an error or a panic ends it, nothing else | [`session`] |
//! | [`InboxActor`](inbox::InboxActor) | owns a channel and its session, starts the next one, knows the state | [`inbox`] |
//! | [`Supervisor`](supervisor::Supervisor) | compares wanted inboxes with running ones and makes them agree | [`supervisor`] |
//! | [`ConversationActor`](conversation::ConversationActor) | the only writer of what one contact and one inbox say to each other | [`conversation`] |
//! | [`Conversations`](conversations::Conversations) | the directory of live conversation actors | [`conversations`] |
//! | [`PersistenceActor`](persistence::PersistenceActor), [`AssignmentActor`](assignment::AssignmentActor) | commits changes in groups and publishes their events; gives waiting conversations to agents | [`persistence`], [`assignment`] |
//! | [`Event`](event::Event) | what was committed; websockets and webhooks are its readers | [`event`], [`hub`], [`webhooks`] |
//!
//! ```text
//! HTTP ──────────────┐
//! session ▶ Intake ──┴▶ Conversations ▶ ConversationActor ▶ PersistenceActor ▶ store ▶ database
//!    ▲                                                            │ events
//! InboxActor ◀ Supervisor                    hub (websockets) ◀───┴───▶ webhooks (a loop per endpoint)
//! ```
//!
//! Awaits go only downwards in this picture; upwards there are only wake-ups that may be lost ([`wake`]). Assignment,
//! schedule, sessions and webhook loops stand outside of the chain: they look at rows and then ask from above, like HTTP.
//!
//! # One inbound e-mail
//!
//! 1. The channel's session fetches it and calls `inlet.deliver(inbound).await` ([`session`] implements the inlet).
//! 2. The session stores the attachments, finds the conversation that the references name, and tells
//!    [`Conversations`](conversations::Conversations), which finds or starts the actor of `(inbox, source_id)`.
//! 3. The actor asks the pure [`rules`](conversation::rules) what follows (open, reopen, greet) and hands rows *before and
//!    after* to the [`PersistenceActor`](persistence::PersistenceActor).
//! 4. [`store`] commits them with everybody else's in one transaction, derives the events from the differences, logs them,
//!    and writes a delivery row for each webhook that wants them.
//! 5. The answer travels back through the same awaits; only now the session marks the mail seen and moves its cursor.
//!
//! # One agent's reply
//!
//! 1. `POST …/messages` tells the conversation's actor to `Say` it; the rules may refuse it with a reason (422).
//! 2. Message (`queued`), row of `outgoing`, event and deliveries are one transaction; then HTTP answers.
//! 3. A bell wakes the session's [`outbox`]: one message of a conversation at a time, several conversations at once.
//! 4. `Channel::send` gives the provider's id, or an error that says whether to try later, to fail, or to call for help;
//!    the outcome is a command to the conversation's actor again, and an event.
//!
//! # What a provider pushes
//!
//! 1. HTTP finds the inboxes that the request names, or has come to, and hands it to their [`InboxActor`](inbox::InboxActor)s
//!    ([`inbox::Push`]), also while no session runs.
//! 2. The channel reads it and checks its signature; a session that only stores delivers what it tells, in its order. What will
//!    never be stored is set aside.
//! 3. Only then the provider is answered; anything but 200 makes it send the request again, and repeats are recognized.
//!
//! # One webhook
//!
//! 1. Its row was written with the event. [`webhooks`] runs a loop for each endpoint that has rows: the events of a conversation
//!    in their order, several conversations at once.
//! 2. Each try is signed afresh under the same id and noted; failures are due again after a backoff, for days.
//!
//! # One websocket that was away
//!
//! 1. It names a place: an epoch and the id of the last event it knows. [`event_log`] says whether the log holds all after it.
//! 2. The log is told page by page, filtered by the same function that routes live events ([`hub`]).
//! 3. Then it subscribes, learns the newest event published before, reads up to that one, and only then takes frames from
//!    its [`mailbox`]: nothing is lost between log and life, nothing doubled.
//!
//! # What building taught
//!
//! * One writer on either database, not several on PostgreSQL: it keeps the event log in the order of the commits, which
//!   whoever resumes after a lost connection depends on, and was as fast at 64 in flight on two cores.
//! * The writer gives ids itself, so an event knows the ids it tells before anything is stored, and a group needs no answer
//!   but which messages were repeats.
//! * Events follow from rows before and after, in one function: no caller can forget one.
//! * Removing and merging contacts are commands of the same writer; whoever still writes for one that left is refused, and reads
//!   again whose conversations they are now.
//! * What the desk says in its own name ([`mailer`]) and whom it notifies ([`notices`]) are rows of the same transactions.
//! * A session that waits to connect again still sends: a mailbox that cannot be read is no reason to let customers wait.
//! * A provider is told that an inbox is gone by a row of the deletion ([`unregistrations`]): not before its session has ended, and
//!   not if another inbox has the account by then.
//! * Assignment pulls: it looks for who waits and who is free, so a conversation is never lost between two decisions.
pub mod addresses;
pub mod assignment;
pub mod backoff;
pub mod catalog;
pub mod channel;
pub mod contacts;
pub mod continuity;
pub mod conversation;
pub mod conversations;
pub mod db;
pub mod egress;
pub mod event;
pub mod event_log;
pub mod files;
pub mod hub;
pub mod inbox;
pub mod mailbox;
pub mod mailer;
pub mod message;
pub mod notice_mail;
pub mod notices;
pub mod outbound;
pub mod outbox;
pub mod participants;
pub mod people;
pub mod persistence;
pub mod presence;
pub mod schedule;
pub mod secret;
pub mod session;
pub mod signature;
pub mod standings;
pub mod store;
pub mod supervisor;
pub mod system;
pub mod templates;
pub mod unregistrations;
pub mod wake;
pub mod webhooks;
pub mod wire;
pub mod working_hours;
