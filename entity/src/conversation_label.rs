//! `conversation_labels`: which conversations have a label: what `conversations.labels` says, to be searched by title.
use sea_orm::entity::prelude::*;

/// One label of a conversation. Written with the conversation, by the writer.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "conversation_labels")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub account_id: i64,
    pub title: String,
    pub conversation_id: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
