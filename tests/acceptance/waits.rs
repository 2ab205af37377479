//! Acceptance of unknown waits: an answered contact of which no event tells how long it waited was not answered at once.

use highwater_dataflow::view::Value;
use highwater_queries::{Attribute, Attribution, Settings};

use super::script::{Cells, Script, int, tenths};

fn at(time: &str) -> String {
    format!("2025-06-02T{time}Z")
}

fn contact(script: &mut Script, kind: &str, contact: &str, time: &str, more: &str) {
    script.event(&format!(
        r#"{{"event_type": "{kind}", "event_id": "{kind} {contact}", "timestamp": "{}",
        "contact_id": "{contact}", "queue_id": "q", "channel": "voice"{more}}}"#,
        at(time)
    ));
}

/// Handled for a minute; `more` may tell the wait.
fn completed(script: &mut Script, id: &str, time: &str, more: &str) {
    let more = format!(
        r#", "agent_id": "a", "handle_time_ms": 60000, "talk_time_ms": 60000, "hold_time_ms": 0,
        "acw_time_ms": 0{more}"#
    );
    contact(script, "ContactComplete", id, time, &more);
}

fn answered(script: &mut Script, id: &str, time: &str) {
    script.event(&format!(
        r#"{{"event_type": "AgentStateChange", "event_id": "answer {id}", "timestamp": "{}",
        "agent_id": "a", "new_state": "on-call", "contact_id": "{id}", "queue_id": "q"}}"#,
        at(time)
    ));
}

fn row(script: &Script) -> Cells {
    let mut rows = script.told().rows("queue_interval", &["q"]);
    rows.retain(|row| int(row, "answered") > 0);
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows.remove(0)
}

const LEVELS: [&str; 6] = [
    "service_level_pct",
    "sl_offered_pct",
    "sl_answered_pct",
    "sl_connect_pct",
    "sl_excl_abandoned_pct",
    "sl_excl_short_pct",
];

fn levels(row: &Cells) -> [Option<i64>; 6] {
    LEVELS.map(|column| tenths(row, column))
}

/// Two of which nothing but the answer is known: one told by its agent, one by its completion.
fn two_unknown() -> Script {
    let mut script = Script::new(Settings { empty_intervals: false, ..Settings::default() });
    answered(&mut script, "one", "09:01:00");
    completed(&mut script, "two", "09:03:00", "");
    script
}

#[test]
fn an_unknown_wait_is_no_service_level_and_no_average() {
    let mut script = two_unknown();
    script.watermark(&at("09:20:00"));
    let row = row(&script);
    let counts = ["answered", "answered_in_time", "wait_unknown", "wait_ms", "completed"];
    assert_eq!(counts.map(|column| int(&row, column)), [2, 0, 2, 0, 1]);
    assert_eq!(levels(&row), [None; 6]);
    assert_eq!((&row["asa_ms"], &row["service_level_definition"]), (&Value::Null, &Value::Null));
    assert_eq!(row["aht_ms"], Value::Real(60_000.0));
    assert_eq!(tenths(&row, "abandon_pct"), Some(0), "nobody gave up, whoever waited how long");
}

#[test]
fn known_waits_beside_unknown_ones_make_the_figures_alone() {
    let mut script = two_unknown();
    // Answered at once, which is known: after 10 s, as its completion tells, and after 40 s, as the arrival does.
    contact(&mut script, "ContactArrival", "three", "09:05:00", "");
    answered(&mut script, "three", "09:05:00");
    completed(&mut script, "four", "09:06:00", r#", "wait_ms": 10000"#);
    contact(&mut script, "ContactArrival", "five", "09:06:00", "");
    answered(&mut script, "five", "09:06:40");
    contact(&mut script, "ContactAbandoned", "six", "09:07:00", r#", "wait_ms": 3000"#);
    contact(&mut script, "ContactAbandoned", "seven", "09:08:00", r#", "wait_ms": 30000"#);
    script.watermark(&at("09:20:00"));
    let known = row(&script);
    let counts = ["answered", "answered_in_time", "wait_unknown", "wait_ms", "abandoned"];
    assert_eq!(counts.map(|column| int(&known, column)), [5, 2, 2, 50_000, 2]);
    // 2/5, 2/3, 3/5, 2/4 and 2/4.
    let should = [400, 400, 667, 600, 500, 500].map(Some);
    assert_eq!(levels(&known), should);
    assert_eq!(tenths(&known, "abandon_pct"), Some(286), "2 of 7 gave up");
    assert_eq!(known["asa_ms"], Value::Real(50_000.0 / 3.0));

    // The arrival of the first comes late: after 20 s, in time.
    contact(&mut script, "ContactArrival", "one", "09:00:40", "");
    script.watermark(&at("09:20:01"));
    let row = row(&script);
    let counts = ["answered", "answered_in_time", "wait_unknown", "wait_ms"];
    assert_eq!(counts.map(|column| int(&row, column)), [5, 3, 1, 70_000]);
    assert_eq!(levels(&row), [500, 500, 750, 667, 600, 600].map(Some));
}

#[test]
fn counted_by_offer_an_unknown_wait_counts_where_it_was_answered() {
    let attribution = Attribution { counts: Attribute::Offered, handle_time: Attribute::Event };
    let mut script =
        Script::new(Settings { attribution, empty_intervals: false, ..Settings::default() });
    answered(&mut script, "one", "09:01:00");
    script.watermark(&at("09:20:00"));
    let row = row(&script);
    assert_eq!((int(&row, "wait_unknown"), levels(&row)), (1, [None; 6]));
    assert_eq!(int(&row, "interval_start_ms"), super::script::ms(&at("09:00:00")));
}
