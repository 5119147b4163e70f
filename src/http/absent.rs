//! What dashboards ask for and this version does not have: campaigns, help centers, automation, surveys, templates, policies.
//! A list is empty here instead of 404, since dashboards show every agent an error for a list that they cannot read.
//! Whoever builds one of them takes its routes out of this file.
use super::auth::{Administrator, Agent};
use super::error::{ApiError, ApiResult};
use super::inboxes::living;
use actix_web::{HttpResponse, web};
use serde_json::json;

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

/// Reads message templates from the provider; the channels of this version have none.
#[utoipa::path(post, path = "", tag = "Inboxes", responses((status = 404, description = "no such inbox"), (status = 422, description = "the channel has no templates")))]
pub async fn sync_templates(administrator: Administrator, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let inbox = living(administrator.0.visible_inbox(path.1)?)?;
    Err(ApiError::unprocessable(format!("{} has no message templates", inbox.settings.channel_type())))
}

/// The assignment policy of an inbox; this version has none.
#[utoipa::path(get, path = "", tag = "Inboxes", responses((status = 404, description = "no policy")))]
pub async fn assignment_policy(_administrator: Administrator) -> ApiResult<HttpResponse> {
    Err(ApiError::not_found())
}
