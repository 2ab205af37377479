//! Queue measures: sums that ride in the difference, the figures derived from them, and the columns that show them.
//!
//! Every row of measures counts at some instant, which [`crate::attribution`] decides. What a queue promised (threshold,
//! short-abandon limit, definition of its service level) is as of the outcome's own event time: changing a promise does
//! not rewrite the past.

use highwater_dataflow::view::{Column, Row, Value};
use highwater_dataflow::window::{Group, RowStatus, Window};
use highwater_model::{QueueId, QueueProfile, ServiceLevel};
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
    /// Waiting time of the answered, as far as it is known, ms.
    pub wait_ms: i64,
    /// Of the answered, those of which no event tells how long they waited.
    pub wait_unknown: i64,
    pub completed: i64,
    /// Handling time of the completed, ms: what the average is of.
    pub completed_ms: i64,
    /// Handling time, ms, by its own attribution; the same as `completed_ms` unless a deployment chose otherwise.
    pub handle_ms: i64,
    /// Arrived here and not finished yet.
    pub in_progress: i64,
    /// Agents' time on contacts of this queue, after-call work included, ms.
    pub busy_ms: i64,
    /// Time of agents who waited for contacts of this queue, ms.
    pub idle_ms: i64,
    /// Service level by the definitions that were chosen: the part and the whole.
    pub level_met: i64,
    pub level_of: i64,
    /// Outcomes by the definition that was chosen at their time.
    pub chosen: [i64; 5],
    /// An opening interval that shows even without contacts.
    pub spine: i64,
}

const _: () = assert!(ServiceLevel::ALL.len() == 5, "Measures::chosen counts every definition");

impl Group for Measures {
    fn zero() -> Self {
        Measures::default()
    }

    fn add(&mut self, other: &Self, times: isize) {
        let times = times as i64;
        self.arrivals += other.arrivals * times;
        self.offered += other.offered * times;
        self.answered += other.answered * times;
        self.answered_in_time += other.answered_in_time * times;
        self.abandoned += other.abandoned * times;
        self.abandoned_in_time += other.abandoned_in_time * times;
        self.abandoned_short += other.abandoned_short * times;
        self.wait_ms += other.wait_ms * times;
        self.wait_unknown += other.wait_unknown * times;
        self.completed += other.completed * times;
        self.completed_ms += other.completed_ms * times;
        self.handle_ms += other.handle_ms * times;
        self.in_progress += other.in_progress * times;
        self.busy_ms += other.busy_ms * times;
        self.idle_ms += other.idle_ms * times;
        self.level_met += other.level_met * times;
        self.level_of += other.level_of * times;
        self.spine += other.spine * times;
        for (mine, theirs) in self.chosen.iter_mut().zip(other.chosen) {
            *mine += theirs * times;
        }
    }
}

/// What a queue promised at some time: the limits that outcomes are held against, ms, and how they are reckoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Promise {
    pub threshold_ms: i64,
    pub short_abandon_ms: i64,
    pub definition: ServiceLevel,
}

impl Default for Promise {
    /// The common 20 seconds, and 5 for short abandons, where a queue has no profile.
    fn default() -> Self {
        let definition = ServiceLevel::Offered;
        Promise { threshold_ms: 20_000, short_abandon_ms: 5_000, definition }
    }
}

impl From<&QueueProfile> for Promise {
    fn from(profile: &QueueProfile) -> Self {
        Promise {
            threshold_ms: profile.threshold_ms,
            short_abandon_ms: profile.short_abandon_ms,
            definition: profile.service_level,
        }
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
            // In time or not, nobody knows: it has no part in any service level.
            Outcome::Answered { wait: None } => Measures { answered: 1, wait_unknown: 1, ..zero },
            Outcome::Answered { wait: Some(wait) } => Measures {
                answered: 1,
                answered_in_time: (wait <= promise.threshold_ms).into(),
                wait_ms: wait,
                ..zero
            }
            .judged(promise.definition),
            Outcome::Abandoned { wait } => Measures {
                abandoned: 1,
                abandoned_in_time: (wait <= promise.threshold_ms).into(),
                abandoned_short: (wait <= promise.short_abandon_ms).into(),
                ..zero
            }
            .judged(promise.definition),
            Outcome::Completed { handle } => {
                Measures { completed: 1, completed_ms: handle, handle_ms: handle, ..zero }
            }
            Outcome::Waiting | Outcome::InProgress => zero,
        }
    }

    /// With what it adds to the service level that its queue is held to.
    fn judged(self, definition: ServiceLevel) -> Self {
        let (level_met, level_of) = self.parts(definition);
        let mut chosen = [0; 5];
        chosen[definition as usize] = 1;
        Measures { level_met, level_of, chosen, ..self }
    }

    /// The part and the whole of a service level. Linear: those of a sum are the sums of those.
    ///
    /// Every definition asks of an answered contact whether it was in time. Where that is not known it counts in neither
    /// part nor whole: in the whole alone it would count as late, in both as in time.
    fn parts(&self, definition: ServiceLevel) -> (i64, i64) {
        let answered = self.answered - self.wait_unknown;
        let left = answered + self.abandoned;
        match definition {
            ServiceLevel::Offered => (self.answered_in_time, left),
            ServiceLevel::Answered => (self.answered_in_time, answered),
            ServiceLevel::Connect => (self.answered_in_time + self.abandoned_in_time, left),
            ServiceLevel::AbandonsWithinExcluded => {
                (self.answered_in_time, left - self.abandoned_in_time)
            }
            ServiceLevel::ShortAbandonsExcluded => {
                (self.answered_in_time, left - self.abandoned_short)
            }
        }
    }

    /// Service level by one of the definitions, percent; undefined of nothing.
    pub fn service_level_pct(&self, definition: ServiceLevel) -> Option<f64> {
        let (part, whole) = self.parts(definition);
        percent(part, whole)
    }

    /// Service level by the definition the queue is held to, percent.
    pub fn chosen_service_level_pct(&self) -> Option<f64> {
        percent(self.level_met, self.level_of)
    }

    /// The name of that definition; `mixed` where it was changed in between, `None` before anything counts in it.
    pub fn definition(&self) -> Option<&'static str> {
        let mut chosen = ServiceLevel::ALL.iter().filter(|level| self.chosen[**level as usize] > 0);
        let first = chosen.next()?;
        Some(if chosen.next().is_some() { "mixed" } else { first.name() })
    }

    /// Average speed of answer of those whose wait is known, ms; undefined without any.
    pub fn asa_ms(&self) -> Option<f64> {
        ratio(self.wait_ms, self.answered - self.wait_unknown)
    }

    /// Average handle time of the completed, ms; biased low while contacts are in progress.
    pub fn aht_ms(&self) -> Option<f64> {
        ratio(self.completed_ms, self.completed)
    }

    /// Of those that left the queue, the share that gave up, percent.
    pub fn abandon_pct(&self) -> Option<f64> {
        percent(self.abandoned, self.answered + self.abandoned)
    }

    /// Handling / (handling + idle), percent.
    pub fn occupancy_pct(&self) -> Option<f64> {
        percent(self.busy_ms, self.busy_ms + self.idle_ms)
    }

    /// Appends a value for each of [`COLUMNS`].
    pub fn cells(&self, row: &mut Row) {
        row.extend([
            Value::from(self.arrivals),
            self.offered.into(),
            self.answered.into(),
            self.abandoned.into(),
            self.in_progress.into(),
            self.completed.into(),
            self.aht_ms().into(),
            self.asa_ms().into(),
            self.abandon_pct().into(),
            self.occupancy_pct().into(),
            self.chosen_service_level_pct().into(),
            self.definition().into(),
        ]);
        row.extend(ServiceLevel::ALL.iter().map(|level| self.service_level_pct(*level).into()));
        row.extend([
            Value::from(self.answered_in_time),
            self.abandoned_in_time.into(),
            self.abandoned_short.into(),
            self.wait_ms.into(),
            self.wait_unknown.into(),
            self.handle_ms.into(),
            self.busy_ms.into(),
            self.idle_ms.into(),
        ]);
    }
}

/// Appends the cells of a row of queue measures over a window: which, over what time, the measures, how final they are.
pub(crate) fn window_cells(
    queue: &QueueId,
    window: Window,
    measures: &Measures,
    status: RowStatus,
    row: &mut Row,
) {
    row.extend([Value::from(queue.0.clone()), window.start.into(), window.end.into()]);
    measures.cells(row);
    row.push(status.as_str().into());
}

/// The columns of every view of queue measures, as [`Measures::cells`] fills them.
pub const COLUMNS: [Column; 25] = [
    Column::int("arrivals", "contacts that arrived, voice-menu hang-ups included"),
    Column::int("offered", "arrivals that were offered to agents"),
    Column::int("answered", "contacts answered"),
    Column::int("abandoned", "contacts that gave up in queue"),
    Column::int("in_progress", "arrived in this time and not finished yet"),
    Column::int("completed", "contacts finished"),
    Column::real(
        "aht_ms",
        "average handle time of the completed, ms; biased low while in_progress > 0",
    ),
    Column::real("asa_ms", "wait_ms / (answered - wait_unknown): average speed of answer, ms"),
    Column::real("abandon_pct", "abandoned / (answered + abandoned)"),
    Column::real(
        "occupancy_pct",
        "busy_ms / (busy_ms + idle_ms); spells that go on count up to the last interval that is over",
    ),
    Column::real("service_level_pct", "by the definition that the queue's profile chooses"),
    Column::text(
        "service_level_definition",
        "offered, answered, connect, abandons_within_excluded or short_abandons_excluded, as below; mixed where \
         it was changed within this time",
    ),
    Column::real(
        "sl_offered_pct",
        "answered in time / (answered + abandoned); here and in the next four, answered is without wait_unknown",
    ),
    Column::real("sl_answered_pct", "answered in time / answered"),
    Column::real("sl_connect_pct", "answered or abandoned in time / (answered + abandoned)"),
    Column::real(
        "sl_excl_abandoned_pct",
        "answered in time / (answered + abandoned later than the threshold)",
    ),
    Column::real("sl_excl_short_pct", "answered in time / (answered + abandoned - short abandons)"),
    Column::int("answered_in_time", "known to be answered within the queue's threshold"),
    Column::int("abandoned_in_time", "abandoned within the queue's threshold"),
    Column::int("abandoned_short", "abandoned within the short-abandon limit"),
    Column::int("wait_ms", "waiting time of the answered, as far as it is known, summed, ms"),
    Column::int(
        "wait_unknown",
        "of the answered, those of which no event tells how long they waited: in no service level, in no average",
    ),
    Column::int("handle_ms", "handling time, summed, ms; where it counts is queries.attribution"),
    Column::int("busy_ms", "agents' time on contacts of the queue, after-call work included, ms"),
    Column::int("idle_ms", "time of available agents who are skilled for the queue, ms"),
];

fn ratio(sum: i64, count: i64) -> Option<f64> {
    (count > 0).then(|| sum as f64 / count as f64)
}

fn percent(part: i64, whole: i64) -> Option<f64> {
    ratio(part, whole).map(|share| share * 100.0)
}
