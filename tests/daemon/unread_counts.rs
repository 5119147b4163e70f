//! How many conversations have something that nobody has read: counted, and told when it changes.

use crate::app::{Person, act, administrator, agent, api_inbox, hear, join, say, talk};
use crate::harness::{Client, Daemon, SOON};
use serde_json::{Value, json};

async fn counts(client: &Client) -> Value {
    client.get(client.a("/conversations/unread_counts")).await.expect(200).at("/payload").clone()
}

#[tokio::test]
async fn unread_conversations_are_counted_by_inbox_label_and_team() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let ada = agent(&daemon, "ada").await;
    let (shop, office) = (api_inbox(&admin, json!({})).await.id, api_inbox(&admin, json!({})).await.id);
    join(&admin, shop, &[&ada]).await;
    assert_eq!(counts(&admin).await, json!({"all_count": 0, "inboxes": {}, "labels": {}, "teams": {}}));
    let team = admin.post(admin.a("/teams"), json!({"name": "sales"})).await.expect(200).id("/id");
    let label = admin.post(admin.a("/labels"), json!({"title": "vip", "color": "#112233"})).await.expect(200).id("/id");
    let mut ids = Vec::new();
    for (inbox, name) in [(shop, "a"), (shop, "b"), (office, "c"), (office, "d")] {
        let id = talk(&admin, inbox, name).await;
        hear(&admin, id, "hello").await;
        hear(&admin, id, "hello?").await;
        ids.push(id);
    }
    act(&admin, ids[0], "labels", json!({"labels": ["vip", "nobody-offers-this"]})).await.expect(200);
    act(&admin, ids[2], "labels", json!({"labels": ["vip"]})).await.expect(200);
    act(&admin, ids[2], "assignments", json!({"team_id": team})).await.expect(200);
    let key = |id: i64| id.to_string();
    let all = json!({"all_count": 4, "inboxes": {key(shop): 2, key(office): 2}, "labels": {key(label): 2}, "teams": {key(team): 1}});
    assert_eq!(counts(&admin).await, all);
    let seen = json!({"all_count": 2, "inboxes": {key(shop): 2}, "labels": {key(label): 1}, "teams": {}});
    assert_eq!(counts(&ada.client).await, seen, "what an agent may not see is not counted");
    act(&admin, ids[2], "update_last_seen", json!({})).await.expect(200);
    act(&admin, ids[3], "toggle_status", json!({"status": "resolved"})).await.expect(200);
    assert_eq!(counts(&admin).await, json!({"all_count": 2, "inboxes": {key(shop): 2}, "labels": {key(label): 1}, "teams": {}}));
    let account = admin.get(admin.a("")).await.expect(200);
    assert_eq!(account.at("/features/conversation_unread_counts"), &json!(true));
}

#[tokio::test]
async fn agents_are_told_once_that_the_counts_changed() {
    const NAME: &str = "conversation.unread_count_changed";
    let daemon = Daemon::start().await;
    let root: Person = administrator(&daemon).await;
    let admin = &root.client;
    let inbox = api_inbox(admin, json!({})).await.id;
    let id = talk(admin, inbox, "mia").await;
    let mut cable = daemon.cable().await;
    cable.subscribe_agent(&root.pubsub_token, 1, root.id).await;
    for _ in 0..20 {
        hear(admin, id, "hello").await;
    }
    assert_eq!(cable.next_event(NAME, SOON).await, json!({"account_id": 1}));
    act(admin, id, "update_last_seen", json!({})).await.expect(200);
    cable.next_event("conversation.read", SOON).await;
    cable.next_event(NAME, SOON).await;
    let told = cable.event_names().iter().filter(|name| **name == NAME).count();
    assert!(told < 20, "they are told together: {told}");
    // An agent's note changes nothing of it.
    crate::app::post(admin, id, json!({"content": "a note", "private": true})).await.expect(200);
    say(admin, id, "done").await;
    cable.next_event_where("message.created", SOON, |data| data["content"] == "done").await;
}
