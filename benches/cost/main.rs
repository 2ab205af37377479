//! What the engine costs beside the simplest program that could do the same work, and what it costs by itself.
//!
//! ```text
//! cargo bench --bench cost                 three queries beside plain programs, by agents and batch size
//! cargo bench --bench cost -- workers      the same queries on one worker and on two
//! cargo bench --bench cost -- processes    the same queries in one process and in two
//! cargo bench --bench cost -- latency      1,000,000 agents, an event an epoch on a fixed schedule
//! cargo bench --bench cost -- epochs       an epoch of one event with every query of the product on
//! cargo bench --bench cost -- memory       state per agent, 1,000 to 1,000,000 agents
//! cargo bench --bench cost -- scaling scaling.svg   cost per event and state per agent by agents, and a plot of both
//! cargo bench --bench cost -- views 1000 14 24   what each query of the product keeps: agents, hours, horizon in hours
//! ```
//!
//! Queries: adherence with team drift; 15-minute intervals; 5 minutes every 30 seconds. The plain programs are single
//! threads over hash maps, right about late and repeated events within the same horizon: after every run the rows of
//! both must amount to the same. Under `cargo test` everything runs tiny, so that it cannot rot.
#![allow(clippy::print_stdout, reason = "a benchmark reports on standard output")]
#![allow(clippy::disallowed_methods, reason = "a benchmark measures the real clock")]

mod adherence;
mod allocated;
mod center;
mod engine;
mod epochs;
mod latency;
mod memory;
mod processes;
mod ratio;
mod scaling;
mod views;
mod windows;

fn main() {
    // Cargo says `--bench` when it means it.
    let args: Vec<String> = std::env::args().skip(1).collect();
    let full = args.iter().any(|arg| arg == "--bench");
    let has = |name: &str| args.iter().any(|arg| arg == name);
    if let Some(at) = args.iter().position(|arg| arg == "memory-of") {
        let agents = args[at + 1].parse().expect("memory-of takes a number of agents");
        memory::of(agents);
    } else if let Some(at) = args.iter().position(|arg| arg == "views-of") {
        views::of(&args[at + 1], views::Load::of(&args[at + 2..]));
    } else if let Some(at) = args.iter().position(|arg| arg == "second-of") {
        processes::second(&args[at + 1..]);
    } else if !full {
        ratio::compare(&ratio::TINY);
        ratio::workers(&ratio::TINY);
        processes::run(&ratio::TINY);
        latency::run(200, &[500], 50);
        epochs::run(20, 30);
        memory::of(300);
        let dir = tempfile::tempdir().expect("there is room for a file");
        scaling::run(&ratio::TINY, &dir.path().join("scaling.svg").to_string_lossy());
        views::of("adherence_now", views::Load { agents: 20, hours: 1, horizon: 1 });
    } else if has("latency") {
        latency::run(1_000_000, &[1_000, 10_000], 80_000);
    } else if has("epochs") {
        epochs::run(1_000, 5_000);
    } else if let Some(at) = args.iter().position(|arg| arg == "views") {
        views::run(views::Load::of(&args[at + 1..]));
    } else if let Some(at) = args.iter().position(|arg| arg == "scaling") {
        let file = args.get(at + 1).map_or("scaling.svg", String::as_str);
        scaling::run(&ratio::GROWTH, file);
    } else if has("memory") {
        memory::run(&[1_000, 10_000, 100_000, 1_000_000]);
    } else if has("processes") {
        processes::run(&ratio::FULL);
    } else if has("workers") {
        ratio::workers(&ratio::FULL);
    } else {
        ratio::compare(&ratio::FULL);
    }
}
