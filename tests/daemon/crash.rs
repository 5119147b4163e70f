//! `kill -9` under load: what was acknowledged is there exactly once, and every webhook arrives under one stable id.

use crate::app::{count, text};
use crate::harness::{Client, Daemon, Database, Receiver, SOON, eventually};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const CLIENTS: usize = 32;
const KILLS: usize = 50;

/// How many conversations a client with a key of its own for each request writes to.
const CONVERSATIONS: usize = 3;

/// What clients were told: by content, the id of the message.
type Acknowledged = Arc<Mutex<BTreeMap<String, i64>>>;

/// How many messages were acknowledged, and how many may be before the next kill: what is written stays countable on any
/// machine.
#[derive(Default)]
struct Pace {
    acknowledged: AtomicUsize,
    allowed: AtomicUsize,
    more: tokio::sync::Notify,
}

impl Pace {
    /// Returns once another message may be written; false when none will be any more.
    async fn may_write(&self) -> bool {
        loop {
            let more = self.more.notified();
            match self.allowed.load(Ordering::SeqCst) {
                0 => return false,
                allowed if self.acknowledged.load(Ordering::SeqCst) < allowed => return true,
                _ => more.await,
            }
        }
    }

    /// Allows so many in all; 0 ends the writing.
    fn allow(&self, allowed: usize) {
        self.allowed.store(allowed, Ordering::SeqCst);
        self.more.notify_waiters();
    }
}

/// Posts numbered messages to its conversations in turn until told to stop; a message whose answer did not come is posted again.
/// What says that it is the same is a bridge's source id, or the request's `Idempotency-Key` alone.
async fn write(client: Client, paths: Vec<String>, number: usize, said: Acknowledged, pace: Arc<Pace>) {
    let mut next = 0;
    while pace.may_write().await {
        let content = format!("client-{number}-message-{next}");
        let request = client.request(reqwest::Method::POST, &paths[next % paths.len()]);
        let request = match number % 2 {
            0 => request.json(&json!({ "content": content, "source_id": content, "message_type": "incoming" })),
            _ => request.header("Idempotency-Key", &content).json(&json!({ "content": content })),
        };
        match client.try_answer(request).await {
            Ok(answer) if answer.status == 200 => {
                let id = answer.id("/id");
                let before = said.lock().unwrap().insert(content, id);
                assert!(before.is_none_or(|before| before == id), "a repeat was answered with another message");
                pace.acknowledged.fetch_add(1, Ordering::SeqCst);
                next += 1;
            }
            // Refused, broken off, or busy: nothing is known.
            _ => tokio::task::yield_now().await,
        }
    }
}

/// All messages of a conversation as an agent reads them, in pages of a hundred.
async fn stored(admin: &Client, conversation: i64) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let page = admin.get(admin.a(&format!("/conversations/{conversation}/messages?after={after}"))).await.expect(200);
        let Some(rows) = page.at("/payload").as_array().filter(|rows| !rows.is_empty()).cloned() else { return all };
        after = rows.last().unwrap()["id"].as_i64().unwrap();
        all.extend(rows);
    }
}

/// Everything acknowledged is stored once, as it was told. How many are stored.
async fn check(admin: &Client, conversations: &[i64], said: &Acknowledged) -> usize {
    let acknowledged = said.lock().unwrap().clone();
    let mut found: HashMap<String, i64> = HashMap::new();
    for conversation in conversations {
        for row in stored(admin, *conversation).await {
            let content = row["content"].as_str().unwrap().to_owned();
            assert!(row["source_id"].is_null() || row["content"] == row["source_id"]);
            let before = found.insert(content.clone(), row["id"].as_i64().unwrap());
            assert!(before.is_none(), "{content} is stored twice");
        }
    }
    for (content, id) in &acknowledged {
        assert_eq!(found.get(content), Some(id), "{content} was acknowledged and is not stored as it was told");
    }
    found.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_fifty_kills_once_and_every_webhook_arrives_under_one_id() {
    let receiver = Receiver::start().await;
    let mut daemon = Daemon::start().await;
    let admin = daemon.client();
    let channel = json!({ "type": "api", "webhook_url": receiver.url("/hook") });
    let inbox = admin.post(admin.a("/inboxes"), json!({ "name": "App", "channel": channel })).await.expect(200);
    let contacts = format!("/public/api/v1/inboxes/{}/contacts", inbox.str("/inbox_identifier"));
    let (mut paths, mut conversations) = (Vec::new(), Vec::new());
    let visitor = daemon.visitor();
    for number in 0..CLIENTS {
        let contact = visitor.post(&contacts, json!({ "identifier": format!("client-{number}") })).await.expect(200);
        let opened = format!("{contacts}/{}/conversations", contact.str("/source_id"));
        let mut of_client = Vec::new();
        for _ in 0..if number % 2 == 0 { 1 } else { CONVERSATIONS } {
            let id = visitor.post(&opened, json!({})).await.expect(200).id("/id");
            of_client.push(match number % 2 {
                0 => admin.a(&format!("/conversations/{id}/messages")),
                _ => format!("{opened}/{id}/messages"),
            });
            conversations.push(id);
        }
        paths.push(of_client);
    }
    let (said, pace) = (Acknowledged::default(), Arc::new(Pace::default()));
    pace.allow(CLIENTS);
    let writers: Vec<_> = paths
        .into_iter()
        .enumerate()
        .map(|(number, paths)| {
            let client = if number % 2 == 0 { &admin } else { &visitor };
            tokio::spawn(write(client.clone(), paths, number, said.clone(), pace.clone()))
        })
        .collect();
    for kill in 0..KILLS {
        // Each time at another moment: after so many more acknowledged messages, in the middle of whatever is going on then.
        let wanted = pace.acknowledged.load(Ordering::SeqCst) + 20 + kill * 7 % 50;
        // The writers are never told to pause before the kill: it meets them writing.
        pace.allow(wanted + CLIENTS);
        eventually(SOON, || async { (pace.acknowledged.load(Ordering::SeqCst) >= wanted).then_some(()) }).await;
        daemon.kill();
        daemon.restart().await;
        if kill % 10 == 9 {
            check(&admin, &conversations, &said).await;
        }
    }
    pace.allow(0);
    for writer in writers {
        writer.await.unwrap();
    }
    if !Database::is_postgres() {
        assert_eq!(text(&daemon, "PRAGMA integrity_check").await, "ok");
        assert_eq!(count(&daemon, "SELECT count(*) FROM pragma_foreign_key_check").await, 0);
    }
    // What was stored without its answer being heard is at most the last message of each client.
    let (stored_at_last, acknowledged) = (check(&admin, &conversations, &said).await, said.lock().unwrap().len());
    assert!(stored_at_last <= acknowledged + CLIENTS, "{stored_at_last} stored, {acknowledged} acknowledged");
    let mut wanted: BTreeSet<String> = BTreeSet::new();
    for conversation in &conversations {
        wanted.extend(stored(&admin, *conversation).await.iter().map(|row| row["content"].as_str().unwrap().to_owned()));
    }
    // Each message was told under one id, however often; each was told.
    let ids = eventually(Duration::from_secs(120), || async {
        let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for received in receiver.received().iter().filter(|received| received.json["event"] == "message_created") {
            let id = received.header("webhook-id").unwrap().to_owned();
            assert_eq!(received.header("x-chatwoot-delivery"), Some(id.as_str()));
            ids.entry(received.json["content"].as_str().unwrap().to_owned()).or_default().insert(id);
        }
        (ids.len() >= wanted.len()).then_some(ids)
    })
    .await;
    assert_eq!(ids.keys().cloned().collect::<BTreeSet<_>>(), wanted);
    assert!(ids.values().all(|ids| ids.len() == 1), "one message was told under several ids");
}

#[tokio::test]
async fn a_request_repeated_with_its_key_after_a_kill_is_stored_once() {
    let mut daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = admin.post(admin.a("/inboxes"), json!({ "name": "App", "channel": { "type": "api" } })).await.expect(200);
    let contacts = format!("/public/api/v1/inboxes/{}/contacts", inbox.str("/inbox_identifier"));
    let contact = daemon.visitor().post(&contacts, json!({ "identifier": "ada" })).await.expect(200);
    let opened = format!("{contacts}/{}/conversations", contact.str("/source_id"));
    let conversation = daemon.visitor().post(&opened, json!({})).await.expect(200).id("/id");
    let path = admin.a(&format!("/conversations/{conversation}/messages"));
    let post = |key: &str, content: &str| {
        let request = admin.request(reqwest::Method::POST, &path).header("Idempotency-Key", key).json(&json!({ "content": content }));
        let admin = admin.clone();
        async move { admin.answer(request).await }
    };
    let first = post("k1", "hello").await.expect(200);
    daemon.kill();
    daemon.restart().await;
    let again = post("k1", "hello").await.expect(200);
    assert_eq!(again.body, first.body, "the first answer is given again");
    post("k1", "something else").await.expect(422);
    assert_ne!(post("k2", "hello").await.expect(200).id("/id"), first.id("/id"), "another key is another request");
    assert_eq!(stored(&admin, conversation).await.len(), 2);
}
