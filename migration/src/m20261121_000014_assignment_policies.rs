//! How waiting conversations are given to agents, as a thing of its own that several inboxes share.
use crate::columns::{table, time};
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000014_assignment_policies"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let policies = table("assignment_policies", [big_pk_auto("id")])
            .col(big_integer("account_id"))
            .col(text("name"))
            .col(text_null("description"))
            .col(small_integer("assignment_order"))
            .col(small_integer("conversation_priority"))
            .col(big_integer("fair_distribution_limit"))
            .col(big_integer("fair_distribution_window"))
            .col(boolean("enabled"))
            .col(time("created_at"))
            .col(time("updated_at"))
            .take();
        manager.create_table(policies).await?;
        for statement in STATEMENTS {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}

/// Both databases understand these as they are.
const STATEMENTS: &[&str] = &[
    "CREATE UNIQUE INDEX assignment_policies_by_name ON assignment_policies (account_id, name)",
    "ALTER TABLE inboxes ADD COLUMN assignment_policy_id BIGINT NULL",
];
