//! Custom attribute definitions: which attributes conversations and contacts have beside their own columns.
use super::auth::{Administrator, Agent};
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::{audit, fields};
use actix_web::{HttpResponse, web};
use actors::system::Handles;
use actors::wire::iso;
use entity::custom_attribute_definition::{self as definition, AttributeModel, DisplayType};
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, EntityTrait, IntoActiveModel, Iterable, QueryFilter, QueryOrder, TransactionTrait,
};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

/// A definition as it is created or changed. Model and key of a stored one stay: values are stored under them.
#[derive(Deserialize, ToSchema)]
pub struct DefinitionFields {
    #[serde(default, deserialize_with = "fields::text")]
    attribute_display_name: Option<String>,
    /// A name such as `text` or its number.
    #[serde(default, deserialize_with = "fields::text")]
    attribute_display_type: Option<String>,
    #[serde(default, deserialize_with = "fields::nullable_text")]
    #[schema(value_type = Option<String>)]
    attribute_description: Option<Option<String>>,
    #[serde(default, deserialize_with = "fields::text")]
    attribute_key: Option<String>,
    /// A name such as `contact_attribute` or its number.
    #[serde(default, deserialize_with = "fields::text")]
    attribute_model: Option<String>,
    /// What a list offers.
    attribute_values: Option<Vec<Value>>,
    #[serde(default, deserialize_with = "fields::nullable_text")]
    #[schema(value_type = Option<String>)]
    regex_pattern: Option<Option<String>>,
    #[serde(default, deserialize_with = "fields::nullable_text")]
    #[schema(value_type = Option<String>)]
    regex_cue: Option<Option<String>>,
    default_value: Option<Value>,
}

impl Request for DefinitionFields {
    const ENVELOPE: Option<&'static str> = Some("custom_attribute_definition");
}

/// Which are listed.
#[derive(Deserialize, IntoParams)]
pub struct ModelQuery {
    /// `conversation_attribute`, `contact_attribute` or its number; all without it.
    attribute_model: Option<String>,
}

/// The definitions of the account.
#[utoipa::path(get, path = "", tag = "Custom attributes", params(ModelQuery), responses((status = 200, description = "an array of definitions")))]
pub async fn list(handles: web::Data<Handles>, agent: Agent, query: web::Query<ModelQuery>) -> ApiResult<HttpResponse> {
    let mut found = definition::Entity::find().filter(definition::Column::AccountId.eq(agent.account.id));
    if let Some(model) = query.attribute_model.as_deref().filter(|model| !model.is_empty()) {
        found = found.filter(definition::Column::AttributeModel.eq(parse_model(model)?));
    }
    let rows = found.order_by_asc(definition::Column::Id).all(&handles.db.read).await?;
    Ok(HttpResponse::Ok().json(rows.iter().map(render).collect::<Vec<_>>()))
}

/// One definition.
#[utoipa::path(get, path = "", tag = "Custom attributes", responses((status = 200, description = "the definition"), (status = 404, description = "no such definition")))]
pub async fn show(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    Ok(HttpResponse::Ok().json(render(&of_account(&handles, &agent, path.1).await?)))
}

/// Creates a definition.
#[utoipa::path(post, path = "", tag = "Custom attributes", request_body = DefinitionFields, responses((status = 200, description = "the definition"), (status = 422, description = "a field is wrong")))]
pub async fn create(handles: web::Data<Handles>, administrator: Administrator, body: Body<DefinitionFields>) -> ApiResult<HttpResponse> {
    let (agent, mut fields, now) = (administrator.0, body.value, entity::now());
    let model = parse_model(fields.attribute_model.as_deref().unwrap_or("conversation_attribute"))?;
    let key = checked_key(model, fields.attribute_key.as_deref().unwrap_or_default())?;
    fields.attribute_display_name = Some(fields.attribute_display_name.unwrap_or_default());
    let mut row = definition::ActiveModel {
        id: ActiveValue::NotSet,
        account_id: ActiveValue::Set(agent.account.id),
        attribute_key: ActiveValue::Set(key),
        attribute_display_name: ActiveValue::NotSet,
        attribute_display_type: ActiveValue::Set(DisplayType::Text),
        attribute_description: ActiveValue::Set(None),
        attribute_model: ActiveValue::Set(model),
        attribute_values: ActiveValue::Set(json!([])),
        regex_pattern: ActiveValue::Set(None),
        regex_cue: ActiveValue::Set(None),
        default_value: ActiveValue::Set(None),
        created_at: ActiveValue::Set(now),
        updated_at: ActiveValue::Set(now),
    };
    apply(&mut row, fields)?;
    let transaction = handles.db.write.begin().await?;
    let stored = row.insert(&transaction).await?;
    audit::created(&transaction, &agent.author(), ("CustomAttributeDefinition", stored.id), &stored).await?;
    transaction.commit().await?;
    Ok(HttpResponse::Ok().json(render(&stored)))
}

/// Changes a definition.
#[utoipa::path(patch, path = "", tag = "Custom attributes", request_body = DefinitionFields, responses((status = 200, description = "the definition"), (status = 404, description = "no such definition"), (status = 422, description = "a field is wrong")))]
pub async fn update(
    handles: web::Data<Handles>,
    administrator: Administrator,
    path: web::Path<(i64, i64)>,
    body: Body<DefinitionFields>,
) -> ApiResult<HttpResponse> {
    let agent = administrator.0;
    let before = of_account(&handles, &agent, path.1).await?;
    let mut row = before.clone().into_active_model();
    apply(&mut row, body.value)?;
    row.updated_at = ActiveValue::Set(entity::now());
    let transaction = handles.db.write.begin().await?;
    let after = row.update(&transaction).await?;
    audit::updated(&transaction, &agent.author(), ("CustomAttributeDefinition", after.id), &before, &after).await?;
    transaction.commit().await?;
    Ok(HttpResponse::Ok().json(render(&after)))
}

/// Removes a definition; values that are stored stay.
#[utoipa::path(delete, path = "", tag = "Custom attributes", responses((status = 204, description = "removed"), (status = 404, description = "no such definition")))]
pub async fn remove(handles: web::Data<Handles>, administrator: Administrator, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let agent = administrator.0;
    let row = of_account(&handles, &agent, path.1).await?;
    let transaction = handles.db.write.begin().await?;
    definition::Entity::delete_by_id(row.id).exec(&transaction).await?;
    audit::destroyed(&transaction, &agent.author(), ("CustomAttributeDefinition", row.id), &row).await?;
    transaction.commit().await?;
    Ok(HttpResponse::NoContent().finish())
}

fn apply(row: &mut definition::ActiveModel, fields: DefinitionFields) -> ApiResult<()> {
    if let Some(name) = fields.attribute_display_name {
        if name.trim().is_empty() {
            return Err(ApiError::invalid("attribute_display_name", "Attribute display name can't be blank"));
        }
        row.attribute_display_name = ActiveValue::Set(name.trim().to_owned());
    }
    if let Some(kind) = fields.attribute_display_type {
        row.attribute_display_type = ActiveValue::Set(parse_display_type(&kind)?);
    }
    if let Some(description) = fields.attribute_description {
        row.attribute_description = ActiveValue::Set(description);
    }
    if let Some(values) = fields.attribute_values {
        if !values.iter().all(Value::is_string) {
            return Err(ApiError::invalid("attribute_values", "attribute_values: expected a list of texts"));
        }
        row.attribute_values = ActiveValue::Set(Value::Array(values));
    }
    if let Some(pattern) = fields.regex_pattern {
        row.regex_pattern = ActiveValue::Set(pattern);
    }
    if let Some(cue) = fields.regex_cue {
        row.regex_cue = ActiveValue::Set(cue);
    }
    if let Some(value) = fields.default_value {
        row.default_value = ActiveValue::Set(Some(value));
    }
    Ok(())
}

fn parse_model(text: &str) -> ApiResult<AttributeModel> {
    let known = |model: &AttributeModel| model.name() == text || (*model as i16).to_string() == text;
    AttributeModel::iter().find(known).ok_or_else(|| {
        let names: Vec<_> = AttributeModel::iter().map(AttributeModel::name).collect();
        ApiError::invalid("attribute_model", format!("attribute_model: \"{text}\" is none of {}", names.join(", ")))
    })
}

fn parse_display_type(text: &str) -> ApiResult<DisplayType> {
    let known = |kind: &DisplayType| kind.name() == text || (*kind as i16).to_string() == text;
    DisplayType::iter().find(known).ok_or_else(|| {
        let names: Vec<_> = DisplayType::iter().map(DisplayType::name).collect();
        ApiError::invalid("attribute_display_type", format!("attribute_display_type: \"{text}\" is none of {}", names.join(", ")))
    })
}

/// Names that filters know already.
const OF_CONVERSATIONS: &[&str] = &[
    "status",
    "priority",
    "assignee_id",
    "inbox_id",
    "team_id",
    "display_id",
    "campaign_id",
    "labels",
    "browser_language",
    "country_code",
    "referer",
    "created_at",
    "last_activity_at",
];
const OF_CONTACTS: &[&str] =
    &["name", "email", "phone_number", "identifier", "country_code", "city", "created_at", "last_activity_at", "referer", "blocked"];

/// Without spaces: what stands between words becomes an underscore.
fn checked_key(model: AttributeModel, key: &str) -> ApiResult<String> {
    let key = key.split_whitespace().collect::<Vec<_>>().join("_");
    let taken = match model {
        AttributeModel::Conversation => OF_CONVERSATIONS,
        AttributeModel::Contact => OF_CONTACTS,
        AttributeModel::Company => &[],
    };
    let invalid = |words: String| Err(ApiError::invalid("attribute_key", words));
    match () {
        () if key.is_empty() => invalid("Attribute key can't be blank".into()),
        () if key.chars().count() > 255 => invalid("Attribute key is longer than 255 characters".into()),
        () if !key.chars().all(|letter| letter.is_alphanumeric() || "_-.".contains(letter)) => {
            invalid("Attribute key may contain letters, digits, hyphens, underscores and full stops only".into())
        }
        () if taken.contains(&key.as_str()) => invalid(format!("Attribute key \"{key}\" is an attribute that is there already")),
        () => Ok(key),
    }
}

async fn of_account(handles: &Handles, agent: &Agent, id: i64) -> ApiResult<definition::Model> {
    let found = definition::Entity::find_by_id(id).filter(definition::Column::AccountId.eq(agent.account.id));
    found.one(&handles.db.read).await?.ok_or_else(ApiError::not_found)
}

fn render(row: &definition::Model) -> Value {
    json!({
        "id": row.id,
        "attribute_display_name": row.attribute_display_name,
        "attribute_display_type": row.attribute_display_type.name(),
        "attribute_description": row.attribute_description,
        "attribute_key": row.attribute_key,
        "regex_pattern": row.regex_pattern,
        "regex_cue": row.regex_cue,
        "attribute_values": row.attribute_values,
        "attribute_model": row.attribute_model.name(),
        "default_value": row.default_value,
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn models_and_types_come_as_names_or_numbers() {
        assert_eq!(parse_model("1").unwrap(), AttributeModel::Contact);
        assert_eq!(parse_model("conversation_attribute").unwrap(), AttributeModel::Conversation);
        assert_eq!(parse_display_type("6").unwrap(), DisplayType::List);
        assert_eq!(parse_display_type("checkbox").unwrap(), DisplayType::Checkbox);
        assert!(parse_model("3").is_err() && parse_model("contact").is_err() && parse_display_type("8").is_err());
    }

    #[test]
    fn keys_have_no_spaces_and_hide_no_column() {
        for (given, kept) in [(" plan ", "plan"), ("order  count", "order_count"), ("planName", "planName")] {
            assert_eq!(checked_key(AttributeModel::Contact, given).unwrap(), kept);
        }
        for wrong in ["", " ", "a'b", "email", "a\"b"] {
            assert!(checked_key(AttributeModel::Contact, wrong).is_err(), "{wrong:?}");
        }
        assert!(checked_key(AttributeModel::Conversation, "email").is_ok() && checked_key(AttributeModel::Conversation, "status").is_err());
    }
}
