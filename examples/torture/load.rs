//! Many events of a center of ten thousand agents, and the starts after them, in order and after a kill: how long until
//! the views are level with the journal, and how much memory it takes.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use highwater_dataflow::{Clock, EventTime, Millis};
use highwater_ingest::intake::Delivery;
use highwater_ingest::journal::{Journal, JournalWriter, Options, PartitionSpec};
use highwater_ingest::sim::{SimConfig, Simulation};
use highwater_ingest::source::{Next, Source};
use highwater_sinks::Health;
use highwater_sinks::wallboard::{Shown, Wallboard};

use crate::child::{Wall, log, parts};
use crate::engine::{self, Engine, real_disk};
use crate::{memory, say};

const AGENTS: usize = 10_000;
/// Simulated time that is delivered at once, and after which a partition that says nothing is idle; ms.
const STEP: Millis = 1_000;
const IDLE_AFTER: Millis = 60_000;
/// Events that are journaled after the last checkpoint, of a hundred.
const AFTER: u64 = 1;
/// As the service does unless it is told otherwise.
const CHECKPOINTS_EVERY: Duration = Duration::from_mins(5);
const ROWS_SHOWN: usize = 10_000;
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Journals `events` through the running engine, then a few more without it, and starts it twice.
pub(crate) fn measure(dir: &Path, events: u64) -> Result<()> {
    std::fs::create_dir_all(dir).context("cannot make the directory")?;
    log();
    let began = Wall.instant();
    let took = || Wall.instant().saturating_duration_since(began).as_secs_f64();
    let before = events - events * AFTER / 100;
    let engine = Engine::start(parts(dir, backlog(), CHECKPOINTS_EVERY, real_disk)?)?;
    let mut center = Center::open()?;
    center.deliver(&engine.writer, before)?;
    say(&format!("{} events handed over after {:.1} s", center.delivered, took()));
    while engine.fed.events() + engine.fed.dead_letters() < center.delivered {
        thread::sleep(LOOK_EVERY);
    }
    let (steady, most) = (memory::of("self", "VmRSS")?, memory::of("self", "VmHWM")?);
    say(&format!(
        "all taken by the graph after {:.1} s; {steady} MiB in use, {most} at most",
        took()
    ));
    engine.finish()?;
    let most = memory::of("self", "VmHWM")?;
    say(&format!("computed, kept and closed after {:.1} s; {most} MiB at most", took()));
    let journal = Journal::open(&dir.join("journal"), Options::default(), Arc::new(Wall))?;
    let after = journal.recovery().tip.epoch;
    let (writer, _) = journal.start(after, JournalWriter::abort_on_fatal())?;
    center.deliver(&writer, events)?;
    writer.close();
    say(&format!(
        "{} events journaled, {} of them since",
        center.delivered,
        center.delivered - before
    ));
    for how in ["the service was closed", "it was killed"] {
        let (line, peak) = start(dir, center.delivered)?;
        let times = peak as f64 / steady.max(1) as f64;
        say(&format!("after {how}: {line}; that is {times:.2} times what was in use"));
    }
    Ok(())
}

/// Large frames: a closed epoch tells ten thousand agents' minutes anew, and whoever is days behind need not do that for
/// every thousand events. The frames that are worked off after the checkpoint are of the usual size.
fn backlog() -> Options {
    Options { frame_events: 16_384, frame_bytes: 16 << 20, ..Options::default() }
}

/// Starts the engine in a process of its own, and kills it once it is level. Returns what it said, and its peak, MiB.
fn start(dir: &Path, events: u64) -> Result<(String, u64)> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut child = Command::new(program)
        .args(["--load", &events.to_string(), "--child"])
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start again")?;
    let mut line = String::new();
    let out = child.stdout.take().context("it has no output")?;
    BufReader::new(out).read_line(&mut line).context("cannot hear it")?;
    child.kill().context("cannot kill it")?;
    child.wait().context("it does not end")?;
    let peak = line.split_whitespace().last().and_then(|n| n.parse().ok());
    let peak = peak.with_context(|| format!("it did not become level: {line}"))?;
    Ok((line.trim().to_owned(), peak))
}

/// The start that is measured. It waits to be killed.
pub(crate) fn restart(dir: &Path) -> Result<()> {
    log();
    let began = Wall.instant();
    let mut parts = parts(dir, Options::default(), Duration::from_hours(1), real_disk)?;
    let (views, page) = (engine::views(&[]), Shown::page(ROWS_SHOWN));
    let wallboard = Wallboard::new(&views, page, parts.latency.clone(), parts.clock.clone());
    parts.listeners.push(Box::new(wallboard));
    let engine = Engine::start(parts)?;
    let control = engine.control.clone().context("a single process has the views")?;
    while control.status().health != Health::Live {
        ensure!(engine.broken().is_none(), "{:?}", engine.broken());
        thread::sleep(LOOK_EVERY);
    }
    let took = Wall.instant().saturating_duration_since(began).as_secs_f64();
    let how = if engine.resumed.is_some() { "a checkpoint" } else { "the journal's beginning" };
    let (now, peak) = (memory::of("self", "VmRSS")?, memory::of("self", "VmHWM")?);
    let cpu = memory::cpu_s();
    say(&format!(
        "level again in {took:.1} s ({cpu:.1} s of CPU) from {how}; {now} MiB in use, peak MiB {peak}"
    ));
    let mut end = String::new();
    std::io::stdin().read_line(&mut end).context("cannot wait for the end")?;
    std::process::exit(0);
}

/// Where the load comes from: a center of ten thousand agents, day after day, as fast as it is taken.
struct Center {
    simulation: Simulation,
    partitions: Vec<String>,
    now: EventTime,
    delivered: u64,
}

impl Center {
    fn open() -> Result<Center> {
        let from = SimConfig::default();
        let config = SimConfig { agents: AGENTS, start_at: from.midnight_at, ..from };
        let (now, partitions) = (config.start_at, Simulation::partitions(&config));
        Ok(Center { simulation: Simulation::open(config, &[])?, partitions, now, delivered: 0 })
    }

    /// Goes on until `to` events were delivered, in all, or a few more.
    fn deliver(&mut self, writer: &JournalWriter, to: u64) -> Result<()> {
        let spec = |name: &String| writer.register_partition(PartitionSpec::recorded(name, "sim"));
        let partitions: Vec<_> = self.partitions.iter().map(spec).collect();
        let mut spoke = vec![self.now; partitions.len()];
        while self.delivered < to {
            let mut items = Vec::new();
            let polled = self.simulation.poll(self.now, &mut items)?;
            let (at, received_at) = (polled.partition, polled.received_at);
            if !items.is_empty() {
                self.delivered += items.len() as u64;
                spoke[at] = self.now;
                let received = Some(Wall.instant());
                let partition = partitions[at];
                let delivery = Delivery { partition, items, received, received_at, history: false };
                // Waits for room, not for the disk.
                writer.submit(delivery, Box::new(|_| {}))?;
            }
            match polled.next {
                Next::Ready => {}
                Next::At(next) => self.now = next.max(self.now + STEP),
                Next::Done => break,
            }
            for (partition, spoke) in partitions.iter().zip(&spoke) {
                if self.now - spoke > IDLE_AFTER {
                    writer.declare_idle(*partition);
                }
            }
        }
        Ok(())
    }
}
