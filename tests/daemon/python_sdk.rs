//! A Python program written for the original server, unchanged: chatwoot-sdk from PyPI, everything that it offers.
//!
//! It has agents, inboxes, contacts, conversations, messages, teams and the profile. Its own mistakes are in the script, each
//! with its reason.

use crate::harness::{Daemon, Site, python_packages};

#[tokio::test]
async fn the_python_sdk_works_as_it_is() {
    let Some(python) = python_packages() else { return };
    let daemon = Daemon::start().await;
    assert_eq!(Site::ADMIN_EMAIL, "admin@example.com", "the script asserts it");
    let mut command = python.program("python");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/daemon/python/sdk.py"));
    command.args([&daemon.base_url(), daemon.site().token().unwrap()]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}
