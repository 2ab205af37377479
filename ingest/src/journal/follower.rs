//! The consumer's end: every frame once, in order, from the segments where memory does not have it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use highwater_dataflow::Epoch;
use highwater_dataflow::view::Stamps;

use super::book::Book;
use super::error::JournalError;
use super::files::{self, SegmentFile};
use super::frame::{Frame, Hash};
use super::options::Decoder;
use super::outlet::{Committed, Outlet, Taken};
use super::replay::reread;
use super::segment::{Segment, StoredFrame};
use super::store::Tip;

/// Follows the journal: first what it held when it was opened (`stamps.replay`), then live.
///
/// Errors of `next`: `Damaged` when a frame read back is not what was written; nothing may be served after that.
pub struct Follower {
    outlet: Arc<Outlet>,
    book: Arc<Mutex<Book>>,
    decode: Decoder,
    /// Frames up to here were there when the journal was opened.
    replay_until: Epoch,
    /// The last frame handed out.
    at: Epoch,
    /// What `passed` said last.
    passed: Epoch,
    /// Taken from the outlet while frames before it had to be read.
    held: Option<Box<Committed>>,
    back: ReadBack,
}

impl Follower {
    pub(super) fn new(
        dir: PathBuf,
        outlet: Arc<Outlet>,
        book: Arc<Mutex<Book>>,
        decode: Decoder,
        after: Epoch,
        replay_until: Epoch,
    ) -> Result<Follower, JournalError> {
        let back = ReadBack::open(dir, after)?;
        let at = back.tip.epoch;
        Ok(Follower { outlet, book, decode, replay_until, at, passed: 0, held: None, back })
    }

    /// The next frame; `None` when there was none within `timeout`, when `passed` has moved on meanwhile, or when none
    /// will come (`ended`).
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Committed>, JournalError> {
        loop {
            if let Some(held) = self.held.take() {
                if held.meta.epoch <= self.at {
                    continue;
                }
                if held.meta.prev_epoch == self.at {
                    self.at = held.meta.epoch;
                    return Ok(Some(*held));
                }
                self.held = Some(held);
                return self.read_back().map(Some);
            }
            if self.at < self.replay_until {
                return self.read_back().map(Some);
            }
            match self.outlet.take(self.at, self.passed, timeout) {
                Taken::Frame(frame) => self.held = Some(frame),
                Taken::Behind => return self.read_back().map(Some),
                Taken::Nothing | Taken::Closed => {
                    self.passed = self.passed();
                    return Ok(None);
                }
            }
        }
    }

    /// True when the writer has stopped and everything it wrote has been handed out.
    pub fn ended(&self) -> bool {
        self.held.is_none() && self.outlet.ended(self.at)
    }

    /// Every frame up to here has been handed out, those that are still to be written included: at least `at`, and more
    /// once [`JournalWriter::pass`](super::JournalWriter::pass) was answered.
    pub fn passed(&self) -> Epoch {
        if self.held.is_some() || self.at < self.replay_until {
            return self.at;
        }
        self.outlet.passed(self.at)
    }

    /// The last frame handed out.
    pub fn at(&self) -> Epoch {
        self.at
    }

    /// The last durable frame of the journal: how far there is to go.
    pub fn head(&self) -> Epoch {
        self.outlet.head()
    }

    fn read_back(&mut self) -> Result<Committed, JournalError> {
        let prev_epoch = self.at;
        let frame = self.back.next_after(self.at)?;
        let replay = frame.epoch <= self.replay_until;
        let kept = if replay { None } else { self.outlet.stamps_of(frame.epoch) };
        let stamps = kept.unwrap_or_else(|| Arc::new(Stamps { replay, ..Stamps::default() }));
        self.at = frame.epoch;
        let book = &self.book;
        let name = |id| book.lock().expect("no panic while the book is locked").name(id);
        Ok(reread(frame, prev_epoch, stamps, self.decode, name))
    }
}

/// Reads frames in order across segments, checking the chain again.
pub(super) struct ReadBack {
    dir: PathBuf,
    segment: Segment,
    file: SegmentFile,
    /// The last frame read (not merely fetched).
    pub(super) tip: Tip,
    head: Option<Hash>,
    fetched: VecDeque<StoredFrame>,
}

/// Frames and bytes fetched at a time, between which no lock is held on the log.
const FETCH_ROWS: usize = 128;
const FETCH_BYTES: usize = 2 << 20;

impl ReadBack {
    /// Stands after the last frame that is not after `after`.
    pub(super) fn open(dir: PathBuf, after: Epoch) -> Result<ReadBack, JournalError> {
        let mut found = None;
        for file in files::list(&dir)?.into_iter().rev() {
            let segment = Segment::open_for_reading(&file.path)?;
            let meta = segment.meta()?;
            let enough = meta.prev_epoch <= after;
            found = Some((file, segment, meta));
            if enough {
                break;
            }
        }
        let (file, segment, meta) =
            found.ok_or_else(|| JournalError::Absent { dir: dir.clone() })?;
        if after != 0 && meta.prev_epoch > after {
            return Err(JournalError::Gone { after, begins_after: meta.prev_epoch });
        }
        let (tip, head) = match segment.last_until(after)? {
            Some(stored) => {
                stored.open().map_err(|what| segment.damaged(what))?;
                (stored.tip(), None)
            }
            None => (meta.before(), Some(meta.hash())),
        };
        Ok(ReadBack { dir, segment, file, tip, head, fetched: VecDeque::new() })
    }

    /// The frame that follows epoch `at`, which the caller knows to exist.
    pub(super) fn next_after(&mut self, at: Epoch) -> Result<Frame, JournalError> {
        if self.tip.epoch != at {
            // Frames came from memory meanwhile.
            *self = ReadBack::open(self.dir.clone(), at)?;
        }
        if self.fetched.is_empty() {
            self.fetch()?;
        }
        let Some(stored) = self.fetched.pop_front() else {
            return Err(self.damaged("a frame that was committed is not there"));
        };
        let frame = stored.check(&self.tip.linked(self.head)).map_err(|what| self.damaged(what))?;
        self.tip = stored.tip();
        self.head = None;
        Ok(frame)
    }

    /// Fetches on, from the next segment where this one has no more.
    fn fetch(&mut self) -> Result<(), JournalError> {
        // The list is made first: when it shows a next segment, this one has got all it will ever get.
        let files = files::list(&self.dir)?;
        self.fetched = self.segment.frames(self.tip.epoch, FETCH_ROWS, FETCH_BYTES)?.into();
        let next = files.into_iter().find(|file| file.first_seq > self.file.first_seq);
        if self.fetched.is_empty()
            && let Some(next) = next
        {
            let segment = Segment::open_for_reading(&next.path)?;
            let meta = segment.meta()?;
            if meta.before() != self.tip {
                return Err(self.damaged("the next segment does not follow it"));
            }
            self.head = Some(meta.hash());
            (self.segment, self.file) = (segment, next);
            self.fetched = self.segment.frames(self.tip.epoch, FETCH_ROWS, FETCH_BYTES)?.into();
        }
        Ok(())
    }

    fn damaged(&self, what: &str) -> JournalError {
        let seq = self.tip.seq + 1;
        JournalError::Damaged {
            segment: self.segment.name(),
            from: seq,
            to: seq,
            what: what.into(),
        }
    }
}
