//! The templates that a provider has approved for an inbox.
use super::auth::Administrator;
use super::cache_keys;
use super::error::{ApiError, ApiResult};
use super::inboxes::living;
use actix_web::{HttpResponse, web};
use actors::channel::ChannelError;
use actors::system::Handles;
use actors::templates;
use serde_json::json;

/// Fetches the templates from the provider now.
#[utoipa::path(post, path = "", tag = "Inboxes", responses((status = 200, description = "message: they are those of the provider"), (status = 404, description = "no such inbox"), (status = 422, description = "the channel has no templates, or the provider refuses")))]
pub async fn synchronize(
    handles: web::Data<Handles>,
    administrator: Administrator,
    path: web::Path<(i64, i64)>,
) -> ApiResult<HttpResponse> {
    let inbox = living(administrator.0.visible_inbox(path.1)?)?;
    let channel = inbox.settings.build(&handles.tools);
    if channel.templates().is_none() {
        return Err(ApiError::unprocessable(format!("{} has no message templates", inbox.settings.channel_type())));
    }
    let have_changed = templates::synchronize(channel.as_ref(), &handles.db, inbox.row.id).await.map_err(|error| match error {
        ChannelError::NeedsAttention(words) | ChannelError::Rejected(words) => ApiError::unprocessable(words),
        error @ ChannelError::Temporary { .. } => ApiError::unavailable(error),
    })?;
    if have_changed {
        handles.catalog.reload().await?;
        cache_keys::changed(&handles, inbox.row.account_id).await?;
    }
    Ok(HttpResponse::Ok().json(json!({ "message": "The templates are those of the provider now" })))
}
