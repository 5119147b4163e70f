//! `webhooks`: endpoints of an account that want to hear of events.
use sea_orm::entity::prelude::*;

/// One subscribed endpoint; unique on account and url.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "webhooks")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub account_id: i64,
    /// Only events of this inbox, when set.
    pub inbox_id: Option<i64>,
    pub name: Option<String>,
    pub url: String,
    /// The contract's underscored names of events.
    pub subscriptions: Json,
    pub secret_sealed: String,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
