//! The desk: what one queue knows of its days, and what it says when an interval ends.

use std::collections::{BTreeMap, BTreeSet};

use highwater_dataflow::{BEGINNING, EventTime, FOREVER, Millis, Timed};
use highwater_model::{Name, Opening, QueueId};
use serde::{Deserialize, Serialize};

use super::calendar::Calendar;
use super::day::{Actual, Base, Cut, Day, base};
use super::{Accuracy, Errors, Heard, Interval, Refresh, Spoken, Trigger};
use crate::forecast::{Factors, HandleTime, Method, Past, Today, factors, handle_time_factor};

/// Days that are kept: ninety to learn from, and the ten weeks that the first of them is compared with, less what
/// holidays leave out.
pub const HISTORY_DAYS: i64 = 140;

/// A queue that nothing was heard of for this long is not followed into the next day.
const SILENT: Millis = 14 * 86_400_000;

/// Follows the days of a queue.
///
/// State per queue: counts per interval of its last 140 days (and of the days ahead that forecasts were published for),
/// what all methods said at the full hours of days that may still be corrected, the rows shown of the day under way, and
/// one sum of errors per method and full hour. A day is settled, its forecast reduced to two numbers per interval, once
/// the watermark is the correction horizon past its end.
pub struct Desk {
    pub size: Millis,
    /// 1 where intervals are `(start, end]`: they are complete one millisecond later.
    pub right: Millis,
    pub correction: Millis,
}

#[derive(Default, Serialize, Deserialize)]
pub struct State {
    /// The latest profile's hours.
    hours: Option<(EventTime, Option<Opening>)>,
    days: BTreeMap<EventTime, Day>,
    /// The latest interval that contacts or forecasts were heard of; nothing is said before the first.
    heard_to: Option<EventTime>,
    /// Up to where interval ends have been acted on.
    told_to: Option<EventTime>,
    shown: BTreeMap<EventTime, Interval>,
    errors: BTreeMap<(i64, Method), Errors>,
    /// When surges began, and when they made refreshes: each instant once.
    surged: BTreeSet<EventTime>,
    /// What the epoch brought; empty between epochs.
    news: Vec<(Heard, i64)>,
}

#[cfg(test)]
impl State {
    pub(super) fn days(&self) -> usize {
        self.days.len()
    }
}

impl Timed<QueueId, Heard> for Desk {
    type State = State;
    type Out = Spoken;

    fn hear(&self, _: &QueueId, state: &mut State, row: &Heard, diff: isize) {
        state.news.push((row.clone(), diff as i64));
    }

    fn speak(
        &self,
        queue: &QueueId,
        state: &mut State,
        watermark: EventTime,
        out: &mut Vec<(Spoken, isize)>,
    ) -> EventTime {
        let calendar = self.calendar(state);
        let mut desk = AtWork {
            desk: self,
            queue,
            calendar,
            state,
            out,
            shown_before: None,
            errors_before: BTreeMap::new(),
        };
        let surges = desk.learn();
        let wake = match watermark {
            _ if desk.state.heard_to.is_none() => FOREVER,
            // An input that has ended says nothing about what follows it.
            FOREVER => FOREVER,
            // There is no time yet: at its first instant, whether more is heard by then or not.
            BEGINNING => BEGINNING + 1,
            _ => desk.advance(watermark - self.right, &surges),
        };
        desk.tell();
        wake
    }
}

impl Desk {
    fn calendar(&self, state: &State) -> Calendar {
        Calendar::new(state.hours.as_ref().and_then(|(_, opening)| opening.as_ref()), self.size)
    }
}

struct AtWork<'a> {
    desk: &'a Desk,
    queue: &'a QueueId,
    calendar: Calendar,
    state: &'a mut State,
    out: &'a mut Vec<(Spoken, isize)>,
    /// Rows and errors as they were before this epoch, of those it touches.
    shown_before: Option<BTreeMap<EventTime, Interval>>,
    errors_before: BTreeMap<(i64, Method), Option<Errors>>,
}

/// What a day is forecast from: the same at each of its intervals.
struct Ground {
    base: Base,
    past: Vec<Past>,
}

impl AtWork<'_> {
    /// Takes the epoch's news in, corrects errors that were counted, and returns the surges.
    fn learn(&mut self) -> Vec<(EventTime, Trigger)> {
        let news = std::mem::take(&mut self.state.news);
        let hours = news.iter().filter_map(|(heard, _)| match heard {
            Heard::Hours { at, opening } => Some((*at, opening.clone())),
            _ => None,
        });
        if let Some(latest) = hours.max().filter(|latest| self.state.hours.as_ref() < Some(latest))
        {
            let opening = latest.1.clone();
            let known = self.state.hours.replace(latest).and_then(|(_, opening)| opening);
            if opening != known {
                self.calendar = self.desk.calendar(self.state);
                self.divide_anew();
            }
        }
        let mut surges = Vec::new();
        let mut touched: BTreeMap<(EventTime, usize), Actual> = BTreeMap::new();
        for (heard, diff) in news {
            let (start, change) = match heard {
                Heard::Offered { start } => (start, Actual { offered: diff, ..Actual::default() }),
                Heard::Completed { start, handle } => {
                    (start, Actual { offered: 0, completed: diff, handle_ms: diff * handle })
                }
                Heard::Forecast(piece) if diff > 0 && piece.start < piece.end => {
                    self.state.heard_to = self.state.heard_to.max(Some(piece.start));
                    let day = self.day(piece.start.div_euclid(self.desk.size) * self.desk.size);
                    if day.settled.is_none() {
                        let held = day.pieces.entry(piece.start).or_insert(piece);
                        *held = piece.max(*held);
                    }
                    continue;
                }
                Heard::Trigger { at, trigger } if diff > 0 => {
                    surges.push((at, trigger));
                    continue;
                }
                _ => continue,
            };
            self.state.heard_to = self.state.heard_to.max(Some(start));
            let size = self.desk.size;
            let day = self.day(start);
            let n = ((start - day.start) / size) as usize;
            touched.entry((day.start, n)).or_insert(day.actual[n]);
            let actual = &mut day.actual[n];
            actual.offered += change.offered;
            actual.completed += change.completed;
            actual.handle_ms += change.handle_ms;
        }
        for ((start, n), before) in touched {
            let day = &self.state.days[&start];
            let after = day.actual[n];
            if n < day.closed && before.offered != after.offered {
                self.judge(start, n, before, -1);
                self.judge(start, n, after, 1);
            }
        }
        surges.sort_unstable();
        surges.dedup();
        surges
    }

    /// The day that the interval starting at `start` belongs to.
    fn day(&mut self, start: EventTime) -> &mut Day {
        let known = self.state.days.range(..=start).next_back();
        let key = match known {
            Some((key, day)) if start < day.end => *key,
            _ => {
                let bounds = self.calendar.day(start);
                let day = Day::new(bounds, &self.calendar, self.desk.size);
                self.state.days.insert(bounds.start, day);
                bounds.start
            }
        };
        self.state.days.get_mut(&key).expect("it is there or was just put there")
    }

    /// The queue's clock is another: days are cut anew. Days that change lose what was issued of them.
    fn divide_anew(&mut self) {
        let size = self.desk.size;
        for (_, old) in std::mem::take(&mut self.state.days) {
            let bounds = self.calendar.day(old.start);
            if (bounds.start, bounds.end) == (old.start, old.end) {
                let same = self.day(old.start);
                same.cuts.clone_from(&old.cuts);
                same.settled.clone_from(&old.settled);
                same.closed = old.closed;
            }
            for (n, actual) in old.actual.iter().enumerate() {
                if *actual != Actual::default() {
                    let start = old.start + n as i64 * size;
                    let day = self.day(start);
                    let n = ((start - day.start) / size) as usize;
                    day.actual[n] = *actual;
                }
            }
            for (start, piece) in old.pieces {
                self.day(start.div_euclid(size) * size).pieces.insert(start, piece);
            }
        }
    }

    /// Acts on every interval's end up to `reach`, then on the surges; returns when to be asked again.
    fn advance(&mut self, reach: EventTime, surges: &[(EventTime, Trigger)]) -> EventTime {
        let size = self.desk.size;
        if !self.silent(reach) {
            self.day(reach.div_euclid(size) * size);
        }
        let from = self.state.told_to;
        let days: Vec<EventTime> = self
            .state
            .days
            .values()
            .filter(|day| from.is_none_or(|from| from < day.end) && day.start <= reach)
            .map(|day| day.start)
            .collect();
        for start in days {
            let ground = self.ground(start);
            let intervals = self.state.days[&start].slots.len();
            let first = from.map_or(0, |from| (from - start).div_euclid(size) + 1).max(0) as usize;
            for n in first..=intervals {
                let at = start + n as i64 * size;
                if reach < at {
                    break;
                }
                self.close(start, n, ground.as_ref());
            }
        }
        self.state.told_to = Some(reach.max(from.unwrap_or(reach)));
        let now = self.state.told_to.unwrap_or(reach);
        for (began, trigger) in surges {
            // One that is seen late refreshes what is ahead now, and several of them do so once.
            let at = now.max(*began);
            let surged = &mut self.state.surged;
            if surged.insert(*began) && (at == *began || surged.insert(at)) {
                self.surge(at, *trigger);
            }
        }
        self.forget(now);
        self.next(now)
    }

    /// `n` intervals of the day are over.
    fn close(&mut self, start: EventTime, n: usize, ground: Option<&Ground>) {
        let at = start + n as i64 * self.desk.size;
        for over in self.state.days[&start].closed..n {
            self.judge(start, over, self.state.days[&start].actual[over], 1);
        }
        let day = self.state.days.get_mut(&start).expect("a day being worked on is known");
        day.closed = day.closed.max(n);
        let Some(ground) = ground else { return };
        let factors = self.refresh(start, n, 0.0, at, ground);
        let minutes = self.desk.size / 60_000;
        self.issue(start, n, at, &format!("scheduled_{minutes}min"), ground, &factors);
        let minute = self.calendar.minute(at);
        let day = self.state.days.get_mut(&start).expect("a day being worked on is known");
        if minute % 60 == 0 && n < day.slots.len() {
            let base_milli = ground.base.iter().map(|(volume, _)| milli(*volume)).collect();
            day.cuts.push(Cut { minute, first: n, base_milli, factors: factors.by_method });
        }
    }

    /// A surge is seen: the interval under way counts by its share.
    fn surge(&mut self, at: EventTime, trigger: Trigger) {
        let size = self.desk.size;
        let start = self.day(at.div_euclid(size) * size).start;
        let Some(ground) = self.ground(start) else { return };
        let n = (at - start).div_euclid(size);
        let elapsed = (at - start - n * size) as f64 / size as f64;
        let factors = self.refresh(start, n as usize, elapsed, at, &ground);
        self.issue(start, n as usize, at, trigger.as_str(), &ground, &factors);
    }

    /// What the day starting at `start` is forecast from; `None` without a base.
    fn ground(&self, start: EventTime) -> Option<Ground> {
        let (size, slots) = (self.desk.size, self.calendar.slots());
        let days = &self.state.days;
        let today = &days[&start];
        let by_date: BTreeMap<i64, &Day> =
            days.range(..=start).map(|(_, day)| (day.date, day)).collect();
        let base_of = |day: &Day| base(day, &by_date, slots, size);
        let today_base = base_of(today)?;
        let mut past: Vec<Past> = Vec::new();
        for (_, day) in days.range(..start).rev().filter(|(_, day)| day.came()) {
            let Some(base) = base_of(day) else { continue };
            let base = day.by_slot(slots, |n| base[n].0);
            let actual = day.by_slot(slots, |n| day.actual[n].offered as f64);
            let of_today = |values: &[f64]| {
                today.slots.iter().map(|slot| values[*slot as usize]).collect::<Vec<f64>>()
            };
            past.push(Past { base: of_today(&base), actual: of_today(&actual) });
            if past.len() == 90 {
                break;
            }
        }
        past.reverse();
        Some(Ground { base: today_base, past })
    }

    /// Forecasts the rest of the day and restates its rows.
    fn refresh(
        &mut self,
        start: EventTime,
        n: usize,
        elapsed: f64,
        at: EventTime,
        ground: &Ground,
    ) -> Factors {
        let size = self.desk.size;
        let day = &self.state.days[&start];
        let volumes: Vec<f64> = ground.base.iter().map(|(volume, _)| *volume).collect();
        let actual: Vec<f64> = day.actual.iter().map(|actual| actual.offered as f64).collect();
        let today = Today { base: &volumes, actual: &actual, cut: n, elapsed };
        let hour = 3_600_000.0 / size as f64;
        let factors = factors(&ground.past, today, hour);
        let factor = factors.of(factors.default);
        let handle_times: Vec<f64> = ground.base[..n].iter().map(|(_, aht)| *aht).collect();
        let handled: Vec<HandleTime> = day.actual[..n]
            .iter()
            .map(|a| HandleTime { completed: a.completed as f64, handle_ms: a.handle_ms as f64 })
            .collect();
        let handle_factor = handle_time_factor(&handle_times, &handled);

        let before = std::mem::take(&mut self.state.shown);
        if self.shown_before.is_none() {
            self.shown_before = Some(before.clone());
        }
        for (nth, ((volume, aht), actual)) in ground.base.iter().zip(&day.actual).enumerate() {
            let interval = start + nth as i64 * size;
            let over = nth < n;
            if *volume <= 0.0 && !(over && actual.offered > 0) {
                continue;
            }
            let known_aht = (*aht > 0.0).then_some(*aht);
            let issued = before.get(&interval);
            let so_far = if nth == n && elapsed > 0.0 { actual.offered as f64 } else { 0.0 };
            let share = if nth == n { 1.0 - elapsed } else { 1.0 };
            let row = Interval {
                queue: self.queue.clone(),
                start: interval,
                end: interval + size,
                forecast_milli: milli(*volume),
                forecast_aht_ms: known_aht.map(|aht| aht.round() as i64),
                actual: over.then_some(actual.offered),
                actual_aht_ms: (over && actual.completed > 0)
                    .then(|| (actual.handle_ms as f64 / actual.completed as f64).round() as i64),
                reforecast_milli: if over {
                    issued.and_then(|row| row.reforecast_milli)
                } else {
                    Some(milli(so_far + volume * share * factor))
                },
                reforecast_aht_ms: if over {
                    issued.and_then(|row| row.reforecast_aht_ms)
                } else {
                    known_aht.map(|aht| (aht * handle_factor).round() as i64)
                },
                method: factors.default,
                refreshed_at: at,
            };
            self.state.shown.insert(interval, row);
        }
        factors
    }

    /// Publishes a refresh, if there is anything left of the day.
    fn issue(
        &mut self,
        start: EventTime,
        n: usize,
        at: EventTime,
        trigger: &str,
        ground: &Ground,
        factors: &Factors,
    ) {
        let ahead = ground.base[n.min(ground.base.len())..].iter();
        let intervals_updated = ahead.filter(|(volume, _)| *volume > 0.0).count() as i64;
        if intervals_updated == 0 || self.state.days[&start].end <= at {
            return;
        }
        let factor = factors.of(factors.default);
        let refresh = Refresh {
            queue: self.queue.clone(),
            at,
            trigger: Name::from(trigger),
            method: factors.default,
            intervals_updated,
            volume_change_mpct: ((factor - 1.0) * 100_000.0).round() as i64,
            confidence_ppm: (factors.confidence() * 1000.0).round() as i64 * 1000,
        };
        self.out.push((Spoken::Refresh(refresh), 1));
    }

    /// Drops and settles what is over.
    fn forget(&mut self, now: EventTime) {
        let today = self.calendar.day(now.div_euclid(self.desk.size) * self.desk.size).date;
        self.state.days.retain(|_, day| today - day.date <= HISTORY_DAYS);
        let size = self.desk.size;
        let final_to = now.saturating_sub(self.desk.correction);
        self.state.surged.retain(|at| final_to < *at);
        for (_, day) in self.state.days.range_mut(..now) {
            let kept = !day.cuts.is_empty() || !day.pieces.is_empty();
            if kept && day.end <= final_to {
                day.settled = day.forecast(size);
                day.pieces.clear();
                day.cuts.clear();
            }
        }
    }

    /// The watermark at which the next interval ends.
    fn next(&self, now: EventTime) -> EventTime {
        if self.silent(now) {
            return FOREVER;
        }
        let size = self.desk.size;
        ((now.div_euclid(size) + 1) * size).saturating_add(self.desk.right)
    }

    /// Nothing has been heard of the queue for so long that its days are not followed any more.
    fn silent(&self, now: EventTime) -> bool {
        self.state.heard_to.is_none_or(|heard| heard.saturating_add(SILENT) <= now)
    }

    /// What changed of rows and errors.
    fn tell(self) {
        let (shown, errors) = (&self.state.shown, &self.state.errors);
        if let Some(before) = self.shown_before.filter(|before| before != shown) {
            self.out.extend(before.into_values().map(|row| (Spoken::Row(row), -1)));
            self.out.extend(shown.values().map(|row| (Spoken::Row(row.clone()), 1)));
        }
        for ((cut_min, method), before) in self.errors_before {
            let after = errors.get(&(cut_min, method)).copied();
            if before == after {
                continue;
            }
            let queue = self.queue;
            let row = |errors| {
                Spoken::Accuracy(Accuracy { queue: queue.clone(), method, cut_min, errors })
            };
            self.out.extend(before.map(|errors| (row(errors), -1)));
            self.out.extend(after.map(|errors| (row(errors), 1)));
        }
    }

    /// Counts (or with -1 takes back) the errors of interval `n` of the day starting at `start`.
    fn judge(&mut self, start: EventTime, n: usize, actual: Actual, sign: i64) {
        let (errors, before) = (&mut self.state.errors, &mut self.errors_before);
        self.state.days[&start].judge(n, actual, sign, |minute, method, more| {
            let key = (minute, method);
            before.entry(key).or_insert_with(|| errors.get(&key).copied());
            let sum = errors.entry(key).or_default();
            sum.intervals += more.intervals;
            sum.absolute_milli += more.absolute_milli;
            sum.error_milli += more.error_milli;
            sum.actual_milli += more.actual_milli;
        });
    }
}

fn milli(volume: f64) -> i64 {
    (volume * 1000.0).round() as i64
}
