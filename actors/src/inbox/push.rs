//! Webhook requests of providers: read by the channel, stored by a session of their own beside the one that runs. Requests of one
//! inbox are worked on at once, what one request tells in its order.
use super::InboxActor;
use crate::channel::request::{Answer, Webhook, WebhookRequest};
use crate::channel::{ChannelError, Intake};
use crate::session::Session;
use actix::prelude::*;
use sha2::{Digest, Sha256};

/// A provider has pushed something. Answered when all of it is stored; `Rejected` means that it is not the provider's, any other
/// error that it may not be stored. Taken in every state: what is not taken now may be lost.
#[derive(Message)]
#[rtype(result = "Result<Answer, ChannelError>")]
pub struct Push(pub WebhookRequest);

impl Handler<Push> for InboxActor {
    type Result = ResponseFuture<Result<Answer, ChannelError>>;

    fn handle(&mut self, Push(request): Push, ctx: &mut Self::Context) -> Self::Result {
        let session = self.session(self.reports(ctx));
        let taken = self.surroundings.pool.spawn(take(session, request));
        Box::pin(async move {
            let broken = |_| Err(ChannelError::temporary("taking a webhook request broke down (a bug: its panic is in the log)"));
            taken.await.unwrap_or_else(broken)
        })
    }
}

async fn take(session: Session, request: WebhookRequest) -> Result<Answer, ChannelError> {
    let Webhook { updates, answer } = session.channel.webhook(&request)?;
    for (position, update) in updates.into_iter().enumerate() {
        let stored = match session.deliver(update).await {
            // Told again it would be refused again: it is set aside, and what comes behind it goes on.
            Err(ChannelError::Rejected(reason)) => session.park(&parked_as(&request, position), &reason, request.body.clone()).await,
            other => other,
        };
        stored.map_err(|error| match error {
            error @ ChannelError::Temporary { .. } => error,
            // Only a request that is not the provider's is rejected.
            error => ChannelError::temporary(error.to_string()),
        })?;
    }
    Ok(answer)
}

/// The same request repeated has the same key.
fn parked_as(request: &WebhookRequest, position: usize) -> String {
    format!("webhook {}:{position}", hex::encode(Sha256::digest(&request.body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_aside_is_known_by_its_bytes_and_its_place() {
        let request = |body: &'static [u8]| WebhookRequest { body: body.into(), ..WebhookRequest::default() };
        assert_eq!(parked_as(&request(b"{}"), 1), parked_as(&request(b"{}"), 1));
        assert_ne!(parked_as(&request(b"{}"), 1), parked_as(&request(b"{}"), 2));
        assert_ne!(parked_as(&request(b"{}"), 1), parked_as(&request(b"[]"), 1));
    }
}
