//! Messages of a conversation: read, written, taken back, tried again.
use super::ask::tell;
use super::auth::Agent;
use super::body::{Body, Request, UploadedFile};
use super::error::{ApiError, ApiResult};
use super::idempotency::Claim;
use super::query::Query;
use super::scope::{Found, find};
use super::worker::{Sees, Worker};
use super::{direct_uploads, fields, message_items, message_pages, render, views};
use actix_web::{HttpResponse, web};
use actors::conversation::rules::{ATTACHMENTS_LIMIT, CONTENT_LIMIT};
use actors::conversation::{Command, Draft, Incoming, Outcome, Say, Target};
use actors::message::{Assignee, Sender};
use actors::store::NewFile;
use actors::system::Handles;
use actors::wire::{VOICE_MESSAGE, iso_or_null, set};
use entity::message::{self, MessageStatus, MessageType};
use entity::{attachment, blob, conversation, message as rows};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

/// A message as it is written.
#[derive(Default, Deserialize, ToSchema)]
pub struct MessageFields {
    #[serde(default, deserialize_with = "fields::text")]
    content: Option<String>,
    /// `outgoing`, or `incoming` in API inboxes.
    #[serde(default, deserialize_with = "fields::text")]
    message_type: Option<String>,
    #[serde(default, deserialize_with = "fields::flag")]
    private: Option<bool>,
    #[serde(default, deserialize_with = "fields::text")]
    content_type: Option<String>,
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Option<Object>)]
    content_attributes: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Option<Object>)]
    additional_attributes: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "fields::text")]
    echo_id: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    source_id: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    cc_emails: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    bcc_emails: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    to_emails: Option<String>,
    /// The HTML of a mail, where `content` is its text.
    #[serde(default, deserialize_with = "fields::text")]
    email_html_content: Option<String>,
    /// A provider's template: name, category, language, processed_params.
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Option<Object>)]
    template_params: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "fields::text")]
    campaign_id: Option<String>,
    /// When it was said elsewhere.
    external_created_at: Option<Value>,
    /// Signed ids of files that were uploaded before.
    #[serde(default, deserialize_with = "fields::texts")]
    attachments: Vec<String>,
    /// Its sound was spoken as a message.
    #[serde(default, deserialize_with = "fields::flag")]
    is_voice_message: Option<bool>,
    /// `AgentBot` with `sender_id`: says it in the name of a bot.
    #[serde(default, deserialize_with = "fields::text")]
    sender_type: Option<String>,
    #[serde(default, deserialize_with = "fields::optional_id")]
    sender_id: Option<i64>,
}

impl Request for MessageFields {
    const ENVELOPE: Option<&'static str> = Some("message");
}

/// The contract's content types (section 0, Enums).
const CONTENT_TYPES: &[&str] = &[
    "text",
    "input_text",
    "input_textarea",
    "input_email",
    "input_select",
    "cards",
    "form",
    "article",
    "incoming_email",
    "input_csat",
    "integrations",
    "sticker",
    "voice_call",
];

/// Which messages are listed.
#[derive(Deserialize, IntoParams)]
pub struct ListQuery {
    /// Only with smaller ids.
    #[serde(default, deserialize_with = "fields::optional_id")]
    before: Option<i64>,
    /// Only with larger ids; with `before` also this one.
    #[serde(default, deserialize_with = "fields::optional_id")]
    after: Option<i64>,
    /// Leaves out notes and activities.
    #[serde(default, deserialize_with = "fields::flag")]
    filter_internal_messages: Option<bool>,
}

/// Messages, oldest first: the last 20, 20 before an id, 100 after one, or up to 1000 between two.
#[utoipa::path(get, path = "", tag = "Messages", params(ListQuery), responses((status = 200, description = "meta, payload: messages")))]
pub async fn list(
    handles: web::Data<Handles>,
    agent: Agent,
    path: web::Path<(i64, i64)>,
    Query(query): Query<ListQuery>,
) -> ApiResult<HttpResponse> {
    let found = find(&handles, &agent, path.1).await?;
    let db = &handles.db.read;
    let of_conversation = rows::Entity::find().filter(message::Column::ConversationId.eq(found.address.conversation_id));
    let of_conversation = match query.filter_internal_messages {
        Some(true) => {
            of_conversation.filter(message::Column::Private.eq(false)).filter(message::Column::MessageType.ne(MessageType::Activity))
        }
        _ => of_conversation,
    };
    let rows = match (query.before, query.after) {
        (Some(before), Some(after)) => {
            let between = of_conversation.filter(message::Column::Id.gte(after)).filter(message::Column::Id.lt(before));
            between.order_by_asc(message::Column::Id).limit(1000).all(db).await?
        }
        (None, Some(after)) => {
            of_conversation.filter(message::Column::Id.gt(after)).order_by_asc(message::Column::Id).limit(100).all(db).await?
        }
        (before, None) => message_pages::before(&handles.db, of_conversation, before).await?,
    };
    let row = conversation::Entity::find_by_id(found.address.conversation_id).one(db).await?.ok_or_else(ApiError::not_found)?;
    let shown = views::messages(&handles, rows).await?;
    let payload: Vec<Value> = shown.iter().map(|view| render::message(&handles, view, path.1)).collect();
    let contacts = views::contacts(&handles, std::iter::once(row.contact_id)).await?;
    let mut meta = json!({
        "labels": row.labels,
        "additional_attributes": row.additional_attributes,
        "contact": contacts.get(&row.contact_id).map(|contact| handles.wire.contact(contact)),
        "agent_last_seen_at": iso_or_null(row.agent_last_seen_at),
        "assignee_last_seen_at": iso_or_null(row.assignee_last_seen_at),
    });
    if let Some(assignee) = handles.catalog.now().assignee(&row) {
        let shown = match &assignee {
            Assignee::User(user) => handles.wire.user(user, agent.account.id),
            Assignee::Bot(bot) => handles.wire.bot(bot),
        };
        set(&mut meta, "assignee", shown);
    }
    Ok(HttpResponse::Ok().json(json!({ "meta": meta, "payload": payload })))
}

/// Writes a message to the contact, a note, or (API inboxes) what the contact wrote.
#[utoipa::path(post, path = "", tag = "Messages", request_body = MessageFields, responses((status = 200, description = "the message"), (status = 422, description = "a field is wrong, or the rules forbid it")))]
pub async fn create(
    handles: web::Data<Handles>,
    worker: Worker,
    path: web::Path<(i64, i64)>,
    claim: Claim,
    body: Body<MessageFields>,
) -> ApiResult<HttpResponse> {
    let Found { address, inbox } = find(&handles, &worker, path.1).await?;
    if let Some(made) = claim.made {
        return answer(&handles, address.conversation_id, made, path.1).await;
    }
    let fields = body.value;
    let command = match fields.message_type.as_deref() {
        None | Some("outgoing" | "") => {
            let sender = sender(&handles, &worker, &fields)?;
            let mut draft = draft(&handles, &worker, fields, body.files).await?;
            refer(&handles, address.conversation_id, &mut draft).await?;
            Command::Say(Box::new(Say { conversation_id: address.conversation_id, sender, draft, claim: claim.id }))
        }
        Some("incoming") if inbox.settings.kind() == "api" => {
            let mut draft = draft(&handles, &worker, fields, body.files).await?;
            refer(&handles, address.conversation_id, &mut draft).await?;
            Command::Deliver(Box::new(incoming(draft, address.conversation_id, claim.id)))
        }
        Some("incoming") => return Err(ApiError::unprocessable("Incoming messages are only allowed in Api inboxes")),
        Some(other) => return Err(ApiError::invalid("message_type", format!("message_type: \"{other}\" is none of outgoing, incoming"))),
    };
    let recorded = tell(&handles, address.key, command).await?;
    let view = recorded.messages.first().ok_or_else(|| ApiError::failed("a message was stored and is not there"))?;
    Ok(HttpResponse::Ok().json(render::message(&handles, view, path.1)))
}

/// Who says it: the caller, or a bot that it names.
fn sender(handles: &Handles, worker: &Worker, fields: &MessageFields) -> ApiResult<Sender> {
    let Some(id) = fields.sender_id.filter(|_| fields.sender_type.as_deref() == Some("AgentBot")) else {
        return Ok(worker.sender());
    };
    let bot = handles.catalog.now().bot(id).filter(|bot| bot.serves(worker.account_id())).map(|bot| bot.card());
    bot.map(Sender::Bot).ok_or_else(|| ApiError::invalid("sender_id", format!("sender_id: there is no bot {id}")))
}

/// Adds to the id of the message that a draft answers the provider's, or the other way round; what is no message of the
/// conversation is not answered.
///
/// # Errors
/// If the database fails.
pub async fn refer(handles: &Handles, conversation_id: i64, draft: &mut Draft) -> ApiResult<()> {
    let given = draft.content_attributes.remove("in_reply_to");
    let id = match &given {
        Some(Value::String(text)) => text.parse().ok(),
        other => other.as_ref().and_then(Value::as_i64),
    };
    let external = draft.content_attributes.get("in_reply_to_external_id").and_then(Value::as_str);
    let answered = rows::Entity::find().filter(message::Column::ConversationId.eq(conversation_id));
    let answered = match (id, external) {
        (Some(id), _) => answered.filter(message::Column::Id.eq(id)),
        (None, Some(external)) => answered.filter(message::Column::SourceId.eq(external)),
        (None, None) => return Ok(()),
    };
    if let Some(answered) = answered.one(&handles.db.read).await? {
        draft.content_attributes.insert("in_reply_to".into(), answered.id.into());
        if let Some(source_id) = answered.source_id {
            draft.content_attributes.insert("in_reply_to_external_id".into(), source_id.into());
        }
    }
    Ok(())
}

/// A message of the contact, from what its system posts.
pub fn incoming(draft: Draft, conversation_id: i64, claim: Option<i64>) -> Incoming {
    Incoming {
        target: Target::Given(conversation_id),
        provider_id: draft.source_id,
        content: draft.content,
        content_type: draft.content_type,
        content_attributes: draft.content_attributes,
        files: draft.files,
        echo_id: draft.echo_id,
        claim,
        ..Incoming::default()
    }
}

/// What a request asks to be said.
///
/// # Errors
/// 422 naming the field.
pub async fn draft(handles: &Handles, worker: &Worker, mut fields: MessageFields, files: Vec<UploadedFile>) -> ApiResult<Draft> {
    let mut named = direct_uploads::named(handles, worker.account_id(), &std::mem::take(&mut fields.attachments)).await?;
    named.extend(uploaded(files, worker.user_id()));
    draft_of(fields, named)
}

/// Files that came with a request.
pub fn uploaded(files: Vec<UploadedFile>, uploader_id: Option<i64>) -> impl Iterator<Item = NewFile> {
    files.into_iter().map(move |file| NewFile { stored: file.keep(), uploader_id, blob_id: None })
}

/// How many files a request may bring.
///
/// # Errors
/// 422.
pub fn check_number(files: usize) -> ApiResult<()> {
    match files > ATTACHMENTS_LIMIT {
        true => Err(ApiError::invalid("attachments", format!("A message takes at most {ATTACHMENTS_LIMIT} attachments"))),
        false => Ok(()),
    }
}

/// What a request asks to be said, its files found already.
///
/// # Errors
/// 422 naming the field.
pub fn draft_of(fields: MessageFields, files: Vec<NewFile>) -> ApiResult<Draft> {
    let content_type = fields.content_type.filter(|kind| !kind.is_empty()).unwrap_or_else(|| "text".into());
    if !CONTENT_TYPES.contains(&content_type.as_str()) {
        return Err(ApiError::invalid("content_type", format!("content_type: \"{content_type}\" is none of {}", CONTENT_TYPES.join(", "))));
    }
    if fields.content.as_deref().is_some_and(|content| content.chars().count() > CONTENT_LIMIT) {
        return Err(ApiError::invalid("content", format!("Content is too long (maximum is {CONTENT_LIMIT} characters)")));
    }
    check_number(files.len())?;
    if fields.source_id.as_deref().is_some_and(|id| id.chars().count() > 1000) {
        return Err(ApiError::invalid("source_id", "source_id is longer than 1000 characters"));
    }
    let mut content_attributes = fields.content_attributes.unwrap_or_default();
    message_items::check(&content_type, &content_attributes)?;
    if let Some(time) = fields.external_created_at.filter(|time| !time.is_null()) {
        content_attributes.insert("external_created_at".into(), time);
    }
    if let Some(html) = fields.email_html_content.filter(|html| !html.is_empty()) {
        let html = actors::channel::email::sanitized(&html);
        content_attributes.insert("email".into(), json!({ "html_content": { "full": html, "reply": html } }));
    }
    let mut additional_attributes = fields.additional_attributes.unwrap_or_default();
    if fields.is_voice_message == Some(true) {
        additional_attributes.insert(VOICE_MESSAGE.into(), true.into());
    }
    if let Some(template) = fields.template_params {
        additional_attributes.insert("template_params".into(), Value::Object(template));
    }
    if let Some(campaign_id) = fields.campaign_id.filter(|id| !id.is_empty()) {
        additional_attributes.insert("campaign_id".into(), campaign_id.into());
    }
    for (name, list) in [("cc_emails", fields.cc_emails), ("bcc_emails", fields.bcc_emails), ("to_emails", fields.to_emails)] {
        let addresses = addresses(name, list.as_deref().unwrap_or_default())?;
        if !addresses.is_empty() {
            content_attributes.insert(name.to_owned(), json!(addresses));
        }
    }
    Ok(Draft {
        content: fields.content,
        content_type,
        content_attributes,
        additional_attributes,
        private: fields.private.unwrap_or(false),
        files,
        echo_id: fields.echo_id,
        source_id: fields.source_id.filter(|id| !id.is_empty()),
    })
}

/// E-mail addresses between commas.
fn addresses(field: &str, list: &str) -> ApiResult<Vec<String>> {
    let one = |text: &str| {
        fields::email_address(text).ok_or_else(|| ApiError::invalid(field, format!("{field}: \"{text}\" is no e-mail address")))
    };
    list.split(',').map(str::trim).filter(|text| !text.is_empty()).map(one).collect()
}

/// How far a message came, as the customer's system reports it; or what it says from now on.
#[derive(Deserialize, ToSchema)]
pub struct MessageReport {
    /// `sent`, `delivered`, `read` or `failed`; for API inboxes.
    #[schema(value_type = Option<String>)]
    status: Option<MessageStatus>,
    /// Another text, where the channel can change what was sent.
    #[serde(default, deserialize_with = "fields::text")]
    content: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    external_error: Option<String>,
}

impl Request for MessageReport {}

/// Notes how far a message of an API inbox came (that one which was read was delivered is ignored), or changes what it says.
#[utoipa::path(patch, path = "", tag = "Messages", request_body = MessageReport, responses((status = 200, description = "the message"), (status = 403, description = "status: not an API inbox"), (status = 422, description = "a field is wrong, or the channel cannot change messages")))]
pub async fn update(
    handles: web::Data<Handles>,
    agent: Agent,
    path: web::Path<(i64, i64, i64)>,
    body: Body<MessageReport>,
) -> ApiResult<HttpResponse> {
    let found = find(&handles, &agent, path.1).await?;
    let of_conversation = rows::Entity::find_by_id(path.2).filter(message::Column::ConversationId.eq(found.address.conversation_id));
    of_conversation.one(&handles.db.read).await?.ok_or_else(ApiError::not_found)?;
    let MessageReport { status, content, external_error } = body.value;
    if let Some(content) = content {
        if status.is_some() {
            return Err(ApiError::invalid("content", "content and status are changed one at a time"));
        }
        return settle(&handles, found, path.2, Outcome::Edit(content, agent.card()), path.1).await;
    }
    if found.inbox.settings.kind() != "api" {
        return Err(ApiError::forbidden("Message status can only be reported for Api inboxes"));
    }
    let status = status.filter(|status| *status != MessageStatus::Queued);
    let status = status.ok_or_else(|| ApiError::invalid("status", "status must be one of sent, delivered, read, failed"))?;
    settle(&handles, found, path.2, Outcome::Reported(status, external_error, agent.card()), path.1).await
}

/// Sends a message once more, whether it failed or not; its attributes are cleared.
#[utoipa::path(post, path = "", tag = "Messages", responses((status = 200, description = "the message"), (status = 422, description = "it was not written to the contact")))]
pub async fn retry(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64, i64)>) -> ApiResult<HttpResponse> {
    let found = find(&handles, &agent, path.1).await?;
    settle(&handles, found, path.2, Outcome::Retry(agent.card()), path.1).await
}

/// Into which language.
#[derive(Deserialize, ToSchema)]
pub struct Translation {
    /// Such as `en` or `pt_BR`.
    #[serde(default, deserialize_with = "fields::text")]
    target_language: Option<String>,
}

impl Request for Translation {}

/// A translation that is stored with the message; nothing here makes new ones.
#[utoipa::path(post, path = "", tag = "Messages", request_body = Translation, responses((status = 200, description = "content"), (status = 403, description = "there is no translator"), (status = 422, description = "target_language is missing")))]
pub async fn translate(
    handles: web::Data<Handles>,
    agent: Agent,
    path: web::Path<(i64, i64, i64)>,
    body: Body<Translation>,
) -> ApiResult<HttpResponse> {
    let found = find(&handles, &agent, path.1).await?;
    let row = rows::Entity::find_by_id(path.2).filter(message::Column::ConversationId.eq(found.address.conversation_id));
    let row = row.one(&handles.db.read).await?.ok_or_else(ApiError::not_found)?;
    let language = body.value.target_language.filter(|language| !language.trim().is_empty());
    let language = language.ok_or_else(|| ApiError::invalid("target_language", "target_language is missing"))?;
    let stored = row.content_attributes.get("translations").and_then(|translations| translations.get(language.trim()));
    match stored.and_then(Value::as_str) {
        Some(content) => Ok(HttpResponse::Ok().json(json!({ "content": content }))),
        None => Err(ApiError::forbidden("Messages are not translated here: this version has no integration with a translator")),
    }
}

/// Takes a message back: what it said is gone.
#[utoipa::path(delete, path = "", tag = "Messages", responses((status = 200, description = "what is left of the message")))]
pub async fn remove(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64, i64)>) -> ApiResult<HttpResponse> {
    let found = find(&handles, &agent, path.1).await?;
    let carried = attachment::Entity::find().filter(attachment::Column::MessageId.eq(path.2)).all(&handles.db.read).await?;
    let answer = settle(&handles, found, path.2, Outcome::Delete(agent.card()), path.1).await?;
    let keys: Vec<&str> = carried.iter().filter_map(|attachment| attachment.meta.get("key").and_then(Value::as_str)).collect();
    // An uploaded file may go with several messages.
    let used = blob::Entity::find().filter(blob::Column::Key.is_in(keys.iter().copied())).all(&handles.db.read).await?;
    for key in keys.into_iter().filter(|key| !used.iter().any(|blob| blob.key == *key)) {
        // No address leads to it any more, so the message is gone even if this fails.
        if let Err(error) = handles.files.delete(key).await {
            tracing::warn!(message.id = path.2, %error, "removing the file of a message that was taken back");
        }
    }
    Ok(answer)
}

async fn settle(handles: &Handles, found: Found, message_id: i64, outcome: Outcome, display_id: i64) -> ApiResult<HttpResponse> {
    let conversation_id = found.address.conversation_id;
    tell(handles, found.address.key, Command::Settle { conversation_id, message_id, outcome }).await?;
    answer(handles, conversation_id, message_id, display_id).await
}

async fn answer(handles: &Handles, conversation_id: i64, message_id: i64, display_id: i64) -> ApiResult<HttpResponse> {
    let row =
        rows::Entity::find_by_id(message_id).filter(message::Column::ConversationId.eq(conversation_id)).one(&handles.db.read).await?;
    let view = views::messages(handles, vec![row.ok_or_else(ApiError::not_found)?]).await?.pop().ok_or_else(ApiError::not_found)?;
    Ok(HttpResponse::Ok().json(render::message(handles, &view, display_id)))
}
