//! What the errors of the Bot API mean. Nothing here tells the token: it is part of every address.
use crate::channel::{ChannelError, Pause};
use std::error::Error;
use teloxide_core::{ApiError, RequestError};

/// What an agent reads when the token is not valid any more.
pub const REVOKED: &str = "Telegram does not accept the bot token any more: enter the one that BotFather shows";

/// Why a call came to nothing.
#[derive(Debug)]
pub enum Failure {
    /// It was not made.
    Unprepared(ChannelError),
    /// There was no answer in time: whether it was done is unknown.
    Late,
    /// Telegram refused it, or could not be reached.
    Refused(RequestError),
}

impl Failure {
    /// Whether Telegram refused with these words.
    pub fn says(&self, words: &str) -> bool {
        matches!(self, Failure::Refused(RequestError::Api(error)) if in_words(error).contains(words))
    }

    /// Whether it does not show the picture, which may still go as a file.
    pub fn is_about_the_picture(&self) -> bool {
        ["PHOTO_INVALID_DIMENSIONS", "IMAGE_PROCESS_FAILED", "PHOTO_SAVE_FILE_INVALID"].iter().any(|words| self.says(words))
    }

    /// What it means for whoever called.
    pub fn explained(self, method: &str) -> ChannelError {
        match self {
            Failure::Unprepared(error) => error,
            Failure::Late => ChannelError::temporary(format!("Telegram did not answer {method} in time")),
            Failure::Refused(error) => explained(method, &error),
        }
    }
}

/// What an error of Telegram means. The numbers of errors are lost in the library; their words begin with the number's name.
fn explained(method: &str, error: &RequestError) -> ChannelError {
    match error {
        RequestError::RetryAfter(wait) => {
            let words = format!("{method}: Telegram wants a pause of {} s", wait.seconds());
            ChannelError::throttled(words, Some(wait.duration()), Pause::Inbox)
        }
        RequestError::MigrateToChatId(_) => ChannelError::Rejected("the chat has become a group, which is not supported".into()),
        RequestError::Network(error) => lost(error.as_ref()),
        RequestError::InvalidJson { .. } => ChannelError::temporary(format!("{method}: Telegram's answer cannot be read")),
        RequestError::Io(error) => ChannelError::temporary(format!("{method}: {error}")),
        RequestError::Api(ApiError::InvalidToken) => ChannelError::NeedsAttention(REVOKED.into()),
        RequestError::Api(ApiError::TerminatedByOtherGetUpdates) => {
            ChannelError::temporary("another program fetches this bot's updates: stop it, or give it a bot of its own")
        }
        RequestError::Api(ApiError::CantGetUpdates) => {
            ChannelError::temporary("another program has this bot's updates pushed to it: stop it, or give it a bot of its own")
        }
        RequestError::Api(error) => {
            let words = in_words(error);
            let begins = |beginnings: &[&str]| beginnings.iter().any(|beginning| words.starts_with(beginning));
            if begins(&["Conflict", "Internal Server Error", "Bad Gateway", "Service Unavailable", "Gateway Time"]) {
                ChannelError::temporary(format!("{method}: {words}"))
            } else if begins(&["Too Many Requests", "Flood"]) {
                ChannelError::throttled(format!("{method}: {words}"), None, Pause::Inbox)
            } else if begins(&["Unauthorized"]) && !matches!(error, ApiError::CantInitiateConversation | ApiError::CantTalkWithBots) {
                ChannelError::NeedsAttention(words)
            } else {
                ChannelError::Rejected(words)
            }
        }
    }
}

/// Telegram's own words.
fn in_words(error: &ApiError) -> String {
    match error {
        ApiError::Unknown(words) => words.clone(),
        known => known.to_string(),
    }
}

/// A broken connection, without the address: the token is in it.
pub fn lost(error: &dyn Error) -> ChannelError {
    let (mut causes, mut source) = (Vec::new(), error.source());
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    let cause = if causes.is_empty() { "no connection, or it broke".to_owned() } else { causes.join(": ") };
    ChannelError::temporary(format!("Telegram cannot be reached: {cause}"))
}

#[cfg(test)]
mod tests;
