//! The conformance cases in `../shared/evtcase` (beside the data directory that `HIGHWATER_DATA` names), run through
//! the window operator and held against their expectations.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "../../examples/evtcase/case.rs"]
mod case;
mod check;
#[path = "../../examples/evtcase/join.rs"]
mod join;
#[path = "../../examples/evtcase/run.rs"]
mod run;
mod written;

use std::path::PathBuf;

use serde_json::Value;

fn cases() -> Option<Vec<Value>> {
    let data = std::env::var_os("HIGHWATER_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")),
        PathBuf::from,
    );
    let folder = data.parent()?.join("evtcase");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).ok()?.map(|e| e.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "json"));
    paths.sort();
    let read = |path: &PathBuf| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    Some(paths.iter().map(read).collect())
}

/// What is wrong with the operator's answer to a case.
fn complaints(case: &Value) -> Vec<String> {
    let outcome = match run::run(case) {
        Ok(outcome) => outcome,
        Err(reason) => return vec![reason],
    };
    let found = check::check(case, &outcome.steps, outcome.dropped);
    if case["kind"] == "harness_negative" {
        let missed = found.is_empty().then(|| "the checker found nothing wrong".to_owned());
        return missed.into_iter().collect();
    }
    found
}

fn assert_pass(cases: &[Value]) {
    let failed: Vec<String> = cases
        .iter()
        .flat_map(|case| complaints(case).into_iter().map(move |c| format!("{}: {c}", case["id"])))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn sample_cases_pass() {
    let Some(cases) = cases() else {
        eprintln!("SKIPPED: no conformance cases beside the data directory (HIGHWATER_DATA)");
        return;
    };
    assert!(!cases.is_empty());
    assert_pass(&cases);
}

#[test]
fn written_cases_pass() {
    assert_pass(&written::cases());
}

#[test]
fn a_temporal_join_uses_the_version_of_its_time() {
    assert_pass(&written::joins());
}

#[test]
fn the_checker_finds_what_is_wrong() {
    for case in written::wrong() {
        assert!(!complaints(&case).is_empty(), "{} passed", case["id"]);
    }
}

#[test]
fn a_case_may_be_written_loosely() {
    let config = serde_json::json!({
        "window": {"type": "fixed", "size": 10.0, "offset": null}, "trigger": "default", "accumulation": "DISCARDING",
        "allowed_lateness": 5.0, "on_time_behavior": null, "origin": "nowhere",
    });
    let case = serde_json::json!({"config": config, "steps": [
        {"add": {"ts": 1.0, "v": 1.5, "k": 7}, "note": "one element, a key that is a number"}, {"snapshot": true},
        {"watermark": 10.0, "add": [{"ts": 2, "k": null}], "expect": [{"k": 7, "values": [1.5]}, {"k": "k", "values": [null]}]},
        {"watermark": 3}, {"clock": -1}, {"add": []}, {"watermark": "Infinity"}, {"watermark": "+inf"},
    ]});
    let outcome = run::run(&case).unwrap();
    assert_eq!(check::check(&case, &outcome.steps, outcome.dropped), Vec::<String>::new());
    assert_eq!(outcome.steps.len(), 8);
    assert_eq!(outcome.ignored, ["config.origin", "steps.note", "steps.snapshot"]);
}

#[test]
fn a_case_that_is_not_understood_says_so() {
    let unknown = serde_json::json!({
        "config": {"window": {"type": "hopping", "size": 3}}, "steps": []
    });
    assert!(run::run(&unknown).is_err());
}
