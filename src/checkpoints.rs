//! Checkpoints of the running engine: which one a start goes on from, and writing the next ones.
//!
//! ```text
//! feed ── keep ──► workers ──► Kept ──► thread `checkpoint`: waits until the views have the epoch, writes, drops
//! ```

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use highwater_dataflow::{Clock, Epoch, Kept, Millis};
use highwater_ingest::checkpoint::{
    self, About, Checkpoint, Checkpoints, fingerprint, fingerprint_of,
};
use highwater_ingest::journal::{self, Tip};
use highwater_queries::Settings;
use highwater_sinks::changelog::Position;
use highwater_sinks::{Control, OpenViews};
use tracing::{info, warn};

use crate::base::Retention;
use crate::trim::Trim;

/// Where checkpoints are and how often they are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keeping {
    pub(crate) dir: PathBuf,
    pub(crate) every: Duration,
    /// Where what retention drops from the journal is folded into.
    pub(crate) base_dir: PathBuf,
    /// What the journal holds at least, ms of its clock.
    pub(crate) retain_ms: Millis,
}

/// How often the views are asked whether they have reached a checkpoint's epoch.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A name for everything that what operators keep depends on: this very program, its settings, queries and workers.
pub(crate) fn definition(settings: &Settings, only: &[String], workers: usize) -> String {
    let settings = format!("{settings:?} {only:?} {workers}");
    fingerprint([program().as_bytes(), settings.as_bytes()])
}

/// This build of the program. A program that cannot read itself makes no checkpoint that another one would believe.
fn program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let name = std::env::current_exe().and_then(|path| fingerprint_of(&path));
        name.unwrap_or_else(|_| format!("process {}", std::process::id()))
    })
}

/// What a start looks for.
pub(crate) struct Wanted<'a> {
    pub(crate) definition: &'a str,
    /// The views have everything up to here.
    pub(crate) marker: Option<Epoch>,
    /// The last epoch that the changelog has, where there is one; 0 when it is empty.
    pub(crate) changelog: Option<Epoch>,
}

impl Wanted<'_> {
    fn suits(&self, about: &About) -> bool {
        let told = match self.changelog {
            None => true,
            Some(last) => about.changelog.is_some_and(|told| last >= told),
        };
        about.definition == self.definition && self.marker >= Some(about.epoch) && told
    }
}

/// The epoch of the oldest checkpoint that suits, by what it says of itself: what lies before it need not be verified.
pub(crate) fn oldest(dir: &Path, wanted: &Wanted<'_>) -> Result<Option<Epoch>> {
    let found = checkpoint::list(dir)?.into_iter();
    // One that cannot be read is passed over again, and reported, when it is to be used.
    let suits = found.filter(|found| found.about().is_ok_and(|about| wanted.suits(&about)));
    Ok(suits.map(|found| found.epoch).min())
}

/// Reads the newest checkpoint that suits, belongs to the journal in `dir`, which ends at `tip`, and is whole.
pub(crate) fn newest(
    store: &Checkpoints,
    wanted: &Wanted<'_>,
    views: &OpenViews,
    dir: &Path,
    tip: &Tip,
) -> Result<Option<Checkpoint>> {
    let marker = views.marker();
    let same = views.definition()?.as_deref() == Some(wanted.definition);
    if !same || marker > Some(tip.epoch) {
        return Ok(None);
    }
    let wanted = Wanted { marker, ..*wanted };
    whole(store, &wanted, dir)?.next().transpose()
}

/// The checkpoints that suit, are whole and of the journal in `dir`; newest first. Each is read when its
/// turn comes; what is passed over is reported.
pub(crate) fn whole<'a>(
    store: &Checkpoints,
    wanted: &'a Wanted<'_>,
    dir: &'a Path,
) -> Result<impl Iterator<Item = Result<Checkpoint>> + 'a> {
    Ok(store.list()?.into_iter().filter_map(move |found| match found.read() {
        Ok(checkpoint) if wanted.suits(&checkpoint.about) => match checkpoint.about.is_of(dir) {
            Ok(true) => Some(Ok(checkpoint)),
            Ok(false) => {
                let path = found.path.display();
                warn!(%path, "checkpoint passed over: it is of another journal");
                None
            }
            Err(error) => Some(Err(error.into())),
        },
        Ok(_) => None,
        Err(error) => {
            warn!(%error, "checkpoint passed over");
            None
        }
    }))
}

/// Writes checkpoints, one at a time.
pub(crate) struct Writer {
    pub(crate) store: Checkpoints,
    pub(crate) definition: String,
    pub(crate) journal_dir: PathBuf,
    /// `None`: the views are another process's, and it looks after them.
    pub(crate) control: Option<Control>,
    pub(crate) changelog: Option<Position>,
    pub(crate) retention: Keeps,
}

/// How long a journal is kept.
pub(crate) enum Keeps {
    /// There is one process with one journal.
    Alone(Box<Retention>),
    Together(Box<Trim>),
}

impl Writer {
    /// Writes what was kept; the views have committed its epoch.
    pub(crate) fn write(&self, kept: &Kept) -> Result<()> {
        let epoch = kept.epoch;
        let tip = journal::tip_until(&self.journal_dir, epoch)?;
        let Tip { seq, hash, .. } = tip.context("the journal's past is gone")?;
        let changelog = self.changelog.as_ref().and_then(Position::get);
        let about = About { definition: self.definition.clone(), epoch, seq, hash, changelog };
        self.store.write(&about, kept)?;
        let dropped = match &self.retention {
            Keeps::Alone(retention) => retention.look(&self.store),
            Keeps::Together(trim) => trim.look(&self.store, kept),
        };
        let dropped = dropped.context("cannot let the journal's past go")?;
        if dropped > 0 {
            info!(segments = dropped, "journal trimmed");
        }
        Ok(())
    }

    /// Whether the views have committed everything up to `epoch`.
    fn reached(&self, epoch: Epoch) -> bool {
        self.control.as_ref().is_none_or(|control| control.status().epoch >= Some(epoch))
    }
}

/// The thread that writes checkpoints, and the way to it.
pub(crate) struct Scribe {
    to: Option<SyncSender<Kept>>,
    stop: Arc<AtomicBool>,
    busy: Arc<AtomicBool>,
    thread: JoinHandle<Writer>,
}

impl Scribe {
    pub(crate) fn start(writer: Writer) -> Scribe {
        let (to, kept) = sync_channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let busy = Arc::new(AtomicBool::new(false));
        let (told, working) = (stop.clone(), busy.clone());
        let run = move || {
            work(&writer, &kept, &told, &working);
            writer
        };
        let thread = thread::Builder::new().name("checkpoint".into()).spawn(run);
        Scribe { to: Some(to), stop, busy, thread: thread.expect("the system gives us a thread") }
    }

    pub(crate) fn sender(&self) -> SyncSender<Kept> {
        self.to.clone().expect("it is taken only when it ends")
    }

    /// Set by whoever hands something over, and cleared when it is written.
    pub(crate) fn busy(&self) -> Arc<AtomicBool> {
        self.busy.clone()
    }

    /// Ends the thread and writes what was kept last, now that the views have everything.
    pub(crate) fn finish(mut self, last: Option<Kept>) {
        self.stop.store(true, Ordering::SeqCst);
        self.to = None;
        let Ok(writer) = self.thread.join() else {
            warn!("the thread that writes checkpoints failed");
            return;
        };
        if let Some(kept) = last.filter(|kept| writer.reached(kept.epoch)) {
            tell(writer.write(&kept));
        }
    }
}

fn work(writer: &Writer, kept: &Receiver<Kept>, stop: &AtomicBool, busy: &AtomicBool) {
    for kept in kept {
        while !writer.reached(kept.epoch) {
            if stop.load(Ordering::SeqCst) {
                return;
            }
            thread::sleep(LOOK_EVERY);
        }
        tell(writer.write(&kept));
        busy.store(false, Ordering::SeqCst);
    }
}

/// A checkpoint that cannot be written costs time at the next start, and nothing else.
fn tell(written: Result<()>) {
    if let Err(error) = written {
        warn!(error = format!("{error:#}"), "no checkpoint written; the next one is tried in time");
    }
}

/// When the next checkpoint is due, and the one under way: on the feed's thread.
pub(crate) struct Pace {
    every: Duration,
    clock: Arc<dyn Clock>,
    last: Instant,
    to: SyncSender<Kept>,
    under_way: Option<highwater_dataflow::runtime::Keeping>,
    /// The last epoch fed, and the last one asked for.
    fed: Option<Epoch>,
    asked: Option<Epoch>,
}

impl Pace {
    pub(crate) fn new(every: Duration, clock: Arc<dyn Clock>, to: SyncSender<Kept>) -> Pace {
        let last = clock.instant();
        Pace { every, clock, last, to, under_way: None, fed: None, asked: None }
    }

    pub(crate) fn fed(&mut self, epoch: Epoch) {
        self.fed = Some(epoch);
    }

    /// Asks for a checkpoint when one is due, and passes on what was kept.
    pub(crate) fn look<E: highwater_dataflow::Datum>(
        &mut self,
        runtime: &highwater_dataflow::Runtime<E>,
    ) {
        if let Some(keeping) = &mut self.under_way {
            if let Some(kept) = keeping.poll() {
                self.under_way = None;
                // While the thread still waits for the views with the one before, this one is not needed.
                let _ = self.to.try_send(kept);
            }
            return;
        }
        let now = self.clock.instant();
        if now.saturating_duration_since(self.last) < self.every || self.fed == self.asked {
            return;
        }
        if let Some(epoch) = self.fed {
            (self.last, self.asked) = (now, self.fed);
            self.under_way = Some(runtime.keep(epoch));
        }
    }

    /// What is kept as of the very last epoch, once the graph has ended.
    pub(crate) fn last<E: highwater_dataflow::Datum>(
        self,
        runtime: highwater_dataflow::Runtime<E>,
    ) -> Option<Kept> {
        // One that is still under way is of an earlier epoch, and is given up.
        let mut keeping = self.fed.map(|epoch| runtime.keep(epoch));
        runtime.finish();
        keeping.as_mut().and_then(highwater_dataflow::runtime::Keeping::poll)
    }
}
