//! What the log of events knows of itself: which log it is, and from where on it is complete.
use crate::columns::{given_pk, table, time_null};
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000006_event_log"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let log =
            table("event_log", [given_pk("id")]).col(string("epoch")).col(big_integer("trimmed_id")).col(time_null("trimmed_at")).take();
        manager.create_table(log).await
    }
}
