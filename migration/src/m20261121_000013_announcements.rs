//! What is changed beside the writer and is to be told.
use crate::columns::{table, time};
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000013_announcements"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let announcements =
            table("announcements", [big_pk_auto("id")]).col(big_integer("account_id")).col(text("payload")).col(time("created_at")).take();
        manager.create_table(announcements).await
    }
}
