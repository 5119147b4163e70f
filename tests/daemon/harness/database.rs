//! The database of one daemon: a file in its data folder, or a PostgreSQL database of its own that is dropped at the end.
//!
//! `KONVERSIO_TEST_DATABASE=postgres` chooses PostgreSQL for the whole process, at `KONVERSIO_TEST_POSTGRES_URL`, whose user
//! must be allowed to create databases.

use super::site::random_text;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::OnceCell;

/// Start of the names of databases that tests made; the seconds of the epoch follow, then something random.
const PREFIX: &str = "konversio_test_";
/// A database this old, in seconds, was left by a test run that was killed.
const LEFT_BEHIND: u64 = 3600;

/// Where one daemon stores.
pub enum Database {
    /// A file that the daemon makes in its data folder.
    Sqlite,
    /// A fresh database.
    Postgres {
        /// Its name.
        name: String,
        /// The address of the server, with a database to connect to while making and dropping this one.
        server: String,
        /// The address the daemon gets.
        url: String,
    },
}

impl Database {
    /// Whether this process tests on PostgreSQL.
    pub fn is_postgres() -> bool {
        match std::env::var("KONVERSIO_TEST_DATABASE").as_deref() {
            Ok("postgres") => true,
            Ok("sqlite" | "") | Err(_) => false,
            Ok(other) => panic!("KONVERSIO_TEST_DATABASE is `{other}`; it may be `sqlite` or `postgres`"),
        }
    }

    /// An empty one, of the kind this process tests on.
    pub async fn create() -> Self {
        if !Self::is_postgres() {
            return Database::Sqlite;
        }
        let server = std::env::var("KONVERSIO_TEST_POSTGRES_URL")
            .expect("set KONVERSIO_TEST_POSTGRES_URL to test on PostgreSQL, such as postgres://postgres@127.0.0.1:5432/postgres");
        static SWEPT: OnceCell<()> = OnceCell::const_new();
        SWEPT.get_or_init(|| drop_left_behind(&server)).await;
        let name = format!("{PREFIX}{}_{}", epoch_seconds(), random_text(10));
        // template0 never has a connection that would make this fail.
        execute(&server, format!("CREATE DATABASE {name} TEMPLATE template0")).await.expect("a database could not be created");
        // Daemons are killed here, the server never is: nothing has to reach the disk.
        execute(&server, format!("ALTER DATABASE {name} SET synchronous_commit = off")).await.expect("a database could not be set up");
        let url = with_database(&server, &name);
        Database::Postgres { name, server, url }
    }

    /// The address for the daemon's settings; `None` for SQLite, where the daemon needs none.
    pub fn url(&self) -> Option<&str> {
        match self {
            Database::Sqlite => None,
            Database::Postgres { url, .. } => Some(url),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let Database::Postgres { name, server, .. } = self else { return };
        let (statement, server) = (format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"), server.clone());
        // A drop cannot await, and the runtime it happens in may be the only thread: so on a thread with a runtime of its own.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(execute(&server, statement))
        });
        if !matches!(dropped.join(), Ok(Ok(()))) {
            eprintln!("the test database {name} could not be dropped");
        }
    }
}

/// The address of another database on the same server: the path is replaced, the parameters stay.
pub fn with_database(url: &str, name: &str) -> String {
    let (base, parameters) = url.split_once('?').map_or((url, None), |(base, parameters)| (base, Some(parameters)));
    let host_start = base.find("://").map_or(0, |position| position + 3);
    let host_end = base[host_start..].find('/').map_or(base.len(), |position| host_start + position);
    let parameters = parameters.map(|text| format!("?{text}")).unwrap_or_default();
    format!("{}/{name}{parameters}", &base[..host_end])
}

async fn execute(server: &str, statement: String) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(server).await?;
    connection.execute(AssertSqlSafe(statement)).await?;
    connection.close().await
}

async fn drop_left_behind(server: &str) {
    let mut connection = PgConnection::connect(server).await.expect("the PostgreSQL server of KONVERSIO_TEST_POSTGRES_URL did not answer");
    let rows = connection.fetch_all("SELECT datname::text FROM pg_database").await.unwrap();
    for name in rows.iter().map(|row| row.get::<String, _>(0)) {
        let created = name.strip_prefix(PREFIX).and_then(|rest| rest.split('_').next()).and_then(|seconds| seconds.parse::<u64>().ok());
        if created.is_some_and(|created| created + LEFT_BEHIND < epoch_seconds()) {
            let _ = connection.execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))).await;
        }
    }
    let _ = connection.close().await;
}

fn epoch_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
