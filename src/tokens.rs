//! Access tokens of users, bots and platform apps: given, shown, replaced. What is stored is a hash and a sealed copy.
use actors::secret::{Vault, hash, random_token};
use entity::access_token::{self, OwnerType};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};

/// The context under which access tokens are sealed.
const CONTEXT: &str = "access_tokens.token";

/// Gives somebody a token, this one or a new one; returns it.
///
/// # Errors
/// If the owner has one already, or the database refuses it.
pub async fn give(
    db: &impl ConnectionTrait,
    vault: &Vault,
    owner_type: OwnerType,
    owner_id: i64,
    token: Option<String>,
) -> Result<String, DbErr> {
    let token = token.unwrap_or_else(random_token);
    let row = access_token::ActiveModel {
        id: ActiveValue::NotSet,
        owner_type: ActiveValue::Set(owner_type),
        owner_id: ActiveValue::Set(owner_id),
        token_hash: ActiveValue::Set(hash(&token)),
        token_sealed: ActiveValue::Set(vault.seal(CONTEXT, &token)),
        created_at: ActiveValue::Set(entity::now()),
    };
    access_token::Entity::insert(row).exec_without_returning(db).await?;
    Ok(token)
}

/// Replaces somebody's token; the old one is void once the catalog is loaded again.
///
/// # Errors
/// If the database fails.
pub async fn replace(db: &impl ConnectionTrait, vault: &Vault, owner_type: OwnerType, owner_id: i64) -> Result<(), DbErr> {
    let token = random_token();
    access_token::Entity::update_many()
        .col_expr(access_token::Column::TokenHash, Expr::value(hash(&token)))
        .col_expr(access_token::Column::TokenSealed, Expr::value(vault.seal(CONTEXT, &token)))
        .filter(access_token::Column::OwnerType.eq(owner_type))
        .filter(access_token::Column::OwnerId.eq(owner_id))
        .exec(db)
        .await?;
    Ok(())
}

/// Takes somebody's token away.
///
/// # Errors
/// If the database fails.
pub async fn remove(db: &impl ConnectionTrait, owner_type: OwnerType, owner_id: i64) -> Result<(), DbErr> {
    access_token::Entity::delete_many()
        .filter(access_token::Column::OwnerType.eq(owner_type))
        .filter(access_token::Column::OwnerId.eq(owner_id))
        .exec(db)
        .await?;
    Ok(())
}

/// A sealed token in the clear, for its owner's eyes.
pub fn shown(vault: &Vault, sealed: Option<&str>) -> Option<String> {
    vault.open(CONTEXT, sealed?).ok().map(|token| token.expose().to_owned())
}
