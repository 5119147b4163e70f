//! A desk that is as large as the promise: made in SQL, since a million messages posted one by one would take an hour.
//!
//! Rows are written without indexes and triggers, which are then put back as they were: on either database that is several
//! times faster than keeping them.

use super::LARGE;
use crate::harness::{Database, Site};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row, SqliteConnection};

pub const CONTACTS: u32 = 50_000;
pub const CONVERSATIONS: u32 = 100_000;
pub const MESSAGES: u32 = 1_000_000;
/// Of what hangs on them: notifications, attachments, entries of the audit log.
const OTHERS: u32 = 100_000;

/// The SQLite file of a daemon that does not run.
pub async fn open(site: &Site) -> SqliteConnection {
    let file = SqliteConnectOptions::new().filename(site.data_dir().join("konversio.db")).foreign_keys(false);
    let fast = file.journal_mode(SqliteJournalMode::Off).synchronous(SqliteSynchronous::Off).pragma("cache_size", "-200000");
    SqliteConnection::connect_with(&fast).await.unwrap()
}

/// 100,000 conversations of 50,000 contacts in two accounts with four inboxes each, ten messages in each.
pub async fn fill(site: &Site) {
    match site.database() {
        Database::Sqlite => {
            let mut connection = open(site).await;
            let kept =
                "SELECT type, name, sql FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql IS NOT NULL ORDER BY type, name";
            let kept: Vec<(String, String, String)> = sqlx::query_as(kept).fetch_all(&mut connection).await.unwrap();
            for (kind, name, _) in &kept {
                connection.execute(AssertSqlSafe(format!("DROP {kind} {name}"))).await.unwrap();
            }
            for statement in rows(&SQLITE) {
                connection.execute(AssertSqlSafe(statement)).await.unwrap();
            }
            for (_, _, sql) in kept {
                connection.execute(AssertSqlSafe(sql)).await.unwrap();
            }
            let texts = "SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE % USING fts5%'";
            let texts: Vec<String> = sqlx::query_scalar(texts).fetch_all(&mut connection).await.unwrap();
            for name in texts {
                connection.execute(AssertSqlSafe(format!("INSERT INTO {name} ({name}) VALUES ('rebuild')"))).await.unwrap();
            }
            connection.close().await.unwrap();
        }
        Database::Postgres { url, .. } => {
            let mut connection = PgConnection::connect(url).await.unwrap();
            // Only some users may leave out the check of references; for others it takes longer.
            let _ = connection.execute("SET session_replication_role = replica").await;
            connection.execute("SET maintenance_work_mem = '256MB'").await.unwrap();
            let tables = LARGE.iter().map(|table| format!("'{table}'")).collect::<Vec<_>>().join(", ");
            let kept =
                format!("SELECT indexname::text, indexdef FROM pg_indexes WHERE tablename IN ({tables}) AND indexname NOT LIKE '%_pkey'");
            let kept = connection.fetch_all(AssertSqlSafe(kept)).await.unwrap();
            for row in &kept {
                connection.execute(AssertSqlSafe(format!("DROP INDEX {}", row.get::<String, _>(0)))).await.unwrap();
            }
            for statement in rows(&POSTGRES) {
                connection.execute(AssertSqlSafe(statement)).await.unwrap();
            }
            for row in &kept {
                connection.execute(AssertSqlSafe(row.get::<String, _>(1))).await.unwrap();
            }
            connection.execute("VACUUM ANALYZE").await.unwrap();
        }
    }
}

/// How a database writes what both cannot write alike; all of it speaks of the number `i`.
struct Dialect {
    series: fn(u32) -> String,
    time: &'static str,
    uuid: &'static str,
    no: &'static str,
    object: &'static str,
}

const SQLITE: Dialect = Dialect {
    series: |count| format!("(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) SELECT i FROM n) AS n"),
    time: "strftime('%Y-%m-%d %H:%M:%S.000000+00:00', 1767225600 + i, 'unixepoch')",
    uuid: "randomblob(16)",
    no: "0",
    object: "json_object",
};

const POSTGRES: Dialect = Dialect {
    series: |count| format!("(SELECT i FROM generate_series(1, {count}) AS n(i)) AS n"),
    time: "timestamptz '2026-01-01' + i * interval '1 second'",
    uuid: "gen_random_uuid()",
    no: "false",
    object: "jsonb_build_object",
};

fn rows(Dialect { series, time, uuid, no, object }: &Dialect) -> Vec<String> {
    vec![
        format!(
            "INSERT INTO contacts (id, account_id, name, email, phone_number, blocked, additional_attributes, custom_attributes,
             last_activity_at, created_at, updated_at)
             SELECT i, 1 + i % 2, 'Customer ' || i, 'customer' || i || '@example.com', '+49' || (100000000 + i), {no},
             {object}('city', 'City ' || (i % 500), 'company_name', 'Company ' || (i % 5000), 'country', 'Country ' || (i % 100)),
             '{{}}', {time}, {time}, {time} FROM {}",
            series(CONTACTS)
        ),
        format!(
            "INSERT INTO contact_inboxes (id, contact_id, inbox_id, source_id, hmac_verified, pubsub_token, created_at, updated_at)
             SELECT i, i, 1 + i % 8, 'source' || i, {no}, 'token' || i, {time}, {time} FROM {}",
            series(CONTACTS)
        ),
        format!(
            "INSERT INTO conversations (id, account_id, display_id, uuid, inbox_id, contact_id, contact_inbox_id, status, priority, assignee_id,
             labels, unread_count, additional_attributes, custom_attributes, first_reply_created_at, last_activity_at, created_at, updated_at)
             SELECT i, 1 + (1 + i / 2) % 2, i, {uuid}, 1 + (1 + i / 2) % 8, 1 + i / 2 % {CONTACTS}, 1 + i / 2 % {CONTACTS}, (i / 4) % 4, (i / 8) % 4,
             CASE WHEN i % 3 = 0 THEN 1 + i % 20 END, '[]', i % 5,
             {object}('referer', 'https://example.com/shop/category/product/' || i, 'mail_subject', 'Order ' || i),
             '{{}}', CASE WHEN i % 20 > 0 THEN {time} END, {time}, {time}, {time}
             FROM {}",
            series(CONVERSATIONS)
        ),
        format!(
            "INSERT INTO messages (id, account_id, inbox_id, conversation_id, message_type, content_type, content, private, status,
             content_attributes, additional_attributes, created_at, updated_at)
             SELECT i, 1 + (1 + (1 + i % {CONVERSATIONS}) / 2) % 2, 1 + (1 + (1 + i % {CONVERSATIONS}) / 2) % 8, 1 + i % {CONVERSATIONS}, i % 3, 'text',
             'message ' || i || ' about a ' || CASE WHEN i % 50 = 0 THEN 'refund' ELSE 'thing' END || ' and parcel ' || (i % 1000), {no}, 0,
             '{{}}', '{{}}', {time}, {time} FROM {}",
            series(MESSAGES)
        ),
        format!(
            "INSERT INTO attachments (id, account_id, message_id, file_type, external_url, meta, created_at)
             SELECT i, 1 + (1 + (1 + i % {CONVERSATIONS}) / 2) % 2, i, 'fallback', 'https://example.com/' || i, '{{}}', {time} FROM {}",
            series(OTHERS)
        ),
        format!(
            "INSERT INTO notifications (id, account_id, user_id, notification_type, conversation_id, read_at, last_activity_at, meta, created_at, updated_at)
             SELECT i, 1, 1 + i % 20, 0, 14 + 16 * (i % 5000), CASE WHEN i % 3 = 0 THEN {time} END, {time}, '{{}}', {time}, {time} FROM {}",
            series(OTHERS)
        ),
        format!(
            "INSERT INTO audit_logs (id, account_id, auditable_type, auditable_id, user_id, username, action, audited_changes, created_at)
             SELECT 1000 + i, 1 + i % 2, 'Label', i, 1, 'admin@example.com', 'create', '{{}}', {time} FROM {}",
            series(OTHERS)
        ),
        format!("INSERT INTO conversation_labels (account_id, title, conversation_id) SELECT 1 + i % 2, 'label' || (i % 50), i FROM {}", series(CONVERSATIONS)),
        format!("INSERT INTO contact_labels (account_id, title, contact_id) SELECT 1 + i % 2, 'label' || (i % 50), i FROM {}", series(CONTACTS)),
        format!("INSERT INTO mentions (account_id, conversation_id, user_id, mentioned_at) SELECT 1, i, 1 + i % 100, {time} FROM {}", series(CONVERSATIONS)),
        format!("INSERT INTO participants (account_id, conversation_id, user_id, created_at) SELECT 1, i, 1 + i % 100, {time} FROM {}", series(CONVERSATIONS)),
        format!("UPDATE accounts SET last_display_id = {CONVERSATIONS}"),
    ]
}
