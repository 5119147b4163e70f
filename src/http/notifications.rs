//! What the caller is told of: listed, read, put off, removed. They are made in the writer's transaction (`actors::notices`).
use super::auth::Agent;
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::{fields, views};
use crate::reads::Page;
use actix_web::{HttpResponse, web};
use actors::event::{AccountCard, Event, Fact, NotificationView};
use actors::store;
use actors::system::Handles;
use actors::wire::{iso, iso_or_null};
use chrono::{DateTime, Utc};
use entity::notification;
use notification::Column;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, Condition, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// How many notifications are on a page (contract, section 0).
const PAGE: u64 = 15;

/// The caller's notifications, newest first, 15 at a time. `includes[]=read` and `includes[]=snoozed` show those too;
/// `sort_order=asc` turns the order.
#[utoipa::path(get, path = "", tag = "Notifications", responses((status = 200, description = "data: meta (unread_count, count, current_page), payload: notifications")))]
pub async fn list(handles: web::Data<Handles>, agent: Agent, query: web::Query<Vec<(String, String)>>) -> ApiResult<HttpResponse> {
    let all = |name: &str| query.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.as_str()).collect::<Vec<_>>();
    let includes = [all("includes[]"), all("includes")].concat();
    let page: u64 = all("page").first().and_then(|page| page.parse().ok()).filter(|page| *page > 0).unwrap_or(1);
    let mut wanted = of_caller(&agent);
    if !includes.contains(&"read") {
        wanted = wanted.add(Column::ReadAt.is_null());
    }
    if !includes.contains(&"snoozed") {
        wanted = wanted.add(not_snoozed());
    }
    let db = &handles.db.read;
    let count = notification::Entity::find().filter(wanted.clone()).count(db).await?;
    let unread_count = notification::Entity::find().filter(wanted.clone()).filter(Column::ReadAt.is_null()).count(db).await?;
    let order = if all("sort_order").first() == Some(&"asc") { sea_orm::Order::Asc } else { sea_orm::Order::Desc };
    let rows = notification::Entity::find()
        .filter(wanted)
        .order_by(Column::LastActivityAt, order.clone())
        .order_by(Column::Id, order)
        .offset(Page::of(page, PAGE).offset)
        .limit(PAGE);
    let told = views::notifications(&handles, rows.all(db).await?).await?;
    let catalog = handles.catalog.now();
    let may_see = |told: &&NotificationView| {
        let view = &told.conversation;
        let team = view.conversation.team_id.and_then(|id| catalog.team(id));
        catalog.inbox(view.inbox.id).is_some_and(|inbox| inbox.is_visible_to(agent.user.row.id))
            || team.is_some_and(|team| team.members.contains(&agent.user.row.id))
    };
    let payload: Vec<Value> = told.iter().filter(may_see).map(|told| handles.wire.notification(told)).collect();
    let meta = json!({ "unread_count": unread_count, "count": count, "current_page": page });
    Ok(HttpResponse::Ok().json(json!({ "data": { "meta": meta, "payload": payload } })))
}

/// How many the caller has not read.
#[utoipa::path(get, path = "", tag = "Notifications", responses((status = 200, description = "a bare number")))]
pub async fn unread_count(handles: web::Data<Handles>, agent: Agent) -> ApiResult<HttpResponse> {
    Ok(HttpResponse::Ok().json(unread_of(&handles, &agent).await?))
}

/// Marks one read.
#[utoipa::path(patch, path = "", tag = "Notifications", responses((status = 200, description = "the row"), (status = 404, description = "no such notification")))]
pub async fn read(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    change(&handles, &agent, path.1, |row| row.read_at = ActiveValue::Set(Some(entity::now()))).await
}

/// Marks one unread.
#[utoipa::path(post, path = "", tag = "Notifications", responses((status = 200, description = "the row"), (status = 404, description = "no such notification")))]
pub async fn unread(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    change(&handles, &agent, path.1, |row| row.read_at = ActiveValue::Set(None)).await
}

/// Until when one is put off.
#[derive(Deserialize, ToSchema)]
pub struct Snooze {
    #[serde(default, deserialize_with = "fields::time")]
    snoozed_until: Option<DateTime<Utc>>,
}

impl Request for Snooze {}

/// Puts one off: until then it is listed only on request, and afterwards it is unread.
#[utoipa::path(post, path = "", tag = "Notifications", request_body = Snooze, responses((status = 200, description = "the row"), (status = 404, description = "no such notification")))]
pub async fn snooze(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>, body: Body<Snooze>) -> ApiResult<HttpResponse> {
    change(&handles, &agent, path.1, |row| {
        row.snoozed_until = ActiveValue::Set(body.value.snoozed_until);
        row.read_at = ActiveValue::Set(None);
    })
    .await
}

/// Removes one.
#[utoipa::path(delete, path = "", tag = "Notifications", responses((status = 200, description = "removed"), (status = 404, description = "no such notification")))]
pub async fn remove(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let row = find(&handles, &agent, path.1).await?;
    notification::Entity::delete_by_id(row.id).exec(&handles.db.write).await?;
    let unread = unread_of(&handles, &agent).await?;
    publish(&handles, &agent, Fact::NotificationDeleted { id: row.id, user_id: row.user_id, unread });
    Ok(HttpResponse::Ok().finish())
}

/// Of which object.
#[derive(Deserialize, ToSchema)]
pub struct ReadAll {
    /// `Conversation`.
    #[serde(default, deserialize_with = "fields::text")]
    primary_actor_type: Option<String>,
    /// The conversation's internal id, as notifications have it.
    #[serde(default, deserialize_with = "fields::optional_id")]
    primary_actor_id: Option<i64>,
}

impl Request for ReadAll {}

/// Marks all read, or those of one conversation.
#[utoipa::path(post, path = "", tag = "Notifications", request_body = ReadAll, responses((status = 200, description = "done")))]
pub async fn read_all(handles: web::Data<Handles>, agent: Agent, body: Body<ReadAll>) -> ApiResult<HttpResponse> {
    let ReadAll { primary_actor_type, primary_actor_id } = body.value;
    if primary_actor_type.is_some_and(|kind| !kind.is_empty() && kind != "Conversation") {
        return Err(ApiError::invalid("primary_actor_type", "primary_actor_type can only be Conversation"));
    }
    let mut wanted = of_caller(&agent);
    if let Some(id) = primary_actor_id {
        wanted = wanted.add(Column::ConversationId.eq(id));
    }
    mark_read(&handles, &agent, wanted).await?;
    Ok(HttpResponse::Ok().finish())
}

/// Which ones go.
#[derive(Deserialize, ToSchema)]
pub struct DestroyAll {
    /// `read`, or `all` (the default).
    #[serde(default, rename = "type", deserialize_with = "fields::text")]
    kind: Option<String>,
}

impl Request for DestroyAll {}

/// Removes all, or those that were read.
#[utoipa::path(post, path = "", tag = "Notifications", request_body = DestroyAll, responses((status = 200, description = "removed")))]
pub async fn destroy_all(handles: web::Data<Handles>, agent: Agent, body: Body<DestroyAll>) -> ApiResult<HttpResponse> {
    let wanted = match body.value.kind.as_deref() {
        Some("read") => of_caller(&agent).add(Column::ReadAt.is_not_null()),
        None | Some("" | "all") => of_caller(&agent),
        Some(_) => return Err(ApiError::invalid("type", "type is neither read nor all")),
    };
    notification::Entity::delete_many().filter(wanted).exec(&handles.db.write).await?;
    Ok(HttpResponse::Ok().finish())
}

/// The caller has opened a conversation: what it was told of it is read.
///
/// # Errors
/// If the database fails.
pub async fn seen(handles: &Handles, agent: &Agent, conversation_id: i64) -> ApiResult<()> {
    mark_read(handles, agent, of_caller(agent).add(Column::ConversationId.eq(conversation_id))).await
}

async fn mark_read(handles: &Handles, agent: &Agent, wanted: Condition) -> ApiResult<()> {
    let wanted = wanted.add(Column::ReadAt.is_null());
    let rows = notification::Entity::find().filter(wanted).all(&handles.db.read).await?;
    if rows.is_empty() {
        return Ok(());
    }
    let now = entity::now();
    notification::Entity::update_many()
        .col_expr(Column::ReadAt, Expr::value(now))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .filter(Column::Id.is_in(rows.iter().map(|row| row.id)))
        .exec(&handles.db.write)
        .await?;
    // Whoever reads a long list at once reads it again; one conversation's is told.
    if rows.len() <= TOLD_ONE_BY_ONE {
        let read = rows.into_iter().map(|row| notification::Model { read_at: Some(now), ..row }).collect();
        tell_updated(handles, agent, read).await?;
    }
    Ok(())
}

const TOLD_ONE_BY_ONE: usize = 15;

async fn change(handles: &Handles, agent: &Agent, id: i64, edit: impl FnOnce(&mut notification::ActiveModel)) -> ApiResult<HttpResponse> {
    let mut row = find(handles, agent, id).await?.into_active_model();
    edit(&mut row);
    row.updated_at = ActiveValue::Set(entity::now());
    let row = row.update(&handles.db.write).await?;
    let answer = raw(&row);
    tell_updated(handles, agent, vec![row]).await?;
    Ok(HttpResponse::Ok().json(answer))
}

async fn tell_updated(handles: &Handles, agent: &Agent, rows: Vec<notification::Model>) -> ApiResult<()> {
    let unread = unread_of(handles, agent).await?;
    for told in views::notifications(handles, rows).await? {
        publish(handles, agent, Fact::NotificationUpdated(Box::new(told), unread));
    }
    Ok(())
}

fn publish(handles: &Handles, agent: &Agent, fact: Fact) {
    let account = AccountCard { id: agent.account.id, name: agent.account.name.clone() };
    handles.hub.publish(&Event { id: 0, account, at: entity::now(), performer: None, fact });
}

async fn unread_of(handles: &Handles, agent: &Agent) -> ApiResult<i64> {
    let (user_id, account_id) = (agent.user.row.id, agent.account.id);
    let unread = store::unread(&handles.db.read, std::iter::once(user_id).collect()).await?;
    Ok(unread.get(&(user_id, account_id)).copied().unwrap_or_default())
}

async fn find(handles: &Handles, agent: &Agent, id: i64) -> ApiResult<notification::Model> {
    let found = notification::Entity::find_by_id(id).filter(of_caller(agent)).one(&handles.db.read).await?;
    found.ok_or_else(ApiError::not_found)
}

fn of_caller(agent: &Agent) -> Condition {
    Condition::all().add(Column::UserId.eq(agent.user.row.id)).add(Column::AccountId.eq(agent.account.id))
}

fn not_snoozed() -> Condition {
    Condition::any().add(Column::SnoozedUntil.is_null()).add(Column::SnoozedUntil.lte(entity::now()))
}

fn raw(row: &notification::Model) -> Value {
    json!({
        "id": row.id,
        "account_id": row.account_id,
        "user_id": row.user_id,
        "notification_type": row.notification_type.name(),
        "primary_actor_type": "Conversation",
        "primary_actor_id": row.conversation_id,
        "secondary_actor_type": if row.message_id.is_some() { Some("Message") } else { row.performer_id.map(|_| "User") },
        "secondary_actor_id": row.message_id.or(row.performer_id),
        "read_at": iso_or_null(row.read_at),
        "snoozed_until": iso_or_null(row.snoozed_until),
        "last_activity_at": iso(row.last_activity_at),
        "meta": row.meta,
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
    })
}
