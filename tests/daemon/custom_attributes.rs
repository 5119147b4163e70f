//! Custom attribute definitions, dashboard apps and integrations: what a dashboard is configured with (contract, section 2).

use crate::app;
use crate::desk::{assert_names, assert_refused, member};
use crate::harness::Daemon;
use serde_json::json;

#[tokio::test]
async fn a_definition_is_made_changed_and_removed() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let fields = json!({
        "attribute_display_name": "Plan", "attribute_display_type": 6, "attribute_description": "What is paid", "attribute_key": " plan name ",
        "attribute_values": ["free", "gold"], "attribute_model": 1, "regex_pattern": "^f", "regex_cue": "begins with f",
    });
    let made = admin.post(admin.a("/custom_attribute_definitions"), fields).await.expect(200);
    let id = made.id("/id");
    let expected = json!({
        "id": id, "attribute_display_name": "Plan", "attribute_display_type": "list", "attribute_description": "What is paid",
        "attribute_key": "plan_name", "regex_pattern": "^f", "regex_cue": "begins with f", "attribute_values": ["free", "gold"],
        "attribute_model": "contact_attribute", "default_value": null, "created_at": made.at("/created_at"), "updated_at": made.at("/updated_at"),
    });
    assert_eq!(made.body, expected);
    assert!(made.str("/created_at").ends_with('Z'));
    let path = admin.a(&format!("/custom_attribute_definitions/{id}"));
    let update = json!({"attribute_display_name": "Tariff", "attribute_values": ["gold"], "attribute_key": "other", "regex_cue": null});
    let changed = admin.patch(&path, update).await.expect(200);
    assert_eq!((changed.str("/attribute_display_name"), changed.at("/attribute_values")), ("Tariff", &json!(["gold"])));
    assert_eq!((changed.str("/attribute_key"), changed.at("/regex_cue")), ("plan_name", &json!(null)), "values are stored under the key");
    assert_eq!(admin.get(&path).await.expect(200).body, changed.body);
    assert_eq!(admin.delete(&path).await.expect(204).text, "");
    assert_refused(&admin.get(&path).await, 404);
}

#[tokio::test]
async fn definitions_are_listed_by_model_and_unique_within_it() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let path = admin.a("/custom_attribute_definitions");
    let fields = |model: &str, key: &str| json!({"attribute_display_name": key, "attribute_key": key, "attribute_model": model});
    for (model, key) in [("contact_attribute", "plan"), ("conversation_attribute", "plan"), ("0", "order")] {
        admin.post(&path, fields(model, key)).await.expect(200);
    }
    let (agent, _) = member(&daemon, "agent@example.com", "agent").await;
    let listed = async |query: &str| {
        let listed = agent.get(format!("{path}{query}")).await.expect(200).body;
        listed.as_array().unwrap().iter().map(|row| row["attribute_key"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed("").await, ["plan", "plan", "order"]);
    assert_eq!(listed("?attribute_model=contact_attribute").await, ["plan"]);
    assert_eq!(listed("?attribute_model=0").await, ["plan", "order"]);
    assert_names(&agent.get(format!("{path}?attribute_model=everything")).await, 422, "attribute_model");
    for (field, wrong) in [
        ("attribute_key", fields("contact_attribute", "plan")),
        ("attribute_key", fields("contact_attribute", "email")),
        ("attribute_key", fields("contact_attribute", "")),
        ("attribute_model", fields("person", "age")),
        ("attribute_display_type", json!({"attribute_display_name": "A", "attribute_key": "a", "attribute_display_type": "colour"})),
        ("attribute_display_name", json!({"attribute_key": "a"})),
        ("attribute_values", json!({"attribute_display_name": "A", "attribute_key": "a", "attribute_values": [1]})),
    ] {
        assert_names(&admin.post(&path, wrong).await, 422, field);
    }
    assert_refused(&agent.post(&path, fields("contact_attribute", "mine")).await, 401);
    assert_eq!(listed("").await.len(), 3);
}

#[tokio::test]
async fn a_dashboard_app_shows_pages_of_the_web_only() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let frame = |url: &str| json!([{"type": "frame", "url": url}]);
    let made =
        admin.post(admin.a("/dashboard_apps"), json!({"dashboard_app": {"title": "Orders", "content": frame("https://shop.example/")}}));
    let made = made.await.expect(200);
    assert_eq!(app::keys(&made.body), app::words("id title content created_at"));
    assert_eq!(made.at("/content"), &frame("https://shop.example/"));
    let (agent, _) = member(&daemon, "agent@example.com", "agent").await;
    assert_eq!(agent.get(agent.a("/dashboard_apps")).await.expect(200).body, json!([made.body]));
    let path = admin.a(&format!("/dashboard_apps/{}", made.id("/id")));
    for wrong in [json!([]), frame("javascript:alert(1)"), frame("shop.example"), json!([{"type": "script", "url": "https://a.b/"}])] {
        assert_names(&admin.patch(&path, json!({"title": "Changed", "content": wrong})).await, 422, "content");
    }
    assert_names(&admin.post(admin.a("/dashboard_apps"), json!({"content": frame("https://a.b/")})).await, 422, "title");
    assert_eq!(admin.get(&path).await.expect(200).body, made.body);
    assert_eq!(admin.put(&path, json!({"title": "Shop"})).await.expect(200).at("/title"), "Shop");
    assert_refused(&agent.delete(&path).await, 401);
    assert_eq!(admin.delete(&path).await.expect(200).text, "");
    assert_refused(&admin.get(&path).await, 404);
}

#[tokio::test]
async fn integrations_are_those_that_exist() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let listed = admin.get(admin.a("/integrations/apps")).await.expect(200);
    let ids: Vec<&str> = listed.at("/payload").as_array().unwrap().iter().map(|app| app["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["webhook", "dashboard_apps"]);
    let webhook = admin.get(admin.a("/integrations/apps/webhook")).await.expect(200);
    assert_eq!(&webhook.body, listed.at("/payload/0"));
    assert_eq!(app::keys(&webhook.body), app::words("id name description short_description enabled hooks"));
    assert_refused(&admin.get(admin.a("/integrations/apps/slack")).await, 404);
    assert_names(&admin.post(admin.a("/integrations/hooks"), json!({"app_id": "slack"})).await, 422, "app_id");
    assert_refused(&admin.patch(admin.a("/integrations/hooks/1"), json!({})).await, 404);
    assert_refused(&admin.delete(admin.a("/integrations/hooks/1")).await, 404);
}
