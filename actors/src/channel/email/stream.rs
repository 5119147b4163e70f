//! The connection under an IMAP session: TCP or TLS, and a guard that gives up on a server which sends without end.
//!
//! The IMAP library reads whatever a server announces, up to half a gigabyte at once, and waits for ever. [`Guarded`] sits
//! between it and the socket, follows the framing of RFC 3501 (lines, and literals announced as `{n}` at the end of a line), and
//! fails the read when a line, a literal or a whole response exceeds what the command allows, or when nothing arrives in time.
//! The library also parses parentheses inside parentheses recursively, so a response with more of them than any honest answer
//! to our commands has is refused before it is parsed: a full stack would end the whole process.
use crate::channel::ChannelError;
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::Verifier;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsConnector;

/// How long a connection, a handshake or an answer may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The longest line of a response, in bytes. The library parses a line again whenever more of it has come.
const LINE_LIMIT: usize = 64 << 10;
/// The longest line of an answer to a search, which tells all new mails in one with about eight bytes per mail.
const SEARCH_LIMIT: usize = 1 << 20;
/// The most opening parentheses outside of literals in one response, so that they cannot nest deeper, however they are quoted.
/// What is asked here is answered with two or three.
const PARENTHESES_LIMIT: usize = 32;
/// So many bytes tell what kind of response a line begins.
const HEAD_LENGTH: usize = 9;

/// A byte stream, plain or encrypted.
pub trait Transport: AsyncRead + AsyncWrite + fmt::Debug + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + fmt::Debug + Send + Sync + Unpin> Transport for T {}

/// Opens a TCP connection.
///
/// # Errors
/// Temporary, with the address and the reason.
pub async fn connect(host: &str, port: u16) -> Result<TcpStream, ChannelError> {
    let refused = |reason: String| ChannelError::temporary(format!("cannot connect to {host}:{port}: {reason}"));
    let stream = tokio::time::timeout(PATIENCE, TcpStream::connect((host, port)))
        .await
        .map_err(|_| refused("no answer within 60 s".into()))?
        .map_err(|error| refused(error.to_string()))?;
    stream.set_nodelay(true).map_err(|error| refused(error.to_string()))?;
    Ok(stream)
}

/// Encrypts a connection, as a client of `host`.
///
/// # Errors
/// Temporary, with the reason: a certificate may be renewed without anybody touching the settings here.
pub async fn encrypt(stream: Box<dyn Transport>, host: &str, config: Arc<ClientConfig>) -> Result<Box<dyn Transport>, ChannelError> {
    let refused = |reason: String| ChannelError::temporary(format!("cannot open a TLS connection to {host}: {reason}"));
    let name = ServerName::try_from(host.to_owned()).map_err(|error| refused(error.to_string()))?;
    let stream = tokio::time::timeout(PATIENCE, TlsConnector::from(config).connect(name, stream))
        .await
        .map_err(|_| refused("no answer within 60 s".into()))?
        .map_err(|error| refused(error.to_string()))?;
    Ok(Box::new(stream))
}

/// A TLS configuration that trusts what the operating system trusts. Reads the certificate store.
///
/// # Errors
/// Temporary, when the store cannot be read.
pub fn system_trust() -> Result<Arc<ClientConfig>, ChannelError> {
    let refused = |error: rustls::Error| ChannelError::temporary(format!("cannot read the certificates this system trusts: {error}"));
    let provider: Arc<CryptoProvider> = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier::new(Arc::clone(&provider)).map_err(refused)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// A stream that fails instead of reading without end.
#[derive(Debug)]
pub struct Guarded {
    stream: Box<dyn Transport>,
    framing: Framing,
    patience: Duration,
    deadline: Pin<Box<Sleep>>,
}

impl Guarded {
    /// Guards a stream, with the allowance of a small command.
    pub fn new(stream: Box<dyn Transport>) -> Self {
        let deadline = Box::pin(tokio::time::sleep(PATIENCE));
        Guarded { stream, framing: Framing::default(), patience: PATIENCE, deadline }
    }

    /// From now on the server may send `bytes` and may be silent for `patience`.
    pub fn allow(&mut self, bytes: usize, patience: Duration) {
        self.framing.allowance = bytes;
        self.framing.line_limit = LINE_LIMIT;
        self.patience = patience;
        self.deadline.as_mut().reset(Instant::now() + patience);
    }

    /// What is allowed now is an answer to a search.
    pub fn allow_search(&mut self) {
        self.framing.line_limit = SEARCH_LIMIT;
    }

    /// The stream itself, to encrypt it.
    pub fn into_inner(self) -> Box<dyn Transport> {
        self.stream
    }
}

impl AsyncRead for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if Pin::new(&mut self.stream).poll_read(context, buffer)?.is_pending() {
            ready!(self.deadline.as_mut().poll(context));
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the server is silent")));
        }
        let deadline = Instant::now() + self.patience;
        self.deadline.as_mut().reset(deadline);
        let received = buffer.filled().get(before..).unwrap_or_default();
        Poll::Ready(self.framing.follow(received).map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, reason)))
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// How responses begin that are no data, after their star.
const STATUSES: [&[u8]; 5] = [b"ok", b"no", b"bad", b"bye", b"preauth"];

/// Where in a response the server is, and how much it may still send.
#[derive(Debug)]
struct Framing {
    allowance: usize,
    line_limit: usize,
    line: usize,
    literal: usize,
    announced: Announced,
    /// How the response begins, in lower case.
    head: Vec<u8>,
    parentheses: usize,
}

/// What the end of the line read so far says: `{`, digits, `}` announce a literal.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Announced {
    No,
    Digits(usize),
    Closed(usize),
}

impl Default for Framing {
    fn default() -> Self {
        Framing {
            allowance: 64 << 10,
            line_limit: LINE_LIMIT,
            line: 0,
            literal: 0,
            announced: Announced::No,
            head: Vec::new(),
            parentheses: 0,
        }
    }
}

impl Framing {
    fn follow(&mut self, received: &[u8]) -> Result<(), String> {
        self.allowance = self.allowance.checked_sub(received.len()).ok_or("the server sends more than it was asked for")?;
        let mut rest = received;
        while let Some(byte) = rest.first() {
            if self.literal > 0 {
                let skipped = self.literal.min(rest.len());
                self.literal -= skipped;
                rest = rest.get(skipped..).unwrap_or_default();
                continue;
            }
            rest = rest.get(1..).unwrap_or_default();
            self.line += 1;
            if self.line > self.line_limit {
                return Err(format!("the server sends a line of more than {} bytes", self.line_limit));
            }
            if self.head.len() < HEAD_LENGTH {
                self.head.push(byte.to_ascii_lowercase());
            }
            self.parentheses += usize::from(*byte == b'(');
            if self.parentheses > PARENTHESES_LIMIT {
                return Err("the server nests an answer deeper than it was asked for".into());
            }
            let ends_line = *byte == b'\n';
            self.announced = match (*byte, self.announced) {
                (b'{', _) => Announced::Digits(0),
                (digit @ b'0'..=b'9', Announced::Digits(number)) => {
                    Announced::Digits(number.saturating_mul(10).saturating_add(usize::from(digit - b'0')))
                }
                (b'+', Announced::Digits(number)) => Announced::Digits(number),
                (b'}', Announced::Digits(number)) => Announced::Closed(number),
                (b'\r', closed @ Announced::Closed(_)) => closed,
                (b'\n', Announced::Closed(number)) if !self.is_text() => {
                    if number > self.allowance {
                        return Err(format!("the server announces {number} bytes, more than it was asked for"));
                    }
                    self.line = 0;
                    self.literal = number;
                    self.announced = Announced::No;
                    continue;
                }
                _ => Announced::No,
            };
            if ends_line {
                self.line = 0;
                self.head.clear();
                self.parentheses = 0;
            }
        }
        Ok(())
    }

    /// Whether the response ends in words for people, in which braces announce nothing: all but data.
    fn is_text(&self) -> bool {
        let data = self.head.strip_prefix(b"* ");
        data.is_none_or(|data| STATUSES.iter().any(|status| data.starts_with(status)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn follows_lines_and_literals_however_they_are_cut() {
        let response = b"* 1 FETCH (BODY[] {7}\r\n{99999}\r\n UID 4)\r\n* 2 FETCH (BODY[] {3+}\r\nabc)\r\n";
        for size in 1..response.len() {
            let mut framing = Framing { allowance: response.len() + 20, ..Framing::default() };
            for piece in response.chunks(size) {
                framing.follow(piece).unwrap();
            }
            assert_eq!((framing.line, framing.literal), (0, 0), "cut into {size}");
        }
    }

    #[test]
    fn refuses_what_was_not_asked_for() {
        let follow = |allowance: usize, bytes: &[u8]| Framing { allowance, ..Framing::default() }.follow(bytes).unwrap_err();
        assert_eq!(follow(5, b"* OK hello"), "the server sends more than it was asked for");
        assert_eq!(
            follow(1000, b"* 1 FETCH (BODY[] {4294967296}\r\n"),
            "the server announces 4294967296 bytes, more than it was asked for"
        );
        assert!(follow(1000, b"* X {99999999999999999999999999}\r\n").starts_with("the server announces 18446744073709551615 bytes"));
        assert!(follow(4 << 20, &vec![b'a'; LINE_LIMIT + 1]).contains("a line of more than"));
    }

    #[test]
    fn refuses_what_would_nest_too_deep() {
        let deep = "(".repeat(PARENTHESES_LIMIT + 1);
        let literal = "(".repeat(4_000);
        for (response, is_fine) in [
            (format!("* 1 FETCH (X {}\r\n", &deep[1..PARENTHESES_LIMIT]), true),
            (format!("* 1 FETCH (X {deep}\r\n"), false),
            (format!("* 1 FETCH (BODY[] {{4000}}\r\n{literal})\r\n"), true),
            // Halves on both sides of a literal are one response.
            (format!("* 1 FETCH (X {}{{1}}\r\nx{}\r\n", &deep[..17], &deep[..17]), false),
            // Quoted closing ones close nothing.
            (format!("* 1 FETCH (X {}\r\n", "(\")\" ".repeat(PARENTHESES_LIMIT)), false),
            // No literal is announced in words, so what follows is a response of its own.
            (format!("* OK fine {{4000}}\r\n{literal}\r\n"), false),
            (format!("* BYEbye {{4000}}\r\n{literal}\r\n"), false),
            (format!("A1 OK fine {{4000}}\r\n{literal}\r\n"), false),
            (format!("+ go on {{4000}}\r\n{literal}\r\n"), false),
            // Every response begins anew.
            ("* 1 FETCH (FLAGS (\\Seen))\r\n".repeat(100), true),
        ] {
            for size in [1, 7, response.len()] {
                let mut framing = Framing { allowance: 1 << 20, ..Framing::default() };
                let result = response.as_bytes().chunks(size).try_for_each(|piece| framing.follow(piece));
                assert_eq!(result.is_ok(), is_fine, "cut into {size}: {}", response.get(..60).unwrap_or(&response));
            }
        }
    }
}
