//! What agents do, for the contact to see where its provider can show it. Nothing of it is kept or repeated.
use super::InboxActor;
use crate::channel::{Channel, ChannelError};
use crate::db::Db;
use actix::prelude::*;
use entity::message::{self, MessageType};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::time::Duration;

/// Later than this nobody wants to know.
const MOMENT: Duration = Duration::from_secs(10);

/// Show it to the contact of a conversation.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Show {
    /// In which conversation.
    pub conversation_id: i64,
    /// The contact's address in the inbox.
    pub source_id: String,
    /// What.
    pub what: What,
}

/// What an agent does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Types.
    Typing,
    /// Has read what the contact wrote.
    Reading,
}

impl Handler<Show> for InboxActor {
    type Result = ();

    fn handle(&mut self, show: Show, _: &mut Self::Context) {
        if self.channel.presence().is_none() {
            return;
        }
        let (channel, db, inbox_id) = (self.channel.clone(), self.surroundings.db.clone(), self.inbox.row.id);
        self.surroundings.pool.spawn(async move {
            match tokio::time::timeout(MOMENT, tell(channel.as_ref(), &db, &show)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::debug!(inbox.id = inbox_id, what = ?show.what, %error, "the contact could not be shown what an agent does")
                }
                Err(_) => tracing::debug!(inbox.id = inbox_id, what = ?show.what, "the provider takes too long to show what an agent does"),
            }
        });
    }
}

async fn tell(channel: &dyn Channel, db: &Db, show: &Show) -> Result<(), ChannelError> {
    let Some(presence) = channel.presence() else { return Ok(()) };
    let last = last_inbound(db, show.conversation_id).await.map_err(|error| ChannelError::temporary(error.to_string()))?;
    match (show.what, last) {
        (What::Typing, last) => presence.typing(&show.source_id, last.as_deref()).await,
        (What::Reading, Some(last)) => presence.read(&show.source_id, &last).await,
        (What::Reading, None) => Ok(()),
    }
}

/// The provider's id of what the contact wrote last.
async fn last_inbound(db: &Db, conversation_id: i64) -> Result<Option<String>, DbErr> {
    let last = message::Entity::find()
        .select_only()
        .column(message::Column::SourceId)
        .filter(message::Column::ConversationId.eq(conversation_id))
        .filter(message::Column::MessageType.eq(MessageType::Incoming))
        .filter(message::Column::SourceId.is_not_null())
        .order_by_desc(message::Column::Id)
        .limit(1);
    Ok(last.into_tuple::<Option<String>>().one(&db.read).await?.flatten())
}
