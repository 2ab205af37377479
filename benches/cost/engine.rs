//! The three queries over the engine's operators, and the runtime that is fed with epochs.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;

use highwater_dataflow::view::{Commit, Stamps};
use highwater_dataflow::window::{Accumulation, FixedWindows, Group, SlidingWindows, Sum, Trigger};
use highwater_dataflow::{
    Admission, Batch, Epoch, EventTime, Events, Graph, Horizons, Journals, Membership, Options,
    Runtime, Segment, Signal, Span, Word,
};
use serde::{Deserialize, Serialize};

use crate::center::{
    Center, Event, HORIZON, Kind, MINUTE, TEAM, What, first, is_out, schedule, weight,
};

/// A query by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Query {
    Adherence,
    Intervals,
    Rolling,
}

impl Query {
    pub(crate) const ALL: [Query; 3] = [Query::Adherence, Query::Intervals, Query::Rolling];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Query::Adherence => "adherence, team drift",
            Query::Intervals => "15 min",
            Query::Rolling => "5 min every 30 s",
        }
    }

    fn asks_for(self, event: &Event) -> bool {
        match event.what {
            What::Hire(_) => false,
            What::State(..) => self == Query::Adherence,
            What::Arrival(_) => self != Query::Adherence,
            What::Complete(..) => self == Query::Intervals,
        }
    }

    pub(crate) fn kind(self) -> Kind {
        match self {
            Query::Adherence => Kind::States,
            Query::Intervals | Query::Rolling => Kind::Contacts,
        }
    }
}

/// Half of a query that two processes run: this one's.
pub(crate) struct Half {
    pub(crate) runtime: Runtime<Event>,
    /// Of process 0.
    pub(crate) commits: Option<Receiver<Commit>>,
    sum: Arc<AtomicU64>,
}

impl Half {
    pub(crate) fn join(query: Query, process: usize, link: TcpStream) -> Half {
        let sum = Arc::new(AtomicU64::new(0));
        let told = sum.clone();
        let mut links = vec![None, None];
        links[1 - process] = Some(link);
        let heard: Arc<dyn Fn(Epoch) + Send + Sync> = Arc::new(|_| {});
        let words: Arc<dyn Fn(Word) + Send + Sync> = Arc::new(|_| {});
        // There is no journal.
        let journals = Journals { home: |_| 0, mark_every: Epoch::MAX, folded: Arc::default() };
        let membership =
            Membership { process, links, started_after: 0, heard, told: words, journals };
        let options = Options { workers: 1, ..Options::default() };
        let (runtime, commits) =
            Runtime::join(options, membership, None, move |graph: &mut Graph<'_, Event>| {
                build(graph, query, &told);
            })
            .expect("two processes on one machine meet");
        Half { runtime, commits, sum }
    }

    /// Ends the input; what the rows of this process's worker amount to then.
    pub(crate) fn finish(self) -> u64 {
        self.runtime.finish();
        self.sum.load(Ordering::Relaxed)
    }
}

/// A running query.
pub(crate) struct Engine {
    pub(crate) runtime: Runtime<Event>,
    pub(crate) commits: Receiver<Commit>,
    /// What its rows amount to.
    sum: Arc<AtomicU64>,
    pub(crate) epoch: Epoch,
}

impl Engine {
    pub(crate) fn start(query: Query, workers: usize) -> Engine {
        Engine::start_with(query, Options { workers, ..Options::default() })
    }

    pub(crate) fn start_with(query: Query, options: Options) -> Engine {
        let sum = Arc::new(AtomicU64::new(0));
        let told = sum.clone();
        let (runtime, commits) = Runtime::start(options, move |graph: &mut Graph<'_, Event>| {
            build(graph, query, &told);
        });
        Engine { runtime, commits, sum, epoch: 0 }
    }

    /// Brings everybody in.
    pub(crate) fn hire(&mut self, center: Center) {
        let hires: Vec<Event> = center.hires().collect();
        for chunk in hires.chunks(10_000) {
            self.send(chunk.to_vec(), center.bound(0));
            self.level();
        }
    }

    /// Feeds an epoch; does not wait for it.
    pub(crate) fn send(&mut self, events: Vec<Event>, bound: EventTime) {
        self.epoch += 1;
        self.runtime.send(batch(self.epoch, events, bound));
    }

    /// Waits until the last epoch sent is committed.
    pub(crate) fn level(&self) {
        while self.commits.recv().expect("the workers live").epoch < self.epoch {}
    }

    /// Ends the input; what the rows amount to then.
    pub(crate) fn finish(mut self) -> u64 {
        self.send(Vec::new(), highwater_dataflow::FOREVER);
        self.level();
        drop(self.commits);
        self.runtime.finish();
        self.sum.load(Ordering::Relaxed)
    }
}

pub(crate) fn batch(epoch: Epoch, events: Vec<Event>, bound: EventTime) -> Batch<Event> {
    batch_of(0, epoch, events, bound)
}

/// Of one process of several, which is a partition of its own.
pub(crate) fn batch_of(
    process: usize,
    epoch: Epoch,
    events: Vec<Event>,
    bound: EventTime,
) -> Batch<Event> {
    let signals = vec![Signal::Bound { partition: process as u32, bound }];
    Batch { epoch, events, signals, stamps: Arc::new(Stamps::default()) }
}

fn build(graph: &mut Graph<'_, Event>, query: Query, sum: &Arc<AtomicU64>) {
    let horizons = Horizons { dedup: HORIZON, correction: HORIZON };
    // Like the plain programs, which remember the identity of no event that their query has no use for.
    let happened = graph.input().filter(move |event| query.asks_for(event));
    let (admitted, _) = happened.admit(horizons, |event| Admission {
        id: event.id,
        at: Some(event.at),
        seq: event.seq,
    });
    let events = graph.events(admitted);
    match query {
        Query::Adherence => adherence(graph, &events, sum),
        Query::Intervals => intervals(graph, &events, sum),
        Query::Rolling => rolling(graph, &events, sum),
    }
}

fn adherence<'s>(graph: &mut Graph<'s, Event>, events: &Events<'s, Event>, sum: &Arc<AtomicU64>) {
    let hired = graph.events(graph.input());
    let agent = |event: &Event| match event.what {
        What::Hire(agent) => Some(agent),
        _ => None,
    };
    let plans = hired.select_many(move |event, out: &mut Vec<(u32, Span<u8>)>| {
        out.extend(agent(event).into_iter().flat_map(|it| schedule(it).map(|span| (it, span))));
    });
    let teams = hired.select(move |event| agent(event).map(|agent| (agent, agent / TEAM)));
    let states = events
        .select(|event| match event.what {
            What::State(agent, state) => {
                let point =
                    highwater_dataflow::Point { at: event.at, value: state, seq: event.seq };
                Some((agent, point))
            }
            _ => None,
        })
        .concat(hired.select(move |event| agent(event).map(|agent| (agent, first(agent)))));
    let judged = states.overlay(
        "adherence",
        plans,
        HORIZON,
        |state, activity| Some(is_out(*state?, activity.copied())),
        |out| *out,
    );
    let told = sum.clone();
    graph.observe("segments", judged.segments.clone(), move |_, rows| {
        let row = |((agent, s), _, diff): &((u32, Segment<bool>), Epoch, isize)| {
            weight((agent, s.from, s.to, s.value), *diff as i64)
        };
        add(&told, rows.iter().map(row));
    });
    let episodes = judged
        .segments
        .filter(|(_, segment)| segment.value)
        .map(|(agent, s)| (agent, Span { from: s.from, to: s.to, value: agent, seq: s.seq }))
        .lookup_until(
            "team",
            teams,
            |span| span.to.saturating_add(2 * HORIZON),
            |_, span, team| (team.copied().unwrap_or_default(), *span),
        )
        .at_least("drift", 3, HORIZON);
    let told = sum.clone();
    graph.observe("drift", episodes, move |_, rows| {
        add(
            &told,
            rows.iter().map(|((team, it), _, diff)| weight((team, it.from, it.to), *diff as i64)),
        );
    });
}

/// Volume, completed, handle time.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub(crate) struct Sums(pub(crate) [i64; 3]);

impl Group for Sums {
    fn zero() -> Self {
        Sums::default()
    }
    fn add(&mut self, other: &Self, times: isize) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, it)| *sum += it * times as i64);
    }
}

fn intervals<'s>(graph: &mut Graph<'s, Event>, events: &Events<'s, Event>, sum: &Arc<AtomicU64>) {
    let counted = events.select(|event| match event.what {
        What::Arrival(queue) => Some((queue, (event.at, Sums([1, 0, 0])))),
        What::Complete(queue, handle) => Some((queue, (event.at, Sums([0, 1, handle])))),
        What::Hire(_) | What::State(..) => None,
    });
    let late = Trigger::repeatedly(Trigger::after_count(1));
    let panes = counted
        .window_into("intervals", FixedWindows::of(15 * MINUTE))
        .trigger(Trigger::after_watermark().late(late))
        .allowed_lateness(HORIZON)
        .accumulation(Accumulation::AccumulatingRetracting)
        .aggregate(Sum)
        .panes;
    let told = sum.clone();
    graph.observe("intervals", panes, move |_, rows| {
        add(
            &told,
            rows.iter().map(|((queue, pane), _, diff)| {
                weight((queue, pane.window.start, pane.value.0), *diff as i64)
            }),
        );
    });
}

fn rolling<'s>(graph: &mut Graph<'s, Event>, events: &Events<'s, Event>, sum: &Arc<AtomicU64>) {
    let arrivals = events.select(|event| match event.what {
        What::Arrival(queue) => Some((queue, (event.at, 1_i64))),
        _ => None,
    });
    let late = Trigger::repeatedly(Trigger::after_count(1));
    let panes = arrivals
        .window_into("rolling", SlidingWindows::of(5 * MINUTE).every(MINUTE / 2))
        .trigger(Trigger::after_watermark().late(late))
        .allowed_lateness(HORIZON)
        .accumulation(Accumulation::AccumulatingRetracting)
        .aggregate(Sum)
        .panes;
    let told = sum.clone();
    graph.observe("rolling", panes, move |_, rows| {
        add(
            &told,
            rows.iter().map(|((queue, pane), _, diff)| {
                weight((queue, pane.window.start, pane.value), *diff as i64)
            }),
        );
    });
}

fn add(sum: &AtomicU64, weights: impl Iterator<Item = u64>) {
    sum.fetch_add(weights.fold(0, u64::wrapping_add), Ordering::Relaxed);
}
