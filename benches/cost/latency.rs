//! How soon one event is answered: an event an epoch, on a schedule that waits for nobody.
//!
//! Each latency runs from when the event was to be sent to when the commit of its epoch is in hand. One thread sends and
//! collects, and never sleeps: a sleep's own inaccuracy is larger than what is measured. So it takes a core for itself.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::center::{Center, Kind};
use crate::engine::{Engine, Query, batch};

/// A tenth of the events come first and are not counted.
const WARM_UP: u64 = 10;

/// Runs each rate over the same agents, with at most `events` events and 8 seconds.
pub(crate) fn run(agents: u32, rates: &[u64], events: u64) {
    let center = Center { agents, kind: Kind::States };
    let mut engine = Engine::start(Query::Adherence, 1);
    let began = Instant::now();
    engine.hire(center);
    println!(
        "{agents} agents, brought in within {:.1} s; adherence and team drift, one worker",
        began.elapsed().as_secs_f64()
    );
    println!(
        "{:>10}{:>10}{:>12}{:>12}{:>12}{:>12}",
        "events/s", "events", "p50 us", "p99 us", "p99.9 us", "max us"
    );
    let mut next = 0;
    for rate in rates {
        let count = events.min(8 * rate);
        let histogram = paced(&mut engine, center, next, count, *rate);
        next += count;
        let at = |percentile| histogram.value_at_percentile(percentile) as f64 / 1e3;
        println!(
            "{rate:>10}{:>10}{:>12.1}{:>12.1}{:>12.1}{:>12.1}",
            histogram.len(),
            at(50.0),
            at(99.0),
            at(99.9),
            histogram.max() as f64 / 1e3
        );
    }
    engine.finish();
}

/// Sends `count` events from number `first` on; latencies in nanoseconds.
fn paced(engine: &mut Engine, center: Center, first: u64, count: u64, rate: u64) -> Histogram<u64> {
    let mut histogram =
        Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are valid");
    let before = engine.epoch;
    let mut batches = (first..first + count)
        .map(|nth| batch(before + 1 + nth - first, vec![center.event(nth)], center.bound(nth)))
        .collect::<Vec<_>>()
        .into_iter();
    let begins = Instant::now() + Duration::from_millis(10);
    let due = |nth: u64| begins + Duration::from_nanos(nth * 1_000_000_000 / rate);
    let (mut sent, mut committed) = (0, 0);
    while committed < count {
        if sent < count && due(sent) <= Instant::now() {
            engine.runtime.send(batches.next().expect("one for each"));
            sent += 1;
        }
        for commit in engine.commits.try_iter() {
            let nth = commit.epoch - before - 1;
            committed = nth + 1;
            if count / WARM_UP <= nth {
                let took = Instant::now().saturating_duration_since(due(nth));
                histogram.saturating_record((took.as_nanos() as u64).max(1));
            }
        }
        std::hint::spin_loop();
    }
    engine.epoch += count;
    histogram
}
