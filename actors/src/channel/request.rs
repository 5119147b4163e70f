//! Webhook requests as channels see them, and the checks that several providers share. Pure.
use super::ChannelError;
use crate::message::Update;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A request of a provider, as it came.
#[derive(Clone, Debug, Default)]
pub struct WebhookRequest {
    /// GET or POST.
    pub method: String,
    /// The address as the provider called it, for signatures that cover it.
    pub url: String,
    /// Decoded pairs of the query.
    pub query: Vec<(String, String)>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The bytes that were sent: signatures are of these.
    pub body: Bytes,
}

impl WebhookRequest {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter of the query.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}

/// What a webhook request says.
#[derive(Clone, Debug, Default)]
pub struct Webhook {
    /// What happened, in the provider's order; of one contact it is stored in this order.
    pub updates: Vec<Update>,
    /// What to answer once all of it is stored.
    pub answer: Answer,
}

/// The answer to a webhook request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The Content-Type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl Default for Answer {
    fn default() -> Self {
        Answer { status: 200, content_type: "application/json", body: "{}".into() }
    }
}

/// Checks an HMAC-SHA256 of the body, in hexadecimal, in constant time.
///
/// # Errors
/// `Rejected` if it is missing or wrong.
pub fn check_hmac_sha256(key: &[u8], body: &[u8], claimed: Option<&str>) -> Result<(), ChannelError> {
    let wrong = |words: &str| ChannelError::Rejected(format!("the signature of the request is {words}"));
    let claimed = claimed.ok_or_else(|| wrong("missing"))?;
    let claimed = hex::decode(claimed.strip_prefix("sha256=").unwrap_or(claimed)).map_err(|_| wrong("not hexadecimal"))?;
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| wrong("made with no key"))?;
    mac.update(body);
    mac.verify_slice(&claimed).map_err(|_| wrong("wrong"))
}

/// Compares two secrets in constant time.
pub fn same_secret(left: &str, right: &str) -> bool {
    // Both sides as digests under one key: neither length nor content can be told from the time it takes.
    let digest = |secret: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"compare").ok()?;
        mac.update(secret.as_bytes());
        Some(mac)
    };
    match (digest(left), digest(right)) {
        (Some(left), Some(right)) => left.verify_slice(&right.finalize().into_bytes()).is_ok(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_of_the_bytes() {
        // echo -n '{"a":1}' | openssl dgst -sha256 -hmac secret
        let right = "aa9e2e3575f5d7098b6caccd790888c36d5fdb63342a73bada2d6a51747a8494";
        assert!(check_hmac_sha256(b"secret", b"{\"a\":1}", Some(&format!("sha256={right}"))).is_ok());
        for (body, claimed) in
            [(&b"{\"a\": 1}"[..], Some(right)), (b"{\"a\":1}", Some("00")), (b"{\"a\":1}", Some("zz")), (b"{\"a\":1}", None)]
        {
            assert!(check_hmac_sha256(b"secret", body, claimed).is_err(), "{claimed:?}");
        }
    }

    #[test]
    fn secrets_are_the_same_or_not() {
        assert!(same_secret("abc", "abc"));
        for other in ["", "ab", "abd", "abcd"] {
            assert!(!same_secret("abc", other));
        }
    }
}
