//! `event_log`: one row, which says what log `events` is and from where on it is complete.
use sea_orm::entity::prelude::*;

/// The log's own row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "event_log")]
pub struct Model {
    /// Always [`THE_ROW`].
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    /// Ids of events mean something only together with it: another database has another.
    pub epoch: String,
    /// Events up to this id may have been removed.
    pub trimmed_id: i64,
    /// When the newest of those happened.
    pub trimmed_at: Option<DateTimeUtc>,
}

/// The id of the only row.
pub const THE_ROW: i64 = 1;

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
