//! Notifications: who is told of what, over the websocket and in the list, and how they are read, put off and removed.

use crate::app::{Person, act, administrator, agent, api_inbox, count, hear, join, keys, post, say, talk, words};
use crate::desk::assert_names;
use crate::harness::{Answer, Cable, Client, Daemon, SOON};
use serde_json::{Value, json};

struct Desk {
    daemon: Daemon,
    admin: Person,
    ann: Person,
    bob: Person,
    inbox: i64,
}

impl Desk {
    async fn open() -> Self {
        let daemon = Daemon::start().await;
        let admin = administrator(&daemon).await;
        let (ann, bob) = (agent(&daemon, "ann").await, agent(&daemon, "bob").await);
        let inbox = api_inbox(&admin.client, json!({"enable_auto_assignment": false})).await.id;
        join(&admin.client, inbox, &[&ann, &bob]).await;
        Desk { daemon, admin, ann, bob, inbox }
    }

    async fn listen(&self, person: &Person) -> Cable {
        let mut cable = self.daemon.cable().await;
        cable.subscribe_agent(&person.pubsub_token, 1, person.id).await;
        cable
    }

    async fn give(&self, conversation: i64, to: &Person) {
        act(&self.admin.client, conversation, "assignments", json!({"assignee_id": to.id})).await.expect(200);
    }

    async fn note(&self, conversation: i64, content: String) -> i64 {
        post(&self.admin.client, conversation, json!({"content": content, "private": true})).await.expect(200).id("/id")
    }
}

async fn list(person: &Person, query: &str) -> Answer {
    person.client.get(person.client.a(&format!("/notifications{query}"))).await.expect(200)
}

/// Type and conversation of what is listed.
async fn told(person: &Person) -> Vec<(String, i64)> {
    let listed = list(person, "").await;
    let one = |told: &Value| (told["notification_type"].as_str().unwrap().to_owned(), told["primary_actor"]["id"].as_i64().unwrap());
    listed.at("/data/payload").as_array().unwrap().iter().map(one).collect()
}

async fn unread(client: &Client) -> Value {
    client.get(client.a("/notifications/unread_count")).await.expect(200).body
}

#[tokio::test]
async fn an_assignment_is_told_to_the_assignee_alone() {
    let desk = Desk::open().await;
    let (mut of_ann, mut of_bob) = (desk.listen(&desk.ann).await, desk.listen(&desk.bob).await);
    let id = talk(&desk.admin.client, desk.inbox, "mia").await;
    hear(&desk.admin.client, id, "hello").await;
    desk.give(id, &desk.ann).await;
    let event = of_ann.next_event("notification.created", SOON).await;
    let told_of = &event["notification"];
    assert_eq!((&event["unread_count"], &event["count"], &event["account_id"]), (&json!(1), &json!(1), &json!(1)));
    assert_eq!((&told_of["notification_type"], &told_of["account_id"]), (&json!("conversation_assignment"), &json!(1)));
    assert_eq!(told_of["secondary_actor"]["id"], desk.admin.id, "who gave it");
    let listed = list(&desk.ann, "").await;
    let form = "id notification_type push_message_title push_message_body primary_actor_type primary_actor_id primary_actor read_at \
        secondary_actor user created_at last_activity_at snoozed_until meta";
    assert_eq!(keys(listed.at("/data/payload/0")), words(form));
    assert_eq!(listed.at("/data/meta"), &json!({"unread_count": 1, "count": 1, "current_page": 1}));
    let shown = listed.at("/data/payload/0");
    assert_eq!((&shown["id"], &shown["primary_actor"]["id"], &shown["user"]["id"]), (&told_of["id"], &json!(id), &json!(desk.ann.id)));
    assert!(shown["created_at"].is_i64() && shown["read_at"].is_null());
    act(&desk.bob.client, id, "assignments", json!({"assignee_id": desk.bob.id})).await.expect(200);
    of_bob.next_event("assignee.changed", SOON).await;
    of_bob.next_event("assignee.changed", SOON).await;
    assert!(!of_bob.event_names().contains(&"notification.created"), "nobody is told of his own doing, nor of others'");
    assert_eq!((unread(&desk.ann.client).await, unread(&desk.bob.client).await), (json!(1), json!(0)));
}

#[tokio::test]
async fn messages_are_told_to_assignee_and_participants_once_each() {
    let desk = Desk::open().await;
    let id = talk(&desk.admin.client, desk.inbox, "mia").await;
    hear(&desk.admin.client, id, "nobody waits for this").await;
    assert_eq!(count(&desk.daemon, "SELECT COUNT(*) FROM notifications").await, 0);
    act(&desk.ann.client, id, "assignments", json!({"assignee_id": desk.ann.id})).await.expect(200);
    act(&desk.admin.client, id, "participants", json!({"user_ids": [desk.bob.id]})).await.expect(200);
    hear(&desk.admin.client, id, "hello").await;
    assert_eq!(told(&desk.ann).await, [("assigned_conversation_new_message".into(), id)]);
    assert_eq!(told(&desk.bob).await, [("participating_conversation_new_message".into(), id)]);
    hear(&desk.admin.client, id, "hello again").await;
    let latest = list(&desk.ann, "").await;
    assert_eq!(latest.at("/data/payload").as_array().unwrap().len(), 1, "one of each conversation, the latest");
    assert_eq!(latest.at("/data/payload/0/push_message_body"), "hello again");
    assert_eq!(latest.at("/data/payload/0/secondary_actor/content"), "hello again");
    desk.ann.client.post(desk.ann.client.a("/notifications/read_all"), json!({})).await.expect(200);
    say(&desk.ann.client, id, "yes?").await;
    assert_eq!(told(&desk.ann).await, [], "of his own message nobody is told");
    assert_eq!(list(&desk.bob, "").await.at("/data/payload/0/push_message_body"), "yes?");
    assert_eq!(told(&desk.admin).await, []);
}

#[tokio::test]
async fn whoever_is_mentioned_in_a_note_is_told_and_follows() {
    let desk = Desk::open().await;
    let carl = agent(&desk.daemon, "carl").await;
    let team = {
        let client = &desk.admin.client;
        crate::app::execute(
            &desk.daemon,
            "INSERT INTO teams (id, account_id, name, allow_auto_assign, created_at, updated_at) VALUES (7, 1, 'sales', true, '2026-01-01 00:00:00+00:00', '2026-01-01 00:00:00+00:00'); \
             INSERT INTO team_members (team_id, user_id, created_at) SELECT 7, id, '2026-01-01 00:00:00+00:00' FROM users WHERE email = 'bob@example.com'",
            "INSERT INTO teams (id, account_id, name, allow_auto_assign, created_at, updated_at) VALUES (7, 1, 'sales', true, '2026-01-01 00:00:00+00:00', '2026-01-01 00:00:00+00:00')",
        )
        .await;
        crate::app::execute(
            &desk.daemon,
            "SELECT 1",
            "INSERT INTO team_members (team_id, user_id, created_at) SELECT 7, id, '2026-01-01 00:00:00+00:00' FROM users WHERE email = 'bob@example.com'",
        )
        .await;
        // Anything administrative has the daemon read its teams again.
        client.patch(client.a(&format!("/inboxes/{}", desk.inbox)), json!({"name": "App"})).await.expect(200);
        7
    };
    let mut of_ann = desk.listen(&desk.ann).await;
    let id = talk(&desk.admin.client, desk.inbox, "mia").await;
    let note = format!(
        "[@ann](mention://user/{}/ann) [@carl](mention://user/{}/carl) and [@sales](mention://team/{team}/sales)",
        desk.ann.id, carl.id
    );
    desk.note(id, note.clone()).await;
    let mentioned = of_ann.next_event("conversation.mentioned", SOON).await;
    assert_eq!((&mentioned["id"], &mentioned["account_id"]), (&json!(id), &json!(1)));
    of_ann.next_event("notification.created", SOON).await;
    assert_eq!(told(&desk.ann).await, [("conversation_mention".into(), id)]);
    assert_eq!(told(&desk.bob).await, [("conversation_mention".into(), id)], "through the team");
    assert_eq!(told(&carl).await, [], "who may not see the conversation is not told");
    assert_eq!(count(&desk.daemon, "SELECT COUNT(*) FROM mentions").await, 2);
    desk.note(id, note).await;
    assert_eq!(count(&desk.daemon, "SELECT COUNT(*) FROM mentions").await, 2, "mentioned again is mentioned later");
    let client = &desk.admin.client;
    let followers = client.get(client.a(&format!("/conversations/{id}/participants"))).await.expect(200);
    let mut ids: Vec<i64> = followers.body.as_array().unwrap().iter().map(|user| user["id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [desk.ann.id, desk.bob.id]);
    hear(client, id, "hello").await;
    assert_eq!(told(&desk.bob).await, [("participating_conversation_new_message".into(), id)]);
    post(client, id, json!({"content": format!("[@ann](mention://user/{}/ann)", desk.ann.id)})).await.expect(200);
    assert_eq!(count(&desk.daemon, "SELECT COUNT(*) FROM notifications WHERE notification_type = 3").await, 0, "only notes mention");
}

#[tokio::test]
async fn notifications_are_read_put_off_and_removed() {
    let desk = Desk::open().await;
    let client = &desk.ann.client;
    for name in ["a", "b", "c"] {
        let id = talk(&desk.admin.client, desk.inbox, name).await;
        desk.give(id, &desk.ann).await;
    }
    let mut cable = desk.listen(&desk.ann).await;
    let listed = list(&desk.ann, "").await;
    let ids: Vec<i64> = listed.at("/data/payload").as_array().unwrap().iter().map(|told| told["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), 3);
    assert!(ids[0] > ids[1], "the newest first");
    assert_eq!(list(&desk.ann, "?sort_order=asc").await.id("/data/payload/0/id"), ids[2]);
    assert_eq!(list(&desk.ann, "?page=2").await.at("/data/payload"), &json!([]));
    let path = |id: i64, of: &str| client.a(&format!("/notifications/{id}{of}"));
    let read = client.patch(path(ids[0], ""), json!({})).await.expect(200);
    assert!(read.at("/read_at").is_string());
    let event = cable.next_event("notification.updated", SOON).await;
    assert_eq!((&event["notification"]["id"], &event["unread_count"]), (&json!(ids[0]), &json!(2)));
    assert_eq!(told(&desk.ann).await.len(), 2);
    let with_read = list(&desk.ann, "?includes[]=read").await;
    assert_eq!(with_read.at("/data/meta"), &json!({"unread_count": 2, "count": 3, "current_page": 1}));
    assert!(client.post(path(ids[0], "/unread"), json!({})).await.expect(200).at("/read_at").is_null());
    assert_eq!(unread(client).await, json!(3));
    let until = seconds_since_1970() + 3600;
    let snoozed = client.post(path(ids[1], "/snooze"), json!({"snoozed_until": until})).await.expect(200);
    assert!(snoozed.at("/snoozed_until").is_string());
    assert_eq!((unread(client).await, told(&desk.ann).await.len()), (json!(2), 2));
    assert_eq!(list(&desk.ann, "?includes[]=snoozed").await.at("/data/payload").as_array().unwrap().len(), 3);
    client.post(path(ids[1], "/snooze"), json!({"snoozed_until": until - 7200})).await.expect(200);
    assert_eq!(unread(client).await, json!(3), "what was put off until a time that has come is there again");
    assert_names(&client.post(path(ids[1], "/snooze"), json!({"snoozed_until": "soon"})).await, 422, "snoozed_until");
    assert_eq!(client.delete(path(ids[2], "")).await.expect(200).text, "");
    let event = cable.next_event("notification.deleted", SOON).await;
    assert_eq!((&event["notification"], &event["unread_count"]), (&json!({"id": ids[2]}), &json!(2)));
    for stranger in [&desk.bob.client, &desk.admin.client] {
        stranger.patch(path(ids[0], ""), json!({})).await.expect(404);
        stranger.delete(path(ids[0], "")).await.expect(404);
    }
    let about = list(&desk.ann, "").await.at("/data/payload/0/primary_actor_id").clone();
    let of_one = json!({"primary_actor_type": "Conversation", "primary_actor_id": about});
    client.post(client.a("/notifications/read_all"), of_one).await.expect(200);
    assert_eq!(unread(client).await, json!(1));
    client.post(client.a("/notifications/destroy_all"), json!({"type": "read"})).await.expect(200);
    assert_eq!(list(&desk.ann, "?includes[]=read").await.at("/data/meta/count"), &json!(1));
    assert_names(&client.post(client.a("/notifications/destroy_all"), json!({"type": "some"})).await, 422, "type");
    client.post(client.a("/notifications/destroy_all"), json!({"type": "all"})).await.expect(200);
    assert_eq!(count(&desk.daemon, "SELECT COUNT(*) FROM notifications").await, 0);
}

#[tokio::test]
async fn a_conversation_that_was_opened_is_read() {
    let desk = Desk::open().await;
    let id = talk(&desk.admin.client, desk.inbox, "mia").await;
    let other = talk(&desk.admin.client, desk.inbox, "joe").await;
    desk.give(id, &desk.ann).await;
    desk.give(other, &desk.ann).await;
    act(&desk.admin.client, id, "update_last_seen", json!({})).await.expect(200);
    assert_eq!(unread(&desk.ann.client).await, json!(2), "others read for themselves");
    act(&desk.ann.client, id, "update_last_seen", json!({})).await.expect(200);
    assert_eq!(told(&desk.ann).await, [("conversation_assignment".into(), other)]);
}

#[tokio::test]
async fn new_conversations_are_told_to_those_who_ask_for_it() {
    let desk = Desk::open().await;
    let client = &desk.ann.client;
    let path = client.a("/notification_settings");
    let default = client.get(&path).await.expect(200);
    assert_eq!(keys(&default.body), words("id user_id account_id all_email_flags selected_email_flags all_push_flags selected_push_flags"));
    assert_eq!(default.at("/selected_email_flags"), &json!(["email_conversation_assignment"]));
    assert_eq!(default.at("/all_push_flags").as_array().unwrap().len(), 8);
    talk(&desk.admin.client, desk.inbox, "mia").await;
    let flags = json!({"notification_settings": {"selected_push_flags": ["push_conversation_creation", "push_conversation_mention"]}});
    let changed = client.patch(&path, flags).await.expect(200);
    assert_eq!(changed.at("/selected_email_flags"), default.at("/selected_email_flags"), "what was not named stays");
    assert_eq!(client.get(&path).await.expect(200).body, changed.body);
    for (wrong, field) in [
        (json!({"selected_email_flags": ["push_conversation_creation"]}), "selected_email_flags"),
        (json!({"selected_push_flags": ["push_everything"]}), "selected_push_flags"),
    ] {
        assert_names(&client.patch(&path, wrong).await, 422, field);
    }
    let id = talk(&desk.admin.client, desk.inbox, "joe").await;
    assert_eq!(told(&desk.ann).await, [("conversation_creation".into(), id)]);
    assert_eq!(told(&desk.bob).await, []);
    let device = json!({"subscription_type": "fcm", "subscription_attributes": {"device_id": "d1", "push_token": "t1"}});
    let path = "/api/v1/notification_subscriptions";
    let noted = client.post(path, json!({"notification_subscription": device})).await.expect(200);
    assert_eq!((noted.str("/identifier"), noted.id("/user_id")), ("d1", desk.ann.id));
    assert_eq!(desk.bob.client.post(path, device).await.expect(200).id("/id"), noted.id("/id"), "a device is one person's");
    assert_names(&client.post(path, json!({"subscription_type": "pigeon"})).await, 422, "subscription_type");
    assert_names(&client.post(path, json!({"subscription_type": "fcm"})).await, 422, "subscription_attributes");
    client.delete_with(path, json!({"push_token": "t1"})).await.expect(200);
    assert_eq!(count(&desk.daemon, "SELECT COUNT(*) FROM notification_subscriptions").await, 1, "it is not ann's to remove");
    desk.bob.client.delete_with(path, json!({"push_token": "t1"})).await.expect(200);
    assert_eq!(count(&desk.daemon, "SELECT COUNT(*) FROM notification_subscriptions").await, 0);
}

fn seconds_since_1970() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}
