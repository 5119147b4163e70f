//! Who is calling: extractors. A handler that names one is authenticated; one that names none is public.
//!
//! `api_access_token` in a header (either spelling) or the query decides alone where it is given; otherwise the session
//! headers access-token, client and uid (contract, section 1).
use super::audit::Author;
use super::error::{ApiError, ApiResult};
use super::query::parameter;
use super::throttle::client_address;
use super::visitors;
use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use actors::catalog::{self, Inbox, Snapshot, User};
use actors::conversation::rules::By;
use actors::message::UserCard;
use actors::secret::hash;
use actors::system::Handles;
use entity::account_user::Role;
use entity::platform_grant::GrantKind;
use entity::{account, session};
use futures_util::future::LocalBoxFuture;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use std::sync::Arc;

/// A signed-in user.
pub struct Caller {
    /// The user.
    pub user: Arc<User>,
    /// The session, where there is one.
    pub session: Option<session::Model>,
    /// Where the request came from.
    pub remote_address: Option<String>,
}

/// A user in the account of the path.
pub struct Agent {
    /// The user.
    pub user: Arc<User>,
    /// The account.
    pub account: Arc<account::Model>,
    /// What the user may do there.
    pub role: Role,
    remote_address: Option<String>,
    handles: web::Data<Handles>,
}

/// An administrator of the account of the path.
pub struct Administrator(pub Agent);

/// The API inbox of the path's identifier: its client API needs no further credentials (contract, section 5).
pub struct ClientInbox(pub Arc<Inbox>);

/// A program that manages accounts and users (contract, section 9).
pub struct PlatformApp(pub Arc<catalog::PlatformApp>, Option<String>);

impl PlatformApp {
    /// As whoever changes something in the administration of an account: no user.
    pub fn author(&self, account_id: i64) -> Author {
        Author::machine(account_id, self.1.clone())
    }

    /// Whether it may manage an object.
    pub fn manages(&self, kind: GrantKind, id: i64) -> bool {
        self.0.grants.contains(&(kind, id))
    }

    /// Refuses what it did not create and was not granted.
    ///
    /// # Errors
    /// 401, in the contract's words.
    pub fn check(&self, kind: GrantKind, id: i64) -> ApiResult<()> {
        if self.manages(kind, id) { Ok(()) } else { Err(ApiError::unauthorized("Non permissible resource")) }
    }
}

impl Agent {
    /// The daemon's handles.
    pub fn handles(&self) -> &Handles {
        &self.handles
    }

    /// What events show of the user.
    pub fn card(&self) -> UserCard {
        self.user.card()
    }

    /// As whoever changes a conversation.
    pub fn by(&self) -> By {
        By::User(self.card(), self.role)
    }

    /// As whoever changes something in the administration.
    pub fn author(&self) -> Author {
        Author::user(self.account.id, &self.user, self.remote_address.clone())
    }

    /// Whether the user is an administrator of the account.
    pub fn is_administrator(&self) -> bool {
        self.role == Role::Administrator
    }

    /// An inbox of the account that the user may see conversations of.
    ///
    /// # Errors
    /// 404.
    pub fn visible_inbox(&self, id: i64) -> ApiResult<Arc<Inbox>> {
        let catalog = self.handles.catalog.now();
        let inbox = catalog.inbox(id).filter(|inbox| inbox.row.account_id == self.account.id && inbox.is_visible_to(self.user.row.id));
        inbox.cloned().ok_or_else(ApiError::not_found)
    }

    /// The ids of the inboxes whose conversations the user may see; none for all of the account.
    pub fn visible_inboxes(&self) -> Option<Vec<i64>> {
        if self.is_administrator() {
            return None;
        }
        let catalog = self.handles.catalog.now();
        Some(
            catalog
                .inboxes_of(self.account.id)
                .into_iter()
                .filter(|inbox| inbox.is_visible_to(self.user.row.id))
                .map(|inbox| inbox.row.id)
                .collect(),
        )
    }
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, ApiResult<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { authenticate(&request).await })
    }
}

impl FromRequest for Agent {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, ApiResult<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let caller = authenticate(&request).await?;
            let handles = handles(&request)?;
            let account_id = account_id_of_path(&request)?;
            let role = caller.user.place(account_id).map(|place| place.role).ok_or_else(ApiError::not_found)?;
            let account = account_of_path(&request, &handles.catalog.now())?;
            Ok(Agent { user: caller.user, account, role, remote_address: caller.remote_address, handles })
        })
    }
}

impl FromRequest for Administrator {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, ApiResult<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let agent = Agent::from_request(request, payload);
        Box::pin(async move {
            let agent = agent.await?;
            if agent.is_administrator() { Ok(Administrator(agent)) } else { Err(ApiError::refused()) }
        })
    }
}

impl FromRequest for PlatformApp {
    type Error = ApiError;
    type Future = std::future::Ready<ApiResult<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let find = || {
            let token = access_token(request).unwrap_or_default();
            let app = handles(request)?.catalog.now().platform_app_by_token(&hash(&token)).cloned();
            app.map(|app| PlatformApp(app, remote_address(request))).ok_or_else(|| ApiError::unauthorized("Invalid access_token"))
        };
        std::future::ready(find())
    }
}

impl FromRequest for ClientInbox {
    type Error = ApiError;
    type Future = std::future::Ready<ApiResult<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let find = || {
            let identifier = request.match_info().get("inbox_identifier").ok_or_else(ApiError::not_found)?;
            let inbox = handles(request)?.catalog.now().inbox_by_identifier(identifier).cloned();
            inbox.filter(|inbox| inbox.settings.kind() == "api").map(ClientInbox).ok_or_else(ApiError::not_found)
        };
        std::future::ready(find())
    }
}

/// Whether somebody calls whom the daemon knows: by a token, a session, or the identifier of an inbox in the path, or as a visitor
/// of a website. What the caller may do is for the handler to say.
///
/// # Errors
/// If the database fails.
pub async fn is_known(request: &HttpRequest) -> ApiResult<bool> {
    let catalog = handles(request)?.catalog.now();
    if let Some(rest) = request.path().strip_prefix("/public/api/v1/inboxes/") {
        return Ok(catalog.inbox_by_identifier(rest.split('/').next().unwrap_or_default()).is_some());
    }
    if request.path().starts_with("/api/v1/widget/") {
        return visitors::is_visitor(request).await;
    }
    if let Some(token) = access_token(request) {
        let token_hash = hash(&token);
        let is_program = catalog.bot_by_token(&token_hash).is_some() || catalog.platform_app_by_token(&token_hash).is_some();
        return Ok(is_program || catalog.user_by_token(&token_hash).is_some());
    }
    match authenticate(request).await {
        Ok(_) => Ok(true),
        Err(error) if error.status().is_client_error() => Ok(false),
        Err(error) => Err(error),
    }
}

async fn authenticate(request: &HttpRequest) -> ApiResult<Caller> {
    let handles = handles(request)?;
    if let Some(token) = access_token(request) {
        let (catalog, token_hash) = (handles.catalog.now(), hash(&token));
        let words = if catalog.bot_by_token(&token_hash).is_some() { NOT_FOR_BOTS } else { "Invalid Access Token" };
        let user = catalog.user_by_token(&token_hash).filter(|user| user.row.confirmed_at.is_some()).cloned();
        return user
            .map(|user| Caller { user, session: None, remote_address: remote_address(request) })
            .ok_or_else(|| ApiError::unauthorized(words));
    }
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty());
    let (Some(token), Some(client), Some(uid)) = (header("access-token"), header("client"), header("uid")) else {
        return Err(ApiError::signed_out());
    };
    let user = handles.catalog.now().user_by_email(&uid.to_lowercase()).cloned();
    let user = user.filter(|user| user.row.confirmed_at.is_some()).ok_or_else(ApiError::signed_out)?;
    let found = session::Entity::find()
        .filter(session::Column::UserId.eq(user.row.id))
        .filter(session::Column::Client.eq(client))
        .one(&handles.db.read)
        .await?;
    // What is compared are hashes, so how long it takes tells nothing of the token.
    let session =
        found.filter(|session| session.token_hash == hash(token) && session.expires_at > entity::now()).ok_or_else(ApiError::signed_out)?;
    Ok(Caller { user, session: Some(session), remote_address: remote_address(request) })
}

/// Where a request came from.
pub fn remote_address(request: &HttpRequest) -> Option<String> {
    client_address(request).map(|address| address.to_string())
}

/// What a bot hears on a route that is not for bots.
pub const NOT_FOR_BOTS: &str = "Access to this endpoint is not authorized for bots";

/// The account of the path, if it may be used.
///
/// # Errors
/// 404, or 401 if it is suspended.
pub fn account_of_path(request: &HttpRequest, catalog: &Snapshot) -> ApiResult<Arc<account::Model>> {
    let account = catalog.account(account_id_of_path(request)?).cloned().ok_or_else(ApiError::not_found)?;
    match account.status {
        account::Status::Active => Ok(account),
        account::Status::Suspended => Err(ApiError::unauthorized("Account is suspended")),
    }
}

fn account_id_of_path(request: &HttpRequest) -> ApiResult<i64> {
    request.match_info().get("account_id").and_then(|id| id.parse().ok()).ok_or_else(ApiError::not_found)
}

/// The `api_access_token` of a request: a header in either spelling, or the query.
pub fn access_token(request: &HttpRequest) -> Option<String> {
    let named = ["api_access_token", "api-access-token"].iter().find_map(|name| request.headers().get(*name));
    let from_header = named.and_then(|value| value.to_str().ok()).map(str::to_owned);
    from_header.or_else(|| parameter(request, "api_access_token")).filter(|token| !token.is_empty())
}

/// The daemon's handles.
///
/// # Errors
/// If the application was put together without them.
pub fn handles(request: &HttpRequest) -> ApiResult<web::Data<Handles>> {
    request.app_data::<web::Data<Handles>>().cloned().ok_or_else(|| ApiError::failed("the application has no handles"))
}
