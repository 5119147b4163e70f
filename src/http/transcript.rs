//! A conversation as a mail, to whomever an agent names.
use super::auth::Agent;
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::scope::{Found, find};
use super::{fields, views};
use actix_web::{HttpResponse, web};
use actors::event::MessageView;
use actors::mailer::{Headers, Mail};
use actors::message::Sender;
use actors::system::Handles;
use entity::message::{self, MessageType};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Deserialize;
use utoipa::ToSchema;

/// The most messages of a transcript, the latest.
const LIMIT: u64 = 1000;

/// To whom.
#[derive(Deserialize, ToSchema)]
pub struct TranscriptFields {
    #[serde(default, deserialize_with = "fields::text")]
    email: Option<String>,
}

impl Request for TranscriptFields {}

/// Sends what was said, without notes, by mail.
#[utoipa::path(post, path = "", tag = "Conversations", request_body = TranscriptFields, responses((status = 200, description = "it will be sent"), (status = 422, description = "no address, or no mail relay")))]
pub async fn create(
    handles: web::Data<Handles>,
    agent: Agent,
    path: web::Path<(i64, i64)>,
    body: Body<TranscriptFields>,
) -> ApiResult<HttpResponse> {
    let found = find(&handles, &agent, path.1).await?;
    send(&handles, &found, path.1, body.value.email.as_deref().unwrap_or_default()).await?;
    Ok(HttpResponse::Ok().finish())
}

/// Refuses what would be mailed where there is no relay.
///
/// # Errors
/// 422.
pub fn check_relay(handles: &Handles) -> ApiResult<()> {
    match handles.mailer.has_relay() {
        true => Ok(()),
        false => Err(ApiError::unprocessable("No mail can be sent: the settings name no mail relay ([mail] host)")),
    }
}

/// Stores the mail; the mailer does the rest.
///
/// # Errors
/// 422 for what is no address, and where there is no relay.
pub async fn send(handles: &Handles, found: &Found, display_id: i64, email: &str) -> ApiResult<()> {
    let recipient = fields::email_address(email).ok_or_else(|| ApiError::invalid("email", "email is no e-mail address"))?;
    check_relay(handles)?;
    let mut rows = message::Entity::find()
        .filter(message::Column::ConversationId.eq(found.address.conversation_id))
        .filter(message::Column::Private.eq(false))
        .filter(message::Column::MessageType.ne(MessageType::Activity))
        .order_by_desc(message::Column::Id)
        .limit(LIMIT)
        .all(&handles.db.read)
        .await?;
    rows.reverse();
    let last = rows.last().map_or(0, |row| row.id);
    let said = views::messages(handles, rows).await?;
    let inbox = &found.inbox;
    let mail = Mail {
        account_id: inbox.row.account_id,
        // The same transcript again within a minute is a double click.
        key: format!("transcript/{}/{last}/{recipient}/{}", found.address.conversation_id, entity::now().timestamp() / 60),
        subject: format!("[#{display_id}] Conversation with {}", inbox.row.business_name.as_deref().unwrap_or(&inbox.row.name)),
        body: said.iter().map(|view| line(handles, view)).collect::<Vec<_>>().join("\n\n"),
        recipient,
        headers: Headers::default(),
    };
    handles.mailer.queue(&handles.db.write, mail).await?;
    handles.mailer.ring();
    Ok(())
}

/// `2026-06-17 12:00 UTC, Ada: hello`, and the addresses of files.
fn line(handles: &Handles, view: &MessageView) -> String {
    let who = match &view.sender {
        Some(Sender::User(user)) => user.available_name.as_str(),
        Some(Sender::Bot(bot)) => bot.name.as_str(),
        Some(Sender::Contact(contact)) => contact.name.as_str(),
        None => "Support",
    };
    let at = view.message.created_at.format("%Y-%m-%d %H:%M UTC");
    let mut text = format!("{at}, {who}: {}", view.message.content.as_deref().unwrap_or_default());
    for attachment in &view.attachments {
        let shown = handles.wire.attachment(attachment);
        if let Some(address) = shown.get("data_url").and_then(serde_json::Value::as_str) {
            text.push_str("\n  ");
            text.push_str(address);
        }
    }
    text
}
