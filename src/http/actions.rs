//! What macros do to a conversation: a list of actions, checked when it is saved. `macro_runs` carries them out.
use super::direct_uploads;
use super::error::{ApiError, ApiResult};
use actix_web::http::StatusCode;
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
    /// Gives it to an agent.
    AssignAgent(Whom),
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
    /// Mails something to the members of teams.
    SendEmailToTeam {
        /// Which.
        team_ids: Vec<i64>,
        /// What.
        message: String,
    },
    /// Posts the conversation to an address.
    SendWebhookEvent(String),
}

/// To whom a conversation is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// Whoever runs the action.
    Caller,
    /// Whoever answered last.
    LastResponding,
    /// This one.
    Agent(i64),
}

/// The longest address, in characters.
const URL_LIMIT: usize = 2048;

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
            "self" => Action::AssignAgent(Whom::Caller),
            "last_responding_agent" => Action::AssignAgent(Whom::LastResponding),
            "nil" => Action::RemoveAssignedAgent,
            agent => Action::AssignAgent(Whom::Agent(id(agent)?)),
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
        "send_email_to_team" => {
            let given = given.first().ok_or_else(missing)?;
            let message = given.get("message").and_then(text).filter(|message| !message.trim().is_empty());
            let team_ids = given.get("team_ids").and_then(Value::as_array).filter(|ids| !ids.is_empty());
            let (Some(message), Some(team_ids)) = (message, team_ids) else {
                return Err(format!("{name}: action_params must be [{{team_ids, message}}]"));
            };
            let team_ids = team_ids.iter().map(|value| id(&text(value).unwrap_or_default())).collect::<Result<_, _>>()?;
            Action::SendEmailToTeam { team_ids, message }
        }
        "send_webhook_event" => {
            let url = first()?;
            if url.chars().count() > URL_LIMIT {
                return Err(format!("{name}: the address is longer than {URL_LIMIT} characters"));
            }
            Action::SendWebhookEvent(url)
        }
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

/// Checks what actions name that only a look-up tells, when they are saved: files of the account, and addresses that may be posted to.
///
/// # Errors
/// 422 naming the action.
pub async fn check(handles: &Handles, account_id: i64, actions: &[Action]) -> ApiResult<()> {
    for action in actions {
        let (name, refusal) = match action {
            Action::SendAttachment(ids) => match direct_uploads::kept(handles, account_id, ids).await {
                Err(refusal) if refusal.status() == StatusCode::UNPROCESSABLE_ENTITY => ("send_attachment", refusal.to_string()),
                found => {
                    found?;
                    continue;
                }
            },
            Action::SendWebhookEvent(url) => match handles.egress.check(url).await {
                Err(refusal) => ("send_webhook_event", refusal.to_string()),
                Ok(_) => continue,
            },
            _ => continue,
        };
        return Err(ApiError::invalid("actions", format!("actions: {name}: {refusal}")));
    }
    Ok(())
}

/// The files that actions send.
pub fn files(actions: &[Action]) -> Vec<i64> {
    let of = |action: &Action| match action {
        Action::SendAttachment(ids) => ids.clone(),
        _ => Vec::new(),
    };
    actions.iter().flat_map(of).collect()
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
            (json!({"action_name": "assign_agent", "action_params": ["self"]}), Action::AssignAgent(Whom::Caller)),
            (json!({"action_name": "assign_agent", "action_params": [7]}), Action::AssignAgent(Whom::Agent(7))),
            (json!({"action_name": "assign_agent", "action_params": ["last_responding_agent"]}), Action::AssignAgent(Whom::LastResponding)),
            (
                json!({"action_name": "send_email_to_team", "action_params": [{"team_ids": [1, "2"], "message": "look"}]}),
                Action::SendEmailToTeam { team_ids: vec![1, 2], message: "look".into() },
            ),
            (
                json!({"action_name": "send_webhook_event", "action_params": ["https://a.example/x"]}),
                Action::SendWebhookEvent("https://a.example/x".into()),
            ),
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
            (json!([{"action_name": "send_email_to_team", "action_params": [{"team_ids": [1]}]}]), "send_email_to_team: action_params"),
            (json!([{"action_name": "send_email_to_team", "action_params": [{"team_ids": ["x"], "message": "y"}]}]), "\"x\" is no id"),
            (json!([{"action_name": "send_webhook_event", "action_params": []}]), "send_webhook_event: action_params"),
        ] {
            let refused = parse(&given).unwrap_err();
            assert!(refused.contains(words), "{refused}");
        }
    }
}
