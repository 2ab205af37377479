//! Dead-letter rate: a source that sends more of what cannot be an event than now and then happens.
//!
//! in   rejected input   terms (source, Terms over time)
//! out  incidents, one per stretch with more than `letters_max` dead letters within five minutes; alerts follow them
//!
//! What could not be read has no event time: dead letters count when they were received. Each counts for five minutes
//! from its slot of ten seconds on, and the watermark is the clock that ends them.

use highwater_dataflow::{Alerts, EventTime, FOREVER, Finding, Millis, Revision, Span};
use highwater_model::Name;

use crate::feeds::SLOT;
use crate::registry::Shared;
use crate::rule::{Definition, Parameter, incident, raise, terms};
use crate::settings::Settings;

pub const DEAD_LETTER_RATE: Definition = Definition {
    name: "dead_letter_rate",
    scope: "source",
    enabled: true,
    parameters: &[Parameter::count(
        "letters_max",
        10,
        0,
        "dead letters of the source within five minutes that are tolerated",
    )],
};
const LETTERS_MAX: usize = 0;

/// How long a dead letter counts, ms.
pub const COUNTED: Millis = 300_000;

pub fn dead_letter_rate<'s>(shared: &Shared<'s>, settings: &Settings) -> Alerts<'s> {
    let horizon = shared.input.correction;
    let letters = shared
        .input
        .rejected()
        .map(|letter| {
            let at = letter.received_at;
            ((letter.source, at - at.rem_euclid(SLOT)), (at, letter.seq))
        })
        .gather(
            "slots of dead letters",
            move |letters: &[(EventTime, u64)]| letters[0].0.saturating_add(horizon + COUNTED),
            |(source, slot): &(Name, EventTime), letters, _, out| {
                let letters = (letters.len() as i64, letters[0].1);
                out.push((source.clone(), (*slot, letters)));
            },
        )
        .map(|(source, (from, (letters, seq)))| {
            (source, Span { from, to: FOREVER, value: (from, letters), seq })
        })
        .lasts_at_most("dead letters count", COUNTED);
    let sources = letters.clone().keys("sources of dead letters");
    let told = terms(&DEAD_LETTER_RATE, settings, shared.rules.clone(), sources, None);
    let slots = letters.clone().map(|(source, slot)| (source.clone(), (source, slot)));
    let found = letters.alarms("dead letters", told.terms, horizon, |terms, slots| {
        let value = slots.iter().map(|(_, letters)| letters).sum();
        let threshold = terms.count(LETTERS_MAX);
        (value > threshold).then_some(Finding { value, threshold, lasting: 0, kind: 0 })
    });
    let incidents = found.alarms.map(|(source, alarm)| incident(source, alarm, Vec::new()));
    // A slot is named by its first letter; any of its letters changes it.
    let records = shared
        .input
        .rejected()
        .map(|letter| (letter.source, Revision { at: letter.received_at, seq: letter.seq }));
    let revised = slots.revised("slots revised", records, |(source, slot), by| {
        (slot.from..slot.from + SLOT).contains(&by.at).then(|| source.clone())
    });
    raise(&DEAD_LETTER_RATE, incidents, revised.concat(told.words), horizon)
}
