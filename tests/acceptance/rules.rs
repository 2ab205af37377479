//! Rules are data: what an event tells them takes effect at once, and leaves the past as it was judged.

use highwater_dataflow::view::Value;
use highwater_queries::Settings;

use super::script::{Cells, Script, int, ms, text};

fn update(script: &mut Script, at: &str, what: &str) {
    script.event(&format!(
        r#"{{"event_type": "RuleUpdate", "event_id": "rule {at}", "timestamp": "{at}",
        "rule": "team_drift", {what}}}"#
    ));
}

/// The alerts of the rule that stand.
fn standing(script: &Script) -> Vec<Cells> {
    let mut alerts = script.told().rows("alerts", &[]);
    alerts.retain(|row| text(row, "rule") == "team_drift" && text(row, "status") != "retracted");
    alerts
}

/// Two of team north and one of team south leave the queue, one after the other.
fn two_out() -> Script {
    let mut script = Script::new(Settings::default());
    for (agent, team) in [("n1", "north"), ("n2", "north"), ("n3", "north"), ("s1", "south")] {
        script.profile(agent, "2025-06-02T06:00:00Z", team, "site");
        let shift = ("2025-06-02T08:00:00Z", "2025-06-02T16:00:00Z", "on-queue");
        script.shift(agent, 1, &[shift]);
        script.state(agent, "2025-06-02T08:00:00Z", "available");
    }
    for (agent, at) in [("n1", "09:00"), ("n2", "09:05"), ("s1", "09:06")] {
        script.state(agent, &format!("2025-06-02T{at}:00Z"), "break");
    }
    script.watermark("2025-06-02T09:08:00Z");
    script
}

#[test]
fn rule_changes_by_event_open_exactly_the_alerts_the_oracle_says_at_once() {
    let mut script = two_out();
    assert_eq!(standing(&script), [], "three of a team are not out");

    // The watermark is where it was: the change does not wait for it.
    update(&mut script, "2025-06-02T09:10:00Z", r#""parameters": {"agents_out_min": 2}"#);
    script.watermark("2025-06-02T09:08:00Z");
    let alerts = standing(&script);
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!((text(&alerts[0], "scope"), text(&alerts[0], "status")), ("north", "open"));
    assert_eq!(int(&alerts[0], "from_ms"), ms("2025-06-02T09:10:00Z"), "not before the change");
    assert_eq!((int(&alerts[0], "value"), int(&alerts[0], "threshold")), (2, 2));
    assert_eq!(text(&alerts[0], "members"), "n1, n2");
    // Brought about by the two who left, and by the change: the 13th, 14th and 16th record.
    assert_eq!(text(&alerts[0], "causes"), "13,14,16");
    assert_eq!(
        text(&script.told().row("rules", &["team_drift"]), "parameters"),
        "agents_out_min=2 lasting_s=0"
    );

    // Raised again for the one team: over, and why.
    update(
        &mut script,
        "2025-06-02T09:20:00Z",
        r#""scope": "north", "parameters": {"agents_out_min": 3}"#,
    );
    script.watermark("2025-06-02T09:08:00Z");
    let alerts = standing(&script);
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!(text(&alerts[0], "status"), "resolved");
    assert_eq!(int(&alerts[0], "to_ms"), ms("2025-06-02T09:20:00Z"));
    assert_eq!(text(&alerts[0], "reason"), "rule changed");
    assert_eq!(text(&alerts[0], "latest_causes"), "17");
}

#[test]
fn a_rule_that_is_disabled_resolves_what_is_open_and_says_why() {
    let mut script = two_out();
    update(&mut script, "2025-06-02T09:10:00Z", r#""parameters": {"agents_out_min": 2}"#);
    update(&mut script, "2025-06-02T09:30:00Z", r#""scope": "north", "enabled": false"#);
    script.watermark("2025-06-02T09:08:00Z");
    let alerts = standing(&script);
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!(int(&alerts[0], "to_ms"), ms("2025-06-02T09:30:00Z"));
    assert_eq!(text(&alerts[0], "reason"), "rule disabled");
    let rows = script.told().rows("rules", &["team_drift"]);
    assert_eq!(rows.len(), 2);
    assert_eq!((text(&rows[1], "scope"), int(&rows[1], "enabled")), ("north", 0));
}

#[test]
fn what_a_rule_does_not_understand_is_shown() {
    let mut script = two_out();
    update(&mut script, "2025-06-02T09:10:00Z", r#""parameters": {"agents_out_mim": 2}"#);
    script.event(
        r#"{"event_type": "RuleUpdate", "event_id": "r", "timestamp": "2025-06-02T09:10:00Z", "rule": "team_drifd"}"#,
    );
    script.watermark("2025-06-02T09:08:00Z");
    let told = script.told();
    let row = told.row("rules", &["team_drift"]);
    let problem = "no parameter is called agents_out_mim; there are agents_out_min, lasting_s";
    assert_eq!(text(&row, "problem"), problem);
    let row = told.row("rules", &["team_drifd"]);
    assert_eq!(text(&row, "problem"), "no rule has this name");
    assert_eq!(row["enabled"], Value::Null);
    assert_eq!(standing(&script), []);
}
