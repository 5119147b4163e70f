//! Dashboard apps: pages of others that a dashboard shows beside a conversation.
use super::auth::{Administrator, Agent};
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::{audit, fields};
use actix_web::{HttpResponse, web};
use actors::system::Handles;
use actors::wire::iso;
use entity::dashboard_app;
use sea_orm::{ActiveModelTrait, ActiveValue, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, TransactionTrait};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// A dashboard app as it is created or changed.
#[derive(Deserialize, ToSchema)]
pub struct DashboardAppFields {
    #[serde(default, deserialize_with = "fields::text")]
    title: Option<String>,
    content: Option<Vec<Frame>>,
}

impl Request for DashboardAppFields {
    const ENVELOPE: Option<&'static str> = Some("dashboard_app");
}

/// A page.
#[derive(Deserialize, ToSchema)]
pub struct Frame {
    /// `frame`.
    r#type: String,
    /// An address of the web.
    url: String,
}

/// All dashboard apps of the account.
#[utoipa::path(get, path = "", tag = "Dashboard apps", responses((status = 200, description = "an array of dashboard apps")))]
pub async fn list(handles: web::Data<Handles>, agent: Agent) -> ApiResult<HttpResponse> {
    let rows = dashboard_app::Entity::find().filter(dashboard_app::Column::AccountId.eq(agent.account.id));
    let rows = rows.order_by_asc(dashboard_app::Column::Id).all(&handles.db.read).await?;
    Ok(HttpResponse::Ok().json(rows.iter().map(render).collect::<Vec<_>>()))
}

/// One dashboard app.
#[utoipa::path(get, path = "", tag = "Dashboard apps", responses((status = 200, description = "the dashboard app"), (status = 404, description = "no such dashboard app")))]
pub async fn show(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    Ok(HttpResponse::Ok().json(render(&of_account(&handles, &agent, path.1).await?)))
}

/// Adds a page.
#[utoipa::path(post, path = "", tag = "Dashboard apps", request_body = DashboardAppFields, responses((status = 200, description = "the dashboard app"), (status = 422, description = "a field is wrong")))]
pub async fn create(handles: web::Data<Handles>, administrator: Administrator, body: Body<DashboardAppFields>) -> ApiResult<HttpResponse> {
    let (agent, now) = (administrator.0, entity::now());
    let row = dashboard_app::ActiveModel {
        id: ActiveValue::NotSet,
        account_id: ActiveValue::Set(agent.account.id),
        user_id: ActiveValue::Set(Some(agent.user.row.id)),
        title: ActiveValue::Set(checked_title(&body.value.title.unwrap_or_default())?),
        content: ActiveValue::Set(checked_content(body.value.content.unwrap_or_default())?),
        created_at: ActiveValue::Set(now),
        updated_at: ActiveValue::Set(now),
    };
    let transaction = handles.db.write.begin().await?;
    let stored = row.insert(&transaction).await?;
    audit::created(&transaction, &agent.author(), ("DashboardApp", stored.id), &stored).await?;
    transaction.commit().await?;
    Ok(HttpResponse::Ok().json(render(&stored)))
}

/// Changes a dashboard app.
#[utoipa::path(patch, path = "", tag = "Dashboard apps", request_body = DashboardAppFields, responses((status = 200, description = "the dashboard app"), (status = 404, description = "no such dashboard app"), (status = 422, description = "a field is wrong")))]
pub async fn update(
    handles: web::Data<Handles>,
    administrator: Administrator,
    path: web::Path<(i64, i64)>,
    body: Body<DashboardAppFields>,
) -> ApiResult<HttpResponse> {
    let agent = administrator.0;
    let before = of_account(&handles, &agent, path.1).await?;
    let mut row = before.clone().into_active_model();
    if let Some(title) = body.value.title {
        row.title = ActiveValue::Set(checked_title(&title)?);
    }
    if let Some(content) = body.value.content {
        row.content = ActiveValue::Set(checked_content(content)?);
    }
    row.updated_at = ActiveValue::Set(entity::now());
    let transaction = handles.db.write.begin().await?;
    let after = row.update(&transaction).await?;
    audit::updated(&transaction, &agent.author(), ("DashboardApp", after.id), &before, &after).await?;
    transaction.commit().await?;
    Ok(HttpResponse::Ok().json(render(&after)))
}

/// Removes a dashboard app.
#[utoipa::path(delete, path = "", tag = "Dashboard apps", responses((status = 200, description = "removed"), (status = 404, description = "no such dashboard app")))]
pub async fn remove(handles: web::Data<Handles>, administrator: Administrator, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let agent = administrator.0;
    let row = of_account(&handles, &agent, path.1).await?;
    let transaction = handles.db.write.begin().await?;
    dashboard_app::Entity::delete_by_id(row.id).exec(&transaction).await?;
    audit::destroyed(&transaction, &agent.author(), ("DashboardApp", row.id), &row).await?;
    transaction.commit().await?;
    Ok(HttpResponse::Ok().finish())
}

fn checked_title(title: &str) -> ApiResult<String> {
    match title.trim() {
        "" => Err(ApiError::invalid("title", "Title can't be blank")),
        title => Ok(title.to_owned()),
    }
}

fn checked_content(content: Vec<Frame>) -> ApiResult<Value> {
    // A browser loads these pages: an address that runs as a script of the dashboard is none.
    let is_page = |frame: &Frame| {
        let url = frame.url.to_ascii_lowercase();
        frame.r#type == "frame" && (url.starts_with("https://") || url.starts_with("http://")) && url.chars().count() <= 2048
    };
    if content.is_empty() || !content.iter().all(is_page) {
        return Err(ApiError::invalid("content", "content: expected a list of {\"type\": \"frame\", \"url\": \"https://…\"}"));
    }
    Ok(content.into_iter().map(|frame| json!({ "type": frame.r#type, "url": frame.url })).collect())
}

async fn of_account(handles: &Handles, agent: &Agent, id: i64) -> ApiResult<dashboard_app::Model> {
    let found = dashboard_app::Entity::find_by_id(id).filter(dashboard_app::Column::AccountId.eq(agent.account.id));
    found.one(&handles.db.read).await?.ok_or_else(ApiError::not_found)
}

fn render(row: &dashboard_app::Model) -> Value {
    json!({ "id": row.id, "title": row.title, "content": row.content, "created_at": iso(row.created_at) })
}
