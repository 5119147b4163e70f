//! Visitors of websites who opened a page and never said anything: after some months nobody will ask for them again, and a site
//! with many visitors would otherwise fill the desk with them.
use super::{Author, Contacts};
use crate::catalog::Catalog;
use crate::presence::Presence;
use crate::store::StoreError;
use chrono::{DateTime, Duration, Utc};
use entity::{contact, contact_inbox, conversation, inbox};
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

/// How long they are kept. Whoever comes back later is a new visitor.
const KEPT: Duration = Duration::days(90);
/// How many go at once.
const AT_ONCE: u64 = 200;

impl Contacts {
    /// Removes those who came so long ago, never wrote, and of whom nothing is known.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn forget_passers_by(&self, catalog: &Catalog, presence: &Presence, now: DateTime<Utc>) -> Result<(), StoreError> {
        use contact::Column as C;
        let of_websites = Query::select()
            .column(contact_inbox::Column::ContactId)
            .from(contact_inbox::Entity)
            .inner_join(
                inbox::Entity,
                Expr::col((inbox::Entity, inbox::Column::Id)).eq(Expr::col((contact_inbox::Entity, contact_inbox::Column::InboxId))),
            )
            .and_where(Expr::col((contact_inbox::Entity, contact_inbox::Column::ContactId)).eq(Expr::col((contact::Entity, C::Id))))
            .and_where(Expr::col((inbox::Entity, inbox::Column::Channel)).eq("web_widget"))
            .take();
        let of_conversations = Query::select()
            .expr(Expr::val(1))
            .from(conversation::Entity)
            .and_where(Expr::col((conversation::Entity, conversation::Column::ContactId)).eq(Expr::col((contact::Entity, C::Id))))
            .take();
        // The index `contacts_unknown` repeats what is null.
        let passers_by = contact::Entity::find()
            .filter(C::LastActivityAt.is_null())
            .filter(C::Email.is_null())
            .filter(C::PhoneNumber.is_null())
            .filter(C::Identifier.is_null())
            .filter(C::CreatedAt.lt(now - KEPT))
            .filter(Expr::exists(of_websites))
            .filter(Expr::exists(of_conversations).not())
            .order_by_asc(C::CreatedAt)
            .limit(AT_ONCE);
        for contact in passers_by.all(&self.db.read).await? {
            let Some(account) = catalog.now().account(contact.account_id).cloned() else { continue };
            if presence.is_contact_online(contact.account_id, contact.id) {
                continue;
            }
            match self.remove(&account, contact.id, Author::default()).await {
                Ok(()) | Err(StoreError::Gone) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
