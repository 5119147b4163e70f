//! Who may call which route: the table that the daemon is held to. A route that is not in it fails the test, and so does a row
//! without a route: whoever adds a route says here, apart from the table it is registered in, whose it is.

/// Roles, then what is open to them and to nobody else. `A` is an account (`/api/v1/accounts/{account_id}`), `A2` the same in
/// the second version of the API.
pub const ROWS: &[(&str, &str)] = &[
    (
        "everybody",
        "
        GET /health
        GET /ready
        GET /metrics
        GET /api
        GET /cable
        GET|PUT /files/{signed_key}/{file_name}
        GET|POST /webhooks/{kind}/{address}
        POST /auth/sign_in
        POST|PUT /auth/password
        POST /auth/confirmation
        POST /resend_confirmation
        POST /api/v1/accounts
        GET /auth/validate_token
        DELETE /auth/sign_out
        POST /api/v1/profile
        GET|PUT /public/api/v1/csat_survey/{conversation_uuid}
        GET /public/api/v1/inboxes/{inbox_identifier}
        POST /public/api/v1/inboxes/{inbox_identifier}/contacts
        GET|PUT|PATCH /public/api/v1/inboxes/{inbox_identifier}/contacts/{source_id}
        GET|POST /public/api/v1/inboxes/{inbox_identifier}/contacts/{source_id}/conversations
        GET /public/api/v1/inboxes/{inbox_identifier}/contacts/{source_id}/conversations/{conversation_id}
        POST /public/api/v1/inboxes/{inbox_identifier}/contacts/{source_id}/conversations/{conversation_id}/toggle_status
        POST /public/api/v1/inboxes/{inbox_identifier}/contacts/{source_id}/conversations/{conversation_id}/toggle_typing
        POST /public/api/v1/inboxes/{inbox_identifier}/contacts/{source_id}/conversations/{conversation_id}/update_last_seen
        GET|POST /public/api/v1/inboxes/{inbox_identifier}/contacts/{source_id}/conversations/{conversation_id}/messages
        PUT|PATCH /public/api/v1/inboxes/{inbox_identifier}/contacts/{source_id}/conversations/{conversation_id}/messages/{message_id}
        GET /packs/js/sdk.js
        GET /widget
        GET /widget/assets/{file_name}
        GET /survey/responses/{conversation_uuid}
        ",
    ),
    (
        "visitor",
        "
        POST /api/v1/widget/config
        GET|POST /api/v1/widget/conversations
        GET /api/v1/widget/conversations/all
        GET /api/v1/widget/conversations/toggle_status
        POST /api/v1/widget/conversations/toggle_typing
        POST /api/v1/widget/conversations/update_last_seen
        POST /api/v1/widget/conversations/transcript
        POST /api/v1/widget/conversations/set_custom_attributes
        POST /api/v1/widget/conversations/destroy_custom_attributes
        GET|POST /api/v1/widget/messages
        PUT|PATCH /api/v1/widget/messages/{message_id}
        GET|PUT|PATCH /api/v1/widget/contact
        PUT|PATCH /api/v1/widget/contact/set_user
        POST /api/v1/widget/contact/destroy_custom_attributes
        GET /api/v1/widget/inbox_members
        GET /api/v1/widget/campaigns
        POST /api/v1/widget/events
        POST /api/v1/widget/labels
        DELETE /api/v1/widget/labels/{label}
        POST /api/v1/widget/direct_uploads
        ",
    ),
    (
        "user",
        "
        GET|PUT|PATCH /api/v1/profile
        POST|DELETE /api/v1/notification_subscriptions
        POST /api/v1/profile/availability
        POST /api/v1/profile/auto_offline
        PUT /api/v1/profile/set_active_account
        POST /api/v1/profile/reset_access_token
        POST /api/v1/profile/resend_confirmation
        DELETE /api/v1/profile/avatar
        GET|POST|DELETE /api/v1/profile/mfa
        POST /api/v1/profile/mfa/verify
        POST /api/v1/profile/mfa/backup_codes
        GET /api/v1/profile/sessions
        DELETE /api/v1/profile/sessions/{session_id}
        ",
    ),
    (
        "agent administrator",
        "
        GET A
        POST A/update_active_at
        GET A/cache_keys
        POST A/upload
        GET A/agents
        GET A/assignable_agents
        GET A/inboxes
        GET A/inboxes/{inbox_id}
        GET A/inboxes/{inbox_id}/health
        GET A/inboxes/{inbox_id}/assignable_agents
        GET A/inboxes/{inbox_id}/campaigns
        GET A/inbox_members/{inbox_id}
        GET A/teams
        GET A/teams/{team_id}
        GET A/teams/{team_id}/team_members
        GET A/labels
        GET A/labels/{label_id}
        GET|POST A/canned_responses
        PUT|PATCH|DELETE A/canned_responses/{canned_response_id}
        GET A/custom_attribute_definitions
        GET A/custom_attribute_definitions/{definition_id}
        GET A/dashboard_apps
        GET A/dashboard_apps/{dashboard_app_id}
        GET A/integrations/apps
        GET A/integrations/apps/{app_id}
        GET A/campaigns
        GET A/portals
        GET A/csat_survey_responses
        GET A/csat_survey_responses/metrics
        GET A/inboxes/{inbox_id}/agent_bot
        GET A/agent_bots
        GET A/agent_bots/{bot_id}
        GET A/notifications
        GET A/notifications/unread_count
        POST A/notifications/read_all
        POST A/notifications/destroy_all
        PUT|PATCH|DELETE A/notifications/{notification_id}
        POST A/notifications/{notification_id}/unread
        POST A/notifications/{notification_id}/snooze
        GET|PUT|PATCH A/notification_settings
        GET|POST A/contacts
        GET A/contacts/search
        GET A/contacts/active
        POST A/contacts/filter
        GET|PUT|PATCH A/contacts/{contact_id}
        DELETE A/contacts/{contact_id}/avatar
        POST A/contacts/{contact_id}/destroy_custom_attributes
        GET A/contacts/{contact_id}/conversations
        GET A/contacts/{contact_id}/attachments
        GET|POST A/contacts/{contact_id}/labels
        GET|POST A/contacts/{contact_id}/notes
        GET|PUT|PATCH|DELETE A/contacts/{contact_id}/notes/{note_id}
        GET A/contacts/{contact_id}/contactable_inboxes
        POST A/contacts/{contact_id}/contact_inboxes
        POST A/contact_inboxes/filter
        POST A/actions/contact_merge
        GET A/conversations
        GET A/conversations/meta
        GET A/conversations/search
        GET A/conversations/unread_counts
        POST A/conversations/filter
        GET|POST|PUT|PATCH|DELETE A/conversations/{conversation_id}/participants
        POST A/conversations/{conversation_id}/mute
        POST A/conversations/{conversation_id}/unmute
        POST A/conversations/{conversation_id}/transcript
        GET|PUT|PATCH|DELETE A/conversations/{conversation_id}/draft_messages
        GET A/conversations/{conversation_id}/attachments
        POST A/conversations/{conversation_id}/direct_uploads
        POST A/bulk_actions
        GET|POST A/macros
        GET|PUT|PATCH|DELETE A/macros/{macro_id}
        POST A/macros/{macro_id}/execute
        POST A/conversations/{conversation_id}/update_last_seen
        POST A/conversations/{conversation_id}/unread
        GET A/conversations/{conversation_id}/messages
        PUT|PATCH|DELETE A/conversations/{conversation_id}/messages/{message_id}
        POST A/conversations/{conversation_id}/messages/{message_id}/retry
        POST A/conversations/{conversation_id}/messages/{message_id}/translate
        GET A/conversations/{conversation_id}/inbox_assistant
        GET|POST A/custom_filters
        GET|PUT|PATCH|DELETE A/custom_filters/{custom_filter_id}
        GET A/search
        GET A/search/conversations
        GET A/search/contacts
        GET A/search/messages
        GET A/search/articles
        ",
    ),
    (
        "agent administrator bot",
        "
        POST A/conversations
        GET|PUT|PATCH A/conversations/{conversation_id}
        POST A/conversations/{conversation_id}/toggle_status
        POST A/conversations/{conversation_id}/toggle_priority
        POST A/conversations/{conversation_id}/toggle_typing_status
        POST A/conversations/{conversation_id}/assignments
        GET|POST A/conversations/{conversation_id}/labels
        POST A/conversations/{conversation_id}/custom_attributes
        POST A/conversations/{conversation_id}/messages
        ",
    ),
    (
        "administrator",
        "
        PUT|PATCH A
        POST A/agent_bots
        PUT|PATCH|DELETE A/agent_bots/{bot_id}
        POST A/agent_bots/{bot_id}/reset_access_token
        POST A/agent_bots/{bot_id}/reset_secret
        DELETE A/agent_bots/{bot_id}/avatar
        POST A/inboxes/{inbox_id}/set_agent_bot
        POST A/agents
        PUT|PATCH|DELETE A/agents/{agent_id}
        POST A/agents/bulk_create
        DELETE A/conversations/{conversation_id}
        POST A/inboxes
        PUT|PATCH|DELETE A/inboxes/{inbox_id}
        POST A/inboxes/{inbox_id}/reset_secret
        POST A/inboxes/{inbox_id}/reconnect
        DELETE A/inboxes/{inbox_id}/avatar
        POST A/inboxes/{inbox_id}/sync_templates
        GET|POST|DELETE A/inboxes/{inbox_id}/assignment_policy
        GET|POST A/assignment_policies
        GET|PUT|PATCH|DELETE A/assignment_policies/{assignment_policy_id}
        GET A/assignment_policies/{assignment_policy_id}/inboxes
        GET A/inboxes/{inbox_id}/deliveries
        POST|PUT|PATCH|DELETE A/inbox_members
        POST A/teams
        PUT|PATCH|DELETE A/teams/{team_id}
        POST|PUT|PATCH|DELETE A/teams/{team_id}/team_members
        POST A/labels
        PUT|PATCH|DELETE A/labels/{label_id}
        POST A/custom_attribute_definitions
        PUT|PATCH|DELETE A/custom_attribute_definitions/{definition_id}
        POST A/dashboard_apps
        PUT|PATCH|DELETE A/dashboard_apps/{dashboard_app_id}
        POST A/integrations/hooks
        PUT|PATCH|DELETE A/integrations/hooks/{hook_id}
        GET A/automation_rules
        GET A/audit_logs
        GET A2/live_reports/conversation_metrics
        GET A2/live_reports/grouped_conversation_metrics
        GET A2/reports/conversations
        GET A2/reports
        GET A2/reports/summary
        GET A2/reports/bot_summary
        GET A2/reports/bot_metrics
        GET A2/reports/inbox_label_matrix
        GET A2/reports/first_response_time_distribution
        GET A2/reports/outgoing_messages_count
        GET A2/summary_reports/agent
        GET A2/summary_reports/team
        GET A2/summary_reports/inbox
        GET A2/summary_reports/label
        GET A2/summary_reports/channel
        DELETE A/contacts/{contact_id}
        GET|POST A/contacts/import
        GET|POST A/contacts/export
        GET|POST A/webhooks
        PUT|PATCH|DELETE A/webhooks/{webhook_id}
        GET A/webhooks/{webhook_id}/deliveries
        POST A/deliveries/{delivery_id}/retry
        ",
    ),
    (
        "platform",
        "
        GET|POST /platform/api/v1/accounts
        GET|PUT|PATCH|DELETE /platform/api/v1/accounts/{account_id}
        GET|POST|DELETE /platform/api/v1/accounts/{account_id}/account_users
        POST /platform/api/v1/users
        GET|PUT|PATCH|DELETE /platform/api/v1/users/{user_id}
        GET /platform/api/v1/users/{user_id}/login
        POST /platform/api/v1/users/{user_id}/token
        GET|POST /platform/api/v1/agent_bots
        GET|PUT|PATCH|DELETE /platform/api/v1/agent_bots/{bot_id}
        ",
    ),
];
