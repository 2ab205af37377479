//! Kills the engine again and again, at every sync point and at random moments, and checks after it what must hold.
//!
//! ```text
//! cargo run --release --example torture -- --cycles 2000 --seed 1
//! cargo run --release --example torture -- --load 10000000 --data load
//! ```
//!
//! A cycle is a process of its own: it opens the directory that the one before left behind, goes on from there, takes
//! events in, writes to standard output what was acknowledged, and is killed (SIGKILL) at the step of the disk that the
//! seed picks: between commit and witness, within a checkpoint, while a segment goes. The parent then holds against
//! each other what was acknowledged, the journal, the views, and what the alert channel got:
//!
//! - O1 acknowledged is journaled; O2 each event counts once; O3 the views are what a replay of the journal gives;
//! - O4 the views' marker is not beyond the journal; O5 the alert channel ends in the computed state, and nothing that
//!   was confirmed comes again.
//!
//! `--load N` journals N events, and prints how long the next start takes and how much memory, with a checkpoint.

#![allow(
    dead_code,
    unused_imports,
    reason = "the engine's modules are the program's, and used in part"
)]

#[path = "../../src/base.rs"]
mod base;
#[path = "../../src/belongs.rs"]
mod belongs;
mod check;
#[path = "../../src/checkpoints.rs"]
mod checkpoints;
mod child;
#[path = "../../src/clock.rs"]
mod clock;
#[path = "../../src/cluster/mod.rs"]
mod cluster;
#[path = "../../src/config.rs"]
mod config;
#[path = "../../src/engine.rs"]
mod engine;
#[path = "../../src/feed.rs"]
mod feed;
mod load;
#[path = "../../src/rerun.rs"]
mod rerun;
mod script;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use clap::Parser;
use highwater_ingest::journal;

use script::Draw;

/// Kills the engine and checks what is left; see the head of `examples/torture/main.rs`.
#[derive(Parser)]
struct Args {
    #[arg(long, default_value_t = 200)]
    cycles: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Views are checked against a replay each so many cycles, and at the end.
    #[arg(long, default_value_t = 25)]
    check_every: u64,
    /// Where to work; a temporary directory unless given.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Journal so many events instead, and measure the next start.
    #[arg(long)]
    load: Option<u64>,
    #[command(flatten)]
    child: child::Order,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let scratch = tempfile::tempdir();
    let outcome = scratch.context("cannot make a temporary directory").and_then(|scratch| {
        let dir = args.data.clone().unwrap_or_else(|| scratch.path().to_owned());
        match (&args.child.directory, args.load) {
            (Some(dir), None) => child::run(dir, &args.child),
            (Some(dir), Some(_)) => load::restart(dir),
            (None, Some(events)) => load::measure(&dir, events),
            (None, None) => torture(&dir, &args),
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn torture(dir: &Path, args: &Args) -> Result<()> {
    let mut draw = Draw::new(args.seed);
    let mut acknowledged: BTreeSet<u64> = BTreeSet::new();
    let mut next = 0;
    let (mut killed, mut resumed) = (0, 0);
    for cycle in 1..=args.cycles {
        let order = child::Order {
            directory: Some(dir.to_owned()),
            first: next,
            // Steps come in the order of the disk's work; small numbers hit the first ones after a start.
            kill_at: if draw.below(4) == 0 { draw.below(2_000) } else { draw.below(120) },
            draw: draw.below(u64::MAX),
        };
        let cycled = run_cycle(&order)?;
        acknowledged.extend(&cycled.acknowledged);
        killed += u64::from(cycled.killed);
        resumed += u64::from(cycled.resumed);
        // Those in flight are sent again, and a few that were acknowledged are as well.
        let greatest = acknowledged.last().map_or(0, |last| last + 1);
        next = greatest.saturating_sub(draw.below(40));
        let journal_dir = dir.join("journal");
        let report = journal::verify(&journal_dir)?;
        if let Some(problem) = report.problem {
            bail!("seed {}, cycle {cycle}: {problem}", args.seed);
        }
        let whole = cycle.is_multiple_of(args.check_every) || cycle == args.cycles;
        let checked = check::check(dir, report.intact.epoch, &acknowledged, whole);
        checked.with_context(|| format!("seed {}, cycle {cycle}", args.seed))?;
    }
    say(&format!(
        "seed {}: {} cycles, {killed} killed, {resumed} went on from a checkpoint, {} events acknowledged, \
         0 lost, 0 doubled",
        args.seed,
        args.cycles,
        acknowledged.len()
    ));
    Ok(())
}

struct Cycled {
    acknowledged: Vec<u64>,
    killed: bool,
    resumed: bool,
}

/// Runs one life and collects what it said.
fn run_cycle(order: &child::Order) -> Result<Cycled> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut process = Command::new(program)
        .args(order.arguments())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .context("cannot start a cycle")?;
    let said = process.stdout.take().context("its output is ours")?;
    let mut cycled = Cycled { acknowledged: Vec::new(), killed: false, resumed: false };
    for line in BufReader::new(said).lines() {
        let line = line.context("cannot read what a cycle says")?;
        // A kill may cut the last line short: then nobody was told.
        match line.split_once(' ') {
            Some(("acknowledged", span)) => {
                let span = span.strip_suffix('.').and_then(|span| span.split_once(".."));
                if let Some((from, to)) = span {
                    cycled.acknowledged.extend(from.parse::<u64>()?..to.parse::<u64>()?);
                }
            }
            Some(("resumed", _)) => cycled.resumed = true,
            _ => {}
        }
    }
    let status = process.wait().context("cannot wait for a cycle")?;
    cycled.killed = status.code().is_none();
    if status.code().is_some_and(|code| code != 0) {
        bail!("a life ended with {status}");
    }
    Ok(cycled)
}
