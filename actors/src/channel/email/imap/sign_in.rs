//! Opens the connection to the IMAP server and signs in.
//!
//! XOAUTH2 of Google and Microsoft will be one more [`Authenticator`] here.
use super::super::stream::{self, Guarded, PATIENCE, Transport};
use super::super::{EmailChannel, Settings};
use super::ANSWER_LIMIT;
use super::answers::{broken, closed, printable, receive, silent, words_of_server};
use crate::channel::ChannelError;
use async_imap::error::Error;
use async_imap::imap_proto::{Response, Status};
use async_imap::{Authenticator, Client, Session};
use tokio::time::timeout;

/// Connects, encrypts and signs in.
///
/// # Errors
/// `NeedsAttention` when the server refuses the login, otherwise `Temporary`.
pub async fn sign_in(channel: &EmailChannel) -> Result<Session<Guarded>, ChannelError> {
    let settings = &channel.settings;
    let host = settings.imap_address.as_str();
    let mut transport: Box<dyn Transport> = Box::new(stream::connect(host, settings.imap_port).await?);
    if settings.imap_enable_ssl {
        transport = stream::encrypt(transport, host, channel.trust().await?).await?;
    }
    let mut client = Client::new(Guarded::new(transport));
    let greeting = receive("the greeting", client.read_response(), PATIENCE).await?;
    if let Response::Data { status: Status::Bye, outcome } = greeting.parsed() {
        return Err(closed(outcome.information.as_deref()));
    }
    if !settings.imap_enable_ssl && settings.imap_enable_starttls_auto {
        client = upgrade(client, channel).await?;
    }
    client.get_mut().allow(ANSWER_LIMIT, PATIENCE);
    let password = settings.imap_password.expose();
    let result = if settings.imap_authentication.eq_ignore_ascii_case("login") {
        timeout(PATIENCE, client.login(&settings.imap_login, password)).await
    } else {
        let credentials = Plain(format!("\0{}\0{password}", settings.imap_login));
        timeout(PATIENCE, client.authenticate("PLAIN", credentials)).await
    };
    result.map_err(|_| silent("the login"))?.map_err(|(error, _)| refused_login(settings, &error))
}

/// Encrypts the connection. Whether the server can is asked by trying: one without STARTTLS refuses the command, and so may
/// somebody in between who wants to read the password.
async fn upgrade(mut client: Client<Guarded>, channel: &EmailChannel) -> Result<Client<Guarded>, ChannelError> {
    client.get_mut().allow(ANSWER_LIMIT, PATIENCE);
    match timeout(PATIENCE, client.run_command_and_check_ok("STARTTLS", None)).await.map_err(|_| silent("STARTTLS"))? {
        Ok(()) => {
            // What the server sent before the handshake is thrown away with the old client: nobody vouches for it.
            let transport = client.into_inner().into_inner();
            let transport = stream::encrypt(transport, &channel.settings.imap_address, channel.trust().await?).await?;
            Ok(Client::new(Guarded::new(transport)))
        }
        Err(Error::No(_) | Error::Bad(_)) => Err(ChannelError::NeedsAttention(format!(
            "{}:{} refused STARTTLS, so the password was not sent: set imap_enable_ssl and its port (usually 993), or turn \
             imap_enable_starttls_auto off to sign in in the clear",
            channel.settings.imap_address, channel.settings.imap_port
        ))),
        Err(error) => Err(broken("STARTTLS", &error)),
    }
}

struct Plain(String);

impl Authenticator for Plain {
    type Response = String;

    fn process(&mut self, _: &[u8]) -> String {
        std::mem::take(&mut self.0)
    }
}

/// RFC 5530: some refusals say that the server itself is in trouble; all others need a person.
fn refused_login(settings: &Settings, error: &Error) -> ChannelError {
    let words = match error {
        Error::No(words) | Error::Bad(words) => words,
        Error::Validate(_) => return ChannelError::NeedsAttention("the IMAP user name or password holds a line break".into()),
        error => return broken("the login", error),
    };
    let words = printable(&words_of_server(words));
    let is_temporary = ["[UNAVAILABLE]", "[INUSE]", "[LIMIT]", "[SERVERBUG]"].iter().any(|code| words.contains(code));
    if is_temporary {
        return ChannelError::temporary(format!("the mail server cannot sign anybody in now: {words}"));
    }
    ChannelError::NeedsAttention(format!("{} refused the login of {}: {words}", settings.imap_address, settings.imap_login))
}
