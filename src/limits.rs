//! How many agents and inboxes an account may have, where a platform app has set a limit (contract, section 9).
use crate::http::error::{ApiError, ApiResult};
use entity::{account, account_user, inbox};
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect};
use serde_json::Value;

/// What is limited, by its name among the limits of an account.
#[derive(Clone, Copy, Debug)]
pub enum Limited {
    /// Members.
    Agents,
    /// Inboxes that are not deleted.
    Inboxes,
}

impl Limited {
    fn name(self) -> &'static str {
        match self {
            Limited::Agents => "agents",
            Limited::Inboxes => "inboxes",
        }
    }
}

/// Lets so many more be made in the transaction of `db`; until it ends, nobody else makes any.
///
/// # Errors
/// 402 if they would be more than the account may have.
pub async fn admit(db: &DatabaseTransaction, account_id: i64, limited: Limited, more: usize) -> ApiResult<()> {
    let account = account::Entity::find_by_id(account_id).lock_exclusive().one(db).await?.ok_or_else(ApiError::not_found)?;
    let Some(most) = limit(&account.limits, limited) else { return Ok(()) };
    let there = match limited {
        Limited::Agents => account_user::Entity::find().filter(account_user::Column::AccountId.eq(account_id)).count(db).await?,
        Limited::Inboxes => {
            let living = inbox::Entity::find().filter(inbox::Column::AccountId.eq(account_id)).filter(inbox::Column::DeletedAt.is_null());
            living.count(db).await?
        }
    };
    match there.saturating_add(more as u64) > most {
        true => Err(ApiError::over_limit(format!("Account limit exceeded: this account may have {most} {}", limited.name()))),
        false => Ok(()),
    }
}

fn limit(limits: &Value, limited: Limited) -> Option<u64> {
    match limits.get(limited.name())? {
        Value::String(text) => text.trim().parse().ok(),
        number => number.as_u64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn limits_are_whole_numbers_and_what_is_not_named_is_not_limited() {
        for (limits, agents) in [
            (json!({}), None),
            (json!({ "inboxes": 3 }), None),
            (json!({ "agents": null }), None),
            (json!({ "agents": 0 }), Some(0)),
            (json!({ "agents": 5, "inboxes": 3 }), Some(5)),
            (json!({ "agents": "5" }), Some(5)),
        ] {
            assert_eq!(limit(&limits, Limited::Agents), agents, "{limits}");
        }
    }
}
