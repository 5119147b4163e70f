//! Input that is broken, wrong, foreign or too large: a clear answer, nothing stored by halves, and a daemon that goes on.

use crate::desk::{api_inbox, assert_names, assert_refused, conversation};
use crate::harness::{Answer, Client, Daemon};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

/// A daemon with an inbox, a contact and a conversation, to be mistreated.
struct Desk {
    daemon: Daemon,
    admin: Client,
    inbox: i64,
    conversation: i64,
}

#[tokio::test]
async fn every_text_field_refuses_what_is_no_text() {
    let desk = Desk::new().await;
    let before = desk.everything().await;
    let wrong = [json!({"a": "b"}), json!({}), json!(["a"]), json!([]), json!(true)];
    for (path, base, field) in desk.text_fields() {
        for value in &wrong {
            let answer = desk.admin.post(&path, with(&base, field, value.clone())).await;
            assert_eq!(answer.status, 422, "{path} {field} = {value}: {}", answer.text);
            assert_names(&answer, 422, field);
        }
    }
    assert_eq!(desk.everything().await, before, "what was refused has left nothing");

    // Clients send numbers for texts and null for nothing: read or refused, never a failure.
    for (path, base, field) in desk.text_fields() {
        for value in [json!(null), json!(1.5), json!(-7)] {
            let answer = desk.admin.post(&path, with(&base, field, value.clone())).await;
            match answer.status {
                200 => {}
                422 => assert!(answer.str("/error").len() > 3, "{}", answer.text),
                404 if field == "source_id" => {}
                409 if field == "source_id" => assert!(answer.str("/error").contains("source_id"), "{}", answer.text),
                status => panic!("{path} {field} = {value}: {status} {}", answer.text),
            }
        }
    }
    desk.lives().await;
}

#[tokio::test]
async fn fields_of_other_types_and_unknown_words_are_named() {
    let desk = Desk::new().await;
    let before = desk.everything().await;
    let (admin, messages) = (&desk.admin, format!("/conversations/{}/messages", desk.conversation));
    let (contacts, conversations, webhooks) = ("/contacts", "/conversations", "/webhooks");
    let (inbox, hook) = (desk.inbox, "http://127.0.0.1:19999/");
    let cases = [
        (messages.as_str(), json!({"content": "x", "private": "perhaps"}), "private"),
        (&messages, json!({"content": "x", "content_attributes": "x"}), "content_attributes"),
        (&messages, json!({"content": "x", "content_attributes": []}), "content_attributes"),
        (&messages, json!({"content": "x", "message_type": "shouted"}), "message_type"),
        (&messages, json!({"content": "x", "content_type": "hologram"}), "content_type"),
        (&messages, json!({"content": "x", "cc_emails": "nonsense"}), "cc_emails"),
        (&messages, json!({"content": "x".repeat(150_001)}), "content"),
        (&messages, json!({"content": "x", "source_id": "x".repeat(1001)}), "source_id"),
        (contacts, json!({"name": "X", "email": "nonsense"}), "email"),
        (contacts, json!({"name": "X", "phone_number": "0123"}), "phone_number"),
        (contacts, json!({"name": "X", "custom_attributes": "x"}), "custom_attributes"),
        (contacts, json!({"name": "X", "additional_attributes": [1]}), "additional_attributes"),
        (contacts, json!({"name": "X", "blocked": "perhaps"}), "blocked"),
        (contacts, json!({"name": "X", "inbox_id": "first"}), "inbox_id"),
        (contacts, json!({"name": "X", "inbox_id": [inbox]}), "inbox_id"),
        (contacts, json!({"name": "x".repeat(2049)}), "name"),
        (contacts, json!({"name": "X", "identifier": "x".repeat(2049)}), "identifier"),
        (conversations, json!({}), "source_id"),
        (conversations, json!({"contact_id": 1}), "inbox_id"),
        (conversations, json!({"contact_id": {}, "inbox_id": inbox}), "contact_id"),
        (conversations, json!({"contact_id": 1, "inbox_id": inbox, "status": "foo"}), "status"),
        (conversations, json!({"contact_id": 1, "inbox_id": inbox, "snoozed_until": "tomorrow"}), "snoozed_until"),
        (conversations, json!({"contact_id": 1, "inbox_id": inbox, "snoozed_until": 9_000_000_000_000_000_000_i64}), "snoozed_until"),
        (conversations, json!({"contact_id": 1, "inbox_id": inbox, "custom_attributes": 5}), "custom_attributes"),
        (conversations, json!({"contact_id": 1, "inbox_id": inbox, "message": {"content": []}}), "message.content"),
        (webhooks, json!({"url": hook, "subscriptions": ["no_such_event"]}), "subscriptions"),
        (webhooks, json!({"url": hook, "subscriptions": []}), "subscriptions"),
        (webhooks, json!({"url": hook, "subscriptions": {}}), "subscriptions"),
        (webhooks, json!({"url": hook, "subscriptions": [5]}), "subscriptions[0]"),
        (webhooks, json!({"url": "ftp://127.0.0.1/", "subscriptions": ["message_created"]}), "url"),
        (webhooks, json!({"url": "nonsense", "subscriptions": ["message_created"]}), "url"),
        (webhooks, json!({"url": format!("{hook}{}", "x".repeat(2048)), "subscriptions": ["message_created"]}), "url"),
        (webhooks, json!({"subscriptions": ["message_created"]}), "url"),
    ];
    for (path, body, field) in cases {
        assert_names(&admin.post(admin.a(path), body).await, 422, field);
    }
    let conversation = format!("/conversations/{}", desk.conversation);
    for (path, body, field) in [
        ("/toggle_status", json!({"status": "foo"}), "status"),
        ("/toggle_priority", json!({"priority": "extreme"}), "priority"),
        ("/custom_attributes", json!({"custom_attributes": "x"}), "custom_attributes"),
        ("/assignments", json!({"assignee_id": "me"}), "assignee_id"),
    ] {
        assert_names(&admin.post(admin.a(&format!("{conversation}{path}")), body).await, 422, field);
    }
    for body in [json!({}), json!({"content": ""}), json!({"content": "  "}), json!({"content": null})] {
        assert_refused(&admin.post(admin.a(&messages), body).await, 422);
    }
    for query in ["?page=x", "?page=-1", "?inbox_id=x", "?status=foo"] {
        assert_refused(&admin.get(admin.a(&format!("/conversations{query}"))).await, 422);
    }
    assert_eq!(desk.everything().await, before, "what was refused has left nothing");
    desk.lives().await;
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused() {
    let desk = Desk::new().await;
    let before = desk.everything().await;
    let admin = &desk.admin;
    let deep = format!("{}1{}", "{\"a\":".repeat(5000), "}".repeat(5000));
    let bodies: [&[u8]; 10] = [
        b"{",
        b"{\"content\":}",
        b"not json",
        b"\"text\"",
        b"[]",
        b"null",
        b"{\"content\":\"\xff\xfe\"}",
        b"{\"content\":\"a\"}}",
        b"\0",
        deep.as_bytes(),
    ];
    for path in desk.creates() {
        for body in bodies {
            let request = admin.request(Method::POST, &path).header("content-type", "application/json").body(body.to_vec());
            let answer = admin.answer(request).await;
            assert_refused(&answer, 400);
            assert!(answer.text.len() < 1000, "{}", answer.text);
        }
    }
    assert_eq!(desk.everything().await, before);
    desk.lives().await;
}

#[tokio::test]
async fn a_body_may_have_4_mib() {
    const LIMIT: usize = 4 << 20;
    let desk = Desk::new().await;
    let before = desk.everything().await;
    let admin = &desk.admin;
    for path in desk.creates() {
        let answer = admin.post(&path, json!({"name": "x".repeat(LIMIT + 100), "content": "x"})).await;
        assert_refused(&answer, 413);
    }
    // A length that is not announced is counted as it comes.
    let chunks = (0..70).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1 << 16]));
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    let endless = admin.request(Method::POST, &admin.a("/contacts")).header("content-type", "application/json").body(body);
    assert_refused(&admin.answer(endless).await, 413);
    assert_eq!(desk.everything().await, before);
    // Unknown fields are ignored, and count.
    let padding = "x".repeat(LIMIT - 1000);
    admin.post(admin.a("/contacts"), json!({"name": "Large", "email": "large@example.com", "padding": padding})).await.expect(200);
    desk.lives().await;
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let desk = Desk::new().await;
    let before = desk.everything().await;
    let (admin, c) = (&desk.admin, desk.conversation);
    for (method, path, body) in [
        ("GET", "/contacts/9999", json!({})),
        ("PUT", "/contacts/9999", json!({"name": "X"})),
        ("GET", "/contacts/9999/conversations", json!({})),
        ("POST", "/contacts/9999/contact_inboxes", json!({"inbox_id": desk.inbox})),
        ("POST", "/contacts/1/contact_inboxes", json!({"inbox_id": 9999})),
        ("POST", "/contacts", json!({"name": "X", "inbox_id": 9999})),
        ("GET", "/contacts/9223372036854775808", json!({})),
        ("POST", "/conversations", json!({"contact_id": 9999, "inbox_id": desk.inbox})),
        ("POST", "/conversations", json!({"contact_id": 1, "inbox_id": 9999})),
        ("POST", "/conversations", json!({"source_id": "nobody", "inbox_id": desk.inbox})),
        ("GET", "/conversations/9999", json!({})),
        ("GET", "/conversations/9999/messages", json!({})),
        ("POST", "/conversations/9999/messages", json!({"content": "x"})),
        ("DELETE", &format!("/conversations/{c}/messages/9999"), json!({})),
        ("PATCH", &format!("/conversations/{c}/messages/9999"), json!({"status": "read"})),
        ("POST", &format!("/conversations/{c}/messages/9999/retry"), json!({})),
        ("PATCH", "/webhooks/9999", json!({"name": "X"})),
        ("DELETE", "/webhooks/9999", json!({})),
        ("GET", "/webhooks/9999/deliveries", json!({})),
        ("POST", "/webhooks", json!({"url": "http://127.0.0.1:19999/", "inbox_id": 9999})),
        ("POST", "/deliveries/9999/retry", json!({})),
        ("GET", "/no/such/path", json!({})),
    ] {
        let request = admin.request(method.parse().unwrap(), &admin.a(path)).json(&body);
        let answer = admin.answer(request).await;
        assert_refused(&answer, 404);
        assert_eq!(answer.str("/error"), "Resource could not be found", "{method} {path}");
    }
    for path in ["/public/api/v1/inboxes/nobody", "/public/api/v1/inboxes/nobody/contacts/x", "/files/x/y", "/nothing", "/api/v2", "/%ff"] {
        assert_refused(&desk.daemon.visitor().get(path).await, 404);
    }
    // Pages beyond the last are empty, however far.
    for page in ["2", "9223372036854775807", "18446744073709551615"] {
        let contacts = admin.get(admin.a(&format!("/contacts?page={page}"))).await.expect(200);
        assert_eq!(contacts.at("/payload"), &json!([]));
        admin.get(admin.a(&format!("/contacts/search?q=a&page={page}"))).await.expect(200);
        assert_eq!(admin.get(admin.a(&format!("/conversations?page={page}"))).await.expect(200).at("/data/payload"), &json!([]));
    }
    assert_eq!(desk.everything().await, before);
    let assigned = admin.post(admin.a(&format!("/conversations/{c}/assignments")), json!({"assignee_id": 9999})).await;
    assert_eq!((assigned.status, &assigned.body), (200, &Value::Null), "nobody of that id takes it from whoever has it");
    desk.lives().await;
}

#[tokio::test]
async fn nul_characters_are_refused() {
    let desk = Desk::new().await;
    let before = desk.everything().await;
    let (admin, c) = (&desk.admin, desk.conversation);
    for (path, body, field) in [
        (format!("/conversations/{c}/messages"), json!({"content": "a\0b"}), "content"),
        (format!("/conversations/{c}/messages"), json!({"content": "x", "content_attributes": {"a": ["\0"]}}), "content_attributes"),
        ("/contacts".into(), json!({"name": "\0"}), "name"),
        ("/contacts".into(), json!({"name": "X", "custom_attributes": {"a\0": 1}}), "custom_attributes"),
        ("/inboxes".into(), json!({"name": "A\0", "channel": {"type": "api"}}), "name"),
        ("/webhooks".into(), json!({"url": "http://127.0.0.1/\0", "subscriptions": ["message_created"]}), "url"),
        (format!("/conversations/{c}/custom_attributes"), json!({"custom_attributes": {"a": "\0"}}), "custom_attributes"),
    ] {
        assert_names(&admin.post(admin.a(&path), body).await, 422, field);
    }
    let form = Form::new().text("content", "a\0b");
    assert_names(&admin.post_form(admin.a(&format!("/conversations/{c}/messages")), form).await, 422, "content");
    for path in [
        admin.a("/contacts/search?q=%00"),
        admin.a("/contacts?sort=%00"),
        format!("{}/contacts/%00", desk.public().await),
        format!("{}/contacts/a%00b/conversations", desk.public().await),
        "/%00".into(),
    ] {
        assert_refused(&admin.get(&path).await, 422);
    }
    assert_names(&desk.daemon.visitor().post("/auth/sign_in", json!({"email": "\0", "password": "x"})).await, 422, "email");
    assert_eq!(desk.everything().await, before);
    desk.lives().await;
}

#[tokio::test]
async fn broken_uploads_leave_no_message() {
    let desk = Desk::new().await;
    let before = desk.everything().await;
    let admin = &desk.admin;
    let path = admin.a(&format!("/conversations/{}/messages", desk.conversation));
    let head = "--b\r\nContent-Disposition: form-data; name=\"content\"\r\n\r\nhello\r\n";
    let file =
        "--b\r\nContent-Disposition: form-data; name=\"attachments[]\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nhalf of it";
    for (content_type, body) in [
        ("multipart/form-data", format!("{head}--b--\r\n")),
        ("multipart/form-data; boundary=other", format!("{head}--b--\r\n")),
        ("multipart/form-data; boundary=b", head.to_owned()),
        ("multipart/form-data; boundary=b", format!("{head}{file}")),
        ("multipart/form-data; boundary=b", "--b\r\nno header\r\n".to_owned()),
        ("multipart/form-data; boundary=b", String::new()),
        (
            "multipart/form-data; boundary=b",
            format!("{}--b--\r\n", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n".repeat(300)),
        ),
    ] {
        let answer = admin.answer(admin.request(Method::POST, &path).header("content-type", content_type).body(body.clone())).await;
        assert!(matches!(answer.status, 400 | 422), "{body:?}: {} {}", answer.status, answer.text);
        assert!(!answer.str("/error").is_empty());
    }
    let many = (0..16).fold(Form::new().text("content", "many"), |form, n| {
        form.part("attachments[]", Part::bytes(b"x".to_vec()).file_name(format!("{n}.txt")).mime_str("text/plain").unwrap())
    });
    assert_names(&admin.post_form(&path, many).await, 422, "attachments");
    let invalid = Form::new().part("content", Part::bytes(vec![0xff, 0xfe]));
    assert_names(&admin.post_form(&path, invalid).await, 422, "content");
    assert_eq!(desk.everything().await, before, "no message, whole or in part");

    let odd = Form::new().text("content", "odd").part("attachments[]", Part::bytes(b"x".to_vec()).file_name("../../etc/pass\u{202e}wd"));
    let sent = admin.post_form(&path, odd).await.expect(200);
    let url = sent.str("/attachments/0/data_url").to_owned();
    assert!(!url.contains(".."), "{url}");
    assert_eq!(admin.get(url).await.expect(200).text, "x");
    desk.lives().await;
}

#[tokio::test]
async fn other_methods_and_strange_requests_do_no_harm() {
    let desk = Desk::new().await;
    let before = desk.everything().await;
    let admin = &desk.admin;
    for (method, path) in [("DELETE", "/contacts"), ("POST", ""), ("PUT", "/conversations"), ("TRACE", "/inboxes"), ("BREW", "/inboxes")] {
        let answer = admin.answer(admin.request(method.parse().unwrap(), &admin.a(path)).json(&json!({}))).await;
        assert!(matches!(answer.status, 404 | 405), "{method} {path}: {}", answer.status);
    }
    let long = admin.get(admin.a(&format!("/contacts/search?q={}", "x".repeat(20_000)))).await;
    assert!(long.status < 500, "{}", long.status);
    for q in ["%25", "_", "'", "%27%3B--", "%5C", "%22"] {
        assert_eq!(admin.get(admin.a(&format!("/contacts/search?q=zz{q}zz"))).await.expect(200).at("/payload"), &json!([]), "{q}");
    }
    assert_refused(&admin.get(admin.a("/contacts/search")).await, 422);
    assert_eq!(desk.everything().await, before);
    desk.lives().await;
}

impl Desk {
    async fn new() -> Self {
        let daemon = Daemon::start().await;
        let admin = daemon.client();
        let inbox = api_inbox(&admin, "Shop").await;
        let conversation = conversation(&admin, inbox, "hello").await;
        Desk { daemon, admin, inbox, conversation }
    }

    /// All that a create could have added to.
    async fn everything(&self) -> Vec<Value> {
        let mut everything = Vec::new();
        let messages = format!("/conversations/{}/messages", self.conversation);
        for path in
            ["/contacts", "/contacts/search?q=x", "/contacts/1", "/conversations?status=all", "/inboxes", "/webhooks", messages.as_str()]
        {
            everything.push(self.admin.get(self.admin.a(path)).await.expect(200).body);
        }
        everything
    }

    async fn public(&self) -> String {
        let inbox = self.admin.get(self.admin.a(&format!("/inboxes/{}", self.inbox))).await.expect(200);
        format!("/public/api/v1/inboxes/{}", inbox.str("/inbox_identifier"))
    }

    /// The paths that make something.
    fn creates(&self) -> Vec<String> {
        let messages = format!("/conversations/{}/messages", self.conversation);
        ["/contacts", "/conversations", "/inboxes", "/webhooks", "/agents", messages.as_str()].map(|path| self.admin.a(path)).to_vec()
    }

    /// Every text field: where it is sent, with what else, and its name.
    fn text_fields(&self) -> Vec<(String, Value, &'static str)> {
        let messages = self.admin.a(&format!("/conversations/{}/messages", self.conversation));
        let mut fields = Vec::new();
        let mut add = |path: &str, base: Value, names: &[&'static str]| {
            fields.extend(names.iter().map(|name| (path.to_owned(), base.clone(), *name)));
        };
        add(&messages, json!({"content": "x"}), &["content", "message_type", "content_type", "echo_id", "source_id"]);
        add(&messages, json!({"content": "x"}), &["cc_emails", "bcc_emails", "to_emails"]);
        let contact = json!({"name": "X", "inbox_id": self.inbox});
        add(&self.admin.a("/contacts"), contact, &["name", "email", "phone_number", "identifier", "avatar_url", "source_id"]);
        let opened = json!({"contact_id": 1, "inbox_id": self.inbox});
        add(
            &self.admin.a("/conversations"),
            opened,
            &["source_id", "status", "message.content", "message.content_type", "message.message_type"],
        );
        let inbox = json!({"name": "New", "channel": {"type": "api"}});
        let names = ["name", "greeting_message", "timezone", "out_of_office_message", "business_name", "sender_name_type"];
        add(&self.admin.a("/inboxes"), inbox.clone(), &names);
        add(&self.admin.a("/inboxes"), inbox, &["channel.type", "channel.webhook_url"]);
        let email = json!({"name": "New", "channel": {"type": "email", "email": "a@b.example"}});
        let names = ["channel.email", "channel.imap_address", "channel.imap_login", "channel.imap_password", "channel.smtp_password"];
        add(&self.admin.a("/inboxes"), email, &names);
        add(&self.admin.a("/webhooks"), json!({"url": "http://127.0.0.1:19999/", "subscriptions": ["message_created"]}), &["url", "name"]);
        add(&self.admin.a("/agents"), json!({"name": "X", "email": "x@example.com", "role": "agent"}), &["name", "email", "role"]);
        fields
    }

    /// The daemon takes and gives messages as before, and nothing in it has broken.
    async fn lives(&self) {
        let path = self.admin.a(&format!("/conversations/{}/messages", self.conversation));
        let sent: Answer = self.admin.post(&path, json!({"content": "still here"})).await.expect(200);
        let listed = self.admin.get(&path).await.expect(200);
        assert!(listed.at("/payload").as_array().unwrap().iter().any(|message| message["id"] == sent.body["id"]));
        assert!(!self.daemon.log().contains("panicked"), "{}", self.daemon.log());
        assert!(!self.daemon.log().contains("ERROR"), "{}", self.daemon.log());
    }
}

/// The object with one field replaced; `a.b` is `b` in `a`.
fn with(base: &Value, field: &str, value: Value) -> Value {
    let mut changed = base.clone();
    match field.split_once('.') {
        Some((outer, inner)) => changed[outer][inner] = value,
        None => changed[field] = value,
    }
    changed
}
