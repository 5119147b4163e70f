//! What becomes of what people write.

use super::{ADA, BOB, Graph, Line, Person, ago, echo, message, with_fields};
use crate::harness::eventually;
use crate::messengers::{LATER, shuffled};
use futures_util::StreamExt;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_text_makes_a_conversation() {
    let line = Line::open().await;
    let at = ago(3600);
    line.tell(&message(ADA, "wamid.1", at, "text", json!({ "body": "Grüße 👋 <b>" }))).await;
    let message = line.known_as(1, "wamid.1", |_| true).await;
    assert_eq!(
        (&message["content"], &message["message_type"], &message["content_type"], &message["created_at"]),
        (&json!("Grüße 👋 <b>"), &json!(0), &json!("text"), &json!(at))
    );
    assert_eq!((&message["sender"]["name"], &message["sender"]["phone_number"]), (&json!("Ada"), &json!("+4930111111")));
    let conversation = line.conversation(1).await;
    assert_eq!(
        (&conversation["meta"]["channel"], &conversation["status"], &conversation["can_reply"], &conversation["unread_count"]),
        (&json!("Channel::Whatsapp"), &json!("open"), &json!(true), &json!(1))
    );
    let contact = line.get(&format!("/contacts/{}", conversation["meta"]["sender"]["id"])).await;
    assert_eq!(contact.str("/payload/contact_inboxes/0/source_id"), "4930111111");
    line.begins(ADA, "wamid.2", "more").await;
    assert_eq!(line.begins(BOB, "wamid.3", "me too").await, 2);
    assert_eq!(line.counts().await, (2, 3, 2));
}

/// Meta repeats what was not answered in time, and its requests overtake each other.
#[tokio::test(flavor = "multi_thread")]
async fn repeated_and_mixed_up_webhooks_are_stored_once_and_in_order() {
    const COUNT: usize = 20;
    let line = Line::open().await;
    let webhooks: Vec<Value> = (0..COUNT)
        .map(|index| {
            let at = ago(1000) + i64::try_from(index).unwrap();
            message(ADA, &format!("wamid.{index:02}"), at, "text", json!({ "body": format!("number {index:02}") }))
        })
        .collect();
    let statuses: Vec<u16> = futures_util::stream::iter(shuffled(&webhooks, 3))
        .map(async |webhook| line.post_webhook(&webhook).await.status)
        .buffer_unordered(20)
        .collect()
        .await;
    assert_eq!(statuses, [200; 3 * COUNT]);
    eventually(LATER, async || (line.messages(1).await.len() >= COUNT).then_some(())).await;
    let expected: Vec<String> = (0..COUNT).map(|index| format!("number {index:02}")).collect();
    assert_eq!(line.texts(1).await, expected);
    assert_eq!(line.counts().await, (1, COUNT, 1));
}

/// Under load Meta puts several into one request, of several people, and receipts between them.
#[tokio::test(flavor = "multi_thread")]
async fn one_request_may_tell_of_many_things() {
    let line = Line::open().await;
    let said = |person, id: &str, seconds| message(person, id, ago(seconds), "text", json!({ "body": id }));
    let strange = Graph::change("messages", json!({ "messages": [{ "id": "wamid.nobody", "type": "text" }] }));
    let unknown_field = Graph::change("flows", json!({ "event": "x" }));
    line.tell(&Graph::together(&[said(ADA, "wamid.2", 10), unknown_field, said(BOB, "wamid.3", 9), strange, said(ADA, "wamid.1", 20)]))
        .await;
    let (of_ada, of_bob) = (line.conversation_with("wamid.1").await, line.conversation_with("wamid.3").await);
    assert_eq!(line.texts(of_ada).await, ["wamid.1", "wamid.2"]);
    assert_eq!(line.texts(of_bob).await, ["wamid.3"]);
}

/// After a pause of its own Meta may bring everything at once, and once more.
#[tokio::test(flavor = "multi_thread")]
async fn a_huge_request_is_stored_whole_and_once() {
    let line = Line::open().await;
    let phones = "4930500100 4930500101 4930500102 4930500103 4930500104 4930500105 4930500106 4930500107 4930500108 4930500109 \
                  4930500110 4930500111 4930500112 4930500113 4930500114 4930500115 4930500116 4930500117 4930500118 4930500119";
    let mut said = Vec::new();
    for (person, phone) in phones.split_whitespace().enumerate() {
        let writer = Person { name: "Many", phone: Some(phone), user_id: None };
        for turn in 0..15 {
            let at = ago(1_000) + i64::from(turn);
            said.push(message(writer, &format!("wamid.{person}.{turn:02}"), at, "text", json!({ "body": format!("{turn:02}") })));
        }
    }
    let all = Graph::together(&said);
    line.tell(&all).await;
    line.tell(&all).await;
    for person in 0..20 {
        let conversation = line.conversation_with(&format!("wamid.{person}.00")).await;
        let expected: Vec<String> = (0..15).map(|turn| format!("{turn:02}")).collect();
        assert_eq!(line.texts(conversation).await, expected, "person {person}");
    }
    assert_eq!(line.counts().await, (20, 300, 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quoted_message_is_found() {
    let line = Line::open().await;
    let conversation = line.begins(ADA, "wamid.first", "first").await;
    let ours = line.reply(conversation, "second").await;
    let sent = line.in_status(conversation, ours, "sent").await["source_id"].as_str().unwrap().to_owned();
    for (quoted, id) in [("wamid.first", "wamid.a"), (sent.as_str(), "wamid.b")] {
        let fields = json!({ "type": "text", "text": { "body": "yes" }, "context": { "from": "4930111111", "id": quoted } });
        line.tell(&with_fields(ADA, id, ago(30), fields)).await;
        let message = line.known_as(conversation, id, |_| true).await;
        let original = line.known_as(conversation, quoted, |_| true).await;
        let attributes = &message["content_attributes"];
        assert_eq!((&attributes["in_reply_to"], &attributes["in_reply_to_external_id"]), (&original["id"], &json!(quoted)), "{message}");
    }
    let fields = json!({ "type": "text", "text": { "body": "of old" }, "context": { "from": "4930111111", "id": "wamid.unknown" } });
    line.tell(&with_fields(ADA, "wamid.c", ago(20), fields)).await;
    let attributes = line.known_as(conversation, "wamid.c", |_| true).await["content_attributes"].clone();
    assert_eq!((&attributes["in_reply_to"], &attributes["in_reply_to_external_id"]), (&Value::Null, &json!("wamid.unknown")));
}

#[tokio::test(flavor = "multi_thread")]
async fn places_and_cards_are_attachments() {
    let line = Line::open().await;
    let place = json!({ "latitude": 52.5, "longitude": 13.4, "name": "Café", "address": "Straße 1" });
    line.says(ADA, "wamid.place", "location", place).await;
    let conversation = line.conversation_with("wamid.place").await;
    let place = line.known_as(conversation, "wamid.place", |_| true).await["attachments"][0].clone();
    assert_eq!(
        (&place["file_type"], place["coordinates_lat"].as_f64(), place["coordinates_long"].as_f64(), &place["fallback_title"]),
        (&json!("location"), Some(52.5), Some(13.4), &json!("Café, Straße 1")),
        "{place}"
    );
    let card = |first: &str, phone: &str| json!({ "name": { "formatted_name": format!("{first} Z"), "first_name": first, "last_name": "Z" }, "phones": [{ "phone": phone, "type": "CELL" }] });
    line.says(ADA, "wamid.cards", "contacts", json!([card("Zoë", "+49 30 1"), card("Yve", "+49 30 2")])).await;
    let cards = line.known_as(conversation, "wamid.cards", |_| true).await["attachments"].clone();
    let shown: Vec<(&Value, &Value, &Value)> =
        cards.as_array().unwrap().iter().map(|card| (&card["file_type"], &card["fallback_title"], &card["meta"]["firstName"])).collect();
    assert_eq!(
        shown,
        [(&json!("contact"), &json!("+49 30 1"), &json!("Zoë")), (&json!("contact"), &json!("+49 30 2"), &json!("Yve"))],
        "{cards}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_chosen_is_a_message() {
    let line = Line::open().await;
    let conversation = line.begins(ADA, "wamid.1", "hello").await;
    let items = json!([{ "title": "Blue", "value": "blue" }, { "title": "Green", "value": "green" }]);
    let question = json!({ "content": "Which?", "content_type": "input_select", "content_attributes": { "items": items } });
    let question = line.reply_with(conversation, question).await.expect(200).id("/id");
    let asked = line.in_status(conversation, question, "sent").await["source_id"].clone();
    let action = &line.graph.sent()[0]["interactive"]["action"];
    let button = &action["buttons"][1]["reply"];
    assert_eq!((&button["title"], action["buttons"].as_array().unwrap().len()), (&json!("Green"), 2));
    let pressed = json!({ "type": "button_reply", "button_reply": { "id": button["id"], "title": "Green" } });
    let fields = json!({ "type": "interactive", "interactive": pressed, "context": { "from": "972123456789", "id": asked } });
    line.tell(&with_fields(ADA, "wamid.2", ago(30), fields)).await;
    let answer = line.known_as(conversation, "wamid.2", |_| true).await;
    assert_eq!(
        (&answer["content"], &answer["content_attributes"]["in_reply_to"], &answer["content_attributes"]["submitted_values"]),
        (&json!("Green"), &json!(question), &json!([{ "title": "Green", "value": "green" }])),
        "{answer}"
    );

    // More than three are a list.
    let items: Vec<Value> = (1..=5).map(|index| json!({ "title": format!("Option {index}"), "value": format!("o{index}") })).collect();
    let question = json!({ "content": "Which?", "content_type": "input_select", "content_attributes": { "items": items } });
    let question = line.reply_with(conversation, question).await.expect(200).id("/id");
    let asked = line.in_status(conversation, question, "sent").await["source_id"].clone();
    let interactive = &line.graph.sent()[1]["interactive"];
    assert_eq!(interactive["type"], "list");
    let row = &interactive["action"]["sections"][0]["rows"][3];
    let pressed = json!({ "type": "list_reply", "list_reply": { "id": row["id"], "title": row["title"] } });
    let fields = json!({ "type": "interactive", "interactive": pressed, "context": { "from": "972123456789", "id": asked } });
    line.tell(&with_fields(ADA, "wamid.3", ago(20), fields)).await;
    let answer = line.known_as(conversation, "wamid.3", |_| true).await;
    assert_eq!(
        (&answer["content"], &answer["content_attributes"]["submitted_values"]),
        (&json!("Option 4"), &json!([{ "title": "Option 4", "value": "o4" }])),
        "{answer}"
    );
}

/// What Meta invents next year is kept until somebody has taught the desk.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_known_is_kept() {
    let line = Line::open().await;
    line.says(ADA, "wamid.1", "hologram", json!({ "depth": 3 })).await;
    let unsupported = json!({
        "type": "unsupported", "unsupported": { "type": "poll_creation" },
        "errors": [{ "code": 131_051, "title": "Message type unknown", "message": "Message type unknown", "error_data": { "details": "x" } }],
    });
    line.tell(&with_fields(ADA, "wamid.2", ago(30), unsupported)).await;
    let conversation = line.conversation_with("wamid.2").await;
    for (id, pointer, value) in
        [("wamid.1", "/data/hologram/depth", json!(3)), ("wamid.2", "/data/unsupported/type", json!("poll_creation"))]
    {
        let attributes = line.known_as(conversation, id, |_| true).await["content_attributes"].clone();
        assert_eq!((&attributes["is_unsupported"], attributes.pointer(pointer)), (&json!(true), Some(&value)), "{attributes}");
    }
}

/// What the business says with its own telephone is said to the contact, and opens no window.
#[tokio::test(flavor = "multi_thread")]
async fn the_business_may_write_with_its_own_telephone() {
    let line = Line::open().await;
    let conversation = line.begins(ADA, "wamid.1", "hello").await;
    let webhook = echo(ADA, "wamid.echo", ago(30), "from the shop");
    line.tell(&webhook).await;
    line.tell(&webhook).await;
    let message = line.known_as(conversation, "wamid.echo", |_| true).await;
    assert_eq!(
        (&message["content"], &message["message_type"], &message["content_attributes"]["external_echo"]),
        (&json!("from the shop"), &json!(1), &json!(true)),
        "{message}"
    );
    assert_eq!(line.counts().await, (1, 2, 1));
    assert!(line.graph.sent().is_empty(), "it is not sent again");
}
