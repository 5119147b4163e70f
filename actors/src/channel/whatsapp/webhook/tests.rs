//! Requests of Meta, right and wrong.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
use super::*;
use crate::secret::Secret;
use serde_json::json;

fn settings(app_secret: &str) -> Settings {
    let provider_config = ProviderConfig {
        api_key: Secret::new("token"),
        phone_number_id: "111".into(),
        business_account_id: "222".into(),
        app_secret: Secret::new(app_secret),
        webhook_verify_token: "verify me".into(),
    };
    Settings { provider_config, ..Settings::default() }
}

fn post(body: &[u8]) -> WebhookRequest {
    WebhookRequest { method: "POST".into(), body: Bytes::copy_from_slice(body), ..WebhookRequest::default() }
}

fn envelope(changes: Value) -> Value {
    json!({ "object": "whatsapp_business_account", "entry": [{ "id": "222", "changes": changes }] })
}

fn read_all(body: &Value) -> Read {
    read(&settings(""), &post(body.to_string().as_bytes())).unwrap()
}

fn updates(body: &Value) -> Vec<Update> {
    read_all(body).webhook.updates
}

fn messages(messages: Value) -> Value {
    json!({ "field": "messages", "value": { "metadata": { "phone_number_id": "111" }, "messages": messages } })
}

fn statuses(statuses: Value) -> Value {
    envelope(json!([{ "field": "messages", "value": { "metadata": { "phone_number_id": "111" }, "statuses": statuses } }]))
}

fn text_message(id: &str, from: &str, at: i64) -> Value {
    json!({ "from": from, "id": id, "timestamp": at.to_string(), "type": "text", "text": { "body": id } })
}

fn ids(updates: &[Update]) -> Vec<String> {
    let id = |update: &Update| match update {
        Update::Message(inbound) => inbound.provider_id.clone().unwrap(),
        other => panic!("{other:?}"),
    };
    updates.iter().map(id).collect()
}

#[test]
fn the_handshake_needs_the_verify_token() {
    let ask = |query: &[(&str, &str)]| {
        let query = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        read(&settings("secret"), &WebhookRequest { method: "GET".into(), query, ..WebhookRequest::default() })
    };
    let right = [("hub.mode", "subscribe"), ("hub.verify_token", "verify me"), ("hub.challenge", "1158201444")];
    let answer = ask(&right).unwrap().webhook.answer;
    assert_eq!(answer, Answer { status: 200, content_type: "text/plain", body: "1158201444".into() });
    for wrong in [
        &[("hub.mode", "subscribe"), ("hub.verify_token", "verify"), ("hub.challenge", "1")][..],
        &[("hub.mode", "subscribe"), ("hub.challenge", "1")],
        &[("hub.mode", "unsubscribe"), ("hub.verify_token", "verify me"), ("hub.challenge", "1")],
        &[("hub.mode", "subscribe"), ("hub.verify_token", "verify me")],
        &[],
    ] {
        assert!(matches!(ask(wrong), Err(ChannelError::Rejected(_))), "{wrong:?}");
    }
}

#[test]
fn with_an_app_secret_only_signed_requests_are_read() {
    // As Meta sends it: escaped. echo -n … | openssl dgst -sha256 -hmac secret
    let body = br#"{"object":"whatsapp_business_account","entry":[{"id":"222","changes":[]}],"note":"gr\u00fc\u00dfe"}"#;
    let right = {
        use hmac::{Hmac, KeyInit, Mac};
        let mut mac = Hmac::<Sha256>::new_from_slice(b"secret").unwrap();
        mac.update(body);
        format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
    };
    let signed = |signature: Option<&str>, body: &[u8]| {
        let headers = signature.map(|value| ("x-hub-signature-256".to_owned(), value.to_owned())).into_iter().collect();
        read(&settings("secret"), &WebhookRequest { headers, ..post(body) })
    };
    assert!(signed(Some(&right), body).is_ok());
    let parsed: Value = serde_json::from_slice(body).unwrap();
    for (signature, body) in
        [(None, &body[..]), (Some("sha256=00"), body), (Some(""), body), (Some(right.as_str()), parsed.to_string().as_bytes())]
    {
        assert!(matches!(signed(signature, body), Err(ChannelError::Rejected(_))), "{signature:?}");
    }
    assert!(read(&settings(""), &post(body)).is_ok(), "without an app secret nothing can be checked");
}

#[test]
fn messages_of_all_entries_come_in_the_order_of_their_times() {
    let body = json!({ "object": "whatsapp_business_account", "entry": [
        { "id": "222", "changes": [messages(json!([text_message("c", "49", 30), text_message("a", "49", 10)])), messages(json!([text_message("d", "48", 30)]))] },
        { "id": "222", "changes": [messages(json!([text_message("b", "49", 20), text_message("e", "49", 30)]))] },
    ] });
    assert_eq!(ids(&updates(&body)), ["a", "b", "c", "d", "e"]);
}

#[test]
fn what_is_of_another_number_or_account_is_left_out() {
    let foreign =
        json!({ "field": "messages", "value": { "metadata": { "phone_number_id": "999" }, "messages": [text_message("x", "49", 1)] } });
    let without = json!({ "field": "messages", "value": { "messages": [text_message("y", "49", 1)] } });
    assert_eq!(ids(&updates(&envelope(json!([foreign, without, messages(json!([text_message("a", "49", 1)]))])))), ["a"]);
    let template = json!([{ "field": "message_template_status_update", "value": { "event": "APPROVED" } }]);
    assert!(matches!(updates(&envelope(template.clone())).as_slice(), [Update::TemplatesChanged]));
    let of_other = json!({ "object": "whatsapp_business_account", "entry": [{ "id": "333", "changes": template }] });
    assert!(updates(&of_other).is_empty());
    for nothing in [
        json!({}),
        json!({ "object": "page", "entry": [] }),
        json!({ "object": "whatsapp_business_account", "entry": [null, 1, { "changes": [null, { "field": 7 }] }] }),
    ] {
        assert!(updates(&nothing).is_empty(), "{nothing}");
    }
}

#[test]
fn several_changes_of_templates_are_one_reason_to_fetch_them() {
    let fields = [
        "message_template_status_update",
        "message_template_quality_update",
        "template_category_update",
        "message_template_components_update",
    ];
    let changes: Vec<Value> = fields.iter().map(|field| json!({ "field": field, "value": {} })).collect();
    assert!(matches!(updates(&envelope(changes.into())).as_slice(), [Update::TemplatesChanged]));
}

#[test]
fn what_cannot_be_read_is_kept_and_the_rest_is_read() {
    for (body, reason) in
        [(&b"not json"[..], "it is not JSON"), (b"[1]", "it is not a JSON object"), (b"", "it is not JSON"), (b"\xff", "it is not JSON")]
    {
        let read = read(&settings(""), &post(body)).unwrap();
        let [Update::Unreadable { provider_key, reason: told, raw }] = read.webhook.updates.as_slice() else { panic!("{read:?}") };
        assert!(told.ends_with(reason) && provider_key.starts_with("sha256:"), "{told}");
        assert_eq!((raw.as_ref(), read.webhook.answer.status), (body, 200));
    }
    let body = envelope(json!([messages(json!([{ "type": "text" }, "no object", text_message("a", "49", 1)]))]));
    let read: Vec<Update> = updates(&body);
    assert!(matches!(read.as_slice(), [Update::Message(_), Update::Unreadable { .. }, Update::Unreadable { .. }]), "{read:?}");
    assert_eq!(ids(&updates(&envelope(json!([messages(json!([text_message("a\u{0}b", "49", 1)]))])))), ["ab"]);
}

#[test]
fn statuses_are_receipts() {
    let at = DateTime::from_timestamp(1_698_266_945, 0).unwrap();
    for (status, progress) in [
        ("sent", Some(Progress::Sent)),
        ("delivered", Some(Progress::Delivered)),
        ("read", Some(Progress::Read)),
        ("played", Some(Progress::Read)),
        ("failed", Some(Progress::Failed("Meta gives no reason".into()))),
        ("deleted", None),
        ("", None),
    ] {
        let body = statuses(json!([{ "id": "wamid.1", "status": status, "timestamp": "1698266945", "recipient_id": "49" }]));
        let receipts: Vec<Receipt> = updates(&body)
            .into_iter()
            .map(|update| if let Update::Receipt(receipt) = update { receipt } else { panic!("{update:?}") })
            .collect();
        let of = ReceiptOf::One { provider_id: "wamid.1".into(), message_id: None };
        let expected: Vec<Receipt> = progress.into_iter().map(|progress| Receipt { of: of.clone(), progress, at }).collect();
        assert_eq!(receipts, expected, "{status}");
    }
    assert!(updates(&statuses(json!([{ "status": "sent" }, null]))).is_empty());
}

#[test]
fn a_status_settles_our_message_when_it_is_of_its_last_part_or_a_failure() {
    for (status, callback, message_id, parts) in [
        ("sent", "7", Some(7), vec![(Callback { message_id: 7, part: None }, "wamid.1".to_owned())]),
        ("delivered", "7/0", None, vec![(Callback { message_id: 7, part: Some(0) }, "wamid.1".to_owned())]),
        ("failed", "7/0", Some(7), vec![]),
        ("failed", "7", Some(7), vec![]),
        ("sent", "somebody else's", None, vec![]),
    ] {
        let body = statuses(json!([{ "id": "wamid.1", "status": status, "biz_opaque_callback_data": callback }]));
        let read = read_all(&body);
        let [Update::Receipt(receipt)] = read.webhook.updates.as_slice() else { panic!("{read:?}") };
        assert_eq!(receipt.of, ReceiptOf::One { provider_id: "wamid.1".into(), message_id }, "{status} {callback}");
        assert_eq!(read.parts, parts, "{status} {callback}");
    }
}

#[test]
fn failures_tell_metas_reason_and_what_follows_from_it() {
    let failed = |code: i64| {
        let error = json!({ "code": code, "title": "Title", "error_data": { "details": "Because." } });
        updates(&statuses(
            json!([{ "id": "wamid.1", "status": "failed", "recipient_id": "49", "recipient_user_id": "DE.1", "errors": [error] }]),
        ))
    };
    let is_failure =
        |update: &Update, words: &str| matches!(update, Update::Receipt(Receipt { progress: Progress::Failed(told), .. }) if told == words);
    let plain = failed(131_047);
    assert!(
        plain.len() == 1
            && is_failure(&plain[0], "Because (131047). More than 24 hours have passed since the contact last wrote: send a template."),
        "{plain:?}"
    );
    let unreachable = failed(131_026);
    assert!(unreachable.len() == 2 && is_failure(&unreachable[0], "Because (131026)."), "{unreachable:?}");
    assert!(
        matches!(&unreachable[1], Update::Reachable { source_id, reachable: false, reason: Some(_) } if source_id == "DE.1"),
        "{unreachable:?}"
    );
    let unpaid = failed(131_042);
    assert!(matches!(unpaid.as_slice(), [Update::Receipt(_), Update::NeedsAttention(words)] if words == "Because (131042)."), "{unpaid:?}");
}

#[test]
fn the_account_calls_for_a_person_only_when_messages_stop() {
    let update = |field: &str, value: Value| updates(&envelope(json!([{ "field": field, "value": value }])));
    for (value, words) in [
        (json!({ "event": "ACCOUNT_DELETED" }), Some("ACCOUNT_DELETED")),
        (json!({ "event": "ACCOUNT_OFFBOARDED" }), Some("ACCOUNT_OFFBOARDED")),
        (
            json!({ "event": "PARTNER_REMOVED", "disconnection_info": { "reason": "PRIMARY_INACTIVITY", "initiated_by": "SYSTEM" } }),
            Some("PARTNER_REMOVED (PRIMARY_INACTIVITY, SYSTEM)"),
        ),
        (json!({ "event": "DISABLED_UPDATE", "ban_info": { "waba_ban_state": "DISABLE" } }), Some("DISABLED_UPDATE (DISABLE)")),
        (json!({ "event": "DISABLED_UPDATE", "ban_info": { "waba_ban_state": "REINSTATE" } }), None),
        (
            json!({ "event": "ACCOUNT_RESTRICTION", "restriction_info": [{ "restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING" }] }),
            None,
        ),
        (
            json!({ "event": "ACCOUNT_RESTRICTION", "restriction_info": [{ "restriction_type": "RESTRICTED_CUSTOMER_INITIATED_MESSAGING" }] }),
            Some("ACCOUNT_RESTRICTION"),
        ),
        (json!({ "event": "ACCOUNT_RECONNECTED" }), None),
        (json!({ "event": "SOMETHING_NEW" }), None),
        (json!({}), None),
    ] {
        let told = update("account_update", value.clone());
        match (told.as_slice(), words) {
            ([], None) => {}
            ([Update::NeedsAttention(told)], Some(words)) => assert!(told.contains(words), "{told}"),
            _ => panic!("{value}: {told:?}"),
        }
    }
    let number = json!({ "metadata": { "phone_number_id": "111" }, "errors": [{ "code": 131031, "message": "Account locked" }, { "code": 130429 }] });
    assert!(matches!(update("messages", number).as_slice(), [Update::NeedsAttention(words)] if words == "Account locked (131031)."));
}

/// Every place in a JSON value, as a pointer.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Array(list) => list.iter().enumerate().for_each(|(index, value)| places(value, &format!("{at}/{index}"), found)),
        Value::Object(object) => object.iter().for_each(|(name, value)| places(value, &format!("{at}/{name}"), found)),
        _ => {}
    }
}

#[test]
fn nothing_that_is_wrong_anywhere_hides_what_is_right_beside_it() {
    let common = |kind: &str, own: Value| json!({ "from": "49", "id": "x", "timestamp": "5", "type": kind, (kind): own, "context": { "id": "w", "forwarded": true } });
    let media = json!({ "id": "1", "mime_type": "image/png", "sha256": "x", "caption": "c", "filename": "f", "voice": true });
    let nodes = [
        common("text", json!({ "body": "hi" })),
        common("image", media),
        common("location", json!({ "latitude": 1.5, "longitude": 2.5, "name": "n", "address": "a" })),
        common("contacts", json!([{ "name": { "first_name": "A", "formatted_name": "A" }, "phones": [{ "phone": "1" }] }])),
        common("interactive", json!({ "type": "nfm_reply", "nfm_reply": { "body": "Sent", "response_json": "{\"a\":1}" } })),
        common("interactive", json!({ "type": "list_reply", "list_reply": { "id": "1", "title": "t" } })),
        common(
            "order",
            json!({ "text": "t", "product_items": [{ "product_retailer_id": "p", "quantity": 1, "item_price": 2, "currency": "EUR" }] }),
        ),
        common("reaction", json!({ "message_id": "w", "emoji": "x" })),
        common("edit", json!({ "original_message_id": "w", "message": { "type": "text", "text": { "body": "b" } } })),
        common("revoke", json!({ "original_message_id": "w" })),
        common("system", json!({ "type": "user_changed_number", "wa_id": "48", "body": "b" })),
        common("unsupported", json!({ "type": "poll_creation" })),
    ];
    let status = json!({ "id": "w", "status": "failed", "timestamp": "5", "recipient_id": "49", "biz_opaque_callback_data": "7/1",
        "errors": [{ "code": 131_026, "title": "t", "error_data": { "details": "d" } }] });
    let mut bodies: Vec<Value> = nodes
        .into_iter()
        .map(|node| json!({ "contacts": [{ "wa_id": "49", "user_id": "DE.1", "profile": { "name": "Ann" } }], "messages": [node] }))
        .collect();
    bodies.push(json!({ "statuses": [status], "errors": [{ "code": 131_031 }] }));
    let right = messages(json!([text_message("right", "48", 9)]));
    let mut tried = 0;
    for mut value in bodies {
        value["metadata"] = json!({ "phone_number_id": "111", "display_phone_number": "1" });
        let mut pointers = Vec::new();
        places(&value, "", &mut pointers);
        for pointer in pointers {
            for wrong in [
                Value::Null,
                json!(-1),
                json!(1e300),
                json!(true),
                json!("wrong \u{0}"),
                json!(""),
                json!([]),
                json!([[1]]),
                json!({}),
                json!({ "a": {} }),
            ] {
                let mut broken = value.clone();
                *broken.pointer_mut(&pointer).unwrap() = wrong.clone();
                for field in ["messages", "smb_message_echoes"] {
                    let change = json!({ "field": field, "value": broken });
                    let told = updates(&envelope(json!([change, right])));
                    let is_right =
                        |update: &&Update| matches!(update, Update::Message(inbound) if inbound.provider_id.as_deref() == Some("right"));
                    assert_eq!(told.iter().filter(is_right).count(), 1, "{pointer} {wrong}");
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 2000, "{tried}");
}

#[test]
fn a_request_is_for_the_numbers_it_tells_of_and_for_the_account_where_it_tells_of_none() {
    let of_number = |id: Value| json!({ "field": "messages", "value": { "metadata": { "phone_number_id": id }, "messages": [] } });
    let of_account = json!({ "field": "account_update", "value": { "event": "DISABLED" } });
    let of_partner = json!({ "field": "account_update", "value": { "waba_info": { "waba_id": "333" } } });
    for (body, named) in [
        (envelope(json!([of_number(json!("111")), of_number(json!("112")), of_number(json!("111"))])), vec!["111", "112"]),
        (envelope(json!([of_number(json!(113)), of_account])), vec!["113", "222"]),
        (envelope(json!([of_partner])), vec!["222", "333"]),
        (json!({ "entry": [{ "changes": [{}, 7, null] }, 7] }), vec![]),
        (json!("no object"), vec![]),
    ] {
        let found = addressees(&post(body.to_string().as_bytes()));
        assert_eq!(found, named, "{body}");
        let is_ours = named.contains(&"111") || named.contains(&"222");
        assert_eq!(settings("").is_addressed(&found), is_ours, "{body}");
    }
    assert!(addressees(&post(b"{")).is_empty());
}
