//! Journal, dataflow and sinks as one piece: what every way of running the program has in common.
//!
//! ```text
//! sources, HTTP -> JournalWriter -> Follower -> Runtime -> Receiver<Commit> -> SinkWriter -> views, alerts, page
//!                                    (feed)    (workers)                      (view-writer)
//! ```
//!
//! In a cluster every process has journals and workers; process 0 has the sinks.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow, bail};
use highwater_dataflow::latency::Latency;
use highwater_dataflow::view::{Commit, View};
use highwater_dataflow::{
    Batch, Clock, Epoch, EventTime, Folded, Graph, Journals, Leave, Membership, Millis, NotJoined,
    Runtime,
};
use highwater_ingest::checkpoint::Checkpoints;
use highwater_ingest::journal::{
    Disk, JournalError, JournalWriter, Options as JournalOptions, Reader, RealDisk, Verify,
};
use highwater_queries::{Entry, Settings, registry};
use highwater_sinks::changelog::{self, Changelog, ChangelogConfig};
use highwater_sinks::channel::{Channel, Resolve};
use highwater_sinks::{Control, Health, Known, Listener, Reached, SinkWriter, Wiring};
use tracing::{info, warn};

use crate::base::{Beginning, Retention};
use crate::belongs::{Belongs, Opened};
use crate::checkpoints::{self, Keeping, Keeps, Pace, Scribe, Wanted};
use crate::cluster::{Bases, Joined, Number, PeerLost, Watch, together};
use crate::feed::{self, Checkpointing, Fed, Finished, Lane};
use crate::rounds::{self, Rounds};
use crate::trim::{self, Trim};

/// What an engine is made of.
pub(crate) struct Parts {
    pub(crate) belongs: Belongs,
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
    /// Told of the moments of views and channels, as `disk` is of the journal's: for a test.
    pub(crate) reached: Option<Reached>,
    /// Where the engine keeps what a restart goes on from; `None`: a restart replays.
    pub(crate) checkpoints: Option<Keeping>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) latency: Arc<Latency>,
}

impl Parts {
    /// Of an engine for recorded input: every query, told to nobody but the views, and no restart goes on from it.
    pub(crate) fn recorded(
        journal_dir: PathBuf,
        views: impl Into<PathBuf>,
        workers: u16,
        clock: Arc<dyn Clock>,
    ) -> Parts {
        Parts {
            belongs: Belongs::default(),
            journal_dir,
            journal: JournalOptions::default(),
            dataflow: highwater_dataflow::Options {
                workers: workers.into(),
                ..highwater_dataflow::Options::default()
            },
            settings: Settings::default(),
            only: Vec::new(),
            sinks: highwater_sinks::Config::at(views),
            changelog: None,
            channels: Vec::new(),
            listeners: Vec::new(),
            disk: real_disk,
            reached: None,
            checkpoints: None,
            clock,
            latency: Arc::new(Latency::default()),
        }
    }
}

/// The disk as it is.
pub(crate) fn real_disk() -> Box<dyn Disk> {
    Box::new(RealDisk)
}

/// A running engine.
pub(crate) struct Engine {
    pub(crate) writer: JournalWriter,
    /// Where the sinks are; `None` in a process that has none.
    pub(crate) control: Option<Control>,
    pub(crate) fed: Arc<Fed>,
    /// The checkpoint that it went on from.
    pub(crate) resumed: Option<Epoch>,
    /// Where the views are served, when that is another process.
    pub(crate) owner_url: Option<String>,
    adopted: Vec<JournalWriter>,
    feed: JoinHandle<Result<Finished, JournalError>>,
    scribe: Option<Scribe>,
    sink: Option<highwater_sinks::Handle>,
    leave: Leave,
    watch: Option<Watch>,
}

impl Engine {
    /// Opens the journals, meets the other processes, opens the views, and starts to work off what the journals hold.
    ///
    /// In a cluster this waits for all other processes, and has changed no view until they are there.
    pub(crate) fn start(parts: Parts) -> Result<Engine> {
        let views = views(&parts.only);
        let Parts { belongs, settings, only, clock, latency, .. } = parts;
        let definition = checkpoints::definition(&settings, &only, parts.dataflow.workers);
        let mine = belongs.checkpoints_of(&definition);
        // How the past is cut has to be the same everywhere.
        let retain_ms = parts.checkpoints.as_ref().map_or(Millis::MAX, |it| it.retain_ms);
        let keeping = parts.checkpoints.filter(|_| mine.is_some());
        // Nothing is written before it is known that this process belongs to the others. A damaged database has no
        // marker; it is set aside below.
        let known = if belongs.owns_views() {
            highwater_sinks::known(&parts.sinks.path, &views).unwrap_or_default()
        } else {
            Known::default()
        };
        let marker = known.marker;
        // Where the views are another process's, that one says how far they are.
        let reach = if belongs.owns_views() { marker } else { Some(Epoch::MAX) };
        let mine = mine.unwrap_or_default();
        let changelog = parts.changelog.as_ref().filter(|_| belongs.owns_views());
        let told = changelog.map(|it| changelog::last_epoch(&it.path).ok().flatten().unwrap_or(0));
        let wanted = Wanted { definition: &mine, marker: reach, changelog: told };
        let first = match &keeping {
            Some(keeping) => checkpoints::oldest(&keeping.dir, &wanted)?,
            None => None,
        };
        let verify = first.map_or(parts.journal.verify, Verify::After);
        let options = JournalOptions { verify, ..parts.journal };
        // The lock comes first: of two services on one directory the second touches nothing.
        let disk = parts.disk;
        let mut opened = belongs.open(parts.journal_dir.clone(), &options, disk, &clock)?;
        let mut wiring = Wiring::new(clock.clone(), latency.clone());
        wiring.channels = parts.channels;
        wiring.listeners = parts.listeners;
        wiring.reached = parts.reached;
        wiring.definition = Some(definition.clone());
        wiring.resolve = resolve(opened.iter().map(|it| (it.number, &it.dir)))?;
        let store = keeping.as_ref().map(|it| Checkpoints::open_on(&it.dir, disk()));
        let store = store.transpose()?;
        let usable = match &store {
            Some(store) if !belongs.is_alone() && first.is_some() => {
                let views = belongs.owns_views().then_some(&known);
                rounds::usable(store, &wanted, views, &definition, &parts.journal_dir)?
            }
            _ => Vec::new(),
        };
        let same = format!("{definition} {retain_ms}");
        let joined = belongs.meet(&opened, &same, marker.unwrap_or(0), usable, &clock)?;
        let mut position = None;
        if let Some(config) = changelog {
            let log = Changelog::open(config).context("cannot open the changelog")?;
            position = Some(log.position());
            wiring.listeners.push(Box::new(log));
        }
        let stored = if belongs.owns_views() {
            let path = parts.sinks.path.display();
            let stored = SinkWriter::open(&parts.sinks, &views, clock.now_ms());
            Some(stored.with_context(|| format!("cannot open the views in {path}"))?)
        } else {
            None
        };
        if let (Some(stored), Some(Joined { resume: Some(epoch), .. })) = (&stored, &joined) {
            rounds::still(stored, *epoch, &definition)?;
        }
        let tip = opened[0].journal.recovery().tip;
        let records: u64 = opened.iter().map(|it| it.journal.recovery().tip.seq).sum();
        let last = opened.iter().map(|it| it.journal.recovery().tip.epoch).max();
        let replay_until = joined.as_ref().map_or(last.unwrap_or(0), |it| it.replay_until);
        for it in &mut opened {
            // Nothing that was shown to anybody may change: what is new comes after it.
            it.journal.continue_after(joined.as_ref().map_or(0, |it| it.started_after));
        }

        let checkpoint = match (&store, &stored) {
            (Some(store), Some(stored)) if first.is_some() && belongs.is_alone() => {
                checkpoints::newest(store, &wanted, stored, &parts.journal_dir, &tip)?
            }
            _ => None,
        };

        let built = settings.clone();
        let build = move |graph: &mut Graph<'_, Entry>| {
            let wanted = |name: &str| only.is_empty() || only.iter().any(|it| it == name);
            registry::build_only(graph, &built, wanted);
        };
        let mut beginning = match (&checkpoint, &keeping) {
            (None, Some(keeping)) if belongs.is_alone() => {
                Beginning::of(&parts.journal_dir, &keeping.base_dir)?
            }
            _ => Beginning::default(),
        };
        let fed = Arc::new(Fed::default());
        let clustered = joined.is_some();
        let mut bases = Bases::new(0, Vec::new());
        let folded = Arc::new(Folded::default());
        let mut running = if let Some(joined) = joined {
            let Joined { links, started_after, owner_url, watch, resume, begin, .. } = joined;
            let kept = match (&store, resume) {
                (Some(store), Some(epoch)) => Some(rounds::agreed(store, epoch)?.kept),
                _ => None,
            };
            if let Some(epoch) = resume {
                info!(epoch, "going on from a checkpoint");
            }
            wiring.resumed = resume;
            let past = if resume.is_none() { Past::of(&opened, begin)? } else { Past::default() };
            wiring.vouched_from = past.vouched_from;
            let lanes = lanes(opened, begin)?;
            let (asked, reached) = (writers(&lanes), fed.clone());
            let heard = move |epoch: Epoch| {
                if reached.reached() < epoch {
                    for writer in &asked {
                        writer.pass(epoch);
                    }
                }
            };
            let process = links.iter().position(Option::is_none).unwrap_or(0);
            let heard = Arc::new(heard);
            bases = Bases::new(process, joined.bases);
            let listening = bases.clone();
            let journals = Journals {
                home: |seq| usize::from(Number::of_seq(seq).0.0),
                mark_every: trim::mark_every(retain_ms),
                folded: folded.clone(),
            };
            let told = Arc::new(move |word| listening.hear(word));
            let membership = Membership { process, links, started_after, heard, told, journals };
            let (runtime, commits) = match Runtime::join(parts.dataflow, membership, kept, build) {
                Ok(joined) => joined,
                Err(NotJoined::Io(error)) => {
                    return Err(error).context("cannot start the cluster's connections");
                }
                Err(NotJoined::Unfit(unfit)) => {
                    let store = store.zip(resume).context("nothing kept fits every graph")?;
                    return Err(rounds::forget(&store.0, store.1, &unfit.to_string()));
                }
            };
            if let Some(batch) = past.batch {
                info!(events = batch.events.len(), "beginning with the base");
                runtime.try_send(batch).map_err(|gone| PeerLost(gone.to_string()))?;
            }
            let owner_url = (process != 0).then_some(owner_url);
            Running { lanes, runtime, commits, owner_url, watch: Some(watch) }
        } else if !belongs.is_alone() {
            let begins = opened.iter().map(|it| Ok((it.number.0, it.begins()?)));
            let begin = together(&begins.collect::<Result<_>>()?)?;
            let past = Past::of(&opened, begin)?;
            wiring.vouched_from = past.vouched_from;
            let (runtime, commits) = Runtime::start(parts.dataflow, build);
            let lanes = lanes(opened, begin)?;
            if let Some(batch) = past.batch {
                info!(events = batch.events.len(), "beginning with the base");
                runtime.send(batch);
            }
            Running { lanes, runtime, commits: Some(commits), owner_url: None, watch: None }
        } else {
            let kept = checkpoint.map(|checkpoint| checkpoint.kept);
            let mut from = kept.as_ref().map(|kept| kept.epoch);
            let (runtime, commits) = match Runtime::resume(parts.dataflow, kept, build.clone()) {
                Ok(started) => started,
                Err(error) => {
                    warn!(%error, "checkpoint passed over");
                    from = None;
                    if let Some(keeping) = &keeping {
                        beginning = Beginning::of(&parts.journal_dir, &keeping.base_dir)?;
                    }
                    Runtime::start(parts.dataflow, build)
                }
            };
            wiring.resumed = from;
            wiring.vouched_from = beginning.vouched_from();
            if let Some(epoch) = from {
                info!(epoch, "going on from a checkpoint");
            }
            let lanes = lanes(opened, from.unwrap_or(beginning.after))?;
            if let Some(batch) = beginning.batch() {
                info!(events = batch.events.len(), "beginning with the base");
                runtime.send(batch);
            }
            let commits = Some(commits);
            Running { lanes, runtime, commits, owner_url: None, watch: None }
        };
        if wiring.resumed.is_none() && records > 0 {
            info!(records, "working off the journal");
        }
        let resumed = wiring.resumed;
        let sink = match (stored, running.commits.take()) {
            (Some(stored), Some(commits)) => {
                Some(stored.start(commits, wiring).context("cannot start to write the views")?)
            }
            _ => None,
        };
        let control = sink.as_ref().map(highwater_sinks::Handle::control);
        if let Some(control) = &control {
            control.caught_up(replay_until);
        }
        let mut checkpointing = Checkpointing::Never;
        let mut scribe = None;
        if let (Some(keeping), Some(store)) = (keeping, store) {
            let number = Number(belongs.process() as u8);
            let retention = Retention {
                journal_dir: parts.journal_dir.clone(),
                base_dir: keeping.base_dir,
                retain_ms: keeping.retain_ms,
                disk,
                settings,
                journal: running.lanes[0].writer.clone(),
                clock: clock.clone(),
            };
            let retention = if clustered {
                Keeps::Together(Box::new(Trim { retention, number, bases: bases.clone(), folded }))
            } else {
                Keeps::Alone(Box::new(retention))
            };
            let writer = Scribe::start(checkpoints::Writer {
                store,
                definition: mine,
                journal_dir: parts.journal_dir,
                control: control.clone(),
                changelog: position,
                retention,
            });
            let (every, to) = (keeping.every, writer.sender());
            checkpointing = if clustered {
                let leads = control.is_some();
                let busy = writer.busy();
                Checkpointing::Together(Rounds::new(every, clock, leads, to, busy, bases))
            } else {
                Checkpointing::Alone(Pace::new(every, clock, to))
            };
            scribe = Some(writer);
        }
        let Running { lanes, runtime, owner_url, watch, .. } = running;
        let mut adopted = writers(&lanes);
        let writer = adopted.remove(0);
        let leave = runtime.leave();
        let feed = feed::start(lanes, runtime, clustered, latency, fed.clone(), checkpointing);
        Ok(Engine {
            writer,
            control,
            fed,
            resumed,
            owner_url,
            adopted,
            feed,
            scribe,
            sink,
            leave,
            watch,
        })
    }

    /// Says the newest epoch whose answers are out: committed to the views, or computed where another process has them.
    pub(crate) fn answered(&self) -> Arc<dyn Fn() -> Epoch + Send + Sync> {
        let (control, fed) = (self.control.clone(), self.fed.clone());
        Arc::new(move || match &control {
            Some(control) => control.status().epoch.unwrap_or(0),
            None => fed.reached(),
        })
    }

    /// Why it can no longer do its work; `None` while all is well. [`PeerLost`] when starting again mends it.
    pub(crate) fn broken(&self) -> Option<anyhow::Error> {
        if let Some(watch) = &self.watch {
            if let Some(how) = watch.lost() {
                return Some(PeerLost(how).into());
            }
            if self.feed.is_finished() {
                return Some(PeerLost("a connection between processes broke".to_owned()).into());
            }
        }
        if self.feed.is_finished() {
            return Some(anyhow!("the dataflow has ended"));
        }
        match self.control.as_ref()?.status().health {
            Health::Failed { reason } => Some(anyhow!(reason)),
            Health::CatchingUp | Health::Live | Health::Lagging { .. } | Health::Stopped => None,
        }
    }

    /// Makes what was accepted durable, answers it, commits the answers, and ends.
    ///
    /// A process of a cluster waits a little for the others to end too. When one was lost there is nothing to wait
    /// for: the journals have everything. Errors: a part of it had failed.
    pub(crate) fn finish(self) -> Result<()> {
        self.writer.close();
        self.adopted.iter().for_each(JournalWriter::close);
        if self.watch.as_ref().is_some_and(|watch| watch.lost().is_some()) {
            self.leave.say();
        }
        let fed = self.feed.join();
        // Whatever is still under way cannot end without the others.
        self.leave.say();
        let committed = self.sink.map_or(Ok(()), highwater_sinks::Handle::join);
        let kept = match fed {
            Ok(fed) => match fed.context("cannot read the journal back")? {
                Finished::Answered(kept) => kept,
                Finished::Left | Finished::Gone => {
                    info!("left the cluster");
                    None
                }
            },
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

/// A graph that runs, before its sinks.
struct Running {
    lanes: Vec<Lane>,
    runtime: Runtime<Entry>,
    commits: Option<Receiver<Commit>>,
    owner_url: Option<String>,
    watch: Option<Watch>,
}

/// What the journals of this process said before they are read.
#[derive(Default)]
struct Past {
    batch: Option<Batch<Entry>>,
    vouched_from: Option<EventTime>,
}

impl Past {
    /// As of `epoch`, which every journal has offered.
    fn of(opened: &[Opened], epoch: Epoch) -> Result<Past> {
        let mut past = Past::default();
        for it in opened {
            let beginning = Beginning::at(&it.dir, &it.base_dir(), epoch)?;
            past.vouched_from = past.vouched_from.max(beginning.vouched_from());
            let Some(next) = beginning.batch_of(it.number) else { continue };
            match &mut past.batch {
                None => past.batch = Some(next),
                Some(batch) => {
                    batch.events.extend(next.events);
                    batch.signals.extend(next.signals);
                }
            }
        }
        Ok(past)
    }
}

/// Starts the journals; what follows them stands after `epoch`.
fn lanes(opened: Vec<Opened>, epoch: Epoch) -> Result<Vec<Lane>> {
    let start = |it: Opened| {
        let (writer, follower) = it
            .journal
            .start(epoch, JournalWriter::abort_on_fatal())
            .context("cannot start the journal")?;
        Ok(Lane { number: it.number, writer, follower })
    };
    opened.into_iter().map(start).collect()
}

fn writers(lanes: &[Lane]) -> Vec<JournalWriter> {
    lanes.iter().map(|it| it.writer.clone()).collect()
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

/// Names the events behind an alert by reading them in the journals of this process.
fn resolve<'a>(dirs: impl Iterator<Item = (Number, &'a PathBuf)>) -> Result<Resolve> {
    let mut readers = BTreeMap::new();
    for (number, dir) in dirs {
        readers.insert(number, Reader::open(dir).context("cannot read the journal")?);
    }
    let readers = Mutex::new(readers);
    Ok(Arc::new(move |seq| {
        let (number, own) = Number::of_seq(seq);
        let mut readers = readers.lock().expect("nobody panics with the lock");
        // A cause that cannot be read is named by its number: the message matters more than its footnote.
        readers.get_mut(&number)?.event_id_of(own).ok().flatten()
    }))
}
