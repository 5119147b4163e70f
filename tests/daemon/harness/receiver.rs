//! The other side of what the daemon calls: a small HTTP/1.1 server that records requests and answers as told.
//!
//! It speaks HTTP itself, on a plain socket, because a test must be able to do what a web framework prevents: to read a request
//! and then hang, or close the connection without an answer.

use serde_json::Value;
use std::collections::VecDeque;
use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

/// A server on a free loopback port. Dropping it closes the port and every connection.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// One request as it came in.
#[derive(Clone, Debug)]
pub struct Received {
    /// `POST`.
    pub method: String,
    /// Path with the query.
    pub path: String,
    /// Headers in their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The bytes of the body: what a signature is over.
    pub body: Vec<u8>,
    /// The body as JSON; `Null` when it is something else.
    pub json: Value,
    /// When it had come in whole, to measure pauses with.
    pub at: Instant,
    /// The same as a time of day.
    pub time: SystemTime,
}

/// One part of a form.
#[derive(Clone, Debug)]
pub struct FormPart {
    /// The field.
    pub name: String,
    /// `None` for a plain value.
    pub file_name: Option<String>,
    /// As it says itself.
    pub content_type: Option<String>,
    /// The value, or the file.
    pub bytes: Vec<u8>,
}

/// What to answer.
#[derive(Clone, Debug)]
pub struct Reply {
    ending: Ending,
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    delay: Duration,
}

#[derive(Clone, Debug, PartialEq)]
enum Ending {
    Answer,
    Hang,
    Close,
    AskAgain,
}

type Answerer = Box<dyn FnMut(&Received) -> Reply + Send>;

struct State {
    received: Vec<Received>,
    next: VecDeque<Reply>,
    otherwise: Answerer,
}

struct Shared {
    state: Mutex<State>,
    arrived: Notify,
}

impl Receiver {
    /// Listens on a free port and answers everything with an empty 200.
    pub async fn start() -> Self {
        Self::start_on(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Listens on this address: to come back after having been dropped.
    pub async fn start_on(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = State { received: Vec::new(), next: VecDeque::new(), otherwise: Box::new(|_| Reply::status(200)) };
        let shared = Arc::new(Shared { state: Mutex::new(state), arrived: Notify::new() });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Receiver { address, shared, accepting }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path on it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The answer to every request from now on.
    pub fn answer(&self, reply: Reply) {
        self.answer_with(move |_| reply.clone());
    }

    /// The answer to every request from now on, computed from the request.
    pub fn answer_with(&self, answerer: impl FnMut(&Received) -> Reply + Send + 'static) {
        self.shared.state().otherwise = Box::new(answerer);
    }

    /// The answer to one request, before those of [`Receiver::answer`]; several calls make a queue.
    pub fn answer_next(&self, reply: Reply) {
        self.shared.state().next.push_back(reply);
    }

    /// All requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.state().received.clone()
    }

    /// Waits until there were at least `count` requests, and returns all. Fails the test after `deadline`.
    #[track_caller]
    pub fn wait_for(&self, count: usize, deadline: Duration) -> impl Future<Output = Vec<Received>> + '_ {
        self.wait(deadline, move |all| (all.len() >= count).then(|| all.to_vec()))
    }

    /// Waits for a request that fits, and returns the first. Fails the test after `deadline`.
    #[track_caller]
    pub fn wait_until(&self, fits: impl Fn(&Received) -> bool, deadline: Duration) -> impl Future<Output = Received> {
        self.wait(deadline, move |all| all.iter().find(|one| fits(one)).cloned())
    }

    #[track_caller]
    fn wait<T>(&self, deadline: Duration, look: impl Fn(&[Received]) -> Option<T>) -> impl Future<Output = T> {
        let (shared, caller) = (self.shared.clone(), Location::caller());
        async move {
            let waiting = async {
                loop {
                    let arrived = shared.arrived.notified();
                    if let Some(found) = look(&shared.state().received) {
                        return found;
                    }
                    arrived.await;
                }
            };
            if let Ok(found) = tokio::time::timeout(deadline, waiting).await {
                return found;
            }
            let lines: Vec<String> =
                shared.state().received.iter().map(|one| format!("{} {} {}", one.method, one.path, one.text())).collect();
            panic!("{caller}: not received within {deadline:?}; there were {} requests:\n{}", lines.len(), lines.join("\n"));
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Received {
    /// A header's value; the name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The parts of a `multipart/form-data` body, in their order; `None` where it is something else.
    pub fn form(&self) -> Option<Vec<FormPart>> {
        let boundary = self.header("content-type")?.strip_prefix("multipart/form-data; boundary=")?.trim_matches('"');
        let (opens, closes) = (format!("--{boundary}\r\n"), format!("\r\n--{boundary}"));
        let (mut parts, mut rest) = (Vec::new(), self.body.as_slice());
        while let Some(start) = position(rest, opens.as_bytes()) {
            rest = &rest[start + opens.len()..];
            let head_end = position(rest, b"\r\n\r\n")?;
            let head = String::from_utf8_lossy(&rest[..head_end]).into_owned();
            let content = &rest[head_end + 4..];
            let end = position(content, closes.as_bytes())?;
            let word = |name: &str| Some(head.split_once(&format!("; {name}=\""))?.1.split('"').next()?.to_owned());
            let content_type = head.lines().find_map(|line| {
                let (header, value) = line.split_once(':')?;
                header.eq_ignore_ascii_case("content-type").then(|| value.trim().to_owned())
            });
            parts.push(FormPart { name: word("name")?, file_name: word("filename"), content_type, bytes: content[..end].to_vec() });
            rest = &content[end + 2..];
        }
        Some(parts)
    }
}

impl Reply {
    /// An empty answer.
    pub fn status(status: u16) -> Self {
        Reply { ending: Ending::Answer, status, headers: Vec::new(), body: Vec::new(), delay: Duration::ZERO }
    }

    /// 200 with JSON.
    pub fn json(body: &Value) -> Self {
        Reply { body: body.to_string().into_bytes(), ..Self::status(200) }.header("content-type", "application/json")
    }

    /// Never an answer; the connection stays open.
    pub fn hang() -> Self {
        Reply { ending: Ending::Hang, ..Self::status(0) }
    }

    /// The connection is closed after the request was read.
    pub fn drop_connection() -> Self {
        Reply { ending: Ending::Close, ..Self::status(0) }
    }

    /// Not yet an answer: the same request is asked about again after a while. For polls that the other side holds back.
    pub fn ask_again(after: Duration) -> Self {
        Reply { ending: Ending::AskAgain, ..Self::status(0) }.after(after)
    }

    /// Another status, for an answer with a body.
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// One more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Another body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Waits before it answers.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} Told\r\ncontent-length: {}\r\n", self.status, self.body.len());
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        [head.as_bytes(), b"\r\n", &self.body].concat()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn record(&self, request: Received) -> Reply {
        let mut state = self.state();
        let reply = state.next.pop_front().unwrap_or_else(|| (state.otherwise)(&request));
        state.received.push(request);
        drop(state);
        self.arrived.notify_waiters();
        reply
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, shared.clone()));
        while connections.try_join_next().is_some() {}
    }
}

/// One connection, until either side ends it.
async fn serve(stream: TcpStream, shared: Arc<Shared>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read_request(&mut stream).await? {
        let close = request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let mut reply = shared.record(request.clone());
        tokio::time::sleep(reply.delay).await;
        while reply.ending == Ending::AskAgain {
            reply = (shared.state().otherwise)(&request);
            tokio::time::sleep(reply.delay).await;
        }
        match reply.ending {
            Ending::Answer | Ending::AskAgain => stream.write_all(&reply.bytes()).await?,
            Ending::Hang => std::future::pending().await,
            Ending::Close => return Ok(()),
        }
        if close {
            return Ok(());
        }
    }
    Ok(())
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Received>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Err(malformed("request line")) };
    let (method, path) = (method.to_owned(), path.to_owned());
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream).await?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| malformed("header"))?;
        headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    let header = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    if header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let mut body = Vec::new();
    if header("transfer-encoding").is_some_and(|value| value.to_ascii_lowercase().contains("chunked")) {
        loop {
            let line = read_line(stream).await?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(digits, 16).map_err(|_| malformed("chunk size"))?;
            let before = body.len();
            body.resize(before + size, 0);
            stream.read_exact(&mut body[before..]).await?;
            // After a chunk an empty line; after the last one, trailers up to an empty line.
            while !read_line(stream).await?.is_empty() {}
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = header("content-length") {
        body.resize(length.parse().map_err(|_| malformed("content-length"))?, 0);
        stream.read_exact(&mut body).await?;
    }
    let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Ok(Some(Received { method, path, headers, body, json, at: Instant::now(), time: SystemTime::now() }))
}

async fn read_line(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn malformed(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("malformed {what}"))
}
