//! The spine: who may sign in, inboxes, contacts, conversations, messages, and what they cause.
//!
//! Rows of the tables without `big_pk_auto` get their ids from the one writer, which keeps ids in the order of the commits.
use crate::columns::{given_pk, table, time, time_null};
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000001_spine"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables() {
            manager.create_table(table).await?;
        }
        for statement in INDEXES {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}

/// Both databases understand these as they are. A `NULL` is unlike any other in a unique index.
const INDEXES: &[&str] = &[
    "CREATE UNIQUE INDEX users_by_email ON users (email)",
    "CREATE UNIQUE INDEX users_by_pubsub_token ON users (pubsub_token)",
    "CREATE UNIQUE INDEX account_users_by_account ON account_users (account_id, user_id)",
    "CREATE INDEX account_users_by_user ON account_users (user_id)",
    "CREATE UNIQUE INDEX access_tokens_by_hash ON access_tokens (token_hash)",
    "CREATE UNIQUE INDEX access_tokens_by_owner ON access_tokens (owner_type, owner_id)",
    "CREATE UNIQUE INDEX sessions_by_client ON sessions (user_id, client)",
    "CREATE UNIQUE INDEX inboxes_by_identifier ON inboxes (identifier)",
    "CREATE UNIQUE INDEX inboxes_by_file_name ON inboxes (account_id, managed_by_file)",
    "CREATE UNIQUE INDEX inbox_members_by_inbox ON inbox_members (inbox_id, user_id)",
    "CREATE INDEX inbox_members_by_user ON inbox_members (user_id)",
    "CREATE UNIQUE INDEX contacts_by_email ON contacts (account_id, email)",
    "CREATE UNIQUE INDEX contacts_by_phone_number ON contacts (account_id, phone_number)",
    "CREATE UNIQUE INDEX contacts_by_identifier ON contacts (account_id, identifier)",
    "CREATE INDEX contacts_by_activity ON contacts (account_id, last_activity_at, id)",
    "CREATE UNIQUE INDEX contact_inboxes_by_source ON contact_inboxes (inbox_id, source_id)",
    "CREATE UNIQUE INDEX contact_inboxes_by_pubsub_token ON contact_inboxes (pubsub_token)",
    "CREATE INDEX contact_inboxes_by_contact ON contact_inboxes (contact_id)",
    "CREATE UNIQUE INDEX conversations_by_display_id ON conversations (account_id, display_id)",
    "CREATE UNIQUE INDEX conversations_by_uuid ON conversations (uuid)",
    "CREATE INDEX conversations_by_contact_inbox ON conversations (contact_inbox_id, id)",
    "CREATE INDEX conversations_by_contact ON conversations (contact_id, id)",
    "CREATE INDEX conversations_by_activity ON conversations (account_id, status, last_activity_at)",
    "CREATE INDEX conversations_by_inbox ON conversations (inbox_id, last_activity_at)",
    "CREATE INDEX conversations_snoozed ON conversations (snoozed_until) WHERE status = 3",
    "CREATE INDEX conversations_by_assignee ON conversations (inbox_id, status, assignee_id)",
    "CREATE UNIQUE INDEX messages_by_source_id ON messages (inbox_id, source_id)",
    "CREATE INDEX messages_by_conversation ON messages (conversation_id, id)",
    "CREATE INDEX outgoing_by_due ON outgoing (inbox_id, due_at)",
    "CREATE INDEX outgoing_by_conversation ON outgoing (inbox_id, conversation_id, message_id)",
    "CREATE UNIQUE INDEX blobs_by_key ON blobs (key)",
    "CREATE INDEX attachments_by_message ON attachments (message_id)",
    "CREATE UNIQUE INDEX webhooks_by_url ON webhooks (account_id, url)",
    "CREATE INDEX deliveries_due ON deliveries (endpoint, endpoint_id, due_at) WHERE status = 0",
    "CREATE INDEX deliveries_by_endpoint ON deliveries (endpoint, endpoint_id, id)",
    "CREATE INDEX delivery_attempts_by_delivery ON delivery_attempts (delivery_id)",
    "CREATE UNIQUE INDEX idempotency_keys_by_hash ON idempotency_keys (key_hash)",
    "CREATE UNIQUE INDEX parked_messages_by_key ON parked_messages (inbox_id, provider_key)",
];

fn tables() -> Vec<TableCreateStatement> {
    vec![
        table("accounts", [big_pk_auto("id")])
            .col(text("name"))
            .col(string("locale"))
            .col(text_null("domain"))
            .col(text_null("support_email"))
            .col(small_integer("status"))
            .col(json_binary("settings"))
            .col(json_binary("custom_attributes"))
            .col(big_integer("last_display_id"))
            .col(time("created_at"))
            .col(time("updated_at"))
            .take(),
        table("users", [big_pk_auto("id")])
            .col(text("email"))
            .col(text("name"))
            .col(text_null("display_name"))
            .col(text_null("password_hash"))
            .col(text_null("message_signature"))
            .col(text_null("phone_number"))
            .col(big_integer_null("avatar_blob_id"))
            .col(json_binary("ui_settings"))
            .col(json_binary("custom_attributes"))
            .col(string("pubsub_token"))
            .col(time_null("confirmed_at"))
            .col(time("created_at"))
            .col(time("updated_at"))
            .take(),
        table("account_users", [big_pk_auto("id")])
            .col(big_integer("account_id"))
            .col(big_integer("user_id"))
            .col(small_integer("role"))
            .col(small_integer("availability"))
            .col(boolean("auto_offline"))
            .col(big_integer_null("inviter_id"))
            .col(time_null("active_at"))
            .col(time("created_at"))
            .col(time("updated_at"))
            .take(),
        table("access_tokens", [big_pk_auto("id")])
            .col(small_integer("owner_type"))
            .col(big_integer("owner_id"))
            .col(string("token_hash"))
            .col(text("token_sealed"))
            .col(time("created_at"))
            .take(),
        table("sessions", [big_pk_auto("id")])
            .col(big_integer("user_id"))
            .col(string("client"))
            .col(string("token_hash"))
            .col(text_null("user_agent"))
            .col(text_null("remote_address"))
            .col(time("expires_at"))
            .col(time("created_at"))
            .take(),
        table("inboxes", [big_pk_auto("id")])
            .col(big_integer("account_id"))
            .col(text("name"))
            .col(string("channel"))
            .col(json_binary("channel_settings"))
            .col(string("identifier"))
            .col(text("hmac_token_sealed"))
            .col(text("secret_sealed"))
            .col(boolean("enabled"))
            .col(text_null("managed_by_file"))
            .col(big_integer_null("avatar_blob_id"))
            .col(boolean("greeting_enabled"))
            .col(text_null("greeting_message"))
            .col(boolean("enable_auto_assignment"))
            .col(json_binary("auto_assignment_config"))
            .col(boolean("working_hours_enabled"))
            .col(json_binary("working_hours"))
            .col(string("timezone"))
            .col(text_null("out_of_office_message"))
            .col(boolean("enable_email_collect"))
            .col(boolean("csat_survey_enabled"))
            .col(json_binary("csat_config"))
            .col(boolean("allow_messages_after_resolved"))
            .col(boolean("lock_to_single_conversation"))
            .col(small_integer("sender_name_type"))
            .col(text_null("business_name"))
            .col(time_null("deleted_at"))
            .col(time("created_at"))
            .col(time("updated_at"))
            .take(),
        table("inbox_members", [big_pk_auto("id")]).col(big_integer("inbox_id")).col(big_integer("user_id")).col(time("created_at")).take(),
        table("contacts", [given_pk("id")])
            .col(big_integer("account_id"))
            .col(text("name"))
            .col(text_null("email"))
            .col(text_null("phone_number"))
            .col(text_null("identifier"))
            .col(boolean("blocked"))
            .col(big_integer_null("avatar_blob_id"))
            .col(text_null("avatar_url"))
            .col(json_binary("additional_attributes"))
            .col(json_binary("custom_attributes"))
            .col(time_null("last_activity_at"))
            .col(time("created_at"))
            .col(time("updated_at"))
            .take(),
        table("contact_inboxes", [given_pk("id")])
            .col(big_integer("contact_id"))
            .col(big_integer("inbox_id"))
            .col(text("source_id"))
            .col(boolean("hmac_verified"))
            .col(string("pubsub_token"))
            .col(time("created_at"))
            .col(time("updated_at"))
            .take(),
        table("conversations", [given_pk("id")])
            .col(big_integer("account_id"))
            .col(big_integer("display_id"))
            .col(uuid("uuid"))
            .col(big_integer("inbox_id"))
            .col(big_integer("contact_id"))
            .col(big_integer("contact_inbox_id"))
            .col(small_integer("status"))
            .col(small_integer_null("priority"))
            .col(big_integer_null("assignee_id"))
            .col(big_integer_null("team_id"))
            .col(json_binary("labels"))
            .col(integer("unread_count"))
            .col(json_binary("additional_attributes"))
            .col(json_binary("custom_attributes"))
            .col(time_null("snoozed_until"))
            .col(time_null("waiting_since"))
            .col(time_null("first_reply_created_at"))
            .col(time_null("agent_last_seen_at"))
            .col(time_null("assignee_last_seen_at"))
            .col(time_null("contact_last_seen_at"))
            .col(time("last_activity_at"))
            .col(time("created_at"))
            .col(time("updated_at"))
            .foreign_key(ForeignKey::create().from("conversations", "contact_inbox_id").to("contact_inboxes", "id"))
            .take(),
        table("messages", [given_pk("id")])
            .col(big_integer("account_id"))
            .col(big_integer("inbox_id"))
            .col(big_integer("conversation_id"))
            .col(small_integer("message_type"))
            .col(string("content_type"))
            .col(text_null("content"))
            .col(boolean("private"))
            .col(small_integer("status"))
            .col(text_null("source_id"))
            .col(small_integer_null("sender_type"))
            .col(big_integer_null("sender_id"))
            .col(json_binary("content_attributes"))
            .col(json_binary("additional_attributes"))
            .col(time("created_at"))
            .col(time("updated_at"))
            .foreign_key(ForeignKey::create().from("messages", "conversation_id").to("conversations", "id"))
            .take(),
        table("outgoing", [given_pk("message_id")])
            .col(big_integer("inbox_id"))
            .col(big_integer("conversation_id"))
            .col(integer("failures"))
            .col(time("due_at"))
            .col(text_null("last_error"))
            .col(time("created_at"))
            .take(),
        table("blobs", [big_pk_auto("id")])
            .col(big_integer("account_id"))
            .col(string("key"))
            .col(text("file_name"))
            .col(string("content_type"))
            .col(big_integer("byte_size"))
            .col(string("checksum"))
            .col(big_integer_null("uploader_id"))
            .col(time("created_at"))
            .take(),
        table("attachments", [given_pk("id")])
            .col(big_integer("account_id"))
            .col(big_integer("message_id"))
            .col(string("file_type"))
            .col(big_integer_null("blob_id"))
            .col(text_null("external_url"))
            .col(double_null("coordinates_lat"))
            .col(double_null("coordinates_long"))
            .col(text_null("fallback_title"))
            .col(json_binary("meta"))
            .col(time("created_at"))
            .take(),
        table("events", [given_pk("id")])
            .col(big_integer("account_id"))
            .col(big_integer_null("inbox_id"))
            .col(big_integer_null("conversation_id"))
            .col(string("kind"))
            .col(text("payload"))
            .col(time("created_at"))
            .take(),
        table("webhooks", [big_pk_auto("id")])
            .col(big_integer("account_id"))
            .col(big_integer_null("inbox_id"))
            .col(text_null("name"))
            .col(text("url"))
            .col(json_binary("subscriptions"))
            .col(text("secret_sealed"))
            .col(time("created_at"))
            .col(time("updated_at"))
            .take(),
        table("deliveries", [given_pk("id")])
            .col(uuid("uuid"))
            .col(big_integer("account_id"))
            .col(big_integer("event_id"))
            .col(small_integer("endpoint"))
            .col(big_integer("endpoint_id"))
            .col(big_integer_null("conversation_id"))
            .col(small_integer("status"))
            .col(integer("failures"))
            .col(time("due_at"))
            .col(time("created_at"))
            .col(time_null("finished_at"))
            .take(),
        table("delivery_attempts", [given_pk("id")])
            .col(big_integer("delivery_id"))
            .col(time("attempted_at"))
            .col(big_integer("duration_ms"))
            .col(small_integer_null("status_code"))
            .col(text_null("error"))
            .take(),
        table("idempotency_keys", [big_pk_auto("id")])
            .col(string("key_hash"))
            .col(string("fingerprint"))
            .col(uuid("boot"))
            .col(big_integer_null("resource_id"))
            .col(small_integer_null("status"))
            .col(text_null("body"))
            .col(time("created_at"))
            .take(),
        table("cursors", [given_pk("inbox_id")]).col(json_binary("value")).col(time("updated_at")).take(),
        table("parked_messages", [big_pk_auto("id")])
            .col(big_integer("inbox_id"))
            .col(text("provider_key"))
            .col(text("reason"))
            .col(big_integer_null("blob_id"))
            .col(time("created_at"))
            .take(),
    ]
}
