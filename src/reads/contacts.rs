//! Which contacts a list shows, in which order, and how many there are.
use super::{Key, Page, sort};
use entity::contact::{self, Column};
use entity::contact_label;
use sea_orm::sea_query::{BinOper, Expr, ExprTrait, Func, NullOrdering, Order, Query, SelectStatement};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QuerySelect, QueryTrait};

/// The contacts of an account of whom something is known: only they are listed. The partial indexes repeat this condition.
pub fn known(account_id: i64) -> Condition {
    let known =
        Condition::any().add(Column::Email.is_not_null()).add(Column::PhoneNumber.is_not_null()).add(Column::Identifier.is_not_null());
    of_account(account_id).add(known)
}

/// All contacts of an account.
pub fn of_account(account_id: i64) -> Condition {
    Condition::all().add(Column::AccountId.eq(account_id))
}

/// What a list is sorted by, in the contract's names, with `-` in front descending; by name unless it is one of them.
#[derive(Clone, Debug)]
pub struct Sort(Vec<Key>);

impl Sort {
    /// Reads the contract's `sort` (section 2, Contacts).
    pub fn named(sort: &str) -> Sort {
        let (name, order) = sort.strip_prefix('-').map_or((sort, Order::Asc), |name| (name, Order::Desc));
        let column = |column: Column| Expr::col((contact::Entity, column));
        // Its name is written out, as in the indexes: a bound value would match none of them.
        let of_attribute =
            |name: &str| Expr::col((contact::Entity, Column::AdditionalAttributes)).binary(ARROW, Expr::Constant(name.into()));
        // Nothing comes before everything, on both databases and in both directions.
        let nothing = if order == Order::Asc { NullOrdering::First } else { NullOrdering::Last };
        let (expression, without) = match name {
            "email" => (column(Column::Email), Some(nothing)),
            "phone_number" => (column(Column::PhoneNumber), Some(nothing)),
            "last_activity_at" => (column(Column::LastActivityAt), Some(nothing)),
            "created_at" => (column(Column::CreatedAt), None),
            "company_name" | "city" | "country" => (of_attribute(name), Some(nothing)),
            _ => (Func::lower(column(Column::Name)).into(), None),
        };
        let key = |expression, without| Key { expression, order: order.clone(), without };
        Sort(vec![key(expression, without), key(column(Column::Id), None)])
    }
}

/// An attribute's text; null where it is not set. Both databases read it alike.
pub(super) fn attribute(column: impl sea_orm::sea_query::IntoColumnRef, name: &str) -> Expr {
    Expr::col(column).binary(ARROW, Expr::val(name))
}

const ARROW: BinOper = BinOper::Custom("->>");

/// The ids of one page.
pub fn page(condition: &Condition, order: &Sort, page: Page) -> SelectStatement {
    let mut select = Query::select();
    select.column((contact::Entity, Column::Id)).from(contact::Entity).cond_where(condition.clone());
    sort(&mut select, &order.0);
    select.limit(page.size).offset(page.offset);
    select
}

/// How many there are.
pub fn count(condition: &Condition) -> SelectStatement {
    let mut select = Query::select();
    select.expr(Func::count(Expr::val(1))).from(contact::Entity).cond_where(condition.clone());
    select
}

/// Those with any of these labels.
pub fn labelled(account_id: i64, titles: &[String]) -> Expr {
    let of_titles = contact_label::Entity::find()
        .select_only()
        .column(contact_label::Column::ContactId)
        .filter(contact_label::Column::AccountId.eq(account_id))
        .filter(contact_label::Column::Title.is_in(titles));
    Column::Id.in_subquery(of_titles.into_query())
}
