//! Where a test makes the disk fail, fill up or stop: the steps between a frame and its acknowledgement.

use std::io;

/// A point at which a crash leaves something different behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// The frame's row is written in an open transaction.
    BeforeCommit,
    /// The segment is synced; the witness does not know of it yet.
    AfterCommit,
    /// The directory entry of a new log file is about to be synced.
    BeforeDirectorySync,
    /// The witness is about to be written.
    BeforeWitness,
    /// The witness is synced; nothing has been acknowledged yet.
    AfterWitness,
    /// The log is about to be copied into its segment.
    BeforeCheckpoint,
    /// The next segment is about to be made.
    BeforeRotate,
    /// The next segment has its name and is synced; the previous one is not sealed yet.
    AfterRotate,
    /// The witness has given up a segment; its file is about to go.
    BeforeUnlink,
    /// A checkpoint is written under a temporary name and not yet synced.
    BeforeSnapshotSync,
    /// It is synced and does not have its name yet.
    BeforeSnapshotName,
    /// It has its name, and the directory is not synced; older ones are still there.
    AfterSnapshotName,
}

impl Step {
    /// All of them, in the order in which a frame meets them.
    pub const ALL: [Step; 12] = [
        Step::BeforeCommit,
        Step::AfterCommit,
        Step::BeforeDirectorySync,
        Step::BeforeWitness,
        Step::AfterWitness,
        Step::BeforeCheckpoint,
        Step::BeforeRotate,
        Step::AfterRotate,
        Step::BeforeUnlink,
        Step::BeforeSnapshotSync,
        Step::BeforeSnapshotName,
        Step::AfterSnapshotName,
    ];
}

/// The seam for fault injection.
pub trait Disk: Send + 'static {
    /// Called at each step. An error is treated as the disk's own: `StorageFull` as a full disk where that can
    /// happen, all others as the end of the journal.
    fn reach(&mut self, step: Step) -> io::Result<()>;

    /// The number of pages at which a segment counts as a full disk.
    fn page_limit(&mut self) -> Option<u32> {
        None
    }
}

/// The disk as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn reach(&mut self, _step: Step) -> io::Result<()> {
        Ok(())
    }
}
