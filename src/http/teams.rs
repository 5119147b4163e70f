//! Teams: groups of agents that conversations are given to.
use super::ask::finished;
use super::auth::{Administrator, Agent};
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::{audit, cache_keys, fields, render};
use crate::sweep::change_all;
use actix_web::{HttpResponse, web};
use actors::catalog::Team;
use actors::conversation::rules::Change;
use actors::system::Handles;
use entity::{conversation, team, team_member};
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, Condition, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, TransactionTrait,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use utoipa::ToSchema;

/// A team as it is created or changed.
#[derive(Deserialize, ToSchema)]
pub struct TeamFields {
    #[serde(default, deserialize_with = "fields::text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "fields::nullable_text")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
    #[serde(default, deserialize_with = "fields::flag")]
    allow_auto_assign: Option<bool>,
}

impl Request for TeamFields {
    const ENVELOPE: Option<&'static str> = Some("team");
}

/// All teams of the account.
#[utoipa::path(get, path = "", tag = "Teams", responses((status = 200, description = "an array of teams")))]
pub async fn list(handles: web::Data<Handles>, agent: Agent) -> HttpResponse {
    let catalog = handles.catalog.now();
    let teams = catalog.teams_of(agent.account.id);
    HttpResponse::Ok().json(teams.into_iter().map(|team| render(team, &agent)).collect::<Vec<_>>())
}

/// One team.
#[utoipa::path(get, path = "", tag = "Teams", responses((status = 200, description = "the team"), (status = 404, description = "no such team")))]
pub async fn show(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let team = of_account(&handles, &agent, path.1)?;
    Ok(HttpResponse::Ok().json(render(&team, &agent)))
}

/// Creates a team without members.
#[utoipa::path(post, path = "", tag = "Teams", request_body = TeamFields, responses((status = 200, description = "the team"), (status = 422, description = "a field is wrong")))]
pub async fn create(handles: web::Data<Handles>, administrator: Administrator, body: Body<TeamFields>) -> ApiResult<HttpResponse> {
    let (agent, fields, now) = (administrator.0, body.value, entity::now());
    let row = team::ActiveModel {
        id: ActiveValue::NotSet,
        account_id: ActiveValue::Set(agent.account.id),
        name: ActiveValue::Set(checked_name(fields.name.as_deref().unwrap_or_default())?),
        description: ActiveValue::Set(fields.description.flatten()),
        allow_auto_assign: ActiveValue::Set(fields.allow_auto_assign.unwrap_or(true)),
        created_at: ActiveValue::Set(now),
        updated_at: ActiveValue::Set(now),
    };
    let transaction = handles.db.write.begin().await?;
    let stored = row.insert(&transaction).await?;
    audit::created(&transaction, &agent.author(), ("Team", stored.id), &stored).await?;
    transaction.commit().await?;
    answer(&handles, &agent, stored.id).await
}

/// Changes a team.
#[utoipa::path(patch, path = "", tag = "Teams", request_body = TeamFields, responses((status = 200, description = "the team"), (status = 404, description = "no such team"), (status = 422, description = "a field is wrong")))]
pub async fn update(
    handles: web::Data<Handles>,
    administrator: Administrator,
    path: web::Path<(i64, i64)>,
    body: Body<TeamFields>,
) -> ApiResult<HttpResponse> {
    let (agent, fields) = (administrator.0, body.value);
    let team = of_account(&handles, &agent, path.1)?;
    let mut row = team.row.clone().into_active_model();
    if let Some(name) = fields.name {
        row.name = ActiveValue::Set(checked_name(&name)?);
    }
    if let Some(description) = fields.description {
        row.description = ActiveValue::Set(description);
    }
    if let Some(allowed) = fields.allow_auto_assign {
        row.allow_auto_assign = ActiveValue::Set(allowed);
    }
    row.updated_at = ActiveValue::Set(entity::now());
    let transaction = handles.db.write.begin().await?;
    let after = row.update(&transaction).await?;
    audit::updated(&transaction, &agent.author(), ("Team", after.id), &team.row, &after).await?;
    transaction.commit().await?;
    answer(&handles, &agent, after.id).await
}

/// Removes a team; its conversations are no team's then.
#[utoipa::path(delete, path = "", tag = "Teams", responses((status = 200, description = "removed"), (status = 404, description = "no such team")))]
pub async fn remove(handles: web::Data<Handles>, administrator: Administrator, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let agent = administrator.0;
    let team = of_account(&handles, &agent, path.1)?;
    finished(async move {
        let id = team.row.id;
        let of_team = || Condition::all().add(conversation::Column::TeamId.eq(id));
        // The team itself comes last: cut off before, the same request asked again goes on.
        change_all(&handles, of_team(), agent.by(), Change::WithoutTeam(id)).await?;
        let transaction = handles.db.write.begin().await?;
        team_member::Entity::delete_many().filter(team_member::Column::TeamId.eq(id)).exec(&transaction).await?;
        team::Entity::delete_by_id(id).exec(&transaction).await?;
        audit::destroyed(&transaction, &agent.author(), ("Team", id), &team.row).await?;
        transaction.commit().await?;
        handles.catalog.reload().await?;
        // What was given to it until nobody could name it any more.
        change_all(&handles, of_team(), agent.by(), Change::WithoutTeam(id)).await?;
        cache_keys::changed(&handles, agent.account.id).await
    })
    .await?;
    Ok(HttpResponse::Ok().finish())
}

/// Which agents belong to a team.
#[derive(Deserialize, ToSchema)]
pub struct TeamMembers {
    #[serde(default, deserialize_with = "fields::ids")]
    user_ids: Vec<i64>,
}

impl Request for TeamMembers {}

/// The members of a team.
#[utoipa::path(get, path = "", tag = "Teams", responses((status = 200, description = "an array of agents")))]
pub async fn members(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let team = of_account(&handles, &agent, path.1)?;
    Ok(agents(&handles, &agent, &team.members))
}

/// Adds members; answers those who are new.
#[utoipa::path(post, path = "", tag = "Teams", request_body = TeamMembers, responses((status = 200, description = "an array of the new agents"), (status = 401, description = "somebody is no agent of the account")))]
pub async fn add_members(
    handles: web::Data<Handles>,
    administrator: Administrator,
    path: web::Path<(i64, i64)>,
    body: Body<TeamMembers>,
) -> ApiResult<HttpResponse> {
    let agent = administrator.0;
    let team = of_account(&handles, &agent, path.1)?;
    let new: Vec<i64> = known(&handles, &agent, body.value.user_ids)?.into_iter().filter(|id| !team.members.contains(id)).collect();
    store_members(&handles, &agent, &team, team.members.iter().copied().chain(new.iter().copied()).collect()).await?;
    Ok(agents(&handles, &agent, &new))
}

/// Replaces all members.
#[utoipa::path(patch, path = "", tag = "Teams", request_body = TeamMembers, responses((status = 200, description = "an array of all agents"), (status = 401, description = "somebody is no agent of the account")))]
pub async fn replace_members(
    handles: web::Data<Handles>,
    administrator: Administrator,
    path: web::Path<(i64, i64)>,
    body: Body<TeamMembers>,
) -> ApiResult<HttpResponse> {
    let agent = administrator.0;
    let team = of_account(&handles, &agent, path.1)?;
    let wanted = known(&handles, &agent, body.value.user_ids)?;
    store_members(&handles, &agent, &team, wanted.clone()).await?;
    Ok(agents(&handles, &agent, &wanted.into_iter().collect::<Vec<_>>()))
}

/// Takes members out.
#[utoipa::path(delete, path = "", tag = "Teams", request_body = TeamMembers, responses((status = 200, description = "removed")))]
pub async fn remove_members(
    handles: web::Data<Handles>,
    administrator: Administrator,
    path: web::Path<(i64, i64)>,
    body: Body<TeamMembers>,
) -> ApiResult<HttpResponse> {
    let agent = administrator.0;
    let team = of_account(&handles, &agent, path.1)?;
    let wanted = team.members.iter().copied().filter(|id| !body.value.user_ids.contains(id)).collect();
    store_members(&handles, &agent, &team, wanted).await?;
    Ok(HttpResponse::Ok().finish())
}

async fn store_members(handles: &Handles, agent: &Agent, team: &Team, wanted: BTreeSet<i64>) -> ApiResult<()> {
    let transaction = handles.db.write.begin().await?;
    write_members(&transaction, team.row.id, &wanted).await?;
    let (before, after) = (json!({ "members": team.members }), json!({ "members": wanted }));
    audit::updated(&transaction, &agent.author(), ("Team", team.row.id), &before, &after).await?;
    transaction.commit().await?;
    handles.catalog.reload().await?;
    handles.wakes.assignment.notify_one();
    cache_keys::changed(handles, agent.account.id).await
}

async fn write_members(db: &DatabaseTransaction, team_id: i64, wanted: &BTreeSet<i64>) -> ApiResult<()> {
    team_member::Entity::delete_many().filter(team_member::Column::TeamId.eq(team_id)).exec(db).await?;
    let now = entity::now();
    let rows: Vec<_> = wanted
        .iter()
        .map(|user_id| team_member::ActiveModel {
            id: ActiveValue::NotSet,
            team_id: ActiveValue::Set(team_id),
            user_id: ActiveValue::Set(*user_id),
            created_at: ActiveValue::Set(now),
        })
        .collect();
    if !rows.is_empty() {
        team_member::Entity::insert_many(rows).exec_without_returning(db).await?;
    }
    Ok(())
}

fn known(handles: &Handles, agent: &Agent, ids: Vec<i64>) -> ApiResult<BTreeSet<i64>> {
    let catalog = handles.catalog.now();
    let is_known = |id: &i64| catalog.user(*id).is_some_and(|user| user.place(agent.account.id).is_some());
    // 401 and these words are the contract's.
    if ids.iter().all(is_known) { Ok(ids.into_iter().collect()) } else { Err(ApiError::unauthorized("Invalid User IDs")) }
}

fn checked_name(name: &str) -> ApiResult<String> {
    match name.trim().to_lowercase() {
        name if name.is_empty() => Err(ApiError::invalid("name", "Name can't be blank")),
        name if name.chars().count() > 255 => Err(ApiError::invalid("name", "Name is longer than 255 characters")),
        name => Ok(name),
    }
}

fn of_account(handles: &Handles, agent: &Agent, id: i64) -> ApiResult<Arc<Team>> {
    let catalog = handles.catalog.now();
    catalog.team(id).filter(|team| team.row.account_id == agent.account.id).cloned().ok_or_else(ApiError::not_found)
}

async fn answer(handles: &Handles, agent: &Agent, id: i64) -> ApiResult<HttpResponse> {
    handles.catalog.reload().await?;
    cache_keys::changed(handles, agent.account.id).await?;
    let team = of_account(handles, agent, id)?;
    Ok(HttpResponse::Ok().json(render(&team, agent)))
}

fn agents(handles: &Handles, agent: &Agent, ids: &[i64]) -> HttpResponse {
    HttpResponse::Ok().json(render::agents(handles, &handles.catalog.now(), ids, agent.account.id))
}

fn render(team: &Team, agent: &Agent) -> Value {
    json!({
        "id": team.row.id,
        "name": team.row.name,
        "description": team.row.description,
        "allow_auto_assign": team.row.allow_auto_assign,
        "account_id": team.row.account_id,
        "is_member": team.members.binary_search(&agent.user.row.id).is_ok(),
    })
}
