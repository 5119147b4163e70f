//! What follows when the contact has seen a conversation: it is noted, and what was said to it is read. Many messages are marked
//! page by page, so that none of the commits is large.
use super::rules::{self, By, Change};
use super::{ConversationError, Work, load};
use crate::catalog::Inbox;
use crate::event::MessageView;
use crate::store::{ChangedMessage, Recorded, Row};
use entity::message;
use entity::message::MessageStatus;
use std::sync::Arc;

/// How many commits mark messages, each of at most [`load::SEEN_AT_ONCE`]: what is older stays as it is.
const PAGES: usize = 10;

impl Work {
    /// The contact has seen it up to now, and with it what was said to it.
    pub(super) async fn seen(&mut self, inbox: Arc<Inbox>, conversation_id: i64) -> Result<Recorded, ConversationError> {
        let mut before = i64::MAX;
        let mut pages = PAGES;
        loop {
            let now = entity::now();
            let known = self.known(conversation_id).await?;
            let unread = load::unread(&self.surroundings, conversation_id, before).await?;
            let oldest = unread.last().map(|view| view.message.id);
            let (after, _) = rules::after_change(&known.row, &Change::SeenByContact, &By::Contact, now);
            let mut record = self.record(&inbox, self.person()?, Row::Changed { before: known.row.clone(), after }, Some(&known));
            record.can_reply = known.can_reply(&inbox, now);
            let read = |view: MessageView| {
                let after = message::Model { status: MessageStatus::Read, updated_at: now, ..view.message.clone() };
                ChangedMessage { before: view, after, files: Vec::new() }
            };
            record.changed_messages = unread.into_iter().map(read).collect();
            let recorded = self.commit(record, None).await?;
            pages -= 1;
            match oldest {
                Some(id) if pages > 0 => before = id,
                _ => return Ok(recorded),
            }
        }
    }
}
