//! Whoever works on conversations: an agent, or a bot. A bot's token opens only the routes whose handlers name [`Worker`];
//! everywhere else it is refused (contract, section 1).
use super::auth::{Agent, NOT_FOR_BOTS, access_token, account_of_path, handles};
use super::error::{ApiError, ApiResult};
use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use actors::catalog::{Bot, Inbox};
use actors::conversation::rules::By;
use actors::message::Sender;
use actors::secret::hash;
use actors::system::Handles;
use entity::{account, conversation};
use futures_util::future::LocalBoxFuture;
use std::sync::Arc;

/// An agent or a bot, in the account of the path.
pub enum Worker {
    /// An agent.
    Agent(Agent),
    /// A bot that answers in inboxes of the account.
    Bot(BotAtWork),
}

/// A bot in an account.
pub struct BotAtWork {
    /// The bot.
    pub bot: Arc<Bot>,
    /// The account.
    pub account: Arc<account::Model>,
    handles: web::Data<Handles>,
}

/// What somebody may see.
pub trait Sees {
    /// The account.
    fn account_id(&self) -> i64;

    /// An inbox of the account that the caller may see conversations of.
    ///
    /// # Errors
    /// 404.
    fn visible_inbox(&self, id: i64) -> ApiResult<Arc<Inbox>>;

    /// Whether a conversation is the caller's to see although its inbox is not.
    fn has(&self, conversation: &conversation::Model) -> bool;
}

impl Sees for Agent {
    fn account_id(&self) -> i64 {
        self.account.id
    }

    fn visible_inbox(&self, id: i64) -> ApiResult<Arc<Inbox>> {
        self.visible_inbox(id)
    }

    /// A team's conversation is its members' to see, whatever inbox it came by (contract, section 0, Roles).
    fn has(&self, conversation: &conversation::Model) -> bool {
        let catalog = self.handles().catalog.now();
        conversation.team_id.and_then(|id| catalog.team(id)).is_some_and(|team| team.members.contains(&self.user.row.id))
    }
}

impl Sees for BotAtWork {
    fn account_id(&self) -> i64 {
        self.account.id
    }

    fn visible_inbox(&self, id: i64) -> ApiResult<Arc<Inbox>> {
        let catalog = self.handles.catalog.now();
        let is_own = |inbox: &&Arc<Inbox>| {
            inbox.row.account_id == self.account.id && inbox.row.agent_bot_id == Some(self.bot.row.id) && !inbox.is_deleted()
        };
        catalog.inbox(id).filter(is_own).cloned().ok_or_else(ApiError::not_found)
    }

    /// What was given to the bot by hand.
    fn has(&self, conversation: &conversation::Model) -> bool {
        conversation.assignee_agent_bot_id == Some(self.bot.row.id)
    }
}

impl Sees for Worker {
    fn account_id(&self) -> i64 {
        match self {
            Worker::Agent(agent) => agent.account_id(),
            Worker::Bot(bot) => bot.account_id(),
        }
    }

    fn visible_inbox(&self, id: i64) -> ApiResult<Arc<Inbox>> {
        match self {
            Worker::Agent(agent) => agent.visible_inbox(id),
            Worker::Bot(bot) => bot.visible_inbox(id),
        }
    }

    fn has(&self, conversation: &conversation::Model) -> bool {
        match self {
            Worker::Agent(agent) => agent.has(conversation),
            Worker::Bot(bot) => bot.has(conversation),
        }
    }
}

/// Whoever may change conversations.
pub trait Works: Sees {
    /// As whoever changes a conversation.
    fn by(&self) -> By;
}

impl Works for Agent {
    fn by(&self) -> By {
        self.by()
    }
}

impl Works for Worker {
    fn by(&self) -> By {
        match self {
            Worker::Agent(agent) => agent.by(),
            Worker::Bot(bot) => By::Bot(bot.bot.card()),
        }
    }
}

impl Worker {
    /// As whoever writes.
    pub fn sender(&self) -> Sender {
        match self {
            Worker::Agent(agent) => Sender::User(agent.card()),
            Worker::Bot(bot) => Sender::Bot(bot.bot.card()),
        }
    }

    /// Whose files those are that come along.
    pub fn user_id(&self) -> Option<i64> {
        match self {
            Worker::Agent(agent) => Some(agent.user.row.id),
            Worker::Bot(_) => None,
        }
    }
}

impl FromRequest for Worker {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, ApiResult<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let found = bot_of(request);
        let agent = Agent::from_request(request, payload);
        Box::pin(async move {
            match found {
                Ok(Some(bot)) => Ok(Worker::Bot(bot)),
                Ok(None) => agent.await.map(Worker::Agent),
                Err(refusal) => Err(refusal),
            }
        })
    }
}

/// The bot whose token the request carries, if one's, where it works in the account of the path.
fn bot_of(request: &HttpRequest) -> ApiResult<Option<BotAtWork>> {
    let handles = handles(request)?;
    let catalog = handles.catalog.now();
    let Some(bot) = access_token(request).and_then(|token| catalog.bot_by_token(&hash(&token)).cloned()) else { return Ok(None) };
    let account = account_of_path(request, &catalog)?;
    if !bot.serves(account.id) {
        return Err(ApiError::unauthorized(NOT_FOR_BOTS));
    }
    Ok(Some(BotAtWork { bot, account, handles }))
}
