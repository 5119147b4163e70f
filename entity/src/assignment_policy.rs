//! `assignment_policies`: how waiting conversations are given to agents; several inboxes may share one.
use sea_orm::entity::prelude::*;

/// One policy.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "assignment_policies")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub account_id: i64,
    /// Unique in the account.
    pub name: String,
    pub description: Option<String>,
    pub assignment_order: AssignmentOrder,
    pub conversation_priority: ConversationPriority,
    /// How many conversations an agent is given in a window at most.
    pub fair_distribution_limit: i64,
    /// The length of the window in seconds.
    pub fair_distribution_window: i64,
    /// One that is not is as if its inboxes had none.
    pub enabled: bool,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, serde::Serialize)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
#[serde(rename_all = "snake_case")]
pub enum AssignmentOrder {
    /// Who was given nothing for the longest time.
    RoundRobin = 0,
    /// Who has the fewest open conversations of the inbox.
    Balanced = 1,
}

impl AssignmentOrder {
    /// The contract's word for it.
    pub fn name(self) -> &'static str {
        match self {
            AssignmentOrder::RoundRobin => "round_robin",
            AssignmentOrder::Balanced => "balanced",
        }
    }
}

/// Which conversation is given first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, serde::Serialize)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
#[serde(rename_all = "snake_case")]
pub enum ConversationPriority {
    /// The oldest.
    EarliestCreated = 0,
    /// The one whose contact waits longest for an answer.
    LongestWaiting = 1,
}

impl ConversationPriority {
    /// The contract's word for it.
    pub fn name(self) -> &'static str {
        match self {
            ConversationPriority::EarliestCreated => "earliest_created",
            ConversationPriority::LongestWaiting => "longest_waiting",
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
