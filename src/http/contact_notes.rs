//! What agents note about a contact, for each other.
use super::auth::Agent;
use super::body::{Body, Request};
use super::contacts::of_account;
use super::error::{ApiError, ApiResult};
use super::render;
use actix_web::{HttpResponse, web};
use actors::system::Handles;
use actors::wire::epoch;
use entity::note;
use sea_orm::{ActiveModelTrait, ActiveValue, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// The longest note, as the longest message (contract, section 0, Limits).
const LIMIT: usize = 150_000;

/// A note as it is written or changed.
#[derive(Deserialize, ToSchema)]
pub struct NoteFields {
    content: String,
}

impl Request for NoteFields {
    const ENVELOPE: Option<&'static str> = Some("note");
}

impl NoteFields {
    fn checked(self) -> ApiResult<String> {
        match self.content.trim() {
            "" => Err(ApiError::invalid("content", "Content can't be blank")),
            text if text.chars().count() > LIMIT => Err(ApiError::invalid("content", format!("Content is longer than {LIMIT} characters"))),
            _ => Ok(self.content),
        }
    }
}

/// The notes about a contact, the latest first.
#[utoipa::path(get, path = "", tag = "Contacts", responses((status = 200, description = "notes"), (status = 404, description = "no such contact")))]
pub async fn list(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let contact = of_account(&handles, &agent, path.1).await?;
    let notes = note::Entity::find().filter(note::Column::ContactId.eq(contact.id)).order_by_desc(note::Column::Id);
    let shown: Vec<Value> = notes.all(&handles.db.read).await?.iter().map(|note| shown(&handles, note)).collect();
    Ok(HttpResponse::Ok().json(shown))
}

/// One note.
#[utoipa::path(get, path = "", tag = "Contacts", responses((status = 200, description = "the note"), (status = 404, description = "no such note")))]
pub async fn show(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64, i64)>) -> ApiResult<HttpResponse> {
    Ok(HttpResponse::Ok().json(shown(&handles, &find(&handles, &agent, path.1, path.2).await?)))
}

/// Writes a note.
#[utoipa::path(post, path = "", tag = "Contacts", request_body = NoteFields, responses((status = 200, description = "the note"), (status = 422, description = "content is missing")))]
pub async fn create(
    handles: web::Data<Handles>,
    agent: Agent,
    path: web::Path<(i64, i64)>,
    body: Body<NoteFields>,
) -> ApiResult<HttpResponse> {
    let content = body.value.checked()?;
    let _turn = handles.contacts.turns.of(path.1).await;
    // Read when nobody can remove or merge it any more.
    let contact = of_account(&handles, &agent, path.1).await?;
    let now = entity::now();
    let note = note::ActiveModel {
        id: ActiveValue::NotSet,
        account_id: ActiveValue::Set(agent.account.id),
        contact_id: ActiveValue::Set(contact.id),
        user_id: ActiveValue::Set(Some(agent.user.row.id)),
        content: ActiveValue::Set(content),
        created_at: ActiveValue::Set(now),
        updated_at: ActiveValue::Set(now),
    };
    Ok(HttpResponse::Ok().json(shown(&handles, &note.insert(&handles.db.write).await?)))
}

/// Changes a note.
#[utoipa::path(patch, path = "", tag = "Contacts", request_body = NoteFields, responses((status = 200, description = "the note"), (status = 404, description = "no such note")))]
pub async fn update(
    handles: web::Data<Handles>,
    agent: Agent,
    path: web::Path<(i64, i64, i64)>,
    body: Body<NoteFields>,
) -> ApiResult<HttpResponse> {
    let mut note = find(&handles, &agent, path.1, path.2).await?.into_active_model();
    note.content = ActiveValue::Set(body.value.checked()?);
    note.updated_at = ActiveValue::Set(entity::now());
    Ok(HttpResponse::Ok().json(shown(&handles, &note.update(&handles.db.write).await?)))
}

/// Removes a note.
#[utoipa::path(delete, path = "", tag = "Contacts", responses((status = 200, description = "removed"), (status = 404, description = "no such note")))]
pub async fn remove(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64, i64)>) -> ApiResult<HttpResponse> {
    let note = find(&handles, &agent, path.1, path.2).await?;
    note::Entity::delete_by_id(note.id).exec(&handles.db.write).await?;
    Ok(HttpResponse::Ok().finish())
}

async fn find(handles: &Handles, agent: &Agent, contact_id: i64, id: i64) -> ApiResult<note::Model> {
    let found =
        note::Entity::find_by_id(id).filter(note::Column::AccountId.eq(agent.account.id)).filter(note::Column::ContactId.eq(contact_id));
    found.one(&handles.db.read).await?.ok_or_else(ApiError::not_found)
}

fn shown(handles: &Handles, note: &note::Model) -> Value {
    let user = note.user_id.and_then(|id| handles.catalog.now().user(id).cloned());
    json!({
        "id": note.id,
        "content": note.content,
        "account_id": note.account_id,
        "contact_id": note.contact_id,
        "user": user.map(|user| render::agent(handles, &user, note.account_id)),
        "created_at": epoch(note.created_at),
        "updated_at": epoch(note.updated_at),
    })
}
