//! Files that are uploaded before the message that carries them: announced, put to the address given, then named in
//! `attachments` by the signed id.
use super::auth::Agent;
use super::body::{self, Body, Request};
use super::error::{ApiError, ApiResult};
use super::fields;
use super::scope::find;
use actix_web::{HttpRequest, HttpResponse, web};
use actors::files::Stored;
use actors::store::NewFile;
use actors::system::Handles;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use entity::blob;
use futures_util::StreamExt;
use md5::{Digest, Md5};
use sea_orm::{ActiveModelTrait, ActiveValue, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use utoipa::ToSchema;

/// What stands before the announced checksum of a file that has not come yet.
const AWAITED: &str = "md5:";

/// A file that is going to be uploaded.
#[derive(Deserialize, ToSchema)]
pub struct UploadFields {
    filename: String,
    #[serde(deserialize_with = "fields::id")]
    byte_size: i64,
    /// MD5 of the bytes in Base64.
    checksum: String,
    #[serde(default, deserialize_with = "fields::text")]
    content_type: Option<String>,
}

impl UploadFields {
    /// What it is said to be.
    pub fn content_type(&self) -> &str {
        self.content_type.as_deref().unwrap_or_default()
    }
}

impl Request for UploadFields {
    const ENVELOPE: Option<&'static str> = Some("blob");
}

/// Announces a file; the answer says where to put it.
#[utoipa::path(post, path = "", tag = "Files", request_body = UploadFields, responses((status = 200, description = "signed_id, and direct_upload: url, headers"), (status = 422, description = "a field is wrong")))]
pub async fn create(
    handles: web::Data<Handles>,
    agent: Agent,
    path: web::Path<(i64, i64)>,
    request: HttpRequest,
    body: Body<UploadFields>,
) -> ApiResult<HttpResponse> {
    find(&handles, &agent, path.1).await?;
    announce(&handles, &request, (agent.account.id, Some(agent.user.row.id)), body.value).await
}

/// The same for whoever may; the account, and the user who brings it, if one does.
///
/// # Errors
/// 422 naming a field.
pub async fn announce(
    handles: &Handles,
    request: &HttpRequest,
    (account_id, uploader_id): (i64, Option<i64>),
    fields: UploadFields,
) -> ApiResult<HttpResponse> {
    let limits = body::limits(request)?;
    if u64::try_from(fields.byte_size).map_or(true, |size| size > limits.file) {
        return Err(ApiError::invalid("byte_size", format!("byte_size: a file has between 0 and {} bytes", limits.file)));
    }
    if STANDARD.decode(&fields.checksum).map_or(true, |digest| digest.len() != 16) {
        return Err(ApiError::invalid("checksum", "checksum is not the Base64 form of an MD5 digest"));
    }
    let content_type = fields.content_type.filter(|kind| !kind.is_empty()).unwrap_or_else(|| "application/octet-stream".into());
    let announced = Stored {
        key: hex::encode(rand::random::<[u8; 16]>()),
        file_name: actors::files::clean_name(&fields.filename),
        content_type,
        byte_size: fields.byte_size,
        checksum: format!("{AWAITED}{}", fields.checksum),
    };
    let row = announced.row(account_id, uploader_id);
    let row = row.insert(&handles.db.write).await?;
    Ok(HttpResponse::Ok().json(json!({
        "id": row.id,
        "key": row.key,
        "filename": row.file_name,
        "content_type": row.content_type,
        "byte_size": row.byte_size,
        "checksum": fields.checksum,
        "signed_id": handles.files.signed(&row.key),
        "direct_upload": {
            "url": handles.files.url(&row.key, &row.file_name),
            "headers": { "Content-Type": row.content_type, "Content-MD5": fields.checksum },
        },
    })))
}

/// Takes the bytes of a file that was announced, once; they must be those announced.
#[utoipa::path(put, path = "", tag = "Files", responses((status = 204, description = "stored"), (status = 422, description = "other bytes than announced")))]
pub async fn put(
    handles: web::Data<Handles>,
    path: web::Path<(String, String)>,
    request: HttpRequest,
    payload: web::Payload,
) -> ApiResult<HttpResponse> {
    let limits = body::limits(&request)?;
    let key = handles.files.verify(&path.0).ok_or_else(ApiError::not_found)?;
    let row = blob::Entity::find().filter(blob::Column::Key.eq(key)).one(&handles.db.read).await?.ok_or_else(ApiError::not_found)?;
    let announced = row.checksum.strip_prefix(AWAITED).ok_or_else(ApiError::not_found)?.to_owned();
    let digest = Arc::new(Mutex::new(Md5::new()));
    let stored = receive(&handles, &row, digest.clone(), payload, limits.file).await?;
    let digest = std::mem::take(&mut *digest.lock().unwrap_or_else(PoisonError::into_inner)).finalize();
    if stored.byte_size != row.byte_size || STANDARD.encode(digest) != announced {
        handles.files.delete(&stored.key).await?;
        return Err(ApiError::unprocessable("The bytes are not those that were announced: byte_size or checksum differs"));
    }
    let mut row = row.into_active_model();
    row.content_type = ActiveValue::Set(stored.content_type);
    row.checksum = ActiveValue::Set(stored.checksum);
    row.update(&handles.db.write).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn receive(
    handles: &Handles,
    row: &blob::Model,
    digest: Arc<Mutex<Md5>>,
    mut payload: web::Payload,
    limit: u64,
) -> ApiResult<Stored> {
    // A payload is not Send; what crosses to the store are its chunks.
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<bytes::Bytes, String>>(4);
    let chunks = futures_util::stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|chunk| (chunk, receiver)) });
    let storing = handles.files.put_at(&row.key, &row.file_name, &row.content_type, chunks.boxed(), limit);
    let reading = async {
        while let Some(chunk) = payload.next().await {
            if let Ok(chunk) = &chunk {
                digest.lock().unwrap_or_else(PoisonError::into_inner).update(chunk);
            }
            if sender.send(chunk.map_err(|error| error.to_string())).await.is_err() {
                break;
            }
        }
        drop(sender);
    };
    let (stored, ()) = futures_util::future::join(storing, reading).await;
    Ok(stored?)
}

/// The files that signed ids name, for a message of the account.
///
/// # Errors
/// 422 if an id is not ours, or its file has not come yet.
pub async fn named(handles: &Handles, account_id: i64, signed_ids: &[String]) -> ApiResult<Vec<NewFile>> {
    let mut files = Vec::with_capacity(signed_ids.len());
    for signed_id in signed_ids.iter().filter(|id| !id.is_empty()) {
        let key = handles.files.verify(signed_id).ok_or_else(|| refused("neither a file nor the signed id of one"))?;
        let of_account = blob::Entity::find().filter(blob::Column::Key.eq(key)).filter(blob::Column::AccountId.eq(account_id));
        let row = of_account.one(&handles.db.read).await?.ok_or_else(|| refused("no such upload"))?;
        files.push(arrived(row)?);
    }
    Ok(files)
}

/// The files of the account with these ids, for a message.
///
/// # Errors
/// 422 if one is not there, or has not come yet.
pub async fn kept(handles: &Handles, account_id: i64, ids: &[i64]) -> ApiResult<Vec<NewFile>> {
    let of_account =
        blob::Entity::find().filter(blob::Column::Id.is_in(ids.iter().copied())).filter(blob::Column::AccountId.eq(account_id));
    let mut rows: HashMap<i64, blob::Model> = of_account.all(&handles.db.read).await?.into_iter().map(|row| (row.id, row)).collect();
    let mut files = Vec::with_capacity(ids.len());
    for id in ids {
        files.push(arrived(rows.remove(id).ok_or_else(|| refused(format!("there is no file {id}")))?)?);
    }
    Ok(files)
}

fn arrived(row: blob::Model) -> ApiResult<NewFile> {
    if row.checksum.starts_with(AWAITED) {
        return Err(refused("the file has not been uploaded yet"));
    }
    Ok(row.into())
}

fn refused(words: impl Display) -> ApiError {
    ApiError::invalid("attachments", format!("attachments: {words}"))
}
