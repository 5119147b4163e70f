//! `delivery_attempts`: what each try to reach an endpoint gave.
use sea_orm::entity::prelude::*;

/// One attempt.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "delivery_attempts")]
pub struct Model {
    /// Given by the writer, not by the database.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    pub delivery_id: i64,
    pub attempted_at: DateTimeUtc,
    pub duration_ms: i64,
    /// `None` when no answer came.
    pub status_code: Option<i16>,
    /// What went wrong, in words; `None` on success.
    pub error: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
