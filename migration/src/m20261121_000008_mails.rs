//! Mail of the desk itself, and files that are uploaded before the message that carries them.
use crate::columns::{table, time, time_null};
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000008_mails"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mails = table("mails", [big_pk_auto("id")])
            .col(big_integer("account_id"))
            .col(string("key"))
            .col(text("recipient"))
            .col(text("subject"))
            .col(text("body"))
            .col(integer("failures"))
            .col(time("due_at"))
            .col(text_null("last_error"))
            .col(time_null("given_up_at"))
            .col(time("created_at"))
            .take();
        manager.create_table(mails).await?;
        for statement in INDEXES {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}

/// Both databases understand these as they are.
const INDEXES: &[&str] = &[
    "CREATE UNIQUE INDEX mails_by_key ON mails (key)",
    "CREATE INDEX mails_by_due ON mails (due_at) WHERE given_up_at IS NULL",
    "CREATE INDEX attachments_by_blob ON attachments (blob_id)",
];
