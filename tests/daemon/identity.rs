//! Who may call: tokens, sessions, passwords, profiles, agents and their roles (contract, sections 0 and 1).

use crate::desk::{PASSWORD, api_inbox, assert_names, assert_refused, conversation, member, stored};
use crate::harness::{Answer, Client, Daemon, Site};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

const PROFILE: &str = "/api/v1/profile";
/// What a session is: all five are sent by the dashboard on each request.
const SESSION_HEADERS: [&str; 5] = ["access-token", "client", "uid", "token-type", "expiry"];

#[tokio::test]
async fn a_token_counts_in_either_header_and_in_the_query_and_decides_alone() {
    let daemon = Daemon::start().await;
    let (visitor, token) = (daemon.visitor(), daemon.site().token().unwrap());
    for name in ["api_access_token", "api-access-token", "Api-Access-Token", "API_ACCESS_TOKEN"] {
        let answer = visitor.answer(visitor.request(Method::GET, PROFILE).header(name, token)).await.expect(200);
        assert_eq!(answer.str("/email"), Site::ADMIN_EMAIL, "{name}");
        let wrong = visitor.answer(visitor.request(Method::GET, PROFILE).header(name, "wrong")).await;
        assert_refused(&wrong, 401);
        assert_eq!(wrong.str("/error"), "Invalid Access Token", "{name}");
    }
    visitor.get(format!("{PROFILE}?api_access_token={token}")).await.expect(200);
    assert_refused(&visitor.get(format!("{PROFILE}?api_access_token=wrong")).await, 401);
    let with_bearer = visitor.request(Method::GET, PROFILE).header("api_access_token", token).bearer_auth("something else");
    visitor.answer(with_bearer).await.expect(200);

    assert_refused(&visitor.get(PROFILE).await, 401);
    assert_refused(&visitor.get(visitor.a("/inboxes")).await, 401);
    assert_refused(&visitor.get(visitor.a(&format!("/inboxes?access_token={token}"))).await, 401);

    let session = sign_in(&visitor, Site::ADMIN_EMAIL, Site::ADMIN_PASSWORD).await.expect(200);
    call(&visitor, Method::GET, PROFILE, &session, &[]).await.expect(200);
    let both = call(&visitor, Method::GET, PROFILE, &session, &[("api_access_token", "wrong")]).await;
    assert_refused(&both, 401);
    // An empty one says nothing.
    call(&visitor, Method::GET, PROFILE, &session, &[("api_access_token", "")]).await.expect(200);
    let (_, agent_id) = member(&daemon, "agent@example.com", "agent").await;
    let agent = sign_in(&visitor, "agent@example.com", PASSWORD).await.expect(200);
    assert_eq!(call(&visitor, Method::GET, PROFILE, &agent, &[]).await.expect(200).id("/id"), agent_id);
    let admins = call(&visitor, Method::GET, PROFILE, &agent, &[("api_access_token", token)]).await.expect(200);
    assert_eq!(admins.str("/email"), Site::ADMIN_EMAIL);
}

#[tokio::test]
async fn a_session_begins_is_valid_and_ends() {
    let daemon = Daemon::start().await;
    let visitor = daemon.visitor();
    let session = sign_in(&visitor, " Admin@Example.com ", Site::ADMIN_PASSWORD).await.expect(200);
    assert_eq!(session.header("token-type"), Some("Bearer"));
    assert_eq!(session.header("uid"), Some(Site::ADMIN_EMAIL));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let days = (session.header("expiry").unwrap().parse::<u64>().unwrap() - now) / 86_400;
    assert!((58..=62).contains(&days), "two months, not {days} days");
    assert_user(&session.body["data"], "administrator");

    let valid = call(&visitor, Method::GET, "/auth/validate_token", &session, &[]).await.expect(200);
    assert_eq!(valid.at("/payload/success"), &json!(true));
    assert_user(valid.at("/payload/data"), "administrator");
    assert!(valid.str("/payload/data/created_at").ends_with('Z'));
    // Not rotated: the same headers serve again, for everything.
    call(&visitor, Method::GET, &visitor.a("/inboxes"), &session, &[]).await.expect(200);

    for (name, value) in [("access-token", "wrong"), ("client", "wrong"), ("uid", "nobody@example.com"), ("access-token", "")] {
        let answer = call(&visitor, Method::GET, PROFILE, &session, &[(name, value)]).await;
        assert_eq!(answer.status, 401, "{name}: {value:?}: {}", answer.text);
        let invalid = call(&visitor, Method::GET, "/auth/validate_token", &session, &[(name, value)]).await.expect(401);
        assert_eq!(invalid.at("/success"), &json!(false));
        assert!(!invalid.str("/errors/0").is_empty());
    }
    let second = sign_in(&visitor, Site::ADMIN_EMAIL, Site::ADMIN_PASSWORD).await.expect(200);
    let ended = call(&visitor, Method::DELETE, "/auth/sign_out", &session, &[]).await.expect(200);
    assert_eq!(ended.body, json!({"success": true}));
    call(&visitor, Method::GET, PROFILE, &session, &[]).await.expect(401);
    call(&visitor, Method::DELETE, "/auth/sign_out", &session, &[]).await.expect(404);
    call(&visitor, Method::GET, PROFILE, &second, &[]).await.expect(200);
}

#[tokio::test]
async fn wrong_credentials_start_no_session() {
    let daemon = Daemon::start().await;
    let visitor = daemon.visitor();
    for (email, password) in [
        (Site::ADMIN_EMAIL, "wrong"),
        (Site::ADMIN_EMAIL, ""),
        (Site::ADMIN_EMAIL, "password1!"),
        ("nobody@example.com", "Password1!"),
        ("", ""),
    ] {
        let answer = sign_in(&visitor, email, password).await.expect(401);
        assert_eq!(answer.at("/success"), &json!(false), "{email} {password}");
        assert!(!answer.str("/errors/0").is_empty());
        assert_eq!(answer.header("access-token"), None);
    }
    for body in [json!({"email": Site::ADMIN_EMAIL}), json!({"password": Site::ADMIN_PASSWORD}), json!({})] {
        visitor.post("/auth/sign_in", body).await.expect(401);
    }
    for wrong in [json!(null), json!([Site::ADMIN_PASSWORD]), json!({"a": 1}), json!(true), json!(1)] {
        let answer = visitor.post("/auth/sign_in", json!({"email": Site::ADMIN_EMAIL, "password": wrong})).await;
        assert!(matches!(answer.status, 401 | 422), "{wrong}: {} {}", answer.status, answer.text);
        assert_eq!(answer.header("access-token"), None);
        let answer = visitor.post("/auth/sign_in", json!({"email": wrong, "password": Site::ADMIN_PASSWORD})).await;
        assert!(matches!(answer.status, 401 | 422), "{wrong}: {} {}", answer.status, answer.text);
    }
    // An agent without a password cannot sign in with an empty one.
    let admin = daemon.client();
    admin.post(admin.a("/agents"), json!({"name": "New", "email": "new@example.com", "role": "agent"})).await.expect(200);
    sign_in(&visitor, "new@example.com", "").await.expect(401);
}

#[tokio::test]
async fn a_user_has_at_most_25_sessions_and_the_oldest_ends() {
    let daemon = Daemon::start().await;
    let visitor = daemon.visitor();
    let mut sessions = Vec::new();
    for _ in 0..26 {
        sessions.push(sign_in(&visitor, Site::ADMIN_EMAIL, Site::ADMIN_PASSWORD).await.expect(200));
    }
    call(&visitor, Method::GET, PROFILE, &sessions[0], &[]).await.expect(401);
    for session in &sessions[1..] {
        call(&visitor, Method::GET, PROFILE, session, &[]).await.expect(200);
    }
}

#[tokio::test]
async fn a_new_password_ends_other_sessions() {
    const NEW: &str = "Another-pass-2";
    let daemon = Daemon::start().await;
    let visitor = daemon.visitor();
    let own = sign_in(&visitor, Site::ADMIN_EMAIL, Site::ADMIN_PASSWORD).await.expect(200);
    let other = sign_in(&visitor, Site::ADMIN_EMAIL, Site::ADMIN_PASSWORD).await.expect(200);
    let change = async |profile: Value| {
        let request = with_session(&visitor, Method::PUT, PROFILE, &own, &[]).json(&json!({"profile": profile}));
        visitor.answer(request).await
    };
    let refused = [
        (json!({"current_password": "wrong", "password": NEW, "password_confirmation": NEW}), "current_password"),
        (json!({"password": NEW, "password_confirmation": NEW}), "current_password"),
        (json!({"current_password": Site::ADMIN_PASSWORD, "password": NEW, "password_confirmation": "else"}), "password_confirmation"),
        (json!({"current_password": Site::ADMIN_PASSWORD, "password": "short", "password_confirmation": "short"}), "password"),
        (json!({"current_password": Site::ADMIN_PASSWORD, "password": [NEW]}), "password"),
    ];
    for (profile, field) in refused {
        assert_names(&change(profile).await, 422, field);
    }
    call(&visitor, Method::GET, PROFILE, &other, &[]).await.expect(200);
    change(json!({"current_password": Site::ADMIN_PASSWORD, "password": NEW, "password_confirmation": NEW})).await.expect(200);

    call(&visitor, Method::GET, PROFILE, &own, &[]).await.expect(200);
    call(&visitor, Method::GET, PROFILE, &other, &[]).await.expect(401);
    sign_in(&visitor, Site::ADMIN_EMAIL, Site::ADMIN_PASSWORD).await.expect(401);
    sign_in(&visitor, Site::ADMIN_EMAIL, NEW).await.expect(200);
}

#[tokio::test]
async fn resetting_the_access_token_voids_the_old_one() {
    let daemon = Daemon::start().await;
    let old = daemon.client();
    let answer = old.post("/api/v1/profile/reset_access_token", json!({})).await.expect(200);
    let token = answer.str("/access_token");
    assert!(token.len() >= 24 && Some(token) != daemon.site().token(), "{token}");
    assert_refused(&old.get(PROFILE).await, 401);
    let new = daemon.visitor().with_token(token);
    assert_eq!(new.get(PROFILE).await.expect(200).str("/access_token"), token);
    new.get(new.a("/inboxes")).await.expect(200);
}

#[tokio::test]
async fn a_profile_is_shown_and_changed() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let before = admin.get(PROFILE).await.expect(200);
    assert_user(&before.body, "administrator");

    let wrapped = json!({"profile": {"name": "Ada", "display_name": "Countess", "message_signature": "-- Ada", "ui_settings": {"a": 1}}});
    let changed = admin.put(PROFILE, wrapped).await.expect(200);
    assert_eq!((changed.str("/name"), changed.str("/display_name"), changed.str("/available_name")), ("Ada", "Countess", "Countess"));
    let changed = admin.patch(PROFILE, json!({"ui_settings": {"b": true}, "unknown": 1, "email": "ADA@example.com"})).await.expect(200);
    assert_eq!(changed.at("/ui_settings"), &json!({"a": 1, "b": true}), "settings are merged");
    assert_eq!(
        (changed.str("/email"), changed.str("/uid"), changed.str("/message_signature")),
        ("ada@example.com", "ada@example.com", "-- Ada")
    );
    let posted = admin.post(PROFILE, json!({"profile": {"name": "Lovelace"}})).await.expect(200);
    assert_eq!(posted.str("/name"), "Lovelace");
    let availability = json!({"profile": {"account_id": 1, "availability": "busy"}});
    let busy = admin.post("/api/v1/profile/availability", availability).await.expect(200);
    assert_eq!(busy.str("/accounts/0/availability"), "busy");
    assert_eq!(admin.put("/api/v1/profile/set_active_account", json!({"profile": {"account_id": 1}})).await.expect(200).text, "");
    assert_refused(&admin.put("/api/v1/profile/set_active_account", json!({"profile": {"account_id": 2}})).await, 404);

    member(&daemon, "taken@example.com", "agent").await;
    for (profile, field) in [
        (json!({"name": " "}), "name"),
        (json!({"name": {}}), "name"),
        (json!({"email": "nonsense"}), "email"),
        (json!({"email": "Taken@example.com"}), "email"),
        (json!({"ui_settings": []}), "ui_settings"),
    ] {
        assert_names(&admin.put(PROFILE, json!({"profile": profile})).await, 422, field);
    }
    let after = admin.get(PROFILE).await.expect(200);
    assert_eq!((after.str("/name"), after.str("/email")), ("Lovelace", "ada@example.com"));
}

#[tokio::test]
async fn no_secret_is_stored_or_logged_as_it_is() {
    let mut daemon = Daemon::builder().env("KONVERSIO__LOG__FILTER", "debug").start().await;
    let visitor = daemon.visitor();
    let (agent, _) = member(&daemon, "agent@example.com", "agent").await;
    let agent_token = agent.get(PROFILE).await.expect(200).str("/access_token").to_owned();
    let session = sign_in(&visitor, "agent@example.com", PASSWORD).await.expect(200);
    let session_token = session.header("access-token").unwrap().to_owned();
    visitor.get(format!("{PROFILE}?api_access_token={agent_token}")).await.expect(200);
    call(&visitor, Method::GET, PROFILE, &session, &[]).await.expect(200);
    let admin = daemon.client();
    let inbox = admin.post(admin.a("/inboxes"), json!({"name": "Api", "channel": {"type": "api"}})).await.expect(200);

    daemon.terminate().await;
    let (stored, log) = (stored(&daemon).await, daemon.log());
    assert!(stored.contains("agent@example.com"), "what is stored has been looked at");
    assert!(stored.matches("$argon2id$").count() >= 2, "passwords are hashed with argon2id");
    let token = daemon.site().token().unwrap();
    let secrets = [token, &agent_token, &session_token, Site::ADMIN_PASSWORD, PASSWORD, inbox.str("/hmac_token"), inbox.str("/secret")];
    for (number, secret) in secrets.into_iter().enumerate() {
        assert!(!secret.is_empty() && !stored.contains(secret), "secret {number} is stored as it is");
        assert!(!log.contains(secret), "secret {number} is logged");
    }
}

#[tokio::test]
async fn agents_are_made_listed_changed_and_removed() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let own_id = admin.get(PROFILE).await.expect(200).id("/id");
    let fields = json!({"name": "Jo", "email": "Jo@Example.com", "role": "agent", "availability": "busy", "auto_offline": false, "password": PASSWORD});
    let made = admin.post(admin.a("/agents"), fields).await.expect(200);
    let id = made.id("/id");
    let shown = json!({"id": id, "account_id": 1, "email": "jo@example.com", "name": "Jo", "available_name": "Jo", "role": "agent",
        "auto_offline": false, "confirmed": true, "provider": "email", "thumbnail": "", "availability_status": "busy"});
    for (name, value) in shown.as_object().unwrap() {
        assert_eq!(&made.body[name], value, "{name}");
    }
    let enveloped = json!({"agent": {"name": "Li", "email": "li@example.com", "role": "administrator"}});
    assert_eq!(admin.post(admin.a("/agents"), enveloped).await.expect(200).str("/role"), "administrator");
    let listed = admin.get(admin.a("/agents")).await.expect(200);
    let emails: Vec<&str> = listed.body.as_array().unwrap().iter().map(|agent| agent["email"].as_str().unwrap()).collect();
    assert_eq!(emails.len(), 3);
    assert!(emails.contains(&"jo@example.com") && emails.contains(&"li@example.com"), "{emails:?}");

    let changed = admin.patch(admin.a(&format!("/agents/{id}")), json!({"role": "administrator", "name": "Joan"})).await.expect(200);
    assert_eq!((changed.str("/role"), changed.str("/name"), changed.at("/auto_offline")), ("administrator", "Joan", &json!(false)));
    admin.put(admin.a(&format!("/agents/{id}")), json!({"agent": {"role": "agent", "availability": "offline"}})).await.expect(200);

    for (fields, field) in [
        (json!({"name": "X", "role": "agent"}), "email"),
        (json!({"name": "X", "email": "x", "role": "agent"}), "email"),
        (json!({"name": "X", "email": "x@example.com"}), "role"),
        (json!({"name": "X", "email": "x@example.com", "role": "owner"}), "role"),
        (json!({"name": ["X"], "email": "x@example.com", "role": "agent"}), "name"),
        (json!({"name": "X", "email": "jo@example.com", "role": "agent"}), "email"),
        (json!({"name": "X", "email": "x@example.com", "role": "agent", "password": "short"}), "password"),
    ] {
        assert_names(&admin.post(admin.a("/agents"), fields).await, 422, field);
    }
    assert_names(&admin.patch(admin.a(&format!("/agents/{id}")), json!({"role": "owner"})).await, 422, "role");
    assert_refused(&admin.patch(admin.a("/agents/9999"), json!({"name": "X"})).await, 404);
    assert_refused(&admin.delete(admin.a(&format!("/agents/{own_id}"))).await, 422);
    assert_eq!(admin.get(admin.a("/agents")).await.expect(200).body.as_array().unwrap().len(), 3, "refusals made nobody");

    let inbox = api_inbox(&admin, "Support").await;
    admin.post(admin.a("/inbox_members"), json!({"inbox_id": inbox, "user_ids": [id]})).await.expect(200);
    let session = sign_in(&daemon.visitor(), "jo@example.com", PASSWORD).await.expect(200);
    let jo = daemon.visitor().with_token(session.str("/data/access_token"));
    jo.get(jo.a("/inboxes")).await.expect(200);
    assert_eq!(admin.delete(admin.a(&format!("/agents/{id}"))).await.expect(200).text, "");
    assert_refused(&admin.delete(admin.a(&format!("/agents/{id}"))).await, 404);
    assert_refused(&jo.get(jo.a("/inboxes")).await, 404);
    assert_eq!(admin.get(admin.a(&format!("/inbox_members/{inbox}"))).await.expect(200).at("/payload"), &json!([]));
}

#[tokio::test]
async fn an_agent_may_do_its_work_and_no_more() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let (agent, agent_id) = member(&daemon, "agent@example.com", "agent").await;
    let (own, others) = (api_inbox(&admin, "Own").await, api_inbox(&admin, "Others").await);
    admin.post(admin.a("/inbox_members"), json!({"inbox_id": own, "user_ids": [agent_id]})).await.expect(200);
    let (mine, foreign) = (conversation(&admin, own, "hello").await, conversation(&admin, others, "secret").await);

    let inbox = json!({"name": "New", "channel": {"type": "api"}});
    let refused = [
        agent.post(agent.a("/inboxes"), inbox).await,
        agent.patch(agent.a(&format!("/inboxes/{own}")), json!({"name": "Mine"})).await,
        agent.delete(agent.a(&format!("/inboxes/{own}"))).await,
        agent.post(agent.a(&format!("/inboxes/{own}/reset_secret")), json!({})).await,
        agent.post(agent.a(&format!("/inboxes/{own}/reconnect")), json!({})).await,
        agent.post(agent.a("/inbox_members"), json!({"inbox_id": others, "user_ids": [agent_id]})).await,
        agent.patch(agent.a("/inbox_members"), json!({"inbox_id": others, "user_ids": [agent_id]})).await,
        agent.delete_with(agent.a("/inbox_members"), json!({"inbox_id": own, "user_ids": [agent_id]})).await,
        agent.post(agent.a("/agents"), json!({"name": "X", "email": "x@example.com", "role": "administrator"})).await,
        agent.patch(agent.a(&format!("/agents/{agent_id}")), json!({"role": "administrator"})).await,
        agent.delete(agent.a("/agents/1")).await,
        agent.get(agent.a("/webhooks")).await,
        agent.post(agent.a("/webhooks"), json!({"url": "http://127.0.0.1:19999/", "subscriptions": ["message_created"]})).await,
    ];
    for answer in &refused {
        assert_refused(answer, 401);
        assert_eq!(answer.str("/error"), "You are not authorized to do this action", "{}", answer.request);
    }
    assert_eq!(agent.get(PROFILE).await.expect(200).str("/role"), "agent");

    let inboxes = agent.get(agent.a("/inboxes")).await.expect(200);
    assert_eq!((inboxes.at("/payload").as_array().unwrap().len(), inboxes.id("/payload/0/id")), (1, own));
    let listed = agent.get(agent.a("/conversations?assignee_type=all")).await.expect(200);
    assert_eq!((listed.id("/data/meta/all_count"), listed.id("/data/payload/0/id")), (1, mine));
    agent.get(agent.a(&format!("/conversations/{mine}"))).await.expect(200);
    agent.post(agent.a(&format!("/conversations/{mine}/messages")), json!({"content": "hi"})).await.expect(200);

    // What belongs to others is as absent as what does not exist.
    for id in [foreign.to_string(), "9999".into(), "0".into(), "-1".into(), "99999999999999999999".into(), "abc".into()] {
        for (method, path) in [
            (Method::GET, ""),
            (Method::PATCH, ""),
            (Method::GET, "/messages"),
            (Method::POST, "/messages"),
            (Method::POST, "/toggle_status"),
            (Method::POST, "/assignments"),
            (Method::POST, "/toggle_typing_status"),
            (Method::POST, "/update_last_seen"),
            (Method::POST, "/custom_attributes"),
        ] {
            let path = agent.a(&format!("/conversations/{id}{path}"));
            let body =
                json!({"content": "x", "priority": "low", "status": "resolved", "typing_status": "on", "custom_attributes": {"a": 1}});
            let answer = agent.answer(agent.request(method, &path).json(&body)).await;
            assert_refused(&answer, 404);
            assert_eq!(answer.str("/error"), "Resource could not be found");
        }
    }
    for path in
        [format!("/inboxes/{others}"), format!("/inboxes/{others}/health"), format!("/inbox_members/{others}"), "/inboxes/9999".into()]
    {
        assert_refused(&agent.get(agent.a(&path)).await, 404);
    }
    assert_refused(&agent.get(agent.a(&format!("/assignable_agents?inbox_ids[]={others}"))).await, 404);
    assert_refused(&agent.post(agent.a("/contacts"), json!({"inbox_id": others, "name": "X"})).await, 404);
    for other in [agent.with_account(2), admin.with_account(2), admin.with_account(0)] {
        for path in ["", "/inboxes", "/agents", "/contacts", "/conversations"] {
            assert_refused(&other.get(other.a(path)).await, 404);
        }
        assert_refused(&other.get(other.a(&format!("/conversations/{mine}"))).await, 404);
    }
    // The message of one conversation is not found through another one.
    let messages = admin.get(admin.a(&format!("/conversations/{foreign}/messages"))).await.expect(200);
    let message = messages.id("/payload/0/id");
    assert_refused(&agent.delete(agent.a(&format!("/conversations/{mine}/messages/{message}"))).await, 404);
    let after = admin.get(admin.a(&format!("/conversations/{foreign}/messages"))).await.expect(200);
    assert_eq!(after.str("/payload/0/content"), "secret");
    assert_eq!(after.at("/payload").as_array().unwrap().len(), 1);
}

async fn sign_in(visitor: &Client, email: &str, password: &str) -> Answer {
    visitor.post("/auth/sign_in", json!({"email": email, "password": password, "sso_auth_token": ""})).await
}

fn with_session(client: &Client, method: Method, path: &str, session: &Answer, other: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let is_replaced = |name: &str| other.iter().any(|(other, _)| *other == name);
    let own = SESSION_HEADERS.into_iter().filter(|name| !is_replaced(name)).map(|name| (name, session.header(name).unwrap()));
    own.chain(other.iter().copied()).fold(client.request(method, path), |request, (name, value)| request.header(name, value))
}

/// A request with the session's headers, some of them replaced.
async fn call(client: &Client, method: Method, path: &str, session: &Answer, other: &[(&str, &str)]) -> Answer {
    client.answer(with_session(client, method, path, session, other)).await
}

/// The contract's User (section 1).
#[track_caller]
fn assert_user(user: &Value, role: &str) {
    for name in ["access_token", "available_name", "email", "name", "pubsub_token", "uid"] {
        assert!(user[name].as_str().is_some_and(|text| !text.is_empty()), "{name} in {user}");
    }
    for name in ["avatar_url", "inviter_id"] {
        assert!(user.get(name).is_some(), "{name} in {user}");
    }
    assert_eq!(
        (&user["provider"], &user["role"], &user["account_id"], &user["confirmed"]),
        (&json!("email"), &json!(role), &json!(1), &json!(true))
    );
    let place = &user["accounts"][0];
    assert_eq!(
        (&place["id"], &place["role"], &place["permissions"], &place["status"]),
        (&json!(1), &json!(role), &json!([role]), &json!("active"))
    );
    for name in ["name", "active_at", "availability", "availability_status", "auto_offline"] {
        assert!(place.get(name).is_some(), "accounts.0.{name} in {user}");
    }
    assert!(user["ui_settings"].is_object(), "{user}");
}
