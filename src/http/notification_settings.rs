//! Of what the caller wants to be told, and the devices that want to hear of it.
use super::auth::{Agent, Caller};
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::{audit, fields};
use actix_web::{HttpResponse, web};
use actors::catalog::CHOSEN_AT_FIRST;
use actors::system::Handles;
use actors::wire::iso;
use entity::{notification_setting, notification_subscription};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue, ColumnTrait, EntityTrait, QueryFilter, TransactionTrait};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// Everything that one may be told of (contract, section 0, Enums).
const KINDS: &[&str] = &[
    "conversation_creation",
    "conversation_assignment",
    "assigned_conversation_new_message",
    "conversation_mention",
    "participating_conversation_new_message",
    "sla_missed_first_response",
    "sla_missed_next_response",
    "sla_missed_resolution",
];

/// Which flags are chosen; those not named stay.
#[derive(Deserialize, ToSchema)]
pub struct Flags {
    /// `email_` and a kind each.
    selected_email_flags: Option<Vec<String>>,
    /// `push_` and a kind each.
    selected_push_flags: Option<Vec<String>>,
}

impl Request for Flags {
    const ENVELOPE: Option<&'static str> = Some("notification_settings");
}

/// The caller's choice.
#[utoipa::path(get, path = "", tag = "Notifications", responses((status = 200, description = "all flags and those selected")))]
pub async fn show(handles: web::Data<Handles>, agent: Agent) -> HttpResponse {
    HttpResponse::Ok().json(shown(&handles, &agent))
}

/// Changes the caller's choice.
#[utoipa::path(patch, path = "", tag = "Notifications", request_body = Flags, responses((status = 200, description = "all flags and those selected"), (status = 422, description = "a flag is unknown")))]
pub async fn update(handles: web::Data<Handles>, agent: Agent, body: Body<Flags>) -> ApiResult<HttpResponse> {
    use notification_setting::Column;
    let (email, push) = chosen(&handles, &agent);
    let before = json!({ "email_flags": email, "push_flags": push });
    let email = body.value.selected_email_flags.map_or(Ok(email), |flags| kinds("selected_email_flags", "email_", flags))?;
    let push = body.value.selected_push_flags.map_or(Ok(push), |flags| kinds("selected_push_flags", "push_", flags))?;
    let now = entity::now();
    let row = notification_setting::ActiveModel {
        id: ActiveValue::NotSet,
        account_id: ActiveValue::Set(agent.account.id),
        user_id: ActiveValue::Set(agent.user.row.id),
        email_flags: ActiveValue::Set(json!(email)),
        push_flags: ActiveValue::Set(json!(push)),
        created_at: ActiveValue::Set(now),
        updated_at: ActiveValue::Set(now),
    };
    let again = OnConflict::columns([Column::AccountId, Column::UserId])
        .update_columns([Column::EmailFlags, Column::PushFlags, Column::UpdatedAt])
        .to_owned();
    let transaction = handles.db.write.begin().await?;
    notification_setting::Entity::insert(row).on_conflict(again).exec_without_returning(&transaction).await?;
    let of_caller = notification_setting::Entity::find().filter(Column::AccountId.eq(agent.account.id));
    let stored = of_caller.filter(Column::UserId.eq(agent.user.row.id)).one(&transaction).await?.ok_or_else(ApiError::not_found)?;
    let after = json!({ "email_flags": stored.email_flags, "push_flags": stored.push_flags });
    audit::updated(&transaction, &agent.author(), ("NotificationSetting", stored.id), &before, &after).await?;
    transaction.commit().await?;
    handles.catalog.reload().await?;
    Ok(HttpResponse::Ok().json(shown(&handles, &agent)))
}

fn kinds(field: &str, prefix: &str, flags: Vec<String>) -> ApiResult<Vec<String>> {
    let mut chosen = Vec::new();
    for flag in flags.into_iter().filter(|flag| !flag.is_empty()) {
        let kind = flag.strip_prefix(prefix).filter(|kind| KINDS.contains(kind));
        let kind = kind.ok_or_else(|| ApiError::invalid(field, format!("{field}: \"{flag}\" is no such flag")))?.to_owned();
        if !chosen.contains(&kind) {
            chosen.push(kind);
        }
    }
    Ok(chosen)
}

fn chosen(handles: &Handles, agent: &Agent) -> (Vec<String>, Vec<String>) {
    let read = |flags: &Value| serde_json::from_value(flags.clone()).unwrap_or_default();
    let default = || vec![CHOSEN_AT_FIRST.name().to_owned()];
    match handles.catalog.now().notification_setting(agent.account.id, agent.user.row.id) {
        Some(row) => (read(&row.email_flags), read(&row.push_flags)),
        None => (default(), default()),
    }
}

fn shown(handles: &Handles, agent: &Agent) -> Value {
    let (email, push) = chosen(handles, agent);
    let id = handles.catalog.now().notification_setting(agent.account.id, agent.user.row.id).map_or(0, |row| row.id);
    let all = |prefix: &str| KINDS.iter().map(|kind| format!("{prefix}{kind}")).collect::<Vec<_>>();
    let named = |prefix: &str, kinds: Vec<String>| kinds.iter().map(|kind| format!("{prefix}{kind}")).collect::<Vec<_>>();
    json!({
        "id": id,
        "user_id": agent.user.row.id,
        "account_id": agent.account.id,
        "all_email_flags": all("email_"),
        "selected_email_flags": named("email_", email),
        "all_push_flags": all("push_"),
        "selected_push_flags": named("push_", push),
    })
}

/// A device.
#[derive(Deserialize, ToSchema)]
pub struct Subscription {
    /// `browser_push` or `fcm`.
    #[serde(default)]
    subscription_type: String,
    /// `endpoint` of a browser, or `device_id` and `push_token` of a device.
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Object)]
    subscription_attributes: Option<Map<String, Value>>,
}

impl Request for Subscription {
    const ENVELOPE: Option<&'static str> = Some("notification_subscription");
}

/// What the answer says of devices.
const NO_PUSH: &str = "This version keeps the device and pushes nothing to it: notifications come over the websocket and by mail.";

/// Notes a device of the caller; one known already becomes the caller's. Nothing is pushed to it yet, and the answer says so.
#[utoipa::path(post, path = "", tag = "Notifications", request_body = Subscription, responses((status = 200, description = "the subscription, with message"), (status = 422, description = "a field is wrong")))]
pub async fn subscribe(handles: web::Data<Handles>, caller: Caller, body: Body<Subscription>) -> ApiResult<HttpResponse> {
    use notification_subscription::Column;
    let Subscription { subscription_type, subscription_attributes } = body.value;
    let attributes = subscription_attributes.unwrap_or_default();
    let name = match subscription_type.as_str() {
        "browser_push" => "endpoint",
        "fcm" => "device_id",
        _ => return Err(ApiError::invalid("subscription_type", "subscription_type is neither browser_push nor fcm")),
    };
    let identifier = attributes.get(name).and_then(Value::as_str).filter(|text| !text.is_empty() && text.len() <= 2048);
    let identifier = identifier.ok_or_else(|| ApiError::invalid("subscription_attributes", format!("{name} is missing")))?.to_owned();
    let now = entity::now();
    let row = notification_subscription::ActiveModel {
        id: ActiveValue::NotSet,
        user_id: ActiveValue::Set(caller.user.row.id),
        subscription_type: ActiveValue::Set(subscription_type),
        identifier: ActiveValue::Set(identifier.clone()),
        subscription_attributes: ActiveValue::Set(Value::Object(attributes)),
        created_at: ActiveValue::Set(now),
        updated_at: ActiveValue::Set(now),
    };
    let again = OnConflict::column(Column::Identifier)
        .update_columns([Column::UserId, Column::SubscriptionType, Column::SubscriptionAttributes, Column::UpdatedAt])
        .to_owned();
    notification_subscription::Entity::insert(row).on_conflict(again).exec_without_returning(&handles.db.write).await?;
    let stored = notification_subscription::Entity::find().filter(Column::Identifier.eq(identifier)).one(&handles.db.read).await?;
    let stored = stored.ok_or_else(ApiError::not_found)?;
    Ok(HttpResponse::Ok().json(json!({
        "id": stored.id,
        "user_id": stored.user_id,
        "subscription_type": stored.subscription_type,
        "identifier": stored.identifier,
        "subscription_attributes": stored.subscription_attributes,
        "created_at": iso(stored.created_at),
        "updated_at": iso(stored.updated_at),
        "message": NO_PUSH,
    })))
}

/// A device that is to hear no more.
#[derive(Deserialize, ToSchema)]
pub struct Unsubscription {
    /// The token of the device.
    #[serde(default, deserialize_with = "fields::text")]
    push_token: Option<String>,
    /// Or the endpoint of the browser.
    #[serde(default, deserialize_with = "fields::text")]
    endpoint: Option<String>,
}

impl Request for Unsubscription {}

/// Forgets a device of the caller.
#[utoipa::path(delete, path = "", tag = "Notifications", request_body = Unsubscription, responses((status = 200, description = "forgotten")))]
pub async fn unsubscribe(handles: web::Data<Handles>, caller: Caller, body: Body<Unsubscription>) -> ApiResult<HttpResponse> {
    use notification_subscription::{Column, Entity};
    let Unsubscription { push_token, endpoint } = body.value;
    let is_meant = |row: &notification_subscription::Model| {
        let token = row.subscription_attributes.get("push_token").and_then(Value::as_str);
        (token.is_some() && token == push_token.as_deref()) || Some(&row.identifier) == endpoint.as_ref()
    };
    let own = Entity::find().filter(Column::UserId.eq(caller.user.row.id)).all(&handles.db.read).await?;
    let ids: Vec<i64> = own.iter().filter(|row| is_meant(row)).map(|row| row.id).collect();
    Entity::delete_many().filter(Column::Id.is_in(ids)).exec(&handles.db.write).await?;
    Ok(HttpResponse::Ok().finish())
}
