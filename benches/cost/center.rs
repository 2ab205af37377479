//! A day of events, made by arithmetic: the same for both programs, whatever reads it.

use highwater_dataflow::{EventTime, Millis, Point, Span};
use serde::{Deserialize, Serialize};

pub(crate) const MINUTE: Millis = 60_000;
pub(crate) const HOUR: Millis = 60 * MINUTE;
/// How far back late events may change answers. The latest come 20 minutes late.
pub(crate) const HORIZON: Millis = HOUR;
/// Events may be out of order by so much without being late.
pub(crate) const DISORDER: Millis = 2_000;
pub(crate) const TEAM: u32 = 20;
pub(crate) const QUEUES: u32 = 40;
/// When the load begins; everybody's state and schedule are told from before.
pub(crate) const START: EventTime = HOUR;

pub(crate) const AVAILABLE: u8 = 0;
pub(crate) const ON_CALL: u8 = 1;
pub(crate) const AFTER_CALL: u8 = 2;
pub(crate) const BREAK: u8 = 3;
pub(crate) const ON_QUEUE: u8 = 10;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) id: u128,
    pub(crate) at: EventTime,
    pub(crate) seq: u64,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum What {
    /// Where an agent begins: schedule and first state follow from the number.
    Hire(u32),
    State(u32, u8),
    Arrival(u32),
    Complete(u32, i64),
}

/// Which events are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    States,
    Contacts,
}

/// An agent's day: on the queues with a quarter of an hour's break after two hours or so, `[from, to)`.
pub(crate) fn schedule(agent: u32) -> [Span<u8>; 3] {
    let pause = 2 * HOUR + i64::from(agent % 60) * MINUTE;
    let span = |from, to, value| Span { from, to, value, seq: u64::from(agent) };
    [
        span(0, pause, ON_QUEUE),
        span(pause, pause + 15 * MINUTE, BREAK),
        span(pause + 15 * MINUTE, 24 * HOUR, ON_QUEUE),
    ]
}

/// Everybody is available when the day begins.
pub(crate) fn first(agent: u32) -> Point<u8> {
    Point { at: 0, value: AVAILABLE, seq: u64::from(agent) }
}

/// Whether a state is not what the schedule says.
pub(crate) fn is_out(state: u8, activity: Option<u8>) -> bool {
    match activity {
        None => true,
        Some(BREAK) => state != BREAK,
        Some(_) => !matches!(state, AVAILABLE | ON_CALL | AFTER_CALL),
    }
}

/// The center's size, and how fast things happen in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Center {
    pub(crate) agents: u32,
    pub(crate) kind: Kind,
}

impl Center {
    /// The events that bring everybody in.
    pub(crate) fn hires(self) -> impl Iterator<Item = Event> {
        (0..self.agents).map(|agent| Event {
            id: u128::from(agent),
            at: 0,
            seq: u64::from(agent),
            what: What::Hire(agent),
        })
    }

    /// Events of event time a second: one per agent in 100 seconds.
    fn rate(self) -> i64 {
        i64::from(self.agents / 100).max(10)
    }

    /// When the event with this number comes.
    fn comes(self, nth: u64) -> EventTime {
        START + nth as i64 * 1_000 / self.rate()
    }

    /// The event with this number: one in a hundred is up to 20 minutes late, one in two hundred a repetition of the
    /// one before.
    pub(crate) fn event(self, nth: u64) -> Event {
        let first = if mix(nth ^ 0x5bd1).is_multiple_of(200) { nth.saturating_sub(1) } else { nth };
        let random = mix(first);
        let late =
            if random.is_multiple_of(100) { (random >> 8) as i64 % (20 * MINUTE) } else { 0 };
        let jitter = (random >> 40) as i64 % DISORDER;
        let pick = mix(random);
        let what = match self.kind {
            Kind::States => {
                let state = match pick % 100 {
                    0..40 => AVAILABLE,
                    40..75 => ON_CALL,
                    75..94 => AFTER_CALL,
                    _ => BREAK,
                };
                What::State((pick >> 8) as u32 % self.agents, state)
            }
            Kind::Contacts if pick.is_multiple_of(2) => What::Arrival((pick >> 8) as u32 % QUEUES),
            Kind::Contacts => {
                What::Complete((pick >> 8) as u32 % QUEUES, (pick >> 40) as i64 % 600_000)
            }
        };
        let id = (1 << 64) | u128::from(first);
        let at = (self.comes(first) - jitter - late).max(0);
        Event { id, at, seq: u64::from(self.agents) + nth, what }
    }

    /// The watermark once all events before this number have come.
    pub(crate) fn bound(self, nth: u64) -> EventTime {
        self.comes(nth) - DISORDER
    }
}

fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb).wrapping_add(0x9e37_79b9_7f4a_7c15);
    n ^ (n >> 31)
}

/// What rows amount to, however they came about: equal sums, equal tables, but for odds of one in 2^64.
pub(crate) fn weight(row: impl std::hash::Hash, diff: i64) -> u64 {
    use std::hash::Hasher;
    let mut hasher = rustc_hash::FxHasher::default();
    row.hash(&mut hasher);
    mix(hasher.finish()).wrapping_mul(diff as u64)
}
