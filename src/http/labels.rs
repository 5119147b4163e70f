//! Labels: what an account offers to mark conversations and contacts with.
use super::ask::finished;
use super::auth::{Administrator, Agent};
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::{audit, cache_keys, fields};
use crate::labels::relabel;
use actix_web::{HttpResponse, web};
use actors::system::Handles;
use entity::label;
use sea_orm::{ActiveModelTrait, ActiveValue, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, TransactionTrait};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// A label as it is created or changed.
#[derive(Deserialize, ToSchema)]
pub struct LabelFields {
    #[serde(default, deserialize_with = "fields::text")]
    title: Option<String>,
    #[serde(default, deserialize_with = "fields::nullable_text")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
    #[serde(default, deserialize_with = "fields::text")]
    color: Option<String>,
    #[serde(default, deserialize_with = "fields::flag")]
    show_on_sidebar: Option<bool>,
}

impl Request for LabelFields {
    const ENVELOPE: Option<&'static str> = Some("label");
}

const DEFAULT_COLOR: &str = "#1f93ff";

/// All labels of the account.
#[utoipa::path(get, path = "", tag = "Labels", responses((status = 200, description = "payload: labels")))]
pub async fn list(handles: web::Data<Handles>, agent: Agent) -> ApiResult<HttpResponse> {
    let rows = label::Entity::find().filter(label::Column::AccountId.eq(agent.account.id)).order_by_asc(label::Column::Title);
    let rows = rows.all(&handles.db.read).await?;
    Ok(HttpResponse::Ok().json(json!({ "payload": rows.iter().map(render).collect::<Vec<_>>() })))
}

/// One label.
#[utoipa::path(get, path = "", tag = "Labels", responses((status = 200, description = "the label"), (status = 404, description = "no such label")))]
pub async fn show(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    Ok(HttpResponse::Ok().json(render(&of_account(&handles, &agent, path.1).await?)))
}

/// Creates a label.
#[utoipa::path(post, path = "", tag = "Labels", request_body = LabelFields, responses((status = 200, description = "the label"), (status = 422, description = "a field is wrong")))]
pub async fn create(handles: web::Data<Handles>, administrator: Administrator, body: Body<LabelFields>) -> ApiResult<HttpResponse> {
    let (agent, fields, now) = (administrator.0, body.value, entity::now());
    let row = label::ActiveModel {
        id: ActiveValue::NotSet,
        account_id: ActiveValue::Set(agent.account.id),
        title: ActiveValue::Set(checked_title(fields.title.as_deref().unwrap_or_default())?),
        description: ActiveValue::Set(fields.description.flatten()),
        color: ActiveValue::Set(checked_color(fields.color.as_deref().unwrap_or(DEFAULT_COLOR))?),
        show_on_sidebar: ActiveValue::Set(fields.show_on_sidebar.unwrap_or(false)),
        created_at: ActiveValue::Set(now),
        updated_at: ActiveValue::Set(now),
    };
    let transaction = handles.db.write.begin().await?;
    let stored = row.insert(&transaction).await?;
    audit::created(&transaction, &agent.author(), ("Label", stored.id), &stored).await?;
    transaction.commit().await?;
    cache_keys::changed(&handles, agent.account.id).await?;
    Ok(HttpResponse::Ok().json(render(&stored)))
}

/// Changes a label. A new title is the title everywhere: on conversations and contacts as well.
#[utoipa::path(patch, path = "", tag = "Labels", request_body = LabelFields, responses((status = 200, description = "the label"), (status = 404, description = "no such label"), (status = 422, description = "a field is wrong")))]
pub async fn update(
    handles: web::Data<Handles>,
    administrator: Administrator,
    path: web::Path<(i64, i64)>,
    body: Body<LabelFields>,
) -> ApiResult<HttpResponse> {
    let (agent, fields) = (administrator.0, body.value);
    let before = of_account(&handles, &agent, path.1).await?;
    let mut row = before.clone().into_active_model();
    if let Some(title) = fields.title {
        row.title = ActiveValue::Set(checked_title(&title)?);
    }
    if let Some(description) = fields.description {
        row.description = ActiveValue::Set(description);
    }
    if let Some(color) = fields.color {
        row.color = ActiveValue::Set(checked_color(&color)?);
    }
    if let Some(shown) = fields.show_on_sidebar {
        row.show_on_sidebar = ActiveValue::Set(shown);
    }
    row.updated_at = ActiveValue::Set(entity::now());
    let title = row.title.clone().take().filter(|title| *title != before.title);
    if let Some(title) = &title {
        let taken = label::Entity::find().filter(label::Column::AccountId.eq(agent.account.id)).filter(label::Column::Title.eq(title));
        if taken.one(&handles.db.read).await?.is_some() {
            return Err(ApiError::invalid("title", "Title has already been taken"));
        }
    }
    let after = finished(async move {
        // The label itself comes last: cut off before, the same request asked again goes on.
        if let Some(title) = &title {
            relabel(&handles, &agent.account, &before.title, Some(title), agent.by()).await?;
        }
        let transaction = handles.db.write.begin().await?;
        let after = row.update(&transaction).await?;
        audit::updated(&transaction, &agent.author(), ("Label", after.id), &before, &after).await?;
        transaction.commit().await?;
        cache_keys::changed(&handles, agent.account.id).await?;
        Ok(after)
    });
    Ok(HttpResponse::Ok().json(render(&after.await?)))
}

/// Removes a label, from conversations and contacts as well.
#[utoipa::path(delete, path = "", tag = "Labels", responses((status = 200, description = "removed"), (status = 404, description = "no such label")))]
pub async fn remove(handles: web::Data<Handles>, administrator: Administrator, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let agent = administrator.0;
    let row = of_account(&handles, &agent, path.1).await?;
    finished(async move {
        relabel(&handles, &agent.account, &row.title, None, agent.by()).await?;
        let transaction = handles.db.write.begin().await?;
        label::Entity::delete_by_id(row.id).exec(&transaction).await?;
        audit::destroyed(&transaction, &agent.author(), ("Label", row.id), &row).await?;
        transaction.commit().await?;
        cache_keys::changed(&handles, agent.account.id).await
    })
    .await?;
    Ok(HttpResponse::Ok().finish())
}

/// The most labels of one conversation or contact.
const PER_OWNER: usize = 100;
/// The longest title, in characters.
const TITLE_LIMIT: usize = 255;

/// Titles as conversations and contacts keep them: lower case, a hyphen for spaces, each once, in the order given.
///
/// # Errors
/// 422.
pub fn titles(given: &[String]) -> ApiResult<Vec<String>> {
    let mut kept: Vec<String> = Vec::new();
    for title in given {
        let title = title.split_whitespace().collect::<Vec<_>>().join("-").to_lowercase();
        if title.chars().count() > TITLE_LIMIT {
            return Err(ApiError::invalid("labels", format!("labels: a title has at most {TITLE_LIMIT} characters")));
        }
        if !title.is_empty() && !kept.contains(&title) {
            kept.push(title);
        }
    }
    match kept.len() > PER_OWNER {
        true => Err(ApiError::invalid("labels", format!("labels: at most {PER_OWNER} labels"))),
        false => Ok(kept),
    }
}

/// Lower case, without spaces: letters, digits, hyphens and underscores.
fn checked_title(title: &str) -> ApiResult<String> {
    let title = title.trim().to_lowercase();
    let invalid = |words: &str| Err(ApiError::invalid("title", words));
    match () {
        () if title.is_empty() => invalid("Title can't be blank"),
        () if title.chars().count() > TITLE_LIMIT => invalid("Title is longer than 255 characters"),
        () if !title.chars().all(|letter| letter.is_alphanumeric() || letter == '-' || letter == '_') => {
            invalid("Title may contain letters, digits, hyphens and underscores only")
        }
        () => Ok(title),
    }
}

/// Such as `#1f93ff`.
fn checked_color(color: &str) -> ApiResult<String> {
    let digits = color.trim().strip_prefix('#').unwrap_or_default();
    let is_right = [3, 6].contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if is_right { Ok(color.trim().to_owned()) } else { Err(ApiError::invalid("color", "Color must be like #1f93ff")) }
}

async fn of_account(handles: &Handles, agent: &Agent, id: i64) -> ApiResult<label::Model> {
    let found = label::Entity::find_by_id(id).filter(label::Column::AccountId.eq(agent.account.id));
    found.one(&handles.db.read).await?.ok_or_else(ApiError::not_found)
}

fn render(row: &label::Model) -> Value {
    json!({
        "id": row.id,
        "title": row.title,
        "description": row.description,
        "color": row.color,
        "show_on_sidebar": row.show_on_sidebar,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn titles_of_owners_are_kept_as_labels_have_them() {
        let given = ["VIP ", "vip", " Big  Customer", "", "  ", "a"].map(str::to_owned);
        assert_eq!(titles(&given).unwrap(), ["vip", "big-customer", "a"]);
        assert!(titles(&["x".repeat(256)]).is_err());
        assert!(titles(&(0..=PER_OWNER).map(|number| number.to_string()).collect::<Vec<_>>()).is_err());
    }

    #[test]
    fn titles_are_lower_case_without_spaces() {
        for (given, kept) in [(" VIP ", "vip"), ("über-1_a", "über-1_a"), ("客户", "客户")] {
            assert_eq!(checked_title(given).unwrap(), kept);
        }
        for wrong in ["", "  ", "two words", "a,b", "a\"b", "a/b"] {
            assert!(checked_title(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn colors_are_hexadecimal() {
        assert_eq!(checked_color("#1F93ff").unwrap(), "#1F93ff");
        for wrong in ["", "red", "1f93ff", "#1f93f", "#gggggg"] {
            assert!(checked_color(wrong).is_err(), "{wrong:?}");
        }
    }
}
