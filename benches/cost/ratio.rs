//! The engine beside the plain programs: nanoseconds per event, wall clock and CPU time, and the ratio.
//!
//! Both take the same events, epoch by epoch, in stretches of which the median counts; the state of one stretch is
//! the start of the next. Events are made before the clock starts. The plain program does not have epochs to wait
//! for: it takes event after event, and the watermark once per epoch.

use std::time::{Duration, Instant};

use highwater_dataflow::EventTime;
use rustix::time::{ClockId, clock_gettime};

use crate::adherence::Adherence;
use crate::center::{Center, Event};
use crate::engine::{Engine, Query, batch};
use crate::windows::{Intervals, Rolling};

/// How much is run.
pub(crate) struct Scale {
    pub(crate) name: &'static str,
    pub(crate) agents: &'static [u32],
    batches: &'static [usize],
    /// Stretches of which the median counts.
    runs: usize,
    /// Events of a stretch, at most so many and so many epochs.
    events: u64,
    epochs: u64,
}

pub(crate) const FULL: Scale = Scale {
    name: "full",
    agents: &[1_000, 10_000, 100_000],
    batches: &[1, 100, 1_000],
    runs: 5,
    events: 100_000,
    epochs: 10_000,
};
/// For how cost grows with the center.
pub(crate) const GROWTH: Scale = Scale {
    name: "growth",
    agents: &[1_000, 10_000, 100_000, 1_000_000],
    batches: &[1_000],
    ..FULL
};
pub(crate) const TINY: Scale =
    Scale { name: "tiny", agents: &[60], batches: &[1, 50], runs: 2, events: 2_000, epochs: 1_000 };

/// A stretch of events, cut into epochs with the watermark after each.
pub(crate) type Stretch = Vec<(Vec<Event>, EventTime)>;

impl Scale {
    /// The largest batch.
    pub(crate) fn largest(&self) -> usize {
        *self.batches.last().expect("a scale has batches")
    }

    pub(crate) fn stretches(&self, center: Center, batch: usize) -> Vec<Stretch> {
        let size = batch as u64;
        let epochs = (self.events / size).clamp(1, self.epochs);
        let epoch = |nth: u64| {
            let events = (nth * size..(nth + 1) * size).map(|nth| center.event(nth)).collect();
            (events, center.bound((nth + 1) * size))
        };
        let stretch = |nth: u64| (nth * epochs..(nth + 1) * epochs).map(epoch).collect();
        (0..self.runs as u64).map(stretch).collect()
    }

    pub(crate) fn centers(&self, query: Query) -> impl Iterator<Item = Center> {
        // Windows know no agents, but with more of them more happens in a window.
        let kind = query.kind();
        self.agents.iter().map(move |agents| Center { agents: *agents, kind })
    }
}

/// Time per event, ns.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
}

/// Prints the table. Panics if the two programs' rows do not amount to the same.
pub(crate) fn compare(scale: &Scale) {
    println!(
        "ns per event: wall clock (CPU time); ratio: plain CPU time / engine CPU time, more is better\n"
    );
    println!(
        "{:<24}{:>9}{:>9}{:>18}{:>18}{:>8}{:>14}",
        "query", "agents", "batch", "plain", "engine", "ratio", "wall ratio"
    );
    for query in Query::ALL {
        for center in scale.centers(query) {
            for batch in scale.batches {
                let stretches = scale.stretches(center, *batch);
                let (plain, expected) = plain(query, center, &stretches);
                let (engine, found) = engine(query, center, &stretches, 1);
                assert_eq!(found, expected, "{query:?} of {center:?}: the rows differ");
                println!(
                    "{:<24}{:>9}{:>9}{:>18}{:>18}{:>8.2}{:>14.2}",
                    query.name(),
                    center.agents,
                    batch,
                    format!("{:.0} ({:.0})", plain.wall, plain.cpu),
                    format!("{:.0} ({:.0})", engine.wall, engine.cpu),
                    plain.cpu / engine.cpu,
                    plain.wall / engine.wall,
                );
            }
        }
    }
}

/// Prints what a second worker changes.
pub(crate) fn workers(scale: &Scale) {
    beside(scale, ["1 worker", "2 workers"], |query, center, stretches| {
        engine(query, center, stretches, 2)
    });
}

/// Prints what something costs beside one worker, at the largest batch. Panics if the rows do not amount to the same.
pub(crate) fn beside(
    scale: &Scale,
    names: [&str; 2],
    other: impl Fn(Query, Center, &[Stretch]) -> (Cost, u64),
) {
    println!("ns per event: wall clock (CPU time)\n");
    println!(
        "{:<24}{:>9}{:>9}{:>18}{:>18}{:>10}",
        "query", "agents", "batch", names[0], names[1], "speed-up"
    );
    let batch = scale.largest();
    for query in Query::ALL {
        for center in scale.centers(query) {
            let stretches = scale.stretches(center, batch);
            let (one, expected) = engine(query, center, &stretches, 1);
            let (two, found) = other(query, center, &stretches);
            assert_eq!(found, expected, "{query:?} of {center:?}: {} have other rows", names[1]);
            println!(
                "{:<24}{:>9}{:>9}{:>18}{:>18}{:>10.2}",
                query.name(),
                center.agents,
                batch,
                format!("{:.0} ({:.0})", one.wall, one.cpu),
                format!("{:.0} ({:.0})", two.wall, two.cpu),
                one.wall / two.wall,
            );
        }
    }
}

pub(crate) fn engine(
    query: Query,
    center: Center,
    stretches: &[Stretch],
    workers: usize,
) -> (Cost, u64) {
    let mut engine = Engine::start(query, workers);
    if query == Query::Adherence {
        engine.hire(center);
    }
    let mut costs = Vec::new();
    for stretch in stretches {
        let mut epoch = engine.epoch;
        let batches: Vec<_> = stretch
            .iter()
            .map(|(events, bound)| {
                epoch += 1;
                batch(epoch, events.clone(), *bound)
            })
            .collect();
        let last = epoch;
        costs.push(measure(count(stretch), || {
            let (runtime, commits) = (&engine.runtime, &engine.commits);
            for batch in batches {
                runtime.send(batch);
                // What has been committed meanwhile is taken in passing.
                engine.epoch = commits.try_iter().last().map_or(engine.epoch, |it| it.epoch);
            }
            while engine.epoch < last {
                engine.epoch = commits.recv().expect("the workers live").epoch;
            }
        }));
    }
    (median(costs), engine.finish())
}

fn plain(query: Query, center: Center, stretches: &[Stretch]) -> (Cost, u64) {
    match query {
        Query::Adherence => {
            let mut program = Adherence::default();
            program.advance(center.bound(0));
            center.hires().for_each(|hire| program.take(&hire));
            let cost = run(stretches, &mut program, Adherence::take, Adherence::advance);
            (cost, program.sum)
        }
        Query::Intervals => {
            let mut program = Intervals::default();
            let cost = run(stretches, &mut program, Intervals::take, Intervals::advance);
            (cost, program.sum)
        }
        Query::Rolling => {
            let mut program = Rolling::default();
            let cost = run(stretches, &mut program, Rolling::take, Rolling::advance);
            (cost, program.sum)
        }
    }
}

fn run<P>(
    stretches: &[Stretch],
    program: &mut P,
    take: fn(&mut P, &Event),
    advance: fn(&mut P, EventTime),
) -> Cost {
    let mut costs = Vec::new();
    for stretch in stretches {
        costs.push(measure(count(stretch), || {
            for (events, bound) in stretch {
                for event in events {
                    take(program, event);
                }
                advance(program, *bound);
            }
        }));
    }
    advance(program, highwater_dataflow::FOREVER);
    median(costs)
}

pub(crate) fn count(stretch: &Stretch) -> usize {
    stretch.iter().map(|(events, _)| events.len()).sum()
}

fn measure(events: usize, work: impl FnOnce()) -> Cost {
    let (began, cpu) = (Instant::now(), cpu_time());
    work();
    let (wall, cpu) = (began.elapsed(), cpu_time().saturating_sub(cpu));
    let each = |time: Duration| time.as_nanos() as f64 / events as f64;
    Cost { wall: each(wall), cpu: each(cpu) }
}

pub(crate) fn median(mut costs: Vec<Cost>) -> Cost {
    let middle = costs.len() / 2;
    costs.sort_by(|a, b| a.wall.total_cmp(&b.wall));
    let wall = costs[middle].wall;
    costs.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
    Cost { wall, cpu: costs[middle].cpu }
}

pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
