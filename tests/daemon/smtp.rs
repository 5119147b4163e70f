//! The other side of sending: a small SMTP server in the clear that counts what it is given, and can leave the client waiting.
//!
//! The e-mail tests use a real one (`mail_servers.rs`); this one does what no real one does when asked.

use crate::harness::{Client, SOON, eventually};
use serde_json::json;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A server on a free loopback port. Dropping it closes the port and every connection.
pub struct Smtp {
    port: u16,
    seen: Arc<Seen>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    mails: Mutex<Vec<String>>,
    hangs: AtomicBool,
    connections: AtomicUsize,
    most_connections: AtomicUsize,
}

impl Smtp {
    /// Takes every mail.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, seen) = (listener.local_addr().unwrap().port(), Arc::<Seen>::default());
        let accepting = tokio::spawn(accept(listener, seen.clone()));
        Smtp { port, seen, accepting }
    }

    /// Where it listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it reads mails and says nothing, from now on.
    pub fn hang(&self, hangs: bool) {
        self.seen.hangs.store(hangs, Ordering::SeqCst);
    }

    /// The mails that came in whole, answered or not.
    pub fn mails(&self) -> Vec<String> {
        self.seen.mails.lock().unwrap().clone()
    }

    /// Waits for so many mails.
    pub async fn wait_for(&self, count: usize) -> Vec<String> {
        eventually(SOON * 2, async || Some(self.mails()).filter(|mails| mails.len() >= count)).await
    }

    /// How many connections there were at once at most.
    pub fn most_connections(&self) -> usize {
        self.seen.most_connections.load(Ordering::SeqCst)
    }

    /// An e-mail inbox that sends here and fetches nothing; its id.
    pub async fn inbox(&self, client: &Client) -> i64 {
        let channel = json!({
            "type": "email", "email": "support@support.test", "smtp_enabled": true, "smtp_address": "127.0.0.1", "smtp_port": self.port,
            "smtp_enable_starttls_auto": false, "smtp_login": "",
        });
        client.post(client.a("/inboxes"), json!({"name": "Mail", "channel": channel})).await.expect(200).id("/id")
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, seen: Arc<Seen>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let seen = seen.clone();
        connections.spawn(async move {
            let now = seen.connections.fetch_add(1, Ordering::SeqCst) + 1;
            seen.most_connections.fetch_max(now, Ordering::SeqCst);
            let _ = serve(stream, &seen).await;
            seen.connections.fetch_sub(1, Ordering::SeqCst);
        });
        while connections.try_join_next().is_some() {}
    }
}

/// One connection, until the client ends it.
async fn serve(stream: TcpStream, seen: &Seen) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 ready\r\n").await?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let command = line.trim_end().to_ascii_uppercase();
        if command == "DATA" {
            stream.write_all(b"354 go on\r\n").await?;
            let mut mail = String::new();
            while !mail.ends_with("\r\n.\r\n") {
                if stream.read_line(&mut mail).await? == 0 {
                    return Ok(());
                }
            }
            seen.mails.lock().unwrap().push(mail);
            if seen.hangs.load(Ordering::SeqCst) {
                // Until the client goes.
                let mut rest = Vec::new();
                stream.read_to_end(&mut rest).await?;
                return Ok(());
            }
        }
        stream.write_all(if command == "QUIT" { b"221 bye\r\n" } else { b"250 fine\r\n" }).await?;
    }
}
