//! Properties of windows: whatever the order, the batching, the watermark's steps and the number of workers, the rows
//! that remain are those a batch program would write, also after stopping and going on; and on the way there every
//! retraction takes back a row that is there.
//!
//! ```text
//! HIGHWATER_SEEDS=20 cargo test -p highwater-dataflow --test windows
//! ```
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use highwater_dataflow::alert::Notification;
use highwater_dataflow::view::Stamps;
use highwater_dataflow::window::{
    Closed, Collect, Count, FixedWindows, GlobalWindow, Pane, Sessions, SlidingWindows, Sum,
    Trigger, Window, WindowFn,
};
use highwater_dataflow::{
    BEGINNING, Batch, Behavior, Epoch, EventTime, FOREVER, Graph, Kept, Millis, Options, Runtime,
    Signal,
};

const LATENESS: Millis = 40;
/// Each key is a permutation of its own under the run's watermark.
const KEYS: u32 = 20;
/// Runs of each kind of window under each trigger: 600 permutations in all, 12,000 with `HIGHWATER_SEEDS=20`.
const SEEDS: u64 = 1;

fn seeds() -> u64 {
    let given = std::env::var("HIGHWATER_SEEDS").ok();
    given.map_or(SEEDS, |text| text.parse().expect("HIGHWATER_SEEDS is a number of seeds"))
}

/// A small generator, so that seeds mean the same everywhere.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }
}

type Element = (EventTime, i64);
/// Key, element, and whether it comes or goes.
type Change = (u32, Element, bool);
type Contents = (i64, i64, Vec<i64>);
type Row = (u32, Pane<Contents>);

#[derive(Clone, Copy, Debug)]
enum Windows {
    Fixed,
    RightClosed,
    Sliding,
    Uneven,
    Sessions,
    Global,
}

impl Windows {
    const ALL: [Windows; 6] = [
        Windows::Fixed,
        Windows::RightClosed,
        Windows::Sliding,
        Windows::Uneven,
        Windows::Sessions,
        Windows::Global,
    ];

    fn make(self) -> Box<dyn WindowFn> {
        match self {
            Windows::Fixed => Box::new(FixedWindows::of(10).offset(3)),
            Windows::RightClosed => Box::new(FixedWindows::of(10).closed(Closed::Right)),
            Windows::Sliding => Box::new(SlidingWindows::of(12).every(4)),
            Windows::Uneven => Box::new(SlidingWindows::of(10).every(3).offset(1)),
            Windows::Sessions => Box::new(Sessions::with_gap(4)),
            Windows::Global => Box::new(GlobalWindow),
        }
    }

    /// What a batch program would write for one key: independent of the operator and of its window functions.
    fn oracle(self, elements: &[Element]) -> BTreeMap<Window, Contents> {
        let mut windows: BTreeMap<Window, Vec<i64>> = BTreeMap::new();
        let mut put = |start, end, v| windows.entry(Window { start, end }).or_default().push(v);
        let mut sorted = elements.to_vec();
        sorted.sort_unstable();
        match self {
            Windows::Sessions => {
                for burst in sorted.chunk_by(|a, b| b.0 - a.0 < 4) {
                    let (first, last) = (burst[0].0, burst[burst.len() - 1].0);
                    for &(_, v) in burst {
                        put(first, last + 4, v);
                    }
                }
            }
            Windows::Global => sorted.iter().for_each(|&(_, v)| put(BEGINNING, FOREVER, v)),
            tiled => {
                let (size, period, offset, right) = match tiled {
                    Windows::Fixed => (10, 10, 3, false),
                    Windows::RightClosed => (10, 10, 0, true),
                    Windows::Sliding => (12, 4, 0, false),
                    _ => (10, 3, 1, false),
                };
                for &(at, v) in &sorted {
                    for start in (-5..60).map(|n| n * period + offset) {
                        let end = start + size;
                        let holds =
                            if right { start < at && at <= end } else { start <= at && at < end };
                        if holds {
                            put(start, end, v);
                        }
                    }
                }
            }
        }
        let summed = |mut values: Vec<i64>| {
            values.sort_unstable();
            (values.len() as i64, values.iter().sum(), values)
        };
        windows.into_iter().map(|(window, values)| (window, summed(values))).collect()
    }
}

fn triggers() -> Vec<Trigger> {
    let each = || Trigger::repeatedly(Trigger::after_count(1));
    let timer = Trigger::repeatedly(Trigger::after_processing_time(2));
    vec![
        Trigger::Default,
        Trigger::after_watermark().early(each()).late(each()),
        Trigger::after_watermark().late(Trigger::repeatedly(Trigger::after_count(2))),
        Trigger::repeatedly(Trigger::AfterAny(vec![timer, Trigger::after_count(3)])),
        Trigger::Never,
    ]
}

/// A run's input: epochs of changes, each with the watermark after it, if it advances.
struct Run {
    epochs: Vec<(Vec<Change>, Option<EventTime>)>,
    survivors: BTreeMap<u32, Vec<Element>>,
}

/// Elements in disorder, some of them deleted later, batched at random; nothing is later than is allowed.
fn run(seed: u64) -> Run {
    let mut rng = Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut changes: Vec<(EventTime, Change)> = Vec::new();
    let mut survivors: BTreeMap<u32, Vec<Element>> = BTreeMap::new();
    for key in 0..KEYS {
        for _ in 0..4 + rng.below(12) {
            let element = (rng.below(150) as EventTime, rng.below(5) as i64 + 1);
            let arrival = element.0 + rng.below(LATENESS as u64) as EventTime;
            changes.push((arrival, (key, element, true)));
            if rng.below(5) == 0 {
                let gone = arrival + rng.below((element.0 + LATENESS - arrival) as u64 + 1) as i64;
                changes.push((gone, (key, element, false)));
            } else {
                survivors.entry(key).or_default().push(element);
            }
        }
    }
    // Insertions before deletions of the same arrival; otherwise in an order that is nobody's.
    changes.sort_by_key(|(arrival, (key, element, comes))| {
        (*arrival, !comes, key.wrapping_mul(0x9E37_79B9) ^ element.1 as u32)
    });
    // The earliest element still to come bounds the watermark.
    let mut bounds = vec![FOREVER; changes.len() + 1];
    for (nth, (_, (_, (at, _), _))) in changes.iter().enumerate().rev() {
        bounds[nth] = bounds[nth + 1].min(at + LATENESS);
    }
    let batch = [1, 7, 60, 400][rng.below(4) as usize];
    let mut epochs = Vec::new();
    let mut watermark = -10;
    let mut nth = 0;
    while nth < changes.len() {
        let count = (1 + rng.below(batch) as usize).min(changes.len() - nth);
        let mut rows: Vec<Change> = changes[nth..nth + count].iter().map(|c| c.1).collect();
        if rng.below(2) == 0 {
            rows.reverse();
        }
        nth += count;
        let bound = bounds[nth].min(400);
        let advance = (rng.below(3) == 0 && bound > watermark).then(|| {
            watermark += 1 + rng.below((bound - watermark) as u64) as EventTime;
            watermark
        });
        epochs.push((rows, advance));
    }
    epochs.push((Vec::new(), Some(FOREVER)));
    Run { epochs, survivors }
}

/// Everything the operator said, by epoch.
fn play(
    run: &Run,
    windows: Windows,
    trigger: &Trigger,
    workers: usize,
    cut: Option<usize>,
) -> Vec<(Epoch, Row, isize)> {
    play_closing(run, windows, trigger, Behavior::FireIfNonEmpty, workers, cut)
}

/// As [`play`], told whether windows have a last word without news.
fn play_closing(
    run: &Run,
    windows: Windows,
    trigger: &Trigger,
    closing: Behavior,
    workers: usize,
    cut: Option<usize>,
) -> Vec<(Epoch, Row, isize)> {
    let end = run.epochs.len();
    let cut = cut.unwrap_or(end);
    let (mut log, kept) = part(run, 0..cut, windows, trigger, closing, workers, None);
    if cut < end {
        let (rest, _) = part(run, cut..end, windows, trigger, closing, workers, Some(kept));
        log.extend(rest);
    }
    log.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    log
}

/// What the operator said in some of the epochs, going on from `kept`, and what it keeps after them.
fn part(
    run: &Run,
    epochs: std::ops::Range<usize>,
    windows: Windows,
    trigger: &Trigger,
    closing: Behavior,
    workers: usize,
    kept: Option<Kept>,
) -> (Vec<(Epoch, Row, isize)>, Kept) {
    let log: Arc<Mutex<Vec<(Epoch, Row, isize)>>> = Arc::default();
    let (said, trigger) = (Arc::clone(&log), trigger.clone());
    let options = Options { workers, commits_waiting: 10_000, ..Options::default() };
    let build = move |graph: &mut Graph<'_, Change>| {
        let come = graph.input().filter(|change| change.2);
        let gone = graph.input().filter(|change| !change.2);
        let said = Arc::clone(&said);
        let panes = come
            .concat(gone.negate())
            .map(|(key, element, _)| (key, element))
            .map(|(key, (at, v))| (key, (at, v)))
            .window_into("windows", windows.make())
            .trigger(trigger.clone())
            .allowed_lateness(LATENESS)
            .closing_behavior(closing)
            .aggregate((Count, Sum, Collect));
        let late = panes.late.inspect(|late, _, _| panic!("nothing is late: {late:?}"));
        let panes = panes.panes.inspect(move |row, epoch, diff| {
            said.lock().unwrap().push((epoch, row.clone(), diff));
        });
        graph.notify(panes.flat_map(|_| None::<Notification>));
        graph.notify(late.flat_map(|_| None::<Notification>));
    };
    let (runtime, commits) = Runtime::resume(options, kept, build).unwrap();
    let mut last = 0;
    for (nth, (rows, watermark)) in
        run.epochs.iter().enumerate().take(epochs.end).skip(epochs.start)
    {
        let mut signals = vec![Signal::Tick];
        signals.extend(watermark.map(|bound| Signal::Bound { partition: 0, bound }));
        let (epoch, stamps) = ((nth as Epoch + 1) * 1_000, Arc::new(Stamps::default()));
        runtime.send(Batch { epoch, events: rows.clone(), signals, stamps });
        last = epoch;
    }
    let mut keeping = runtime.keep(last);
    runtime.finish();
    assert_eq!(commits.iter().count(), epochs.len());
    let kept = keeping.poll().expect("every epoch is closed");
    (std::mem::take(&mut *log.lock().unwrap()), kept)
}

/// Applies the changes epoch by epoch: one row per key and window at most, and only rows that are there go.
fn table(log: &[(Epoch, Row, isize)]) -> BTreeMap<(u32, Window), Pane<Contents>> {
    let mut rows: BTreeMap<(u32, Window), Pane<Contents>> = BTreeMap::new();
    for epoch in log.chunk_by(|a, b| a.0 == b.0) {
        let mut net: BTreeMap<&Row, isize> = BTreeMap::new();
        for (_, row, diff) in epoch {
            *net.entry(row).or_insert(0) += diff;
        }
        for ((key, pane), _) in net.iter().filter(|(_, diff)| **diff < 0) {
            let live = rows.remove(&(*key, pane.window));
            assert_eq!(live.as_ref(), Some(pane), "what is retracted is the last live pane");
        }
        for ((key, pane), diff) in net.into_iter().filter(|(_, diff)| *diff > 0) {
            assert_eq!(diff, 1);
            let there = rows.insert((*key, pane.window), pane.clone());
            assert_eq!(there, None, "one row per key and window");
        }
    }
    rows
}

#[test]
fn final_rows_equal_the_batch_oracle_and_every_retraction_the_live_row() {
    for (nth, windows) in Windows::ALL.into_iter().enumerate() {
        for (mth, trigger) in triggers().iter().enumerate() {
            for seed in 0..seeds() {
                let run = run(seed + 1_000 * (nth * 10 + mth) as u64);
                // Each stops once, somewhere, and goes on from what its operators kept.
                let workers = [1, 2, 4][(seed as usize + mth) % 3];
                let cut = (seed as usize * 7 + nth + mth) % (run.epochs.len() - 1) + 1;
                let rows = table(&play(&run, windows, trigger, workers, Some(cut)));
                let got: BTreeMap<(u32, Window), Contents> =
                    rows.into_iter().map(|(at, pane)| (at, pane.value)).collect();
                let mut wanted = BTreeMap::new();
                for (key, elements) in &run.survivors {
                    for (window, contents) in windows.oracle(elements) {
                        wanted.insert((*key, window), contents);
                    }
                }
                assert_eq!(got, wanted, "{windows:?}, {trigger:?}, seed {seed}");
            }
        }
    }
}

#[test]
fn where_the_last_word_is_always_said_every_row_ends_final_and_right() {
    for (nth, windows) in Windows::ALL.into_iter().enumerate() {
        for (mth, trigger) in triggers().iter().enumerate() {
            for seed in 0..seeds() {
                let run = run(seed + 1_000 * (100 + nth * 10 + mth) as u64);
                let workers = [1, 2, 4][(seed as usize + mth) % 3];
                let cut = (seed as usize * 5 + nth + mth) % (run.epochs.len() - 1) + 1;
                let always = Behavior::FireAlways;
                let rows = table(&play_closing(&run, windows, trigger, always, workers, Some(cut)));
                assert!(rows.values().all(|pane| pane.info.last), "{windows:?}, {trigger:?}");
                let mut wanted = BTreeMap::new();
                for (key, elements) in &run.survivors {
                    for (window, contents) in windows.oracle(elements) {
                        wanted.insert((*key, window), contents);
                    }
                }
                let got: BTreeMap<(u32, Window), Contents> =
                    rows.into_iter().map(|(at, pane)| (at, pane.value)).collect();
                assert_eq!(got, wanted, "{windows:?}, {trigger:?}, seed {seed}");
            }
        }
    }
}

#[test]
fn neither_workers_nor_restarts_show() {
    let run = run(77);
    for windows in Windows::ALL {
        let trigger = &triggers()[1];
        let one = play(&run, windows, trigger, 1, None);
        assert!(!one.is_empty());
        assert!(one == play(&run, windows, trigger, 2, None), "{windows:?} with two workers");
        assert!(one == play(&run, windows, trigger, 4, None), "{windows:?} with four workers");
        for cut in [1, run.epochs.len() / 3, run.epochs.len() - 1] {
            let again = play(&run, windows, trigger, 1, Some(cut));
            assert!(one == again, "{windows:?} stopped after {cut} epochs");
        }
    }
}
