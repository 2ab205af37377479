//! Holds the panes of a case against its expectations. Returns what is wrong, step by step.

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub(crate) fn check(case: &Value, answered: &[Vec<Value>], dropped: isize) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut all: Vec<Value> = Vec::new();
    let mut since: Vec<Value> = Vec::new();
    let steps = case["steps"].as_array().unwrap();
    for (nth, (step, panes)) in steps.iter().zip(answered).enumerate() {
        all.extend(panes.iter().cloned());
        since.extend(panes.iter().cloned());
        for (name, wanted) in step.as_object().unwrap() {
            let verdict = match name.as_str() {
                "expect" => unordered(wanted.as_array().unwrap(), &std::mem::take(&mut since)),
                "expect_ordered" => {
                    ordered(wanted.as_array().unwrap(), &std::mem::take(&mut since))
                }
                "expect_by_window" => by_window(wanted, &all),
                "expect_flat" => flat(wanted, &all),
                "expect_pane_count" => same(wanted, &json!(all.len())),
                "expect_values_in_order" => same(wanted, &all.iter().map(short).collect()),
                "expect_final_upsert" => final_upsert(wanted, &all),
                "expect_dropped" => same(wanted, &json!(dropped)),
                expectation if expectation.starts_with("expect") => {
                    Err(format!("expectation {expectation} is not known"))
                }
                _ => Ok(()),
            };
            wrong.extend(verdict.err().map(|why| format!("step {nth}: {why}")));
        }
    }
    let expected_exactly =
        steps.iter().any(|s| s.get("expect").is_some() || s.get("expect_ordered").is_some());
    if expected_exactly && !since.is_empty() {
        wrong.push(format!("panes nobody expected: {}", Value::from(since)));
    }
    wrong
}

fn same(wanted: &Value, got: &Value) -> Result<(), String> {
    if wanted == got { Ok(()) } else { Err(format!("wanted {wanted}, got {got}")) }
}

fn short(pane: &Value) -> Value {
    json!([pane["k"], pane["window"], content(pane)])
}

fn content(pane: &Value) -> &Value {
    pane.get("values").or(pane.get("value")).unwrap_or(&Value::Null)
}

/// Whether the pane has everything that is wanted of it.
fn fits(wanted: &Value, pane: &Value) -> bool {
    wanted.as_object().unwrap().iter().all(|(field, value)| match field.as_str() {
        "timing_not" => &pane["timing"] != value,
        "values" => sorted(value) == sorted(&pane["values"]),
        _ => &pane[field] == value,
    })
}

fn sorted(values: &Value) -> Vec<String> {
    let mut values: Vec<String> =
        values.as_array().into_iter().flatten().map(Value::to_string).collect();
    values.sort();
    values
}

/// Every pane is wanted once: a matching is searched, since a vague wish may fit several panes.
fn unordered(wanted: &[Value], panes: &[Value]) -> Result<(), String> {
    fn assign(
        wish: usize,
        wanted: &[Value],
        panes: &[Value],
        tried: &mut [bool],
        owner: &mut [Option<usize>],
    ) -> bool {
        for pane in 0..panes.len() {
            if tried[pane] || !fits(&wanted[wish], &panes[pane]) {
                continue;
            }
            tried[pane] = true;
            let free = match owner[pane] {
                None => true,
                Some(other) => assign(other, wanted, panes, tried, owner),
            };
            if free {
                owner[pane] = Some(wish);
                return true;
            }
        }
        false
    }
    let mut owner = vec![None; panes.len()];
    let matched = wanted.len() == panes.len()
        && (0..wanted.len())
            .all(|wish| assign(wish, wanted, panes, &mut vec![false; panes.len()], &mut owner));
    if matched { Ok(()) } else { differ(wanted, panes) }
}

fn ordered(wanted: &[Value], panes: &[Value]) -> Result<(), String> {
    let fit = wanted.len() == panes.len() && wanted.iter().zip(panes).all(|(w, p)| fits(w, p));
    if fit { Ok(()) } else { differ(wanted, panes) }
}

fn differ(wanted: &[Value], panes: &[Value]) -> Result<(), String> {
    Err(format!("wanted {}, got {}", Value::from(wanted), Value::from(panes)))
}

/// `[{window, k?, panes: [...]}]`: the panes of each window in firing order.
fn by_window(wanted: &Value, all: &[Value]) -> Result<(), String> {
    for group in wanted.as_array().ok_or("expect_by_window is not a list")? {
        let here: Vec<Value> = all.iter().filter(|pane| selected(group, pane)).cloned().collect();
        ordered(group["panes"].as_array().ok_or("expect_by_window without panes")?, &here)?;
    }
    Ok(())
}

fn selected(by: &Value, pane: &Value) -> bool {
    ["window", "k"].iter().all(|field| by.get(field).is_none_or(|value| value == &pane[field]))
}

/// Contents of a selection of panes, flattened.
fn flat(wanted: &Value, all: &[Value]) -> Result<(), String> {
    for (name, value) in wanted.as_object().ok_or("expect_flat is not an object")? {
        let kind = name.strip_suffix("_values").unwrap_or(name);
        let keep: fn(&Value) -> bool = match kind {
            "window" | "k" => continue,
            "all" => |_| true,
            "on_time" => |pane| pane["timing"] == "ON_TIME",
            "early" => |pane| pane["timing"] == "EARLY",
            "non_late" => |pane| pane["timing"] != "LATE",
            "final" => |pane| pane["last"] == true,
            other => return Err(format!("expect_flat of {other} is not known")),
        };
        let panes = all.iter().filter(|pane| selected(wanted, pane) && keep(pane));
        let got: Value = panes
            .flat_map(|pane| match content(pane) {
                Value::Array(values) => values.clone(),
                single => vec![single.clone()],
            })
            .collect();
        if sorted(value) != sorted(&got) {
            return Err(format!("{name}: wanted {value}, got {got}"));
        }
    }
    Ok(())
}

/// The last value of each key and window.
fn final_upsert(wanted: &Value, all: &[Value]) -> Result<(), String> {
    let mut last: BTreeMap<String, Value> = BTreeMap::new();
    for pane in all {
        let name = json!([pane["k"], pane["window"]]).to_string();
        if pane["retract"] == true {
            last.remove(&name);
        } else {
            last.insert(name, short(pane));
        }
    }
    let got = last.into_values().collect();
    if sorted(wanted) == sorted(&got) { Ok(()) } else { same(wanted, &got) }
}
