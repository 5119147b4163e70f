//! `outgoing`: messages that the provider has not got yet. A row leaves when it has, or never will.
use sea_orm::entity::prelude::*;

/// One message to be sent.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "outgoing")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub message_id: i64,
    pub inbox_id: i64,
    pub conversation_id: i64,
    pub failures: i32,
    pub due_at: DateTimeUtc,
    pub last_error: Option<String>,
    pub created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
