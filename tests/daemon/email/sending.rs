//! What customers get, and what agents see of a mail that cannot be sent, or not yet.

use super::{Desk, header, mail};
use crate::harness::{Daemon, SOON, eventually};
use crate::mail_servers::PASSWORD;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

/// A mail of this person, and the conversation it has opened.
async fn written_by(desk: &Desk, name: &str, headers: &str) -> i64 {
    let before = desk.conversations().await.len();
    let id = format!("{name}-{before}@customer.test");
    desk.servers.deliver("support", &mail(&format!("{name}@support.test"), &id, &format!("Subject: Help\n{headers}"), "help me"));
    let conversation = i64::try_from(before).unwrap() + 1;
    desk.wait_for_messages(conversation, 1).await;
    conversation
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_and_files_go_out() {
    let Some(desk) = Desk::open().await else { return };
    let conversation = written_by(&desk, "bob", "").await;
    let file = Part::bytes(b"%PDF-1.4\n".as_slice()).file_name("bill.pdf").mime_str("application/pdf").unwrap();
    let form = Form::new().text("content", "The bill").text("cc_emails", "carol@support.test, eve@support.test");
    let form = form.text("bcc_emails", "dan@support.test").part("attachments[]", file);
    let path = desk.client.a(&format!("/conversations/{conversation}/messages"));
    let message = desk.client.post_form(path, form).await.expect(200);
    assert_eq!(message.at("/content_attributes/cc_emails"), &json!(["carol@support.test", "eve@support.test"]));
    assert_eq!(message.at("/content_attributes/bcc_emails"), &json!(["dan@support.test"]));

    for mailbox in ["bob", "carol", "eve", "dan"] {
        let raw = desk.mails(mailbox, 1).remove(0).raw;
        assert!(header(&raw, "To").unwrap().contains("bob@support.test"), "{raw}");
        let copies = header(&raw, "Cc").unwrap();
        assert!(copies.contains("carol@support.test") && copies.contains("eve@support.test"), "{raw}");
        let head = raw.split("\n\n").next().unwrap();
        // Exim writes for whom a mail was into the line about its way.
        let written = head.lines().filter(|line| !line.trim_start().starts_with("for ") && !line.starts_with("Envelope-to:"));
        assert!(mailbox == "dan" || !written.collect::<String>().contains("dan@support.test"), "nobody learns of Dan: {raw}");
        assert_eq!(header(&raw, "Bcc"), None, "{raw}");
        assert!(raw.contains("JVBERi0xLjQK") && raw.contains("bill.pdf") && raw.contains("The bill"), "{raw}");
    }
    for mailbox in ["bob", "carol", "eve", "dan"] {
        assert_eq!(desk.servers.mails(mailbox).len(), 1, "{mailbox} has it once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_waits_for_the_mail_server_and_goes_out_once() {
    let Some(mut desk) = Desk::open().await else { return };
    let conversation = written_by(&desk, "bob", "").await;
    desk.servers_mut().stop_smtp();
    let first = desk.reply(conversation, "first answer").await.id("/id");
    desk.reply(conversation, "second answer").await;
    let is_waiting = |health: &Value| health["backlog"]["count"] == 2 && health["backlog"]["oldest_age_seconds"].as_i64() >= Some(1);
    let health = desk.healthy(is_waiting).await;
    assert_eq!(health.str("/state"), "connected", "receiving goes on: {}", health.text);
    let waiting = desk.message(conversation, first, |_| true).await;
    assert_eq!((&waiting["status"], &waiting["source_id"]), (&json!("sent"), &Value::Null), "the contract knows no queue");
    desk.restart().await;
    assert_eq!(desk.health().await.at("/backlog/count"), 2, "a restart forgets nothing");

    desk.servers_mut().start_smtp();
    desk.mails("bob", 2);
    desk.healthy(|health| health["backlog"]["count"] == 0 && health["backlog"]["oldest_age_seconds"].is_null()).await;
    desk.message(conversation, first, |message| message["source_id"].is_string()).await;
    // What would be sent twice would come before this one.
    desk.reply(conversation, "third answer").await;
    let mails = desk.mails("bob", 3);
    let order: Vec<Option<&str>> = mails
        .iter()
        .map(|mail| ["first answer", "second answer", "third answer"].into_iter().find(|text| mail.raw.contains(text)))
        .collect();
    assert_eq!(order, [Some("first answer"), Some("second answer"), Some("third answer")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_refused_keeps_the_reply_until_it_is_put_right() {
    let Some(servers) = Desk::servers() else { return };
    let desk = Desk::with(servers, Daemon::builder(), json!({ "smtp_password": "wrong" }), json!({})).await;
    let conversation = written_by(&desk, "bob", "").await;
    desk.reply(conversation, "the answer").await;
    let health = desk.is_in_state("needs_attention").await;
    assert!(health.str("/last_error").contains("refused the login of support"), "{}", health.text);
    assert_eq!(health.id("/backlog/count"), 1);
    desk.change_channel(json!({ "smtp_password": PASSWORD })).await;
    assert!(desk.mails("bob", 1)[0].raw.contains("the answer"));
    desk.healthy(|health| health["backlog"]["count"] == 0 && health["state"] == "connected").await;
    assert_eq!(desk.servers.mails("bob").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_mail_fails_in_the_servers_words_and_can_be_tried_again() {
    let Some(desk) = Desk::open().await else { return };
    let conversation = written_by(&desk, "refused", "").await;
    let message = desk.reply(conversation, "the answer").await.id("/id");
    let failed = desk.message(conversation, message, |message| message["status"] == "failed").await;
    let error = failed["content_attributes"]["external_error"].as_str().unwrap();
    assert!(error.contains("550") && error.contains("no such person here"), "{error}");
    let health = desk.health().await;
    assert_eq!((health.str("/state"), health.id("/backlog/count"), health.id("/session")), ("connected", 0, 1), "nobody else waits for it");

    let retry = desk.client.a(&format!("/conversations/{conversation}/messages/{message}/retry"));
    let again = desk.client.post(&retry, json!({})).await.expect(200);
    assert_eq!((again.str("/status"), again.at("/content_attributes").get("external_error")), ("sent", None));
    desk.message(conversation, message, |message| message["status"] == "failed").await;

    // The agent learns the right address.
    let contact = desk.get(&format!("/conversations/{conversation}")).await.id("/meta/sender/id");
    desk.client.patch(desk.client.a(&format!("/contacts/{contact}")), json!({ "email": "bob@support.test" })).await.expect(200);
    desk.client.post(&retry, json!({})).await.expect(200);
    let raw = desk.mails("bob", 1).remove(0).raw;
    assert!(raw.contains("the answer"), "{raw}");
    let sent = desk.message(conversation, message, |message| message["source_id"].is_string()).await;
    assert_eq!((&sent["status"], sent["content_attributes"].get("external_error")), (&json!("sent"), None));
    // The contract asks nobody whether it failed.
    desk.client.post(&retry, json!({})).await.expect(200);
    assert_eq!(desk.mails("bob", 2).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemons_relay_sends_for_an_inbox_without_a_server_and_programs_are_not_greeted() {
    let Some(servers) = Desk::servers() else { return };
    let relay = format!("[mail]\nhost = 'localhost'\nport = {}\nsecurity = 'none'\nfrom = 'Desk <desk@support.test>'\n", servers.smtp_port);
    let greeting = json!({ "greeting_enabled": true, "greeting_message": "We have your mail" });
    let desk =
        Desk::with(servers, Daemon::builder().settings(&relay), json!({ "smtp_enabled": false, "smtp_address": "" }), greeting).await;

    let conversation = written_by(&desk, "bob", "").await;
    let greeting = desk.mails("bob", 1).remove(0).raw;
    assert!(greeting.contains("We have your mail"), "{greeting}");
    assert_eq!(header(&greeting, "Auto-Submitted").as_deref(), Some("auto-replied"));
    desk.reply(conversation, "the answer").await;
    let answer = desk.mails("bob", 2).remove(1).raw;
    assert!(answer.contains("the answer"), "{answer}");
    assert_eq!(header(&answer, "Auto-Submitted"), None);
    for raw in [&greeting, &answer] {
        assert_eq!(header(raw, "Reply-To").as_deref(), Some("support@support.test"), "{raw}");
        assert!(header(raw, "From").unwrap().ends_with("<desk@support.test>"), "{raw}");
        assert_eq!(header(raw, "Return-Path").as_deref(), Some("<desk@support.test>"), "{raw}");
        assert_eq!(header(raw, "In-Reply-To").as_deref(), Some("<bob-0@customer.test>"), "{raw}");
    }
    let kinds: Vec<Value> = desk.messages(conversation).await.iter().map(|message| message["message_type"].clone()).collect();
    assert_eq!(kinds, [0, 3, 1], "what came, the greeting, the answer");

    // A program writes.
    for (name, sign) in [("carol", "Auto-Submitted: auto-generated\n"), ("erin", "Precedence: bulk\n"), ("noreply", "")] {
        let conversation = written_by(&desk, name, sign).await;
        desk.reply(conversation, "a person's answer").await;
        let mails = desk.mails(name, 1);
        assert!(mails.len() == 1 && mails[0].raw.contains("a person's answer"), "{name} got {mails:?}");
        let messages = desk.messages(conversation).await;
        let kinds: Vec<&Value> = messages.iter().map(|message| &message["message_type"]).collect();
        assert_eq!(
            (kinds, &messages[0]["content_attributes"]["email"]["auto_reply"]),
            (vec![&json!(0), &json!(1)], &json!(true)),
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transcript_goes_out_over_the_relay_once_without_notes() {
    let Some(servers) = Desk::servers() else { return };
    let relay = format!("[mail]\nhost = 'localhost'\nport = {}\nsecurity = 'none'\nfrom = 'Desk <desk@support.test>'\n", servers.smtp_port);
    let desk = Desk::with(servers, Daemon::builder().settings(&relay), json!({}), json!({ "name": "Shop" })).await;
    desk.servers.deliver("support", &mail("Ada <ada@customer.test>", "t1@customer.test", "Subject: Tea\n", "Have you tea?"));
    desk.wait_for_received(vec!["Have you tea?".to_owned()]).await;
    let conversation = desk.conversations().await[0]["id"].as_i64().unwrap();
    let path = desk.client.a(&format!("/conversations/{conversation}"));
    desk.client.post(format!("{path}/messages"), json!({ "content": "a secret", "private": true })).await.expect(200);
    let sent = desk.client.post(format!("{path}/transcript"), json!({ "email": "ada@support.test" })).await.expect(200);
    assert_eq!(sent.text, "");
    let mails = desk.servers.wait_for("ada", |mails| mails.iter().any(|mail| mail.raw.contains("Conversation with Shop")));
    let transcript = mails.iter().find(|mail| mail.raw.contains("Conversation with Shop")).unwrap();
    assert!(transcript.raw.contains("Ada: Have you tea?") && !transcript.raw.contains("secret"), "{}", transcript.raw);
    assert_eq!(header(&transcript.raw, "From").as_deref(), Some("Desk <desk@support.test>"));
    let refused = desk.client.post(format!("{path}/transcript"), json!({ "email": "nobody" })).await.expect(422);
    assert_eq!(refused.at("/attributes"), &json!(["email"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_go_where_the_customer_wants_them() {
    let Some(desk) = Desk::open().await else { return };
    let conversation = written_by(&desk, "bob", "Reply-To: Bob at home <home@support.test>\n").await;
    desk.reply(conversation, "to your home").await;
    let raw = desk.mails("home", 1).remove(0).raw;
    assert!(raw.contains("to your home") && header(&raw, "To").unwrap().ends_with("home@support.test"), "{raw}");
    let sender = desk.get(&format!("/conversations/{conversation}")).await.at("/meta/sender").clone();
    assert_eq!(sender["email"], "bob@support.test", "the contact is who wrote");

    let list = written_by(&desk, "carol", "Reply-To: talk@support.test\nList-Id: Talk <talk.support.test>\n").await;
    desk.reply(list, "to you alone").await;
    assert!(desk.mails("carol", 1)[0].raw.contains("to you alone"));
    assert_eq!((desk.servers.mails("bob").len(), desk.servers.mails("talk").len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_that_cannot_send_receives() {
    let Some(servers) = Desk::servers() else { return };
    let greeting = json!({ "greeting_enabled": true, "greeting_message": "We have your mail" });
    let desk = Desk::with(servers, Daemon::builder(), json!({ "smtp_enabled": false, "smtp_address": "" }), greeting).await;
    let first = written_by(&desk, "bob", "").await;
    let greeting = desk.wait_for_messages(first, 2).await.remove(1)["id"].as_i64().unwrap();
    let reply = desk.reply(first, "the answer").await.id("/id");
    for message in [greeting, reply] {
        let failed = desk.message(first, message, |message| message["status"] == "failed").await;
        let error = failed["content_attributes"]["external_error"].as_str().unwrap();
        assert!(error.starts_with("no SMTP server is set: set smtp_enabled and smtp_address of the inbox"), "{error}");
    }
    written_by(&desk, "carol", "").await;
    let idle = eventually(SOON, async || Some(desk.health().await).filter(|health| health.id("/backlog/count") == 0));
    let health = idle.await;
    assert_eq!((health.str("/state"), health.id("/session")), ("connected", 1), "{}", health.text);

    // With a server the message can be tried again, over TLS from the first byte.
    let smtp = json!({
        "smtp_enabled": true, "smtp_address": "localhost", "smtp_port": desk.servers.smtps_port, "smtp_enable_ssl_tls": true,
        "smtp_enable_starttls_auto": false,
    });
    desk.change_channel(smtp).await;
    let retry = desk.client.a(&format!("/conversations/{first}/messages/{reply}/retry"));
    desk.client.post(retry, json!({})).await.expect(200);
    let raw = desk.mails("bob", 1).remove(0).raw;
    assert!(raw.contains("the answer") && raw.contains("with esmtpsa "), "{raw}");
}
