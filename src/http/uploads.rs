//! Files that belong to no message: uploads that are used later, and pictures of users and inboxes.
use super::auth::Agent;
use super::body::{Body, Request, UploadedFile, limits};
use super::error::{ApiError, ApiResult};
use super::fields;
use super::throttle::{Limit, Throttle};
use actix_web::{HttpRequest, HttpResponse, web};
use actors::files::{FileError, Stored};
use actors::system::Handles;
use entity::blob;
use sea_orm::{ActiveModelTrait, ConnectionTrait, DbErr, EntityTrait};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

/// A file, as the part `attachment` of a multipart body, or at an address.
#[derive(Deserialize, ToSchema)]
pub struct Upload {
    /// Where it is fetched from.
    #[serde(default, deserialize_with = "fields::text")]
    external_url: Option<String>,
}

impl Request for Upload {}

/// Stores a file; its `blob_id` is used by what needs a file.
#[utoipa::path(post, path = "", tag = "Files", request_body(content = Upload, content_type = "multipart/form-data"), responses((status = 200, description = "file_url, blob_id"), (status = 422, description = "there is no file")))]
pub async fn create(
    handles: web::Data<Handles>,
    agent: Agent,
    throttle: Throttle,
    request: HttpRequest,
    body: Body<Upload>,
) -> ApiResult<HttpResponse> {
    throttle.admit(Limit::Upload, agent.account.id)?;
    let (account_id, user_id) = (agent.account.id, Some(agent.user.row.id));
    let stored = match body.value.external_url.filter(|url| !url.trim().is_empty()) {
        Some(url) => fetch(&handles, url.trim(), limits(&request)?.file).await?.row(account_id, user_id).insert(&handles.db.write).await?,
        None => {
            let file = body.files.into_iter().find(|file| file.field == "attachment");
            let file = file.ok_or_else(|| ApiError::invalid("attachment", "attachment is missing"))?;
            store(&handles.db.write, account_id, user_id, file).await?
        }
    };
    let file_url = handles.files.url(&stored.key, &stored.file_name);
    Ok(HttpResponse::Ok().json(json!({ "file_url": file_url, "blob_id": stored.id })))
}

/// Stores a file that lies elsewhere, called as its address ends.
///
/// # Errors
/// 422 if it cannot be had, or is larger than `limit` bytes.
pub async fn fetch(handles: &Handles, url: &str, limit: u64) -> ApiResult<Stored> {
    let refused = |words: String| ApiError::invalid("external_url", format!("external_url: {words}"));
    let fetched = handles.egress.get(url).await.map_err(|failure| refused(failure.to_string()))?;
    if !(200..300).contains(&fetched.status) {
        return Err(refused(format!("the address answered {}", fetched.status)));
    }
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let name = path.splitn(4, '/').nth(3).and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    match handles.files.put(name, &fetched.content_type, fetched.bytes, limit).await {
        Err(FileError::Interrupted(cause)) => Err(refused(format!("the file broke off: {cause}"))),
        Err(FileError::TooLarge(limit)) => Err(refused(format!("the file is larger than {} MB", limit >> 20))),
        stored => Ok(stored?),
    }
}

/// The largest picture, in bytes.
const AVATAR_LIMIT: i64 = 15 << 20;

/// The types of pictures that every browser shows.
pub const PICTURES: &[&str] = &["image/png", "image/jpeg", "image/gif", "image/webp"];

/// The picture among the files of a body, if there is one.
///
/// # Errors
/// 422 if it is no picture that a browser shows.
pub fn avatar(files: Vec<UploadedFile>) -> ApiResult<Option<UploadedFile>> {
    let Some(file) = files.into_iter().find(|file| file.field == "avatar") else { return Ok(None) };
    if !PICTURES.contains(&file.stored().content_type.as_str()) {
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
