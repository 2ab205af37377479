//! Unmapped states: the stretches nothing judges, counted by pair and UTC day. No run lasts until a day is final.

use std::collections::{BTreeMap, BTreeSet};

use highwater_dataflow::view::{Row, Value};
use highwater_model::AgentId;

use super::adherence::Stretch;

pub(crate) fn rows(histories: &BTreeMap<AgentId, Vec<Stretch>>) -> Vec<Row> {
    let mut pairs: BTreeMap<_, BTreeSet<(i64, &AgentId)>> = BTreeMap::new();
    for (agent, history) in histories {
        for stretch in history.iter().filter(|stretch| stretch.status == "unknown") {
            let activity = stretch.activity.as_ref().unwrap();
            let day = stretch.from - stretch.from.rem_euclid(86_400_000);
            let seen = pairs.entry((activity, stretch.state, day)).or_default();
            seen.insert((stretch.from, agent));
        }
    }
    let mut rows = Vec::new();
    for ((activity, state, day), seen) in pairs {
        let agents: BTreeSet<&AgentId> = seen.iter().map(|(_, agent)| *agent).collect();
        rows.push(vec![
            Value::Text(activity.0.clone()),
            Value::Text(state.name().into()),
            Value::Int(day),
            Value::Int(seen.len() as i64),
            Value::Int(agents.len() as i64),
            Value::Int(seen.last().unwrap().0),
        ]);
    }
    rows
}
