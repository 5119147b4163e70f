//! The account's settings and the keys of the lists that dashboards keep (contract, section 2, Account).

use crate::app;
use crate::desk::{api_inbox, assert_names, assert_refused, member};
use crate::harness::{Daemon, Receiver, Reply, SOON};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

#[tokio::test]
async fn settings_are_changed_one_by_one_and_removed_with_null() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let update = json!({
        "name": " Shop ", "locale": "pt_BR", "domain": "shop.example", "support_email": "Help@Shop.example", "auto_resolve_after": 1440,
        "auto_resolve_message": "Bye", "auto_resolve_ignore_waiting": true, "auto_resolve_label": "silent", "timezone": "Europe/Berlin",
        "industry": "retail",
    });
    let changed = admin.patch(admin.a(""), update).await.expect(200);
    let shown = ["/name", "/locale", "/domain", "/support_email"].map(|pointer| changed.str(pointer));
    assert_eq!(shown, ["Shop", "pt_BR", "shop.example", "help@shop.example"]);
    let settings = json!({
        "auto_resolve_after": 1440, "auto_resolve_message": "Bye", "auto_resolve_ignore_waiting": true, "auto_resolve_label": "silent",
    });
    assert_eq!(changed.at("/settings"), &settings);
    assert_eq!(changed.at("/custom_attributes"), &json!({"timezone": "Europe/Berlin", "industry": "retail"}));
    assert_eq!(changed.at("/status"), "active");

    let fewer = admin.put(admin.a(""), json!({"auto_resolve_after": null, "industry": "", "domain": null})).await.expect(200);
    assert!(fewer.at("/settings").get("auto_resolve_after").is_none());
    assert_eq!((fewer.str("/settings/auto_resolve_message"), fewer.str("/name")), ("Bye", "Shop"));
    assert_eq!((fewer.at("/custom_attributes"), fewer.at("/domain")), (&json!({"timezone": "Europe/Berlin"}), &Value::Null));
    assert_eq!(admin.get(admin.a("/")).await.expect(200).body, fewer.body, "with a slash at its end as well");
}

#[tokio::test]
async fn wrong_settings_are_named_and_nothing_is_stored() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let before = admin.get(admin.a("")).await.expect(200).body;
    for (field, value) in [
        ("name", json!("  ")),
        ("locale", json!("english please")),
        ("support_email", json!("nobody")),
        ("auto_resolve_after", json!(9)),
        ("auto_resolve_after", json!(1_438_561)),
        ("auto_resolve_after", json!("soon")),
        ("auto_resolve_message", json!("x".repeat(10_001))),
        ("timezone", json!("Europe/Atlantis")),
    ] {
        let mut update = json!({"industry": "retail"});
        update[field] = value;
        assert_names(&admin.patch(admin.a(""), update).await, 422, field);
    }
    let (agent, _) = member(&daemon, "agent@example.com", "agent").await;
    assert_refused(&agent.patch(agent.a(""), json!({"name": "Mine"})).await, 401);
    assert_eq!(admin.get(admin.a("")).await.expect(200).body, before);
    assert_refused(&admin.get(admin.with_account(2).a("")).await, 404);
}

#[tokio::test]
async fn cache_keys_change_with_their_list_alone_and_everybody_is_told() {
    let daemon = Daemon::start().await;
    let admin = app::administrator(&daemon).await;
    let client = &admin.client;
    let keys = async || client.get(client.a("/cache_keys")).await.expect(200).at("/cache_keys").clone();
    let first = keys().await;
    assert_eq!(app::keys(&first), ["inbox", "label", "team"]);
    assert_eq!(keys().await, first, "nothing has changed");
    assert_eq!(client.get(client.a("")).await.expect(200).at("/cache_keys"), &first);
    let mut cable = daemon.cable().await;
    cable.subscribe_agent(&admin.pubsub_token, 1, admin.id).await;

    let label = client.post(client.a("/labels"), json!({"title": "vip"})).await.expect(200).id("/id");
    let told = cable.next_event("account.cache_invalidated", SOON).await;
    assert_eq!((&told["account_id"], &told["cache_keys"]), (&json!(1), &keys().await));
    let second = keys().await;
    assert!(second["label"] != first["label"] && second["inbox"] == first["inbox"] && second["team"] == first["team"], "{first} {second}");

    client.post(client.a("/teams"), json!({"name": "sales"})).await.expect(200);
    assert_eq!(cable.next_event("account.cache_invalidated", SOON).await["cache_keys"], keys().await);
    let third = keys().await;
    assert!(third["team"] != second["team"] && third["label"] == second["label"], "{second} {third}");

    api_inbox(client, "App").await;
    assert_eq!(cable.next_event("account.cache_invalidated", SOON).await["cache_keys"], keys().await);
    let fourth = keys().await;
    assert!(fourth["inbox"] != third["inbox"] && fourth["team"] == third["team"], "{third} {fourth}");

    client.delete(client.a(&format!("/labels/{label}"))).await.expect(200);
    let fifth = keys().await;
    assert!(fifth["label"] != fourth["label"] && fifth["inbox"] == fourth["inbox"], "{fourth} {fifth}");
}

#[tokio::test]
async fn the_account_that_was_worked_in_last_is_noted() {
    let daemon = Daemon::start().await;
    let (agent, _) = member(&daemon, "agent@example.com", "agent").await;
    assert_eq!(agent.get("/api/v1/profile").await.expect(200).at("/accounts/0/active_at"), &Value::Null);
    let noted = agent.post(agent.a("/update_active_at"), json!({})).await.expect(200);
    assert_eq!(noted.text, "");
    assert!(agent.get("/api/v1/profile").await.expect(200).str("/accounts/0/active_at").ends_with('Z'));
}

#[tokio::test]
async fn an_upload_is_served_under_its_address() {
    let daemon = Daemon::start().await;
    let (agent, _) = member(&daemon, "agent@example.com", "agent").await;
    let form = Form::new().part("attachment", Part::bytes(b"hello".to_vec()).file_name("note.txt"));
    let stored = agent.post_form(agent.a("/upload"), form).await.expect(200);
    assert!(stored.id("/blob_id") > 0);
    assert_eq!(daemon.visitor().get(stored.str("/file_url")).await.expect(200).text, "hello");
    assert_names(&agent.post(agent.a("/upload"), json!({})).await, 422, "attachment");
}

#[tokio::test]
async fn a_file_elsewhere_is_fetched_if_it_may_be() {
    let daemon = Daemon::builder().env("KONVERSIO__FILES__MAX_BYTES", "1000").start().await;
    let (agent, _) = member(&daemon, "agent@example.com", "agent").await;
    let site = Receiver::start().await;
    site.answer_with(|received| match received.path.split('?').next().unwrap() {
        "/pictures/a.txt" => Reply::status(200).header("content-type", "text/plain").body("far away"),
        "/large" => Reply::status(200).body(vec![b'x'; 1001]),
        "/moved" => Reply::status(302).header("location", "/pictures/a.txt"),
        "/hung" => Reply::drop_connection(),
        _ => Reply::status(404),
    });
    let ask = async |url: &str| agent.post(agent.a("/upload"), json!({"external_url": url})).await;
    let stored = ask(&site.url("/pictures/a.txt?size=1")).await.expect(200);
    assert!(stored.id("/blob_id") > 0 && stored.str("/file_url").ends_with("/a.txt"), "{}", stored.text);
    assert_eq!(daemon.visitor().get(stored.str("/file_url")).await.expect(200).text, "far away");
    for refused in [&site.url("/large"), &site.url("/moved"), &site.url("/hung"), &site.url("/gone"), "http://169.254.169.254/", "nowhere"]
    {
        assert_names(&ask(refused).await, 422, "external_url");
    }
    assert_eq!(crate::app::count(&daemon, "SELECT COUNT(*) FROM blobs").await, 1);
}
