//! The program `highwater`: parses what is asked, resolves it to a plan, and wires the crates together.

mod base;
mod belongs;
mod bench;
mod checkpoints;
mod cli;
mod clock;
mod cluster;
mod commands;
mod config;
mod drive;
mod engine;
mod feed;
mod gauges;
mod heard;
mod plan;
mod read;
mod rerun;
mod rounds;
mod service;
mod site;
mod sources;
mod stop;
mod trim;
mod web;
mod why;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use cli::{Cli, Command};
use tracing_subscriber::EnvFilter;

/// 0: done. 1: it failed. 2: it was asked for something that cannot be done, and nothing was touched. 75: another process
/// of the cluster was lost, and starting again mends it.
fn main() -> ExitCode {
    let cli = Cli::parse();
    log(match cli.command {
        Command::Demo(_) | Command::Run(_) => "info",
        _ => "warn",
    });
    let outcome = match cli.command {
        Command::Demo(demo) => commands::demo::demo(demo),
        Command::Run(run) => commands::run::run(&run),
        Command::Check(run) => commands::run::check(&run),
        Command::Plan(run) => commands::plan::plan(&run),
        Command::Replay(replay) => commands::replay::replay(replay),
        Command::Views(views) => commands::views::views(views),
        Command::Dlq(dlq) => commands::dlq::dlq(dlq),
        Command::Journal(journal) => commands::journal::journal(journal),
        Command::Latency(latency) => commands::latency::latency(&latency),
        Command::Why(why) => commands::why::why(&why),
        Command::Bench(bench) => bench::bench(bench),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough: `highwater views … | head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::from(code(&error))
        }
    }
}

fn code(error: &anyhow::Error) -> u8 {
    if error.is::<config::Unusable>() || error.is::<cluster::WrongJournals>() {
        2
    } else if error.is::<cluster::PeerLost>() {
        cluster::LOST
    } else {
        error.downcast_ref::<cluster::Ended>().map_or(1, |ended| ended.0)
    }
}

/// Logs to standard error what `RUST_LOG` says, `level` unless given; colours only for a terminal.
fn log(level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .compact()
        .with_target(false)
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
}

/// The error, its causes, and then the hints that any of them has.
fn report(error: &anyhow::Error) {
    let mut hints = Vec::new();
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        let (what, hint) = match cause.split_once("\nhint: ") {
            Some((what, hint)) => (what, Some(hint)),
            None => (cause.as_str(), None),
        };
        hints.extend(hint.map(str::to_owned));
        // Some errors quote their cause in their own words.
        if !text.ends_with(what) {
            text.push_str(if text.is_empty() { "error: " } else { "\n  because: " });
            text.push_str(what);
        }
    }
    for hint in hints {
        text.push_str("\nhint: ");
        text.push_str(&hint);
    }
    // Standard error may be closed; then there is nobody to tell.
    let _ = writeln!(io::stderr(), "{text}");
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
