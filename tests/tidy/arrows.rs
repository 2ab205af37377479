//! Which crate may know which, and what the pure ones must not touch.

use std::collections::BTreeSet;

use super::{Text, read, report, texts};

/// A crate, and the crates of ours it may depend on. Absent: `src/`, which knows everyone.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("dataflow", &[]),
    ("ingest", &["model", "dataflow"]),
    ("queries", &["model", "dataflow"]),
    ("sinks", &["model", "dataflow"]),
];

/// Code that must not occur in a crate's `src/`, and what its absence guarantees.
const ABSENT: &[(&str, &[&str], &str)] = &[
    (
        "model/",
        &[
            "std::fs",
            "std::io",
            "std::net",
            "std::thread",
            "std::env",
            "Instant",
            "tokio",
            "rusqlite",
        ],
        "the model is values and rules: no I/O, no clock, no threads",
    ),
    (
        "queries/",
        &["std::fs", "std::io", "std::net", "std::thread", "std::time", "std::env", "tracing"],
        "a query is a pure function of its input tables: no I/O, no clock, no logging",
    ),
    (
        "dataflow/",
        &["std::fs", "std::net", "std::env", "tokio", "rusqlite"],
        "the dataflow hears of the outside only through its ports: no files, no sockets",
    ),
    ("ingest/", &["reqwest"], "sources are told things; they do not call out"),
];

/// The tables of a manifest that name dependencies.
const KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

fn manifest(krate: &str) -> toml::Table {
    let path = if krate == "." { "Cargo.toml".to_owned() } else { format!("{krate}/Cargo.toml") };
    read(&path).parse().unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn dependencies(manifest: &toml::Table) -> Vec<(&'static str, String, toml::Value)> {
    let mut found = Vec::new();
    for kind in KINDS {
        let table = manifest.get(kind).and_then(toml::Value::as_table);
        for (name, value) in table.into_iter().flatten() {
            found.push((kind, name.clone(), value.clone()));
        }
    }
    found
}

#[test]
fn crates_know_only_whom_they_may() {
    let members: BTreeSet<String> = manifest(".")["workspace"]["members"]
        .as_array()
        .expect("members are a list")
        .iter()
        .map(|member| member.as_str().expect("a member is a path").to_owned())
        .filter(|member| member != ".")
        .collect();
    let listed: BTreeSet<String> = ARROWS.iter().map(|(krate, _)| (*krate).to_owned()).collect();
    assert_eq!(members, listed, "tests/tidy/arrows.rs says for every crate whom it may know");

    let mut findings = Vec::new();
    for (krate, may) in ARROWS {
        for (kind, name, _) in dependencies(&manifest(krate)) {
            if let Some(other) = name.strip_prefix("highwater-")
                && !may.contains(&other)
            {
                findings.push(format!("{krate} names {other} in its {kind}"));
            }
        }
    }
    report("crates depend on each other only along the arrows of docs/architecture.md:", &findings);
}

#[test]
fn only_dataflow_names_the_engine() {
    let engine = ["timely", "differential-dataflow"];
    let mut findings = Vec::new();
    for krate in [".", "model", "ingest", "queries", "sinks"] {
        for (kind, name, _) in dependencies(&manifest(krate)) {
            // Benchmarks of the root package may set ours beside the plain thing.
            let bench = krate == "." && kind == "dev-dependencies";
            if engine.contains(&name.as_str()) && !bench {
                findings.push(format!("{krate}/Cargo.toml names {name} in its {kind}"));
            }
        }
    }
    let named = ["timely::", "differential_dataflow::", "use timely", "use differential_dataflow"];
    for Text { path, content } in texts(&[".rs"]) {
        if path.starts_with("dataflow/")
            || path.starts_with("benches/")
            || path.starts_with("tests/tidy/")
        {
            continue;
        }
        for (number, line) in content.lines().enumerate() {
            if named.iter().any(|name| code(line).contains(name)) {
                findings.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    report(
        "timely and differential are named in dataflow alone; everyone else uses its API:",
        &findings,
    );
}

#[test]
fn pure_crates_stay_pure() {
    let mut findings = Vec::new();
    for Text { path, content } in texts(&[".rs"]) {
        for (krate, absent, guarantee) in ABSENT {
            if !path.starts_with(&format!("{krate}src/")) || path.contains("tests") {
                continue;
            }
            for (number, line) in content.lines().enumerate() {
                let named = absent.iter().find(|name| has_word(code(line), name));
                if let Some(name) = named {
                    findings.push(format!("{path}:{}: {name} ({guarantee})", number + 1));
                }
            }
        }
    }
    report("what a crate must not touch:", &findings);
}

#[test]
fn versions_are_in_the_workspace_table_only() {
    let mut findings = Vec::new();
    for krate in [".", "model", "dataflow", "ingest", "queries", "sinks"] {
        for (kind, name, value) in dependencies(&manifest(krate)) {
            let shared = value.get("workspace").and_then(toml::Value::as_bool) == Some(true);
            if !shared {
                findings.push(format!("{krate}/Cargo.toml, {kind}: {name} = {value}"));
            }
        }
    }
    report(
        "a dependency's version is in [workspace.dependencies]; write `NAME.workspace = true`:",
        &findings,
    );
}

#[test]
fn every_shared_dependency_is_used_and_argued_for() {
    let decision = read("docs/decisions/0006-dependencies.md");
    let used: BTreeSet<String> = [".", "model", "dataflow", "ingest", "queries", "sinks"]
        .iter()
        .flat_map(|krate| dependencies(&manifest(krate)))
        .map(|(_, name, _)| name)
        .collect();
    let workspace = manifest(".");
    let table = workspace["workspace"]["dependencies"].as_table().expect("it is a table");
    let mut findings = Vec::new();
    for name in table.keys() {
        if !used.contains(name) {
            findings.push(format!("{name}: no crate uses it; remove it from Cargo.toml"));
        }
        if !name.starts_with("highwater-") && !decision.contains(&format!("`{name}`")) {
            findings.push(format!("{name}: docs/decisions/0006-dependencies.md does not say why"));
        }
    }
    report("dependencies:", &findings);
}

/// A line without its comment. Good enough here: no string of ours holds `//` before one of the names looked for.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or(line)
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let part = |c: char| c.is_alphanumeric() || c == '_';
        let before = line[..at].chars().next_back().is_some_and(part);
        let after = line[at + word.len()..].chars().next().is_some_and(part);
        !before && !after
    })
}
