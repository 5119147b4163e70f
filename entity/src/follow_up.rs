//! `follow_ups`: conversations of websites with answers that the contact has not seen, and is to be told of by mail.
use sea_orm::entity::prelude::*;

/// One conversation. The row goes once the answers were seen, or mailed.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "follow_ups")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub conversation_id: i64,
    /// The first answer that was neither seen nor mailed.
    pub message_id: i64,
    pub due_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
