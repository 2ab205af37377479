//! The sources a deployment can have: what each is called in the journal, how it is opened, and when it ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, bail};
use highwater_dataflow::{Clock, Millis, PartitionId};
use highwater_ingest::anonymous_bank::{self, AnonymousBank};
use highwater_ingest::file::{self, Files};
use highwater_ingest::journal::PartitionSpec;
use highwater_ingest::sim::{SimConfig, Simulation};
use highwater_ingest::source::Source;
use serde::{Deserialize, Serialize};
use tracing::{error, info};

use crate::drive::{self, Driven, Road};

/// A source, ready to be opened.
#[derive(Clone, Debug)]
pub(crate) struct SourcePlan {
    /// Unique among sources: partitions are found again by it.
    pub(crate) name: String,
    /// How far its events may be out of order without being late, ms.
    pub(crate) disorder_ms: Millis,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    Files(file::Config),
    AnonymousBank(anonymous_bank::Config),
    Simulation {
        config: SimConfig,
        /// Where the day of the first start is remembered; `None`: the configuration says it.
        day: Option<PathBuf>,
    },
}

impl SourcePlan {
    /// The kind as the configuration spells it.
    pub(crate) fn kind(&self) -> &'static str {
        match self.what {
            What::Files(_) => "file",
            What::AnonymousBank(_) => "anonymous-bank",
            What::Simulation { .. } => "sim",
        }
    }

    /// The files that it reads.
    pub(crate) fn files(&self) -> &[PathBuf] {
        match &self.what {
            What::Files(config) => &config.paths,
            What::AnonymousBank(config) => std::slice::from_ref(&config.path),
            What::Simulation { .. } => &[],
        }
    }

    /// Names of its partitions in the journal.
    pub(crate) fn partitions(&self) -> Vec<String> {
        let own = match &self.what {
            What::Files(config) => Files::partitions(config),
            What::AnonymousBank(config) => AnonymousBank::partitions(config),
            What::Simulation { config, .. } => Simulation::partitions(config),
        };
        match own.as_slice() {
            [_] => vec![self.name.clone()],
            _ => own.into_iter().map(|own| format!("{}:{own}", self.name)).collect(),
        }
    }

    /// The files it reads.
    pub(crate) fn paths(&self) -> &[PathBuf] {
        match &self.what {
            What::Files(config) => &config.paths,
            What::AnonymousBank(config) => std::slice::from_ref(&config.path),
            What::Simulation { .. } => &[],
        }
    }

    /// Whether its events come as they happen, so that its silence means that nothing happens.
    pub(crate) fn live(&self) -> bool {
        matches!(&self.what, What::Files(config) if config.follow && config.speed.is_none())
    }

    /// Registers its partitions and shows them to the page.
    ///
    /// What is not live holds the watermark while it is silent: a simulation's time is not the wall's, and neither is
    /// a recording's.
    pub(crate) fn register(&self, road: &Road) -> Vec<PartitionId> {
        let register = |name: String| {
            let disorder_ms = self.disorder_ms;
            let spec = if self.live() {
                PartitionSpec { polled: true, ..PartitionSpec::live(name.clone(), self.kind()) }
            } else {
                PartitionSpec::recorded(name.clone(), self.kind())
            };
            let spec = PartitionSpec { disorder_ms, ..spec };
            let partition = road.writer.register_partition(spec);
            road.heard.expect(partition, &name);
            partition
        };
        self.partitions().into_iter().map(register).collect()
    }

    /// Opens it where the journal ends, drives it to its end, and says in the journal that it has ended.
    fn run(&self, partitions: &[PartitionId], road: &Road) -> Result<Driven> {
        let driven = self.play(partitions, road, |_| Ok(()))?;
        if driven == Driven::Done {
            drive::end(partitions, road)?;
        }
        Ok(driven)
    }

    /// Opens it where the journal ends and drives it to its end; its partitions stay open.
    pub(crate) fn play(
        &self,
        partitions: &[PartitionId],
        road: &Road,
        delivered: impl FnMut(&Road) -> Result<()>,
    ) -> Result<Driven> {
        let resume: Vec<Option<u64>> =
            partitions.iter().map(|id| road.writer.resume_position(*id)).collect();
        let live = self.live();
        match self.what.clone() {
            What::Files(config) => {
                drive::drive(&mut Files::open(config, &resume)?, partitions, live, road, delivered)
            }
            What::AnonymousBank(config) => {
                let mut source = AnonymousBank::open(config, &resume)?;
                road.heard.will_come(source.entries() - source.position(0));
                drive::drive(&mut source, partitions, live, road, delivered)
            }
            What::Simulation { config, day } => {
                let config = match day {
                    Some(day) => same_day(config, &day, &*road.clock)?,
                    None => config,
                };
                let mut source = Simulation::open(config, &resume)?;
                drive::drive(&mut source, partitions, live, road, delivered)
            }
        }
    }

    /// Runs it on a thread of its own. A failure is logged there and shown on the page; the rest goes on.
    pub(crate) fn start(self, partitions: Vec<PartitionId>, road: Road) -> JoinHandle<()> {
        let name = self.name.clone();
        let run = move || match self.run(&partitions, &road) {
            Ok(Driven::Done) => info!(source = self.name, "source has no more"),
            Ok(Driven::Stopped) => info!(source = self.name, "source stopped"),
            Err(failure) => {
                let text = format!("{failure:#}");
                error!(source = self.name, error = text, "source gave up; mend it and start again");
                for id in &partitions {
                    road.heard.failed(*id, &text);
                }
            }
        };
        thread::Builder::new().name(name).spawn(run).expect("the system gives us a thread")
    }
}

/// The hours of its day at which a simulation begins that nobody placed.
const STARTS: (i64, i64) = (9, 40);
/// How much of that day it tells when it begins, at least.
const HISTORY_MS: Millis = 30 * 60_000;

/// What of a simulation must be the same after a restart for its events to be the same.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Day {
    agents: usize,
    queues: Option<usize>,
    seed: u64,
    midnight_at: i64,
    start_at: i64,
    history_from: Option<i64>,
}

/// Places a simulation in time: now at its first start, as it was then at every later one.
fn same_day(config: SimConfig, file: &Path, clock: &dyn Clock) -> Result<SimConfig> {
    let (hour, minute) = STARTS;
    let mut config = config.starting_at(clock.now_ms(), hour, minute).telling_the_last(HISTORY_MS);
    let day = |config: &SimConfig| Day {
        agents: config.agents,
        queues: config.queues,
        seed: config.seed,
        midnight_at: config.midnight_at,
        start_at: config.start_at,
        history_from: config.history_from,
    };
    if !file.exists() {
        let text = serde_json::to_string_pretty(&day(&config)).expect("a day is plain data");
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
        return Ok(config);
    }
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let before: Day = serde_json::from_str(&text).with_context(|| {
        format!("{} does not hold a simulation's day; give another data directory", file.display())
    })?;
    (config.midnight_at, config.start_at) = (before.midnight_at, before.start_at);
    config.history_from = before.history_from;
    if day(&config) != before {
        bail!(
            "{} belongs to a simulation of {} agents with seed {}\n\
             hint: ask for the same again, or give another data directory",
            file.display(),
            before.agents,
            before.seed
        );
    }
    Ok(config)
}
