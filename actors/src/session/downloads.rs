//! The queue of files that the provider still has: fetched after their message is stored, one of a message at a time, several
//! messages at once. A file that never comes leaves a note with its message.
use super::Session;
use crate::channel::{ChannelError, Intake, SessionStatus};
use crate::conversation::{ConversationError, Outcome};
use crate::message::RemoteFile;
use crate::outbox::{self, Flow, Queue};
use crate::store::{NewFile, StoreError};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use entity::{download, message};
use sea_orm::sea_query::{Alias, Expr, Query};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, Select};

/// How long a file is asked for: the providers keep files for a week or more.
const GIVE_UP_AFTER: chrono::Duration = chrono::Duration::days(7);
/// How many files of an inbox at once.
const AT_ONCE: usize = 4;

/// The files that wait in an inbox.
#[derive(Clone)]
pub struct Downloads(pub Session);

#[async_trait]
impl Queue for Downloads {
    type Row = download::Model;

    fn lane(row: &download::Model) -> i64 {
        row.message_id
    }

    fn slots(&self) -> usize {
        AT_ONCE
    }

    async fn due(&self, busy: &[i64], now: DateTime<Utc>, limit: u64) -> Result<Vec<download::Model>, DbErr> {
        let due = self.heads(busy).filter(download::Column::DueAt.lte(now)).order_by_asc(download::Column::MessageId);
        due.limit(limit).all(&self.0.db.read).await
    }

    async fn next_due(&self, busy: &[i64]) -> Result<Option<DateTime<Utc>>, DbErr> {
        let first = self.heads(busy).order_by_asc(download::Column::DueAt).one(&self.0.db.read).await?;
        Ok(first.map(|row| row.due_at))
    }

    async fn work(&self, row: download::Model) -> Flow {
        match self.fetch(&row).await {
            Ok(()) => Flow::Continue,
            Err(error @ ChannelError::NeedsAttention(_)) => Flow::End(error),
            Err(error) => self.later(&row, error).await,
        }
    }
}

impl Downloads {
    /// The first file of each message that is not busy.
    fn heads(&self, busy: &[i64]) -> Select<download::Entity> {
        use download::Column;
        let earlier = Alias::new("earlier");
        let of_earlier = |column: Column| Expr::col((earlier.clone(), column));
        let before = Query::select()
            .expr(Expr::val(1))
            .from_as(download::Entity, earlier.clone())
            .and_where(of_earlier(Column::InboxId).eq(Expr::col((download::Entity, Column::InboxId))))
            .and_where(of_earlier(Column::MessageId).eq(Expr::col((download::Entity, Column::MessageId))))
            .and_where(of_earlier(Column::Id).lt(Expr::col((download::Entity, Column::Id))))
            .take();
        download::Entity::find()
            .filter(Column::InboxId.eq(self.0.inbox.row.id))
            .filter(Column::MessageId.is_not_in(busy.iter().copied()))
            .filter(Expr::exists(before).not())
    }

    async fn fetch(&self, row: &download::Model) -> Result<(), ChannelError> {
        let session = &self.0;
        let file: RemoteFile = match serde_json::from_value(row.file.clone()) {
            Ok(file) => file,
            Err(error) => return self.lost(row, String::new(), format!("its reference cannot be read: {error}")).await,
        };
        let limit = session.channel.capabilities().attachment_limit;
        let Some(media) = session.channel.media() else {
            return self.lost(row, file.file_name, "the channel fetches no files".into()).await;
        };
        if file.byte_size.is_some_and(|size| size > limit) {
            return self.lost(row, file.file_name, format!("larger than {} MB", limit >> 20)).await;
        }
        let bytes = match media.fetch(&file, limit).await {
            Ok(bytes) => bytes,
            Err(ChannelError::Rejected(reason)) => return self.lost(row, file.file_name, reason).await,
            Err(error) => return Err(error),
        };
        session.status(SessionStatus::Useful);
        let stored = session.files.put_bytes(&file.file_name, &file.content_type, bytes, limit).await;
        let stored = stored.map_err(|error| ChannelError::temporary(format!("storing a file: {error}")))?;
        let (unkept, key) = (session.files.unkept(&stored), stored.key.clone());
        let file = Box::new(NewFile { stored, uploader_id: None, blob_id: None });
        let settled = self.settle(row, Outcome::Fetched { download_id: row.id, file }).await;
        match settled {
            Ok(is_shown) if is_shown(&key) => unkept.keep(),
            // The message was taken back, or removed, meanwhile.
            Ok(_) => {}
            Err(error) => {
                if error.leaves_doubt() {
                    unkept.keep();
                }
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// The file will never come.
    async fn lost(&self, row: &download::Model, file_name: String, reason: String) -> Result<(), ChannelError> {
        tracing::info!(inbox.id = row.inbox_id, message.id = row.message_id, reason, "a file of a message is not to be had");
        self.settle(row, Outcome::Lost { download_id: row.id, file_name, reason }).await.map(drop).map_err(Into::into)
    }

    /// Has it stored what became of a file; answers whether a stored file belongs to the message now.
    async fn settle(&self, row: &download::Model, outcome: Outcome) -> Result<impl Fn(&str) -> bool, ConversationError> {
        let settled = self.0.settle(row.conversation_id, row.message_id, outcome).await;
        let messages = match settled {
            Ok(recorded) => recorded.messages,
            Err(ConversationError::NotFound) if self.is_gone(row).await.map_err(StoreError::from)? => Vec::new(),
            Err(error) => return Err(error),
        };
        Ok(move |key: &str| {
            let mut attachments = messages.iter().flat_map(|view| &view.attachments);
            attachments.any(|attachment| attachment.meta.get("key").is_some_and(|stored| stored == key))
        })
    }

    async fn later(&self, row: &download::Model, error: ChannelError) -> Flow {
        let retry_after = match &error {
            ChannelError::Temporary { retry_after, .. } => *retry_after,
            _ => None,
        };
        let failures = row.failures.saturating_add(1);
        let due_at = outbox::later(failures, retry_after, row.created_at, GIVE_UP_AFTER, entity::now());
        let noted = match due_at {
            Some(due_at) => {
                let tried = download::Entity::update_many()
                    .col_expr(download::Column::Failures, Expr::value(failures))
                    .col_expr(download::Column::DueAt, Expr::value(due_at))
                    .col_expr(download::Column::LastError, Expr::value(error.to_string()))
                    .filter(download::Column::Id.eq(row.id));
                tried.exec(&self.0.db.write).await.map(drop).map_err(|error| ChannelError::temporary(error.to_string()))
            }
            None => {
                let name = row.file.get("file_name").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
                self.lost(row, name, format!("given up after {failures} tries: {error}")).await
            }
        };
        match noted {
            Ok(()) => Flow::Continue,
            // As the queue itself does when the database fails: the session ends, and begins again after a pause.
            Err(error) => Flow::End(error),
        }
    }

    async fn is_gone(&self, row: &download::Model) -> Result<bool, DbErr> {
        if message::Entity::find_by_id(row.message_id).one(&self.0.db.read).await?.is_some() {
            return Ok(false);
        }
        download::Entity::delete_by_id(row.id).exec(&self.0.db.write).await?;
        Ok(true)
    }
}
