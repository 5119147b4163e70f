//! What dashboards ask for and this version does not have: campaigns, help centers, automation, surveys, templates, and reports
//! over time (how things stand now is in `live_reports`).
//! A list is empty here instead of 404, since dashboards show every agent an error for a list that they cannot read.
//! Whoever builds one of them takes its routes out of this file.
use super::auth::{Administrator, Agent};
use super::error::ApiResult;
use super::inboxes::living;
use actix_web::{HttpResponse, web};
use actors::wire::set;
use serde_json::{Value, json};

/// No campaigns, no survey responses.
#[utoipa::path(get, path = "", tag = "Account", responses((status = 200, description = "an empty array")))]
pub async fn list(_agent: Agent) -> HttpResponse {
    HttpResponse::Ok().json(json!([]))
}

/// No campaigns of an inbox.
#[utoipa::path(get, path = "", tag = "Inboxes", responses((status = 200, description = "an empty array"), (status = 404, description = "no such inbox")))]
pub async fn inbox_campaigns(agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    living(agent.visible_inbox(path.1)?)?;
    Ok(HttpResponse::Ok().json(json!([])))
}

/// No automation rules.
#[utoipa::path(get, path = "", tag = "Account", responses((status = 200, description = "payload: an empty array")))]
pub async fn automation_rules(_administrator: Administrator) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "payload": [] }))
}

/// No help centers.
#[utoipa::path(get, path = "", tag = "Account", responses((status = 200, description = "payload: an empty array, meta")))]
pub async fn portals(_agent: Agent) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "payload": [], "meta": { "current_page": 1, "portals_count": 0 } }))
}

/// Nothing was asked, so nothing was answered.
#[utoipa::path(get, path = "", tag = "Account", responses((status = 200, description = "total_count, ratings_count, total_sent_messages_count")))]
pub async fn survey_metrics(_agent: Agent) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "total_count": 0, "ratings_count": {}, "total_sent_messages_count": 0 }))
}

/// Points of a metric, or rows of a summary: nothing is recorded.
#[utoipa::path(get, path = "", tag = "Reports", responses((status = 200, description = "an empty array")))]
pub async fn points(_administrator: Administrator) -> HttpResponse {
    HttpResponse::Ok().json(json!([]))
}

/// What is told by channel: nothing is recorded.
#[utoipa::path(get, path = "", tag = "Reports", responses((status = 200, description = "an empty object")))]
pub async fn by_channel(_administrator: Administrator) -> HttpResponse {
    HttpResponse::Ok().json(json!({}))
}

/// Totals of a time and of the one before: nothing is recorded.
#[utoipa::path(get, path = "", tag = "Reports", responses((status = 200, description = "counts of 0, averages of null, previous: the same")))]
pub async fn summary(_administrator: Administrator) -> HttpResponse {
    let counts = json!({
        "conversations_count": 0, "incoming_messages_count": 0, "outgoing_messages_count": 0, "avg_first_response_time": null,
        "avg_resolution_time": null, "resolutions_count": 0, "reply_time": null,
    });
    HttpResponse::Ok().json(with_previous(counts))
}

/// What bots did in a time and in the one before: nothing is recorded.
#[utoipa::path(get, path = "", tag = "Reports", responses((status = 200, description = "bot_resolutions_count, bot_handoffs_count, previous: the same")))]
pub async fn bot_summary(_administrator: Administrator) -> HttpResponse {
    HttpResponse::Ok().json(with_previous(json!({ "bot_resolutions_count": 0, "bot_handoffs_count": 0 })))
}

/// How well bots did: nothing is recorded.
#[utoipa::path(get, path = "", tag = "Reports", responses((status = 200, description = "conversation_count, message_count, resolution_rate, handoff_rate")))]
pub async fn bot_metrics(_administrator: Administrator) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "conversation_count": 0, "message_count": 0, "resolution_rate": 0, "handoff_rate": 0 }))
}

/// Labels by inbox: nothing is recorded.
#[utoipa::path(get, path = "", tag = "Reports", responses((status = 200, description = "inboxes, labels, matrix: empty")))]
pub async fn matrix(_administrator: Administrator) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "inboxes": [], "labels": [], "matrix": [] }))
}

fn with_previous(counts: Value) -> Value {
    let mut shown = counts.clone();
    set(&mut shown, "previous", counts);
    shown
}
