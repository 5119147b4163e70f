//! What makes no sense in a body, for every writable route that the daemon's own description has with its fields: refused by
//! name or ignored, never a failure of the server, and never a way into another account.

use crate::harness::{Answer, Client};
use crate::surface::{Desk, Surface, VICTIM, assert_untouched, call, rows};
use konversio::http::routes::{Audience, ROUTES, Route};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A route that reads a body, its path for a desk, and where its text fields are (`channel.name`).
struct Writable {
    route: &'static Route,
    path: String,
    texts: Vec<String>,
}

impl Writable {
    /// Whoever may write it.
    fn caller<'a>(&self, desk: &'a Desk) -> &'a Client {
        match self.route.audience {
            Audience::Platform => &desk.platform,
            Audience::Visitor => &desk.visitor,
            _ => &desk.admin,
        }
    }
}

#[tokio::test]
async fn text_fields_refuse_what_is_no_text_and_survive_what_is_too_much() {
    let surface = Surface::new().await;
    let own = &surface.own;
    let writable = writable(&surface, own).await;
    let fields: usize = writable.iter().map(|one| one.texts.len()).sum();
    assert!(writable.len() > 20 && fields > 40, "{} routes with {fields} text fields", writable.len());
    let long = "x".repeat(1 << 20);
    for one in &writable {
        for field in &one.texts {
            let name = field.rsplit('.').next().unwrap();
            for wrong in [json!({"a": {"b": 1}}), json!([["x"], {}])] {
                let answer = ask(one.caller(own), one, &body(field, wrong.clone())).await;
                assert_no_failure(&answer, field);
                assert!(answer.status != 422 || names(&answer, name), "{} {field}: {wrong}: {}", answer.request, answer.text);
            }
            let answer = ask(one.caller(own), one, &body(field, json!("a\0b"))).await;
            assert_no_failure(&answer, field);
            let outermost = field.split('.').next().unwrap();
            assert!(
                answer.status == 422 && names(&answer, outermost),
                "{} {field}: NUL: {} {}",
                answer.request,
                answer.status,
                answer.text
            );
            for odd in [json!(12345), json!(-1.5e300), json!(true), json!(long), json!("\u{202e}\u{feff}'\"\\%_\u{10ffff}")] {
                assert_no_failure(&ask(one.caller(own), one, &body(field, odd)).await, field);
            }
        }
        for odd in [json!([]), json!("text"), json!(1), Value::Null] {
            assert_no_failure(&ask(one.caller(own), one, &odd).await, "the body");
        }
    }
    assert_lives(&surface);
}

#[tokio::test]
async fn fields_that_are_not_the_callers_to_set_are_ignored() {
    let surface = Surface::new().await;
    let (own, victim, nobody) = (&surface.own, &surface.victim, surface.daemon.visitor());
    let theirs = victim.admin.get("/api/v1/profile").await.expect(200).str("/access_token").to_owned();
    let writable = writable(&surface, own).await;
    for one in &writable {
        let extra = json!({
            "account_id": VICTIM, "id": 1, "role": "administrator", "api_access_token": theirs, "access_token": theirs,
            "pubsub_token": victim.agent_pubsub, "user": {"id": victim.agent_id}, "user_id": victim.agent_id, "created_at": 0,
            "display_id": 5001, "uuid": "00000000-0000-0000-0000-000000000000", "hmac_token": "x", "secret": "x", "provider": "x",
            "content": "x", "confirmed": false, "type": "SuperAdmin", "account": {"id": VICTIM}, "accounts": [{"id": VICTIM, "role": 1}]
        });
        for client in [&own.agent, one.caller(own)] {
            // Whose role it is would be theirs to change.
            let mut extra = extra.clone();
            if one.route.path.contains("/agents") {
                extra.as_object_mut().unwrap().remove("role");
            }
            let answer = ask(client, one, &extra).await;
            assert_no_failure(&answer, "additional fields");
            assert!(!answer.text.contains(victim.mark), "{}: {}", answer.request, answer.text);
        }
        // A token in a body opens nothing; a website's first page makes a visitor of whoever has none.
        let makes_a_visitor = one.route.path.ends_with("/widget/config");
        if !matches!(one.route.audience, Audience::Public | Audience::Client) && !makes_a_visitor {
            let answer = ask(&nobody, one, &extra).await;
            assert_eq!(answer.status, 401, "{}: {}", answer.request, answer.text);
        }
    }
    let profile = own.agent.get("/api/v1/profile").await.expect(200);
    assert_eq!((profile.str("/role"), profile.id("/account_id"), profile.id("/id")), ("agent", own.account, own.agent_id));
    assert_eq!(profile.at("/accounts").as_array().unwrap().len(), 1, "{}", profile.text);
    assert_untouched(victim, &rows(&surface.daemon).await);
    assert_lives(&surface);
}

async fn ask(client: &Client, one: &Writable, body: &Value) -> Answer {
    call(client, one.route.method, &one.path, Some(body)).await
}

/// The routes of the description that read a body, with the text fields of what they read.
async fn writable(surface: &Surface, desk: &Desk) -> Vec<Writable> {
    let described = surface.daemon.visitor().get("/swagger/swagger.json").await.expect(200).body;
    let mut writable = Vec::new();
    for route in ROUTES {
        let pointer = format!("/paths/{}/{}", route.path.replace('/', "~1"), route.method.to_lowercase());
        let operation = described.pointer(&pointer).unwrap_or_else(|| panic!("{} {} is not described", route.method, route.path));
        let Some(content) = operation.pointer("/requestBody/content").and_then(Value::as_object) else { continue };
        let mut texts = Vec::new();
        content.values().for_each(|kind| find_texts(&described, &kind["schema"], "", 0, &mut texts));
        writable.push(Writable { route, path: desk.path(route), texts });
    }
    writable
}

fn find_texts(described: &Value, schema: &Value, before: &str, depth: usize, texts: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let found = described.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference} leads nowhere"));
        return find_texts(described, found, before, depth, texts);
    }
    for one in ["oneOf", "allOf", "anyOf"].iter().filter_map(|name| schema[*name].as_array()).flatten() {
        find_texts(described, one, before, depth, texts);
    }
    let none = Map::new();
    for (name, property) in schema["properties"].as_object().unwrap_or(&none) {
        let place = if before.is_empty() { name.clone() } else { format!("{before}.{name}") };
        let kinds = &property["type"];
        if kinds == "string" || kinds.as_array().is_some_and(|kinds| kinds.contains(&json!("string"))) {
            texts.push(place);
        } else if depth < 2 {
            find_texts(described, property, &place, depth + 1, texts);
        }
    }
}

/// A body with one field; `a.b` is `b` in `a`.
fn body(field: &str, value: Value) -> Value {
    field.rsplit('.').fold(value, |value, name| Value::Object(Map::from_iter(BTreeMap::from([(name.to_owned(), value)]))))
}

#[track_caller]
fn assert_no_failure(answer: &Answer, what: &str) {
    let is_fine = matches!(answer.status, 200 | 204) || (400..500).contains(&answer.status);
    assert!(is_fine, "{} {what}: {} {}", answer.request, answer.status, answer.text);
    // 404 and 405 would say that the test does not reach the route at all; a sign-in is refused with 401.
    assert!(!matches!(answer.status, 405), "{} {what}: {} {}", answer.request, answer.status, answer.text);
}

/// Whether a refusal names the field, as the contract does in `attributes`, or at least in its words.
fn names(answer: &Answer, field: &str) -> bool {
    let words = answer.text.to_lowercase();
    words.contains(field) || words.contains(&field.replace('_', " "))
}

#[track_caller]
fn assert_lives(surface: &Surface) {
    let log = surface.daemon.log();
    assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
}
