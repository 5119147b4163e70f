//! What is due by the clock: snoozed conversations that wake, forgotten ones that are resolved, answers that were not seen, and
//! visitors and rows that nobody will ask for again.
use crate::catalog::Catalog;
use crate::contacts::Contacts;
use crate::continuity;
use crate::conversation::rules::{By, Change, LabelEdit};
use crate::conversation::{Act, Command, Step};
use crate::conversations::{Conversations, Tell};
use crate::db::Db;
use crate::event_log::{EventLog, Kept};
use crate::mailer::Mailer;
use crate::message::Key;
use crate::presence::Presence;
use crate::standings::Standings;
use actix::prelude::*;
use chrono::{DateTime, Utc};
use entity::conversation::Status;
use entity::delivery::DeliveryStatus;
use entity::{account, contact_inbox, conversation, delivery, delivery_attempt, early_amendment, idempotency_key, session};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ActiveEnum, ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::Value;
use std::time::Duration;

const TICK: Duration = Duration::from_secs(10);
/// How many conversations of an account are resolved in one tick; the others follow in the next ones.
const RESOLVED_AT_ONCE: u64 = 100;
/// Old rows are removed once in so many ticks, so many at a time.
const TICKS_BETWEEN_CLEANINGS: u32 = 30;
const CLEANED_AT_ONCE: u64 = 5_000;
/// How long finished deliveries can be looked at and repeated.
const DELIVERIES_KEPT: chrono::Duration = chrono::Duration::days(14);
const IDEMPOTENCY_KEYS_KEPT: chrono::Duration = chrono::Duration::hours(24);
/// Longer than providers repeat what they could not hand over.
const EARLY_AMENDMENTS_KEPT: chrono::Duration = chrono::Duration::days(8);

/// The actor that looks at the clock.
#[derive(Clone)]
pub struct ScheduleActor {
    /// Reads, and removes old rows.
    pub db: Db,
    /// Which accounts have conversations resolved that nobody writes in.
    pub catalog: Catalog,
    /// Where conversations are woken.
    pub conversations: Addr<Conversations>,
    /// What is counted anew now and then, so that no mistake there stays.
    pub standings: Standings,
    /// The log of events.
    pub event_log: EventLog,
    /// How much of it is kept.
    pub events_kept: Kept,
    /// Removes visitors who never wrote.
    pub contacts: Contacts,
    /// Who is there and sees what is answered.
    pub presence: Presence,
    /// Takes what was not seen.
    pub mailer: Mailer,
}

impl Actor for ScheduleActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let schedule = self.clone();
        let ticking = async move {
            let mut ticks = 0_u32;
            loop {
                schedule.carry_out(ticks.is_multiple_of(TICKS_BETWEEN_CLEANINGS)).await;
                ticks = ticks.wrapping_add(1);
                tokio::time::sleep(TICK).await;
            }
        };
        ctx.spawn(ticking.into_actor(self));
    }
}

impl ScheduleActor {
    /// Everything that is due; what fails is tried again with the next tick.
    async fn carry_out(&self, cleans: bool) {
        let ScheduleActor { db, catalog, conversations, contacts, presence, mailer, .. } = self;
        failed("waking snoozed conversations", wake_snoozed(db, conversations).await);
        failed("resolving forgotten conversations", resolve_forgotten(db, catalog, conversations).await);
        failed("mailing what visitors have not seen", continuity::follow_up(db, presence, conversations, mailer).await);
        if cleans {
            let now = entity::now();
            self.standings.clear();
            failed("removing old rows", clean(db, now).await);
            failed("removing visitors who never wrote", contacts.forget_passers_by(catalog, presence, now).await);
            failed("trimming the log of events", self.event_log.trim(self.events_kept, now).await);
        }
    }
}

fn failed<E: std::fmt::Display>(what: &str, outcome: Result<(), E>) {
    if let Err(error) = outcome {
        tracing::error!(%error, "{what}");
    }
}

async fn wake_snoozed(db: &Db, conversations: &Addr<Conversations>) -> Result<(), DbErr> {
    let due = conversation::Entity::find()
        // Written out as in the index of those: SQLite does not find it for a bound value.
        .filter(Expr::col(conversation::Column::Status).eq(Expr::Constant(Status::Snoozed.to_value().into())))
        .filter(conversation::Column::SnoozedUntil.lte(entity::now()))
        .limit(100);
    for conversation in due.all(&db.read).await? {
        let Some(key) = key(db, &conversation).await? else { continue };
        let change = Change::Status { status: Some(Status::Open), snoozed_until: None };
        let wake = Command::Change { conversation_id: conversation.id, by: By::System, change };
        if let Ok(Err(error)) = conversations.send(Tell { key, command: wake }).await {
            tracing::warn!(conversation.id = conversation.id, %error, "waking a snoozed conversation; tried again soon");
        }
    }
    Ok(())
}

async fn key(db: &Db, conversation: &conversation::Model) -> Result<Option<Key>, DbErr> {
    let identity = contact_inbox::Entity::find_by_id(conversation.contact_inbox_id).one(&db.read).await?;
    Ok(identity.map(|identity| Key { inbox_id: identity.inbox_id, source_id: identity.source_id }))
}

/// What an account wants to happen to conversations in which nothing happens any more (contract, section 2, Account).
#[derive(Debug, PartialEq, Eq)]
struct Forgetting {
    after: chrono::Duration,
    message: Option<String>,
    label: Option<String>,
    /// Those stay open whose contact waits for an answer.
    ignores_waiting: bool,
}

impl Forgetting {
    fn of(settings: &Value) -> Option<Self> {
        let text =
            |name: &str| settings.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let minutes = settings.get("auto_resolve_after").and_then(Value::as_i64).filter(|minutes| *minutes > 0)?;
        Some(Forgetting {
            after: chrono::Duration::try_minutes(minutes)?,
            message: text("auto_resolve_message"),
            label: text("auto_resolve_label"),
            ignores_waiting: settings.get("auto_resolve_ignore_waiting") == Some(&Value::Bool(true)),
        })
    }

    /// Says so to the contact, marks and resolves, unless something has happened meanwhile.
    fn act(&self, conversation_id: i64, quiet_since: DateTime<Utc>) -> Command {
        let mut steps = Vec::new();
        steps.extend(self.message.clone().map(Step::Template));
        let label = |title: String| Step::Change(Change::Labels(LabelEdit::Edit { add: vec![title.to_lowercase()], remove: Vec::new() }));
        steps.extend(self.label.clone().map(label));
        steps.push(Step::Change(Change::Status { status: Some(Status::Resolved), snoozed_until: None }));
        Command::Act(Box::new(Act { conversation_id, by: By::System, steps, quiet_since: Some(quiet_since), claim: None }))
    }
}

async fn resolve_forgotten(db: &Db, catalog: &Catalog, conversations: &Addr<Conversations>) -> Result<(), DbErr> {
    let catalog = catalog.now();
    for account in catalog.accounts().filter(|account| account.status == account::Status::Active) {
        let Some(forgetting) = Forgetting::of(&account.settings) else { continue };
        let Some(quiet_since) = entity::now().checked_sub_signed(forgetting.after) else { continue };
        let mut forgotten = conversation::Entity::find()
            .filter(conversation::Column::AccountId.eq(account.id))
            .filter(conversation::Column::Status.eq(Status::Open))
            .filter(conversation::Column::LastActivityAt.lt(quiet_since));
        if forgetting.ignores_waiting {
            forgotten = forgotten.filter(conversation::Column::WaitingSince.is_null());
        }
        let forgotten = forgotten.order_by_asc(conversation::Column::LastActivityAt).limit(RESOLVED_AT_ONCE);
        for conversation in forgotten.all(&db.read).await? {
            let Some(key) = key(db, &conversation).await? else { continue };
            let command = forgetting.act(conversation.id, quiet_since);
            if let Ok(Err(error)) = conversations.send(Tell { key, command }).await {
                tracing::warn!(conversation.id = conversation.id, %error, "resolving a forgotten conversation; tried again soon");
            }
        }
    }
    Ok(())
}

/// The newest row of a table stays, since the writer counts on from it.
async fn clean(db: &Db, now: DateTime<Utc>) -> Result<(), DbErr> {
    idempotency_key::Entity::delete_many()
        .filter(idempotency_key::Column::CreatedAt.lt(now - IDEMPOTENCY_KEYS_KEPT))
        .exec(&db.write)
        .await?;
    session::Entity::delete_many().filter(session::Column::ExpiresAt.lt(now)).exec(&db.write).await?;
    early_amendment::Entity::delete_many()
        .filter(early_amendment::Column::CreatedAt.lt(now - EARLY_AMENDMENTS_KEPT))
        .exec(&db.write)
        .await?;
    let finished: Vec<i64> = delivery::Entity::find()
        .select_only()
        .column(delivery::Column::Id)
        .filter(delivery::Column::Status.ne(DeliveryStatus::Queued))
        .filter(delivery::Column::FinishedAt.lt(now - DELIVERIES_KEPT))
        .filter(delivery::Column::Id.lt(newest_delivery(db).await?))
        .order_by_asc(delivery::Column::Id)
        .limit(CLEANED_AT_ONCE)
        .into_tuple()
        .all(&db.read)
        .await?;
    let newest_attempt: Option<i64> = delivery_attempt::Entity::find()
        .select_only()
        .column(delivery_attempt::Column::Id)
        .order_by_desc(delivery_attempt::Column::Id)
        .into_tuple()
        .one(&db.read)
        .await?;
    for ids in finished.chunks(500) {
        delivery_attempt::Entity::delete_many()
            .filter(delivery_attempt::Column::DeliveryId.is_in(ids.iter().copied()))
            .filter(delivery_attempt::Column::Id.lt(newest_attempt.unwrap_or(0)))
            .exec(&db.write)
            .await?;
        delivery::Entity::delete_many().filter(delivery::Column::Id.is_in(ids.iter().copied())).exec(&db.write).await?;
    }
    Ok(())
}

async fn newest_delivery(db: &Db) -> Result<i64, DbErr> {
    let newest = delivery::Entity::find().select_only().column(delivery::Column::Id).order_by_desc(delivery::Column::Id);
    Ok(newest.into_tuple::<i64>().one(&db.read).await?.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_account_says_when_conversations_are_forgotten() {
        for settings in [json!({}), json!({ "auto_resolve_after": null }), json!({ "auto_resolve_after": 0 }), json!(null)] {
            assert_eq!(Forgetting::of(&settings), None, "{settings}");
        }
        let settings = json!({ "auto_resolve_after": 30, "auto_resolve_message": " ", "auto_resolve_label": "Late",
            "auto_resolve_ignore_waiting": true });
        let expected =
            Forgetting { after: chrono::Duration::minutes(30), message: None, label: Some("Late".into()), ignores_waiting: true };
        assert_eq!(Forgetting::of(&settings), Some(expected));
    }
}
