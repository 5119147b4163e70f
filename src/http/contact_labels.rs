//! The labels of a contact. Posting replaces the set.
use super::auth::Agent;
use super::body::{Body, Request};
use super::contacts::of_account;
use super::error::ApiResult;
use super::labels;
use actix_web::{HttpResponse, web};
use actors::system::Handles;
use entity::contact_label;
use sea_orm::{ActiveValue, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, TransactionTrait};
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
    wanted: impl FnOnce(BTreeSet<String>) -> BTreeSet<String>,
) -> ApiResult<BTreeSet<String>> {
    let _turn = handles.contacts.turns.of(contact_id).await;
    // Read when nobody can remove or merge it any more.
    let contact = of_account(handles, agent, contact_id).await?;
    let before = titles(&handles.db.read, contact.id).await?;
    let after = wanted(before.clone());
    let transaction = handles.db.write.begin().await?;
    let gone = before.difference(&after).cloned();
    contact_label::Entity::delete_many()
        .filter(contact_label::Column::ContactId.eq(contact.id))
        .filter(contact_label::Column::Title.is_in(gone))
        .exec(&transaction)
        .await?;
    let new: Vec<_> = after.difference(&before).map(|title| row(agent.account.id, contact.id, title)).collect();
    if !new.is_empty() {
        contact_label::Entity::insert_many(new).exec_without_returning(&transaction).await?;
    }
    transaction.commit().await?;
    Ok(after)
}

fn row(account_id: i64, contact_id: i64, title: &str) -> contact_label::ActiveModel {
    contact_label::ActiveModel {
        id: ActiveValue::NotSet,
        account_id: ActiveValue::Set(account_id),
        title: ActiveValue::Set(title.to_owned()),
        contact_id: ActiveValue::Set(contact_id),
    }
}

async fn titles(db: &impl ConnectionTrait, contact_id: i64) -> Result<BTreeSet<String>, DbErr> {
    let found = contact_label::Entity::find().filter(contact_label::Column::ContactId.eq(contact_id));
    Ok(found.order_by_asc(contact_label::Column::Title).all(db).await?.into_iter().map(|label| label.title).collect())
}
