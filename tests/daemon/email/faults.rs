//! Whatever breaks while mail comes in, every mail is there afterwards, and none twice.

use super::gate::Gate;
use super::{Desk, mail};
use crate::harness::{Daemon, SOON, eventually};
use crate::mail_servers::PASSWORD;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn numbered(number: usize) -> Vec<u8> {
    mail("bob@support.test", &format!("{number}@bob.test"), "Subject: many\n", &text(number))
}

fn text(number: usize) -> String {
    format!("mail number {number}")
}

fn texts(count: usize) -> Vec<String> {
    (1..=count).map(text).collect()
}

/// What makes the daemon speak to a gate, which reads along.
fn in_the_clear(gate: &Gate) -> Value {
    json!({
        "imap_address": "127.0.0.1", "imap_port": gate.port, "imap_enable_ssl": false, "imap_enable_starttls_auto": false,
    })
}

/// A desk whose IMAP connection passes a gate.
async fn behind_a_gate() -> Option<(Desk, Gate)> {
    let servers = Desk::servers()?;
    let gate = Gate::start(servers.imap_port).await;
    let channel = in_the_clear(&gate);
    Some((Desk::with(servers, Daemon::builder(), channel, json!({})).await, gate))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_anywhere_neither_loses_nor_doubles() {
    let Some((mut desk, gate)) = behind_a_gate().await else { return };
    desk.is_in_state("connected").await;
    let commands = ["UID STORE", "BODY.PEEK", "RFC822.SIZE", "UID SEARCH", "DONE", "IDLE"];
    for (number, command) in (1..).zip(commands) {
        gate.cut_before(command, 1);
        desk.servers.deliver("support", &numbered(number));
        eventually(SOON * 2, async || (gate.cuts() == number).then_some(())).await;
        desk.wait_for_received(texts(number)).await;
    }
    let health = desk.is_in_state("connected").await;
    assert!(health.id("/session") > 1 && health.at("/last_error").is_string(), "{}", health.text);
    eventually(SOON, async || desk.servers.mails("support").iter().all(|mail| mail.seen).then_some(())).await;

    // The server itself goes, right after a mail was stored, and stays away for a while.
    desk.servers.deliver("support", &numbered(7));
    desk.wait_for_received(texts(7)).await;
    desk.servers_mut().stop_imap();
    desk.is_in_state("waiting").await;
    desk.servers_mut().start_imap();
    desk.servers.deliver("support", &numbered(8));
    desk.wait_for_received(texts(8)).await;

    // The server numbers the mailbox anew.
    desk.servers_mut().change_uid_validity("support");
    desk.servers.deliver("support", &numbered(9));
    desk.wait_for_received(texts(9)).await;
    desk.is_in_state("connected").await;
    desk.servers.deliver("support", &numbered(10));
    desk.wait_for_received(texts(10)).await;
    assert_eq!(desk.health().await.id("/parked"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_breaks_every_session_is_passed() {
    let Some((desk, gate)) = behind_a_gate().await else { return };
    desk.is_in_state("connected").await;
    gate.cut_before("UID FETCH 1 (UID BODY.PEEK", usize::MAX);
    desk.servers.deliver("support", &numbered(1));
    desk.servers.deliver("support", &numbered(2));
    desk.wait_for_received(vec![text(2)]).await;
    assert_eq!(gate.cuts(), 5, "so often it is tried");
    let health = desk.is_in_state("connected").await;
    assert_eq!(health.id("/parked"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_waits_for_a_person() {
    let Some(servers) = Desk::servers() else { return };
    servers.deliver("support", &numbered(1));
    let desk = Desk::with(servers, Daemon::builder(), json!({ "imap_password": "hunter2-is-wrong" }), json!({})).await;
    let health = desk.is_in_state("needs_attention").await;
    assert!(health.str("/last_error").contains("[AUTHENTICATIONFAILED]"), "{}", health.text);
    assert!(health.str("/last_error").contains("refused the login of support"), "{}", health.text);

    // The first retry of what is retried comes after about a second.
    let watched = Instant::now();
    let rename = json!({ "name": "Renamed" });
    desk.client.patch(desk.client.a(&format!("/inboxes/{}", desk.inbox)), rename).await.expect(200);
    eventually(SOON, async || {
        let health = desk.health().await;
        assert_eq!((health.str("/state"), health.id("/session")), ("needs_attention", 1), "nothing is tried by itself");
        (watched.elapsed() > Duration::from_secs(4)).then_some(())
    })
    .await;
    assert_eq!(desk.sessions(), 1, "{}", desk.daemon.log());
    assert_eq!(desk.daemon.log().matches("needs attention").count(), 1, "{}", desk.daemon.log());

    desk.change_channel(json!({ "imap_password": PASSWORD })).await;
    desk.wait_for_received(texts(1)).await;
    let health = desk.is_in_state("connected").await;
    assert_eq!((health.id("/session"), desk.sessions()), (2, 2));
    // What the dashboard shows instead of a password is not one.
    let path = desk.client.a(&format!("/inboxes/{}", desk.inbox));
    let shown = desk.client.get(&path).await.expect(200).at("/imap_password").clone();
    assert_ne!(shown, json!(PASSWORD));
    desk.change_channel(json!({ "imap_password": shown })).await;
    desk.servers.deliver("support", &numbered(2));
    desk.wait_for_received(texts(2)).await;
    let log = desk.daemon.log();
    assert!(!log.contains("hunter2-is-wrong") && !log.contains(PASSWORD) && !log.contains("mail number"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_killed_finds_every_mail_once() {
    const COUNT: usize = 30;
    let Some(mut desk) = Desk::open().await else { return };
    desk.is_in_state("connected").await;
    let servers = Arc::clone(&desk.servers);
    let delivering = tokio::task::spawn_blocking(move || (1..=COUNT).for_each(|number| servers.deliver("support", &numbered(number))));
    for enough in [3, 12] {
        eventually(SOON * 2, async || {
            let listed = desk.get("/conversations?status=all").await;
            (listed.at("/data/payload").as_array().unwrap().len() >= enough).then_some(())
        })
        .await;
        desk.daemon.kill();
        desk.restart().await;
    }
    delivering.await.unwrap();
    desk.wait_for_received(texts(COUNT)).await;
    // Whatever would come twice has come before this one.
    desk.servers.deliver("support", &numbered(COUNT + 1));
    desk.wait_for_received(texts(COUNT + 1)).await;
    assert_eq!(desk.health().await.id("/parked"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_the_login_and_breaks_off_is_asked_less_and_less() {
    let Some((desk, gate)) = behind_a_gate().await else { return };
    desk.is_in_state("connected").await;
    desk.servers.deliver("support", &numbered(1));
    desk.wait_for_received(texts(1)).await;
    gate.cut_before(" UID SEARCH", usize::MAX);
    desk.servers.deliver("support", &numbered(2));
    let first = desk.healthy(|health| health["failures"].as_i64() >= Some(1)).await;
    let begun = Instant::now();
    let later = desk.healthy(|health| health["failures"].as_i64() >= Some(4)).await;
    // Between the first failure and the fourth are pauses of 1, 1 and 2 seconds, each a fifth longer or shorter.
    let least = Duration::from_millis(800 * u64::try_from(4 - first.id("/failures").min(3)).unwrap());
    assert!(begun.elapsed() >= least, "{:?} since {}", begun.elapsed(), first.text);
    assert!(later.str("/last_error").contains("UID SEARCH"), "{}", later.text);
    assert!(desk.sessions() <= 7, "{} sessions", desk.sessions());

    gate.cut_before("", 0);
    desk.wait_for_received(texts(2)).await;
    desk.healthy(|health| health["failures"] == 0 && health["state"] == "connected").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_breaks_after_every_mail_delays_none() {
    let Some((desk, gate)) = behind_a_gate().await else { return };
    desk.is_in_state("connected").await;
    // Every session brings one mail and breaks before it can mark it.
    for number in 1..=8 {
        gate.cut_before(&format!("UID STORE {number} "), 1);
        desk.servers.deliver("support", &numbered(number));
        eventually(SOON * 2, async || (gate.cuts() == number).then_some(())).await;
        let health = desk.healthy(|health| health["session"].as_u64() > Some(number as u64)).await;
        assert!(health.id("/failures") <= 1, "pauses do not grow: {}", health.text);
    }
    desk.wait_for_received(texts(8)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imap_server_that_is_killed_between_fetching_and_marking_has_every_mail_come_once() {
    let Some((mut desk, gate)) = behind_a_gate().await else { return };
    desk.is_in_state("connected").await;
    gate.hold("UID STORE");
    desk.servers.deliver("support", &numbered(1));
    eventually(SOON, async || (gate.cuts() == 1).then_some(())).await;
    desk.servers_mut().kill_imap();
    desk.is_in_state("waiting").await;
    assert_eq!(desk.received().await, texts(1), "it was stored before it was to be marked");
    assert_eq!(desk.servers.mails("support").iter().map(|mail| mail.seen).collect::<Vec<_>>(), [false]);

    desk.servers_mut().start_imap();
    desk.servers.deliver("support", &numbered(2));
    desk.wait_for_received(texts(2)).await;
    eventually(SOON, async || desk.servers.mails("support").iter().all(|mail| mail.seen).then_some(())).await;
    assert_eq!(desk.health().await.id("/parked"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_of_another_inbox_leaves_the_session_alone() {
    let app = |webhook: &str| format!("[[inbox]]\nname = 'App'\nchannel = {{ type = 'api', webhook_url = '{webhook}' }}\n");
    let Some(servers) = Desk::servers() else { return };
    let desk = Desk::with(servers, Daemon::builder().settings(&app("http://127.0.0.1:19998/")), json!({}), json!({})).await;
    desk.servers.deliver("support", &numbered(1));
    desk.wait_for_received(texts(1)).await;
    let inboxes = desk.get("/inboxes").await;
    let app_id = inboxes.at("/payload").as_array().unwrap().iter().find(|inbox| inbox["name"] == "App").unwrap()["id"].clone();
    let before = (desk.health().await.id("/session"), desk.health().await.str("/since").to_owned());

    let settings = desk.daemon.site().settings_file();
    let text = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, text.replace("19998", "19997")).unwrap();
    desk.daemon.hangup();
    eventually(SOON, async || {
        let health = desk.get(&format!("/inboxes/{app_id}/health")).await;
        (health.id("/session") == 2).then_some(())
    })
    .await;
    desk.servers.deliver("support", &numbered(2));
    desk.wait_for_received(texts(2)).await;
    assert_eq!((desk.health().await.id("/session"), desk.health().await.str("/since").to_owned()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_not_sent_over_a_line_that_cannot_be_encrypted() {
    let Some(servers) = Desk::servers() else { return };
    servers.deliver("support", &numbered(1));
    let gate = Gate::start(servers.imap_port).await;
    let channel = json!({ "imap_address": "127.0.0.1", "imap_port": gate.port, "imap_enable_ssl": false });
    let desk = Desk::with(servers, Daemon::builder(), channel, json!({})).await;
    let health = desk.is_in_state("needs_attention").await;
    assert!(health.str("/last_error").contains("imap_enable_starttls_auto"), "{}", health.text);
    desk.change_channel(json!({ "imap_enable_starttls_auto": false })).await;
    desk.wait_for_received(texts(1)).await;
    let shown = desk.get(&format!("/inboxes/{}", desk.inbox)).await;
    assert_eq!(shown.at("/imap_enable_starttls_auto"), &json!(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_go_out_while_the_mailbox_cannot_be_reached() {
    let Some((desk, gate)) = behind_a_gate().await else { return };
    desk.servers.deliver("support", &numbered(1));
    desk.wait_for_received(texts(1)).await;
    gate.cut_before(" UID SEARCH", usize::MAX);
    desk.servers.deliver("support", &numbered(2));
    // The pause that begins now takes six seconds or more.
    let before = desk.healthy(|health| health["failures"] == 5).await;
    desk.reply(1, "the answer").await;
    assert!(desk.mails("bob", 1)[0].raw.contains("the answer"));
    let after = desk.health().await;
    assert_eq!((after.str("/state"), after.id("/session")), ("waiting", before.id("/session")), "{}", after.text);
}
