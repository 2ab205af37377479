//! Kills the engine again and again, at every sync point and at random, and checks after each time what must hold.
//!
//! ```text
//! cargo run --release --example torture -- --cycles 2000 --seed 1
//! unshare -m cargo run --release --example torture -- --cycles 500 --power
//! cargo run --release --example torture -- --load 10000000 --data load
//! ```
//!
//! A cycle is a process of its own: it opens the directory that the one before left behind, goes on from there, takes
//! events in, says what was acknowledged, and is killed (SIGKILL): at each sync point of journal, witness, checkpoint,
//! base, views and alert channels in turn, at a moment that the parent picks, or by `strace` at the n-th sync that it
//! asks the system for; or that sync fails, and it has to end by itself. Its clock is off, its segments and logs are
//! small, its past is dropped as it goes on. After every cycle, with nothing mended:
//!
//! - O1 acknowledged is journaled; O2 each event counts once; O3 the views at their marker are what a graph that never
//!   stopped holds there, to the row; O4 the marker is not beyond the journal, nor a checkpoint beyond the marker;
//! - O5 a receiver that takes each message once, by its key, ends in the computed state or has the rest pending;
//!   nothing that was confirmed comes again, nothing is forgotten; one receiver is a file, one a server that loses
//!   answers and is unwell now and then;
//! - O6 no life takes more memory than the cap; O7 nothing that a life says holds the secret that signs its alerts.
//!
//! Twenty cycles share a directory; one more life there ends in order, and nothing may be pending after it.
//!
//! `--load N` journals N events, and prints how long the next start takes and how much memory, with a checkpoint.

#![allow(
    dead_code,
    unused_imports,
    reason = "the engine's modules are the program's, and used in part"
)]

mod aim;
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
mod life;
mod load;
mod memory;
mod oracle;
mod power;
mod receiver;
#[path = "../../src/rerun.rs"]
mod rerun;
#[path = "../../src/rounds.rs"]
mod rounds;
mod script;
mod torture;
#[path = "../../src/trim.rs"]
mod trim;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

/// Kills the engine and checks what is left; see the head of `examples/torture/main.rs`.
#[derive(Parser)]
struct Args {
    #[arg(long, default_value_t = 200)]
    cycles: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// O6: the most memory that a life may take, MiB.
    #[arg(long, default_value_t = 512)]
    memory_mib: u64,
    /// Cut the power instead of killing: each cycle ends with its file system stopped, unsynced writes lost. For root.
    #[arg(long)]
    power: bool,
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
            (None, None) => torture::run(&dir, &args),
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
