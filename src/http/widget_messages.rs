//! What visitors of a website read, write, and answer where they are asked (contract, section 6.4, `messages`).
use super::ask::tell;
use super::body::{Body, Request, UploadedFile, parse};
use super::client::ClientContact;
use super::client_messages::{email_among, public, shown_message as public_message, submitted};
use super::contacts::check_attributes;
use super::error::{ApiError, ApiResult};
use super::idempotency::Claim;
use super::visitors::{OwnConversation, Visitor};
use super::widget_contacts::check_growth;
use super::widget_conversations::defined;
use super::{fields, message_pages, messages, scope, views, visitor_files};
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use actors::addresses::Address;
use actors::channel::web_widget::Feature;
use actors::conversation::rules::CONTENT_LIMIT;
use actors::conversation::{Command, Draft, Incoming, Outcome, Target};
use actors::event::MessageView;
use actors::system::Handles;
use actors::wire::{epoch_or_zero, hide_contact, set};
use entity::conversation::{self, Status};
use entity::message;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

/// How many messages are listed after an id.
const AFTER: u64 = 100;
/// The longest address of a page on which a visitor wrote.
const REFERRER_LIMIT: usize = 2048;

/// Which messages.
#[derive(Deserialize, IntoParams)]
pub struct WidgetMessagesQuery {
    /// Of which conversation; the latest one without.
    conversation_id: Option<i64>,
    /// Only with smaller ids.
    before: Option<i64>,
    /// Only with larger ids.
    after: Option<i64>,
}

/// Messages of a conversation that the visitor may see, oldest first.
#[utoipa::path(get, path = "", tag = "Widget", params(WidgetMessagesQuery), responses((status = 200, description = "payload: messages, meta: contact_last_seen_at")))]
pub async fn list(handles: web::Data<Handles>, visitor: Visitor, query: web::Query<WidgetMessagesQuery>) -> ApiResult<HttpResponse> {
    let Some(own) = visitor.conversation(&handles, query.conversation_id).await? else {
        return Ok(HttpResponse::Ok().json(json!({ "payload": [], "meta": {} })));
    };
    let payload = page(&handles, &own.row, query.before, query.after).await?;
    let seen = json!({ "contact_last_seen_at": epoch_or_zero(own.row.contact_last_seen_at) });
    Ok(HttpResponse::Ok().json(json!({ "payload": payload, "meta": seen })))
}

/// A page of a conversation as its visitor sees it.
///
/// # Errors
/// If the database fails.
pub async fn page(handles: &Handles, conversation: &conversation::Model, before: Option<i64>, after: Option<i64>) -> ApiResult<Value> {
    let all = public(conversation.id);
    let rows = match after {
        Some(after) => {
            let mut later = all.filter(message::Column::Id.gt(after));
            if let Some(before) = before {
                later = later.filter(message::Column::Id.lt(before));
            }
            later.order_by_asc(message::Column::Id).limit(AFTER).all(&handles.db.read).await?
        }
        None => message_pages::before(&handles.db, all, before).await?,
    };
    let shown = views::messages(handles, rows).await?;
    Ok(shown.iter().map(|view| shown_message(handles, view, conversation.display_id)).collect())
}

/// A message as the visitor sees it.
pub fn shown_message(handles: &Handles, view: &MessageView, display_id: i64) -> Value {
    let mut shown = public_message(handles, view, display_id);
    hide_contact(&mut shown);
    shown
}

/// What a visitor writes. Files come along in a multipart body.
#[derive(Deserialize, ToSchema)]
pub struct WidgetMessage {
    #[serde(default, deserialize_with = "fields::text")]
    content: Option<String>,
    /// The id of the message that it answers.
    #[serde(default, deserialize_with = "fields::optional_id")]
    reply_to: Option<i64>,
    /// When, by the visitor's clock: kept with a conversation that it opens.
    #[serde(default, deserialize_with = "fields::text")]
    timestamp: Option<String>,
    /// On which page: kept with a conversation that it opens.
    #[serde(default, deserialize_with = "fields::text")]
    referer_url: Option<String>,
    /// The page's own id of the message, given back to it.
    #[serde(default, deserialize_with = "fields::text")]
    echo_id: Option<String>,
    /// Signed ids of files that were uploaded before.
    #[serde(default, deserialize_with = "fields::texts")]
    attachments: Vec<String>,
}

impl WidgetMessage {
    /// Whether there is anything in it.
    pub fn says_something(&self) -> bool {
        self.content.as_deref().is_some_and(|content| !content.trim().is_empty()) || !self.attachments.is_empty()
    }
}

/// A visitor's message that may be taken.
pub struct Said {
    draft: Draft,
    reply_to: Option<i64>,
    timestamp: Option<String>,
    referrer: Option<String>,
}

/// Where it is taken to.
#[derive(Default)]
pub struct Destination {
    /// To which conversation.
    pub target: Target,
    /// Of a conversation that it opens.
    pub custom_attributes: Map<String, Value>,
    /// Of a conversation that it opens.
    pub labels: Vec<String>,
}

impl Said {
    /// Checks what a visitor writes.
    ///
    /// # Errors
    /// 422 naming the field, 403 for files where the inbox takes none.
    pub async fn new(handles: &Handles, visitor: &Visitor, message: WidgetMessage, files: Vec<UploadedFile>) -> ApiResult<Self> {
        if message.content.as_deref().is_some_and(|content| content.chars().count() > CONTENT_LIMIT) {
            return Err(ApiError::invalid("content", format!("Content is too long (maximum is {CONTENT_LIMIT} characters)")));
        }
        for (name, text, limit) in [
            ("timestamp", &message.timestamp, 100),
            ("echo_id", &message.echo_id, 255),
            ("referer_url", &message.referer_url, REFERRER_LIMIT),
        ] {
            if text.as_deref().is_some_and(|text| text.chars().count() > limit) {
                return Err(ApiError::invalid(name, format!("{name} is longer than {limit} characters")));
            }
        }
        let has_files = !files.is_empty() || message.attachments.iter().any(|id| !id.is_empty());
        if has_files && !visitor.website.settings().offers(Feature::Attachments) {
            return Err(ApiError::forbidden("Visitors cannot send files here (attachments of selected_feature_flags)"));
        }
        let files = visitor_files::taken(handles, visitor.website.inbox.row.account_id, files, &message.attachments).await?;
        let draft = Draft { content: message.content, echo_id: message.echo_id, files, ..Draft::default() };
        Ok(Said { draft, reply_to: message.reply_to, timestamp: message.timestamp, referrer: message.referer_url })
    }

    /// As a message of the contact.
    pub fn incoming(self, request: &HttpRequest, destination: Destination, claim: Option<i64>) -> Incoming {
        Incoming {
            conversation_attributes: origin_of(request, self.timestamp, self.referrer),
            target: destination.target,
            custom_attributes: destination.custom_attributes,
            labels: destination.labels,
            content_type: "text".into(),
            ..messages::incoming(self.draft, 0, claim)
        }
    }
}

/// What is kept with a conversation of the browser in which it began (contract, section 6.4).
pub fn origin_of(request: &HttpRequest, timestamp: Option<String>, referrer: Option<String>) -> Map<String, Value> {
    let text = |name| request.headers().get(name).and_then(|value: &header::HeaderValue| value.to_str().ok()).unwrap_or_default();
    let language = text(header::ACCEPT_LANGUAGE).split([',', ';']).next().unwrap_or_default().trim();
    let agent = woothee::parser::Parser::new().parse(text(header::USER_AGENT));
    let browser = agent.map(|agent| {
        json!({
            "browser_name": agent.name,
            "browser_version": agent.version,
            "device_name": agent.category,
            "platform_name": agent.os,
            "platform_version": agent.os_version,
        })
    });
    let seen = [
        ("browser_language", (!language.is_empty()).then(|| language.chars().take(35).collect::<String>().into())),
        ("browser", browser),
        ("initiated_at", timestamp.map(|timestamp| json!({ "timestamp": timestamp }))),
        ("referer", referrer.filter(|referrer| !referrer.is_empty()).map(Value::from)),
    ];
    seen.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

impl Request for WidgetMessage {
    const ENVELOPE: Option<&'static str> = Some("message");
}

/// What stands beside a message: kept with a conversation that it opens.
#[derive(Deserialize)]
struct Beside {
    #[serde(default, deserialize_with = "fields::object")]
    custom_attributes: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "fields::texts")]
    labels: Vec<String>,
}

/// The visitor writes: in the conversation that is named, or the latest; without one it opens one.
#[utoipa::path(post, path = "", tag = "Widget", params(super::widget_conversations::Which), request_body = WidgetMessage, responses((status = 200, description = "the message"), (status = 422, description = "a field is wrong")))]
pub async fn create(
    handles: web::Data<Handles>,
    visitor: Visitor,
    request: HttpRequest,
    which: web::Query<super::widget_conversations::Which>,
    claim: Claim,
    body: Body<WidgetMessage>,
) -> ApiResult<HttpResponse> {
    if let Some(made) = claim.made {
        let row = message::Entity::find_by_id(made).one(&handles.db.read).await?.ok_or_else(ApiError::not_found)?;
        let of = conversation::Entity::find_by_id(row.conversation_id).one(&handles.db.read).await?.ok_or_else(ApiError::not_found)?;
        let view = views::messages(&handles, vec![row]).await?.pop().ok_or_else(ApiError::not_found)?;
        return Ok(HttpResponse::Ok().json(answered(&handles, &view, of.display_id)));
    }
    let Beside { custom_attributes, labels } = parse(&body.object)?;
    check_attributes("custom_attributes", custom_attributes.as_ref())?;
    check_growth(&Value::Null, custom_attributes.as_ref().unwrap_or(&Map::new()))?;
    let labels = defined(&handles, visitor.website.inbox.row.account_id, &labels).await?;
    let goes_on = goes_on(&handles, &visitor, which.conversation_id).await?;
    let mut said = Said::new(&handles, &visitor, body.value, body.files).await?;
    let (key, target) = match goes_on {
        Some(Address { conversation_id, key }) => {
            said.draft.content_attributes.extend(said.reply_to.map(|id| ("in_reply_to".to_owned(), id.into())));
            messages::refer(&handles, conversation_id, &mut said.draft).await?;
            (key, Target::Given(conversation_id))
        }
        None => (visitor.key(), Target::Latest),
    };
    let destination = Destination { target, custom_attributes: custom_attributes.unwrap_or_default(), labels };
    let incoming = said.incoming(&request, destination, claim.id);
    let recorded = tell(&handles, key, Command::Deliver(Box::new(incoming))).await?;
    let (Some(view), Some(of)) = (recorded.messages.first(), &recorded.conversation) else {
        return Err(ApiError::failed("a message was stored and is not there"));
    };
    Ok(HttpResponse::Ok().json(answered(&handles, view, of.display_id)))
}

/// The conversation that a message goes on with: the one that is named, or the latest; none where that is over.
async fn goes_on(handles: &Handles, visitor: &Visitor, display_id: Option<i64>) -> ApiResult<Option<Address>> {
    let inbox = &visitor.website.inbox.row;
    let goes_on_resolved = inbox.allow_messages_after_resolved || inbox.lock_to_single_conversation;
    if let Some(display_id) = display_id.filter(|_| goes_on_resolved) {
        // Of its own address, nothing needs to be read.
        let address = scope::address(handles, inbox.account_id, display_id).await?;
        if address.key == visitor.key() {
            return Ok(Some(address));
        }
    }
    let own = visitor.conversation(handles, display_id).await?;
    let own = own.filter(|own| goes_on_resolved || own.row.status != Status::Resolved);
    Ok(own.map(|OwnConversation { row, key }| Address { conversation_id: row.id, key }))
}

fn answered(handles: &Handles, view: &MessageView, display_id: i64) -> Value {
    let (mut shown, row) = (shown_message(handles, view, display_id), &view.message);
    for (name, value) in [("inbox_id", json!(row.inbox_id)), ("private", json!(row.private)), ("source_id", json!(row.source_id))] {
        set(&mut shown, name, value);
    }
    shown
}

/// What a visitor chooses or fills in.
#[derive(Deserialize, ToSchema)]
pub struct WidgetAnswer {
    #[serde(default)]
    contact: Option<ClientContact>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    message: Option<Value>,
}

impl Request for WidgetAnswer {}

/// Keeps what the visitor has chosen or filled in with the message that asks for it.
#[utoipa::path(patch, path = "", tag = "Widget", request_body = WidgetAnswer, responses((status = 200, description = "the message"), (status = 404, description = "no such message"), (status = 422, description = "the message asks for nothing, or a value is wrong")))]
pub async fn answer(
    handles: web::Data<Handles>,
    visitor: Visitor,
    path: web::Path<i64>,
    body: Body<WidgetAnswer>,
) -> ApiResult<HttpResponse> {
    let asking = message::Entity::find_by_id(*path).filter(message::Column::InboxId.eq(visitor.website.inbox.row.id));
    let asking = asking.one(&handles.db.read).await?.ok_or_else(ApiError::not_found)?;
    let of = conversation::Entity::find_by_id(asking.conversation_id).one(&handles.db.read).await?.ok_or_else(ApiError::not_found)?;
    let OwnConversation { row, key } = visitor.existing(&handles, Some(of.display_id)).await?;
    if public(row.id).filter(message::Column::Id.eq(asking.id)).one(&handles.db.read).await?.is_none() {
        return Err(ApiError::not_found());
    }
    let contact = body.value.contact.map(ClientContact::checked).transpose()?;
    let email = contact.and_then(|contact| contact.update().email.flatten());
    let given = body.value.message.unwrap_or_default();
    let values = match (given.get("submitted_values"), &email) {
        // The contract's widget sends the address beside the message, and nothing in it.
        (None, Some(email)) if asking.content_type == "input_email" => json!([{ "name": "email", "value": email }]),
        (values, _) => submitted(values.cloned(), &given)?,
    };
    let email = email.or_else(|| email_among(&values));
    let command = Command::Settle { conversation_id: row.id, message_id: asking.id, outcome: Outcome::Submitted(values, email) };
    let recorded = tell(&handles, key, command).await?;
    let view = recorded.messages.first().ok_or_else(|| ApiError::failed("a message was changed and is not there"))?;
    Ok(HttpResponse::Ok().json(shown_message(&handles, view, row.display_id)))
}
