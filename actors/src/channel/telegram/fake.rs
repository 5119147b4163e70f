//! The stand-in for Telegram that the black-box tests have, too, and an intake that keeps what it is given: for the tests that
//! speak with a server.
#[path = "../../../../tests/daemon/fakes/telegram.rs"]
#[allow(dead_code, missing_docs)]
mod telegram;

use super::{Settings, TelegramChannel};
use crate::channel::stand_ins::receiver::{Received, Receiver, Reply};
use crate::channel::stand_ins::shared::shared;
use crate::channel::{ChannelError, Intake, Providers, SessionStatus, Tools};
use crate::files::Files;
use crate::message::Update;
use crate::secret::{Secret, Vault};
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
pub use telegram::{Call, Outcome, TOKEN, Telegram, contract};
use tokio::sync::Notify;

/// A channel whose provider is the stand-in.
pub fn channel(fake: &Telegram, settings: Settings, public_url: &str) -> TelegramChannel {
    let files = Files::new(Arc::new(object_store::memory::InMemory::new()), Vault::new(&[1; 32]), public_url);
    let providers = Providers { telegram_url: fake.url.clone(), ..Providers::default() };
    TelegramChannel::new(settings, &Tools { public_url: public_url.into(), relay: None, files, providers })
}

/// Settings of the bot that the server knows.
pub fn settings() -> Settings {
    Settings { bot_token: Secret::new(TOKEN), ..Settings::default() }
}

/// Keeps everything it is given.
#[derive(Default)]
pub struct Desk {
    pub delivered: Mutex<Vec<Update>>,
    pub cursor: Mutex<Option<Value>>,
    pub connected: AtomicBool,
    pub refuses: AtomicBool,
    changed: Notify,
}

impl Desk {
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
        assert!(tokio::time::timeout(Duration::from_secs(20), waiting).await.is_ok(), "still waiting for {what}");
    }

    /// What the messages said, in order.
    pub fn said(&self) -> Vec<String> {
        let delivered = self.delivered.lock().unwrap();
        let said = |update: &Update| match update {
            Update::Message(inbound) => inbound.content.clone().unwrap_or_default(),
            Update::Unreadable { provider_key, .. } => provider_key.clone(),
            other => format!("{other:?}"),
        };
        delivered.iter().map(said).collect()
    }

    pub fn offset(&self) -> Option<i64> {
        self.cursor.lock().unwrap().as_ref().and_then(|cursor| cursor["offset"].as_i64())
    }
}

#[async_trait]
impl Intake for Desk {
    async fn deliver(&self, update: Update) -> Result<(), ChannelError> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(ChannelError::temporary("the database is away"));
        }
        self.delivered.lock().unwrap().push(update);
        self.changed.notify_waiters();
        Ok(())
    }

    async fn park(&self, provider_key: &str, _: &str, _: Bytes) -> Result<(), ChannelError> {
        panic!("told as an update instead: {provider_key}");
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
