//! Sums: outcomes as numbers, held against what the queue promised at their time.

use std::collections::BTreeMap;

use highwater_dataflow::view::Value;
use highwater_model::{Envelope, Event, QueueId};

use super::contacts::Outcome;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) arrivals: i64,
    pub(crate) offered: i64,
    pub(crate) answered: i64,
    pub(crate) answered_in_time: i64,
    pub(crate) abandoned: i64,
    pub(crate) abandoned_in_time: i64,
    pub(crate) abandoned_short: i64,
    pub(crate) wait_ms: i64,
    pub(crate) completed: i64,
    pub(crate) handle_ms: i64,
    pub(crate) in_progress: i64,
}

/// One outcome in a queue at its event time.
pub(crate) type Element = (QueueId, i64, Sums);

/// What counts of every outcome.
pub(crate) fn measured(known: &[Envelope], outcomes: &[(QueueId, i64, Outcome)]) -> Vec<Element> {
    // Of several promises from the same instant on the greatest holds.
    let mut promises: BTreeMap<&QueueId, BTreeMap<i64, (i64, i64)>> = BTreeMap::new();
    for envelope in known {
        if let Event::QueueProfile(profile) = &envelope.event {
            let made = (profile.threshold_ms, profile.short_abandon_ms);
            let held = promises.entry(&profile.queue).or_default().entry(envelope.at);
            let held = held.or_insert(made);
            *held = made.max(*held);
        }
    }
    let mut elements = Vec::new();
    for (queue, at, outcome) in outcomes {
        let promise = promises.get(queue).and_then(|made| made.range(..=at).next_back());
        let (threshold, short) = promise.map_or((20_000, 5_000), |(_, promise)| *promise);
        let zero = Sums::default();
        let sums = match *outcome {
            Outcome::Waiting | Outcome::InProgress => continue,
            Outcome::Arrived { offered, open } => {
                Sums { arrivals: 1, offered: offered.into(), in_progress: open.into(), ..zero }
            }
            Outcome::Answered { wait } => Sums {
                answered: 1,
                answered_in_time: i64::from(wait <= threshold),
                wait_ms: wait,
                ..zero
            },
            Outcome::Completed { handle } => Sums { completed: 1, handle_ms: handle, ..zero },
            Outcome::Abandoned { wait } => Sums {
                abandoned: 1,
                abandoned_in_time: i64::from(wait <= threshold),
                abandoned_short: i64::from(wait <= short),
                ..zero
            },
        };
        elements.push((queue.clone(), *at, sums));
    }
    elements
}

impl Sums {
    pub(crate) fn add(&mut self, other: &Sums) {
        self.arrivals += other.arrivals;
        self.offered += other.offered;
        self.answered += other.answered;
        self.answered_in_time += other.answered_in_time;
        self.abandoned += other.abandoned;
        self.abandoned_in_time += other.abandoned_in_time;
        self.abandoned_short += other.abandoned_short;
        self.wait_ms += other.wait_ms;
        self.completed += other.completed;
        self.handle_ms += other.handle_ms;
        self.in_progress += other.in_progress;
    }
}

/// `part` in percent of `whole`; undefined of nothing.
pub(crate) fn percent(part: i64, whole: i64) -> Value {
    if whole > 0 { Value::Real(part as f64 / whole as f64 * 100.0) } else { Value::Null }
}

/// The mean of `count` values that sum up to `sum`; undefined of none.
pub(crate) fn mean(sum: i64, count: i64) -> Value {
    if count > 0 { Value::Real(sum as f64 / count as f64) } else { Value::Null }
}
