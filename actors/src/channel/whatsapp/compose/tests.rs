//! Messages of each kind, and the requests they become.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
use super::*;
use bytes::Bytes;

const OPUS: &[u8] = b"OggS\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x13OpusHead\x01";

fn message(content: &str) -> Outbound {
    Outbound {
        message_id: 7,
        source_id: "4915112345678".into(),
        content: Some(content.into()),
        content_type: "text".into(),
        ..Outbound::default()
    }
}

fn file(name: &str, content_type: &str, bytes: &[u8]) -> OutboundAttachment {
    OutboundAttachment { file_name: name.into(), content_type: content_type.into(), bytes: Bytes::copy_from_slice(bytes) }
}

fn with_files(content: &str, files: Vec<OutboundAttachment>) -> Outbound {
    Outbound { attachments: files, ..message(content) }
}

fn with_attributes(content: &str, content_type: &str, attributes: Value) -> Outbound {
    let Value::Object(content_attributes) = attributes else { panic!("no object") };
    Outbound { content_type: content_type.into(), content_attributes, ..message(content) }
}

fn bodies(message: &Outbound) -> Vec<Value> {
    parts(message).unwrap().into_iter().map(|part| part.body).collect()
}

fn items(titles: &[&str]) -> Value {
    titles.iter().map(|title| json!({ "title": title, "value": title.to_lowercase() })).collect()
}

#[test]
fn texts_are_marked_up_and_split() {
    assert_eq!(bodies(&message("**hi** there")), [json!({ "type": "text", "text": { "body": "*hi* there", "preview_url": false } })]);
    assert_eq!(bodies(&message("see https://shop.example"))[0]["text"]["preview_url"], true);
    let long = bodies(&message(&"word ".repeat(1000)));
    let lengths: Vec<usize> = long.iter().map(|body| length(body["text"]["body"].as_str().unwrap())).collect();
    assert_eq!(lengths, [4094, 904]);
    for empty in [message(""), message("  \n"), Outbound { content: None, ..message("") }] {
        assert_eq!(parts(&empty).unwrap_err(), "the message is empty: write a text or add a file");
    }
}

#[test]
fn requests_name_who_gets_it_what_it_answers_and_what_comes_back() {
    let quoting = Outbound { quotes: Some("wamid.0".into()), ..message("hi") };
    let body = || json!({ "type": "text", "text": { "body": "hi" } });
    assert_eq!(
        request(&quoting, body(), 0, 2).unwrap(),
        json!({
            "messaging_product": "whatsapp", "recipient_type": "individual", "to": "4915112345678", "type": "text",
            "text": { "body": "hi" }, "context": { "message_id": "wamid.0" }, "biz_opaque_callback_data": "7/0",
        })
    );
    let last = request(&quoting, body(), 1, 2).unwrap();
    assert_eq!((last.get("context"), &last["biz_opaque_callback_data"]), (None, &json!("7")));
}

#[test]
fn an_address_is_a_number_or_metas_id_of_a_person() {
    let code = json!({ "name": "code", "language": "en", "category": "AUTHENTICATION" });
    let offer = json!({ "name": "offer", "language": "en", "category": "MARKETING" });
    for (address, template, field, sent) in [
        ("4915112345678", None, "to", "4915112345678"),
        ("+4915112345678", None, "to", "4915112345678"),
        ("US.13491208655302741918", None, "recipient", "US.13491208655302741918"),
        ("US.ENT.11815799212886844830", None, "recipient", "US.ENT.11815799212886844830"),
        ("US.13491208655302741918", Some(&offer), "recipient", "US.13491208655302741918"),
        ("US.13491208655302741918", Some(&code), "to", "4930123456"),
    ] {
        let to = Outbound {
            source_id: address.into(),
            contact_phone_number: Some("+4930123456".into()),
            template: template.cloned(),
            ..message("hi")
        };
        let request = request(&to, json!({}), 0, 1).unwrap();
        assert_eq!(request[field], sent, "{address}");
        assert!(request.get("to").is_none() || request.get("recipient").is_none(), "{address}");
    }
    for address in ["", "+", "ann@example.com", "<NUMBER>", "USA.1", "US.", "US.1/../2"] {
        assert!(request(&Outbound { source_id: address.into(), ..message("hi") }, json!({}), 0, 1).is_err(), "{address}");
    }
}

#[test]
fn files_go_as_what_whatsapp_shows_and_otherwise_as_documents() {
    let large = |content_type: &str, size: usize| file("f", content_type, &vec![0; size]);
    for (sent, kind, content_type) in [
        (file("a.png", "image/png", b"x"), "image", "image/png"),
        (file("a.jpg", "image/jpg", b"x"), "image", "image/jpeg"),
        (large("image/jpeg", IMAGE_LIMIT + 1), "document", "image/jpeg"),
        (file("a.gif", "image/gif", b"x"), "document", "image/gif"),
        (file("a.webp", "image/webp", b"x"), "document", "image/webp"),
        (file("a.mp4", "video/mp4", b"x"), "video", "video/mp4"),
        (large("video/mp4", SOUND_LIMIT + 1), "document", "video/mp4"),
        (file("a.mov", "video/quicktime", b"x"), "document", "video/quicktime"),
        (file("a.m4a", "audio/m4a", b"x"), "audio", "audio/mp4"),
        (file("a.mp3", "audio/mpeg", b"x"), "audio", "audio/mpeg"),
        (file("a.ogg", "audio/ogg; codecs=opus", OPUS), "audio", "audio/ogg"),
        (file("a.ogg", "audio/ogg", b"OggS\0vorbis"), "document", "audio/ogg"),
        (file("a.webm", "audio/webm", b"x"), "document", "audio/webm"),
        (file("a.pdf", "application/pdf", b"x"), "document", "application/pdf"),
        (file("a", "", b"x"), "document", "application/octet-stream"),
        (file("a", "text/x\nevil", b"x"), "document", "application/octet-stream"),
    ] {
        let part = parts(&with_files("", vec![sent.clone()])).unwrap().remove(0);
        let upload = part.file.clone().unwrap();
        assert_eq!((part.body["type"].as_str(), upload.content_type.as_str()), (Some(kind), content_type), "{}", sent.content_type);
        assert_eq!(part.with_media("99")[kind]["id"], "99", "{}", sent.content_type);
    }
    let too_large = with_files("", vec![large("application/pdf", usize::try_from(DOCUMENT_LIMIT).unwrap() + 1)]);
    assert_eq!(parts(&too_large).unwrap_err(), "f is larger than 100 MB, which WhatsApp does not carry");
}

#[test]
fn a_text_stands_under_the_first_file_where_it_fits() {
    let picture = || file("a.png", "image/png", b"x");
    let paper = || file("a.pdf", "application/pdf", b"x");
    let sound = || file("a.mp3", "audio/mpeg", b"x");
    assert_eq!(
        bodies(&with_files("**look**", vec![picture(), paper()])),
        [
            json!({ "type": "image", "image": { "id": null, "caption": "*look*" } }),
            json!({ "type": "document", "document": { "id": null, "filename": "a.pdf" } }),
        ]
    );
    let kinds = |message: &Outbound| bodies(message).iter().map(|body| body["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(kinds(&with_files("listen", vec![sound(), picture()])), ["text", "audio", "image"]);
    assert_eq!(kinds(&with_files(&"x".repeat(1024), vec![picture()])), ["image"]);
    assert_eq!(kinds(&with_files(&"x".repeat(1025), vec![picture()])), ["text", "image"]);
    assert_eq!(kinds(&with_files("", vec![sound()])), ["audio"]);
}

#[test]
fn voice_notes_and_stickers_are_marked_as_such() {
    let voice = |bytes: &[u8], content_type: &str| {
        let attributes = with_attributes("", "text", json!({ "is_voice_message": true }));
        bodies(&Outbound { attachments: vec![file("v", content_type, bytes)], ..attributes }).remove(0)
    };
    assert_eq!(voice(OPUS, "audio/ogg"), json!({ "type": "audio", "audio": { "id": null, "voice": true } }));
    assert_eq!(voice(b"x", "audio/mpeg"), json!({ "type": "audio", "audio": { "id": null } }));
    let sticker = Outbound { content_type: "sticker".into(), ..with_files("", vec![file("s.webp", "image/webp", b"x")]) };
    assert_eq!(bodies(&sticker), [json!({ "type": "sticker", "sticker": { "id": null } })]);
}

#[test]
fn choices_are_buttons_lists_or_numbers() {
    let choose = |content: &str, items: Value| bodies(&with_attributes(content, "input_select", json!({ "items": items })));
    let buttons = choose("Which?", items(&["Red", "Blue"]));
    assert_eq!(
        buttons,
        [json!({ "type": "interactive", "interactive": {
        "type": "button", "body": { "text": "Which?" },
        "action": { "buttons": [
            { "type": "reply", "reply": { "id": "red", "title": "Red" } }, { "type": "reply", "reply": { "id": "blue", "title": "Blue" } },
        ] },
    } })]
    );
    let four = choose("Which?", items(&["A", "B", "C", "D"]));
    assert_eq!(
        (&four[0]["interactive"]["type"], &four[0]["interactive"]["action"]["sections"][0]["rows"][3]),
        (&json!("list"), &json!({ "id": "d", "title": "D" }))
    );
    let fits_a_list = choose("Which?", items(&["a title of 21 letters"]));
    assert_eq!(fits_a_list[0]["interactive"]["type"], "list");
    let eleven: Vec<String> = (1..=11).map(|number| format!("item {number}")).collect();
    let eleven: Vec<&str> = eleven.iter().map(String::as_str).collect();
    for (items, content) in [
        (items(&["a title that is longer than a list takes", "B"]), "Which?\n\n1. a title that is longer than a list takes\n2. B"),
        (items(&["Same", "Same"]), "Which?\n\n1. Same\n2. Same"),
        (json!([{ "title": "A", "value": "x" }, { "title": "B", "value": "x" }]), "Which?\n\n1. A\n2. B"),
    ] {
        assert_eq!(choose("Which?", items)[0]["text"]["body"], content);
    }
    let written_out = choose("Which?", items(&eleven));
    assert!(written_out[0]["text"]["body"].as_str().unwrap().ends_with("\n11. item 11"), "{written_out:?}");
    assert_eq!(choose("", items(&["Red"]))[0]["text"]["body"], "1. Red", "a choice needs a text above it");
    assert_eq!(choose(&"x".repeat(1025), items(&["Red"]))[0]["type"], "text");
    assert_eq!(choose("Which?", json!([]))[0]["text"]["body"], "Which?");
    let with_picture = Outbound {
        attachments: vec![file("a.png", "image/png", b"x")],
        ..with_attributes("Which?", "input_select", json!({ "items": items(&["Red"]) }))
    };
    let kinds: Vec<Value> = bodies(&with_picture).iter().map(|body| body["type"].clone()).collect();
    assert_eq!(kinds, ["image", "interactive"]);
}

#[test]
fn cards_and_articles_are_written_out() {
    let article = json!({ "items": [{ "title": "Returns", "description": "How to", "link": "https://shop.example/r" }] });
    assert_eq!(
        bodies(&with_attributes("Read", "article", article))[0]["text"]["body"],
        "Read\n\nReturns – How to – https://shop.example/r"
    );
    let cards = json!({ "items": [{ "title": "Tea", "media_url": "https://shop.example/t.png", "actions": [{ "text": "Buy", "type": "link", "uri": "https://shop.example/t" }] }] });
    assert_eq!(
        bodies(&with_attributes("", "cards", cards))[0]["text"]["body"],
        "Tea – https://shop.example/t.png – https://shop.example/t"
    );
}

#[test]
fn places_and_persons_are_sent_as_such() {
    let sent = with_attributes(
        "here",
        "text",
        json!({
            "location": { "latitude": 37.5, "longitude": -122.25, "title": "HQ" },
            "contacts": (0..6).map(|number| json!({ "first_name": "Ann", "last_name": "Lee", "phone_number": format!("+4930{number}") })).collect::<Vec<_>>(),
        }),
    );
    let bodies = bodies(&sent);
    assert_eq!(bodies.len(), 4);
    assert_eq!(bodies[0]["text"]["body"], "here");
    assert_eq!(bodies[1], json!({ "type": "location", "location": { "latitude": "37.5", "longitude": "-122.25", "name": "HQ" } }));
    assert_eq!(bodies[2]["contacts"].as_array().unwrap().len(), 5);
    assert_eq!(
        bodies[3],
        json!({ "type": "contacts", "contacts": [
            { "name": { "formatted_name": "Ann Lee", "first_name": "Ann", "last_name": "Lee" }, "phones": [{ "phone": "+49305" }] },
        ] })
    );
    let nameless = with_attributes("", "text", json!({ "contacts": [{ "first_name": "", "last_name": "", "phone_number": "+4930" }] }));
    assert_eq!(
        super::parts(&nameless).unwrap()[0].body["contacts"][0]["name"],
        json!({ "formatted_name": "+4930", "first_name": "+4930" })
    );
    let wrong = with_attributes("", "text", json!({ "location": { "latitude": "north" } }));
    assert!(parts(&wrong).unwrap_err().starts_with("content_attributes.location: "));
}

#[test]
fn a_template_takes_its_file_into_the_header() {
    let params = json!({ "name": "order", "language": "en", "processed_params": { "body": { "1": "Ann" } } });
    let with = |files: Vec<OutboundAttachment>| Outbound { template: Some(params.clone()), ..with_files("shown to agents", files) };
    let [plain] = parts(&with(vec![])).unwrap().try_into().unwrap();
    assert_eq!((plain.file, &plain.body["template"]["name"]), (None, &json!("order")));
    let [picture] = parts(&with(vec![file("a.png", "image/png", b"x")])).unwrap().try_into().unwrap();
    let header = picture.with_media("99")["template"]["components"][0].clone();
    assert_eq!(header, json!({ "type": "header", "parameters": [{ "type": "image", "image": { "id": "99" } }] }));
    let [paper] = parts(&with(vec![file("a.mp3", "audio/mpeg", b"x")])).unwrap().try_into().unwrap();
    assert_eq!(paper.body["template"]["components"][0]["parameters"][0]["document"]["filename"], "a.mp3");
    let two = with(vec![file("a.png", "image/png", b"x"), file("b.png", "image/png", b"x")]);
    assert!(parts(&two).unwrap_err().starts_with("a template carries one file at most"));
}
