//! Search over everything that the caller may see. How it is found is decided in `reads::search`.
use super::auth::Agent;
use super::conversation_lists::scope;
use super::error::{ApiError, ApiResult};
use super::query::{self, Query};
use super::{contact_lists, fields, render, views};
use crate::reads::contacts::{self as lists, Sort};
use crate::reads::search::{self as reading, CANDIDATES, Wanted};
use crate::reads::{self, Page};
use actix_web::{HttpResponse, web};
use actors::catalog::Snapshot;
use actors::event::MessageView;
use actors::system::Handles;
use actors::wire::{epoch, set};
use entity::{contact, conversation, message};
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use utoipa::IntoParams;

/// How many of a kind are on a page (contract, section 0).
const PAGE: u64 = 15;
/// How many messages are shown of one conversation that was found by them.
const SHOWN: usize = 10;

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

impl SearchQuery {
    fn read(self) -> ApiResult<(String, Page)> {
        Ok((words(self.q)?, Page::of(self.page.unwrap_or(1), PAGE)))
    }
}

/// What is looked for, without the space around it.
///
/// # Errors
/// 422 if it is missing.
pub fn words(q: Option<String>) -> ApiResult<String> {
    let words = q.map(|words| words.trim().to_owned()).filter(|words| !words.is_empty());
    words.ok_or_else(|| ApiError::invalid("q", "Specify search string with parameter q"))
}

/// Conversations, contacts and messages that match.
#[utoipa::path(get, path = "", tag = "Search", params(SearchQuery), responses((status = 200, description = "payload: conversations, contacts, messages, articles"), (status = 422, description = "q is missing")))]
pub async fn all(handles: web::Data<Handles>, agent: Agent, query: Query<SearchQuery>) -> ApiResult<HttpResponse> {
    let (words, page) = query.0.read()?;
    let payload = json!({
        "conversations": conversations_of(&handles, &agent, &words, page).await?,
        "contacts": contacts_of(&handles, &agent, &words, page).await?,
        "messages": messages_of(&handles, &agent, &words, page).await?,
        "articles": [],
    });
    Ok(HttpResponse::Ok().json(json!({ "payload": payload })))
}

/// Conversations by their number, or by their contact.
#[utoipa::path(get, path = "", tag = "Search", params(SearchQuery), responses((status = 200, description = "payload: conversations"), (status = 422, description = "q is missing")))]
pub async fn conversations(handles: web::Data<Handles>, agent: Agent, query: Query<SearchQuery>) -> ApiResult<HttpResponse> {
    let (words, page) = query.0.read()?;
    let found = conversations_of(&handles, &agent, &words, page).await?;
    Ok(HttpResponse::Ok().json(json!({ "payload": { "conversations": found } })))
}

/// Contacts by name, address, number or identifier.
#[utoipa::path(get, path = "", tag = "Search", params(SearchQuery), responses((status = 200, description = "payload: contacts"), (status = 422, description = "q is missing")))]
pub async fn contacts(handles: web::Data<Handles>, agent: Agent, query: Query<SearchQuery>) -> ApiResult<HttpResponse> {
    let (words, page) = query.0.read()?;
    let found = contacts_of(&handles, &agent, &words, page).await?;
    Ok(HttpResponse::Ok().json(json!({ "payload": { "contacts": found } })))
}

/// Messages by their words, the newest first.
#[utoipa::path(get, path = "", tag = "Search", params(SearchQuery), responses((status = 200, description = "payload: messages"), (status = 422, description = "q is missing")))]
pub async fn messages(handles: web::Data<Handles>, agent: Agent, query: Query<SearchQuery>) -> ApiResult<HttpResponse> {
    let (words, page) = query.0.read()?;
    let found = messages_of(&handles, &agent, &words, page).await?;
    Ok(HttpResponse::Ok().json(json!({ "payload": { "messages": found } })))
}

/// Articles: there are none here.
#[utoipa::path(get, path = "", tag = "Search", params(SearchQuery), responses((status = 200, description = "payload: articles, empty"), (status = 422, description = "q is missing")))]
pub async fn articles(agent: Agent, query: Query<SearchQuery>) -> ApiResult<HttpResponse> {
    let _ = (agent, query.0.read()?);
    Ok(HttpResponse::Ok().json(json!({ "payload": { "articles": [] } })))
}

async fn conversations_of(handles: &Handles, agent: &Agent, words: &str, page: Page) -> ApiResult<Vec<Value>> {
    let found = reads::ids(&handles.db.read, &reading::conversations(backend(handles), &scope(agent), words, page)).await?;
    conversations_found(handles, agent, &found, None).await
}

async fn contacts_of(handles: &Handles, agent: &Agent, words: &str, page: Page) -> ApiResult<Vec<Value>> {
    let matching = reads::ids(&handles.db.read, &reading::contacts(backend(handles), agent.account.id, words)).await?;
    let condition = lists::of_account(agent.account.id).add(contact::Column::Id.is_in(matching));
    let found = reads::ids(&handles.db.read, &lists::page(&condition, &Sort::named("-last_activity_at"), page)).await?;
    contact_lists::shown(handles, &found, false).await
}

async fn messages_of(handles: &Handles, agent: &Agent, words: &str, page: Page) -> ApiResult<Vec<Value>> {
    let Some(found) = reading::messages(backend(handles), &scope(agent), words, Wanted::Message, page) else { return Ok(Vec::new()) };
    let db = &handles.db.read;
    let views = message_views(handles, &reads::ids(db, &found).await?).await?;
    let of: Vec<i64> = views.iter().map(|view| view.message.conversation_id).collect();
    let of = reads::rows::<conversation::Entity>(db, conversation::Column::Id, &of, |row| row.id).await?;
    let numbers: HashMap<i64, i64> = of.into_iter().map(|row| (row.id, row.display_id)).collect();
    let catalog = handles.catalog.now();
    let shown = views.iter().filter_map(|view| {
        let mut shown = render::message(handles, view, *numbers.get(&view.message.conversation_id)?);
        set(&mut shown, "inbox", inbox(&catalog, view.message.inbox_id));
        Some(shown)
    });
    Ok(shown.collect())
}

/// Conversations in the form of search answers, in the order of their ids here; with the messages that have the words, where
/// words are given.
///
/// # Errors
/// If the database fails.
pub async fn conversations_found(handles: &Handles, agent: &Agent, ids: &[i64], words: Option<&str>) -> ApiResult<Vec<Value>> {
    let db = &handles.db.read;
    let rows = reads::rows::<conversation::Entity>(db, conversation::Column::Id, ids, |row| row.id).await?;
    let contacts = views::contacts(handles, rows.iter().map(|row| row.contact_id)).await?;
    let mut said: HashMap<i64, Vec<Value>> = HashMap::new();
    for view in said_in(handles, agent, ids, words).await? {
        let message = json!({
            "content": view.message.content,
            "id": view.message.id,
            "sender_name": render::message(handles, &view, 0).pointer("/sender/name"),
            "message_type": view.message.message_type.number(),
            "created_at": epoch(view.message.created_at),
        });
        said.entry(view.message.conversation_id).or_default().push(message);
    }
    let catalog = handles.catalog.now();
    let shown = rows.iter().map(|row| {
        json!({
            "id": row.display_id,
            "uuid": row.uuid,
            "created_at": epoch(row.created_at),
            "contact": { "id": row.contact_id, "name": contacts.get(&row.contact_id).map(|contact| contact.name.as_str()) },
            "inbox": inbox(&catalog, row.inbox_id),
            "messages": said.remove(&row.id).unwrap_or_default(),
            "account_id": row.account_id,
        })
    });
    Ok(shown.collect())
}

/// The newest messages with the words in these conversations.
async fn said_in(handles: &Handles, agent: &Agent, conversations: &[i64], words: Option<&str>) -> ApiResult<Vec<MessageView>> {
    let page = Page { offset: 0, size: CANDIDATES };
    let found = words.and_then(|words| reading::messages(backend(handles), &scope(agent), words, Wanted::Both, page));
    let Some(found) = found.filter(|_| !conversations.is_empty()) else { return Ok(Vec::new()) };
    let (mut ids, mut of_each): (Vec<i64>, HashMap<i64, usize>) = (Vec::new(), HashMap::new());
    for row in handles.db.read.query_all(&found).await? {
        let (id, conversation): (i64, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let count = of_each.entry(conversation).or_default();
        if conversations.contains(&conversation) && *count < SHOWN {
            *count += 1;
            ids.push(id);
        }
    }
    message_views(handles, &ids).await
}

async fn message_views(handles: &Handles, ids: &[i64]) -> ApiResult<Vec<MessageView>> {
    let rows = reads::rows::<message::Entity>(&handles.db.read, message::Column::Id, ids, |row| row.id).await?;
    views::messages(handles, rows).await
}

fn inbox(catalog: &Snapshot, id: i64) -> Value {
    let shown =
        catalog.inbox(id).map(|inbox| json!({ "id": inbox.row.id, "name": inbox.row.name, "channel_type": inbox.settings.channel_type() }));
    shown.unwrap_or_default()
}

fn backend(handles: &Handles) -> DbBackend {
    handles.db.read.get_database_backend()
}
