//! The members of an account.
use super::auth::{Administrator, Agent};
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::{fields, render};
use crate::members::{NewMember, NewPlace, create_user, give_place};
use crate::password;
use actix_web::{HttpResponse, web};
use actors::system::Handles;
use entity::account_user::{self, Availability, Role};
use entity::{inbox_member, user};
use sea_orm::{ActiveModelTrait, ActiveValue, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, TransactionTrait};
use serde::Deserialize;
use utoipa::ToSchema;

/// A member of the account.
#[derive(Deserialize, ToSchema)]
pub struct AgentFields {
    #[serde(default, deserialize_with = "fields::text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    email: Option<String>,
    #[schema(value_type = Option<String>)]
    role: Option<Role>,
    #[schema(value_type = Option<String>)]
    availability: Option<Availability>,
    #[serde(default, deserialize_with = "fields::flag")]
    auto_offline: Option<bool>,
    /// Lets the new member sign in at once; without it the password is set later.
    password: Option<String>,
}

impl Request for AgentFields {
    const ENVELOPE: Option<&'static str> = Some("agent");
}

/// All members.
#[utoipa::path(get, path = "", tag = "Agents", responses((status = 200, description = "an array of agents")))]
pub async fn list(handles: web::Data<Handles>, agent: Agent) -> HttpResponse {
    let catalog = handles.catalog.now();
    let members = catalog.users_of(agent.account.id);
    HttpResponse::Ok().json(members.into_iter().map(|user| render::agent(&handles, user, agent.account.id)).collect::<Vec<_>>())
}

/// Adds a member; a known address joins with its own name and password.
#[utoipa::path(post, path = "", tag = "Agents", request_body = AgentFields, responses((status = 200, description = "the agent"), (status = 422, description = "a field is wrong")))]
pub async fn create(handles: web::Data<Handles>, administrator: Administrator, body: Body<AgentFields>) -> ApiResult<HttpResponse> {
    let (fields, account_id) = (body.value, administrator.0.account.id);
    let email = fields.email.as_deref().and_then(fields::email_address).ok_or_else(|| ApiError::invalid("email", "Email is invalid"))?;
    let role = fields.role.ok_or_else(|| ApiError::invalid("role", "Role must be agent or administrator"))?;
    let known = handles.catalog.now().user_by_email(&email).cloned();
    if known.as_ref().is_some_and(|user| user.place(account_id).is_some()) {
        return Err(ApiError::invalid("email", "Email has already been taken"));
    }
    if let Some(words) = fields.password.as_deref().and_then(password::refusal) {
        return Err(ApiError::invalid("password", words));
    }
    let password_hash = match fields.password {
        Some(password) => Some(web::block(move || password::hash(&password)).await.map_err(ApiError::failed)?.map_err(ApiError::failed)?),
        None => None,
    };
    let transaction = handles.db.write.begin().await?;
    let user_id = match known {
        Some(user) => user.row.id,
        None => {
            let name = fields.name.filter(|name| !name.trim().is_empty());
            let name = name.unwrap_or_else(|| email.split('@').next().unwrap_or_default().to_owned());
            create_user(&transaction, &handles.vault, NewMember { email, name, password_hash, access_token: None }).await?.0.id
        }
    };
    let place = NewPlace {
        account_id,
        role,
        inviter_id: Some(administrator.0.user.row.id),
        availability: fields.availability.unwrap_or(Availability::Online),
        auto_offline: fields.auto_offline.unwrap_or(true),
    };
    give_place(&transaction, user_id, place).await?;
    transaction.commit().await?;
    answer(&handles, user_id, account_id).await
}

/// Changes a member's role, availability or name.
#[utoipa::path(patch, path = "", tag = "Agents", request_body = AgentFields, responses((status = 200, description = "the agent"), (status = 404, description = "no such agent")))]
pub async fn update(
    handles: web::Data<Handles>,
    administrator: Administrator,
    path: web::Path<(i64, i64)>,
    body: Body<AgentFields>,
) -> ApiResult<HttpResponse> {
    let (fields, (account_id, user_id)) = (body.value, path.into_inner());
    let _ = administrator;
    let user = handles.catalog.now().user(user_id).cloned().ok_or_else(ApiError::not_found)?;
    let place = user.place(account_id).ok_or_else(ApiError::not_found)?;
    let transaction = handles.db.write.begin().await?;
    let mut row = place.clone().into_active_model();
    if let Some(role) = fields.role {
        row.role = ActiveValue::Set(role);
    }
    if let Some(availability) = fields.availability {
        row.availability = ActiveValue::Set(availability);
    }
    if let Some(auto_offline) = fields.auto_offline {
        row.auto_offline = ActiveValue::Set(auto_offline);
    }
    row.updated_at = ActiveValue::Set(entity::now());
    row.update(&transaction).await?;
    if let Some(name) = fields.name.filter(|name| !name.trim().is_empty()) {
        let row = user::ActiveModel { name: ActiveValue::Set(name), ..user.row.clone().into_active_model() };
        row.update(&transaction).await?;
    }
    transaction.commit().await?;
    handles.wakes.assignment.notify_one();
    answer(&handles, user_id, account_id).await
}

/// Takes a member out of the account and its inboxes; the user and what he wrote stay.
#[utoipa::path(delete, path = "", tag = "Agents", responses((status = 200, description = "removed"), (status = 404, description = "no such agent")))]
pub async fn remove(handles: web::Data<Handles>, administrator: Administrator, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let (account_id, user_id) = path.into_inner();
    let catalog = handles.catalog.now();
    let user = catalog.user(user_id).ok_or_else(ApiError::not_found)?;
    let place = user.place(account_id).ok_or_else(ApiError::not_found)?;
    if user_id == administrator.0.user.row.id {
        return Err(ApiError::unprocessable("You cannot remove yourself"));
    }
    let inboxes = catalog.inboxes_of(account_id).into_iter().map(|inbox| inbox.row.id);
    let transaction = handles.db.write.begin().await?;
    inbox_member::Entity::delete_many()
        .filter(inbox_member::Column::UserId.eq(user_id))
        .filter(inbox_member::Column::InboxId.is_in(inboxes))
        .exec(&transaction)
        .await?;
    account_user::Entity::delete_by_id(place.id).exec(&transaction).await?;
    transaction.commit().await?;
    handles.catalog.reload().await?;
    Ok(HttpResponse::Ok().finish())
}

async fn answer(handles: &Handles, user_id: i64, account_id: i64) -> ApiResult<HttpResponse> {
    handles.catalog.reload().await?;
    let user = handles.catalog.now().user(user_id).cloned().ok_or_else(ApiError::not_found)?;
    Ok(HttpResponse::Ok().json(render::agent(handles, &user, account_id)))
}
