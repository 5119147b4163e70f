//! Canned responses: made, found, changed, removed (contract, section 2).

use crate::app;
use crate::desk::{assert_names, assert_refused, member};
use crate::harness::Daemon;
use serde_json::json;

#[tokio::test]
async fn a_canned_response_is_made_changed_and_removed_by_any_agent() {
    let daemon = Daemon::start().await;
    let (agent, _) = member(&daemon, "agent@example.com", "agent").await;
    let fields = json!({"canned_response": {"short_code": " hi ", "content": "Hello {{contact.name}}\n"}});
    let made = agent.post(agent.a("/canned_responses"), fields).await.expect(200);
    let id = made.id("/id");
    assert_eq!(app::keys(&made.body), app::words("id account_id short_code content created_at updated_at"));
    assert_eq!((made.str("/short_code"), made.str("/content"), made.id("/account_id")), ("hi", "Hello {{contact.name}}\n", 1));
    assert!(made.str("/created_at").ends_with('Z'));
    assert_eq!(agent.get(agent.a("/canned_responses")).await.expect(200).body, json!([made.body]));
    let path = agent.a(&format!("/canned_responses/{id}"));
    let changed = agent.patch(&path, json!({"content": "Hi"})).await.expect(200);
    assert_eq!((changed.str("/short_code"), changed.str("/content")), ("hi", "Hi"));
    assert_eq!(agent.delete(&path).await.expect(200).text, "");
    assert_refused(&agent.patch(&path, json!({"content": "Hi"})).await, 404);
    assert_eq!(agent.get(agent.a("/canned_responses")).await.expect(200).body, json!([]));
}

#[tokio::test]
async fn the_search_looks_at_codes_first_and_at_contents_in_any_case() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    for (code, content) in [("thanks", "Grüße"), ("bye", "Thank you, bye"), ("big-thanks", "Many"), ("percent", "100%")] {
        admin.post(admin.a("/canned_responses"), json!({"short_code": code, "content": content})).await.expect(200);
    }
    let found = async |search: &str| {
        let found = admin.get(admin.a(&format!("/canned_responses?search={search}"))).await.expect(200).body;
        found.as_array().unwrap().iter().map(|row| row["short_code"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found("").await, ["big-thanks", "bye", "percent", "thanks"]);
    assert_eq!(found("THANK").await, ["thanks", "big-thanks", "bye"]);
    assert_eq!(found("GR%C3%9CSS").await, Vec::<String>::new());
    assert_eq!(found("gr%C3%9C").await, ["thanks"], "letters beyond ASCII have a case as well");
    assert_eq!(found("%25").await, ["percent"], "a sign that databases read otherwise is only itself");
}

#[tokio::test]
async fn codes_are_unique_and_both_fields_needed() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    admin.post(admin.a("/canned_responses"), json!({"short_code": "hi", "content": "Hello"})).await.expect(200);
    let other = admin.post(admin.a("/canned_responses"), json!({"short_code": "bye", "content": "Bye"})).await.expect(200).id("/id");
    assert_names(&admin.post(admin.a("/canned_responses"), json!({"short_code": "hi", "content": "Hi"})).await, 422, "short_code");
    assert_names(&admin.post(admin.a("/canned_responses"), json!({"content": "Hi"})).await, 422, "short_code");
    assert_names(&admin.post(admin.a("/canned_responses"), json!({"short_code": "x", "content": " "})).await, 422, "content");
    assert_names(&admin.put(admin.a(&format!("/canned_responses/{other}")), json!({"short_code": "hi"})).await, 422, "short_code");
    const FOREIGN: &str = "UPDATE canned_responses SET account_id = 2";
    app::execute(&daemon, FOREIGN, FOREIGN).await;
    assert_refused(&admin.delete(admin.a(&format!("/canned_responses/{other}"))).await, 404);
    assert_eq!(admin.get(admin.a("/canned_responses")).await.expect(200).body, json!([]));
}
