//! Assignment policies: how waiting conversations are given to agents. An inbox follows one, or its own settings.
use super::auth::Administrator;
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::inboxes::{apply_changes, living};
use super::{audit, fields, render};
use actix_web::{HttpResponse, web};
use actors::system::Handles;
use actors::wire::epoch;
use entity::assignment_policy::{self, AssignmentOrder, ConversationPriority};
use entity::inbox;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ActiveValue, ColumnTrait, EntityTrait, IntoActiveModel, Iterable, QueryFilter, TransactionTrait};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::ToSchema;

/// A policy as it is created or changed.
#[derive(Deserialize, ToSchema)]
pub struct AssignmentPolicyFields {
    #[serde(default, deserialize_with = "fields::text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "fields::nullable_text")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
    /// `round_robin` or `balanced`.
    #[serde(default, deserialize_with = "fields::text")]
    assignment_order: Option<String>,
    /// `earliest_created` or `longest_waiting`.
    #[serde(default, deserialize_with = "fields::text")]
    conversation_priority: Option<String>,
    /// How many conversations an agent is given in a window at most.
    #[serde(default, deserialize_with = "fields::optional_id")]
    fair_distribution_limit: Option<i64>,
    /// The length of the window in seconds.
    #[serde(default, deserialize_with = "fields::optional_id")]
    fair_distribution_window: Option<i64>,
    #[serde(default, deserialize_with = "fields::flag")]
    enabled: Option<bool>,
}

impl Request for AssignmentPolicyFields {
    const ENVELOPE: Option<&'static str> = Some("assignment_policy");
}

/// What a policy is unless it is told otherwise.
const LIMIT: i64 = 100;
const WINDOW: i64 = 3600;
/// More is neither asked for nor stored.
const MOST: i64 = 1_000_000_000;
const NAME_LIMIT: usize = 255;

/// All policies of the account.
#[utoipa::path(get, path = "", tag = "Assignment policies", responses((status = 200, description = "an array of policies")))]
pub async fn list(handles: web::Data<Handles>, administrator: Administrator) -> HttpResponse {
    let catalog = handles.catalog.now();
    let policies = catalog.assignment_policies_of(administrator.0.account.id);
    HttpResponse::Ok().json(policies.into_iter().map(|policy| shown(&handles, policy)).collect::<Vec<_>>())
}

/// One policy.
#[utoipa::path(get, path = "", tag = "Assignment policies", responses((status = 200, description = "the policy"), (status = 404, description = "no such policy")))]
pub async fn show(handles: web::Data<Handles>, administrator: Administrator, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let policy = of_account(&handles, &administrator, path.1)?;
    Ok(HttpResponse::Ok().json(shown(&handles, &policy)))
}

/// The inboxes that follow a policy.
#[utoipa::path(get, path = "", tag = "Assignment policies", responses((status = 200, description = "inboxes"), (status = 404, description = "no such policy")))]
pub async fn inboxes(handles: web::Data<Handles>, administrator: Administrator, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let policy = of_account(&handles, &administrator, path.1)?;
    let catalog = handles.catalog.now();
    let following = catalog.inboxes_of(policy.account_id).into_iter().filter(|inbox| inbox.row.assignment_policy_id == Some(policy.id));
    Ok(HttpResponse::Ok().json(json!({ "inboxes": following.map(|inbox| render::inbox(&handles, inbox, true)).collect::<Vec<_>>() })))
}

/// Creates a policy, which no inbox follows yet.
#[utoipa::path(post, path = "", tag = "Assignment policies", request_body = AssignmentPolicyFields, responses((status = 200, description = "the policy"), (status = 422, description = "a field is wrong")))]
pub async fn create(
    handles: web::Data<Handles>,
    administrator: Administrator,
    body: Body<AssignmentPolicyFields>,
) -> ApiResult<HttpResponse> {
    let (agent, now) = (administrator.0, entity::now());
    let mut row = assignment_policy::ActiveModel {
        id: ActiveValue::NotSet,
        account_id: ActiveValue::Set(agent.account.id),
        name: ActiveValue::NotSet,
        description: ActiveValue::Set(None),
        assignment_order: ActiveValue::Set(AssignmentOrder::RoundRobin),
        conversation_priority: ActiveValue::Set(ConversationPriority::EarliestCreated),
        fair_distribution_limit: ActiveValue::Set(LIMIT),
        fair_distribution_window: ActiveValue::Set(WINDOW),
        enabled: ActiveValue::Set(true),
        created_at: ActiveValue::Set(now),
        updated_at: ActiveValue::Set(now),
    };
    apply(&mut row, body.value)?;
    if row.name.is_not_set() {
        return Err(blank_name());
    }
    let transaction = handles.db.write.begin().await?;
    let stored = row.insert(&transaction).await?;
    audit::created(&transaction, &agent.author(), ("AssignmentPolicy", stored.id), &stored).await?;
    transaction.commit().await?;
    answer(&handles, stored.id).await
}

/// Changes a policy; the inboxes that follow it do at once.
#[utoipa::path(patch, path = "", tag = "Assignment policies", request_body = AssignmentPolicyFields, responses((status = 200, description = "the policy"), (status = 404, description = "no such policy"), (status = 422, description = "a field is wrong")))]
pub async fn update(
    handles: web::Data<Handles>,
    administrator: Administrator,
    path: web::Path<(i64, i64)>,
    body: Body<AssignmentPolicyFields>,
) -> ApiResult<HttpResponse> {
    let before = of_account(&handles, &administrator, path.1)?;
    let mut row = before.as_ref().clone().into_active_model();
    apply(&mut row, body.value)?;
    row.updated_at = ActiveValue::Set(entity::now());
    let transaction = handles.db.write.begin().await?;
    let after = row.update(&transaction).await?;
    audit::updated(&transaction, &administrator.0.author(), ("AssignmentPolicy", after.id), before.as_ref(), &after).await?;
    transaction.commit().await?;
    answer(&handles, after.id).await
}

/// Removes a policy; the inboxes that followed it go by their own settings.
#[utoipa::path(delete, path = "", tag = "Assignment policies", responses((status = 200, description = "removed"), (status = 404, description = "no such policy")))]
pub async fn remove(handles: web::Data<Handles>, administrator: Administrator, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let policy = of_account(&handles, &administrator, path.1)?;
    let transaction = handles.db.write.begin().await?;
    inbox::Entity::update_many()
        .col_expr(inbox::Column::AssignmentPolicyId, Expr::value(None::<i64>))
        .filter(inbox::Column::AssignmentPolicyId.eq(policy.id))
        .exec(&transaction)
        .await?;
    assignment_policy::Entity::delete_by_id(policy.id).exec(&transaction).await?;
    audit::destroyed(&transaction, &administrator.0.author(), ("AssignmentPolicy", policy.id), policy.as_ref()).await?;
    transaction.commit().await?;
    follow(&handles).await?;
    Ok(HttpResponse::Ok().finish())
}

/// The policy that an inbox follows.
#[utoipa::path(get, path = "", tag = "Assignment policies", responses((status = 200, description = "the policy"), (status = 404, description = "no such inbox, or it follows none")))]
pub async fn of_inbox(handles: web::Data<Handles>, administrator: Administrator, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let inbox = living(administrator.0.visible_inbox(path.1)?)?;
    let id = inbox.row.assignment_policy_id.ok_or_else(ApiError::not_found)?;
    let policy = of_account(&handles, &administrator, id)?;
    Ok(HttpResponse::Ok().json(shown(&handles, &policy)))
}

/// Which policy an inbox shall follow.
#[derive(Deserialize, ToSchema)]
pub struct InboxPolicy {
    #[serde(deserialize_with = "fields::id")]
    assignment_policy_id: i64,
}

impl Request for InboxPolicy {}

/// Makes an inbox follow a policy.
#[utoipa::path(post, path = "", tag = "Assignment policies", request_body = InboxPolicy, responses((status = 200, description = "the policy"), (status = 404, description = "no such inbox or policy")))]
pub async fn set_of_inbox(
    handles: web::Data<Handles>,
    administrator: Administrator,
    path: web::Path<(i64, i64)>,
    body: Body<InboxPolicy>,
) -> ApiResult<HttpResponse> {
    let inbox = living(administrator.0.visible_inbox(path.1)?)?;
    let policy = of_account(&handles, &administrator, body.value.assignment_policy_id)?;
    give(&handles, &administrator, &inbox.row, Some(policy.id)).await?;
    Ok(HttpResponse::Ok().json(shown(&handles, &policy)))
}

/// Makes an inbox go by its own settings.
#[utoipa::path(delete, path = "", tag = "Assignment policies", responses((status = 200, description = "done"), (status = 404, description = "no such inbox, or it follows no policy")))]
pub async fn remove_of_inbox(
    handles: web::Data<Handles>,
    administrator: Administrator,
    path: web::Path<(i64, i64)>,
) -> ApiResult<HttpResponse> {
    let inbox = living(administrator.0.visible_inbox(path.1)?)?;
    if inbox.row.assignment_policy_id.is_none() {
        return Err(ApiError::not_found());
    }
    give(&handles, &administrator, &inbox.row, None).await?;
    Ok(HttpResponse::Ok().finish())
}

async fn give(handles: &Handles, administrator: &Administrator, before: &inbox::Model, policy_id: Option<i64>) -> ApiResult<()> {
    let mut row = before.clone().into_active_model();
    row.assignment_policy_id = ActiveValue::Set(policy_id);
    row.updated_at = ActiveValue::Set(entity::now());
    let transaction = handles.db.write.begin().await?;
    let after = row.update(&transaction).await?;
    audit::updated(&transaction, &administrator.0.author(), ("Inbox", after.id), before, &after).await?;
    transaction.commit().await?;
    apply_changes(handles, after.account_id).await?;
    handles.wakes.assignment.notify_one();
    Ok(())
}

fn apply(row: &mut assignment_policy::ActiveModel, given: AssignmentPolicyFields) -> ApiResult<()> {
    if let Some(name) = given.name {
        match name.trim() {
            "" => return Err(blank_name()),
            name if name.chars().count() > NAME_LIMIT => {
                return Err(ApiError::invalid("name", format!("name is longer than {NAME_LIMIT} characters")));
            }
            name => row.name = ActiveValue::Set(name.to_owned()),
        }
    }
    if let Some(description) = given.description {
        row.description = ActiveValue::Set(description);
    }
    if let Some(name) = given.assignment_order {
        let order = AssignmentOrder::iter().find(|order| order.name() == name);
        row.assignment_order = ActiveValue::Set(order.ok_or_else(|| unknown("assignment_order", &name, "round_robin, balanced"))?);
    }
    if let Some(name) = given.conversation_priority {
        let priority = ConversationPriority::iter().find(|priority| priority.name() == name);
        let priority = priority.ok_or_else(|| unknown("conversation_priority", &name, "earliest_created, longest_waiting"))?;
        row.conversation_priority = ActiveValue::Set(priority);
    }
    let counts = [
        ("fair_distribution_limit", given.fair_distribution_limit, &mut row.fair_distribution_limit),
        ("fair_distribution_window", given.fair_distribution_window, &mut row.fair_distribution_window),
    ];
    for (field, given, column) in counts {
        match given {
            None => {}
            Some(count) if (1..=MOST).contains(&count) => *column = ActiveValue::Set(count),
            Some(_) => return Err(ApiError::invalid(field, format!("{field} must be between 1 and {MOST}"))),
        }
    }
    if let Some(enabled) = given.enabled {
        row.enabled = ActiveValue::Set(enabled);
    }
    Ok(())
}

fn blank_name() -> ApiError {
    ApiError::invalid("name", "Name can't be blank")
}

fn unknown(field: &str, given: &str, choices: &str) -> ApiError {
    ApiError::invalid(field, format!("{field}: \"{given}\" is none of {choices}"))
}

fn of_account(handles: &Handles, administrator: &Administrator, id: i64) -> ApiResult<Arc<assignment_policy::Model>> {
    let catalog = handles.catalog.now();
    let policy = catalog.assignment_policy(id).filter(|policy| policy.account_id == administrator.0.account.id);
    policy.cloned().ok_or_else(ApiError::not_found)
}

/// Whoever assigns goes by what is stored now.
async fn follow(handles: &Handles) -> ApiResult<()> {
    handles.catalog.reload().await?;
    handles.wakes.assignment.notify_one();
    Ok(())
}

async fn answer(handles: &Handles, id: i64) -> ApiResult<HttpResponse> {
    follow(handles).await?;
    let catalog = handles.catalog.now();
    let policy = catalog.assignment_policy(id).ok_or_else(ApiError::not_found)?;
    Ok(HttpResponse::Ok().json(shown(handles, policy)))
}

fn shown(handles: &Handles, policy: &assignment_policy::Model) -> Value {
    let catalog = handles.catalog.now();
    let following = catalog.inboxes_of(policy.account_id).into_iter().filter(|inbox| inbox.row.assignment_policy_id == Some(policy.id));
    json!({
        "id": policy.id,
        "name": policy.name,
        "description": policy.description,
        "assignment_order": policy.assignment_order.name(),
        "conversation_priority": policy.conversation_priority.name(),
        "fair_distribution_limit": policy.fair_distribution_limit,
        "fair_distribution_window": policy.fair_distribution_window,
        "enabled": policy.enabled,
        "assigned_inbox_count": following.count(),
        "created_at": epoch(policy.created_at),
        "updated_at": epoch(policy.updated_at),
    })
}
