//! `attachments`: what a message carries besides text.
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// One attachment of a message: a stored file, a place, a shared contact.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "attachments")]
pub struct Model {
    /// Given by the writer, not by the database.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    pub account_id: i64,
    pub message_id: i64,
    /// The contract's word: image, audio, video, file, location, contact, fallback …
    pub file_type: String,
    pub blob_id: Option<i64>,
    pub external_url: Option<String>,
    pub coordinates_lat: Option<f64>,
    pub coordinates_long: Option<f64>,
    pub fallback_title: Option<String>,
    /// What the file was called and how large it is, so that showing a message reads one table.
    pub meta: Json,
    pub created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
