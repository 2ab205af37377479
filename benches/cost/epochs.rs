//! What an epoch costs that has a single event, with every query of the product on: what a graph of hundreds of operators
//! takes to find out that hardly anything happened.
//!
//! Only the dataflow: no journal, no views' database, no page. The first hour of a simulated center goes in a minute an
//! epoch; then each event is an epoch of its own, sent once the one before is answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use highwater_dataflow::view::Stamps;
use highwater_dataflow::{Batch, Epoch, Graph, Options, Runtime, Signal};
use highwater_ingest::intake::Intake;
use highwater_ingest::sim::{SimConfig, Simulation};
use highwater_ingest::source::{Next, Source};
use highwater_model::Envelope;
use highwater_queries::{Entry, Settings, registry};

use crate::latency::others;
use crate::views::{DISORDER, HOUR, MINUTE, OPENS};

const WARM_UP: i64 = 60;

/// Prints what `epochs` of them cost, in processor time and in waiting for their commits.
pub(crate) fn run(agents: usize, epochs: u64) {
    let config = SimConfig { agents, seed: 7, ..SimConfig::default() };
    let opens_at = config.midnight_at + OPENS * HOUR;
    let config = SimConfig { start_at: opens_at, ..config };
    let mut center = Simulation::open(config, &[]).expect("the center can be simulated");
    let settings = Settings::default();
    let build = move |graph: &mut Graph<'_, Entry>| {
        registry::build_only(graph, &settings, |_| true);
    };
    let (runtime, commits) = Runtime::start(Options::default(), build);
    let mut last: Epoch = 0;
    let mut send = |events: Vec<Entry>, now: i64| {
        last += 1;
        runtime.send(Batch {
            epoch: last,
            events,
            signals: vec![Signal::Bound { partition: 0, bound: now - DISORDER }],
            stamps: Arc::new(Stamps::default()),
        });
        while commits.recv().expect("the workers live").epoch < last {}
    };
    let mut took = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).expect("they are valid");
    let (mut seq, mut busy) = (0, Duration::ZERO);
    for minute in 0.. {
        let now = opens_at + minute * MINUTE;
        let mut arrived: Vec<Intake> = Vec::new();
        while center.poll(now, &mut arrived).expect("the center goes on").next == Next::Ready {}
        let entry = |intake: Intake| {
            seq += 1;
            Some(Entry::Event(Envelope { seq, ..intake.decoded.ok()? }))
        };
        let entries: Vec<Entry> = arrived.into_iter().filter_map(entry).collect();
        if minute < WARM_UP {
            send(entries, now);
            continue;
        }
        let count = entries.len() as i64;
        for (nth, entry) in (1..).zip(entries) {
            let (began, before) = (Instant::now(), others());
            send(vec![entry], now - MINUTE + nth * MINUTE / count);
            busy += others().saturating_sub(before);
            took.saturating_record((began.elapsed().as_nanos() as u64).max(1));
            if took.len() == epochs {
                let us = |nanos: u64| nanos as f64 / 1e3;
                println!(
                    "{agents} agents, {epochs} epochs of one event, every query: {:.0} us of CPU each; \
                     answered p50 {:.0} us, p99 {:.0} us, p99.9 {:.0} us",
                    busy.as_secs_f64() * 1e6 / epochs as f64,
                    us(took.value_at_percentile(50.0)),
                    us(took.value_at_percentile(99.0)),
                    us(took.value_at_percentile(99.9)),
                );
                runtime.finish();
                return;
            }
        }
    }
}
