//! `access_tokens`: what programs present as `api_access_token`.
use sea_orm::entity::prelude::*;

/// One token; unique on owner and on hash.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "access_tokens")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub owner_type: OwnerType,
    pub owner_id: i64,
    /// SHA-256 in hex: what a presented token is looked up by.
    pub token_hash: String,
    /// The token itself, sealed, since the owner's profile shows it.
    pub token_sealed: String,
    pub created_at: DateTimeUtc,
}

/// Whose token it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
pub enum OwnerType {
    User = 0,
    AgentBot = 1,
    PlatformApp = 2,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
