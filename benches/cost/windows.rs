//! Windows as plain programs: hash maps by window and queue.

use std::collections::BTreeMap;

use highwater_dataflow::{EventTime, FOREVER, Millis};
use rustc_hash::FxHashMap;

use crate::adherence::Door;
use crate::center::{Event, HORIZON, MINUTE, What, weight};

const INTERVAL: Millis = 15 * MINUTE;
const ROLLING: Millis = 5 * MINUTE;
const SLICE: Millis = MINUTE / 2;

/// 15-minute intervals: told when the watermark passes their end, corrected until they are final.
#[derive(Default)]
pub(crate) struct Intervals {
    door: Door,
    /// By start; `[volume, completed, handle time]` by queue.
    windows: BTreeMap<EventTime, FxHashMap<u32, [i64; 3]>>,
    watermark: EventTime,
    pub(crate) sum: u64,
}

impl Intervals {
    pub(crate) fn take(&mut self, event: &Event) {
        let (queue, add) = match event.what {
            What::Arrival(queue) => (queue, [1, 0, 0]),
            What::Complete(queue, handle) => (queue, [0, 1, handle]),
            What::Hire(_) | What::State(..) => return,
        };
        let start = event.at.div_euclid(INTERVAL) * INTERVAL;
        let end = start + INTERVAL;
        if end.saturating_add(HORIZON) <= self.watermark || !self.door.admits(event) {
            return;
        }
        let queues = self.windows.entry(start).or_default();
        let told = end <= self.watermark;
        let before = queues.get(&queue).copied();
        let sums = queues.entry(queue).or_default();
        sums.iter_mut().zip(add).for_each(|(sum, add)| *sum += add);
        if told {
            let gone = before.map_or(0, |sums| weight((queue, start, sums), -1));
            self.sum = self.sum.wrapping_add(gone).wrapping_add(weight((queue, start, *sums), 1));
        }
    }

    pub(crate) fn advance(&mut self, watermark: EventTime) {
        self.door.advance(watermark);
        let before = std::mem::replace(&mut self.watermark, watermark);
        let due = before.saturating_sub(INTERVAL).saturating_add(1);
        for (start, queues) in self.windows.range(due..) {
            if watermark < start + INTERVAL {
                break;
            }
            for (queue, sums) in queues {
                self.sum = self.sum.wrapping_add(weight((*queue, *start, *sums), 1));
            }
        }
        while self.windows.first_key_value().is_some_and(|(start, _)| {
            watermark == FOREVER || start + INTERVAL + HORIZON <= watermark
        }) {
            self.windows.pop_first();
        }
    }
}

/// Five minutes every thirty seconds, out of slices of thirty seconds.
#[derive(Default)]
pub(crate) struct Rolling {
    door: Door,
    /// Volume by start of the slice and queue.
    slices: BTreeMap<EventTime, FxHashMap<u32, i64>>,
    /// What was told of windows that may still be corrected, by start and queue.
    told: BTreeMap<EventTime, FxHashMap<u32, i64>>,
    watermark: EventTime,
    pub(crate) sum: u64,
}

impl Rolling {
    pub(crate) fn take(&mut self, event: &Event) {
        let What::Arrival(queue) = event.what else { return };
        if !self.door.admits(event) {
            return;
        }
        let slice = event.at.div_euclid(SLICE) * SLICE;
        *self.slices.entry(slice).or_default().entry(queue).or_default() += 1;
        let mut start = slice + SLICE - ROLLING;
        while start <= slice && start + ROLLING <= self.watermark {
            if self.watermark < start + ROLLING + HORIZON {
                let volume = self.told.entry(start).or_default().entry(queue).or_default();
                if *volume > 0 {
                    self.sum = self.sum.wrapping_add(weight((queue, start, *volume), -1));
                }
                *volume += 1;
                self.sum = self.sum.wrapping_add(weight((queue, start, *volume), 1));
            }
            start += SLICE;
        }
    }

    pub(crate) fn advance(&mut self, watermark: EventTime) {
        self.door.advance(watermark);
        let before = std::mem::replace(&mut self.watermark, watermark);
        let Some((last, _)) = self.slices.last_key_value() else { return };
        let Some((earliest, _)) = self.slices.first_key_value() else { return };
        let first = (before.saturating_sub(ROLLING).div_euclid(SLICE) + 1) * SLICE;
        let mut start = first.max(earliest + SLICE - ROLLING);
        while start <= *last && start + ROLLING <= watermark {
            let mut volumes: FxHashMap<u32, i64> = FxHashMap::default();
            for queues in self.slices.range(start..start + ROLLING).map(|(_, queues)| queues) {
                for (queue, volume) in queues {
                    *volumes.entry(*queue).or_default() += volume;
                }
            }
            for (queue, volume) in &volumes {
                self.sum = self.sum.wrapping_add(weight((*queue, start, *volume), 1));
            }
            self.told.insert(start, volumes);
            start += SLICE;
        }
        let over = watermark.saturating_sub(HORIZON + ROLLING);
        while self.told.first_key_value().is_some_and(|(start, _)| *start <= over) {
            self.told.pop_first();
        }
        // A slice is part of windows that begin up to a window's length before it.
        while self.slices.first_key_value().is_some_and(|(start, _)| *start <= over) {
            self.slices.pop_first();
        }
    }
}
