//! How an inbox begins and ends.

use super::{ADA, Chat, PUBLIC_URL, TOKEN, settings};
use crate::fakes::telegram::{Push, Telegram};
use crate::harness::{Daemon, eventually};
use crate::messengers::{Desk, LATER};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_is_a_bot_that_telegram_knows() {
    let chat = Chat::polled().await;
    let inbox = chat.get(&format!("/inboxes/{}", chat.inbox)).await;
    assert_eq!((inbox.str("/channel_type"), inbox.str("/bot_name")), ("Channel::Telegram", "shop_bot"));
    assert!(!inbox.text.contains("AAFakeFakeFake"), "{}", inbox.text);
    // There is no webhook while the daemon asks.
    assert_eq!(chat.telegram.webhook(TOKEN), None);
    let polls = chat.telegram.wait_for_calls("getUpdates", 2).await;
    assert!(polls[1].value("timeout").as_i64().unwrap() >= 20, "{:?}", polls[1]);
    let wanted = polls[1].value("allowed_updates");
    for kind in ["message", "edited_message", "callback_query", "message_reaction", "my_chat_member"] {
        assert!(wanted.as_array().unwrap().contains(&json!(kind)), "{kind} in {wanted}");
    }
    // A bot has one reader.
    let again = chat.create(json!({ "type": "telegram", "bot_token": TOKEN })).await;
    assert_eq!(again.status, 422, "{}", again.text);
    assert_eq!(chat.get("/inboxes").await.at("/payload").as_array().unwrap().len(), 1);
    assert!(!chat.daemon.log().contains("AAFakeFakeFake"), "the token is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_telegram_does_not_know_is_refused_and_not_stored() {
    let telegram = Telegram::start().await;
    let daemon = Daemon::builder().settings(&settings(&telegram)).start().await;
    let desk = Desk { client: daemon.client(), daemon, inbox: 0 };
    for (token, words) in [("7000000009:AAWrong", "Telegram does not accept the bot token"), ("no token", "bot_token must be the token")] {
        let refused = desk.create(json!({ "type": "telegram", "bot_token": token })).await;
        assert_eq!(refused.status, 422, "{}", refused.text);
        assert!(refused.str("/error").contains(words), "{}", refused.text);
    }
    let missing = desk.create(json!({ "type": "telegram" })).await;
    assert_eq!(missing.status, 422, "{}", missing.text);
    assert_eq!(desk.get("/inboxes").await.at("/payload").as_array().unwrap().len(), 0);
    assert!(telegram.calls("getUpdates").is_empty() && telegram.calls("setWebhook").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_are_pushed_where_telegram_can_reach_the_desk() {
    let chat = Chat::pushed().await;
    let (url, secret) = chat.telegram.webhook(TOKEN).expect("a webhook");
    assert_eq!(url, format!("{PUBLIC_URL}/webhooks/telegram/{TOKEN}"));
    assert!(secret.len() >= 32, "{secret}");
    assert!(chat.telegram.calls("getUpdates").is_empty());
    let conversation = chat.begins(ADA, "hello").await;
    assert_eq!(chat.texts(conversation).await, ["hello"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_telegram_may_push() {
    let chat = Chat::pushed().await;
    let before = chat.counts().await;
    let message = chat.telegram.message(TOKEN, ADA, super::ago(9), json!({ "text": "forged" }));
    let update = chat.telegram.update(TOKEN, "message", message);
    let Push { url, secret, body } = chat.telegram.tell(TOKEN, &update).expect("a webhook");
    for wrong in [String::new(), TOKEN.to_owned(), secret.to_uppercase(), secret[1..].to_owned()] {
        let (status, answer) = chat.push(&Push { url: url.clone(), secret: wrong.clone(), body: body.clone() }).await;
        assert_eq!(status, 401, "{wrong:?}: {answer}");
    }
    assert_eq!(chat.counts().await, before);
    // The same with the right secret is heard.
    assert_eq!(chat.push(&Push { url, secret, body }).await.0, 200);
    assert_eq!(chat.wait_for_messages(1, 1).await[0]["content"], "forged");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_answered_and_parked() {
    let chat = Chat::pushed().await;
    let (url, secret) = chat.telegram.webhook(TOKEN).unwrap();
    for body in ["", "{", "null", "[]", r#"{"update_id":5,"news":{}}"#] {
        let push = Push { url: url.clone(), secret: secret.clone(), body: body.as_bytes().to_vec() };
        assert_eq!(chat.push(&push).await.0, 200, "{body:?}");
        assert_eq!(chat.push(&push).await.0, 200, "{body:?}, once more");
    }
    // What comes behind is not held up.
    chat.begins(ADA, "hello").await;
    let health = chat.get(&format!("/inboxes/{}/health", chat.inbox)).await;
    assert_eq!((health.id("/parked"), health.str("/state")), (5, "connected"), "{}", health.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_inbox_is_unregistered() {
    let chat = Chat::pushed().await;
    assert!(chat.telegram.webhook(TOKEN).is_some());
    chat.client.delete(chat.client.a(&format!("/inboxes/{}", chat.inbox))).await.expect(200);
    chat.telegram.wait_for("the webhook to go", |telegram| telegram.webhook(TOKEN).is_none()).await;
    assert_eq!(chat.telegram.wait_for_calls("deleteWebhook", 1).await[0].value("drop_pending_updates"), json!(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_that_is_removed_while_telegram_is_away_is_unregistered_later() {
    let chat = Chat::pushed().await;
    chat.telegram.go_down();
    chat.client.delete(chat.client.a(&format!("/inboxes/{}", chat.inbox))).await.expect(200);
    chat.telegram.come_back().await;
    eventually(LATER, async || chat.telegram.webhook(TOKEN).is_none().then_some(())).await;
}
