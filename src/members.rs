//! Creates who may call the API: accounts, users with their access tokens and places, platform apps; and removes places. Used by
//! the first start, the command line and the API.
use crate::http::error::ApiResult;
use crate::http::profiles::new_user;
use crate::sweep::change_all;
use crate::tokens;
use actors::conversation::rules::{By, Change};
use actors::secret::Vault;
use actors::system::Handles;
use entity::access_token::OwnerType;
use entity::account_user::{Availability, Role};
use entity::conversation::Status;
use entity::{account, account_user, conversation, platform_app, user};
use sea_orm::{ActiveModelTrait, ActiveValue, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect};
use serde_json::json;

/// A member to be created.
pub struct NewMember {
    /// Lower case.
    pub email: String,
    /// The full name.
    pub name: String,
    /// None for somebody who has not chosen one yet.
    pub password_hash: Option<String>,
    /// A new one when none is given.
    pub access_token: Option<String>,
    /// Whether the address is known to be theirs; until then nobody is let in.
    pub is_confirmed: bool,
}

/// What somebody may do in an account.
pub struct NewPlace {
    /// The account.
    pub account_id: i64,
    /// As what.
    pub role: Role,
    /// Who invited.
    pub inviter_id: Option<i64>,
    /// What is shown.
    pub availability: Availability,
    /// Counts as offline without a connection.
    pub auto_offline: bool,
}

/// Creates an account.
///
/// # Errors
/// If the database refuses it.
pub async fn create_account(db: &impl ConnectionTrait, name: &str) -> Result<account::Model, DbErr> {
    let now = entity::now();
    let row = account::ActiveModel {
        id: ActiveValue::NotSet,
        name: ActiveValue::Set(name.to_owned()),
        locale: ActiveValue::Set("en".into()),
        domain: ActiveValue::Set(None),
        support_email: ActiveValue::Set(None),
        status: ActiveValue::Set(account::Status::Active),
        settings: ActiveValue::Set(json!({})),
        custom_attributes: ActiveValue::Set(json!({})),
        features: ActiveValue::Set(json!({})),
        limits: ActiveValue::Set(json!({})),
        last_display_id: ActiveValue::Set(0),
        created_at: ActiveValue::Set(now),
        updated_at: ActiveValue::Set(now),
    };
    row.insert(db).await
}

/// Creates a user with an access token; returns both.
///
/// # Errors
/// If the address is taken, or the database refuses it.
pub async fn create_user(db: &impl ConnectionTrait, vault: &Vault, member: NewMember) -> Result<(user::Model, String), DbErr> {
    let user = new_user(member.email, member.name, member.password_hash, member.is_confirmed).insert(db).await?;
    let token = tokens::give(db, vault, OwnerType::User, user.id, member.access_token).await?;
    Ok((user, token))
}

/// Creates a platform app with an access token; returns both.
///
/// # Errors
/// If the database refuses it.
pub async fn create_app(db: &impl ConnectionTrait, vault: &Vault, name: &str) -> Result<(platform_app::Model, String), DbErr> {
    let now = entity::now();
    let row = platform_app::ActiveModel {
        id: ActiveValue::NotSet,
        name: ActiveValue::Set(name.to_owned()),
        created_at: ActiveValue::Set(now),
        updated_at: ActiveValue::Set(now),
    };
    let app = row.insert(db).await?;
    let token = tokens::give(db, vault, OwnerType::PlatformApp, app.id, None).await?;
    Ok((app, token))
}

/// Gives a user a place in an account.
///
/// # Errors
/// If the user has one already, or the database refuses it.
pub async fn give_place(db: &impl ConnectionTrait, user_id: i64, place: NewPlace) -> Result<account_user::Model, DbErr> {
    let now = entity::now();
    let row = account_user::ActiveModel {
        id: ActiveValue::NotSet,
        account_id: ActiveValue::Set(place.account_id),
        user_id: ActiveValue::Set(user_id),
        role: ActiveValue::Set(place.role),
        availability: ActiveValue::Set(place.availability),
        auto_offline: ActiveValue::Set(place.auto_offline),
        inviter_id: ActiveValue::Set(place.inviter_id),
        active_at: ActiveValue::Set(None),
        created_at: ActiveValue::Set(now),
        updated_at: ActiveValue::Set(now),
    };
    row.insert(db).await
}

/// Makes the conversations of somebody who has left an account nobody's.
///
/// # Errors
/// If the database fails or a conversation does not answer; what was released stays released.
pub async fn release_conversations(handles: &Handles, account_id: i64, user_id: i64, by: By) -> ApiResult<()> {
    // Deleted inboxes have conversations as well; the index begins with inbox and status.
    let inboxes: Vec<i64> = entity::inbox::Entity::find()
        .select_only()
        .column(entity::inbox::Column::Id)
        .filter(entity::inbox::Column::AccountId.eq(account_id))
        .into_tuple()
        .all(&handles.db.read)
        .await?;
    let statuses = [Status::Open, Status::Resolved, Status::Pending, Status::Snoozed];
    let his = Condition::all()
        .add(conversation::Column::InboxId.is_in(inboxes))
        .add(conversation::Column::Status.is_in(statuses))
        .add(conversation::Column::AssigneeId.eq(user_id));
    change_all(handles, his, by, Change::Assignee(None)).await
}
