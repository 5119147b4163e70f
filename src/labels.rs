//! Renames and removes a label on everything that has it: each conversation and each contact changes as if by itself, so that
//! everybody hears of it, and many of them hold up nobody. Cut off in between, the same request asked again goes on.
use crate::http::error::ApiResult;
use crate::sweep::{AT_ONCE, PAGE, change_all};
use actors::conversation::rules::{By, Change};
use actors::message::UserCard;
use actors::store::StoreError;
use actors::system::Handles;
use entity::{account, contact_label, conversation, conversation_label};
use futures_util::{StreamExt, TryStreamExt};
use sea_orm::sea_query::Query;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::collections::BTreeSet;

/// Gives the label another title, or takes it off.
///
/// # Errors
/// If the database fails.
pub async fn relabel(handles: &Handles, account: &account::Model, title: &str, renamed: Option<&str>, by: By) -> ApiResult<()> {
    let performer = by.user().cloned();
    let marked = Query::select()
        .column(conversation_label::Column::ConversationId)
        .from(conversation_label::Entity)
        .and_where(conversation_label::Column::AccountId.eq(account.id))
        .and_where(conversation_label::Column::Title.eq(title))
        .take();
    let marked = Condition::all().add(conversation::Column::Id.in_subquery(marked));
    change_all(handles, marked, by, Change::LabelRenamed { from: title.to_owned(), to: renamed.map(str::to_owned) }).await?;
    relabel_contacts(handles, account, title, renamed, performer.as_ref()).await
}

async fn relabel_contacts(
    handles: &Handles,
    account: &account::Model,
    title: &str,
    renamed: Option<&str>,
    performer: Option<&UserCard>,
) -> ApiResult<()> {
    use contact_label::Column as C;
    let mut after = 0;
    loop {
        let page: Vec<i64> = contact_label::Entity::find()
            .select_only()
            .column(C::ContactId)
            .filter(C::AccountId.eq(account.id))
            .filter(C::Title.eq(title))
            .filter(C::ContactId.gt(after))
            .order_by_asc(C::ContactId)
            .limit(PAGE)
            .into_tuple()
            .all(&handles.db.read)
            .await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = *last;
        let changes = page.into_iter().map(|contact_id| async move {
            let wanted = |before: &BTreeSet<String>| {
                let kept = before.iter().filter(|label| *label != title).cloned();
                let new = renamed.filter(|_| before.contains(title)).map(str::to_owned);
                kept.chain(new).collect()
            };
            match handles.contacts.label(account, contact_id, performer.cloned(), wanted).await {
                Ok(_) | Err(StoreError::Gone) => Ok(()),
                Err(error) => Err(error),
            }
        });
        futures_util::stream::iter(changes).buffer_unordered(AT_ONCE).try_for_each(async |()| Ok(())).await?;
    }
}
