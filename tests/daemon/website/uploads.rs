//! Which files visitors may send, how large, and how they are given back (contract, section 0, Limits).

use super::{Visitor, Website, assert_blames_inner};
use crate::app::{count, show};
use crate::desk::assert_refused;
use crate::harness::{Answer, Daemon};
use crate::messengers::PICTURE;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Digest;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

const PAGE: &[u8] = b"<!DOCTYPE html><html><script>alert(document.domain)</script></html>";
const DRAWING: &[u8] = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";

fn part(name: &str, kind: &str, bytes: &[u8]) -> Part {
    Part::bytes(bytes.to_vec()).file_name(name.to_owned()).mime_str(kind).unwrap()
}

/// A message with a file.
async fn send(visitor: &Visitor, name: &str, kind: &str, bytes: &[u8]) -> Answer {
    let form = Form::new().text("message[content]", "look").text("message[echo_id]", "e-1");
    visitor.post_form("messages", form.part("message[attachments][]", part(name, kind, bytes))).await
}

/// A file as everybody is given it: its headers and its bytes.
async fn fetch(website: &Website, address: &str) -> (Answer, Vec<u8>) {
    let visitor = website.daemon.visitor();
    let headers = visitor.get(address).await.expect(200);
    let bytes = visitor.request(Method::GET, address).send().await.unwrap().bytes().await.unwrap();
    (headers, bytes.to_vec())
}

/// Fails the test if a browser would run what is given under this address.
async fn assert_harmless(website: &Website, address: &str) {
    let (served, _) = fetch(website, address).await;
    assert_eq!(served.header("x-content-type-options"), Some("nosniff"), "{address}");
    let policy = served.header("content-security-policy").unwrap_or_default();
    assert!(policy.contains("sandbox") && policy.contains("default-src 'none'"), "{address}: {policy}");
    let kind = served.header("content-type").unwrap();
    assert!(!kind.contains("html") && !kind.contains("svg") && !kind.contains("xml") && !kind.contains("script"), "{address}: {kind}");
    let is_download = served.header("content-disposition").unwrap().starts_with("attachment");
    assert!(is_download || kind.starts_with("image/") || kind == "text/plain", "{address}: {kind} inline");
}

#[tokio::test]
async fn what_people_send_is_taken_and_given_back_as_it_was() {
    let website = Website::open(json!({})).await;
    let visitor = website.visitor().await;
    let files: [(&str, &str, &[u8], &str); 10] = [
        ("photo.png", "image/png", PICTURE, "image"),
        ("voice.mp3", "audio/mpeg", b"ID3\x04\0\0\0\0\0\0a voice", "audio"),
        ("film.mp4", "video/mp4", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isoma film", "video"),
        ("list.csv", "text/csv", b"a,b\n1,2\n", "file"),
        ("notes.txt", "text/plain", b"some notes", "file"),
        ("data.json", "application/json", b"{\"a\":1}", "file"),
        ("bill.pdf", "application/pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "file"),
        ("all.zip", "application/zip", b"PK\x03\x04\x14\0\0\0\0\0some files", "file"),
        ("order.xml", "application/xml", b"<?xml version=\"1.0\"?><order/>", "file"),
        ("letter.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", b"a letter", "file"),
    ];
    for (name, kind, bytes, file_type) in files {
        let written = send(&visitor, name, kind, bytes).await.expect(200);
        let file = written.at("/attachments/0");
        assert_eq!((&file["file_type"], &file["file_size"]), (&json!(file_type), &json!(bytes.len())), "{name}: {file}");
        let address = file["data_url"].as_str().unwrap();
        assert!(address.ends_with(&format!("/{name}")), "{address}");
        assert_eq!(fetch(&website, address).await.1, bytes, "{name}");
        assert_eq!((written.str("/content"), written.str("/echo_id")), ("look", "e-1"));
        if !name.ends_with(".xml") {
            assert_harmless_or_media(&website, address).await;
        }
    }
    let read = visitor.reads(None).await;
    assert_eq!(read.len(), files.len());
    assert_eq!(read[0]["attachments"][0]["file_type"], "image");
    // A picture needs no words.
    let alone = Form::new().part("message[attachments][]", part("alone.png", "image/png", PICTURE));
    assert_eq!(visitor.post_form("messages", alone).await.expect(200).at("/content"), &Value::Null);
}

/// The same for what plays in the page as well.
async fn assert_harmless_or_media(website: &Website, address: &str) {
    let (served, _) = fetch(website, address).await;
    let kind = served.header("content-type").unwrap();
    if !kind.starts_with("audio/") && !kind.starts_with("video/") && kind != "application/pdf" {
        assert_harmless(website, address).await;
    }
}

#[tokio::test]
async fn what_runs_is_refused() {
    let website = Website::open(json!({})).await;
    let visitor = website.visitor().await;
    for (name, kind, bytes) in [
        ("drawing.svg", "image/svg+xml", DRAWING),
        ("page.html", "text/html", PAGE),
        ("page.htm", "", PAGE),
        ("page.xhtml", "application/xhtml+xml", PAGE),
        ("code.js", "text/javascript", b"alert(1)".as_slice()),
        ("code.js", "application/x-javascript", b"alert(1)"),
        ("program.exe", "application/x-msdownload", b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0"),
        ("script.sh", "application/x-sh", b"#!/bin/sh\nrm -rf x\n"),
        ("unknown.dance", "application/x-dance", b"what?"),
    ] {
        let kind = if kind.is_empty() { "application/octet-stream" } else { kind };
        assert_blames_inner(&send(&visitor, name, kind, bytes).await, "attachments");
    }
    // One of many spoils all, so that nothing is sent by halves.
    let both = Form::new().text("message[content]", "both").part("message[attachments][]", part("a.png", "image/png", PICTURE));
    let both = both.part("message[attachments][]", part("page.html", "text/html", PAGE));
    assert_blames_inner(&visitor.post_form("messages", both).await, "attachments");
    assert!(visitor.conversations().await.is_empty(), "nothing of it is stored");
    // Agents are not held to it: the files are the site owner's own.
    let id = visitor.says("hello").await.id("/conversation_id");
    let form = Form::new().text("content", "see").part("attachments[]", part("page.html", "text/html", PAGE));
    let sent = website.admin.post_form(website.admin.a(&format!("/conversations/{id}/messages")), form).await.expect(200);
    assert_harmless(&website, sent.str("/attachments/0/data_url")).await;
}

#[tokio::test]
async fn a_page_under_a_pictures_name_never_runs() {
    let website = Website::open(json!({})).await;
    let visitor = website.visitor().await;
    for (name, kind, bytes) in [
        ("x.png", "image/png", PAGE),
        ("x.png", "image/png", b"hello <script>alert(1)</script>".as_slice()),
        ("x.jpg", "image/svg+xml", b"\n \n<svg onload=alert(1)>"),
        ("x.png", "image/png", b"<?xml version=\"1.0\"?><svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"),
        ("x.txt", "text/html", PAGE),
        ("x.pdf", "application/pdf", PAGE),
        ("x.png.html", "image/png", PICTURE),
        ("x.html", "image/png", PICTURE),
    ] {
        let answer = send(&visitor, name, kind, bytes).await;
        match answer.status {
            200 => assert_harmless_or_media(&website, answer.str("/attachments/0/data_url")).await,
            _ => assert_blames_inner(&answer, "attachments"),
        }
    }
}

#[tokio::test]
async fn files_have_a_size_and_a_number() {
    let daemon = Daemon::builder().env("KONVERSIO__FILES__MAX_BYTES", "100000");
    let website = Website::with(daemon, json!({})).await;
    let visitor = website.visitor().await;
    let refused = send(&visitor, "large.txt", "text/plain", &vec![b'x'; 100_001]).await;
    assert!(matches!(refused.status, 413 | 422), "{}: {}", refused.status, refused.text);
    assert!(!refused.str("/error").is_empty());
    send(&visitor, "small.txt", "text/plain", &vec![b'x'; 100_000]).await.expect(200);
    let many = (0..16).fold(Form::new().text("message[content]", "many"), |form, number| {
        form.part("message[attachments][]", part(&format!("{number}.txt"), "text/plain", b"x"))
    });
    assert_blames_inner(&visitor.post_form("messages", many).await, "attachments");
    let most =
        (0..15).fold(Form::new(), |form, number| form.part("message[attachments][]", part(&format!("{number}.txt"), "text/plain", b"x")));
    assert_eq!(visitor.post_form("messages", most).await.expect(200).at("/attachments").as_array().unwrap().len(), 15);
    assert_eq!(visitor.reads(None).await.len(), 2);
}

#[tokio::test]
async fn a_website_that_takes_no_files_takes_none() {
    let website = Website::open(json!({"channel": {"selected_feature_flags": ["emoji_picker"]}})).await;
    let visitor = website.visitor().await;
    let refused = send(&visitor, "photo.png", "image/png", PICTURE).await;
    assert!(matches!(refused.status, 403 | 422), "{}: {}", refused.status, refused.text);
    assert!(visitor.conversations().await.is_empty());
    assert_eq!(count(&website.daemon, "SELECT COUNT(*) FROM attachments").await, 0);
    website.change(json!({"channel": {"selected_feature_flags": ["attachments"]}})).await.expect(200);
    send(&visitor, "photo.png", "image/png", PICTURE).await.expect(200);
}

#[tokio::test]
async fn a_conversation_begins_with_files_and_all_the_rest_in_a_form() {
    let website = Website::open(json!({})).await;
    website.admin.post(website.admin.a("/labels"), json!({"title": "vip", "color": "#112233"})).await.expect(200);
    let visitor = website.visitor().await;
    let form = || {
        let fields = [
            ("contact[name]", "Mia"),
            ("contact[email]", "mia@example.com"),
            ("contact[custom_attributes][plan]", "gold"),
            ("message[content]", "see the picture"),
            ("message[timestamp]", "now"),
            ("message[referer_url]", "https://shop.example/"),
            ("message[echo_id]", "e-1"),
            ("custom_attributes[order]", "77"),
            ("labels[]", "vip"),
        ];
        let form = fields.into_iter().fold(Form::new(), |form, (name, value)| form.text(name, value));
        form.part("message[attachments][]", part("photo.png", "image/png", PICTURE))
    };
    let begin = async |form: Form| {
        let request = visitor.client.request(Method::POST, &visitor.path("conversations")).header("idempotency-key", "k").multipart(form);
        visitor.client.answer(request).await.expect(200)
    };
    let opened = begin(form()).await;
    assert_eq!((opened.str("/messages/0/content"), opened.str("/messages/0/attachments/0/file_type")), ("see the picture", "image"));
    let shown = show(&website.admin, opened.id("/id")).await;
    assert_eq!((shown.at("/custom_attributes/order"), shown.at("/labels")), (&json!("77"), &json!(["vip"])));
    assert_eq!(shown.str("/additional_attributes/referer"), "https://shop.example/");
    let contact = website.contact(visitor.contact).await;
    assert_eq!((&contact["name"], &contact["email"]), (&json!("Mia"), &json!("mia@example.com")));
    assert_eq!(contact["custom_attributes"], json!({"plan": "gold"}));
    // Sent again, with another boundary.
    assert_eq!(begin(form()).await.id("/messages/0/id"), opened.id("/messages/0/id"));
    assert_eq!(website.conversations().await.len(), 1);
}

/// Announces a file.
async fn announce(visitor: &Visitor, name: &str, kind: &str, bytes: &[u8]) -> Answer {
    let checksum = STANDARD.encode(md5::Md5::digest(bytes));
    let blob = json!({"filename": name, "byte_size": bytes.len(), "checksum": checksum, "content_type": kind});
    visitor.post("direct_uploads", json!({"blob": blob})).await
}

#[tokio::test]
async fn files_that_are_uploaded_first_are_held_to_the_same() {
    let daemon = Daemon::builder().env("KONVERSIO__FILES__MAX_BYTES", "100000");
    let website = Website::with(daemon, json!({})).await;
    let visitor = website.visitor().await;
    let announced = announce(&visitor, "photo.png", "image/png", PICTURE).await.expect(200);
    let signed = announced.str("/signed_id").to_owned();
    let message = |signed: &str| json!({"message": {"content": "look", "attachments": [signed]}});
    assert_blames_inner(&visitor.post("messages", message(&signed)).await, "attachments");
    let put = async |announced: &Answer, bytes: &[u8]| {
        let request = visitor.client.request(Method::PUT, announced.str("/direct_upload/url")).body(bytes.to_vec());
        visitor.client.answer(request).await
    };
    put(&announced, PICTURE).await.expect(204);
    let written = visitor.post("messages", message(&signed)).await.expect(200);
    let address = written.str("/attachments/0/data_url");
    assert_eq!(fetch(&website, address).await.1, PICTURE);
    assert_eq!(fetch(&website, address).await.0.header("content-type"), Some("image/png"));

    for (name, kind, bytes) in [("page.html", "text/html", PAGE), ("drawing.svg", "image/svg+xml", DRAWING), ("x.png", "image/png", PAGE)] {
        // Where it is refused, is open; that it is, or does no harm, is not.
        let announced = announce(&visitor, name, kind, bytes).await;
        if announced.status == 422 {
            continue;
        }
        let announced = announced.expect(200);
        if put(&announced, bytes).await.status == 422 {
            continue;
        }
        assert_blames_inner(&visitor.post("messages", message(announced.str("/signed_id"))).await, "attachments");
        assert_harmless(&website, announced.str("/direct_upload/url")).await;
    }
    let large = vec![b'x'; 100_001];
    assert_blames_inner(&announce(&visitor, "large.txt", "text/plain", &large).await, "byte_size");
    for (name, value) in [("checksum", json!("x")), ("byte_size", json!(-1)), ("filename", json!({}))] {
        let mut blob = json!({"filename": "a.txt", "byte_size": 1, "checksum": "XrY7u+Ae7tCTyyK7j1rNww==", "content_type": "text/plain"});
        blob[name] = value;
        assert_blames_inner(&visitor.post("direct_uploads", json!({"blob": blob})).await, name);
    }
    assert_refused(&announce(&visitor.with_token("a.b.c"), "photo.png", "image/png", PICTURE).await, 401);
    for wrong in [json!("nonsense"), json!([{}]), json!(["../../etc/passwd"]), json!([website.inbox.token])] {
        let answer = visitor.post("messages", json!({"message": {"content": "x", "attachments": wrong}})).await;
        assert_eq!(answer.status, 422, "{}", answer.text);
    }
    assert_eq!(visitor.reads(None).await.len(), 1);
}

#[tokio::test]
async fn broken_uploads_leave_nothing() {
    let website = Website::open(json!({})).await;
    let visitor = website.visitor().await;
    visitor.says("hello").await;
    let head = "--b\r\nContent-Disposition: form-data; name=\"message[content]\"\r\n\r\nhello\r\n";
    let file = "--b\r\nContent-Disposition: form-data; name=\"message[attachments][]\"; filename=\"a.txt\"\r\n\
        Content-Type: text/plain\r\n\r\nhalf of it";
    for (content_type, body) in [
        ("multipart/form-data", format!("{head}--b--\r\n")),
        ("multipart/form-data; boundary=other", format!("{head}--b--\r\n")),
        ("multipart/form-data; boundary=b", format!("{head}{file}")),
        ("multipart/form-data; boundary=b", String::new()),
    ] {
        for call in ["messages", "conversations"] {
            let request = visitor.client.request(Method::POST, &visitor.path(call)).header("content-type", content_type);
            let answer = visitor.client.answer(request.body(body.clone())).await;
            assert!(matches!(answer.status, 400 | 422), "{body:?}: {} {}", answer.status, answer.text);
            assert!(!answer.str("/error").is_empty());
        }
    }
    assert_eq!(visitor.reads(None).await.len(), 1);
    assert_eq!(website.conversations().await.len(), 1);
    assert_eq!(count(&website.daemon, "SELECT COUNT(*) FROM attachments").await, 0);
}
