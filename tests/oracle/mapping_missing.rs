//! Mapping missing: who was in a pair of activity and state while nothing said of it had been said yet.

use std::collections::{BTreeMap, BTreeSet};

use highwater_dataflow::{BEGINNING, EventTime, FOREVER};
use highwater_model::{ActivityCode, AgentId, AgentState, Envelope, Event, Verdict};
use highwater_queries::Settings;

use super::adherence;
use super::alarms::{Book, Level, Stretch};

type Pair = (ActivityCode, AgentState);

pub(crate) fn alarms(
    known: &[Envelope],
    histories: &BTreeMap<AgentId, Vec<adherence::Stretch>>,
    watermark: EventTime,
    settings: &Settings,
) -> Vec<Stretch> {
    let mut heard: BTreeMap<&AgentId, EventTime> = BTreeMap::new();
    let mut words: BTreeMap<Pair, BTreeMap<EventTime, Verdict>> = BTreeMap::new();
    for envelope in known {
        match &envelope.event {
            Event::AgentStateChange(change) => {
                let first = heard.entry(&change.agent).or_insert(envelope.at);
                *first = envelope.at.min(*first);
            }
            Event::ActivityMapping(cell) => {
                let said = words.entry((cell.activity.clone(), cell.state)).or_default();
                let verdict = said.entry(envelope.at).or_insert(cell.verdict);
                *verdict = cell.verdict.max(*verdict);
            }
            _ => {}
        }
    }
    let mut levels: BTreeMap<Pair, Vec<Level<&AgentId>>> = BTreeMap::new();
    for (agent, history) in histories {
        let Some(&first) = heard.get(agent) else { continue };
        for stretch in history {
            let Some(activity) = &stretch.activity else { continue };
            let pair = (activity.clone(), stretch.state);
            for (from, to) in gaps(&pair, words.get(&pair)) {
                let from = from.max(stretch.from).max(first);
                let to = to.min(stretch.to);
                if from < to {
                    let of = levels.entry(pair.clone()).or_default();
                    of.push(Level { from, to, value: agent, seq: 0 });
                }
            }
        }
    }
    let book = Book::of("mapping_missing", known, settings);
    let mut alarms = Vec::new();
    for (pair, levels) in levels {
        let scope = format!("{}/{}", pair.0.as_str(), pair.1.name());
        let found = book.alarms(&scope, &[], &levels, watermark, |terms, agents| {
            let (there, least) = (agents.len() as i64, terms["agents_min"] / 1000);
            (there >= least).then_some((there, least, terms["lasting_s"], 0))
        });
        for (mut stretch, agents) in found {
            let agents: BTreeSet<&str> = agents.iter().map(|agent| agent.as_str()).collect();
            stretch.members = agents.into_iter().collect::<Vec<&str>>().join(",");
            let said = words.get(&pair).and_then(|said| said.get(&stretch.to));
            if stretch.reason.is_empty() && said.is_some_and(|&said| said != Verdict::Unmapped) {
                "mapped".clone_into(&mut stretch.reason);
            }
            // Which record put whom there is for the histories to say; they do not.
            stretch.causes = None;
            alarms.push(stretch);
        }
    }
    alarms
}

/// When nothing judges the pair.
fn gaps(pair: &Pair, said: Option<&BTreeMap<EventTime, Verdict>>) -> Vec<(EventTime, EventTime)> {
    let mut gaps = Vec::new();
    let judged = adherence::unmapped(&pair.0, pair.1) != "unknown";
    let mut from = (!judged).then_some(BEGINNING);
    for (&at, &verdict) in said.into_iter().flatten() {
        match (from, verdict) {
            (None, Verdict::Unmapped) => from = Some(at),
            (Some(_), Verdict::Unmapped) | (None, _) => {}
            (Some(began), _) => {
                gaps.push((began, at));
                from = None;
            }
        }
    }
    gaps.extend(from.map(|began| (began, FOREVER)));
    gaps
}
