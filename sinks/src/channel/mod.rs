//! Alert channels: where the messages of an alert's life go. Each delivers at least once, in order per alert, under
//! a key that stays the same over retries, so that a receiver that remembers keys ends in the computed state.

mod address;
mod file;
mod format;
mod log;
mod message;
mod signature;
mod webhook;

use std::time::Duration;

use highwater_dataflow::{EventTime, Step};
use serde::Deserialize;

pub use file::FileConfig;
pub use format::Format;
pub use log::LogConfig;
pub use message::{Message, Resolve, Status};
pub use webhook::WebhookConfig;

/// A way out for alert messages.
pub trait Channel: Send {
    /// Names it in the outbox: stable over restarts, distinct among channels.
    fn name(&self) -> &str;
    /// Whether it wants messages of this step.
    fn wants(&self, step: Step) -> bool;
    /// How many messages it takes at once.
    fn width(&self) -> usize;
    fn retry(&self) -> Retry;
    /// Hands messages of distinct alerts to the receiver; one outcome for each, in their order. `now` is wall-clock
    /// time, ms UTC.
    fn deliver(&mut self, messages: &[Message], now: EventTime) -> Vec<Outcome>;
}

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Delivered,
    /// Try again: not before `after` where the receiver said so. `everybody`: the receiver itself is unwell, so the
    /// channel's other messages wait as well.
    Retry {
        reason: String,
        after: Option<Duration>,
        everybody: bool,
    },
    /// The receiver will not have this message, now or later.
    Refused {
        reason: String,
    },
}

/// How a channel tries again: exponentially longer, with jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// Around which the first wait is drawn, ms.
    pub first_ms: u64,
    /// No wait is longer, ms, unless the receiver asks for it.
    pub longest_ms: u64,
    /// A message refused so often is given up and marked `dead`, with the reason.
    pub refusals_max: u32,
}

impl Default for Retry {
    fn default() -> Self {
        Retry { first_ms: 1_000, longest_ms: 300_000, refusals_max: 3 }
    }
}

/// A channel in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ChannelConfig {
    Log(LogConfig),
    File(FileConfig),
    Webhook(WebhookConfig),
}

/// A channel that cannot be opened as configured.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    #[error("channel {channel}: environment variable {variable} is not set")]
    MissingSecret { channel: String, variable: String },
    #[error("channel {channel}: the secret in {variable} {reason}")]
    WeakSecret { channel: String, variable: String, reason: &'static str },
    #[error("channel {channel}: {reason}")]
    Config { channel: String, reason: String },
    #[error("channel {channel}: {path}: {source}")]
    Io { channel: String, path: String, source: std::io::Error },
}

impl ChannelConfig {
    pub fn name(&self) -> &str {
        match self {
            ChannelConfig::Log(config) => &config.name,
            ChannelConfig::File(config) => &config.name,
            ChannelConfig::Webhook(config) => &config.name,
        }
    }

    /// Says what would keep the channel from opening, as far as that can be told without touching anything.
    pub fn check(&self, secret: &dyn Fn(&str) -> Option<String>) -> Result<(), ChannelError> {
        match self {
            ChannelConfig::Log(_) | ChannelConfig::File(_) => Ok(()),
            ChannelConfig::Webhook(config) => webhook::Webhook::open(config, secret).map(drop),
        }
    }

    /// Opens the channel; `secret` looks up environment variables.
    pub fn open(
        &self,
        secret: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Box<dyn Channel>, ChannelError> {
        Ok(match self {
            ChannelConfig::Log(config) => Box::new(log::LogChannel::open(config)),
            ChannelConfig::File(config) => Box::new(file::FileChannel::open(config)?),
            ChannelConfig::Webhook(config) => Box::new(webhook::Webhook::open(config, secret)?),
        })
    }
}

/// Every step of an alert's life: what a channel gets unless it chooses.
fn all_steps() -> Vec<Step> {
    vec![Step::Opened, Step::Amended, Step::Resolved, Step::Retracted]
}

#[cfg(test)]
pub(crate) mod tests {
    pub(crate) use super::message::tests::notification;
}
