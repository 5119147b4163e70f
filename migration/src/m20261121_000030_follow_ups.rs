//! Answers on a website that were not seen, and whose mail can be answered: what a mail of the desk says beside its text.
use crate::columns::{given_pk, table, time};
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000030_follow_ups"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let follow_ups = table("follow_ups", [given_pk("conversation_id")]).col(big_integer("message_id")).col(time("due_at")).take();
        manager.create_table(follow_ups).await?;
        let headers = json_binary("headers").default("{}").take();
        manager.alter_table(Table::alter().table("mails").add_column(headers).take()).await?;
        manager.get_connection().execute_unprepared(BY_DUE).await?;
        Ok(())
    }
}

const BY_DUE: &str = "CREATE INDEX follow_ups_by_due ON follow_ups (due_at)";
