//! Reading a journal's frames in order without being its writer: for replays, plans, and what retention drops.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;
use std::sync::Arc;

use highwater_dataflow::view::Stamps;
use highwater_dataflow::{Epoch, EventTime, PartitionId};

use super::error::{JournalError, name_of};
use super::files;
use super::follower::ReadBack;
use super::options::Decoder;
use super::outlet::Committed;
use super::reader::Reader;
use super::replay::{decode, reread};
use super::segment::Segment;
use super::store::Tip;
use super::witness;

/// Hands out the frames after an epoch up to what was acknowledged when it was opened, beside a running writer or
/// without one; takes no lock and changes nothing.
pub struct Scan {
    back: ReadBack,
    reader: Reader,
    names: BTreeMap<PartitionId, String>,
    decode: Decoder,
    end: Epoch,
}

impl Scan {
    /// Errors: `Absent`; `Gone` when retention has dropped what follows `after` (0: the journal's beginning).
    pub fn open(dir: &Path, after: Epoch) -> Result<Scan, JournalError> {
        let reader = Reader::open(dir)?;
        let end = witness::read(dir)?.epoch;
        let back = ReadBack::open(dir.to_owned(), after)?;
        Ok(Scan { back, reader, names: BTreeMap::new(), decode, end })
    }

    /// The last frame it will hand out; 0 when the journal is empty.
    pub fn end(&self) -> Epoch {
        self.end
    }

    /// Where the frame handed out last ends.
    pub fn at(&self) -> Tip {
        self.back.tip
    }

    /// The next frame; `None` after the last.
    ///
    /// Errors: `Damaged`.
    pub fn next_frame(&mut self) -> Result<Option<Committed>, JournalError> {
        let at = self.back.tip.epoch;
        if at >= self.end {
            return Ok(None);
        }
        let frame = self.back.next_after(at)?;
        for partition in frame.records.iter().map(|record| record.partition) {
            if let Entry::Vacant(unknown) = self.names.entry(partition) {
                unknown.insert(self.reader.name(partition)?);
            }
        }
        let stamps = Arc::new(Stamps { replay: true, ..Stamps::default() });
        let name =
            |id| self.names.get(&id).cloned().expect("every record's partition was looked up");
        Ok(Some(reread(frame, at, stamps, self.decode, name)))
    }
}

/// A segment as retention sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentStat {
    pub name: String,
    /// Its first record.
    pub first_seq: u64,
    /// When it was begun, ms UTC by the journal's clock: everything in the segments before it is older.
    pub created_ms: EventTime,
    /// Where the journal stood before it.
    pub before: Tip,
    pub bytes: u64,
}

/// The segments of the journal in `dir`, oldest first.
pub fn segments(dir: &Path) -> Result<Vec<SegmentStat>, JournalError> {
    let retained = witness::read(dir)?.retained_from;
    let files = files::list(dir)?.into_iter().filter(|file| file.first_seq >= retained);
    files
        .map(|file| {
            let meta = Segment::open_for_reading(&file.path)?.meta()?;
            Ok(SegmentStat {
                name: name_of(&file.path),
                first_seq: meta.first_seq,
                created_ms: meta.created_ms,
                before: meta.before(),
                bytes: file.bytes(),
            })
        })
        .collect()
}

/// The last frame that is not after this epoch, as a place in the chain, which is before the first where there is none;
/// `None` when retention has dropped it.
pub fn tip_until(dir: &Path, epoch: Epoch) -> Result<Option<Tip>, JournalError> {
    for file in files::list(dir)?.into_iter().rev() {
        let segment = Segment::open_for_reading(&file.path)?;
        let meta = segment.meta()?;
        if epoch < meta.prev_epoch {
            continue;
        }
        let found = segment.last_until(epoch)?;
        return Ok(Some(found.map_or(meta.before(), |stored| stored.tip())));
    }
    Ok(None)
}
