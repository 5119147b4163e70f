//! The settings file and the environment before they are merged: where each value stands, and errors that say so.
use super::known::{self, Kind, SETTINGS, Setting};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

const PREFIX: &str = "KONVERSIO__";

/// A setting that is unknown or wrong, and where. Shows no secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    /// The file; `None` for a variable.
    pub file: Option<PathBuf>,
    /// The line in the file, from 1.
    pub line: Option<usize>,
    /// The setting, or the variable.
    pub key: Option<String>,
    /// What is wrong with it, and what was expected.
    pub problem: String,
}

impl std::error::Error for SettingsError {}

impl fmt::Display for SettingsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(formatter, "{}:", file.display())?;
            if let Some(line) = self.line {
                write!(formatter, "{line}:")?;
            }
            formatter.write_str(" ")?;
        }
        if let Some(key) = &self.key {
            write!(formatter, "{key}: ")?;
        }
        formatter.write_str(&self.problem)
    }
}

/// A settings file that is well-formed.
pub(super) struct Document {
    path: PathBuf,
    text: String,
    table: Table,
    lines: BTreeMap<String, usize>,
}

impl Document {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Self, SettingsError> {
        let cannot = |error| SettingsError {
            file: Some(path.to_owned()),
            line: None,
            key: None,
            problem: format!("cannot read the settings file: {error}"),
        };
        Document::parse(path, std::fs::read_to_string(path).map_err(cannot)?)
    }

    /// Reads a text; `path` is only for errors.
    pub(super) fn parse(path: &Path, text: String) -> Result<Self, SettingsError> {
        // The error's own Display repeats the line, which may hold a secret.
        let malformed = |error: toml::de::Error| SettingsError {
            file: Some(path.to_owned()),
            line: error.span().map(|span| line_at(&text, span.start)),
            key: None,
            problem: format!("is not TOML: {}", error.message()),
        };
        let mut lines = BTreeMap::new();
        collect_lines(&text, "", DeTable::parse(&text).map_err(malformed)?.get_ref(), &mut lines);
        let table = text.parse().map_err(malformed)?;
        Ok(Document { path: path.to_owned(), table, lines, text })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// Compares everything but the inboxes with what is known; the first error in the file wins.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        let mut errors = Vec::new();
        self.check_table("", &self.table, &mut errors);
        errors.into_iter().min_by_key(|error: &SettingsError| error.line).map_or(Ok(()), Err)
    }

    /// An error at a path such as `inbox[0].channel.email`, or at what contains it.
    pub(super) fn error(&self, path: &str, problem: String) -> SettingsError {
        let mut place = path;
        let line = loop {
            if let Some(line) = self.lines.get(place) {
                break Some(*line);
            }
            match place.rfind(['.', '[']) {
                Some(end) => place = place.get(..end).unwrap_or_default(),
                None => break None,
            }
        };
        SettingsError { file: Some(self.path.clone()), line, key: Some(without_indexes(path)).filter(|key| !key.is_empty()), problem }
    }

    fn check_table(&self, prefix: &str, table: &Table, errors: &mut Vec<SettingsError>) {
        for (name, value) in table {
            let path = join(prefix, name);
            let problem = if let Some(setting) = SETTINGS.iter().find(|setting| setting.key == path) {
                setting.kind.check(value).err()
            } else if path == "inbox" {
                None
            } else if sections().any(|section| section == path) {
                if let Value::Table(section) = value {
                    self.check_table(&path, section, errors);
                }
                Kind::Table.check(value).err()
            } else if value.is_table() {
                known::nearest(&path, sections()).map(|nearest| format!("is not a known section, the nearest is [{nearest}]"))
            } else {
                known::nearest(&path, keys()).map(|nearest| format!("is not a known setting, the nearest is {nearest}"))
            };
            errors.extend(problem.map(|problem| self.error(&path, problem)));
        }
    }
}

/// Where each setting comes from.
pub(super) struct Places<'a> {
    document: Option<&'a Document>,
    variables: BTreeMap<&'static str, String>,
}

impl<'a> Places<'a> {
    pub(super) fn of(document: Option<&'a Document>) -> Self {
        Places { document, variables: BTreeMap::new() }
    }

    /// Notes that a variable overrides what the file says.
    pub(super) fn set_by(&mut self, key: &'static str, variable: &str) {
        self.variables.insert(key, variable.to_owned());
    }

    /// An error of a setting, wherever it was set last.
    pub(super) fn error(&self, key: &str, problem: String) -> SettingsError {
        match (self.variables.get(key), self.document) {
            (Some(variable), _) => variable_error(variable, problem),
            (None, Some(document)) => document.error(key, problem),
            (None, None) => SettingsError { file: None, line: None, key: Some(key.to_owned()).filter(|key| !key.is_empty()), problem },
        }
    }
}

/// The variables of the process that are settings.
pub(super) fn environment() -> Result<Vec<(String, String)>, SettingsError> {
    let ours = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    ours.filter(|(name, _)| name.starts_with(PREFIX))
        .map(|(name, value)| match value.into_string() {
            Ok(value) => Ok((name, value)),
            Err(_) => Err(variable_error(&name, "is not UTF-8".to_owned())),
        })
        .collect()
}

/// What the environment sets: setting, variable, value.
pub(super) fn overrides(environment: &[(String, String)]) -> Result<Vec<(&'static Setting, &str, config::Value)>, SettingsError> {
    let mut found = Vec::new();
    for (variable, text) in environment {
        let Some(name) = variable.strip_prefix(PREFIX) else { continue };
        let key = name.to_lowercase().replace("__", ".");
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
            let problem = if key == "inbox" || key.starts_with("inbox.") {
                "inboxes can be set in the settings file only".to_owned()
            } else {
                let nearest = known::nearest(&key, keys()).unwrap_or_default();
                format!("is not a known setting, the nearest is {}", variable_of(nearest))
            };
            return Err(variable_error(variable, problem));
        };
        let value = setting.kind.read(text).and_then(|value| setting.kind.check(&value).map(|()| value));
        let value = value.map_err(|problem| variable_error(variable, problem))?;
        found.push((setting, variable.as_str(), merged(&format!("environment variable {variable}"), value)));
    }
    Ok(found)
}

/// The variable that sets a setting.
pub(super) fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('.', "__"))
}

fn merged(origin: &String, value: Value) -> config::Value {
    let kind = match value {
        Value::Integer(number) => number.into(),
        Value::Boolean(flag) => flag.into(),
        Value::Array(items) => config::ValueKind::Array(items.into_iter().map(|item| merged(origin, item)).collect()),
        Value::String(text) => text.into(),
        // No variable is read as one of these.
        Value::Float(_) | Value::Datetime(_) | Value::Table(_) => config::ValueKind::Nil,
    };
    config::Value::new(Some(origin), kind)
}

fn variable_error(variable: &str, problem: String) -> SettingsError {
    SettingsError { file: None, line: None, key: Some(format!("environment variable {variable}")), problem }
}

fn keys() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|setting| setting.key)
}

fn sections() -> impl Iterator<Item = &'static str> {
    keys().filter_map(|key| Some(key.split_once('.')?.0)).chain(["inbox"])
}

/// A name with a dot in it is no path: it is quoted, so that it equals none.
fn join(prefix: &str, name: &str) -> String {
    let name = if name.contains('.') { format!("{name:?}") } else { name.to_owned() };
    if prefix.is_empty() { name } else { format!("{prefix}.{name}") }
}

fn without_indexes(path: &str) -> String {
    path.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest)).collect()
}

fn collect_lines(text: &str, prefix: &str, table: &DeTable<'_>, lines: &mut BTreeMap<String, usize>) {
    for (name, value) in table {
        let path = join(prefix, name.get_ref());
        lines.insert(path.clone(), line_at(text, name.span().start));
        match value.get_ref() {
            DeValue::Table(table) => collect_lines(text, &path, table, lines),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    lines.insert(path.clone(), line_at(text, item.span().start));
                    if let DeValue::Table(table) = item.get_ref() {
                        collect_lines(text, &path, table, lines);
                    }
                }
            }
            _ => {}
        }
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}
