//! The extended protocol: who was away hears, from the log, exactly what it missed; or is told that this cannot be.

use crate::app::{Person, administrator, conversation};
use crate::app::{agent, api_inbox, customer, hear, join, post, say, talk};
use crate::harness::{Cable, Daemon, Proxy, SOON, eventually, node_packages};
use serde_json::{Value, json};
use std::time::Duration;

/// How often the client of the drop test is cut off.
const CUTS: usize = 100;
/// The longest time between two cuts, in milliseconds.
const LONGEST_PAUSE: u64 = 40;
/// What is written between two cuts.
const MESSAGES: usize = 3;

#[tokio::test]
async fn a_client_learns_its_place_and_resumes_from_it_over_a_restart() {
    let mut daemon = Daemon::start().await;
    let admin = daemon.client();
    let root = administrator(&daemon).await;
    let inbox = api_inbox(&admin, json!({})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    let identifier = identifier_of(&root);

    let mut cable = Cable::connect_extended(&daemon.base_url()).await;
    let welcome = cable.frames()[0].json.clone();
    assert!(welcome["sid"].as_str().is_some_and(|sid| sid.len() >= 16), "{welcome}");
    assert_eq!(cable.ask_to_subscribe(&identifier).await, json!({"type": "confirm_subscription", "identifier": identifier}));
    let first = place(&cable.next_frame("who is there", SOON, |frame| frame["message"]["event"] == "presence.update").await.json);
    let heard = hear(&admin, id, "one").await;
    let one = cable.next_frame("a message", SOON, |frame| frame["message"]["data"]["id"] == heard).await.json;
    assert_eq!(one["identifier"], identifier.as_str());
    let second = place(&one);
    assert_eq!((&first.0, &first.1), (&second.0, &second.1), "one stream, one log");
    assert!(second.2 > first.2, "{first:?} {second:?}");
    drop(cable);

    let missed = [hear(&admin, id, "two").await, say(&admin, id, "three").await];
    daemon.restart().await;
    let later = hear(&admin, id, "four").await;
    let mut cable = daemon.extended_cable().await;
    let answers = resume(&mut cable, &identifier, &streams(&second)).await;
    assert_eq!(messages_of(&answers), [missed[0], missed[1], later]);
    let offsets: Vec<i64> = answers.iter().filter_map(|frame| frame["offset"].as_i64()).collect();
    assert!(offsets.is_sorted() && offsets[0] >= second.2, "{offsets:?}");
    assert_eq!(kinds(&answers), ["confirm_subscription", "confirm_history"]);
    let live = hear(&admin, id, "five").await;
    cable.next_event_where("message.created", SOON, |data| data["id"] == live).await;

    // A subscription that listens already is told what came before, and nothing that it heard.
    let mut other = daemon.extended_cable().await;
    other.ask_to_subscribe(&identifier).await;
    let newest = hear(&admin, id, "six").await;
    other.next_event_where("message.created", SOON, |data| data["id"] == newest).await;
    other.send_text(&json!({"command": "history", "identifier": identifier, "history": streams(&second)}).to_string()).await;
    let answers = told(&mut other, &identifier, "confirm_history").await;
    let told: Vec<i64> = messages_of(&answers).into_iter().filter(|id| *id != newest).collect();
    assert_eq!(told, [missed[0], missed[1], later, live]);
    assert_eq!(messages_of(&answers).iter().filter(|id| **id == newest).count(), 1, "it was heard, and not told again");
}

#[tokio::test]
async fn a_client_without_a_place_resumes_from_a_time() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let root = administrator(&daemon).await;
    let inbox = api_inbox(&admin, json!({})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    let mut written = Vec::new();
    for number in 0..30 {
        written.push(hear(&admin, id, &number.to_string()).await);
    }
    let identifier = identifier_of(&root);
    let begun = seconds_now();
    let mut cable = daemon.extended_cable().await;
    assert_eq!(messages_of(&resume(&mut cable, &identifier, &json!({"since": begun - 600})).await), written);
    let mut cable = daemon.extended_cable().await;
    assert_eq!(messages_of(&resume(&mut cable, &identifier, &json!({"since": begun + 600})).await), [0; 0]);
    // From the second in which the clock stood when something was written.
    eventually(SOON, async || (seconds_now() > begun + 1).then_some(())).await;
    let (since, later) = (seconds_now(), hear(&admin, id, "later").await);
    let mut cable = daemon.extended_cable().await;
    assert_eq!(messages_of(&resume(&mut cable, &identifier, &json!({"since": since, "streams": {}})).await), [later]);
}

#[tokio::test]
async fn what_the_log_does_not_hold_is_refused_and_the_client_hears_what_comes() {
    let mut daemon = Daemon::start().await;
    let admin = daemon.client();
    let root = administrator(&daemon).await;
    let inbox = api_inbox(&admin, json!({})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    let identifier = identifier_of(&root);
    let mut cable = daemon.extended_cable().await;
    cable.ask_to_subscribe(&identifier).await;
    let begin = place(&cable.next_frame("who is there", SOON, |frame| frame["message"].is_object()).await.json);
    let before = seconds_now() - 1;
    for number in 0..20 {
        hear(&admin, id, &number.to_string()).await;
    }
    let (stream, epoch, offset) = begin.clone();
    for wrong in [
        streams(&(stream.clone(), "another".into(), offset)),
        streams(&(stream.clone(), epoch.clone(), offset + 100_000)),
        streams(&(stream.clone(), epoch.clone(), -1)),
        json!({"since": "yesterday"}),
        json!("nonsense"),
    ] {
        let mut cable = daemon.extended_cable().await;
        let answers = resume(&mut cable, &identifier, &wrong).await;
        assert_eq!((kinds(&answers), messages_of(&answers)), (vec!["confirm_subscription", "reject_history"], vec![]), "{wrong}");
        let live = hear(&admin, id, "live").await;
        cable.next_event_where("message.created", SOON, |data| data["id"] == live).await;
        cable.send_text(&json!({"command": "history", "identifier": identifier, "history": wrong}).to_string()).await;
        cable.next_frame("a refusal", SOON, |frame| frame["type"] == "reject_history").await;
    }
    let mut whole = daemon.extended_cable().await;
    assert!(messages_of(&resume(&mut whole, &identifier, &streams(&begin)).await).len() >= 20);

    // The log is bounded, and knows from where on it is whole.
    daemon.kill();
    daemon.site_mut().environment.insert("KONVERSIO__EVENTS__RETENTION_ROWS".into(), "10".into());
    daemon.restart().await;
    eventually(SOON, async || {
        let mut cable = daemon.extended_cable().await;
        let answers = resume(&mut cable, &identifier, &streams(&begin)).await;
        kinds(&answers).contains(&"reject_history").then_some(())
    })
    .await;
    let mut since = daemon.extended_cable().await;
    assert!(kinds(&resume(&mut since, &identifier, &json!({"since": before})).await).contains(&"reject_history"));
    let place = place(&since.next_frame("who is there", SOON, |frame| frame["message"]["event"] == "presence.update").await.json);
    let live = hear(&admin, id, "after").await;
    let mut cable = daemon.extended_cable().await;
    let answers = resume(&mut cable, &identifier, &streams(&place)).await;
    assert_eq!((kinds(&answers), messages_of(&answers)), (vec!["confirm_subscription", "confirm_history"], vec![live]));
}

#[tokio::test]
async fn a_history_holds_what_its_reader_may_hear_now() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let (root, ada) = (administrator(&daemon).await, agent(&daemon, "Ada").await);
    let inbox = api_inbox(&admin, json!({"enable_auto_assignment": false})).await;
    let other = api_inbox(&admin, json!({"enable_auto_assignment": false})).await;
    join(&admin, inbox.id, &[&ada]).await;
    let (mia, noa) = (customer(&admin, inbox.id, "mia").await, customer(&admin, inbox.id, "noa").await);
    let id = conversation(&admin, inbox.id, mia.id).await;
    let of_noa = conversation(&admin, inbox.id, noa.id).await;
    let elsewhere = talk(&admin, other.id, "eve").await;

    let question = hear(&admin, id, "question").await;
    let note = post(&admin, id, json!({"content": "note", "private": true})).await.expect(200).id("/id");
    let answer = say(&admin, id, "answer").await;
    let to_noa = say(&admin, of_noa, "to noa").await;
    let hidden = say(&admin, elsewhere, "elsewhere").await;
    let typing = json!({"typing_status": "on"});
    admin.post(admin.a(&format!("/conversations/{id}/toggle_typing_status")), typing).await.expect(200);

    let all = json!({"since": 0});
    let path = format!("/public/api/v1/inboxes/{}/contacts", inbox.identifier);
    let token = daemon.visitor().post(path, json!({"identifier": "mia"})).await.expect(200).str("/pubsub_token").to_owned();
    let of_contact = json!({"channel": "RoomChannel", "pubsub_token": token}).to_string();
    for (identifier, expected) in [
        (identifier_of(&root), vec![question, note, answer, to_noa, hidden]),
        (identifier_of(&ada), vec![question, note, answer, to_noa]),
        (of_contact, vec![question, answer]),
    ] {
        let mut cable = daemon.extended_cable().await;
        let answers = resume(&mut cable, &identifier, &all).await;
        let told: Vec<i64> = messages_of(&answers).into_iter().filter(|id| [question, note, answer, to_noa, hidden].contains(id)).collect();
        assert_eq!(told, expected);
        let events: Vec<&str> = answers.iter().filter_map(|frame| frame["message"]["event"].as_str()).collect();
        assert!(!events.iter().any(|event| event.contains("typing")), "{events:?}");
        assert_eq!(events.contains(&"contact.created"), expected.len() > 2, "{events:?}");
    }
    // She leaves the inbox: nothing of it is told to her any more.
    admin.patch(admin.a("/inbox_members"), json!({"inbox_id": inbox.id, "user_ids": []})).await.expect(200);
    let mut cable = daemon.extended_cable().await;
    assert_eq!(messages_of(&resume(&mut cable, &identifier_of(&ada), &all).await), [0; 0]);
}

#[tokio::test]
async fn what_is_not_understood_is_answered_and_the_socket_stays() {
    let daemon = Daemon::start().await;
    let root = administrator(&daemon).await;
    let mut cable = daemon.extended_cable().await;
    for (nonsense, reason) in [
        ("nonsense", "malformed"),
        (r#"{"command":"dance","identifier":"x"}"#, "unknown_command"),
        (r#"{"command":"whisper"}"#, "unknown_command"),
    ] {
        cable.send_text(nonsense).await;
        let answer = cable.next_frame("an answer", SOON, |frame| frame["type"] == "error").await;
        assert_eq!(answer.json["reason"], reason);
    }
    cable.send_text(r#"{"command":"pong"}"#).await;
    let identifier = identifier_of(&root);
    cable.send_text(&json!({"command": "history", "identifier": identifier, "history": {"since": 0}}).to_string()).await;
    cable.next_frame("a refusal", SOON, |frame| frame["type"] == "reject_history").await;
    assert_eq!(cable.ask_to_subscribe(&identifier).await["type"], "confirm_subscription");
    // Too much for one command.
    let mut cable = daemon.extended_cable().await;
    cable.send_text(&"x".repeat(100_000)).await;
    let why = cable.closed(SOON).await;
    assert!(why.contains("Size") || why.contains("broke"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anycables_own_client_misses_nothing_however_often_it_is_cut() {
    let Some(packages) = node_packages() else { return };
    let mut daemon = Daemon::start().await;
    let admin = daemon.client();
    let root = administrator(&daemon).await;
    let inbox = api_inbox(&admin, json!({})).await;
    // Several, since one takes only so many messages a minute.
    let mut talks = Vec::new();
    for name in ["mia", "noa", "lea", "kai", "ivo", "uma", "eva", "leo"] {
        talks.push(talk(&admin, inbox.id, name).await);
    }
    let proxy = Proxy::start(daemon.site().address()).await;
    let url = format!("ws://{}/cable", proxy.address());
    let parameters = json!({"pubsub_token": root.pubsub_token, "account_id": 1, "user_id": root.id}).to_string();
    let arguments = [url.as_str(), parameters.as_str(), "the last one"];

    let writing = async {
        eventually(SOON, async || {
            let profile = admin.get("/api/v1/profile").await.expect(200);
            (profile.str("/accounts/0/availability_status") == "online").then_some(())
        })
        .await;
        let mut written = Vec::new();
        for cut in 0..CUTS {
            let pause = Duration::from_millis(rand::random_range(0..LONGEST_PAUSE));
            let write = async {
                let mut ids = Vec::new();
                for number in 0..MESSAGES {
                    ids.push(hear(&admin, talks[cut % talks.len()], &format!("{cut}.{number}")).await);
                }
                ids
            };
            let cutting = async {
                tokio::time::sleep(pause).await;
                proxy.cut();
            };
            let (ids, ()) = tokio::join!(write, cutting);
            written.extend(ids);
            match cut {
                _ if cut == CUTS / 3 => daemon.restart().await,
                _ if cut == 2 * CUTS / 3 => {
                    daemon.kill();
                    daemon.restart().await;
                }
                _ => {}
            }
        }
        written.push(hear(&admin, talks[0], "the last one").await);
        written
    };
    let (finished, written) = tokio::join!(packages.run("resume.mjs", &arguments), writing);
    let finished = finished.expect(0);
    let lines: Vec<Value> = finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let heard: Vec<i64> = lines.iter().filter(|line| line["event"] == "message.created").map(|line| line["id"].as_i64().unwrap()).collect();
    let heard: Vec<i64> = heard.into_iter().filter(|id| written.contains(id)).collect();
    assert_eq!(heard, written, "none missed, none twice, in order");
    let count = |what: &Value| lines.iter().filter(|line| *line == what).count();
    assert!(count(&json!({"connect": true})) >= CUTS / 4, "it was cut off {} times", count(&json!({"connect": true})));
    assert_eq!(count(&json!({"info": "history_not_found"})), 0);
    assert!(count(&json!({"info": "history_received"})) > CUTS / 8, "{}", finished.stdout);
}

fn identifier_of(person: &Person) -> String {
    json!({"channel": "RoomChannel", "pubsub_token": person.pubsub_token, "account_id": 1, "user_id": person.id}).to_string()
}

/// Stream, epoch, offset.
type Place = (String, String, i64);

fn place(frame: &Value) -> Place {
    let text = |name: &str| frame[name].as_str().unwrap_or_else(|| panic!("no {name}: {frame}")).to_owned();
    (text("stream_id"), text("epoch"), frame["offset"].as_i64().unwrap())
}

fn streams((stream, epoch, offset): &Place) -> Value {
    json!({"streams": {stream.as_str(): {"epoch": epoch, "offset": offset}}})
}

/// Subscribes with a history; all frames up to its end.
async fn resume(cable: &mut Cable, identifier: &str, history: &Value) -> Vec<Value> {
    cable.send_text(&json!({"command": "subscribe", "identifier": identifier, "history": history}).to_string()).await;
    told(cable, identifier, "_history").await
}

/// All frames but pings up to the one that ends a history.
async fn told(cable: &mut Cable, identifier: &str, end: &str) -> Vec<Value> {
    let is_end = |frame: &Value| frame["type"].as_str().is_some_and(|kind| kind.ends_with(end)) && frame["identifier"] == identifier;
    cable.next_frame("the end of the history", SOON, is_end).await;
    let frames = cable.frames().iter().map(|frame| frame.json.clone());
    frames.filter(|frame| frame["type"] != "ping" && frame["type"] != "welcome").collect()
}

fn kinds(frames: &[Value]) -> Vec<&str> {
    frames.iter().filter_map(|frame| frame["type"].as_str()).collect()
}

fn messages_of(frames: &[Value]) -> Vec<i64> {
    let created = frames.iter().filter(|frame| frame["message"]["event"] == "message.created");
    created
        .filter(|frame| frame["message"]["data"]["message_type"] != 2)
        .filter_map(|frame| frame["message"]["data"]["id"].as_i64())
        .collect()
}

/// Seconds since 1970.
fn seconds_now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}
