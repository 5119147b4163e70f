//! `blobs`: stored files. The bytes are in the object store under `key`.
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// One stored file.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "blobs")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub account_id: i64,
    /// 128 random bits in hex; never chosen by a client.
    pub key: String,
    pub file_name: String,
    /// Found by looking at the bytes first, at the name second.
    pub content_type: String,
    pub byte_size: i64,
    /// SHA-256 in hex.
    pub checksum: String,
    /// Who brought it, while no message has it: another user's reuse is refused.
    pub uploader_id: Option<i64>,
    pub created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
