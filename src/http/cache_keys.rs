//! Keys of the three lists that dashboards keep: a key changes whenever its list may have changed (contract, section 2).
use super::auth::Agent;
use super::error::ApiResult;
use actix_web::{HttpResponse, web};
use actors::secret::hash;
use actors::system::Handles;
use entity::label;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};

/// The keys of the account's lists.
#[utoipa::path(get, path = "", tag = "Account", responses((status = 200, description = "cache_keys: label, inbox, team")))]
pub async fn show(handles: web::Data<Handles>, agent: Agent) -> ApiResult<HttpResponse> {
    Ok(HttpResponse::Ok().json(json!({ "cache_keys": of_account(&handles, agent.account.id).await? })))
}

/// The keys, made from what the lists consist of: so they need no bookkeeping, and survive a restart.
///
/// # Errors
/// If the database fails.
pub async fn of_account(handles: &Handles, account_id: i64) -> ApiResult<Value> {
    let labels = label::Entity::find().filter(label::Column::AccountId.eq(account_id)).order_by_asc(label::Column::Id);
    let labels = labels.all(&handles.db.read).await?;
    let catalog = handles.catalog.now();
    let labels = labels.iter().map(|row| json!([row.id, row.updated_at]));
    let inboxes = catalog
        .inboxes_of(account_id)
        .into_iter()
        .map(|inbox| json!([inbox.row.id, inbox.row.updated_at, inbox.members, inbox.templates_since]));
    let teams = catalog.teams_of(account_id).into_iter().map(|team| json!([team.row.id, team.row.updated_at, team.members]));
    Ok(json!({ "label": key(labels), "inbox": key(inboxes), "team": key(teams) }))
}

/// Tells the account's users that a list has changed. Called after the catalog was reloaded.
///
/// # Errors
/// If the database fails.
pub async fn changed(handles: &Handles, account_id: i64) -> ApiResult<()> {
    handles.hub.publish_cache_keys(account_id, &of_account(handles, account_id).await?);
    Ok(())
}

fn key(rows: impl Iterator<Item = Value>) -> String {
    hash(&Value::from_iter(rows).to_string()).chars().take(16).collect()
}
