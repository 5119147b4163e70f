//! Contacts that leave: removed, or merged into another one. Live conversation actors are told; those that are just writing
//! are refused by the writer and read again whose conversations they have.
use super::{Contacts, merged};
use crate::conversation::Forget;
use crate::event::AccountCard;
use crate::message::UserCard;
use crate::persistence::Depart;
use crate::store::{ContactDeparture, Departure, StoreError};
use entity::{account, audit_log, contact, conversation};
use serde_json::Value;
use std::sync::Arc;

/// Who lets a contact go.
#[derive(Clone, Debug, Default)]
pub struct Author {
    /// The user, if one does.
    pub performer: Option<UserCard>,
    /// What the audit log says of it.
    pub noted: Option<audit_log::ActiveModel>,
}

impl Contacts {
    /// Removes a contact with everything of it: conversations, messages, files, identities, labels, notes.
    ///
    /// # Errors
    /// [`StoreError::Gone`] if there is no such contact.
    pub async fn remove(&self, account: &account::Model, contact_id: i64, by: Author) -> Result<(), StoreError> {
        let _turn = self.turns.of(contact_id).await;
        let contact = self.row(account.id, contact_id).await?;
        self.depart(account, contact, None, by).await
    }

    /// Merges a contact into another one, which keeps what it has, fills its gaps from the other, and takes over its
    /// conversations, identities, labels and notes. Answers how the remaining one is then.
    ///
    /// # Errors
    /// [`StoreError::Gone`] if one of both does not exist; [`StoreError::Refused`] if they are the same.
    pub async fn merge(&self, account: &account::Model, base_id: i64, mergee_id: i64, by: Author) -> Result<contact::Model, StoreError> {
        if base_id == mergee_id {
            return Err(StoreError::Refused("a contact cannot be merged into itself".into()));
        }
        let _turns = self.turns.of_both(base_id, mergee_id).await;
        let before = self.row(account.id, base_id).await?;
        let mergee = self.row(account.id, mergee_id).await?;
        let after = heir(&before, &mergee, entity::now());
        self.depart(account, mergee, Some((Arc::new(before), after.clone())), by).await?;
        self.told(Arc::new(after.clone())).await;
        Ok(after)
    }

    /// Removes one conversation of a contact with everything said in it.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn remove_conversation(&self, conversation: &conversation::Model) -> Result<(), StoreError> {
        let _turn = self.turns.of(conversation.contact_id).await;
        self.written(Departure::Conversation { id: conversation.id }, conversation.contact_id).await
    }

    async fn depart(
        &self,
        account: &account::Model,
        contact: contact::Model,
        heir: Option<(Arc<contact::Model>, contact::Model)>,
        by: Author,
    ) -> Result<(), StoreError> {
        let contact_id = contact.id;
        let account = AccountCard { id: account.id, name: account.name.clone() };
        let departure = ContactDeparture { account, performer: by.performer, noted: by.noted, contact: Arc::new(contact), heir };
        self.written(Departure::Contact(Box::new(departure)), contact_id).await
    }

    pub(super) async fn written(&self, departure: Departure, contact_id: i64) -> Result<(), StoreError> {
        let abandoned = self.persistence.send(Depart(departure)).await.unwrap_or(Err(StoreError::Unanswered));
        // Also after an error: what was committed is unknown, and reading again does no harm.
        let _ = self.conversations.send(Forget { contact_id: Some(contact_id) }).await;
        self.remove_files(abandoned?).await;
        Ok(())
    }
}

/// The remaining contact: what it has wins, attribute by attribute.
fn heir(base: &contact::Model, mergee: &contact::Model, now: chrono::DateTime<chrono::Utc>) -> contact::Model {
    let attributes = |base: &Value, mergee: &Value| Value::Object(merged(mergee, base.as_object().cloned().unwrap_or_default()));
    let has_picture = base.avatar_url.is_some();
    let filled = |base: &Option<String>, mergee: &Option<String>| base.clone().or_else(|| mergee.clone());
    contact::Model {
        name: if base.name.trim().is_empty() { mergee.name.clone() } else { base.name.clone() },
        email: filled(&base.email, &mergee.email),
        phone_number: filled(&base.phone_number, &mergee.phone_number),
        identifier: filled(&base.identifier, &mergee.identifier),
        avatar_url: filled(&base.avatar_url, &mergee.avatar_url),
        avatar_blob_id: if has_picture { base.avatar_blob_id } else { mergee.avatar_blob_id },
        additional_attributes: attributes(&base.additional_attributes, &mergee.additional_attributes),
        custom_attributes: attributes(&base.custom_attributes, &mergee.custom_attributes),
        last_activity_at: base.last_activity_at.max(mergee.last_activity_at),
        updated_at: now,
        ..base.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Profile;
    use crate::people::new_contact;
    use serde_json::json;

    #[test]
    fn the_base_wins_and_its_gaps_are_filled() {
        let now = entity::now();
        let profile = |email: Option<&str>, phone_number: Option<&str>| Profile {
            email: email.map(Into::into),
            phone_number: phone_number.map(Into::into),
            ..Profile::default()
        };
        let mut base = new_contact(1, &profile(Some("base@example.com"), None), "Base", now);
        base.custom_attributes = json!({ "plan": "gold" });
        let mut mergee = new_contact(1, &profile(Some("other@example.com"), Some("+491511")), "Other", now);
        mergee.custom_attributes = json!({ "plan": "free", "age": 30 });
        (mergee.avatar_blob_id, mergee.avatar_url) = (Some(7), Some("key/a.png".into()));
        mergee.last_activity_at = Some(now);
        let heir = heir(&base, &mergee, now);
        assert_eq!((heir.name.as_str(), heir.email.as_deref()), ("Base", Some("base@example.com")));
        assert_eq!((heir.phone_number.as_deref(), heir.identifier.as_deref()), (Some("+491511"), None));
        assert_eq!(heir.custom_attributes, json!({ "plan": "gold", "age": 30 }));
        assert_eq!((heir.avatar_blob_id, heir.avatar_url.as_deref()), (Some(7), Some("key/a.png")));
        assert_eq!((heir.last_activity_at, heir.blocked), (Some(now), false));
    }
}
