//! `agent_bots`: programs that answer customers.
use sea_orm::entity::prelude::*;

/// One bot.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "agent_bots")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    /// None: offered to every account.
    pub account_id: Option<i64>,
    pub name: String,
    pub description: Option<String>,
    /// Where its events are posted.
    pub outgoing_url: Option<String>,
    pub bot_config: Json,
    pub avatar_blob_id: Option<i64>,
    /// A picture elsewhere, when there is none of our own.
    pub avatar_url: Option<String>,
    /// Key that signs what is posted, sealed.
    #[serde(skip)]
    pub secret_sealed: String,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
