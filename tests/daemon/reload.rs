//! Settings that change while the daemon runs: one inbox of fifty changes, and the others do not notice.

use crate::desk::{api_inbox, assert_refused, health};
use crate::harness::{Client, Daemon, SOON, eventually};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const INBOXES: usize = 50;

#[tokio::test]
async fn one_of_fifty_inboxes_changes_and_the_others_go_on() {
    let daemon = Daemon::builder().settings(&settings(INBOXES, |_| String::new(), |_| String::new())).start().await;
    let admin = daemon.client();
    let ids = ids(&admin).await;
    assert_eq!(ids.len(), INBOXES);
    let before = sessions(&admin, &ids).await;

    // Only written: the daemon sees it by itself. A greeting needs no new session.
    write(&daemon, &settings(INBOXES, |n| if n == 7 { "greeting_message = \"Hello\"\n".into() } else { String::new() }, |_| String::new()));
    eventually(SOON, async || (shown(&admin, ids["Inbox 7"]).await["greeting_message"] == "Hello").then_some(())).await;

    // A setting of the channel does. Once this has happened, the earlier change is long through.
    let webhook = |n| if n == 9 { "webhook_url = \"http://127.0.0.1:19999/\"\n".into() } else { String::new() };
    write(&daemon, &settings(INBOXES, |_| String::new(), webhook));
    let changed = ids["Inbox 9"];
    eventually(SOON, async || {
        let now = health(&admin, changed).await;
        (now["session"] == 2 && now["state"] == "connected").then_some(())
    })
    .await;
    assert_eq!(shown(&admin, ids["Inbox 7"]).await["greeting_message"], Value::Null, "what the file names no more has its default");
    assert_untouched(&before, &sessions(&admin, &ids).await, &["Inbox 9"]);

    // SIGHUP with the file as it is touches nobody.
    let reloads = reloads(&daemon);
    let before = sessions(&admin, &ids).await;
    daemon.hangup();
    eventually(SOON, async || (self::reloads(&daemon) > reloads).then_some(())).await;
    assert_untouched(&before, &sessions(&admin, &ids).await, &[]);
    assert!(daemon.visitor().get("/metrics").await.expect(200).text.contains("konversio_inboxes 50"));
}

#[tokio::test]
async fn sighup_applies_what_no_watcher_sees() {
    // Behind a link, the file can change without anything happening in the folder that is watched.
    let mut daemon = Daemon::builder().prepare().await;
    let folder = daemon.site().folder().join("elsewhere");
    std::fs::create_dir(&folder).unwrap();
    let target = folder.join("settings.toml");
    std::fs::write(&target, settings(2, |_| String::new(), |_| String::new())).unwrap();
    std::fs::remove_file(daemon.site().settings_file()).unwrap();
    std::os::unix::fs::symlink(&target, daemon.site().settings_file()).unwrap();
    daemon.restart().await;
    let admin = daemon.client();
    let ids = ids(&admin).await;
    let before = sessions(&admin, &ids).await;

    let webhook = |n| if n == 1 { "webhook_url = \"http://127.0.0.1:19999/\"\n".into() } else { String::new() };
    std::fs::write(&target, settings(2, |_| String::new(), webhook)).unwrap();
    daemon.hangup();
    eventually(SOON, async || (health(&admin, ids["Inbox 1"]).await["session"] == 2).then_some(())).await;
    assert_eq!(shown(&admin, ids["Inbox 1"]).await["webhook_url"], "http://127.0.0.1:19999/");
    assert_untouched(&before, &sessions(&admin, &ids).await, &["Inbox 1"]);
}

#[tokio::test]
async fn an_invalid_file_changes_nothing_and_is_reported() {
    let good = settings(2, |_| String::new(), |_| String::new());
    let daemon = Daemon::builder().settings(&good).start().await;
    let admin = daemon.client();
    let ids = ids(&admin).await;
    let before = sessions(&admin, &ids).await;
    let (untouched, valid) = (inboxes(&admin).await, async |value: &str| {
        let line = format!("konversio_config_valid {value}");
        eventually(SOON, async || daemon.visitor().get("/metrics").await.expect(200).text.lines().any(|found| found == line).then_some(()))
            .await;
    });
    valid("1").await;
    let lines = good.lines().count();
    let entry = "[[inbox]]\nname = \"Third\"\n";
    let wrong = [
        // The first inbox of each file would change, if the rest of the file did not stop it.
        (format!("{good}{entry}nmae = \"x\"\n[inbox.channel]\ntype = \"api\"\n"), lines + 3, "nmae"),
        (format!("{good}{entry}enabled = \"perhaps\"\n[inbox.channel]\ntype = \"api\"\n"), lines + 3, "enabled"),
        (format!("{good}{entry}[inbox.channel]\ntype = \"fax\"\n"), lines + 4, "type"),
        (format!("{good}{entry}[inbox.channel]\ntype = \"api\"\nwebhok_url = \"\"\n"), lines + 5, "webhok_url"),
        (format!("{good}[log]\nfilter = 5\n"), lines + 2, "log.filter"),
        (format!("{good}this is not TOML\n"), lines + 1, ""),
    ];
    for (text, line, key) in wrong {
        let logged = daemon.log().len();
        write(&daemon, &text.replace("name = \"Inbox 0\"", "greeting_message = \"changed\"\nname = \"Inbox 0\""));
        let line = line + 1;
        let reported =
            eventually(SOON, async || daemon.log()[logged..].lines().find(|found| found.contains("not applied")).map(str::to_owned)).await;
        assert!(reported.contains("konversio.toml") && reported.contains(key), "{key}: {reported}");
        assert!(reported.contains(&format!(":{line}")) || reported.contains(&format!("line {line}")), "line {line}: {reported}");
        valid("0").await;
    }
    // Readable, and yet not to be applied: half of it must not be either.
    let logged = daemon.log().len();
    let greeting = good.replacen("name = \"Inbox 0\"", "greeting_message = \"changed\"\nname = \"Inbox 0\"", 1);
    write(&daemon, &greeting.replace("name = \"Inbox 1\"", "members = [\"nobody@example.com\"]\nname = \"Inbox 1\""));
    eventually(SOON, async || daemon.log()[logged..].contains("nobody@example.com").then_some(())).await;
    valid("0").await;

    assert_eq!(inboxes(&admin).await, untouched);
    assert_untouched(&before, &sessions(&admin, &ids).await, &[]);
    write(&daemon, &good);
    valid("1").await;
    assert_eq!(inboxes(&admin).await, untouched);
}

#[tokio::test]
async fn an_entry_that_vanishes_is_switched_off_and_comes_back() {
    let daemon = Daemon::builder().settings(&settings(2, |_| String::new(), |_| String::new())).start().await;
    let admin = daemon.client();
    let ids = ids(&admin).await;
    let before = sessions(&admin, &ids).await;
    write(&daemon, &settings(1, |_| String::new(), |_| String::new()));
    eventually(SOON, async || (health(&admin, ids["Inbox 1"]).await["state"] == "disabled").then_some(())).await;
    assert_eq!(shown(&admin, ids["Inbox 1"]).await["enabled"], false);
    assert_untouched(&before, &sessions(&admin, &ids).await, &["Inbox 1"]);

    write(&daemon, &settings(2, |_| String::new(), |_| String::new()));
    eventually(SOON, async || (health(&admin, ids["Inbox 1"]).await["state"] == "connected").then_some(())).await;
    assert_eq!(self::ids(&admin).await, ids, "it is the same inbox");

    std::fs::remove_file(daemon.site().settings_file()).unwrap();
    eventually(SOON, async || (health(&admin, ids["Inbox 0"]).await["state"] == "disabled").then_some(())).await;
    assert_eq!(self::ids(&admin).await, ids);
}

#[tokio::test]
async fn the_api_changes_its_own_inboxes_one_at_a_time_and_leaves_the_files_alone() {
    let daemon = Daemon::builder().settings(&settings(2, |_| String::new(), |_| String::new())).start().await;
    let admin = daemon.client();
    let own = api_inbox(&admin, "Own").await;
    let other = api_inbox(&admin, "Other").await;
    let ids = ids(&admin).await;
    let before = sessions(&admin, &ids).await;
    let managed = admin.a(&format!("/inboxes/{}", ids["Inbox 0"]));
    assert_eq!(shown(&admin, ids["Inbox 0"]).await["managed_by"], "file");
    assert_eq!(shown(&admin, own).await["managed_by"], "api");

    for answer in [
        admin.patch(&managed, json!({"name": "Mine"})).await,
        admin.put(&managed, json!({"channel": {"webhook_url": "http://127.0.0.1:19999/"}})).await,
        admin.delete(&managed).await,
        admin.post(admin.a("/inbox_members"), json!({"inbox_id": ids["Inbox 0"], "user_ids": [1]})).await,
        admin.patch(admin.a("/inbox_members"), json!({"inbox_id": ids["Inbox 0"], "user_ids": [1]})).await,
    ] {
        assert_refused(&answer, 409);
        assert!(answer.str("/error").contains("konversio.toml"), "{}", answer.text);
    }
    assert_eq!(self::ids(&admin).await, ids);

    admin.patch(admin.a(&format!("/inboxes/{own}")), json!({"greeting_message": "Hello"})).await.expect(200);
    admin.patch(admin.a(&format!("/inboxes/{other}")), json!({"channel": {"webhook_url": "http://127.0.0.1:19999/"}})).await.expect(200);
    eventually(SOON, async || (health(&admin, other).await["session"] == 2).then_some(())).await;
    assert_untouched(&before, &sessions(&admin, &ids).await, &["Other"]);
    // Nor does a reload touch what the API manages.
    let reloads = reloads(&daemon);
    daemon.hangup();
    eventually(SOON, async || (self::reloads(&daemon) > reloads).then_some(())).await;
    assert_eq!(shown(&admin, own).await["greeting_message"], "Hello");
    assert_eq!(shown(&admin, own).await["enabled"], true);
    assert_untouched(&before, &sessions(&admin, &ids).await, &["Other"]);
}

/// A settings file with so many API inboxes, and more lines for some of them: in the entry, and in its channel.
fn settings(count: usize, entry: impl Fn(usize) -> String, channel: impl Fn(usize) -> String) -> String {
    (0..count).map(|n| format!("[[inbox]]\nname = \"Inbox {n}\"\n{}[inbox.channel]\ntype = \"api\"\n{}\n", entry(n), channel(n))).collect()
}

fn write(daemon: &Daemon, text: &str) {
    std::fs::write(daemon.site().settings_file(), text).unwrap();
}

async fn inboxes(admin: &Client) -> Value {
    admin.get(admin.a("/inboxes")).await.expect(200).at("/payload").clone()
}

async fn ids(admin: &Client) -> BTreeMap<String, i64> {
    let inboxes = inboxes(admin).await;
    inboxes.as_array().unwrap().iter().map(|inbox| (inbox["name"].as_str().unwrap().to_owned(), inbox["id"].as_i64().unwrap())).collect()
}

async fn shown(admin: &Client, id: i64) -> Value {
    admin.get(admin.a(&format!("/inboxes/{id}"))).await.expect(200).body
}

/// Of each inbox, once it is no longer connecting: the number of its session, and since when it is as it is.
async fn sessions(admin: &Client, ids: &BTreeMap<String, i64>) -> BTreeMap<String, (Value, Value)> {
    let mut sessions = BTreeMap::new();
    for (name, id) in ids {
        let health = eventually(SOON, async || Some(health(admin, *id).await).filter(|health| health["state"] != "connecting")).await;
        sessions.insert(name.clone(), (health["session"].clone(), health["since"].clone()));
    }
    sessions
}

#[track_caller]
fn assert_untouched(before: &BTreeMap<String, (Value, Value)>, after: &BTreeMap<String, (Value, Value)>, but: &[&str]) {
    for (name, session) in before {
        assert_eq!(after[name] == *session, !but.contains(&name.as_str()), "{name}: {session:?}, then {:?}", after[name]);
    }
}

/// How often the settings have been read again.
fn reloads(daemon: &Daemon) -> usize {
    daemon.log().matches("settings reloaded").count()
}
