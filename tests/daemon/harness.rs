//! What the black-box tests share: the daemon as a process, clients that talk to it, and the other side it talks to.
//!
//! | to | use |
//! | --- | --- |
//! | start, stop, kill the daemon, or run one of its commands | [`Daemon`], [`Site`] |
//! | call its API | [`Client`] → [`Answer`] |
//! | be the webhook it calls, or a provider it talks to | [`Receiver`], [`Reply`] |
//! | listen to its websocket | [`Cable`] |
//! | cut its connections | [`Proxy`] |
//! | wait until something is true | [`eventually`] |
//! | run a JavaScript client | [`node_packages`] |
//! | run a Python program | [`python_packages`] |
//! | read descriptions and samples of others | [`shared`] |

#![allow(dead_code, unused_imports, reason = "not every helper is in use at every time")]

mod cable;
mod client;
mod contract;
mod daemon;
mod database;
mod deviations;
mod node;
mod proxy;
mod python;
mod receiver;
mod shared;
mod site;

pub use cable::Cable;
pub use client::{Answer, Client};
pub use daemon::{Builder, Daemon, Exit};
pub use database::{Database, with_database};
pub use node::{NodePackages, node_packages};
pub use proxy::Proxy;
pub use python::{PythonPackages, python_packages};
pub use receiver::{FormPart, Received, Receiver, Reply};
pub use shared::shared;
pub use site::{Finished, Site, send_signal};

use std::collections::BTreeSet;
use std::io::Write;
use std::panic::Location;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long a test waits for what ought to come at once; long, because a loaded machine is slow and a passing test never waits it out.
pub const SOON: Duration = Duration::from_secs(15);

/// Asks `probe` again and again until it answers `Some`, and returns that. Fails the test, naming the caller, when `deadline` has passed.
#[track_caller]
pub fn eventually<T>(deadline: Duration, mut probe: impl AsyncFnMut() -> Option<T>) -> impl Future<Output = T> {
    let caller = Location::caller();
    async move {
        let started = Instant::now();
        let mut pause = Duration::from_millis(5);
        loop {
            // A probe that hangs is a failed wait too, so it gets no longer than what is left.
            let left = deadline.saturating_sub(started.elapsed());
            match tokio::time::timeout(left, probe()).await {
                Ok(Some(found)) => return found,
                Ok(None) if started.elapsed() < deadline => {}
                Ok(None) | Err(_) => panic!("{caller}: what was waited for did not happen within {deadline:?}"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }
}

/// Says on the terminal, once per run, what is not tested here and why. The test runner hides what tests print, but not this.
pub fn skipped(what: &str, why: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let line = format!("skipped: {what}: {why}");
    if SAID.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(line.clone()) {
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}
