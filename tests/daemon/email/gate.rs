//! Stands between the daemon and the IMAP server, so that a connection can be cut at a certain command.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Passes everything on, but for STARTTLS, which it refuses: it has to read along.
pub struct Gate {
    /// Where it listens.
    pub port: u16,
    orders: Arc<Orders>,
}

#[derive(Default)]
struct Orders {
    /// The command at which to cut.
    command: Mutex<String>,
    /// How often.
    left: AtomicUsize,
    /// How often it was.
    done: AtomicUsize,
    /// Whether the command is kept from the server while the connection stays.
    holds: AtomicBool,
}

impl Gate {
    /// Before the server at this port.
    pub async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gate = Gate { port: listener.local_addr().unwrap().port(), orders: Arc::default() };
        let orders = gate.orders.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server, orders.clone()));
            }
        });
        gate
    }

    /// Cuts the connection when the daemon sends this command, before the server hears of it; so often.
    pub fn cut_before(&self, command: &str, times: usize) {
        *self.orders.command.lock().unwrap() = command.to_owned();
        self.orders.left.store(times, Ordering::SeqCst);
    }

    /// Keeps this command from the server once, so that the daemon waits for an answer.
    pub fn hold(&self, command: &str) {
        self.orders.holds.store(true, Ordering::SeqCst);
        self.cut_before(command, 1);
    }

    /// How often it has cut, or held, so far.
    pub fn cuts(&self) -> usize {
        self.orders.done.load(Ordering::SeqCst)
    }
}

impl Orders {
    fn cuts(&self, line: &str) -> bool {
        let command = self.command.lock().unwrap();
        if command.is_empty() || !line.contains(command.as_str()) {
            return false;
        }
        let is_ordered = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        self.done.fetch_add(usize::from(is_ordered), Ordering::SeqCst);
        is_ordered
    }
}

async fn pass(client: TcpStream, server: u16, orders: Arc<Orders>) -> Option<()> {
    let (from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = TcpStream::connect(("127.0.0.1", server)).await.ok()?.into_split();
    let mut lines = BufReader::new(from_client).lines();
    let mut answer = vec![0; 1 << 16];
    loop {
        tokio::select! {
            line = lines.next_line() => {
                let line = line.ok()??;
                if orders.cuts(&line) {
                    if orders.holds.load(Ordering::SeqCst) {
                        continue;
                    }
                    return None;
                }
                match line.strip_suffix(" STARTTLS") {
                    Some(tag) => to_client.write_all(format!("{tag} NO not here\r\n").as_bytes()).await.ok()?,
                    None => to_server.write_all(format!("{line}\r\n").as_bytes()).await.ok()?,
                }
            }
            count = from_server.read(&mut answer) => {
                let count = count.ok().filter(|count| *count > 0)?;
                to_client.write_all(&answer[..count]).await.ok()?;
            }
        }
    }
}
