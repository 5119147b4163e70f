//! JavaScript clients that others wrote, run against the daemon: the npm packages pinned in `tests/daemon/node`.
//!
//! They are installed by `npm ci` beside their lock file when a test first asks, and again when the lock file changes. Without
//! Node.js those tests are skipped, and that is said.

use super::{Finished, skipped};
use std::fs::{File, read_to_string, write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Instant;

/// The installed packages.
#[derive(Clone)]
pub struct NodePackages {
    folder: PathBuf,
}

/// Installs the packages, once; `None` when there is no Node.js here. A failing installation fails the test.
pub fn node_packages() -> Option<NodePackages> {
    static INSTALLED: OnceLock<Option<NodePackages>> = OnceLock::new();
    INSTALLED.get_or_init(install).clone()
}

impl NodePackages {
    /// A program of the packages, such as `prism`.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.folder.join("node_modules/.bin").join(name));
        command.current_dir(&self.folder).stdin(Stdio::null());
        command
    }

    /// Runs a script of `tests/daemon/node`, which finds the packages by `import` or `require`, to its end.
    /// The script must end by itself: it gets no deadline but its own.
    pub async fn run(&self, script: &str, arguments: &[&str]) -> Finished {
        let mut command = Command::new("node");
        command.current_dir(&self.folder).arg(self.folder.join(script)).args(arguments).stdin(Stdio::null());
        let started = Instant::now();
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Finished { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr), took: started.elapsed() }
    }
}

fn install() -> Option<NodePackages> {
    let missing = ["node", "npm"].into_iter().find(|program| !works(program));
    if let Some(program) = missing {
        skipped("the tests with JavaScript clients", &format!("`{program}` is not installed"));
        return None;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/daemon/node");
    // Another test process may want the same at the same time.
    let lock = File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("node-packages.lock")).unwrap();
    lock.lock().unwrap();
    let wanted = read_to_string(folder.join("package-lock.json")).unwrap();
    let stamp = folder.join("node_modules/.installed-lock");
    if read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Some(NodePackages { folder });
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&folder).stdin(Stdio::null());
    let output = npm.output().unwrap();
    assert!(output.status.success(), "`npm ci` failed in {}:\n{}", folder.display(), String::from_utf8_lossy(&output.stderr));
    write(&stamp, wanted).unwrap();
    Some(NodePackages { folder })
}

fn works(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
