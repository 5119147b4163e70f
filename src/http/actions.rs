//! What macros do to a conversation: a list of actions, checked when it is saved and carried out in order.
use super::auth::Agent;
use super::error::{ApiError, ApiResult};
use super::scope::Found;
use super::{ask, conversations, direct_uploads, labels, transcript};
use actors::conversation::rules::{Change, LabelEdit};
use actors::conversation::{Command, Draft, Say};
use actors::message::Sender;
use actors::store::NewFile;
use actors::system::Handles;
use entity::conversation::{Priority, Status};
use serde_json::Value;

/// One action (contract, section 2, Automation).
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Says something to the contact.
    SendMessage(String),
    /// Notes something.
    AddPrivateNote(String),
    /// Sends files that were uploaded before, by the ids of their rows.
    SendAttachment(Vec<i64>),
    /// Adds labels.
    AddLabel(Vec<String>),
    /// Removes labels.
    RemoveLabel(Vec<String>),
    /// Gives it to an agent; `None` for whoever runs the action.
    AssignAgent(Option<i64>),
    /// Takes it from its agent.
    RemoveAssignedAgent,
    /// Gives it to a team.
    AssignTeam(i64),
    /// Takes it from its team.
    RemoveAssignedTeam,
    /// To another status; snoozed until the next message.
    ChangeStatus(Status),
    /// To another priority.
    ChangePriority(Option<Priority>),
    /// Blocks the contact and resolves.
    MuteConversation,
    /// Mails what was said.
    SendEmailTranscript(String),
}

/// Reads a list of `{action_name, action_params}`.
///
/// # Errors
/// Words that name the action and what is wrong with it.
pub fn parse(actions: &Value) -> Result<Vec<Action>, String> {
    let list = actions.as_array().filter(|list| !list.is_empty()).ok_or("actions must be a list of at least one action")?;
    list.iter().map(parse_one).collect()
}

fn parse_one(action: &Value) -> Result<Action, String> {
    let name = action.get("action_name").and_then(Value::as_str).ok_or("an action without action_name")?;
    let given: Vec<Value> = match action.get("action_params") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(list)) => list.clone(),
        Some(one) => vec![one.clone()],
    };
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let texts: Vec<String> = given.iter().filter_map(text).collect();
    let missing = || format!("{name}: action_params must say what");
    let first = || texts.first().filter(|text| !text.trim().is_empty()).cloned().ok_or_else(missing);
    let id = |text: &str| text.parse::<i64>().map_err(|_| format!("{name}: \"{text}\" is no id"));
    let some = |texts: &Vec<String>| if texts.is_empty() { Err(missing()) } else { Ok(texts.clone()) };
    Ok(match name {
        "send_message" => Action::SendMessage(first()?),
        "add_private_note" => Action::AddPrivateNote(first()?),
        "send_attachment" => Action::SendAttachment(some(&texts)?.iter().map(|text| id(text)).collect::<Result<_, _>>()?),
        "add_label" => Action::AddLabel(some(&texts)?),
        "remove_label" => Action::RemoveLabel(some(&texts)?),
        "assign_agent" => match first()?.as_str() {
            "self" => Action::AssignAgent(None),
            "nil" => Action::RemoveAssignedAgent,
            agent => Action::AssignAgent(Some(id(agent)?)),
        },
        "remove_assigned_agent" => Action::RemoveAssignedAgent,
        "assign_team" => match first()?.as_str() {
            "nil" => Action::RemoveAssignedTeam,
            team => Action::AssignTeam(id(team)?),
        },
        "remove_assigned_team" => Action::RemoveAssignedTeam,
        "change_status" => Action::ChangeStatus(status(&first()?).ok_or("change_status: none of open, resolved, pending, snoozed")?),
        "open_conversation" => Action::ChangeStatus(Status::Open),
        "resolve_conversation" => Action::ChangeStatus(Status::Resolved),
        "pending_conversation" => Action::ChangeStatus(Status::Pending),
        "snooze_conversation" => Action::ChangeStatus(Status::Snoozed),
        "change_priority" => Action::ChangePriority(
            priority(texts.first().map(String::as_str)).ok_or("change_priority: none of low, medium, high, urgent, nil")?,
        ),
        "mute_conversation" => Action::MuteConversation,
        "send_email_transcript" => Action::SendEmailTranscript(first()?),
        other => return Err(format!("action_name: \"{other}\" is not known to this version")),
    })
}

fn status(name: &str) -> Option<Status> {
    [Status::Open, Status::Resolved, Status::Pending, Status::Snoozed].into_iter().find(|status| status.name() == name)
}

fn priority(name: Option<&str>) -> Option<Option<Priority>> {
    match name {
        None | Some("" | "nil" | "none") => Some(None),
        Some(name) => {
            [Priority::Low, Priority::Medium, Priority::High, Priority::Urgent].into_iter().find(|one| one.name() == name).map(Some)
        }
    }
}

/// Carries out an action in the name of an agent.
///
/// # Errors
/// What refuses it.
pub async fn run(handles: &Handles, agent: &Agent, found: &Found, display_id: i64, action: &Action) -> ApiResult<()> {
    let catalog = handles.catalog.now();
    let change = match action {
        Action::SendMessage(words) => return say(handles, agent, found, words, false, Vec::new()).await,
        Action::AddPrivateNote(words) => return say(handles, agent, found, words, true, Vec::new()).await,
        Action::SendAttachment(ids) => {
            return say(handles, agent, found, "", false, direct_uploads::kept(handles, agent.account.id, ids).await?).await;
        }
        Action::SendEmailTranscript(email) => return transcript::send(handles, found, display_id, email).await,
        Action::AddLabel(titles) => Change::Labels(LabelEdit::Edit { add: labels::titles(titles)?, remove: Vec::new() }),
        Action::RemoveLabel(titles) => Change::Labels(LabelEdit::Edit { add: Vec::new(), remove: labels::titles(titles)? }),
        Action::AssignAgent(id) => {
            let id = id.unwrap_or(agent.user.row.id);
            let user = catalog.user(id).filter(|_| found.inbox.is_visible_to(id));
            Change::Assignee(Some(user.ok_or_else(|| ApiError::unprocessable(format!("{id} is no agent of this inbox")))?.card()))
        }
        Action::RemoveAssignedAgent => Change::Assignee(None),
        Action::AssignTeam(id) => {
            let team = catalog.team(*id).filter(|team| team.row.account_id == agent.account.id);
            Change::Team(Some(team.ok_or_else(|| ApiError::unprocessable(format!("there is no team {id}")))?.card()))
        }
        Action::RemoveAssignedTeam => Change::Team(None),
        Action::ChangeStatus(status) => Change::Status { status: Some(*status), snoozed_until: None },
        Action::ChangePriority(priority) => Change::Priority(*priority),
        Action::MuteConversation => return conversations::set_muted(handles, agent, found, true).await,
    };
    let command = Command::Change { conversation_id: found.address.conversation_id, by: agent.by(), change };
    ask::tell(handles, found.address.key.clone(), command).await.map(drop)
}

async fn say(handles: &Handles, agent: &Agent, found: &Found, words: &str, private: bool, files: Vec<NewFile>) -> ApiResult<()> {
    let content = Some(words.to_owned()).filter(|words| !words.is_empty());
    let draft = Draft { content, private, files, ..Draft::default() };
    let say = Say { conversation_id: found.address.conversation_id, sender: Sender::User(agent.card()), draft, claim: None };
    ask::tell(handles, found.address.key.clone(), Command::Say(Box::new(say))).await.map(drop)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    #[test]
    fn actions_are_read_or_refused_by_name() {
        for (given, read) in [
            (json!({"action_name": "send_message", "action_params": ["hi"]}), Action::SendMessage("hi".into())),
            (json!({"action_name": "add_label", "action_params": ["a", "b"]}), Action::AddLabel(vec!["a".into(), "b".into()])),
            (json!({"action_name": "assign_agent", "action_params": ["self"]}), Action::AssignAgent(None)),
            (json!({"action_name": "assign_agent", "action_params": [7]}), Action::AssignAgent(Some(7))),
            (json!({"action_name": "assign_agent", "action_params": ["nil"]}), Action::RemoveAssignedAgent),
            (json!({"action_name": "assign_team", "action_params": 4}), Action::AssignTeam(4)),
            (json!({"action_name": "change_status", "action_params": ["pending"]}), Action::ChangeStatus(Status::Pending)),
            (json!({"action_name": "resolve_conversation"}), Action::ChangeStatus(Status::Resolved)),
            (json!({"action_name": "change_priority", "action_params": ["nil"]}), Action::ChangePriority(None)),
            (json!({"action_name": "change_priority", "action_params": ["high"]}), Action::ChangePriority(Some(Priority::High))),
            (json!({"action_name": "mute_conversation", "action_params": []}), Action::MuteConversation),
        ] {
            assert_eq!(parse(&json!([given])).unwrap(), vec![read]);
        }
        for (given, words) in [
            (json!([]), "at least one action"),
            (json!({"action_name": "x"}), "at least one action"),
            (json!([{"action_params": []}]), "without action_name"),
            (json!([{"action_name": "fly"}]), "\"fly\" is not known"),
            (json!([{"action_name": "send_message", "action_params": []}]), "send_message: action_params"),
            (json!([{"action_name": "assign_team", "action_params": ["x"]}]), "assign_team: \"x\" is no id"),
            (json!([{"action_name": "change_status", "action_params": ["gone"]}]), "change_status: none of"),
        ] {
            let refused = parse(&given).unwrap_err();
            assert!(refused.contains(words), "{refused}");
        }
    }
}
