//! Many channels at once: 500 inboxes of Telegram and WhatsApp against a stand-in for both providers in a process of its own, which
//! does nothing but answer: until all are connected, what an idle one costs, and whether one whose provider hangs slows the others.
use crate::daemon::{Daemon, TOKEN, processor_time_of};
use crate::load::{Connection, percentile, request};
use crate::{median, millis, say};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use anyhow::{Context, ensure};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

/// The argument with which this program is the providers.
pub const BARE_PROVIDERS: &str = "--bare-providers";
/// Half of them Telegram's, half WhatsApp's.
const INBOXES: usize = 500;
/// Messages of a run, one after the other.
const MESSAGES: usize = 300;
const RUNS: usize = 3;
/// Conversations whose answers hang at the provider.
const HANGING: usize = 16;
/// How long nothing is done while the processor's time is read.
const IDLE: Duration = Duration::from_secs(10);
/// Nothing takes longer, or the bench fails.
const PATIENCE: Duration = Duration::from_secs(30);
/// The number whose messages the provider never answers.
const HANGS: usize = 0;

/// Measures and prints.
pub async fn measure(folder: &Path) -> anyhow::Result<()> {
    let (bare, full) = (folder.join("bare"), folder.join("full"));
    std::fs::create_dir_all(&bare)?;
    std::fs::create_dir_all(&full)?;
    let providers = Providers::start()?;
    let none = format!("[providers]\ntelegram_url = \"http://{0}\"\nmeta_url = \"http://{0}\"\n", providers.address);
    let all = (0..INBOXES / 2).fold(none.clone(), |all, number| all + &telegram(number) + &whatsapp(number));
    // The first start makes the tables and hashes a password: measured is the second.
    drop(Daemon::start(&bare, &none, None).await?);
    let daemon = Daemon::start(&bare, &none, None).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let without = daemon.memory()?;
    drop(daemon);
    drop(Daemon::start(&full, &all, None).await?);
    let begun = Instant::now();
    let daemon = Daemon::start(&full, &all, None).await?;
    connected(&daemon).await?;
    let connected_in = begun.elapsed();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let per_inbox = (daemon.memory()? - without) / INBOXES as f64;
    let before = processor_time_of(daemon.process_id())?;
    tokio::time::sleep(IDLE).await;
    let idle = (processor_time_of(daemon.process_id())?.saturating_sub(before)).as_secs_f64() / IDLE.as_secs_f64();
    say("start until all connected", format!("{:.0} ms ({INBOXES} inboxes, half Telegram, half WhatsApp)", millis(connected_in)));
    say("memory per idle inbox", format!("{per_inbox:.1} KiB (VmRSS above a daemon without inboxes)"));
    say("processor when idle", format!("{:.2} % of a core", idle * 100.0));
    let quiet = latencies(&daemon, "quiet").await?;
    hang(&daemon).await?;
    let hanging = latencies(&daemon, "hanging").await?;
    let shown = |(p50, p99): (f64, f64)| format!("p50 {p50:.2} ms, p99 {p99:.2} ms (median of {RUNS} runs of {MESSAGES})");
    say("webhook until websocket", shown(quiet));
    say("  while one hangs", format!("{}; p99 ratio {:.2}", shown(hanging), hanging.1 / quiet.1));
    Ok(())
}

fn telegram(number: usize) -> String {
    let token = format!("{}:AABenchBenchBench", 7_000_000 + number);
    format!("[[inbox]]\nname = \"bot {number}\"\n[inbox.channel]\ntype = \"telegram\"\nbot_token = \"{token}\"\nmode = \"webhook\"\n")
}

fn whatsapp(number: usize) -> String {
    format!(
        "[[inbox]]\nname = \"number {number}\"\n[inbox.channel]\ntype = \"whatsapp\"\nphone_number = \"+{}\"\n\
         [inbox.channel.provider_config]\napi_key = \"key\"\nphone_number_id = \"{}\"\nbusiness_account_id = \"1\"\n",
        phone(number),
        phone_number_id(number)
    )
}

fn phone(number: usize) -> usize {
    49_300_000_000 + number
}

fn phone_number_id(number: usize) -> usize {
    1_000_000 + number
}

async fn connected(daemon: &Daemon) -> anyhow::Result<()> {
    let listed = daemon.get("/api/v1/accounts/1/inboxes").await?;
    let ids: Vec<i64> =
        listed.pointer("/payload").and_then(Value::as_array).into_iter().flatten().filter_map(|row| of(row, "id").as_i64()).collect();
    ensure!(ids.len() == INBOXES, "{} inboxes instead of {INBOXES}", ids.len());
    let begun = Instant::now();
    for id in ids {
        loop {
            let health = daemon.get(&format!("/api/v1/accounts/1/inboxes/{id}/health")).await?;
            if of(&health, "state") == "connected" {
                break;
            }
            ensure!(begun.elapsed() < PATIENCE, "inbox {id} does not connect: {health}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    Ok(())
}

fn of<'value>(value: &'value Value, name: &str) -> &'value Value {
    value.get(name).unwrap_or(&Value::Null)
}

/// From each webhook to the frame that tells of it: p50 and p99 in ms, each the median of the runs.
async fn latencies(daemon: &Daemon, name: &str) -> anyhow::Result<(f64, f64)> {
    let mut socket = listen(daemon).await?;
    let mut connection = Connection::open(daemon.address).await?;
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for run in 0..RUNS {
        let mut took = Vec::new();
        for message in 0..MESSAGES {
            // The first inbox is the one whose provider hangs.
            let number = 1 + message % (INBOXES / 2 - 1);
            let words = format!("{name}-{run}-{message}-end");
            let begun = Instant::now();
            post(&mut connection, number, message % 50, &words).await?;
            loop {
                let frame = tokio::time::timeout(PATIENCE, socket.next()).await.context("a message is not told")?;
                let frame = frame.context("the websocket ended")??;
                let text = frame.to_text().unwrap_or_default();
                if text.contains("message.created") && text.contains(&words) {
                    break;
                }
            }
            took.push(begun.elapsed());
        }
        took.sort_unstable();
        p50.push(millis(percentile(&took, 50)));
        p99.push(millis(percentile(&took, 99)));
    }
    Ok((median(p50), median(p99)))
}

/// Somebody writes to an inbox of WhatsApp.
async fn post(connection: &mut Connection, number: usize, person: usize, words: &str) -> anyhow::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let from = (4_915_000_000_000 + number * 1_000 + person).to_string();
    let body = json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "changes": [{ "field": "messages", "value": {
        "messaging_product": "whatsapp",
        "metadata": { "display_phone_number": phone(number).to_string(), "phone_number_id": phone_number_id(number).to_string() },
        "contacts": [{ "wa_id": from, "profile": { "name": "Bench" } }],
        "messages": [{ "from": from, "id": format!("wamid.{number}.{words}"), "timestamp": now.to_string(), "type": "text", "text": { "body": words } }],
    } }] }] });
    let path = format!("/webhooks/whatsapp/%2B{}", phone(number));
    let (status, answer) = connection.call(&request("POST", &path, None, &body.to_string())).await?;
    ensure!(status == 200, "a webhook was answered {status}: {}", String::from_utf8_lossy(answer));
    Ok(())
}

/// Answers wait at the provider that never answers.
async fn hang(daemon: &Daemon) -> anyhow::Result<()> {
    let mut connection = Connection::open(daemon.address).await?;
    for person in 0..HANGING {
        post(&mut connection, HANGS, person, &format!("hang-{person}")).await?;
    }
    let inboxes = daemon.get("/api/v1/accounts/1/inboxes").await?;
    let of_name = |row: &&Value| of(row, "name").as_str() == Some(&format!("number {HANGS}"));
    let inbox = inboxes.pointer("/payload").and_then(Value::as_array).into_iter().flatten().find(of_name).context("no such inbox")?;
    let listed = daemon.get(&format!("/api/v1/accounts/1/conversations?inbox_id={}", of(inbox, "id"))).await?;
    let conversations = listed.pointer("/data/payload").and_then(Value::as_array).cloned().unwrap_or_default();
    ensure!(conversations.len() == HANGING, "{} conversations instead of {HANGING}", conversations.len());
    for conversation in conversations {
        let path = format!("/api/v1/accounts/1/conversations/{}/messages", of(&conversation, "id"));
        connection.json(&request("POST", &path, Some(TOKEN), &json!({ "content": "answer" }).to_string())).await?;
    }
    Ok(())
}

/// The websocket of the administrator, who hears of every inbox.
pub async fn listen(daemon: &Daemon) -> anyhow::Result<WebSocketStream<TcpStream>> {
    let profile = daemon.get("/api/v1/profile").await?;
    let identifier = json!({
        "channel": "RoomChannel", "pubsub_token": of(&profile, "pubsub_token"), "account_id": 1, "user_id": of(&profile, "id"),
    });
    let mut request = format!("ws://{}/cable", daemon.address).into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", "actioncable-v1-json".parse()?);
    let (mut socket, _) = tokio_tungstenite::client_async(request, TcpStream::connect(daemon.address).await?).await?;
    socket.send(Message::text(json!({ "command": "subscribe", "identifier": identifier.to_string() }).to_string())).await?;
    loop {
        let frame = tokio::time::timeout(PATIENCE, socket.next()).await?.context("the websocket ended")??;
        if frame.to_text().unwrap_or_default().contains("confirm_subscription") {
            return Ok(socket);
        }
    }
}

/// The providers in a process of their own; killed when dropped.
struct Providers {
    child: Child,
    address: SocketAddr,
}

impl Providers {
    fn start() -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?).arg(BARE_PROVIDERS).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("the providers have no output")?).read_line(&mut line)?;
        Ok(Providers { child, address: line.trim().parse().context("the providers did not say where they listen")? })
    }
}

impl Drop for Providers {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers what both providers' APIs are asked by idle and by sending inboxes.
pub fn serve_bare_providers() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let answer = async |request: HttpRequest| -> HttpResponse {
        let path = request.path().to_lowercase();
        let last = path.rsplit('/').next().unwrap_or_default();
        if path.contains(&format!("/{}/messages", phone_number_id(HANGS))) {
            std::future::pending::<()>().await;
        }
        HttpResponse::Ok().json(match last {
            "getme" => json!({ "ok": true, "result": {
                "id": 7_000_000, "is_bot": true, "first_name": "Bench", "username": "bench_bot", "can_join_groups": false,
                "can_read_all_group_messages": false, "supports_inline_queries": false,
            } }),
            _ if path.starts_with("/bot") => json!({ "ok": true, "result": true }),
            "subscribed_apps" => json!({ "success": true }),
            "message_templates" => json!({ "data": [] }),
            "messages" => json!({ "messages": [{ "id": format!("wamid.{}", rand::random::<u64>()) }] }),
            id => json!({ "id": id, "verified_name": "Bench" }),
        })
    };
    let serve = move || App::new().default_service(web::to(answer));
    actix_web::rt::System::new().block_on(async { HttpServer::new(serve).workers(1).listen(listener)?.run().await })?;
    Ok(())
}
