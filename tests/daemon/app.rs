//! A small support desk to test with: inboxes, agents, contacts, conversations and messages, each made by one call of the API.

use crate::harness::{Answer, Client, Daemon, Database, SOON, eventually};
use serde_json::{Map, Value, json};
use sqlx::Connection;

/// A member of account 1.
pub struct Person {
    /// Its id.
    pub id: i64,
    /// Calls the API in its name.
    pub client: Client,
    /// Opens its stream of events.
    pub pubsub_token: String,
}

/// An API inbox.
pub struct ApiInbox {
    /// Its id.
    pub id: i64,
    /// What apps name it by.
    pub identifier: String,
    /// Proves identities.
    pub hmac_token: String,
    /// Signs what is posted to its webhook.
    pub secret: String,
}

/// Somebody who writes to an inbox.
pub struct Customer {
    /// Its id.
    pub id: i64,
    /// Its address in the inbox.
    pub source_id: String,
}

/// The administrator that the first start made.
pub async fn administrator(daemon: &Daemon) -> Person {
    person(&daemon.client()).await
}

/// A new agent who can sign in.
pub async fn agent(daemon: &Daemon, name: &str) -> Person {
    const PASSWORD: &str = "Password1!";
    let admin = daemon.client();
    let email = format!("{name}@example.com");
    let fields = json!({"name": name, "email": email, "role": "agent", "password": PASSWORD});
    admin.post(admin.a("/agents"), fields).await.expect(200);
    let signed_in = daemon.visitor().post("/auth/sign_in", json!({"email": email, "password": PASSWORD})).await.expect(200);
    person(&admin.with_token(signed_in.str("/data/access_token"))).await
}

async fn person(client: &Client) -> Person {
    let profile = client.get("/api/v1/profile").await.expect(200);
    Person { id: profile.id("/id"), client: client.clone(), pubsub_token: profile.str("/pubsub_token").to_owned() }
}

/// A new API inbox; `more` is merged into the request, `channel` into its channel.
pub async fn api_inbox(client: &Client, more: Value) -> ApiInbox {
    let mut fields = json!({"name": "App"});
    let mut channel = json!({"type": "api"});
    for (name, value) in more.as_object().unwrap() {
        match name.as_str() {
            "channel" => channel.as_object_mut().unwrap().extend(value.as_object().unwrap().clone()),
            _ => fields[name] = value.clone(),
        }
    }
    fields["channel"] = channel;
    let made = client.post(client.a("/inboxes"), fields).await.expect(200);
    let text = |pointer| made.str(pointer).to_owned();
    ApiInbox { id: made.id("/id"), identifier: text("/inbox_identifier"), hmac_token: text("/hmac_token"), secret: text("/secret") }
}

/// Makes people members of an inbox.
pub async fn join(client: &Client, inbox: i64, people: &[&Person]) {
    let ids: Vec<i64> = people.iter().map(|person| person.id).collect();
    client.post(client.a("/inbox_members"), json!({"inbox_id": inbox, "user_ids": ids})).await.expect(200);
}

/// A new contact with an address in an inbox.
pub async fn customer(client: &Client, inbox: i64, identifier: &str) -> Customer {
    let fields = json!({"inbox_id": inbox, "identifier": identifier, "name": identifier});
    let made = client.post(client.a("/contacts"), fields).await.expect(200);
    Customer { id: made.id("/payload/contact/id"), source_id: made.str("/payload/contact_inbox/source_id").to_owned() }
}

/// A new conversation; its number.
pub async fn conversation(client: &Client, inbox: i64, contact: i64) -> i64 {
    client.post(client.a("/conversations"), json!({"inbox_id": inbox, "contact_id": contact})).await.expect(200).id("/id")
}

/// A new contact with a new conversation; the conversation's number.
pub async fn talk(client: &Client, inbox: i64, identifier: &str) -> i64 {
    let contact = customer(client, inbox, identifier).await;
    conversation(client, inbox, contact.id).await
}

/// Posts a message.
pub async fn post(client: &Client, conversation: i64, message: Value) -> Answer {
    client.post(client.a(&format!("/conversations/{conversation}/messages")), message).await
}

/// The contact writes; the message's id.
pub async fn hear(client: &Client, conversation: i64, content: &str) -> i64 {
    post(client, conversation, json!({"content": content, "message_type": "incoming"})).await.expect(200).id("/id")
}

/// An agent answers; the message's id.
pub async fn say(client: &Client, conversation: i64, content: &str) -> i64 {
    post(client, conversation, json!({"content": content})).await.expect(200).id("/id")
}

/// A conversation as REST shows it.
pub async fn show(client: &Client, conversation: i64) -> Answer {
    client.get(client.a(&format!("/conversations/{conversation}"))).await.expect(200)
}

/// Its last messages, oldest first.
pub async fn messages(client: &Client, conversation: i64) -> Vec<Value> {
    let shown = client.get(client.a(&format!("/conversations/{conversation}/messages"))).await.expect(200);
    shown.at("/payload").as_array().unwrap().clone()
}

/// What its messages say, oldest first.
pub async fn contents(client: &Client, conversation: i64) -> Vec<String> {
    messages(client, conversation).await.iter().map(|message| message["content"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Calls an action of a conversation (`toggle_status`).
pub async fn act(client: &Client, conversation: i64, action: &str, body: Value) -> Answer {
    client.post(client.a(&format!("/conversations/{conversation}/{action}")), body).await
}

/// Whose a conversation is.
pub async fn assignee(client: &Client, conversation: i64) -> Option<i64> {
    show(client, conversation).await.body["meta"]["assignee"]["id"].as_i64()
}

/// Waits until a conversation is somebody's.
pub async fn assigned(client: &Client, conversation: i64) -> i64 {
    eventually(SOON, async || assignee(client, conversation).await).await
}

/// The names in a JSON object, sorted.
pub fn keys(object: &Value) -> Vec<&str> {
    let object: &Map<String, Value> = object.as_object().unwrap_or_else(|| panic!("not an object: {object}"));
    let mut keys: Vec<&str> = object.keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// Words, sorted: what [`keys`] is compared with.
pub fn words(list: &str) -> Vec<&str> {
    let mut words: Vec<&str> = list.split_whitespace().collect();
    words.sort_unstable();
    words
}

/// Runs SQL where no API reaches: to age a row, or to see one whose owner is gone.
pub async fn execute(daemon: &Daemon, sqlite: &'static str, postgres: &'static str) {
    match daemon.site().database() {
        Database::Sqlite => {
            let mut connection = sqlite_connection(daemon).await;
            sqlx::query(sqlite).execute(&mut connection).await.unwrap();
        }
        Database::Postgres { url, .. } => {
            let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
            sqlx::query(postgres).execute(&mut connection).await.unwrap();
        }
    }
}

/// Counts rows with SQL that both databases read.
pub async fn count(daemon: &Daemon, sql: &'static str) -> i64 {
    match daemon.site().database() {
        Database::Sqlite => sqlx::query_scalar(sql).fetch_one(&mut sqlite_connection(daemon).await).await.unwrap(),
        Database::Postgres { url, .. } => {
            sqlx::query_scalar(sql).fetch_one(&mut sqlx::PgConnection::connect(url).await.unwrap()).await.unwrap()
        }
    }
}

/// The text that an SQLite database answers.
pub async fn text(daemon: &Daemon, sql: &'static str) -> String {
    sqlx::query_scalar(sql).fetch_one(&mut sqlite_connection(daemon).await).await.unwrap()
}

async fn sqlite_connection(daemon: &Daemon) -> sqlx::SqliteConnection {
    let file = daemon.site().data_dir().join("konversio.db");
    sqlx::SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap()
}

/// HMAC-SHA256, computed apart from the product.
pub fn hmac_sha256(key: &str, message: &[u8]) -> Vec<u8> {
    use hmac::{KeyInit, Mac};
    let mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.chain_update(message).finalize().into_bytes().to_vec()
}
