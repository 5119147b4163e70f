//! The table of routes: one line says who may call what, and which handler answers. Rights, registration and the published
//! description all follow from it.
use super::*;
use actix_web::http::Method;
use actix_web::{guard, web};
use pastey::paste;
use utoipa::Path as _;

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
    /// The browser of a website's visitor, with the website's token and mostly the visitor's.
    Visitor,
    /// A platform app, with its own token.
    Platform,
}

/// A row of the table.
pub struct Route {
    /// Who may call it.
    pub audience: Audience,
    /// GET, POST …
    pub method: &'static str,
    /// With `{…}` for what varies.
    pub path: &'static str,
    pub(super) description: fn() -> utoipa::openapi::path::Operation,
    pub(super) register: fn(&mut web::ServiceConfig, &str),
    pub(super) schemas: fn(&mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::schema::Schema>)>),
}

/// A route of a method; what can be got can be asked for without its body (RFC 9110, section 9.3.2).
fn route(method: &str) -> actix_web::Route {
    match method {
        "GET" => web::route().guard(guard::Any(guard::Get()).or(guard::Head())),
        method => web::method(Method::from_bytes(method.as_bytes()).unwrap_or(Method::GET)),
    }
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
                register: |config, path| { config.route(path, route(stringify!($method)).to($module::$handler)); },
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
        PUT "/files/{signed_key}/{file_name}" => direct_uploads::put;
        GET "/webhooks/{kind}/{address}" => provider_webhooks::receive;
        POST "/webhooks/{kind}/{address}" => provider_webhooks::receive;
        POST "/auth/sign_in" => sessions::sign_in;
        GET "/auth/validate_token" => sessions::validate;
        DELETE "/auth/sign_out" => sessions::sign_out;
        POST "/auth/password" => passwords::request;
        PUT "/auth/password" => passwords::reset;
        POST "/auth/confirmation" => passwords::confirmation;
        POST "/resend_confirmation" => passwords::resend_confirmation;
        POST "/api/v1/accounts" => sign_up::create;
        GET "/public/api/v1/csat_survey/{conversation_uuid}" => csat_surveys::show;
        PUT "/public/api/v1/csat_survey/{conversation_uuid}" => csat_surveys::answer;
        GET "/packs/js/sdk.js" => widget_pages::loader;
        GET "/widget" => widget_pages::widget;
        GET "/widget/assets/{file_name}" => widget_pages::asset;
        GET "/survey/responses/{conversation_uuid}" => widget_pages::survey;
    }
    User {
        GET "/api/v1/profile" => profiles::show;
        PUT "/api/v1/profile" => profiles::update;
        PATCH "/api/v1/profile" => profiles::update;
        POST "/api/v1/notification_subscriptions" => notification_settings::subscribe;
        DELETE "/api/v1/notification_subscriptions" => notification_settings::unsubscribe;
        POST "/api/v1/profile/availability" => profiles::availability;
        POST "/api/v1/profile/auto_offline" => profiles::availability;
        PUT "/api/v1/profile/set_active_account" => profiles::set_active_account;
        POST "/api/v1/profile/reset_access_token" => profiles::reset_access_token;
        POST "/api/v1/profile/resend_confirmation" => profiles::resend_confirmation;
        DELETE "/api/v1/profile/avatar" => profiles::remove_avatar;
        GET "/api/v1/profile/sessions" => sessions::list;
        DELETE "/api/v1/profile/sessions/{session_id}" => sessions::remove;
        GET "/api/v1/profile/mfa" => mfa::show;
        POST "/api/v1/profile/mfa" => mfa::begin;
        DELETE "/api/v1/profile/mfa" => mfa::remove;
        POST "/api/v1/profile/mfa/verify" => mfa::verify;
        POST "/api/v1/profile/mfa/backup_codes" => mfa::renew_backup_codes;
    }
    Agent {
        GET "/api/v1/accounts/{account_id}" => accounts::show;
        POST "/api/v1/accounts/{account_id}/update_active_at" => accounts::update_active_at;
        GET "/api/v1/accounts/{account_id}/cache_keys" => cache_keys::show;
        POST "/api/v1/accounts/{account_id}/upload" => uploads::create;
        GET "/api/v1/accounts/{account_id}/agents" => agents::list;
        GET "/api/v1/accounts/{account_id}/assignable_agents" => inbox_members::assignable_agents;
        GET "/api/v1/accounts/{account_id}/inboxes" => inboxes::list;
        GET "/api/v1/accounts/{account_id}/inboxes/{inbox_id}" => inboxes::show;
        GET "/api/v1/accounts/{account_id}/inboxes/{inbox_id}/health" => inbox_health::health;
        GET "/api/v1/accounts/{account_id}/inboxes/{inbox_id}/assignable_agents" => inbox_members::assignable_agents_of;
        GET "/api/v1/accounts/{account_id}/inboxes/{inbox_id}/campaigns" => absent::inbox_campaigns;
        GET "/api/v1/accounts/{account_id}/inbox_members/{inbox_id}" => inbox_members::members;
        GET "/api/v1/accounts/{account_id}/teams" => teams::list;
        GET "/api/v1/accounts/{account_id}/teams/{team_id}" => teams::show;
        GET "/api/v1/accounts/{account_id}/teams/{team_id}/team_members" => teams::members;
        GET "/api/v1/accounts/{account_id}/labels" => labels::list;
        GET "/api/v1/accounts/{account_id}/labels/{label_id}" => labels::show;
        GET "/api/v1/accounts/{account_id}/canned_responses" => canned_responses::list;
        POST "/api/v1/accounts/{account_id}/canned_responses" => canned_responses::create;
        PUT "/api/v1/accounts/{account_id}/canned_responses/{canned_response_id}" => canned_responses::update;
        PATCH "/api/v1/accounts/{account_id}/canned_responses/{canned_response_id}" => canned_responses::update;
        DELETE "/api/v1/accounts/{account_id}/canned_responses/{canned_response_id}" => canned_responses::remove;
        GET "/api/v1/accounts/{account_id}/custom_attribute_definitions" => custom_attributes::list;
        GET "/api/v1/accounts/{account_id}/custom_attribute_definitions/{definition_id}" => custom_attributes::show;
        GET "/api/v1/accounts/{account_id}/dashboard_apps" => dashboard_apps::list;
        GET "/api/v1/accounts/{account_id}/dashboard_apps/{dashboard_app_id}" => dashboard_apps::show;
        GET "/api/v1/accounts/{account_id}/integrations/apps" => integrations::list;
        GET "/api/v1/accounts/{account_id}/integrations/apps/{app_id}" => integrations::show;
        GET "/api/v1/accounts/{account_id}/campaigns" => absent::list;
        GET "/api/v1/accounts/{account_id}/portals" => absent::portals;
        GET "/api/v1/accounts/{account_id}/csat_survey_responses" => absent::list;
        GET "/api/v1/accounts/{account_id}/csat_survey_responses/metrics" => absent::survey_metrics;
        GET "/api/v1/accounts/{account_id}/inboxes/{inbox_id}/agent_bot" => agent_bots::of_inbox;
        GET "/api/v1/accounts/{account_id}/agent_bots" => agent_bots::list;
        GET "/api/v1/accounts/{account_id}/agent_bots/{bot_id}" => agent_bots::show;
        GET "/api/v1/accounts/{account_id}/notifications" => notifications::list;
        GET "/api/v1/accounts/{account_id}/notifications/unread_count" => notifications::unread_count;
        POST "/api/v1/accounts/{account_id}/notifications/read_all" => notifications::read_all;
        POST "/api/v1/accounts/{account_id}/notifications/destroy_all" => notifications::destroy_all;
        PUT "/api/v1/accounts/{account_id}/notifications/{notification_id}" => notifications::read;
        PATCH "/api/v1/accounts/{account_id}/notifications/{notification_id}" => notifications::read;
        DELETE "/api/v1/accounts/{account_id}/notifications/{notification_id}" => notifications::remove;
        POST "/api/v1/accounts/{account_id}/notifications/{notification_id}/unread" => notifications::unread;
        POST "/api/v1/accounts/{account_id}/notifications/{notification_id}/snooze" => notifications::snooze;
        GET "/api/v1/accounts/{account_id}/notification_settings" => notification_settings::show;
        PUT "/api/v1/accounts/{account_id}/notification_settings" => notification_settings::update;
        PATCH "/api/v1/accounts/{account_id}/notification_settings" => notification_settings::update;
        GET "/api/v1/accounts/{account_id}/contacts" => contact_lists::list;
        POST "/api/v1/accounts/{account_id}/contacts" => contacts::create;
        GET "/api/v1/accounts/{account_id}/contacts/search" => contact_lists::search;
        GET "/api/v1/accounts/{account_id}/contacts/active" => contact_lists::active;
        POST "/api/v1/accounts/{account_id}/contacts/filter" => contact_lists::filter;
        GET "/api/v1/accounts/{account_id}/contacts/{contact_id}" => contacts::show;
        PUT "/api/v1/accounts/{account_id}/contacts/{contact_id}" => contacts::update;
        PATCH "/api/v1/accounts/{account_id}/contacts/{contact_id}" => contacts::update;
        DELETE "/api/v1/accounts/{account_id}/contacts/{contact_id}/avatar" => contact_avatar::remove;
        POST "/api/v1/accounts/{account_id}/contacts/{contact_id}/destroy_custom_attributes" => contacts::destroy_custom_attributes;
        GET "/api/v1/accounts/{account_id}/contacts/{contact_id}/conversations" => contacts::conversations;
        GET "/api/v1/accounts/{account_id}/contacts/{contact_id}/attachments" => contacts::attachments;
        GET "/api/v1/accounts/{account_id}/contacts/{contact_id}/labels" => contact_labels::list;
        POST "/api/v1/accounts/{account_id}/contacts/{contact_id}/labels" => contact_labels::replace;
        GET "/api/v1/accounts/{account_id}/contacts/{contact_id}/notes" => contact_notes::list;
        POST "/api/v1/accounts/{account_id}/contacts/{contact_id}/notes" => contact_notes::create;
        GET "/api/v1/accounts/{account_id}/contacts/{contact_id}/notes/{note_id}" => contact_notes::show;
        PUT "/api/v1/accounts/{account_id}/contacts/{contact_id}/notes/{note_id}" => contact_notes::update;
        PATCH "/api/v1/accounts/{account_id}/contacts/{contact_id}/notes/{note_id}" => contact_notes::update;
        DELETE "/api/v1/accounts/{account_id}/contacts/{contact_id}/notes/{note_id}" => contact_notes::remove;
        GET "/api/v1/accounts/{account_id}/contacts/{contact_id}/contactable_inboxes" => contact_identities::contactable;
        POST "/api/v1/accounts/{account_id}/contacts/{contact_id}/contact_inboxes" => contacts::add_identity;
        POST "/api/v1/accounts/{account_id}/contact_inboxes/filter" => contact_identities::filter;
        POST "/api/v1/accounts/{account_id}/actions/contact_merge" => contact_merge::merge;
        GET "/api/v1/accounts/{account_id}/conversations" => conversation_lists::list;
        POST "/api/v1/accounts/{account_id}/conversations" => conversations::create;
        GET "/api/v1/accounts/{account_id}/conversations/meta" => conversation_lists::meta;
        GET "/api/v1/accounts/{account_id}/conversations/search" => conversation_lists::search;
        POST "/api/v1/accounts/{account_id}/conversations/filter" => conversation_lists::filter;
        GET "/api/v1/accounts/{account_id}/conversations/unread_counts" => conversation_lists::unread_counts;
        GET "/api/v1/accounts/{account_id}/conversations/{conversation_id}" => conversations::show;
        PUT "/api/v1/accounts/{account_id}/conversations/{conversation_id}" => conversations::update;
        PATCH "/api/v1/accounts/{account_id}/conversations/{conversation_id}" => conversations::update;
        POST "/api/v1/accounts/{account_id}/conversations/{conversation_id}/toggle_status" => conversations::toggle_status;
        POST "/api/v1/accounts/{account_id}/conversations/{conversation_id}/toggle_priority" => conversations::toggle_priority;
        POST "/api/v1/accounts/{account_id}/conversations/{conversation_id}/toggle_typing_status" => conversations::toggle_typing_status;
        POST "/api/v1/accounts/{account_id}/conversations/{conversation_id}/assignments" => conversations::assign;
        GET "/api/v1/accounts/{account_id}/conversations/{conversation_id}/labels" => conversation_labels::list;
        POST "/api/v1/accounts/{account_id}/conversations/{conversation_id}/labels" => conversation_labels::replace;
        GET "/api/v1/accounts/{account_id}/conversations/{conversation_id}/participants" => participants::list;
        POST "/api/v1/accounts/{account_id}/conversations/{conversation_id}/participants" => participants::add;
        PUT "/api/v1/accounts/{account_id}/conversations/{conversation_id}/participants" => participants::replace;
        PATCH "/api/v1/accounts/{account_id}/conversations/{conversation_id}/participants" => participants::replace;
        DELETE "/api/v1/accounts/{account_id}/conversations/{conversation_id}/participants" => participants::remove;
        POST "/api/v1/accounts/{account_id}/conversations/{conversation_id}/mute" => conversations::mute;
        POST "/api/v1/accounts/{account_id}/conversations/{conversation_id}/unmute" => conversations::unmute;
        POST "/api/v1/accounts/{account_id}/conversations/{conversation_id}/transcript" => transcript::create;
        GET "/api/v1/accounts/{account_id}/conversations/{conversation_id}/inbox_assistant" => conversations::inbox_assistant;
        GET "/api/v1/accounts/{account_id}/conversations/{conversation_id}/draft_messages" => drafts::show;
        PUT "/api/v1/accounts/{account_id}/conversations/{conversation_id}/draft_messages" => drafts::update;
        PATCH "/api/v1/accounts/{account_id}/conversations/{conversation_id}/draft_messages" => drafts::update;
        DELETE "/api/v1/accounts/{account_id}/conversations/{conversation_id}/draft_messages" => drafts::remove;
        GET "/api/v1/accounts/{account_id}/conversations/{conversation_id}/attachments" => attachments::of_conversation;
        POST "/api/v1/accounts/{account_id}/conversations/{conversation_id}/direct_uploads" => direct_uploads::create;
        POST "/api/v1/accounts/{account_id}/bulk_actions" => bulk_actions::create;
        GET "/api/v1/accounts/{account_id}/macros" => macros::list;
        POST "/api/v1/accounts/{account_id}/macros" => macros::create;
        GET "/api/v1/accounts/{account_id}/macros/{macro_id}" => macros::show;
        PUT "/api/v1/accounts/{account_id}/macros/{macro_id}" => macros::update;
        PATCH "/api/v1/accounts/{account_id}/macros/{macro_id}" => macros::update;
        DELETE "/api/v1/accounts/{account_id}/macros/{macro_id}" => macros::remove;
        POST "/api/v1/accounts/{account_id}/macros/{macro_id}/execute" => macros::execute;
        POST "/api/v1/accounts/{account_id}/conversations/{conversation_id}/update_last_seen" => conversations::update_last_seen;
        POST "/api/v1/accounts/{account_id}/conversations/{conversation_id}/unread" => conversations::unread;
        POST "/api/v1/accounts/{account_id}/conversations/{conversation_id}/custom_attributes" => conversations::custom_attributes;
        GET "/api/v1/accounts/{account_id}/conversations/{conversation_id}/messages" => messages::list;
        POST "/api/v1/accounts/{account_id}/conversations/{conversation_id}/messages" => messages::create;
        PUT "/api/v1/accounts/{account_id}/conversations/{conversation_id}/messages/{message_id}" => messages::update;
        PATCH "/api/v1/accounts/{account_id}/conversations/{conversation_id}/messages/{message_id}" => messages::update;
        DELETE "/api/v1/accounts/{account_id}/conversations/{conversation_id}/messages/{message_id}" => messages::remove;
        POST "/api/v1/accounts/{account_id}/conversations/{conversation_id}/messages/{message_id}/retry" => messages::retry;
        POST "/api/v1/accounts/{account_id}/conversations/{conversation_id}/messages/{message_id}/translate" => messages::translate;
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
        PUT "/api/v1/accounts/{account_id}" => accounts::update;
        PATCH "/api/v1/accounts/{account_id}" => accounts::update;
        POST "/api/v1/accounts/{account_id}/agent_bots" => agent_bots::create;
        PUT "/api/v1/accounts/{account_id}/agent_bots/{bot_id}" => agent_bots::update;
        PATCH "/api/v1/accounts/{account_id}/agent_bots/{bot_id}" => agent_bots::update;
        DELETE "/api/v1/accounts/{account_id}/agent_bots/{bot_id}" => agent_bots::remove;
        POST "/api/v1/accounts/{account_id}/agent_bots/{bot_id}/reset_access_token" => agent_bots::reset_access_token;
        POST "/api/v1/accounts/{account_id}/agent_bots/{bot_id}/reset_secret" => agent_bots::reset_secret;
        DELETE "/api/v1/accounts/{account_id}/agent_bots/{bot_id}/avatar" => agent_bots::remove_avatar;
        POST "/api/v1/accounts/{account_id}/inboxes/{inbox_id}/set_agent_bot" => agent_bots::set_of_inbox;
        POST "/api/v1/accounts/{account_id}/agents" => agents::create;
        PUT "/api/v1/accounts/{account_id}/agents/{agent_id}" => agents::update;
        PATCH "/api/v1/accounts/{account_id}/agents/{agent_id}" => agents::update;
        DELETE "/api/v1/accounts/{account_id}/agents/{agent_id}" => agents::remove;
        POST "/api/v1/accounts/{account_id}/agents/bulk_create" => agents::bulk_create;
        DELETE "/api/v1/accounts/{account_id}/conversations/{conversation_id}" => conversations::remove;
        POST "/api/v1/accounts/{account_id}/inboxes" => inboxes::create;
        PUT "/api/v1/accounts/{account_id}/inboxes/{inbox_id}" => inboxes::update;
        PATCH "/api/v1/accounts/{account_id}/inboxes/{inbox_id}" => inboxes::update;
        DELETE "/api/v1/accounts/{account_id}/inboxes/{inbox_id}" => inboxes::remove;
        POST "/api/v1/accounts/{account_id}/inboxes/{inbox_id}/reset_secret" => inboxes::reset_secret;
        POST "/api/v1/accounts/{account_id}/inboxes/{inbox_id}/reconnect" => inboxes::reconnect;
        DELETE "/api/v1/accounts/{account_id}/inboxes/{inbox_id}/avatar" => inboxes::remove_avatar;
        POST "/api/v1/accounts/{account_id}/inboxes/{inbox_id}/sync_templates" => message_templates::synchronize;
        GET "/api/v1/accounts/{account_id}/inboxes/{inbox_id}/assignment_policy" => assignment_policies::of_inbox;
        POST "/api/v1/accounts/{account_id}/inboxes/{inbox_id}/assignment_policy" => assignment_policies::set_of_inbox;
        DELETE "/api/v1/accounts/{account_id}/inboxes/{inbox_id}/assignment_policy" => assignment_policies::remove_of_inbox;
        GET "/api/v1/accounts/{account_id}/assignment_policies" => assignment_policies::list;
        POST "/api/v1/accounts/{account_id}/assignment_policies" => assignment_policies::create;
        GET "/api/v1/accounts/{account_id}/assignment_policies/{assignment_policy_id}" => assignment_policies::show;
        PUT "/api/v1/accounts/{account_id}/assignment_policies/{assignment_policy_id}" => assignment_policies::update;
        PATCH "/api/v1/accounts/{account_id}/assignment_policies/{assignment_policy_id}" => assignment_policies::update;
        DELETE "/api/v1/accounts/{account_id}/assignment_policies/{assignment_policy_id}" => assignment_policies::remove;
        GET "/api/v1/accounts/{account_id}/assignment_policies/{assignment_policy_id}/inboxes" => assignment_policies::inboxes;
        GET "/api/v1/accounts/{account_id}/inboxes/{inbox_id}/deliveries" => webhooks::inbox_deliveries;
        POST "/api/v1/accounts/{account_id}/inbox_members" => inbox_members::add;
        PUT "/api/v1/accounts/{account_id}/inbox_members" => inbox_members::replace;
        PATCH "/api/v1/accounts/{account_id}/inbox_members" => inbox_members::replace;
        DELETE "/api/v1/accounts/{account_id}/inbox_members" => inbox_members::remove_members;
        POST "/api/v1/accounts/{account_id}/teams" => teams::create;
        PUT "/api/v1/accounts/{account_id}/teams/{team_id}" => teams::update;
        PATCH "/api/v1/accounts/{account_id}/teams/{team_id}" => teams::update;
        DELETE "/api/v1/accounts/{account_id}/teams/{team_id}" => teams::remove;
        POST "/api/v1/accounts/{account_id}/teams/{team_id}/team_members" => teams::add_members;
        PUT "/api/v1/accounts/{account_id}/teams/{team_id}/team_members" => teams::replace_members;
        PATCH "/api/v1/accounts/{account_id}/teams/{team_id}/team_members" => teams::replace_members;
        DELETE "/api/v1/accounts/{account_id}/teams/{team_id}/team_members" => teams::remove_members;
        POST "/api/v1/accounts/{account_id}/labels" => labels::create;
        PUT "/api/v1/accounts/{account_id}/labels/{label_id}" => labels::update;
        PATCH "/api/v1/accounts/{account_id}/labels/{label_id}" => labels::update;
        DELETE "/api/v1/accounts/{account_id}/labels/{label_id}" => labels::remove;
        POST "/api/v1/accounts/{account_id}/custom_attribute_definitions" => custom_attributes::create;
        PUT "/api/v1/accounts/{account_id}/custom_attribute_definitions/{definition_id}" => custom_attributes::update;
        PATCH "/api/v1/accounts/{account_id}/custom_attribute_definitions/{definition_id}" => custom_attributes::update;
        DELETE "/api/v1/accounts/{account_id}/custom_attribute_definitions/{definition_id}" => custom_attributes::remove;
        POST "/api/v1/accounts/{account_id}/dashboard_apps" => dashboard_apps::create;
        PUT "/api/v1/accounts/{account_id}/dashboard_apps/{dashboard_app_id}" => dashboard_apps::update;
        PATCH "/api/v1/accounts/{account_id}/dashboard_apps/{dashboard_app_id}" => dashboard_apps::update;
        DELETE "/api/v1/accounts/{account_id}/dashboard_apps/{dashboard_app_id}" => dashboard_apps::remove;
        POST "/api/v1/accounts/{account_id}/integrations/hooks" => integrations::create_hook;
        PUT "/api/v1/accounts/{account_id}/integrations/hooks/{hook_id}" => integrations::no_hook;
        PATCH "/api/v1/accounts/{account_id}/integrations/hooks/{hook_id}" => integrations::no_hook;
        DELETE "/api/v1/accounts/{account_id}/integrations/hooks/{hook_id}" => integrations::no_hook;
        GET "/api/v1/accounts/{account_id}/automation_rules" => absent::automation_rules;
        GET "/api/v1/accounts/{account_id}/audit_logs" => audit::list;
        GET "/api/v2/accounts/{account_id}/live_reports/conversation_metrics" => live_reports::metrics;
        GET "/api/v2/accounts/{account_id}/live_reports/grouped_conversation_metrics" => live_reports::grouped;
        GET "/api/v2/accounts/{account_id}/reports/conversations" => live_reports::conversations;
        GET "/api/v2/accounts/{account_id}/reports" => absent::points;
        GET "/api/v2/accounts/{account_id}/reports/summary" => absent::summary;
        GET "/api/v2/accounts/{account_id}/reports/bot_summary" => absent::bot_summary;
        GET "/api/v2/accounts/{account_id}/reports/bot_metrics" => absent::bot_metrics;
        GET "/api/v2/accounts/{account_id}/reports/inbox_label_matrix" => absent::matrix;
        GET "/api/v2/accounts/{account_id}/reports/first_response_time_distribution" => absent::by_channel;
        GET "/api/v2/accounts/{account_id}/reports/outgoing_messages_count" => absent::points;
        GET "/api/v2/accounts/{account_id}/summary_reports/agent" => absent::points;
        GET "/api/v2/accounts/{account_id}/summary_reports/team" => absent::points;
        GET "/api/v2/accounts/{account_id}/summary_reports/inbox" => absent::points;
        GET "/api/v2/accounts/{account_id}/summary_reports/label" => absent::points;
        GET "/api/v2/accounts/{account_id}/summary_reports/channel" => absent::by_channel;
        DELETE "/api/v1/accounts/{account_id}/contacts/{contact_id}" => contacts::remove;
        GET "/api/v1/accounts/{account_id}/contacts/import" => contact_import::show;
        POST "/api/v1/accounts/{account_id}/contacts/import" => contact_import::start;
        GET "/api/v1/accounts/{account_id}/contacts/export" => contact_export::show;
        POST "/api/v1/accounts/{account_id}/contacts/export" => contact_export::start;
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
        GET "/public/api/v1/inboxes/{inbox_identifier}/contacts/{source_id}/conversations/{conversation_id}/messages" => client_messages::list;
        POST "/public/api/v1/inboxes/{inbox_identifier}/contacts/{source_id}/conversations/{conversation_id}/messages" => client_messages::create;
        PATCH "/public/api/v1/inboxes/{inbox_identifier}/contacts/{source_id}/conversations/{conversation_id}/messages/{message_id}" => client_messages::answer;
        PUT "/public/api/v1/inboxes/{inbox_identifier}/contacts/{source_id}/conversations/{conversation_id}/messages/{message_id}" => client_messages::answer;
    }
    Visitor {
        POST "/api/v1/widget/config" => widget_settings::create;
        GET "/api/v1/widget/conversations" => widget_conversations::show;
        POST "/api/v1/widget/conversations" => widget_conversations::create;
        GET "/api/v1/widget/conversations/all" => widget_conversations::all;
        POST "/api/v1/widget/conversations/toggle_typing" => widget_conversations::typing;
        POST "/api/v1/widget/conversations/update_last_seen" => widget_conversations::update_last_seen;
        GET "/api/v1/widget/conversations/toggle_status" => widget_conversations::resolve;
        POST "/api/v1/widget/conversations/transcript" => widget_conversations::transcript;
        POST "/api/v1/widget/conversations/set_custom_attributes" => widget_conversations::set_custom_attributes;
        POST "/api/v1/widget/conversations/destroy_custom_attributes" => widget_conversations::destroy_custom_attributes;
        GET "/api/v1/widget/messages" => widget_messages::list;
        POST "/api/v1/widget/messages" => widget_messages::create;
        PUT "/api/v1/widget/messages/{message_id}" => widget_messages::answer;
        PATCH "/api/v1/widget/messages/{message_id}" => widget_messages::answer;
        GET "/api/v1/widget/contact" => widget_contacts::show;
        PUT "/api/v1/widget/contact" => widget_contacts::update;
        PATCH "/api/v1/widget/contact" => widget_contacts::update;
        PUT "/api/v1/widget/contact/set_user" => widget_contacts::set_user;
        PATCH "/api/v1/widget/contact/set_user" => widget_contacts::set_user;
        POST "/api/v1/widget/contact/destroy_custom_attributes" => widget_contacts::destroy_custom_attributes;
        GET "/api/v1/widget/inbox_members" => widget_visits::inbox_members;
        GET "/api/v1/widget/campaigns" => widget_visits::campaigns;
        POST "/api/v1/widget/events" => widget_visits::event;
        POST "/api/v1/widget/labels" => widget_conversations::add_label;
        DELETE "/api/v1/widget/labels/{label}" => widget_conversations::remove_label;
        POST "/api/v1/widget/direct_uploads" => visitor_files::announce;
    }
    Platform {
        GET "/platform/api/v1/accounts" => platform_accounts::list;
        POST "/platform/api/v1/accounts" => platform_accounts::create;
        GET "/platform/api/v1/accounts/{account_id}" => platform_accounts::show;
        PUT "/platform/api/v1/accounts/{account_id}" => platform_accounts::update;
        PATCH "/platform/api/v1/accounts/{account_id}" => platform_accounts::update;
        DELETE "/platform/api/v1/accounts/{account_id}" => platform_accounts::remove;
        GET "/platform/api/v1/accounts/{account_id}/account_users" => platform_accounts::members;
        POST "/platform/api/v1/accounts/{account_id}/account_users" => platform_accounts::add_member;
        DELETE "/platform/api/v1/accounts/{account_id}/account_users" => platform_accounts::remove_member;
        POST "/platform/api/v1/users" => platform_users::create;
        GET "/platform/api/v1/users/{user_id}" => platform_users::show;
        PUT "/platform/api/v1/users/{user_id}" => platform_users::update;
        PATCH "/platform/api/v1/users/{user_id}" => platform_users::update;
        DELETE "/platform/api/v1/users/{user_id}" => platform_users::remove;
        GET "/platform/api/v1/users/{user_id}/login" => platform_users::sign_in_link;
        POST "/platform/api/v1/users/{user_id}/token" => platform_users::token;
        GET "/platform/api/v1/agent_bots" => platform_bots::list;
        POST "/platform/api/v1/agent_bots" => platform_bots::create;
        GET "/platform/api/v1/agent_bots/{bot_id}" => platform_bots::show;
        PUT "/platform/api/v1/agent_bots/{bot_id}" => platform_bots::update;
        PATCH "/platform/api/v1/agent_bots/{bot_id}" => platform_bots::update;
        DELETE "/platform/api/v1/agent_bots/{bot_id}" => platform_bots::remove;
    }
}
