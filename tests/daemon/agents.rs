//! Members of an account: several at once, the last administrator, and what becomes of who has left (contract, section 2, Agents).

use crate::app;
use crate::desk::{assert_names, assert_refused, member};
use crate::harness::{Daemon, SOON};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn several_agents_are_added_at_once_or_none() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    member(&daemon, "old@example.com", "administrator").await;
    let path = admin.a("/agents/bulk_create");
    let emails = async || {
        let agents = admin.get(admin.a("/agents")).await.expect(200).body;
        agents.as_array().unwrap().iter().map(|agent| agent["email"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let before = emails().await;
    for wrong in [json!({}), json!({"emails": []}), json!({"emails": ["new@example.com", "nobody"]})] {
        assert_names(&admin.post(&path, wrong).await, 422, "emails");
    }
    assert_eq!(emails().await, before, "not one of them");
    let added =
        admin.post(&path, json!({"emails": ["A@example.com", "b@example.com", "a@example.com", "old@example.com"]})).await.expect(200);
    assert_eq!(added.text, "");
    assert_eq!(emails().await, [before, vec!["a@example.com".into(), "b@example.com".into()]].concat());
    let agents = admin.get(admin.a("/agents")).await.expect(200);
    let roles: Vec<&Value> = agents.body.as_array().unwrap().iter().map(|agent| &agent["role"]).collect();
    assert_eq!(roles[1..], ["administrator", "agent", "agent"], "who was there keeps his role");
    let (agent, _) = member(&daemon, "agent@example.com", "agent").await;
    assert_refused(&agent.post(&path, json!({"emails": ["c@example.com"]})).await, 401);
}

#[tokio::test]
async fn the_last_administrator_stays_one() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let own = admin.get("/api/v1/profile").await.expect(200).id("/id");
    let path = admin.a(&format!("/agents/{own}"));
    assert_names(&admin.patch(&path, json!({"role": "agent", "availability": "busy"})).await, 422, "role");
    let shown = admin.get(admin.a("/agents")).await.expect(200);
    assert_eq!((shown.str("/0/role"), shown.str("/0/availability_status")), ("administrator", "offline"), "nothing of it is stored");
    let (second, second_id) = member(&daemon, "second@example.com", "administrator").await;
    admin.patch(&path, json!({"role": "agent"})).await.expect(200);
    assert_refused(&second.delete(second.a(&format!("/agents/{second_id}"))).await, 422);
    assert_refused(&admin.patch(&path, json!({"role": "administrator"})).await, 401);
    second.delete(&path).await.expect(200);
    assert_refused(&admin.get(admin.a("")).await, 404);
}

#[tokio::test]
async fn conversations_of_an_agent_who_has_left_are_nobodys() {
    let daemon = Daemon::start().await;
    let admin = app::administrator(&daemon).await;
    let leaver = app::agent(&daemon, "leaver").await;
    let stayer = app::agent(&daemon, "stayer").await;
    let client = &admin.client;
    let inbox = app::api_inbox(client, json!({"enable_auto_assignment": false})).await.id;
    app::join(client, inbox, &[&leaver, &stayer]).await;
    let team = client.post(client.a("/teams"), json!({"name": "sales"})).await.expect(200).id("/id");
    client.post(client.a(&format!("/teams/{team}/team_members")), json!({"user_ids": [leaver.id, stayer.id]})).await.expect(200);
    let mut conversations = Vec::new();
    for (position, owner) in [leaver.id, leaver.id, stayer.id].into_iter().enumerate() {
        let conversation = app::talk(client, inbox, &format!("customer-{position}")).await;
        app::act(client, conversation, "assignments", json!({"assignee_id": owner})).await.expect(200);
        conversations.push(conversation);
    }
    app::act(client, conversations[1], "toggle_status", json!({"status": "resolved"})).await.expect(200);

    client.delete(client.a(&format!("/agents/{}", leaver.id))).await.expect(200);
    assert_eq!(app::assignee(client, conversations[0]).await, None);
    assert_eq!(app::assignee(client, conversations[1]).await, None, "a resolved one as well");
    assert_eq!(app::assignee(client, conversations[2]).await, Some(stayer.id));
    assert!(app::contents(client, conversations[0]).await.iter().any(|said| said.contains("unassigned")), "and says so");
    let members = client.get(client.a(&format!("/teams/{team}/team_members"))).await.expect(200);
    assert_eq!((members.at("/0/id"), members.body.as_array().unwrap().len()), (&json!(stayer.id), 1));
    assert_refused(&leaver.client.get(client.a("/conversations")).await, 404);
}

#[tokio::test]
async fn everybody_hears_what_an_administrator_sets_of_an_agents_presence() {
    let daemon = Daemon::start().await;
    let admin = app::administrator(&daemon).await;
    let agent = app::agent(&daemon, "jo").await;
    let mut cable = daemon.cable().await;
    cable.subscribe_agent(&admin.pubsub_token, 1, admin.id).await;
    let path = admin.client.a(&format!("/agents/{}", agent.id));
    admin.client.patch(&path, json!({"auto_offline": false, "availability": "busy"})).await.expect(200);
    let id = agent.id.to_string();
    cable.next_event_where("presence.update", SOON, |data| data["users"][&id] == "busy").await;
}

#[tokio::test]
async fn the_operator_sets_a_password() {
    let mut daemon = Daemon::start().await;
    let admin = daemon.client();
    admin.post(admin.a("/agents"), json!({"email": "jo@example.com", "role": "agent"})).await.expect(200);
    let sign_in = json!({"email": "jo@example.com", "password": "Operator-pass-1"});
    daemon.visitor().post("/auth/sign_in", sign_in.clone()).await.expect(401);
    daemon.terminate().await;
    let run = async |email: &str, password: &str| {
        daemon.site().run(&["set-password", "--email", email, "--password", password], Duration::from_secs(60)).await
    };
    let unknown = run("nobody@example.com", "Operator-pass-1").await.expect(1);
    assert!(unknown.stderr.contains("there is no user nobody@example.com"), "{}", unknown.stderr);
    run("jo@example.com", "short").await.expect(1);
    run("Jo@Example.com", "Operator-pass-1").await.expect(0);
    daemon.restart().await;
    daemon.visitor().post("/auth/sign_in", sign_in).await.expect(200);
}
