//! Journal, dataflow and sinks as one piece: what every way of running the program has in common.
//!
//! ```text
//! sources, HTTP -> JournalWriter -> Follower -> Runtime -> Receiver<Commit> -> SinkWriter -> views, alerts, page
//!                                    (feed)    (workers)                      (view-writer)
//! ```

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail};
use highwater_dataflow::latency::Latency;
use highwater_dataflow::view::View;
use highwater_dataflow::{Clock, Epoch, Graph, Kept, Runtime};
use highwater_ingest::checkpoint::Checkpoints;
use highwater_ingest::journal::{
    Disk, Journal, JournalError, JournalWriter, Options as JournalOptions, Reader, RealDisk, Verify,
};
use highwater_queries::{Entry, Settings, registry};
use highwater_sinks::changelog::{Changelog, ChangelogConfig};
use highwater_sinks::channel::{Channel, Resolve};
use highwater_sinks::{Control, Health, Listener, SinkWriter, Wiring};
use tracing::{info, warn};

use crate::base::{Beginning, Retention};
use crate::checkpoints::{self, Keeping, Pace, Scribe, Wanted};
use crate::feed::{self, Fed};

/// What an engine is made of.
pub(crate) struct Parts {
    pub(crate) journal_dir: PathBuf,
    pub(crate) journal: JournalOptions,
    pub(crate) dataflow: highwater_dataflow::Options,
    pub(crate) settings: Settings,
    /// The queries and rules to build, by name; empty: all.
    pub(crate) only: Vec<String>,
    pub(crate) sinks: highwater_sinks::Config,
    pub(crate) changelog: Option<ChangelogConfig>,
    pub(crate) channels: Vec<Box<dyn Channel>>,
    pub(crate) listeners: Vec<Box<dyn Listener>>,
    /// The disk under journal and checkpoints: a test hands in one that fails.
    pub(crate) disk: fn() -> Box<dyn Disk>,
    /// Where the engine keeps what a restart goes on from; `None`: a restart replays.
    pub(crate) checkpoints: Option<Keeping>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) latency: Arc<Latency>,
}

/// The disk as it is.
pub(crate) fn real_disk() -> Box<dyn Disk> {
    Box::new(RealDisk)
}

/// A running engine.
pub(crate) struct Engine {
    pub(crate) writer: JournalWriter,
    pub(crate) control: Control,
    pub(crate) fed: Arc<Fed>,
    /// The checkpoint that it went on from.
    pub(crate) resumed: Option<Epoch>,
    feed: JoinHandle<Result<Option<Kept>, JournalError>>,
    scribe: Option<Scribe>,
    sink: highwater_sinks::Handle,
}

impl Engine {
    /// Opens journal and views, and starts to work off what the journal holds.
    pub(crate) fn start(parts: Parts) -> Result<Engine> {
        let views = views(&parts.only);
        let Parts { settings, only, clock, latency, .. } = parts;
        let definition = checkpoints::definition(&settings, &only, parts.dataflow.workers);
        // A damaged database has no marker; it is set aside below.
        let marker = highwater_sinks::marker(&parts.sinks.path).unwrap_or_default();
        let mut wanted = Wanted { definition: &definition, marker, changelog: None };
        let first = match &parts.checkpoints {
            Some(keeping) => checkpoints::oldest(&keeping.dir, &wanted)?,
            None => None,
        };
        let verify = first.map_or(parts.journal.verify, Verify::After);
        let options = JournalOptions { verify, ..parts.journal };
        // The lock comes first: of two services on one directory the second touches nothing.
        let disk = parts.disk;
        let opened = Journal::open_on(&parts.journal_dir, options, clock.clone(), disk());
        let journal = opened.context("cannot open the journal")?;
        let tip = journal.recovery().tip;

        let mut wiring = Wiring::new(clock.clone(), latency.clone());
        wiring.channels = parts.channels;
        wiring.listeners = parts.listeners;
        wiring.definition = Some(definition.clone());
        wiring.resolve = resolve(&parts.journal_dir)?;
        let mut changelog = None;
        if let Some(config) = &parts.changelog {
            let log = Changelog::open(config).context("cannot open the changelog")?;
            changelog = Some(log.position());
            wiring.listeners.push(Box::new(log));
        }
        let opened = SinkWriter::open(&parts.sinks, &views, clock.now_ms())
            .with_context(|| format!("cannot open the views in {}", parts.sinks.path.display()))?;
        let store = parts.checkpoints.as_ref().map(|it| Checkpoints::open_on(&it.dir, disk()));
        let store = store.transpose()?;
        wanted.changelog = changelog.as_ref();
        let checkpoint = match &store {
            Some(store) if first.is_some() => {
                checkpoints::newest(store, &wanted, &opened, &parts.journal_dir, &tip)?
            }
            _ => None,
        };

        let built = settings.clone();
        let build = move |graph: &mut Graph<'_, Entry>| {
            let wanted = |name: &str| only.is_empty() || only.iter().any(|it| it == name);
            registry::build_only(graph, &built, wanted);
        };
        let mut beginning = match (&checkpoint, &parts.checkpoints) {
            (None, Some(keeping)) => Beginning::of(&parts.journal_dir, &keeping.base_dir)?,
            _ => Beginning { after: 0, base: None },
        };
        let kept = checkpoint.map(|checkpoint| checkpoint.kept);
        let mut from = kept.as_ref().map(|kept| kept.epoch);
        let (runtime, commits) = match Runtime::resume(parts.dataflow, kept, build.clone()) {
            Ok(started) => started,
            Err(error) => {
                warn!(%error, "checkpoint passed over");
                from = None;
                if let Some(keeping) = &parts.checkpoints {
                    beginning = Beginning::of(&parts.journal_dir, &keeping.base_dir)?;
                }
                Runtime::start(parts.dataflow, build)
            }
        };
        wiring.resumed = from;
        wiring.vouched_from = beginning.vouched_from();
        let (writer, follower) = journal
            .start(from.unwrap_or(beginning.after), JournalWriter::abort_on_fatal())
            .context("cannot start the journal")?;
        if let Some(batch) = beginning.batch() {
            info!(events = batch.events.len(), "beginning with the base");
            runtime.send(batch);
        }
        let sink = opened.start(commits, wiring).context("cannot start to write the views")?;
        let control = sink.control();
        control.caught_up(tip.epoch);
        match from {
            Some(epoch) => info!(epoch, "going on from a checkpoint"),
            None if tip.seq > 0 => info!(records = tip.seq, "working off the journal"),
            None => {}
        }
        let scribe = parts.checkpoints.zip(store).map(|(keeping, store)| {
            let scribe = Scribe::start(checkpoints::Writer {
                store,
                definition,
                journal_dir: parts.journal_dir.clone(),
                control: control.clone(),
                changelog,
                retention: Retention {
                    journal_dir: parts.journal_dir,
                    base_dir: keeping.base_dir,
                    retain_ms: keeping.retain_ms,
                    settings,
                    journal: writer.clone(),
                    clock: clock.clone(),
                },
            });
            (Pace::new(keeping.every, clock, scribe.sender()), scribe)
        });
        let (pace, scribe) = scribe.unzip();
        let fed = Arc::new(Fed::default());
        let feed = feed::start(follower, runtime, latency, fed.clone(), pace);
        Ok(Engine { writer, control, fed, resumed: from, feed, scribe, sink })
    }

    /// Why it can no longer do its work; `None` while all is well.
    pub(crate) fn broken(&self) -> Option<String> {
        if self.feed.is_finished() {
            return Some("the dataflow has ended".to_owned());
        }
        match self.control.status().health {
            Health::Failed { reason } => Some(reason),
            Health::CatchingUp | Health::Live | Health::Lagging { .. } | Health::Stopped => None,
        }
    }

    /// Makes what was accepted durable, answers it, commits the answers, and ends.
    ///
    /// Errors: a part of it had failed.
    pub(crate) fn finish(self) -> Result<()> {
        self.writer.close();
        let fed = self.feed.join();
        let committed = self.sink.join();
        let kept = match fed {
            Ok(fed) => fed.context("cannot read the journal back")?,
            // The panic has been reported by its thread.
            Err(_) => bail!("the dataflow failed; start again: the journal has everything"),
        };
        committed.context("cannot commit to the views")?;
        if let Some(scribe) = self.scribe {
            scribe.finish(kept);
        }
        Ok(())
    }
}

/// The views of some queries and rules, by name; of all when there are none.
pub(crate) fn views(only: &[String]) -> Vec<&'static View> {
    let all = registry::views();
    if only.is_empty() {
        return all;
    }
    let named = |name: &str| only.iter().any(|it| it == name);
    let queries = registry::QUERIES.iter().filter(|query| named(query.name));
    let wanted: Vec<&str> =
        queries.flat_map(|query| query.views.iter().map(|view| view.name)).collect();
    let alerts = registry::RULES.iter().any(|rule| named(rule.name));
    let keep =
        |view: &&'static View| wanted.contains(&view.name) || (alerts && view.name == "alerts");
    all.into_iter().filter(keep).collect()
}

/// Names the events behind an alert by reading them in the journal.
fn resolve(journal: &Path) -> Result<Resolve> {
    let reader = Mutex::new(Reader::open(journal).context("cannot read the journal")?);
    Ok(Arc::new(move |seq| {
        // A cause that cannot be read is named by its number: the message matters more than its footnote.
        reader.lock().expect("nobody panics with the lock").event_id_of(seq).ok().flatten()
    }))
}
