//! Graphs in which our operators stand behind differential's, and those behind ours again: whatever the batching, one
//! worker, which tells timely of few epochs, commits what two workers do, which go by frontiers; also when it goes on
//! from what was kept in the midst of it.
//!
//! ```text
//! HIGHWATER_SEEDS=200 cargo test -p highwater-dataflow --test mixed
//! ```
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

use highwater_dataflow::view::{Commit, Stamps};
use highwater_dataflow::window::{Count, FixedWindows, Trigger};
use highwater_dataflow::{
    Batch, Datum, Epoch, EventTime, Graph, Kept, Options, Point, Runtime, Says, Signal, Table,
};

const SEEDS: u64 = 6;
const EPOCHS: usize = 80;
/// Rows of keys from here on reach no differential operator by themselves.
const CALM: u32 = 4;
const HORIZON: i64 = 1_000;

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

type Event = (u32, Point<u8>);

/// What is sent: epochs, and now and then word that there will be none up to one.
#[derive(Clone)]
enum Sent {
    Epoch(Epoch, Vec<Event>, Vec<Signal>),
    Pass(Epoch),
}

impl Sent {
    fn epoch(&self) -> Epoch {
        match self {
            Sent::Epoch(epoch, ..) | Sent::Pass(epoch) => *epoch,
        }
    }
}

/// Stretches of calm epochs, single stirring ones among them, and stretches in which nearly all are.
fn history(seed: u64) -> Vec<Sent> {
    let mut rng = Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let (mut epoch, mut now, mut seq) = (0, 0, 0);
    let mut stirring = 10;
    (0..EPOCHS)
        .map(|_| {
            epoch += 1 + rng.below(3) * rng.below(1_000);
            now += rng.below(20) as EventTime;
            if rng.below(15) == 0 {
                stirring = [0, 10, 90][rng.below(3) as usize];
            }
            if rng.below(20) == 0 {
                return Sent::Pass(epoch);
            }
            let stirs = rng.below(100) < stirring;
            let events = (0..[0, 1, 1, 2, 30][rng.below(5) as usize]).map(|_| {
                let key = if stirs { rng.below(8) as u32 } else { CALM + rng.below(4) as u32 };
                seq += 1;
                let at = now - rng.below(100) as EventTime;
                (key, Point { at, value: rng.below(256) as u8, seq })
            });
            let events = events.collect();
            let bound = Signal::Bound { partition: 0, bound: now - 100 };
            let signals = match rng.below(3) {
                0 => Vec::new(),
                1 => vec![bound],
                _ => vec![Signal::Tick, bound],
            };
            Sent::Epoch(epoch, events, signals)
        })
        .collect()
}

/// Rows as they were observed: by epoch, from which table, what, how many.
type Log = Arc<Mutex<BTreeMap<Epoch, Vec<(&'static str, String, isize)>>>>;

fn observe<'s, D: Datum + Debug>(
    graph: &mut Graph<'s, Event>,
    log: &Log,
    name: &'static str,
    table: Table<'s, D>,
) {
    let log = Arc::clone(log);
    graph.observe(name, table, move |epoch, rows| {
        let rows = rows.iter().map(|(row, _, diff)| (name, format!("{row:?}"), *diff));
        log.lock().unwrap().entry(epoch).or_default().extend(rows);
    });
}

fn build(graph: &mut Graph<'_, Event>, log: &Log) {
    let points = graph.input();
    let latest = points.clone().latest_per_key("latest").map_values(|_, point| point.value);
    let calm = latest.clone().filter(|(key, _)| *key >= CALM);
    let rare = latest.clone().filter(|(key, _)| *key < CALM);
    observe(graph, log, "latest", latest);

    // Differential behind ours.
    let top = by_half(rare.clone()).reduce("top", |_, values, out: &mut Vec<(u8, isize)>| {
        out.extend(values.last().map(|(value, _)| (**value, 1)));
    });
    observe(graph, log, "top", top.clone());
    // Ours behind differential, of which most epochs bring rows past it.
    let mixed = by_half(calm.clone()).concat(top.clone());
    let counted = mixed.clone().count_per_key();
    observe(graph, log, "counted", counted.clone());
    observe(graph, log, "net", mixed.clone().consolidate());
    // Nobody reads it, and it is kept all the same.
    drop(mixed.clone().count());

    // The watermark alone moves what stands behind differential, into differential again.
    let spans = points.intervals("intervals", HORIZON);
    let rare_spans = spans.clone().filter(|(key, _)| *key < CALM);
    let known = rare_spans.semijoin(top.clone().map(|(half, _)| half).distinct());
    let spans = spans.filter(|(key, _)| *key >= CALM).concat(known);
    let held = spans.held_for("held", 60);
    observe(graph, log, "held", held.clone());
    let long = held.filter(|(_, span)| span.value > 128).map(|(key, span)| (key % 2, span.value));
    let joined = long.join(counted.clone(), |half, value, count| (*half, *value, *count));
    observe(graph, log, "joined", joined.clone());
    let windows = joined
        .map(|(half, value, count)| (half, (EventTime::from(value) + 10 * count as i64, ())))
        .window_into("windows", FixedWindows::of(50))
        .trigger(Trigger::Always)
        .allowed_lateness(100_000)
        .aggregate(Count);
    observe(
        graph,
        log,
        "windows",
        windows.panes.map(|(half, pane)| (half, pane.window, pane.value)),
    );

    // Differential beside ours, fed from both, and constants.
    let names = graph.constant([(0, "even".to_owned()), (1, "odd".to_owned())]);
    let absent = calm.filter(|(_, value)| *value < 32).map(|(key, value)| (key % 2, value));
    let absent = absent.antijoin(great_halves(top));
    let named = absent.concat(by_half(rare)).join(names, |_, value, name| (name.clone(), *value));
    observe(graph, log, "named", named.distinct());
    observe(
        graph,
        log,
        "twice",
        counted.reduce("twice", |_, counts, out: &mut Vec<(isize, isize)>| {
            out.extend(counts.iter().map(|(count, copies)| (**count, 2 * copies)));
        }),
    );
}

fn by_half(table: Table<'_, (u32, u8)>) -> Table<'_, (u32, u8)> {
    table.with_keys(|key, _| key % 2)
}

/// The halves of which something great is known.
fn great_halves(top: Table<'_, (u32, u8)>) -> Table<'_, u32> {
    top.filter(|(_, value)| *value > 200).map(|(half, _)| half).distinct()
}

/// Per epoch its watermark and what was observed, sorted.
type Said = BTreeMap<Epoch, (EventTime, Vec<(&'static str, String, isize)>)>;

/// How a history is played.
#[derive(Clone, Copy)]
struct Play {
    workers: usize,
    in_flight: usize,
    /// Whether each commit is waited for before the next epoch.
    waits: bool,
}

const ALONE: Play = Play { workers: 1, in_flight: 1, waits: true };
const FLOOD: Play = Play { workers: 1, in_flight: 16, waits: false };
const TWO: Play = Play { workers: 2, in_flight: 16, waits: false };

/// Takes a commit: all of its epoch was observed before, and nothing of it comes afterwards.
fn collect(said: &mut Said, log: &Log, commit: &Commit) {
    let mut log = log.lock().unwrap();
    let later = log.split_off(&(commit.epoch + 1));
    let mut seen = std::mem::replace(&mut *log, later);
    let mut rows = seen.remove(&commit.epoch).unwrap_or_default();
    // What constants hold belongs to no epoch that is committed.
    seen.remove(&Epoch::MIN);
    assert!(seen.is_empty(), "seen after it was committed, at {}: {seen:?}", commit.epoch);
    rows.sort_unstable();
    assert_eq!(said.insert(commit.epoch, (commit.watermark, rows)), None);
}

/// What is said of `history`, going on from `kept`; and what is kept after `keep` of it, while the rest goes on.
fn play(
    how: Play,
    history: &[Sent],
    kept: Option<Kept>,
    keep: Option<usize>,
) -> (Said, Option<Kept>) {
    let Play { workers, in_flight, waits } = how;
    let log = Log::default();
    let observed = Arc::clone(&log);
    let options = Options {
        workers,
        epochs_in_flight: in_flight,
        commits_waiting: EPOCHS,
        ..Options::default()
    };
    let started = Runtime::resume(options, kept, move |graph: &mut Graph<'_, Event>| {
        build(graph, &observed);
    });
    let (runtime, commits): (Runtime<Event>, Receiver<Commit>) = started.unwrap();
    let mut said = Said::new();
    let (mut keeping, mut last) = (None, None);
    for (nth, sent) in history.iter().enumerate() {
        if keep == Some(nth) {
            keeping = last.map(|epoch| runtime.keep(epoch));
        }
        match sent.clone() {
            Sent::Pass(until) => runtime.pass(until, Says::default()).unwrap(),
            Sent::Epoch(epoch, events, signals) => {
                let stamps = Arc::new(Stamps::default());
                runtime.send(Batch { epoch, events, signals, stamps });
                last = Some(epoch);
                if waits {
                    collect(&mut said, &log, &commits.recv().unwrap());
                }
            }
        }
    }
    runtime.finish();
    for commit in &commits {
        collect(&mut said, &log, &commit);
    }
    assert!(log.lock().unwrap().keys().all(|epoch| *epoch == Epoch::MIN));
    (said, keeping.map(|mut keeping| keeping.poll().expect("every epoch is closed")))
}

#[test]
fn one_worker_commits_what_two_do_however_epochs_come() {
    for seed in 0..seeds() {
        let history = history(seed);
        let (two, _) = play(TWO, &history, None, None);
        let tables =
            ["latest", "top", "counted", "net", "held", "joined", "windows", "named", "twice"];
        let said = |name| two.values().flat_map(|(_, rows)| rows).any(|(table, ..)| *table == name);
        if seed == 0 {
            assert_eq!(tables.map(said), tables.map(|_| true), "every table says something");
        }
        for how in [ALONE, FLOOD] {
            let (one, _) = play(how, &history, None, None);
            compare(&one, &two, seed, "alone");
        }
    }
}

#[test]
fn a_worker_goes_on_from_what_was_kept_while_it_ran() {
    for seed in 0..seeds() {
        let history = history(seed + 10_000);
        let (whole, _) = play(ALONE, &history, None, None);
        for how in [ALONE, FLOOD, TWO] {
            let cut = 1 + Rng(seed + 7).below(EPOCHS as u64 - 2) as usize;
            let (all, kept) = play(how, &history, None, Some(cut));
            compare(&all, &whole, seed, "while it was kept");
            let Some(kept) = kept else { continue };
            let after = kept.epoch;
            let rest: Vec<Sent> =
                history.iter().filter(|sent| sent.epoch() > after).cloned().collect();
            let (rest, _) = play(how, &rest, Some(kept), None);
            let wanted = whole.iter().filter(|(epoch, _)| **epoch > after);
            let wanted = wanted.map(|(epoch, said)| (*epoch, said.clone())).collect();
            compare(&rest, &wanted, seed, "going on");
        }
    }
}

fn compare(got: &Said, wanted: &Said, seed: u64, what: &str) {
    let epochs = |said: &Said| said.keys().copied().collect::<Vec<_>>();
    assert_eq!(epochs(got), epochs(wanted), "seed {seed}, {what}");
    for (epoch, said) in wanted {
        assert_eq!(&got[epoch], said, "seed {seed}, {what}: epoch {epoch}");
    }
}
