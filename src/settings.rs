//! Every setting, typed: defaults, then the settings file, then the environment.
//!
//! [`known`] is the one list of settings: what each may be, and whether it reloads. Values are checked against it before they
//! are merged, where file, line and variable are still known, so that an error can name its place.
mod entries;
mod file;
mod key;
mod known;
mod sections;
#[cfg(test)]
mod tests;

pub use entries::InboxEntry;
pub use file::SettingsError;
pub use key::{KeyError, load_or_create_key};
pub use sections::{Bootstrap, Events, Files, Log, LogFormat, Outbound, Server, SignUp, Webhooks};

use actors::channel::{MailRelay, Providers};
use actors::secret::Secret;
use file::{Document, Places};
use sections::{Data, Mail};
use serde::Deserialize;
use std::fmt;
use std::path::{Path, PathBuf};

/// The settings file that is read when none is named, if it exists.
pub const DEFAULT_FILE: &str = "konversio.toml";

/// Every setting. Names and units are those of the settings file, which explains them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// `[server]`
    pub server: Server,
    /// The folder for everything the daemon keeps in files.
    pub data_dir: PathBuf,
    database: Data,
    /// `[bootstrap]`
    pub bootstrap: Bootstrap,
    /// `[signup]`
    pub signup: SignUp,
    /// `[outbound]`
    pub outbound: Outbound,
    /// `[files]`
    pub files: Files,
    mail: Mail,
    providers: Providers,
    /// `[log]`
    pub log: Log,
    /// `[webhooks]`
    pub webhooks: Webhooks,
    /// `[events]`
    pub events: Events,
    /// The `[[inbox]]` entries, in the order of the file.
    #[serde(skip)]
    pub inboxes: Vec<InboxEntry>,
}

/// Where the data is. Displays without user name and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// A file; its folder may not exist yet.
    Sqlite(PathBuf),
    /// A `postgres://` address, with its password.
    Postgres(Secret),
}

/// Where files are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileStore {
    /// A folder, which may not exist yet.
    Folder(PathBuf),
    /// A bucket.
    S3 {
        /// Its name.
        bucket: String,
        /// What keys begin with; without slashes at its ends, may be empty.
        prefix: String,
        /// The server's address; Amazon's when `None`. May be http.
        endpoint: Option<String>,
        /// Its region.
        region: String,
        /// Key id and secret; those of the machine or unsigned when `None`.
        credentials: Option<(String, Secret)>,
    },
}

impl Settings {
    /// Reads the file at `path` (or [`DEFAULT_FILE`] if it exists) and the environment.
    ///
    /// # Errors
    /// Names the file and line, or the variable, of the first setting that is unknown or wrong.
    pub fn load(path: Option<&Path>) -> Result<Settings, SettingsError> {
        Settings::load_with(path, &file::environment()?)
    }

    /// As [`Settings::load`], with variables other than those of the process.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn load_with(path: Option<&Path>, environment: &[(String, String)]) -> Result<Settings, SettingsError> {
        let path = path.or_else(|| Some(Path::new(DEFAULT_FILE)).filter(|path| path.exists()));
        let document = path.map(Document::read).transpose()?;
        Settings::layer(document.as_ref(), environment)
    }

    /// The daemon's address as customers and providers reach it, without a slash at its end.
    pub fn public_url(&self) -> String {
        match self.server.public_url.trim_end_matches('/') {
            "" => format!("http://{}", self.server.bind),
            url => url.to_owned(),
        }
    }

    /// Where the data is.
    pub fn database(&self) -> Database {
        match self.database.url.expose() {
            "" => Database::Sqlite(self.data_dir.join("konversio.db")),
            url => match url.strip_prefix("sqlite://") {
                Some(path) => Database::Sqlite(path.into()),
                None => Database::Postgres(self.database.url.clone()),
            },
        }
    }

    /// How many connections read, beside those that write.
    pub fn read_connections(&self) -> u32 {
        self.database.read_connections
    }

    /// Where files are stored.
    pub fn file_store(&self) -> FileStore {
        let Some(place) = self.files.url.strip_prefix("s3://") else {
            return FileStore::Folder(self.data_dir.join("files"));
        };
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let files = &self.files;
        FileStore::S3 {
            bucket: bucket.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
            endpoint: present(&files.s3_endpoint),
            region: files.s3_region.clone(),
            credentials: present(&files.s3_access_key_id).map(|id| (id, files.s3_secret_access_key.clone())),
        }
    }

    /// The daemon's own mail relay, if there is one.
    pub fn mail_relay(&self) -> Option<MailRelay> {
        let mail = &self.mail;
        Some(MailRelay {
            host: present(&mail.host)?,
            port: mail.port,
            security: mail.security,
            username: present(&mail.username),
            password: (!mail.password.is_empty()).then(|| mail.password.clone()),
            from: present(&mail.from),
        })
    }

    /// Where the providers are, without slashes at the ends.
    pub fn providers(&self) -> Providers {
        let address = |url: &str| url.trim_end_matches('/').to_owned();
        let Providers { telegram_url, meta_url, meta_version } = &self.providers;
        Providers { telegram_url: address(telegram_url), meta_url: address(meta_url), meta_version: meta_version.clone() }
    }

    /// The settings that differ in `new` and need a restart to take effect.
    pub fn reloadable_difference(&self, new: &Settings) -> Vec<&'static str> {
        known::SETTINGS.iter().filter(|known| !known.reloads && (known.differs)(self, new)).map(|known| known.key).collect()
    }

    fn layer(document: Option<&Document>, environment: &[(String, String)]) -> Result<Settings, SettingsError> {
        let mut places = Places::of(document);
        let mut builder = config::Config::builder();
        if let Some(document) = document {
            document.check()?;
            builder = builder.add_source(config::File::from_str(document.text(), config::FileFormat::Toml));
        }
        for (setting, variable, value) in file::overrides(environment)? {
            builder = builder.set_override(setting.key, value).map_err(|error| places.error(setting.key, error.to_string()))?;
            places.set_by(setting.key, variable);
        }
        // Each value has been checked, so that this fails only where `known` and the types above disagree.
        let merged = builder.build().and_then(config::Config::try_deserialize::<Settings>);
        let mut settings = merged.map_err(|error| places.error("", error.to_string()))?;
        settings.check_together().map_err(|(key, problem)| places.error(key, problem))?;
        if let Some(document) = document {
            settings.inboxes = entries::read(document)?;
        }
        Ok(settings)
    }

    /// What no setting can be blamed for alone.
    fn check_together(&self) -> Result<(), (&'static str, String)> {
        let (mail, files) = (&self.mail, &self.files);
        if mail.host.is_empty() && !(mail.username.is_empty() && mail.password.is_empty() && mail.from.is_empty()) {
            return Err(("mail.host", "must be set when another setting of the mail relay is".to_owned()));
        }
        if mail.username.is_empty() && !mail.password.is_empty() {
            return Err(("mail.username", "must be set when mail.password is".to_owned()));
        }
        match (files.s3_access_key_id.is_empty(), files.s3_secret_access_key.is_empty()) {
            (true, false) => return Err(("files.s3_access_key_id", "must be set when files.s3_secret_access_key is".to_owned())),
            (false, true) => return Err(("files.s3_secret_access_key", "must be set when files.s3_access_key_id is".to_owned())),
            _ => {}
        }
        if self.bootstrap.admin_email.is_empty() && !self.bootstrap.admin_password.is_empty() {
            return Err(("bootstrap.admin_email", "must be set when bootstrap.admin_password is".to_owned()));
        }
        Ok(())
    }
}

impl Server {
    /// How many threads answer requests: as set, or all cores but two (which actors and channels use), at least one.
    pub fn workers(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(2).max(1)),
            workers => workers,
        }
    }
}

impl fmt::Display for Database {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Database::Sqlite(path) => write!(formatter, "sqlite {}", path.display()),
            Database::Postgres(url) => match url.expose().parse::<sqlx::postgres::PgConnectOptions>() {
                Ok(options) => {
                    let name = options.get_database().unwrap_or_default();
                    write!(formatter, "postgres {}:{}/{name}", options.get_host(), options.get_port())
                }
                Err(_) => formatter.write_str("postgres"),
            },
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            server: Server::default(),
            data_dir: "./data".into(),
            database: Data::default(),
            bootstrap: Bootstrap::default(),
            signup: SignUp::default(),
            outbound: Outbound::default(),
            files: Files::default(),
            mail: Mail::default(),
            providers: Providers::default(),
            log: Log::default(),
            webhooks: Webhooks::default(),
            events: Events::default(),
            inboxes: Vec::new(),
        }
    }
}

fn present(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
