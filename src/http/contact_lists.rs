//! Lists of contacts: listed, searched, filtered. What they read is decided in `reads::contacts`.
use super::auth::Agent;
use super::body::Body;
use super::conversation_lists::Filters;
use super::error::ApiResult;
use super::query::{self, Query};
use super::throttle::{Limit, Throttle};
use super::{fields, filtering, render, search as searching, views};
use crate::reads::contacts::{self as lists, Sort};
use crate::reads::{self, Page, filter, search as reading};
use actix_web::{HttpResponse, web};
use actors::system::Handles;
use entity::contact::{self, Column};
use sea_orm::{ColumnTrait, Condition};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

/// How many contacts are on a page (contract, section 0).
const PAGE: u64 = 15;

/// Which contacts are listed.
#[derive(Deserialize, IntoParams)]
pub struct ListQuery {
    /// From 1.
    #[serde(default, deserialize_with = "query::page")]
    page: Option<u64>,
    /// `name`, `email`, `phone_number`, `last_activity_at`, `created_at`, `company_name`, `city`, `country`; with `-` in front
    /// descending.
    #[serde(default, deserialize_with = "fields::text")]
    sort: Option<String>,
    /// Only those with any of these labels.
    #[serde(default, deserialize_with = "query::texts")]
    #[param(rename = "labels[]")]
    labels: Vec<String>,
    /// For the search.
    #[serde(default, deserialize_with = "fields::text")]
    q: Option<String>,
    /// Whether `contact_inboxes` are shown; they are unless this is false.
    #[serde(default, deserialize_with = "fields::flag")]
    include_contact_inboxes: Option<bool>,
}

impl ListQuery {
    fn page(&self) -> Page {
        Page::of(self.page.unwrap_or(1), PAGE)
    }

    /// As it was asked for (contract, section 2, Contacts).
    fn current_page(&self) -> Value {
        self.page.map_or_else(|| json!(1), |page| json!(page.to_string()))
    }

    fn sort(&self) -> Sort {
        Sort::named(self.sort.as_deref().unwrap_or("name"))
    }
}

/// Contacts of whom something is known.
#[utoipa::path(get, path = "", tag = "Contacts", params(ListQuery), responses((status = 200, description = "meta, payload: contacts")))]
pub async fn list(handles: web::Data<Handles>, agent: Agent, query: Query<ListQuery>) -> ApiResult<HttpResponse> {
    let mut condition = lists::known(agent.account.id);
    if !query.0.labels.is_empty() {
        condition = condition.add(lists::labelled(agent.account.id, &query.0.labels));
    }
    counted(&handles, agent.account.id, condition, &query.0).await
}

/// Contacts that are online.
#[utoipa::path(get, path = "", tag = "Contacts", params(ListQuery), responses((status = 200, description = "meta, payload: contacts")))]
pub async fn active(handles: web::Data<Handles>, agent: Agent, query: Query<ListQuery>) -> ApiResult<HttpResponse> {
    let online = handles.presence.contacts(agent.account.id).into_keys().filter_map(|id| id.parse::<i64>().ok());
    let condition = lists::known(agent.account.id).add(Column::Id.is_in(online));
    counted(&handles, agent.account.id, condition, &query.0).await
}

/// Contacts that match filters.
#[utoipa::path(post, path = "", tag = "Contacts", params(ListQuery), request_body = Filters, responses((status = 200, description = "meta, payload: contacts"), (status = 422, description = "an unknown key, operator or value")))]
pub async fn filter(handles: web::Data<Handles>, agent: Agent, query: Query<ListQuery>, body: Body<Filters>) -> ApiResult<HttpResponse> {
    let compiled = filtering::compile(&handles, agent.account.id, filter::Table::Contacts, &body.value.payload).await?;
    counted(&handles, agent.account.id, lists::known(agent.account.id).add(compiled), &query.0).await
}

/// Contacts whose name, address, number or identifier contains the text.
#[utoipa::path(get, path = "", tag = "Contacts", params(ListQuery), responses((status = 200, description = "meta, payload: contacts"), (status = 422, description = "q is missing")))]
pub async fn search(handles: web::Data<Handles>, agent: Agent, throttle: Throttle, query: Query<ListQuery>) -> ApiResult<HttpResponse> {
    throttle.admit(Limit::ContactSearch, agent.account.id)?;
    let query = query.0;
    let words = searching::words(query.q.clone())?;
    let page = query.page();
    let matching = reading::contacts(handles.db.read.get_database_backend(), agent.account.id, &words);
    let matching = reads::ids(&handles.db.read, &matching).await?;
    let condition = lists::of_account(agent.account.id).add(Column::Id.is_in(matching));
    // One more tells whether there are more.
    let mut ids = reads::ids(&handles.db.read, &lists::page(&condition, &query.sort(), Page { size: PAGE + 1, ..page })).await?;
    let has_more = u64::try_from(ids.len()).is_ok_and(|found| found > PAGE);
    if has_more {
        ids.pop();
    }
    let payload = shown(&handles, &ids, query.include_contact_inboxes != Some(false)).await?;
    let meta = json!({ "count": payload.len(), "current_page": query.current_page(), "has_more": has_more });
    Ok(HttpResponse::Ok().json(json!({ "meta": meta, "payload": payload })))
}

/// How many contacts there are of whom something is known, as it is counted in memory.
async fn known(handles: &Handles, account_id: i64) -> ApiResult<Option<i64>> {
    if let Some(count) = handles.standings.contacts(account_id) {
        return Ok(Some(count));
    }
    handles.count(account_id).await?;
    Ok(handles.standings.contacts(account_id))
}

async fn counted(handles: &Handles, account_id: i64, condition: Condition, query: &ListQuery) -> ApiResult<HttpResponse> {
    let count = match condition == lists::known(account_id) {
        true => known(handles, account_id).await?,
        false => None,
    };
    let count = match count {
        Some(count) => count,
        None => reads::ids(&handles.db.read, &lists::count(&condition)).await?.pop().unwrap_or_default(),
    };
    let ids = reads::ids(&handles.db.read, &lists::page(&condition, &query.sort(), query.page())).await?;
    let payload = shown(handles, &ids, query.include_contact_inboxes != Some(false)).await?;
    Ok(HttpResponse::Ok().json(json!({ "meta": { "count": count, "current_page": query.current_page() }, "payload": payload })))
}

/// Contacts as they are listed, in the order of their ids here.
pub async fn shown(handles: &Handles, ids: &[i64], with_identities: bool) -> ApiResult<Vec<Value>> {
    let rows = reads::rows::<contact::Entity>(&handles.db.read, Column::Id, ids, |row| row.id).await?;
    let identities = if with_identities && !ids.is_empty() { Some(views::identities(handles, ids).await?) } else { None };
    let identities = identities.or_else(|| with_identities.then(Vec::new));
    Ok(rows.iter().map(|row| render::contact(handles, row, identities.as_deref())).collect())
}
