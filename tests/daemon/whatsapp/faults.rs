//! Whatever breaks, everything is there once afterwards, and nobody waits for the trouble of others.

use super::{ADA, BOB, Graph, Line, TOKEN, ago, status};
use crate::fakes::graph::refusal;
use crate::harness::{Reply, SOON};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn meta_goes_and_comes_back() {
    let line = Line::open().await;
    let conversation = line.begins(ADA, "wamid.1", "one").await;
    line.graph.go_down();
    let reply = line.reply(conversation, "answer").await;
    // What is posted is heard meanwhile.
    line.begins(ADA, "wamid.2", "two").await;
    line.graph.come_back().await;
    line.in_status(conversation, reply, "sent").await;
    assert_eq!(line.graph.sent().len(), 1, "sent once");
    assert_eq!(line.texts(conversation).await.len(), 3);
}

/// The daemon goes while Meta is away, and both come back.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_outlives_the_daemon() {
    let mut line = Line::open().await;
    let conversation = line.begins(ADA, "wamid.1", "one").await;
    line.graph.go_down();
    let reply = line.reply(conversation, "answer").await;
    line.desk.daemon.kill();
    line.graph.come_back().await;
    line.desk.daemon.restart().await;
    line.desk.client = line.desk.daemon.client();
    line.in_status(conversation, reply, "sent").await;
    assert_eq!(line.graph.sent().len(), 1, "sent once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_gets_too_much_delays_nobody_else() {
    let line = Line::open().await;
    let (of_ada, of_bob) = (line.begins(ADA, "wamid.1", "a").await, line.begins(BOB, "wamid.2", "b").await);
    let words = "Too many messages sent from this phone number to the same phone number in a short period of time.";
    line.graph.refuse_to("4930111111", 1, refusal(400, 131_056, 0, words));
    let slow = line.reply(of_ada, "slow").await;
    line.graph.wait_for("the refusal", |graph| !graph.requests("POST", "/messages").is_empty()).await;
    let quick = line.reply(of_bob, "quick").await;
    line.in_status(of_bob, quick, "sent").await;
    line.in_status(of_ada, slow, "sent").await;
    let tries: Vec<Instant> = line
        .graph
        .requests("POST", "/messages")
        .iter()
        .filter(|request| request.json["to"] == "4930111111")
        .map(|request| request.at)
        .collect();
    assert_eq!(tries.len(), 2);
    let said: Vec<Value> = line.graph.requests("POST", "/messages").iter().map(|request| request.json["text"]["body"].clone()).collect();
    assert_eq!(said, ["slow", "quick", "slow"], "nobody else waited");
    assert!(tries[1] - tries[0] >= Duration::from_secs(4), "tried again after {:?}", tries[1] - tries[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_sends_too_much_waits_as_a_whole() {
    let line = Line::open().await;
    let (of_ada, of_bob) = (line.begins(ADA, "wamid.1", "a").await, line.begins(BOB, "wamid.2", "b").await);
    let words = "Cloud API message throughput has been reached.";
    line.graph.answer_next_message(refusal(429, 130_429, 0, words).header("retry-after", "3"));
    let first = line.reply(of_ada, "first").await;
    line.graph.wait_for("the refusal", |graph| !graph.requests("POST", "/messages").is_empty()).await;
    // The daemon has read the answer by then.
    line.conversations().await;
    let second = line.reply(of_bob, "second").await;
    line.in_status(of_ada, first, "sent").await;
    line.in_status(of_bob, second, "sent").await;
    let requests = line.graph.requests("POST", "/messages");
    assert_eq!(requests.len(), 3);
    assert!(requests[1].at - requests[0].at >= Duration::from_secs(3), "the next one came after {:?}", requests[1].at - requests[0].at);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_waits_for_a_person() {
    let line = Line::open().await;
    let conversation = line.begins(ADA, "wamid.1", "hello").await;
    line.graph.change_token("EAArenewed");
    let reply = line.reply(conversation, "later").await;
    let health = line.is_in_state("needs_attention").await;
    assert!(health["last_error"].as_str().unwrap().contains("(190)"), "{health}");
    assert_eq!(health["backlog"]["count"], 1, "{health}");
    let waiting = line.message(conversation, |message| message["id"] == reply).await;
    assert_ne!(waiting["status"], "failed", "{waiting}");
    assert_eq!(line.get(&format!("/inboxes/{}", line.inbox)).await.at("/reauthorization_required"), true);
    // Meta's word counts for a new token as for the first one; what is posted is heard meanwhile.
    let wrong = line.change_channel(json!({ "provider_config": { "api_key": "EAAwrong" } })).await;
    assert_eq!(wrong.status, 422, "{}", wrong.text);
    assert_eq!(line.begins(ADA, "wamid.2", "still there?").await, conversation);
    line.change_channel(json!({ "provider_config": { "api_key": "EAArenewed" } })).await.expect(200);
    line.in_status(conversation, reply, "sent").await;
    line.is_in_state("connected").await;
    assert_eq!(line.get(&format!("/inboxes/{}", line.inbox)).await.at("/reauthorization_required"), false);
    assert_eq!(line.graph.sent().len(), 1);
    let log = line.daemon.log();
    assert!(!log.contains("EAArenewed") && !log.contains(TOKEN) && !log.contains("EAAwrong"), "a token is in the log");
}

/// Meta may have what it did not answer: its receipt settles it, and nothing is sent a second time.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_unknown_outcome_is_settled_by_its_receipt() {
    let line = Line::open().await;
    let (of_ada, of_bob) = (line.begins(ADA, "wamid.1", "a").await, line.begins(BOB, "wamid.2", "b").await);
    for (number, reply) in [Reply::status(200).body("<html>hello</html>"), Reply::drop_connection(), Reply::hang()].into_iter().enumerate()
    {
        let before = line.graph.requests("POST", "/messages").len();
        line.graph.refuse_to("4930111111", 1, reply);
        let text = format!("number {number}");
        let id = line.reply(of_ada, &text).await;
        line.graph.wait_for("the message", |graph| graph.requests("POST", "/messages").len() > before).await;
        // Nobody else waits.
        let started = Instant::now();
        let quick = line.reply(of_bob, "meanwhile").await;
        line.in_status(of_bob, quick, "sent").await;
        assert!(started.elapsed() < SOON, "it took {:?}", started.elapsed());
        let request = line.graph.requests("POST", "/messages")[before].json.clone();
        assert_eq!(request["text"]["body"], json!(text));
        line.tell(&status(ADA, &request, &format!("wamid.unknown{number}"), "delivered", ago(1))).await;
        let message = line.in_status(of_ada, id, "delivered").await;
        assert_eq!(message["source_id"], format!("wamid.unknown{number}"), "{message}");
        if number < 2 {
            // The conversation goes on.
            let next = line.reply(of_ada, "next").await;
            line.in_status(of_ada, next, "sent").await;
        }
    }
    let texts: Vec<Value> = line
        .graph
        .requests("POST", "/messages")
        .iter()
        .filter(|request| request.json["to"] == "4930111111")
        .map(|request| request.json["text"]["body"].clone())
        .collect();
    assert_eq!(texts, ["number 0", "next", "number 1", "next", "number 2"], "nothing twice");
}

/// An account that Meta has locked is a person's business.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_account_is_told_of() {
    let line = Line::open().await;
    line.tell(&Graph::change(
        "account_update",
        json!({ "event": "DISABLED_UPDATE", "ban_info": { "waba_ban_state": "DISABLE", "waba_ban_date": "2026-11-21" } }),
    ))
    .await;
    let health = line.is_in_state("needs_attention").await;
    assert!(health["last_error"].as_str().unwrap().contains("DISABLED_UPDATE"), "{health}");
}
