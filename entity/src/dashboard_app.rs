//! `dashboard_apps`: pages of others shown beside a conversation.
use sea_orm::entity::prelude::*;

/// One page.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "dashboard_apps")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub account_id: i64,
    /// Who added it.
    pub user_id: Option<i64>,
    pub title: String,
    /// `[{type: "frame", url}]`.
    pub content: Json,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
