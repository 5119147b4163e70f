//! What a mail server answered, or failed to answer, put into the errors of the channel.
use crate::channel::ChannelError;
use async_imap::error::Error;
use std::io;
use std::time::Duration;
use tokio::time::timeout;

/// Waits for one response; its end or absence is an error.
pub async fn receive<T>(what: &str, response: impl Future<Output = io::Result<Option<T>>>, patience: Duration) -> Result<T, ChannelError> {
    received(what, timeout(patience, response).await.map_err(|_| silent(what))?)
}

/// One response that has come; the end of the connection is an error.
pub fn received<T>(what: &str, response: io::Result<Option<T>>) -> Result<T, ChannelError> {
    match response {
        Ok(Some(response)) => Ok(response),
        Ok(None) => Err(ChannelError::temporary(format!("the mail server closed the connection during {}", verb(what)))),
        Err(error) => Err(broken(what, &Error::Io(error))),
    }
}

/// The session cannot go on.
pub fn broken(what: &str, error: &Error) -> ChannelError {
    let reason = match error {
        // The library's own errors quote what was received, which may be a mail.
        Error::Io(error) if error.kind() == io::ErrorKind::Other => "the server does not speak IMAP".to_owned(),
        Error::Io(error) => error.to_string(),
        Error::ConnectionLost => "the server closed the connection".to_owned(),
        Error::No(words) | Error::Bad(words) => words_of_server(words),
        _ => "the server's answer makes no sense".to_owned(),
    };
    ChannelError::temporary(format!("the IMAP session broke at {}: {}", verb(what), printable(&reason)))
}

/// No answer in time.
pub fn silent(what: &str) -> ChannelError {
    ChannelError::temporary(format!("the mail server did not answer {} in time", verb(what)))
}

/// The server hung up politely.
pub fn closed(words: Option<&str>) -> ChannelError {
    ChannelError::temporary(format!("the mail server said goodbye: {}", printable(words.unwrap_or("no reason given"))))
}

/// The first two words of a command: enough to say what was attempted.
pub fn verb(command: &str) -> String {
    command.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// What a server said, safe to show: one line of at most 300 characters.
pub fn printable(words: &str) -> String {
    words.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(300).collect()
}

/// The library wraps them: `code: None, info: Some("…")`.
pub fn words_of_server(wrapped: &str) -> String {
    let inner = wrapped.split_once("info: Some(\"").and_then(|(_, rest)| rest.strip_suffix("\")"));
    inner.map_or_else(|| wrapped.to_owned(), |inner| inner.replace("\\\"", "\"").replace("\\\\", "\\"))
}
