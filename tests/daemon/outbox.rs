//! What waits to be sent: nothing is sent twice by one daemon, whatever fails after the sending.

use crate::app::{conversation, count, execute, messages, say};
use crate::desk::health;
use crate::harness::{Client, Daemon, SOON, eventually};
use crate::smtp::Smtp;
use serde_json::json;

/// A contact with an e-mail address and a conversation; the conversation's number.
async fn customer(client: &Client, inbox: i64, email: &str) -> i64 {
    let made = client.post(client.a("/contacts"), json!({"inbox_id": inbox, "name": email, "email": email})).await.expect(200);
    conversation(client, inbox, made.id("/payload/contact/id")).await
}

#[tokio::test]
async fn a_mail_that_was_sent_is_not_sent_again_when_the_database_does_not_take_the_news() {
    let (daemon, smtp) = tokio::join!(Daemon::start(), Smtp::start());
    let admin = daemon.client();
    let inbox = smtp.inbox(&admin).await;
    let id = customer(&admin, inbox, "mia@example.com").await;
    execute(
        &daemon,
        "CREATE TRIGGER full BEFORE DELETE ON outgoing BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
        "DO $$ BEGIN
             EXECUTE 'CREATE FUNCTION is_full() RETURNS trigger LANGUAGE plpgsql AS ''BEGIN RAISE EXCEPTION ''''full''''; END''';
             EXECUTE 'CREATE TRIGGER is_full BEFORE DELETE ON outgoing FOR EACH ROW EXECUTE FUNCTION is_full()';
         END $$",
    )
    .await;
    let message = say(&admin, id, "hello").await;
    let refused = || daemon.log().matches("noting what became of a message").count();
    eventually(SOON, async || (refused() >= 3).then_some(())).await;
    assert_eq!(smtp.mails().len(), 1);
    // Nor does another session send it, which begins with it.
    let before = refused();
    admin.post(admin.a(&format!("/inboxes/{inbox}/reconnect")), json!({})).await.expect(200);
    eventually(SOON, async || (health(&admin, inbox).await["session"] == 2 && refused() > before + 1).then_some(())).await;
    assert_eq!(smtp.mails().len(), 1);

    execute(&daemon, "DROP TRIGGER full", "DROP TRIGGER is_full ON outgoing").await;
    eventually(SOON * 3, async || (count(&daemon, "SELECT count(*) FROM outgoing").await == 0).then_some(())).await;
    let said = messages(&admin, id).await.into_iter().find(|row| row["id"] == message).unwrap();
    assert!(said["source_id"].is_string(), "it has the id under which it was sent: {said}");
    assert_eq!(smtp.mails().len(), 1);
    // The next one goes as ever.
    say(&admin, id, "again").await;
    assert!(smtp.wait_for(2).await[1].contains("again"));
}

#[tokio::test]
async fn a_row_whose_message_is_gone_waits_no_more() {
    let (mut daemon, smtp) = tokio::join!(Daemon::start(), Smtp::start());
    let admin = daemon.client();
    let inbox = smtp.inbox(&admin).await;
    daemon.kill();
    const ORPHAN: &str = "INSERT INTO outgoing (message_id, inbox_id, conversation_id, failures, due_at, created_at)
         SELECT 9999, id, 9999, 0, created_at, created_at FROM inboxes";
    execute(&daemon, ORPHAN, ORPHAN).await;
    daemon.restart().await;
    eventually(SOON, async || (count(&daemon, "SELECT count(*) FROM outgoing").await == 0).then_some(())).await;
    let id = customer(&admin, inbox, "mia@example.com").await;
    say(&admin, id, "hello").await;
    assert!(smtp.wait_for(1).await[0].contains("hello"));
}

#[tokio::test]
async fn an_inbox_that_is_switched_off_and_on_again_sends_after_its_last_session_has_ended() {
    let (daemon, smtp) = tokio::join!(Daemon::start(), Smtp::start());
    let admin = daemon.client();
    let inbox = smtp.inbox(&admin).await;
    let id = customer(&admin, inbox, "mia@example.com").await;
    smtp.hang(true);
    say(&admin, id, "hello").await;
    smtp.wait_for(1).await;
    smtp.hang(false);
    for enabled in [false, true] {
        admin.patch(admin.a(&format!("/inboxes/{inbox}")), json!({"enabled": enabled})).await.expect(200);
    }
    // Whether the first server took it nobody knows: it is sent again, by one session at a time.
    eventually(SOON * 2, async || (count(&daemon, "SELECT count(*) FROM outgoing").await == 0).then_some(())).await;
    assert_eq!((smtp.mails().len(), smtp.most_connections()), (2, 1));
}
