//! WhatsApp as others know it: our requests are held to Meta's own description of its API, what our stand-in posts is read by a
//! library that others wrote, and webhooks that others have seen are stored.

use crate::fakes::graph::{APP_SECRET, Graph};
use crate::harness::{NodePackages, Received, eventually, node_packages, python_packages, shared, skipped};
use crate::messengers::{LATER, PICTURE, ago};
use crate::ports::{DAEMONS, free_port};
use crate::whatsapp::{Line, Person, echo, failure, message, moved, status, with_fields};
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Stdio};

/// Somebody as Meta tells of people since 2026.
const EVE: Person = Person { name: "Eve", phone: Some("4930444444"), user_id: Some("DE.1234567890abc") };

const DESCRIPTION: &str = "channels/specs/meta/business-messaging-api_v23.0.yaml";
const SAMPLES: &str = "channels/specs/samples/pywa/updates";

/// Everything that can be said, both ways.
async fn talk(line: &Line) {
    let hello = |person: Person, id: &str| message(person, id, ago(300), "text", json!({ "body": "grüße 👋" }));
    let by_number = Person { name: "Ada", phone: Some("4930111111"), user_id: None };
    line.tell(&hello(by_number, "wamid.ada")).await;
    let conversation = line.conversation_with("wamid.ada").await;
    let quoted = line.known_as(conversation, "wamid.ada", |_| true).await["id"].clone();
    let items =
        |count: usize| (1..=count).map(|index| json!({ "title": format!("Option {index}"), "value": format!("o{index}") })).collect();
    let choice = |count: usize| {
        let items: Vec<Value> = items(count);
        json!({ "content": "Which?", "content_type": "input_select", "content_attributes": { "items": items } })
    };
    let params = json!({
        "name": "greeting", "language": "en_US", "category": "UTILITY",
        "processed_params": { "header": { "1": "Shop" }, "body": { "1": "Eve" }, "buttons": [{ "type": "url", "parameter": "x" }] },
    });
    let place = json!({ "location": { "latitude": 52.5, "longitude": 13.4, "title": "Café" } });
    let cards = json!({ "contacts": [{ "first_name": "Zoë", "last_name": "Z", "phone_number": "+49301" }] });
    for fields in [
        json!({ "content": "see https://shop.example", "content_attributes": { "in_reply_to": quoted } }),
        choice(2),
        choice(6),
        json!({ "content": "here", "content_attributes": place }),
        json!({ "content": "she", "content_attributes": cards }),
        json!({ "content": "Hello Eve", "template_params": params }),
    ] {
        let id = line.reply_with(conversation, fields).await.expect(200).id("/id");
        line.in_status(conversation, id, "sent").await;
    }
    let files: [(&str, &str, &[u8]); 2] = [("a.png", "image/png", PICTURE), ("bill ä.pdf", "application/pdf", b"%PDF-1.4\n")];
    let id = line.reply_with_files(conversation, "look", &files).await;
    line.in_status(conversation, id, "sent").await;
    line.post(&format!("/conversations/{conversation}/update_last_seen"), json!({})).await.expect(200);
    let node = line.graph.give_file("4711", "image/png", PICTURE);
    line.tell(&message(by_number, "wamid.picture", ago(200), "image", node)).await;
    line.known_as(conversation, "wamid.picture", |message| message["attachments"][0]["data_url"].is_string()).await;
}

/// A running mock of a described API, which refuses what is not as described.
struct Prism {
    child: Child,
    address: String,
}

impl Prism {
    async fn start(node: &NodePackages, description: &Path) -> Self {
        let port = free_port(DAEMONS);
        let mut command = node.program("prism");
        command.args(["mock", "-h", "127.0.0.1", "-p", &port.to_string()]).arg(description);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let prism = Prism { child, address: format!("http://127.0.0.1:{port}") };
        eventually(LATER * 2, async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()).await;
        prism
    }
}

impl Drop for Prism {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is refused although Meta takes it, with the reason; by method, end of the path, and what the body has.
const FALSE_REFUSALS: &[(&str, &str, &str, &str)] = &[
    ("POST", "/messages", "/status", "to mark as read is a request of its own, which the description does not have"),
    ("POST", "/messages", "/recipient", "people are addressed by Meta's own id since 2026, after this description"),
];

#[tokio::test(flavor = "multi_thread")]
async fn our_requests_are_as_meta_describes_them() {
    let Some(description) = shared(DESCRIPTION) else {
        return skipped("requests against Meta's description", &format!("shared/{DESCRIPTION} is not there"));
    };
    let Some(node) = node_packages() else { return };
    let line = Line::open().await;
    talk(&line).await;
    line.client.delete(line.client.a(&format!("/inboxes/{}", line.inbox))).await.expect(200);
    line.graph.wait_for("the subscription to end", |graph| !graph.is_subscribed()).await;
    let prism = Prism::start(&node, &description).await;
    let mut refused = Vec::new();
    let mut kinds = BTreeMap::new();
    // Where a file lies is Meta's own matter: the links are not part of the API.
    for request in line.graph.received().iter().filter(|request| !request.path.starts_with("/links/")) {
        *kinds.entry(request.json["type"].as_str().unwrap_or_default().to_owned()).or_insert(0) += 1;
        if let Some(words) = replay(&line, &prism, request).await {
            let path = request.path.split('?').next().unwrap_or_default();
            let is_known = FALSE_REFUSALS.iter().any(|(method, end, pointer, _)| {
                request.method == *method && path.ends_with(end) && request.json.pointer(pointer).is_some()
            });
            if !is_known {
                refused.push(format!("{} {} {}\n  {words}", request.method, request.path, request.text()));
            }
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    for kind in ["text", "interactive", "location", "contacts", "template", "image", "document"] {
        assert!(kinds.contains_key(kind), "nothing of the kind {kind} was sent: {kinds:?}");
    }
}

/// What is wrong with a request, in Prism's words.
async fn replay(line: &Line, prism: &Prism, request: &Received) -> Option<String> {
    let mut body = request.body.clone();
    if let Value::Object(mut fields) = request.json.clone() {
        // The description does not have it; Meta's guides do.
        fields.remove("biz_opaque_callback_data");
        // Its pattern (`^[2-6, 11-14]$`) refuses the first buttons, which its own samples have.
        let components = fields.get_mut("template").and_then(|template| template["components"].as_array_mut());
        for component in components.into_iter().flatten().filter(|component| component["index"].is_string()) {
            component["index"] = json!("2");
        }
        body = Value::Object(fields).to_string().into_bytes();
    }
    let method: Method = request.method.parse().unwrap();
    let url = format!("{}{}", prism.address, request.path);
    let mut replayed = line.daemon.visitor().request(method, &url).header("authorization", "Bearer token").body(body);
    if let Some(content_type) = request.header("content-type") {
        replayed = replayed.header("content-type", content_type);
    }
    let answer = replayed.send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    (!status.is_success()).then(|| format!("{status}: {text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn others_read_what_our_stand_in_posts() {
    let Some(python) = python_packages() else { return };
    let sent = json!({ "to": EVE.phone, "biz_opaque_callback_data": "7" });
    let fields = |id: &str, fields: Value| with_fields(EVE, id, ago(100), fields);
    let said = |id: &str, kind: &str, own: Value| message(EVE, id, ago(100), kind, own);
    let chosen = |kind: &str| {
        let own = json!({ "type": kind, (kind): { "id": "o1", "title": "Green" } });
        fields("wamid.chosen", json!({ "type": "interactive", "interactive": own, "context": { "from": "972123456789", "id": "wamid.q" } }))
    };
    let edit = json!({ "original_message_id": "wamid.1", "message": { "type": "text", "text": { "body": "three" } } });
    let card = json!([{ "name": { "formatted_name": "Zoë Z", "first_name": "Zoë" }, "phones": [{ "phone": "+49 30 1", "type": "CELL" }] }]);
    let decided = json!({
        "event": "APPROVED", "message_template_id": 1_689_556_908, "message_template_name": "offer", "message_template_language": "en_US",
        "reason": "NONE", "message_template_category": "UTILITY",
    });
    let from = "from=Eve/4930444444/DE.1234567890abc";
    let picture = Graph::start().await.give_file("65", "image/png", PICTURE);
    let table = [
        (said("wamid.1", "text", json!({ "body": "grüße 👋" })), format!("Message type=text text=grüße 👋 {from}")),
        (
            message(Person { phone: None, ..EVE }, "wamid.2", ago(9), "text", json!({ "body": "hidden" })),
            "Message type=text text=hidden from=Eve//DE.1234567890abc".into(),
        ),
        (said("wamid.3", "image", picture), format!("Message type=image {from}")),
        (
            said("wamid.4", "location", json!({ "latitude": 52.5, "longitude": 13.4, "name": "Café" })),
            format!("Message type=location {from}"),
        ),
        (said("wamid.5", "contacts", card), format!("Message type=contacts {from}")),
        (said("wamid.6", "reaction", json!({ "message_id": "wamid.q", "emoji": "👍" })), format!("Message type=reaction {from}")),
        (said("wamid.7", "reaction", json!({ "message_id": "wamid.q" })), format!("Message type=reaction {from}")),
        (said("wamid.8", "edit", edit), format!("EditedMessage type=text {from}")),
        (said("wamid.9", "revoke", json!({ "original_message_id": "wamid.1" })), format!("DeletedMessage type=revoke {from}")),
        (chosen("button_reply"), format!("CallbackButton type=interactive title=Green data=o1 {from}")),
        (chosen("list_reply"), format!("CallbackSelection type=interactive title=Green data=o1 {from}")),
        (moved(EVE, "wamid.10", ago(9), "4930555555"), "PhoneNumberChange type=system".into()),
        (status(EVE, &sent, "wamid.q", "delivered", ago(9)), format!("MessageStatus status=delivered {from}")),
        (failure(EVE, &sent, "wamid.q", 131_049, "No"), format!("MessageStatus status=failed {from}")),
        (echo(EVE, "wamid.11", ago(9), "from the shop"), "OutgoingMessage type=text text=from the shop".into()),
        (Graph::change("message_template_status_update", decided), "TemplateStatusUpdate".into()),
    ];
    let mut command = python.program("python");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/daemon/python/webhooks.py")).arg(APP_SECRET);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines: String = table
        .iter()
        .map(|(webhook, _)| {
            let body = Graph::body(webhook);
            format!("{}\t{}\n", Graph::signature(APP_SECRET, &body), String::from_utf8(body).unwrap())
        })
        .collect();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    let read = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{read}\n{}", String::from_utf8_lossy(&output.stderr));
    for (line, (webhook, expected)) in read.lines().zip(&table) {
        assert!(line.starts_with(expected.as_str()), "{line}\ninstead of {expected}\nof {webhook}");
    }
    assert_eq!(read.lines().count(), table.len(), "{read}");
}

/// The samples tell of the same few messages again and again: each is told of as one of its own.
#[tokio::test(flavor = "multi_thread")]
async fn what_others_have_seen_is_stored() {
    let Some(folder) = shared(SAMPLES) else {
        return skipped("webhooks that others have seen", &format!("shared/{SAMPLES} is not there"));
    };
    let line = Line::open().await;
    for id in ["65463453", "765756756", "1234567890987654321"] {
        line.graph.give_file(id, "image/png", PICTURE);
    }
    // What reactions and statuses are about.
    let person = Person { name: "Test Name", phone: Some("972987654321"), user_id: Some("US.13491208655302741918") };
    line.tell(&message(person, "wamid.yzxyzx=", ago(100), "text", json!({ "body": "first" }))).await;
    line.conversation_with("wamid.yzxyzx=").await;
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (mut posted, mut expected, mut accounts) = (0, Vec::new(), Vec::new());
    for path in files.iter().filter(|path| path.extension().is_some_and(|ending| ending == "json")) {
        let file = path.file_stem().unwrap().to_string_lossy().into_owned();
        let samples: Map<String, Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        for (name, sample) in samples {
            let list = if let Value::Array(list) = sample { list } else { vec![sample] };
            for mut sample in list {
                let id = format!("wamid.{file}.{name}");
                if let Some(kind) = rename(&mut sample, &id) {
                    expected.push((id, kind));
                }
                // The first time as it is, the second time it changes nothing.
                for _ in 0..2 {
                    let answer = line.post_webhook(&sample).await;
                    assert_eq!(answer.status, 200, "{file} {name}: {}", answer.text);
                }
                posted += 1;
                if file == "account_update" {
                    accounts.push(name.clone());
                }
            }
        }
    }
    assert!(posted > 60 && accounts.len() > 10, "{posted} samples");
    // What stands behind everything else shows that all of it was read.
    line.tell(&message(person, "wamid.last", ago(1), "text", json!({ "body": "last" }))).await;
    line.conversation_with("wamid.last").await;

    let mut stored: BTreeMap<String, Value> = BTreeMap::new();
    for conversation in line.conversations().await {
        let path = format!("/conversations/{}/messages", conversation["id"]);
        let mut before = String::new();
        loop {
            let page = line.get(&format!("{path}{before}")).await.at("/payload").as_array().unwrap().clone();
            let Some(first) = page.first() else { break };
            before = format!("?before={}", first["id"]);
            for message in page.into_iter().filter(|message| message["source_id"].is_string()) {
                let known = stored.insert(message["source_id"].as_str().unwrap().to_owned(), message);
                assert!(known.is_none(), "twice: {known:?}");
            }
        }
    }
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for (id, kind) in &expected {
        let message = stored.get(id).unwrap_or_else(|| panic!("{id} is not stored"));
        let is_unsupported = message["content_attributes"]["is_unsupported"] == true;
        let attached = message["attachments"].as_array().map_or(0, Vec::len);
        match kind.as_str() {
            "location" => assert_eq!(attached, 1, "{message}"),
            "contacts" => assert_eq!(attached, 3, "{message}"),
            "image" | "video" | "audio" | "document" | "sticker" | "unsupported" => {}
            _ => assert!(is_unsupported || message["content"].as_str().is_some_and(|text| !text.is_empty()), "{message}"),
        }
        *found.entry(kind.clone()).or_default() += 1;
    }
    let counted: Vec<(&str, usize)> = found.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
    assert_eq!(
        counted,
        [
            ("audio", 2),
            ("button", 2),
            ("contacts", 1),
            ("document", 1),
            ("image", 2),
            ("interactive", 8),
            ("location", 2),
            ("order", 1),
            ("sticker", 2),
            ("system", 1),
            ("text", 6),
            ("unsupported", 2),
            ("video", 1),
        ]
    );
    // The samples take the reaction off again.
    let reacted = &stored["wamid.yzxyzx="];
    assert!(reacted["content_attributes"]["reactions"].as_array().is_none_or(Vec::is_empty), "{reacted}");
    let words = &stored["wamid.message.chosen_location"]["attachments"][0]["fallback_title"];
    assert_eq!(words, "Facebook HQ, 1 Hacker Way, Menlo Park, CA 94025");
    let health = line.get(&format!("/inboxes/{}/health", line.inbox)).await;
    assert_eq!(health.id("/parked"), 0, "{}", health.text);
}

/// Gives a message of a sample an id of its own; its kind, if it is one that is shown.
fn rename(sample: &mut Value, id: &str) -> Option<String> {
    let change = sample.pointer_mut("/entry/0/changes/0")?;
    let field = change["field"].as_str()?.to_owned();
    let is_ours = change.pointer("/value/metadata/phone_number_id") == Some(&json!("1122334455667"));
    let message = change.pointer_mut(if field == "messages" { "/value/messages/0" } else { "/value/message_echoes/0" })?;
    let kind = message["type"].as_str()?.to_owned();
    let is_shown = !matches!(kind.as_str(), "reaction" | "edit" | "revoke") && message["system"]["type"] != "user_changed_number";
    if is_shown {
        message["id"] = json!(id);
    }
    (is_shown && is_ours).then_some(kind)
}
