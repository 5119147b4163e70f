//! Files that belong to no message: uploads that are used later, and pictures of users and inboxes.
use super::auth::Agent;
use super::body::{Body, Request, UploadedFile};
use super::error::{ApiError, ApiResult};
use super::fields;
use super::throttle::{Limit, Throttle};
use actix_web::{HttpResponse, web};
use actors::system::Handles;
use entity::blob;
use sea_orm::{ActiveModelTrait, ConnectionTrait, DbErr, EntityTrait};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

/// A file, as the part `attachment` of a multipart body.
#[derive(Deserialize, ToSchema)]
pub struct Upload {
    #[serde(default, deserialize_with = "fields::text")]
    external_url: Option<String>,
}

impl Request for Upload {}

/// Stores a file; its `blob_id` is used by what needs a file.
#[utoipa::path(post, path = "", tag = "Files", request_body(content = Upload, content_type = "multipart/form-data"), responses((status = 200, description = "file_url, blob_id"), (status = 422, description = "there is no file")))]
pub async fn create(handles: web::Data<Handles>, agent: Agent, throttle: Throttle, body: Body<Upload>) -> ApiResult<HttpResponse> {
    throttle.admit(Limit::Upload, agent.account.id)?;
    if body.value.external_url.is_some() {
        return Err(ApiError::invalid("external_url", "external_url: this version fetches no files; send the file itself as attachment"));
    }
    let file = body.files.into_iter().find(|file| file.field == "attachment");
    let file = file.ok_or_else(|| ApiError::invalid("attachment", "attachment is missing"))?;
    let stored = store(&handles.db.write, agent.account.id, Some(agent.user.row.id), file).await?;
    let file_url = handles.files.url(&stored.key, &stored.file_name);
    Ok(HttpResponse::Ok().json(json!({ "file_url": file_url, "blob_id": stored.id })))
}

/// The largest picture, in bytes.
const AVATAR_LIMIT: i64 = 15 << 20;

/// The picture among the files of a body, if there is one.
///
/// # Errors
/// 422 if it is no picture that a browser shows.
pub fn avatar(files: Vec<UploadedFile>) -> ApiResult<Option<UploadedFile>> {
    let Some(file) = files.into_iter().find(|file| file.field == "avatar") else { return Ok(None) };
    const SHOWN: &[&str] = &["image/png", "image/jpeg", "image/gif", "image/webp"];
    if !SHOWN.contains(&file.stored().content_type.as_str()) {
        return Err(ApiError::invalid("avatar", "avatar: expected a PNG, JPEG, GIF or WebP picture"));
    }
    if file.stored().byte_size > AVATAR_LIMIT {
        return Err(ApiError::invalid("avatar", format!("avatar is larger than {} MB", AVATAR_LIMIT >> 20)));
    }
    Ok(Some(file))
}

/// Notes a stored file.
///
/// # Errors
/// If the database fails.
pub async fn store(db: &impl ConnectionTrait, account_id: i64, uploader_id: Option<i64>, file: UploadedFile) -> Result<blob::Model, DbErr> {
    file.keep().row(account_id, uploader_id).insert(db).await
}

/// Removes a file that nothing names any more.
///
/// # Errors
/// If the database fails. A file that the store does not let go of is logged: nobody has its address.
pub async fn discard(handles: &Handles, blob_id: i64) -> ApiResult<()> {
    let Some(row) = blob::Entity::find_by_id(blob_id).one(&handles.db.read).await? else { return Ok(()) };
    blob::Entity::delete_by_id(row.id).exec(&handles.db.write).await?;
    if let Err(error) = handles.files.delete(&row.key).await {
        tracing::warn!(%error, blob.id = row.id, "a file that nothing names any more stays in the store");
    }
    Ok(())
}
