//! Sessions against IMAP servers that lie, flood, fall silent, or die in the wrong moment.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
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
        imap_enable_starttls_auto: false,
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
        ("UID SEARCH", "nests an answer deeper than it was asked for", |_| {
            Answer::Raw(format!("* 1 FETCH (BODYSTRUCTURE {}", "(".repeat(60_000)))
        }),
        ("UID FETCH 5 (UID RFC822.SIZE)", "nests an answer deeper than it was asked for", |_| {
            let extension = "(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 1 1 NIL NIL NIL NIL ";
            Answer::Raw(format!("* 1 FETCH (UID 5 BODYSTRUCTURE {extension}{}\r\n", "(1 ".repeat(300_000)))
        }),
        ("UID FETCH 5 (UID BODY.PEEK[])", "nests an answer deeper than it was asked for", |_| {
            // To whoever takes the words for an announcement, what follows is no response.
            Answer::Raw(format!("* OK fine {{1000000}}\r\n* 1 FETCH (BODYSTRUCTURE {}", "(".repeat(900_000)))
        }),
        ("UID FETCH 5 (UID RFC822.SIZE)", "tells no size of the mail with UID 5", |_| {
            Answer::Lines("* 1 FETCH (RFC822.SIZE 60)\r\n".into())
        }),
        ("UID FETCH 5 (UID RFC822.SIZE)", "tells no size of the mail with UID 5", |_| Answer::Lines("* 1 FETCH (UID 5)\r\n".into())),
        ("UID FETCH 5 (UID RFC822.SIZE)", "tells no size of the mail with UID 5", |_| Answer::Lines(String::new())),
        ("UID FETCH 5 (UID BODY.PEEK[])", "tells no body of the mail with UID 5", |_| {
            Answer::Lines("* 1 FETCH (UID 5 BODY[] NIL)\r\n".into())
        }),
        ("UID FETCH 5 (UID BODY.PEEK[])", "tells no body of the mail with UID 5", |_| Answer::Lines(String::new())),
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
    let reason = "fetching this mail failed 5 times, at last because the mail server closed the connection during UID FETCH; it is still in \
                  the mailbox";
    assert_eq!(parked, [("imap:9:5".to_owned(), reason.to_owned())]);
    assert_eq!(desk.uid(), Some(5));
}

#[tokio::test]
async fn a_mail_that_is_gone_is_passed_and_one_without_a_body_is_parked() {
    let empty =
        |command: &str| command.starts_with("UID FETCH 5 (UID BODY").then(|| Answer::Lines("* 1 FETCH (UID 5 BODY[] NIL)\r\n".into()));
    let server = serve(move |command| match command {
        "IDLE" => Answer::Close,
        _ => empty(command).unwrap_or_else(|| honest(command)),
    })
    .await;
    let (channel, desk) = (connect(server.port), Arc::new(Desk::default()));
    for _ in 0..6 {
        run(&channel, &desk).await;
    }
    let parked = desk.parked.lock().unwrap().clone();
    assert!(parked.len() == 1 && parked[0].1.contains("tells no body of the mail with UID 5"), "{parked:?}");
    assert_eq!(desk.uid(), Some(5));

    // Removed by somebody between the search and the fetch.
    let server = serve(move |command| match command {
        "IDLE" => Answer::Close,
        "UID SEARCH UID 5" => Answer::Lines("* SEARCH\r\n".into()),
        _ => empty(command).unwrap_or_else(|| honest(command)),
    })
    .await;
    let desk = Arc::new(Desk::default());
    run(&connect(server.port), &desk).await;
    assert_eq!((desk.ids().len(), desk.parked.lock().unwrap().len(), desk.uid()), (0, 0, Some(5)));
}

/// A server with a second mail, UID 6.
fn two_mails(command: &str) -> Answer {
    let second = MAIL.replace("<m@", "<n@");
    match command {
        "SELECT INBOX" => Answer::Lines("* 2 EXISTS\r\n* OK [UIDVALIDITY 9] fine\r\n* OK [UIDNEXT 7] fine\r\n".into()),
        "UID FETCH 6 (UID RFC822.SIZE)" => Answer::Lines(format!("* 2 FETCH (UID 6 RFC822.SIZE {})\r\n", second.len())),
        "UID FETCH 6 (UID BODY.PEEK[])" => Answer::Lines(format!("* 2 FETCH (UID 6 BODY[] {{{}}}\r\n{second})\r\n", second.len())),
        search if search.starts_with("UID SEARCH") => Answer::Lines("* SEARCH 5 6\r\n".into()),
        _ => honest(command),
    }
}

#[tokio::test]
async fn a_mail_that_is_refused_for_good_is_parked_and_the_next_one_comes_in() {
    let server = serve(|command| if command == "IDLE" { Answer::Close } else { two_mails(command) }).await;
    let desk = Arc::new(Desk::default());
    *desk.never.lock().unwrap() = Some("m@customer.example".into());
    run(&connect(server.port), &desk).await;
    assert_eq!(*desk.parked.lock().unwrap(), [("imap:9:5".to_owned(), "the rules forbid it".to_owned())]);
    assert_eq!((desk.ids(), desk.uid()), (vec!["n@customer.example".to_owned()], Some(6)));
}

#[tokio::test]
async fn a_mail_that_cannot_be_stored_is_parked_in_the_end() {
    let server = serve(|command| if command == "IDLE" { Answer::Close } else { two_mails(command) }).await;
    let (channel, desk) = (connect(server.port), Arc::new(Desk::default()));
    desk.refuses.store(true, Ordering::SeqCst);
    for _ in 0..11 {
        let error = run(&channel, &desk).await;
        assert_eq!((error.to_string().as_str(), desk.parked.lock().unwrap().len(), desk.uid()), ("the database is away", 0, None));
    }
    run(&channel, &desk).await;
    let parked = desk.parked.lock().unwrap().clone();
    let reason = "storing this mail failed 12 times, at last because the database is away";
    assert_eq!((parked, desk.uid()), (vec![("imap:9:5".to_owned(), reason.to_owned())], Some(5)));
}

#[tokio::test]
async fn a_server_that_breaks_off_whenever_mail_is_marked_holds_up_nothing() {
    let server = serve(|command| match command {
        "UID STORE 5 +FLAGS.SILENT (\\Seen)" | "IDLE" => Answer::Close,
        _ => two_mails(command),
    })
    .await;
    let (channel, desk) = (connect(server.port), Arc::new(Desk::default()));
    for _ in 0..5 {
        run(&channel, &desk).await;
        assert_eq!(desk.uid(), None);
    }
    run(&channel, &desk).await;
    assert_eq!((desk.uid(), desk.parked.lock().unwrap().len()), (Some(6), 0));
    assert_eq!(desk.ids().last().map(String::as_str), Some("n@customer.example"));
}

#[tokio::test]
async fn an_empty_mailbox_is_remembered_and_a_scan_goes_on_where_it_broke() {
    let commands = Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = Arc::clone(&commands);
    let server = serve(move |command| {
        heard.lock().unwrap().push(command.to_owned());
        match command {
            "SELECT INBOX" => Answer::Lines("* 0 EXISTS\r\n* OK [UIDVALIDITY 9] fine\r\n* OK [UIDNEXT 1] fine\r\n".into()),
            "IDLE" => Answer::Close,
            search if search.starts_with("UID SEARCH") => Answer::Lines("* SEARCH\r\n".into()),
            _ => honest(command),
        }
    })
    .await;
    let desk = Arc::new(Desk::default());
    run(&connect(server.port), &desk).await;
    assert_eq!(*desk.cursor.lock().unwrap(), Some(json!({ "uidvalidity": 9, "uid": 0 })));
    let searches = |commands: &[String]| commands.iter().filter(|command| command.starts_with("UID SEARCH")).cloned().collect::<Vec<_>>();
    assert_eq!(searches(&commands.lock().unwrap()), ["UID SEARCH UID 1:*"]);

    // The same mailbox numbered anew, and a session that breaks between two mails.
    let commands = Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = Arc::clone(&commands);
    let breaks = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let broken = Arc::clone(&breaks);
    let server = serve(move |command| {
        heard.lock().unwrap().push(command.to_owned());
        match command {
            "UID FETCH 6 (UID RFC822.SIZE)" if broken.load(Ordering::SeqCst) => Answer::Close,
            "IDLE" => Answer::Close,
            _ => two_mails(command),
        }
    })
    .await;
    *desk.cursor.lock().unwrap() = Some(json!({ "uidvalidity": 8, "uid": 70 }));
    run(&connect(server.port), &desk).await;
    let since = chrono::Utc::now().date_naive() - chrono::Days::new(7);
    let scan = json!({ "since": since, "until": 6 });
    assert_eq!(*desk.cursor.lock().unwrap(), Some(json!({ "uidvalidity": 9, "uid": 5, "scan": scan })));
    breaks.store(false, Ordering::SeqCst);
    run(&connect(server.port), &desk).await;
    assert_eq!(*desk.cursor.lock().unwrap(), Some(json!({ "uidvalidity": 9, "uid": 6 })));
    let date = since.format("%-d-%b-%Y");
    let expected =
        [format!("UID SEARCH UID 1:6 SINCE {date}"), format!("UID SEARCH UID 6:6 SINCE {date}"), "UID SEARCH UID 7:*".to_owned()];
    assert_eq!(searches(&commands.lock().unwrap()), expected, "what is older is not taken for new");
    assert_eq!(desk.ids(), ["m@customer.example", "n@customer.example"]);
}

#[tokio::test]
async fn a_server_without_idle_is_asked_again_and_again() {
    let (asked, searched) = (Arc::new(AtomicUsize::new(0)), Arc::new(tokio::sync::Notify::new()));
    let (counter, search) = (Arc::clone(&asked), Arc::clone(&searched));
    let server = serve(move |command| match command {
        "CAPABILITY" => Answer::Lines("* CAPABILITY IMAP4rev1\r\n".into()),
        "SELECT INBOX" => Answer::Lines("* 0 EXISTS\r\n* OK [UIDVALIDITY 9] fine\r\n* OK [UIDNEXT 5] fine\r\n".into()),
        "IDLE" => Answer::Raw("TAG BAD what is that\r\n".into()),
        "NOOP" => match counter.fetch_add(1, Ordering::SeqCst) {
            0 => Answer::Lines("* 1 EXISTS\r\n".into()),
            _ => Answer::Close,
        },
        "UID SEARCH UID 5:*" if counter.load(Ordering::SeqCst) == 0 => {
            search.notify_one();
            Answer::Lines("* SEARCH\r\n".into())
        }
        _ => honest(command),
    })
    .await;
    let (channel, desk) = (connect(server.port), Arc::new(Desk::default()));
    let of_session = Arc::clone(&desk);
    let session = tokio::spawn(async move { run(&channel, &of_session).await });
    searched.notified().await;
    // Nothing is left to happen but that time passes.
    tokio::time::pause();
    let error = session.await.unwrap();
    assert!(matches!(&error, ChannelError::Temporary { cause, .. } if cause.contains("NOOP")), "{error:?}");
    assert_eq!((desk.ids(), desk.uid()), (vec!["m@customer.example".to_owned()], Some(5)));
    assert_eq!(asked.load(Ordering::SeqCst), 2, "once a minute");
}

#[tokio::test]
async fn a_password_goes_over_an_open_line_only_where_that_is_said() {
    let spoken = Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = Arc::clone(&spoken);
    let server = serve(move |command| {
        heard.lock().unwrap().push(command.to_owned());
        if command == "IDLE" { Answer::Close } else { honest(command) }
    })
    .await;
    let mut channel = connect(server.port);
    run(&channel, &Arc::new(Desk::default())).await;
    assert!(!spoken.lock().unwrap().iter().any(|command| command == "STARTTLS"), "{spoken:?}");

    spoken.lock().unwrap().clear();
    channel.settings.imap_enable_starttls_auto = true;
    let error = run(&channel, &Arc::new(Desk::default())).await;
    assert!(
        matches!(&error, ChannelError::NeedsAttention(reason) if reason.contains("refused STARTTLS, so the password was not sent")),
        "{error:?}"
    );
    assert_eq!(*spoken.lock().unwrap(), ["GREETING", "STARTTLS"]);
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
