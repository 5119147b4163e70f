//! `id_marks`: the last ids that were given when rows were removed, so that none is given to somebody else.
use sea_orm::entity::prelude::*;

/// One table whose ids the writer gives.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "id_marks")]
pub struct Model {
    /// The table.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    pub last_id: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
