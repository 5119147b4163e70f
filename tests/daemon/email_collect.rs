//! A website asks whoever writes where to be reached (contract, section 2, In-server effects), and what becomes of the answer.

use crate::app::{contents, messages};
use crate::harness::{Answer, Client, Daemon};
use reqwest::Method;
use serde_json::{Value, json};

const QUESTIONS: [&str; 2] = ["Give the team a way to reach you.", "Get notified by email"];

/// A visitor of a website.
pub struct Visitor {
    client: Client,
    website_token: String,
    auth_token: String,
    /// Opens the visitor's stream of events.
    pub pubsub_token: String,
    /// The contact.
    pub contact: i64,
}

impl Visitor {
    /// Somebody new.
    pub async fn arrive(daemon: &Daemon, website_token: &str) -> Self {
        let client = daemon.visitor();
        let config = client.post(format!("/api/v1/widget/config?website_token={website_token}"), json!({})).await.expect(200);
        Visitor {
            auth_token: config.str("/website_channel_config/auth_token").to_owned(),
            pubsub_token: config.str("/contact/pubsub_token").to_owned(),
            contact: config.id("/contact/id"),
            website_token: website_token.to_owned(),
            client,
        }
    }

    /// Calls the widget's API.
    pub async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        let path = format!("/api/v1/widget/{path}?website_token={}", self.website_token);
        let request = self.client.request(method, &path).header("X-Auth-Token", &self.auth_token);
        self.client.answer(request.json(&body)).await
    }

    /// Writes; the number of the conversation.
    pub async fn write(&self, content: &str) -> i64 {
        self.call(Method::POST, "messages", json!({"message": {"content": content}})).await.expect(200).id("/conversation_id")
    }

    /// Begins a conversation with what a form before it asked for; its number.
    pub async fn begin(&self, contact: Value, content: &str) -> i64 {
        let body = json!({"contact": contact, "message": {"content": content}});
        self.call(Method::POST, "conversations", body).await.expect(200).id("/id")
    }

    /// Has seen what was said.
    pub async fn look(&self) {
        self.call(Method::POST, "conversations/update_last_seen", json!({})).await.expect(200);
    }
}

/// A website inbox; its id and token.
pub async fn website(client: &Client, more: Value) -> (i64, String) {
    let mut fields = json!({"name": "Shop", "channel": {"type": "web_widget", "website_url": "https://shop.example"}});
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = client.post(client.a("/inboxes"), fields).await.expect(200);
    (made.id("/id"), made.str("/website_token").to_owned())
}

async fn email_of(client: &Client, contact: i64) -> Value {
    client.get(client.a(&format!("/contacts/{contact}"))).await.expect(200).at("/payload/email").clone()
}

/// The id of the question for an address.
async fn question(client: &Client, conversation: i64) -> i64 {
    let all = messages(client, conversation).await;
    all.iter().find(|message| message["content_type"] == "input_email").unwrap()["id"].as_i64().unwrap()
}

fn answered(email: &str) -> Value {
    json!({"message": {"submitted_values": [{"name": "email", "value": email}]}, "contact": {"email": email}})
}

#[tokio::test]
async fn whoever_writes_first_without_an_address_is_asked_for_one() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let (inbox, token) = website(&admin, json!({"greeting_enabled": true, "greeting_message": "Welcome!"})).await;
    let visitor = Visitor::arrive(&daemon, &token).await;
    let id = visitor.write("hello").await;
    visitor.write("anyone?").await;
    assert_eq!(contents(&admin, id).await, ["hello", "Welcome!", QUESTIONS[0], QUESTIONS[1], "anyone?"]);
    let all = messages(&admin, id).await;
    let kinds: Vec<(&Value, &Value)> = all.iter().map(|message| (&message["message_type"], &message["content_type"])).collect();
    let (text, email) = (json!("text"), json!("input_email"));
    let (incoming, template) = (json!(0), json!(3));
    assert_eq!(kinds, [(&incoming, &text), (&template, &text), (&template, &text), (&template, &email), (&incoming, &text)]);

    let known = Visitor::arrive(&daemon, &token).await;
    let begun = known.begin(json!({"name": "Noa", "email": "noa@example.com"}), "hi").await;
    assert_eq!(contents(&admin, begun).await, ["hi", "Welcome!"], "the form before the chat has asked already");

    admin.patch(admin.a(&format!("/inboxes/{inbox}")), json!({"enable_email_collect": false})).await.expect(200);
    let left_alone = Visitor::arrive(&daemon, &token).await;
    let id = left_alone.write("hello").await;
    assert_eq!(contents(&admin, id).await, ["hello", "Welcome!"]);
}

#[tokio::test]
async fn an_app_is_not_asked() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = crate::app::api_inbox(&admin, json!({"enable_email_collect": true})).await;
    let id = crate::app::talk(&admin, inbox.id, "mia").await;
    crate::app::hear(&admin, id, "hello").await;
    assert_eq!(contents(&admin, id).await, ["hello"]);
}

#[tokio::test]
async fn the_address_becomes_the_contact_s_unless_somebody_has_it() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let (_, token) = website(&admin, json!({})).await;
    let visitor = Visitor::arrive(&daemon, &token).await;
    let id = visitor.write("hello").await;
    let path = format!("messages/{}", question(&admin, id).await);
    assert_eq!(visitor.call(Method::PATCH, &path, answered("nobody")).await.status, 422);
    assert_eq!(email_of(&admin, visitor.contact).await, Value::Null);
    visitor.call(Method::PATCH, &path, answered("Mia@Example.com")).await.expect(200);
    assert_eq!(email_of(&admin, visitor.contact).await, "mia@example.com");
    visitor.call(Method::PATCH, &path, answered("other@example.com")).await.expect(200);
    assert_eq!(email_of(&admin, visitor.contact).await, "mia@example.com", "what is known stays");

    let other = Visitor::arrive(&daemon, &token).await;
    let id = other.write("hello").await;
    let asked = question(&admin, id).await;
    other.call(Method::PATCH, &format!("messages/{asked}"), answered("mia@example.com")).await.expect(200);
    assert_eq!(email_of(&admin, other.contact).await, Value::Null, "nobody takes over another contact's address");
    let kept = messages(&admin, id).await.into_iter().find(|message| message["id"] == asked).unwrap();
    assert_eq!(kept["content_attributes"]["submitted_email"], "mia@example.com");
    assert_eq!(email_of(&admin, visitor.contact).await, "mia@example.com");
}
