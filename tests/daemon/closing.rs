//! What the desk does by itself: forgotten conversations are resolved, and whoever writes when it is closed is told so.

use crate::app::{api_inbox, contents, execute, hear, messages, post, say, show, talk};
use crate::harness::{Client, Daemon, SOON, eventually};
use serde_json::{Value, json};
use std::time::Duration;

async fn resolved(client: &Client, id: i64) {
    // The clock is looked at every ten seconds.
    let deadline = SOON + Duration::from_secs(10);
    eventually(deadline, async || (show(client, id).await.body["status"] == "resolved").then_some(())).await;
}

/// Makes everything an hour older while the daemon is down.
async fn an_hour_later(daemon: &mut Daemon) {
    daemon.kill();
    execute(
        daemon,
        "UPDATE conversations SET last_activity_at = '2020' || substr(last_activity_at, 5)",
        "UPDATE conversations SET last_activity_at = last_activity_at - interval '1 hour'",
    )
    .await;
    daemon.restart().await;
}

#[tokio::test]
async fn forgotten_conversations_are_resolved() {
    let mut daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let (quiet, pending) = (talk(&admin, inbox.id, "mia").await, talk(&admin, inbox.id, "lea").await);
    say(&admin, quiet, "anything else?").await;
    crate::app::act(&admin, pending, "toggle_status", json!({"status": "pending"})).await.expect(200);
    admin.patch(admin.a(""), json!({"auto_resolve_after": 5})).await.expect(422);
    let settings = json!({"auto_resolve_after": 30, "auto_resolve_message": "We close this now.", "auto_resolve_label": "Forgotten"});
    admin.patch(admin.a(""), settings).await.expect(200);
    an_hour_later(&mut daemon).await;
    let admin = daemon.client();
    let young = talk(&admin, inbox.id, "noa").await;
    resolved(&admin, quiet).await;
    assert_eq!(show(&admin, quiet).await.at("/labels"), &json!(["forgotten"]));
    let said = contents(&admin, quiet).await;
    let expected = ["anything else?", "We close this now.", "The system added forgotten", "Conversation was marked resolved by the system"];
    assert_eq!(said, expected);
    assert_eq!(messages(&admin, quiet).await[1]["message_type"], 3, "a rule wrote it");
    assert_eq!(show(&admin, young).await.str("/status"), "open");
    assert_eq!(show(&admin, pending).await.str("/status"), "pending", "only what is open");
}

#[tokio::test]
async fn whoever_waits_for_an_answer_may_be_left_alone() {
    let mut daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let (waits, answered) = (talk(&admin, inbox.id, "mia").await, talk(&admin, inbox.id, "noa").await);
    hear(&admin, waits, "hello?").await;
    hear(&admin, answered, "hello?").await;
    say(&admin, answered, "hello").await;
    admin.patch(admin.a(""), json!({"auto_resolve_after": 30, "auto_resolve_ignore_waiting": true})).await.expect(200);
    an_hour_later(&mut daemon).await;
    let admin = daemon.client();
    resolved(&admin, answered).await;
    assert_eq!(show(&admin, waits).await.str("/status"), "open");
    assert_eq!(contents(&admin, answered).await.len(), 3, "without a message nothing is said to the contact");
    admin.patch(admin.a(""), json!({"auto_resolve_ignore_waiting": false})).await.expect(200);
    resolved(&admin, waits).await;
}

fn closed() -> Value {
    let days: Vec<Value> = (0..7).map(|day| json!({"day_of_week": day, "closed_all_day": true})).collect();
    json!({"working_hours_enabled": true, "working_hours": days, "out_of_office_message": "We are closed."})
}

#[tokio::test]
async fn whoever_writes_to_a_closed_inbox_is_told_once() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, closed()).await;
    let id = talk(&admin, inbox.id, "mia").await;
    hear(&admin, id, "hello").await;
    hear(&admin, id, "anyone?").await;
    assert_eq!(contents(&admin, id).await, ["hello", "We are closed.", "anyone?"]);
    let told = &messages(&admin, id).await[1];
    assert_eq!((&told["message_type"], told.get("sender")), (&json!(3), None));

    let attended = talk(&admin, inbox.id, "noa").await;
    post(&admin, attended, json!({"content": "I am here", "private": true})).await.expect(200);
    hear(&admin, attended, "hello").await;
    assert_eq!(contents(&admin, attended).await, ["I am here", "hello"], "somebody wrote a moment ago");

    // What is stored counts as well as what is remembered.
    let path = admin.a(&format!("/inboxes/{}", inbox.id));
    let mut daemon = daemon;
    daemon.kill();
    execute(
        &daemon,
        "UPDATE messages SET created_at = '2020' || substr(created_at, 5)",
        "UPDATE messages SET created_at = created_at - interval '2 days'",
    )
    .await;
    daemon.restart().await;
    let admin = daemon.client();
    hear(&admin, id, "the next day").await;
    assert_eq!(contents(&admin, id).await, ["hello", "We are closed.", "anyone?", "the next day", "We are closed."]);

    let open = json!({"working_hours": (0..7).map(|day| json!({"day_of_week": day, "open_all_day": true})).collect::<Vec<_>>()});
    admin.patch(&path, open).await.expect(200);
    let other = talk(&admin, inbox.id, "lea").await;
    hear(&admin, other, "hello").await;
    assert_eq!(contents(&admin, other).await, ["hello"]);
    admin.patch(&path, closed()).await.expect(200);
    admin.patch(&path, json!({"working_hours_enabled": false})).await.expect(200);
    let third = talk(&admin, inbox.id, "kai").await;
    hear(&admin, third, "hello").await;
    assert_eq!(contents(&admin, third).await, ["hello"], "hours that are off close nothing");
}

#[tokio::test]
async fn a_closed_inbox_greets_too() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let mut fields = closed();
    fields["greeting_enabled"] = json!(true);
    fields["greeting_message"] = json!("Welcome!");
    let inbox = api_inbox(&admin, fields).await;
    let id = talk(&admin, inbox.id, "mia").await;
    hear(&admin, id, "hello").await;
    assert_eq!(contents(&admin, id).await, ["hello", "We are closed.", "Welcome!"]);
}
