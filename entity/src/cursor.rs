//! `cursors`: how far a polling channel has read (IMAP UID, Telegram offset).
use sea_orm::entity::prelude::*;

/// The cursor of one inbox.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "cursors")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub inbox_id: i64,
    /// In the channel's own form.
    pub value: Json,
    pub updated_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
