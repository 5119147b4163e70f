//! What bulk actions do with contacts: the body is the contract's `POST A/bulk_actions` with `"type": "Contact"`.
use super::auth::Agent;
use super::body::parse;
use super::contact_labels::change;
use super::contacts::departing;
use super::error::{ApiError, ApiResult};
use super::{fields, labels};
use actors::store::StoreError;
use actors::system::Handles;
use futures_util::{StreamExt, TryStreamExt};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// So many contacts at once, so that their commits share transactions.
const AT_ONCE: usize = 16;
/// The most contacts of one request.
const LIMIT: usize = 1000;

/// What is asked.
#[derive(Deserialize)]
struct Asked {
    #[serde(deserialize_with = "fields::ids")]
    ids: Vec<i64>,
    #[serde(default, deserialize_with = "fields::text")]
    action_name: Option<String>,
    #[serde(default)]
    labels: Option<LabelChanges>,
}

#[derive(Default, Deserialize)]
struct LabelChanges {
    #[serde(default, deserialize_with = "fields::texts")]
    add: Vec<String>,
    #[serde(default, deserialize_with = "fields::texts")]
    remove: Vec<String>,
}

/// Does what the body of a bulk action asks: `{ids, action_name: "delete"}`, or `{ids, labels: {add, remove}}`.
///
/// # Errors
/// 422 naming the field; 401 if a user who is no administrator would remove contacts.
pub async fn act(handles: &Handles, agent: &Agent, body: &Value) -> ApiResult<()> {
    let asked: Asked = parse(body)?;
    if asked.ids.len() > LIMIT {
        return Err(ApiError::invalid("ids", format!("ids: at most {LIMIT} contacts at once")));
    }
    match asked.action_name.as_deref() {
        Some("delete") => remove(handles, agent, &asked.ids).await,
        None | Some("") => {
            let labels = asked.labels.unwrap_or_default();
            label(handles, agent, &asked.ids, &labels.add, &labels.remove).await
        }
        Some(_) => Err(ApiError::invalid("action_name", "action_name must be delete, or absent for labels")),
    }
}

/// Removes contacts. Unknown ones are passed over, and those that are online stay.
///
/// # Errors
/// 401 for users who are no administrators.
pub async fn remove(handles: &Handles, agent: &Agent, ids: &[i64]) -> ApiResult<()> {
    if !agent.is_administrator() {
        return Err(ApiError::refused());
    }
    let offline = ids.iter().copied().filter(|id| !handles.presence.is_contact_online(agent.account.id, *id));
    let removed = futures_util::stream::iter(offline).map(|id| async move {
        match handles.contacts.remove(&agent.account, id, departing(agent, id)).await {
            Ok(()) | Err(StoreError::Gone) => Ok(()),
            Err(error) => Err(ApiError::from(error)),
        }
    });
    let answer = removed.buffer_unordered(AT_ONCE).try_collect().await;
    handles.addresses.clear();
    answer
}

/// Gives labels to contacts and takes labels off them. Unknown contacts are passed over.
///
/// # Errors
/// 422 for a title that is none.
pub async fn label(handles: &Handles, agent: &Agent, ids: &[i64], add: &[String], remove: &[String]) -> ApiResult<()> {
    let (add, remove) = (labels::titles(add)?, BTreeSet::from_iter(labels::titles(remove)?));
    for id in ids {
        let wanted = |before: &BTreeSet<String>| before.difference(&remove).chain(&add).cloned().collect();
        match change(handles, agent, *id, wanted).await {
            Err(error) if error.status() != actix_web::http::StatusCode::NOT_FOUND => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
