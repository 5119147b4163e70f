//! Inboxes of providers beside their messages: how they are set up, found by what is pushed, shown and taken down.

use crate::desk::{assert_names, assert_refused, health, member, stored};
use crate::fakes::graph::{ACCOUNT_ID, APP_SECRET, Graph, NUMBER, PHONE_NUMBER_ID, TOKEN};
use crate::harness::{Answer, Client, Daemon, Receiver, Reply, SOON, eventually};
use reqwest::Method;
use serde_json::{Value, json};

/// What the API shows in place of a secret.
const BLANK: &str = "********";
const BOT: &str = "712345:AA-secret-of-the-bot";

#[tokio::test]
async fn a_whatsapp_inbox_is_checked_before_it_is_stored_and_keeps_its_secrets() {
    let (graph, daemon) = with_meta().await;
    let admin = daemon.client();
    for (pointer, value, field) in [
        ("/provider_config/phone_number_id", json!("x"), "channel.provider_config.phone_number_id"),
        ("/provider_config/phone_number_id", json!(null), "channel.provider_config.phone_number_id"),
        ("/provider_config/api_key", json!(7), "channel.provider_config.api_key"),
        ("/provider_config/api_key", json!(BLANK), "channel.provider_config.api_key"),
        ("/provider_config", json!("x"), "channel.provider_config"),
        ("/phone_number", json!("0301234"), "channel.phone_number"),
        ("/provider", json!("default"), "channel.provider"),
        // Meta itself does not know this one.
        ("/provider_config/phone_number_id", json!("99"), "channel.provider_config.phone_number_id"),
        ("/provider_config/business_account_id", json!("99"), "channel.provider_config.business_account_id"),
    ] {
        let mut channel = whatsapp();
        *channel.pointer_mut(pointer).unwrap() = value;
        assert_names(&create(&admin, channel).await, 422, field);
    }
    graph.change_token("another");
    let refused = create(&admin, whatsapp()).await;
    assert_names(&refused, 422, "channel");
    assert!(refused.str("/error").contains("Error validating access token"), "{}", refused.text);
    graph.change_token(TOKEN);
    graph.answer_next(Reply::status(503));
    let unreachable = create(&admin, whatsapp()).await;
    assert_names(&unreachable, 422, "channel");
    assert!(unreachable.str("/error").contains("Meta could not be reached"), "{}", unreachable.text);
    assert_eq!(admin.get(admin.a("/inboxes")).await.expect(200).at("/payload"), &json!([]), "nothing was stored");

    let made = create(&admin, whatsapp()).await.expect(200);
    let id = made.id("/id");
    assert_eq!(
        (made.str("/channel_type"), made.str("/phone_number"), made.str("/provider"), made.at("/reauthorization_required")),
        ("Channel::Whatsapp", format!("+{NUMBER}").as_str(), "whatsapp_cloud", &json!(false))
    );
    let callback = format!("{}/webhooks/whatsapp/+{NUMBER}", daemon.base_url());
    assert_eq!(made.str("/callback_webhook_url"), callback);
    let config = made.at("/provider_config");
    let token = config["webhook_verify_token"].as_str().unwrap_or_default().to_owned();
    assert!(token.len() >= 16, "{config}");
    let shown = json!({
        "api_key": BLANK, "app_secret": BLANK, "phone_number_id": PHONE_NUMBER_ID, "business_account_id": ACCOUNT_ID,
        "webhook_verify_token": token,
    });
    assert_eq!(config, &shown);
    let kept = stored(&daemon).await;
    assert!(!kept.contains(TOKEN) && !kept.contains(APP_SECRET), "a secret is stored in the clear");
    let (agent, agent_id) = member(&daemon, "agent@example.com", "agent").await;
    admin.post(admin.a("/inbox_members"), json!({"inbox_id": id, "user_ids": [agent_id]})).await.expect(200);
    let path = admin.a(&format!("/inboxes/{id}"));
    assert!(agent.get(&path).await.expect(200).body.get("provider_config").is_none());

    // What is not named stays, and so does what is sent back blank.
    let update = json!({"channel": {"provider_config": {"api_key": BLANK, "app_secret": "other", "unknown": 1}}});
    assert_eq!(admin.patch(&path, update).await.expect(200).at("/provider_config"), &shown);
    let body = Graph::body(&Graph::message("972987654321", "Ann", "wamid.in", 1_800_000_000, "text", json!({"body": "Hi"})));
    assert_eq!(push(&admin, NUMBER, &body, &Graph::signature(APP_SECRET, &body)).await.status, 401);
    assert_eq!(push(&admin, NUMBER, &body, &Graph::signature("other", &body)).await.status, 200);
    let update = json!({"channel": {"provider_config": {"api_key": "wrong"}}});
    assert_names(&admin.patch(&path, update).await, 422, "channel");
    eventually(SOON, async || (health(&admin, id).await["state"] == "connected").then_some(())).await;
}

#[tokio::test]
async fn no_two_inboxes_have_the_same_account_at_a_provider() {
    let (_graph, daemon) = with_meta().await;
    let admin = daemon.client();
    let (one, other) = tokio::join!(create(&admin, whatsapp()), create(&admin, whatsapp()));
    let (made, refused) = if one.status == 200 { (one, other) } else { (other, one) };
    let id = made.expect(200).id("/id");
    assert_names(&refused, 422, "channel.provider_config.phone_number_id");
    let again = create(&admin, whatsapp()).await;
    assert_names(&again, 422, "channel.provider_config.phone_number_id");
    assert!(again.str("/error").contains(&format!("has already been taken by inbox {id}")), "{}", again.text);
    admin.delete(admin.a(&format!("/inboxes/{id}"))).await.expect(200);
    let next = create(&admin, whatsapp()).await.expect(200).id("/id");
    assert_ne!(next, id);
}

#[tokio::test]
async fn what_a_provider_pushes_finds_its_inbox_by_address_and_by_what_it_names() {
    let (_graph, daemon) = with_meta().await;
    let admin = daemon.client();
    let made = create(&admin, whatsapp()).await.expect(200);
    let (id, token) = (made.id("/id"), made.str("/provider_config/webhook_verify_token").to_owned());
    let handshake =
        |address: &str, token: &str| format!("/webhooks/whatsapp/{address}?hub.mode=subscribe&hub.verify_token={token}&hub.challenge=42");
    for address in [format!("+{NUMBER}"), format!("%2B{NUMBER}"), NUMBER.to_owned()] {
        let answer = daemon.visitor().get(handshake(&address, &token)).await.expect(200);
        assert_eq!((answer.text.as_str(), answer.header("content-type")), ("42", Some("text/plain")), "{address}");
    }
    assert_refused(&daemon.visitor().get(handshake(NUMBER, "guess")).await, 401);
    for path in [format!("/webhooks/whatsapp/1{NUMBER}"), format!("/webhooks/telegram/{NUMBER}"), "/webhooks/pigeon/1".into()] {
        assert_refused(&daemon.visitor().get(&path).await, 404);
        assert_refused(&daemon.visitor().post(&path, json!({})).await, 404);
    }

    let message = |id: &str| Graph::message("972987654321", "Ann", id, 1_800_000_000, "text", json!({"body": "Grüße"}));
    let body = Graph::body(&message("wamid.1"));
    for signature in ["", "sha256=00", &Graph::signature("guess", &body)] {
        assert_refused(&push(&admin, NUMBER, &body, signature).await, 401);
    }
    assert_eq!(conversations(&admin, id).await, 0, "nothing was stored");
    for _ in 0..2 {
        assert_eq!(push(&admin, NUMBER, &body, &Graph::signature(APP_SECRET, &body)).await.status, 200);
    }
    assert_eq!(conversations(&admin, id).await, 1, "a repeat changes nothing");

    // Of another number than the address is: whoever has that one has nothing of this.
    let mut foreign = message("wamid.2");
    foreign["entry"][0]["changes"][0]["value"]["metadata"]["phone_number_id"] = json!("424242");
    foreign["entry"][0]["changes"][0]["value"]["messages"][0]["from"] = json!("972111111111");
    let foreign = Graph::body(&foreign);
    assert_eq!(push(&admin, NUMBER, &foreign, &Graph::signature(APP_SECRET, &foreign)).await.status, 200);
    for nonsense in ["", "[]", "{}", "null", "\"x\"", "{\"entry\":7}", "\u{1}"] {
        let signature = Graph::signature(APP_SECRET, nonsense.as_bytes());
        assert_eq!(push(&admin, NUMBER, nonsense.as_bytes(), &signature).await.status, 200, "{nonsense:?}");
    }
    assert_eq!(conversations(&admin, id).await, 1);
    let huge = vec![b' '; (8 << 20) + 1];
    assert_eq!(push(&admin, NUMBER, &huge, "").await.status, 413);

    admin.patch(admin.a(&format!("/inboxes/{id}")), json!({"enabled": false})).await.expect(200);
    let later = Graph::body(&message("wamid.3"));
    let busy = push(&admin, NUMBER, &later, &Graph::signature(APP_SECRET, &later)).await;
    assert_eq!((busy.status, busy.header("retry-after").is_some()), (503, true));
    let metrics = daemon.visitor().get("/metrics").await.expect(200).text;
    for label in ["kind=\"whatsapp\",result=\"taken\"", "kind=\"whatsapp\",result=\"refused\"", "kind=\"unknown\",result=\"unknown\""] {
        assert!(metrics.contains(&format!("konversio_provider_webhooks_total{{{label}}}")), "{label} is not counted: {metrics}");
    }
}

#[tokio::test]
async fn a_revoked_token_needs_a_person_who_gives_another_one() {
    let (graph, daemon) = with_meta().await;
    let admin = daemon.client();
    let id = create(&admin, whatsapp()).await.expect(200).id("/id");
    let path = admin.a(&format!("/inboxes/{id}"));
    eventually(SOON, async || (health(&admin, id).await["state"] == "connected").then_some(())).await;
    graph.change_token("renewed");
    admin.post(format!("{path}/reconnect"), json!({})).await.expect(200);
    eventually(SOON, async || (health(&admin, id).await["state"] == "needs_attention").then_some(())).await;
    assert_eq!(admin.get(&path).await.expect(200).at("/reauthorization_required"), &json!(true));
    // What is pushed meanwhile is taken.
    let body = Graph::body(&Graph::message("972987654321", "Ann", "wamid.in", 1_800_000_000, "text", json!({"body": "Hi"})));
    assert_eq!(push(&admin, NUMBER, &body, &Graph::signature(APP_SECRET, &body)).await.status, 200);
    assert_eq!(conversations(&admin, id).await, 1);
    admin.patch(&path, json!({"channel": {"provider_config": {"api_key": "renewed"}}})).await.expect(200);
    eventually(SOON, async || (health(&admin, id).await["state"] == "connected").then_some(())).await;
    assert_eq!(admin.get(&path).await.expect(200).at("/reauthorization_required"), &json!(false));
}

#[tokio::test]
async fn templates_are_those_that_the_provider_has() {
    let (graph, daemon) = with_meta().await;
    let admin = daemon.client();
    let template = |name: &str| json!({"name": name, "language": "en", "status": "APPROVED", "category": "UTILITY", "components": []});
    graph.set_templates(vec![template("order_sent")]);
    let made = create(&admin, whatsapp()).await.expect(200);
    let path = admin.a(&format!("/inboxes/{}", made.id("/id")));
    let names = async || {
        let shown = admin.get(&path).await.expect(200);
        let names: Vec<String> = shown.at("/message_templates").as_array().unwrap().iter().map(|found| found["name"].to_string()).collect();
        names.join(" ")
    };
    eventually(SOON, async || (names().await == "\"order_sent\"").then_some(())).await;
    graph.set_templates(vec![template("order_sent"), template("order_late")]);
    let keys = admin.get(admin.a("/cache_keys")).await.expect(200).body;
    admin.post(format!("{path}/sync_templates"), json!({})).await.expect(200);
    assert_eq!(names().await, "\"order_sent\" \"order_late\"");
    assert_ne!(admin.get(admin.a("/cache_keys")).await.expect(200).body, keys, "dashboards keep the list of inboxes by this key");
    let (agent, _) = member(&daemon, "agent@example.com", "agent").await;
    assert_refused(&agent.post(format!("{path}/sync_templates"), json!({})).await, 401);
}

#[tokio::test]
async fn the_contact_sees_that_agents_type_and_have_read() {
    let (graph, daemon) = with_meta().await;
    let admin = daemon.client();
    let id = create(&admin, whatsapp()).await.expect(200).id("/id");
    let body = Graph::body(&Graph::message("972987654321", "Ann", "wamid.in", 1_800_000_000, "text", json!({"body": "Hi"})));
    assert_eq!(push(&admin, NUMBER, &body, &Graph::signature(APP_SECRET, &body)).await.status, 200);
    let listed = admin.get(admin.a(&format!("/conversations?inbox_id={id}&status=all&assignee_type=all"))).await.expect(200);
    let path = admin.a(&format!("/conversations/{}", listed.id("/data/payload/0/id")));
    admin.post(format!("{path}/toggle_typing_status"), json!({"typing_status": "on", "is_private": true})).await.expect(200);
    admin.post(format!("{path}/toggle_typing_status"), json!({"typing_status": "off"})).await.expect(200);
    admin.post(format!("{path}/toggle_typing_status"), json!({"typing_status": "on"})).await.expect(200);
    let told = eventually(SOON, async || graph.read().first().cloned()).await;
    assert_eq!((&told["message_id"], &told["typing_indicator"]["type"]), (&json!("wamid.in"), &json!("text")));
    admin.post(format!("{path}/update_last_seen"), json!({})).await.expect(200);
    admin.post(format!("{path}/update_last_seen"), json!({})).await.expect(200);
    eventually(SOON, async || (graph.read().len() >= 2).then_some(())).await;
    admin.post(format!("{path}/toggle_typing_status"), json!({"typing_status": "on"})).await.expect(200);
    let told = eventually(SOON, async || Some(graph.read()).filter(|told| told.len() >= 3)).await;
    let kinds: Vec<bool> = told.iter().map(|told| told["typing_indicator"].is_object()).collect();
    assert_eq!(kinds, [true, false, true], "reading is told once, and neither notes nor the end of typing");
}

#[tokio::test]
async fn a_provider_that_is_down_hears_later_that_an_inbox_is_gone() {
    let (graph, mut daemon) = with_meta().await;
    let admin = daemon.client();
    let id = create(&admin, whatsapp()).await.expect(200).id("/id");
    eventually(SOON, async || (health(&admin, id).await["state"] == "connected").then_some(())).await;
    assert!(graph.is_subscribed());
    (0..3).for_each(|_| graph.answer_next(Reply::status(503)));
    admin.delete(admin.a(&format!("/inboxes/{id}"))).await.expect(200);
    daemon.kill();
    assert!(graph.is_subscribed());
    daemon.restart().await;
    eventually(SOON * 2, async || (!graph.is_subscribed()).then_some(())).await;
    assert_refused(&push(&daemon.visitor(), NUMBER, b"{}", "").await, 404);
}

#[tokio::test]
async fn a_telegram_inbox_registers_its_webhook_and_takes_it_back() {
    let telegram = telegram().await;
    let daemon = Daemon::builder()
        .env("KONVERSIO__PROVIDERS__TELEGRAM_URL", &telegram.url(""))
        .env("KONVERSIO__SERVER__PUBLIC_URL", "https://desk.example")
        .start()
        .await;
    let admin = daemon.client();
    assert_names(&create(&admin, json!({"type": "telegram"})).await, 422, "channel.bot_token");
    assert_names(&create(&admin, json!({"type": "telegram", "bot_token": "nonsense"})).await, 422, "channel.bot_token");
    assert_names(&create(&admin, json!({"type": "telegram", "bot_token": "99:revoked"})).await, 422, "channel");
    let made = create(&admin, json!({"type": "telegram", "bot_token": BOT})).await.expect(200);
    let id = made.id("/id");
    assert_eq!((made.str("/channel_type"), made.str("/bot_name")), ("Channel::Telegram", "shop_bot"));
    assert!(!made.text.contains("AA-secret"), "{}", made.text);
    assert_names(&create(&admin, json!({"type": "telegram", "bot_token": "712345:another-token"})).await, 422, "channel.bot_token");

    let set = telegram.wait_until(|request| request.path.ends_with("/SetWebhook"), SOON).await;
    assert!(set.text().contains(&format!("https://desk.example/webhooks/telegram/{BOT}")), "{}", set.text());
    let text = set.text();
    let secret = text.split("name=\"secret_token\"").nth(1).and_then(|rest| rest.split("\r\n\r\n").nth(1)).unwrap();
    let secret = secret.split("\r\n").next().unwrap().to_owned();
    eventually(SOON, async || (health(&admin, id).await["state"] == "connected").then_some(())).await;
    let person = json!({"id": 42, "is_bot": false, "first_name": "Ann"});
    let update = json!({"update_id": 1, "message": {
        "message_id": 5, "date": 1_800_000_000, "text": "Hello", "from": person, "chat": {"id": 42, "type": "private", "first_name": "Ann"},
    }});
    let say = async |secret: &str| {
        let visitor = daemon.visitor();
        let request = visitor.request(Method::POST, &format!("/webhooks/telegram/{BOT}")).header("x-telegram-bot-api-secret-token", secret);
        visitor.answer(request.json(&update)).await
    };
    assert_refused(&say("guess").await, 401);
    assert_eq!(conversations(&admin, id).await, 0);
    say(&secret).await.expect(200);
    assert_eq!(conversations(&admin, id).await, 1);
    assert!(!daemon.log().contains("AA-secret"), "the log tells the token");

    admin.delete(admin.a(&format!("/inboxes/{id}"))).await.expect(200);
    telegram.wait_until(|request| request.path.ends_with("/DeleteWebhook"), SOON).await;
    assert_refused(&say(&secret).await, 404);
}

async fn with_meta() -> (Graph, Daemon) {
    let graph = Graph::start().await;
    let daemon = Daemon::builder().env("KONVERSIO__PROVIDERS__META_URL", &graph.url()).start().await;
    (graph, daemon)
}

fn whatsapp() -> Value {
    json!({
        "type": "whatsapp", "phone_number": format!("+{NUMBER}"), "provider": "whatsapp_cloud",
        "provider_config": {
            "api_key": TOKEN, "phone_number_id": PHONE_NUMBER_ID, "business_account_id": ACCOUNT_ID, "app_secret": APP_SECRET,
        },
    })
}

async fn create(admin: &Client, channel: Value) -> Answer {
    admin.post(admin.a("/inboxes"), json!({"name": "Shop", "channel": channel})).await
}

/// A request of Meta.
async fn push(client: &Client, address: &str, body: &[u8], signature: &str) -> Answer {
    let request = client.without_token().request(Method::POST, &format!("/webhooks/whatsapp/{address}"));
    let request = request.header("content-type", "application/json").header("x-hub-signature-256", signature);
    client.answer(request.body(body.to_vec())).await
}

async fn conversations(admin: &Client, inbox: i64) -> usize {
    let listed = admin.get(admin.a(&format!("/conversations?inbox_id={inbox}&status=all&assignee_type=all"))).await.expect(200);
    listed.at("/data/payload").as_array().unwrap().len()
}

/// As much of the Bot API as setting up needs.
async fn telegram() -> Receiver {
    let receiver = Receiver::start().await;
    receiver.answer_with(|request| {
        let result = match request.path.rsplit('/').next() {
            _ if request.path.contains("99:revoked") => {
                let refusal = json!({"ok": false, "error_code": 401, "description": "Unauthorized"});
                return Reply::json(&refusal).with_status(401);
            }
            Some("GetMe") => json!({"id": 712_345, "is_bot": true, "first_name": "Shop", "username": "shop_bot"}),
            Some("GetWebhookInfo") => json!({"url": "", "has_custom_certificate": false, "pending_update_count": 0}),
            Some("GetUpdates") => json!([]),
            _ => json!(true),
        };
        Reply::json(&json!({"ok": true, "result": result}))
    });
    receiver
}
