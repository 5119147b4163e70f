//! Macros: actions that an agent runs together on some conversations.
use super::auth::Agent;
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::scope::find;
use super::{actions, audit, fields, macro_runs, render};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use actors::system::Handles;
use actors::wire::set;
use entity::blob;
use entity::macros::{self, Visibility};
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, EntityTrait, ExprTrait, IntoActiveModel, QueryFilter, QueryOrder, TransactionTrait,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use utoipa::ToSchema;

/// The most conversations of one run.
const RUN_LIMIT: usize = 100;

/// A macro as it is created or changed.
#[derive(Deserialize, ToSchema)]
pub struct MacroFields {
    #[serde(default, deserialize_with = "fields::text")]
    name: Option<String>,
    /// `personal` or `global`.
    #[serde(default, deserialize_with = "fields::text")]
    visibility: Option<String>,
    /// `[{action_name, action_params}]`.
    #[schema(value_type = Option<Vec<Object>>)]
    actions: Option<Value>,
}

impl Request for MacroFields {
    const ENVELOPE: Option<&'static str> = Some("macro");
}

/// The caller's own macros and the account's.
#[utoipa::path(get, path = "", tag = "Macros", responses((status = 200, description = "payload: macros")))]
pub async fn list(handles: web::Data<Handles>, agent: Agent) -> ApiResult<HttpResponse> {
    let is_usable = macros::Column::Visibility.eq(Visibility::Global).or(macros::Column::CreatedById.eq(agent.user.row.id));
    let rows = macros::Entity::find().filter(macros::Column::AccountId.eq(agent.account.id)).filter(is_usable);
    let rows = rows.order_by_asc(macros::Column::Id).all(&handles.db.read).await?;
    Ok(HttpResponse::Ok().json(json!({ "payload": shown(&handles, &rows).await? })))
}

/// One macro.
#[utoipa::path(get, path = "", tag = "Macros", responses((status = 200, description = "payload: the macro"), (status = 404, description = "no such macro")))]
pub async fn show(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    answer(&handles, usable(&handles, &agent, path.1).await?).await
}

/// Creates a macro; those of an agent are personal, whatever is asked.
#[utoipa::path(post, path = "", tag = "Macros", request_body = MacroFields, responses((status = 200, description = "payload: the macro"), (status = 422, description = "a field is wrong")))]
pub async fn create(handles: web::Data<Handles>, agent: Agent, body: Body<MacroFields>) -> ApiResult<HttpResponse> {
    let now = entity::now();
    let fields = body.value;
    let row = macros::ActiveModel {
        id: ActiveValue::NotSet,
        account_id: ActiveValue::Set(agent.account.id),
        name: ActiveValue::Set(checked_name(fields.name.as_deref().unwrap_or_default())?),
        visibility: ActiveValue::Set(checked_visibility(&agent, fields.visibility.as_deref())?),
        created_by_id: ActiveValue::Set(agent.user.row.id),
        updated_by_id: ActiveValue::Set(agent.user.row.id),
        actions: ActiveValue::Set(checked_actions(&handles, &agent, fields.actions.unwrap_or_default()).await?),
        created_at: ActiveValue::Set(now),
        updated_at: ActiveValue::Set(now),
    };
    let transaction = handles.db.write.begin().await?;
    let stored = row.insert(&transaction).await?;
    audit::created(&transaction, &agent.author(), ("Macro", stored.id), &stored).await?;
    transaction.commit().await?;
    answer(&handles, stored).await
}

/// Changes a macro.
#[utoipa::path(patch, path = "", tag = "Macros", request_body = MacroFields, responses((status = 200, description = "payload: the macro"), (status = 422, description = "a field is wrong")))]
pub async fn update(
    handles: web::Data<Handles>,
    agent: Agent,
    path: web::Path<(i64, i64)>,
    body: Body<MacroFields>,
) -> ApiResult<HttpResponse> {
    let fields = body.value;
    let before = own(&agent, usable(&handles, &agent, path.1).await?)?;
    let mut row = before.clone().into_active_model();
    if let Some(name) = &fields.name {
        row.name = ActiveValue::Set(checked_name(name)?);
    }
    if fields.visibility.is_some() {
        row.visibility = ActiveValue::Set(checked_visibility(&agent, fields.visibility.as_deref())?);
    }
    if let Some(actions) = fields.actions {
        row.actions = ActiveValue::Set(checked_actions(&handles, &agent, actions).await?);
    }
    row.updated_by_id = ActiveValue::Set(agent.user.row.id);
    row.updated_at = ActiveValue::Set(entity::now());
    let transaction = handles.db.write.begin().await?;
    let after = row.update(&transaction).await?;
    audit::updated(&transaction, &agent.author(), ("Macro", after.id), &before, &after).await?;
    transaction.commit().await?;
    answer(&handles, after).await
}

/// Removes a macro.
#[utoipa::path(delete, path = "", tag = "Macros", responses((status = 200, description = "removed"), (status = 404, description = "no such macro")))]
pub async fn remove(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let row = own(&agent, usable(&handles, &agent, path.1).await?)?;
    let transaction = handles.db.write.begin().await?;
    macros::Entity::delete_by_id(row.id).exec(&transaction).await?;
    audit::destroyed(&transaction, &agent.author(), ("Macro", row.id), &row).await?;
    transaction.commit().await?;
    Ok(HttpResponse::Ok().finish())
}

/// On which conversations a macro is run.
#[derive(Deserialize, ToSchema)]
pub struct Run {
    #[serde(deserialize_with = "fields::ids")]
    conversation_ids: Vec<i64>,
}

impl Request for Run {}

/// Runs a macro: its actions in order, on each conversation all of them or none. Everything that they name is looked up before the
/// first conversation is touched; the first refusal ends it and says where.
#[utoipa::path(post, path = "", tag = "Macros", request_body = Run, responses((status = 200, description = "done"), (status = 422, description = "an action was refused")))]
pub async fn execute(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>, body: Body<Run>) -> ApiResult<HttpResponse> {
    let row = usable(&handles, &agent, path.1).await?;
    let actions = actions::parse(&row.actions).map_err(|words| ApiError::invalid("actions", words))?;
    let ids = body.value.conversation_ids;
    if ids.is_empty() || ids.len() > RUN_LIMIT {
        return Err(ApiError::invalid("conversation_ids", format!("conversation_ids: between 1 and {RUN_LIMIT} conversations")));
    }
    // Everything is looked up first, so that a wrong id changes nothing.
    let mut plans = Vec::with_capacity(ids.len());
    for id in ids {
        let found = find(&handles, &agent, id).await?;
        plans.push(macro_runs::plan(&handles, &agent, &row, &actions, id, found).await.map_err(|error| at(id, error))?);
    }
    for plan in plans {
        let id = plan.display_id;
        macro_runs::run(&handles, &agent, plan).await.map_err(|error| at(id, error))?;
    }
    Ok(HttpResponse::Ok().finish())
}

/// Says in which conversation an action was refused.
fn at(display_id: i64, error: ApiError) -> ApiError {
    match error.status() {
        StatusCode::UNPROCESSABLE_ENTITY => ApiError::unprocessable(format!("conversation {display_id}: {error}")),
        _ => error,
    }
}

async fn usable(handles: &Handles, agent: &Agent, id: i64) -> ApiResult<macros::Model> {
    let row = macros::Entity::find_by_id(id).filter(macros::Column::AccountId.eq(agent.account.id)).one(&handles.db.read).await?;
    let is_usable = |row: &macros::Model| row.visibility == Visibility::Global || row.created_by_id == agent.user.row.id;
    row.filter(is_usable).ok_or_else(ApiError::not_found)
}

/// A global macro is the administrators' to change, a personal one its maker's.
fn own(agent: &Agent, row: macros::Model) -> ApiResult<macros::Model> {
    match row.created_by_id == agent.user.row.id || agent.is_administrator() {
        true => Ok(row),
        false => Err(ApiError::refused()),
    }
}

fn checked_name(name: &str) -> ApiResult<String> {
    match name.trim() {
        "" => Err(ApiError::invalid("name", "name can't be blank")),
        name if name.chars().count() > 255 => Err(ApiError::invalid("name", "name is too long (maximum is 255 characters)")),
        name => Ok(name.to_owned()),
    }
}

fn checked_visibility(agent: &Agent, visibility: Option<&str>) -> ApiResult<Visibility> {
    match visibility.unwrap_or("personal") {
        "global" if agent.is_administrator() => Ok(Visibility::Global),
        "global" | "personal" => Ok(Visibility::Personal),
        other => Err(ApiError::invalid("visibility", format!("visibility: \"{other}\" is none of personal, global"))),
    }
}

async fn checked_actions(handles: &Handles, agent: &Agent, given: Value) -> ApiResult<Value> {
    let parsed = actions::parse(&given).map_err(|words| ApiError::invalid("actions", words))?;
    actions::check(handles, agent.account.id, &parsed).await?;
    Ok(given)
}

async fn answer(handles: &Handles, row: macros::Model) -> ApiResult<HttpResponse> {
    let shown = shown(handles, &[row]).await?.pop();
    Ok(HttpResponse::Ok().json(json!({ "payload": shown })))
}

/// Macros as they are shown; with the files that they send, where they send some that are still there.
async fn shown(handles: &Handles, rows: &[macros::Model]) -> ApiResult<Vec<Value>> {
    let files_of: Vec<Vec<i64>> = rows.iter().map(|row| actions::files(&actions::parse(&row.actions).unwrap_or_default())).collect();
    let ids: BTreeSet<i64> = files_of.iter().flatten().copied().collect();
    let files = blob::Entity::find().filter(blob::Column::Id.is_in(ids)).all(&handles.db.read).await?;
    let files: HashMap<i64, blob::Model> = files.into_iter().map(|file| (file.id, file)).collect();
    let catalog = handles.catalog.now();
    let one = |(row, file_ids): (&macros::Model, Vec<i64>)| {
        let mut shown = json!({
            "id": row.id,
            "name": row.name,
            "visibility": row.visibility.name(),
            "account_id": row.account_id,
            "actions": row.actions,
        });
        for (name, id) in [("created_by", row.created_by_id), ("updated_by", row.updated_by_id)] {
            if let Some(user) = catalog.user(id) {
                set(&mut shown, name, render::agent(handles, user, row.account_id));
            }
        }
        let of_account = |id: i64| files.get(&id).filter(|file| file.account_id == row.account_id);
        let sent: Vec<Value> = file_ids.into_iter().filter_map(of_account).map(|file| shown_file(handles, row, file)).collect();
        if !sent.is_empty() {
            set(&mut shown, "files", sent.into());
        }
        shown
    };
    Ok(rows.iter().zip(files_of).map(one).collect())
}

fn shown_file(handles: &Handles, row: &macros::Model, file: &blob::Model) -> Value {
    json!({
        "id": file.id,
        "macro_id": row.id,
        "account_id": row.account_id,
        "file_type": file.content_type,
        "file_url": handles.files.url(&file.key, &file.file_name),
        "blob_id": file.id,
        "filename": file.file_name,
    })
}
