//! Who subscribes, by the token in the identifier, and that others are told that they are there.
use super::protocol::Identifier;
use crate::http::error::ApiResult;
use actors::hub::Listener;
use actors::system::Handles;
use entity::{contact, contact_inbox};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

/// Who subscribes.
#[derive(Clone, Copy, PartialEq)]
pub enum Who {
    /// A user, to an account.
    User { account_id: i64, user_id: i64 },
    /// A contact, by its identity in an inbox.
    Contact { account_id: i64, contact_id: i64, contact_inbox_id: i64, inbox_id: i64, is_proven: bool },
}

impl Who {
    /// By the token; the account must be one of the user's.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find(handles: &Handles, identifier: &Identifier) -> ApiResult<Option<Self>> {
        if identifier.channel != "RoomChannel" {
            return Ok(None);
        }
        if let Some(user) = handles.catalog.now().user_by_pubsub_token(&identifier.pubsub_token) {
            let account_id = identifier.account_id.or_else(|| user.places.first().map(|place| place.account_id));
            let account_id = account_id.filter(|account_id| user.place(*account_id).is_some());
            return Ok(account_id.map(|account_id| Who::User { account_id, user_id: user.row.id }));
        }
        let found = contact_inbox::Entity::find().filter(contact_inbox::Column::PubsubToken.eq(&identifier.pubsub_token));
        let Some(identity) = found.one(&handles.db.read).await? else { return Ok(None) };
        let contact = contact::Entity::find_by_id(identity.contact_id).one(&handles.db.read).await?;
        Ok(contact.map(|contact| Who::Contact {
            account_id: contact.account_id,
            contact_id: contact.id,
            contact_inbox_id: identity.id,
            inbox_id: identity.inbox_id,
            is_proven: identity.hmac_verified,
        }))
    }

    /// As the hub knows it.
    pub fn listener(self) -> Listener {
        match self {
            Who::User { account_id, user_id } => Listener::User { account_id, user_id },
            Who::Contact { contact_inbox_id, .. } => Listener::Contact { contact_inbox_id },
        }
    }

    /// It listens now: a contact who has proven who it is hears what is said to it elsewhere in the inbox.
    pub fn listens(self, handles: &Handles) {
        if let Who::Contact { contact_id, contact_inbox_id, inbox_id, is_proven: true, .. } = self {
            handles.hub.note_proven(contact_inbox_id, (contact_id, inbox_id));
        }
    }

    /// What a client calls all that it hears.
    pub fn stream(self) -> String {
        match self {
            Who::User { account_id, user_id } => format!("account:{account_id}:user:{user_id}"),
            Who::Contact { contact_inbox_id, .. } => format!("contact:{contact_inbox_id}"),
        }
    }

    /// The account, and whether its contacts are shown as well: not to each other.
    pub fn sees(self) -> (i64, bool) {
        match self {
            Who::User { account_id, .. } => (account_id, true),
            Who::Contact { account_id, .. } => (account_id, false),
        }
    }

    /// Says so.
    pub fn is_there(self, handles: &Handles) {
        match self {
            Who::User { account_id, user_id } => {
                if handles.presence.user_is_there(account_id, user_id) {
                    handles.hub.publish_presence(account_id);
                    handles.wakes.assignment.notify_one();
                }
            }
            Who::Contact { account_id, contact_id, .. } => handles.presence.contact_is_there(account_id, contact_id),
        }
    }

    /// A socket has left: whoever has no other is no longer there.
    pub fn left(self, handles: &Handles) {
        if handles.hub.is_listening(self.listener()) {
            return;
        }
        match self {
            Who::User { account_id, user_id } => {
                handles.presence.user_left(account_id, user_id);
                handles.hub.publish_presence(account_id);
            }
            Who::Contact { account_id, contact_id, .. } => handles.presence.contact_left(account_id, contact_id),
        }
    }
}
