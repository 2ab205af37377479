//! A simulated day of a whole center: the time out of adherence of every agent, to the millisecond.
//!
//! ```text
//! HIGHWATER_SIM_AGENTS=10000 cargo test --test highwater simulated_day
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use highwater_dataflow::view::Value;
use highwater_dataflow::{Batch, EventTime, Options, Runtime, Signal};
use highwater_ingest::sim::{SimConfig, Simulation};
use highwater_ingest::source::Source;
use highwater_model::{Envelope, Event};
use highwater_queries::{Entry, Settings, registry};

use crate::oracle::adherence::histories;
use crate::sim::drive::Sinks;

const STEP: i64 = 5 * 60_000;
const DAY: i64 = 86_400_000;
/// Behind the clock by so much nothing is expected any more: what comes later is late.
const DISORDER: i64 = 30_000;

/// What the center's feed hands over up to each step of its day, duplicates, disorder and lateness included.
fn feed(agents: usize) -> (EventTime, Vec<Vec<Envelope>>) {
    let config = SimConfig { agents, seed: 7, edits_per_agent: 0.5, ..SimConfig::default() };
    let midnight = config.midnight_at;
    let config = SimConfig { start_at: midnight, ..config };
    let mut simulation = Simulation::open(config, &[]).unwrap();
    let mut steps = Vec::new();
    let mut seq = 0;
    for step in 0..=DAY / STEP {
        let now = midnight + step * STEP;
        let mut arrived = Vec::new();
        loop {
            let mut out = Vec::new();
            simulation.poll(now, &mut out).unwrap();
            if out.is_empty() {
                break;
            }
            for intake in out {
                let mut envelope = intake.decoded.unwrap();
                seq += 1;
                envelope.seq = seq;
                let wanted = matches!(
                    envelope.event,
                    Event::AgentStateChange(_)
                        | Event::ScheduleUpdate(_)
                        | Event::ActivityMapping(_)
                        | Event::AgentProfile(_)
                );
                if wanted {
                    arrived.push(envelope);
                }
            }
        }
        steps.push(arrived);
    }
    (midnight, steps)
}

#[test]
fn a_simulated_day_adds_up_to_the_millisecond() {
    let agents = std::env::var("HIGHWATER_SIM_AGENTS").ok().and_then(|text| text.parse().ok());
    let (midnight, steps) = feed(agents.unwrap_or(1_000));
    let settings = Settings::default();
    let build = settings.clone();
    let options = Options { workers: 1, ..Options::default() };
    let (runtime, commits) = Runtime::start(options, move |graph| {
        registry::build_only(graph, &build, |name| name == "adherence_interval");
    });
    let mut sinks = Sinks::default();
    let mut known: BTreeMap<u128, Envelope> = BTreeMap::new();
    let mut watermark = 0;
    for (epoch, arrived) in (1..).zip(&steps) {
        for envelope in arrived {
            known.entry(envelope.key.0).or_insert_with(|| envelope.clone());
        }
        watermark = midnight + (epoch - 1) * STEP - DISORDER;
        runtime.send(Batch {
            epoch: epoch as u64,
            events: arrived.iter().cloned().map(Entry::Event).collect(),
            signals: vec![Signal::Bound { partition: 0, bound: watermark }],
            stamps: Arc::default(),
        });
        sinks.apply(&commits.recv().unwrap()).unwrap();
    }
    runtime.finish();

    // What the oracle makes of it, the running minute left out as in the rows.
    let told = watermark - watermark.rem_euclid(60_000);
    let known: Vec<Envelope> = known.into_values().collect();
    let mut expected: BTreeMap<String, i64> = BTreeMap::new();
    for (agent, history) in histories(&known, watermark) {
        let outs = history.iter().filter(|stretch| stretch.status == "out");
        let out = outs.map(|stretch| (stretch.to.min(told) - stretch.from).max(0)).sum();
        expected.insert(agent.to_string(), out);
    }
    let total: i64 = expected.values().sum();
    let count = steps.iter().map(Vec::len).sum::<usize>();
    eprintln!("{} agents, {count} events: {total} ms out of adherence", expected.len());
    assert!(expected.values().filter(|out| **out > 0).count() > expected.len() / 2);
    for view in ["adherence_interval", "adherence_day"] {
        let mut sums: BTreeMap<String, i64> = BTreeMap::new();
        let mut team_total = 0;
        for row in sinks.views[view].values() {
            let (Value::Text(scope), Value::Text(id), Value::Int(out)) =
                (&row[0], &row[1], &row[8])
            else {
                panic!("{view}: {row:?}");
            };
            match scope.as_str() {
                "agent" => *sums.entry(id.to_string()).or_default() += out,
                "team" => team_total += out,
                _ => {}
            }
        }
        // Who was never scheduled nor on queue has no row.
        for agent in expected.keys() {
            sums.entry(agent.clone()).or_default();
        }
        assert_eq!(sums, expected, "{view}");
        assert_eq!(team_total, total, "{view}: teams");
    }
}
