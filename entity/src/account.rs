//! `accounts`: a tenant. Everything but users belongs to one.
use sea_orm::entity::prelude::*;

/// One tenant.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "accounts")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub name: String,
    /// An ISO 639-1 code, such as `en`.
    pub locale: String,
    pub domain: Option<String>,
    pub support_email: Option<String>,
    pub status: Status,
    /// The account settings of the contract that have no column of their own.
    pub settings: Json,
    pub custom_attributes: Json,
    /// Name → whether the account has it, where a platform app said so.
    pub features: Json,
    /// Name → how many of it the account may have, where a platform app said so.
    pub limits: Json,
    /// The last `display_id` given to a conversation; advanced in the transaction that opens one.
    pub last_display_id: i64,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// Whether the account may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, serde::Serialize)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Active = 0,
    Suspended = 1,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
