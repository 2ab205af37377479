//! Every step of an alert names the records that made it known: those that opened it, changed it, ended it, disproved it.

use highwater_queries::Settings;

use super::script::{Cells, Script, int, ms, text};

/// An instant of the morning.
fn at(time: &str) -> String {
    format!("2025-06-02T{time}:00Z")
}

fn mapping(script: &mut Script, time: &str, activity: &str, state: &str, verdict: &str) -> u64 {
    script.event(&format!(
        r#"{{"event_type": "ActivityMapping", "event_id": "mapping {time} {state} {verdict}",
        "timestamp": "{}", "activity_code": "{activity}", "state": "{state}",
        "verdict": "{verdict}"}}"#,
        at(time)
    ))
}

/// All that is known of a rule's alerts.
fn alerts(script: &Script, rule: &str) -> Vec<Cells> {
    let mut alerts = script.told().rows("alerts", &[]);
    alerts.retain(|row| text(row, "rule") == rule);
    alerts
}

/// The only one.
fn alert(script: &Script, rule: &str) -> Cells {
    let mut alerts = alerts(script, rule);
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    alerts.remove(0)
}

fn stands(row: &Cells, status: &str, causes: &[u64]) {
    let causes: Vec<String> = causes.iter().map(u64::to_string).collect();
    assert_eq!((text(row, "status"), text(row, "latest_causes")), (status, &*causes.join(",")));
}

/// Two of team north, both scheduled on queue from eight to four; two out of a team are a drift.
fn north() -> Script {
    let mut script = Script::new(Settings::default());
    script.event(&format!(
        r#"{{"event_type": "RuleUpdate", "event_id": "two", "timestamp": "{}", "rule": "team_drift",
        "parameters": {{"agents_out_min": 2}}}}"#,
        at("06:00")
    ));
    for agent in ["n1", "n2", "n3"] {
        script.profile(agent, &at("06:00"), "north", "site");
        script.shift(agent, 1, &[(&at("08:00"), &at("16:00"), "on-queue")]);
        script.state(agent, &at("08:00"), "available");
    }
    script.watermark(&at("08:30"));
    script
}

/// As [`north`], with two who left for a break.
fn drifting() -> (Script, [u64; 2]) {
    let mut script = north();
    let first = script.state("n1", &at("09:00"), "break");
    let second = script.state("n2", &at("09:05"), "break");
    script.watermark(&at("09:10"));
    stands(&alert(&script, "team_drift"), "open", &[first, second]);
    (script, [first, second])
}

#[test]
fn what_amends_and_ends_an_alert_is_named() {
    let (mut script, first) = drifting();
    let third = script.state("n3", &at("09:12"), "break");
    script.watermark(&at("09:13"));
    let row = alert(&script, "team_drift");
    stands(&row, "open", &[third]);
    assert_eq!((int(&row, "value"), int(&row, "revision")), (3, 2));
    // Two come back; somebody of another team is no cause.
    script.profile("s1", &at("06:00"), "south", "site");
    script.state("s1", &at("09:14"), "available");
    let back = ["n1", "n2"].map(|agent| script.state(agent, &at("09:20"), "available"));
    script.watermark(&at("09:21"));
    let row = alert(&script, "team_drift");
    stands(&row, "resolved", &back);
    assert_eq!(text(&row, "causes"), format!("{},{}", first[0], first[1]), "what opened it stays");
}

/// `n1` and `n2` are on queue until ten and on a break then.
fn with_breaks(script: &mut Script) -> [u64; 2] {
    ["n1", "n2"].map(|agent| {
        let (before, after) = ((&*at("08:00"), &*at("10:00")), (&*at("10:00"), &*at("10:15")));
        script.shift(agent, 2, &[(before.0, before.1, "on-queue"), (after.0, after.1, "break")])
    })
}

#[test]
fn an_activity_that_begins_names_the_shift_in_what_it_ends() {
    let mut script = north();
    let shifts = with_breaks(&mut script);
    script.state("n1", &at("09:50"), "break");
    script.state("n2", &at("09:55"), "break");
    script.watermark(&at("09:56"));
    assert_eq!(text(&alert(&script, "team_drift"), "status"), "open");
    // Nothing comes, but ten o'clock does.
    script.watermark(&at("10:01"));
    let row = alert(&script, "team_drift");
    stands(&row, "resolved", &shifts);
    assert_eq!(int(&row, "to_ms"), ms(&at("10:00")));
}

#[test]
fn an_activity_that_begins_names_the_shift_in_what_it_takes_back() {
    let mut script = north();
    let [first, _] = with_breaks(&mut script);
    script.shift("n2", 3, &[(&at("08:00"), &at("16:00"), "on-queue")]);
    script.state("n1", &at("09:50"), "break");
    script.watermark(&at("09:58"));
    // Ahead of the others, and of the other's break: that one counts as out until it is known to be over.
    script.state("n2", &at("10:02"), "break");
    script.watermark(&at("09:59"));
    assert_eq!(text(&alert(&script, "team_drift"), "status"), "open");
    script.watermark(&at("10:03"));
    let row = alert(&script, "team_drift");
    stands(&row, "retracted", &[first]);
    assert_eq!(text(&row, "reason"), "never was true");
}

#[test]
fn an_activity_of_somebody_ahead_of_the_others_names_the_shift_too() {
    let mut script = north();
    let [first, _] = with_breaks(&mut script);
    script.state("n1", &at("09:50"), "break");
    script.state("n2", &at("09:55"), "break");
    script.watermark(&at("09:56"));
    // Out of adherence again after the break, by the one's own word: the break in between ended it.
    let away = script.state("n1", &at("10:05"), "away");
    script.watermark(&at("09:57"));
    let row = alerts(&script, "team_drift").remove(0);
    stands(&row, "resolved", &[first, away]);
    assert_eq!(int(&row, "to_ms"), ms(&at("10:00")));
}

#[test]
fn terms_that_have_waited_for_their_time_are_named() {
    let (mut script, _) = drifting();
    // From a quarter past on a drift must last nine minutes, which this one has not yet; that is said ahead of its time.
    let word = script.event(&format!(
        r#"{{"event_type": "RuleUpdate", "event_id": "nine", "timestamp": "{}", "rule": "team_drift",
        "scope": "north", "parameters": {{"agents_out_min": 2, "lasting_s": 540}}}}"#,
        at("09:15")
    ));
    script.watermark(&at("09:11"));
    let row = alert(&script, "team_drift");
    stands(&row, "resolved", &[word]);
    assert_eq!((text(&row, "reason"), int(&row, "to_ms")), ("rule changed", ms(&at("09:15"))));
    script.watermark(&at("09:14"));
    stands(&alert(&script, "team_drift"), "open", &[word]);
}

#[test]
fn who_takes_the_place_of_another_cause_is_named() {
    let mut script = north();
    let first = script.state("n1", &at("09:00"), "break");
    // Said ahead of its time: from ten past on one of the team is enough.
    let word = script.event(&format!(
        r#"{{"event_type": "RuleUpdate", "event_id": "one", "timestamp": "{}", "rule": "team_drift",
        "parameters": {{"agents_out_min": 1}}}}"#,
        at("09:10")
    ));
    script.watermark(&at("09:01"));
    stands(&alert(&script, "team_drift"), "open", &[first, word]);
    // Out still, though otherwise: it is this that will have brought the alert about at ten past.
    let away = script.state("n1", &at("09:05"), "away");
    script.watermark(&at("09:02"));
    let row = alert(&script, "team_drift");
    stands(&row, "open", &[away]);
    assert_eq!(text(&row, "causes"), format!("{word},{away}"));
}

#[test]
fn a_late_event_that_disproves_an_alert_is_its_cause() {
    let (mut script, _) = drifting();
    let late = script.state("n1", &at("09:03"), "available");
    script.watermark(&at("09:11"));
    let row = alert(&script, "team_drift");
    stands(&row, "retracted", &[late]);
    assert_eq!(text(&row, "reason"), "never was true");
}

#[test]
fn an_edit_of_the_mapping_is_the_cause_of_what_it_takes_back_and_gives() {
    let (mut script, _) = drifting();
    // Another cell of the same activity, told in the same breath, has nothing to do with it.
    let edit = mapping(&mut script, "09:11", "on-queue", "break", "neutral");
    script.watermark(&at("09:11"));
    stands(&alert(&script, "team_drift"), "retracted", &[edit]);
    mapping(&mut script, "09:12", "on-queue", "training", "in");
    script.watermark(&at("09:12"));
    stands(&alert(&script, "team_drift"), "retracted", &[edit]);
    // Said again, and back to what it was: the same alert, come true again.
    mapping(&mut script, "09:13", "on-queue", "break", "neutral");
    script.watermark(&at("09:13"));
    stands(&alert(&script, "team_drift"), "retracted", &[edit]);
    mapping(&mut script, "09:14", "on-queue", "break", "out");
    script.watermark(&at("09:14"));
    assert_eq!(text(&alert(&script, "team_drift"), "status"), "open");
    // A third is out by the mapping alone: amended by it.
    script.state("n3", &at("09:15"), "lunch");
    script.watermark(&at("09:15"));
    let excused = mapping(&mut script, "09:16", "on-queue", "lunch", "ignored");
    script.watermark(&at("09:16"));
    let row = alert(&script, "team_drift");
    stands(&row, "open", &[excused]);
    assert_eq!((int(&row, "value"), text(&row, "members")), (2, "n1, n2"));
}

#[test]
fn a_shift_that_is_edited_or_deleted_is_the_cause_of_what_it_takes_back() {
    let (mut script, _) = drifting();
    let deleted = script.shift("n1", 2, &[]);
    script.watermark(&at("09:11"));
    stands(&alert(&script, "team_drift"), "retracted", &[deleted]);

    let (mut script, _) = drifting();
    let moved =
        [(&*at("08:00"), &*at("09:05"), "on-queue"), (&*at("09:05"), &*at("10:00"), "break")];
    let edited = script.shift("n2", 2, &moved);
    script.watermark(&at("09:11"));
    stands(&alert(&script, "team_drift"), "retracted", &[edited]);
}

#[test]
fn a_move_to_another_team_is_the_cause_of_what_it_takes_back() {
    let (mut script, _) = drifting();
    let moved = script.profile("n1", &at("07:00"), "south", "site");
    script.watermark(&at("09:11"));
    stands(&alert(&script, "team_drift"), "retracted", &[moved]);
}

#[test]
fn a_word_on_the_rule_is_the_cause_of_what_it_ends_and_takes_back() {
    let off = |script: &mut Script, from: &str| {
        script.event(&format!(
            r#"{{"event_type": "RuleUpdate", "event_id": "off {from}", "timestamp": "{}",
            "rule": "team_drift", "scope": "north", "enabled": false}}"#,
            at(from)
        ))
    };
    let (mut script, _) = drifting();
    let disabled = off(&mut script, "09:11");
    script.watermark(&at("09:11"));
    let row = alert(&script, "team_drift");
    stands(&row, "resolved", &[disabled]);
    assert_eq!(text(&row, "reason"), "rule disabled");
    // From before it began.
    let disabled = off(&mut script, "09:00");
    script.watermark(&at("09:12"));
    stands(&alert(&script, "team_drift"), "retracted", &[disabled]);
}

#[test]
fn what_makes_two_alerts_one_is_the_cause_of_both() {
    let (mut script, _) = drifting();
    script.state("n1", &at("09:20"), "available");
    script.watermark(&at("09:21"));
    script.state("n1", &at("09:30"), "break");
    script.watermark(&at("09:31"));
    assert_eq!(alerts(&script, "team_drift").len(), 2);
    // A third had been out all along.
    let late = script.state("n3", &at("09:10"), "away");
    script.watermark(&at("09:32"));
    let alerts = alerts(&script, "team_drift");
    let merged: Vec<&Cells> =
        alerts.iter().filter(|row| text(row, "status") == "retracted").collect();
    let standing: Vec<&Cells> = alerts.iter().filter(|row| text(row, "status") == "open").collect();
    assert_eq!((alerts.len(), merged.len(), standing.len()), (2, 1, 1), "{alerts:?}");
    stands(merged[0], "retracted", &[late]);
    assert_eq!(text(merged[0], "reason"), format!("merged into {}", text(standing[0], "alert_id")));
    stands(standing[0], "open", &[late]);
}

/// `project` is an activity of which no mapping is known.
fn on_a_project() -> (Script, u64) {
    let mut script = Script::new(Settings::default());
    for agent in ["a", "b", "silent"] {
        script.shift(agent, 1, &[(&at("08:00"), &at("16:00"), "project")]);
    }
    script.state("a", &at("07:50"), "offline");
    script.state("b", &at("07:50"), "offline");
    mapping(&mut script, "07:00", "project", "offline", "out");
    script.watermark(&at("08:10"));
    // Of one nothing was heard at all: unknown, but nothing that a mapping could judge.
    let told = script.told();
    assert_eq!(text(&told.row("adherence_now", &["silent"]), "status"), "unknown");
    assert_eq!(alerts(&script, "mapping_missing"), []);
    let came = script.state("a", &at("08:20"), "available");
    script.watermark(&at("08:20"));
    let row = alert(&script, "mapping_missing");
    stands(&row, "open", &[came]);
    assert_eq!((text(&row, "scope"), text(&row, "members")), ("project/available", "a"));
    assert_eq!(int(&row, "from_ms"), ms(&at("08:20")));
    (script, came)
}

#[test]
fn a_missing_mapping_is_one_alert_until_it_is_mapped() {
    let (mut script, came) = on_a_project();
    let second = script.state("b", &at("08:25"), "available");
    script.watermark(&at("08:25"));
    let row = alert(&script, "mapping_missing");
    stands(&row, "open", &[second]);
    assert_eq!((int(&row, "value"), text(&row, "members")), (2, "a, b"));
    let mapped = mapping(&mut script, "08:30", "project", "available", "in");
    script.watermark(&at("08:31"));
    let row = alert(&script, "mapping_missing");
    stands(&row, "resolved", &[mapped]);
    assert_eq!((text(&row, "reason"), int(&row, "to_ms")), ("mapped", ms(&at("08:30"))));
    assert_eq!(text(&row, "causes"), came.to_string());
    assert_eq!(text(&script.told().row("adherence_now", &["a"]), "status"), "in");
}

#[test]
fn a_missing_mapping_is_over_once_nobody_needs_it() {
    let (mut script, _) = on_a_project();
    // On to another pair that lacks one.
    let left = script.state("a", &at("08:40"), "meeting");
    script.watermark(&at("08:41"));
    let alerts = alerts(&script, "mapping_missing");
    assert_eq!(alerts.len(), 2, "{alerts:?}");
    stands(&alerts[0], "resolved", &[left]);
    stands(&alerts[1], "open", &[left]);
    assert_eq!(text(&alerts[1], "scope"), "project/meeting");
}

#[test]
fn a_missing_mapping_that_never_was_is_taken_back() {
    // Somebody else's mapping had been said before; it comes late.
    let (mut script, _) = on_a_project();
    let mapped = mapping(&mut script, "08:00", "project", "available", "in");
    script.watermark(&at("08:21"));
    stands(&alert(&script, "mapping_missing"), "retracted", &[mapped]);
    // The agent had logged off at that very time: nobody was in the state.
    let (mut script, _) = on_a_project();
    let shorter = script.shift("a", 2, &[(&at("08:00"), &at("08:15"), "project")]);
    script.watermark(&at("08:21"));
    stands(&alert(&script, "mapping_missing"), "retracted", &[shorter]);
}

#[test]
fn a_state_nobody_knows_is_a_missing_mapping() {
    let mut script = Script::new(Settings::default());
    script.shift("praying", 1, &[(&at("08:00"), &at("16:00"), "OnQueue")]);
    script.watermark(&at("08:30"));
    assert_eq!(alerts(&script, "mapping_missing"), []);
    let strange = script.state("praying", &at("09:00"), "Prayer Room");
    script.watermark(&at("09:01"));
    let row = alert(&script, "mapping_missing");
    stands(&row, "open", &[strange]);
    assert_eq!(text(&row, "scope"), "on-queue/unknown");
    // Not from the shift's start on, when nothing had been heard.
    assert_eq!(int(&row, "from_ms"), ms(&at("09:00")));
}
