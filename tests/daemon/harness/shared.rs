//! Descriptions and samples that others wrote, which are not part of this project: they lie in a folder beside it.

use std::path::{Path, PathBuf};

/// A file or folder there: below `KONVERSIO_SHARED`, or below a folder `shared` beside the project. `None` where it is absent; a
/// test says then aloud what it leaves out.
pub fn shared(path: &str) -> Option<PathBuf> {
    let folders = match std::env::var_os("KONVERSIO_SHARED") {
        Some(folder) => vec![PathBuf::from(folder)],
        None => Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().skip(1).map(|folder| folder.join("shared")).collect(),
    };
    folders.into_iter().map(|folder| folder.join(path)).find(|found| found.exists())
}
