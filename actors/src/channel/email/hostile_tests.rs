//! Sessions against IMAP servers that lie, flood, fall silent, or die in the wrong moment.
#![allow(clippy::unwrap_used, clippy::panic)]
use super::test_desk::{Desk, channel};
use super::{EmailChannel, Settings};
use crate::channel::{Channel, ChannelError, Inlet};
use crate::secret::Secret;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};

/// What the server does with a command.
enum Answer {
    /// These lines, then a tagged OK.
    Lines(String),
    /// This, and nothing more.
    Raw(String),
    /// The first, and then the second without end.
    Endless(&'static str, &'static str),
    /// Hangs up.
    Close,
}

const MAIL: &str = "From: bob@customer.example\r\nMessage-ID: <m@customer.example>\r\nSubject: s\r\n\r\nhello\r\n";

/// The answers of an honest server with one mail, UID 5.
fn honest(command: &str) -> Answer {
    let fetched = |data: &str| Answer::Lines(format!("* 1 FETCH (UID 5 {data})\r\n"));
    Answer::Lines(match command {
        "CAPABILITY" => "* CAPABILITY IMAP4rev1 IDLE\r\n".into(),
        "SELECT INBOX" => "* 1 EXISTS\r\n* OK [UIDVALIDITY 9] fine\r\n* OK [UIDNEXT 6] fine\r\n".into(),
        "STARTTLS" => return Answer::Raw("TAG NO never heard of it\r\n".into()),
        "IDLE" => return Answer::Raw("+ waiting\r\n".into()),
        "UID FETCH 5 (UID RFC822.SIZE)" => return fetched(&format!("RFC822.SIZE {}", MAIL.len())),
        "UID FETCH 5 (UID BODY.PEEK[])" => return fetched(&format!("BODY[] {{{}}}\r\n{MAIL}", MAIL.len())),
        search if search.starts_with("UID SEARCH") => "* SEARCH 5\r\n".into(),
        _ => String::new(),
    })
}

/// A server that answers by a script; counts the bytes that it could send.
struct Server {
    port: u16,
    sent: Arc<AtomicUsize>,
}

async fn serve(script: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, sent) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let (script, counter) = (Arc::new(script), Arc::clone(&sent));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, Arc::clone(&script), Arc::clone(&counter)));
        }
    });
    Server { port, sent }
}

async fn converse(stream: TcpStream, script: Arc<impl Fn(&str) -> Answer>, sent: Arc<AtomicUsize>) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    if answer(&mut writer, "*", script("GREETING"), &sent).await.is_err() {
        return;
    }
    while let Ok(Some(line)) = lines.next_line().await {
        let (tag, command) = line.split_once(' ').unwrap_or((&line, ""));
        let result = if command.starts_with("AUTHENTICATE") {
            let _ = writer.write_all(b"+ \r\n").await;
            let _ = lines.next_line().await;
            answer(&mut writer, tag, script("AUTHENTICATE"), &sent).await
        } else {
            answer(&mut writer, tag, script(command), &sent).await
        };
        if result.is_err() {
            return;
        }
    }
}

async fn answer(writer: &mut OwnedWriteHalf, tag: &str, answer: Answer, sent: &AtomicUsize) -> std::io::Result<()> {
    match answer {
        Answer::Lines(lines) => writer.write_all(format!("{lines}{tag} OK done\r\n").as_bytes()).await,
        Answer::Raw(text) => writer.write_all(text.replace("TAG", tag).as_bytes()).await,
        Answer::Endless(first, text) => {
            writer.write_all(first.as_bytes()).await?;
            let block = text.repeat(4096 / text.len());
            loop {
                writer.write_all(block.as_bytes()).await?;
                sent.fetch_add(block.len(), Ordering::SeqCst);
            }
        }
        Answer::Close => Err(std::io::ErrorKind::ConnectionAborted.into()),
    }
}

fn connect(port: u16) -> EmailChannel {
    let settings = Settings {
        email: "support@shop.example".into(),
        imap_enabled: true,
        imap_address: "127.0.0.1".into(),
        imap_port: port,
        imap_login: "support".into(),
        imap_password: Secret::new("swordfish"),
        imap_enable_ssl: false,
        ..Settings::default()
    };
    channel(settings, None)
}

/// Runs a session to its end.
async fn run(channel: &EmailChannel, desk: &Arc<Desk>) -> ChannelError {
    let inlet: Inlet = desk.clone();
    let result = tokio::time::timeout(Duration::from_secs(200), channel.run(&inlet)).await;
    result.unwrap_or_else(|_| panic!("the session goes on")).unwrap_err()
}

#[tokio::test]
async fn floods_and_lies_end_the_session() {
    type Script = fn(&str) -> Answer;
    let cases: Vec<(&str, &str, Script)> = vec![
        ("GREETING", "sends more than it was asked for", |_| Answer::Endless("", "a")),
        ("GREETING", "does not speak IMAP", |_| Answer::Raw("220 mx.example ESMTP\r\n".into())),
        ("GREETING", "said goodbye: too many connections", |_| Answer::Raw("* BYE too many connections\r\n".into())),
        ("GREETING", "closed the connection", |_| Answer::Close),
        ("AUTHENTICATE", "sends more than it was asked for", |_| Answer::Endless("", "* OK still thinking\r\n")),
        ("AUTHENTICATE", "cannot sign anybody in now", |_| Answer::Raw("TAG NO [UNAVAILABLE] try later\r\n".into())),
        ("CAPABILITY", "a line of more than", |_| Answer::Endless("* CAPABILITY", " x")),
        ("SELECT INBOX", "refused SELECT INBOX: no such mailbox", |_| Answer::Raw("TAG NO no such mailbox\r\n".into())),
        ("SELECT INBOX", "sends more than it was asked for", |_| Answer::Endless("", "* 1 EXISTS\r\n")),
        ("UID SEARCH", "a line of more than", |_| Answer::Endless("* SEARCH", " 2147483647")),
        ("UID SEARCH", "refused UID SEARCH: I lost it", |_| Answer::Raw("TAG NO I lost it\r\n".into())),
        ("UID FETCH 5 (UID RFC822.SIZE)", "announces 2000000000 bytes", |_| Answer::Raw("* 1 FETCH (UID 5 BODY[] {2000000000}\r\n".into())),
        ("UID FETCH 5 (UID BODY.PEEK[])", "announces 9000000000 bytes", |_| Answer::Raw("* 1 FETCH (UID 5 BODY[] {9000000000}\r\n".into())),
        ("UID FETCH 5 (UID BODY.PEEK[])", "sends more than it was asked for", |_| {
            Answer::Endless("", "* 1 FETCH (UID 5 BODY[] {3}\r\nabc)\r\n")
        }),
        ("UID FETCH 5 (UID BODY.PEEK[])", "refused UID FETCH: damaged", |_| Answer::Raw("TAG NO damaged\r\n".into())),
        ("UID FETCH 5 (UID BODY.PEEK[])", "closed the connection during UID FETCH", |_| Answer::Close),
        ("IDLE", "closed the connection during IDLE", |_| Answer::Close),
        ("IDLE", "sends more than it was asked for", |_| Answer::Endless("", "* OK still here\r\n")),
        ("IDLE", "said goodbye: maintenance", |_| Answer::Raw("+ waiting\r\n* BYE maintenance\r\n".into())),
    ];
    for (at, reason, script) in cases {
        let server = serve(move |command| if command.starts_with(at) { script(command) } else { honest(command) }).await;
        let desk = Arc::new(Desk::default());
        let error = run(&connect(server.port), &desk).await;
        assert!(matches!(&error, ChannelError::Temporary { cause, .. } if cause.contains(reason)), "{at}: {error:?}");
        assert!(server.sent.load(Ordering::SeqCst) < 16 << 20, "{at}: {} bytes were taken", server.sent.load(Ordering::SeqCst));
        let passed = at == "IDLE";
        assert_eq!((desk.ids().len(), desk.uid()), if passed { (1, Some(5)) } else { (0, None) }, "{at}");
    }
}

#[tokio::test]
async fn a_refused_login_needs_a_person() {
    for words in ["[AUTHENTICATIONFAILED] Authentication failed.", "Invalid \"credentials\""] {
        let answer = format!("TAG NO {words}\r\n");
        let server = serve(move |command| if command == "AUTHENTICATE" { Answer::Raw(answer.clone()) } else { honest(command) }).await;
        let error = run(&connect(server.port), &Arc::new(Desk::default())).await;
        assert!(
            matches!(&error, ChannelError::NeedsAttention(reason) if reason.ends_with(&format!("refused the login of support: {words}"))),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_mail_is_passed_only_after_it_was_marked() {
    let server = serve(|command| if command.starts_with("UID STORE") { Answer::Close } else { honest(command) }).await;
    let desk = Arc::new(Desk::default());
    run(&connect(server.port), &desk).await;
    assert_eq!((desk.ids(), desk.uid()), (vec!["m@customer.example".to_owned()], None));

    let server = serve(|command| if command == "IDLE" { Answer::Close } else { honest(command) }).await;
    run(&connect(server.port), &desk).await;
    assert_eq!(desk.ids(), ["m@customer.example", "m@customer.example"], "the same id twice: the core drops the repeat");
    assert_eq!(*desk.cursor.lock().unwrap(), Some(json!({ "uidvalidity": 9, "uid": 5 })));
}

#[tokio::test]
async fn a_mailbox_that_is_read_only_is_read() {
    let server = serve(|command| match command {
        store if store.starts_with("UID STORE") => Answer::Raw("TAG NO [READ-ONLY] not here\r\n".into()),
        "IDLE" => Answer::Close,
        _ => honest(command),
    })
    .await;
    let desk = Arc::new(Desk::default());
    run(&connect(server.port), &desk).await;
    assert_eq!((desk.ids().len(), desk.uid()), (1, Some(5)));
}

#[tokio::test]
async fn a_mail_that_breaks_every_session_is_parked() {
    let server = serve(|command| match command {
        "UID FETCH 5 (UID BODY.PEEK[])" | "IDLE" => Answer::Close,
        _ => honest(command),
    })
    .await;
    let (channel, desk) = (connect(server.port), Arc::new(Desk::default()));
    for _ in 0..5 {
        run(&channel, &desk).await;
        assert_eq!((desk.parked.lock().unwrap().len(), desk.uid()), (0, None));
    }
    run(&channel, &desk).await;
    let parked = desk.parked.lock().unwrap().clone();
    assert_eq!(parked, [("imap:9:5".to_owned(), "fetching this mail failed 5 times; it is still in the mailbox".to_owned())]);
    assert_eq!(desk.uid(), Some(5));
}

#[tokio::test]
async fn a_silent_server_is_left() {
    let reached = Arc::new(tokio::sync::Notify::new());
    let reach = Arc::clone(&reached);
    let server = serve(move |command| match command {
        "SELECT INBOX" => {
            reach.notify_one();
            Answer::Raw("* 1 EXISTS\r\n".into())
        }
        _ => honest(command),
    })
    .await;
    let (channel, desk) = (connect(server.port), Arc::new(Desk::default()));
    let session = tokio::spawn(async move { run(&channel, &desk).await });
    reached.notified().await;
    // Nothing is left to happen but that time passes.
    tokio::time::pause();
    let error = session.await.unwrap();
    assert!(matches!(&error, ChannelError::Temporary { cause, .. } if cause.contains("SELECT INBOX")), "{error:?}");
}
