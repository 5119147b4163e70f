//! Passwords: argon2id hashes, made and checked off the threads that serve requests.
use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};

/// What a password must be like, in words for the person who chooses it; `None` if it is.
pub fn refusal(password: &str) -> Option<String> {
    let length = password.chars().count();
    (!(8..=128).contains(&length)).then(|| "Password must have between 8 and 128 characters".into())
}

/// Hashes a password (argon2id, the crate's recommended cost, random salt).
///
/// # Errors
/// If the system gives no randomness.
pub fn hash(password: &str) -> anyhow::Result<String> {
    let hash = Argon2::default().hash_password(password.as_bytes()).map_err(|error| anyhow::anyhow!("hashing a password: {error}"))?;
    Ok(hash.to_string())
}

/// Whether a password is the one hashed; without a hash it takes as long and is false.
pub async fn verify(password: String, hash: Option<String>) -> bool {
    let check = move || {
        let is_known = hash.is_some();
        let hash = hash.unwrap_or_else(|| DUMMY.to_owned());
        let is_right = PasswordHash::new(&hash).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
        is_known && is_right
    };
    tokio::task::spawn_blocking(check).await.unwrap_or(false)
}

/// A hash of the same cost that nobody's password has.
const DUMMY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$q3Lxd8fPmu0Y3JZqtnbyPVHQQwYGFsoyjbYsc2jbpPE";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn only_the_password_itself_is_right() {
        let stored = hash("correct horse").unwrap();
        assert!(stored.starts_with("$argon2id$"));
        assert!(verify("correct horse".into(), Some(stored.clone())).await);
        for wrong in ["", "correct hors", "Correct horse", "correct horse "] {
            assert!(!verify(wrong.into(), Some(stored.clone())).await, "{wrong:?}");
        }
        assert!(!verify("correct horse".into(), None).await);
        assert!(PasswordHash::new(DUMMY).is_ok(), "an unknown user takes as long as a known one");
    }
}
