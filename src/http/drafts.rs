//! What the caller has begun to write in a conversation.
use super::auth::Agent;
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::fields;
use super::scope::find;
use actix_web::{HttpResponse, web};
use actors::conversation::rules::CONTENT_LIMIT;
use actors::system::Handles;
use entity::draft;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue, ColumnTrait, EntityTrait, QueryFilter};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

/// A draft.
#[derive(Deserialize, ToSchema)]
pub struct DraftFields {
    #[serde(default, deserialize_with = "fields::text")]
    message: Option<String>,
}

impl Request for DraftFields {
    const ENVELOPE: Option<&'static str> = Some("draft_message");
}

/// The caller's draft.
#[utoipa::path(get, path = "", tag = "Conversations", responses((status = 200, description = "has_draft, message")))]
pub async fn show(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let id = find(&handles, &agent, path.1).await?.address.conversation_id;
    let found = draft::Entity::find()
        .filter(draft::Column::ConversationId.eq(id))
        .filter(draft::Column::UserId.eq(agent.user.row.id))
        .one(&handles.db.read)
        .await?;
    Ok(answer(found.map(|draft| draft.message)))
}

/// Keeps the caller's draft; an empty one is none.
#[utoipa::path(patch, path = "", tag = "Conversations", request_body = DraftFields, responses((status = 200, description = "has_draft, message"), (status = 422, description = "too long")))]
pub async fn update(
    handles: web::Data<Handles>,
    agent: Agent,
    path: web::Path<(i64, i64)>,
    body: Body<DraftFields>,
) -> ApiResult<HttpResponse> {
    let message = body.value.message.unwrap_or_default();
    if message.chars().count() > CONTENT_LIMIT {
        return Err(ApiError::invalid("message", format!("message is too long (maximum is {CONTENT_LIMIT} characters)")));
    }
    if message.is_empty() {
        return remove(handles, agent, path).await;
    }
    let row = draft::ActiveModel {
        id: ActiveValue::NotSet,
        conversation_id: ActiveValue::Set(find(&handles, &agent, path.1).await?.address.conversation_id),
        user_id: ActiveValue::Set(agent.user.row.id),
        message: ActiveValue::Set(message.clone()),
        updated_at: ActiveValue::Set(entity::now()),
    };
    let mut conflict = OnConflict::columns([draft::Column::ConversationId, draft::Column::UserId]);
    conflict.update_columns([draft::Column::Message, draft::Column::UpdatedAt]);
    draft::Entity::insert(row).on_conflict(conflict).exec_without_returning(&handles.db.write).await?;
    Ok(answer(Some(message)))
}

/// Forgets the caller's draft.
#[utoipa::path(delete, path = "", tag = "Conversations", responses((status = 200, description = "has_draft")))]
pub async fn remove(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let id = find(&handles, &agent, path.1).await?.address.conversation_id;
    draft::Entity::delete_many()
        .filter(draft::Column::ConversationId.eq(id))
        .filter(draft::Column::UserId.eq(agent.user.row.id))
        .exec(&handles.db.write)
        .await?;
    Ok(answer(None))
}

fn answer(message: Option<String>) -> HttpResponse {
    HttpResponse::Ok().json(match message {
        Some(message) => json!({ "has_draft": true, "message": message }),
        None => json!({ "has_draft": false }),
    })
}
