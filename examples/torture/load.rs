//! Many events of a center of ten thousand agents, and the start after them: how long until it is level with the
//! journal, and how much memory it takes.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use highwater_dataflow::{Clock, EventTime, Millis};
use highwater_ingest::intake::Delivery;
use highwater_ingest::journal::{Journal, JournalWriter, Options, PartitionSpec};
use highwater_ingest::sim::{SimConfig, Simulation};
use highwater_ingest::source::{Next, Source};
use highwater_sinks::Health;

use crate::child::{Wall, log, parts};
use crate::engine::{Engine, real_disk};
use crate::{memory, say};

const AGENTS: usize = 10_000;
/// Simulated time that is delivered at once, and after which a partition that says nothing is idle; ms.
const STEP: Millis = 1_000;
const IDLE_AFTER: Millis = 60_000;
/// Events that are journaled after the last checkpoint, of a hundred.
const AFTER: u64 = 1;
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Journals `events` through the running engine, then a few more without it, and starts it again.
pub(crate) fn measure(dir: &Path, events: u64) -> Result<()> {
    std::fs::create_dir_all(dir).context("cannot make the directory")?;
    let began = Wall.instant();
    let before = events - events * AFTER / 100;
    let engine = Engine::start(parts(dir, Options::default(), Duration::from_mins(1), real_disk)?)?;
    let mut center = Center::open()?;
    center.deliver(&engine.writer, before)?;
    while engine.fed.events() + engine.fed.dead_letters() < center.delivered {
        thread::sleep(LOOK_EVERY);
    }
    let steady = memory::of("self", "VmRSS")?;
    engine.finish()?;
    let journal =
        Journal::open(&dir.join("journal"), Options::default(), std::sync::Arc::new(Wall))?;
    let after = journal.recovery().tip.epoch;
    let (writer, _) = journal.start(after, JournalWriter::abort_on_fatal())?;
    center.deliver(&writer, events)?;
    writer.close();
    let took = Wall.instant().saturating_duration_since(began).as_secs_f64();
    let events = center.delivered;
    say(&format!("{events} events journaled and computed in {took:.1} s; {steady} MiB in use"));
    let program = std::env::current_exe().context("cannot find this program")?;
    let said = Command::new(program)
        .args(["--load", &events.to_string(), "--child"])
        .arg(dir)
        .output()
        .context("cannot start again")?;
    let text = String::from_utf8_lossy(&said.stdout);
    ensure!(said.status.success(), "{text}{}", String::from_utf8_lossy(&said.stderr));
    let peak: u64 = text.split_whitespace().last().and_then(|n| n.parse().ok()).unwrap_or_default();
    // What it logged, where RUST_LOG asks for it: which part of the start takes how long.
    say(String::from_utf8_lossy(&said.stderr).trim());
    say(text.trim());
    say(&format!(
        "peak while restoring / in use before: {:.2}",
        peak as f64 / steady.max(1) as f64
    ));
    Ok(())
}

/// The start that is measured.
pub(crate) fn restart(dir: &Path) -> Result<()> {
    log();
    let began = Wall.instant();
    let engine =
        Engine::start(parts(dir, Options::default(), Duration::from_hours(1), real_disk)?)?;
    let control = engine.control.clone().context("a single process has the views")?;
    while control.status().health != Health::Live {
        ensure!(engine.broken().is_none(), "{:?}", engine.broken());
        thread::sleep(LOOK_EVERY);
    }
    let took = Wall.instant().saturating_duration_since(began).as_secs_f64();
    let how = if engine.resumed.is_some() { "a checkpoint" } else { "the journal's beginning" };
    let (now, peak) = (memory::of("self", "VmRSS")?, memory::of("self", "VmHWM")?);
    say(&format!("level again in {took:.1} s from {how}; {now} MiB in use, peak MiB {peak}"));
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
                let delivery = Delivery { partition: partitions[at], items, received, received_at };
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
