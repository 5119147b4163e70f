//! One IMAP session: signs in, delivers what is new in INBOX, waits for more.
//!
//! The cursor is the highest UID that was dealt with, under one UIDVALIDITY (RFC 3501, 2.3.1.1). Whether a mail is seen or not says
//! nothing: people and other programs read the mailbox too. Without a cursor (the first session ever) the mails of the last two
//! days are delivered, so that connecting a mailbox neither floods the inbox with years of mail nor loses what came in while it
//! was being set up. When UIDVALIDITY has changed the cursor means nothing: the last seven days are delivered again, and the
//! Message-ID tells which of them are known. Until such a scan is through, the cursor says what it looks for, so that a session
//! that breaks in it neither starts over nor takes the whole mailbox for new.
//!
//! A mail is fetched without being marked, delivered, and only then marked as seen and passed by the cursor; whatever breaks
//! in between, it is fetched again. One that cannot be read, that is refused for good, or that cannot be fetched or stored again
//! and again, is parked and passed.
mod answers;
mod sign_in;

use super::EmailChannel;
use super::parse;
use super::stream::{Guarded, PATIENCE};
use crate::channel::{ChannelError, Inlet, SessionStatus};
use crate::message::{Inbound, Update};
use answers::{broken, closed, printable, receive, received, silent, verb};
use async_imap::Session;
use async_imap::imap_proto::{AttributeValue, MailboxDatum, Response, ResponseCode, Status};
use bytes::Bytes;
use chrono::{Days, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use std::sync::MutexGuard;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// The largest mail that is fetched, in bytes.
const MAIL_LIMIT: u32 = 40 << 20;
/// What an answer without a mail in it may hold, in bytes.
const ANSWER_LIMIT: usize = 4 << 20;
/// How long a whole mail may take.
const MAIL_PATIENCE: Duration = Duration::from_secs(600);
/// How often IDLE is renewed, and with it the mailbox looked at.
const IDLE_TIME: Duration = Duration::from_secs(300);
/// How often the mailbox is looked at where the server has no IDLE.
const POLL_TIME: Duration = Duration::from_secs(60);
/// How long parsing one mail may take.
const PARSE_TIME: Duration = Duration::from_secs(30);
/// After so many broken attempts to fetch one mail it is parked, and after so many to mark it, it stays unmarked.
const ATTEMPTS: u32 = 5;
/// After so many attempts to store one mail it is parked: with the pauses between, the database had half an hour to recover.
const STORING_ATTEMPTS: u32 = 12;

/// How far a mailbox was read.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Cursor {
    uidvalidity: u32,
    uid: u32,
    /// Set until the mails of some days were delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scan: Option<Scan>,
}

/// The mails that came on a day or later and were in the mailbox when the scan began.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Scan {
    since: NaiveDate,
    until: u32,
}

/// What can break again and again about one mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Fetch,
    Store,
    Mark,
}

/// The mail at which the last session broke, how often, and why; outlives sessions.
#[derive(Clone, Debug, Default)]
pub struct Unfinished {
    uidvalidity: u32,
    uid: u32,
    fetches: u32,
    stores: u32,
    marks: u32,
    reason: String,
}

/// Runs one session; returns only with an error.
///
/// # Errors
/// `NeedsAttention` when the server refuses the login, otherwise `Temporary`.
pub async fn run(channel: &EmailChannel, inlet: &Inlet) -> Result<(), ChannelError> {
    let mut mailbox = Mailbox::open(channel).await?;
    inlet.status(SessionStatus::Connected);
    let mut cursor = mailbox.start(inlet).await?;
    loop {
        for uid in mailbox.waiting(&cursor).await? {
            mailbox.take(uid, inlet).await?;
            cursor.uid = cursor.uid.max(uid);
            inlet.save_cursor(serde_json::json!(cursor)).await?;
        }
        if let Some(scan) = cursor.scan.take() {
            cursor.uid = cursor.uid.max(scan.until);
            inlet.save_cursor(serde_json::json!(cursor)).await?;
        } else if !mailbox.has_news {
            mailbox.wait().await?;
        }
    }
}

/// INBOX, selected.
struct Mailbox<'a> {
    channel: &'a EmailChannel,
    session: Session<Guarded>,
    uidvalidity: u32,
    /// What UID the next mail will have, as SELECT told.
    uidnext: Option<u32>,
    has_idle: bool,
    /// Whether the server told of mail since the last search.
    has_news: bool,
}

impl<'a> Mailbox<'a> {
    async fn open(channel: &'a EmailChannel) -> Result<Self, ChannelError> {
        let session = sign_in::sign_in(channel).await?;
        let mut mailbox = Mailbox { channel, session, uidvalidity: 0, uidnext: None, has_idle: false, has_news: false };
        let mut has_idle = false;
        let see = |response: &Response<'_>| {
            if let Response::Capabilities(capabilities) = response {
                let idle = async_imap::imap_proto::Capability::Atom("IDLE".into());
                has_idle = capabilities.contains(&idle);
            }
        };
        mailbox.command("CAPABILITY", PATIENCE, ANSWER_LIMIT, see).await?;
        let (mut uidvalidity, mut uidnext) = (0, None);
        let see = |response: &Response<'_>| {
            if let Response::Data { status: Status::Ok, outcome } = response {
                match outcome.code {
                    Some(ResponseCode::UidValidity(number)) => uidvalidity = number,
                    Some(ResponseCode::UidNext(number)) => uidnext = Some(number),
                    _ => {}
                }
            }
        };
        mailbox.command("SELECT INBOX", PATIENCE, ANSWER_LIMIT, see).await?;
        Ok(Mailbox { uidvalidity, uidnext, has_idle, ..mailbox })
    }

    /// Where the cursor is. One that begins is saved at once, even in an empty mailbox: what comes while the daemon is away is
    /// new, however long that is.
    async fn start(&mut self, inlet: &Inlet) -> Result<Cursor, ChannelError> {
        let known = inlet.cursor().await?.and_then(|cursor| serde_json::from_value::<Cursor>(cursor).ok());
        let days = match known {
            Some(cursor) if cursor.uidvalidity == self.uidvalidity => return Ok(cursor),
            Some(_) => 7,
            None => 2,
        };
        let since = Utc::now().date_naive().checked_sub_days(Days::new(days)).unwrap_or_default();
        let until = match self.uidnext {
            Some(next) => next.saturating_sub(1),
            None => self.search("UID *").await?.into_iter().max().unwrap_or(0),
        };
        let cursor = Cursor { uidvalidity: self.uidvalidity, uid: 0, scan: Some(Scan { since, until }) };
        inlet.save_cursor(serde_json::json!(cursor)).await?;
        Ok(cursor)
    }

    /// The mails behind the cursor that are to be delivered.
    async fn waiting(&mut self, cursor: &Cursor) -> Result<Vec<u32>, ChannelError> {
        let next = cursor.uid.saturating_add(1);
        let mut waiting = match cursor.scan {
            Some(Scan { until, .. }) if until < next => Vec::new(),
            Some(Scan { since, until }) => self.search(&format!("UID {next}:{until} SINCE {}", since.format("%-d-%b-%Y"))).await?,
            None => {
                self.has_news = false;
                self.search(&format!("UID {next}:*")).await?
            }
        };
        // The range n:* always holds the newest mail, even when its UID is below n.
        let until = cursor.scan.map_or(u32::MAX, |scan| scan.until);
        waiting.retain(|uid| (next..=until).contains(uid));
        Ok(waiting)
    }

    /// Fetches, delivers and marks one mail.
    async fn take(&mut self, uid: u32, inlet: &Inlet) -> Result<(), ChannelError> {
        let key = format!("imap:{}:{uid}", self.uidvalidity);
        if self.attempt(uid, Step::Fetch) > ATTEMPTS {
            let cause = self.unfinished().reason.clone();
            let reason = format!("fetching this mail failed {ATTEMPTS} times, at last because {cause}; it is still in the mailbox");
            inlet.park(&key, &reason, Bytes::new()).await?;
            self.finish();
            return Ok(());
        }
        let Some((raw, size)) = self.fetch(uid).await.map_err(|error| self.noted(error))? else {
            self.finish();
            return Ok(());
        };
        let own_address = self.channel.settings.email.clone();
        let too_large = Some(size).filter(|size| *size > MAIL_LIMIT);
        let stored = match read(raw.clone(), own_address, too_large).await {
            Err(reason) => Err(reason),
            Ok(inbound) => {
                let attempts = self.attempt(uid, Step::Store);
                match inlet.deliver(Update::Message(Box::new(inbound))).await {
                    Ok(()) => Ok(()),
                    Err(ChannelError::Rejected(reason)) => Err(reason),
                    Err(error) if attempts >= STORING_ATTEMPTS => {
                        Err(format!("storing this mail failed {attempts} times, at last because {error}"))
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        if let Err(reason) = stored {
            inlet.park(&key, &reason, raw).await?;
            self.finish();
            return Ok(());
        }
        // What was not read whole stays unread, for a person to open it in the mailbox.
        if too_large.is_none() && self.attempt(uid, Step::Mark) <= ATTEMPTS {
            self.mark_seen(uid).await?;
        }
        self.finish();
        Ok(())
    }

    /// The mail, or its head where the mail is too large, and its size; `None` when it is gone.
    async fn fetch(&mut self, uid: u32) -> Result<Option<(Bytes, u32)>, ChannelError> {
        let mut size = None;
        let see = |response: &Response<'_>| {
            if let Response::Fetch(_, attributes) = response
                && attributes.contains(&AttributeValue::Uid(uid))
            {
                size = attributes.iter().find_map(|attribute| match attribute {
                    AttributeValue::Rfc822Size(bytes) => Some(*bytes),
                    _ => None,
                });
            }
        };
        self.command(&format!("UID FETCH {uid} (UID RFC822.SIZE)"), PATIENCE, ANSWER_LIMIT, see).await?;
        let Some(size) = size else { return self.gone(uid, "size").await };
        let section = if size > MAIL_LIMIT { "HEADER" } else { "" };
        let mut raw = None;
        let see = |response: &Response<'_>| {
            if let Response::Fetch(_, attributes) = response
                && attributes.contains(&AttributeValue::Uid(uid))
            {
                let data = attributes.iter().find_map(|attribute| match attribute {
                    AttributeValue::BodySection { data: Some(data), .. } => Some(Bytes::copy_from_slice(data)),
                    _ => None,
                });
                raw = data.or(raw.take());
            }
        };
        // Some servers are wrong about the size by the bytes of line ends.
        let allowance = if section.is_empty() { usize::try_from(size).unwrap_or(0) / 8 * 9 + ANSWER_LIMIT } else { ANSWER_LIMIT };
        self.command(&format!("UID FETCH {uid} (UID BODY.PEEK[{section}])"), MAIL_PATIENCE, allowance, see).await?;
        match raw {
            Some(raw) => Ok(Some((raw, size))),
            None => self.gone(uid, "body").await,
        }
    }

    /// Makes sure that a mail is gone of which the server did not tell something: passed by mistake, it would be lost.
    async fn gone<T>(&mut self, uid: u32, what: &str) -> Result<Option<T>, ChannelError> {
        if self.search(&format!("UID {uid}")).await?.contains(&uid) {
            return Err(ChannelError::temporary(format!("the mail server tells no {what} of the mail with UID {uid}")));
        }
        Ok(None)
    }

    /// A mailbox that is read-only refuses; the cursor alone keeps the mail from coming again.
    async fn mark_seen(&mut self, uid: u32) -> Result<(), ChannelError> {
        match self.try_command(&format!("UID STORE {uid} +FLAGS.SILENT (\\Seen)"), PATIENCE, ANSWER_LIMIT, |_| {}).await? {
            Ok(()) => Ok(()),
            Err(words) => {
                tracing::debug!(reason = %words, "the mail server does not mark mail as seen");
                Ok(())
            }
        }
    }

    async fn search(&mut self, criteria: &str) -> Result<Vec<u32>, ChannelError> {
        let mut found = Vec::new();
        let see = |response: &Response<'_>| {
            if let Response::MailboxData(MailboxDatum::Search(uids)) = response {
                found.extend(uids);
            }
        };
        self.command(&format!("UID SEARCH {criteria}"), PATIENCE, ANSWER_LIMIT, see).await?;
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Waits for news, or until it is time to look anyway.
    async fn wait(&mut self) -> Result<(), ChannelError> {
        if self.has_idle && self.idle().await? {
            return Ok(());
        }
        tokio::time::sleep(POLL_TIME).await;
        self.command("NOOP", PATIENCE, ANSWER_LIMIT, |_| {}).await
    }

    /// IDLE (RFC 2177) until there is news or it is to be renewed. False: the server will not.
    async fn idle(&mut self) -> Result<bool, ChannelError> {
        self.session.get_mut().allow(ANSWER_LIMIT, PATIENCE);
        let tag = self.session.run_command("IDLE").await.map_err(|error| broken("IDLE", &error))?;
        loop {
            let response = receive("IDLE", self.session.read_response(), PATIENCE).await?;
            match response.parsed() {
                Response::Continue(_) => break,
                Response::Done { tag: done, .. } if *done == tag => {
                    self.has_idle = false;
                    return Ok(false);
                }
                other => self.has_news |= is_news(other),
            }
        }
        let renewal = Instant::now() + IDLE_TIME;
        self.session.get_mut().allow(ANSWER_LIMIT, IDLE_TIME + PATIENCE);
        while !self.has_news {
            match timeout_at(renewal, self.session.read_response()).await {
                Err(_) => break,
                Ok(response) => {
                    let response = received("IDLE", response)?;
                    if let Response::Data { status: Status::Bye, outcome } = response.parsed() {
                        return Err(closed(outcome.information.as_deref()));
                    }
                    self.has_news |= is_news(response.parsed());
                }
            }
        }
        self.session.get_mut().allow(ANSWER_LIMIT, PATIENCE);
        let done = timeout(PATIENCE, self.session.run_command_untagged("DONE")).await;
        done.map_err(|_| silent("DONE"))?.map_err(|error| broken("DONE", &error))?;
        loop {
            let response = receive("DONE", self.session.read_response(), Duration::from_secs(15)).await?;
            match response.parsed() {
                Response::Done { tag: done, .. } if *done == tag => return Ok(true),
                other => self.has_news |= is_news(other),
            }
        }
    }

    /// Runs a command that is expected to succeed.
    async fn command(
        &mut self,
        text: &str,
        patience: Duration,
        allowance: usize,
        see: impl FnMut(&Response<'_>),
    ) -> Result<(), ChannelError> {
        let refused = |words: String| ChannelError::temporary(format!("the mail server refused {}: {words}", verb(text)));
        self.try_command(text, patience, allowance, see).await?.map_err(refused)
    }

    /// Runs a command and shows every response before the tagged one to `see`; the inner error holds the server's words.
    ///
    /// The library's own commands are not used: they take a refusal for an empty answer, which would lose mail.
    async fn try_command(
        &mut self,
        text: &str,
        patience: Duration,
        allowance: usize,
        mut see: impl FnMut(&Response<'_>),
    ) -> Result<Result<(), String>, ChannelError> {
        self.session.get_mut().allow(allowance, PATIENCE);
        if text.starts_with("UID SEARCH") {
            self.session.get_mut().allow_search();
        }
        let end = Instant::now() + patience;
        let sent = timeout_at(end, self.session.run_command(text)).await;
        let tag = sent.map_err(|_| silent(text))?.map_err(|error| broken(text, &error))?;
        loop {
            let response = timeout_at(end, self.session.read_response()).await.map_err(|_| silent(text))?;
            let response = received(text, response)?;
            match response.parsed() {
                Response::Done { tag: done, status, outcome } if *done == tag => {
                    let words = || printable(outcome.information.as_deref().unwrap_or("no reason given"));
                    return Ok(if *status == Status::Ok { Ok(()) } else { Err(words()) });
                }
                Response::Data { status: Status::Bye, outcome } => return Err(closed(outcome.information.as_deref())),
                other => {
                    self.has_news |= is_news(other);
                    see(other);
                }
            }
        }
    }

    /// Counts an attempt at a mail; returns which one it is. To be at a step means that the one before has succeeded.
    fn attempt(&self, uid: u32, step: Step) -> u32 {
        let mut unfinished = self.unfinished();
        if unfinished.uid != uid || unfinished.uidvalidity != self.uidvalidity {
            *unfinished = Unfinished { uidvalidity: self.uidvalidity, uid, ..Unfinished::default() };
        }
        let Unfinished { fetches, stores, marks, .. } = &mut *unfinished;
        let (attempts, before) = match step {
            Step::Fetch => (fetches, None),
            Step::Store => (stores, Some(fetches)),
            Step::Mark => (marks, Some(stores)),
        };
        if let Some(before) = before {
            *before = 0;
        }
        *attempts = attempts.saturating_add(1);
        *attempts
    }

    /// Remembers why a mail could not be fetched.
    fn noted(&self, error: ChannelError) -> ChannelError {
        self.unfinished().reason = error.to_string();
        error
    }

    fn finish(&self) {
        *self.unfinished() = Unfinished::default();
    }

    fn unfinished(&self) -> MutexGuard<'_, Unfinished> {
        self.channel.unfinished.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Parses on a thread of its own, so that neither time nor a panic hurts the session.
async fn read(raw: Bytes, own_address: String, too_large: Option<u32>) -> Result<Inbound, String> {
    let task = tokio::task::spawn_blocking(move || parse::parse(&raw, &own_address, too_large, Utc::now()));
    match timeout(PARSE_TIME, task).await {
        Ok(Ok(parsed)) => parsed,
        Ok(Err(_)) => Err("this mail breaks the parser".into()),
        Err(_) => Err(format!("this mail cannot be parsed within {} s", PARSE_TIME.as_secs())),
    }
}

fn is_news(response: &Response<'_>) -> bool {
    matches!(response, Response::MailboxData(MailboxDatum::Exists(_)))
}
