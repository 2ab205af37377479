//! What is simulated: size, day, noise, and how badly the feed behaves.

use highwater_dataflow::{EventTime, Millis};
use serde::Deserialize;

use crate::source::SourceError;

pub(super) const SECOND: Millis = 1_000;
pub(super) const MINUTE: Millis = 60 * SECOND;
pub(super) const HOUR: Millis = 60 * MINUTE;
pub(super) const DAY: Millis = 24 * HOUR;
/// The grid of forecasts and of the volume curve.
pub(super) const INTERVAL: Millis = 15 * MINUTE;

/// A contact center. Equal configurations give equal events.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimConfig {
    pub agents: usize,
    /// `None`: one queue per 70 agents, 3 to 40.
    pub queues: Option<usize>,
    pub team_size: usize,
    pub sites: usize,
    pub seed: u64,
    /// The site's local midnight of the first day, ms UTC. History begins here.
    pub midnight_at: EventTime,
    /// The simulated instant of the first poll, ms UTC: everything that came before is handed over at once.
    pub start_at: EventTime,
    /// Agents and contacts are silent before this, ms UTC; then the state of the floor is told once. Profiles and
    /// schedules are complete all the same; forecasts begin with the interval in which the silence ends, so that what
    /// was expected is never held against contacts that were not told. `None`: the whole history since `midnight_at`.
    pub history_from: Option<EventTime>,
    /// Simulated time per time of the clock given to `poll`.
    pub speed: f64,
    /// Opening hours, minutes after the site's midnight.
    pub opens_min: i64,
    pub closes_min: i64,
    /// Share of the staffed time that the forecast expects to be spent on contacts.
    pub occupancy: f64,
    /// How far agents stray from their schedule; 1 is a common center, 0 a perfect one.
    pub adherence_noise: f64,
    /// Mean time between two teams that leave their queues together; 0: never.
    pub drift_every_ms: Millis,
    /// Schedule edits per agent and day; some reach three hours back.
    pub edits_per_agent: f64,
    /// Chance per queue and day of a volume surge.
    pub surges: f64,
    /// Chance per site and day that all its idle agents lose their connection and log in again.
    pub storms: f64,
    /// Time between two snapshots of a queue.
    pub snapshot_every_ms: Millis,
    /// Share of events that are delivered twice.
    pub duplicates: f64,
    /// Share of events that come up to 30 s after their time.
    pub out_of_order: f64,
    /// Share of events that come 2 to 20 min after their time.
    pub late: f64,
}

impl Default for SimConfig {
    fn default() -> Self {
        // Monday, 2026-03-02, 00:00 UTC; the center opens at 07:00.
        let midnight_at = 1_772_409_600_000;
        Self {
            agents: 1_000,
            queues: None,
            team_size: 20,
            sites: 4,
            seed: 1,
            midnight_at,
            start_at: midnight_at + 9 * HOUR + 40 * MINUTE,
            history_from: None,
            speed: 1.0,
            opens_min: 7 * 60,
            closes_min: 21 * 60,
            occupancy: 0.83,
            adherence_noise: 1.0,
            drift_every_ms: 25 * MINUTE,
            edits_per_agent: 0.05,
            surges: 0.15,
            storms: 0.1,
            snapshot_every_ms: 10 * SECOND,
            duplicates: 0.005,
            out_of_order: 0.05,
            late: 0.005,
        }
    }
}

impl SimConfig {
    /// Starts at `now` (ms UTC), which is `hour:minute` on the site's clock, give or take seven minutes: the site's
    /// midnight is put on a quarter of an hour so that intervals begin where everybody's do.
    pub fn starting_at(mut self, now: EventTime, hour: i64, minute: i64) -> Self {
        let midnight = now - hour * HOUR - minute * MINUTE;
        self.midnight_at = (midnight + INTERVAL / 2).div_euclid(INTERVAL) * INTERVAL;
        self.start_at = now;
        self
    }

    /// Tells the last `history` before the start, and what more makes the interval whole that it begins in.
    pub fn telling_the_last(mut self, history: Millis) -> Self {
        let from = self.start_at - history - self.midnight_at;
        self.history_from = Some(self.midnight_at + from.div_euclid(INTERVAL) * INTERVAL);
        self
    }

    /// A feed that delivers each event once, in order and on time.
    pub fn well_behaved(mut self) -> Self {
        (self.duplicates, self.out_of_order, self.late) = (0.0, 0.0, 0.0);
        self
    }

    pub(super) fn queue_count(&self) -> usize {
        self.queues.unwrap_or((self.agents / 70).clamp(3, 40))
    }

    pub(super) fn open_ms(&self) -> Millis {
        (self.closes_min - self.opens_min) * MINUTE
    }

    /// Refuses what cannot be simulated.
    pub(super) fn check(&self) -> Result<(), SourceError> {
        let shares = [self.duplicates, self.out_of_order, self.late, self.surges, self.storms];
        let complaint = if !(1..=200_000).contains(&self.agents) {
            "agents must be 1 to 200000"
        } else if !(1..=1_000).contains(&self.queue_count()) {
            "queues must be 1 to 1000"
        } else if self.team_size == 0 || self.sites == 0 {
            "team_size and sites must be at least 1"
        } else if self.opens_min < 0 || self.closes_min > 23 * 60 || self.open_ms() < 6 * HOUR {
            "opens_min and closes_min must be six hours apart or more, and closes_min at most 1380 (23:00)"
        } else if self.midnight_at.rem_euclid(MINUTE) != 0 || self.start_at < self.midnight_at {
            "midnight_at must be a whole minute, and start_at not before it"
        } else if !(0.01..=100_000.0).contains(&self.speed) {
            "speed must be 0.01 to 100000"
        } else if !(0.05..=2.0).contains(&self.occupancy) {
            "occupancy must be 0.05 to 2"
        } else if !(0.0..=10.0).contains(&self.adherence_noise)
            || !(0.0..=10.0).contains(&self.edits_per_agent)
        {
            "adherence_noise and edits_per_agent must be 0 to 10"
        } else if !shares.iter().all(|share| (0.0..=1.0).contains(share))
            || self.out_of_order + self.late > 1.0
        {
            "duplicates, out_of_order, late, surges and storms are shares of 0 to 1"
        } else if self.snapshot_every_ms < SECOND || self.drift_every_ms < 0 {
            "snapshot_every_ms must be at least 1000, drift_every_ms at least 0"
        } else {
            return Ok(());
        };
        Err(SourceError::Config(format!("simulation: {complaint}")))
    }
}
