//! Website inboxes: the daemon between the page in a visitor's browser and the desk (contract, sections 6 and 7; `web/README.md`).
//!
//! | file | asks |
//! | --- | --- |
//! | `settings.rs` | how a website inbox is made and changed |
//! | `pages.rs` | what the loader, the page and the survey are served with |
//! | `visitors.rs` | who a visitor is, and whose tokens open what |
//! | `identities.rs` | what becomes of somebody who says, or proves, who it is |
//! | `conversations.rs` | how conversations begin, go on and are read again |
//! | `doings.rs` | what a visitor does beside writing |
//! | `sockets.rs` | what a visitor hears, and agents of the visitor |
//! | `uploads.rs` | which files are taken, and how they are given back |
//! | `rules.rs` | what the desk says by itself |
//! | `surveys.rs` | how a visitor says what it thinks of the help |
//! | `passers_by.rs` | who is forgotten after some months |
//! | `bad_input.rs` | that what is wrong is refused and does no harm |

mod bad_input;
mod conversations;
mod doings;
mod identities;
mod pages;
mod passers_by;
mod rules;
mod settings;
mod sockets;
mod surveys;
mod uploads;
mod visitors;

use crate::app::hmac_sha256;
use crate::harness::{Answer, Builder, Cable, Client, Daemon, skipped};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use reqwest::multipart::Form;
use serde_json::{Value, json};

/// What is said of a website that is none.
const NO_WEBSITE: &str = "web widget does not exist";

/// A website inbox.
#[derive(Clone)]
struct Inbox {
    id: i64,
    /// What pages name it by.
    token: String,
    /// Proves identities.
    hmac_token: String,
}

/// A daemon with one website.
struct Website {
    daemon: Daemon,
    admin: Client,
    inbox: Inbox,
}

/// Somebody who has opened the page.
#[derive(Clone)]
struct Visitor {
    client: Client,
    website_token: String,
    auth_token: String,
    pubsub_token: String,
    contact: i64,
}

/// A new website inbox that asks nobody for an e-mail address and leaves conversations to nobody; `more` is merged into the
/// request, `channel` into its channel.
async fn website(client: &Client, more: Value) -> Inbox {
    let made = client.post(client.a("/inboxes"), fields(more)).await.expect(200);
    Inbox { id: made.id("/id"), token: made.str("/website_token").to_owned(), hmac_token: made.str("/hmac_token").to_owned() }
}

fn fields(more: Value) -> Value {
    let mut fields = json!({"name": "Shop", "enable_email_collect": false, "enable_auto_assignment": false});
    let mut channel = json!({"type": "web_widget", "website_url": "https://shop.example"});
    for (name, value) in more.as_object().unwrap() {
        match name.as_str() {
            "channel" => channel.as_object_mut().unwrap().extend(value.as_object().unwrap().clone()),
            _ => fields[name] = value.clone(),
        }
    }
    fields["channel"] = channel;
    fields
}

impl Website {
    async fn open(more: Value) -> Self {
        Self::with(Daemon::builder(), more).await
    }

    async fn with(daemon: Builder, more: Value) -> Self {
        let daemon = daemon.start().await;
        let admin = daemon.client();
        let inbox = website(&admin, more).await;
        Website { daemon, admin, inbox }
    }

    /// Somebody opens the page for the first time.
    async fn visitor(&self) -> Visitor {
        Visitor::come(&self.daemon.visitor(), &self.inbox.token).await
    }

    /// Changes the inbox.
    async fn change(&self, fields: Value) -> Answer {
        self.admin.patch(self.admin.a(&format!("/inboxes/{}", self.inbox.id)), fields).await
    }

    async fn contact(&self, id: i64) -> Value {
        self.admin.get(self.admin.a(&format!("/contacts/{id}"))).await.expect(200).at("/payload").clone()
    }

    /// The numbers of all conversations, in the order in which they began.
    async fn conversations(&self) -> Vec<i64> {
        let listed = self.admin.get(self.admin.a("/conversations?status=all&sort_by=created_at_asc")).await.expect(200);
        let mut ids: Vec<i64> =
            listed.at("/data/payload").as_array().unwrap().iter().map(|conversation| conversation["id"].as_i64().unwrap()).collect();
        ids.sort_unstable();
        ids
    }

    /// The page of the widget; says aloud and returns nothing where the front end is not built.
    async fn page(&self, query: &str) -> Option<Answer> {
        built(self.daemon.visitor().get(format!("/widget?website_token={}{query}", self.inbox.token)).await)
    }

    /// What proves an identifier to this website.
    fn proof(&self, identifier: &str) -> String {
        hex::encode(hmac_sha256(&self.inbox.hmac_token, identifier.as_bytes()))
    }
}

/// The answer, unless it says that the binary has no pages.
fn built(answer: Answer) -> Option<Answer> {
    if answer.status == 503 {
        skipped("the pages of the live chat", "web/widget/dist is not built (`npm ci && npm run build` in web)");
        return None;
    }
    Some(answer)
}

impl Visitor {
    /// Opens the page of a website without a token.
    async fn come(client: &Client, website_token: &str) -> Self {
        let came = client.post(format!("/api/v1/widget/config?website_token={website_token}"), json!({})).await.expect(200);
        Self::of(client, website_token, &came)
    }

    /// Who `POST config` says the visitor is.
    fn of(client: &Client, website_token: &str, config: &Answer) -> Self {
        let auth_token = config.str("/website_channel_config/auth_token").to_owned();
        Visitor {
            client: client.with_visitor(&auth_token),
            website_token: website_token.to_owned(),
            auth_token,
            pubsub_token: config.str("/contact/pubsub_token").to_owned(),
            contact: config.id("/contact/id"),
        }
    }

    /// The same page with another token.
    fn with_token(&self, auth_token: &str) -> Self {
        Visitor { client: self.client.with_visitor(auth_token), auth_token: auth_token.to_owned(), ..self.clone() }
    }

    /// The same token for another website.
    fn at(&self, website_token: &str) -> Self {
        Visitor { website_token: website_token.to_owned(), ..self.clone() }
    }

    /// Opens the page again, after `set_user` has given another token, or none.
    async fn again(&self, auth_token: Option<&str>) -> Self {
        let same = self.with_token(auth_token.unwrap_or(&self.auth_token));
        let config = same.post("config", json!({})).await.expect(200);
        Self::of(&same.client, &same.website_token, &config)
    }

    /// The address of a call (`messages?before=7`).
    fn path(&self, call: &str) -> String {
        let separator = if call.contains('?') { '&' } else { '?' };
        format!("/api/v1/widget/{call}{separator}website_token={}", self.website_token)
    }

    async fn get(&self, call: &str) -> Answer {
        self.client.get(self.path(call)).await
    }

    async fn post(&self, call: &str, body: Value) -> Answer {
        self.client.post(self.path(call), body).await
    }

    async fn patch(&self, call: &str, body: Value) -> Answer {
        self.client.patch(self.path(call), body).await
    }

    async fn delete(&self, call: &str) -> Answer {
        self.client.delete(self.path(call)).await
    }

    async fn post_form(&self, call: &str, form: Form) -> Answer {
        self.client.post_form(self.path(call), form).await
    }

    /// POST under an `Idempotency-Key`.
    async fn post_once(&self, call: &str, key: &str, body: &Value) -> Answer {
        self.client.answer(self.client.request(Method::POST, &self.path(call)).header("idempotency-key", key).json(body)).await
    }

    /// Writes, where it wrote last.
    async fn says(&self, content: &str) -> Answer {
        self.post("messages", json!({"message": {"content": content}})).await.expect(200)
    }

    /// Writes into one of its conversations.
    async fn says_in(&self, conversation: i64, content: &str) -> Answer {
        self.post(&format!("messages?conversation_id={conversation}"), json!({"message": {"content": content}})).await
    }

    /// Begins another conversation; its number.
    async fn begins(&self, content: &str) -> i64 {
        self.post("conversations", json!({"message": {"content": content}})).await.expect(200).id("/id")
    }

    /// What is to be read in a conversation, or in the last one.
    async fn reads(&self, conversation: Option<i64>) -> Vec<Value> {
        let call = conversation.map_or("messages".to_owned(), |id| format!("messages?conversation_id={id}"));
        self.get(&call).await.expect(200).at("/payload").as_array().unwrap().clone()
    }

    /// Its conversations' numbers, sorted.
    async fn conversations(&self) -> Vec<i64> {
        let listed = self.get("conversations/all").await.expect(200);
        let mut ids: Vec<i64> = listed.at("/payload").as_array().unwrap().iter().map(|one| one["id"].as_i64().unwrap()).collect();
        ids.sort_unstable();
        ids
    }

    /// Hears what the page hears.
    async fn listen(&self, daemon: &Daemon) -> Cable {
        let mut cable = daemon.cable().await;
        cable.subscribe_contact(&self.pubsub_token).await;
        cable
    }

    /// Header and claims of its token.
    fn claims(&self) -> (Value, Value) {
        let part = |text: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
        let parts: Vec<&str> = self.auth_token.split('.').collect();
        assert_eq!(parts.len(), 3, "{}", self.auth_token);
        (part(parts[0]), part(parts[1]))
    }
}

/// A token of these parts, signed with this key.
fn signed(header: &Value, claims: &Value, key: &str) -> String {
    let said = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
    format!("{said}.{}", URL_SAFE_NO_PAD.encode(hmac_sha256(key, said.as_bytes())))
}

/// What was said, oldest first.
fn contents(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["content"].as_str().unwrap_or_default()).collect()
}

/// Fails the test unless the answer is 422 and blames this field, or something in it.
#[track_caller]
fn assert_blames(answer: &Answer, field: &str) {
    assert_eq!(answer.status, 422, "{} {field}: {}", answer.request, answer.text);
    let named = answer.at("/attributes/0").as_str().unwrap();
    let rest = named.strip_prefix(field).unwrap_or_else(|| panic!("{} blames {named}, not {field}: {}", answer.request, answer.text));
    assert!(rest.is_empty() || rest.starts_with(['.', '[']), "{} blames {named}, not {field}", answer.request);
}

/// Fails the test unless the answer is 422 and blames this field, wherever it is in the body.
#[track_caller]
fn assert_blames_inner(answer: &Answer, field: &str) {
    assert_eq!(answer.status, 422, "{} {field}: {}", answer.request, answer.text);
    let named = answer.at("/attributes/0").as_str().unwrap();
    let is_it = named == field || named.ends_with(&format!(".{field}"));
    assert!(is_it, "{} blames {named}, not {field}: {}", answer.request, answer.text);
}
