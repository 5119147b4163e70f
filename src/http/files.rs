//! Stored files, by their signed addresses. What a browser would run is served as a download, and nothing may run in its name.
use super::error::{ApiError, ApiResult};
use actix_web::http::header::{self, ContentDisposition, DispositionParam, DispositionType, ExtendedValue};
use actix_web::{HttpResponse, web};
use actors::files::is_shown_inline;
use actors::system::Handles;
use entity::blob;
use futures_util::TryStreamExt;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

/// A stored file.
#[utoipa::path(get, path = "", tag = "Files", responses((status = 200, description = "the file"), (status = 404, description = "no such file, or a wrong signature")))]
pub async fn show(handles: web::Data<Handles>, path: web::Path<(String, String)>) -> ApiResult<HttpResponse> {
    let key = handles.files.verify(&path.0).ok_or_else(ApiError::not_found)?;
    let blob = blob::Entity::find().filter(blob::Column::Key.eq(key)).one(&handles.db.read).await?.ok_or_else(ApiError::not_found)?;
    let stream = handles.files.stream(&blob.key).await?.map_err(|error| {
        tracing::error!(%error, "serving a file");
        actix_web::error::ErrorInternalServerError("the file could not be read to its end")
    });
    let is_inline = is_shown_inline(&blob.content_type);
    let name =
        ExtendedValue { charset: header::Charset::Ext("UTF-8".into()), language_tag: None, value: blob.file_name.clone().into_bytes() };
    let disposition = ContentDisposition {
        disposition: if is_inline { DispositionType::Inline } else { DispositionType::Attachment },
        parameters: vec![DispositionParam::FilenameExt(name)],
    };
    let content_type = if is_inline { blob.content_type.as_str() } else { "application/octet-stream" };
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header(disposition)
        .insert_header((header::CONTENT_LENGTH, blob.byte_size.to_string()))
        .insert_header((header::CACHE_CONTROL, "private, max-age=31536000, immutable"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"))
        .insert_header(("cross-origin-resource-policy", "cross-origin"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .streaming(stream))
}
