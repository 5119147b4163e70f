//! Settings that change while the daemon runs: `[[inbox]]` entries become rows, and the supervisor makes what runs agree.
//!
//! SIGHUP and a changed file lead here. An invalid file changes nothing: it is logged with line and key, and the metric
//! `konversio_config_valid` turns 0.
use crate::http::fields::email_address;
use crate::inboxes::{announce, new_row, sealed, set_members};
use crate::settings::{InboxEntry, Settings};
use crate::telemetry;
use actors::channel::ChannelSettings;
use actors::egress::Egress;
use actors::event::AccountCard;
use actors::secret::Vault;
use actors::supervisor::Reconcile;
use actors::system::Handles;
use actors::unregistrations;
use anyhow::Context;
use entity::{account, inbox, user};
use notify::{EventKind, RecursiveMode, Watcher};
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, IntoActiveModel, QueryFilter,
    TransactionTrait,
};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Editors write a file in several steps.
const SETTLE: Duration = Duration::from_millis(200);

/// Reads the settings again and applies what can be; whatever is wrong is logged and changes nothing.
pub async fn reload(handles: &Handles, running: &mut Settings, path: Option<&Path>) {
    match try_reload(handles, running, path).await {
        Ok(()) => {
            metrics::gauge!("konversio_config_valid").set(1);
            tracing::info!("settings reloaded");
        }
        Err(error) => {
            metrics::gauge!("konversio_config_valid").set(0);
            tracing::error!(error = format!("{error:#}"), "the settings are not applied; the daemon goes on as it was");
        }
    }
}

async fn try_reload(handles: &Handles, running: &mut Settings, path: Option<&Path>) -> anyhow::Result<()> {
    let new = Settings::load(path)?;
    apply_inboxes(&handles.db.write, &handles.vault, &handles.egress, &new.inboxes).await?;
    handles.tell_announcements();
    handles.unregistrations.ring();
    handles.catalog.reload().await?;
    handles.supervisor.send(Reconcile).await?;
    if new.log.filter != running.log.filter {
        telemetry::set_filter(&new.log.filter)?;
    }
    let fixed = running.reloadable_difference(&new);
    if !fixed.is_empty() {
        tracing::warn!(settings = fixed.join(", "), "these settings have changed and take effect with the next start");
    }
    running.inboxes = new.inboxes;
    running.log.filter = new.log.filter;
    Ok(())
}

/// Makes the rows of the file's inboxes agree with the file: all of them, or none if one is wrong. Entries that vanished are
/// switched off, never deleted.
///
/// # Errors
/// Names the inbox and what is wrong with it.
pub async fn apply_inboxes(db: &DatabaseConnection, vault: &Vault, egress: &Egress, entries: &[InboxEntry]) -> anyhow::Result<()> {
    check_webhooks(db, egress, entries).await?;
    let transaction = db.begin().await?;
    for entry in entries {
        apply_entry(&transaction, vault, entry).await.with_context(|| format!("[[inbox]] {:?}", entry.name))?;
    }
    let managed = inbox::Entity::find().filter(inbox::Column::ManagedByFile.is_not_null()).filter(inbox::Column::DeletedAt.is_null());
    for row in managed.all(&transaction).await? {
        let is_listed = entries.iter().any(|entry| Some(&entry.name) == row.managed_by_file.as_ref() && entry.account_id == row.account_id);
        if !is_listed && row.enabled {
            tracing::info!(inbox.id = row.id, "the inbox is no longer in the settings file and is switched off");
            let row = inbox::ActiveModel {
                enabled: ActiveValue::Set(false),
                updated_at: ActiveValue::Set(entity::now()),
                ..row.into_active_model()
            };
            row.update(&transaction).await?;
        }
    }
    transaction.commit().await?;
    Ok(())
}

/// Checks the addresses that are about to be saved, as the API does: before the transaction, since names are looked up. One that
/// is stored already was checked when it was, and is again whenever something is sent there.
async fn check_webhooks(db: &DatabaseConnection, egress: &Egress, entries: &[InboxEntry]) -> anyhow::Result<()> {
    for entry in entries {
        let Some(url) = entry.channel.events_url() else { continue };
        let stored = stored_inbox(db, entry).await?;
        if stored.is_some_and(|stored| stored.channel_settings.get("webhook_url").and_then(Value::as_str) == Some(url)) {
            continue;
        }
        egress.check(url).await.map_err(|refusal| entry.webhook_error(refusal.to_string()))?;
    }
    Ok(())
}

/// The row of an entry.
async fn stored_inbox(db: &impl ConnectionTrait, entry: &InboxEntry) -> Result<Option<inbox::Model>, DbErr> {
    let of_account = inbox::Entity::find().filter(inbox::Column::AccountId.eq(entry.account_id));
    of_account.filter(inbox::Column::ManagedByFile.eq(&entry.name)).one(db).await
}

async fn apply_entry(db: &impl ConnectionTrait, vault: &Vault, entry: &InboxEntry) -> anyhow::Result<()> {
    let account = account::Entity::find_by_id(entry.account_id).one(db).await?;
    let account = account.with_context(|| format!("account_id: there is no account {}", entry.account_id))?;
    let stored = stored_inbox(db, entry).await?;
    let members = members(db, &entry.members).await?;
    let before = stored.clone();
    let mut row = match stored {
        Some(stored) => {
            anyhow::ensure!(stored.channel == entry.channel.kind(), "channel.type: was {} and cannot become another", stored.channel);
            stored.into_active_model()
        }
        None => {
            let mut row = new_row(vault, entry.account_id, &entry.name, &entry.channel);
            row.managed_by_file = ActiveValue::Set(Some(entry.name.clone()));
            row
        }
    };
    if before.as_ref().is_none_or(|before| differs(vault, before, entry)) {
        row.channel_settings = ActiveValue::Set(sealed(vault, &entry.channel));
        row.channel_key = ActiveValue::Set(entry.channel.unique_key());
    }
    if let Some(other) = inbox_with_key(db, &entry.channel, before.as_ref().map(|before| before.id)).await? {
        let field = entry.channel.unique_field().unwrap_or_default();
        anyhow::bail!("channel.{field}: inbox {} ({:?}) has it already; delete that one, or name another here", other.id, other.name);
    }
    if let Some(before) = before.as_ref().filter(|before| before.channel_key != entry.channel.unique_key()) {
        unregistrations::note(db, before).await?;
    }
    row.name = ActiveValue::Set(entry.name.clone());
    row.enabled = ActiveValue::Set(entry.enabled);
    row.greeting_enabled = ActiveValue::Set(entry.greeting_enabled);
    row.greeting_message = ActiveValue::Set(Some(entry.greeting_message.clone()).filter(|greeting| !greeting.is_empty()));
    row.enable_auto_assignment = ActiveValue::Set(entry.enable_auto_assignment);
    row.deleted_at = ActiveValue::Set(None);
    let stored = match before {
        Some(_) => row.update(db).await?,
        None => row.insert(db).await?,
    };
    announce(db, vault, (AccountCard { id: account.id, name: account.name }, None), before.as_ref(), &stored).await?;
    set_members(db, stored.id, &members).await?;
    Ok(())
}

/// The living inbox beside one of its own row that has what no two may share.
async fn inbox_with_key(db: &impl ConnectionTrait, channel: &ChannelSettings, own: Option<i64>) -> Result<Option<inbox::Model>, DbErr> {
    let Some(key) = channel.unique_key() else { return Ok(None) };
    let living = inbox::Entity::find().filter(inbox::Column::ChannelKey.eq(key)).filter(inbox::Column::DeletedAt.is_null());
    living.filter(inbox::Column::Id.ne(own.unwrap_or_default())).one(db).await
}

/// Sealing gives another text each time, so what is compared are the opened settings.
fn differs(vault: &Vault, stored: &inbox::Model, entry: &InboxEntry) -> bool {
    let mut value = stored.channel_settings.clone();
    let opened = vault.open_fields(actors::catalog::CHANNEL_SETTINGS, entry.channel.secret_fields(), &mut value);
    opened.is_err() || serde_json::to_value(&entry.channel).ok() != Some(value)
}

async fn members(db: &impl ConnectionTrait, addresses: &[String]) -> anyhow::Result<Vec<i64>> {
    let mut ids = Vec::with_capacity(addresses.len());
    for address in addresses {
        let email = email_address(address).with_context(|| format!("members: {address:?} is no e-mail address"))?;
        let found = user::Entity::find().filter(user::Column::Email.eq(&email)).one(db).await?;
        ids.push(found.with_context(|| format!("members: there is no user {email}"))?.id);
    }
    Ok(ids)
}

/// Rings when the settings file has changed; watches its folder, since editors replace files. Dropped, it stops watching.
///
/// # Errors
/// If the folder cannot be watched.
pub fn watch(path: PathBuf, changed: Arc<Notify>) -> anyhow::Result<impl Watcher> {
    let path = std::path::absolute(&path)?;
    let folder = path.parent().context("the settings file has no folder")?.to_owned();
    let name = path.file_name().map(ToOwned::to_owned);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        let is_change = matches!(event.kind, EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_));
        if is_change && event.paths.iter().any(|changed| changed.file_name() == name.as_deref()) {
            changed.notify_one();
        }
    })?;
    watcher.watch(&folder, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

/// Waits for a ring and until the file has come to rest.
pub async fn settled(changed: &Notify) {
    changed.notified().await;
    while tokio::time::timeout(SETTLE, changed.notified()).await.is_ok() {}
}
