//! What people need to sign in: tokens of every kind that open one thing once, second factors; and what an account may use.
use crate::columns::{table, time, time_null};
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;
use sea_orm_migration::sea_orm::DbBackend;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000011_people"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let factors = table("second_factors", [big_pk_auto("id")])
            .col(big_integer("user_id"))
            .col(text("secret_sealed"))
            .col(time_null("enabled_at"))
            .col(big_integer("last_step"))
            .col(json_binary("backup_hashes"))
            .col(time("created_at"))
            .take();
        manager.create_table(factors).await?;
        for name in ["features", "limits"] {
            let column = json_binary(name).default("{}").take();
            manager.alter_table(Table::alter().table("accounts").add_column(column).take()).await?;
        }
        let backend = manager.get_database_backend();
        for statement in STATEMENTS.iter().chain(if backend == DbBackend::Postgres { OF_POSTGRES } else { OF_SQLITE }) {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}

const STATEMENTS: &[&str] = &[
    "CREATE UNIQUE INDEX second_factors_by_user ON second_factors (user_id)",
    "ALTER TABLE sign_in_links RENAME TO one_time_tokens",
    "ALTER TABLE one_time_tokens ADD COLUMN purpose SMALLINT NOT NULL DEFAULT 0",
    "ALTER TABLE one_time_tokens ADD COLUMN failures INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX one_time_tokens_by_user ON one_time_tokens (user_id)",
];

/// What platform apps noted among the settings of an account goes into columns of its own.
const OF_POSTGRES: &[&str] = &[
    "UPDATE accounts SET features = settings->'features' WHERE jsonb_typeof(settings->'features') = 'object'",
    "UPDATE accounts SET limits = settings->'limits' WHERE jsonb_typeof(settings->'limits') = 'object'",
    "UPDATE accounts SET settings = settings - 'features' - 'limits'",
];

/// The same for SQLite.
const OF_SQLITE: &[&str] = &[
    "UPDATE accounts SET features = json_extract(settings, '$.features') WHERE json_type(settings, '$.features') = 'object'",
    "UPDATE accounts SET limits = json_extract(settings, '$.limits') WHERE json_type(settings, '$.limits') = 'object'",
    "UPDATE accounts SET settings = json_remove(settings, '$.features', '$.limits')",
];
