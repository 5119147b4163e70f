//! Notifications: who is told of what, over the websocket and in the list, and how they are read, put off and removed.

use crate::app::{Person, act, administrator, agent, api_inbox, count, hear, join, keys, post, say, talk, words};
use crate::desk::assert_names;
use crate::harness::{Answer, Cable, Client, Daemon, SOON, eventually, skipped};
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
async fn what_the_reader_may_not_see_any_more_is_neither_listed_nor_counted() {
    let desk = Desk::open().await;
    let (admin, client) = (&desk.admin.client, &desk.ann.client);
    let other = api_inbox(admin, json!({"enable_auto_assignment": false})).await.id;
    join(admin, other, &[&desk.ann]).await;
    // The newest page is all of an inbox that Ann has left; one of it came to her team.
    let mut kept = Vec::new();
    for number in 0..3 {
        let id = talk(admin, desk.inbox, &format!("kept-{number}")).await;
        desk.give(id, &desk.ann).await;
        kept.push(id);
    }
    let mut lost = Vec::new();
    for number in 0..16 {
        let id = talk(admin, other, &format!("lost-{number}")).await;
        desk.give(id, &desk.ann).await;
        lost.push(id);
    }
    assert_eq!(list(&desk.ann, "").await.at("/data/meta/count"), 19);
    let team = admin.post(admin.a("/teams"), json!({"name": "sales"})).await.expect(200).id("/id");
    admin.post(admin.a(&format!("/teams/{team}/team_members")), json!({"user_ids": [desk.ann.id]})).await.expect(200);
    act(admin, lost[0], "assignments", json!({"team_id": team})).await.expect(200);
    admin.delete_with(admin.a("/inbox_members"), json!({"inbox_id": other, "user_ids": [desk.ann.id]})).await.expect(200);
    let listed = list(&desk.ann, "").await;
    assert_eq!(listed.at("/data/meta"), &json!({"unread_count": 4, "count": 4, "current_page": 1}));
    let shown: Vec<i64> = told(&desk.ann).await.into_iter().map(|(_, id)| id).collect();
    assert_eq!(shown, [lost[0], kept[2], kept[1], kept[0]]);
    assert_eq!(list(&desk.ann, "?page=2").await.at("/data/payload"), &json!([]));
    assert_eq!(unread(client).await, json!(4));
    let mut cable = desk.listen(&desk.ann).await;
    hear(admin, kept[0], "hello").await;
    assert_eq!(cable.next_event("notification.created", SOON).await["unread_count"], 4, "in place of the earlier one");
}

#[tokio::test]
async fn a_long_list_that_is_read_or_removed_at_once_is_told() {
    let desk = Desk::open().await;
    let (admin, client) = (&desk.admin.client, &desk.ann.client);
    for number in 0..17 {
        let id = talk(admin, desk.inbox, &number.to_string()).await;
        desk.give(id, &desk.ann).await;
    }
    let mut cable = desk.listen(&desk.ann).await;
    client.post(client.a("/notifications/read_all"), json!({})).await.expect(200);
    let mut read = Vec::new();
    for _ in 0..17 {
        let event = cable.next_event("notification.updated", SOON).await;
        assert!(event["notification"]["read_at"].is_string() && event["unread_count"] == 0, "{event}");
        read.push(event["notification"]["id"].as_i64().unwrap());
    }
    client.post(client.a("/notifications/destroy_all"), json!({"type": "read"})).await.expect(200);
    let mut removed = Vec::new();
    for _ in 0..17 {
        let event = cable.next_event("notification.deleted", SOON).await;
        removed.push(event["notification"]["id"].as_i64().unwrap());
    }
    read.sort_unstable();
    removed.sort_unstable();
    read.dedup();
    assert_eq!((read.len(), &read), (17, &removed));
}

#[tokio::test]
async fn a_device_is_kept_and_told_that_nothing_is_pushed() {
    let daemon = Daemon::start().await;
    let browser = json!({"subscription_type": "browser_push", "subscription_attributes": {"endpoint": "https://push.example/1"}});
    let noted = daemon.client().post("/api/v1/notification_subscriptions", browser).await.expect(200);
    assert_eq!(noted.str("/identifier"), "https://push.example/1");
    assert!(noted.str("/message").contains("pushes nothing"), "{}", noted.text);
}

/// A relay over which nothing goes out: nobody listens there.
const RELAY: &str = "[mail]\nhost = '127.0.0.1'\nport = 9\nsecurity = 'none'\nfrom = 'Desk <desk@support.test>'\n";

#[tokio::test]
async fn mails_wait_a_moment_one_for_each_conversation_and_go_with_the_notification() {
    let daemon = Daemon::builder().settings(RELAY).start().await;
    let admin = administrator(&daemon).await;
    let ann = agent(&daemon, "ann").await;
    let bob = agent(&daemon, "bob").await;
    let inbox = api_inbox(&admin.client, json!({"enable_auto_assignment": false})).await.id;
    join(&admin.client, inbox, &[&ann, &bob]).await;
    let desk = Desk { daemon, admin, ann, bob, inbox };
    let (admin, client) = (&desk.admin.client, &desk.ann.client);
    let mails = "SELECT COUNT(*) FROM mails";
    let (first, second) = (talk(admin, inbox, "mia").await, talk(admin, inbox, "joe").await);
    desk.give(first, &desk.ann).await;
    desk.give(second, &desk.ann).await;
    assert_eq!(count(&desk.daemon, mails).await, 2, "an assignment is mailed to those who never chose");
    hear(admin, first, "hello").await;
    assert_eq!(count(&desk.daemon, mails).await, 2, "a message is not");
    act(client, first, "update_last_seen", json!({})).await.expect(200);
    assert_eq!(count(&desk.daemon, mails).await, 1, "who has read it needs no mail");
    client.post(client.a("/notifications/destroy_all"), json!({})).await.expect(200);
    assert_eq!(count(&desk.daemon, mails).await, 0);

    let flags = json!({"selected_email_flags": ["email_assigned_conversation_new_message"]});
    client.patch(client.a("/notification_settings"), flags).await.expect(200);
    for content in ["Where is my order?", "Hello?", "Anybody?"] {
        hear(admin, first, content).await;
    }
    desk.give(second, &desk.bob).await;
    desk.give(second, &desk.ann).await;
    assert_eq!(
        count(&desk.daemon, "SELECT COUNT(*) FROM mails WHERE key LIKE 'notification/%'").await,
        2,
        "Ann's burst and Bob's assignment"
    );
    let link = "SELECT COUNT(*) FROM mails WHERE recipient = 'ann@example.com' AND subject = 'A new message in conversation (#1)' \
        AND body NOT LIKE '%order%' AND due_at > created_at";
    assert_eq!(count(&desk.daemon, link).await, 1);
    // One that the relay will never take is in nobody's way.
    const GIVE_UP: &str = "UPDATE mails SET given_up_at = created_at";
    crate::app::execute(&desk.daemon, GIVE_UP, GIVE_UP).await;
    hear(admin, first, "Still there?").await;
    let fresh = "SELECT COUNT(*) FROM mails WHERE given_up_at IS NULL AND recipient = 'ann@example.com'";
    assert_eq!(count(&desk.daemon, fresh).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_arrives_once_its_moment_is_over() {
    let Some(servers) = crate::mail_servers::MailServers::start() else {
        return skipped("mails of notifications", "needs Dovecot, Exim and openssl, and root's rights to start them");
    };
    let relay = format!("[mail]\nhost = '127.0.0.1'\nport = {}\nsecurity = 'none'\nfrom = 'Desk <desk@support.test>'\n", servers.smtp_port);
    let mut daemon = Daemon::builder().settings(&relay).start().await;
    let admin = daemon.client();
    let (_, id) = crate::desk::member(&daemon, "ada@support.test", "agent").await;
    let inbox = api_inbox(&admin, json!({"enable_auto_assignment": false})).await.id;
    admin.post(admin.a("/inbox_members"), json!({"inbox_id": inbox, "user_ids": [id]})).await.expect(200);
    let conversation = talk(&admin, inbox, "mia").await;
    act(&admin, conversation, "assignments", json!({"assignee_id": id})).await.expect(200);
    daemon.kill();
    const AGE: &str = "UPDATE mails SET due_at = created_at";
    crate::app::execute(&daemon, AGE, AGE).await;
    daemon.restart().await;
    let mails = servers.wait_for("ada", |mails| !mails.is_empty());
    let mail = &mails[0].raw;
    assert!(mail.contains("Subject: A conversation (#1) was assigned to you"), "{mail}");
    assert!(mail.contains(&format!("/app/accounts/1/conversations/{conversation}")), "{mail}");
    eventually(SOON, async || (count(&daemon, "SELECT COUNT(*) FROM mails").await == 0).then_some(())).await;
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
