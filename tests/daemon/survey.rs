//! The survey that follows a resolved conversation (contract, section 2, In-server effects; section 5): who is asked, who is not,
//! and what becomes of the answer.

use crate::app::{act, administrator, agent, api_inbox, contents, customer, execute, hear, keys, messages, show, talk, words};
use crate::desk::{assert_names, assert_refused};
use crate::harness::{Client, Daemon, SOON};
use serde_json::{Value, json};

const RESOLVED: &str = "Conversation was marked resolved by Administrator";

fn surveyed() -> Value {
    json!({"csat_survey_enabled": true, "csat_config": {"display_type": "star", "message": "How was it?"}})
}

async fn resolve(client: &Client, conversation: i64) {
    act(client, conversation, "toggle_status", json!({"status": "resolved"})).await.expect(200);
}

/// The messages of a conversation that ask for a rating.
async fn surveys(client: &Client, conversation: i64) -> Vec<Value> {
    let all = messages(client, conversation).await;
    all.into_iter().filter(|message| message["content_type"] == "input_csat").collect()
}

/// Where a conversation is rated.
async fn public(client: &Client, conversation: i64) -> String {
    format!("/public/api/v1/csat_survey/{}", show(client, conversation).await.str("/uuid"))
}

fn rate(rating: i64, feedback: Value) -> Value {
    json!({"message": {"submitted_values": {"csat_survey_response": {"rating": rating, "feedback_message": feedback}}}})
}

#[tokio::test]
async fn a_resolved_conversation_is_surveyed_once() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, surveyed()).await;
    let id = talk(&admin, inbox.id, "mia").await;
    hear(&admin, id, "hello").await;
    resolve(&admin, id).await;
    let link = format!("{}/survey/responses/{}", daemon.base_url(), show(&admin, id).await.str("/uuid"));
    assert_eq!(contents(&admin, id).await, ["hello".to_owned(), RESOLVED.to_owned(), format!("How was it?\n{link}")]);
    let asked = &surveys(&admin, id).await[0];
    assert_eq!(
        (&asked["message_type"], &asked["content_attributes"], asked.get("sender")),
        (&json!(3), &json!({"display_type": "star"}), None)
    );
    assert_eq!(show(&admin, id).await.str("/status"), "resolved", "to ask opens nothing");

    resolve(&admin, id).await;
    hear(&admin, id, "one more thing").await;
    assert_eq!(show(&admin, id).await.str("/status"), "open");
    resolve(&admin, id).await;
    assert_eq!(surveys(&admin, id).await.len(), 1);

    let path = admin.a(&format!("/inboxes/{}", inbox.id));
    admin.patch(&path, json!({"csat_config": {}})).await.expect(200);
    let plain = talk(&admin, inbox.id, "noa").await;
    resolve(&admin, plain).await;
    let asked = &surveys(&admin, plain).await[0];
    assert!(asked["content"].as_str().unwrap().starts_with("Please rate this conversation\nhttp"), "{asked}");
    assert_eq!(asked["content_attributes"]["display_type"], "emoji");
    admin.patch(&path, json!({"csat_survey_enabled": false})).await.expect(200);
    let silent = talk(&admin, inbox.id, "kai").await;
    resolve(&admin, silent).await;
    assert_eq!(contents(&admin, silent).await, [RESOLVED]);
}

#[tokio::test]
async fn whoever_resolves_it_the_contact_is_asked() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, surveyed()).await;
    let contact = customer(&admin, inbox.id, "mia").await;
    let own = crate::app::conversation(&admin, inbox.id, contact.id).await;
    let path = format!("/public/api/v1/inboxes/{}/contacts/{}/conversations/{own}/toggle_status", inbox.identifier, contact.source_id);
    let ended = daemon.visitor().post(path, json!({})).await.expect(200);
    let last = ended.at("/messages").as_array().unwrap().last().unwrap();
    assert_eq!((&last["content_type"], &last["message_type"]), (&json!("input_csat"), &json!(3)), "the contact's app sees it");

    let (in_bulk, by_macro) = (talk(&admin, inbox.id, "noa").await, talk(&admin, inbox.id, "kai").await);
    let bulk = json!({"type": "Conversation", "ids": [in_bulk], "fields": {"status": "resolved"}});
    admin.post(admin.a("/bulk_actions"), bulk).await.expect(200);
    let steps = json!([
        {"action_name": "resolve_conversation", "action_params": []},
        {"action_name": "send_message", "action_params": ["Bye"]},
    ]);
    let made = admin.post(admin.a("/macros"), json!({"name": "Close", "visibility": "global", "actions": steps})).await.expect(200);
    let path = admin.a(&format!("/macros/{}/execute", made.id("/payload/id")));
    admin.post(path, json!({"conversation_ids": [by_macro]})).await.expect(200);
    for id in [in_bulk, by_macro] {
        crate::harness::eventually(SOON, async || (surveys(&admin, id).await.len() == 1).then_some(())).await;
        assert_eq!(show(&admin, id).await.str("/status"), "resolved");
    }
}

#[tokio::test]
async fn nobody_is_asked_who_is_muted_or_cannot_be_written_to() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, surveyed()).await;
    let muted = talk(&admin, inbox.id, "mia").await;
    act(&admin, muted, "mute", json!({})).await.expect(200);
    assert_eq!(show(&admin, muted).await.str("/status"), "resolved");
    assert_eq!(contents(&admin, muted).await, ["Administrator muted the conversation"]);
    act(&admin, muted, "toggle_status", json!({"status": "open"})).await.expect(200);
    resolve(&admin, muted).await;
    assert_eq!(surveys(&admin, muted).await.len(), 0, "still blocked");

    let mut fields = surveyed();
    fields["channel"] = json!({"additional_attributes": {"agent_reply_time_window": 24}});
    let windowed = api_inbox(&admin, fields).await;
    let closed = talk(&admin, windowed.id, "noa").await;
    resolve(&admin, closed).await;
    let said = contents(&admin, closed).await;
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[1].starts_with("The survey was not sent: "), "{said:?}");
    let note = &messages(&admin, closed).await[1];
    assert_eq!((&note["message_type"], &note["content_type"]), (&json!(2), &json!("text")));
    hear(&admin, closed, "hello").await;
    resolve(&admin, closed).await;
    assert_eq!(surveys(&admin, closed).await.len(), 1, "now it can be");
}

#[tokio::test]
async fn a_rating_is_kept_with_whose_it_was_and_can_be_put_right() {
    let mut daemon = Daemon::start().await;
    let admin = administrator(&daemon).await;
    let grace = agent(&daemon, "grace").await;
    let client = &admin.client;
    let inbox = api_inbox(client, surveyed()).await;
    crate::app::join(client, inbox.id, &[&grace]).await;
    let id = talk(client, inbox.id, "mia").await;
    hear(client, id, "hello").await;
    let path = public(client, id).await;
    let visitor = daemon.visitor();
    assert_refused(&visitor.get(&path).await, 404);
    client.post(client.a(&format!("/conversations/{id}/assignments")), json!({"assignee_id": grace.id})).await.expect(200);
    resolve(client, id).await;

    let asked = visitor.get(&path).await.expect(200);
    let names = "id csat_survey_response display_type content inbox_avatar_url inbox_name locale conversation_id created_at";
    assert_eq!(keys(&asked.body), words(names));
    assert_eq!((asked.str("/content"), asked.str("/display_type"), asked.str("/inbox_name")), ("How was it?", "star", "App"));
    assert_eq!((asked.at("/csat_survey_response"), asked.str("/locale")), (&Value::Null, "en"));
    let survey = surveys(client, id).await[0]["id"].as_i64().unwrap();
    assert_eq!(asked.id("/id"), survey);

    for wrong in [
        rate(0, Value::Null),
        rate(6, Value::Null),
        rate(5, json!("x".repeat(5001))),
        rate(5, json!({"a": 1})),
        json!({"message": {"submitted_values": {"csat_survey_response": {"feedback_message": "hm"}}}}),
        json!({}),
    ] {
        assert_names(&visitor.put(&path, wrong).await, 422, "submitted_values");
    }
    assert_refused(&visitor.put(&path, json!({"submitted_values": {"value": "fine"}})).await, 422);
    for absent in ["00000000-0000-4000-8000-000000000000", "nonsense", "1"] {
        assert_refused(&visitor.get(format!("/public/api/v1/csat_survey/{absent}")).await, 404);
        assert_refused(&visitor.put(format!("/public/api/v1/csat_survey/{absent}"), rate(5, Value::Null)).await, 404);
    }

    let mut cable = daemon.cable().await;
    cable.subscribe_agent(&admin.pubsub_token, 1, admin.id).await;
    let rated = visitor.put(&path, rate(2, Value::Null)).await.expect(200);
    let told = cable.next_event("message.updated", SOON).await;
    assert_eq!(
        (&told["id"], &told["content_attributes"]["submitted_values"]),
        (&json!(survey), &json!({"csat_survey_response": {"rating": 2}}))
    );
    let response = rated.at("/csat_survey_response");
    assert_eq!((&response["rating"], &response["feedback_message"]), (&json!(2), &Value::Null));
    assert_eq!((&response["assigned_agent_id"], &response["message_id"]), (&json!(grace.id), &json!(survey)));
    client.post(client.a(&format!("/conversations/{id}/assignments")), json!({"assignee_id": admin.id})).await.expect(200);
    let again = visitor.put(&path, rate(3, json!("slow, but <b>kind</b>"))).await.expect(200);
    let shown = visitor.get(&path).await.expect(200);
    assert_eq!(shown.body, again.body);
    let response = shown.at("/csat_survey_response");
    assert_eq!((&response["rating"], &response["feedback_message"]), (&json!(3), &json!("slow, but <b>kind</b>")));
    assert_eq!(response["assigned_agent_id"], grace.id, "whose it was when it was rated first");
    assert_eq!(show(client, id).await.str("/status"), "resolved", "to rate opens nothing");

    daemon.kill();
    execute(
        &daemon,
        "UPDATE messages SET created_at = '2020' || substr(created_at, 5)",
        "UPDATE messages SET created_at = created_at - interval '15 days'",
    )
    .await;
    daemon.restart().await;
    let visitor = daemon.visitor();
    let late = visitor.put(&path, rate(5, Value::Null)).await;
    assert_refused(&late, 422);
    assert!(late.str("/error").contains("closed"), "{}", late.text);
    assert_eq!(visitor.get(&path).await.expect(200).at("/csat_survey_response/rating"), 3);
}
