//! How the databases run what the daemon asks them: with 100,000 conversations and 1,000,000 messages, none of its hot paths
//! scans a table.
//!
//! Nothing is listed here that the daemon would have to keep to: it is asked everything, logs each statement that it runs, and
//! SQLite explains those, with statistics and without, since a running daemon's tables have none. PostgreSQL tells the plans
//! of the statements as it runs them (`auto_explain`).

mod asked;
mod desk;

use crate::harness::{Daemon, Database, skipped};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row, SqliteConnection};
use std::collections::BTreeMap;

/// The tables that grow with every customer and message.
const LARGE: &[&str] = &[
    "attachments",
    "audit_logs",
    "contact_inboxes",
    "contact_labels",
    "contacts",
    "conversation_labels",
    "conversations",
    "mentions",
    "messages",
    "notifications",
    "participants",
];

/// Scans that cannot be helped: the table, words of the statement, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[(
    "attachments",
    "\"attachments\".\"blob_id\" IS NOT NULL) AND \"blobs\".\"id\" NOT IN (SELECT \"blob_id\" FROM \"attachments\"",
    "a removal looks for files that others use as well: with the statistics of a table in which no attachment has one, SQLite \
     thinks that all of them are none",
)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_list_filter_search_count_or_change_scans_a_table() {
    let filter = "warn,konversio::statements=trace,sqlx::postgres::notice=info";
    let mut daemon = Daemon::builder().env("KONVERSIO__LOG__FORMAT", "json").env("KONVERSIO__LOG__FILTER", filter).start().await;
    let people = asked::set_up(&daemon).await;
    daemon.terminate().await;
    desk::fill(daemon.site()).await;
    let tells = tell_plans(&daemon).await;
    daemon.restart().await;
    let mut log = Log { daemon: &daemon, read: daemon.log().len(), told: BTreeMap::new() };
    asked::everything(&daemon, &people, &mut log).await;
    let told = log.told;
    daemon.terminate().await;
    match daemon.site().database() {
        Database::Sqlite => {
            assert!(told.len() > 150, "{} statements", told.len());
            assert_no_scan("without statistics", &explain(&daemon, &told).await);
            execute_on_file(&daemon, "ANALYZE").await;
            assert_no_scan("with statistics", &explain(&daemon, &told).await);
        }
        Database::Postgres { .. } if tells => {
            assert!(told.len() > 150, "{} plans", told.len());
            let plans: Vec<Plan> = told.into_iter().map(|(plan, request)| Plan { request, statement: plan.clone(), plan }).collect();
            assert_no_scan("on PostgreSQL", &plans);
        }
        Database::Postgres { .. } => {}
    }
}

/// A statement, which request caused it first, and how it is run.
struct Plan {
    request: String,
    statement: String,
    plan: String,
}

/// The daemon's log, from where it was last read.
pub struct Log<'a> {
    daemon: &'a Daemon,
    read: usize,
    // Statement or plan → the request that it was first told of.
    told: BTreeMap<String, String>,
}

impl Log<'_> {
    /// What was told since the last time belongs to a request.
    pub fn note(&mut self, request: &str) {
        let log = self.daemon.log();
        // A line that is being written is read the next time.
        let end = log.rfind('\n').map_or(self.read, |position| position + 1);
        let lines = log.get(self.read..end).unwrap_or_default();
        self.read = end.max(self.read);
        for line in lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let name = match line["target"].as_str() {
                Some("konversio::statements") if !Database::is_postgres() => "statement",
                Some("sqlx::postgres::notice") => "message",
                _ => continue,
            };
            if let Some(text) = line[name].as_str() {
                self.told.entry(without_costs(text)).or_insert_with(|| request.to_owned());
            }
        }
    }
}

/// A plan as it is told, without what differs from one time to the next.
fn without_costs(text: &str) -> String {
    text.lines()
        .filter(|line| !line.starts_with("duration:"))
        .map(|line| line.split("  (cost=").next().unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Has PostgreSQL tell every plan to whoever asked; whether it may be told to.
async fn tell_plans(daemon: &Daemon) -> bool {
    let Database::Postgres { name, url, .. } = daemon.site().database() else { return true };
    let mut connection = PgConnection::connect(url).await.unwrap();
    for (setting, value) in [
        ("session_preload_libraries", "auto_explain"),
        ("auto_explain.log_min_duration", "0"),
        ("auto_explain.log_level", "notice"),
        ("auto_explain.log_nested_statements", "on"),
        // Where an account has half of a table, reading all of it is what a planner prefers; asked is whether an index would do.
        ("enable_seqscan", "off"),
    ] {
        if let Err(error) = connection.execute(AssertSqlSafe(format!("ALTER DATABASE {name} SET {setting} = '{value}'"))).await {
            skipped("plans of PostgreSQL", &format!("this user cannot have them told: {error}"));
            return false;
        }
    }
    true
}

/// How SQLite runs the statements that were logged.
async fn explain(daemon: &Daemon, told: &BTreeMap<String, String>) -> Vec<Plan> {
    let mut connection = desk::open(daemon.site()).await;
    let mut plans = Vec::new();
    for (statement, request) in told {
        // What is no query (`BEGIN`) has no plan.
        let Ok(rows) = connection.fetch_all(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"))).await else { continue };
        let plan = rows.iter().map(|row| row.get::<String, _>(3)).collect::<Vec<_>>().join("\n");
        plans.push(Plan { request: request.clone(), statement: statement.clone(), plan });
    }
    plans
}

async fn execute_on_file(daemon: &Daemon, statement: &'static str) {
    let mut connection: SqliteConnection = desk::open(daemon.site()).await;
    connection.execute(statement).await.unwrap();
    connection.close().await.unwrap();
}

#[track_caller]
fn assert_no_scan(how: &str, plans: &[Plan]) {
    let mut scanning = Vec::new();
    for Plan { request, statement, plan } in plans {
        let tables = plan.lines().filter_map(|line| scanned(line, statement));
        let is_known = |table: &str| EXCEPTIONS.iter().any(|(of, words, _)| *of == table && statement.contains(words));
        let tables: Vec<&str> = tables.filter(|table| !is_known(table)).collect();
        if !tables.is_empty() {
            let said = if plan == statement { String::new() } else { format!("{statement}\n") };
            scanning.push(format!("{request} scans {}:\n{said}{plan}\n", tables.join(", ")));
        }
    }
    assert!(scanning.is_empty(), "{how}, {} of {} statements scan a table:\n{}", scanning.len(), plans.len(), scanning.join("\n"));
}

/// The large table that a line of a plan reads from one end to the other.
fn scanned(line: &str, statement: &str) -> Option<&'static str> {
    let line = line.trim();
    let name = match line.split_once("Seq Scan on ") {
        Some((_, rest)) => rest,
        None if line.contains(" USING AUTOMATIC ") => line.strip_prefix("SEARCH ")?,
        None => line.strip_prefix("SCAN ")?,
    };
    let name = name.split_whitespace().next()?;
    let is_named = |table: &&str| {
        *table == name || statement.contains(&format!("{table} {name} ")) || statement.contains(&format!("\"{table}\" AS \"{name}\""))
    };
    LARGE.iter().find(|table| is_named(table)).copied()
}

#[test]
fn scans_are_found_in_plans_of_both_databases() {
    for (line, statement, expected) in [
        ("SCAN messages", "", Some("messages")),
        ("`--SCAN messages", "", None),
        ("SCAN contacts USING COVERING INDEX contacts_by_name", "", Some("contacts")),
        ("SCAN c", "SELECT c.id FROM conversations c WHERE 1", Some("conversations")),
        ("SCAN c", "SELECT c.id FROM (SELECT 1) AS c", None),
        ("SEARCH messages USING AUTOMATIC COVERING INDEX (id=?)", "", Some("messages")),
        ("SEARCH messages USING INTEGER PRIMARY KEY (rowid=?)", "", None),
        ("SCAN messages_text VIRTUAL TABLE INDEX 0:M1", "", None),
        ("  ->  Parallel Seq Scan on conversations", "", Some("conversations")),
        ("  ->  Index Scan using messages_pkey on messages", "", None),
    ] {
        assert_eq!(scanned(line, statement), expected, "{line}");
    }
}
