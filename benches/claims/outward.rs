//! What leaves the daemon: events to websockets and to a webhook, and how long they take from the request that causes them.
use crate::daemon::{Daemon, message};
use crate::load::{Connection, read_message, request};
use anyhow::{Context, ensure};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_local};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

/// Nothing takes longer, or the bench fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of events that all sockets received.
pub struct FanOut {
    /// From the request to each socket's frame, sorted.
    pub each: Vec<Duration>,
    /// From the request to the last socket's frame, sorted by event.
    pub last: Vec<Duration>,
}

/// Sockets of one agent, each subscribed.
pub struct Sockets {
    frames: mpsc::UnboundedReceiver<Instant>,
    count: usize,
    readers: Vec<JoinHandle<()>>,
}

impl Sockets {
    /// Opens them, one after the other.
    pub async fn open(daemon: &Daemon, count: usize) -> anyhow::Result<Self> {
        let profile = daemon.get("/api/v1/profile").await?;
        let token = profile.get("pubsub_token").context("the profile has no pubsub_token")?;
        let identifier = json!({ "channel": "RoomChannel", "pubsub_token": token, "account_id": 1, "user_id": profile.get("id") });
        let subscribe = json!({ "command": "subscribe", "identifier": identifier.to_string() }).to_string();
        let (arrived, frames) = mpsc::unbounded_channel();
        let mut readers = Vec::new();
        for _ in 0..count {
            let mut request = format!("ws://{}/cable", daemon.address).into_client_request()?;
            request.headers_mut().insert("sec-websocket-protocol", "actioncable-v1-json".parse()?);
            let stream = TcpStream::connect(daemon.address).await?;
            let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await?;
            socket.send(Message::text(subscribe.clone())).await?;
            loop {
                let frame = tokio::time::timeout(PATIENCE, socket.next()).await?.context("a websocket ended")??;
                ensure!(!frame.to_text().unwrap_or_default().contains("reject_subscription"), "a subscription was refused");
                if frame.to_text().unwrap_or_default().contains("confirm_subscription") {
                    break;
                }
            }
            let arrived = arrived.clone();
            readers.push(spawn_local(async move {
                while let Some(Ok(frame)) = socket.next().await {
                    if frame.to_text().unwrap_or_default().contains("message.created") {
                        let _ = arrived.send(Instant::now());
                    }
                }
            }));
        }
        Ok(Sockets { frames, count, readers })
    }

    /// Posts these messages one after the other, each when everybody has heard of the last one.
    pub async fn measure(&mut self, address: SocketAddr, requests: Vec<Vec<u8>>) -> anyhow::Result<FanOut> {
        let mut connection = Connection::open(address).await?;
        let mut times = FanOut { each: Vec::new(), last: Vec::new() };
        for request in requests {
            let begun = Instant::now();
            connection.json(&request).await?;
            let mut last = Duration::ZERO;
            for _ in 0..self.count {
                let at = tokio::time::timeout(PATIENCE, self.frames.recv()).await?.context("all websockets have ended")?;
                last = at.saturating_duration_since(begun);
                times.each.push(last);
            }
            times.last.push(last);
        }
        times.each.sort_unstable();
        times.last.sort_unstable();
        Ok(times)
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        self.readers.iter().for_each(JoinHandle::abort);
    }
}

/// The floor of a fan-out: a thread that writes so many bytes to each of so many plain sockets, which are read as above.
pub async fn plain_fan_out(count: usize, size: usize, rounds: usize) -> anyhow::Result<FanOut> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (go, begin) = std::sync::mpsc::channel::<()>();
    let writer = std::thread::spawn(move || -> std::io::Result<()> {
        let mut sockets = (0..count).map(|_| listener.accept().map(|(socket, _)| socket)).collect::<std::io::Result<Vec<_>>>()?;
        let frame = vec![b'x'; size];
        while begin.recv().is_ok() {
            for socket in &mut sockets {
                socket.write_all(&frame)?;
            }
        }
        Ok(())
    });
    let (arrived, mut frames) = mpsc::unbounded_channel();
    for _ in 0..count {
        let mut stream = TcpStream::connect(address).await?;
        let arrived = arrived.clone();
        spawn_local(async move {
            let mut frame = vec![0; size];
            while stream.read_exact(&mut frame).await.is_ok() {
                let _ = arrived.send(Instant::now());
            }
        });
    }
    let mut times = FanOut { each: Vec::new(), last: Vec::new() };
    for _ in 0..rounds {
        let begun = Instant::now();
        go.send(())?;
        let mut last = Duration::ZERO;
        for _ in 0..count {
            let at = tokio::time::timeout(PATIENCE, frames.recv()).await?.context("all sockets have ended")?;
            last = at.saturating_duration_since(begun);
            times.each.push(last);
        }
        times.last.push(last);
    }
    drop(go);
    let _ = writer.join();
    times.each.sort_unstable();
    times.last.sort_unstable();
    Ok(times)
}

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
