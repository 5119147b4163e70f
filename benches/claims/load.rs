//! A load generator: keep-alive HTTP/1.1 over plain sockets, one request under way per connection, all on one thread. It is small
//! so that it takes little of the cores that it shares with what it measures.
use anyhow::{Context, ensure};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, spawn_local};

/// Runs in before a run is counted.
const WARM_UP: Duration = Duration::from_millis(300);
/// No run sends more requests.
const REQUESTS: usize = 1_000_000;
/// No answer takes longer, or the bench fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// What one run showed.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Answers (or rows) per second.
    pub per_second: f64,
    /// Half took no longer.
    pub p50: Duration,
    /// All but one in a hundred took no longer.
    pub p99: Duration,
}

impl Measured {
    /// Of so many units, each as long as noted (sorted here), in the given time.
    pub fn of(count: usize, mut took: Vec<Duration>, elapsed: Duration) -> Self {
        took.sort_unstable();
        Measured { per_second: count as f64 / elapsed.as_secs_f64(), p50: percentile(&took, 50), p99: percentile(&took, 99) }
    }
}

/// Of sorted durations.
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get(sorted.len() * percent / 100).or(sorted.last()).copied().unwrap_or_default()
}

/// A keep-alive connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, buffer: Vec::with_capacity(8192) })
    }

    /// Sends a request and reads its answer: status and body.
    pub async fn call(&mut self, request: &[u8]) -> anyhow::Result<(u16, &[u8])> {
        self.buffer.clear();
        self.stream.write_all(request).await?;
        let message = tokio::time::timeout(PATIENCE, read_message(&mut self.stream, &mut self.buffer)).await??;
        let head = String::from_utf8_lossy(self.buffer.get(..message.body).unwrap_or_default());
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("the answer has no status")?;
        Ok((status, self.buffer.get(message.body..message.end).unwrap_or_default()))
    }

    /// The same, for an answer of JSON that must be a success.
    pub async fn json(&mut self, request: &[u8]) -> anyhow::Result<serde_json::Value> {
        let (status, body) = self.call(request).await?;
        ensure!(status == 200, "answered {status}: {}", String::from_utf8_lossy(body));
        Ok(serde_json::from_slice(body)?)
    }
}

/// Where the body of a message begins and ends.
pub struct Bounds {
    body: usize,
    /// The first byte after it.
    pub end: usize,
}

/// Reads one whole message, a request or an answer, after what is in the buffer already.
pub async fn read_message(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<Bounds> {
    loop {
        if let Some(bounds) = bounds(buffer)
            && buffer.len() >= bounds.end
        {
            return Ok(bounds);
        }
        ensure!(stream.read_buf(buffer).await? > 0, "the connection was closed");
    }
}

fn bounds(buffer: &[u8]) -> Option<Bounds> {
    const LENGTH: &[u8] = b"content-length:";
    let body = buffer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let mut lines = buffer.get(..body)?.split(|byte| *byte == b'\n');
    let length = lines.find_map(|line| {
        let value = line.get(LENGTH.len()..).filter(|_| line.get(..LENGTH.len()).is_some_and(|name| name.eq_ignore_ascii_case(LENGTH)))?;
        std::str::from_utf8(value).ok()?.trim().parse::<usize>().ok()
    });
    Some(Bounds { body, end: body + length.unwrap_or(0) })
}

/// The bytes of a request.
pub fn request(method: &str, path: &str, token: Option<&str>, body: &str) -> Vec<u8> {
    let token = token.map(|token| format!("api_access_token: {token}\r\n")).unwrap_or_default();
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n{token}content-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// Keeps so many requests in flight for so long. Every answer must be 200.
pub async fn measure(
    address: SocketAddr,
    in_flight: usize,
    length: Duration,
    next: impl FnMut() -> Vec<u8> + 'static,
) -> anyhow::Result<Measured> {
    let next = Rc::new(RefCell::new(next));
    let counted_from = Instant::now() + WARM_UP;
    let until = counted_from + length;
    let mut connections = JoinSet::new();
    for _ in 0..in_flight {
        let (next, mut connection) = (next.clone(), Connection::open(address).await?);
        connections.spawn_local(async move {
            let mut took = Vec::new();
            for _ in 0..REQUESTS / in_flight {
                let request = (next.borrow_mut())();
                let begun = Instant::now();
                if begun >= until {
                    break;
                }
                let (status, body) = connection.call(&request).await?;
                ensure!(status == 200, "answered {status}: {}", String::from_utf8_lossy(body));
                let ended = Instant::now();
                // What ends outside of the time that is counted counts in none.
                if ended > counted_from && ended <= until {
                    took.push(ended - begun);
                }
            }
            anyhow::Ok(took)
        });
    }
    let mut took = Vec::new();
    while let Some(ended) = connections.join_next().await {
        took.extend(ended??);
    }
    Ok(Measured::of(took.len(), took, length))
}

/// Sends all of these, so many in flight, and returns the answers in the order of the requests.
pub async fn each(address: SocketAddr, in_flight: usize, requests: Vec<Vec<u8>>) -> anyhow::Result<Vec<serde_json::Value>> {
    let answers = Rc::new(RefCell::new(vec![serde_json::Value::Null; requests.len()]));
    let waiting = Rc::new(RefCell::new(requests.into_iter().enumerate()));
    let mut tasks = Vec::new();
    for _ in 0..in_flight {
        let (answers, waiting, mut connection) = (answers.clone(), waiting.clone(), Connection::open(address).await?);
        tasks.push(spawn_local(async move {
            loop {
                let Some((position, request)) = waiting.borrow_mut().next() else { return anyhow::Ok(()) };
                let answer = connection.json(&request).await?;
                if let Some(place) = answers.borrow_mut().get_mut(position) {
                    *place = answer;
                }
            }
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(answers.take())
}
