//! `account_users`: who belongs to which account, as what.
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// A user's place in an account; unique on account and user.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "account_users")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub account_id: i64,
    pub user_id: i64,
    pub role: Role,
    /// What the user has chosen to show; whether anybody is there is presence, which is not stored.
    pub availability: Availability,
    /// Counts as offline without a live connection.
    pub auto_offline: bool,
    pub inviter_id: Option<i64>,
    pub active_at: Option<DateTimeUtc>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// What a user may do in an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Agent = 0,
    Administrator = 1,
}

impl Role {
    /// The contract's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Agent => "agent",
            Role::Administrator => "administrator",
        }
    }
}

/// What a user shows to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
#[serde(rename_all = "lowercase")]
pub enum Availability {
    Online = 0,
    Offline = 1,
    Busy = 2,
}

impl Availability {
    /// The contract's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Availability::Online => "online",
            Availability::Offline => "offline",
            Availability::Busy => "busy",
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
