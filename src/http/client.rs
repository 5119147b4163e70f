//! The client API of API inboxes: what a customer's own apps call, without a token (contract, section 5). The inbox
//! identifier names the inbox, the source id the contact; where the inbox demands it, the contact proves its identity.
use super::ask::tell;
use super::auth::ClientInbox;
use super::body::{Body, Request};
use super::contacts::{check_length, checked_email, checked_phone_number};
use super::conversations::OnOff;
use super::error::{ApiError, ApiResult};
use super::idempotency::Claim;
use super::messages::{MessageFields, draft_of, incoming, uploaded};
use super::{fields, views};
use actix_web::{HttpResponse, web};
use actors::catalog::Inbox;
use actors::channel::ChannelSettings;
use actors::contacts::{Update, Wanted};
use actors::conversation::rules::{By, Change};
use actors::conversation::{Command, Open};
use actors::event::MessageView;
use actors::message::{Key, Profile, Sender};
use actors::signature::verify_identity;
use actors::system::Handles;
use actors::wire::{epoch, epoch_or_zero, iso, set};
use entity::conversation::Status;
use entity::message::MessageType;
use entity::{contact, contact_inbox, conversation, message};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

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
    fn checked(mut self) -> ApiResult<Self> {
        let present = |text: Option<String>| text.filter(|text| !text.is_empty());
        self.email = present(self.email).map(|email| checked_email(&email)).transpose()?;
        self.phone_number = present(self.phone_number).map(|number| checked_phone_number(&number)).transpose()?;
        (self.identifier, self.source_id) = (present(self.identifier), present(self.source_id));
        for (name, text) in
            [("name", &self.name), ("source_id", &self.source_id), ("identifier", &self.identifier), ("avatar_url", &self.avatar_url)]
        {
            check_length(name, text.as_deref())?;
        }
        Ok(self)
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
    let hmac_verified = proven(inbox, &contact)?;
    if let Some(made) = claim.made {
        let row = contact::Entity::find_by_id(made).one(&handles.db.read).await?.ok_or_else(ApiError::not_found)?;
        let identity = views::identities(handles, &[row.id]).await?.into_iter().rfind(|identity| identity.inbox_id == inbox.row.id);
        return Ok(HttpResponse::Ok().json(shown_contact(&row, &identity.ok_or_else(ApiError::not_found)?)));
    }
    let wanted = Wanted {
        profile: Profile { name: contact.name, email: contact.email, phone_number: contact.phone_number, identifier: contact.identifier },
        source_id: contact.source_id,
        additional_attributes: Map::new(),
        custom_attributes: contact.custom_attributes.unwrap_or_default(),
        avatar_url: contact.avatar_url,
        avatar_blob_id: None,
        blocked: false,
        hmac_verified,
        claim: claim.id,
    };
    let recorded = handles.contacts.find_or_create(inbox, &wanted).await?;
    let identity = recorded.contact_inbox.ok_or_else(|| ApiError::failed("a contact of an inbox has no address there"))?;
    Ok(HttpResponse::Ok().json(shown_contact(&recorded.contact, &identity)))
}

/// Whether the contact has proven its identity; an error if it had to and did not, or tried and failed.
fn proven(inbox: &Inbox, contact: &ClientContact) -> ApiResult<bool> {
    let refused = || ApiError::unauthorized("HMAC failed: Invalid Identifier Hash Provided");
    let hash = contact.identifier_hash.as_deref().filter(|hash| !hash.is_empty());
    match (&contact.identifier, hash) {
        (Some(identifier), Some(hash)) if verify_identity(inbox.hmac_token.expose(), identifier, hash) => Ok(true),
        (_, Some(_)) => Err(refused()),
        (_, None) if is_identity_mandatory(inbox) => Err(refused()),
        (_, None) => Ok(false),
    }
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

/// Changes a contact.
#[utoipa::path(patch, path = "", tag = "Client API", request_body = ClientContact, responses((status = 200, description = "the contact"), (status = 401, description = "the identity is not proven")))]
pub async fn update_contact(
    handles: web::Data<Handles>,
    ClientInbox(inbox): ClientInbox,
    path: web::Path<(String, String)>,
    body: Body<ClientContact>,
) -> ApiResult<HttpResponse> {
    let (row, identity) = person(&handles, &inbox, &path.1).await?;
    let contact = body.value.checked()?;
    if contact.identifier.is_some() || contact.identifier_hash.is_some() || is_identity_mandatory(&inbox) {
        proven(&inbox, &contact)?;
    }
    let update = Update {
        name: contact.name.filter(|name| !name.is_empty()),
        email: contact.email.map(Some),
        phone_number: contact.phone_number.map(Some),
        identifier: contact.identifier.map(Some),
        avatar_url: contact.avatar_url.map(Some),
        avatar_blob_id: None,
        removed_attributes: Vec::new(),
        custom_attributes: contact.custom_attributes.unwrap_or_default(),
        ..Update::default()
    };
    let updated = handles.contacts.update(&inbox.account, row, update).await?;
    Ok(HttpResponse::Ok().json(shown_contact(&updated, &identity)))
}

/// The contact's conversations; a proven identity sees those of all its proven addresses in the inbox.
#[utoipa::path(get, path = "", tag = "Client API", responses((status = 200, description = "an array of conversations")))]
pub async fn conversations(
    handles: web::Data<Handles>,
    ClientInbox(inbox): ClientInbox,
    path: web::Path<(String, String)>,
) -> ApiResult<HttpResponse> {
    let (contact, identity) = person(&handles, &inbox, &path.1).await?;
    let own = if identity.hmac_verified {
        let all = views::identities(&handles, &[contact.id]).await?;
        all.into_iter().filter(|other| other.inbox_id == inbox.row.id && other.hmac_verified).map(|other| other.id).collect()
    } else {
        vec![identity.id]
    };
    let rows = conversation::Entity::find()
        .filter(conversation::Column::ContactInboxId.is_in(own))
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

type ConversationPath = web::Path<(String, String, i64)>;

/// One conversation.
#[utoipa::path(get, path = "", tag = "Client API", responses((status = 200, description = "the conversation"), (status = 404, description = "no such conversation")))]
pub async fn show_conversation(
    handles: web::Data<Handles>,
    ClientInbox(inbox): ClientInbox,
    path: ConversationPath,
) -> ApiResult<HttpResponse> {
    let (contact, row) = own_conversation(&handles, &inbox, &path).await?;
    Ok(HttpResponse::Ok().json(shown_conversation(&handles, &row, &contact).await?))
}

/// Resolves a conversation; one that is resolved stays so.
#[utoipa::path(post, path = "", tag = "Client API", responses((status = 200, description = "the conversation")))]
pub async fn resolve(handles: web::Data<Handles>, ClientInbox(inbox): ClientInbox, path: ConversationPath) -> ApiResult<HttpResponse> {
    let (contact, mut row) = own_conversation(&handles, &inbox, &path).await?;
    if row.status != Status::Resolved {
        let change = Change::Status { status: Some(Status::Resolved), snoozed_until: None };
        let recorded = tell(&handles, key(&inbox, &path.1), Command::Change { conversation_id: row.id, by: By::Contact, change }).await?;
        row = recorded.conversation.map(|conversation| conversation.as_ref().clone()).unwrap_or(row);
    }
    Ok(HttpResponse::Ok().json(shown_conversation(&handles, &row, &contact).await?))
}

/// Whether the contact types.
#[derive(Deserialize, ToSchema)]
pub struct ClientTyping {
    typing_status: OnOff,
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
    let (contact, row) = own_conversation(&handles, &inbox, &path).await?;
    let (who, is_typing) = (Sender::Contact(Arc::new(contact)), body.value.typing_status == OnOff::On);
    tell(&handles, key(&inbox, &path.1), Command::Typing { conversation_id: row.id, who, is_typing, is_private: false }).await?;
    Ok(HttpResponse::Ok().finish())
}

/// Notes that the contact has seen everything.
#[utoipa::path(post, path = "", tag = "Client API", responses((status = 200, description = "noted")))]
pub async fn update_last_seen(
    handles: web::Data<Handles>,
    ClientInbox(inbox): ClientInbox,
    path: ConversationPath,
) -> ApiResult<HttpResponse> {
    let (_, row) = own_conversation(&handles, &inbox, &path).await?;
    let seen = Command::Change { conversation_id: row.id, by: By::Contact, change: Change::SeenByContact };
    tell(&handles, key(&inbox, &path.1), seen).await?;
    Ok(HttpResponse::Ok().finish())
}

/// Which messages are listed.
#[derive(Deserialize, IntoParams)]
pub struct ClientMessagesQuery {
    /// Only with smaller ids.
    before: Option<i64>,
}

/// The last 20 messages that the contact may see, oldest first.
#[utoipa::path(get, path = "", tag = "Client API", params(ClientMessagesQuery), responses((status = 200, description = "an array of messages")))]
pub async fn messages(
    handles: web::Data<Handles>,
    ClientInbox(inbox): ClientInbox,
    path: ConversationPath,
    query: web::Query<ClientMessagesQuery>,
) -> ApiResult<HttpResponse> {
    let (_, row) = own_conversation(&handles, &inbox, &path).await?;
    let shown = public_messages(&handles, row.id, query.before, 20).await?;
    Ok(HttpResponse::Ok().json(shown.iter().map(|view| shown_message(&handles, view, row.display_id)).collect::<Vec<_>>()))
}

/// The contact writes.
#[utoipa::path(post, path = "", tag = "Client API", request_body = MessageFields, responses((status = 200, description = "the message"), (status = 422, description = "a field is wrong")))]
pub async fn create_message(
    handles: web::Data<Handles>,
    ClientInbox(inbox): ClientInbox,
    path: ConversationPath,
    claim: Claim,
    body: Body<MessageFields>,
) -> ApiResult<HttpResponse> {
    let address = super::scope::address(&handles, inbox.row.account_id, path.2).await?;
    let key = key(&inbox, &path.1);
    if address.key != key {
        return Err(ApiError::not_found());
    }
    if let Some(made) = claim.made {
        let row = message::Entity::find_by_id(made).one(&handles.db.read).await?.ok_or_else(ApiError::not_found)?;
        let view = views::messages(&handles, vec![row]).await?.pop().ok_or_else(ApiError::not_found)?;
        return Ok(HttpResponse::Ok().json(shown_message(&handles, &view, path.2)));
    }
    let draft = draft_of(body.value, uploaded(body.files, None).collect())?;
    let recorded = tell(&handles, key, Command::Deliver(Box::new(incoming(draft, address.conversation_id, claim.id)))).await?;
    let view = recorded.messages.first().ok_or_else(|| ApiError::failed("a message was stored and is not there"))?;
    Ok(HttpResponse::Ok().json(shown_message(&handles, view, path.2)))
}

async fn person(handles: &Handles, inbox: &Inbox, source_id: &str) -> ApiResult<(contact::Model, contact_inbox::Model)> {
    handles.contacts.by_source_id(inbox.row.id, source_id).await?.ok_or_else(ApiError::not_found)
}

async fn own_conversation(
    handles: &Handles,
    inbox: &Inbox,
    path: &(String, String, i64),
) -> ApiResult<(contact::Model, conversation::Model)> {
    let (contact, identity) = person(handles, inbox, &path.1).await?;
    let row = conversation::Entity::find()
        .filter(conversation::Column::AccountId.eq(inbox.row.account_id))
        .filter(conversation::Column::DisplayId.eq(path.2))
        .filter(conversation::Column::ContactInboxId.eq(identity.id))
        .one(&handles.db.read)
        .await?;
    Ok((contact, row.ok_or_else(ApiError::not_found)?))
}

async fn public_messages(handles: &Handles, conversation_id: i64, before: Option<i64>, limit: u64) -> ApiResult<Vec<MessageView>> {
    let mut found = message::Entity::find()
        .filter(message::Column::ConversationId.eq(conversation_id))
        .filter(message::Column::Private.eq(false))
        .filter(message::Column::MessageType.ne(MessageType::Activity));
    if let Some(before) = before {
        found = found.filter(message::Column::Id.lt(before));
    }
    let mut rows = found.order_by_desc(message::Column::Id).limit(limit).all(&handles.db.read).await?;
    rows.reverse();
    views::messages(handles, rows).await
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
        "contact": {
            "id": contact.id,
            "name": contact.name,
            "email": contact.email,
            "phone_number": contact.phone_number,
            "account_id": contact.account_id,
            "identifier": contact.identifier,
            "additional_attributes": contact.additional_attributes,
            "custom_attributes": contact.custom_attributes,
            "blocked": contact.blocked,
            "created_at": iso(contact.created_at),
            "updated_at": iso(contact.updated_at),
        },
    }))
}

fn shown_message(handles: &Handles, view: &MessageView, display_id: i64) -> Value {
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

fn key(inbox: &Inbox, source_id: &str) -> Key {
    Key { inbox_id: inbox.row.id, source_id: source_id.to_owned() }
}
