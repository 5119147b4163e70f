//! Compiles filters for an account: reads its custom attributes and asks `reads::filter`.
use super::error::{ApiError, ApiResult};
use crate::reads::filter::{Compiler, Custom, Table};
use actors::system::Handles;
use entity::custom_attribute_definition::{Column, Entity};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter};
use serde_json::Value;

/// The condition that filters stand for.
///
/// # Errors
/// 422 for an unknown key, operator or value.
pub async fn compile(handles: &Handles, account_id: i64, table: Table, payload: &Value) -> ApiResult<Condition> {
    let defined = Entity::find().filter(Column::AccountId.eq(account_id)).all(&handles.db.read).await?.into_iter();
    let custom = defined.map(|row| Custom { key: row.attribute_key, display_type: row.attribute_display_type, model: row.attribute_model });
    let custom: Vec<Custom> = custom.collect();
    let backend = handles.db.read.get_database_backend();
    let compiler = Compiler { backend, account_id, table, custom: &custom, today: entity::now().date_naive() };
    compiler.compile(payload).map_err(|refused| ApiError::unprocessable(refused.to_string()))
}
