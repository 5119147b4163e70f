//! The place a daemon lives in: a folder, a settings file, a database, a port and an environment. It outlives the process.
//!
//! [`Site::run`] runs one command of the binary there to its end; [`super::Daemon`] keeps one running.

use super::{Client, Database, eventually};
use crate::ports::{DAEMONS, free_port};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Folder, settings, environment, database and port of one daemon.
pub struct Site {
    folder: PathBuf,
    /// The environment the binary gets, beside the few names every program needs.
    pub environment: BTreeMap<String, String>,
    database: Database,
    port: u16,
}

impl Site {
    /// A new one with an empty database, the administrator's settings of [`Site::ADMIN_EMAIL`], and `settings` as its `konversio.toml`.
    pub async fn new(folder: &Path, settings: &str) -> Self {
        let folder = folder.to_path_buf();
        std::fs::write(folder.join("konversio.toml"), settings).unwrap();
        let database = Database::create().await;
        let mut environment = BTreeMap::from([
            ("KONVERSIO__DATA_DIR".to_owned(), folder.join("data").display().to_string()),
            ("KONVERSIO__BOOTSTRAP__ADMIN_EMAIL".to_owned(), Self::ADMIN_EMAIL.to_owned()),
            ("KONVERSIO__BOOTSTRAP__ADMIN_PASSWORD".to_owned(), Self::ADMIN_PASSWORD.to_owned()),
            ("KONVERSIO__BOOTSTRAP__ACCESS_TOKEN".to_owned(), random_text(24)),
            ("KONVERSIO__OUTBOUND__ALLOW_CIDRS".to_owned(), "127.0.0.0/8".to_owned()),
            ("RUST_BACKTRACE".to_owned(), "1".to_owned()),
        ]);
        if let Some(url) = database.url() {
            environment.insert("KONVERSIO__DATABASE__URL".to_owned(), url.to_owned());
        }
        let mut site = Site { folder, environment, database, port: 0 };
        site.move_to_another_port();
        site
    }

    /// E-mail of the administrator that a first start creates.
    pub const ADMIN_EMAIL: &str = "admin@example.com";
    /// Password of the administrator that a first start creates.
    pub const ADMIN_PASSWORD: &str = "Password1!";

    /// The temporary folder; `konversio.toml` is in it, and the data folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The daemon's `data_dir`.
    pub fn data_dir(&self) -> PathBuf {
        PathBuf::from(&self.environment["KONVERSIO__DATA_DIR"])
    }

    /// The settings file, for tests that change it.
    pub fn settings_file(&self) -> PathBuf {
        self.folder.join("konversio.toml")
    }

    /// Where the daemon listens.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its base URL, without a slash at the end.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The database it stores in.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The administrator's API token, when the settings name one.
    pub fn token(&self) -> Option<&str> {
        self.environment.get("KONVERSIO__BOOTSTRAP__ACCESS_TOKEN").map(String::as_str)
    }

    /// A client without credentials.
    pub fn visitor(&self) -> Client {
        Client::new(&self.base_url())
    }

    /// Gives the daemon another free port.
    pub fn move_to_another_port(&mut self) {
        self.port = free_port(DAEMONS);
        self.environment.insert("KONVERSIO__SERVER__BIND".to_owned(), self.address());
    }

    /// The binary with these arguments, in this folder and environment and no other.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_konversio"));
        let inherited = std::env::vars_os().filter(|(name, _)| !name.to_string_lossy().starts_with("KONVERSIO"));
        command.args(arguments).current_dir(&self.folder).env_clear().envs(inherited).envs(&self.environment).stdin(Stdio::null());
        command
    }

    /// Runs the binary to its end; one that is still running after `deadline` is killed and fails the test.
    pub async fn run(&self, arguments: &[&str], deadline: Duration) -> Finished {
        let (stdout, stderr) = (self.folder.join("command.stdout"), self.folder.join("command.stderr"));
        let mut command = self.command(arguments);
        let started = Instant::now();
        let mut child = command.stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap()).spawn().unwrap();
        let status = exit_of(&mut child, deadline).await;
        let read = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        let (stdout, stderr) = (read(&stdout), read(&stderr));
        let Some(status) = status else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("`konversio {}` did not end within {deadline:?}\n{stdout}{stderr}", arguments.join(" "));
        };
        Finished { status, stdout, stderr, took: started.elapsed() }
    }

    pub(super) fn spawn(&self, arguments: &[&str]) -> Child {
        let append = |path: PathBuf| OpenOptions::new().create(true).append(true).open(path).unwrap();
        let mut command = self.command(arguments);
        command.stdout(append(self.stdout_file())).stderr(append(self.log_file())).spawn().unwrap()
    }

    pub(super) fn log_file(&self) -> PathBuf {
        self.folder.join("stderr.log")
    }

    pub(super) fn stdout_file(&self) -> PathBuf {
        self.folder.join("stdout.log")
    }
}

/// What a command that ended left.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it logged.
    pub stderr: String,
    /// How long it ran.
    pub took: Duration,
}

impl Finished {
    /// Fails the test, showing what was printed, unless the exit code is this one.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "exit code; it printed:\n{}\nand logged:\n{}", self.stdout, self.stderr);
        self
    }
}

/// Sends a signal (`TERM`, `HUP`, `KILL`, `STOP`, `CONT`) to a process that this test started.
pub fn send_signal(child: &Child, signal: &str) {
    // The shell's own `kill` is on every machine; a crate for it would need to be built on each.
    let status = Command::new("sh").args(["-c", &format!("kill -{signal} {}", child.id())]).status().unwrap();
    assert!(status.success(), "SIG{signal} could not be sent to process {}", child.id());
}

/// Waits for a process to end; `None` when it still runs after `deadline`.
pub(super) async fn exit_of(child: &mut Child, deadline: Duration) -> Option<ExitStatus> {
    let started = Instant::now();
    eventually(deadline + Duration::from_secs(5), async || match child.try_wait().unwrap() {
        None if started.elapsed() < deadline => None,
        ended_or_late => Some(ended_or_late),
    })
    .await
}

/// Random letters and digits, for names and tokens.
pub(super) fn random_text(length: usize) -> String {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    (0..length).map(|_| char::from(LETTERS[rand::random_range(0..LETTERS.len())])).collect()
}
