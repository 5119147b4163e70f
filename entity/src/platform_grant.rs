//! `platform_grants`: what a platform app may manage.
use sea_orm::entity::prelude::*;

/// One object of an app; unique on app, kind and object.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "platform_grants")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub platform_app_id: i64,
    pub kind: GrantKind,
    pub object_id: i64,
    pub created_at: DateTimeUtc,
}

/// What kind of object an app manages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, serde::Serialize)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
pub enum GrantKind {
    Account = 0,
    User = 1,
    AgentBot = 2,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
