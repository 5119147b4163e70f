//! HTTP: the table of routes ([`routes`]), a file for each thing that they speak of, and what stands around every request ([`gate`]).
//!
//! A handler authenticates by naming an extractor of `auth`, reads through SQL, changes through an actor, and answers JSON.
//! The description of the API at `/swagger` ([`description`]) is made from the table and the handlers.
pub mod absent;
pub mod accounts;
pub mod actions;
pub mod agent_bots;
pub mod agents;
pub mod ask;
pub mod assignment_policies;
pub mod attachments;
pub mod audit;
pub mod auth;
pub mod body;
pub mod bulk_actions;
pub mod cable;
pub mod cache_keys;
pub mod canned_responses;
pub mod client;
pub mod client_messages;
pub mod contact_avatar;
pub mod contact_bulk;
pub mod contact_export;
pub mod contact_identities;
pub mod contact_import;
pub mod contact_labels;
pub mod contact_lists;
pub mod contact_merge;
pub mod contact_notes;
pub mod contact_presence;
pub mod contact_transfers;
pub mod contacts;
pub mod conversation_labels;
pub mod conversation_lists;
pub mod conversations;
pub mod csat_surveys;
pub mod custom_attributes;
pub mod custom_filters;
pub mod dashboard_apps;
pub mod description;
pub mod direct_uploads;
pub mod drafts;
pub mod error;
pub mod fields;
pub mod files;
pub mod filtering;
pub mod gate;
pub mod health;
pub mod idempotency;
pub mod inbox_channels;
pub mod inbox_health;
pub mod inbox_members;
pub mod inboxes;
pub mod integrations;
pub mod labels;
pub mod live_reports;
pub mod macro_runs;
pub mod macros;
pub mod message_items;
pub mod message_pages;
pub mod message_templates;
pub mod messages;
pub mod mfa;
pub mod notification_settings;
pub mod notifications;
pub mod participants;
pub mod passwords;
pub mod platform_accounts;
pub mod platform_bots;
pub mod platform_users;
pub mod profiles;
pub mod provider_webhooks;
pub mod query;
pub mod render;
pub mod routes;
pub mod scope;
pub mod search;
pub mod sessions;
pub mod sign_up;
pub mod teams;
pub mod throttle;
pub mod transcript;
pub mod uploads;
pub mod views;
pub mod visitor_files;
pub mod visitors;
pub mod webhooks;
pub mod widget_contacts;
pub mod widget_conversations;
pub mod widget_messages;
pub mod widget_pages;
pub mod widget_settings;
pub mod widget_visits;
pub mod worker;

use actix_web::{HttpResponse, web};
use error::ApiError;
use routes::{ROUTES, Route};

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
