//! Adherence now: schedule against state, per agent, as of the agent's present (the watermark or its latest event).
//!
//! in   segments (Agent, Segment<Judged>)   roster (Agent, profile)   schedules
//! out  adherence_now   one row per agent ever scheduled or heard of

use highwater_dataflow::view::{Column, Row, Value, View, ViewRow};
use highwater_dataflow::{FOREVER, Overlay, Table};
use highwater_model::{ActivityCode, AgentId, AgentState, Name, SiteId, TeamId};
use serde::{Deserialize, Serialize};

use crate::adherence::{Judged, Status, schedule};
use crate::adherence_time::working;
use crate::input::Inputs;

/// A row of `adherence_now`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AdherenceNow {
    pub agent: AgentId,
    pub name: Option<Name>,
    pub team: Option<TeamId>,
    pub site: Option<SiteId>,
    pub judged: Judged,
    /// When the present state or activity began.
    pub since: i64,
    /// When the present unbroken stretch of this status began.
    pub status_since: i64,
    pub next: Option<(ActivityCode, i64)>,
}

impl ViewRow for AdherenceNow {
    const VIEW: &'static View = &View {
        name: "adherence_now",
        doc: "What each agent should be doing and is doing, at the watermark or its latest event.",
        key: 1,
        columns: &[
            Column::text("agent_id", "the agent"),
            Column::text("name", "as in the agent's profile at the watermark"),
            Column::text("team_id", "team, at the watermark"),
            Column::text("site_id", "site, at the watermark"),
            Column::text("activity", "scheduled activity; null outside every shift"),
            Column::text("state", "actual state"),
            Column::text("status", "in, out, neutral, unscheduled, unknown or ignored"),
            Column::text(
                "impact",
                "on the queues: positive (there instead of away), negative (away instead of there), \
                 neutral or unknown",
            ),
            Column::int("since_ms", "since when state and activity are these, ms UTC"),
            Column::int("status_since_ms", "since when the status is this, ms UTC"),
            Column::int("out_since_ms", "since when out of adherence, ms UTC; null unless out"),
            Column::text("next_activity", "what the schedule says next"),
            Column::int("next_activity_ms", "and when, ms UTC"),
        ],
    };

    fn cells(&self, row: &mut Row) {
        let out = self.judged.status == Status::Out;
        row.extend([
            Value::from(self.agent.0.clone()),
            self.name.clone().into(),
            self.team.as_ref().map(|team| team.0.clone()).into(),
            self.site.as_ref().map(|site| site.0.clone()).into(),
            self.judged.activity.as_ref().map(|activity| activity.0.clone()).into(),
            self.judged.state.name().into(),
            self.judged.status.name().into(),
            impact(&self.judged).into(),
            self.since.into(),
            self.status_since.into(),
            out.then_some(self.status_since).into(),
            self.next.as_ref().map(|(code, _)| code.0.clone()).into(),
            self.next.as_ref().map(|(_, at)| *at).into(),
        ]);
    }
}

/// What an agent's doing means to the queues, after Genesys Cloud: on queue during a break is positive, on break
/// instead of on queue negative, a meeting instead of a training neutral.
pub fn impact(judged: &Judged) -> &'static str {
    let planned = judged.activity.as_ref().and_then(ActivityCode::state);
    let on_queue = planned == Some(AgentState::OnQueue);
    match judged.status {
        Status::Unknown => "unknown",
        Status::Out if on_queue => "negative",
        Status::Out | Status::Unscheduled if working(judged.state) => "positive",
        _ => "neutral",
    }
}

/// How long before a shift its first activity is announced, ms.
const ANNOUNCED: i64 = 12 * 3_600_000;

pub fn adherence_now<'s>(
    input: &Inputs<'s>,
    adherence: &Overlay<'s, AgentId, Judged>,
) -> Table<'s, AdherenceNow> {
    let next = schedule(input)
        .flat_map(|(agent, activities)| {
            let first = activities.first().map(|a| (a.from - ANNOUNCED, a.from, a.value.clone()));
            let later: Vec<_> = activities
                .windows(2)
                .map(|pair| (pair[0].from, pair[1].from, pair[1].value.clone()))
                .collect();
            let rows = first.into_iter().chain(later);
            rows.map(move |(from, at, code)| (agent.clone(), (from, at, code))).collect::<Vec<_>>()
        })
        .while_active("next activity", |(_, (from, at, _))| (*from, *at))
        .map(|(agent, (_, at, code))| (agent, (at, code)))
        .reduce("soonest activity", |_, next, out| out.push((next[0].0.clone(), 1)));

    // As of the watermark: a move that is announced has not happened yet.
    let profile = input
        .roster()
        .while_active("profile now", |(_, span)| (span.from, span.to))
        .map_values(|_, span| span.value);

    adherence
        .segments
        .clone()
        .filter(|(_, segment)| segment.to == FOREVER)
        .lookup("adherence profile", profile, |agent, segment, profile| {
            let row = AdherenceNow {
                agent: agent.clone(),
                name: profile.and_then(|profile| profile.name.clone()),
                team: profile.map(|profile| profile.team.clone()),
                site: profile.map(|profile| profile.site.clone()),
                judged: segment.value.clone(),
                since: segment.from,
                status_since: segment.since,
                next: None,
            };
            (agent.clone(), row)
        })
        .lookup("adherence next", next, |_, row, next| AdherenceNow {
            next: next.map(|(at, code)| (code.clone(), *at)),
            ..row.clone()
        })
}
