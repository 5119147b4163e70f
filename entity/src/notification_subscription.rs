//! `notification_subscriptions`: devices that want push messages.
use sea_orm::entity::prelude::*;

/// One device; unique on identifier.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "notification_subscriptions")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub user_id: i64,
    /// `browser_push` or `fcm`.
    pub subscription_type: String,
    /// Endpoint or device id.
    pub identifier: String,
    pub subscription_attributes: Json,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
