//! Programs that call the API in their own name: agent bots and platform apps, found by their tokens.
use super::{CatalogError, Snapshot, avatars, open};
use crate::db::Db;
use crate::files::Files;
use crate::message::BotCard;
use crate::secret::{Secret, Vault};
use entity::access_token::{self, OwnerType};
use entity::platform_grant::GrantKind;
use entity::{agent_bot, platform_app, platform_grant};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A bot that answers customers, its secret opened.
#[derive(Debug)]
pub struct Bot {
    /// The row.
    pub row: agent_bot::Model,
    /// Key that signs what is posted.
    pub secret: Secret,
    /// The sealed access token.
    pub token_sealed: Option<String>,
    /// Empty when there is no picture.
    pub avatar_url: String,
}

impl Bot {
    /// What events and messages show of the bot.
    pub fn card(&self) -> BotCard {
        BotCard { id: self.row.id, name: self.row.name.clone(), avatar_url: self.avatar_url.clone() }
    }

    /// Where its events are posted, if anywhere.
    pub fn outgoing_url(&self) -> Option<&str> {
        self.row.outgoing_url.as_deref().filter(|url| !url.is_empty())
    }

    /// Whether an account may use it: its own, and those offered to every account.
    pub fn serves(&self, account_id: i64) -> bool {
        self.row.account_id.is_none_or(|own| own == account_id)
    }
}

/// A program that manages accounts and users.
#[derive(Debug)]
pub struct PlatformApp {
    /// The row.
    pub row: platform_app::Model,
    /// What it may manage.
    pub grants: HashSet<(GrantKind, i64)>,
}

/// The programs of a snapshot.
#[derive(Debug, Default)]
pub struct Programs {
    bots: HashMap<i64, Arc<Bot>>,
    bot_by_token: HashMap<String, i64>,
    apps: HashMap<i64, Arc<PlatformApp>>,
    app_by_token: HashMap<String, i64>,
}

impl Snapshot {
    /// A bot.
    pub fn bot(&self, id: i64) -> Option<&Arc<Bot>> {
        self.programs.bots.get(&id)
    }

    /// The bots that an account may use, by id.
    pub fn bots_of(&self, account_id: i64) -> Vec<&Arc<Bot>> {
        let mut bots: Vec<_> = self.programs.bots.values().filter(|bot| bot.serves(account_id)).collect();
        bots.sort_unstable_by_key(|bot| bot.row.id);
        bots
    }

    /// The bot of an access token, by the token's hash.
    pub fn bot_by_token(&self, token_hash: &str) -> Option<&Arc<Bot>> {
        self.bot(*self.programs.bot_by_token.get(token_hash)?)
    }

    /// The platform app of an access token, by the token's hash.
    pub fn platform_app_by_token(&self, token_hash: &str) -> Option<&Arc<PlatformApp>> {
        self.programs.apps.get(self.programs.app_by_token.get(token_hash)?)
    }
}

impl Programs {
    /// Reads bots and platform apps.
    ///
    /// # Errors
    /// See [`CatalogError`].
    pub async fn load(db: &Db, vault: &Vault, files: &Files) -> Result<Self, CatalogError> {
        let mut programs = Programs::default();
        let mut tokens = HashMap::new();
        let of_programs = access_token::Column::OwnerType.is_in([OwnerType::AgentBot, OwnerType::PlatformApp]);
        for token in access_token::Entity::find().filter(of_programs).all(&db.read).await? {
            if token.owner_type == OwnerType::PlatformApp {
                programs.app_by_token.insert(token.token_hash, token.owner_id);
            } else {
                programs.bot_by_token.insert(token.token_hash, token.owner_id);
                tokens.insert(token.owner_id, token.token_sealed);
            }
        }
        let rows = agent_bot::Entity::find().all(&db.read).await?;
        let pictures = avatars(db, files, rows.iter().filter_map(|row| row.avatar_blob_id)).await?;
        for row in rows {
            let own = row.avatar_blob_id.and_then(|blob| pictures.get(&blob).cloned());
            let bot = Bot {
                secret: open(vault, BOT_SECRET, &row.secret_sealed, &format!("agent bot {}", row.id))?,
                token_sealed: tokens.remove(&row.id),
                avatar_url: own.or_else(|| row.avatar_url.clone()).unwrap_or_default(),
                row,
            };
            programs.bots.insert(bot.row.id, Arc::new(bot));
        }
        let mut grants: HashMap<i64, HashSet<(GrantKind, i64)>> = HashMap::new();
        for grant in platform_grant::Entity::find().all(&db.read).await? {
            grants.entry(grant.platform_app_id).or_default().insert((grant.kind, grant.object_id));
        }
        for row in platform_app::Entity::find().all(&db.read).await? {
            let grants = grants.remove(&row.id).unwrap_or_default();
            programs.apps.insert(row.id, Arc::new(PlatformApp { row, grants }));
        }
        Ok(programs)
    }
}

/// The context under which secrets of bots are sealed.
pub const BOT_SECRET: &str = "agent_bots.secret";
