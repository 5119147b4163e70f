//! An index for each order in which contacts are listed: without them a page by city reads and sorts all of an account. And
//! the conversations of a team, which a team that is removed leaves.
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000015_orders"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Nothing comes first, which only PostgreSQL has to be told; so its unique indexes do not serve here.
        let (orders, nothing) = match manager.get_database_backend() {
            DbBackend::Postgres => (ORDERS, " NULLS FIRST"),
            _ => (ORDERS.split_at(2).1, ""),
        };
        for (name, expression) in orders {
            let statement = format!(
                "CREATE INDEX contacts_known_by_{name} ON contacts (account_id, {expression}{nothing}, id) \
                 WHERE email IS NOT NULL OR phone_number IS NOT NULL OR identifier IS NOT NULL"
            );
            manager.get_connection().execute_unprepared(&statement).await?;
        }
        manager.get_connection().execute_unprepared(OF_TEAM).await?;
        Ok(())
    }
}

/// Name and expression; the first two have a unique index that SQLite can walk along.
const ORDERS: &[(&str, &str)] = &[
    ("email", "email"),
    ("phone_number", "phone_number"),
    ("company_name", "(additional_attributes ->> 'company_name')"),
    ("city", "(additional_attributes ->> 'city')"),
    ("country", "(additional_attributes ->> 'country')"),
];

const OF_TEAM: &str = "CREATE INDEX conversations_of_team ON conversations (team_id) WHERE team_id IS NOT NULL";
