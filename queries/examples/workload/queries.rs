//! The four queries, over the same operators as the product's.

use std::sync::Arc;

use highwater_dataflow::window::{
    Accumulation, Aggregate, FixedWindows, Group, SlidingWindows, Sum, Trigger,
};
use highwater_dataflow::{EventTime, Events, FOREVER, Graph, Horizons, Point, Segment, Span};
use highwater_model::{ActivityCode, AgentId, AgentState};
use serde::{Deserialize, Serialize};

use crate::answers::Answers;
use crate::day::Day;
use crate::input::{Input, What, admission};

const MINUTE: i64 = 60_000;

/// How far back late events may change answers: the day's latest come 20 minutes late, duplicates 10 minutes after that.
const CORRECTION: i64 = 60 * MINUTE;

/// Which queries to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub q1: bool,
    pub q2: bool,
    pub q34: bool,
}

impl Wanted {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let none = Wanted { q1: false, q2: false, q34: false };
        match text {
            "q1" => Some(Wanted { q1: true, ..none }),
            "q2" => Some(Wanted { q2: true, ..none }),
            "q34" => Some(Wanted { q34: true, ..none }),
            "all" => Some(Wanted { q1: true, q2: true, q34: true }),
            _ => None,
        }
    }
}

/// Builds the wanted queries; `answers` takes their rows.
pub(crate) fn build(
    graph: &mut Graph<'_, Input>,
    day: &Arc<Day>,
    wanted: Wanted,
    answers: &Answers,
) {
    let horizons = Horizons { dedup: CORRECTION, correction: CORRECTION };
    let (admitted, _refused) = graph.input().admit(horizons, admission);
    let events = graph.events(admitted);
    if wanted.q1 {
        intervals(graph, &events, answers);
    }
    if wanted.q2 {
        rolling(graph, &events, answers);
    }
    if wanted.q34 {
        adherence(graph, &events, day, answers);
    }
}

/// Q1's sums.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub(crate) struct Interval {
    pub(crate) volume: i64,
    pub(crate) completes: i64,
    pub(crate) handle_ms: i64,
}

impl Group for Interval {
    fn zero() -> Self {
        Interval::default()
    }
    fn add(&mut self, other: &Self, times: isize) {
        self.volume += other.volume * times as i64;
        self.completes += other.completes * times as i64;
        self.handle_ms += other.handle_ms * times as i64;
    }
}

fn intervals<'s>(graph: &mut Graph<'s, Input>, events: &Events<'s, Input>, answers: &Answers) {
    let counted = events.select(|input| match &input.what {
        What::Arrival(queue) => {
            let one = Interval { volume: 1, ..Interval::default() };
            Some((queue.clone(), (input.at, one)))
        }
        What::Complete(queue, handle) => {
            let one = Interval { volume: 0, completes: 1, handle_ms: *handle };
            Some((queue.clone(), (input.at, one)))
        }
        What::State(..) => None,
    });
    let late = Trigger::repeatedly(Trigger::after_count(1));
    let trigger = if answers.early() {
        Trigger::after_watermark().early(late.clone()).late(late)
    } else {
        Trigger::after_watermark().late(late)
    };
    let panes = counted
        .window_into("q1", FixedWindows::of(15 * MINUTE))
        .trigger(trigger)
        .allowed_lateness(CORRECTION)
        .accumulation(Accumulation::AccumulatingRetracting)
        .aggregate(Sum);
    let answers = answers.clone();
    graph.observe("q1", panes.panes, move |_, rows| {
        for ((queue, pane), _, diff) in rows {
            answers.interval(queue, pane.window.start, &pane.value, *diff);
        }
    });
}

fn rolling<'s>(graph: &mut Graph<'s, Input>, events: &Events<'s, Input>, answers: &Answers) {
    let arrivals = events.select(|input| match &input.what {
        What::Arrival(queue) => Some((queue.clone(), (input.at, 1i64))),
        _ => None,
    });
    let panes = arrivals
        .window_into("q2", SlidingWindows::of(5 * MINUTE).every(MINUTE / 2))
        .trigger(Trigger::after_watermark().late(Trigger::repeatedly(Trigger::after_count(1))))
        .allowed_lateness(CORRECTION)
        .accumulation(Accumulation::AccumulatingRetracting)
        .aggregate(Sum);
    let answers = answers.clone();
    graph.observe("q2", panes.panes, move |_, rows| {
        for ((queue, pane), _, diff) in rows {
            answers.rolling(queue, pane.window.start, pane.value, *diff);
        }
    });
}

/// An agent's last word of the day.
type Last = (EventTime, AgentState);

/// The newest of values that are only ever added.
struct Newest;

impl Aggregate<Last> for Newest {
    type Acc = Option<Last>;
    type Output = Option<Last>;

    fn zero(&self) -> Self::Acc {
        None
    }
    fn add(&self, acc: &mut Self::Acc, value: &Last, diff: isize) {
        assert!(diff > 0, "the newest of values that are taken back is not kept");
        *acc = (*acc).max(Some(*value));
    }
    fn merge(&self, acc: &mut Self::Acc, other: &Self::Acc) {
        *acc = (*acc).max(*other);
    }
    fn output(&self, acc: &Self::Acc) -> Self::Output {
        *acc
    }
}

fn adherence<'s>(
    graph: &mut Graph<'s, Input>,
    events: &Events<'s, Input>,
    day: &Arc<Day>,
    answers: &Answers,
) {
    let (start, end) = (day.start, day.end);
    let states = events.select(|input| match &input.what {
        What::State(agent, state) => {
            Some((agent.clone(), Point { at: input.at, value: *state, seq: input.seq }))
        }
        _ => None,
    });
    let offline = Point { at: start, value: AgentState::Offline, seq: 0 };
    let before = graph.constant(day.teams.iter().map(|(agent, _)| (agent.clone(), offline)));
    let schedule = graph.constant(day.schedule.iter().cloned());
    let teams = graph.constant(day.teams.iter().cloned());

    let judged = states.clone().concat(before.clone()).overlay(
        "adherence",
        schedule.clone(),
        CORRECTION,
        |state, activity| Some(is_out(*state?, activity)),
        |out| *out,
    );
    let out = judged.segments.clone().filter(|(_, segment)| segment.value);
    let live = answers.clone();
    graph.observe("q3", judged.segments, move |_, rows| {
        for ((agent, segment), _, diff) in rows {
            if segment.to == FOREVER && *diff > 0 {
                live.live(agent, segment.from, segment.value);
            }
        }
    });

    let episodes = out
        .clone()
        .map(|(agent, s): (AgentId, Segment<bool>)| {
            (agent.clone(), Span { from: s.from, to: s.to, value: agent, seq: 0 })
        })
        .lookup_until(
            "team",
            teams,
            |span| span.to.saturating_add(2 * CORRECTION),
            |_, span, team| (team.cloned().unwrap_or_default(), span.clone()),
        )
        .at_least("teams", 3, CORRECTION);
    let alerts = answers.clone();
    graph.observe("q4", episodes, move |_, rows| {
        // What the schedule says of the time after the day is not asked for.
        for ((team, episode), _, diff) in rows.iter().filter(|((_, e), _, _)| e.from < end) {
            alerts.alert(team, episode.from, episode.to.min(end), *diff);
        }
    });

    // The day as one window that closes when the input ends.
    let whole = FixedWindows::of(end - start).offset(start);
    let out_ms = out
        .map(move |(agent, s)| (agent, (s.from.max(start), s.to.min(end) - s.from.max(start))))
        .concat(before.clone().map(|(agent, point)| (agent, (point.at, 0))))
        .window_into("out of adherence", whole)
        .allowed_lateness(CORRECTION)
        .aggregate(Sum)
        .panes
        .map(|(agent, pane)| (agent, pane.value));
    let last = states
        .concat(before)
        .map(|(agent, point)| (agent, (point.at, (point.at, point.value))))
        .window_into("last state", FixedWindows::of(end - start).offset(start))
        .allowed_lateness(CORRECTION)
        .aggregate(Newest)
        .panes
        .flat_map(|(agent, pane)| pane.value.map(|last: Last| (agent, last.1)));
    let activity = schedule
        .filter(move |(_, span)| span.from < end && end <= span.to)
        .map(|(agent, span)| (agent, span.value));
    let finals = last
        .lookup("final out", out_ms, |agent, state, out_ms| {
            (agent.clone(), (*state, out_ms.copied().unwrap_or(0)))
        })
        .lookup("final activity", activity, |agent, (state, out_ms), activity| {
            (agent.clone(), (*state, activity.cloned(), *out_ms))
        });
    let answers = answers.clone();
    graph.observe("q3 final", finals, move |_, rows| {
        for ((agent, (state, activity, out_ms)), _, diff) in rows {
            if *diff > 0 {
                answers.day(agent, *state, activity.as_ref(), *out_ms);
            }
        }
    });
}

/// The day's own mapping of activity and state.
pub(crate) fn is_out(state: AgentState, activity: Option<&ActivityCode>) -> bool {
    use AgentState::{Acw, Available, OnCall};
    match activity.map(ActivityCode::as_str) {
        None => state != AgentState::Offline,
        Some("on-queue") => !matches!(state, Available | OnCall | Acw),
        Some(name) => state.name() != name,
    }
}
