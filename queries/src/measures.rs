//! Queue measures: sums that ride in the difference, and the figures derived from them.
//!
//! Every contact event counts in the interval of its own event time (attribution "event", as Genesys does): an arrival
//! at 7:28 answered at 7:32 is offered in 7:15 and answered in 7:30.

use highwater_dataflow::window::Group;
use highwater_model::QueueProfile;
use serde::{Deserialize, Serialize};

use crate::contacts::Outcome;

/// Counts and sums of one queue over some stretch of event time.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Measures {
    /// Contacts that arrived, those that gave up in the voice menu included.
    pub arrivals: i64,
    /// Arrivals that were offered to agents.
    pub offered: i64,
    pub answered: i64,
    pub answered_in_time: i64,
    /// Gave up in queue.
    pub abandoned: i64,
    pub abandoned_in_time: i64,
    /// Gave up within the short-abandon limit.
    pub abandoned_short: i64,
    /// Waiting time of the answered, ms.
    pub wait_ms: i64,
    pub completed: i64,
    /// Handling time of the completed, ms.
    pub handle_ms: i64,
    /// Arrived here and not finished yet.
    pub in_progress: i64,
    /// An opening interval that shows even without contacts.
    pub spine: i64,
}

impl Group for Measures {
    fn zero() -> Self {
        Measures::default()
    }

    fn add(&mut self, other: &Self, times: isize) {
        self.arrivals += other.arrivals * times as i64;
        self.offered += other.offered * times as i64;
        self.answered += other.answered * times as i64;
        self.answered_in_time += other.answered_in_time * times as i64;
        self.abandoned += other.abandoned * times as i64;
        self.abandoned_in_time += other.abandoned_in_time * times as i64;
        self.abandoned_short += other.abandoned_short * times as i64;
        self.wait_ms += other.wait_ms * times as i64;
        self.completed += other.completed * times as i64;
        self.handle_ms += other.handle_ms * times as i64;
        self.in_progress += other.in_progress * times as i64;
        self.spine += other.spine * times as i64;
    }
}

/// What a queue promised at some time: the limits that outcomes are held against, ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Promise {
    pub threshold_ms: i64,
    pub short_abandon_ms: i64,
}

impl Default for Promise {
    /// The common 20 seconds, and 5 for short abandons, where a queue has no profile.
    fn default() -> Self {
        Promise { threshold_ms: 20_000, short_abandon_ms: 5_000 }
    }
}

impl From<&QueueProfile> for Promise {
    fn from(profile: &QueueProfile) -> Self {
        Promise { threshold_ms: profile.threshold_ms, short_abandon_ms: profile.short_abandon_ms }
    }
}

impl Measures {
    /// One outcome, counted.
    pub fn of(outcome: &Outcome, promise: Promise) -> Self {
        let zero = Measures::default();
        match *outcome {
            Outcome::Arrived { offered, open } => {
                Measures { arrivals: 1, offered: offered.into(), in_progress: open.into(), ..zero }
            }
            Outcome::Answered { wait } => Measures {
                answered: 1,
                answered_in_time: (wait <= promise.threshold_ms).into(),
                wait_ms: wait,
                ..zero
            },
            Outcome::Abandoned { wait } => Measures {
                abandoned: 1,
                abandoned_in_time: (wait <= promise.threshold_ms).into(),
                abandoned_short: (wait <= promise.short_abandon_ms).into(),
                ..zero
            },
            Outcome::Completed { handle } => Measures { completed: 1, handle_ms: handle, ..zero },
            Outcome::Waiting | Outcome::InProgress => zero,
        }
    }

    /// Average speed of answer, ms; undefined without answers.
    pub fn asa_ms(&self) -> Option<f64> {
        ratio(self.wait_ms, self.answered)
    }

    /// Average handle time of the completed, ms; biased low while contacts are in progress.
    pub fn aht_ms(&self) -> Option<f64> {
        ratio(self.handle_ms, self.completed)
    }

    /// Answered in time of all offered: A_T / (A + B).
    pub fn sl_offered_pct(&self) -> Option<f64> {
        percent(self.answered_in_time, self.answered + self.abandoned)
    }

    /// Of the answered: A_T / A.
    pub fn sl_answered_pct(&self) -> Option<f64> {
        percent(self.answered_in_time, self.answered)
    }

    /// Left the queue in time, either way (Amazon Connect): (A_T + B_T) / (A + B).
    pub fn sl_connect_pct(&self) -> Option<f64> {
        percent(self.answered_in_time + self.abandoned_in_time, self.answered + self.abandoned)
    }

    /// Abandons within the threshold left out: A_T / (A + B - B_T).
    pub fn sl_excl_abandoned_pct(&self) -> Option<f64> {
        let base = self.answered + self.abandoned - self.abandoned_in_time;
        percent(self.answered_in_time, base)
    }

    /// Short abandons left out: A_T / (A + B - S).
    pub fn sl_excl_short_pct(&self) -> Option<f64> {
        let base = self.answered + self.abandoned - self.abandoned_short;
        percent(self.answered_in_time, base)
    }
}

fn ratio(sum: i64, count: i64) -> Option<f64> {
    (count > 0).then(|| sum as f64 / count as f64)
}

fn percent(part: i64, whole: i64) -> Option<f64> {
    ratio(part, whole).map(|share| share * 100.0)
}
