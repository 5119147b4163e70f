//! Secrets: a type that does not print, and the vault that encrypts what is stored.
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;

/// A text that must not be shown: prints as `…`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text itself; name it at the place that needs it, nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("…")
    }
}

/// A new token of 24 characters (140 bits) from the alphabet of the contract's tokens (section 1).
pub fn random_token() -> String {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    (0..24).filter_map(|_| ALPHABET.get(rand::random_range(0..ALPHABET.len()))).map(|byte| char::from(*byte)).collect()
}

/// SHA-256 in hex: what tokens are looked up by.
pub fn hash(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// Encrypts what is stored, with XChaCha20-Poly1305 and a random nonce. A sealed text is bound to its context
/// (table and column), so that one cannot be put in another's place.
#[derive(Clone)]
pub struct Vault {
    cipher: Arc<XChaCha20Poly1305>,
    signing_key: Arc<[u8; 32]>,
}

/// Marks a sealed text, and with which generation of key and cipher it was sealed.
const PREFIX: &str = "sealed1:";

/// A sealed text could not be opened: another key file, or a damaged row.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a stored secret cannot be opened: the secret key file is not the one it was sealed with, or the row is damaged")]
pub struct CannotOpen;

impl Vault {
    /// From the 32 bytes of the secret key file.
    pub fn new(key: &[u8; 32]) -> Self {
        let derive = |purpose: &str| -> [u8; 32] { Sha256::new().chain_update(purpose.as_bytes()).chain_update(key).finalize().into() };
        let cipher = XChaCha20Poly1305::new(&Key::from(derive("konversio seal")));
        Vault { cipher: Arc::new(cipher), signing_key: Arc::new(derive("konversio sign")) }
    }

    /// The key for signatures of the daemon's own (file addresses).
    pub fn signing_key(&self) -> &[u8] {
        self.signing_key.as_slice()
    }

    /// Encrypts a text for its place.
    pub fn seal(&self, context: &str, text: &str) -> String {
        let nonce: [u8; 24] = rand::random();
        let payload = Payload { msg: text.as_bytes(), aad: context.as_bytes() };
        // Encrypting in memory fails only for texts of more than 256 GiB.
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).unwrap_or_default();
        format!("{PREFIX}{}", STANDARD_NO_PAD.encode([nonce.as_slice(), &sealed].concat()))
    }

    /// Decrypts what was sealed for the same place.
    ///
    /// # Errors
    /// If it was sealed with another key or for another place.
    pub fn open(&self, context: &str, sealed: &str) -> Result<Secret, CannotOpen> {
        let bytes = sealed.strip_prefix(PREFIX).and_then(|text| STANDARD_NO_PAD.decode(text).ok()).ok_or(CannotOpen)?;
        let (nonce, sealed) = bytes.split_first_chunk::<24>().ok_or(CannotOpen)?;
        let payload = Payload { msg: sealed, aad: context.as_bytes() };
        let text = self.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| CannotOpen)?;
        String::from_utf8(text).map(Secret).map_err(|_| CannotOpen)
    }

    /// Seals the named fields of a JSON object in place; a dot leads into an object.
    pub fn seal_fields(&self, context: &str, fields: &[&str], object: &mut Value) {
        for field in fields {
            if let Some(Value::String(text)) = field_mut(object, field) {
                *text = self.seal(&format!("{context}.{field}"), text);
            }
        }
    }

    /// Opens the named fields of a JSON object in place.
    ///
    /// # Errors
    /// As [`Vault::open`].
    pub fn open_fields(&self, context: &str, fields: &[&str], object: &mut Value) -> Result<(), CannotOpen> {
        for field in fields {
            if let Some(Value::String(text)) = field_mut(object, field) {
                *text = self.open(&format!("{context}.{field}"), text)?.0;
            }
        }
        Ok(())
    }
}

/// A field of a JSON object by its name, in which a dot leads into an object: `provider_config.api_key`.
pub fn field_mut<'a>(object: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    name.split('.').try_fold(object, |object, name| object.get_mut(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_what_was_sealed_for_the_same_place_with_the_same_key() {
        let vault = Vault::new(&[7; 32]);
        let sealed = vault.seal("inboxes.smtp_password", "swordfish");
        assert!(!sealed.contains("swordfish"));
        assert_ne!(sealed, vault.seal("inboxes.smtp_password", "swordfish"), "a nonce is never used twice");
        assert_eq!(vault.open("inboxes.smtp_password", &sealed).unwrap().expose(), "swordfish");
        assert!(vault.open("inboxes.imap_password", &sealed).is_err());
        assert!(Vault::new(&[8; 32]).open("inboxes.smtp_password", &sealed).is_err());
        assert!(vault.open("inboxes.smtp_password", "swordfish").is_err());
    }

    #[test]
    fn fields_are_sealed_in_their_place_also_within_objects() {
        let (vault, fields) = (Vault::new(&[7; 32]), ["token", "config.key", "config.missing", "gone.key"]);
        let open = serde_json::json!({ "token": "a", "config": { "key": "b", "name": "c" } });
        let mut value = open.clone();
        vault.seal_fields("inboxes", &fields, &mut value);
        assert_eq!(vault.open("inboxes.config.key", value["config"]["key"].as_str().unwrap()).unwrap().expose(), "b");
        assert_eq!((value["config"]["name"].as_str(), value["config"].as_object().unwrap().len()), (Some("c"), 2));
        vault.open_fields("inboxes", &fields, &mut value).unwrap();
        assert_eq!(value, open);
    }

    #[test]
    fn does_not_print() {
        assert_eq!(format!("{:?}", Secret::new("swordfish")), "…");
    }

    #[test]
    fn tokens_are_long_and_never_the_same() {
        assert_eq!(random_token().len(), 24);
        assert_ne!(random_token(), random_token());
    }
}
