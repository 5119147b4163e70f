//! What bots and platform apps need: deliveries under a name of their own, links that sign a user in once.
use crate::columns::{table, time};
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000007_programs"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let links =
            table("sign_in_links", [big_pk_auto("id")]).col(big_integer("user_id")).col(text("token_hash")).col(time("expires_at")).take();
        manager.create_table(links).await?;
        for statement in COLUMNS.iter().chain(INDEXES) {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}

const COLUMNS: &[&str] = &["ALTER TABLE deliveries ADD COLUMN event_name TEXT NULL"];

const INDEXES: &[&str] = &[
    "CREATE UNIQUE INDEX sign_in_links_by_hash ON sign_in_links (token_hash)",
    "CREATE INDEX sign_in_links_by_expiry ON sign_in_links (expires_at)",
];
