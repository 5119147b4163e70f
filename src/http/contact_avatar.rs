//! Pictures of contacts that are stored here: on their way in with a contact's fields, and out again.
use super::auth::Agent;
use super::body::UploadedFile;
use super::contacts::{answer, of_account};
use super::error::{ApiError, ApiResult};
use actix_web::{HttpResponse, web};
use actors::contacts::Update;
use actors::files::{Stored, is_shown_inline};
use actors::system::Handles;
use entity::blob;
use sea_orm::{ActiveModelTrait, ActiveValue};

/// A picture that is stored, for a contact that does not have it yet.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The row of the file.
    pub blob_id: i64,
    /// `key/file name`.
    pub place: String,
}

/// Keeps the picture among the files of a request; the others are not kept.
///
/// # Errors
/// 422 if it is no picture.
pub async fn store(handles: &Handles, agent: &Agent, files: Vec<UploadedFile>) -> ApiResult<Option<Picture>> {
    let (pictures, others): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.field == "avatar");
    let mut pictures = pictures.into_iter().map(|file| file.stored);
    let picture = pictures.next();
    for stored in others.into_iter().map(|file| file.stored).chain(pictures) {
        handles.files.delete(&stored.key).await?;
    }
    let Some(stored) = picture else { return Ok(None) };
    if !stored.content_type.starts_with("image/") || !is_shown_inline(&stored.content_type) {
        handles.files.delete(&stored.key).await?;
        return Err(ApiError::invalid("avatar", "avatar must be a PNG, JPEG, GIF or WebP picture"));
    }
    let place = format!("{}/{}", stored.key, stored.file_name);
    Ok(Some(Picture { blob_id: keep(handles, agent.account.id, stored).await?, place }))
}

/// The row of a stored file; its id.
///
/// # Errors
/// If the database fails.
pub async fn keep(handles: &Handles, account_id: i64, stored: Stored) -> ApiResult<i64> {
    let row = blob::ActiveModel {
        id: ActiveValue::NotSet,
        account_id: ActiveValue::Set(account_id),
        key: ActiveValue::Set(stored.key),
        file_name: ActiveValue::Set(stored.file_name),
        content_type: ActiveValue::Set(stored.content_type),
        byte_size: ActiveValue::Set(stored.byte_size),
        checksum: ActiveValue::Set(stored.checksum),
        uploader_id: ActiveValue::Set(None),
        created_at: ActiveValue::Set(entity::now()),
    };
    Ok(row.insert(&handles.db.write).await?.id)
}

/// The refusal of a request, after its picture is removed again.
///
/// # Errors
/// Always the refusal.
pub async fn withdrawn(handles: &Handles, picture: Option<Picture>, refused: ApiError) -> ApiResult<HttpResponse> {
    if let Some(picture) = picture {
        handles.contacts.discard(picture.blob_id).await?;
    }
    Err(refused)
}

/// Takes a contact's picture away.
#[utoipa::path(delete, path = "", tag = "Contacts", responses((status = 200, description = "payload: the contact"), (status = 404, description = "no such contact")))]
pub async fn remove(handles: web::Data<Handles>, agent: Agent, path: web::Path<(i64, i64)>) -> ApiResult<HttpResponse> {
    let row = of_account(&handles, &agent, path.1).await?;
    let updated = handles.contacts.update(&agent.account, row, Update { avatar_url: Some(None), ..Update::default() }).await?;
    answer(&handles, &updated).await
}
