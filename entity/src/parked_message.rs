//! `parked_messages`: what came in and could not be read, kept so that nothing is lost and nothing behind it waits.
use sea_orm::entity::prelude::*;

/// One message set aside; unique on inbox and provider key.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "parked_messages")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub inbox_id: i64,
    /// Where the provider has it, such as mailbox, UIDVALIDITY and UID.
    pub provider_key: String,
    pub reason: String,
    /// The raw bytes, when they could be had.
    pub blob_id: Option<i64>,
    pub created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
