//! Who a visitor of a website says it is: the visitor itself in a form, or the site in its name.
//!
//! Nobody is believed further than is safe. Only what the site has signed opens what was said elsewhere; what is merely claimed lets
//! agents see one person where there may be one, and never changes what they know of somebody else. (What the visitor is told of the
//! contact is for `wire::push_data_for_contact` to say: nothing.)
use super::{Contacts, TRIES, Update, Wanted, departure::Author};
use crate::catalog::Inbox;
use crate::message::Profile;
use crate::people;
use crate::store::StoreError;
use entity::{contact, contact_inbox};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::Value;
use std::sync::Arc;

/// A visitor after it said who it is.
#[derive(Clone, Debug)]
pub struct Identified {
    /// The contact.
    pub contact: contact::Model,
    /// The address under which the browser goes on.
    pub identity: contact_inbox::Model,
    /// It is another person than before, who must not see what the one before said.
    pub is_other: bool,
}

/// Where what is claimed is kept when it is another contact's.
const UNVERIFIED: [&str; 2] = ["unverified_email", "unverified_phone_number"];

impl Contacts {
    /// Takes in what is said of the visitor with an address; `is_proven` when the site has signed the identifier. `None` if the
    /// identifier is that of somebody who has been proven, and this is not.
    ///
    /// # Errors
    /// [`StoreError::Gone`] if there is no such visitor.
    pub async fn identify(
        &self,
        inbox: &Arc<Inbox>,
        source_id: &str,
        update: &Update,
        is_proven: bool,
    ) -> Result<Option<Identified>, StoreError> {
        let mut tries = 0;
        loop {
            match self.try_identify(inbox, source_id, update.clone(), is_proven).await {
                Err(StoreError::Conflict(_) | StoreError::Taken(_) | StoreError::Gone) if tries < TRIES => tries += 1,
                answer => return answer,
            }
        }
    }

    async fn try_identify(
        &self,
        inbox: &Arc<Inbox>,
        source_id: &str,
        update: Update,
        is_proven: bool,
    ) -> Result<Option<Identified>, StoreError> {
        let (contact, identity) = self.by_source_id(inbox.row.id, source_id).await?.ok_or(StoreError::Gone)?;
        let mut known = Identified { contact, identity, is_other: false };
        let identifier = update.identifier.clone().flatten();
        if let Some(identifier) = identifier.as_ref().filter(|identifier| known.contact.identifier.as_ref() != Some(identifier)) {
            let profile = Profile { identifier: Some(identifier.clone()), ..Profile::default() };
            let owner = people::find_contact(&self.db, inbox.row.account_id, &profile).await?;
            if let Some(owner) = &owner
                && !is_proven
                && self.is_proven(owner.id).await?
            {
                return Ok(None);
            }
            let is_unnamed = known.contact.identifier.is_none() && self.is_alone(known.contact.id).await?;
            match owner {
                Some(owner) if is_unnamed => {
                    known.contact = self.merge(&inbox.account, owner.id, known.contact.id, Author::default()).await?;
                }
                None if is_unnamed => {}
                _ => known = self.somebody_else(inbox, profile, is_proven).await?,
            }
        }
        let update = self.claims(inbox, &mut known, update, is_proven).await?;
        known.contact = self.update(&inbox.account, known.contact, update).await?.as_ref().clone();
        if let Some(identifier) = identifier.filter(|_| is_proven) {
            self.prove(inbox, &known.identity.source_id, &identifier).await?;
            known.identity.hmac_verified = true;
        }
        Ok(Some(known))
    }

    /// A new address for whoever the browser belongs to now.
    async fn somebody_else(&self, inbox: &Arc<Inbox>, profile: Profile, is_proven: bool) -> Result<Identified, StoreError> {
        let source_id = Some(uuid::Uuid::new_v4().to_string());
        let recorded = self.find_or_create(inbox, &Wanted { profile, source_id, hmac_verified: is_proven, ..Wanted::default() }).await?;
        let identity = recorded.contact_inbox.ok_or(StoreError::Gone)?;
        Ok(Identified { contact: recorded.contact.as_ref().clone(), identity: identity.as_ref().clone(), is_other: true })
    }

    /// What of an update may be written. An address or number that another contact has makes one of both, if nobody is proven to be
    /// somebody else; otherwise it is kept as a claim.
    async fn claims(&self, inbox: &Arc<Inbox>, known: &mut Identified, mut update: Update, is_proven: bool) -> Result<Update, StoreError> {
        let email = update.email.clone().flatten().map(|email| Profile { email: Some(email), ..Profile::default() });
        let number = update.phone_number.clone().flatten();
        let number = number.map(|number| Profile { phone_number: Some(number), ..Profile::default() });
        for (name, profile) in UNVERIFIED.into_iter().zip([email, number]) {
            let Some(profile) = profile else { continue };
            let other = people::find_contact(&self.db, inbox.row.account_id, &profile).await?;
            let Some(other) = other.filter(|other| other.id != known.contact.id) else { continue };
            let is_free = other.identifier.is_none() && !self.is_proven(other.id).await?;
            if is_free && self.is_alone(known.contact.id).await? {
                known.contact = self.merge(&inbox.account, other.id, known.contact.id, Author::default()).await?;
                continue;
            }
            let claim = profile.email.clone().or(profile.phone_number.clone());
            if profile.email.is_some() {
                update.email = None
            } else {
                update.phone_number = None
            }
            update.additional_attributes.insert(name.to_owned(), claim.into());
        }
        if !is_proven && !self.is_alone(known.contact.id).await? {
            fill_gaps(&known.contact, &mut update);
        }
        Ok(update)
    }

    async fn is_alone(&self, contact_id: i64) -> Result<bool, StoreError> {
        let of_contact = contact_inbox::Entity::find().filter(contact_inbox::Column::ContactId.eq(contact_id));
        Ok(of_contact.count(&self.db.read).await? <= 1)
    }

    /// Whether the site has signed for a contact before.
    async fn is_proven(&self, contact_id: i64) -> Result<bool, StoreError> {
        let proven = contact_inbox::Entity::find()
            .filter(contact_inbox::Column::ContactId.eq(contact_id))
            .filter(contact_inbox::Column::HmacVerified.eq(true));
        Ok(proven.one(&self.db.read).await?.is_some())
    }
}

/// Leaves of an update what the contact has not got yet.
fn fill_gaps(contact: &contact::Model, update: &mut Update) {
    update.name = update.name.take().filter(|_| contact.name.trim().is_empty());
    update.email = update.email.take().filter(|_| contact.email.is_none());
    update.phone_number = update.phone_number.take().filter(|_| contact.phone_number.is_none());
    update.identifier = update.identifier.take().filter(|_| contact.identifier.is_none());
    update.avatar_url = update.avatar_url.take().filter(|_| contact.avatar_url.is_none());
    let has = |attributes: &Value, name: &str| attributes.get(name).is_some_and(|value| !value.is_null());
    update.custom_attributes.retain(|name, _| !has(&contact.custom_attributes, name));
    update.removed_attributes.clear();
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_merely_claimed_changes_nothing_that_is_known() {
        let profile = Profile { email: Some("ada@example.com".into()), ..Profile::default() };
        let mut contact = people::new_contact(1, &profile, "Ada", entity::now());
        contact.custom_attributes = json!({ "plan": "gold", "empty": null });
        let given = json!({ "plan": "free", "empty": 1, "age": 3 });
        let mut update = Update {
            name: Some("Mallory".into()),
            email: Some(Some("m@example.com".into())),
            phone_number: Some(Some("+491511".into())),
            custom_attributes: given.as_object().cloned().unwrap_or_default(),
            removed_attributes: vec!["plan".into()],
            ..Update::default()
        };
        fill_gaps(&contact, &mut update);
        assert_eq!((update.name, update.email, update.phone_number), (None, None, Some(Some("+491511".into()))));
        assert_eq!((Value::Object(update.custom_attributes), update.removed_attributes.len()), (json!({ "empty": 1, "age": 3 }), 0));
    }
}
