//! `/cable`: ActionCable's protocol, who hears what, and what becomes of those who do not listen (contract, section 7).

use crate::app::{
    Person, act, administrator, agent, api_inbox, contents, conversation, customer, hear, join, keys, post, say, talk, words,
};
use crate::harness::{Cable, Client, Daemon, SOON, eventually, node_packages};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const MESSAGE: &str = "id content account_id inbox_id conversation_id message_type created_at updated_at private status source_id \
    content_type content_attributes sender_type sender_id external_source_ids additional_attributes processed_message_content \
    sentiment conversation sender";

#[tokio::test]
async fn the_protocol_is_actioncables() {
    let daemon = Daemon::start().await;
    let root = administrator(&daemon).await;
    // Sub-protocol and welcome are checked by the harness with every connection.
    let mut cable = daemon.cable().await;
    let opened = Instant::now();
    // Spaces and order are the client's own; it finds the answer by the very text.
    let identifier =
        format!(r#"{{ "pubsub_token":"{}",  "channel":"RoomChannel", "user_id":{}, "account_id":1 }}"#, root.pubsub_token, root.id);
    let answer = cable.ask_to_subscribe(&identifier).await;
    assert_eq!(answer, json!({"type": "confirm_subscription", "identifier": identifier}));
    let presence = cable.next_frame("who is there", SOON, |frame| frame["message"]["event"] == "presence.update").await;
    assert_eq!(presence.json["identifier"], identifier.as_str());
    assert_eq!(presence.json["message"]["data"]["users"], json!({root.id.to_string(): "online"}));

    let ping = cable.next_frame("a ping", Duration::from_secs(4), |frame| frame["type"] == "ping").await;
    assert!(ping.json["message"].is_i64() && ping.at - opened < Duration::from_secs(4), "{ping:?}");
    cable.next_frame("another ping", Duration::from_secs(4), |frame| frame["type"] == "ping").await;

    for wrong in [
        json!({"channel": "RoomChannel", "pubsub_token": "wrong", "account_id": 1, "user_id": root.id}).to_string(),
        json!({"channel": "RoomChannel", "pubsub_token": root.pubsub_token, "account_id": 2, "user_id": root.id}).to_string(),
        json!({"channel": "OtherChannel", "pubsub_token": root.pubsub_token}).to_string(),
        json!({"channel": "RoomChannel", "pubsub_token": daemon.site().token().unwrap()}).to_string(),
        "no JSON".to_owned(),
    ] {
        assert_eq!(cable.ask_to_subscribe(&wrong).await, json!({"type": "reject_subscription", "identifier": wrong}));
    }
    // What makes no sense is ignored.
    for nonsense in ["nonsense", "{}", "[]", r#"{"command":"dance","identifier":"x"}"#] {
        cable.send_text(nonsense).await;
    }
    cable.perform(&identifier, &json!({"action": "update_presence"})).await;
    cable.next_event("presence.update", SOON).await;
    cable.perform(&identifier, &json!({"action": "dance"})).await;
    admin_contact(&daemon.client()).await;
    cable.next_event("contact.created", SOON).await;

    cable.send_text(&json!({"command": "unsubscribe", "identifier": identifier}).to_string()).await;
    // Commands are obeyed in order: once this is refused, the other is gone.
    cable.ask_to_subscribe("after").await;
    let before = cable.event_names().len();
    admin_contact(&daemon.client()).await;
    cable.next_frame("a ping", SOON, |frame| frame["type"] == "ping").await;
    cable.ask_to_subscribe("later").await;
    assert_eq!(cable.event_names().len(), before, "{:?}", cable.event_names());
}

#[tokio::test]
async fn messages_go_to_those_who_may_see_them() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let (root, member, stranger) = (administrator(&daemon).await, agent(&daemon, "Ada").await, agent(&daemon, "Bob").await);
    let inbox = api_inbox(&admin, json!({"enable_auto_assignment": false})).await;
    let other = api_inbox(&admin, json!({"enable_auto_assignment": false})).await;
    join(&admin, inbox.id, &[&member]).await;
    join(&admin, other.id, &[&stranger]).await;
    let (id, elsewhere) = (talk(&admin, inbox.id, "mia").await, talk(&admin, other.id, "noa").await);
    let (mut of_root, mut of_member) = (listen(&daemon, &root).await, listen(&daemon, &member).await);
    let (mut of_stranger, mut of_contact) = (listen(&daemon, &stranger).await, daemon.cable().await);
    let contact = contact_token(&daemon, &inbox.identifier, "mia").await;
    let identifier = of_contact.subscribe_contact(&contact).await;

    let question = hear(&admin, id, "question").await;
    post(&member.client, id, json!({"content": "note", "private": true})).await.expect(200);
    act(&admin, id, "toggle_priority", json!({"priority": "high"})).await.expect(200);
    let answer = post(&member.client, id, json!({"content": "answer", "echo_id": "e-7"})).await.expect(200).id("/id");
    say(&admin, elsewhere, "elsewhere").await;

    for cable in [&mut of_root, &mut of_member] {
        let created = cable.next_event_where("message.created", SOON, |data| data["id"] == question).await;
        assert_eq!(
            keys(&created),
            words(&format!("{MESSAGE} performer")).into_iter().filter(|name| *name != "performer").collect::<Vec<_>>()
        );
        assert_eq!((&created["message_type"], &created["account_id"], &created["conversation_id"]), (&json!(0), &json!(1), &json!(id)));
        assert!(created["created_at"].is_i64() && created["updated_at"].is_string(), "{created}");
        assert_eq!(created["conversation"]["unread_count"], 1);
        assert_eq!((&created["sender_type"], &created["sender"]["type"]), (&json!("Contact"), &json!("contact")));
        cable.next_event_where("message.created", SOON, |data| data["content"] == "note").await;
        cable.next_event_where("message.created", SOON, |data| data["message_type"] == 2).await;
        let replied = cable.next_event_where("message.created", SOON, |data| data["id"] == answer).await;
        assert_eq!((&replied["echo_id"], &replied["performer"]["id"]), (&json!("e-7"), &json!(member.id)));
        assert_eq!((&replied["sender"]["name"], &replied["sender"]["availability_status"]), (&json!("Ada"), &json!("online")));
        cable.next_event("first.reply.created", SOON).await;
    }
    of_root.next_event_where("message.created", SOON, |data| data["content"] == "elsewhere").await;
    of_stranger.next_event_where("message.created", SOON, |data| data["content"] == "elsewhere").await;
    let heard = |cable: &Cable| -> Vec<Value> {
        let created = cable.frames().iter().filter(|frame| frame.json["message"]["event"] == "message.created");
        created.map(|frame| frame.json["message"]["data"]["content"].clone()).collect()
    };
    // It came last, so nothing else is on its way.
    assert_eq!(heard(&of_stranger), ["elsewhere"], "{:?}", of_stranger.event_names());

    of_contact.next_event_where("message.created", SOON, |data| data["id"] == answer).await;
    assert_eq!(heard(&of_contact), ["question", "answer"], "neither the note nor the activity");
    let hidden = ["first.reply.created", "assignee.changed", "contact.created", "conversation.read"];
    assert!(!of_contact.event_names().iter().any(|name| hidden.contains(name)), "{:?}", of_contact.event_names());
    let data = of_contact.frames().iter().filter(|frame| frame.json.get("message").is_some_and(Value::is_object));
    assert!(data.into_iter().all(|frame| frame.json["identifier"] == identifier.as_str()));
    let presence = of_contact.next_event("presence.update", SOON).await;
    assert!(presence.get("contacts").is_none(), "contacts do not hear of each other: {presence}");
}

#[tokio::test]
async fn agents_hear_what_becomes_of_a_conversation() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let (root, ada) = (administrator(&daemon).await, agent(&daemon, "Ada").await);
    let inbox = api_inbox(&admin, json!({"enable_auto_assignment": false})).await;
    join(&admin, inbox.id, &[&ada]).await;
    let person = customer(&admin, inbox.id, "mia").await;
    let (mut cable, mut of_contact) = (listen(&daemon, &ada).await, daemon.cable().await);
    of_contact.subscribe_contact(&contact_token(&daemon, &inbox.identifier, "mia").await).await;
    let id = conversation(&admin, inbox.id, person.id).await;
    let created = cable.next_event("conversation.created", SOON).await;
    let names = "additional_attributes can_reply channel contact_inbox id inbox_id messages labels meta status custom_attributes \
        snoozed_until unread_count first_reply_created_at priority waiting_since agent_last_seen_at contact_last_seen_at \
        last_activity_at timestamp created_at updated_at account_id performer";
    assert_eq!(keys(&created), words(names));
    assert_eq!((&created["id"], &created["performer"]["id"]), (&json!(id), &json!(root.id)));
    assert_eq!(keys(&created["meta"]), words("sender assignee assignee_type team hmac_verified"));

    act(&admin, id, "assignments", json!({"assignee_id": ada.id})).await.expect(200);
    assert_eq!(cable.next_event("assignee.changed", SOON).await["meta"]["assignee"]["id"], ada.id);
    act(&admin, id, "toggle_status", json!({"status": "resolved"})).await.expect(200);
    assert_eq!(cable.next_event("conversation.status_changed", SOON).await["status"], "resolved");
    assert_eq!(of_contact.next_event("conversation.status_changed", SOON).await["status"], "resolved");
    act(&admin, id, "update_last_seen", json!({})).await.expect(200);
    assert_eq!(cable.next_event("conversation.read", SOON).await["id"], id);
    act(&admin, id, "toggle_priority", json!({"priority": "low"})).await.expect(200);
    cable.next_event_where("conversation.updated", SOON, |data| data["priority"] == "low").await;
    let message = say(&admin, id, "hi").await;
    let report = json!({"status": "delivered"});
    admin.patch(admin.a(&format!("/conversations/{id}/messages/{message}")), report).await.expect(200);
    let updated = cable.next_event("message.updated", SOON).await;
    assert_eq!((&updated["status"], &updated["previous_changes"]["status"]), (&json!("delivered"), &json!(["sent", "delivered"])));
    admin.patch(admin.a(&format!("/contacts/{}", person.id)), json!({"name": "Mia"})).await.expect(200);
    assert_eq!(cable.next_event("contact.updated", SOON).await["name"], "Mia");
    assert!(!of_contact.event_names().contains(&"assignee.changed"));
}

#[tokio::test]
async fn who_did_it_is_told() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let (root, ada) = (administrator(&daemon).await, agent(&daemon, "Ada").await);
    let inbox = api_inbox(&admin, json!({"enable_auto_assignment": false})).await;
    join(&admin, inbox.id, &[&ada]).await;
    let mut cable = listen(&daemon, &root).await;
    let client = &ada.client;
    let made = client.post(client.a("/contacts"), json!({"name": "Mia", "inbox_id": inbox.id})).await.expect(200);
    let contact = made.id("/payload/contact/id");
    assert_eq!(cable.next_event("contact.created", SOON).await["performer"]["id"], ada.id);
    let path = client.a(&format!("/contacts/{contact}"));
    let picture = reqwest::multipart::Part::bytes(b"\x89PNG\r\n\x1a\n0000".to_vec()).file_name("a.png").mime_str("image/png").unwrap();
    let form = reqwest::multipart::Form::new().part("avatar", picture);
    client.patch(&path, json!({"name": "Mia M."})).await.expect(200);
    client.answer(client.request(reqwest::Method::PATCH, &path).multipart(form)).await.expect(200);
    client.delete(format!("{path}/avatar")).await.expect(200);
    client.post(format!("{path}/labels"), json!({"labels": ["vip"]})).await.expect(200);
    client.post(format!("{path}/labels"), json!({"labels": ["vip"]})).await.expect(200);
    for what in ["name", "picture", "no picture", "labels"] {
        let told = cable.next_event("contact.updated", SOON).await;
        assert_eq!((&told["id"], &told["performer"]["id"]), (&json!(contact), &json!(ada.id)), "{what}");
    }
    let own = format!("/public/api/v1/inboxes/{}/contacts", inbox.identifier);
    daemon.visitor().post(own, json!({"name": "Noa"})).await.expect(200);
    let told = cable.next_event("contact.created", SOON).await;
    assert!(told.get("performer").is_none(), "nobody but itself: {told}");
    let updates = cable.event_names().into_iter().filter(|name| *name == "contact.updated").count();
    assert_eq!(updates, 4, "the same labels again are no change");

    let id = conversation(&admin, inbox.id, contact).await;
    let message = say(&admin, id, "hi").await;
    let at = |of: &str| client.a(&format!("/conversations/{id}/messages/{message}{of}"));
    client.patch(at(""), json!({"status": "failed", "external_error": "no phone"})).await.expect(200);
    let failed = cable.next_event_where("message.updated", SOON, |data| data["status"] == "failed").await;
    assert_eq!(failed["performer"]["id"], ada.id);
    client.post(at("/retry"), json!({})).await.expect(200);
    let again = cable.next_event_where("message.updated", SOON, |data| data["status"] == "sent").await;
    assert_eq!(again["performer"]["id"], ada.id);
    client.delete(at("")).await.expect(200);
    let gone = cable.next_event_where("message.updated", SOON, |data| data["content_attributes"]["deleted"] == true).await;
    assert_eq!(gone["performer"]["id"], ada.id);
}

#[tokio::test]
async fn more_than_ten_unread_messages_are_not_told_apart() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let root = administrator(&daemon).await;
    let inbox = api_inbox(&admin, json!({"enable_auto_assignment": false})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    let mut cable = listen(&daemon, &root).await;
    for number in 0..12 {
        hear(&admin, id, &number.to_string()).await;
    }
    let mut told = Vec::new();
    for number in 0..12 {
        let content = number.to_string();
        let heard = cable.next_event_where("message.created", SOON, |data| data["content"] == content.as_str()).await;
        told.push(heard["conversation"]["unread_count"].as_i64().unwrap());
    }
    assert_eq!(told, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10]);
    act(&admin, id, "toggle_priority", json!({"priority": "high"})).await.expect(200);
    let updated = cable.next_event_where("conversation.updated", SOON, |data| data["priority"] == "high").await;
    assert_eq!(updated["unread_count"], 10);
}

#[tokio::test]
async fn typing_is_told_to_the_others() {
    let daemon = Daemon::start().await;
    let (admin, visitor) = (daemon.client(), daemon.visitor());
    let (ada, bob) = (agent(&daemon, "Ada").await, agent(&daemon, "Bob").await);
    let inbox = api_inbox(&admin, json!({"enable_auto_assignment": false})).await;
    join(&admin, inbox.id, &[&ada, &bob]).await;
    let person = customer(&admin, inbox.id, "mia").await;
    let id = conversation(&admin, inbox.id, person.id).await;
    let (mut of_ada, mut of_bob, mut of_contact) = (listen(&daemon, &ada).await, listen(&daemon, &bob).await, daemon.cable().await);
    of_contact.subscribe_contact(&contact_token(&daemon, &inbox.identifier, "mia").await).await;
    assert_eq!(
        act(&ada.client, id, "toggle_typing_status", json!({"typing_status": "on", "is_private": false})).await.expect(200).text,
        ""
    );
    for cable in [&mut of_bob, &mut of_contact] {
        let typing = cable.next_event("conversation.typing_on", SOON).await;
        assert_eq!(
            (&typing["conversation"]["id"], &typing["user"]["name"], &typing["is_private"]),
            (&json!(id), &json!("Ada"), &json!(false))
        );
    }
    act(&ada.client, id, "toggle_typing_status", json!({"typing_status": "on", "is_private": true})).await.expect(200);
    act(&ada.client, id, "toggle_typing_status", json!({"typing_status": "off"})).await.expect(200);
    of_bob.next_event_where("conversation.typing_on", SOON, |data| data["is_private"] == true).await;
    of_bob.next_event("conversation.typing_off", SOON).await;
    of_contact.next_event("conversation.typing_off", SOON).await;
    let path = format!("/public/api/v1/inboxes/{}/contacts/{}/conversations/{id}/toggle_typing", inbox.identifier, person.source_id);
    visitor.post(path, json!({"typing_status": "on"})).await.expect(200);
    let typing = of_ada.next_event("conversation.typing_on", SOON).await;
    assert_eq!((&typing["user"]["type"], &typing["user"]["id"]), (&json!("contact"), &json!(person.id)), "she did not hear of herself");
    hear(&admin, id, "done").await;
    of_contact.next_event_where("message.created", SOON, |data| data["content"] == "done").await;
    let typed: Vec<&str> = of_contact.event_names().into_iter().filter(|name| name.contains("typing")).collect();
    assert_eq!(typed, ["conversation.typing_on", "conversation.typing_off"], "neither the note nor its own");
}

#[tokio::test]
async fn who_comes_and_goes_is_told() {
    let daemon = Daemon::start().await;
    let (root, ada) = (administrator(&daemon).await, agent(&daemon, "Ada").await);
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let person = customer(&admin, inbox.id, "mia").await;
    let mut cable = listen(&daemon, &root).await;
    let (root_id, ada_id) = (root.id.to_string(), ada.id.to_string());
    let first = listen(&daemon, &ada).await;
    let both = json!({root_id.as_str(): "online", ada_id.as_str(): "online"});
    cable.next_event_where("presence.update", SOON, |data| data["users"] == both).await;
    let second = listen(&daemon, &ada).await;
    drop(first);
    let busy = json!({"profile": {"account_id": 1, "availability": "busy"}});
    ada.client.post("/api/v1/profile/availability", busy).await.expect(200);
    cable.next_event_where("presence.update", SOON, |data| data["users"][&ada_id] == "busy").await;
    drop(second);
    cable.next_event_where("presence.update", SOON, |data| data["users"] == json!({root_id.as_str(): "online"})).await;
    // Who need not be there is listed always, with what it chose.
    for (choice, shown) in [(json!({"auto_offline": false}), "busy"), (json!({"availability": "offline"}), "offline")] {
        let mut profile = json!({"account_id": 1});
        profile.as_object_mut().unwrap().extend(choice.as_object().unwrap().clone());
        ada.client.post("/api/v1/profile/availability", json!({"profile": profile})).await.expect(200);
        let users = json!({root_id.as_str(): "online", ada_id.as_str(): shown});
        cable.next_event_where("presence.update", SOON, |data| data["users"] == users).await;
    }

    let mut of_contact = daemon.cable().await;
    let identifier = of_contact.subscribe_contact(&contact_token(&daemon, &inbox.identifier, "mia").await).await;
    of_contact.perform(&identifier, &json!({"action": "update_presence"})).await;
    of_contact.next_event("presence.update", SOON).await;
    let own = json!({"channel": "RoomChannel", "pubsub_token": root.pubsub_token, "account_id": 1, "user_id": root.id}).to_string();
    cable.perform(&own, &json!({"action": "update_presence"})).await;
    let presence =
        cable.next_event_where("presence.update", SOON, |data| data["contacts"] == json!({person.id.to_string(): "online"})).await;
    assert_eq!(presence["account_id"], 1);
}

#[tokio::test]
async fn who_does_not_read_is_cut_and_the_others_go_on() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let (root, deaf) = (administrator(&daemon).await, agent(&daemon, "Deaf").await);
    let inbox = api_inbox(&admin, json!({"enable_auto_assignment": false})).await;
    join(&admin, inbox.id, &[&deaf]).await;
    let id = talk(&admin, inbox.id, "mia").await;
    let mut cable = listen(&daemon, &root).await;
    let mut reads_nothing = listen(&daemon, &deaf).await;
    let (deaf_id, content) = (deaf.id.to_string(), "x".repeat(140_000));
    // More than the kernel and the daemon hold for one socket. That it was cut is seen by its agent being gone.
    let is_gone = |cable: &Cable| {
        let last = cable.frames().iter().rev().find(|frame| frame.json["message"]["event"] == "presence.update");
        last.is_some_and(|frame| frame.json["message"]["data"]["users"].get(&deaf_id).is_none())
    };
    // She was there when she came.
    cable.next_event_where("presence.update", SOON, |data| data["users"].get(&deaf_id).is_some()).await;
    let begun = Instant::now();
    while !is_gone(&cable) {
        assert!(begun.elapsed() < Duration::from_secs(90), "not cut after {} events", cable.event_names().len());
        let message = hear(&admin, id, &content).await;
        cable.next_event_where("message.created", SOON, |data| data["id"] == message).await;
    }
    reads_nothing.closed(SOON).await;
    let message = hear(&admin, id, "still here").await;
    cable.next_event_where("message.created", SOON, |data| data["id"] == message).await;
    assert_eq!(contents(&admin, id).await.last().unwrap(), "still here");
}

#[tokio::test]
async fn a_socket_is_told_when_the_daemon_leaves() {
    let mut daemon = Daemon::start().await;
    let root = administrator(&daemon).await;
    let mut cable = listen(&daemon, &root).await;
    daemon.terminate().await;
    let farewell = cable.next_frame("a farewell", SOON, |frame| frame["type"] == "disconnect").await;
    assert_eq!(farewell.json["reconnect"], true);
    cable.closed(SOON).await;
}

#[tokio::test]
async fn rails_own_client_hears_messages() {
    let Some(packages) = node_packages() else { return };
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let root = administrator(&daemon).await;
    let inbox = api_inbox(&admin, json!({})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    let url = format!("ws://{}/cable", daemon.site().address());
    let identifier = json!({"channel": "RoomChannel", "pubsub_token": root.pubsub_token, "account_id": 1, "user_id": root.id}).to_string();
    let arguments = [url.as_str(), identifier.as_str(), "message.created"];
    let writing = async {
        // The client is there when its user is.
        eventually(SOON, async || {
            let profile = admin.get("/api/v1/profile").await.expect(200);
            (profile.str("/accounts/0/availability_status") == "online").then_some(())
        })
        .await;
        hear(&admin, id, "to rails").await
    };
    let (finished, message) = tokio::join!(packages.run("subscribe.cjs", &arguments), writing);
    let finished = finished.expect(0);
    let lines: Vec<Value> = finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.contains(&json!({"connected": true})), "{}", finished.stdout);
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["event"], &last["data"]["id"], &last["data"]["content"]),
        (&json!("message.created"), &json!(message), &json!("to rails"))
    );
    let wrong = identifier.replace(&root.pubsub_token, "wrong");
    packages.run("subscribe.cjs", &[&url, &wrong, "message.created"]).await.expect(1);
}

/// A websocket that hears what a user hears.
async fn listen(daemon: &Daemon, person: &Person) -> Cable {
    let mut cable = daemon.cable().await;
    cable.subscribe_agent(&person.pubsub_token, 1, person.id).await;
    cable
}

/// What opens the stream of a contact, as the client API tells its app.
async fn contact_token(daemon: &Daemon, inbox: &str, identifier: &str) -> String {
    let path = format!("/public/api/v1/inboxes/{inbox}/contacts");
    daemon.visitor().post(path, json!({"identifier": identifier})).await.expect(200).str("/pubsub_token").to_owned()
}

async fn admin_contact(admin: &Client) {
    admin.post(admin.a("/contacts"), json!({"name": "Somebody"})).await.expect(200);
}
