//! Messages of the client API: what a contact reads, writes, and chooses or fills in where it is asked (contract, section 5).
use super::ask::tell;
use super::auth::ClientInbox;
use super::body::{Body, Request};
use super::client::{ConversationPath, Own, key, own_conversation};
use super::error::{ApiError, ApiResult};
use super::idempotency::Claim;
use super::messages::{check_number, incoming, uploaded};
use super::{direct_uploads, fields, views};
use actix_web::{HttpResponse, web};
use actors::conversation::rules::CONTENT_LIMIT;
use actors::conversation::{Command, Draft, Outcome};
use actors::event::MessageView;
use actors::system::Handles;
use actors::wire::{epoch, set};
use entity::message::{self, MessageType};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

/// Which messages are listed.
#[derive(Deserialize, IntoParams)]
pub struct ClientMessagesQuery {
    /// Only with smaller ids.
    before: Option<i64>,
}

/// The last 20 messages that the contact may see, oldest first.
#[utoipa::path(get, path = "", tag = "Client API", params(ClientMessagesQuery), responses((status = 200, description = "an array of messages")))]
pub async fn list(
    handles: web::Data<Handles>,
    ClientInbox(inbox): ClientInbox,
    path: ConversationPath,
    query: web::Query<ClientMessagesQuery>,
) -> ApiResult<HttpResponse> {
    let Own { row, .. } = own_conversation(&handles, &inbox, &path).await?;
    let shown = public_messages(&handles, row.id, query.before, 20).await?;
    Ok(HttpResponse::Ok().json(shown.iter().map(|view| shown_message(&handles, view, row.display_id)).collect::<Vec<_>>()))
}

/// What the contact writes. Files come along in a multipart body.
#[derive(Deserialize, ToSchema)]
pub struct ClientMessage {
    #[serde(default, deserialize_with = "fields::text")]
    content: Option<String>,
    /// The app's own id of the message, given back to it.
    #[serde(default, deserialize_with = "fields::text")]
    echo_id: Option<String>,
    /// Signed ids of files that were uploaded before.
    #[serde(default, deserialize_with = "fields::texts")]
    attachments: Vec<String>,
}

impl Request for ClientMessage {
    const ENVELOPE: Option<&'static str> = Some("message");
}

/// The contact writes.
#[utoipa::path(post, path = "", tag = "Client API", request_body = ClientMessage, responses((status = 200, description = "the message"), (status = 422, description = "a field is wrong")))]
pub async fn create(
    handles: web::Data<Handles>,
    ClientInbox(inbox): ClientInbox,
    path: ConversationPath,
    claim: Claim,
    body: Body<ClientMessage>,
) -> ApiResult<HttpResponse> {
    let address = super::scope::address(&handles, inbox.row.account_id, path.2).await?;
    // Of its own address, nothing needs to be read.
    let key = match key(&inbox, &path.1) {
        key if key == address.key => key,
        _ => own_conversation(&handles, &inbox, &path).await?.key,
    };
    if let Some(made) = claim.made {
        let row = message::Entity::find_by_id(made).one(&handles.db.read).await?.ok_or_else(ApiError::not_found)?;
        let view = views::messages(&handles, vec![row]).await?.pop().ok_or_else(ApiError::not_found)?;
        return Ok(HttpResponse::Ok().json(shown_message(&handles, &view, path.2)));
    }
    let ClientMessage { content, echo_id, attachments } = body.value;
    if content.as_deref().is_some_and(|content| content.chars().count() > CONTENT_LIMIT) {
        return Err(ApiError::invalid("content", format!("Content is too long (maximum is {CONTENT_LIMIT} characters)")));
    }
    check_number(attachments.len() + body.files.len())?;
    let mut files = direct_uploads::named(&handles, inbox.row.account_id, &attachments).await?;
    files.extend(uploaded(body.files, None));
    let draft = Draft { content, content_type: "text".into(), echo_id, files, ..Draft::default() };
    let recorded = tell(&handles, key, Command::Deliver(Box::new(incoming(draft, address.conversation_id, claim.id)))).await?;
    let view = recorded.messages.first().ok_or_else(|| ApiError::failed("a message was stored and is not there"))?;
    Ok(HttpResponse::Ok().json(shown_message(&handles, view, path.2)))
}

/// What the contact chooses or fills in.
#[derive(Deserialize, ToSchema)]
pub struct ClientAnswer {
    /// `name`, `title`, `value`, `csat_survey_response`; a list of such for a form.
    #[schema(value_type = Option<Object>)]
    submitted_values: Option<Value>,
    /// For a message that asks for an e-mail address; else it is looked for among the values.
    #[serde(default, deserialize_with = "fields::text")]
    submitted_email: Option<String>,
}

impl Request for ClientAnswer {
    const ENVELOPE: Option<&'static str> = Some("message");
}

/// Keeps what the contact has chosen or filled in with the message that asks for it.
#[utoipa::path(patch, path = "", tag = "Client API", request_body = ClientAnswer, responses((status = 200, description = "the message"), (status = 404, description = "no such message"), (status = 422, description = "the message asks for nothing, or a value is wrong")))]
pub async fn answer(
    handles: web::Data<Handles>,
    ClientInbox(inbox): ClientInbox,
    path: web::Path<(String, String, i64, i64)>,
    body: Body<ClientAnswer>,
) -> ApiResult<HttpResponse> {
    let (identifier, source_id, display_id, message_id) = path.into_inner();
    let Own { row, key, .. } = own_conversation(&handles, &inbox, &(identifier, source_id, display_id)).await?;
    public(row.id).filter(message::Column::Id.eq(message_id)).one(&handles.db.read).await?.ok_or_else(ApiError::not_found)?;
    let values = submitted(body.value.submitted_values, &body.object)?;
    let email = match body.value.submitted_email {
        Some(email) => Some(
            fields::email_address(&email).ok_or_else(|| ApiError::invalid("submitted_email", "submitted_email is no e-mail address"))?,
        ),
        None => email_among(&values),
    };
    let command = Command::Settle { conversation_id: row.id, message_id, outcome: Outcome::Submitted(values, email) };
    let recorded = tell(&handles, key, command).await?;
    let view = recorded.messages.first().ok_or_else(|| ApiError::failed("a message was changed and is not there"))?;
    Ok(HttpResponse::Ok().json(shown_message(&handles, view, row.display_id)))
}

/// The names of what is submitted (contract, section 5), where it is not in an object of its own.
const NAMES: &[&str] = &["name", "title", "value", RATING];
/// The most values of an answer, and how deep they may lie.
const VALUES: usize = 100;
const DEPTH: usize = 4;
/// What is said with a rating, unlike other values, may be long.
const FEEDBACK_LIMIT: usize = 5_000;
const RATING: &str = "csat_survey_response";

/// What was submitted, if it can be kept: under `submitted_values`, or else among the fields of the body.
///
/// # Errors
/// 422 naming `submitted_values`.
pub fn submitted(given: Option<Value>, body: &Value) -> ApiResult<Value> {
    let refused = |words: &str| ApiError::invalid("submitted_values", format!("submitted_values: {words}"));
    let bare = || {
        let named = NAMES.iter().filter_map(|name| Some(((*name).to_owned(), body.get(name)?.clone())));
        Value::Object(named.collect::<Map<_, _>>())
    };
    // As JSON in a text, as multipart has it.
    let mut values = match given {
        Some(Value::String(text)) => serde_json::from_str(&text).map_err(|_| refused("expected an object or a list of objects"))?,
        Some(Value::Null) | None => bare(),
        Some(values) => values,
    };
    let is_object = |value: &Value| value.as_object().is_some_and(|object| !object.is_empty());
    if !is_object(&values) && !values.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(is_object)) {
        return Err(refused("expected an object or a list of objects with what was chosen or filled in"));
    }
    let rating = values.as_object_mut().and_then(|values| values.remove(RATING)).map(|given| checked_rating(&given)).transpose();
    let rating = rating.map_err(|words| refused(&words))?;
    let mut left = VALUES;
    check(&values, DEPTH, &mut left).map_err(refused)?;
    if let Some(rating) = rating {
        set(&mut values, RATING, rating);
    }
    Ok(values)
}

/// A rating as it is kept: a number, and words where there are any.
fn checked_rating(given: &Value) -> Result<Value, String> {
    let rating = fields::id(given.get("rating").cloned().unwrap_or_default()).ok().filter(|rating| (1..=5).contains(rating));
    let rating = rating.ok_or("csat_survey_response.rating: expected a number from 1 to 5")?;
    match given.get("feedback_message") {
        None | Some(Value::Null) => Ok(json!({ "rating": rating })),
        Some(Value::String(words)) if words.chars().count() <= FEEDBACK_LIMIT => Ok(json!({ "rating": rating, "feedback_message": words })),
        Some(_) => Err(format!("csat_survey_response.feedback_message: expected a text of at most {FEEDBACK_LIMIT} characters")),
    }
}

fn check(value: &Value, depth: usize, left: &mut usize) -> Result<(), &'static str> {
    let Some(deeper) = depth.checked_sub(1) else { return Err("is nested too deep") };
    match value {
        Value::Array(list) => list.iter().try_for_each(|value| check(value, deeper, left)),
        Value::Object(object) => object.values().try_for_each(|value| check(value, deeper, left)),
        value => {
            *left = left.checked_sub(1).ok_or("has too many values")?;
            fields::attribute_refusal(value).map_or(Ok(()), Err)
        }
    }
}

/// The e-mail address among the values, where there is one.
pub fn email_among(values: &Value) -> Option<String> {
    match values {
        Value::Array(list) => list.iter().find_map(email_among),
        Value::Object(object) => ["email", "value"].iter().find_map(|name| fields::email_address(object.get(*name)?.as_str()?)),
        _ => None,
    }
}

/// The last messages that the contact may see, oldest first.
///
/// # Errors
/// If the database fails.
pub async fn public_messages(handles: &Handles, conversation_id: i64, before: Option<i64>, limit: u64) -> ApiResult<Vec<MessageView>> {
    let mut found = public(conversation_id);
    if let Some(before) = before {
        found = found.filter(message::Column::Id.lt(before));
    }
    let mut rows = found.order_by_desc(message::Column::Id).limit(limit).all(&handles.db.read).await?;
    rows.reverse();
    views::messages(handles, rows).await
}

/// The messages of a conversation that its contact may see.
pub fn public(conversation_id: i64) -> Select<message::Entity> {
    message::Entity::find()
        .filter(message::Column::ConversationId.eq(conversation_id))
        .filter(message::Column::Private.eq(false))
        .filter(message::Column::MessageType.ne(MessageType::Activity))
}

/// A message as its contact sees it.
pub fn shown_message(handles: &Handles, view: &MessageView, display_id: i64) -> Value {
    let row = &view.message;
    let mut shown = json!({
        "id": row.id,
        "content": row.content,
        "message_type": row.message_type.number(),
        "content_type": row.content_type,
        "content_attributes": row.content_attributes,
        "created_at": epoch(row.created_at),
        "conversation_id": display_id,
    });
    handles.wire.add_optional(&mut shown, view);
    if view.echo_id.is_none() {
        return shown;
    }
    set(&mut shown, "echo_id", view.echo_id.clone().into());
    shown
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn answers_are_objects_or_lists_of_them_of_bounded_size() {
        let many: Map<String, Value> = (0..=VALUES).map(|number| (number.to_string(), json!(1))).collect();
        for (body, expected) in [
            (json!({ "submitted_values": { "title": "A", "value": "a" } }), Some(json!({ "title": "A", "value": "a" }))),
            (json!({ "submitted_values": [{ "name": "n", "value": "v" }] }), Some(json!([{ "name": "n", "value": "v" }]))),
            (json!({ "submitted_values": "{\"value\": 1}" }), Some(json!({ "value": 1 }))),
            (json!({ "name": "n", "value": "v", "other": 1 }), Some(json!({ "name": "n", "value": "v" }))),
            (
                json!({ "submitted_values": { "csat_survey_response": { "rating": 5, "feedback_message": "Thanks" } } }),
                Some(json!({ "csat_survey_response": { "rating": 5, "feedback_message": "Thanks" } })),
            ),
            (
                json!({ "csat_survey_response": { "rating": "4", "feedback_message": "x".repeat(5000), "other": 1 } }),
                Some(json!({ "csat_survey_response": { "rating": 4, "feedback_message": "x".repeat(5000) } })),
            ),
            (
                json!({ "csat_survey_response": { "rating": 1, "feedback_message": null } }),
                Some(json!({ "csat_survey_response": { "rating": 1 } })),
            ),
            (json!({ "csat_survey_response": { "rating": 1, "feedback_message": "x".repeat(5001) } }), None),
            (json!({ "csat_survey_response": { "rating": 1, "feedback_message": ["x"] } }), None),
            (json!({ "csat_survey_response": { "rating": 6 } }), None),
            (json!({ "csat_survey_response": { "feedback_message": "Thanks" } }), None),
            (json!({}), None),
            (json!({ "submitted_values": {} }), None),
            (json!({ "submitted_values": [] }), None),
            (json!({ "submitted_values": ["a"] }), None),
            (json!({ "submitted_values": "a" }), None),
            (json!({ "submitted_values": { "value": "x".repeat(1500) } }), None),
            (json!({ "submitted_values": { "a": { "b": { "c": { "d": 1 } } } } }), None),
            (json!({ "submitted_values": many }), None),
        ] {
            let answer = submitted(body.get("submitted_values").cloned(), &body);
            assert_eq!(answer.ok(), expected, "{body}");
        }
    }

    #[test]
    fn an_address_is_found_among_the_values() {
        for (values, expected) in [
            (json!({ "value": "Ada@Example.com" }), Some("ada@example.com")),
            (json!([{ "name": "email", "value": "ada@example.com" }]), Some("ada@example.com")),
            (json!({ "email": "ada@example.com" }), Some("ada@example.com")),
            (json!({ "value": "nobody" }), None),
            (json!({ "value": 1 }), None),
        ] {
            assert_eq!(email_among(&values).as_deref(), expected, "{values}");
        }
    }
}
