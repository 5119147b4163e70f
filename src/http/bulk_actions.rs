//! The same change to many conversations or contacts at once.
use super::auth::Agent;
use super::body::{Body, Request};
use super::conversations::{assignable, team, tell_steps};
use super::error::{ApiError, ApiResult};
use super::labels::titles;
use super::scope::find;
use super::{contact_bulk, fields};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use actors::conversation::Step;
use actors::conversation::rules::{Change, LabelEdit};
use actors::system::Handles;
use chrono::{DateTime, Utc};
use entity::conversation::Status;
use serde::Deserialize;
use utoipa::ToSchema;

/// The most conversations of one request.
const LIMIT: usize = 500;

/// What shall become of which.
#[derive(Deserialize, ToSchema)]
pub struct BulkFields {
    /// `Conversation` or `Contact`.
    #[serde(rename = "type")]
    kind: String,
    /// Of conversations the numbers that people see; of contacts their ids.
    #[serde(default, deserialize_with = "fields::ids")]
    ids: Vec<i64>,
    #[serde(default)]
    fields: Option<BulkValues>,
    #[serde(default)]
    labels: Option<LabelEdits>,
    #[serde(default, deserialize_with = "fields::time")]
    snoozed_until: Option<DateTime<Utc>>,
}

impl Request for BulkFields {}

/// The new values; what is absent stays.
#[derive(Default, Deserialize, ToSchema)]
pub struct BulkValues {
    #[schema(value_type = Option<String>)]
    status: Option<Status>,
    #[serde(default, deserialize_with = "fields::nullable_id")]
    #[schema(value_type = Option<i64>)]
    assignee_id: Option<Option<i64>>,
    #[serde(default, deserialize_with = "fields::nullable_id")]
    #[schema(value_type = Option<i64>)]
    team_id: Option<Option<i64>>,
}

/// Labels that come and go.
#[derive(Default, Deserialize, ToSchema)]
pub struct LabelEdits {
    #[serde(default, deserialize_with = "fields::texts")]
    add: Vec<String>,
    #[serde(default, deserialize_with = "fields::texts")]
    remove: Vec<String>,
}

/// Changes many conversations, or contacts. Those that are not there, or not the caller's to see, are passed over; everything else is
/// checked before the first is changed.
#[utoipa::path(post, path = "", tag = "Conversations", request_body = BulkFields, responses((status = 200, description = "done"), (status = 422, description = "a field is wrong")))]
pub async fn create(handles: web::Data<Handles>, agent: Agent, body: Body<BulkFields>) -> ApiResult<HttpResponse> {
    let asked = body.value;
    match asked.kind.as_str() {
        "Conversation" => {}
        "Contact" => {
            contact_bulk::act(&handles, &agent, &body.object).await?;
            return Ok(HttpResponse::Ok().finish());
        }
        other => return Err(ApiError::invalid("type", format!("type: \"{other}\" is none of Conversation, Contact"))),
    }
    if asked.ids.len() > LIMIT {
        return Err(ApiError::invalid("ids", format!("ids: at most {LIMIT} at once")));
    }
    let mut found = Vec::with_capacity(asked.ids.len());
    for id in &asked.ids {
        match find(&handles, &agent, *id).await {
            Ok(one) => found.push(one),
            Err(error) if error.status() == StatusCode::NOT_FOUND => {}
            Err(error) => return Err(error),
        }
    }
    let fields = asked.fields.unwrap_or_default();
    let labels = asked.labels.unwrap_or_default();
    let (add, remove) = (titles(&labels.add)?, titles(&labels.remove)?);
    let team = match fields.team_id {
        Some(id) => Some(Change::Team(id.filter(|id| *id != 0).map(|id| team(&handles, &agent, id)).transpose()?)),
        None => None,
    };
    let mut work = Vec::new();
    for found in found {
        let mut changes = Vec::new();
        if let Some(wanted) = fields.assignee_id {
            let wanted = wanted.filter(|id| *id != 0);
            changes.push(Change::Assignee(wanted.map(|id| assignable(&handles, &found.inbox, id)).transpose()?));
        }
        changes.extend(team.clone());
        if let Some(status) = fields.status {
            changes.push(Change::Status { status: Some(status), snoozed_until: asked.snoozed_until });
        }
        if !add.is_empty() || !remove.is_empty() {
            changes.push(Change::Labels(LabelEdit::Edit { add: add.clone(), remove: remove.clone() }));
        }
        work.push((found, changes));
    }
    for (found, changes) in work {
        if changes.is_empty() {
            continue;
        }
        match tell_steps(&handles, &agent, found.address, changes.into_iter().map(Step::Change).collect()).await {
            // Removed meanwhile.
            Err(error) if error.status() == StatusCode::NOT_FOUND => {}
            told => drop(told?),
        }
    }
    Ok(HttpResponse::Ok().finish())
}
