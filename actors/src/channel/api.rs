//! The API channel: the customer's system talks HTTP in both directions.
//!
//! Inbound messages arrive through the REST and client APIs, outbound ones leave as events to the inbox's `webhook_url`
//! and the account's webhooks (see [`super::direct`]).
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Names of the contract (section 2, Inboxes).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Where to post events of this inbox; none when empty.
    pub webhook_url: Option<String>,
    /// Contacts must prove their identity with `identifier_hash`.
    pub hmac_mandatory: bool,
    /// Free; `agent_reply_time_window` (hours) limits how late an agent may answer.
    pub additional_attributes: Map<String, Value>,
}

impl Settings {
    /// # Errors
    /// Names the field that is wrong.
    pub fn validate(&self) -> Result<(), String> {
        match &self.webhook_url {
            Some(url) if url.len() > 2048 => Err("webhook_url is longer than 2048 characters".into()),
            Some(url) if !url.is_empty() && reqwest::Url::parse(url).is_err() => Err("webhook_url is not a URL".into()),
            _ => Ok(()),
        }
    }
}

/// The API channel keeps no secrets in its settings: its tokens are the inbox's.
pub const SECRET_FIELDS: &[&str] = &[];
