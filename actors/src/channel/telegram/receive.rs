//! One session: updates are pushed to our webhook, or fetched by polling. Telegram does one or the other for a bot.
use super::TelegramChannel;
use super::update::{self, number, text};
use crate::channel::{ChannelError, Inlet, SessionStatus};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::time::Duration;

/// How long Telegram holds a poll back until there is something.
const POLL: Duration = if cfg!(test) { Duration::from_secs(1) } else { Duration::from_secs(50) };
/// How often the webhook is looked at.
const LOOK_AGAIN: Duration = if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(5 * 60) };
/// The shortest time between two polls that bring nothing.
const BREATH: Duration = if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(1) };
/// After a week without updates Telegram counts them from anywhere: an offset is not to be used any more a day before.
const OFFSET_HOLDS: chrono::Duration = chrono::Duration::days(6);

/// Registers the webhook and watches it.
///
/// # Errors
/// When Telegram refuses the address or the token.
pub async fn be_pushed(channel: &TelegramChannel, inlet: &Inlet) -> Result<(), ChannelError> {
    let bot = channel.settings.unique_key();
    let (url, secret) = (channel.webhook_url(), channel.settings.webhook_secret());
    channel.api.set_webhook(&url, &secret).await?;
    inlet.status(SessionStatus::Connected);
    let mut known_failure = None;
    loop {
        // Bots that began together do not all look together.
        tokio::time::sleep(LOOK_AGAIN.mul_f64(rand::random_range(0.8..=1.2))).await;
        let info = match channel.api.webhook_info().await {
            Ok(info) => info,
            Err(error @ ChannelError::NeedsAttention(_)) => return Err(error),
            // What is pushed arrives nevertheless.
            Err(error) => {
                tracing::debug!(bot, %error, "looking at the webhook");
                continue;
            }
        };
        if text(&info, "url") != Some(url.as_str()) {
            tracing::warn!(bot, "another program has taken the webhook away; it is set again");
            channel.api.set_webhook(&url, &secret).await?;
        }
        let failure = number(&info, "last_error_date");
        if failure.is_some() && failure != known_failure {
            let (words, waiting) = (text(&info, "last_error_message"), number(&info, "pending_update_count"));
            tracing::warn!(bot, words, waiting, "Telegram could not push an update");
            known_failure = failure;
        }
    }
}

/// Fetches updates, in order; the next ones only when these are stored.
///
/// # Errors
/// When Telegram cannot be reached or refuses, or an update cannot be stored.
pub async fn poll(channel: &TelegramChannel, inlet: &Inlet) -> Result<(), ChannelError> {
    channel.api.delete_webhook().await?;
    let mut cursor = Cursor::read(inlet.cursor().await?);
    // The first one does not wait: it shows whether another program polls.
    let mut wait = Duration::ZERO;
    loop {
        let asked = tokio::time::Instant::now();
        let updates = channel.api.updates(cursor.offset(Utc::now()), wait).await?;
        if wait.is_zero() {
            inlet.status(SessionStatus::Connected);
            wait = POLL;
        } else if updates.is_empty() {
            tokio::time::sleep_until(asked + BREATH).await;
        }
        for update in &updates {
            for happened in update::read(update) {
                inlet.deliver(happened).await?;
            }
            if let Some(id) = update::pressed(update) {
                let (api, id) = (channel.api.clone(), id.to_owned());
                // The contact's button waits for it, the next update does not; Telegram forgets it by itself.
                tokio::spawn(async move { api.answer_press(&id).await });
            }
        }
        match updates.iter().filter_map(update::id).max() {
            Some(last) => {
                cursor = Cursor { next: Some(last.saturating_add(1)), at: Utc::now() };
                inlet.save_cursor(cursor.write()).await?;
            }
            None if updates.is_empty() => {}
            None => return Err(ChannelError::temporary("Telegram sent updates without their numbers")),
        }
    }
}

/// How far the updates were read.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cursor {
    next: Option<i64>,
    at: DateTime<Utc>,
}

impl Cursor {
    fn read(stored: Option<Value>) -> Self {
        let stored = stored.unwrap_or_default();
        let at = number(&stored, "at").and_then(|at| DateTime::from_timestamp(at, 0));
        Cursor { next: number(&stored, "offset"), at: at.unwrap_or_default() }
    }

    fn write(self) -> Value {
        json!({ "offset": self.next, "at": self.at.timestamp() })
    }

    /// Without an offset Telegram begins with what it was not told to forget, and what is there again changes nothing.
    fn offset(self, now: DateTime<Utc>) -> Option<i64> {
        self.next.filter(|_| now - self.at < OFFSET_HOLDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_holds_for_six_days() {
        let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let cursor = Cursor::read(Some(json!({ "offset": 12, "at": 1_700_000_000 })));
        assert_eq!(cursor, Cursor { next: Some(12), at });
        assert_eq!(Cursor::read(Some(cursor.write())), cursor);
        for (days, offset) in [(0, Some(12)), (5, Some(12)), (6, None), (400, None)] {
            assert_eq!(cursor.offset(at + chrono::Duration::days(days)), offset, "after {days} days");
        }
        assert_eq!(Cursor::read(None).offset(at), None);
    }
}
