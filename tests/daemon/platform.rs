//! The platform API: programs of the operator that manage accounts, users and bots, and nothing that is not theirs.

use crate::app::{api_inbox, assignee, hear, keys, talk, words};
use crate::desk::assert_names;
use crate::harness::{Client, Daemon, Database};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row, SqliteConnection};
use std::time::Duration;

/// A daemon with two apps, each as a client.
async fn start() -> (Daemon, Client, Client) {
    let mut daemon = Daemon::builder().prepare().await;
    let mut tokens = Vec::new();
    for name in ["Billing", "Other"] {
        let made = daemon.site().run(&["create-platform-app", name], Duration::from_secs(60)).await.expect(0);
        let printed = made.stdout.split("api_access_token:").nth(1).unwrap_or_else(|| panic!("no token in {}", made.stdout));
        tokens.push(printed.split_whitespace().next().unwrap().to_owned());
    }
    daemon.restart().await;
    let client = |token: &str| daemon.visitor().with_token(token);
    let (app, other) = (client(&tokens[0]), client(&tokens[1]));
    (daemon, app, other)
}

fn p(path: &str) -> String {
    format!("/platform/api/v1{path}")
}

/// A user of the app; its id and its own client.
async fn user(daemon: &Daemon, app: &Client, email: &str) -> (i64, Client) {
    let fields = json!({"name": email.split('@').next(), "email": email, "password": "Password1!"});
    let id = app.post(p("/users"), fields).await.expect(200).id("/id");
    let token = app.post(p(&format!("/users/{id}/token")), json!({})).await.expect(200);
    assert_eq!(token.at("/expiry"), &Value::Null);
    assert_eq!(token.str("/user/email"), email);
    (id, daemon.visitor().with_token(token.str("/access_token")))
}

#[tokio::test]
async fn an_app_makes_accounts_and_members_who_work_in_them() {
    let (daemon, app, _) = start().await;
    assert_eq!(app.get(p("/accounts")).await.expect(200).body, json!([]));
    let fields = json!({
        "name": "Acme", "locale": "de", "support_email": "Help@Acme.example", "features": {"macros": true}, "limits": {"agents": 3},
        "custom_attributes": {"plan": "gold"},
    });
    let made = app.post(p("/accounts"), fields).await.expect(200);
    assert_eq!(keys(&made.body), words("id name locale domain support_email features custom_attributes limits status"));
    assert_eq!(made.at("/support_email"), "help@acme.example");
    assert_eq!((made.at("/limits/agents"), made.at("/custom_attributes/plan")), (&json!(3), &json!("gold")));
    let account = made.id("/id");
    let (id, agent) = user(&daemon, &app, "ada@example.com").await;
    let agent = agent.with_account(account);
    agent.get(agent.a("/conversations")).await.expect(404);
    let members = p(&format!("/accounts/{account}/account_users"));
    let row = app.post(&members, json!({"user_id": id, "role": "agent"})).await.expect(200);
    assert_eq!((row.id("/account_id"), row.id("/user_id"), row.str("/role")), (account, id, "agent"));
    agent.get(agent.a("/conversations")).await.expect(200);
    agent.post(agent.a("/inboxes"), json!({"name": "x", "channel": {"type": "api"}})).await.expect(401);
    let again = app.post(&members, json!({"user_id": id, "role": "administrator"})).await.expect(200);
    assert_eq!(again.id("/id"), row.id("/id"), "the same membership with another role");
    agent.post(agent.a("/inboxes"), json!({"name": "x", "channel": {"type": "api"}})).await.expect(200);
    assert_eq!(app.get(&members).await.expect(200).body.as_array().unwrap().len(), 1);
    let path = p(&format!("/accounts/{account}"));
    assert_eq!(app.patch(&path, json!({"status": "suspended"})).await.expect(200).str("/status"), "suspended");
    assert_eq!(agent.get(agent.a("/conversations")).await.expect(401).str("/error"), "Account is suspended");
    app.patch(&path, json!({"status": "active", "name": "Acme 2"})).await.expect(200);
    assert_eq!(app.get(&path).await.expect(200).at("/limits/agents"), &json!(3), "what was not named stays");
    app.delete_with(&members, json!({"user_id": id})).await.expect(200);
    agent.get(agent.a("/conversations")).await.expect(404);
    app.delete_with(&members, json!({"user_id": id})).await.expect(404);
    for (wrong, field) in [
        (json!({}), "name"),
        (json!({"name": " "}), "name"),
        (json!({"name": "x", "status": "gone"}), "status"),
        (json!({"name": "x", "locale": "1"}), "locale"),
        (json!({"name": "x", "support_email": "nonsense"}), "support_email"),
    ] {
        assert_names(&app.post(p("/accounts"), wrong).await, 422, field);
    }
    assert_eq!(app.get(p("/accounts")).await.expect(200).body.as_array().unwrap().len(), 1, "what was refused is not stored");
}

#[tokio::test]
async fn an_app_manages_only_what_it_made() {
    let (daemon, app, other) = start().await;
    let account = app.post(p("/accounts"), json!({"name": "Acme"})).await.expect(200).id("/id");
    let (user_id, user) = user(&daemon, &app, "ada@example.com").await;
    let bot = app.post(p("/agent_bots"), json!({"name": "Robo", "account_id": account})).await.expect(200).id("/id");
    let members = p(&format!("/accounts/{account}/account_users"));
    for path in [
        "/accounts/1".to_owned(),
        format!("/accounts/{account}"),
        format!("/accounts/{account}/account_users"),
        format!("/users/{user_id}"),
        format!("/users/{user_id}/login"),
        format!("/agent_bots/{bot}"),
    ] {
        let refused = other.get(p(&path)).await.expect(401);
        assert_eq!(refused.str("/error"), "Non permissible resource", "{path}");
        for stranger in [&user, &daemon.client(), &daemon.visitor(), &daemon.visitor().with_token("nonsense")] {
            assert_eq!(stranger.get(p(&path)).await.expect(401).str("/error"), "Invalid access_token", "{path}");
        }
    }
    for path in [format!("/accounts/{account}"), format!("/users/{user_id}"), format!("/agent_bots/{bot}")] {
        other.delete(p(&path)).await.expect(401);
        other.patch(p(&path), json!({"name": "mine"})).await.expect(401);
        app.get(p(&path)).await.expect(200);
    }
    other.post(&members, json!({"user_id": user_id, "role": "agent"})).await.expect(401);
    other.post(p("/agent_bots"), json!({"name": "Spy", "account_id": account})).await.expect(401);
    app.post(p("/agent_bots"), json!({"name": "Spy", "account_id": 1})).await.expect(401);
    app.post(&members, json!({"user_id": 1, "role": "agent"})).await.expect(401);
    assert_eq!(other.get(p("/agent_bots")).await.expect(200).body, json!([]));
    app.get(p("/users/999")).await.expect(404);
    app.get("/api/v1/profile").await.expect(401);
}

#[tokio::test]
async fn features_and_limits_of_an_account_count() {
    let (daemon, app, _) = start().await;
    let fields = json!({"name": "Acme", "features": {"help_center": true, "labels": "false"}, "limits": {"agents": 2, "inboxes": 1}});
    let made = app.post(p("/accounts"), fields).await.expect(200);
    let (account, path) = (made.id("/id"), p(&format!("/accounts/{}", made.id("/id"))));
    assert_eq!(made.at("/features"), &json!({"help_center": true, "labels": false}));
    let (id, admin) = user(&daemon, &app, "ada@example.com").await;
    let admin = admin.with_account(account);
    let members = p(&format!("/accounts/{account}/account_users"));
    app.post(&members, json!({"user_id": id, "role": "administrator"})).await.expect(200);
    let shown = admin.get(admin.a("")).await.expect(200);
    assert_eq!(shown.at("/settings"), &json!({}), "what the platform notes is no setting of the account");
    assert_eq!((shown.at("/features/help_center"), shown.at("/features/inbox_management")), (&json!(true), &json!(true)));
    assert!(shown.at("/features").get("labels").is_none(), "{}", shown.text);
    let own = daemon.client();
    assert_eq!(own.get(own.a("")).await.expect(200).at("/features/labels"), true, "another account keeps its own");

    let agent = |name: &str| json!({"email": format!("{name}@example.com"), "role": "agent"});
    admin.post(admin.a("/agents"), agent("bob")).await.expect(200);
    let refused = admin.post(admin.a("/agents"), agent("eve")).await.expect(402);
    assert!(refused.str("/error").contains("2 agents"), "{}", refused.text);
    admin.post(admin.a("/agents/bulk_create"), json!({"emails": ["eve@example.com"]})).await.expect(402);
    let inbox = json!({"name": "App", "channel": {"type": "api"}});
    let first = admin.post(admin.a("/inboxes"), inbox.clone()).await.expect(200).id("/id");
    admin.post(admin.a("/inboxes"), inbox.clone()).await.expect(402);
    admin.delete(admin.a(&format!("/inboxes/{first}"))).await.expect(200);
    admin.post(admin.a("/inboxes"), inbox).await.expect(200);
    let raised = app.patch(&path, json!({"limits": {"agents": 4}, "features": {"labels": true}})).await.expect(200);
    assert_eq!(raised.at("/features"), &json!({"help_center": true, "labels": true}), "what was not named stays");
    admin.post(admin.a("/agents/bulk_create"), json!({"emails": ["eve@example.com", "bob@example.com"]})).await.expect(200);
    for (wrong, field) in [
        (json!({"limits": {"agents": -1}}), "limits"),
        (json!({"limits": {"agents": "many"}}), "limits"),
        (json!({"features": {"labels": "perhaps"}}), "features"),
        (json!({"custom_attributes": {"a": "x".repeat(1500)}}), "custom_attributes"),
    ] {
        assert_names(&app.patch(&path, wrong).await, 422, field);
    }
    assert_names(
        &app.patch(p(&format!("/users/{id}")), json!({"custom_attributes": {"a": 9_999_999_999_i64}})).await,
        422,
        "custom_attributes",
    );
}

#[tokio::test]
async fn who_works_in_an_account_of_the_app_is_its_to_place() {
    let (daemon, app, other) = start().await;
    let account = app.post(p("/accounts"), json!({"name": "Acme"})).await.expect(200).id("/id");
    let (id, admin) = user(&daemon, &app, "ada@example.com").await;
    let members = p(&format!("/accounts/{account}/account_users"));
    app.post(&members, json!({"user_id": id, "role": "administrator"})).await.expect(200);
    let admin = admin.with_account(account);
    let bob = admin.post(admin.a("/agents"), json!({"email": "bob@example.com", "role": "agent"})).await.expect(200).id("/id");
    let changed = app.post(&members, json!({"user_id": bob, "role": "administrator"})).await.expect(200);
    assert_eq!(changed.str("/role"), "administrator");
    let elsewhere = app.post(p("/accounts"), json!({"name": "Second"})).await.expect(200).id("/id");
    app.post(p(&format!("/accounts/{elsewhere}/account_users")), json!({"user_id": bob})).await.expect(200);
    app.get(p(&format!("/users/{bob}"))).await.expect(401);
    app.post(&members, json!({"user_id": 1, "role": "agent"})).await.expect(401);
    let theirs = other.post(p("/accounts"), json!({"name": "Theirs"})).await.expect(200).id("/id");
    other.post(p(&format!("/accounts/{theirs}/account_users")), json!({"user_id": bob})).await.expect(401);
}

#[tokio::test]
async fn users_are_made_once_changed_and_found_by_their_address() {
    let (daemon, app, other) = start().await;
    let (id, own) = user(&daemon, &app, "ada@example.com").await;
    let known = other.post(p("/users"), json!({"name": "Somebody else", "email": "ADA@example.com"})).await.expect(200);
    assert_eq!((known.id("/id"), known.str("/name")), (id, "ada"), "a known address is that user, as it is");
    other.get(p(&format!("/users/{id}"))).await.expect(200);
    let path = p(&format!("/users/{id}"));
    let changed = app.patch(&path, json!({"display_name": "Countess", "custom_attributes": {"n": 1}})).await.expect(200);
    assert_eq!((changed.str("/available_name"), changed.at("/custom_attributes/n")), ("Countess", &json!(1)));
    assert_eq!(own.get("/api/v1/profile").await.expect(200).str("/display_name"), "Countess");
    for (wrong, field) in [
        (json!({"email": "x@example.com"}), "name"),
        (json!({"name": "x"}), "email"),
        (json!({"name": "x", "email": "x"}), "email"),
        (json!({"name": "x", "email": "x@example.com", "password": "short"}), "password"),
    ] {
        assert_names(&app.post(p("/users"), wrong).await, 422, field);
    }
    let admin = daemon.client().get("/api/v1/profile").await.expect(200).str("/email").to_owned();
    assert_names(&app.patch(&path, json!({"email": admin})).await, 422, "email");
}

#[tokio::test]
async fn a_link_signs_in_once() {
    let (daemon, app, _) = start().await;
    let (id, _) = user(&daemon, &app, "ada+b@example.com").await;
    let (other, _) = user(&daemon, &app, "bob@example.com").await;
    let link = async |id: i64| {
        let url = app.get(p(&format!("/users/{id}/login"))).await.expect(200).str("/url").to_owned();
        assert!(url.contains("/app/login?email="), "{url}");
        url.split("sso_auth_token=").nth(1).unwrap().to_owned()
    };
    let url = app.get(p(&format!("/users/{id}/login"))).await.expect(200).str("/url").to_owned();
    assert!(url.contains("email=ada%2Bb%40example.com&"), "{url}");
    let token = link(id).await;
    let sign_in = async |email: &str, token: &str| {
        daemon.visitor().post("/auth/sign_in", json!({"email": email, "password": "", "sso_auth_token": token})).await
    };
    sign_in("bob@example.com", &token).await.expect(401);
    let signed_in = sign_in("ada+b@example.com", &token).await.expect(200);
    assert_eq!(signed_in.id("/data/id"), id);
    assert!(signed_in.header("access-token").is_some());
    sign_in("ada+b@example.com", &token).await.expect(401);
    sign_in("ada+b@example.com", "nonsense").await.expect(401);
    let late = link(other).await;
    crate::app::execute(
        &daemon,
        "UPDATE one_time_tokens SET expires_at = '2020-01-01 00:00:00+00:00'",
        "UPDATE one_time_tokens SET expires_at = '2020-01-01 00:00:00+00:00'",
    )
    .await;
    sign_in("bob@example.com", &late).await.expect(401);
    let right = json!({"email": "bob@example.com", "password": "Password1!", "sso_auth_token": ""});
    daemon.visitor().post("/auth/sign_in", right).await.expect(200);
}

#[tokio::test]
async fn a_removed_account_leaves_nothing_behind() {
    let (daemon, app, _) = start().await;
    let account = app.post(p("/accounts"), json!({"name": "Acme"})).await.expect(200).id("/id");
    let (id, admin) = user(&daemon, &app, "ada@example.com").await;
    let admin = admin.with_account(account);
    let members = p(&format!("/accounts/{account}/account_users"));
    app.post(&members, json!({"user_id": id, "role": "administrator"})).await.expect(200);
    let inbox = api_inbox(&admin, json!({})).await;
    let bot = admin.post(admin.a("/agent_bots"), json!({"name": "Robo"})).await.expect(200);
    let conversation = talk(&admin, inbox.id, "mia").await;
    let file = reqwest::multipart::Part::bytes(b"bytes".to_vec()).file_name("a.txt");
    let form = reqwest::multipart::Form::new().text("content", "see").part("attachments[]", file);
    admin.post_form(admin.a(&format!("/conversations/{conversation}/messages")), form).await.expect(200);
    let note = json!({"content": format!("[@A](mention://user/{id}/A)"), "private": true});
    admin.post(admin.a(&format!("/conversations/{conversation}/messages")), note).await.expect(200);
    assert!(rows_of(&daemon, account).await.iter().any(|(table, _)| table == "messages"));
    app.delete(p(&format!("/accounts/{account}"))).await.expect(200);
    assert_eq!(rows_of(&daemon, account).await, []);
    app.get(p(&format!("/accounts/{account}"))).await.expect(404);
    admin.get(admin.a("/conversations")).await.expect(404);
    daemon.visitor().with_token(bot.str("/access_token")).get(admin.a("/conversations/1")).await.expect(401);
    daemon.visitor().post(format!("/public/api/v1/inboxes/{}/contacts", inbox.identifier), json!({})).await.expect(404);
    let own = daemon.client();
    let inbox = api_inbox(&own, json!({})).await;
    let other = talk(&own, inbox.id, "joe").await;
    hear(&own, other, "still here").await;
    admin.get("/api/v1/profile").await.expect(200);
}

#[tokio::test]
async fn a_removed_user_leaves_its_conversations_to_others() {
    let (daemon, app, _) = start().await;
    let account = app.post(p("/accounts"), json!({"name": "Acme"})).await.expect(200).id("/id");
    let members = p(&format!("/accounts/{account}/account_users"));
    let (ada, admin) = user(&daemon, &app, "ada@example.com").await;
    let (bob, agent) = user(&daemon, &app, "bob@example.com").await;
    let (admin, agent) = (admin.with_account(account), agent.with_account(account));
    for (id, role) in [(ada, "administrator"), (bob, "agent")] {
        app.post(&members, json!({"user_id": id, "role": role})).await.expect(200);
    }
    let inbox = api_inbox(&admin, json!({"enable_auto_assignment": false})).await;
    admin.post(admin.a("/inbox_members"), json!({"inbox_id": inbox.id, "user_ids": [bob]})).await.expect(200);
    let conversation = talk(&admin, inbox.id, "mia").await;
    let said = agent.post(agent.a(&format!("/conversations/{conversation}/messages")), json!({"content": "hi"})).await.expect(200);
    let path = admin.a(&format!("/conversations/{conversation}/assignments"));
    admin.post(path, json!({"assignee_id": bob})).await.expect(200);
    assert_eq!(assignee(&admin, conversation).await, Some(bob));
    app.delete(p(&format!("/users/{bob}"))).await.expect(200);
    assert_eq!(assignee(&admin, conversation).await, None);
    agent.get("/api/v1/profile").await.expect(401);
    app.get(p(&format!("/users/{bob}"))).await.expect(404);
    let stays = admin.get(admin.a(&format!("/conversations/{conversation}/messages"))).await.expect(200);
    assert!(stays.at("/payload").as_array().unwrap().iter().any(|message| message["id"] == said.body["id"]), "what it wrote stays");
    let (again, _) = user(&daemon, &app, "bob@example.com").await;
    assert_ne!(again, bob, "the address is free again");
}

/// How many rows each table has of an account, where it has any: also of tables that were made later than this test.
async fn rows_of(daemon: &Daemon, account: i64) -> Vec<(String, i64)> {
    let mut found = Vec::new();
    match daemon.site().database() {
        Database::Sqlite => {
            let url = format!("sqlite://{}", daemon.site().data_dir().join("konversio.db").display());
            let mut connection = SqliteConnection::connect(&url).await.unwrap();
            let named =
                "SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = 'account_id'";
            for table in connection.fetch_all(named).await.unwrap().iter().map(|row| row.get::<String, _>(0)) {
                let counted = format!("SELECT COUNT(*) FROM {table} WHERE account_id = {account}");
                let rows = connection.fetch_one(AssertSqlSafe(counted)).await.unwrap().get::<i64, _>(0);
                found.extend((rows > 0).then_some((table, rows)));
            }
        }
        Database::Postgres { url, .. } => {
            let mut connection = PgConnection::connect(url).await.unwrap();
            let named =
                "SELECT table_name::text FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'account_id'";
            for table in connection.fetch_all(named).await.unwrap().iter().map(|row| row.get::<String, _>(0)) {
                let counted = format!("SELECT COUNT(*) FROM {table} WHERE account_id = {account}");
                let rows = connection.fetch_one(AssertSqlSafe(counted)).await.unwrap().get::<i64, _>(0);
                found.extend((rows > 0).then_some((table, rows)));
            }
        }
    }
    found
}

#[tokio::test]
async fn what_an_app_does_is_noted_in_the_account_and_in_nobody_s_name() {
    let (daemon, app, _) = start().await;
    let account = app.post(p("/accounts"), json!({"name": "Acme"})).await.expect(200).id("/id");
    let (boss, of_boss) = user(&daemon, &app, "boss@example.com").await;
    let (ada, _) = user(&daemon, &app, "ada@example.com").await;
    let members = p(&format!("/accounts/{account}/account_users"));
    app.post(&members, json!({"user_id": boss, "role": "administrator"})).await.expect(200);
    app.post(&members, json!({"user_id": ada, "role": "agent"})).await.expect(200);
    app.post(&members, json!({"user_id": ada, "role": "agent"})).await.expect(200);
    app.post(&members, json!({"user_id": ada, "role": "administrator"})).await.expect(200);
    app.patch(p(&format!("/accounts/{account}")), json!({"name": "Acme 2"})).await.expect(200);
    app.patch(p(&format!("/users/{ada}")), json!({"name": "Ada L.", "password": "Password2!"})).await.expect(200);
    let bot = app.post(p("/agent_bots"), json!({"name": "Robo", "account_id": account})).await.expect(200).id("/id");
    app.patch(p(&format!("/agent_bots/{bot}")), json!({"name": "Robbie"})).await.expect(200);
    app.delete(p(&format!("/agent_bots/{bot}"))).await.expect(200);
    app.delete(p(&format!("/users/{ada}"))).await.expect(200);
    let of_boss = of_boss.with_account(account);
    let log = of_boss.get(of_boss.a("/audit_logs")).await.expect(200);
    let entries = log.at("/audit_logs").as_array().unwrap();
    let noted: Vec<String> =
        entries.iter().rev().map(|entry| format!("{} {}", entry["action"], entry["auditable_type"]).replace('"', "")).collect();
    let expected = [
        "create Account",
        "create AccountUser",
        "create AccountUser",
        "update AccountUser",
        "update Account",
        "update User",
        "create AgentBot",
        "update AgentBot",
        "destroy AgentBot",
        "destroy AccountUser",
    ];
    assert_eq!(noted, expected);
    let is_nobody = |entry: &Value| entry["user_id"].is_null() && entry["user_type"].is_null() && entry["username"].is_null();
    assert!(entries.iter().all(|entry| is_nobody(entry) && entry["remote_address"] == "127.0.0.1"), "{log:?}");
    let user = entries.iter().find(|entry| entry["auditable_type"] == "User").unwrap();
    assert_eq!(user["audited_changes"], json!({"name": ["ada", "Ada L."], "password": ["********", "********"]}));
}
