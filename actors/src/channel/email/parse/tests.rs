//! Mails as they come, and what becomes of them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use super::*;

const PLAIN: &[u8] = include_bytes!("../testdata/plain.eml");
const REPLY: &[u8] = include_bytes!("../testdata/reply.eml");
const INLINE: &[u8] = include_bytes!("../testdata/inline.eml");
const BOUNCE: &[u8] = include_bytes!("../testdata/bounce.eml");

fn inbound(raw: &[u8]) -> Inbound {
    match parse(raw, "support@shop.example", None, DateTime::from_timestamp(1_762_000_000, 0).unwrap()) {
        Ok(Parsed::Inbound(inbound)) => *inbound,
        other => panic!("{other:?}"),
    }
}

fn references(inbound: &Inbound) -> &[Reference] {
    match &inbound.thread {
        Thread::References(references) => references,
        Thread::Latest => panic!("no references"),
    }
}

#[test]
fn a_plain_mail() {
    let inbound = inbound(PLAIN);
    assert_eq!(inbound.source_id, "bob@customer.example");
    assert_eq!(inbound.sender.name.as_deref(), Some("Bob Bürger"));
    assert_eq!(inbound.sender.email.as_deref(), Some("bob@customer.example"));
    assert_eq!(inbound.provider_id.as_deref(), Some("one@customer.example"));
    assert_eq!(inbound.content.as_deref(), Some("My parcel has not arrived, and I have been waiting for two weeks."));
    assert_eq!(inbound.content_type, "incoming_email");
    assert!(references(&inbound).is_empty() && inbound.attachments.is_empty());
    let quoted = "On Sat, 1 Nov 2025 at 09:00, Support <support@shop.example> wrote:\n> Your parcel is on its way.";
    let reply = "My parcel has not arrived, and I have been waiting for two weeks.";
    let email = json!({
        "from": ["Bob@Customer.Example"],
        "to": ["support@shop.example", "second@shop.example"],
        "cc": ["carol@customer.example"],
        "bcc": [],
        "subject": "Grüße aus Köln",
        "date": "2025-11-03T10:15:00+01:00",
        "message_id": "one@customer.example",
        "in_reply_to": null,
        "multipart": false,
        "content_type": "text/plain; charset=utf-8; format=flowed",
        "number_of_attachments": 0,
        "references": [],
        "headers": {},
        "html_content": { "full": null, "reply": null, "quoted": null },
        "text_content": { "full": format!("{reply}\n\n{quoted}\n"), "reply": reply, "quoted": quoted },
        "auto_reply": false,
    });
    assert_eq!(Value::Object(inbound.content_attributes), json!({ "email": email }));
    assert_eq!(
        Value::Object(inbound.conversation_attributes),
        json!({
            "source": "email", "mail_subject": "Grüße aus Köln", "in_reply_to": null, "auto_reply": false,
            "initiated_at": { "timestamp": "2025-11-01T12:26:40+00:00" },
        })
    );
}

#[test]
fn an_answer_in_two_forms() {
    let inbound = inbound(REPLY);
    let conversation = |uuid: &str| Reference::Conversation(uuid.parse().unwrap());
    let message = |id: &str| Reference::Message(id.to_owned());
    assert_eq!(
        references(&inbound),
        [
            conversation("0d9b4a51-4f5c-4f8e-9a3b-0c1d2e3f4a5b"),
            message("conversation/11111111-2222-4333-8444-555555555555/messages/77@shop.example"),
            conversation("11111111-2222-4333-8444-555555555555"),
            message("account/3/conversation/aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee@shop.example"),
            conversation("aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"),
            message("first@customer.example"),
        ]
    );
    assert_eq!(inbound.content.as_deref(), Some("It costs 5 €."));
    let email = &inbound.content_attributes["email"];
    assert_eq!(email["html_content"]["reply"], "<div>It costs <b>5 €</b>.</div>");
    assert_eq!(email["html_content"]["quoted"], "<div>On Sat, Support wrote:<blockquote>old</blockquote></div>");
    assert_eq!(email["text_content"]["quoted"], "On Sat, Support wrote something:\n> old");
    assert_eq!(email["multipart"], true);
    assert_eq!(email["references"][0], "first@customer.example");
}

#[test]
fn files_and_pictures() {
    let inbound = inbound(INLINE);
    let files: Vec<(&str, &str, Option<&str>, &[u8])> = inbound
        .attachments
        .iter()
        .map(|attachment| {
            let InboundAttachment::File(file) = attachment else { panic!("{attachment:?}") };
            (file.file_name.as_str(), file.content_type.as_str(), file.content_id.as_deref(), file.bytes.as_ref())
        })
        .collect();
    assert_eq!(
        files,
        [
            ("a.png", "image/png", Some("pic@one"), b"\x89PNG\r\n\x1a\n".as_slice()),
            ("", "image/gif", None, b"GIF89a".as_slice()),
            ("Rechnung ü.pdf", "application/pdf", None, b"%PDF-1.4\n".as_slice()),
            (
                "message.eml",
                "message/rfc822",
                None,
                b"From: ann@customer.example\nContent-Type: message/rfc822\n\nSubject: innermost\n\nhello".as_slice()
            ),
        ]
    );
    assert_eq!(
        inbound.content_attributes["email"]["html_content"]["full"],
        "<p>Look: <img src=\"cid:pic@one\"> <img data-remote-src=\"https://tracker.example/x.gif\"></p>"
    );
    assert_eq!(inbound.content.as_deref(), Some("Look:"));
    assert_eq!(inbound.content_attributes["email"]["number_of_attachments"], 4);
}

#[test]
fn a_bounce_is_automatic() {
    let inbound = inbound(BOUNCE);
    assert_eq!(inbound.content_attributes["email"]["auto_reply"], true);
    assert_eq!(inbound.conversation_attributes["auto_reply"], true);
    assert_eq!(inbound.content.as_deref(), Some("A message that you sent could not be delivered."));
    assert_eq!(inbound.attachments.len(), 2);
}

#[test]
fn odd_mails_are_read() {
    let content = |raw: &str| inbound(raw.as_bytes()).content;
    for (raw, expected) in [
        ("From: bob@x.example\nSubject: only a subject\n\n", Some("only a subject")),
        ("From: bob@x.example\n\n", Some("")),
        ("From: bob@x.example\r\nContent-Type: text/html\r\n\r\n<p>only <i>html</i></p>", Some("only html")),
        ("From: bob@x.example\nContent-Type: text/plain; charset=x-unknown\n\nhi", Some("hi")),
        (
            "From: bob@x.example\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n%%%not base64%%%",
            Some("%%%not base64%%%"),
        ),
        ("From: bob@x.example\nContent-Type: multipart/mixed; boundary=never\n\nhi", Some("hi")),
        ("From bob@x.example Mon Nov  3 10:00:00 2025\nFrom: bob@x.example\n\nhi", Some("hi")),
        ("From: friends: bob@x.example, ann@x.example;\n\nhi", Some("hi")),
        ("Sender: bob@x.example\n\nhi", Some("hi")),
        ("Return-Path: <bob@x.example>\n\nhi", Some("hi")),
        ("From: bob@x.example\n\nnul\0byte", Some("nulbyte")),
        ("From: bob@x.example\n\nContent-Type: message/rfc822 is text here", Some("Content-Type: message/rfc822 is text here")),
        ("From: bob@x.example\n\n> only quoted", Some("> only quoted")),
    ] {
        assert_eq!(content(raw).as_deref(), expected, "{raw:?}");
        assert_eq!(inbound(raw.as_bytes()).source_id, "bob@x.example", "{raw:?}");
    }
    let attachment_only = "From: bob@x.example\nContent-Type: image/png\nContent-Disposition: attachment\n\nx";
    assert_eq!(content(attachment_only), None);
}

#[test]
fn what_is_no_mail_is_refused() {
    for (raw, reason) in [
        ("", "this is no mail: it has no headers"),
        ("Subject: hello\n\nhi", "this mail has no sender address"),
        ("From: undisclosed-recipients:;\n\nhi", "this mail has no sender address"),
        ("From: <>\nReturn-Path: <>\n\nhi", "this mail has no sender address"),
    ] {
        assert_eq!(parse(raw.as_bytes(), "", None, Utc::now()).unwrap_err(), reason, "{raw:?}");
    }
}

#[test]
fn own_mail_is_an_echo() {
    let raw = b"From: Support <Support@Shop.example>\nTo: bob@x.example\n\nhi";
    assert!(matches!(parse(raw, "support@shop.Example", None, Utc::now()), Ok(Parsed::Echo)));
}

#[test]
fn a_mail_without_an_id_gets_a_stable_one() {
    let id = |raw: &str| inbound(raw.as_bytes()).provider_id.unwrap();
    let first = id("From: bob@x.example\nSubject: a\n\nhi");
    assert!(first.starts_with("sha256:") && first.len() == 71, "{first}");
    assert_eq!(first, id("Received: elsewhere\nFrom: bob@x.example\nSubject: a\n\nhi"));
    assert_ne!(first, id("From: bob@x.example\nSubject: b\n\nhi"));
    assert_ne!(first, id("From: bob@x.example\nSubject: a\n\nho"));
}

#[test]
fn of_a_mail_that_is_too_large_the_head_is_told() {
    let head = b"From: bob@x.example\nSubject: film\nMessage-ID: <big@x.example>\nContent-Type: multipart/mixed; boundary=b\n\n";
    let Ok(Parsed::Inbound(inbound)) = parse(head, "", Some(52 << 20), Utc::now()) else { panic!("not parsed") };
    assert_eq!(
        inbound.content.as_deref(),
        Some("This mail of 52 MB is too large to be fetched. It is still in the mailbox, marked as unread.")
    );
    assert_eq!(
        (inbound.provider_id.as_deref(), inbound.conversation_attributes["mail_subject"].as_str()),
        (Some("big@x.example"), Some("film"))
    );
}

#[test]
fn bombs_end_soon() {
    let started = std::time::Instant::now();
    let bombs = [
        format!("From: bob@x.example\n{}hi", "Content-Type: message/rfc822\n\n".repeat(1_999)),
        format!("From: bob@x.example\nContent-Type: multipart/mixed; boundary=b\n\n{}", "--b\n\nx\n".repeat(50_000)),
        format!("From: bob@x.example\nReferences: {}\n\nhi", "<a@b> ".repeat(200_000)),
        format!("From: {}bob@x.example\n\nhi", "(".repeat(1_000_000)),
        format!("From: bob@x.example\nSubject: {}\n\nhi", "=?utf-8?q?x?= ".repeat(100_000)),
        format!("From: bob@x.example\n\n{}", "> ".repeat(2_000_000)),
        format!("From: bob@x.example\nContent-Type: text/html\n\n{}", "<div><b>".repeat(500_000)),
    ];
    for bomb in bombs {
        // Encoded, the enclosed mail is out of the screen's sight.
        let inner = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, "Content-Type: message/rfc822\n\n".repeat(100_000));
        let _ = parse(bomb.as_bytes(), "", None, Utc::now());
        let wrapped = format!("From: bob@x.example\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n{inner}");
        assert_eq!(inbound(wrapped.as_bytes()).attachments.len(), 1);
    }
    assert!(started.elapsed().as_secs() < 300, "{:?}", started.elapsed());
}

proptest::proptest! {
    #[test]
    fn nothing_breaks_the_parser(head in "(From: bob@x\\.example\n)?([A-Za-z-]{1,12}: [ -~]{0,40}\n){0,4}", body in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
        let _ = parse(&[head.as_bytes(), b"\n", &body].concat(), "", None, Utc::now());
    }
}
