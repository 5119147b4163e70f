//! What waits is found in the order of its conversation, what was said last in an inbox at once; keys of requests that are kept
//! for a day are found by their age, and no longer say which run of the daemon took them.
use sea_orm_migration::prelude::*;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000010_outbox"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in STATEMENTS {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}

const STATEMENTS: &[&str] = &[
    "CREATE INDEX deliveries_waiting ON deliveries (endpoint, endpoint_id, conversation_id, id) WHERE status = 0",
    "CREATE INDEX messages_exchanged ON messages (inbox_id, message_type, id) WHERE NOT private AND message_type <> 2 AND status < 3",
    "CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at)",
    // Sealed from now on; what was kept before is a day old at most.
    "DELETE FROM idempotency_keys",
    "ALTER TABLE idempotency_keys DROP COLUMN boot",
];
