//! Gives conversations that wait to agents who are there.
//!
//! It looks at state: open conversations without an assignee, oldest first, of inboxes with auto-assignment; online members
//! below their limit, the one who has waited longest first. So it does not matter why it was woken (a new conversation, an
//! agent who came or resolved something, a tick), and nobody waits while somebody is free. An inbox's policy changes who is
//! first, and how many an agent is given in a time; only the latter is counted in memory, from each start of the daemon on.
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
use entity::assignment_policy::{AssignmentOrder, ConversationPriority};
use entity::conversation::Status;
use entity::{assignment_policy, contact_inbox, conversation};
use sea_orm::sea_query::NullOrdering;
use sea_orm::{ColumnTrait, DbErr, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect};
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

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
                let mut turns = HashMap::new();
                loop {
                    let _ = tokio::time::timeout(TICK, surroundings.wakes.assignment.notified()).await;
                    if let Err(error) = assign_all(&surroundings, &mut turns).await {
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

/// Whose turn it is in an inbox.
#[derive(Default)]
struct Turns {
    rotation: Rotation,
    /// When agents were given conversations, as long as a policy counts them.
    given: HashMap<i64, VecDeque<Instant>>,
}

/// How the conversations of an inbox are given.
#[derive(Debug, PartialEq)]
struct Plan {
    order: AssignmentOrder,
    priority: ConversationPriority,
    /// How many open conversations of the inbox an agent may have.
    open: Option<i64>,
    /// How many an agent is given in a time.
    share: Option<(usize, Duration)>,
}

async fn assign_all(surroundings: &Surroundings, turns: &mut HashMap<i64, Turns>) -> Result<(), DbErr> {
    let catalog = surroundings.catalog.now();
    for inbox in catalog.inboxes().filter(|inbox| inbox.row.enable_auto_assignment && !inbox.members.is_empty()) {
        let policy = inbox.row.assignment_policy_id.and_then(|id| catalog.assignment_policy(id));
        let plan = plan(policy.map(Arc::as_ref), &inbox.row.auto_assignment_config);
        assign_inbox(surroundings, inbox, &plan, turns.entry(inbox.row.id).or_default()).await?;
    }
    Ok(())
}

async fn assign_inbox(surroundings: &Surroundings, inbox: &Arc<Inbox>, plan: &Plan, turns: &mut Turns) -> Result<(), DbErr> {
    let is_online = |user: &i64| surroundings.presence.availability(inbox.row.account_id, *user) == Availability::Online;
    let online: Vec<i64> = inbox.members.iter().copied().filter(is_online).collect();
    if online.is_empty() {
        return Ok(());
    }
    let db = &surroundings.db.read;
    let mut waiting = conversation::Entity::find()
        .filter(conversation::Column::InboxId.eq(inbox.row.id))
        .filter(conversation::Column::Status.eq(Status::Open))
        .filter(conversation::Column::AssigneeId.is_null())
        .filter(conversation::Column::AssigneeAgentBotId.is_null());
    if plan.priority == ConversationPriority::LongestWaiting {
        waiting = waiting.order_by_with_nulls(conversation::Column::WaitingSince, Order::Asc, NullOrdering::Last);
    }
    let waiting = waiting.order_by_asc(conversation::Column::Id).limit(BATCH).all(db).await?;
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
    if turns.rotation.is_empty() {
        turns.rotation.extend(longest_waiting_first(surroundings, inbox).await?);
    }
    turns.follow_members(&inbox.members);
    turns.forget_before(plan.share.and_then(|(_, window)| Instant::now().checked_sub(window)));
    for conversation in waiting {
        let Some(agent) = turns.next_agent(plan, &online, &loads) else { break };
        if assign(surroundings, &conversation, agent).await? {
            *loads.entry(agent).or_default() += 1;
            turns.given.entry(agent).or_default().push_back(Instant::now());
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

impl Turns {
    /// Who is next of those who are online and below the limits; goes to the end of the rotation.
    fn next_agent(&mut self, plan: &Plan, online: &[i64], loads: &HashMap<i64, i64>) -> Option<i64> {
        let load = |agent: &i64| loads.get(agent).copied().unwrap_or(0);
        let has_share = |agent: &i64| plan.share.is_none_or(|(limit, _)| self.given.get(agent).map_or(0, VecDeque::len) < limit);
        let is_free = |agent: &i64| online.contains(agent) && plan.open.is_none_or(|limit| load(agent) < limit) && has_share(agent);
        let mut free = self.rotation.iter().enumerate().filter(|(_, agent)| is_free(agent));
        let (position, _) = match plan.order {
            AssignmentOrder::RoundRobin => free.next(),
            // The first of equals.
            AssignmentOrder::Balanced => free.min_by_key(|(_, agent)| load(agent)),
        }?;
        let agent = self.rotation.remove(position)?;
        self.rotation.push_back(agent);
        Some(agent)
    }

    /// New members come first, since they have waited longest; former ones go.
    fn follow_members(&mut self, members: &[i64]) {
        self.rotation.retain(|agent| members.contains(agent));
        self.given.retain(|agent, _| members.contains(agent));
        for member in members.iter().rev() {
            if !self.rotation.contains(member) {
                self.rotation.push_front(*member);
            }
        }
    }

    /// Forgets what was given before a time; everything where no policy counts.
    fn forget_before(&mut self, begin: Option<Instant>) {
        match begin {
            Some(begin) => self.given.values_mut().for_each(|given| given.retain(|at| *at > begin)),
            None => self.given.clear(),
        }
    }
}

/// What an inbox's policy says, if it has one that is enabled, and its own settings.
fn plan(policy: Option<&assignment_policy::Model>, config: &Value) -> Plan {
    let open = limit(config);
    let Some(policy) = policy.filter(|policy| policy.enabled) else {
        return Plan { order: AssignmentOrder::RoundRobin, priority: ConversationPriority::EarliestCreated, open, share: None };
    };
    let share = (usize::try_from(policy.fair_distribution_limit).ok()).zip(u64::try_from(policy.fair_distribution_window).ok());
    Plan {
        order: policy.assignment_order,
        priority: policy.conversation_priority,
        open,
        share: share.map(|(limit, window)| (limit, Duration::from_secs(window))),
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

    fn plan_of(order: AssignmentOrder, open: Option<i64>, share: Option<usize>) -> Plan {
        let share = share.map(|limit| (limit, Duration::from_secs(60)));
        Plan { order, priority: ConversationPriority::EarliestCreated, open, share }
    }

    /// Gives conversations until nobody may have one more.
    fn given(turns: &mut Turns, plan: &Plan, online: &[i64], loads: &mut HashMap<i64, i64>) -> Vec<i64> {
        let mut given = Vec::new();
        while let Some(agent) = turns.next_agent(plan, online, loads).filter(|_| given.len() < 10) {
            *loads.entry(agent).or_default() += 1;
            turns.given.entry(agent).or_default().push_back(Instant::now());
            given.push(agent);
        }
        given
    }

    #[test]
    fn agents_take_turns_within_their_limit() {
        let (mut turns, mut loads) = (Turns::default(), HashMap::new());
        turns.follow_members(&[1, 2, 3]);
        let two_open = plan_of(AssignmentOrder::RoundRobin, Some(2), None);
        assert_eq!(given(&mut turns, &two_open, &[1, 3], &mut loads), [1, 3, 1, 3], "the one who is away gets none, and two each");
        turns.follow_members(&[4, 3, 1]);
        let three_open = plan_of(AssignmentOrder::RoundRobin, Some(3), None);
        assert_eq!(turns.next_agent(&three_open, &[1, 3, 4], &loads), Some(4), "a new member has waited longest");
        let no_limit = plan_of(AssignmentOrder::RoundRobin, None, None);
        assert_eq!(turns.next_agent(&no_limit, &[2], &loads), None, "a former member gets none");
    }

    #[test]
    fn a_balanced_inbox_gives_to_whoever_has_least() {
        let (mut turns, mut loads) = (Turns::default(), HashMap::from([(1, 3), (2, 1)]));
        turns.follow_members(&[1, 2, 3]);
        let balanced = plan_of(AssignmentOrder::Balanced, Some(3), None);
        assert_eq!(given(&mut turns, &balanced, &[1, 2, 3], &mut loads), [3, 2, 3, 2, 3]);
    }

    #[test]
    fn an_agent_has_its_share_of_a_time_and_the_next_one_when_that_is_over() {
        let (mut turns, mut loads) = (Turns::default(), HashMap::new());
        turns.follow_members(&[1, 2]);
        let two_each = plan_of(AssignmentOrder::RoundRobin, None, Some(2));
        assert_eq!(given(&mut turns, &two_each, &[1, 2], &mut loads), [1, 2, 1, 2]);
        turns.forget_before(Instant::now().checked_sub(Duration::from_secs(60)));
        assert_eq!(turns.next_agent(&two_each, &[1, 2], &loads), None);
        turns.forget_before(Some(Instant::now()));
        assert_eq!(given(&mut turns, &two_each, &[2], &mut loads), [2, 2]);
        turns.forget_before(None);
        assert!(turns.given.is_empty());
    }

    #[test]
    fn a_policy_counts_while_it_is_enabled() {
        let now = entity::now();
        let policy = assignment_policy::Model {
            id: 1,
            account_id: 1,
            name: "p".into(),
            description: None,
            assignment_order: AssignmentOrder::Balanced,
            conversation_priority: ConversationPriority::LongestWaiting,
            fair_distribution_limit: 5,
            fair_distribution_window: 60,
            enabled: true,
            created_at: now,
            updated_at: now,
        };
        let config = json!({ "max_assignment_limit": 7 });
        let followed = plan(Some(&policy), &config);
        let expected = plan_of(AssignmentOrder::Balanced, Some(7), Some(5));
        assert_eq!(followed, Plan { priority: ConversationPriority::LongestWaiting, ..expected });
        let own = plan_of(AssignmentOrder::RoundRobin, Some(7), None);
        assert_eq!(plan(Some(&assignment_policy::Model { enabled: false, ..policy }), &config), own);
        assert_eq!(plan(None, &config), own);
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
