//! Updates as they come, and what becomes of them.
use super::super::fake::contract;
use super::*;
use crate::message::{InboundAttachment, Place};

/// An update as `testdata/updates.json` writes down what is expected of it.
fn told(update: &Update) -> Value {
    let at = |time: &DateTime<Utc>| json!(time.timestamp());
    match update {
        Update::Message(inbound) => {
            let mut told = Map::from_iter([("message".into(), json!(inbound.provider_id)), ("of".into(), json!(inbound.source_id))]);
            let mut set = |name: &str, value: Value| told.insert(name.into(), value);
            inbound.sent_at.iter().for_each(|time| drop(set("sent_at", at(time))));
            inbound.content.iter().for_each(|content| drop(set("content", json!(content))));
            inbound.quotes.iter().for_each(|quoted| drop(set("quotes", json!(quoted))));
            inbound.sender.name.iter().for_each(|name| drop(set("name", json!(name))));
            if !inbound.content_attributes.is_empty() {
                set("attributes", json!(inbound.content_attributes));
            }
            let mut conversation = inbound.conversation_attributes.clone();
            assert_eq!(conversation.remove("chat_id").unwrap().to_string(), inbound.source_id);
            if !conversation.is_empty() {
                set("conversation", json!(conversation));
            }
            if !inbound.attachments.is_empty() {
                set("attachments", inbound.attachments.iter().map(attachment).collect());
            }
            Value::Object(told)
        }
        Update::Edit(edit) => json!({ "edit": edit.provider_id, "of": edit.source_id, "at": at(&edit.at), "content": edit.content }),
        Update::Reaction(reaction) => {
            json!({ "reaction": reaction.provider_id, "of": reaction.source_id, "at": at(&reaction.at), "emojis": reaction.emojis })
        }
        Update::Reachable { source_id, reachable, reason } => json!({ "reachable": reachable, "of": source_id, "reason": reason }),
        other => panic!("not expected: {other:?}"),
    }
}

fn attachment(attachment: &InboundAttachment) -> Value {
    match attachment {
        InboundAttachment::Remote(file) => {
            let reference = |name: &str| file.reference.get(name).cloned();
            let (id, unique) = (reference("file_id"), reference("file_unique_id"));
            let mut told = json!({ "file": file.file_name, "type": file.content_type, "id": id, "unique": unique });
            file.byte_size.iter().for_each(|size| told["size"] = json!(size));
            told
        }
        InboundAttachment::Place(Place { latitude, longitude, title }) => json!({ "place": title, "at": [latitude, longitude] }),
        InboundAttachment::Card(card) => json!({ "card": [card.first_name, card.last_name, card.phone_number] }),
        InboundAttachment::File(file) => panic!("not expected: {file:?}"),
    }
}

#[test]
fn updates_are_told() {
    let table: Map<String, Value> = serde_json::from_str(include_str!("../testdata/updates.json")).unwrap();
    for (name, case) in table {
        assert_eq!(contract::update(&case["update"]), [""; 0], "{name}");
        assert_eq!(json!(read(&case["update"]).iter().map(told).collect::<Vec<_>>()), case["told"], "{name}");
    }
}

#[test]
fn the_sender_is_described() {
    let update = json!({ "update_id": 1, "message": {
        "message_id": 1, "date": 1, "chat": { "id": 5, "type": "private" }, "text": "hi",
        "from": { "id": 5, "is_bot": false, "first_name": "Ada", "username": "ada", "language_code": "en" },
    } });
    let [Update::Message(inbound)] = &read(&update)[..] else { panic!("no message") };
    let attributes = json!({ "username": "ada", "social_profiles": { "telegram": "ada" }, "language_code": "en" });
    assert_eq!(json!(inbound.sender.attributes), attributes);
}

/// What is damaged is kept as it came, and never the end of anything.
#[test]
fn what_cannot_be_read_is_kept() {
    let chat = json!({ "id": 5, "type": "private" });
    for (update, key, reason) in [
        (json!({ "update_id": 7, "news": {} }), "update:7", "an update of a kind that is not known"),
        (json!({ "update_id": 8, "message": { "chat": chat } }), "update:8", "a message without its id"),
        (json!({ "update_id": 8, "message": { "message_id": 1 } }), "update:8", "a message without its chat"),
        (json!({ "update_id": 8, "message": "text" }), "update:8", "a message without its chat"),
        (json!({ "update_id": 8, "message": { "message_id": 1, "chat": chat, "from": {} } }), "update:8", "a message without its sender"),
        (
            json!({ "update_id": 8, "message": { "message_id": 99999999999999999999_u128 as f64, "chat": chat } }),
            "update:8",
            "a message without its id",
        ),
        (json!({ "update_id": 9, "callback_query": {} }), "update:9", "the press of a button without its id"),
        (json!({ "update_id": 9, "edited_message": null }), "update:9", "a message without its chat"),
    ] {
        match &read(&update)[..] {
            [Update::Unreadable { provider_key, reason: said, raw }] => {
                assert_eq!((provider_key.as_str(), said.as_str()), (key, reason), "{update}");
                assert_eq!(serde_json::from_slice::<Value>(raw).unwrap(), update);
            }
            other => panic!("{update}: {other:?}"),
        }
    }
    for update in [json!(null), json!([]), json!("text"), json!({})] {
        let [Update::Unreadable { provider_key, .. }] = &read(&update)[..] else { panic!("{update}") };
        assert_eq!(provider_key.len(), "update:".len() + 64, "{update}");
    }
}

/// Parts of the wrong kind are left out, the rest is there.
#[test]
fn parts_of_the_wrong_kind_are_left_out() {
    let base = json!({ "message_id": 1, "date": "soon", "chat": { "id": 5, "type": "private" }, "from": { "id": 5, "first_name": 7 } });
    for (part, value, content) in [
        ("text", json!("hi"), Some("hi")),
        ("entities", json!([{ "type": "bold", "offset": -1, "length": 2 }, 7, {}]), None),
        ("photo", json!("picture"), None),
        ("photo", json!([{ "width": 1 }, null]), None),
        ("document", json!({ "file_id": 7 }), None),
        ("location", json!({ "latitude": "north" }), None),
        ("dice", json!({ "emoji": "🎲" }), None),
    ] {
        let mut message = base.clone();
        message[part] = value;
        let [Update::Message(inbound)] = &read(&json!({ "update_id": 1, "message": message }))[..] else { panic!("{part}") };
        assert_eq!((inbound.content.as_deref(), inbound.sent_at, &inbound.sender.name), (content, None, &None), "{part}");
        let is_unsupported = inbound.content_attributes.get("is_unsupported") == Some(&json!(true));
        assert_eq!(is_unsupported, content.is_none(), "{part}");
    }
}

/// PostgreSQL takes no NUL: the update would be refused, and come again for ever.
#[test]
fn no_text_keeps_a_nul() {
    let update = json!({ "update_id": 1, "message": {
        "message_id": 1, "date": 1, "chat": { "id": 5, "type": "private" }, "from": { "id": 5, "first_name": "A\0da" },
        "text": "h\0i", "st\0ory": { "a": ["\0"] },
    } });
    let [Update::Message(inbound)] = &read(&update)[..] else { panic!("no message") };
    assert_eq!((inbound.content.as_deref(), inbound.sender.name.as_deref()), (Some("hi"), Some("Ada")));
    let unknown = json!({ "update_id": 1, "ne\0ws": ["\0"] });
    let [Update::Unreadable { raw, .. }] = &read(&unknown)[..] else { panic!("read") };
    assert_eq!(raw, r#"{"news":[""],"update_id":1}"#);
}

#[test]
fn presses_are_to_be_answered() {
    assert_eq!(pressed(&json!({ "callback_query": { "id": "7" } })), Some("7"));
    assert_eq!(pressed(&json!({ "message": { "id": "7" } })), None);
}

proptest::proptest! {
    /// Nothing that comes makes the reader panic.
    #[test]
    fn anything_is_read(text in ".{0,40}", kind in 0..5_usize, part in "[a-z_]{1,12}", offset in -3..60_i64, length in -3..60_i64) {
        let entities = json!([{ "type": part, "offset": offset, "length": length }, { "type": "pre", "offset": length, "length": offset }]);
        let message = json!({
            "message_id": offset, "chat": { "id": 5, "type": "private" }, "from": { "id": 5 },
            "text": text, "entities": entities, part.as_str(): text, "reply_markup": { part.as_str(): entities },
        });
        read(&json!({ "update_id": length, WANTED[kind]: message }));
    }
}
