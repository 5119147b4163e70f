//! `idempotency_keys`: answers to POST requests that carried an `Idempotency-Key`
//! (draft-ietf-httpapi-idempotency-key-header-06), kept for a day.
use sea_orm::entity::prelude::*;

/// One key of one caller.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_keys")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    /// SHA-256 of caller, method, path and key, in hex; unique.
    pub key_hash: String,
    /// SHA-256 of what the request said, in hex: the same key with something else is refused. Empty until it was read to its end.
    pub fingerprint: String,
    /// What the request made, written in the transaction that made it: a crash before the answer was saved does not make it twice.
    pub resource_id: Option<i64>,
    /// The saved answer.
    pub status: Option<i16>,
    /// Sealed, since an answer may hold a token.
    pub body: Option<String>,
    pub created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
