//! How the databases run the statements of `konversio::reads`: none of the hot paths scans a table, with statistics or without.
//!
//! In process, unlike the other tests: the very statements that the handlers run are built and explained on tables made by the
//! migrations and filled with as many rows as make a planner choose as it does with millions.

use crate::harness::Database;
use entity::conversation::Status;
use konversio::reads::Page;
use konversio::reads::contacts::{self, Sort as ContactSort};
use konversio::reads::conversations::{self, Direction, Scope, Sort};
use konversio::reads::filter::{Compiler, Table};
use konversio::reads::search::{self, Wanted};
use migration::{Migrator, MigratorTrait};
use sea_orm::sea_query::SelectStatement;
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, DatabaseConnection, DbBackend};
use serde_json::{Value, json};

#[tokio::test]
async fn no_list_filter_search_or_count_scans_a_table() {
    let (database, folder) = (Database::create().await, tempfile::tempdir().unwrap());
    let url = database.url().map_or_else(|| format!("sqlite://{}", folder.path().join("plans.db").display()), str::to_owned);
    let db = actors::db::Db::open(&url, 2).await.unwrap();
    Migrator::up(&db.write, None).await.unwrap();
    fill(&db.write).await;
    let backend = db.read.get_database_backend();
    // SQLite is never told the statistics of a running daemon's tables.
    if backend == DbBackend::Sqlite {
        explain_all(&db.read).await;
    }
    let analyze = if backend == DbBackend::Postgres { "VACUUM ANALYZE" } else { "ANALYZE" };
    db.write.execute_unprepared(analyze).await.unwrap();
    explain_all(&db.read).await;
    drop(db);
}

async fn explain_all(db: &DatabaseConnection) {
    let statements = statements(db.get_database_backend());
    let mut scanning = Vec::new();
    for (name, select) in &statements {
        let plan = plan(db, select).await;
        let scans = |table: &str| {
            plan.lines().any(|line| {
                line.trim().starts_with(&format!("SCAN {table} "))
                    || line.trim() == format!("SCAN {table}")
                    || line.contains(&format!("SEARCH {table} USING AUTOMATIC"))
                    || line.contains(&format!("Seq Scan on {table}"))
            })
        };
        if ["conversations", "messages", "contacts"].into_iter().any(scans) {
            scanning.push(format!("{name}:\n{plan}"));
        }
    }
    assert!(scanning.is_empty(), "{} of {} statements scan a table:\n{}", scanning.len(), statements.len(), scanning.join("\n"));
}

async fn plan(db: &DatabaseConnection, select: &SelectStatement) -> String {
    let (explain, column) = match db.get_database_backend() {
        DbBackend::Postgres => ("EXPLAIN", 0),
        _ => ("EXPLAIN QUERY PLAN", 3),
    };
    let mut statement = db.get_database_backend().build(select);
    statement.sql = format!("{explain} {}", statement.sql);
    let rows = db.query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index::<String>(column).unwrap()).collect::<Vec<_>>().join("\n")
}

fn statements(backend: DbBackend) -> Vec<(String, SelectStatement)> {
    let mut statements = Vec::new();
    let mut add = |name: String, select| statements.push((name, select));
    let administrator = Scope { account_id: 1, inboxes: None };
    let agent = Scope { account_id: 1, inboxes: Some(vec![1, 3]) };
    let (first, far) = (Page::of(1, 25), Page::of(100, 25));
    for (who, scope) in [("administrator", &administrator), ("agent", &agent)] {
        let filters: Vec<(&str, Condition)> = vec![
            ("all", scope.condition()),
            ("mine", scope.condition().add(assignee().eq(1))),
            ("unassigned", scope.condition().add(assignee().is_null())),
            ("labels", scope.condition().add(conversations::labelled(1, &["vip".into()]))),
            ("mentions", scope.condition().add(conversations::mentioning(1, 1))),
            ("followed", scope.condition().add(conversations::followed(1, 1))),
            ("unattended", scope.condition().add(conversations::unattended())),
            ("q", scope.condition().add(search::saying(backend, scope, "refund parcel"))),
            ("filtered", scope.condition().add(filtered(backend, Table::Conversations))),
        ];
        for (filter, condition) in filters {
            for status in [Some(Status::Open), None] {
                let name = format!("conversations, {who}, {filter}, {status:?}");
                add(format!("count of {name}"), conversations::counts(&condition, status, 1));
                for page in [first, far] {
                    let sort = Sort::Activity(Direction::Down);
                    add(format!("{name} from {}", page.offset), conversations::page(&condition, status, sort, page));
                }
            }
        }
        for sort in [
            Sort::Creation(Direction::Up),
            Sort::Priority(Direction::Down),
            Sort::PriorityThenAge,
            Sort::Waiting(Direction::Up),
            Sort::Unread,
        ] {
            add(format!("conversations, {who}, by {sort:?}"), conversations::page(&scope.condition(), Some(Status::Open), sort, first));
        }
        add(format!("unread, {who}"), conversations::unread(scope));
        add(format!("unread by label, {who}"), conversations::unread_by_label(scope));
        for (text, wanted) in [("refund", Wanted::Message), ("refund parcel", Wanted::Both), ("a", Wanted::Message)] {
            add(format!("messages, {who}, {text}"), search::messages(backend, scope, text, wanted, first).unwrap());
        }
        for text in ["customer 77", "77"] {
            add(format!("search of conversations, {who}, {text}"), search::conversations(backend, scope, text, first));
        }
    }
    let known = contacts::known(1);
    add("count of contacts".into(), contacts::count(&known));
    add("count of labelled contacts".into(), contacts::count(&known.clone().add(contacts::labelled(1, &["vip".into()]))));
    for sort in ["name", "-name", "last_activity_at", "-last_activity_at", "created_at", "-created_at"] {
        add(format!("contacts by {sort}"), contacts::page(&known, &ContactSort::named(sort), first));
    }
    for text in ["customer 77", "c7", "x", "mer77@exam"] {
        add(format!("contacts, {text}"), search::contacts(backend, 1, text));
    }
    let found = contacts::of_account(1).add(entity::contact::Column::Id.is_in((1..=100).map(|id| 2 * id)));
    add("contacts that were found".into(), contacts::page(&found, &ContactSort::named("name"), first));
    let condition = known.clone().add(filtered(backend, Table::Contacts));
    add("contacts, filtered".into(), contacts::page(&condition, &ContactSort::named("name"), first));
    statements
}

fn assignee() -> sea_orm::sea_query::Expr {
    sea_orm::sea_query::Expr::col((entity::conversation::Entity, entity::conversation::Column::AssigneeId))
}

use sea_orm::sea_query::ExprTrait;

fn filtered(backend: DbBackend, table: Table) -> Condition {
    let clause = |key: &str, operator: &str, values: Value, then: Value| json!({"attribute_key": key, "filter_operator": operator, "values": values, "query_operator": then});
    let payload = match table {
        Table::Conversations => json!([
            clause("status", "equal_to", json!(["open"]), json!("and")),
            clause("assignee_id", "is_present", json!([]), json!("or")),
            clause("labels", "equal_to", json!(["vip"]), json!("and")),
            clause("inbox_id", "equal_to", json!([3]), json!(null)),
        ]),
        Table::Contacts => {
            json!([clause("name", "contains", json!(["77"]), json!("or")), clause("labels", "equal_to", json!(["vip"]), json!(null)),])
        }
    };
    Compiler { backend, account_id: 1, table, custom: &[], today: "2026-01-31".parse().unwrap() }.compile(&payload).unwrap()
}

/// 20,000 conversations of 10,000 contacts in two accounts, each with ten messages.
async fn fill(db: &DatabaseConnection) {
    let is_postgres = db.get_database_backend() == DbBackend::Postgres;
    let series = |count: u32| match is_postgres {
        true => format!("(SELECT i FROM generate_series(1, {count}) AS n(i)) AS n"),
        false => format!("(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) SELECT i FROM n) AS n"),
    };
    let (time, uuid, no) = match is_postgres {
        true => ("timestamptz '2026-01-01' + i * interval '1 second'", "gen_random_uuid()", "false"),
        false => ("strftime('%Y-%m-%d %H:%M:%S.000000+00:00', 1767225600 + i, 'unixepoch')", "randomblob(16)", "0"),
    };
    let (contacts, conversations, messages) = (series(10_000), series(20_000), series(200_000));
    for statement in [
        format!(
            "INSERT INTO contacts (id, account_id, name, email, blocked, additional_attributes, custom_attributes, last_activity_at, created_at, updated_at)
             SELECT i, 1 + i % 2, 'Customer ' || i, 'customer' || i || '@example.com', {no}, '{{}}', '{{}}', {time}, {time}, {time} FROM {contacts}"
        ),
        format!(
            "INSERT INTO contact_inboxes (id, contact_id, inbox_id, source_id, hmac_verified, pubsub_token, created_at, updated_at)
             SELECT i, i, 1 + i % 8, 'source' || i, {no}, 'token' || i, {time}, {time} FROM {contacts}"
        ),
        format!(
            "INSERT INTO conversations (id, account_id, display_id, uuid, inbox_id, contact_id, contact_inbox_id, status, priority, assignee_id,
             labels, unread_count, additional_attributes, custom_attributes, first_reply_created_at, last_activity_at, created_at, updated_at)
             SELECT i, 1 + (1 + i / 2) % 2, i, {uuid}, 1 + (1 + i / 2) % 8, 1 + i / 2 % 10000, 1 + i / 2 % 10000, (i / 4) % 4, (i / 8) % 4,
             CASE WHEN i % 3 = 0 THEN 1 + i % 20 END, '[]', i % 5,
             '{{\"referer\": \"https://example.com/shop/category/product\", \"browser\": {{\"browser_name\": \"Browser\", \"platform_name\": \"System\"}}}}',
             '{{}}', CASE WHEN i % 20 > 0 THEN {time} END, {time}, {time}, {time}
             FROM {conversations}"
        ),
        format!(
            "INSERT INTO messages (id, account_id, inbox_id, conversation_id, message_type, content_type, content, private, status,
             content_attributes, additional_attributes, created_at, updated_at)
             SELECT i, 1 + (1 + (1 + i % 20000) / 2) % 2, 1 + (1 + (1 + i % 20000) / 2) % 8, 1 + i % 20000, i % 3, 'text',
             'message ' || i || ' about a ' || CASE WHEN i % 50 = 0 THEN 'refund' ELSE 'thing' END || ' and parcel ' || (i % 1000), {no}, 0,
             '{{}}', '{{}}', {time}, {time} FROM {messages}"
        ),
        format!("INSERT INTO conversation_labels (account_id, title, conversation_id) SELECT 1, 'vip', 40 * i FROM {}", series(100)),
        format!("INSERT INTO contact_labels (account_id, title, contact_id) SELECT 1, 'vip', 40 * i FROM {}", series(100)),
        format!("INSERT INTO mentions (account_id, conversation_id, user_id, mentioned_at) SELECT 1, 40 * i, 1, {time} FROM {}", series(100)),
        format!("INSERT INTO participants (account_id, conversation_id, user_id, created_at) SELECT 1, 40 * i, 1, {time} FROM {}", series(100)),
    ] {
        db.execute_unprepared(&statement).await.unwrap();
    }
}
