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
use highwater_dataflow::{Clock, Runtime};
use highwater_ingest::journal::{
    Journal, JournalError, JournalWriter, Options as JournalOptions, Reader,
};
use highwater_queries::{Settings, registry};
use highwater_sinks::changelog::{Changelog, ChangelogConfig};
use highwater_sinks::channel::{Channel, Resolve};
use highwater_sinks::{Control, Health, Listener, SinkWriter, Wiring};
use tracing::info;

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
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) latency: Arc<Latency>,
}

/// A running engine.
pub(crate) struct Engine {
    pub(crate) writer: JournalWriter,
    pub(crate) control: Control,
    pub(crate) fed: Arc<Fed>,
    feed: JoinHandle<Result<(), JournalError>>,
    sink: highwater_sinks::Handle,
}

impl Engine {
    /// Opens journal and views, and starts to work off what the journal holds.
    pub(crate) fn start(parts: Parts) -> Result<Engine> {
        let views = views(&parts.only);
        let opened = Journal::open(&parts.journal_dir, parts.journal, parts.clock.clone());
        let journal = opened.context("cannot open the journal")?;
        let recovery = journal.recovery();
        let (writer, follower) = journal
            .start(0, JournalWriter::abort_on_fatal())
            .context("cannot start the journal")?;

        let (settings, only) = (parts.settings, parts.only);
        let (runtime, commits) = Runtime::start(parts.dataflow, move |graph| {
            let wanted = |name: &str| only.is_empty() || only.iter().any(|it| it == name);
            registry::build_only(graph, &settings, wanted);
        });

        let mut wiring = Wiring::new(parts.clock, parts.latency.clone());
        wiring.resolve = resolve(&parts.journal_dir)?;
        wiring.channels = parts.channels;
        wiring.listeners = parts.listeners;
        if let Some(changelog) = &parts.changelog {
            let changelog = Changelog::open(changelog).context("cannot open the changelog")?;
            wiring.listeners.push(Box::new(changelog));
        }
        let sink = SinkWriter::spawn(&parts.sinks, &views, commits, wiring)
            .with_context(|| format!("cannot open the views in {}", parts.sinks.path.display()))?;
        let control = sink.control();
        control.caught_up(recovery.tip.epoch);
        if recovery.tip.seq > 0 {
            info!(records = recovery.tip.seq, "working off the journal");
        }
        let fed = Arc::new(Fed::default());
        let feed = feed::start(follower, runtime, parts.latency, fed.clone());
        Ok(Engine { writer, control, fed, feed, sink })
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
        match fed {
            Ok(fed) => fed.context("cannot read the journal back")?,
            // The panic has been reported by its thread.
            Err(_) => bail!("the dataflow failed; start again: the journal has everything"),
        }
        committed.context("cannot commit to the views")
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
