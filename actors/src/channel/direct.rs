//! Channels whose other side talks to the daemon itself, over HTTP and websockets: the API channel and websites. Messages come in
//! through an API of ours and leave as events, so there is nothing to connect and nothing to send.
use super::{Channel, ChannelError, Inlet, SessionStatus};
use crate::message::{Capabilities, Delivery, Outbound, ProviderId};
use async_trait::async_trait;

/// What such a channel can do.
pub fn capabilities() -> Capabilities {
    Capabilities { delivery: Delivery::Events, ..Capabilities::PLAIN }
}

/// Such a channel.
pub struct DirectChannel;

#[async_trait]
impl Channel for DirectChannel {
    async fn run(&self, inlet: &Inlet) -> Result<(), ChannelError> {
        inlet.status(SessionStatus::Connected);
        std::future::pending().await
    }

    async fn send(&self, _: &Outbound) -> Result<ProviderId, ChannelError> {
        Err(ChannelError::Rejected("messages of this inbox leave as events".into()))
    }

    fn capabilities(&self) -> Capabilities {
        capabilities()
    }
}
