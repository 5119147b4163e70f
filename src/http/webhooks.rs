//! Webhooks of an account, what was delivered to them, and trying again.
use super::auth::Administrator;
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::{audit, fields, render};
use actix_web::{HttpResponse, web};
use actors::catalog::Webhook;
use actors::secret::random_token;
use actors::system::Handles;
use actors::wire::{WEBHOOK_EVENTS, iso, iso_or_null};
use entity::delivery::{DeliveryStatus, EndpointKind};
use entity::{delivery, delivery_attempt, event, webhook};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, TransactionTrait,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// A webhook as it is created or changed.
#[derive(Deserialize, ToSchema)]
pub struct WebhookFields {
    #[serde(default, deserialize_with = "fields::text")]
    url: Option<String>,
    #[serde(default, deserialize_with = "fields::nullable_text")]
    #[schema(value_type = Option<String>)]
    name: Option<Option<String>>,
    subscriptions: Option<Vec<String>>,
    #[serde(default, deserialize_with = "fields::nullable_id")]
    #[schema(value_type = Option<i64>)]
    inbox_id: Option<Option<i64>>,
}

impl Request for WebhookFields {
    const ENVELOPE: Option<&'static str> = Some("webhook");
}

/// All webhooks of the account.
#[utoipa::path(get, path = "", tag = "Webhooks", responses((status = 200, description = "payload: webhooks")))]
pub async fn list(handles: web::Data<Handles>, administrator: Administrator) -> HttpResponse {
    let catalog = handles.catalog.now();
    let webhooks = catalog.webhooks_of(administrator.0.account.id);
    let shown: Vec<Value> = webhooks.into_iter().map(|webhook| render::webhook(&handles, webhook)).collect();
    HttpResponse::Ok().json(json!({ "payload": { "webhooks": shown } }))
}

/// Subscribes an endpoint.
#[utoipa::path(post, path = "", tag = "Webhooks", request_body = WebhookFields, responses((status = 200, description = "payload: the webhook with its key"), (status = 422, description = "a field is wrong")))]
pub async fn create(handles: web::Data<Handles>, administrator: Administrator, body: Body<WebhookFields>) -> ApiResult<HttpResponse> {
    let fields = body.value;
    let account_id = administrator.0.account.id;
    let url = checked_url(&handles, account_id, fields.url.as_deref().unwrap_or_default(), None).await?;
    let subscriptions = checked_subscriptions(fields.subscriptions.unwrap_or_else(|| {
        // Without a choice, what becomes of contacts, conversations and messages.
        WEBHOOK_EVENTS.iter().take(7).map(|name| (*name).to_owned()).collect()
    }))?;
    let now = entity::now();
    let row = webhook::ActiveModel {
        id: ActiveValue::NotSet,
        account_id: ActiveValue::Set(account_id),
        inbox_id: ActiveValue::Set(checked_inbox(&administrator, fields.inbox_id.flatten())?),
        name: ActiveValue::Set(fields.name.flatten()),
        url: ActiveValue::Set(url),
        subscriptions: ActiveValue::Set(json!(subscriptions)),
        secret_sealed: ActiveValue::Set(handles.vault.seal("webhooks.secret", &random_token())),
        created_at: ActiveValue::Set(now),
        updated_at: ActiveValue::Set(now),
    };
    let transaction = handles.db.write.begin().await?;
    let stored = row.insert(&transaction).await?;
    audit::created(&transaction, &administrator.0.author(), ("Webhook", stored.id), &stored).await?;
    transaction.commit().await?;
    answer(&handles, stored.id).await
}

/// Changes a webhook.
#[utoipa::path(patch, path = "", tag = "Webhooks", request_body = WebhookFields, responses((status = 200, description = "payload: the webhook"), (status = 422, description = "a field is wrong")))]
pub async fn update(
    handles: web::Data<Handles>,
    administrator: Administrator,
    path: web::Path<(i64, i64)>,
    body: Body<WebhookFields>,
) -> ApiResult<HttpResponse> {
    let webhook = of_account(&handles, &administrator, path.1)?;
    let fields = body.value;
    let mut row = webhook.row.clone().into_active_model();
    if let Some(url) = fields.url {
        row.url = ActiveValue::Set(checked_url(&handles, webhook.row.account_id, &url, Some(webhook.row.id)).await?);
    }
    if let Some(name) = fields.name {
        row.name = ActiveValue::Set(name);
    }
    if let Some(subscriptions) = fields.subscriptions {
        row.subscriptions = ActiveValue::Set(json!(checked_subscriptions(subscriptions)?));
    }
    if let Some(inbox_id) = fields.inbox_id {
        row.inbox_id = ActiveValue::Set(checked_inbox(&administrator, inbox_id)?);
    }
    row.updated_at = ActiveValue::Set(entity::now());
    let transaction = handles.db.write.begin().await?;
    let after = row.update(&transaction).await?;
    audit::updated(&transaction, &administrator.0.author(), ("Webhook", after.id), &webhook.row, &after).await?;
    transaction.commit().await?;
    answer(&handles, after.id).await
}

/// Removes a webhook; what still waits for it fails.
#[utoipa::path(delete, path = "", tag = "Webhooks", responses((status = 200, description = "removed"), (status = 404, description = "no such webhook")))]
pub async fn remove(handles: web::Data<Handles>, administrator: Administrator, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let webhook = of_account(&handles, &administrator, path.1)?;
    let transaction = handles.db.write.begin().await?;
    webhook::Entity::delete_by_id(webhook.row.id).exec(&transaction).await?;
    audit::destroyed(&transaction, &administrator.0.author(), ("Webhook", webhook.row.id), &webhook.row).await?;
    transaction.commit().await?;
    handles.catalog.reload().await?;
    handles.webhooks.ring((EndpointKind::Webhook, webhook.row.id));
    Ok(HttpResponse::Ok().finish())
}

/// Which deliveries are listed.
#[derive(Deserialize, IntoParams)]
pub struct DeliveriesQuery {
    /// Only with smaller ids.
    before: Option<i64>,
    /// `queued`, `delivered` or `failed`.
    status: Option<String>,
}

/// What was, is and will be delivered to a webhook, newest first, 25 at a time, each with its tries.
#[utoipa::path(get, path = "", tag = "Webhooks", params(DeliveriesQuery), responses((status = 200, description = "payload: deliveries")))]
pub async fn deliveries(
    handles: web::Data<Handles>,
    administrator: Administrator,
    path: web::Path<(i64, i64)>,
    query: web::Query<DeliveriesQuery>,
) -> ApiResult<HttpResponse> {
    let webhook = of_account(&handles, &administrator, path.1)?;
    list_deliveries(&handles, EndpointKind::Webhook, webhook.row.id, &query).await
}

/// The same of an inbox's own webhook.
#[utoipa::path(get, path = "", tag = "Webhooks", params(DeliveriesQuery), responses((status = 200, description = "payload: deliveries")))]
pub async fn inbox_deliveries(
    handles: web::Data<Handles>,
    administrator: Administrator,
    path: web::Path<(i64, i64)>,
    query: web::Query<DeliveriesQuery>,
) -> ApiResult<HttpResponse> {
    let inbox = administrator.0.visible_inbox(path.1)?;
    list_deliveries(&handles, EndpointKind::Inbox, inbox.row.id, &query).await
}

async fn list_deliveries(handles: &Handles, kind: EndpointKind, endpoint_id: i64, query: &DeliveriesQuery) -> ApiResult<HttpResponse> {
    let db = &handles.db.read;
    let mut found =
        delivery::Entity::find().filter(delivery::Column::Endpoint.eq(kind)).filter(delivery::Column::EndpointId.eq(endpoint_id));
    if let Some(before) = query.before {
        found = found.filter(delivery::Column::Id.lt(before));
    }
    if let Some(status) = &query.status {
        let statuses = [DeliveryStatus::Queued, DeliveryStatus::Delivered, DeliveryStatus::Failed];
        let status = statuses.into_iter().find(|known| known.name() == status);
        let status = status.ok_or_else(|| ApiError::invalid("status", "status is none of queued, delivered, failed"))?;
        found = found.filter(delivery::Column::Status.eq(status));
    }
    let rows = found.order_by_desc(delivery::Column::Id).limit(25).all(db).await?;
    let kinds: Vec<(i64, String)> = event::Entity::find()
        .select_only()
        .columns([event::Column::Id, event::Column::Kind])
        .filter(event::Column::Id.is_in(rows.iter().map(|row| row.event_id)))
        .into_tuple()
        .all(db)
        .await?;
    let kinds: HashMap<i64, String> = kinds.into_iter().collect();
    let mut attempts: HashMap<i64, Vec<Value>> = HashMap::new();
    let tried = delivery_attempt::Entity::find()
        .filter(delivery_attempt::Column::DeliveryId.is_in(rows.iter().map(|row| row.id)))
        .order_by_asc(delivery_attempt::Column::Id);
    for attempt in tried.all(db).await? {
        attempts.entry(attempt.delivery_id).or_default().push(json!({
            "attempted_at": iso(attempt.attempted_at),
            "duration_ms": attempt.duration_ms,
            "status_code": attempt.status_code,
            "error": attempt.error,
        }));
    }
    let payload = rows.into_iter().map(|row| {
        json!({
            "id": row.id,
            "uuid": row.uuid,
            "event": kinds.get(&row.event_id).map(|kind| kind.replace('.', "_")),
            "status": row.status.name(),
            "failures": row.failures,
            "due_at": (row.status == DeliveryStatus::Queued).then(|| iso(row.due_at)),
            "created_at": iso(row.created_at),
            "finished_at": iso_or_null(row.finished_at),
            "attempts": attempts.remove(&row.id).unwrap_or_default(),
        })
    });
    Ok(HttpResponse::Ok().json(json!({ "payload": payload.collect::<Vec<_>>() })))
}

/// Delivers an event once more, under the same id, whatever came of it before.
#[utoipa::path(post, path = "", tag = "Webhooks", responses((status = 200, description = "queued"), (status = 404, description = "no such delivery")))]
pub async fn retry(handles: web::Data<Handles>, administrator: Administrator, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let found = delivery::Entity::find_by_id(path.1).filter(delivery::Column::AccountId.eq(administrator.0.account.id));
    let row = found.one(&handles.db.read).await?.ok_or_else(ApiError::not_found)?;
    let now = entity::now();
    let transaction = handles.db.write.begin().await?;
    delivery::Entity::update_many()
        .col_expr(delivery::Column::Status, Expr::value(DeliveryStatus::Queued))
        .col_expr(delivery::Column::DueAt, Expr::value(now))
        // From now on it is tried for days again.
        .col_expr(delivery::Column::CreatedAt, Expr::value(now))
        .col_expr(delivery::Column::Failures, Expr::value(0))
        .col_expr(delivery::Column::FinishedAt, Expr::value(None::<chrono::DateTime<chrono::Utc>>))
        .filter(delivery::Column::Id.eq(row.id))
        .exec(&transaction)
        .await?;
    let (before, after) = (json!({ "retried_at": null }), json!({ "retried_at": iso(now) }));
    audit::updated(&transaction, &administrator.0.author(), ("Delivery", row.id), &before, &after).await?;
    transaction.commit().await?;
    handles.webhooks.ring((row.endpoint, row.endpoint_id));
    Ok(HttpResponse::Ok().json(json!({ "id": row.id, "uuid": row.uuid, "status": "queued" })))
}

async fn checked_url(handles: &Handles, account_id: i64, url: &str, own_id: Option<i64>) -> ApiResult<String> {
    if url.is_empty() {
        return Err(ApiError::invalid("url", "Url can't be blank"));
    }
    if url.chars().count() > 2048 {
        return Err(ApiError::invalid("url", "url is longer than 2048 characters"));
    }
    handles.egress.check(url).await.map_err(|refusal| ApiError::invalid("url", format!("url: {refusal}")))?;
    let catalog = handles.catalog.now();
    let is_taken = catalog.webhooks_of(account_id).into_iter().any(|other| other.row.url == url && Some(other.row.id) != own_id);
    if is_taken { Err(ApiError::invalid("url", "Url has already been taken")) } else { Ok(url.to_owned()) }
}

fn checked_subscriptions(subscriptions: Vec<String>) -> ApiResult<Vec<String>> {
    if subscriptions.is_empty() {
        return Err(ApiError::invalid("subscriptions", "Subscriptions can't be blank"));
    }
    match subscriptions.iter().find(|name| !WEBHOOK_EVENTS.contains(&name.as_str())) {
        Some(unknown) => {
            Err(ApiError::invalid("subscriptions", format!("subscriptions: \"{unknown}\" is none of {}", WEBHOOK_EVENTS.join(", "))))
        }
        None => Ok(subscriptions),
    }
}

fn checked_inbox(administrator: &Administrator, inbox_id: Option<i64>) -> ApiResult<Option<i64>> {
    match inbox_id {
        Some(id) => administrator.0.visible_inbox(id).map(|inbox| Some(inbox.row.id)),
        None => Ok(None),
    }
}

fn of_account(handles: &Handles, administrator: &Administrator, id: i64) -> ApiResult<Arc<Webhook>> {
    let catalog = handles.catalog.now();
    let webhook = catalog.webhook(id).filter(|webhook| webhook.row.account_id == administrator.0.account.id);
    webhook.cloned().ok_or_else(ApiError::not_found)
}

async fn answer(handles: &Handles, id: i64) -> ApiResult<HttpResponse> {
    handles.catalog.reload().await?;
    let webhook = handles.catalog.now().webhook(id).cloned().ok_or_else(ApiError::not_found)?;
    Ok(HttpResponse::Ok().json(json!({ "payload": { "webhook": render::webhook(handles, &webhook) } })))
}
