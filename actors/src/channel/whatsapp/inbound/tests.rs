//! One message of each kind, and what agents see of it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
use super::*;

fn setting(contacts: &[Value], writer: Writer) -> Setting<'_> {
    Setting { contacts, writer, own_number: "972123456789" }
}

fn update_of(message: Value) -> Update {
    let mut message = message;
    for (name, value) in [("from", "4915112345678"), ("id", "wamid.1"), ("timestamp", "1697043223")] {
        if message.get(name).is_none() {
            message[name] = value.into();
        }
    }
    update(&message, &setting(&[], Writer::Contact)).unwrap()
}

fn inbound_of(message: Value) -> Inbound {
    match update_of(message) {
        Update::Message(inbound) => *inbound,
        other => panic!("{other:?}"),
    }
}

#[test]
fn texts_and_choices_are_what_was_written_or_chosen() {
    for (message, content, data) in [
        (json!({ "type": "text", "text": { "body": "hello" } }), "hello", Value::Null),
        (
            json!({ "type": "button", "button": { "payload": "p", "text": "Yes" } }),
            "Yes",
            json!({ "type": "button", "payload": "p", "text": "Yes" }),
        ),
        (
            json!({ "type": "interactive", "interactive": { "type": "button_reply", "button_reply": { "id": "b", "title": "Blue" } } }),
            "Blue",
            json!({ "type": "button_reply", "id": "b", "title": "Blue" }),
        ),
        (
            json!({ "type": "interactive", "interactive":
                { "type": "list_reply", "list_reply": { "id": "r", "title": "Red", "description": "as roses" } } }),
            "Red",
            json!({ "type": "list_reply", "id": "r", "title": "Red", "description": "as roses" }),
        ),
        (
            json!({ "type": "interactive", "interactive": { "type": "nfm_reply", "nfm_reply":
                { "name": "flow", "body": "Sent", "response_json": "{\"flow_token\":\"t\",\"rating\":4}" } } }),
            "rating: 4",
            json!({ "type": "nfm_reply", "name": "flow", "body": "Sent", "response": { "flow_token": "t", "rating": 4 } }),
        ),
        (
            json!({ "type": "interactive", "interactive": { "type": "nfm_reply", "nfm_reply": { "body": "Sent", "response_json": "{" } } }),
            "Sent",
            json!({ "type": "nfm_reply", "body": "Sent", "response_json": "{" }),
        ),
        (
            json!({ "type": "system", "system": { "type": "customer_identity_changed", "body": "Identity changed" },
                "identity": { "hash": "x" } }),
            "Identity changed",
            json!({ "type": "system", "body": "Identity changed", "identity": { "hash": "x" } }),
        ),
    ] {
        let inbound = inbound_of(message.clone());
        assert_eq!(inbound.content.as_deref(), Some(content), "{message}");
        assert_eq!(inbound.content_attributes.get("data").unwrap_or(&Value::Null), &data, "{message}");
        assert!(!inbound.content_attributes.contains_key("is_unsupported"), "{message}");
        // What a question of ours was answered with stands where other channels have it, too.
        let is_choice = matches!(data["type"].as_str(), Some("button_reply" | "list_reply"));
        let submitted = json!([{ "title": content, "value": data["id"] }]);
        assert_eq!(inbound.content_attributes.get("submitted_values"), Some(&submitted).filter(|_| is_choice), "{message}");
    }
}

#[test]
fn answers_of_an_address_form_are_readable() {
    let response = json!({ "saved_address_id": "a", "values": { "city": "Pune", "floor": 4 }, "tags": ["x", "y"] }).to_string();
    let message = json!({ "type": "interactive", "interactive":
        { "type": "nfm_reply", "nfm_reply": { "name": "address_message", "response_json": response } } });
    let content = inbound_of(message).content.unwrap();
    let mut lines: Vec<&str> = content.lines().collect();
    lines.sort_unstable();
    assert_eq!((lines[0], lines[1]), ("saved_address_id: a", "tags: x, y"));
    assert!(lines[2].starts_with("values: ") && lines[2].contains("city: Pune") && lines[2].contains("floor: 4"), "{content}");
}

#[test]
fn an_order_is_a_list_with_a_sum_in_one_currency() {
    let item = |id: &str, quantity: Value, price: Value, currency: &str| json!({ "product_retailer_id": id, "quantity": quantity, "item_price": price, "currency": currency });
    for (items, content) in [
        (
            json!([item("TEA", json!(2), json!(1.1), "EUR"), item("CAKE", json!("1"), json!("3"), "EUR")]),
            "please\n2 × TEA (1.1 EUR)\n1 × CAKE (3 EUR)\nTotal: 5.2 EUR",
        ),
        (
            json!([item("TEA", json!(2), json!(1), "EUR"), item("CAKE", json!(1), json!(3), "USD")]),
            "please\n2 × TEA (1 EUR)\n1 × CAKE (3 USD)",
        ),
        (json!([{ "product_retailer_id": "TEA" }]), "please\n1 × TEA"),
        (json!([]), "please"),
    ] {
        let inbound = inbound_of(json!({ "type": "order", "order": { "catalog_id": "1", "text": "please", "product_items": items } }));
        assert_eq!(inbound.content.as_deref(), Some(content));
        assert_eq!(inbound.content_attributes["data"]["catalog_id"], "1");
    }
}

#[test]
fn files_places_and_cards_are_attachments() {
    let node = json!({ "id": "65", "mime_type": "audio/ogg; codecs=opus", "sha256": "abc=", "caption": "look", "filename": "a.pdf", "voice": true });
    for kind in ["image", "video", "audio", "document", "sticker"] {
        let inbound = inbound_of(json!({ "type": kind, (kind): node }));
        let [InboundAttachment::Remote(file)] = inbound.attachments.as_slice() else { panic!("{:?}", inbound.attachments) };
        assert_eq!(file.reference, json!({ "id": "65", "sha256": "abc=" }), "{kind}");
        assert_eq!((file.file_name.as_str(), file.content_type.as_str()), ("a.pdf", "audio/ogg; codecs=opus"), "{kind}");
        assert_eq!((inbound.content.as_deref(), &inbound.content_attributes["is_voice_message"]), (Some("look"), &json!(true)), "{kind}");
    }
    let location = json!({ "latitude": "37.5", "longitude": -122.25, "name": "HQ", "address": "1 Way", "url": "https://maps.example" });
    let inbound = inbound_of(json!({ "type": "location", "location": location }));
    let [InboundAttachment::Place(place)] = inbound.attachments.as_slice() else { panic!("{:?}", inbound.attachments) };
    assert_eq!(*place, Place { latitude: 37.5, longitude: -122.25, title: "HQ, 1 Way".into() });
    assert_eq!(inbound.content_attributes["data"]["url"], "https://maps.example");
    let contacts = json!([
        { "name": { "first_name": "Ann", "last_name": "Lee", "formatted_name": "Ann Lee" }, "phones": [{ "type": "HOME" }, { "phone": "+1 5" }] },
        { "name": { "formatted_name": "Shop" }, "phones": [{ "wa_id": "49" }] },
        {},
    ]);
    let inbound = inbound_of(json!({ "type": "contacts", "contacts": contacts }));
    let cards: Vec<Card> = inbound
        .attachments
        .iter()
        .map(|one| if let InboundAttachment::Card(card) = one { card.clone() } else { panic!("{one:?}") })
        .collect();
    let card = |first: &str, last: &str, number: Option<&str>| Card {
        first_name: first.into(),
        last_name: last.into(),
        phone_number: number.map(str::to_owned),
    };
    assert_eq!(cards, [card("Ann", "Lee", Some("+1 5")), card("Shop", "", Some("49")), card("", "", None)]);
    assert_eq!(inbound.content_attributes["data"]["contacts"][1]["name"]["formatted_name"], "Shop");
}

#[test]
fn what_is_not_known_or_lacks_what_makes_its_kind_is_kept_as_it_came() {
    for message in [
        json!({ "type": "unsupported", "errors": [{ "code": 131051 }], "unsupported": { "type": "poll_creation" } }),
        json!({ "type": "hologram", "hologram": { "of": "a cat" } }),
        json!({ "type": "request_welcome" }),
        json!({}),
        json!({ "type": "text" }),
        json!({ "type": "text", "text": "not an object" }),
        json!({ "type": "image", "image": { "mime_type": "image/png" } }),
        json!({ "type": "location", "location": { "latitude": "north" } }),
        json!({ "type": "contacts", "contacts": {} }),
        json!({ "type": "interactive" }),
        json!({ "type": "interactive", "interactive": { "type": "hologram_reply", "hologram_reply": {} } }),
        json!({ "type": "edit", "edit": {} }),
        json!({ "type": "revoke" }),
    ] {
        let inbound = inbound_of(message.clone());
        assert_eq!(inbound.content_attributes["is_unsupported"], true, "{message}");
        assert_eq!(inbound.content_attributes["data"].get("type"), message.get("type"), "{message}");
        assert_eq!((inbound.content, inbound.attachments.len(), inbound.provider_id.as_deref()), (None, 0, Some("wamid.1")), "{message}");
    }
}

#[test]
fn changes_of_what_was_said_are_no_messages() {
    let at = DateTime::from_timestamp(1_697_043_223, 0).unwrap();
    for (emoji, emojis) in [(json!({ "emoji": "😮" }), vec!["😮".to_owned()]), (json!({ "emoji": "" }), vec![]), (json!({}), vec![])] {
        let mut own = emoji;
        own["message_id"] = "wamid.0".into();
        let Update::Reaction(reaction) = update_of(json!({ "type": "reaction", "reaction": own })) else { panic!("no reaction") };
        assert_eq!(reaction, Reaction { source_id: "4915112345678".into(), provider_id: "wamid.0".into(), emojis, at });
    }
    let edited = |message: Value| update_of(json!({ "type": "edit", "edit": { "original_message_id": "wamid.0", "message": message } }));
    for (message, content) in [
        (json!({ "type": "text", "text": { "body": "new" } }), Some("new")),
        (json!({ "type": "image", "image": { "caption": "below" } }), Some("below")),
        (json!({ "type": "image", "image": {} }), None),
    ] {
        let Update::Edit(edit) = edited(message) else { panic!("no edit") };
        assert_eq!((edit.provider_id.as_str(), edit.content.as_deref(), edit.at), ("wamid.0", content, at));
    }
    let revoked = update_of(json!({ "type": "revoke", "revoke": { "original_message_id": "wamid.0" } }));
    assert!(matches!(revoked, Update::Deletion { source_id, provider_id } if source_id == "4915112345678" && provider_id == "wamid.0"));
    for name in ["wa_id", "new_wa_id"] {
        let Update::Moved { from, to } =
            update_of(json!({ "type": "system", "system": { "type": "user_changed_number", (name): "4915187654321" } }))
        else {
            panic!("nobody moved")
        };
        assert_eq!(
            (from.as_str(), to.source_id.as_str(), to.profile.phone_number.as_deref()),
            ("4915112345678", "4915187654321", Some("+4915187654321"))
        );
    }
}

#[test]
fn what_surrounds_a_message_is_kept_with_it() {
    let referral = json!({ "source_type": "ad", "headline": "Sale" });
    let inbound = inbound_of(json!({
        "type": "text", "text": { "body": "hi" }, "referral": referral, "group_id": "g1",
        "context": { "id": "wamid.0", "forwarded": true, "frequently_forwarded": true, "referred_product": { "catalog_id": "1" } },
    }));
    assert_eq!(inbound.quotes.as_deref(), Some("wamid.0"));
    assert_eq!(inbound.sent_at.map(|at| at.timestamp()), Some(1_697_043_223));
    assert_eq!((&inbound.content_attributes["referral"], &inbound.conversation_attributes["referral"]), (&referral, &referral));
    for (name, value) in [
        ("forwarded", json!(true)),
        ("frequently_forwarded", json!(true)),
        ("group_id", json!("g1")),
        ("referred_product", json!({ "catalog_id": "1" })),
    ] {
        assert_eq!(inbound.content_attributes[name], value, "{name}");
    }
}

#[test]
fn a_person_is_known_by_metas_id_first_and_by_everything_else_as_well() {
    let contact = json!({ "wa_id": "4915112345678", "user_id": "DE.1", "parent_user_id": "DE.ENT.2", "profile": { "name": "Ann", "username": "ann" } });
    let hidden = json!({ "user_id": "DE.1", "profile": { "username": "ann" } });
    let other = json!({ "wa_id": "49999999999", "profile": { "name": "Bob" } });
    let some = |text: &str| Some(text.to_owned());
    for (phone, user_id, contacts, source_id, aliases, name, number) in [
        (
            some("4915112345678"),
            None,
            vec![contact.clone()],
            "DE.1",
            vec!["4915112345678", "DE.ENT.2"],
            Some("Ann"),
            Some("+4915112345678"),
        ),
        (None, some("DE.1"), vec![contact.clone()], "DE.1", vec!["4915112345678", "DE.ENT.2"], Some("Ann"), Some("+4915112345678")),
        (None, some("DE.1"), vec![other.clone(), hidden], "DE.1", vec![], Some("@ann"), None),
        (some("4915112345678"), None, vec![other.clone()], "4915112345678", vec![], None, Some("+4915112345678")),
        (None, None, vec![contact], "DE.1", vec!["4915112345678", "DE.ENT.2"], Some("Ann"), Some("+4915112345678")),
        (some("<NUMBER>"), None, vec![], "<NUMBER>", vec![], None, None),
    ] {
        let person = identity(phone, user_id, None, &contacts).unwrap();
        assert_eq!((person.source_id.as_str(), person.aliases), (source_id, aliases.iter().map(|&alias| alias.to_owned()).collect()));
        assert_eq!((person.profile.name.as_deref(), person.profile.phone_number.as_deref()), (name, number));
    }
    assert_eq!(identity(None, None, None, &[]), None);
    assert_eq!(identity(None, None, None, &[other.clone(), other]), None, "which of both is not known");
}

#[test]
fn echoes_are_the_businesss_own_messages_to_the_contact() {
    let echo = |from: &str, to: &str| json!({ "from": from, "to": to, "id": "wamid.1", "type": "text", "text": { "body": "hi" } });
    for message in [echo("972123456789", "4915112345678"), echo("4915112345678", "+972 12-345-6789")] {
        let Update::Message(inbound) = update(&message, &setting(&[], Writer::Business)).unwrap() else { panic!("no message") };
        assert_eq!((inbound.source_id.as_str(), inbound.writer), ("4915112345678", Writer::Business));
        assert_eq!(inbound.content_attributes["external_echo"], true);
    }
    let contacts = [json!({ "wa_id": "4915112345678", "user_id": "DE.1" })];
    let mut message = echo("972123456789", "4915112345678");
    message["to_user_id"] = "DE.1".into();
    let Update::Message(inbound) = update(&message, &setting(&contacts, Writer::Business)).unwrap() else { panic!("no message") };
    assert_eq!((inbound.source_id.as_str(), inbound.aliases), ("DE.1", vec!["4915112345678".to_owned()]));
}

#[test]
fn without_a_contact_or_an_id_there_is_no_message() {
    for (message, reason) in [
        (json!({ "id": "wamid.1", "type": "text", "text": { "body": "hi" } }), "it names no contact"),
        (json!({ "from": "49", "type": "text", "text": { "body": "hi" } }), "it has no id"),
        (json!({ "from": "49", "id": "wamid.1", "type": "reaction", "reaction": {} }), "it is a reaction to nothing"),
        (json!({ "from": "49", "id": "wamid.1", "type": "system", "system": { "type": "user_changed_number" } }), "it names no new number"),
        (json!("text"), "it names no contact"),
    ] {
        assert_eq!(update(&message, &setting(&[], Writer::Contact)).unwrap_err(), reason, "{message}");
    }
}
