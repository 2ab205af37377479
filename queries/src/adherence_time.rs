//! Adherence in time: what every millisecond of an agent's history counts as, and the figures made of the sums.
//!
//! in   segments (Agent, Segment<Judged>)   placements (Agent, Placement over time)   grace
//! out  spans (Scope, Span<Counts>): once for the agent, once for the team and once for the site of the time
//!
//! Definitions after Genesys Cloud (adherence, with and without time outside the shift; conformance) and Amazon
//! Connect (adherence). Undefined stays undefined.

use highwater_dataflow::window::Group;
use highwater_dataflow::{Overlay, Span, Table};
use highwater_model::{AgentId, AgentState, Name};
use serde::{Deserialize, Serialize};

use crate::adherence::{Judged, Status};
use crate::input::Inputs;
use crate::placement::placements;
use crate::settings::{Grace, Settings};

/// Whom a row is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    pub kind: ScopeKind,
    pub id: Name,
    /// Whose midnight ends the day. Part of the identity: somebody who moves has a day in either zone.
    pub zone: Name,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ScopeKind {
    Agent,
    Team,
    Site,
}

impl ScopeKind {
    pub fn name(self) -> &'static str {
        match self {
            ScopeKind::Agent => "agent",
            ScopeKind::Team => "team",
            ScopeKind::Site => "site",
        }
    }
}

/// Available for contacts or handling one. A missed offer is neither.
pub fn working(state: AgentState) -> bool {
    use AgentState::{Acw, Available, Hold, OnCall, OnQueue};
    matches!(state, Available | OnCall | Hold | Acw | OnQueue)
}

/// Milliseconds of one scope, summed over its agents.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct TimeSums {
    pub in_ms: i64,
    /// Out of adherence, as far as it counts.
    pub out_ms: i64,
    /// Out of adherence within the grace.
    pub excused_ms: i64,
    pub neutral_ms: i64,
    pub ignored_ms: i64,
    pub unknown_ms: i64,
    /// Worked while nothing was scheduled.
    pub outside_ms: i64,
    pub on_queue_scheduled_ms: i64,
    pub on_queue_actual_ms: i64,
    pub connect_scheduled_ms: i64,
    pub connect_adherent_ms: i64,
}

impl Group for TimeSums {
    fn zero() -> Self {
        TimeSums::default()
    }

    fn add(&mut self, other: &Self, times: isize) {
        let times = times as i64;
        self.in_ms += other.in_ms * times;
        self.out_ms += other.out_ms * times;
        self.excused_ms += other.excused_ms * times;
        self.neutral_ms += other.neutral_ms * times;
        self.ignored_ms += other.ignored_ms * times;
        self.unknown_ms += other.unknown_ms * times;
        self.outside_ms += other.outside_ms * times;
        self.on_queue_scheduled_ms += other.on_queue_scheduled_ms * times;
        self.on_queue_actual_ms += other.on_queue_actual_ms * times;
        self.connect_scheduled_ms += other.connect_scheduled_ms * times;
        self.connect_adherent_ms += other.connect_adherent_ms * times;
    }
}

impl TimeSums {
    /// Everything within shifts.
    pub fn scheduled_ms(&self) -> i64 {
        self.judged_ms() + self.ignored_ms + self.unknown_ms
    }

    /// The adherence schedule: scheduled time that was judged. Ignored and unknown time speaks neither way.
    pub fn judged_ms(&self) -> i64 {
        self.in_ms + self.out_ms + self.excused_ms + self.neutral_ms
    }

    /// Genesys: 1 - exceptions / adherence schedule.
    pub fn adherence_pct(&self) -> Option<f64> {
        percent(self.judged_ms() - self.out_ms, self.judged_ms())
    }

    /// Genesys, working outside the shift counts: the time outside is added to exceptions and schedule.
    pub fn adherence_with_outside_pct(&self) -> Option<f64> {
        let base = self.judged_ms() + self.outside_ms;
        (self.judged_ms() > 0).then(|| percent(self.judged_ms() - self.out_ms, base))?
    }

    /// Amazon Connect: adherent / scheduled time; unscheduled time does not count.
    pub fn adherence_connect_pct(&self) -> Option<f64> {
        percent(self.connect_adherent_ms, self.connect_scheduled_ms)
    }

    /// Genesys: on queue in fact / on queue by schedule; may exceed 100.
    pub fn conformance_pct(&self) -> Option<f64> {
        percent(self.on_queue_actual_ms, self.on_queue_scheduled_ms)
    }
}

/// Undefined of nothing.
fn percent(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64 * 100.0)
}

/// What a millisecond counts as: one bit per sum.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Counts(u16);

impl Counts {
    const IN: Counts = Counts(1);
    const OUT: Counts = Counts(1 << 1);
    const EXCUSED: Counts = Counts(1 << 2);
    const NEUTRAL: Counts = Counts(1 << 3);
    const IGNORED: Counts = Counts(1 << 4);
    const UNKNOWN: Counts = Counts(1 << 5);
    const OUTSIDE: Counts = Counts(1 << 6);
    const QUEUE_SCHEDULED: Counts = Counts(1 << 7);
    const QUEUE_ACTUAL: Counts = Counts(1 << 8);
    const CONNECT_SCHEDULED: Counts = Counts(1 << 9);
    const CONNECT_ADHERENT: Counts = Counts(1 << 10);
    /// An exception that has outlasted the grace: what was excused counts after all.
    const NOT_EXCUSED: Counts = Counts(1 << 11);

    fn and(self, other: Counts, also: bool) -> Counts {
        if also { Counts(self.0 | other.0) } else { self }
    }

    fn has(self, other: Counts) -> i64 {
        i64::from(self.0 & other.0 != 0)
    }

    fn of(judged: &Judged) -> Counts {
        let working = working(judged.state);
        let status = match judged.status {
            Status::In => Counts::IN,
            Status::Out => Counts::OUT,
            Status::Neutral => Counts::NEUTRAL,
            Status::Ignored => Counts::IGNORED,
            Status::Unknown => Counts::UNKNOWN,
            Status::Unscheduled => Counts::default(),
        };
        let counts = status
            .and(Counts::OUTSIDE, working && judged.status == Status::Unscheduled)
            .and(Counts::QUEUE_ACTUAL, working);
        let Some(activity) = &judged.activity else { return counts };
        let queue = activity.state() == Some(AgentState::OnQueue);
        // Connect knows two kinds of activity and of agent state, and no mapping.
        let judgeable = judged.state != AgentState::Unknown && judged.status != Status::Ignored;
        let aside =
            !working && !matches!(judged.state, AgentState::Offline | AgentState::NotResponding);
        let adherent = if queue { working } else { aside };
        counts
            .and(Counts::QUEUE_SCHEDULED, queue)
            .and(Counts::CONNECT_SCHEDULED, judgeable)
            .and(Counts::CONNECT_ADHERENT, judgeable && adherent)
    }

    /// What a millisecond adds.
    pub fn rate(self) -> TimeSums {
        let late = self.has(Counts::NOT_EXCUSED);
        TimeSums {
            in_ms: self.has(Counts::IN),
            out_ms: self.has(Counts::OUT) + late,
            excused_ms: self.has(Counts::EXCUSED) - late,
            neutral_ms: self.has(Counts::NEUTRAL),
            ignored_ms: self.has(Counts::IGNORED),
            unknown_ms: self.has(Counts::UNKNOWN),
            outside_ms: self.has(Counts::OUTSIDE),
            on_queue_scheduled_ms: self.has(Counts::QUEUE_SCHEDULED),
            on_queue_actual_ms: self.has(Counts::QUEUE_ACTUAL),
            connect_scheduled_ms: self.has(Counts::CONNECT_SCHEDULED),
            connect_adherent_ms: self.has(Counts::CONNECT_ADHERENT),
        }
    }
}

/// What the time of every agent, team and site counts as; see the file's head.
pub(crate) fn adherence_time<'s>(
    input: &Inputs<'s>,
    adherence: &Overlay<'s, AgentId, Judged>,
    settings: &Settings,
) -> Table<'s, (Scope, Span<Counts>)> {
    let (horizon, grace) = (input.correction, settings.adherence.grace_s * 1000);
    let reading = settings.adherence.grace;
    let mut time = adherence.segments.clone().flat_map(move |(agent, segment)| {
        let counts = Counts::of(&segment.value);
        let span = |from, to, value| Span { from, to, value, seq: segment.seq };
        let out = segment.value.status == Status::Out && grace > 0;
        let excused = Counts(counts.0 & !Counts::OUT.0 | Counts::EXCUSED.0);
        let spans = match reading {
            _ if !out => [Some(span(segment.from, segment.to, counts)), None],
            Grace::Whole => [Some(span(segment.from, segment.to, excused)), None],
            Grace::Excess => {
                let end = (segment.since + grace).clamp(segment.from, segment.to);
                [Some(span(segment.from, end, excused)), Some(span(end, segment.to, counts))]
            }
        };
        let spans = spans.into_iter().flatten().filter(|span| span.from < span.to);
        spans.map(move |span| (agent.clone(), span)).collect::<Vec<_>>()
    });
    if grace > 0 && reading == Grace::Whole {
        let exceptions = adherence
            .segments
            .clone()
            .filter(|(_, segment)| segment.value.status == Status::Out)
            .map(|(agent, s)| (agent, Span { from: s.from, to: s.to, value: (), seq: s.seq }))
            .at_least("exceptions", 1, horizon)
            .map(|(agent, run)| {
                let span = Span { from: run.from, to: run.to, value: Counts::NOT_EXCUSED, seq: 0 };
                (agent, span)
            })
            // Longer than the grace, in whole milliseconds.
            .held_for("longer than the grace", grace + 1);
        time = time.concat(exceptions);
    }
    time.overlap_join(
        "placed adherence",
        placements(input, settings),
        horizon,
        |agent, counts, placement| (agent.0.clone(), *counts, placement.clone()),
    )
    .flat_map(|(_, span)| {
        let (agent, counts, placement) = span.value.clone();
        let scopes = [
            Some((ScopeKind::Agent, agent)),
            placement.team.map(|team| (ScopeKind::Team, team.0)),
            placement.site.map(|site| (ScopeKind::Site, site.0)),
        ];
        scopes.into_iter().flatten().map(move |(kind, id)| {
            let zone = placement.zone.clone();
            let (from, to, seq) = (span.from, span.to, span.seq);
            (Scope { kind, id, zone }, Span { from, to, value: counts, seq })
        })
    })
}
