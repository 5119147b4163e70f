//! What the guarded client refuses, what it survives, and what it reports, against servers on the loopback interface.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
use super::*;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Answers each lookup with the next list of addresses; the last one stays.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
}

impl Script {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let answers = answers.iter().map(|answer| answer.iter().map(|address| address.parse().unwrap()).collect()).collect();
        Arc::new(Script { answers: Mutex::new(answers), asked: Mutex::default() })
    }
}

#[async_trait]
impl Resolver for Script {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().unwrap().push(host.to_owned());
        let mut answers = self.answers.lock().unwrap();
        if answers.len() > 1 {
            Ok(answers.pop_front().unwrap())
        } else {
            answers.front().cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
        }
    }
}

fn egress(allow: &[&str], resolver: Arc<dyn Resolver>) -> Egress {
    egress_within(TIMEOUT, allow, resolver)
}

fn egress_within(timeout: Duration, allow: &[&str], resolver: Arc<dyn Resolver>) -> Egress {
    Egress::with_resolver(allow.iter().map(|network| network.parse().unwrap()).collect(), timeout, resolver).unwrap()
}

fn loopback() -> Egress {
    egress(&["127.0.0.0/8", "::1/128"], Arc::new(SystemResolver))
}

/// An HTTP server that answers each connection with the same bytes.
struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    /// Bytes of answers that the client side took in.
    written: Arc<AtomicUsize>,
}

/// What follows the given bytes.
#[derive(Clone, Copy)]
enum Then {
    Close,
    /// The connection stays open and silent.
    Hang,
    /// Zeros, until the other side closes.
    Flood,
}

async fn serve(answer: impl Into<Vec<u8>>, then: Then) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server {
        port: listener.local_addr().unwrap().port(),
        connections: Arc::default(),
        requests: Arc::default(),
        written: Arc::default(),
    };
    let (connections, requests, written) = (server.connections.clone(), server.requests.clone(), server.written.clone());
    let answer: Vec<u8> = answer.into();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            connections.fetch_add(1, Ordering::SeqCst);
            let (requests, written, answer) = (requests.clone(), written.clone(), answer.clone());
            tokio::spawn(async move {
                let request = read_request(&mut stream).await;
                requests.lock().unwrap().push(request);
                stream.write_all(&answer).await.unwrap();
                match then {
                    Then::Close => {}
                    Then::Hang => drop(stream.read(&mut [0]).await),
                    Then::Flood => {
                        while let Ok(count) = stream.write(&[0; 8192]).await {
                            written.fetch_add(count, Ordering::SeqCst);
                        }
                        written.fetch_add(FLOOD_ENDED, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    server
}

/// Added to `written` when the other side has closed.
const FLOOD_ENDED: usize = 1 << 40;

async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
            if body.len() >= length {
                return text;
            }
        }
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return text;
        }
    }
}

fn ok(headers: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\n{headers}\r\n").as_bytes(), body].concat()
}

async fn post(egress: &Egress, url: &str) -> Result<Reply, Failure> {
    egress.post(url, &[], Bytes::from_static(b"{}")).await
}

#[tokio::test]
async fn refuses_the_inside_in_every_notation_when_saved_and_when_sent() {
    // The client must not even ask a name server about these.
    let resolver = Script::new(&[&["93.184.215.14"]]);
    let egress = egress(&[], resolver.clone());
    let hosts = [
        ("127.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("0.0.0.0", "0.0.0.0"),
        ("[::1]", "[::1]"),
        ("[::]", "[::]"),
        ("[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
        ("[::ffff:7f00:1]", "[::ffff:7f00:1]"),
        ("[::127.0.0.1]", "[::7f00:1]"),
        ("[64:ff9b::7f00:1]", "[64:ff9b::7f00:1]"),
        ("[2002:7f00:1::]", "[2002:7f00:1::]"),
        ("2130706433", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("%31%32%37.0.0.1", "127.0.0.1"),
        ("１２７.０.０.１", "127.0.0.1"),
        ("①②⑦.⓪.⓪.①", "127.0.0.1"),
        ("127。0。0。1", "127.0.0.1"),
        ("169.254.169.254", "169.254.169.254"),
        ("0xa9fea9fe", "169.254.169.254"),
        ("100.64.0.1", "100.64.0.1"),
        ("10.0.0.1", "10.0.0.1"),
        ("192.168.1.1", "192.168.1.1"),
        ("[fd00::1]", "[fd00::1]"),
        ("[fd00:ec2::254]", "[fd00:ec2::254]"),
        ("[fe80::1]", "[fe80::1]"),
    ];
    for (written, read) in hosts {
        for url in [format!("http://{written}/hook"), format!("https://{written}:8443/")] {
            let refusal = Refusal::NotPublic(read.to_owned());
            assert_eq!(egress.check(&url).await, Err(refusal.clone()), "{url}");
            assert_eq!(post(&egress, &url).await, Err(Failure::Refused(refusal)), "{url}");
        }
    }
    assert_eq!(*resolver.asked.lock().unwrap(), [""; 0]);
}

#[tokio::test]
async fn refuses_names_that_lead_inside_when_saved_and_when_sent() {
    let table = [
        ("localhost", "127.0.0.1"),
        ("localhost.", "127.0.0.1"),
        ("localhost.", "::1"),
        ("LOCALHOST", "127.0.0.1"),
        ("app.localhost", "127.0.0.1"),
        ("127.0.0.1.nip.io", "127.0.0.1"),
        ("metadata.google.internal", "169.254.169.254"),
        ("instance-data", "169.254.169.254"),
        ("metadata.aws.example", "fd00:ec2::254"),
        ("mapped.example", "::ffff:10.0.0.1"),
        ("bücher.example", "10.1.2.3"),
    ];
    for (host, address) in table {
        let egress = egress(&[], Script::new(&[&[address]]));
        let url = format!("http://{host}/");
        assert!(matches!(egress.check(&url).await, Err(Refusal::NotPublic(_))), "{host}");
        assert!(matches!(post(&egress, &url).await, Err(Failure::Refused(Refusal::NotPublic(_)))), "{host}");
    }
    // With the resolver of the system, too.
    let egress = Egress::new(Vec::new(), TIMEOUT).unwrap();
    for url in ["http://localhost/", "http://localhost./"] {
        assert!(matches!(egress.check(url).await, Err(Refusal::NotPublic(_))), "{url}");
        assert!(matches!(post(&egress, url).await, Err(Failure::Refused(Refusal::NotPublic(_)))), "{url}");
    }
}

#[tokio::test]
async fn refuses_what_is_not_a_plain_web_address() {
    let egress = egress(&["0.0.0.0/0"], Script::new(&[&["93.184.215.14"]]));
    let table = [
        ("", Refusal::NotAnAddress),
        ("example.com/hook", Refusal::NotAnAddress),
        ("http://", Refusal::NotAnAddress),
        ("http://exa mple.com/", Refusal::NotAnAddress),
        ("http://256.256.256.256/", Refusal::NotAnAddress),
        ("http://[fe80::1%25eth0]/", Refusal::NotAnAddress),
        ("file:///etc/passwd", Refusal::Scheme("file".to_owned())),
        ("gopher://example.com/", Refusal::Scheme("gopher".to_owned())),
        ("ftp://example.com/", Refusal::Scheme("ftp".to_owned())),
        ("javascript:alert(1)", Refusal::Scheme("javascript".to_owned())),
        ("http://good@127.0.0.1/", Refusal::UserInfo),
        ("http://example.com@127.0.0.1/", Refusal::UserInfo),
        ("https://user:password@example.com/", Refusal::UserInfo),
        ("https://:password@example.com/", Refusal::UserInfo),
        ("http://example.com:22/", Refusal::Port(22)),
        ("http://example.com:6379/", Refusal::Port(6379)),
        ("http://example.com:0/", Refusal::Port(0)),
    ];
    for (url, refusal) in table {
        assert_eq!(egress.check(url).await, Err(refusal.clone()), "{url}");
        assert_eq!(post(&egress, url).await, Err(Failure::Refused(refusal)), "{url}");
    }
}

#[tokio::test]
async fn accepts_public_hosts_and_names_of_all_scripts() {
    let resolver = Script::new(&[&["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]]);
    let egress = egress(&[], resolver.clone());
    let table = [
        ("https://example.com/hook?a=b", "https://example.com/hook?a=b"),
        (" HTTP://EXAMPLE.com:80 ", "http://example.com/"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://[2606:4700:4700::1111]:8443/", "https://[2606:4700:4700::1111]:8443/"),
        ("http://134744072/", "http://8.8.8.8/"),
    ];
    for (written, read) in table {
        assert_eq!(egress.check(written).await.unwrap().as_str(), read);
    }
    assert_eq!(*resolver.asked.lock().unwrap(), ["example.com", "example.com", "xn--bcher-kva.example"]);
}

#[tokio::test]
async fn a_refusal_names_the_setting_but_not_the_address_found() {
    let refusal = egress(&[], Script::new(&[&["10.20.30.40"]])).check("http://intern.example/").await.unwrap_err().to_string();
    assert!(refusal.contains("outbound.allow_cidrs") && refusal.contains("intern.example"), "{refusal}");
    assert!(!refusal.contains("10.20"), "{refusal}");
}

#[tokio::test]
async fn one_address_inside_spoils_a_host_when_saved_and_is_skipped_when_sent() {
    let server = serve(ok("", b"outside"), Then::Close).await;
    // 127.0.0.1 plays the public address, 127.0.0.2 the one inside: whoever connects to it waits in vain.
    let _inside = TcpListener::bind(("127.0.0.2", server.port)).await.unwrap();
    let egress = egress(&["127.0.0.1/32"], Script::new(&[&["127.0.0.2", "127.0.0.1"]]));
    let url = format!("http://mixed.example:{}/hook", server.port);
    assert_eq!(egress.check(&url).await, Err(Refusal::NotPublic("mixed.example".to_owned())));
    assert_eq!(post(&egress, &url).await.unwrap().excerpt, "outside");
    assert!(server.requests.lock().unwrap()[0].contains(&format!("host: mixed.example:{}\r\n", server.port)));
}

#[tokio::test]
async fn dns_that_changes_after_the_check_leads_nowhere() {
    let server = serve(ok("", b"inside"), Then::Close).await;
    let url = format!("http://rebinding.example:{}/", server.port);

    // Saved while it pointed outside, fired when it points inside.
    let resolver = Script::new(&[&["93.184.215.14"], &["127.0.0.1"]]);
    let rebound = egress(&[], resolver.clone());
    rebound.check(&url).await.unwrap();
    assert_eq!(post(&rebound, &url).await, Err(Failure::Refused(Refusal::NotPublic("rebinding.example".to_owned()))));
    assert_eq!(resolver.asked.lock().unwrap().len(), 2);
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);

    // Changes between the lookup that is judged and the connect: there is one lookup, and its result is connected to.
    let resolver = Script::new(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let pinned = egress(&["127.0.0.1/32"], resolver.clone());
    assert_eq!(post(&pinned, &url).await.unwrap().excerpt, "inside");
    assert_eq!(resolver.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn redirects_are_answers() {
    let inside = serve(ok("", b"secret"), Then::Close).await;
    for location in [format!("http://127.0.0.1:{}/", inside.port), "http://169.254.169.254/".to_owned(), "file:///etc/passwd".to_owned()] {
        for status in [301_u16, 302, 303, 307, 308] {
            let answer = format!("HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
            let server = serve(answer, Then::Close).await;
            let reply = post(&loopback(), &format!("http://127.0.0.1:{}/", server.port)).await.unwrap();
            assert_eq!(reply, Reply { status, retry_after: None, excerpt: String::new() });
        }
    }
    assert_eq!(inside.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn allowed_networks_are_reached_with_body_and_headers_as_given() {
    let server = serve("HTTP/1.1 503 Busy\r\nRetry-After: 120\r\nContent-Length: 4\r\n\r\nbusy", Then::Close).await;
    let egress = loopback();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
        let url = egress.check(&format!("http://{host}:{}/hook?a=b", server.port)).await.unwrap();
        let headers = [("X-Chatwoot-Delivery", "one".to_owned()), ("Content-Type", "application/json".to_owned())];
        let reply = egress.post(url.as_str(), &headers, Bytes::from_static(b"{\"a\": 1}")).await.unwrap();
        assert_eq!(reply, Reply { status: 503, retry_after: Some(Duration::from_secs(120)), excerpt: "busy".to_owned() }, "{host}");
    }
    let requests = server.requests.lock().unwrap();
    assert_eq!(requests.len(), 3);
    for request in requests.iter() {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /hook?a=b HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("\r\nx-chatwoot-delivery: one\r\n") && head.contains("\r\ncontent-type: application/json\r\n"), "{head}");
        assert!(!head.contains("accept-encoding") && !head.contains("referer"), "{head}");
        assert_eq!(body, "{\"a\": 1}");
    }
}

#[tokio::test]
async fn a_header_that_would_smuggle_is_refused() {
    let headers = [("X-Chatwoot-Delivery", "one\r\nHost: other".to_owned())];
    let sent = loopback().post("http://127.0.0.1:9/", &headers, Bytes::new()).await;
    assert_eq!(sent, Err(Failure::Refused(Refusal::Port(9))));
    let sent = loopback().post("http://127.0.0.1:8080/", &headers, Bytes::new()).await;
    assert_eq!(sent, Err(Failure::Refused(Refusal::Header("X-Chatwoot-Delivery".to_owned()))));
}

#[tokio::test]
async fn odd_bodies_are_only_text() {
    let null = [b"null".as_slice(), b"[null]", b"{\"a\":", b"42", b"\"\"", b""];
    for body in null {
        let server = serve(ok("Content-Type: application/json\r\n", body), Then::Close).await;
        let reply = post(&loopback(), &format!("http://127.0.0.1:{}/", server.port)).await.unwrap();
        assert_eq!((reply.status, reply.excerpt.as_bytes()), (200, body));
    }
    let server = serve(ok("", b"a\0b\x1b[31m\xff\tc\r\n"), Then::Close).await;
    let reply = post(&loopback(), &format!("http://127.0.0.1:{}/", server.port)).await.unwrap();
    assert_eq!(reply.excerpt, "a\u{fffd}b\u{fffd}[31m\u{fffd}\tc\r\n");
}

#[tokio::test]
async fn compressed_answers_stay_compressed() {
    // 520 bytes, compressed by Python's gzip module.
    let bomb = [
        31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 75, 73, 77, 206, 207, 45, 40, 74, 45, 46, 78, 77, 81, 72, 25, 229, 140, 84, 14, 0, 79, 69, 65, 64,
        8, 2, 0, 0,
    ];
    let server = serve(ok("Content-Encoding: gzip\r\n", &bomb), Then::Close).await;
    let reply = post(&loopback(), &format!("http://127.0.0.1:{}/", server.port)).await.unwrap();
    assert_eq!(reply.status, 200);
    assert!(reply.excerpt.starts_with("\u{fffd}\u{fffd}") && reply.excerpt.contains("KIM"), "{:?}", reply.excerpt);
}

#[tokio::test]
async fn a_huge_body_is_cut_off() {
    let server = serve(ok("Content-Length: 1000000000\r\n", &[b'x'; 2000]), Then::Flood).await;
    let reply = post(&loopback(), &format!("http://127.0.0.1:{}/", server.port)).await.unwrap();
    assert_eq!((reply.status, reply.excerpt), (200, "x".repeat(1024)));
    // The connection is closed: the flood ends after what the buffers of the two sockets hold.
    let ended = async {
        while server.written.load(Ordering::SeqCst) < FLOOD_ENDED {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(TIMEOUT, ended).await.unwrap();
    let written = server.written.load(Ordering::SeqCst) - FLOOD_ENDED;
    assert!(written < 32 << 20, "{written} bytes");
}

#[tokio::test]
async fn a_body_that_drips_or_breaks_off_does_not_hide_the_status() {
    let short = Duration::from_millis(300);
    let egress = egress_within(short, &["127.0.0.0/8"], Arc::new(SystemResolver));
    let dripping = serve(ok("Content-Length: 1000\r\n", b"a"), Then::Hang).await;
    let begun = Instant::now();
    let reply = post(&egress, &format!("http://127.0.0.1:{}/", dripping.port)).await.unwrap();
    assert_eq!((reply.status, reply.excerpt.as_str()), (200, "a"));
    assert!(begun.elapsed() < TIMEOUT);
    let broken = serve(ok("Content-Length: 1000\r\n", b"b"), Then::Close).await;
    let reply = post(&loopback(), &format!("http://127.0.0.1:{}/", broken.port)).await.unwrap();
    assert_eq!((reply.status, reply.excerpt.as_str()), (200, "b"));
}

#[tokio::test]
async fn no_answer_is_a_failure_that_tells_neither_path_nor_query() {
    let short = Duration::from_millis(300);
    let egress = egress_within(short, &["127.0.0.0/8"], Arc::new(SystemResolver));
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let silent = serve("", Then::Hang).await.port;
    let closing = serve("", Then::Close).await.port;
    let babbling = serve("220 mail.example ESMTP\r\n", Then::Close).await.port;
    for (case, port) in [("closed", closed), ("silent", silent), ("closing", closing), ("no http", babbling)] {
        match post(&egress, &format!("http://127.0.0.1:{port}/path?token=secret")).await {
            Err(Failure::Failed(cause)) => {
                assert!(!cause.is_empty() && !cause.contains("secret") && !cause.contains("path"), "{case}: {cause}")
            }
            other => panic!("{case}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_resolved_is_refused_when_saved_and_fails_when_sent() {
    struct Silent;
    #[async_trait]
    impl Resolver for Silent {
        async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
            std::future::pending().await
        }
    }
    let resolvers: [Arc<dyn Resolver>; 3] = [Script::new(&[]), Script::new(&[&[]]), Arc::new(Silent)];
    for resolver in resolvers {
        let egress = egress_within(Duration::from_millis(300), &[], resolver);
        assert_eq!(egress.check("http://gone.example/").await, Err(Refusal::Unresolvable("gone.example".to_owned())));
        assert!(matches!(post(&egress, "http://gone.example/").await, Err(Failure::Failed(_))));
    }
}

#[tokio::test]
async fn https_begins_with_a_tls_hand_shake_and_needs_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut hello = [0; 3];
        stream.read_exact(&mut hello).await.unwrap();
        stream.write_all(&ok("", b"plain")).await.unwrap();
        hello
    });
    assert!(matches!(post(&loopback(), &url).await, Err(Failure::Failed(_))));
    assert_eq!(server.await.unwrap()[..2], [22, 3], "a TLS record with a hand-shake");
}

/// Runs a test of this file again in a process whose environment names a proxy.
#[tokio::test]
async fn a_proxy_in_the_environment_is_ignored() {
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let run = move || {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "egress::tests::allowed_networks_are_reached_with_body_and_headers_as_given"])
            .envs(["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"].map(|name| (name, address.clone())))
            .env_remove("no_proxy")
            .env_remove("NO_PROXY")
            .output()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    proxy.set_nonblocking(true).unwrap();
    assert_eq!(proxy.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let now = "1994-11-06T08:49:00Z".parse().unwrap();
    let table = [
        ("120", Some(120)),
        ("0", Some(0)),
        (" 7 ", Some(7)),
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(37)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", Some(37)),
        ("Sun Nov  6 08:49:37 1994", Some(37)),
        ("Sun, 06 Nov 1994 08:48:00 GMT", Some(0)),
        ("Mon, 07 Nov 1994 08:49:00 GMT", Some(86_400)),
        ("", None),
        ("-1", None),
        ("+5", None),
        ("1.5", None),
        ("soon", None),
        ("99999999999999999999999", None),
        ("Sun, 06 Nov 1994 25:49:37 GMT", None),
    ];
    for (value, seconds) in table {
        assert_eq!(parse_retry_after(value, now), seconds.map(Duration::from_secs), "{value:?}");
    }
}
