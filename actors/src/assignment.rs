//! Gives conversations that wait to agents who are there.
//!
//! It looks at state: open conversations without an assignee, oldest first, of inboxes with auto-assignment; online members
//! below their limit, the one who has waited longest first. So it does not matter why it was woken (a new conversation, an
//! agent who came or resolved something, a tick), and nobody waits while somebody is free. (Policies, teams and balance
//! belong here.)
use crate::catalog::{Catalog, Inbox};
use crate::conversation::Command;
use crate::conversation::rules::{By, Change};
use crate::conversations::{Conversations, Tell};
use crate::db::Db;
use crate::message::Key;
use crate::presence::Presence;
use crate::wake::Wakes;
use actix::prelude::*;
use entity::account_user::Availability;
use entity::conversation::Status;
use entity::{contact_inbox, conversation};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

const TICK: Duration = Duration::from_secs(10);
/// How many conversations are looked at in one go.
const BATCH: u64 = 100;

/// The one actor that assigns.
pub struct AssignmentActor {
    surroundings: Surroundings,
}

/// What assignment works with.
#[derive(Clone)]
pub struct Surroundings {
    /// Reads.
    pub db: Db,
    /// Inboxes and their members.
    pub catalog: Catalog,
    /// Who is there.
    pub presence: Presence,
    /// Where assignments go.
    pub conversations: Addr<Conversations>,
    /// What rings when somebody may wait or be free.
    pub wakes: Wakes,
}

impl AssignmentActor {
    /// Not begun yet.
    pub fn new(surroundings: Surroundings) -> Self {
        AssignmentActor { surroundings }
    }
}

impl Actor for AssignmentActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let surroundings = self.surroundings.clone();
        ctx.spawn(
            async move {
                let mut rotations = HashMap::new();
                loop {
                    let _ = tokio::time::timeout(TICK, surroundings.wakes.assignment.notified()).await;
                    if let Err(error) = assign_all(&surroundings, &mut rotations).await {
                        tracing::error!(%error, "assigning conversations; tried again soon");
                    }
                }
            }
            .into_actor(self),
        );
    }
}

/// Agents of an inbox; who was given a conversation goes to the end.
type Rotation = VecDeque<i64>;

async fn assign_all(surroundings: &Surroundings, rotations: &mut HashMap<i64, Rotation>) -> Result<(), DbErr> {
    let catalog = surroundings.catalog.now();
    for inbox in catalog.inboxes().filter(|inbox| inbox.row.enable_auto_assignment && !inbox.members.is_empty()) {
        assign_inbox(surroundings, inbox, rotations.entry(inbox.row.id).or_default()).await?;
    }
    Ok(())
}

async fn assign_inbox(surroundings: &Surroundings, inbox: &Arc<Inbox>, rotation: &mut Rotation) -> Result<(), DbErr> {
    let is_online = |user: &i64| surroundings.presence.availability(inbox.row.account_id, *user) == Availability::Online;
    let online: Vec<i64> = inbox.members.iter().copied().filter(is_online).collect();
    if online.is_empty() {
        return Ok(());
    }
    let db = &surroundings.db.read;
    let waiting = conversation::Entity::find()
        .filter(conversation::Column::InboxId.eq(inbox.row.id))
        .filter(conversation::Column::Status.eq(Status::Open))
        .filter(conversation::Column::AssigneeId.is_null())
        .filter(conversation::Column::AssigneeAgentBotId.is_null())
        .order_by_asc(conversation::Column::Id)
        .limit(BATCH);
    let waiting = waiting.all(db).await?;
    if waiting.is_empty() {
        return Ok(());
    }
    let loads: Vec<(Option<i64>, i64)> = conversation::Entity::find()
        .select_only()
        .column(conversation::Column::AssigneeId)
        .column_as(conversation::Column::Id.count(), "load")
        .filter(conversation::Column::InboxId.eq(inbox.row.id))
        .filter(conversation::Column::Status.eq(Status::Open))
        .filter(conversation::Column::AssigneeId.is_not_null())
        .group_by(conversation::Column::AssigneeId)
        .into_tuple()
        .all(db)
        .await?;
    let mut loads: HashMap<i64, i64> = loads.into_iter().filter_map(|(user, load)| user.map(|user| (user, load))).collect();
    if rotation.is_empty() {
        rotation.extend(longest_waiting_first(surroundings, inbox).await?);
    }
    follow_members(rotation, &inbox.members);
    for conversation in waiting {
        let Some(agent) = next_agent(rotation, &online, &loads, limit(&inbox.row.auto_assignment_config)) else { break };
        if assign(surroundings, &conversation, agent).await? {
            *loads.entry(agent).or_default() += 1;
        }
    }
    Ok(())
}

/// Who was given something in this inbox, the one whose last turn is longest ago first: the rotation outlives a restart.
async fn longest_waiting_first(surroundings: &Surroundings, inbox: &Inbox) -> Result<Vec<i64>, DbErr> {
    let last_given: Vec<(Option<i64>, i64)> = conversation::Entity::find()
        .select_only()
        .column(conversation::Column::AssigneeId)
        .column_as(conversation::Column::Id.max(), "last_given")
        .filter(conversation::Column::InboxId.eq(inbox.row.id))
        .filter(conversation::Column::AssigneeId.is_not_null())
        .group_by(conversation::Column::AssigneeId)
        .into_tuple()
        .all(&surroundings.db.read)
        .await?;
    let mut agents: Vec<(i64, i64)> = last_given.into_iter().filter_map(|(agent, last)| agent.map(|agent| (last, agent))).collect();
    agents.sort_unstable();
    Ok(agents.into_iter().map(|(_, agent)| agent).collect())
}

async fn assign(surroundings: &Surroundings, conversation: &conversation::Model, agent: i64) -> Result<bool, DbErr> {
    let identity = contact_inbox::Entity::find_by_id(conversation.contact_inbox_id).one(&surroundings.db.read).await?;
    let (Some(identity), Some(user)) = (identity, surroundings.catalog.now().user(agent).map(|user| user.card())) else { return Ok(false) };
    let key = Key { inbox_id: identity.inbox_id, source_id: identity.source_id };
    let change = Command::Change { conversation_id: conversation.id, by: By::System, change: Change::AssigneeIfFree(user) };
    match surroundings.conversations.send(Tell { key, command: change }).await {
        Ok(Ok(recorded)) => Ok(recorded.conversation.is_some_and(|conversation| conversation.assignee_id == Some(agent))),
        Ok(Err(error)) => {
            tracing::warn!(conversation.id = conversation.id, %error, "assigning a conversation; tried again soon");
            Ok(false)
        }
        Err(_) => Ok(false),
    }
}

/// The first in the rotation who is online and below the limit; goes to the end of it.
fn next_agent(rotation: &mut Rotation, online: &[i64], loads: &HashMap<i64, i64>, limit: Option<i64>) -> Option<i64> {
    let is_free = |agent: &i64| online.contains(agent) && limit.is_none_or(|limit| loads.get(agent).copied().unwrap_or(0) < limit);
    let position = rotation.iter().position(is_free)?;
    let agent = rotation.remove(position)?;
    rotation.push_back(agent);
    Some(agent)
}

/// New members come first, since they have waited longest; former ones go.
fn follow_members(rotation: &mut Rotation, members: &[i64]) {
    rotation.retain(|agent| members.contains(agent));
    for member in members.iter().rev() {
        if !rotation.contains(member) {
            rotation.push_front(*member);
        }
    }
}

/// `max_assignment_limit` of the inbox: a number, perhaps as text; none where it is not set.
fn limit(config: &Value) -> Option<i64> {
    let limit = config.get("max_assignment_limit")?;
    limit.as_i64().or_else(|| limit.as_str().and_then(|text| text.trim().parse().ok())).filter(|limit| *limit > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn agents_take_turns_within_their_limit() {
        let mut rotation = Rotation::new();
        follow_members(&mut rotation, &[1, 2, 3]);
        let mut loads = HashMap::new();
        let mut given = Vec::new();
        while let Some(agent) = next_agent(&mut rotation, &[1, 3], &loads, Some(2)) {
            *loads.entry(agent).or_default() += 1;
            given.push(agent);
        }
        assert_eq!(given, [1, 3, 1, 3], "the one who is away gets none, and two each is the limit");
        follow_members(&mut rotation, &[4, 3, 1]);
        assert_eq!(next_agent(&mut rotation, &[1, 3, 4], &loads, Some(3)), Some(4), "a new member has waited longest");
        assert_eq!(next_agent(&mut rotation, &[2], &loads, None), None, "a former member gets none");
    }

    #[test]
    fn limits_are_numbers_or_texts() {
        for (config, expected) in [
            (json!({}), None),
            (json!({ "max_assignment_limit": 5 }), Some(5)),
            (json!({ "max_assignment_limit": "7" }), Some(7)),
            (json!({ "max_assignment_limit": null }), None),
            (json!({ "max_assignment_limit": "" }), None),
            (json!({ "max_assignment_limit": 0 }), None),
        ] {
            assert_eq!(limit(&config), expected, "{config}");
        }
    }
}
