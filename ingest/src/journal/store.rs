//! The segments and the witness as one thing that grows at its end: opened, appended to, rotated, dropped from.

use std::fs::File;
use std::path::{Path, PathBuf};

use highwater_dataflow::{Epoch, EventTime};
use tracing::{info, warn};

use super::disk::{Disk, Step};
use super::error::JournalError;
use super::files::{self, SegmentFile, sync_dir};
use super::frame::{Frame, Hash};
use super::ledger::Ledger;
use super::options::Options;
use super::segment::{Checkpoint, Meta, Segment, StoredFrame};
use super::walk::walk;
use super::witness::{self, Witness, WitnessFile};

/// Where the journal ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// The last frame; 0 before the first.
    pub epoch: Epoch,
    /// The last record; 0 before the first.
    pub seq: u64,
    /// The chain's hash there.
    pub hash: Hash,
}

impl Tip {
    /// What the next frame links to: this, or the head of a segment that has no frames yet.
    pub(super) fn linked(self, head: Option<Hash>) -> Tip {
        Tip { hash: head.unwrap_or(self.hash), ..self }
    }
}

/// What opening found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    pub tip: Tip,
    /// Frames and records that were whole but never acknowledged: kept, and durable now.
    pub unacknowledged_frames: u64,
    pub unacknowledged_records: u64,
    /// Bytes of write-ahead log that were found: more than 0 after an unclean stop.
    pub log_bytes: u64,
}

/// The open journal on disk.
pub(super) struct Store {
    dir: PathBuf,
    segments: Vec<SegmentFile>,
    active: Segment,
    active_bytes: u64,
    active_created_ms: EventTime,
    log_bytes: u64,
    witness: WitnessFile,
    tip: Tip,
    /// The hash of the active segment's head while it has no frames: what its first frame links to.
    head: Option<Hash>,
    disk: Box<dyn Disk>,
    /// Held, not read: the lock goes with it.
    _lock: File,
}

/// What a row costs besides its payload, about.
const ROW_BYTES: u64 = 8_192;

const NOTHING: Witness =
    Witness { generation: 0, epoch: 0, seq: 0, hash: [0; 32], retained_from: 1 };

impl Store {
    /// Locks the directory, checks everything, makes it durable, and only then lets anybody write.
    ///
    /// The order is verify, checkpoint, witness: checking first leaves a refused journal exactly as it was, its
    /// log included; checkpointing before use makes sure that a commit found in the page cache is on disk before
    /// anyone is told "seen".
    pub(super) fn open(
        dir: &Path,
        options: &Options,
        now_ms: EventTime,
        disk: Box<dyn Disk>,
    ) -> Result<(Store, Ledger, Recovery), JournalError> {
        check_sqlite()?;
        let lock = files::lock(dir)?;
        files::remove_drafts(dir)?;
        let mut segments = files::list(dir)?;
        if !witness::exists(dir) && segments.is_empty() {
            WitnessFile::create(dir, NOTHING)?;
        }
        let mut witness = WitnessFile::open(dir)?;
        let retained = witness.last.retained_from;
        while segments.first().is_some_and(|first| first.first_seq < retained) {
            let dropped = segments.remove(0);
            info!(segment = %dropped.path.display(), "finishing an interrupted drop");
            unlink(dir, &dropped)?;
        }
        if segments.is_empty() {
            if witness.last.epoch != 0 {
                return Err(JournalError::Damaged {
                    segment: super::error::name_of(&SegmentFile::new(dir, retained).path),
                    from: retained,
                    to: witness.last.seq.max(retained),
                    what: "all segments are missing".into(),
                });
            }
            segments.push(Segment::create(dir, &beginning(now_ms))?);
        }
        let walked = walk(&segments, &witness.last, options.verify, |_, _| {})?;
        let log_bytes = segments.iter().map(SegmentFile::log_bytes).sum();
        let active = settle(dir, &segments)?;
        let recovery = Recovery {
            tip: walked.tip,
            unacknowledged_frames: walked.frames_above,
            unacknowledged_records: walked.records_above,
            log_bytes,
        };
        if walked.tip.epoch > witness.last.epoch {
            let Tip { epoch, seq, hash } = walked.tip;
            witness.write(Witness { epoch, seq, hash, ..witness.last })?;
        }
        report(dir, &recovery);
        let store = Store {
            dir: dir.to_owned(),
            segments,
            active,
            active_bytes: walked.active_bytes,
            active_created_ms: walked.active_created_ms,
            log_bytes: 0,
            witness,
            tip: walked.tip,
            head: walked.head,
            disk,
            _lock: lock,
        };
        Ok((store, walked.ledger, recovery))
    }

    pub(super) fn tip(&self) -> Tip {
        self.tip
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The first record still held.
    pub(super) fn retained_from(&self) -> u64 {
        self.witness.last.retained_from
    }

    /// Makes frames that follow each other durable as one, witness included; they share a segment. `ledger` gives the
    /// state before them, for a new segment's head.
    ///
    /// Errors: `Full`, and nothing has changed; any other means that this store must not be used again.
    pub(super) fn append(
        &mut self,
        frames: &[Frame],
        ledger: impl FnOnce() -> Ledger,
        options: &Options,
    ) -> Result<(), JournalError> {
        let Some(first) = frames.first() else { return Ok(()) };
        if self.rotation_due(first, options) {
            self.rotate(&ledger(), first.clock_ms)?;
        }
        let mut tip = self.tip.linked(self.head);
        let mut stored = Vec::with_capacity(frames.len());
        for frame in frames {
            assert!(
                frame.epoch > tip.epoch && frame.first_seq == tip.seq + 1,
                "a frame follows the last one"
            );
            let frame = StoredFrame::new(frame, &tip);
            tip = frame.tip();
            stored.push(frame);
        }
        let format = frames.iter().map(Frame::format).max().expect("there is a first one");
        self.active.append(&stored, format, &mut *self.disk)?;
        self.reach(Step::BeforeWitness)?;
        let Tip { epoch, seq, hash } = tip;
        self.witness.write(Witness { epoch, seq, hash, ..self.witness.last })?;
        self.reach(Step::AfterWitness)?;
        self.tip = tip;
        self.head = None;
        for frame in &stored {
            self.active_bytes += frame.payload.len() as u64;
            self.log_bytes += frame.payload.len() as u64 + ROW_BYTES;
        }
        Ok(())
    }

    /// Housekeeping that acknowledgements need not wait for.
    pub(super) fn after_append(&mut self, options: &Options) -> Result<(), JournalError> {
        if self.log_bytes < options.log_bytes {
            return Ok(());
        }
        self.reach(Step::BeforeCheckpoint)?;
        match self.active.checkpoint(Checkpoint::Passive) {
            Ok(_) => self.log_bytes = 0,
            // The log keeps everything: it is copied once there is room.
            Err(JournalError::Full) => warn!("no room to copy the journal's log into its segment"),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Unlinks the segments whose records are all before `seq`; never the one being written.
    ///
    /// Returns how many went.
    pub(super) fn drop_before(&mut self, seq: u64) -> Result<usize, JournalError> {
        let going = self.segments.windows(2).take_while(|pair| pair[1].first_seq <= seq).count();
        if going == 0 {
            return Ok(0);
        }
        let retained_from = self.segments[going].first_seq;
        self.witness.write(Witness { retained_from, ..self.witness.last })?;
        self.reach(Step::BeforeUnlink)?;
        for segment in self.segments.drain(..going) {
            unlink(&self.dir, &segment)?;
            info!(segment = %segment.path.display(), "journal segment dropped");
        }
        Ok(going)
    }

    /// Leaves everything in the segments and no log behind. Not needed for safety.
    pub(super) fn close(self) -> Result<(), JournalError> {
        self.active.checkpoint(Checkpoint::Truncate).map(drop)
    }

    fn rotation_due(&self, frame: &Frame, options: &Options) -> bool {
        let newest = self.segments.last().expect("a journal has a segment");
        // A segment is named by its first record: one without records cannot be followed by another.
        let named = self.tip.seq >= newest.first_seq;
        named
            && (self.active_bytes >= options.segment_bytes
                || options.hour(frame.clock_ms) > options.hour(self.active_created_ms))
    }

    fn rotate(&mut self, ledger: &Ledger, now_ms: EventTime) -> Result<(), JournalError> {
        self.reach(Step::BeforeRotate)?;
        let meta = Meta {
            first_seq: self.tip.seq + 1,
            prev_epoch: self.tip.epoch,
            prev_hash: self.tip.hash,
            created_ms: now_ms,
            ledger: ledger.encode(),
            sealed: false,
        };
        let file = Segment::create(&self.dir, &meta)?;
        self.reach(Step::AfterRotate)?;
        let next = Segment::open(&file.path)?;
        let previous = std::mem::replace(&mut self.active, next);
        self.segments.push(file);
        self.active_bytes = 0;
        self.active_created_ms = now_ms;
        self.log_bytes = 0;
        self.head = Some(meta.hash());
        match previous.seal().and_then(|()| previous.checkpoint(Checkpoint::Truncate)) {
            // A reader is in the way: the log stays and is copied at the next start.
            Ok(false) => info!(segment = previous.name(), "sealed journal segment keeps its log"),
            Ok(true) => {}
            Err(JournalError::Full) => {
                warn!(segment = previous.name(), "no room to finish a sealed journal segment");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn reach(&mut self, step: Step) -> Result<(), JournalError> {
        self.disk.reach(step).map_err(|e| JournalError::io("cannot write to", &self.dir, e))
    }
}

fn beginning(now_ms: EventTime) -> Meta {
    Meta {
        first_seq: 1,
        prev_epoch: 0,
        prev_hash: [0; 32],
        created_ms: now_ms,
        ledger: Ledger::default().encode(),
        sealed: false,
    }
}

/// Makes what was just verified durable, and opens the last segment for appending.
fn settle(dir: &Path, segments: &[SegmentFile]) -> Result<Segment, JournalError> {
    let (last, earlier) = segments.split_last().expect("a journal has a segment");
    for file in earlier {
        let segment = Segment::open(&file.path)?;
        segment.seal()?;
        segment.checkpoint(Checkpoint::Truncate)?;
    }
    let active = Segment::open(&last.path)?;
    active.checkpoint(Checkpoint::Truncate)?;
    sync_dir(dir).map_err(|e| JournalError::io("cannot sync", dir, e))?;
    Ok(active)
}

fn unlink(dir: &Path, segment: &SegmentFile) -> Result<(), JournalError> {
    files::remove(&segment.path)
        .and_then(|()| sync_dir(dir))
        .map_err(|e| JournalError::io("cannot remove", &segment.path, e))
}

fn check_sqlite() -> Result<(), JournalError> {
    if rusqlite::version_number() < 3_051_003 {
        return Err(JournalError::OldSqlite { found: rusqlite::version() });
    }
    Ok(())
}

fn report(dir: &Path, recovery: &Recovery) {
    let Recovery { tip, unacknowledged_frames, unacknowledged_records, log_bytes } = *recovery;
    info!(
        dir = %dir.display(),
        epoch = tip.epoch,
        seq = tip.seq,
        log_bytes,
        unacknowledged_frames,
        unacknowledged_records,
        "journal verified"
    );
}
