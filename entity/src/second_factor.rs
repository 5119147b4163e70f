//! `second_factors`: what a user proves beside the password.
use sea_orm::entity::prelude::*;

/// The second factor of a user; unique on user.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "second_factors")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub user_id: i64,
    /// The key of the time-based codes (RFC 6238), in base32.
    pub secret_sealed: String,
    /// `None` until the user has shown a first code.
    pub enabled_at: Option<DateTimeUtc>,
    /// The time step of the last code that was taken: none is taken twice.
    pub last_step: i64,
    /// SHA-256 in hex of each backup code that is left.
    pub backup_hashes: Json,
    pub created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
