//! `contacts`: the people who write.
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// One person of an account; email, phone number and identifier are each unique in the account.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "contacts")]
pub struct Model {
    /// Given by the writer, not by the database.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    pub account_id: i64,
    pub name: String,
    /// Lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// E.164 with its plus sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
    /// The id that the customer's own system gave the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<String>,
    pub blocked: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_blob_id: Option<i64>,
    /// The address of a picture elsewhere; beside `avatar_blob_id`, `key/file name` of that file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
    pub additional_attributes: Json,
    pub custom_attributes: Json,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_activity_at: Option<DateTimeUtc>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
