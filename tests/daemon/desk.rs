//! What tests of the desk's API have in common: agents, inboxes and conversations made over REST, and what a daemon has stored.

use crate::harness::{Answer, Client, Daemon};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};
use std::path::Path;

/// The password of every agent made here.
pub const PASSWORD: &str = "Agent-pass-1";

/// A member of account 1: a client with its token, and its id.
pub async fn member(daemon: &Daemon, email: &str, role: &str) -> (Client, i64) {
    let admin = daemon.client();
    let fields = json!({"name": email.split('@').next(), "email": email, "role": role, "password": PASSWORD});
    let id = admin.post(admin.a("/agents"), fields).await.expect(200).id("/id");
    let signed_in = daemon.visitor().post("/auth/sign_in", json!({"email": email, "password": PASSWORD})).await.expect(200);
    (daemon.visitor().with_token(signed_in.str("/data/access_token")), id)
}

/// An API inbox; returns its id.
pub async fn api_inbox(admin: &Client, name: &str) -> i64 {
    admin.post(admin.a("/inboxes"), json!({"name": name, "channel": {"type": "api"}})).await.expect(200).id("/id")
}

/// A contact in an inbox with a conversation in which it has written `text`; returns the conversation's number.
pub async fn conversation(admin: &Client, inbox: i64, text: &str) -> i64 {
    let contact = admin.post(admin.a("/contacts"), json!({"inbox_id": inbox, "name": "Customer"})).await.expect(200);
    let source_id = contact.str("/payload/contact_inbox/source_id");
    let opened = admin.post(admin.a("/conversations"), json!({"inbox_id": inbox, "source_id": source_id})).await.expect(200);
    let id = opened.id("/id");
    let message = json!({"content": text, "message_type": "incoming"});
    admin.post(admin.a(&format!("/conversations/{id}/messages")), message).await.expect(200);
    id
}

/// The health of an inbox.
pub async fn health(client: &Client, inbox: i64) -> Value {
    client.get(client.a(&format!("/inboxes/{inbox}/health"))).await.expect(200).body
}

/// Fails the test unless this is the contract's form of a refused field: status, `error`, `message`, and the field in `attributes`.
#[track_caller]
pub fn assert_names(answer: &Answer, status: u16, field: &str) {
    assert_eq!(answer.status, status, "{} {}", answer.request, answer.text);
    assert!(!answer.str("/error").is_empty() && !answer.str("/message").is_empty(), "{}", answer.text);
    let named: Vec<&str> = answer.at("/attributes").as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(named, [field], "{} {}", answer.request, answer.text);
}

/// Fails the test unless this is a refusal without a field: status and `error`.
#[track_caller]
pub fn assert_refused(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{} {}", answer.request, answer.text);
    assert!(!answer.str("/error").is_empty(), "{} {}", answer.request, answer.text);
}

/// Everything the daemon has stored: the bytes of its data folder but the key, or the rows of all tables of its PostgreSQL database.
pub async fn stored(daemon: &Daemon) -> String {
    let mut stored = String::new();
    read_folder(&daemon.site().data_dir(), &mut stored);
    if let Some(url) = daemon.site().database().url() {
        let mut connection = PgConnection::connect(url).await.unwrap();
        let tables = connection.fetch_all("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'").await.unwrap();
        for table in tables.iter().map(|row| row.get::<String, _>(0)) {
            let rows = connection.fetch_all(AssertSqlSafe(format!("SELECT t::text FROM \"{table}\" t"))).await.unwrap();
            rows.iter().for_each(|row| stored.push_str(&row.get::<String, _>(0)));
        }
        connection.close().await.unwrap();
    }
    stored
}

fn read_folder(folder: &Path, stored: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_folder(&path, stored);
        } else if !path.file_name().unwrap().to_string_lossy().contains("key") {
            stored.push_str(&String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()));
        }
    }
}
