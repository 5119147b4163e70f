//! `sessions`: signed-in browsers and programs (contract section 1: access-token, client, uid).
use sea_orm::entity::prelude::*;

/// One signed-in client of a user; unique on user and client.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub user_id: i64,
    /// The `client` header.
    pub client: String,
    /// SHA-256 of the `access-token` header, in hex.
    pub token_hash: String,
    pub user_agent: Option<String>,
    pub remote_address: Option<String>,
    pub expires_at: DateTimeUtc,
    pub created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
