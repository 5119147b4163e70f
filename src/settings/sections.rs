//! The sections of the settings file and their defaults. Fields that are read through a method of [`super::Settings`], since an
//! empty one means something else, are hidden.
use actors::channel::MailSecurity;
use actors::secret::Secret;
use ipnet::IpNet;
use serde::Deserialize;
use std::net::SocketAddr;

/// The HTTP server.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Server {
    /// Where to listen; port 0 lets the system choose one.
    pub bind: SocketAddr,
    pub(super) public_url: String,
    pub(super) workers: usize,
    /// How long requests under way may take to end when the daemon stops.
    pub shutdown_timeout_seconds: u64,
    /// The largest request body, except of uploads.
    pub max_body_bytes: usize,
    /// How many requests may be under way; more are answered 503 with Retry-After.
    pub max_in_flight: usize,
    /// Origins whose pages may call the API; `*` is all.
    pub cors_origins: Vec<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How many requests an address may make in a minute; 0 is no limit.
    pub requests_per_minute: u32,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Data {
    pub(super) url: Secret,
    pub(super) read_connections: u32,
}

/// What is created at the first start.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Bootstrap {
    /// No administrator is created when empty.
    pub admin_email: String,
    /// The administrator's password.
    pub admin_password: Secret,
    /// The administrator's access token; a random one when empty.
    pub access_token: Secret,
    /// The name of the first account.
    pub account_name: String,
}

/// New accounts that people make by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SignUp {
    /// Whether anybody may sign up.
    pub enabled: bool,
}

/// What the daemon may connect to by itself.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Outbound {
    /// Private networks that addresses given by users may point to nevertheless.
    pub allow_cidrs: Vec<IpNet>,
}

/// Stored files.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Files {
    pub(super) url: String,
    pub(super) s3_endpoint: String,
    pub(super) s3_region: String,
    pub(super) s3_access_key_id: String,
    pub(super) s3_secret_access_key: Secret,
    /// The largest file.
    pub max_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Mail {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: MailSecurity,
    pub(super) username: String,
    pub(super) password: Secret,
    pub(super) from: String,
}

/// Logs.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// What is logged, in the syntax of tracing's env-filter.
    pub filter: String,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Webhooks of accounts.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Webhooks {
    /// How long one call may take.
    pub timeout_seconds: u64,
    /// How long a delivery that fails is tried again.
    pub give_up_after_hours: u64,
}

/// The event log.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Events {
    /// How long an event can be resumed from.
    pub retention_hours: u64,
    /// How many events are kept at most.
    pub retention_rows: u64,
}

impl Default for Server {
    fn default() -> Self {
        Server {
            bind: SocketAddr::from(([127, 0, 0, 1], 3000)),
            public_url: String::new(),
            workers: 0,
            shutdown_timeout_seconds: 6,
            max_body_bytes: 4 << 20,
            max_in_flight: 1024,
            cors_origins: vec!["*".to_owned()],
            trusted_proxies: Vec::new(),
            requests_per_minute: 3000,
        }
    }
}

impl Default for Data {
    fn default() -> Self {
        Data { url: Secret::default(), read_connections: 4 }
    }
}

impl Default for Bootstrap {
    fn default() -> Self {
        Bootstrap {
            admin_email: String::new(),
            admin_password: Secret::default(),
            access_token: Secret::default(),
            account_name: "Konversio".to_owned(),
        }
    }
}

impl Default for Files {
    fn default() -> Self {
        Files {
            url: String::new(),
            s3_endpoint: String::new(),
            s3_region: "us-east-1".to_owned(),
            s3_access_key_id: String::new(),
            s3_secret_access_key: Secret::default(),
            max_bytes: 40 << 20,
        }
    }
}

impl Default for Mail {
    fn default() -> Self {
        Mail {
            host: String::new(),
            port: 587,
            security: MailSecurity::Starttls,
            username: String::new(),
            password: Secret::default(),
            from: String::new(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Log { format: LogFormat::Text, filter: "info,actix_server=warn,sea_orm_migration=warn".to_owned() }
    }
}

impl Default for Webhooks {
    fn default() -> Self {
        Webhooks { timeout_seconds: 15, give_up_after_hours: 72 }
    }
}

impl Default for Events {
    fn default() -> Self {
        Events { retention_hours: 48, retention_rows: 1_000_000 }
    }
}
