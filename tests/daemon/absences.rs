//! A client that is cut off a hundred times for two seconds while events flow, twice over a restart of the daemon, hears each
//! event once and in order.
//!
//! It takes these 200 seconds, almost all of them waiting. The module is named so that it is the first to start, and the other
//! tests run beside it.

use crate::app::{administrator, api_inbox, hear, talk};
use crate::harness::{Client, Daemon, Proxy, eventually, node_packages};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// How often it is cut off.
const CUTS: usize = 100;
/// For how long.
const AWAY: Duration = Duration::from_secs(2);
/// The longest time between two cuts: sometimes it has resumed when it is cut off again, sometimes it is about to.
const LONGEST_BETWEEN: Duration = Duration::from_millis(400);
/// What is written while it is away, and while it is there.
const MESSAGES: [u32; 2] = [4, 2];
/// How long a client takes to begin.
const BEGIN: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anycables_own_client_misses_nothing_however_often_it_is_cut() {
    let Some(packages) = node_packages() else { return };
    let mut daemon = Daemon::start().await;
    let admin = daemon.client();
    let root = administrator(&daemon).await;
    let inbox = api_inbox(&admin, json!({})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    let proxy = Proxy::start(daemon.site().address()).await;
    let url = format!("ws://{}/cable", proxy.address());
    let parameters = json!({"pubsub_token": root.pubsub_token, "account_id": 1, "user_id": root.id}).to_string();
    let arguments = [url.as_str(), parameters.as_str(), "the last one"];

    let writing = async {
        eventually(BEGIN, async || {
            let profile = admin.get("/api/v1/profile").await.expect(200);
            (profile.str("/accounts/0/availability_status") == "online").then_some(())
        })
        .await;
        let mut written = Vec::new();
        for cut in 0..CUTS {
            let between = rand::random_range(Duration::ZERO..LONGEST_BETWEEN);
            written.extend(write(&admin, id, MESSAGES[1], between).await);
            proxy.close();
            let until = Instant::now() + AWAY;
            written.extend(write(&admin, id, MESSAGES[0], AWAY * 3 / 4).await);
            match cut {
                _ if cut == CUTS / 3 => daemon.restart().await,
                _ if cut == 2 * CUTS / 3 => {
                    daemon.kill();
                    daemon.restart().await;
                }
                _ => {}
            }
            sleep_until(until).await;
            proxy.open();
        }
        written.push(hear(&admin, id, "the last one").await);
        written
    };
    let (finished, written) = tokio::join!(packages.run("resume.mjs", &arguments), writing);
    let finished = finished.expect(0);
    let lines: Vec<Value> = finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let heard: Vec<i64> = lines.iter().filter(|line| line["event"] == "message.created").map(|line| line["id"].as_i64().unwrap()).collect();
    let heard: Vec<i64> = heard.into_iter().filter(|id| written.contains(id)).collect();
    assert_eq!(heard, written, "none missed, none twice, in order");
    let count = |what: &Value| lines.iter().filter(|line| *line == what).count();
    assert!(count(&json!({"connect": true})) >= CUTS / 4, "it came back {} times", count(&json!({"connect": true})));
    assert_eq!(count(&json!({"info": "history_not_found"})), 0);
    assert!(count(&json!({"info": "history_received"})) > CUTS / 8, "{}", finished.stdout);
}

/// Messages of the contact, spread over a time.
async fn write(admin: &Client, conversation: i64, count: u32, over: Duration) -> Vec<i64> {
    let begun = Instant::now();
    let mut ids = Vec::new();
    for number in 0..count {
        sleep_until(begun + over * number / count).await;
        ids.push(hear(admin, conversation, &format!("message {number}")).await);
    }
    sleep(over.saturating_sub(begun.elapsed())).await;
    ids
}
