//! The feed between the center and us: late, out of order, twice.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use highwater_dataflow::EventTime;
use highwater_model::{Envelope, Event, EventKey, encode};

use super::config::{MINUTE, SECOND, SimConfig};
use super::random::Chance;
use crate::intake::Intake;

/// Which partition of the feed an event travels on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Agents and contacts, as the ACD tells them.
    Acd,
    /// Snapshots of queues.
    Queues,
    /// Reference data: profiles, schedules, forecasts.
    Wfm,
}

impl Lane {
    pub(super) const NAMES: [&str; 3] = ["sim-acd", "sim-queues", "sim-wfm"];
}

/// What the feed did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Distinct events.
    pub events: u64,
    /// Second deliveries.
    pub duplicates: u64,
    pub out_of_order: u64,
    pub late: u64,
}

/// Events on their way, per lane.
///
/// State: what is delayed, at most half an hour's worth of events, a small share of them all.
pub(super) struct Delivery {
    chance: Chance,
    duplicates: f64,
    out_of_order: f64,
    late: f64,
    /// Start of every event id; one simulation's ids are not another's.
    prefix: String,
    lanes: [LaneState; 3],
    /// Copies sent so far: breaks ties of arrival.
    sent: u64,
    pub(super) tally: Tally,
}

#[derive(Default)]
struct LaneState {
    under_way: BinaryHeap<Parcel>,
    /// Copies handed over, before the restart too.
    position: u64,
    /// Copies that were handed over before the restart.
    skip_to: u64,
}

struct Parcel {
    arrives_at: EventTime,
    order: u64,
    /// Number of the event, its identity.
    number: u64,
    at: EventTime,
    event: Event,
}

impl Delivery {
    pub(super) fn new(config: &SimConfig, resume: &[Option<u64>]) -> Self {
        let mut lanes: [LaneState; 3] = Default::default();
        for (lane, resume) in lanes.iter_mut().zip(resume) {
            lane.skip_to = resume.unwrap_or(0);
        }
        Self {
            chance: Chance::new(config.seed, &[6]),
            duplicates: config.duplicates,
            out_of_order: config.out_of_order,
            late: config.late,
            prefix: format!("sim-{:x}-{:x}-", config.seed, config.midnight_at / MINUTE),
            lanes,
            sent: 0,
            tally: Tally::default(),
        }
    }

    /// Sends an event that happened at `at`, now being `now`.
    pub(super) fn send(&mut self, lane: Lane, now: EventTime, at: EventTime, event: Event) {
        self.tally.events += 1;
        let number = self.tally.events;
        let fate = self.chance.unit();
        let delay = if lane == Lane::Wfm {
            // The planner's system sends files, in order.
            0
        } else if fate < self.late {
            self.tally.late += 1;
            self.chance.between(2 * MINUTE, 20 * MINUTE)
        } else if fate < self.late + self.out_of_order {
            self.tally.out_of_order += 1;
            self.chance.between(1, 30 * SECOND)
        } else {
            0
        };
        let arrives_at = now + delay;
        if self.chance.happens(self.duplicates) {
            self.tally.duplicates += 1;
            // Most senders retry within a minute, some come back much later.
            let again = if self.chance.happens(0.1) { 10 * MINUTE } else { MINUTE };
            let arrives_at = arrives_at + self.chance.between(0, again);
            self.push(lane, Parcel { arrives_at, order: 0, number, at, event: event.clone() });
        }
        self.push(lane, Parcel { arrives_at, order: 0, number, at, event });
    }

    fn push(&mut self, lane: Lane, parcel: Parcel) {
        self.sent += 1;
        self.lanes[lane as usize].under_way.push(Parcel { order: self.sent, ..parcel });
    }

    /// When the next copy arrives on any lane, and on which.
    pub(super) fn next(&self) -> Option<(EventTime, usize)> {
        let tops = self.lanes.iter().enumerate();
        tops.filter_map(|(index, lane)| Some((lane.under_way.peek()?.arrives_at, index)))
            // Of what comes at the same instant, reference data first.
            .min_by_key(|(arrives_at, index)| (*arrives_at, usize::MAX - index))
    }

    /// Takes what has arrived on a lane by `until`, at most `limit`; returns when the last of it did.
    pub(super) fn take(
        &mut self,
        lane: usize,
        until: EventTime,
        limit: usize,
        out: &mut Vec<Intake>,
    ) -> Option<EventTime> {
        let lane = &mut self.lanes[lane];
        let mut last = None;
        let mut taken = 0;
        while taken < limit
            && lane.under_way.peek().is_some_and(|parcel| parcel.arrives_at <= until)
        {
            let Some(parcel) = lane.under_way.pop() else { break };
            lane.position += 1;
            taken += 1;
            last = Some(parcel.arrives_at);
            let id = format!("{}{}", self.prefix, parcel.number);
            let envelope =
                Envelope { seq: 0, key: EventKey::default(), at: parcel.at, event: parcel.event };
            out.push(Intake::native(encode(&envelope, &id).into_bytes(), lane.position));
        }
        last
    }

    /// Drops what has arrived by `until` and was handed over before the restart; true once that is all of it.
    pub(super) fn skip(&mut self, until: EventTime) -> bool {
        let mut all = true;
        for lane in &mut self.lanes {
            while lane.position < lane.skip_to
                && lane.under_way.peek().is_some_and(|parcel| parcel.arrives_at <= until)
            {
                lane.under_way.pop();
                lane.position += 1;
            }
            all &= lane.skip_to <= lane.position;
        }
        all
    }

    pub(super) fn position(&self, lane: usize) -> u64 {
        self.lanes.get(lane).map_or(0, |lane| lane.position)
    }

    /// Events on their way.
    pub(super) fn under_way(&self) -> usize {
        self.lanes.iter().map(|lane| lane.under_way.len()).sum()
    }
}

impl Ord for Parcel {
    /// Reversed, so that the heap's greatest is the first to arrive.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.arrives_at, other.order).cmp(&(self.arrives_at, self.order))
    }
}
impl PartialOrd for Parcel {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Parcel {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Parcel {}
