//! Which conversations have participants. Most have none, and then nobody looks for them when a message comes.
use crate::db::Db;
use entity::participant;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

/// The conversations that have, or once had, participants.
#[derive(Clone, Default)]
pub struct Participants(Arc<RwLock<HashSet<i64>>>);

impl Participants {
    /// From what is stored.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn load(db: &Db) -> Result<Self, DbErr> {
        let found = participant::Entity::find().select_only().column(participant::Column::ConversationId).distinct().into_tuple();
        let ids: Vec<i64> = found.all(&db.read).await?;
        Ok(Participants(Arc::new(RwLock::new(ids.into_iter().collect()))))
    }

    /// Whoever stores a participant says so here, before or after.
    pub fn note(&self, conversation_id: i64) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(conversation_id);
    }

    /// Those of conversations, by conversation; reads nothing where none has any.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn of(&self, db: &impl ConnectionTrait, conversations: HashSet<i64>) -> Result<HashMap<i64, Vec<i64>>, DbErr> {
        let followed: Vec<i64> = {
            let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
            conversations.into_iter().filter(|id| known.contains(id)).collect()
        };
        let mut found: HashMap<i64, Vec<i64>> = HashMap::new();
        if !followed.is_empty() {
            for row in participant::Entity::find().filter(participant::Column::ConversationId.is_in(followed)).all(db).await? {
                found.entry(row.conversation_id).or_default().push(row.user_id);
            }
        }
        Ok(found)
    }
}
