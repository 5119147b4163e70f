//! The black-box tests: each starts the built daemon and talks to it over HTTP, websockets, files and signals, never in process.
//!
//! They run on SQLite, and once more on PostgreSQL when `KONVERSIO_TEST_DATABASE=postgres` (`make test` does both).
//! One file per concern; what they share is in [`harness`].

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod harness;
mod mail_servers;

mod api_channel;
mod api_conversations;
mod api_messages;
mod app;
mod assignment;
mod bad_input;
mod crash;
mod desk;
mod drain;
mod email;
mod filters;
mod harness_checks;
mod identity;
mod inboxes;
mod lists;
mod operation;
mod query_plans;
mod race;
mod realtime;
mod reload;
mod s3;
mod search;
mod start;
mod webhooks;
