//! Sums: outcomes as numbers, held against what the queue promised at their time.

use std::collections::BTreeMap;

use highwater_dataflow::view::Value;
use highwater_model::{Envelope, Event, QueueId, ServiceLevel};
use highwater_queries::{Attribute, Attribution};

use super::contacts::{Outcome, Telling};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) arrivals: i64,
    pub(crate) offered: i64,
    pub(crate) left: Left,
    /// Of those whose wait is known.
    pub(crate) wait_ms: i64,
    /// Answered after nobody knows how long; apart from all of `left`.
    pub(crate) unclear: i64,
    pub(crate) completed: i64,
    /// Of the completed.
    pub(crate) completed_ms: i64,
    /// As attributed.
    pub(crate) handle_ms: i64,
    pub(crate) in_progress: i64,
    pub(crate) busy_ms: i64,
    pub(crate) idle_ms: i64,
    /// Who left the queue, by the definition it was held to at that time.
    pub(crate) by_definition: [Left; 5],
}

/// Who left a queue, and how, of those of whom it is known how long they waited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) answered: i64,
    pub(crate) answered_in_time: i64,
    pub(crate) abandoned: i64,
    pub(crate) abandoned_in_time: i64,
    pub(crate) abandoned_short: i64,
}

/// One thing that counts in a queue, at the instant it counts at.
pub(crate) type Element = (QueueId, i64, Sums);

/// A queue's promises: thresholds and definition from an instant on. Of several at one instant the greatest holds.
type Promises = BTreeMap<QueueId, BTreeMap<i64, (i64, i64, ServiceLevel)>>;

fn promises(known: &[Envelope]) -> Promises {
    let mut promises = Promises::new();
    for envelope in known {
        if let Event::QueueProfile(profile) = &envelope.event {
            let made = (profile.threshold_ms, profile.short_abandon_ms, profile.service_level);
            let queue = promises.entry(profile.queue.clone()).or_default();
            let held = queue.entry(envelope.at).or_insert(made);
            *held = made.max(*held);
        }
    }
    promises
}

/// What counts of every outcome, at its own event time.
pub(crate) fn measured(known: &[Envelope], told: &[Telling]) -> Vec<Element> {
    let promises = promises(known);
    let element = |t: &Telling| Some((t.queue.clone(), t.at, sums(&promises, t)?));
    told.iter().filter_map(element).collect()
}

/// What counts of every outcome, where it is attributed; all but what is prorated.
pub(crate) fn attributed(
    known: &[Envelope],
    told: &[Telling],
    attribution: Attribution,
) -> Vec<Element> {
    if attribution == Attribution::default() {
        return measured(known, told);
    }
    let promises = promises(known);
    let mut elements = Vec::new();
    for t in told {
        let Some(all) = sums(&promises, t) else { continue };
        let when = |attribute| match attribute {
            Attribute::Event => Some(t.at),
            Attribute::Offered => Some(t.offered_at),
            Attribute::Completed => t.over_at,
            Attribute::Prorated => None,
        };
        let live = Sums { in_progress: all.in_progress, ..Sums::default() };
        let handled = Sums { handle_ms: all.handle_ms, ..Sums::default() };
        let counted = Sums { in_progress: 0, handle_ms: 0, ..all };
        let parts = [
            (Some(t.at), live),
            (when(attribution.handle_time), handled),
            (when(attribution.counts), counted),
        ];
        for (at, part) in parts {
            if let (Some(at), true) = (at, part != Sums::default()) {
                elements.push((t.queue.clone(), at, part));
            }
        }
    }
    elements
}

fn sums(promises: &Promises, told: &Telling) -> Option<Sums> {
    let promise = promises.get(&told.queue).and_then(|made| made.range(..=told.at).next_back());
    let unpromised = (20_000, 5_000, ServiceLevel::Offered);
    let (threshold, short, definition) = promise.map_or(unpromised, |(_, promise)| *promise);
    let zero = Sums::default();
    let leaves = |left: Left, wait_ms: i64| {
        let mut by_definition = zero.by_definition;
        by_definition[definition as usize] = left;
        Sums { left, wait_ms, by_definition, ..zero }
    };
    Some(match told.outcome {
        Outcome::Waiting | Outcome::InProgress => return None,
        Outcome::Arrived { offered, open } => {
            Sums { arrivals: 1, offered: offered.into(), in_progress: open.into(), ..zero }
        }
        Outcome::Answered { wait: None } => Sums { unclear: 1, ..zero },
        Outcome::Answered { wait: Some(wait) } => {
            let answered_in_time = i64::from(wait <= threshold);
            leaves(Left { answered: 1, answered_in_time, ..Left::default() }, wait)
        }
        Outcome::Completed { handle } => {
            Sums { completed: 1, completed_ms: handle, handle_ms: handle, ..zero }
        }
        Outcome::Abandoned { wait } => leaves(
            Left {
                abandoned: 1,
                abandoned_in_time: i64::from(wait <= threshold),
                abandoned_short: i64::from(wait <= short),
                ..Left::default()
            },
            0,
        ),
    })
}

impl Left {
    fn add(&mut self, other: &Left) {
        self.answered += other.answered;
        self.answered_in_time += other.answered_in_time;
        self.abandoned += other.abandoned;
        self.abandoned_in_time += other.abandoned_in_time;
        self.abandoned_short += other.abandoned_short;
    }

    /// Part and whole of a service level.
    fn level(&self, definition: ServiceLevel) -> (i64, i64) {
        let all = self.answered + self.abandoned;
        match definition {
            ServiceLevel::Offered => (self.answered_in_time, all),
            ServiceLevel::Answered => (self.answered_in_time, self.answered),
            ServiceLevel::Connect => (self.answered_in_time + self.abandoned_in_time, all),
            ServiceLevel::AbandonsWithinExcluded => {
                (self.answered_in_time, self.answered + self.abandoned - self.abandoned_in_time)
            }
            ServiceLevel::ShortAbandonsExcluded => {
                (self.answered_in_time, self.answered + self.abandoned - self.abandoned_short)
            }
        }
    }
}

impl Sums {
    pub(crate) fn add(&mut self, other: &Sums) {
        self.arrivals += other.arrivals;
        self.offered += other.offered;
        self.left.add(&other.left);
        self.wait_ms += other.wait_ms;
        self.unclear += other.unclear;
        self.completed += other.completed;
        self.completed_ms += other.completed_ms;
        self.handle_ms += other.handle_ms;
        self.in_progress += other.in_progress;
        self.busy_ms += other.busy_ms;
        self.idle_ms += other.idle_ms;
        for (mine, theirs) in self.by_definition.iter_mut().zip(&other.by_definition) {
            mine.add(theirs);
        }
    }

    /// The chosen service level, and the name of what was chosen.
    pub(crate) fn chosen(&self) -> (Value, Value) {
        let (mut part, mut whole) = (0, 0);
        let mut names = Vec::new();
        for (definition, left) in ServiceLevel::ALL.iter().zip(&self.by_definition) {
            let (more, of) = left.level(*definition);
            (part, whole) = (part + more, whole + of);
            if left.answered + left.abandoned > 0 {
                names.push(definition.name());
            }
        }
        let name = match names.as_slice() {
            [] => Value::Null,
            [name] => Value::Text((*name).into()),
            _ => Value::Text("mixed".into()),
        };
        (percent(part, whole), name)
    }

    /// The columns that views of queue measures share.
    pub(crate) fn cells(&self) -> Vec<Value> {
        let left = &self.left;
        let (level, name) = self.chosen();
        let answered = left.answered + self.unclear;
        let mut cells = vec![
            Value::Int(self.arrivals),
            Value::Int(self.offered),
            Value::Int(answered),
            Value::Int(left.abandoned),
            Value::Int(self.in_progress),
            Value::Int(self.completed),
            mean(self.completed_ms, self.completed),
            mean(self.wait_ms, left.answered),
            percent(left.abandoned, answered + left.abandoned),
            percent(self.busy_ms, self.busy_ms + self.idle_ms),
            level,
            name,
        ];
        for definition in ServiceLevel::ALL {
            let (part, whole) = left.level(*definition);
            cells.push(percent(part, whole));
        }
        let rest = [
            left.answered_in_time,
            left.abandoned_in_time,
            left.abandoned_short,
            self.wait_ms,
            self.unclear,
            self.handle_ms,
            self.busy_ms,
            self.idle_ms,
        ];
        cells.extend(rest.map(Value::Int));
        cells
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
