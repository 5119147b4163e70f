//! Webhook requests of providers: read by the channel, stored by a session of their own beside the one that runs. Requests of one
//! inbox are worked on at once, what one request tells in its order.
use super::InboxActor;
use crate::channel::request::{Answer, Webhook, WebhookRequest};
use crate::channel::{ChannelError, Intake};
use crate::message::Update;
use crate::session::Session;
use actix::prelude::*;
use futures_util::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// How many contacts of one request are worked on at once.
const AT_ONCE: usize = 16;

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
    let (session, request) = (&session, &request);
    let delivering = lanes(updates).into_iter().map(|lane| async move {
        for (position, update) in lane {
            deliver(session, request, position, update).await?;
        }
        Ok::<(), ChannelError>(())
    });
    stream::iter(delivering).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    Ok(answer)
}

async fn deliver(session: &Session, request: &WebhookRequest, position: usize, update: Update) -> Result<(), ChannelError> {
    let stored = match session.deliver(update).await {
        // Told again it would be refused again: it is set aside, and what comes behind it goes on.
        Err(ChannelError::Rejected(reason)) => session.park(&parked_as(request, position), &reason, request.body.clone()).await,
        other => other,
    };
    stored.map_err(|error| match error {
        error @ ChannelError::Temporary { .. } => error,
        // Only a request that is not the provider's is rejected.
        error => ChannelError::temporary(error.to_string()),
    })
}

/// What happened, with the place of each in the request: what a contact wrote stays in its order, and does not wait for others.
fn lanes(updates: Vec<Update>) -> Vec<Vec<(usize, Update)>> {
    let mut lanes: HashMap<Option<String>, Vec<(usize, Update)>> = HashMap::new();
    for (position, update) in updates.into_iter().enumerate() {
        let writer = match &update {
            Update::Message(inbound) => Some(inbound.source_id.clone()),
            _ => None,
        };
        lanes.entry(writer).or_default().push((position, update));
    }
    lanes.into_values().collect()
}

/// The same request repeated has the same key.
fn parked_as(request: &WebhookRequest, position: usize) -> String {
    format!("webhook {}:{position}", hex::encode(Sha256::digest(&request.body)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Inbound;

    #[test]
    fn what_is_set_aside_is_known_by_its_bytes_and_its_place() {
        let request = |body: &'static [u8]| WebhookRequest { body: body.into(), ..WebhookRequest::default() };
        assert_eq!(parked_as(&request(b"{}"), 1), parked_as(&request(b"{}"), 1));
        assert_ne!(parked_as(&request(b"{}"), 1), parked_as(&request(b"{}"), 2));
        assert_ne!(parked_as(&request(b"{}"), 1), parked_as(&request(b"[]"), 1));
    }

    #[test]
    fn what_a_contact_wrote_stays_in_its_order() {
        let from = |source_id: &str| Update::Message(Box::new(Inbound { source_id: source_id.into(), ..Inbound::default() }));
        let lanes = lanes(vec![from("a"), from("b"), Update::TemplatesChanged, from("a")]);
        let mut places: Vec<Vec<usize>> = lanes.iter().map(|lane| lane.iter().map(|(position, _)| *position).collect()).collect();
        places.sort();
        assert_eq!(places, [vec![0, 3], vec![1], vec![2]]);
    }
}
