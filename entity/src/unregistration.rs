//! `unregistrations`: providers that are yet to be told that an inbox is gone.
use sea_orm::entity::prelude::*;

/// One provider to be told. Stays when the account goes: the provider does not know of it.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "unregistrations")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The inbox that was deleted.
    pub inbox_id: i64,
    /// What it had for itself: whoever has it by now is not to be unregistered.
    pub channel_key: String,
    /// The settings that it had as JSON, their secrets sealed.
    pub channel_settings: Json,
    pub failures: i32,
    pub due_at: DateTimeUtc,
    pub created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
