//! Where a contact can be written to, and whose an address is.
use super::auth::Agent;
use super::body::{Body, Request};
use super::contacts::of_account;
use super::error::ApiResult;
use super::{fields, render, views};
use actix_web::{HttpResponse, web};
use actors::system::Handles;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// The inboxes over which the contact can be written to, each with the address that it has or would get there.
#[utoipa::path(get, path = "", tag = "Contacts", responses((status = 200, description = "payload: inbox, source_id"), (status = 404, description = "no such contact")))]
pub async fn contactable(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let row = of_account(&handles, &agent, path.1).await?;
    let identities = views::identities(&handles, &[row.id]).await?;
    let catalog = handles.catalog.now();
    let inboxes = catalog.inboxes_of(agent.account.id).into_iter();
    let payload: Vec<Value> = inboxes
        .filter(|inbox| !inbox.is_deleted() && inbox.is_visible_to(agent.user.row.id))
        .filter_map(|inbox| {
            let known = identities.iter().rev().find(|identity| identity.inbox_id == inbox.row.id);
            let source_id = match known {
                Some(identity) => identity.source_id.clone(),
                None => inbox.settings.contact_address(row.email.as_deref(), row.phone_number.as_deref())?,
            };
            Some(json!({ "inbox": render::slim_inbox(inbox), "source_id": source_id }))
        })
        .collect();
    Ok(HttpResponse::Ok().json(json!({ "payload": payload })))
}

/// An address in an inbox.
#[derive(Deserialize, ToSchema)]
pub struct Sought {
    #[serde(deserialize_with = "fields::id")]
    inbox_id: i64,
    source_id: String,
}

impl Request for Sought {}

/// The contact that has an address in an inbox; 404 without a body if there is none.
#[utoipa::path(post, path = "", tag = "Contacts", request_body = Sought, responses((status = 200, description = "the contact"), (status = 404, description = "nobody has it")))]
pub async fn filter(handles: web::Data<Handles>, agent: Agent, body: Body<Sought>) -> ApiResult<HttpResponse> {
    let Ok(inbox) = agent.visible_inbox(body.value.inbox_id) else { return Ok(HttpResponse::NotFound().finish()) };
    let Some((contact, _)) = handles.contacts.by_source_id(inbox.row.id, &body.value.source_id).await? else {
        return Ok(HttpResponse::NotFound().finish());
    };
    let identities = views::identities(&handles, &[contact.id]).await?;
    Ok(HttpResponse::Ok().json(render::contact(&handles, &contact, Some(&identities))))
}
