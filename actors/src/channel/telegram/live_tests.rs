//! The channel against a Bot API of our own.
use super::fake::{self, Call, Desk, Outcome, TOKEN, Telegram, settings};
use super::{Mode, Settings, TelegramChannel};
use crate::channel::{Channel, ChannelError, Inlet, Media, Pause, Presence, Registration, Revisions};
use crate::message::{Outbound, OutboundAttachment, RemoteFile, SentParts};
use crate::secret::Secret;
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

async fn usual() -> (Telegram, TelegramChannel) {
    started(|_| None).await
}

async fn started(answer: impl Fn(&Call) -> Option<Outcome> + Send + Sync + 'static) -> (Telegram, TelegramChannel) {
    let fake = Telegram::start_with(answer).await;
    let channel = fake::channel(&fake, settings(), "http://desk.example");
    (fake, channel)
}

fn outbound(content: &str) -> Outbound {
    Outbound {
        message_id: 77,
        source_id: "8123456789".into(),
        content: Some(content.into()),
        content_type: "text".into(),
        ..Outbound::default()
    }
}

fn file(name: &str, content_type: &str) -> OutboundAttachment {
    OutboundAttachment { file_name: name.into(), content_type: content_type.into(), bytes: Bytes::from_static(b"content \r\n--x") }
}

fn said(text: &str, number: i64) -> Value {
    let from = json!({ "id": 8123456789_i64, "is_bot": false, "first_name": "Ada" });
    let chat = json!({ "id": 8123456789_i64, "type": "private", "first_name": "Ada" });
    json!({ "update_id": number, "message": { "message_id": number, "date": 1_700_000_000, "from": from, "chat": chat, "text": text } })
}

#[tokio::test]
async fn the_token_is_checked() {
    let (fake, channel) = usual().await;
    assert_eq!(Value::Object(channel.check().await.unwrap()), json!({ "bot_name": "shop_bot" }));
    let revoked = fake::channel(&fake, Settings { bot_token: Secret::new("7000000001:Other"), ..settings() }, "http://desk.example");
    let refused = revoked.check().await.unwrap_err();
    assert!(matches!(&refused, ChannelError::NeedsAttention(_)), "{refused:?}");
    assert!(revoked.unregister().await.is_ok());
}

#[tokio::test]
async fn a_text_is_sent() {
    let (fake, channel) = usual().await;
    let quoted = Outbound { quotes: Some("8123456789:480".into()), ..outbound("**Hello** <you>") };
    assert_eq!(channel.send(&quoted).await.unwrap().0, "8123456789:1001");
    let calls = fake.calls("sendMessage");
    assert_eq!(
        Value::Object(calls[0].parameters.clone()),
        json!({
            "chat_id": 8123456789_i64, "text": "<b>Hello</b> &lt;you&gt;", "parse_mode": "HTML",
            "reply_parameters": { "message_id": 480, "allow_sending_without_reply": true },
        })
    );
}

#[tokio::test]
async fn a_question_has_buttons() {
    let (fake, channel) = usual().await;
    let items = json!([{ "title": "Blue", "value": "blue" }, { "title": "Green", "value": "x".repeat(65) }]);
    let content_attributes = [("items".to_owned(), items)].into_iter().collect();
    let question = Outbound { content_type: "input_select".into(), content_attributes, ..outbound("Which?") };
    channel.send(&question).await.unwrap();
    let keyboard =
        json!({ "inline_keyboard": [[{ "text": "Blue", "callback_data": "blue" }], [{ "text": "Green", "callback_data": "item:77:1" }]] });
    assert_eq!(fake.calls("sendMessage")[0].parameters["reply_markup"], keyboard);
}

#[tokio::test]
async fn files_are_sent_in_the_way_that_fits_them() {
    for (content_type, method, field) in [
        ("image/jpeg", "sendPhoto", "photo"),
        ("image/gif", "sendAnimation", "animation"),
        ("video/mp4", "sendVideo", "video"),
        ("audio/mpeg", "sendAudio", "audio"),
        ("audio/ogg", "sendVoice", "voice"),
        ("application/pdf", "sendDocument", "document"),
    ] {
        let (fake, channel) = usual().await;
        let message =
            Outbound { attachments: vec![file("ä b.bin", content_type)], quotes: Some("8123456789:480".into()), ..outbound("*see*") };
        assert_eq!(channel.send(&message).await.unwrap().0, "8123456789:1001", "{content_type}");
        let call = &fake.calls(method)[0];
        assert!(call.text(field).starts_with("attach://"), "{content_type}");
        assert_eq!((call.text("caption"), call.text("parse_mode")), ("<i>see</i>", "HTML"), "{content_type}");
        assert_eq!(call.value("reply_parameters")["message_id"], 480, "{content_type}");
        assert_eq!(call.files[0].1, b"content \r\n--x", "{content_type}");
    }
}

#[tokio::test]
async fn several_pictures_are_an_album() {
    let (fake, channel) = usual().await;
    let attachments = vec![file("a.jpg", "image/jpeg"), file("b.mp4", "video/mp4"), file("c.pdf", "application/pdf")];
    let sent = channel.send(&Outbound { attachments, ..outbound("see") }).await.unwrap();
    assert_eq!(sent.0, "8123456789:1001,1002,1003");
    let album = &fake.calls("sendMediaGroup")[0];
    let shown: Vec<_> =
        album.value("media").as_array().unwrap().iter().map(|item| (item["type"].clone(), item["caption"].clone())).collect();
    assert_eq!(shown, [(json!("photo"), json!("see")), (json!("video"), Value::Null)]);
    assert_eq!((album.files.len(), fake.calls("sendDocument").len()), (2, 1));
    assert_eq!(fake.calls("sendDocument")[0].files[0].0, "c.pdf");
}

#[tokio::test]
async fn a_picture_that_telegram_does_not_show_goes_as_a_file() {
    let refuses =
        |call: &Call| (call.method == "sendphoto").then_some(Outcome::Error(400, "Bad Request: PHOTO_INVALID_DIMENSIONS", json!(null)));
    let (fake, channel) = started(refuses).await;
    channel.send(&Outbound { attachments: vec![file("wide.png", "image/png")], ..outbound("see") }).await.unwrap();
    assert_eq!(fake.methods(), ["sendphoto", "senddocument"]);
    assert_eq!(fake.calls("sendDocument")[0].text("caption"), "see");
}

/// What went is remembered, whatever comes next, and the next attempt begins behind it.
#[tokio::test]
async fn parts_that_went_are_not_sent_again() {
    let tries = AtomicUsize::new(0);
    let answer = move |call: &Call| {
        let fails = call.method == "sendmessage" && tries.fetch_add(1, Ordering::SeqCst) == 1;
        fails.then(|| Outcome::Error(429, "Too Many Requests: retry after 7", json!({ "retry_after": 7 })))
    };
    let (fake, channel) = started(answer).await;
    let message =
        Outbound { quotes: Some("8123456789:480".into()), ..outbound(&format!("{} {} {}", "a".repeat(4095), "b".repeat(4095), "c")) };
    let failed = channel.send(&message).await.unwrap_err();
    let ChannelError::Temporary { retry_after, pause, .. } = failed else { panic!("{failed:?}") };
    assert_eq!((retry_after, pause), (Some(Duration::from_secs(7)), Pause::Inbox));
    assert_eq!(message.sent.all(), [[format!("{}:1001", message.source_id)]]);

    let again = Outbound { sent: SentParts::new(message.sent.all()), ..message.clone() };
    let first = fake.calls("sendMessage").len();
    assert_eq!(channel.send(&again).await.unwrap().0, "8123456789:1001,1002,1003");
    let calls = fake.calls("sendMessage");
    let begun: String = calls[first..].iter().map(|call| call.text("text").chars().next().unwrap()).collect();
    assert_eq!(begun, "bc");
    let quoting: Vec<bool> = calls.iter().map(|call| call.parameters.contains_key("reply_parameters")).collect();
    assert_eq!(quoting, [true, false, false, false]);
}

#[tokio::test]
async fn errors_of_telegram_are_told() {
    for (code, words, expected) in [
        (403, "Forbidden: bot was blocked by the user", "rejected Forbidden: bot was blocked by the user"),
        (400, "Bad Request: chat not found", "rejected Bad Request: chat not found"),
        (400, "Bad Request: news", "rejected Bad Request: news"),
        (401, "Unauthorized", "attention"),
        (409, "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running", "temporary"),
    ] {
        let (_fake, channel) = started(move |_| Some(Outcome::Error(code, words, json!(null)))).await;
        let told = match channel.send(&outbound("hi")).await.unwrap_err() {
            ChannelError::Rejected(reason) => format!("rejected {reason}"),
            ChannelError::NeedsAttention(_) => "attention".into(),
            ChannelError::Temporary { .. } => "temporary".into(),
        };
        assert_eq!(told, expected);
    }
}

#[tokio::test]
async fn garbage_and_silence_are_temporary_and_do_not_tell_the_token() {
    let garbage = |_: &Call| Some(Outcome::Raw(200, b"<html>".to_vec()));
    let nothing = |_: &Call| Some(Outcome::Raw(200, br#"{"ok":true,"result":{}}"#.to_vec()));
    let replies: [fn(&Call) -> Option<Outcome>; 3] = [garbage, nothing, |_| Some(Outcome::Hang)];
    for reply in replies {
        let (_fake, channel) = started(reply).await;
        let error = channel.send(&outbound("hi")).await.unwrap_err();
        assert!(matches!(&error, ChannelError::Temporary { cause, .. } if !cause.contains(TOKEN)), "{error:?}");
    }
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let channel =
        TelegramChannel { api: super::api::Api::new(&Secret::new(TOKEN), &gone), settings: settings(), public_url: String::new() };
    let error = channel.send(&outbound("hi")).await.unwrap_err();
    assert!(matches!(&error, ChannelError::Temporary { cause, .. } if !cause.contains(TOKEN) && cause.contains("refused")), "{error:?}");
}

/// Telegram's answers grow: only the number of the message is read.
#[tokio::test]
async fn an_answer_of_another_form_is_still_an_answer() {
    let (_fake, channel) =
        started(|_| Some(Outcome::Raw(200, br#"{"ok":true,"result":{"message_id":5000000000,"date":"new"},"more":1}"#.to_vec()))).await;
    assert_eq!(channel.send(&outbound("hi")).await.unwrap().0, "8123456789:5000000000");
}

#[tokio::test]
async fn a_stranger_is_refused_without_a_call() {
    let (fake, channel) = usual().await;
    let message = Outbound { source_id: "ada@example.com".into(), ..outbound("hi") };
    assert!(matches!(channel.send(&message).await, Err(ChannelError::Rejected(reason)) if reason.contains("ada@example.com")));
    assert_eq!(fake.methods(), [""; 0]);
}

#[tokio::test]
async fn messages_are_changed_and_taken_back() {
    let (fake, channel) = started(|call| match (call.method.as_str(), call.value("message_id").as_i64()) {
        ("editmessagetext", Some(2)) => Some(Outcome::Error(400, "Bad Request: there is no text in the message to edit", json!(null))),
        ("editmessagetext", Some(3)) => Some(Outcome::Error(
            400,
            "Bad Request: message is not modified: specified new message content and reply markup are exactly the same as a current \
             content and reply markup of the message",
            json!(null),
        )),
        ("editmessagetext", Some(4)) => Some(Outcome::Error(400, "Bad Request: message can't be edited", json!(null))),
        ("deletemessage", Some(8)) => Some(Outcome::Error(400, "Bad Request: message to delete not found", json!(null))),
        ("deletemessage", Some(9)) => Some(Outcome::Error(400, "Bad Request: message can't be deleted for everyone", json!(null))),
        _ => None,
    })
    .await;
    let of = "8123456789";
    channel.edit(of, "8123456789:1", "*new*").await.unwrap();
    assert_eq!(fake.calls("editMessageText")[0].text("text"), "<i>new</i>");
    channel.edit(of, "8123456789:2", "*new*").await.unwrap();
    assert_eq!(fake.calls("editMessageCaption")[0].text("caption"), "<i>new</i>");
    channel.edit(of, "8123456789:3", "same").await.unwrap();
    for (id, content) in [("8123456789:4", "new"), ("8123456789:1,2", "new"), ("8123456789:1", " "), ("callback:1", "new")] {
        assert!(matches!(channel.edit(of, id, content).await, Err(ChannelError::Rejected(_))), "{id} {content:?}");
    }

    channel.delete(of, "8123456789:5,6").await.unwrap();
    channel.delete(of, "8123456789:8").await.unwrap();
    let deleted: Vec<Value> = fake.calls("deleteMessage").iter().map(|call| call.value("message_id")).collect();
    assert_eq!(deleted, [5, 6, 8]);
    for id in ["8123456789:9", "callback:1", ""] {
        assert!(matches!(channel.delete(of, id).await, Err(ChannelError::Rejected(_))), "{id}");
    }
}

#[tokio::test]
async fn typing_is_shown() {
    let (fake, channel) = usual().await;
    channel.typing("8123456789", None).await.unwrap();
    assert_eq!(fake.calls("sendChatAction")[0].text("action"), "typing");
}

#[tokio::test]
async fn files_are_fetched() {
    let (fake, channel) = started(|call| match call.method.as_str() {
        "getfile" => Some(match call.text("file_id") {
            "fine" => {
                Outcome::Result(json!({ "file_id": "fine", "file_unique_id": "u", "file_size": 5, "file_path": "photos/file 1.jpg" }))
            }
            "lies" => Outcome::Result(json!({ "file_id": "lies", "file_unique_id": "u", "file_path": "photos/large.jpg" })),
            "large" => Outcome::Result(json!({ "file_id": "large", "file_unique_id": "u", "file_size": 5000, "file_path": "x" })),
            "big" => Outcome::Error(400, "Bad Request: file is too big", json!(null)),
            "away" => Outcome::Error(400, "Bad Request: wrong file_id or the file is temporarily unavailable", json!(null)),
            "gone" => Outcome::Result(json!({ "file_id": "gone", "file_unique_id": "u", "file_path": "../../gone" })),
            other => panic!("{other}"),
        }),
        "getuserprofilephotos" => Some(Outcome::Result(match call.value("user_id").as_i64() {
            Some(5) => json!({ "total_count": 0, "photos": [] }),
            _ => json!({ "total_count": 1, "photos": [[
                { "file_id": "small", "file_unique_id": "s", "width": 1, "height": 1 },
                { "file_id": "fine", "file_unique_id": "u", "width": 2, "height": 2 },
            ]] }),
        })),
        "file/photos/file%201.jpg" => Some(Outcome::Raw(200, b"bytes".to_vec())),
        "file/photos/large.jpg" => Some(Outcome::Raw(200, vec![0; 200])),
        _ => None,
    })
    .await;
    let fetch = async |id: &str| {
        let file =
            RemoteFile { reference: json!({ "file_id": id }), file_name: String::new(), content_type: String::new(), byte_size: None };
        channel.fetch(&file, 100).await
    };
    assert_eq!(fetch("fine").await.unwrap(), "bytes");
    for (id, words) in [("lies", "larger than"), ("large", "larger than"), ("big", "20 MB"), ("gone", "404")] {
        let refused = fetch(id).await.unwrap_err();
        assert!(matches!(&refused, ChannelError::Rejected(reason) if reason.contains(words)), "{id}: {refused:?}");
    }
    assert!(matches!(fetch("away").await, Err(ChannelError::Temporary { .. })));
    assert!(fake.methods().iter().all(|method| !method.contains("..")), "{:?}", fake.methods());

    assert_eq!(channel.picture("8123456789").await.unwrap().unwrap(), "bytes");
    assert_eq!(channel.picture("5").await.unwrap(), None);
}

#[tokio::test]
async fn updates_are_polled_in_order_and_only_once_stored() {
    let batches = Mutex::new(VecDeque::from([
        json!([said("one", 10), said("two", 11)]),
        json!([{ "update_id": 12, "news": {} }, said("three", 13)]),
    ]));
    let fake = Telegram::start_with(move |call| {
        let mut batches = batches.lock().unwrap();
        // Telegram forgets what is below the offset, and only that.
        let offset = call.value("offset").as_i64();
        match (call.method.as_str(), offset) {
            ("getupdates", Some(12)) if batches.len() == 2 => drop(batches.pop_front()),
            ("getupdates", Some(14)) => batches.clear(),
            _ => {}
        }
        // An update of a kind that nobody knows yet is not in the description.
        let first = batches.front().cloned().unwrap_or(json!([]));
        (call.method == "getupdates").then(|| Outcome::Raw(200, json!({ "ok": true, "result": first }).to_string().into_bytes()))
    })
    .await;
    let desk = Arc::new(Desk::default());
    desk.refuses.store(true, Ordering::SeqCst);
    let channel = Arc::new(fake::channel(&fake, settings(), "http://desk.example"));
    let inlet: Inlet = desk.clone();
    let refused = channel.run(&inlet).await.unwrap_err();
    assert!(matches!(refused, ChannelError::Temporary { .. }), "{refused:?}");
    assert_eq!((desk.offset(), desk.said().len()), (None, 0));

    desk.refuses.store(false, Ordering::SeqCst);
    let running = tokio::spawn({
        let (channel, inlet) = (channel.clone(), inlet.clone());
        async move { channel.run(&inlet).await }
    });
    desk.wait_for("all updates", |desk| desk.offset() == Some(14)).await;
    assert_eq!(desk.said(), ["one", "two", "update:12", "three"]);
    fake.wait_for("a poll behind them", |fake| fake.calls("getUpdates").last().is_some_and(|call| call.value("offset") == 14)).await;
    running.abort();

    assert_eq!(fake.methods()[..2], ["deletewebhook", "getupdates"]);
    let polls = fake.calls("getUpdates");
    assert_eq!(polls[0].value("timeout"), 0);
    assert_eq!(polls.last().unwrap().value("timeout"), 1);
    assert_eq!(polls[0].value("allowed_updates"), json!(super::update::WANTED));
    assert!(polls.len() < 40, "it polled {} times without a breath", polls.len());
}

#[tokio::test]
async fn a_pressed_button_is_answered_while_polling() {
    let table: Value = serde_json::from_str(include_str!("testdata/updates.json")).unwrap();
    let pressed = table["a button"]["update"].clone();
    // Telegram takes its time for the answer: the next update does not wait.
    let (fake, channel) = started(move |call| match call.method.as_str() {
        "getupdates" if call.value("offset").is_null() => Some(Outcome::Result(json!([pressed, said("next", 900002)]))),
        "answercallbackquery" => Some(Outcome::Hang),
        _ => None,
    })
    .await;
    let desk = Arc::new(Desk::default());
    let inlet: Inlet = desk.clone();
    let running = tokio::spawn(async move { channel.run(&inlet).await });
    desk.wait_for("the next message", |desk| desk.offset() == Some(900003)).await;
    assert_eq!(desk.said(), ["Blue", "next"]);
    fake.wait_for("the answer", |fake| fake.calls("answerCallbackQuery").len() == 1).await;
    assert_eq!(fake.calls("answerCallbackQuery")[0].text("callback_query_id"), "4382bfdwdsb323b2d9");
    running.abort();
}

#[tokio::test]
async fn polling_ends_with_what_is_wrong() {
    let conflict = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running";
    for (code, words, expected) in [(409, conflict, "another program fetches"), (401, "Unauthorized", "BotFather")] {
        let (_fake, channel) = started(move |call| (call.method == "getupdates").then_some(Outcome::Error(code, words, json!(null)))).await;
        let desk = Arc::new(Desk::default());
        let inlet: Inlet = desk.clone();
        let error = channel.run(&inlet).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(matches!(error, ChannelError::NeedsAttention(_)), code == 401);
        assert!(!desk.connected.load(Ordering::SeqCst));
    }
    let silent = |call: &Call| (call.method == "getupdates").then_some(Outcome::Hang);
    let numberless = |call: &Call| (call.method == "getupdates").then(|| Outcome::Raw(200, br#"{"ok":true,"result":[{}]}"#.to_vec()));
    let garbage = |call: &Call| (call.method == "getupdates").then(|| Outcome::Raw(200, b"{}".to_vec()));
    let replies: [fn(&Call) -> Option<Outcome>; 3] = [silent, numberless, garbage];
    for reply in replies {
        let (_fake, channel) = started(reply).await;
        let inlet: Inlet = Arc::new(Desk::default());
        assert!(matches!(channel.run(&inlet).await, Err(ChannelError::Temporary { .. })));
    }
}

#[tokio::test]
async fn the_webhook_is_registered_and_watched() {
    let address = format!("https://desk.example/webhooks/telegram/{TOKEN}");
    let looked = AtomicUsize::new(0);
    let told = address.clone();
    let fake = Telegram::start_with(move |call| {
        // Once another program takes it away.
        let url = if looked.load(Ordering::SeqCst) == 1 { "https://other.example" } else { told.as_str() };
        (call.method == "getwebhookinfo").then(|| {
            looked.fetch_add(1, Ordering::SeqCst);
            Outcome::Result(json!({ "url": url, "has_custom_certificate": false, "pending_update_count": 0 }))
        })
    })
    .await;
    let channel = Arc::new(fake::channel(&fake, settings(), "https://desk.example"));
    let desk = Arc::new(Desk::default());
    let inlet: Inlet = desk.clone();
    let running = tokio::spawn({
        let channel = channel.clone();
        async move { channel.run(&inlet).await }
    });
    desk.wait_for("the webhook", |desk| desk.connected.load(Ordering::SeqCst)).await;
    fake.wait_for("it to be set again", |fake| fake.calls("setWebhook").len() == 2).await;
    fake.wait_for("it to be looked at again", |fake| fake.calls("getWebhookInfo").len() >= 5).await;
    running.abort();
    let set = fake.calls("setWebhook");
    assert_eq!(set.len(), 2);
    for call in set {
        assert_eq!((call.text("url"), call.value("drop_pending_updates")), (address.as_str(), json!(false)));
        assert_eq!(call.text("secret_token"), channel.settings.webhook_secret());
        assert_eq!(call.value("allowed_updates"), json!(super::update::WANTED));
    }
    assert!(fake.calls("getUpdates").is_empty());

    channel.unregister().await.unwrap();
    assert_eq!(fake.calls("deleteWebhook")[0].value("drop_pending_updates"), false);
}

#[tokio::test]
async fn an_address_that_telegram_refuses_needs_attention() {
    let words = "Bad Request: bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443";
    let fake = Telegram::start_with(move |call| (call.method == "setwebhook").then_some(Outcome::Error(400, words, json!(null)))).await;
    let channel = fake::channel(&fake, Settings { mode: Mode::Webhook, ..settings() }, "http://desk.example:3000");
    let inlet: Inlet = Arc::new(Desk::default());
    let refused = channel.run(&inlet).await.unwrap_err();
    assert!(matches!(&refused, ChannelError::NeedsAttention(reason) if reason == words), "{refused:?}");
}
