//! `deliveries`: one event to one endpoint; written in the transaction that causes it.
use sea_orm::entity::prelude::*;

/// One event on its way to one endpoint.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "deliveries")]
pub struct Model {
    /// Given by the writer, not by the database.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    /// The id the receiver sees, the same in every attempt.
    pub uuid: Uuid,
    pub account_id: i64,
    pub event_id: i64,
    /// The name it is told under, where the event has more than one.
    pub event_name: Option<String>,
    pub endpoint: EndpointKind,
    /// Id of the webhook, inbox, bot or macro, depending on `endpoint`.
    pub endpoint_id: i64,
    /// Deliveries of one conversation to one endpoint go one after the other.
    pub conversation_id: Option<i64>,
    pub status: DeliveryStatus,
    pub failures: i32,
    pub due_at: DateTimeUtc,
    pub created_at: DateTimeUtc,
    pub finished_at: Option<DateTimeUtc>,
}

/// What kind of endpoint a delivery goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
pub enum EndpointKind {
    /// A row of `webhooks`.
    Webhook = 0,
    /// The `webhook_url` of an API inbox.
    Inbox = 1,
    /// The `outgoing_url` of an agent bot.
    AgentBot = 2,
    /// An address that a macro names.
    Macro = 3,
}

/// How far a delivery came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
pub enum DeliveryStatus {
    Queued = 0,
    Delivered = 1,
    /// Given up after days, or the endpoint is gone.
    Failed = 2,
}

impl DeliveryStatus {
    /// The word the API shows.
    pub fn name(self) -> &'static str {
        match self {
            DeliveryStatus::Queued => "queued",
            DeliveryStatus::Delivered => "delivered",
            DeliveryStatus::Failed => "failed",
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
