//! Errors of Telegram, and what they mean.
use super::*;
use serde_json::{Value, json};
use std::sync::Arc;

/// How an error comes out: kind, pause, words.
fn meaning(words: &str) -> (&'static str, Option<u64>, String) {
    let answer = json!({ "ok": false, "error_code": 400, "description": words });
    let error: ApiError = serde_json::from_value(answer["description"].clone()).unwrap();
    kind(explained("SendMessage", &RequestError::Api(error)))
}

fn kind(error: ChannelError) -> (&'static str, Option<u64>, String) {
    let words = error.to_string();
    match error {
        ChannelError::Temporary { retry_after, pause: Pause::Conversation, .. } => {
            ("temporary", retry_after.map(|wait| wait.as_secs()), words)
        }
        ChannelError::Temporary { retry_after, pause: Pause::Inbox, .. } => ("throttled", retry_after.map(|wait| wait.as_secs()), words),
        ChannelError::NeedsAttention(_) => ("needs attention", None, words),
        ChannelError::Rejected(_) => ("rejected", None, words),
    }
}

#[test]
fn errors_say_what_is_to_be_done() {
    for (words, expected) in [
        ("Unauthorized", "needs attention"),
        ("Not Found", "needs attention"),
        ("Forbidden: bot was blocked by the user", "rejected"),
        ("Forbidden: user is deactivated", "rejected"),
        ("Forbidden: bot can't initiate conversation with a user", "rejected"),
        ("Unauthorized: bot can't initiate conversation with a user", "rejected"),
        ("Bad Request: chat not found", "rejected"),
        ("Bad Request: something new", "rejected"),
        ("Request Entity Too Large", "rejected"),
        ("Conflict: terminated by other getUpdates request; make sure that only one bot instance is running", "temporary"),
        ("Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first", "temporary"),
        ("Internal Server Error", "temporary"),
        ("Bad Gateway", "temporary"),
        ("Too Many Requests: retry later", "throttled"),
    ] {
        let (kind, wait, said) = meaning(words);
        assert_eq!((kind, wait), (expected, None), "{words}");
        let is_refused_in_their_words = kind != "rejected" || said.ends_with(words);
        assert!(is_refused_in_their_words, "{words}: {said}");
    }
}

#[test]
fn a_pause_is_for_the_whole_bot() {
    let error = RequestError::RetryAfter(teloxide_core::types::Seconds::from_seconds(35));
    assert_eq!(kind(explained("SendMessage", &error)), ("throttled", Some(35), "SendMessage: Telegram wants a pause of 35 s".into()));
}

#[test]
fn an_answer_that_is_none_is_tried_again() {
    let source = serde_json::from_str::<Value>("<html>").unwrap_err();
    let error = RequestError::InvalidJson { source: Arc::new(source), raw: "<html>".into() };
    assert_eq!(kind(explained("SendMessage", &error)), ("temporary", None, "SendMessage: Telegram's answer cannot be read".into()));
}
