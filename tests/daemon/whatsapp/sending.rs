//! What people get, and when they may be written to.

use super::{ADA, Line, ago, echo, message};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_sent_and_known_by_metas_id() {
    let line = Line::open().await;
    let conversation = line.begins(ADA, "wamid.1", "hello").await;
    let reply = line.reply(conversation, "**Good** day ü").await;
    let message = line.in_status(conversation, reply, "sent").await;
    assert_eq!(message["source_id"], "wamid.ours.0");
    let sent = line.graph.sent();
    assert_eq!((sent.len(), &sent[0]["to"], &sent[0]["text"]["body"]), (1, &json!("4930111111"), &json!("*Good* day ü")));
    line.reply_with(conversation, json!({ "content": "note", "private": true })).await.expect(200);
    let last = line.reply(conversation, "bye").await;
    line.in_status(conversation, last, "sent").await;
    assert_eq!(line.graph.sent()[1]["text"]["body"], "bye");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_may_quote() {
    let line = Line::open().await;
    let conversation = line.begins(ADA, "wamid.1", "which one?").await;
    let quoted = line.known_as(conversation, "wamid.1", |_| true).await["id"].clone();
    let fields = json!({ "content": "this", "content_attributes": { "in_reply_to": quoted } });
    let reply = line.reply_with(conversation, fields).await.expect(200).id("/id");
    let message = line.in_status(conversation, reply, "sent").await;
    assert_eq!(line.graph.sent()[0]["context"], json!({ "message_id": "wamid.1" }));
    assert_eq!(message["content_attributes"]["in_reply_to"], quoted, "{message}");
    assert_eq!(message["content_attributes"]["in_reply_to_external_id"], "wamid.1", "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn places_and_cards_are_sent() {
    let line = Line::open().await;
    let conversation = line.begins(ADA, "wamid.1", "where are you?").await;
    let attributes = json!({
        "location": { "latitude": 52.5, "longitude": 13.4, "title": "Café" },
        "contacts": [{ "first_name": "Zoë", "last_name": "Z", "phone_number": "+49301" }],
    });
    let reply = line.reply_with(conversation, json!({ "content": "here", "content_attributes": attributes })).await.expect(200).id("/id");
    line.in_status(conversation, reply, "sent").await;
    let sent = line.graph.sent();
    let kinds: Vec<&Value> = sent.iter().map(|request| &request["type"]).collect();
    assert_eq!(kinds, ["text", "location", "contacts"]);
    assert_eq!(sent[1]["location"]["name"], "Café");
    assert_eq!(sent[2]["contacts"][0]["name"]["first_name"], "Zoë");
}

/// WhatsApp lets a business answer for a day; then only what Meta has approved goes out.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_day_only_templates_are_sent() {
    let line = Line::open().await;
    line.tell(&message(ADA, "wamid.old", ago(25 * 3600), "text", json!({ "body": "hello" }))).await;
    let conversation = line.conversation_with("wamid.old").await;
    assert_eq!(line.conversation(conversation).await["can_reply"], false);
    let refused = line.reply_with(conversation, json!({ "content": "too late" })).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(refused.str("/error").contains("template"), "{}", refused.text);
    assert_eq!(line.messages(conversation).await.len(), 1);
    // A note is no message.
    line.reply_with(conversation, json!({ "content": "note", "private": true })).await.expect(200);

    let params = json!({ "name": "greeting", "language": "en_US", "category": "UTILITY", "processed_params": { "body": { "1": "Ada" } } });
    let reply = line.reply_with(conversation, json!({ "content": "Hello Ada", "template_params": params })).await.expect(200).id("/id");
    line.in_status(conversation, reply, "sent").await;
    let sent = &line.graph.sent()[0];
    assert_eq!(
        (&sent["type"], &sent["template"]["name"], &sent["template"]["language"]["code"]),
        (&json!("template"), &json!("greeting"), &json!("en_US"))
    );
    assert_eq!(sent["template"]["components"], json!([{ "type": "body", "parameters": [{ "type": "text", "text": "Ada" }] }]));

    // The contact opens it again.
    line.begins(ADA, "wamid.new", "again").await;
    assert_eq!(line.conversation(conversation).await["can_reply"], true);
    let reply = line.reply(conversation, "in time").await;
    line.in_status(conversation, reply, "sent").await;
}

/// What the business says itself opens no window, and neither does a reaction or a receipt of an old message.
#[tokio::test(flavor = "multi_thread")]
async fn an_echo_opens_no_window() {
    let line = Line::open().await;
    line.tell(&message(ADA, "wamid.old", ago(25 * 3600), "text", json!({ "body": "hello" }))).await;
    let conversation = line.conversation_with("wamid.old").await;
    line.tell(&echo(ADA, "wamid.echo", ago(30), "from the shop")).await;
    line.known_as(conversation, "wamid.echo", |_| true).await;
    assert_eq!(line.conversation(conversation).await["can_reply"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_business_begins_with_a_template() {
    let line = Line::open().await;
    let contact =
        line.post("/contacts", json!({ "name": "Carl", "phone_number": "+4930333333", "inbox_id": line.inbox })).await.expect(200);
    assert_eq!(contact.str("/payload/contact_inbox/source_id"), "4930333333");
    let opened = line
        .post("/conversations", json!({ "inbox_id": line.inbox, "contact_id": contact.id("/payload/contact/id") }))
        .await
        .expect(200)
        .id("/id");
    let refused = line.reply_with(opened, json!({ "content": "hello" })).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(refused.str("/error").contains("template"), "{}", refused.text);
    let params = json!({ "name": "greeting", "language": "de", "category": "UTILITY", "processed_params": {} });
    let reply = line.reply_with(opened, json!({ "content": "Hallo", "template_params": params })).await.expect(200).id("/id");
    line.in_status(opened, reply, "sent").await;
    assert_eq!(line.graph.sent()[0]["to"], "4930333333");
}

/// Meta knows better than a clock whether the window is open.
#[tokio::test(flavor = "multi_thread")]
async fn what_meta_refuses_fails_in_its_words() {
    let line = Line::open().await;
    let conversation = line.begins(ADA, "wamid.1", "hello").await;
    line.graph.refuse_next(400, 131_047, "More than 24 hours have passed since the recipient last replied to the sender number.");
    let reply = line.reply(conversation, "good day").await;
    let message = line.in_status(conversation, reply, "failed").await;
    let words = message["content_attributes"]["external_error"].as_str().unwrap();
    assert!(words.contains("131047") && words.contains("template"), "{message}");
    line.post(&format!("/conversations/{conversation}/messages/{reply}/retry"), json!({})).await.expect(200);
    line.in_status(conversation, reply, "sent").await;
}

/// Agents who look at a conversation have read it, and Meta is told.
#[tokio::test(flavor = "multi_thread")]
async fn contacts_see_that_they_are_read() {
    let line = Line::open().await;
    let conversation = line.begins(ADA, "wamid.1", "hello").await;
    line.post(&format!("/conversations/{conversation}/update_last_seen"), json!({})).await.expect(200);
    line.graph.wait_for("the message to be marked as read", |graph| !graph.read().is_empty()).await;
    assert_eq!(line.graph.read()[0]["message_id"], "wamid.1");
    line.post(&format!("/conversations/{conversation}/toggle_typing_status"), json!({ "typing_status": "on" })).await.expect(200);
    line.graph.wait_for("the typing", |graph| graph.read().iter().any(|request| request["typing_indicator"]["type"] == "text")).await;
}
