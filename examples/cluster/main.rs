//! Disturbs clusters again and again, holds their answers against the oracles, and says how long they take to come back.
//!
//! ```text
//! cargo build --release && cargo run --release --example cluster -- --processes 2 --cycles 300 --seed 1
//! ```
//!
//! Needs the program `highwater`, built with the same profile. Fails when a cluster takes longer than 30 s.

#![allow(clippy::unwrap_used, reason = "a harness fails by panicking")]
#![allow(
    dead_code,
    unused_imports,
    reason = "the harness and the oracles are the tests', and used in part"
)]

#[path = "../../tests/oracle/mod.rs"]
mod oracle;
mod recovery;
#[path = "../../tests/sim/mod.rs"]
mod sim;
#[path = "../../tests/views.rs"]
mod views;

/// Clusters of processes, as the tests run them.
#[path = "../../tests/cluster"]
mod rig {
    pub(crate) mod center;
    pub(crate) mod node;
    pub(crate) mod proxy;
    pub(crate) mod trouble;
}

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

/// Disturbs clusters and measures how long they take to come back; see the head of `examples/cluster/main.rs`.
#[derive(Parser)]
struct Args {
    #[arg(long, default_value_t = 2)]
    processes: usize,
    #[arg(long, default_value_t = 30)]
    cycles: u64,
    /// Each cycle takes the next one.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where to work; a temporary directory unless given.
    #[arg(long)]
    data: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let scratch = tempfile::tempdir();
    let outcome = scratch.context("cannot make a temporary directory").and_then(|scratch| {
        let dir = args.data.clone().unwrap_or_else(|| scratch.path().to_owned());
        recovery::run(&dir, args.processes, args.cycles, args.seed)
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
