//! Starting and stopping: what the first start makes, what it shows to whom, what it refuses, and how it leaves.

use crate::harness::{Daemon, Database, Finished, Receiver, Reply, SOON, Site, eventually, skipped};
use crate::smtp::Smtp;
use reqwest::Method;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a daemon may take to leave after SIGTERM.
const LEAVES_WITHIN: Duration = Duration::from_secs(10);
/// What a loaded machine may add to that, where the daemon waits the whole time.
const GRACE: Duration = Duration::from_secs(5);
/// How long a command that does no more than look at its settings may take, on a slow machine.
const COMMAND: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_first_start_makes_one_account_and_one_administrator() {
    let daemon = Daemon::start().await;
    let client = daemon.client();

    let profile = client.get("/api/v1/profile").await.expect(200);
    assert_eq!(profile.str("/email"), Site::ADMIN_EMAIL);
    assert_eq!(profile.at("/accounts").as_array().unwrap().len(), 1);
    assert_eq!(profile.id("/accounts/0/id"), 1);
    assert_eq!(profile.str("/accounts/0/role"), "administrator");
    assert_eq!(profile.str("/access_token"), daemon.site().token().unwrap());

    let agents = client.get(client.a("/agents")).await.expect(200);
    assert_eq!(agents.body.as_array().unwrap().len(), 1, "{}", agents.text);
    assert_eq!(agents.str("/0/role"), "administrator");

    let other = client.with_account(2);
    let stranger = other.get(other.a("/agents")).await;
    assert!(matches!(stranger.status, 401 | 404), "{stranger:?}");

    let visitor = daemon.visitor();
    let credentials = |password| json!({"email": Site::ADMIN_EMAIL, "password": password});
    visitor.post("/auth/sign_in", credentials(Site::ADMIN_PASSWORD)).await.expect(200);
    visitor.post("/auth/sign_in", credentials("Password2!")).await.expect(401);
}

#[tokio::test]
async fn what_the_settings_name_is_not_printed() {
    let daemon = Daemon::start().await;
    for secret in [Site::ADMIN_PASSWORD, daemon.site().token().unwrap()] {
        assert!(!daemon.stdout().contains(secret) && !daemon.log().contains(secret), "{}{}", daemon.stdout(), daemon.log());
    }
}

#[tokio::test]
async fn invented_credentials_are_printed_once_and_never_logged() {
    let mut daemon = Daemon::builder().without_bootstrap().start().await;
    // What is printed at the start may follow readiness by a moment.
    let printed = eventually(SOON, async || Some(daemon.stdout()).filter(|text| labelled(text, "token").is_some())).await;
    let email = labelled(&printed, "mail").expect("no e-mail was printed");
    let password = labelled(&printed, "password").expect("no password was printed");
    let token = labelled(&printed, "token").expect("no token was printed");

    let signed_in = daemon.visitor().post("/auth/sign_in", json!({"email": email, "password": password})).await.expect(200);
    assert_eq!(signed_in.str("/data/accounts/0/role"), "administrator");
    let profile = daemon.visitor().with_token(&token).get("/api/v1/profile").await.expect(200);
    assert_eq!(profile.str("/email"), email);

    daemon.restart().await;
    daemon.visitor().with_token(&token).get("/api/v1/profile").await.expect(200);
    assert_eq!(daemon.stdout(), printed, "a second start prints no credentials");
    for secret in [&password, &token] {
        assert!(!daemon.log().contains(secret), "the log shows a secret:\n{}", daemon.log());
        assert_eq!(printed.matches(secret.as_str()).count(), 1, "{printed}");
    }
}

#[tokio::test]
async fn a_second_start_makes_nobody() {
    let mut daemon = Daemon::start().await;
    let before = daemon.stdout();
    // Other bootstrap settings must not make a second administrator, nor change the first.
    daemon.site_mut().environment.insert("KONVERSIO__BOOTSTRAP__ADMIN_EMAIL".into(), "other@example.com".into());
    daemon.restart().await;
    assert_eq!(daemon.stdout(), before);
    let client = daemon.client();
    let agents = client.get(client.a("/agents")).await.expect(200);
    assert_eq!(agents.body.as_array().unwrap().len(), 1, "{}", agents.text);
    assert_eq!(agents.str("/0/email"), Site::ADMIN_EMAIL);
}

#[tokio::test]
async fn nobody_else_on_the_machine_can_read_the_data() {
    let daemon = Daemon::start().await;
    let data = daemon.site().data_dir();
    let files = everything_below(&data);
    assert!(!files.is_empty());
    for path in files.iter().chain([&data]) {
        let mode = mode_of(path);
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", path.display());
    }
    let is_key = |path: &&PathBuf| path.is_file() && path.file_name().unwrap().to_string_lossy().contains("key");
    let keys: Vec<&PathBuf> = files.iter().filter(is_key).collect();
    assert_eq!(keys.len(), 1, "one secret key file among {files:?}");
    assert_eq!(mode_of(keys[0]), 0o600);
}

#[tokio::test]
async fn help_lists_the_commands() {
    let daemon = Daemon::builder().prepare().await;
    let help = daemon.site().run(&["--help"], COMMAND).await.expect(0);
    assert!(help.stdout.contains("Commands:") && help.stdout.contains("check-config"), "{}", help.stdout);
    daemon.site().run(&["no-such-command"], COMMAND).await.expect(2);
    assert!(!daemon.site().data_dir().exists(), "asking for help makes no data");
}

#[tokio::test]
async fn check_config_accepts_a_good_file_and_touches_nothing() {
    let daemon = Daemon::builder().settings("[server]\nbind = \"127.0.0.1:3000\"\n").prepare().await;
    daemon.site().run(&["check-config"], COMMAND).await.expect(0);
    assert!(!daemon.site().data_dir().exists());
}

#[tokio::test]
async fn check_config_names_what_is_wrong_and_what_may_have_been_meant() {
    let cases = [
        ("[server]\nbnd = \"127.0.0.1:3000\"\n", vec!["bnd", "bind"]),
        ("[servr]\nbind = \"127.0.0.1:3000\"\n", vec!["servr", "server"]),
        ("[server]\nbind = \n", vec!["konversio.toml"]),
    ];
    for (settings, named) in cases {
        let daemon = Daemon::builder().settings(settings).prepare().await;
        let finished = daemon.site().run(&["check-config"], COMMAND).await.expect(1);
        assert_named(&finished, &named);
        let refused = daemon.site().run(&[], COMMAND).await;
        assert!(!refused.status.success(), "the daemon starts with settings that check-config refuses");
        assert_named(&refused, &named);
    }
}

#[tokio::test]
async fn an_unknown_setting_in_the_environment_is_refused() {
    let refused = Daemon::builder().env("KONVERSIO__SERVER__BNID", "127.0.0.1:1").refused().await;
    assert!(!refused.status.success());
    assert_named(&refused, &["bnid", "bind"]);
}

#[tokio::test]
async fn a_second_daemon_on_the_same_file_is_refused() {
    if Database::is_postgres() {
        return skipped("two daemons on one SQLite file", "this run tests on PostgreSQL");
    }
    let mut daemon = Daemon::start().await;
    let first = daemon.client();
    daemon.site_mut().move_to_another_port();
    let second = daemon.site().run(&[], COMMAND).await;
    assert!(!second.status.success());
    assert_named(&second, &["another"]);
    first.get("/api/v1/profile").await.expect(200);

    // The lock goes with its holder, however that ends.
    daemon.kill();
    daemon.restart().await;
    daemon.client().get("/api/v1/profile").await.expect(200);
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let daemon = Daemon::start().await;
    let address = daemon.site().address();
    let refused = Daemon::builder().env("KONVERSIO__SERVER__BIND", &address).refused().await;
    assert!(!refused.status.success());
    assert_named(&refused, &[&address]);
}

#[tokio::test]
async fn sigterm_lets_requests_in_flight_end() {
    let mut daemon = Daemon::start().await;
    let mut requests = Vec::new();
    for number in 0..8 {
        requests.push(HalfSent::contact(&daemon, &format!("In Flight {number}")).await);
    }
    let client = daemon.client();
    let asked = Instant::now();
    daemon.signal("TERM");
    // From here on nobody new is served; those who had begun still are.
    eventually(SOON, async || {
        let fresh = daemon.visitor();
        let ready = fresh.request(Method::GET, "/ready").timeout(Duration::from_secs(1));
        (!matches!(fresh.try_answer(ready).await, Ok(answer) if answer.status == 200)).then_some(())
    })
    .await;
    for request in requests {
        let answer = request.finish().await;
        assert!(answer.starts_with("HTTP/1.1 200"), "a request in flight got: {answer:?}");
    }
    let exit = daemon.ended().await;
    assert_eq!(exit.status.code(), Some(0));
    assert!(asked.elapsed() < LEAVES_WITHIN, "it took {:?}", asked.elapsed());

    daemon.restart().await;
    let found = client.get(client.a("/contacts/search?q=In%20Flight")).await.expect(200);
    assert_eq!(found.at("/payload").as_array().unwrap().len(), 8, "{}", found.text);
}

#[tokio::test]
async fn sigterm_does_not_wait_for_a_request_that_never_ends() {
    let mut daemon = Daemon::start().await;
    let _never_finished = HalfSent::contact(&daemon, "Never Finished").await;
    let mut cable = daemon.cable().await;
    let exit = daemon.terminate().await;
    assert_eq!(exit.status.code(), Some(0));
    assert!(exit.took < LEAVES_WITHIN + GRACE, "it took {:?}", exit.took);
    cable.closed(SOON).await;
}

#[tokio::test]
async fn sigterm_leaves_in_time_when_a_request_a_webhook_and_a_mail_server_hang_at_once() {
    let relay = Smtp::start().await;
    relay.hang(true);
    let relay_port = relay.port().to_string();
    let daemon = Daemon::builder().env("KONVERSIO__MAIL__HOST", "127.0.0.1").env("KONVERSIO__MAIL__PORT", &relay_port);
    let daemon = daemon.env("KONVERSIO__MAIL__SECURITY", "none").env("KONVERSIO__MAIL__FROM", "desk@support.test");
    let (mut daemon, receiver, smtp) = tokio::join!(daemon.start(), Receiver::start(), Smtp::start());
    let admin = daemon.client();
    receiver.answer(Reply::hang());
    smtp.hang(true);
    let hook = json!({"url": receiver.url("/hook"), "subscriptions": ["message_created"]});
    let hook = admin.post(admin.a("/webhooks"), hook).await.expect(200).id("/payload/webhook/id");
    let inbox = smtp.inbox(&admin).await;
    let contact = json!({"inbox_id": inbox, "name": "Mia", "email": "mia@example.com"});
    let contact = admin.post(admin.a("/contacts"), contact).await.expect(200).id("/payload/contact/id");
    let opened = admin.post(admin.a("/conversations"), json!({"inbox_id": inbox, "contact_id": contact})).await.expect(200).id("/id");
    let path = admin.a(&format!("/conversations/{opened}/messages"));
    admin.post(&path, json!({"content": "hello"})).await.expect(200);
    let transcript = admin.a(&format!("/conversations/{opened}/transcript"));
    admin.post(transcript, json!({"email": "boss@example.com"})).await.expect(200);
    let id = receiver.wait_for(1, SOON).await[0].header("webhook-id").unwrap().to_owned();
    smtp.wait_for(1).await;
    relay.wait_for(1).await;
    let _never_finished = HalfSent::contact(&daemon, "Never Finished").await;

    let exit = daemon.terminate().await;
    assert_eq!(exit.status.code(), Some(0));
    assert!(exit.took < LEAVES_WITHIN, "it took {:?}", exit.took);
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());

    // What was cut counts for nothing and is taken up again, under the same id.
    receiver.answer(Reply::status(200));
    smtp.hang(false);
    relay.hang(false);
    daemon.restart().await;
    let again = receiver.wait_for(2, SOON).await;
    assert_eq!(again[1].header("webhook-id"), Some(id.as_str()));
    let delivered = eventually(SOON, async || {
        let list = admin.get(admin.a(&format!("/webhooks/{hook}/deliveries"))).await.expect(200);
        Some(list.body["payload"][0].clone()).filter(|newest| newest["status"] == "delivered")
    });
    assert_eq!(delivered.await["failures"], 0);
    smtp.wait_for(2).await;
    relay.wait_for(2).await;
    assert_eq!(admin.get(&path).await.expect(200).str("/payload/0/content"), "hello");
}

#[tokio::test]
async fn the_lock_is_of_the_database_and_not_of_its_name() {
    if Database::is_postgres() {
        return skipped("the lock file of an SQLite database", "this run tests on PostgreSQL");
    }
    let mut daemon = Daemon::builder().prepare().await;
    let folder = daemon.site().folder().to_path_buf();
    let url = |name: &str| format!("sqlite://{}", folder.join(name).display());
    daemon.site_mut().environment.insert("KONVERSIO__DATABASE__URL".into(), url("a.db"));
    daemon.restart().await;
    std::fs::create_dir(folder.join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(folder.join("a.db"), folder.join("elsewhere/link.db")).unwrap();
    std::os::unix::fs::symlink(&folder, folder.join("elsewhere/folder")).unwrap();
    for name in ["a.db", "elsewhere/link.db", "elsewhere/folder/a.db"] {
        daemon.site_mut().environment.insert("KONVERSIO__DATABASE__URL".into(), url(name));
        assert_named(&daemon.site().run(&["migrate"], COMMAND).await.expect(1), &["another konversio runs"]);
    }
    // Another database, however alike its name.
    daemon.site_mut().environment.insert("KONVERSIO__DATABASE__URL".into(), url("a.sqlite"));
    daemon.site().run(&["migrate"], COMMAND).await.expect(0);
}

#[tokio::test]
async fn migrate_makes_the_tables_once_and_an_administrator_is_created_beside_a_daemon_that_runs() {
    let mut daemon = Daemon::builder().prepare().await;
    let migrated = daemon.site().run(&["migrate"], COMMAND).await.expect(0);
    assert!(migrated.stdout.starts_with("ok: ") && !migrated.stdout.starts_with("ok: 0 "), "{}", migrated.stdout);
    let again = daemon.site().run(&["migrate"], COMMAND).await.expect(0);
    assert!(again.stdout.starts_with("ok: 0 migrations applied"), "{}", again.stdout);
    let create = |email: &'static str| ["create-admin", "--email", email, "--name", "Ada"];
    daemon.site_mut().environment.insert("KONVERSIO_ADMIN_PASSWORD".into(), "Other-pass-1".into());
    assert_named(&daemon.site().run(&create("ada@example.com"), COMMAND).await.expect(1), &["no account 1"]);

    daemon.restart().await;
    assert_named(&daemon.site().run(&["migrate"], COMMAND).await.expect(1), &["another konversio runs"]);
    let created = daemon.site().run(&create("ada@example.com"), COMMAND).await.expect(0);
    assert_named(&created, &["ada@example.com is an administrator of account 1", "SIGHUP"]);
    let token = labelled(&created.stdout, "api_access_token:").expect("no token was printed");
    daemon.hangup();
    let profile = eventually(SOON, async || {
        Some(daemon.visitor().with_token(&token).get("/api/v1/profile").await).filter(|answer| answer.status == 200)
    });
    assert_eq!(profile.await.str("/accounts/0/role"), "administrator");
    let credentials = json!({"email": "ada@example.com", "password": "Other-pass-1"});
    daemon.visitor().post("/auth/sign_in", credentials).await.expect(200);
    daemon.site().run(&create("ada@example.com"), COMMAND).await.expect(1);
    daemon.site_mut().environment.insert("KONVERSIO_ADMIN_PASSWORD".into(), "short".into());
    assert_named(&daemon.site().run(&create("eve@example.com"), COMMAND).await.expect(1), &["--password"]);
    daemon.terminate().await;
    daemon.site_mut().environment.insert("KONVERSIO_ADMIN_PASSWORD".into(), "Other-pass-1".into());
    let alone = daemon.site().run(&create("eve@example.com"), COMMAND).await.expect(0);
    assert!(!alone.stdout.contains("SIGHUP"), "{}", alone.stdout);
}

#[tokio::test]
async fn a_private_webhook_in_the_settings_file_is_refused_with_its_line() {
    let entry = |url: &str| format!("[[inbox]]\nname = \"Shop\"\n[inbox.channel]\ntype = \"api\"\nwebhook_url = \"{url}\"\n");
    let refused = Daemon::builder().settings(&entry("http://10.1.2.3/")).refused().await;
    assert!(!refused.status.success());
    assert_named(&refused, &["konversio.toml:5", "inbox.channel.webhook_url", "outbound.allow_cidrs"]);

    let daemon = Daemon::builder().settings(&entry("http://127.0.0.1:19999/")).start().await;
    let admin = daemon.client();
    let logged = daemon.log().len();
    std::fs::write(daemon.site().settings_file(), entry("http://169.254.169.254/latest")).unwrap();
    let reported =
        eventually(SOON, async || daemon.log()[logged..].lines().find(|line| line.contains("not applied")).map(str::to_owned)).await;
    assert!(reported.contains("konversio.toml:5") && reported.contains("inbox.channel.webhook_url"), "{reported}");
    assert_eq!(admin.get(admin.a("/inboxes")).await.expect(200).str("/payload/0/webhook_url"), "http://127.0.0.1:19999/");
}

#[tokio::test]
async fn the_time_for_a_stop_is_bounded() {
    let refused = Daemon::builder().env("KONVERSIO__SERVER__SHUTDOWN_TIMEOUT_SECONDS", "60").refused().await;
    assert_named(&refused, &["shutdown_timeout_seconds"]);
}

#[tokio::test]
async fn an_idle_daemon_leaves_at_once() {
    let mut daemon = Daemon::start().await;
    // An idle connection that a client keeps open is nothing to wait for.
    let client = daemon.client();
    client.get("/api/v1/profile").await.expect(200);
    let exit = daemon.terminate().await;
    assert_eq!(exit.status.code(), Some(0));
    assert!(exit.took < LEAVES_WITHIN, "it took {:?}", exit.took);
}

/// A request that the daemon has begun to handle and that still lacks its body.
pub struct HalfSent {
    connection: TcpStream,
    body: String,
}

impl HalfSent {
    /// One that makes a contact.
    async fn contact(daemon: &Daemon, name: &str) -> Self {
        Self::post(daemon, "/api/v1/accounts/1/contacts", "", &json!({"name": name})).await
    }

    /// One of the administrator; `headers` are further lines.
    pub async fn post(daemon: &Daemon, path: &str, headers: &str, body: &Value) -> Self {
        let body = body.to_string();
        let (address, token) = (daemon.site().address(), daemon.site().token().unwrap());
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\napi_access_token: {token}\r\n{headers}\
             content-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n",
            body.len()
        );
        let mut connection = TcpStream::connect(&address).await.unwrap();
        connection.write_all(head.as_bytes()).await.unwrap();
        // "100 Continue" is the daemon's word that it has read the head and waits for the body.
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(tokio::time::timeout(SOON, connection.read_u8()).await.expect("no 100 Continue in time").unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&answer));
        HalfSent { connection, body }
    }

    async fn finish(self) -> String {
        self.finish_within(SOON).await
    }

    /// Sends the body; what is answered.
    pub async fn finish_within(mut self, deadline: Duration) -> String {
        self.connection.write_all(self.body.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(deadline, self.connection.read_to_end(&mut answer)).await;
        read.expect("no answer in time").unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// The last word of the first line with this word in it, in any case: `Password: secret` → `secret`.
fn labelled(text: &str, label: &str) -> Option<String> {
    let line = text.lines().find(|line| {
        let words_before_the_last = line.trim_end().rsplit_once(char::is_whitespace).map(|(before, _)| before.to_lowercase());
        words_before_the_last.is_some_and(|words| words.contains(label))
    })?;
    line.split_whitespace().last().map(str::to_owned)
}

#[track_caller]
fn assert_named(finished: &Finished, words: &[&str]) {
    let said = format!("{}{}", finished.stdout, finished.stderr).to_lowercase();
    for word in words {
        assert!(said.contains(&word.to_lowercase()), "`{word}` is not named in:\n{said}");
    }
}

fn mode_of(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn everything_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(everything_below(&path));
        }
        found.push(path);
    }
    found
}
