//! The people who write.
use super::auth::{Administrator, Agent};
use super::body::{Body, Request};
use super::contact_avatar::{self, Picture};
use super::error::{ApiError, ApiResult};
use super::idempotency::Claim;
use super::inboxes::living;
use super::worker::Sees;
use super::{audit, fields, render, views};
use actix_web::{HttpResponse, web};
use actors::contacts::{Author, Update, Wanted};
use actors::message::Profile;
use actors::store::{Recorded, StoreError};
use actors::system::Handles;
use entity::{attachment, contact, conversation, message};
use sea_orm::sea_query::Query;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
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
        if let Some(Some(url)) = &self.avatar_url {
            check_length("avatar_url", Some(url))?;
            if !url.starts_with("https://") && !url.starts_with("http://") {
                return Err(ApiError::invalid("avatar_url", "avatar_url must begin with https:// or http://"));
            }
        }
        check_attributes("additional_attributes", self.additional_attributes.as_ref())?;
        check_attributes("custom_attributes", self.custom_attributes.as_ref())?;
        Ok(self)
    }

    fn wanted(&self, picture: Option<Picture>, claim: Option<i64>) -> Wanted {
        Wanted {
            profile: Profile {
                name: self.name.clone(),
                email: self.email.clone().flatten(),
                phone_number: self.phone_number.clone().flatten(),
                identifier: self.identifier.clone().flatten(),
                ..Profile::default()
            },
            source_id: self.source_id.clone().filter(|id| !id.is_empty()),
            additional_attributes: self.additional_attributes.clone().unwrap_or_default(),
            custom_attributes: self.custom_attributes.clone().unwrap_or_default(),
            avatar_blob_id: picture.as_ref().map(|picture| picture.blob_id),
            avatar_url: picture.map_or_else(|| self.avatar_url.clone().flatten(), |picture| Some(picture.place)),
            blocked: self.blocked.unwrap_or(false),
            claim,
            ..Wanted::default()
        }
    }
}

impl ContactFields {
    fn update(self, picture: Option<Picture>) -> Update {
        Update {
            name: self.name,
            email: self.email,
            phone_number: self.phone_number,
            identifier: self.identifier,
            blocked: self.blocked,
            avatar_blob_id: picture.as_ref().map(|picture| picture.blob_id),
            avatar_url: picture.map_or(self.avatar_url, |picture| Some(Some(picture.place))),
            additional_attributes: self.additional_attributes.unwrap_or_default(),
            custom_attributes: self.custom_attributes.unwrap_or_default(),
            ..Update::default()
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

/// Attributes keep to the contract's limits.
///
/// # Errors
/// 422 naming the field and the attribute.
pub fn check_attributes(field: &str, attributes: Option<&Map<String, Value>>) -> ApiResult<()> {
    for (name, value) in attributes.into_iter().flatten() {
        if let Some(words) = fields::attribute_refusal(value) {
            return Err(ApiError::invalid(field, format!("{field}: {name} {words}")));
        }
    }
    Ok(())
}

/// Creates a contact; with `inbox_id` also its address there.
#[utoipa::path(post, path = "", tag = "Contacts", request_body = ContactFields, responses((status = 200, description = "payload: contact, contact_inbox"), (status = 422, description = "a field is wrong")))]
pub async fn create(handles: web::Data<Handles>, agent: Agent, claim: Claim, body: Body<ContactFields>) -> ApiResult<HttpResponse> {
    let picture = contact_avatar::store(&handles, &agent, body.files).await?;
    if let Some(made) = claim.made {
        if let Some(picture) = picture {
            handles.contacts.discard(picture.blob_id).await?;
        }
        let row = of_account(&handles, &agent, made).await?;
        let identity = views::identities(&handles, &[row.id]).await?.pop();
        return Ok(created(&handles, &row, identity.as_ref()));
    }
    let recorded: ApiResult<Recorded> = async {
        let fields = body.value.checked()?;
        let wanted = Wanted { performer: Some(agent.card()), ..fields.wanted(picture.clone(), claim.id) };
        Ok(match fields.inbox_id {
            Some(inbox_id) => handles.contacts.create_in(&living(agent.visible_inbox(inbox_id)?)?, &wanted).await?,
            None => handles.contacts.create(&agent.account, &wanted).await?,
        })
    }
    .await;
    let recorded = match recorded {
        Ok(recorded) => recorded,
        Err(refused) => return contact_avatar::withdrawn(&handles, picture, refused).await,
    };
    Ok(created(&handles, &recorded.contact, recorded.contact_inbox.as_deref()))
}

fn created(handles: &Handles, contact: &contact::Model, identity: Option<&entity::contact_inbox::Model>) -> HttpResponse {
    let identities: Vec<_> = identity.cloned().into_iter().collect();
    let inbox = identity.and_then(|identity| handles.catalog.now().inbox(identity.inbox_id).map(|inbox| render::inbox_row(inbox)));
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
    let picture = contact_avatar::store(&handles, &agent, body.files).await?;
    let updated: ApiResult<_> = async {
        let fields = body.value.checked()?;
        let update = Update { performer: Some(agent.card()), ..fields.update(picture.clone()) };
        Ok(handles.contacts.update(&agent.account, row, update).await?)
    }
    .await;
    match updated {
        Ok(updated) => answer(&handles, &updated).await,
        Err(refused) => contact_avatar::withdrawn(&handles, picture, refused).await,
    }
}

/// Removes a contact with everything of it. One that is online stays.
#[utoipa::path(delete, path = "", tag = "Contacts", responses((status = 200, description = "removed"), (status = 422, description = "the contact is online")))]
pub async fn remove(handles: web::Data<Handles>, admin: Administrator, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let Administrator(agent) = admin;
    let row = of_account(&handles, &agent, path.1).await?;
    if handles.presence.is_contact_online(row.account_id, row.id) {
        return Err(ApiError::unprocessable(format!("{} is online and cannot be removed now", row.name)));
    }
    handles.contacts.remove(&agent.account, row.id, departing(&agent, row.id)).await?;
    handles.addresses.clear();
    Ok(HttpResponse::Ok().finish())
}

/// Who removes a contact or merges it into another one, and what the audit log says of it.
pub fn departing(agent: &Agent, contact_id: i64) -> Author {
    Author { performer: Some(agent.card()), noted: Some(audit::departure(&agent.author(), ("Contact", contact_id))) }
}

/// Names of custom attributes.
#[derive(Deserialize, ToSchema)]
pub struct AttributeNames {
    custom_attributes: Vec<String>,
}

impl Request for AttributeNames {}

/// Takes custom attributes off a contact.
#[utoipa::path(post, path = "", tag = "Contacts", request_body = AttributeNames, responses((status = 200, description = "payload: the contact")))]
pub async fn destroy_custom_attributes(
    handles: web::Data<Handles>,
    agent: Agent,
    path: web::Path<(i64, i64)>,
    body: Body<AttributeNames>,
) -> ApiResult<HttpResponse> {
    let row = of_account(&handles, &agent, path.1).await?;
    let update = Update { removed_attributes: body.value.custom_attributes, performer: Some(agent.card()), ..Update::default() };
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

/// What was attached to messages of the contact's conversations: the latest hundred (contract, section 0).
#[utoipa::path(get, path = "", tag = "Contacts", responses((status = 200, description = "meta: total_count, payload: attachments")))]
pub async fn attachments(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let row = of_account(&handles, &agent, path.1).await?;
    let mut conversations = Query::select()
        .column(conversation::Column::Id)
        .from(conversation::Entity)
        .and_where(conversation::Column::ContactId.eq(row.id))
        .take();
    if let Some(visible) = agent.visible_inboxes() {
        conversations.and_where(conversation::Column::InboxId.is_in(visible));
    }
    let messages = Query::select()
        .column(message::Column::Id)
        .from(message::Entity)
        .and_where(message::Column::ConversationId.in_subquery(conversations))
        .take();
    let found = attachment::Entity::find().filter(attachment::Column::MessageId.in_subquery(messages));
    let count = found.clone().count(&handles.db.read).await?;
    let rows = found.order_by_desc(attachment::Column::Id).limit(100).all(&handles.db.read).await?;
    let carriers = message::Entity::find().filter(message::Column::Id.is_in(rows.iter().map(|row| row.message_id)));
    let carriers = views::messages(&handles, carriers.all(&handles.db.read).await?).await?;
    let shown = |row: &attachment::Model| {
        let mut shown = handles.wire.attachment(row);
        let carrier = carriers.iter().find(|view| view.message.id == row.message_id);
        let sender = carrier.and_then(|view| view.sender.as_ref()).map(|sender| handles.wire.sender(sender, row.account_id));
        actors::wire::set(&mut shown, "created_at", actors::wire::epoch(row.created_at).into());
        actors::wire::set(&mut shown, "sender", sender.unwrap_or_default());
        shown
    };
    let payload: Vec<Value> = rows.iter().map(shown).collect();
    Ok(HttpResponse::Ok().json(json!({ "meta": { "total_count": count }, "payload": payload })))
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
pub async fn of_account(handles: &Handles, caller: &impl Sees, id: i64) -> ApiResult<contact::Model> {
    let found = contact::Entity::find_by_id(id).filter(contact::Column::AccountId.eq(caller.account_id())).one(&handles.db.read).await?;
    found.ok_or_else(ApiError::not_found)
}

/// A contact with its addresses, as most routes answer it.
///
/// # Errors
/// If the database fails.
pub async fn answer(handles: &Handles, row: &contact::Model) -> ApiResult<HttpResponse> {
    let identities = views::identities(handles, &[row.id]).await?;
    Ok(HttpResponse::Ok().json(json!({ "payload": render::contact(handles, row, Some(&identities)) })))
}
