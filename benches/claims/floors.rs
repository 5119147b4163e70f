//! What the daemon is measured against: a web handler that does nothing, and a loop that does nothing but insert.
use crate::load::Measured;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use actors::db::Db;
use anyhow::Context;
use entity::message::{MessageStatus, MessageType, SenderType};
use entity::{contact, contact_inbox, conversation, message};
use migration::{Migrator, MigratorTrait};
use sea_orm::{ActiveModelTrait, ConnectionTrait, DatabaseConnection, EntityTrait, IntoActiveModel, TransactionTrait};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The argument with which this program is the bare handler.
pub const BARE_HANDLER: &str = "--bare-handler";
/// The token it asks for.
pub const TOKEN: &str = "bare";

/// The bare handler in a process of its own; killed when dropped.
pub struct BareHandler {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl BareHandler {
    /// Starts this program once more.
    pub fn start() -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?).arg(BARE_HANDLER).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("the bare handler has no output")?).read_line(&mut line)?;
        Ok(BareHandler { child, address: line.trim().parse().context("the bare handler did not say where it listens")? })
    }
}

impl Drop for BareHandler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Deserialize)]
struct Posted {
    content: String,
    source_id: String,
}

#[derive(Serialize)]
struct Answer<'a> {
    id: u64,
    content: &'a str,
    source_id: &'a str,
    message_type: u8,
    content_type: &'a str,
    conversation_id: u64,
}

/// Token check, JSON in, JSON out, on one worker.
pub fn serve_bare_handler() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let handler = async |request: HttpRequest, posted: web::Json<Posted>| {
        if request.headers().get("api_access_token").is_none_or(|token| token != TOKEN) {
            return HttpResponse::Unauthorized().finish();
        }
        let Posted { content, source_id } = posted.into_inner();
        HttpResponse::Ok().json(Answer {
            id: 1,
            content: &content,
            source_id: &source_id,
            message_type: 0,
            content_type: "text",
            conversation_id: 1,
        })
    };
    let serve = move || App::new().route("/messages", web::post().to(handler));
    actix_web::rt::System::new().block_on(async { HttpServer::new(serve).workers(1).listen(listener)?.run().await })?;
    Ok(())
}

/// A migrated database with conversations, into which messages are inserted.
pub struct InsertLoop {
    db: DatabaseConnection,
    next_id: i64,
}

const CONVERSATIONS: i64 = 2_000;

impl InsertLoop {
    /// Prepares an empty database; the connection is the daemon's writer.
    pub async fn prepare(url: &str) -> anyhow::Result<Self> {
        let handles = Db::open(url, 1).await?;
        Migrator::up(&handles.write, None).await?;
        let db = handles.writer(url).await?;
        let transaction = db.begin().await?;
        for number in 1..=CONVERSATIONS {
            insert_conversation(&transaction, number).await?;
        }
        transaction.commit().await?;
        Ok(InsertLoop { db, next_id: 1 })
    }

    /// Commits groups of this size, one after the other, for so long.
    pub async fn measure(&mut self, size: i64, length: Duration) -> anyhow::Result<Measured> {
        let (mut count, mut took) = (0, Vec::new());
        let begun = Instant::now();
        while begun.elapsed() < length {
            let began = Instant::now();
            let rows: Vec<_> = (self.next_id..self.next_id + size).map(|id| row(id).into_active_model().reset_all()).collect();
            self.next_id += size;
            count += rows.len();
            let transaction = self.db.begin().await?;
            message::Entity::insert_many(rows).exec_without_returning(&transaction).await?;
            transaction.commit().await?;
            took.push(began.elapsed());
        }
        Ok(Measured::of(count, took, begun.elapsed()))
    }
}

fn row(id: i64) -> message::Model {
    let now = entity::now();
    message::Model {
        id,
        account_id: 1,
        inbox_id: 1,
        conversation_id: id % CONVERSATIONS + 1,
        message_type: MessageType::Incoming,
        content_type: "text".into(),
        content: Some("the parcel has not arrived and I would like to know where it is now. ".repeat(3)),
        private: false,
        status: MessageStatus::Sent,
        source_id: Some(format!("floor-{id}")),
        sender_type: Some(SenderType::Contact),
        sender_id: Some(id % CONVERSATIONS + 1),
        content_attributes: json!({}),
        additional_attributes: json!({}),
        created_at: now,
        updated_at: now,
    }
}

async fn insert_conversation(db: &impl ConnectionTrait, number: i64) -> anyhow::Result<()> {
    let now = entity::now();
    let contact = contact::Model {
        id: number,
        account_id: 1,
        name: format!("Customer {number}"),
        email: None,
        phone_number: None,
        identifier: None,
        blocked: false,
        avatar_blob_id: None,
        avatar_url: None,
        additional_attributes: json!({}),
        custom_attributes: json!({}),
        last_activity_at: None,
        created_at: now,
        updated_at: now,
    };
    let identity = contact_inbox::Model {
        id: number,
        contact_id: number,
        inbox_id: 1,
        source_id: format!("customer-{number}"),
        hmac_verified: false,
        pubsub_token: format!("token-{number}"),
        created_at: now,
        updated_at: now,
    };
    let conversation = conversation::Model {
        id: number,
        account_id: 1,
        display_id: number,
        uuid: uuid::Uuid::new_v4(),
        inbox_id: 1,
        contact_id: number,
        contact_inbox_id: number,
        status: conversation::Status::Open,
        priority: None,
        assignee_id: None,
        assignee_agent_bot_id: None,
        team_id: None,
        labels: json!([]),
        unread_count: 0,
        additional_attributes: json!({}),
        custom_attributes: json!({}),
        snoozed_until: None,
        waiting_since: None,
        first_reply_created_at: None,
        agent_last_seen_at: None,
        assignee_last_seen_at: None,
        contact_last_seen_at: None,
        last_activity_at: now,
        created_at: now,
        updated_at: now,
    };
    contact.into_active_model().reset_all().insert(db).await?;
    identity.into_active_model().reset_all().insert(db).await?;
    conversation.into_active_model().reset_all().insert(db).await?;
    Ok(())
}
