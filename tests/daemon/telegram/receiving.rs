//! What becomes of what people write.

use super::{ADA, BOB, Chat, TOKEN, ago, number};
use crate::harness::eventually;
use crate::messengers::{LATER, PICTURE, shuffled};
use futures_util::StreamExt;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_text_makes_a_conversation() {
    for chat in [Chat::polled().await, Chat::pushed().await] {
        let date = ago(3600);
        let id = chat.says_at(ADA, date, json!({ "text": "Grüße 👋 <b>" })).await;
        let message = chat.known_as(1, &id, |_| true).await;
        assert_eq!(
            (&message["content"], &message["message_type"], &message["content_type"], &message["created_at"]),
            (&json!("Grüße 👋 <b>"), &json!(0), &json!("text"), &json!(date))
        );
        assert_eq!(
            (&message["sender"]["name"], &message["sender"]["type"], &message["private"]),
            (&json!(format!("Ada L{ADA}")), &json!("contact"), &json!(false))
        );
        let conversation = chat.conversation(1).await;
        assert_eq!(
            (&conversation["inbox_id"], &conversation["status"], &conversation["can_reply"], &conversation["unread_count"]),
            (&json!(chat.inbox), &json!("open"), &json!(true), &json!(1))
        );
        let sender = &conversation["meta"]["sender"];
        assert_eq!((&conversation["meta"]["channel"], &sender["name"]), (&json!("Channel::Telegram"), &json!(format!("Ada L{ADA}"))));
        assert_eq!(sender["additional_attributes"]["username"], json!(format!("ada{ADA}")), "{sender}");
        assert_eq!(sender["additional_attributes"]["social_profiles"]["telegram"], json!(format!("ada{ADA}")), "{sender}");
        assert_eq!(sender["additional_attributes"]["language_code"], "en", "{sender}");
        let contact = chat.get(&format!("/contacts/{}", sender["id"])).await;
        assert_eq!(contact.str("/payload/contact_inboxes/0/source_id"), ADA.to_string());

        // The next one joins it, another person does not.
        chat.says(ADA, json!({ "text": "more" })).await;
        chat.wait_for_messages(1, 2).await;
        assert_eq!(chat.begins(BOB, "me too").await, 2);
        assert_eq!(chat.counts().await, (2, 3, 2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deep_link_tells_where_somebody_came_from() {
    let chat = Chat::polled().await;
    let conversation = chat.begins(ADA, "/start summer-sale").await;
    let attributes = chat.conversation(conversation).await["additional_attributes"].clone();
    assert_eq!((&attributes["start_payload"], &attributes["chat_id"]), (&json!("summer-sale"), &json!(ADA)));
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_none_of_ours() {
    let chat = Chat::polled().await;
    let mut message = chat.telegram.message(TOKEN, ADA, ago(60), json!({ "text": "to all" }));
    message["chat"] = json!({ "id": -100_123_456, "type": "supergroup", "title": "All" });
    chat.tell(&chat.telegram.update(TOKEN, "message", message)).await;
    let conversation = chat.begins(ADA, "to you").await;
    assert_eq!((conversation, chat.counts().await), (1, (1, 1, 1)));
}

/// Telegram repeats what was not answered, and requests overtake each other.
#[tokio::test(flavor = "multi_thread")]
async fn repeated_and_mixed_up_updates_are_stored_once_and_in_order() {
    const COUNT: usize = 20;
    let chat = Chat::pushed().await;
    let pushes: Vec<_> = (0..COUNT)
        .map(|index| {
            let date = ago(1000) + i64::try_from(index).unwrap();
            let message = chat.telegram.message(TOKEN, ADA, date, json!({ "text": format!("number {index:02}") }));
            chat.telegram.tell(TOKEN, &chat.telegram.update(TOKEN, "message", message)).unwrap()
        })
        .collect();
    let statuses: Vec<u16> =
        futures_util::stream::iter(shuffled(&pushes, 3)).map(async |push| chat.push(&push).await.0).buffer_unordered(20).collect().await;
    assert_eq!(statuses, [200; 3 * COUNT]);
    let expected: Vec<String> = (0..COUNT).map(|index| format!("number {index:02}")).collect();
    eventually(LATER, async || (chat.messages(1).await.len() >= COUNT).then_some(())).await;
    assert_eq!(chat.texts(1).await, expected);
    assert_eq!(chat.counts().await, (1, COUNT, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quoted_message_is_found() {
    let chat = Chat::polled().await;
    let first = chat.says(ADA, json!({ "text": "first" })).await;
    let conversation = chat.conversation_with(&first).await;
    let ours = chat.reply(conversation, "second").await;
    let sent = chat.in_status(conversation, ours, "sent").await;
    for (quoted, text) in [(first.as_str(), "to myself"), (sent["source_id"].as_str().unwrap(), "to you")] {
        let quote = chat.telegram.message(TOKEN, ADA, ago(60), json!({ "text": "…", "message_id": number(quoted) }));
        let id = chat.says(ADA, json!({ "text": text, "reply_to_message": quote })).await;
        let message = chat.known_as(conversation, &id, |_| true).await;
        let attributes = &message["content_attributes"];
        let original = chat.known_as(conversation, quoted, |_| true).await;
        assert_eq!((&attributes["in_reply_to"], &attributes["in_reply_to_external_id"]), (&original["id"], &json!(quoted)), "{message}");
    }
    // What was quoted may be older than the desk.
    let quote = chat.telegram.message(TOKEN, ADA, ago(60), json!({ "text": "old", "message_id": 4 }));
    let id = chat.says(ADA, json!({ "text": "to the past", "reply_to_message": quote })).await;
    let message = chat.known_as(conversation, &id, |_| true).await;
    assert_eq!(message["content_attributes"]["in_reply_to"], Value::Null, "{message}");
    assert_eq!(message["content_attributes"]["in_reply_to_external_id"], format!("{ADA}:4"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_follow_their_message() {
    let chat = Chat::polled().await;
    let mut cable = chat.listen().await;
    let photo = |id: &str, width: i64| json!({ "file_id": id, "file_unique_id": format!("u{id}"), "width": width, "height": width });
    for (name, own, content, file_type, bytes) in [
        ("large", json!({ "photo": [photo("small", 10), photo("large", 100)], "caption": "look" }), "look", "image", PICTURE),
        (
            "voice",
            json!({ "voice": { "file_id": "voice", "file_unique_id": "v", "duration": 2, "mime_type": "audio/ogg" } }),
            "",
            "audio",
            b"OggS-voice",
        ),
        (
            "bill",
            json!({ "document": { "file_id": "bill", "file_unique_id": "d", "file_name": "Rechnung ä.pdf", "mime_type": "application/pdf" } }),
            "",
            "file",
            b"%PDF-1.4\n",
        ),
        (
            "film",
            json!({ "video": { "file_id": "film", "file_unique_id": "f", "width": 1, "height": 1, "duration": 1, "mime_type": "video/mp4" } }),
            "",
            "video",
            b"\0\0\0\x18ftypmp42",
        ),
    ] {
        chat.telegram.give_file(TOKEN, name, bytes);
        let id = chat.says(ADA, own).await;
        let message = chat.known_as(1, &id, |message| message["attachments"].as_array().is_some_and(|files| !files.is_empty())).await;
        assert_eq!(message["content"].as_str().unwrap_or_default(), content, "{message}");
        let attachment = &message["attachments"][0];
        assert_eq!((&attachment["file_type"], &attachment["file_size"]), (&json!(file_type), &json!(bytes.len())), "{message}");
        assert_eq!(chat.fetch(&attachment["data_url"]).await.1, bytes, "{name}");
        // It was there without its file at first.
        let created = cable.next_event_where("message.created", LATER, |told| told["id"] == message["id"]).await;
        assert!(created["attachments"].as_array().is_none_or(Vec::is_empty), "{created}");
        let updated = cable.next_event_where("message.updated", LATER, |told| told["id"] == message["id"]).await;
        assert_eq!(updated["attachments"][0]["file_type"], file_type, "{updated}");
    }
    let named = chat.message(1, |message| message["attachments"][0]["file_type"] == "file").await;
    let address = named["attachments"][0]["data_url"].as_str().unwrap();
    assert!(address.contains(".pdf"), "{address}");
    assert!(chat.telegram.calls("file/files/small").is_empty(), "only the largest picture is fetched");
}

/// A file that does not come is noted where it would be, and its message is there nevertheless.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_does_not_come_leaves_a_note() {
    let chat = Chat::polled().await;
    let document = |id: &str, size: i64| json!({ "document": { "file_id": id, "file_unique_id": id, "file_name": format!("{id}.bin"), "file_size": size }, "caption": id });
    chat.telegram.give_file(TOKEN, "huge", &vec![0; (20 << 20) + 1]);
    let id = chat.says(ADA, document("huge", 5)).await;
    let message = chat.known_as(1, &id, |message| message["content_attributes"]["skipped_attachments"].is_array()).await;
    let skipped = &message["content_attributes"]["skipped_attachments"][0];
    assert_eq!((&message["content"], &skipped["file_name"]), (&json!("huge"), &json!("huge.bin")), "{message}");
    assert!(skipped["reason"].as_str().unwrap().contains("20 MB"), "{message}");
    assert_eq!(message["status"], "sent", "{message}");

    // One that is away for a moment comes later.
    let id = chat.says(ADA, document("late", 4)).await;
    chat.telegram.wait_for("the file to be asked for", |telegram| telegram.calls("getFile").len() >= 2).await;
    chat.telegram.give_file(TOKEN, "late", b"late");
    let message = chat.known_as(1, &id, |message| message["attachments"][0]["data_url"].is_string()).await;
    assert_eq!(chat.fetch(&message["attachments"][0]["data_url"]).await.1, b"late");
}

#[tokio::test(flavor = "multi_thread")]
async fn places_and_cards_are_attachments() {
    let chat = Chat::polled().await;
    let venue = json!({ "location": { "latitude": 52.5, "longitude": 13.4 }, "title": "Café", "address": "Straße 1" });
    let id = chat.says(ADA, json!({ "venue": venue, "location": { "latitude": 52.5, "longitude": 13.4 } })).await;
    let conversation = chat.conversation_with(&id).await;
    let place = chat.known_as(conversation, &id, |_| true).await["attachments"][0].clone();
    assert_eq!(
        (&place["file_type"], place["coordinates_lat"].as_f64(), place["coordinates_long"].as_f64(), &place["fallback_title"]),
        (&json!("location"), Some(52.5), Some(13.4), &json!("Café, Straße 1")),
        "{place}"
    );
    let id = chat.says(ADA, json!({ "contact": { "phone_number": "+4930123456", "first_name": "Zoë", "last_name": "Z" } })).await;
    let card = chat.known_as(conversation, &id, |_| true).await["attachments"][0].clone();
    assert_eq!((&card["file_type"], &card["fallback_title"]), (&json!("contact"), &json!("+4930123456")), "{card}");
    assert_eq!((&card["meta"]["firstName"], &card["meta"]["lastName"]), (&json!("Zoë"), &json!("Z")), "{card}");
}

/// What Telegram invents next year is kept until somebody has taught the desk.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_known_is_kept() {
    let chat = Chat::polled().await;
    let id = chat.says(ADA, json!({ "game": { "title": "Chess", "description": "d", "photo": [] } })).await;
    let conversation = chat.conversation_with(&id).await;
    let message = chat.known_as(conversation, &id, |_| true).await;
    let attributes = &message["content_attributes"];
    assert_eq!((&attributes["is_unsupported"], &attributes["data"]["game"]["title"]), (&json!(true), &json!("Chess")), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_have_pictures() {
    let chat = Chat::polled().await;
    chat.telegram.give_picture(TOKEN, ADA, "portrait", PICTURE);
    let conversation = chat.begins(ADA, "hello").await;
    let contact = chat.conversation(conversation).await["meta"]["sender"]["id"].clone();
    let thumbnail = eventually(LATER, async || {
        let contact = chat.get(&format!("/contacts/{contact}")).await;
        Some(contact.at("/payload/thumbnail").clone()).filter(|thumbnail| thumbnail.as_str().is_some_and(|url| !url.is_empty()))
    })
    .await;
    assert_eq!(chat.fetch(&thumbnail).await.1, PICTURE);
}
