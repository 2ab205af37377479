//! What a deployment may choose about the queries; times in seconds.

use highwater_dataflow::window::Closed;
use highwater_dataflow::{Horizons, Millis};
use serde::Deserialize;

use crate::attribution::{Attribute, Attribution};

/// The `[queries]` table of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Length of the interval of `queue_interval`, seconds. Default 900.
    pub interval_s: i64,
    /// Which end of an interval belongs to it: `left` is `[start, end)`, `right` is `(start, end]`. Default left.
    pub closed: ClosedSide,
    /// Length of the rolling window of `queue_rolling`, seconds. Default 300.
    pub rolling_s: i64,
    /// How often a rolling window starts, seconds. Default 30.
    pub rolling_every_s: i64,
    /// How long after its end an interval still takes late events, seconds. Default 7,200.
    pub allowed_lateness_s: i64,
    /// How far back corrections of states, schedules and contacts reach, seconds. Default 86,400.
    pub correction_s: i64,
    /// How long an event's identity is remembered, seconds. Default 604,800: senders retry for days.
    pub dedup_s: i64,
    /// Rows of `queue_interval` for intervals without contacts, within opening hours. Default true.
    pub empty_intervals: bool,
    /// In which interval contacts and their handling time count.
    pub attribution: Attribution,
    pub team_drift: DriftRule,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClosedSide {
    Left,
    Right,
}

impl From<ClosedSide> for Closed {
    fn from(side: ClosedSide) -> Self {
        match side {
            ClosedSide::Left => Closed::Left,
            ClosedSide::Right => Closed::Right,
        }
    }
}

/// The rule `team_drift`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DriftRule {
    pub enabled: bool,
    /// Agents of one team out of adherence at once. Default 3.
    pub agents_out_min: usize,
    /// How long that must last in event time before it is an alert, seconds. Default 0: at once.
    pub lasting_s: i64,
}

impl Default for DriftRule {
    fn default() -> Self {
        DriftRule { enabled: true, agents_out_min: 3, lasting_s: 0 }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            interval_s: 900,
            closed: ClosedSide::Left,
            rolling_s: 300,
            rolling_every_s: 30,
            allowed_lateness_s: 7_200,
            correction_s: 86_400,
            dedup_s: 604_800,
            empty_intervals: true,
            attribution: Attribution::default(),
            team_drift: DriftRule::default(),
        }
    }
}

impl Settings {
    pub fn interval(&self) -> Millis {
        self.interval_s * 1000
    }
    pub fn allowed_lateness(&self) -> Millis {
        self.allowed_lateness_s * 1000
    }
    /// The correction horizon that every stateful operator shares.
    pub fn correction(&self) -> Millis {
        self.correction_s * 1000
    }
    pub fn horizons(&self) -> Horizons {
        Horizons { dedup: self.dedup_s * 1000, correction: self.correction() }
    }

    /// What cannot work, told before anything starts.
    pub fn check(&self) -> Result<(), String> {
        let positive = [
            ("interval_s", self.interval_s),
            ("rolling_s", self.rolling_s),
            ("rolling_every_s", self.rolling_every_s),
            ("correction_s", self.correction_s),
            ("dedup_s", self.dedup_s),
        ];
        for (name, value) in positive {
            if value <= 0 {
                return Err(format!("queries.{name} is {value}; it must be at least 1 second"));
            }
        }
        if self.rolling_s % self.rolling_every_s != 0 {
            return Err(format!(
                "queries.rolling_s ({}) must be a multiple of queries.rolling_every_s ({})",
                self.rolling_s, self.rolling_every_s
            ));
        }
        if self.allowed_lateness_s < 0 || self.allowed_lateness_s > self.correction_s {
            return Err(format!(
                "queries.allowed_lateness_s ({}) must lie between 0 and queries.correction_s ({})",
                self.allowed_lateness_s, self.correction_s
            ));
        }
        if self.attribution.counts == Attribute::Prorated {
            return Err("queries.attribution.counts cannot be prorated: a contact counts once; \
                        choose event, offered or completed"
                .to_owned());
        }
        if self.team_drift.agents_out_min == 0 {
            return Err("queries.team_drift.agents_out_min must be at least 1".to_owned());
        }
        Ok(())
    }
}
