//! Where a test stops the writer: the moments at which a crash of the views leaves something different behind.

use std::sync::Arc;

/// A point between what the dataflow computed and what a receiver has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Moment {
    /// Rows, marker and messages are written in an open transaction.
    BeforeCommit,
    /// The transaction is committed and synced; nobody has been told.
    AfterCommit,
    /// The write-ahead log is about to be moved into the database.
    BeforeLog,
    /// Messages are about to be handed to a channel.
    BeforeDelivery,
    /// The channel has their outcome; the outbox does not know of it yet.
    AfterDelivery,
}

impl Moment {
    /// All of them, in their order.
    pub const ALL: [Moment; 5] = [
        Moment::BeforeCommit,
        Moment::AfterCommit,
        Moment::BeforeLog,
        Moment::BeforeDelivery,
        Moment::AfterDelivery,
    ];
}

/// Called at every moment, on the thread that has reached it.
pub type Reached = Arc<dyn Fn(Moment) + Send + Sync>;

/// Tells whoever wants to know; without anybody it costs a comparison.
pub(crate) fn tell(reached: Option<&Reached>, moment: Moment) {
    if let Some(reached) = reached {
        reached(moment);
    }
}
