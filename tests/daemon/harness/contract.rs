//! The published description of the API (`../shared/contract/swagger-4.15.json`) and the contract's forms of refusals: every
//! answer that a test gets is held to them.
//!
//! Where the contract's own text says otherwise, it is in [`super::deviations`]. `KONVERSIO_TEST_COMPLAINTS=<file>` writes all
//! complaints to a file instead of failing at the first: to look at them together.

use super::deviations::{DEVIATIONS, NULLABLE};
use super::skipped;
use jsonschema::Validator;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::{LazyLock, Mutex, OnceLock};

const DESCRIPTION: &str = "../shared/contract/swagger-4.15.json";

struct Operation {
    method: String,
    path: String,
    /// By status.
    answers: BTreeMap<u16, Described>,
}

struct Described {
    schema: Value,
    // Made when it is first asked for: making all of them holds a test up for longer than a connection is kept.
    validator: OnceLock<Validator>,
}

static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| match std::fs::read_to_string(DESCRIPTION) {
    Ok(text) => operations(&serde_json::from_str(&text).expect("the published description is not JSON")),
    Err(error) => {
        skipped("answers against the published description", &format!("{DESCRIPTION}: {error}"));
        Vec::new()
    }
});

/// Fails the test when an answer is not what the published description says of its route, or a refusal has none of the
/// contract's forms.
pub fn check(method: &str, path: &str, status: u16, text: &str, body: &Value) {
    let mut complaints = complaints(method, path, status, body);
    complaints.extend(misformed(path, status, text, body).map(|words| format!("{method} {path}: {status} {words}\n  there: {text}")));
    if complaints.is_empty() {
        return;
    }
    let said = complaints.join("\n");
    match std::env::var_os("KONVERSIO_TEST_COMPLAINTS") {
        Some(file) => {
            static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
            if SAID.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(said.clone()) {
                let mut file = std::fs::File::options().append(true).create(true).open(file).unwrap();
                writeln!(file, "{said}").unwrap();
            }
        }
        None => panic!("not as described in {DESCRIPTION} (what the contract has otherwise belongs into deviations.rs):\n{said}"),
    }
}

/// What is wrong with the form of a refusal (contract, section 0): `error` says why, and `message` says the same for clients
/// that read only that; what is signed in or out has `success` and `errors`.
fn misformed(path: &str, status: u16, text: &str, body: &Value) -> Option<&'static str> {
    const PREFIXES: &[&str] = &["/api/", "/auth/", "/platform/", "/public/"];
    // An address that nobody has is told by the status alone.
    let is_empty = path.ends_with("/contact_inboxes/filter") && status == 404;
    if status < 400 || is_empty || !PREFIXES.iter().any(|prefix| path.starts_with(prefix)) {
        return None;
    }
    let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let is_list_of_texts = |value: &Value| value.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(is_text));
    if ["attributes", "errors"].iter().any(|name| body.get(*name).is_some_and(|list| !is_list_of_texts(list))) {
        return Some("has a list that is no list of texts");
    }
    if path.starts_with("/auth/") {
        let is_failed = body["success"] == false && is_list_of_texts(&body["errors"]);
        let is_full = status == 409 && body["sessions_limit_reached"] == true && body["sessions"].is_array();
        if is_failed || is_full {
            return None;
        }
    }
    match status {
        // The contract's own words of a throttle (section 0), which are no JSON.
        429 if text.trim() == "Retry later" => None,
        _ if !body.is_object() => Some(if text.is_empty() { "has no body" } else { "is no object" }),
        _ if !is_text(&body["error"]) => Some("has no `error`"),
        _ if body["error"] != body["message"] => Some("says another `message` than `error`"),
        // The contract's words for a website that is none (section 6).
        404 if path.starts_with("/api/v1/widget/") && body["error"] == "web widget does not exist" => None,
        404 if body["error"] != "Resource could not be found" => Some("has other words than the contract"),
        _ => None,
    }
}

/// What is wrong with an answer and is no known deviation: route, JSON pointer, complaint, and what is there.
fn complaints(method: &str, path: &str, status: u16, body: &Value) -> Vec<String> {
    if body.is_null() {
        return Vec::new();
    }
    let fits = OPERATIONS.iter().filter(|operation| operation.method == method && is_match(&operation.path, path));
    // A literal says more than a parameter.
    let Some(operation) = fits.min_by_key(|operation| operation.path.matches('{').count()) else { return Vec::new() };
    let Some(described) = operation.answers.get(&status) else { return Vec::new() };
    let mut complaints = Vec::new();
    let validator = described.validator.get_or_init(|| {
        let made = jsonschema::draft202012::new(&described.schema);
        made.unwrap_or_else(|error| panic!("{} {}: {error}", operation.method, operation.path))
    });
    for error in validator.iter_errors(body) {
        let pointer = error.instance_path.to_string();
        let is_named = |names: &str| names.split_whitespace().any(|name| pointer.ends_with(&format!("/{name}")));
        let is_of = |part: &str| match part.strip_suffix('$') {
            Some(end) => operation.path.ends_with(end),
            None => operation.path.contains(part),
        };
        let is_nullable = error.instance.is_null() && NULLABLE.iter().any(|(part, names)| is_of(part) && is_named(names));
        let is_known = DEVIATIONS.iter().any(|(of_method, of_path, of_pointer, there, _)| {
            (*of_method == "*" || *of_method == method)
                && (*of_path == "*" || operation.path.ends_with(of_path))
                && is_pointer(of_pointer, &pointer)
                && error.instance.to_string().starts_with(there)
        });
        if !is_known && !is_nullable {
            let shown: String = error.instance.to_string().chars().take(300).collect();
            let words: String = error.masked().to_string().chars().take(300).collect();
            complaints.push(format!("{method} {}\n  at {pointer:?}: {words}\n  there: {shown}", operation.path));
        }
    }
    complaints
}

fn operations(description: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, of_path) in description["paths"].as_object().unwrap() {
        for (method, operation) in of_path.as_object().unwrap() {
            let mut answers = BTreeMap::new();
            for (status, answer) in operation["responses"].as_object().into_iter().flatten() {
                let (Ok(status), Some(schema)) = (status.parse(), answer.pointer("/content/application~1json/schema")) else { continue };
                let mut components = Value::Null;
                add_references(description, schema, &mut components);
                let schema = json!({"allOf": [schema], "components": components});
                answers.insert(status, Described { schema, validator: OnceLock::new() });
            }
            if !answers.is_empty() {
                operations.push(Operation { method: method.to_uppercase(), path: path.trim_end_matches('/').to_owned(), answers });
            }
        }
    }
    assert!(operations.len() > 50, "{DESCRIPTION} describes {} operations", operations.len());
    operations
}

/// What a schema refers to, and what that refers to, in the places they are referred by.
fn add_references(description: &Value, schema: &Value, components: &mut Value) {
    match schema {
        Value::Array(list) => list.iter().for_each(|schema| add_references(description, schema, components)),
        Value::Object(object) => {
            let reference = object.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix("#/components/"));
            if let Some((kind, name)) = reference.and_then(|reference| reference.split_once('/'))
                && components[kind][name].is_null()
            {
                let found = &description["components"][kind][name];
                components[kind][name] = found.clone();
                add_references(description, found, components);
            }
            object.values().for_each(|schema| add_references(description, schema, components));
        }
        _ => {}
    }
}

fn is_match(template: &str, path: &str) -> bool {
    let (mut template, mut path) = (template.split('/'), path.trim_end_matches('/').split('/'));
    loop {
        match (template.next(), path.next()) {
            (None, None) => return true,
            (Some(expected), Some(found)) if expected == found || (expected.starts_with('{') && !found.is_empty()) => {}
            _ => return false,
        }
    }
}

/// `*` is any one name or position, `**` at the beginning any number of them.
fn is_pointer(pattern: &str, pointer: &str) -> bool {
    let fits = |pattern: &str, pointer: &str| {
        let (pattern, pointer): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), pointer.split('/').collect());
        pattern.len() == pointer.len() && pattern.iter().zip(&pointer).all(|(expected, found)| *expected == "*" || expected == found)
    };
    match pattern.strip_prefix("**") {
        Some(rest) => (0..=pointer.len()).any(|start| pointer.is_char_boundary(start) && fits(rest, &pointer[start..])),
        None => fits(pattern, pointer),
    }
}

#[test]
fn refusals_have_the_contracts_forms() {
    let same = json!({"error": "No", "message": "No"});
    for (path, status, body, expected) in [
        ("/api/v1/x", 422, same.clone(), true),
        ("/api/v1/x", 404, same.clone(), false),
        ("/api/v1/x", 404, json!({"error": "Resource could not be found", "message": "Resource could not be found"}), true),
        ("/api/v1/widget/x", 404, json!({"error": "web widget does not exist", "message": "web widget does not exist"}), true),
        ("/api/v1/x", 404, json!({"error": "web widget does not exist", "message": "web widget does not exist"}), false),
        ("/api/v1/x", 422, json!({"error": "No", "message": "Yes"}), false),
        ("/api/v1/x", 422, json!({"error": "No", "message": "No", "attributes": ["name"]}), true),
        ("/api/v1/x", 422, json!({"error": "No", "message": "No", "attributes": []}), false),
        ("/api/v1/x", 401, json!({"success": false, "errors": ["No"]}), false),
        ("/auth/sign_in", 401, json!({"success": false, "errors": ["No"]}), true),
        ("/auth/sign_in", 409, json!({"sessions_limit_reached": true, "sessions": []}), true),
        ("/api/v1/x", 500, Value::Null, false),
        ("/api/v1/accounts/1/contact_inboxes/filter", 404, Value::Null, true),
        ("/api/v1/x", 200, json!({}), true),
        ("/hc/x", 404, Value::Null, true),
    ] {
        assert_eq!(misformed(path, status, "", &body).is_none(), expected, "{path} {status} {body}");
    }
}

#[test]
fn pointers_and_paths_are_matched_by_their_parts() {
    for (pattern, pointer, expected) in [
        ("/payload/*/id", "/payload/12/id", true),
        ("/payload/*/id", "/payload/12/name", false),
        ("/payload", "/payload/12", false),
        ("**/sender", "/payload/3/sender", true),
        ("**/sender", "/sender", true),
        ("**/sender", "/payload/sender/id", false),
        ("", "", true),
    ] {
        assert_eq!(is_pointer(pattern, pointer), expected, "{pattern} {pointer}");
    }
    assert!(
        is_match("/a/{id}/b", "/a/1/b") && is_match("/a/{id}", "/a/1/") && !is_match("/a/{id}", "/a/1/b") && !is_match("/a/{id}", "/a")
    );
}
