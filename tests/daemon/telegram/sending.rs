//! What people get.

use super::{ADA, Chat, TOKEN, ago, number};
use crate::fakes::telegram::{Fault, Outcome, person};
use crate::messengers::PICTURE;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_sent_and_known_by_telegrams_number() {
    let chat = Chat::polled().await;
    let conversation = chat.begins(ADA, "hello").await;
    let reply = chat.reply(conversation, "**Good** <day> & more").await;
    let message = chat.in_status(conversation, reply, "sent").await;
    assert_eq!(message["source_id"], format!("{ADA}:1001"), "{message}");
    let calls = chat.telegram.calls("sendMessage");
    assert_eq!((calls.len(), calls[0].chat()), (1, Some(ADA)));
    assert_eq!((calls[0].text("text"), calls[0].text("parse_mode")), ("<b>Good</b> &lt;day&gt; &amp; more", "HTML"));
    // A private note stays here.
    chat.reply_with(conversation, json!({ "content": "note", "private": true })).await.expect(200);
    let last = chat.reply(conversation, "bye").await;
    chat.in_status(conversation, last, "sent").await;
    let texts: Vec<String> = chat.telegram.calls("sendMessage").iter().map(|call| call.text("text").to_owned()).collect();
    assert_eq!(texts[1..], ["bye"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_may_quote() {
    let chat = Chat::polled().await;
    let id = chat.says(ADA, json!({ "text": "which one?" })).await;
    let conversation = chat.conversation_with(&id).await;
    let quoted = chat.known_as(conversation, &id, |_| true).await["id"].clone();
    let reply = chat.reply_with(conversation, json!({ "content": "this", "content_attributes": { "in_reply_to": quoted } })).await;
    let reply = reply.expect(200).id("/id");
    let message = chat.in_status(conversation, reply, "sent").await;
    assert_eq!(chat.telegram.calls("sendMessage")[0].value("reply_parameters")["message_id"], number(&id));
    assert_eq!(message["content_attributes"]["in_reply_to"], quoted, "{message}");
    assert_eq!(message["content_attributes"]["in_reply_to_external_id"], id, "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_sent_as_what_they_are() {
    let chat = Chat::polled().await;
    let conversation = chat.begins(ADA, "hello").await;
    for (name, content_type, bytes, method) in
        [("a.png", "image/png", PICTURE, "sendPhoto"), ("bill.pdf", "application/pdf", &b"%PDF-1.4\n"[..], "sendDocument")]
    {
        let reply = chat.reply_with_files(conversation, "see *here*", &[(name, content_type, bytes)]).await;
        chat.in_status(conversation, reply, "sent").await;
        let calls = chat.telegram.calls(method);
        assert_eq!((calls.len(), calls[0].text("caption")), (1, "see <i>here</i>"), "{method}");
        assert_eq!(calls[0].files, [(name.to_owned(), bytes.to_vec())], "{method}");
    }
    let reply = chat.reply_with_files(conversation, "both", &[("a.png", "image/png", PICTURE), ("b.png", "image/png", PICTURE)]).await;
    let message = chat.in_status(conversation, reply, "sent").await;
    let album = &chat.telegram.calls("sendMediaGroup")[0];
    assert_eq!((album.files.len(), album.value("media").as_array().unwrap().len()), (2, 2));
    assert_eq!(message["source_id"].as_str().unwrap().split(',').count(), 2, "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn places_and_cards_are_sent() {
    let chat = Chat::polled().await;
    let conversation = chat.begins(ADA, "where are you?").await;
    let attributes = json!({
        "location": { "latitude": 52.5, "longitude": 13.4, "title": "Café, Straße 1" },
        "contacts": [{ "first_name": "Zoë", "last_name": "Z", "phone_number": "+49301" }],
    });
    let reply = chat.reply_with(conversation, json!({ "content": "here", "content_attributes": attributes })).await.expect(200).id("/id");
    let message = chat.in_status(conversation, reply, "sent").await;
    assert_eq!(message["source_id"].as_str().unwrap().split(',').count(), 3, "known by all its parts: {message}");
    let (place, card) = (chat.telegram.calls("sendVenue").remove(0), chat.telegram.calls("sendContact").remove(0));
    assert_eq!((place.text("title"), place.text("address"), place.value("latitude")), ("Café", "Straße 1", json!(52.5)));
    assert_eq!((card.text("phone_number"), card.text("first_name"), card.text("last_name")), ("+49301", "Zoë", "Z"));
    let bare = json!({ "content_attributes": { "location": { "latitude": 1.5, "longitude": 2.5 } } });
    let reply = chat.reply_with(conversation, bare).await.expect(200).id("/id");
    chat.in_status(conversation, reply, "sent").await;
    assert_eq!(chat.telegram.calls("sendLocation").remove(0).value("longitude"), json!(2.5));
    let nameless = json!({ "content_attributes": { "contacts": [{ "first_name": "Zoë" }] } });
    let reply = chat.reply_with(conversation, nameless).await.expect(200).id("/id");
    let failed = chat.in_status(conversation, reply, "failed").await;
    let words = failed["content_attributes"]["external_error"].as_str().unwrap();
    assert!(words.contains("contacts[].phone_number"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_with_a_button() {
    for chat in [Chat::polled().await, Chat::pushed().await] {
        let conversation = chat.begins(ADA, "hello").await;
        let items = json!([{ "title": "Blue", "value": "blue" }, { "title": "Green", "value": "green" }]);
        let question = json!({ "content": "Which?", "content_type": "input_select", "content_attributes": { "items": items } });
        let question = chat.reply_with(conversation, question).await.expect(200).id("/id");
        let asked = chat.in_status(conversation, question, "sent").await;
        let keyboard = chat.telegram.calls("sendMessage")[0].value("reply_markup");
        let titles: Vec<&Value> = keyboard["inline_keyboard"].as_array().unwrap().iter().map(|row| &row[0]["text"]).collect();
        assert_eq!(titles, ["Blue", "Green"]);
        let shown = json!({ "message_id": number(asked["source_id"].as_str().unwrap()), "text": "Which?", "reply_markup": keyboard });
        let pressed = json!({
            "id": "4382bfdw", "from": person(ADA), "chat_instance": "1", "data": keyboard["inline_keyboard"][1][0]["callback_data"],
            "message": chat.telegram.message(TOKEN, ADA, ago(60), shown),
        });
        let update = chat.telegram.update(TOKEN, "callback_query", pressed);
        match chat.tell(&update).await {
            // The answer to the webhook is the call, so that the button does not wait for another.
            Some(answer) => assert_eq!(answer, (200, json!({ "method": "answerCallbackQuery", "callback_query_id": "4382bfdw" }))),
            None => assert_eq!(chat.telegram.wait_for_calls("answerCallbackQuery", 1).await[0].text("callback_query_id"), "4382bfdw"),
        }
        let answer = chat.message(conversation, |message| message["content"] == "Green").await;
        assert_eq!((&answer["message_type"], &answer["content_attributes"]["in_reply_to"]), (&json!(0), &json!(question)), "{answer}");
        assert_eq!(answer["content_attributes"]["submitted_values"], json!([{ "title": "Green", "value": "green" }]), "{answer}");
        chat.tell(&update).await;
        let last = chat.says(ADA, json!({ "text": "done" })).await;
        chat.known_as(conversation, &last, |_| true).await;
        let mut texts = chat.texts(conversation).await;
        texts.sort();
        assert_eq!(texts, ["Green", "Which?", "done", "hello"], "once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_telegram_refuses_fails_in_its_words() {
    let chat = Chat::polled().await;
    let conversation = chat.begins(ADA, "hello").await;
    chat.telegram.fail(Fault::Chat(ADA), 1, Outcome::Error(400, "Bad Request: chat not found", Value::Null));
    let reply = chat.reply(conversation, "are you there?").await;
    let message = chat.in_status(conversation, reply, "failed").await;
    assert!(message["content_attributes"]["external_error"].as_str().unwrap().contains("chat not found"), "{message}");
    // A person may try again.
    chat.post(&format!("/conversations/{conversation}/messages/{reply}/retry"), json!({})).await.expect(200);
    let message = chat.in_status(conversation, reply, "sent").await;
    assert_eq!(message["content_attributes"]["external_error"], Value::Null, "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_written_to_who_did_not_write_first() {
    let chat = Chat::polled().await;
    let contact = chat.post("/contacts", json!({ "name": "Carl", "inbox_id": chat.inbox, "source_id": "8123456799" })).await.expect(200);
    let contact = contact.id("/payload/contact/id");
    let opened = chat.post("/conversations", json!({ "inbox_id": chat.inbox, "contact_id": contact, "source_id": "8123456799" })).await;
    let refused = match opened.status {
        200 => chat.reply_with(opened.id("/id"), json!({ "content": "hello" })).await,
        _ => opened,
    };
    assert_eq!(refused.status, 422, "{}", refused.text);
    let words = refused.str("/error").to_lowercase();
    assert!(words.contains("writes") || words.contains("first") || words.contains("begin"), "{}", refused.text);
    assert!(chat.telegram.calls("sendMessage").is_empty());
}
