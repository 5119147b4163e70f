//! What becomes of a message afterwards: receipts, edits, reactions.

use super::{ADA, Line, ago, failure, status, with_fields};
use crate::messengers::LATER;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn receipts_only_rise() {
    let line = Line::open().await;
    let conversation = line.begins(ADA, "wamid.1", "hello").await;
    let reply = line.reply(conversation, "good day").await;
    let id = line.in_status(conversation, reply, "sent").await["source_id"].as_str().unwrap().to_owned();
    let sent = line.graph.sent()[0].clone();
    for (step, shown) in [
        ("sent", "sent"),
        ("delivered", "delivered"),
        ("sent", "delivered"),
        ("read", "read"),
        ("delivered", "read"),
        ("failed", "read"),
        ("played", "read"),
    ] {
        line.tell(&status(ADA, &sent, &id, step, ago(10))).await;
        // What comes behind it shows that it was read.
        let behind = line.reply(conversation, step).await;
        line.in_status(conversation, behind, "sent").await;
        line.in_status(conversation, reply, shown).await;
        let message = line.known_as(conversation, &id, |_| true).await;
        assert_eq!((&message["status"], &message["content_attributes"]["external_error"]), (&json!(shown), &Value::Null), "after {step}");
    }
    // One that is told of what nobody sent here is not an error.
    line.tell(&status(ADA, &json!({}), "wamid.of-another-program", "read", ago(5))).await;
    line.begins(ADA, "wamid.2", "bye").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_may_come_before_the_answer() {
    let line = Line::open().await;
    let conversation = line.begins(ADA, "wamid.1", "hello").await;
    line.graph.hold_answers_back(Duration::from_secs(4));
    let reply = line.reply(conversation, "good day").await;
    let sent = line.graph.wait_for_sent(1).await[0].clone();
    line.tell(&status(ADA, &sent, "wamid.ours.0", "delivered", ago(1))).await;
    line.in_status(conversation, reply, "delivered").await;
    line.graph.recover();
    // Messages of a conversation go one after the other: once this one went, the first has its answer.
    let second = line.reply(conversation, "and").await;
    line.in_status(conversation, second, "sent").await;
    let message = line.known_as(conversation, "wamid.ours.0", |_| true).await;
    assert_eq!((&message["id"], &message["status"]), (&json!(reply), &json!("delivered")));
    assert_eq!(line.graph.sent().len(), 2, "nothing was sent twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_may_fail_after_it_was_taken() {
    let line = Line::open().await;
    let conversation = line.begins(ADA, "wamid.1", "hello").await;
    let reply = line.reply(conversation, "good day").await;
    let id = line.in_status(conversation, reply, "sent").await["source_id"].as_str().unwrap().to_owned();
    let words = "This message was not delivered to maintain healthy ecosystem engagement.";
    line.tell(&failure(ADA, &line.graph.sent()[0], &id, 131_049, words)).await;
    let message = line.in_status(conversation, reply, "failed").await;
    let words = message["content_attributes"]["external_error"].as_str().unwrap();
    assert!(words.contains("healthy ecosystem engagement") && words.contains("131049"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_changes_the_message_and_keeps_what_was_said() {
    let line = Line::open().await;
    let conversation = line.begins(ADA, "wamid.1", "two apples").await;
    let mut cable = line.listen().await;
    let own = json!({ "original_message_id": "wamid.1", "message": { "type": "text", "text": { "body": "three apples" } } });
    let edit = with_fields(ADA, "wamid.edit", ago(30), json!({ "type": "edit", "edit": own }));
    line.tell(&edit).await;
    let message = line.known_as(conversation, "wamid.1", |message| message["content"] == "three apples").await;
    let attributes = &message["content_attributes"];
    assert_eq!(attributes["previous_content"], "two apples", "{message}");
    assert!(!attributes["edited_at"].is_null(), "{message}");
    let told = cable.next_event_where("message.updated", LATER, |told| told["id"] == message["id"]).await;
    assert_eq!(told["content"], "three apples");
    line.tell(&edit).await;
    assert_eq!(line.begins(ADA, "wamid.2", "behind it").await, conversation);
    let messages = line.wait_for_messages(conversation, 2).await;
    assert_eq!((messages.len(), &messages[0]["content_attributes"]), (2, attributes));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_back_is_shown_as_deleted() {
    let line = Line::open().await;
    let conversation = line.begins(ADA, "wamid.1", "a secret").await;
    let own = json!({ "type": "revoke", "revoke": { "original_message_id": "wamid.1" } });
    line.tell(&with_fields(ADA, "wamid.revoke", ago(30), own)).await;
    let message = line.known_as(conversation, "wamid.1", |message| message["content_attributes"]["deleted"] == true).await;
    assert_eq!(message["content"], "This message was deleted");
    assert_eq!(line.messages(conversation).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn reactions_are_shown_on_their_message() {
    let line = Line::open().await;
    let conversation = line.begins(ADA, "wamid.1", "hello").await;
    let reply = line.reply(conversation, "good day").await;
    let id = line.in_status(conversation, reply, "sent").await["source_id"].as_str().unwrap().to_owned();
    let contact = line.conversation(conversation).await["meta"]["sender"]["id"].clone();
    let mut cable = line.listen().await;
    let react = async |number: usize, seconds: u64, own: Value| {
        let fields = json!({ "type": "reaction", "reaction": own });
        line.tell(&with_fields(ADA, &format!("wamid.reaction{number}"), ago(seconds), fields)).await;
    };
    let is_gone = |message: &Value| message["content_attributes"]["reactions"].as_array().is_none_or(Vec::is_empty);
    for (number, emoji) in [(1, "👍"), (2, "🔥")] {
        react(number, 40 - u64::try_from(number).unwrap(), json!({ "message_id": id, "emoji": emoji })).await;
        let shown = json!([{ "emoji": emoji, "contact_id": contact }]);
        line.known_as(conversation, &id, |message| message["content_attributes"]["reactions"] == shown).await;
        let told = cable.next_event_where("message.updated", LATER, |told| told["content_attributes"]["reactions"] == shown).await;
        assert_eq!(told["id"], reply);
    }
    react(3, 20, json!({ "message_id": id, "emoji": "" })).await;
    line.known_as(conversation, &id, is_gone).await;
    react(4, 10, json!({ "message_id": id, "emoji": "👍" })).await;
    line.known_as(conversation, &id, |message| !is_gone(message)).await;
    // The emoji may be missing as well.
    react(5, 5, json!({ "message_id": id })).await;
    line.known_as(conversation, &id, is_gone).await;
    assert_eq!(line.messages(conversation).await.len(), 2, "a reaction is no message");
}
