//! What agents do with a conversation besides answering: labels, teams, followers, muting, drafts, files, many at once.

use crate::app::{Person, act, administrator, agent, api_inbox, assignee, contents, hear, join, messages, post, say, show, talk};
use crate::harness::{Client, Daemon, SOON};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use serde_json::{Value, json};

struct Desk {
    daemon: Daemon,
    admin: Person,
    ann: Person,
    inbox: i64,
    conversation: i64,
}

impl Desk {
    async fn open() -> Self {
        let daemon = Daemon::start().await;
        let (admin, ann) = (administrator(&daemon).await, agent(&daemon, "ann").await);
        let inbox = api_inbox(&admin.client, json!({ "enable_auto_assignment": false })).await.id;
        join(&admin.client, inbox, &[&ann]).await;
        let conversation = talk(&admin.client, inbox, "ada").await;
        Desk { daemon, admin, ann, inbox, conversation }
    }

    fn client(&self) -> &Client {
        &self.ann.client
    }

    fn path(&self, of: &str) -> String {
        self.client().a(&format!("/conversations/{}/{of}", self.conversation))
    }
}

#[tokio::test]
async fn labels_are_replaced_as_a_set_and_told() {
    let desk = Desk::open().await;
    let mut cable = desk.daemon.cable().await;
    cable.subscribe_agent(&desk.ann.pubsub_token, 1, desk.ann.id).await;
    let client = desk.client();
    let set = client.post(desk.path("labels"), json!({ "labels": ["VIP", " late ", "vip"] })).await.expect(200);
    assert_eq!(set.body, json!({ "payload": ["vip", "late"] }));
    let told = cable.next_event("conversation.updated", SOON).await;
    assert_eq!(told["labels"], json!(["vip", "late"]));
    assert_eq!(told["performer"]["id"], desk.ann.id);
    client.post(desk.path("labels"), json!({ "labels": ["late", "new"] })).await.expect(200);
    assert_eq!(client.get(desk.path("labels")).await.expect(200).body, json!({ "payload": ["late", "new"] }));
    assert_eq!(show(client, desk.conversation).await.at("/labels"), &json!(["late", "new"]));
    assert_eq!(contents(client, desk.conversation).await, ["ann added vip, late", "ann added new and removed vip"]);
    let refused = client.post(desk.path("labels"), json!({ "labels": ["x".repeat(256)] })).await.expect(422);
    assert_eq!(refused.at("/attributes"), &json!(["labels"]));
    client.post(desk.path("labels"), json!({ "labels": [{ "a": 1 }] })).await.expect(422);
    assert_eq!(show(client, desk.conversation).await.at("/labels"), &json!(["late", "new"]), "what was refused changed nothing");
}

#[tokio::test]
async fn a_team_s_conversation_is_its_members_to_see() {
    let desk = Desk::open().await;
    let bob = agent(&desk.daemon, "bob").await;
    let admin = &desk.admin.client;
    let team = admin.post(admin.a("/teams"), json!({ "name": "Sales" })).await.expect(200).id("/id");
    admin.post(admin.a(&format!("/teams/{team}/team_members")), json!({ "user_ids": [bob.id] })).await.expect(200);
    bob.client.get(bob.client.a(&format!("/conversations/{}", desk.conversation))).await.expect(404);
    let assigned = act(admin, desk.conversation, "assignments", json!({ "team_id": team })).await.expect(200);
    assert_eq!((assigned.id("/id"), assigned.str("/name")), (team, "sales"));
    let shown = show(&bob.client, desk.conversation).await;
    assert_eq!(shown.id("/meta/team/id"), team);
    assert_eq!(contents(admin, desk.conversation).await.last().unwrap(), "Assigned to sales by Administrator");
    let none = act(admin, desk.conversation, "assignments", json!({ "team_id": 0 })).await.expect(200);
    assert_eq!(none.body, Value::Null);
    assert!(show(admin, desk.conversation).await.body["meta"].get("team").is_none());
    bob.client.get(bob.client.a(&format!("/conversations/{}", desk.conversation))).await.expect(404);
}

#[tokio::test]
async fn an_assignee_that_nobody_is_unassigns() {
    let desk = Desk::open().await;
    let client = desk.client();
    assert_eq!(
        act(client, desk.conversation, "assignments", json!({ "assignee_id": desk.ann.id })).await.expect(200).id("/id"),
        desk.ann.id
    );
    assert_eq!(act(client, desk.conversation, "assignments", json!({ "assignee_id": 99_999 })).await.expect(200).body, Value::Null);
    assert_eq!(assignee(client, desk.conversation).await, None);
    act(client, desk.conversation, "assignments", json!({})).await.expect(422);
}

#[tokio::test]
async fn followers_come_and_go() {
    let desk = Desk::open().await;
    let (client, admin) = (desk.client(), &desk.admin.client);
    let ids = |answer: &Value| answer.as_array().unwrap().iter().map(|one| one["id"].as_i64().unwrap()).collect::<Vec<_>>();
    assert_eq!(client.get(desk.path("participants")).await.expect(200).body, json!([]));
    let added = client.post(desk.path("participants"), json!({ "user_ids": [desk.ann.id, desk.ann.id] })).await.expect(200);
    assert_eq!(ids(&added.body), [desk.ann.id]);
    let replaced = admin.patch(desk.path("participants"), json!({ "user_ids": [desk.admin.id] })).await.expect(200);
    assert_eq!(ids(&replaced.body), [desk.admin.id]);
    let bob = agent(&desk.daemon, "bob").await;
    client.post(desk.path("participants"), json!({ "user_ids": [bob.id] })).await.expect(422);
    client.post(desk.path("participants"), json!({ "user_ids": [desk.ann.id] })).await.expect(200);
    let left = client.delete_with(desk.path("participants"), json!({ "user_ids": [desk.admin.id] })).await.expect(200);
    assert_eq!(ids(&left.body), [desk.ann.id], "whoever stays");
    let left = client.delete_with(desk.path("participants"), json!({ "user_ids": [desk.ann.id] })).await.expect(200);
    assert_eq!(left.body, json!([]));
    assert_eq!(client.get(desk.path("participants")).await.expect(200).body, json!([]));
}

#[tokio::test]
async fn muting_blocks_the_contact_and_resolves() {
    let desk = Desk::open().await;
    let client = desk.client();
    assert_eq!(act(client, desk.conversation, "mute", json!({})).await.expect(200).text, "");
    let shown = show(client, desk.conversation).await;
    assert_eq!((shown.at("/muted"), shown.str("/status")), (&json!(true), "resolved"));
    hear(&desk.admin.client, desk.conversation, "are you there?").await;
    assert_eq!(show(client, desk.conversation).await.str("/status"), "resolved", "whoever is muted opens nothing");
    act(client, desk.conversation, "toggle_status", json!({ "status": "open" })).await.expect(200);
    act(client, desk.conversation, "mute", json!({})).await.expect(200);
    assert_eq!(show(client, desk.conversation).await.str("/status"), "resolved", "also of a contact who is blocked already");
    act(client, desk.conversation, "unmute", json!({})).await.expect(200);
    assert_eq!(show(client, desk.conversation).await.at("/muted"), &json!(false));
    hear(&desk.admin.client, desk.conversation, "hello?").await;
    assert_eq!(show(client, desk.conversation).await.str("/status"), "open");
}

#[tokio::test]
async fn drafts_are_each_agent_s_own() {
    let desk = Desk::open().await;
    let path = desk.path("draft_messages");
    let (ann, admin) = (desk.client(), &desk.admin.client);
    assert_eq!(ann.get(&path).await.expect(200).body, json!({ "has_draft": false }));
    ann.patch(&path, json!({ "draft_message": { "message": "Dear" } })).await.expect(200);
    let kept = ann.patch(&path, json!({ "draft_message": { "message": "Dear Ada" } })).await.expect(200);
    assert_eq!(kept.body, json!({ "has_draft": true, "message": "Dear Ada" }));
    assert_eq!(ann.get(&path).await.expect(200).body, json!({ "has_draft": true, "message": "Dear Ada" }));
    assert_eq!(admin.get(&path).await.expect(200).body, json!({ "has_draft": false }));
    assert_eq!(ann.delete(&path).await.expect(200).body, json!({ "has_draft": false }));
    let none = ann.patch(&path, json!({ "draft_message": { "message": "" } })).await.expect(200);
    assert_eq!(none.body, json!({ "has_draft": false }));
    assert_eq!(ann.get(&path).await.expect(200).body, json!({ "has_draft": false }));
}

#[tokio::test]
async fn a_macro_does_everything_in_order() {
    let desk = Desk::open().await;
    let (ann, admin) = (desk.client(), &desk.admin.client);
    let actions = json!([
        { "action_name": "add_label", "action_params": ["vip"] },
        { "action_name": "assign_agent", "action_params": ["self"] },
        { "action_name": "send_message", "action_params": ["On it."] },
        { "action_name": "add_private_note", "action_params": ["call back"] },
        { "action_name": "change_priority", "action_params": ["high"] },
        { "action_name": "resolve_conversation", "action_params": [] },
    ]);
    let made = ann.post(ann.a("/macros"), json!({ "name": "Close", "visibility": "global", "actions": actions })).await.expect(200);
    assert_eq!(made.str("/payload/visibility"), "personal", "only administrators make macros for all");
    assert_eq!(made.id("/payload/created_by/id"), desk.ann.id);
    let path = ann.a(&format!("/macros/{}", made.id("/payload/id")));
    admin.get(&path).await.expect(404);
    assert_eq!(ann.post(format!("{path}/execute"), json!({ "conversation_ids": [desk.conversation] })).await.expect(200).text, "");
    let shown = show(ann, desk.conversation).await;
    assert_eq!((shown.str("/status"), shown.str("/priority"), shown.at("/labels")), ("resolved", "high", &json!(["vip"])));
    assert_eq!(shown.id("/meta/assignee/id"), desk.ann.id);
    let said = messages(ann, desk.conversation).await;
    let said: Vec<_> = said
        .iter()
        .map(|said| (said["content"].as_str().unwrap(), said["message_type"].as_i64().unwrap(), said["private"] == true))
        .collect();
    assert_eq!(
        said,
        [
            ("ann added vip", 2, false),
            ("ann self-assigned this conversation", 2, false),
            ("On it.", 1, false),
            ("call back", 1, true),
            ("ann set the priority to high", 2, false),
            ("Conversation was marked resolved by ann", 2, false),
        ]
    );
    let before = messages(ann, desk.conversation).await.len();
    ann.post(format!("{path}/execute"), json!({ "conversation_ids": [desk.conversation, 99_999] })).await.expect(404);
    assert_eq!(messages(ann, desk.conversation).await.len(), before, "a wrong id changes nothing");
    let refused = ann.patch(&path, json!({ "actions": [{ "action_name": "fly" }] })).await.expect(422);
    assert_eq!(refused.at("/attributes"), &json!(["actions"]));
    let global = admin.post(admin.a("/macros"), json!({ "name": "All", "visibility": "global", "actions": actions })).await.expect(200);
    let listed = ann.get(ann.a("/macros")).await.expect(200);
    let names: Vec<_> = listed.at("/payload").as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Close", "All"]);
    ann.delete(ann.a(&format!("/macros/{}", global.id("/payload/id")))).await.expect(401);
    ann.delete(&path).await.expect(200);
    ann.get(&path).await.expect(404);
}

#[tokio::test]
async fn many_conversations_change_at_once_and_those_that_are_not_there_are_passed_over() {
    let desk = Desk::open().await;
    let (ann, admin) = (desk.client(), &desk.admin.client);
    let second = talk(admin, desk.inbox, "bert").await;
    ann.post(desk.path("labels"), json!({ "labels": ["old"] })).await.expect(200);
    let asked = json!({
        "type": "Conversation", "ids": [desk.conversation, second], "fields": { "status": "snoozed", "assignee_id": desk.ann.id },
        "labels": { "add": ["new"], "remove": ["old"] }, "snoozed_until": 4_000_000_000_i64,
    });
    assert_eq!(ann.post(ann.a("/bulk_actions"), asked.clone()).await.expect(200).text, "");
    for id in [desk.conversation, second] {
        let shown = show(ann, id).await;
        assert_eq!((shown.str("/status"), shown.at("/labels")), ("snoozed", &json!(["new"])));
        assert_eq!((shown.id("/meta/assignee/id"), shown.str("/snoozed_until")), (desk.ann.id, "2096-10-02T07:06:40.000Z"));
    }
    let elsewhere = api_inbox(admin, json!({ "enable_auto_assignment": false })).await.id;
    let invisible = talk(admin, elsewhere, "cleo").await;
    let mut some = asked.clone();
    some["ids"] = json!([99_999, invisible, desk.conversation]);
    some["fields"] = json!({ "status": "open" });
    assert_eq!(ann.post(ann.a("/bulk_actions"), some).await.expect(200).text, "");
    assert_eq!(show(ann, desk.conversation).await.str("/status"), "open");
    assert_eq!((show(admin, invisible).await.at("/labels"), show(ann, second).await.str("/status")), (&json!([]), "snoozed"));
    let mut wrong = asked.clone();
    wrong["fields"]["assignee_id"] = json!(99_999);
    wrong["labels"] = json!({ "add": ["never"] });
    ann.post(ann.a("/bulk_actions"), wrong).await.expect(422);
    assert_eq!(show(ann, desk.conversation).await.at("/labels"), &json!(["new"]), "what is refused changes nothing");
    let contacts = json!({ "type": "Contact", "ids": [1], "labels": { "add": null, "remove": ["x"] } });
    ann.post(ann.a("/bulk_actions"), contacts).await.expect(200);
    let mut wrong = asked;
    wrong["type"] = json!("Planet");
    ann.post(ann.a("/bulk_actions"), wrong).await.expect(422);
}

#[tokio::test]
async fn a_file_is_uploaded_first_and_named_by_several_messages() {
    let desk = Desk::open().await;
    let ann = desk.client();
    let bytes = b"name,price\ntea,3\n";
    let announced = json!({
        "blob": {
            "filename": "../prices.csv", "byte_size": bytes.len(), "checksum": STANDARD.encode(Md5::digest(bytes)), "content_type": "text/csv",
        }
    });
    let upload = ann.post(desk.path("direct_uploads"), announced.clone()).await.expect(200);
    assert_eq!(upload.str("/filename"), "prices.csv");
    let signed_id = upload.str("/signed_id").to_owned();
    let message = |signed_id: &str| json!({ "content": "our prices", "attachments": [signed_id] });
    let early = post(ann, desk.conversation, message(&signed_id)).await.expect(422);
    assert!(early.str("/error").contains("not been uploaded"), "{}", early.text);
    let web = reqwest::Client::new();
    let put = |bytes: &'static [u8]| web.put(upload.str("/direct_upload/url")).body(bytes).send();
    assert_eq!(put(b"name,price\ntea,4\n").await.unwrap().status(), 422, "other bytes than announced");
    assert_eq!(put(bytes).await.unwrap().status(), 204);
    assert_eq!(put(bytes).await.unwrap().status(), 404, "once");
    let first = post(ann, desk.conversation, message(&signed_id)).await.expect(200);
    let second = post(ann, desk.conversation, message(&signed_id)).await.expect(200);
    let address = second.str("/attachments/0/data_url").to_owned();
    assert_eq!(first.str("/attachments/0/data_url"), address);
    assert_eq!((second.str("/attachments/0/extension"), second.at("/attachments/0/file_size")), ("csv", &json!(bytes.len())));
    let listed = ann.get(desk.path("attachments")).await.expect(200);
    assert_eq!((listed.at("/meta/total_count"), listed.id("/payload/0/sender/id")), (&json!(2), desk.ann.id));
    ann.delete(desk.path(&format!("messages/{}", first.id("/id")))).await.expect(200);
    assert_eq!(web.get(&address).send().await.unwrap().bytes().await.unwrap(), bytes.as_slice(), "the other message still has it");
    ann.delete(desk.path(&format!("messages/{}", second.id("/id")))).await.expect(200);
    assert_eq!(web.get(&address).send().await.unwrap().status(), 404);
    post(ann, desk.conversation, message("made-up")).await.expect(422);
    for (field, value) in [("byte_size", json!(-1)), ("checksum", json!("x")), ("filename", json!({}))] {
        let mut wrong = announced.clone();
        wrong["blob"][field] = value;
        ann.post(desk.path("direct_uploads"), wrong).await.expect(422);
    }
}

#[tokio::test]
async fn messages_carry_what_their_type_needs() {
    let desk = Desk::open().await;
    let ann = desk.client();
    let choice =
        json!({ "content": "Which?", "content_type": "input_select", "content_attributes": { "items": [{ "title": "A", "value": "a" }] } });
    let asked = post(ann, desk.conversation, choice).await.expect(200);
    assert_eq!((asked.str("/content_type"), asked.at("/content_attributes/items/0/value")), ("input_select", &json!("a")));
    let empty = json!({ "content": "Which?", "content_type": "cards", "content_attributes": { "items": [] } });
    assert!(post(ann, desk.conversation, empty).await.expect(422).str("/error").contains("at least one item"));
    let heard = post(ann, desk.conversation, json!({ "content": "one", "message_type": "incoming", "source_id": "m-1" }))
        .await
        .expect(200)
        .id("/id");
    let answer = json!({ "content": "re", "content_attributes": { "in_reply_to": heard } });
    let answer = post(ann, desk.conversation, answer).await.expect(200);
    assert_eq!(answer.at("/content_attributes"), &json!({ "in_reply_to": heard, "in_reply_to_external_id": "m-1" }));
    let replies = [
        (json!({ "in_reply_to": heard }), json!({ "in_reply_to": heard, "in_reply_to_external_id": "m-1" })),
        (json!({ "in_reply_to_external_id": "m-1" }), json!({ "in_reply_to": heard, "in_reply_to_external_id": "m-1" })),
        (json!({ "in_reply_to_external_id": "m-9" }), json!({ "in_reply_to_external_id": "m-9" })),
    ];
    for (given, stored) in replies {
        let reply = json!({ "content": "re", "message_type": "incoming", "content_attributes": given });
        assert_eq!(post(ann, desk.conversation, reply).await.expect(200).at("/content_attributes"), &stored, "the contact's {given}");
    }
    let stranger = talk(&desk.admin.client, desk.inbox, "bert").await;
    let elsewhere = say(&desk.admin.client, stranger, "secret").await;
    let answer =
        post(ann, desk.conversation, json!({ "content": "re", "content_attributes": { "in_reply_to": elsewhere } })).await.expect(200);
    assert_eq!(answer.at("/content_attributes"), &json!({}), "a message of another conversation is not answered");
}

#[tokio::test]
async fn no_assistant_and_no_translator_are_there() {
    let desk = Desk::open().await;
    let ann = desk.client();
    assert_eq!(ann.get(desk.path("inbox_assistant")).await.expect(200).body, json!({ "assistant": null }));
    let translated = json!({ "content": "Hallo", "content_attributes": { "translations": { "en": "Hello" } } });
    let id = post(ann, desk.conversation, translated).await.expect(200).id("/id");
    let translate = async |id: i64, body: Value| ann.post(desk.path(&format!("messages/{id}/translate")), body).await;
    assert_eq!(translate(id, json!({ "target_language": "en" })).await.expect(200).body, json!({ "content": "Hello" }));
    let refused = translate(id, json!({ "target_language": "fr" })).await.expect(403);
    assert!(refused.str("/error").contains("translator"), "{}", refused.text);
    assert_eq!(translate(id, json!({})).await.expect(422).at("/attributes"), &json!(["target_language"]));
    translate(99_999, json!({ "target_language": "en" })).await.expect(404);
}

#[tokio::test]
async fn a_bot_that_has_a_conversation_is_told_beside_its_messages() {
    let desk = Desk::open().await;
    let admin = &desk.admin.client;
    let bot = admin.post(admin.a("/agent_bots"), json!({ "name": "Robo" })).await.expect(200).id("/id");
    act(admin, desk.conversation, "assignments", json!({ "assignee_id": bot, "assignee_type": "AgentBot" })).await.expect(200);
    let meta = admin.get(desk.path("messages")).await.expect(200).at("/meta/assignee").clone();
    assert_eq!(meta, json!({ "id": bot, "name": "Robo", "avatar_url": "", "type": "agent_bot" }));
}

#[tokio::test]
async fn a_removed_conversation_is_gone_and_the_contact_begins_another() {
    let desk = Desk::open().await;
    let (ann, admin) = (desk.client(), &desk.admin.client);
    let form = reqwest::multipart::Part::bytes(b"hello".as_slice()).file_name("a.txt");
    let form = reqwest::multipart::Form::new().text("content", "a file").part("attachments[]", form);
    let sent = ann.post_form(desk.path("messages"), form).await.expect(200);
    let file = sent.str("/attachments/0/data_url").to_owned();
    ann.post(desk.path("labels"), json!({ "labels": ["vip"] })).await.expect(200);
    let path = ann.a(&format!("/conversations/{}", desk.conversation));
    ann.delete(&path).await.expect(401);
    assert_eq!(admin.delete(&path).await.expect(200).text, "");
    for path in [path.clone(), desk.path("messages"), desk.path("labels")] {
        admin.get(path).await.expect(404);
    }
    post(admin, desk.conversation, json!({ "content": "still there?", "message_type": "incoming" })).await.expect(404);
    assert_eq!(reqwest::get(&file).await.unwrap().status(), 404);
    let contacts = admin.get(admin.a("/contacts/search?q=ada")).await.expect(200);
    let contact = contacts.id("/payload/0/id");
    let next = crate::app::conversation(admin, desk.inbox, contact).await;
    assert_eq!(next, desk.conversation + 1, "a number is never given again");
    hear(admin, next, "hello again").await;
    assert_eq!(contents(admin, next).await, ["hello again"]);
}
