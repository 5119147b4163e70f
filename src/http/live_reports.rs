//! How the account's conversations stand now: counted when asked, so it needs no record of what was.
use super::auth::Administrator;
use super::error::{ApiError, ApiResult};
use super::fields;
use super::query::{self, Query};
use crate::reads::Page;
use crate::reads::conversations::{counts, standing};
use actix_web::{HttpResponse, web};
use actors::system::Handles;
use entity::conversation::{Column, Status};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, QueryResult};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use utoipa::IntoParams;

/// How many agents are on a page (contract, section 0).
const PAGE: u64 = 25;

/// Whose conversations are counted.
#[derive(Deserialize, IntoParams)]
pub struct LiveQuery {
    /// Only those of this team.
    #[serde(default, deserialize_with = "fields::optional_id")]
    team_id: Option<i64>,
    /// `team_id` or `assignee_id`.
    #[serde(default, deserialize_with = "fields::text")]
    group_by: Option<String>,
    /// `account` or `agent`.
    #[serde(default, rename = "type", deserialize_with = "fields::text")]
    kind: Option<String>,
    /// From 1.
    #[serde(default, deserialize_with = "query::page")]
    page: Option<u64>,
}

impl LiveQuery {
    fn condition(&self, administrator: &Administrator) -> Condition {
        let of_account = Condition::all().add(Column::AccountId.eq(administrator.0.account.id));
        of_account.add_option(self.team_id.map(|id| Column::TeamId.eq(id)))
    }
}

/// How many open conversations of a kind there are.
struct Standing {
    open: i64,
    unattended: i64,
    unassigned: i64,
}

/// How many conversations are open, unattended, unassigned and pending.
#[utoipa::path(get, path = "", tag = "Reports", params(LiveQuery), responses((status = 200, description = "open, unattended, unassigned, pending")))]
pub async fn metrics(handles: web::Data<Handles>, administrator: Administrator, query: Query<LiveQuery>) -> ApiResult<HttpResponse> {
    Ok(HttpResponse::Ok().json(all(&handles, &query.0.condition(&administrator)).await?))
}

/// The same of open conversations, by team or by who has them.
#[utoipa::path(get, path = "", tag = "Reports", params(LiveQuery), responses((status = 200, description = "an array"), (status = 422, description = "group_by is unknown")))]
pub async fn grouped(handles: web::Data<Handles>, administrator: Administrator, query: Query<LiveQuery>) -> ApiResult<HttpResponse> {
    let name = query.0.group_by.clone().unwrap_or_default();
    let column = match name.as_str() {
        "team_id" => Column::TeamId,
        "assignee_id" => Column::AssigneeId,
        _ => return Err(ApiError::invalid("group_by", "group_by must be team_id or assignee_id")),
    };
    let mut shown = Vec::new();
    for (id, standing) in by(&handles, &query.0.condition(&administrator), column).await? {
        let mut group = json!({ "open": standing.open, "unattended": standing.unattended, "unassigned": standing.unassigned });
        actors::wire::set(&mut group, &name, id.into());
        shown.push(group);
    }
    Ok(HttpResponse::Ok().json(shown))
}

/// The same of the account, or what each agent has.
#[utoipa::path(get, path = "", tag = "Reports", params(LiveQuery), responses((status = 200, description = "counts, or an array of agents with theirs"), (status = 422, description = "type is unknown")))]
pub async fn conversations(handles: web::Data<Handles>, administrator: Administrator, query: Query<LiveQuery>) -> ApiResult<HttpResponse> {
    let condition = query.0.condition(&administrator);
    match query.0.kind.as_deref() {
        Some("account") => Ok(HttpResponse::Ok().json(all(&handles, &condition).await?)),
        Some("agent") => {
            let found: HashMap<_, _> = by(&handles, &condition, Column::AssigneeId).await?.into_iter().collect();
            let (catalog, account_id) = (handles.catalog.now(), administrator.0.account.id);
            let page = Page::of(query.0.page.unwrap_or(1), PAGE);
            let (begin, size) = (usize::try_from(page.offset).unwrap_or(usize::MAX), usize::try_from(page.size).unwrap_or(usize::MAX));
            let agents = catalog.users_of(account_id).into_iter().skip(begin).take(size).map(|user| {
                let (open, unattended) = found.get(&Some(user.row.id)).map_or((0, 0), |standing| (standing.open, standing.unattended));
                json!({
                    "id": user.row.id,
                    "name": user.row.name,
                    "email": user.row.email,
                    "thumbnail": user.avatar_url,
                    "availability": handles.presence.availability(account_id, user.row.id).name(),
                    "metric": { "open": open, "unattended": unattended },
                })
            });
            Ok(HttpResponse::Ok().json(agents.collect::<Vec<_>>()))
        }
        _ => Err(ApiError::invalid("type", "type must be account or agent")),
    }
}

async fn all(handles: &Handles, condition: &Condition) -> ApiResult<Value> {
    let db = &handles.db.read;
    let open = db.query_one(&standing(condition, None)).await?.ok_or_else(|| ApiError::failed("a count gave no row"))?;
    let open = read(&open, 0)?;
    let pending =
        db.query_one(&counts(condition, Some(Status::Pending), 0)).await?.ok_or_else(|| ApiError::failed("a count gave no row"))?;
    let pending: i64 = pending.try_get_by_index(0)?;
    Ok(json!({ "open": open.open, "unattended": open.unattended, "unassigned": open.unassigned, "pending": pending }))
}

async fn by(handles: &Handles, condition: &Condition, column: Column) -> ApiResult<Vec<(Option<i64>, Standing)>> {
    let rows = handles.db.read.query_all(&standing(condition, Some(column))).await?;
    let mut groups = rows.iter().map(|row| Ok((row.try_get_by_index(0)?, read(row, 1)?))).collect::<ApiResult<Vec<(Option<i64>, _)>>>()?;
    groups.sort_unstable_by_key(|(id, _)| *id);
    Ok(groups)
}

/// What `standing` counts, from a column on.
fn read(row: &QueryResult, first: usize) -> ApiResult<Standing> {
    let count = |position: usize| row.try_get_by_index::<i64>(first + position);
    let (open, assigned) = (count(0)?, count(1)?);
    Ok(Standing { open, unattended: count(2)?, unassigned: open - assigned })
}
