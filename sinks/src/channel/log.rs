//! The `log` channel: each message as a line of the program's own log. Delivered as soon as it is written.

use highwater_dataflow::{EventTime, Step};
use serde::Deserialize;
use tracing::info;

use super::{Channel, Message, Outcome, Retry, all_steps};

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    pub name: String,
    /// The steps this channel wants; all unless given.
    #[serde(default = "all_steps")]
    pub steps: Vec<Step>,
}

pub(super) struct LogChannel(LogConfig);

impl LogChannel {
    pub(super) fn open(config: &LogConfig) -> LogChannel {
        LogChannel(config.clone())
    }
}

impl Channel for LogChannel {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn wants(&self, step: Step) -> bool {
        self.0.steps.contains(&step)
    }

    fn width(&self) -> usize {
        64
    }

    fn retry(&self) -> Retry {
        Retry::default()
    }

    fn deliver(&mut self, messages: &[Message], _: EventTime) -> Vec<Outcome> {
        for message in messages {
            // Names come from outside: their debug form keeps a line a line.
            info!(
                key = ?message.dedup_key,
                step = message.step.name(),
                summary = ?message.summary,
                causes = ?message.causes,
                "alert"
            );
        }
        messages.iter().map(|_| Outcome::Delivered).collect()
    }
}
