//! The audit log: every change of the administration and every sign-in, with who, what and from where, and never a secret.

use crate::desk::{PASSWORD, assert_refused, member};
use crate::harness::{Client, Daemon, Receiver, SOON, Site};
use serde_json::{Value, json};

#[tokio::test]
async fn a_change_is_noted_with_what_was_and_what_is() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let id = admin.post(admin.a("/teams"), json!({"name": "sales"})).await.expect(200).id("/id");
    admin.patch(admin.a(&format!("/teams/{id}")), json!({"name": "support"})).await.expect(200);
    admin.delete(admin.a(&format!("/teams/{id}"))).await.expect(200);
    let log = admin.get(admin.a("/audit_logs")).await.expect(200);
    assert_eq!((log.id("/per_page"), log.id("/total_entries"), log.id("/current_page")), (25, 3, 1));
    let entries = log.at("/audit_logs").as_array().unwrap();
    let actions: Vec<&Value> = entries.iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["destroy", "update", "create"], "newest first");
    let update = &entries[1];
    let own = admin.get("/api/v1/profile").await.expect(200).id("/id");
    let expected = json!({
        "id": update["id"], "auditable_id": id, "auditable_type": "Team", "auditable": null, "associated_id": 1, "associated_type": "Account",
        "user_id": own, "user_type": "User", "username": Site::ADMIN_EMAIL, "action": "update",
        "audited_changes": {"name": ["sales", "support"]}, "version": 1, "comment": null, "request_uuid": null,
        "created_at": update["created_at"], "remote_address": "127.0.0.1",
    });
    assert_eq!(update, &expected);
    assert!(update["created_at"].is_i64());
    assert_eq!((&entries[2]["audited_changes"]["name"], &entries[0]["audited_changes"]["name"]), (&json!("sales"), &json!("support")));
}

#[tokio::test]
async fn every_administrative_change_is_noted() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let (_, agent) = member(&daemon, "agent@example.com", "agent").await;
    let made = async |path: &str, fields: Value| admin.post(admin.a(path), fields).await.expect(200);
    let inbox = made("/inboxes", json!({"name": "App", "channel": {"type": "api"}})).await.id("/id");
    let members = json!({"inbox_id": inbox, "user_ids": [agent]});
    let hook = made("/webhooks", json!({"url": "http://127.0.0.1:19999/hook", "subscriptions": ["message_created"]}))
        .await
        .id("/payload/webhook/id");
    let label = made("/labels", json!({"title": "vip"})).await.id("/id");
    let team = made("/teams", json!({"name": "sales"})).await.id("/id");
    let canned = made("/canned_responses", json!({"short_code": "hi", "content": "Hello"})).await.id("/id");
    let attribute = made("/custom_attribute_definitions", json!({"attribute_display_name": "A", "attribute_key": "a"})).await.id("/id");
    let app = made("/dashboard_apps", json!({"title": "A", "content": [{"type": "frame", "url": "https://a.b/"}]})).await.id("/id");
    made("/inbox_members", members.clone()).await;
    made(&format!("/teams/{team}/team_members"), json!({"user_ids": [agent]})).await;
    admin.patch(admin.a(""), json!({"name": "Shop"})).await.expect(200);
    admin.patch(admin.a(&format!("/agents/{agent}")), json!({"role": "administrator"})).await.expect(200);
    made(&format!("/inboxes/{inbox}/reset_secret"), json!({})).await;
    let resources = [
        ("DashboardApp", format!("/dashboard_apps/{app}"), json!({"title": "B"})),
        ("CustomAttributeDefinition", format!("/custom_attribute_definitions/{attribute}"), json!({"attribute_display_name": "B"})),
        ("CannedResponse", format!("/canned_responses/{canned}"), json!({"content": "Hi"})),
        ("Team", format!("/teams/{team}"), json!({"name": "support"})),
        ("Label", format!("/labels/{label}"), json!({"title": "very-important"})),
        ("Webhook", format!("/webhooks/{hook}"), json!({"name": "Mine"})),
        ("Inbox", format!("/inboxes/{inbox}"), json!({"name": "Shop"})),
    ];
    let mut expected = Vec::new();
    for (kind, path, change) in &resources {
        admin.patch(admin.a(path), change.clone()).await.expect(200);
        expected.push(format!("update {kind}"));
        let removed = admin.delete(admin.a(path)).await;
        assert!(removed.status == 200 || removed.status == 204, "{}", removed.text);
        expected.push(format!("destroy {kind}"));
    }
    admin.delete(admin.a(&format!("/agents/{agent}"))).await.expect(200);
    expected.push("destroy AccountUser".into());
    let noted: Vec<String> =
        entries(&admin).await.iter().map(|entry| format!("{} {}", entry["action"], entry["auditable_type"]).replace('"', "")).collect();
    let noted: Vec<&str> = noted.iter().rev().map(String::as_str).collect();
    let before = [
        "create AccountUser",
        "sign_in User",
        "create Inbox",
        "create Webhook",
        "create Label",
        "create Team",
        "create CannedResponse",
        "create CustomAttributeDefinition",
        "create DashboardApp",
        "update Inbox",
        "update Team",
        "update Account",
        "update AccountUser",
        "update Inbox",
    ];
    assert_eq!(noted[..before.len()], before);
    assert_eq!(noted[before.len()..], expected);
}

#[tokio::test]
async fn what_agents_bots_and_contacts_are_subject_to_is_noted_as_well() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let (agent, agent_id) = member(&daemon, "agent@example.com", "agent").await;
    let made = async |path: &str, fields: Value| admin.post(admin.a(path), fields).await.expect(200);
    let inbox = made("/inboxes", json!({"name": "App", "channel": {"type": "api"}})).await.id("/id");
    let before = entries(&admin).await.len();
    let mut expected: Vec<(&str, Value)> = Vec::new();

    let actions = json!([{"action_name": "resolve_conversation", "action_params": []}]);
    let own = agent.post(agent.a("/macros"), json!({"name": "Close", "actions": actions})).await.expect(200).id("/payload/id");
    agent.patch(agent.a(&format!("/macros/{own}")), json!({"name": "Done"})).await.expect(200);
    agent.delete(agent.a(&format!("/macros/{own}"))).await.expect(200);
    let (mine, theirs) = (json!(admin.get("/api/v1/profile").await.expect(200).id("/id")), json!(agent_id));
    expected.extend([("create Macro", theirs.clone()), ("update Macro", theirs.clone()), ("destroy Macro", theirs.clone())]);

    let filter = json!({"name": "Mine", "filter_type": "report", "query": {"a": 1}});
    let filter = agent.post(agent.a("/custom_filters"), filter).await.expect(200).id("/id");
    agent.patch(agent.a(&format!("/custom_filters/{filter}")), json!({"name": "Yours"})).await.expect(200);
    agent.delete(agent.a(&format!("/custom_filters/{filter}"))).await.expect(204);
    let flags = json!({"selected_email_flags": ["email_conversation_mention"]});
    agent.patch(agent.a("/notification_settings"), flags.clone()).await.expect(200);
    agent.patch(agent.a("/notification_settings"), flags).await.expect(200);
    for what in ["create CustomFilter", "update CustomFilter", "destroy CustomFilter", "update NotificationSetting"] {
        expected.push((what, theirs.clone()));
    }

    let bot = made("/agent_bots", json!({"name": "Robo"})).await.id("/id");
    admin.patch(admin.a(&format!("/agent_bots/{bot}")), json!({"description": "answers"})).await.expect(200);
    admin.patch(admin.a(&format!("/agent_bots/{bot}")), json!({"description": "answers"})).await.expect(200);
    made(&format!("/agent_bots/{bot}/reset_access_token"), json!({})).await;
    made(&format!("/agent_bots/{bot}/reset_secret"), json!({})).await;
    made(&format!("/inboxes/{inbox}/set_agent_bot"), json!({"agent_bot": bot})).await;
    made(&format!("/inboxes/{inbox}/set_agent_bot"), json!({"agent_bot": bot})).await;
    admin.delete(admin.a(&format!("/agent_bots/{bot}"))).await.expect(200);
    for what in ["create AgentBot", "update AgentBot", "update AgentBot", "update AgentBot", "update Inbox", "destroy AgentBot"] {
        expected.push((what, mine.clone()));
    }

    admin.patch(admin.a(&format!("/agents/{agent_id}")), json!({"name": "Grace"})).await.expect(200);
    admin.patch(admin.a(&format!("/agents/{agent_id}")), json!({"name": "Grace", "role": "agent"})).await.expect(200);
    expected.push(("update User", mine.clone()));

    let mut contacts = Vec::new();
    for name in ["a", "b", "c", "d"] {
        contacts.push(made("/contacts", json!({"name": name, "email": format!("{name}@private.example")})).await.id("/payload/contact/id"));
    }
    admin.delete(admin.a(&format!("/contacts/{}", contacts[0]))).await.expect(200);
    made("/bulk_actions", json!({"type": "Contact", "action_name": "delete", "ids": [contacts[1]]})).await;
    made("/actions/contact_merge", json!({"base_contact_id": contacts[2], "mergee_contact_id": contacts[3]})).await;
    expected.extend(["destroy Contact"; 3].map(|what| (what, mine.clone())));
    made("/contacts/export", json!({})).await;
    let part = reqwest::multipart::Part::bytes(b"email\nnew@private.example\n".to_vec()).file_name("a.csv").mime_str("text/csv").unwrap();
    let form = reqwest::multipart::Form::new().part("import_file", part);
    admin.post_form(admin.a("/contacts/import"), form).await.expect(200);
    expected.extend([("create DataExport", mine.clone()), ("create DataImport", mine.clone())]);

    let receiver = Receiver::start().await;
    let hook =
        made("/webhooks", json!({"url": receiver.url("/hook"), "subscriptions": ["contact_created"]})).await.id("/payload/webhook/id");
    made("/contacts", json!({"name": "e"})).await;
    receiver.wait_for(1, SOON).await;
    let delivery = admin.get(admin.a(&format!("/webhooks/{hook}/deliveries"))).await.expect(200).id("/payload/0/id");
    made(&format!("/deliveries/{delivery}/retry"), json!({})).await;
    expected.extend([("create Webhook", mine.clone()), ("update Delivery", mine)]);

    let mut noted = entries(&admin).await;
    assert!(!noted.iter().any(|entry| entry.to_string().contains("private.example")), "whoever goes is not kept here");
    let renamed = noted.iter().find(|entry| entry["auditable_type"] == "User" && entry["action"] == "update").unwrap();
    assert_eq!(renamed["audited_changes"], json!({"name": ["agent", "Grace"]}));
    let tokens = noted.iter().find(|entry| entry["audited_changes"].get("access_token").is_some()).unwrap();
    assert_eq!(tokens["audited_changes"], json!({"access_token": ["********", "********"]}));
    noted.truncate(noted.len() - before);
    noted.reverse();
    let named = |entry: &Value| (format!("{} {}", entry["action"], entry["auditable_type"]).replace('"', ""), entry["user_id"].clone());
    let noted: Vec<(String, Value)> = noted.iter().map(named).collect();
    let expected: Vec<(String, Value)> = expected.into_iter().map(|(what, who)| (what.to_owned(), who)).collect();
    assert_eq!(noted, expected);
}

#[tokio::test]
async fn no_secret_is_in_the_log() {
    const SECRET: &str = "Never-to-be-seen-1";
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let fields = json!({"name": "Jo", "email": "jo@example.com", "role": "agent", "password": SECRET});
    admin.post(admin.a("/agents"), fields).await.expect(200);
    let channel = json!({"type": "email", "email": "support@shop.example", "imap_enabled": false, "smtp_password": SECRET, "smtp_address": "smtp.shop.example"});
    let inbox = admin.post(admin.a("/inboxes"), json!({"name": "Mail", "channel": channel})).await.expect(200).id("/id");
    let path = admin.a(&format!("/inboxes/{inbox}"));
    admin.patch(&path, json!({"channel": {"smtp_password": format!("{SECRET}2"), "smtp_port": 2525}})).await.expect(200);
    let log = admin.get(admin.a("/audit_logs")).await.expect(200);
    assert!(!log.text.contains(SECRET), "{}", log.text);
    let settings = log.at("/audit_logs/0/audited_changes/channel_settings");
    assert_eq!((&settings[1]["smtp_port"], &settings[1]["smtp_password"]), (&json!(2525), &json!("********")), "{settings}");
    let created = log.at("/audit_logs/1/audited_changes");
    for name in ["secret_sealed", "hmac_token_sealed"] {
        assert_eq!(created[name], "********", "{created}");
    }
}

#[tokio::test]
async fn signing_in_and_out_is_noted_and_a_wrong_password_is_not_a_sign_in() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let (agent, id) = member(&daemon, "agent@example.com", "agent").await;
    let visitor = daemon.visitor();
    visitor.post("/auth/sign_in", json!({"email": "agent@example.com", "password": "wrong"})).await.expect(401);
    let session = visitor.post("/auth/sign_in", json!({"email": "agent@example.com", "password": PASSWORD})).await.expect(200);
    let headers = ["access-token", "client", "uid"].map(|name| (name, session.header(name).unwrap().to_owned()));
    let request = visitor.request(reqwest::Method::DELETE, "/auth/sign_out");
    visitor.answer(headers.into_iter().fold(request, |request, (name, value)| request.header(name, value))).await.expect(200);
    let noted = entries(&admin).await;
    let actions: Vec<(&Value, &Value)> = noted.iter().map(|entry| (&entry["action"], &entry["user_id"])).take(3).collect();
    let (sign_in, sign_out, who) = (json!("sign_in"), json!("sign_out"), json!(id));
    assert_eq!(actions, [(&sign_out, &who), (&sign_in, &who), (&sign_in, &who)]);
    assert_refused(&agent.get(agent.a("/audit_logs")).await, 401);
}

#[tokio::test]
async fn what_users_change_of_their_own_access_is_noted() {
    const NEW: &str = "Another-pass-2";
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let (agent, id) = member(&daemon, "agent@example.com", "agent").await;
    agent.patch("/api/v1/profile", json!({"name": "Jo"})).await.expect(200);
    agent.patch("/api/v1/profile", json!({"email": "jo@example.com"})).await.expect(200);
    agent.patch("/api/v1/profile", json!({"current_password": PASSWORD, "password": NEW})).await.expect(200);
    daemon.visitor().post("/auth/sign_in", json!({"email": "jo@example.com", "password": NEW})).await.expect(200);
    let session = agent.get("/api/v1/profile/sessions").await.expect(200).id("/0/id");
    agent.delete(format!("/api/v1/profile/sessions/{session}")).await.expect(200);
    agent.post("/api/v1/profile/reset_access_token", json!({})).await.expect(200);
    let noted = entries(&admin).await;
    let shown: Vec<(&Value, &Value)> = noted.iter().map(|entry| (&entry["action"], &entry["audited_changes"])).take(5).collect();
    let blank = json!(["********", "********"]);
    assert_eq!(shown[0], (&json!("update"), &json!({"access_token": blank})));
    assert_eq!(shown[1], (&json!("sign_out"), &json!({})));
    assert_eq!(shown[2], (&json!("sign_in"), &json!({})));
    assert_eq!(shown[3], (&json!("update"), &json!({"password": blank})));
    assert_eq!(shown[4], (&json!("update"), &json!({"email": ["agent@example.com", "jo@example.com"]})));
    assert!(noted.iter().take(5).all(|entry| entry["user_id"] == id && entry["auditable_type"] == "User"), "a name is no access");
}

#[tokio::test]
async fn pages_are_of_25_and_end_in_an_empty_one() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    for position in 0..26 {
        admin.post(admin.a("/labels"), json!({"title": format!("label-{position}")})).await.expect(200);
    }
    let page = async |number: u64| {
        let page = admin.get(admin.a(&format!("/audit_logs?page={number}"))).await.expect(200);
        let titles = page.at("/audit_logs").as_array().unwrap().iter().map(|entry| entry["audited_changes"]["title"].clone());
        (page.id("/total_entries"), page.id("/current_page"), titles.collect::<Vec<_>>())
    };
    let (total, current, first) = page(1).await;
    assert_eq!((total, current, first.len(), &first[0]), (26, 1, 25, &json!("label-25")));
    assert_eq!(page(2).await, (26, 2, vec![json!("label-0")]));
    assert_eq!(page(3).await, (26, 3, Vec::new()));
    assert!(page(9_000_000_000_000_000_000).await.2.is_empty());
}

async fn entries(admin: &Client) -> Vec<Value> {
    let mut entries = Vec::new();
    for page in 1.. {
        let found = admin.get(admin.a(&format!("/audit_logs?page={page}"))).await.expect(200);
        let found = found.at("/audit_logs").as_array().unwrap().clone();
        if found.is_empty() {
            break;
        }
        entries.extend(found);
    }
    entries
}
