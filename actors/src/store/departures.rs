//! How contacts leave: removed with everything of theirs, or merged into another contact, which takes everything over; and how
//! single conversations are removed.
//!
//! Departures are written after the records of their group, so what was said before them goes along. Whoever still keeps the
//! contact in memory is refused by the writer afterwards ([`StoreError::Gone`](super::StoreError::Gone)) and loads again.
use crate::event::{AccountCard, CONTACT_COLUMNS, Fact, changes};
use crate::message::UserCard;
use entity::message::SenderType;
use entity::{
    attachment, audit_log, blob, contact, contact_alias, contact_inbox, contact_label, conversation, conversation_label, download, draft,
    follow_up, macros, mention, message, message_part, note, notification, outgoing, participant,
};
use sea_orm::sea_query::{Expr, OnConflict, Query, SelectStatement};
use sea_orm::{ActiveValue, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;

/// What leaves.
#[derive(Clone, Debug)]
pub enum Departure {
    /// A contact.
    Contact(Box<ContactDeparture>),
    /// A conversation with everything said in it; nothing is told of it (contract, section 7).
    Conversation {
        /// Which.
        id: i64,
    },
    /// One of two identities of a contact in an inbox: the other takes over its conversations and its names.
    Identity {
        /// Which leaves.
        identity: contact_inbox::Model,
        /// Which stays.
        heir_id: i64,
    },
}

/// A contact that leaves.
#[derive(Clone, Debug)]
pub struct ContactDeparture {
    /// Whose contact it is.
    pub account: AccountCard,
    /// The user who causes it, if one does.
    pub performer: Option<UserCard>,
    /// What the audit log says of it.
    pub noted: Option<audit_log::ActiveModel>,
    /// Who leaves.
    pub contact: Arc<contact::Model>,
    /// Who takes everything over, as it was and as it shall be; without one everything is removed.
    pub heir: Option<(Arc<contact::Model>, contact::Model)>,
}

impl Departure {
    /// Writes it; the keys of the files that nobody has any more.
    pub async fn write(&self, db: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
        match self {
            Departure::Contact(departure) => {
                if let Some(noted) = &departure.noted {
                    audit_log::Entity::insert(noted.clone()).exec_without_returning(db).await?;
                }
                match &departure.heir {
                    Some((before, after)) => merge(db, &departure.contact, before, after).await,
                    None => remove(db, &departure.contact).await,
                }
            }
            Departure::Conversation { id } => {
                remove_conversations(db, conversations().and_where(conversation::Column::Id.eq(*id)).take()).await
            }
            Departure::Identity { identity, heir_id } => take_over(db, identity, *heir_id).await.map(|()| Vec::new()),
        }
    }
}

impl ContactDeparture {
    /// What is told of it.
    pub fn facts(&self) -> Vec<Fact> {
        let mut facts = Vec::new();
        if let Some((before, after)) = &self.heir {
            let heir = Arc::new(after.clone());
            let changes = changes(before.as_ref(), after, CONTACT_COLUMNS);
            if !changes.is_empty() {
                facts.push(Fact::ContactUpdated(heir.clone(), changes));
            }
            facts.push(Fact::ContactMerged(heir));
        }
        facts.push(Fact::ContactDeleted(self.contact.clone()));
        facts
    }
}

/// The ids of conversations, of which ones is to be added.
fn conversations() -> SelectStatement {
    Query::select().column(conversation::Column::Id).from(conversation::Entity).take()
}

/// Everything of the contact, from the leaves to the root.
async fn remove(db: &impl ConnectionTrait, contact: &contact::Model) -> Result<Vec<String>, DbErr> {
    let id = contact.id;
    let mut keys = remove_conversations(db, conversations().and_where(conversation::Column::ContactId.eq(id)).take()).await?;
    keys.extend(drop_avatar(db, contact.avatar_blob_id).await?);
    macro_rules! leave {
        ($($entity:ident)*) => {$(
            $entity::Entity::delete_many().filter($entity::Column::ContactId.eq(id)).exec(db).await?;
        )*};
    }
    let identities = Query::select()
        .column(contact_inbox::Column::Id)
        .from(contact_inbox::Entity)
        .and_where(contact_inbox::Column::ContactId.eq(id))
        .take();
    contact_alias::Entity::delete_many().filter(contact_alias::Column::ContactInboxId.in_subquery(identities)).exec(db).await?;
    leave!(contact_inbox contact_label note);
    contact::Entity::delete_by_id(id).exec(db).await?;
    Ok(keys)
}

/// Conversations with everything said in them.
async fn remove_conversations(db: &impl ConnectionTrait, ids: SelectStatement) -> Result<Vec<String>, DbErr> {
    let messages = || {
        Query::select()
            .column(message::Column::Id)
            .from(message::Entity)
            .and_where(message::Column::ConversationId.in_subquery(ids.clone()))
            .take()
    };
    let attached = Query::select()
        .column(attachment::Column::BlobId)
        .from(attachment::Entity)
        .and_where(attachment::Column::MessageId.in_subquery(messages()))
        .and_where(attachment::Column::BlobId.is_not_null())
        .take();
    // An uploaded file may go with messages of others as well.
    let used = Query::select()
        .column(attachment::Column::BlobId)
        .from(attachment::Entity)
        .and_where(attachment::Column::BlobId.in_subquery(attached.clone()))
        .and_where(attachment::Column::MessageId.not_in_subquery(messages()))
        .take();
    let own = Condition::all().add(blob::Column::Id.in_subquery(attached)).add(blob::Column::Id.not_in_subquery(used));
    let keys = drop_blobs(db, own).await?;
    attachment::Entity::delete_many().filter(attachment::Column::MessageId.in_subquery(messages())).exec(db).await?;
    macro_rules! forget_of_messages {
        ($($entity:ident)*) => {$(
            $entity::Entity::delete_many().filter($entity::Column::MessageId.in_subquery(messages())).exec(db).await?;
        )*};
    }
    forget_of_messages!(outgoing download message_part);
    macro_rules! forget {
        ($($entity:ident)*) => {$(
            $entity::Entity::delete_many().filter($entity::Column::ConversationId.in_subquery(ids.clone())).exec(db).await?;
        )*};
    }
    forget!(message mention participant draft notification conversation_label follow_up);
    // The last: the others are found by them.
    conversation::Entity::delete_many().filter(conversation::Column::Id.in_subquery(ids)).exec(db).await?;
    Ok(keys)
}

/// What the contact has becomes the heir's; of what only one can have the heir's own stays.
async fn merge(
    db: &impl ConnectionTrait,
    contact: &contact::Model,
    before: &contact::Model,
    after: &contact::Model,
) -> Result<Vec<String>, DbErr> {
    let (id, heir) = (contact.id, after.id);
    message::Entity::update_many()
        .col_expr(message::Column::SenderId, Expr::value(heir))
        .filter(message::Column::ConversationId.in_subquery(conversations().and_where(conversation::Column::ContactId.eq(id)).take()))
        .filter(message::Column::SenderType.eq(SenderType::Contact))
        .filter(message::Column::SenderId.eq(id))
        .exec(db)
        .await?;
    let has = Query::select()
        .column(contact_label::Column::Title)
        .from(contact_label::Entity)
        .and_where(contact_label::Column::ContactId.eq(heir))
        .take();
    contact_label::Entity::delete_many()
        .filter(contact_label::Column::ContactId.eq(id))
        .filter(contact_label::Column::Title.in_subquery(has))
        .exec(db)
        .await?;
    macro_rules! move_over {
        ($($entity:ident)*) => {$(
            $entity::Entity::update_many()
                .col_expr($entity::Column::ContactId, Expr::value(heir))
                .filter($entity::Column::ContactId.eq(id))
                .exec(db)
                .await?;
        )*};
    }
    move_over!(conversation contact_inbox contact_label note);
    // Before the heir takes over address, number and identifier, which are unique.
    contact::Entity::delete_by_id(id).exec(db).await?;
    use contact::Column as C;
    let mut heirs = contact::Entity::update_many()
        .col_expr(C::Name, Expr::value(after.name.clone()))
        .col_expr(C::Email, Expr::value(after.email.clone()))
        .col_expr(C::PhoneNumber, Expr::value(after.phone_number.clone()))
        .col_expr(C::Identifier, Expr::value(after.identifier.clone()))
        .col_expr(C::AvatarBlobId, Expr::value(after.avatar_blob_id))
        .col_expr(C::AvatarUrl, Expr::value(after.avatar_url.clone()))
        .col_expr(C::AdditionalAttributes, Expr::value(after.additional_attributes.clone()))
        .col_expr(C::CustomAttributes, Expr::value(after.custom_attributes.clone()))
        .col_expr(C::UpdatedAt, Expr::value(after.updated_at));
    if before.last_activity_at != after.last_activity_at {
        heirs = heirs.col_expr(C::LastActivityAt, Expr::value(after.last_activity_at));
    }
    heirs.filter(C::Id.eq(heir)).exec(db).await?;
    drop_avatar(db, contact.avatar_blob_id.filter(|blob| after.avatar_blob_id != Some(*blob))).await
}

/// Conversations and names of an identity become another's.
async fn take_over(db: &impl ConnectionTrait, identity: &contact_inbox::Model, heir_id: i64) -> Result<(), DbErr> {
    conversation::Entity::update_many()
        .col_expr(conversation::Column::ContactInboxId, Expr::value(heir_id))
        .filter(conversation::Column::ContactInboxId.eq(identity.id))
        .exec(db)
        .await?;
    contact_alias::Entity::update_many()
        .col_expr(contact_alias::Column::ContactInboxId, Expr::value(heir_id))
        .filter(contact_alias::Column::ContactInboxId.eq(identity.id))
        .exec(db)
        .await?;
    contact_inbox::Entity::delete_by_id(identity.id).exec(db).await?;
    let name = contact_alias::ActiveModel {
        id: ActiveValue::NotSet,
        inbox_id: ActiveValue::Set(identity.inbox_id),
        value: ActiveValue::Set(identity.source_id.clone()),
        contact_inbox_id: ActiveValue::Set(heir_id),
        created_at: ActiveValue::Set(entity::now()),
    };
    let again = OnConflict::columns([contact_alias::Column::InboxId, contact_alias::Column::Value])
        .update_column(contact_alias::Column::ContactInboxId)
        .to_owned();
    contact_alias::Entity::insert(name).on_conflict(again).exec_without_returning(db).await.map(drop)
}

async fn drop_avatar(db: &impl ConnectionTrait, blob_id: Option<i64>) -> Result<Vec<String>, DbErr> {
    match blob_id {
        Some(blob_id) => drop_blobs(db, Condition::all().add(blob::Column::Id.eq(blob_id))).await,
        None => Ok(Vec::new()),
    }
}

/// Removes the rows of stored files but those that macros send again and again; the keys of what is gone.
pub(super) async fn drop_blobs(db: &impl ConnectionTrait, which: Condition) -> Result<Vec<String>, DbErr> {
    let mut found = blob::Entity::find().filter(which).all(db).await?;
    if !found.is_empty() {
        let kept = sent_by_macros(db, found.iter().map(|blob| blob.account_id).collect()).await?;
        found.retain(|blob| !kept.contains(&blob.id));
    }
    if !found.is_empty() {
        blob::Entity::delete_many().filter(blob::Column::Id.is_in(found.iter().map(|blob| blob.id))).exec(db).await?;
    }
    Ok(found.into_iter().map(|blob| blob.key).collect())
}

/// The files that macros of accounts send.
async fn sent_by_macros(db: &impl ConnectionTrait, accounts: HashSet<i64>) -> Result<HashSet<i64>, DbErr> {
    let of_accounts = macros::Entity::find().filter(macros::Column::AccountId.is_in(accounts)).all(db).await?;
    let actions = of_accounts.iter().filter_map(|row| row.actions.as_array()).flatten();
    let sends = actions.filter(|action| action.get("action_name").is_some_and(|name| name == "send_attachment"));
    let params = sends.filter_map(|action| action.get("action_params"));
    let id = |value: &Value| value.as_i64().or_else(|| value.as_str()?.trim().parse().ok());
    Ok(params.flat_map(|params| params.as_array().map_or(std::slice::from_ref(params), Vec::as_slice)).filter_map(id).collect())
}
