//! What a visitor of a website does not see comes by mail, and only that.

use crate::app::{count, execute, post, say, show};
use crate::email_collect::{Visitor, website};
use crate::harness::{Client, Daemon, SOON, eventually};
use crate::smtp::Smtp;
use serde_json::{Value, json};

const WAITING: &str = "SELECT COUNT(*) FROM follow_ups";

/// A daemon that hands its mails to a server of the test.
async fn start() -> (Daemon, Client, Smtp) {
    let smtp = Smtp::start().await;
    let relay = format!("[mail]\nhost = '127.0.0.1'\nport = {}\nsecurity = 'none'\nfrom = 'desk@support.test'\n", smtp.port());
    let daemon = Daemon::builder().settings(&relay).start().await;
    let admin = daemon.client();
    (daemon, admin, smtp)
}

/// Makes what waits due.
pub async fn two_minutes_pass(daemon: &Daemon) {
    execute(
        daemon,
        "UPDATE follow_ups SET due_at = '2020' || substr(due_at, 5)",
        "UPDATE follow_ups SET due_at = due_at - interval '10 years'",
    )
    .await;
}

/// The same while the daemon is down.
async fn a_restart_later(daemon: &mut Daemon) {
    daemon.kill();
    two_minutes_pass(daemon).await;
    daemon.restart().await;
}

async fn nothing_waits(daemon: &Daemon) {
    eventually(SOON, async || (count(daemon, WAITING).await == 0).then_some(())).await;
}

fn person(email: &str) -> Value {
    json!({"name": "Mia", "email": email})
}

#[tokio::test]
async fn what_was_not_seen_comes_in_one_mail_and_once() {
    let (mut daemon, admin, smtp) = start().await;
    let (_, token) = website(&admin, json!({})).await;
    let visitor = Visitor::arrive(&daemon, &token).await;
    let id = visitor.begin(person("mia@example.com"), "hello").await;
    say(&admin, id, "first answer").await;
    post(&admin, id, json!({"content": "a note", "private": true})).await.expect(200);
    let last = say(&admin, id, "second answer").await;
    assert_eq!(count(&daemon, WAITING).await, 1, "one mail for all");
    assert!(smtp.mails().is_empty());

    a_restart_later(&mut daemon).await;
    let mail = smtp.wait_for(1).await.remove(0);
    let admin = daemon.client();
    let uuid = show(&admin, id).await.str("/uuid").to_owned();
    for part in [
        "Subject: New messages from Shop\r\n",
        "Administrator from Shop",
        "<desk@support.test>",
        "mia@example.com",
        &format!("Message-ID: <conversation/{uuid}/messages/{last}@"),
        &format!("In-Reply-To: <conversation/{uuid}@"),
        "first answer",
        "second answer",
        "https://shop.example",
    ] {
        assert!(mail.contains(part), "no {part:?} in {mail}");
    }
    assert!(!mail.contains("a note") && !mail.contains("Reply-To: <support"), "{mail}");
    assert_eq!(mail.matches("first answer").count(), 1, "{mail}");
    nothing_waits(&daemon).await;

    say(&admin, id, "third answer").await;
    a_restart_later(&mut daemon).await;
    let mails = smtp.wait_for(2).await;
    assert!(mails[1].contains("third answer") && !mails[1].contains("second answer"), "{}", mails[1]);
    nothing_waits(&daemon).await;
    assert_eq!(smtp.mails().len(), 2);
}

#[tokio::test]
async fn what_was_seen_or_has_no_address_comes_by_no_mail() {
    let (mut daemon, admin, smtp) = start().await;
    let (inbox, token) = website(&admin, json!({"enable_email_collect": false})).await;
    let mut visitors = Vec::new();
    for contact in [person("a@example.com"), person("b@example.com"), json!({"name": "Kai"}), person("d@example.com")] {
        let visitor = Visitor::arrive(&daemon, &token).await;
        let id = visitor.begin(contact, "hello").await;
        say(&admin, id, "the answer").await;
        visitors.push(visitor);
    }
    visitors[0].look().await;
    visitors[1].write("I see").await;
    assert_eq!(count(&daemon, WAITING).await, 3, "who has looked is not waited for");
    a_restart_later(&mut daemon).await;
    let mail = smtp.wait_for(1).await.remove(0);
    assert!(mail.contains("d@example.com"), "{mail}");
    nothing_waits(&daemon).await;
    assert_eq!(smtp.mails().len(), 1);

    let admin = daemon.client();
    let off = json!({"channel": {"continuity_via_email": false}});
    admin.patch(admin.a(&format!("/inboxes/{inbox}")), off).await.expect(200);
    let visitor = Visitor::arrive(&daemon, &token).await;
    let id = visitor.begin(person("e@example.com"), "hello").await;
    say(&admin, id, "the answer").await;
    assert_eq!(count(&daemon, WAITING).await, 0, "the inbox does not want it");
}

#[tokio::test]
async fn whoever_is_there_is_not_written_to_before_leaving() {
    let (daemon, admin, smtp) = start().await;
    let (_, token) = website(&admin, json!({})).await;
    let visitor = Visitor::arrive(&daemon, &token).await;
    let id = visitor.begin(person("mia@example.com"), "hello").await;
    let mut cable = daemon.cable().await;
    cable.subscribe_contact(&visitor.pubsub_token).await;
    say(&admin, id, "the answer").await;
    two_minutes_pass(&daemon).await;
    let postponed = "SELECT COUNT(*) FROM follow_ups WHERE due_at > '2022-01-01'";
    eventually(SOON * 2, async || (count(&daemon, postponed).await == 1).then_some(())).await;
    assert!(smtp.mails().is_empty());
    drop(cable);
    let contact = admin.a(&format!("/contacts/{}", visitor.contact));
    let is_away = async || admin.get(&contact).await.expect(200).at("/payload/availability_status") == "offline";
    eventually(SOON, async || is_away().await.then_some(())).await;
    two_minutes_pass(&daemon).await;
    let mail = smtp.wait_for(1).await.remove(0);
    assert!(mail.contains("the answer"), "{mail}");
}

#[tokio::test]
async fn without_a_relay_nothing_waits() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let (_, token) = website(&admin, json!({})).await;
    let visitor = Visitor::arrive(&daemon, &token).await;
    let id = visitor.begin(person("mia@example.com"), "hello").await;
    say(&admin, id, "the answer").await;
    assert_eq!(count(&daemon, WAITING).await, 0);
}
