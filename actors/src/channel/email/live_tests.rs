//! The channel against Dovecot and Exim. Skipped, with a line that says so, where they are not installed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#[path = "../../../../tests/daemon/mail_servers.rs"]
#[allow(dead_code, missing_docs)]
mod mail_servers;

use super::test_desk::{Desk, channel};
use super::{EmailChannel, Settings};
use crate::channel::{Channel, ChannelError, Inlet, MailRelay, MailSecurity};
use crate::message::{Answered, Outbound, OutboundConversation, Reference, Thread};
use crate::secret::Secret;
use chrono::Utc;
use mail_servers::{MailServers, PASSWORD};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Map, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::task::JoinHandle;

fn settings(servers: &MailServers) -> Settings {
    Settings {
        email: "support@support.test".into(),
        imap_enabled: true,
        imap_address: "localhost".into(),
        imap_port: servers.imap_port,
        imap_login: "support".into(),
        imap_password: Secret::new(PASSWORD),
        imap_enable_ssl: false,
        smtp_enabled: true,
        smtp_address: "localhost".into(),
        smtp_port: servers.smtp_port,
        smtp_login: "agent".into(),
        smtp_password: Secret::new(PASSWORD),
        smtp_openssl_verify_mode: "none".into(),
        ..Settings::default()
    }
}

/// A channel that trusts the servers' certificate.
fn trusting(settings: Settings, servers: &MailServers) -> Arc<EmailChannel> {
    let channel = channel(settings, None);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&servers.certificate_pem()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    channel.tls.set(Arc::new(config.with_root_certificates(roots).with_no_client_auth())).unwrap();
    Arc::new(channel)
}

fn start(channel: &Arc<EmailChannel>, desk: &Arc<Desk>) -> JoinHandle<ChannelError> {
    let (channel, inlet): (_, Inlet) = (Arc::clone(channel), desk.clone());
    tokio::spawn(async move { channel.run(&inlet).await.unwrap_err() })
}

async fn stop(session: JoinHandle<ChannelError>) {
    session.abort();
    assert!(session.await.unwrap_err().is_cancelled());
}

fn mail(id: &str) -> Vec<u8> {
    format!("From: Bob <bob@support.test>\nTo: support@support.test\nSubject: Parcel\nMessage-ID: <{id}>\n\nhello {id}\n").into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_comes_in_once_and_is_marked() {
    let Some(servers) = MailServers::start() else { return };
    let (channel, desk) = (trusting(settings(&servers), &servers), Arc::new(Desk::default()));
    servers.deliver("support", &mail("a@x"));
    servers.deliver("support", b"Subject: nobody\n\nno sender\n");
    servers.deliver("support", b"From: support@support.test\nMessage-ID: <form@x>\n\nsent in our name\n");
    servers.deliver("support", &mail("b@x"));
    let session = start(&channel, &desk);
    desk.wait_for("the mails that were there", |desk| desk.uid() == Some(4)).await;
    assert_eq!(desk.ids(), ["a@x", "form@x", "b@x"]);
    assert!(desk.connected.load(Ordering::SeqCst));
    let parked: Vec<String> = desk.parked.lock().unwrap().iter().map(|(_, reason)| reason.clone()).collect();
    assert_eq!(parked, ["this mail has no sender address"]);
    let seen: Vec<bool> = servers.mails("support").iter().map(|mail| mail.seen).collect();
    assert_eq!(seen, [true, false, true, true], "what was delivered is marked, what was parked is not");

    let begun = std::time::Instant::now();
    servers.deliver("support", &mail("c@x"));
    desk.wait_for("a mail that is announced", |desk| desk.ids().len() == 4).await;
    assert!(begun.elapsed().as_secs() < 20, "announced by IDLE, not found by polling: {:?}", begun.elapsed());
    desk.wait_for("the cursor", |desk| desk.uid() == Some(5)).await;
    stop(session).await;

    servers.deliver("support", &mail("d@x"));
    let session = start(&channel, &desk);
    desk.wait_for("a mail that came meanwhile", |desk| desk.uid() == Some(6)).await;
    assert_eq!(desk.ids(), ["a@x", "form@x", "b@x", "c@x", "d@x"]);
    stop(session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_comes_again() {
    let Some(servers) = MailServers::start() else { return };
    let (channel, desk) = (trusting(settings(&servers), &servers), Arc::new(Desk::default()));
    servers.deliver("support", &mail("a@x"));
    desk.refuses.store(true, Ordering::SeqCst);
    let error = start(&channel, &desk).await.unwrap();
    assert_eq!(error.to_string(), "the database is away");
    assert_eq!((desk.uid(), servers.mails("support")[0].seen), (None, false));
    desk.refuses.store(false, Ordering::SeqCst);
    let session = start(&channel, &desk);
    desk.wait_for("the mail", |desk| desk.uid() == Some(1)).await;
    assert_eq!((desk.ids(), servers.mails("support")[0].seen), (vec!["a@x".to_owned()], true));
    stop(session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_and_a_renumbered_mailbox_lose_nothing() {
    let Some(mut servers) = MailServers::start() else { return };
    let (channel, desk) = (trusting(settings(&servers), &servers), Arc::new(Desk::default()));
    servers.deliver("support", &mail("a@x"));
    let session = start(&channel, &desk);
    desk.wait_for("the first mail", |desk| desk.uid() == Some(1)).await;
    servers.stop_imap();
    let error = session.await.unwrap();
    assert!(matches!(error, ChannelError::Temporary { .. }), "{error:?}");
    let error = start(&channel, &desk).await.unwrap();
    assert!(matches!(&error, ChannelError::Temporary { cause, .. } if cause.contains("cannot connect")), "{error:?}");
    servers.start_imap();

    servers.change_uid_validity("support");
    servers.deliver("support", &mail("b@x"));
    let before = desk.cursor.lock().unwrap().clone().unwrap();
    let session = start(&channel, &desk);
    desk.wait_for("both mails", |desk| desk.uid() == Some(2)).await;
    let mut ids = desk.ids();
    ids.sort();
    assert_eq!(ids, ["a@x", "a@x", "b@x"], "known ones come again under the same id");
    let after = desk.cursor.lock().unwrap().clone().unwrap();
    assert_ne!(before["uidvalidity"], after["uidvalidity"]);
    stop(session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_huge_mail_the_head_is_delivered() {
    let Some(servers) = MailServers::start() else { return };
    let (channel, desk) = (trusting(settings(&servers), &servers), Arc::new(Desk::default()));
    servers.deliver(
        "support",
        &[mail("huge@x"), "0123456789012345678901234567890123456789012345678901234567890123456789\n".repeat(620_000).into_bytes()].concat(),
    );
    servers.deliver("support", &mail("b@x"));
    let session = start(&channel, &desk);
    desk.wait_for("both mails", |desk| desk.uid() == Some(2)).await;
    assert_eq!(desk.ids(), ["huge@x", "b@x"]);
    let content = desk.delivered.lock().unwrap()[0].content.clone().unwrap();
    assert!(content.contains("MB is too large to be fetched"), "{content}");
    assert_eq!(servers.mails("support").iter().map(|mail| mail.seen).collect::<Vec<_>>(), [false, true]);
    stop(session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn encryption_and_logins() {
    let Some(servers) = MailServers::start() else { return };
    let desk = Arc::new(Desk::default());
    let tls = Settings { imap_port: servers.imaps_port, imap_enable_ssl: true, ..settings(&servers) };
    let by_command = Settings { imap_authentication: "login".into(), ..tls.clone() };
    for fine in [tls.clone(), by_command] {
        desk.connected.store(false, Ordering::SeqCst);
        let session = start(&trusting(fine, &servers), &desk);
        desk.wait_for("the session", |desk| desk.connected.load(Ordering::SeqCst)).await;
        stop(session).await;
    }
    for (authentication, ssl) in [("plain", false), ("login", true)] {
        let base = if ssl { tls.clone() } else { settings(&servers) };
        let wrong = Settings { imap_password: Secret::new("wrong"), imap_authentication: authentication.into(), ..base };
        let error = start(&trusting(wrong, &servers), &desk).await.unwrap();
        assert!(matches!(&error, ChannelError::NeedsAttention(reason) if reason.contains("[AUTHENTICATIONFAILED]")), "{error:?}");
    }
    // Nobody vouches for the certificate, neither at once nor after STARTTLS.
    for untrusted in [tls, settings(&servers)] {
        let error = start(&Arc::new(channel(untrusted, None)), &desk).await.unwrap();
        assert!(matches!(&error, ChannelError::Temporary { cause, .. } if cause.contains("cannot open a TLS connection")), "{error:?}");
    }
}

fn outbound(to: &str) -> Outbound {
    Outbound {
        message_id: 7,
        source_id: to.into(),
        contact_email: None,
        contact_name: "Bob".into(),
        conversation: OutboundConversation {
            id: 1,
            display_id: 1,
            uuid: "11111111-2222-4333-8444-555555555555".parse().unwrap(),
            additional_attributes: json!({ "mail_subject": "Parcel" }).as_object().cloned().unwrap(),
        },
        content: Some("On its **way**".into()),
        content_type: "text".into(),
        content_attributes: Map::new(),
        attachments: Vec::new(),
        answers: Some(Answered { provider_id: "a@x".into(), content_attributes: Map::new() }),
        sender_name: Some("Ann".into()),
        automatic: false,
        created_at: Utc::now(),
        ..Outbound::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_goes_out_and_its_answer_finds_the_conversation() {
    let Some(servers) = MailServers::start() else { return };
    let channel = trusting(settings(&servers), &servers);
    let sent = channel.send(&outbound("bob@support.test")).await.unwrap();
    assert_eq!(sent.0, "conversation/11111111-2222-4333-8444-555555555555/messages/7@support.test");
    let arrived = servers.wait_for("bob", |mails| !mails.is_empty()).remove(0).raw;
    for line in [
        &format!("Message-ID: <{}>", sent.0),
        "In-Reply-To: <a@x>",
        "References: <a@x>",
        "Subject: Re: Parcel",
        "From: Ann <support@support.test>",
        "To: Bob <bob@support.test>",
    ] {
        assert!(arrived.lines().any(|found| found == line), "{line} is missing in {arrived}");
    }
    assert!(arrived.contains("with esmtpsa "), "encrypted and signed in: {arrived}");

    // Bob's program answers.
    let answer = format!("From: bob@support.test\nMessage-ID: <b@x>\nIn-Reply-To: <{}>\nSubject: Re: Parcel\n\nthanks\n", sent.0);
    servers.deliver("support", answer.as_bytes());
    // A mail to a domain that is not there comes back.
    channel.send(&outbound("nobody@nowhere.test")).await.unwrap();
    let desk = Arc::new(Desk::default());
    let session = start(&channel, &desk);
    desk.wait_for("the answer and the report", |desk| desk.ids().len() == 2).await;
    stop(session).await;
    let delivered = desk.delivered.lock().unwrap();
    let Thread::References(references) = &delivered[0].thread else { panic!("no references") };
    let uuid = "11111111-2222-4333-8444-555555555555".parse().unwrap();
    assert_eq!(references, &[Reference::Message(sent.0), Reference::Conversation(uuid)]);
    let report = &delivered[1];
    assert_eq!(
        (report.sender.name.as_deref(), &report.content_attributes["email"]["auto_reply"]),
        (Some("Mail Delivery System"), &json!(true))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_who_is_to_act() {
    let Some(servers) = MailServers::start() else { return };
    let send = async |settings: Settings, message: Outbound| channel(settings, None).send(&message).await.unwrap_err();
    let fine = settings(&servers);

    let error = send(fine.clone(), outbound("refused@support.test")).await;
    assert!(
        matches!(&error, ChannelError::Rejected(reason) if reason.contains("550") && reason.contains("no such person here")),
        "{error:?}"
    );
    let virus = Outbound {
        conversation: OutboundConversation {
            additional_attributes: json!({ "mail_subject": "VIRUS" }).as_object().cloned().unwrap(),
            ..outbound("").conversation
        },
        ..outbound("bob@support.test")
    };
    let error = send(fine.clone(), virus).await;
    assert!(matches!(&error, ChannelError::Rejected(reason) if reason.contains("carries a virus")), "{error:?}");
    let error = send(fine.clone(), outbound("greylisted@support.test")).await;
    assert!(matches!(&error, ChannelError::Temporary { cause, .. } if cause.contains("come back later")), "{error:?}");
    let error = send(fine.clone(), outbound("no address")).await;
    assert!(matches!(&error, ChannelError::Rejected(reason) if reason.contains("is not an e-mail address")), "{error:?}");

    for authentication in ["plain", "login"] {
        let wrong = Settings { smtp_password: Secret::new("wrong"), smtp_authentication: authentication.into(), ..fine.clone() };
        let error = send(wrong, outbound("bob@support.test")).await;
        assert!(
            matches!(&error, ChannelError::NeedsAttention(reason) if reason.contains("refused the login of agent") && reason.contains("535")),
            "{error:?}"
        );
    }
    let error = send(Settings { smtp_openssl_verify_mode: "peer".into(), ..fine.clone() }, outbound("bob@support.test")).await;
    assert!(
        matches!(&error, ChannelError::Temporary { cause, .. } if cause.contains("cannot connect")),
        "nobody vouches for the certificate: {error:?}"
    );
    let error = send(Settings { smtp_port: 1, ..fine.clone() }, outbound("bob@support.test")).await;
    assert!(matches!(&error, ChannelError::Temporary { cause, .. } if cause.contains("cannot connect to localhost:1")), "{error:?}");
    let error = send(Settings { smtp_port: servers.lmtp_port, ..fine.clone() }, outbound("bob@support.test")).await;
    assert!(matches!(&error, ChannelError::Temporary { .. }), "not SMTP at all: {error:?}");
    let error = send(Settings { smtp_enabled: false, ..fine }, outbound("bob@support.test")).await;
    assert!(matches!(&error, ChannelError::Rejected(reason) if reason.starts_with("no SMTP server is set")), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_speaks_tls_from_the_first_byte_takes_mail() {
    let Some(servers) = MailServers::start() else { return };
    let tls = Settings { smtp_port: servers.smtps_port, smtp_enable_ssl_tls: true, smtp_enable_starttls_auto: false, ..settings(&servers) };
    channel(tls.clone(), None).send(&outbound("bob@support.test")).await.unwrap();
    let arrived = servers.wait_for("bob", |mails| !mails.is_empty()).remove(0).raw;
    assert!(arrived.contains("with esmtpsa "), "encrypted and signed in: {arrived}");

    let checked = Settings { smtp_openssl_verify_mode: "peer".into(), ..tls.clone() };
    let error = channel(checked, None).send(&outbound("bob@support.test")).await.unwrap_err();
    assert!(
        matches!(&error, ChannelError::Temporary { cause, .. } if cause.contains("cannot connect")),
        "nobody vouches for it: {error:?}"
    );
    let elsewhere = Settings { smtp_port: servers.smtp_port, ..tls };
    let error = channel(elsewhere, None).send(&outbound("bob@support.test")).await.unwrap_err();
    assert!(matches!(&error, ChannelError::Temporary { cause, .. } if cause.contains("cannot connect")), "no TLS there: {error:?}");
    assert_eq!(servers.mails("bob").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_sends_for_inboxes_without_a_server() {
    let Some(servers) = MailServers::start() else { return };
    let relay = MailRelay {
        host: "localhost".into(),
        port: servers.smtp_port,
        security: MailSecurity::None,
        username: None,
        password: None,
        from: Some("Desk <desk@support.test>".into()),
    };
    let channel = channel(Settings { smtp_enabled: false, ..settings(&servers) }, Some(relay));
    channel.send(&outbound("bob@support.test")).await.unwrap();
    let arrived = servers.wait_for("bob", |mails| !mails.is_empty()).remove(0).raw;
    for line in ["From: Ann <desk@support.test>", "Reply-To: support@support.test", "Return-Path: <desk@support.test>"] {
        assert!(arrived.lines().any(|found| found == line), "{line} is missing in {arrived}");
    }
    assert!(arrived.contains("with esmtp "), "neither encrypted nor signed in: {arrived}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_imap_there_is_nothing_to_connect() {
    let channel = Arc::new(channel(Settings { email: "support@support.test".into(), ..Settings::default() }, None));
    let desk = Arc::new(Desk::default());
    let session = start(&channel, &desk);
    desk.wait_for("the session", |desk| desk.connected.load(Ordering::SeqCst)).await;
    stop(session).await;
}
