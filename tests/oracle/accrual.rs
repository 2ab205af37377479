//! Accrual: amounts per key and stretch of time, told on a beat, published when over, corrected until final.

use std::collections::{BTreeMap, BTreeSet};

use highwater_dataflow::{BEGINNING, EventTime, FOREVER};

/// What a key held in a stretch: `(end, amounts)` by key and start.
pub(crate) type Amounts<K, const N: usize> = BTreeMap<(K, EventTime), (EventTime, [i64; N])>;

/// What is remembered from epoch to epoch: what was published, and what is final.
pub(crate) struct Accruals<K, const N: usize> {
    every: i64,
    horizon: i64,
    reached: EventTime,
    over: bool,
    pub(crate) held: BTreeMap<(K, EventTime), Held<N>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Held<const N: usize> {
    pub(crate) end: EventTime,
    pub(crate) amounts: [i64; N],
    pub(crate) published: Option<[i64; N]>,
    pub(crate) status: &'static str,
}

/// A stretch that was over changed: `(key, start, end, before, after)`.
pub(crate) type Corrected<K, const N: usize> = (K, EventTime, EventTime, [i64; N], [i64; N]);

impl<K: Ord + Clone, const N: usize> Accruals<K, N> {
    pub(crate) fn new(every_s: i64, horizon_s: i64) -> Self {
        let (every, horizon) = (every_s * 1000, horizon_s * 1000);
        Accruals { every, horizon, reached: BEGINNING, over: false, held: BTreeMap::new() }
    }

    /// Takes in the watermark after an epoch and what `amounts` finds in the time before the beat; returns what was
    /// corrected.
    pub(crate) fn after(
        &mut self,
        watermark: EventTime,
        amounts: impl Fn(EventTime) -> Amounts<K, N>,
    ) -> Vec<Corrected<K, N>> {
        if self.over {
            return Vec::new();
        }
        let told = self.reached;
        self.over = watermark == FOREVER;
        if !self.over && watermark > BEGINNING {
            self.reached = told.max(watermark - watermark.rem_euclid(self.every));
        }
        let now = amounts(self.reached);
        let mut corrected = Vec::new();
        let places: BTreeSet<_> = self.held.keys().chain(now.keys()).cloned().collect();
        for place in places {
            let old = self.held.get(&place).copied();
            let end = old.map_or_else(|| now[&place].0, |old| old.end);
            if old.is_some_and(|old| old.status == "final") || end + self.horizon <= told {
                continue;
            }
            let amounts = now.get(&place).map_or([0; N], |(_, amounts)| *amounts);
            let mut held =
                old.unwrap_or(Held { end, amounts: [0; N], published: None, status: "open" });
            if end <= told {
                held.status = "closing";
                if held.amounts != amounts {
                    let (key, start) = place.clone();
                    corrected.push((key, start, end, held.amounts, amounts));
                }
            } else if end <= self.reached || self.over {
                held.status = "closing";
                held.published = Some(amounts).filter(|amounts| *amounts != [0; N]);
            }
            held.amounts = amounts;
            if end + self.horizon <= self.reached || self.over {
                held.status = "final";
            }
            self.held.insert(place, held);
        }
        self.held.retain(|_, held| held.amounts != [0; N] || held.published.is_some());
        corrected
    }
}

/// The day that holds `at` in one of the time zones of the simulated sites, which keep their clocks all year.
pub(crate) fn day(zone: &str, at: EventTime) -> (EventTime, EventTime) {
    let offset = offset(zone);
    let start = (at + offset).div_euclid(86_400_000) * 86_400_000 - offset;
    (start, start + 86_400_000)
}

/// The civil date of `at` there, counted from 1 January 2025.
pub(crate) fn date(zone: &str, at: EventTime) -> String {
    let mut days = (at + offset(zone)).div_euclid(86_400_000) - 20_089;
    for (month, length) in [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31].into_iter().enumerate()
    {
        if days < length {
            return format!("2025-{:02}-{:02}", month + 1, days + 1);
        }
        days -= length;
    }
    panic!("the simulated year is 2025")
}

fn offset(zone: &str) -> i64 {
    60_000
        * match zone {
            "UTC" => 0,
            "Etc/GMT+9" => -540,
            "Asia/Kathmandu" => 345,
            other => panic!("no simulated site is in {other}"),
        }
}
