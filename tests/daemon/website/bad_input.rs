//! What is wrong is refused by name and leaves nothing; what looks like a program stays a text; who floods, floods itself.

use super::{Visitor, Website, assert_blames_inner, contents};
use crate::app::{count, messages, show};
use crate::desk::assert_refused;
use crate::harness::Answer;
use crate::messengers::PICTURE;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

const SCRIPT: &str = "<script>alert('x')</script><img src=x onerror=\"alert(1)\">\u{202e}\u{2028}{{7*7}}${7*7}javascript:alert(1)";

/// How many of everything there are.
async fn counts(website: &Website) -> [i64; 5] {
    let daemon = &website.daemon;
    [
        count(daemon, "SELECT COUNT(*) FROM contacts").await,
        count(daemon, "SELECT COUNT(*) FROM conversations").await,
        count(daemon, "SELECT COUNT(*) FROM messages").await,
        count(daemon, "SELECT COUNT(*) FROM attachments").await,
        count(daemon, "SELECT COUNT(*) FROM labels").await,
    ]
}

/// Fails the test unless what came is JSON for a program to read, that no browser takes for a page.
#[track_caller]
fn assert_is_data(answer: &Answer) {
    assert!(answer.header("content-type").unwrap().starts_with("application/json"), "{}", answer.request);
}

#[tokio::test]
async fn scripts_are_texts_wherever_they_stand() {
    let website = Website::open(json!({})).await;
    let visitor = website.visitor().await;
    let body = json!({
        "contact": {"name": SCRIPT, "custom_attributes": {"plan": SCRIPT}}, "message": {"content": SCRIPT, "referer_url": SCRIPT, "timestamp": SCRIPT},
        "custom_attributes": {"order": SCRIPT}, "labels": [SCRIPT],
    });
    let opened = visitor.post("conversations", body).await.expect(200);
    assert_is_data(&opened);
    let id = opened.id("/id");
    let shown = show(&website.admin, id).await;
    assert_eq!(shown.str("/messages/0/content"), SCRIPT);
    assert_eq!((shown.at("/custom_attributes"), shown.at("/labels")), (&json!({"order": SCRIPT}), &json!([])));
    // What is no address of a page is not kept as one; what is kept, is kept as it came.
    let referer = shown.body["additional_attributes"].get("referer").cloned().unwrap_or_default();
    assert!(referer.is_null() || referer == SCRIPT, "{referer}");
    let contact = website.contact(visitor.contact).await;
    assert_eq!((&contact["name"], &contact["custom_attributes"]), (&json!(SCRIPT), &json!({"plan": SCRIPT})));
    let read = visitor.get("messages").await.expect(200);
    assert_is_data(&read);
    assert_eq!(read.str("/payload/0/content"), SCRIPT);
    visitor.post("labels", json!({"label": SCRIPT})).await.expect(204);
    visitor.post("conversations/set_custom_attributes", json!({"custom_attributes": {SCRIPT: SCRIPT}})).await.expect(200);
    assert_eq!(show(&website.admin, id).await.at("/custom_attributes")[SCRIPT], SCRIPT);
    visitor.post("events", json!({"name": "webwidget.triggered", "event_info": {"referer": SCRIPT}})).await.expect(204);

    let name = "<img src=x onerror=alert(1)>\"'.png";
    let file = Part::bytes(PICTURE.to_vec()).file_name(name).mime_str("image/png").unwrap();
    let sent = visitor.post_form("messages", Form::new().part("message[attachments][]", file)).await.expect(200);
    let address = sent.str("/attachments/0/data_url");
    assert!(!address.contains(['<', '>', '"', ' ']), "{address}");
    let served = website.daemon.visitor().get(address).await.expect(200);
    let disposition = served.header("content-disposition").unwrap();
    assert!(!disposition.contains(['<', '>']) && served.header("content-type") == Some("image/png"), "{disposition}");
    // The page itself has none of it.
    if let Some(page) = website.page(&format!("&cw_conversation={}", visitor.auth_token)).await {
        assert!(!page.expect(200).text.contains("alert("));
    }
    let named = visitor.patch("contact/set_user", json!({"identifier": SCRIPT, "name": SCRIPT})).await;
    assert!(matches!(named.status, 200 | 422), "{}", named.text);
    let refused = visitor.at("%3Cscript%3Ealert(1)%3C/script%3E").get("contact").await.expect(404);
    assert_is_data(&refused);
    assert!(!refused.text.contains("alert"), "{}", refused.text);
}

#[tokio::test]
async fn fields_of_other_types_and_sizes_are_named_and_nothing_is_stored() {
    let website = Website::open(json!({})).await;
    let visitor = website.visitor().await;
    let id = visitor.says("hello").await.id("/conversation_id");
    let before = (counts(&website).await, show(&website.admin, id).await.body, website.contact(visitor.contact).await);
    let many: Value = (0..2000).map(|number| (number.to_string(), json!("x".repeat(1400)))).collect::<serde_json::Map<_, _>>().into();
    let (long, words) = ("x".repeat(150_001), json!({"content": "x"}));
    let opened = |name: &str, value: Value| {
        let mut body = json!({"message": {"content": "x"}, "contact": {"name": "Changed"}});
        match name.split_once('.') {
            Some((outer, inner)) => body[outer][inner] = value,
            None => body[name] = value,
        }
        ("conversations", body, name.rsplit('.').next().unwrap().to_owned())
    };
    let posted = [
        ("messages", json!({"message": {"content": {}}}), "content".to_owned()),
        ("messages", json!({"message": {"content": ["x"]}}), "content".to_owned()),
        ("messages", json!({"message": {"content": true}}), "content".to_owned()),
        ("messages", json!({"message": {"content": long}}), "content".to_owned()),
        ("messages", json!({"message": {"content": "x", "reply_to": "x"}}), "reply_to".to_owned()),
        ("messages", json!({"message": {"content": "x", "echo_id": {}}}), "echo_id".to_owned()),
        ("messages", json!({"message": {"content": "x", "echo_id": "x".repeat(10_000)}}), "echo_id".to_owned()),
        ("messages", json!({"message": {"content": "x", "referer_url": {}}}), "referer_url".to_owned()),
        ("messages", json!({"message": {"content": "x", "referer_url": long}}), "referer_url".to_owned()),
        ("messages", json!({"message": {"content": "x", "timestamp": {}}}), "timestamp".to_owned()),
        ("messages", json!({"message": words, "custom_attributes": "x"}), "custom_attributes".to_owned()),
        ("messages", json!({"message": words, "labels": {}}), "labels".to_owned()),
        opened("message.content", json!({})),
        opened("message.content", json!(long)),
        opened("contact", json!("x")),
        opened("contact.name", json!([])),
        opened("contact.name", json!("x".repeat(2049))),
        opened("contact.email", json!("nobody")),
        opened("contact.email", json!({})),
        opened("contact.phone_number", json!("12")),
        opened("contact.custom_attributes", json!([])),
        opened("contact.custom_attributes", json!({"a": "x".repeat(1500)})),
        opened("contact.custom_attributes", many.clone()),
        opened("custom_attributes", json!([1])),
        opened("custom_attributes", json!({"a": "x".repeat(1500)})),
        opened("custom_attributes", json!({"a": 9_999_999_999_i64})),
        opened("custom_attributes", json!({"a\u{0}": 1})),
        opened("custom_attributes", many.clone()),
        opened("custom_attributes", json!({"a": {"b": ["x".repeat(100_000)]}})),
        opened("labels", json!([{}])),
        ("conversations/set_custom_attributes", json!({"custom_attributes": "x"}), "custom_attributes".to_owned()),
        ("conversations/set_custom_attributes", json!({"custom_attributes": {"a": "x".repeat(1500)}}), "custom_attributes".to_owned()),
        ("conversations/set_custom_attributes", json!({"custom_attributes": many}), "custom_attributes".to_owned()),
        ("conversations/destroy_custom_attributes", json!({"custom_attribute": {}}), "custom_attribute".to_owned()),
        ("contact/destroy_custom_attributes", json!({"custom_attributes": {}}), "custom_attributes".to_owned()),
        ("labels", json!({"label": {}}), "label".to_owned()),
        ("events", json!({"name": "webwidget.triggered", "event_info": []}), "event_info".to_owned()),
    ];
    for (call, body, field) in posted {
        let answer = visitor.post(call, body).await;
        assert!(!answer.text.contains("xxxxxxxx"), "{call} {field}: what was too long is not said back: {}", answer.text.len());
        // All together, a body may be too large before one of its fields is.
        if answer.status != 413 {
            assert_blames_inner(&answer, &field);
        }
    }
    for wrong in [json!({}), json!({"message": "x"}), json!({"message": []}), json!({"message": {"content": "a\0b"}})] {
        assert_refused(&visitor.post("messages", wrong).await, 422);
    }
    for (body, field) in [
        (json!({"name": {}}), "name"),
        (json!({"name": "x".repeat(2049)}), "name"),
        (json!({"name": "a\0b"}), "name"),
        (json!({"email": "nobody", "name": "Changed"}), "email"),
        (json!({"phone_number": "12", "name": "Changed"}), "phone_number"),
        (json!({"custom_attributes": "x", "name": "Changed"}), "custom_attributes"),
    ] {
        assert_blames_inner(&visitor.patch("contact", body).await, field);
    }
    let after = (counts(&website).await, show(&website.admin, id).await.body, website.contact(visitor.contact).await);
    assert_eq!(after, before, "what was refused has left nothing");
    assert_eq!(contents(&visitor.reads(None).await), ["hello"]);
    assert!(!website.daemon.log().contains("panicked") && !website.daemon.log().contains("ERROR"), "{}", website.daemon.log());
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused() {
    let website = Website::open(json!({})).await;
    let visitor = website.visitor().await;
    visitor.says("hello").await;
    let before = counts(&website).await;
    let deep = format!("{}1{}", "{\"a\":".repeat(5000), "}".repeat(5000));
    let bodies: [&[u8]; 7] = [b"{", b"not json", b"\"text\"", b"[]", b"null", b"{\"message\":{\"content\":\"\xff\xfe\"}}", deep.as_bytes()];
    for (method, call) in [
        (Method::POST, "messages"),
        (Method::POST, "conversations"),
        (Method::POST, "conversations/set_custom_attributes"),
        (Method::PATCH, "contact"),
        (Method::PATCH, "contact/set_user"),
        (Method::POST, "events"),
        (Method::POST, "labels"),
    ] {
        for body in bodies {
            let request = visitor.client.request(method.clone(), &visitor.path(call)).header("content-type", "application/json");
            assert_refused(&visitor.client.answer(request.body(body.to_vec())).await, 400);
        }
        let large = json!({"message": {"content": "x"}, "padding": "x".repeat(5 << 20)});
        let request = visitor.client.request(method, &visitor.path(call)).json(&large);
        assert_refused(&visitor.client.answer(request).await, 413);
    }
    // What is asked with no body at all is asked by what is in it: nothing.
    let empty = visitor.client.answer(visitor.client.request(Method::POST, &visitor.path("messages"))).await;
    assert_refused(&empty, 422);
    assert_eq!(counts(&website).await, before);
}

#[tokio::test]
async fn who_floods_is_stopped_and_nobody_else() {
    let website = Website::open(json!({})).await;
    let (flooder, other) = (website.visitor().await, website.visitor().await);
    let id = flooder.says("0").await.id("/conversation_id");
    for number in 1..200 {
        flooder.says_in(id, &number.to_string()).await.expect(200);
    }
    for _ in 0..3 {
        let refused = flooder.says_in(id, "too much").await;
        assert!(matches!(refused.status, 422 | 429), "{}: {}", refused.status, refused.text);
        assert_eq!(refused.str("/error"), "Too many messages");
    }
    // Agents of that conversation are not asked for more than the contract has; everybody else goes on.
    other.says("not my fault").await;
    assert_eq!(contents(&other.reads(None).await), ["not my fault"]);
    website.visitor().await.says("nor mine").await;
    assert_eq!(messages(&website.admin, id).await.last().unwrap()["content"], "199");
    assert!(!website.daemon.log().contains("panicked"), "{}", website.daemon.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_from_one_visitor_leave_the_others_their_turn() {
    let website = Website::open(json!({})).await;
    let (flooder, other) = (website.visitor().await, website.visitor().await);
    let id = flooder.says("first").await.id("/conversation_id");
    let mut flood = tokio::task::JoinSet::new();
    for number in 0..300 {
        let flooder: Visitor = flooder.clone();
        flood.spawn(async move { flooder.says_in(id, &number.to_string()).await.status });
    }
    for _ in 0..5 {
        other.says("me too").await;
    }
    let mut taken = 1;
    while let Some(status) = flood.join_next().await {
        match status.unwrap() {
            200 => taken += 1,
            422 | 429 | 503 => {}
            status => panic!("{status}"),
        }
    }
    assert!(taken <= 200, "{taken} messages of one minute");
    assert_eq!(contents(&other.reads(None).await), ["me too"; 5]);
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let website = Website::open(json!({})).await;
    let visitor = website.visitor().await;
    visitor.says("hello").await;
    for call in ["nothing", "conversations/nothing", "contact/nothing", "messages/1/nothing"] {
        assert_refused(&visitor.get(call).await, 404);
    }
    for absent in ["999999", "0", "-1"] {
        let body = json!({"message": {"submitted_values": [{"value": "x"}]}});
        assert_refused(&visitor.patch(&format!("messages/{absent}"), body).await, 404);
    }
    for (method, call) in
        [(Method::DELETE, "messages"), (Method::PUT, "conversations"), (Method::DELETE, "contact"), (Method::GET, "config")]
    {
        let answer = visitor.client.answer(visitor.client.request(method.clone(), &visitor.path(call))).await;
        assert!(matches!(answer.status, 404 | 405), "{method} {call}: {}", answer.status);
    }
    assert_eq!(contents(&visitor.reads(None).await), ["hello"]);
}
