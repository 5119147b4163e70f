//! The one list of settings: the key of each, what it may be, and whether a changed value takes effect without a restart.
//!
//! A new setting is one row here, its field and default in `settings.rs`, and its lines in konversio.toml (a test compares
//! all three).
use super::Settings;
use ipnet::IpNet;
use std::net::SocketAddr;
use toml::Value;

/// One setting.
pub(super) struct Setting {
    /// Section and name, as in the file.
    pub key: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// Whether a reload applies it.
    pub reloads: bool,
    /// Whether two settings differ in it.
    pub differs: fn(&Settings, &Settings) -> bool,
}

/// What a value may be.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// A text that a function finds right.
    Text(fn(&str) -> Result<(), String>),
    /// A list of such texts.
    List(fn(&str) -> Result<(), String>),
    /// An integer between two others, inclusive.
    Integer(i64, i64),
    /// true or false
    Boolean,
    /// A table, which is checked elsewhere.
    Table,
}

macro_rules! setting {
    ($kind:expr, $effect:ident, $($name:ident).+) => {
        Setting {
            key: key!($($name).+),
            kind: $kind,
            reloads: setting!($effect),
            differs: |a, b| a.$($name).+ != b.$($name).+,
        }
    };
    (reloads) => { true };
    (restart) => { false };
}

macro_rules! key {
    ($name:ident) => {
        stringify!($name)
    };
    ($section:ident . $name:ident) => {
        concat!(stringify!($section), ".", stringify!($name))
    };
}

const YEAR_OF_HOURS: i64 = 24 * 365;

/// Every setting but the `[[inbox]]` entries.
#[rustfmt::skip]
pub(super) const SETTINGS: &[Setting] = &[
    setting!(Kind::Text(not_empty), restart, data_dir),
    setting!(Kind::Text(address), restart, server.bind),
    setting!(Kind::Text(web_address), restart, server.public_url),
    setting!(Kind::Integer(0, 1024), restart, server.workers),
    // The daemon leaves within 10 s, with the last commit.
    setting!(Kind::Integer(0, 7), restart, server.shutdown_timeout_seconds),
    setting!(Kind::Integer(1024, 1 << 32), restart, server.max_body_bytes),
    setting!(Kind::Integer(1, 1_000_000), restart, server.max_in_flight),
    setting!(Kind::List(origin), restart, server.cors_origins),
    setting!(Kind::List(network), restart, server.trusted_proxies),
    setting!(Kind::Integer(0, 1_000_000), restart, server.requests_per_minute),
    setting!(Kind::Text(database), restart, database.url),
    setting!(Kind::Integer(1, 1024), restart, database.read_connections),
    setting!(Kind::Text(mail_address), restart, bootstrap.admin_email),
    setting!(Kind::Text(any), restart, bootstrap.admin_password),
    setting!(Kind::Text(any), restart, bootstrap.access_token),
    setting!(Kind::Text(not_empty), restart, bootstrap.account_name),
    setting!(Kind::Boolean, restart, signup.enabled),
    setting!(Kind::List(network), restart, outbound.allow_cidrs),
    setting!(Kind::Text(file_store), restart, files.url),
    setting!(Kind::Text(web_address), restart, files.s3_endpoint),
    setting!(Kind::Text(not_empty), restart, files.s3_region),
    setting!(Kind::Text(any), restart, files.s3_access_key_id),
    setting!(Kind::Text(any), restart, files.s3_secret_access_key),
    setting!(Kind::Integer(1, 1 << 40), restart, files.max_bytes),
    setting!(Kind::Text(any), restart, mail.host),
    setting!(Kind::Integer(1, 65_535), restart, mail.port),
    setting!(Kind::Text(|text| one_of(text, &["starttls", "tls", "none"])), restart, mail.security),
    setting!(Kind::Text(any), restart, mail.username),
    setting!(Kind::Text(any), restart, mail.password),
    setting!(Kind::Text(any), restart, mail.from),
    setting!(Kind::Text(provider_address), restart, providers.telegram_url),
    setting!(Kind::Text(provider_address), restart, providers.meta_url),
    setting!(Kind::Text(version), restart, providers.meta_version),
    setting!(Kind::Text(|text| one_of(text, &["text", "json"])), restart, log.format),
    setting!(Kind::Text(filter), reloads, log.filter),
    setting!(Kind::Integer(1, 600), restart, webhooks.timeout_seconds),
    setting!(Kind::Integer(1, YEAR_OF_HOURS), restart, webhooks.give_up_after_hours),
    setting!(Kind::Integer(1, YEAR_OF_HOURS), restart, events.retention_hours),
    setting!(Kind::Integer(1, 1 << 40), restart, events.retention_rows),
];

/// The fields of an `[[inbox]]` entry.
pub(super) const INBOX_FIELDS: &[(&str, Kind)] = &[
    ("name", Kind::Text(not_empty)),
    ("account_id", Kind::Integer(1, i64::MAX)),
    ("enabled", Kind::Boolean),
    ("channel", Kind::Table),
    ("members", Kind::List(|text| not_empty(text).and_then(|()| mail_address(text)))),
    ("greeting_enabled", Kind::Boolean),
    ("greeting_message", Kind::Text(any)),
    ("enable_auto_assignment", Kind::Boolean),
];

impl Kind {
    /// Says what is expected of a value that is wrong. Never repeats a value that may be a secret.
    pub(super) fn check(self, value: &Value) -> Result<(), String> {
        match (self, value) {
            (Kind::Text(check), Value::String(text)) => check(text),
            (Kind::List(check), Value::Array(items)) => items.iter().try_for_each(|item| Kind::Text(check).check(item)),
            (Kind::Integer(least, most), Value::Integer(number)) if (least..=most).contains(number) => Ok(()),
            (Kind::Integer(..), Value::Integer(number)) => Err(format!("expected {}, found {number}", self.expectation())),
            (Kind::Boolean, Value::Boolean(_)) | (Kind::Table, Value::Table(_)) => Ok(()),
            _ => Err(format!("expected {}, found {}", self.expectation(), found(value))),
        }
    }

    /// Reads a value of this kind from a variable; the result is yet to be checked.
    pub(super) fn read(self, text: &str) -> Result<Value, String> {
        let wrong = || format!("expected {}", self.expectation());
        match self {
            Kind::Text(_) => Ok(Value::String(text.to_owned())),
            Kind::List(_) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Ok(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
            }
            Kind::Integer(..) => text.trim().parse().map(Value::Integer).map_err(|_| wrong()),
            Kind::Boolean => text.trim().parse().map(Value::Boolean).map_err(|_| wrong()),
            Kind::Table => Err(wrong()),
        }
    }

    fn expectation(self) -> String {
        match self {
            Kind::Text(_) => "a text in quotes".to_owned(),
            Kind::List(_) => "a list of texts".to_owned(),
            Kind::Integer(least, i64::MAX) => format!("an integer from {least}"),
            Kind::Integer(least, most) => format!("an integer from {least} to {most}"),
            Kind::Boolean => "true or false".to_owned(),
            Kind::Table => "a table".to_owned(),
        }
    }
}

/// What a value is, without showing it.
pub(super) fn found(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "an integer",
        Value::Float(_) => "a decimal number",
        Value::Boolean(true) => "true",
        Value::Boolean(false) => "false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// The candidate that looks most like `name`; one with the same last part looks most like it.
pub(super) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let likeness = |candidate: &str| {
        let same_last = if last(candidate) == last(name) { 1.0 } else { 0.0 };
        same_last + strsim::normalized_damerau_levenshtein(candidate, name)
    };
    candidates.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

fn any(_: &str) -> Result<(), String> {
    Ok(())
}

fn not_empty(text: &str) -> Result<(), String> {
    if text.trim().is_empty() { Err("must not be empty".to_owned()) } else { Ok(()) }
}

fn one_of(text: &str, choices: &[&str]) -> Result<(), String> {
    if choices.contains(&text) { Ok(()) } else { Err(format!("expected one of {}, found {text:?}", choices.join(", "))) }
}

fn address(text: &str) -> Result<(), String> {
    let expected = |_| format!("expected an IP address with a port, such as 127.0.0.1:3000 or [::]:3000, found {text:?}");
    text.parse::<SocketAddr>().map(drop).map_err(expected)
}

fn network(text: &str) -> Result<(), String> {
    let expected = |_| format!("expected a network such as 10.0.0.0/8 or 192.168.1.7/32, found {text:?}");
    text.parse::<IpNet>().map(drop).map_err(expected)
}

/// Not shown in errors: an address may carry a password.
fn web_address(text: &str) -> Result<(), String> {
    let uri = text.parse::<actix_web::http::Uri>();
    let right = |uri: &actix_web::http::Uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty()) && uri.query().is_none()
    };
    if text.is_empty() || uri.is_ok_and(|uri| right(&uri) && !text.contains(['@', '#'])) {
        Ok(())
    } else {
        Err("expected an address that begins with http:// or https://, has a host, and has no user, query or fragment".to_owned())
    }
}

fn provider_address(text: &str) -> Result<(), String> {
    not_empty(text).and_then(|()| web_address(text))
}

fn version(text: &str) -> Result<(), String> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts = text.strip_prefix('v').and_then(|number| number.split_once('.'));
    if parts.is_some_and(|(major, minor)| is_number(major) && is_number(minor)) {
        Ok(())
    } else {
        Err(format!("expected a version such as v23.0, found {text:?}"))
    }
}

fn origin(text: &str) -> Result<(), String> {
    let after_scheme = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or("/");
    if text == "*" || (web_address(text).is_ok() && !after_scheme.contains('/')) {
        Ok(())
    } else {
        Err(format!("expected * or an origin such as https://shop.example, found {text:?}"))
    }
}

fn mail_address(text: &str) -> Result<(), String> {
    let right = |(local, domain): (&str, &str)| !local.is_empty() && !domain.is_empty() && !text.contains(char::is_whitespace);
    if text.is_empty() || text.rsplit_once('@').is_some_and(right) { Ok(()) } else { Err("expected an e-mail address".to_owned()) }
}

fn filter(text: &str) -> Result<(), String> {
    tracing_subscriber::EnvFilter::try_new(text)
        .map(drop)
        .map_err(|error| format!("expected a log filter such as info,actors=debug: {error}"))
}

fn database(url: &str) -> Result<(), String> {
    if let Some(path) = url.strip_prefix("sqlite://") {
        return match path {
            "" => Err("expected the path of a file after sqlite://".to_owned()),
            ":memory:" => Err("expected a file: a database in memory would be lost with the daemon".to_owned()),
            path if path.contains('?') => Err("sqlite:// takes a path and no parameters".to_owned()),
            _ => Ok(()),
        };
    }
    let postgres = url.starts_with("postgres://") || url.starts_with("postgresql://");
    if url.is_empty() || (postgres && url.parse::<sqlx::postgres::PgConnectOptions>().is_ok()) {
        Ok(())
    } else {
        Err("expected sqlite://PATH or postgres://USER:PASSWORD@HOST:PORT/DATABASE".to_owned())
    }
}

fn file_store(url: &str) -> Result<(), String> {
    let bucket = url.strip_prefix("s3://").map(|place| place.split('/').next().unwrap_or_default());
    if url.is_empty() || bucket.is_some_and(|bucket| !bucket.is_empty()) {
        Ok(())
    } else {
        Err(format!("expected s3://BUCKET or s3://BUCKET/PREFIX, found {url:?}"))
    }
}
