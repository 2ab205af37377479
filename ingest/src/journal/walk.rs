//! Going through the journal from its first retained frame to its last, trusting nothing.

use highwater_dataflow::Epoch;

use super::error::JournalError;
use super::files::SegmentFile;
use super::frame::{Frame, Hash};
use super::ledger::Ledger;
use super::options::Verify;
use super::segment::{Meta, Segment};
use super::store::Tip;
use super::witness::Witness;

/// What a walk found.
#[derive(Debug)]
pub(super) struct Walked {
    /// The last frame, wherever it is.
    pub tip: Tip,
    /// The hash of the last segment's head when it holds no frame.
    pub head: Option<Hash>,
    pub ledger: Ledger,
    /// Payload bytes and records of the last segment.
    pub active_bytes: u64,
    pub active_created_ms: i64,
    /// Frames and records beyond the witness: whole, but never acknowledged.
    pub frames_above: u64,
    pub records_above: u64,
}

/// Checks `segments` (not empty) against each other and the witness; shows every frame read to `visit`.
///
/// Errors: `Damaged` with segment and range; `Newer`.
pub(super) fn walk(
    segments: &[SegmentFile],
    witness: &Witness,
    depth: Verify,
    mut visit: impl FnMut(&Segment, &Frame),
) -> Result<Walked, JournalError> {
    let mut walk = Walk { witness, witnessed: witness.epoch == 0, above: (0, 0) };
    let first = segments.first().expect("a journal has a segment");
    if first.first_seq != witness.retained_from {
        return Err(missing(first, witness.retained_from, first.first_seq.saturating_sub(1)));
    }
    let (mut open, mut meta) = enter(first, witness)?;
    let mut tip = meta.before();
    let mut head = Some(meta.hash());
    walk.see(tip);
    let mut ledger = read_ledger(&open, &meta)?;
    let mut active_bytes = 0;
    for (at, file) in segments.iter().enumerate() {
        if at > 0 {
            let (next, next_meta) = enter(file, witness)?;
            if next_meta.first_seq > tip.seq + 1 {
                return Err(missing(file, tip.seq + 1, next_meta.first_seq - 1));
            }
            if next_meta.before() != tip {
                let what = "it does not follow the segment before it";
                return Err(damaged(&next, tip.seq + 1, walk.upper(segments, at), what));
            }
            (open, meta) = (next, next_meta);
            head = Some(meta.hash());
            ledger = read_ledger(&open, &meta)?;
        }
        let last = at + 1 == segments.len();
        if !last && let Verify::After(epoch) = depth {
            let (next, next_meta) = enter(&segments[at + 1], witness)?;
            if next_meta.prev_epoch <= epoch {
                tip = skip(&open, &meta, &next, &next_meta)?;
                head = None;
                walk.see(tip);
                continue;
            }
        }
        if last {
            open.quick_check().map_err(|e| range(e, tip.seq + 1, witness.seq.max(tip.seq + 1)))?;
        }
        active_bytes = 0;
        loop {
            let upper = walk.upper(segments, at);
            let frames =
                open.frames(tip.epoch, 256, 1 << 20).map_err(|e| range(e, tip.seq + 1, upper))?;
            if frames.is_empty() {
                break;
            }
            for stored in frames {
                let frame = stored
                    .check(&tip.linked(head))
                    .map_err(|what| damaged(&open, tip.seq + 1, upper, what))?;
                ledger.apply(&frame).map_err(|what| damaged(&open, tip.seq + 1, upper, what))?;
                tip = stored.tip();
                head = None;
                active_bytes += stored.payload.len() as u64;
                walk.see(tip);
                walk.count(&frame);
                visit(&open, &frame);
            }
        }
    }
    if !walk.witnessed {
        let what = if tip.epoch < witness.epoch {
            "the journal ends before the last acknowledged record"
        } else {
            "it is not the journal that the witness file belongs to"
        };
        return Err(damaged(&open, tip.seq.min(witness.seq) + 1, witness.seq, what));
    }
    let (frames_above, records_above) = walk.above;
    Ok(Walked {
        tip,
        head,
        ledger,
        active_bytes,
        active_created_ms: meta.created_ms,
        frames_above,
        records_above,
    })
}

struct Walk<'a> {
    witness: &'a Witness,
    /// The frame that the witness names has been met.
    witnessed: bool,
    above: (u64, u64),
}

impl Walk<'_> {
    fn see(&mut self, tip: Tip) {
        let witness = self.witness;
        self.witnessed |= (tip.epoch, tip.hash) == (witness.epoch, witness.hash);
    }

    fn count(&mut self, frame: &Frame) {
        if frame.epoch > self.witness.epoch {
            self.above.0 += 1;
            self.above.1 += frame.records.len() as u64;
        }
    }

    /// The last record that segment `at` must hold.
    fn upper(&self, segments: &[SegmentFile], at: usize) -> u64 {
        segments.get(at + 1).map_or(self.witness.seq, |next| next.first_seq - 1)
    }
}

fn enter(file: &SegmentFile, witness: &Witness) -> Result<(Segment, Meta), JournalError> {
    let bound = |e| range(e, file.first_seq, witness.seq.max(file.first_seq));
    let segment = Segment::open_for_reading(&file.path).map_err(|e| match e {
        JournalError::Sqlite { source, segment, .. } if super::error::damage(&source) => {
            bound(JournalError::Damaged { segment, from: 0, to: 0, what: source.to_string() })
        }
        other => other,
    })?;
    let meta = segment.meta().map_err(bound)?;
    if meta.first_seq != file.first_seq {
        let what = "it is another segment under this name";
        return Err(damaged(&segment, file.first_seq, witness.seq, what));
    }
    Ok((segment, meta))
}

/// Checks that a segment which is not read ends where the next one begins.
fn skip(open: &Segment, meta: &Meta, next: &Segment, after: &Meta) -> Result<Tip, JournalError> {
    let end = after.before();
    let last = open.last_until(Epoch::MAX).map_err(|e| range(e, meta.first_seq, end.seq))?;
    if last.is_some_and(|frame| frame.tip() == end) {
        Ok(end)
    } else {
        Err(damaged(next, meta.first_seq, end.seq, "it does not follow the segment before it"))
    }
}

fn read_ledger(segment: &Segment, meta: &Meta) -> Result<Ledger, JournalError> {
    Ledger::decode(&meta.ledger)
        .map_err(|what| damaged(segment, meta.first_seq, meta.first_seq, what))
}

fn missing(found: &SegmentFile, from: u64, to: u64) -> JournalError {
    JournalError::Damaged {
        segment: super::error::name_of(&found.path),
        from,
        to: to.max(from),
        what: "the segment before it is missing".into(),
    }
}

fn damaged(segment: &Segment, from: u64, to: u64, what: &str) -> JournalError {
    range(segment.damaged(what), from, to)
}

/// Fills in the range of a damage.
fn range(error: JournalError, from: u64, to: u64) -> JournalError {
    match error {
        JournalError::Damaged { segment, what, .. } => {
            JournalError::Damaged { segment, from, to: to.max(from), what }
        }
        other => other,
    }
}
