//! How a visitor's conversations begin, go on, and are read again.

use super::{Visitor, Website, assert_blames_inner, contents, website};
use crate::app::{act, conversation, keys, post, say, show, words};
use crate::desk::assert_refused;
use crate::harness::Daemon;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36";

/// What the daemon notes of where a conversation began.
async fn noted(website: &Website, conversation: i64) -> Value {
    show(&website.admin, conversation).await.at("/additional_attributes").clone()
}

#[tokio::test]
async fn the_first_message_opens_a_conversation_and_the_next_goes_on_with_it() {
    let website = Website::open(json!({})).await;
    let visitor = website.visitor().await;
    let none = visitor.get("conversations").await.expect(200);
    assert!(none.body.as_object().is_none_or(serde_json::Map::is_empty), "{}", none.text);
    assert_eq!(visitor.get("messages").await.expect(200).at("/payload"), &json!([]));
    assert_eq!(website.conversations().await, [0_i64; 0], "whoever only looks begins nothing");

    let words_of = json!({"message": {"content": "hello", "reply_to": null, "timestamp": "Sun Nov 22 2026 10:00:00 GMT+0100",
        "referer_url": "https://shop.example/cart?a=1", "echo_id": "e-1"}, "custom_attributes": {"page": "cart"}, "labels": []});
    let request = visitor.client.request(Method::POST, &visitor.path("messages")).header("user-agent", BROWSER);
    let written = visitor.client.answer(request.header("accept-language", "de-DE,de;q=0.9,en;q=0.5").json(&words_of)).await.expect(200);
    for name in words("id content inbox_id conversation_id message_type created_at private source_id content_attributes sender") {
        assert!(written.body.get(name).is_some(), "{name} in {}", written.text);
    }
    assert_eq!((written.str("/content"), written.id("/message_type"), written.at("/private")), ("hello", 0, &json!(false)));
    assert_eq!((written.id("/inbox_id"), written.str("/sender/type"), written.str("/echo_id")), (website.inbox.id, "contact", "e-1"));
    let id = written.id("/conversation_id");
    assert_eq!(website.conversations().await, [id]);
    let shown = show(&website.admin, id).await;
    assert_eq!((shown.id("/meta/sender/id"), shown.str("/meta/channel")), (visitor.contact, "Channel::WebWidget"));
    assert_eq!((shown.at("/custom_attributes"), shown.str("/status")), (&json!({"page": "cart"}), "open"));
    let attributes = noted(&website, id).await;
    assert_eq!(attributes["referer"], "https://shop.example/cart?a=1");
    assert_eq!(attributes["initiated_at"], json!({"timestamp": "Sun Nov 22 2026 10:00:00 GMT+0100"}));
    assert!(attributes["browser_language"].as_str().unwrap().starts_with("de"), "{attributes}");
    assert_eq!(keys(&attributes["browser"]), words("browser_name browser_version device_name platform_name platform_version"));
    assert_eq!(attributes["browser"]["browser_name"], "Chrome");
    assert!(attributes["browser"]["browser_version"].as_str().unwrap().starts_with("126"), "{attributes}");
    assert!(attributes["browser"]["platform_name"].as_str().unwrap().contains("Linux"), "{attributes}");

    let known = visitor.get("conversations").await.expect(200);
    assert_eq!((known.id("/id"), known.id("/inbox_id"), known.str("/status")), (id, website.inbox.id, "open"));
    assert!(known.at("/contact_last_seen_at").is_i64(), "{}", known.text);
    assert_eq!(visitor.says("one more").await.id("/conversation_id"), id);
    let answer = json!({"message": {"content": "this", "reply_to": written.id("/id")}});
    let reply = visitor.post("messages", answer).await.expect(200);
    assert_eq!(reply.at("/content_attributes/in_reply_to"), written.at("/id"));
    assert_eq!(crate::app::contents(&website.admin, id).await, ["hello", "one more", "this"]);
}

#[tokio::test]
async fn a_new_conversation_brings_what_the_form_asked_for() {
    let website = Website::open(json!({})).await;
    website.admin.post(website.admin.a("/labels"), json!({"title": "vip", "color": "#112233"})).await.expect(200);
    let visitor = website.visitor().await;
    let body = json!({
        "contact": {"name": "Mia", "email": "Mia@Example.com", "phone_number": "+4915112345678", "custom_attributes": {"plan": "gold"}},
        "message": {"content": "hello", "timestamp": "now", "referer_url": "https://shop.example/", "echo_id": "e-9", "reply_to": null},
        "custom_attributes": {"order": "77"}, "labels": ["vip", "unknown"],
    });
    let opened = visitor.post("conversations", body.clone()).await.expect(200);
    for name in words("id inbox_id contact_last_seen_at status messages custom_attributes contact") {
        assert!(opened.body.get(name).is_some(), "{name} in {}", opened.text);
    }
    assert_eq!((opened.str("/messages/0/content"), opened.at("/messages").as_array().unwrap().len()), ("hello", 1));
    assert_eq!(opened.at("/custom_attributes"), &json!({"order": "77"}));
    let shown = show(&website.admin, opened.id("/id")).await;
    assert_eq!(
        (shown.at("/custom_attributes"), shown.at("/labels")),
        (&json!({"order": "77"}), &json!(["vip"])),
        "labels of the account only"
    );
    assert_eq!((shown.str("/meta/sender/email"), shown.id("/meta/sender/id")), ("mia@example.com", visitor.contact));
    let contact = website.contact(visitor.contact).await;
    assert_eq!((&contact["name"], &contact["phone_number"]), (&json!("Mia"), &json!("+4915112345678")));
    assert_eq!(contact["custom_attributes"], json!({"plan": "gold"}));
    assert_eq!(noted(&website, opened.id("/id")).await["referer"], "https://shop.example/");

    let second = visitor.post("conversations", body).await.expect(200);
    assert_ne!(second.id("/id"), opened.id("/id"), "always another one");
    assert_eq!(visitor.says("where?").await.id("/conversation_id"), second.id("/id"), "the latest");
    assert_eq!(visitor.get("conversations").await.expect(200).id("/id"), second.id("/id"));
}

#[tokio::test]
async fn a_website_that_keeps_to_one_conversation_opens_no_other() {
    let website = Website::open(json!({"lock_to_single_conversation": true})).await;
    let visitor = website.visitor().await;
    let first = visitor.begins("hello").await;
    assert_eq!(visitor.begins("another matter").await, first);
    act(&website.admin, first, "toggle_status", json!({"status": "resolved"})).await.expect(200);
    assert_eq!(visitor.begins("and another").await, first);
    assert_eq!(show(&website.admin, first).await.str("/status"), "open", "whoever writes opens it again");
    assert_eq!(contents(&visitor.reads(None).await), ["hello", "another matter", "and another"]);
}

#[tokio::test]
async fn each_conversation_goes_on_by_its_number_and_only_for_its_visitor() {
    let website = Website::open(json!({})).await;
    let (visitor, stranger) = (website.visitor().await, website.visitor().await);
    let (old, new) = (visitor.begins("old matter").await, visitor.begins("new matter").await);
    let theirs = stranger.begins("theirs").await;
    assert_eq!(visitor.says_in(old, "still old").await.expect(200).id("/conversation_id"), old);
    assert_eq!(contents(&visitor.reads(Some(old)).await), ["old matter", "still old"]);
    assert_eq!(contents(&visitor.reads(Some(new)).await), ["new matter"]);
    assert_eq!(contents(&visitor.reads(None).await), ["new matter"]);
    // One of the same contact in another inbox is not this website's.
    let other = website_of_same_contact(&website, &visitor).await;
    for foreign in [theirs, other, 9_999, 0, -1] {
        assert_refused(&visitor.get(&format!("messages?conversation_id={foreign}")).await, 404);
        assert_refused(&visitor.says_in(foreign, "let me in").await, 404);
        for call in ["conversations/toggle_typing", "conversations/update_last_seen", "conversations/transcript"] {
            let answer = visitor.post(&format!("{call}?conversation_id={foreign}"), json!({"typing_status": "on"})).await;
            assert_refused(&answer, 404);
        }
        assert_refused(&visitor.get(&format!("conversations/toggle_status?conversation_id={foreign}")).await, 404);
    }
    for nonsense in ["x", "1.5", "99999999999999999999", "%27"] {
        let answer = visitor.get(&format!("messages?conversation_id={nonsense}")).await;
        assert!(matches!(answer.status, 400 | 404 | 422), "{nonsense}: {}", answer.status);
    }
    assert_eq!(contents(&stranger.reads(Some(theirs)).await), ["theirs"]);
    assert_eq!(visitor.conversations().await, [old, new]);
    assert_eq!(stranger.conversations().await, [theirs]);
}

/// A conversation of the visitor's contact in another inbox.
async fn website_of_same_contact(website: &Website, visitor: &Visitor) -> i64 {
    let other = self::website(&website.admin, json!({})).await;
    let path = website.admin.a(&format!("/contacts/{}/contact_inboxes", visitor.contact));
    website.admin.post(path, json!({"inbox_id": other.id})).await.expect(200);
    conversation(&website.admin, other.id, visitor.contact).await
}

#[tokio::test]
async fn all_conversations_are_listed_with_what_is_new_in_them() {
    let website = Website::open(json!({})).await;
    let visitor = website.visitor().await;
    assert_eq!(visitor.get("conversations/all").await.expect(200).body, json!({"payload": []}));
    let (first, second) = (visitor.begins("first").await, visitor.begins("second").await);
    for text in ["one", "two"] {
        say(&website.admin, first, text).await;
    }
    post(&website.admin, first, json!({"content": "a note", "private": true})).await.expect(200);
    act(&website.admin, first, "toggle_priority", json!({"priority": "high"})).await.expect(200);
    act(&website.admin, second, "toggle_status", json!({"status": "resolved"})).await.expect(200);
    let listed = visitor.get("conversations/all").await.expect(200);
    let of = |id: i64| listed.at("/payload").as_array().unwrap().iter().find(|one| one["id"] == id).unwrap().clone();
    assert_eq!(listed.at("/payload").as_array().unwrap().len(), 2);
    let (first_shown, second_shown) = (of(first), of(second));
    for name in words("id status created_at last_activity_at contact_last_seen_at agent_last_seen_at unread_count last_message") {
        assert!(first_shown.get(name).is_some(), "{name} in {first_shown}");
    }
    assert_eq!((&first_shown["unread_count"], &second_shown["unread_count"]), (&json!(2), &json!(0)), "neither the note nor its own");
    assert_eq!((&first_shown["status"], &second_shown["status"]), (&json!("open"), &json!("resolved")));
    assert_eq!((&first_shown["last_message"]["content"], &second_shown["last_message"]["content"]), (&json!("two"), &json!("second")));
    assert_eq!(first_shown["last_message"]["sender"]["type"], "user");
    for name in ["created_at", "last_activity_at"] {
        assert!(first_shown[name].as_i64() > Some(1_700_000_000), "epoch seconds: {first_shown}");
    }
    assert!(!listed.text.contains("a note"), "{}", listed.text);
    visitor.post(&format!("conversations/update_last_seen?conversation_id={first}"), json!({"contact_last_seen_at": 0})).await.expect(200);
    let listed = visitor.get("conversations/all").await.expect(200);
    let seen = listed.at("/payload").as_array().unwrap().iter().find(|one| one["id"] == first).unwrap();
    assert_eq!(seen["unread_count"], 0);
    assert!(seen["contact_last_seen_at"].as_i64() > Some(1_700_000_000), "when it was, and not what was sent: {seen}");
}

#[tokio::test]
async fn messages_come_in_pages_without_what_is_for_agents() {
    let website = Website::open(json!({})).await;
    let visitor = website.visitor().await;
    let id = visitor.says("0").await.id("/conversation_id");
    for number in 1..25 {
        match number % 3 {
            0 => visitor.says_in(id, &number.to_string()).await.expect(200).id("/id"),
            _ => say(&website.admin, id, &number.to_string()).await,
        };
        if number % 5 == 0 {
            post(&website.admin, id, json!({"content": "a note", "private": true})).await.expect(200);
        }
    }
    act(&website.admin, id, "toggle_priority", json!({"priority": "high"})).await.expect(200);
    let page = async |query: String| -> Vec<Value> {
        let listed = visitor.get(&format!("messages?conversation_id={id}{query}")).await.expect(200);
        listed.at("/payload").as_array().unwrap().clone()
    };
    let expected: Vec<String> = (0..25).map(|number| number.to_string()).collect();
    let last = page(String::new()).await;
    assert_eq!(contents(&last), expected[5..], "the last 20, oldest first, neither notes nor activities");
    let before = page(format!("&before={}", last[0]["id"])).await;
    assert_eq!(contents(&before), expected[..5]);
    assert_eq!(contents(&page(format!("&before={}", before[0]["id"])).await), [""; 0]);
    assert_eq!(contents(&page(format!("&after={}", before[2]["id"])).await)[..2], expected[3..5]);
    assert_eq!(contents(&page(format!("&after={}", last[19]["id"])).await), [""; 0]);
    let one = last.iter().find(|message| message["message_type"] == 1).unwrap();
    for name in words("id content message_type content_type content_attributes created_at conversation_id sender") {
        assert!(one.get(name).is_some(), "{name} in {one}");
    }
    assert_eq!((&one["conversation_id"], &one["sender"]["type"]), (&json!(id), &json!("user")));
    // Of agents, visitors see a name and a face.
    assert!(one["sender"].get("email").is_none() && one["sender"].get("pubsub_token").is_none(), "{one}");
    let listed = visitor.get("messages").await.expect(200);
    assert!(listed.body.get("meta").is_none_or(Value::is_object), "{}", listed.text);
    for nonsense in ["before=x", "after=%27"] {
        let answer = visitor.get(&format!("messages?{nonsense}")).await;
        assert!(matches!(answer.status, 400 | 422), "{nonsense}: {}", answer.status);
    }
}

#[tokio::test]
async fn what_an_agent_takes_back_is_gone_for_the_visitor() {
    let website = Website::open(json!({})).await;
    let visitor = website.visitor().await;
    let id = visitor.says("hello").await.id("/conversation_id");
    let said = say(&website.admin, id, "a slip of the tongue").await;
    website.admin.delete(website.admin.a(&format!("/conversations/{id}/messages/{said}"))).await.expect(200);
    let read = visitor.reads(Some(id)).await;
    let gone = read.iter().find(|message| message["id"] == said).unwrap();
    assert!(gone["content_attributes"]["deleted"] == true && !gone.to_string().contains("slip"), "{gone}");
}

#[tokio::test]
async fn what_a_visitor_sends_beside_words_is_nobody_elses_to_say() {
    let website = Website::open(json!({})).await;
    let visitor = website.visitor().await;
    let forged = json!({"message": {
        "content": "hello", "message_type": "outgoing", "private": true, "content_type": "cards", "source_id": "forged", "status": "read",
        "content_attributes": {"items": [{"title": "x"}], "deleted": true}, "sender_type": "User", "sender_id": 1, "id": 7,
        "external_created_at": 1, "template_params": {"name": "x"}, "additional_attributes": {"a": 1}, "inbox_id": 99, "cc_emails": "a@b.example",
    }});
    let written = visitor.post("messages", forged).await.expect(200);
    let id = written.id("/conversation_id");
    let stored = crate::app::messages(&website.admin, id).await.remove(0);
    assert_eq!((&stored["message_type"], &stored["private"], &stored["content_type"]), (&json!(0), &json!(false), &json!("text")));
    assert_eq!((&stored["content_attributes"], &stored["source_id"]), (&json!({}), &Value::Null));
    assert_eq!((&stored["sender"]["type"], &stored["sender"]["id"]), (&json!("contact"), &json!(visitor.contact)));
    assert!(stored["created_at"].as_i64() > Some(1_700_000_000), "{stored}");
    let forged = json!({"message": {"content": "hi"}, "status": "resolved", "assignee_id": 1, "additional_attributes": {"a": 1},
        "contact": {"name": "Mia", "identifier": "root", "blocked": true, "additional_attributes": {"a": 1}, "id": 1}, "priority": "urgent"});
    let opened = visitor.post("conversations", forged).await.expect(200);
    let shown = show(&website.admin, opened.id("/id")).await;
    assert_eq!((shown.str("/status"), shown.at("/priority"), shown.body["meta"].get("assignee")), ("open", &Value::Null, None));
    let contact = website.contact(visitor.contact).await;
    assert_eq!((&contact["identifier"], &contact["blocked"], &contact["name"]), (&Value::Null, &json!(false), &json!("Mia")));
}

#[tokio::test]
async fn a_blocked_visitor_troubles_nobody() {
    let website = Website::open(json!({})).await;
    let visitor = website.visitor().await;
    let id = visitor.says("spam").await.id("/conversation_id");
    act(&website.admin, id, "mute", json!({})).await.expect(200);
    let next = visitor.begins("more spam").await;
    assert_eq!(show(&website.admin, next).await.str("/status"), "resolved");
    visitor.says_in(id, "and more").await.expect(200);
    assert_eq!(show(&website.admin, id).await.str("/status"), "resolved");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_first_messages_at_once_make_one_conversation() {
    let website = Website::with(Daemon::builder(), json!({})).await;
    let visitors = [website.visitor().await, website.visitor().await, website.visitor().await];
    let mut writing = tokio::task::JoinSet::new();
    for (person, visitor) in visitors.iter().enumerate() {
        for number in 0..20 {
            let visitor = visitor.clone();
            writing.spawn(async move { (person, visitor.says(&number.to_string()).await.id("/conversation_id")) });
        }
    }
    let mut seen = BTreeSet::new();
    while let Some(written) = writing.join_next().await {
        seen.insert(written.unwrap());
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert_eq!(website.conversations().await.len(), 3);
    for (person, id) in seen {
        let listed = website.admin.get(website.admin.a(&format!("/conversations/{id}/messages?after=0"))).await.expect(200);
        let said: BTreeSet<&str> = listed.at("/payload").as_array().unwrap().iter().filter_map(|row| row["content"].as_str()).collect();
        assert_eq!(said.len(), 20, "every message is there once");
        assert_eq!(visitors[person].conversations().await, [id]);
    }
}

#[tokio::test]
async fn a_conversation_that_nobody_can_begin_leaves_nothing() {
    let website = Website::open(json!({})).await;
    let visitor = website.visitor().await;
    for (body, field) in [
        (json!({"message": {"content": "x"}, "contact": {"name": "Mia", "email": "nobody"}}), "email"),
        (json!({"message": {"content": "x"}, "contact": {"name": "Mia", "phone_number": "0151"}}), "phone_number"),
        (json!({"message": {"content": "x".repeat(150_001)}, "contact": {"name": "Mia"}}), "content"),
    ] {
        assert_blames_inner(&visitor.post("conversations", body).await, field);
    }
    assert_refused(&visitor.post("messages", json!({"message": {"content": ""}})).await, 422);
    assert_eq!(website.conversations().await, [0_i64; 0]);
    assert_ne!(website.contact(visitor.contact).await["name"], "Mia", "nothing is changed by halves");
}
