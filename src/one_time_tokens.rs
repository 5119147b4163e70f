//! Tokens that open one thing for one user, once: a sign-in without a password, a new password, the confirmation of an address,
//! the second step of a sign-in. What is stored is a hash.
use actors::secret::{hash, random_token};
use chrono::Duration;
use entity::one_time_token::{self, Column, Entity, Purpose};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ActiveValue, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter};

/// How often what must come with a token may be wrong before the token is void.
const FAILURES: i32 = 5;

/// Gives a user a token; returns it.
///
/// # Errors
/// If the database fails.
pub async fn give(db: &impl ConnectionTrait, user_id: i64, purpose: Purpose, lifetime: Duration) -> Result<String, DbErr> {
    let (token, now) = (random_token(), entity::now());
    Entity::delete_many().filter(Column::ExpiresAt.lt(now)).exec(db).await?;
    let row = one_time_token::ActiveModel {
        id: ActiveValue::NotSet,
        user_id: ActiveValue::Set(user_id),
        purpose: ActiveValue::Set(purpose),
        token_hash: ActiveValue::Set(hash(&token)),
        failures: ActiveValue::Set(0),
        expires_at: ActiveValue::Set(now + lifetime),
    };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(token)
}

/// Whose token this is, if it still opens what it is for; it goes on to.
///
/// # Errors
/// If the database fails.
pub async fn owner(db: &impl ConnectionTrait, purpose: Purpose, token: &str) -> Result<Option<i64>, DbErr> {
    Ok(Entity::find().filter(open(purpose, token)).one(db).await?.map(|row| row.user_id))
}

/// Takes a token of a user: true once, within its time.
///
/// # Errors
/// If the database fails.
pub async fn take(db: &impl ConnectionTrait, user_id: i64, purpose: Purpose, token: &str) -> Result<bool, DbErr> {
    let taken = Entity::delete_many().filter(open(purpose, token)).filter(Column::UserId.eq(user_id)).exec(db).await?;
    Ok(taken.rows_affected == 1)
}

/// Notes that what came with a token was wrong; after some times the token is void.
///
/// # Errors
/// If the database fails.
pub async fn note_failure(db: &impl ConnectionTrait, purpose: Purpose, token: &str) -> Result<(), DbErr> {
    let failed = Entity::update_many().col_expr(Column::Failures, Expr::col(Column::Failures).add(1));
    failed.filter(open(purpose, token)).exec(db).await?;
    Entity::delete_many().filter(Column::Failures.gte(FAILURES)).filter(Column::TokenHash.eq(hash(token))).exec(db).await.map(drop)
}

/// Voids what a user was given for some purposes.
///
/// # Errors
/// If the database fails.
pub async fn void<const N: usize>(db: &impl ConnectionTrait, user_id: i64, purposes: [Purpose; N]) -> Result<(), DbErr> {
    Entity::delete_many().filter(Column::UserId.eq(user_id)).filter(Column::Purpose.is_in(purposes)).exec(db).await.map(drop)
}

fn open(purpose: Purpose, token: &str) -> Condition {
    Condition::all().add(Column::TokenHash.eq(hash(token))).add(Column::Purpose.eq(purpose)).add(Column::ExpiresAt.gt(entity::now()))
}
