//! Starts the actors in order, and stops them.
use crate::addresses::Addresses;
use crate::assignment::{self, AssignmentActor};
use crate::catalog::Catalog;
use crate::channel::Tools;
use crate::contacts::{Contacts, Turns};
use crate::conversation;
use crate::conversations::Conversations;
use crate::db::Db;
use crate::egress::Egress;
use crate::event_log::{EventLog, Kept};
use crate::files::Files;
use crate::hub::Hub;
use crate::inbox::{self, Troubled};
use crate::mailer::{Mailer, Postroom};
use crate::participants::Participants;
use crate::persistence::{CountUp, Flush, PersistenceActor, TellAnnouncements};
use crate::presence::Presence;
use crate::schedule::ScheduleActor;
use crate::secret::Vault;
use crate::session::{Pictures, Unsettled};
use crate::standings::Standings;
use crate::store::{StoreError, Writer};
use crate::supervisor::{StopAll, Supervisor};
use crate::unregistrations::Unregistrations;
use crate::wake::Wakes;
use crate::webhooks::{self, Webhooks};
use crate::wire::Wire;
use actix::prelude::*;
use sea_orm::DbErr;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// What the actors are made of.
pub struct Parts {
    /// The database.
    pub db: Db,
    /// Its address, for the writer's own connection.
    pub database_url: String,
    /// Accounts, users, inboxes.
    pub catalog: Catalog,
    /// Opens and seals secrets.
    pub vault: Vault,
    /// For channels.
    pub tools: Tools,
    /// The guarded way out.
    pub egress: Egress,
    /// Where sessions and deliveries run.
    pub pool: Handle,
    /// How long a delivery is tried.
    pub deliveries_given_up_after: chrono::Duration,
    /// How much of the log of events is kept.
    pub events_kept: Kept,
}

/// What HTTP may talk to.
#[derive(Clone)]
pub struct Handles {
    /// The database.
    pub db: Db,
    /// Accounts, users, inboxes.
    pub catalog: Catalog,
    /// Opens and seals secrets.
    pub vault: Vault,
    /// Stored files.
    pub files: Files,
    /// The forms of events and what they carry.
    pub wire: Wire,
    /// Sockets.
    pub hub: Hub,
    /// Who is there.
    pub presence: Presence,
    /// Conversations.
    pub conversations: Addr<Conversations>,
    /// Which conversations have participants.
    pub participants: Participants,
    /// Whose conversation a number is.
    pub addresses: Addresses,
    /// Contacts.
    pub contacts: Contacts,
    /// How many conversations and contacts there are.
    pub standings: Standings,
    /// Running inboxes.
    pub supervisor: Addr<Supervisor>,
    /// Which of them need a person.
    pub troubled: Troubled,
    /// For channels that are tried before an inbox is stored.
    pub tools: Tools,
    /// Providers that are to be told that an inbox is gone.
    pub unregistrations: Unregistrations,
    /// Deliveries.
    pub webhooks: Webhooks,
    /// Mail of the desk itself.
    pub mailer: Mailer,
    /// The guarded way out, for checking addresses.
    pub egress: Egress,
    /// What rings when somebody may wait or be free.
    pub wakes: Wakes,
    persistence: Addr<PersistenceActor>,
}

/// Starts all actors on the current arbiter.
///
/// # Errors
/// If the database cannot be read.
pub async fn start(parts: Parts) -> Result<Handles, DbErr> {
    let Parts { db, database_url, catalog, vault, tools, egress, pool, deliveries_given_up_after, events_kept } = parts;
    let presence = Presence::new(catalog.clone());
    let files = tools.files.clone();
    let wire = Wire::new(files.clone(), presence.clone());
    let (wakes, webhooks) = (Wakes::default(), Webhooks::default());
    let participants = Participants::load(&db).await?;
    let postroom = Postroom { vault: vault.clone(), desk_url: tools.relay.as_ref().map(|_| tools.public_url.as_str().into()) };
    let writer = Writer::open(db.writer(&database_url).await?, catalog.clone(), participants.clone(), postroom).await?;
    // After the writer: a killed daemon's last commit has ended by then.
    let event_log = EventLog::open(db.clone()).await?;
    let hub = Hub::new(catalog.clone(), wire.clone(), event_log.clone(), event_log.newest().await?);
    actix::spawn(hub.clone().keep_up());
    let mailer = Mailer::new(db.clone(), tools.relay.clone(), vault.clone(), &tools.public_url);
    mailer.start(&pool);
    let hears = webhooks.clone();
    let standings = Standings::default();
    let persistence = PersistenceActor::new(writer, hub.clone(), standings.clone(), Arc::new(move |event| hears.hear(event))).start();
    // What was announced before a stop.
    persistence.do_send(TellAnnouncements);
    let surroundings = conversation::Surroundings {
        db: db.clone(),
        catalog: catalog.clone(),
        persistence: persistence.clone(),
        hub: hub.clone(),
        wakes: wakes.clone(),
        public_url: tools.public_url.as_str().into(),
    };
    let conversations = Conversations::new(surroundings).start();
    webhooks.start(webhooks::Surroundings {
        db: db.clone(),
        catalog: catalog.clone(),
        wire: wire.clone(),
        egress: egress.clone(),
        persistence: persistence.clone(),
        conversations: conversations.clone(),
        given_up_after: deliveries_given_up_after,
        pool: pool.clone(),
    });
    AssignmentActor::new(assignment::Surroundings {
        db: db.clone(),
        catalog: catalog.clone(),
        presence: presence.clone(),
        conversations: conversations.clone(),
        wakes: wakes.clone(),
    })
    .start();
    let addresses = Addresses::default();
    let contacts = Contacts {
        db: db.clone(),
        persistence: persistence.clone(),
        conversations: conversations.clone(),
        files: files.clone(),
        turns: Turns::default(),
        addresses: addresses.clone(),
    };
    ScheduleActor {
        db: db.clone(),
        catalog: catalog.clone(),
        conversations: conversations.clone(),
        standings: standings.clone(),
        event_log,
        events_kept,
        contacts: contacts.clone(),
        presence: presence.clone(),
        mailer: mailer.clone(),
    }
    .start();
    let troubled = Troubled::default();
    let surroundings = inbox::Surroundings {
        db: db.clone(),
        catalog: catalog.clone(),
        troubled: troubled.clone(),
        tools: tools.clone(),
        conversations: conversations.clone(),
        wakes: wakes.clone(),
        unsettled: Unsettled::default(),
        contacts: contacts.clone(),
        introductions: Turns::default(),
        pictures: Pictures::default(),
        pool: pool.clone(),
    };
    let supervisor = Supervisor::new(catalog.clone(), surroundings).start();
    let unregistrations = Unregistrations::new(db.clone(), vault.clone(), tools.clone(), supervisor.clone());
    unregistrations.start(&pool);
    Ok(Handles {
        db,
        catalog,
        vault,
        files,
        wire,
        hub,
        presence,
        conversations,
        participants,
        addresses,
        contacts,
        standings,
        supervisor,
        troubled,
        tools,
        unregistrations,
        webhooks,
        mailer,
        egress,
        wakes,
        persistence,
    })
}

impl Handles {
    /// What was announced in a transaction that has committed is told now.
    pub fn tell_announcements(&self) {
        self.persistence.do_send(TellAnnouncements);
    }

    /// Begins nothing any more; returns when sessions and deliveries have ended. What another side has not answered by the
    /// deadline is left, and taken up after the next start.
    pub async fn stop(&self, deadline: Instant) {
        let _ = tokio::join!(
            self.supervisor.send(StopAll),
            self.webhooks.stop(deadline),
            self.mailer.stop(deadline),
            self.unregistrations.stop(deadline)
        );
    }

    /// Has an account counted, so that [`Handles::standings`] knows it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn count(&self, account_id: i64) -> Result<(), StoreError> {
        self.persistence.send(CountUp(account_id)).await.unwrap_or(Err(StoreError::Unanswered))
    }

    /// Returns when everything that was accepted is committed.
    pub async fn flush(&self) {
        let _ = self.persistence.send(Flush).await;
    }
}
