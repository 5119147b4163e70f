//! Fetches the templates of an inbox on behalf of its actor, which goes on meanwhile.
use super::InboxActor;
use crate::templates;
use actix::prelude::*;

/// Whether templates are being fetched.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fetching {
    No,
    Yes,
    /// And they have changed since it began.
    AndAgain,
}

impl InboxActor {
    /// Fetches the templates; one at a time, and once more if they change meanwhile.
    pub(super) fn fetch_templates(&mut self, ctx: &mut Context<Self>) {
        if self.channel.templates().is_none() {
            return;
        }
        if self.templates != Fetching::No {
            self.templates = Fetching::AndAgain;
            return;
        }
        self.templates = Fetching::Yes;
        let (channel, db, catalog) = (self.channel.clone(), self.surroundings.db.clone(), self.surroundings.catalog.clone());
        let inbox_id = self.inbox.row.id;
        let fetching = self.surroundings.pool.spawn(async move {
            match templates::synchronize(channel.as_ref(), &db, inbox_id).await {
                Ok(false) => {}
                Ok(true) => {
                    if let Err(error) = catalog.reload().await {
                        tracing::error!(%error, "the catalog could not be renewed; new templates are shown a little later");
                    }
                }
                Err(error) => tracing::warn!(inbox.id = inbox_id, %error, "the templates could not be fetched; they are again later"),
            }
        });
        ctx.spawn(fetching.into_actor(self).map(|_, actor, ctx| {
            if std::mem::replace(&mut actor.templates, Fetching::No) == Fetching::AndAgain {
                actor.fetch_templates(ctx);
            }
        }));
    }
}
