//! What a socket may hear changes while it is open; and what it may cost: who loses a right hears nothing more at once, who
//! does not read is cut off.

use crate::app::{Person, administrator, agent, api_inbox, conversation, customer, hear, join, say, talk};
use crate::harness::{Cable, Client, Daemon, SOON, eventually};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Sockets that never read.
const DEAF: usize = 20;
/// What is published to them: about 300 KB each.
const LARGE_MESSAGES: usize = 60;
/// More than the bounds of all of them together, and far less than what was published to them (about 360 MB).
const MEMORY: u64 = 150 << 10;

#[tokio::test]
async fn who_leaves_an_inbox_hears_nothing_more_of_it() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let (root, ada) = (administrator(&daemon).await, agent(&daemon, "Ada").await);
    let inbox = api_inbox(&admin, json!({"enable_auto_assignment": false})).await;
    join(&admin, inbox.id, &[&ada]).await;
    let id = talk(&admin, inbox.id, "mia").await;
    let (mut of_root, mut of_ada) = (listen(&daemon, &root).await, listen(&daemon, &ada).await);
    let before = hear(&admin, id, "before").await;
    of_ada.next_event_where("message.created", SOON, |data| data["id"] == before).await;
    // It comes after all that the message changed.
    new_contact(&admin).await;
    of_ada.next_event("contact.created", SOON).await;
    of_ada.next_event("conversation.unread_count_changed", SOON).await;
    admin.patch(admin.a("/inbox_members"), json!({"inbox_id": inbox.id, "user_ids": []})).await.expect(200);
    let heard = of_ada.event_names().len();
    let after = hear(&admin, id, "after").await;
    of_root.next_event_where("message.created", SOON, |data| data["id"] == after).await;
    // What concerns the whole account came later, and is heard.
    new_contact(&admin).await;
    of_ada.next_event("contact.created", SOON).await;
    let told: Vec<&str> = of_ada.event_names().split_off(heard);
    let of_the_account = ["contact.created", "presence.update", "account.cache_invalidated"];
    assert!(told.iter().all(|name| of_the_account.contains(name)), "{told:?}");
}

#[tokio::test]
async fn who_leaves_the_account_or_changes_the_password_is_cut_at_once() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let (root, ada, bob) = (administrator(&daemon).await, agent(&daemon, "Ada").await, agent(&daemon, "Bob").await);
    let mut of_root = listen(&daemon, &root).await;
    let (mut of_ada, mut of_bob) = (listen(&daemon, &ada).await, listen(&daemon, &bob).await);
    let mut extended = daemon.extended_cable().await;
    extended.subscribe_agent(&bob.pubsub_token, 1, bob.id).await;

    admin.delete(admin.a(&format!("/agents/{}", ada.id))).await.expect(200);
    let profile = json!({"profile": {"current_password": "Password1!", "password": "Password2!", "password_confirmation": "Password2!"}});
    let changed = bob.client.put("/api/v1/profile", profile).await.expect(200);
    assert_ne!(changed.str("/pubsub_token"), bob.pubsub_token);
    new_contact(&admin).await;
    of_root.next_event("contact.created", SOON).await;
    for cable in [&mut of_ada, &mut of_bob, &mut extended] {
        let farewell = cable.next_frame("a farewell", SOON, |frame| frame["type"] == "disconnect").await.json;
        assert_eq!((&farewell["reason"], &farewell["reconnect"]), (&json!("unauthorized"), &json!(false)));
        cable.closed(SOON).await;
        assert!(!cable.event_names().contains(&"contact.created"), "{:?}", cable.event_names());
    }
    // The old tokens open nothing; the new one does.
    for (person, token) in [(&ada, ada.pubsub_token.as_str()), (&bob, &bob.pubsub_token)] {
        let identifier = json!({"channel": "RoomChannel", "pubsub_token": token, "account_id": 1, "user_id": person.id}).to_string();
        assert_eq!(daemon.cable().await.ask_to_subscribe(&identifier).await["type"], "reject_subscription");
    }
    let mut again = daemon.cable().await;
    again.subscribe_agent(changed.str("/pubsub_token"), 1, bob.id).await;
    of_root.next_event_where("presence.update", SOON, |data| data["users"].get(ada.id.to_string()).is_none()).await;
    new_contact(&admin).await;
    again.next_event("contact.created", SOON).await;
    of_root.next_event("contact.created", SOON).await;
}

#[tokio::test]
async fn contacts_hear_their_own_conversations_only() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let root = administrator(&daemon).await;
    let inbox = api_inbox(&admin, json!({})).await;
    let (mia, noa) = (customer(&admin, inbox.id, "mia").await, customer(&admin, inbox.id, "noa").await);
    let (of_mia, of_noa) = (conversation(&admin, inbox.id, mia.id).await, conversation(&admin, inbox.id, noa.id).await);
    let mut cable = daemon.cable().await;
    let path = format!("/public/api/v1/inboxes/{}/contacts", inbox.identifier);
    let token = daemon.visitor().post(path, json!({"identifier": "mia"})).await.expect(200).str("/pubsub_token").to_owned();
    cable.subscribe_contact(&token).await;
    say(&admin, of_noa, "to noa").await;
    admin.patch(admin.a(&format!("/contacts/{}", mia.id)), json!({"name": "Mia"})).await.expect(200);
    let own = say(&admin, of_mia, "to mia").await;
    let heard = cable.next_event_where("message.created", SOON, |data| data["id"] == own).await;
    assert_eq!(heard["performer"]["id"], root.id);
    let created = cable.frames().iter().filter(|frame| frame.json["message"]["event"] == "message.created");
    assert_eq!(created.map(|frame| &frame.json["message"]["data"]["content"]).collect::<Vec<_>>(), ["to mia"]);
    assert!(!cable.event_names().iter().any(|name| name.starts_with("contact.")), "{:?}", cable.event_names());
    // Her other window closes: she is still there.
    let mut second = daemon.cable().await;
    second.subscribe_contact(&token).await;
    let mut of_root = listen(&daemon, &root).await;
    drop(second);
    let identifier = json!({"channel": "RoomChannel", "pubsub_token": root.pubsub_token, "account_id": 1, "user_id": root.id}).to_string();
    eventually(SOON, async || {
        // The gauge counts subscriptions: hers and root's are left.
        let metrics = daemon.visitor().get("/metrics").await.expect(200).text;
        metrics.lines().any(|line| line == "konversio_subscriptions 2").then_some(())
    })
    .await;
    let before = of_root.frames().len();
    of_root.perform(&identifier, &json!({"action": "update_presence"})).await;
    new_contact(&admin).await;
    of_root.next_event("contact.created", SOON).await;
    let presence = of_root.frames().iter().skip(before).filter(|frame| frame.json["message"]["event"] == "presence.update");
    let online: Vec<&Value> = presence.map(|frame| &frame.json["message"]["data"]["contacts"]).collect();
    assert_eq!(online.last(), Some(&&json!({mia.id.to_string(): "online"})));
}

#[tokio::test]
async fn commands_before_the_welcome_are_answered_after_it() {
    let daemon = Daemon::start().await;
    let mut socket = TcpStream::connect(daemon.site().address()).await.unwrap();
    let mut sent = upgrade("actioncable-v1-json");
    sent.extend(text_frame(r#"{"command":"subscribe","identifier":"early"}"#));
    socket.write_all(&sent).await.unwrap();
    let mut read = Vec::new();
    let both = async {
        while !String::from_utf8_lossy(&read).contains("reject_subscription") {
            assert_ne!(socket.read_buf(&mut read).await.unwrap(), 0);
        }
    };
    tokio::time::timeout(SOON, both).await.expect("no answer");
    let text = String::from_utf8_lossy(&read);
    assert!(text.find("welcome").unwrap() < text.find("reject_subscription").unwrap(), "{text}");
}

#[tokio::test]
async fn sockets_that_never_read_cost_little_and_are_closed() {
    let daemon = Daemon::start().await;
    let Some(memory) = daemon.memory() else { return crate::harness::skipped("memory of deaf sockets", "the system does not tell it") };
    let admin = daemon.client();
    let (root, deaf) = (administrator(&daemon).await, agent(&daemon, "Deaf").await);
    let inbox = api_inbox(&admin, json!({"enable_auto_assignment": false})).await;
    join(&admin, inbox.id, &[&deaf]).await;
    let id = talk(&admin, inbox.id, "mia").await;
    let mut cable = listen(&daemon, &root).await;
    let before = daemon.open_sockets().unwrap();
    let identifier = json!({"channel": "RoomChannel", "pubsub_token": deaf.pubsub_token, "account_id": 1, "user_id": deaf.id}).to_string();
    let mut sockets = Vec::new();
    for protocol in ["actioncable-v1-json", "actioncable-v1-ext-json"].into_iter().cycle().take(DEAF) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut socket = socket.connect(daemon.site().address().parse().unwrap()).await.unwrap();
        let mut sent = upgrade(protocol);
        sent.extend(text_frame(&json!({"command": "subscribe", "identifier": identifier}).to_string()));
        socket.write_all(&sent).await.unwrap();
        sockets.push(socket);
    }
    eventually(SOON, async || {
        let metrics = daemon.visitor().get("/metrics").await.expect(200).text;
        let all = format!("konversio_subscriptions {}", DEAF + 1);
        metrics.lines().any(|line| line == all).then_some(())
    })
    .await;
    let content = "x".repeat(140_000);
    let mut most = 0;
    for _ in 0..LARGE_MESSAGES {
        let message = hear(&admin, id, &content).await;
        cable.next_event_where("message.created", SOON, |data| data["id"] == message).await;
        most = most.max(daemon.memory().unwrap());
    }
    assert!(most < memory + MEMORY, "{DEAF} deaf sockets: {memory} KiB before, {most} KiB at most");
    // They are gone from the index, and their connections from the system, although nobody reads or closes them.
    eventually(Duration::from_secs(60), async || (daemon.open_sockets().unwrap() <= before + 2).then_some(())).await;
    let message = hear(&admin, id, "still here").await;
    cable.next_event_where("message.created", SOON, |data| data["id"] == message).await;
    drop(sockets);
}

fn upgrade(protocol: &str) -> Vec<u8> {
    format!(
        "GET /cable HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
    )
    .into_bytes()
}

/// As clients frame a text; masked with zeros.
fn text_frame(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap();
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend(length.to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    frame
}

async fn listen(daemon: &Daemon, person: &Person) -> Cable {
    let mut cable = daemon.cable().await;
    cable.subscribe_agent(&person.pubsub_token, 1, person.id).await;
    cable
}

async fn new_contact(admin: &Client) {
    admin.post(admin.a("/contacts"), json!({"name": "Somebody"})).await.expect(200);
}
