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
use entity::{conversation, delivery, message, outgoing, parked_message};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::json;

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
        "last_inbound_at": iso_or_null(last_message(&handles, inbox.row.id, MessageType::Incoming).await?),
        "last_outbound_at": iso_or_null(last_message(&handles, inbox.row.id, MessageType::Outgoing).await?),
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

/// When the last message of a kind was stored, looked for in the conversations that were active last.
async fn last_message(handles: &Handles, inbox_id: i64, kind: MessageType) -> ApiResult<Option<DateTime<Utc>>> {
    let active: Vec<i64> = conversation::Entity::find()
        .select_only()
        .column(conversation::Column::Id)
        .filter(conversation::Column::InboxId.eq(inbox_id))
        .order_by_desc(conversation::Column::LastActivityAt)
        .limit(20)
        .into_tuple()
        .all(&handles.db.read)
        .await?;
    let last: Option<Option<DateTime<Utc>>> = message::Entity::find()
        .select_only()
        .column_as(message::Column::CreatedAt.max(), "last")
        .filter(message::Column::ConversationId.is_in(active))
        .filter(message::Column::MessageType.eq(kind))
        .into_tuple()
        .one(&handles.db.read)
        .await?;
    Ok(last.flatten())
}
