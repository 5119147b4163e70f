//! How often something may be asked for (contract, section 0, Throttles): by address, e-mail address, user or account. Who asks
//! from the machine itself is exempt.
//!
//! An address counts as a client's only where nobody can choose it: that of the connection, or what a proxy named in
//! `server.trusted_proxies` has written into `X-Forwarded-For`.
use super::error::{ApiError, ApiResult};
use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpRequest, web};
use ipnet::IpNet;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Requests of an address.
    Requests,
    /// Sign-ins from an address.
    SignInFrom,
    /// Sign-ins with an e-mail address.
    SignInAs,
    /// Codes of the second factor that a user tries.
    Codes,
    /// Sign-ups from an address.
    SignUp,
    /// Letters that an address asks for: to choose a password, to confirm an address.
    LetterFrom,
    /// Letters to an e-mail address.
    LetterTo,
    /// Searches for contacts in an account.
    ContactSearch,
    /// Counts of conversations that a user asks for.
    ConversationCounts,
    /// Uploads of an account.
    Upload,
    /// New visitors of websites from an address, behind which may be a whole company.
    Visitors,
    /// Conversations that visitors from an address begin.
    VisitorConversations,
    /// What a visitor says of itself.
    Introductions,
    /// Files that a visitor announces.
    VisitorUploads,
    /// How often a visitor opens the chat.
    Openings,
}

impl Limit {
    /// How often, in how long.
    fn bounds(self) -> (u32, Duration) {
        const MINUTE: u64 = 60;
        let (most, seconds) = match self {
            Limit::Requests => (3000, MINUTE),
            Limit::SignInFrom => (5, 5 * MINUTE),
            Limit::SignInAs | Limit::Codes => (10, 15 * MINUTE),
            Limit::SignUp | Limit::LetterFrom => (5, 30 * MINUTE),
            Limit::LetterTo => (5, 60 * MINUTE),
            Limit::ContactSearch => (100, MINUTE),
            Limit::ConversationCounts => (30, MINUTE),
            Limit::Upload | Limit::VisitorUploads | Limit::Introductions => (60, 60 * MINUTE),
            Limit::Visitors => (300, 60 * MINUTE),
            Limit::Openings => (60, MINUTE),
            Limit::VisitorConversations => (60, 60 * MINUTE),
        };
        (most, Duration::from_secs(seconds))
    }
}

/// The counts of everybody, and who speaks for others.
pub struct Throttles {
    counts: Mutex<Counts>,
    trusted_proxies: Vec<IpNet>,
    requests_per_minute: u32,
}

impl Throttles {
    /// With nothing counted. `requests_per_minute` is that of an address; 0 is no limit.
    pub fn new(trusted_proxies: Vec<IpNet>, requests_per_minute: u32) -> Self {
        Throttles { counts: Mutex::default(), trusted_proxies, requests_per_minute }
    }

    fn admit(&self, limit: Limit, key: impl Hash) -> ApiResult<()> {
        let (mut most, window) = limit.bounds();
        if limit == Limit::Requests {
            most = self.requests_per_minute;
        }
        let admitted = self.counts.lock().unwrap_or_else(PoisonError::into_inner).admit((limit, key), most, window, Instant::now());
        admitted.map_err(ApiError::throttled)
    }
}

/// Where a request comes from: an extractor through which handlers count.
pub struct Throttle {
    /// None for who is exempt.
    from: Option<IpAddr>,
    throttles: web::Data<Throttles>,
}

impl Throttle {
    /// Counts one of a key.
    ///
    /// # Errors
    /// 429.
    pub fn admit(&self, limit: Limit, key: impl Hash) -> ApiResult<()> {
        if self.from.is_some() { self.throttles.admit(limit, key) } else { Ok(()) }
    }

    /// Counts one of the address that it comes from.
    ///
    /// # Errors
    /// 429.
    pub fn admit_address(&self, limit: Limit) -> ApiResult<()> {
        self.from.map_or(Ok(()), |from| self.throttles.admit(limit, from))
    }
}

impl FromRequest for Throttle {
    type Error = ApiError;
    type Future = std::future::Ready<ApiResult<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let throttles = request.app_data::<web::Data<Throttles>>().cloned();
        std::future::ready(match throttles {
            Some(throttles) => {
                Ok(Throttle { from: client_address(request).filter(|address| !address.is_loopback()).map(network), throttles })
            }
            None => Err(ApiError::failed("the application has no throttles")),
        })
    }
}

/// What providers push comes from a few addresses for everybody, and is refused at once where no inbox has the address.
const PROVIDERS: &str = "/webhooks/";

/// The middleware: how many requests an address may make; providers may make any number.
///
/// # Errors
/// 429 beyond the limit.
pub async fn middleware(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    if let Some(throttles) = request.app_data::<web::Data<Throttles>>().filter(|throttles| throttles.requests_per_minute > 0)
        && let Some(address) = client_address(request.request()).filter(|address| !address.is_loopback())
        && !request.path().starts_with(PROVIDERS)
    {
        throttles.admit(Limit::Requests, network(address))?;
    }
    next.call(request).await
}

/// Where a request came from.
pub fn client_address(request: &HttpRequest) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    let trusted = request.app_data::<web::Data<Throttles>>().map(|throttles| throttles.trusted_proxies.as_slice()).unwrap_or_default();
    let forwarded = request.headers().get_all("x-forwarded-for").filter_map(|value| value.to_str().ok());
    Some(speaks_for(peer, trusted, &forwarded.collect::<Vec<_>>()))
}

/// The nearest address that is no trusted proxy's: each proxy adds whom it heard to the end of the list.
fn speaks_for(peer: IpAddr, trusted: &[IpNet], forwarded: &[&str]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    let mut nearest = peer;
    for text in forwarded.iter().rev().flat_map(|line| line.rsplit(',')) {
        if !is_trusted(nearest) {
            break;
        }
        // Behind what cannot be read, nothing is known.
        let Ok(address) = text.trim().parse::<IpAddr>() else { break };
        nearest = address.to_canonical();
    }
    nearest
}

/// One customer has 2⁶⁴ addresses of IPv6: they count as one.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
    }
}

/// How many counts are kept; of about 40 bytes each.
const KEPT: usize = 100_000;

/// Counts by the hash of their key: with a random hash, nobody finds two that meet.
#[derive(Default)]
struct Counts {
    hasher: RandomState,
    windows: HashMap<u64, Window>,
}

struct Window {
    count: u32,
    ends_at: Instant,
}

impl Counts {
    /// Counts one; an error says how long to wait.
    fn admit(&mut self, key: impl Hash, most: u32, window: Duration, now: Instant) -> Result<(), Duration> {
        let key = self.hasher.hash_one(key);
        if self.windows.len() >= KEPT && !self.windows.contains_key(&key) {
            self.make_room(now);
        }
        let counted = self.windows.entry(key).or_insert(Window { count: 0, ends_at: now + window });
        if counted.ends_at <= now {
            *counted = Window { count: 0, ends_at: now + window };
        }
        if counted.count >= most {
            return Err(counted.ends_at - now);
        }
        counted.count += 1;
        Ok(())
    }

    /// Forgets what is over, and then those who asked least: who is near a limit is forgotten last.
    fn make_room(&mut self, now: Instant) {
        self.windows.retain(|_, window| window.ends_at > now);
        let mut floor = 1;
        while self.windows.len() >= KEPT {
            self.windows.retain(|_, window| window.count > floor);
            floor += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_client_is_whom_the_last_trusted_proxy_heard() {
        let trusted: Vec<IpNet> = ["127.0.0.0/8", "10.0.0.0/8", "fd00::/8"].iter().map(|network| network.parse().unwrap()).collect();
        for (peer, forwarded, client) in [
            ("203.0.113.9", vec![], "203.0.113.9"),
            ("203.0.113.9", vec!["198.51.100.1"], "203.0.113.9"),
            ("127.0.0.1", vec![], "127.0.0.1"),
            ("127.0.0.1", vec!["198.51.100.1"], "198.51.100.1"),
            ("127.0.0.1", vec!["1.2.3.4, 198.51.100.1"], "198.51.100.1"),
            ("127.0.0.1", vec!["198.51.100.1, 10.0.0.7"], "198.51.100.1"),
            ("127.0.0.1", vec!["1.2.3.4", "198.51.100.1,10.0.0.7"], "198.51.100.1"),
            ("127.0.0.1", vec!["10.0.0.8, 10.0.0.7"], "10.0.0.8"),
            ("127.0.0.1", vec!["198.51.100.1, nonsense"], "127.0.0.1"),
            ("127.0.0.1", vec!["198.51.100.1, nonsense, 10.0.0.7"], "10.0.0.7"),
            ("fd00::1", vec!["2001:db8::5"], "2001:db8::5"),
            ("127.0.0.1", vec!["::ffff:198.51.100.1"], "198.51.100.1"),
        ] {
            let found = speaks_for(peer.parse().unwrap(), &trusted, &forwarded);
            assert_eq!(found, client.parse::<IpAddr>().unwrap(), "{peer} {forwarded:?}");
        }
        assert_eq!(speaks_for("127.0.0.1".parse().unwrap(), &[], &["198.51.100.1"]), "127.0.0.1".parse::<IpAddr>().unwrap());
        assert_eq!(network("2001:db8:1:2:3:4:5:6".parse().unwrap()), "2001:db8:1:2::".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn a_limit_is_reached_by_one_key_and_ends_with_its_window() {
        let (mut counts, begin) = (Counts::default(), Instant::now());
        let window = Duration::from_secs(60);
        let at = |seconds| begin + Duration::from_secs(seconds);
        for second in 0..3 {
            assert_eq!(counts.admit("a", 3, window, at(second)), Ok(()));
        }
        assert_eq!(counts.admit("a", 3, window, at(20)), Err(Duration::from_secs(40)));
        assert_eq!(counts.admit("b", 3, window, at(20)), Ok(()));
        assert_eq!(counts.admit("a", 3, window, at(60)), Ok(()));
    }

    #[test]
    fn counts_are_bounded_and_those_near_a_limit_are_kept_longest() {
        let (mut counts, now) = (Counts::default(), Instant::now());
        let window = Duration::from_secs(60);
        for _ in 0..3 {
            counts.admit("guesses", 3, window, now).unwrap();
        }
        for stranger in 0..3 * KEPT {
            counts.admit(stranger, 3, window, now).unwrap();
            assert!(counts.windows.len() <= KEPT);
        }
        assert!(counts.admit("guesses", 3, window, now).is_err());
    }
}
