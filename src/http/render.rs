//! The forms of REST answers (contract, sections 1 and 2). What they share with websockets is in `actors::wire`.
use super::views::ShownConversation;
use crate::tokens;
use actors::catalog::{Bot, Inbox, Snapshot, Team, User, Webhook};
use actors::channel::ChannelSettings;
use actors::event::MessageView;
use actors::secret::field_mut;
use actors::system::Handles;
use actors::wire::{epoch, epoch_fraction, epoch_or_zero, iso, iso_or_null, set, unread_shown};
use entity::account_user::{self, Role};
use entity::{account, contact, contact_inbox};
use serde_json::{Map, Value, json};

/// An account.
pub fn account(account: &account::Model) -> Value {
    let mut shown = json!({
        "settings": account.settings,
        "created_at": iso(account.created_at),
        "domain": account.domain,
        "features": features(account),
        "id": account.id,
        "locale": account.locale,
        "name": account.name,
        "support_email": account.support_email,
        "status": match account.status { account::Status::Active => "active", account::Status::Suspended => "suspended" },
        "cache_keys": {},
    });
    if account.custom_attributes.as_object().is_some_and(|attributes| !attributes.is_empty()) {
        set(&mut shown, "custom_attributes", account.custom_attributes.clone());
    }
    shown
}

/// What this version can do, with what a platform app has turned on or off: only what is on is shown.
fn features(account: &account::Model) -> Map<String, Value> {
    let mut features: Map<String, Value> = FEATURES.iter().map(|name| ((*name).to_owned(), Value::Bool(true))).collect();
    for (name, is_on) in account.features.as_object().into_iter().flatten() {
        match is_on.as_bool() {
            Some(true) => drop(features.insert(name.clone(), Value::Bool(true))),
            _ => drop(features.remove(name)),
        }
    }
    features
}

/// What this version can do, in the contract's names: they drive the menus of dashboards.
const FEATURES: &[&str] = &[
    "inbox_management",
    "agent_management",
    "team_management",
    "labels",
    "canned_responses",
    "custom_attributes",
    "macros",
    "integrations",
    "crm",
    "agent_bots",
    "inbox_view",
    "channel_api",
    "channel_email",
    "channel_website",
    "voice_recorder",
    "audit_logs",
    "assignment_v2",
    "conversation_unread_counts",
];

/// A signed-in user's own profile.
pub fn profile(handles: &Handles, user: &User) -> Value {
    let catalog = handles.catalog.now();
    let current = user.places.iter().max_by_key(|place| place.active_at);
    let places = user.places.iter().filter_map(|place| Some(place_in_account(handles, catalog.account(place.account_id)?, place)));
    let mut shown = json!({
        "access_token": tokens::shown(&handles.vault, user.token_sealed.as_deref()),
        "account_id": current.map(|place| place.account_id),
        "available_name": user.row.available_name(),
        "avatar_url": user.avatar_url,
        "confirmed": user.row.confirmed_at.is_some(),
        "display_name": user.row.display_name,
        "message_signature": user.row.message_signature,
        "email": user.row.email,
        "id": user.row.id,
        "inviter_id": current.and_then(|place| place.inviter_id),
        "name": user.row.name,
        "provider": "email",
        "pubsub_token": user.row.pubsub_token,
        "role": current.map(|place| place.role.name()),
        "ui_settings": user.row.ui_settings,
        "uid": user.row.email,
        "accounts": places.collect::<Vec<_>>(),
    });
    if user.row.custom_attributes.as_object().is_some_and(|attributes| !attributes.is_empty()) {
        set(&mut shown, "custom_attributes", user.row.custom_attributes.clone());
    }
    shown
}

fn place_in_account(handles: &Handles, account: &account::Model, place: &account_user::Model) -> Value {
    json!({
        "id": account.id,
        "name": account.name,
        "status": match account.status { account::Status::Active => "active", account::Status::Suspended => "suspended" },
        "active_at": iso_or_null(place.active_at),
        "role": place.role.name(),
        "permissions": [place.role.name()],
        "availability": place.availability.name(),
        "availability_status": handles.presence.availability(account.id, place.user_id).name(),
        "auto_offline": place.auto_offline,
    })
}

/// A user as a member of an account.
pub fn agent(handles: &Handles, user: &User, account_id: i64) -> Value {
    let place = user.place(account_id);
    let mut shown = json!({
        "id": user.row.id,
        "account_id": account_id,
        "availability_status": handles.presence.availability(account_id, user.row.id).name(),
        "auto_offline": place.is_none_or(|place| place.auto_offline),
        "confirmed": user.row.confirmed_at.is_some(),
        "email": user.row.email,
        "provider": "email",
        "available_name": user.row.available_name(),
        "name": user.row.name,
        "role": place.map_or(Role::Agent, |place| place.role).name(),
        "thumbnail": user.avatar_url,
    });
    if user.row.custom_attributes.as_object().is_some_and(|attributes| !attributes.is_empty()) {
        set(&mut shown, "custom_attributes", user.row.custom_attributes.clone());
    }
    shown
}

/// Agents by their ids, leaving out who is gone.
pub fn agents(handles: &Handles, catalog: &Snapshot, ids: &[i64], account_id: i64) -> Value {
    ids.iter().filter_map(|id| catalog.user(*id)).map(|user| agent(handles, user, account_id)).collect()
}

/// What stands for a secret that is set.
pub const BLANK: &str = "********";

/// An inbox; its keys and credentials are for administrators, credentials blanked even for them.
pub fn inbox(handles: &Handles, inbox: &Inbox, for_administrator: bool) -> Value {
    let row = &inbox.row;
    let mut shown = json!({
        "id": row.id,
        "avatar_url": inbox.avatar_url,
        "channel_id": row.id,
        "name": row.name,
        "channel_type": inbox.settings.channel_type(),
        "greeting_enabled": row.greeting_enabled,
        "greeting_message": row.greeting_message,
        "working_hours_enabled": row.working_hours_enabled,
        "enable_email_collect": row.enable_email_collect,
        "csat_survey_enabled": row.csat_survey_enabled,
        "csat_config": row.csat_config,
        "enable_auto_assignment": row.enable_auto_assignment,
        "auto_assignment_config": row.auto_assignment_config,
        "out_of_office_message": row.out_of_office_message,
        "working_hours": row.working_hours,
        "timezone": row.timezone,
        "callback_webhook_url": null,
        "allow_messages_after_resolved": row.allow_messages_after_resolved,
        "lock_to_single_conversation": row.lock_to_single_conversation,
        "sender_name_type": row.sender_name_type,
        "business_name": row.business_name,
        "enabled": row.enabled,
        "managed_by": row.managed_by_file.as_ref().map_or("api", |_| "file"),
    });
    for name in ABSENT_CHANNEL_FIELDS {
        set(&mut shown, name, Value::Null);
    }
    match &inbox.settings {
        ChannelSettings::Api(settings) => {
            set(&mut shown, "hmac_mandatory", settings.hmac_mandatory.into());
            set(&mut shown, "webhook_url", settings.webhook_url.clone().into());
            set(&mut shown, "inbox_identifier", row.identifier.clone().into());
            set(&mut shown, "additional_attributes", Value::Object(settings.additional_attributes.clone()));
            if for_administrator {
                set(&mut shown, "hmac_token", inbox.hmac_token.expose().into());
                set(&mut shown, "secret", inbox.secret.expose().into());
            }
        }
        ChannelSettings::Email(settings) => {
            set(&mut shown, "email", settings.email.clone().into());
            set(&mut shown, "forwarding_enabled", false.into());
            if for_administrator && let Value::Object(fields) = blanked(&inbox.settings) {
                for (name, value) in
                    fields.into_iter().filter(|(name, _)| name.starts_with("imap_") || name.starts_with("smtp_") || name == "provider")
                {
                    set(&mut shown, &name, value);
                }
            }
        }
        ChannelSettings::Telegram(settings) => {
            // Telegram is told its address by the daemon: nobody has to know it, and the token stands in it.
            set(&mut shown, "bot_name", settings.bot_name.clone().into());
            set(&mut shown, "reauthorization_required", handles.troubled.has(row.id).into());
        }
        ChannelSettings::WebWidget(settings) => {
            // All that is set, in the contract's names.
            if let Value::Object(fields) = serde_json::to_value(settings).unwrap_or_default() {
                fields.into_iter().for_each(|(name, value)| set(&mut shown, &name, value));
            }
            set(&mut shown, "website_token", row.identifier.clone().into());
            set(&mut shown, "web_widget_script", snippet(&handles.tools.public_url, &row.identifier).into());
            if for_administrator {
                set(&mut shown, "hmac_token", inbox.hmac_token.expose().into());
            }
        }
        ChannelSettings::Whatsapp(settings) => {
            let callback = format!("{}/webhooks/whatsapp/{}", handles.tools.public_url, settings.webhook_address());
            set(&mut shown, "callback_webhook_url", callback.into());
            set(&mut shown, "phone_number", settings.phone_number.clone().into());
            set(&mut shown, "provider", settings.provider.clone().into());
            set(&mut shown, "message_templates", if inbox.templates.is_null() { json!([]) } else { inbox.templates.clone() });
            set(&mut shown, "reauthorization_required", handles.troubled.has(row.id).into());
            if for_administrator && let Some(config) = blanked(&inbox.settings).get_mut("provider_config") {
                set(&mut shown, "provider_config", config.take());
            }
        }
    }
    shown
}

/// What a site puts before its closing `</body>` to have the chat (manual, Setting up website live chat).
fn snippet(base_url: &str, website_token: &str) -> String {
    format!(
        r#"<script>
  (function(d,t) {{
    var BASE_URL="{base_url}";
    var g=d.createElement(t),s=d.getElementsByTagName(t)[0];
    g.src=BASE_URL+"/packs/js/sdk.js";
    g.defer = true;
    g.async = true;
    s.parentNode.insertBefore(g,s);
    g.onload=function(){{
      window.chatwootSDK.run({{
        websiteToken: '{website_token}',
        baseUrl: BASE_URL
      }})
    }}
  }})(document,"script");
</script>
"#
    )
}

/// The channel's settings with every secret that is set shown as [`BLANK`].
pub fn blanked(settings: &ChannelSettings) -> Value {
    let mut fields = serde_json::to_value(settings).unwrap_or_default();
    for name in settings.secret_fields() {
        if let Some(Value::String(secret)) = field_mut(&mut fields, name).filter(|secret| secret.as_str() != Some("")) {
            BLANK.clone_into(secret);
        }
    }
    fields
}

/// Fields of other channels, which the contract shows as null.
const ABSENT_CHANNEL_FIELDS: &[&str] = &[
    "allowed_domains",
    "widget_color",
    "website_url",
    "hmac_mandatory",
    "welcome_title",
    "welcome_tagline",
    "web_widget_script",
    "website_token",
    "selected_feature_flags",
    "reply_time",
    "messaging_service_sid",
    "phone_number",
    "provider",
];

/// An inbox where another object mentions it.
pub fn slim_inbox(inbox: &Inbox) -> Value {
    json!({
        "id": inbox.row.id,
        "avatar_url": inbox.avatar_url,
        "channel_id": inbox.row.id,
        "name": inbox.row.name,
        "channel_type": inbox.settings.channel_type(),
        "provider": match &inbox.settings {
            ChannelSettings::Email(settings) if !settings.provider.is_empty() => Some(settings.provider.clone()),
            ChannelSettings::Whatsapp(settings) => Some(settings.provider.clone()),
            _ => None,
        },
    })
}

/// An inbox as its row is (contract, section 2, `POST contacts`); what the channel keeps is not part of it.
pub fn inbox_row(inbox: &Inbox) -> Value {
    let row = &inbox.row;
    json!({
        "id": row.id,
        "account_id": row.account_id,
        "channel_id": row.id,
        "channel_type": inbox.settings.channel_type(),
        "name": row.name,
        "email_address": null,
        "business_name": row.business_name,
        "sender_name_type": row.sender_name_type,
        "enable_auto_assignment": row.enable_auto_assignment,
        "auto_assignment_config": row.auto_assignment_config,
        "greeting_enabled": row.greeting_enabled,
        "greeting_message": row.greeting_message,
        "working_hours_enabled": row.working_hours_enabled,
        "out_of_office_message": row.out_of_office_message,
        "timezone": row.timezone,
        "enable_email_collect": row.enable_email_collect,
        "csat_survey_enabled": row.csat_survey_enabled,
        "csat_config": row.csat_config,
        "allow_messages_after_resolved": row.allow_messages_after_resolved,
        "lock_to_single_conversation": row.lock_to_single_conversation,
        "portal_id": null,
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
    })
}

/// A contact; its identities where they are given.
pub fn contact(handles: &Handles, contact: &contact::Model, identities: Option<&[contact_inbox::Model]>) -> Value {
    let is_online = handles.presence.is_contact_online(contact.account_id, contact.id);
    let mut shown = json!({
        "additional_attributes": contact.additional_attributes,
        "availability_status": if is_online { "online" } else { "offline" },
        "email": contact.email,
        "id": contact.id,
        "name": contact.name,
        "phone_number": contact.phone_number,
        "blocked": contact.blocked,
        "identifier": contact.identifier,
        "thumbnail": handles.wire.contact_picture(contact),
        "custom_attributes": contact.custom_attributes,
        "created_at": epoch(contact.created_at),
    });
    if let Some(active) = contact.last_activity_at {
        set(&mut shown, "last_activity_at", epoch(active).into());
    }
    if let Some(identities) = identities {
        let catalog = handles.catalog.now();
        let of_contact = identities.iter().filter(|identity| identity.contact_id == contact.id);
        let listed = of_contact.filter_map(|identity| {
            let inbox = catalog.inbox(identity.inbox_id).filter(|inbox| !inbox.is_deleted())?;
            Some(json!({ "source_id": identity.source_id, "inbox": slim_inbox(inbox) }))
        });
        set(&mut shown, "contact_inboxes", listed.collect());
    }
    shown
}

/// A conversation; assignee and team are absent when there is none.
pub fn conversation(handles: &Handles, shown: &ShownConversation) -> Value {
    let (wire, view) = (&handles.wire, &shown.view);
    let conversation = &view.conversation;
    let mut meta = json!({
        "sender": contact(handles, &view.contact, None),
        "channel": view.inbox.channel_type,
        "hmac_verified": view.contact_inbox.hmac_verified,
    });
    let catalog = handles.catalog.now();
    if let Some(user) = conversation.assignee_id.and_then(|id| catalog.user(id)) {
        set(&mut meta, "assignee", agent(handles, user, conversation.account_id));
        set(&mut meta, "assignee_type", "User".into());
    } else if let Some(bot) = conversation.assignee_agent_bot_id.and_then(|id| catalog.bot(id)) {
        set(&mut meta, "assignee", slim_bot(bot));
        set(&mut meta, "assignee_type", "AgentBot".into());
    }
    if let Some(found) = conversation.team_id.and_then(|id| catalog.team(id)) {
        set(&mut meta, "team", team(found, None));
    }
    let last = view.last_message.iter().map(|message| wire.message(message, view));
    json!({
        "meta": meta,
        "id": conversation.display_id,
        "messages": last.collect::<Vec<_>>(),
        "account_id": conversation.account_id,
        "uuid": conversation.uuid,
        "additional_attributes": conversation.additional_attributes,
        "agent_last_seen_at": epoch_or_zero(conversation.agent_last_seen_at),
        "assignee_last_seen_at": epoch_or_zero(conversation.assignee_last_seen_at),
        "can_reply": view.can_reply,
        "contact_last_seen_at": epoch_or_zero(conversation.contact_last_seen_at),
        "custom_attributes": conversation.custom_attributes,
        "inbox_id": conversation.inbox_id,
        "labels": conversation.labels,
        "muted": view.contact.blocked,
        "snoozed_until": iso_or_null(conversation.snoozed_until),
        "status": conversation.status.name(),
        "created_at": epoch(conversation.created_at),
        "updated_at": epoch_fraction(conversation.updated_at),
        "timestamp": epoch(conversation.last_activity_at),
        "first_reply_created_at": epoch_or_zero(conversation.first_reply_created_at),
        "unread_count": unread_shown(conversation.unread_count),
        "last_non_activity_message": shown.last_said.as_ref().map(|said| message(handles, said, conversation.display_id)),
        "last_activity_at": epoch(conversation.last_activity_at),
        "priority": conversation.priority.map(|priority| priority.name()),
        "waiting_since": epoch_or_zero(conversation.waiting_since),
        "sla_policy_id": null,
    })
}

/// A team; whether a user belongs to it where one asks.
pub fn team(team: &Team, asked_by: Option<i64>) -> Value {
    json!({
        "id": team.row.id,
        "name": team.row.name,
        "description": team.row.description,
        "allow_auto_assign": team.row.allow_auto_assign,
        "account_id": team.row.account_id,
        "is_member": asked_by.is_some_and(|user_id| team.members.binary_search(&user_id).is_ok()),
    })
}

/// A team as its row is (contract, section 2, `assignments`).
pub fn team_row(team: &Team) -> Value {
    json!({
        "id": team.row.id,
        "name": team.row.name,
        "description": team.row.description,
        "allow_auto_assign": team.row.allow_auto_assign,
        "account_id": team.row.account_id,
        "created_at": iso(team.row.created_at),
        "updated_at": iso(team.row.updated_at),
    })
}

/// A bot where another object mentions it.
pub fn slim_bot(bot: &Bot) -> Value {
    json!({
        "id": bot.row.id,
        "name": bot.row.name,
        "description": bot.row.description,
        "thumbnail": bot.avatar_url,
        "outgoing_url": bot.row.outgoing_url,
        "bot_type": "webhook",
    })
}

/// A message.
pub fn message(handles: &Handles, view: &MessageView, display_id: i64) -> Value {
    let row = &view.message;
    let mut shown = json!({
        "id": row.id,
        "content": row.content,
        "inbox_id": row.inbox_id,
        "conversation_id": display_id,
        "message_type": row.message_type.number(),
        "content_type": row.content_type,
        "status": row.status.name(),
        "content_attributes": row.content_attributes,
        "created_at": epoch(row.created_at),
        "private": row.private,
        "source_id": row.source_id,
    });
    handles.wire.add_optional(&mut shown, view);
    shown
}

/// A webhook with its key.
pub fn webhook(handles: &Handles, webhook: &Webhook) -> Value {
    let mut shown = json!({
        "id": webhook.row.id,
        "name": webhook.row.name,
        "url": webhook.row.url,
        "account_id": webhook.row.account_id,
        "subscriptions": webhook.subscriptions,
        "secret": webhook.secret.expose(),
    });
    if let Some(inbox) = webhook.row.inbox_id.and_then(|id| handles.catalog.now().inbox(id).cloned()) {
        set(&mut shown, "inbox", json!({ "id": inbox.row.id, "name": inbox.row.name }));
    }
    shown
}
