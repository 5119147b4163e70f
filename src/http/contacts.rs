//! The people who write.
use super::auth::Agent;
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::idempotency::Claim;
use super::inboxes::living;
use super::{fields, render, views};
use actix_web::{HttpResponse, web};
use actors::contacts::{Update, Wanted};
use actors::message::Profile;
use actors::store::{Recorded, StoreError};
use actors::system::Handles;
use entity::{contact, conversation};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// A contact as it is created or changed.
#[derive(Deserialize, ToSchema)]
pub struct ContactFields {
    #[serde(default, deserialize_with = "fields::optional_id")]
    inbox_id: Option<i64>,
    #[serde(default, deserialize_with = "fields::text")]
    source_id: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "fields::nullable_text")]
    #[schema(value_type = Option<String>)]
    email: Option<Option<String>>,
    #[serde(default, deserialize_with = "fields::nullable_text")]
    #[schema(value_type = Option<String>)]
    phone_number: Option<Option<String>>,
    #[serde(default, deserialize_with = "fields::nullable_text")]
    #[schema(value_type = Option<String>)]
    identifier: Option<Option<String>>,
    #[serde(default, deserialize_with = "fields::nullable_text")]
    #[schema(value_type = Option<String>)]
    avatar_url: Option<Option<String>>,
    #[serde(default, deserialize_with = "fields::flag")]
    blocked: Option<bool>,
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Option<Object>)]
    additional_attributes: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Option<Object>)]
    custom_attributes: Option<Map<String, Value>>,
}

impl Request for ContactFields {
    const ENVELOPE: Option<&'static str> = Some("contact");
}

impl ContactFields {
    /// With addresses and numbers in their stored form.
    fn checked(mut self) -> ApiResult<Self> {
        if let Some(Some(email)) = &self.email {
            self.email = Some(Some(checked_email(email)?));
        }
        if let Some(Some(number)) = &self.phone_number {
            self.phone_number = Some(Some(checked_phone_number(number)?));
        }
        for (name, text) in [("name", &self.name), ("source_id", &self.source_id)] {
            check_length(name, text.as_deref())?;
        }
        check_length("identifier", self.identifier.as_ref().and_then(|text| text.as_deref()))?;
        check_length("avatar_url", self.avatar_url.as_ref().and_then(|text| text.as_deref()))?;
        Ok(self)
    }

    fn wanted(&self, claim: Option<i64>) -> Wanted {
        Wanted {
            profile: Profile {
                name: self.name.clone(),
                email: self.email.clone().flatten(),
                phone_number: self.phone_number.clone().flatten(),
                identifier: self.identifier.clone().flatten(),
            },
            source_id: self.source_id.clone().filter(|id| !id.is_empty()),
            additional_attributes: self.additional_attributes.clone().unwrap_or_default(),
            custom_attributes: self.custom_attributes.clone().unwrap_or_default(),
            avatar_url: self.avatar_url.clone().flatten(),
            blocked: self.blocked.unwrap_or(false),
            hmac_verified: false,
            claim,
        }
    }
}

/// An e-mail address in its stored form.
///
/// # Errors
/// 422.
pub fn checked_email(email: &str) -> ApiResult<String> {
    fields::email_address(email).ok_or_else(|| ApiError::invalid("email", "Email is invalid"))
}

/// A phone number in its stored form.
///
/// # Errors
/// 422.
pub fn checked_phone_number(number: &str) -> ApiResult<String> {
    fields::phone_number(number).ok_or_else(|| ApiError::invalid("phone_number", "Phone number should be in e164 format"))
}

/// Short texts are at most 2048 characters long (contract, section 0, Limits: url).
///
/// # Errors
/// 422.
pub fn check_length(field: &str, text: Option<&str>) -> ApiResult<()> {
    match text {
        Some(text) if text.chars().count() > 2048 => Err(ApiError::invalid(field, format!("{field} is longer than 2048 characters"))),
        _ => Ok(()),
    }
}

/// Creates a contact; with `inbox_id` also its address there.
#[utoipa::path(post, path = "", tag = "Contacts", request_body = ContactFields, responses((status = 200, description = "payload: contact, contact_inbox"), (status = 422, description = "a field is wrong")))]
pub async fn create(handles: web::Data<Handles>, agent: Agent, claim: Claim, body: Body<ContactFields>) -> ApiResult<HttpResponse> {
    let fields = body.value.checked()?;
    if let Some(made) = claim.made {
        let row = of_account(&handles, &agent, made).await?;
        let identity = views::identities(&handles, &[row.id]).await?.pop();
        return Ok(created(&handles, &row, identity.as_ref()));
    }
    let wanted = fields.wanted(claim.id);
    let recorded: Recorded = match fields.inbox_id {
        Some(inbox_id) => handles.contacts.create_in(&living(agent.visible_inbox(inbox_id)?)?, &wanted).await?,
        None => handles.contacts.create(&agent.account, &wanted).await?,
    };
    Ok(created(&handles, &recorded.contact, recorded.contact_inbox.as_deref()))
}

fn created(handles: &Handles, contact: &contact::Model, identity: Option<&entity::contact_inbox::Model>) -> HttpResponse {
    let identities: Vec<_> = identity.cloned().into_iter().collect();
    let inbox = identity.and_then(|identity| handles.catalog.now().inbox(identity.inbox_id).map(|inbox| render::slim_inbox(inbox)));
    let mut contact_inbox = json!({ "inbox": inbox });
    if let Some(identity) = identity {
        actors::wire::set(&mut contact_inbox, "source_id", identity.source_id.clone().into());
    }
    let shown = render::contact(handles, contact, Some(&identities));
    HttpResponse::Ok().json(json!({ "payload": { "contact": shown, "contact_inbox": contact_inbox } }))
}

/// One contact.
#[utoipa::path(get, path = "", tag = "Contacts", responses((status = 200, description = "payload: the contact"), (status = 404, description = "no such contact")))]
pub async fn show(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let row = of_account(&handles, &agent, path.1).await?;
    answer(&handles, &row).await
}

/// Changes a contact; attributes are merged into what is there.
#[utoipa::path(patch, path = "", tag = "Contacts", request_body = ContactFields, responses((status = 200, description = "payload: the contact"), (status = 422, description = "a field is wrong")))]
pub async fn update(
    handles: web::Data<Handles>,
    agent: Agent,
    path: web::Path<(i64, i64)>,
    body: Body<ContactFields>,
) -> ApiResult<HttpResponse> {
    let row = of_account(&handles, &agent, path.1).await?;
    let fields = body.value.checked()?;
    let update = Update {
        name: fields.name,
        email: fields.email,
        phone_number: fields.phone_number,
        identifier: fields.identifier,
        blocked: fields.blocked,
        avatar_url: fields.avatar_url,
        additional_attributes: fields.additional_attributes.unwrap_or_default(),
        custom_attributes: fields.custom_attributes.unwrap_or_default(),
    };
    let updated = handles.contacts.update(&agent.account, row, update).await?;
    answer(&handles, &updated).await
}

/// The contact's last conversations.
#[utoipa::path(get, path = "", tag = "Contacts", responses((status = 200, description = "payload: conversations")))]
pub async fn conversations(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let row = of_account(&handles, &agent, path.1).await?;
    let mut found = conversation::Entity::find().filter(conversation::Column::ContactId.eq(row.id));
    if let Some(visible) = agent.visible_inboxes() {
        found = found.filter(conversation::Column::InboxId.is_in(visible));
    }
    let rows = found.order_by_desc(conversation::Column::Id).limit(20).all(&handles.db.read).await?;
    let shown = views::conversations(&handles, rows).await?;
    let payload: Vec<Value> = shown.iter().map(|shown| render::conversation(&handles, shown)).collect();
    Ok(HttpResponse::Ok().json(json!({ "payload": payload })))
}

/// An address in an inbox.
#[derive(Deserialize, ToSchema)]
pub struct Identity {
    #[serde(deserialize_with = "fields::id")]
    inbox_id: i64,
    #[serde(default, deserialize_with = "fields::text")]
    source_id: Option<String>,
}

impl Request for Identity {}

/// Gives a contact an address in an inbox.
#[utoipa::path(post, path = "", tag = "Contacts", request_body = Identity, responses((status = 200, description = "source_id, inbox"), (status = 409, description = "another contact has it")))]
pub async fn add_identity(
    handles: web::Data<Handles>,
    agent: Agent,
    path: web::Path<(i64, i64)>,
    body: Body<Identity>,
) -> ApiResult<HttpResponse> {
    let row = of_account(&handles, &agent, path.1).await?;
    let inbox = living(agent.visible_inbox(body.value.inbox_id)?)?;
    check_length("source_id", body.value.source_id.as_deref())?;
    let recorded =
        handles.contacts.add_identity(&inbox, row, body.value.source_id.filter(|id| !id.is_empty())).await.map_err(identity_refusal)?;
    let source_id = recorded.contact_inbox.map(|identity| identity.source_id.clone());
    Ok(HttpResponse::Ok().json(json!({ "source_id": source_id, "inbox": render::slim_inbox(&inbox) })))
}

/// Why a contact could not be given an address: sending the request again would not help.
pub fn identity_refusal(error: StoreError) -> ApiError {
    match error {
        StoreError::Conflict(_) => ApiError::conflict("source_id belongs to another contact of this inbox"),
        other => other.into(),
    }
}

/// A contact of the caller's account.
///
/// # Errors
/// 404.
pub async fn of_account(handles: &Handles, agent: &Agent, id: i64) -> ApiResult<contact::Model> {
    let found = contact::Entity::find_by_id(id).filter(contact::Column::AccountId.eq(agent.account.id)).one(&handles.db.read).await?;
    found.ok_or_else(ApiError::not_found)
}

async fn answer(handles: &Handles, row: &contact::Model) -> ApiResult<HttpResponse> {
    let identities = views::identities(handles, &[row.id]).await?;
    Ok(HttpResponse::Ok().json(json!({ "payload": render::contact(handles, row, Some(&identities)) })))
}
