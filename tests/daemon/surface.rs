//! The whole REST surface as one thing to test: every route of the table, with paths filled in from two desks of one daemon
//! that know nothing of each other. A route added to the table is walked without a word here.

use crate::harness::{Answer, Client, Daemon, Database, Receiver, Reply, SOON, eventually};
use konversio::http::routes::{Audience, ROUTES, Route};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row, SqliteConnection};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// An id that nothing has.
pub const NOBODYS: i64 = 999_999_999;
/// The account of the desk whose ids are tried by others.
pub const VICTIM: i64 = 7;
const PASSWORD: &str = "Surface-pass-1";

/// Rows of every table, each as JSON.
pub type Rows = BTreeMap<String, BTreeSet<String>>;

/// One account, filled with one of everything that can be made.
pub struct Desk {
    /// Its id.
    pub account: i64,
    /// An administrator of it.
    pub admin: Client,
    /// An agent of it, a member of its inbox.
    pub agent: Client,
    /// The bot that answers in its inbox.
    pub bot: Client,
    /// A platform app that may manage the account, its people and its bot.
    pub platform: Client,
    /// Opens the agent's stream of events.
    pub agent_pubsub: String,
    /// The agent's id.
    pub agent_id: i64,
    /// What apps name its API inbox by.
    pub identifier: String,
    /// Its contact's address there.
    pub source_id: String,
    /// Opens the contact's stream of events.
    pub contact_pubsub: String,
    /// What its website's pages name its website inbox by.
    pub website_token: String,
    /// A visitor of its website, who has written.
    pub visitor: Client,
    /// What the visitor's conversation is called in addresses.
    pub visitor_conversation: i64,
    /// A stored file.
    pub file_url: String,
    /// The word that all its texts contain.
    pub mark: &'static str,
    /// Its rows.
    pub rows: Rows,
    ids: BTreeMap<String, Vec<i64>>,
    /// A message of the visitor.
    visitor_message: i64,
    /// What the survey of a conversation is called by.
    uuid: String,
}

/// A daemon with two desks.
pub struct Surface {
    /// The daemon.
    pub daemon: Daemon,
    /// Account 1.
    pub own: Desk,
    /// Account [`VICTIM`].
    pub victim: Desk,
    // Takes the webhooks of both.
    _receiver: Receiver,
}

impl Surface {
    /// Starts a daemon and fills both desks.
    pub async fn new() -> Self {
        let mut daemon = Daemon::builder().prepare().await;
        let mut apps = Vec::new();
        for name in ["One", "Another"] {
            let made = daemon.site().run(&["create-platform-app", name], Duration::from_secs(60)).await.expect(0);
            let token = made.stdout.split("api_access_token:").nth(1).and_then(|rest| rest.split_whitespace().next());
            apps.push(token.unwrap_or_else(|| panic!("no token in {}", made.stdout)).to_owned());
        }
        daemon.restart().await;
        let receiver = Receiver::start().await;
        receiver.answer(Reply::status(200));
        let app = |token: &str| daemon.visitor().with_token(token);
        let own = Desk::fill(&daemon, &receiver, 1, "aubergine", (1, &app(&apps[0]))).await;
        let victim = Desk::fill(&daemon, &receiver, VICTIM, "zucchini", (2, &app(&apps[1]))).await;
        Surface { daemon, own, victim, _receiver: receiver }
    }
}

impl Desk {
    async fn fill(daemon: &Daemon, receiver: &Receiver, account: i64, mark: &'static str, (app_id, app): (i64, &Client)) -> Self {
        let root = daemon.client();
        let before = rows(daemon).await;
        let mut people = Vec::new();
        for role in ["administrator", "agent"] {
            let email = format!("{mark}-{role}@example.com");
            let fields = json!({"name": format!("{mark} {role}"), "email": email, "role": role, "password": PASSWORD});
            people.push(root.post(root.a("/agents"), fields).await.expect(200).id("/id"));
        }
        if account != 1 {
            add_account(daemon, account, &people).await;
            // Any change of people makes the daemon look again.
            let fields = json!({"name": "Another", "email": "another@example.com", "role": "agent"});
            root.post(root.a("/agents"), fields).await.expect(200);
        }
        let mut clients = Vec::new();
        for role in ["administrator", "agent"] {
            let fields = json!({"email": format!("{mark}-{role}@example.com"), "password": PASSWORD});
            let signed_in = daemon.visitor().post("/auth/sign_in", fields).await.expect(200);
            let client = daemon.visitor().with_account(account).with_token(signed_in.str("/data/access_token"));
            clients.push((client, signed_in.str("/data/pubsub_token").to_owned()));
        }
        let ((agent, agent_pubsub), (admin, _)) = (clients.pop().unwrap(), clients.pop().unwrap());
        let agent_id = people[1];

        let channel = json!({"type": "api", "webhook_url": receiver.url("/inbox")});
        let inbox = admin.post(admin.a("/inboxes"), json!({"name": format!("{mark} inbox"), "channel": channel})).await.expect(200);
        let (inbox_id, identifier) = (inbox.id("/id"), inbox.str("/inbox_identifier").to_owned());
        admin.post(admin.a("/inbox_members"), json!({"inbox_id": inbox_id, "user_ids": [agent_id]})).await.expect(200);
        let hook = json!({"url": receiver.url(&format!("/{mark}")), "subscriptions": ["message_created", "conversation_created"]});
        admin.post(admin.a("/webhooks"), hook).await.expect(200);
        let public = format!("/public/api/v1/inboxes/{identifier}/contacts");
        let fields = json!({"name": format!("{mark} customer"), "identifier": mark, "email": format!("{mark}@customer.example")});
        let contact = daemon.visitor().post(&public, fields).await.expect(200);
        let (contact_id, source_id) = (contact.id("/id"), contact.str("/source_id").to_owned());
        let opened = json!({"inbox_id": inbox_id, "contact_id": contact_id, "source_id": source_id, "assignee_id": agent_id});
        let conversation = admin.post(admin.a("/conversations"), opened).await.expect(200).id("/id");
        let messages = admin.a(&format!("/conversations/{conversation}/messages"));
        admin.post(&messages, json!({"content": format!("{mark} asks"), "message_type": "incoming"})).await.expect(200);
        let file = reqwest::multipart::Part::bytes(mark.as_bytes().to_vec()).file_name(format!("{mark}.txt"));
        let form = reqwest::multipart::Form::new().text("content", format!("{mark} answers")).part("attachments[]", file);
        let sent = admin.post_form(&messages, form).await.expect(200);
        let file_url = sent.str("/attachments/0/data_url").to_owned();

        let address = json!({"name": format!("{mark} bot"), "outgoing_url": receiver.url("/bot")});
        let bot = admin.post(admin.a("/agent_bots"), address).await.expect(200);
        let granted = people.iter().map(|id| (1, *id)).chain([(0, account), (2, bot.id("/id"))]);
        execute(daemon, granted.map(|(kind, id)| grant(app_id, kind, id)).collect()).await;
        // It looks again, so the app may what it was granted.
        let answering = json!({"agent_bot": bot.id("/id")});
        admin.post(admin.a(&format!("/inboxes/{inbox_id}/set_agent_bot")), answering).await.expect(200);
        let bot = daemon.visitor().with_account(account).with_token(bot.str("/access_token"));

        let mut made = BTreeMap::from([("inbox", inbox_id), ("contact", contact_id), ("conversation", conversation), ("agent", agent_id)]);
        for (name, path, body) in optional(mark) {
            let pattern = format!("/api/v1/accounts/{{}}{}", without_names(path));
            let Some(route) = ROUTES.iter().find(|route| without_names(route.path) == pattern && matches!(route.method, "POST" | "PATCH"))
            else {
                continue;
            };
            let path = made.iter().fold(path.to_owned(), |path, (name, id)| path.replace(&format!("{{{name}}}"), &id.to_string()));
            let mut body = body;
            fill_in(&mut body, &made);
            let answer = call(&admin, route.method, &admin.a(&path), Some(&body)).await.expect(200);
            let id = ["/id", "/payload/id"].iter().find_map(|pointer| answer.body.pointer(pointer).and_then(Value::as_i64));
            if let Some(id) = id {
                made.insert(name, id);
            }
        }
        // Last, so that the first of each kind are those of the API inbox.
        let channel = json!({"type": "web_widget", "website_url": format!("https://{mark}.example")});
        let fields = json!({"name": format!("{mark} website"), "enable_email_collect": false, "channel": channel});
        let website_token = admin.post(admin.a("/inboxes"), fields).await.expect(200).str("/website_token").to_owned();
        let of_widget = |rest: &str| format!("/api/v1/widget/{rest}?website_token={website_token}");
        let came = daemon.visitor().post(of_widget("config"), json!({})).await.expect(200);
        let visitor = daemon.visitor().with_visitor(came.str("/website_channel_config/auth_token"));
        let words = json!({"message": {"content": format!("{mark} wonders")}});
        let written = visitor.post(of_widget("messages"), words).await.expect(200);
        let (visitor_message, visitor_conversation) = (written.id("/id"), written.id("/conversation_id"));
        let shown = admin.get(admin.a(&format!("/conversations/{visitor_conversation}"))).await.expect(200);
        let uuid = shown.str("/uuid").to_owned();
        eventually(SOON, async || (queued(daemon).await == 0).then_some(())).await;

        let mut rows = rows(daemon).await;
        for (table, rows) in &mut rows {
            rows.retain(|row| !before.get(table).is_some_and(|before| before.contains(row)));
        }
        let mut ids: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for (table, rows) in &rows {
            let id_column = if table == "conversations" { "display_id" } else { "id" };
            let of_rows = rows.iter().filter_map(|row| serde_json::from_str::<Value>(row).ok()?.get(id_column)?.as_i64());
            let mut of_rows: Vec<i64> = of_rows.collect();
            of_rows.sort_unstable();
            ids.insert(table.clone(), of_rows);
        }
        ids.insert("users".to_owned(), people.clone());
        ids.insert("accounts".to_owned(), vec![account]);
        let contact_pubsub = contact.str("/pubsub_token").to_owned();
        let platform = app.with_account(account);
        Desk {
            account,
            admin,
            agent,
            bot,
            platform,
            agent_pubsub,
            agent_id,
            identifier,
            source_id,
            contact_pubsub,
            website_token,
            visitor,
            visitor_conversation,
            file_url,
            mark,
            rows,
            ids,
            visitor_message,
            uuid,
        }
    }

    /// What this desk has for a name in a path: of the table it names, or, where no table is called so, of all of them.
    pub fn values(&self, name: &str) -> Vec<String> {
        match name {
            "account_id" => return vec![self.account.to_string()],
            "inbox_identifier" => return vec![self.identifier.clone()],
            "source_id" => return vec![self.source_id.clone()],
            "conversation_uuid" => return vec![self.uuid.clone()],
            _ => {}
        }
        let all = || self.ids.values().flatten().copied().collect::<BTreeSet<_>>().into_iter().collect();
        self.named(name).cloned().unwrap_or_else(all).iter().map(i64::to_string).collect()
    }

    /// Whether a route's path is filled with what its names stand for.
    pub fn is_filled(&self, route: &Route) -> bool {
        // A notification is one user's own: nobody else's is there for the others.
        let is_known = |name: &&str| {
            *name != "notification_id"
                && (matches!(*name, "account_id" | "inbox_identifier" | "source_id") || self.named(name).is_some_and(|ids| !ids.is_empty()))
        };
        parameters(route).iter().all(is_known)
    }

    /// The ids of the table that a name in a path stands for.
    fn named(&self, name: &str) -> Option<&Vec<i64>> {
        let stem = name.strip_suffix("_id").unwrap_or(name);
        let stem = if matches!(stem, "agent" | "user" | "member" | "assignee") { "user" } else { stem };
        let plurals = [format!("{stem}s"), format!("{stem}es"), format!("{}ies", stem.strip_suffix('y').unwrap_or("?"))];
        let exact = self.ids.iter().find(|(table, _)| plurals.contains(table));
        let similar = || self.ids.iter().find(|(table, _)| plurals.iter().any(|plural| table.ends_with(&format!("_{plural}"))));
        exact.or_else(similar).map(|(_, ids)| ids)
    }

    /// The path of a route with this desk's ids; an id that it has none of is [`NOBODYS`]. Where visitors call, it names the website.
    pub fn path(&self, route: &Route) -> String {
        if route.audience == Audience::Visitor {
            let path = route.path.replace("{message_id}", &self.visitor_message.to_string());
            let path = path.replace("{label}", &format!("{}-label", self.mark));
            return format!("{path}?website_token={}", self.website_token);
        }
        let fill = |path: String, name: &str| {
            let value = self.values(name).into_iter().next().unwrap_or_else(|| NOBODYS.to_string());
            path.replace(&format!("{{{name}}}"), &value)
        };
        parameters(route).into_iter().fold(route.path.to_owned(), fill)
    }
}

/// What is made where its route exists: by which name the next ones refer to it, where, and from what.
fn optional(mark: &str) -> Vec<(&'static str, &'static str, Value)> {
    let filter =
        json!({"payload": [{"attribute_key": "status", "filter_operator": "equal_to", "values": ["open"], "query_operator": null}]});
    let frame = json!([{"type": "frame", "url": "https://example.com/"}]);
    let action = json!([{"action_name": "resolve_conversation", "action_params": []}]);
    let attribute = json!({"attribute_display_name": mark, "attribute_key": mark, "attribute_description": mark,
        "attribute_model": "contact_attribute", "attribute_display_type": "text"});
    vec![
        ("team", "/teams", json!({"name": format!("{mark} team")})),
        ("team_member", "/teams/{team}/team_members", json!({"user_ids": ["$agent"]})),
        ("label", "/labels", json!({"title": format!("{mark}-label"), "color": "#123456"})),
        ("canned_response", "/canned_responses", json!({"short_code": mark, "content": mark})),
        ("definition", "/custom_attribute_definitions", attribute),
        ("filter", "/custom_filters", json!({"name": mark, "filter_type": "conversation", "query": filter})),
        ("macro", "/macros", json!({"name": mark, "visibility": "global", "actions": action})),
        ("assignment_policy", "/assignment_policies", json!({"name": mark})),
        ("inbox_policy", "/inboxes/{inbox}/assignment_policy", json!({"assignment_policy_id": "$assignment_policy"})),
        ("dashboard_app", "/dashboard_apps", json!({"title": mark, "content": frame})),
        ("note", "/contacts/{contact}/notes", json!({"content": mark})),
        ("contact_label", "/contacts/{contact}/labels", json!({"labels": [format!("{mark}-label")]})),
        ("conversation_label", "/conversations/{conversation}/labels", json!({"labels": [format!("{mark}-label")]})),
        ("participant", "/conversations/{conversation}/participants", json!({"user_ids": ["$agent"]})),
        ("draft", "/conversations/{conversation}/draft_messages", json!({"draft_message": {"message": mark}})),
    ]
}

/// The names in a route's path.
pub fn parameters(route: &Route) -> Vec<&'static str> {
    route.path.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect()
}

/// Sends a request with a method of the table.
pub async fn call(client: &Client, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let request = client.request(method.parse::<Method>().unwrap(), path);
    client.answer(if let Some(body) = body { request.json(body) } else { request }).await
}

/// All rows of all tables but those that note what was asked for.
pub async fn rows(daemon: &Daemon) -> Rows {
    let mut rows = Rows::new();
    // The parts of a search index are those of all accounts.
    let is_index = |table: &str| table.contains("_text");
    let skipped = |table: &String| table.starts_with("sqlite_") || table.starts_with("seaql_") || is_index(table);
    match daemon.site().database() {
        Database::Sqlite => {
            let file = daemon.site().data_dir().join("konversio.db");
            let mut connection = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
            let tables: Vec<String> =
                sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type = 'table'").fetch_all(&mut connection).await.unwrap();
            for table in tables.into_iter().filter(|table| !skipped(table)) {
                let columns: Vec<String> =
                    sqlx::query_scalar("SELECT name FROM pragma_table_info($1)").bind(&table).fetch_all(&mut connection).await.unwrap();
                let pairs: Vec<String> = columns
                    .iter()
                    .map(|column| format!("'{column}', CASE typeof(\"{column}\") WHEN 'blob' THEN hex(\"{column}\") ELSE \"{column}\" END"))
                    .collect();
                let sql = format!("SELECT json_object({}) FROM \"{table}\"", pairs.join(", "));
                let found: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
                rows.insert(table, found.into_iter().collect());
            }
        }
        Database::Postgres { url, .. } => {
            let mut connection = PgConnection::connect(url).await.unwrap();
            let tables: Vec<String> = sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
                .fetch_all(&mut connection)
                .await
                .unwrap();
            for table in tables.into_iter().filter(|table| !skipped(table)) {
                let sql = format!("SELECT row_to_json(t)::text FROM \"{table}\" t");
                let found = connection.fetch_all(AssertSqlSafe(sql)).await.unwrap();
                rows.insert(table, found.iter().map(|row| row.get::<String, _>(0)).collect());
            }
        }
    }
    rows
}

/// Fails the test unless every row of a desk is as it was, and its account has none more.
#[track_caller]
pub fn assert_untouched(desk: &Desk, now: &Rows) {
    let of_account = |rows: &BTreeSet<String>| {
        let is_of_account = |row: &&String| serde_json::from_str::<Value>(row).is_ok_and(|row| row["account_id"] == desk.account);
        rows.iter().filter(is_of_account).count()
    };
    for (table, before) in &desk.rows {
        let rows = &now[table];
        let lost: Vec<_> = before.iter().filter(|row| !rows.contains(*row)).collect();
        assert!(lost.is_empty(), "rows of {table} that are not the callers' were changed or removed: {lost:#?}");
        assert_eq!(of_account(before), of_account(rows), "rows were added to {table} of an account that is not the callers'");
    }
}

/// A path with `{}` for what varies.
pub fn without_names(path: &str) -> String {
    let mut parts = path.split('{');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |path, part| format!("{path}{{}}{}", part.split_once('}').map_or("", |(_, rest)| rest)))
}

fn fill_in(body: &mut Value, made: &BTreeMap<&str, i64>) {
    match body {
        Value::Array(list) => list.iter_mut().for_each(|value| fill_in(value, made)),
        Value::Object(object) => object.values_mut().for_each(|value| fill_in(value, made)),
        Value::String(text) => {
            if let Some(id) = text.strip_prefix('$').and_then(|name| made.get(name)) {
                *body = json!(id);
            }
        }
        _ => {}
    }
}

async fn queued(daemon: &Daemon) -> i64 {
    crate::app::count(daemon, "SELECT COUNT(*) FROM deliveries WHERE status = 0").await
}

/// Until accounts are made over REST: a copy of the first one, with people moved into it.
async fn add_account(daemon: &Daemon, account: i64, people: &[i64]) {
    let ids: Vec<String> = people.iter().map(i64::to_string).collect();
    let statements = [
        format!(
            "INSERT INTO accounts (id, name, locale, domain, support_email, status, settings, custom_attributes, last_display_id, \
             created_at, updated_at) SELECT {account}, 'Other', locale, domain, support_email, status, settings, custom_attributes, \
             5000, created_at, updated_at FROM accounts WHERE id = 1"
        ),
        format!("UPDATE account_users SET account_id = {account} WHERE user_id IN ({})", ids.join(", ")),
    ];
    execute(daemon, statements.into()).await;
}

/// What makes a platform app the manager of something.
fn grant(app_id: i64, kind: i64, id: i64) -> String {
    format!("INSERT INTO platform_grants (platform_app_id, kind, object_id, created_at) VALUES ({app_id}, {kind}, {id}, CURRENT_TIMESTAMP)")
}

async fn execute(daemon: &Daemon, statements: Vec<String>) {
    for statement in statements {
        match daemon.site().database() {
            Database::Sqlite => {
                let file = daemon.site().data_dir().join("konversio.db");
                let mut connection = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
                sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
            }
            Database::Postgres { url, .. } => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
            }
        }
    }
}
