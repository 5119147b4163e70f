//! What every request needs and changes rarely: accounts, users, inboxes with their members, webhooks. In memory, whole.
//!
//! A [`Snapshot`] never changes; whoever commits an administrative change calls [`Catalog::reload`] before it answers, and
//! everyone sees the new snapshot. So a message on its way reads none of this from the database.
mod programs;

pub use programs::{BOT_SECRET, Bot, PlatformApp, Programs};

use crate::channel::ChannelSettings;
use crate::conversation::rules::counts_by_contact;
use crate::db::Db;
use crate::files::Files;
use crate::message::{Assignee, TeamCard, UserCard};
use crate::secret::{CannotOpen, Secret, Vault};
use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};
use entity::account_user::{Availability, Role};
use entity::notification::NotificationType;
use entity::{
    access_token, account, account_user, assignment_policy, blob, conversation, inbox, inbox_member, message_template,
    notification_setting, team, team_member, user, webhook,
};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Mutex, watch};

/// The current snapshot, and how to renew it.
#[derive(Clone)]
pub struct Catalog {
    current: Arc<ArcSwap<Snapshot>>,
    renewed: watch::Sender<()>,
    /// Held while loading, so that an older load never replaces a newer one. How many of those who asked the last one served.
    loading: Arc<Mutex<u64>>,
    /// How many have asked for a load.
    asked: Arc<AtomicU64>,
    db: Db,
    vault: Vault,
    files: Files,
}

/// Why the catalog could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The database failed.
    #[error("loading accounts, users and inboxes: {0}")]
    Database(#[from] DbErr),
    /// A sealed column cannot be opened.
    #[error("loading the secrets of {place}: {source}")]
    Secret {
        /// Which row.
        place: String,
        /// Why.
        source: CannotOpen,
    },
    /// A row holds settings that this version does not understand.
    #[error("loading the settings of inbox {0}: {1}")]
    Settings(i64, String),
}

impl Catalog {
    /// Loads the first snapshot.
    ///
    /// # Errors
    /// See [`CatalogError`].
    pub async fn load(db: Db, vault: Vault, files: Files) -> Result<Self, CatalogError> {
        let first = Snapshot::load(&db, &vault, &files).await?;
        Ok(Catalog {
            current: Arc::new(ArcSwap::from_pointee(first)),
            renewed: watch::Sender::new(()),
            loading: Arc::default(),
            asked: Arc::default(),
            db,
            vault,
            files,
        })
    }

    /// What is so now. Cheap.
    pub fn now(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Tells of every new snapshot from now on.
    pub fn renewals(&self) -> watch::Receiver<()> {
        self.renewed.subscribe()
    }

    /// Reads everything again; returns when everyone sees what was committed before the call.
    ///
    /// # Errors
    /// See [`CatalogError`]; the old snapshot stays.
    pub async fn reload(&self) -> Result<(), CatalogError> {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut served = self.loading.lock().await;
        if *served >= turn {
            // A load that began after this was asked for has ended meanwhile.
            return Ok(());
        }
        let asked = self.asked.load(Ordering::SeqCst);
        self.current.store(Arc::new(Snapshot::load(&self.db, &self.vault, &self.files).await?));
        self.renewed.send_replace(());
        *served = asked;
        Ok(())
    }
}

/// Accounts, users, inboxes and webhooks as they were at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    accounts: HashMap<i64, Arc<account::Model>>,
    users: HashMap<i64, Arc<User>>,
    user_by_token: HashMap<String, i64>,
    user_by_pubsub_token: HashMap<String, i64>,
    user_by_email: HashMap<String, i64>,
    inboxes: HashMap<i64, Arc<Inbox>>,
    inbox_by_identifier: HashMap<String, i64>,
    inboxes_by_address: HashMap<String, Vec<i64>>,
    webhooks: HashMap<i64, Arc<Webhook>>,
    teams: HashMap<i64, Arc<Team>>,
    assignment_policies: HashMap<i64, Arc<assignment_policy::Model>>,
    programs: Programs,
    notification_settings: HashMap<(i64, i64), notification_setting::Model>,
}

/// A user with its places in accounts.
#[derive(Debug)]
pub struct User {
    /// The row.
    pub row: user::Model,
    /// Where the user belongs, oldest first.
    pub places: Vec<account_user::Model>,
    /// The sealed access token.
    pub token_sealed: Option<String>,
    /// Empty when there is no picture.
    pub avatar_url: String,
}

impl User {
    /// The user's place in an account.
    pub fn place(&self, account_id: i64) -> Option<&account_user::Model> {
        self.places.iter().find(|place| place.account_id == account_id)
    }

    /// What events and messages show of the user.
    pub fn card(&self) -> UserCard {
        UserCard {
            id: self.row.id,
            name: self.row.name.clone(),
            available_name: self.row.available_name().to_owned(),
            email: self.row.email.clone(),
            avatar_url: self.avatar_url.clone(),
        }
    }
}

/// An inbox, its secrets opened.
#[derive(Debug)]
pub struct Inbox {
    /// The row.
    pub row: inbox::Model,
    /// Its account.
    pub account: Arc<account::Model>,
    /// The channel's settings.
    pub settings: ChannelSettings,
    /// Key of the identity check.
    pub hmac_token: Secret,
    /// Key that signs what is posted to the inbox's own webhook.
    pub secret: Secret,
    /// Users who work in it, by id.
    pub members: Vec<i64>,
    /// Who may see its conversations: members and the account's administrators, by id.
    pub viewers: Vec<i64>,
    /// Empty when there is no picture.
    pub avatar_url: String,
    /// The templates that the provider approved, as it tells of them; null where they were never fetched.
    pub templates: Value,
    /// When they became these.
    pub templates_since: Option<DateTime<Utc>>,
}

impl Inbox {
    /// Whether the row is there only for its conversations.
    pub fn is_deleted(&self) -> bool {
        self.row.deleted_at.is_some()
    }

    /// Whether a user may see its conversations. Those of a deleted inbox are the administrators'.
    pub fn is_visible_to(&self, user_id: i64) -> bool {
        self.viewers.binary_search(&user_id).is_ok()
    }

    /// Whether the channel counts by when the contact wrote last in the inbox, not in a conversation.
    pub fn counts_by_contact(&self) -> bool {
        counts_by_contact(&self.settings.capabilities())
    }

    /// The language in which contacts are spoken to: the website's own, or else the account's.
    pub fn locale(&self) -> &str {
        match &self.settings {
            ChannelSettings::WebWidget(settings) if !settings.locale.is_empty() => &settings.locale,
            _ => &self.account.locale,
        }
    }

    /// The inbox's own webhook, where it has one.
    pub fn webhook_url(&self) -> Option<&str> {
        self.settings.events_url().filter(|_| !self.is_deleted())
    }
}

/// A team with its members.
#[derive(Debug)]
pub struct Team {
    /// The row.
    pub row: team::Model,
    /// Users who belong to it, by id.
    pub members: Vec<i64>,
}

impl Team {
    /// What events show of the team.
    pub fn card(&self) -> TeamCard {
        TeamCard { id: self.row.id, name: self.row.name.clone() }
    }
}

/// A webhook, its secret opened.
#[derive(Debug)]
pub struct Webhook {
    /// The row.
    pub row: webhook::Model,
    /// The contract's underscored names of events.
    pub subscriptions: Vec<String>,
    /// Key that signs what is posted.
    pub secret: Secret,
}

impl Snapshot {
    /// An account.
    pub fn account(&self, id: i64) -> Option<&Arc<account::Model>> {
        self.accounts.get(&id)
    }

    /// All accounts.
    pub fn accounts(&self) -> impl Iterator<Item = &Arc<account::Model>> {
        self.accounts.values()
    }

    /// A user.
    pub fn user(&self, id: i64) -> Option<&Arc<User>> {
        self.users.get(&id)
    }

    /// The user of an access token, by the token's hash.
    pub fn user_by_token(&self, token_hash: &str) -> Option<&Arc<User>> {
        self.users.get(self.user_by_token.get(token_hash)?)
    }

    /// The user of a websocket token.
    pub fn user_by_pubsub_token(&self, token: &str) -> Option<&Arc<User>> {
        self.users.get(self.user_by_pubsub_token.get(token)?)
    }

    /// The user of an e-mail address in lower case.
    pub fn user_by_email(&self, email: &str) -> Option<&Arc<User>> {
        self.users.get(self.user_by_email.get(email)?)
    }

    /// The users of an account, by id.
    pub fn users_of(&self, account_id: i64) -> Vec<&Arc<User>> {
        let mut users: Vec<_> = self.users.values().filter(|user| user.place(account_id).is_some()).collect();
        users.sort_unstable_by_key(|user| user.row.id);
        users
    }

    /// An inbox, also a deleted one.
    pub fn inbox(&self, id: i64) -> Option<&Arc<Inbox>> {
        self.inboxes.get(&id)
    }

    /// The inbox of a public identifier; not a deleted one.
    pub fn inbox_by_identifier(&self, identifier: &str) -> Option<&Arc<Inbox>> {
        self.inboxes.get(self.inbox_by_identifier.get(identifier)?)
    }

    /// The inboxes to which a provider pushes at an address, not deleted ones. Telephone numbers come with their plus or without.
    pub fn inboxes_at(&self, kind: &str, address: &str) -> Vec<Arc<Inbox>> {
        let ids = self.inboxes_by_address.get(&pushed_to(kind, address)).into_iter().flatten();
        ids.filter_map(|id| self.inboxes.get(id)).cloned().collect()
    }

    /// The inboxes that a webhook request names, not deleted ones; see [`addressees`](crate::channel::addressees).
    pub fn inboxes_addressed(&self, kind: &str, addressees: &[String]) -> Vec<Arc<Inbox>> {
        self.inboxes().filter(|inbox| inbox.settings.kind() == kind && inbox.settings.is_addressed(addressees)).cloned().collect()
    }

    /// The living inbox of a key that no two may share.
    pub fn inbox_by_channel_key(&self, key: &str) -> Option<&Arc<Inbox>> {
        self.inboxes().find(|inbox| inbox.row.channel_key.as_deref() == Some(key))
    }

    /// The inboxes of an account that are not deleted, by id.
    pub fn inboxes_of(&self, account_id: i64) -> Vec<&Arc<Inbox>> {
        let mut inboxes: Vec<_> = self.inboxes().filter(|inbox| inbox.row.account_id == account_id).collect();
        inboxes.sort_unstable_by_key(|inbox| inbox.row.id);
        inboxes
    }

    /// All inboxes that are not deleted.
    pub fn inboxes(&self) -> impl Iterator<Item = &Arc<Inbox>> {
        self.inboxes.values().filter(|inbox| !inbox.is_deleted())
    }

    /// All inboxes, also deleted ones.
    pub fn all_inboxes(&self) -> impl Iterator<Item = &Arc<Inbox>> {
        self.inboxes.values()
    }

    /// A webhook.
    pub fn webhook(&self, id: i64) -> Option<&Arc<Webhook>> {
        self.webhooks.get(&id)
    }

    /// The webhooks of an account, by id.
    pub fn webhooks_of(&self, account_id: i64) -> Vec<&Arc<Webhook>> {
        let mut webhooks: Vec<_> = self.webhooks.values().filter(|webhook| webhook.row.account_id == account_id).collect();
        webhooks.sort_unstable_by_key(|webhook| webhook.row.id);
        webhooks
    }

    /// A team.
    pub fn team(&self, id: i64) -> Option<&Arc<Team>> {
        self.teams.get(&id)
    }

    /// The teams of an account, by id.
    pub fn teams_of(&self, account_id: i64) -> Vec<&Arc<Team>> {
        let mut teams: Vec<_> = self.teams.values().filter(|team| team.row.account_id == account_id).collect();
        teams.sort_unstable_by_key(|team| team.row.id);
        teams
    }

    /// An assignment policy.
    pub fn assignment_policy(&self, id: i64) -> Option<&Arc<assignment_policy::Model>> {
        self.assignment_policies.get(&id)
    }

    /// The assignment policies of an account, by id.
    pub fn assignment_policies_of(&self, account_id: i64) -> Vec<&Arc<assignment_policy::Model>> {
        let mut policies: Vec<_> = self.assignment_policies.values().filter(|policy| policy.account_id == account_id).collect();
        policies.sort_unstable_by_key(|policy| policy.id);
        policies
    }

    /// Of what a user of an account wants to be told, where anything was chosen.
    pub fn notification_setting(&self, account_id: i64, user_id: i64) -> Option<&notification_setting::Model> {
        self.notification_settings.get(&(account_id, user_id))
    }

    /// Whether a user of an account has chosen to be told of something, by any way.
    pub fn wants(&self, account_id: i64, user_id: i64, of: NotificationType) -> bool {
        let chosen = self.notification_setting(account_id, user_id);
        let flags = chosen.into_iter().flat_map(|row| [&row.email_flags, &row.push_flags]).filter_map(Value::as_array).flatten();
        flags.filter_map(Value::as_str).any(|name| name == of.name())
    }

    /// Whether a user of an account is to be told of something by mail.
    pub fn wants_mail(&self, account_id: i64, user_id: i64, of: NotificationType) -> bool {
        match self.notification_setting(account_id, user_id).map(|row| &row.email_flags) {
            Some(flags) => flags.as_array().into_iter().flatten().any(|name| name == of.name()),
            None => of == CHOSEN_AT_FIRST,
        }
    }

    /// Whether a user may see the conversations of an inbox, or those of a team wherever they came by (contract, section 0, Roles).
    pub fn may_see(&self, user_id: i64, inbox_id: i64, team_id: Option<i64>) -> bool {
        self.inbox(inbox_id).is_some_and(|inbox| inbox.is_visible_to(user_id))
            || team_id.and_then(|id| self.team(id)).is_some_and(|team| team.members.contains(&user_id))
    }

    /// Who has a conversation.
    pub fn assignee(&self, conversation: &conversation::Model) -> Option<Assignee> {
        let user = || conversation.assignee_id.and_then(|id| self.user(id)).map(|user| Assignee::User(user.card()));
        let bot = || conversation.assignee_agent_bot_id.and_then(|id| self.bot(id)).map(|bot| Assignee::Bot(bot.card()));
        user().or_else(bot)
    }

    async fn load(db: &Db, vault: &Vault, files: &Files) -> Result<Self, CatalogError> {
        let mut snapshot = Snapshot::default();
        for row in account::Entity::find().all(&db.read).await? {
            snapshot.accounts.insert(row.id, Arc::new(row));
        }
        snapshot.load_users(db, files).await?;
        snapshot.load_inboxes(db, vault, files).await?;
        for row in webhook::Entity::find().all(&db.read).await? {
            let secret = open(vault, "webhooks.secret", &row.secret_sealed, &format!("webhook {}", row.id))?;
            let subscriptions = serde_json::from_value(row.subscriptions.clone()).unwrap_or_default();
            snapshot.webhooks.insert(row.id, Arc::new(Webhook { row, subscriptions, secret }));
        }
        snapshot.load_teams(db).await?;
        for row in assignment_policy::Entity::find().all(&db.read).await? {
            snapshot.assignment_policies.insert(row.id, Arc::new(row));
        }
        snapshot.programs = Programs::load(db, vault, files).await?;
        for row in notification_setting::Entity::find().all(&db.read).await? {
            snapshot.notification_settings.insert((row.account_id, row.user_id), row);
        }
        Ok(snapshot)
    }

    async fn load_users(&mut self, db: &Db, files: &Files) -> Result<(), CatalogError> {
        let rows = user::Entity::find().all(&db.read).await?;
        let avatars = avatars(db, files, rows.iter().filter_map(|row| row.avatar_blob_id)).await?;
        let mut places: HashMap<i64, Vec<account_user::Model>> = HashMap::new();
        for place in account_user::Entity::find().order_by_asc(account_user::Column::Id).all(&db.read).await? {
            places.entry(place.user_id).or_default().push(place);
        }
        let mut tokens = HashMap::new();
        let of_users = access_token::Column::OwnerType.eq(access_token::OwnerType::User);
        for token in access_token::Entity::find().filter(of_users).all(&db.read).await? {
            self.user_by_token.insert(token.token_hash, token.owner_id);
            tokens.insert(token.owner_id, token.token_sealed);
        }
        for row in rows {
            let id = row.id;
            self.user_by_pubsub_token.insert(row.pubsub_token.clone(), id);
            self.user_by_email.insert(row.email.clone(), id);
            let avatar_url = row.avatar_blob_id.and_then(|blob| avatars.get(&blob).cloned()).unwrap_or_default();
            let places = places.remove(&id).unwrap_or_default();
            self.users.insert(id, Arc::new(User { row, places, token_sealed: tokens.remove(&id), avatar_url }));
        }
        Ok(())
    }

    async fn load_inboxes(&mut self, db: &Db, vault: &Vault, files: &Files) -> Result<(), CatalogError> {
        let rows = inbox::Entity::find().all(&db.read).await?;
        let avatars = avatars(db, files, rows.iter().filter_map(|row| row.avatar_blob_id)).await?;
        let mut members: HashMap<i64, Vec<i64>> = HashMap::new();
        for member in inbox_member::Entity::find().order_by_asc(inbox_member::Column::UserId).all(&db.read).await? {
            members.entry(member.inbox_id).or_default().push(member.user_id);
        }
        let templates = message_template::Entity::find().all(&db.read).await?;
        let mut templates: HashMap<i64, _> =
            templates.into_iter().map(|row| (row.inbox_id, (row.templates, row.synchronized_at))).collect();
        for row in rows {
            let Some(account) = self.accounts.get(&row.account_id).cloned() else { continue };
            let place = format!("inbox {}", row.id);
            let settings = open_settings(vault, &row)?;
            let members = members.remove(&row.id).unwrap_or_default();
            let is_deleted = row.deleted_at.is_some();
            let viewers = self.viewers(row.account_id, if is_deleted { &[] } else { &members });
            if !is_deleted {
                self.inbox_by_identifier.insert(row.identifier.clone(), row.id);
                if let Some(address) = settings.webhook_address() {
                    self.inboxes_by_address.entry(pushed_to(settings.kind(), address)).or_default().push(row.id);
                }
            }
            let (templates, templates_since) = templates.remove(&row.id).unzip();
            let inbox = Inbox {
                hmac_token: open(vault, "inboxes.hmac_token", &row.hmac_token_sealed, &place)?,
                secret: open(vault, "inboxes.secret", &row.secret_sealed, &place)?,
                avatar_url: row.avatar_blob_id.and_then(|blob| avatars.get(&blob).cloned()).unwrap_or_default(),
                templates: templates.unwrap_or_default(),
                templates_since,
                account,
                settings,
                members,
                viewers,
                row,
            };
            self.inboxes.insert(inbox.row.id, Arc::new(inbox));
        }
        Ok(())
    }

    async fn load_teams(&mut self, db: &Db) -> Result<(), CatalogError> {
        let mut members: HashMap<i64, Vec<i64>> = HashMap::new();
        for member in team_member::Entity::find().order_by_asc(team_member::Column::UserId).all(&db.read).await? {
            members.entry(member.team_id).or_default().push(member.user_id);
        }
        for row in team::Entity::find().all(&db.read).await? {
            let members = members.remove(&row.id).unwrap_or_default();
            self.teams.insert(row.id, Arc::new(Team { row, members }));
        }
        Ok(())
    }

    fn viewers(&self, account_id: i64, members: &[i64]) -> Vec<i64> {
        let administrators =
            self.users.values().filter(|user| user.place(account_id).is_some_and(|place| place.role == Role::Administrator));
        let mut viewers: Vec<i64> = administrators.map(|user| user.row.id).chain(members.iter().copied()).collect();
        viewers.sort_unstable();
        viewers.dedup();
        viewers
    }
}

fn pushed_to(kind: &str, address: &str) -> String {
    format!("{kind}/{}", address.trim().trim_start_matches('+'))
}

/// Of what everybody is told by mail and push who has not chosen.
pub const CHOSEN_AT_FIRST: NotificationType = NotificationType::ConversationAssignment;

/// What a user has chosen to show in an account.
pub fn chosen_availability(user: &User, account_id: i64) -> Option<(Availability, bool)> {
    user.place(account_id).map(|place| (place.availability, place.auto_offline))
}

/// The context under which an inbox's channel settings are sealed.
pub const CHANNEL_SETTINGS: &str = "inboxes.channel_settings";

/// The channel's settings of an inbox, their secrets opened.
///
/// # Errors
/// If they cannot be opened, or are not of this version.
pub fn open_settings(vault: &Vault, row: &inbox::Model) -> Result<ChannelSettings, CatalogError> {
    open_channel(vault, row.id, row.channel_settings.clone())
}

/// As [`open_settings`], of settings that are kept elsewhere.
///
/// # Errors
/// As [`open_settings`].
pub fn open_channel(vault: &Vault, inbox_id: i64, mut settings: Value) -> Result<ChannelSettings, CatalogError> {
    let invalid = |error: String| CatalogError::Settings(inbox_id, error);
    // Which fields are sealed depends on the channel, and sealed fields are texts as well: so it can be read as it is.
    let sealed: ChannelSettings = serde_json::from_value(settings.clone()).map_err(|error| invalid(error.to_string()))?;
    let opened = vault.open_fields(CHANNEL_SETTINGS, sealed.secret_fields(), &mut settings);
    opened.map_err(|source| CatalogError::Secret { place: format!("inbox {inbox_id}"), source })?;
    serde_json::from_value(settings).map_err(|error| invalid(error.to_string()))
}

fn open(vault: &Vault, context: &str, sealed: &str, place: &str) -> Result<Secret, CatalogError> {
    vault.open(context, sealed).map_err(|source| CatalogError::Secret { place: place.to_owned(), source })
}

async fn avatars(db: &Db, files: &Files, ids: impl Iterator<Item = i64>) -> Result<HashMap<i64, String>, DbErr> {
    let ids: Vec<i64> = ids.collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let blobs = blob::Entity::find().filter(blob::Column::Id.is_in(ids)).all(&db.read).await?;
    Ok(blobs.into_iter().map(|blob| (blob.id, files.url(&blob.key, &blob.file_name))).collect())
}
