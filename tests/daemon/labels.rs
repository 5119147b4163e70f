//! Labels of an account, and what a new title or a removal does to what has them (contract, section 2, Labels).

use crate::app;
use crate::desk::{api_inbox, assert_names, assert_refused, conversation, member};
use crate::harness::Daemon;
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
    // The first has others around it, the second the new title already, the third is another account's word.
    for (sqlite, postgres) in [
        (
            "UPDATE conversations SET labels = '[\"a\",\"old\",\"b\"]' WHERE display_id = 1",
            "UPDATE conversations SET labels = '[\"a\",\"old\",\"b\"]'::jsonb WHERE display_id = 1",
        ),
        (
            "UPDATE conversations SET labels = '[\"old\",\"new\"]' WHERE display_id = 2",
            "UPDATE conversations SET labels = '[\"old\",\"new\"]'::jsonb WHERE display_id = 2",
        ),
        (
            "UPDATE conversations SET labels = '[\"older\"]' WHERE display_id = 3",
            "UPDATE conversations SET labels = '[\"older\"]'::jsonb WHERE display_id = 3",
        ),
        (MARK, MARK),
        (MARK_CONTACTS, MARK_CONTACTS),
    ] {
        app::execute(&daemon, sqlite, postgres).await;
    }
    let labels = async || {
        let mut all = Vec::new();
        for number in &conversations {
            all.push(app::show(&admin, *number).await.at("/labels").clone());
        }
        Value::Array(all)
    };
    // Its actor has kept the conversation without labels since before: what it writes takes none away.
    app::act(&admin, conversations[0], "toggle_status", json!({"status": "resolved"})).await.expect(200);
    assert_eq!(labels().await, json!([["a", "old", "b"], ["old", "new"], ["older"]]));

    let path = admin.a(&format!("/labels/{id}"));
    assert_eq!(admin.patch(&path, json!({"title": "New"})).await.expect(200).at("/title"), "new");
    assert_eq!(labels().await, json!([["a", "new", "b"], ["new"], ["older"]]));
    app::act(&admin, conversations[0], "toggle_status", json!({"status": "open"})).await.expect(200);
    assert_eq!(labels().await, json!([["a", "new", "b"], ["new"], ["older"]]));
    assert_eq!(app::count(&daemon, "SELECT count(*) FROM conversation_labels WHERE title = 'new'").await, 2);
    assert_eq!(app::count(&daemon, "SELECT count(*) FROM conversation_labels WHERE title = 'old'").await, 0);
    assert_eq!(app::count(&daemon, "SELECT count(*) FROM contact_labels WHERE title = 'new'").await, 1);

    admin.delete(&path).await.expect(200);
    assert_eq!(labels().await, json!([["a", "b"], [], ["older"]]));
    assert_eq!(app::count(&daemon, "SELECT count(*) FROM conversation_labels").await, 3);
    assert_eq!(app::count(&daemon, "SELECT count(*) FROM contact_labels").await, 0);
}

const MARK: &str = "INSERT INTO conversation_labels (account_id, title, conversation_id) \
     VALUES (1, 'a', 1), (1, 'old', 1), (1, 'b', 1), (1, 'old', 2), (1, 'new', 2), (1, 'older', 3)";
const MARK_CONTACTS: &str = "INSERT INTO contact_labels (account_id, title, contact_id) VALUES (1, 'old', 1)";
