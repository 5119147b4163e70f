//! HMAC-SHA256 signatures that cross the border: what an outgoing webhook carries so that its receiver can trust it, and
//! what a site's backend hands to its visitor so that we can trust who they are.
//!
//! A delivery is signed twice, each time with the webhook's one secret, an opaque text:
//! - by the Chatwoot contract (section 8): the key is the bytes of the text;
//! - by [Standard Webhooks](https://www.standardwebhooks.com), whose libraries want `whsec_` + base64 and use the decoded
//!   bytes as the key. They are given [`standard_secret`], so that the key is again the bytes of the text.
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// The headers of one attempt to deliver `body`.
///
/// `delivery_id` stays the same when a delivery is repeated, so that the receiver can drop what it has already seen.
/// `timestamp` (epoch seconds) is that of this attempt, so that a receiver may refuse old ones. `body` is what is sent, byte
/// for byte. Without a secret (an empty text) there is nothing to sign with, and only the id is told.
pub fn headers(secret: &str, delivery_id: &str, timestamp: i64, body: &[u8]) -> Vec<(&'static str, String)> {
    let mut headers = vec![("X-Chatwoot-Delivery", delivery_id.to_owned()), ("webhook-id", delivery_id.to_owned())];
    if !secret.is_empty() {
        let key = secret.as_bytes();
        headers.extend([
            ("X-Chatwoot-Timestamp", timestamp.to_string()),
            ("X-Chatwoot-Signature", contract_signature(key, timestamp, body)),
            ("webhook-timestamp", timestamp.to_string()),
            ("webhook-signature", standard_signature(key, delivery_id, timestamp, body)),
        ]);
    }
    headers
}

/// The secret in the form that a Standard Webhooks library asks for.
pub fn standard_secret(secret: &str) -> String {
    format!("whsec_{}", STANDARD.encode(secret))
}

/// Whether `identifier_hash` proves that the owner of the inbox vouches for `identifier` (contract, section 5): it is the
/// HMAC-SHA256 of the identifier with the inbox's `hmac_token`, in lower-case hex. Compared in constant time.
///
/// An empty identifier is never proven: a site that signs it for whoever is not logged in would make all of them one person.
pub fn verify_identity(hmac_token: &str, identifier: &str, identifier_hash: &str) -> bool {
    if hmac_token.is_empty() || identifier.is_empty() {
        return false;
    }
    let expected = hex::encode(hmac(hmac_token.as_bytes(), &[identifier.as_bytes()]));
    expected.as_bytes().ct_eq(identifier_hash.as_bytes()).into()
}

fn contract_signature(key: &[u8], timestamp: i64, body: &[u8]) -> String {
    format!("sha256={}", hex::encode(hmac(key, &[timestamp.to_string().as_bytes(), b".", body])))
}

fn standard_signature(key: &[u8], id: &str, timestamp: i64, body: &[u8]) -> String {
    format!("v1,{}", STANDARD.encode(hmac(key, &[id.as_bytes(), b".", timestamp.to_string().as_bytes(), b".", body])))
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("any key length will do");
    parts.iter().fold(mac, |mac, part| mac.chain_update(part)).finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // The expected values were computed with Python's hmac module and OpenSSL, not with this code.
    const SECRET: &str = "KxLtbqVZ7mQwT3nHs9RfYe2P";
    const DELIVERY: &str = "0193d0c4-7c1a-7a52-9b34-5f0f3f1d2e6a";
    const BODY: &str = r#"{"event":"message_created","content":"Grüße"}"#;

    #[test]
    fn a_delivery_carries_both_signatures() {
        let expected = [
            ("X-Chatwoot-Delivery", DELIVERY),
            ("webhook-id", DELIVERY),
            ("X-Chatwoot-Timestamp", "1767225600"),
            ("X-Chatwoot-Signature", "sha256=ebaefec2e6adec94f262508ce0510d043c5c185069dc8bef774d2a7b3286d99d"),
            ("webhook-timestamp", "1767225600"),
            ("webhook-signature", "v1,oRYx2hGUoXHC4F6W7HT3Wg8LOgFZX/R5x6fnJ008E5M="),
        ]
        .map(|(name, value)| (name, value.to_owned()));
        assert_eq!(headers(SECRET, DELIVERY, 1_767_225_600, BODY.as_bytes()), expected);
        assert_eq!(standard_secret(SECRET), "whsec_S3hMdGJxVlo3bVF3VDNuSHM5UmZZZTJQ");
    }

    #[test]
    fn without_a_secret_nothing_is_signed() {
        let expected = [("X-Chatwoot-Delivery", DELIVERY.to_owned()), ("webhook-id", DELIVERY.to_owned())];
        assert_eq!(headers("", DELIVERY, 1_767_225_600, BODY.as_bytes()), expected);
    }

    /// The example that the Standard Webhooks libraries are tested with.
    #[test]
    fn the_reference_vector_of_standard_webhooks() {
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = standard_signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn an_identity_is_proven_only_by_the_hash_of_this_identifier_with_this_key() {
        const TOKEN: &str = "4CtTn7ZbhUn7PAcfi5SaaXvN";
        const HASH: &str = "d1a544aeb4f88a2899da289160427e2e4e7ed2dbf9cbbc9cee9d430b5d3408ba";
        const WITH_OTHER_TOKEN: &str = "a011a03f3e8842a7e335c95271b783c1790d571f3c3cecfcbf8a52c6888092ea";
        const WITH_ACCOUNT_ID: &str = "2105420d491c1ade6d206b278ed9d5eedf0890038ded3a8a1f1e25f584b3f618";
        const WITH_EMPTY_TOKEN: &str = "b9980f25b9b6a1e2abb7013d0be9ef9775cc0b62665202cc02264e4e171fd03b";
        const OF_EMPTY_IDENTIFIER: &str = "12b3b1e9ab6913491e8bf13c8bad5466678e41a0d48ca17f942c841892a5cac5";
        let upper_case = HASH.to_uppercase();
        let truncated = HASH.strip_suffix("ba").unwrap();
        let longer = format!("{HASH}00");
        let spaced = format!(" {HASH}");
        let table = [
            ("right", TOKEN, "customer-42", HASH, true),
            ("missing", TOKEN, "customer-42", "", false),
            ("truncated", TOKEN, "customer-42", truncated, false),
            ("longer", TOKEN, "customer-42", &longer, false),
            ("upper case", TOKEN, "customer-42", &upper_case, false),
            ("padded", TOKEN, "customer-42", &spaced, false),
            ("no hex", TOKEN, "customer-42", "customer-42", false),
            ("other identifier", TOKEN, "customer-43", HASH, false),
            ("identifier padded", TOKEN, "customer-42 ", HASH, false),
            ("key of another inbox", TOKEN, "customer-42", WITH_OTHER_TOKEN, false),
            ("key is the account's id", TOKEN, "customer-42", WITH_ACCOUNT_ID, false),
            ("key is empty", TOKEN, "customer-42", WITH_EMPTY_TOKEN, false),
            ("inbox without a key", "", "customer-42", WITH_EMPTY_TOKEN, false),
            ("inbox without a key, no hash", "", "customer-42", "", false),
            ("empty identifier", TOKEN, "", OF_EMPTY_IDENTIFIER, false),
        ];
        for (case, token, identifier, hash, proven) in table {
            assert_eq!(verify_identity(token, identifier, hash), proven, "{case}");
        }
    }
}
