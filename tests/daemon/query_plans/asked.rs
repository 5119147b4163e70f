//! Everything that is asked of a large desk: each route that reads, each filter, order and page of its lists, and what agents
//! and customers do all day.

use super::Log;
use crate::app::{Person, agent, api_inbox, join};
use crate::harness::{Answer, Client, Daemon};
use crate::surface::parameters;
use konversio::http::routes::{Audience, ROUTES};
use reqwest::Method;
use serde_json::{Value, json};

/// A conversation of account 1 in inbox 1, its contact, and the address of that.
const CONVERSATION: i64 = 14;
const CONTACT: i64 = 8;
const SOURCE: &str = "source8";
/// A message of that conversation.
const MESSAGE: i64 = 500_013;

/// Who asks, and by which names customers know the inbox and the website.
pub struct People {
    agent: Person,
    identifier: String,
    website_token: String,
}

/// What cannot be made in SQL: people, inboxes, and what filters refer to.
pub async fn set_up(daemon: &Daemon) -> People {
    let admin = daemon.client();
    let quiet = json!({"enable_auto_assignment": false});
    let mut inboxes = Vec::new();
    for _ in 0..8 {
        inboxes.push(api_inbox(&admin, quiet.clone()).await);
    }
    assert_eq!(inboxes.iter().map(|inbox| inbox.id).collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>(), "the desk is made for these");
    let agent = agent(daemon, "ada").await;
    for inbox in [1, 3] {
        join(&admin, inbox, &[&agent]).await;
    }
    for (path, body) in [
        ("/teams", json!({"name": "support"})),
        ("/labels", json!({"title": "label1", "color": "#112233"})),
        ("/labels", json!({"title": "label2", "color": "#112233"})),
    ] {
        admin.post(admin.a(path), body).await.expect(200);
    }
    for model in ["conversation_attribute", "contact_attribute"] {
        for kind in ["text", "number", "checkbox", "date"] {
            let definition = json!({"attribute_display_name": kind, "attribute_key": format!("of_{kind}"), "attribute_model": model,
                "attribute_display_type": kind, "attribute_description": ""});
            admin.post(admin.a("/custom_attribute_definitions"), definition).await.expect(200);
        }
    }
    let website = json!({"name": "Shop", "csat_survey_enabled": true, "channel": {"type": "web_widget"}});
    let website_token = admin.post(admin.a("/inboxes"), website).await.expect(200).str("/website_token").to_owned();
    People { agent, identifier: inboxes.swap_remove(0).identifier, website_token }
}

/// Asks everything; what was run for it is in the log.
pub async fn everything(daemon: &Daemon, people: &People, log: &mut Log<'_>) {
    for client in [&daemon.client(), &people.agent.client] {
        for path in lists() {
            read(client, &client.a(&path), log).await;
        }
        for (path, clauses) in filters() {
            let answer = client.post(client.a(path), json!({"payload": clauses})).await.expect(200);
            log.note(&format!("{} {clauses}", answer.request));
        }
    }
    routes(daemon, people, log).await;
    work(&people.agent.client, log).await;
    customers(&daemon.visitor(), people, log).await;
    visitors(&daemon.visitor(), people, log).await;
    administration(&daemon.client(), log).await;
}

async fn read(client: &Client, path: &str, log: &mut Log<'_>) {
    let answer = client.get(path).await.expect(200);
    log.note(&answer.request);
}

/// Lists with every parameter that they read.
fn lists() -> Vec<String> {
    let conversations = [
        "",
        "&assignee_type=me",
        "&assignee_type=unassigned",
        "&assignee_type=assigned",
        "&labels[]=label1&labels[]=label2",
        "&conversation_type=mention",
        "&conversation_type=participating",
        "&conversation_type=unattended",
        "&q=refund%20parcel",
        "&inbox_id=1",
        "&team_id=1",
        "&source_id=source8",
        "&updated_within=3600",
        "&inbox_id=1&team_id=1&labels[]=label1&assignee_type=unassigned",
        "&sort_by=last_activity_at_asc",
        "&sort_by=created_at_asc",
        "&sort_by=created_at_desc",
        "&sort_by=priority_asc",
        "&sort_by=priority_desc",
        "&sort_by=priority_desc_created_at_asc",
        "&sort_by=waiting_since_asc",
        "&sort_by=waiting_since_desc",
        "&sort_by=unread",
    ];
    let mut lists = Vec::new();
    for query in conversations {
        for (status, page) in [("open", 1), ("open", 100), ("all", 1), ("all", 100)] {
            lists.push(format!("/conversations?status={status}&page={page}{query}"));
        }
        lists.push(format!("/conversations/meta?status=all{query}"));
    }
    for name in ["name", "email", "phone_number", "last_activity_at", "created_at", "company_name", "city", "country"] {
        for (sign, page) in [("", 1), ("-", 1), ("", 100)] {
            lists.push(format!("/contacts?sort={sign}{name}&page={page}"));
            lists.push(format!("/contacts?sort={sign}{name}&page={page}&labels[]=label1"));
        }
        lists.push(format!("/contacts/search?q=customer%2077&sort={name}"));
    }
    for text in ["customer%2077", "c7", "x", "mer77@exam", "49100"] {
        lists.extend(["/contacts/search", "/search/contacts", "/search/conversations"].map(|path| format!("{path}?q={text}")));
    }
    for text in ["refund", "refund%20parcel", "a", "thing&page=20"] {
        lists.extend(["/search", "/search/messages", "/conversations/search"].map(|path| format!("{path}?q={text}")));
    }
    for query in ["", "?before=900000", "?after=10000", "?after=10000&before=900000"] {
        let internal = if query.is_empty() { "?filter_internal_messages=true" } else { "&filter_internal_messages=true" };
        lists.extend(["", internal].map(|more| format!("/conversations/{CONVERSATION}/messages{query}{more}")));
    }
    for query in ["", "?page=100", "?sort_order=asc", "?includes[]=read", "?includes[]=snoozed&includes[]=read&page=20"] {
        lists.push(format!("/notifications{query}"));
    }
    lists.push(format!("/conversations/{CONVERSATION}/attachments?page=2"));
    lists
}

/// Every key of the contract's table with every operator.
fn filters() -> Vec<(&'static str, Value)> {
    const EQUAL: &[&str] = &["equal_to", "not_equal_to"];
    const PRESENT: &[&str] = &["equal_to", "not_equal_to", "is_present", "is_not_present"];
    const PART: &[&str] = &["equal_to", "not_equal_to", "contains", "does_not_contain"];
    const START: &[&str] = &["equal_to", "not_equal_to", "contains", "does_not_contain", "starts_with"];
    const TIME: &[&str] = &["is_greater_than", "is_less_than"];
    let of_conversations = [
        ("status", json!("open"), EQUAL),
        ("priority", json!("high"), EQUAL),
        ("contact_id", json!(CONTACT), EQUAL),
        ("browser_language", json!("en"), EQUAL),
        ("conversation_language", json!("en"), EQUAL),
        ("assignee_id", json!(1), PRESENT),
        ("inbox_id", json!(1), PRESENT),
        ("team_id", json!(1), PRESENT),
        ("campaign_id", json!(1), PRESENT),
        ("labels", json!("label1"), PRESENT),
        ("display_id", json!(CONVERSATION), PART),
        ("referer", json!("product/77"), PART),
        ("mail_subject", json!("Order 77"), PART),
        ("created_at", json!("2026-01-01"), TIME),
        ("last_activity_at", json!("2026-01-01"), TIME),
        ("created_at", json!(3), &["days_before"]),
        ("of_text", json!("x"), PART),
        ("of_number", json!(5), &["equal_to", "is_greater_than"]),
        ("of_checkbox", json!(true), EQUAL),
        ("of_date", json!("2026-01-01"), TIME),
    ];
    let of_contacts = [
        ("name", json!("Customer 77"), PART),
        ("email", json!("customer77@example.com"), PART),
        ("city", json!("City 77"), PART),
        ("company_name", json!("Company 77"), PART),
        ("phone_number", json!("+49100000077"), START),
        ("identifier", json!("x"), EQUAL),
        ("country_code", json!("de"), EQUAL),
        ("blocked", json!(true), EQUAL),
        ("labels", json!("label1"), PRESENT),
        ("created_at", json!("2026-01-01"), TIME),
        ("last_activity_at", json!("2026-01-01"), TIME),
        ("of_text", json!("x"), PART),
        ("of_number", json!(5), &["equal_to", "is_greater_than"]),
        ("of_checkbox", json!(true), EQUAL),
        ("of_date", json!("2026-01-01"), TIME),
    ];
    let mut filters = Vec::new();
    for (path, keys) in [("/conversations/filter", &of_conversations[..]), ("/contacts/filter", &of_contacts[..])] {
        for (key, value, operators) in keys {
            for operator in *operators {
                let clause = json!({"attribute_key": key, "filter_operator": operator, "values": [value], "query_operator": null});
                filters.push((path, json!([clause])));
            }
        }
    }
    let clause = |key: &str, value: Value, then: Value| json!({"attribute_key": key, "filter_operator": "equal_to", "values": [value], "query_operator": then});
    filters.push((
        "/conversations/filter",
        json!([
            clause("status", json!("open"), json!("and")),
            clause("labels", json!("label1"), json!("or")),
            clause("inbox_id", json!(3), json!(null))
        ]),
    ));
    filters
}

/// Every route of the table that reads, as an administrator.
async fn routes(daemon: &Daemon, people: &People, log: &mut Log<'_>) {
    let admin = daemon.client();
    let of_account = |audience| matches!(audience, Audience::User | Audience::Agent | Audience::Administrator | Audience::Client);
    for route in ROUTES.iter().filter(|route| route.method == "GET" && of_account(route.audience)) {
        let value = |name: &str| match name {
            "conversation_id" => CONVERSATION.to_string(),
            "contact_id" => CONTACT.to_string(),
            "message_id" => MESSAGE.to_string(),
            "source_id" => SOURCE.to_owned(),
            "inbox_identifier" => people.identifier.clone(),
            _ => "1".to_owned(),
        };
        let path =
            parameters(route).into_iter().fold(route.path.to_owned(), |path, name| path.replace(&format!("{{{name}}}"), &value(name)));
        let answer = admin.get(&path).await;
        assert!(answer.status < 500, "{}: {}", answer.request, answer.text);
        log.note(&answer.request);
    }
}

/// What an agent does.
async fn work(client: &Client, log: &mut Log<'_>) {
    let file = reqwest::multipart::Part::bytes(b"text".to_vec()).file_name("a.txt");
    let form = reqwest::multipart::Form::new().text("content", "with a file").part("attachments[]", file);
    let conversation = client.a(&format!("/conversations/{CONVERSATION}"));
    let sent = client.post_form(format!("{conversation}/messages"), form).await.expect(200);
    log.note(&sent.request);
    let message = sent.id("/id");
    let of = |rest: &str| format!("{conversation}/{rest}");
    let contact = client.a(&format!("/contacts/{CONTACT}"));
    for (method, path, body) in [
        (
            Method::POST,
            of("messages"),
            json!({"content": "hello", "message_type": "incoming", "content_attributes": {"in_reply_to": message}}),
        ),
        (Method::POST, of("messages"), json!({"content": "a note", "private": true})),
        (Method::PATCH, of(&format!("messages/{message}")), json!({"status": "failed"})),
        (Method::POST, of(&format!("messages/{message}/retry")), json!({})),
        (Method::DELETE, of(&format!("messages/{message}")), json!({})),
        (Method::POST, of("assignments"), json!({"assignee_id": 1})),
        (Method::POST, of("assignments"), json!({"team_id": 1})),
        (Method::POST, of("labels"), json!({"labels": ["label1"]})),
        (Method::POST, of("participants"), json!({"user_ids": [1]})),
        (Method::POST, of("toggle_priority"), json!({"priority": "high"})),
        (Method::POST, of("toggle_status"), json!({"status": "snoozed"})),
        (Method::POST, of("toggle_status"), json!({"status": "open"})),
        (Method::POST, of("custom_attributes"), json!({"custom_attributes": {"of_text": "x"}})),
        (Method::POST, of("update_last_seen"), json!({})),
        (Method::POST, of("unread"), json!({})),
        (Method::POST, of("mute"), json!({})),
        (Method::POST, of("unmute"), json!({})),
        (Method::PATCH, of("draft_messages"), json!({"draft_message": {"message": "x"}})),
        (
            Method::POST,
            client.a("/bulk_actions"),
            json!({"type": "Conversation", "ids": [CONVERSATION, 30], "labels": {"add": ["label2"]}}),
        ),
        (Method::PATCH, contact.clone(), json!({"name": "Mia", "custom_attributes": {"of_text": "x"}})),
        (Method::POST, format!("{contact}/labels"), json!({"labels": ["label1"]})),
        (Method::POST, format!("{contact}/notes"), json!({"content": "x"})),
        (Method::POST, client.a("/contacts"), json!({"inbox_id": 1, "name": "New", "email": "new@example.com"})),
        (Method::POST, client.a("/conversations"), json!({"inbox_id": 1, "contact_id": CONTACT})),
        (Method::POST, client.a("/notifications/read_all"), json!({})),
        (Method::POST, client.a("/notifications/destroy_all"), json!({"type": "read"})),
    ] {
        change(client, method, &path, body, log).await;
    }
}

/// What customers do.
async fn customers(visitor: &Client, people: &People, log: &mut Log<'_>) {
    let contacts = format!("/public/api/v1/inboxes/{}/contacts", people.identifier);
    let made = visitor.post(&contacts, json!({"identifier": "mia", "email": "mia@example.com"})).await.expect(200);
    log.note(&made.request);
    let own = format!("{contacts}/{}", made.str("/source_id"));
    let conversation = visitor.post(format!("{own}/conversations"), json!({})).await.expect(200);
    log.note(&conversation.request);
    let conversation = format!("{own}/conversations/{}", conversation.id("/id"));
    for (method, path, body) in [
        (Method::POST, contacts.clone(), json!({"identifier": "mia"})),
        (Method::PATCH, own.clone(), json!({"name": "Mia"})),
        (Method::POST, format!("{conversation}/messages"), json!({"content": "hello"})),
        (Method::POST, format!("{conversation}/update_last_seen"), json!({})),
        (Method::POST, format!("{conversation}/toggle_status"), json!({})),
    ] {
        change(visitor, method, &path, body, log).await;
    }
}

/// What visitors of a website do.
async fn visitors(client: &Client, people: &People, log: &mut Log<'_>) {
    let of = |path: &str| format!("/api/v1/widget/{path}?website_token={}", people.website_token);
    let known = client.post(of("config"), json!({})).await.expect(200);
    log.note(&known.request);
    let visitor = client.with_visitor(known.str("/website_channel_config/auth_token"));
    let begun = visitor.post(of("conversations"), json!({"message": {"content": "hello"}, "labels": ["label2"]})).await.expect(200);
    log.note(&begun.request);
    for (method, path, body) in [
        (Method::POST, of("messages"), json!({"message": {"content": "again", "reply_to": 1}})),
        (Method::POST, of("conversations/toggle_typing"), json!({"typing_status": "on"})),
        (Method::POST, of("conversations/update_last_seen"), json!({})),
        (Method::POST, of("conversations/set_custom_attributes"), json!({"custom_attributes": {"of_text": "x"}})),
        (Method::PATCH, of("contact"), json!({"email": "customer8@example.com"})),
        (Method::PATCH, of("contact/set_user"), json!({"identifier": "visitor", "phone_number": "+49100000016"})),
        (Method::POST, of("labels"), json!({"label": "label2"})),
        (Method::POST, of("events"), json!({"name": "webwidget.triggered"})),
    ] {
        change(&visitor, method, &path, body, log).await;
    }
    for path in ["conversations", "conversations/all", "messages", "contact", "inbox_members", "conversations/toggle_status"] {
        read(&visitor, &of(path), log).await;
    }
}

/// What administrators do to what is large.
async fn administration(admin: &Client, log: &mut Log<'_>) {
    for (method, path, body) in [
        (Method::POST, "/actions/contact_merge", json!({"base_contact_id": CONTACT, "mergee_contact_id": 16})),
        (Method::DELETE, "/conversations/30", json!({})),
        (Method::DELETE, "/contacts/24", json!({})),
        (Method::DELETE, "/labels/1", json!({})),
        (Method::DELETE, "/teams/1", json!({})),
    ] {
        change(admin, method, &admin.a(path), body, log).await;
    }
}

async fn change(client: &Client, method: Method, path: &str, body: Value, log: &mut Log<'_>) {
    let answer: Answer = client.answer(client.request(method, path).json(&body)).await;
    assert!(matches!(answer.status, 200 | 204), "{} {body}: {} {}", answer.request, answer.status, answer.text);
    log.note(&answer.request);
}
