//! The client API of API inboxes: what a customer's own apps call, without a token (contract, section 5). The inbox
//! identifier names the inbox, the source id the contact; where the inbox demands it, the contact proves its identity.
use super::ask::tell;
use super::auth::ClientInbox;
use super::body::{Body, Request};
use super::client_messages::{public_messages, shown_message};
use super::contacts::{check_attributes, check_length, checked_email, checked_phone_number};
use super::conversations::OnOff;
use super::error::{ApiError, ApiResult};
use super::idempotency::Claim;
use super::{fields, views};
use actix_web::{HttpResponse, web};
use actors::catalog::Inbox;
use actors::channel::ChannelSettings;
use actors::contacts::{Update, Wanted};
use actors::conversation::rules::{By, Change};
use actors::conversation::{Command, Open};
use actors::message::{Key, Profile, Sender};
use actors::signature::verify_identity;
use actors::system::Handles;
use actors::wire::{epoch_or_zero, iso, iso_or_null, set};
use entity::conversation::Status;
use entity::{contact, contact_inbox, conversation};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use utoipa::ToSchema;

/// A contact, as its own app knows it.
#[derive(Deserialize, ToSchema)]
pub struct ClientContact {
    #[serde(default, deserialize_with = "fields::text")]
    source_id: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    identifier: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    identifier_hash: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    email: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    phone_number: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    avatar_url: Option<String>,
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Option<Object>)]
    custom_attributes: Option<Map<String, Value>>,
}

impl Request for ClientContact {}

impl ClientContact {
    /// Its fields in the form in which they are stored.
    ///
    /// # Errors
    /// 422 naming a field.
    pub fn checked(mut self) -> ApiResult<Self> {
        let present = |text: Option<String>| text.filter(|text| !text.is_empty());
        self.email = present(self.email).map(|email| checked_email(&email)).transpose()?;
        self.phone_number = present(self.phone_number).map(|number| checked_phone_number(&number)).transpose()?;
        (self.identifier, self.source_id) = (present(self.identifier), present(self.source_id));
        for (name, text) in
            [("name", &self.name), ("source_id", &self.source_id), ("identifier", &self.identifier), ("avatar_url", &self.avatar_url)]
        {
            check_length(name, text.as_deref())?;
        }
        if self.avatar_url.as_deref().is_some_and(|url| !url.is_empty() && !url.starts_with("https://") && !url.starts_with("http://")) {
            return Err(ApiError::invalid("avatar_url", "avatar_url must begin with https:// or http://"));
        }
        check_attributes("custom_attributes", self.custom_attributes.as_ref())?;
        Ok(self)
    }

    /// What it changes.
    pub fn update(self) -> Update {
        Update {
            name: self.name.filter(|name| !name.is_empty()),
            email: self.email.map(Some),
            phone_number: self.phone_number.map(Some),
            identifier: self.identifier.map(Some),
            avatar_url: self.avatar_url.map(Some),
            custom_attributes: self.custom_attributes.unwrap_or_default(),
            ..Update::default()
        }
    }

    /// Whether the contact has proven its identity.
    ///
    /// # Errors
    /// 401 if it had to and did not, or tried and failed.
    pub fn is_proven(&self, inbox: &Inbox, is_mandatory: bool) -> ApiResult<bool> {
        let refused = || ApiError::unauthorized("HMAC failed: Invalid Identifier Hash Provided");
        let hash = self.identifier_hash.as_deref().filter(|hash| !hash.is_empty());
        match (&self.identifier, hash) {
            (Some(identifier), Some(hash)) if verify_identity(inbox.hmac_token.expose(), identifier, hash) => Ok(true),
            (_, Some(_)) => Err(refused()),
            (_, None) if is_mandatory => Err(refused()),
            (_, None) => Ok(false),
        }
    }
}

/// What the inbox tells apps.
#[utoipa::path(get, path = "", tag = "Client API", responses((status = 200, description = "the inbox"), (status = 404, description = "no such inbox")))]
pub async fn inbox(ClientInbox(inbox): ClientInbox) -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "identifier": inbox.row.identifier,
        "identity_validation_enabled": is_identity_mandatory(&inbox),
        "name": inbox.row.name,
        "timezone": inbox.row.timezone,
        "working_hours": inbox.row.working_hours,
        "working_hours_enabled": inbox.row.working_hours_enabled,
        "csat_survey_enabled": inbox.row.csat_survey_enabled,
        "greeting_enabled": inbox.row.greeting_enabled,
    }))
}

/// Creates or finds a contact: by source id, identifier, e-mail address, phone number, in this order.
#[utoipa::path(post, path = "", tag = "Client API", request_body = ClientContact, responses((status = 200, description = "source_id, pubsub_token, id, name, email, phone_number"), (status = 401, description = "the identity is not proven")))]
pub async fn create_contact(
    handles: web::Data<Handles>,
    ClientInbox(inbox): ClientInbox,
    claim: Claim,
    body: Body<ClientContact>,
) -> ApiResult<HttpResponse> {
    find_or_create(&handles, &inbox, body.value, claim).await
}

/// The same for whoever has the inbox already.
///
/// # Errors
/// 401 for a wrong proof of identity, 422 naming a field.
pub async fn find_or_create(handles: &Handles, inbox: &Arc<Inbox>, contact: ClientContact, claim: Claim) -> ApiResult<HttpResponse> {
    let contact = contact.checked()?;
    let hmac_verified = contact.is_proven(inbox, is_identity_mandatory(inbox))?;
    if let Some(made) = claim.made {
        let row = contact::Entity::find_by_id(made).one(&handles.db.read).await?.ok_or_else(ApiError::not_found)?;
        let identity = views::identities(handles, &[row.id]).await?.into_iter().rfind(|identity| identity.inbox_id == inbox.row.id);
        return Ok(HttpResponse::Ok().json(shown_contact(&row, &identity.ok_or_else(ApiError::not_found)?)));
    }
    let wanted = Wanted {
        profile: Profile {
            name: contact.name,
            email: contact.email,
            phone_number: contact.phone_number,
            identifier: contact.identifier,
            ..Profile::default()
        },
        source_id: contact.source_id,
        additional_attributes: Map::new(),
        custom_attributes: contact.custom_attributes.unwrap_or_default(),
        avatar_url: contact.avatar_url,
        avatar_blob_id: None,
        blocked: false,
        hmac_verified,
        claim: claim.id,
        ..Wanted::default()
    };
    let recorded = handles.contacts.find_or_create(inbox, &wanted).await?;
    let identity = recorded.contact_inbox.ok_or_else(|| ApiError::failed("a contact of an inbox has no address there"))?;
    Ok(HttpResponse::Ok().json(shown_contact(&recorded.contact, &identity)))
}

fn is_identity_mandatory(inbox: &Inbox) -> bool {
    matches!(&inbox.settings, ChannelSettings::Api(settings) if settings.hmac_mandatory)
}

fn shown_contact(contact: &contact::Model, identity: &contact_inbox::Model) -> Value {
    json!({
        "source_id": identity.source_id,
        "pubsub_token": identity.pubsub_token,
        "id": contact.id,
        "name": contact.name,
        "email": contact.email,
        "phone_number": contact.phone_number,
    })
}

/// One contact.
#[utoipa::path(get, path = "", tag = "Client API", responses((status = 200, description = "the contact"), (status = 404, description = "no such contact")))]
pub async fn show_contact(
    handles: web::Data<Handles>,
    ClientInbox(inbox): ClientInbox,
    path: web::Path<(String, String)>,
) -> ApiResult<HttpResponse> {
    let (contact, identity) = person(&handles, &inbox, &path.1).await?;
    Ok(HttpResponse::Ok().json(shown_contact(&contact, &identity)))
}

/// Changes a contact; a proof of its identity is noted.
#[utoipa::path(patch, path = "", tag = "Client API", request_body = ClientContact, responses((status = 200, description = "the contact"), (status = 401, description = "the identity is not proven")))]
pub async fn update_contact(
    handles: web::Data<Handles>,
    ClientInbox(inbox): ClientInbox,
    path: web::Path<(String, String)>,
    body: Body<ClientContact>,
) -> ApiResult<HttpResponse> {
    let (row, identity) = person(&handles, &inbox, &path.1).await?;
    let contact = body.value.checked()?;
    let proven = contact.is_proven(&inbox, is_identity_mandatory(&inbox))?.then(|| contact.identifier.clone()).flatten();
    let update = contact.update();
    let updated = handles.contacts.update(&inbox.account, row, update).await?;
    if let Some(identifier) = proven {
        handles.contacts.prove(&inbox, &path.1, &identifier).await?;
        handles.hub.note_proven(identity.id, (identity.contact_id, identity.inbox_id));
    }
    let (mut shown, row) = (shown_contact(&updated, &identity), contact_row(&updated));
    if let Value::Object(row) = row {
        row.into_iter().for_each(|(name, value)| set(&mut shown, &name, value));
    }
    Ok(HttpResponse::Ok().json(shown))
}

/// The contact's conversations; a proven identity sees those of all its proven addresses in the inbox.
#[utoipa::path(get, path = "", tag = "Client API", responses((status = 200, description = "an array of conversations")))]
pub async fn conversations(
    handles: web::Data<Handles>,
    ClientInbox(inbox): ClientInbox,
    path: web::Path<(String, String)>,
) -> ApiResult<HttpResponse> {
    let (contact, identity) = person(&handles, &inbox, &path.1).await?;
    let identities = own_identities(&handles, &inbox, contact.id, identity).await?;
    let rows = conversation::Entity::find()
        .filter(conversation::Column::ContactInboxId.is_in(identities.iter().map(|identity| identity.id)))
        .order_by_desc(conversation::Column::Id)
        .limit(100)
        .all(&handles.db.read)
        .await?;
    let mut shown = Vec::with_capacity(rows.len());
    for row in rows {
        shown.push(shown_conversation(&handles, &row, &contact).await?);
    }
    Ok(HttpResponse::Ok().json(shown))
}

/// A conversation to be opened.
#[derive(Deserialize, ToSchema)]
pub struct ClientConversation {
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Option<Object>)]
    custom_attributes: Option<Map<String, Value>>,
}

impl Request for ClientConversation {}

/// Opens a conversation; in an inbox that keeps to a single one, the last is the answer.
#[utoipa::path(post, path = "", tag = "Client API", request_body = ClientConversation, responses((status = 200, description = "the conversation")))]
pub async fn create_conversation(
    handles: web::Data<Handles>,
    ClientInbox(inbox): ClientInbox,
    path: web::Path<(String, String)>,
    claim: Claim,
    body: Body<ClientConversation>,
) -> ApiResult<HttpResponse> {
    let (contact, _) = person(&handles, &inbox, &path.1).await?;
    if let Some(made) = claim.made {
        let row = conversation::Entity::find_by_id(made).one(&handles.db.read).await?.ok_or_else(ApiError::not_found)?;
        return Ok(HttpResponse::Ok().json(shown_conversation(&handles, &row, &contact).await?));
    }
    check_attributes("custom_attributes", body.value.custom_attributes.as_ref())?;
    let open = Open {
        by: By::Contact,
        status: None,
        snoozed_until: None,
        assignee_id: None,
        team_id: None,
        additional_attributes: Map::new(),
        custom_attributes: body.value.custom_attributes.unwrap_or_default(),
        first: None,
        claim: claim.id,
    };
    let recorded = tell(&handles, key(&inbox, &path.1), Command::Open(Box::new(open))).await?;
    let row = recorded.conversation.ok_or_else(ApiError::not_found)?;
    Ok(HttpResponse::Ok().json(shown_conversation(&handles, &row, &contact).await?))
}

/// Inbox identifier, source id, and the conversation's number.
pub type ConversationPath = web::Path<(String, String, i64)>;

/// One conversation.
#[utoipa::path(get, path = "", tag = "Client API", responses((status = 200, description = "the conversation"), (status = 404, description = "no such conversation")))]
pub async fn show_conversation(
    handles: web::Data<Handles>,
    ClientInbox(inbox): ClientInbox,
    path: ConversationPath,
) -> ApiResult<HttpResponse> {
    let Own { contact, row, .. } = own_conversation(&handles, &inbox, &path).await?;
    Ok(HttpResponse::Ok().json(shown_conversation(&handles, &row, &contact).await?))
}

/// Resolves a conversation; one that is resolved stays so.
#[utoipa::path(post, path = "", tag = "Client API", responses((status = 200, description = "the conversation")))]
pub async fn resolve(handles: web::Data<Handles>, ClientInbox(inbox): ClientInbox, path: ConversationPath) -> ApiResult<HttpResponse> {
    let Own { contact, mut row, key } = own_conversation(&handles, &inbox, &path).await?;
    if row.status != Status::Resolved {
        let change = Change::Status { status: Some(Status::Resolved), snoozed_until: None };
        let recorded = tell(&handles, key, Command::Change { conversation_id: row.id, by: By::Contact, change }).await?;
        row = recorded.conversation.map(|conversation| conversation.as_ref().clone()).unwrap_or(row);
    }
    Ok(HttpResponse::Ok().json(shown_conversation(&handles, &row, &contact).await?))
}

/// Whether the contact types.
#[derive(Deserialize, ToSchema)]
pub struct ClientTyping {
    typing_status: OnOff,
}

impl ClientTyping {
    /// Whether it does.
    pub fn is_on(&self) -> bool {
        self.typing_status == OnOff::On
    }
}

impl Request for ClientTyping {}

/// Tells agents that the contact types.
#[utoipa::path(post, path = "", tag = "Client API", request_body = ClientTyping, responses((status = 200, description = "told")))]
pub async fn typing(
    handles: web::Data<Handles>,
    ClientInbox(inbox): ClientInbox,
    path: ConversationPath,
    body: Body<ClientTyping>,
) -> ApiResult<HttpResponse> {
    let Own { contact, row, key } = own_conversation(&handles, &inbox, &path).await?;
    let (who, is_typing) = (Sender::Contact(Arc::new(contact)), body.value.is_on());
    tell(&handles, key, Command::Typing { conversation_id: row.id, who, is_typing, is_private: false }).await?;
    Ok(HttpResponse::Ok().finish())
}

/// Notes that the contact has seen everything: what agents wrote is read.
#[utoipa::path(post, path = "", tag = "Client API", responses((status = 200, description = "noted")))]
pub async fn update_last_seen(
    handles: web::Data<Handles>,
    ClientInbox(inbox): ClientInbox,
    path: ConversationPath,
) -> ApiResult<HttpResponse> {
    let Own { row, key, .. } = own_conversation(&handles, &inbox, &path).await?;
    let seen = Command::Change { conversation_id: row.id, by: By::Contact, change: Change::SeenByContact };
    tell(&handles, key, seen).await?;
    Ok(HttpResponse::Ok().finish())
}

async fn person(handles: &Handles, inbox: &Inbox, source_id: &str) -> ApiResult<(contact::Model, contact_inbox::Model)> {
    handles.contacts.by_source_id(inbox.row.id, source_id).await?.ok_or_else(ApiError::not_found)
}

/// A conversation that a contact may see and use.
pub struct Own {
    /// The contact.
    pub contact: contact::Model,
    /// The conversation.
    pub row: conversation::Model,
    /// Under which of the contact's addresses it was led.
    pub key: Key,
}

/// A conversation of the contact of a path.
///
/// # Errors
/// 404.
pub async fn own_conversation(handles: &Handles, inbox: &Inbox, path: &(String, String, i64)) -> ApiResult<Own> {
    let (contact, identity) = person(handles, inbox, &path.1).await?;
    let identities = own_identities(handles, inbox, contact.id, identity).await?;
    let found = conversation::Entity::find()
        .filter(conversation::Column::AccountId.eq(inbox.row.account_id))
        .filter(conversation::Column::DisplayId.eq(path.2))
        .filter(conversation::Column::ContactInboxId.is_in(identities.iter().map(|identity| identity.id)));
    let row = found.one(&handles.db.read).await?.ok_or_else(ApiError::not_found)?;
    let identity = identities.iter().find(|identity| identity.id == row.contact_inbox_id).ok_or_else(ApiError::not_found)?;
    let key = key(inbox, &identity.source_id);
    Ok(Own { contact, row, key })
}

/// The addresses in the inbox whose conversations a contact sees: its own, and once it is proven all that are (contract,
/// section 5, HMAC).
///
/// # Errors
/// If the database fails.
pub async fn own_identities(
    handles: &Handles,
    inbox: &Inbox,
    contact_id: i64,
    identity: contact_inbox::Model,
) -> ApiResult<Vec<contact_inbox::Model>> {
    if !identity.hmac_verified {
        return Ok(vec![identity]);
    }
    let all = views::identities(handles, &[contact_id]).await?;
    Ok(all.into_iter().filter(|other| other.inbox_id == inbox.row.id && other.hmac_verified).collect())
}

async fn shown_conversation(handles: &Handles, row: &conversation::Model, contact: &contact::Model) -> ApiResult<Value> {
    let messages = public_messages(handles, row.id, None, 20).await?;
    Ok(json!({
        "id": row.display_id,
        "uuid": row.uuid,
        "inbox_id": row.inbox_id,
        "contact_last_seen_at": epoch_or_zero(row.contact_last_seen_at),
        "status": row.status.name(),
        "agent_last_seen_at": epoch_or_zero(row.agent_last_seen_at),
        "messages": messages.iter().map(|view| shown_message(handles, view, row.display_id)).collect::<Vec<_>>(),
        "contact": contact_row(contact),
    }))
}

/// A contact as its row is.
fn contact_row(contact: &contact::Model) -> Value {
    json!({
        "id": contact.id,
        "name": contact.name,
        "email": contact.email,
        "phone_number": contact.phone_number,
        "account_id": contact.account_id,
        "identifier": contact.identifier,
        "additional_attributes": contact.additional_attributes,
        "custom_attributes": contact.custom_attributes,
        "blocked": contact.blocked,
        "last_activity_at": iso_or_null(contact.last_activity_at),
        "created_at": iso(contact.created_at),
        "updated_at": iso(contact.updated_at),
    })
}

/// Under which address a contact leads its conversations.
pub fn key(inbox: &Inbox, source_id: &str) -> Key {
    Key { inbox_id: inbox.row.id, source_id: source_id.to_owned() }
}
