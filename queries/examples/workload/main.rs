//! A day of a contact center through the engine: four queries, from a JSON file or socket to rows.
//!
//!     workload <q1|q2|q34|all> DATA_DIR OUT_FILE       as fast as possible; METRIC line on standard error
//!     workload lat DATA_DIR OUT_FILE PORT              events from 127.0.0.1:PORT, a row per event with its times
//!
//! Q1  15-minute interval per queue: volume, completes, sum of handle time, distinct events
//! Q2  5-minute window every 30 seconds per queue: volume
//! Q3  adherence per agent: live changes, and at the day's end state, activity and time out of adherence
//! Q4  teams with three or more agents out at once, as intervals of event time that are taken back when they prove untrue
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

mod answers;
mod day;
mod input;
mod latency;
mod queries;
mod throughput;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args[..] {
        ["lat", data, out, port] => match port.parse() {
            Ok(port) => latency::run(Path::new(data), Path::new(out), port),
            Err(_) => Err(anyhow::anyhow!("PORT must be a number, not {port}")),
        },
        [which, data, out] => match queries::Wanted::parse(which) {
            Some(wanted) => throughput::run(wanted, Path::new(data), Path::new(out)),
            None => Err(anyhow::anyhow!("unknown query {which}: q1, q2, q34 or all")),
        },
        _ => Err(anyhow::anyhow!(
            "usage: workload <q1|q2|q34|all> DATA_DIR OUT_FILE | workload lat DATA_DIR OUT_FILE PORT"
        )),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("workload: {error:#}");
            ExitCode::FAILURE
        }
    }
}
