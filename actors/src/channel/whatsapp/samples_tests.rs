//! Webhooks that others have seen, and what each becomes. Skipped, with a line that says so, where the samples are not at hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
use super::{ProviderConfig, Settings, webhook};
use crate::channel::request::WebhookRequest;
use crate::message::{Inbound, InboundAttachment, ReceiptOf, Update, Writer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

const SAMPLES: &str = "shared/channels/specs/samples/pywa/updates";

/// The person of most samples: known by Meta's id, and by a number and a second id as well.
const TEST_NAME: (&str, [&str; 2]) = ("US.13491208655302741918", ["972987654321", "US.ENT.11815799212886844830"]);

/// What each sample becomes: its file and name, and a line for each update, indented.
const EXPECTED: &str = include_str!("testdata/samples.txt");

#[test]
fn every_sample_becomes_what_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join(SAMPLES)).find(|folder| folder.is_dir());
    let Some(folder) = folder else {
        eprintln!("skipped: samples of webhooks: {SAMPLES} is not there");
        return;
    };
    let mut found = String::new();
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for path in files.iter().filter(|path| path.extension().is_some_and(|ending| ending == "json")) {
        let file = path.file_stem().unwrap().to_string_lossy();
        let samples: Map<String, Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let samples: BTreeMap<String, Value> = samples.into_iter().collect();
        for (name, sample) in samples {
            found.push_str(&format!("{file} {name}\n"));
            let samples = if let Value::Array(list) = sample { list } else { vec![sample] };
            samples.iter().flat_map(summaries).for_each(|line| found.push_str(&format!("    {line}\n")));
        }
    }
    for (found, expected) in found.lines().zip(EXPECTED.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.lines().count(), EXPECTED.lines().count(), "samples are missing, or there are more:\n{found}");
}

/// What a sample becomes for the number and the account that it names.
fn summaries(sample: &Value) -> Vec<String> {
    let text = |pointer: &str| sample.pointer(pointer).and_then(Value::as_str).unwrap_or("0").to_owned();
    let provider_config = ProviderConfig {
        phone_number_id: text("/entry/0/changes/0/value/metadata/phone_number_id"),
        business_account_id: text("/entry/0/id"),
        ..ProviderConfig::default()
    };
    let settings = Settings { provider_config, ..Settings::default() };
    let request = WebhookRequest { method: "POST".into(), body: sample.to_string().into(), ..WebhookRequest::default() };
    webhook::read(&settings, &request).unwrap().webhook.updates.iter().map(summary).collect()
}

fn summary(update: &Update) -> String {
    match update {
        Update::Message(inbound) => message(inbound),
        Update::Receipt(receipt) => {
            let ReceiptOf::One { provider_id, message_id } = &receipt.of else { panic!("{receipt:?}") };
            format!("{provider_id} {message_id:?} at {}: {:?}", receipt.at.timestamp(), receipt.progress)
        }
        Update::Edit(edit) => format!("{} edits {} at {}: {:?}", edit.source_id, edit.provider_id, edit.at.timestamp(), edit.content),
        Update::Deletion { source_id, provider_id } => format!("{source_id} deletes {provider_id}"),
        Update::Reaction(reaction) => {
            format!("{} on {} at {}: {:?}", reaction.source_id, reaction.provider_id, reaction.at.timestamp(), reaction.emojis)
        }
        Update::Moved { from, to } => format!("{from} moves to {} {:?}", to.source_id, to.profile.phone_number),
        Update::Reachable { source_id, reachable, .. } => format!("{source_id} reachable: {reachable}"),
        Update::TemplatesChanged => "templates changed".into(),
        Update::NeedsAttention(words) => words.clone(),
        other => panic!("{other:?}"),
    }
}

fn message(inbound: &Inbound) -> String {
    let aliases: Vec<&str> = inbound.aliases.iter().map(String::as_str).collect();
    let name = inbound.sender.name.as_deref().unwrap_or("nobody");
    let who = if (inbound.source_id.as_str(), aliases.as_slice()) == (TEST_NAME.0, &TEST_NAME.1[..]) {
        assert_eq!((name, inbound.sender.phone_number.as_deref()), ("Test Name", Some("+972987654321")));
        "Test Name".to_owned()
    } else {
        format!("{} {aliases:?} ({name}, {:?})", inbound.source_id, inbound.sender.phone_number)
    };
    let verb = if inbound.writer == Writer::Business { "is told" } else { "says" };
    let mut line = format!("{who} {verb} {} at {}", inbound.provider_id.as_deref().unwrap(), inbound.sent_at.unwrap().timestamp());
    if let Some(quotes) = &inbound.quotes {
        line.push_str(&format!(" to {quotes}"));
    }
    if let Some(content) = &inbound.content {
        line.push_str(&format!(": {content:?}"));
    }
    for attachment in &inbound.attachments {
        match attachment {
            InboundAttachment::Remote(file) => {
                let whole = file.reference["sha256"].is_string();
                line.push_str(&format!(" [{} {} {:?} {whole}]", file.reference["id"].as_str().unwrap(), file.content_type, file.file_name));
            }
            InboundAttachment::Place(place) => line.push_str(&format!(" [{} {} {:?}]", place.latitude, place.longitude, place.title)),
            InboundAttachment::Card(card) => {
                line.push_str(&format!(" [{:?} {:?} {:?}]", card.first_name, card.last_name, card.phone_number))
            }
            InboundAttachment::File(file) => panic!("{file:?}"),
        }
    }
    let mut attributes: Vec<&str> = inbound.content_attributes.keys().map(String::as_str).collect();
    attributes.sort_unstable();
    let kind = inbound.content_attributes.get("data").and_then(|data| data["type"].as_str()).map(|kind| format!(" {kind}"));
    let of_conversation: Vec<&String> = inbound.conversation_attributes.keys().collect();
    format!(
        "{line}{}{}",
        kind.unwrap_or_default(),
        if attributes.is_empty() && of_conversation.is_empty() { String::new() } else { format!(" {attributes:?} {of_conversation:?}") }
    )
}
