//! What a visitor does beside writing: has seen, ends, has mailed, marks, looks who is there, and tells where it is.

use super::{Visitor, Website, contents};
use crate::app::{act, agent, join, keys, messages, say, show, words};
use crate::desk::assert_refused;
use crate::harness::{Daemon, Receiver, SOON, eventually};
use crate::smtp::Smtp;
use serde_json::{Value, json};

#[tokio::test]
async fn what_the_visitor_has_seen_is_read() {
    let website = Website::open(json!({})).await;
    let visitor = website.visitor().await;
    let (first, second) = (visitor.begins("first").await, visitor.begins("second").await);
    let (of_first, of_second) = (say(&website.admin, first, "yes?").await, say(&website.admin, second, "yes?").await);
    let status = async |conversation: i64, id: i64| {
        let all = messages(&website.admin, conversation).await;
        all.iter().find(|message| message["id"] == id).unwrap()["status"].as_str().unwrap().to_owned()
    };
    let seen = visitor.post("conversations/update_last_seen", json!({"contact_last_seen_at": 1})).await.expect(200);
    assert_eq!(seen.text, "");
    assert_eq!((status(second, of_second).await, status(first, of_first).await), ("read".to_owned(), "sent".to_owned()), "the latest");
    assert!(show(&website.admin, second).await.id("/contact_last_seen_at") > 1_700_000_000, "when it was, not what was sent");
    visitor.post(&format!("conversations/update_last_seen?conversation_id={first}"), json!({})).await.expect(200);
    assert_eq!(status(first, of_first).await, "read");
    // Before anything was said there is nothing to have seen, and the page asks all the same.
    let silent = website.visitor().await.post("conversations/update_last_seen", json!({})).await;
    assert!(matches!(silent.status, 200 | 404), "{}: {}", silent.request, silent.text);
}

#[tokio::test]
async fn a_visitor_ends_a_conversation_where_the_website_lets_it() {
    let mut website = Website::open(json!({})).await;
    let visitor = website.visitor().await;
    let (first, second) = (visitor.begins("first").await, visitor.begins("second").await);
    assert_eq!(visitor.get(&format!("conversations/toggle_status?conversation_id={first}")).await.expect(200).text, "");
    assert_eq!(show(&website.admin, first).await.str("/status"), "resolved");
    assert_eq!(show(&website.admin, second).await.str("/status"), "open");
    // Again: it stays so, and is not told twice.
    visitor.get(&format!("conversations/toggle_status?conversation_id={first}")).await.expect(200);
    assert_eq!(show(&website.admin, first).await.str("/status"), "resolved");
    let told = crate::app::contents(&website.admin, first).await.into_iter().filter(|content| content.contains("resolved")).count();
    assert_eq!(told, 1);
    visitor.says_in(first, "one more thing").await.expect(200);
    assert_eq!(show(&website.admin, first).await.str("/status"), "open");

    website.change(json!({"channel": {"selected_feature_flags": ["attachments"]}})).await.expect(200);
    let refused = visitor.get(&format!("conversations/toggle_status?conversation_id={first}")).await;
    assert_refused(&refused, 403);
    assert_eq!(show(&website.admin, first).await.str("/status"), "open");
    website.change(json!({"channel": {"selected_feature_flags": ["end_conversation"]}})).await.expect(200);
    assert_refused(&website.visitor().await.get("conversations/toggle_status").await, 404);
    // What was resolved while the daemon was away is so to its visitor.
    act(&website.admin, second, "toggle_status", json!({"status": "resolved"})).await.expect(200);
    website.daemon.restart().await;
    let visitor = Visitor { client: website.daemon.visitor().with_visitor(&visitor.auth_token), ..visitor };
    assert_eq!(visitor.get("conversations").await.expect(200).str("/status"), "resolved");
}

#[tokio::test]
async fn a_transcript_goes_to_the_visitors_own_address() {
    let relay = Smtp::start().await;
    let port = relay.port().to_string();
    let daemon = Daemon::builder().env("KONVERSIO__MAIL__HOST", "127.0.0.1").env("KONVERSIO__MAIL__PORT", &port);
    let daemon = daemon.env("KONVERSIO__MAIL__SECURITY", "none").env("KONVERSIO__MAIL__FROM", "desk@support.test");
    let website = Website::with(daemon, json!({})).await;
    let visitor = website.visitor().await;
    let id = visitor.says("hello").await.id("/conversation_id");
    say(&website.admin, id, "how can I help?").await;
    crate::app::post(&website.admin, id, json!({"content": "a note", "private": true})).await.expect(200);
    // Nobody's address is known, and nobody chooses another one's.
    for body in [json!({}), json!({"email": "victim@example.com"})] {
        assert_refused(&visitor.post("conversations/transcript", body).await, 422);
    }
    visitor.patch("contact", json!({"email": "mia@example.com"})).await.expect(200);
    let sent = visitor.post("conversations/transcript", json!({"email": "victim@example.com"})).await.expect(200);
    assert_eq!(sent.text, "");
    let mails = relay.wait_for(1).await;
    assert!(mails[0].contains("mia@example.com") && !mails[0].contains("victim@example.com"), "{}", mails[0]);
    assert!(mails[0].contains("how can I help?") && !mails[0].contains("a note"), "{}", mails[0]);
    assert_refused(&website.visitor().await.post("conversations/transcript", json!({})).await, 404);

    let without_relay = Website::open(json!({})).await;
    let visitor = without_relay.visitor().await;
    visitor.patch("contact", json!({"email": "mia@example.com"})).await.expect(200);
    visitor.says("hello").await;
    assert_refused(&visitor.post("conversations/transcript", json!({})).await, 422);
}

#[tokio::test]
async fn labels_are_those_of_the_account() {
    let website = Website::open(json!({})).await;
    for title in ["vip", "sales team"] {
        let label = json!({"title": title.replace(' ', "-"), "color": "#112233"});
        website.admin.post(website.admin.a("/labels"), label).await.expect(200);
    }
    let visitor = website.visitor().await;
    assert_eq!(visitor.post("labels", json!({"label": "vip"})).await.expect(204).text, "", "before there is a conversation");
    let (old, id) = (visitor.begins("old").await, visitor.begins("new").await);
    for label in ["vip", "sales-team", "vip", "nobody-knows-it"] {
        assert_eq!(visitor.post("labels", json!({"label": label})).await.expect(204).text, "");
    }
    let labels = async |id: i64| {
        let shown = show(&website.admin, id).await;
        let mut labels: Vec<String> =
            shown.at("/labels").as_array().unwrap().iter().map(|label| label.as_str().unwrap().to_owned()).collect();
        labels.sort();
        labels
    };
    assert_eq!((labels(id).await, labels(old).await), (vec!["sales-team".to_owned(), "vip".to_owned()], Vec::new()), "of the latest");
    assert_eq!(visitor.delete("labels/vip").await.expect(204).text, "");
    assert_eq!(visitor.delete("labels/nobody-knows-it").await.expect(204).text, "");
    assert_eq!(visitor.delete("labels/%3Cscript%3E").await.expect(204).text, "");
    assert_eq!(labels(id).await, ["sales-team"]);
    let defined = website.admin.get(website.admin.a("/labels")).await.expect(200);
    assert_eq!(defined.at("/payload").as_array().unwrap().len(), 2, "a visitor makes none");
    assert!(!contents(&visitor.reads(None).await).iter().any(|content| content.contains("sales")), "what agents read of it is theirs");
}

#[tokio::test]
async fn attributes_of_the_latest_conversation_are_set_and_removed() {
    let website = Website::open(json!({})).await;
    let visitor = website.visitor().await;
    let none = visitor.post("conversations/set_custom_attributes", json!({"custom_attributes": {"a": 1}})).await;
    assert!(matches!(none.status, 200 | 404), "{}: {}", none.request, none.text);
    let (old, id) = (visitor.begins("old").await, visitor.begins("new").await);
    visitor.post("conversations/set_custom_attributes", json!({"custom_attributes": {"page": "cart", "total": 12}})).await.expect(200);
    visitor.post("conversations/set_custom_attributes", json!({"custom_attributes": {"page": "checkout"}})).await.expect(200);
    let attributes = async |id: i64| show(&website.admin, id).await.at("/custom_attributes").clone();
    assert_eq!((attributes(id).await, attributes(old).await), (json!({"page": "checkout", "total": 12}), json!({})));
    visitor.post("conversations/destroy_custom_attributes", json!({"custom_attribute": ["page", "unknown"]})).await.expect(200);
    assert_eq!(attributes(id).await, json!({"total": 12}));
}

#[tokio::test]
async fn the_team_is_shown_as_it_is_there() {
    let website = Website::open(json!({})).await;
    let (ada, bob) = (agent(&website.daemon, "Ada").await, agent(&website.daemon, "Bob").await);
    join(&website.admin, website.inbox.id, &[&ada]).await;
    let visitor = website.visitor().await;
    let listed = visitor.get("inbox_members").await.expect(200);
    let members = listed.at("/payload").as_array().unwrap();
    assert_eq!(members.len(), 1, "Bob is none: {}", listed.text);
    assert_eq!(keys(&members[0]), words("id name avatar_url availability_status"));
    assert_eq!(
        (&members[0]["id"], &members[0]["name"], &members[0]["availability_status"]),
        (&json!(ada.id), &json!("Ada"), &json!("offline"))
    );
    assert!(!listed.text.contains("example.com"), "nobody's address: {}", listed.text);
    let mut cable = website.daemon.cable().await;
    cable.subscribe_agent(&ada.pubsub_token, 1, ada.id).await;
    let availability = async || visitor.get("inbox_members").await.expect(200).str("/payload/0/availability_status").to_owned();
    eventually(SOON, async || (availability().await == "online").then_some(())).await;
    let busy = json!({"profile": {"account_id": 1, "availability": "busy"}});
    ada.client.post("/api/v1/profile/availability", busy).await.expect(200);
    eventually(SOON, async || (availability().await == "busy").then_some(())).await;
    join(&website.admin, website.inbox.id, &[&bob]).await;
    assert_eq!(visitor.get("inbox_members").await.expect(200).at("/payload").as_array().unwrap().len(), 2);
    assert_eq!(visitor.get("campaigns").await.expect(200).body, json!([]));
}

#[tokio::test]
async fn where_the_visitor_is_goes_to_the_webhooks() {
    let (website, receiver) = tokio::join!(Website::open(json!({})), Receiver::start());
    let hook = json!({"url": receiver.url("/hook"), "subscriptions": ["webwidget_triggered"]});
    website.admin.post(website.admin.a("/webhooks"), hook).await.expect(200);
    let visitor = website.visitor().await;
    let info = json!({"referer": "https://shop.example/cart", "initiated_at": {"timestamp": "now"}, "custom_attributes": {"a": "b"}});
    let told = visitor.post("events", json!({"name": "webwidget.triggered", "event_info": info})).await.expect(204);
    assert_eq!(told.text, "");
    let first = receiver.wait_for(1, SOON).await.remove(0).json;
    assert_eq!((&first["event"], &first["current_conversation"]), (&json!("webwidget_triggered"), &Value::Null));
    assert_eq!((&first["contact"]["id"], &first["inbox"]), (&json!(visitor.contact), &json!({"id": website.inbox.id, "name": "Shop"})));
    assert_eq!((&first["event_info"]["referer"], &first["account"]["id"]), (&json!("https://shop.example/cart"), &json!(1)));
    assert_eq!(first["source_id"], visitor.claims().1["source_id"]);
    assert!(first["id"].is_i64(), "{first}");

    let id = visitor.says("hello").await.id("/conversation_id");
    visitor.post("events", json!({"name": "webwidget.triggered", "event_info": {}})).await.expect(204);
    let second = receiver.wait_for(2, SOON).await.remove(1).json;
    assert_eq!((&second["event"], &second["current_conversation"]["id"]), (&json!("webwidget_triggered"), &json!(id)));
    // What the page does not say is told to nobody.
    for name in [json!("message.created"), json!("dance"), json!(""), Value::Null, json!({})] {
        let answer = visitor.post("events", json!({"name": name, "event_info": {}})).await;
        assert!(matches!(answer.status, 204 | 422), "{name}: {}", answer.text);
    }
    let answer = visitor.post("events", json!({"name": "webwidget.triggered", "event_info": "x"})).await;
    assert_refused(&answer, 422);
    visitor.post("events", json!({"name": "webwidget.triggered", "event_info": {"referer": "the last one"}})).await.expect(204);
    receiver.wait_until(|received| received.json["event_info"]["referer"] == "the last one", SOON).await;
    assert_eq!(receiver.received().len(), 3);
}
