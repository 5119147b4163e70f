//! `teams`: groups of agents that conversations are given to.
use sea_orm::entity::prelude::*;

/// One team; unique on account and name.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "teams")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub account_id: i64,
    /// Lower case.
    pub name: String,
    pub description: Option<String>,
    /// Whether its members get its conversations by themselves.
    pub allow_auto_assign: bool,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
