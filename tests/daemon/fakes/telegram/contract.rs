//! Holds what is sent to the stand-in to the published description of the Bot API, and what the stand-in says, too: a machine-made
//! copy of the official page, which is not part of this project. Without it nothing is checked, and that is said.

use super::shared;
use serde_json::{Map, Value};
use std::io::Write;
use std::sync::LazyLock;

const PATH: &str = "channels/specs/telegram/api.json";

static DESCRIPTION: LazyLock<Option<Value>> = LazyLock::new(|| match shared(PATH) {
    Some(path) => Some(serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()),
    None => {
        // Past the test runner, which would hide it from a run that succeeds.
        let _ = writeln!(std::io::stderr(), "skipped: requests and updates against Telegram's description: shared/{PATH} is not there");
        None
    }
});

/// What of an update Telegram could not send.
pub fn update(update: &Value) -> Vec<String> {
    DESCRIPTION.as_ref().map_or_else(Vec::new, |description| of_type(description, "Update", update, "update"))
}

/// What of an answer Telegram could not give.
pub fn answer(method: &str, result: &Value) -> Vec<String> {
    let Some(description) = &*DESCRIPTION else { return Vec::new() };
    let Some(method) = real_name(description, method) else { return Vec::new() };
    of_types(description, &description["methods"][method]["returns"], result, "result")
}

/// What Telegram would find wrong with a request; `is_form` when all values came as texts, with the names of its files.
pub fn request(method: &str, parameters: &Map<String, Value>, is_form: bool, files: &[String]) -> Vec<String> {
    let Some(description) = &*DESCRIPTION else { return Vec::new() };
    let Some(method) = real_name(description, method) else { return vec![format!("Telegram has no method {method}")] };
    let fields = description["methods"][&method]["fields"].clone();
    let mut parameters = parameters.clone();
    let mut complaints = Vec::new();
    for (name, value) in &mut parameters {
        let field = fields.as_array().into_iter().flatten().find(|field| field["name"] == *name);
        let types: Vec<&str> = field.map_or(vec![], |field| field["types"].as_array().unwrap().iter().filter_map(Value::as_str).collect());
        if is_form && !types.contains(&"String") {
            match value.as_str().map(serde_json::from_str) {
                Some(Ok(read)) => *value = read,
                _ => complaints.push(format!("{method}: {name} is no JSON: {value}")),
            }
        }
        let mut attached = Vec::new();
        attachments(value, &mut attached);
        complaints.extend(attached.into_iter().filter(|id| !files.contains(id)).map(|id| format!("{method}: no file {id}")));
    }
    complaints.extend(of_fields(description, &fields, &Value::Object(parameters), &method));
    complaints
}

fn attachments(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.extend(text.strip_prefix("attach://").map(str::to_owned)),
        Value::Array(list) => list.iter().for_each(|item| attachments(item, found)),
        Value::Object(object) => object.values().for_each(|item| attachments(item, found)),
        _ => {}
    }
}

/// Telegram does not mind how methods are capitalized.
fn real_name(description: &Value, method: &str) -> Option<String> {
    description["methods"].as_object().unwrap().keys().find(|name| name.eq_ignore_ascii_case(method)).cloned()
}

fn of_fields(description: &Value, fields: &Value, value: &Value, at: &str) -> Vec<String> {
    let Some(object) = value.as_object() else { return vec![format!("{at}: not an object: {value}")] };
    let fields: Vec<&Value> = fields.as_array().into_iter().flatten().collect();
    let unknown = object.keys().filter(|name| !fields.iter().any(|field| field["name"] == **name));
    let mut complaints: Vec<String> = unknown.map(|name| format!("{at}.{name}: unknown")).collect();
    for field in fields {
        let name = field["name"].as_str().unwrap();
        match object.get(name) {
            Some(value) => complaints.extend(of_types(description, &field["types"], value, &format!("{at}.{name}"))),
            None if field["required"] == true => complaints.push(format!("{at}.{name}: missing")),
            None => {}
        }
    }
    complaints
}

/// Whether it is of one of the types; otherwise the complaints of the one that fits best.
fn of_types(description: &Value, types: &Value, value: &Value, at: &str) -> Vec<String> {
    let types = types.as_array().into_iter().flatten().filter_map(Value::as_str);
    types.map(|name| of_type(description, name, value, at)).min_by_key(Vec::len).unwrap_or_default()
}

fn of_type(description: &Value, name: &str, value: &Value, at: &str) -> Vec<String> {
    if let Some(of) = name.strip_prefix("Array of ") {
        let Some(list) = value.as_array() else { return vec![format!("{at}: not a list: {value}")] };
        return list.iter().enumerate().flat_map(|(index, item)| of_type(description, of, item, &format!("{at}[{index}]"))).collect();
    }
    let fits = match name {
        "Integer" => value.is_i64() || value.is_u64(),
        "Float" => value.is_number(),
        "String" | "InputFile" => value.is_string(),
        "Boolean" => value.is_boolean(),
        "True" => *value == true,
        _ => {
            let described = &description["types"][name];
            assert!(described.is_object(), "{at}: Telegram has no type {name}");
            return match described["subtypes"].as_array() {
                Some(_) => of_types(description, &described["subtypes"], value, at),
                None => of_fields(description, &described["fields"], value, at),
            };
        }
    };
    if fits { Vec::new() } else { vec![format!("{at}: not of type {name}: {value}")] }
}

#[test]
fn the_description_finds_mistakes() {
    if DESCRIPTION.is_none() {
        return;
    }
    let complaints = |json: &str| request("sendMessage", &serde_json::from_str(json).unwrap(), false, &[]);
    assert_eq!(complaints(r#"{"chat_id":5,"text":"hi"}"#), [""; 0]);
    assert_eq!(complaints(r#"{"chat_id":5}"#), ["sendMessage.text: missing"]);
    assert_eq!(complaints(r#"{"chat_id":5,"text":7,"style":1}"#).len(), 2);
    assert_eq!(complaints(r#"{"chat_id":5,"text":"hi","reply_markup":{"inline_keyboard":[{"text":"a"}]}}"#).len(), 1);
    assert_eq!(request("sendNews", &Map::new(), false, &[]), ["Telegram has no method sendNews"]);
    assert_eq!(answer("sendMessage", &Value::Bool(true)).len(), 1);
    assert_eq!(update(&serde_json::json!({ "update_id": 1 })), [""; 0]);
    assert_eq!(update(&serde_json::json!({ "message": {} })).len(), 4);
}
