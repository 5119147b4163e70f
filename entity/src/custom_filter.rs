//! `custom_filters`: filters that a user has saved.
use sea_orm::entity::prelude::*;

/// One saved filter.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "custom_filters")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub account_id: i64,
    pub user_id: i64,
    pub name: String,
    pub filter_type: FilterType,
    /// The contract's `{payload: [filter]}`.
    pub query: Json,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// What is filtered; the numbers are those that the contract accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, serde::Serialize)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
pub enum FilterType {
    #[serde(rename = "conversation")]
    Conversation = 0,
    #[serde(rename = "contact")]
    Contact = 1,
    #[serde(rename = "report")]
    Report = 2,
}

impl FilterType {
    /// The contract's word for it.
    pub fn name(self) -> &'static str {
        match self {
            FilterType::Conversation => "conversation",
            FilterType::Contact => "contact",
            FilterType::Report => "report",
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
