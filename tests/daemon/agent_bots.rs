//! Agent bots: who may make them, what their token opens, what is posted to them, and how conversations get from them to people.

use crate::app::{Person, act, administrator, agent, api_inbox, contents, conversation, customer, hear, hmac_sha256, join, keys, messages};
use crate::app::{post, say, show, talk, words};
use crate::desk::assert_names;
use crate::harness::{Answer, Client, Daemon, Received, Receiver, Reply, SOON, eventually};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// A bot of account 1 with its own client.
struct Robot {
    id: i64,
    secret: String,
    client: Client,
}

async fn robot(admin: &Client, fields: Value) -> Robot {
    let made = admin.post(admin.a("/agent_bots"), fields).await.expect(200);
    let client = admin.with_token(made.str("/access_token"));
    Robot { id: made.id("/id"), secret: made.str("/secret").to_owned(), client }
}

async fn employ(admin: &Client, inbox: i64, bot: Option<i64>) {
    let path = admin.a(&format!("/inboxes/{inbox}/set_agent_bot"));
    assert_eq!(admin.post(path, json!({"agent_bot": bot})).await.expect(200).text, "");
}

async fn desk() -> (Daemon, Person, i64) {
    let daemon = Daemon::start().await;
    let admin = administrator(&daemon).await;
    let inbox = api_inbox(&admin.client, json!({"enable_auto_assignment": false})).await.id;
    (daemon, admin, inbox)
}

fn named(event: &'static str) -> impl Fn(&Received) -> bool {
    move |received| received.json["event"] == event
}

#[tokio::test]
async fn bots_are_made_changed_and_removed_by_administrators() {
    let (daemon, admin, inbox) = desk().await;
    let ann = agent(&daemon, "ann").await;
    let admin = admin.client;
    join(&admin, inbox, &[&ann]).await;
    let path = admin.a("/agent_bots");
    let fields = json!({"name": "Robo", "description": "answers", "outgoing_url": "http://127.0.0.1:8080/x", "bot_config": {"a": 1}});
    let made = admin.post(&path, fields).await.expect(200);
    let shape = "id name description thumbnail outgoing_url bot_type bot_config account_id access_token secret system_bot";
    assert_eq!(keys(&made.body), words(shape));
    assert_eq!((made.str("/bot_type"), made.at("/system_bot"), made.id("/account_id")), ("webhook", &json!(false), 1));
    let own = format!("{path}/{}", made.id("/id"));
    assert_eq!(admin.get(&path).await.expect(200).body, json!([made.body]));
    let seen = ann.client.get(&own).await.expect(200);
    assert_eq!(keys(&seen.body), words(&shape.replace("access_token", "").replace("secret", "")), "agents see no credentials");
    for refused in [ann.client.post(&path, json!({"name": "x"})).await, ann.client.delete(&own).await] {
        refused.expect(401);
    }
    for (wrong, field) in [
        (json!({}), "name"),
        (json!({"name": " "}), "name"),
        (json!({"name": "x", "outgoing_url": "nonsense"}), "outgoing_url"),
        (json!({"name": "x", "outgoing_url": "ftp://127.0.0.1/"}), "outgoing_url"),
        (json!({"name": "x", "bot_type": "csml"}), "bot_type"),
        (json!({"name": "x", "avatar_url": "javascript:alert(1)"}), "avatar_url"),
    ] {
        assert_names(&admin.post(&path, wrong).await, 422, field);
    }
    let changed = admin.patch(&own, json!({"name": "Robbie", "description": null})).await.expect(200);
    assert_eq!((changed.str("/name"), changed.at("/description")), ("Robbie", &Value::Null));
    assert_eq!((changed.at("/bot_config/a"), changed.at("/access_token")), (&json!(1), made.at("/access_token")));
    let picture = reqwest::multipart::Part::bytes(b"\x89PNG\r\n\x1a\n0000".to_vec()).file_name("a.png");
    let form = reqwest::multipart::Form::new().part("avatar", picture);
    let with_picture = admin.answer(admin.request(Method::PATCH, &own).multipart(form)).await.expect(200);
    admin.get(with_picture.str("/thumbnail")).await.expect(200);
    assert_eq!(admin.delete(format!("{own}/avatar")).await.expect(200).str("/thumbnail"), "");
    let of_inbox = admin.a(&format!("/inboxes/{inbox}/agent_bot"));
    assert_eq!(admin.get(&of_inbox).await.expect(200).body, json!({"agent_bot": {}}));
    employ(&admin, inbox, Some(made.id("/id"))).await;
    assert_eq!(ann.client.get(&of_inbox).await.expect(200).str("/agent_bot/name"), "Robbie");
    admin.post(admin.a(&format!("/inboxes/{inbox}/set_agent_bot")), json!({"agent_bot": 999})).await.expect(404);
    let secret = admin.post(format!("{own}/reset_secret"), json!({})).await.expect(200);
    assert_ne!(secret.at("/secret"), made.at("/secret"));
    let token = admin.post(format!("{own}/reset_access_token"), json!({})).await.expect(200);
    let id = talk(&admin, inbox, "mia").await;
    show(&admin.with_token(token.str("/access_token")), id).await;
    let old = admin.with_token(made.str("/access_token"));
    old.get(old.a(&format!("/conversations/{id}"))).await.expect(401);
    assert_eq!(admin.delete(&own).await.expect(200).text, "");
    admin.get(&own).await.expect(404);
    assert_eq!(admin.get(&of_inbox).await.expect(200).body, json!({"agent_bot": {}}));
    let fresh = talk(&admin, inbox, "joe").await;
    assert_eq!(show(&admin, fresh).await.str("/status"), "open", "nobody answers before people any more");
}

#[tokio::test]
async fn a_bot_s_token_opens_the_routes_of_bots_in_its_own_inboxes() {
    let (_daemon, admin, inbox) = desk().await;
    let admin = admin.client;
    let bot = robot(&admin, json!({"name": "Robo"})).await;
    employ(&admin, inbox, Some(bot.id)).await;
    let mia = customer(&admin, inbox, "mia").await;
    let client = &bot.client;
    let id = conversation(client, inbox, mia.id).await;
    let at = |path: &str| client.a(&format!("/conversations/{id}{path}"));
    let allowed: Vec<Answer> = vec![
        client.get(at("")).await,
        client.patch(at(""), json!({"priority": "high"})).await,
        client.post(at("/toggle_priority"), json!({"priority": "low"})).await,
        client.post(at("/toggle_typing_status"), json!({"typing_status": "on"})).await,
        client.post(at("/custom_attributes"), json!({"custom_attributes": {"a": 1}})).await,
        client.post(at("/labels"), json!({"labels": ["bot"]})).await,
        client.get(at("/labels")).await,
        client.post(at("/messages"), json!({"content": "hello"})).await,
        client.post(at("/assignments"), json!({"assignee_id": 1})).await,
        client.post(at("/toggle_status"), json!({"status": "open"})).await,
    ];
    for answer in allowed {
        answer.expect(200);
    }
    let message = messages(&admin, id).await.iter().find(|message| message["content"] == "hello").cloned().unwrap();
    assert_eq!(message["sender"], json!({"id": bot.id, "name": "Robo", "avatar_url": "", "type": "agent_bot"}));
    let refused: Vec<Answer> = vec![
        client.get(client.a("/conversations")).await,
        client.get(client.a("")).await,
        client.get(at("/messages")).await,
        client.post(at("/update_last_seen"), json!({})).await,
        client.post(at("/mute"), json!({})).await,
        client.get(client.a("/contacts")).await,
        client.get(client.a("/inboxes")).await,
        client.get(client.a("/agent_bots")).await,
        client.get(client.a("/notifications")).await,
        client.get("/api/v1/profile").await,
    ];
    for answer in refused {
        assert_eq!(answer.expect(401).str("/error"), "Access to this endpoint is not authorized for bots");
    }
    let other_inbox = api_inbox(&admin, json!({"enable_auto_assignment": false})).await.id;
    let foreign = talk(&admin, other_inbox, "joe").await;
    client.get(client.a(&format!("/conversations/{foreign}"))).await.expect(404);
    post(client, foreign, json!({"content": "intruder"})).await.expect(404);
    let given = act(&admin, foreign, "assignments", json!({"assignee_id": bot.id, "assignee_type": "AgentBot"})).await.expect(200);
    assert_eq!(given.str("/name"), "Robo");
    post(client, foreign, json!({"content": "at your service"})).await.expect(200);
    assert_eq!(show(&admin, foreign).await.str("/meta/assignee_type"), "AgentBot");
}

#[tokio::test]
async fn a_bot_hears_of_its_conversations_and_hands_them_to_people() {
    let ((_daemon, admin, inbox), receiver) = tokio::join!(desk(), Receiver::start());
    let admin = admin.client;
    let bot = robot(&admin, json!({"name": "Robo", "outgoing_url": receiver.url("/bot")})).await;
    employ(&admin, inbox, Some(bot.id)).await;
    let id = talk(&admin, inbox, "mia").await;
    hear(&admin, id, "hello?").await;
    assert_eq!(show(&admin, id).await.str("/status"), "pending", "people wait for the bot");
    let heard = receiver.wait_until(named("message_created"), SOON).await;
    assert_eq!((&heard.json["content"], &heard.json["message_type"]), (&json!("hello?"), &json!("incoming")));
    assert_eq!(heard.json["conversation"]["status"], "pending");
    let timestamp = heard.header("x-chatwoot-timestamp").unwrap();
    let signed = [timestamp.as_bytes(), b".", &heard.body].concat();
    assert_eq!(heard.header("x-chatwoot-signature").unwrap(), format!("sha256={}", hex::encode(hmac_sha256(&bot.secret, &signed))));
    say(&bot.client, id, "one moment").await;
    let own = receiver.wait_until(|received| received.json["content"] == "one moment", SOON).await;
    assert_eq!(own.json["sender"], json!({"id": bot.id, "name": "Robo", "type": "agent_bot"}));
    act(&bot.client, id, "toggle_status", json!({"status": "open"})).await.expect(200);
    let opened = receiver.wait_until(named("conversation_opened"), SOON).await;
    assert_eq!((&opened.json["status"], &opened.json["id"]), (&json!("open"), &json!(id)));
    let changed = receiver.wait_until(named("conversation_status_changed"), SOON).await;
    assert_eq!(changed.json["changed_attributes"][0]["status"]["current_value"], "open");
    assert_ne!(opened.header("x-chatwoot-delivery"), changed.header("x-chatwoot-delivery"));
    hear(&admin, id, "thanks").await;
    assert_eq!(show(&admin, id).await.str("/status"), "open", "what was handed over stays with people");
    act(&admin, id, "toggle_status", json!({"status": "resolved"})).await.expect(200);
    receiver.wait_until(named("conversation_resolved"), SOON).await;
    hear(&admin, id, "again").await;
    assert_eq!(show(&admin, id).await.str("/status"), "pending", "a new concern begins with the bot");
    employ(&admin, inbox, None).await;
    let other = talk(&admin, inbox, "joe").await;
    hear(&admin, other, "not for the bot").await;
    act(&admin, other, "assignments", json!({"assignee_id": bot.id, "assignee_type": "AgentBot"})).await.expect(200);
    hear(&admin, other, "for the bot").await;
    receiver.wait_until(|received| received.json["content"] == "for the bot", SOON).await;
    let told: Vec<Value> = receiver.received().into_iter().map(|received| received.json["content"].clone()).collect();
    assert!(!told.contains(&json!("not for the bot")), "{told:?}");
}

#[tokio::test]
async fn people_get_what_a_bot_does_not_take() {
    let ((daemon, admin, inbox), receiver) = tokio::join!(desk(), Receiver::start());
    let ann = agent(&daemon, "ann").await;
    let admin = admin.client;
    join(&admin, inbox, &[&ann]).await;
    receiver.answer(Reply::status(500));
    let bot = robot(&admin, json!({"name": "Robo", "outgoing_url": receiver.url("/bot")})).await;
    employ(&admin, inbox, Some(bot.id)).await;
    let id = talk(&admin, inbox, "mia").await;
    hear(&admin, id, "hello?").await;
    let opened = async || (show(&admin, id).await.str("/status") == "open").then_some(());
    eventually(Duration::from_secs(30), opened).await;
    let last = contents(&ann.client, id).await.pop().unwrap();
    assert_eq!(last, "Conversation was opened by the system: its bot cannot be reached");
    let tries: Vec<Received> = receiver.received().into_iter().filter(named("message_created")).collect();
    assert_eq!(tries.len(), 3);
    assert!(tries.iter().all(|one| one.header("x-chatwoot-delivery") == tries[0].header("x-chatwoot-delivery")), "the same delivery");
}

#[tokio::test]
async fn a_bot_that_will_not_answer_is_asked_once_and_an_account_may_let_its_conversations_wait() {
    let ((_daemon, admin, inbox), receiver) = tokio::join!(desk(), Receiver::start());
    let admin = admin.client;
    receiver.answer(Reply::status(404));
    let bot = robot(&admin, json!({"name": "Robo", "outgoing_url": receiver.url("/bot")})).await;
    employ(&admin, inbox, Some(bot.id)).await;
    let id = talk(&admin, inbox, "mia").await;
    hear(&admin, id, "hello?").await;
    // Sooner than a second try would come.
    eventually(Duration::from_millis(2500), async || (show(&admin, id).await.str("/status") == "open").then_some(())).await;
    let tries = |content: &'static str| receiver.received().into_iter().filter(move |one| one.json["content"] == content).count();
    assert_eq!(tries("hello?"), 1);

    // Whoever is not there at all is not asked again either.
    let nowhere = Receiver::start().await.url("/gone");
    admin.patch(admin.a(&format!("/agent_bots/{}", bot.id)), json!({"outgoing_url": nowhere})).await.expect(200);
    let other = talk(&admin, inbox, "joe").await;
    hear(&admin, other, "anybody?").await;
    eventually(Duration::from_millis(2500), async || (show(&admin, other).await.str("/status") == "open").then_some(())).await;

    let keep = admin.patch(admin.a(""), json!({"keep_pending_on_bot_failure": true})).await.expect(200);
    assert_eq!(keep.at("/settings/keep_pending_on_bot_failure"), true);
    admin.patch(admin.a(&format!("/agent_bots/{}", bot.id)), json!({"outgoing_url": receiver.url("/bot")})).await.expect(200);
    let patient = talk(&admin, inbox, "eve").await;
    hear(&admin, patient, "waiting").await;
    receiver.wait_until(|one| one.json["content"] == "waiting", SOON).await;
    hear(&admin, patient, "still waiting").await;
    // One after the other: what became of the first is known when the second comes.
    receiver.wait_until(|one| one.json["content"] == "still waiting", SOON).await;
    assert_eq!(show(&admin, patient).await.str("/status"), "pending");
}

#[tokio::test]
async fn a_picture_that_a_bot_does_not_have_any_more_is_gone() {
    let (_daemon, admin, _) = desk().await;
    let admin = admin.client;
    let bot = robot(&admin, json!({"name": "Robo"})).await;
    let own = admin.a(&format!("/agent_bots/{}", bot.id));
    let dress = async || {
        let picture = reqwest::multipart::Part::bytes(b"\x89PNG\r\n\x1a\n0000".to_vec()).file_name("a.png");
        let form = reqwest::multipart::Form::new().part("avatar", picture);
        let shown = admin.answer(admin.request(Method::PATCH, &own).multipart(form)).await.expect(200);
        shown.str("/thumbnail").to_owned()
    };
    let (first, second) = (dress().await, dress().await);
    admin.get(&first).await.expect(404);
    admin.get(&second).await.expect(200);
    admin.delete(format!("{own}/avatar")).await.expect(200);
    admin.get(&second).await.expect(404);
    let third = dress().await;
    admin.delete(&own).await.expect(200);
    admin.get(&third).await.expect(404);
}
