//! What a channel tells of contacts beside their messages: another address, one person under two, a picture, whether they can be
//! reached.
use super::{Contacts, Update, Wanted, record};
use crate::catalog::Inbox;
use crate::conversation::Forget;
use crate::files::Stored;
use crate::people;
use crate::store::{Departure, Row, StoreError};
use entity::{account, contact, contact_inbox};
use sea_orm::ActiveModelTrait;
use std::sync::Arc;

impl Contacts {
    /// Notes that a contact cannot be reached in an inbox, for a reason; or can again.
    ///
    /// # Errors
    /// If the store fails. A contact that is gone is no error.
    pub async fn reach(&self, account: &account::Model, contact_id: i64, inbox_id: i64, reason: Option<String>) -> Result<(), StoreError> {
        let _turn = self.turns.of(contact_id).await;
        let before = match self.row(account.id, contact_id).await {
            Err(StoreError::Gone) => return Ok(()),
            found => found?,
        };
        let after = people::reached(&before, inbox_id, reason.as_deref(), entity::now());
        if after.additional_attributes == before.additional_attributes {
            return Ok(());
        }
        let changed = Row::Changed { before: Arc::new(before), after };
        let recorded = self.commit(record(account, changed, None, None, &Wanted::default())).await?;
        self.told(recorded.contact).await;
        Ok(())
    }

    /// Gives an identity another address.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the address is another identity's.
    pub async fn rename(
        &self,
        inbox: &Arc<Inbox>,
        before: contact_inbox::Model,
        source_id: &str,
    ) -> Result<contact_inbox::Model, StoreError> {
        if before.source_id == source_id {
            return Ok(before);
        }
        let _turn = self.turns.of(before.contact_id).await;
        let contact = self.row(inbox.row.account_id, before.contact_id).await?;
        let after = contact_inbox::Model { source_id: source_id.to_owned(), updated_at: entity::now(), ..before.clone() };
        let changed = Row::Changed { before: Arc::new(before), after: after.clone() };
        let kept = Row::Kept(Arc::new(contact));
        self.commit(record(&inbox.account, kept, Some(inbox), Some(changed), &Wanted::default())).await?;
        self.addresses.clear();
        // Whoever keeps the identity reads it again.
        let _ = self.conversations.send(Forget { contact_id: Some(after.contact_id) }).await;
        Ok(after)
    }

    /// Makes one of two identities of a contact in an inbox: the conversations of the second become the first's, and its address
    /// an alias.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn merge_identities(&self, stays: &contact_inbox::Model, leaves: contact_inbox::Model) -> Result<(), StoreError> {
        let _turn = self.turns.of(stays.contact_id).await;
        let merged = self.written(Departure::Identity { identity: leaves, heir_id: stays.id }, stays.contact_id).await;
        self.addresses.clear();
        merged
    }

    /// Gives a contact a picture that is stored.
    ///
    /// # Errors
    /// If the store fails; the row of the file is gone then.
    pub async fn picture(&self, account: &account::Model, contact: contact::Model, stored: &Stored) -> Result<(), StoreError> {
        let row = stored.row(account.id, None).insert(&self.db.write).await?;
        let place = format!("{}/{}", row.key, row.file_name);
        let update = Update { avatar_url: Some(Some(place)), avatar_blob_id: Some(row.id), ..Update::default() };
        if let Err(error) = self.update(account, contact, update).await {
            self.discard(row.id).await?;
            return Err(error);
        }
        Ok(())
    }
}
