//! Webhooks that do not get through: they are tried again in order and without delaying anybody else, until they are given up.

use crate::app::{api_inbox, count, execute, hear, messages, say, talk};
use crate::harness::{Daemon, Receiver, Reply, SOON, eventually};
use crate::webhooks::{assert_iso, assert_signed, delivered, webhook};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn what_fails_is_tried_again_with_the_same_id_and_a_fresh_timestamp() {
    let (daemon, receiver) = tokio::join!(Daemon::builder().env("KONVERSIO__WEBHOOKS__TIMEOUT_SECONDS", "1").start(), Receiver::start());
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let (webhook, secret) = webhook(&admin, &receiver.url("/hook"), json!({"subscriptions": ["message_created"]})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    receiver.answer_next(Reply::status(500));
    receiver.answer_next(Reply::drop_connection());
    receiver.answer_next(Reply::hang());
    hear(&admin, id, "hello").await;
    let received = receiver.wait_for(4, SOON * 2).await;
    let pauses: Vec<f64> = received.windows(2).map(|pair| (pair[1].at - pair[0].at).as_secs_f64()).collect();
    // From one second on, give or take a fifth, and doubled; the third one hung for a second before it was given up.
    for (pause, (least, most)) in pauses.iter().zip([(0.75, 4.0), (0.75, 5.0), (2.4, 9.0)]) {
        assert!((least..most).contains(pause), "{pauses:?}");
    }
    for one in &received {
        assert_signed(one, &secret);
        assert_eq!(one.header("x-chatwoot-delivery"), received[0].header("x-chatwoot-delivery"));
        assert_eq!(one.body, received[0].body);
    }
    assert_ne!(received[3].header("x-chatwoot-timestamp"), received[0].header("x-chatwoot-timestamp"));

    let done = delivered(&admin, webhook).await;
    assert_eq!((done["event"].as_str(), done["failures"].as_i64()), (Some("message_created"), Some(3)));
    assert_eq!(done["uuid"].as_str(), received[0].header("x-chatwoot-delivery"));
    let attempts = done["attempts"].as_array().unwrap();
    let codes: Vec<Option<i64>> = attempts.iter().map(|attempt| attempt["status_code"].as_i64()).collect();
    assert_eq!(codes, [Some(500), None, None, Some(200)]);
    let is_told: Vec<bool> = attempts.iter().map(|attempt| attempt["error"].is_string()).collect();
    assert_eq!(is_told, [true, true, true, false]);
    assert!(attempts[2]["duration_ms"].as_i64().unwrap() >= 1000, "{}", attempts[2]);
    assert_iso(&attempts[0]["attempted_at"]);

    let again = admin.post(admin.a(&format!("/deliveries/{}/retry", done["id"])), json!({})).await.expect(200);
    assert_eq!(again.at("/uuid"), &done["uuid"]);
    let received = receiver.wait_for(5, SOON).await;
    assert_eq!(received[4].header("webhook-id"), received[0].header("webhook-id"));
    eventually(SOON, async || Some(delivered(&admin, webhook).await).filter(|done| done["attempts"].as_array().unwrap().len() == 5)).await;
    admin.post(admin.a("/deliveries/999999/retry"), json!({})).await.expect(404);
}

#[tokio::test]
async fn an_endpoint_that_asks_for_time_gets_it() {
    let (daemon, receiver) = tokio::join!(Daemon::start(), Receiver::start());
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    webhook(&admin, &receiver.url("/hook"), json!({"subscriptions": ["message_created"]})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    receiver.answer_next(Reply::status(429).header("retry-after", "4"));
    hear(&admin, id, "hello").await;
    let received = receiver.wait_for(2, SOON).await;
    let pause = (received[1].at - received[0].at).as_secs_f64();
    assert!((3.9..9.0).contains(&pause), "asked for 4 s, came after {pause} s");
}

#[tokio::test]
async fn an_endpoint_that_hangs_delays_nobody_else() {
    let (daemon, slow, quick) = tokio::join!(Daemon::start(), Receiver::start(), Receiver::start());
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    slow.answer(Reply::hang());
    webhook(&admin, &slow.url("/hook"), json!({"subscriptions": ["message_created"]})).await;
    webhook(&admin, &quick.url("/hook"), json!({"subscriptions": ["message_created"]})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    for number in 0..5 {
        hear(&admin, id, &number.to_string()).await;
    }
    // Less than the 15 s after which the slow one is given up.
    let received = quick.wait_for(5, Duration::from_secs(10)).await;
    let contents: Vec<&str> = received.iter().map(|one| one.json["content"].as_str().unwrap()).collect();
    assert_eq!(contents, ["0", "1", "2", "3", "4"], "a conversation's events stay in order");
    assert_eq!(slow.received().len(), 1, "the next one of a conversation waits for the first");
}

#[tokio::test]
async fn what_waits_for_a_webhook_that_is_removed_fails() {
    let (daemon, receiver) = tokio::join!(Daemon::start(), Receiver::start());
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    receiver.answer(Reply::status(503).header("retry-after", "2"));
    let (webhook, _) = webhook(&admin, &receiver.url("/hook"), json!({"subscriptions": ["message_created"]})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    hear(&admin, id, "hello").await;
    hear(&admin, id, "again").await;
    receiver.wait_for(1, SOON).await;
    admin.delete(admin.a(&format!("/webhooks/{webhook}"))).await.expect(200);
    // Its list is gone with it, so the rows themselves are counted.
    let sql = "SELECT count(*) FROM deliveries WHERE status = 2";
    eventually(SOON, async || (count(&daemon, sql).await == 2).then_some(())).await;
    assert_eq!(count(&daemon, "SELECT count(*) FROM deliveries WHERE status = 0").await, 0);
}

#[tokio::test]
async fn deliveries_survive_a_crash() {
    let (mut daemon, receiver) = tokio::join!(Daemon::start(), Receiver::start());
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({"channel": {"webhook_url": receiver.url("/inbox")}})).await;
    let (_, secret) = webhook(&admin, &receiver.url("/hook"), json!({"subscriptions": ["message_created"]})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    receiver.wait_until(|one| one.json["event"] == "conversation_created", SOON).await;
    let address = receiver.address();
    drop(receiver);
    for content in ["one", "two", "three"] {
        hear(&admin, id, content).await;
    }
    daemon.kill();
    let receiver = Receiver::start_on(address).await;
    daemon.restart().await;
    let of = |path: &'static str| {
        let receiver = &receiver;
        eventually(SOON * 2, async move || {
            let of_path = receiver.received().into_iter().filter(|one| one.path == path && one.json["event"] == "message_created");
            // At least once: a repeat counts once, and comes before the next.
            let mut contents: Vec<String> = of_path.map(|one| one.json["content"].as_str().unwrap().to_owned()).collect();
            contents.dedup();
            Some(contents).filter(|contents| contents.len() >= 3)
        })
    };
    let all = ["one", "two", "three"].map(str::to_owned).to_vec();
    assert_eq!((of("/hook").await, of("/inbox").await), (all.clone(), all));
    assert_signed(&receiver.wait_until(|one| one.path == "/hook", SOON).await, &secret);
}

#[tokio::test]
async fn a_conversation_is_told_in_its_order_until_one_of_its_events_cannot_be_digested() {
    let (mut daemon, receiver) = tokio::join!(Daemon::start(), Receiver::start());
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    webhook(&admin, &receiver.url("/hook"), json!({"subscriptions": ["message_created"]})).await;
    let (id, other) = (talk(&admin, inbox.id, "mia").await, talk(&admin, inbox.id, "noa").await);
    receiver.answer_with(|one| Reply::status(if one.json["content"] == "indigestible" { 500 } else { 200 }));
    let told = |content: &'static str| receiver.received().iter().filter(|one| one.json["content"] == content).count();
    hear(&admin, id, "indigestible").await;
    hear(&admin, id, "after it").await;
    hear(&admin, other, "elsewhere").await;
    eventually(SOON, async || (told("elsewhere") == 1 && told("indigestible") >= 3).then_some(())).await;
    assert_eq!(told("after it"), 0, "what comes after it waits for it");

    // As if it had failed for a minute.
    daemon.kill();
    const FAILED: &str = "UPDATE deliveries SET failures = 8 WHERE status = 0 AND failures > 0";
    execute(&daemon, FAILED, FAILED).await;
    daemon.restart().await;
    eventually(SOON, async || (told("after it") == 1).then_some(())).await;
    hear(&admin, id, "and more").await;
    eventually(SOON, async || (told("and more") == 1).then_some(())).await;
    // It is tried on, for itself.
    eventually(SOON, async || (count(&daemon, "SELECT count(*) FROM deliveries WHERE status = 0").await == 1).then_some(())).await;
    assert_eq!(told("after it"), 1);
}

#[tokio::test]
async fn a_conversation_with_much_to_tell_does_not_take_the_places_of_others() {
    let (mut daemon, receiver) = tokio::join!(Daemon::start(), Receiver::start());
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    webhook(&admin, &receiver.url("/hook"), json!({"subscriptions": ["message_created"]})).await;
    let busy = talk(&admin, inbox.id, "busy").await;
    let others = [talk(&admin, inbox.id, "mia").await, talk(&admin, inbox.id, "noa").await];
    // Nothing arrives while it is said; the first of the busy one hangs then.
    receiver.answer(Reply::status(503));
    for number in 0..80 {
        hear(&admin, busy, &format!("busy {number}")).await;
    }
    for other in others {
        hear(&admin, other, "hello").await;
    }
    daemon.kill();
    receiver.answer_with(|one| match one.json["content"].as_str() {
        Some(content) if content.starts_with("busy") => Reply::hang(),
        _ => Reply::status(200),
    });
    const DUE: &str = "UPDATE deliveries SET due_at = created_at WHERE status = 0";
    execute(&daemon, DUE, DUE).await;
    let before = receiver.received().len();
    daemon.restart().await;
    // Less than the 15 s after which the busy one is given up.
    let hellos = || receiver.received()[before..].iter().filter(|one| one.json["content"] == "hello").count();
    eventually(Duration::from_secs(10), async || (hellos() == 2).then_some(())).await;
}

#[tokio::test]
async fn what_could_not_be_delivered_in_the_time_that_is_set_fails_and_its_message_says_so() {
    let daemon = Daemon::builder().env("KONVERSIO__WEBHOOKS__GIVE_UP_AFTER_HOURS", "1");
    let (mut daemon, receiver) = tokio::join!(daemon.start(), Receiver::start());
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({"channel": {"webhook_url": receiver.url("/inbox")}})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    receiver.wait_until(|one| one.json["event"] == "conversation_created", SOON).await;
    receiver.answer(Reply::status(500));
    let message = say(&admin, id, "hello").await;
    receiver.wait_until(|one| one.json["id"] == message, SOON).await;
    let said = || async { messages(&admin, id).await.into_iter().find(|row| row["id"] == message).unwrap() };
    assert_eq!(said().await["status"], "sent");
    daemon.kill();
    execute(
        &daemon,
        "UPDATE deliveries SET created_at = '2020-01-01 00:00:00.000000+00:00', due_at = '2020-01-01 00:00:00.000000+00:00' WHERE status = 0",
        "UPDATE deliveries SET created_at = '2020-01-01', due_at = '2020-01-01' WHERE status = 0",
    )
    .await;
    daemon.restart().await;
    let failed = eventually(SOON, async || Some(said().await).filter(|row| row["status"] == "failed")).await;
    assert!(failed["content_attributes"]["external_error"].as_str().unwrap().contains("answered 500"), "{failed}");
    eventually(SOON, async || {
        let listed = admin.get(admin.a(&format!("/inboxes/{}/deliveries?status=failed", inbox.id))).await.expect(200);
        let given_up = listed.at("/payload").as_array().unwrap().iter().any(|one| one["event"] == "message_created");
        given_up.then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_message_whose_change_its_inbox_s_webhook_never_took_has_failed_and_that_is_told_once() {
    let (daemon, receiver) = tokio::join!(Daemon::start(), Receiver::start());
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({"channel": {"webhook_url": receiver.url("/inbox")}})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    receiver.answer_with(|one| match one.json["event"] == "message_updated" {
        true => Reply::status(503).header("retry-after", "1"),
        false => Reply::status(200),
    });
    let message = say(&admin, id, "hi").await;
    receiver.wait_until(|one| one.json["event"] == "message_created", SOON).await;
    admin.delete(admin.a(&format!("/conversations/{id}/messages/{message}"))).await.expect(200);
    receiver.wait_until(|one| one.json["event"] == "message_updated", SOON).await;
    // There is no more trying where there is no webhook.
    admin.patch(admin.a(&format!("/inboxes/{}", inbox.id)), json!({"channel": {"webhook_url": ""}})).await.expect(200);
    let failed = eventually(SOON, async || {
        let message = messages(&admin, id).await.into_iter().find(|one| one["id"] == message)?;
        (message["status"] == "failed").then_some(message)
    });
    let failed = failed.await;
    assert!(failed["content_attributes"]["external_error"].as_str().unwrap().contains("webhook"), "{failed}");
    assert_eq!(count(&daemon, "SELECT COUNT(*) FROM events WHERE kind = 'message.updated'").await, 2, "taken back, and failed");
    assert_eq!(count(&daemon, "SELECT COUNT(*) FROM deliveries WHERE status = 0").await, 0);
}
