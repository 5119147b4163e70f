//! Who a visitor is: what its forms and its site tell of it (contract, section 6.4, `contact`).
use super::body::{Body, Request};
use super::client::ClientContact;
use super::error::{ApiError, ApiResult};
use super::fields;
use super::throttle::{Limit, Throttle};
use super::visitor_files::fetch_picture;
use super::visitors::Visitor;
use actix_web::{HttpResponse, web};
use actors::contacts::{Identified, Update};
use actors::system::Handles;
use actors::wire::set;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// What is known of the visitor.
#[utoipa::path(get, path = "", tag = "Widget", responses((status = 200, description = "id, has_email, has_name, has_phone_number, identifier"), (status = 401, description = "no visitor of this website")))]
pub async fn show(handles: web::Data<Handles>, visitor: Visitor) -> ApiResult<HttpResponse> {
    Ok(HttpResponse::Ok().json(shown(&handles, &visitor).await?))
}

/// What the visitor tells of itself.
#[utoipa::path(patch, path = "", tag = "Widget", request_body = ClientContact, responses((status = 200, description = "id, has_email, has_name, has_phone_number"), (status = 422, description = "a field is wrong")))]
pub async fn update(
    handles: web::Data<Handles>,
    visitor: Visitor,
    throttle: Throttle,
    body: Body<ClientContact>,
) -> ApiResult<HttpResponse> {
    throttle.admit(Limit::Introductions, visitor.identity.id)?;
    let update = body.value.checked()?.update();
    let visitor = introduced(&handles, visitor, update).await?;
    Ok(HttpResponse::Ok().json(shown(&handles, &visitor).await?))
}

/// What the site tells of the visitor. Somebody else than before gets a token of their own.
#[utoipa::path(patch, path = "", tag = "Widget", request_body = ClientContact, responses((status = 200, description = "id, has_email, has_name, has_phone_number, and widget_auth_token of somebody else"), (status = 401, description = "the identity is not proven")))]
pub async fn set_user(
    handles: web::Data<Handles>,
    visitor: Visitor,
    throttle: Throttle,
    body: Body<ClientContact>,
) -> ApiResult<HttpResponse> {
    throttle.admit(Limit::Introductions, visitor.identity.id)?;
    let contact = body.value.checked()?;
    let is_proven = contact.is_proven(&visitor.website.inbox, visitor.website.settings().hmac_mandatory)?;
    let known = identified(&handles, &visitor, contact.update(), is_proven).await?;
    let known = known.ok_or_else(|| ApiError::unauthorized("This identifier has to be proven: send its identifier_hash"))?;
    let now = Visitor::new(&handles, &visitor.website, known.contact, known.identity);
    let mut answer = shown(&handles, &now).await?;
    if known.is_other {
        set(&mut answer, "widget_auth_token", now.token.into());
    }
    Ok(HttpResponse::Ok().json(answer))
}

/// Names of attributes.
#[derive(Deserialize, ToSchema)]
pub struct VisitorAttributeNames {
    #[serde(default, deserialize_with = "fields::texts")]
    custom_attributes: Vec<String>,
}

impl Request for VisitorAttributeNames {}

/// Takes attributes off the contact.
#[utoipa::path(post, path = "", tag = "Widget", request_body = VisitorAttributeNames, responses((status = 200, description = "the contact")))]
pub async fn destroy_custom_attributes(
    handles: web::Data<Handles>,
    visitor: Visitor,
    throttle: Throttle,
    body: Body<VisitorAttributeNames>,
) -> ApiResult<HttpResponse> {
    throttle.admit(Limit::Introductions, visitor.identity.id)?;
    let update = Update { removed_attributes: body.value.custom_attributes, ..Update::default() };
    let visitor = introduced(&handles, visitor, update).await?;
    let mut answer = visitor.shown(&handles).await?;
    set(&mut answer, "custom_attributes", visitor.contact.custom_attributes.clone());
    Ok(HttpResponse::Ok().json(answer))
}

/// The visitor after what it says of itself is noted. Who it is only its site can say.
///
/// # Errors
/// 404 if it is gone, 422 for too many attributes, or a failure of ours.
pub async fn introduced(handles: &Handles, visitor: Visitor, update: Update) -> ApiResult<Visitor> {
    let update = Update { identifier: None, ..update };
    let known = identified(handles, &visitor, update, visitor.identity.hmac_verified).await?.ok_or_else(ApiError::not_found)?;
    Ok(Visitor { contact: known.contact, identity: known.identity, ..visitor })
}

/// Notes what is said of a visitor; none if it had to be proven. Its picture is fetched: of an address elsewhere nobody knows what it
/// shows to agents tomorrow, or tells of them.
async fn identified(handles: &Handles, visitor: &Visitor, mut update: Update, is_proven: bool) -> ApiResult<Option<Identified>> {
    check_growth(&visitor.contact.custom_attributes, &update.custom_attributes)?;
    let picture = update.avatar_url.take().flatten().filter(|url| !url.is_empty());
    let inbox = &visitor.website.inbox;
    let Some(known) = handles.contacts.identify(inbox, &visitor.identity.source_id, &update, is_proven).await? else { return Ok(None) };
    handles.addresses.clear();
    if known.identity.hmac_verified {
        handles.hub.note_proven(known.identity.id, (known.contact.id, known.identity.inbox_id));
    }
    // Like everything that is merely claimed, a picture fills a gap.
    if let Some(url) = picture.filter(|_| is_proven || known.contact.avatar_url.is_none()) {
        fetch_picture(handles.clone(), inbox.account.clone(), known.contact.clone(), url);
    }
    Ok(Some(known))
}

/// How many attributes a visitor may give a contact or a conversation, and how large they may be together, in bytes: what they say
/// travels with every event.
const ATTRIBUTES: usize = 100;
const ATTRIBUTES_LIMIT: usize = 32 << 10;

/// Refuses attributes that would become too many or too large with those that are there.
///
/// # Errors
/// 422.
pub fn check_growth(before: &Value, more: &Map<String, Value>) -> ApiResult<()> {
    if more.is_empty() {
        return Ok(());
    }
    let mut after = before.as_object().cloned().unwrap_or_default();
    after.extend(more.iter().map(|(name, value)| (name.clone(), value.clone())));
    let is_large = |attributes: Map<String, Value>| Value::Object(attributes).to_string().len() > ATTRIBUTES_LIMIT;
    let words = match () {
        () if after.len() > ATTRIBUTES => format!("custom_attributes: there can be at most {ATTRIBUTES}"),
        () if is_large(after) => format!("custom_attributes: together they can have at most {ATTRIBUTES_LIMIT} bytes"),
        () => return Ok(()),
    };
    Err(ApiError::invalid("custom_attributes", words))
}

async fn shown(handles: &Handles, visitor: &Visitor) -> ApiResult<Value> {
    let contact = &visitor.contact;
    let told = visitor.shown(handles).await?;
    Ok(json!({
        "id": contact.id,
        "has_email": contact.email.is_some(),
        "has_name": !contact.name.trim().is_empty(),
        "has_phone_number": contact.phone_number.is_some(),
        "identifier": told.get("identifier"),
    }))
}
