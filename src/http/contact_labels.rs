//! The labels of a contact. Posting replaces the set.
use super::auth::Agent;
use super::body::{Body, Request};
use super::contacts::of_account;
use super::error::ApiResult;
use super::labels;
use actix_web::{HttpResponse, web};
use actors::system::Handles;
use entity::contact_label;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// Titles of labels.
#[derive(Deserialize, ToSchema)]
pub struct Labels {
    labels: Vec<String>,
}

impl Request for Labels {}

/// The labels of a contact.
#[utoipa::path(get, path = "", tag = "Contacts", responses((status = 200, description = "payload: titles"), (status = 404, description = "no such contact")))]
pub async fn list(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let row = of_account(&handles, &agent, path.1).await?;
    Ok(HttpResponse::Ok().json(json!({ "payload": titles(&handles.db.read, row.id).await? })))
}

/// Replaces the labels of a contact.
#[utoipa::path(post, path = "", tag = "Contacts", request_body = Labels, responses((status = 200, description = "payload: titles"), (status = 404, description = "no such contact")))]
pub async fn replace(
    handles: web::Data<Handles>,
    agent: Agent,
    path: web::Path<(i64, i64)>,
    body: Body<Labels>,
) -> ApiResult<HttpResponse> {
    let wanted = labels::titles(&body.value.labels)?.into_iter().collect();
    let titles = change(&handles, &agent, path.1, |_| wanted).await?;
    Ok(HttpResponse::Ok().json(json!({ "payload": titles })))
}

/// Changes the set of a contact's labels; answers the new one.
///
/// # Errors
/// 404.
pub async fn change(
    handles: &Handles,
    agent: &Agent,
    contact_id: i64,
    wanted: impl FnOnce(&BTreeSet<String>) -> BTreeSet<String>,
) -> ApiResult<BTreeSet<String>> {
    Ok(handles.contacts.label(&agent.account, contact_id, Some(agent.card()), wanted).await?)
}

async fn titles(db: &impl ConnectionTrait, contact_id: i64) -> Result<BTreeSet<String>, DbErr> {
    let found = contact_label::Entity::find().filter(contact_label::Column::ContactId.eq(contact_id));
    Ok(found.order_by_asc(contact_label::Column::Title).all(db).await?.into_iter().map(|label| label.title).collect())
}
