//! `one_time_tokens`: what opens one thing for one user, once.
use sea_orm::entity::prelude::*;

/// One token; unique on hash.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "one_time_tokens")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub user_id: i64,
    pub purpose: Purpose,
    /// SHA-256 in hex: what a presented token is looked up by.
    pub token_hash: String,
    /// How often what must come with it was wrong.
    pub failures: i32,
    pub expires_at: DateTimeUtc,
}

/// What a token opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
pub enum Purpose {
    /// Signs in, without a password.
    SignIn = 0,
    /// Sets a new password.
    Password = 1,
    /// Confirms the address it was sent to.
    Confirmation = 2,
    /// The password was right; a code of the second factor is missing.
    SecondFactor = 3,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
