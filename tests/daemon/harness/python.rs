//! Python programs that others wrote, run beside the daemon: the packages pinned in `tests/daemon/python/requirements.txt`.
//!
//! They are installed into an environment of their own when a test first asks, and again when the list changes. Without
//! Python those tests are skipped, and that is said.

use super::skipped;
use std::fs::{File, read_to_string, write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The installed packages.
#[derive(Clone)]
pub struct PythonPackages {
    folder: PathBuf,
}

/// Installs the packages, once; `None` when there is no Python with `venv` here. A failing installation fails the test.
pub fn python_packages() -> Option<PythonPackages> {
    static INSTALLED: OnceLock<Option<PythonPackages>> = OnceLock::new();
    INSTALLED.get_or_init(install).clone()
}

impl PythonPackages {
    /// A program of the environment, such as `moto_server`.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.folder.join("bin").join(name));
        command.stdin(Stdio::null());
        command
    }
}

fn install() -> Option<PythonPackages> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    // Another test process may want the same at the same time.
    let lock = File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("python.lock")).unwrap();
    lock.lock().unwrap();
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/daemon/python/requirements.txt");
    let wanted = read_to_string(&list).unwrap();
    let stamp = folder.join(".installed-requirements");
    if read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Some(PythonPackages { folder });
    }
    let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder).output();
    if !made.as_ref().is_ok_and(|made| made.status.success()) {
        skipped("the tests with Python programs", "`python3 -m venv` does not work here (Debian: python3-venv)");
        return None;
    }
    let mut pip = Command::new(folder.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&list);
    let output = pip.output().unwrap();
    assert!(output.status.success(), "`pip install` failed:\n{}", String::from_utf8_lossy(&output.stderr));
    write(&stamp, wanted).unwrap();
    Some(PythonPackages { folder })
}
