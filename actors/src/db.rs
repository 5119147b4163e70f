//! The two databases behind one pair of handles: where to write, and where to read beside it.
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, SqlxPostgresConnector};
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use std::sync::Arc;
use std::time::Duration;

/// How long to wait for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// Handles to the database.
///
/// SQLite has one writer, so `write` is a pool of one connection: whoever wants to write waits for it in turn, and nothing
/// ever meets a locked database. With PostgreSQL both are pools.
#[derive(Clone, Debug)]
pub struct Db {
    /// For statements that change something.
    pub write: DatabaseConnection,
    /// For statements that only read.
    pub read: DatabaseConnection,
}

impl Db {
    /// Opens `sqlite://…` (creating the file) or `postgres://…`.
    ///
    /// # Errors
    /// If the database cannot be reached or opened.
    pub async fn open(url: &str, read_connections: u32) -> Result<Db, DbErr> {
        if url.starts_with("sqlite:") {
            let write = Database::connect(sqlite(&format!("{url}?mode=rwc"), 1, false)).await?;
            // The file exists in WAL mode from here on, which a read-only connection could not bring about.
            write.execute_unprepared("PRAGMA journal_mode = WAL").await?;
            let read = Database::connect(sqlite(&format!("{url}?mode=rwc"), read_connections, true)).await?;
            return Ok(Db { write: telling(write), read: telling(read) });
        }
        let write = telling(postgres(url, read_connections, &[]).await?);
        Ok(Db { read: write.clone(), write })
    }

    /// The one connection of the group-committing writer.
    ///
    /// # Errors
    /// If the database cannot be reached.
    pub async fn writer(&self, url: &str) -> Result<DatabaseConnection, DbErr> {
        let mut writer = match self.write.get_database_backend() {
            DbBackend::Postgres => {
                let writer = postgres(url, 1, LOOK_UP).await?;
                // A killed daemon's last commit may still be under way: its end is waited for, since ids are counted on from it.
                writer.execute_unprepared(&format!("SELECT pg_advisory_lock({WRITER_LOCK})")).await?;
                writer
            }
            _ => self.write.clone(),
        };
        writer.set_metric_callback(|info| {
            metrics::counter!("konversio_statements_total").increment(1);
            tell(info);
        });
        Ok(writer)
    }
}

/// Logs every statement of a connection, for whoever asks for `konversio::statements=trace`.
fn telling(mut connection: DatabaseConnection) -> DatabaseConnection {
    connection.set_metric_callback(tell);
    connection
}

/// Without its values: those are what people wrote.
fn tell(info: &sea_orm::metric::Info<'_>) {
    tracing::trace!(target: "konversio::statements", statement = info.statement.sql, elapsed_us = info.elapsed.as_micros());
}

/// Held by the connection that writes, for as long as it is open.
const WRITER_LOCK: i64 = 0x6b6f_6e76_7772_6974;

/// Prepared while the tables were small, a plan that scans them would stay; every look-up of the writer has its index.
const LOOK_UP: &[(&str, &str)] = &[("enable_seqscan", "off"), ("enable_hashjoin", "off"), ("enable_mergejoin", "off"), ("jit", "off")];

fn sqlite(url: &str, connections: u32, query_only: bool) -> ConnectOptions {
    let mut options = common(url, connections);
    options.map_sqlx_sqlite_opts(move |connection| {
        let connection = connection
            .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal)
            .synchronous(sqlx::sqlite::SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10))
            .pragma("cache_size", "-32768")
            // A group of each size is a statement of its own.
            .statement_cache_capacity(512);
        if query_only { connection.pragma("query_only", "on") } else { connection }
    });
    options
}

async fn postgres(url: &str, connections: u32, parameters: &[(&str, &str)]) -> Result<DatabaseConnection, DbErr> {
    let failed = |error: sqlx::Error| DbErr::Conn(sea_orm::RuntimeErr::SqlxError(Arc::new(error)));
    let options: PgConnectOptions = url.parse().map_err(failed)?;
    let options = options.options(parameters.iter().copied()).statement_cache_capacity(512).disable_statement_logging();
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .after_connect(|_, _| {
            Box::pin(async {
                send_at_once();
                Ok(())
            })
        });
    Ok(SqlxPostgresConnector::from_sqlx_postgres_pool(pool.connect_with(options).await.map_err(failed)?))
}

/// Sets `TCP_NODELAY` on this process's connections. sqlx 0.9 does not and offers no way to: a statement that takes two
/// packets then waits 40 ms for the server's delayed acknowledgement. The socket is found by its number, since the pool
/// keeps it to itself.
fn send_at_once() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
        let Ok(own) = pidfd_open(getpid(), PidfdFlags::empty()) else { return };
        let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return };
        for number in entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
            // Whatever is no TCP socket refuses.
            if let Ok(socket) = pidfd_getfd(&own, number, PidfdGetfdFlags::empty()) {
                let _ = rustix::net::sockopt::set_tcp_nodelay(&socket, true);
            }
        }
    }
}

/// Without the check that costs a round trip per statement.
fn common(url: &str, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None::<Duration>)
        .max_lifetime(None::<Duration>)
        .test_before_acquire(false)
        .sqlx_logging(false);
    options
}
