//! `Idempotency-Key`: a request that is sent again is carried out once, whatever became of the first one.

use crate::app::{api_inbox, contents, conversation, count, customer, execute, talk};
use crate::desk::stored;
use crate::harness::{Answer, Client, Daemon, Database, SOON, Site, eventually};
use crate::start::HalfSent;
use reqwest::Method;
use reqwest::multipart::Form;
use serde_json::{Value, json};
use sqlx::Connection;

async fn send(client: &Client, path: &str, key: &str, body: &Value) -> Answer {
    client.answer(client.request(Method::POST, path).header("idempotency-key", key).json(body)).await
}

/// The first request is cut off after what it made is stored, and before its answer is.
async fn lose_answers(daemon: &mut Daemon) {
    daemon.kill();
    const LOST: &str = "UPDATE idempotency_keys SET status = NULL, body = NULL, fingerprint = ''";
    execute(daemon, LOST, LOST).await;
    daemon.restart().await;
}

#[tokio::test]
async fn what_was_made_before_a_crash_is_shown_and_not_made_again() {
    let mut daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    // Messages and conversations are counted apart: so that no number is that of the other.
    talk(&admin, inbox.id, "one").await;
    talk(&admin, inbox.id, "two").await;
    let mia = customer(&admin, inbox.id, "mia").await;
    let contacts = format!("/public/api/v1/inboxes/{}/contacts", inbox.identifier);
    let of_mia = format!("{contacts}/{}/conversations", mia.source_id);
    let id = conversation(&admin, inbox.id, mia.id).await;
    let requests = [
        // Without a name of its own: only the key says that it is the same.
        (contacts, json!({"name": "Anonymous"}), "/id"),
        ("/api/v1/profile".into(), json!({"inbox_identifier": inbox.identifier, "name": "Nameless"}), "/id"),
        (admin.a("/contacts"), json!({"name": "Nobody"}), "/payload/contact/id"),
        (admin.a("/conversations"), json!({"inbox_id": inbox.id, "contact_id": mia.id, "message": {"content": "first"}}), "/id"),
        (of_mia.clone(), json!({}), "/id"),
        (format!("{of_mia}/{id}/messages"), json!({"content": "from mia"}), "/id"),
        (admin.a(&format!("/conversations/{id}/messages")), json!({"content": "to mia"}), "/id"),
    ];
    let mut first = Vec::new();
    for (path, body, pointer) in &requests {
        first.push(send(&admin, path, "k", body).await.expect(200).id(pointer));
    }
    lose_answers(&mut daemon).await;
    let admin = daemon.client();
    const MADE: [&str; 3] = ["SELECT count(*) FROM contacts", "SELECT count(*) FROM conversations", "SELECT count(*) FROM messages"];
    let mut before = Vec::new();
    for sql in MADE {
        before.push(count(&daemon, sql).await);
    }
    for ((path, body, pointer), first) in requests.iter().zip(first) {
        assert_eq!(send(&admin, path, "k", body).await.expect(200).id(pointer), first, "{path}");
    }
    for (sql, before) in MADE.iter().zip(before) {
        assert_eq!(count(&daemon, sql).await, before, "{sql}");
    }
}

#[tokio::test]
async fn what_may_have_been_carried_out_and_notes_nothing_is_refused() {
    let mut daemon = Daemon::start().await;
    let admin = daemon.client();
    let (path, body) = (admin.a("/webhooks"), json!({"url": "http://127.0.0.1:19999/"}));
    let made = send(&admin, &path, "k", &body).await.expect(200);
    assert_eq!(send(&admin, &path, "k", &body).await.expect(200).text, made.text);
    lose_answers(&mut daemon).await;
    let admin = daemon.client();
    assert!(send(&admin, &path, "k", &body).await.expect(409).str("/error").contains("another key"));
    assert_eq!(admin.get(&path).await.expect(200).at("/payload/webhooks").as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_request_that_failed_on_our_side_may_be_sent_again() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    execute(
        &daemon,
        "CREATE TRIGGER full BEFORE INSERT ON messages BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
        "DO $$ BEGIN
             EXECUTE 'CREATE FUNCTION is_full() RETURNS trigger LANGUAGE plpgsql AS ''BEGIN RAISE EXCEPTION ''''full''''; END''';
             EXECUTE 'CREATE TRIGGER is_full BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION is_full()';
         END $$",
    )
    .await;
    let (path, body) = (admin.a(&format!("/conversations/{id}/messages")), json!({"content": "hello"}));
    for _ in 0..2 {
        assert!(send(&admin, &path, "k", &body).await.status >= 500);
    }
    execute(&daemon, "DROP TRIGGER full", "DROP TRIGGER is_full ON messages").await;
    let said = send(&admin, &path, "k", &body).await.expect(200);
    assert_eq!(send(&admin, &path, "k", &body).await.expect(200).id("/id"), said.id("/id"));
    assert_eq!(contents(&admin, id).await, ["hello"]);
}

/// While this is held nobody can store a message.
enum Blockade {
    Sqlite(sqlx::SqliteConnection),
    Postgres(sqlx::PgConnection),
}

impl Blockade {
    async fn begin(daemon: &Daemon) -> Self {
        match daemon.site().database() {
            Database::Sqlite => {
                let file = daemon.site().data_dir().join("konversio.db");
                let mut connection = sqlx::SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
                sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
                Blockade::Sqlite(connection)
            }
            Database::Postgres { url, .. } => {
                let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
                sqlx::query("BEGIN").execute(&mut connection).await.unwrap();
                sqlx::query("LOCK TABLE messages IN ACCESS EXCLUSIVE MODE").execute(&mut connection).await.unwrap();
                Blockade::Postgres(connection)
            }
        }
    }

    async fn end(self) {
        match self {
            Blockade::Sqlite(connection) => connection.close().await.unwrap(),
            Blockade::Postgres(connection) => connection.close().await.unwrap(),
        }
    }
}

#[tokio::test]
async fn a_request_that_was_given_up_and_stored_later_is_stored_once() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let (id, other) = (talk(&admin, inbox.id, "mia").await, talk(&admin, inbox.id, "noa").await);
    let path = |id: i64| admin.a(&format!("/conversations/{id}/messages"));
    let body = json!({"content": "hello"});
    // Its key is noted before it is said what is to be stored.
    let request = HalfSent::post(&daemon, &path(id), "idempotency-key: k\r\n", &body).await;
    eventually(SOON, async || (count(&daemon, "SELECT count(*) FROM idempotency_keys").await == 1).then_some(())).await;
    let blockade = Blockade::begin(&daemon).await;
    // What is stored before it takes so long that it is given up before its own turn has come.
    let before = {
        let (admin, path) = (admin.clone(), path(other));
        tokio::spawn(async move { admin.post(path, json!({"content": "before"})).await })
    };
    admin.get("/api/v1/profile").await.expect(200);
    let answer = request.finish_within(SOON * 3).await;
    assert!(answer.starts_with("HTTP/1.1 50"), "{answer}");
    blockade.end().await;
    let again = eventually(SOON, async || {
        let again = send(&admin, &path(id), "k", &body).await;
        (again.status == 200).then_some(again)
    });
    let again = again.await;
    assert!(before.await.unwrap().status >= 200);
    // Whatever waited has been stored by now: this waits behind it.
    send(&admin, &path(id), "another", &json!({"content": "last"})).await.expect(200);
    assert_eq!(contents(&admin, id).await, ["hello", "last"]);
    assert_eq!(again.id("/id"), admin.get(path(id)).await.expect(200).id("/payload/0/id"));
}

#[tokio::test]
async fn a_form_is_the_same_with_another_boundary() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    let path = admin.a(&format!("/conversations/{id}/messages"));
    let post = async |content: &'static str| {
        let file = reqwest::multipart::Part::bytes(vec![b'x'; 300_000]).file_name("x.txt").mime_str("text/plain").unwrap();
        let form = Form::new().text("content", content).part("attachments[]", file);
        admin.answer(admin.request(Method::POST, &path).header("idempotency-key", "k").multipart(form)).await
    };
    let first = post("hello").await.expect(200);
    assert_eq!(post("hello").await.expect(200).text, first.text);
    post("something else").await.expect(422);
    assert_eq!(contents(&admin, id).await, ["hello"]);
}

#[tokio::test]
async fn strangers_leave_no_trace_and_limits_hold() {
    let daemon = Daemon::builder().env("KONVERSIO__SERVER__MAX_BODY_BYTES", "2048").start().await;
    let (admin, visitor) = (daemon.client(), daemon.visitor());
    send(&visitor, &admin.a("/contacts"), "k", &json!({"name": "Mia"})).await.expect(401);
    send(&visitor.with_token("nonsense"), &admin.a("/contacts"), "k", &json!({"name": "Mia"})).await.expect(401);
    send(&visitor, "/public/api/v1/inboxes/nonsense/contacts", "k", &json!({"name": "Mia"})).await.expect(404);
    let credentials = json!({"email": Site::ADMIN_EMAIL, "password": Site::ADMIN_PASSWORD});
    send(&visitor, "/auth/sign_in", "k", &credentials).await.expect(200);
    send(&admin, &admin.a("/contacts"), "k", &json!({"name": "x".repeat(3000)})).await.expect(413);
    assert_eq!(count(&daemon, "SELECT count(*) FROM idempotency_keys").await, 0);
    send(&admin, &admin.a("/contacts"), "k", &json!({"name": "Mia"})).await.expect(200);
    assert_eq!(count(&daemon, "SELECT count(*) FROM idempotency_keys").await, 1);
}

#[tokio::test]
async fn tokens_in_answers_are_not_kept_in_the_clear() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let bot = json!({"name": "Bot", "outgoing_url": "http://127.0.0.1:19999/"});
    let made = send(&admin, &admin.a("/agent_bots"), "k", &bot).await.expect(200);
    assert_eq!(send(&admin, &admin.a("/agent_bots"), "k", &bot).await.expect(200).text, made.text);
    let token = made.str("/access_token");
    assert!(token.len() > 20 && !stored(&daemon).await.contains(token));
}
