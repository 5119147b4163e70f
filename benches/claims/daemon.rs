//! The daemon under test: the release binary in a folder of its own, and what can be seen of it from outside.
use crate::load::{Connection, each, request};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// No start takes longer, or the bench fails.
const START: Duration = Duration::from_secs(30);
/// The administrator's.
pub const TOKEN: &str = "0123456789abcdef01234567";
/// How many conversations the messages are spread over.
pub const CONVERSATIONS: usize = 2_000;

/// A running daemon; killed when dropped.
pub struct Daemon {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// From the start of the process until it answered `/ready`.
    pub started_in: Duration,
}

/// An inbox, and the paths to which its contacts' messages are posted.
pub struct Inbox {
    paths: Vec<String>,
}

impl Daemon {
    /// Starts it: one HTTP worker, warnings logged to a file, in a folder that may hold an earlier run's data.
    pub async fn start(folder: &Path, settings: &str, database_url: Option<&str>) -> anyhow::Result<Self> {
        std::fs::write(folder.join("konversio.toml"), settings)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_konversio"));
        let inherited = std::env::vars_os().filter(|(name, _)| !name.to_string_lossy().starts_with("KONVERSIO"));
        command.arg("serve").current_dir(folder).env_clear().envs(inherited);
        command.env("KONVERSIO__DATA_DIR", folder.join("data")).env("KONVERSIO__LOG__FILTER", "warn");
        command.env("KONVERSIO__SERVER__BIND", address.to_string()).env("KONVERSIO__SERVER__WORKERS", "1");
        command.env("KONVERSIO__BOOTSTRAP__ADMIN_EMAIL", "admin@example.com").env("KONVERSIO__BOOTSTRAP__ADMIN_PASSWORD", "Password1!");
        command.env("KONVERSIO__BOOTSTRAP__ACCESS_TOKEN", TOKEN).env("KONVERSIO__OUTBOUND__ALLOW_CIDRS", "127.0.0.0/8");
        if let Some(url) = database_url {
            command.env("KONVERSIO__DATABASE__URL", url);
        }
        let log = std::fs::File::create(folder.join("stderr.log"))?;
        let begun = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().context("starting the daemon")?;
        let mut daemon = Daemon { child, address, started_in: Duration::ZERO };
        while !daemon.is_ready().await {
            let log = || std::fs::read_to_string(folder.join("stderr.log")).unwrap_or_default();
            ensure!(daemon.child.try_wait()?.is_none() && begun.elapsed() < START, "the daemon did not start:\n{}", log());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        daemon.started_in = begun.elapsed();
        Ok(daemon)
    }

    async fn is_ready(&self) -> bool {
        match Connection::open(self.address).await {
            Ok(mut connection) => matches!(connection.call(&request("GET", "/ready", None, "")).await, Ok((200, _))),
            Err(_) => false,
        }
    }

    /// What an API call of the administrator answers.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        Connection::open(self.address).await?.json(&request("GET", path, Some(TOKEN), "")).await
    }

    /// The value of a counter.
    pub async fn counter(&self, name: &str) -> anyhow::Result<f64> {
        let mut connection = Connection::open(self.address).await?;
        let (_, body) = connection.call(&request("GET", "/metrics", None, "")).await?;
        let text = String::from_utf8_lossy(body);
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        Ok(value.unwrap_or(0.0))
    }

    /// The process.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Memory in use, in KiB (`VmRSS`).
    pub fn memory(&self) -> anyhow::Result<f64> {
        memory_of(self.child.id())
    }

    /// The inbox of this name, with as many contacts, each with a conversation.
    pub async fn inbox(&self, name: &str, conversations: usize) -> anyhow::Result<Inbox> {
        let inboxes = self.get("/api/v1/accounts/1/inboxes").await?;
        let found =
            inboxes.get("payload").and_then(Value::as_array).into_iter().flatten().find(|inbox| inbox.get("name") == Some(&json!(name)));
        let identifier = found.and_then(|inbox| inbox.get("inbox_identifier")).and_then(Value::as_str).context("the inbox is not there")?;
        let contacts = format!("/public/api/v1/inboxes/{identifier}/contacts");
        let posted = |number: usize| {
            let contact = json!({ "source_id": format!("customer-{number}"), "name": format!("Customer {number}") });
            request("POST", &contacts, None, &contact.to_string())
        };
        each(self.address, 64, (0..conversations).map(posted).collect()).await?;
        let opened = |number: usize| request("POST", &format!("{contacts}/customer-{number}/conversations"), None, "{}");
        let opened = each(self.address, 64, (0..conversations).map(opened).collect()).await?;
        let path = |(number, conversation): (usize, &Value)| {
            let id = conversation.get("id").and_then(Value::as_i64)?;
            Some(format!("{contacts}/customer-{number}/conversations/{id}/messages"))
        };
        let paths = opened.iter().enumerate().map(path).collect::<Option<Vec<_>>>().context("a conversation has no id")?;
        Ok(Inbox { paths })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Inbox {
    /// Where messages of its first contact are posted.
    pub fn path(&self) -> &str {
        self.paths.first().map(String::as_str).unwrap_or_default()
    }

    /// Requests that post messages of the contacts, each contact in turn; `run` is part of the messages' source ids.
    pub fn messages(&self, run: &str) -> impl FnMut() -> Vec<u8> + 'static {
        let (paths, run, mut number) = (self.paths.clone(), run.to_owned(), 0usize);
        move || {
            number += 1;
            let path = paths.get(number % paths.len()).map(String::as_str).unwrap_or_default();
            request("POST", path, None, &message(&run, number))
        }
    }
}

/// Memory that a process has in use, in KiB (`VmRSS`).
pub fn memory_of(process_id: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process_id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the process has no VmRSS")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

/// What a process has used of the processor, in user and kernel mode.
pub fn processor_time_of(process_id: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process_id}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no name in /proc/…/stat")?;
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    // The kernel counts in hundredths of a second towards programs.
    Ok(Duration::from_millis(ticks * 10))
}

/// A message of about 210 bytes with a source id of its own.
pub fn message(run: &str, number: usize) -> String {
    json!({ "content": words(run, number), "source_id": format!("{run}-{number}") }).to_string()
}

/// What it says: its name (`marker`), a colon, and more.
pub fn words(run: &str, number: usize) -> String {
    let text = "the parcel has not arrived and I would like to know where it is now. ".repeat(3);
    format!("{}: {text}", marker(run, number)).chars().take(210).collect()
}

/// How a message is told from the others.
pub fn marker(run: &str, number: usize) -> String {
    format!("{number:07} of {run}")
}
