//! The secret key file: what stored secrets are sealed with. Losing it means entering every password again.
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Why there is no secret key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The folder or the file cannot be made or read.
    #[error("cannot {attempt} {}: {cause}", path.display())]
    Io {
        /// What was attempted.
        attempt: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// The file is there and holds something else.
    #[error("{} does not hold a key of 64 hexadecimal digits: restore it from a backup", .0.display())]
    Damaged(PathBuf),
}

/// Reads the key from `secret.key` in the data folder, for its owner only; makes folder (mode 0700) and file (mode 0600) if
/// they are missing. An existing file is never replaced. Blocks.
///
/// # Errors
/// See [`KeyError`].
pub fn load_or_create_key(data_dir: &Path) -> Result<[u8; 32], KeyError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(data_dir);
    made.map_err(failed("create the folder", data_dir))?;
    let path = data_dir.join("secret.key");
    if !path.try_exists().map_err(failed("look for", &path))? {
        create(data_dir, &path).map_err(failed("create", &path))?;
    }
    let mode = fs::metadata(&path).map_err(failed("look at", &path))?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(file.path = %path.display(), "other users could read the secret key: its mode is now 0600");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed("restrict", &path))?;
    }
    let text = fs::read(&path).map_err(failed("read", &path))?;
    let mut key = [0; 32];
    hex::decode_to_slice(text.trim_ascii(), &mut key).map_err(|_| KeyError::Damaged(path))?;
    Ok(key)
}

/// Writes a new key so that the file is there whole or not at all, and the first of two daemons wins.
fn create(data_dir: &Path, path: &Path) -> io::Result<()> {
    // Made with mode 0600.
    let mut file = NamedTempFile::new_in(data_dir)?;
    writeln!(file, "{}", hex::encode(rand::random::<[u8; 32]>()))?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => File::open(data_dir)?.sync_all(),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}

fn failed(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyError {
    let path = path.to_owned();
    move |cause| KeyError::Io { attempt, path, cause }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn makes_a_key_once_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("deep/data");
        let key = load_or_create_key(&data_dir).unwrap();
        assert_ne!(key, [0; 32]);
        assert_eq!(load_or_create_key(&data_dir).unwrap(), key);
        assert_eq!((mode(&data_dir), mode(&data_dir.join("secret.key"))), (0o700, 0o600));
        assert_eq!(fs::read_to_string(data_dir.join("secret.key")).unwrap().trim(), hex::encode(key));
        assert_eq!(fs::read_dir(&data_dir).unwrap().count(), 1, "nothing else is left behind");
    }

    #[test]
    fn takes_a_file_that_others_can_read_from_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.key");
        fs::write(&path, "ab".repeat(32)).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(load_or_create_key(folder.path()).unwrap(), [0xab; 32]);
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn never_replaces_a_damaged_file() {
        for damaged in ["", "abc", &"ab".repeat(31), &"zz".repeat(32)] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("secret.key");
            fs::write(&path, damaged).unwrap();
            assert!(matches!(load_or_create_key(folder.path()), Err(KeyError::Damaged(_))), "{damaged:?}");
            assert_eq!(fs::read_to_string(&path).unwrap(), damaged);
        }
    }
}
