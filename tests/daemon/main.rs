//! The black-box tests: each starts the built daemon and talks to it over HTTP, websockets, files and signals, never in process.
//!
//! They run on SQLite, and once more on PostgreSQL when `KONVERSIO_TEST_DATABASE=postgres` (`make test` does both).
//! One file per concern; what they share is in [`harness`].

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod fakes;
mod harness;
mod mail_servers;

mod absences;
mod account;
mod agent_bots;
mod agents;
mod api_channel;
mod api_conversations;
mod api_messages;
mod app;
mod assignment;
mod assignment_policies;
mod audit;
mod bad_bodies;
mod bad_input;
mod canned_responses;
mod channel_settings;
mod client_api;
mod closing;
mod contact_import;
mod contact_merge;
mod contacts;
mod continuity;
mod conversation_work;
mod crash;
mod crawl;
mod custom_attributes;
mod dashboard_boot;
mod desk;
mod drain;
mod email;
mod email_collect;
mod filters;
mod harness_checks;
mod idempotency;
mod identity;
mod inbox_settings;
mod inboxes;
mod labels;
mod letters;
mod lists;
mod macros;
mod messengers;
mod notifications;
mod operation;
mod outbox;
mod platform;
mod ports;
mod python_sdk;
mod query_plans;
mod race;
mod realtime;
mod realtime_extended;
mod realtime_rights;
mod reload;
mod rights;
mod s3;
mod search;
mod second_factor;
mod sessions;
mod smtp;
mod start;
mod surface;
mod survey;
mod teams;
mod telegram;
mod throttle;
mod traps;
mod unread_counts;
mod webhook_deliveries;
mod webhooks;
mod website;
mod whatsapp;
mod whatsapp_oracles;
