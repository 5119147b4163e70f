//! What happens to conversations of API inboxes: read, resolved, reopened, snoozed, given to somebody, too old to be answered.

use crate::app::{act, agent, api_inbox, assignee, contents, customer, execute, hear, join, messages, post, say, show, talk};
use crate::harness::{Client, Daemon, SOON, eventually};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[tokio::test]
async fn what_nobody_has_seen_is_counted() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    for number in 1..=3 {
        hear(&admin, id, "knock").await;
        assert_eq!(show(&admin, id).await.id("/unread_count"), number);
    }
    let seen = act(&admin, id, "update_last_seen", json!({})).await.expect(200);
    assert_eq!(seen.id("/unread_count"), 0);
    assert!(seen.id("/agent_last_seen_at") > 0);
    assert_eq!(seen.id("/assignee_last_seen_at"), 0, "who looked is not the assignee");
    let meta = admin.get(admin.a(&format!("/conversations/{id}/messages"))).await.expect(200);
    assert!(meta.str("/meta/agent_last_seen_at").ends_with('Z'), "ISO here: {}", meta.text);
    let unread = act(&admin, id, "unread", json!({})).await.expect(200);
    assert_eq!((unread.id("/unread_count"), unread.id("/agent_last_seen_at")), (1, 0));
    for _ in 0..12 {
        hear(&admin, id, "knock").await;
    }
    assert_eq!(show(&admin, id).await.id("/unread_count"), 10, "more are not told apart");
}

#[tokio::test]
async fn conversations_are_resolved_reopened_and_opened_by_the_contact() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let agent = agent(&daemon, "Ada").await;
    join(&admin, inbox.id, &[&agent]).await;
    let person = customer(&admin, inbox.id, "mia").await;
    let id = crate::app::conversation(&admin, inbox.id, person.id).await;
    let toggle = async |body: Value| act(&admin, id, "toggle_status", body).await.expect(200).str("/payload/current_status").to_owned();
    assert_eq!(toggle(json!({})).await, "resolved");
    assert_eq!(toggle(json!({})).await, "open");
    assert_eq!(toggle(json!({"status": "pending"})).await, "pending");
    assert_eq!(toggle(json!({})).await, "open");
    let answer = act(&admin, id, "toggle_status", json!({"status": "resolved"})).await.expect(200);
    assert_eq!((answer.at("/payload/success"), answer.id("/payload/conversation_id"), answer.at("/meta")), (&json!(true), id, &json!({})));
    act(&admin, id, "toggle_status", json!({"status": "foo"})).await.expect(422);
    let last = messages(&admin, id).await.pop().unwrap();
    assert_eq!(last["message_type"], 2);
    assert!(last["content"].as_str().unwrap().contains("resolved by"), "{last}");
    assert_eq!(assignee(&admin, id).await, None, "an administrator takes nothing");

    hear(&admin, id, "not yet").await;
    assert_eq!(show(&admin, id).await.str("/status"), "open", "reopened by the contact");
    act(&admin, id, "toggle_status", json!({"status": "resolved"})).await.expect(200);
    act(&agent.client, id, "toggle_status", json!({"status": "open"})).await.expect(200);
    assert_eq!(assignee(&admin, id).await, Some(agent.id), "an agent who opens it takes it");

    act(&admin, id, "toggle_status", json!({"status": "resolved"})).await.expect(200);
    admin.patch(admin.a(&format!("/contacts/{}", person.id)), json!({"blocked": true})).await.expect(200);
    hear(&admin, id, "let me in").await;
    let shown = show(&admin, id).await;
    assert_eq!((shown.str("/status"), shown.at("/muted")), ("resolved", &json!(true)), "whoever is blocked reopens nothing");
}

#[tokio::test]
async fn an_agent_who_opens_a_conversation_takes_it_whoever_had_it() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({"enable_auto_assignment": false})).await;
    let (ann, bob) = (agent(&daemon, "ann").await, agent(&daemon, "bob").await);
    join(&admin, inbox.id, &[&ann, &bob]).await;
    let id = talk(&admin, inbox.id, "mia").await;
    act(&ann.client, id, "toggle_status", json!({"status": "open"})).await.expect(200);
    assert_eq!(assignee(&admin, id).await, Some(ann.id), "it was open already");
    act(&bob.client, id, "toggle_status", json!({"status": "resolved"})).await.expect(200);
    assert_eq!(assignee(&admin, id).await, Some(ann.id), "only who opens it takes it");
    act(&bob.client, id, "toggle_status", json!({})).await.expect(200);
    assert_eq!(assignee(&admin, id).await, Some(bob.id));
    let said = contents(&admin, id).await;
    assert_eq!(&said[said.len() - 2..], ["Conversation was reopened by bob", "bob self-assigned this conversation"]);
    act(&admin, id, "toggle_status", json!({})).await.expect(200);
    act(&admin, id, "toggle_status", json!({})).await.expect(200);
    assert_eq!(assignee(&admin, id).await, Some(bob.id), "an administrator takes nothing");
    let open = json!({"type": "Conversation", "ids": [id], "fields": {"status": "open"}});
    act(&admin, id, "toggle_status", json!({"status": "resolved"})).await.expect(200);
    ann.client.post(ann.client.a("/bulk_actions"), open).await.expect(200);
    assert_eq!(assignee(&admin, id).await, Some(bob.id), "nor does whoever opens many at once");
}

#[tokio::test]
async fn priorities_are_set_and_taken_away() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    for (wanted, then) in [(json!("urgent"), json!("urgent")), (json!("low"), json!("low")), (Value::Null, Value::Null)] {
        assert_eq!(act(&admin, id, "toggle_priority", json!({"priority": wanted})).await.expect(200).text, "");
        assert_eq!(show(&admin, id).await.at("/priority"), &then);
    }
    act(&admin, id, "toggle_priority", json!({"priority": "soonish"})).await.expect(422);
    let path = admin.a(&format!("/conversations/{id}"));
    assert_eq!(admin.patch(&path, json!({"priority": "high"})).await.expect(200).str("/priority"), "high");
    for nothing in [json!({}), json!({"sla_policy_id": 1})] {
        assert_eq!(admin.patch(&path, nothing.clone()).await.expect(200).str("/priority"), "high", "{nothing}: what is not named stays");
    }
    let changes = contents(&admin, id).await;
    assert_eq!(admin.patch(&path, json!({"priority": null})).await.expect(200).at("/priority"), &Value::Null);
    assert_eq!(changes.len(), 4, "one activity for each change: {changes:?}");
    assert!(changes[0].contains("urgent") && changes[2].contains("none"), "{changes:?}");
    let attributes = act(&admin, id, "custom_attributes", json!({"custom_attributes": {"order": 7}})).await.expect(200);
    assert_eq!(attributes.body, json!({"custom_attributes": {"order": 7}}));
    act(&admin, id, "custom_attributes", json!({"custom_attributes": {"colour": "red"}})).await.expect(200);
    assert_eq!(show(&admin, id).await.at("/custom_attributes"), &json!({"colour": "red"}), "replaced, not merged");
}

#[tokio::test]
async fn conversations_are_given_to_those_who_may_see_them() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({"enable_auto_assignment": false})).await;
    let (member, stranger) = (agent(&daemon, "Ada").await, agent(&daemon, "Bob").await);
    join(&admin, inbox.id, &[&member]).await;
    let id = talk(&admin, inbox.id, "mia").await;
    let given = act(&admin, id, "assignments", json!({"assignee_id": member.id})).await.expect(200);
    assert_eq!((given.id("/id"), given.str("/name"), given.str("/role")), (member.id, "Ada", "agent"));
    let shown = show(&admin, id).await;
    assert_eq!((shown.id("/meta/assignee/id"), shown.str("/meta/assignee_type")), (member.id, "User"));
    act(&member.client, id, "update_last_seen", json!({})).await.expect(200);
    assert!(show(&admin, id).await.id("/assignee_last_seen_at") > 0);
    assert_eq!(act(&admin, id, "assignments", json!({"assignee_id": 0})).await.expect(200).text, "null");
    assert_eq!(assignee(&admin, id).await, None);
    act(&member.client, id, "assignments", json!({"assignee_id": member.id})).await.expect(200);
    let said = contents(&admin, id).await;
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[0].starts_with("Assigned to Ada by ") && said[1].contains("unassigned"), "{said:?}");
    assert_eq!(said[2], "Ada self-assigned this conversation");

    act(&admin, id, "assignments", json!({"assignee_id": stranger.id})).await.expect(422);
    assert_eq!(assignee(&admin, id).await, Some(member.id));
    stranger.client.get(stranger.client.a(&format!("/conversations/{id}"))).await.expect(404);
    post(&stranger.client, id, json!({"content": "x"})).await.expect(404);
    let lists = stranger.client.get(stranger.client.a("/conversations?status=all")).await.expect(200);
    assert_eq!(lists.id("/data/meta/all_count"), 0);
    assert_eq!(member.client.get(member.client.a("/conversations?assignee_type=me")).await.id("/data/meta/mine_count"), 1);
}

#[tokio::test]
async fn a_snoozed_conversation_wakes_by_the_clock_or_by_its_contact() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let (sleeper, woken) = (talk(&admin, inbox.id, "mia").await, talk(&admin, inbox.id, "noa").await);
    let snooze = async |id: i64, seconds: u64| {
        let until = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + seconds;
        let answer = act(&admin, id, "toggle_status", json!({"status": "snoozed", "snoozed_until": until})).await.expect(200);
        assert_eq!(answer.str("/payload/current_status"), "snoozed");
        assert!(show(&admin, id).await.str("/snoozed_until").ends_with(".000Z"));
    };
    snooze(woken, 3600).await;
    hear(&admin, woken, "are you there?").await;
    let shown = show(&admin, woken).await;
    assert_eq!((shown.str("/status"), shown.at("/snoozed_until")), ("open", &Value::Null));

    let still = talk(&admin, inbox.id, "lea").await;
    snooze(still, 3600).await;
    snooze(sleeper, 1).await;
    let awake = eventually(SOON + Duration::from_secs(10), async || {
        Some(show(&admin, sleeper).await).filter(|shown| shown.body["status"] == "open")
    });
    assert_eq!(awake.await.at("/snoozed_until"), &Value::Null);
    assert_eq!(show(&admin, still).await.str("/status"), "snoozed", "whose time has not come sleeps on");
}

#[tokio::test]
async fn an_answer_after_the_window_is_refused() {
    let mut daemon = Daemon::start().await;
    let admin = daemon.client();
    let window = json!({"channel": {"additional_attributes": {"agent_reply_time_window": "2"}}});
    let inbox = api_inbox(&admin, window).await;
    let id = talk(&admin, inbox.id, "mia").await;
    assert_eq!(show(&admin, id).await.at("/can_reply"), false, "nothing was asked yet");
    post(&admin, id, json!({"content": "anyone?"})).await.expect(422);
    hear(&admin, id, "help").await;
    assert_eq!(show(&admin, id).await.at("/can_reply"), true);
    say(&admin, id, "how?").await;

    daemon.kill();
    execute(
        &daemon,
        "UPDATE messages SET created_at = '2020' || substr(created_at, 5)",
        "UPDATE messages SET created_at = created_at - interval '3 hours'",
    )
    .await;
    daemon.restart().await;
    let admin: Client = daemon.client();
    assert_eq!(show(&admin, id).await.at("/can_reply"), false);
    let refused = post(&admin, id, json!({"content": "still there?"})).await.expect(422);
    assert!(refused.str("/error").contains("agent_reply_time_window"), "{}", refused.text);
    post(&admin, id, json!({"content": "too late", "private": true})).await.expect(200);
    hear(&admin, id, "yes").await;
    assert_eq!(show(&admin, id).await.at("/can_reply"), true);
    say(&admin, id, "good").await;
}

#[tokio::test]
async fn the_first_message_of_a_conversation_is_greeted() {
    let daemon = Daemon::start().await;
    let (admin, visitor) = (daemon.client(), daemon.visitor());
    let inbox = api_inbox(&admin, json!({"greeting_enabled": true, "greeting_message": "Welcome!"})).await;
    let silent = api_inbox(&admin, json!({"greeting_enabled": false, "greeting_message": "Welcome!"})).await;
    let (id, other) = (talk(&admin, inbox.id, "mia").await, talk(&admin, silent.id, "noa").await);
    hear(&admin, id, "hello").await;
    hear(&admin, id, "anyone?").await;
    assert_eq!(contents(&admin, id).await, ["hello", "Welcome!", "anyone?"]);
    let greeting = &messages(&admin, id).await[1];
    assert_eq!((&greeting["message_type"], greeting.get("sender")), (&json!(3), None));
    hear(&admin, other, "hello").await;
    assert_eq!(contents(&admin, other).await, ["hello"]);
    // The contact reads it as well.
    let path = format!("/public/api/v1/inboxes/{}/contacts", inbox.identifier);
    let contact = visitor.post(&path, json!({"identifier": "mia"})).await.expect(200);
    let seen = visitor.get(format!("{path}/{}/conversations/{id}/messages", contact.str("/source_id"))).await.expect(200);
    assert_eq!(seen.str("/1/content"), "Welcome!");
}
