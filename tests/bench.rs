//! The benchmarks of the program run, small, and write what they promise. What they measure here means nothing.

use std::fs;
use std::path::Path;
use std::process::Command;

fn bench(args: &str) -> String {
    let ran = Command::new(env!("CARGO_BIN_EXE_highwater"))
        .arg("bench")
        .args(args.split_whitespace())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    said
}

fn summary(out: &Path) -> serde_json::Value {
    serde_json::from_str(&fs::read_to_string(out.join("summary.json")).unwrap()).unwrap()
}

#[test]
fn latency_is_reported_per_path_and_stage_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("latency");
    let said = bench(&format!(
        "latency --agents 60 --rate 50 --seconds 2 --warm-up 1 --flood 200 --out {}",
        out.display()
    ));
    assert!(said.contains("0 not found in the journal"), "{said}");
    assert_eq!(summary(&out)["lost"], 0);
    assert!(fs::read_to_string(out.join("report.html")).unwrap().contains("<svg"));
    for path in ["agent_state", "contact"] {
        assert!(out.join(format!("{path}_view_committed.hgrm")).exists(), "{path}");
    }
}

#[test]
fn a_storm_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("storm");
    let said = bench(&format!(
        "storm --agents 60 --rate 10 --times 20 --seconds 2 --calm 1 --batch 4 --out {}",
        out.display()
    ));
    assert!(said.contains("0 not found in the journal"), "{said}");
    let storm = &summary(&out)["storm"];
    assert_eq!(storm["arrivals_journaled"], storm["arrivals_in_views"]);
    assert!(storm["arrivals_journaled"].as_u64() > Some(0));
}
