//! What channels of providers need: that no two inboxes have the same account there, the templates that the provider approved, and
//! who is yet to be told that an inbox is gone.
use crate::columns::{given_pk, table, time};
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000020_channels"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let templates =
            table("message_templates", [given_pk("inbox_id")]).col(json_binary("templates")).col(time("synchronized_at")).take();
        manager.create_table(templates).await?;
        let unregistrations = table("unregistrations", [big_pk_auto("id")])
            .col(big_integer("inbox_id"))
            .col(text("channel_key"))
            .col(json_binary("channel_settings"))
            .col(integer("failures"))
            .col(time("due_at"))
            .col(time("created_at"))
            .take();
        manager.create_table(unregistrations).await?;
        for statement in STATEMENTS {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}

/// Both databases understand these as they are.
const STATEMENTS: &[&str] = &[
    "ALTER TABLE inboxes ADD COLUMN channel_key TEXT NULL",
    "CREATE UNIQUE INDEX inboxes_by_channel_key ON inboxes (channel_key) WHERE deleted_at IS NULL",
    "CREATE INDEX unregistrations_by_due ON unregistrations (due_at)",
];
