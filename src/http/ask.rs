//! Asking an actor, with the deadline of every request: after it nothing is known, and the client may send the request again.
use super::error::{ApiError, ApiResult};
use actix::{Actor, Addr, Handler, Message};
use actors::conversation::{Command, ConversationError};
use actors::conversations::Tell;
use actors::message::Key;
use actors::store::Recorded;
use actors::system::Handles;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(15);

/// Sends a message and waits for its answer.
///
/// # Errors
/// 503 if none comes in time.
pub async fn ask<A, M>(actor: &Addr<A>, message: M) -> ApiResult<M::Result>
where
    A: Actor + Handler<M>,
    A::Context: actix::dev::ToEnvelope<A, M>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    match tokio::time::timeout(DEADLINE, actor.send(message)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(ApiError::unavailable(error)),
        Err(_) => Err(ApiError::unavailable("no answer within 15 s")),
    }
}

/// Carries work to its end, also when whoever asked for it hangs up in between.
///
/// # Errors
/// What the work comes to.
pub async fn finished<T: 'static>(work: impl Future<Output = ApiResult<T>> + 'static) -> ApiResult<T> {
    actix_web::rt::spawn(work).await.map_err(ApiError::failed)?
}

/// Has a command carried out in the conversations of a key.
///
/// # Errors
/// What the command's refusal becomes for the client.
pub async fn tell(handles: &Handles, key: Key, command: Command) -> ApiResult<Recorded> {
    let answer: Result<Recorded, ConversationError> = ask(&handles.conversations, Tell { key, command }).await?;
    Ok(answer?)
}
