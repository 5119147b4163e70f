//! Columns and tables as every migration writes them.
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

/// A table that begins with these columns.
pub fn table<const N: usize>(name: &'static str, columns: [ColumnDef; N]) -> TableCreateStatement {
    let mut table = Table::create();
    table.table(name);
    for column in columns {
        table.col(column);
    }
    table
}

/// A key that the writer gives.
pub fn given_pk(name: &'static str) -> ColumnDef {
    big_integer(name).primary_key().take()
}

/// When something was so.
pub fn time(name: &'static str) -> ColumnDef {
    timestamp_with_time_zone(name)
}

/// When something was so, if it was.
pub fn time_null(name: &'static str) -> ColumnDef {
    timestamp_with_time_zone_null(name)
}
