//! The journal without its thread: open, commit one frame at a time, close.

use std::collections::BTreeMap;
use std::path::Path;
use std::slice;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use highwater_dataflow::{Clock, Epoch, PartitionId};

use super::assemble::{Input, assemble};
use super::book::Book;
use super::disk::{Disk, RealDisk};
use super::error::JournalError;
use super::follower::Follower;
use super::options::Options;
use super::outlet::{Committed, Outlet};
use super::queue::Queued;
use super::signals::{SilencePolicy, tick};
use super::store::{Recovery, Store, Tip};
use super::writer::{Appended, Fatal, JournalWriter};

/// An open journal: verified, durable as far as it goes, and locked against every other process.
pub struct Journal {
    pub(super) store: Store,
    pub(super) book: Arc<Mutex<Book>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) options: Options,
    recovery: Recovery,
    /// Every later frame has a later epoch.
    passed: Epoch,
}

/// What became durable, and what each sender is told.
pub(super) type Durable = (Committed, Vec<(Queued, Appended)>);

/// A frame that could not be written, with what was to be in it.
pub(super) struct NotWritten {
    pub error: JournalError,
    pub inputs: Vec<Input>,
}

impl Journal {
    /// Opens the journal in `dir`, which is made where needed.
    ///
    /// Errors: `Locked` when another process has it; `Damaged`, `Witness` or `Newer` when what is there cannot be
    /// trusted, and then nothing has been changed.
    pub fn open(
        dir: &Path,
        options: Options,
        clock: Arc<dyn Clock>,
    ) -> Result<Journal, JournalError> {
        Self::open_on(dir, options, clock, Box::new(RealDisk))
    }

    /// Opens it on a disk that can be made to fail.
    pub fn open_on(
        dir: &Path,
        options: Options,
        clock: Arc<dyn Clock>,
        disk: Box<dyn Disk>,
    ) -> Result<Journal, JournalError> {
        let (store, ledger, recovery) = Store::open(dir, &options, clock.now_ms(), disk)?;
        let book = Arc::new(Mutex::new(Book::new(ledger)));
        let passed = recovery.tip.epoch;
        Ok(Journal { store, book, clock, options, recovery, passed })
    }

    /// What opening found.
    pub fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// Gives every frame from now on an epoch after `epoch`.
    pub fn continue_after(&mut self, epoch: Epoch) {
        self.pass(epoch);
    }

    /// As [`Journal::continue_after`]; says up to where no frame will be added any more.
    pub(super) fn pass(&mut self, epoch: Epoch) -> Epoch {
        self.passed = self.passed.max(epoch).max(self.store.tip().epoch);
        self.passed
    }

    /// Starts the writer's thread, and a follower that stands after epoch `after` (0: at the beginning).
    ///
    /// `fatal` is told of the error after which the journal must not be used; it normally aborts the process.
    /// Errors: `Gone` when retention has dropped what follows `after`.
    pub fn start(
        self,
        after: Epoch,
        fatal: Fatal,
    ) -> Result<(JournalWriter, Follower), JournalError> {
        let head = self.recovery.tip.epoch;
        let Options { outlet_frames, outlet_events, decode, .. } = self.options;
        let outlet = Arc::new(Outlet::new(outlet_frames, outlet_events, head));
        let dir = self.store.dir().to_owned();
        let follower = Follower::new(dir, outlet.clone(), self.book.clone(), decode, after, head)?;
        Ok((JournalWriter::spawn(self, outlet, fatal)?, follower))
    }

    pub(super) fn tip(&self) -> Tip {
        self.store.tip()
    }

    /// Makes one frame of `inputs` durable; with `silence`, also what the silence of partitions means.
    ///
    /// `None` when there was nothing to write. `Full` leaves everything as it was.
    pub(super) fn commit(
        &mut self,
        inputs: Vec<Input>,
        silence: Option<&BTreeMap<PartitionId, Duration>>,
    ) -> Result<Option<Durable>, Box<NotWritten>> {
        let now_ms = self.clock.now_ms();
        let policy = SilencePolicy {
            idle_after: self.options.idle_after,
            quiet_delay_ms: self.options.quiet_delay_ms,
        };
        let before = self.store.tip();
        let mut book = self.book.lock().expect("no panic while the book is locked");
        let after = self.passed.max(before.epoch);
        let assembled = assemble(inputs, &book, &before, after, now_ms, |spoke| match silence {
            Some(silence) => tick(&book.ledger, &book.specs, silence, spoke, policy, now_ms),
            None => Vec::new(),
        });
        if assembled.is_empty() {
            // Deliveries without items: nothing has to become durable for them.
            let (committed, answers) = assembled.committed(before.epoch, self.now(), &book);
            return Ok((!answers.is_empty()).then_some((committed, answers)));
        }
        // The book is not locked while the disk works: submitters register partitions meanwhile.
        drop(book);
        let shared = &self.book;
        let ledger = || shared.lock().expect("no panic while the book is locked").ledger.clone();
        let frames = slice::from_ref(&assembled.frame);
        if let Err(error) = self.store.append(frames, ledger, &self.options) {
            return Err(Box::new(NotWritten { error, inputs: assembled.undo() }));
        }
        book = self.book.lock().expect("no panic while the book is locked");
        book.ledger.apply(&assembled.frame).expect("a frame registers what it names");
        Ok(Some(assembled.committed(before.epoch, self.now(), &book)))
    }

    /// Partitions of which silence could mean something.
    pub(super) fn partitions(&self) -> Vec<PartitionId> {
        let book = self.book.lock().expect("no panic while the book is locked");
        book.ledger.partitions.keys().copied().collect()
    }

    fn now(&self) -> Instant {
        self.clock.instant()
    }
}
