//! Contacts in and out: imports and exports of whole files; and which ids those who were removed had.
use crate::columns::{table, time, time_null};
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000004_contacts"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let transfers = table("contact_transfers", [big_pk_auto("id")])
            .col(big_integer("account_id"))
            .col(big_integer("user_id"))
            .col(small_integer("direction"))
            .col(json_binary("options"))
            .col(big_integer_null("source_blob_id"))
            .col(big_integer_null("result_blob_id"))
            .col(integer("rows_done"))
            .col(integer("rows_rejected"))
            .col(text_null("error"))
            .col(time("created_at"))
            .col(time_null("finished_at"))
            .take();
        manager.create_table(transfers).await?;
        let marks = table("id_marks", [string("name").primary_key().take()]).col(big_integer("last_id")).take();
        manager.create_table(marks).await?;
        for statement in INDEXES {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}

/// Both databases understand these as they are.
const INDEXES: &[&str] = &[
    "CREATE INDEX contact_transfers_by_account ON contact_transfers (account_id, direction, id)",
    "CREATE INDEX contact_transfers_unfinished ON contact_transfers (id) WHERE finished_at IS NULL",
];
