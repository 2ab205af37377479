//! Feed silent: the gaps between the ten-second slots of each kind of event.

use highwater_dataflow::{EventTime, FOREVER};
use highwater_model::Envelope;
use highwater_queries::Settings;

use super::alarms::{Book, Stretch, steps};
use super::consumer_lag::{Arrived, slots};

pub(crate) fn alarms(
    known: &[Envelope],
    arrived: &[Arrived],
    watermark: EventTime,
    settings: &Settings,
) -> Vec<Stretch> {
    let book = Book::of("feed_silent", known, settings);
    let mut alarms = Vec::new();
    for (kind, slots) in slots(arrived) {
        let points = slots.into_iter().map(|(slot, (_, seq))| (slot, slot, seq));
        let mut gaps = steps(points.collect());
        for gap in &mut gaps {
            gap.from += 10_000;
        }
        gaps.retain(|gap| gap.from < gap.to);
        let found = book.alarms(kind, &[], &gaps, watermark, |terms, gaps| {
            let limit = terms["silent_s"];
            (limit > 0).then_some((limit / 1000, limit / 1000, limit, *gaps[0]))
        });
        for (mut stretch, _) in found {
            if stretch.to < FOREVER {
                stretch.value = (stretch.to - stretch.from) / 1000;
            }
            alarms.push(stretch);
        }
    }
    alarms
}
