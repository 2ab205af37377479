//! The watermark: the least that any partition still expects; the clock's word while nobody speaks.

use std::collections::BTreeMap;

use highwater_dataflow::{BEGINNING, EventTime, FOREVER, Signal};

pub(crate) struct Progress {
    pub(crate) watermark: EventTime,
    bounds: BTreeMap<u32, EventTime>,
    speaking: BTreeMap<u32, bool>,
    clock: EventTime,
}

impl Default for Progress {
    fn default() -> Self {
        Progress {
            watermark: BEGINNING,
            bounds: BTreeMap::new(),
            speaking: BTreeMap::new(),
            clock: BEGINNING,
        }
    }
}

impl Progress {
    pub(crate) fn hear(&mut self, signals: &[Signal]) {
        for signal in signals {
            match *signal {
                Signal::Bound { partition, bound } => {
                    let mine = self.bounds.entry(partition).or_insert(bound);
                    // One that had ended starts anew.
                    *mine = if *mine == FOREVER { bound } else { bound.max(*mine) };
                    self.speaking.insert(partition, true);
                }
                Signal::Idle { partition } => {
                    self.bounds.entry(partition).or_insert(BEGINNING);
                    self.speaking.insert(partition, false);
                }
                Signal::Clock { bound } => self.clock = self.clock.max(bound),
                Signal::Tick => {}
            }
        }
        let speaking: Vec<EventTime> = self
            .bounds
            .iter()
            .filter(|(partition, _)| self.speaking[partition])
            .map(|(_, &bound)| bound)
            .collect();
        let live = speaking.iter().copied().filter(|&bound| bound < FOREVER).min();
        let all_ended = !speaking.is_empty() && speaking.len() == self.bounds.len();
        let reached = match live {
            Some(least) => least,
            None if self.clock > BEGINNING => self.clock,
            None if all_ended => FOREVER,
            None => BEGINNING,
        };
        self.watermark = self.watermark.max(reached);
    }
}
