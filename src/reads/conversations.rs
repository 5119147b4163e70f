//! Which conversations a list shows, in which order, and how many there are.
use super::{Key, Page, key_name, merged, sort};
use entity::conversation::{self, Column, Status};
use entity::{conversation_label, label, mention, participant};
use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait, Func, JoinType, NullOrdering, Order, Query, SelectStatement};
use sea_orm::{ColumnTrait, Condition, EntityTrait, Iterable, QueryFilter, QuerySelect, QueryTrait};

/// Whose conversations a list may show at all.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Of this account.
    pub account_id: i64,
    /// The inboxes that the caller may see; none for all of the account.
    pub inboxes: Option<Vec<i64>>,
}

impl Scope {
    /// As a condition on conversations.
    pub fn condition(&self) -> Condition {
        let of_account = Condition::all().add(Column::AccountId.eq(self.account_id));
        match &self.inboxes {
            Some(inboxes) => of_account.add(Column::InboxId.is_in(inboxes.iter().copied())),
            None => of_account,
        }
    }
}

/// What a list is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// When something last happened.
    Activity(Direction),
    /// When it was opened.
    Creation(Direction),
    /// How urgent it is; those without a priority last, the most recent first among equals.
    Priority(Direction),
    /// The most urgent first, the oldest first among equals.
    PriorityThenAge,
    /// Since when the contact waits; those who do not wait last.
    Waiting(Direction),
    /// What nobody has read first.
    Unread,
}

/// Up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The smallest first.
    Up,
    /// The largest first.
    Down,
}

impl Sort {
    /// Reads the contract's `sort_by` (section 2, Conversations).
    pub fn named(name: &str) -> Option<Sort> {
        use Direction::{Down, Up};
        Some(match name {
            "last_activity_at_desc" | "latest" => Sort::Activity(Down),
            "last_activity_at_asc" => Sort::Activity(Up),
            "created_at_desc" => Sort::Creation(Down),
            "created_at_asc" => Sort::Creation(Up),
            "priority_desc" => Sort::Priority(Down),
            "priority_asc" => Sort::Priority(Up),
            "priority_desc_created_at_asc" => Sort::PriorityThenAge,
            "waiting_since_desc" => Sort::Waiting(Down),
            "waiting_since_asc" => Sort::Waiting(Up),
            "unread" => Sort::Unread,
            _ => return None,
        })
    }

    fn keys(self) -> Vec<Key> {
        let of = |column: Column, direction| Key {
            expression: Expr::col((conversation::Entity, column)),
            order: match direction {
                Direction::Up => Order::Asc,
                Direction::Down => Order::Desc,
            },
            without: None,
        };
        let last = |key: Key| Key { without: Some(NullOrdering::Last), ..key };
        let (up, down) = (Direction::Up, Direction::Down);
        match self {
            Sort::Activity(direction) => vec![of(Column::LastActivityAt, direction), of(Column::Id, direction)],
            Sort::Creation(direction) => vec![of(Column::CreatedAt, direction), of(Column::Id, direction)],
            Sort::Priority(direction) => {
                vec![last(of(Column::Priority, direction)), of(Column::LastActivityAt, down), of(Column::Id, down)]
            }
            Sort::PriorityThenAge => vec![last(of(Column::Priority, down)), of(Column::CreatedAt, up), of(Column::Id, up)],
            Sort::Waiting(direction) => vec![last(of(Column::WaitingSince, direction)), of(Column::CreatedAt, up), of(Column::Id, up)],
            Sort::Unread => {
                let unread = CaseStatement::new().case(Column::UnreadCount.gt(0), 1).finally(0);
                let unread = Key { expression: unread.into(), order: Order::Desc, without: None };
                vec![unread, of(Column::LastActivityAt, down), of(Column::Id, down)]
            }
        }
    }
}

/// The ids of one page. Without a status the pages of all statuses are merged, each of which ends early in the index.
pub fn page(condition: &Condition, status: Option<Status>, order: Sort, page: Page) -> SelectStatement {
    let keys = order.keys();
    let part = |status: Status, page: Page| {
        let mut select = Query::select();
        select.column((conversation::Entity, Column::Id));
        select.from(conversation::Entity).cond_where(condition.clone().add(Column::Status.eq(status)));
        sort(&mut select, &keys);
        select.limit(page.size).offset(page.offset);
        select
    };
    if let Some(status) = status {
        return part(status, page);
    }
    let parts = Status::iter().map(|status| {
        let mut select = part(status, Page { offset: 0, size: page.offset + page.size });
        for (position, key) in keys.iter().enumerate() {
            select.expr_as(key.expression.clone(), key_name(position));
        }
        select
    });
    merged(parts.collect(), &keys, page)
}

/// How many there are: all, those somebody has, those of one user.
pub fn counts(condition: &Condition, status: Option<Status>, user_id: i64) -> SelectStatement {
    let condition = match status {
        Some(status) => condition.clone().add(Column::Status.eq(status)),
        None => condition.clone(),
    };
    let mine = CaseStatement::new().case(Column::AssigneeId.eq(user_id), 1);
    let mut select = Query::select();
    select.expr(Func::count(Expr::val(1)));
    select.expr(Func::count(Expr::col((conversation::Entity, Column::AssigneeId))));
    select.expr(Func::count(mine));
    select.from(conversation::Entity).cond_where(condition);
    select
}

/// How the open ones stand: how many there are, how many somebody has, and how many nobody attends to; by the values of a
/// column, which then comes first, or all together.
pub fn standing(condition: &Condition, by: Option<Column>) -> SelectStatement {
    let waiting = CaseStatement::new().case(unattended(), 1);
    let mut select = Query::select();
    if let Some(column) = by {
        select.column((conversation::Entity, column)).group_by_col((conversation::Entity, column));
    }
    select.expr(Func::count(Expr::val(1)));
    select.expr(Func::count(Expr::col((conversation::Entity, Column::AssigneeId))));
    select.expr(Func::count(waiting));
    select.from(conversation::Entity).cond_where(condition.clone().add(Column::Status.eq(Status::Open)));
    select
}

/// Open ones with something that nobody has read.
fn unread_of(scope: &Scope) -> Condition {
    scope.condition().add(Column::Status.eq(Status::Open)).add(Column::UnreadCount.gt(0))
}

/// How many open conversations are unread, by inbox and team.
pub fn unread(scope: &Scope) -> SelectStatement {
    let keys = [Column::InboxId, Column::TeamId].map(|column| (conversation::Entity, column));
    let mut select = Query::select();
    select.columns(keys).expr(Func::count(Expr::val(1))).from(conversation::Entity).cond_where(unread_of(scope)).group_by_columns(keys);
    select
}

/// How many open conversations are unread, by the ids of the account's labels.
pub fn unread_by_label(scope: &Scope) -> SelectStatement {
    let id = (label::Entity, label::Column::Id);
    let is_set = Condition::all()
        .add(
            Expr::col((label::Entity, label::Column::AccountId))
                .equals((conversation_label::Entity, conversation_label::Column::AccountId)),
        )
        .add(Expr::col((label::Entity, label::Column::Title)).equals((conversation_label::Entity, conversation_label::Column::Title)));
    let unread = Query::select().column((conversation::Entity, Column::Id)).from(conversation::Entity).cond_where(unread_of(scope)).take();
    let mut select = Query::select();
    select.column(id).expr(Func::count(Expr::val(1))).from(conversation_label::Entity);
    select.join(JoinType::InnerJoin, label::Entity, is_set).group_by_col(id);
    select.and_where(Expr::col((conversation_label::Entity, conversation_label::Column::ConversationId)).in_subquery(unread));
    select
}

/// Those with any of these labels.
pub fn labelled(account_id: i64, titles: &[String]) -> Expr {
    let of_titles = conversation_label::Entity::find()
        .select_only()
        .column(conversation_label::Column::ConversationId)
        .filter(conversation_label::Column::AccountId.eq(account_id))
        .filter(conversation_label::Column::Title.is_in(titles));
    Column::Id.in_subquery(of_titles.into_query())
}

/// Those in which a user was mentioned.
pub fn mentioning(account_id: i64, user_id: i64) -> Expr {
    let of_user = mention::Entity::find()
        .select_only()
        .column(mention::Column::ConversationId)
        .filter(mention::Column::UserId.eq(user_id))
        .filter(mention::Column::AccountId.eq(account_id));
    Column::Id.in_subquery(of_user.into_query())
}

/// Those that a user follows.
pub fn followed(account_id: i64, user_id: i64) -> Expr {
    let of_user = participant::Entity::find()
        .select_only()
        .column(participant::Column::ConversationId)
        .filter(participant::Column::UserId.eq(user_id))
        .filter(participant::Column::AccountId.eq(account_id));
    Column::Id.in_subquery(of_user.into_query())
}

/// Those that nobody has answered yet, or whose contact waits again.
pub fn unattended() -> Condition {
    Condition::any().add(Column::FirstReplyCreatedAt.is_null()).add(Column::WaitingSince.is_not_null())
}
