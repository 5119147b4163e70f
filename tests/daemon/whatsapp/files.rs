//! How files come and go.

use super::{ADA, Line};
use crate::messengers::{LATER, PICTURE};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn files_follow_their_message() {
    let line = Line::open().await;
    let mut cable = line.listen().await;
    for (id, kind, content_type, more, content, file_type, bytes) in [
        ("1001", "image", "image/png", json!({ "caption": "look" }), "look", "image", PICTURE),
        ("1002", "document", "application/pdf", json!({ "filename": "Rechnung ä.pdf", "caption": "bill" }), "bill", "file", b"%PDF-1.4\n"),
        ("1003", "audio", "audio/ogg; codecs=opus", json!({ "voice": true }), "", "audio", b"OggS-voice"),
        ("1004", "video", "video/mp4", json!({}), "", "video", b"\0\0\0\x18ftypmp42"),
    ] {
        let mut node = line.graph.give_file(id, content_type, bytes);
        node.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let source_id = format!("wamid.{id}");
        line.says(ADA, &source_id, kind, node).await;
        let has_file = |message: &Value| message["attachments"].as_array().is_some_and(|files| !files.is_empty());
        let message = line.known_as(1, &source_id, has_file).await;
        assert_eq!(message["content"].as_str().unwrap_or_default(), content, "{message}");
        let attachment = &message["attachments"][0];
        assert_eq!((&attachment["file_type"], &attachment["file_size"]), (&json!(file_type), &json!(bytes.len())), "{message}");
        assert_eq!(line.fetch(&attachment["data_url"]).await.1, bytes, "{kind}");
        let created = cable.next_event_where("message.created", LATER, |told| told["id"] == message["id"]).await;
        assert!(created["attachments"].as_array().is_none_or(Vec::is_empty), "it was there before its file: {created}");
        let updated = cable.next_event_where("message.updated", LATER, |told| told["id"] == message["id"]).await;
        assert_eq!(updated["attachments"][0]["file_type"], file_type, "{updated}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_link_is_renewed() {
    let line = Line::open().await;
    let node = line.graph.give_file("65", "image/png", PICTURE);
    // Two in a row end an attempt; the next one asks for a new link again.
    line.graph.let_links_die(3);
    line.says(ADA, "wamid.1", "image", node).await;
    let message = line.message(1, |message| message["attachments"][0]["data_url"].is_string()).await;
    assert_eq!(line.fetch(&message["attachments"][0]["data_url"]).await.1, PICTURE);
    assert!(line.graph.requests("GET", "/65").len() >= 4, "{:?}", line.graph.received());
}

/// A file that does not come is noted where it would be, and its message is there nevertheless.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_does_not_come_leaves_a_note() {
    let line = Line::open().await;
    let mut large = line.graph.give_file("66", "application/pdf", b"%PDF-1.4\n");
    large["filename"] = json!("all.pdf");
    line.graph.claim_size("66", (100 << 20) + 1);
    line.says(ADA, "wamid.large", "document", large).await;
    let is_noted = |message: &Value| message["content_attributes"]["skipped_attachments"].is_array();
    let message = line.known_as(1, "wamid.large", is_noted).await;
    let note = &message["content_attributes"]["skipped_attachments"][0];
    assert_eq!((&note["file_name"], &note["reason"]), (&json!("all.pdf"), &json!("larger than 100 MB")), "{message}");

    let lost = line.graph.give_file("67", "image/png", PICTURE);
    line.graph.lose_file("67");
    line.says(ADA, "wamid.lost", "image", lost).await;
    let message = line.known_as(1, "wamid.lost", is_noted).await;
    let note = &message["content_attributes"]["skipped_attachments"][0];
    assert!(note["reason"].as_str().unwrap().contains("no longer available at Meta"), "{message}");
    assert!(message["attachments"].as_array().is_none_or(Vec::is_empty), "{message}");
}

/// What is not what was sent is fetched again, and never shown.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_not_shown() {
    let line = Line::open().await;
    let node = line.graph.give_file("68", "image/png", PICTURE);
    line.graph.damage_file("68");
    line.says(ADA, "wamid.1", "image", node).await;
    line.graph.wait_for("the second attempt", |graph| graph.requests("GET", "/68").len() >= 3).await;
    let message = line.known_as(1, "wamid.1", |_| true).await;
    assert!(message["attachments"].as_array().is_none_or(Vec::is_empty), "{message}");
    line.graph.give_file("68", "image/png", PICTURE);
    let message = line.known_as(1, "wamid.1", |message| message["attachments"][0]["data_url"].is_string()).await;
    assert_eq!(line.fetch(&message["attachments"][0]["data_url"]).await.1, PICTURE);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_uploaded_and_sent() {
    let line = Line::open().await;
    let conversation = line.begins(ADA, "wamid.1", "hello").await;
    let files: [(&str, &str, &[u8]); 2] = [("a.png", "image/png", PICTURE), ("bill ä.pdf", "application/pdf", b"%PDF-1.4\n")];
    let reply = line.reply_with_files(conversation, "see *here*", &files).await;
    line.in_status(conversation, reply, "sent").await;
    let sent = line.graph.sent();
    assert_eq!((sent.len(), line.graph.uploads()), (2, 2));
    assert_eq!((&sent[0]["type"], &sent[0]["image"]["caption"]), (&json!("image"), &json!("see _here_")));
    assert_eq!((&sent[1]["type"], &sent[1]["document"]["filename"]), (&json!("document"), &json!("bill ä.pdf")));
    for (request, (kind, (_, _, bytes))) in sent.iter().zip(["image", "document"].iter().zip(files)) {
        let id = request[kind]["id"].as_str().unwrap();
        assert_eq!(line.graph.file(id).as_deref(), Some(bytes), "{kind}");
    }
}
