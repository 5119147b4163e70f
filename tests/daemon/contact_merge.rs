//! Two contacts become one: the base wins, its gaps are filled, everything moves over, and nothing said meanwhile is lost.

use crate::app::{administrator, api_inbox, contents, conversation, count, customer, hear, messages, post, show};
use crate::desk::{assert_names, assert_refused};
use crate::harness::{Client, Daemon, SOON};
use serde_json::{Value, json};
use std::collections::BTreeSet;

async fn merge(client: &Client, base: i64, mergee: i64) -> crate::harness::Answer {
    client.post(client.a("/actions/contact_merge"), json!({"base_contact_id": base, "mergee_contact_id": mergee})).await
}

#[tokio::test]
async fn the_base_keeps_what_it_has_and_takes_over_the_rest() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let root = administrator(&daemon).await;
    let inbox = api_inbox(&admin, json!({})).await;
    let (base, mergee) = (customer(&admin, inbox.id, "base").await, customer(&admin, inbox.id, "mergee").await);
    let path = |id: i64, rest: &str| admin.a(&format!("/contacts/{id}{rest}"));
    admin.patch(path(base.id, ""), json!({"email": "base@example.com", "custom_attributes": {"plan": "gold"}})).await.expect(200);
    let fields = json!({"email": "other@example.com", "phone_number": "+491511", "custom_attributes": {"plan": "free", "age": 30}});
    admin.patch(path(mergee.id, ""), fields).await.expect(200);
    for (person, labels) in [(base.id, ["vip", "berlin"]), (mergee.id, ["vip", "new"])] {
        admin.post(path(person, "/labels"), json!({"labels": labels})).await.expect(200);
        admin.post(path(person, "/notes"), json!({"content": format!("note {person}")})).await.expect(200);
    }
    let (of_base, of_mergee) = (conversation(&admin, inbox.id, base.id).await, conversation(&admin, inbox.id, mergee.id).await);
    hear(&admin, of_base, "from the base").await;
    hear(&admin, of_mergee, "from the mergee").await;
    let mut cable = daemon.cable().await;
    cable.subscribe_agent(&root.pubsub_token, 1, root.id).await;

    let merged = merge(&admin, base.id, mergee.id).await.expect(200);
    assert_eq!((merged.id("/id"), merged.str("/name"), merged.str("/email")), (base.id, "base", "base@example.com"));
    assert_eq!((merged.str("/phone_number"), merged.str("/identifier")), ("+491511", "base"));
    assert_eq!(merged.at("/custom_attributes"), &json!({"plan": "gold", "age": 30}));
    let addresses: BTreeSet<&str> =
        merged.at("/contact_inboxes").as_array().unwrap().iter().filter_map(|identity| identity["source_id"].as_str()).collect();
    assert_eq!(addresses, BTreeSet::from([base.source_id.as_str(), mergee.source_id.as_str()]));
    assert_eq!(cable.next_event("contact.updated", SOON).await["id"], base.id);
    let told = cable.next_event("contact.merged", SOON).await;
    assert_eq!((&told["id"], &told["phone_number"], &told["type"]), (&json!(base.id), &json!("+491511"), &json!("contact")));
    assert_eq!(cable.next_event("contact.deleted", SOON).await["id"], mergee.id);

    let moved = cable.next_event("conversation.contact_changed", SOON).await;
    assert_eq!(
        (&moved["id"], &moved["meta"]["sender"]["id"], &moved["contact_inbox"]["contact_id"]),
        (&json!(of_mergee), &json!(base.id), &json!(base.id))
    );
    assert_eq!((&moved["messages"][0]["content"], &moved["messages"][0]["sender"]["id"]), (&json!("from the mergee"), &json!(base.id)));
    admin.get(path(mergee.id, "")).await.expect(404);
    let conversations = admin.get(path(base.id, "/conversations")).await.expect(200);
    let numbers: BTreeSet<i64> = conversations.at("/payload").as_array().unwrap().iter().filter_map(|row| row["id"].as_i64()).collect();
    assert_eq!(numbers, BTreeSet::from([of_base, of_mergee]));
    assert_eq!(admin.get(path(base.id, "/labels")).await.expect(200).at("/payload"), &json!(["berlin", "new", "vip"]));
    assert_eq!(admin.get(path(base.id, "/notes")).await.expect(200).body.as_array().map(Vec::len), Some(2));
    // Messages are the base's too, those of before and those to come: the live conversation has heard of it.
    hear(&admin, of_mergee, "later").await;
    let told = cable.next_event_where("message.created", SOON, |data| data["content"] == "later").await;
    assert_eq!((&told["sender"]["id"], &told["sender"]["phone_number"]), (&json!(base.id), &json!("+491511")));
    let said = messages(&admin, of_mergee).await;
    assert!(said.iter().all(|message| message["sender"]["id"] == base.id), "{said:?}");
    assert_eq!(contents(&admin, of_mergee).await, ["from the mergee", "later"]);
    assert_eq!(show(&admin, of_mergee).await.id("/meta/sender/id"), base.id);
    // What the base takes over is in its own live conversation as well.
    hear(&admin, of_base, "base again").await;
    let told = cable.next_event_where("message.created", SOON, |data| data["content"] == "base again").await;
    assert_eq!(told["sender"]["phone_number"], "+491511");
}

#[tokio::test]
async fn only_two_contacts_of_the_account_can_be_merged() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let person = customer(&admin, inbox.id, "one").await;
    assert_names(&merge(&admin, person.id, person.id).await, 422, "mergee_contact_id");
    assert_refused(&merge(&admin, person.id, 999).await, 404);
    assert_refused(&merge(&admin, 999, person.id).await, 404);
    assert_names(&admin.post(admin.a("/actions/contact_merge"), json!({"base_contact_id": person.id})).await, 422, "mergee_contact_id");
    admin.get(admin.a(&format!("/contacts/{}", person.id))).await.expect(200);
}

#[tokio::test]
async fn crosswise_merges_at_once_leave_one_contact() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let (one, other) = (customer(&admin, inbox.id, "one").await, customer(&admin, inbox.id, "other").await);
    let (first, second) = futures_util::future::join(merge(&admin, one.id, other.id), merge(&admin, other.id, one.id)).await;
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 404]);
    assert_eq!(count(&daemon, "SELECT COUNT(*) FROM contacts").await, 1);
    assert_eq!(count(&daemon, "SELECT COUNT(*) FROM contact_inboxes").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_on_their_way_while_their_contact_is_merged_are_all_there() {
    let daemon = Daemon::start().await;
    let (admin, visitor) = (daemon.client(), daemon.visitor());
    let inbox = api_inbox(&admin, json!({})).await;
    for round in 0..5 {
        let (base, mergee) =
            (customer(&admin, inbox.id, &format!("b{round}")).await, customer(&admin, inbox.id, &format!("m{round}")).await);
        let id = conversation(&admin, inbox.id, mergee.id).await;
        let written = |number: usize| {
            let (admin, visitor) = (admin.clone(), visitor.clone());
            let path = format!("/public/api/v1/inboxes/{}/contacts/{}/conversations/{id}/messages", inbox.identifier, mergee.source_id);
            async move {
                let content = format!("message {number}");
                match number % 2 {
                    0 => visitor.post(path, json!({"content": content})).await.expect(200),
                    _ => post(&admin, id, json!({"content": content, "message_type": "incoming"})).await.expect(200),
                }
            }
        };
        let merged = async {
            // In the midst of them.
            written(20).await;
            merge(&admin, base.id, mergee.id).await.expect(200)
        };
        futures_util::future::join(futures_util::future::join_all((0..20).map(written)), merged).await;
        let all = admin.get(admin.a(&format!("/conversations/{id}/messages?after=0"))).await.expect(200);
        let said: &Vec<Value> = all.at("/payload").as_array().unwrap();
        let distinct: BTreeSet<&str> = said.iter().filter_map(|message| message["content"].as_str()).collect();
        assert_eq!((said.len(), distinct.len()), (21, 21), "every message once");
        assert!(said.iter().all(|message| message["sender"]["id"] == base.id), "all are the base's: {said:?}");
        let shown = show(&admin, id).await;
        assert_eq!((shown.id("/meta/sender/id"), shown.id("/unread_count")), (base.id, 10), "more than ten unread are not told apart");
        admin.get(admin.a(&format!("/contacts/{}", mergee.id))).await.expect(404);
    }
    assert_eq!(count(&daemon, "SELECT COUNT(*) FROM contacts").await, 5);
    assert_eq!(count(&daemon, "SELECT COUNT(*) FROM conversations").await, 5);
}
