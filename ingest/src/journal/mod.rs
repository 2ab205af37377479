//! The journal: where every event becomes durable before anyone is told it was accepted.
//!
//! ```text
//! sources -> bounded queue -> writer thread -> SQLite segment, synced -> witness, synced -> acknowledgements
//!                                                     |                                        |
//!                                                     +-- read back when it lags --> Follower <+ outlet
//! ```
//!
//! A *frame* is one group commit, one row of a segment and one epoch of the dataflow. Frames form one hash chain
//! across segments; the *witness*, a separate file synced after every commit, says how far the chain must reach.
//! SQLite takes damage in the middle of its log for a torn tail and forgets what follows; the witness does not.
//!
//! - Nothing is acknowledged that is not in a synced segment and a synced witness.
//! - Frames above the witness were never acknowledged: kept when whole, harmless when torn.
//! - Anything missing or changed below it refuses to open, and says which segment and range.
//! - After a failed read, write or sync the writer stops for good; only a full disk is survived.

mod assemble;
mod backup;
mod book;
mod core;
mod disk;
mod door;
mod error;
mod export;
mod files;
mod follower;
mod frame;
mod ledger;
mod options;
mod outlet;
mod queue;
mod reader;
mod receipts;
mod replay;
mod scan;
mod segment;
mod signals;
mod store;
mod verify;
mod walk;
mod wire;
mod witness;
mod writer;

#[cfg(test)]
mod tests;

pub use self::backup::backup;
pub use self::core::Journal;
pub use self::disk::{Disk, RealDisk, Step};
pub use self::error::JournalError;
pub use self::export::{Exported, export, import};
pub use self::follower::Follower;
pub use self::frame::{Frame, Hash, Record, Registration};
pub use self::options::{Decoder, Options, PartitionSpec, Verify};
pub use self::outlet::{Committed, DeadLetter, FrameMeta, Recorded};
pub use self::reader::Reader;
pub use self::receipts::Receipt;
pub use self::replay::path_of;
pub use self::scan::{Scan, SegmentStat, segments, tip_until};
pub use self::store::{Recovery, Tip};
pub use self::verify::{Report, SegmentReport, Stat, stat, verify};
pub use self::writer::{
    Acknowledgement, Appended, Fatal, JournalStatus, JournalWriter, PartitionStatus, Refusal,
    Refused,
};
