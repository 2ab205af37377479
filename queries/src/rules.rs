//! Rules: what each rule was told last, everywhere and where it was told otherwise.
//!
//! in   rule updates (rule, RuleUpdate)   the configuration
//! out  rules   one row per rule everywhere, and one per rule and scope that was ever spoken of

use highwater_dataflow::view::{Column, Row, Value, View, ViewRow};
use highwater_dataflow::{BEGINNING, Point, Table};
use highwater_model::{Name, RuleUpdate};
use serde::{Deserialize, Serialize};

use crate::registry::{RULES, Shared};
use crate::rule::{Definition, EVERYWHERE, scope_of};
use crate::settings::Settings;

/// A row of `rules`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InForce {
    pub rule: Name,
    pub scope: Name,
    /// `None` where no rule has this name.
    pub enabled: Option<bool>,
    pub parameters: Name,
    /// Event time of the latest word; `None`: the configuration's.
    pub since: Option<i64>,
    pub problem: Name,
}

impl ViewRow for InForce {
    const VIEW: &'static View = &View {
        name: "rules",
        doc: "What each rule was told last: on or off, with which parameters, and what of it was not understood.",
        key: 2,
        columns: &[
            Column::text("rule", "the rule"),
            Column::text("scope", "a team, queue, agent, ...; * is everywhere"),
            Column::int("enabled", "1 if it raises alerts here; null if no rule has this name"),
            Column::text("parameters", "all of them, as they apply here, wider scopes included"),
            Column::int("since_ms", "event time of the latest word, ms UTC; null: configured"),
            Column::text("problem", "what of the latest word has no effect, and why; else null"),
        ],
    };

    fn cells(&self, row: &mut Row) {
        row.extend([
            Value::from(self.rule.clone()),
            self.scope.clone().into(),
            self.enabled.map(i64::from).into(),
            self.parameters.clone().into(),
            self.since.into(),
            Some(self.problem.clone()).filter(|problem| !problem.is_empty()).into(),
        ]);
    }
}

pub fn rules<'s>(shared: &Shared<'s>, settings: &Settings) -> Table<'s, InForce> {
    let settings = settings.clone();
    let silent = |rule: &Definition| {
        let update = RuleUpdate {
            rule: rule.name.into(),
            scope: None,
            enabled: None,
            parameters: Vec::new(),
        };
        let point = Point { at: BEGINNING, value: update, seq: 0 };
        (Name::from(rule.name), (Name::from(EVERYWHERE), point))
    };
    let silent: Vec<_> = RULES.iter().map(|rule| silent(rule.definition)).collect();
    shared
        .rules
        .clone()
        .map(|(rule, point)| {
            let scope = scope_of(&point.value).cloned();
            ((rule, scope.unwrap_or(Name::const_new(EVERYWHERE))), point)
        })
        .latest_per_key("latest words on rules")
        .map(|((rule, scope), point)| (rule, (scope, point)))
        .and_always("configured rules", silent)
        .reduce("rules", move |rule, words, out| {
            // Sorted by scope and time: the last word on a scope counts.
            let words: Vec<&(Name, Point<RuleUpdate>)> = words.iter().map(|(w, _)| *w).collect();
            let latest = words.chunk_by(|a, b| a.0 == b.0).map(|same| same[same.len() - 1]);
            let latest: Vec<&(Name, Point<RuleUpdate>)> = latest.collect();
            let everywhere = latest.iter().find(|(scope, _)| scope == EVERYWHERE);
            for (scope, word) in &latest {
                let row = in_force(&settings, rule, scope, word, everywhere.map(|(_, word)| word));
                out.push((row, 1));
            }
        })
        .map(|(_, row)| row)
}

fn in_force(
    settings: &Settings,
    rule: &Name,
    scope: &Name,
    word: &Point<RuleUpdate>,
    everywhere: Option<&Point<RuleUpdate>>,
) -> InForce {
    let since = (word.at > BEGINNING).then_some(word.at);
    let (rule, scope) = (rule.clone(), scope.clone());
    let known = RULES.iter().map(|known| known.definition).find(|known| rule == known.name);
    let Some(definition) = known else {
        let problem = Name::const_new("no rule has this name");
        return InForce { rule, scope, enabled: None, parameters: Name::default(), since, problem };
    };
    let (said, faults) = definition.heard(&word.value);
    let wider = everywhere.map(|word| definition.heard(&word.value).0);
    let wider = wider.filter(|_| scope != EVERYWHERE).unwrap_or_default();
    let terms = definition.configured(settings).with(&wider).with(&said);
    InForce {
        rule,
        scope,
        enabled: Some(terms.enabled),
        parameters: terms.text(definition).into(),
        since,
        problem: faults.join("; ").into(),
    }
}
