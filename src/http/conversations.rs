//! Conversations: opened, listed, resolved, assigned.
use super::ask::tell;
use super::auth::{Administrator, Agent};
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::idempotency::Claim;
use super::inboxes::living;
use super::messages::{self, MessageFields};
use super::scope::{Found, find};
use super::worker::{Sees, Worker, Works};
use super::{audit, contact_presence, contacts, fields, notifications, render, views};
use actix_web::{HttpResponse, web};
use actors::addresses::Address;
use actors::catalog::Inbox;
use actors::conversation::rules::{By, Change};
use actors::conversation::{Act, Command, Open, Step};
use actors::inbox::What;
use actors::message::{Key, TeamCard, UserCard};
use actors::store::Recorded;
use actors::system::Handles;
use actors::wire::iso_or_null;
use chrono::{DateTime, Utc};
use entity::account_user::Role;
use entity::contact_inbox;
use entity::conversation::{self, Priority, Status};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use utoipa::ToSchema;

/// One conversation.
#[utoipa::path(get, path = "", tag = "Conversations", responses((status = 200, description = "the conversation"), (status = 404, description = "no such conversation")))]
pub async fn show(handles: web::Data<Handles>, worker: Worker, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let found = find(&handles, &worker, path.1).await?;
    answer(&handles, found.address.conversation_id).await
}

/// A conversation to be opened.
#[derive(Deserialize, ToSchema)]
pub struct NewConversation {
    #[serde(default, deserialize_with = "fields::text")]
    source_id: Option<String>,
    #[serde(default, deserialize_with = "fields::optional_id")]
    inbox_id: Option<i64>,
    #[serde(default, deserialize_with = "fields::optional_id")]
    contact_id: Option<i64>,
    #[schema(value_type = Option<String>)]
    status: Option<Status>,
    #[serde(default, deserialize_with = "fields::optional_id")]
    assignee_id: Option<i64>,
    #[serde(default, deserialize_with = "fields::optional_id")]
    team_id: Option<i64>,
    #[serde(default, deserialize_with = "fields::time")]
    snoozed_until: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Option<Object>)]
    additional_attributes: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Option<Object>)]
    custom_attributes: Option<Map<String, Value>>,
    message: Option<MessageFields>,
}

impl Request for NewConversation {}

/// Opens a conversation; in an inbox that keeps to a single one, the contact's last is the answer.
#[utoipa::path(post, path = "", tag = "Conversations", request_body = NewConversation, responses((status = 200, description = "the conversation"), (status = 422, description = "a field is wrong")))]
pub async fn create(handles: web::Data<Handles>, worker: Worker, claim: Claim, body: Body<NewConversation>) -> ApiResult<HttpResponse> {
    let new = body.value;
    let (inbox, source_id) = identity(&handles, &worker, &new).await?;
    if let Some(made) = claim.made {
        return answer_made(&handles, &worker, made).await;
    }
    let assignee = match new.assignee_id {
        Some(id) => Some(assignable(&handles, &inbox, id)?.id),
        None => None,
    };
    let team = match new.team_id {
        Some(id) => Some(team(&handles, &worker, id)?.id),
        None => None,
    };
    let first = match new.message {
        Some(message) => Some((worker.sender(), messages::draft(&handles, &worker, message, body.files).await?)),
        None => None,
    };
    contacts::check_attributes("additional_attributes", new.additional_attributes.as_ref())?;
    contacts::check_attributes("custom_attributes", new.custom_attributes.as_ref())?;
    let open = Open {
        by: worker.by(),
        status: new.status,
        snoozed_until: new.snoozed_until,
        assignee_id: assignee,
        team_id: team,
        additional_attributes: new.additional_attributes.unwrap_or_default(),
        custom_attributes: new.custom_attributes.unwrap_or_default(),
        first,
        claim: claim.id,
    };
    let key = Key { inbox_id: inbox.row.id, source_id };
    let recorded = tell(&handles, key, Command::Open(Box::new(open))).await?;
    let conversation = recorded.conversation.ok_or_else(ApiError::not_found)?;
    answer(&handles, conversation.id).await
}

/// A team of the account.
///
/// # Errors
/// 422.
pub fn team(handles: &Handles, caller: &impl Sees, id: i64) -> ApiResult<TeamCard> {
    let team = handles.catalog.now().team(id).filter(|team| team.row.account_id == caller.account_id()).map(|team| team.card());
    team.ok_or_else(|| ApiError::invalid("team_id", format!("team_id: there is no team {id}")))
}

/// In whose name, and in which inbox, a conversation is opened: by source id, or by contact and inbox.
async fn identity(handles: &Handles, caller: &impl Sees, new: &NewConversation) -> ApiResult<(Arc<Inbox>, String)> {
    if let Some(contact_id) = new.contact_id {
        let contact = contacts::of_account(handles, caller, contact_id).await?;
        let inbox_id = new.inbox_id.ok_or_else(|| ApiError::invalid("inbox_id", "inbox_id is missing"))?;
        let inbox = living(caller.visible_inbox(inbox_id)?)?;
        let added = handles.contacts.add_identity(&inbox, contact, new.source_id.clone().filter(|id| !id.is_empty())).await;
        let recorded = added.map_err(contacts::identity_refusal)?;
        let identity = recorded.contact_inbox.ok_or_else(ApiError::not_found)?;
        return Ok((inbox, identity.source_id.clone()));
    }
    let source_id = new.source_id.clone().filter(|id| !id.is_empty());
    let source_id = source_id.ok_or_else(|| ApiError::invalid("source_id", "source_id, or contact_id with inbox_id, is missing"))?;
    let mut found = contact_inbox::Entity::find().filter(contact_inbox::Column::SourceId.eq(&source_id));
    let of_account: Vec<i64> = handles.catalog.now().inboxes_of(caller.account_id()).into_iter().map(|inbox| inbox.row.id).collect();
    found = match new.inbox_id {
        Some(inbox_id) => found.filter(contact_inbox::Column::InboxId.eq(inbox_id)),
        None => found.filter(contact_inbox::Column::InboxId.is_in(of_account)),
    };
    let row = found.one(&handles.db.read).await?.ok_or_else(ApiError::not_found)?;
    Ok((living(caller.visible_inbox(row.inbox_id)?)?, source_id))
}

async fn answer_made(handles: &Handles, caller: &impl Sees, made: i64) -> ApiResult<HttpResponse> {
    let of_account = conversation::Entity::find_by_id(made).filter(conversation::Column::AccountId.eq(caller.account_id()));
    let found = of_account.one(&handles.db.read).await?.ok_or_else(ApiError::not_found)?;
    answer(handles, found.id).await
}

/// A new status.
#[derive(Deserialize, ToSchema)]
pub struct StatusFields {
    #[schema(value_type = Option<String>)]
    status: Option<Status>,
    #[serde(default, deserialize_with = "fields::time")]
    snoozed_until: Option<DateTime<Utc>>,
}

impl Request for StatusFields {}

/// Resolves, reopens, snoozes; without a status, from open to resolved and back. An agent who opens it takes it.
#[utoipa::path(post, path = "", tag = "Conversations", request_body = StatusFields, responses((status = 200, description = "payload: success, conversation_id, current_status")))]
pub async fn toggle_status(
    handles: web::Data<Handles>,
    worker: Worker,
    path: web::Path<(i64, i64)>,
    body: Body<StatusFields>,
) -> ApiResult<HttpResponse> {
    let StatusFields { status, snoozed_until } = body.value;
    let mut changes = vec![Change::Status { status, snoozed_until }];
    if let By::User(user, Role::Agent) = worker.by() {
        changes.push(Change::AssigneeIfOpen(user));
    }
    let found = find(&handles, &worker, path.1).await?;
    let recorded = tell_steps(&handles, &worker, found.address, changes.into_iter().map(Step::Change).collect()).await?;
    let conversation = recorded.conversation.ok_or_else(ApiError::not_found)?;
    Ok(HttpResponse::Ok().json(json!({
        "meta": {},
        "payload": {
            "success": true,
            "conversation_id": conversation.display_id,
            "current_status": conversation.status.name(),
            "snoozed_until": iso_or_null(conversation.snoozed_until),
        },
    })))
}

/// A new priority.
#[derive(Deserialize, ToSchema)]
pub struct PriorityFields {
    #[serde(default, deserialize_with = "priority")]
    #[schema(value_type = Option<String>)]
    priority: Option<Option<Priority>>,
}

impl Request for PriorityFields {}

/// Tells absent (`None`) from none (`Some(None)`).
fn priority<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Priority>>, D::Error> {
    let text = fields::text(deserializer)?.filter(|text| !text.is_empty() && text != "null" && text != "none");
    let parsed = text.map(|text| Priority::deserialize(serde::de::value::StringDeserializer::<D::Error>::new(text)));
    parsed.transpose().map(Some)
}

/// Sets how urgent it is; without a priority it has none.
#[utoipa::path(post, path = "", tag = "Conversations", request_body = PriorityFields, responses((status = 200, description = "set")))]
pub async fn toggle_priority(
    handles: web::Data<Handles>,
    worker: Worker,
    path: web::Path<(i64, i64)>,
    body: Body<PriorityFields>,
) -> ApiResult<HttpResponse> {
    change(&handles, &worker, path.1, Change::Priority(body.value.priority.flatten())).await?;
    Ok(HttpResponse::Ok().finish())
}

/// Sets how urgent it is, and shows it; what is not named stays.
#[utoipa::path(patch, path = "", tag = "Conversations", request_body = PriorityFields, responses((status = 200, description = "the conversation")))]
pub async fn update(
    handles: web::Data<Handles>,
    worker: Worker,
    path: web::Path<(i64, i64)>,
    body: Body<PriorityFields>,
) -> ApiResult<HttpResponse> {
    let found = find(&handles, &worker, path.1).await?;
    let id = found.address.conversation_id;
    if let Some(priority) = body.value.priority {
        tell_change(&handles, &worker, found.address, Change::Priority(priority)).await?;
    }
    answer(&handles, id).await
}

/// Whose a conversation shall be.
#[derive(Deserialize, ToSchema)]
pub struct Assignment {
    #[serde(default, deserialize_with = "fields::nullable_id")]
    #[schema(value_type = Option<i64>)]
    assignee_id: Option<Option<i64>>,
    /// `AgentBot` where `assignee_id` is a bot's.
    #[serde(default, deserialize_with = "fields::text")]
    assignee_type: Option<String>,
    #[serde(default, deserialize_with = "fields::nullable_id")]
    #[schema(value_type = Option<i64>)]
    team_id: Option<Option<i64>>,
}

impl Request for Assignment {}

/// Gives a conversation to an agent, a bot or a team; to nobody for 0 or null.
#[utoipa::path(post, path = "", tag = "Conversations", request_body = Assignment, responses((status = 200, description = "the agent, bot or team, or null")))]
pub async fn assign(
    handles: web::Data<Handles>,
    worker: Worker,
    path: web::Path<(i64, i64)>,
    body: Body<Assignment>,
) -> ApiResult<HttpResponse> {
    let found = find(&handles, &worker, path.1).await?;
    let catalog = handles.catalog.now();
    let (change, shown) = match (body.value.assignee_id, body.value.team_id) {
        (Some(Some(id)), _) if body.value.assignee_type.as_deref() == Some("AgentBot") => {
            let bot = catalog.bot(id).filter(|bot| bot.serves(worker.account_id()));
            let bot = bot.ok_or_else(|| ApiError::invalid("assignee_id", format!("assignee_id: there is no bot {id}")))?;
            (Change::AssigneeBot(bot.card()), render::slim_bot(bot))
        }
        // An id that names nobody takes the conversation from whoever has it (contract, section 2, Conversations).
        (Some(id), _) => match id.and_then(|id| catalog.user(id)).filter(|user| user.place(worker.account_id()).is_some()) {
            Some(user) => {
                let card = assignable(&handles, &found.inbox, user.row.id)?;
                (Change::Assignee(Some(card)), render::agent(&handles, user, worker.account_id()))
            }
            None => (Change::Assignee(None), Value::Null),
        },
        (None, Some(id)) => match id.and_then(|id| catalog.team(id)).filter(|team| team.row.account_id == worker.account_id()) {
            Some(team) => (Change::Team(Some(team.card())), render::team_row(team)),
            None => (Change::Team(None), Value::Null),
        },
        (None, None) => return Err(ApiError::invalid("assignee_id", "assignee_id or team_id is missing")),
    };
    tell_change(&handles, &worker, found.address, change).await?;
    Ok(HttpResponse::Ok().json(shown))
}

/// Only who may see an inbox can be given its conversations.
///
/// # Errors
/// 422.
pub fn assignable(handles: &Handles, inbox: &Inbox, id: i64) -> ApiResult<UserCard> {
    let user = handles.catalog.now().user(id).filter(|_| inbox.is_visible_to(id)).map(|user| user.card());
    user.ok_or_else(|| ApiError::invalid("assignee_id", format!("assignee_id: {id} is no agent of this inbox")))
}

/// Notes that the caller has seen everything.
#[utoipa::path(post, path = "", tag = "Conversations", responses((status = 200, description = "the conversation")))]
pub async fn update_last_seen(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let found = find(&handles, &agent, path.1).await?;
    if contact_presence::is_unread(&handles, &found).await? {
        contact_presence::show(&handles, &found, What::Reading);
    }
    let id = found.address.conversation_id;
    tell_change(&handles, &agent, found.address, Change::SeenByAgent).await?;
    notifications::seen(&handles, &agent, id).await?;
    answer(&handles, id).await
}

/// Marks it unread again.
#[utoipa::path(post, path = "", tag = "Conversations", responses((status = 200, description = "the conversation")))]
pub async fn unread(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let recorded = change(&handles, &agent, path.1, Change::Unread).await?;
    answer(&handles, recorded.conversation.ok_or_else(ApiError::not_found)?.id).await
}

/// Attributes of the customer's own.
#[derive(Deserialize, ToSchema)]
pub struct CustomAttributes {
    #[schema(value_type = Object)]
    custom_attributes: Map<String, Value>,
}

impl Request for CustomAttributes {}

/// Replaces the custom attributes.
#[utoipa::path(post, path = "", tag = "Conversations", request_body = CustomAttributes, responses((status = 200, description = "custom_attributes")))]
pub async fn custom_attributes(
    handles: web::Data<Handles>,
    worker: Worker,
    path: web::Path<(i64, i64)>,
    body: Body<CustomAttributes>,
) -> ApiResult<HttpResponse> {
    contacts::check_attributes("custom_attributes", Some(&body.value.custom_attributes))?;
    let recorded = change(&handles, &worker, path.1, Change::CustomAttributes(body.value.custom_attributes)).await?;
    Ok(HttpResponse::Ok()
        .json(json!({ "custom_attributes": recorded.conversation.map(|conversation| conversation.custom_attributes.clone()) })))
}

/// Somebody types.
#[derive(Deserialize, ToSchema)]
pub struct Typing {
    /// `on` or `off`.
    typing_status: OnOff,
    #[serde(default, deserialize_with = "fields::flag")]
    is_private: Option<bool>,
}

/// On or off.
#[derive(Clone, Copy, PartialEq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnOff {
    /// On.
    On,
    /// Off.
    Off,
}

impl Request for Typing {}

/// Tells others that the caller types.
#[utoipa::path(post, path = "", tag = "Conversations", request_body = Typing, responses((status = 200, description = "told")))]
pub async fn toggle_typing_status(
    handles: web::Data<Handles>,
    worker: Worker,
    path: web::Path<(i64, i64)>,
    body: Body<Typing>,
) -> ApiResult<HttpResponse> {
    let found = find(&handles, &worker, path.1).await?;
    let (is_typing, is_private) = (body.value.typing_status == OnOff::On, body.value.is_private.unwrap_or(false));
    if is_typing && !is_private {
        contact_presence::show(&handles, &found, What::Typing);
    }
    let Address { conversation_id, key } = found.address;
    tell(&handles, key, Command::Typing { conversation_id, who: worker.sender(), is_typing, is_private }).await?;
    Ok(HttpResponse::Ok().finish())
}

/// Removes a conversation with everything said in it.
#[utoipa::path(delete, path = "", tag = "Conversations", responses((status = 200, description = "removed"), (status = 404, description = "no such conversation")))]
pub async fn remove(handles: web::Data<Handles>, administrator: Administrator, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let id = find(&handles, &administrator.0, path.1).await?.address.conversation_id;
    let row = conversation::Entity::find_by_id(id).one(&handles.db.read).await?.ok_or_else(ApiError::not_found)?;
    audit::destroyed(&handles.db.write, &administrator.0.author(), ("Conversation", row.id), &row).await?;
    handles.contacts.remove_conversation(&row).await?;
    handles.addresses.clear();
    Ok(HttpResponse::Ok().finish())
}

/// Mutes a conversation: its contact is blocked, and it is resolved.
#[utoipa::path(post, path = "", tag = "Conversations", responses((status = 200, description = "muted")))]
pub async fn mute(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let found = find(&handles, &agent, path.1).await?;
    set_muted(&handles, &agent, &found, true).await?;
    Ok(HttpResponse::Ok().finish())
}

/// The contact may write again.
#[utoipa::path(post, path = "", tag = "Conversations", responses((status = 200, description = "not muted any more")))]
pub async fn unmute(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let found = find(&handles, &agent, path.1).await?;
    set_muted(&handles, &agent, &found, false).await?;
    Ok(HttpResponse::Ok().finish())
}

/// The assistant that answers in the inbox of a conversation: there is none here.
#[utoipa::path(get, path = "", tag = "Conversations", responses((status = 200, description = "assistant: null"), (status = 404, description = "no such conversation")))]
pub async fn inbox_assistant(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    find(&handles, &agent, path.1).await?;
    Ok(HttpResponse::Ok().json(json!({ "assistant": null })))
}

/// Blocks the contact or lets it write again, and says so in the conversation.
async fn set_muted(handles: &Handles, agent: &Agent, found: &Found, muted: bool) -> ApiResult<()> {
    let id = found.address.conversation_id;
    let row = conversation::Entity::find_by_id(id).one(&handles.db.read).await?.ok_or_else(ApiError::not_found)?;
    let contact = contacts::of_account(handles, agent, row.contact_id).await?;
    let is_done = contact.blocked == muted && (row.status == Status::Resolved || !muted);
    if !is_done {
        tell_blocking(handles, agent, found.address.clone(), contact.id, vec![Step::Change(Change::Muted(muted))]).await?;
    }
    Ok(())
}

/// Does several things in a conversation, among them what blocks its contact.
///
/// # Errors
/// What refuses one of them.
pub async fn tell_blocking(handles: &Handles, agent: &Agent, address: Address, contact_id: i64, steps: Vec<Step>) -> ApiResult<Recorded> {
    // Nobody else changes the contact meanwhile, and everybody who keeps it is told.
    let _turn = handles.contacts.turns.of(contact_id).await;
    let recorded = tell_steps(handles, agent, address, steps).await?;
    handles.contacts.told(recorded.contact.clone()).await;
    Ok(recorded)
}

/// Does several things in a conversation that was found: all of them or none.
///
/// # Errors
/// What refuses one of them.
pub async fn tell_steps(handles: &Handles, caller: &impl Works, address: Address, steps: Vec<Step>) -> ApiResult<Recorded> {
    let Address { conversation_id, key } = address;
    let act = Act { conversation_id, by: caller.by(), steps, quiet_since: None, claim: None };
    tell(handles, key, Command::Act(Box::new(act))).await
}

/// Changes a conversation that the caller may see.
///
/// # Errors
/// 404, and what refuses the change.
pub async fn change(handles: &Handles, caller: &impl Works, display_id: i64, change: Change) -> ApiResult<Recorded> {
    let found = find(handles, caller, display_id).await?;
    tell_change(handles, caller, found.address, change).await
}

/// Changes a conversation that was found.
///
/// # Errors
/// What refuses the change.
pub async fn tell_change(handles: &Handles, caller: &impl Works, address: Address, change: Change) -> ApiResult<Recorded> {
    tell(handles, address.key, Command::Change { conversation_id: address.conversation_id, by: caller.by(), change }).await
}

async fn answer(handles: &Handles, conversation_id: i64) -> ApiResult<HttpResponse> {
    let row = conversation::Entity::find_by_id(conversation_id).one(&handles.db.read).await?.ok_or_else(ApiError::not_found)?;
    let shown = views::conversations(handles, vec![row]).await?.pop().ok_or_else(ApiError::not_found)?;
    Ok(HttpResponse::Ok().json(render::conversation(handles, &shown)))
}
