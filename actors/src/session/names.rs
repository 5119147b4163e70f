//! Under which addresses a contact is known. A provider may show a person under several (a telephone number, its own id), and under
//! others from one event to the next: an identity is kept under one of them, and the others are noted as its aliases. Two
//! identities that turn out to be one person are merged, with their contacts.
use super::Session;
use crate::channel::ChannelError;
use crate::contacts::{Author, Update};
use crate::conversation::ConversationError;
use crate::message::Identity;
use crate::store::{Recorded, StoreError};
use entity::{contact_alias, contact_inbox};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue, ColumnTrait, DbErr, EntityTrait, QueryFilter};
use std::collections::{BTreeMap, HashSet};

/// The largest picture of a contact.
const PICTURE_LIMIT: u64 = 10 << 20;

/// Identities that are known under some of a person's addresses.
struct Found {
    /// Oldest first.
    identities: Vec<contact_inbox::Model>,
    /// The addresses that lead to one of them.
    names: HashSet<String>,
}

impl Session {
    /// The identity that an address leads to.
    pub(super) async fn identity(&self, source_id: &str) -> Result<Option<contact_inbox::Model>, ChannelError> {
        let found = self.find(&[source_id]).await;
        let found = found.map_err(|error| ChannelError::temporary(format!("looking up a contact: {error}")))?;
        Ok(found.identities.into_iter().next())
    }

    /// The address that a person is kept under, if there is one and every address of the person leads to it.
    pub(super) async fn known_as(&self, names: &[&str]) -> Result<Option<String>, StoreError> {
        let found = self.find(names).await?;
        match &found.identities[..] {
            [only] if names.iter().all(|name| found.names.contains(*name)) => Ok(Some(only.source_id.clone())),
            _ => Ok(None),
        }
    }

    /// The address that a person is kept under from now on; none for somebody new. Whoever is known twice is merged, and every
    /// address leads to the one that stays.
    pub(super) async fn become_known(&self, names: &[&str]) -> Result<Option<String>, ConversationError> {
        let found = self.find(names).await.map_err(StoreError::from)?;
        let mut identities = found.identities.into_iter();
        let Some(oldest) = identities.next() else { return Ok(None) };
        for other in identities {
            self.merge(&oldest, other).await?;
        }
        self.note_names(&oldest, names).await?;
        Ok(Some(oldest.source_id))
    }

    /// Notes that these addresses lead to an identity.
    pub(super) async fn note_names(&self, identity: &contact_inbox::Model, names: &[&str]) -> Result<(), StoreError> {
        let found = self.find(names).await?;
        let is_noted = |name: &str| found.identities.len() == 1 && found.names.contains(name);
        let new = names.iter().filter(|name| **name != identity.source_id && !is_noted(name));
        let rows: Vec<contact_alias::ActiveModel> = new
            .map(|name| contact_alias::ActiveModel {
                id: ActiveValue::NotSet,
                inbox_id: ActiveValue::Set(identity.inbox_id),
                value: ActiveValue::Set((*name).to_owned()),
                contact_inbox_id: ActiveValue::Set(identity.id),
                created_at: ActiveValue::Set(entity::now()),
            })
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        let moved = OnConflict::columns([contact_alias::Column::InboxId, contact_alias::Column::Value])
            .update_column(contact_alias::Column::ContactInboxId)
            .to_owned();
        Ok(contact_alias::Entity::insert_many(rows).on_conflict(moved).exec_without_returning(&self.db.write).await.map(drop)?)
    }

    /// The contact has another address from now on. The old one leads nowhere any more: somebody else may get it.
    pub(super) async fn moved(&self, from: &str, to: Identity) -> Result<(), ChannelError> {
        let mut names: Vec<&str> = std::iter::once(&to.source_id).chain(&to.aliases).map(String::as_str).collect();
        names.push(from);
        let _turn = self.introductions.of_names(self.inbox.row.id, &names).await;
        names.pop();
        let Some(before) = self.identity(from).await? else { return Ok(()) };
        for other in self.find(&names).await.map_err(StoreError::from)?.identities {
            if other.id != before.id {
                self.merge(&before, other).await?;
            }
        }
        // What is kept under the provider's own id, which stays, is not renamed.
        let stays = before.source_id != from && !to.aliases.is_empty();
        let named = if stays { before } else { self.contacts.rename(&self.inbox, before, &to.source_id).await? };
        let gone = contact_alias::Entity::delete_many()
            .filter(contact_alias::Column::InboxId.eq(self.inbox.row.id))
            .filter(contact_alias::Column::Value.is_in([from, named.source_id.as_str()]));
        gone.exec(&self.db.write).await.map_err(StoreError::from)?;
        self.note_names(&named, &names).await?;
        if let Some(number) = to.profile.phone_number {
            let contact = self.contacts.row(self.inbox.row.account_id, named.contact_id).await?;
            let update = Update { phone_number: Some(Some(number)), ..Update::default() };
            match self.contacts.update(&self.inbox.account, contact, update).await {
                // Another contact has the number in the address book: which of both is meant is for a person to say.
                Ok(_) | Err(StoreError::Taken(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Fetches the picture of a contact who has none, once in the life of the daemon. Nothing waits for it.
    pub(super) fn picture_later(&self, recorded: &Recorded) {
        let Some(identity) = recorded.contact_inbox.clone() else { return };
        let is_wanted = recorded.contact.avatar_url.is_none() && self.channel.media().is_some();
        if !is_wanted || !self.pictures.begin(recorded.contact.id) {
            return;
        }
        let session = self.clone();
        tokio::spawn(async move {
            let cancelled = session.cancelled.clone();
            tokio::select! {
                fetched = session.picture(&identity) => if let Err(error) = fetched {
                    tracing::debug!(contact.id = identity.contact_id, %error, "the contact's picture could not be fetched");
                },
                () = cancelled.cancelled() => {}
            }
        });
    }

    async fn picture(&self, identity: &contact_inbox::Model) -> Result<(), ChannelError> {
        let Some(media) = self.channel.media() else { return Ok(()) };
        let Some(bytes) = media.picture(&identity.source_id).await? else { return Ok(()) };
        let failed = |error: String| ChannelError::temporary(format!("storing a picture: {error}"));
        let stored = self.files.put_bytes("avatar", "image/jpeg", bytes, PICTURE_LIMIT).await.map_err(|error| failed(error.to_string()))?;
        let unkept = self.files.unkept(&stored);
        let contact = self.contacts.row(self.inbox.row.account_id, identity.contact_id).await?;
        if !stored.content_type.starts_with("image/") || contact.avatar_url.is_some() {
            return Ok(());
        }
        self.contacts.picture(&self.inbox.account, contact, &stored).await?;
        unkept.keep();
        Ok(())
    }

    async fn merge(&self, stays: &contact_inbox::Model, leaves: contact_inbox::Model) -> Result<(), StoreError> {
        if stays.contact_id != leaves.contact_id {
            self.contacts.merge(&self.inbox.account, stays.contact_id, leaves.contact_id, Author::default()).await?;
        }
        self.contacts.merge_identities(stays, leaves).await
    }

    async fn find(&self, names: &[&str]) -> Result<Found, DbErr> {
        let inbox_id = self.inbox.row.id;
        let mut identities = BTreeMap::new();
        let mut known = HashSet::new();
        let by_source_id = contact_inbox::Entity::find()
            .filter(contact_inbox::Column::InboxId.eq(inbox_id))
            .filter(contact_inbox::Column::SourceId.is_in(names.iter().copied()));
        for identity in by_source_id.all(&self.db.read).await? {
            known.insert(identity.source_id.clone());
            identities.insert(identity.id, identity);
        }
        if !self.channel.capabilities().aliases {
            return Ok(Found { identities: identities.into_values().collect(), names: known });
        }
        let aliases = contact_alias::Entity::find()
            .filter(contact_alias::Column::InboxId.eq(inbox_id))
            .filter(contact_alias::Column::Value.is_in(names.iter().copied()))
            .all(&self.db.read)
            .await?;
        let others: Vec<i64> = aliases.iter().map(|alias| alias.contact_inbox_id).filter(|id| !identities.contains_key(id)).collect();
        if !others.is_empty() {
            let of_aliases = contact_inbox::Entity::find().filter(contact_inbox::Column::Id.is_in(others));
            identities.extend(of_aliases.all(&self.db.read).await?.into_iter().map(|identity| (identity.id, identity)));
        }
        known.extend(aliases.into_iter().map(|alias| alias.value));
        Ok(Found { identities: identities.into_values().collect(), names: known })
    }
}
