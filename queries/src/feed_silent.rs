//! Feed silent: a kind of event that was heard of, and is no longer, while event time goes on.
//!
//! in   slots of feeds (kind, lag)   terms (kind, Terms over time)
//! out  incidents, one per gap longer than `silent_s`; alerts follow them
//!
//! Silence is judged by the watermark: other feeds move it on, and quiet time does when all are silent. A feed is a kind
//! of event, which is what the journal knows for certain of one; slots of ten seconds are its resolution. What is read from
//! recordings begins no silence and ends none.

use highwater_dataflow::{Alerts, Finding, Revision, Span};

use crate::agent_stuck::with_duration;
use crate::feeds::SLOT;
use crate::registry::Shared;
use crate::rule::{Definition, Parameter, incident, raise, terms};
use crate::settings::Settings;

pub const FEED_SILENT: Definition = Definition {
    name: "feed_silent",
    scope: "kind of event",
    enabled: true,
    parameters: &[Parameter::seconds(
        "silent_s",
        900,
        "how long after the last event a feed counts as silent; 0: never",
    )],
};
const SILENT: usize = 0;

pub fn feed_silent<'s>(shared: &Shared<'s>, settings: &Settings) -> Alerts<'s> {
    let horizon = shared.input.correction;
    let slots = shared.feeds.clone();
    let kinds = slots.clone().keys("feeds");
    let told = terms(&FEED_SILENT, settings, shared.rules.clone(), kinds, None);
    let gaps = slots.intervals("gaps of feeds", horizon).flat_map(|(kind, slot)| {
        let from = slot.from + SLOT;
        (from < slot.to).then_some((kind, Span { from, to: slot.to, value: from, seq: slot.seq }))
    });
    let found = gaps.alarms("silent", told.terms, horizon, |terms, gaps| {
        let lasting = terms.milli(SILENT);
        let seconds = lasting / 1000;
        let kind = **gaps.last()?;
        (lasting > 0).then_some(Finding { value: seconds, threshold: seconds, lasting, kind })
    });
    let incidents =
        found.alarms.map(|(kind, alarm)| with_duration(incident(kind, alarm, Vec::new())));
    // What ends a silence is the slot after it, which is no gap itself.
    let heard =
        shared.feeds.clone().map(|(kind, slot)| (kind, Revision { at: slot.at, seq: slot.seq }));
    raise(&FEED_SILENT, incidents, found.revisions.concat(told.words).concat(heard), horizon)
}
