//! `contact_inboxes`: a contact's identity in an inbox. One conversation actor per row.
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// Under which address (`source_id`) an inbox knows a contact; unique on inbox and source id.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "contact_inboxes")]
pub struct Model {
    /// Given by the writer, not by the database.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    pub contact_id: i64,
    pub inbox_id: i64,
    pub source_id: String,
    /// The contact proved its identity with the inbox's HMAC key.
    pub hmac_verified: bool,
    /// What the contact's websocket presents.
    pub pubsub_token: String,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
