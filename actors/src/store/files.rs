//! What messages carry: files that came along become rows of `blobs` and `attachments`, files that the provider still has rows of
//! `downloads`.
use super::rows::{self, Ids};
use super::{ChangedMessage, NewFile, NewMessage, Record};
use crate::wire::{VOICE_MESSAGE, set};
use entity::{attachment, download, message};
use sea_orm::{ActiveModelTrait, ActiveValue, ConnectionTrait, DbErr, EntityTrait};
use serde_json::json;
use std::collections::HashSet;

/// Stores what new messages carry, and what changed ones carry from now on; their views show it then.
pub async fn insert(db: &impl ConnectionTrait, ids: &mut Ids, records: &mut [Record], repeated: &HashSet<usize>) -> Result<(), DbErr> {
    let (mut attachments, mut downloads) = (Vec::new(), Vec::new());
    for (position, record) in records.iter_mut().enumerate() {
        if repeated.contains(&position) {
            continue;
        }
        for NewMessage { view, files, downloads: remote } in &mut record.messages {
            for file in files.drain(..) {
                view.attachments.push(attach(db, ids, &view.message, file).await?);
            }
            // Those that are there already (places, contacts) have no ids yet.
            for attachment in view.attachments.iter_mut().filter(|attachment| attachment.id == 0) {
                attachment.id = ids.attachment();
                attachment.message_id = view.message.id;
            }
            attachments.extend(view.attachments.iter().cloned());
            for file in remote.drain(..) {
                let file = serde_json::to_value(file).map_err(|error| DbErr::Custom(format!("a file has no JSON form: {error}")))?;
                downloads.push(waiting(&view.message, file));
            }
        }
        for ChangedMessage { before, after, files } in &mut record.changed_messages {
            for file in files.drain(..) {
                let attachment = attach(db, ids, after, file).await?;
                attachments.push(attachment.clone());
                before.attachments.push(attachment);
            }
        }
    }
    rows::insert::<attachment::Entity>(db, attachments).await?;
    if !downloads.is_empty() {
        download::Entity::insert_many(downloads).exec_without_returning(db).await?;
    }
    Ok(())
}

/// The attachment that a stored file becomes, and the row of the file where it has none yet.
async fn attach(db: &impl ConnectionTrait, ids: &mut Ids, message: &message::Model, file: NewFile) -> Result<attachment::Model, DbErr> {
    let stored = file.stored;
    let blob_id = match file.blob_id {
        Some(id) => id,
        None => stored.row(message.account_id, file.uploader_id).insert(db).await?.id,
    };
    let mut meta = json!({
        "key": stored.key, "file_name": stored.file_name, "content_type": stored.content_type, "byte_size": stored.byte_size,
    });
    let file_type = crate::files::file_type(&stored.content_type);
    let is_spoken = [&message.additional_attributes, &message.content_attributes]
        .into_iter()
        .any(|attributes| attributes.get(VOICE_MESSAGE).is_some_and(|is_voice| is_voice == true));
    if file_type == "audio" && is_spoken {
        set(&mut meta, VOICE_MESSAGE, true.into());
    }
    Ok(attachment::Model {
        id: ids.attachment(),
        account_id: message.account_id,
        message_id: message.id,
        file_type: file_type.to_owned(),
        blob_id: Some(blob_id),
        external_url: None,
        coordinates_lat: None,
        coordinates_long: None,
        fallback_title: None,
        meta,
        created_at: message.created_at,
    })
}

/// A file to be fetched.
fn waiting(message: &message::Model, file: serde_json::Value) -> download::ActiveModel {
    let now = entity::now();
    download::ActiveModel {
        id: ActiveValue::NotSet,
        inbox_id: ActiveValue::Set(message.inbox_id),
        conversation_id: ActiveValue::Set(message.conversation_id),
        message_id: ActiveValue::Set(message.id),
        file: ActiveValue::Set(file),
        failures: ActiveValue::Set(0),
        due_at: ActiveValue::Set(now),
        last_error: ActiveValue::Set(None),
        created_at: ActiveValue::Set(now),
    }
}
