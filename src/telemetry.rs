//! Logs, panics and metrics: what an operator sees. All three are global to the process, as in the crates behind them.
use crate::settings::{Log, LogFormat};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::io::IsTerminal;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

/// Seconds. From an answer from memory to one that is about to time out.
const BUCKETS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0];

/// Why telemetry could not start, or a filter not be set.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not in the syntax of env-filter.
    #[error("cannot read the log filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The filter could not be replaced.
    #[error("cannot replace the log filter: {0}")]
    Reload(#[from] reload::Error),
    /// Something else logs already.
    #[error("cannot start the log: {0}")]
    Log(#[from] tracing_subscriber::util::TryInitError),
    /// Something else records metrics already.
    #[error("cannot start the metrics: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    /// [`init`] has not been called.
    #[error("cannot replace the log filter: the log has not been started")]
    NotStarted,
}

struct Handles {
    filter: reload::Handle<EnvFilter, Registry>,
    metrics: PrometheusHandle,
}

static HANDLES: OnceLock<Handles> = OnceLock::new();

/// Starts logs to stderr, the panic hook, and the recording of metrics. Call it once, before anything is logged.
///
/// # Errors
/// If the filter is wrong, or something else was started before.
pub fn init(log: &Log) -> Result<(), TelemetryError> {
    let (filter, handle) = reload::Layer::new(EnvFilter::try_new(&log.filter)?);
    let output = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let output = match log.format {
        LogFormat::Text => output.boxed(),
        LogFormat::Json => output.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(output).try_init()?;
    std::panic::set_hook(Box::new(log_panic));
    let metrics = PrometheusBuilder::new().set_buckets(BUCKETS)?.install_recorder()?;
    // Not set before: a second recorder would have been refused.
    let _ = HANDLES.set(Handles { filter: handle, metrics });
    Ok(())
}

/// Replaces the filter of a running log.
///
/// # Errors
/// If the filter is wrong, or [`init`] has not been called.
pub fn set_filter(filter: &str) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(filter)?;
    Ok(HANDLES.get().ok_or(TelemetryError::NotStarted)?.filter.reload(filter)?)
}

/// All metrics in the text format of Prometheus; nothing before [`init`].
pub fn render_metrics() -> String {
    HANDLES.get().map(|handles| handles.metrics.render()).unwrap_or_default()
}

/// Folds recorded samples into their buckets. Call it every few seconds: otherwise they pile up while nobody asks for metrics.
pub fn upkeep() {
    if let Some(handles) = HANDLES.get() {
        handles.metrics.run_upkeep();
    }
}

/// Tells where a thread panicked. Not why: the payload may hold what a user wrote.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let (file, line) = panic.location().map_or(("", 0), |location| (location.file(), location.line()));
    let thread = std::thread::current();
    tracing::error!(panic.file = file, panic.line = line, thread.name = thread.name().unwrap_or_default(), "a thread panicked");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// One test, since what it starts is global: a second [`init`] is refused.
    #[test]
    fn starts_once_and_logs_panics_without_their_payload() {
        assert!(matches!(set_filter("info"), Err(TelemetryError::NotStarted)));
        assert_eq!(render_metrics(), "");
        assert!(matches!(init(&Log { format: LogFormat::Text, filter: "a=b=c".into() }), Err(TelemetryError::Filter(_))));
        init(&Log { format: LogFormat::Json, filter: "error".into() }).unwrap();
        assert!(matches!(init(&Log::default()), Err(TelemetryError::Log(_))));

        assert!(!tracing::enabled!(tracing::Level::DEBUG));
        set_filter("debug").unwrap();
        assert!(tracing::enabled!(tracing::Level::DEBUG));
        assert!(matches!(set_filter("a=b=c"), Err(TelemetryError::Filter(_))));

        metrics::counter!("messages_total", "direction" => "in").increment(3);
        metrics::histogram!("request_seconds").record(0.003);
        upkeep();
        let metrics = render_metrics();
        assert!(metrics.contains("messages_total{direction=\"in\"} 3"), "{metrics}");
        assert!(metrics.contains("request_seconds_bucket{le=\"0.0025\"} 0"), "{metrics}");
        assert!(metrics.contains("request_seconds_bucket{le=\"0.005\"} 1"), "{metrics}");

        let sink = Sink::default();
        let writer = sink.clone();
        let line = line!() + 2;
        let log = fmt().json().flatten_event(true).with_writer(move || writer.clone()).finish();
        let panicked = tracing::subscriber::with_default(log, || std::panic::catch_unwind(|| panic!("my number is 4711")));
        assert!(panicked.is_err());
        let logged = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        let logged: serde_json::Value = serde_json::from_str(&logged).unwrap();
        assert_eq!(logged["level"], "ERROR");
        assert_eq!(logged["panic.file"], file!());
        assert_eq!(logged["panic.line"], line);
        assert!(!logged.to_string().contains("4711"));
    }
}
