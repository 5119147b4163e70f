//! Who is who: by number, by Meta's own id of a person, and when either changes.

use super::{ADA, Line, Person, ago, moved};
use serde_json::{Value, json};

const BY_NUMBER: Person = Person { name: "Eve", phone: Some("4930444444"), user_id: None };
const BY_BOTH: Person = Person { user_id: Some("DE.1234567890abc"), ..BY_NUMBER };
const BY_ID: Person = Person { phone: None, ..BY_BOTH };

async fn sender(line: &Line, conversation: i64) -> Value {
    line.conversation(conversation).await["meta"]["sender"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_known_by_number_and_by_id() {
    let line = Line::open().await;
    let conversation = line.begins(BY_NUMBER, "wamid.1", "by number").await;
    assert_eq!(line.begins(BY_BOTH, "wamid.2", "by both").await, conversation);
    assert_eq!(line.begins(BY_ID, "wamid.3", "by id").await, conversation);
    assert_eq!(line.begins(BY_NUMBER, "wamid.4", "by number again").await, conversation);
    assert_eq!(line.counts().await, (1, 4, 1));
    let person = sender(&line, conversation).await;
    assert_eq!((&person["name"], &person["phone_number"]), (&json!("Eve"), &json!("+4930444444")));
    let reply = line.reply(conversation, "I know you").await;
    line.in_status(conversation, reply, "sent").await;
    let sent = &line.graph.sent()[0];
    assert!(sent["to"] == "4930444444" || sent["recipient"] == "DE.1234567890abc", "{sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_without_a_number_is_answered_by_id() {
    let line = Line::open().await;
    let conversation = line.begins(BY_ID, "wamid.1", "no number").await;
    let reply = line.reply(conversation, "none needed").await;
    line.in_status(conversation, reply, "sent").await;
    let sent = &line.graph.sent()[0];
    assert_eq!((&sent["recipient"], &sent["to"]), (&json!("DE.1234567890abc"), &Value::Null));
    assert_eq!(sender(&line, conversation).await["phone_number"], Value::Null);
}

/// Known apart at first: by number from one message, by id from another.
#[tokio::test(flavor = "multi_thread")]
async fn two_that_turn_out_to_be_one_become_one() {
    let line = Line::open().await;
    let by_number = line.begins(BY_NUMBER, "wamid.1", "by number").await;
    let by_id = line.begins(BY_ID, "wamid.2", "by id").await;
    assert_ne!(sender(&line, by_number).await["id"], sender(&line, by_id).await["id"]);
    assert_eq!(line.counts().await, (2, 2, 2));
    let joined = line.begins(BY_BOTH, "wamid.3", "by both").await;
    assert!([by_number, by_id].contains(&joined), "{joined}");
    crate::harness::eventually(crate::messengers::LATER, async || {
        (sender(&line, by_number).await["id"] == sender(&line, by_id).await["id"]).then_some(())
    })
    .await;
    let (_, messages, contacts) = line.counts().await;
    assert_eq!((messages, contacts), (3, 1));
    assert_eq!(sender(&line, joined).await["phone_number"], "+4930444444");
    // From now on it does not matter how the person comes.
    for (person, id) in [(BY_NUMBER, "wamid.4"), (BY_ID, "wamid.5")] {
        assert_eq!(line.begins(person, id, id).await, joined);
    }
    assert_eq!(line.counts().await.2, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_number_is_the_same_person() {
    let line = Line::open().await;
    let conversation = line.begins(ADA, "wamid.1", "hello").await;
    let before = sender(&line, conversation).await;
    let webhook = moved(ADA, "wamid.system", ago(40), "4930555555");
    line.tell(&webhook).await;
    line.tell(&webhook).await;
    let ada = Person { phone: Some("4930555555"), ..ADA };
    assert_eq!(line.begins(ada, "wamid.2", "from the new one").await, conversation);
    let after = sender(&line, conversation).await;
    assert_eq!((&after["id"], &after["phone_number"]), (&before["id"], &json!("+4930555555")));
    let reply = line.reply(conversation, "got it").await;
    line.in_status(conversation, reply, "sent").await;
    assert_eq!(line.graph.sent()[0]["to"], "4930555555");
    assert_eq!(line.counts().await.2, 1);
}
