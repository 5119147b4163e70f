//! `inboxes`: the one truth about which channels there should be.
use sea_orm::entity::prelude::*;

/// One connection between a channel and the desk.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "inboxes")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub account_id: i64,
    pub name: String,
    /// The tag of the channel's settings, such as `api` or `email`.
    pub channel: String,
    /// The channel's settings as JSON, its secrets sealed.
    pub channel_settings: Json,
    /// What no two living inboxes may share, such as a bot: the channel's `unique_key`.
    pub channel_key: Option<String>,
    /// Public token of the inbox: in client API paths, webhook paths and the website snippet. Unique.
    pub identifier: String,
    /// Key of the identity check (contract section 5), sealed.
    pub hmac_token_sealed: String,
    /// Key that signs what is posted to the inbox's own webhook, sealed.
    pub secret_sealed: String,
    pub enabled: bool,
    /// The name under which `konversio.toml` manages this inbox; the API then refuses to edit it.
    pub managed_by_file: Option<String>,
    pub avatar_blob_id: Option<i64>,
    pub greeting_enabled: bool,
    pub greeting_message: Option<String>,
    pub enable_auto_assignment: bool,
    /// `max_assignment_limit`: how many open conversations of this inbox an agent gets by himself.
    pub auto_assignment_config: Json,
    pub working_hours_enabled: bool,
    /// Seven days in the contract's form.
    pub working_hours: Json,
    pub timezone: String,
    pub out_of_office_message: Option<String>,
    pub enable_email_collect: bool,
    pub csat_survey_enabled: bool,
    pub csat_config: Json,
    pub allow_messages_after_resolved: bool,
    pub lock_to_single_conversation: bool,
    pub sender_name_type: SenderNameType,
    pub business_name: Option<String>,
    /// The bot that answers first, if one does.
    pub agent_bot_id: Option<i64>,
    /// How its waiting conversations are given to agents; its own settings decide where there is none.
    pub assignment_policy_id: Option<i64>,
    /// Deleted inboxes stay as rows, since their conversations stay.
    pub deleted_at: Option<DateTimeUtc>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// How a sender's name is shown to customers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, serde::Serialize, serde::Deserialize)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
#[serde(rename_all = "lowercase")]
pub enum SenderNameType {
    /// Agent and business.
    Friendly = 0,
    /// The business alone.
    Professional = 1,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
