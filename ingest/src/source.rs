//! The contract of a source that is asked for its events: pure given the clock, paced by whoever drives it.

use std::io;
use std::path::PathBuf;

use highwater_dataflow::EventTime;

use crate::intake::Intake;

/// The most events one call of [`Source::poll`] hands over: what bounds a delivery, and so the journal's frames.
pub const POLL_MAX: usize = 4096;

/// A source of events in one or more partitions.
///
/// It starts no thread, never sleeps and never asks what time it is: equal configuration, equal positions and equal
/// clock readings give equal events.
pub trait Source: Sized + Send {
    type Config;

    /// Names of the partitions, in the order of their indexes; stable across restarts.
    fn partitions(config: &Self::Config) -> Vec<String>;

    /// Opens each partition just after `resume[index]`, an [`Intake::position`] it handed out before; at its
    /// beginning where that is `None` or absent.
    fn open(config: Self::Config, resume: &[Option<u64>]) -> Result<Self, SourceError>;

    /// Appends the events of *one* partition that are due at `now` (ms UTC), at most [`POLL_MAX`], and says whose
    /// they are and when to ask again. Never blocks.
    ///
    /// Errors: [`SourceError`] says whether asking again can help; nothing is lost or repeated by it.
    fn poll(&mut self, now: EventTime, out: &mut Vec<Intake>) -> Result<Polled, SourceError>;

    /// Where a reader opened now would resume: after the last event handed out, never on it.
    fn position(&self, partition: usize) -> u64;
}

/// What one call of [`Source::poll`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polled {
    /// Index of the partition the appended events belong to.
    pub partition: usize,
    /// What the source's clock said when the last of them came, ms UTC: for [`crate::intake::Delivery::received_at`].
    pub received_at: EventTime,
    pub next: Next,
}

/// When to poll again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// At once: there is more.
    Ready,
    /// When the clock given to `poll` reaches this.
    At(EventTime),
    /// Never: every partition has ended.
    Done,
}

/// The world behind a source failed.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("cannot open {}; check that it exists and may be read", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} {reason}", path.display())]
    Format { path: PathBuf, reason: String },
    #[error("{0}")]
    Config(String),
}

impl SourceError {
    /// Whether the same call can succeed later without anybody changing anything.
    pub fn retry(&self) -> bool {
        match self {
            SourceError::Read { source, .. } => !matches!(
                source.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound
            ),
            SourceError::Open { .. } | SourceError::Format { .. } | SourceError::Config(_) => false,
        }
    }
}
