//! The daemon: settings, telemetry, HTTP, and what starts and stops everything. The binary only reads the command line.
pub mod bootstrap;
pub mod daemon;
pub mod http;
pub mod inboxes;
pub mod labels;
pub mod letters;
pub mod limits;
pub mod members;
pub mod one_time_tokens;
pub mod password;
pub mod reads;
pub mod reload;
pub mod removal;
pub mod settings;
pub mod sweep;
pub mod telemetry;
pub mod tokens;
