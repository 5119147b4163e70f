//! Finds a conversation by the number people see, if it is the caller's to see. A number asked for before costs no reading.
use super::auth::Agent;
use super::error::{ApiError, ApiResult};
use actors::addresses::Address;
use actors::catalog::Inbox;
use actors::message::Key;
use actors::system::Handles;
use entity::{contact_inbox, conversation};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use std::sync::Arc;

/// A conversation of the caller's account that the caller may see.
pub struct Found {
    /// Where it lives.
    pub address: Address,
    /// Its inbox.
    pub inbox: Arc<Inbox>,
}

/// Finds a conversation by the number people see; a number asked for before is found without reading.
///
/// # Errors
/// 404.
pub async fn find(handles: &Handles, agent: &Agent, display_id: i64) -> ApiResult<Found> {
    let address = address(handles, agent.account.id, display_id).await?;
    if let Ok(inbox) = agent.visible_inbox(address.key.inbox_id) {
        return Ok(Found { address, inbox });
    }
    // A team's conversation is its members' to see, whatever inbox it came by (contract, section 0, Roles).
    let row = conversation::Entity::find_by_id(address.conversation_id).one(&handles.db.read).await?.ok_or_else(ApiError::not_found)?;
    let catalog = handles.catalog.now();
    let team = row.team_id.and_then(|id| catalog.team(id)).filter(|team| team.members.contains(&agent.user.row.id));
    let inbox = team.and_then(|_| catalog.inbox(address.key.inbox_id)).filter(|inbox| !inbox.is_deleted());
    Ok(Found { inbox: inbox.cloned().ok_or_else(ApiError::not_found)?, address })
}

/// Where the conversation of a number lives.
///
/// # Errors
/// 404.
pub async fn address(handles: &Handles, account_id: i64, display_id: i64) -> ApiResult<Address> {
    if let Some(address) = handles.addresses.get(account_id, display_id) {
        return Ok(address);
    }
    let found = conversation::Entity::find()
        .filter(conversation::Column::AccountId.eq(account_id))
        .filter(conversation::Column::DisplayId.eq(display_id))
        .one(&handles.db.read)
        .await?
        .ok_or_else(ApiError::not_found)?;
    let identity =
        contact_inbox::Entity::find_by_id(found.contact_inbox_id).one(&handles.db.read).await?.ok_or_else(ApiError::not_found)?;
    let address = Address { conversation_id: found.id, key: Key { inbox_id: found.inbox_id, source_id: identity.source_id } };
    handles.addresses.put(account_id, display_id, address.clone());
    Ok(address)
}
