//! What the widget's page is told when it loads: the settings of its inbox, in the two spellings of the contract (sections 6.3 and
//! 6.4), and who the visitor is.
use super::error::ApiResult;
use super::throttle::Throttle;
use super::visitors::{Visitor, Website, token};
use actix_web::{HttpRequest, HttpResponse, web};
use actors::system::Handles;
use actors::wire::set;
use chrono::{Offset, TimeZone};
use serde_json::{Value, json};

/// The languages of the widget, by their own names.
const LANGUAGES: &[(&str, &str)] =
    &[("English", "en"), ("Español", "es"), ("Português", "pt"), ("Deutsch", "de"), ("Français", "fr"), ("العربية", "ar"), ("हिन्दी", "hi")];

/// Settings and visitor; whoever has no token, or one that is not good any more, is a new visitor.
#[utoipa::path(post, path = "", tag = "Widget", responses((status = 200, description = "website_channel_config, contact, global_config"), (status = 404, description = "no such website")))]
pub async fn create(handles: web::Data<Handles>, website: Website, throttle: Throttle, request: HttpRequest) -> ApiResult<HttpResponse> {
    let visitor = Visitor::find_or_create(&handles, &throttle, &website, token(&request).as_deref()).await?;
    let mut contact = visitor.shown(&handles).await?;
    set(&mut contact, "pubsub_token", visitor.identity.pubsub_token.clone().into());
    let mut config = in_snake_case(&channel(&handles, &website));
    set(&mut config, "api_host", handles.tools.public_url.clone().into());
    set(&mut config, "auth_token", visitor.token.clone().into());
    Ok(HttpResponse::Ok().json(json!({ "website_channel_config": config, "contact": contact, "global_config": global() })))
}

/// The settings as the page has them in `chatwootWebChannel`.
pub fn channel(handles: &Handles, website: &Website) -> Value {
    let (row, settings) = (&website.inbox.row, website.settings());
    let bot = row.agent_bot_id.and_then(|id| handles.catalog.now().bot(id).map(|bot| bot.row.name.clone()));
    json!({
        "allowMessagesAfterResolved": row.allow_messages_after_resolved,
        "avatarUrl": website.inbox.avatar_url,
        "csatSurveyEnabled": row.csat_survey_enabled,
        "disableBranding": false,
        "enabledFeatures": settings.selected_feature_flags,
        "enabledLanguages": LANGUAGES.iter().map(|(name, code)| json!({ "name": name, "iso_639_1_code": code })).collect::<Vec<_>>(),
        "hasAConnectedAgentBot": bot,
        "locale": website.inbox.locale(),
        "outOfOfficeMessage": row.out_of_office_message,
        "portal": null,
        "preChatFormEnabled": settings.pre_chat_form_enabled,
        "preChatFormOptions": settings.pre_chat_form_options,
        "replyTime": settings.reply_time,
        "timezone": row.timezone,
        "utcOffset": utc_offset(&row.timezone),
        "websiteName": row.name,
        "websiteToken": row.identifier,
        "welcomeTagline": settings.welcome_tagline,
        "welcomeTitle": settings.welcome_title,
        "widgetColor": settings.widget_color,
        "workingHours": row.working_hours,
        "workingHoursEnabled": row.working_hours_enabled,
    })
}

/// What is the same in every inbox.
pub fn global() -> Value {
    json!({ "BRAND_NAME": "Konversio", "INSTALLATION_NAME": "Konversio", "DIRECT_UPLOADS_ENABLED": false })
}

/// The names of the other spelling: `widgetColor` → `widget_color`.
fn in_snake_case(channel: &Value) -> Value {
    let renamed = |name: &str| match name {
        // The contract's word.
        "utcOffset" => "utc_off_set".to_owned(),
        name => name.chars().fold(String::new(), |mut snake, letter| {
            if letter.is_ascii_uppercase() {
                snake.push('_');
            }
            snake.push(letter.to_ascii_lowercase());
            snake
        }),
    };
    let shown = channel.as_object().into_iter().flatten().map(|(name, value)| (renamed(name), value.clone()));
    Value::Object(shown.filter(|(name, _)| name != "has_a_connected_agent_bot").collect())
}

/// Such as `+05:30`, now.
fn utc_offset(timezone: &str) -> String {
    let zone: chrono_tz::Tz = timezone.parse().unwrap_or(chrono_tz::Tz::UTC);
    zone.offset_from_utc_datetime(&entity::now().naive_utc()).fix().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_say_the_same() {
        let channel = json!({ "widgetColor": "#fff", "utcOffset": "+00:00", "replyTime": 1, "hasAConnectedAgentBot": null });
        assert_eq!(in_snake_case(&channel), json!({ "widget_color": "#fff", "utc_off_set": "+00:00", "reply_time": 1 }));
        assert_eq!((utc_offset("Asia/Kolkata"), utc_offset("nowhere")), ("+05:30".to_owned(), "+00:00".to_owned()));
    }
}
