//! What a dashboard asks for when it starts, in its order and with its session: each call is answered in the envelope that it
//! reads (contract, section 11).

use crate::app::{act, agent, api_inbox, assignee, hear, join, keys, post, show, talk};
use crate::harness::{Answer, Client, Daemon, SOON, Site};
use reqwest::Method;
use serde_json::{Value, json};

/// What an answer looks like from outside.
enum Envelope {
    /// `[…]`
    Bare,
    /// `{"payload": […]}`, perhaps with more names.
    Payload(&'static [&'static str]),
    /// An object with these names among its own.
    Object(&'static [&'static str]),
    /// `{"data": {"meta", "payload"}}`
    Data,
    /// A number and nothing else.
    Number,
    /// 404, which a dashboard takes for a feature that is not there.
    Absent,
}

/// What it asks for below the account when it starts, in its order.
const AT_START: &[(&str, Envelope)] = &[
    ("/", Envelope::Object(&["id", "name", "features", "settings", "cache_keys", "locale", "status"])),
    ("/notifications/unread_count", Envelope::Number),
    ("/custom_attribute_definitions", Envelope::Bare),
    ("/custom_filters?filter_type=conversation", Envelope::Bare),
    ("/custom_filters?filter_type=contact", Envelope::Bare),
    ("/conversations?page=1&status=open", Envelope::Data),
    ("/conversations?page=2&status=open", Envelope::Data),
    ("/conversations/meta", Envelope::Object(&["meta"])),
    ("/dashboard_apps", Envelope::Bare),
    ("/agents", Envelope::Bare),
    ("/portals?locale=", Envelope::Payload(&["meta"])),
    ("/cache_keys", Envelope::Object(&["cache_keys"])),
    ("/labels", Envelope::Payload(&[])),
    ("/inboxes", Envelope::Payload(&[])),
    ("/teams", Envelope::Bare),
];

/// What the page of a conversation adds; `{id}` is the conversation, `{contact}` its contact, `{inbox}` its inbox.
const OF_A_CONVERSATION: &[(&str, Envelope)] = &[
    ("/conversations/{id}", Envelope::Object(&["id", "meta", "messages", "status", "inbox_id", "can_reply", "unread_count"])),
    ("/conversations/{id}/messages", Envelope::Payload(&["meta"])),
    ("/conversations/{id}/labels", Envelope::Payload(&[])),
    ("/conversations/{id}/participants", Envelope::Bare),
    ("/conversations/{id}/attachments", Envelope::Payload(&["meta"])),
    ("/conversations/{id}/draft_messages", Envelope::Object(&["has_draft"])),
    ("/assignable_agents?inbox_ids[]={inbox}", Envelope::Payload(&[])),
    ("/contacts/{contact}", Envelope::Object(&["payload"])),
    ("/contacts/{contact}/labels", Envelope::Payload(&[])),
    ("/contacts/{contact}/conversations", Envelope::Payload(&[])),
    ("/contacts/{contact}/notes", Envelope::Bare),
    ("/contacts/{contact}/contactable_inboxes", Envelope::Payload(&[])),
    ("/contacts/{contact}/attachments", Envelope::Payload(&["meta"])),
    ("/integrations/apps", Envelope::Payload(&[])),
    ("/macros", Envelope::Payload(&[])),
    ("/conversations/unread_counts", Envelope::Object(&["payload"])),
];

/// What the other pages ask for.
const OF_PAGES: &[(&str, Envelope)] = &[
    ("/contacts?include_contact_inboxes=false&page=1&sort=-last_activity_at", Envelope::Payload(&["meta"])),
    ("/contacts?include_contact_inboxes=false&page=1&sort=name", Envelope::Payload(&["meta"])),
    ("/contacts/search?include_contact_inboxes=false&page=1&sort=name&q=mia", Envelope::Payload(&["meta"])),
    ("/contacts/active?include_contact_inboxes=false&page=1&sort=name", Envelope::Payload(&["meta"])),
    ("/notifications?page=1&sort_order=desc", Envelope::Data),
    ("/notification_settings", Envelope::Object(&["all_email_flags", "selected_email_flags", "all_push_flags", "selected_push_flags"])),
    ("/search?q=mia&page=1", Envelope::Object(&["payload"])),
    ("/canned_responses?search=", Envelope::Bare),
    ("/agent_bots", Envelope::Bare),
    ("/inboxes/{inbox}", Envelope::Object(&["id", "name", "channel_type", "working_hours"])),
    ("/inboxes/{inbox}/agent_bot", Envelope::Object(&["agent_bot"])),
    ("/inboxes/{inbox}/assignable_agents", Envelope::Payload(&[])),
    ("/inboxes/{inbox}/assignment_policy", Envelope::Absent),
    ("/inboxes/{inbox}/campaigns", Envelope::Bare),
    ("/inbox_members/{inbox}", Envelope::Payload(&[])),
    ("/assignment_policies", Envelope::Bare),
    ("/webhooks", Envelope::Object(&["payload"])),
    ("/audit_logs?page=1", Envelope::Object(&["audit_logs", "per_page", "total_entries", "current_page"])),
    // What this version does not have, and what only the enterprise edition of the reference has.
    ("/campaigns", Envelope::Bare),
    ("/automation_rules", Envelope::Payload(&[])),
    ("/csat_survey_responses?page=1&sort=-created_at", Envelope::Bare),
    ("/csat_survey_responses/metrics", Envelope::Object(&["total_count", "ratings_count", "total_sent_messages_count"])),
    ("/custom_roles", Envelope::Absent),
    ("/sla_policies", Envelope::Absent),
    ("/companies", Envelope::Absent),
    ("/agent_capacity_policies", Envelope::Absent),
];

const TOTALS: &[&str] = &[
    "conversations_count",
    "incoming_messages_count",
    "outgoing_messages_count",
    "avg_first_response_time",
    "avg_resolution_time",
    "resolutions_count",
    "reply_time",
    "previous",
];

/// The same of reports, below the account's second version.
const REPORTS: &[(&str, Envelope)] = &[
    ("/live_reports/conversation_metrics", Envelope::Object(&["open", "unattended", "unassigned", "pending"])),
    ("/live_reports/grouped_conversation_metrics?group_by=team_id", Envelope::Bare),
    ("/live_reports/grouped_conversation_metrics?group_by=assignee_id", Envelope::Bare),
    ("/reports/conversations?type=account", Envelope::Object(&["open", "unattended", "unassigned", "pending"])),
    ("/reports/conversations?type=agent&page=1", Envelope::Bare),
    ("/reports?metric=conversations_count&type=account&since=1767225600&until=1767830400&group_by=hour", Envelope::Bare),
    ("/reports?metric=avg_first_response_time&type=account&since=1767225600&until=1767830400&group_by=day", Envelope::Bare),
    ("/reports/summary?type=account&since=1767225600&until=1767830400", Envelope::Object(TOTALS)),
    ("/reports/bot_summary?type=account", Envelope::Object(&["bot_resolutions_count", "bot_handoffs_count", "previous"])),
    ("/reports/bot_metrics", Envelope::Object(&["conversation_count", "message_count", "resolution_rate", "handoff_rate"])),
    ("/reports/inbox_label_matrix", Envelope::Object(&["inboxes", "labels", "matrix"])),
    ("/reports/first_response_time_distribution", Envelope::Object(&[])),
    ("/reports/outgoing_messages_count?group_by=agent", Envelope::Bare),
    ("/summary_reports/agent?since=1767225600&until=1767830400", Envelope::Bare),
    ("/summary_reports/team", Envelope::Bare),
    ("/summary_reports/inbox", Envelope::Bare),
    ("/summary_reports/label", Envelope::Bare),
    ("/summary_reports/channel", Envelope::Object(&[])),
];

#[tokio::test]
async fn a_dashboard_starts() {
    let daemon = Daemon::start().await;
    let visitor = daemon.visitor();
    let credentials = json!({"email": Site::ADMIN_EMAIL, "password": Site::ADMIN_PASSWORD, "sso_auth_token": ""});
    let session = visitor.post("/auth/sign_in", credentials).await.expect(200);
    let ask = async |method: Method, path: &str, body: Option<Value>| ask(&visitor, &session, method, path, body).await;
    let signed_in = ask(Method::GET, "/auth/validate_token", None).await.expect(200);
    let user = signed_in.at("/payload/data");
    assert_eq!((&user["uid"], &user["account_id"]), (&json!(Site::ADMIN_EMAIL), &json!(1)));
    let settings = json!({"profile": {"ui_settings": {"is_contact_sidebar_open": true}}});
    assert_eq!(ask(Method::PUT, "/api/v1/profile", Some(settings)).await.expect(200).at("/ui_settings/is_contact_sidebar_open"), true);
    assert_eq!(
        ask(Method::PUT, "/api/v1/profile/set_active_account", Some(json!({"profile": {"account_id": 1}}))).await.expect(200).text,
        ""
    );
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await.id;
    let id = talk(&admin, inbox, "mia").await;
    hear(&admin, id, "hello").await;
    let contact = show(&admin, id).await.id("/meta/sender/id");
    let of = |path: &str| {
        [("{id}", id), ("{contact}", contact), ("{inbox}", inbox)]
            .iter()
            .fold(path.to_owned(), |path, (name, id)| path.replace(name, &id.to_string()))
    };
    for (path, envelope) in AT_START.iter().chain(OF_A_CONVERSATION).chain(OF_PAGES) {
        let answer = ask(Method::GET, &visitor.a(&of(path)), None).await;
        assert_envelope(&answer, envelope);
    }
    for (path, envelope) in REPORTS {
        let answer = ask(Method::GET, &format!("/api/v2/accounts/1{path}"), None).await;
        assert_envelope(&answer, envelope);
    }
    for (action, body) in [("update_last_seen", json!({})), ("toggle_typing_status", json!({"typing_status": "on", "is_private": false}))] {
        ask(Method::POST, &visitor.a(&format!("/conversations/{id}/{action}")), Some(body)).await.expect(200);
    }
    // As it sends a message (contract, section 2, Messages).
    let said = json!({"content": "hi", "private": false, "echo_id": "e1", "cc_emails": "", "bcc_emails": "", "to_emails": ""});
    let sent = ask(Method::POST, &visitor.a(&format!("/conversations/{id}/messages")), Some(said)).await.expect(200);
    assert_eq!((sent.str("/echo_id"), sent.at("/message_type")), ("e1", &json!(1)));
    let mut cable = daemon.cable().await;
    cable.subscribe_agent(user["pubsub_token"].as_str().unwrap(), 1, user["id"].as_i64().unwrap()).await;
    cable.next_event("presence.update", SOON).await;
}

#[tokio::test]
async fn features_are_true_or_absent_and_say_what_there_is() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let account = admin.get(admin.a("")).await.expect(200);
    let features = account.at("/features");
    assert!(features.as_object().unwrap().values().all(|enabled| enabled == true), "{features}");
    // Each with something that is there only with it; the inbox of each kind is made below.
    let shown_by = [
        ("agent_bots", "/agent_bots"),
        ("agent_management", "/agents"),
        ("assignment_v2", "/assignment_policies"),
        ("audit_logs", "/audit_logs"),
        ("canned_responses", "/canned_responses"),
        ("channel_api", "/inboxes"),
        ("channel_email", "/inboxes"),
        ("channel_website", "/inboxes"),
        ("conversation_unread_counts", "/conversations/unread_counts"),
        ("crm", "/contacts"),
        ("custom_attributes", "/custom_attribute_definitions"),
        ("inbox_management", "/inboxes"),
        ("inbox_view", "/notifications"),
        ("integrations", "/integrations/apps"),
        ("labels", "/labels"),
        ("macros", "/macros"),
        ("team_management", "/teams"),
        ("voice_recorder", "/conversations"),
    ];
    assert_eq!(keys(features), shown_by.map(|(name, _)| name), "neither more nor less than what is there");
    for (name, path) in shown_by {
        let answer = admin.get(admin.a(path)).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text);
    }
    let inbox = api_inbox(&admin, json!({})).await.id;
    let email = json!({"name": "Mail", "channel": {"type": "email", "email": "help@example.com"}});
    assert_eq!(admin.post(admin.a("/inboxes"), email).await.expect(200).str("/channel_type"), "Channel::Email");
    // What a microphone recorded is sent as a file.
    let id = talk(&admin, inbox, "mia").await;
    let file = reqwest::multipart::Part::bytes(b"OggS".to_vec()).file_name("voice.ogg").mime_str("audio/ogg").unwrap();
    let form = reqwest::multipart::Form::new().part("attachments[]", file);
    let sent = admin.post_form(admin.a(&format!("/conversations/{id}/messages")), form).await.expect(200);
    assert_eq!(sent.str("/attachments/0/file_type"), "audio");
}

#[tokio::test]
async fn reports_tell_how_things_stand_now() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let ada = agent(&daemon, "Ada").await;
    let inbox = api_inbox(&admin, json!({"enable_auto_assignment": false})).await.id;
    join(&admin, inbox, &[&ada]).await;
    let team = admin.post(admin.a("/teams"), json!({"name": "support"})).await.expect(200).id("/id");
    let mut made = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        made.push(talk(&admin, inbox, name).await);
    }
    for (id, status) in [(made[3], "pending"), (made[4], "resolved")] {
        act(&admin, id, "toggle_status", json!({"status": status})).await.expect(200);
    }
    act(&admin, made[0], "assignments", json!({"assignee_id": ada.id})).await.expect(200);
    act(&admin, made[1], "assignments", json!({"team_id": team})).await.expect(200);
    post(&admin, made[0], json!({"content": "answered"})).await.expect(200);
    assert_eq!(assignee(&admin, made[0]).await, Some(ada.id));
    let get = async |path: &str| admin.get(format!("/api/v2/accounts/1{path}")).await.expect(200).body;
    let all = json!({"open": 3, "unattended": 2, "unassigned": 2, "pending": 1});
    assert_eq!(get("/live_reports/conversation_metrics").await, all);
    assert_eq!(get("/reports/conversations?type=account").await, all);
    let of_team = json!({"open": 1, "unattended": 1, "unassigned": 1, "pending": 0});
    assert_eq!(get(&format!("/live_reports/conversation_metrics?team_id={team}")).await, of_team);
    let by_assignee = json!([
        {"open": 2, "unattended": 2, "unassigned": 2, "assignee_id": null},
        {"open": 1, "unattended": 0, "unassigned": 0, "assignee_id": ada.id},
    ]);
    assert_eq!(get("/live_reports/grouped_conversation_metrics?group_by=assignee_id").await, by_assignee);
    let by_team = json!([
        {"open": 2, "unattended": 1, "unassigned": 1, "team_id": null},
        {"open": 1, "unattended": 1, "unassigned": 1, "team_id": team},
    ]);
    assert_eq!(get("/live_reports/grouped_conversation_metrics?group_by=team_id").await, by_team);
    let agents = get("/reports/conversations?type=agent").await;
    let of_ada = agents.as_array().unwrap().iter().find(|agent| agent["id"] == ada.id).unwrap();
    assert_eq!(keys(of_ada), ["availability", "email", "id", "metric", "name", "thumbnail"]);
    assert_eq!(of_ada["metric"], json!({"open": 1, "unattended": 0}));
    for path in ["/reports/conversations", "/live_reports/grouped_conversation_metrics?group_by=inbox"] {
        admin.get(format!("/api/v2/accounts/1{path}")).await.expect(422);
    }
}

fn assert_envelope(answer: &Answer, envelope: &Envelope) {
    let is_right = match envelope {
        Envelope::Absent => answer.status == 404 && answer.body["error"].is_string(),
        _ if answer.status != 200 => false,
        Envelope::Bare => answer.body.is_array(),
        Envelope::Number => answer.body.is_i64(),
        Envelope::Payload(more) => answer.body["payload"].is_array() && more.iter().all(|name| answer.body[*name].is_object()),
        Envelope::Object(names) => answer.body.is_object() && names.iter().all(|name| answer.body.get(*name).is_some()),
        Envelope::Data => answer.body["data"]["meta"].is_object() && answer.body["data"]["payload"].is_array(),
    };
    assert!(is_right, "{} {} {}", answer.request, answer.status, answer.text);
}

async fn ask(client: &Client, session: &Answer, method: Method, path: &str, body: Option<Value>) -> Answer {
    let names = ["access-token", "client", "uid", "token-type", "expiry"];
    let request = names.into_iter().fold(client.request(method, path), |request, name| request.header(name, session.header(name).unwrap()));
    client
        .answer(match body {
            Some(body) => request.json(&body),
            None => request,
        })
        .await
}
