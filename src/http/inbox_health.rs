//! How an inbox is doing: its connection, what waits to leave, what came and went last.
use super::ask::ask;
use super::auth::Agent;
use super::error::ApiResult;
use super::inboxes::living;
use actix_web::{HttpResponse, web};
use actors::catalog::Inbox;
use actors::inbox::{Connection, Look, State};
use actors::supervisor::Find;
use actors::system::Handles;
use actors::wire::{iso, iso_or_null};
use chrono::{DateTime, Utc};
use entity::delivery::{DeliveryStatus, EndpointKind};
use entity::message::MessageType;
use entity::{delivery, message, outgoing, parked_message};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use serde_json::json;

/// What goes out: what people say, and what rules say to customers.
const SENT: &[MessageType] = &[MessageType::Outgoing, MessageType::Template];

/// How the inbox is doing.
#[utoipa::path(get, path = "", tag = "Inboxes", responses((status = 200, description = "state, since, session, failures, last_error, last_inbound_at, last_outbound_at, backlog")))]
pub async fn health(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let inbox = living(agent.visible_inbox(path.1)?)?;
    let running = ask(&handles.supervisor, Find(inbox.row.id)).await?;
    let connection = match running {
        Some(actor) => ask(&actor, Look).await?,
        None => Connection {
            state: State::Disabled,
            since: inbox.row.updated_at,
            session: 0,
            failures: 0,
            last_error: None,
            last_error_at: None,
        },
    };
    let (count, oldest) = backlog(&handles, &inbox).await?;
    let parked = parked_message::Entity::find().filter(parked_message::Column::InboxId.eq(inbox.row.id)).count(&handles.db.read).await?;
    Ok(HttpResponse::Ok().json(json!({
        "state": connection.state.name(),
        "since": iso(connection.since),
        "session": connection.session,
        "failures": connection.failures,
        "last_error": connection.last_error,
        "last_error_at": iso_or_null(connection.last_error_at),
        "last_inbound_at": iso_or_null(last_message(&handles, inbox.row.id, &[MessageType::Incoming]).await?),
        "last_outbound_at": iso_or_null(last_message(&handles, inbox.row.id, SENT).await?),
        "backlog": { "count": count, "oldest_age_seconds": oldest.map(|oldest| (entity::now() - oldest).num_seconds().max(0)) },
        "parked": parked,
    })))
}

/// What waits to leave: messages to be sent, or events for the inbox's webhook.
async fn backlog(handles: &Handles, inbox: &Inbox) -> ApiResult<(i64, Option<DateTime<Utc>>)> {
    let db = &handles.db.read;
    let waiting: Option<(i64, Option<DateTime<Utc>>)> = match inbox.webhook_url() {
        Some(_) => {
            delivery::Entity::find()
                .select_only()
                .column_as(delivery::Column::Id.count(), "waiting")
                .column_as(delivery::Column::CreatedAt.min(), "oldest")
                .filter(delivery::Column::Endpoint.eq(EndpointKind::Inbox))
                .filter(delivery::Column::EndpointId.eq(inbox.row.id))
                .filter(delivery::Column::Status.eq(DeliveryStatus::Queued))
                .into_tuple()
                .one(db)
                .await?
        }
        None => {
            outgoing::Entity::find()
                .select_only()
                .column_as(outgoing::Column::MessageId.count(), "waiting")
                .column_as(outgoing::Column::CreatedAt.min(), "oldest")
                .filter(outgoing::Column::InboxId.eq(inbox.row.id))
                .into_tuple()
                .one(db)
                .await?
        }
    };
    Ok(waiting.unwrap_or_default())
}

/// When the last message of these types was written that came in or was sent: notes, what waits and what failed do not count.
async fn last_message(handles: &Handles, inbox_id: i64, types: &[MessageType]) -> ApiResult<Option<DateTime<Utc>>> {
    let mut last = None;
    for message_type in types {
        let found: Option<DateTime<Utc>> = exchanged(inbox_id, *message_type).into_tuple().one(&handles.db.read).await?;
        last = last.max(found);
    }
    Ok(last)
}

/// The time of the last message of a type that came in or was sent, by the index `messages_exchanged`.
pub fn exchanged(inbox_id: i64, message_type: MessageType) -> Select<message::Entity> {
    message::Entity::find()
        .select_only()
        .column(message::Column::CreatedAt)
        .filter(message::Column::InboxId.eq(inbox_id))
        .filter(message::Column::MessageType.eq(message_type))
        // The words of the index: neither activities nor notes, and nothing that failed or waits.
        .filter(Expr::cust("NOT private AND message_type <> 2 AND status < 3"))
        .order_by_desc(message::Column::Id)
        .limit(1)
}
