//! The files of a conversation.
use super::auth::Agent;
use super::error::ApiResult;
use super::scope::find;
use super::views;
use crate::reads::Page;
use actix_web::{HttpResponse, web};
use actors::system::Handles;
use actors::wire::{epoch, set};
use entity::{attachment, message};
use sea_orm::{ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

/// How many are on a page (contract, section 0).
const PAGE: u64 = 100;

/// Which page.
#[derive(Deserialize, IntoParams)]
pub struct PageQuery {
    /// From 1.
    page: Option<u64>,
}

/// The files of a conversation, newest first, each with who sent it.
#[utoipa::path(get, path = "", tag = "Conversations", params(PageQuery), responses((status = 200, description = "meta: total_count, payload: attachments")))]
pub async fn of_conversation(
    handles: web::Data<Handles>,
    agent: Agent,
    path: web::Path<(i64, i64)>,
    query: web::Query<PageQuery>,
) -> ApiResult<HttpResponse> {
    let id = find(&handles, &agent, path.1).await?.address.conversation_id;
    let condition = Condition::all().add(message::Column::ConversationId.eq(id));
    Ok(HttpResponse::Ok().json(page(&handles, condition, query.page.unwrap_or(1)).await?))
}

/// A page of the attachments of the messages that meet a condition.
///
/// # Errors
/// If the database fails.
pub async fn page(handles: &Handles, of_messages: Condition, page: u64) -> ApiResult<Value> {
    let db = &handles.db.read;
    let messages = message::Entity::find().select_only().column(message::Column::Id).filter(of_messages);
    let all = attachment::Entity::find().filter(attachment::Column::MessageId.in_subquery(QueryTrait::into_query(messages)));
    let count = all.clone().count(db).await?;
    let rows = all.order_by_desc(attachment::Column::Id).offset(Page::of(page, PAGE).offset).limit(PAGE).all(db).await?;
    let carriers = views::messages_by_id(handles, rows.iter().map(|row| row.message_id).collect()).await?;
    let shown = rows.iter().map(|row| {
        let mut shown = handles.wire.attachment(row);
        set(&mut shown, "created_at", epoch(row.created_at).into());
        let sender = carriers.get(&row.message_id).and_then(|carrier| carrier.sender.as_ref());
        set(&mut shown, "sender", sender.map_or(Value::Null, |sender| handles.wire.sender(sender, row.account_id)));
        shown
    });
    Ok(json!({ "meta": { "total_count": count }, "payload": shown.collect::<Vec<_>>() }))
}
