//! Removes accounts and users with what belongs to them. First nobody works there any more, then the rows go in one
//! transaction: interrupted anywhere, the same removal asked for again finishes it.
use crate::http::ask::ask;
use crate::http::audit::{self, Author};
use crate::http::error::ApiResult;
use crate::members::release_conversations;
use crate::tokens;
use actors::catalog::User;
use actors::conversation::rules::By;
use actors::supervisor::Reconcile;
use actors::system::Handles;
use actors::unregistrations;
use entity::access_token::OwnerType;
use entity::{account, account_user, blob, inbox, inbox_member, team, team_member};
use sea_orm::sea_query::{Expr, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect, TransactionTrait};

/// Removes an account with everything in it.
///
/// # Errors
/// If the database fails; it is suspended then.
pub async fn remove_account(handles: &Handles, id: i64) -> ApiResult<()> {
    let transaction = handles.db.write.begin().await?;
    for inbox in
        inbox::Entity::find().filter(inbox::Column::AccountId.eq(id)).filter(inbox::Column::DeletedAt.is_null()).all(&transaction).await?
    {
        unregistrations::note(&transaction, &inbox).await?;
    }
    account::Entity::update_many()
        .col_expr(account::Column::Status, Expr::value(account::Status::Suspended))
        .filter(account::Column::Id.eq(id))
        .exec(&transaction)
        .await?;
    inbox::Entity::update_many()
        .col_expr(inbox::Column::DeletedAt, Expr::value(entity::now()))
        .filter(inbox::Column::AccountId.eq(id))
        .exec(&transaction)
        .await?;
    transaction.commit().await?;
    handles.catalog.reload().await?;
    ask(&handles.supervisor, Reconcile).await?;
    handles.unregistrations.ring();
    let transaction = handles.db.write.begin().await?;
    let files: Vec<String> = blob::Entity::find()
        .select_only()
        .column(blob::Column::Key)
        .filter(blob::Column::AccountId.eq(id))
        .into_tuple()
        .all(&transaction)
        .await?;
    run(&transaction, OF_ACCOUNT, id).await?;
    transaction.commit().await?;
    handles.catalog.reload().await?;
    for key in files {
        // Nobody can name the file any more; the store may have it removed by hand.
        if let Err(error) = handles.files.delete(&key).await {
            tracing::warn!(account.id = id, file.key = key, %error, "a file of a removed account stays in the store");
        }
    }
    Ok(())
}

/// Ends a membership: the user leaves the account's inboxes and teams, and whatever waits there is nobody's.
///
/// # Errors
/// If the database fails.
pub async fn remove_member(handles: &Handles, place: &account_user::Model, author: &Author) -> ApiResult<()> {
    let transaction = handles.db.write.begin().await?;
    end_membership(&transaction, place).await?;
    audit::destroyed(&transaction, author, ("AccountUser", place.id), place).await?;
    transaction.commit().await?;
    handles.catalog.reload().await?;
    release_conversations(handles, place.account_id, place.user_id, By::System).await
}

/// Removes the rows of a membership; the caller reloads the catalog and releases the conversations.
///
/// # Errors
/// If the database fails.
pub async fn end_membership(db: &impl ConnectionTrait, place: &account_user::Model) -> Result<(), DbErr> {
    let inboxes =
        Query::select().column(inbox::Column::Id).from(inbox::Entity).and_where(inbox::Column::AccountId.eq(place.account_id)).take();
    let teams = Query::select().column(team::Column::Id).from(team::Entity).and_where(team::Column::AccountId.eq(place.account_id)).take();
    inbox_member::Entity::delete_many()
        .filter(inbox_member::Column::UserId.eq(place.user_id))
        .filter(inbox_member::Column::InboxId.in_subquery(inboxes))
        .exec(db)
        .await?;
    team_member::Entity::delete_many()
        .filter(team_member::Column::UserId.eq(place.user_id))
        .filter(team_member::Column::TeamId.in_subquery(teams))
        .exec(db)
        .await?;
    account_user::Entity::delete_by_id(place.id).exec(db).await.map(drop)
}

/// Removes a user; what it wrote stays. Each of its accounts notes who did it.
///
/// # Errors
/// If the database fails.
pub async fn remove_user(handles: &Handles, user: &User, author: impl Fn(i64) -> Author) -> ApiResult<()> {
    for place in &user.places {
        remove_member(handles, place, &author(place.account_id)).await?;
    }
    let id = user.row.id;
    let transaction = handles.db.write.begin().await?;
    tokens::remove(&transaction, OwnerType::User, id).await?;
    run(&transaction, OF_USER, id).await?;
    transaction.commit().await?;
    handles.catalog.reload().await?;
    Ok(())
}

async fn run(db: &impl ConnectionTrait, statements: &[&str], id: i64) -> Result<(), DbErr> {
    for statement in statements {
        db.execute_unprepared(&statement.replace("{id}", &id.to_string())).await?;
    }
    Ok(())
}

/// What belongs to an account: rows before those that they refer to.
const OF_ACCOUNT: &[&str] = &[
    "DELETE FROM delivery_attempts WHERE delivery_id IN (SELECT id FROM deliveries WHERE account_id = {id})",
    "DELETE FROM deliveries WHERE account_id = {id}",
    "DELETE FROM events WHERE account_id = {id}",
    "DELETE FROM announcements WHERE account_id = {id}",
    "DELETE FROM outgoing WHERE inbox_id IN (SELECT id FROM inboxes WHERE account_id = {id})",
    "DELETE FROM downloads WHERE inbox_id IN (SELECT id FROM inboxes WHERE account_id = {id})",
    "DELETE FROM message_parts WHERE inbox_id IN (SELECT id FROM inboxes WHERE account_id = {id})",
    "DELETE FROM early_amendments WHERE inbox_id IN (SELECT id FROM inboxes WHERE account_id = {id})",
    "DELETE FROM contact_aliases WHERE inbox_id IN (SELECT id FROM inboxes WHERE account_id = {id})",
    "DELETE FROM attachments WHERE account_id = {id}",
    "DELETE FROM messages WHERE account_id = {id}",
    "DELETE FROM drafts WHERE conversation_id IN (SELECT id FROM conversations WHERE account_id = {id})",
    "DELETE FROM participants WHERE account_id = {id}",
    "DELETE FROM mentions WHERE account_id = {id}",
    "DELETE FROM notifications WHERE account_id = {id}",
    "DELETE FROM notification_settings WHERE account_id = {id}",
    "DELETE FROM conversation_labels WHERE account_id = {id}",
    "DELETE FROM follow_ups WHERE conversation_id IN (SELECT id FROM conversations WHERE account_id = {id})",
    "DELETE FROM conversations WHERE account_id = {id}",
    "DELETE FROM contact_inboxes WHERE inbox_id IN (SELECT id FROM inboxes WHERE account_id = {id})",
    "DELETE FROM contact_labels WHERE account_id = {id}",
    "DELETE FROM notes WHERE account_id = {id}",
    "DELETE FROM contacts WHERE account_id = {id}",
    "DELETE FROM cursors WHERE inbox_id IN (SELECT id FROM inboxes WHERE account_id = {id})",
    "DELETE FROM parked_messages WHERE inbox_id IN (SELECT id FROM inboxes WHERE account_id = {id})",
    "DELETE FROM message_templates WHERE inbox_id IN (SELECT id FROM inboxes WHERE account_id = {id})",
    "DELETE FROM inbox_members WHERE inbox_id IN (SELECT id FROM inboxes WHERE account_id = {id})",
    "DELETE FROM inboxes WHERE account_id = {id}",
    "DELETE FROM assignment_policies WHERE account_id = {id}",
    "DELETE FROM team_members WHERE team_id IN (SELECT id FROM teams WHERE account_id = {id})",
    "DELETE FROM teams WHERE account_id = {id}",
    "DELETE FROM labels WHERE account_id = {id}",
    "DELETE FROM canned_responses WHERE account_id = {id}",
    "DELETE FROM custom_attribute_definitions WHERE account_id = {id}",
    "DELETE FROM custom_filters WHERE account_id = {id}",
    "DELETE FROM dashboard_apps WHERE account_id = {id}",
    "DELETE FROM macros WHERE account_id = {id}",
    "DELETE FROM webhooks WHERE account_id = {id}",
    "DELETE FROM access_tokens WHERE owner_type = 1 AND owner_id IN (SELECT id FROM agent_bots WHERE account_id = {id})",
    "DELETE FROM platform_grants WHERE kind = 2 AND object_id IN (SELECT id FROM agent_bots WHERE account_id = {id})",
    "DELETE FROM agent_bots WHERE account_id = {id}",
    "DELETE FROM audit_logs WHERE account_id = {id}",
    "DELETE FROM mails WHERE account_id = {id}",
    "DELETE FROM contact_transfers WHERE account_id = {id}",
    "DELETE FROM blobs WHERE account_id = {id}",
    "DELETE FROM account_users WHERE account_id = {id}",
    "DELETE FROM platform_grants WHERE kind = 0 AND object_id = {id}",
    "DELETE FROM accounts WHERE id = {id}",
];

/// What belongs to a user who is no longer a member of any account.
const OF_USER: &[&str] = &[
    "DELETE FROM sessions WHERE user_id = {id}",
    "DELETE FROM one_time_tokens WHERE user_id = {id}",
    "DELETE FROM second_factors WHERE user_id = {id}",
    "DELETE FROM drafts WHERE user_id = {id}",
    "DELETE FROM participants WHERE user_id = {id}",
    "DELETE FROM mentions WHERE user_id = {id}",
    "DELETE FROM notifications WHERE user_id = {id}",
    "DELETE FROM notification_settings WHERE user_id = {id}",
    "DELETE FROM notification_subscriptions WHERE user_id = {id}",
    "DELETE FROM custom_filters WHERE user_id = {id}",
    "DELETE FROM macros WHERE visibility = 0 AND created_by_id = {id}",
    "DELETE FROM inbox_members WHERE user_id = {id}",
    "DELETE FROM team_members WHERE user_id = {id}",
    "DELETE FROM account_users WHERE user_id = {id}",
    "DELETE FROM platform_grants WHERE kind = 1 AND object_id = {id}",
    "DELETE FROM users WHERE id = {id}",
];
