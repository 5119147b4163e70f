//! What else a visitor's page asks and tells: who may answer, what may be said to it by itself, and that it was opened.
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::fields;
use super::throttle::{Limit, Throttle};
use super::views;
use super::visitors::Visitor;
use actix_web::{HttpResponse, web};
use actors::event::{AccountCard, Fact, InboxCard, VisitView};
use actors::store::Announcement;
use actors::system::Handles;
use actors::webhooks::destinations;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use utoipa::ToSchema;

/// The most that a page tells of an event, in bytes.
const EVENT_LIMIT: usize = 8 << 10;

/// Those who work in the inbox, and whether they are there.
#[utoipa::path(get, path = "", tag = "Widget", responses((status = 200, description = "payload: id, name, avatar_url, availability_status")))]
pub async fn inbox_members(handles: web::Data<Handles>, visitor: Visitor) -> HttpResponse {
    let (catalog, inbox) = (handles.catalog.now(), &visitor.website.inbox);
    let members = inbox.members.iter().filter_map(|id| catalog.user(*id)).map(|user| {
        json!({
            "id": user.row.id,
            "name": user.row.available_name(),
            "avatar_url": user.avatar_url,
            "availability_status": handles.presence.availability(inbox.row.account_id, user.row.id).name(),
        })
    });
    HttpResponse::Ok().json(json!({ "payload": members.collect::<Vec<_>>() }))
}

/// What is said to visitors by itself: nothing, since this version has no campaigns.
#[utoipa::path(get, path = "", tag = "Widget", responses((status = 200, description = "an empty array")))]
pub async fn campaigns(_: Visitor) -> HttpResponse {
    HttpResponse::Ok().json(json!([]))
}

/// Something that happened in the page.
#[derive(Deserialize, ToSchema)]
pub struct WidgetEvent {
    #[serde(default, deserialize_with = "fields::text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Option<Object>)]
    event_info: Option<Map<String, Value>>,
}

impl Request for WidgetEvent {}

/// Tells webhooks that the chat was opened.
#[utoipa::path(post, path = "", tag = "Widget", request_body = WidgetEvent, responses((status = 204, description = "told"), (status = 422, description = "no such event")))]
pub async fn event(handles: web::Data<Handles>, visitor: Visitor, throttle: Throttle, body: Body<WidgetEvent>) -> ApiResult<HttpResponse> {
    let WidgetEvent { name, event_info } = body.value;
    let event_info = event_info.unwrap_or_default();
    match name.as_deref().unwrap_or_default() {
        "webwidget.triggered" => {}
        "campaign.triggered" => return Ok(HttpResponse::NoContent().finish()),
        other => {
            let words = format!("name: \"{other}\" is none of webwidget.triggered, campaign.triggered");
            return Err(ApiError::invalid("name", words));
        }
    }
    if Value::Object(event_info.clone()).to_string().len() > EVENT_LIMIT {
        return Err(ApiError::invalid("event_info", format!("event_info is larger than {EVENT_LIMIT} bytes")));
    }
    throttle.admit(Limit::Openings, visitor.identity.id)?;
    let inbox = visitor.website.inbox.clone();
    let conversation = match visitor.conversation(&handles, None).await? {
        Some(own) => views::conversations(&handles, vec![own.row]).await?.pop().map(|shown| shown.view),
        None => None,
    };
    let fact = Fact::WidgetTriggered(Box::new(VisitView {
        inbox: InboxCard { id: inbox.row.id, name: inbox.row.name.clone(), channel_type: inbox.settings.channel_type().to_owned() },
        contact: Arc::new(visitor.contact),
        contact_inbox: Arc::new(visitor.identity),
        conversation,
        event_info,
    }));
    // Nothing is stored of what nobody hears of.
    if !destinations(&fact, inbox.row.account_id, &handles.catalog.now()).is_empty() {
        let account = AccountCard { id: inbox.account.id, name: inbox.account.name.clone() };
        Announcement { account, performer: None, fact }.note(&handles.db.write).await?;
        handles.tell_announcements();
    }
    Ok(HttpResponse::NoContent().finish())
}
