//! Messages of API inboxes: their forms, files, pages, reports of how far they came, and requests that are sent twice.

use crate::app::{act, api_inbox, contents, hear, keys, messages, post, say, show, talk, words};
use crate::harness::{Answer, Client, Daemon};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";

#[tokio::test]
async fn messages_have_the_contracts_form() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    let names =
        "id content inbox_id conversation_id message_type content_type status content_attributes created_at private source_id sender";

    let incoming = post(&admin, id, json!({"content": "hello", "message_type": "incoming", "source_id": "m-1"})).await.expect(200);
    assert_eq!(keys(&incoming.body), words(names), "nothing that is not there is null");
    assert_eq!((incoming.id("/message_type"), incoming.str("/source_id")), (0, "m-1"));
    assert_eq!((incoming.id("/inbox_id"), incoming.id("/conversation_id")), (inbox.id, id));
    assert_eq!((incoming.str("/sender/type"), incoming.str("/sender/name")), ("contact", "mia"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
    let age = now - incoming.id("/created_at");
    assert!((-2..60).contains(&age), "epoch seconds: {}", incoming.text);

    let fields = json!({"content": "hi", "echo_id": "e-1", "cc_emails": "", "bcc_emails": "", "to_emails": ""});
    let outgoing = post(&admin, id, fields).await.expect(200);
    assert_eq!(keys(&outgoing.body), words(&format!("{names} echo_id")));
    assert_eq!((outgoing.id("/message_type"), outgoing.str("/echo_id"), outgoing.str("/status")), (1, "e-1", "sent"));
    assert_eq!((outgoing.at("/source_id"), outgoing.at("/private")), (&Value::Null, &json!(false)));
    assert_eq!((outgoing.str("/sender/type"), outgoing.at("/content_attributes")), ("user", &json!({})));

    let note = post(&admin, id, json!({"content": "careful", "private": true})).await.expect(200);
    assert_eq!((note.at("/private"), note.id("/message_type")), (&json!(true), 1));
    act(&admin, id, "toggle_status", json!({"status": "pending"})).await.expect(200);
    let listed = messages(&admin, id).await;
    let activity = listed.last().unwrap();
    assert_eq!(activity["message_type"], 2);
    assert!(activity.get("sender").is_none(), "an activity has no sender: {activity}");
    assert!(listed.iter().all(|message| message.get("echo_id").is_none()), "an echo is for its sender only");
    let public = admin.get(admin.a(&format!("/conversations/{id}/messages?filter_internal_messages=true"))).await.expect(200);
    assert_eq!(public.at("/payload").as_array().unwrap().len(), 2, "neither note nor activity");
    assert_eq!(public.str("/meta/contact/type"), "contact");
    assert!(public.body["meta"].get("assignee").is_none());

    for (wrong, field) in [
        (json!({"content": "x", "message_type": "activity"}), "message_type"),
        (json!({"content": "x", "content_type": "dance"}), "content_type"),
        (json!({"content": "x".repeat(150_001)}), "content"),
    ] {
        assert_eq!(post(&admin, id, wrong).await.expect(422).at("/attributes"), &json!([field]));
    }
    post(&admin, id, json!({"content": ""})).await.expect(422);
    post(&admin, id, json!({"content": "x".repeat(150_000)})).await.expect(200);
    post(&admin, 999, json!({"content": "x"})).await.expect(404);
}

#[tokio::test]
async fn a_repeated_source_id_is_the_same_message() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    let message = json!({"content": "once", "message_type": "incoming", "source_id": "provider-1"});
    let first = post(&admin, id, message.clone()).await.expect(200).id("/id");
    assert_eq!(post(&admin, id, message).await.expect(200).id("/id"), first);
    assert_eq!(contents(&admin, id).await, ["once"]);
}

#[tokio::test]
async fn conversations_have_the_contracts_form() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    let shown = show(&admin, id).await;
    let names = "meta id messages account_id uuid additional_attributes agent_last_seen_at assignee_last_seen_at can_reply \
        contact_last_seen_at custom_attributes inbox_id labels muted snoozed_until status created_at updated_at timestamp \
        first_reply_created_at unread_count last_non_activity_message last_activity_at priority waiting_since sla_policy_id";
    assert_eq!(keys(&shown.body), words(names));
    assert_eq!(keys(shown.at("/meta")), words("sender channel hmac_verified"), "no assignee and no team, not even as null");
    for zero in ["agent_last_seen_at", "assignee_last_seen_at", "contact_last_seen_at", "first_reply_created_at", "waiting_since"] {
        assert_eq!(shown.id(&format!("/{zero}")), 0, "{zero}");
    }
    assert_eq!((shown.at("/snoozed_until"), shown.at("/priority"), shown.at("/messages")), (&Value::Null, &Value::Null, &json!([])));
    assert_eq!(shown.at("/timestamp"), shown.at("/last_activity_at"));
    assert!(shown.at("/updated_at").is_f64() && shown.at("/created_at").is_i64());
    assert_eq!(shown.str("/meta/channel"), "Channel::Api");

    hear(&admin, id, "question").await;
    let waiting = show(&admin, id).await;
    assert!(waiting.id("/waiting_since") > 0);
    assert_eq!(waiting.str("/last_non_activity_message/content"), "question");
    assert_eq!(waiting.str("/messages/0/processed_message_content"), "question", "the push form");
    say(&admin, id, "answer").await;
    let answered = show(&admin, id).await;
    assert_eq!(answered.id("/waiting_since"), 0);
    assert!(answered.id("/first_reply_created_at") > 0);

    let list = admin.get(admin.a("/conversations")).await.expect(200);
    assert_eq!(list.id("/data/payload/0/id"), id);
    let counts = json!({"mine_count": 0, "assigned_count": 0, "unassigned_count": 1, "all_count": 1});
    assert_eq!(list.at("/data/meta"), &counts);
    assert_eq!(admin.get(admin.a("/conversations?page=2")).await.expect(200).at("/data/payload"), &json!([]));
    assert_eq!(admin.get(admin.a("/conversations?status=resolved")).await.expect(200).id("/data/meta/all_count"), 0);
    admin.get(admin.a("/conversations?status=foo")).await.expect(422);
    assert_eq!(admin.get(admin.a("/conversations/meta")).await.expect(200).at("/meta"), &counts);
}

#[tokio::test]
async fn files_are_stored_and_served_so_that_nothing_runs() {
    let daemon = Daemon::start().await;
    let (admin, visitor) = (daemon.client(), daemon.visitor());
    let inbox = api_inbox(&admin, json!({})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    let files: [(&str, &str, &[u8]); 4] = [
        ("pixel.png", "image/png", PNG),
        ("drawing.svg", "image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"),
        ("page.html", "text/html", b"<!DOCTYPE html><script>alert(1)</script>"),
        // What it says it is does not matter.
        ("lie.png", "image/png", b"<!DOCTYPE html><script>alert(1)</script>"),
    ];
    let mut form = Form::new().text("content", "look").text("message_type", "incoming").text("content_attributes", r#"{"a":1}"#);
    for (name, kind, bytes) in files {
        form = form.part("attachments[]", Part::bytes(bytes).file_name(name).mime_str(kind).unwrap());
    }
    let message = post_form(&admin, id, form).await.expect(200);
    assert_eq!((message.str("/content"), message.at("/content_attributes/a")), ("look", &json!(1)));
    assert_eq!(message.at("/attachments").as_array().unwrap().len(), 4);
    assert_eq!((message.str("/attachments/0/file_type"), message.at("/attachments/0/file_size")), ("image", &json!(PNG.len())));
    assert_eq!((message.str("/attachments/0/extension"), message.id("/attachments/0/message_id")), ("png", message.id("/id")));
    assert_eq!(message.str("/attachments/0/thumb_url"), message.str("/attachments/0/data_url"));
    assert_eq!(message.str("/attachments/1/thumb_url"), "", "a drawing with a script is no thumbnail");

    for (position, (name, _, bytes)) in files.iter().enumerate() {
        let url = message.str(&format!("/attachments/{position}/data_url"));
        assert!(url.starts_with(&daemon.base_url()), "{url}");
        let served = visitor.get(url).await.expect(200);
        assert_eq!(served.header("x-content-type-options"), Some("nosniff"), "{name}");
        let policy = served.header("content-security-policy").unwrap();
        assert!(policy.contains("sandbox") && policy.contains("default-src 'none'"), "{name}: {policy}");
        let (kind, disposition) = if position == 0 { ("image/png", "inline") } else { ("application/octet-stream", "attachment") };
        assert_eq!(served.header("content-type"), Some(kind), "{name}");
        assert!(served.header("content-disposition").unwrap().starts_with(disposition), "{name}");
        let raw = visitor.request(Method::GET, url).send().await.unwrap().bytes().await.unwrap();
        assert_eq!(raw, *bytes, "{name}");
    }
    let url = message.str("/attachments/0/data_url");
    let signed = url.split("/files/").nth(1).unwrap().split('/').next().unwrap();
    let (key, signature) = signed.split_once('.').unwrap();
    let other_key = message.str("/attachments/1/data_url").split("/files/").nth(1).unwrap().split('.').next().unwrap().to_owned();
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    for forged in [
        format!("{key}.{flipped}{}", &signature[1..]),
        format!("{other_key}.{signature}"),
        key.to_owned(),
        format!("{key}."),
        format!("{key}.{}", &signature[..signature.len() - 2]),
    ] {
        visitor.get(format!("/files/{forged}/pixel.png")).await.expect(404);
    }
    let only_files = Form::new().part("attachments[]", Part::bytes(PNG).file_name("../../etc/passwd.png"));
    let alone = post_form(&admin, id, only_files).await.expect(200);
    assert_eq!(alone.at("/content"), &Value::Null);
    assert!(alone.str("/attachments/0/data_url").ends_with("/passwd.png"));

    let gone = admin.delete(admin.a(&format!("/conversations/{id}/messages/{}", message.id("/id")))).await.expect(200);
    assert!(gone.body.get("attachments").is_none(), "attachments are dropped: {}", gone.text);
    visitor.get(url).await.expect(404);
}

#[tokio::test]
async fn files_have_a_size_and_a_number() {
    let daemon = Daemon::builder().env("KONVERSIO__FILES__MAX_BYTES", "100000").start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    let file = |size: usize| Part::bytes(vec![b'x'; size]).file_name("a.bin");
    let refused = post_form(&admin, id, Form::new().part("attachments[]", file(100_001))).await;
    assert!(matches!(refused.status, 413 | 422), "{refused:?}");
    post_form(&admin, id, Form::new().part("attachments[]", file(100_000))).await.expect(200);
    let many = (0..16).fold(Form::new().text("content", "x"), |form, _| form.part("attachments[]", file(10)));
    post_form(&admin, id, many).await.expect(422);
    assert_eq!(messages(&admin, id).await.len(), 1);
}

#[tokio::test]
async fn messages_come_in_pages() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    let mut ids = Vec::new();
    for number in 0..25 {
        ids.push(hear(&admin, id, &number.to_string()).await);
    }
    let page = async |query: String| -> Vec<i64> {
        let listed = admin.get(admin.a(&format!("/conversations/{id}/messages{query}"))).await.expect(200);
        listed.at("/payload").as_array().unwrap().iter().map(|message| message["id"].as_i64().unwrap()).collect()
    };
    assert_eq!(page(String::new()).await, ids[5..], "the last 20, oldest first");
    assert_eq!(page(format!("?before={}", ids[5])).await, ids[..5]);
    assert_eq!(page(format!("?before={}", ids[24])).await, ids[4..24]);
    assert_eq!(page(format!("?before={}", ids[0])).await, [0_i64; 0]);
    assert_eq!(page(format!("?after={}", ids[2])).await, ids[3..], "up to 100");
    assert_eq!(page(format!("?after={}", ids[24])).await, [0_i64; 0]);
    assert_eq!(page(format!("?after={}&before={}", ids[1], ids[24])).await, ids[1..24], "from after on, up to before");
}

#[tokio::test]
async fn whoever_reports_how_far_a_message_came_is_believed() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    let message = say(&admin, id, "hi").await;
    let report = async |message: i64, fields: Value| admin.patch(admin.a(&format!("/conversations/{id}/messages/{message}")), fields).await;
    for (reported, then) in [
        ("delivered", "delivered"),
        ("failed", "failed"),
        ("sent", "sent"),
        ("delivered", "delivered"),
        ("read", "read"),
        ("delivered", "read"),
    ] {
        assert_eq!(report(message, json!({"status": reported})).await.expect(200).str("/status"), then, "after {reported}");
    }
    let other = say(&admin, id, "again").await;
    let failed = report(other, json!({"status": "failed", "external_error": "no such device"})).await.expect(200);
    assert_eq!((failed.str("/status"), failed.str("/content_attributes/external_error")), ("failed", "no such device"));
    assert_eq!(report(other, json!({"status": "sent"})).await.expect(200).at("/content_attributes"), &json!({}), "the error is over");
    report(other, json!({"status": "failed", "external_error": "again"})).await.expect(200);
    for wrong in ["flown", "queued"] {
        assert_eq!(report(other, json!({"status": wrong})).await.expect(422).at("/attributes"), &json!(["status"]));
    }
    report(999_999, json!({"status": "read"})).await.expect(404);
    let retry = |message: i64| admin.a(&format!("/conversations/{id}/messages/{message}/retry"));
    let again = admin.post(retry(other), json!({})).await.expect(200);
    assert_eq!((again.str("/status"), again.at("/content_attributes")), ("sent", &json!({})));
    let choice = json!({"content": "x", "content_attributes": {"in_reply_to": message}});
    let third = post(&admin, id, choice).await.expect(200);
    assert_eq!(third.at("/content_attributes"), &json!({"in_reply_to": message}));
    let again = admin.post(retry(third.id("/id")), json!({})).await.expect(200);
    assert_eq!((again.str("/status"), again.at("/content_attributes")), ("sent", &json!({})), "also one that has not failed");
    let heard = hear(&admin, id, "what?").await;
    admin.post(retry(heard), json!({})).await.expect(422);

    let gone = admin.delete(admin.a(&format!("/conversations/{id}/messages/{message}"))).await.expect(200);
    assert_eq!(gone.at("/content_attributes"), &json!({"deleted": true}));
    assert!(!contents(&admin, id).await.contains(&"hi".to_owned()));
}

#[tokio::test]
async fn two_hundred_messages_a_minute_are_enough_for_a_conversation() {
    let mut daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let (id, other) = (talk(&admin, inbox.id, "mia").await, talk(&admin, inbox.id, "noa").await);
    for number in 0..100 {
        hear(&admin, id, &number.to_string()).await;
        say(&admin, id, "yes").await;
    }
    let too_many = async |admin: &Client| {
        for message in
            [json!({"content": "x"}), json!({"content": "x", "message_type": "incoming"}), json!({"content": "x", "private": true})]
        {
            assert_eq!(post(admin, id, message).await.expect(422).str("/error"), "Too many messages");
        }
    };
    too_many(&admin).await;
    hear(&admin, other, "not my fault").await;
    act(&admin, id, "toggle_status", json!({"status": "resolved"})).await.expect(200);
    daemon.kill();
    daemon.restart().await;
    let admin = daemon.client();
    too_many(&admin).await;
    daemon.kill();
    crate::app::execute(
        &daemon,
        "UPDATE messages SET created_at = '2020' || substr(created_at, 5)",
        "UPDATE messages SET created_at = created_at - interval '1 minute'",
    )
    .await;
    daemon.restart().await;
    say(&daemon.client(), id, "better").await;
}

#[tokio::test]
async fn a_spoken_message_says_so() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    let form = |is_voice: &'static str| {
        let (sound, picture) = (Part::bytes(b"OggS\0\x02".as_slice()).file_name("a.ogg"), Part::bytes(PNG).file_name("a.png"));
        Form::new().text("content", "x").text("is_voice_message", is_voice).part("attachments[]", sound).part("attachments[]", picture)
    };
    for (given, is_voice) in [("true", true), ("false", false)] {
        let sent = post_form(&admin, id, form(given)).await.expect(200);
        let sound = sent.at("/attachments/0");
        assert_eq!(
            (&sound["file_type"], &sound["is_voice_message"], &sound["transcribed_text"]),
            (&json!("audio"), &json!(is_voice), &json!(""))
        );
        assert!(sent.at("/attachments/1").get("transcribed_text").is_none(), "a picture has no words: {}", sent.text);
    }
}

#[tokio::test]
async fn only_api_inboxes_take_incoming_messages_and_reports() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let fields = json!({"name": "Mail", "channel": {"type": "email", "email": "support@example.com"}});
    let inbox = admin.post(admin.a("/inboxes"), fields).await.expect(200).id("/id");
    let contact = admin.post(admin.a("/contacts"), json!({"inbox_id": inbox, "email": "mia@example.com"})).await.expect(200);
    let id = crate::app::conversation(&admin, inbox, contact.id("/payload/contact/id")).await;
    post(&admin, id, json!({"content": "x", "message_type": "incoming"})).await.expect(422);
    let note = post(&admin, id, json!({"content": "x", "private": true})).await.expect(200).id("/id");
    admin.patch(admin.a(&format!("/conversations/{id}/messages/{note}")), json!({"status": "read"})).await.expect(403);
}

#[tokio::test]
async fn the_same_request_twice_makes_one_row() {
    let mut daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    let path = admin.a(&format!("/conversations/{id}/messages"));
    let send = async |client: &Client, path: &str, key: &str, body: Value| -> Answer {
        client.answer(client.request(Method::POST, path).header("idempotency-key", key).json(&body)).await
    };
    let body = json!({"content": "once"});
    let first = send(&admin, &path, "k1", body.clone()).await.expect(200);
    let second = send(&admin, &path, "k1", body.clone()).await.expect(200);
    assert_eq!((first.text, contents(&admin, id).await), (second.text.clone(), vec!["once".to_owned()]));
    send(&admin, &path, "k1", json!({"content": "other"})).await.expect(422);
    send(&admin, &path, "", body.clone()).await.expect(422);
    // Without a key, and with other keys, every request counts.
    post(&admin, id, json!({"content": "twice"})).await.expect(200);
    post(&admin, id, json!({"content": "twice"})).await.expect(200);
    send(&admin, &path, "k2", body.clone()).await.expect(200);
    assert_eq!(contents(&admin, id).await, ["once", "twice", "twice", "once"]);

    let contact = json!({"name": "Noa", "inbox_id": inbox.id});
    let one = send(&admin, &admin.a("/contacts"), "k1", contact.clone()).await.expect(200);
    let other = send(&admin, &admin.a("/contacts"), "k1", contact).await.expect(200);
    assert_eq!(one.id("/payload/contact/id"), other.id("/payload/contact/id"), "a key belongs to its path");
    let opening = json!({"inbox_id": inbox.id, "contact_id": one.id("/payload/contact/id")});
    let opened = send(&admin, &admin.a("/conversations"), "k1", opening.clone()).await.expect(200).id("/id");
    assert_eq!(send(&admin, &admin.a("/conversations"), "k1", opening).await.expect(200).id("/id"), opened);

    daemon.kill();
    daemon.restart().await;
    let admin = daemon.client();
    assert_eq!(send(&admin, &path, "k1", body.clone()).await.expect(200).text, second.text);
    send(&admin, &path, "k1", json!({"content": "other"})).await.expect(422);
    // Many at once: one of them writes, the others hear its answer or that it is still running.
    let at_once = futures_util::future::join_all((0..8).map(|_| send(&admin, &path, "k3", json!({"content": "at once"})))).await;
    assert!(at_once.iter().all(|answer| matches!(answer.status, 200 | 409)), "{at_once:?}");
    let said = contents(&admin, id).await;
    assert_eq!(said.iter().filter(|content| *content == "at once").count(), 1, "{said:?}");
    assert_eq!(said.len(), 5);
}

async fn post_form(client: &Client, conversation: i64, form: Form) -> Answer {
    client.post_form(client.a(&format!("/conversations/{conversation}/messages")), form).await
}
