//! The desk: teams, labels, what agents keep for their work, notifications, bots, platform apps, the audit log.
use crate::columns::{given_pk, table, time, time_null};
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000002_desk"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables() {
            manager.create_table(table).await?;
        }
        for statement in COLUMNS.iter().chain(INDEXES) {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}

/// Columns that tables of the spine get.
const COLUMNS: &[&str] =
    &["ALTER TABLE inboxes ADD COLUMN agent_bot_id BIGINT NULL", "ALTER TABLE conversations ADD COLUMN assignee_agent_bot_id BIGINT NULL"];

/// Both databases understand these as they are.
const INDEXES: &[&str] = &[
    "CREATE UNIQUE INDEX teams_by_name ON teams (account_id, name)",
    "CREATE UNIQUE INDEX team_members_by_team ON team_members (team_id, user_id)",
    "CREATE INDEX team_members_by_user ON team_members (user_id)",
    "CREATE UNIQUE INDEX labels_by_title ON labels (account_id, title)",
    "CREATE UNIQUE INDEX conversation_labels_by_title ON conversation_labels (account_id, title, conversation_id)",
    "CREATE INDEX conversation_labels_by_conversation ON conversation_labels (conversation_id)",
    "CREATE UNIQUE INDEX contact_labels_by_title ON contact_labels (account_id, title, contact_id)",
    "CREATE INDEX contact_labels_by_contact ON contact_labels (contact_id)",
    "CREATE UNIQUE INDEX canned_responses_by_code ON canned_responses (account_id, short_code)",
    "CREATE UNIQUE INDEX custom_attribute_definitions_by_key ON custom_attribute_definitions (account_id, attribute_model, attribute_key)",
    "CREATE INDEX custom_filters_by_user ON custom_filters (account_id, user_id, filter_type)",
    "CREATE INDEX dashboard_apps_by_account ON dashboard_apps (account_id)",
    "CREATE INDEX macros_by_account ON macros (account_id)",
    "CREATE INDEX notes_by_contact ON notes (contact_id)",
    "CREATE UNIQUE INDEX participants_by_conversation ON participants (conversation_id, user_id)",
    "CREATE INDEX participants_by_user ON participants (user_id, account_id, conversation_id)",
    "CREATE UNIQUE INDEX mentions_by_user ON mentions (user_id, account_id, conversation_id)",
    "CREATE INDEX mentions_by_conversation ON mentions (conversation_id)",
    "CREATE UNIQUE INDEX drafts_by_conversation ON drafts (conversation_id, user_id)",
    "CREATE INDEX notifications_by_user ON notifications (user_id, account_id, last_activity_at)",
    "CREATE INDEX notifications_unread ON notifications (user_id, account_id) WHERE read_at IS NULL",
    "CREATE INDEX notifications_by_conversation ON notifications (conversation_id)",
    "CREATE UNIQUE INDEX notification_settings_by_user ON notification_settings (account_id, user_id)",
    "CREATE UNIQUE INDEX notification_subscriptions_by_identifier ON notification_subscriptions (identifier)",
    "CREATE INDEX notification_subscriptions_by_user ON notification_subscriptions (user_id)",
    "CREATE INDEX agent_bots_by_account ON agent_bots (account_id)",
    "CREATE UNIQUE INDEX platform_grants_by_object ON platform_grants (platform_app_id, kind, object_id)",
    "CREATE INDEX audit_logs_by_account ON audit_logs (account_id, id)",
    "CREATE INDEX conversations_by_team ON conversations (team_id, last_activity_at)",
];

fn tables() -> Vec<TableCreateStatement> {
    let stamped = |table: TableCreateStatement| table.to_owned().col(time("created_at")).col(time("updated_at")).take();
    vec![
        stamped(
            table("teams", [big_pk_auto("id")])
                .col(big_integer("account_id"))
                .col(text("name"))
                .col(text_null("description"))
                .col(boolean("allow_auto_assign"))
                .take(),
        ),
        table("team_members", [big_pk_auto("id")]).col(big_integer("team_id")).col(big_integer("user_id")).col(time("created_at")).take(),
        stamped(
            table("labels", [big_pk_auto("id")])
                .col(big_integer("account_id"))
                .col(text("title"))
                .col(text_null("description"))
                .col(string("color"))
                .col(boolean("show_on_sidebar"))
                .take(),
        ),
        table("conversation_labels", [big_pk_auto("id")])
            .col(big_integer("account_id"))
            .col(text("title"))
            .col(big_integer("conversation_id"))
            .take(),
        table("contact_labels", [big_pk_auto("id")])
            .col(big_integer("account_id"))
            .col(text("title"))
            .col(big_integer("contact_id"))
            .take(),
        stamped(
            table("canned_responses", [big_pk_auto("id")])
                .col(big_integer("account_id"))
                .col(text("short_code"))
                .col(text("content"))
                .take(),
        ),
        stamped(
            table("custom_attribute_definitions", [big_pk_auto("id")])
                .col(big_integer("account_id"))
                .col(text("attribute_key"))
                .col(text("attribute_display_name"))
                .col(small_integer("attribute_display_type"))
                .col(text_null("attribute_description"))
                .col(small_integer("attribute_model"))
                .col(json_binary("attribute_values"))
                .col(text_null("regex_pattern"))
                .col(text_null("regex_cue"))
                .col(json_binary_null("default_value"))
                .take(),
        ),
        stamped(
            table("custom_filters", [big_pk_auto("id")])
                .col(big_integer("account_id"))
                .col(big_integer("user_id"))
                .col(text("name"))
                .col(small_integer("filter_type"))
                .col(json_binary("query"))
                .take(),
        ),
        stamped(
            table("dashboard_apps", [big_pk_auto("id")])
                .col(big_integer("account_id"))
                .col(big_integer_null("user_id"))
                .col(text("title"))
                .col(json_binary("content"))
                .take(),
        ),
        stamped(
            table("macros", [big_pk_auto("id")])
                .col(big_integer("account_id"))
                .col(text("name"))
                .col(small_integer("visibility"))
                .col(big_integer("created_by_id"))
                .col(big_integer("updated_by_id"))
                .col(json_binary("actions"))
                .take(),
        ),
        stamped(
            table("notes", [big_pk_auto("id")])
                .col(big_integer("account_id"))
                .col(big_integer("contact_id"))
                .col(big_integer_null("user_id"))
                .col(text("content"))
                .take(),
        ),
        table("participants", [big_pk_auto("id")])
            .col(big_integer("account_id"))
            .col(big_integer("conversation_id"))
            .col(big_integer("user_id"))
            .col(time("created_at"))
            .take(),
        table("mentions", [big_pk_auto("id")])
            .col(big_integer("account_id"))
            .col(big_integer("conversation_id"))
            .col(big_integer("user_id"))
            .col(time("mentioned_at"))
            .take(),
        table("drafts", [big_pk_auto("id")])
            .col(big_integer("conversation_id"))
            .col(big_integer("user_id"))
            .col(text("message"))
            .col(time("updated_at"))
            .take(),
        stamped(
            table("notifications", [given_pk("id")])
                .col(big_integer("account_id"))
                .col(big_integer("user_id"))
                .col(small_integer("notification_type"))
                .col(big_integer("conversation_id"))
                .col(big_integer_null("message_id"))
                .col(big_integer_null("performer_id"))
                .col(time_null("read_at"))
                .col(time_null("snoozed_until"))
                .col(time("last_activity_at"))
                .col(json_binary("meta"))
                .take(),
        ),
        stamped(
            table("notification_settings", [big_pk_auto("id")])
                .col(big_integer("account_id"))
                .col(big_integer("user_id"))
                .col(json_binary("email_flags"))
                .col(json_binary("push_flags"))
                .take(),
        ),
        stamped(
            table("notification_subscriptions", [big_pk_auto("id")])
                .col(big_integer("user_id"))
                .col(string("subscription_type"))
                .col(text("identifier"))
                .col(json_binary("subscription_attributes"))
                .take(),
        ),
        stamped(
            table("agent_bots", [big_pk_auto("id")])
                .col(big_integer_null("account_id"))
                .col(text("name"))
                .col(text_null("description"))
                .col(text_null("outgoing_url"))
                .col(json_binary("bot_config"))
                .col(big_integer_null("avatar_blob_id"))
                .col(text_null("avatar_url"))
                .col(text("secret_sealed"))
                .take(),
        ),
        stamped(table("platform_apps", [big_pk_auto("id")]).col(text("name")).take()),
        table("platform_grants", [big_pk_auto("id")])
            .col(big_integer("platform_app_id"))
            .col(small_integer("kind"))
            .col(big_integer("object_id"))
            .col(time("created_at"))
            .take(),
        table("audit_logs", [big_pk_auto("id")])
            .col(big_integer("account_id"))
            .col(string("auditable_type"))
            .col(big_integer("auditable_id"))
            .col(big_integer_null("user_id"))
            .col(text_null("username"))
            .col(string("action"))
            .col(json_binary("audited_changes"))
            .col(text_null("remote_address"))
            .col(time("created_at"))
            .take(),
    ]
}
