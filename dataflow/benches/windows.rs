//! What an event costs in a window: 5 minutes sliding by 30 seconds, held against 5 minutes tumbling.
//!
//! ```text
//! cargo bench -p highwater-dataflow --bench windows
//! ```
//!
//! Twelve sums per queue, told when the watermark passes the end and corrected until 2 hours later, one worker, epochs
//! of a thousand events, one of them twenty minutes late. Times are of the processor, so that a busy machine shows
//! less. Under `cargo test` it runs a few rounds, so that it cannot rot.
#![allow(clippy::print_stdout, reason = "a benchmark reports on standard output")]

use std::sync::Arc;

use highwater_dataflow::alert::Notification;
use highwater_dataflow::view::Stamps;
use highwater_dataflow::window::{FixedWindows, SlidingWindows, Sum, WindowFn};
use highwater_dataflow::{Batch, Behavior, Graph, Millis, Options, Runtime, Signal, Trigger};

const MINUTE: Millis = 60_000;
const QUEUES: u64 = 200;
const EPOCH: u64 = 1_000;

/// A queue, when, and what is summed up.
type Event = (u32, (Millis, [i64; 12]));

fn main() {
    // Cargo says `--bench` when it means it.
    let events: u64 = if std::env::args().any(|arg| arg == "--bench") { 2_000_000 } else { 5_000 };
    println!("events per queue and 30 s   tumbling   sliding   ratio");
    for rate in rates() {
        // Taken in turns: what disturbs one disturbs the other.
        let (mut tumbling, mut sliding) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            tumbling.push(run(events, rate, || FixedWindows::of(5 * MINUTE)));
            sliding.push(run(events, rate, || SlidingWindows::of(5 * MINUTE).every(30_000)));
        }
        let (tumbling, sliding) = (median(tumbling), median(sliding));
        let density = rate as f64 * 30.0 / QUEUES as f64;
        let ratio = sliding / tumbling;
        println!("{density:>25.1}   {tumbling:>5.0} ns   {sliding:>4.0} ns   {ratio:>5.2}");
    }
}

fn median(mut runs: Vec<f64>) -> f64 {
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}

/// The time that this process has had of the processor, ns.
fn spent() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Nanoseconds per event, of `events` that come at `rate` per second of event time.
fn run<W: WindowFn>(events: u64, rate: u64, windows: fn() -> W) -> f64 {
    let options = Options { workers: 1, ..Options::default() };
    let (runtime, commits) = Runtime::start(options, move |graph: &mut Graph<'_, Event>| {
        let each = Trigger::repeatedly(Trigger::after_count(1));
        let panes = graph
            .input()
            .window_into("windows", windows())
            .trigger(Trigger::after_watermark().late(each))
            .allowed_lateness(120 * MINUTE)
            .on_time_behavior(Behavior::FireIfNonEmpty)
            .closing_behavior(Behavior::FireAlways)
            .aggregate(Sum);
        graph.notify(panes.panes.flat_map(|_| None::<Notification>));
    });
    let done = std::thread::spawn(move || commits.iter().count());
    // Made beforehand: the generator is not what is measured.
    let batches: Vec<Batch<Event>> =
        (0..events / EPOCH).map(|nth| batch(nth * EPOCH, rate)).collect();
    let begun = spent();
    for batch in batches {
        runtime.send(batch);
    }
    runtime.finish();
    let took = spent() - begun;
    assert_eq!(done.join().expect("no panic while counting") as u64, events / EPOCH);
    took as f64 / events as f64
}

/// The epoch of the events from `first` on.
fn batch(first: u64, rate: u64) -> Batch<Event> {
    let now = (first + EPOCH) * 1_000 / rate;
    let event = |nth: u64| {
        let random = nth.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        let late = if random.is_multiple_of(1_000) { 20 * MINUTE } else { 0 };
        let at = (nth * 1_000 / rate) as Millis - (random % 2_000) as Millis - late;
        let mut sums = [0; 12];
        sums[0] = 1;
        sums[1 + (random % 11) as usize] = (random % 400) as i64;
        (((random >> 12) % QUEUES) as u32, (at, sums))
    };
    let bound = now as Millis - 5_000;
    Batch {
        epoch: now * 1_000 + first,
        events: (first..first + EPOCH).map(event).collect(),
        signals: vec![Signal::Bound { partition: 0, bound }],
        stamps: Arc::new(Stamps::default()),
    }
}

/// Events per second of event time, all queues together; those given on the command line, if any.
fn rates() -> Vec<u64> {
    let given: Vec<u64> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    if given.is_empty() { vec![30, 100, 300, 1_000, 10_000] } else { given }
}
