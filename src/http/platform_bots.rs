//! Agent bots as platform apps manage them: of one account, or offered to every account (contract, section 9).
use super::agent_bots::{self, BotFields};
use super::auth::PlatformApp;
use super::body::Body;
use super::error::{ApiError, ApiResult};
use crate::tokens;
use actix_web::{HttpResponse, web};
use actors::catalog::Bot;
use actors::system::Handles;
use entity::platform_grant::GrantKind;
use serde_json::{Value, json};
use std::sync::Arc;

/// The bots that the app manages.
#[utoipa::path(get, path = "", tag = "Platform", responses((status = 200, description = "an array of bots")))]
pub async fn list(handles: web::Data<Handles>, app: PlatformApp) -> HttpResponse {
    let catalog = handles.catalog.now();
    let mut ids: Vec<i64> = app.0.grants.iter().filter(|(kind, _)| *kind == GrantKind::AgentBot).map(|(_, id)| *id).collect();
    ids.sort_unstable();
    let bots = ids.into_iter().filter_map(|id| catalog.bot(id));
    HttpResponse::Ok().json(bots.map(|bot| shown(&handles, bot)).collect::<Vec<_>>())
}

/// One bot.
#[utoipa::path(get, path = "", tag = "Platform", responses((status = 200, description = "the bot"), (status = 401, description = "not the app's")))]
pub async fn show(handles: web::Data<Handles>, app: PlatformApp, path: web::Path<i64>) -> ApiResult<HttpResponse> {
    Ok(HttpResponse::Ok().json(shown(&handles, &*managed(&handles, &app, *path)?)))
}

/// Creates a bot, which the app then manages.
#[utoipa::path(post, path = "", tag = "Platform", request_body = BotFields, responses((status = 200, description = "the bot"), (status = 422, description = "a field is wrong")))]
pub async fn create(handles: web::Data<Handles>, app: PlatformApp, body: Body<BotFields>) -> ApiResult<HttpResponse> {
    let account_id = body.value.account_id.flatten();
    if let Some(account_id) = account_id {
        app.check(GrantKind::Account, account_id)?;
    }
    let author = account_id.map(|id| app.author(id));
    let id = agent_bots::insert(&handles, account_id, body.value, None, Some(app.0.row.id), author.as_ref()).await?;
    answer(&handles, id)
}

/// Changes a bot.
#[utoipa::path(patch, path = "", tag = "Platform", request_body = BotFields, responses((status = 200, description = "the bot"), (status = 401, description = "not the app's"), (status = 422, description = "a field is wrong")))]
pub async fn update(handles: web::Data<Handles>, app: PlatformApp, path: web::Path<i64>, body: Body<BotFields>) -> ApiResult<HttpResponse> {
    let bot = managed(&handles, &app, *path)?;
    let author = bot.row.account_id.map(|id| app.author(id));
    agent_bots::change(&handles, &bot, body.value, None, author.as_ref()).await?;
    answer(&handles, bot.row.id)
}

/// Removes a bot.
#[utoipa::path(delete, path = "", tag = "Platform", responses((status = 200, description = "removed"), (status = 401, description = "not the app's")))]
pub async fn remove(handles: web::Data<Handles>, app: PlatformApp, path: web::Path<i64>) -> ApiResult<HttpResponse> {
    let bot = managed(&handles, &app, *path)?;
    let author = bot.row.account_id.map(|id| app.author(id));
    agent_bots::delete(&handles, &bot, author.as_ref()).await?;
    Ok(HttpResponse::Ok().finish())
}

fn shown(handles: &Handles, bot: &Bot) -> Value {
    json!({
        "id": bot.row.id,
        "name": bot.row.name,
        "description": bot.row.description,
        "thumbnail": bot.avatar_url,
        "outgoing_url": bot.row.outgoing_url,
        "account_id": bot.row.account_id,
        "access_token": tokens::shown(&handles.vault, bot.token_sealed.as_deref()),
    })
}

fn managed(handles: &Handles, app: &PlatformApp, id: i64) -> ApiResult<Arc<Bot>> {
    let bot = handles.catalog.now().bot(id).cloned().ok_or_else(ApiError::not_found)?;
    app.check(GrantKind::AgentBot, id)?;
    Ok(bot)
}

fn answer(handles: &Handles, id: i64) -> ApiResult<HttpResponse> {
    let catalog = handles.catalog.now();
    let bot = catalog.bot(id).ok_or_else(ApiError::not_found)?;
    Ok(HttpResponse::Ok().json(shown(handles, bot)))
}
