//! AHT spike: a queue's contacts take longer on average than they usually do, now.
//!
//! in   completions (Queue, handle time)   terms (Queue, Terms over time)
//! out  incidents, one per stretch of event time with too long an average; alerts follow them
//!
//! ```text
//! completions ─► rolling averages ─┬──────────────────────────► held against ─► alarms
//!                (as queue_rolling)└► periods ─► log buckets ─► usual (P95) ─┘
//! ```
//!
//! What is judged is the average handle time of a rolling window, when the watermark has passed the window's end. What is
//! usual is the 95th percentile of the same measure, an average against averages: those of the window-long periods that
//! tile the history, where enough contacts were completed. A percentile of single handle times would lie where hardly any
//! average ever comes. A window is held against the latest history that was over when the window began, so that a spike
//! is not part of what it is held against.

use highwater_dataflow::window::{
    Behavior, Max, Mean, Quantiles, Ratio, SlidingWindows, Trigger, over,
};
use highwater_dataflow::{Alerts, FOREVER, Finding, Millis, Point, Revision, Span, Table};
use highwater_model::{ContactId, Event, QueueId};

use crate::registry::Shared;
use crate::rule::{Definition, Parameter, Terms, incident, raise, terms};
use crate::settings::Settings;

pub const AHT_SPIKE: Definition = Definition {
    name: "aht_spike",
    scope: "queue",
    enabled: true,
    parameters: &[
        Parameter::count("min_contacts", 5, 1, "contacts that must have been completed"),
        Parameter::count("history_min", 20, 1, "periods the history must have"),
        Parameter::number("above_pct", 0, 0, "how far above the usual, percent"),
        Parameter::seconds("lasting_s", 0, "how long that must last"),
    ],
};
const MIN_CONTACTS: usize = 0;
const HISTORY_MIN: usize = 1;
const ABOVE_PCT: usize = 2;
const LASTING: usize = 3;

/// Binary digits that the buckets of the history keep: the percentile is told at most 1/128 too high.
const PRECISION: u32 = 7;

/// What is usual for a queue, and of how many periods that is: `(ms, periods)`.
type Usual = (i64, i64);

/// How far back a history reaches, and how often there is a new one, both ms and multiples of the rolling window.
fn history(settings: &Settings) -> (Millis, Millis) {
    let period = settings.rolling_s * 1000;
    let reach = settings.aht_history().max(period);
    let every = (reach / 24 / period).max(1) * period;
    (reach / every * every, every)
}

/// How far before the watermark a completion may lie that still bears on an alert, ms.
pub(crate) fn reach(settings: &Settings) -> Millis {
    let (reach, every) = history(settings);
    settings.correction() + reach + every + 2 * settings.rolling_s * 1000
}

/// State: a number per completion, an average per rolling window and buckets per history, of the last two correction
/// horizons, histories of one reach more.
pub fn aht_spike<'s>(shared: &Shared<'s>, settings: &Settings) -> Alerts<'s> {
    let horizon = shared.input.correction;
    let completions = completions(shared);
    let averages = averages(&completions, settings);
    let usual = usual(&averages, settings);
    let levels = averages
        .as_of_join("usual handle time", usual, 3 * horizon, |queue, _, average, usual| {
            let (end, aht, seq) = *average;
            let span = |usual: &Usual| Span { from: end, to: FOREVER, value: (aht, *usual), seq };
            usual.map(|usual| (queue.0.clone(), span(usual)))
        })
        .flat_map(|level| level)
        .lasts_at_most("handle time known", settings.rolling_every_s * 1000);
    let queues = levels.clone().keys("queues with a usual handle time");
    let told = terms(&AHT_SPIKE, settings, shared.rules.clone(), queues, None);
    let rows = levels.clone().map(|(queue, level)| (queue.clone(), (queue, level)));
    let found =
        levels.alarms("above the usual handle time", told.terms, horizon, |terms, levels| {
            let (aht, usual) = **levels.last()?;
            judge(terms, aht, usual)
        });
    let incidents = found.alarms.map(|(queue, alarm)| incident(queue, alarm, Vec::new()));
    // Words on completions of the window, or of the history it is held against: where the contact was, or is.
    let words = contact_words(shared)
        .map(|(contact, Point { at, seq, .. })| (contact, Revision { at, seq }));
    let records = completions
        .map(|(contact, Point { at, .. })| (contact.clone(), (contact.1, at)))
        .revised("completions revised", words, |place, _| Some(place.clone()))
        .map(|((queue, at), by)| (queue.0, Revision { at: at.min(by.at), seq: by.seq }));
    let revised = rows.revised("handle times revised", records, |(queue, level), by| {
        (by.at < level.from).then(|| queue.clone())
    });
    raise(&AHT_SPIKE, incidents, revised.concat(told.words), horizon)
}

/// Compares in ms, and tells whole seconds.
fn judge(terms: &Terms, aht: Ratio, (p95, periods): Usual) -> Option<Finding> {
    let limit = p95 + (p95 as f64 * (terms.milli(ABOVE_PCT) as f64 / 100_000.0)).floor() as i64;
    let known = aht.count >= terms.count(MIN_CONTACTS) && periods >= terms.count(HISTORY_MIN);
    (known && aht.sum > limit * aht.count).then(|| Finding {
        value: aht.sum / aht.count / 1000,
        threshold: limit / 1000,
        lasting: terms.milli(LASTING),
        kind: 0,
    })
}

/// A contact on a queue, and what was said of it: `(handle, wait)`, ms.
type Word = ((ContactId, QueueId), Point<(i64, Option<i64>)>);

fn contact_words<'s>(shared: &Shared<'s>) -> Table<'s, Word> {
    shared.input.contact_events().flat_map(|envelope| match envelope.event {
        Event::ContactComplete(e) => {
            let value = (e.handle_ms, e.wait_ms);
            Some(((e.contact, e.queue), Point { at: envelope.at, value, seq: envelope.seq }))
        }
        _ => None,
    })
}

/// The last word on each contact: that counts, as for every view of queues.
fn completions<'s>(shared: &Shared<'s>) -> Table<'s, Word> {
    let horizon = shared.input.correction;
    let over = move |_: &_, point: &Point<_>| point.at.saturating_add(horizon);
    contact_words(shared).latest_per_key_until("completions", over)
}

/// Of each rolling window that holds any completion, at its start: its end, their handle times, and the journal position
/// of the newest.
type Averages<'s> = Table<'s, (QueueId, (i64, (i64, Ratio, u64)))>;

fn averages<'s>(completions: &Table<'s, Word>, settings: &Settings) -> Averages<'s> {
    let horizon = settings.correction();
    let every = settings.rolling_every_s * 1000;
    completions
        .clone()
        .map(|((_, queue), Point { at, value: (handle, _), seq })| (queue, (at, (handle, seq))))
        .window_into(
            "rolling handle time",
            SlidingWindows::of(settings.rolling_s * 1000).every(every),
        )
        .trigger(Trigger::after_watermark().late(Trigger::repeatedly(Trigger::after_count(1))))
        .allowed_lateness(2 * horizon)
        .on_time_behavior(Behavior::FireIfNonEmpty)
        .aggregate((
            over(|(handle, _): &(i64, u64)| *handle, Mean),
            over(|(_, seq): &(i64, u64)| *seq, Max),
        ))
        .panes
        .flat_map(|(queue, pane)| {
            let (aht, newest) = pane.value;
            newest.map(|seq| (queue, (pane.window.start, (pane.window.end, aht, seq))))
        })
}

/// What was usual for each queue, from the end of one history to that of the next.
///
/// Enough contacts for a period are what is configured as `min_contacts`: that of everywhere, so that a word on the rule
/// does not rewrite the history.
fn usual<'s>(averages: &Averages<'s>, settings: &Settings) -> Table<'s, (QueueId, Span<Usual>)> {
    let period = settings.rolling_s * 1000;
    let enough = AHT_SPIKE.configured(settings).count(MIN_CONTACTS);
    let (reach, every) = history(settings);
    averages
        .clone()
        .filter(move |(_, (start, (_, aht, _)))| {
            start.rem_euclid(period) == 0 && aht.count >= enough
        })
        .map(|(queue, (start, (_, aht, _)))| (queue, (start, aht.sum / aht.count)))
        .window_into("usual handle time", SlidingWindows::of(reach).every(every))
        .trigger(Trigger::after_watermark().late(Trigger::repeatedly(Trigger::after_count(1))))
        // As long as a window at its very start may be corrected, which is while a completion in that one may.
        .allowed_lateness(2 * settings.correction() + period)
        .on_time_behavior(Behavior::FireIfNonEmpty)
        .aggregate(Quantiles::with_precision(PRECISION))
        .panes
        .flat_map(move |(queue, pane)| {
            let p95 = pane.value.quantile(0.95).map(highest)?;
            let (from, value) = (pane.window.end, (p95, pane.value.count()));
            Some((queue, Span { from, to: from.saturating_add(every), value, seq: 0 }))
        })
}

/// The greatest value of a bucket that is named by its lowest: what is in the bucket is not above it.
fn highest(bucket: i64) -> i64 {
    let digits = 64 - bucket.leading_zeros();
    bucket + (1 << digits.saturating_sub(PRECISION + 1)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_made_of_whole_periods() {
        let of = |correction_s, aht_history_s| {
            history(&Settings { aht_history_s, correction_s, ..Settings::default() })
        };
        assert_eq!(of(86_400, None), (86_400_000, 3_600_000));
        assert_eq!(of(1_999, None), (1_800_000, 300_000));
        assert_eq!(of(86_400, Some(7 * 86_400)), (7 * 86_400_000, 7 * 3_600_000));
        assert_eq!(of(86_400, Some(1)), (300_000, 300_000), "one period at least");
    }

    #[test]
    fn a_bucket_ends_where_the_next_begins() {
        assert_eq!((highest(0), highest(255), highest(256), highest(258)), (0, 255, 257, 259));
        assert_eq!(highest(239_616), 240_639);
    }
}
