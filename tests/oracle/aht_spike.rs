//! AHT spike: every rolling window's mean handle time against the sorted means of the periods before it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use highwater_dataflow::{EventTime, FOREVER};
use highwater_model::{Envelope, Event};
use highwater_queries::Settings;

use super::alarms::{Book, Level, Stretch};

/// Sum and number of handle times, their usual mean, and the number of periods that is of.
type Compared = (i64, i64, i64, i64);

pub(crate) fn alarms(
    known: &[Envelope],
    watermark: EventTime,
    settings: &Settings,
) -> Vec<Stretch> {
    let book = Book::of("aht_spike", known, settings);
    let configured = settings.rules.get("aht_spike").and_then(|r| r.parameters.get("min_contacts"));
    let enough = configured.map_or(5, |least| *least as i64);
    let mut alarms = Vec::new();
    for (queue, completions) in completions(known) {
        let levels = levels(&completions, watermark, settings, enough);
        let found = book.alarms(&queue, &[], &levels, watermark, |terms, levels| {
            let (sum, count, usual, periods) = *levels[0];
            let above = (usual as f64 * (terms["above_pct"] as f64 / 100_000.0)).floor() as i64;
            let limit = usual + above;
            let spikes = count * 1000 >= terms["min_contacts"]
                && periods * 1000 >= terms["history_min"]
                && sum > limit * count;
            spikes.then_some((sum / count / 1000, limit / 1000, terms["lasting_s"], 0))
        });
        alarms.extend(found.into_iter().map(|(stretch, _)| stretch));
    }
    alarms
}

/// Instant, handle time and journal position of each contact's last completion, by queue.
fn completions(known: &[Envelope]) -> BTreeMap<String, Vec<(i64, i64, u64)>> {
    let mut last = BTreeMap::new();
    for envelope in known {
        let Event::ContactComplete(e) = &envelope.event else { continue };
        let this = (envelope.at, e.handle_ms, e.wait_ms, Reverse(envelope.seq));
        let held = last.entry((e.queue.to_string(), e.contact.to_string())).or_insert(this);
        *held = this.max(*held);
    }
    let mut queues: BTreeMap<String, Vec<(i64, i64, u64)>> = BTreeMap::new();
    for ((queue, _), (at, handle, _, seq)) in last {
        queues.entry(queue).or_default().push((at, handle, seq.0));
    }
    queues
}

fn levels(
    completions: &[(i64, i64, u64)],
    watermark: EventTime,
    settings: &Settings,
    enough: i64,
) -> Vec<Level<Compared>> {
    let (size, step) = (settings.rolling_s * 1000, settings.rolling_every_s * 1000);
    let back = settings.aht_history_s.unwrap_or(settings.correction_s) * 1000;
    // A new history every 24th of it, in whole periods.
    let every = (back / (24 * size) * size).max(size);
    let back = (back - back % every).max(every);
    let window = |start: i64| {
        let held = completions.iter().filter(|(at, ..)| (start..start + size).contains(at));
        let (mut sum, mut count, mut newest) = (0, 0, 0);
        for (_, handle, seq) in held {
            sum += handle;
            count += 1;
            newest = newest.max(*seq);
        }
        (sum, count, newest)
    };
    let mut starts = BTreeSet::new();
    for (at, ..) in completions {
        let last = at.div_euclid(step) * step;
        starts.extend((0..size / step).map(|n| last - n * step));
    }
    let mut levels = Vec::new();
    for start in starts {
        let (from, over) = (start + size, start + size + step);
        if from > watermark {
            continue;
        }
        let until = start.div_euclid(every) * every;
        let periods = (1..=back / size).map(|n| window(until - n * size));
        let mut means: Vec<i64> =
            periods.filter(|p| p.1 >= enough).map(|(sum, count, _)| sum / count).collect();
        means.sort_unstable();
        if means.is_empty() {
            continue;
        }
        let usual = rounded_up(means[(means.len() * 95).div_ceil(100) - 1]);
        let (sum, count, seq) = window(start);
        let value = (sum, count, usual, means.len() as i64);
        levels.push(Level { from, to: if over <= watermark { over } else { FOREVER }, value, seq });
    }
    levels
}

/// The last number with the same eight leading binary digits.
fn rounded_up(value: i64) -> i64 {
    let mut width = 1;
    while value / width >= 256 {
        width *= 2;
    }
    (value / width + 1) * width - 1
}
