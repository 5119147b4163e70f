//! Websockets: what an idle one costs, and how long an event takes to a thousand agents; beside a bare actix-ws server that
//! does nothing but broadcast, measured by the same client in the same run.
use crate::daemon::{Daemon, memory_of};
use crate::load::{Connection, percentile, request};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use actors::db::Db;
use anyhow::{Context, ensure};
use entity::account_user::{Availability, Role};
use futures_util::{SinkExt, StreamExt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sea_orm::{ActiveModelTrait, ActiveValue, EntityTrait, IntoActiveModel, TransactionTrait};
use serde_json::json;
use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_local};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

/// The argument with which this program is the bare server.
pub const BARE_SOCKETS: &str = "--bare-sockets";
/// Agents of the one account; each has a socket when an event is told.
const AGENTS: usize = 1_000;
/// Idle sockets whose memory is compared.
const IDLE: usize = 10_000;
const EVENTS: usize = 50;
/// Nothing takes longer, or the bench fails.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long memory is given to settle: two pings.
const SETTLED: Duration = Duration::from_secs(7);
/// What no socket is needed for.
const SPARE: u64 = 200;

/// Measures and prints.
pub async fn measure(folder: &Path, settings: &str) -> anyhow::Result<()> {
    let idle = raise_limit(IDLE)?;
    std::fs::create_dir_all(folder)?;
    drop(Daemon::start(folder, settings, None).await?);
    let subscribes = make_agents(folder).await?;
    let daemon = Daemon::start(folder, settings, None).await?;
    let inbox = daemon.inbox("plain", 1).await?;
    let bare = BareSockets::start()?;

    let heard = {
        let mut sockets = Sockets::open(daemon.address, "/cable", AGENTS, &subscribes).await?;
        let mut next = inbox.messages("fan-out");
        let mut requests = std::iter::repeat_with(&mut next).take(EVENTS);
        sockets.fan_out(daemon.address, || requests.next().unwrap_or_default()).await?
    };
    let floor = {
        let mut sockets = Sockets::open(bare.address, "/", AGENTS, &[]).await?;
        let body = json!(format!("message.created{}", "x".repeat(heard.length.saturating_sub(17)))).to_string();
        sockets.fan_out(bare.address, || request("POST", "/", None, &body)).await?
    };
    let of_daemon = memory_per_socket(&daemon, idle, || Sockets::open(daemon.address, "/cable", idle, &subscribes)).await?;
    let of_bare = memory_per_socket(&bare, idle, || Sockets::open(bare.address, "/", idle, &[])).await?;
    println!("{:<26} {}", format!("message to {AGENTS} agents"), heard.shown());
    println!("{:<26} {}", "  floor: bare actix-ws", floor.shown());
    println!("{:<26} {of_daemon:.0} bytes ({idle} subscribed websockets of {AGENTS} agents, VmRSS)", "memory per idle socket");
    println!("{:<26} {of_bare:.0} bytes; above it {:.0}", "  floor: bare actix-ws", of_daemon - of_bare);
    Ok(())
}

/// As many sockets as the system lets both ends have.
pub fn raise_limit(wanted: usize) -> anyhow::Result<usize> {
    let limit = getrlimit(Resource::Nofile);
    let needed = wanted as u64 + SPARE;
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(wanted);
    }
    let most = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
    setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limit.maximum })?;
    let possible = most.saturating_sub(SPARE) as usize;
    if possible < wanted {
        println!("note: the system allows {most} open files (ulimit -Hn), so {possible} idle sockets are measured and not {wanted}");
    }
    Ok(possible)
}

/// Writes agents into the database of a daemon that does not run; what each subscribes with.
async fn make_agents(folder: &Path) -> anyhow::Result<Vec<String>> {
    let db = Db::open(&format!("sqlite://{}", folder.join("data/konversio.db").display()), 1).await?;
    let transaction = db.write.begin().await?;
    let template = entity::user::Entity::find().one(&transaction).await?.context("there is no administrator")?;
    let mut subscribes = Vec::new();
    for number in 0..AGENTS {
        let (id, token) = (1_000 + i64::try_from(number)?, format!("agent-{number}-0123456789abcdef"));
        let mut row = template.clone();
        row.id = id;
        row.email = format!("agent-{number}@example.com");
        row.name = format!("Agent {number}");
        row.pubsub_token = token.clone();
        let mut row = row.into_active_model().reset_all();
        row.id = ActiveValue::Set(id);
        entity::user::Entity::insert(row).exec_without_returning(&transaction).await?;
        let place = konversio::members::NewPlace {
            account_id: 1,
            role: Role::Administrator,
            inviter_id: None,
            availability: Availability::Online,
            auto_offline: true,
        };
        konversio::members::give_place(&transaction, id, place).await?;
        let identifier = json!({ "channel": "RoomChannel", "pubsub_token": token, "account_id": 1, "user_id": id });
        subscribes.push(json!({ "command": "subscribe", "identifier": identifier.to_string() }).to_string());
    }
    transaction.commit().await?;
    db.write.close().await?;
    db.read.close().await?;
    Ok(subscribes)
}

/// A process whose memory can be seen.
pub trait Process {
    /// Its number.
    fn id(&self) -> u32;
}

impl Process for Daemon {
    fn id(&self) -> u32 {
        self.process_id()
    }
}

impl Process for BareSockets {
    fn id(&self) -> u32 {
        self.child.id()
    }
}

async fn memory_per_socket<F: Future<Output = anyhow::Result<Sockets>>>(
    process: &impl Process,
    count: usize,
    open: impl FnOnce() -> F,
) -> anyhow::Result<f64> {
    tokio::time::sleep(SETTLED).await;
    let before = memory_of(process.id())?;
    let _sockets = open().await?;
    tokio::time::sleep(SETTLED).await;
    Ok((memory_of(process.id())? - before) * 1024.0 / count as f64)
}

/// How long an event took.
struct FanOut {
    /// To each socket, sorted.
    each: Vec<Duration>,
    /// To the last socket, sorted by event.
    last: Vec<Duration>,
    /// Bytes of a frame.
    length: usize,
}

impl FanOut {
    fn shown(&self) -> String {
        let millis = |what: &[Duration], percent| percentile(what, percent).as_secs_f64() * 1e3;
        let (each, last) = (&self.each, &self.last);
        format!(
            "each p50 {:.1} ms, p99 {:.1} ms; the last p50 {:.1} ms, p99 {:.1} ms ({EVENTS} events, frames of {} bytes)",
            millis(each, 50),
            millis(each, 99),
            millis(last, 50),
            millis(last, 99),
            self.length
        )
    }
}

/// A websocket; it says `subscribe`, if there is such a thing, and waits for the confirmation.
pub async fn connect(address: SocketAddr, path: &str, subscribe: Option<&str>) -> anyhow::Result<WebSocketStream<TcpStream>> {
    let mut request = format!("ws://{address}{path}").into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", "actioncable-v1-json".parse()?);
    let stream = TcpStream::connect(address).await?;
    let config = WebSocketConfig::default().read_buffer_size(4096);
    let (mut socket, _) = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await?;
    let Some(subscribe) = subscribe else { return Ok(socket) };
    socket.send(Message::text(subscribe)).await?;
    loop {
        let frame = tokio::time::timeout(PATIENCE, socket.next()).await.context("a subscription is not confirmed")?;
        let frame = frame.context("a websocket ended")??;
        let text = frame.to_text().unwrap_or_default();
        ensure!(!text.contains("reject_subscription"), "a subscription was refused");
        if text.contains("confirm_subscription") {
            return Ok(socket);
        }
    }
}

/// Open sockets, read on the thread of the bench.
struct Sockets {
    frames: mpsc::UnboundedReceiver<(Instant, usize)>,
    count: usize,
    readers: Vec<JoinHandle<()>>,
}

impl Sockets {
    /// Opens them, one after the other; each says one of `subscribes`, in turn, and waits for the confirmation.
    async fn open(address: SocketAddr, path: &str, count: usize, subscribes: &[String]) -> anyhow::Result<Self> {
        let (arrived, frames) = mpsc::unbounded_channel();
        let mut subscribes = subscribes.iter().cycle();
        let mut readers = Vec::new();
        for _ in 0..count {
            let mut socket = connect(address, path, subscribes.next().map(String::as_str)).await?;
            let arrived = arrived.clone();
            readers.push(spawn_local(async move {
                while let Some(Ok(frame)) = socket.next().await {
                    let text = frame.to_text().unwrap_or_default();
                    if text.contains("message.created") {
                        let _ = arrived.send((Instant::now(), text.len()));
                    }
                }
            }));
        }
        Ok(Sockets { frames, count, readers })
    }

    /// Causes events one after the other, each when everybody has heard of the last one.
    async fn fan_out(&mut self, address: SocketAddr, mut next: impl FnMut() -> Vec<u8>) -> anyhow::Result<FanOut> {
        tokio::time::sleep(SETTLED).await;
        // Only now: a connection that asks for nothing is closed after a few seconds.
        let mut connection = Connection::open(address).await?;
        let mut times = FanOut { each: Vec::new(), last: Vec::new(), length: 0 };
        for _ in 0..EVENTS {
            let begun = Instant::now();
            let (status, _) = connection.call(&next()).await?;
            ensure!(status == 200, "an event could not be caused: {status}");
            let mut last = Duration::ZERO;
            for number in 0..self.count {
                let heard = tokio::time::timeout(PATIENCE, self.frames.recv()).await;
                let (at, length) = heard
                    .with_context(|| {
                        let ended = self.readers.iter().filter(|reader| reader.is_finished()).count();
                        format!("event {} was not heard {} times, {ended} websockets have ended", times.last.len() + 1, self.count - number)
                    })?
                    .context("all websockets have ended")?;
                last = at.saturating_duration_since(begun);
                times.each.push(last);
                times.length = length;
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

/// The bare server in a process of its own; killed when dropped.
pub struct BareSockets {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl BareSockets {
    /// Starts this program once more.
    pub fn start() -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?).arg(BARE_SOCKETS).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("the bare server has no output")?).read_line(&mut line)?;
        Ok(BareSockets { child, address: line.trim().parse().context("the bare server did not say where it listens")? })
    }
}

impl Drop for BareSockets {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

thread_local! {
    static SESSIONS: RefCell<Vec<Rc<RefCell<actix_ws::Session>>>> = const { RefCell::new(Vec::new()) };
}

/// One worker; a GET opens a websocket, a POST is told to all of them.
pub fn serve_bare_sockets() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let open = async |request: HttpRequest, body: web::Payload| -> Result<HttpResponse, actix_web::Error> {
        let (mut response, session, mut stream) = actix_ws::handle(&request, body)?;
        let name = actix_web::http::header::HeaderValue::from_static("actioncable-v1-json");
        response.headers_mut().insert(actix_web::http::header::SEC_WEBSOCKET_PROTOCOL, name);
        let session = Rc::new(RefCell::new(session));
        SESSIONS.with_borrow_mut(|sessions| sessions.push(session.clone()));
        actix_web::rt::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                if matches!(message, actix_ws::Message::Close(_)) {
                    break;
                }
            }
            SESSIONS.with_borrow_mut(|sessions| sessions.retain(|other| !Rc::ptr_eq(other, &session)));
        });
        Ok(response)
    };
    let tell = async |body: String| {
        let sessions = SESSIONS.with_borrow(Clone::clone);
        for session in sessions {
            let mut session = session.borrow().clone();
            let _ = session.text(body.clone()).await;
        }
        HttpResponse::Ok().finish()
    };
    let serve = move || App::new().route("/", web::get().to(open)).route("/", web::post().to(tell));
    actix_web::rt::System::new().block_on(async { HttpServer::new(serve).workers(1).listen(listener)?.run().await })?;
    Ok(())
}
