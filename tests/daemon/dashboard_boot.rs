//! What a dashboard asks for when it starts, in its order and with its session: each call is answered in the envelope that it
//! reads (contract, section 11).

use crate::app::keys;
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
    /// 404, which a dashboard takes for a feature that is not there.
    Absent,
}

const LISTS: &[(&str, Envelope)] = &[
    ("/", Envelope::Object(&["id", "name", "features", "settings", "cache_keys", "locale", "status"])),
    ("/custom_attribute_definitions", Envelope::Bare),
    ("/conversations?page=1&status=open", Envelope::Data),
    ("/conversations/meta", Envelope::Object(&["meta"])),
    ("/dashboard_apps", Envelope::Bare),
    ("/agents", Envelope::Bare),
    ("/portals?locale=", Envelope::Payload(&["meta"])),
    ("/cache_keys", Envelope::Object(&["cache_keys"])),
    ("/labels", Envelope::Payload(&[])),
    ("/inboxes", Envelope::Payload(&[])),
    ("/teams", Envelope::Bare),
    ("/integrations/apps", Envelope::Payload(&[])),
    ("/contacts?include_contact_inboxes=false&page=1&sort=name", Envelope::Payload(&["meta"])),
    ("/campaigns", Envelope::Bare),
    ("/automation_rules", Envelope::Payload(&[])),
    ("/csat_survey_responses?page=1&sort=-created_at", Envelope::Bare),
    ("/csat_survey_responses/metrics", Envelope::Object(&["total_count", "ratings_count", "total_sent_messages_count"])),
    ("/canned_responses?search=", Envelope::Bare),
    ("/webhooks", Envelope::Object(&["payload"])),
    ("/audit_logs?page=1", Envelope::Object(&["audit_logs", "per_page", "total_entries", "current_page"])),
    ("/custom_roles", Envelope::Absent),
    ("/sla_policies", Envelope::Absent),
    ("/companies", Envelope::Absent),
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
    for (path, envelope) in LISTS {
        let answer = ask(Method::GET, &visitor.a(path), None).await;
        assert_envelope(&answer, envelope);
    }
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
    for name in ["team_management", "labels", "canned_responses", "custom_attributes", "audit_logs", "inbox_management"] {
        assert!(keys(features).contains(&name), "{name}");
    }
    for name in ["campaigns", "help_center", "automations", "sla", "channel_website"] {
        assert!(!keys(features).contains(&name), "{name}");
    }
}

fn assert_envelope(answer: &Answer, envelope: &Envelope) {
    let is_right = match envelope {
        Envelope::Absent => answer.status == 404 && answer.body["error"].is_string(),
        _ if answer.status != 200 => false,
        Envelope::Bare => answer.body.is_array(),
        Envelope::Payload(more) => answer.body["payload"].is_array() && more.iter().all(|name| answer.body[*name].is_object()),
        Envelope::Object(names) => names.iter().all(|name| answer.body.get(*name).is_some()),
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
