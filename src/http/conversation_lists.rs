//! Lists of conversations: listed, counted, filtered, searched. What they read is decided in `reads::conversations`.
use super::auth::Agent;
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::query::{self, Query};
use super::throttle::{Limit, Throttle};
use super::{fields, filtering, render, search, views};
use crate::reads::conversations::{self as lists, Scope, Sort};
use crate::reads::{self, Page, filter, search as reading};
use actix_web::{HttpResponse, web};
use actors::standings::{self, Group};
use actors::system::Handles;
use entity::conversation::{self, Column, Status};
use entity::{contact_inbox, now};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, Iterable, QueryFilter, QuerySelect, QueryTrait};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// How many conversations are on a page (contract, section 0).
const PAGE: u64 = 25;

/// Which conversations are listed.
#[derive(Deserialize, IntoParams)]
pub struct ListQuery {
    /// `open` (the default), `resolved`, `pending`, `snoozed` or `all`.
    #[serde(default, deserialize_with = "fields::text")]
    status: Option<String>,
    /// `me`, `unassigned`, `assigned` or `all`; the counts ignore it.
    #[serde(default, deserialize_with = "fields::text")]
    assignee_type: Option<String>,
    /// From 1.
    #[serde(default, deserialize_with = "query::page")]
    page: Option<u64>,
    /// Only this inbox.
    #[serde(default, deserialize_with = "fields::optional_id")]
    inbox_id: Option<i64>,
    /// Only those of this team.
    #[serde(default, deserialize_with = "fields::optional_id")]
    team_id: Option<i64>,
    /// Only those with any of these labels.
    #[serde(default, deserialize_with = "query::texts")]
    #[param(rename = "labels[]")]
    labels: Vec<String>,
    /// Only those in which a message has these words, whatever their status.
    #[serde(default, deserialize_with = "fields::text")]
    q: Option<String>,
    /// `mention`, `participating` or `unattended`.
    #[serde(default, deserialize_with = "fields::text")]
    conversation_type: Option<String>,
    /// Such as `last_activity_at_desc` (the default), `created_at_asc`, `priority_desc`, `waiting_since_asc`, `unread`.
    #[serde(default, deserialize_with = "fields::text")]
    sort_by: Option<String>,
    /// Only those of the contact with this address.
    #[serde(default, deserialize_with = "fields::text")]
    source_id: Option<String>,
    /// Only what has changed in so many seconds.
    #[serde(default, deserialize_with = "fields::optional_id")]
    updated_within: Option<i64>,
}

/// A list that was asked for.
struct List {
    condition: Condition,
    /// What of it is counted in memory; none where only the database knows.
    counted: Option<Counted>,
    status: Option<Status>,
    sort: Sort,
    page: Page,
}

/// A list of which only these differ from another.
#[derive(Clone, Copy, Debug)]
struct Counted {
    inbox_id: Option<i64>,
    team_id: Option<i64>,
}

/// Conversations of the inboxes that the caller may see, and how many there are.
#[utoipa::path(get, path = "", tag = "Conversations", params(ListQuery), responses((status = 200, description = "data: meta (counts), payload: conversations")))]
pub async fn list(handles: web::Data<Handles>, agent: Agent, query: Query<ListQuery>) -> ApiResult<HttpResponse> {
    let list = asked(&handles, &agent, &query.0)?;
    let counts = Counts::read(&handles, &agent, &list).await?;
    let condition = match given(query.0.assignee_type).as_deref() {
        Some("me") => list.condition.add(Column::AssigneeId.eq(agent.user.row.id)),
        Some("unassigned") => list.condition.add(Column::AssigneeId.is_null()),
        Some("assigned") => list.condition.add(Column::AssigneeId.is_not_null()),
        None | Some("all") => list.condition,
        Some(other) => return Err(no_choice("assignee_type", other, "me, unassigned, assigned, all")),
    };
    let payload = shown(&handles, &List { condition, ..list }).await?;
    Ok(HttpResponse::Ok().json(json!({ "data": { "meta": counts.with_assigned(), "payload": payload } })))
}

/// How many conversations there are.
#[utoipa::path(get, path = "", tag = "Conversations", params(ListQuery), responses((status = 200, description = "meta: mine_count, assigned_count, unassigned_count, all_count")))]
pub async fn meta(handles: web::Data<Handles>, agent: Agent, throttle: Throttle, query: Query<ListQuery>) -> ApiResult<HttpResponse> {
    throttle.admit(Limit::ConversationCounts, agent.user.row.id)?;
    let list = asked(&handles, &agent, &query.0)?;
    Ok(HttpResponse::Ok().json(json!({ "meta": Counts::read(&handles, &agent, &list).await?.with_assigned() })))
}

/// How many open conversations have something that nobody has read, of those that the caller may see.
#[utoipa::path(get, path = "", tag = "Conversations", responses((status = 200, description = "payload: all_count, inboxes, labels and teams by their ids")))]
pub async fn unread_counts(handles: web::Data<Handles>, agent: Agent) -> ApiResult<HttpResponse> {
    let scope = scope(&agent);
    let (mut all, mut inboxes, mut teams) = (0, BTreeMap::new(), BTreeMap::new());
    for row in handles.db.read.query_all(&lists::unread(&scope)).await? {
        let (inbox_id, team_id, count): (i64, Option<i64>, i64) =
            (row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?);
        all += count;
        *inboxes.entry(inbox_id.to_string()).or_insert(0) += count;
        if let Some(team_id) = team_id {
            *teams.entry(team_id.to_string()).or_insert(0) += count;
        }
    }
    let mut labels = BTreeMap::new();
    for row in handles.db.read.query_all(&lists::unread_by_label(&scope)).await? {
        let (label_id, count): (i64, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        labels.insert(label_id.to_string(), count);
    }
    Ok(HttpResponse::Ok().json(json!({ "payload": { "all_count": all, "inboxes": inboxes, "labels": labels, "teams": teams } })))
}

/// Filters, as the contract has them (section 4).
#[derive(Deserialize, ToSchema)]
pub struct Filters {
    /// `attribute_key`, `filter_operator`, `values`, `query_operator` each.
    #[schema(value_type = Vec<Object>)]
    pub payload: Value,
}

impl Request for Filters {}

/// The page of a filtered list.
#[derive(Deserialize, IntoParams)]
pub struct FilterQuery {
    /// From 1.
    #[serde(default, deserialize_with = "query::page")]
    page: Option<u64>,
    /// As in the list.
    #[serde(default, deserialize_with = "fields::text")]
    sort_by: Option<String>,
}

/// Conversations that match filters, and how many there are.
#[utoipa::path(post, path = "", tag = "Conversations", params(FilterQuery), request_body = Filters, responses((status = 200, description = "meta (counts), payload: conversations"), (status = 422, description = "an unknown key, operator or value")))]
pub async fn filter(handles: web::Data<Handles>, agent: Agent, query: Query<FilterQuery>, body: Body<Filters>) -> ApiResult<HttpResponse> {
    let compiled = filtering::compile(&handles, agent.account.id, filter::Table::Conversations, &body.value.payload).await?;
    let list = List {
        condition: scope(&agent).condition().add(compiled),
        counted: None,
        status: None,
        sort: sort(query.0.sort_by)?,
        page: Page::of(query.0.page.unwrap_or(1), PAGE),
    };
    let counts = Counts::read(&handles, &agent, &list).await?;
    Ok(HttpResponse::Ok().json(json!({ "meta": counts.shown(), "payload": shown(&handles, &list).await? })))
}

/// What is looked for.
#[derive(Deserialize, IntoParams)]
pub struct SearchQuery {
    /// Words.
    #[serde(default, deserialize_with = "fields::text")]
    q: Option<String>,
    /// From 1.
    #[serde(default, deserialize_with = "query::page")]
    page: Option<u64>,
}

/// Conversations in which a message has the words, each with these messages, whatever their status.
#[utoipa::path(get, path = "", tag = "Conversations", params(SearchQuery), responses((status = 200, description = "meta (counts), payload: conversations with messages"), (status = 422, description = "q is missing")))]
pub async fn search(handles: web::Data<Handles>, agent: Agent, query: Query<SearchQuery>) -> ApiResult<HttpResponse> {
    let words = search::words(query.0.q)?;
    let scope = scope(&agent);
    let said = reading::saying(handles.db.read.get_database_backend(), &scope, &words);
    let list = List {
        condition: scope.condition().add(said),
        counted: None,
        status: None,
        sort: Sort::Activity(lists::Direction::Down),
        page: Page::of(query.0.page.unwrap_or(1), PAGE),
    };
    let counts = Counts::read(&handles, &agent, &list).await?;
    let ids = reads::ids(&handles.db.read, &lists::page(&list.condition, None, list.sort, list.page)).await?;
    let payload = search::conversations_found(&handles, &agent, &ids, Some(&words)).await?;
    Ok(HttpResponse::Ok().json(json!({ "meta": counts.shown(), "payload": payload })))
}

/// Whose conversations the caller may see.
pub fn scope(agent: &Agent) -> Scope {
    Scope { account_id: agent.account.id, inboxes: agent.visible_inboxes() }
}

fn asked(handles: &Handles, agent: &Agent, query: &ListQuery) -> ApiResult<List> {
    let scope = scope(agent);
    let mut condition = scope.condition();
    let mut status = match given(query.status.clone()).as_deref() {
        Some("all") => None,
        None => Some(Status::Open),
        Some(name) => Some(
            Status::iter()
                .find(|status| status.name() == name)
                .ok_or_else(|| no_choice("status", name, "open, resolved, pending, snoozed, all"))?,
        ),
    };
    if let Some(inbox_id) = query.inbox_id {
        condition = condition.add(Column::InboxId.eq(inbox_id));
    }
    if let Some(team_id) = query.team_id {
        condition = condition.add(Column::TeamId.eq(team_id));
    }
    let plain = condition.clone();
    if !query.labels.is_empty() {
        condition = condition.add(lists::labelled(agent.account.id, &query.labels));
    }
    if let Some(words) = given(query.q.clone()) {
        condition = condition.add(reading::saying(handles.db.read.get_database_backend(), &scope, &words));
        status = None;
    }
    match given(query.conversation_type.clone()).as_deref() {
        None => {}
        Some("mention") => condition = condition.add(lists::mentioning(agent.account.id, agent.user.row.id)),
        Some("participating") => condition = condition.add(lists::followed(agent.account.id, agent.user.row.id)),
        Some("unattended") => condition = condition.add(lists::unattended()),
        Some(other) => return Err(no_choice("conversation_type", other, "mention, participating, unattended")),
    }
    if let Some(source_id) = given(query.source_id.clone()) {
        let inboxes = handles.catalog.now().inboxes_of(agent.account.id).into_iter().map(|inbox| inbox.row.id).collect::<Vec<_>>();
        let identities = contact_inbox::Entity::find()
            .select_only()
            .column(contact_inbox::Column::Id)
            .filter(contact_inbox::Column::InboxId.is_in(inboxes))
            .filter(contact_inbox::Column::SourceId.eq(source_id));
        condition = condition.add(Column::ContactInboxId.in_subquery(identities.into_query()));
    }
    if let Some(seconds) = query.updated_within {
        let since = chrono::TimeDelta::try_seconds(seconds).and_then(|span| now().checked_sub_signed(span));
        let since = since.ok_or_else(|| ApiError::invalid("updated_within", "updated_within: too many seconds"))?;
        condition = condition.add(Column::UpdatedAt.gt(since));
    }
    let counted = (condition == plain).then_some(Counted { inbox_id: query.inbox_id, team_id: query.team_id });
    Ok(List { condition, counted, status, sort: sort(query.sort_by.clone())?, page: Page::of(query.page.unwrap_or(1), PAGE) })
}

fn sort(asked: Option<String>) -> ApiResult<Sort> {
    match given(asked) {
        None => Ok(Sort::Activity(lists::Direction::Down)),
        Some(name) => Sort::named(&name).ok_or_else(|| ApiError::invalid("sort_by", format!("sort_by: \"{name}\" is unknown"))),
    }
}

fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}

fn no_choice(field: &str, given: &str, choices: &str) -> ApiError {
    ApiError::invalid(field, format!("{field}: \"{given}\" is none of {choices}"))
}

async fn shown(handles: &Handles, list: &List) -> ApiResult<Vec<Value>> {
    let ids = reads::ids(&handles.db.read, &lists::page(&list.condition, list.status, list.sort, list.page)).await?;
    let rows = reads::rows::<conversation::Entity>(&handles.db.read, Column::Id, &ids, |row| row.id).await?;
    let shown = views::conversations(handles, rows).await?;
    Ok(shown.iter().map(|shown| render::conversation(handles, shown)).collect())
}

/// How many conversations a list has.
struct Counts(standings::Counts);

impl Counts {
    async fn read(handles: &Handles, agent: &Agent, list: &List) -> ApiResult<Self> {
        let (account_id, user_id, scope) = (agent.account.id, agent.user.row.id, scope(agent));
        if let Some(counted) = list.counted {
            let is_meant = |group: &Group| {
                scope.inboxes.as_ref().is_none_or(|inboxes| inboxes.contains(&group.inbox_id))
                    && counted.inbox_id.is_none_or(|id| group.inbox_id == id)
                    && (counted.team_id.is_none() || group.team_id == counted.team_id)
                    && list.status.is_none_or(|status| group.status == status)
            };
            if let Some(counts) = handles.standings.conversations(account_id, user_id, is_meant) {
                return Ok(Counts(counts));
            }
            handles.count(account_id).await?;
            if let Some(counts) = handles.standings.conversations(account_id, user_id, is_meant) {
                return Ok(Counts(counts));
            }
        }
        let counted = lists::counts(&list.condition, list.status, user_id);
        let row = handles.db.read.query_one(&counted).await?.ok_or_else(|| ApiError::failed("a count gave no row"))?;
        let (all, assigned, mine) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?);
        Ok(Counts(standings::Counts { all, assigned, mine }))
    }

    fn shown(&self) -> Value {
        json!({ "mine_count": self.0.mine, "unassigned_count": self.0.all - self.0.assigned, "all_count": self.0.all })
    }

    fn with_assigned(&self) -> Value {
        let mut shown = self.shown();
        actors::wire::set(&mut shown, "assigned_count", self.0.assigned.into());
        shown
    }
}
