//! What a visitor hears over `/cable`, and agents of the visitor (contract, section 7).

use super::Website;
use crate::app::{act, administrator, agent, join, post, say};
use crate::desk::{assert_names, assert_refused};
use crate::harness::{Cable, SOON};
use serde_json::{Value, json};

/// What was said in the frames that came.
fn heard(cable: &Cable) -> Vec<Value> {
    let created = cable.frames().iter().filter(|frame| frame.json["message"]["event"] == "message.created");
    created.map(|frame| frame.json["message"]["data"]["content"].clone()).collect()
}

#[tokio::test]
async fn visitor_and_agent_hear_each_other_and_nobody_else_does() {
    let website = Website::open(json!({})).await;
    let (ada, bob) = (agent(&website.daemon, "Ada").await, agent(&website.daemon, "Bob").await);
    join(&website.admin, website.inbox.id, &[&ada]).await;
    let (visitor, stranger) = (website.visitor().await, website.visitor().await);
    let (mut of_ada, mut of_bob) = (website.daemon.cable().await, website.daemon.cable().await);
    of_ada.subscribe_agent(&ada.pubsub_token, 1, ada.id).await;
    of_bob.subscribe_agent(&bob.pubsub_token, 1, bob.id).await;
    let (mut of_visitor, mut of_stranger) = (visitor.listen(&website.daemon).await, stranger.listen(&website.daemon).await);

    let words = json!({"message": {"content": "question", "echo_id": "00112233445566778899aabbccddeeff"}});
    let written = visitor.post("messages", words).await.expect(200);
    let id = written.id("/conversation_id");
    let at_agent = of_ada.next_event_where("message.created", SOON, |message| message["id"] == *written.at("/id")).await;
    assert_eq!((&at_agent["conversation_id"], &at_agent["sender"]["id"]), (&json!(id), &json!(visitor.contact)));
    assert_eq!((&at_agent["message_type"], &at_agent["sender_type"]), (&json!(0), &json!("Contact")));
    of_ada.next_event_where("conversation.created", SOON, |conversation| conversation["id"] == id).await;
    let own = of_visitor.next_event_where("message.created", SOON, |message| message["id"] == *written.at("/id")).await;
    assert_eq!(own["echo_id"], "00112233445566778899aabbccddeeff", "by which the page knows it again");

    post(&ada.client, id, json!({"content": "between us", "private": true})).await.expect(200);
    act(&ada.client, id, "toggle_priority", json!({"priority": "high"})).await.expect(200);
    let answer = say(&ada.client, id, "answer").await;
    let at_visitor = of_visitor.next_event_where("message.created", SOON, |message| message["id"] == answer).await;
    assert_eq!((&at_visitor["conversation_id"], &at_visitor["message_type"]), (&json!(id), &json!(1)));
    assert_eq!((&at_visitor["sender"]["name"], &at_visitor["sender_type"]), (&json!("Ada"), &json!("User")));
    act(&ada.client, id, "toggle_status", json!({"status": "resolved"})).await.expect(200);
    let resolved = of_visitor.next_event("conversation.status_changed", SOON).await;
    assert_eq!((&resolved["id"], &resolved["status"]), (&json!(id), &json!("resolved")));
    assert_eq!(heard(&of_visitor), ["question", "answer"], "neither the note nor the activities");

    stranger.says("the last one").await;
    of_stranger.next_event_where("message.created", SOON, |message| message["content"] == "the last one").await;
    assert_eq!(heard(&of_stranger), ["the last one"]);
    let names = of_stranger.event_names();
    assert!(!names.contains(&"conversation.status_changed") && !names.contains(&"contact.updated"), "{names:?}");
    let other = super::website(&website.admin, json!({})).await;
    join(&website.admin, other.id, &[&bob]).await;
    super::Visitor::come(&website.daemon.visitor(), &other.token).await.says("elsewhere").await;
    of_bob.next_event_where("message.created", SOON, |message| message["content"] == "elsewhere").await;
    assert_eq!(heard(&of_bob), ["elsewhere"], "who is no member of the inbox hears nothing of it");
}

#[tokio::test]
async fn what_a_visitor_is_told_says_nothing_of_agents() {
    let website = Website::open(json!({})).await;
    let ada = agent(&website.daemon, "Ada").await;
    join(&website.admin, website.inbox.id, &[&ada]).await;
    let visitor = website.visitor().await;
    let id = visitor.says("question").await.id("/conversation_id");
    let mut cable = visitor.listen(&website.daemon).await;
    act(&website.admin, id, "assignments", json!({"assignee_id": ada.id})).await.expect(200);
    act(&ada.client, id, "update_last_seen", json!({})).await.expect(200);
    act(&ada.client, id, "toggle_typing_status", json!({"typing_status": "on", "is_private": true})).await.expect(200);
    act(&ada.client, id, "toggle_typing_status", json!({"typing_status": "on", "is_private": false})).await.expect(200);
    post(&ada.client, id, json!({"content": "a note about her", "private": true})).await.expect(200);
    let answer = say(&ada.client, id, "answer").await;
    cable.next_event_where("message.created", SOON, |message| message["id"] == answer).await;
    let typed: Vec<&str> = cable.event_names().into_iter().filter(|name| *name == "conversation.typing_on").collect();
    assert_eq!(typed.len(), 1, "not that she writes a note");
    let all = cable.frames().iter().map(|frame| frame.json.to_string()).collect::<String>();
    for secret in ["a note about her", "ada@example.com", &ada.pubsub_token, &website.inbox.hmac_token] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
    let hidden = ["assignee.changed", "first.reply.created", "contact.created", "notification.created", "account.cache_invalidated"];
    assert!(!cable.event_names().iter().any(|name| hidden.contains(name)), "{:?}", cable.event_names());
    let presence = cable.frames().iter().find(|frame| frame.json["message"]["event"] == "presence.update").unwrap();
    assert!(presence.json["message"]["data"].get("contacts").is_none(), "visitors do not hear of each other: {}", presence.json);
}

#[tokio::test]
async fn a_visitor_is_told_that_an_agent_has_read() {
    let website = Website::open(json!({})).await;
    let (visitor, stranger) = (website.visitor().await, website.visitor().await);
    let id = visitor.says("question").await.id("/conversation_id");
    stranger.says("other").await;
    let (mut cable, mut of_stranger) = (visitor.listen(&website.daemon).await, stranger.listen(&website.daemon).await);
    act(&website.admin, id, "update_last_seen", json!({})).await.expect(200);
    let read = cable.next_event("conversation.read", SOON).await;
    assert_eq!(read["id"], id);
    assert!(read["agent_last_seen_at"].as_i64() > Some(1_700_000_000), "{read}");
    let listed = visitor.get("conversations/all").await.expect(200);
    assert_eq!(listed.at("/payload/0/agent_last_seen_at"), &read["agent_last_seen_at"]);
    let last = stranger.says("the last one").await.id("/id");
    of_stranger.next_event_where("message.created", SOON, |message| message["id"] == last).await;
    assert!(!of_stranger.event_names().contains(&"conversation.read"), "{:?}", of_stranger.event_names());
}

#[tokio::test]
async fn that_a_visitor_types_is_told_to_agents() {
    let website = Website::open(json!({})).await;
    let root = administrator(&website.daemon).await;
    let visitor = website.visitor().await;
    assert_refused(&visitor.post("conversations/toggle_typing", json!({"typing_status": "on"})).await, 404);
    let (old, id) = (visitor.begins("old").await, visitor.begins("new").await);
    let mut cable = website.daemon.cable().await;
    cable.subscribe_agent(&root.pubsub_token, 1, root.id).await;
    let mut own = visitor.listen(&website.daemon).await;
    assert_eq!(visitor.post("conversations/toggle_typing", json!({"typing_status": "on"})).await.expect(200).text, "");
    let typing = cable.next_event("conversation.typing_on", SOON).await;
    assert_eq!((&typing["conversation"]["id"], &typing["user"]["id"]), (&json!(id), &json!(visitor.contact)));
    assert_eq!((&typing["user"]["type"], &typing["is_private"]), (&json!("contact"), &json!(false)));
    let of_old = format!("conversations/toggle_typing?conversation_id={old}");
    visitor.post(&of_old, json!({"typing_status": "on"})).await.expect(200);
    cable.next_event_where("conversation.typing_on", SOON, |typing| typing["conversation"]["id"] == old).await;
    visitor.post(&of_old, json!({"typing_status": "off"})).await.expect(200);
    cable.next_event_where("conversation.typing_off", SOON, |typing| typing["conversation"]["id"] == old).await;
    for wrong in [json!({"typing_status": "maybe"}), json!({}), json!({"typing_status": {}})] {
        assert_names(&visitor.post(&of_old, wrong).await, 422, "typing_status");
    }
    act(&website.admin, id, "toggle_typing_status", json!({"typing_status": "on", "is_private": false})).await.expect(200);
    let of_agent = own.next_event("conversation.typing_on", SOON).await;
    assert_eq!(of_agent["user"]["type"], "user", "the visitor does not hear of itself");
}

#[tokio::test]
async fn that_a_visitor_is_there_is_seen() {
    let website = Website::open(json!({})).await;
    let root = administrator(&website.daemon).await;
    let visitor = website.visitor().await;
    visitor.says("hello").await;
    assert_eq!(website.contact(visitor.contact).await["availability_status"], "offline");
    let mut cable = visitor.listen(&website.daemon).await;
    let identifier = json!({"channel": "RoomChannel", "pubsub_token": visitor.pubsub_token}).to_string();
    cable.perform(&identifier, &json!({"action": "update_presence"})).await;
    cable.next_event("presence.update", SOON).await;
    assert_eq!(website.contact(visitor.contact).await["availability_status"], "online");
    let mut of_root = website.daemon.cable().await;
    of_root.subscribe_agent(&root.pubsub_token, 1, root.id).await;
    let there = json!({visitor.contact.to_string(): "online"});
    of_root.next_event_where("presence.update", SOON, |presence| presence["contacts"] == there).await;
    // Neither token of a visitor opens what is an agent's.
    let mut forger = website.daemon.cable().await;
    for wrong in [
        json!({"channel": "RoomChannel", "pubsub_token": visitor.auth_token}),
        json!({"channel": "RoomChannel", "pubsub_token": website.inbox.token}),
        json!({"channel": "RoomChannel", "pubsub_token": visitor.claims().1["source_id"]}),
    ] {
        assert_eq!(forger.ask_to_subscribe(&wrong.to_string()).await["type"], "reject_subscription", "{wrong}");
    }
    let as_agent = json!({"channel": "RoomChannel", "pubsub_token": visitor.pubsub_token, "account_id": 1, "user_id": root.id});
    forger.ask_to_subscribe(&as_agent.to_string()).await;
    website.visitor().await.says("not for visitors").await;
    let last = visitor.says("the last one").await.id("/id");
    of_root.next_event_where("message.created", SOON, |message| message["id"] == last).await;
    cable.next_event_where("message.created", SOON, |message| message["id"] == last).await;
    forger.ask_to_subscribe("after").await;
    assert!(!heard(&forger).contains(&json!("not for visitors")), "{:?}", heard(&forger));
    assert!(!heard(&cable).contains(&json!("not for visitors")));
}
