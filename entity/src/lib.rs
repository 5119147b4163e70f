//! The stored rows of Konversio: one file per table, and the enums that are stored; nothing else.
//!
//! Rules come from `actors`, names from the contract. Times are UTC in microseconds, as both databases keep them ([`now`]).
//! Columns named `*_sealed` hold what the vault encrypted; nothing here can open them.

#![allow(missing_docs, reason = "a column whose name says it all has no comment")]

pub mod access_token;
pub mod account;
pub mod account_user;
pub mod attachment;
pub mod blob;
pub mod contact;
pub mod contact_inbox;
pub mod conversation;
pub mod cursor;
pub mod delivery;
pub mod delivery_attempt;
pub mod event;
pub mod idempotency_key;
pub mod inbox;
pub mod inbox_member;
pub mod message;
pub mod outgoing;
pub mod parked_message;
pub mod session;
pub mod user;
pub mod webhook;

use chrono::{DateTime, SubsecRound, Utc};

/// The time now, in the precision that both databases keep, so that what is in memory equals what is read back.
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}
