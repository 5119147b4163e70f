//! `outgoing`: messages that the provider has not got yet. A row leaves when it has, or never will.
use sea_orm::entity::prelude::*;

/// What is to be done with a message at the provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "i32", db_type = "Integer")]
pub enum Action {
    #[default]
    Send = 0,
    /// It is there, with another text.
    Edit = 1,
    /// It is there, and is to go.
    Delete = 2,
}

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
    pub action: Action,
    /// Of each part that the provider has the provider's ids of it, in the order of the parts.
    pub sent_parts: Json,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
