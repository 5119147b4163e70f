//! `messages`: what was said, by whom, and how far it came.
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// One message of a conversation; unique on inbox and source id.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "messages")]
pub struct Model {
    /// Given by the writer, not by the database; grows in the order of the commits.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    pub account_id: i64,
    pub inbox_id: i64,
    pub conversation_id: i64,
    pub message_type: MessageType,
    /// The contract's word, such as `text` or `incoming_email`.
    pub content_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// A note that the contact never sees.
    pub private: bool,
    pub status: MessageStatus,
    /// The provider's id of the message: the same id again is a repeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_type: Option<SenderType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_id: Option<i64>,
    pub content_attributes: Json,
    pub additional_attributes: Json,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// Which way a message went; the numbers are those on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
#[serde(rename_all = "lowercase")]
pub enum MessageType {
    Incoming = 0,
    Outgoing = 1,
    /// What happened to the conversation, told to agents.
    Activity = 2,
    /// Sent by a rule: greeting, out of office, survey.
    Template = 3,
}

impl MessageType {
    /// The number REST and websocket show.
    pub fn number(self) -> i16 {
        self.into_value()
    }

    /// The word webhooks show.
    pub fn name(self) -> &'static str {
        match self {
            MessageType::Incoming => "incoming",
            MessageType::Outgoing => "outgoing",
            MessageType::Activity => "activity",
            MessageType::Template => "template",
        }
    }
}

/// How far a message came. Grows towards `Read`; `Failed` only from a state before `Delivered`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
#[serde(rename_all = "lowercase")]
pub enum MessageStatus {
    Sent = 0,
    Delivered = 1,
    Read = 2,
    Failed = 3,
    /// The provider has not got it yet: a row of `outgoing` waits.
    Queued = 4,
}

impl MessageStatus {
    /// The contract's word for it. The contract knows no queue: what waits is shown as sent until it is known to have failed.
    pub fn name(self) -> &'static str {
        match self {
            MessageStatus::Sent | MessageStatus::Queued => "sent",
            MessageStatus::Delivered => "delivered",
            MessageStatus::Read => "read",
            MessageStatus::Failed => "failed",
        }
    }
}

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
pub enum SenderType {
    User = 0,
    Contact = 1,
    AgentBot = 2,
}

impl SenderType {
    /// The contract's class name.
    pub fn name(self) -> &'static str {
        match self {
            SenderType::User => "User",
            SenderType::Contact => "Contact",
            SenderType::AgentBot => "AgentBot",
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
