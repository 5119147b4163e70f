//! The labels of a conversation.
use super::body::{Body, Request};
use super::conversations::change;
use super::error::{ApiError, ApiResult};
use super::fields;
use super::labels::titles;
use super::scope::find;
use super::worker::Worker;
use actix_web::{HttpResponse, web};
use actors::conversation::rules::{Change, LabelEdit, labels_of};
use actors::system::Handles;
use entity::conversation;
use sea_orm::EntityTrait;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

/// A set of labels.
#[derive(Deserialize, ToSchema)]
pub struct ConversationLabels {
    #[serde(deserialize_with = "fields::texts")]
    labels: Vec<String>,
}

impl Request for ConversationLabels {}

/// The labels that it has.
#[utoipa::path(get, path = "", tag = "Conversations", responses((status = 200, description = "payload: titles")))]
pub async fn list(handles: web::Data<Handles>, worker: Worker, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let id = find(&handles, &worker, path.1).await?.address.conversation_id;
    let row = conversation::Entity::find_by_id(id).one(&handles.db.read).await?.ok_or_else(ApiError::not_found)?;
    Ok(HttpResponse::Ok().json(json!({ "payload": row.labels })))
}

/// Replaces the labels.
#[utoipa::path(post, path = "", tag = "Conversations", request_body = ConversationLabels, responses((status = 200, description = "payload: titles"), (status = 422, description = "a title is wrong")))]
pub async fn replace(
    handles: web::Data<Handles>,
    worker: Worker,
    path: web::Path<(i64, i64)>,
    body: Body<ConversationLabels>,
) -> ApiResult<HttpResponse> {
    let titles = titles(&body.value.labels)?;
    let recorded = change(&handles, &worker, path.1, Change::Labels(LabelEdit::Replace(titles))).await?;
    let conversation = recorded.conversation.ok_or_else(ApiError::not_found)?;
    Ok(HttpResponse::Ok().json(json!({ "payload": labels_of(&conversation) })))
}
