//! Mail of the desk itself, such as transcripts: rows that wait for the daemon's relay, handed in one after the other.
//!
//! What customers and agents write to each other goes through the channels; this is what the desk says in its own name. A mail
//! may carry what opens an account, so its text is sealed until it is sent.
use crate::channel::{ChannelError, MailRelay, MailSecurity};
use crate::db::Db;
use crate::outbox::{self, Flow, Queue};
use crate::secret::Vault;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use entity::mail;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveValue, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long the relay is tried.
const GIVEN_UP_AFTER: chrono::Duration = chrono::Duration::days(3);
/// The context under which texts are sealed.
const BODY: &str = "mails.body";
/// How long to wait before the loop is begun again after the database failed.
const BEGIN_AGAIN: Duration = Duration::from_secs(5);

/// A mail to one person.
#[derive(Clone, Debug)]
pub struct Mail {
    /// In whose name; 0 for what concerns no account.
    pub account_id: i64,
    /// What it tells of whom: the same key again is the same mail, and is sent once.
    pub key: String,
    /// To whom.
    pub recipient: String,
    /// What it is about.
    pub subject: String,
    /// Plain text.
    pub body: String,
    /// What its header says beside.
    pub headers: Headers,
}

/// What the header of a mail says beside recipient and subject; what is missing is the desk's own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Headers {
    /// The name of whoever writes.
    pub sender_name: Option<String>,
    /// Where answers go.
    pub reply_to: Option<String>,
    /// Its Message-ID without the part from the `@` on.
    pub message_id: Option<String>,
    /// What it belongs to, in the same form.
    pub in_reply_to: Option<String>,
}

/// What the writer needs to leave mails in its transactions.
#[derive(Clone)]
pub struct Postroom {
    /// Seals their texts.
    pub vault: Vault,
    /// Where links in mails lead; none where no mail is sent.
    pub desk_url: Option<Arc<str>>,
}

/// Takes mails, and hands them to the relay.
#[derive(Clone)]
pub struct Mailer {
    db: Db,
    relay: Option<Arc<MailRelay>>,
    vault: Vault,
    /// The part after the `@` of addresses of our own.
    domain: Arc<str>,
    bell: Arc<Notify>,
    cancelled: CancellationToken,
    /// Cuts off what is being sent.
    cut: CancellationToken,
    tasks: TaskTracker,
}

impl Mailer {
    /// Without a relay nothing can be sent.
    pub fn new(db: Db, relay: Option<Arc<MailRelay>>, vault: Vault, public_url: &str) -> Self {
        let host = reqwest::Url::parse(public_url).ok().and_then(|url| url.host_str().map(str::to_owned));
        let domain = host.unwrap_or_else(|| "localhost".into()).into();
        let (cancelled, cut) = (CancellationToken::new(), CancellationToken::new());
        Mailer { db, relay, vault, domain, bell: Arc::default(), cancelled, cut, tasks: TaskTracker::new() }
    }

    /// Whether mails can be sent at all.
    pub fn has_relay(&self) -> bool {
        self.relay.is_some()
    }

    /// Stores a mail; it is sent once `db` has committed and [`Mailer::ring`] was called, or a little later.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn queue(&self, db: &impl ConnectionTrait, mail: Mail) -> Result<(), DbErr> {
        insert(db, &self.vault, vec![mail], entity::now()).await
    }

    /// Something waits.
    pub fn ring(&self) {
        self.bell.notify_one();
    }

    /// Begins to send, with what an earlier run has left.
    pub fn start(&self, pool: &tokio::runtime::Handle) {
        let Some(relay) = self.relay.clone() else { return };
        let mailer = self.clone();
        self.tasks.spawn_on(async move { mailer.send_again_and_again(relay).await }, pool);
    }

    /// Ends; returns when what was begun is finished. A relay that has not answered by the deadline is left, and asked again
    /// after the next start.
    pub async fn stop(&self, deadline: Instant) {
        outbox::stop(&self.tasks, &self.cancelled, &self.cut, deadline).await;
    }

    async fn send_again_and_again(&self, relay: Arc<MailRelay>) {
        while !self.cancelled.is_cancelled() {
            let waiting = Waiting {
                db: self.db.clone(),
                relay: relay.clone(),
                vault: self.vault.clone(),
                domain: self.domain.clone(),
                cut: self.cut.clone(),
            };
            if let Err(error) = outbox::drain(waiting, self.bell.clone(), self.cancelled.child_token()).await {
                tracing::error!(%error, "sending mail; begun again soon");
                tokio::select! {
                    () = self.cancelled.cancelled() => return,
                    () = tokio::time::sleep(BEGIN_AGAIN) => {}
                }
            }
        }
    }
}

/// Stores mails that are due then. One whose key waits already is the same mail.
///
/// # Errors
/// If the database fails.
pub async fn insert(db: &impl ConnectionTrait, vault: &Vault, mails: Vec<Mail>, due_at: DateTime<Utc>) -> Result<(), DbErr> {
    if mails.is_empty() {
        return Ok(());
    }
    let row = |mail: Mail| mail::ActiveModel {
        id: ActiveValue::NotSet,
        account_id: ActiveValue::Set(mail.account_id),
        key: ActiveValue::Set(mail.key),
        recipient: ActiveValue::Set(mail.recipient),
        subject: ActiveValue::Set(mail.subject),
        body: ActiveValue::Set(vault.seal(BODY, &mail.body)),
        headers: ActiveValue::Set(json!(mail.headers)),
        failures: ActiveValue::Set(0),
        due_at: ActiveValue::Set(due_at),
        last_error: ActiveValue::Set(None),
        given_up_at: ActiveValue::Set(None),
        created_at: ActiveValue::Set(entity::now()),
    };
    let once = OnConflict::column(mail::Column::Key).do_nothing().to_owned();
    mail::Entity::insert_many(mails.into_iter().map(row)).on_conflict(once).exec_without_returning(db).await.map(drop)
}

/// The rows that wait, as the loop sees them.
#[derive(Clone)]
struct Waiting {
    db: Db,
    relay: Arc<MailRelay>,
    vault: Vault,
    domain: Arc<str>,
    cut: CancellationToken,
}

#[async_trait]
impl Queue for Waiting {
    type Row = mail::Model;

    fn lane(row: &mail::Model) -> i64 {
        row.id
    }

    fn slots(&self) -> usize {
        1
    }

    async fn due(&self, busy: &[i64], now: DateTime<Utc>, limit: u64) -> Result<Vec<mail::Model>, DbErr> {
        mail::Entity::find()
            .filter(mail::Column::GivenUpAt.is_null())
            .filter(mail::Column::DueAt.lte(now))
            .filter(mail::Column::Id.is_not_in(busy.iter().copied()))
            .order_by_asc(mail::Column::DueAt)
            .limit(limit)
            .all(&self.db.read)
            .await
    }

    async fn next_due(&self, busy: &[i64]) -> Result<Option<DateTime<Utc>>, DbErr> {
        let free = mail::Column::Id.is_not_in(busy.iter().copied());
        let next = mail::Entity::find().filter(mail::Column::GivenUpAt.is_null()).filter(free).order_by_asc(mail::Column::DueAt);
        Ok(next.one(&self.db.read).await?.map(|row| row.due_at))
    }

    async fn work(&self, row: mail::Model) -> Flow {
        let sent = tokio::select! {
            sent = self.send(&row) => sent,
            () = self.cut.cancelled() => return Flow::Continue,
        };
        let noted = match sent {
            Ok(()) => mail::Entity::delete_by_id(row.id).exec(&self.db.write).await.map(drop),
            Err(error) => self.note(&row, &error).await,
        };
        match noted {
            Ok(()) => Flow::Continue,
            Err(error) => Flow::End(ChannelError::temporary(format!("noting what became of mail {}: {error}", row.id))),
        }
    }
}

impl Waiting {
    async fn note(&self, row: &mail::Model, error: &ChannelError) -> Result<(), DbErr> {
        let (now, failures) = (entity::now(), row.failures.saturating_add(1));
        let is_final = matches!(error, ChannelError::Rejected(_));
        let later = outbox::later(failures, None, row.created_at, GIVEN_UP_AFTER, now).filter(|_| !is_final);
        tracing::warn!(mail.id = row.id, mail.failures = failures, given_up = later.is_none(), %error, "a mail was not taken by the relay");
        mail::Entity::update_many()
            .col_expr(mail::Column::Failures, Expr::value(failures))
            .col_expr(mail::Column::LastError, Expr::value(error.to_string()))
            .col_expr(mail::Column::DueAt, Expr::value(later.unwrap_or(now)))
            .col_expr(mail::Column::GivenUpAt, Expr::value(later.is_none().then_some(now)))
            .filter(mail::Column::Id.eq(row.id))
            .exec(&self.db.write)
            .await
            .map(drop)
    }

    async fn send(&self, row: &mail::Model) -> Result<(), ChannelError> {
        // A row of an earlier version is not sealed.
        let body = self.vault.open(BODY, &row.body).map_or_else(|_| row.body.clone(), |body| body.expose().to_owned());
        let letter = letter(&self.relay, &self.domain, row, body).map_err(ChannelError::Rejected)?;
        let transport = transport(&self.relay).map_err(|error| ChannelError::temporary(error.to_string()))?;
        match transport.send(letter).await {
            Ok(_) => Ok(()),
            // What the relay thinks of us may change; what it thinks of this mail does not.
            Err(error) if error.is_permanent() => Err(ChannelError::Rejected(error.to_string())),
            Err(error) => Err(ChannelError::temporary(error.to_string())),
        }
    }
}

fn transport(relay: &MailRelay) -> Result<AsyncSmtpTransport<Tokio1Executor>, lettre::transport::smtp::Error> {
    let tls = match relay.security {
        MailSecurity::None => Tls::None,
        MailSecurity::Starttls => Tls::Required(TlsParameters::new(relay.host.clone())?),
        MailSecurity::Tls => Tls::Wrapper(TlsParameters::new(relay.host.clone())?),
    };
    let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&relay.host).port(relay.port).tls(tls);
    if let Some(name) = relay.username.clone().filter(|name| !name.is_empty()) {
        let password = relay.password.as_ref().map(|password| password.expose().to_owned()).unwrap_or_default();
        transport = transport.credentials(Credentials::new(name, password));
    }
    Ok(transport.build())
}

/// The Message-ID is always the same, so that a mail handed in twice is shown once.
fn letter(relay: &MailRelay, domain: &str, row: &mail::Model, body: String) -> Result<Message, String> {
    let sender = relay.from.clone().unwrap_or_else(|| format!("konversio@{domain}"));
    let mut sender: Mailbox = sender.parse().map_err(|error| format!("mail.from {sender:?} is no address: {error}"))?;
    // A row of an earlier version has none.
    let headers: Headers = serde_json::from_value(row.headers.clone()).unwrap_or_default();
    sender.name = headers.sender_name.or(sender.name);
    let recipient: Mailbox = row.recipient.parse().map_err(|error| format!("{:?} is no address: {error}", row.recipient))?;
    let id = headers.message_id.unwrap_or_else(|| format!("mail/{}", row.id));
    let mut letter = Message::builder()
        .from(sender)
        .to(recipient)
        .subject(row.subject.as_str())
        .message_id(Some(format!("<{id}@{domain}>")))
        .header(ContentType::TEXT_PLAIN);
    if let Some(address) = headers.reply_to {
        letter = letter.reply_to(address.parse().map_err(|error| format!("Reply-To {address:?} is no address: {error}"))?);
    }
    if let Some(id) = headers.in_reply_to.map(|id| format!("<{id}@{domain}>")) {
        letter = letter.in_reply_to(id.clone()).references(id);
    }
    letter.body(body).map_err(|error| error.to_string())
}
