//! Contacts: what is known of them, pictures, labels, notes, addresses, attachments, and that nothing remains of one that is
//! removed (contract, section 2, Contacts).

use crate::app::{administrator, agent, api_inbox, conversation, count, customer, hear, join, keys, post, say, talk, words};
use crate::desk::{assert_names, assert_refused};
use crate::harness::{Client, Daemon, SOON, eventually};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\nnot much of a picture";

#[tokio::test]
async fn contacts_are_created_shown_changed_and_checked() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let fields = json!({
        "name": "Ada", "email": "ADA@example.com", "phone_number": "+491511", "identifier": "a-1", "blocked": true,
        "avatar_url": "https://example.com/a.png", "additional_attributes": {"city": "Berlin"}, "custom_attributes": {"plan": "gold", "age": 30},
    });
    let made = admin.post(admin.a("/contacts"), fields.clone()).await.expect(200);
    assert_eq!(made.at("/payload/contact_inbox"), &json!({"inbox": null}));
    let id = made.id("/payload/contact/id");
    let path = admin.a(&format!("/contacts/{id}"));
    let shown = admin.get(&path).await.expect(200);
    let names = "additional_attributes availability_status email id name phone_number blocked identifier thumbnail custom_attributes \
        created_at contact_inboxes";
    assert_eq!(keys(shown.at("/payload")), words(names), "no last_activity_at before the contact was active");
    assert_eq!((shown.str("/payload/email"), shown.at("/payload/blocked")), ("ada@example.com", &json!(true)));
    assert_eq!((shown.str("/payload/thumbnail"), shown.str("/payload/availability_status")), ("https://example.com/a.png", "offline"));

    // Attributes are merged, null takes a field away, absent leaves it.
    let update =
        json!({"phone_number": null, "custom_attributes": {"age": 31}, "additional_attributes": {"country": "DE"}, "blocked": false});
    let updated = admin.put(&path, update).await.expect(200);
    assert_eq!(updated.at("/payload/custom_attributes"), &json!({"plan": "gold", "age": 31}));
    assert_eq!(updated.at("/payload/additional_attributes"), &json!({"city": "Berlin", "country": "DE"}));
    assert_eq!((updated.at("/payload/phone_number"), updated.str("/payload/name")), (&Value::Null, "Ada"));
    let fewer =
        admin.post(format!("{path}/destroy_custom_attributes"), json!({"custom_attributes": ["plan", "unknown"]})).await.expect(200);
    assert_eq!(fewer.at("/payload/custom_attributes"), &json!({"age": 31}));

    admin
        .post(admin.a("/contacts"), json!({"name": "Bob", "email": "bob@example.com", "phone_number": "+491512", "identifier": "b-1"}))
        .await
        .expect(200);
    for (field, wrong) in [
        ("email", json!({"email": "BOB@example.com"})),
        ("phone_number", json!({"phone_number": "+491512"})),
        ("identifier", json!({"identifier": "b-1"})),
        ("email", json!({"email": "nobody"})),
        ("phone_number", json!({"phone_number": "0151 2"})),
        ("avatar_url", json!({"avatar_url": "javascript:alert(1)"})),
        ("custom_attributes", json!({"custom_attributes": {"a": "x".repeat(1500)}})),
        ("custom_attributes", json!({"custom_attributes": {"a": 9_999_999_999_i64}})),
        ("additional_attributes", json!({"additional_attributes": {"a": "x".repeat(1500)}})),
    ] {
        assert_names(&admin.patch(&path, wrong.clone()).await, 422, field);
        if wrong.get("email").is_none_or(|email| email == "nobody") && field != "identifier" {
            assert_names(&admin.post(admin.a("/contacts"), wrong).await, 422, field);
        }
    }
    assert_eq!(admin.get(&path).await.expect(200).at("/payload"), fewer.at("/payload"), "a refusal changes nothing");
    for (method, rest) in
        [(Method::GET, ""), (Method::PATCH, ""), (Method::DELETE, ""), (Method::DELETE, "/avatar"), (Method::GET, "/labels")]
    {
        let request = admin.request(method, &admin.a(&format!("/contacts/999{rest}"))).json(&json!({}));
        assert_refused(&admin.answer(request).await, 404);
    }
}

#[tokio::test]
async fn changes_at_once_do_not_undo_each_other() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let id = contact(&admin, json!({"email": "a@example.com"})).await;
    let change = |number: usize| {
        let (admin, path) = (admin.clone(), admin.a(&format!("/contacts/{id}")));
        async move { admin.patch(path, json!({"custom_attributes": {format!("key{number}"): number}})).await.expect(200) }
    };
    futures_util::future::join_all((0..20).map(change)).await;
    let shown = admin.get(admin.a(&format!("/contacts/{id}"))).await.expect(200);
    assert_eq!(shown.at("/payload/custom_attributes").as_object().map(serde_json::Map::len), Some(20));
}

#[tokio::test]
async fn pictures_are_stored_replaced_and_taken_away() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let picture = |name: &'static str| Part::bytes(PNG).file_name(name).mime_str("image/png").unwrap();
    let form = Form::new().text("name", "Ada").text("email", "a@example.com").part("avatar", picture("größe 1.png"));
    let made = admin.post_form(admin.a("/contacts"), form).await.expect(200);
    let (id, first) = (made.id("/payload/contact/id"), made.str("/payload/contact/thumbnail").to_owned());
    let file = admin.answer(admin.request(Method::GET, &first)).await.expect(200);
    assert_eq!(file.header("content-type"), Some("image/png"));

    let path = admin.a(&format!("/contacts/{id}"));
    let change = admin.request(Method::PATCH, &path).multipart(Form::new().part("avatar", picture("b.png")));
    let second = admin.answer(change).await.expect(200).str("/payload/thumbnail").to_owned();
    assert!(second != first && second.ends_with("/b.png"), "{second}");
    admin.answer(admin.request(Method::GET, &first)).await.expect(404);
    // What is refused leaves no file behind.
    let no_picture = Form::new().part("avatar", Part::bytes(b"<svg/>".as_slice()).file_name("a.svg").mime_str("image/svg+xml").unwrap());
    assert_names(&admin.answer(admin.request(Method::PATCH, &path).multipart(no_picture)).await, 422, "avatar");
    let taken = Form::new().text("email", "a@example.com").part("avatar", picture("c.png"));
    assert_names(&admin.post_form(admin.a("/contacts"), taken).await, 422, "email");
    assert_eq!(count(&daemon, "SELECT COUNT(*) FROM blobs").await, 1);

    let without = admin.delete(format!("{path}/avatar")).await.expect(200);
    assert_eq!(without.str("/payload/thumbnail"), "");
    admin.answer(admin.request(Method::GET, &second)).await.expect(404);
    assert_eq!(count(&daemon, "SELECT COUNT(*) FROM blobs").await, 0);
}

#[tokio::test]
async fn labels_are_a_set_that_posting_replaces() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let id = contact(&admin, json!({"email": "a@example.com"})).await;
    let path = admin.a(&format!("/contacts/{id}/labels"));
    assert_eq!(admin.get(&path).await.expect(200).body, json!({"payload": []}));
    let first = admin.post(&path, json!({"labels": ["VIP", "vip ", "Big Customer"]})).await.expect(200);
    assert_eq!(first.body, json!({"payload": ["big-customer", "vip"]}));
    let second = admin.post(&path, json!({"labels": ["vip", "new"]})).await.expect(200);
    assert_eq!(second.body, json!({"payload": ["new", "vip"]}));
    assert_eq!(admin.get(&path).await.expect(200).body, second.body);
    assert_names(&admin.post(&path, json!({})).await, 422, "labels");
    assert_names(&admin.post(&path, json!({"labels": ["x".repeat(256)]})).await, 422, "labels");
    assert_eq!(admin.post(&path, json!({"labels": []})).await.expect(200).body, json!({"payload": []}));
}

#[tokio::test]
async fn notes_are_written_read_changed_and_removed() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let author = agent(&daemon, "Grace").await;
    let id = contact(&admin, json!({"email": "a@example.com"})).await;
    let other = contact(&admin, json!({"email": "b@example.com"})).await;
    let path = admin.a(&format!("/contacts/{id}/notes"));
    let note = author.client.post(&path, json!({"note": {"content": "likes tea"}})).await.expect(200);
    assert_eq!(keys(&note.body), words("id content account_id contact_id user created_at updated_at"));
    assert_eq!((note.str("/content"), note.id("/contact_id"), note.id("/user/id")), ("likes tea", id, author.id));
    assert!(note.at("/created_at").is_i64());
    let later = admin.post(&path, json!({"content": "and coffee"})).await.expect(200);
    let listed = admin.get(&path).await.expect(200);
    assert_eq!(listed.body, json!([later.body, note.body]), "a bare array, the latest first");
    let one = format!("{path}/{}", note.id("/id"));
    assert_eq!(admin.patch(&one, json!({"content": "likes water"})).await.expect(200).str("/content"), "likes water");
    assert_eq!(admin.get(&one).await.expect(200).str("/content"), "likes water");
    assert_names(&admin.post(&path, json!({"content": " "})).await, 422, "content");
    assert_names(&admin.post(&path, json!({})).await, 422, "content");
    admin.get(admin.a(&format!("/contacts/{other}/notes/{}", note.id("/id")))).await.expect(404);
    assert_eq!(admin.delete(&one).await.expect(200).text, "");
    admin.get(&one).await.expect(404);
}

#[tokio::test]
async fn addresses_conversations_and_attachments_are_those_that_the_caller_may_see() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let member = agent(&daemon, "Ada").await;
    let (seen, hidden) = (api_inbox(&admin, json!({"name": "Seen"})).await, api_inbox(&admin, json!({"name": "Hidden"})).await);
    join(&admin, seen.id, &[&member]).await;
    let person = customer(&admin, seen.id, "mia").await;
    let added = json!({"inbox_id": hidden.id, "source_id": "mia-elsewhere"});
    let added = admin.post(admin.a(&format!("/contacts/{}/contact_inboxes", person.id)), added).await.expect(200);
    assert_eq!((added.str("/source_id"), added.id("/inbox/id")), ("mia-elsewhere", hidden.id));
    let path = |rest: &str| admin.a(&format!("/contacts/{}{rest}", person.id));
    let contactable = member.client.get(path("/contactable_inboxes")).await.expect(200);
    assert_eq!(contactable.at("/payload").as_array().map(Vec::len), Some(1));
    assert_eq!((contactable.id("/payload/0/inbox/id"), contactable.str("/payload/0/source_id")), (seen.id, person.source_id.as_str()));
    assert_eq!(admin.get(path("/contactable_inboxes")).await.expect(200).at("/payload").as_array().map(Vec::len), Some(2));

    let found =
        admin.post(admin.a("/contact_inboxes/filter"), json!({"inbox_id": hidden.id, "source_id": "mia-elsewhere"})).await.expect(200);
    assert_eq!((found.id("/id"), found.at("/contact_inboxes").as_array().map(Vec::len)), (person.id, Some(2)));
    for (client, source_id) in [(&admin, "nobody"), (&member.client, "mia-elsewhere")] {
        let answer = client.post(client.a("/contact_inboxes/filter"), json!({"inbox_id": hidden.id, "source_id": source_id})).await;
        assert_eq!((answer.status, answer.text.as_str()), (404, ""));
    }

    for inbox in [seen.id, hidden.id] {
        let id = conversation(&admin, inbox, person.id).await;
        let file = Part::bytes(PNG).file_name("a.png").mime_str("image/png").unwrap();
        let form = Form::new().text("content", "look").text("message_type", "incoming").part("attachments[]", file);
        admin.post_form(admin.a(&format!("/conversations/{id}/messages")), form).await.expect(200);
    }
    let conversations =
        |client: Client| async move { client.get(path("/conversations")).await.expect(200).at("/payload").as_array().unwrap().len() };
    assert_eq!(conversations(member.client.clone()).await, 1);
    let path = |rest: &str| admin.a(&format!("/contacts/{}{rest}", person.id));
    let few = member.client.get(path("/attachments")).await.expect(200);
    assert_eq!((few.id("/meta/total_count"), few.at("/payload").as_array().map(Vec::len)), (1, Some(1)));
    assert_eq!((few.str("/payload/0/file_type"), few.id("/payload/0/sender/id")), ("image", person.id));
    assert!(few.at("/payload/0/created_at").is_i64());
    assert_eq!(admin.get(path("/attachments")).await.expect(200).id("/meta/total_count"), 2);
}

#[tokio::test]
async fn nothing_remains_of_a_contact_that_is_removed() {
    let mut daemon = Daemon::start().await;
    let admin = daemon.client();
    let (root, member) = (administrator(&daemon).await, agent(&daemon, "Ada").await);
    let inbox = api_inbox(&admin, json!({})).await;
    join(&admin, inbox.id, &[&member]).await;
    let (stays, gone) = (talk(&admin, inbox.id, "stays").await, customer(&admin, inbox.id, "gone").await);
    let id = conversation(&admin, inbox.id, gone.id).await;
    let file = Part::bytes(PNG).file_name("a.png").mime_str("image/png").unwrap();
    let form = Form::new().text("content", "look").text("message_type", "incoming").part("attachments[]", file);
    let sent = admin.post_form(admin.a(&format!("/conversations/{id}/messages")), form).await.expect(200);
    let attached = sent.str("/attachments/0/data_url").to_owned();
    let path = |rest: &str| admin.a(&format!("/contacts/{}{rest}", gone.id));
    say(&admin, id, "answer").await;
    hear(&admin, stays, "I stay").await;
    admin.post(path("/notes"), json!({"content": "note"})).await.expect(200);
    admin.post(path("/labels"), json!({"labels": ["vip"]})).await.expect(200);
    let mut cable = daemon.cable().await;
    cable.subscribe_agent(&root.pubsub_token, 1, root.id).await;

    assert_refused(&member.client.delete(path("")).await, 401);
    let removed = admin.delete(path("")).await.expect(200);
    assert_eq!(removed.text, "");
    let told = cable.next_event("contact.deleted", SOON).await;
    assert_eq!((&told["id"], &told["account_id"], &told["performer"]["id"]), (&json!(gone.id), &json!(1), &json!(root.id)));
    for rest in ["", "/conversations", "/notes", "/labels"] {
        admin.get(path(rest)).await.expect(404);
    }
    admin.get(admin.a(&format!("/conversations/{id}"))).await.expect(404);
    admin.get(admin.a(&format!("/conversations/{id}/messages"))).await.expect(404);
    // Its conversation was live and kept the contact in memory: it writes no more.
    for message in [json!({"content": "late"}), json!({"content": "late", "message_type": "incoming"})] {
        assert_refused(&post(&admin, id, message).await, 404);
    }
    admin.answer(admin.request(Method::GET, &attached)).await.expect(404);
    for table in [
        "SELECT COUNT(*) FROM contacts",
        "SELECT COUNT(*) FROM contact_inboxes",
        "SELECT COUNT(*) FROM conversations",
        "SELECT COUNT(*) FROM messages",
    ] {
        assert_eq!(count(&daemon, table).await, 1, "{table}: the other contact's only");
    }
    for table in [
        "SELECT COUNT(*) FROM attachments",
        "SELECT COUNT(*) FROM blobs",
        "SELECT COUNT(*) FROM contact_labels",
        "SELECT COUNT(*) FROM notes",
    ] {
        assert_eq!(count(&daemon, table).await, 0, "{table}");
    }
    assert_eq!(crate::app::contents(&admin, stays).await, ["I stay"]);
    // Whoever has the address next is somebody else, also for a daemon that has started anew: what lived by that id is not theirs.
    daemon.restart().await;
    let admin = daemon.client();
    let again = customer(&admin, inbox.id, "gone").await;
    assert!(again.id > gone.id);
}

#[tokio::test]
async fn a_contact_that_is_online_stays() {
    let daemon = Daemon::start().await;
    let (admin, visitor) = (daemon.client(), daemon.visitor());
    let inbox = api_inbox(&admin, json!({})).await;
    let made = visitor.post(format!("/public/api/v1/inboxes/{}/contacts", inbox.identifier), json!({"identifier": "u"})).await.expect(200);
    let mut cable = daemon.cable().await;
    cable.subscribe_contact(made.str("/pubsub_token")).await;
    let path = admin.a(&format!("/contacts/{}", made.id("/id")));
    eventually(SOON, async || (admin.get(&path).await.str("/payload/availability_status") == "online").then_some(())).await;
    let refused = admin.delete(&path).await.expect(422);
    assert!(refused.str("/message").contains("online"), "{}", refused.text);
    admin.get(&path).await.expect(200);
}

#[tokio::test]
async fn messages_on_their_way_while_their_contact_is_removed_are_there_or_refused() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let person = customer(&admin, inbox.id, "u").await;
    let id = conversation(&admin, inbox.id, person.id).await;
    hear(&admin, id, "first").await;
    let write = |number: usize| {
        let admin = admin.clone();
        async move { post(&admin, id, json!({"content": number.to_string(), "message_type": "incoming"})).await.status }
    };
    let remove = async { admin.delete(admin.a(&format!("/contacts/{}", person.id))).await.status };
    let (written, removed) = futures_util::future::join(futures_util::future::join_all((0..30).map(write)), remove).await;
    assert_eq!(removed, 200);
    assert!(written.iter().all(|status| [200, 404].contains(status)), "{written:?}");
    for rows in ["SELECT COUNT(*) FROM contacts", "SELECT COUNT(*) FROM conversations", "SELECT COUNT(*) FROM messages"] {
        assert_eq!(count(&daemon, rows).await, 0, "{rows}");
    }
}

async fn contact(client: &Client, fields: Value) -> i64 {
    client.post(client.a("/contacts"), fields).await.expect(200).id("/payload/contact/id")
}
