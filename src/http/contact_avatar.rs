//! Pictures of contacts that are stored here: on their way in with a contact's fields, and out again.
use super::auth::Agent;
use super::body::UploadedFile;
use super::contacts::{answer, of_account};
use super::error::{ApiError, ApiResult};
use super::uploads;
use actix_web::{HttpResponse, web};
use actors::contacts::Update;
use actors::system::Handles;

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
    let Some(file) = uploads::avatar(files)? else { return Ok(None) };
    let row = uploads::store(&handles.db.write, agent.account.id, None, file).await?;
    Ok(Some(Picture { blob_id: row.id, place: format!("{}/{}", row.key, row.file_name) }))
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
    let update = Update { avatar_url: Some(None), performer: Some(agent.card()), ..Update::default() };
    let updated = handles.contacts.update(&agent.account, row, update).await?;
    answer(&handles, &updated).await
}
