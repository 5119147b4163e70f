//! `early_amendments`: receipts, edits, reactions that came before the message that they are about.
use sea_orm::entity::prelude::*;

/// One of them; applied as soon as the message is known, forgotten after a while.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "early_amendments")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub inbox_id: i64,
    pub provider_id: String,
    pub amendment: Json,
    pub created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
