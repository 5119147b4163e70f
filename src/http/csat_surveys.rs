//! The survey of a conversation, for whoever has its link: the page that is linked where the contact cannot answer in the channel
//! itself (contract, section 5).
use super::ask::tell;
use super::body::{Body, Request};
use super::client_messages::submitted;
use super::error::{ApiError, ApiResult};
use actix_web::{HttpResponse, web};
use actors::conversation::rules::{SURVEY, rating, survey_locale, survey_words};
use actors::conversation::{Command, Outcome};
use actors::message::Key;
use actors::system::Handles;
use actors::wire::iso;
use entity::{contact_inbox, conversation, message};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

/// The survey of a conversation, and how it was answered.
#[utoipa::path(get, path = "", tag = "Client API", responses((status = 200, description = "id, csat_survey_response, display_type, content, inbox_avatar_url, inbox_name, locale, conversation_id, created_at"), (status = 404, description = "no such conversation, or nothing was asked in it")))]
pub async fn show(handles: web::Data<Handles>, path: web::Path<String>) -> ApiResult<HttpResponse> {
    let (conversation, survey) = find(&handles, &path).await?;
    Ok(HttpResponse::Ok().json(shown(&handles, &conversation, &survey)?))
}

/// How it was.
#[derive(Deserialize, ToSchema)]
pub struct SurveyAnswer {
    /// `csat_survey_response`: `rating` from 1 to 5, and `feedback_message`.
    #[schema(value_type = Option<Object>)]
    submitted_values: Option<Value>,
}

impl Request for SurveyAnswer {
    const ENVELOPE: Option<&'static str> = Some("message");
}

/// Rates a conversation; rating it again replaces what was said before.
#[utoipa::path(put, path = "", tag = "Client API", request_body = SurveyAnswer, responses((status = 200, description = "the survey"), (status = 404, description = "no such conversation, or nothing was asked in it"), (status = 422, description = "a value is wrong, or the survey is closed")))]
pub async fn answer(handles: web::Data<Handles>, path: web::Path<String>, body: Body<SurveyAnswer>) -> ApiResult<HttpResponse> {
    let (conversation, survey) = find(&handles, &path).await?;
    let values = submitted(body.value.submitted_values, &body.object)?;
    let identity = contact_inbox::Entity::find_by_id(conversation.contact_inbox_id).one(&handles.db.read).await?;
    let key = Key { inbox_id: conversation.inbox_id, source_id: identity.ok_or_else(ApiError::not_found)?.source_id };
    let outcome = Outcome::Submitted(values, None);
    tell(&handles, key, Command::Settle { conversation_id: conversation.id, message_id: survey.id, outcome }).await?;
    let (conversation, survey) = find(&handles, &path).await?;
    Ok(HttpResponse::Ok().json(shown(&handles, &conversation, &survey)?))
}

/// The conversation with a uuid, and what its contact was asked last.
async fn find(handles: &Handles, uuid: &str) -> ApiResult<(conversation::Model, message::Model)> {
    let uuid: Uuid = uuid.parse().map_err(|_| ApiError::not_found())?;
    let found = conversation::Entity::find().filter(conversation::Column::Uuid.eq(uuid)).one(&handles.db.read).await?;
    let conversation = found.ok_or_else(ApiError::not_found)?;
    let survey = message::Entity::find()
        .filter(message::Column::ConversationId.eq(conversation.id))
        .filter(message::Column::ContentType.eq(SURVEY))
        .filter(message::Column::Private.eq(false))
        .order_by_desc(message::Column::Id)
        .one(&handles.db.read)
        .await?;
    Ok((conversation, survey.ok_or_else(ApiError::not_found)?))
}

fn shown(handles: &Handles, conversation: &conversation::Model, survey: &message::Model) -> ApiResult<Value> {
    let catalog = handles.catalog.now();
    let inbox = catalog.inbox(conversation.inbox_id).ok_or_else(ApiError::not_found)?;
    let response = rating(survey).map(|rating| {
        json!({
            "id": survey.id,
            "account_id": conversation.account_id,
            "conversation_id": conversation.id,
            "message_id": survey.id,
            "contact_id": conversation.contact_id,
            "assigned_agent_id": rating.assignee_id,
            "rating": rating.rating,
            "feedback_message": rating.feedback,
            "created_at": iso(rating.rated_at),
            "updated_at": iso(survey.updated_at),
        })
    });
    Ok(json!({
        "id": survey.id,
        "csat_survey_response": response,
        "display_type": survey.content_attributes.get("display_type").and_then(Value::as_str).unwrap_or("emoji"),
        "content": survey_words(survey, conversation),
        "inbox_avatar_url": inbox.avatar_url,
        "inbox_name": inbox.row.name,
        "locale": survey_locale(inbox),
        "conversation_id": conversation.id,
        "created_at": iso(survey.created_at),
    }))
}
