//! Inboxes over REST: made, shown to whom, changed, staffed, watched and deleted (contract, section 2, Inboxes).

use crate::desk::{api_inbox, assert_names, assert_refused, conversation, health, member, stored};
use crate::harness::{Client, Daemon, SOON, eventually};
use crate::smtp::Smtp;
use serde_json::{Value, json};

/// What the API shows in place of a secret.
const BLANK: &str = "********";

#[tokio::test]
async fn an_api_inbox_has_the_fields_of_the_contract() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let fields = json!({
        "name": " Shop ", "greeting_enabled": true, "greeting_message": "Welcome", "enable_auto_assignment": false, "unknown": 1,
        "channel": {"type": "api", "webhook_url": "http://127.0.0.1:19999/hook", "hmac_mandatory": true, "additional_attributes": {"agent_reply_time_window": 24}},
    });
    let made = admin.post(admin.a("/inboxes"), fields).await.expect(200);
    let id = made.id("/id");
    let expected = json!({
        "id": id, "avatar_url": "", "name": "Shop", "channel_type": "Channel::Api", "greeting_enabled": true, "greeting_message": "Welcome",
        "working_hours_enabled": false, "enable_email_collect": true, "csat_survey_enabled": false, "csat_config": {},
        "enable_auto_assignment": false, "auto_assignment_config": {}, "out_of_office_message": null, "timezone": "UTC",
        "callback_webhook_url": null, "allow_messages_after_resolved": true, "lock_to_single_conversation": false,
        "sender_name_type": "friendly", "business_name": null, "webhook_url": "http://127.0.0.1:19999/hook", "hmac_mandatory": true,
        "additional_attributes": {"agent_reply_time_window": 24},
        // Of other channels.
        "allowed_domains": null, "widget_color": null, "website_url": null, "welcome_title": null, "welcome_tagline": null,
        "web_widget_script": null, "website_token": null, "selected_feature_flags": null, "reply_time": null,
        "messaging_service_sid": null, "phone_number": null, "provider": null,
    });
    assert_fields(&made.body, &expected);
    assert!(made.body["channel_id"].is_i64());
    let hours = made.at("/working_hours").as_array().unwrap();
    assert_eq!(hours.len(), 7);
    let closed: Vec<i64> =
        hours.iter().filter(|day| day["closed_all_day"] == true).map(|day| day["day_of_week"].as_i64().unwrap()).collect();
    assert_eq!(closed, [0, 6], "closed on Sunday and Saturday");
    let monday = json!({"day_of_week": 1, "closed_all_day": false, "open_hour": 9, "open_minutes": 0, "close_hour": 17, "close_minutes": 0, "open_all_day": false});
    assert_eq!(hours[1], monday);
    for name in ["inbox_identifier", "hmac_token", "secret"] {
        assert!(made.str(&format!("/{name}")).len() >= 20, "{name}");
    }
    assert_eq!(admin.get(admin.a(&format!("/inboxes/{id}"))).await.expect(200).body, made.body);
    assert_eq!(admin.get(admin.a("/inboxes")).await.expect(200).at("/payload"), &json!([made.body]));

    let secret = admin.post(admin.a(&format!("/inboxes/{id}/reset_secret")), json!({})).await.expect(200);
    assert!(secret.str("/secret").len() >= 20);
    assert_ne!(secret.at("/secret"), made.at("/secret"));
    assert_eq!((secret.at("/hmac_token"), secret.at("/inbox_identifier")), (made.at("/hmac_token"), made.at("/inbox_identifier")));
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_nothing_else() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let id = api_inbox(&admin, "Shop").await;
    let path = admin.a(&format!("/inboxes/{id}"));
    let before = admin.get(&path).await.expect(200).body;
    let hours: Vec<Value> = (0..7)
        .map(|day| json!({"day_of_week": day, "closed_all_day": day == 3, "open_all_day": day == 4, "open_hour": 8, "open_minutes": 30, "close_hour": 20, "close_minutes": 15}))
        .collect();
    let update = json!({
        "name": "Store", "working_hours_enabled": true, "working_hours": hours, "timezone": "Europe/Berlin",
        "out_of_office_message": "Closed", "csat_survey_enabled": true, "csat_config": {"display_type": "emoji"},
        "allow_messages_after_resolved": false, "lock_to_single_conversation": true, "sender_name_type": "professional",
        "business_name": "ACME", "auto_assignment_config": {"max_assignment_limit": 3}, "enable_email_collect": false,
    });
    let changed = admin.patch(&path, update.clone()).await.expect(200).body;
    assert_fields(&changed, &update);
    for (name, value) in before.as_object().unwrap() {
        assert!(update.get(name).is_some() || changed[name] == *value, "{name} has changed from {value} to {}", changed[name]);
    }
    let cleared = admin
        .put(&path, json!({"out_of_office_message": "null", "business_name": null, "channel": {"webhook_url": "http://127.0.0.1:19999/"}}))
        .await;
    let cleared = cleared.expect(200).body;
    assert_fields(
        &cleared,
        &json!({"out_of_office_message": null, "business_name": null, "webhook_url": "http://127.0.0.1:19999/", "name": "Store"}),
    );
    let without = admin.patch(&path, json!({"channel": {"webhook_url": null, "type": "email"}})).await.expect(200).body;
    assert_eq!(without["channel_type"], "Channel::Api", "the type of a channel stays");
    assert!(without["webhook_url"].as_str().unwrap_or_default().is_empty(), "{without}");
    assert_eq!(admin.get(&path).await.expect(200).body, without);
    assert_refused(&admin.patch(admin.a("/inboxes/9999"), json!({"name": "X"})).await, 404);
}

#[tokio::test]
async fn an_email_inbox_keeps_its_passwords_to_itself() {
    const OLD: &str = "imap-pass-of-old";
    const SMTP: &str = "smtp-pass-of-old";
    let mut daemon = Daemon::start().await;
    let admin = daemon.client();
    // Nothing is fetched: the session only waits, so that its number tells whether the stored settings have changed.
    let channel = json!({
        "type": "email", "email": "support@shop.example", "imap_enabled": false, "imap_address": "imap.shop.example", "imap_port": 993,
        "imap_login": "support", "imap_password": OLD, "smtp_address": "smtp.shop.example", "smtp_port": "465", "smtp_password": SMTP,
        "smtp_enable_ssl_tls": "true",
    });
    let made = admin.post(admin.a("/inboxes"), json!({"name": "Mail", "channel": channel})).await.expect(200);
    let id = made.id("/id");
    assert_fields(
        &made.body,
        &json!({
            "channel_type": "Channel::Email", "email": "support@shop.example", "forwarding_enabled": false, "imap_enabled": false,
            "imap_address": "imap.shop.example", "imap_port": 993, "imap_login": "support", "imap_password": BLANK,
            "imap_enable_ssl": true, "smtp_enabled": false, "smtp_address": "smtp.shop.example", "smtp_port": 465, "smtp_login": "",
            "smtp_password": BLANK, "smtp_enable_ssl_tls": true, "smtp_enable_starttls_auto": true, "smtp_openssl_verify_mode": "peer",
        }),
    );
    assert!(made.body.get("hmac_token").is_none() && made.body.get("webhook_url").is_none(), "{}", made.text);

    let (agent, agent_id) = member(&daemon, "agent@example.com", "agent").await;
    admin.post(admin.a("/inbox_members"), json!({"inbox_id": id, "user_ids": [agent_id]})).await.expect(200);
    let path = admin.a(&format!("/inboxes/{id}"));
    for shown in [agent.get(&path).await.expect(200).body, agent.get(admin.a("/inboxes")).await.expect(200).at("/payload/0").clone()] {
        assert_eq!(shown["email"], "support@shop.example");
        let secret = shown.as_object().unwrap().keys().find(|name| name.starts_with("imap_") || name.starts_with("smtp_"));
        assert_eq!(secret, None, "{shown}");
    }

    let session = async || health(&admin, id).await["session"].as_i64().unwrap();
    let first = session().await;
    let same = json!({"name": "Post", "channel": {"imap_password": BLANK, "smtp_password": BLANK, "imap_login": "support"}});
    let kept = admin.patch(&path, same).await.expect(200);
    assert_fields(&kept.body, &json!({"name": "Post", "imap_password": BLANK, "smtp_password": BLANK}));
    assert_eq!(session().await, first, "the blank sent back changes no password");
    let new = json!({"channel": {"imap_password": "imap-pass-of-new"}});
    assert_eq!(admin.patch(&path, new).await.expect(200).str("/imap_password"), BLANK);
    eventually(SOON, async || (session().await > first).then_some(())).await;
    let none = admin.patch(&path, json!({"channel": {"smtp_password": ""}})).await.expect(200);
    assert_fields(&none.body, &json!({"imap_password": BLANK, "smtp_password": ""}));

    daemon.terminate().await;
    let (stored, log) = (stored(&daemon).await, daemon.log());
    assert!(stored.contains("imap.shop.example"), "what is stored has been looked at");
    for secret in [OLD, SMTP, "imap-pass-of-new"] {
        assert!(!stored.contains(secret), "{secret} is stored as it is");
        assert!(!log.contains(secret), "{secret} is logged");
    }
    daemon.restart().await;
    let after = admin.get(&path).await.expect(200).body;
    assert_fields(&after, &json!({"imap_password": BLANK, "smtp_password": "", "imap_login": "support"}));
}

#[tokio::test]
async fn api_secrets_are_for_administrators() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let id = api_inbox(&admin, "Shop").await;
    let (agent, agent_id) = member(&daemon, "agent@example.com", "agent").await;
    admin.post(admin.a("/inbox_members"), json!({"inbox_id": id, "user_ids": [agent_id]})).await.expect(200);
    let shown = agent.get(agent.a(&format!("/inboxes/{id}"))).await.expect(200).body;
    assert!(shown.get("hmac_token").is_none() && shown.get("secret").is_none(), "{shown}");
    assert_eq!(shown["name"], "Shop");
}

#[tokio::test]
async fn members_are_added_replaced_and_removed() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let id = api_inbox(&admin, "Shop").await;
    let (agent, one) = member(&daemon, "one@example.com", "agent").await;
    let (_, two) = member(&daemon, "two@example.com", "agent").await;
    let (_, three) = member(&daemon, "three@example.com", "agent").await;
    let path = admin.a("/inbox_members");
    let body = |ids: &[i64]| json!({"inbox_id": id, "user_ids": ids});
    let members = async || ids(admin.get(admin.a(&format!("/inbox_members/{id}"))).await.expect(200).at("/payload"));
    assert_eq!(members().await, [0i64; 0]);
    assert_refused(&agent.get(agent.a(&format!("/inboxes/{id}"))).await, 404);

    assert_eq!(ids(admin.post(&path, body(&[one])).await.expect(200).at("/payload")), [one]);
    agent.get(agent.a(&format!("/inboxes/{id}"))).await.expect(200);
    assert_eq!(ids(admin.post(&path, body(&[one, two, two])).await.expect(200).at("/payload")), [one, two], "adding again changes nothing");
    let text_ids = json!({"inbox_id": id.to_string(), "user_ids": [two.to_string(), three.to_string()]});
    assert_eq!(ids(admin.patch(&path, text_ids).await.expect(200).at("/payload")), [two, three]);
    assert_refused(&agent.get(agent.a(&format!("/inboxes/{id}"))).await, 404);
    let assignable = admin.get(admin.a(&format!("/assignable_agents?inbox_ids[]={id}"))).await.expect(200);
    assert_eq!(ids(assignable.at("/payload")), [1, two, three], "the members, and administrators");
    assert_eq!(admin.delete_with(&path, body(&[two])).await.expect(200).text, "");
    assert_eq!(members().await, [three]);

    assert_names(&admin.post(&path, body(&[one, 9999])).await, 422, "user_ids");
    assert_names(&admin.patch(&path, body(&[9999])).await, 422, "user_ids");
    assert_names(&admin.post(&path, json!({"inbox_id": id, "user_ids": {}})).await, 422, "user_ids");
    assert_names(&admin.post(&path, json!({"user_ids": [one]})).await, 422, "inbox_id");
    assert_refused(&admin.post(&path, json!({"inbox_id": 9999, "user_ids": [one]})).await, 404);
    assert_eq!(members().await, [three], "refusals change nothing");
    assert_eq!(admin.put(&path, body(&[])).await.expect(200).at("/payload"), &json!([]));
}

#[tokio::test]
async fn the_conversations_of_a_deleted_inbox_stay_for_administrators() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let (agent, agent_id) = member(&daemon, "agent@example.com", "agent").await;
    let made = admin.post(admin.a("/inboxes"), json!({"name": "Shop", "channel": {"type": "api"}})).await.expect(200);
    let id = made.id("/id");
    admin.post(admin.a("/inbox_members"), json!({"inbox_id": id, "user_ids": [agent_id]})).await.expect(200);
    let conversation = conversation(&admin, id, "hello").await;
    let path = admin.a(&format!("/conversations/{conversation}"));
    agent.get(&path).await.expect(200);
    let public = format!("/public/api/v1/inboxes/{}", made.str("/inbox_identifier"));
    daemon.visitor().get(&public).await.expect(200);

    assert!(!admin.delete(admin.a(&format!("/inboxes/{id}"))).await.expect(200).str("/message").is_empty());
    for (method, path) in
        [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/health"), ("POST", "/reconnect"), ("POST", "/reset_secret")]
    {
        let request = admin.request(method.parse().unwrap(), &admin.a(&format!("/inboxes/{id}{path}")));
        assert_refused(&admin.answer(request.json(&json!({"name": "X"}))).await, 404);
    }
    assert_eq!(admin.get(admin.a("/inboxes")).await.expect(200).at("/payload"), &json!([]));
    assert_refused(&daemon.visitor().get(&public).await, 404);

    assert_eq!(admin.get(&path).await.expect(200).id("/inbox_id"), id);
    assert_eq!(admin.get(admin.a("/conversations")).await.expect(200).id("/data/meta/all_count"), 1);
    let messages = admin.get(format!("{path}/messages")).await.expect(200);
    assert!(messages.at("/payload").as_array().unwrap().iter().any(|message| message["content"] == "hello"), "{}", messages.text);
    assert_refused(&agent.get(&path).await, 404);
    assert_eq!(agent.get(agent.a("/conversations")).await.expect(200).id("/data/meta/all_count"), 0);
    // Nothing new begins there.
    let contact = admin.get(&path).await.expect(200).id("/meta/sender/id");
    assert_refused(&admin.post(admin.a("/conversations"), json!({"inbox_id": id, "contact_id": contact})).await, 404);
    assert_refused(&admin.post(admin.a("/contacts"), json!({"inbox_id": id, "name": "Late"})).await, 404);
    assert_refused(&admin.post(admin.a(&format!("/contacts/{contact}/contact_inboxes")), json!({"inbox_id": id})).await, 404);
}

#[tokio::test]
async fn health_tells_how_an_inbox_is_doing() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let id = api_inbox(&admin, "Shop").await;
    let connected = connected(&admin, id).await;
    let expected = json!({"session": 1, "failures": 0, "last_error": null, "last_error_at": null, "last_inbound_at": null,
        "last_outbound_at": null, "backlog": {"count": 0, "oldest_age_seconds": null}, "parked": 0});
    assert_fields(&connected, &expected);
    assert!(connected["since"].as_str().unwrap().ends_with('Z'), "{connected}");

    let conversation = conversation(&admin, id, "hello").await;
    let heard = health(&admin, id).await;
    assert!(heard["last_inbound_at"].is_string() && heard["last_outbound_at"].is_null(), "{heard}");
    // What customers get counts, not what agents tell each other.
    let messages = admin.a(&format!("/conversations/{conversation}/messages"));
    admin.post(&messages, json!({"content": "a note", "private": true})).await.expect(200);
    assert!(health(&admin, id).await["last_outbound_at"].is_null());
    admin.post(&messages, json!({"content": "hi"})).await.expect(200);
    let said = health(&admin, id).await;
    assert!(said["last_outbound_at"].is_string());
    // However many conversations were active since.
    for number in 0..25 {
        self::conversation(&admin, id, &number.to_string()).await;
    }
    let later = health(&admin, id).await;
    assert_eq!(later["last_outbound_at"], said["last_outbound_at"]);
    assert_ne!(later["last_inbound_at"], said["last_inbound_at"]);
    let greeting = json!({"greeting_enabled": true, "greeting_message": "Welcome"});
    admin.patch(admin.a(&format!("/inboxes/{id}")), greeting).await.expect(200);
    self::conversation(&admin, id, "hello").await;
    assert_ne!(health(&admin, id).await["last_outbound_at"], said["last_outbound_at"], "a greeting is said too");

    assert_eq!(admin.post(admin.a(&format!("/inboxes/{id}/reconnect")), json!({})).await.expect(200).text, "");
    eventually(SOON, async || {
        let now = health(&admin, id).await;
        (now["session"] == 2 && now["state"] == "connected").then_some(())
    })
    .await;
    admin.patch(admin.a(&format!("/inboxes/{id}")), json!({"enabled": false})).await.expect(200);
    eventually(SOON, async || (health(&admin, id).await["state"] == "disabled").then_some(())).await;
    admin.patch(admin.a(&format!("/inboxes/{id}")), json!({"enabled": true})).await.expect(200);
    self::connected(&admin, id).await;
    assert_refused(&admin.get(admin.a("/inboxes/9999/health")).await, 404);
}

#[tokio::test]
async fn a_wrong_field_is_named_and_makes_no_inbox() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let api = json!({"type": "api"});
    let long = "x".repeat(10_001);
    let cases = [
        (json!({"channel": api}), "name"),
        (json!({"name": "  ", "channel": api}), "name"),
        (json!({"name": null, "channel": api}), "name"),
        (json!({"name": ["A"], "channel": api}), "name"),
        (json!({"name": "A"}), "channel"),
        (json!({"name": "A", "channel": "api"}), "channel"),
        (json!({"name": "A", "channel": []}), "channel"),
        (json!({"name": "A", "channel": {}}), "channel.type"),
        (json!({"name": "A", "channel": {"type": "fax"}}), "channel.type"),
        (json!({"name": "A", "channel": {"type": 1}}), "channel.type"),
        (json!({"name": "A", "channel": {"type": "api", "webhook_url": {}}}), "channel.webhook_url"),
        (json!({"name": "A", "channel": {"type": "api", "hmac_mandatory": "perhaps"}}), "channel.hmac_mandatory"),
        (json!({"name": "A", "channel": {"type": "api", "additional_attributes": "x"}}), "channel.additional_attributes"),
        (json!({"name": "A", "channel": {"type": "api", "webhook_url": "no url"}}), "channel.webhook_url"),
        (json!({"name": "A", "channel": {"type": "email"}}), "channel.email"),
        (json!({"name": "A", "channel": {"type": "email", "email": "nonsense"}}), "channel.email"),
        (json!({"name": "A", "channel": {"type": "email", "email": "a@b.example", "imap_port": "many"}}), "channel.imap_port"),
        (json!({"name": "A", "channel": {"type": "email", "email": "a@b.example", "smtp_port": 70_000}}), "channel.smtp_port"),
        (json!({"name": "A", "channel": {"type": "email", "email": "a@b.example", "imap_password": ["x"]}}), "channel.imap_password"),
        (json!({"name": "A", "channel": api, "greeting_enabled": "perhaps"}), "greeting_enabled"),
        (json!({"name": "A", "channel": api, "greeting_message": {}}), "greeting_message"),
        (json!({"name": "A", "channel": api, "greeting_message": long}), "greeting_message"),
        (json!({"name": "A", "channel": api, "out_of_office_message": long}), "out_of_office_message"),
        (json!({"name": "A", "channel": api, "sender_name_type": "rude"}), "sender_name_type"),
        (json!({"name": "A", "channel": api, "working_hours": "always"}), "working_hours"),
        (json!({"name": "A", "channel": api, "auto_assignment_config": 5}), "auto_assignment_config"),
    ];
    for (fields, field) in &cases {
        assert_names(&admin.post(admin.a("/inboxes"), fields.clone()).await, 422, field);
    }
    assert_eq!(admin.get(admin.a("/inboxes")).await.expect(200).at("/payload"), &json!([]));

    let id = api_inbox(&admin, "Shop").await;
    let path = admin.a(&format!("/inboxes/{id}"));
    let before = admin.get(&path).await.expect(200).body;
    for (fields, field) in [
        (json!({"name": "", "greeting_message": "changed"}), "name"),
        (json!({"name": "Other", "greeting_message": long}), "greeting_message"),
        (json!({"name": "Other", "channel": {"webhook_url": 5}}), "channel.webhook_url"),
    ] {
        assert_names(&admin.patch(&path, fields).await, 422, field);
    }
    assert_eq!(admin.get(&path).await.expect(200).body, before, "nothing is changed by halves");
}

#[tokio::test]
async fn what_waits_or_failed_was_not_sent() {
    let (daemon, smtp) = tokio::join!(Daemon::start(), Smtp::start());
    let admin = daemon.client();
    let id = smtp.inbox(&admin).await;
    smtp.hang(true);
    let contact = json!({"inbox_id": id, "name": "Mia", "email": "mia@example.com"});
    let contact = admin.post(admin.a("/contacts"), contact).await.expect(200).id("/payload/contact/id");
    let opened = admin.post(admin.a("/conversations"), json!({"inbox_id": id, "contact_id": contact})).await.expect(200).id("/id");
    admin.post(admin.a(&format!("/conversations/{opened}/messages")), json!({"content": "hello"})).await.expect(200);
    smtp.wait_for(1).await;
    let waits = health(&admin, id).await;
    assert_eq!((&waits["last_outbound_at"], &waits["backlog"]["count"]), (&Value::Null, &json!(1)));
    smtp.hang(false);
    admin.post(admin.a(&format!("/inboxes/{id}/reconnect")), json!({})).await.expect(200);
    eventually(SOON * 2, async || health(&admin, id).await["last_outbound_at"].is_string().then_some(())).await;
}

async fn connected(client: &Client, inbox: i64) -> Value {
    eventually(SOON, async || Some(health(client, inbox).await).filter(|health| health["state"] == "connected")).await
}

fn ids(agents: &Value) -> Vec<i64> {
    let mut ids: Vec<i64> = agents.as_array().unwrap().iter().map(|agent| agent["id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    ids
}

/// Fails the test unless the object has these fields with these values; it may have more.
#[track_caller]
fn assert_fields(object: &Value, expected: &Value) {
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(object.get(name), Some(value), "{name} in {object}");
    }
}
