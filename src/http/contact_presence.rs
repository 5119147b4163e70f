//! Tells contacts what agents do (they type, they have read), where the provider can show it. Nobody waits for it.
use super::error::ApiResult;
use super::scope::Found;
use actors::inbox::{Show, What};
use actors::supervisor::Find;
use actors::system::Handles;
use entity::conversation;
use sea_orm::EntityTrait;

/// Has it shown to the contact of a conversation.
pub fn show(handles: &Handles, found: &Found, what: What) {
    let (supervisor, inbox_id) = (handles.supervisor.clone(), found.inbox.row.id);
    let show = Show { conversation_id: found.address.conversation_id, source_id: found.address.key.source_id.clone(), what };
    actix_web::rt::spawn(async move {
        if let Ok(Some(actor)) = supervisor.send(Find(inbox_id)).await {
            actor.do_send(show);
        }
    });
}

/// Whether agents have not read all of a conversation.
///
/// # Errors
/// If the database fails.
pub async fn is_unread(handles: &Handles, found: &Found) -> ApiResult<bool> {
    let row = conversation::Entity::find_by_id(found.address.conversation_id).one(&handles.db.read).await?;
    Ok(row.is_some_and(|row| row.unread_count > 0))
}
