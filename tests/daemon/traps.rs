//! Where the contract surprises (its section 12), one test for each: what clients of the original server rely on although
//! nobody would write it so today. Numbers are the contract's.
//!
//! Elsewhere: 6 also in `realtime`, 10 also in `identity`. 9 and 12 concern the website widget and providers that call in.

use crate::app::{act, administrator, agent, api_inbox, assignee, customer, hear, join, messages, post, show, talk};
use crate::harness::{Cable, Client, Daemon, Received, Receiver, Reply, SOON};
use serde_json::{Value, json};

#[tokio::test]
async fn trap_1_creates_answer_200_many_answers_are_empty_and_lists_have_different_envelopes() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    // Each of these helpers expects 200 of a create.
    let id = talk(&admin, inbox.id, "mia").await;
    post(&admin, id, json!({"content": "hello"})).await.expect(200);
    let person = agent(&daemon, "Ada").await;
    let hook = json!({"url": "http://127.0.0.1:19999/", "subscriptions": ["message_created"]});
    let hook = admin.post(admin.a("/webhooks"), hook).await.expect(200).id("/payload/webhook/id");

    let lists = [("/agents", ""), ("/inboxes", "/payload"), ("/contacts", "/payload"), ("/conversations", "/data/payload")];
    for (path, pointer) in lists {
        assert!(admin.get(admin.a(path)).await.expect(200).at(pointer).is_array(), "{path}");
    }
    for pointer in ["/data/meta/all_count", "/data/meta/mine_count", "/data/meta/assigned_count", "/data/meta/unassigned_count"] {
        admin.get(admin.a("/conversations")).await.expect(200).id(pointer);
    }
    assert_eq!(admin.get(admin.a("/webhooks")).await.expect(200).at("/payload/webhooks").as_array().map(Vec::len), Some(1));
    assert_eq!(admin.get(admin.a("/contacts")).await.expect(200).at("/payload").as_array().map(Vec::len), Some(1));
    assert_eq!(show(&admin, id).await.id("/id"), id, "a conversation stands alone");
    let contact = show(&admin, id).await.id("/meta/sender/id");
    assert_eq!(admin.get(admin.a(&format!("/contacts/{contact}"))).await.expect(200).id("/payload/id"), contact);

    let join = json!({"inbox_id": inbox.id, "user_ids": [person.id]});
    admin.post(admin.a("/inbox_members"), join.clone()).await.expect(200);
    for answer in [
        act(&admin, id, "toggle_priority", json!({"priority": "high"})).await,
        act(&admin, id, "toggle_typing_status", json!({"typing_status": "on"})).await,
        admin.delete_with(admin.a("/inbox_members"), join).await,
        admin.delete(admin.a(&format!("/agents/{}", person.id))).await,
        admin.delete(admin.a(&format!("/webhooks/{hook}"))).await,
    ] {
        assert_eq!((answer.status, answer.text.as_str()), (200, ""), "{}", answer.request);
    }
    let removed = admin.delete(admin.a(&format!("/inboxes/{}", inbox.id))).await.expect(200);
    assert!(!removed.str("/message").is_empty(), "an inbox goes with a message");
}

#[tokio::test]
async fn traps_2_and_4_message_type_and_times_have_one_form_at_rest_and_another_one_in_webhooks() {
    let hooked = Hooked::new().await;
    let sent = post(&hooked.admin, hooked.conversation, json!({"content": "hello"})).await.expect(200);
    let id = sent.id("/id");
    assert_eq!(sent.at("/message_type"), &json!(1));
    let (received, event) = hooked.event("message_created", id).await;
    assert_eq!(event["message_type"], "outgoing", "{}", received.text());
    let nested = event["conversation"]["messages"].as_array().unwrap();
    assert!(nested.iter().all(|message| message["message_type"] == 1 && message["created_at"].is_i64()), "{}", received.text());
    let at = event["created_at"].as_str().unwrap();
    assert!(at.len() == 24 && at.ends_with('Z') && at.as_bytes()[10] == b'T', "{at}");
    assert!(sent.at("/created_at").is_i64() && event["conversation"]["created_at"].is_i64());
    assert!(messages(&hooked.admin, hooked.conversation).await.iter().all(|message| message["message_type"].is_i64()));

    let fresh = talk(&hooked.admin, hooked.inbox, "fresh").await;
    let shown = show(&hooked.admin, fresh).await;
    for name in ["first_reply_created_at", "assignee_last_seen_at"] {
        assert_eq!(shown.at(&format!("/{name}")), &json!(0), "a time that is not is 0 in a conversation: {name}");
    }
    assert_eq!(shown.at("/snoozed_until"), &Value::Null);
    assert!(shown.at("/updated_at").is_f64() || shown.at("/updated_at").is_i64());
    let contact = customer(&hooked.admin, hooked.inbox, "silent").await;
    let contact = hooked.admin.get(hooked.admin.a(&format!("/contacts/{}", contact.id))).await.expect(200);
    assert!(contact.at("/payload").get("last_activity_at").is_none_or(Value::is_i64), "absent, never null: {}", contact.text);
}

#[tokio::test]
async fn trap_2_realtime_has_the_message_type_as_a_number() {
    let hooked = Hooked::new().await;
    let (mut cable, _) = hooked.listen().await;
    let id = hear(&hooked.admin, hooked.conversation, "help").await;
    let event = cable.next_event_where("message.created", SOON, |event| event["id"] == id).await;
    assert_eq!((&event["message_type"], event["created_at"].is_i64()), (&json!(0), true), "{event}");
}

#[tokio::test]
async fn trap_3_refusals_are_401_and_every_error_says_error_and_message() {
    let daemon = Daemon::start().await;
    let (admin, visitor, person) = (daemon.client(), daemon.visitor(), agent(&daemon, "Ada").await.client);
    for (status, answer) in [
        (401, person.get(person.a("/webhooks")).await),
        (401, person.post(person.a("/inboxes"), json!({"name": "x", "channel": {"type": "api"}})).await),
        (401, visitor.get(visitor.a("/inboxes")).await),
        (401, visitor.with_token("wrong").get(visitor.a("/inboxes")).await),
        (404, admin.get(admin.a("/conversations/999")).await),
        (404, admin.get("/api/v1/nothing/here").await),
        (422, admin.post(admin.a("/contacts"), json!({"email": "nonsense"})).await),
        (422, admin.get(admin.a("/contacts/search")).await),
    ] {
        assert_eq!(answer.status, status, "{}: {}", answer.request, answer.text);
        assert!(!answer.str("/error").is_empty(), "{}", answer.text);
        assert_eq!(answer.str("/error"), answer.str("/message"), "{}", answer.request);
    }
}

#[tokio::test]
async fn trap_5_who_is_not_assigned_is_absent_at_rest_and_null_elsewhere() {
    let hooked = Hooked::new().await;
    let shown = show(&hooked.admin, hooked.conversation).await;
    for name in ["assignee", "assignee_type", "team"] {
        assert!(shown.at("/meta").get(name).is_none(), "{name}: {}", shown.text);
    }
    let (mut cable, _) = hooked.listen().await;
    act(&hooked.admin, hooked.conversation, "toggle_status", json!({"status": "resolved"})).await.expect(200);
    let pushed = cable.next_event("conversation.status_changed", SOON).await;
    let hooked_event = hooked.event("conversation_status_changed", hooked.conversation).await.1;
    for event in [pushed, hooked_event] {
        for name in ["assignee", "assignee_type", "team"] {
            assert_eq!(event["meta"].get(name), Some(&Value::Null), "{name}: {event}");
        }
    }
}

#[tokio::test]
async fn trap_6_the_identifier_comes_back_byte_for_byte() {
    let daemon = Daemon::start().await;
    let root = administrator(&daemon).await;
    let mut cable = daemon.cable().await;
    for identifier in [
        format!(r#"{{"user_id":{},"channel":"RoomChannel","pubsub_token":"{}","account_id":1}}"#, root.id, root.pubsub_token),
        format!(r#"{{  "channel" : "RoomChannel", "pubsub_token":"{}", "account_id":1, "extra":"\u00e9é" }}"#, root.pubsub_token),
    ] {
        let answer = cable.ask_to_subscribe(&identifier).await;
        assert_eq!((&answer["type"], &answer["identifier"]), (&json!("confirm_subscription"), &json!(identifier)));
        let presence = cable.next_event("presence.update", SOON).await;
        assert_eq!(presence["account_id"], 1);
    }
    cable.next_frame("a ping before clients give up", std::time::Duration::from_secs(6), |frame| frame["type"] == "ping").await;
}

#[tokio::test]
async fn trap_7_a_page_past_the_end_is_empty() {
    let hooked = Hooked::new().await;
    let admin = &hooked.admin;
    let id = hooked.conversation;
    hear(admin, id, "blue parcel").await;
    let file = reqwest::multipart::Part::bytes(b"text".to_vec()).file_name("a.txt");
    let form = reqwest::multipart::Form::new().text("content", "here").part("attachments[]", file);
    admin.post_form(admin.a(&format!("/conversations/{id}/messages")), form).await.expect(200);
    let root = administrator(&hooked.daemon).await;
    act(&hooked.agent, id, "assignments", json!({"assignee_id": root.id})).await.expect(200);
    admin.post(admin.a("/labels"), json!({"title": "red", "color": "#112233"})).await.expect(200);
    // Every list of the contract that has pages, and where its entries are. Each has something on its first one.
    let v2 = "/api/v2/accounts/1".to_owned();
    for (path, pointer) in [
        (admin.a("/conversations?status=all&page="), "/data/payload"),
        (admin.a("/conversations?status=all&assignee_type=me&sort_by=unread&page="), "/data/payload"),
        (admin.a("/conversations/search?q=blue&page="), "/payload"),
        (admin.a("/contacts?page="), "/payload"),
        (admin.a("/contacts?sort=-last_activity_at&page="), "/payload"),
        (admin.a("/contacts/search?q=mia&page="), "/payload"),
        (admin.a("/search?q=mia&page="), "/payload/contacts"),
        (admin.a("/search/contacts?q=mia&page="), "/payload/contacts"),
        (admin.a("/search/conversations?q=mia&page="), "/payload/conversations"),
        (admin.a("/search/messages?q=blue&page="), "/payload/messages"),
        (admin.a("/notifications?page="), "/data/payload"),
        (admin.a("/notifications?sort_order=asc&includes[]=read&page="), "/data/payload"),
        (admin.a("/audit_logs?page="), "/audit_logs"),
        (admin.a(&format!("/conversations/{id}/attachments?page=")), "/payload"),
        (format!("{v2}/reports/conversations?type=agent&page="), ""),
    ] {
        let first = admin.get(format!("{path}1")).await.expect(200);
        assert!(!first.at(pointer).as_array().unwrap().is_empty(), "{}: {}", first.request, first.text);
        for page in PAST_THE_END {
            let empty = admin.get(format!("{path}{page}")).await.expect(200);
            assert_eq!(empty.at(pointer), &json!([]), "{}", empty.request);
        }
    }
    for list in ["/conversations/filter?page=", "/contacts/filter?page="] {
        let filter = async |page: &str| admin.post(admin.a(&format!("{list}{page}")), json!({"payload": []})).await.expect(200);
        assert_eq!(filter("1").await.at("/payload").as_array().map(Vec::len), Some(1), "{list}");
        for page in PAST_THE_END {
            assert_eq!(filter(page).await.at("/payload"), &json!([]), "{list}{page}");
        }
    }
    for list in ["/contacts/active?page=", "/csat_survey_responses?page="] {
        for page in ["1"].iter().chain(PAST_THE_END) {
            let empty = admin.get(admin.a(&format!("{list}{page}"))).await.expect(200);
            assert_eq!(empty.body.get("payload").unwrap_or(&empty.body), &json!([]), "{list}{page}");
        }
    }
    let before = admin.a(&format!("/conversations/{id}/messages?before=1"));
    assert_eq!(admin.get(before).await.expect(200).at("/payload"), &json!([]));
}

/// Of what fits on one page.
const PAST_THE_END: &[&str] = &["2", "1000000", "9999999999999"];

#[tokio::test]
async fn trap_8_bare_numbers_and_bare_null() {
    let hooked = Hooked::new().await;
    let answer = act(&hooked.admin, hooked.conversation, "assignments", json!({"assignee_id": 0})).await.expect(200);
    assert_eq!(answer.text, "null");
    let answer = act(&hooked.admin, hooked.conversation, "assignments", json!({"assignee_id": hooked.member})).await.expect(200);
    assert_eq!(answer.id("/id"), hooked.member);
    let answer = act(&hooked.admin, hooked.conversation, "assignments", json!({"assignee_id": null})).await.expect(200);
    assert_eq!(answer.text, "null");
    assert_eq!(assignee(&hooked.admin, hooked.conversation).await, None);
    assert_eq!(hooked.admin.get(hooked.admin.a("/notifications/unread_count")).await.expect(200).text, "0");
}

#[tokio::test]
async fn trap_10_both_spellings_of_the_token_header_count() {
    let daemon = Daemon::start().await;
    let (visitor, token) = (daemon.visitor(), daemon.site().token().unwrap());
    for name in ["api_access_token", "Api-Access-Token"] {
        let request = visitor.request(reqwest::Method::GET, &visitor.a("/inboxes")).header(name, token).bearer_auth(token);
        visitor.answer(request).await.expect(200);
    }
}

#[tokio::test]
async fn trap_11_webhooks_carry_the_streams_token_and_no_key_of_the_channel() {
    let hooked = Hooked::new().await;
    let id = hear(&hooked.admin, hooked.conversation, "help").await;
    let (_, event) = hooked.event("message_created", id).await;
    let token = &event["conversation"]["contact_inbox"]["pubsub_token"];
    assert!(token.as_str().is_some_and(|token| !token.is_empty()), "{event}");
    let changed = json!({"name": "Renamed", "greeting_message": "hello"});
    hooked.admin.patch(hooked.admin.a(&format!("/inboxes/{}", hooked.inbox)), changed).await.expect(200);
    for received in hooked.receiver.received() {
        for secret in &hooked.secrets {
            assert!(!received.text().contains(secret.as_str()), "{}", received.text());
        }
    }
}

#[tokio::test]
async fn trap_13_who_opens_a_conversation_gets_it_and_labels_replace_the_set() {
    let hooked = Hooked::new().await;
    let id = hooked.conversation;
    act(&hooked.admin, id, "toggle_status", json!({"status": "resolved"})).await.expect(200);
    let opened = act(&hooked.admin, id, "toggle_status", json!({})).await.expect(200);
    assert_eq!(opened.at("/payload/current_status"), "open");
    assert_eq!(opened.at("/payload/success"), &json!(true));
    assert_eq!(assignee(&hooked.admin, id).await, None, "an administrator does not");
    act(&hooked.admin, id, "toggle_status", json!({"status": "resolved"})).await.expect(200);
    act(&hooked.agent, id, "toggle_status", json!({"status": "open"})).await.expect(200);
    assert_eq!(assignee(&hooked.admin, id).await, Some(hooked.member));
    for title in ["red", "blue"] {
        hooked.admin.post(hooked.admin.a("/labels"), json!({"title": title, "color": "#112233"})).await.expect(200);
    }
    for labels in [json!(["red", "blue"]), json!(["blue"]), json!([])] {
        let answer = act(&hooked.admin, id, "labels", json!({"labels": labels})).await.expect(200);
        let mut given: Vec<&str> = answer.at("/payload").as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let mut expected: Vec<&str> = labels.as_array().unwrap().iter().filter_map(Value::as_str).collect();
        given.sort_unstable();
        expected.sort_unstable();
        assert_eq!(given, expected);
    }
}

#[tokio::test]
async fn trap_14_a_conversation_with_somebody_blocked_is_resolved_from_the_start() {
    let hooked = Hooked::new().await;
    let admin = &hooked.admin;
    let contact = customer(admin, hooked.inbox, "pest").await;
    let blocked = admin.patch(admin.a(&format!("/contacts/{}", contact.id)), json!({"blocked": true})).await.expect(200);
    assert_eq!(blocked.at("/payload/blocked"), &json!(true));
    let made = admin.post(admin.a("/conversations"), json!({"inbox_id": hooked.inbox, "contact_id": contact.id})).await.expect(200);
    assert_eq!(made.str("/status"), "resolved");
    let muted = act(admin, hooked.conversation, "mute", json!({})).await.expect(200);
    assert_eq!(muted.text, "");
    let shown = show(admin, hooked.conversation).await;
    assert_eq!((shown.str("/status"), shown.at("/muted")), ("resolved", &json!(true)));
    assert_eq!(shown.at("/meta/sender/blocked"), &json!(true), "muting blocks the contact");
}

/// A daemon with an inbox, a member, a conversation, and a webhook that takes everything.
struct Hooked {
    daemon: Daemon,
    admin: Client,
    agent: Client,
    member: i64,
    inbox: i64,
    conversation: i64,
    receiver: Receiver,
    secrets: Vec<String>,
}

impl Hooked {
    async fn new() -> Self {
        let (daemon, receiver) = (Daemon::start().await, Receiver::start().await);
        receiver.answer(Reply::status(200));
        let admin = daemon.client();
        let person = agent(&daemon, "Ada").await;
        let inbox = api_inbox(&admin, json!({"enable_auto_assignment": false, "channel": {"webhook_url": receiver.url("/inbox")}})).await;
        join(&admin, inbox.id, &[&person]).await;
        let events = json!(["message_created", "message_updated", "conversation_created", "conversation_status_changed"]);
        let hook = json!({"url": receiver.url("/hook"), "subscriptions": events});
        let hook = admin.post(admin.a("/webhooks"), hook).await.expect(200).str("/payload/webhook/secret").to_owned();
        let conversation = talk(&admin, inbox.id, "mia").await;
        let secrets = vec![inbox.hmac_token, inbox.secret, hook];
        Hooked { daemon, admin, agent: person.client, member: person.id, inbox: inbox.id, conversation, receiver, secrets }
    }

    async fn listen(&self) -> (Cable, String) {
        let root = administrator(&self.daemon).await;
        let mut cable = self.daemon.cable().await;
        let identifier = cable.subscribe_agent(&root.pubsub_token, 1, root.id).await;
        (cable, identifier)
    }

    /// What the webhook was told of something.
    async fn event(&self, name: &str, id: i64) -> (Received, Value) {
        let fits = |event: &Value| event["event"] == name && event["id"] == id;
        let parse = |received: &Received| serde_json::from_str::<Value>(&received.text()).unwrap_or_default();
        let received = self.receiver.wait_until(|received| received.path == "/hook" && fits(&parse(received)), SOON).await;
        let event = parse(&received);
        (received, event)
    }
}
