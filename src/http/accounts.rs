//! The account.
use super::auth::Agent;
use super::render;
use actix_web::HttpResponse;

/// The account.
#[utoipa::path(get, path = "", tag = "Account", responses((status = 200, description = "the account")))]
pub async fn show(agent: Agent) -> HttpResponse {
    HttpResponse::Ok().json(render::account(&agent.account))
}
