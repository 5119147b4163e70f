//! How an inbox begins and ends.

use super::{ACCOUNT_ID, ADA, APP_SECRET, Graph, Line, NUMBER, PHONE_NUMBER_ID, TOKEN, ago, channel, message, settings};
use crate::fakes::graph::refusal;
use crate::harness::{Daemon, eventually};
use crate::messengers::{Desk, LATER};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_is_a_number_that_meta_knows() {
    let line = Line::open().await;
    let inbox = line.get(&format!("/inboxes/{}", line.inbox)).await;
    assert_eq!((inbox.str("/channel_type"), inbox.str("/phone_number")), ("Channel::Whatsapp", "+972123456789"));
    assert_eq!((inbox.str("/provider"), inbox.at("/reauthorization_required")), ("whatsapp_cloud", &json!(false)));
    let config = inbox.at("/provider_config");
    assert_eq!(
        (&config["phone_number_id"], &config["business_account_id"], &config["webhook_verify_token"]),
        (&json!(PHONE_NUMBER_ID), &json!(ACCOUNT_ID), &json!("verify-me"))
    );
    assert!(inbox.str("/callback_webhook_url").ends_with("/webhooks/whatsapp/+972123456789"), "{}", inbox.text);
    assert!(!inbox.text.contains(TOKEN) && !inbox.text.contains(APP_SECRET), "{}", inbox.text);
    assert!(line.graph.is_subscribed());
    // A number has one inbox.
    let again = line.create(channel()).await;
    assert_eq!(again.status, 422, "{}", again.text);
    assert_eq!(line.get("/inboxes").await.at("/payload").as_array().unwrap().len(), 1);
    let log = line.daemon.log();
    assert!(!log.contains(TOKEN) && !log.contains(APP_SECRET), "a secret is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_meta_refuses_is_refused_in_its_words_and_not_stored() {
    let graph = Graph::start().await;
    let daemon = Daemon::builder().settings(&settings(&graph)).start().await;
    let desk = Desk { client: daemon.client(), daemon, inbox: 0 };
    graph.change_token("another");
    let refused = desk.create(channel()).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(refused.str("/error").contains("Error validating access token: Session has expired (190)"), "{}", refused.text);
    graph.change_token(TOKEN);
    graph.answer_next(refusal(400, 100, 33, "Unsupported get request."));
    let refused = desk.create(channel()).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(refused.str("/error").contains("provider_config.phone_number_id is not accepted"), "{}", refused.text);
    let mut incomplete = channel();
    incomplete["provider_config"]["api_key"] = json!("");
    let refused = desk.create(incomplete).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(refused.str("/error").contains("provider_config.api_key"), "{}", refused.text);
    assert_eq!(desk.get("/inboxes").await.at("/payload").as_array().unwrap().len(), 0);
    assert!(!graph.is_subscribed());
}

#[tokio::test(flavor = "multi_thread")]
async fn metas_handshake_is_answered() {
    let line = Line::open().await;
    let visitor = line.daemon.visitor();
    let path = |token: &str| format!("/webhooks/whatsapp/+{NUMBER}?hub.mode=subscribe&hub.verify_token={token}&hub.challenge=1158201444");
    let answer = visitor.get(path("verify-me")).await.expect(200);
    assert_eq!(answer.text, "1158201444");
    for wrong in ["", "verify-m", TOKEN] {
        let answer = visitor.get(path(wrong)).await;
        assert_eq!(answer.status, 401, "{}", answer.text);
        assert!(!answer.text.contains("1158201444"), "{}", answer.text);
    }
    let unknown = visitor.get("/webhooks/whatsapp/+4900000?hub.mode=subscribe&hub.verify_token=verify-me&hub.challenge=1").await;
    assert!((400..500).contains(&unknown.status), "{}", unknown.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_meta_may_post() {
    let line = Line::open().await;
    let before = line.counts().await;
    let body = Graph::body(&message(ADA, "wamid.forged", ago(5), "text", json!({ "body": "forged ü" })));
    let right = Graph::signature(APP_SECRET, &body);
    let of_another = Graph::signature("another-secret", &body);
    for wrong in ["", "sha256=", "sha256=00", of_another.as_str(), &Graph::signature(APP_SECRET, b"{}")] {
        let answer = line.post_signed(body.clone(), wrong).await;
        assert_eq!(answer.status, 401, "{wrong:?}: {}", answer.text);
    }
    assert_eq!(line.counts().await, before);
    line.post_signed(body, &right).await.expect(200);
    assert_eq!(line.wait_for_messages(1, 1).await[0]["content"], "forged ü");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_answered_and_kept() {
    let line = Line::open().await;
    for body in ["", "{", "[]", "null"] {
        let signature = Graph::signature(APP_SECRET, body.as_bytes());
        line.post_signed(body.into(), &signature).await.expect(200);
        line.post_signed(body.into(), &signature).await.expect(200);
    }
    // Other numbers and accounts are none of ours.
    let mut foreign = message(ADA, "wamid.foreign", ago(5), "text", json!({ "body": "not for you" }));
    foreign["entry"][0]["changes"][0]["value"]["metadata"]["phone_number_id"] = json!("999");
    line.tell(&foreign).await;
    line.begins(ADA, "wamid.1", "hello").await;
    assert_eq!(line.counts().await, (1, 1, 1));
    let health = line.get(&format!("/inboxes/{}/health", line.inbox)).await;
    assert_eq!((health.id("/parked"), health.str("/state")), (4, "connected"), "{}", health.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_inbox_ends_the_subscription_of_an_account_without_other_numbers() {
    let line = Line::open().await;
    assert!(line.graph.is_subscribed());
    line.client.delete(line.client.a(&format!("/inboxes/{}", line.inbox))).await.expect(200);
    line.graph.wait_for("the subscription to end", |graph| !graph.is_subscribed()).await;
    // What is still posted is told that nobody is there, or not heard; it must not break.
    let late = line.post_webhook(&message(ADA, "wamid.late", ago(5), "text", json!({ "body": "late" }))).await;
    assert!(late.status < 500, "{}", late.text);

    let line = Line::open().await;
    line.graph.add_number("999");
    line.client.delete(line.client.a(&format!("/inboxes/{}", line.inbox))).await.expect(200);
    line.graph.wait_for("the numbers to be looked at", |graph| !graph.requests("GET", "/phone_numbers").is_empty()).await;
    assert!(line.graph.requests("DELETE", "/subscribed_apps").is_empty(), "the other number still needs it");
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_are_fetched_and_fetched_again_when_they_change() {
    let template = |name: &str, status: &str| {
        json!({
            "id": "1", "name": name, "language": "en_US", "status": status, "category": "UTILITY",
            "components": [{ "type": "BODY", "text": "Hello {{1}}" }],
        })
    };
    let line = Line::open().await;
    line.graph.set_templates(vec![template("greeting", "APPROVED"), template("offer", "PENDING")]);
    line.post(&format!("/inboxes/{}/sync_templates", line.inbox), json!({})).await.expect(200);
    let listed = async |count: usize| {
        eventually(LATER, async || {
            let inbox = line.get(&format!("/inboxes/{}", line.inbox)).await;
            let templates = inbox.body["message_templates"].as_array().cloned().unwrap_or_default();
            (templates.len() == count).then_some(templates)
        })
        .await
    };
    let mut names: Vec<Value> = listed(2).await.iter().map(|template| json!([template["name"], template["status"]])).collect();
    names.sort_by_key(Value::to_string);
    assert_eq!(names, [json!(["greeting", "APPROVED"]), json!(["offer", "PENDING"])]);
    // Meta tells of a decision.
    line.graph.set_templates(vec![template("greeting", "APPROVED"), template("offer", "APPROVED"), template("bye", "APPROVED")]);
    let decided = json!({
        "event": "APPROVED", "message_template_id": 1_689_556_908, "message_template_name": "offer", "message_template_language": "en_US",
        "reason": "NONE", "message_template_category": "UTILITY",
    });
    line.tell(&Graph::change("message_template_status_update", decided)).await;
    listed(3).await;
}
