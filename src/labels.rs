//! Renames and removes a label on everything that has it, in a few statements whatever their number.
//!
//! Conversation actors keep rows, so whoever calls this has them forget afterwards (`conversation::Forget`); what an actor
//! commits meanwhile does not bring the old title back, since it writes labels only where it changes them.
use entity::{contact_label, conversation_label};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait, QueryFilter, Statement};

/// Gives the label another title, or takes it off.
///
/// # Errors
/// If the database fails.
pub async fn relabel(db: &DatabaseTransaction, account_id: i64, title: &str, renamed: Option<&str>) -> Result<(), DbErr> {
    let marked = "id IN (SELECT conversation_id FROM conversation_labels WHERE account_id = $1 AND title = $2)";
    // One that has the new title already only loses the old one.
    let labels = match (db.get_database_backend(), renamed) {
        (DbBackend::Postgres, Some(_)) => {
            "(SELECT COALESCE(jsonb_agg(CASE WHEN label = $2 THEN $3 ELSE label END ORDER BY place), '[]'::jsonb) \
             FROM jsonb_array_elements_text(labels) WITH ORDINALITY AS entries(label, place) \
             WHERE NOT (label = $2 AND labels @> jsonb_build_array($3::text)))"
        }
        (DbBackend::Postgres, None) => {
            "(SELECT COALESCE(jsonb_agg(label ORDER BY place), '[]'::jsonb) \
             FROM jsonb_array_elements_text(labels) WITH ORDINALITY AS entries(label, place) WHERE label <> $2)"
        }
        (_, Some(_)) => {
            "(SELECT json_group_array(CASE WHEN entry.value = $2 THEN $3 ELSE entry.value END) \
             FROM json_each(conversations.labels) AS entry WHERE NOT (entry.value = $2 \
             AND EXISTS (SELECT 1 FROM json_each(conversations.labels) AS other WHERE other.value = $3)))"
        }
        (_, None) => "(SELECT json_group_array(entry.value) FROM json_each(conversations.labels) AS entry WHERE entry.value <> $2)",
    };
    let mut values: Vec<sea_orm::Value> = vec![account_id.into(), title.into()];
    values.extend(renamed.map(Into::into));
    let sql = format!("UPDATE conversations SET labels = {labels} WHERE {marked}");
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    let of_conversations =
        Condition::all().add(conversation_label::Column::AccountId.eq(account_id)).add(conversation_label::Column::Title.eq(title));
    let of_contacts = Condition::all().add(contact_label::Column::AccountId.eq(account_id)).add(contact_label::Column::Title.eq(title));
    match renamed {
        Some(new) => {
            // Titles that nobody offers may be set as well: where both are, one goes.
            for (table, owner) in [("conversation_labels", "conversation_id"), ("contact_labels", "contact_id")] {
                let sql = format!(
                    "DELETE FROM {table} WHERE account_id = $1 AND title = $2 \
                     AND {owner} IN (SELECT {owner} FROM {table} WHERE account_id = $1 AND title = $3)"
                );
                let values: Vec<sea_orm::Value> = vec![account_id.into(), title.into(), new.into()];
                db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
            }
            let by_title = conversation_label::Entity::update_many().col_expr(conversation_label::Column::Title, Expr::value(new));
            by_title.filter(of_conversations).exec(db).await?;
            let by_title = contact_label::Entity::update_many().col_expr(contact_label::Column::Title, Expr::value(new));
            by_title.filter(of_contacts).exec(db).await?;
        }
        None => {
            conversation_label::Entity::delete_many().filter(of_conversations).exec(db).await?;
            contact_label::Entity::delete_many().filter(of_contacts).exec(db).await?;
        }
    }
    Ok(())
}
