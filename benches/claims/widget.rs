//! The website chat: from a visitor's message to the agent's websocket, and what visitors who say nothing cost; beside the same
//! message through the API channel, and beside a bare actix-ws server that only passes on, by the same client in the same run.
use crate::channels::listen;
use crate::daemon::{Daemon, TOKEN, marker, memory_of, processor_time_of, words};
use crate::load::{Connection, each, percentile, request};
use crate::sockets::{BareSockets, Process, connect, raise_limit};
use crate::{median, millis, say};
use anyhow::{Context, ensure};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet, spawn_local};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// Those who write, each in turn: so many that nobody is taken for a flood.
const WRITERS: usize = 256;
/// Messages of a run.
const MESSAGES: usize = 512;
const RUNS: usize = 3;
const AT_ONCE: [usize; 2] = [1, 32];
/// Visitors who are connected and say nothing.
const IDLE: usize = 5_000;
/// How often each of them says that it is there, as the widget does.
const PRESENCE: Duration = Duration::from_secs(60);
/// How often a server says that it is there.
const PING: Duration = Duration::from_secs(3);
/// How long the processor's time is counted: until every visitor has said so once; of the bare server, which only pings, less.
const WATCHED: Duration = PRESENCE;
const BARE_WATCHED: Duration = Duration::from_secs(15);
/// How long memory is given to settle: two pings.
const SETTLED: Duration = Duration::from_secs(7);
/// Nothing takes longer, or the bench fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Measures and prints.
pub async fn measure(folder: &Path, settings: &str) -> anyhow::Result<()> {
    let idle = raise_limit(IDLE)?;
    ensure!(idle > 0, "the system allows no more open files (ulimit -Hn)");
    std::fs::create_dir_all(folder)?;
    let bare = BareSockets::start()?;
    let daemon = Daemon::start(folder, settings, None).await?;
    let website = make_website(&daemon).await?;
    let visitors = make_visitors(&daemon, &website, idle.max(WRITERS)).await?;
    latencies(&daemon, &bare, &website, &visitors).await?;
    drop(daemon);
    // What making the visitors took is no memory of idle ones: measured is another start.
    let daemon = Daemon::start(folder, settings, None).await?;
    let visitors = visitors.get(..idle).unwrap_or_default();
    let _agent = Agent::of(listen(&daemon).await?);
    let of_daemon = cost(daemon.process_id(), visitors.len(), WATCHED, open(daemon.address, "/cable", visitors, true)).await?;
    drop(daemon);
    let pings = spawn_local(ping(bare.address));
    let of_bare = cost(bare.id(), visitors.len(), BARE_WATCHED, open(bare.address, "/", visitors, false)).await?;
    ensure!(!pings.is_finished(), "the bare server's pings have ended");
    pings.abort();
    println!("\n{idle} visitors connected, each on a websocket of its own that says so every {PRESENCE:?}, and one agent:");
    say("memory per idle visitor", format!("{:.0} bytes (VmRSS above the daemon without them)", of_daemon.memory));
    say("  floor: bare actix-ws", format!("{:.0} bytes; above it {:.0}", of_bare.memory, of_daemon.memory - of_bare.memory));
    say("processor", format!("{:.1} % of a core (over {WATCHED:?}, pings every {PING:?})", of_daemon.processor * 100.0));
    say("  floor: bare actix-ws", format!("{:.1} % of a core (over {BARE_WATCHED:?}, the same pings)", of_bare.processor * 100.0));
    Ok(())
}

/// A visitor of the website, as its widget knows it.
struct Visitor {
    auth_token: String,
    pubsub_token: String,
}

/// The website token of a new inbox.
async fn make_website(daemon: &Daemon) -> anyhow::Result<String> {
    let inbox = json!({ "name": "site", "channel": { "type": "web_widget", "website_url": "https://shop.example.com" } });
    let posted = request("POST", "/api/v1/accounts/1/inboxes", Some(TOKEN), &inbox.to_string());
    let made = Connection::open(daemon.address).await?.json(&posted).await?;
    Ok(made.get("website_token").and_then(Value::as_str).context("the inbox has no website token")?.to_owned())
}

async fn make_visitors(daemon: &Daemon, website: &str, count: usize) -> anyhow::Result<Vec<Visitor>> {
    let asked = request("POST", &format!("/api/v1/widget/config?website_token={website}"), None, "{}");
    let answers = each(daemon.address, 64, vec![asked; count]).await?;
    let text = |answer: &Value, path: &str| answer.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let visitor = |answer: &Value| {
        Some(Visitor {
            auth_token: text(answer, "/website_channel_config/auth_token")?,
            pubsub_token: text(answer, "/contact/pubsub_token")?,
        })
    };
    answers.iter().map(visitor).collect::<Option<_>>().context("a visitor has no tokens")
}

/// Requests with messages of the visitors, each in turn, as the widget posts them.
fn written(website: &str, visitors: &[Visitor], run: &str) -> impl FnMut() -> Vec<u8> + 'static {
    let tokens: Vec<String> = visitors.iter().take(WRITERS).map(|visitor| visitor.auth_token.clone()).collect();
    let (path, run, mut number) = (format!("/api/v1/widget/messages?website_token={website}"), run.to_owned(), 0usize);
    move || {
        number += 1;
        let token = tokens.get(number % tokens.len()).map(String::as_str).unwrap_or_default();
        let message = json!({ "message": {
            "content": words(&run, number), "timestamp": "2026-01-01T00:00:00.000Z", "referer_url": "https://shop.example.com/cart",
        } });
        let body = message.to_string();
        let length = body.len();
        format!(
            "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\nx-auth-token: {token}\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }
}

/// Requests with frames that the bare server passes on.
fn passed_on(run: &str) -> impl FnMut() -> Vec<u8> + 'static {
    let (run, mut number) = (run.to_owned(), 0usize);
    move || {
        number += 1;
        let frame = json!({ "message": { "event": "message.created", "data": { "content": words(&run, number) } } });
        request("POST", "/", None, &frame.to_string())
    }
}

async fn latencies(daemon: &Daemon, bare: &BareSockets, website: &str, visitors: &[Visitor]) -> anyhow::Result<()> {
    let plain = daemon.inbox("plain", WRITERS).await?;
    // With the first message a visitor's conversation begins, which is counted nowhere.
    let mut first = written(website, visitors, "first");
    each(daemon.address, 32, std::iter::repeat_with(&mut first).take(WRITERS).collect()).await?;
    let mut agent = Agent::of(listen(daemon).await?);
    let mut of_bare = Agent::of(connect(bare.address, "/", None).await?);
    let mut rows: [[Row; 3]; 2] = Default::default();
    for run in 0..RUNS {
        for (at_once, [widget, api, floor]) in AT_ONCE.into_iter().zip(&mut rows) {
            let name = format!("bare-{at_once}-{run}");
            floor.add(post(bare.address, &mut of_bare, at_once, &name, passed_on(&name)).await?);
            let name = format!("api-{at_once}-{run}");
            api.add(post(daemon.address, &mut agent, at_once, &name, plain.messages(&name)).await?);
            let name = format!("widget-{at_once}-{run}");
            widget.add(post(daemon.address, &mut agent, at_once, &name, written(website, visitors, &name)).await?);
        }
    }
    println!("\nA message until the agent's websocket, and until its own answer: ms, median of {RUNS} runs of {MESSAGES}, on SQLite");
    println!("{:<26} {:>8} {:>13} {:>9} {:>13} {:>9}", "", "at once", "told p50", "p99", "answered p50", "p99");
    for (at_once, [widget, api, floor]) in AT_ONCE.into_iter().zip(rows) {
        widget.print("widget", at_once);
        api.print("  floor: API channel", at_once);
        floor.print("  floor: bare actix-ws", at_once);
    }
    Ok(())
}

/// The runs of one way, in ms.
#[derive(Default)]
struct Row {
    told: [Vec<f64>; 2],
    answered: [Vec<f64>; 2],
}

impl Row {
    fn add(&mut self, Times { mut told, mut answered }: Times) {
        for (into, took) in [(&mut self.told, &mut told), (&mut self.answered, &mut answered)] {
            took.sort_unstable();
            let [p50, p99] = into;
            p50.push(millis(percentile(took, 50)));
            p99.push(millis(percentile(took, 99)));
        }
    }

    fn print(self, what: &str, at_once: usize) {
        let ([told, told99], [answered, answered99]) = (self.told.map(median), self.answered.map(median));
        println!("{what:<26} {at_once:>8} {told:>13.2} {told99:>9.2} {answered:>13.2} {answered99:>9.2}");
    }
}

/// How long each message of a run took, in no order.
struct Times {
    told: Vec<Duration>,
    answered: Vec<Duration>,
}

/// Posts the messages of a run, so many at once, and waits until the agent has heard of all.
async fn post(
    address: SocketAddr,
    agent: &mut Agent,
    at_once: usize,
    run: &str,
    next: impl FnMut() -> Vec<u8> + 'static,
) -> anyhow::Result<Times> {
    let next = Rc::new(RefCell::new((0..MESSAGES).zip(std::iter::repeat_with(next))));
    let mut connections = JoinSet::new();
    for _ in 0..at_once {
        let (next, mut connection) = (next.clone(), Connection::open(address).await?);
        connections.spawn_local(async move {
            let mut posted = Vec::new();
            loop {
                let Some((number, request)) = next.borrow_mut().next() else { return anyhow::Ok(posted) };
                let begun = Instant::now();
                let (status, body) = connection.call(&request).await?;
                ensure!(status == 200, "answered {status}: {}", String::from_utf8_lossy(body));
                posted.push((number, begun, begun.elapsed()));
            }
        });
    }
    let (mut waiting, mut answered) = (HashMap::new(), Vec::new());
    while let Some(ended) = connections.join_next().await {
        for (number, begun, took) in ended?? {
            // Messages are numbered from one.
            waiting.insert(marker(run, number + 1), begun);
            answered.push(took);
        }
    }
    let mut told = Vec::new();
    while !waiting.is_empty() {
        let heard = tokio::time::timeout(PATIENCE, agent.frames.recv()).await;
        let (at, name) = heard.with_context(|| format!("{} messages were not told", waiting.len()))?.context("the websocket ended")?;
        if let Some(begun) = waiting.remove(&name) {
            told.push(at.saturating_duration_since(begun));
        }
    }
    Ok(Times { told, answered })
}

/// A websocket that hears of messages: when, and which.
struct Agent {
    frames: mpsc::UnboundedReceiver<(Instant, String)>,
    reader: JoinHandle<()>,
}

impl Agent {
    fn of(mut socket: WebSocketStream<TcpStream>) -> Self {
        let (heard, frames) = mpsc::unbounded_channel();
        let reader = spawn_local(async move {
            while let Some(Ok(frame)) = socket.next().await {
                let at = Instant::now();
                let frame: Value = serde_json::from_str(frame.to_text().unwrap_or_default()).unwrap_or_default();
                let content = frame.pointer("/message/data/content").and_then(Value::as_str).and_then(|content| content.split_once(':'));
                if let Some((name, _)) = content
                    && frame.pointer("/message/event").is_some_and(|event| event == "message.created")
                {
                    let _ = heard.send((at, name.to_owned()));
                }
            }
        });
        Agent { frames, reader }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// What a visitor costs: bytes of memory; and all of them: a part of a core.
struct Cost {
    memory: f64,
    processor: f64,
}

async fn cost(process: u32, count: usize, watched: Duration, open: impl Future<Output = anyhow::Result<Idle>>) -> anyhow::Result<Cost> {
    tokio::time::sleep(SETTLED).await;
    let before = memory_of(process)?;
    let sockets = open.await?;
    tokio::time::sleep(SETTLED).await;
    let memory = (memory_of(process)? - before) * 1024.0 / count as f64;
    let (used, begun) = (processor_time_of(process)?, Instant::now());
    tokio::time::sleep(watched).await;
    let used = processor_time_of(process)?.saturating_sub(used);
    let processor = used.as_secs_f64() / begun.elapsed().as_secs_f64();
    let ended = sockets.0.iter().filter(|socket| socket.is_finished()).count();
    ensure!(ended == 0, "{ended} of {count} websockets have ended");
    Ok(Cost { memory, processor })
}

/// Open websockets, read on the thread of the bench.
struct Idle(Vec<JoinHandle<()>>);

impl Drop for Idle {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Opens one for each visitor. They say that they are there one after the other, evenly, as those do who came at different times.
async fn open(address: SocketAddr, path: &str, visitors: &[Visitor], subscribes: bool) -> anyhow::Result<Idle> {
    let mut sockets = Idle(Vec::new());
    for (number, visitor) in visitors.iter().enumerate() {
        let identifier = json!({ "channel": "RoomChannel", "pubsub_token": visitor.pubsub_token }).to_string();
        let subscribe = json!({ "command": "subscribe", "identifier": identifier }).to_string();
        let mut socket = connect(address, path, subscribes.then_some(subscribe.as_str())).await?;
        let present = json!({ "command": "message", "identifier": identifier, "data": r#"{"action":"update_presence"}"# }).to_string();
        let first = tokio::time::Instant::now() + PRESENCE.mul_f64((number + 1) as f64 / visitors.len() as f64);
        sockets.0.push(spawn_local(async move {
            let mut times = tokio::time::interval_at(first, PRESENCE);
            loop {
                tokio::select! {
                    frame = socket.next() => if !matches!(frame, Some(Ok(_))) { return },
                    _ = times.tick() => if socket.send(Message::text(present.clone())).await.is_err() { return },
                }
            }
        }));
    }
    Ok(sockets)
}

/// Lets the bare server say to everybody what the daemon says.
async fn ping(address: SocketAddr) -> anyhow::Result<()> {
    let mut connection = Connection::open(address).await?;
    let mut times = tokio::time::interval(PING);
    loop {
        times.tick().await;
        let (status, _) = connection.call(&request("POST", "/", None, r#"{"type":"ping","message":1767225600}"#)).await?;
        ensure!(status == 200, "the bare server does not ping: {status}");
    }
}
