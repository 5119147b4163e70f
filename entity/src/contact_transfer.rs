//! `contact_transfers`: imports and exports of contacts, until the next one of the account replaces them.
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// One import or export.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "contact_transfers")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub account_id: i64,
    /// Who asked for it.
    pub user_id: i64,
    pub direction: Direction,
    /// What was asked.
    pub options: Json,
    /// The file that is imported.
    pub source_blob_id: Option<i64>,
    /// An export's contacts; the rows that an import rejected.
    pub result_blob_id: Option<i64>,
    pub rows_done: i32,
    pub rows_rejected: i32,
    /// Why it could not be finished.
    pub error: Option<String>,
    pub created_at: DateTimeUtc,
    /// None while it is under way: it is then taken up again when the daemon starts.
    pub finished_at: Option<DateTimeUtc>,
}

/// Which way contacts go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    Import = 0,
    Export = 1,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
