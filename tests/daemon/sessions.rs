//! A user's own sessions and picture (contract, section 1).

use crate::desk::{assert_names, assert_refused, member};
use crate::harness::{Answer, Client, Daemon, Site};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";
const SESSIONS: &str = "/api/v1/profile/sessions";

#[tokio::test]
async fn a_user_sees_and_ends_own_sessions_only() {
    let daemon = Daemon::start().await;
    let (admin, visitor) = (daemon.client(), daemon.visitor());
    member(&daemon, "agent@example.com", "agent").await;
    let first = sign_in(&visitor, json!({}), "Program/1.0").await.expect(200);
    let second = sign_in(&visitor, json!({}), "Mozilla/5.0").await.expect(200);
    let listed = with_session(&visitor, Method::GET, SESSIONS, &second).await.expect(200);
    let shown: Vec<(&Value, &Value)> =
        listed.body.as_array().unwrap().iter().map(|session| (&session["user_agent"], &session["current"])).collect();
    assert_eq!(shown, [(&json!("Mozilla/5.0"), &json!(true)), (&json!("Program/1.0"), &json!(false))]);
    assert!(!listed.text.contains(first.header("client").unwrap()) && !listed.text.contains("token"), "{}", listed.text);
    let agents = "SELECT min(id) FROM sessions WHERE user_id <> 1";
    let foreign = crate::app::count(&daemon, agents).await;
    assert_refused(&admin.delete(format!("{SESSIONS}/{foreign}")).await, 404);
    admin.delete(format!("{SESSIONS}/{}", listed.id("/1/id"))).await.expect(200);
    with_session(&visitor, Method::GET, SESSIONS, &first).await.expect(401);
    with_session(&visitor, Method::GET, SESSIONS, &second).await.expect(200);
}

#[tokio::test]
async fn a_browser_is_asked_which_of_25_sessions_ends() {
    let daemon = Daemon::start().await;
    let visitor = daemon.visitor();
    for _ in 0..25 {
        sign_in(&visitor, json!({}), "Mozilla/5.0").await.expect(200);
    }
    let refused = sign_in(&visitor, json!({}), "Mozilla/5.0").await.expect(409);
    assert_eq!((refused.at("/sessions_limit_reached"), refused.at("/sessions").as_array().unwrap().len()), (&json!(true), 25));
    assert!(refused.header("access-token").is_none());
    let oldest = refused.id("/sessions/0/id");
    let signed_in = sign_in(&visitor, json!({"revoke_session_id": oldest}), "Mozilla/5.0").await.expect(200);
    let listed = with_session(&visitor, Method::GET, SESSIONS, &signed_in).await.expect(200);
    let ids: Vec<i64> = listed.body.as_array().unwrap().iter().map(|session| session["id"].as_i64().unwrap()).collect();
    assert!(ids.len() == 25 && !ids.contains(&oldest), "{ids:?}");
    let alone = sign_in(&visitor, json!({"revoke_all_sessions": true}), "Mozilla/5.0").await.expect(200);
    assert_eq!(with_session(&visitor, Method::GET, SESSIONS, &alone).await.expect(200).body.as_array().unwrap().len(), 1);
    let wrong = json!({"email": Site::ADMIN_EMAIL, "password": "wrong", "revoke_all_sessions": true});
    visitor.post("/auth/sign_in", wrong).await.expect(401);
    with_session(&visitor, Method::GET, SESSIONS, &alone).await.expect(200);
}

#[tokio::test]
async fn pictures_come_and_go() {
    let daemon = Daemon::start().await;
    let (admin, visitor) = (daemon.client(), daemon.visitor());
    let (agent, _) = member(&daemon, "agent@example.com", "agent").await;
    let file =
        |name: &'static str, bytes: &'static [u8], file_name: &'static str| Form::new().part(name, Part::bytes(bytes).file_name(file_name));
    let picture = |name: &'static str, bytes: &'static [u8]| file(name, bytes, "me.png");
    let put = async |client: &Client, path: &str, form: Form| client.answer(client.request(Method::PATCH, path).multipart(form)).await;
    let shown = put(&agent, "/api/v1/profile", picture("profile[avatar]", PNG)).await.expect(200);
    let first = shown.str("/avatar_url").to_owned();
    visitor.get(&first).await.expect(200);
    assert_names(&put(&agent, "/api/v1/profile", file("profile[avatar]", b"<svg onload=alert(1)>", "me.svg")).await, 422, "avatar");
    let second = put(&agent, "/api/v1/profile", picture("profile[avatar]", PNG)).await.expect(200).str("/avatar_url").to_owned();
    assert_ne!(first, second);
    visitor.get(&first).await.expect(404);
    assert_eq!(agent.delete("/api/v1/profile/avatar").await.expect(200).str("/avatar_url"), "");
    visitor.get(&second).await.expect(404);

    let inbox = crate::desk::api_inbox(&admin, "App").await;
    let path = admin.a(&format!("/inboxes/{inbox}"));
    let address = put(&admin, &path, picture("avatar", PNG)).await.expect(200).str("/avatar_url").to_owned();
    visitor.get(&address).await.expect(200);
    assert_refused(&agent.delete(format!("{path}/avatar")).await, 401);
    assert_eq!(admin.delete(format!("{path}/avatar")).await.expect(200).text, "");
    assert_eq!(admin.get(&path).await.expect(200).str("/avatar_url"), "");
    visitor.get(&address).await.expect(404);
    assert_eq!(agent.post("/api/v1/profile/resend_confirmation", json!({})).await.expect(200).text, "");
}

async fn sign_in(visitor: &Client, more: Value, user_agent: &str) -> Answer {
    let mut fields = json!({"email": Site::ADMIN_EMAIL, "password": Site::ADMIN_PASSWORD});
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    visitor.answer(visitor.request(Method::POST, "/auth/sign_in").header("user-agent", user_agent).json(&fields)).await
}

async fn with_session(client: &Client, method: Method, path: &str, session: &Answer) -> Answer {
    let names = ["access-token", "client", "uid"];
    let request = names.into_iter().fold(client.request(method, path), |request, name| request.header(name, session.header(name).unwrap()));
    client.answer(request).await
}
