//! Many events, and the start after them: how long until it is level with the journal, and how much memory it takes.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use highwater_dataflow::Clock;
use highwater_ingest::intake::{Delivery, Intake};
use highwater_ingest::journal::{Journal, JournalWriter, Options, PartitionSpec};
use highwater_sinks::Health;

use crate::child::{Wall, log, parts};
use crate::engine::{Engine, real_disk};
use crate::{memory, say, script};

/// Event time between two events: ten million are eleven days.
const STEP: i64 = 100;
const BATCH: u64 = 1_000;
/// Events that are journaled after the last checkpoint, of a hundred.
const AFTER: u64 = 1;
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Journals `events` through the running engine, then a few more without it, and starts it again.
pub(crate) fn measure(dir: &Path, events: u64) -> Result<()> {
    std::fs::create_dir_all(dir).context("cannot make the directory")?;
    let began = Wall.instant();
    let before = events - events * AFTER / 100;
    let engine = Engine::start(parts(dir, Options::default(), Duration::from_mins(1), real_disk)?)?;
    deliver(&engine.writer, 0, before)?;
    while engine.fed.events() < before {
        thread::sleep(LOOK_EVERY);
    }
    let steady = memory::of("self", "VmRSS")?;
    engine.finish()?;
    let journal =
        Journal::open(&dir.join("journal"), Options::default(), std::sync::Arc::new(Wall))?;
    let after = journal.recovery().tip.epoch;
    let (writer, _) = journal.start(after, JournalWriter::abort_on_fatal())?;
    deliver(&writer, before, events)?;
    writer.close();
    let took = Wall.instant().saturating_duration_since(began).as_secs_f64();
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

fn deliver(writer: &JournalWriter, from: u64, to: u64) -> Result<()> {
    let partition = writer.register_partition(PartitionSpec::recorded("torture", "torture"));
    let mut next = from;
    while next < to {
        let end = to.min(next + BATCH);
        let item = |n: u64| Intake::native(script::event(n, STEP).into_bytes(), n);
        let items = (next..end).map(item).collect();
        let delivery = Delivery {
            partition,
            items,
            received: Some(Wall.instant()),
            received_at: Wall.now_ms(),
        };
        // Waits for room, not for the disk.
        writer.submit(delivery, Box::new(|_| {}))?;
        next = end;
    }
    Ok(())
}
