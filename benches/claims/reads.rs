//! What lists and searches take with 10,000 messages and with 1,000,000, side by side: one request at a time, on SQLite.
use crate::daemon::{Daemon, TOKEN};
use crate::load::{Measured, measure, request};
use crate::{PLAIN_INBOX, millis};
use sea_orm::{ConnectionTrait, Database};
use std::path::Path;
use std::time::Duration;

/// Messages of the small and of the large desk; a tenth as many conversations, a twentieth as many contacts.
const SIZES: [u64; 2] = [10_000, 1_000_000];
const LENGTH: Duration = Duration::from_secs(2);

/// What is asked for, below the account.
const READS: [(&str, &str); 9] = [
    ("conversation list", "/conversations?page=1"),
    ("  its page 20", "/conversations?page=20"),
    ("  of all statuses", "/conversations?status=all"),
    ("conversation counts", "/conversations/meta"),
    ("page of messages", "/conversations/7/messages"),
    ("contact list", "/contacts?sort=-last_activity_at"),
    ("contact search", "/contacts/search?q=customer77%40example.com"),
    ("search of messages", "/search/messages?q=refund"),
    ("  a word of every one", "/search/messages?q=refund%20parcel"),
];

/// Fills both desks and measures each read on both.
pub async fn compare(folder: &Path) -> anyhow::Result<()> {
    let mut measured: Vec<Vec<Measured>> = Vec::new();
    for messages in SIZES {
        let folder = folder.join(format!("reads-{messages}"));
        std::fs::create_dir_all(&folder)?;
        // The first start makes the tables and the inbox.
        drop(Daemon::start(&folder, PLAIN_INBOX, None).await?);
        fill(&folder, messages).await?;
        let daemon = Daemon::start(&folder, PLAIN_INBOX, None).await?;
        let mut of_desk = Vec::new();
        for (_, path) in READS {
            let bytes = request("GET", &format!("/api/v1/accounts/1{path}"), Some(TOKEN), "");
            of_desk.push(measure(daemon.address, 1, LENGTH, move || bytes.clone()).await?);
        }
        measured.push(of_desk);
    }
    let [few, many] = SIZES;
    println!("\nReads, one at a time, p50 and p99 in ms, on SQLite:");
    println!("{:<26} {:>9} {:>9}   {:>9} {:>9}   {:>9} {:>9}", "messages", few, "", many, "", "p50 ratio", "p99 ratio");
    let [small, large] = measured.as_slice() else { anyhow::bail!("two desks were to be measured") };
    for (((what, _), small), large) in READS.into_iter().zip(small).zip(large) {
        let [p50, p99] = [large.p50.as_secs_f64() / small.p50.as_secs_f64(), large.p99.as_secs_f64() / small.p99.as_secs_f64()];
        let [a, b, c, d] = [small.p50, small.p99, large.p50, large.p99].map(millis);
        println!("{what:<26} {a:>9.2} {b:>9.2}   {c:>9.2} {d:>9.2}   {p50:>9.2} {p99:>9.2}");
    }
    Ok(())
}

/// Rows as the daemon stores them, without its writer: half of the conversations are open, a message in 500 has the words.
async fn fill(folder: &Path, messages: u64) -> anyhow::Result<()> {
    let db = Database::connect(format!("sqlite://{}", folder.join("data/konversio.db").display())).await?;
    let series = |count: u64| format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})");
    let (conversations, contacts) = (messages / 10, messages / 20);
    let time = "strftime('%Y-%m-%d %H:%M:%S.000000+00:00', 1767225600 + i, 'unixepoch')";
    for statement in [
        format!(
            "INSERT INTO contacts (id, account_id, name, email, blocked, additional_attributes, custom_attributes, last_activity_at,
             created_at, updated_at) {} SELECT i, 1, 'Customer ' || i, 'customer' || i || '@example.com', 0, '{{}}', '{{}}', {time}, {time},
             {time} FROM n",
            series(contacts)
        ),
        format!(
            "INSERT INTO contact_inboxes (id, contact_id, inbox_id, source_id, hmac_verified, pubsub_token, created_at, updated_at) {}
             SELECT i, i, 1, 'source' || i, 0, 'token' || i, {time}, {time} FROM n",
            series(contacts)
        ),
        format!(
            "INSERT INTO conversations (id, account_id, display_id, uuid, inbox_id, contact_id, contact_inbox_id, status, assignee_id, labels,
             unread_count, additional_attributes, custom_attributes, last_activity_at, created_at, updated_at) {} SELECT i, 1, i,
             randomblob(16), 1, 1 + i % {contacts}, 1 + i % {contacts}, i % 2, CASE WHEN i % 3 = 0 THEN 1 END, '[]', i % 5, '{{}}', '{{}}',
             {time}, {time}, {time} FROM n",
            series(conversations)
        ),
        format!(
            "INSERT INTO messages (id, account_id, inbox_id, conversation_id, message_type, content_type, content, private, status,
             sender_type, sender_id, content_attributes, additional_attributes, created_at, updated_at) {} SELECT i, 1, 1,
             1 + i % {conversations}, i % 2, 'text', 'message ' || i || ' about a ' || CASE WHEN i % 500 = 0 THEN 'refund' ELSE 'thing' END
             || ' and the parcel that has not arrived', 0, 0, NULL, NULL, '{{}}', '{{}}', {time}, {time} FROM n",
            series(messages)
        ),
        format!("UPDATE accounts SET last_display_id = {conversations}"),
    ] {
        db.execute_unprepared(&statement).await?;
    }
    Ok(db.close().await?)
}
