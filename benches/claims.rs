//! The measured claims, each beside its floor, in one table: `cargo bench --bench claims`.
//!
//! Floors and daemon are measured in the same minutes, in turn, because the machine may be shared: only what stands in one run
//! may be compared. Everything talks over loopback and shares the cores with the daemon. On SQLite always; on PostgreSQL as
//! well when KONVERSIO_TEST_POSTGRES_URL names a server (a user who may create databases).

#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "figures for people")]

#[path = "claims/channels.rs"]
mod channels;
#[path = "claims/daemon.rs"]
mod daemon;
#[path = "claims/databases.rs"]
mod databases;
#[path = "claims/floors.rs"]
mod floors;
#[path = "claims/load.rs"]
mod load;
#[path = "claims/outward.rs"]
mod outward;
#[path = "claims/reads.rs"]
mod reads;
#[path = "claims/sockets.rs"]
mod sockets;
#[path = "claims/widget.rs"]
mod widget;

use daemon::{CONVERSATIONS, Daemon, message};
use databases::Databases;
use floors::{BARE_HANDLER, BareHandler, InsertLoop};
use load::{Measured, measure, percentile, request};
use outward::Sink;
use std::path::Path;
use std::time::Duration;

const RUNS: usize = 3;
const LENGTH: Duration = Duration::from_secs(2);
/// In flight, and the group size of the insert loop beside it: about half of what is in flight waits while a group is committed.
const LEVELS: [(usize, i64); 3] = [(64, 32), (8, 8), (1, 1)];
/// Inboxes of the daemon whose memory is compared.
const INBOXES: usize = 500;

const PLAIN_INBOX: &str = "[[inbox]]\nname = \"plain\"\n[inbox.channel]\ntype = \"api\"\n";

fn main() -> anyhow::Result<()> {
    if std::env::args().any(|argument| argument == BARE_HANDLER) {
        return floors::serve_bare_handler();
    }
    if std::env::args().any(|argument| argument == sockets::BARE_SOCKETS) {
        return sockets::serve_bare_sockets();
    }
    if std::env::args().any(|argument| argument == channels::BARE_PROVIDERS) {
        return channels::serve_bare_providers();
    }
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("skipped: measured by `cargo bench --bench claims` alone");
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, run())
}

/// What can be asked for by name (`cargo bench --bench claims -- reads`); without a name all of them, in this order.
const SECTIONS: [&str; 8] = ["sqlite", "postgres", "size", "sockets", "webhook", "channels", "widget", "reads"];

async fn run() -> anyhow::Result<()> {
    let names: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if let Some(unknown) = names.iter().find(|name| !SECTIONS.contains(&name.as_str())) {
        anyhow::bail!("{unknown} is none of {}", SECTIONS.join(", "));
    }
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let sections = SECTIONS.into_iter().filter(|section| names.is_empty() || names.iter().any(|name| name == section));
    println!("konversio {} on {} cores", env!("CARGO_PKG_VERSION"), std::thread::available_parallelism().map_or(1, usize::from));
    let mut failed = Vec::new();
    for section in sections {
        let folder = scratch.path().join(section);
        let measured = match section {
            "sqlite" => throughput(&Databases::Sqlite, &folder).await,
            "postgres" => on_postgres(&folder).await,
            "size" => size(&folder).await,
            "sockets" => sockets::measure(&folder, PLAIN_INBOX).await,
            "webhook" => webhook(&folder).await,
            "channels" => channels::measure(&folder).await,
            "widget" => widget::measure(&folder, PLAIN_INBOX).await,
            _ => reads::compare(&folder).await,
        };
        // What follows is worth knowing all the same.
        if let Err(error) = measured {
            println!("{section} failed: {error:#}");
            failed.push(section);
        }
    }
    anyhow::ensure!(failed.is_empty(), "not measured: {}", failed.join(", "));
    Ok(())
}

async fn on_postgres(folder: &Path) -> anyhow::Result<()> {
    let Ok(url) = std::env::var("KONVERSIO_TEST_POSTGRES_URL") else {
        println!("skipped: PostgreSQL: KONVERSIO_TEST_POSTGRES_URL is not set");
        return Ok(());
    };
    let databases = Databases::postgres(&url).await?;
    let measured = throughput(&databases, folder).await;
    databases.drop_all().await?;
    measured
}

const NOTES: &str =
    "(a) token check, JSON in, JSON out, one worker, same load generator. (b) sea-orm insert_many of messages rows through the daemon's
writer connection, BEGIN to COMMIT. Every message is committed before its answer: SQLite in WAL mode with synchronous=FULL syncs
the log once per commit (so syncs/msg is commits/msg; each checkpoint, every 1000 pages of log, adds two), PostgreSQL with the
server's settings, counted by pg_stat_wal.wal_sync (of the whole server). Statements are those between BEGIN and COMMIT.
Daemon and load generator share the cores. `plain`: no webhook. `webhook`: each message also writes a delivery and is delivered
to a local server on the load generator's thread meanwhile.";

fn heading() -> String {
    format!(
        "{RUNS} runs of {LENGTH:?} each, median (all three); {CONVERSATIONS} conversations, texts of 210 bytes\n{}",
        line(["", "in flight", "per second", "p50 ms", "p99 ms", "of (a)", "of (b)", "msgs/commit", "statements/msg", "syncs/msg"])
    )
}

fn line(cells: [&str; 10]) -> String {
    let [what, in_flight, per_second, p50, p99, of_a, of_b, group, statements, syncs] = cells;
    format!("{what:<26} {in_flight:>9} {per_second:>28} {p50:>7} {p99:>7} {of_a:>7} {of_b:>7} {group:>11} {statements:>14} {syncs:>9}")
}

/// The runs of one row.
#[derive(Default)]
struct Row {
    runs: Vec<Measured>,
    messages: f64,
    commits: f64,
    statements: f64,
    syncs: Option<f64>,
}

impl Row {
    fn per_second(&self) -> f64 {
        median(self.runs.iter().map(|run| run.per_second).collect())
    }

    fn print(&self, what: &str, in_flight: &str, floors: Option<(&Row, &Row)>) {
        let all: Vec<String> = self.runs.iter().map(|run| format!("{:.0}", run.per_second)).collect();
        let of = |floor: &Row| format!("{:.3}", self.per_second() / floor.per_second());
        let (of_a, of_b) = floors.map(|(a, b)| (of(a), of(b))).unwrap_or_default();
        let per_message = |count: f64| if self.messages > 0.0 { format!("{:.3}", count / self.messages) } else { String::new() };
        let group = if self.commits > 0.0 { format!("{:.1}", self.messages / self.commits) } else { String::new() };
        let syncs = self.syncs.map(per_message).unwrap_or_else(|| per_message(self.commits));
        let per_second = format!("{:.0} ({})", self.per_second(), all.join("/"));
        let p50 = format!("{:.2}", median(self.runs.iter().map(|run| millis(run.p50)).collect()));
        let p99 = format!("{:.2}", median(self.runs.iter().map(|run| millis(run.p99)).collect()));
        println!("{}", line([what, in_flight, &per_second, &p50, &p99, &of_a, &of_b, &group, &per_message(self.statements), &syncs]));
    }
}

/// The daemon's counters before and after a run.
struct Counted {
    commands: f64,
    commits: f64,
    statements: f64,
    syncs: Option<i64>,
}

async fn counted(daemon: &Daemon, databases: &Databases) -> anyhow::Result<Counted> {
    Ok(Counted {
        commands: daemon.counter("konversio_commands_total").await?,
        commits: daemon.counter("konversio_commits_total").await?,
        statements: daemon.counter("konversio_statements_total").await?,
        syncs: databases.syncs().await?,
    })
}

async fn throughput(databases: &Databases, folder: &Path) -> anyhow::Result<()> {
    println!("\n{}", heading());
    std::fs::create_dir_all(folder)?;
    let mut sink = Sink::start().await?;
    let hooked = format!(
        "{PLAIN_INBOX}[[inbox]]\nname = \"webhook\"\n[inbox.channel]\ntype = \"api\"\nwebhook_url = \"http://{}/\"\n",
        sink.address
    );
    let bare = BareHandler::start()?;
    let mut inserts = InsertLoop::prepare(&databases.insert_loop(folder)).await?;
    let daemon = Daemon::start(folder, &hooked, databases.daemon().as_deref()).await?;
    let plain = daemon.inbox("plain", CONVERSATIONS).await?;
    let mut rows: [[Row; 3]; 3] = Default::default();
    for run in 0..RUNS {
        for ((in_flight, group), [of_bare, of_inserts, of_daemon]) in LEVELS.into_iter().zip(&mut rows) {
            of_inserts.runs.push(inserts.measure(group, LENGTH).await?);
            let mut number = 0;
            let next = move || {
                number += 1;
                request("POST", "/messages", Some(floors::TOKEN), &message("bare", number))
            };
            of_bare.runs.push(measure(bare.address, in_flight, LENGTH, next).await?);
            let measured = post(&daemon, databases, in_flight, plain.messages(&format!("plain-{in_flight}-{run}")), of_daemon).await?;
            of_daemon.runs.push(measured);
        }
    }
    let name = databases.name();
    for ((in_flight, group), [of_bare, of_inserts, of_daemon]) in LEVELS.into_iter().zip(&rows).rev() {
        let in_flight = in_flight.to_string();
        of_bare.print("(a) bare handler", &in_flight, None);
        of_inserts.print(&format!("(b) {name} insert loop"), &format!("by {group}"), None);
        of_daemon.print(&format!("{name}, plain"), &in_flight, Some((of_bare, of_inserts)));
    }
    let webhook = daemon.inbox("webhook", CONVERSATIONS).await?;
    let [[of_bare, of_inserts, _], ..] = &rows;
    let mut row = Row::default();
    sink.count();
    for run in 0..RUNS {
        let measured = post(&daemon, databases, 64, webhook.messages(&format!("webhook-{run}")), &mut row).await?;
        row.runs.push(measured);
    }
    // Notes of deliveries are commands too, so only what was answered counts as messages here.
    row.messages = row.runs.iter().map(|run| run.per_second * LENGTH.as_secs_f64()).sum();
    row.print(&format!("{name}, webhook"), "64", Some((of_bare, of_inserts)));
    println!("{:<26} {:>9} {:>28}", "  webhook calls meanwhile", "", format!("{} calls", sink.count()));
    println!("\n{NOTES}");
    Ok(())
}

/// One run against the daemon; adds to the row what it counted.
async fn post(
    daemon: &Daemon,
    databases: &Databases,
    in_flight: usize,
    next: impl FnMut() -> Vec<u8> + 'static,
    row: &mut Row,
) -> anyhow::Result<Measured> {
    let before = counted(daemon, databases).await?;
    let measured = measure(daemon.address, in_flight, LENGTH, next).await?;
    let after = counted(daemon, databases).await?;
    row.messages += after.commands - before.commands;
    row.commits += after.commits - before.commits;
    row.statements += after.statements - before.statements;
    if let (Some(before), Some(after)) = (before.syncs, after.syncs) {
        *row.syncs.get_or_insert_default() += (after - before) as f64;
    }
    Ok(measured)
}

/// Start-up time, memory of the idle daemon, memory per inbox.
async fn size(folder: &Path) -> anyhow::Result<()> {
    let (small, large) = (folder.join("small"), folder.join("large"));
    std::fs::create_dir_all(&small)?;
    std::fs::create_dir_all(&large)?;
    let inbox = |number| format!("[[inbox]]\nname = \"inbox {number}\"\n[inbox.channel]\ntype = \"api\"\n");
    let many: String = (0..INBOXES).map(inbox).collect();
    // The first start makes the tables and hashes a password, which needs memory of its own: measured is the second.
    let first = Daemon::start(&small, PLAIN_INBOX, None).await?.started_in;
    drop(Daemon::start(&large, &many, None).await?);
    let daemon = Daemon::start(&small, PLAIN_INBOX, None).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let idle = daemon.memory()?;
    say(
        "start until /ready",
        format!("{:.0} ms; the first start, which makes the tables, {:.0} ms", millis(daemon.started_in), millis(first)),
    );
    say("memory of the idle daemon", format!("{:.1} MiB (VmRSS)", idle / 1024.0));
    drop(daemon);
    let daemon = Daemon::start(&large, &many, None).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let per_inbox = (daemon.memory()? - idle) / (INBOXES - 1) as f64;
    say("memory per idle inbox", format!("{per_inbox:.1} KiB ({INBOXES} API inboxes; started in {:.0} ms)", millis(daemon.started_in)));
    Ok(())
}

async fn webhook(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut sink = Sink::start().await?;
    let daemon = Daemon::start(folder, &format!("{PLAIN_INBOX}webhook_url = \"http://{}/\"\n", sink.address), None).await?;
    let inbox = daemon.inbox("plain", 1).await?;
    let path = inbox.path();
    let took = sink.measure(&daemon, path, 200).await?;
    let mut answered = Vec::new();
    let mut connection = load::Connection::open(daemon.address).await?;
    for number in 0..200 {
        let begun = std::time::Instant::now();
        connection.json(&request("POST", path, None, &message("answered", number))).await?;
        answered.push(begun.elapsed());
    }
    answered.sort_unstable();
    let shown = |what: &[Duration]| format!("p50 {:.2} ms, p99 {:.2} ms", millis(percentile(what, 50)), millis(percentile(what, 99)));
    say("posted until webhook call", format!("{} (200 messages, one at a time)", shown(&took)));
    say("  floor: posted until answer", shown(&answered));
    Ok(())
}

fn say(what: &str, figures: String) {
    println!("{what:<26} {figures}");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
