//! The integrations that a dashboard offers: those that this version has.
use super::auth::{Administrator, Agent};
use super::error::{ApiError, ApiResult};
use actix_web::{HttpResponse, web};
use serde_json::{Value, json};

/// An integration: id, name, what it does.
const APPS: &[(&str, &str, &str)] = &[
    ("webhook", "Webhooks", "Events of this account, posted to an address of yours as they happen."),
    ("dashboard_apps", "Dashboard apps", "Pages of your own, shown to agents beside a conversation."),
];

/// All integrations.
#[utoipa::path(get, path = "", tag = "Integrations", responses((status = 200, description = "payload: integrations")))]
pub async fn list(_agent: Agent) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "payload": APPS.iter().map(render).collect::<Vec<_>>() }))
}

/// One integration.
#[utoipa::path(get, path = "", tag = "Integrations", responses((status = 200, description = "the integration"), (status = 404, description = "no such integration")))]
pub async fn show(_agent: Agent, path: web::Path<(i64, String)>) -> ApiResult<HttpResponse> {
    let app = APPS.iter().find(|(id, ..)| *id == path.1).ok_or_else(ApiError::not_found)?;
    Ok(HttpResponse::Ok().json(render(app)))
}

/// Connects an integration of another provider; this version has none.
#[utoipa::path(post, path = "", tag = "Integrations", responses((status = 422, description = "there is nothing to connect")))]
pub async fn create_hook(_administrator: Administrator) -> ApiResult<HttpResponse> {
    Err(ApiError::invalid("app_id", "app_id: this version has no integration that is connected by a hook"))
}

/// Changes or removes the connection of an integration; there is none.
#[utoipa::path(delete, path = "", tag = "Integrations", responses((status = 404, description = "no such hook")))]
pub async fn no_hook(_administrator: Administrator) -> ApiResult<HttpResponse> {
    Err(ApiError::not_found())
}

fn render((id, name, description): &(&str, &str, &str)) -> Value {
    json!({ "id": id, "name": name, "description": description, "short_description": description, "enabled": true, "hooks": [] })
}
