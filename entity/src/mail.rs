//! `mails`: mail of the desk itself that waits for the daemon's relay.
use sea_orm::entity::prelude::*;

/// One mail; unique on its key. The row goes when the relay has it.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "mails")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub account_id: i64,
    /// What it tells of whom: the same key again is the same mail.
    pub key: String,
    pub recipient: String,
    pub subject: String,
    /// Plain text, sealed.
    pub body: String,
    /// What its header says beside: who writes, where answers go, what it belongs to.
    pub headers: Json,
    pub failures: i32,
    pub due_at: DateTimeUtc,
    pub last_error: Option<String>,
    /// The relay will never take it, or did not for days.
    pub given_up_at: Option<DateTimeUtc>,
    pub created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
