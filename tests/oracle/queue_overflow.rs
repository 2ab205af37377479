//! Queue overflow: the latest snapshot of each queue, instant by instant.

use std::collections::BTreeMap;

use highwater_dataflow::EventTime;
use highwater_model::{Envelope, Event};
use highwater_queries::Settings;

use super::alarms::{Book, Stretch, Word, at_most, steps};

pub(crate) fn alarms(
    known: &[Envelope],
    watermark: EventTime,
    settings: &Settings,
) -> Vec<Stretch> {
    let book = Book::of("queue_overflow", known, settings);
    let mut snapshots: BTreeMap<&str, Vec<(EventTime, i64, u64)>> = BTreeMap::new();
    let mut promises: BTreeMap<&str, Vec<Word>> = BTreeMap::new();
    for envelope in known {
        match &envelope.event {
            Event::QueueUpdate(update) => {
                let of = snapshots.entry(update.queue.as_str()).or_default();
                of.push((envelope.at, update.contacts_waiting, envelope.seq));
            }
            Event::QueueProfile(profile) => {
                let most = profile.overflow_threshold.map(|n| ("waiting_max".to_owned(), n * 1000));
                promises.entry(profile.queue.as_str()).or_default().push(Word {
                    at: envelope.at,
                    enabled: None,
                    parameters: most.into_iter().collect(),
                    seq: envelope.seq,
                });
            }
            _ => {}
        }
    }
    let mut alarms = Vec::new();
    for (queue, points) in snapshots {
        let mut levels = steps(points);
        at_most(&mut levels, 5 * 60_000, watermark);
        let promised = promises.get(queue).map_or(&[][..], Vec::as_slice);
        let found = book.alarms(queue, promised, &levels, watermark, |terms, waiting| {
            let (waiting, most) = (*waiting[0], terms["waiting_max"] / 1000);
            (waiting > most).then_some((waiting, most, terms["lasting_s"], 0))
        });
        alarms.extend(found.into_iter().map(|(stretch, _)| stretch));
    }
    alarms
}
