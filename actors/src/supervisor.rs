//! Compares the inboxes that should run with those that do, and makes them agree. It looks at state, never at events, so a
//! lost hint costs seconds and not an inbox.
use crate::catalog::{Catalog, Inbox};
use crate::inbox::{Apply, InboxActor, Lifeline, Stop, Surroundings};
use actix::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

const TICK: Duration = Duration::from_secs(30);

/// Starts, reconfigures, stops and replaces inbox actors.
pub struct Supervisor {
    running: HashMap<i64, Running>,
    /// Inboxes whose last session has not ended yet: until then none of them begins another, nor does one with the same account at
    /// the provider.
    leaving: HashMap<i64, Running>,
    /// Set once everything ends.
    stops: bool,
    catalog: Catalog,
    surroundings: Surroundings,
}

struct Running {
    actor: Addr<InboxActor>,
    inbox: Arc<Inbox>,
    lifeline: Lifeline,
}

/// What is to be done with one inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// It should run and does not.
    Start(i64),
    /// Something of it differs.
    Apply(i64),
    /// It should not run and does.
    Stop(i64),
}

/// What a running inbox is compared by: equal forms need nothing.
pub fn plan<T: PartialEq>(running: &HashMap<i64, T>, wanted: &HashMap<i64, T>) -> Vec<Step> {
    let stops = running.keys().filter(|id| !wanted.contains_key(id)).map(|id| Step::Stop(*id));
    let others = wanted.iter().filter_map(|(id, form)| match running.get(id) {
        None => Some(Step::Start(*id)),
        Some(before) if before != form => Some(Step::Apply(*id)),
        Some(_) => None,
    });
    let mut steps: Vec<Step> = stops.chain(others).collect();
    steps.sort_unstable();
    steps
}

/// Make what runs agree with the catalog; answered when every change is on its way.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Reconcile;

/// The actor of an inbox; none if it does not run.
#[derive(Message)]
#[rtype(result = "Option<Addr<InboxActor>>")]
pub struct Find(pub i64);

/// Whether a session of an inbox runs, or has not ended yet.
#[derive(Message)]
#[rtype(result = "bool")]
pub struct Runs(pub i64);

/// End all sessions and begin none; answered when they have ended.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StopAll;

impl Supervisor {
    /// With nothing running.
    pub fn new(catalog: Catalog, surroundings: Surroundings) -> Self {
        Supervisor { running: HashMap::new(), leaving: HashMap::new(), stops: false, catalog, surroundings }
    }

    fn reconcile(&mut self, ctx: &mut Context<Self>) {
        if self.stops {
            return;
        }
        // One that died is replaced, once its session has ended.
        let died: Vec<i64> = self.running.iter().filter(|(_, running)| !running.actor.connected()).map(|(id, _)| *id).collect();
        for id in died {
            tracing::error!(inbox.id = id, "the inbox's actor broke down (a bug: its panic is in the log) and is replaced");
            self.leave(id, ctx);
        }
        let catalog = self.catalog.now();
        let leaving: Vec<&str> = self.leaving.values().filter_map(|leaving| leaving.inbox.row.channel_key.as_deref()).collect();
        let is_held = |inbox: &Inbox| {
            let key = inbox.row.channel_key.as_deref();
            self.leaving.contains_key(&inbox.row.id) || key.is_some_and(|key| leaving.contains(&key))
        };
        let may_run = |inbox: &&Arc<Inbox>| inbox.row.enabled && (self.running.contains_key(&inbox.row.id) || !is_held(inbox));
        let wanted: HashMap<i64, Arc<Inbox>> = catalog.inboxes().filter(may_run).map(|inbox| (inbox.row.id, inbox.clone())).collect();
        let form = |inbox: &Inbox| (inbox.row.clone(), inbox.settings.clone(), inbox.members.clone());
        let running: HashMap<i64, _> = self.running.iter().map(|(id, running)| (*id, form(&running.inbox))).collect();
        let wanted_forms = wanted.iter().map(|(id, inbox)| (*id, form(inbox))).collect();
        for step in plan(&running, &wanted_forms) {
            match step {
                Step::Start(id) => {
                    if let Some(inbox) = wanted.get(&id) {
                        let lifeline = Lifeline::default();
                        let actor = InboxActor::new(inbox.clone(), self.surroundings.clone(), lifeline.clone()).start();
                        self.running.insert(id, Running { actor, inbox: inbox.clone(), lifeline });
                    }
                }
                Step::Apply(id) => {
                    if let (Some(running), Some(inbox)) = (self.running.get_mut(&id), wanted.get(&id)) {
                        running.inbox = inbox.clone();
                        running.actor.do_send(Apply(inbox.clone()));
                    }
                }
                Step::Stop(id) => {
                    tracing::info!(inbox.id = id, "the inbox is switched off");
                    self.leave(id, ctx);
                }
            }
        }
        metrics::gauge!("konversio_inboxes").set(u32::try_from(self.running.len()).unwrap_or(u32::MAX));
    }

    /// Ends what runs of an inbox. Two sessions of one inbox would send the same message, so whatever is wanted of it meanwhile
    /// begins when the last one has ended.
    fn leave(&mut self, id: i64, ctx: &mut Context<Self>) {
        let Some(running) = self.running.remove(&id) else { return };
        running.actor.do_send(Stop);
        let lifeline = running.lifeline.clone();
        self.leaving.insert(id, running);
        let ended = async move { lifeline.end().await };
        ctx.spawn(ended.into_actor(self).map(move |(), actor, ctx| {
            actor.leaving.remove(&id);
            actor.surroundings.wakes.outgoing.forget(&id);
            actor.surroundings.wakes.downloads.forget(&id);
            actor.reconcile(ctx);
        }));
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.reconcile(ctx);
        ctx.run_interval(TICK, |actor, ctx| {
            let catalog = actor.catalog.clone();
            let reloading = async move { catalog.reload().await };
            ctx.spawn(reloading.into_actor(actor).map(|reloaded, actor, ctx| match reloaded {
                Ok(()) => actor.reconcile(ctx),
                Err(error) => tracing::error!(%error, "the catalog could not be renewed; what runs goes on"),
            }));
        });
    }
}

impl Handler<Reconcile> for Supervisor {
    type Result = ();

    fn handle(&mut self, _: Reconcile, ctx: &mut Self::Context) {
        self.reconcile(ctx);
    }
}

impl Handler<Find> for Supervisor {
    type Result = Option<Addr<InboxActor>>;

    fn handle(&mut self, Find(id): Find, _: &mut Self::Context) -> Self::Result {
        self.running.get(&id).map(|running| running.actor.clone())
    }
}

impl Handler<Runs> for Supervisor {
    type Result = bool;

    fn handle(&mut self, Runs(id): Runs, _: &mut Self::Context) -> Self::Result {
        self.running.contains_key(&id) || self.leaving.contains_key(&id)
    }
}

impl Handler<StopAll> for Supervisor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: StopAll, _: &mut Self::Context) -> Self::Result {
        self.stops = true;
        let running = self.running.drain().map(|(_, running)| {
            running.actor.do_send(Stop);
            running.lifeline
        });
        let lifelines: Vec<Lifeline> = running.chain(self.leaving.values().map(|leaving| leaving.lifeline.clone())).collect();
        Box::pin(async move {
            futures_util::future::join_all(lifelines.iter().map(Lifeline::end)).await;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_touched() {
        let map = |rows: &[(i64, &'static str)]| rows.iter().copied().collect::<HashMap<_, _>>();
        for (running, wanted, steps) in [
            (map(&[]), map(&[]), vec![]),
            (map(&[]), map(&[(1, "a")]), vec![Step::Start(1)]),
            (map(&[(1, "a")]), map(&[(1, "a")]), vec![]),
            (map(&[(1, "a"), (2, "b")]), map(&[(1, "a"), (2, "c")]), vec![Step::Apply(2)]),
            (map(&[(1, "a")]), map(&[]), vec![Step::Stop(1)]),
            (map(&[(1, "a"), (2, "b")]), map(&[(2, "c"), (3, "d")]), vec![Step::Start(3), Step::Apply(2), Step::Stop(1)]),
        ] {
            assert_eq!(plan(&running, &wanted), steps, "{running:?} to {wanted:?}");
        }
    }
}
