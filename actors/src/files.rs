//! Stored files: bytes in a folder or an S3 bucket, under keys that nobody can guess; addresses that are signed.
use crate::secret::Vault;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use entity::blob;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use hmac::{Hmac, KeyInit, Mac};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use sea_orm::ActiveValue;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Where files are, and how their addresses are made.
#[derive(Clone)]
pub struct Files {
    store: Arc<dyn ObjectStore>,
    vault: Vault,
    public_url: Arc<str>,
}

/// What was stored: everything of a row of `blobs` that follows from the bytes and the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// 128 random bits in hex.
    pub key: String,
    /// The name, without path, control or direction characters.
    pub file_name: String,
    /// Found from the bytes, then from the name.
    pub content_type: String,
    /// How many bytes.
    pub byte_size: i64,
    /// SHA-256 in hex.
    pub checksum: String,
}

impl Stored {
    /// The row of this file, not inserted yet; `uploader_id` is the user who brought it, if one did.
    pub fn row(&self, account_id: i64, uploader_id: Option<i64>) -> blob::ActiveModel {
        blob::ActiveModel {
            id: ActiveValue::NotSet,
            account_id: ActiveValue::Set(account_id),
            key: ActiveValue::Set(self.key.clone()),
            file_name: ActiveValue::Set(self.file_name.clone()),
            content_type: ActiveValue::Set(self.content_type.clone()),
            byte_size: ActiveValue::Set(self.byte_size),
            checksum: ActiveValue::Set(self.checksum.clone()),
            uploader_id: ActiveValue::Set(uploader_id),
            created_at: ActiveValue::Set(entity::now()),
        }
    }
}

impl From<blob::Model> for Stored {
    fn from(row: blob::Model) -> Self {
        Stored { key: row.key, file_name: row.file_name, content_type: row.content_type, byte_size: row.byte_size, checksum: row.checksum }
    }
}

/// Why a file could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// More bytes than allowed.
    #[error("the file is larger than {0} bytes")]
    TooLarge(u64),
    /// The store failed.
    #[error("the file store failed: {0}")]
    Store(#[from] object_store::Error),
    /// The bytes stopped coming.
    #[error("the upload broke off: {0}")]
    Interrupted(String),
}

/// A stored file that nobody has kept yet: removed with this value, unless somebody does.
pub struct Unkept {
    key: Option<String>,
    files: Files,
}

impl Unkept {
    /// Leaves it in the store: a row names it now, or whoever is given it answers for it.
    pub fn keep(mut self) {
        self.key = None;
    }
}

impl Drop for Unkept {
    fn drop(&mut self) {
        let (Some(key), files) = (self.key.take(), self.files.clone()) else { return };
        // Without a runtime the process ends.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Err(error) = files.delete(&key).await {
                tracing::warn!(%error, "a file that nobody kept stays in the store");
            }
        });
    }
}

impl Files {
    /// Over a store; `public_url` has no slash at its end.
    pub fn new(store: Arc<dyn ObjectStore>, vault: Vault, public_url: &str) -> Self {
        Files { store, vault, public_url: public_url.into() }
    }

    /// Where people reach this daemon; no slash at its end.
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// Streams a file into the store; nothing remains of one that is refused or breaks off.
    ///
    /// # Errors
    /// See [`FileError`].
    pub async fn put(
        &self,
        file_name: &str,
        claimed_type: &str,
        bytes: BoxStream<'_, Result<Bytes, String>>,
        limit: u64,
    ) -> Result<Stored, FileError> {
        let key = hex::encode(rand::random::<[u8; 16]>());
        self.put_at(&key, file_name, claimed_type, bytes, limit).await
    }

    /// As [`Files::put`], under a key that was given out before.
    ///
    /// # Errors
    /// See [`FileError`].
    pub async fn put_at(
        &self,
        key: &str,
        file_name: &str,
        claimed_type: &str,
        mut bytes: BoxStream<'_, Result<Bytes, String>>,
        limit: u64,
    ) -> Result<Stored, FileError> {
        let upload = self.store.put_multipart(&path(key)).await?;
        let mut writer = WriteMultipart::new(upload);
        let (mut digest, mut size, mut head) = (Sha256::new(), 0_u64, Vec::new());
        while let Some(chunk) = bytes.next().await {
            let refused = match chunk {
                Err(cause) => Some(FileError::Interrupted(cause)),
                Ok(chunk) => {
                    size += chunk.len() as u64;
                    digest.update(&chunk);
                    if head.len() < 512 {
                        head.extend(chunk.iter().take(512));
                    }
                    writer.wait_for_capacity(4).await?;
                    writer.put(chunk);
                    (size > limit).then_some(FileError::TooLarge(limit))
                }
            };
            if let Some(refused) = refused {
                writer.abort().await?;
                return Err(refused);
            }
        }
        writer.finish().await?;
        let file_name = clean_name(file_name);
        let content_type = content_type(&head, &file_name, claimed_type);
        let byte_size = i64::try_from(size).unwrap_or(i64::MAX);
        Ok(Stored { key: key.to_owned(), file_name, content_type, byte_size, checksum: hex::encode(digest.finalize()) })
    }

    /// Stores bytes that are in memory already.
    ///
    /// # Errors
    /// See [`FileError`].
    pub async fn put_bytes(&self, file_name: &str, claimed_type: &str, bytes: Bytes, limit: u64) -> Result<Stored, FileError> {
        let stream = futures_util::stream::once(async { Ok(bytes) }).boxed();
        self.put(file_name, claimed_type, stream, limit).await
    }

    /// Reads a file whole.
    ///
    /// # Errors
    /// If the store fails or has no such file.
    pub async fn bytes(&self, key: &str) -> Result<Bytes, FileError> {
        Ok(self.store.get(&path(key)).await?.bytes().await?)
    }

    /// Reads a file as a stream.
    ///
    /// # Errors
    /// If the store fails or has no such file.
    pub async fn stream(&self, key: &str) -> Result<BoxStream<'static, Result<Bytes, FileError>>, FileError> {
        Ok(self.store.get(&path(key)).await?.into_stream().map_err(FileError::Store).boxed())
    }

    /// Watches over a stored file until somebody keeps it.
    pub fn unkept(&self, stored: &Stored) -> Unkept {
        Unkept { key: Some(stored.key.clone()), files: self.clone() }
    }

    /// Removes a file; one that is gone already is no error.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn delete(&self, key: &str) -> Result<(), FileError> {
        match self.store.delete(&path(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The public address of a file: unguessable, since it carries the random key, and signed, since no other key works.
    pub fn url(&self, key: &str, file_name: &str) -> String {
        let name = percent_encode(file_name);
        format!("{}/files/{}/{name}", self.public_url, self.signed(key))
    }

    /// A key with its signature, as addresses have it and as messages name files that were uploaded before.
    pub fn signed(&self, key: &str) -> String {
        format!("{key}.{}", self.signature(key))
    }

    /// The key in the signed part of an address, if the signature is ours. Compares in constant time.
    pub fn verify<'a>(&self, signed: &'a str) -> Option<&'a str> {
        let (key, signature) = signed.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        self.mac(key).verify_slice(&signature).ok().map(|()| key)
    }

    fn signature(&self, key: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.mac(key).finalize().into_bytes())
    }

    fn mac(&self, key: &str) -> Hmac<Sha256> {
        // HMAC takes keys of any length.
        #[allow(clippy::expect_used)]
        let mac = Hmac::<Sha256>::new_from_slice(self.vault.signing_key()).expect("any key length will do");
        mac.chain_update(b"file:").chain_update(key.as_bytes())
    }
}

/// The contract's `file_type` of a MIME type.
pub fn file_type(content_type: &str) -> &'static str {
    match content_type.split('/').next() {
        Some("image") => "image",
        Some("audio") => "audio",
        Some("video") => "video",
        _ => "file",
    }
}

/// Whether a browser may show it in place: types that carry no script. Everything else is served as a download.
pub fn is_shown_inline(content_type: &str) -> bool {
    matches!(content_type, "image/png" | "image/jpeg" | "image/gif" | "image/webp" | "application/pdf" | "text/plain")
        || content_type.starts_with("audio/")
        || content_type.starts_with("video/")
}

fn path(key: &str) -> Path {
    // Two letters deep, so that no folder holds millions of files.
    Path::from(format!("{}/{key}", key.get(..2).unwrap_or("--")))
}

/// Bytes first, name second, the sender's word last; never a type that a browser would run.
fn content_type(head: &[u8], file_name: &str, claimed: &str) -> String {
    let sniffed = infer::get(head).map(|kind| kind.mime_type().to_owned());
    let named = || mime_guess::from_path(file_name).first().map(|mime| mime.essence_str().to_owned());
    let claimed = || claimed.split(';').next().map(|claimed| claimed.trim().to_ascii_lowercase()).filter(|claimed| claimed.contains('/'));
    sniffed.or_else(named).or_else(claimed).unwrap_or_else(|| "application/octet-stream".into())
}

/// The last component, without control characters, direction marks and trailing dots; at most 200 characters.
pub fn clean_name(file_name: &str) -> String {
    let last = file_name.rsplit(['/', '\\']).next().unwrap_or_default();
    let is_hidden = |letter: &char| {
        letter.is_control() || matches!(*letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let cleaned: String = last.chars().filter(|letter| !is_hidden(letter)).collect();
    let cleaned = cleaned.trim().trim_end_matches('.');
    let kept: String = match cleaned.char_indices().nth(200) {
        None => cleaned.to_owned(),
        // A long name loses its middle, so that the ending still tells the type.
        Some(_) => {
            let ending: String = cleaned.chars().rev().take(20).collect();
            cleaned.chars().take(180).chain(ending.chars().rev()).collect()
        }
    };
    if kept.is_empty() { "file".into() } else { kept }
}

/// Escapes everything but what RFC 3986, section 2.3, leaves as it is.
pub fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Files {
        Files::new(Arc::new(object_store::memory::InMemory::new()), Vault::new(&[1; 32]), "https://desk.example")
    }

    #[test]
    fn names_lose_paths_and_tricks() {
        for (given, kept) in [
            ("report.pdf", "report.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\temp\\a.txt", "a.txt"),
            ("evil\u{202e}gpj.exe", "evilgpj.exe"),
            ("a.exe.", "a.exe"),
            ("nul\0byte.png", "nulbyte.png"),
            ("", "file"),
            ("..", "file"),
        ] {
            assert_eq!(clean_name(given), kept, "{given:?}");
        }
        assert!(clean_name(&format!("{}.pdf", "x".repeat(4096))).ends_with("x.pdf"));
        assert_eq!(clean_name(&"ä".repeat(4096)).chars().count(), 200);
    }

    #[test]
    fn types_are_found_from_the_bytes_first() {
        assert_eq!(content_type(b"\x89PNG\r\n\x1a\n", "a.txt", "text/html"), "image/png");
        assert_eq!(content_type(b"hello", "a.txt", "image/png"), "text/plain");
        assert_eq!(content_type(b"hello", "a", "Text/CSV; charset=utf-8"), "text/csv");
        assert_eq!(content_type(b"hello", "a", ""), "application/octet-stream");
        assert!(!is_shown_inline("image/svg+xml") && !is_shown_inline("text/html") && is_shown_inline("image/png"));
    }

    #[test]
    fn addresses_open_only_with_our_signature() {
        let url = files().url("00ff", "größe 1.png");
        assert!(url.ends_with("/gr%C3%B6%C3%9Fe%201.png"), "{url}");
        let signed = url.split('/').nth(4).unwrap();
        assert_eq!(files().verify(signed), Some("00ff"));
        assert_eq!(files().verify(&signed.replace("00ff", "00fe")), None);
        assert_eq!(files().verify("00ff."), None);
    }

    #[tokio::test]
    async fn what_nobody_keeps_is_removed() {
        let files = files();
        let kept = files.put_bytes("a.bin", "", Bytes::from_static(b"1"), 4).await.unwrap();
        let unkept = files.put_bytes("b.bin", "", Bytes::from_static(b"2"), 4).await.unwrap();
        files.unkept(&kept).keep();
        drop(files.unkept(&unkept));
        while files.bytes(&unkept.key).await.is_ok() {
            tokio::task::yield_now().await;
        }
        assert!(files.bytes(&kept.key).await.is_ok());
    }

    #[tokio::test]
    async fn too_large_a_file_leaves_nothing() {
        let files = files();
        assert!(matches!(files.put_bytes("a", "", Bytes::from_static(b"12345"), 4).await, Err(FileError::TooLarge(4))));
        let stored = files.put_bytes("a.bin", "", Bytes::from_static(b"1234"), 4).await.unwrap();
        assert_eq!((stored.byte_size, files.bytes(&stored.key).await.unwrap().as_ref()), (4, b"1234".as_slice()));
    }
}
