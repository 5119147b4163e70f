//! What an inbox is set to: working hours, time zone, survey, texts; and the routes beside it (contract, section 2, Inboxes).

use crate::desk::{api_inbox, assert_names, assert_refused, member};
use crate::harness::Daemon;
use serde_json::{Value, json};

#[tokio::test]
async fn a_day_that_is_named_changes_and_the_week_stays_whole() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, "App").await;
    let path = admin.a(&format!("/inboxes/{inbox}"));
    let before = admin.get(&path).await.expect(200).at("/working_hours").clone();
    let sunday = json!({"day_of_week": 0, "closed_all_day": false, "open_all_day": false, "open_hour": 10, "open_minutes": 0, "close_hour": 12, "close_minutes": 30});
    let after = admin.patch(&path, json!({"working_hours": [sunday], "timezone": "America/New_York"})).await.expect(200);
    let mut expected = before;
    expected[0] = sunday;
    assert_eq!((after.at("/working_hours"), after.str("/timezone")), (&expected, "America/New_York"));
}

#[tokio::test]
async fn wrong_settings_are_named_and_nothing_is_stored() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, "App").await;
    let path = admin.a(&format!("/inboxes/{inbox}"));
    let before = admin.get(&path).await.expect(200).body;
    let night = json!([{"day_of_week": 1, "open_hour": 22, "open_minutes": 0, "close_hour": 6, "close_minutes": 0}]);
    for (field, value) in [
        ("working_hours", night),
        ("working_hours", json!([{"day_of_week": 9, "closed_all_day": true}])),
        ("working_hours", json!([{"day_of_week": 1, "closed_all_day": true}, {"day_of_week": 1, "closed_all_day": true}])),
        ("timezone", json!("Mars/Olympus")),
        ("greeting_message", json!("x".repeat(10_001))),
        ("out_of_office_message", json!("x".repeat(10_001))),
        ("csat_config", json!({"display_type": "frown"})),
        ("csat_config", json!({"survey_rules": {"operator": "sounds_like", "values": []}})),
        ("csat_config", json!({"survey_rules": {"operator": "contains", "values": "vip"}})),
    ] {
        let mut update = json!({"name": "Changed"});
        update[field] = value;
        assert_names(&admin.patch(&path, update).await, 422, field);
    }
    assert_eq!(admin.get(&path).await.expect(200).body, before);
    let config = json!({"display_type": "star", "message": "How was it?", "survey_rules": {"operator": "contains", "values": ["vip"]}});
    assert_eq!(admin.patch(&path, json!({"csat_config": config})).await.expect(200).at("/csat_config"), &config);
}

#[tokio::test]
async fn routes_beside_an_inbox_answer_for_those_who_see_it() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, "App").await;
    let (agent, id) = member(&daemon, "agent@example.com", "agent").await;
    let (stranger, _) = member(&daemon, "stranger@example.com", "agent").await;
    admin.post(admin.a("/inbox_members"), json!({"inbox_id": inbox, "user_ids": [id]})).await.expect(200);
    let path = |rest: &str| admin.a(&format!("/inboxes/{inbox}/{rest}"));
    let own = admin.get("/api/v1/profile").await.expect(200).id("/id");
    let assignable = agent.get(path("assignable_agents")).await.expect(200);
    let ids: Vec<&Value> = assignable.at("/payload").as_array().unwrap().iter().map(|agent| &agent["id"]).collect();
    assert_eq!(ids, [&json!(own), &json!(id)]);
    assert_eq!(agent.get(path("campaigns")).await.expect(200).body, json!([]));
    for rest in ["assignable_agents", "campaigns"] {
        assert_refused(&stranger.get(path(rest)).await, 404);
    }
    assert_refused(&admin.post(path("sync_templates"), json!({})).await, 422);
    assert_refused(&admin.get(path("assignment_policy")).await, 404);
}
