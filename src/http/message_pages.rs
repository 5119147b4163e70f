//! Pages of a conversation, backwards. Pages are cut by ids, which follow the order in which messages arrived; what stands on one is
//! in the order in which it was said. A provider may bring messages late, and clients ask for what is before the first that they
//! have: so a page begins with the message that has its smallest id, and is a little longer where it takes that.
use actors::db::Db;
use entity::message;
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};

/// How many messages a page has.
const PAGE: u64 = 20;
/// How many it has at most where they arrived in disorder: what is mixed up further than this is shown as it arrived.
const LONGEST: usize = 120;

/// The messages before an id, or the last ones; oldest first.
///
/// # Errors
/// If the database fails.
pub async fn before(db: &Db, of_conversation: Select<message::Entity>, id: Option<i64>) -> Result<Vec<message::Model>, DbErr> {
    let mut rows: Vec<message::Model> = Vec::new();
    let reaches_beginning = loop {
        let limit = rows.last().map(|row| row.id).or(id);
        let older = match limit {
            Some(limit) => of_conversation.clone().filter(message::Column::Id.lt(limit)),
            None => of_conversation.clone(),
        };
        let more = older.order_by_desc(message::Column::Id).limit(PAGE).all(&db.read).await?;
        let is_end = (more.len() as u64) < PAGE;
        rows.extend(more);
        if is_end || begins_with_its_oldest(&rows) || rows.len() >= LONGEST {
            break is_end;
        }
    };
    if let Some(id) = id
        && reaches_beginning
        && let Some(asked) = message::Entity::find_by_id(id).one(&db.read).await?
        && rows.iter().all(|row| said(row) > said(&asked))
    {
        // Nothing was said before it: what arrived earlier stands behind it on the page that the client has.
        rows.clear();
    }
    rows.sort_by_key(said);
    Ok(rows)
}

/// Rows from the largest id to the smallest: whether the last of them was said first.
fn begins_with_its_oldest(rows: &[message::Model]) -> bool {
    let oldest = rows.iter().min_by_key(|row| said(row));
    oldest.map(|row| row.id) == rows.last().map(|row| row.id)
}

/// When a message was said; of two at one time the one that arrived first.
fn said(row: &message::Model) -> (chrono::DateTime<chrono::Utc>, i64) {
    (row.created_at, row.id)
}
