//! The journal as the HTTP source sees it: take a delivery, answer when it is durable.

use std::future::Future;
use std::pin::Pin;

use crate::intake::Delivery;

/// Where deliveries become durable.
///
/// A port of its own so that a test can withhold the answer, which is the only way to see that a sender is never told
/// "accepted" before the disk has it.
pub trait Journal: Send + Sync + 'static {
    /// Queues `delivery` whole, without blocking; the receipt resolves once every item of it is durable.
    fn submit(&self, delivery: Delivery) -> Result<Receipt, NotDurable>;
}

/// The promise of [`Journal::submit`].
pub type Receipt = Pin<Box<dyn Future<Output = Result<Appended, NotDurable>> + Send>>;

/// A delivery that is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// One entry for each item of the delivery, in its order.
    pub items: Vec<Placed>,
}

/// What became of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its position: of an event in the journal, of a dead letter among the dead letters.
    pub seq: u64,
    /// Why the journal set the item aside as a dead letter, where that was the journal's own judgement.
    pub refused: Option<String>,
}

/// Nothing of the delivery may be called accepted. Sending it again is always safe: events are counted once by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDurable {
    /// The queue before the journal is full. Nothing was written; a retry helps in a moment.
    #[error("the journal's queue is full")]
    Overloaded,
    /// It would not fit into the queue if that were empty: only a smaller delivery will.
    #[error("the journal takes at most {max_events} events and {max_bytes} bytes at a time")]
    TooLarge { max_events: usize, max_bytes: usize },
    /// The disk, or the journal's share of it, is full. Nothing was written; a retry helps once there is room.
    #[error("the journal is full")]
    Full,
    /// The journal cannot write, or is closing. Part may have been written; a retry helps after a restart.
    #[error("the journal is not accepting writes")]
    Failing,
}
