//! `highwater bench replay`: a journal or a file at full speed, in passes that each go one stage further.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use highwater_dataflow::latency::Latency;
use highwater_dataflow::{Batch, Clock, FOREVER, Graph, Runtime, Signal};
use highwater_ingest::file::{self, Files};
use highwater_ingest::intake::Intake;
use highwater_ingest::journal::{Options as JournalOptions, Scan};
use highwater_ingest::source::{Next, Source};
use highwater_model::Envelope;
use highwater_queries::{Entry, Settings, registry};
use highwater_sinks::{SinkWriter, Wiring};
use serde::Serialize;

use super::args::Replay;
use super::process;
use crate::clock::WallClock;
use crate::commands::{print, replay as product};
use crate::drive::Road;
use crate::engine::{self, Engine, Parts};
use crate::feed::batch;

/// How far a file's events may be out of order without being late, ms: as in `highwater replay`.
const DISORDER_MS: i64 = 5_000;

/// What a pass took.
#[derive(Debug, Serialize)]
struct Pass {
    name: &'static str,
    events: u64,
    wall_s: f64,
    cpu_s: f64,
    /// The most memory resident, bytes; of the process so far where the system cannot tell it of a pass.
    peak_bytes: Option<u64>,
}

impl Pass {
    fn run(name: &'static str, pass: impl FnOnce() -> Result<u64>) -> Result<Pass> {
        process::forget_peak();
        let (began, cpu) = (WallClock.instant(), process::cpu_time());
        let events = pass()?;
        let wall_s = (WallClock.instant() - began).as_secs_f64();
        let cpu_s = process::cpu_time().saturating_sub(cpu).as_secs_f64();
        Ok(Pass { name, events, wall_s, cpu_s, peak_bytes: process::peak_bytes() })
    }
}

pub(crate) fn replay(args: &Replay) -> Result<()> {
    let journal = args.input.is_dir();
    let passes = if journal { of_journal(args)? } else { of_file(args)? };
    if passes.iter().all(|pass| pass.events == 0) {
        bail!("{} holds no events", args.input.display());
    }
    if let Some(to) = &args.json {
        let value = serde_json::json!({
            "machine": process::machine(),
            "workers": args.workers,
            "journal": journal,
            "passes": passes,
        });
        let text = serde_json::to_string_pretty(&value).expect("plain data becomes JSON");
        std::fs::write(to, text).with_context(|| format!("cannot write {}", to.display()))?;
    }
    print(&table(&passes))
}

fn of_journal(args: &Replay) -> Result<Vec<Pass>> {
    let read = Pass::run("read, decoded", || {
        let mut events = 0;
        let mut scan = Scan::open(&args.input, 0)?;
        while let Some(frame) = scan.next_frame()? {
            events += (frame.envelopes.len() + frame.dead_letters.len()) as u64;
        }
        Ok(events)
    })?;
    let play = |runtime: &Runtime<Entry>| {
        let mut events = 0;
        let mut scan = Scan::open(&args.input, 0)?;
        while let Some(frame) = scan.next_frame()? {
            events += (frame.envelopes.len() + frame.dead_letters.len()) as u64;
            runtime.send(batch(frame));
        }
        Ok(events)
    };
    let computed = Pass::run("computed", || compute(args.workers, play))?;
    let scratch = tempfile::tempdir().context("cannot make a temporary directory")?;
    let committed =
        Pass::run("views committed", || commit(args.workers, &scratch.path().join("views"), play))?;
    Ok(vec![read, computed, committed])
}

fn of_file(args: &Replay) -> Result<Vec<Pass>> {
    let read = Pass::run("read, decoded", || {
        let mut events = 0;
        each_delivery(&args.input, |items| events += items.len() as u64)?;
        Ok(events)
    })?;
    let computed = Pass::run("computed", || {
        compute(args.workers, |runtime| {
            let (mut seq, mut newest, mut epoch) = (0, i64::MIN, 0);
            each_delivery(&args.input, |items| {
                epoch += 1;
                let envelopes = items.into_iter().filter_map(|item| item.decoded.ok());
                let events = envelopes.map(|envelope| {
                    seq += 1;
                    newest = newest.max(envelope.at);
                    Entry::Event(Envelope { seq, ..envelope })
                });
                let events = events.collect();
                let bound = newest.saturating_sub(DISORDER_MS);
                let signals = vec![Signal::Bound { partition: 1, bound }];
                runtime.send(Batch { epoch, events, signals, stamps: Arc::default() });
            })?;
            let signals = vec![Signal::Bound { partition: 1, bound: FOREVER }];
            let last =
                Batch { epoch: epoch + 1, events: Vec::new(), signals, stamps: Arc::default() };
            runtime.send(last);
            Ok(seq)
        })
    })?;
    let scratch = tempfile::tempdir().context("cannot make a temporary directory")?;
    let committed = Pass::run("journaled, views committed", || whole(args, scratch.path()))?;
    Ok(vec![read, computed, committed])
}

/// The dataflow alone, every query on: what it says is dropped.
fn compute(workers: u16, play: impl FnOnce(&Runtime<Entry>) -> Result<u64>) -> Result<u64> {
    let (runtime, commits) = Runtime::start(options(workers), build);
    let drain = std::thread::spawn(move || commits.into_iter().for_each(drop));
    let events = play(&runtime);
    runtime.finish();
    drain.join().expect("counting does not panic");
    events
}

/// The dataflow and the views in a database of their own.
fn commit(
    workers: u16,
    views: &Path,
    play: impl FnOnce(&Runtime<Entry>) -> Result<u64>,
) -> Result<u64> {
    let (runtime, commits) = Runtime::start(options(workers), build);
    let clock: Arc<dyn Clock> = Arc::new(WallClock);
    let wiring = Wiring::new(clock, Arc::new(Latency::default()));
    let sink = SinkWriter::spawn(
        &highwater_sinks::Config::at(views),
        &engine::views(&[]),
        commits,
        wiring,
    )
    .context("cannot start to write the views")?;
    // Nothing was there before: what comes is new, and committed as it comes.
    sink.control().caught_up(0);
    let events = play(&runtime);
    runtime.finish();
    sink.join().context("cannot commit to the views")?;
    events
}

/// The product's own road: source, journal, dataflow, views.
fn whole(args: &Replay, scratch: &Path) -> Result<u64> {
    let clock: Arc<dyn Clock> = Arc::new(WallClock);
    let journal_dir = scratch.join("journal");
    std::fs::create_dir_all(&journal_dir).context("cannot make a temporary directory")?;
    let views = scratch.join("views.sqlite");
    let engine = Engine::start(Parts::recorded(journal_dir, views, args.workers, clock.clone()))?;
    let road = Road::to(&engine, &clock, JournalOptions::default().idle_after);
    let fed = engine.fed.clone();
    let played = product::play_file(&args.input, &road);
    engine.finish()?;
    played?;
    Ok(fed.events() + fed.dead_letters())
}

/// Reads a file as its source does, a delivery at a time.
fn each_delivery(path: &Path, mut take: impl FnMut(Vec<Intake>)) -> Result<()> {
    let config = file::Config { paths: vec![path.to_owned()], speed: None, follow: false };
    let mut files = Files::open(config, &[])?;
    loop {
        let mut items = Vec::new();
        let polled = files.poll(WallClock.now_ms(), &mut items)?;
        if !items.is_empty() {
            take(items);
        }
        if polled.next == Next::Done {
            return Ok(());
        }
    }
}

fn build(graph: &mut Graph<'_, Entry>) {
    registry::build(graph, &Settings::default());
}

fn options(workers: u16) -> highwater_dataflow::Options {
    let workers = workers.into();
    highwater_dataflow::Options { workers, ..highwater_dataflow::Options::default() }
}

fn table(passes: &[Pass]) -> String {
    let mut text = format!(
        "{}\n\n{:<28}{:>10}{:>10}{:>12}{:>10}{:>18}{:>12}{:>16}\n",
        process::machine(),
        "pass",
        "events",
        "wall",
        "events/s",
        "CPU",
        "events/CPU second",
        "peak memory",
        "stage, CPU each"
    );
    let mut before = 0.0;
    for pass in passes {
        let events = pass.events as f64;
        let each = pass.cpu_s * 1e9 / events.max(1.0);
        let peak = pass.peak_bytes.map_or("unknown".into(), |bytes| format!("{} MB", bytes >> 20));
        let row = format!(
            "{:<28}{:>10}{:>10}{:>12.0}{:>10}{:>18.0}{peak:>12}{:>16}\n",
            pass.name,
            pass.events,
            format!("{:.2} s", pass.wall_s),
            events / pass.wall_s.max(1e-9),
            format!("{:.2} s", pass.cpu_s),
            events / pass.cpu_s.max(1e-9),
            format!("{:.0} ns", each - before),
        );
        text.push_str(&row);
        before = each;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_costs_what_it_adds() {
        let pass = |name, cpu_s| Pass { name, events: 1_000, wall_s: 1.0, cpu_s, peak_bytes: None };
        let text = table(&[pass("one", 0.001), pass("two", 0.003)]);
        let last = |nth: usize| text.lines().nth(nth).and_then(|line| line.rsplit_once("  "));
        assert_eq!(last(3).map(|(_, each)| each.trim()), Some("1000 ns"));
        assert_eq!(last(4).map(|(_, each)| each.trim()), Some("2000 ns"));
    }
}
