//! Carries out the actions of a macro on a conversation: everything that they name is looked up before anything is done, and what they
//! change and say is one command, so that all of it happens or nothing.
use super::actions::{Action, Whom};
use super::auth::Agent;
use super::conversations::{tell_blocking, tell_steps};
use super::error::{ApiError, ApiResult};
use super::scope::Found;
use super::{direct_uploads, fields, labels, transcript};
use actors::catalog::Snapshot;
use actors::conversation::rules::{Change, LabelEdit};
use actors::conversation::{Draft, Step};
use actors::event::MacroPost;
use actors::mailer::{Headers, Mail};
use actors::message::{Sender, UserCard};
use actors::store::NewFile;
use actors::system::Handles;
use entity::conversation;
use entity::macros;
use entity::message::{self, MessageType, SenderType};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

/// What will be done to one conversation.
pub struct Plan {
    /// The number people see.
    pub display_id: i64,
    found: Found,
    steps: Vec<Step>,
    /// The contact, if it is to be blocked.
    blocks: Option<i64>,
    /// To whom the conversation is mailed when everything else is done.
    transcripts: Vec<String>,
}

/// Looks up everything that the actions name; nothing is changed.
///
/// # Errors
/// 422 for what is not there, or not to be used in this conversation.
pub async fn plan(
    handles: &Handles,
    agent: &Agent,
    row: &macros::Model,
    actions: &[Action],
    display_id: i64,
    found: Found,
) -> ApiResult<Plan> {
    let catalog = handles.catalog.now();
    let mut plan = Plan { display_id, found, steps: Vec::new(), blocks: None, transcripts: Vec::new() };
    for action in actions {
        let step = match action {
            Action::SendMessage(words) => said(agent, Some(words), false, Vec::new()),
            Action::AddPrivateNote(words) => said(agent, Some(words), true, Vec::new()),
            Action::SendAttachment(ids) => said(agent, None, false, direct_uploads::kept(handles, agent.account.id, ids).await?),
            Action::AddLabel(titles) => Step::Change(Change::Labels(LabelEdit::Edit { add: labels::titles(titles)?, remove: Vec::new() })),
            Action::RemoveLabel(titles) => {
                Step::Change(Change::Labels(LabelEdit::Edit { add: Vec::new(), remove: labels::titles(titles)? }))
            }
            Action::AssignAgent(whom) => match assignee(handles, agent, &catalog, &plan, *whom).await? {
                Some(user) => Step::Change(Change::Assignee(Some(user))),
                None => continue,
            },
            Action::RemoveAssignedAgent => Step::Change(Change::Assignee(None)),
            Action::AssignTeam(id) => {
                let team = catalog.team(*id).filter(|team| team.row.account_id == agent.account.id);
                Step::Change(Change::Team(Some(team.ok_or_else(|| no_team(*id))?.card())))
            }
            Action::RemoveAssignedTeam => Step::Change(Change::Team(None)),
            Action::ChangeStatus(status) => Step::Change(Change::Status { status: Some(*status), snoozed_until: None }),
            Action::ChangePriority(priority) => Step::Change(Change::Priority(*priority)),
            Action::MuteConversation => {
                let id = plan.found.address.conversation_id;
                let conversation = conversation::Entity::find_by_id(id).one(&handles.db.read).await?.ok_or_else(ApiError::not_found)?;
                plan.blocks = Some(conversation.contact_id);
                Step::Change(Change::Muted(true))
            }
            Action::SendEmailTranscript(email) => {
                transcript::check_relay(handles)?;
                let email = fields::email_address(email).ok_or_else(|| refused("send_email_transcript", "this is no e-mail address"))?;
                plan.transcripts.push(email);
                continue;
            }
            Action::SendEmailToTeam { team_ids, message } => {
                transcript::check_relay(handles)?;
                let mails = mails(handles, agent, &catalog, row, &plan, team_ids, message)?;
                plan.steps.extend(mails.into_iter().map(Step::Mail));
                continue;
            }
            Action::SendWebhookEvent(url) => Step::Post(MacroPost { macro_id: row.id, url: url.clone() }),
        };
        plan.steps.push(step);
    }
    Ok(plan)
}

/// Does what was planned.
///
/// # Errors
/// What refuses it; then nothing was done.
pub async fn run(handles: &Handles, agent: &Agent, plan: Plan) -> ApiResult<()> {
    let Plan { display_id, found, steps, blocks, transcripts } = plan;
    let mails = steps.iter().any(|step| matches!(step, Step::Mail(_)));
    match blocks {
        _ if steps.is_empty() => {}
        Some(contact_id) => drop(tell_blocking(handles, agent, found.address.clone(), contact_id, steps).await?),
        None => drop(tell_steps(handles, agent, found.address.clone(), steps).await?),
    }
    if mails {
        handles.mailer.ring();
    }
    for email in transcripts {
        transcript::send(handles, &found, display_id, &email).await?;
    }
    Ok(())
}

fn said(agent: &Agent, words: Option<&String>, private: bool, files: Vec<NewFile>) -> Step {
    let draft = Draft { content: words.cloned(), private, files, ..Draft::default() };
    Step::Say(Sender::User(agent.card()), Box::new(draft))
}

/// Whom a conversation is given to; nobody if nobody has answered in it, or whoever did may not see it any more.
async fn assignee(handles: &Handles, agent: &Agent, catalog: &Snapshot, plan: &Plan, whom: Whom) -> ApiResult<Option<UserCard>> {
    let may_see = |id: i64| catalog.user(id).filter(|_| plan.found.inbox.is_visible_to(id)).map(|user| user.card());
    let id = match whom {
        Whom::Caller => agent.user.row.id,
        Whom::Agent(id) => id,
        // What the macro itself says comes before.
        Whom::LastResponding if plan.steps.iter().any(|step| matches!(step, Step::Say(_, draft) if !draft.private)) => agent.user.row.id,
        Whom::LastResponding => {
            let answers = message::Entity::find()
                .select_only()
                .column(message::Column::SenderId)
                .filter(message::Column::ConversationId.eq(plan.found.address.conversation_id))
                .filter(message::Column::MessageType.eq(MessageType::Outgoing))
                .filter(message::Column::Private.eq(false))
                .filter(message::Column::SenderType.eq(SenderType::User))
                .order_by_desc(message::Column::Id);
            let last: Option<Option<i64>> = answers.into_tuple().one(&handles.db.read).await?;
            return Ok(last.flatten().and_then(may_see));
        }
    };
    may_see(id).map(Some).ok_or_else(|| refused("assign_agent", &format!("{id} is no agent of this inbox")))
}

/// A mail to every member of the teams, each member once.
fn mails(
    handles: &Handles,
    agent: &Agent,
    catalog: &Snapshot,
    row: &macros::Model,
    plan: &Plan,
    team_ids: &[i64],
    message: &str,
) -> ApiResult<Vec<Mail>> {
    let mut members = Vec::new();
    for id in team_ids {
        let team = catalog.team(*id).filter(|team| team.row.account_id == agent.account.id).ok_or_else(|| no_team(*id))?;
        members.extend(team.members.iter().copied());
    }
    members.sort_unstable();
    members.dedup();
    let run = Uuid::now_v7();
    let link = format!("{}/app/accounts/{}/conversations/{}", handles.files.public_url(), agent.account.id, plan.display_id);
    let mail = |id: i64| {
        catalog.user(id).map(|user| Mail {
            account_id: agent.account.id,
            key: format!("macro/{}/{run}/{id}", row.id),
            recipient: user.row.email.clone(),
            subject: format!("[#{}] {} has a message for you", plan.display_id, agent.user.row.available_name()),
            body: format!("{message}\n\n{link}"),
            headers: Headers::default(),
        })
    };
    Ok(members.into_iter().filter_map(mail).collect())
}

fn no_team(id: i64) -> ApiError {
    refused("team", &format!("there is no team {id}"))
}

fn refused(action: &str, words: &str) -> ApiError {
    ApiError::unprocessable(format!("{action}: {words}"))
}
