//! The stored rows of Konversio: one file per table, and the enums that are stored; nothing else.
//!
//! Rules come from `actors`, names from the contract. Times are UTC in microseconds, as both databases keep them ([`now`]).
//! Columns named `*_sealed` hold what the vault encrypted; nothing here can open them.

#![allow(missing_docs, reason = "a column whose name says it all has no comment")]

pub mod access_token;
pub mod account;
pub mod account_user;
pub mod agent_bot;
pub mod announcement;
pub mod assignment_policy;
pub mod attachment;
pub mod audit_log;
pub mod blob;
pub mod canned_response;
pub mod contact;
pub mod contact_alias;
pub mod contact_inbox;
pub mod contact_label;
pub mod contact_transfer;
pub mod conversation;
pub mod conversation_label;
pub mod cursor;
pub mod custom_attribute_definition;
pub mod custom_filter;
pub mod dashboard_app;
pub mod delivery;
pub mod delivery_attempt;
pub mod download;
pub mod draft;
pub mod early_amendment;
pub mod event;
pub mod event_log;
pub mod follow_up;
pub mod id_mark;
pub mod idempotency_key;
pub mod inbox;
pub mod inbox_member;
pub mod label;
pub mod macros;
pub mod mail;
pub mod mention;
pub mod message;
pub mod message_part;
pub mod message_template;
pub mod note;
pub mod notification;
pub mod notification_setting;
pub mod notification_subscription;
pub mod one_time_token;
pub mod outgoing;
pub mod parked_message;
pub mod participant;
pub mod platform_app;
pub mod platform_grant;
pub mod second_factor;
pub mod session;
pub mod team;
pub mod team_member;
pub mod unregistration;
pub mod user;
pub mod webhook;

use chrono::{DateTime, SubsecRound, Utc};

/// The time now, in the precision that both databases keep, so that what is in memory equals what is read back.
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}
