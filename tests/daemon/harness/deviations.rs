//! Where the daemon's answers differ from the published description, and why: that one is loose (contract, section 13), and
//! where both differ the contract's text counts.

/// Names whose value may be null although the description has no null there: the contract marks them with `?` (section 2).
pub const NULLABLE: &str = "allowed_domains business_name callback_webhook_url close_hour close_minutes content description domain \
    greeting_message hmac_mandatory open_hour open_minutes out_of_office_message phone_number provider reply_time \
    selected_feature_flags source_id support_email web_widget_script website_token website_url welcome_tagline welcome_title \
    widget_color email identifier inviter_id avg_first_response_time avg_resolution_time reply_time active_at \
    messaging_service_sid logo custom_domain header_text homepage_link page_title regex_pattern regex_cue default_value \
    account_id role attribute_description outgoing_url auditable request_uuid";

/// The others: method, end of the path, JSON pointer of the complaint (`*` for any; see `contract.rs`), how the value there
/// begins as JSON, and the reason.
pub const DEVIATIONS: &[(&str, &str, &str, &str, &str)] = &[
    ("*", "*", "**/snoozed_until", "\"2", "contract, timestamps: `snoozed_until` is an ISO text"),
    ("*", "*", "**/status", "\"snoozed\"", "contract, enums: the description knows no `snoozed`"),
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
];
