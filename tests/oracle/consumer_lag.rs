//! Consumer lag: how late the promptest event of each kind came, in slots of ten seconds.

use std::collections::BTreeMap;

use highwater_dataflow::EventTime;
use highwater_model::Envelope;
use highwater_queries::Settings;

use super::alarms::{Book, Stretch, steps};

/// An event that was told as it happened and is no reference data: its kind, event time, journal position and the epoch that brought it.
pub(crate) struct Arrived {
    pub(crate) kind: &'static str,
    pub(crate) at: EventTime,
    pub(crate) seq: u64,
    pub(crate) epoch: u64,
}

/// Per kind and slot the smallest lag in whole slots (seconds), with the first record that had it.
pub(crate) fn slots(
    arrived: &[Arrived],
) -> BTreeMap<&'static str, BTreeMap<EventTime, (i64, u64)>> {
    let mut kinds: BTreeMap<&'static str, BTreeMap<EventTime, (i64, u64)>> = BTreeMap::new();
    for event in arrived {
        let lag = ((event.epoch / 1000) as i64 - event.at).max(0) / 10_000 * 10;
        let slot = event.at.div_euclid(10_000) * 10_000;
        let slots = kinds.entry(event.kind).or_default();
        let this = (lag, event.seq);
        let held = slots.entry(slot).or_insert(this);
        *held = this.min(*held);
    }
    kinds
}

pub(crate) fn alarms(
    known: &[Envelope],
    arrived: &[Arrived],
    watermark: EventTime,
    settings: &Settings,
) -> Vec<Stretch> {
    let book = Book::of("consumer_lag", known, settings);
    let mut alarms = Vec::new();
    for (kind, slots) in slots(arrived) {
        let points = slots.into_iter().map(|(slot, (lag, seq))| (slot, lag, seq));
        let levels = steps(points.collect());
        let found = book.alarms(kind, &[], &levels, watermark, |terms, lags| {
            let (lag, most) = (*lags[0], terms["lag_max_s"] / 1000);
            (lag > most).then_some((lag, most, terms["lasting_s"], 0))
        });
        alarms.extend(found.into_iter().map(|(stretch, _)| stretch));
    }
    alarms
}
