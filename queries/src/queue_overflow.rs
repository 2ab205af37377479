//! Queue overflow: more contacts waiting than the queue can bear, for longer than a moment.
//!
//! in   queue updates (Queue, snapshot)   queue profiles (their `overflow_threshold`)   terms (Queue, Terms over time)
//! out  incidents, one per stretch of event time with more than `waiting_max` waiting; alerts follow them
//!
//! The ACD's own count is what counts: it sees contacts that send no events, and agents see the same figure. A snapshot
//! holds until the next one, but for five minutes at most: a feed that died says nothing about the queue. A queue without
//! snapshots is not watched; `queue_now` has its count by events.

use highwater_dataflow::{Alerts, Finding, Point};

use crate::registry::Shared;
use crate::rule::{Definition, Parameter, Said, incident, raise, terms};
use crate::settings::Settings;

pub const QUEUE_OVERFLOW: Definition = Definition {
    name: "queue_overflow",
    scope: "queue",
    enabled: true,
    parameters: &[
        Parameter::count(
            "waiting_max",
            10,
            0,
            "contacts that may wait; unless said of the queue itself, its profile's \
             `overflow_threshold` comes before this",
        ),
        Parameter::seconds("lasting_s", 60, "how long more than that must wait"),
    ],
};
const WAITING_MAX: usize = 0;
const LASTING: usize = 1;

/// How long a snapshot is believed, ms.
pub const BELIEVED: i64 = 300_000;

pub fn queue_overflow<'s>(shared: &Shared<'s>, settings: &Settings) -> Alerts<'s> {
    let input = &shared.input;
    let horizon = input.correction;
    let waiting = input
        .queue_updates()
        .map(|(queue, point)| {
            let Point { at, value, seq } = point;
            (queue.0, Point { at, value: value.contacts_waiting, seq })
        })
        .intervals("waiting", horizon)
        .lasts_at_most("snapshots believed", BELIEVED);
    let promised = input.queue_profiles().map(|(queue, point)| {
        let most = point.value.overflow_threshold.map(|most| (WAITING_MAX, most * 1000));
        let value = Said { enabled: None, values: most.into_iter().collect() };
        (queue.0, Point { at: point.at, value, seq: point.seq })
    });
    let queues = waiting.clone().keys("queues with snapshots");
    let told = terms(&QUEUE_OVERFLOW, settings, shared.rules.clone(), queues, Some(promised));
    let found = waiting.alarms("waiting too many", told.terms, horizon, |terms, snapshots| {
        let value = **snapshots.last()?;
        let threshold = terms.count(WAITING_MAX);
        let finding = Finding { value, threshold, lasting: terms.milli(LASTING), kind: 0 };
        (value > threshold).then_some(finding)
    });
    let incidents = found.alarms.map(|(queue, alarm)| incident(queue, alarm, Vec::new()));
    raise(&QUEUE_OVERFLOW, incidents, found.revisions.concat(told.words), horizon)
}
