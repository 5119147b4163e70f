//! Who is calling from a website: extractors. The website's token names the inbox, the visitor's the address in it (contract,
//! section 6.4). What a visitor sees and uses is its own: the conversations of its address, and once the site has signed for it
//! those of all its signed addresses.
use super::auth::handles;
use super::client::key;
use super::error::{ApiError, ApiResult};
use super::query::parameter;
use super::throttle::{Limit, Throttle};
use super::views;
use crate::visitor_tokens::{self, Claims};
use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use actors::catalog::Inbox;
use actors::channel::{ChannelSettings, web_widget};
use actors::contacts::Wanted;
use actors::message::Key;
use actors::system::Handles;
use entity::{account, contact, contact_inbox, conversation};
use futures_util::future::LocalBoxFuture;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use serde_json::{Value, json};
use std::sync::Arc;

/// The website inbox that the query names.
#[derive(Clone)]
pub struct Website {
    /// The inbox.
    pub inbox: Arc<Inbox>,
    settings: web_widget::Settings,
}

/// A visitor of a website, by its token.
pub struct Visitor {
    /// Where.
    pub website: Website,
    /// The contact.
    pub contact: contact::Model,
    /// Its address in the inbox.
    pub identity: contact_inbox::Model,
    /// The token that it came with, or was given.
    pub token: String,
}

/// The header of the visitor's token.
const TOKEN: &str = "x-auth-token";

impl Website {
    /// What its administrators have set.
    pub fn settings(&self) -> &web_widget::Settings {
        &self.settings
    }

    fn find(request: &HttpRequest) -> ApiResult<Self> {
        let handles = handles(request)?;
        let catalog = handles.catalog.now();
        let token = parameter(request, "website_token").unwrap_or_default();
        let inbox = catalog.inbox_by_identifier(&token).filter(|inbox| inbox.row.enabled && !inbox.is_deleted());
        let website = inbox.and_then(|inbox| match &inbox.settings {
            ChannelSettings::WebWidget(settings) => Some(Website { inbox: inbox.clone(), settings: settings.clone() }),
            _ => None,
        });
        let website = website.ok_or_else(|| ApiError::missing("web widget does not exist"))?;
        match website.inbox.account.status {
            account::Status::Active => Ok(website),
            account::Status::Suspended => Err(ApiError::unauthorized("Account is suspended")),
        }
    }
}

impl Visitor {
    /// The visitor that a token names; none if it is not this website's, or over, or the visitor is gone.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find(handles: &Handles, website: &Website, token: &str) -> ApiResult<Option<Self>> {
        let inbox_id = website.inbox.row.id;
        let Some(claims) = claims(handles, token).filter(|claims| claims.inbox_id == inbox_id) else { return Ok(None) };
        let found = handles.contacts.by_source_id(inbox_id, &claims.source_id).await?;
        Ok(found.map(|(contact, identity)| Visitor { website: website.clone(), contact, identity, token: token.to_owned() }))
    }

    /// The visitor that a token names, or a new one.
    ///
    /// # Errors
    /// 429 if the address brings too many, or a failure of ours.
    pub async fn find_or_create(handles: &Handles, throttle: &Throttle, website: &Website, token: Option<&str>) -> ApiResult<Self> {
        if let Some(token) = token
            && let Some(visitor) = Self::find(handles, website, token).await?
        {
            return Ok(visitor);
        }
        throttle.admit_address(Limit::Visitors)?;
        let recorded = handles.contacts.create_in(&website.inbox, &Wanted::default()).await?;
        let identity = recorded.contact_inbox.ok_or_else(|| ApiError::failed("a contact of an inbox has no address there"))?;
        Ok(Self::new(handles, website, recorded.contact.as_ref().clone(), identity.as_ref().clone()))
    }

    /// A visitor who is given a token.
    pub fn new(handles: &Handles, website: &Website, contact: contact::Model, identity: contact_inbox::Model) -> Self {
        let token = visitor_tokens::issue(&handles.vault, &identity.source_id, identity.inbox_id, entity::now());
        Visitor { website: website.clone(), contact, identity, token }
    }

    /// Its latest conversation, or the one of a number.
    ///
    /// # Errors
    /// 404 for a number that is not one of its conversations.
    pub async fn conversation(&self, handles: &Handles, display_id: Option<i64>) -> ApiResult<Option<OwnConversation>> {
        let identities = self.identities(handles).await?;
        let found = self.select(&identities).order_by_desc(conversation::Column::Id);
        let row = match display_id {
            None => found.one(&handles.db.read).await?,
            Some(id) => {
                let row = found.filter(conversation::Column::DisplayId.eq(id)).one(&handles.db.read).await?;
                Some(row.ok_or_else(ApiError::not_found)?)
            }
        };
        let Some(row) = row else { return Ok(None) };
        let identity = identities.iter().find(|identity| identity.id == row.contact_inbox_id).ok_or_else(ApiError::not_found)?;
        Ok(Some(OwnConversation { key: key(&self.website.inbox, &identity.source_id), row }))
    }

    /// The same, where there must be one.
    ///
    /// # Errors
    /// 404.
    pub async fn existing(&self, handles: &Handles, display_id: Option<i64>) -> ApiResult<OwnConversation> {
        self.conversation(handles, display_id).await?.ok_or_else(ApiError::not_found)
    }

    /// Its latest conversations, the latest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn conversations(&self, handles: &Handles, most: u64) -> ApiResult<Vec<conversation::Model>> {
        let identities = self.identities(handles).await?;
        let found = self.select(&identities).order_by_desc(conversation::Column::LastActivityAt).order_by_desc(conversation::Column::Id);
        Ok(found.limit(most).all(&handles.db.read).await?)
    }

    /// Under which address it leads its conversations.
    pub fn key(&self) -> Key {
        key(&self.website.inbox, &self.identity.source_id)
    }

    /// The contact as its own browser is told of it: whether a contact that others share was claimed or is the visitor's own cannot be
    /// known, so of such a one nothing is told.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn shown(&self, handles: &Handles) -> ApiResult<Value> {
        let is_alone = views::identities(handles, &[self.contact.id]).await?.len() <= 1;
        let told = |text: &Option<String>| text.clone().filter(|_| is_alone);
        Ok(json!({
            "id": self.contact.id,
            "name": Some(&self.contact.name).filter(|_| is_alone),
            "email": told(&self.contact.email),
            "phone_number": told(&self.contact.phone_number),
            "identifier": told(&self.contact.identifier),
        }))
    }

    fn select(&self, identities: &[contact_inbox::Model]) -> Select<conversation::Entity> {
        conversation::Entity::find().filter(conversation::Column::ContactInboxId.is_in(identities.iter().map(|identity| identity.id)))
    }

    /// The addresses whose conversations it sees.
    async fn identities(&self, handles: &Handles) -> ApiResult<Vec<contact_inbox::Model>> {
        super::client::own_identities(handles, &self.website.inbox, self.contact.id, self.identity.clone()).await
    }
}

/// A conversation of the visitor.
pub struct OwnConversation {
    /// The row.
    pub row: conversation::Model,
    /// Under which of the visitor's addresses it is led.
    pub key: Key,
}

/// Whether a request is a known visitor's.
///
/// # Errors
/// If the database fails.
pub async fn is_visitor(request: &HttpRequest) -> ApiResult<bool> {
    let (Ok(website), Some(token)) = (Website::find(request), token(request)) else { return Ok(false) };
    let handles = handles(request)?;
    let Some(visitor) = Visitor::find(&handles, &website, &token).await? else { return Ok(false) };
    // The handler finds it there instead of reading it again.
    request.extensions_mut().insert(visitor);
    Ok(true)
}

/// The visitor's token of a request.
pub fn token(request: &HttpRequest) -> Option<String> {
    let token = request.headers().get(TOKEN).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Some(token.to_owned()).filter(|token| !token.is_empty())
}

fn claims(handles: &Handles, token: &str) -> Option<Claims> {
    visitor_tokens::read(&handles.vault, token, entity::now())
}

impl FromRequest for Website {
    type Error = ApiError;
    type Future = std::future::Ready<ApiResult<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(Website::find(request))
    }
}

impl FromRequest for Visitor {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, ApiResult<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let known = request.extensions_mut().remove::<Visitor>();
            if let Some(visitor) = known {
                return Ok(visitor);
            }
            let website = Website::find(&request)?;
            let handles = handles(&request)?;
            let token = token(&request).unwrap_or_default();
            let refused =
                || ApiError::unauthorized("X-Auth-Token is not, or no longer, the token of a visitor of this website; load the chat again");
            Visitor::find(&handles, &website, &token).await?.ok_or_else(refused)
        })
    }
}
