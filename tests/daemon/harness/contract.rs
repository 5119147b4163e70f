//! The published description of the API (`../shared/contract/swagger-4.15.json`): every answer that a test gets is held to it.
//!
//! Where the contract's own text says otherwise, it is in [`super::deviations`]. `KONVERSIO_TEST_COMPLAINTS=<file>` writes all
//! complaints to a file instead of failing at the first: to look at them together.

use super::deviations::{DEVIATIONS, NULLABLE};
use super::skipped;
use jsonschema::Validator;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{LazyLock, Mutex, OnceLock};

const DESCRIPTION: &str = "../shared/contract/swagger-4.15.json";

struct Operation {
    method: String,
    path: String,
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

/// Fails the test when an answer is not what the published description says of its route.
pub fn check(method: &str, path: &str, status: u16, body: &Value) {
    let complaints = complaints(method, path, status, body);
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

/// What is wrong with an answer and is no known deviation: route, JSON pointer, complaint, and what is there.
fn complaints(method: &str, path: &str, status: u16, body: &Value) -> Vec<String> {
    if status != 200 || body.is_null() {
        return Vec::new();
    }
    let fits = OPERATIONS.iter().filter(|operation| operation.method == method && is_match(&operation.path, path));
    // A literal says more than a parameter.
    let Some(operation) = fits.min_by_key(|operation| operation.path.matches('{').count()) else { return Vec::new() };
    let mut complaints = Vec::new();
    let validator = operation.validator.get_or_init(|| {
        let made = jsonschema::draft202012::new(&operation.schema);
        made.unwrap_or_else(|error| panic!("{} {}: {error}", operation.method, operation.path))
    });
    for error in validator.iter_errors(body) {
        let pointer = error.instance_path.to_string();
        let is_nullable = error.instance.is_null() && NULLABLE.split_whitespace().any(|name| pointer.ends_with(&format!("/{name}")));
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
            let Some(schema) = operation.pointer("/responses/200/content/application~1json/schema") else { continue };
            let mut components = Value::Null;
            add_references(description, schema, &mut components);
            let schema = json!({"allOf": [schema], "components": components});
            let path = path.trim_end_matches('/').to_owned();
            operations.push(Operation { method: method.to_uppercase(), path, schema, validator: OnceLock::new() });
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
