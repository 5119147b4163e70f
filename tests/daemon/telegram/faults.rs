//! Whatever breaks, everything is there once afterwards, and nobody waits for the trouble of others.

use super::{ADA, BOB, Chat, TOKEN};
use crate::fakes::telegram::{Fault, Outcome, Telegram};
use crate::harness::{Daemon, SOON, eventually};
use crate::messengers::LATER;
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn telegram_goes_and_comes_back() {
    let chat = Chat::polled().await;
    let conversation = chat.begins(ADA, "one").await;
    chat.telegram.go_down();
    let reply = chat.reply(conversation, "answer").await;
    let health = chat.is_in_state("waiting").await;
    assert!(health["last_error"].as_str().is_some_and(|words| words.contains("Telegram") && !words.contains("AAFake")), "{health}");
    chat.telegram
        .tell(TOKEN, &chat.telegram.update(TOKEN, "message", chat.telegram.message(TOKEN, ADA, super::ago(5), json!({ "text": "two" }))));
    chat.telegram.come_back().await;
    chat.in_status(conversation, reply, "sent").await;
    chat.message(conversation, |message| message["content"] == "two").await;
    chat.is_in_state("connected").await;
    assert_eq!(chat.telegram.calls("sendMessage").len(), 1, "sent once");
    assert_eq!(chat.counts().await, (1, 3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_killed_goes_on_where_it_was() {
    let mut chat = Chat::polled().await;
    let conversation = chat.begins(ADA, "one").await;
    chat.desk.daemon.kill();
    let update = chat.telegram.update(TOKEN, "message", chat.telegram.message(TOKEN, ADA, super::ago(5), json!({ "text": "two" })));
    chat.telegram.tell(TOKEN, &update);
    chat.desk.daemon.restart().await;
    chat.desk.client = chat.desk.daemon.client();
    chat.message(conversation, |message| message["content"] == "two").await;
    // What was fetched is not fetched again.
    chat.telegram.wait_for("the updates to be forgotten", |telegram| telegram.waiting(TOKEN) == 0).await;
    assert_eq!(chat.texts(conversation).await, ["one", "two"]);
}

/// Telegram's pause is for the bot; other bots have nothing to do with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_kept_and_is_not_for_others() {
    const OTHER: &str = "7000000002:AAOtherOther";
    let chat = Chat::polled().await;
    chat.telegram.add_bot(OTHER);
    chat.create(json!({ "type": "telegram", "bot_token": OTHER })).await.expect(200);
    let conversation = chat.begins(ADA, "hello").await;
    let message = chat.telegram.message(OTHER, BOB, super::ago(5), json!({ "text": "hello other" }));
    chat.telegram.tell(OTHER, &chat.telegram.update(OTHER, "message", message));
    let elsewhere = eventually(LATER, async || chat.conversations().await.get(1).map(|found| found["id"].as_i64().unwrap())).await;

    chat.telegram.fail(Fault::Chat(ADA), 1, Outcome::too_many(3));
    let slow = chat.reply(conversation, "slow").await;
    chat.telegram.wait_for_calls("sendMessage", 1).await;
    let quick = chat.reply(elsewhere, "quick").await;
    chat.in_status(elsewhere, quick, "sent").await;
    chat.in_status(conversation, slow, "sent").await;
    let said: Vec<String> = chat.telegram.calls("sendMessage").iter().map(|call| call.text("text").to_owned()).collect();
    assert_eq!(said, ["slow", "quick", "slow"], "the other bot did not wait");
    let calls: Vec<Instant> =
        chat.telegram.calls("sendMessage").iter().filter(|call| call.text("text") == "slow").map(|call| call.at).collect();
    assert_eq!(calls.len(), 2);
    assert!(calls[1] - calls[0] >= Duration::from_secs(3), "tried again after {:?}", calls[1] - calls[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_waits_for_a_person() {
    const NEW: &str = "7000000001:AANewNewNew";
    let chat = Chat::polled().await;
    let conversation = chat.begins(ADA, "hello").await;
    chat.telegram.change_token(TOKEN, NEW);
    let health = chat.is_in_state("needs_attention").await;
    assert!(health["last_error"].as_str().unwrap().contains("bot token"), "{health}");
    let reply = chat.reply(conversation, "later").await;
    let waiting = chat.message(conversation, |message| message["id"] == reply).await;
    assert_ne!(waiting["status"], "failed", "{waiting}");
    let health = chat.get(&format!("/inboxes/{}/health", chat.inbox)).await;
    assert_eq!(health.id("/backlog/count"), 1, "{}", health.text);

    // Telegram's word counts for a new token as for the first one.
    let wrong = chat.change_channel(json!({ "bot_token": "7000000001:AAWrong" })).await;
    assert_eq!(wrong.status, 422, "{}", wrong.text);
    chat.change_channel(json!({ "bot_token": NEW })).await.expect(200);
    chat.in_status(conversation, reply, "sent").await;
    chat.is_in_state("connected").await;
    let sent = chat.telegram.calls("sendMessage");
    assert_eq!(sent.iter().filter(|call| call.token == NEW).count(), 1);
    let log = chat.daemon.log();
    assert!(!log.contains("AANewNewNew") && !log.contains("AAFakeFakeFake") && !log.contains("AAWrong"), "a token is in the log");
}

/// One contact's trouble: a gateway's page in the place of an answer, and no answer at all.
#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_tried_again_and_silence_holds_up_nobody_else() {
    let chat = Chat::polled().await;
    let (of_ada, of_bob) = (chat.begins(ADA, "a").await, chat.begins(BOB, "b").await);
    chat.telegram.fail(Fault::Chat(ADA), 2, Outcome::Raw(200, b"<html>Bad Gateway</html>".to_vec()));
    let reply = chat.reply(of_ada, "through the noise").await;
    chat.in_status(of_ada, reply, "sent").await;
    assert_eq!(chat.telegram.calls("sendMessage").len(), 3);

    chat.telegram.fail(Fault::Chat(ADA), 1, Outcome::Hang);
    let hanging = chat.reply(of_ada, "into the void").await;
    chat.telegram.wait_for_calls("sendMessage", 4).await;
    let started = Instant::now();
    let reply = chat.reply(of_bob, "meanwhile").await;
    chat.in_status(of_bob, reply, "sent").await;
    assert!(started.elapsed() < SOON, "it took {:?}", started.elapsed());
    let still = chat.message(of_ada, |message| message["id"] == hanging).await;
    assert_eq!(still["source_id"], json!(null), "{still}");
    chat.says(BOB, json!({ "text": "thanks" })).await;
    chat.message(of_bob, |message| message["content"] == "thanks").await;
}

/// Whoever has blocked the bot is told of by the refusal, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_bot_fails_its_message() {
    let chat = Chat::polled().await;
    let conversation = chat.begins(ADA, "hello").await;
    chat.telegram.fail(Fault::Chat(ADA), 1, Outcome::Error(403, "Forbidden: bot was blocked by the user", json!(null)));
    let reply = chat.reply(conversation, "hello?").await;
    let message = chat.in_status(conversation, reply, "failed").await;
    assert!(message["content_attributes"]["external_error"].as_str().unwrap().contains("blocked"), "{message}");
}

/// Telegram in a bad mood when the daemon begins: it begins nevertheless.
#[tokio::test(flavor = "multi_thread")]
async fn polls_that_fail_are_asked_again() {
    let telegram = Telegram::start().await;
    let chat = Chat::with(telegram, Daemon::builder(), json!({})).await;
    chat.telegram.fail(Fault::Method("getUpdates"), 1, Outcome::Raw(200, b"{}".to_vec()));
    chat.telegram.fail(Fault::Method("getUpdates"), 1, Outcome::too_many(1));
    let conversation = chat.begins(ADA, "hello").await;
    assert_eq!(chat.texts(conversation).await, ["hello"]);
    chat.says(ADA, json!({ "text": "again" })).await;
    chat.message(conversation, |message| message["content"] == "again").await;
    chat.is_in_state("connected").await;
}
