//! The members of an account. One administrator always stays.
use super::auth::{Administrator, Agent};
use super::body::{Body, Request};
use super::error::{ApiError, ApiResult};
use super::{audit, cache_keys, fields, render};
use crate::letters::{self, Letter};
use crate::limits::{self, Limited};
use crate::members::{NewMember, NewPlace, create_user, give_place, release_conversations};
use crate::removal::end_membership;
use crate::{one_time_tokens, password, tokens};
use actix_web::{HttpResponse, web};
use actors::catalog::{Snapshot, User};
use actors::secret::random_token;
use actors::system::Handles;
use entity::access_token::OwnerType;
use entity::account_user::{self, Availability, Role};
use entity::one_time_token::Purpose;
use entity::user;
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, TransactionTrait,
};
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

/// Adds a member; a known address joins with its own name and password. Who has no password yet is invited to choose one by
/// mail, where there is a mail relay.
#[utoipa::path(post, path = "", tag = "Agents", request_body = AgentFields, responses((status = 200, description = "the agent"), (status = 402, description = "the account may have no more"), (status = 422, description = "a field is wrong")))]
pub async fn create(handles: web::Data<Handles>, administrator: Administrator, body: Body<AgentFields>) -> ApiResult<HttpResponse> {
    let (fields, account_id) = (body.value, administrator.0.account.id);
    let email = checked_address(fields.email.as_deref().unwrap_or_default(), "email")?;
    let role = fields.role.ok_or_else(|| ApiError::invalid("role", "Role must be agent or administrator"))?;
    if is_member(&handles.catalog.now(), &email, account_id) {
        return Err(ApiError::invalid("email", "Email has already been taken"));
    }
    if let Some(words) = fields.password.as_deref().and_then(password::refusal) {
        return Err(ApiError::invalid("password", words));
    }
    let password_hash = match fields.password {
        Some(password) => Some(web::block(move || password::hash(&password)).await.map_err(ApiError::failed)?.map_err(ApiError::failed)?),
        None => None,
    };
    let place = NewPlace {
        account_id,
        role,
        inviter_id: Some(administrator.0.user.row.id),
        availability: fields.availability.unwrap_or(Availability::Online),
        auto_offline: fields.auto_offline.unwrap_or(true),
    };
    let transaction = handles.db.write.begin().await?;
    limits::admit(&transaction, account_id, Limited::Agents, 1).await?;
    let user_id = add(&transaction, &handles, &administrator, Invited { email, name: fields.name, password_hash, place }).await?;
    transaction.commit().await?;
    handles.mailer.ring();
    answer(&handles, user_id, account_id).await
}

/// Who is to become agents.
#[derive(Deserialize, ToSchema)]
pub struct Invitations {
    #[serde(default)]
    emails: Vec<String>,
}

impl Request for Invitations {}

/// The most addresses of one request.
const INVITATION_LIMIT: usize = 100;

/// Adds several agents by their addresses, who are invited as one is; who is a member already stays as he is. All of them, or none.
#[utoipa::path(post, path = "", tag = "Agents", request_body = Invitations, responses((status = 200, description = "added"), (status = 402, description = "the account may have no more"), (status = 422, description = "an address is wrong")))]
pub async fn bulk_create(handles: web::Data<Handles>, administrator: Administrator, body: Body<Invitations>) -> ApiResult<HttpResponse> {
    let account_id = administrator.0.account.id;
    if body.value.emails.is_empty() || body.value.emails.len() > INVITATION_LIMIT {
        return Err(ApiError::invalid("emails", format!("emails: expected 1 to {INVITATION_LIMIT} addresses")));
    }
    let mut emails = Vec::new();
    for email in body.value.emails {
        let email = checked_address(&email, "emails")?;
        if !emails.contains(&email) && !is_member(&handles.catalog.now(), &email, account_id) {
            emails.push(email);
        }
    }
    let transaction = handles.db.write.begin().await?;
    limits::admit(&transaction, account_id, Limited::Agents, emails.len()).await?;
    for email in emails {
        let place = NewPlace {
            account_id,
            role: Role::Agent,
            inviter_id: Some(administrator.0.user.row.id),
            availability: Availability::Online,
            auto_offline: true,
        };
        add(&transaction, &handles, &administrator, Invited { email, name: None, password_hash: None, place }).await?;
    }
    transaction.commit().await?;
    handles.mailer.ring();
    handles.catalog.reload().await?;
    Ok(HttpResponse::Ok().finish())
}

/// Changes a member's role, availability or name.
#[utoipa::path(patch, path = "", tag = "Agents", request_body = AgentFields, responses((status = 200, description = "the agent"), (status = 404, description = "no such agent"), (status = 422, description = "one administrator must stay")))]
pub async fn update(
    handles: web::Data<Handles>,
    administrator: Administrator,
    path: web::Path<(i64, i64)>,
    body: Body<AgentFields>,
) -> ApiResult<HttpResponse> {
    let (fields, (account_id, user_id)) = (body.value, path.into_inner());
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
    let after = row.update(&transaction).await?;
    if after.role != Role::Administrator {
        keep_an_administrator(&transaction, account_id).await?;
    }
    audit::updated(&transaction, &administrator.0.author(), ("AccountUser", place.id), place, &after).await?;
    if let Some(name) = fields.name.filter(|name| !name.trim().is_empty()) {
        let row = user::ActiveModel { name: ActiveValue::Set(name), ..user.row.clone().into_active_model() };
        let after = row.update(&transaction).await?;
        audit::updated(&transaction, &administrator.0.author(), ("User", user_id), &audit::user(&user.row), &audit::user(&after)).await?;
    }
    transaction.commit().await?;
    let answer = answer(&handles, user_id, account_id).await?;
    handles.hub.publish_presence(account_id);
    handles.wakes.assignment.notify_one();
    Ok(answer)
}

/// Takes a member out of the account, its inboxes and teams; his conversations are nobody's then. The user and what he wrote stay.
#[utoipa::path(delete, path = "", tag = "Agents", responses((status = 200, description = "removed"), (status = 404, description = "no such agent"), (status = 422, description = "one administrator must stay")))]
pub async fn remove(handles: web::Data<Handles>, administrator: Administrator, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let (account_id, user_id) = path.into_inner();
    let catalog = handles.catalog.now();
    let user = catalog.user(user_id).ok_or_else(ApiError::not_found)?;
    let place = user.place(account_id).ok_or_else(ApiError::not_found)?;
    if user_id == administrator.0.user.row.id {
        return Err(ApiError::unprocessable("You cannot remove yourself"));
    }
    let transaction = handles.db.write.begin().await?;
    end_membership(&transaction, place).await?;
    keep_an_administrator(&transaction, account_id).await?;
    audit::destroyed(&transaction, &administrator.0.author(), ("AccountUser", place.id), place).await?;
    transaction.commit().await?;
    handles.catalog.reload().await?;
    cache_keys::changed(&handles, account_id).await?;
    release_conversations(&handles, account_id, user_id, administrator.0.by()).await?;
    Ok(HttpResponse::Ok().finish())
}

/// Somebody who becomes a member.
struct Invited {
    email: String,
    name: Option<String>,
    password_hash: Option<String>,
    place: NewPlace,
}

async fn add(db: &DatabaseTransaction, handles: &Handles, administrator: &Administrator, invited: Invited) -> ApiResult<i64> {
    let Invited { email, name, password_hash, place } = invited;
    let known = handles.catalog.now().user_by_email(&email).cloned();
    let (user, is_invited) = match known {
        Some(known) if known.row.confirmed_at.is_none() => (unclaimed(db, handles, &known).await?, true),
        Some(known) => (known.row.clone(), false),
        None => {
            let name = name.filter(|name| !name.trim().is_empty());
            let name = name.unwrap_or_else(|| email.split('@').next().unwrap_or_default().to_owned());
            // Who chooses a password by a link that was sent to the address has shown that it is theirs.
            let is_invited = password_hash.is_none() && handles.mailer.has_relay();
            let member = NewMember { email, name, password_hash, access_token: None, is_confirmed: !is_invited };
            (create_user(db, &handles.vault, member).await?.0, is_invited)
        }
    };
    let place = give_place(db, user.id, place).await?;
    audit::created(db, &administrator.0.author(), ("AccountUser", place.id), &place).await?;
    if is_invited && handles.mailer.has_relay() {
        let (account, inviter) = (&administrator.0.account, administrator.0.user.row.available_name());
        letters::write(db, handles, &user, account.id, Letter::Invitation { account: &account.name, inviter }).await?;
    }
    Ok(user.id)
}

/// A user whose address nobody has confirmed: whatever password, token or letter there was may be a stranger's, who would get
/// into the account with them.
async fn unclaimed(db: &DatabaseTransaction, handles: &Handles, known: &User) -> ApiResult<user::Model> {
    let mut row = known.row.clone().into_active_model();
    row.password_hash = ActiveValue::Set(None);
    row.pubsub_token = ActiveValue::Set(random_token());
    row.updated_at = ActiveValue::Set(entity::now());
    tokens::replace(db, &handles.vault, OwnerType::User, known.row.id).await?;
    one_time_tokens::void(db, known.row.id, [Purpose::Confirmation, Purpose::SignIn, Purpose::SecondFactor]).await?;
    Ok(row.update(db).await?)
}

fn checked_address(email: &str, field: &'static str) -> ApiResult<String> {
    fields::email_address(email).ok_or_else(|| ApiError::invalid(field, "Email is invalid"))
}

fn is_member(catalog: &Snapshot, email: &str, account_id: i64) -> bool {
    catalog.user_by_email(email).is_some_and(|user| user.place(account_id).is_some())
}

/// Refuses what would leave an account that nobody can administer. Asked in the transaction, after the change.
async fn keep_an_administrator(db: &DatabaseTransaction, account_id: i64) -> ApiResult<()> {
    let administrators = account_user::Entity::find()
        .filter(account_user::Column::AccountId.eq(account_id))
        .filter(account_user::Column::Role.eq(Role::Administrator));
    match administrators.one(db).await? {
        Some(_) => Ok(()),
        None => Err(ApiError::invalid("role", "The account needs an administrator: this is the last one")),
    }
}

async fn answer(handles: &Handles, user_id: i64, account_id: i64) -> ApiResult<HttpResponse> {
    handles.catalog.reload().await?;
    let user = handles.catalog.now().user(user_id).cloned().ok_or_else(ApiError::not_found)?;
    Ok(HttpResponse::Ok().json(render::agent(handles, &user, account_id)))
}
