//! How often something may be asked for (contract, section 0, Throttles): by clients behind a proxy that is trusted.

use crate::desk::member;
use crate::harness::{Answer, Client, Daemon, Site};
use reqwest::Method;
use serde_json::{Value, json};

/// A daemon that believes what a proxy on this machine says of its clients.
async fn start(requests: u32) -> Daemon {
    let settings = format!("[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\nrequests_per_minute = {requests}\n");
    Daemon::builder().settings(&settings).start().await
}

async fn from(client: &Client, address: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
    let request = client.request(method, path).header("x-forwarded-for", address);
    client.answer(if let Some(body) = body { request.json(&body) } else { request }).await
}

async fn sign_in(daemon: &Daemon, address: &str, email: &str, password: &str) -> Answer {
    from(&daemon.visitor(), address, Method::POST, "/auth/sign_in", Some(json!({"email": email, "password": password}))).await
}

#[tokio::test]
async fn an_address_may_try_five_sign_ins_and_others_go_on() {
    let daemon = start(0).await;
    for _ in 0..5 {
        sign_in(&daemon, "203.0.113.7", "nobody@example.com", "wrong").await.expect(401);
    }
    let refused = sign_in(&daemon, "203.0.113.7", Site::ADMIN_EMAIL, Site::ADMIN_PASSWORD).await.expect(429);
    assert_eq!(refused.text, "Retry later\n");
    assert!(refused.header("content-type").unwrap().starts_with("text/plain"));
    assert!((1..=301).contains(&refused.header("retry-after").unwrap().parse::<u64>().unwrap()));
    // Whoever writes the header itself is still the one that the proxy has heard.
    sign_in(&daemon, "198.51.100.1, 203.0.113.7", Site::ADMIN_EMAIL, Site::ADMIN_PASSWORD).await.expect(429);
    let signed_in = sign_in(&daemon, "203.0.113.8", Site::ADMIN_EMAIL, Site::ADMIN_PASSWORD).await.expect(200);
    for _ in 0..6 {
        sign_in(&daemon, "127.0.0.1", "nobody@example.com", "wrong").await.expect(401);
    }
    let admin = daemon.visitor().with_token(signed_in.str("/data/access_token"));
    let log = admin.get(admin.a("/audit_logs")).await.expect(200);
    assert_eq!(log.str("/audit_logs/0/remote_address"), "203.0.113.8", "{}", log.text);
}

#[tokio::test]
async fn one_address_of_many_clients_is_tried_ten_times() {
    let daemon = start(0).await;
    for client in 0..10 {
        sign_in(&daemon, &format!("203.0.113.{client}"), Site::ADMIN_EMAIL, "wrong").await.expect(401);
    }
    sign_in(&daemon, "203.0.113.99", Site::ADMIN_EMAIL, Site::ADMIN_PASSWORD).await.expect(429);
    member(&daemon, "agent@example.com", "agent").await;
    sign_in(&daemon, "203.0.113.99", "agent@example.com", crate::desk::PASSWORD).await.expect(200);
}

#[tokio::test]
async fn requests_letters_and_lists_are_counted() {
    let daemon = start(200).await;
    let (admin, visitor) = (daemon.client(), daemon.visitor());
    let (agent, _) = member(&daemon, "agent@example.com", "agent").await;
    for address in 0..30 {
        from(&agent, &format!("198.51.100.{address}"), Method::GET, &agent.a("/conversations/meta"), None).await.expect(200);
    }
    from(&agent, "198.51.100.99", Method::GET, &agent.a("/conversations/meta"), None).await.expect(429);
    from(&admin, "198.51.100.99", Method::GET, &admin.a("/conversations/meta"), None).await.expect(200);
    for number in 0..5 {
        let body = json!({"email": format!("{number}@example.com")});
        from(&visitor, "203.0.113.20", Method::POST, "/resend_confirmation", Some(body)).await.expect(200);
    }
    from(&visitor, "203.0.113.20", Method::POST, "/resend_confirmation", Some(json!({"email": "x@example.com"}))).await.expect(429);
    for _ in 0..200 {
        from(&visitor, "2001:db8::1", Method::GET, "/health", None).await.expect(200);
    }
    from(&visitor, "2001:db8::2", Method::GET, "/health", None).await.expect(429);
    from(&visitor, "2001:db8:1::1", Method::GET, "/health", None).await.expect(200);
    visitor.get("/health").await.expect(200);
}

#[tokio::test]
async fn nobody_else_speaks_for_a_client() {
    let daemon = Daemon::start().await;
    for _ in 0..7 {
        sign_in(&daemon, "203.0.113.7", "nobody@example.com", "wrong").await.expect(401);
    }
    let signed_in = sign_in(&daemon, "203.0.113.7", Site::ADMIN_EMAIL, Site::ADMIN_PASSWORD).await.expect(200);
    let admin = daemon.visitor().with_token(signed_in.str("/data/access_token"));
    assert_eq!(admin.get(admin.a("/audit_logs")).await.expect(200).str("/audit_logs/0/remote_address"), "127.0.0.1");
}

#[tokio::test]
async fn visitors_of_websites_are_counted_by_address_and_others_go_on() {
    let daemon = start(0).await;
    let admin = daemon.client();
    let inbox = admin.post(admin.a("/inboxes"), json!({"name": "Shop", "channel": {"type": "web_widget"}})).await.expect(200);
    let of = |path: &str| format!("/api/v1/widget/{path}?website_token={}", inbox.str("/website_token"));
    let come = async |address: &str| from(&daemon.visitor(), address, Method::POST, &of("config"), Some(json!({}))).await;
    let first = come("203.0.113.7").await.expect(200);
    for _ in 1..300 {
        come("203.0.113.7").await.expect(200);
    }
    come("203.0.113.7").await.expect(429);
    come("203.0.113.8").await.expect(200);
    // Who is known already comes again as often as it likes, and begins sixty conversations.
    let visitor = daemon.visitor().with_visitor(first.str("/website_channel_config/auth_token"));
    from(&visitor, "203.0.113.7", Method::POST, &of("config"), Some(json!({}))).await.expect(200);
    let begin =
        async || from(&visitor, "203.0.113.7", Method::POST, &of("conversations"), Some(json!({"message": {"content": "hi"}}))).await;
    for _ in 0..60 {
        begin().await.expect(200);
    }
    begin().await.expect(429);
    from(&visitor, "203.0.113.7", Method::POST, &of("messages"), Some(json!({"message": {"content": "still here"}}))).await.expect(200);
}
