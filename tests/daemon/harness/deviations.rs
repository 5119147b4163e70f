//! Where the daemon's answers differ from the published description, and why: that one is loose (contract, section 13), and
//! where both differ the contract's text counts.

/// What may be null although the description has no null there, because the contract marks it with `?` (section 2): a part of
/// the path (`$` is its end), and the names there.
pub const NULLABLE: &[(&str, &str)] = &[
    // Contacts and messages are part of much else.
    ("/contacts", "email identifier phone_number provider content source_id description outgoing_url"),
    ("/contact_inboxes", "email identifier phone_number provider source_id"),
    ("/contact_merge", "email identifier phone_number provider"),
    ("/conversations", "email identifier phone_number content source_id description outgoing_url"),
    (
        "/inboxes",
        "allowed_domains business_name callback_webhook_url close_hour close_minutes greeting_message hmac_mandatory \
         messaging_service_sid open_hour open_minutes out_of_office_message phone_number provider reply_time selected_feature_flags \
         web_widget_script website_token website_url welcome_tagline welcome_title widget_color description outgoing_url account_id",
    ),
    ("/accounts/{account_id}$", "domain support_email"),
    ("/platform/api/v1/accounts", "domain support_email"),
    ("/profile", "active_at inviter_id account_id role"),
    ("/platform/api/v1/users", "active_at inviter_id account_id role"),
    ("/agent_bots", "description outgoing_url account_id"),
    ("/teams", "description"),
    ("/labels", "description"),
    ("/custom_attribute_definitions", "attribute_description default_value regex_cue regex_pattern"),
    ("/portals", "custom_domain header_text homepage_link logo page_title"),
    ("/reports", "avg_first_response_time avg_resolution_time reply_time"),
    ("/audit_logs", "auditable request_uuid"),
];

/// The others: method, end of the path, JSON pointer of the complaint (`*` for any; see `contract.rs`), how the value there
/// begins as JSON, and the reason.
pub const DEVIATIONS: &[(&str, &str, &str, &str, &str)] = &[
    ("*", "*", "/errors/*", "\"", "contract, section 0: `errors` of a refusal are texts"),
    ("*", "*", "**/snoozed_until", "\"2", "contract, timestamps: `snoozed_until` is an ISO text"),
    ("*", "*", "**/status", "\"snoozed\"", "contract, enums: the description knows no `snoozed`"),
    (
        "*",
        "*",
        "**/last_non_activity_message",
        "{\"attachments\"",
        "contract, section 2: `content` may be null, as of a message that is a place or a card",
    ),
    ("*", "*", "**/last_non_activity_message", "{\"content\":null", "contract, section 2: `content` may be null"),
    (
        "GET",
        "/webhooks",
        "",
        "{\"payload\":{\"webhooks\":[",
        "contract, section 2: webhooks are in an envelope; the description has a bare array",
    ),
    ("POST", "/contacts", "/payload", "{\"contact\":{", "contract, section 2: contact and contact_inbox; the description has a list"),
    ("*", "/webhooks", "**/name", "null", "contract, section 2: the name of a webhook may be null"),
    ("*", "/webhooks/{webhook_id}", "**/name", "null", "contract, section 2: the name of a webhook may be null"),
    (
        "*",
        "/custom_attribute_definitions",
        "**/attribute_values",
        "[",
        "contract, section 2: `attribute_values[]`; the description has a text",
    ),
    ("*", "/custom_attribute_definitions/{id}", "/attribute_values", "[", "the same of one definition"),
    ("GET", "/audit_logs", "**/action", "\"sign_", "contract, section 2: signing in and out is logged as well"),
    ("GET", "/audit_logs", "**/user_id", "null", "contract, section 9: what a platform app does, no user does"),
    ("GET", "/audit_logs", "**/user_type", "null", "the same"),
    ("GET", "/audit_logs", "**/username", "null", "the same"),
    ("GET", "/contacts/{id}", "/payload", "[", "`/contacts/active` is a list; the description knows only one contact by its id"),
    (
        "GET",
        "/reports/conversations",
        "",
        "[",
        "contract, section 3: with `type=agent` it is a list, which the description has under the same path with a slash at its end",
    ),
];
