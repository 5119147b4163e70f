//! Assignment policies: kept by administrators, followed by inboxes, obeyed by the assignment.

use crate::app::{agent, api_inbox, assigned, assignee, hear, join, keys, talk, words};
use crate::desk::assert_names;
use crate::harness::{Client, Daemon};
use serde_json::{Value, json};

async fn policy(client: &Client, fields: Value) -> i64 {
    client.post(client.a("/assignment_policies"), fields).await.expect(200).id("/id")
}

async fn follow(client: &Client, inbox: i64, policy: i64) {
    let path = client.a(&format!("/inboxes/{inbox}/assignment_policy"));
    client.post(path, json!({"assignment_policy_id": policy})).await.expect(200);
}

#[tokio::test]
async fn policies_are_made_changed_followed_and_removed() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let list = admin.a("/assignment_policies");
    assert_eq!(admin.get(&list).await.expect(200).body, json!([]));
    let made = admin.post(&list, json!({"assignment_policy": {"name": " Fair ", "description": "for all"}})).await.expect(200);
    assert_eq!(
        keys(&made.body),
        words(
            "id name description assignment_order conversation_priority fair_distribution_limit fair_distribution_window enabled \
            assigned_inbox_count created_at updated_at"
        )
    );
    let id = made.id("/id");
    let defaults = json!({"name": "Fair", "description": "for all", "assignment_order": "round_robin", "enabled": true,
        "conversation_priority": "earliest_created", "fair_distribution_limit": 100, "fair_distribution_window": 3600, "assigned_inbox_count": 0});
    for (name, value) in defaults.as_object().unwrap() {
        assert_eq!(&made.body[name], value, "{name}");
    }
    assert!(made.at("/created_at").is_i64() && made.at("/updated_at").is_i64());
    let one = admin.a(&format!("/assignment_policies/{id}"));
    let fields = json!({"assignment_order": "balanced", "conversation_priority": "longest_waiting", "fair_distribution_limit": "3",
        "fair_distribution_window": 60, "enabled": false, "description": null, "unknown": 1});
    let changed = admin.put(&one, fields).await.expect(200);
    assert_eq!(changed.body, admin.get(&one).await.expect(200).body);
    assert_eq!((changed.str("/name"), changed.str("/assignment_order"), changed.at("/description")), ("Fair", "balanced", &Value::Null));
    assert_eq!((changed.id("/fair_distribution_limit"), changed.at("/enabled")), (3, &json!(false)));
    assert_eq!(admin.get(&list).await.expect(200).body, json!([changed.body]));
    for (wrong, field) in [
        (json!({}), "name"),
        (json!({"name": "  "}), "name"),
        (json!({"name": "x".repeat(256)}), "name"),
        (json!({"name": "Fair"}), "name"),
        (json!({"name": "x", "assignment_order": "random"}), "assignment_order"),
        (json!({"name": "x", "conversation_priority": "random"}), "conversation_priority"),
        (json!({"name": "x", "fair_distribution_limit": 0}), "fair_distribution_limit"),
        (json!({"name": "x", "fair_distribution_window": -1}), "fair_distribution_window"),
        (json!({"name": "x", "fair_distribution_window": "long"}), "fair_distribution_window"),
    ] {
        assert_names(&admin.post(&list, wrong).await, 422, field);
    }

    let inbox = api_inbox(&admin, json!({})).await.id;
    let of_inbox = admin.a(&format!("/inboxes/{inbox}/assignment_policy"));
    admin.get(&of_inbox).await.expect(404);
    admin.delete(&of_inbox).await.expect(404);
    admin.post(&of_inbox, json!({"assignment_policy_id": 99})).await.expect(404);
    assert_names(&admin.post(&of_inbox, json!({})).await, 422, "assignment_policy_id");
    assert_eq!(admin.post(&of_inbox, json!({"assignment_policy_id": id})).await.expect(200).id("/id"), id);
    let shown = admin.get(&of_inbox).await.expect(200);
    assert_eq!((shown.id("/id"), shown.id("/assigned_inbox_count")), (id, 1));
    let following = admin.get(format!("{one}/inboxes")).await.expect(200);
    assert_eq!((following.id("/inboxes/0/id"), following.at("/inboxes").as_array().map(Vec::len)), (inbox, Some(1)));
    assert_eq!(admin.delete(&of_inbox).await.expect(200).text, "");
    assert_eq!(admin.get(format!("{one}/inboxes")).await.expect(200).body, json!({"inboxes": []}));
    follow(&admin, inbox, id).await;
    assert_eq!(admin.delete(&one).await.expect(200).text, "");
    admin.get(&one).await.expect(404);
    admin.get(&of_inbox).await.expect(404);
    let log = admin.get(admin.a("/audit_logs")).await.expect(200);
    let of_policies = log.at("/audit_logs").as_array().unwrap().iter().filter(|entry| entry["auditable_type"] == "AssignmentPolicy");
    assert_eq!(of_policies.map(|entry| entry["action"].as_str().unwrap()).collect::<Vec<_>>(), ["destroy", "update", "create"]);
}

#[tokio::test]
async fn whoever_waits_longest_goes_to_whoever_has_least_while_the_policy_is_enabled() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({"enable_auto_assignment": false})).await.id;
    let (ada, bob) = (agent(&daemon, "Ada").await, agent(&daemon, "Bob").await);
    join(&admin, inbox, &[&ada, &bob]).await;
    let fields = json!({"name": "Fair", "assignment_order": "balanced", "conversation_priority": "longest_waiting",
        "fair_distribution_limit": 2});
    let policy = policy(&admin, fields).await;
    follow(&admin, inbox, policy).await;
    let mut waiting = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        waiting.push(talk(&admin, inbox, name).await);
    }
    let [quiet, second, first, third, last] = waiting[..] else { unreachable!() };
    // Who was answered waits again from the next message on; the first one waits for nothing.
    for id in [quiet, second, third, last, first] {
        crate::app::say(&admin, id, "answer").await;
    }
    for id in [first, second, third, last] {
        hear(&admin, id, "and now?").await;
    }
    // Bob has one already; only Ada is there at first.
    crate::app::act(&admin, last, "assignments", json!({"assignee_id": bob.id})).await.expect(200);
    for person in [&ada, &bob] {
        admin.patch(admin.a(&format!("/agents/{}", person.id)), json!({"auto_offline": false})).await.expect(200);
    }
    admin.patch(admin.a(&format!("/inboxes/{inbox}")), json!({"enable_auto_assignment": true})).await.expect(200);
    // Ada has none, Bob has one: the one who waits longest is Ada's; then it is both's turn; each gets two at most.
    assert_eq!(assigned(&admin, first).await, ada.id);
    let mut of = vec![assigned(&admin, second).await, assigned(&admin, third).await];
    assert_eq!(assigned(&admin, quiet).await, bob.id);
    of.sort_unstable();
    let mut both = vec![ada.id, bob.id];
    both.sort_unstable();
    assert_eq!(of, both);
    let more = talk(&admin, inbox, "f").await;
    // Nobody is given a third one in the window, until the policy is switched off.
    hear(&admin, more, "hello?").await;
    assert_eq!(assignee(&admin, more).await, None);
    admin.patch(admin.a(&format!("/assignment_policies/{policy}")), json!({"enabled": false})).await.expect(200);
    assigned(&admin, more).await;
}
