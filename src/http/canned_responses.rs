//! Canned responses: texts that agents insert by a short code.
use super::auth::Agent;
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::{audit, fields};
use actix_web::{HttpResponse, web};
use actors::system::Handles;
use actors::wire::iso;
use entity::canned_response;
use sea_orm::{ActiveModelTrait, ActiveValue, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, TransactionTrait};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

/// A canned response as it is created or changed.
#[derive(Deserialize, ToSchema)]
pub struct CannedResponseFields {
    #[serde(default, deserialize_with = "fields::text")]
    short_code: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    content: Option<String>,
}

impl Request for CannedResponseFields {
    const ENVELOPE: Option<&'static str> = Some("canned_response");
}

/// The longest text: that of a message (contract, section 0, Limits).
const CONTENT_LIMIT: usize = 150_000;

/// Which are listed.
#[derive(Deserialize, IntoParams)]
pub struct SearchQuery {
    /// A part of code or content, in any case.
    search: Option<String>,
}

/// The canned responses of the account; those whose code begins with what is searched come first.
#[utoipa::path(get, path = "", tag = "Canned responses", params(SearchQuery), responses((status = 200, description = "an array of canned responses")))]
pub async fn list(handles: web::Data<Handles>, agent: Agent, query: web::Query<SearchQuery>) -> ApiResult<HttpResponse> {
    let rows = canned_response::Entity::find()
        .filter(canned_response::Column::AccountId.eq(agent.account.id))
        .order_by_asc(canned_response::Column::ShortCode)
        .all(&handles.db.read)
        .await?;
    // Compared here: the databases differ in how they fold the case of letters beyond ASCII.
    let searched = query.search.as_deref().unwrap_or_default().trim().to_lowercase();
    let mut found: Vec<(u8, canned_response::Model)> =
        rows.into_iter().filter_map(|row| rank(&row, &searched).map(|rank| (rank, row))).collect();
    found.sort_by_key(|(rank, _)| *rank);
    Ok(HttpResponse::Ok().json(found.iter().map(|(_, row)| render(row)).collect::<Vec<_>>()))
}

/// Creates a canned response.
#[utoipa::path(post, path = "", tag = "Canned responses", request_body = CannedResponseFields, responses((status = 200, description = "the canned response"), (status = 422, description = "a field is wrong")))]
pub async fn create(handles: web::Data<Handles>, agent: Agent, body: Body<CannedResponseFields>) -> ApiResult<HttpResponse> {
    let (fields, now) = (body.value, entity::now());
    let row = canned_response::ActiveModel {
        id: ActiveValue::NotSet,
        account_id: ActiveValue::Set(agent.account.id),
        short_code: ActiveValue::Set(checked("short_code", fields.short_code.unwrap_or_default(), 255)?),
        content: ActiveValue::Set(checked("content", fields.content.unwrap_or_default(), CONTENT_LIMIT)?),
        created_at: ActiveValue::Set(now),
        updated_at: ActiveValue::Set(now),
    };
    let transaction = handles.db.write.begin().await?;
    let stored = row.insert(&transaction).await?;
    audit::created(&transaction, &agent.author(), ("CannedResponse", stored.id), &stored).await?;
    transaction.commit().await?;
    Ok(HttpResponse::Ok().json(render(&stored)))
}

/// Changes a canned response.
#[utoipa::path(patch, path = "", tag = "Canned responses", request_body = CannedResponseFields, responses((status = 200, description = "the canned response"), (status = 404, description = "no such canned response"), (status = 422, description = "a field is wrong")))]
pub async fn update(
    handles: web::Data<Handles>,
    agent: Agent,
    path: web::Path<(i64, i64)>,
    body: Body<CannedResponseFields>,
) -> ApiResult<HttpResponse> {
    let before = of_account(&handles, &agent, path.1).await?;
    let mut row = before.clone().into_active_model();
    if let Some(code) = body.value.short_code {
        row.short_code = ActiveValue::Set(checked("short_code", code, 255)?);
    }
    if let Some(content) = body.value.content {
        row.content = ActiveValue::Set(checked("content", content, CONTENT_LIMIT)?);
    }
    row.updated_at = ActiveValue::Set(entity::now());
    let transaction = handles.db.write.begin().await?;
    let after = row.update(&transaction).await?;
    audit::updated(&transaction, &agent.author(), ("CannedResponse", after.id), &before, &after).await?;
    transaction.commit().await?;
    Ok(HttpResponse::Ok().json(render(&after)))
}

/// Removes a canned response.
#[utoipa::path(delete, path = "", tag = "Canned responses", responses((status = 200, description = "removed"), (status = 404, description = "no such canned response")))]
pub async fn remove(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let row = of_account(&handles, &agent, path.1).await?;
    let transaction = handles.db.write.begin().await?;
    canned_response::Entity::delete_by_id(row.id).exec(&transaction).await?;
    audit::destroyed(&transaction, &agent.author(), ("CannedResponse", row.id), &row).await?;
    transaction.commit().await?;
    Ok(HttpResponse::Ok().finish())
}

/// How well a row fits what is searched; none if it does not. Smaller is better.
fn rank(row: &canned_response::Model, searched: &str) -> Option<u8> {
    let code = row.short_code.to_lowercase();
    match () {
        () if code.starts_with(searched) => Some(0),
        () if code.contains(searched) => Some(1),
        () if row.content.to_lowercase().contains(searched) => Some(2),
        () => None,
    }
}

fn checked(field: &'static str, text: String, limit: usize) -> ApiResult<String> {
    match text.trim() {
        "" => Err(ApiError::invalid(field, format!("{field} can't be blank"))),
        _ if text.chars().count() > limit => Err(ApiError::invalid(field, format!("{field} is longer than {limit} characters"))),
        trimmed if field == "short_code" => Ok(trimmed.to_owned()),
        _ => Ok(text),
    }
}

async fn of_account(handles: &Handles, agent: &Agent, id: i64) -> ApiResult<canned_response::Model> {
    let found = canned_response::Entity::find_by_id(id).filter(canned_response::Column::AccountId.eq(agent.account.id));
    found.one(&handles.db.read).await?.ok_or_else(ApiError::not_found)
}

fn render(row: &canned_response::Model) -> Value {
    json!({
        "id": row.id,
        "account_id": row.account_id,
        "short_code": row.short_code,
        "content": row.content,
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
    })
}
