//! An intake in memory, and channels to try, for the tests that speak with servers.
#![allow(clippy::unwrap_used)]
use super::{EmailChannel, Settings};
use crate::channel::{ChannelError, Intake, MailRelay, Providers, SessionStatus, Tools};
use crate::files::Files;
use crate::message::{Inbound, Update};
use crate::secret::Vault;
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// Keeps everything it is given.
#[derive(Default)]
pub struct Desk {
    pub delivered: Mutex<Vec<Inbound>>,
    pub parked: Mutex<Vec<(String, String)>>,
    pub cursor: Mutex<Option<Value>>,
    pub connected: AtomicBool,
    pub refuses: AtomicBool,
    changed: Notify,
}

impl Desk {
    /// Waits until something is true of the desk.
    pub async fn wait_for(&self, what: &str, condition: impl Fn(&Desk) -> bool) {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                if condition(self) {
                    return;
                }
                changed.await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(30), waiting).await.is_ok(), "still waiting for {what}");
    }

    /// The provider ids of what was delivered, in order.
    pub fn ids(&self) -> Vec<String> {
        self.delivered.lock().unwrap().iter().map(|inbound| inbound.provider_id.clone().unwrap_or_default()).collect()
    }

    /// The UID in the cursor.
    pub fn uid(&self) -> Option<u64> {
        self.cursor.lock().unwrap().as_ref().and_then(|cursor| cursor.get("uid")?.as_u64())
    }
}

#[async_trait]
impl Intake for Desk {
    async fn deliver(&self, update: Update) -> Result<(), ChannelError> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(ChannelError::temporary("the database is away"));
        }
        let Update::Message(inbound) = update else { panic!("not a message: {update:?}") };
        self.delivered.lock().unwrap().push(*inbound);
        self.changed.notify_waiters();
        Ok(())
    }

    async fn park(&self, provider_key: &str, reason: &str, _: Bytes) -> Result<(), ChannelError> {
        self.parked.lock().unwrap().push((provider_key.to_owned(), reason.to_owned()));
        self.changed.notify_waiters();
        Ok(())
    }

    async fn cursor(&self) -> Result<Option<Value>, ChannelError> {
        Ok(self.cursor.lock().unwrap().clone())
    }

    async fn save_cursor(&self, cursor: Value) -> Result<(), ChannelError> {
        *self.cursor.lock().unwrap() = Some(cursor);
        self.changed.notify_waiters();
        Ok(())
    }

    fn status(&self, _: SessionStatus) {
        self.connected.store(true, Ordering::SeqCst);
        self.changed.notify_waiters();
    }
}

/// A channel with files in memory.
pub fn channel(settings: Settings, relay: Option<MailRelay>) -> EmailChannel {
    let files = Files::new(Arc::new(object_store::memory::InMemory::new()), Vault::new(&[1; 32]), "https://desk.example");
    let providers = Providers::default();
    EmailChannel::new(settings, Tools { public_url: "https://desk.example".into(), relay: relay.map(Arc::new), files, providers })
}
