//! Dead-letter rate: how many dead letters of each source count at every instant.

use std::collections::BTreeMap;

use highwater_dataflow::{EventTime, FOREVER};
use highwater_model::Envelope;
use highwater_queries::{Rejected, Settings};

use super::alarms::{Book, Level, Stretch, at_most};

pub(crate) fn alarms(
    known: &[Envelope],
    rejected: &[Rejected],
    watermark: EventTime,
    settings: &Settings,
) -> Vec<Stretch> {
    let book = Book::of("dead_letter_rate", known, settings);
    let mut sources: BTreeMap<&str, BTreeMap<EventTime, Vec<(EventTime, u64)>>> = BTreeMap::new();
    for letter in rejected {
        let slot = letter.received_at.div_euclid(10_000) * 10_000;
        let slots = sources.entry(letter.source.as_str()).or_default();
        slots.entry(slot).or_default().push((letter.received_at, letter.seq));
    }
    let mut alarms = Vec::new();
    for (source, slots) in sources {
        let level = |(from, mut letters): (EventTime, Vec<(EventTime, u64)>)| {
            letters.sort_unstable();
            let value = letters.len() as i64;
            Level { from, to: FOREVER, value, seq: letters[0].1 }
        };
        let mut levels: Vec<Level<i64>> = slots.into_iter().map(level).collect();
        at_most(&mut levels, 5 * 60_000, watermark);
        let found = book.alarms(source, &[], &levels, watermark, |terms, letters| {
            let letters: i64 = letters.iter().copied().sum();
            let most = terms["letters_max"] / 1000;
            (letters > most).then_some((letters, most, 0, 0))
        });
        alarms.extend(found.into_iter().map(|(stretch, _)| stretch));
    }
    alarms
}
