//! What providers tell beside messages: other names of a contact, the parts of a message, files that are still to be fetched, and
//! what comes before the message that it is about.
use crate::columns::{table, time};
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000016_providers"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let aliases = table("contact_aliases", [big_pk_auto("id")])
            .col(big_integer("inbox_id"))
            .col(text("value"))
            .col(big_integer("contact_inbox_id"))
            .col(time("created_at"))
            .take();
        let parts = table("message_parts", [big_pk_auto("id")])
            .col(big_integer("inbox_id"))
            .col(text("provider_id"))
            .col(big_integer("message_id"))
            .take();
        let downloads = table("downloads", [big_pk_auto("id")])
            .col(big_integer("inbox_id"))
            .col(big_integer("conversation_id"))
            .col(big_integer("message_id"))
            .col(json_binary("file"))
            .col(integer("failures"))
            .col(time("due_at"))
            .col(text_null("last_error"))
            .col(time("created_at"))
            .take();
        let early = table("early_amendments", [big_pk_auto("id")])
            .col(big_integer("inbox_id"))
            .col(text("provider_id"))
            .col(json_binary("amendment"))
            .col(time("created_at"))
            .take();
        for table in [aliases, parts, downloads, early] {
            manager.create_table(table).await?;
        }
        // What is to be done with the message at the provider, and which parts of it the provider has already.
        for column in [integer("action").default(0).take(), json_binary("sent_parts").default("[]").take()] {
            manager.alter_table(Table::alter().table("outgoing").add_column(column).take()).await?;
        }
        for statement in STATEMENTS {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}

const STATEMENTS: &[&str] = &[
    "CREATE UNIQUE INDEX contact_aliases_by_value ON contact_aliases (inbox_id, value)",
    "CREATE INDEX contact_aliases_by_identity ON contact_aliases (contact_inbox_id)",
    "CREATE UNIQUE INDEX message_parts_by_provider_id ON message_parts (inbox_id, provider_id)",
    "CREATE INDEX message_parts_by_message ON message_parts (message_id)",
    "CREATE INDEX downloads_waiting ON downloads (inbox_id, message_id, id)",
    "CREATE INDEX downloads_by_message ON downloads (message_id)",
    "CREATE INDEX early_amendments_by_provider_id ON early_amendments (inbox_id, provider_id)",
    "CREATE INDEX early_amendments_by_age ON early_amendments (created_at)",
];
