//! What Meta's error codes mean for us: to wait, to call for help, or to fail the message. Pure.
//!
//! The same codes come as the answer to a request and, later, in a status of a message that was taken.
use super::json::{one_line, text};
use crate::channel::{ChannelError, Pause};
use serde_json::Value;
use std::time::Duration;

/// How long a template waits that Meta holds back so that the contact is not flooded.
const FLOODED: Duration = Duration::from_secs(60 * 60);
/// How long to wait where Meta limits a day's messages and does not say until when.
const LIMITED: Duration = Duration::from_secs(15 * 60);

/// An error in Graph's form.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GraphError {
    /// The HTTP status; 0 where the error came in a webhook.
    pub status: u16,
    /// Meta's code.
    pub code: i64,
    /// Meta's second code.
    pub subcode: i64,
    /// Meta's words, the most precise ones that it gave.
    pub words: String,
    /// How long it asks to wait.
    pub retry_after: Option<Duration>,
}

/// What an error calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The token or the account: only a person can help.
    Attention,
    /// Too much at once; whom it delays, and for how long if Meta does not say.
    Throttled(Pause, Option<Duration>),
    /// Too much at once to this contact: each wait is four times the last one.
    PairThrottled,
    /// Meta could not take a file: worth one more try.
    Media,
    /// Meta's own trouble.
    Transient,
    /// It will never be accepted.
    Refused,
}

impl GraphError {
    /// Reads the body of an answer; none if there is no error in it.
    pub fn read(status: u16, body: &Value, retry_after: Option<Duration>) -> Option<Self> {
        let error = body.get("error").filter(|error| error.is_object())?;
        Some(GraphError { status, retry_after, ..Self::from_object(error) })
    }

    /// Reads an error object: of an answer, or of `errors` in a webhook.
    pub fn from_object(error: &Value) -> Self {
        let number = |name: &str| error.get(name).and_then(Value::as_i64);
        let said = ["/error_data/details", "/error_user_msg", "/message", "/title"].iter().find_map(|pointer| text(error, pointer));
        GraphError {
            status: 0,
            // Not 0, which is a code.
            code: number("code").unwrap_or(-1),
            subcode: number("error_subcode").unwrap_or_default(),
            words: one_line(said.unwrap_or("no reason given"), 500),
            retry_after: None,
        }
    }

    /// Whether the thing that was asked for does not exist, or not for this token.
    pub fn is_missing(&self) -> bool {
        self.code == 100 && self.subcode == 33
    }

    /// What it calls for.
    pub fn meaning(&self) -> Meaning {
        match self.code {
            // Token expired, revoked, or without the permission.
            0 | 3 | 10 | 190 | 200..=299 | 131005 => Meaning::Attention,
            // Blocked, locked, without a payment method, a certificate or an approved name, not registered. 130497 is not among
            // them: it forbids one contact's country, not the account.
            368 | 131031 | 131037 | 131042 | 131044 | 131045 | 133010 => Meaning::Attention,
            4 | 130429 => Meaning::Throttled(Pause::Inbox, None),
            80007 | 131048 | 133016 => Meaning::Throttled(Pause::Inbox, Some(LIMITED)),
            // How many contacts the business may write to first: answers to others are not concerned.
            131064 => Meaning::Throttled(Pause::Conversation, Some(LIMITED)),
            131049 => Meaning::Throttled(Pause::Conversation, Some(FLOODED)),
            131056 => Meaning::PairThrottled,
            131057 => Meaning::Throttled(Pause::Inbox, None),
            131052 | 131053 => Meaning::Media,
            1 | 2 | 131000 | 131016 | 135000 => Meaning::Transient,
            // Codes that are not known here: the HTTP status says enough.
            _ => match self.status {
                401 => Meaning::Attention,
                429 => Meaning::Throttled(Pause::Inbox, None),
                500.. => Meaning::Transient,
                _ => Meaning::Refused,
            },
        }
    }

    /// Meta's words with its code, and the way out where there is one.
    pub fn in_words(&self) -> String {
        let way_out = match self.code {
            131047 => " More than 24 hours have passed since the contact last wrote: send a template.",
            190 => " Renew the access token (provider_config.api_key).",
            132000 | 132012 => " Check the variables of the template.",
            132001 => " Check the name and the language of the template.",
            _ => "",
        };
        let said = self.words.trim_end_matches('.');
        if self.code < 0 { format!("{said}.") } else { format!("{said} ({}).{way_out}", self.code) }
    }

    /// The error of a channel; `attempted` says what was done. Growing waits and second tries are the caller's.
    pub fn into_channel_error(self, attempted: &str) -> ChannelError {
        let words = self.in_words();
        match self.meaning() {
            Meaning::Attention => ChannelError::NeedsAttention(words),
            Meaning::Throttled(pause, wait) => ChannelError::throttled(format!("{attempted}: {words}"), self.retry_after.or(wait), pause),
            Meaning::PairThrottled => ChannelError::throttled(format!("{attempted}: {words}"), self.retry_after, Pause::Conversation),
            Meaning::Transient => ChannelError::throttled(format!("{attempted}: {words}"), self.retry_after, Pause::Conversation),
            Meaning::Media | Meaning::Refused => ChannelError::Rejected(words),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "tests")]
    use super::*;
    use serde_json::json;

    #[test]
    fn every_code_calls_for_the_right_thing() {
        use Meaning::{Attention, Media, PairThrottled, Refused, Throttled, Transient};
        let at_once = Throttled(Pause::Inbox, None);
        let later = Throttled(Pause::Inbox, Some(LIMITED));
        for (codes, meaning) in [
            (&[190, 0, 3, 10, 200, 299, 368, 131031, 131037, 131042, 131044, 131045, 133010][..], Attention),
            (&[4, 130429, 131057], at_once),
            (&[80007, 131048, 133016], later),
            (&[131064], Throttled(Pause::Conversation, Some(LIMITED))),
            (&[131049], Throttled(Pause::Conversation, Some(FLOODED))),
            (&[131056], PairThrottled),
            (&[131052, 131053], Media),
            (&[1, 2, 131000, 131016, 135000], Transient),
            (&[131047, 131026, 131021, 131030, 130472, 130497, 131050, 131062], Refused),
            (&[100, 131008, 131009, 132000, 132001, 132005, 132007, 132008, 132012, 132015, 132016, 132068, 132069], Refused),
        ] {
            for code in codes {
                let error = GraphError { status: 400, code: *code, ..GraphError::default() };
                assert_eq!(error.meaning(), meaning, "{code}");
            }
        }
        assert_eq!(GraphError { status: 500, ..GraphError::from_object(&json!({})) }.meaning(), Transient);
        for (status, meaning) in [(401, Attention), (429, at_once), (500, Transient), (503, Transient), (400, Refused), (404, Refused)] {
            assert_eq!(GraphError { status, code: 987_654, ..GraphError::default() }.meaning(), meaning, "{status}");
        }
    }

    #[test]
    fn the_most_precise_words_are_told_with_the_code_and_the_way_out() {
        for (error, words) in [
            (
                json!({ "message": "(#131047) Re-engagement message", "code": 131047, "error_data": { "details": "Message failed to send." } }),
                "Message failed to send (131047). More than 24 hours have passed since the contact last wrote: send a template.",
            ),
            (json!({ "code": 131026, "title": "Message undeliverable" }), "Message undeliverable (131026)."),
            (json!({ "code": 100, "message": "Invalid\nparameter" }), "Invalid parameter (100)."),
            (json!({}), "no reason given."),
        ] {
            assert_eq!(GraphError::from_object(&error).in_words(), words);
        }
        assert_eq!(GraphError::read(200, &json!({ "messages": [] }), None), None);
        assert_eq!(GraphError::read(500, &json!({ "error": "oops" }), None), None);
    }

    #[test]
    fn waits_are_those_that_meta_asks_for() {
        let error = |code| GraphError { status: 429, code, retry_after: Some(Duration::from_secs(7)), ..GraphError::default() };
        for code in [130429, 80007, 131049, 131016] {
            let ChannelError::Temporary { retry_after, .. } = error(code).into_channel_error("sending") else { panic!("{code}") };
            assert_eq!(retry_after, Some(Duration::from_secs(7)), "{code}");
        }
        let ChannelError::Temporary { retry_after, pause, cause } =
            GraphError { code: 80007, words: "Rate limit".into(), ..GraphError::default() }.into_channel_error("sending")
        else {
            panic!("not temporary")
        };
        assert_eq!((retry_after, pause, cause.as_str()), (Some(LIMITED), Pause::Inbox, "sending: Rate limit (80007)."));
    }
}
