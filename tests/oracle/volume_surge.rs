//! Volume surge: arrivals of each quarter of an hour so far, counted at every full minute.

use std::collections::BTreeMap;

use highwater_dataflow::{EventTime, FOREVER};
use highwater_model::{Envelope, Event, QueueId};
use highwater_queries::Settings;

use super::alarms::{Book, Level, Stretch};
use super::contacts::Outcome;

const MINUTE: i64 = 60_000;
const QUARTER: i64 = 15 * MINUTE;

pub(crate) fn alarms(
    known: &[Envelope],
    outcomes: &[(QueueId, i64, Outcome)],
    watermark: EventTime,
    settings: &Settings,
) -> Vec<Stretch> {
    let book = Book::of("volume_surge", known, settings);
    let mut forecasts: BTreeMap<(&QueueId, i64), (i64, i64, std::cmp::Reverse<u64>)> =
        BTreeMap::new();
    for envelope in known {
        let Event::ForecastUpdate(update) = &envelope.event else { continue };
        if update.interval_end_at - update.interval_start_at == QUARTER {
            let this = (update.version, update.volume_milli, std::cmp::Reverse(envelope.seq));
            let key = (&update.queue, update.interval_start_at);
            let held = forecasts.entry(key).or_insert(this);
            *held = this.max(*held);
        }
    }
    let mut queues: BTreeMap<&QueueId, Vec<Level<(i64, i64)>>> = BTreeMap::new();
    for ((queue, start), (_, volume, seq)) in forecasts {
        for minute in 1..=15 {
            let mark = start + minute * MINUTE;
            let so_far = outcomes.iter().filter(|(of, at, outcome)| {
                of == queue
                    && (start..mark).contains(at)
                    && matches!(outcome, Outcome::Arrived { .. })
            });
            let arrived = so_far.count() as i64;
            if arrived == 0 || mark > watermark {
                continue;
            }
            let over = mark + MINUTE;
            queues.entry(queue).or_default().push(Level {
                from: mark,
                to: if over <= watermark { over } else { FOREVER },
                value: (arrived, volume * minute / 15),
                seq: seq.0,
            });
        }
    }
    let mut alarms = Vec::new();
    for (queue, levels) in queues {
        let found = book.alarms(queue.as_str(), &[], &levels, watermark, |terms, paces| {
            let (arrived, expected) = *paces[0];
            let mean = expected as f64 / 1000.0;
            let above = mean * (1.0 + terms["above_pct"] as f64 / 100_000.0);
            let d = terms["dispersion"] as f64 / 1000.0;
            let z = terms["sigmas"] as f64 / 1000.0;
            let skew = (2.0 * d - 1.0) * (z * z - 1.0).max(0.0) / 6.0;
            let chance = mean + z * (d * mean).sqrt() + skew;
            let most = above.max(chance).floor() as i64;
            (arrived > most).then_some((arrived, most, 0, 0))
        });
        alarms.extend(found.into_iter().map(|(stretch, _)| stretch));
    }
    alarms
}
