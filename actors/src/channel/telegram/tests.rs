//! Settings of bots, and webhook requests.
use super::fake::contract;
use super::*;
use crate::message::Update;
use bytes::Bytes;

fn settings(token: &str) -> Settings {
    Settings { bot_token: Secret::new(token), ..Settings::default() }
}

fn channel(token: &str, mode: Mode, public_url: &str) -> TelegramChannel {
    let settings = Settings { mode, ..settings(token) };
    TelegramChannel { api: Api::new(&settings.bot_token, "https://telegram.example"), public_url: public_url.into(), settings }
}

#[test]
fn settings_are_checked() {
    for (token, is_fine) in [
        ("7123456789:AAF-x_9", true),
        ("", false),
        ("7123456789", false),
        (":AAF", false),
        ("7123456789:", false),
        ("712x:AAF", false),
        ("712:AAF/../7", false),
        ("712:AAF ", false),
    ] {
        assert_eq!(settings(token).validate().is_ok(), is_fine, "{token:?}");
    }
    let long = format!("712:{}", "a".repeat(300));
    assert!(settings(&long).validate().unwrap_err().starts_with("bot_token must be"));
}

#[test]
fn settings_are_read_as_the_contract_names_them() {
    let read = |value: Value| {
        let settings: Settings = serde_json::from_value(value).map_err(|error| error.to_string())?;
        settings.validate().map(|()| settings)
    };
    assert_eq!(read(json!({ "bot_token": "712:AAF" })).unwrap(), settings("712:AAF"));
    assert!(read(json!({})).unwrap_err().contains("bot_token"));
    assert!(read(json!({ "bot_token": "712:AAF", "mode": "pigeon" })).unwrap_err().contains("pigeon"));
}

#[test]
fn a_bot_is_one_whatever_its_token() {
    assert_eq!(settings("712:AAF").unique_key(), settings("712:BBG").unique_key());
    assert_ne!(settings("712:AAF").unique_key(), settings("713:AAF").unique_key());
    assert!(!settings("712:AAF").unique_key().contains("AAF"));
}

#[test]
fn the_way_in_follows_from_mode_and_address() {
    for (mode, public_url, is_pushed) in [
        (Mode::Auto, "https://desk.example", true),
        (Mode::Auto, "http://desk.example", false),
        (Mode::Webhook, "http://desk.example", true),
        (Mode::Polling, "https://desk.example", false),
    ] {
        assert_eq!(channel("712:AAF", mode, public_url).is_pushed(), is_pushed, "{mode:?} {public_url}");
    }
}

#[test]
fn ids_of_parts_are_read() {
    for (id, ids) in [("5:7", vec![7]), ("5:7,8,9", vec![7, 8, 9]), ("7", vec![]), ("", vec![]), ("5:7,x", vec![]), ("callback:7", vec![])]
    {
        assert_eq!(message_ids(id), ids, "{id:?}");
    }
    assert_eq!(message_ids(&provider_id(5, 7)), [7]);
}

fn request(secret: Option<&str>, body: &str) -> WebhookRequest {
    let headers = secret.map(|secret| ("x-telegram-bot-api-secret-token".to_owned(), secret.to_owned()));
    WebhookRequest { headers: headers.into_iter().collect(), body: Bytes::copy_from_slice(body.as_bytes()), ..WebhookRequest::default() }
}

#[test]
fn only_telegram_may_push() {
    let channel = channel("712:AAF", Mode::Auto, "https://desk.example");
    let secret = channel.settings.webhook_secret();
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric();
    assert!(secret.len() == 64 && secret.chars().all(is_allowed), "{secret}");
    assert_ne!(secret, settings("712:BBG").webhook_secret());
    let body = r#"{"update_id":1,"channel_post":{}}"#;
    for wrong in [None, Some(""), Some("712:AAF"), Some(&secret[1..])] {
        let refused = channel.webhook(&request(wrong, body));
        assert!(matches!(&refused, Err(ChannelError::Rejected(reason)) if !reason.contains(&secret)), "{wrong:?}: {refused:?}");
    }
    assert!(channel.webhook(&request(Some(&secret), body)).is_ok());
}

/// Telegram would repeat anything else and hold back what came after it.
#[test]
fn whatever_is_pushed_is_answered_with_200() {
    let channel = channel("712:AAF", Mode::Auto, "https://desk.example");
    let secret = channel.settings.webhook_secret();
    let deep = "[".repeat(100_000);
    for (body, updates) in [
        ("", 1),
        ("{", 1),
        ("null", 1),
        ("[]", 1),
        ("{}", 1),
        (deep.as_str(), 1),
        (r#"{"update_id":1,"news":{}}"#, 1),
        (r#"{"update_id":1,"poll":{}}"#, 0),
    ] {
        let webhook = channel.webhook(&request(Some(&secret), body)).unwrap();
        assert_eq!((webhook.answer, webhook.updates.len()), (Answer::default(), updates), "{body:.20}");
        for update in webhook.updates {
            let Update::Unreadable { raw, .. } = update else { panic!("{update:?}") };
            assert!(!raw.is_empty() || body.is_empty(), "{body:.20}");
        }
    }
}

#[test]
fn a_pressed_button_is_answered_with_the_webhook() {
    let channel = channel("712:AAF", Mode::Auto, "https://desk.example");
    let table: Value = serde_json::from_str(include_str!("testdata/updates.json")).unwrap();
    let body = table["a button"]["update"].to_string();
    let webhook = channel.webhook(&request(Some(&channel.settings.webhook_secret()), &body)).unwrap();
    let answer: Value = serde_json::from_str(&webhook.answer.body).unwrap();
    assert_eq!(answer, json!({ "method": "answerCallbackQuery", "callback_query_id": "4382bfdwdsb323b2d9" }));
    assert_eq!((webhook.answer.status, webhook.updates.len()), (200, 1));
    let mut parameters = answer.as_object().unwrap().clone();
    let method = parameters.remove("method").unwrap();
    assert_eq!(contract::request(method.as_str().unwrap(), &parameters, false, &[]), [""; 0]);
}
