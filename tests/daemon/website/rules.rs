//! What the desk says by itself to a visitor: the greeting, that nobody is there, and the question for an e-mail address
//! (contract, section 2, Messages, In-server effects).

use super::{Visitor, Website, contents};
use crate::app::{messages, say};
use crate::desk::assert_refused;
use crate::harness::{SOON, eventually};
use serde_json::{Value, json};

fn closed() -> Value {
    let days: Vec<Value> = (0..7).map(|day| json!({"day_of_week": day, "closed_all_day": true})).collect();
    json!({"working_hours_enabled": true, "working_hours": days, "out_of_office_message": "We are closed."})
}

fn open() -> Value {
    json!({"working_hours": (0..7).map(|day| json!({"day_of_week": day, "open_all_day": true})).collect::<Vec<_>>()})
}

/// Waits until the visitor reads so many messages.
async fn reads(visitor: &Visitor, conversation: i64, count: usize) -> Vec<Value> {
    eventually(SOON, async || Some(visitor.reads(Some(conversation)).await).filter(|read| read.len() >= count)).await
}

/// The question for the address among these.
fn question(messages: &[Value]) -> Vec<&Value> {
    messages.iter().filter(|message| message["content_type"] == "input_email").collect()
}

#[tokio::test]
async fn whoever_comes_is_greeted_once_in_each_conversation() {
    let website = Website::open(json!({"greeting_enabled": true, "greeting_message": "Welcome to *us*!"})).await;
    let visitor = website.visitor().await;
    let mut cable = visitor.listen(&website.daemon).await;
    let id = visitor.says("hello").await.id("/conversation_id");
    let greeting = cable.next_event_where("message.created", SOON, |message| message["message_type"] == 3).await;
    assert_eq!((&greeting["content"], &greeting["conversation_id"]), (&json!("Welcome to *us*!"), &json!(id)));
    visitor.says("anyone?").await;
    let read = reads(&visitor, id, 3).await;
    assert_eq!(contents(&read), ["hello", "Welcome to *us*!", "anyone?"]);
    assert!(read[1].get("sender").is_none_or(Value::is_null), "nobody wrote it: {}", read[1]);
    let other = visitor.begins("another matter").await;
    assert_eq!(contents(&reads(&visitor, other, 2).await), ["another matter", "Welcome to *us*!"]);
    website.change(json!({"greeting_enabled": false})).await.expect(200);
    let third = visitor.begins("and another").await;
    say(&website.admin, third, "yes?").await;
    assert_eq!(contents(&reads(&visitor, third, 2).await), ["and another", "yes?"]);
}

#[tokio::test]
async fn whoever_comes_when_nobody_is_there_is_told_so() {
    let website = Website::open(closed()).await;
    let visitor = website.visitor().await;
    let config = visitor.post("config", json!({})).await.expect(200);
    assert_eq!(config.at("/website_channel_config/working_hours_enabled"), true);
    assert_eq!(config.str("/website_channel_config/out_of_office_message"), "We are closed.");
    assert_eq!(config.at("/website_channel_config/working_hours").as_array().map(Vec::len), Some(7));
    let id = visitor.says("hello").await.id("/conversation_id");
    reads(&visitor, id, 2).await;
    visitor.says("anyone?").await;
    say(&website.admin, id, "good morning").await;
    assert_eq!(contents(&reads(&visitor, id, 4).await), ["hello", "We are closed.", "anyone?", "good morning"], "once");

    website.change(open()).await.expect(200);
    let other = website.visitor().await;
    let id = other.says("hello").await.id("/conversation_id");
    say(&website.admin, id, "hello").await;
    assert_eq!(contents(&reads(&other, id, 2).await), ["hello", "hello"]);
}

#[tokio::test]
async fn a_visitor_of_whom_nothing_is_known_is_asked_for_an_address_once() {
    let website = Website::open(json!({"enable_email_collect": true})).await;
    let visitor = website.visitor().await;
    let mut cable = visitor.listen(&website.daemon).await;
    let id = visitor.says("hello").await.id("/conversation_id");
    let asked = cable.next_event_where("message.created", SOON, |message| message["content_type"] == "input_email").await;
    let read = reads(&visitor, id, 3).await;
    let kinds: Vec<_> = read.iter().map(|message| (message["message_type"].as_i64(), message["content_type"].as_str())).collect();
    assert_eq!(kinds, [(Some(0), Some("text")), (Some(3), Some("text")), (Some(3), Some("input_email"))]);
    assert!(!read[1]["content"].as_str().unwrap().is_empty(), "{}", read[1]);
    assert_eq!(question(&read)[0]["id"], asked["id"]);
    visitor.says("anyone?").await;
    say(&website.admin, id, "yes?").await;
    let read = reads(&visitor, id, 5).await;
    assert_eq!((read.len(), question(&read).len()), (5, 1), "{read:?}");

    // What is no address is not kept.
    let call = format!("messages/{}", asked["id"]);
    let answer =
        |address: &str| json!({"contact": {"email": address}, "message": {"submitted_values": [{"name": "email", "value": address}]}});
    for wrong in ["nobody", "", "a b@example.com"] {
        assert_refused(&visitor.patch(&call, answer(wrong)).await, 422);
    }
    assert_eq!(website.contact(visitor.contact).await["email"], Value::Null);
    visitor.patch(&call, answer("Mia@Example.com")).await.expect(200);
    assert_eq!(website.contact(visitor.contact).await["email"], "mia@example.com");
    let told = cable.next_event_where("message.updated", SOON, |message| message["id"] == asked["id"]).await;
    assert_eq!(told["content_attributes"]["submitted_email"], "mia@example.com");
    let stored = messages(&website.admin, id).await.into_iter().find(|message| message["id"] == asked["id"]).unwrap();
    assert_eq!(stored["content_attributes"]["submitted_email"], "mia@example.com");
    assert_eq!(visitor.get("contact").await.expect(200).at("/has_email"), true);
    let third = visitor.begins("a third matter").await;
    say(&website.admin, third, "yes?").await;
    assert!(question(&reads(&visitor, third, 2).await).is_empty());
}

#[tokio::test]
async fn the_address_of_another_is_no_way_to_become_that_one() {
    let website = Website::open(json!({"enable_email_collect": true})).await;
    let mia = website.visitor().await;
    mia.patch("contact", json!({"email": "mia@example.com", "name": "Mia"})).await.expect(200);
    let of_mia = mia.says("a secret").await.id("/conversation_id");
    let eve = website.visitor().await;
    let id = eve.says("hello").await.id("/conversation_id");
    let read = reads(&eve, id, 3).await;
    let call = format!("messages/{}", question(&read)[0]["id"]);
    let values = json!([{"name": "email", "value": "mia@example.com"}]);
    let answer = eve.patch(&call, json!({"contact": {"email": "mia@example.com"}, "message": {"submitted_values": values}})).await;
    assert!(matches!(answer.status, 200 | 422), "{}: {}", answer.request, answer.text);
    let eve = eve.again(None).await;
    assert_eq!(eve.conversations().await, [id]);
    assert_refused(&eve.get(&format!("messages?conversation_id={of_mia}")).await, 404);
    let shown = website.contact(mia.contact).await;
    assert_eq!((&shown["email"], &shown["name"]), (&json!("mia@example.com"), &json!("Mia")));
}

#[tokio::test]
async fn what_a_visitor_is_asked_is_answered_by_that_visitor() {
    let website = Website::open(json!({})).await;
    let (visitor, stranger) = (website.visitor().await, website.visitor().await);
    let id = visitor.says("hello").await.id("/conversation_id");
    let own = stranger.says("hello").await;
    let items = json!([{"title": "Yes", "value": "yes"}, {"title": "No", "value": "no"}]);
    let asked = json!({"content": "Well?", "content_type": "input_select", "content_attributes": {"items": items}});
    let question = crate::app::post(&website.admin, id, asked).await.expect(200).id("/id");
    let said = say(&website.admin, id, "just words").await;
    let note = crate::app::post(&website.admin, id, json!({"content": "hm", "private": true})).await.expect(200).id("/id");
    let mut cable = visitor.listen(&website.daemon).await;
    let right = json!({"message": {"submitted_values": [{"title": "Yes", "value": "yes"}]}});
    visitor.patch(&format!("messages/{question}"), right.clone()).await.expect(200);
    let told = cable.next_event_where("message.updated", SOON, |message| message["id"] == question).await;
    assert_eq!(told["content_attributes"]["submitted_values"], json!([{"title": "Yes", "value": "yes"}]));
    let read = visitor.reads(Some(id)).await;
    let shown = read.iter().find(|message| message["id"] == question).unwrap();
    assert_eq!(shown["content_attributes"]["submitted_values"], json!([{"title": "Yes", "value": "yes"}]));

    assert_refused(&stranger.patch(&format!("messages/{question}"), right.clone()).await, 404);
    for absent in [note, 999_999] {
        assert_refused(&visitor.patch(&format!("messages/{absent}"), right.clone()).await, 404);
    }
    assert_refused(&visitor.patch(&format!("messages/{said}"), right.clone()).await, 422);
    assert_refused(&stranger.patch(&format!("messages/{}", own.id("/id")), right).await, 422);
    for wrong in [json!({}), json!([]), json!("x"), json!(["x"]), json!([{"value": "x".repeat(1500)}]), Value::Null] {
        assert_refused(&visitor.patch(&format!("messages/{question}"), json!({"message": {"submitted_values": wrong}})).await, 422);
    }
}

#[tokio::test]
async fn what_the_desk_says_by_itself_is_in_the_language_of_the_website() {
    let fields = json!({"enable_email_collect": true, "csat_survey_enabled": true, "channel": {"locale": "pt_BR"}});
    let website = Website::open(fields).await;
    let visitor = website.visitor().await;
    let id = visitor.says("olá").await.id("/conversation_id");
    let path = website.admin.a(&format!("/conversations/{id}/toggle_status"));
    website.admin.post(path, json!({"status": "resolved"})).await.expect(200);
    let read = reads(&visitor, id, 4).await;
    let expected = ["Diga-nos como podemos entrar em contato com você.", "Receba a resposta por e-mail", "Por favor, avalie esta conversa"];
    assert_eq!(contents(&read[1..]), expected);
    let uuid = website.admin.get(website.admin.a(&format!("/conversations/{id}"))).await.expect(200).str("/uuid").to_owned();
    let survey = website.daemon.visitor().get(format!("/public/api/v1/csat_survey/{uuid}")).await.expect(200);
    assert_eq!(survey.str("/locale"), "pt_BR");
    website.change(json!({"csat_config": {"language": "fr"}})).await.expect(200);
    assert_eq!(website.daemon.visitor().get(format!("/public/api/v1/csat_survey/{uuid}")).await.expect(200).str("/locale"), "fr");
}
