//! A chat of a website that its visitor goes on with by mail: the answer to the mail with what was not seen comes back into it.

use super::{Desk, header, mail};
use crate::continuity::two_minutes_pass;
use crate::email_collect::{Visitor, website};
use crate::harness::Daemon;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_answers_by_mail_and_nobody_else_does() {
    let Some(servers) = Desk::servers() else { return };
    let relay = format!("[mail]\nhost = 'localhost'\nport = {}\nsecurity = 'none'\nfrom = 'desk@support.test'\n", servers.smtp_port);
    let desk = Desk::with(servers, Daemon::builder().settings(&relay), json!({}), json!({})).await;
    desk.is_in_state("connected").await;
    let (_, token) = website(&desk.client, json!({})).await;
    let visitor = Visitor::arrive(&desk.daemon, &token).await;
    let chat = visitor.begin(json!({"name": "Bob", "email": "bob@support.test"}), "hello").await;
    desk.reply(chat, "the answer").await;
    two_minutes_pass(&desk.daemon).await;
    let sent = desk.mails("bob", 1).remove(0).raw;
    assert!(sent.contains("the answer") && sent.contains("You can answer this mail"), "{sent}");
    assert_eq!(header(&sent, "Reply-To").as_deref(), Some("support@support.test"), "{sent}");
    let id = header(&sent, "Message-ID").unwrap();

    let before = desk.messages(chat).await.len();
    let headers = format!("Subject: Re: New messages from Shop\nIn-Reply-To: {id}\nReferences: {id}\n");
    desk.servers.deliver("support", &mail("bob@support.test", "reply-1@customer.test", &headers, "thanks, by mail"));
    let said = desk.wait_for_messages(chat, before + 1).await;
    let last = said.last().unwrap();
    assert_eq!((&last["content"], &last["message_type"]), (&json!("thanks, by mail"), &json!(0)));
    assert_eq!((&last["content_type"], &last["sender"]["id"]), (&json!("incoming_email"), &json!(visitor.contact)));

    // Who knows the id and has another address is somebody else.
    desk.servers.deliver("support", &mail("eve@support.test", "reply-2@customer.test", &headers, "me too"));
    let others = desk.wait_for_received(vec!["hello".into(), "thanks, by mail".into(), "me too".into()]);
    others.await;
    assert_eq!(desk.messages(chat).await.len(), before + 1);
    assert_eq!(desk.conversations().await.len(), 2);
}
