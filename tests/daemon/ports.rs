//! Ports for servers that tests start, and start again. Self-contained, so that other files which are can include it.
use std::net::{Ipv4Addr, TcpListener};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// How many ports one kind of server has.
const COUNT: u16 = 6_000;
/// Where those of daemons begin, and of what stands in for others.
#[allow(dead_code, reason = "not every file that includes this one starts daemons")]
pub const DAEMONS: u16 = 20_000;
/// Where those of mail servers begin.
#[allow(dead_code, reason = "not every file that includes this one starts mail servers")]
pub const MAIL_SERVERS: u16 = 26_000;

/// A port nobody listens on. It lies below the ports that Linux gives to outgoing connections, none of which can therefore take it
/// while a server restarts; two tests of this process never get the same.
pub fn free_port(first: u16) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    static START: LazyLock<u16> = LazyLock::new(|| u16::try_from(std::process::id() % u32::from(COUNT)).unwrap_or_default());
    for _ in 0..COUNT {
        let port = first + (NEXT.fetch_add(1, Ordering::Relaxed) % COUNT + *START) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port from {first} on");
}
