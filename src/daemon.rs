//! Starts everything in order, and stops it within ten seconds of a signal.
use crate::http::gate::Gate;
use crate::http::throttle::Throttles;
use crate::members::{NewMember, NewPlace, create_app, create_user, give_place};
use crate::reload::{apply_inboxes, reload, settled, watch};
use crate::settings::{DEFAULT_FILE, Database, FileStore, Settings, load_or_create_key};
use crate::{bootstrap, http, one_time_tokens, password, telemetry};
use actix_cors::Cors;
use actix_web::dev::ServerHandle;
use actix_web::middleware::{Condition, NormalizePath, from_fn};
use actix_web::{App, HttpServer, web};
use actors::catalog::Catalog;
use actors::channel::Tools;
use actors::db::Db;
use actors::egress::Egress;
use actors::event_log::Kept;
use actors::files::Files;
use actors::secret::{Secret, Vault, random_token};
use actors::system::{self, Handles, Parts};
use anyhow::Context;
use entity::account_user::{Availability, Role};
use entity::one_time_token::Purpose;
use entity::user;
use migration::{Migrator, MigratorTrait};
use object_store::ObjectStore;
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, ConnectionTrait, DatabaseConnection, EntityTrait, IntoActiveModel, QueryFilter,
    TransactionTrait,
};
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// How long, in milliseconds, the peer of a connection may take nothing of what is sent to it.
const STUCK: u32 = 20_000;

/// From a signal on, what is under way may take so long: requests, and what others have been asked.
const ENDS_WITHIN: Duration = Duration::from_millis(7500);
/// Then what has been accepted may take so long to be committed.
const COMMITS_WITHIN: Duration = Duration::from_secs(1);
/// Then whatever still runs may take so long to notice.
const LEAVES_WITHIN: Duration = Duration::from_millis(500);

/// Whom `create-admin` creates.
#[derive(Debug)]
pub struct CreateAdmin {
    /// Signs in with it.
    pub email: String,
    /// Shown to other agents.
    pub name: String,
    /// Signs in with it.
    pub password: Secret,
    /// The account to administer.
    pub account_id: i64,
}

/// Runs until a signal stops it. `settings_path` is the file named on the command line, to be given to [`Settings::load`] again.
///
/// # Errors
/// If it cannot start.
pub fn run(settings: Settings, settings_path: Option<PathBuf>) -> anyhow::Result<()> {
    // What is created belongs to the user of the daemon alone.
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o077));
    let pool = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("channels").build()?;
    let served = actix::System::new().block_on(async {
        // Before anybody can know that it runs, and signal it or change its settings.
        let mut signals = Signals::listen()?;
        let changed = Arc::new(Notify::new());
        let watched = settings_path.clone().unwrap_or_else(|| DEFAULT_FILE.into());
        let _watcher = watch(watched, changed.clone())
            .inspect_err(|error| tracing::warn!(%error, "the settings file is not watched: SIGHUP reloads it"));
        let daemon = tokio::select! {
            daemon = Daemon::start(&settings, pool.handle().clone()) => daemon?,
            () = signals.stop() => return Ok(()),
        };
        daemon.run(settings, settings_path, signals, &changed).await
    });
    pool.shutdown_timeout(LEAVES_WITHIN);
    served
}

/// Brings the database to the newest schema.
///
/// # Errors
/// If it cannot.
pub fn migrate(settings: &Settings) -> anyhow::Result<()> {
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o077));
    actix::System::new().block_on(async {
        load_or_create_key(&settings.data_dir)?;
        let (db, _alone) = open(settings).await?;
        let pending = Migrator::get_pending_migrations(&db.write).await?.len();
        Migrator::up(&db.write, None).await.context("migrating the database")?;
        println!("ok: {pending} migrations applied, database {}", settings.database());
        Ok(())
    })
}

/// Creates an administrator.
///
/// # Errors
/// If it cannot.
pub fn create_admin(settings: &Settings, admin: CreateAdmin) -> anyhow::Result<()> {
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o077));
    actix::System::new().block_on(async {
        let vault = Vault::new(&load_or_create_key(&settings.data_dir)?);
        let (db, alone) = open_beside(settings).await?;
        let email = http::fields::email_address(&admin.email).context("--email is no e-mail address")?;
        if let Some(words) = password::refusal(admin.password.expose()) {
            anyhow::bail!("--password: {words}");
        }
        let account = entity::account::Entity::find_by_id(admin.account_id).one(&db.write).await?;
        anyhow::ensure!(account.is_some(), "there is no account {}", admin.account_id);
        let password_hash = Some(password::hash(admin.password.expose())?);
        let transaction = db.write.begin().await?;
        let member = NewMember { email: email.clone(), name: admin.name, password_hash, access_token: None, is_confirmed: true };
        let (user, token) = create_user(&transaction, &vault, member).await.with_context(|| format!("creating {email}"))?;
        let place = NewPlace {
            account_id: admin.account_id,
            role: Role::Administrator,
            inviter_id: None,
            availability: Availability::Online,
            auto_offline: true,
        };
        give_place(&transaction, user.id, place).await?;
        transaction.commit().await?;
        println!("{email} is an administrator of account {}", admin.account_id);
        println!("  api_access_token: {token}");
        tell_when_known(alone.is_none());
        Ok(())
    })
}

/// Sets the password of a user, who can sign in then: the address is taken as confirmed. Sessions and links end.
///
/// # Errors
/// If there is no such user, or it cannot.
pub fn set_password(settings: &Settings, email: &str, chosen: &Secret) -> anyhow::Result<()> {
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o077));
    actix::System::new().block_on(async {
        let (db, _alone) = open(settings).await?;
        Migrator::up(&db.write, None).await.context("migrating the database")?;
        let email = http::fields::email_address(email).context("--email is no e-mail address")?;
        if let Some(words) = password::refusal(chosen.expose()) {
            anyhow::bail!("--password: {words}");
        }
        let user = user::Entity::find().filter(user::Column::Email.eq(&email)).one(&db.write).await?;
        let user = user.with_context(|| format!("there is no user {email}"))?;
        let id = user.id;
        let mut row = user.into_active_model();
        row.password_hash = ActiveValue::Set(Some(password::hash(chosen.expose())?));
        row.pubsub_token = ActiveValue::Set(random_token());
        row.confirmed_at = ActiveValue::Set(Some(entity::now()));
        let transaction = db.write.begin().await?;
        row.update(&transaction).await?;
        http::sessions::end_others(&transaction, id, None).await?;
        let purposes = [Purpose::Password, Purpose::Confirmation, Purpose::SignIn, Purpose::SecondFactor];
        one_time_tokens::void(&transaction, id, purposes).await?;
        transaction.commit().await?;
        println!("{email} has a new password");
        Ok(())
    })
}

/// Creates a platform app and prints its token, which is shown nowhere else.
///
/// # Errors
/// If it cannot.
pub fn create_platform_app(settings: &Settings, name: &str) -> anyhow::Result<()> {
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o077));
    actix::System::new().block_on(async {
        let vault = Vault::new(&load_or_create_key(&settings.data_dir)?);
        let (db, alone) = open_beside(settings).await?;
        let transaction = db.write.begin().await?;
        let (app, token) = create_app(&transaction, &vault, name.trim()).await.context("creating the platform app")?;
        transaction.commit().await?;
        println!("Platform app {} ({}) was created. This is shown once:", app.id, app.name);
        println!("  api_access_token: {token}");
        tell_when_known(alone.is_none());
        Ok(())
    })
}

fn tell_when_known(is_beside_daemon: bool) {
    if is_beside_daemon {
        println!("The daemon that runs knows it within 30 seconds, or at once after SIGHUP.");
    }
}

/// What the operator asks for from outside.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next one.
    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reload,
        }
    }

    /// Returns at SIGTERM or SIGINT.
    async fn stop(&mut self) {
        while self.next().await != Asked::Stop {}
    }
}

/// What a signal asks for.
#[derive(PartialEq)]
enum Asked {
    Stop,
    Reload,
}

/// The running daemon.
pub struct Daemon {
    handles: Handles,
    server: ServerHandle,
    gate: Gate,
    /// Another handle of the socket on which the server listens.
    listener: TcpListener,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
    /// Tells sockets that the daemon stops.
    stopping: CancellationToken,
    _alone: Alone,
}

impl Daemon {
    /// Opens the database, starts the actors, then HTTP.
    ///
    /// # Errors
    /// Says what could not be started and why.
    pub async fn start(settings: &Settings, pool: tokio::runtime::Handle) -> anyhow::Result<Self> {
        let vault = Vault::new(&load_or_create_key(&settings.data_dir)?);
        let (db, alone) = open(settings).await?;
        Migrator::up(&db.write, None).await.context("migrating the database")?;
        bootstrap::bootstrap(&db.write, &vault, &settings.bootstrap).await?;
        let egress = Egress::new(settings.outbound.allow_cidrs.clone(), Duration::from_secs(settings.webhooks.timeout_seconds))?;
        apply_inboxes(&db.write, &vault, &egress, &settings.inboxes).await?;
        let files = Files::new(file_store(settings)?, vault.clone(), &settings.public_url());
        let catalog = Catalog::load(db.clone(), vault.clone(), files.clone()).await?;
        let relay = settings.mail_relay().map(Arc::new);
        let tools = Tools { public_url: settings.public_url(), relay, files, providers: settings.providers() };
        let handles = system::start(Parts {
            db,
            database_url: database_url(settings),
            catalog,
            vault,
            tools,
            egress,
            deliveries_given_up_after: hours(settings.webhooks.give_up_after_hours),
            pool,
            events_kept: Kept {
                age: hours(settings.events.retention_hours),
                rows: i64::try_from(settings.events.retention_rows).unwrap_or(i64::MAX),
            },
        })
        .await?;
        http::contact_transfers::resume(&handles).await?;
        let stopping = CancellationToken::new();
        let gate = Gate::new(settings.server.max_in_flight, stopping.clone());
        let listening = || format!("listening on {} (server.bind)", settings.server.bind);
        let listener = TcpListener::bind(settings.server.bind).with_context(listening)?;
        // Connections inherit it: who takes nothing over for so long is cut by the kernel, with all that waits for it.
        rustix::net::sockopt::set_tcp_user_timeout(&listener, STUCK).with_context(listening)?;
        // A frame is not held back until the one before it was acknowledged, which clients do after 40 ms.
        rustix::net::sockopt::set_tcp_nodelay(&listener, true).with_context(listening)?;
        let server = serve(settings, listener.try_clone().with_context(listening)?, handles.clone(), gate.clone(), stopping.clone())?;
        let handle = server.handle();
        metrics::gauge!("konversio_config_valid").set(1);
        tracing::info!(server.bind = %settings.server.bind, database = %settings.database(), "konversio is ready");
        Ok(Daemon { handles, server: handle, gate, listener, serving: actix::spawn(server), stopping, _alone: alone })
    }

    /// Until SIGTERM or SIGINT; SIGHUP and a changed settings file reload.
    async fn run(self, mut settings: Settings, path: Option<PathBuf>, mut signals: Signals, changed: &Notify) -> anyhow::Result<()> {
        let mut upkeep = tokio::time::interval(Duration::from_secs(5));
        // Lives on while other things happen: dropped between a ring and the rest after it, it would lose the ring.
        let rests = settled(changed);
        tokio::pin!(rests);
        let ended = loop {
            tokio::select! {
                asked = signals.next() => match asked {
                    Asked::Stop => break Ok(()),
                    Asked::Reload => reload(&self.handles, &mut settings, path.as_deref()).await,
                },
                () = &mut rests => {
                    rests.set(settled(changed));
                    reload(&self.handles, &mut settings, path.as_deref()).await;
                }
                _ = upkeep.tick() => telemetry::upkeep(),
                () = closed(&self.serving) => break Err(anyhow::anyhow!("the HTTP server ended")),
            }
        };
        tracing::info!("stopping");
        self.stop().await;
        tracing::info!("stopped");
        ended
    }

    /// No new requests, sessions or deliveries; those under way to their end, or to the one deadline of them all; then the last
    /// commit, which nothing cuts short.
    async fn stop(self) {
        let deadline = Instant::now() + ENDS_WITHIN;
        let (served, ended) =
            tokio::join!(timeout_at(deadline, self.stop_serving()), timeout_at(deadline + LEAVES_WITHIN, self.handles.stop(deadline)));
        if served.is_err() {
            tracing::warn!("a request did not end in time and stays unanswered");
        }
        if ended.is_err() {
            tracing::warn!("a session or delivery did not end in time; what it had begun is taken up at the next start");
        }
        if timeout_at(Instant::now() + COMMITS_WITHIN, self.handles.flush()).await.is_err() {
            tracing::error!("the database has not taken what was still to be committed; nobody was told that it is stored");
        }
    }

    async fn stop_serving(&self) {
        // The server closes its socket and the connections of its clients at the same time, cutting off who is about to send:
        // so first nobody new, and whoever keeps a connection hears with the next answer that it ends.
        self.server.pause().await;
        if let Err(error) = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both) {
            tracing::debug!(%error, "new connections are not refused before the server has stopped");
        }
        self.stopping.cancel();
        self.gate.quiet().await;
        self.server.stop(true).await;
    }
}

fn hours(hours: u64) -> chrono::Duration {
    i64::try_from(hours).ok().and_then(chrono::Duration::try_hours).unwrap_or(chrono::Duration::MAX)
}

async fn closed(serving: &tokio::task::JoinHandle<std::io::Result<()>>) {
    while !serving.is_finished() {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn serve(
    settings: &Settings,
    listener: TcpListener,
    handles: Handles,
    gate: Gate,
    stopping: CancellationToken,
) -> anyhow::Result<actix_web::dev::Server> {
    let handles = web::Data::new(handles);
    let stopping = web::Data::new(stopping);
    let origins = settings.server.cors_origins.clone();
    let limits = http::body::Limits { body: settings.server.max_body_bytes, file: settings.files.max_bytes };
    let (swagger, signup) = (http::description::page(), settings.signup);
    let throttles = web::Data::new(Throttles::new(settings.server.trusted_proxies.clone(), settings.server.requests_per_minute));
    let server = HttpServer::new(move || {
        let gate = gate.clone();
        App::new()
            .app_data(handles.clone())
            .app_data(stopping.clone())
            .app_data(limits)
            .app_data(signup)
            .app_data(throttles.clone())
            .wrap(from_fn(http::idempotency::middleware))
            .wrap(from_fn(http::throttle::middleware))
            .wrap(NormalizePath::trim())
            .wrap(Condition::new(!origins.is_empty(), cors(&origins)))
            .wrap(from_fn(move |request, next| gate.clone().pass(request, next)))
            .service(swagger.clone())
            .configure(http::configure)
    });
    let server = server
        .workers(settings.server.workers())
        .disable_signals()
        .shutdown_timeout(settings.server.shutdown_timeout_seconds)
        .listen(listener)
        .with_context(|| format!("listening on {} (server.bind)", settings.server.bind))?;
    Ok(server.run())
}

fn cors(origins: &[String]) -> Cors {
    let cors =
        Cors::default().allow_any_method().allow_any_header().expose_headers(["access-token", "client", "uid", "expiry"]).max_age(3600);
    match origins.iter().any(|origin| origin == "*") {
        true => cors.allow_any_origin().send_wildcard(),
        false => origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin)),
    }
}

/// Held while the daemon runs: no other daemon may write to its database.
enum Alone {
    /// A locked file beside the database.
    File(#[allow(dead_code, reason = "holds the lock")] File),
    /// A connection with an advisory lock.
    Connection(#[allow(dead_code, reason = "holds the lock")] DatabaseConnection),
}

/// The lock that every daemon on one PostgreSQL database asks for.
const ADVISORY_LOCK: i64 = 0x6b6f_6e76_6572_7369;

/// Opens the database for whoever must be alone with it.
async fn open(settings: &Settings) -> anyhow::Result<(Db, Alone)> {
    let alone = match settings.database() {
        Database::Sqlite(path) => lock_file(&path)?,
        Database::Postgres(_) => {
            let mut alone = advisory_lock(settings).await?;
            // The connections of a daemon that was killed may outlive it for a moment.
            for _ in 0..50 {
                if alone.is_some() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
                alone = advisory_lock(settings).await?;
            }
            alone
        }
    };
    let alone = alone.with_context(|| {
        format!("another konversio runs on {}: stop it first, or give this one another database or data_dir", settings.database())
    })?;
    Ok((connect(settings).await?, alone))
}

/// Opens the database for a command that adds a row: with the newest schema, or beside a daemon that runs and has the same.
async fn open_beside(settings: &Settings) -> anyhow::Result<(Db, Option<Alone>)> {
    let alone = match settings.database() {
        Database::Sqlite(path) => lock_file(&path)?,
        Database::Postgres(_) => advisory_lock(settings).await?,
    };
    let db = connect(settings).await?;
    if alone.is_some() {
        Migrator::up(&db.write, None).await.context("migrating the database")?;
    } else {
        let pending = Migrator::get_pending_migrations(&db.write).await?.len();
        anyhow::ensure!(pending == 0, "the daemon that runs is of another version: restart it with this one first");
    }
    Ok((db, alone))
}

async fn connect(settings: &Settings) -> anyhow::Result<Db> {
    let opened = Db::open(&database_url(settings), settings.read_connections()).await;
    opened.with_context(|| format!("opening {}", settings.database()))
}

/// Locks a file beside the database, under the one name that the database has however it is reached; none if another has.
fn lock_file(path: &Path) -> anyhow::Result<Option<Alone>> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    }
    let mut name = true_path(path).with_context(|| format!("looking for {}", path.display()))?.into_os_string();
    name.push(".lock");
    let lock = File::options().create(true).truncate(false).write(true).open(&name);
    let lock = lock.with_context(|| format!("opening {}", Path::new(&name).display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(Alone::File(lock))),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {}", Path::new(&name).display())),
    }
}

/// Where a file is or will be, all links followed.
fn true_path(path: &Path) -> std::io::Result<PathBuf> {
    let folder = |path: &Path| path.parent().filter(|folder| !folder.as_os_str().is_empty()).map_or_else(|| ".".into(), Path::to_path_buf);
    match path.canonicalize() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => match path.read_link() {
            // A link to a file that is not there yet.
            Ok(target) => true_path(&folder(path).join(target)),
            Err(_) => Ok(folder(path).canonicalize()?.join(path.file_name().unwrap_or_default())),
        },
        found => found,
    }
}

async fn advisory_lock(settings: &Settings) -> anyhow::Result<Option<Alone>> {
    let opened = Db::open(&database_url(settings), 1).await;
    let connection = opened.with_context(|| format!("connecting to {}", settings.database()))?.write;
    Ok(asks_alone(&connection).await?.then_some(Alone::Connection(connection)))
}

async fn asks_alone(connection: &DatabaseConnection) -> anyhow::Result<bool> {
    let asked = format!("SELECT pg_try_advisory_lock({ADVISORY_LOCK})");
    let answer = connection.query_one_raw(sea_orm::Statement::from_string(connection.get_database_backend(), asked)).await?;
    Ok(answer.map(|row| row.try_get_by_index::<bool>(0)).transpose()?.unwrap_or(false))
}

fn database_url(settings: &Settings) -> String {
    match settings.database() {
        Database::Sqlite(path) => format!("sqlite://{}", path.display()),
        Database::Postgres(url) => url.expose().to_owned(),
    }
}

fn file_store(settings: &Settings) -> anyhow::Result<Arc<dyn ObjectStore>> {
    match settings.file_store() {
        FileStore::Folder(path) => {
            fs::create_dir_all(&path).with_context(|| format!("creating {}", path.display()))?;
            let store =
                object_store::local::LocalFileSystem::new_with_prefix(&path).with_context(|| format!("opening {}", path.display()))?;
            Ok(Arc::new(store.with_automatic_cleanup(true)))
        }
        FileStore::S3 { bucket, prefix, endpoint, region, credentials } => {
            let mut builder = object_store::aws::AmazonS3Builder::new().with_bucket_name(bucket).with_region(region).with_allow_http(true);
            if let Some(endpoint) = endpoint {
                builder = builder.with_endpoint(endpoint);
            }
            if let Some((id, secret)) = credentials {
                builder = builder.with_access_key_id(id).with_secret_access_key(secret.expose());
            }
            let store = builder.build().context("opening the bucket of files.url")?;
            Ok(Arc::new(object_store::prefix::PrefixStore::new(store, prefix)))
        }
    }
}
