//! For whoever watches the daemon: is it alive, is it ready, what does it count.
use super::error::{ApiError, ApiResult};
use crate::telemetry;
use actix_web::http::header;
use actix_web::{HttpResponse, web};
use actors::conversations::Count;
use actors::system::Handles;
use entity::{delivery, outgoing};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::json;

/// The process is alive.
#[utoipa::path(get, path = "", tag = "Operation", responses((status = 200, description = "alive")))]
pub async fn health() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "woot" }))
}

/// The daemon can serve: its database answers.
#[utoipa::path(get, path = "", tag = "Operation", responses((status = 200, description = "ready"), (status = 503, description = "the database does not answer")))]
pub async fn ready(handles: web::Data<Handles>) -> ApiResult<HttpResponse> {
    handles.db.read.execute_unprepared("SELECT 1").await.map_err(ApiError::unavailable)?;
    Ok(HttpResponse::Ok().json(json!({ "status": "ready" })))
}

/// Counters and gauges in Prometheus' text form.
#[utoipa::path(get, path = "", tag = "Operation", responses((status = 200, description = "metrics")))]
pub async fn metrics(handles: web::Data<Handles>) -> ApiResult<HttpResponse> {
    let count = |rows: u64| u32::try_from(rows).unwrap_or(u32::MAX);
    let queued = outgoing::Entity::find().count(&handles.db.read).await?;
    let deliveries =
        delivery::Entity::find().filter(delivery::Column::Status.eq(delivery::DeliveryStatus::Queued)).count(&handles.db.read).await?;
    let live = handles.conversations.send(Count).await.map_err(ApiError::unavailable)?;
    metrics::gauge!("konversio_outgoing_messages").set(count(queued));
    metrics::gauge!("konversio_queued_deliveries").set(count(deliveries));
    metrics::gauge!("konversio_conversation_actors").set(u32::try_from(live).unwrap_or(u32::MAX));
    metrics::gauge!("konversio_subscriptions").set(u32::try_from(handles.hub.count()).unwrap_or(u32::MAX));
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "text/plain; version=0.0.4")).body(telemetry::render_metrics()))
}

/// Which version answers (contract, section 0).
#[utoipa::path(get, path = "", tag = "Operation", responses((status = 200, description = "version, timestamp, queue_services, data_services")))]
pub async fn version() -> HttpResponse {
    let now = entity::now().format("%Y-%m-%d %H:%M:%S").to_string();
    HttpResponse::Ok().json(json!({ "version": CONTRACT_VERSION, "timestamp": now, "queue_services": "ok", "data_services": "ok" }))
}

/// The release of the contract that this version keeps: clients read it as the server's.
const CONTRACT_VERSION: &str = "4.15.1";
