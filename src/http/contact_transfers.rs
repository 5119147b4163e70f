//! Imports and exports of contacts: rows of `contact_transfers`, worked off beside the requests that asked for them.
//!
//! A request waits a moment for its transfer, so a small one is done with the answer; a large one goes on. One that a stop of
//! the daemon cut off begins anew at the next start: importing a row again changes nothing. Of each direction an account keeps
//! only the latest, with its file.
use super::audit::{self, Author};
use super::error::{ApiError, ApiResult};
use super::{contact_export, contact_import};
use actix_web::HttpResponse;
use actors::system::Handles;
use actors::wire::{epoch, set};
use entity::contact_transfer::{ActiveModel, Column, Direction, Entity, Model};
use entity::{account, blob};
use sea_orm::{ActiveModelTrait, ActiveValue, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, TransactionTrait};
use serde_json::{Value, json};
use std::time::Duration;

/// How long a request waits for its transfer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest file that is written.
const RESULT_LIMIT: u64 = 1 << 30;

/// A transfer that is asked for.
pub struct Asked {
    /// By whom, and in which account, as the audit log has it.
    pub author: Author,
    /// By whom.
    pub user_id: i64,
    /// Which way.
    pub direction: Direction,
    /// What exactly.
    pub options: Value,
    /// The file that is imported.
    pub source_blob_id: Option<i64>,
}

/// What came of a transfer.
#[derive(Default)]
pub struct Outcome {
    /// So many contacts went over.
    pub done: usize,
    /// So many rows did not.
    pub rejected: usize,
    /// The exported contacts, or the rejected rows.
    pub csv: Option<Vec<u8>>,
}

/// Begins a transfer and waits a moment for its end.
///
/// # Errors
/// If it cannot be noted.
pub async fn begin(handles: &Handles, asked: Asked) -> ApiResult<HttpResponse> {
    let row = ActiveModel {
        id: ActiveValue::NotSet,
        account_id: ActiveValue::Set(asked.author.account_id),
        user_id: ActiveValue::Set(asked.user_id),
        direction: ActiveValue::Set(asked.direction),
        options: ActiveValue::Set(asked.options),
        source_blob_id: ActiveValue::Set(asked.source_blob_id),
        result_blob_id: ActiveValue::Set(None),
        rows_done: ActiveValue::Set(0),
        rows_rejected: ActiveValue::Set(0),
        error: ActiveValue::Set(None),
        created_at: ActiveValue::Set(entity::now()),
        finished_at: ActiveValue::Set(None),
    };
    let transaction = handles.db.write.begin().await?;
    let transfer = row.insert(&transaction).await?;
    let kind = match transfer.direction {
        Direction::Import => "DataImport",
        Direction::Export => "DataExport",
    };
    audit::created(&transaction, &asked.author, (kind, transfer.id), &json!({ "options": transfer.options })).await?;
    transaction.commit().await?;
    let work = actix_web::rt::spawn(work(handles.clone(), transfer));
    // Whoever does not wait any longer leaves it to go on.
    let _ = tokio::time::timeout(PATIENCE, work).await;
    Ok(HttpResponse::Ok().finish())
}

/// Takes up what a stop of the daemon cut off.
///
/// # Errors
/// If the database fails.
pub async fn resume(handles: &Handles) -> Result<(), sea_orm::DbErr> {
    for transfer in Entity::find().filter(Column::FinishedAt.is_null()).order_by_asc(Column::Id).all(&handles.db.read).await? {
        actix_web::rt::spawn(work(handles.clone(), transfer));
    }
    Ok(())
}

/// The latest transfer of an account.
///
/// # Errors
/// 404 if there was none.
pub async fn latest(handles: &Handles, account_id: i64, direction: Direction) -> ApiResult<HttpResponse> {
    let of_account = Entity::find().filter(Column::AccountId.eq(account_id)).filter(Column::Direction.eq(direction));
    let latest = of_account.order_by_desc(Column::Id).one(&handles.db.read).await?.ok_or_else(ApiError::not_found)?;
    let file = match latest.result_blob_id {
        Some(id) => blob::Entity::find_by_id(id).one(&handles.db.read).await?,
        None => None,
    };
    let mut shown = json!({
        "id": latest.id,
        "user_id": latest.user_id,
        "status": match (&latest.finished_at, &latest.error) { (None, _) => "running", (_, None) => "finished", _ => "failed" },
        "rows_done": latest.rows_done,
        "rows_rejected": latest.rows_rejected,
        "error": latest.error,
        "created_at": epoch(latest.created_at),
        "finished_at": latest.finished_at.map(epoch),
    });
    set(&mut shown, "file_url", file.map(|file| handles.files.url(&file.key, &file.file_name)).into());
    Ok(HttpResponse::Ok().json(json!({ "payload": shown })))
}

async fn work(handles: Handles, transfer: Model) {
    let (id, account_id) = (transfer.id, transfer.account_id);
    let finished = match handles.catalog.now().account(account_id).cloned() {
        Some(account) => run(&handles, &account, transfer).await,
        None => Err(ApiError::not_found()),
    };
    if let Err(error) = finished {
        // Not finished: the next start takes it up again.
        tracing::error!(transfer.id = id, account.id = account_id, ?error, "a transfer of contacts could not be finished");
    }
}

async fn run(handles: &Handles, account: &account::Model, transfer: Model) -> ApiResult<()> {
    let outcome = match transfer.direction {
        Direction::Import => contact_import::run(handles, account, &transfer).await,
        Direction::Export => contact_export::run(handles, account, &transfer).await,
    };
    let (outcome, error) = match outcome {
        Ok(outcome) => (outcome, None),
        // A failure of ours may pass; what is wrong with the request stays wrong.
        Err(error) if error.status().is_server_error() => return Err(error),
        Err(error) => (Outcome::default(), Some(error.to_string())),
    };
    let result = match outcome.csv {
        Some(csv) => {
            let name = match transfer.direction {
                Direction::Import => "rejected-contacts.csv",
                Direction::Export => "contacts.csv",
            };
            let stored = handles.files.put_bytes(name, "text/csv", csv.into(), RESULT_LIMIT).await?;
            Some(stored.row(account.id, None).insert(&handles.db.write).await?.id)
        }
        None => None,
    };
    let (id, source) = (transfer.id, transfer.source_blob_id);
    let direction = transfer.direction;
    let mut row = transfer.into_active_model();
    row.result_blob_id = ActiveValue::Set(result);
    row.rows_done = ActiveValue::Set(i32::try_from(outcome.done).unwrap_or(i32::MAX));
    row.rows_rejected = ActiveValue::Set(i32::try_from(outcome.rejected).unwrap_or(i32::MAX));
    row.error = ActiveValue::Set(error);
    row.source_blob_id = ActiveValue::Set(None);
    row.finished_at = ActiveValue::Set(Some(entity::now()));
    row.update(&handles.db.write).await?;
    if let Some(source) = source {
        handles.contacts.discard(source).await?;
    }
    forget_before(handles, account.id, direction, id).await
}

/// Removes earlier transfers with their files, which hold what customers entrusted to the account.
async fn forget_before(handles: &Handles, account_id: i64, direction: Direction, id: i64) -> ApiResult<()> {
    let earlier = Entity::find()
        .filter(Column::AccountId.eq(account_id))
        .filter(Column::Direction.eq(direction))
        .filter(Column::Id.lt(id))
        .filter(Column::FinishedAt.is_not_null());
    for transfer in earlier.all(&handles.db.read).await? {
        Entity::delete_by_id(transfer.id).exec(&handles.db.write).await?;
        if let Some(result) = transfer.result_blob_id {
            handles.contacts.discard(result).await?;
        }
    }
    Ok(())
}
