//! E-mail inboxes: the daemon between a real IMAP server and a real SMTP server, and what agents and customers see of it.
//!
//! | file | asks |
//! | --- | --- |
//! | `receiving.rs` | what becomes of a mail that comes in |
//! | `sending.rs` | what a customer gets, and what becomes of a mail that cannot be sent |
//! | `faults.rs` | whether every mail is there once, whatever breaks |
//! | `continued.rs` | whether a chat of a website goes on by mail |
//! | `gate.rs` | stands between the daemon and the IMAP server, and cuts the connection where a test wants it |

mod continued;
mod faults;
mod gate;
mod receiving;
mod sending;

use crate::harness::{Answer, Builder, Client, Daemon, SOON, eventually, skipped};
use crate::mail_servers::{MailServers, PASSWORD, StoredMail};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Mail servers, a daemon that trusts them, and one inbox for `support@support.test`.
struct Desk {
    daemon: Daemon,
    client: Client,
    inbox: i64,
    servers: Arc<MailServers>,
}

impl Desk {
    /// Nothing where there are no mail servers, which is then said once.
    fn servers() -> Option<MailServers> {
        let servers = MailServers::start();
        if servers.is_none() {
            skipped("e-mail inboxes", "needs Dovecot, Exim and openssl, and root's rights to start them");
        }
        servers
    }

    /// With an inbox that fetches and sends.
    async fn open() -> Option<Self> {
        Some(Desk::with(Self::servers()?, Daemon::builder(), json!({}), json!({})).await)
    }

    /// With these fields of the channel and the inbox besides the usual ones.
    async fn with(servers: MailServers, daemon: Builder, channel: Value, inbox: Value) -> Self {
        let daemon = daemon.prepare().await;
        let certificate = daemon.site().folder().join("servers.pem");
        std::fs::write(&certificate, servers.certificate_pem()).unwrap();
        let mut desk = Desk { client: daemon.client(), daemon, inbox: 0, servers: Arc::new(servers) };
        desk.daemon.site_mut().environment.insert("SSL_CERT_FILE".to_owned(), certificate.display().to_string());
        desk.daemon.restart().await;
        desk.client = desk.daemon.client();
        let channel = merged(desk.channel(), channel);
        let inbox = merged(json!({ "name": "Support", "channel": channel }), inbox);
        desk.inbox = desk.client.post(desk.client.a("/inboxes"), inbox).await.expect(200).id("/id");
        desk
    }

    fn channel(&self) -> Value {
        json!({
            "type": "email",
            "email": "support@support.test",
            "imap_enabled": true,
            "imap_address": "localhost",
            "imap_port": self.servers.imaps_port,
            "imap_login": "support",
            "imap_password": PASSWORD,
            "imap_enable_ssl": true,
            "smtp_enabled": true,
            "smtp_address": "localhost",
            "smtp_port": self.servers.smtp_port,
            "smtp_login": "support",
            "smtp_password": PASSWORD,
        })
    }

    /// The servers, to stop and start them.
    fn servers_mut(&mut self) -> &mut MailServers {
        Arc::get_mut(&mut self.servers).expect("something else still uses the servers")
    }

    async fn restart(&mut self) {
        self.daemon.restart().await;
        self.client = self.daemon.client();
    }

    async fn get(&self, path: &str) -> Answer {
        self.client.get(self.client.a(path)).await.expect(200)
    }

    async fn change_channel(&self, fields: Value) {
        let path = self.client.a(&format!("/inboxes/{}", self.inbox));
        self.client.patch(path, json!({ "channel": fields })).await.expect(200);
    }

    async fn health(&self) -> Answer {
        self.get(&format!("/inboxes/{}/health", self.inbox)).await
    }

    /// Waits until the inbox's health is as asked for.
    async fn healthy(&self, is_fine: impl Fn(&Value) -> bool) -> Answer {
        eventually(SOON * 2, async || Some(self.health().await).filter(|health| is_fine(&health.body))).await
    }

    async fn is_in_state(&self, state: &str) -> Answer {
        self.healthy(|health| health["state"] == state).await
    }

    /// All conversations, in the order in which they began.
    async fn conversations(&self) -> Vec<Value> {
        let mut all = Vec::new();
        for page in 1.. {
            let answer = self.get(&format!("/conversations?status=all&page={page}")).await;
            let listed = answer.at("/data/payload").as_array().unwrap().clone();
            if listed.is_empty() {
                break;
            }
            all.extend(listed);
        }
        all.sort_by_key(|conversation| conversation["id"].as_i64());
        // One that a newer one moved to the next page meanwhile was listed twice.
        all.dedup_by_key(|conversation| conversation["id"].as_i64());
        all
    }

    /// Messages of a conversation, oldest first.
    async fn messages(&self, conversation: i64) -> Vec<Value> {
        self.get(&format!("/conversations/{conversation}/messages")).await.at("/payload").as_array().unwrap().clone()
    }

    /// Waits until a conversation has so many messages, and returns them.
    async fn wait_for_messages(&self, conversation: i64, count: usize) -> Vec<Value> {
        eventually(SOON * 2, async || {
            let answer = self.client.get(self.client.a(&format!("/conversations/{conversation}/messages"))).await;
            let messages = answer.body["payload"].as_array().cloned().unwrap_or_default();
            (messages.len() >= count).then_some(messages)
        })
        .await
    }

    /// What customers wrote, over all conversations, sorted.
    async fn received(&self) -> Vec<String> {
        let mut texts = Vec::new();
        for conversation in self.conversations().await {
            let messages = self.messages(conversation["id"].as_i64().unwrap()).await;
            let incoming = messages.iter().filter(|message| message["message_type"] == 0);
            texts.extend(incoming.map(|message| message["content"].as_str().unwrap().to_owned()));
        }
        texts.sort();
        texts
    }

    /// Waits until these texts are there, and fails when one is there twice.
    async fn wait_for_received(&self, mut expected: Vec<String>) {
        expected.sort();
        let found = eventually(SOON * 4, async || {
            let found = self.received().await;
            (found.len() >= expected.len() || found.windows(2).any(|pair| pair[0] == pair[1])).then_some(found)
        })
        .await;
        assert_eq!(found, expected);
    }

    /// An agent's answer.
    async fn reply(&self, conversation: i64, content: &str) -> Answer {
        let path = self.client.a(&format!("/conversations/{conversation}/messages"));
        self.client.post(path, json!({ "content": content })).await.expect(200)
    }

    /// Waits until a message is as asked for.
    async fn message(&self, conversation: i64, message: i64, is_fine: impl Fn(&Value) -> bool) -> Value {
        eventually(SOON * 2, async || {
            let messages = self.messages(conversation).await;
            messages.into_iter().find(|found| found["id"] == message && is_fine(found))
        })
        .await
    }

    /// Waits until a mailbox holds so many mails, and returns them.
    fn mails(&self, mailbox: &str, count: usize) -> Vec<StoredMail> {
        self.servers.wait_for(mailbox, |mails| mails.len() >= count)
    }

    /// How many sessions the daemon has begun, over all its starts.
    fn sessions(&self) -> usize {
        self.daemon.log().matches("session begins").count()
    }
}

/// The first with all fields of the second.
fn merged(base: Value, more: Value) -> Value {
    let fields = |value: Value| match value {
        Value::Object(fields) => fields,
        other => panic!("no object: {other}"),
    };
    Value::Object(fields(base).into_iter().chain(fields(more)).collect::<Map<_, _>>())
}

/// A plain mail to the inbox; `headers` are further lines.
fn mail(from: &str, id: &str, headers: &str, text: &str) -> Vec<u8> {
    let to = if headers.contains("To: ") && !headers.contains("In-Reply-To: ") { "" } else { "To: support@support.test\n" };
    format!("From: {from}\n{to}Message-ID: <{id}>\n{headers}\n{text}\n").into_bytes()
}

/// A header of a mail, in one line.
fn header(raw: &str, name: &str) -> Option<String> {
    let head = raw.split("\n\n").next().unwrap_or_default().replace("\n ", " ").replace("\n\t", " ");
    let line = head.lines().find(|line| line.to_lowercase().starts_with(&format!("{}:", name.to_lowercase())))?;
    Some(line[name.len() + 1..].trim().to_owned())
}
