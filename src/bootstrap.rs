//! The first start: account 1 and one administrator, whose credentials are printed once to the terminal and nowhere else.
use crate::members::{NewMember, NewPlace, create_account, create_user, give_place};
use crate::password;
use crate::settings::Bootstrap;
use actors::secret::{Vault, random_token};
use anyhow::Context;
use entity::account;
use entity::account_user::{Availability, Role};
use sea_orm::{DatabaseConnection, EntityTrait, PaginatorTrait, TransactionTrait};

/// Creates account and administrator in an empty database; in any other it does nothing, whatever the settings say.
///
/// # Errors
/// If a setting is wrong or the database fails.
pub async fn bootstrap(db: &DatabaseConnection, vault: &Vault, settings: &Bootstrap) -> anyhow::Result<()> {
    if account::Entity::find().count(db).await? > 0 {
        return Ok(());
    }
    let email = if settings.admin_email.is_empty() { "admin@localhost".to_owned() } else { settings.admin_email.trim().to_lowercase() };
    anyhow::ensure!(email.contains('@'), "bootstrap.admin_email is no e-mail address");
    let chosen = settings.admin_password.expose();
    let password = if chosen.is_empty() { random_token() } else { chosen.to_owned() };
    if let Some(words) = password::refusal(&password) {
        anyhow::bail!("bootstrap.admin_password: {words}");
    }
    let access_token = Some(settings.access_token.expose().to_owned()).filter(|token| !token.is_empty());
    let password_hash = Some(password::hash(&password)?);
    let transaction = db.begin().await?;
    let account = create_account(&transaction, &settings.account_name).await.context("creating the first account")?;
    let member = NewMember { email: email.clone(), name: "Administrator".into(), password_hash, access_token, is_confirmed: true };
    let (user, token) = create_user(&transaction, vault, member).await.context("creating the first administrator")?;
    let place = NewPlace {
        account_id: account.id,
        role: Role::Administrator,
        inviter_id: None,
        availability: Availability::Online,
        auto_offline: true,
    };
    give_place(&transaction, user.id, place).await?;
    transaction.commit().await?;
    tracing::info!(account.id = account.id, "first start: an account and an administrator were created");
    // To the terminal only: the log goes to stderr and is kept.
    println!("Account {} and its administrator were created. This is shown once:", account.id);
    println!("  e-mail:           {email}");
    // Whoever set them knows them.
    let shown = |is_set: bool, value: &str, setting: &str| if is_set { format!("as set in {setting}") } else { value.to_owned() };
    println!("  password:         {}", shown(!chosen.is_empty(), &password, "bootstrap.admin_password"));
    println!("  api_access_token: {}", shown(!settings.access_token.is_empty(), &token, "bootstrap.access_token"));
    Ok(())
}
