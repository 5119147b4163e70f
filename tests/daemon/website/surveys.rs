//! How a visitor says what it thinks of the help: the survey that follows a resolved conversation, in the widget and by its link.
//! What every channel has of it is asked in `survey.rs`.

use super::{Visitor, Website, contents};
use crate::app::{act, keys, messages, say, show, words};
use crate::desk::assert_refused;
use crate::harness::{Answer, Client, SOON, eventually};
use serde_json::{Value, json};

/// Resolves a conversation and waits for its survey.
async fn asked(client: &Client, conversation: i64) -> Value {
    act(client, conversation, "toggle_status", json!({"status": "resolved"})).await.expect(200);
    eventually(SOON, async || messages(client, conversation).await.into_iter().find(|one| one["content_type"] == "input_csat")).await
}

async fn uuid(website: &Website, conversation: i64) -> String {
    show(&website.admin, conversation).await.str("/uuid").to_owned()
}

/// The survey as its page sees it.
async fn survey(website: &Website, uuid: &str) -> Answer {
    website.daemon.visitor().get(format!("/public/api/v1/csat_survey/{uuid}")).await
}

fn rated(rating: Value, words: Value) -> Value {
    json!({"message": {"submitted_values": {"csat_survey_response": {"rating": rating, "feedback_message": words}}}})
}

async fn talked(website: &Website) -> (Visitor, i64) {
    let visitor = website.visitor().await;
    let id = visitor.says("hello").await.id("/conversation_id");
    say(&website.admin, id, "here you are").await;
    (visitor, id)
}

#[tokio::test]
async fn a_resolved_conversation_asks_once_how_it_was() {
    let website = Website::open(json!({"csat_survey_enabled": true})).await;
    let (visitor, id) = talked(&website).await;
    let mut cable = visitor.listen(&website.daemon).await;
    let question = asked(&website.admin, id).await;
    assert_eq!((&question["message_type"], &question["private"], question.get("sender")), (&json!(3), &json!(false), None));
    assert!(!question["content"].as_str().unwrap().contains("http"), "the widget shows the survey itself: {question}");
    let told = cable.next_event_where("message.created", SOON, |message| message["content_type"] == "input_csat").await;
    assert_eq!(told["id"], question["id"]);
    assert!(visitor.reads(Some(id)).await.iter().any(|message| message["id"] == question["id"]));
    // Opened and resolved again, by whomever.
    visitor.says_in(id, "one more thing").await.expect(200);
    act(&website.admin, id, "toggle_status", json!({"status": "resolved"})).await.expect(200);
    visitor.says_in(id, "and another").await.expect(200);
    visitor.get(&format!("conversations/toggle_status?conversation_id={id}")).await.expect(200);
    say(&website.admin, id, "the last one").await;
    let all = messages(&website.admin, id).await;
    assert_eq!(all.iter().filter(|message| message["content_type"] == "input_csat").count(), 1, "{all:?}");
    let other = visitor.begins("another matter").await;
    assert_ne!(asked(&website.admin, other).await["id"], question["id"], "each conversation has its own");
}

#[tokio::test]
async fn where_it_is_off_nobody_is_asked() {
    let website = Website::open(json!({"csat_survey_enabled": false})).await;
    let (visitor, id) = talked(&website).await;
    act(&website.admin, id, "toggle_status", json!({"status": "resolved"})).await.expect(200);
    visitor.says_in(id, "the last one").await.expect(200);
    assert_eq!(contents(&visitor.reads(Some(id)).await), ["hello", "here you are", "the last one"]);
    assert_refused(&survey(&website, &uuid(&website, id).await).await, 404);
}

#[tokio::test]
async fn it_is_rated_in_the_widget() {
    let website = Website::open(json!({"csat_survey_enabled": true})).await;
    let (visitor, id) = talked(&website).await;
    let stranger = website.visitor().await;
    let call = format!("messages/{}", asked(&website.admin, id).await["id"]);
    for (rating, words) in [
        (json!(0), json!("x")),
        (json!(6), json!("x")),
        (json!("many"), json!("x")),
        (Value::Null, json!("x")),
        (json!({}), json!("x")),
        (json!(3), json!({})),
        (json!(3), json!("x".repeat(20_000))),
    ] {
        assert_refused(&visitor.patch(&call, rated(rating, words)).await, 422);
    }
    assert_refused(&stranger.patch(&call, rated(json!(1), json!("not mine"))).await, 404);
    let id_of = uuid(&website, id).await;
    assert_eq!(survey(&website, &id_of).await.expect(200).at("/csat_survey_response"), &Value::Null);

    // The number first, then perhaps words.
    let mut cable = visitor.listen(&website.daemon).await;
    visitor.patch(&call, json!({"message": {"submitted_values": {"csat_survey_response": {"rating": 4}}}})).await.expect(200);
    cable.next_event_where("message.updated", SOON, |message| message["content_attributes"]["submitted_values"].is_object()).await;
    visitor.patch(&call, rated(json!(5), json!("<b>Great</b>"))).await.expect(200);
    let shown = survey(&website, &id_of).await.expect(200);
    assert_eq!(
        (shown.at("/csat_survey_response/rating"), shown.str("/csat_survey_response/feedback_message")),
        (&json!(5), "<b>Great</b>")
    );
    let read = visitor.reads(Some(id)).await;
    let answered = read.iter().find(|message| message["content_type"] == "input_csat").unwrap();
    assert_eq!(answered["content_attributes"]["submitted_values"]["csat_survey_response"]["rating"], 5);
    // An answer opens nothing again.
    assert_eq!(show(&website.admin, id).await.str("/status"), "resolved");
}

#[tokio::test]
async fn it_is_rated_on_its_own_page() {
    let website = Website::open(json!({"name": "Paper & Co", "csat_survey_enabled": true})).await;
    let (visitor, id) = talked(&website).await;
    let id_of = uuid(&website, id).await;
    assert_refused(&survey(&website, &id_of).await, 404);
    let question = asked(&website.admin, id).await;
    let shown = survey(&website, &id_of).await.expect(200);
    let names = "id csat_survey_response display_type content inbox_avatar_url inbox_name locale conversation_id created_at";
    assert_eq!(keys(&shown.body), words(names));
    assert_eq!((shown.at("/id"), shown.str("/inbox_name"), shown.str("/locale")), (&question["id"], "Paper & Co", "en"));
    assert_eq!((shown.str("/display_type"), shown.at("/content")), ("emoji", &question["content"]));
    assert!(shown.id("/conversation_id") > 0);
    crate::webhooks::assert_iso(shown.at("/created_at"));

    let path = format!("/public/api/v1/csat_survey/{id_of}");
    let client = website.daemon.visitor();
    for wrong in [json!({}), json!({"message": {}}), rated(json!(0), json!("x")), rated(json!(6), json!("x")), rated(json!([]), json!("x"))]
    {
        assert_refused(&client.put(&path, wrong).await, 422);
    }
    let put = client.put(&path, rated(json!(2), json!("Too slow"))).await.expect(200);
    assert_eq!((put.at("/csat_survey_response/rating"), put.str("/csat_survey_response/feedback_message")), (&json!(2), "Too slow"));
    assert_eq!(keys(&put.body), words(names));
    client.put(&path, rated(json!(3), Value::Null)).await.expect(200);
    let again = survey(&website, &id_of).await.expect(200);
    assert_eq!(again.at("/csat_survey_response/rating"), 3, "until it is closed, one may think again");
    let read = visitor.reads(Some(id)).await;
    let answered = read.iter().find(|message| message["content_type"] == "input_csat").unwrap();
    assert_eq!(answered["content_attributes"]["submitted_values"]["csat_survey_response"]["rating"], 3, "the widget knows it too");
}
