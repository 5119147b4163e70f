//! How many conversations and contacts an account has, by what lists count them by: kept in memory, so that a list costs the same
//! however many there are.
//!
//! An account is counted once, when somebody first asks, between two commits of the writer; from then on the writer's own changes
//! are added. What cannot be added (a removal, a commit of unknown outcome) has the account counted anew.
use crate::store::{Record, Row};
use entity::contact;
use entity::conversation::{self, Status};
use sea_orm::sea_query::{Expr, ExprTrait, Func, Query};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Of all accounts that were asked for.
#[derive(Clone, Default)]
pub struct Standings(Arc<Mutex<HashMap<i64, Standing>>>);

/// Of one account.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    conversations: HashMap<Group, i64>,
    /// Contacts of whom something is known.
    contacts: i64,
}

/// What conversations are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Group {
    /// The inbox.
    pub inbox_id: i64,
    /// The team.
    pub team_id: Option<i64>,
    /// The status.
    pub status: Status,
    /// The user who has it.
    pub assignee_id: Option<i64>,
}

/// How many conversations there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All.
    pub all: i64,
    /// Those that a user has.
    pub assigned: i64,
    /// Those that one user has.
    pub mine: i64,
}

/// What a commit changes.
#[derive(Clone, Debug, Default)]
pub struct Change {
    account_id: i64,
    from: Option<Group>,
    to: Option<Group>,
    contacts: i64,
}

impl Group {
    fn of(row: &conversation::Model) -> Self {
        Group { inbox_id: row.inbox_id, team_id: row.team_id, status: row.status, assignee_id: row.assignee_id }
    }
}

impl Change {
    /// What follows from a record that was stored; none if nothing.
    pub fn of(record: &Record) -> Option<Self> {
        let (from, to) = match &record.conversation {
            Some(Row::New(row)) => (None, Some(Group::of(row))),
            Some(Row::Changed { before, after }) => (Some(Group::of(before)), Some(Group::of(after))),
            Some(Row::Kept(_)) | None => (None, None),
        };
        let known = |contact: &contact::Model| i64::from(is_known(contact));
        let contacts = match &record.contact {
            Row::New(contact) => known(contact),
            Row::Changed { before, after } => known(after) - known(before),
            Row::Kept(_) => 0,
        };
        (from != to || contacts != 0).then_some(Change { account_id: record.account.id, from, to, contacts })
    }
}

/// Whether something is known of a contact by which it could be found elsewhere (contract, section 2, Contacts).
fn is_known(contact: &contact::Model) -> bool {
    contact.email.is_some() || contact.phone_number.is_some() || contact.identifier.is_some()
}

impl Standing {
    /// Counts an account.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn read(db: &impl ConnectionTrait, account_id: i64) -> Result<Self, DbErr> {
        use conversation::Column as C;
        let keys = [C::InboxId, C::TeamId, C::Status, C::AssigneeId].map(|column| (conversation::Entity, column));
        let mut select = Query::select();
        select.columns(keys).expr(Func::count(Expr::val(1))).from(conversation::Entity).group_by_columns(keys);
        select.and_where(Expr::col((conversation::Entity, C::AccountId)).eq(account_id));
        let mut conversations = HashMap::new();
        for row in db.query_all(&select).await? {
            let group = Group {
                inbox_id: row.try_get_by_index(0)?,
                team_id: row.try_get_by_index(1)?,
                status: row.try_get_by_index(2)?,
                assignee_id: row.try_get_by_index(3)?,
            };
            conversations.insert(group, row.try_get_by_index(4)?);
        }
        use contact::Column as K;
        let known = Condition::any().add(K::Email.is_not_null()).add(K::PhoneNumber.is_not_null()).add(K::Identifier.is_not_null());
        let contacts = contact::Entity::find().filter(K::AccountId.eq(account_id)).filter(known).count(db).await?;
        Ok(Standing { conversations, contacts: i64::try_from(contacts).unwrap_or(i64::MAX) })
    }
}

impl Standings {
    /// Conversations of an account; none if it has to be counted first.
    pub fn conversations(&self, account_id: i64, user_id: i64, wanted: impl Fn(&Group) -> bool) -> Option<Counts> {
        let standings = self.lock();
        let mut counts = Counts::default();
        for (group, count) in standings.get(&account_id)?.conversations.iter().filter(|(group, _)| wanted(group)) {
            counts.all += count;
            counts.assigned += if group.assignee_id.is_some() { *count } else { 0 };
            counts.mine += if group.assignee_id == Some(user_id) { *count } else { 0 };
        }
        Some(counts)
    }

    /// Contacts of an account of whom something is known; none if it has to be counted first.
    pub fn contacts(&self, account_id: i64) -> Option<i64> {
        self.lock().get(&account_id).map(|standing| standing.contacts)
    }

    /// An account was counted, after everything that was added here and before everything that will be.
    pub fn put(&self, account_id: i64, standing: Standing) {
        self.lock().insert(account_id, standing);
    }

    /// Adds what a commit has changed.
    pub fn add(&self, changes: &[Change]) {
        let mut standings = self.lock();
        for change in changes {
            let Some(standing) = standings.get_mut(&change.account_id) else { continue };
            standing.contacts += change.contacts;
            for (group, count) in [(change.from, -1), (change.to, 1)] {
                if let Some(group) = group {
                    *standing.conversations.entry(group).or_default() += count;
                }
            }
            standing.conversations.retain(|_, count| *count != 0);
        }
    }

    /// Has every account counted anew.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Standing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Profile;
    use crate::people;

    #[test]
    fn what_is_added_is_what_would_be_counted() {
        let group = |status, assignee_id| Group { inbox_id: 7, team_id: None, status, assignee_id };
        let standings = Standings::default();
        let change = |from, to, contacts| Change { account_id: 1, from, to, contacts };
        standings.add(&[change(None, Some(group(Status::Open, None)), 1)]);
        assert_eq!(standings.conversations(1, 3, |_| true), None, "not counted yet");
        standings.put(1, Standing { conversations: HashMap::from([(group(Status::Open, None), 2)]), contacts: 5 });
        standings.add(&[
            change(None, Some(group(Status::Open, Some(3))), 1),
            change(Some(group(Status::Open, None)), Some(group(Status::Resolved, Some(4))), 0),
        ]);
        assert_eq!(standings.conversations(1, 3, |_| true), Some(Counts { all: 3, assigned: 2, mine: 1 }));
        let open = standings.conversations(1, 3, |group| group.status == Status::Open);
        assert_eq!((open, standings.contacts(1)), (Some(Counts { all: 2, assigned: 1, mine: 1 }), Some(6)));
        standings.clear();
        assert_eq!(standings.contacts(1), None);
    }

    #[test]
    fn only_contacts_of_whom_something_is_known_count() {
        let contact = |email: Option<&str>| {
            let profile = Profile { email: email.map(Into::into), ..Profile::default() };
            people::new_contact(1, &profile, "Ada", entity::now())
        };
        assert!(is_known(&contact(Some("a@b.example"))) && !is_known(&contact(None)));
    }
}
