//! What the caller is told of: listed, read, put off, removed. They are made in the writer's transaction (`actors::notices`).
use super::auth::Agent;
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::{fields, views};
use crate::reads::Page;
use actix_web::{HttpResponse, web};
use actors::event::{AccountCard, Event, Fact};
use actors::system::Handles;
use actors::wire::{iso, iso_or_null};
use actors::{notice_mail, store};
use chrono::{DateTime, Utc};
use entity::{conversation, notification};
use notification::Column;
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, Condition, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, TransactionTrait,
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
    let mut wanted = of_caller(&agent).add(is_visible(&agent));
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
    let payload: Vec<Value> = told.iter().map(|told| handles.wire.notification(told)).collect();
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
    delete(&handles, &agent, vec![row]).await?;
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
    let rows = notification::Entity::find().filter(wanted).order_by_asc(Column::Id).all(&handles.db.read).await?;
    delete(&handles, &agent, rows).await?;
    Ok(HttpResponse::Ok().finish())
}

/// So many ids are named in one statement.
const AT_ONCE: usize = 500;

async fn delete(handles: &Handles, agent: &Agent, rows: Vec<notification::Model>) -> ApiResult<()> {
    let transaction = handles.db.write.begin().await?;
    for part in rows.chunks(AT_ONCE) {
        notification::Entity::delete_many().filter(Column::Id.is_in(part.iter().map(|row| row.id))).exec(&transaction).await?;
        notice_mail::withdraw(&transaction, agent.user.row.id, part.iter().map(|row| row.conversation_id)).await?;
    }
    transaction.commit().await?;
    let unread = unread_of(handles, agent).await?;
    for row in latest(&rows) {
        publish(handles, agent, Fact::NotificationDeleted { id: row.id, user_id: row.user_id, unread });
    }
    Ok(())
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
    let rows = notification::Entity::find().filter(wanted).order_by_asc(Column::Id).all(&handles.db.read).await?;
    if rows.is_empty() {
        return Ok(());
    }
    let now = entity::now();
    let transaction = handles.db.write.begin().await?;
    for part in rows.chunks(AT_ONCE) {
        notification::Entity::update_many()
            .col_expr(Column::ReadAt, Expr::value(now))
            .col_expr(Column::UpdatedAt, Expr::value(now))
            .filter(Column::Id.is_in(part.iter().map(|row| row.id)))
            .exec(&transaction)
            .await?;
        notice_mail::withdraw(&transaction, agent.user.row.id, part.iter().map(|row| row.conversation_id)).await?;
    }
    transaction.commit().await?;
    let read = latest(&rows).iter().map(|row| notification::Model { read_at: Some(now), ..row.clone() }).collect();
    tell_updated(handles, agent, read).await
}

/// Those that are told one by one: a socket's mailbox would not hold them all, and whoever has more of them than its dashboard
/// shows reads the list again.
fn latest(rows: &[notification::Model]) -> &[notification::Model] {
    const TOLD: usize = 100;
    rows.get(rows.len().saturating_sub(TOLD)..).unwrap_or_default()
}

async fn change(handles: &Handles, agent: &Agent, id: i64, edit: impl FnOnce(&mut notification::ActiveModel)) -> ApiResult<HttpResponse> {
    let mut row = find(handles, agent, id).await?.into_active_model();
    edit(&mut row);
    row.updated_at = ActiveValue::Set(entity::now());
    let transaction = handles.db.write.begin().await?;
    let row = row.update(&transaction).await?;
    if row.read_at.is_some() || row.snoozed_until.is_some() {
        notice_mail::withdraw(&transaction, row.user_id, std::iter::once(row.conversation_id)).await?;
    }
    transaction.commit().await?;
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
    let unread = store::unread(&handles.db.read, &handles.catalog.now(), std::iter::once(user_id).collect()).await?;
    Ok(unread.get(&(user_id, account_id)).copied().unwrap_or_default())
}

async fn find(handles: &Handles, agent: &Agent, id: i64) -> ApiResult<notification::Model> {
    let found = notification::Entity::find_by_id(id).filter(of_caller(agent)).one(&handles.db.read).await?;
    found.ok_or_else(ApiError::not_found)
}

fn of_caller(agent: &Agent) -> Condition {
    Condition::all().add(Column::UserId.eq(agent.user.row.id)).add(Column::AccountId.eq(agent.account.id))
}

/// Of conversations that the caller may see now: by their inbox, or by a team of the caller (contract, section 0, Roles).
fn is_visible(agent: &Agent) -> Condition {
    let Some(inboxes) = agent.visible_inboxes() else { return Condition::all() };
    let (user_id, catalog) = (agent.user.row.id, agent.handles().catalog.now());
    let teams = catalog.teams_of(agent.account.id).into_iter().filter(|team| team.members.contains(&user_id)).map(|team| team.row.id);
    let visible = Condition::any().add(conversation::Column::InboxId.is_in(inboxes)).add(conversation::Column::TeamId.is_in(teams));
    // Looked up one by one: a user has few notifications, an account has many conversations.
    let about = Query::select()
        .expr(Expr::val(1))
        .from(conversation::Entity)
        .and_where(Expr::col((conversation::Entity, conversation::Column::Id)).equals((notification::Entity, Column::ConversationId)))
        .cond_where(visible)
        .take();
    Condition::all().add(Expr::exists(about))
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
