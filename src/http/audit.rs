//! The audit log: who changed what in the administration, and who signed in.
//!
//! A handler notes its change in the transaction that makes it, with the row before and after; what differs is found here,
//! and what is secret is blanked here, so that no handler can leak one.
use super::auth::Administrator;
use super::error::ApiResult;
use super::render::BLANK;
use actix_web::{HttpResponse, web};
use actors::catalog::User;
use actors::system::Handles;
use actors::wire::epoch;
use entity::{audit_log, user};
use sea_orm::{ActiveValue, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::IntoParams;

/// Who does something, in which account and from where.
#[derive(Clone, Debug)]
pub struct Author {
    /// The account it happens in.
    pub account_id: i64,
    /// The user; none for a machine.
    pub user_id: Option<i64>,
    /// The user's e-mail address now.
    pub username: Option<String>,
    /// Where the request came from.
    pub remote_address: Option<String>,
}

impl Author {
    /// A machine, such as a platform app.
    pub fn machine(account_id: i64, remote_address: Option<String>) -> Self {
        Author { account_id, user_id: None, username: None, remote_address }
    }

    /// A user.
    pub fn user(account_id: i64, user: &User, remote_address: Option<String>) -> Self {
        Author { account_id, user_id: Some(user.row.id), username: Some(user.row.email.clone()), remote_address }
    }
}

/// What it was done to: the contract's class name, and the id.
pub type Subject = (&'static str, i64);

/// What the log says of a user's row.
pub fn user(row: &user::Model) -> Value {
    json!({
        "name": row.name,
        "display_name": row.display_name,
        "email": row.email,
        "password": row.password_hash,
        "custom_attributes": row.custom_attributes,
    })
}

/// Something new.
///
/// # Errors
/// If the database fails.
pub async fn created(db: &impl ConnectionTrait, author: &Author, subject: Subject, row: &impl Serialize) -> Result<(), DbErr> {
    insert(db, author, subject, "create", blanked(fields(row))).await
}

/// Something that became another; nothing is noted where nothing differs.
///
/// # Errors
/// If the database fails.
pub async fn updated<M: Serialize>(
    db: &impl ConnectionTrait,
    author: &Author,
    subject: Subject,
    before: &M,
    after: &M,
) -> Result<(), DbErr> {
    match difference(fields(before), fields(after)) {
        same if same.is_empty() => Ok(()),
        changes => insert(db, author, subject, "update", changes).await,
    }
}

/// Something that is gone.
///
/// # Errors
/// If the database fails.
pub async fn destroyed(db: &impl ConnectionTrait, author: &Author, subject: Subject, row: &impl Serialize) -> Result<(), DbErr> {
    insert(db, author, subject, "destroy", blanked(fields(row))).await
}

/// A user signed in or out (`sign_in`, `sign_out`): noted in each account of the user.
///
/// # Errors
/// If the database fails.
pub async fn signed(db: &impl ConnectionTrait, user: &User, action: &'static str, remote_address: Option<String>) -> Result<(), DbErr> {
    for place in &user.places {
        let author = Author::user(place.account_id, user, remote_address.clone());
        insert(db, &author, ("User", user.row.id), action, Map::new()).await?;
    }
    Ok(())
}

/// Something of a user itself changed: noted in each account of the user.
///
/// # Errors
/// If the database fails.
pub async fn user_updated(
    db: &impl ConnectionTrait,
    user: &User,
    remote_address: Option<String>,
    before: &Value,
    after: &Value,
) -> Result<(), DbErr> {
    for place in &user.places {
        updated(db, &Author::user(place.account_id, user, remote_address.clone()), ("User", user.row.id), before, after).await?;
    }
    Ok(())
}

async fn insert(
    db: &impl ConnectionTrait,
    author: &Author,
    (auditable_type, auditable_id): Subject,
    action: &str,
    changes: Map<String, Value>,
) -> Result<(), DbErr> {
    audit_log::Entity::insert(row(author, (auditable_type, auditable_id), action, changes)).exec_without_returning(db).await.map(|_| ())
}

/// What the log says of somebody who goes, to be written by whoever removes him. What was known of him is not kept: it may be
/// for its sake that he goes.
pub fn departure(author: &Author, subject: Subject) -> audit_log::ActiveModel {
    row(author, subject, "destroy", Map::new())
}

fn row(author: &Author, (auditable_type, auditable_id): Subject, action: &str, changes: Map<String, Value>) -> audit_log::ActiveModel {
    audit_log::ActiveModel {
        id: ActiveValue::NotSet,
        account_id: ActiveValue::Set(author.account_id),
        auditable_type: ActiveValue::Set(auditable_type.to_owned()),
        auditable_id: ActiveValue::Set(auditable_id),
        user_id: ActiveValue::Set(author.user_id),
        username: ActiveValue::Set(author.username.clone()),
        action: ActiveValue::Set(action.to_owned()),
        audited_changes: ActiveValue::Set(Value::Object(changes)),
        remote_address: ActiveValue::Set(author.remote_address.clone()),
        created_at: ActiveValue::Set(entity::now()),
    }
}

/// Columns that say nothing of what was done.
const BOOKKEEPING: &[&str] = &["id", "created_at", "updated_at", "last_display_id"];

fn fields(row: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(row) {
        Ok(Value::Object(mut fields)) => {
            fields.retain(|name, _| !BOOKKEEPING.contains(&name.as_str()));
            fields
        }
        _ => Map::new(),
    }
}

/// Whether a field of this name holds what only its owner may know.
fn is_secret(name: &str) -> bool {
    const WORDS: &[&str] = &["password", "secret", "token", "sealed", "hmac", "credentials"];
    name.split('_').any(|word| WORDS.contains(&word)) || name.ends_with("api_key") || name.ends_with("private_key")
}

fn blanked(fields: Map<String, Value>) -> Map<String, Value> {
    fields.into_iter().map(|(name, value)| (name.clone(), blank(&name, value))).collect()
}

fn blank(name: &str, value: Value) -> Value {
    match value {
        Value::Null | Value::Bool(_) => value,
        _ if is_secret(name) => BLANK.into(),
        Value::Object(inner) => Value::Object(blanked(inner)),
        Value::Array(items) => items.into_iter().map(|item| blank(name, item)).collect(),
        other => other,
    }
}

/// Field → [before, after] of what differs.
fn difference(before: Map<String, Value>, after: Map<String, Value>) -> Map<String, Value> {
    let mut changes = Map::new();
    for (name, new) in after {
        let old = before.get(&name).cloned().unwrap_or_default();
        if old != new {
            let pair = json!([blank(&name, old), blank(&name, new)]);
            changes.insert(name, pair);
        }
    }
    changes
}

/// Which page is asked for.
#[derive(Deserialize, IntoParams)]
pub struct AuditQuery {
    /// From 1.
    page: Option<u64>,
}

const PER_PAGE: u64 = 25;

/// What was changed, newest first.
#[utoipa::path(get, path = "", tag = "Audit", params(AuditQuery), responses((status = 200, description = "audit_logs, per_page, total_entries, current_page")))]
pub async fn list(handles: web::Data<Handles>, administrator: Administrator, query: web::Query<AuditQuery>) -> ApiResult<HttpResponse> {
    let page = query.page.unwrap_or(1).max(1);
    let of_account =
        audit_log::Entity::find().filter(audit_log::Column::AccountId.eq(administrator.0.account.id)).order_by_desc(audit_log::Column::Id);
    let pages = of_account.paginate(&handles.db.read, PER_PAGE);
    let total = pages.num_items().await?;
    let rows = pages.fetch_page(page.min(u64::from(u32::MAX)) - 1).await?;
    Ok(HttpResponse::Ok().json(json!({
        "per_page": PER_PAGE,
        "total_entries": total,
        "current_page": page,
        "audit_logs": rows.into_iter().map(render).collect::<Vec<_>>(),
    })))
}

fn render(row: audit_log::Model) -> Value {
    json!({
        "id": row.id,
        "auditable_id": row.auditable_id,
        "auditable_type": row.auditable_type,
        "auditable": null,
        "associated_id": row.account_id,
        "associated_type": "Account",
        "user_id": row.user_id,
        "user_type": row.user_id.map(|_| "User"),
        "username": row.username,
        "action": row.action,
        "audited_changes": row.audited_changes,
        "version": 1,
        "comment": null,
        "request_uuid": null,
        "created_at": epoch(row.created_at),
        "remote_address": row.remote_address,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_difference_names_what_changed_and_blanks_secrets_at_any_depth() {
        let object = |value: Value| value.as_object().cloned().unwrap();
        let before = fields(
            &json!({ "id": 1, "name": "a", "kept": 1, "secret_sealed": "x", "channel_settings": { "smtp_password": "p", "smtp_port": 1 } }),
        );
        let after = fields(
            &json!({ "id": 1, "name": "b", "kept": 1, "secret_sealed": "y", "channel_settings": { "smtp_password": "q", "smtp_port": 2 } }),
        );
        let expected = json!({
            "name": ["a", "b"],
            "secret_sealed": [BLANK, BLANK],
            "channel_settings": [{ "smtp_password": BLANK, "smtp_port": 1 }, { "smtp_password": BLANK, "smtp_port": 2 }],
        });
        assert_eq!(difference(before, after), object(expected));
        let new = blanked(object(json!({ "bot_token": "t", "hmac_mandatory": true, "list": [{ "api_key": "k" }], "password": null })));
        assert_eq!(new, object(json!({ "bot_token": BLANK, "hmac_mandatory": true, "list": [{ "api_key": BLANK }], "password": null })));
    }
}
