//! Mapping missing: an agent does something of which no mapping says what it means during the scheduled activity.
//!
//! in   segments (Agent, Segment<Judged>)   mapping (activity x state, verdict from then on)   terms (pair, Terms over time)
//! out  incidents, one per stretch of event time with at least `agents_min` in a pair of activity and state that was not
//!      mapped then; alerts follow them
//!
//! Adherence judges the past by the mapping as it is now; this rule goes by when a mapping was said. One that comes
//! therefore ends what was missing until then, and does not make it untrue. An agent of whom nothing was ever heard is
//! unknown to adherence, but lacks no mapping.

use highwater_dataflow::{Alerts, BEGINNING, Finding, Incident, Point, Revision, Span, Table};
use highwater_model::{ActivityCode, AgentId, AgentState, Name, Verdict};
use serde::{Deserialize, Serialize};

use crate::adherence::{default_verdict, mapping};
use crate::registry::Shared;
use crate::rule::{Definition, Parameter, incident, raise, terms};
use crate::settings::Settings;

pub const MAPPING_MISSING: Definition = Definition {
    name: "mapping_missing",
    scope: "activity/state",
    enabled: true,
    parameters: &[
        Parameter::count("agents_min", 1, 1, "agents in that state during that activity at once"),
        Parameter::seconds("lasting_s", 0, "how long that must last before it is an alert"),
    ],
};
const AGENTS_MIN: usize = 0;
const LASTING: usize = 1;

/// What was scheduled and what was done instead.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Pair(ActivityCode, AgentState);

impl Pair {
    /// As in `on-queue/unknown`: activity codes have no slashes.
    fn scope(&self) -> Name {
        format!("{}/{}", self.0.as_str(), self.1.name()).as_str().into()
    }
}

pub fn mapping_missing<'s>(shared: &Shared<'s>, settings: &Settings) -> Alerts<'s> {
    let input = &shared.input;
    let horizon = input.correction;
    let words = mapping(input).map(|(activity, (state, word))| (Pair(activity, state), word));
    let occupied = occupied(shared);

    let pairs = occupied.clone().map(|(agent, span)| (span.value.clone(), span.with(agent)));
    let known = pairs.clone().keys("pairs once without a mapping");
    let unsaid = known.clone().map(|pair| {
        let value = default_verdict(&pair.0, pair.1);
        (pair, Point { at: BEGINNING, value, seq: 0 })
    });
    let gaps = words
        .clone()
        .concat(unsaid)
        .intervals("verdicts", horizon)
        .filter(|(_, span)| span.value == Verdict::Unmapped);
    let missing = pairs
        .overlap_join("mapping missing", gaps, horizon, |_, agent, _| agent.clone())
        .map(|(pair, span)| (pair.scope(), span));
    let scopes = known.map(|pair| pair.scope());
    let told = terms(&MAPPING_MISSING, settings, shared.rules.clone(), scopes, None);
    let found = missing.alarms("agents unjudged", told.terms, horizon, |terms, agents| {
        let (value, threshold) = (agents.len() as i64, terms.count(AGENTS_MIN));
        let finding = Finding { value, threshold, lasting: terms.milli(LASTING), kind: 0 };
        (value >= threshold).then_some(finding)
    });
    let mapped = words
        .clone()
        .filter(|(_, word)| word.value != Verdict::Unmapped)
        .map(|(pair, word)| ((pair.scope(), word.at), ()));
    let incidents = found
        .alarms
        .map(|(scope, alarm)| {
            let members = alarm.levels.iter().map(|agent: &AgentId| agent.0.clone()).collect();
            let incident = incident(scope, alarm, members);
            ((incident.scope.clone(), incident.to), incident)
        })
        .lookup_until(
            "mapped at its end",
            mapped,
            move |incident| incident.to.saturating_add(2 * horizon),
            |_, incident, mapped| match mapped {
                Some(()) if incident.reason.is_empty() => {
                    Incident { reason: Name::const_new("mapped"), ..incident.clone() }
                }
                _ => incident.clone(),
            },
        );

    let revisions = occupied
        .revised("pairs revised", shared.adherence.revisions.clone(), |span, _| {
            Some(span.value.scope())
        })
        .concat(words.map(|(pair, word)| (pair.scope(), Revision { at: word.at, seq: word.seq })))
        .concat(told.words)
        .concat(found.matured);
    raise(&MAPPING_MISSING, incidents, revisions, horizon)
}

/// Who was in which of the pairs that were at some time without a mapping, and when.
fn occupied<'s>(shared: &Shared<'s>) -> Table<'s, (AgentId, Span<Pair>)> {
    let input = &shared.input;
    let stretches =
        shared.adherence.segments.clone().filter(|(_, segment)| segment.value.gap).flat_map(
            |(agent, s)| {
                let state = s.value.state;
                let pair = s.value.activity.map(|activity| Pair(activity, state));
                pair.map(|value| (agent, Span { from: s.from, to: s.to, value, seq: s.seq }))
            },
        );
    // A state whose spelling nobody knows is unknown, as is that of an agent who was never heard of.
    let strange = input
        .agent_states()
        .filter(|(_, point)| point.value == AgentState::Unknown)
        .map(|(agent, Point { at, seq, .. })| (agent, Point { at, value: (), seq }))
        .intervals("states nobody knows", input.correction);
    let unknown = |span: &Span<Pair>| span.value.1 == AgentState::Unknown;
    let heard = strange.overlap_join(
        "unknown and heard of",
        stretches.clone().filter(move |(_, span)| unknown(span)),
        input.correction,
        |_, (), pair| pair.clone(),
    );
    stretches.filter(move |(_, span)| !unknown(span)).concat(heard)
}
