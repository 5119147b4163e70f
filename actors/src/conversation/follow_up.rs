//! What becomes of answers that the contact has not seen in time: they go to it by mail, or nobody waits for them any more.
use super::{ConversationError, Work, load};
use crate::catalog::Inbox;
use crate::continuity;
use crate::store::{Recorded, Row, StoreError};
use entity::follow_up;
use sea_orm::EntityTrait;
use std::sync::Arc;

impl Work {
    /// Mails the contact what was answered since the row of `follow_ups` and was not seen; whoever wrote after an answer has seen it.
    pub(super) async fn follow_up(&mut self, inbox: Arc<Inbox>, conversation_id: i64) -> Result<Recorded, ConversationError> {
        let known = self.known(conversation_id).await?;
        let waiting = follow_up::Entity::find_by_id(conversation_id).one(&self.surroundings.db.read).await.map_err(StoreError::from)?;
        let mut record = self.record(&inbox, self.person()?, Row::Kept(known.row.clone()), Some(&known));
        record.can_reply = known.can_reply(&inbox, entity::now());
        let Some(waiting) = waiting else { return Ok(record.unchanged()) };
        record.followed_up = true;
        let contact = record.contact.after();
        let recipient = contact.email.clone().filter(|email| !email.is_empty() && !contact.blocked && continuity::is_continued(&inbox));
        if let Some(recipient) = recipient {
            let seen_at = known.row.contact_last_seen_at.max(known.heard_at());
            let answers = load::unseen(&self.surroundings, conversation_id, waiting.message_id, seen_at).await?;
            let reply_to = continuity::mailbox(&self.surroundings.catalog.now(), inbox.row.account_id);
            record.mails.extend(continuity::mail(&inbox, &known.row, recipient, &answers, reply_to));
        }
        self.commit(record, None).await
    }
}
