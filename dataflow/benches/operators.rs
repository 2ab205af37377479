//! What an event costs in each operator that holds event-time state per key, by itself.
//!
//! ```text
//! cargo bench -p highwater-dataflow --bench operators              # all of them
//! cargo bench -p highwater-dataflow --bench operators -- overlay   # those whose names contain this
//! ```
//!
//! One worker, 10,000 keys, epochs of one and of a thousand events, one event in a hundred up to 20 minutes late, one
//! hour of corrections. Nanoseconds of processor time per event, the median of five runs; what comes out is counted and
//! thrown away. The first line is the engine without an operator: feeding, closing and committing epochs. Under
//! `cargo test` everything runs tiny, so that it cannot rot.
#![allow(clippy::print_stdout, reason = "a benchmark reports on standard output")]

use std::sync::Arc;

use highwater_dataflow::view::Stamps;
use highwater_dataflow::{
    Admission, Batch, Datum, EventTime, Graph, Horizons, Millis, Options, Point, Runtime, Signal,
    Span, Table,
};

const MINUTE: Millis = 60_000;
const HORIZON: Millis = 60 * MINUTE;
const KEYS: u64 = 10_000;
/// Events per second of event time.
const RATE: u64 = 1_000;

/// An agent, and the state it is in from then on.
type Event = (u32, Point<u8>);

/// An operator over the events; its rows are counted where they end.
struct Case {
    name: &'static str,
    build: fn(&mut Graph<'_, Event>),
}

const CASES: [Case; 9] = [
    Case {
        name: "nothing",
        build: |graph| {
            let rows = graph.input();
            discard(graph, rows);
        },
    },
    Case {
        name: "admit",
        build: |graph| {
            let horizons = Horizons { dedup: HORIZON, correction: HORIZON };
            let (admitted, _) = graph.input().admit(horizons, |(_, point)| Admission {
                id: u128::from(point.seq),
                at: Some(point.at),
                seq: point.seq,
            });
            discard(graph, admitted);
        },
    },
    Case {
        name: "latest_per_key",
        build: |graph| {
            let rows = graph.input().latest_per_key("latest");
            discard(graph, rows);
        },
    },
    Case {
        // As in a graph of many queries: an event is for one of the operators, and all of them see the watermark.
        name: "two hundred",
        build: |graph| {
            for nth in 0..200 {
                let some = graph.input().filter(move |(agent, _)| agent % 200 == nth);
                discard(graph, some.latest_per_key("latest"));
            }
        },
    },
    Case {
        name: "intervals",
        build: |graph| {
            let rows = graph.input().intervals("intervals", HORIZON);
            discard(graph, rows);
        },
    },
    Case {
        name: "while_active",
        build: |graph| {
            let minute = graph
                .input()
                .while_active("active", |(_, point): &Event| (point.at, point.at + MINUTE));
            discard(graph, minute);
        },
    },
    Case {
        name: "held_for",
        build: |graph| {
            let spans = graph.input().map(|(agent, point)| {
                let to = point.at + i64::from(point.value) * MINUTE / 2;
                (agent, Span { from: point.at, to, value: point.value, seq: point.seq })
            });
            discard(graph, spans.held_for("held", MINUTE));
        },
    },
    Case {
        name: "overlay",
        build: |graph| {
            let shifts = graph.constant(shifts());
            let judged = graph.input().overlay(
                "overlay",
                shifts,
                HORIZON,
                |state, planned| Some(state? == planned?),
                |same| *same,
            );
            discard(graph, judged.segments);
        },
    },
    Case {
        name: "as_of_join",
        build: |graph| {
            let shifts = graph.constant(shifts());
            let rows = graph.input().map(|(agent, point)| (agent, (point.at, point.value)));
            let joined = rows.as_of_join("as of", shifts, HORIZON, |agent, at, state, planned| {
                (*agent, at, *state, planned.copied())
            });
            discard(graph, joined);
        },
    },
];

fn main() {
    // Cargo says `--bench` when it means it.
    let full = std::env::args().any(|arg| arg == "--bench");
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let wanted =
        |name: &str| wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()));
    let sizes: [(u64, u64); 2] =
        if full { [(1_000, 500), (1, 20_000)] } else { [(50, 4), (1, 20)] };
    println!("{:<18}{:>22}{:>22}", "ns per event", "epochs of 1,000", "epochs of 1");
    for case in CASES.iter().filter(|case| wanted(case.name)) {
        let costs =
            sizes.map(|(size, epochs)| median((0..5).map(|_| run(case, size, epochs)).collect()));
        println!("{:<18}{:>22.0}{:>22.0}", case.name, costs[0], costs[1]);
    }
}

fn median(mut runs: Vec<f64>) -> f64 {
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}

/// Each agent's day: half an hour each of four activities, over and over.
fn shifts() -> impl Iterator<Item = (u32, Span<u8>)> {
    (0..KEYS as u32).flat_map(|agent| {
        (0..8_u8).map(move |nth| {
            let from = i64::from(nth) * 30 * MINUTE + i64::from(agent % 30) * MINUTE;
            (agent, Span { from, to: from + 30 * MINUTE, value: nth % 4, seq: 0 })
        })
    })
}

/// Reads the rows and keeps none.
fn discard<'s, D: Datum>(graph: &mut Graph<'s, Event>, rows: Table<'s, D>) {
    graph.observe("rows", rows, |_, rows| {
        std::hint::black_box(rows);
    });
}

fn run(case: &Case, size: u64, epochs: u64) -> f64 {
    let build = case.build;
    let options = Options { workers: 1, ..Options::default() };
    let (runtime, commits) =
        Runtime::start(options, move |graph: &mut Graph<'_, Event>| build(graph));
    let done = std::thread::spawn(move || commits.iter().count());
    // Made beforehand: the generator is not what is measured.
    let batches: Vec<Batch<Event>> = (0..epochs).map(|nth| batch(nth * size, size)).collect();
    let begun = spent();
    for batch in batches {
        runtime.send(batch);
    }
    runtime.finish();
    let took = spent() - begun;
    assert_eq!(done.join().expect("no panic while counting") as u64, epochs);
    took as f64 / (size * epochs) as f64
}

/// The epoch of the `size` events from `first` on.
fn batch(first: u64, size: u64) -> Batch<Event> {
    let event = |nth: u64| {
        let random = nth.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        let late = if random.is_multiple_of(100) { (random % 1_200_000) as Millis } else { 0 };
        let at: EventTime = (nth * 1_000 / RATE) as Millis - (random % 2_000) as Millis - late;
        let point = Point { at, value: (random >> 8) as u8 % 4, seq: nth };
        (((random >> 12) % KEYS) as u32, point)
    };
    let bound = ((first + size) * 1_000 / RATE) as Millis - 2_000;
    Batch {
        epoch: first + size,
        events: (first..first + size).map(event).collect(),
        signals: vec![Signal::Bound { partition: 0, bound }],
        stamps: Arc::new(Stamps::default()),
    }
}

/// The time that this process has had of the processor, ns.
fn spent() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
