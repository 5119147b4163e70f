//! Attachments in an S3 bucket, against a server of that protocol which others wrote (moto, from PyPI).

use crate::harness::{Daemon, eventually, python_packages};
use crate::ports::{DAEMONS, free_port};
use reqwest::multipart::{Form, Part};
use serde_json::json;
use std::process::{Child, Stdio};
use std::time::Duration;

struct S3(Child);

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn attachments_go_to_a_bucket_and_come_back() {
    let Some(python) = python_packages() else { return };
    let port = free_port(DAEMONS);
    let mut command = python.program("moto_server");
    command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
    let _server = S3(command.spawn().unwrap());
    let bucket = format!("http://127.0.0.1:{port}/attachments");
    // Fails only if another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::new();
    eventually(Duration::from_secs(60), || async { http.put(&bucket).send().await.ok().filter(|answer| answer.status().is_success()) })
        .await;
    let settings = format!(
        "[files]\nurl = \"s3://attachments/desk\"\ns3_endpoint = \"http://127.0.0.1:{port}\"\ns3_region = \"us-east-1\"\n\
         s3_access_key_id = \"test\"\ns3_secret_access_key = \"test\"\n"
    );
    let daemon = Daemon::builder().settings(&settings).start().await;
    let admin = daemon.client();
    let inbox = admin.post(admin.a("/inboxes"), json!({ "name": "App", "channel": { "type": "api" } })).await.expect(200);
    let contacts = format!("/public/api/v1/inboxes/{}/contacts", inbox.str("/inbox_identifier"));
    let contact = daemon.visitor().post(&contacts, json!({ "identifier": "ada" })).await.expect(200);
    let conversations = format!("{contacts}/{}/conversations", contact.str("/source_id"));
    let conversation = daemon.visitor().post(&conversations, json!({})).await.expect(200).id("/id");
    // More than one part of a multipart upload, so that the order of its parts shows.
    let bytes: Vec<u8> = (0..12_000_000_u32).map(|position| (position / 1000 % 251) as u8).collect();
    let form = Form::new().text("content", "see here").part("attachments[]", Part::bytes(bytes.clone()).file_name("large.bin"));
    let sent = daemon.visitor().post_form(format!("{conversations}/{conversation}/messages"), form).await.expect(200);
    assert_eq!(sent.id("/attachments/0/file_size"), 12_000_000);
    let read = http.get(sent.str("/attachments/0/data_url")).send().await.unwrap().bytes().await.unwrap();
    assert!(read == bytes, "what comes back is what was sent");
    let listing = http.get(&bucket).send().await.unwrap().text().await.unwrap();
    assert_eq!(listing.matches("<Key>desk/").count(), 1, "{listing}");
}
