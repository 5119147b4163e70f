//! `message_templates`: what a provider has approved, as it was told last.
use sea_orm::entity::prelude::*;

/// The templates of one inbox.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "message_templates")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub inbox_id: i64,
    /// A list in the provider's own form, which is the contract's.
    pub templates: Json,
    /// When they became these.
    pub synchronized_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
