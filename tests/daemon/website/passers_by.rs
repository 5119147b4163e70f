//! Visitors who never say anything go after some months, and nobody else does.

use super::Website;
use crate::app::{api_inbox, count, execute};
use crate::harness::{SOON, eventually};
use serde_json::json;

#[tokio::test]
async fn only_who_never_said_anything_is_forgotten() {
    let mut website = Website::open(json!({})).await;
    let silent = website.visitor().await;
    let wrote = website.visitor().await;
    wrote.post("messages", json!({"message": {"content": "hello"}})).await.expect(200);
    let named = website.visitor().await;
    named.patch("contact", json!({"email": "mia@example.com"})).await.expect(200);
    let inbox = api_inbox(&website.admin, json!({})).await;
    let of_app = website.admin.post(website.admin.a("/contacts"), json!({"inbox_id": inbox.id, "name": "Kai"})).await.expect(200);
    const LONG_AGO: &str = "UPDATE contacts SET created_at = '2025-01-01 00:00:00+00:00'";
    execute(&website.daemon, LONG_AGO, LONG_AGO).await;
    let recent = website.visitor().await;
    website.daemon.terminate().await;
    website.daemon.restart().await;
    eventually(SOON, async || (count(&website.daemon, "SELECT COUNT(*) FROM contacts").await == 4).then_some(())).await;
    website.admin = website.daemon.client();
    for id in [wrote.contact, named.contact, recent.contact, of_app.id("/payload/contact/id")] {
        website.contact(id).await;
    }
    // The token names nobody any more; the page begins anew.
    let client = website.daemon.visitor().with_visitor(&silent.auth_token);
    client.get(silent.path("contact")).await.expect(401);
    let anew = client.post(silent.path("config"), json!({})).await.expect(200);
    assert_ne!(anew.id("/contact/id"), silent.contact);
}
