//! What leaves the daemon: events to a webhook, and how long they take from the request that causes them.
use crate::daemon::{Daemon, message};
use crate::load::{Connection, read_message, request};
use anyhow::Context;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_local};

/// Nothing takes longer, or the bench fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// A web server that takes every webhook.
pub struct Sink {
    /// Where it listens.
    pub address: SocketAddr,
    calls: mpsc::UnboundedReceiver<(Instant, Vec<u8>)>,
    accepting: JoinHandle<()>,
}

impl Sink {
    /// Listens, on the thread of the bench.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (called, calls) = mpsc::unbounded_channel();
        let accepting = spawn_local(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let called = called.clone();
                spawn_local(async move {
                    let _ = stream.set_nodelay(true);
                    let mut buffer = Vec::new();
                    while let Ok(message) = read_message(&mut stream, &mut buffer).await {
                        let at = Instant::now();
                        let call: Vec<u8> = buffer.drain(..message.end).collect();
                        if called.send((at, call)).is_err() {
                            return;
                        }
                        if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Ok(Sink { address, calls, accepting })
    }

    /// How many calls came since this was last asked.
    pub fn count(&mut self) -> usize {
        std::iter::from_fn(|| self.calls.try_recv().ok()).count()
    }

    /// Posts so many messages one after the other; from each request to the webhook's call, sorted.
    pub async fn measure(&mut self, daemon: &Daemon, path: &str, count: usize) -> anyhow::Result<Vec<Duration>> {
        let mut connection = Connection::open(daemon.address).await?;
        let mut took = Vec::new();
        for number in 0..count {
            let marker = format!("latency-{number}\"");
            let request = request("POST", path, None, &message("latency", number));
            let begun = Instant::now();
            let _: Value = connection.json(&request).await?;
            loop {
                let (at, call) = tokio::time::timeout(PATIENCE, self.calls.recv()).await?.context("the sink has ended")?;
                if String::from_utf8_lossy(&call).contains(&marker) {
                    took.push(at.saturating_duration_since(begun));
                    break;
                }
            }
        }
        took.sort_unstable();
        Ok(took)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
