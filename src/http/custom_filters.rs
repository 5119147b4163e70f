//! Filters that a user has saved. Each is checked by the compiler that will run it, and is its user's alone.
use super::auth::Agent;
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::query::Query;
use super::{audit, fields, filtering};
use crate::reads::filter::Table;
use actix_web::{HttpResponse, web};
use actors::system::Handles;
use actors::wire::iso;
use entity::custom_filter::{ActiveModel, Column, Entity, FilterType, Model};
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, EntityTrait, IntoActiveModel, ModelTrait, QueryFilter, QueryOrder, TransactionTrait,
};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

/// Which filters are listed.
#[derive(Deserialize, IntoParams)]
pub struct ListQuery {
    /// `conversation`, `contact` or `report`.
    #[serde(default, deserialize_with = "fields::text")]
    filter_type: Option<String>,
}

/// A filter as it is saved.
#[derive(Deserialize, ToSchema)]
pub struct CustomFilterFields {
    #[serde(default, deserialize_with = "fields::text")]
    name: Option<String>,
    /// `conversation`, `contact`, `report`, or 0, 1, 2.
    #[serde(default, deserialize_with = "fields::text")]
    filter_type: Option<String>,
    /// `payload`: filters as in a filtered list.
    #[schema(value_type = Option<Object>)]
    query: Option<Value>,
}

impl Request for CustomFilterFields {
    const ENVELOPE: Option<&'static str> = Some("custom_filter");
}

/// The caller's filters.
#[utoipa::path(get, path = "", tag = "Custom filters", params(ListQuery), responses((status = 200, description = "a list of filters")))]
pub async fn list(handles: web::Data<Handles>, agent: Agent, query: Query<ListQuery>) -> ApiResult<HttpResponse> {
    let mut found = Entity::find().filter(Column::AccountId.eq(agent.account.id)).filter(Column::UserId.eq(agent.user.row.id));
    if let Some(kind) = &query.0.filter_type {
        found = found.filter(Column::FilterType.eq(filter_type(kind)?));
    }
    let rows = found.order_by_asc(Column::Id).all(&handles.db.read).await?;
    Ok(HttpResponse::Ok().json(rows.iter().map(shown).collect::<Vec<_>>()))
}

/// Saves a filter.
#[utoipa::path(post, path = "", tag = "Custom filters", request_body = CustomFilterFields, responses((status = 200, description = "the filter"), (status = 422, description = "a field is wrong")))]
pub async fn create(handles: web::Data<Handles>, agent: Agent, body: Body<CustomFilterFields>) -> ApiResult<HttpResponse> {
    let fields = body.value;
    let kind = fields.filter_type.as_deref().map_or(Ok(FilterType::Conversation), filter_type)?;
    let query = fields.query.ok_or_else(|| ApiError::invalid("query", "query is missing"))?;
    check(&handles, &agent, kind, &query).await?;
    let now = entity::now();
    let row = ActiveModel {
        id: ActiveValue::NotSet,
        account_id: ActiveValue::Set(agent.account.id),
        user_id: ActiveValue::Set(agent.user.row.id),
        name: ActiveValue::Set(name(fields.name.ok_or_else(|| ApiError::invalid("name", "name is missing"))?)?),
        filter_type: ActiveValue::Set(kind),
        query: ActiveValue::Set(query),
        created_at: ActiveValue::Set(now),
        updated_at: ActiveValue::Set(now),
    };
    let transaction = handles.db.write.begin().await?;
    let stored = row.insert(&transaction).await?;
    audit::created(&transaction, &agent.author(), (AUDITED, stored.id), &stored).await?;
    transaction.commit().await?;
    Ok(HttpResponse::Ok().json(shown(&stored)))
}

/// What filters are called in the audit log.
const AUDITED: &str = "CustomFilter";

/// One filter.
#[utoipa::path(get, path = "", tag = "Custom filters", responses((status = 200, description = "the filter"), (status = 404, description = "no such filter")))]
pub async fn show(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    Ok(HttpResponse::Ok().json(shown(&find(&handles, &agent, path.1).await?)))
}

/// Changes a filter.
#[utoipa::path(patch, path = "", tag = "Custom filters", request_body = CustomFilterFields, responses((status = 200, description = "the filter"), (status = 422, description = "a field is wrong")))]
pub async fn update(
    handles: web::Data<Handles>,
    agent: Agent,
    path: web::Path<(i64, i64)>,
    body: Body<CustomFilterFields>,
) -> ApiResult<HttpResponse> {
    let before = find(&handles, &agent, path.1).await?;
    let fields = body.value;
    let kind = fields.filter_type.as_deref().map_or(Ok(before.filter_type), filter_type)?;
    let query = fields.query.unwrap_or_else(|| before.query.clone());
    check(&handles, &agent, kind, &query).await?;
    let name = fields.name.map_or_else(|| Ok(before.name.clone()), name)?;
    let mut row = before.clone().into_active_model();
    row.name = ActiveValue::Set(name);
    row.filter_type = ActiveValue::Set(kind);
    row.query = ActiveValue::Set(query);
    row.updated_at = ActiveValue::Set(entity::now());
    let transaction = handles.db.write.begin().await?;
    let after = row.update(&transaction).await?;
    audit::updated(&transaction, &agent.author(), (AUDITED, after.id), &before, &after).await?;
    transaction.commit().await?;
    Ok(HttpResponse::Ok().json(shown(&after)))
}

/// Removes a filter.
#[utoipa::path(delete, path = "", tag = "Custom filters", responses((status = 204, description = "removed"), (status = 404, description = "no such filter")))]
pub async fn remove(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let row = find(&handles, &agent, path.1).await?;
    let transaction = handles.db.write.begin().await?;
    row.clone().delete(&transaction).await?;
    audit::destroyed(&transaction, &agent.author(), (AUDITED, row.id), &row).await?;
    transaction.commit().await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn find(handles: &Handles, agent: &Agent, id: i64) -> ApiResult<Model> {
    let found = Entity::find_by_id(id).filter(Column::AccountId.eq(agent.account.id)).filter(Column::UserId.eq(agent.user.row.id));
    found.one(&handles.db.read).await?.ok_or_else(ApiError::not_found)
}

/// Whether it can be run; what reports are filtered by is theirs to know.
async fn check(handles: &Handles, agent: &Agent, kind: FilterType, query: &Value) -> ApiResult<()> {
    let table = match kind {
        FilterType::Conversation => Table::Conversations,
        FilterType::Contact => Table::Contacts,
        FilterType::Report if query.is_object() => return Ok(()),
        FilterType::Report => return Err(ApiError::invalid("query", "query must be an object")),
    };
    let payload = query.get("payload").ok_or_else(|| ApiError::invalid("query", "query must be an object with payload"))?;
    filtering::compile(handles, agent.account.id, table, payload).await.map(drop)
}

fn name(name: String) -> ApiResult<String> {
    match name.trim() {
        "" => Err(ApiError::invalid("name", "name is empty")),
        trimmed if trimmed.chars().count() > 255 => Err(ApiError::invalid("name", "name is longer than 255 characters")),
        trimmed => Ok(trimmed.to_owned()),
    }
}

fn filter_type(kind: &str) -> ApiResult<FilterType> {
    match kind {
        "conversation" | "0" => Ok(FilterType::Conversation),
        "contact" | "1" => Ok(FilterType::Contact),
        "report" | "2" => Ok(FilterType::Report),
        other => Err(ApiError::invalid("filter_type", format!("filter_type: \"{other}\" is none of conversation, contact, report"))),
    }
}

fn shown(row: &Model) -> Value {
    json!({
        "id": row.id,
        "name": row.name,
        "filter_type": row.filter_type.name(),
        "query": row.query,
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
    })
}
