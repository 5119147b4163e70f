//! The tokens by which visitors of websites are known: JSON Web Tokens (RFC 7519), signed with HS256 by a key of the daemon's own,
//! with the contract's claims (section 6.3).
//!
//! Nobody else issues or reads them, so one header and one algorithm are all that is taken: a token that asks for another is no
//! token (RFC 8725, section 3.1).
use actors::secret::Vault;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Duration, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// Who a token is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The visitor's address in the inbox.
    pub source_id: String,
    /// The inbox.
    pub inbox_id: i64,
    /// When it was issued, epoch seconds.
    pub iat: i64,
    /// When it ends, epoch seconds.
    pub exp: i64,
}

/// How long a token is good for.
const LASTS: Duration = Duration::days(180);
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
/// The longest that is looked at.
const LENGTH_LIMIT: usize = 2048;

/// A token for a visitor.
pub fn issue(vault: &Vault, source_id: &str, inbox_id: i64, now: DateTime<Utc>) -> String {
    let claims = Claims { source_id: source_id.to_owned(), inbox_id, iat: now.timestamp(), exp: (now + LASTS).timestamp() };
    let payload = serde_json::to_vec(&claims).unwrap_or_default();
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(payload));
    let signature = URL_SAFE_NO_PAD.encode(mac(vault, &signed).finalize().into_bytes());
    format!("{signed}.{signature}")
}

/// Who a token is for; none if it is not one of ours, or over.
pub fn read(vault: &Vault, token: &str, now: DateTime<Utc>) -> Option<Claims> {
    if token.len() > LENGTH_LIMIT {
        return None;
    }
    let (signed, signature) = token.rsplit_once('.')?;
    // Compared in constant time.
    mac(vault, signed).verify_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
    let (header, payload) = signed.split_once('.')?;
    if URL_SAFE_NO_PAD.decode(header).ok()? != HEADER.as_bytes() {
        return None;
    }
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    (claims.exp > now.timestamp()).then_some(claims)
}

fn mac(vault: &Vault, signed: &str) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let keyed = |key: &[u8]| Hmac::<Sha256>::new_from_slice(key).expect("any key length will do");
    // A key of its own: what the daemon signs elsewhere is no token.
    let key = keyed(vault.signing_key()).chain_update(b"visitor tokens").finalize().into_bytes();
    keyed(&key).chain_update(signed.as_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn only_our_own_tokens_are_read_and_only_while_they_last() {
        let (vault, now) = (Vault::new(&[7; 32]), entity::now());
        let token = issue(&vault, "a-b", 3, now);
        let claims = read(&vault, &token, now).unwrap();
        assert_eq!((claims.source_id.as_str(), claims.inbox_id, claims.exp - claims.iat), ("a-b", 3, 180 * 86_400));
        assert!(read(&vault, &token, now + LASTS - Duration::seconds(1)).is_some());
        assert!(read(&vault, &token, now + LASTS).is_none());
        assert!(read(&Vault::new(&[8; 32]), &token, now).is_none());
        let parts: Vec<&str> = token.split('.').collect();
        let other = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&Claims { inbox_id: 4, ..claims }).unwrap());
        let unsigned = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        for forged in [
            format!("{}.{other}.{}", parts[0], parts[2]),
            format!("{unsigned}.{}.", parts[1]),
            format!("{unsigned}.{}.{}", parts[1], parts[2]),
            format!("{}.{}", parts[0], parts[1]),
            format!("{token}x"),
            String::new(),
            "..".into(),
            "x".repeat(5000),
        ] {
            assert!(read(&vault, &forged, now).is_none(), "{forged}");
        }
    }
}
