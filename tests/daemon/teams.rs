//! Teams and who belongs to them (contract, section 2, Teams).

use crate::desk::{api_inbox, assert_names, assert_refused, conversation, member};
use crate::harness::{Client, Daemon, SOON};
use serde_json::{Value, json};

#[tokio::test]
async fn a_team_is_made_changed_and_removed() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let made = admin.post(admin.a("/teams"), json!({"team": {"name": " Sales ", "description": "Sells"}})).await.expect(200);
    let id = made.id("/id");
    let expected =
        json!({"id": id, "name": "sales", "description": "Sells", "allow_auto_assign": true, "account_id": 1, "is_member": false});
    assert_eq!(made.body, expected);
    assert_eq!(admin.get(admin.a("/teams")).await.expect(200).body, json!([expected]), "a bare array");
    let path = admin.a(&format!("/teams/{id}"));
    let changed = admin.patch(&path, json!({"allow_auto_assign": "false", "description": null})).await.expect(200).body;
    assert_eq!(
        changed,
        json!({"id": id, "name": "sales", "description": null, "allow_auto_assign": false, "account_id": 1, "is_member": false})
    );
    assert_eq!(admin.get(&path).await.expect(200).body, changed);
    assert_eq!(admin.delete(&path).await.expect(200).text, "");
    assert_refused(&admin.get(&path).await, 404);
    assert_eq!(admin.get(admin.a("/teams")).await.expect(200).body, json!([]));
}

#[tokio::test]
async fn names_are_there_and_unique_in_any_case() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    admin.post(admin.a("/teams"), json!({"name": "Sales"})).await.expect(200);
    let other = admin.post(admin.a("/teams"), json!({"name": "support"})).await.expect(200).id("/id");
    for wrong in [json!({"name": "SALES"}), json!({"name": " "}), json!({}), json!({"name": "x".repeat(256)})] {
        assert_names(&admin.post(admin.a("/teams"), wrong).await, 422, "name");
    }
    assert_names(&admin.put(admin.a(&format!("/teams/{other}")), json!({"name": "sales"})).await, 422, "name");
    assert_eq!(names(&admin).await, ["sales", "support"]);
}

#[tokio::test]
async fn members_are_added_replaced_and_taken_out() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let (one, first) = member(&daemon, "one@example.com", "agent").await;
    let (_, second) = member(&daemon, "two@example.com", "agent").await;
    let team = admin.post(admin.a("/teams"), json!({"name": "sales"})).await.expect(200).id("/id");
    let (path, members) = (admin.a(&format!("/teams/{team}")), admin.a(&format!("/teams/{team}/team_members")));
    assert_eq!(ids(&admin.post(&members, json!({"user_ids": [first]})).await.expect(200).body), [first]);
    assert_eq!(ids(&admin.post(&members, json!({"user_ids": [first, second]})).await.expect(200).body), [second], "the new ones alone");
    assert_eq!(ids(&one.get(&members).await.expect(200).body), [first, second]);
    assert_eq!(one.get(&path).await.expect(200).at("/is_member"), true);
    assert_eq!(admin.get(&path).await.expect(200).at("/is_member"), false);
    let stranger = admin.patch(&members, json!({"user_ids": [second, 999]})).await;
    assert_refused(&stranger, 401);
    assert_eq!(stranger.str("/error"), "Invalid User IDs");
    assert_eq!(ids(&admin.get(&members).await.expect(200).body), [first, second], "all or nothing");
    assert_eq!(ids(&admin.patch(&members, json!({"user_ids": [second]})).await.expect(200).body), [second]);
    assert_eq!(one.get(&path).await.expect(200).at("/is_member"), false);
    assert_eq!(admin.delete_with(&members, json!({"user_ids": [second]})).await.expect(200).text, "");
    assert_eq!(admin.get(&members).await.expect(200).body, json!([]));
}

#[tokio::test]
async fn only_administrators_change_teams() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let (agent, id) = member(&daemon, "agent@example.com", "agent").await;
    let team = admin.post(admin.a("/teams"), json!({"name": "sales"})).await.expect(200).id("/id");
    let (path, members) = (admin.a(&format!("/teams/{team}")), admin.a(&format!("/teams/{team}/team_members")));
    assert_refused(&agent.post(admin.a("/teams"), json!({"name": "mine"})).await, 401);
    assert_refused(&agent.patch(&path, json!({"name": "mine"})).await, 401);
    assert_refused(&agent.delete(&path).await, 401);
    assert_refused(&agent.post(&members, json!({"user_ids": [id]})).await, 401);
    assert_refused(&agent.delete_with(&members, json!({"user_ids": [id]})).await, 401);
    assert_eq!(names(&agent).await, ["sales"]);
    assert_eq!(agent.get(&members).await.expect(200).body, json!([]));
    assert_refused(&admin.patch(admin.a("/teams/999"), json!({"name": "x"})).await, 404);
    assert_refused(&admin.get(admin.a("/teams/999/team_members")).await, 404);
}

#[tokio::test]
async fn conversations_of_a_team_that_is_removed_go_on() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, "App").await;
    let number = conversation(&admin, inbox, "Hello").await;
    let team = admin.post(admin.a("/teams"), json!({"name": "sales"})).await.expect(200).id("/id");
    let other = admin.post(admin.a("/teams"), json!({"name": "support"})).await.expect(200).id("/id");
    let elsewhere = conversation(&admin, inbox, "Hello").await;
    crate::app::act(&admin, number, "assignments", json!({"team_id": team})).await.expect(200);
    crate::app::act(&admin, elsewhere, "assignments", json!({"team_id": other})).await.expect(200);
    let root = crate::app::administrator(&daemon).await;
    let mut cable = daemon.cable().await;
    cable.subscribe_agent(&root.pubsub_token, 1, root.id).await;
    admin.delete(admin.a(&format!("/teams/{team}"))).await.expect(200);
    for name in ["team.changed", "conversation.updated"] {
        let told = cable.next_event(name, SOON).await;
        assert_eq!((&told["id"], &told["meta"]["team"], &told["performer"]["id"]), (&json!(number), &Value::Null, &json!(root.id)));
    }
    assert_eq!(crate::app::show(&admin, elsewhere).await.id("/meta/team/id"), other);
    admin.delete(admin.a(&format!("/teams/{other}"))).await.expect(200);
    assert_eq!(crate::app::count(&daemon, "SELECT count(*) FROM conversations WHERE team_id IS NOT NULL").await, 0);
    crate::app::act(&admin, number, "toggle_status", json!({"status": "resolved"})).await.expect(200);
    assert_eq!(crate::app::count(&daemon, "SELECT count(*) FROM conversations WHERE team_id IS NOT NULL").await, 0);
}

async fn names(client: &Client) -> Vec<String> {
    let teams = client.get(client.a("/teams")).await.expect(200).body;
    teams.as_array().unwrap().iter().map(|team| team["name"].as_str().unwrap().to_owned()).collect()
}

fn ids(agents: &Value) -> Vec<i64> {
    agents.as_array().unwrap().iter().map(|agent| agent["id"].as_i64().unwrap()).collect()
}
