//! The statements that read lists: what they filter, sort, count and search by. Built here and run by handlers, so that a test
//! can ask the databases how they would run the very same ones.
//!
//! A list is read in two steps: the ids of one page from an index that holds everything the list filters and sorts by, then
//! the rows of that page by their ids. So a page never reads the rows before it.
pub mod contacts;
pub mod conversations;
pub mod filter;
pub mod search;

use sea_orm::sea_query::{Expr, NullOrdering, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait};
use std::collections::HashMap;

/// A part of a list.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// How many come before it.
    pub offset: u64,
    /// How many are on it.
    pub size: u64,
}

impl Page {
    /// The page of this number, from 1; never further than the databases can count.
    pub fn of(number: u64, size: u64) -> Self {
        let most = i64::MAX.unsigned_abs() / 2;
        Page { offset: number.saturating_sub(1).saturating_mul(size).min(most), size }
    }
}

/// One of the things that a list is sorted by, and where rows without it come.
#[derive(Clone, Debug)]
pub struct Key {
    expression: Expr,
    order: Order,
    without: Option<NullOrdering>,
}

/// The ids that a statement of this module gives.
///
/// # Errors
/// If the database fails.
pub async fn ids(db: &impl ConnectionTrait, select: &SelectStatement) -> Result<Vec<i64>, DbErr> {
    db.query_all(select).await?.into_iter().map(|row| row.try_get_by_index(0)).collect()
}

/// Rows in the order of these ids.
///
/// # Errors
/// If the database fails.
pub async fn rows<E: EntityTrait>(
    db: &impl ConnectionTrait,
    column: E::Column,
    ids: &[i64],
    id: impl Fn(&E::Model) -> i64,
) -> Result<Vec<E::Model>, DbErr> {
    use sea_orm::{ColumnTrait, QueryFilter};
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let found = E::find().filter(column.is_in(ids.iter().copied())).all(db).await?;
    let mut found: HashMap<i64, E::Model> = found.into_iter().map(|row| (id(&row), row)).collect();
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}

/// Sorts a statement by keys.
fn sort(select: &mut SelectStatement, keys: &[Key]) {
    for Key { expression, order, without } in keys {
        match without {
            Some(without) => select.order_by_expr_with_nulls(expression.clone(), order.clone(), *without),
            None => select.order_by_expr(expression.clone(), order.clone()),
        };
    }
}

/// The name of a key in a statement that is part of another.
fn key_name(position: usize) -> String {
    format!("k{position}")
}

/// One page of what several statements give together. Each is made with its own order and limit, so each ends early.
fn merged(parts: Vec<SelectStatement>, keys: &[Key], page: Page) -> SelectStatement {
    let outer = |part: SelectStatement, name: String| {
        let mut select = Query::select();
        select.column("id").from_subquery(part, name);
        select
    };
    let mut parts = parts.into_iter().enumerate().map(|(position, part)| {
        let mut select = outer(part, format!("part{position}"));
        select.columns((0..keys.len()).map(key_name));
        select
    });
    let mut all = parts.next().unwrap_or_else(Query::select);
    all.unions(parts.map(|part| (sea_orm::sea_query::UnionType::All, part)));
    let mut select = outer(all, "merged".to_owned());
    let named = keys.iter().enumerate().map(|(position, key)| Key { expression: Expr::col(key_name(position)), ..key.clone() });
    sort(&mut select, &named.collect::<Vec<_>>());
    select.limit(page.size).offset(page.offset);
    select
}
