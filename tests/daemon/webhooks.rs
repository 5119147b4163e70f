//! Webhooks: what is posted to whom and how it is signed, and that nothing is lost on the way.

use crate::app::{
    act, administrator, agent, api_inbox, conversation, count, customer, hear, hmac_sha256, join, keys, messages, post, say, talk, words,
};
use crate::harness::{Answer, Client, Daemon, Received, Receiver, Reply, SOON, eventually};
use base64::Engine;
use serde_json::{Value, json};
use std::time::UNIX_EPOCH;

const CONVERSATION: &str = "additional_attributes can_reply channel contact_inbox id inbox_id messages labels meta status \
    custom_attributes snoozed_until unread_count first_reply_created_at priority waiting_since agent_last_seen_at \
    contact_last_seen_at last_activity_at timestamp created_at updated_at account";
const CONTACT: &str = "account additional_attributes avatar custom_attributes email id identifier name phone_number thumbnail blocked";

#[tokio::test]
async fn webhooks_are_made_changed_and_removed_by_administrators() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let path = admin.a("/webhooks");
    let made =
        admin.post(&path, json!({"webhook": {"url": "http://127.0.0.1:8080/a", "subscriptions": ["message_created"]}})).await.expect(200);
    assert_eq!(keys(made.at("/payload/webhook")), words("id name url account_id subscriptions secret"));
    assert!(made.str("/payload/webhook/secret").len() >= 24);
    let id = made.id("/payload/webhook/id");
    let all = admin.post(&path, json!({"url": "http://127.0.0.1:8080/b", "name": "B", "inbox_id": inbox.id})).await.expect(200);
    assert_eq!(all.at("/payload/webhook/inbox"), &json!({"id": inbox.id, "name": "App"}));
    assert_eq!(all.at("/payload/webhook/subscriptions").as_array().unwrap().len(), 7);
    let list = admin.get(&path).await.expect(200);
    assert_eq!(list.at("/payload/webhooks").as_array().unwrap().len(), 2);

    let own = format!("{path}/{id}");
    for (wrong, field) in [
        (json!({"url": "http://127.0.0.1:8080/a"}), "url"),
        (json!({}), "url"),
        (json!({"url": "nonsense"}), "url"),
        (json!({"url": "ftp://127.0.0.1/"}), "url"),
        (json!({"url": "http://user:pass@127.0.0.1/"}), "url"),
        (json!({"url": "http://127.0.0.1:8080/c", "subscriptions": ["message_deleted"]}), "subscriptions"),
        (json!({"url": "http://127.0.0.1:8080/c", "subscriptions": []}), "subscriptions"),
    ] {
        assert_eq!(admin.post(&path, wrong.clone()).await.expect(422).at("/attributes"), &json!([field]), "{wrong}");
    }
    admin.patch(&own, json!({"url": "http://127.0.0.1:8080/b"})).await.expect(422);
    let changed =
        admin.patch(&own, json!({"url": "http://127.0.0.1:8080/a", "name": "A", "subscriptions": ["contact_updated"]})).await.expect(200);
    assert_eq!((changed.str("/payload/webhook/name"), changed.at("/payload/webhook/subscriptions")), ("A", &json!(["contact_updated"])));
    assert_eq!(changed.at("/payload/webhook/secret"), made.at("/payload/webhook/secret"));

    let agent = agent(&daemon, "Ada").await;
    for refused in [agent.client.get(&path).await, agent.client.delete(&own).await, agent.client.post(&path, json!({})).await] {
        assert_eq!(refused.status, 401, "not 403: {refused:?}");
    }
    assert_eq!(admin.delete(&own).await.expect(200).text, "");
    admin.delete(&own).await.expect(404);
    admin.get(format!("{own}/deliveries")).await.expect(404);
}

#[tokio::test]
async fn the_seven_events_have_the_contracts_form() {
    let (daemon, receiver) = tokio::join!(Daemon::start(), Receiver::start());
    let admin = daemon.client();
    let root = administrator(&daemon).await;
    let inbox = api_inbox(&admin, json!({"enable_auto_assignment": false})).await;
    webhook(&admin, &receiver.url("/all"), json!({})).await;
    let contact = customer(&admin, inbox.id, "mia").await;
    let id = conversation(&admin, inbox.id, contact.id).await;
    let message = hear(&admin, id, "hello\n\n").await;
    let reply = say(&admin, id, "hi").await;
    post(&admin, id, json!({"content": "note", "private": true})).await.expect(200);
    let report = json!({"status": "read"});
    admin.patch(admin.a(&format!("/conversations/{id}/messages/{reply}")), report).await.expect(200);
    act(&admin, id, "toggle_priority", json!({"priority": "high"})).await.expect(200);
    act(&admin, id, "assignments", json!({"assignee_id": root.id})).await.expect(200);
    act(&admin, id, "toggle_status", json!({"status": "resolved"})).await.expect(200);
    admin.patch(admin.a(&format!("/contacts/{}", contact.id)), json!({"name": "Mia"})).await.expect(200);

    let event = async |name: &str, fits: &dyn Fn(&Value) -> bool| -> Value {
        let is_it = |one: &Received| one.json["event"] == name && fits(&one.json);
        let mut found = receiver.wait_until(is_it, SOON).await.json;
        found.as_object_mut().unwrap().remove("event");
        found
    };
    let account = json!({"id": 1, "name": "Konversio"});
    let created = event("message_created", &|body| body["id"] == message).await;
    let names = "account additional_attributes content_attributes content_type content conversation created_at id inbox message_type \
        private sender source_id";
    assert_eq!(keys(&created), words(names));
    assert_eq!((&created["account"], &created["inbox"]), (&account, &json!({"id": inbox.id, "name": "App"})));
    assert_eq!((&created["message_type"], &created["content"]), (&json!("incoming"), &json!("hello")), "a word at the top");
    assert_iso(&created["created_at"]);
    assert_eq!(keys(&created["sender"]), words(CONTACT));
    let nested = &created["conversation"];
    assert_eq!(keys(nested), words(CONVERSATION));
    let inner = &nested["messages"][0];
    assert_eq!((&inner["id"], &inner["message_type"]), (&json!(message), &json!(0)), "a number inside");
    assert!(inner["created_at"].is_i64(), "epoch inside: {inner}");
    assert_eq!((&nested["meta"]["assignee"], &nested["meta"]["team"]), (&Value::Null, &Value::Null), "null here, absent in REST");
    assert_eq!(keys(&nested["contact_inbox"]), words("id contact_id inbox_id source_id created_at updated_at hmac_verified pubsub_token"));
    assert_eq!(nested["first_reply_created_at"], Value::Null);
    let note = event("message_created", &|body| body["private"] == true).await;
    assert_eq!((&note["content"], &note["message_type"]), (&json!("note"), &json!("outgoing")));
    assert_iso(&note["conversation"]["first_reply_created_at"]);

    let updated = event("message_updated", &|body| body["id"] == reply).await;
    assert_eq!(keys(&updated), words(names));
    assert_eq!(updated["conversation"]["messages"][0]["status"], "read");

    let opened = event("conversation_created", &|_| true).await;
    assert_eq!(keys(&opened), words(CONVERSATION));
    assert_eq!((&opened["id"], &opened["status"], &opened["channel"]), (&json!(id), &json!("open"), &json!("Channel::Api")));
    let status = event("conversation_status_changed", &|_| true).await;
    assert_eq!(keys(&status), words(&format!("{CONVERSATION} changed_attributes")));
    let pair = |before: &str, after: &str| json!({"previous_value": before, "current_value": after});
    let changed = status["changed_attributes"].as_array().unwrap();
    assert!(changed.contains(&json!({"status": pair("open", "resolved")})), "{status}");
    let priority = event("conversation_updated", &|body| body["changed_attributes"][0].get("priority").is_some()).await;
    let high = json!([{"priority": {"previous_value": null, "current_value": "high"}}]);
    assert_eq!(priority["changed_attributes"], high);
    let given = event("conversation_updated", &|body| body["changed_attributes"][0].get("assignee_id").is_some()).await;
    assert_eq!(given["meta"]["assignee"]["id"], root.id);
    assert_eq!(keys(&given["meta"]["assignee"]), words("id name available_name avatar_url type availability_status thumbnail"));

    let contact_created = event("contact_created", &|_| true).await;
    assert_eq!(keys(&contact_created), words(CONTACT));
    let contact_updated = event("contact_updated", &|body| body["name"] == "Mia").await;
    assert_eq!(keys(&contact_updated), words(&format!("{CONTACT} changed_attributes")));
    assert_eq!(contact_updated["changed_attributes"], json!([{"name": pair("mia", "Mia")}]));

    // Everything has arrived; three activities were written and nobody heard of them.
    let said: Vec<Value> =
        receiver.received().into_iter().filter(|one| one.json["event"] == "message_created").map(|one| one.json).collect();
    assert_eq!(said.len(), 3, "{said:?}");
}

#[tokio::test]
async fn each_hears_what_it_has_asked_for_and_an_inbox_webhook_all_of_its_inbox() {
    let (daemon, receiver) = tokio::join!(Daemon::start(), Receiver::start());
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({"channel": {"webhook_url": receiver.url("/inbox")}})).await;
    let other = api_inbox(&admin, json!({"name": "Other"})).await;
    webhook(&admin, &receiver.url("/messages"), json!({"subscriptions": ["message_created"]})).await;
    webhook(&admin, &receiver.url("/of-other"), json!({"subscriptions": ["message_created"], "inbox_id": other.id})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    let elsewhere = talk(&admin, other.id, "noa").await;
    hear(&admin, elsewhere, "there").await;
    hear(&admin, id, "here").await;
    act(&admin, id, "toggle_status", json!({})).await.expect(200);

    let heard = async |path: &'static str, events: usize| -> Vec<String> {
        let at = |one: &&Received| one.path == path;
        let all = eventually(SOON, async || Some(receiver.received()).filter(|all| all.iter().filter(at).count() >= events)).await;
        all.iter()
            .filter(at)
            .map(|one| format!("{} {}", one.json["event"].as_str().unwrap(), one.json["content"].as_str().unwrap_or("-")))
            .collect()
    };
    receiver.wait_until(|one| one.path == "/inbox" && one.json["event"] == "conversation_status_changed", SOON).await;
    let of_inbox = heard("/inbox", 3).await;
    for expected in ["conversation_created -", "message_created here", "conversation_status_changed -"] {
        assert!(of_inbox.contains(&expected.to_owned()), "{expected} in {of_inbox:?}");
    }
    assert!(!of_inbox.iter().any(|event| event.contains("contact_") || event.contains("there")), "{of_inbox:?}");
    let mut messages = heard("/messages", 2).await;
    messages.sort();
    assert_eq!(messages, ["message_created here", "message_created there"]);
    assert_eq!(heard("/of-other", 1).await, ["message_created there"]);
    let signed = receiver.wait_until(|one| one.path == "/inbox", SOON).await;
    assert_signed(&signed, &inbox.secret);
    let deliveries = admin.get(admin.a(&format!("/inboxes/{}/deliveries", inbox.id))).await.expect(200);
    assert!(deliveries.at("/payload").as_array().unwrap().len() >= 3);
}

#[tokio::test]
async fn deliveries_are_signed_twice_over_the_very_bytes() {
    let (daemon, receiver) = tokio::join!(Daemon::start(), Receiver::start());
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let (_, secret) = webhook(&admin, &receiver.url("/hook"), json!({"subscriptions": ["message_created"]})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    hear(&admin, id, "Grüße, \"quoted\" \u{1F600}").await;
    hear(&admin, id, "again").await;
    let received = receiver.wait_for(2, SOON).await;
    for one in &received {
        assert_signed(one, &secret);
        assert_eq!(
            (one.method.as_str(), one.header("content-type"), one.header("accept")),
            ("POST", Some("application/json"), Some("application/json"))
        );
    }
    assert_ne!(received[0].header("x-chatwoot-delivery"), received[1].header("x-chatwoot-delivery"));
    uuid::Uuid::parse_str(received[0].header("x-chatwoot-delivery").unwrap()).unwrap();
}

#[tokio::test]
async fn private_addresses_are_refused_when_they_are_saved() {
    let daemon = Daemon::builder().without("KONVERSIO__OUTBOUND__ALLOW_CIDRS").start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    for url in [
        "http://127.0.0.1:8080/",
        "http://localhost/",
        "http://10.1.2.3/",
        "http://192.168.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://2130706433/",
        "http://0.0.0.0/",
    ] {
        assert_eq!(admin.post(admin.a("/webhooks"), json!({"url": url})).await.expect(422).at("/attributes"), &json!(["url"]), "{url}");
        let channel = json!({"channel": {"webhook_url": url}});
        admin.patch(admin.a(&format!("/inboxes/{}", inbox.id)), channel).await.expect(422);
    }
    assert_eq!(admin.get(admin.a("/webhooks")).await.expect(200).at("/payload/webhooks"), &json!([]));
}

#[tokio::test]
async fn private_addresses_are_refused_when_something_is_sent() {
    let (mut daemon, receiver) = tokio::join!(Daemon::start(), Receiver::start());
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let (webhook, _) = webhook(&admin, &receiver.url("/hook"), json!({"subscriptions": ["message_created"]})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    daemon.kill();
    daemon.site_mut().environment.remove("KONVERSIO__OUTBOUND__ALLOW_CIDRS");
    daemon.restart().await;
    let admin = daemon.client();
    hear(&admin, id, "hello").await;
    let tried = eventually(SOON, async || {
        let list = deliveries(&admin, webhook).await;
        list.body["payload"][0]["attempts"][0].as_object().cloned()
    });
    let tried = tried.await;
    assert_eq!(tried["status_code"], Value::Null);
    assert!(tried["error"].as_str().unwrap().contains("outbound.allow_cidrs"), "{tried:?}");
    assert_eq!(receiver.received().len(), 0);
}

#[tokio::test]
async fn texts_come_without_the_editor_s_marks() {
    let (daemon, receiver) = tokio::join!(Daemon::start(), Receiver::start());
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    webhook(&admin, &receiver.url("/hook"), json!({"subscriptions": ["message_created", "conversation_updated"]})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    let written = "one\\\ntwo \\* three\n\n";
    let message = say(&admin, id, written).await;
    let heard = receiver.wait_until(|one| one.json["id"] == message, SOON).await;
    assert_eq!(heard.json["content"], "one\ntwo \\* three");
    assert_eq!(heard.json["conversation"]["messages"][0]["content"], "one\ntwo \\* three");
    assert_eq!(messages(&admin, id).await.last().unwrap()["content"], written, "what was written stays");
}

#[tokio::test]
async fn inboxes_are_told_when_they_are_made_and_changed_without_credentials() {
    const SECRET: &str = "Never-to-be-told-1";
    let (daemon, receiver) = tokio::join!(Daemon::start(), Receiver::start());
    let admin = daemon.client();
    let events = json!(["inbox_created", "inbox_updated"]);
    webhook(&admin, &receiver.url("/hook"), json!({"subscriptions": events})).await;
    let channel = json!({"type": "email", "email": "support@shop.example", "smtp_address": "smtp.shop.example", "smtp_password": SECRET});
    let made = admin.post(admin.a("/inboxes"), json!({"name": "Mail", "channel": channel})).await.expect(200);
    let inbox = made.id("/id");
    let settings = "allow_messages_after_resolved auto_assignment_config business_name csat_config csat_survey_enabled \
        enable_auto_assignment enable_email_collect greeting_enabled greeting_message lock_to_single_conversation \
        out_of_office_message sender_name_type timezone working_hours working_hours_enabled channel account event";
    let created = receiver.wait_until(|one| one.json["event"] == "inbox_created", SOON).await;
    assert_eq!(keys(&created.json), words(settings), "neither id nor name");
    assert_eq!(created.json["account"], json!({"id": 1, "name": "Konversio"}));
    let channel = &created.json["channel"];
    assert_eq!(
        (&channel["id"], &channel["email"], &channel["smtp_password"]),
        (&json!(inbox), &json!("support@shop.example"), &json!("********"))
    );
    assert_eq!(created.json["working_hours"].as_array().unwrap().len(), 7);

    let path = admin.a(&format!("/inboxes/{inbox}"));
    admin.patch(&path, json!({"name": "Post", "greeting_enabled": true})).await.expect(200);
    let renamed = receiver.wait_until(|one| one.json["event"] == "inbox_updated", SOON).await;
    assert_eq!(keys(&renamed.json), words(&format!("{settings} changed_attributes")));
    let pair = |before: Value, after: Value| json!({"previous_value": before, "current_value": after});
    let expected = json!([{"greeting_enabled": pair(json!(false), json!(true))}, {"name": pair(json!("Mail"), json!("Post"))}]);
    assert_eq!(renamed.json["changed_attributes"], expected);
    admin.patch(&path, json!({"name": "Post"})).await.expect(200);
    admin.patch(&path, json!({"channel": {"smtp_port": 2525, "smtp_password": format!("{SECRET}2")}})).await.expect(200);
    let port = receiver.wait_until(|one| one.json["changed_attributes"][0].get("channel").is_some(), SOON).await;
    assert_eq!(port.json["changed_attributes"][0]["channel"]["current_value"]["smtp_port"], 2525);
    let told = receiver.received();
    assert_eq!(told.len(), 3, "what changed nothing is not told: {told:?}");
    assert!(told.iter().all(|one| !one.text().contains(SECRET)));
    assert_eq!(count(&daemon, "SELECT COUNT(*) FROM announcements").await, 0, "what was told waits no more");
}

#[tokio::test]
async fn who_types_is_told_once_to_those_who_ask_and_stored_for_nobody_else() {
    let (daemon, receiver) = tokio::join!(Daemon::start(), Receiver::start());
    let admin = daemon.client();
    let root = administrator(&daemon).await;
    let inbox = api_inbox(&admin, json!({"enable_auto_assignment": false})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    let stored = "SELECT COUNT(*) FROM events WHERE kind LIKE 'conversation.typing%'";
    act(&admin, id, "toggle_typing_status", json!({"typing_status": "on"})).await.expect(200);
    assert_eq!(count(&daemon, stored).await, 0);

    let events = json!(["conversation_typing_on", "conversation_typing_off"]);
    let (webhook, _) = webhook(&admin, &receiver.url("/hook"), json!({"subscriptions": events})).await;
    let mut cable = daemon.cable().await;
    let ada = agent(&daemon, "Ada").await;
    join(&admin, inbox.id, &[&ada]).await;
    cable.subscribe_agent(&ada.pubsub_token, 1, ada.id).await;
    receiver.answer_next(Reply::status(503));
    act(&admin, id, "toggle_typing_status", json!({"typing_status": "on", "is_private": true})).await.expect(200);
    let on = receiver.wait_until(|one| one.json["event"] == "conversation_typing_on", SOON).await;
    assert_eq!(keys(&on.json), words("user conversation is_private event"));
    assert_eq!((&on.json["user"]["id"], &on.json["user"]["type"], &on.json["is_private"]), (&json!(root.id), &json!("user"), &json!(true)));
    assert_eq!(keys(&on.json["conversation"]), words(CONVERSATION));
    cable.next_event("conversation.typing_on", SOON).await;
    act(&admin, id, "toggle_typing_status", json!({"typing_status": "off"})).await.expect(200);
    receiver.wait_until(|one| one.json["event"] == "conversation_typing_off", SOON).await;
    cable.next_event("conversation.typing_off", SOON).await;
    let done = eventually(SOON, async || {
        let list = deliveries(&admin, webhook).await.body["payload"].clone();
        let statuses: Vec<String> = list.as_array()?.iter().map(|one| one["status"].as_str().unwrap().to_owned()).collect();
        (!statuses.contains(&"queued".to_owned())).then_some(statuses)
    });
    assert_eq!(done.await, ["delivered", "failed"], "the moment is over: the first is not tried again");

    // Who was away is not told that somebody typed.
    let identifier = json!({"channel": "RoomChannel", "pubsub_token": ada.pubsub_token, "account_id": 1, "user_id": ada.id}).to_string();
    let mut away = daemon.extended_cable().await;
    let since = i64::try_from(std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap() - 600;
    away.send_text(&json!({"command": "subscribe", "identifier": identifier, "history": {"since": since}}).to_string()).await;
    away.next_frame("the end of the history", SOON, |frame| frame["type"] == "confirm_history").await;
    assert!(!away.event_names().iter().any(|name| name.contains("typing")), "{:?}", away.event_names());
}

/// Subscribes; the webhook's id and secret.
pub async fn webhook(client: &Client, url: &str, more: Value) -> (i64, String) {
    let mut fields = json!({"url": url});
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = client.post(client.a("/webhooks"), fields).await.expect(200);
    (made.id("/payload/webhook/id"), made.str("/payload/webhook/secret").to_owned())
}

pub async fn deliveries(client: &Client, webhook: i64) -> Answer {
    client.get(client.a(&format!("/webhooks/{webhook}/deliveries"))).await.expect(200)
}

/// Waits until the newest delivery has arrived.
pub async fn delivered(client: &Client, webhook: i64) -> Value {
    let newest = eventually(SOON, async || {
        let list = deliveries(client, webhook).await;
        Some(list.body["payload"][0].clone()).filter(|newest| newest["status"] == "delivered")
    });
    newest.await
}

/// Both signatures, computed here from the bytes that came.
pub fn assert_signed(one: &Received, secret: &str) {
    let header = |name: &str| one.header(name).unwrap_or_else(|| panic!("no {name} in {:?}", one.headers));
    let timestamp = header("x-chatwoot-timestamp");
    let sent: i64 = timestamp.parse().unwrap();
    let received = i64::try_from(one.time.duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    assert!((received - 5..=received + 1).contains(&sent), "sent at {sent}, received at {received}");
    let contract = hmac_sha256(secret, &[timestamp.as_bytes(), b".", &one.body].concat());
    assert_eq!(header("x-chatwoot-signature"), format!("sha256={}", hex::encode(contract)));

    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
    assert_eq!((id, timestamp), (header("x-chatwoot-delivery"), header("x-chatwoot-timestamp")));
    let standard = hmac_sha256(secret, &[id.as_bytes(), b".", timestamp.as_bytes(), b".", &one.body].concat());
    assert_eq!(header("webhook-signature"), format!("v1,{}", base64::engine::general_purpose::STANDARD.encode(standard)));
}

pub fn assert_iso(time: &Value) {
    let text = time.as_str().unwrap_or_else(|| panic!("not a text: {time}"));
    assert!(text.len() == 24 && text.as_bytes()[10] == b'T' && text.as_bytes()[19] == b'.' && text.ends_with('Z'), "{text}");
}
