//! The `[[inbox]]` entries of the settings file.
use super::file::{Document, SettingsError};
use super::known::{self, INBOX_FIELDS, Kind};
use actors::channel::ChannelSettings;
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use std::collections::BTreeSet;
use toml::{Table, Value};

/// An inbox that the settings file describes.
#[derive(Clone, Debug, PartialEq)]
pub struct InboxEntry {
    /// Unique in the file: a changed entry is recognized by it.
    pub name: String,
    /// The account it belongs to.
    pub account_id: i64,
    /// Whether it connects.
    pub enabled: bool,
    /// Kind and settings of the connection.
    pub channel: ChannelSettings,
    /// E-mail addresses of the agents who see it.
    pub members: Vec<String>,
    /// Whether a new conversation is greeted.
    pub greeting_enabled: bool,
    /// The greeting.
    pub greeting_message: String,
    /// Whether new conversations are given to agents.
    pub enable_auto_assignment: bool,
    /// Where the address of its webhook stands, for an error that only the network can tell.
    webhook_place: Place,
}

/// A place in the file. An entry that has only moved is the same.
#[derive(Clone, Debug)]
struct Place(SettingsError);

impl PartialEq for Place {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl InboxEntry {
    /// An error of the address of its webhook.
    pub fn webhook_error(&self, problem: String) -> SettingsError {
        SettingsError { problem, ..self.webhook_place.0.clone() }
    }
}

/// All fields but the channel, which has a parser of its own.
#[derive(Deserialize)]
#[serde(default)]
struct Plain {
    name: String,
    account_id: i64,
    enabled: bool,
    members: Vec<String>,
    greeting_enabled: bool,
    greeting_message: String,
    enable_auto_assignment: bool,
}

impl Default for Plain {
    fn default() -> Self {
        Plain {
            name: String::new(),
            account_id: 1,
            enabled: true,
            members: Vec::new(),
            greeting_enabled: false,
            greeting_message: String::new(),
            enable_auto_assignment: true,
        }
    }
}

/// Reads the entries of a file, in its order.
pub(super) fn read(document: &Document) -> Result<Vec<InboxEntry>, SettingsError> {
    let items = match document.table().get("inbox") {
        None => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(other) => {
            return Err(document.error("inbox", format!("expected [[inbox]] in double brackets, found {}", known::found(other))));
        }
    };
    let (mut entries, mut names) = (Vec::new(), BTreeSet::new());
    for (index, item) in items.iter().enumerate() {
        let path = format!("inbox[{index}]");
        let Value::Table(table) = item else {
            return Err(document.error(&path, format!("expected a table, found {}", known::found(item))));
        };
        let entry = read_entry(document, &path, table)?;
        if !names.insert(entry.name.clone()) {
            return Err(document.error(&format!("{path}.name"), format!("{:?} is the name of an earlier inbox too", entry.name)));
        }
        if let (Some(key), Some(field)) = (entry.channel.unique_key(), entry.channel.unique_field()) {
            let earlier = entries.iter().find(|earlier: &&InboxEntry| earlier.channel.unique_key().as_ref() == Some(&key));
            if let Some(earlier) = earlier {
                let problem = format!("an earlier inbox ({:?}) has the same account at {}", earlier.name, entry.channel.provider());
                return Err(document.error(&format!("{path}.channel.{field}"), problem));
            }
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn read_entry(document: &Document, path: &str, table: &Table) -> Result<InboxEntry, SettingsError> {
    for (name, value) in table {
        let at = format!("{path}.{name}");
        match INBOX_FIELDS.iter().find(|(field, _)| field == name) {
            Some((_, kind)) => kind.check(value).map_err(|problem| document.error(&at, problem))?,
            None => return Err(document.error(&at, unknown(name, INBOX_FIELDS.iter().map(|(field, _)| *field)))),
        }
    }
    let missing = |field: &str| document.error(&format!("{path}.{field}"), "is missing".to_owned());
    if !table.contains_key("name") {
        return Err(missing("name"));
    }
    let Some(Value::Table(channel)) = table.get("channel") else { return Err(missing("channel")) };
    let channel = read_channel(document, &format!("{path}.channel"), channel)?;
    let plain: Plain =
        Value::Table(table.clone()).try_into().map_err(|error: toml::de::Error| document.error(path, error.message().to_owned()))?;
    Ok(InboxEntry {
        name: plain.name.trim().to_owned(),
        account_id: plain.account_id,
        enabled: plain.enabled,
        channel,
        members: plain.members,
        greeting_enabled: plain.greeting_enabled,
        greeting_message: plain.greeting_message,
        enable_auto_assignment: plain.enable_auto_assignment,
        webhook_place: Place(document.error(&format!("{path}.channel.webhook_url"), String::new())),
    })
}

fn read_channel(document: &Document, path: &str, table: &Table) -> Result<ChannelSettings, SettingsError> {
    match table.get("type") {
        None => return Err(document.error(&format!("{path}.type"), "is missing".to_owned())),
        Some(kind) => {
            Kind::Text(|_| Ok(())).check(kind).map_err(|problem| document.error(&format!("{path}.type"), problem))?;
        }
    }
    let given: Map<String, Json> = table.iter().map(|(name, value)| (name.clone(), json(value))).collect();
    let settings = match serde_json::from_value::<ChannelSettings>(Json::Object(given.clone())) {
        Ok(settings) => settings,
        Err(error) => return Err(wrong_field(document, path, table, &given, &error.to_string())),
    };
    // A channel ignores fields it does not know, since the API must; the file must not. What it knows is what it writes.
    if let Ok(Json::Object(all)) = serde_json::to_value(&settings) {
        known_only(document, path, &given, &all)?;
        let within = all.iter().filter(|(name, _)| settings.secret_fields().iter().any(|field| field.starts_with(&format!("{name}."))));
        for (name, all) in within {
            if let (Some(Json::Object(given)), Json::Object(all)) = (given.get(name), all) {
                known_only(document, &format!("{path}.{name}"), given, all)?;
            }
        }
    }
    ChannelSettings::parse(Json::Object(given)).map_err(|problem| {
        let named = names(table).into_iter().filter(|name| problem.contains(name.as_str())).max_by_key(|name| name.len());
        document.error(&named.map_or_else(|| path.to_owned(), |name| format!("{path}.{name}")), problem)
    })
}

fn known_only(document: &Document, path: &str, given: &Map<String, Json>, all: &Map<String, Json>) -> Result<(), SettingsError> {
    match given.keys().find(|name| !all.contains_key(*name)) {
        Some(name) => Err(document.error(&format!("{path}.{name}"), unknown(name, all.keys().map(String::as_str)))),
        None => Ok(()),
    }
}

/// The names of all fields; those of tables within with a dot.
fn names(table: &Table) -> Vec<String> {
    let within = |name: &String, value: &Value| match value {
        Value::Table(inner) => names(inner).into_iter().map(|inner| format!("{name}.{inner}")).collect(),
        _ => Vec::new(),
    };
    table.iter().flat_map(|(name, value)| std::iter::once(name.clone()).chain(within(name, value))).collect()
}

/// Finds the field that a channel's parser complained of: it complains the same of this field alone. The complaint repeats
/// the value, which may be a secret, so only what it expected is told.
fn wrong_field(document: &Document, path: &str, table: &Table, given: &Map<String, Json>, complaint: &str) -> SettingsError {
    let parse =
        |fields: Map<String, Json>| serde_json::from_value::<ChannelSettings>(Json::Object(fields)).map_err(|error| error.to_string());
    let kind: Map<String, Json> =
        given.iter().filter(|(name, _)| *name == "type").map(|(name, value)| (name.clone(), value.clone())).collect();
    // These two show no values but the type.
    if complaint.starts_with("missing field") {
        return document.error(path, complaint.to_owned());
    }
    if parse(kind.clone()).is_err_and(|error| error == complaint) {
        return document.error(&format!("{path}.type"), complaint.to_owned());
    }
    let wrong = table.iter().find(|(name, value)| {
        let mut alone = kind.clone();
        alone.insert((*name).clone(), json(value));
        let mut others = given.clone();
        others.remove(name.as_str());
        parse(alone).is_err_and(|error| error == complaint) || parse(others).err().is_none_or(|error| error != complaint)
    });
    // Of a table, the field of it without which the complaint is another.
    let within = wrong.and_then(|(name, value)| {
        let inner = value.as_table()?.iter().find(|(inner, _)| {
            let mut others = given.clone();
            others.get_mut(name).and_then(Json::as_object_mut).and_then(|table| table.remove(inner.as_str()));
            parse(others).err().is_none_or(|error| error != complaint)
        })?;
        Some((format!("{name}.{}", inner.0), inner.1))
    });
    let wrong = within.or_else(|| wrong.map(|(name, value)| (name.clone(), value)));
    let expected = complaint.rsplit_once("expected ").map(|(_, expected)| expected);
    let expected = expected.map(|expected| if expected.starts_with("struct ") { "a table" } else { expected });
    match (wrong, expected) {
        (Some((name, value)), Some(expected)) => {
            document.error(&format!("{path}.{name}"), format!("expected {expected}, found {}", known::found(value)))
        }
        (Some((name, value)), None) => document.error(&format!("{path}.{name}"), format!("cannot be {}", known::found(value))),
        (None, _) => document.error(path, "has a field of the wrong type".to_owned()),
    }
}

fn unknown<'a>(name: &str, fields: impl Iterator<Item = &'a str>) -> String {
    format!("is not a known field, the nearest is {}", known::nearest(name, fields).unwrap_or_default())
}

fn json(value: &Value) -> Json {
    match value {
        Value::String(text) => Json::from(text.as_str()),
        Value::Integer(number) => Json::from(*number),
        Value::Float(number) => Json::from(*number),
        Value::Boolean(flag) => Json::from(*flag),
        Value::Datetime(time) => Json::from(time.to_string()),
        Value::Array(items) => items.iter().map(json).collect(),
        Value::Table(table) => Json::Object(table.iter().map(|(name, value)| (name.clone(), json(value))).collect()),
    }
}
