//! The same change to however many conversations: page by page through their actors, so that each is told of like any other
//! change, and nobody else waits for all of them.
use crate::http::ask::tell;
use crate::http::error::ApiResult;
use actix_web::http::StatusCode;
use actors::conversation::Command;
use actors::conversation::rules::{By, Change};
use actors::message::Key;
use actors::system::Handles;
use entity::{contact_inbox, conversation};
use futures_util::{StreamExt, TryStreamExt};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::collections::HashMap;

/// How many are found at a time.
pub const PAGE: u64 = 500;
/// How many are changed at once: enough for the writer to commit them in groups.
pub const AT_ONCE: usize = 64;

/// Changes all conversations that a condition finds; those that are removed meanwhile are passed over.
///
/// # Errors
/// If the database fails or a conversation does not answer; what was changed stays changed.
pub async fn change_all(handles: &Handles, which: Condition, by: By, change: Change) -> ApiResult<()> {
    let mut after = 0;
    loop {
        let page: Vec<(i64, i64, i64)> = conversation::Entity::find()
            .select_only()
            .columns([conversation::Column::Id, conversation::Column::InboxId, conversation::Column::ContactInboxId])
            .filter(which.clone())
            .filter(conversation::Column::Id.gt(after))
            .order_by_asc(conversation::Column::Id)
            .limit(PAGE)
            .into_tuple()
            .all(&handles.db.read)
            .await?;
        let Some((last, ..)) = page.last() else { return Ok(()) };
        after = *last;
        let identities: Vec<(i64, String)> = contact_inbox::Entity::find()
            .select_only()
            .columns([contact_inbox::Column::Id, contact_inbox::Column::SourceId])
            .filter(contact_inbox::Column::Id.is_in(page.iter().map(|(_, _, identity)| *identity)))
            .into_tuple()
            .all(&handles.db.read)
            .await?;
        let identities: HashMap<i64, String> = identities.into_iter().collect();
        let changes = page.into_iter().filter_map(|(conversation_id, inbox_id, identity)| {
            let key = Key { inbox_id, source_id: identities.get(&identity)?.clone() };
            let command = Command::Change { conversation_id, by: by.clone(), change: change.clone() };
            Some(async move {
                match tell(handles, key, command).await {
                    Err(error) if error.status() != StatusCode::NOT_FOUND => Err(error),
                    _ => Ok(()),
                }
            })
        });
        futures_util::stream::iter(changes).buffer_unordered(AT_ONCE).try_for_each(async |()| Ok(())).await?;
    }
}
