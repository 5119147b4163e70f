//! `events`: the log of what was committed, in the order of the commits. Webhooks and websockets read it.
use sea_orm::entity::prelude::*;

/// One committed fact.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "events")]
pub struct Model {
    /// Given by the writer; grows in the order of the commits.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    pub account_id: i64,
    pub inbox_id: Option<i64>,
    pub conversation_id: Option<i64>,
    /// The dotted name, such as `message.created`.
    pub kind: String,
    /// The event as JSON.
    pub payload: String,
    pub created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
