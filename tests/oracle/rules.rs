//! Rules: the last word on every rule and scope, over what is said everywhere, over what is configured.

use std::collections::{BTreeMap, BTreeSet};

use highwater_dataflow::view::{Row, Value};
use highwater_dataflow::{BEGINNING, EventTime};
use highwater_model::{Envelope, Event, RuleUpdate};
use highwater_queries::Settings;
use highwater_queries::registry::RULES;

pub(crate) fn rows(known: &[Envelope], watermark: EventTime, settings: &Settings) -> Vec<Row> {
    let mut words: BTreeMap<(&str, &str), (EventTime, &RuleUpdate)> = BTreeMap::new();
    for envelope in known {
        let Event::RuleUpdate(update) = &envelope.event else { continue };
        let key = (update.rule.as_str(), update.scope.as_deref().unwrap_or("*"));
        let this = (envelope.at, update);
        let held = words.entry(key).or_insert(this);
        *held = this.max(*held);
    }
    let mut keys: BTreeSet<(&str, &str)> = words.keys().copied().collect();
    if watermark > BEGINNING {
        keys.extend(RULES.iter().map(|rule| (rule.name, "*")));
    }
    let row = |(rule, scope): (&str, &str)| {
        let word = words.get(&(rule, scope));
        let mut row = vec![Value::Text(rule.into()), Value::Text(scope.into())];
        let definition = RULES.iter().find(|known| known.name == rule).map(|r| r.definition);
        let mut problem = String::new();
        if let Some(definition) = definition {
            let mut enabled = definition.enabled;
            let mut values: BTreeMap<&str, i64> = BTreeMap::new();
            for parameter in definition.parameters {
                values.insert(parameter.name, parameter.default_milli);
            }
            if let Some(said) = settings.rules.get(rule) {
                enabled = said.enabled.unwrap_or(enabled);
                for (name, value) in &said.parameters {
                    values.insert(name, (value * 1000.0).round() as i64);
                }
            }
            let wider = (scope != "*").then(|| words.get(&(rule, "*"))).flatten();
            for (nth, said) in [wider, word].into_iter().enumerate() {
                let Some((_, update)) = said else { continue };
                enabled = update.enabled.unwrap_or(enabled);
                for p in &update.parameters {
                    let fault = match definition.parameters.iter().find(|d| d.name == p.name) {
                        None => {
                            let there: Vec<&str> =
                                definition.parameters.iter().map(|d| d.name).collect();
                            format!(
                                "no parameter is called {}; there are {}",
                                p.name,
                                there.join(", ")
                            )
                        }
                        Some(d) if p.value_milli < d.min_milli => {
                            format!("{} must be at least {}", p.name, d.min_milli / 1000)
                        }
                        Some(d) if d.whole && p.value_milli % 1000 != 0 => {
                            format!("{} must be a whole number", p.name)
                        }
                        Some(_) => {
                            values.insert(p.name.as_str(), p.value_milli);
                            continue;
                        }
                    };
                    if nth == 1 {
                        let more = if problem.is_empty() { "" } else { "; " };
                        problem = format!("{problem}{more}{fault}");
                    }
                }
            }
            row.push(Value::Int(enabled.into()));
            let values = definition
                .parameters
                .iter()
                .map(|p| format!("{}={}", p.name, values[p.name] as f64 / 1000.0));
            row.push(Value::Text(values.collect::<Vec<String>>().join(" ").into()));
        } else {
            "no rule has this name".clone_into(&mut problem);
            row.extend([Value::Null, Value::Text("".into())]);
        }
        row.push(word.map(|(at, _)| *at).into());
        row.push(if problem.is_empty() { Value::Null } else { Value::Text(problem.into()) });
        row
    };
    keys.into_iter().map(row).collect()
}
