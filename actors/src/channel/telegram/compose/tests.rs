//! Messages, and the parts that they are sent in.
use super::super::markup::units;
use super::*;
use bytes::Bytes;
use serde_json::json;

fn file(name: &str, content_type: &str, size: usize) -> OutboundAttachment {
    OutboundAttachment { file_name: name.into(), content_type: content_type.into(), bytes: Bytes::from(vec![0; size]) }
}

fn message(content: &str, attachments: Vec<OutboundAttachment>) -> Outbound {
    let content = Some(content.to_owned()).filter(|content| !content.is_empty());
    Outbound { message_id: 77, source_id: "5".into(), content, content_type: "text".into(), attachments, ..Outbound::default() }
}

fn question(content: &str, items: Value) -> Outbound {
    let content_attributes = serde_json::Map::from_iter([("items".to_owned(), items)]);
    Outbound { content_type: "input_select".into(), content_attributes, ..message(content, vec![]) }
}

/// One line for each part.
fn shown(message: &Outbound) -> Vec<String> {
    let show = |part: &Part<'_>| match part {
        Part::Text { html, choices } => {
            let choices: String = choices.iter().map(|choice| format!(" [{}={}]", choice.title, choice.data)).collect();
            format!("text {html}{choices}")
        }
        Part::Files { files, caption } => {
            let names: Vec<String> = files.iter().map(|file| format!("{:?} {}", file.kind, file.attachment.file_name)).collect();
            format!("{}{}", names.join(", "), caption.as_ref().map(|caption| format!(": {caption}")).unwrap_or_default())
        }
        Part::Place(place) => format!("place {}", place.title),
        Part::Card(card) => format!("card {}", card.first_name),
    };
    parts(message).unwrap().iter().map(show).collect()
}

#[test]
fn places_and_cards_follow_the_text_and_stand_before_a_question() {
    let carried = json!({ "location": { "latitude": 1.5, "longitude": 2.5, "title": "Here" }, "contacts": [{ "first_name": "Ada", "phone_number": "+1" }] });
    let with = |message: Outbound| {
        let mut content_attributes = message.content_attributes.clone();
        content_attributes.extend(carried.as_object().unwrap().clone());
        Outbound { content_attributes, ..message }
    };
    assert_eq!(shown(&with(message("look", vec![]))), ["text look", "place Here", "card Ada"]);
    assert_eq!(shown(&with(question("Which?", json!([{ "title": "A", "value": "a" }])))), ["place Here", "card Ada", "text Which? [A=a]"]);
    let wrong = serde_json::Map::from_iter([("location".to_owned(), json!({ "latitude": "north" }))]);
    let refused = parts(&Outbound { content_attributes: wrong, ..message("look", vec![]) }).unwrap_err();
    assert!(refused.starts_with("content_attributes.location: "), "{refused}");
}

#[test]
fn files_go_with_what_they_may_go_with() {
    let (picture, film) = (|name: &str| file(name, "image/jpeg", 3), |name: &str| file(name, "video/mp4", 3));
    let (paper, song) = (|name: &str| file(name, "application/pdf", 3), |name: &str| file(name, "audio/mpeg", 3));
    for (content, files, expected) in [
        ("**hi**", vec![], vec!["text <b>hi</b>"]),
        ("**hi**", vec![picture("a")], vec!["Photo a: <b>hi</b>"]),
        ("", vec![picture("a"), film("b")], vec!["Photo a, Video b"]),
        (
            "hi",
            vec![picture("a"), paper("b"), paper("c"), song("d"), song("e")],
            vec!["Photo a: hi", "Document b, Document c", "Audio d, Audio e"],
        ),
        ("hi", vec![file("a", "image/gif", 3), file("b", "image/gif", 3)], vec!["Animation a: hi", "Animation b"]),
        ("", vec![file("a", "audio/ogg; codecs=opus", 3), file("b", "IMAGE/PNG", 3)], vec!["Voice a", "Photo b"]),
        (
            "",
            vec![file("a", "image/svg+xml", 3), file("b", "video/x-msvideo", 3), file("c", "audio/flac", 3)],
            vec!["Document a, Document b, Document c"],
        ),
        ("", vec![file("a", "image/jpeg", PHOTO_LIMIT + 1), picture("b")], vec!["Document a", "Photo b"]),
    ] {
        assert_eq!(shown(&message(content, files)), expected);
    }
    let eleven = (0..11).map(|_| picture("a")).collect();
    let parts: Vec<usize> = shown(&message("", eleven)).iter().map(|part| part.matches("Photo").count()).collect();
    assert_eq!(parts, [10, 1]);
}

#[test]
fn long_texts_go_in_parts_and_before_the_files() {
    let long = "word ".repeat(CAPTION_LIMIT / 5 + 2);
    let parts = shown(&message(&long, vec![file("a", "image/png", 1)]));
    assert_eq!((parts.len(), parts[0].starts_with("text word"), parts[1].as_str()), (2, true, "Photo a"));
    let fits = "w".repeat(CAPTION_LIMIT);
    assert_eq!(shown(&message(&fits, vec![file("a", "image/png", 1)])), [format!("Photo a: {fits}")]);

    let text = format!("**{}**", "👋".repeat(TEXT_LIMIT));
    let message = message(&text, vec![]);
    let parts = super::parts(&message).unwrap();
    let lengths: Vec<usize> = parts
        .iter()
        .map(|part| match part {
            Part::Text { html, .. } => units(html.strip_prefix("<b>").unwrap().strip_suffix("</b>").unwrap()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(lengths, [TEXT_LIMIT, TEXT_LIMIT]);
}

#[test]
fn choices_become_buttons() {
    let long = "x".repeat(DATA_LIMIT + 1);
    let umlauts = "ä".repeat(DATA_LIMIT / 2);
    let items = json!([
        { "title": "Blue", "value": "blue" },
        { "title": "Long", "value": long },
        { "title": "Fits", "value": umlauts },
        { "title": "One", "value": 1 },
        { "value": "bare" },
        { "title": "Own", "value": "item:9:9" },
        { "title": "" },
    ]);
    let expected = format!("text Which? [Blue=blue] [Long=item:77:1] [Fits={umlauts}] [One=1] [bare=bare] [Own=item:77:5]");
    assert_eq!(shown(&question("Which?", items.clone())), [expected.as_str()]);
    let with_file = Outbound { attachments: vec![file("a", "image/png", 1)], ..question("Which?", items.clone()) };
    assert_eq!(shown(&with_file), ["Photo a", expected.as_str()]);
    let of_another_kind = Outbound { content_type: "text".into(), ..question("Which?", items) };
    assert_eq!(shown(&of_another_kind), ["text Which?"]);
}

#[test]
fn what_telegram_does_not_take_is_refused() {
    for (message, reason) in [
        (message("", vec![]), "there is nothing to send: the message has neither a text nor a file"),
        (message(" \n", vec![]), "there is nothing to send: the message has neither a text nor a file"),
        (
            message("hi", vec![file("a.zip", "application/zip", FILE_LIMIT + 1)]),
            "the file \"a.zip\" has 50 MB; Telegram takes at most 50 MB",
        ),
        (
            question("", json!([{ "title": "a", "value": "a" }])),
            "a message with choices needs a text at Telegram: write what is to be chosen",
        ),
        (question("a", json!(vec![json!({ "title": "a", "value": "a" }); 101])), "the message has 101 choices; Telegram shows at most 100"),
    ] {
        assert_eq!(parts(&message).unwrap_err(), reason);
    }
    assert_eq!(one_text("*a*"), Ok("<i>a</i>".into()));
    assert_eq!(one_text(" ").unwrap_err(), "the text is empty: Telegram takes no message without one");
    let long = "a".repeat(TEXT_LIMIT + 1);
    assert_eq!(one_text(&long).unwrap_err(), "the text has 4097 characters; Telegram takes at most 4096 in one message");
}
