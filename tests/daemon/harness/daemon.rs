//! The daemon as a process: started, watched until it is ready, signalled, killed, started again on the same data.

use super::site::exit_of;
use super::{Cable, Client, Finished, SOON, Site, send_signal};
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// How long a start may take. A first start makes the tables and hashes a password, unoptimized, while other tests run.
const START: Duration = Duration::from_secs(60);
/// How many lines of the log a failed test shows.
const TAIL: usize = 80;

/// A running daemon, or one that was stopped and can be started again. Dropping it kills the process and removes its data.
pub struct Daemon {
    child: Option<Child>,
    site: Site,
    keep: bool,
    // Last, so that the process and the database are gone before the folder is.
    folder: Option<tempfile::TempDir>,
}

/// How a daemon is to be started.
#[derive(Default)]
pub struct Builder {
    settings: String,
    set: Vec<(String, String)>,
    unset: Vec<String>,
    keep: bool,
}

/// How a daemon ended.
#[derive(Debug)]
pub struct Exit {
    /// Exit code or signal.
    pub status: ExitStatus,
    /// From the signal to the end.
    pub took: Duration,
}

impl Builder {
    /// The text of `konversio.toml`.
    pub fn settings(mut self, toml: &str) -> Self {
        self.settings = toml.to_owned();
        self
    }

    /// Sets a variable of the environment, such as `KONVERSIO__SERVER__PUBLIC_URL`.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.set.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes out a variable that the harness sets.
    pub fn without(mut self, name: &str) -> Self {
        self.unset.push(name.to_owned());
        self
    }

    /// Lets the first administrator be invented by the daemon, as on a user's first start.
    pub fn without_bootstrap(self) -> Self {
        self.without("KONVERSIO__BOOTSTRAP__ADMIN_EMAIL")
            .without("KONVERSIO__BOOTSTRAP__ADMIN_PASSWORD")
            .without("KONVERSIO__BOOTSTRAP__ACCESS_TOKEN")
    }

    /// Leaves the folder behind and says where it is: to look at while writing a test.
    pub fn keep_dir(mut self) -> Self {
        self.keep = true;
        self
    }

    /// Starts it and waits until it is ready. Fails the test, showing the log, when it is not.
    pub async fn start(self) -> Daemon {
        let mut daemon = self.prepare().await;
        daemon.launch().await;
        daemon
    }

    /// Everything but the process: to run commands of the binary in [`Daemon::site`], or to start it later with [`Daemon::restart`].
    pub async fn prepare(self) -> Daemon {
        let folder = tempfile::Builder::new().prefix("konversio-test-").tempdir().unwrap();
        let mut site = Site::new(folder.path(), &self.settings).await;
        site.environment.extend(self.set);
        for name in self.unset {
            site.environment.remove(&name);
        }
        Daemon { child: None, site, keep: self.keep, folder: Some(folder) }
    }

    /// Starts it and waits until it gave up. Fails the test when it serves instead.
    pub async fn refused(self) -> Finished {
        let daemon = self.prepare().await;
        daemon.site.run(&[], START).await
    }
}

impl Daemon {
    /// One with default settings.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// One with settings of its own.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Its folder, settings, environment and database.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// The same, to be changed between [`Daemon::kill`] and [`Daemon::restart`].
    pub fn site_mut(&mut self) -> &mut Site {
        &mut self.site
    }

    /// Its base URL, without a slash at the end.
    pub fn base_url(&self) -> String {
        self.site.base_url()
    }

    /// A client with the administrator's token, for account 1.
    pub fn client(&self) -> Client {
        self.site.visitor().with_token(self.site.token().expect("the settings of this daemon name no token"))
    }

    /// A client without credentials.
    pub fn visitor(&self) -> Client {
        self.site.visitor()
    }

    /// A websocket, welcomed and without a subscription.
    pub async fn cable(&self) -> Cable {
        Cable::connect(&self.base_url()).await
    }

    /// The same in the extended protocol.
    pub async fn extended_cable(&self) -> Cable {
        Cable::connect_extended(&self.base_url()).await
    }

    /// Memory in use, in KiB; `None` where the system does not tell.
    pub fn memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.as_ref()?.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().trim_end_matches("kB").trim().parse().ok()
    }

    /// How many sockets it holds open; `None` where the system does not tell.
    pub fn open_sockets(&self) -> Option<usize> {
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", self.child.as_ref()?.id())).ok()?;
        let targets = descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        Some(targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count())
    }

    /// Stops it in good order if it runs, and starts it on the same data, address and environment.
    pub async fn restart(&mut self) {
        if self.child.is_some() {
            self.terminate().await;
        }
        self.launch().await;
    }

    /// SIGKILL: no chance to put anything in order.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM, and how it then ended. Fails the test when it has not after a minute.
    pub async fn terminate(&mut self) -> Exit {
        let started = Instant::now();
        self.signal("TERM");
        self.exit(Duration::from_secs(60), started).await
    }

    /// Waits for it to end by itself, or by a signal already sent.
    pub async fn ended(&mut self) -> Exit {
        self.exit(SOON, Instant::now()).await
    }

    /// SIGHUP: reload the settings.
    pub fn hangup(&self) {
        self.signal("HUP");
    }

    /// Sends any signal; see [`send_signal`].
    pub fn signal(&self, signal: &str) {
        send_signal(self.child.as_ref().expect("the daemon does not run"), signal);
    }

    /// What it logged (stderr), over all its starts.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.site.log_file()).unwrap_or_default()).into_owned()
    }

    /// What it printed (stdout), over all its starts.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.site.stdout_file()).unwrap_or_default()).into_owned()
    }

    async fn exit(&mut self, deadline: Duration, started: Instant) -> Exit {
        let child = self.child.as_mut().expect("the daemon does not run");
        let Some(status) = exit_of(child, deadline).await else { panic!("the daemon still runs {deadline:?} later") };
        self.child = None;
        Exit { status, took: started.elapsed() }
    }

    async fn launch(&mut self) {
        let started = Instant::now();
        let mut attempts_left = 3;
        let mut pause = Duration::from_millis(10);
        let mut logged_before = self.log().len();
        let mut child = self.site.spawn(&[]);
        let probe = self.site.visitor();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                let said = self.log().get(logged_before..).unwrap_or_default().to_lowercase();
                let taken = said.contains("address already in use") || said.contains("os error 98");
                assert!(taken && attempts_left > 0, "the daemon ended with {status} instead of becoming ready:\n{}", self.tail());
                attempts_left -= 1;
                self.site.move_to_another_port();
                logged_before = self.log().len();
                child = self.site.spawn(&[]);
            } else if probe.is_ready(&self.base_url()).await && child.try_wait().unwrap().is_none() {
                self.child = Some(child);
                return;
            } else if started.elapsed() > START {
                let _ = child.kill();
                let _ = child.wait();
                panic!("the daemon is not ready after {START:?}:\n{}", self.tail());
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- the end of the daemon's log ---\n{}\n---", self.tail());
        }
        if self.keep
            && let Some(folder) = self.folder.take()
        {
            let kept: PathBuf = folder.keep();
            eprintln!("the daemon's folder is kept: {}", kept.display());
        }
    }
}
