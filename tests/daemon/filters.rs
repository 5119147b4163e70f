//! Filter objects (contract, section 4) on conversations and contacts, and the filters that users save.

use crate::app::{act, agent, api_inbox, customer, execute, join, talk};
use crate::harness::{Answer, Client, Daemon};
use serde_json::{Value, json};

fn clause(key: &str, operator: &str, values: Value, then: Value) -> Value {
    json!({"attribute_key": key, "filter_operator": operator, "values": values, "query_operator": then})
}

async fn filtered(client: &Client, list: &str, clauses: Value) -> Answer {
    client.post(client.a(&format!("/{list}/filter?page=1")), json!({"payload": clauses})).await
}

async fn numbers(client: &Client, clauses: Value) -> Vec<i64> {
    let answer = filtered(client, "conversations", clauses).await.expect(200);
    let mut ids: Vec<i64> = answer.at("/payload").as_array().unwrap().iter().map(|shown| shown["id"].as_i64().unwrap()).collect();
    assert_eq!(answer.id("/meta/all_count"), i64::try_from(ids.len()).unwrap());
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn conversations_are_filtered() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let (shop, office) = (api_inbox(&admin, json!({})).await, api_inbox(&admin, json!({})).await);
    let ada = agent(&daemon, "ada").await;
    join(&admin, shop.id, &[&ada]).await;
    for (inbox, name) in [(shop.id, "a"), (shop.id, "b"), (office.id, "c")] {
        talk(&admin, inbox, name).await;
    }
    act(&admin, 1, "assignments", json!({"assignee_id": ada.id})).await.expect(200);
    act(&admin, 2, "toggle_status", json!({"status": "resolved"})).await.expect(200);
    act(&admin, 3, "toggle_priority", json!({"priority": "high"})).await.expect(200);
    act(&admin, 2, "custom_attributes", json!({"custom_attributes": {"plan": "Gold", "seats": 12, "vip": true, "renewal": "2026-05-01"}}))
        .await
        .expect(200);
    act(&admin, 3, "custom_attributes", json!({"custom_attributes": {"plan": "Tin", "seats": "many", "vip": false}})).await.expect(200);
    define(&daemon).await;
    let of = async |clauses: Value| numbers(&admin, clauses).await;
    let one = |key: &str, operator: &str, values: Value| json!([clause(key, operator, values, json!(null))]);
    for (key, operator, values, expected) in [
        ("status", "equal_to", json!(["resolved"]), vec![2]),
        ("status", "equal_to", json!(["all"]), vec![1, 2, 3]),
        ("status", "not_equal_to", json!(["open"]), vec![2]),
        ("priority", "equal_to", json!(["high", "low"]), vec![3]),
        ("priority", "not_equal_to", json!(["high"]), vec![1, 2]),
        ("assignee_id", "equal_to", json!([ada.id]), vec![1]),
        ("assignee_id", "is_not_present", json!([]), vec![2, 3]),
        ("inbox_id", "equal_to", json!([office.id]), vec![3]),
        ("display_id", "equal_to", json!(["2"]), vec![2]),
        ("labels", "is_not_present", json!([]), vec![1, 2, 3]),
        ("labels", "equal_to", json!(["vip"]), vec![]),
        ("created_at", "is_greater_than", json!(["2020-01-31"]), vec![1, 2, 3]),
        ("created_at", "is_less_than", json!(["2020-01-31"]), vec![]),
        ("last_activity_at", "days_before", json!([1]), vec![]),
        ("referer", "does_not_contain", json!(["shop"]), vec![1, 2, 3]),
        ("plan", "equal_to", json!(["gold"]), vec![2]),
        ("plan", "not_equal_to", json!(["gold"]), vec![1, 3]),
        ("plan", "is_present", json!([]), vec![2, 3]),
        ("plan", "contains", json!(["i"]), vec![3]),
        ("seats", "is_greater_than", json!([11]), vec![2]),
        ("seats", "equal_to", json!(["12"]), vec![2]),
        ("vip", "equal_to", json!([true]), vec![2]),
        ("vip", "equal_to", json!(["false"]), vec![3]),
        ("renewal", "is_less_than", json!(["2026-06-01"]), vec![2]),
        ("plan", "contains", json!(["' OR 1=1 --"]), vec![]),
    ] {
        assert_eq!(of(one(key, operator, values.clone())).await, expected, "{key} {operator} {values}");
    }
    let gold = json!({"custom_attributes": {"plan": "Gold"}});
    admin.patch(admin.a("/contacts/1"), gold).await.expect(200);
    let of_contact = |operator: &str, values: Value| {
        json!([{"attribute_key": "plan", "filter_operator": operator, "values": values, "query_operator": null,
            "attribute_model": "custom_attribute", "custom_attribute_type": "contact_attribute"}])
    };
    for (operator, values, expected) in [
        ("equal_to", json!(["gold"]), vec![1]),
        ("not_equal_to", json!(["gold"]), vec![2, 3]),
        ("contains", json!(["OL"]), vec![1]),
        ("is_not_present", json!([]), vec![2, 3]),
    ] {
        assert_eq!(of(of_contact(operator, values.clone())).await, expected, "the contact's plan {operator} {values}");
    }
    // priority high AND inbox shop OR status resolved
    let both = json!([
        clause("priority", "equal_to", json!(["high"]), json!("and")),
        clause("inbox_id", "equal_to", json!([shop.id]), json!("or")),
        clause("status", "equal_to", json!(["resolved"]), json!(null)),
    ]);
    assert_eq!(of(both).await, [2]);
    assert_eq!(of(json!([])).await, [1, 2, 3]);
    let seen = filtered(&ada.client, "conversations", json!([])).await.expect(200);
    assert_eq!(seen.at("/meta"), &json!({"mine_count": 1, "unassigned_count": 1, "all_count": 2}), "only of the agent's inboxes");
    for wrong in [
        one("no_such_key", "equal_to", json!(["x"])),
        one("status", "contains", json!(["open"])),
        one("status", "equal_to", json!(["foo"])),
        one("created_at", "is_greater_than", json!(["soon"])),
    ] {
        let refused = filtered(&admin, "conversations", wrong.clone()).await;
        assert!(refused.status == 422 && !refused.str("/error").is_empty(), "{wrong}: {}", refused.text);
    }
    let beyond = admin.post(admin.a("/conversations/filter?page=2"), json!({"payload": []})).await.expect(200);
    assert_eq!(beyond.at("/payload"), &json!([]));
}

#[tokio::test]
async fn contacts_are_filtered() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    for (name, email, number, city) in [("Ann", "ann@a.com", "+4911111", "Berlin"), ("Bob", "bob@b.com", "+4322222", "Wien")] {
        let fields = json!({"name": name, "email": email, "phone_number": number, "additional_attributes": {"city": city},
            "custom_attributes": {"plan": name}});
        admin.post(admin.a("/contacts"), fields).await.expect(200);
    }
    define(&daemon).await;
    for (key, operator, values, expected) in [
        ("name", "equal_to", json!(["ann"]), "Ann"),
        ("name", "does_not_contain", json!(["ann"]), "Bob"),
        ("email", "contains", json!(["@B."]), "Bob"),
        ("phone_number", "starts_with", json!(["+49"]), "Ann"),
        ("city", "equal_to", json!(["wien"]), "Bob"),
        ("blocked", "equal_to", json!([false]), "Ann Bob"),
        ("blocked", "equal_to", json!([true]), ""),
        ("plan", "equal_to", json!(["bob"]), "Bob"),
    ] {
        let answer = filtered(&admin, "contacts", json!([clause(key, operator, values, json!(null))])).await.expect(200);
        let names: Vec<&str> = answer.at("/payload").as_array().unwrap().iter().map(|shown| shown["name"].as_str().unwrap()).collect();
        assert_eq!(names.join(" "), expected, "{key} {operator}");
        assert_eq!(answer.at("/meta"), &json!({"count": names.len(), "current_page": "1"}));
    }
    assert_eq!(filtered(&admin, "contacts", json!([clause("status", "equal_to", json!(["open"]), json!(null))])).await.status, 422);
    assert_eq!(admin.post(admin.a("/contacts/filter"), json!({})).await.status, 422);
}

#[tokio::test]
async fn users_save_filters_of_their_own() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let ada = agent(&daemon, "ada").await;
    let query = json!({"payload": [clause("status", "equal_to", json!(["open"]), json!(null))]});
    let fields = json!({"custom_filter": {"name": "Mine", "filter_type": "conversation", "query": query}});
    let made = ada.client.post(ada.client.a("/custom_filters"), fields).await.expect(200);
    assert_eq!((made.str("/name"), made.str("/filter_type"), made.at("/query")), ("Mine", "conversation", &query));
    assert!(made.str("/created_at").ends_with('Z'));
    let path = admin.a(&format!("/custom_filters/{}", made.id("/id")));
    for answer in [admin.get(&path).await, admin.patch(&path, json!({"name": "Theirs"})).await, admin.delete(&path).await] {
        assert_eq!(answer.status, 404, "another user's");
    }
    let list = async |client: &Client, query: &str| client.get(client.a(&format!("/custom_filters{query}"))).await.expect(200).body;
    assert_eq!(list(&admin, "").await, json!([]));
    assert_eq!(list(&ada.client, "?filter_type=conversation").await, json!([made.body]));
    assert_eq!(list(&ada.client, "?filter_type=1").await, json!([]));
    let renamed = ada.client.patch(&path, json!({"name": "Open"})).await.expect(200);
    assert_eq!((renamed.str("/name"), renamed.at("/query")), ("Open", &query));
    let contact_key = json!({"query": {"payload": [clause("email", "equal_to", json!(["x"]), json!(null))]}});
    assert_eq!(ada.client.patch(&path, contact_key).await.status, 422, "no attribute of conversations");
    for wrong in [json!({"query": query}), json!({"name": "x"}), json!({"name": "x", "query": query, "filter_type": "foo"})] {
        assert_eq!(ada.client.post(ada.client.a("/custom_filters"), wrong.clone()).await.status, 422, "{wrong}");
    }
    assert_eq!(ada.client.get(&path).await.expect(200).str("/name"), "Open", "nothing of what was refused is stored");
    let gone = ada.client.delete(&path).await;
    assert_eq!((gone.status, gone.text.as_str()), (204, ""));
    assert_eq!(list(&ada.client, "").await, json!([]));
}

/// Defines custom attributes: plan (text, both models), and of conversations seats (number), vip (checkbox), renewal (date).
async fn define(daemon: &Daemon) {
    const SQL: &str = "INSERT INTO custom_attribute_definitions (account_id, attribute_key, attribute_display_name, attribute_display_type,
        attribute_model, attribute_values, created_at, updated_at)
        SELECT 1, d.k, d.k, d.t, d.m, '[]', a.created_at, a.created_at FROM accounts a,
        (SELECT 'plan' AS k, 0 AS t, 0 AS m UNION ALL SELECT 'plan', 0, 1 UNION ALL SELECT 'seats', 1, 0 UNION ALL SELECT 'vip', 7, 0
         UNION ALL SELECT 'renewal', 5, 0) AS d WHERE a.id = 1";
    execute(daemon, SQL, SQL).await;
}

#[tokio::test]
async fn labels_of_contacts_are_those_of_the_account() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    customer(&admin, inbox.id, "mia").await;
    const SQL: &str = "INSERT INTO contact_labels (account_id, title, contact_id) SELECT 1, 'vip', id FROM contacts";
    execute(&daemon, SQL, SQL).await;
    for (operator, values, count) in [
        ("equal_to", json!(["vip"]), 1),
        ("not_equal_to", json!(["vip"]), 0),
        ("is_present", json!([]), 1),
        ("is_not_present", json!([]), 0),
    ] {
        let answer = filtered(&admin, "contacts", json!([clause("labels", operator, values, json!(null))])).await.expect(200);
        assert_eq!(answer.id("/meta/count"), count, "{operator}");
    }
}
