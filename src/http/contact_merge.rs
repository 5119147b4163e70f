//! Two contacts that are one person become one.
use super::auth::Agent;
use super::body::{Body, Request};
use super::contacts::{departing, of_account};
use super::error::{ApiError, ApiResult};
use super::{fields, render, views};
use actix_web::{HttpResponse, web};
use actors::system::Handles;
use serde::Deserialize;
use utoipa::ToSchema;

/// Which contacts.
#[derive(Deserialize, ToSchema)]
pub struct Merge {
    /// Stays, and what it has wins.
    #[serde(deserialize_with = "fields::id")]
    base_contact_id: i64,
    /// Goes; the base takes over what it has.
    #[serde(deserialize_with = "fields::id")]
    mergee_contact_id: i64,
}

impl Request for Merge {}

/// Merges a contact into another one.
#[utoipa::path(post, path = "", tag = "Contacts", request_body = Merge, responses((status = 200, description = "the remaining contact"), (status = 404, description = "no such contact"), (status = 422, description = "both are the same")))]
pub async fn merge(handles: web::Data<Handles>, agent: Agent, body: Body<Merge>) -> ApiResult<HttpResponse> {
    let Merge { base_contact_id: base, mergee_contact_id: mergee } = body.value;
    if base == mergee {
        of_account(&handles, &agent, base).await?;
        return Err(ApiError::invalid("mergee_contact_id", "A contact cannot be merged into itself"));
    }
    let merged = handles.contacts.merge(&agent.account, base, mergee, departing(&agent, mergee)).await?;
    let identities = views::identities(&handles, &[merged.id]).await?;
    Ok(HttpResponse::Ok().json(render::contact(&handles, &merged, Some(&identities))))
}
