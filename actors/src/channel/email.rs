//! The e-mail channel: IMAP in, SMTP out.
//!
//! | file | does |
//! | --- | --- |
//! | `imap.rs` | one session: fetch, deliver, mark, wait |
//! | `stream.rs` | the connection under it, and the guard against servers that send without end |
//! | `screen.rs`, `parse.rs`, `quote.rs`, `html.rs`, `automatic.rs` | raw mail to [`Inbound`](crate::message::Inbound) |
//! | `compose.rs`, `smtp.rs` | [`Outbound`] to a mail, and to a server |
//!
//! Not here yet, and where it belongs: mail that is forwarded to the daemon instead of fetched enters through `Channel::webhook` and
//! ends in the same `parse.rs`; delivery reports are to be matched with their messages in `parse.rs`; signing in at Google and Microsoft
//! by XOAUTH2 is one more authenticator in `imap/sign_in.rs` and one more mechanism in `smtp.rs`. How many automatic answers a contact
//! may get is a rule of conversations, not of this channel.
mod automatic;
mod compose;
mod html;
mod imap;
mod parse;
mod quote;
mod screen;
mod smtp;
mod stream;

/// HTML of an agent, without what could run or fetch.
pub use html::clean_outbound as sanitized;

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod live_tests;
#[cfg(test)]
mod test_desk;

use super::{Channel, ChannelError, Inlet, SessionStatus, Tools};
use crate::message::{Capabilities, Outbound, ProviderId};
use crate::secret::Secret;
use async_trait::async_trait;
use lettre::transport::smtp::client::TlsParameters;
use rustls::ClientConfig;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex};
use tokio::sync::OnceCell;

/// Names of the contract (section 2, Inboxes).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The address customers write to.
    pub email: String,
    /// Whether mail is fetched by IMAP.
    pub imap_enabled: bool,
    /// Host name or address.
    pub imap_address: String,
    /// Usually 993.
    pub imap_port: u16,
    /// The user name.
    pub imap_login: String,
    /// The password.
    pub imap_password: Secret,
    /// TLS from the first byte; otherwise STARTTLS where the server offers it.
    pub imap_enable_ssl: bool,
    /// `plain` or `login`.
    pub imap_authentication: String,
    /// Whether the inbox has an SMTP server of its own; otherwise the daemon's relay sends.
    pub smtp_enabled: bool,
    /// Host name or address.
    pub smtp_address: String,
    /// Usually 587.
    pub smtp_port: u16,
    /// The user name; nothing is authenticated when empty.
    pub smtp_login: String,
    /// The password.
    pub smtp_password: Secret,
    /// The name given in EHLO, and the domain of Message-IDs.
    pub smtp_domain: String,
    /// Upgrade with STARTTLS, required.
    pub smtp_enable_starttls_auto: bool,
    /// TLS from the first byte.
    pub smtp_enable_ssl_tls: bool,
    /// `peer` checks the server's certificate; `none` does not.
    pub smtp_openssl_verify_mode: String,
    /// `login` or `plain`.
    pub smtp_authentication: String,
    /// Empty; `google` and `microsoft` sign in by OAuth.
    pub provider: String,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            email: String::new(),
            imap_enabled: false,
            imap_address: String::new(),
            imap_port: 993,
            imap_login: String::new(),
            imap_password: Secret::default(),
            imap_enable_ssl: true,
            imap_authentication: "plain".into(),
            smtp_enabled: false,
            smtp_address: String::new(),
            smtp_port: 587,
            smtp_login: String::new(),
            smtp_password: Secret::default(),
            smtp_domain: String::new(),
            smtp_enable_starttls_auto: true,
            smtp_enable_ssl_tls: false,
            smtp_openssl_verify_mode: "peer".into(),
            smtp_authentication: "login".into(),
            provider: String::new(),
        }
    }
}

impl Settings {
    /// # Errors
    /// Names the field that is wrong.
    pub fn validate(&self) -> Result<(), String> {
        let is_method = |method: &str| matches!(method.to_ascii_lowercase().as_str(), "" | "plain" | "login");
        let checks = [
            (self.email.parse::<lettre::Address>().is_ok(), "email must be an e-mail address"),
            (!self.imap_enabled || !self.imap_address.is_empty(), "imap_address must be set when imap_enabled is"),
            (!self.imap_enabled || self.imap_port != 0, "imap_port must be set when imap_enabled is"),
            (!self.imap_enabled || !self.imap_login.is_empty(), "imap_login must be set when imap_enabled is"),
            (is_method(&self.imap_authentication), "imap_authentication must be plain or login"),
            (!self.smtp_enabled || !self.smtp_address.is_empty(), "smtp_address must be set when smtp_enabled is"),
            (!self.smtp_enabled || self.smtp_port != 0, "smtp_port must be set when smtp_enabled is"),
            (is_method(&self.smtp_authentication), "smtp_authentication must be plain or login"),
            (matches!(self.smtp_openssl_verify_mode.as_str(), "" | "peer" | "none"), "smtp_openssl_verify_mode must be peer or none"),
        ];
        match checks.into_iter().find(|(is_fine, _)| !is_fine) {
            Some((_, fault)) => Err(fault.into()),
            None => Ok(()),
        }
    }
}

/// Sealed at rest, blanked on the wire.
pub const SECRET_FIELDS: &[&str] = &["imap_password", "smtp_password"];

/// What the e-mail channel can do.
pub fn capabilities() -> Capabilities {
    Capabilities { attachment_limit: 25 << 20, parallel_sends: 4, ..Capabilities::PLAIN }
}

/// The e-mail channel.
pub struct EmailChannel {
    settings: Settings,
    tools: Tools,
    /// What IMAP trusts; read when first needed.
    tls: OnceCell<Arc<ClientConfig>>,
    /// What SMTP trusts; read when first needed.
    smtp_tls: OnceCell<TlsParameters>,
    /// The mail whose fetching was begun and not finished, so that one that breaks every session is recognized.
    unfinished: Mutex<imap::Unfinished>,
}

impl EmailChannel {
    /// From its settings.
    pub fn new(settings: Settings, tools: Tools) -> Self {
        EmailChannel { settings, tools, tls: OnceCell::new(), smtp_tls: OnceCell::new(), unfinished: Mutex::default() }
    }

    async fn trust(&self) -> Result<Arc<ClientConfig>, ChannelError> {
        let read = || async {
            tokio::task::spawn_blocking(stream::system_trust).await.map_err(|error| ChannelError::temporary(error.to_string()))?
        };
        self.tls.get_or_try_init(read).await.cloned()
    }
}

#[async_trait]
impl Channel for EmailChannel {
    async fn run(&self, inlet: &Inlet) -> Result<(), ChannelError> {
        if self.settings.imap_enabled {
            return imap::run(self, inlet).await;
        }
        inlet.status(SessionStatus::Connected);
        std::future::pending().await
    }

    async fn send(&self, message: &Outbound) -> Result<ProviderId, ChannelError> {
        smtp::send(self, message).await
    }

    fn capabilities(&self) -> Capabilities {
        capabilities()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked() {
        let fine = || Settings {
            email: "support@shop.example".into(),
            imap_enabled: true,
            imap_address: "imap.shop.example".into(),
            imap_login: "support".into(),
            smtp_enabled: true,
            smtp_address: "smtp.shop.example".into(),
            ..Settings::default()
        };
        assert_eq!(fine().validate(), Ok(()));
        assert_eq!(Settings { email: "support@shop.example".into(), ..Settings::default() }.validate(), Ok(()));
        for (wrong, fault) in [
            (Settings { email: "support".into(), ..fine() }, "email must be an e-mail address"),
            (Settings { email: "a@b\r\nBcc: c@d".into(), ..fine() }, "email must be an e-mail address"),
            (Settings { imap_address: String::new(), ..fine() }, "imap_address must be set when imap_enabled is"),
            (Settings { imap_login: String::new(), ..fine() }, "imap_login must be set when imap_enabled is"),
            (Settings { imap_authentication: "cram-md5".into(), ..fine() }, "imap_authentication must be plain or login"),
            (Settings { smtp_address: String::new(), ..fine() }, "smtp_address must be set when smtp_enabled is"),
            (Settings { smtp_port: 0, ..fine() }, "smtp_port must be set when smtp_enabled is"),
            (Settings { smtp_openssl_verify_mode: "maybe".into(), ..fine() }, "smtp_openssl_verify_mode must be peer or none"),
        ] {
            assert_eq!(wrong.validate(), Err(fault.to_owned()));
        }
    }
}
