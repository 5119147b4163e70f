//! Sends one mail: over the inbox's own SMTP server, or else over the daemon's relay. One connection per mail.
//!
//! Step by step instead of in one call, because the same reply code means something else in every step: a 5xx to the login needs
//! a person, to a recipient it refuses this message, to the greeting it refuses nobody in particular.
use super::EmailChannel;
use super::compose::{self, Letter};
use crate::channel::{ChannelError, MailSecurity};
use crate::message::{Outbound, ProviderId};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use std::future::Future;
use std::time::Duration;
use tokio::time::timeout;

/// How long connecting, greeting and encrypting may take, and how long signing in.
const PATIENCE: Duration = Duration::from_secs(60);
/// The slowest server that is waited for, in bytes per second.
const SLOWEST: u64 = 32 << 10;

/// Where a mail is handed in.
#[derive(Clone, Debug)]
pub struct Server {
    host: String,
    port: u16,
    security: MailSecurity,
    checks_certificate: bool,
    credentials: Option<(String, String)>,
    mechanisms: Vec<Mechanism>,
}

/// Sends a message.
///
/// # Errors
/// See the table in [`crate::channel`]; refusals carry the server's words.
pub async fn send(channel: &EmailChannel, message: &Outbound) -> Result<ProviderId, ChannelError> {
    let server = server(channel)?;
    let relay_sender = channel.tools.relay.as_ref().filter(|_| !channel.settings.smtp_enabled);
    let relay_sender = relay_sender.map(|relay| relay.from.clone().unwrap_or_else(|| channel.settings.email.clone()));
    let (settings, message) = (channel.settings.clone(), message.clone());
    let letter = tokio::task::spawn_blocking(move || compose::compose(&settings, relay_sender.as_deref(), &message))
        .await
        .map_err(|error| ChannelError::Rejected(format!("this mail cannot be written: {error}")))?
        .map_err(ChannelError::Rejected)?;
    let hello = ClientId::Domain(compose::domain(&channel.settings));
    let mut connection = connect(channel, &server, &hello).await?;
    sign_in(&mut connection, &server).await?;
    let words = hand_in(&mut connection, &letter).await?;
    // The server has the mail: how it takes leave no longer matters.
    let _ = timeout(Duration::from_secs(5), connection.quit()).await;
    Ok(ProviderId(reported_id(&server.host, &words).unwrap_or(letter.message_id)))
}

/// The Message-ID that a server gave a mail in the place of ours, where its answer to the mail tells one: customers will answer
/// that one. Ours is recognized in any case, since it names the conversation.
///
/// Exchange and Outlook say it in angle brackets. Amazon SES says the part before the `@`; the part after it follows from the
/// region. What others say is a number in their queue.
fn reported_id(host: &str, words: &str) -> Option<String> {
    let is_id = |id: &str| {
        let parts = id.split_once('@').filter(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
        parts.is_some() && id.len() <= 500 && id.chars().all(|letter| letter.is_ascii_graphic() && !matches!(letter, '<' | '>'))
    };
    let bracketed = words.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(id, _)| id.to_owned());
    let of_ses = || {
        let host = host.to_ascii_lowercase();
        let region = host.strip_prefix("email-smtp.").or_else(|| host.strip_prefix("email-smtp-fips."))?.strip_suffix(".amazonaws.com")?;
        let domain = if region == "us-east-1" { "email" } else { region };
        let token = words.strip_prefix("Ok ").or_else(|| words.strip_prefix("OK "))?.split_whitespace().next()?;
        Some(format!("{token}@{domain}.amazonses.com"))
    };
    bracketed.or_else(of_ses).filter(|id| is_id(id))
}

fn server(channel: &EmailChannel) -> Result<Server, ChannelError> {
    let settings = &channel.settings;
    if settings.smtp_enabled {
        let security = match (settings.smtp_enable_ssl_tls, settings.smtp_enable_starttls_auto) {
            (true, _) => MailSecurity::Tls,
            (false, true) => MailSecurity::Starttls,
            (false, false) => MailSecurity::None,
        };
        let has_login = !settings.smtp_login.is_empty();
        let is_login = settings.smtp_authentication.eq_ignore_ascii_case("login");
        let (first, second) = if is_login { (Mechanism::Login, Mechanism::Plain) } else { (Mechanism::Plain, Mechanism::Login) };
        return Ok(Server {
            host: settings.smtp_address.clone(),
            port: settings.smtp_port,
            security,
            checks_certificate: settings.smtp_openssl_verify_mode != "none",
            credentials: has_login.then(|| (settings.smtp_login.clone(), settings.smtp_password.expose().to_owned())),
            mechanisms: vec![first, second],
        });
    }
    // The message fails, and not the session: such an inbox receives.
    let relay = channel.tools.relay.as_ref().ok_or_else(|| {
        ChannelError::Rejected(
            "no SMTP server is set: set smtp_enabled and smtp_address of the inbox, or the relay of the daemon in [mail], and try again"
                .into(),
        )
    })?;
    let password = || relay.password.as_ref().map(|password| password.expose().to_owned()).unwrap_or_default();
    Ok(Server {
        host: relay.host.clone(),
        port: relay.port,
        security: relay.security,
        checks_certificate: true,
        credentials: relay.username.clone().filter(|name| !name.is_empty()).map(|name| (name, password())),
        mechanisms: vec![Mechanism::Plain, Mechanism::Login],
    })
}

async fn connect(channel: &EmailChannel, server: &Server, hello: &ClientId) -> Result<AsyncSmtpConnection, ChannelError> {
    let failed = |reason: String| ChannelError::temporary(format!("cannot connect to {}:{}: {reason}", server.host, server.port));
    let tls = match server.security {
        MailSecurity::None => None,
        _ => Some(channel.smtp_tls.get_or_try_init(|| tls_parameters(server)).await?.clone()),
    };
    let implicit = tls.clone().filter(|_| server.security == MailSecurity::Tls);
    let address = (server.host.as_str(), server.port);
    let connection = AsyncSmtpConnection::connect_tokio1(address, Some(PATIENCE), hello, implicit, None);
    let mut connection = in_time(PATIENCE, connection).await?.map_err(|error| failed(printable(&error)))?;
    if let Some(tls) = tls.filter(|_| server.security == MailSecurity::Starttls) {
        if !connection.can_starttls() {
            return Err(ChannelError::NeedsAttention(format!(
                "{}:{} does not offer STARTTLS: choose another port, or turn smtp_enable_starttls_auto off to send in the clear",
                server.host, server.port
            )));
        }
        in_time(PATIENCE, connection.starttls(tls, hello)).await?.map_err(|error| failed(printable(&error)))?;
    }
    Ok(connection)
}

/// Reads the system's certificate store, so it is done once per channel and beside the runtime.
async fn tls_parameters(server: &Server) -> Result<TlsParameters, ChannelError> {
    let (host, accepts_any) = (server.host.clone(), !server.checks_certificate);
    let build = move || {
        TlsParameters::builder(host).dangerous_accept_invalid_certs(accepts_any).dangerous_accept_invalid_hostnames(accepts_any).build()
    };
    let built = tokio::task::spawn_blocking(build).await.map_err(|error| ChannelError::temporary(error.to_string()))?;
    built.map_err(|error| ChannelError::temporary(format!("cannot prepare TLS for {}: {}", server.host, printable(&error))))
}

async fn sign_in(connection: &mut AsyncSmtpConnection, server: &Server) -> Result<(), ChannelError> {
    let Some((name, password)) = &server.credentials else { return Ok(()) };
    let credentials = Credentials::new(name.clone(), password.clone());
    match in_time(PATIENCE, connection.auth(&server.mechanisms, &credentials)).await? {
        Ok(_) => Ok(()),
        // The library's own refusal: the server offers neither of the mechanisms.
        Err(error) if error.is_permanent() || error.is_client() => {
            Err(ChannelError::NeedsAttention(format!("{} refused the login of {name}: {}", server.host, printable(&error))))
        }
        Err(error) => Err(ChannelError::temporary(format!("cannot sign in at {}: {}", server.host, printable(&error)))),
    }
}

/// Returns what the server says to the mail that it took.
async fn hand_in(connection: &mut AsyncSmtpConnection, letter: &Letter) -> Result<String, ChannelError> {
    let size = u64::try_from(letter.bytes.len()).unwrap_or(u64::MAX);
    let patience = PATIENCE + Duration::from_secs(size / SLOWEST);
    match in_time(patience, connection.send(&letter.envelope, &letter.bytes)).await? {
        Ok(response) => Ok(response.message().collect::<Vec<_>>().join(" ")),
        Err(error) => Err(refusal(&error)),
    }
}

/// What the answer to MAIL, RCPT or DATA means.
fn refusal(error: &Error) -> ChannelError {
    let words = printable(error);
    // RFC 4954: 530 and 535 ask for a login, 534 and 538 for another one.
    let asks_for_login = error.status().is_some_and(|code| matches!(u16::from(code), 530 | 534 | 535 | 538));
    if asks_for_login {
        ChannelError::NeedsAttention(format!("the mail server wants another login: {words}"))
    } else if error.is_permanent() || error.is_client() {
        ChannelError::Rejected(format!("the mail server refused this mail: {words}"))
    } else {
        ChannelError::temporary(format!("the mail server did not take this mail: {words}"))
    }
}

async fn in_time<T>(patience: Duration, work: impl Future<Output = T>) -> Result<T, ChannelError> {
    timeout(patience, work)
        .await
        .map_err(|_| ChannelError::temporary(format!("the mail server did not answer within {} s", patience.as_secs())))
}

/// Reply code and words of the server, in one line of at most 300 characters.
fn printable(error: &Error) -> String {
    error.to_string().chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_servers_give() {
        let outlook = "2.0.0 OK <AM0PR04MB7@AM0PR04MB7.eurprd04.prod.outlook.com> [Hostname=AM0PR04MB7.eurprd04.prod.outlook.com]";
        for (host, words, id) in [
            ("smtp.office365.com", outlook, Some("AM0PR04MB7@AM0PR04MB7.eurprd04.prod.outlook.com")),
            ("email-smtp.us-east-1.amazonaws.com", "Ok 0100018c-7a-000000", Some("0100018c-7a-000000@email.amazonses.com")),
            ("email-smtp.eu-west-1.amazonaws.com", "Ok 0102018c-7a-000000", Some("0102018c-7a-000000@eu-west-1.amazonses.com")),
            ("email-smtp.eu-west-1.amazonaws.com", "queued", None),
            ("smtp.shop.example", "Ok 0102018c-7a-000000", None),
            ("localhost", "OK id=1vM2pQ-000000004Ff-2Hhd", None),
            ("mx.example", "2.0.0 Ok: queued as 4XyZ1a2b3c", None),
            ("mx.example", "2.0.0 OK <no id>", None),
            ("mx.example", "2.0.0 OK <@>", None),
            ("mx.example", "", None),
        ] {
            assert_eq!(reported_id(host, words).as_deref(), id, "{host}: {words}");
        }
    }
}
