//! Who works in an inbox, and to whom its conversations may be given.
use super::auth::{Administrator, Agent};
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::inboxes::{apply_changes, editable, living};
use super::{audit, fields, render};
use crate::inboxes::{add_members, set_members};
use actix_web::{HttpResponse, web};
use actors::catalog::Inbox;
use actors::system::Handles;
use entity::inbox_member;
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, TransactionTrait};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;

/// Which agents work in an inbox.
#[derive(Deserialize, ToSchema)]
pub struct Members {
    #[serde(deserialize_with = "fields::id")]
    inbox_id: i64,
    #[serde(default, deserialize_with = "fields::ids")]
    user_ids: Vec<i64>,
}

impl Request for Members {}

/// The members of an inbox.
#[utoipa::path(get, path = "", tag = "Inboxes", responses((status = 200, description = "payload: agents")))]
pub async fn members(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let inbox = living(agent.visible_inbox(path.1)?)?;
    Ok(members_answer(&handles, &inbox))
}

/// Adds members.
#[utoipa::path(post, path = "", tag = "Inboxes", request_body = Members, responses((status = 200, description = "payload: agents")))]
pub async fn add(handles: web::Data<Handles>, administrator: Administrator, body: Body<Members>) -> ApiResult<HttpResponse> {
    let (inbox, users) = membership(&handles, &administrator, &body.value)?;
    let new: Vec<i64> = users.into_iter().filter(|user| !inbox.members.contains(user)).collect();
    let transaction = handles.db.write.begin().await?;
    add_members(&transaction, inbox.row.id, &new).await?;
    changed(&handles, &administrator, transaction, &inbox, inbox.members.iter().copied().chain(new).collect()).await
}

/// Replaces all members.
#[utoipa::path(patch, path = "", tag = "Inboxes", request_body = Members, responses((status = 200, description = "payload: agents")))]
pub async fn replace(handles: web::Data<Handles>, administrator: Administrator, body: Body<Members>) -> ApiResult<HttpResponse> {
    let (inbox, users) = membership(&handles, &administrator, &body.value)?;
    let transaction = handles.db.write.begin().await?;
    set_members(&transaction, inbox.row.id, &users).await?;
    changed(&handles, &administrator, transaction, &inbox, users).await
}

/// Takes members out.
#[utoipa::path(delete, path = "", tag = "Inboxes", request_body = Members, responses((status = 200, description = "removed")))]
pub async fn remove_members(handles: web::Data<Handles>, administrator: Administrator, body: Body<Members>) -> ApiResult<HttpResponse> {
    let inbox = editable(&administrator, body.value.inbox_id)?;
    let rest = inbox.members.iter().copied().filter(|id| !body.value.user_ids.contains(id)).collect();
    let transaction = handles.db.write.begin().await?;
    inbox_member::Entity::delete_many()
        .filter(inbox_member::Column::InboxId.eq(inbox.row.id))
        .filter(inbox_member::Column::UserId.is_in(body.value.user_ids))
        .exec(&transaction)
        .await?;
    changed(&handles, &administrator, transaction, &inbox, rest).await?;
    Ok(HttpResponse::Ok().finish())
}

fn membership(handles: &Handles, administrator: &Administrator, members: &Members) -> ApiResult<(Arc<Inbox>, Vec<i64>)> {
    let inbox = editable(administrator, members.inbox_id)?;
    let catalog = handles.catalog.now();
    let is_stranger = |id: &&i64| catalog.user(**id).is_none_or(|user| user.place(inbox.row.account_id).is_none());
    if let Some(stranger) = members.user_ids.iter().find(is_stranger) {
        return Err(ApiError::invalid("user_ids", format!("user_ids: {stranger} is no agent of this account")));
    }
    Ok((inbox, members.user_ids.clone()))
}

async fn changed(
    handles: &Handles,
    administrator: &Administrator,
    transaction: DatabaseTransaction,
    inbox: &Inbox,
    members: Vec<i64>,
) -> ApiResult<HttpResponse> {
    let (before, after) = (json!({ "members": inbox.members }), json!({ "members": members }));
    audit::updated(&transaction, &administrator.0.author(), ("Inbox", inbox.row.id), &before, &after).await?;
    transaction.commit().await?;
    apply_changes(handles, inbox.row.account_id).await?;
    handles.wakes.assignment.notify_one();
    let inbox = handles.catalog.now().inbox(inbox.row.id).cloned().ok_or_else(ApiError::not_found)?;
    Ok(members_answer(handles, &inbox))
}

fn members_answer(handles: &Handles, inbox: &Inbox) -> HttpResponse {
    let shown = render::agents(handles, &handles.catalog.now(), &inbox.members, inbox.row.account_id);
    HttpResponse::Ok().json(json!({ "payload": shown }))
}

/// Agents to whom conversations of all these inboxes may be given: their members, and administrators.
#[utoipa::path(get, path = "", tag = "Inboxes", responses((status = 200, description = "payload: agents")))]
pub async fn assignable_agents(
    handles: web::Data<Handles>,
    agent: Agent,
    query: web::Query<Vec<(String, String)>>,
) -> ApiResult<HttpResponse> {
    let asked = query.iter().filter(|(name, _)| name == "inbox_ids[]" || name == "inbox_ids");
    let mut common: Option<Vec<i64>> = None;
    for (_, id) in asked {
        let id = id.parse().map_err(|_| ApiError::invalid("inbox_ids", "inbox_ids: expected numbers"))?;
        let viewers = agent.visible_inbox(id)?.viewers.clone();
        common = Some(match common {
            None => viewers,
            Some(before) => before.into_iter().filter(|user| viewers.contains(user)).collect(),
        });
    }
    let shown = render::agents(&handles, &handles.catalog.now(), &common.unwrap_or_default(), agent.account.id);
    Ok(HttpResponse::Ok().json(json!({ "payload": shown })))
}

/// Agents to whom conversations of this inbox may be given: its members, and administrators.
#[utoipa::path(get, path = "", tag = "Inboxes", responses((status = 200, description = "payload: agents"), (status = 404, description = "no such inbox")))]
pub async fn assignable_agents_of(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let inbox = living(agent.visible_inbox(path.1)?)?;
    let shown = render::agents(&handles, &handles.catalog.now(), &inbox.viewers, agent.account.id);
    Ok(HttpResponse::Ok().json(json!({ "payload": shown })))
}
