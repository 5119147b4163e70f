//! Who follows a conversation besides its assignee.
use super::auth::Agent;
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::scope::{Found, find};
use super::{fields, render};
use actix_web::{HttpResponse, web};
use actors::system::Handles;
use entity::participant;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, TransactionTrait};
use serde::Deserialize;
use utoipa::ToSchema;

/// Some agents.
#[derive(Deserialize, ToSchema)]
pub struct Participants {
    #[serde(deserialize_with = "fields::ids")]
    user_ids: Vec<i64>,
}

impl Request for Participants {}

/// Everybody who follows it.
#[utoipa::path(get, path = "", tag = "Conversations", responses((status = 200, description = "an array of agents")))]
pub async fn list(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let found = find(&handles, &agent, path.1).await?;
    answer(&handles, &agent, &found).await
}

/// Adds followers.
#[utoipa::path(post, path = "", tag = "Conversations", request_body = Participants, responses((status = 200, description = "an array of agents"), (status = 422, description = "no agent of this inbox")))]
pub async fn add(
    handles: web::Data<Handles>,
    agent: Agent,
    path: web::Path<(i64, i64)>,
    body: Body<Participants>,
) -> ApiResult<HttpResponse> {
    let found = find(&handles, &agent, path.1).await?;
    let wanted = checked(&found, &body.value.user_ids)?;
    insert(&handles, &handles.db.write, agent.account.id, found.address.conversation_id, wanted).await?;
    answer(&handles, &agent, &found).await
}

/// Replaces the followers.
#[utoipa::path(patch, path = "", tag = "Conversations", request_body = Participants, responses((status = 200, description = "an array of agents"), (status = 422, description = "no agent of this inbox")))]
pub async fn replace(
    handles: web::Data<Handles>,
    agent: Agent,
    path: web::Path<(i64, i64)>,
    body: Body<Participants>,
) -> ApiResult<HttpResponse> {
    let found = find(&handles, &agent, path.1).await?;
    let wanted = checked(&found, &body.value.user_ids)?;
    let id = found.address.conversation_id;
    let transaction = handles.db.write.begin().await?;
    let gone = participant::Entity::delete_many().filter(participant::Column::ConversationId.eq(id));
    gone.filter(participant::Column::UserId.is_not_in(wanted.iter().copied())).exec(&transaction).await?;
    insert(&handles, &transaction, agent.account.id, id, wanted).await?;
    transaction.commit().await?;
    answer(&handles, &agent, &found).await
}

/// Removes followers.
#[utoipa::path(delete, path = "", tag = "Conversations", request_body = Participants, responses((status = 200, description = "an array of the agents who stay")))]
pub async fn remove(
    handles: web::Data<Handles>,
    agent: Agent,
    path: web::Path<(i64, i64)>,
    body: Body<Participants>,
) -> ApiResult<HttpResponse> {
    let found = find(&handles, &agent, path.1).await?;
    participant::Entity::delete_many()
        .filter(participant::Column::ConversationId.eq(found.address.conversation_id))
        .filter(participant::Column::UserId.is_in(body.value.user_ids))
        .exec(&handles.db.write)
        .await?;
    answer(&handles, &agent, &found).await
}

/// Makes users followers; who follows already stays one.
///
/// # Errors
/// If the database fails.
pub async fn insert(
    handles: &Handles,
    db: &impl ConnectionTrait,
    account_id: i64,
    conversation_id: i64,
    user_ids: Vec<i64>,
) -> Result<(), DbErr> {
    handles.participants.note(conversation_id);
    let now = entity::now();
    let rows: Vec<_> = user_ids
        .into_iter()
        .map(|user_id| participant::ActiveModel {
            id: ActiveValue::NotSet,
            account_id: ActiveValue::Set(account_id),
            conversation_id: ActiveValue::Set(conversation_id),
            user_id: ActiveValue::Set(user_id),
            created_at: ActiveValue::Set(now),
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let once = OnConflict::columns([participant::Column::ConversationId, participant::Column::UserId]).do_nothing().to_owned();
    participant::Entity::insert_many(rows).on_conflict(once).exec_without_returning(db).await.map(drop)
}

/// Only who may see a conversation can follow it.
fn checked(found: &Found, user_ids: &[i64]) -> ApiResult<Vec<i64>> {
    match user_ids.iter().find(|id| !found.inbox.is_visible_to(**id)) {
        Some(id) => Err(ApiError::invalid("user_ids", format!("user_ids: {id} is no agent of this inbox"))),
        None => Ok(user_ids.to_vec()),
    }
}

async fn answer(handles: &Handles, agent: &Agent, found: &Found) -> ApiResult<HttpResponse> {
    let rows = participant::Entity::find()
        .filter(participant::Column::ConversationId.eq(found.address.conversation_id))
        .order_by_asc(participant::Column::Id)
        .all(&handles.db.read)
        .await?;
    let ids: Vec<i64> = rows.into_iter().map(|row| row.user_id).collect();
    Ok(HttpResponse::Ok().json(render::agents(handles, &handles.catalog.now(), &ids, agent.account.id)))
}
