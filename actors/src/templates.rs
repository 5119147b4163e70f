//! The templates that a provider has approved: fetched from it and kept, so that the dashboard can offer them at once.
use crate::channel::{Channel, ChannelError};
use crate::db::Db;
use entity::message_template;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue, DbErr, EntityTrait};
use serde_json::Value;

/// Makes the stored templates of an inbox those of its provider; true if they were others before, and the catalog is to be
/// renewed. Where the channel has no templates, there is nothing to do.
///
/// # Errors
/// What the provider says, or that the database failed.
pub async fn synchronize(channel: &dyn Channel, db: &Db, inbox_id: i64) -> Result<bool, ChannelError> {
    let Some(templates) = channel.templates() else { return Ok(false) };
    let listed = Value::Array(templates.list().await?);
    let failed = |error: DbErr| ChannelError::temporary(format!("storing templates: {error}"));
    let stored = message_template::Entity::find_by_id(inbox_id).one(&db.read).await.map_err(failed)?;
    // None stored is as good as an empty list.
    if stored.map_or_else(|| Value::Array(Vec::new()), |stored| stored.templates) == listed {
        return Ok(false);
    }
    let row = message_template::ActiveModel {
        inbox_id: ActiveValue::Set(inbox_id),
        templates: ActiveValue::Set(listed),
        synchronized_at: ActiveValue::Set(entity::now()),
    };
    let replace = OnConflict::column(message_template::Column::InboxId)
        .update_columns([message_template::Column::Templates, message_template::Column::SynchronizedAt])
        .to_owned();
    message_template::Entity::insert(row).on_conflict(replace).exec_without_returning(&db.write).await.map_err(failed)?;
    Ok(true)
}
