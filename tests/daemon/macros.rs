//! Macros: what they name is looked up before anything is done, and what they do to a conversation is one step.

use crate::app::{Person, act, administrator, agent, api_inbox, assignee, contents, hear, join, messages, post, say, show, talk};
use crate::harness::{Answer, Client, Daemon, Receiver, Reply, SOON};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

struct Desk {
    daemon: Daemon,
    admin: Person,
    inbox: i64,
    conversation: i64,
}

impl Desk {
    async fn open(daemon: Daemon, inbox: Value) -> Self {
        let admin = administrator(&daemon).await;
        let inbox = api_inbox(&admin.client, inbox).await.id;
        let conversation = talk(&admin.client, inbox, "ada").await;
        Desk { daemon, admin, inbox, conversation }
    }

    async fn run(&self, actions: Value) -> Answer {
        let made = make(&self.admin.client, actions).await.expect(200);
        execute(&self.admin.client, made.id("/payload/id"), &[self.conversation]).await
    }
}

async fn make(client: &Client, actions: Value) -> Answer {
    client.post(client.a("/macros"), json!({"name": "Macro", "actions": actions})).await
}

async fn execute(client: &Client, id: i64, conversations: &[i64]) -> Answer {
    client.post(client.a(&format!("/macros/{id}/execute")), json!({"conversation_ids": conversations})).await
}

fn action(name: &str, params: Value) -> Value {
    json!({"action_name": name, "action_params": params})
}

async fn upload(client: &Client, name: &'static str) -> i64 {
    let form = Form::new().part("attachment", Part::bytes(name.as_bytes()).file_name(name));
    client.post_form(client.a("/upload"), form).await.expect(200).id("/blob_id")
}

#[tokio::test]
async fn a_refusal_leaves_everything_as_it_was() {
    let inbox = json!({"enable_auto_assignment": false, "channel": {"additional_attributes": {"agent_reply_time_window": 1}}});
    let desk = Desk::open(Daemon::start().await, inbox).await;
    let (admin, id) = (&desk.admin.client, desk.conversation);
    let before = show(admin, id).await.body;
    let first = action("add_label", json!(["vip"]));
    for (wrong, words) in [
        (action("assign_agent", json!([99_999])), "99999 is no agent"),
        (action("assign_team", json!([99_999])), "no team 99999"),
        (action("send_email_transcript", json!(["a@b.example"])), "mail relay"),
        (action("send_email_to_team", json!([{"team_ids": [1], "message": "x"}])), "mail relay"),
        // The contact has not written yet, so nobody may write to it.
        (action("send_message", json!(["hello"])), "agent_reply_time_window"),
    ] {
        let refused = desk.run(json!([first, action("mute_conversation", json!([])), wrong])).await.expect(422);
        assert!(refused.str("/error").contains(words) && refused.str("/error").contains(&format!("conversation {id}")), "{}", refused.text);
        assert_eq!(show(admin, id).await.body, before, "{words}");
        assert_eq!(contents(admin, id).await, [""; 0], "{words}");
    }
}

#[tokio::test]
async fn everything_a_macro_does_is_told_at_once() {
    let desk = Desk::open(Daemon::start().await, json!({"enable_auto_assignment": false})).await;
    let (admin, id) = (&desk.admin.client, desk.conversation);
    hear(admin, id, "help").await;
    let mut cable = desk.daemon.cable().await;
    cable.subscribe_agent(&desk.admin.pubsub_token, 1, desk.admin.id).await;
    let actions = [
        action("assign_agent", json!(["self"])),
        action("add_private_note", json!(["a pest"])),
        action("send_message", json!(["Goodbye."])),
        action("mute_conversation", json!([])),
    ];
    assert_eq!(desk.run(json!(actions)).await.expect(200).text, "");
    let reply = cable.next_event("first.reply.created", SOON).await;
    assert_eq!(reply["content"], "Goodbye.", "a note and an activity are no answer");
    let updated = cable.next_event("conversation.updated", SOON).await;
    assert_eq!((&updated["status"], &updated["meta"]["assignee"]["id"]), (&json!("resolved"), &json!(desk.admin.id)));
    assert_eq!(updated["meta"]["sender"]["blocked"], true);
    let blocked = cable.next_event("contact.updated", SOON).await;
    assert_eq!((&blocked["blocked"], &blocked["performer"]["id"]), (&json!(true), &json!(desk.admin.id)));
    hear(admin, id, "and another thing").await;
    let changes = cable.event_names().iter().filter(|name| **name == "conversation.updated").count();
    assert_eq!(changes, 1, "one step, one update: {:?}", cable.event_names());
    assert_eq!(show(admin, id).await.str("/status"), "resolved", "whoever is muted opens nothing");
}

#[tokio::test]
async fn files_are_the_accounts_and_shown_with_the_macro() {
    let desk = Desk::open(Daemon::start().await, json!({})).await;
    let admin = &desk.admin.client;
    let file = upload(admin, "prices.txt").await;
    for wrong in [json!([99_999]), json!([file, 99_999])] {
        let refused = make(admin, json!([action("send_attachment", wrong)])).await.expect(422);
        assert_eq!(refused.at("/attributes"), &json!(["actions"]));
        assert!(refused.str("/error").contains("send_attachment") && refused.str("/error").contains("99999"), "{}", refused.text);
    }
    let made = make(admin, json!([action("send_attachment", json!([file]))])).await.expect(200);
    assert_eq!(made.at("/payload/files").as_array().unwrap().len(), 1);
    let shown = made.at("/payload/files/0");
    assert_eq!((&shown["blob_id"], &shown["filename"], &shown["file_type"]), (&json!(file), &json!("prices.txt"), &json!("text/plain")));
    assert_eq!(desk.daemon.visitor().get(shown["file_url"].as_str().unwrap()).await.expect(200).text, "prices.txt");
    let id = made.id("/payload/id");
    let path = admin.a(&format!("/macros/{id}"));
    let refused = admin.patch(&path, json!({"actions": [action("send_attachment", json!([77_777]))]})).await.expect(422);
    assert_eq!(refused.at("/attributes"), &json!(["actions"]));
    assert_eq!(admin.get(&path).await.expect(200).at("/payload/files/0/blob_id"), &json!(file));
    execute(admin, id, &[desk.conversation]).await.expect(200);
    let sent = messages(admin, desk.conversation).await;
    assert_eq!(sent[0]["attachments"][0]["extension"], "txt");
    // Taking back what it sent does not take the file from the macro.
    admin.delete(admin.a(&format!("/conversations/{}/messages/{}", desk.conversation, sent[0]["id"]))).await.expect(200);
    execute(admin, id, &[desk.conversation]).await.expect(200);
    admin.delete(admin.a(&format!("/conversations/{}", desk.conversation))).await.expect(200);
    assert_eq!(desk.daemon.visitor().get(shown["file_url"].as_str().unwrap()).await.expect(200).text, "prices.txt");
    let plain = make(admin, json!([action("resolve_conversation", json!([]))])).await.expect(200);
    assert!(plain.body["payload"].get("files").is_none(), "absent where there are none");
}

#[tokio::test]
async fn an_address_is_told_of_the_conversation_as_it_is_then() {
    let desk = Desk::open(Daemon::start().await, json!({"enable_auto_assignment": false})).await;
    let (admin, receiver) = (&desk.admin.client, Receiver::start().await);
    receiver.answer(Reply::status(200));
    for address in ["http://169.254.169.254/latest", "ftp://example.com/x", "nowhere"] {
        let refused = make(admin, json!([action("send_webhook_event", json!([address]))])).await.expect(422);
        assert_eq!(refused.at("/attributes"), &json!(["actions"]), "{address}");
    }
    // The first try fails, and it comes again.
    receiver.answer_next(Reply::status(503));
    let actions = [action("send_webhook_event", json!([receiver.url("/macro")])), action("add_label", json!(["late"]))];
    desk.run(json!(actions)).await.expect(200);
    let tried = receiver.wait_for(2, SOON * 2).await;
    let told = &tried[1];
    assert_eq!((told.path.as_str(), &told.json["event"]), ("/macro", &json!("macro.executed")));
    assert_eq!((&told.json["id"], &told.json["labels"]), (&json!(desk.conversation), &json!(["late"])));
    assert_eq!(told.json["account"]["id"], 1);
    assert_eq!(told.header("x-chatwoot-delivery"), tried[0].header("x-chatwoot-delivery"));
    assert!(told.header("x-chatwoot-delivery").is_some() && told.header("x-chatwoot-signature").is_none(), "nothing signs for it");
}

#[tokio::test]
async fn whoever_answered_last_gets_it() {
    let desk = Desk::open(Daemon::start().await, json!({"enable_auto_assignment": false})).await;
    let (admin, id) = (&desk.admin.client, desk.conversation);
    let (ann, bob) = (agent(&desk.daemon, "ann").await, agent(&desk.daemon, "bob").await);
    join(admin, desk.inbox, &[&ann, &bob]).await;
    let last = json!([action("assign_agent", json!(["last_responding_agent"]))]);
    desk.run(last.clone()).await.expect(200);
    assert_eq!(assignee(admin, id).await, None, "nobody has answered yet");
    say(&ann.client, id, "hello").await;
    say(&bob.client, id, "hello from me").await;
    post(&ann.client, id, json!({"content": "a note", "private": true})).await.expect(200);
    hear(admin, id, "hello").await;
    desk.run(last).await.expect(200);
    assert_eq!(assignee(admin, id).await, Some(bob.id));
    let own = json!([action("send_message", json!(["done"])), action("assign_agent", json!(["last_responding_agent"]))]);
    desk.run(own).await.expect(200);
    assert_eq!(assignee(admin, id).await, Some(desk.admin.id), "what the macro says comes before");
}

#[tokio::test]
async fn a_team_is_mailed_once_a_member() {
    let relay = [("HOST", "127.0.0.1"), ("PORT", "9"), ("SECURITY", "none"), ("FROM", "desk@example.com")];
    let daemon = relay.iter().fold(Daemon::builder(), |builder, (name, value)| builder.env(&format!("KONVERSIO__MAIL__{name}"), value));
    let desk = Desk::open(daemon.start().await, json!({"enable_auto_assignment": false})).await;
    let admin = &desk.admin.client;
    let (ann, bob) = (agent(&desk.daemon, "ann").await, agent(&desk.daemon, "bob").await);
    let mut teams = Vec::new();
    for (name, members) in [("one", vec![ann.id, bob.id]), ("two", vec![bob.id])] {
        let team = admin.post(admin.a("/teams"), json!({"name": name})).await.expect(200).id("/id");
        admin.post(admin.a(&format!("/teams/{team}/team_members")), json!({"user_ids": members})).await.expect(200);
        teams.push(team);
    }
    let mail = |teams: Value| action("send_email_to_team", json!([{"team_ids": teams, "message": "please look"}]));
    desk.run(json!([action("add_label", json!(["vip"])), mail(json!([teams[0], 99_999]))])).await.expect(422);
    assert_eq!(crate::app::count(&desk.daemon, "SELECT COUNT(*) FROM mails").await, 0);
    assert_eq!(show(admin, desk.conversation).await.at("/labels"), &json!([]));
    desk.run(json!([mail(json!(teams))])).await.expect(200);
    // What they say is sealed.
    const MAILED: &str =
        "SELECT COUNT(*) FROM mails WHERE recipient IN ('ann@example.com', 'bob@example.com') AND body NOT LIKE '%please%'";
    assert_eq!(crate::app::count(&desk.daemon, MAILED).await, 2);
    assert_eq!(crate::app::count(&desk.daemon, "SELECT COUNT(*) FROM mails").await, 2);
}

#[tokio::test]
async fn of_several_conversations_each_is_changed_whole_or_not_at_all() {
    let inbox = json!({"enable_auto_assignment": false, "channel": {"additional_attributes": {"agent_reply_time_window": 1}}});
    let desk = Desk::open(Daemon::start().await, inbox).await;
    let (admin, answered) = (&desk.admin.client, desk.conversation);
    hear(admin, answered, "help").await;
    let silent = talk(admin, desk.inbox, "bert").await;
    let actions = json!([action("add_label", json!(["vip"])), action("send_message", json!(["hi"]))]);
    let id = make(admin, actions).await.expect(200).id("/payload/id");
    let refused = execute(admin, id, &[answered, silent]).await.expect(422);
    assert!(refused.str("/error").contains(&format!("conversation {silent}")), "{}", refused.text);
    assert_eq!(show(admin, answered).await.at("/labels"), &json!(["vip"]));
    assert_eq!((show(admin, silent).await.at("/labels"), contents(admin, silent).await.len()), (&json!([]), 0));
    act(admin, answered, "toggle_status", json!({"status": "resolved"})).await.expect(200);
}
