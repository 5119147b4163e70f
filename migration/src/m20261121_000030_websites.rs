//! What websites need: answers that visitors have not seen, and whose mail can be answered (what a mail of the desk says beside its
//! text); and visitors of whom nothing is known.
use crate::columns::{given_pk, table, time};
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000030_websites"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let follow_ups = table("follow_ups", [given_pk("conversation_id")]).col(big_integer("message_id")).col(time("due_at")).take();
        manager.create_table(follow_ups).await?;
        let headers = json_binary("headers").default("{}").take();
        manager.alter_table(Table::alter().table("mails").add_column(headers).take()).await?;
        for statement in INDEXES {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}

const INDEXES: &[&str] = &[
    "CREATE INDEX follow_ups_by_due ON follow_ups (due_at)",
    "CREATE INDEX contacts_unknown ON contacts (created_at) \
     WHERE last_activity_at IS NULL AND email IS NULL AND phone_number IS NULL AND identifier IS NULL",
];
