//! `audit_logs`: who changed what in the administration.
use sea_orm::entity::prelude::*;

/// One change or sign-in.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "audit_logs")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub account_id: i64,
    /// The contract's class name, such as `Inbox`.
    pub auditable_type: String,
    pub auditable_id: i64,
    pub user_id: Option<i64>,
    /// The user's e-mail at that time.
    pub username: Option<String>,
    /// `create`, `update`, `destroy`, `sign_in`, `sign_out`.
    pub action: String,
    /// Field → [before, after] of an update, field → value of what came or went; never a secret.
    pub audited_changes: Json,
    pub remote_address: Option<String>,
    pub created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
