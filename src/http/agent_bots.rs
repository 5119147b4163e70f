//! Agent bots of an account: programs that answer customers before people do, and which inbox each one answers in.
use super::audit::Author;
use super::auth::{Administrator, Agent};
use super::body::{Body, Request, UploadedFile};
use super::error::{ApiError, ApiResult};
use super::{audit, fields, inboxes, uploads};
use crate::tokens;
use actix_web::{HttpResponse, web};
use actors::catalog::{BOT_SECRET, Bot};
use actors::secret::random_token;
use actors::system::Handles;
use actors::wire::set;
use entity::access_token::OwnerType;
use entity::delivery::EndpointKind;
use entity::platform_grant::{self, GrantKind};
use entity::{agent_bot, inbox};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ActiveValue, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, TransactionTrait};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use utoipa::ToSchema;

/// A bot as it is created or changed.
#[derive(Deserialize, ToSchema)]
pub struct BotFields {
    #[serde(default, deserialize_with = "fields::text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "fields::nullable_text")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
    /// Where its events are posted.
    #[serde(default, deserialize_with = "fields::nullable_text")]
    #[schema(value_type = Option<String>)]
    outgoing_url: Option<Option<String>>,
    /// `webhook`, the only one there is.
    #[serde(default, deserialize_with = "fields::text")]
    bot_type: Option<String>,
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Option<Object>)]
    bot_config: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "fields::nullable_text")]
    #[schema(value_type = Option<String>)]
    avatar_url: Option<Option<String>>,
    /// Whose it is; only platform apps may say so.
    #[serde(default, deserialize_with = "fields::nullable_id")]
    #[schema(value_type = Option<i64>)]
    pub account_id: Option<Option<i64>>,
}

impl Request for BotFields {
    const ENVELOPE: Option<&'static str> = Some("agent_bot");
}

/// The bots that the account may use.
#[utoipa::path(get, path = "", tag = "Agent bots", responses((status = 200, description = "an array of bots")))]
pub async fn list(handles: web::Data<Handles>, agent: Agent) -> HttpResponse {
    let catalog = handles.catalog.now();
    let bots = catalog.bots_of(agent.account.id).into_iter();
    HttpResponse::Ok().json(bots.map(|bot| shown(&handles, bot, agent.is_administrator())).collect::<Vec<_>>())
}

/// One bot.
#[utoipa::path(get, path = "", tag = "Agent bots", responses((status = 200, description = "the bot"), (status = 404, description = "no such bot")))]
pub async fn show(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let catalog = handles.catalog.now();
    let bot = catalog.bot(path.1).filter(|bot| bot.serves(agent.account.id)).ok_or_else(ApiError::not_found)?;
    Ok(HttpResponse::Ok().json(shown(&handles, bot, agent.is_administrator())))
}

/// Creates a bot, with a token and a key of its own.
#[utoipa::path(post, path = "", tag = "Agent bots", request_body = BotFields, responses((status = 200, description = "the bot"), (status = 422, description = "a field is wrong")))]
pub async fn create(handles: web::Data<Handles>, administrator: Administrator, body: Body<BotFields>) -> ApiResult<HttpResponse> {
    let account_id = administrator.0.account.id;
    let avatar = uploads::avatar(body.files)?;
    let id = insert(&handles, Some(account_id), body.value, avatar, None, Some(&administrator.0.author())).await?;
    answer(&handles, id).await
}

/// Changes a bot.
#[utoipa::path(patch, path = "", tag = "Agent bots", request_body = BotFields, responses((status = 200, description = "the bot"), (status = 404, description = "no such bot"), (status = 422, description = "a field is wrong")))]
pub async fn update(
    handles: web::Data<Handles>,
    administrator: Administrator,
    path: web::Path<(i64, i64)>,
    body: Body<BotFields>,
) -> ApiResult<HttpResponse> {
    let bot = own(&handles, &administrator, path.1)?;
    change(&handles, &bot, body.value, uploads::avatar(body.files)?, Some(&administrator.0.author())).await?;
    answer(&handles, bot.row.id).await
}

/// Removes a bot from the account and its inboxes; what it wrote stays.
#[utoipa::path(delete, path = "", tag = "Agent bots", responses((status = 200, description = "removed"), (status = 404, description = "no such bot")))]
pub async fn remove(handles: web::Data<Handles>, administrator: Administrator, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    delete(&handles, own(&handles, &administrator, path.1)?.as_ref(), Some(&administrator.0.author())).await?;
    Ok(HttpResponse::Ok().finish())
}

/// Replaces the bot's token; the old one is void at once.
#[utoipa::path(post, path = "", tag = "Agent bots", responses((status = 200, description = "the bot with the new token")))]
pub async fn reset_access_token(
    handles: web::Data<Handles>,
    administrator: Administrator,
    path: web::Path<(i64, i64)>,
) -> ApiResult<HttpResponse> {
    let bot = own(&handles, &administrator, path.1)?;
    let transaction = handles.db.write.begin().await?;
    tokens::replace(&transaction, &handles.vault, OwnerType::AgentBot, bot.row.id).await?;
    // Neither is shown: that it is another one is what is noted.
    let (before, after) = (json!({ "access_token": "old" }), json!({ "access_token": "new" }));
    audit::updated(&transaction, &administrator.0.author(), (AUDITED, bot.row.id), &before, &after).await?;
    transaction.commit().await?;
    answer(&handles, bot.row.id).await
}

/// Replaces the key that signs what is posted to the bot.
#[utoipa::path(post, path = "", tag = "Agent bots", responses((status = 200, description = "the bot with the new key")))]
pub async fn reset_secret(
    handles: web::Data<Handles>,
    administrator: Administrator,
    path: web::Path<(i64, i64)>,
) -> ApiResult<HttpResponse> {
    let bot = own(&handles, &administrator, path.1)?;
    let mut row = bot.row.clone().into_active_model();
    row.secret_sealed = ActiveValue::Set(handles.vault.seal(BOT_SECRET, &random_token()));
    store(&handles, &bot, row, None, Some(&administrator.0.author())).await?;
    answer(&handles, bot.row.id).await
}

/// Removes the bot's picture.
#[utoipa::path(delete, path = "", tag = "Agent bots", responses((status = 200, description = "the bot")))]
pub async fn remove_avatar(
    handles: web::Data<Handles>,
    administrator: Administrator,
    path: web::Path<(i64, i64)>,
) -> ApiResult<HttpResponse> {
    let bot = own(&handles, &administrator, path.1)?;
    let mut row = bot.row.clone().into_active_model();
    row.avatar_blob_id = ActiveValue::Set(None);
    row.avatar_url = ActiveValue::Set(None);
    store(&handles, &bot, row, None, Some(&administrator.0.author())).await?;
    answer(&handles, bot.row.id).await
}

/// The bot that answers in an inbox.
#[utoipa::path(get, path = "", tag = "Agent bots", responses((status = 200, description = "agent_bot: the bot, or an empty object")))]
pub async fn of_inbox(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let inbox = inboxes::living(agent.visible_inbox(path.1)?)?;
    let catalog = handles.catalog.now();
    let bot = inbox.row.agent_bot_id.and_then(|id| catalog.bot(id));
    let bot = bot.map_or_else(|| json!({}), |bot| shown(&handles, bot, agent.is_administrator()));
    Ok(HttpResponse::Ok().json(json!({ "agent_bot": bot })))
}

/// Which bot answers in an inbox.
#[derive(Deserialize, ToSchema)]
pub struct BotOfInbox {
    /// None for nobody.
    #[serde(default, deserialize_with = "fields::optional_id")]
    agent_bot: Option<i64>,
}

impl Request for BotOfInbox {}

/// Lets a bot answer in an inbox, or nobody.
#[utoipa::path(post, path = "", tag = "Agent bots", request_body = BotOfInbox, responses((status = 200, description = "done"), (status = 404, description = "no such inbox or bot")))]
pub async fn set_of_inbox(
    handles: web::Data<Handles>,
    administrator: Administrator,
    path: web::Path<(i64, i64)>,
    body: Body<BotOfInbox>,
) -> ApiResult<HttpResponse> {
    let inbox = inboxes::living(administrator.0.visible_inbox(path.1)?)?;
    let catalog = handles.catalog.now();
    if let Some(id) = body.value.agent_bot {
        catalog.bot(id).filter(|bot| bot.serves(inbox.row.account_id)).ok_or_else(ApiError::not_found)?;
    }
    let transaction = handles.db.write.begin().await?;
    inbox::Entity::update_many()
        .col_expr(inbox::Column::AgentBotId, Expr::value(body.value.agent_bot))
        .filter(inbox::Column::Id.eq(inbox.row.id))
        .exec(&transaction)
        .await?;
    let (before, after) = (json!({ "agent_bot_id": inbox.row.agent_bot_id }), json!({ "agent_bot_id": body.value.agent_bot }));
    audit::updated(&transaction, &administrator.0.author(), ("Inbox", inbox.row.id), &before, &after).await?;
    transaction.commit().await?;
    handles.catalog.reload().await?;
    Ok(HttpResponse::Ok().finish())
}

/// What bots are called in the audit log.
const AUDITED: &str = "AgentBot";

/// Stores a new bot with its token, granted to a platform app where one makes it; returns its id. The author is none for a bot
/// of no account, of which no account's log speaks.
///
/// # Errors
/// 422 if a field is wrong.
pub async fn insert(
    handles: &Handles,
    account_id: Option<i64>,
    fields: BotFields,
    avatar: Option<UploadedFile>,
    app_id: Option<i64>,
    author: Option<&Author>,
) -> ApiResult<i64> {
    let now = entity::now();
    let mut row = agent_bot::ActiveModel {
        id: ActiveValue::NotSet,
        account_id: ActiveValue::Set(account_id),
        name: ActiveValue::NotSet,
        description: ActiveValue::Set(None),
        outgoing_url: ActiveValue::Set(None),
        bot_config: ActiveValue::Set(json!({})),
        avatar_blob_id: ActiveValue::Set(None),
        avatar_url: ActiveValue::Set(None),
        secret_sealed: ActiveValue::Set(handles.vault.seal(BOT_SECRET, &random_token())),
        created_at: ActiveValue::Set(now),
        updated_at: ActiveValue::Set(now),
    };
    apply(handles, &mut row, fields).await?;
    if row.name.is_not_set() {
        return Err(ApiError::invalid("name", "Name can't be blank"));
    }
    let transaction = handles.db.write.begin().await?;
    if let (Some(account_id), Some(file)) = (account_id, avatar) {
        row.avatar_blob_id = ActiveValue::Set(Some(uploads::store(&transaction, account_id, None, file).await?.id));
    }
    let stored = row.insert(&transaction).await?;
    tokens::give(&transaction, &handles.vault, OwnerType::AgentBot, stored.id, None).await?;
    if let Some(app_id) = app_id {
        super::platform_accounts::grant(&transaction, app_id, GrantKind::AgentBot, stored.id).await?;
    }
    if let Some(author) = author {
        audit::created(&transaction, author, (AUDITED, stored.id), &audited(&stored)).await?;
    }
    transaction.commit().await?;
    handles.catalog.reload().await?;
    Ok(stored.id)
}

/// What the audit log says of a bot; the log blanks its key, and notes that it is another one.
fn audited(row: &agent_bot::Model) -> Value {
    let mut fields = json!(row);
    set(&mut fields, "secret", row.secret_sealed.clone().into());
    fields
}

/// Changes a bot.
///
/// # Errors
/// 422 if a field is wrong.
pub async fn change(
    handles: &Handles,
    bot: &Bot,
    fields: BotFields,
    avatar: Option<UploadedFile>,
    author: Option<&Author>,
) -> ApiResult<()> {
    let mut row = bot.row.clone().into_active_model();
    apply(handles, &mut row, fields).await?;
    store(handles, bot, row, avatar, author).await?;
    handles.catalog.reload().await?;
    Ok(())
}

/// Stores a changed bot; the picture that it does not have any more goes.
async fn store(
    handles: &Handles,
    bot: &Bot,
    mut row: agent_bot::ActiveModel,
    avatar: Option<UploadedFile>,
    author: Option<&Author>,
) -> ApiResult<()> {
    row.updated_at = ActiveValue::Set(entity::now());
    let transaction = handles.db.write.begin().await?;
    if let (Some(account_id), Some(file)) = (bot.row.account_id, avatar) {
        row.avatar_blob_id = ActiveValue::Set(Some(uploads::store(&transaction, account_id, None, file).await?.id));
    }
    let after = row.update(&transaction).await?;
    if let Some(author) = author {
        audit::updated(&transaction, author, (AUDITED, after.id), &audited(&bot.row), &audited(&after)).await?;
    }
    transaction.commit().await?;
    match bot.row.avatar_blob_id.filter(|blob| after.avatar_blob_id != Some(*blob)) {
        Some(replaced) => uploads::discard(handles, replaced).await,
        None => Ok(()),
    }
}

/// Removes a bot with its token, its picture, its grants and its place in inboxes.
///
/// # Errors
/// If the database fails.
pub async fn delete(handles: &Handles, bot: &Bot, author: Option<&Author>) -> ApiResult<()> {
    let id = bot.row.id;
    let transaction = handles.db.write.begin().await?;
    inbox::Entity::update_many()
        .col_expr(inbox::Column::AgentBotId, Expr::value(None::<i64>))
        .filter(inbox::Column::AgentBotId.eq(id))
        .exec(&transaction)
        .await?;
    tokens::remove(&transaction, OwnerType::AgentBot, id).await?;
    platform_grant::Entity::delete_many()
        .filter(platform_grant::Column::Kind.eq(GrantKind::AgentBot))
        .filter(platform_grant::Column::ObjectId.eq(id))
        .exec(&transaction)
        .await?;
    agent_bot::Entity::delete_by_id(id).exec(&transaction).await?;
    if let Some(author) = author {
        audit::destroyed(&transaction, author, (AUDITED, id), &audited(&bot.row)).await?;
    }
    transaction.commit().await?;
    handles.catalog.reload().await?;
    if let Some(picture) = bot.row.avatar_blob_id {
        uploads::discard(handles, picture).await?;
    }
    handles.webhooks.ring((EndpointKind::AgentBot, id));
    Ok(())
}

/// A bot; token, key and address are for administrators, and of the accounts' own bots only.
pub fn shown(handles: &Handles, bot: &Bot, for_administrator: bool) -> Value {
    let is_own = bot.row.account_id.is_some();
    let mut shown = json!({
        "id": bot.row.id,
        "name": bot.row.name,
        "description": bot.row.description,
        "thumbnail": bot.avatar_url,
        "outgoing_url": bot.row.outgoing_url.as_ref().filter(|_| is_own),
        "bot_type": "webhook",
        "bot_config": bot.row.bot_config,
        "account_id": bot.row.account_id,
        "system_bot": !is_own,
    });
    if for_administrator && is_own {
        set(&mut shown, "access_token", tokens::shown(&handles.vault, bot.token_sealed.as_deref()).into());
        set(&mut shown, "secret", bot.secret.expose().into());
    }
    shown
}

async fn apply(handles: &Handles, row: &mut agent_bot::ActiveModel, fields: BotFields) -> ApiResult<()> {
    if let Some(name) = fields.name {
        match name.trim() {
            "" => return Err(ApiError::invalid("name", "Name can't be blank")),
            name if name.chars().count() > 255 => return Err(ApiError::invalid("name", "name is longer than 255 characters")),
            name => row.name = ActiveValue::Set(name.to_owned()),
        }
    }
    if fields.bot_type.is_some_and(|kind| !kind.is_empty() && kind != "webhook") {
        return Err(ApiError::invalid("bot_type", "bot_type can only be webhook"));
    }
    if let Some(description) = fields.description {
        row.description = ActiveValue::Set(description);
    }
    if let Some(url) = fields.outgoing_url {
        if let Some(url) = &url {
            checked_length("outgoing_url", url)?;
            handles.egress.check(url).await.map_err(|refusal| ApiError::invalid("outgoing_url", format!("outgoing_url: {refusal}")))?;
        }
        row.outgoing_url = ActiveValue::Set(url);
    }
    if let Some(config) = fields.bot_config {
        row.bot_config = ActiveValue::Set(Value::Object(config));
    }
    if let Some(url) = fields.avatar_url {
        if let Some(url) = &url {
            checked_length("avatar_url", url)?;
        }
        row.avatar_url = ActiveValue::Set(url);
    }
    Ok(())
}

fn checked_length(field: &str, url: &str) -> ApiResult<()> {
    let is_address = url.starts_with("http://") || url.starts_with("https://");
    match is_address && url.chars().count() <= 2048 {
        true => Ok(()),
        false => Err(ApiError::invalid(field, format!("{field} is no web address of up to 2048 characters"))),
    }
}

/// A bot of the administrator's own account: those offered to every account are not its to change.
fn own(handles: &Handles, administrator: &Administrator, id: i64) -> ApiResult<Arc<Bot>> {
    let catalog = handles.catalog.now();
    let bot = catalog.bot(id).filter(|bot| bot.row.account_id == Some(administrator.0.account.id));
    bot.cloned().ok_or_else(ApiError::not_found)
}

async fn answer(handles: &Handles, id: i64) -> ApiResult<HttpResponse> {
    handles.catalog.reload().await?;
    let catalog = handles.catalog.now();
    let bot = catalog.bot(id).ok_or_else(ApiError::not_found)?;
    Ok(HttpResponse::Ok().json(shown(handles, bot, true)))
}
