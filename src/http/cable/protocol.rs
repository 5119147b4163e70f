//! The two sub-protocols in which a socket may talk, and how their frames are written.
//!
//! `actioncable-v1-json` is ActionCable's own. `actioncable-v1-ext-json` is the extension that AnyCable's clients speak: every
//! data frame tells its place in the log, and a client that was away asks for all that came after.
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;

/// How a socket talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `actioncable-v1-json`.
    Plain,
    /// `actioncable-v1-ext-json`.
    Extended,
}

/// What a client sends.
#[derive(Deserialize)]
pub struct Command {
    /// Its name.
    pub command: String,
    /// Which subscription it is about.
    #[serde(default)]
    pub identifier: String,
    /// Of an action.
    #[serde(default)]
    pub data: Value,
    /// What it has missed.
    #[serde(default)]
    pub history: Option<Value>,
}

/// What an identifier says.
#[derive(Deserialize)]
pub struct Identifier {
    /// Always `RoomChannel`.
    pub channel: String,
    /// Says who subscribes.
    pub pubsub_token: String,
    /// Of a user with several.
    pub account_id: Option<i64>,
}

/// From where on a client has missed events.
#[derive(Clone, Debug, PartialEq)]
pub enum Missed {
    /// It did not say; it hears only what comes.
    Nothing,
    /// All after a place in the log.
    After(Place),
    /// All since this second.
    Since(i64),
}

/// A place in the log.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Place {
    /// Which log.
    pub epoch: String,
    /// The last event before it.
    pub offset: i64,
}

/// What is not understood.
#[derive(Debug, PartialEq)]
pub struct Malformed;

#[derive(Deserialize)]
struct History {
    #[serde(default)]
    since: Value,
    #[serde(default)]
    streams: HashMap<String, Place>,
}

impl Protocol {
    /// The first of those offered that is spoken here.
    pub fn choose(offered: &str) -> Option<Self> {
        let spoken = [Protocol::Plain, Protocol::Extended];
        offered.split(',').find_map(|name| spoken.into_iter().find(|protocol| protocol.name() == name.trim()))
    }

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Plain => "actioncable-v1-json",
            Protocol::Extended => "actioncable-v1-ext-json",
        }
    }

    /// The first frame.
    pub fn welcome(self) -> String {
        match self {
            Protocol::Plain => json!({ "type": "welcome" }).to_string(),
            Protocol::Extended => json!({ "type": "welcome", "sid": uuid::Uuid::new_v4().simple().to_string() }).to_string(),
        }
    }
}

/// What a client has missed on a stream, by its `history`. A place counts more than a time.
///
/// # Errors
/// If it is no history.
pub fn missed(history: Option<Value>, stream: &str) -> Result<Missed, Malformed> {
    let Some(history) = history else { return Ok(Missed::Nothing) };
    let mut history: History = serde_json::from_value(history).map_err(|_| Malformed)?;
    match (history.streams.remove(stream), &history.since) {
        (Some(place), _) => Ok(Missed::After(place)),
        (None, Value::Null | Value::Bool(false)) => Ok(Missed::Nothing),
        (None, since) => since.as_i64().map(Missed::Since).ok_or(Malformed),
    }
}

/// A frame about a subscription, such as `confirm_subscription`.
pub fn about(kind: &str, identifier: &str) -> String {
    json!({ "type": kind, "identifier": identifier }).to_string()
}

/// A data frame; with its place in the log where the protocol tells it. All but the offset is JSON already.
pub fn data(identifier: &str, message: &[u8], place: Option<(&str, &str, i64)>) -> String {
    let message = String::from_utf8_lossy(message);
    match place {
        None => format!("{{\"identifier\":{identifier},\"message\":{message}}}"),
        Some((stream, epoch, offset)) => format!(
            "{{\"identifier\":{identifier},\"message\":{message},\"stream_id\":\"{stream}\",\"epoch\":\"{epoch}\",\"offset\":{offset}}}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_first_choice_is_taken() {
        for (offered, chosen) in [
            ("actioncable-v1-json, actioncable-unsupported", Some(Protocol::Plain)),
            ("actioncable-v1-ext-json", Some(Protocol::Extended)),
            ("actioncable-v1-ext-json,actioncable-v1-json", Some(Protocol::Extended)),
            ("actioncable-v1-json,actioncable-v1-ext-json", Some(Protocol::Plain)),
            ("actioncable-v1-msgpack", None),
            ("", None),
        ] {
            assert_eq!(Protocol::choose(offered), chosen, "{offered}");
        }
    }

    #[test]
    fn a_history_says_what_was_missed() {
        let place = json!({"epoch": "e", "offset": 7});
        let after = Missed::After(Place { epoch: "e".into(), offset: 7 });
        for (history, expected) in [
            (None, Ok(Missed::Nothing)),
            (Some(json!({})), Ok(Missed::Nothing)),
            (Some(json!({"since": 12})), Ok(Missed::Since(12))),
            (Some(json!({"since": false})), Ok(Missed::Nothing)),
            (Some(json!({"since": 12, "streams": {"s": place}})), Ok(after)),
            (Some(json!({"since": 12, "streams": {"other": place}})), Ok(Missed::Since(12))),
            (Some(json!({"streams": {"other": place}})), Ok(Missed::Nothing)),
            (Some(json!({"since": "yesterday"})), Err(Malformed)),
            (Some(json!({"streams": {"s": {"offset": "7"}}})), Err(Malformed)),
            (Some(json!(7)), Err(Malformed)),
        ] {
            assert_eq!(missed(history.clone(), "s"), expected, "{history:?}");
        }
    }
}
