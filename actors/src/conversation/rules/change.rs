//! What follows when somebody changes a conversation without writing: the row after it, and what its thread says about it.
use crate::message::{BotCard, TeamCard, UserCard};
use chrono::{DateTime, Utc};
use entity::account_user::Role;
use entity::conversation;
use entity::conversation::{Priority, Status};
use serde_json::{Map, Value, json};

/// A change to a conversation that is not a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// To this status, or to the other one of open and resolved.
    Status {
        /// None: toggle.
        status: Option<Status>,
        /// For `snoozed`.
        snoozed_until: Option<DateTime<Utc>>,
    },
    /// To this agent, or to nobody.
    Assignee(Option<UserCard>),
    /// To this bot; then it is no agent's.
    AssigneeBot(BotCard),
    /// For people, if it still waits for a bot: the bot cannot be reached.
    WithoutBot,
    /// To this team, or to none.
    Team(Option<TeamCard>),
    /// The labels it has.
    Labels(LabelEdit),
    /// A label has another title everywhere, or is gone; the thread says nothing of it.
    LabelRenamed {
        /// What it was called.
        from: String,
        /// What it is called now; none if it is gone.
        to: Option<String>,
    },
    /// A team is gone; the thread says nothing of it.
    WithoutTeam(i64),
    /// Its contact is not to trouble anybody any more, or may again; the contact itself is blocked elsewhere.
    Muted(bool),
    /// To this agent if it is nobody's yet.
    AssigneeIfFree(UserCard),
    /// To this agent if it is open, whoever had it: an agent who opens a conversation takes it (contract, section 12, trap 13).
    AssigneeIfOpen(UserCard),
    /// How urgent.
    Priority(Option<Priority>),
    /// Agents have seen it up to now.
    SeenByAgent,
    /// The contact has seen it up to now.
    SeenByContact,
    /// Agents shall look at it again.
    Unread,
    /// The whole set.
    CustomAttributes(Map<String, Value>),
}

/// How the labels of a conversation change.
#[derive(Clone, Debug, PartialEq)]
pub enum LabelEdit {
    /// To this set.
    Replace(Vec<String>),
    /// Some come, some go.
    Edit {
        /// Which come.
        add: Vec<String>,
        /// Which go.
        remove: Vec<String>,
    },
}

/// Who changes something.
#[derive(Clone, Debug, PartialEq)]
pub enum By {
    /// A user, with its role in the account.
    User(UserCard, Role),
    /// A bot.
    Bot(BotCard),
    /// The customer.
    Contact,
    /// A rule.
    System,
}

impl By {
    /// The user, if it is one.
    pub fn user(&self) -> Option<&UserCard> {
        match self {
            By::User(user, _) => Some(user),
            By::Bot(_) | By::Contact | By::System => None,
        }
    }

    /// The name of the user or bot.
    pub fn name(&self) -> Option<&str> {
        match self {
            By::User(user, _) => Some(&user.name),
            By::Bot(bot) => Some(&bot.name),
            By::Contact | By::System => None,
        }
    }
}

/// A conversation after a change, and what its thread says about it.
pub fn after_change(before: &conversation::Model, change: &Change, by: &By, now: DateTime<Utc>) -> (conversation::Model, Option<String>) {
    let mut after = before.clone();
    after.updated_at = now;
    let who = by.name();
    let mut said = None;
    match change {
        Change::Status { status, snoozed_until } => {
            let toggled = if before.status == Status::Open { Status::Resolved } else { Status::Open };
            after.status = status.unwrap_or(toggled);
            after.snoozed_until = snoozed_until.filter(|_| after.status == Status::Snoozed);
            if after.status != before.status {
                said = Some(status_words(after.status, who, matches!(by, By::Contact)));
            }
            if after.status == Status::Resolved {
                after.waiting_since = None;
            }
            // A conversation that leaves its bot is nobody's until an agent has it.
            if before.status == Status::Pending && after.status == Status::Open {
                after.assignee_agent_bot_id = None;
            }
        }
        Change::AssigneeIfOpen(assignee) if before.status == Status::Open => {
            return after_change(before, &Change::Assignee(Some(assignee.clone())), by, now);
        }
        Change::AssigneeIfOpen(_) => {}
        Change::Assignee(assignee) => {
            after.assignee_id = assignee.as_ref().map(|assignee| assignee.id);
            after.assignee_agent_bot_id = None;
            if after.assignee_id != before.assignee_id || before.assignee_agent_bot_id.is_some() {
                said = Some(assignee_words(assignee.as_ref(), by));
            }
        }
        Change::AssigneeBot(bot) => {
            after.assignee_id = None;
            after.assignee_agent_bot_id = Some(bot.id);
            if after.assignee_agent_bot_id != before.assignee_agent_bot_id {
                said = Some(format!("Assigned to {} by {}", bot.name, who.unwrap_or("the system")));
            }
        }
        Change::WithoutBot => {
            if before.status == Status::Pending {
                after.status = Status::Open;
                after.assignee_agent_bot_id = None;
                said = Some("Conversation was opened by the system: its bot cannot be reached".into());
            }
        }
        Change::Team(team) => {
            after.team_id = team.as_ref().map(|team| team.id);
            if after.team_id != before.team_id {
                let by = who.unwrap_or("the system");
                said = Some(
                    team.as_ref()
                        .map_or_else(|| format!("Taken from its team by {by}"), |team| format!("Assigned to {} by {by}", team.name)),
                );
            }
        }
        Change::Labels(edit) => {
            let had = labels_of(before);
            let has = edited_labels(&had, edit);
            said = label_words(&had, &has, who.unwrap_or("The system"));
            after.labels = json!(has);
        }
        Change::LabelRenamed { from, to } => {
            let mut has = labels_of(before);
            let is_there = to.as_ref().is_some_and(|to| has.contains(to));
            match to {
                // One that has the new title already only loses the old one.
                Some(to) if !is_there => has.iter_mut().filter(|title| *title == from).for_each(|title| title.clone_from(to)),
                _ => has.retain(|title| title != from),
            }
            after.labels = json!(has);
        }
        Change::WithoutTeam(team_id) => after.team_id = before.team_id.filter(|id| id != team_id),
        Change::Muted(muted) => {
            if *muted {
                after.status = Status::Resolved;
                after.snoozed_until = None;
                after.waiting_since = None;
            }
            let done = if *muted { "muted" } else { "unmuted" };
            said = Some(format!("{} {done} the conversation", who.unwrap_or("The system")));
        }
        Change::AssigneeIfFree(assignee) => {
            if before.assignee_id.is_none() && before.assignee_agent_bot_id.is_none() && before.status == Status::Open {
                after.assignee_id = Some(assignee.id);
                after.assignee_agent_bot_id = None;
                said = Some(assignee_words(Some(assignee), by));
            }
        }
        Change::Priority(priority) => {
            after.priority = *priority;
            if after.priority != before.priority {
                let to = priority.map_or("none", Priority::name);
                said = Some(format!("{} set the priority to {to}", who.unwrap_or("The system")));
            }
        }
        Change::SeenByAgent => {
            after.agent_last_seen_at = Some(now);
            after.unread_count = 0;
            if by.user().is_some_and(|user| Some(user.id) == before.assignee_id) {
                after.assignee_last_seen_at = Some(now);
            }
        }
        Change::SeenByContact => after.contact_last_seen_at = Some(now),
        Change::Unread => {
            after.agent_last_seen_at = None;
            after.assignee_last_seen_at = None;
            after.unread_count = before.unread_count.max(1);
        }
        Change::CustomAttributes(attributes) => after.custom_attributes = Value::Object(attributes.clone()),
    }
    (after, said)
}

/// The titles of the labels that a conversation has.
pub fn labels_of(conversation: &conversation::Model) -> Vec<String> {
    let titles = conversation.labels.as_array().map(Vec::as_slice).unwrap_or_default();
    titles.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn edited_labels(had: &[String], edit: &LabelEdit) -> Vec<String> {
    let (kept, added): (Vec<&String>, _) = match edit {
        LabelEdit::Replace(titles) => (had.iter().filter(|title| titles.contains(title)).collect(), titles),
        LabelEdit::Edit { add, remove } => (had.iter().filter(|title| !remove.contains(title)).collect(), add),
    };
    let mut has: Vec<String> = kept.into_iter().cloned().collect();
    for title in added {
        if !has.contains(title) {
            has.push(title.clone());
        }
    }
    has
}

fn label_words(had: &[String], has: &[String], who: &str) -> Option<String> {
    let missing = |of: &[String], from: &[String]| from.iter().filter(|title| !of.contains(title)).cloned().collect::<Vec<_>>().join(", ");
    match (missing(had, has), missing(has, had)) {
        (added, removed) if added.is_empty() && removed.is_empty() => None,
        (added, removed) if removed.is_empty() => Some(format!("{who} added {added}")),
        (added, removed) if added.is_empty() => Some(format!("{who} removed {removed}")),
        (added, removed) => Some(format!("{who} added {added} and removed {removed}")),
    }
}

fn status_words(status: Status, who: Option<&str>, by_contact: bool) -> String {
    let done = match status {
        Status::Open => "reopened",
        Status::Resolved => "marked resolved",
        Status::Pending => "marked pending",
        Status::Snoozed => "snoozed",
    };
    match who {
        Some(who) => format!("Conversation was {done} by {who}"),
        None if by_contact => format!("Conversation was {done} by the contact"),
        None => format!("Conversation was {done} by the system"),
    }
}

fn assignee_words(assignee: Option<&UserCard>, by: &By) -> String {
    let is_own = |assignee: &UserCard| by.user().is_some_and(|user| user.id == assignee.id);
    match (assignee, by.name()) {
        (None, Some(who)) => format!("Conversation unassigned by {who}"),
        (None, None) => "Conversation unassigned".into(),
        (Some(assignee), Some(who)) if is_own(assignee) => format!("{who} self-assigned this conversation"),
        (Some(assignee), who) => format!("Assigned to {} by {}", assignee.name, who.unwrap_or("the system")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::conversation;
    use super::*;
    use chrono::Duration;

    fn agent() -> UserCard {
        UserCard { id: 3, name: "Grace".into(), available_name: "Grace".into(), email: "g@example.com".into(), avatar_url: String::new() }
    }

    #[test]
    fn changes_say_what_happened() {
        let now = entity::now();
        let (agent_opens, administrator) = (By::User(agent(), Role::Agent), By::User(agent(), Role::Administrator));
        let status = |status| Change::Status { status, snoozed_until: None };
        for (before, change, by, after, assignee, said) in [
            (Status::Open, status(None), &administrator, Status::Resolved, None, Some("Conversation was marked resolved by Grace")),
            (Status::Resolved, status(None), &administrator, Status::Open, None, Some("Conversation was reopened by Grace")),
            (Status::Resolved, status(None), &agent_opens, Status::Open, None, Some("Conversation was reopened by Grace")),
            (
                Status::Open,
                Change::AssigneeIfOpen(agent()),
                &agent_opens,
                Status::Open,
                Some(3),
                Some("Grace self-assigned this conversation"),
            ),
            (Status::Resolved, Change::AssigneeIfOpen(agent()), &agent_opens, Status::Resolved, None, None),
            (Status::Snoozed, status(None), &By::System, Status::Open, None, Some("Conversation was reopened by the system")),
            (Status::Open, status(Some(Status::Open)), &administrator, Status::Open, None, None),
            (
                Status::Open,
                status(Some(Status::Resolved)),
                &By::Contact,
                Status::Resolved,
                None,
                Some("Conversation was marked resolved by the contact"),
            ),
            (
                Status::Open,
                Change::Assignee(Some(agent())),
                &administrator,
                Status::Open,
                Some(3),
                Some("Grace self-assigned this conversation"),
            ),
            (Status::Open, Change::AssigneeIfFree(agent()), &By::System, Status::Open, Some(3), Some("Assigned to Grace by the system")),
            (Status::Resolved, Change::AssigneeIfFree(agent()), &By::System, Status::Resolved, None, None),
            (
                Status::Open,
                Change::Priority(Some(Priority::High)),
                &administrator,
                Status::Open,
                None,
                Some("Grace set the priority to high"),
            ),
        ] {
            let (row, words) = after_change(&conversation(before), &change, by, now);
            assert_eq!((row.status, row.assignee_id, words.as_deref()), (after, assignee, said), "{before:?} {change:?}");
        }
        let of_another = conversation::Model { assignee_id: Some(8), ..conversation(Status::Open) };
        let (taken, words) = after_change(&of_another, &Change::AssigneeIfOpen(agent()), &agent_opens, now);
        assert_eq!((taken.assignee_id, words.as_deref()), (Some(3), Some("Grace self-assigned this conversation")), "whoever had it");
        let until = Some(now + Duration::hours(1));
        let (snoozed, _) = after_change(
            &conversation(Status::Open),
            &Change::Status { status: Some(Status::Snoozed), snoozed_until: until },
            &By::System,
            now,
        );
        assert_eq!(snoozed.snoozed_until, until);
        assert_eq!(after_change(&snoozed, &status(None), &By::System, now).0.snoozed_until, None);
    }

    #[test]
    fn teams_bots_labels_and_muting() {
        let (now, by) = (entity::now(), By::User(agent(), Role::Agent));
        let bot = BotCard { id: 9, name: "Robo".into(), avatar_url: String::new() };
        let team = TeamCard { id: 4, name: "sales".into() };
        let labels = |titles: &[&str]| titles.iter().map(|title| (*title).to_owned()).collect::<Vec<_>>();
        let labelled = conversation::Model { labels: json!(["vip", "new"]), ..conversation(Status::Open) };
        let with_bot = conversation::Model { assignee_agent_bot_id: Some(9), ..conversation(Status::Pending) };
        let edit = |add: &[&str], remove: &[&str]| Change::Labels(LabelEdit::Edit { add: labels(add), remove: labels(remove) });
        let renamed = |from: &str, to: Option<&str>| Change::LabelRenamed { from: from.into(), to: to.map(Into::into) };
        let of_team = conversation::Model { team_id: Some(4), ..conversation(Status::Open) };
        let replace = |titles: &[&str]| Change::Labels(LabelEdit::Replace(labels(titles)));
        type Seen = (Status, Option<i64>, Option<i64>, Option<i64>, Value);
        let seen = |row: &conversation::Model| -> Seen {
            (row.status, row.assignee_id, row.assignee_agent_bot_id, row.team_id, row.labels.clone())
        };
        let none = json!([]);
        let open = |status| Change::Status { status: Some(status), snoozed_until: None };
        for (before, change, by, after, said) in [
            (
                conversation(Status::Open),
                Change::Team(Some(team)),
                &by,
                (Status::Open, None, None, Some(4), none.clone()),
                Some("Assigned to sales by Grace"),
            ),
            (conversation(Status::Open), Change::Team(None), &by, (Status::Open, None, None, None, none.clone()), None),
            (
                conversation(Status::Pending),
                Change::AssigneeBot(bot.clone()),
                &by,
                (Status::Pending, None, Some(9), None, none.clone()),
                Some("Assigned to Robo by Grace"),
            ),
            (
                with_bot.clone(),
                Change::Assignee(Some(agent())),
                &by,
                (Status::Pending, Some(3), None, None, none.clone()),
                Some("Grace self-assigned this conversation"),
            ),
            (
                with_bot.clone(),
                open(Status::Open),
                &By::Bot(bot.clone()),
                (Status::Open, None, None, None, none.clone()),
                Some("Conversation was reopened by Robo"),
            ),
            (
                with_bot.clone(),
                open(Status::Resolved),
                &By::Bot(bot),
                (Status::Resolved, None, Some(9), None, none.clone()),
                Some("Conversation was marked resolved by Robo"),
            ),
            (
                labelled.clone(),
                edit(&["late", "vip"], &["new", "gone"]),
                &by,
                (Status::Open, None, None, None, json!(["vip", "late"])),
                Some("Grace added late and removed new"),
            ),
            (labelled.clone(), renamed("vip", Some("top")), &by, (Status::Open, None, None, None, json!(["top", "new"])), None),
            (labelled.clone(), renamed("vip", Some("new")), &by, (Status::Open, None, None, None, json!(["new"])), None),
            (labelled.clone(), renamed("vip", None), &by, (Status::Open, None, None, None, json!(["new"])), None),
            (labelled.clone(), renamed("gone", Some("back")), &by, (Status::Open, None, None, None, json!(["vip", "new"])), None),
            (of_team.clone(), Change::WithoutTeam(4), &by, (Status::Open, None, None, None, none.clone()), None),
            (of_team, Change::WithoutTeam(5), &by, (Status::Open, None, None, Some(4), none.clone()), None),
            (labelled.clone(), replace(&["new", "vip"]), &by, (Status::Open, None, None, None, json!(["vip", "new"])), None),
            (labelled, replace(&[]), &by, (Status::Open, None, None, None, none.clone()), Some("Grace removed vip, new")),
            (
                conversation(Status::Open),
                Change::Muted(true),
                &by,
                (Status::Resolved, None, None, None, none.clone()),
                Some("Grace muted the conversation"),
            ),
            (
                conversation(Status::Resolved),
                Change::Muted(false),
                &by,
                (Status::Resolved, None, None, None, none),
                Some("Grace unmuted the conversation"),
            ),
        ] {
            let (row, words) = after_change(&before, &change, by, now);
            assert_eq!((seen(&row), words.as_deref()), (after, said), "{change:?}");
        }
    }
}
