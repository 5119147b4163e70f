//! What every request passes: the limit of requests at once, the count of them, and the end of connections at a stop.
use super::error::ApiError;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::middleware::Next;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Refuses requests beyond what may be in flight, and counts the others; closes connections when the daemon stops.
#[derive(Clone)]
pub struct Gate {
    in_flight: Arc<AtomicUsize>,
    /// How many have come since the start.
    begun: Arc<AtomicUsize>,
    limit: usize,
    stopping: CancellationToken,
}

/// A client that posts without a pause has sent its next request within this time.
const LULL: Duration = Duration::from_millis(200);
/// A stop waits no longer than this for a lull.
const LULL_WITHIN: Duration = Duration::from_secs(2);

impl Gate {
    /// For so many at once; once `stopping`, each answer ends its connection.
    pub fn new(limit: usize, stopping: CancellationToken) -> Self {
        Gate { in_flight: Arc::default(), begun: Arc::default(), limit, stopping }
    }

    /// Returns when clients that keep connections have been told with an answer that they end: a request that meets a
    /// connection while it is being closed would be lost to its client.
    pub async fn quiet(&self) {
        let until = Instant::now() + LULL_WITHIN;
        loop {
            let before = self.begun.load(Ordering::Relaxed);
            tokio::time::sleep(LULL).await;
            if self.begun.load(Ordering::Relaxed) == before || Instant::now() >= until {
                return;
            }
        }
    }

    /// The middleware.
    ///
    /// # Errors
    /// 503 beyond the limit.
    pub async fn pass(
        self,
        request: ServiceRequest,
        next: Next<impl MessageBody + 'static>,
    ) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let _passing = Passing::enter(&self)?;
        let begun = Instant::now();
        let pattern = request.match_pattern();
        // As with bodies: PostgreSQL has no NUL in texts, so neither database is asked for one.
        let answered = match request.uri().path_and_query().is_some_and(|address| address.as_str().contains("%00")) {
            true => Err(ApiError::unprocessable("The address contains a NUL character").into()),
            false => next.call(request).await,
        };
        let status = match &answered {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        metrics::counter!("konversio_http_requests_total", "status" => status.as_u16().to_string()).increment(1);
        tracing::debug!(http.route = pattern, http.status = status.as_u16(), elapsed_ms = begun.elapsed().as_secs_f64() * 1e3, "request");
        let mut answered = answered?.map_into_boxed_body();
        // A switch to the websocket protocol keeps its connection, which the socket itself closes.
        if self.stopping.is_cancelled() && !answered.response().head().upgrade() {
            answered.response_mut().head_mut().set_connection_type(ConnectionType::Close);
        }
        Ok(answered)
    }
}

struct Passing(Arc<AtomicUsize>);

impl Passing {
    fn enter(gate: &Gate) -> Result<Self, ApiError> {
        let passing = Passing(gate.in_flight.clone());
        match gate.in_flight.fetch_add(1, Ordering::Relaxed) < gate.limit {
            true => Ok(passing),
            false => Err(ApiError::unavailable(format!("more than {} requests in flight (server.max_in_flight)", gate.limit))),
        }
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
