//! Fresh databases for one run of the bench: files in its folder, or databases on a PostgreSQL server, dropped afterwards.
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbErr, Statement};
use std::path::Path;

/// Where the daemon and the insert loop store.
pub enum Databases {
    /// Two files.
    Sqlite,
    /// Two databases on a server.
    Postgres {
        /// A connection to the server, to make, watch and drop them.
        server: DatabaseConnection,
        /// The server's address.
        url: String,
    },
}

impl Databases {
    /// Of a PostgreSQL server; the databases must be dropped by [`Databases::drop_all`].
    pub async fn postgres(url: &str) -> Result<Self, DbErr> {
        let server = Database::connect(url).await?;
        let databases = Databases::Postgres { server, url: url.to_owned() };
        if let Databases::Postgres { server, .. } = &databases {
            for name in names() {
                server.execute_unprepared(&format!("CREATE DATABASE {name} TEMPLATE template0")).await?;
            }
        }
        Ok(databases)
    }

    /// What it is called in the table.
    pub fn name(&self) -> &'static str {
        match self {
            Databases::Sqlite => "SQLite",
            Databases::Postgres { .. } => "PostgreSQL",
        }
    }

    /// The daemon's; none for the file in its folder.
    pub fn daemon(&self) -> Option<String> {
        let [daemon, _] = names();
        match self {
            Databases::Sqlite => None,
            Databases::Postgres { url, .. } => Some(with_database(url, &daemon)),
        }
    }

    /// The insert loop's.
    pub fn insert_loop(&self, folder: &Path) -> String {
        let [_, insert_loop] = names();
        match self {
            Databases::Sqlite => format!("sqlite://{}", folder.join("insert_loop.db").display()),
            Databases::Postgres { url, .. } => with_database(url, &insert_loop),
        }
    }

    /// How often PostgreSQL has synced its log; none for SQLite, which does not count.
    pub async fn syncs(&self) -> anyhow::Result<Option<i64>> {
        let Databases::Postgres { server, .. } = self else { return Ok(None) };
        // Sessions report to this view about once a second.
        tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
        let asked = Statement::from_string(server.get_database_backend(), "SELECT wal_sync FROM pg_stat_wal");
        let row = server.query_one_raw(asked).await?;
        Ok(row.map(|row| row.try_get_by_index(0)).transpose()?)
    }

    /// Drops what [`Databases::postgres`] made.
    pub async fn drop_all(&self) -> Result<(), DbErr> {
        let Databases::Postgres { server, .. } = self else { return Ok(()) };
        for name in names() {
            server.execute_unprepared(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
        }
        Ok(())
    }
}

fn names() -> [String; 2] {
    let process = std::process::id();
    [format!("konversio_bench_{process}_daemon"), format!("konversio_bench_{process}_floor")]
}

/// The address of another database on the same server.
fn with_database(url: &str, name: &str) -> String {
    let (base, parameters) = url.split_once('?').map_or((url, String::new()), |(base, parameters)| (base, format!("?{parameters}")));
    let host = base.find("://").map_or(0, |position| position + 3);
    let end = base.get(host..).and_then(|rest| rest.find('/')).map_or(base.len(), |position| host + position);
    format!("{}/{name}{parameters}", base.get(..end).unwrap_or_default())
}
