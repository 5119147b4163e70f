//! The channel against a stand-in of the Graph API: both ways, and everything that goes wrong on the way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#[path = "../../../../tests/daemon/fakes/graph.rs"]
#[allow(dead_code, missing_docs)]
mod graph;

use super::{ProviderConfig, Settings, WhatsappChannel};
use crate::channel::request::WebhookRequest;
use crate::channel::stand_ins::receiver::{Received, Receiver, Reply};
use crate::channel::{
    Channel, ChannelError, Inlet, Intake, Media, Pause, Presence, Providers, Registration, SessionStatus, Templates, Tools,
};
use crate::files::Files;
use crate::message::{Outbound, OutboundAttachment, Progress, Receipt, ReceiptOf, RemoteFile, Update};
use crate::secret::{Secret, Vault};
use async_trait::async_trait;
use bytes::Bytes;
use graph::{ACCOUNT_ID, APP_SECRET, Graph, PHONE_NUMBER_ID, TOKEN, refusal};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

const SOON: Duration = Duration::from_secs(20);

fn channel_at(url: &str) -> WhatsappChannel {
    let provider_config = ProviderConfig {
        api_key: Secret::new(TOKEN),
        phone_number_id: PHONE_NUMBER_ID.into(),
        business_account_id: ACCOUNT_ID.into(),
        app_secret: Secret::new(APP_SECRET),
        webhook_verify_token: "verify me".into(),
    };
    let files = Files::new(Arc::new(object_store::memory::InMemory::new()), Vault::new(&[1; 32]), "https://desk.example");
    let providers = Providers { meta_url: url.into(), ..Providers::default() };
    let tools = Tools { public_url: "https://desk.example".into(), relay: None, files, providers };
    WhatsappChannel::new(Settings { provider_config, ..Settings::default() }, &tools)
}

async fn start() -> (Graph, WhatsappChannel) {
    let graph = Graph::start().await;
    let channel = channel_at(&graph.url());
    (graph, channel)
}

fn message(id: i64, content: &str) -> Outbound {
    Outbound {
        message_id: id,
        source_id: "972987654321".into(),
        content: Some(content.into()),
        content_type: "text".into(),
        ..Outbound::default()
    }
}

fn picture(id: i64) -> Outbound {
    let file = OutboundAttachment { file_name: "a.png".into(), content_type: "image/png".into(), bytes: Bytes::from_static(b"a picture") };
    Outbound { attachments: vec![file], ..message(id, "look") }
}

/// What Meta posts for a webhook.
fn post(webhook: &Value) -> WebhookRequest {
    let body = Graph::body(webhook);
    let signature = Graph::signature(APP_SECRET, &body);
    WebhookRequest {
        method: "POST".into(),
        headers: vec![("x-hub-signature-256".into(), signature)],
        body: body.into(),
        ..WebhookRequest::default()
    }
}

fn wait_of(error: &ChannelError) -> Option<(u64, Pause)> {
    match error {
        ChannelError::Temporary { retry_after, pause, .. } => Some((retry_after.unwrap_or_default().as_secs(), *pause)),
        _ => None,
    }
}

#[derive(Default)]
struct Desk {
    connected: Notify,
}

#[async_trait]
impl Intake for Desk {
    async fn deliver(&self, update: Update) -> Result<(), ChannelError> {
        panic!("nothing is delivered by a session: {update:?}")
    }

    async fn park(&self, _: &str, reason: &str, _: Bytes) -> Result<(), ChannelError> {
        panic!("nothing is parked by a session: {reason}")
    }

    async fn cursor(&self) -> Result<Option<Value>, ChannelError> {
        Ok(None)
    }

    async fn save_cursor(&self, _: Value) -> Result<(), ChannelError> {
        Ok(())
    }

    fn status(&self, _: SessionStatus) {
        self.connected.notify_one();
    }
}

#[tokio::test]
async fn a_session_checks_subscribes_and_stays() {
    let (graph, channel) = start().await;
    let told = channel.check().await.unwrap();
    assert_eq!((&told["phone_number"], &told["verified_name"]), (&json!("+972123456789"), &json!("Shop")));
    let (desk, channel) = (Arc::new(Desk::default()), Arc::new(channel));
    let inlet: Inlet = desk.clone();
    let session = tokio::spawn(async move { channel.run(&inlet).await });
    tokio::time::timeout(SOON, desk.connected.notified()).await.expect("not connected");
    assert!(graph.is_subscribed() && !session.is_finished());
    session.abort();
}

#[tokio::test]
async fn wrong_settings_are_told_in_metas_words() {
    let (graph, channel) = start().await;
    let inlet: Inlet = Arc::new(Desk::default());
    graph.answer_next(refusal(400, 100, 33, "Unsupported get request."));
    let words = channel.check().await.unwrap_err();
    assert!(
        matches!(&words, ChannelError::Rejected(words) if words == "provider_config.phone_number_id is not accepted: Unsupported get request (100)."),
        "{words:?}"
    );
    graph.answer_next(refusal(400, 100, 33, "Unsupported get request."));
    assert!(matches!(channel.run(&inlet).await, Err(ChannelError::NeedsAttention(_))));
    graph.answer_next(refusal(429, 4, 0, "Application request limit reached"));
    assert!(matches!(channel.run(&inlet).await, Err(ChannelError::Temporary { .. })));
    graph.change_token("renewed");
    for error in
        [channel.check().await.map(|_| ()), channel.run(&inlet).await, channel.list().await.map(|_| ()), channel.read("1", "wamid.1").await]
    {
        let words = "Error validating access token: Session has expired (190). Renew the access token (provider_config.api_key).";
        assert!(matches!(&error, Err(ChannelError::NeedsAttention(told)) if told == words), "{error:?}");
    }
}

#[tokio::test]
async fn a_message_goes_out_and_its_statuses_come_back() {
    let (graph, channel) = start().await;
    let sent = channel.send(&message(7, "**hi** ü")).await.unwrap();
    let requests = graph.sent();
    assert_eq!((requests.len(), &requests[0]["text"]["body"], &requests[0]["to"]), (1, &json!("*hi* ü"), &json!("972987654321")));
    let mut progress = Vec::new();
    for webhook in graph.ladder(&sent.0, "read") {
        for update in channel.webhook(&post(&webhook)).unwrap().updates {
            let Update::Receipt(Receipt { of, progress: step, .. }) = update else { panic!("{update:?}") };
            assert_eq!(of, ReceiptOf::One { provider_id: sent.0.clone(), message_id: Some(7) });
            progress.push(step);
        }
    }
    assert_eq!(progress, [Progress::Sent, Progress::Delivered, Progress::Read]);
    let mut forged = post(&graph.ladder(&sent.0, "sent")[0]);
    forged.body = Bytes::from_static(b"{}");
    assert!(matches!(channel.webhook(&forged), Err(ChannelError::Rejected(_))));
    let received = Graph::message("972987654321", "Zoë", "wamid.in", 1_800_000_000, "text", json!({ "body": "grüße 👋" }));
    let updates = channel.webhook(&post(&received)).unwrap().updates;
    let [Update::Message(inbound)] = updates.as_slice() else { panic!("{updates:?}") };
    assert_eq!((inbound.content.as_deref(), inbound.sender.name.as_deref()), (Some("grüße 👋"), Some("Zoë")));
}

#[tokio::test]
async fn another_try_sends_only_what_is_missing() {
    let (graph, channel) = start().await;
    let long = message(7, &"word ".repeat(2000));
    graph.refuse_next(500, 131_016, "Service unavailable");
    assert_eq!(wait_of(&channel.send(&long).await.unwrap_err()), Some((0, Pause::Conversation)));
    assert_eq!(graph.sent().len(), 0);
    graph.answer_next_message(Reply::json(&json!({ "messages": [{ "id": "wamid.first" }] })));
    graph.answer_next_message(refusal(500, 131_016, 0, "Service unavailable"));
    channel.send(&long).await.unwrap_err();
    let id = channel.send(&long).await.unwrap();
    let callbacks: Vec<Value> = graph.sent().iter().map(|request| request["biz_opaque_callback_data"].clone()).collect();
    assert_eq!((callbacks, id.0.as_str()), (vec![json!("7/1"), json!("7")], "wamid.ours.1"));
    // The same message after that is another sending.
    assert_eq!(channel.send(&message(8, "a")).await.unwrap().0, "wamid.ours.2");
}

#[tokio::test]
async fn files_are_uploaded_once() {
    let (graph, channel) = start().await;
    graph.refuse_next(429, 130_429, "Rate limit hit");
    assert_eq!(wait_of(&channel.send(&picture(7)).await.unwrap_err()).map(|(_, pause)| pause), Some(Pause::Inbox));
    channel.send(&picture(7)).await.unwrap();
    assert_eq!(graph.uploads(), 1);
    let image = &graph.sent()[0]["image"];
    assert_eq!((graph.file(image["id"].as_str().unwrap()), &image["caption"]), (Some(b"a picture".to_vec()), &json!("look")));
    // A file that Meta cannot take is uploaded once more, and then the message fails.
    graph.refuse_next(400, 131_053, "Media upload error");
    assert_eq!(wait_of(&channel.send(&picture(8)).await.unwrap_err()), Some((0, Pause::Conversation)));
    graph.refuse_next(400, 131_053, "Media upload error");
    let failed = channel.send(&picture(8)).await.unwrap_err();
    assert!(matches!(&failed, ChannelError::Rejected(words) if words == "Media upload error (131053)."), "{failed:?}");
    assert_eq!(graph.uploads(), 3);
}

#[tokio::test]
async fn a_sending_of_unknown_outcome_waits_for_its_status() {
    let (graph, mut channel) = start().await;
    let garbage = || Reply::status(200).body("<html>hello</html>");
    for reply in [garbage(), Reply::drop_connection(), Reply::status(502), Reply::json(&json!({ "messages": [] })), Reply::json(&json!([]))]
    {
        graph.answer_next_message(reply);
        let error = channel.send(&message(7, "hi")).await.unwrap_err();
        assert!(wait_of(&error).is_some_and(|(seconds, pause)| seconds >= 60 && pause == Pause::Conversation), "{error:?}");
    }
    channel.graph.patience = Duration::from_millis(200);
    graph.answer_next_message(Reply::hang());
    let error = channel.send(&message(7, "hi")).await.unwrap_err();
    assert!(wait_of(&error).is_some_and(|(seconds, _)| seconds >= 60), "{error:?}");
    channel.graph.patience = SOON;
    let status = json!({ "id": "wamid.unknown", "status": "sent", "timestamp": "1800000000", "biz_opaque_callback_data": "7" });
    channel.webhook(&post(&Graph::change("messages", json!({ "statuses": [status] })))).unwrap();
    assert_eq!(channel.send(&message(7, "hi")).await.unwrap().0, "wamid.unknown");
    assert!(graph.sent().is_empty(), "it was sent a second time");
    let away = channel_at("http://127.0.0.1:1");
    assert_eq!(
        wait_of(&away.send(&message(8, "hi")).await.unwrap_err()),
        Some((0, Pause::Conversation)),
        "what was not sent need not wait"
    );
}

#[tokio::test]
async fn refusals_delay_only_whom_they_must() {
    let (graph, channel) = start().await;
    let send = async |code: i64| {
        graph.refuse_next(400, code, "Because");
        channel.send(&message(7, "hi")).await.unwrap_err()
    };
    let mut waits = Vec::new();
    for _ in 0..3 {
        waits.push(wait_of(&send(131_056).await).unwrap());
    }
    assert_eq!(waits, [(4, Pause::Conversation), (16, Pause::Conversation), (64, Pause::Conversation)]);
    channel.send(&message(7, "hi")).await.unwrap();
    assert_eq!(wait_of(&send(131_056).await), Some((4, Pause::Conversation)));
    assert_eq!(wait_of(&send(80007).await), Some((900, Pause::Inbox)));
    assert_eq!(wait_of(&send(131_049).await), Some((3600, Pause::Conversation)));
    graph.answer_next_message(refusal(429, 130_429, 0, "Slow down").header("retry-after", "33"));
    assert_eq!(wait_of(&channel.send(&message(7, "hi")).await.unwrap_err()), Some((33, Pause::Inbox)));
    for (code, words) in [
        (131_047, "Because (131047). More than 24 hours have passed since the contact last wrote: send a template."),
        (131_026, "Because (131026)."),
        (132_001, "Because (132001). Check the name and the language of the template."),
    ] {
        let error = send(code).await;
        assert!(matches!(&error, ChannelError::Rejected(told) if told == words), "{error:?}");
    }
    assert!(matches!(send(131_031).await, ChannelError::NeedsAttention(_)));
    graph.answer_next_message(refusal(400, 100, 33, "Object does not exist"));
    assert!(matches!(channel.send(&message(7, "hi")).await, Err(ChannelError::NeedsAttention(words)) if words.contains("phone_number_id")));
    graph.change_token("renewed");
    assert!(matches!(channel.send(&message(7, "hi")).await, Err(ChannelError::NeedsAttention(_))));
    assert!(matches!(channel.send(&picture(9)).await, Err(ChannelError::NeedsAttention(_))));
}

fn remote(node: &Value) -> RemoteFile {
    RemoteFile {
        reference: json!({ "id": node["id"], "sha256": node["sha256"] }),
        file_name: String::new(),
        content_type: String::new(),
        byte_size: None,
    }
}

#[tokio::test]
async fn files_are_fetched_in_two_steps_and_checked() {
    let (graph, channel) = start().await;
    let file = remote(&graph.give_file("65", "image/png", b"a picture"));
    assert_eq!(channel.fetch(&file, 100).await.unwrap(), &b"a picture"[..]);
    graph.let_links_die(1);
    assert_eq!(channel.fetch(&file, 100).await.unwrap(), &b"a picture"[..], "a dead link is renewed");
    graph.let_links_die(2);
    assert!(matches!(channel.fetch(&file, 100).await, Err(ChannelError::Temporary { .. })));
    assert!(matches!(channel.fetch(&file, 8).await, Err(ChannelError::Rejected(words)) if words == "larger than 0 MB"));
    graph.damage_file("65");
    assert!(matches!(channel.fetch(&file, 100).await, Err(ChannelError::Temporary { cause, .. }) if cause.contains("sha256")));
    let unchecked = RemoteFile { reference: json!({ "id": "65", "sha256": "4654+8g=" }), ..file.clone() };
    assert_eq!(channel.fetch(&unchecked, 100).await.unwrap(), &b"a picture!"[..], "what is no digest proves nothing");
    graph.lose_file("65");
    assert!(
        matches!(channel.fetch(&file, 100).await, Err(ChannelError::Rejected(words)) if words.starts_with("no longer available at Meta"))
    );
    for reference in [json!({}), json!({ "id": "../me" }), Value::Null] {
        assert!(matches!(channel.fetch(&RemoteFile { reference, ..file.clone() }, 100).await, Err(ChannelError::Rejected(_))));
    }
}

#[tokio::test]
async fn the_token_is_not_taken_to_other_hosts_and_files_do_not_flood() {
    let (graph, channel) = start().await;
    let file = remote(&graph.give_file("65", "image/png", b"a picture"));
    let stranger = Receiver::start().await;
    graph.answer_next(Reply::json(&json!({ "id": "65", "url": stranger.url("/65"), "file_size": 9 })));
    let error = channel.fetch(&file, 100).await.unwrap_err();
    assert!(error.to_string().contains("no host of Meta's"), "{error}");
    assert!(stranger.received().is_empty());
    // A link that leads elsewhere is not followed, and what is longer than it was said to be is cut off.
    graph.answer_next(Reply::json(&json!({ "id": "65", "url": format!("{}/links/1/65", graph.url()) })));
    graph.answer_next(Reply::status(302).header("location", &stranger.url("/65")));
    assert!(matches!(channel.fetch(&file, 100).await, Err(ChannelError::Temporary { .. })));
    assert!(stranger.received().is_empty());
    graph.answer_next(Reply::json(&json!({ "id": "65", "url": format!("{}/links/1/65", graph.url()), "file_size": "9" })));
    graph.answer_next(Reply::status(200).body(vec![0; 200]));
    assert!(matches!(channel.fetch(&file, 100).await, Err(ChannelError::Rejected(_))));
}

#[tokio::test]
async fn templates_come_in_pages() {
    let (graph, channel) = start().await;
    assert_eq!(channel.list().await.unwrap(), Vec::<Value>::new());
    let templates: Vec<Value> =
        (0..250).map(|number| json!({ "id": number.to_string(), "name": format!("t{number}"), "status": "APPROVED" })).collect();
    graph.set_templates(templates.clone());
    assert_eq!(channel.list().await.unwrap(), templates);
    let pages = graph.received().iter().filter(|request| request.path.contains("after=")).count();
    assert_eq!(pages, 2);
    // Pages that lead into themselves end.
    let page = json!({ "data": [{ "id": "1" }], "paging": { "cursors": { "after": "x" }, "next": "https://graph.facebook.com/x" } });
    graph.answer_next(Reply::json(&page));
    graph.answer_next(Reply::json(&page));
    assert!(matches!(channel.list().await, Err(ChannelError::Temporary { .. })));
}

#[tokio::test]
async fn contacts_see_that_somebody_reads_and_types() {
    let (graph, channel) = start().await;
    channel.read("972987654321", "wamid.in").await.unwrap();
    channel.typing("972987654321", Some("wamid.in")).await.unwrap();
    channel.typing("972987654321", None).await.unwrap();
    assert_eq!(
        graph.read(),
        [
            json!({ "messaging_product": "whatsapp", "status": "read", "message_id": "wamid.in" }),
            json!({ "messaging_product": "whatsapp", "status": "read", "message_id": "wamid.in", "typing_indicator": { "type": "text" } }),
        ]
    );
}

#[tokio::test]
async fn the_subscription_ends_with_the_last_number_of_the_account() {
    let (graph, channel) = start().await;
    graph.add_number("999");
    let (desk, inlet): (Arc<Desk>, Inlet) = {
        let desk = Arc::new(Desk::default());
        (desk.clone(), desk)
    };
    tokio::select! {
        ended = channel.run(&inlet) => panic!("{ended:?}"),
        () = desk.connected.notified() => {}
    }
    channel.unregister().await.unwrap();
    assert!(graph.is_subscribed(), "the other number still needs it");
    let (graph, channel) = start().await;
    tokio::select! {
        ended = channel.run(&inlet) => panic!("{ended:?}"),
        () = desk.connected.notified() => {}
    }
    channel.unregister().await.unwrap();
    assert!(!graph.is_subscribed());
}
