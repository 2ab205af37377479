//! One life of the engine: goes on from what is there, takes events in, and is killed at a step of the disk.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::Args;
use highwater_dataflow::latency::Latency;
use highwater_dataflow::{Clock, EventTime, Step as Alert};
use highwater_ingest::intake::{Delivery, Intake};
use highwater_ingest::journal::{Disk, Options, PartitionSpec, Step};
use highwater_queries::Settings;
use highwater_sinks::channel::{ChannelConfig, FileConfig, Retry};

use crate::belongs::Belongs;
use crate::checkpoints::Keeping;
use crate::engine::{Engine, Parts};
use crate::script::{self, Draw};

/// What a life is told.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Order {
    /// Be one life in this directory; the parent's way to start it.
    #[arg(long = "child", hide = true)]
    pub(crate) directory: Option<PathBuf>,
    #[arg(long, hide = true, default_value_t = 0)]
    pub(crate) first: u64,
    #[arg(long, hide = true, default_value_t = 0)]
    pub(crate) kill_at: u64,
    #[arg(long, hide = true, default_value_t = 0)]
    pub(crate) draw: u64,
}

impl Order {
    pub(crate) fn arguments(&self) -> Vec<String> {
        let directory = self.directory.as_deref().unwrap_or(Path::new("."));
        vec![
            "--child".to_owned(),
            directory.display().to_string(),
            "--first".to_owned(),
            self.first.to_string(),
            "--kill-at".to_owned(),
            self.kill_at.to_string(),
            "--draw".to_owned(),
            self.draw.to_string(),
        ]
    }
}

/// Events that a life sends when nothing kills it.
const EVENTS: u64 = 300;
/// Event time between two events, ms.
pub(crate) const STEP: i64 = 2_000;

static LEFT: AtomicU64 = AtomicU64::new(u64::MAX);

/// Counts the steps down and kills the process at the last one.
struct Killing;

impl Disk for Killing {
    fn reach(&mut self, _: Step) -> io::Result<()> {
        if LEFT.fetch_sub(1, Ordering::SeqCst) == 0 {
            kill();
        }
        Ok(())
    }
}

/// `kill -9` of this very process: nothing is flushed, nothing unwinds.
fn kill() -> ! {
    let pid = std::process::id().to_string();
    let _ = std::process::Command::new("kill").args(["-9", &pid]).status();
    std::process::abort();
}

/// The system's clock.
pub(crate) struct Wall;

#[expect(clippy::disallowed_methods, reason = "the one clock of this program")]
impl Clock for Wall {
    fn now_ms(&self) -> EventTime {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        since.as_millis() as EventTime
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }
}

/// Where alert messages of a life go.
pub(crate) fn alerts(dir: &Path) -> PathBuf {
    dir.join("alerts.jsonl")
}

/// The engine in `dir`, as the program runs it; `every` is the time between checkpoints.
pub(crate) fn parts(
    dir: &Path,
    journal: Options,
    every: Duration,
    disk: fn() -> Box<dyn Disk>,
) -> Result<Parts> {
    let clock: Arc<dyn Clock> = Arc::new(Wall);
    let channel = ChannelConfig::File(FileConfig {
        name: "file".to_owned(),
        path: alerts(dir),
        steps: vec![Alert::Opened, Alert::Amended, Alert::Resolved, Alert::Retracted],
        retry: Retry::default(),
    });
    Ok(Parts {
        belongs: Belongs::default(),
        journal_dir: dir.join("journal"),
        journal,
        dataflow: highwater_dataflow::Options::default(),
        settings: Settings::default(),
        only: Vec::new(),
        sinks: highwater_sinks::Config::at(dir.join("views.sqlite")),
        changelog: None,
        channels: vec![channel.open(&|_| None).context("cannot open the alert channel")?],
        listeners: Vec::new(),
        disk,
        checkpoints: Some(Keeping {
            dir: dir.join("checkpoints"),
            every,
            base_dir: dir.join("base"),
            // Everything is kept: the parent replays it all.
            retain_ms: i64::MAX / 2,
        }),
        clock,
        latency: Arc::new(Latency::default()),
    })
}

pub(crate) fn run(dir: &Path, order: &Order) -> Result<()> {
    LEFT.store(order.kill_at, Ordering::SeqCst);
    let mut draw = Draw::new(order.draw);
    // Small segments, so that they rotate within a life.
    let options = Options { segment_bytes: 200_000, ..Options::default() };
    let every = Duration::from_millis(draw.below(40));
    let engine = Engine::start(parts(dir, options, every, || Box::new(Killing))?)?;
    let mut out = io::stdout().lock();
    if let Some(epoch) = engine.resumed {
        writeln!(out, "resumed {epoch}")?;
    }
    let partition = engine.writer.register_partition(PartitionSpec::recorded("torture", "torture"));
    let mut next = order.first;
    while next < order.first + EVENTS {
        let to = next + 1 + draw.below(20);
        let item = |n: u64| Intake::native(script::event(n, STEP).into_bytes(), n);
        let items = (next..to).map(item).collect();
        let received = Some(Wall.instant());
        let delivery = Delivery { partition, items, received, received_at: Wall.now_ms() };
        engine.writer.append(delivery)?;
        writeln!(out, "acknowledged {next}..{to}.")?;
        out.flush()?;
        next = to;
    }
    // Half of those that live so long end in order.
    if draw.below(2) == 0 {
        kill();
    }
    engine.finish()
}
