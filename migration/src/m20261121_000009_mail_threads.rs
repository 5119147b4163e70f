//! Finds the conversation of a mail by what the sender's program calls the thread.
use sea_orm_migration::prelude::*;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000009_mail_threads"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(INDEX).await?;
        Ok(())
    }
}

/// Both databases understand it as it is.
const INDEX: &str = "CREATE INDEX conversations_by_thread_index ON conversations (inbox_id, (additional_attributes ->> 'thread_index')) \
    WHERE (additional_attributes ->> 'thread_index') IS NOT NULL";
