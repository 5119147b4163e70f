//! The harness itself, tested almost without a daemon: a helper that waits wrongly or answers wrongly would make other tests lie.

use crate::harness::{Cable, Client, Daemon, Database, Receiver, Reply, SOON, eventually, node_packages};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

#[tokio::test]
async fn a_receiver_records_what_came_and_answers_in_the_order_told() {
    let receiver = Receiver::start().await;
    receiver.answer_with(|request| Reply::json(&json!({"path": request.path})).header("x-kind", "computed"));
    receiver.answer_next(Reply::status(429).header("retry-after", "7"));
    let client = Client::new(&receiver.url("")).with_token("secret");

    let first = client.post("/hook?a=1", json!({"event": "first"})).await.expect(429);
    let second = client.get("/other").await.expect(200);

    assert_eq!(first.header("retry-after"), Some("7"));
    assert_eq!(second.str("/path"), "/other");
    let received = receiver.wait_for(2, SOON).await;
    assert_eq!((received[0].method.as_str(), received[0].path.as_str()), ("POST", "/hook?a=1"));
    assert_eq!(received[0].body, br#"{"event":"first"}"#);
    assert_eq!(received[0].json, json!({"event": "first"}));
    assert_eq!(received[0].header("api_access_token"), Some("secret"));
    assert_eq!(receiver.wait_until(|one| one.method == "GET", SOON).await.path, "/other");
}

#[tokio::test]
async fn a_receiver_can_be_slow_hang_or_close_the_connection() {
    let receiver = Receiver::start().await;
    let client = Client::new(&receiver.url(""));
    let get = |milliseconds| client.request(reqwest::Method::GET, "/").timeout(Duration::from_millis(milliseconds));

    receiver.answer(Reply::drop_connection());
    let closed = client.try_answer(get(60_000)).await.unwrap_err();
    assert!(!closed.is_timeout() && !closed.is_connect(), "{closed:?}");

    receiver.answer(Reply::hang());
    assert!(client.try_answer(get(200)).await.unwrap_err().is_timeout());

    receiver.answer(Reply::status(204).after(Duration::from_millis(150)));
    let started = Instant::now();
    client.answer(get(60_000)).await.expect(204);
    assert!(started.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn a_receiver_reads_bodies_of_unknown_length() {
    let receiver = Receiver::start().await;
    let client = Client::new(&receiver.url(""));
    let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>("one "), Ok("two")]);
    let request = client.request(reqwest::Method::POST, "/").body(reqwest::Body::wrap_stream(chunks));
    client.answer(request).await.expect(200);
    client.get("/next").await.expect(200);
    let received = receiver.wait_for(2, SOON).await;
    assert_eq!(received[0].header("transfer-encoding"), Some("chunked"));
    assert_eq!(received[0].text(), "one two");
    assert_eq!(received[1].path, "/next");
}

#[tokio::test]
async fn a_dropped_receiver_is_gone_and_can_come_back_at_its_address() {
    let receiver = Receiver::start().await;
    let (address, client) = (receiver.address(), Client::new(&receiver.url("")));
    client.get("/").await.expect(200);
    drop(receiver);
    let refused = async || client.try_answer(client.request(reqwest::Method::GET, "/")).await.err();
    eventually(SOON, refused).await;
    let receiver = Receiver::start_on(address).await;
    client.get("/again").await.expect(200);
    assert_eq!(receiver.received()[0].path, "/again");
}

#[tokio::test]
async fn eventually_returns_what_was_found_and_gives_up_in_time() {
    let mut asked = 0;
    let found = eventually(SOON, async || {
        asked += 1;
        (asked == 3).then_some(asked)
    });
    assert_eq!(found.await, 3);

    let started = Instant::now();
    let never = tokio::spawn(eventually(Duration::from_millis(100), async || -> Option<()> { None }));
    assert!(never.await.unwrap_err().is_panic());
    let hangs = tokio::spawn(eventually(Duration::from_millis(100), async || -> Option<()> { std::future::pending().await }));
    assert!(hangs.await.unwrap_err().is_panic());
    assert!(started.elapsed() < SOON);
}

#[tokio::test]
async fn an_answer_that_was_not_expected_says_what_it_was() {
    let receiver = Receiver::start().await;
    let words = "Resource could not be found";
    receiver.answer(Reply::json(&json!({"error": words, "message": words})).with_status(404));
    let client = Client::new(&receiver.url("")).with_account(7);
    let answer = client.delete_with(client.a("/inbox_members"), json!({"inbox_id": 1})).await;
    let failure = tokio::spawn(async move { answer.expect(200) }).await.unwrap_err().into_panic();
    let said = failure.downcast_ref::<String>().unwrap();
    assert!(said.contains("DELETE") && said.contains("/api/v1/accounts/7/inbox_members"), "{said}");
    assert!(said.contains("expected 200, got 404") && said.contains(words), "{said}");
}

#[tokio::test]
async fn a_cable_keeps_events_that_were_not_asked_for_yet() {
    let address = cable_server().await;
    let mut cable = Cable::connect(&format!("http://{address}")).await;
    cable.subscribe_contact("good").await;
    // Sent in the order presence, created, updated.
    assert_eq!(cable.next_event("message.updated", SOON).await["id"], 2);
    assert_eq!(cable.next_event("message.created", SOON).await["id"], 1);
    assert_eq!(cable.event_names(), ["presence.update", "message.created", "message.updated"]);
    let refusal = cable.ask_to_subscribe(r#"{"channel":"RoomChannel","pubsub_token":"bad"}"#).await;
    assert_eq!(refusal["type"], "reject_subscription");
    cable.send_text("end").await;
    assert!(cable.closed(SOON).await.contains("closed"));
}

#[tokio::test]
async fn rails_own_client_runs_here() {
    let Some(packages) = node_packages() else { return };
    let url = format!("ws://{}/cable", cable_server().await);
    let good = r#"{"channel":"RoomChannel","pubsub_token":"good"}"#;
    let finished = packages.run("subscribe.cjs", &[&url, good, "message.created"]).await.expect(0);
    let lines: Vec<Value> = finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0], json!({"connected": true}));
    assert_eq!(lines[1]["event"], "presence.update");
    assert_eq!(lines[2]["data"]["id"], 1);
    packages.run("subscribe.cjs", &[&url, &good.replace("good", "bad"), "message.created"]).await.expect(1);
}

#[tokio::test]
async fn a_daemon_whose_port_was_taken_meanwhile_gets_another() {
    let mut daemon = Daemon::builder().prepare().await;
    let taken = daemon.site().address();
    let _holder = TcpListener::bind(&taken).await.unwrap();
    daemon.restart().await;
    assert_ne!(daemon.site().address(), taken);
    daemon.visitor().get("/ready").await.expect(200);
}

#[tokio::test]
async fn each_daemon_gets_a_database_of_its_own() {
    if !Database::is_postgres() {
        return assert_eq!(Database::create().await.url(), None);
    }
    let (one, other) = (Database::create().await, Database::create().await);
    let url = one.url().unwrap().to_owned();
    assert_ne!(Some(url.as_str()), other.url());
    let connect = async || <sqlx::PgConnection as sqlx::Connection>::connect(&url).await;
    let _still_connected = connect().await.unwrap();
    drop(one);
    let gone = connect().await.unwrap_err();
    assert!(gone.as_database_error().is_some_and(|error| error.code().as_deref() == Some("3D000")), "{gone:?}");
}

#[test]
fn the_address_of_another_database_keeps_everything_else() {
    let cases = [
        ("postgres://u:p@127.0.0.1:5432/postgres", "postgres://u:p@127.0.0.1:5432/mine"),
        ("postgres://u@host/postgres?sslmode=disable", "postgres://u@host/mine?sslmode=disable"),
        ("postgres://u@host", "postgres://u@host/mine"),
    ];
    for (given, expected) in cases {
        assert_eq!(crate::harness::with_database(given, "mine"), expected);
    }
}

/// A server of the protocol: confirms the token `good` and sends three events, refuses others, closes on anything else.
async fn cable_server() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve_cable(stream));
        }
    });
    address
}

async fn serve_cable(stream: tokio::net::TcpStream) {
    #[allow(clippy::result_large_err, reason = "the signature is the library's")]
    let choose = |_: &Request, mut response: Response| {
        response.headers_mut().insert("sec-websocket-protocol", "actioncable-v1-json".parse().unwrap());
        Ok(response)
    };
    let mut socket = tokio_tungstenite::accept_hdr_async(stream, choose).await.unwrap();
    let text = |json: Value| Message::text(json.to_string());
    socket.send(text(json!({"type": "welcome"}))).await.unwrap();
    while let Some(Ok(message)) = socket.next().await {
        let Ok(command) = serde_json::from_str::<Value>(message.to_text().unwrap_or_default()) else {
            let _ = socket.close(None).await;
            return;
        };
        let identifier = command["identifier"].as_str().unwrap();
        if !identifier.contains("good") {
            socket.send(text(json!({"type": "reject_subscription", "identifier": identifier}))).await.unwrap();
            continue;
        }
        socket.send(text(json!({"type": "confirm_subscription", "identifier": identifier}))).await.unwrap();
        for (event, id) in [("presence.update", 0), ("message.created", 1), ("message.updated", 2)] {
            let frame = json!({"identifier": identifier, "message": {"event": event, "data": {"id": id}}});
            if socket.send(text(frame)).await.is_err() {
                return;
            }
        }
    }
}
