//! How a website inbox is made, shown and changed (contract, section 2, Inboxes).

use super::{NO_WEBSITE, Website, assert_blames, fields, website};
use crate::app::say;
use crate::desk::{assert_refused, health, member};
use crate::harness::{Daemon, SOON};
use serde_json::{Value, json};

/// Every field of the channel, none with its default.
fn all() -> Value {
    json!({
        "website_url": "https://shop.example/start", "widget_color": "#aa00cc", "welcome_title": "Hello", "welcome_tagline": "Ask us",
        "reply_time": "in_a_day", "pre_chat_form_enabled": true, "pre_chat_form_options": form(), "continuity_via_email": false,
        "hmac_mandatory": true, "allowed_domains": "shop.example,*.shop.example", "selected_feature_flags": ["emoji_picker"], "locale": "de",
    })
}

fn form() -> Value {
    let field = |name: &str, kind: &str, field_type: &str| json!({"name": name, "type": kind, "field_type": field_type, "label": name, "placeholder": "…", "required": true, "enabled": true});
    let mut plan = field("plan", "list", "conversation_attribute");
    plan["values"] = json!(["Basic", "Pro"]);
    let mut order = field("order", "text", "contact_attribute");
    (order["regex_pattern"], order["regex_cue"]) = (json!("^[0-9]+$"), json!("digits"));
    json!({"pre_chat_message": "Who are you?", "pre_chat_fields": [field("emailAddress", "email", "standard"), plan, order]})
}

/// Whether all that was given is shown; an object may have more.
fn is_part(given: &Value, shown: &Value) -> bool {
    match (given, shown) {
        (Value::Object(given), Value::Object(shown)) => {
            given.iter().all(|(name, value)| shown.get(name).is_some_and(|shown| is_part(value, shown)))
        }
        (Value::Array(given), Value::Array(shown)) => {
            given.len() == shown.len() && given.iter().zip(shown).all(|(given, shown)| is_part(given, shown))
        }
        _ => given == shown,
    }
}

#[tokio::test]
async fn a_website_inbox_has_the_fields_of_the_contract() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let made = admin.post(admin.a("/inboxes"), fields(json!({"channel": all()}))).await.expect(200);
    let id = made.id("/id");
    assert_eq!((made.str("/channel_type"), made.str("/name")), ("Channel::WebWidget", "Shop"));
    for (name, value) in all().as_object().unwrap() {
        assert!(is_part(value, made.at(&format!("/{name}"))), "{name}: {}", made.text);
    }
    let (token, script) = (made.str("/website_token"), made.str("/web_widget_script"));
    assert!(token.len() >= 20 && token.chars().all(|letter| letter.is_ascii_alphanumeric()), "{token}");
    // The manual's snippet, with this installation's address and this inbox's token.
    let parts = [
        "<script>",
        "(function(d,t)",
        &format!("BASE_URL=\"{}\"", daemon.base_url()),
        "g.src=BASE_URL+\"/packs/js/sdk.js\"",
        "window.chatwootSDK.run({",
        &format!("websiteToken: '{token}'"),
        "baseUrl: BASE_URL",
        "(document,\"script\")",
        "</script>",
    ];
    for part in parts {
        assert!(script.contains(part), "{part} is not in {script}");
    }
    assert!(made.str("/hmac_token").len() >= 20 && made.str("/hmac_token") != token);
    assert!(made.body.get("secret").is_none() && made.body.get("webhook_url").is_none(), "of API inboxes: {}", made.text);
    assert_eq!(admin.get(admin.a(&format!("/inboxes/{id}"))).await.expect(200).body, made.body);
    let other = website(&admin, json!({})).await;
    assert!(other.token != token && other.hmac_token != made.str("/hmac_token"));

    let (agent, agent_id) = member(&daemon, "agent@example.com", "agent").await;
    admin.post(admin.a("/inbox_members"), json!({"inbox_id": id, "user_ids": [agent_id]})).await.expect(200);
    let shown = agent.get(agent.a(&format!("/inboxes/{id}"))).await.expect(200);
    assert!(shown.body.get("hmac_token").is_none() && !shown.text.contains(made.str("/hmac_token")), "{}", shown.text);
    assert_eq!((shown.at("/website_token"), shown.str("/widget_color")), (made.at("/website_token"), "#aa00cc"));
}

#[tokio::test]
async fn what_is_not_said_is_as_in_the_contract() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let fields = json!({"name": "Shop", "channel": {"type": "web_widget", "website_url": "https://shop.example"}});
    let made = admin.post(admin.a("/inboxes"), fields).await.expect(200);
    for (name, value) in [
        ("website_url", json!("https://shop.example")),
        ("widget_color", json!("#1f93ff")),
        ("reply_time", json!("in_a_few_minutes")),
        ("pre_chat_form_enabled", json!(false)),
        ("continuity_via_email", json!(true)),
        ("hmac_mandatory", json!(false)),
        ("selected_feature_flags", json!(["attachments", "emoji_picker", "end_conversation"])),
        ("enable_email_collect", json!(true)),
        ("csat_survey_enabled", json!(false)),
        ("working_hours_enabled", json!(false)),
        ("allow_messages_after_resolved", json!(true)),
        ("lock_to_single_conversation", json!(false)),
    ] {
        assert_eq!(made.at(&format!("/{name}")), &value, "{name}");
    }
    for name in ["welcome_title", "welcome_tagline", "allowed_domains", "locale"] {
        assert_eq!(made.at(&format!("/{name}")).as_str().unwrap_or_default(), "", "{name}");
    }
    assert!(made.at("/pre_chat_form_options").is_object(), "{}", made.text);
}

#[tokio::test]
async fn each_field_is_changed_by_itself() {
    let website = Website::open(json!({})).await;
    let mut before = website.change(json!({})).await.expect(200).body;
    let rest = [("welcome_title", json!("")), ("selected_feature_flags", json!([])), ("allowed_domains", json!(""))];
    for (name, value) in all().as_object().unwrap().clone().into_iter().chain(rest.map(|(name, value)| (name.to_owned(), value))) {
        let mut channel = json!({});
        channel[&name] = value.clone();
        let changed = website.change(json!({"channel": channel})).await.expect(200).body;
        assert!(is_part(&value, &changed[&name]) || (value == "" && changed[&name].is_null()), "{name}: {}", changed[&name]);
        for (other, kept) in before.as_object().unwrap().iter().filter(|(other, _)| **other != name) {
            assert_eq!(&changed[other], kept, "{other} has changed with {name}");
        }
        before = changed;
    }
    assert_eq!(
        (before["website_token"].as_str(), before["hmac_token"].as_str()),
        (Some(website.inbox.token.as_str()), Some(website.inbox.hmac_token.as_str()),)
    );
}

#[tokio::test]
async fn wrong_values_are_named_and_change_nothing() {
    let website = Website::open(json!({"channel": all()})).await;
    let path = website.admin.a(&format!("/inboxes/{}", website.inbox.id));
    let before = website.admin.get(&path).await.expect(200).body;
    let options = |fields: Value| json!({"pre_chat_message": "", "pre_chat_fields": fields});
    let field = |name: &str, value: Value| {
        let mut field = form()["pre_chat_fields"][0].clone();
        field[name] = value;
        options(json!([field]))
    };
    let long = "x".repeat(20_000);
    let wrong = [
        ("widget_color", json!("no colour")),
        ("widget_color", json!("#12345g")),
        ("widget_color", json!("#1f93ff;background:url(//evil.example)")),
        ("widget_color", json!({})),
        ("reply_time", json!("soon")),
        ("reply_time", json!(["in_a_day"])),
        ("pre_chat_form_enabled", json!("perhaps")),
        ("continuity_via_email", json!("perhaps")),
        ("hmac_mandatory", json!({})),
        ("pre_chat_form_options", json!("x")),
        ("pre_chat_form_options", json!([])),
        ("pre_chat_form_options", options(json!({}))),
        ("pre_chat_form_options", options(json!(["emailAddress"]))),
        ("pre_chat_form_options", json!({"pre_chat_message": {}, "pre_chat_fields": []})),
        ("pre_chat_form_options", json!({"pre_chat_message": long, "pre_chat_fields": []})),
        ("pre_chat_form_options", field("type", json!("hologram"))),
        ("pre_chat_form_options", field("name", json!({}))),
        ("pre_chat_form_options", field("label", json!(long))),
        ("pre_chat_form_options", field("required", json!("perhaps"))),
        ("pre_chat_form_options", field("values", json!("Basic"))),
        ("allowed_domains", json!("shop.example; script-src *")),
        ("allowed_domains", json!("shop.example\nx-header: 1")),
        ("allowed_domains", json!("shop.example\r\nset-cookie: a=b")),
        ("allowed_domains", json!("'unsafe-inline'")),
        ("allowed_domains", json!("\"shop.example\"")),
        ("allowed_domains", json!("shop.example, <script>")),
        ("allowed_domains", json!({})),
        ("selected_feature_flags", json!(["attachments", "dance"])),
        ("selected_feature_flags", json!({})),
        ("welcome_title", json!(long)),
        ("welcome_title", json!([])),
        ("welcome_tagline", json!(long)),
        ("welcome_tagline", json!({})),
        ("website_url", json!(format!("https://shop.example/{long}"))),
        ("website_url", json!("javascript:alert(1)")),
        ("website_url", json!({})),
        ("locale", json!("<script>")),
        ("locale", json!({})),
    ];
    for (name, value) in wrong {
        let mut channel = json!({});
        channel[name] = value;
        let field = format!("channel.{name}");
        assert_blames(&website.change(json!({"name": "Changed", "channel": channel})).await, &field);
        let made = website.admin.post(website.admin.a("/inboxes"), fields(json!({"channel": channel}))).await;
        assert_blames(&made, &field);
    }
    assert_eq!(website.admin.get(&path).await.expect(200).body, before, "nothing is changed by halves");
    assert_eq!(website.admin.get(website.admin.a("/inboxes")).await.expect(200).at("/payload").as_array().unwrap().len(), 1);
    // Nobody chooses what the pages are known by.
    let own = json!({"website_token": "mine", "hmac_token": "mine", "identifier": "mine", "channel": {"website_token": "mine"}});
    let kept = website.change(own).await.expect(200);
    assert_eq!((kept.str("/website_token"), kept.str("/hmac_token")), (website.inbox.token.as_str(), website.inbox.hmac_token.as_str()));
}

#[tokio::test]
async fn a_changed_colour_shows_at_the_next_load_and_disturbs_nobody() {
    let website = Website::open(json!({"channel": {"widget_color": "#112233", "welcome_title": "Before"}})).await;
    let visitor = website.visitor().await;
    let conversation = visitor.says("hello").await.id("/conversation_id");
    let mut cable = visitor.listen(&website.daemon).await;
    let session = health(&website.admin, website.inbox.id).await["session"].clone();

    let changes =
        json!({"greeting_message": "Hi", "channel": {"widget_color": "#ffee00", "welcome_title": "After", "reply_time": "in_a_day"}});
    let changed = website.change(changes).await.expect(200);
    assert_eq!((changed.str("/widget_color"), changed.str("/website_token")), ("#ffee00", website.inbox.token.as_str()));
    let config = visitor.post("config", json!({})).await.expect(200);
    assert_eq!(config.str("/website_channel_config/widget_color"), "#ffee00");
    assert_eq!(config.str("/website_channel_config/welcome_title"), "After");
    assert_eq!(config.str("/website_channel_config/reply_time"), "in_a_day");
    assert_eq!(config.str("/website_channel_config/auth_token"), visitor.auth_token);
    assert_eq!(config.id("/contact/id"), visitor.contact);
    if let Some(page) = website.page(&format!("&cw_conversation={}", visitor.auth_token)).await {
        let page = page.expect(200).text;
        assert!(page.contains("#ffee00") && page.contains("After") && !page.contains("#112233"), "{page}");
    }
    // The page that is open goes on with the socket that it has.
    let answer = say(&website.admin, conversation, "still here").await;
    assert_eq!(cable.next_event("message.created", SOON).await["id"], answer);
    assert_eq!(health(&website.admin, website.inbox.id).await["session"], session);
}

#[tokio::test]
async fn only_visitors_write_for_visitors_and_a_removed_website_is_none() {
    let website = Website::open(json!({})).await;
    let visitor = website.visitor().await;
    let conversation = visitor.says("hello").await.id("/conversation_id");
    let forged = json!({"content": "forged", "message_type": "incoming"});
    assert_refused(&crate::app::post(&website.admin, conversation, forged).await, 422);
    // What the website is known by is no API inbox.
    let public = format!("/public/api/v1/inboxes/{}", website.inbox.token);
    assert_refused(&website.daemon.visitor().get(&public).await, 404);
    assert_refused(&website.daemon.visitor().post(format!("{public}/contacts"), json!({})).await, 404);

    website.admin.delete(website.admin.a(&format!("/inboxes/{}", website.inbox.id))).await.expect(200);
    for call in ["config", "messages", "conversations"] {
        assert_eq!(visitor.post(call, json!({"message": {"content": "x"}})).await.expect(404).str("/error"), NO_WEBSITE);
    }
    if let Some(page) = website.page("").await {
        assert_eq!(page.expect(404).str("/error"), NO_WEBSITE);
    }
    let other = super::website(&website.admin, json!({})).await;
    let came = super::Visitor::come(&website.daemon.visitor(), &other.token).await;
    came.says("hello").await;
}
