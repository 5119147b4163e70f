//! `labels`: the labels that an account offers.
use sea_orm::entity::prelude::*;

/// One label; unique on account and title.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "labels")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub account_id: i64,
    /// Lower case, without spaces.
    pub title: String,
    pub description: Option<String>,
    /// Such as `#1f93ff`.
    pub color: String,
    pub show_on_sidebar: bool,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
