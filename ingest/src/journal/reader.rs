//! Looking things up in a journal, live or at rest: dead letters, single records, the ids behind causes.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use highwater_dataflow::{Epoch, PartitionId};
use serde::Deserialize;

use super::error::JournalError;
use super::files::{self, SegmentFile};
use super::frame::{Frame, Record};
use super::ledger::Ledger;
use super::outlet::DeadLetter;
use super::replay::dead_letter;
use super::segment::Segment;
use super::witness;

/// Reads beside a running writer, or without one; takes no lock and changes nothing.
pub struct Reader {
    dir: PathBuf,
    open: Option<(SegmentFile, Segment)>,
    names: BTreeMap<PartitionId, String>,
    ids: Ids,
}

impl Reader {
    /// Errors: `Absent` when there is no journal in `dir`.
    pub fn open(dir: &Path) -> Result<Reader, JournalError> {
        if !witness::exists(dir) {
            return Err(JournalError::Absent { dir: dir.to_owned() });
        }
        Ok(Reader { dir: dir.to_owned(), open: None, names: BTreeMap::new(), ids: Ids::default() })
    }

    /// The dead letters from record `from_seq` on, at most `limit`: those that were refused when they came.
    pub fn dead_letters(
        &mut self,
        from_seq: u64,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, JournalError> {
        let mut found = Vec::new();
        let files = files::list(&self.dir)?;
        let first = files.partition_point(|file| file.first_seq <= from_seq).saturating_sub(1);
        for file in &files[first.min(files.len())..] {
            let mut after = 0;
            loop {
                let epochs = self.enter(file)?.rejected_after(after, 64)?;
                let Some(&last) = epochs.last() else { break };
                for epoch in epochs {
                    let Some(frame) = self.frame(file, epoch)? else { continue };
                    for mut record in frame.records {
                        let Some(reason) = record.rejected.take() else { continue };
                        if record.seq >= from_seq {
                            let name = self.name(record.partition)?;
                            found.push(dead_letter(record, name, reason));
                        }
                        if found.len() == limit {
                            return Ok(found);
                        }
                    }
                }
                after = last;
            }
        }
        Ok(found)
    }

    /// One record; `None` when the journal does not hold it (any more).
    pub fn record(&mut self, seq: u64) -> Result<Option<Record>, JournalError> {
        let frame = self.frame_with(seq)?;
        Ok(frame.and_then(|frame| frame.records.into_iter().find(|record| record.seq == seq)))
    }

    /// The `event_id` of a record, for naming causes.
    ///
    /// Causes lie close together, and a frame is read and verified as a whole: all of its ids are remembered.
    pub fn event_id_of(&mut self, seq: u64) -> Result<Option<String>, JournalError> {
        if let Some(id) = self.ids.get(seq) {
            return Ok(id.map(str::to_owned));
        }
        let Some(frame) = self.frame_with(seq)? else { return Ok(None) };
        self.ids.remember(&frame.records);
        Ok(self.ids.get(seq).flatten().map(str::to_owned))
    }

    fn frame_with(&mut self, seq: u64) -> Result<Option<Frame>, JournalError> {
        let files = files::list(&self.dir)?;
        let Some(at) = files.partition_point(|file| file.first_seq <= seq).checked_sub(1) else {
            return Ok(None);
        };
        let file = &files[at];
        let Some(epoch) = self.epoch_of(file, seq)? else { return Ok(None) };
        self.frame(file, epoch)
    }

    /// The epoch of the frame that holds `seq`. Epochs and sequence numbers grow together, so halving the range of
    /// epochs finds it without an index that every commit would have to keep.
    fn epoch_of(&mut self, file: &SegmentFile, seq: u64) -> Result<Option<Epoch>, JournalError> {
        let segment = self.enter(file)?;
        let Some(last) = segment.last_until(Epoch::MAX)? else { return Ok(None) };
        // The frame sought is the first that ends at `seq` or later; its epoch is in `low..=high`.
        let (mut low, mut high) = (0, last.epoch);
        while low < high {
            let middle = low + (high - low) / 2;
            match segment.span_from(middle)? {
                Some((epoch, _, last_seq)) if last_seq < seq => low = epoch + 1,
                // There is no frame between `middle` and the one found, so that it may stay above `high`.
                _ => high = middle,
            }
        }
        let found = segment.span_from(low)?;
        Ok(found.filter(|&(_, first, last)| first <= seq && seq <= last).map(|found| found.0))
    }

    fn frame(&mut self, file: &SegmentFile, epoch: Epoch) -> Result<Option<Frame>, JournalError> {
        let segment = self.enter(file)?;
        let stored = segment.last_until(epoch)?.filter(|stored| stored.epoch == epoch);
        stored.map(|stored| stored.open().map_err(|what| segment.damaged(what))).transpose()
    }

    fn enter(&mut self, file: &SegmentFile) -> Result<&Segment, JournalError> {
        if self.open.as_ref().is_none_or(|(open, _)| open != file) {
            self.open = Some((file.clone(), Segment::open_for_reading(&file.path)?));
        }
        Ok(&self.open.as_ref().expect("it was just opened").1)
    }

    /// A partition's name: from the newest segment's ledger, else from the frames after it.
    pub(super) fn name(&mut self, id: PartitionId) -> Result<String, JournalError> {
        if !self.names.contains_key(&id) {
            self.learn_names()?;
        }
        Ok(self.names.get(&id).cloned().unwrap_or_else(|| format!("partition {id}")))
    }

    fn learn_names(&mut self) -> Result<(), JournalError> {
        let Some(newest) = files::list(&self.dir)?.pop() else { return Ok(()) };
        let segment = Segment::open_for_reading(&newest.path)?;
        let meta = segment.meta()?;
        let ledger = Ledger::decode(&meta.ledger).map_err(|what| segment.damaged(what))?;
        self.names = ledger.partitions.into_iter().map(|(id, entry)| (id, entry.name)).collect();
        let mut at = meta.prev_epoch;
        loop {
            let frames = segment.frames(at, 256, 1 << 20)?;
            let Some(last) = frames.last() else { return Ok(()) };
            at = last.epoch;
            for stored in &frames {
                let frame = stored.open().map_err(|what| segment.damaged(what))?;
                for registration in frame.registrations {
                    self.names.insert(registration.id, registration.name);
                }
            }
        }
    }
}

/// The ids of the frames that were read last.
#[derive(Default)]
struct Ids {
    /// By the number of the frame's first record.
    frames: BTreeMap<u64, Vec<Option<Box<str>>>>,
    /// The order in which frames were read: the oldest goes first.
    recent: VecDeque<u64>,
    held: usize,
}

/// Ids remembered, beside those of the frame that was read last.
const IDS: usize = 131_072;

impl Ids {
    /// `None`: not remembered; `Some(None)`: the record has no id.
    #[expect(clippy::option_option, reason = "whether it is remembered, and whether it has one")]
    fn get(&self, seq: u64) -> Option<Option<&str>> {
        let (first, ids) = self.frames.range(..=seq).next_back()?;
        ids.get(usize::try_from(seq - first).ok()?).map(Option::as_deref)
    }

    /// `records`: all of a frame's, whose numbers are consecutive.
    fn remember(&mut self, records: &[Record]) {
        while self.held > IDS
            && let Some(oldest) = self.recent.pop_front()
        {
            self.held -= self.frames.remove(&oldest).map_or(0, |ids| ids.len());
        }
        let Some(first) = records.first().map(|record| record.seq) else { return };
        let ids = records.iter().map(|record| event_id(&record.raw).map(String::into_boxed_str));
        self.frames.insert(first, ids.collect());
        self.recent.push_back(first);
        self.held += records.len();
    }
}

fn event_id(raw: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        event_id: String,
    }
    serde_json::from_slice::<Named>(raw).ok().map(|named| named.event_id)
}
