//! `macros`: actions that agents run together.
use sea_orm::entity::prelude::*;

/// One macro.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "macros")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub account_id: i64,
    pub name: String,
    pub visibility: Visibility,
    pub created_by_id: i64,
    pub updated_by_id: i64,
    /// `[{action_name, action_params}]`, in order.
    pub actions: Json,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// Who may run a macro.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, serde::Serialize)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
pub enum Visibility {
    #[serde(rename = "personal")]
    Personal = 0,
    #[serde(rename = "global")]
    Global = 1,
}

impl Visibility {
    /// The contract's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Visibility::Personal => "personal",
            Visibility::Global => "global",
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
