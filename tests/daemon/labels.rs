//! Labels of an account, and what a new title or a removal does to what has them (contract, section 2, Labels).

use crate::app;
use crate::desk::{api_inbox, assert_names, assert_refused, conversation, member};
use crate::harness::{Daemon, Receiver, SOON};
use serde_json::{Value, json};

#[tokio::test]
async fn a_label_is_made_changed_and_removed() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let made = admin.post(admin.a("/labels"), json!({"label": {"title": " VIP ", "color": "#ff0000", "show_on_sidebar": true}})).await;
    let made = made.expect(200);
    let id = made.id("/id");
    assert_eq!(made.body, json!({"id": id, "title": "vip", "description": null, "color": "#ff0000", "show_on_sidebar": true}));
    assert_eq!(admin.get(admin.a("/labels")).await.expect(200).body, json!({"payload": [made.body]}));
    let path = admin.a(&format!("/labels/{id}"));
    let changed = admin.patch(&path, json!({"description": "Important", "show_on_sidebar": false})).await.expect(200).body;
    assert_eq!(changed, json!({"id": id, "title": "vip", "description": "Important", "color": "#ff0000", "show_on_sidebar": false}));
    assert_eq!(admin.get(&path).await.expect(200).body, changed);
    assert_eq!(admin.delete(&path).await.expect(200).text, "");
    assert_refused(&admin.delete(&path).await, 404);
    assert_eq!(admin.get(admin.a("/labels")).await.expect(200).body, json!({"payload": []}));
}

#[tokio::test]
async fn wrong_and_foreign_labels_are_refused() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let id = admin.post(admin.a("/labels"), json!({"title": "vip"})).await.expect(200).id("/id");
    for title in ["", "two words", "Vip", "a,b"] {
        assert_names(&admin.post(admin.a("/labels"), json!({"title": title})).await, 422, "title");
    }
    assert_names(&admin.post(admin.a("/labels"), json!({"title": "ok", "color": "red"})).await, 422, "color");
    let (agent, _) = member(&daemon, "agent@example.com", "agent").await;
    assert_refused(&agent.post(admin.a("/labels"), json!({"title": "mine"})).await, 401);
    assert_refused(&agent.delete(admin.a(&format!("/labels/{id}"))).await, 401);
    assert_eq!(agent.get(admin.a("/labels")).await.expect(200).at("/payload").as_array().unwrap().len(), 1);
    const FOREIGN: &str = "UPDATE labels SET account_id = 2";
    app::execute(&daemon, FOREIGN, FOREIGN).await;
    let path = admin.a(&format!("/labels/{id}"));
    for answer in [admin.get(&path).await, admin.patch(&path, json!({"title": "mine"})).await, admin.delete(&path).await] {
        assert_refused(&answer, 404);
    }
    assert_eq!(admin.get(admin.a("/labels")).await.expect(200).body, json!({"payload": []}));
}

#[tokio::test]
async fn a_new_title_and_a_removal_reach_everything_that_has_the_label() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, "App").await;
    let mut conversations = Vec::new();
    for text in ["one", "two", "three"] {
        conversations.push(conversation(&admin, inbox, text).await);
    }
    let id = admin.post(admin.a("/labels"), json!({"title": "old"})).await.expect(200).id("/id");
    let contact = admin.post(admin.a("/contacts"), json!({"name": "Mia"})).await.expect(200).id("/payload/contact/id");
    let of_contact = admin.a(&format!("/contacts/{contact}/labels"));
    admin.post(&of_contact, json!({"labels": ["old", "kept"]})).await.expect(200);
    // The first has others around it, the second the new title already, the third a word that only begins the same.
    for (number, titles) in conversations.iter().zip([json!(["a", "old", "b"]), json!(["old", "new"]), json!(["older"])]) {
        app::act(&admin, *number, "labels", json!({"labels": titles})).await.expect(200);
    }
    let labels = async || {
        let mut all = Vec::new();
        for number in &conversations {
            all.push(app::show(&admin, *number).await.at("/labels").clone());
        }
        Value::Array(all)
    };
    assert_eq!(labels().await, json!([["a", "old", "b"], ["old", "new"], ["older"]]));

    let root = app::administrator(&daemon).await;
    let mut cable = daemon.cable().await;
    cable.subscribe_agent(&root.pubsub_token, 1, root.id).await;
    let receiver = Receiver::start().await;
    let subscriptions = json!(["conversation_updated", "contact_updated"]);
    admin.post(admin.a("/webhooks"), json!({"url": receiver.url("/hook"), "subscriptions": subscriptions})).await.expect(200);
    let written = app::messages(&admin, conversations[0]).await.len();
    let path = admin.a(&format!("/labels/{id}"));
    assert_eq!(admin.patch(&path, json!({"title": "New"})).await.expect(200).at("/title"), "new");
    assert_eq!(labels().await, json!([["a", "new", "b"], ["new"], ["older"]]));
    for (number, titles) in conversations.iter().zip([json!(["a", "new", "b"]), json!(["new"])]) {
        let told = cable.next_event_where("conversation.updated", SOON, |data| data["id"] == *number).await;
        assert_eq!((&told["labels"], &told["performer"]["id"]), (&titles, &json!(root.id)));
    }
    cable.next_event_where("contact.updated", SOON, |data| data["id"] == contact && data["performer"]["id"] == root.id).await;
    let told = receiver.wait_until(|one| one.json["event"] == "conversation_updated" && one.json["id"] == conversations[0], SOON).await;
    let pair = json!([{"label_list": {"previous_value": ["a", "old", "b"], "current_value": ["a", "new", "b"]}}]);
    assert_eq!(told.json["changed_attributes"], pair);
    let told = receiver.wait_until(|one| one.json["event"] == "contact_updated", SOON).await;
    let pair = json!([{"label_list": {"previous_value": ["kept", "old"], "current_value": ["kept", "new"]}}]);
    assert_eq!((&told.json["id"], &told.json["changed_attributes"]), (&json!(contact), &pair));
    assert_eq!(app::messages(&admin, conversations[0]).await.len(), written, "the thread says nothing of it");
    app::act(&admin, conversations[0], "toggle_status", json!({"status": "resolved"})).await.expect(200);
    assert_eq!(labels().await, json!([["a", "new", "b"], ["new"], ["older"]]));
    assert_eq!(app::count(&daemon, "SELECT count(*) FROM conversation_labels WHERE title = 'new'").await, 2);
    assert_eq!(app::count(&daemon, "SELECT count(*) FROM conversation_labels WHERE title = 'old'").await, 0);
    assert_eq!(admin.get(&of_contact).await.expect(200).at("/payload"), &json!(["kept", "new"]));
    assert_names(&admin.post(admin.a("/labels"), json!({"title": "new"})).await, 422, "title");
    let other = admin.post(admin.a("/labels"), json!({"title": "other"})).await.expect(200).id("/id");
    assert_names(&admin.patch(admin.a(&format!("/labels/{other}")), json!({"title": "new"})).await, 422, "title");

    admin.delete(&path).await.expect(200);
    cable.next_event_where("conversation.updated", SOON, |data| data["labels"] == json!(["a", "b"])).await;
    assert_eq!(labels().await, json!([["a", "b"], [], ["older"]]));
    assert_eq!(app::count(&daemon, "SELECT count(*) FROM conversation_labels").await, 3);
    assert_eq!(admin.get(&of_contact).await.expect(200).at("/payload"), &json!(["kept"]));
}
