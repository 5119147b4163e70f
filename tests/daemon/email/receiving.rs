//! What becomes of a mail that comes in: which conversation it belongs to, what of it is shown, and what never is.

use super::{Desk, header, mail, merged};
use crate::harness::{SOON, eventually};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::path::Path;

#[tokio::test(flavor = "multi_thread")]
async fn mails_and_answers_make_a_conversation() {
    let Some(desk) = Desk::open().await else { return };
    let first = "Cc: carol@support.test\nSubject: AW: Parcel\nDate: Mon, 3 Nov 2025 10:15:00 +0100\n";
    desk.servers.deliver("support", &mail("Bob Builder <Bob@support.test>", "one@bob.test", first, "Where is it?\n\n> old words"));
    let incoming = desk.wait_for_messages(1, 1).await.remove(0);

    let conversation = desk.get("/conversations/1").await;
    assert_eq!((conversation.id("/inbox_id"), conversation.id("/unread_count")), (desk.inbox, 1));
    assert_eq!((conversation.str("/status"), conversation.str("/meta/channel")), ("open", "Channel::Email"));
    assert_eq!((conversation.str("/meta/sender/name"), conversation.str("/meta/sender/email")), ("Bob Builder", "bob@support.test"));
    let attributes = conversation.at("/additional_attributes");
    assert_eq!(
        (&attributes["source"], &attributes["mail_subject"], &attributes["in_reply_to"], &attributes["auto_reply"]),
        (&json!("email"), &json!("AW: Parcel"), &Value::Null, &json!(false))
    );
    assert!(attributes["initiated_at"]["timestamp"].is_string());
    assert_eq!(
        (&incoming["content"], &incoming["content_type"], &incoming["message_type"], &incoming["source_id"]),
        (&json!("Where is it?"), &json!("incoming_email"), &json!(0), &json!("one@bob.test"))
    );
    assert_eq!(
        incoming["content_attributes"]["email"],
        json!({
            "from": ["Bob@support.test"], "to": ["support@support.test"], "cc": ["carol@support.test"], "bcc": [],
            "subject": "AW: Parcel", "date": "2025-11-03T10:15:00+01:00", "message_id": "one@bob.test", "in_reply_to": null,
            "multipart": false, "content_type": null, "number_of_attachments": 0, "references": [], "headers": {},
            "html_content": { "full": null, "reply": null, "quoted": null },
            "text_content": { "full": "Where is it?\n\n> old words\n", "reply": "Where is it?", "quoted": "> old words" },
            "auto_reply": false,
        })
    );
    assert!(desk.servers.wait_for("support", |mails| mails[0].seen).len() == 1, "what is stored is marked as read");

    let reply = desk.reply(1, "On its **way**").await.id("/id");
    let uuid = conversation.str("/uuid");
    let message_id = format!("conversation/{uuid}/messages/{reply}@support.test");
    let sent = desk.mails("bob", 1).remove(0).raw;
    for (name, value) in [
        ("Message-ID", format!("<{message_id}>")),
        ("In-Reply-To", "<one@bob.test>".into()),
        ("References", "<one@bob.test>".into()),
        ("Subject", "Re: Parcel".into()),
    ] {
        assert_eq!(header(&sent, name), Some(value), "{name} in {sent}");
    }
    assert!(header(&sent, "From").unwrap().ends_with("<support@support.test>"), "{sent}");
    assert!(header(&sent, "To").unwrap().ends_with("<bob@support.test>"), "{sent}");
    assert!(sent.contains("On its **way**") && sent.contains("<strong>way</strong>"), "{sent}");
    assert_eq!(header(&sent, "Auto-Submitted"), None, "a person wrote it");
    desk.message(1, reply, |message| message["source_id"] == json!(message_id)).await;

    let answers = [
        ("two@bob.test", format!("In-Reply-To: <{message_id}>\nSubject: Re: Parcel\n"), "by what it answers"),
        ("three@bob.test", format!("References: <far@away.test>\n <{message_id}>\nSubject: other\n"), "by what came before"),
        ("four@bob.test", format!("To: reply+{uuid}@support.test\nSubject: another\n"), "by our address"),
        ("five@bob.test", "In-Reply-To: <one@bob.test>\nSubject: own\n".into(), "by the own mail"),
    ];
    for (number, (id, headers, text)) in answers.iter().enumerate() {
        desk.servers.deliver("support", &mail("bob@support.test", id, headers, text));
        let messages = desk.wait_for_messages(1, 3 + number).await;
        assert_eq!(messages[2 + number]["content"], json!(text));
    }
    // Somebody else joins: the conversation stays Bob's.
    desk.servers.deliver("support", &mail("Carol <carol@support.test>", "c@carol.test", &answers[0].1, "me too"));
    desk.wait_for_messages(1, 7).await;
    let sender = desk.get("/conversations/1").await.at("/meta/sender").clone();
    assert_eq!((&sender["name"], &sender["email"]), (&json!("Bob Builder"), &json!("bob@support.test")));

    // The same mail once more, and one that belongs to nothing that is there.
    desk.servers.deliver("support", &mail("bob@support.test", "two@bob.test", &answers[0].1, "by what it answers"));
    let strange = "In-Reply-To: <conversation/11111111-2222-4333-8444-555555555555/messages/1@support.test>\nSubject: Parcel\n";
    desk.servers.deliver("support", &mail("bob@support.test", "six@bob.test", strange, "something else"));
    desk.wait_for_messages(2, 1).await;
    assert_eq!((desk.messages(1).await.len(), desk.conversations().await.len()), (7, 2), "no mail is there twice");
    let contacts: Vec<Value> = desk.conversations().await.iter().map(|one| one["meta"]["sender"]["id"].clone()).collect();
    assert_eq!(contacts[0], contacts[1], "the same person in both");

    // What was quoted stays in the chain.
    let second = desk.reply(2, "Again").await.id("/id");
    let sent = desk.mails("bob", 2).remove(1).raw;
    assert_eq!(header(&sent, "In-Reply-To").as_deref(), Some("<six@bob.test>"));
    assert!(header(&sent, "Message-ID").unwrap().ends_with(&format!("/messages/{second}@support.test>")), "{sent}");
    assert_eq!(desk.health().await.id("/parked"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_pictures_come_in() {
    const PICTURES: [(&str, &str, &[u8]); 3] = [
        ("pic", "iVBORw0KGgoB", b"\x89PNG\r\n\x1a\n\x01"),
        ("pic2", "iVBORw0KGgoC", b"\x89PNG\r\n\x1a\n\x02"),
        ("a&b@c", "iVBORw0KGgoD", b"\x89PNG\r\n\x1a\n\x03"),
    ];
    let Some(desk) = Desk::open().await else { return };
    let picture = |(id, base64, _): &(&str, &str, &[u8])| {
        format!("--rel\nContent-Type: image/png; name=\"{id}.png\"\nContent-ID: <{id}>\nContent-Transfer-Encoding: base64\n\n{base64}\n")
    };
    let raw = format!(
        "From: bob@support.test\nTo: support@support.test\nMessage-ID: <pics@bob.test>\nSubject: Pictures\nMIME-Version: 1.0\n\
         Content-Type: multipart/mixed; boundary=mix\n\n--mix\nContent-Type: multipart/related; boundary=rel\n\n\
         --rel\nContent-Type: text/html\n\n<p>Look</p><img src=\"cid:pic\"><img src=\"cid:pic2\"><img src=\"cid:a&amp;b%40c\">\n{}--rel--\n\
         --mix\nContent-Type: application/pdf; name=\"bill.pdf\"\nContent-Disposition: attachment; filename=\"bill.pdf\"\n\
         Content-Transfer-Encoding: base64\n\nJVBERi0xLjQK\n--mix--\n",
        PICTURES.iter().map(picture).collect::<String>()
    );
    desk.servers.deliver("support", raw.as_bytes());
    let message = desk.wait_for_messages(1, 1).await.remove(0);
    assert_eq!(message["content"], "Look");
    assert_eq!(message["content_attributes"]["email"]["number_of_attachments"], 4);
    let kinds: Vec<&Value> = message["attachments"].as_array().unwrap().iter().map(|one| &one["file_type"]).collect();
    assert_eq!(kinds, ["image", "image", "image", "file"]);
    assert_eq!(fetch(&desk, message["attachments"][3]["data_url"].as_str().unwrap()).await.1, b"%PDF-1.4\n");

    for form in ["full", "reply"] {
        let html = message["content_attributes"]["email"]["html_content"][form].as_str().unwrap();
        let addresses: Vec<&str> = html.split("<img src=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(addresses.len(), 3, "{html}");
        for (address, (id, _, bytes)) in addresses.iter().zip(PICTURES) {
            assert!(address.contains("/files/"), "{id} in {html}");
            let (content_type, served) = fetch(&desk, address).await;
            assert_eq!((content_type.as_str(), served.as_slice()), ("image/png", bytes), "{id} in {html}");
        }
    }
}

/// A stored file by its address: its content type and its bytes.
async fn fetch(desk: &Desk, address: &str) -> (String, Vec<u8>) {
    // Without a public address in the settings, addresses begin with where the daemon is reached on its own machine.
    let path = &address[address.find("/files/").unwrap()..];
    let answer = desk.daemon.visitor().request(reqwest::Method::GET, path).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{address}");
    let content_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
    (content_type, answer.bytes().await.unwrap().to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_html_is_harmless_when_it_is_shown() {
    let Some(desk) = Desk::open().await else { return };
    let html = "<html><head><style>@import url(https://evil.test/s.css); p { background: url(https://evil.test/b) }</style>\
        <link rel=stylesheet href=https://evil.test/l.css><meta http-equiv=refresh content='0; url=https://evil.test/'>\
        <base href=https://evil.test/></head><body onload=alert(1) background=https://evil.test/bg.png>\
        <script>alert('script')</script><ScRiPt src=//evil.test/x.js></sCrIpT>\
        <img src=x onerror=alert(1)><img src=https://evil.test/track.gif width=1><img srcset='https://evil.test/set.gif 2x'>\
        <img src=//evil.test/relative.gif><img src='data:image/svg+xml,<svg onload=alert(1)>'><img src=\"cid:x&quot; onerror=&quot;alert(1)\">\
        <svg><script>alert(1)</script><image href=https://evil.test/svg.png /></svg><math><mtext><img src=x onerror=alert(1)></mtext></math>\
        <iframe src=https://evil.test/frame></iframe><object data=https://evil.test/o></object><embed src=https://evil.test/e>\
        <video src=https://evil.test/v poster=https://evil.test/poster></video><audio src=https://evil.test/a></audio>\
        <form action=https://evil.test/f><input name=password><button formaction='javascript:alert(1)'>go</button></form>\
        <a href='javascript:alert(1)'>one</a><a href=' java&#x09;script:alert(1)'>two</a><a href='vbscript:x'>three</a>\
        <a href='data:text/html,<script>alert(1)</script>'>four</a><a href='https://shop.test/fine'>fine</a>\
        <p style='background-image:url(https://evil.test/style.png);color:red;behavior:url(x);width:expression(alert(1))'>Hello <b>friend</b></p>\
        <p style='position:fixed;top:0'>over everything</p><noscript><p title='</noscript><img src=x onerror=alert(1)>'></noscript>\
        <blockquote type=cite>quoted <img src=https://evil.test/q.gif onload=alert(1)><script>alert(2)</script></blockquote></body></html>";
    let headers = "Subject: <script>alert(1)</script>\nMIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n";
    desk.servers.deliver("support", &mail("\"<img src=x onerror=alert(1)>\" <bob@support.test>", "evil@bob.test", headers, html));
    let message = desk.wait_for_messages(1, 1).await.remove(0);
    let forms = &message["content_attributes"]["email"]["html_content"];
    for form in ["full", "reply", "quoted"] {
        let shown = forms[form].as_str().unwrap().to_lowercase();
        for bad in [
            "<script",
            "alert('script')",
            "javascript:",
            "vbscript:",
            "data:text",
            "data:image",
            "onerror=alert",
            "onload",
            "onerror=\"",
            "<svg",
            "<math",
            "<iframe",
            "<object",
            "<embed",
            "<video",
            "<audio",
            "<form",
            "<input",
            "<button",
            "<link",
            "<meta",
            "<base",
            "<style",
            "@import",
            "url(",
            "expression",
            "behavior",
            "position",
            "srcset",
            "background",
            "poster",
            "<noscript",
            " src=\"http",
            " src=\"//",
            " src=http",
        ] {
            assert!(!shown.contains(bad), "{bad} in {form}: {shown}");
        }
    }
    let full = forms["full"].as_str().unwrap();
    for good in ["Hello <b>friend</b>", "data-remote-src=\"https://evil.test/track.gif\"", "href=\"https://shop.test/fine\"", "noopener"] {
        assert!(full.contains(good), "{good} is missing in {full}");
    }
    let text = message["content"].as_str().unwrap();
    assert!(text.contains("Hello friend") && !text.contains("alert"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_cannot_be_read_is_set_aside() {
    let Some(mut desk) = Desk::open().await else { return };
    desk.servers.deliver("support", b"Subject: nobody\n\nno sender\n");
    desk.servers.deliver("support", &mail("bob@support.test", "one@bob.test", "Subject: one\n", "readable"));
    desk.wait_for_received(vec!["readable".into()]).await;
    let health = desk.health().await;
    assert_eq!((health.id("/parked"), health.str("/state"), health.id("/session")), (1, "connected", 1));
    assert!(health.at("/last_inbound_at").is_string());

    desk.restart().await;
    desk.servers.deliver("support", &mail("bob@support.test", "two@bob.test", "Subject: two\n", "later"));
    desk.wait_for_received(vec!["readable".into(), "later".into()]).await;
    assert_eq!(desk.health().await.id("/parked"), 1, "it is not read again");
    eventually(SOON, async || desk.servers.mails("support").iter().map(|mail| mail.seen).eq([false, true, true]).then_some(())).await;
}

/// A mail with so many small pictures.
fn album(id: &str, count: usize) -> Vec<u8> {
    let part = |number: usize| {
        let picture = STANDARD.encode([b"\x89PNG\r\n\x1a\n".as_slice(), &number.to_be_bytes()].concat());
        format!("--mix\nContent-Type: image/png; name=\"{number}.png\"\nContent-Transfer-Encoding: base64\n\n{picture}\n")
    };
    let parts: String = (0..count).map(part).collect();
    let headers = "Subject: Album\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=mix\n";
    mail("bob@support.test", id, headers, &format!("--mix\nContent-Type: text/plain\n\n{count} pictures\n{parts}--mix--"))
}

/// How many files the daemon keeps.
fn stored_files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { stored_files(&entry.path()) } else { 1 }).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_of_a_mail_comes_in_and_is_stored_once() {
    let Some(mut desk) = Desk::open().await else { return };
    let folder = desk.daemon.site().data_dir().join("files");
    let before = stored_files(&folder);
    desk.servers.deliver("support", &album("forty@bob.test", 40));
    desk.servers.deliver("support", &mail("bob@support.test", "after@bob.test", "Subject: after\n", "after"));
    desk.wait_for_received(vec!["40 pictures".into(), "after".into()]).await;
    let message = desk.messages(1).await.remove(0);
    assert_eq!(message["attachments"].as_array().map(Vec::len), Some(40), "fifteen are the limit of what agents write");
    let names: Vec<&str> = message["attachments"].as_array().unwrap().iter().map(|one| one["data_url"].as_str().unwrap()).collect();
    assert!((0..40).all(|number| names.iter().any(|name| name.ends_with(&format!("/{number}.png")))), "{names:?}");
    assert_eq!(stored_files(&folder) - before, 40);
    let health = desk.health().await;
    assert_eq!((health.id("/parked"), health.id("/session"), health.str("/state")), (0, 1, "connected"));

    // The mailbox is numbered anew: all mails of the week come again, and their files are not stored again.
    desk.servers_mut().change_uid_validity("support");
    desk.servers.deliver("support", &mail("bob@support.test", "last@bob.test", "Subject: last\n", "last"));
    desk.wait_for_received(vec!["40 pictures".into(), "after".into(), "last".into()]).await;
    assert_eq!(stored_files(&folder) - before, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_the_rules_refuse_is_set_aside_whole_and_holds_up_nothing() {
    let Some(desk) = Desk::open().await else { return };
    let folder = desk.daemon.site().data_dir().join("files");
    let before = stored_files(&folder);
    desk.servers.deliver("support", &album("many@bob.test", 501));
    desk.servers.deliver("support", &mail("bob@support.test", "after@bob.test", "Subject: after\n", "after"));
    desk.wait_for_received(vec!["after".into()]).await;
    let health = desk.health().await;
    assert_eq!((health.id("/parked"), health.id("/session"), health.str("/state")), (1, 1, "connected"), "{}", health.text);
    // The mail itself, and none of its pictures.
    eventually(SOON, async || (stored_files(&folder) - before == 1).then_some(())).await;
    eventually(SOON, async || desk.servers.mails("support").iter().map(|mail| mail.seen).eq([false, true]).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_in_the_inboxs_name_is_a_customers_and_a_copy_of_ours_is_none() {
    let Some(mut desk) = Desk::open().await else { return };
    let form = "Reply-To: Bob Builder <bob@support.test>\nSubject: Contact form\n";
    desk.servers.deliver("support", &mail("Shop <support@support.test>", "form@shop.test", form, "I want tea"));
    desk.wait_for_received(vec!["I want tea".into()]).await;
    let sender = desk.get("/conversations/1").await.at("/meta/sender").clone();
    assert_eq!((&sender["name"], &sender["email"]), (&json!("Bob Builder"), &json!("bob@support.test")));
    let reply = desk.reply(1, "Here it is").await.id("/id");
    let sent = desk.mails("bob", 1).remove(0).raw;
    assert_eq!(header(&sent, "In-Reply-To").as_deref(), Some("<form@shop.test>"));
    desk.message(1, reply, |message| message["source_id"].is_string()).await;

    // The copy that a server or a rule of the mailbox puts there, and one that is faster than the news that the mail is sent.
    let id = header(&sent, "Message-ID").unwrap();
    let copy = |id: &str| mail("support@support.test", id.trim_matches(['<', '>']), "Subject: Re: Contact form\n", "Here it is");
    desk.servers.deliver("support", &copy(&id));
    desk.servers_mut().stop_smtp();
    let second = desk.reply(1, "And another").await.id("/id");
    desk.servers.deliver("support", &copy(&id.replace(&format!("/{reply}@"), &format!("/{second}@"))));
    // Without somebody to answer it is shown all the same.
    desk.servers.deliver("support", &mail("support@support.test", "note@shop.test", "Subject: Printed\n", "Order 17, Ann, ann@shop.test"));
    desk.wait_for_received(vec!["I want tea".into(), "Order 17, Ann, ann@shop.test".into()]).await;
    assert_eq!(desk.messages(1).await.len(), 3, "what was sent is there once");
    assert_eq!(desk.get("/conversations/2").await.str("/meta/sender/email"), "support@support.test");
    assert_eq!(desk.health().await.id("/parked"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_mail_refers_to_is_looked_for_in_its_own_inbox() {
    let Some(desk) = Desk::open().await else { return };
    let channel = merged(desk.channel(), json!({ "email": "sales@support.test", "imap_login": "sales", "smtp_login": "sales" }));
    desk.client.post(desk.client.a("/inboxes"), json!({ "name": "Sales", "channel": channel })).await.expect(200);
    desk.servers.deliver("support", &mail("bob@support.test", "one@bob.test", "Subject: one\n", "to support"));
    desk.wait_for_received(vec!["to support".into()]).await;
    let uuid = desk.get("/conversations/1").await.str("/uuid").to_owned();
    let headers =
        format!("In-Reply-To: <one@bob.test>\nReferences: <conversation/{uuid}/messages/1@support.test>\nTo: reply+{uuid}@support.test\n");
    desk.servers.deliver("sales", &mail("bob@support.test", "two@bob.test", &headers, "to sales"));
    desk.wait_for_received(vec!["to support".into(), "to sales".into()]).await;
    let inboxes: Vec<Value> = desk.conversations().await.iter().map(|conversation| conversation["inbox_id"].clone()).collect();
    assert_eq!(inboxes, [json!(desk.inbox), json!(desk.inbox + 1)], "a conversation in each");
    // The same mail in the other inbox is no repeat.
    desk.servers.deliver("sales", &mail("bob@support.test", "one@bob.test", "Subject: one\n", "to both"));
    desk.wait_for_received(vec!["to support".into(), "to sales".into(), "to both".into()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outlooks_thread_index_finds_the_conversation_where_references_are_lost() {
    let Some(desk) = Desk::open().await else { return };
    let index = |root: u8, answers: &[u8]| format!("Thread-Index: {}\nSubject: Tea\n", STANDARD.encode([&[root; 22], answers].concat()));
    for (id, headers, text) in [
        ("one@bob.test", index(1, &[]), "first"),
        ("two@bob.test", index(1, &[1, 2, 3, 4, 5]), "second"),
        ("three@bob.test", index(2, &[]), "other"),
    ] {
        desk.servers.deliver("support", &mail("bob@support.test", id, &headers, text));
        let received = desk.wait_for_messages(if text == "other" { 2 } else { 1 }, if text == "second" { 2 } else { 1 }).await;
        assert_eq!(received.last().unwrap()["content"], json!(text));
    }
    // The answer stays in the thread.
    desk.reply(1, "Here").await;
    let sent = desk.mails("bob", 1).remove(0).raw;
    let sent = STANDARD.decode(header(&sent, "Thread-Index").unwrap()).unwrap();
    assert_eq!((sent.len(), &sent[..27]), (32, [[1; 22].as_slice(), &[1, 2, 3, 4, 5]].concat().as_slice()));
}
