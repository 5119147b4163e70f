//! HTTP: the one table of routes, grouped by who calls, and what stands around every request.
//!
//! A handler authenticates by naming an extractor of `auth`, reads through SQL, changes through an actor, and answers JSON.
//! The description of the API at `/swagger` is made from this table and the handlers.
pub mod accounts;
pub mod agents;
pub mod ask;
pub mod auth;
pub mod body;
pub mod cable;
pub mod client;
pub mod contact_lists;
pub mod contacts;
pub mod conversation_lists;
pub mod conversations;
pub mod custom_filters;
pub mod error;
pub mod fields;
pub mod files;
pub mod filtering;
pub mod health;
pub mod idempotency;
pub mod inboxes;
pub mod messages;
pub mod profiles;
pub mod query;
pub mod render;
pub mod scope;
pub mod search;
pub mod sessions;
pub mod views;
pub mod webhooks;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::middleware::Next;
use actix_web::{HttpResponse, web};
use error::ApiError;
use pastey::paste;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use utoipa::Path as _;
use utoipa::openapi::path::{HttpMethod, ParameterBuilder, ParameterIn};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Paths, Required};

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Anybody.
    Public,
    /// A signed-in user.
    User,
    /// A member of the account.
    Agent,
    /// An administrator of the account.
    Administrator,
    /// A customer's app, with an inbox identifier.
    Client,
}

/// A row of the table.
pub struct Route {
    /// Who may call it.
    pub audience: Audience,
    /// GET, POST …
    pub method: &'static str,
    /// With `{…}` for what varies.
    pub path: &'static str,
    description: fn() -> utoipa::openapi::path::Operation,
    register: fn(&mut web::ServiceConfig, &str),
    schemas: fn(&mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::schema::Schema>)>),
}

macro_rules! routes {
    ($($audience:ident { $($method:ident $path:literal => $module:ident :: $handler:ident;)* })*) => {
        /// Every route of the daemon but the pages of its own description.
        pub const ROUTES: &[Route] = &[$($(
            Route {
                audience: Audience::$audience,
                method: stringify!($method),
                path: $path,
                description: || paste! { $module::[<__path_ $handler>]::operation() },
                register: |config, path| { config.route(path, paste! { web::[<$method:lower>]() }.to($module::$handler)); },
                schemas: |schemas| paste! { <$module::[<__path_ $handler>] as utoipa::__dev::SchemaReferences>::schemas(schemas) },
            },
        )*)*];
    };
}

routes! {
    Public {
        GET "/health" => health::health;
        GET "/ready" => health::ready;
        GET "/metrics" => health::metrics;
        GET "/api" => health::version;
        GET "/cable" => cable::open;
        GET "/files/{signed_key}/{file_name}" => files::show;
        POST "/auth/sign_in" => sessions::sign_in;
        GET "/auth/validate_token" => sessions::validate;
        DELETE "/auth/sign_out" => sessions::sign_out;
    }
    User {
        GET "/api/v1/profile" => profiles::show;
        PUT "/api/v1/profile" => profiles::update;
        PATCH "/api/v1/profile" => profiles::update;
        POST "/api/v1/profile/availability" => profiles::availability;
        POST "/api/v1/profile/auto_offline" => profiles::availability;
        PUT "/api/v1/profile/set_active_account" => profiles::set_active_account;
        POST "/api/v1/profile/reset_access_token" => profiles::reset_access_token;
    }
    Agent {
        GET "/api/v1/accounts/{account_id}" => accounts::show;
        GET "/api/v1/accounts/{account_id}/agents" => agents::list;
        GET "/api/v1/accounts/{account_id}/assignable_agents" => inboxes::assignable_agents;
        GET "/api/v1/accounts/{account_id}/inboxes" => inboxes::list;
        GET "/api/v1/accounts/{account_id}/inboxes/{inbox_id}" => inboxes::show;
        GET "/api/v1/accounts/{account_id}/inboxes/{inbox_id}/health" => inboxes::health;
        GET "/api/v1/accounts/{account_id}/inbox_members/{inbox_id}" => inboxes::members;
        GET "/api/v1/accounts/{account_id}/contacts" => contact_lists::list;
        POST "/api/v1/accounts/{account_id}/contacts" => contacts::create;
        GET "/api/v1/accounts/{account_id}/contacts/search" => contact_lists::search;
        GET "/api/v1/accounts/{account_id}/contacts/active" => contact_lists::active;
        POST "/api/v1/accounts/{account_id}/contacts/filter" => contact_lists::filter;
        GET "/api/v1/accounts/{account_id}/contacts/{contact_id}" => contacts::show;
        PUT "/api/v1/accounts/{account_id}/contacts/{contact_id}" => contacts::update;
        PATCH "/api/v1/accounts/{account_id}/contacts/{contact_id}" => contacts::update;
        GET "/api/v1/accounts/{account_id}/contacts/{contact_id}/conversations" => contacts::conversations;
        POST "/api/v1/accounts/{account_id}/contacts/{contact_id}/contact_inboxes" => contacts::add_identity;
        GET "/api/v1/accounts/{account_id}/conversations" => conversation_lists::list;
        POST "/api/v1/accounts/{account_id}/conversations" => conversations::create;
        GET "/api/v1/accounts/{account_id}/conversations/meta" => conversation_lists::meta;
        GET "/api/v1/accounts/{account_id}/conversations/search" => conversation_lists::search;
        POST "/api/v1/accounts/{account_id}/conversations/filter" => conversation_lists::filter;
        GET "/api/v1/accounts/{account_id}/conversations/{conversation_id}" => conversations::show;
        PUT "/api/v1/accounts/{account_id}/conversations/{conversation_id}" => conversations::update;
        PATCH "/api/v1/accounts/{account_id}/conversations/{conversation_id}" => conversations::update;
        POST "/api/v1/accounts/{account_id}/conversations/{conversation_id}/toggle_status" => conversations::toggle_status;
        POST "/api/v1/accounts/{account_id}/conversations/{conversation_id}/toggle_priority" => conversations::toggle_priority;
        POST "/api/v1/accounts/{account_id}/conversations/{conversation_id}/toggle_typing_status" => conversations::toggle_typing_status;
        POST "/api/v1/accounts/{account_id}/conversations/{conversation_id}/assignments" => conversations::assign;
        POST "/api/v1/accounts/{account_id}/conversations/{conversation_id}/update_last_seen" => conversations::update_last_seen;
        POST "/api/v1/accounts/{account_id}/conversations/{conversation_id}/unread" => conversations::unread;
        POST "/api/v1/accounts/{account_id}/conversations/{conversation_id}/custom_attributes" => conversations::custom_attributes;
        GET "/api/v1/accounts/{account_id}/conversations/{conversation_id}/messages" => messages::list;
        POST "/api/v1/accounts/{account_id}/conversations/{conversation_id}/messages" => messages::create;
        PUT "/api/v1/accounts/{account_id}/conversations/{conversation_id}/messages/{message_id}" => messages::update;
        PATCH "/api/v1/accounts/{account_id}/conversations/{conversation_id}/messages/{message_id}" => messages::update;
        DELETE "/api/v1/accounts/{account_id}/conversations/{conversation_id}/messages/{message_id}" => messages::remove;
        POST "/api/v1/accounts/{account_id}/conversations/{conversation_id}/messages/{message_id}/retry" => messages::retry;
        GET "/api/v1/accounts/{account_id}/custom_filters" => custom_filters::list;
        POST "/api/v1/accounts/{account_id}/custom_filters" => custom_filters::create;
        GET "/api/v1/accounts/{account_id}/custom_filters/{custom_filter_id}" => custom_filters::show;
        PUT "/api/v1/accounts/{account_id}/custom_filters/{custom_filter_id}" => custom_filters::update;
        PATCH "/api/v1/accounts/{account_id}/custom_filters/{custom_filter_id}" => custom_filters::update;
        DELETE "/api/v1/accounts/{account_id}/custom_filters/{custom_filter_id}" => custom_filters::remove;
        GET "/api/v1/accounts/{account_id}/search" => search::all;
        GET "/api/v1/accounts/{account_id}/search/conversations" => search::conversations;
        GET "/api/v1/accounts/{account_id}/search/contacts" => search::contacts;
        GET "/api/v1/accounts/{account_id}/search/messages" => search::messages;
        GET "/api/v1/accounts/{account_id}/search/articles" => search::articles;
    }
    Administrator {
        POST "/api/v1/accounts/{account_id}/agents" => agents::create;
        PUT "/api/v1/accounts/{account_id}/agents/{agent_id}" => agents::update;
        PATCH "/api/v1/accounts/{account_id}/agents/{agent_id}" => agents::update;
        DELETE "/api/v1/accounts/{account_id}/agents/{agent_id}" => agents::remove;
        POST "/api/v1/accounts/{account_id}/inboxes" => inboxes::create;
        PUT "/api/v1/accounts/{account_id}/inboxes/{inbox_id}" => inboxes::update;
        PATCH "/api/v1/accounts/{account_id}/inboxes/{inbox_id}" => inboxes::update;
        DELETE "/api/v1/accounts/{account_id}/inboxes/{inbox_id}" => inboxes::remove;
        POST "/api/v1/accounts/{account_id}/inboxes/{inbox_id}/reset_secret" => inboxes::reset_secret;
        POST "/api/v1/accounts/{account_id}/inboxes/{inbox_id}/reconnect" => inboxes::reconnect;
        GET "/api/v1/accounts/{account_id}/inboxes/{inbox_id}/deliveries" => webhooks::inbox_deliveries;
        POST "/api/v1/accounts/{account_id}/inbox_members" => inboxes::add;
        PUT "/api/v1/accounts/{account_id}/inbox_members" => inboxes::replace;
        PATCH "/api/v1/accounts/{account_id}/inbox_members" => inboxes::replace;
        DELETE "/api/v1/accounts/{account_id}/inbox_members" => inboxes::remove_members;
        GET "/api/v1/accounts/{account_id}/webhooks" => webhooks::list;
        POST "/api/v1/accounts/{account_id}/webhooks" => webhooks::create;
        PUT "/api/v1/accounts/{account_id}/webhooks/{webhook_id}" => webhooks::update;
        PATCH "/api/v1/accounts/{account_id}/webhooks/{webhook_id}" => webhooks::update;
        DELETE "/api/v1/accounts/{account_id}/webhooks/{webhook_id}" => webhooks::remove;
        GET "/api/v1/accounts/{account_id}/webhooks/{webhook_id}/deliveries" => webhooks::deliveries;
        POST "/api/v1/accounts/{account_id}/deliveries/{delivery_id}/retry" => webhooks::retry;
    }
    Client {
        POST "/api/v1/profile" => profiles::create_contact;
        GET "/public/api/v1/inboxes/{inbox_identifier}" => client::inbox;
        POST "/public/api/v1/inboxes/{inbox_identifier}/contacts" => client::create_contact;
        GET "/public/api/v1/inboxes/{inbox_identifier}/contacts/{source_id}" => client::show_contact;
        PUT "/public/api/v1/inboxes/{inbox_identifier}/contacts/{source_id}" => client::update_contact;
        PATCH "/public/api/v1/inboxes/{inbox_identifier}/contacts/{source_id}" => client::update_contact;
        GET "/public/api/v1/inboxes/{inbox_identifier}/contacts/{source_id}/conversations" => client::conversations;
        POST "/public/api/v1/inboxes/{inbox_identifier}/contacts/{source_id}/conversations" => client::create_conversation;
        GET "/public/api/v1/inboxes/{inbox_identifier}/contacts/{source_id}/conversations/{conversation_id}" => client::show_conversation;
        POST "/public/api/v1/inboxes/{inbox_identifier}/contacts/{source_id}/conversations/{conversation_id}/toggle_status" => client::resolve;
        POST "/public/api/v1/inboxes/{inbox_identifier}/contacts/{source_id}/conversations/{conversation_id}/toggle_typing" => client::typing;
        POST "/public/api/v1/inboxes/{inbox_identifier}/contacts/{source_id}/conversations/{conversation_id}/update_last_seen" => client::update_last_seen;
        GET "/public/api/v1/inboxes/{inbox_identifier}/contacts/{source_id}/conversations/{conversation_id}/messages" => client::messages;
        POST "/public/api/v1/inboxes/{inbox_identifier}/contacts/{source_id}/conversations/{conversation_id}/messages" => client::create_message;
    }
}

/// Registers every route; what matches none is 404 in the contract's form, and a known path with another method 405.
pub fn configure(config: &mut web::ServiceConfig) {
    register(config, ROUTES.iter().map(|route| (route, route.path)).collect());
    // Its own files are found beside the page, so the page has a name.
    config.service(web::redirect("/swagger", "/swagger/index.html"));
    config.default_service(web::to(|| async { Err::<HttpResponse, _>(ApiError::not_found()) }));
    config.app_data(web::PathConfig::default().error_handler(|_, _| ApiError::not_found().into()));
    config.app_data(
        web::QueryConfig::default().error_handler(|error, _| ApiError::unprocessable(format!("The query cannot be read: {error}")).into()),
    );
}

/// Registers routes under nested scopes, one for each beginning that several share: a path is then compared with a few
/// patterns of each level instead of with every route of the table.
fn register(config: &mut web::ServiceConfig, routes: Vec<(&'static Route, &'static str)>) {
    let mut groups: Vec<(&str, Vec<(&'static Route, &'static str)>)> = Vec::new();
    for (route, path) in routes {
        let first = path.get(..end_of_segment(path)).unwrap_or(path);
        match groups.iter_mut().find(|(name, _)| *name == first) {
            Some((_, group)) => group.push((route, path)),
            None => groups.push((first, vec![(route, path)])),
        }
    }
    // A literal comes before what matches anything.
    groups.sort_by_key(|(first, _)| first.contains('{'));
    for (first, group) in groups {
        let shared = shared_beginning(first, &group);
        if group.iter().all(|(_, path)| *path == shared) {
            for (route, path) in group {
                (route.register)(config, path);
            }
        } else {
            let inner = group.into_iter().map(|(route, path)| (route, path.get(shared.len()..).unwrap_or_default())).collect();
            config.service(web::scope(shared).configure(|config| register(config, inner)));
        }
    }
}

/// Where the first segment of a path ends: `/a/b` → 2.
fn end_of_segment(path: &str) -> usize {
    path.get(1..).and_then(|rest| rest.find('/')).map_or(path.len(), |position| position + 1)
}

/// The longest sequence of whole segments that all paths of a group begin with.
fn shared_beginning<'a>(first: &'a str, group: &[(&'static Route, &'a str)]) -> &'a str {
    let Some((_, path)) = group.first() else { return first };
    let mut shared = first;
    while shared.len() < path.len() {
        let rest = path.get(shared.len()..).unwrap_or_default();
        let longer = path.get(..shared.len() + end_of_segment(rest)).unwrap_or(path);
        let is_shared = |other: &str| other == longer || other.strip_prefix(longer).is_some_and(|rest| rest.starts_with('/'));
        if !group.iter().all(|(_, other)| is_shared(other)) {
            break;
        }
        shared = longer;
    }
    shared
}

/// The description of the API (OpenAPI 3.1), made from the table and the handlers.
pub fn description() -> OpenApi {
    let mut paths = Paths::new();
    let mut schemas = Vec::new();
    for route in ROUTES {
        let mut operation = (route.description)();
        (route.schemas)(&mut schemas);
        let id = format!("{}_{}", route.method.to_lowercase(), route.path.trim_matches('/').replace(['/', '{', '}'], "_"));
        operation.operation_id = Some(id);
        let named = route.path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
        let of_path =
            named.map(|name| ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path).required(Required::True).build().into());
        operation.parameters.get_or_insert_default().extend(of_path);
        let method = match route.method {
            "GET" => HttpMethod::Get,
            "POST" => HttpMethod::Post,
            "PUT" => HttpMethod::Put,
            "PATCH" => HttpMethod::Patch,
            _ => HttpMethod::Delete,
        };
        paths.add_path_operation(route.path, vec![method], operation);
    }
    let info = InfoBuilder::new()
        .title("Konversio")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Sign in with the header `api_access_token`. Conversations are named by the number people see (`display_id`)."))
        .build();
    let components = ComponentsBuilder::new().schemas_from_iter(schemas).build();
    OpenApiBuilder::new().info(info).paths(paths).components(Some(components)).build()
}

/// Refuses requests beyond what may be in flight, and counts the others; closes connections when the daemon stops.
#[derive(Clone)]
pub struct Gate {
    in_flight: Arc<AtomicUsize>,
    /// How many have come since the start.
    begun: Arc<AtomicUsize>,
    limit: usize,
    stopping: CancellationToken,
}

/// A client that posts without a pause has sent its next request within this time.
const LULL: Duration = Duration::from_millis(200);
/// A stop waits no longer than this for a lull.
const LULL_WITHIN: Duration = Duration::from_secs(2);

impl Gate {
    /// For so many at once; once `stopping`, each answer ends its connection.
    pub fn new(limit: usize, stopping: CancellationToken) -> Self {
        Gate { in_flight: Arc::default(), begun: Arc::default(), limit, stopping }
    }

    /// Returns when clients that keep connections have been told with an answer that they end: a request that meets a
    /// connection while it is being closed would be lost to its client.
    pub async fn quiet(&self) {
        let until = Instant::now() + LULL_WITHIN;
        loop {
            let before = self.begun.load(Ordering::Relaxed);
            tokio::time::sleep(LULL).await;
            if self.begun.load(Ordering::Relaxed) == before || Instant::now() >= until {
                return;
            }
        }
    }

    /// The middleware.
    ///
    /// # Errors
    /// 503 beyond the limit.
    pub async fn pass(
        self,
        request: ServiceRequest,
        next: Next<impl MessageBody + 'static>,
    ) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let _passing = Passing::enter(&self)?;
        let begun = Instant::now();
        let pattern = request.match_pattern();
        // As with bodies: PostgreSQL has no NUL in texts, so neither database is asked for one.
        let answered = match request.uri().path_and_query().is_some_and(|address| address.as_str().contains("%00")) {
            true => Err(ApiError::unprocessable("The address contains a NUL character").into()),
            false => next.call(request).await,
        };
        let status = match &answered {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        metrics::counter!("konversio_http_requests_total", "status" => status.as_u16().to_string()).increment(1);
        tracing::debug!(http.route = pattern, http.status = status.as_u16(), elapsed_ms = begun.elapsed().as_secs_f64() * 1e3, "request");
        let mut answered = answered?.map_into_boxed_body();
        // A switch to the websocket protocol keeps its connection, which the socket itself closes.
        if self.stopping.is_cancelled() && !answered.response().head().upgrade() {
            answered.response_mut().head_mut().set_connection_type(ConnectionType::Close);
        }
        Ok(answered)
    }
}

struct Passing(Arc<AtomicUsize>);

impl Passing {
    fn enter(gate: &Gate) -> Result<Self, ApiError> {
        let passing = Passing(gate.in_flight.clone());
        match gate.in_flight.fetch_add(1, Ordering::Relaxed) < gate.limit {
            true => Ok(passing),
            false => Err(ApiError::unavailable(format!("more than {} requests in flight (server.max_in_flight)", gate.limit))),
        }
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The description as a page needs it.
pub fn swagger() -> utoipa_swagger_ui::SwaggerUi {
    utoipa_swagger_ui::SwaggerUi::new("/swagger/{_:.*}").url("/swagger/swagger.json", description())
}
