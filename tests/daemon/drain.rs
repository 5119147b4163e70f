//! SIGTERM under load: nobody who had begun is cut off, what was acknowledged is stored, and what was told is noted.

use crate::harness::{Client, Daemon, Received, Receiver, eventually};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How many post at once, each over connections that it keeps.
const CLIENTS: usize = 16;
/// How long a daemon may take to leave after SIGTERM.
const LEAVES_WITHIN: Duration = Duration::from_secs(10);
/// How often it is stopped: what goes wrong here goes wrong in the moment of a signal, so one signal shows little.
const STOPS: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_cuts_off_nobody() {
    let (mut daemon, receiver) = tokio::join!(Daemon::start(), Receiver::start());
    let client = daemon.client();
    let hook = json!({"url": receiver.url("/hook"), "subscriptions": ["message_created"]});
    client.post(client.a("/webhooks"), hook).await.expect(200);
    let made = client.post(client.a("/inboxes"), json!({"name": "Shop", "channel": {"type": "api"}})).await.expect(200);
    let contacts = format!("/public/api/v1/inboxes/{}/contacts", made.str("/inbox_identifier"));
    let contact = client.post(&contacts, json!({"identifier": "customer"})).await.expect(200);
    let conversations = format!("{contacts}/{}/conversations", contact.str("/source_id"));
    // One for each stop, since a conversation takes only so many messages a minute.
    let mut opened = Vec::new();
    for _ in 0..STOPS {
        opened.push(client.post(&conversations, json!({})).await.expect(200).id("/id"));
    }

    let mut acknowledged: BTreeMap<i64, String> = BTreeMap::new();
    for (stop, conversation) in opened.iter().enumerate() {
        let path = format!("{conversations}/{conversation}/messages");
        let all: Arc<watch::Sender<BTreeMap<i64, String>>> = Arc::default();
        // Each has connections of its own.
        let clients = (0..CLIENTS).map(|number| {
            let name = format!("stop {stop} client {number}");
            tokio::spawn(post_until_refused(daemon.visitor(), path.clone(), name, all.clone()))
        });
        let clients: Vec<_> = clients.collect();
        let mut told = all.subscribe();
        let enough = told.wait_for(|all| all.len() >= 50 + stop * 7);
        tokio::time::timeout(Duration::from_secs(60), enough).await.expect("the clients came to a halt").unwrap();

        let asked = Instant::now();
        daemon.signal("TERM");
        let exit = daemon.ended().await;
        assert_eq!(exit.status.code(), Some(0));
        assert!(asked.elapsed() < LEAVES_WITHIN, "it took {:?}", asked.elapsed());
        for one in join_all(clients).await {
            one.expect("a client failed");
        }
        acknowledged.extend(all.borrow().clone());
        daemon.restart().await;
    }

    let client = daemon.client();
    let mut stored = BTreeMap::new();
    for conversation in opened {
        let all = client.a(&format!("/conversations/{conversation}/messages?after=0&before={}", i64::MAX));
        let page = client.get(all).await.expect(200);
        let rows = page.at("/payload").as_array().unwrap();
        assert!(rows.len() < 1000, "more than a page");
        stored.extend(rows.iter().map(|row| (row["id"].as_i64().unwrap(), row["content"].as_str().unwrap().to_owned())));
    }
    assert_eq!(stored, acknowledged, "as nobody was cut off, everything stored was acknowledged too");

    // Nor was a webhook cut off between its answer and the note of it: each message was told once, and of a conversation in
    // order, which is that of the conversations as well.
    let told = eventually(Duration::from_secs(120), async || {
        let of = |one: &Received| Some((one.json["conversation"]["id"].as_i64()?, one.json["id"].as_i64()?));
        let told: Vec<(i64, i64)> = receiver.received().iter().filter_map(of).collect();
        (told.len() >= stored.len()).then_some(told)
    });
    let mut told = told.await;
    told.sort_by_key(|(conversation, _)| *conversation);
    assert_eq!(told.into_iter().map(|(_, id)| id).collect::<Vec<_>>(), stored.into_keys().collect::<Vec<_>>());
}

/// Posts one message after the other until the daemon takes no connection any more. Any other end fails the test.
async fn post_until_refused(visitor: Client, path: String, name: String, acknowledged: Arc<watch::Sender<BTreeMap<i64, String>>>) {
    for number in 0.. {
        let content = format!("{name} message {number}");
        let request = visitor.request(Method::POST, &path).json(&json!({"content": content}));
        match visitor.try_answer(request).await {
            Ok(answer) => {
                let id = answer.expect(200).id("/id");
                acknowledged.send_modify(|all| _ = all.insert(id, content));
            }
            Err(error) if error.is_connect() => return,
            Err(error) => panic!("{content} was begun and failed: {error:?}"),
        }
    }
}
