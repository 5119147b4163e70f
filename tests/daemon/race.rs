//! Bursts: many first messages of one person at once make one contact, one identity, one conversation.

use crate::harness::{Client, Daemon};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::Semaphore;

const PEOPLE: usize = 200;
const AT_ONCE: usize = 20;

/// What a customer's app does when its user writes for the first time: contact, conversation, message.
async fn first_message(visitor: Client, contacts: String, person: usize, number: usize) -> (usize, i64, String, i64) {
    let contact =
        visitor.post(&contacts, json!({ "identifier": format!("person-{person}"), "email": format!("p{person}@example.com") })).await;
    let contact = contact.expect(200);
    let source_id = contact.str("/source_id").to_owned();
    let opened = format!("{contacts}/{source_id}/conversations");
    let conversation = visitor.post(&opened, json!({})).await.expect(200).id("/id");
    visitor.post(format!("{opened}/{conversation}/messages"), json!({ "content": format!("message {number}") })).await.expect(200);
    (person, contact.id("/id"), source_id, conversation)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_first_messages_at_once_of_each_of_two_hundred_people_make_one_conversation_each() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = json!({ "name": "App", "lock_to_single_conversation": true, "channel": { "type": "api" } });
    let inbox = admin.post(admin.a("/inboxes"), inbox).await.expect(200);
    let contacts = format!("/public/api/v1/inboxes/{}/contacts", inbox.str("/inbox_identifier"));
    let places = Arc::new(Semaphore::new(64));
    // One client for all: making one costs more than everything it does here.
    let visitor = daemon.visitor();
    let mut flows = tokio::task::JoinSet::new();
    for person in 0..PEOPLE {
        for number in 0..AT_ONCE {
            let (visitor, contacts, places) = (visitor.clone(), contacts.clone(), places.clone());
            flows.spawn(async move {
                let _place = places.acquire().await.unwrap();
                first_message(visitor, contacts, person, number).await
            });
        }
    }
    let mut seen: BTreeMap<usize, BTreeSet<(i64, String, i64)>> = BTreeMap::new();
    while let Some(flow) = flows.join_next().await {
        let (person, contact, source_id, conversation) = flow.unwrap();
        seen.entry(person).or_default().insert((contact, source_id, conversation));
    }
    assert_eq!(seen.len(), PEOPLE);
    assert!(seen.values().all(|seen| seen.len() == 1), "every answer of a person names the same contact, identity and conversation");
    let distinct: BTreeSet<_> = seen.values().flatten().cloned().collect();
    assert_eq!(distinct.len(), PEOPLE, "two people never share one");
    let listed = admin.get(admin.a("/contacts")).await.expect(200);
    assert_eq!(listed.id("/meta/count"), i64::try_from(PEOPLE).unwrap());
    let counted = admin.get(admin.a("/conversations/meta?status=all")).await.expect(200);
    assert_eq!(counted.id("/meta/all_count"), i64::try_from(PEOPLE).unwrap());
    for (contact, _, conversation) in distinct.into_iter().step_by(20) {
        let shown = admin.get(admin.a(&format!("/contacts/{contact}"))).await.expect(200);
        assert_eq!(shown.at("/payload/contact_inboxes").as_array().map(Vec::len), Some(1));
        let messages = admin.get(admin.a(&format!("/conversations/{conversation}/messages?after=0"))).await.expect(200);
        let said: BTreeSet<&str> = messages.at("/payload").as_array().unwrap().iter().filter_map(|row| row["content"].as_str()).collect();
        assert_eq!(said.len(), AT_ONCE, "every message is there once");
    }
}

#[tokio::test]
async fn conversations_opened_at_once_by_contact_id_share_one_identity() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = admin.post(admin.a("/inboxes"), json!({ "name": "App", "channel": { "type": "api" } })).await.expect(200).id("/id");
    let contact = admin.post(admin.a("/contacts"), json!({ "name": "Ada", "email": "ada@example.com" })).await.expect(200);
    let contact = contact.id("/payload/contact/id");
    let open = |_| {
        let admin = admin.clone();
        async move { admin.post(admin.a("/conversations"), json!({ "inbox_id": inbox, "contact_id": contact })).await.expect(200).id("/id") }
    };
    let opened: BTreeSet<i64> = futures_util::future::join_all((0..AT_ONCE).map(open)).await.into_iter().collect();
    assert_eq!(opened.len(), AT_ONCE, "each request opened a conversation of its own, for nothing ties them");
    let shown = admin.get(admin.a(&format!("/contacts/{contact}"))).await.expect(200);
    let identities: &Vec<Value> = shown.at("/payload/contact_inboxes").as_array().unwrap();
    assert_eq!(identities.len(), 1);
}

#[tokio::test]
async fn addresses_given_at_once_to_a_contact_are_one_address() {
    const CONTACTS: usize = 10;
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = admin.post(admin.a("/inboxes"), json!({ "name": "App", "channel": { "type": "api" } })).await.expect(200).id("/id");
    let mut contacts = Vec::new();
    for number in 0..CONTACTS {
        let fields = json!({ "name": "Ada", "email": format!("ada{number}@example.com") });
        contacts.push(admin.post(admin.a("/contacts"), fields).await.expect(200).id("/payload/contact/id"));
    }
    let give = |contact: i64| {
        let admin = admin.clone();
        async move {
            let path = admin.a(&format!("/contacts/{contact}/contact_inboxes"));
            let given = admin.post(path, json!({ "inbox_id": inbox })).await.expect(200);
            (contact, given.str("/source_id").to_owned())
        }
    };
    let all = contacts.iter().flat_map(|contact| (0..AT_ONCE).map(move |_| *contact)).map(give);
    let given: BTreeSet<(i64, String)> = futures_util::future::join_all(all).await.into_iter().collect();
    assert_eq!(given.len(), CONTACTS, "every answer names the one address of its contact: {given:?}");
    for (contact, source_id) in given {
        let shown = admin.get(admin.a(&format!("/contacts/{contact}"))).await.expect(200);
        assert_eq!(shown.at("/payload/contact_inboxes").as_array().map(Vec::len), Some(1));
        assert_eq!(shown.str("/payload/contact_inboxes/0/source_id"), source_id);
    }
}
