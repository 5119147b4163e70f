//! `downloads`: files of messages that the provider still has. A row leaves when the file is here, or will never come.
use sea_orm::entity::prelude::*;

/// One file to be fetched.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "downloads")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub inbox_id: i64,
    pub conversation_id: i64,
    pub message_id: i64,
    /// How the channel finds it, what it is called and what it is said to be.
    pub file: Json,
    pub failures: i32,
    pub due_at: DateTimeUtc,
    pub last_error: Option<String>,
    pub created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
