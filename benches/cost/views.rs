//! What each query of the product keeps in memory: a simulated day through the graph with that query alone.
//!
//! Only the dataflow: no journal, no views' database, no page. The state is what is allocated once everything sent is
//! answered, less what was before the graph was built. A query's own is that less what the graph keeps for all of them.

use std::process::Command;
use std::sync::Arc;

use highwater_dataflow::view::Stamps;
use highwater_dataflow::{Batch, Graph, Options, Runtime, Signal};
use highwater_ingest::intake::Intake;
use highwater_ingest::sim::{SimConfig, Simulation};
use highwater_ingest::source::{Next, Source};
use highwater_model::Envelope;
use highwater_queries::{Entry, Settings, registry};

use crate::allocated::{allocated, count};
use crate::memory::resident;

pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;
/// Behind the clock by so much nothing is expected any more: what comes later is late.
pub(crate) const DISORDER: i64 = 30_000;
/// The center opens.
pub(crate) const OPENS: i64 = 7;

/// Nothing but what is there for every query.
const NONE: &str = "none of them";
const ALL: &str = "all of them";

/// How much is simulated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) agents: usize,
    /// From the hour the center opens.
    pub(crate) hours: i64,
    /// How far back corrections reach, hours: how much of the day is kept.
    pub(crate) horizon: i64,
}

impl Load {
    /// Of the numbers given on the command line, in this order; a day of 1,000 agents where they are not given.
    pub(crate) fn of(args: &[String]) -> Load {
        let nth = |nth: usize| args.get(nth).and_then(|arg| arg.parse().ok());
        Load {
            agents: nth(0).unwrap_or(1_000) as usize,
            hours: nth(1).unwrap_or(14),
            horizon: nth(2).unwrap_or(24),
        }
    }
}

/// Prints a line per query, each measured in a process of its own, and one of all of them together.
pub(crate) fn run(load: Load) {
    let Load { agents, hours, horizon } = load;
    println!(
        "{agents} agents, {hours} hours from the opening on, corrections {horizon} hours back"
    );
    println!(
        "{:>24}{:>12}{:>16}{:>17}{:>14}",
        "query", "events", "bytes an agent", "blocks an agent", "resident MB"
    );
    let program = std::env::current_exe().expect("the system names the running program");
    let queries = registry::QUERIES.iter().map(|query| query.name);
    let rules = registry::RULES.iter().map(|rule| rule.name);
    for name in [NONE, ALL].into_iter().chain(queries).chain(rules) {
        let sizes = [agents.to_string(), hours.to_string(), horizon.to_string()];
        let args = ["views-of", name].into_iter().map(str::to_owned).chain(sizes);
        let status = Command::new(&program).args(args).status().expect("this program starts again");
        assert!(status.success(), "the run of {name} failed");
    }
}

/// Measures one query in this process.
pub(crate) fn of(name: &str, load: Load) {
    let settings = Settings {
        correction_s: load.horizon * 3_600,
        dedup_s: (load.horizon + 1) * 3_600,
        ..Settings::default()
    };
    let config = SimConfig { agents: load.agents, seed: 7, ..SimConfig::default() };
    let opens_at = config.midnight_at + OPENS * HOUR;
    let config = SimConfig { start_at: opens_at, ..config };
    count();
    let before = allocated();
    let mut center = Simulation::open(config, &[]).expect("the center can be simulated");
    let wanted = name.to_owned();
    let build = move |graph: &mut Graph<'_, Entry>| {
        registry::build_only(graph, &settings, |name| wanted == ALL || wanted == name);
    };
    let (runtime, commits) = Runtime::start(Options::default(), build);
    let mut events = 0;
    for minute in 0..=load.hours * 60 {
        let now = opens_at + minute * MINUTE;
        let mut arrived: Vec<Intake> = Vec::new();
        while center.poll(now, &mut arrived).expect("the center goes on").next == Next::Ready {}
        let entry = |intake: Intake| {
            let envelope = intake.decoded.ok()?;
            events += 1;
            Some(Entry::Event(Envelope { seq: events, ..envelope }))
        };
        let batch = Batch {
            epoch: minute as u64 + 1,
            events: arrived.into_iter().filter_map(entry).collect(),
            signals: vec![Signal::Bound { partition: 0, bound: now - DISORDER }],
            stamps: Arc::new(Stamps::default()),
        };
        let epoch = batch.epoch;
        runtime.send(batch);
        while commits.recv().expect("the workers live").epoch < epoch {}
    }
    drop(center);
    let state = allocated() - before;
    let per_agent = |of: isize| of / load.agents as isize;
    println!(
        "{name:>24}{events:>12}{:>16}{:>17}{:>14}",
        per_agent(state.bytes),
        per_agent(state.blocks),
        resident()
            .map_or_else(|| "not told".to_owned(), |bytes| format!("{:.1}", bytes as f64 / 1e6)),
    );
    runtime.finish();
    drop(commits);
}
