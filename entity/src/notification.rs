//! `notifications`: what a user is told of.
use sea_orm::entity::prelude::*;

/// One notification.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, serde::Serialize, serde::Deserialize)]
#[sea_orm(table_name = "notifications")]
pub struct Model {
    /// Given by the writer, not by the database.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    pub account_id: i64,
    pub user_id: i64,
    pub notification_type: NotificationType,
    /// What it is about.
    pub conversation_id: i64,
    /// The message that caused it, if one did.
    pub message_id: Option<i64>,
    /// The user who caused it, if one did.
    pub performer_id: Option<i64>,
    pub read_at: Option<DateTimeUtc>,
    pub snoozed_until: Option<DateTimeUtc>,
    pub last_activity_at: DateTimeUtc,
    pub meta: Json,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// Of what a user is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, Hash, DeriveActiveEnum, serde::Serialize, serde::Deserialize)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
pub enum NotificationType {
    #[serde(rename = "conversation_creation")]
    ConversationCreation = 0,
    #[serde(rename = "conversation_assignment")]
    ConversationAssignment = 1,
    #[serde(rename = "assigned_conversation_new_message")]
    AssignedConversationNewMessage = 2,
    #[serde(rename = "conversation_mention")]
    ConversationMention = 3,
    #[serde(rename = "participating_conversation_new_message")]
    ParticipatingConversationNewMessage = 4,
}

impl NotificationType {
    /// The contract's word for it.
    pub fn name(self) -> &'static str {
        match self {
            NotificationType::ConversationCreation => "conversation_creation",
            NotificationType::ConversationAssignment => "conversation_assignment",
            NotificationType::AssignedConversationNewMessage => "assigned_conversation_new_message",
            NotificationType::ConversationMention => "conversation_mention",
            NotificationType::ParticipatingConversationNewMessage => "participating_conversation_new_message",
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
