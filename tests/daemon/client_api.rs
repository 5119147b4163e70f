//! What a contact does beside writing (contract, section 5): it answers what it is asked, has seen what was said, proves who it
//! is; and what its app may not send.

use crate::app::{Person, act, administrator, api_inbox, customer, hmac_sha256, messages, post, say, show};
use crate::desk::{assert_names, assert_refused};
use crate::harness::{Answer, Client, Daemon, Receiver, SOON};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

/// A contact of an API inbox with a conversation.
struct Desk {
    daemon: Daemon,
    admin: Person,
    receiver: Receiver,
    path: String,
    conversation: i64,
    contact: Answer,
    hmac_token: String,
}

impl Desk {
    async fn open() -> Self {
        let (daemon, receiver) = tokio::join!(Daemon::start(), Receiver::start());
        let admin = administrator(&daemon).await;
        let inbox = api_inbox(&admin.client, json!({})).await;
        let hook = json!({"url": receiver.url("/hook"), "subscriptions": ["message_updated"]});
        admin.client.post(admin.client.a("/webhooks"), hook).await.expect(200);
        let path = format!("/public/api/v1/inboxes/{}/contacts", inbox.identifier);
        let contact = daemon.visitor().post(&path, json!({"identifier": "mia"})).await.expect(200);
        let opened = format!("{path}/{}/conversations", contact.str("/source_id"));
        let conversation = daemon.visitor().post(opened, json!({})).await.expect(200).id("/id");
        Desk { daemon, admin, receiver, path, conversation, contact, hmac_token: inbox.hmac_token }
    }

    fn client(&self) -> &Client {
        &self.admin.client
    }

    /// A path below the conversation, for an address of the contact.
    fn of(&self, source_id: &str, rest: &str) -> String {
        format!("{}/{source_id}/conversations/{}{rest}", self.path, self.conversation)
    }

    fn own(&self, rest: &str) -> String {
        self.of(self.contact.str("/source_id"), rest)
    }

    async fn message(&self, id: i64) -> Value {
        messages(self.client(), self.conversation).await.into_iter().find(|message| message["id"] == id).unwrap()
    }

    fn proof(&self, identifier: &str) -> String {
        hex::encode(hmac_sha256(&self.hmac_token, identifier.as_bytes()))
    }
}

#[tokio::test]
async fn what_is_chosen_or_filled_in_is_kept_and_told() {
    let desk = Desk::open().await;
    let visitor = desk.daemon.visitor();
    let items = json!({"items": [{"title": "Yes", "value": "yes"}, {"title": "No", "value": "no"}]});
    let asked = json!({"content": "Well?", "content_type": "input_select", "content_attributes": items});
    let question = post(desk.client(), desk.conversation, asked).await.expect(200).id("/id");
    let mut cable = desk.daemon.cable().await;
    cable.subscribe_agent(&desk.admin.pubsub_token, 1, desk.admin.id).await;
    let chosen = json!({"submitted_values": {"title": "Yes", "value": "yes"}});
    let answered = visitor.patch(desk.own(&format!("/messages/{question}")), chosen).await.expect(200);
    assert_eq!((answered.id("/id"), answered.id("/conversation_id")), (question, desk.conversation));
    let kept = json!({"items": items["items"], "submitted_values": {"title": "Yes", "value": "yes"}});
    assert_eq!(answered.at("/content_attributes"), &kept);
    assert_eq!(desk.message(question).await["content_attributes"], kept);
    let told = cable.next_event("message.updated", SOON).await;
    assert_eq!((&told["id"], &told["content_attributes"]), (&json!(question), &kept));
    assert!(told["previous_changes"]["content_attributes"].is_array(), "{told}");
    let hooked = desk.receiver.wait_until(|received| received.json["id"] == question, SOON).await;
    assert_eq!((&hooked.json["event"], &hooked.json["content_attributes"]), (&json!("message_updated"), &kept));

    let asked = json!({"content": "Your address?", "content_type": "input_email"});
    let question = post(desk.client(), desk.conversation, asked).await.expect(200).id("/id");
    let path = desk.own(&format!("/messages/{question}"));
    assert_refused(&visitor.patch(&path, json!({"submitted_values": {"value": "nobody"}})).await, 422);
    assert_names(&visitor.patch(&path, json!({"submitted_email": "nobody", "value": "x"})).await, 422, "submitted_email");
    visitor.put(&path, json!({"value": "Mia@Example.com"})).await.expect(200);
    let shown = desk.message(question).await;
    assert_eq!(
        shown["content_attributes"],
        json!({"submitted_values": {"value": "Mia@Example.com"}, "submitted_email": "mia@example.com"})
    );

    for wrong in [json!({}), json!({"submitted_values": []}), json!({"submitted_values": "x"}), json!({"value": "x".repeat(1500)})] {
        assert_names(&visitor.patch(&path, wrong).await, 422, "submitted_values");
    }
    let text = say(desk.client(), desk.conversation, "Thanks").await;
    let note = post(desk.client(), desk.conversation, json!({"content": "hm", "private": true})).await.expect(200).id("/id");
    let right = json!({"submitted_values": {"value": "yes"}});
    assert_refused(&visitor.patch(desk.own(&format!("/messages/{text}")), right.clone()).await, 422);
    assert_refused(&visitor.patch(desk.own(&format!("/messages/{note}")), right.clone()).await, 404);
    assert_refused(&visitor.patch(desk.own("/messages/999999"), right.clone()).await, 404);
    let stranger = visitor.post(&desk.path, json!({"identifier": "stranger"})).await.expect(200);
    assert_refused(&visitor.patch(desk.of(stranger.str("/source_id"), &format!("/messages/{question}")), right).await, 404);
}

#[tokio::test]
async fn what_the_contact_has_seen_is_read() {
    let desk = Desk::open().await;
    let visitor = desk.daemon.visitor();
    visitor.post(desk.own("/messages"), json!({"content": "hello"})).await.expect(200);
    let mut said = Vec::new();
    for number in 0..120 {
        said.push(say(desk.client(), desk.conversation, &number.to_string()).await);
    }
    let note = post(desk.client(), desk.conversation, json!({"content": "hm", "private": true})).await.expect(200).id("/id");
    let failed = desk.client().a(&format!("/conversations/{}/messages/{}", desk.conversation, said[1]));
    desk.client().patch(&failed, json!({"status": "failed"})).await.expect(200);
    let delivered = desk.client().a(&format!("/conversations/{}/messages/{}", desk.conversation, said[2]));
    desk.client().patch(&delivered, json!({"status": "delivered"})).await.expect(200);
    let mut cable = desk.daemon.cable().await;
    cable.subscribe_agent(&desk.admin.pubsub_token, 1, desk.admin.id).await;
    assert_eq!(visitor.post(desk.own("/update_last_seen"), json!({})).await.expect(200).text, "");
    let told = cable.next_event_where("message.updated", SOON, |message| message["id"] == said[0]).await;
    assert_eq!((&told["status"], &told["previous_changes"]["status"]), (&json!("read"), &json!(["sent", "read"])));
    let all = format!("/conversations/{}/messages?after=0&before=999999", desk.conversation);
    let status = async || -> std::collections::HashMap<i64, String> {
        let listed = desk.client().get(desk.client().a(&all)).await.expect(200);
        let pairs = listed
            .at("/payload")
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["id"].as_i64().unwrap(), one["status"].as_str().unwrap().to_owned()));
        pairs.collect()
    };
    let first = status().await;
    assert!(said.iter().filter(|id| **id != said[1]).all(|id| first[id] == "read"), "{first:?}");
    assert_eq!((first[&said[1]].as_str(), first[&note].as_str()), ("failed", "sent"));
    let later = say(desk.client(), desk.conversation, "one more").await;
    assert_eq!(status().await[&later], "sent");
    visitor.post(desk.own("/update_last_seen"), json!({})).await.expect(200);
    assert_eq!(status().await[&later], "read");
    assert_eq!(show(desk.client(), desk.conversation).await.str("/messages/0/status"), "read");
}

#[tokio::test]
async fn who_has_proven_who_it_is_uses_the_conversations_of_all_its_proven_addresses() {
    let desk = Desk::open().await;
    let visitor = desk.daemon.visitor();
    let first = desk.contact.str("/source_id");
    visitor.post(desk.own("/messages"), json!({"content": "from the phone"})).await.expect(200);
    let second = json!({"source_id": "laptop", "identifier": "mia", "identifier_hash": desk.proof("mia")});
    assert_eq!(visitor.post(&desk.path, second).await.expect(200).id("/id"), desk.contact.id("/id"));
    // The first address has proven nothing yet.
    for rest in ["", "/messages"] {
        visitor.get(desk.of("laptop", rest)).await.expect(404);
    }
    visitor.post(desk.of("laptop", "/messages"), json!({"content": "x"})).await.expect(404);

    let wrong = json!({"identifier": "mia", "identifier_hash": desk.proof("eve")});
    visitor.patch(format!("{}/{first}", desk.path), wrong).await.expect(401);
    assert_eq!(show(desk.client(), desk.conversation).await.at("/meta/hmac_verified"), false);
    let proof = json!({"identifier": "mia", "identifier_hash": desk.proof("mia"), "name": "Mia", "custom_attributes": {"plan": "gold"}});
    let proven = visitor.patch(format!("{}/{first}", desk.path), proof).await.expect(200);
    let names = "source_id pubsub_token id name email phone_number account_id identifier additional_attributes custom_attributes blocked \
                 last_activity_at created_at updated_at";
    assert_eq!(crate::app::keys(&proven.body), crate::app::words(names));
    assert_eq!((proven.str("/name"), proven.str("/identifier"), proven.at("/custom_attributes/plan")), ("Mia", "mia", &json!("gold")));
    assert_eq!(show(desk.client(), desk.conversation).await.at("/meta/hmac_verified"), true);

    let listed = visitor.get(format!("{}/laptop/conversations", desk.path)).await.expect(200);
    assert_eq!(listed.id("/0/id"), desk.conversation);
    assert_eq!(visitor.get(desk.of("laptop", "")).await.expect(200).id("/id"), desk.conversation);
    let written = visitor.post(desk.of("laptop", "/messages"), json!({"content": "from the laptop"})).await.expect(200);
    let read = visitor.get(desk.of("laptop", "/messages")).await.expect(200);
    let said: Vec<&Value> = read.body.as_array().unwrap().iter().map(|message| &message["content"]).collect();
    assert_eq!(said, ["from the phone", "from the laptop"]);
    assert_eq!(visitor.get(desk.own("/messages")).await.expect(200).at("/1/id"), written.at("/id"));
    visitor.post(desk.of("laptop", "/toggle_typing"), json!({"typing_status": "on"})).await.expect(200);
    visitor.post(desk.of("laptop", "/update_last_seen"), json!({})).await.expect(200);
    assert_eq!(visitor.post(desk.of("laptop", "/toggle_status"), json!({})).await.expect(200).str("/status"), "resolved");
    act(desk.client(), desk.conversation, "toggle_status", json!({"status": "open"})).await.expect(200);

    // A proof of one person opens nothing of another, whatever else it names.
    let eve = json!({"source_id": first, "identifier": "eve", "identifier_hash": desk.proof("eve")});
    visitor.post(&desk.path, eve).await.expect(200);
    let mail = json!({"identifier": "mia", "email": "mia@example.com", "identifier_hash": desk.proof("mia")});
    visitor.patch(format!("{}/{first}", desk.path), mail).await.expect(200);
    let by_mail = json!({"identifier": "eve", "email": "mia@example.com", "identifier_hash": desk.proof("eve")});
    assert_names(&visitor.post(&desk.path, by_mail).await, 422, "email");
    let unproven = visitor.post(&desk.path, json!({"source_id": "kiosk", "identifier": "mia"})).await.expect(200);
    visitor.get(desk.of(unproven.str("/source_id"), "")).await.expect(404);
}

#[tokio::test]
async fn an_app_sends_content_and_files_and_nothing_else() {
    let desk = Desk::open().await;
    let visitor = desk.daemon.visitor();
    let forged = json!({
        "content": "hello", "echo_id": "e1", "content_type": "cards", "content_attributes": {"items": [{"title": "x"}], "deleted": true},
        "source_id": "forged", "external_created_at": 1, "private": true, "message_type": "outgoing", "cc_emails": "a@b.example",
        "sender_type": "AgentBot", "sender_id": 1, "template_params": {"name": "x"}, "additional_attributes": {"a": 1},
    });
    let written = visitor.post(desk.own("/messages"), forged).await.expect(200);
    let stored = desk.message(written.id("/id")).await;
    assert_eq!((&stored["content_type"], &stored["content_attributes"]), (&json!("text"), &json!({})));
    assert_eq!((&stored["source_id"], &stored["message_type"], &stored["private"]), (&Value::Null, &json!(0), &json!(false)));
    assert!(stored["created_at"].as_i64() > Some(1_700_000_000), "{stored}");

    let file = Part::bytes(b"a file".to_vec()).file_name("note.txt");
    let form = Form::new().text("content", "see").part("attachments[]", file);
    let with_file = visitor.post_form(desk.own("/messages"), form).await.expect(200);
    assert_eq!(visitor.get(with_file.str("/attachments/0/data_url")).await.expect(200).text, "a file");
    for wrong in [json!(["nonsense"]), json!("nonsense")] {
        assert_names(&visitor.post(desk.own("/messages"), json!({"content": "x", "attachments": wrong})).await, 422, "attachments");
    }
    let upload = desk.client().a(&format!("/conversations/{}/direct_uploads", desk.conversation));
    let checksum = "XrY7u+Ae7tCTyyK7j1rNww==";
    let blob = json!({"filename": "a.txt", "byte_size": 11, "checksum": checksum, "content_type": "text/plain"});
    let announced = desk.client().post(upload, json!({"blob": blob})).await.expect(200);
    let signed = announced.str("/signed_id");
    assert_names(&visitor.post(desk.own("/messages"), json!({"attachments": [signed]})).await, 422, "attachments");
    let put = desk.client().request(reqwest::Method::PUT, announced.str("/direct_upload/url")).body("hello world");
    desk.client().answer(put).await.expect(204);
    let sent = visitor.post(desk.own("/messages"), json!({"attachments": [signed]})).await.expect(200);
    assert_eq!(visitor.get(sent.str("/attachments/0/data_url")).await.expect(200).text, "hello world");
}

#[tokio::test]
async fn attributes_keep_to_their_limits_everywhere() {
    let desk = Desk::open().await;
    let (visitor, client) = (desk.daemon.visitor(), desk.client());
    let own = format!("{}/{}", desk.path, desk.contact.str("/source_id"));
    let contact = customer(client, 1, "ann").await;
    for wrong in [json!({"a": "x".repeat(1500)}), json!({"a": 9_999_999_999_i64})] {
        let custom = json!({"custom_attributes": wrong});
        assert_names(&visitor.post(&desk.path, custom.clone()).await, 422, "custom_attributes");
        assert_names(&visitor.patch(&own, custom.clone()).await, 422, "custom_attributes");
        assert_names(&visitor.post(format!("{own}/conversations"), custom.clone()).await, 422, "custom_attributes");
        assert_names(&act(client, desk.conversation, "custom_attributes", custom).await, 422, "custom_attributes");
        for field in ["custom_attributes", "additional_attributes"] {
            let mut opened = json!({"inbox_id": 1, "contact_id": contact.id});
            opened[field] = wrong.clone();
            assert_names(&client.post(client.a("/conversations"), opened).await, 422, field);
        }
    }
    assert_names(&visitor.patch(&own, json!({"avatar_url": "javascript:alert(1)"})).await, 422, "avatar_url");
    let kept = json!({"custom_attributes": {"a": "x".repeat(1499), "b": 9_999_999_998_i64}});
    act(client, desk.conversation, "custom_attributes", kept).await.expect(200);
}

#[tokio::test]
async fn a_new_contact_shows_the_row_of_its_inbox_without_secrets() {
    let desk = Desk::open().await;
    let client = desk.client();
    let made = client.post(client.a("/contacts"), json!({"inbox_id": 1, "name": "Ann"})).await.expect(200);
    let row = made.at("/payload/contact_inbox/inbox");
    assert_eq!((&row["id"], &row["account_id"], &row["channel_type"]), (&json!(1), &json!(1), &json!("Channel::Api")));
    assert!(row["created_at"].as_str().unwrap().ends_with('Z') && row["greeting_enabled"].is_boolean(), "{row}");
    assert!(!made.text.contains(&desk.hmac_token) && !made.text.contains("secret"), "{}", made.text);
}
