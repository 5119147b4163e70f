//! Contacts: found by what is known of them, or created; changed with everybody who keeps them being told.
//!
//! A contact has one identity (`contact_inboxes`) in an inbox that its own system does not name otherwise. Two requests that
//! create the same person at once meet at the unique indexes: the slower one asks again and finds it. Whoever changes a contact
//! waits for its turn ([`turns`]) and reads the row then, so that of two changes at once neither undoes the other.
mod departure;
mod identities;
mod passers_by;
mod turns;
mod visitors;

pub use departure::Author;
pub use turns::Turns;
pub use visitors::Identified;

use crate::addresses::Addresses;
use crate::catalog::Inbox;
use crate::conversation::{ContactChanged, Forget};
use crate::conversations::Conversations;
use crate::db::Db;
use crate::event::AccountCard;
use crate::files::Files;
use crate::message::{Key, Profile, UserCard};
use crate::people;
use crate::persistence::{Commit, PersistenceActor};
use crate::secret::hash;
use crate::store::{Made, Record, Recorded, Row, StoreError};
use actix::Addr;
use entity::{account, blob, contact, contact_inbox, contact_label};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Creates, finds and changes contacts.
#[derive(Clone)]
pub struct Contacts {
    /// Reads.
    pub db: Db,
    /// Commits.
    pub persistence: Addr<PersistenceActor>,
    /// Who keeps contacts.
    pub conversations: Addr<Conversations>,
    /// Pictures, and what was attached to messages.
    pub files: Files,
    /// One change of a contact at a time.
    pub turns: Turns,
    /// Whose conversation a number is: forgotten when contacts get other addresses.
    pub addresses: Addresses,
}

/// What is asked of a contact that is created or found.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// By what it is found, and what it is called.
    pub profile: Profile,
    /// Its address in the inbox, if the caller names one.
    pub source_id: Option<String>,
    /// Kept with it.
    pub additional_attributes: Map<String, Value>,
    /// Kept with it.
    pub custom_attributes: Map<String, Value>,
    /// A picture elsewhere, or `key/file name` of `avatar_blob_id`.
    pub avatar_url: Option<String>,
    /// A picture that is stored here.
    pub avatar_blob_id: Option<i64>,
    /// Blocked from the beginning.
    pub blocked: bool,
    /// It proved its identity.
    pub hmac_verified: bool,
    /// The row of `idempotency_keys` that this answers.
    pub claim: Option<i64>,
    /// The user who wants it, if one does.
    pub performer: Option<UserCard>,
}

/// How a contact shall be.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// A new name.
    pub name: Option<String>,
    /// A new address, or none any more.
    pub email: Option<Option<String>>,
    /// A new number, or none any more.
    pub phone_number: Option<Option<String>>,
    /// A new identifier, or none any more.
    pub identifier: Option<Option<String>>,
    /// Blocked or not.
    pub blocked: Option<bool>,
    /// A new picture: an address elsewhere, or `key/file name` of `avatar_blob_id`; or none any more.
    pub avatar_url: Option<Option<String>>,
    /// The new picture, if it is stored here.
    pub avatar_blob_id: Option<i64>,
    /// Merged into what is there.
    pub additional_attributes: Map<String, Value>,
    /// Merged into what is there.
    pub custom_attributes: Map<String, Value>,
    /// Names of custom attributes that it shall not have any more.
    pub removed_attributes: Vec<String>,
    /// The user who wants it, if one does.
    pub performer: Option<UserCard>,
}

/// How often a request asks again that met another one.
const TRIES: usize = 5;

impl Contacts {
    /// Creates a contact of the account, without an identity anywhere. One that exists already is an error.
    ///
    /// # Errors
    /// [`StoreError::Taken`] names the field that another contact has.
    pub async fn create(&self, account: &account::Model, wanted: &Wanted) -> Result<Recorded, StoreError> {
        let contact = new_contact(account.id, wanted);
        self.commit(record(account, Row::New(contact), None, None, wanted)).await
    }

    /// Creates a contact with an identity in an inbox. One that exists already is an error.
    ///
    /// # Errors
    /// [`StoreError::Taken`] names the field that another contact has.
    pub async fn create_in(&self, inbox: &Arc<Inbox>, wanted: &Wanted) -> Result<Recorded, StoreError> {
        let contact = new_contact(inbox.row.account_id, wanted);
        let source_id = wanted.source_id.clone().unwrap_or_else(|| generated_source_id(inbox, &wanted.profile));
        let identity =
            contact_inbox::Model { hmac_verified: wanted.hmac_verified, ..people::new_identity(&key(inbox, &source_id), entity::now()) };
        self.commit(record(&inbox.account, Row::New(contact), Some(inbox), Some(Row::New(identity)), wanted)).await
    }

    /// Notes that the contact of an address has proven who it is, by its identifier.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn prove(&self, inbox: &Arc<Inbox>, source_id: &str, identifier: &str) -> Result<Recorded, StoreError> {
        let profile = Profile { identifier: Some(identifier.to_owned()), ..Profile::default() };
        let wanted = Wanted { profile, source_id: Some(source_id.to_owned()), hmac_verified: true, ..Wanted::default() };
        self.find_or_create(inbox, &wanted).await
    }

    /// The contact with this address in the inbox, or with this identifier, e-mail address or phone number; created if
    /// there is none. A stable identifier gives the same contact and the same address again.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn find_or_create(&self, inbox: &Arc<Inbox>, wanted: &Wanted) -> Result<Recorded, StoreError> {
        let mut tries = 0;
        loop {
            match self.try_find_or_create(inbox, wanted).await {
                Err(StoreError::Conflict(_) | StoreError::Taken(_) | StoreError::Gone) if tries < TRIES => tries += 1,
                answer => return answer,
            }
        }
    }

    async fn try_find_or_create(&self, inbox: &Arc<Inbox>, wanted: &Wanted) -> Result<Recorded, StoreError> {
        let now = entity::now();
        if let Some(source_id) = &wanted.source_id
            && let Some((contact, identity)) = self.by_source_id(inbox.row.id, source_id).await?
        {
            // A proof speaks for the identifier that was signed, and for no other contact's address.
            let is_proven = wanted.hmac_verified && contact.identifier == wanted.profile.identifier;
            return self.verified(inbox, contact, identity, &Wanted { hmac_verified: is_proven, ..wanted.clone() }).await;
        }
        let found = people::find_contact(&self.db, inbox.row.account_id, &wanted.profile).await?;
        // Nor does it speak for whoever is found by an e-mail address or phone number, and is called otherwise.
        let is_other = |contact: &contact::Model| contact.identifier.is_some() && contact.identifier != wanted.profile.identifier;
        let Some(contact) = found.filter(|contact| !wanted.hmac_verified || !is_other(contact)) else {
            return self.create_in(inbox, wanted).await;
        };
        if wanted.source_id.is_none()
            && let Some(identity) = self.latest_identity(&contact, inbox.row.id).await?
        {
            return self.verified(inbox, contact, identity, wanted).await;
        }
        // Made from the contact, so that two requests at once make the same one.
        let source_id = wanted.source_id.clone().unwrap_or_else(|| derived_source_id(inbox.row.id, contact.id));
        let identity = contact_inbox::Model { hmac_verified: wanted.hmac_verified, ..people::new_identity(&key(inbox, &source_id), now) };
        let identity = contact_inbox::Model { contact_id: contact.id, ..identity };
        self.commit(record(&inbox.account, Row::Kept(Arc::new(contact)), Some(inbox), Some(Row::New(identity)), wanted)).await
    }

    /// What is stored, with the proof of identity noted if there is a new one.
    async fn verified(
        &self,
        inbox: &Arc<Inbox>,
        contact: contact::Model,
        identity: contact_inbox::Model,
        wanted: &Wanted,
    ) -> Result<Recorded, StoreError> {
        let (contact, before) = (Arc::new(contact), Arc::new(identity));
        if before.hmac_verified || !wanted.hmac_verified {
            return Ok(Recorded {
                contact,
                contact_inbox: Some(before),
                conversation: None,
                messages: Vec::new(),
                repeated: false,
                queued: false,
            });
        }
        let after = contact_inbox::Model { hmac_verified: true, updated_at: entity::now(), ..before.as_ref().clone() };
        let forget = Forget { contact_id: Some(contact.id) };
        let record = record(&inbox.account, Row::Kept(contact), Some(inbox), Some(Row::Changed { before, after }), wanted);
        let recorded = self.commit(record).await?;
        // Whoever keeps the identity reads it again.
        let _ = self.conversations.send(forget).await;
        Ok(recorded)
    }

    /// Gives a contact an identity in an inbox; the one it has already, if no address is named.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the address is another contact's.
    pub async fn add_identity(
        &self,
        inbox: &Arc<Inbox>,
        contact: contact::Model,
        source_id: Option<String>,
    ) -> Result<Recorded, StoreError> {
        let profile = Profile { email: contact.email.clone(), phone_number: contact.phone_number.clone(), ..Profile::default() };
        let mut tries = 0;
        loop {
            let existing = match &source_id {
                Some(source_id) => self.by_source_id(inbox.row.id, source_id).await?.map(|(_, identity)| identity),
                None => self.latest_identity(&contact, inbox.row.id).await?,
            };
            if let Some(identity) = existing {
                if identity.contact_id != contact.id {
                    return Err(StoreError::Conflict("source_id belongs to another contact".into()));
                }
                return self.verified(inbox, contact, identity, &Wanted::default()).await;
            }
            let source_id = source_id.clone().unwrap_or_else(|| match inbox.settings.kind() {
                "api" => derived_source_id(inbox.row.id, contact.id),
                _ => generated_source_id(inbox, &profile),
            });
            let identity = contact_inbox::Model { contact_id: contact.id, ..people::new_identity(&key(inbox, &source_id), entity::now()) };
            let row = Row::Kept(Arc::new(contact.clone()));
            match self.commit(record(&inbox.account, row, Some(inbox), Some(Row::New(identity)), &Wanted::default())).await {
                Err(StoreError::Conflict(_)) if tries < TRIES => tries += 1,
                answer => return answer,
            }
        }
    }

    /// Changes a contact; what it is like before is read when its turn has come.
    ///
    /// # Errors
    /// [`StoreError::Taken`] names the field that another contact has; [`StoreError::Gone`] if there is no such contact.
    pub async fn update(
        &self,
        account: &account::Model,
        contact: contact::Model,
        update: Update,
    ) -> Result<Arc<contact::Model>, StoreError> {
        let _turn = self.turns.of(contact.id).await;
        let before = self.row(account.id, contact.id).await?;
        let asked = Wanted { performer: update.performer.clone(), ..Wanted::default() };
        let after = updated(&before, update, entity::now());
        let replaced = before.avatar_blob_id.filter(|blob| after.avatar_blob_id != Some(*blob));
        let recorded = self.commit(record(account, Row::Changed { before: Arc::new(before), after }, None, None, &asked)).await?;
        self.told(recorded.contact.clone()).await;
        if let Some(replaced) = replaced {
            self.discard(replaced).await?;
        }
        Ok(recorded.contact)
    }

    /// Changes the labels of a contact; answers those that it has then.
    ///
    /// # Errors
    /// [`StoreError::Gone`] if there is no such contact.
    pub async fn label(
        &self,
        account: &account::Model,
        contact_id: i64,
        performer: Option<UserCard>,
        wanted: impl FnOnce(&BTreeSet<String>) -> BTreeSet<String>,
    ) -> Result<BTreeSet<String>, StoreError> {
        let _turn = self.turns.of(contact_id).await;
        // Read when nobody can remove or merge it any more.
        let contact = self.row(account.id, contact_id).await?;
        let stored = contact_label::Entity::find().filter(contact_label::Column::ContactId.eq(contact_id));
        let before: BTreeSet<String> = stored.all(&self.db.read).await?.into_iter().map(|label| label.title).collect();
        let after = wanted(&before);
        if after != before {
            let asked = Wanted { performer, ..Wanted::default() };
            let unlabelled = record(account, Row::Kept(Arc::new(contact)), None, None, &asked);
            self.commit(Record { contact_labels: Some((before, after.clone())), ..unlabelled }).await?;
        }
        Ok(after)
    }

    /// A contact of an account.
    ///
    /// # Errors
    /// [`StoreError::Gone`] if there is no such contact.
    pub async fn row(&self, account_id: i64, id: i64) -> Result<contact::Model, StoreError> {
        let found = contact::Entity::find_by_id(id).filter(contact::Column::AccountId.eq(account_id));
        found.one(&self.db.read).await?.ok_or(StoreError::Gone)
    }

    /// Removes a stored file that nobody names any more.
    ///
    /// # Errors
    /// If the database fails; a file that cannot be removed is logged.
    pub async fn discard(&self, blob_id: i64) -> Result<(), StoreError> {
        let Some(blob) = blob::Entity::find_by_id(blob_id).one(&self.db.read).await? else { return Ok(()) };
        blob::Entity::delete_by_id(blob_id).exec(&self.db.write).await?;
        self.remove_files(vec![blob.key]).await;
        Ok(())
    }

    async fn remove_files(&self, keys: Vec<String>) {
        for key in keys {
            if let Err(error) = self.files.delete(&key).await {
                tracing::warn!(%error, key, "a file that nobody has any more could not be removed");
            }
        }
    }

    /// Tells everybody who keeps a contact how it is now; answered when every live actor will see it with its next command.
    pub async fn told(&self, contact: Arc<contact::Model>) {
        let _ = self.conversations.send(ContactChanged(contact)).await;
    }

    /// The contact and identity of an address in an inbox.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn by_source_id(&self, inbox_id: i64, source_id: &str) -> Result<Option<(contact::Model, contact_inbox::Model)>, StoreError> {
        let identity = contact_inbox::Entity::find()
            .filter(contact_inbox::Column::InboxId.eq(inbox_id))
            .filter(contact_inbox::Column::SourceId.eq(source_id))
            .one(&self.db.read)
            .await?;
        let Some(identity) = identity else { return Ok(None) };
        let contact = contact::Entity::find_by_id(identity.contact_id).one(&self.db.read).await?;
        Ok(contact.map(|contact| (contact, identity)))
    }

    async fn latest_identity(&self, contact: &contact::Model, inbox_id: i64) -> Result<Option<contact_inbox::Model>, StoreError> {
        let identities = contact_inbox::Entity::find()
            .filter(contact_inbox::Column::ContactId.eq(contact.id))
            .filter(contact_inbox::Column::InboxId.eq(inbox_id))
            .order_by_desc(contact_inbox::Column::Id);
        Ok(identities.one(&self.db.read).await?)
    }

    async fn commit(&self, record: Record) -> Result<Recorded, StoreError> {
        self.persistence.send(Commit(record)).await.unwrap_or(Err(StoreError::Unanswered))
    }
}

/// A contact after an update.
fn updated(before: &contact::Model, update: Update, now: chrono::DateTime<chrono::Utc>) -> contact::Model {
    let mut custom_attributes = merged(&before.custom_attributes, update.custom_attributes);
    custom_attributes.retain(|name, _| !update.removed_attributes.contains(name));
    contact::Model {
        name: update.name.unwrap_or_else(|| before.name.clone()),
        email: update.email.unwrap_or_else(|| before.email.clone()),
        phone_number: update.phone_number.unwrap_or_else(|| before.phone_number.clone()),
        identifier: update.identifier.unwrap_or_else(|| before.identifier.clone()),
        blocked: update.blocked.unwrap_or(before.blocked),
        avatar_blob_id: if update.avatar_url.is_some() { update.avatar_blob_id } else { before.avatar_blob_id },
        avatar_url: update.avatar_url.unwrap_or_else(|| before.avatar_url.clone()),
        additional_attributes: Value::Object(merged(&before.additional_attributes, update.additional_attributes)),
        custom_attributes: Value::Object(custom_attributes),
        updated_at: now,
        ..before.clone()
    }
}

/// An object with more members; of two with one name the new one counts.
fn merged(before: &Value, more: Map<String, Value>) -> Map<String, Value> {
    let mut merged = before.as_object().cloned().unwrap_or_default();
    merged.extend(more);
    merged
}

fn new_contact(account_id: i64, wanted: &Wanted) -> contact::Model {
    let profile = &wanted.profile;
    let fallback = profile.email.as_deref().or(profile.phone_number.as_deref()).unwrap_or_default();
    let named = people::new_contact(account_id, profile, fallback, entity::now());
    contact::Model {
        name: if named.name.is_empty() { people::random_name() } else { named.name.clone() },
        blocked: wanted.blocked,
        avatar_url: wanted.avatar_url.clone(),
        avatar_blob_id: wanted.avatar_blob_id,
        additional_attributes: Value::Object(wanted.additional_attributes.clone()),
        custom_attributes: Value::Object(wanted.custom_attributes.clone()),
        ..named
    }
}

fn record(
    account: &account::Model,
    contact: Row<contact::Model>,
    inbox: Option<&Arc<Inbox>>,
    contact_inbox: Option<Row<contact_inbox::Model>>,
    wanted: &Wanted,
) -> Record {
    Record {
        account: AccountCard { id: account.id, name: account.name.clone() },
        performer: wanted.performer.clone(),
        contact,
        inbox: inbox.cloned(),
        contact_inbox,
        conversation: None,
        messages: Vec::new(),
        changed_messages: Vec::new(),
        retold: Vec::new(),
        contact_labels: None,
        posts: Vec::new(),
        mails: Vec::new(),
        followed_up: false,
        outgoing: Vec::new(),
        fetched: Vec::new(),
        last_message: None,
        can_reply: true,
        claim: wanted.claim.map(|id| (id, Made::Contact)),
    }
}

fn key(inbox: &Inbox, source_id: &str) -> Key {
    Key { inbox_id: inbox.row.id, source_id: source_id.to_owned() }
}

/// The address of a new contact where the caller names none (contract, section 2, Contacts). One that means nothing to the provider
/// does no harm: whoever is written to there is told why it cannot arrive.
fn generated_source_id(inbox: &Inbox, profile: &Profile) -> String {
    let address = inbox.settings.contact_address(profile.email.as_deref(), profile.phone_number.as_deref());
    address.unwrap_or_else(|| uuid::Uuid::new_v4().to_string())
}

/// An address that follows from contact and inbox, in the form of a uuid.
fn derived_source_id(inbox_id: i64, contact_id: i64) -> String {
    let digest = hash(&format!("identity of contact {contact_id} in inbox {inbox_id}"));
    let bits = u128::from_str_radix(digest.get(..32).unwrap_or_default(), 16).unwrap_or_default();
    uuid::Builder::from_custom_bytes(bits.to_be_bytes()).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn derived_addresses_are_stable_and_distinct() {
        assert_eq!(derived_source_id(1, 2), derived_source_id(1, 2));
        assert_ne!(derived_source_id(1, 2), derived_source_id(2, 1));
        assert_eq!(derived_source_id(1, 2).len(), 36);
    }

    #[test]
    fn updates_merge_attributes_and_tell_absent_from_null() {
        let profile = Profile { email: Some("a@b.c".into()), ..Profile::default() };
        let mut before = people::new_contact(1, &profile, "A", entity::now());
        before.custom_attributes = json!({ "kept": 1, "changed": 1 });
        let more = json!({ "changed": 2 }).as_object().cloned().unwrap();
        let after = updated(&before, Update { custom_attributes: more, email: Some(None), ..Update::default() }, entity::now());
        assert_eq!(after.custom_attributes, json!({ "kept": 1, "changed": 2 }));
        assert_eq!((after.email, after.name), (None, "A".to_owned()));
    }
}
