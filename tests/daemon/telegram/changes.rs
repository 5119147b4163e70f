//! What becomes of a message when people change their mind: edits, reactions, blocked bots.

use super::{ADA, Chat, TOKEN, ago, number};
use crate::fakes::telegram::person;
use crate::harness::eventually;
use crate::messengers::LATER;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_changes_the_message_and_keeps_what_was_said() {
    let chat = Chat::polled().await;
    let id = chat.says(ADA, json!({ "text": "two apples" })).await;
    let conversation = chat.conversation_with(&id).await;
    let before = chat.known_as(conversation, &id, |_| true).await;
    let mut cable = chat.listen().await;
    let at = ago(30);
    let own = json!({ "message_id": number(&id), "text": "three apples", "edit_date": at });
    let edited = chat.telegram.message(TOKEN, ADA, ago(60), own);
    let update = chat.telegram.update(TOKEN, "edited_message", edited);
    chat.tell(&update).await;
    let message = chat.known_as(conversation, &id, |message| message["content"] == "three apples").await;
    let attributes = &message["content_attributes"];
    assert_eq!((&message["id"], &message["created_at"]), (&before["id"], &before["created_at"]));
    assert_eq!(attributes["previous_content"], "two apples", "{message}");
    assert!(!attributes["edited_at"].is_null(), "{message}");
    let told = cable.next_event_where("message.updated", LATER, |told| told["id"] == message["id"]).await;
    assert_eq!(told["content"], "three apples");
    // Once more changes nothing.
    chat.tell(&update).await;
    chat.says(ADA, json!({ "text": "behind it" })).await;
    let messages = chat.wait_for_messages(conversation, 2).await;
    assert_eq!((messages.len(), &messages[0]["content_attributes"]), (2, attributes));
}

/// What agents change and take back is so at Telegram, too; what Telegram refuses is told.
#[tokio::test(flavor = "multi_thread")]
async fn agents_change_and_take_back_what_was_sent() {
    let chat = Chat::polled().await;
    let conversation = chat.begins(ADA, "hello").await;
    let reply = chat.reply(conversation, "tow").await;
    let id = number(chat.in_status(conversation, reply, "sent").await["source_id"].as_str().unwrap());
    let path = format!("/conversations/{conversation}/messages/{reply}");
    let changed = chat.client.patch(chat.client.a(&path), json!({ "content": "two **now**" })).await.expect(200);
    assert_eq!((&changed.body["content"], &changed.body["content_attributes"]["previous_content"]), (&json!("two **now**"), &json!("tow")));
    let call = chat.telegram.wait_for_calls("editMessageText", 1).await.remove(0);
    assert_eq!((call.value("message_id"), call.text("text")), (json!(id), "two <b>now</b>"));
    for (fields, words) in [(json!({ "content": " " }), "blank"), (json!({ "content": "a", "status": "read" }), "one at a time")] {
        let refused = chat.client.patch(chat.client.a(&path), fields).await.expect(422);
        assert!(refused.text.contains(words), "{}", refused.text);
    }
    let heard = chat.message(conversation, |message| message["content"] == "hello").await;
    let of_ada = format!("/conversations/{conversation}/messages/{}", heard["id"]);
    chat.client.patch(chat.client.a(&of_ada), json!({ "content": "not mine" })).await.expect(422);

    chat.client.delete(chat.client.a(&path)).await.expect(200);
    let call = chat.telegram.wait_for_calls("deleteMessage", 1).await.remove(0);
    assert_eq!((call.value("message_id"), call.chat()), (json!(id), Some(ADA)));
    let gone = chat.message(conversation, |message| message["id"] == reply && message["content_attributes"]["deleted"] == true).await;
    assert_eq!(gone["content"], "This message was deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn reactions_are_shown_on_their_message() {
    let chat = Chat::polled().await;
    let conversation = chat.begins(ADA, "hello").await;
    let reply = chat.reply(conversation, "good day").await;
    let source_id = chat.in_status(conversation, reply, "sent").await["source_id"].as_str().unwrap().to_owned();
    let contact = chat.conversation(conversation).await["meta"]["sender"]["id"].clone();
    let mut cable = chat.listen().await;
    let react = async |emojis: &[&str], date: i64| {
        let list: Vec<Value> = emojis.iter().map(|emoji| json!({ "type": "emoji", "emoji": emoji })).collect();
        let change = json!({
            "chat": { "id": ADA, "type": "private", "first_name": "Ada" }, "message_id": number(&source_id), "user": person(ADA),
            "date": date, "old_reaction": [], "new_reaction": list,
        });
        chat.tell(&chat.telegram.update(TOKEN, "message_reaction", change)).await;
    };
    react(&["👍"], ago(20)).await;
    let shown = json!([{ "emoji": "👍", "contact_id": contact }]);
    let message = chat.known_as(conversation, &source_id, |message| message["content_attributes"]["reactions"] == shown).await;
    let told = cable.next_event_where("message.updated", LATER, |told| told["content_attributes"]["reactions"] == shown).await;
    assert_eq!(told["id"], message["id"]);
    react(&["🔥", "👎"], ago(10)).await;
    let shown = json!([{ "emoji": "🔥", "contact_id": contact }, { "emoji": "👎", "contact_id": contact }]);
    chat.known_as(conversation, &source_id, |message| message["content_attributes"]["reactions"] == shown).await;
    react(&[], ago(5)).await;
    let is_gone = |message: &Value| message["content_attributes"]["reactions"].as_array().is_none_or(Vec::is_empty);
    chat.known_as(conversation, &source_id, is_gone).await;
    assert_eq!(chat.messages(conversation).await.len(), 2, "a reaction is no message");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_blocks_the_bot_cannot_be_reached_until_they_let_it() {
    let chat = Chat::polled().await;
    let conversation = chat.begins(ADA, "hello").await;
    let membership = async |from: &Value, to: &Value| {
        let change = json!({
            "chat": { "id": ADA, "type": "private", "first_name": "Ada" }, "from": person(ADA), "date": ago(5),
            "old_chat_member": from, "new_chat_member": to,
        });
        chat.tell(&chat.telegram.update(TOKEN, "my_chat_member", change)).await;
    };
    let bot = json!({ "id": 7_000_000_001_i64, "is_bot": true, "first_name": "Shop", "username": "shop_bot" });
    let (member, kicked) = (json!({ "status": "member", "user": bot }), json!({ "status": "kicked", "user": bot, "until_date": 0 }));
    let contact = chat.conversation(conversation).await["meta"]["sender"]["id"].clone();
    let unreachable = async |is_it: bool| {
        eventually(LATER, async || {
            let shown = chat.get(&format!("/contacts/{contact}")).await;
            let reasons = shown.body["payload"]["additional_attributes"]["unreachable"].clone();
            (reasons.is_object() == is_it).then_some(reasons)
        })
        .await
    };
    membership(&member, &kicked).await;
    let reasons = unreachable(true).await;
    assert!(reasons[chat.inbox.to_string()].as_str().unwrap().contains("blocked"), "{reasons}");
    let reply = chat.reply(conversation, "are you there?").await;
    let message = chat.in_status(conversation, reply, "failed").await;
    assert!(message["content_attributes"]["external_error"].as_str().unwrap().contains("blocked"), "{message}");
    membership(&kicked, &member).await;
    unreachable(false).await;
    let reply = chat.reply(conversation, "are you there?").await;
    chat.in_status(conversation, reply, "sent").await;
}
