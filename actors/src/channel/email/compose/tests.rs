//! Messages, and the mails made of them, read back with the parser that reads our customers' mails.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use super::*;
use crate::message::{Answered, OutboundAttachment, OutboundConversation};
use bytes::Bytes;
use chrono::DateTime;
use mail_parser::{HeaderName, MessageParser, MimeHeaders};
use serde_json::json;

const UUID: &str = "11111111-2222-4333-8444-555555555555";

fn settings() -> Settings {
    Settings { email: "support@shop.example".into(), ..Settings::default() }
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

fn outbound() -> Outbound {
    Outbound {
        message_id: 78,
        source_id: "bob@customer.example".into(),
        contact_email: None,
        contact_name: "Bob Bürger".into(),
        conversation: OutboundConversation {
            id: 5,
            display_id: 3,
            uuid: UUID.parse().unwrap(),
            additional_attributes: object(json!({ "mail_subject": "Größe" })),
        },
        content: Some("Hello **Bob**,\nit is <b>on</b> its way: [track](https://shop.example/t) [x](javascript:alert(1))".into()),
        content_type: "text".into(),
        content_attributes: Map::new(),
        attachments: Vec::new(),
        answers: Some(Answered {
            provider_id: "two@customer.example".into(),
            content_attributes: object(json!({ "email": { "references": ["one@customer.example", "two@customer.example"] } })),
        }),
        sender_name: Some("Ann from Shop".into()),
        automatic: false,
        created_at: DateTime::from_timestamp(1_762_000_000, 0).unwrap(),
        ..Outbound::default()
    }
}

/// The headers of a mail, unfolded, without the body.
fn head(letter: &Letter) -> String {
    let text = String::from_utf8(letter.bytes.clone()).unwrap();
    text.split_once("\r\n\r\n").unwrap().0.replace("\r\n ", " ")
}

fn value(letter: &Letter, name: &str) -> Option<String> {
    head(letter).lines().find_map(|line| line.split_once(": ").filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()))
}

#[test]
fn an_answer() {
    let letter = compose(&settings(), None, &outbound()).unwrap();
    assert_eq!(letter.message_id, format!("conversation/{UUID}/messages/78@shop.example"));
    assert_eq!(value(&letter, "Message-ID").unwrap(), format!("<conversation/{UUID}/messages/78@shop.example>"));
    assert_eq!(value(&letter, "In-Reply-To").unwrap(), "<two@customer.example>");
    assert_eq!(value(&letter, "References").unwrap(), "<one@customer.example> <two@customer.example>");
    assert_eq!(value(&letter, "From").unwrap(), "\"Ann from Shop\" <support@shop.example>");
    assert_eq!(value(&letter, "Date").unwrap(), "Sat, 01 Nov 2025 12:26:40 +0000");
    assert_eq!(value(&letter, "Reply-To"), None);
    assert_eq!(value(&letter, "Auto-Submitted"), None);
    assert_eq!(letter.envelope.from().unwrap().to_string(), "support@shop.example");
    assert_eq!(letter.envelope.to().iter().map(ToString::to_string).collect::<Vec<_>>(), ["bob@customer.example"]);

    let mail = MessageParser::default().parse(&letter.bytes).unwrap();
    assert_eq!(mail.subject(), Some("Re: Größe"));
    assert_eq!(mail.to().unwrap().first().unwrap().name(), Some("Bob Bürger"));
    assert_eq!(mail.body_text(0).unwrap(), outbound().content.unwrap().replace('\n', "\r\n"));
    let html = mail.body_html(0).unwrap();
    assert!(
        html.contains("<p>Hello <strong>Bob</strong>,<br>\nit is &lt;b&gt;on&lt;/b&gt; its way: <a href=\"https://shop.example/t\"")
            || html
                .contains("<p>Hello <strong>Bob</strong>,<br>\r\nit is &lt;b&gt;on&lt;/b&gt; its way: <a href=\"https://shop.example/t\""),
        "{html}"
    );
    assert!(!html.contains("javascript"), "{html}");
}

#[test]
fn subjects_have_one_prefix() {
    for (known, answers, subject) in [
        ("Parcel", true, "Re: Parcel"),
        ("Re: Parcel", true, "Re: Parcel"),
        ("RE: AW: re: Parcel", true, "Re: Parcel"),
        ("Parcel", false, "Parcel"),
        ("", true, "Conversation 3"),
        ("Reply", true, "Re: Reply"),
        ("Parcel\r\nBcc: eve@evil.example", true, "Re: Parcel Bcc: eve@evil.example"),
    ] {
        let mut message = outbound();
        message.conversation.additional_attributes = object(json!({ "mail_subject": known }));
        message.answers = message.answers.filter(|_| answers);
        let letter = compose(&settings(), None, &message).unwrap();
        assert_eq!(MessageParser::default().parse(&letter.bytes).unwrap().subject(), Some(subject), "{known}");
    }
}

#[test]
fn a_mail_that_answers_nothing_refers_to_its_conversation() {
    for provider_id in [None, Some("sha256:00ff"), Some("bad id\r\nBcc: eve@evil.example")] {
        let mut message = outbound();
        message.answers = provider_id.map(|id| Answered { provider_id: id.into(), content_attributes: Map::new() });
        let letter = compose(&Settings { smtp_domain: "mail.shop.example".into(), ..settings() }, None, &message).unwrap();
        assert_eq!(value(&letter, "In-Reply-To").unwrap(), format!("<conversation/{UUID}@mail.shop.example>"));
        assert_eq!(value(&letter, "References").unwrap(), format!("<conversation/{UUID}@mail.shop.example>"));
        assert_eq!(value(&letter, "Bcc"), None);
    }
}

#[test]
fn references_stay_short_and_keep_the_first() {
    let mut message = outbound();
    let many: Vec<String> = (0..50).map(|number| format!("{number}@customer.example")).collect();
    message.answers.as_mut().unwrap().content_attributes = object(json!({ "email": { "references": many } }));
    let letter = compose(&settings(), None, &message).unwrap();
    let references = value(&letter, "References").unwrap();
    let ids: Vec<&str> = references.split(' ').collect();
    assert_eq!(
        (ids.len(), ids[0], ids[1], ids[18], ids[19]),
        (20, "<0@customer.example>", "<32@customer.example>", "<49@customer.example>", "<two@customer.example>")
    );
}

#[test]
fn recipients_as_the_agent_chose() {
    let mut message = outbound();
    message.contact_email = Some("bob@home.example".into());
    message.content_attributes =
        object(json!({ "cc_emails": ["carol@x.example", "BOB@home.example"], "bcc_emails": "dave@x.example, erin@x.example" }));
    let letter = compose(&settings(), None, &message).unwrap();
    assert_eq!(value(&letter, "Cc").unwrap(), "carol@x.example");
    assert_eq!(value(&letter, "Bcc"), None);
    let to: Vec<String> = letter.envelope.to().iter().map(ToString::to_string).collect();
    assert_eq!(to, ["bob@home.example", "carol@x.example", "dave@x.example", "erin@x.example"]);

    message.content_attributes = object(json!({ "to_emails": ["frank@x.example"] }));
    assert_eq!(value(&compose(&settings(), None, &message).unwrap(), "To").unwrap(), "frank@x.example");
    for bad in ["nobody", "a@b@c", "eve@evil.example\r\nX: y", "<script>@x"] {
        message.content_attributes = object(json!({ "cc_emails": [bad] }));
        assert!(compose(&settings(), None, &message).unwrap_err().starts_with("cc_emails is not an e-mail address"), "{bad}");
    }
}

#[test]
fn answers_go_where_the_contact_wants_them() {
    let answered = |from: &str, reply_to: &[&str]| {
        Some(Answered {
            provider_id: "two@x".into(),
            content_attributes: object(json!({ "email": { "from": [from], "reply_to": reply_to } })),
        })
    };
    const BOB: &str = "bob@customer.example";
    for (answers, contact_email, chosen, to) in [
        (
            answered("Bob@customer.example", &["bob@home.example", "ann@home.example"]),
            Some(BOB),
            None,
            "bob@home.example, ann@home.example",
        ),
        (answered(BOB, &["bob@home.example"]), None, None, "bob@home.example"),
        (answered(BOB, &["bob@home.example"]), Some(BOB), Some("frank@x.example"), "frank@x.example"),
        // An agent has corrected the address.
        (answered(BOB, &["bob@home.example"]), Some("bob@new.example"), None, "Bob <bob@new.example>"),
        // Carol has joined the conversation.
        (answered("carol@x.example", &["carol@home.example"]), Some(BOB), None, "Bob <bob@customer.example>"),
        (answered(BOB, &["support@shop.example", "no address"]), Some(BOB), None, "Bob <bob@customer.example>"),
        (answered(BOB, &[]), Some(BOB), None, "Bob <bob@customer.example>"),
        (None, Some(BOB), None, "Bob <bob@customer.example>"),
    ] {
        let mut message = Outbound { answers, contact_email: contact_email.map(str::to_owned), contact_name: "Bob".into(), ..outbound() };
        message.content_attributes = object(json!({ "to_emails": chosen }));
        let letter = compose(&settings(), None, &message).unwrap();
        assert_eq!(value(&letter, "To").unwrap(), to, "{message:?}");
    }
}

#[test]
fn an_answer_stays_in_outlooks_thread() {
    let answer = |index: &str| {
        let headers = json!({ "email": { "headers": { "thread-index": index } } });
        let answers = Some(Answered { provider_id: "two@x".into(), content_attributes: object(headers) });
        value(&compose(&settings(), None, &Outbound { answers, ..outbound() }).unwrap(), "Thread-Index")
    };
    let root = [7; THREAD_ROOT_LENGTH];
    assert_eq!(answer(&STANDARD.encode(root)), Some(STANDARD.encode([root.as_slice(), &[0, 0, 0, 0, 78]].concat())));
    assert_eq!(STANDARD.decode(answer(&STANDARD.encode([7; 900])).unwrap()).unwrap().len(), THREAD_INDEX_LIMIT + 5);
    assert_eq!((answer("AAAA"), answer("Zm9v\r\nBcc: eve@evil.example")), (None, None));
}

#[test]
fn headers_cannot_be_injected() {
    let mut message = outbound();
    let evil = "Ann\r\nBcc: eve@evil.example\r\n\r\nbody";
    message.sender_name = Some(evil.into());
    message.contact_name = evil.into();
    message.attachments = vec![OutboundAttachment { file_name: evil.into(), content_type: evil.into(), bytes: Bytes::from_static(b"x") }];
    let letter = compose(&settings(), Some("desk@relay.example"), &message).unwrap();
    let text = String::from_utf8(letter.bytes.clone()).unwrap();
    assert!(!text.lines().any(|line| line.starts_with("Bcc") || line == "body"), "{text}");
    assert_eq!(letter.envelope.to().len(), 1);
    assert!(!head(&letter).contains("eve@evil.example\r\n"));
}

#[test]
fn a_relay_sends_under_its_own_address() {
    let letter = compose(&settings(), Some("Desk <desk@relay.example>"), &outbound()).unwrap();
    assert_eq!(value(&letter, "From").unwrap(), "\"Ann from Shop\" <desk@relay.example>");
    assert_eq!(value(&letter, "Reply-To").unwrap(), "support@shop.example");
    assert_eq!(letter.envelope.from().unwrap().to_string(), "desk@relay.example");
    assert_eq!(letter.message_id, format!("conversation/{UUID}/messages/78@shop.example"));
}

#[test]
fn automatic_mail_says_so() {
    let letter = compose(&settings(), None, &Outbound { automatic: true, ..outbound() }).unwrap();
    assert_eq!(value(&letter, "Auto-Submitted").unwrap(), "auto-replied");
    assert_eq!(value(&letter, "X-Auto-Response-Suppress").unwrap(), "All");
    assert_eq!(value(&letter, "Precedence").unwrap(), "auto_reply");
}

#[test]
fn files_and_choices() {
    let file = |name: &str, kind: &str| OutboundAttachment {
        file_name: name.into(),
        content_type: kind.into(),
        bytes: Bytes::from_static(b"\0\xffx"),
    };
    let mut message = outbound();
    message.attachments = vec![file("Rechnung ü.pdf", "application/pdf"), file("a\"b.txt", "no type"), file("old.eml", "message/rfc822")];
    message.content_type = "input_select".into();
    message.content = Some("Which?".into());
    message.content_attributes = object(json!({ "items": [{ "title": "Red", "value": "r" }, { "title": "Blue", "value": "b" }] }));
    let letter = compose(&settings(), None, &message).unwrap();
    let mail = MessageParser::default().parse(&letter.bytes).unwrap();
    let files: Vec<(String, String)> = mail
        .attachments()
        .map(|part| {
            assert_eq!(part.contents(), b"\0\xffx");
            let kind = part.content_type().unwrap();
            (part.attachment_name().unwrap().to_owned(), format!("{}/{}", kind.ctype(), kind.subtype().unwrap()))
        })
        .collect();
    let expected =
        [("Rechnung ü.pdf", "application/pdf"), ("a\"b.txt", "application/octet-stream"), ("old.eml", "application/octet-stream")];
    assert_eq!(files, expected.map(|(name, kind)| (name.to_owned(), kind.to_owned())));
    assert_eq!(mail.body_text(0).unwrap().replace("\r\n", "\n"), "Which?\n- Red\n- Blue");
    assert!(mail.header(HeaderName::MimeVersion).is_some());

    message.attachments = vec![OutboundAttachment { bytes: vec![0; FILES_LIMIT + 1].into(), ..file("big", "image/png") }];
    assert_eq!(compose(&settings(), None, &message).unwrap_err(), "the files of this mail have 25 MB together; at most 25 are possible");
}

#[test]
fn files_keep_their_line_ends() {
    let mut message = outbound();
    let bytes = Bytes::from_static(b"name,price\nTea,5\r\nMilk,2\n");
    message.attachments = vec![OutboundAttachment { file_name: "a.csv".into(), content_type: "text/csv".into(), bytes: bytes.clone() }];
    let letter = compose(&settings(), None, &message).unwrap();
    let bare = letter.bytes.windows(2).filter(|pair| pair[1] == b'\n' && pair[0] != b'\r').count();
    assert_eq!(bare, 0, "mail servers refuse or change a line end without a carriage return");
    let mail = MessageParser::default().parse(&letter.bytes).unwrap();
    assert_eq!(mail.attachment(0).unwrap().contents(), bytes);
}

#[test]
fn html_that_the_agent_wrote_is_cleaned() {
    let mut message = outbound();
    message.content_attributes =
        object(json!({ "email": { "html_content": { "reply": "<p>Hi<script>x</script><img src=\"https://shop.example/l.png\"></p>" } } }));
    let letter = compose(&settings(), None, &message).unwrap();
    let mail = MessageParser::default().parse(&letter.bytes).unwrap();
    assert_eq!(mail.body_html(0).unwrap(), "<!DOCTYPE html><html><body><p>Hi<img src=\"https://shop.example/l.png\"></p></body></html>");
}
