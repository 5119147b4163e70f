//! What an operator and a developer look at: probes, metrics, the description of the API, and the log.

use crate::desk::{PASSWORD, api_inbox, conversation, member};
use crate::harness::{Daemon, SOON, Site, eventually};
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[tokio::test]
async fn probes_and_metrics_need_no_token() {
    let daemon = Daemon::start().await;
    let visitor = daemon.visitor();
    assert_eq!(visitor.get("/health").await.expect(200).body, json!({"status": "woot"}));
    assert_eq!(visitor.get("/ready").await.expect(200).body, json!({"status": "ready"}));
    let version = visitor.get("/api").await.expect(200);
    assert_eq!((version.str("/queue_services"), version.str("/data_services")), ("ok", "ok"));
    assert!(version.str("/version").split('.').count() == 3, "{}", version.text);
    let time = version.str("/timestamp");
    assert!(time.len() == 19 && time.as_bytes()[10] == b' ' && time.as_bytes()[4] == b'-', "{time}");

    let admin = daemon.client();
    let inbox = api_inbox(&admin, "Shop").await;
    conversation(&admin, inbox, "hello").await;
    admin.get(admin.a("/conversations/9999")).await.expect(404);
    let metrics = visitor.get("/metrics").await.expect(200);
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain"), "{:?}", metrics.headers);
    let value = |name: &str| {
        let line = metrics.text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{}", metrics.text)).parse::<f64>().unwrap()
    };
    assert!(value("konversio_http_requests_total{status=\"200\"}") >= 6.0);
    assert!(value("konversio_http_requests_total{status=\"404\"}") >= 1.0);
    for (name, expected) in [
        ("konversio_config_valid", 1.0),
        ("konversio_inboxes", 1.0),
        ("konversio_outgoing_messages", 0.0),
        ("konversio_queued_deliveries", 0.0),
        ("konversio_conversation_actors", 1.0),
        ("konversio_subscriptions", 0.0),
    ] {
        assert!((value(name) - expected).abs() < 0.5, "{name} is {}, not {expected}", value(name));
    }
}

#[tokio::test]
async fn a_slash_at_the_end_changes_nothing() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let account = admin.get("/api/v1/accounts/1/").await.expect(200);
    assert_eq!(account.body, admin.get("/api/v1/accounts/1").await.expect(200).body);
    assert_eq!(account.id("/id"), 1);
    for path in ["/health/", "/api/", "/api/v1/profile/", "/api/v1/accounts/1/inboxes/", "/api/v1/accounts/1/conversations/?status=all"] {
        admin.get(path).await.expect(200);
    }
    admin.post(admin.a("/inboxes/"), json!({"name": "Shop", "channel": {"type": "api"}})).await.expect(200);
}

#[tokio::test]
async fn the_description_of_the_api_is_whole_and_needs_no_network() {
    let daemon = Daemon::start().await;
    let visitor = daemon.visitor();
    let described = visitor.get("/swagger/swagger.json").await.expect(200);
    assert!(described.str("/openapi").starts_with("3.1"), "{}", described.at("/openapi"));
    let paths = described.at("/paths").as_object().unwrap();
    let routes = routes();
    assert!(routes.len() > 70, "the table is read: {}", routes.len());
    for route in &routes {
        let operation = &paths.get(route.path).unwrap_or_else(|| panic!("{} is missing", route.path))[route.method.to_lowercase()];
        assert!(operation["responses"].as_object().is_some_and(|responses| !responses.is_empty()), "{} {}", route.method, route.path);
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{} {}", route.method, route.path);
        let named: BTreeSet<&str> = route.path.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
        let parameters = operation["parameters"].as_array().into_iter().flatten().filter(|parameter| parameter["in"] == "path");
        assert_eq!(parameters.map(|parameter| parameter["name"].as_str().unwrap()).collect::<BTreeSet<_>>(), named, "{}", route.path);
    }
    let operations: Vec<&Value> =
        paths.values().flat_map(|path| path.as_object().unwrap().values()).filter(|value| value.is_object()).collect();
    assert_eq!(operations.len(), routes.len());
    let ids: BTreeSet<&str> = operations.iter().map(|operation| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), operations.len(), "each operation has an id of its own");
    let mut references = BTreeSet::new();
    collect_references(&described.body, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        assert!(described.body.pointer(reference.trim_start_matches('#')).is_some(), "{reference} leads nowhere");
    }
    // A few by name, as clients know them.
    for (method, path) in [
        ("post", "/auth/sign_in"),
        ("post", "/api/v1/accounts/{account_id}/conversations/{conversation_id}/messages"),
        ("patch", "/api/v1/accounts/{account_id}/inboxes/{inbox_id}"),
        ("post", "/public/api/v1/inboxes/{inbox_identifier}/contacts"),
    ] {
        assert!(paths[path][method].is_object(), "{method} {path}");
    }

    let mut page = visitor.get("/swagger").await;
    let mut address = "/swagger".to_owned();
    for _ in 0..3 {
        let Some(next) = page.header("location").map(str::to_owned) else { break };
        page = visitor.get(&next).await;
        address = next;
    }
    let page = page.expect(200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"), "{address}: {:?}", page.headers);
    let assets: Vec<&str> =
        ["src=\"", "href=\""].iter().flat_map(|start| page.text.split(start).skip(1)).filter_map(|rest| rest.split('"').next()).collect();
    assert!(assets.iter().any(|asset| asset.ends_with(".js")), "{}", page.text);
    for asset in assets {
        assert!(!asset.contains("//"), "{asset} comes from elsewhere");
        // As a browser would resolve it.
        let url = reqwest::Url::parse(&format!("{}{address}", daemon.base_url())).unwrap().join(asset).unwrap();
        assert!(!visitor.get(url.as_str()).await.expect(200).text.is_empty(), "{url}");
    }
    let initializer = visitor.get("/swagger/swagger-initializer.js").await.expect(200);
    assert!(initializer.text.contains("/swagger/swagger.json"), "{}", initializer.text);
}

#[tokio::test]
async fn the_log_can_be_json_and_tells_nothing_of_what_was_said() {
    const SAID: &str = "the parcel with the blue ribbon";
    let daemon = Daemon::builder().env("KONVERSIO__LOG__FORMAT", "json").env("KONVERSIO__LOG__FILTER", "debug").start().await;
    let admin = daemon.client();
    let (agent, agent_id) = member(&daemon, "agent.smith@example.com", "agent").await;
    let channel = json!({"type": "api", "webhook_url": "http://127.0.0.1:19999/hook-with-a-key"});
    let made = admin.post(admin.a("/inboxes"), json!({"name": "Shop", "channel": channel})).await.expect(200);
    let inbox = made.id("/id");
    admin.post(admin.a("/inbox_members"), json!({"inbox_id": inbox, "user_ids": [agent_id]})).await.expect(200);
    let customer = json!({"inbox_id": inbox, "name": "Zacharias", "email": "zacharias@example.com", "phone_number": "+4915112345678"});
    admin.post(admin.a("/contacts"), customer).await.expect(200);
    let id = conversation(&admin, inbox, SAID).await;
    agent.post(agent.a(&format!("/conversations/{id}/messages")), json!({"content": format!("Re: {SAID}")})).await.expect(200);
    agent.post(agent.a(&format!("/conversations/{id}/messages")), json!({"content": SAID, "private": true})).await.expect(200);
    agent.get(agent.a(&format!("/conversations/{id}/messages"))).await.expect(200);
    admin.get(admin.a("/contacts/search?q=zacharias")).await.expect(200);
    admin.post(admin.a("/contacts"), json!({"name": "Other", "email": "zacharias@example.com"})).await.expect(422);
    daemon.visitor().post("/auth/sign_in", json!({"email": Site::ADMIN_EMAIL, "password": "wrong-password"})).await.expect(401);
    daemon.visitor().with_token("a-wrong-token").get("/api/v1/profile").await.expect(401);
    // The webhook that does not answer is logged too.
    eventually(SOON, async || {
        let deliveries = admin.get(admin.a(&format!("/inboxes/{inbox}/deliveries"))).await.expect(200);
        deliveries
            .at("/payload")
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["attempts"].as_array().is_some_and(|tries| !tries.is_empty()))
            .then_some(())
    })
    .await;
    let log = daemon.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"))).collect();
    assert!(lines.len() > 10);
    for line in &lines {
        for name in ["timestamp", "level", "target"] {
            assert!(line[name].is_string(), "{name} in {line}");
        }
    }
    assert!(lines.iter().any(|line| line["level"] == "DEBUG"), "debug was asked for");
    assert!(lines.iter().any(|line| line["inbox.id"] == inbox), "what concerns an inbox names it");
    let agent_token = agent.get("/api/v1/profile").await.expect(200).str("/access_token").to_owned();
    let token = daemon.site().token().unwrap();
    for secret in [
        SAID,
        "Zacharias",
        "zacharias",
        "4915112345678",
        "agent.smith",
        "a-wrong-token",
        "wrong-password",
        "hook-with-a-key",
        PASSWORD,
        token,
        &agent_token,
        made.str("/hmac_token"),
        made.str("/secret"),
    ] {
        let found = log.lines().find(|line| line.contains(secret));
        assert_eq!(found, None, "the log tells {secret:?}");
    }
}

fn collect_references<'a>(value: &'a Value, references: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(object) => {
            references.extend(object.get("$ref").and_then(Value::as_str));
            object.values().for_each(|value| collect_references(value, references));
        }
        Value::Array(list) => list.iter().for_each(|value| collect_references(value, references)),
        _ => {}
    }
}

/// A row of the table of routes.
struct Route {
    method: &'static str,
    path: &'static str,
}

/// The table as its source has it: `GET "/path" => module::handler;`.
fn routes() -> Vec<Route> {
    let rows = include_str!("../../src/http/routes.rs").lines().filter_map(|line| line.trim().split_once(" => "));
    let quoted = rows.filter_map(|(row, _)| row.split_once(" \"").and_then(|(method, path)| Some((method, path.strip_suffix('"')?))));
    let methods = ["GET", "POST", "PUT", "PATCH", "DELETE"];
    quoted.filter(|(method, _)| methods.contains(method)).map(|(method, path)| Route { method, path }).collect()
}
