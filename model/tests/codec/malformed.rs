//! What is refused, and the reason the sender reads.

use highwater_model::{Malformed, decode};

#[track_caller]
fn check(raw: impl AsRef<[u8]>, reason: &str) {
    let raw = raw.as_ref();
    let Err(Malformed(actual)) = decode(raw) else {
        panic!("taken: {}", String::from_utf8_lossy(raw));
    };
    assert_eq!(actual, reason, "{}", String::from_utf8_lossy(raw));
}

/// `base` with one piece replaced.
#[track_caller]
fn with(base: &str, piece: &str, by: &str) -> String {
    assert_eq!(base.matches(piece).count(), 1, "{piece} in {base}");
    base.replace(piece, by)
}

const STATE: &str = r#"{"event_type":"AgentStateChange","event_id":"e1","timestamp":"2026-05-15T14:32:07.123Z","agent_id":"a1","new_state":"on-call"}"#;
const COMPLETE: &str = r#"{"event_type":"ContactComplete","event_id":"e1","timestamp":"2026-05-15T14:32:07.123Z","contact_id":"c1","queue_id":"q1","agent_id":"a1","handle_time_ms":6,"talk_time_ms":3,"hold_time_ms":2,"acw_time_ms":1,"transfer":false}"#;
const UPDATE: &str = r#"{"event_type":"QueueUpdate","event_id":"e1","timestamp":"2026-05-15T14:32:10Z","queue_id":"q1","contacts_waiting":7,"longest_wait_seconds":42,"agents_available":12,"agents_on_call":23,"agents_acw":5,"agents_aux":3,"service_level_current":0.78}"#;
const PROFILE: &str = r#"{"event_type":"AgentProfile","event_id":"e1","timestamp":"2026-05-15T14:32:10Z","agent_id":"a1","team_id":"t1","site_id":"s1","skills":["q1","q2"]}"#;
const SCHEDULE: &str = r#"{"event_type":"ScheduleUpdate","event_id":"e1","timestamp":"2026-05-15T14:32:10Z","agent_id":"a1","shift_id":"s1","version":3,"activities":[{"start":"2026-05-15T08:00:00Z","end":"2026-05-15T09:00:00Z","activity_code":"break"}]}"#;
const MAPPING: &str = r#"{"event_type":"ActivityMapping","event_id":"e1","timestamp":"2026-05-15T14:32:10Z","activity_code":"break","state":"away","verdict":"in"}"#;
const QUEUE: &str = r#"{"event_type":"QueueProfile","event_id":"e1","timestamp":"2026-05-15T14:32:10Z","queue_id":"q1","channel":"voice","service_level_target":0.8,"service_level_threshold_s":20,"opening":{"time_zone":"UTC","weekdays":["mon"],"opens":"08:00","closes":"20:00"}}"#;
const FORECAST: &str = r#"{"event_type":"ForecastUpdate","event_id":"e1","timestamp":"2026-05-15T14:32:10Z","queue_id":"q1","interval_start":"2026-05-15T08:00:00Z","interval_end":"2026-05-15T08:15:00Z","volume":8.5,"aht_s":290}"#;

const RULE: &str = r#"{"event_type":"RuleUpdate","event_id":"e1","timestamp":"2026-05-15T14:32:10Z","rule":"team_drift","enabled":true,"parameters":{"lasting_s":60}}"#;

#[test]
fn the_bases_themselves_are_taken() {
    for base in [STATE, COMPLETE, UPDATE, PROFILE, SCHEDULE, MAPPING, QUEUE, FORECAST, RULE] {
        assert!(decode(base.as_bytes()).is_ok(), "{base}");
    }
}

#[test]
fn no_object() {
    check("", "not JSON: EOF while parsing a value at line 1 column 0");
    check("hello", "not JSON: expected value at line 1 column 1");
    check("null", "not an event: invalid type: null, expected one JSON object at line 1 column 4");
    check(
        "17",
        "not an event: invalid type: integer `17`, expected one JSON object at line 1 column 2",
    );
    check(
        "[]",
        "not an event: invalid type: sequence, expected one JSON object at line 1 column 0",
    );
    check("{}", "`event_type` is missing; it must be text");
    check("{", "not JSON: EOF while parsing an object at line 1 column 1");
    check(&STATE[..40], "not JSON: EOF while parsing a string at line 1 column 40");
    check(format!("{STATE}{STATE}"), "not JSON: trailing characters at line 1 column 127");
    check(with(STATE, "\"a1\"", "NaN"), "not JSON: expected value at line 1 column 100");
    check(with(COMPLETE, ":6", ":1e999"), "not JSON: number out of range at line 1 column 159");
    check(b"{\"event_type\":\"\xff\"}", "not UTF-8 from byte 15");
    check(b"{\"x\":\"\xc3\x28\"}", "not UTF-8 from byte 6");
    check(
        with(STATE, "\"a1\"", "\"\\ud800\""),
        "not JSON: unexpected end of hex escape at line 1 column 107",
    );
}

#[test]
fn depth_bomb_in_a_field_we_keep() {
    let bomb = "[".repeat(100_000);
    let Err(Malformed(reason)) = decode(with(PROFILE, "[\"q1\",\"q2\"]", &bomb).as_bytes()) else {
        panic!("taken");
    };
    assert!(reason.starts_with("not JSON: recursion limit exceeded"), "{reason}");
    let Err(Malformed(reason)) = decode(bomb.as_bytes()) else { panic!("taken") };
    assert!(reason.starts_with("not an event: invalid type: sequence"), "{reason}");
}

#[test]
fn identity_and_time() {
    check(with(STATE, "\"event_id\":\"e1\",", ""), "`event_id` is missing; it must be text");
    check(with(STATE, "\"e1\"", "\"\""), "`event_id` must not be empty");
    check(with(STATE, "\"e1\"", "\"  \""), "`event_id` must not be empty");
    check(with(STATE, "\"e1\"", "17"), "`event_id` must be text, not a number");
    check(with(STATE, "\"e1\"", "null"), "`event_id` must be text, not null");
    check(
        with(STATE, "AgentStateChange", "AgentStateChanged"),
        "`event_type` must be one of AgentStateChange, ContactArrival, ContactComplete, ContactAbandoned, \
         QueueUpdate, ForecastRefresh, AgentProfile, ScheduleUpdate, ActivityMapping, QueueProfile, \
         ForecastUpdate, RuleUpdate, not \"AgentStateChanged\"",
    );
    check(with(STATE, "\"AgentStateChange\"", "[1]"), "`event_type` must be text, not a list");
    for timestamp in ["2021-04-2T", "2023-02-29T00:00:00.000Z", "2026-05-15T14:32:07.123", ""] {
        check(
            with(STATE, "2026-05-15T14:32:07.123Z", timestamp),
            &format!(
                "`timestamp` must be an RFC 3339 instant such as 2026-05-15T14:32:07.123Z, not {timestamp:?}"
            ),
        );
    }
    check(
        with(STATE, "\"2026-05-15T14:32:07.123Z\"", "1778855527123"),
        "`timestamp` must be an RFC 3339 instant such as 2026-05-15T14:32:07.123Z, not a number",
    );
    check(
        with(STATE, "\"a1\"", "\"a1\",\"agent_id\":\"a2\""),
        "`agent_id` appears more than once; send it once",
    );
    check(
        with(STATE, "\"a1\"", "\"a1\",\"\\u0061gent_id\":\"a1\""),
        "`agent_id` appears more than once; send it once",
    );
}

#[test]
fn texts() {
    let long = format!("\"{}\"", "a".repeat(257));
    for (agent, reason) in [
        ("17", "must be text, not a number"),
        ("1.5", "must be text, not a number"),
        ("true", "must be text, not true or false"),
        ("null", "must be text, not null"),
        ("[\"a1\"]", "must be text, not a list"),
        ("{\"id\":1}", "must be text, not an object"),
        ("\"\"", "must not be empty"),
        ("\"\\t\"", "must not be empty"),
        ("\"a\\u0000\"", "must not hold control characters"),
        (&long, "has 257 bytes, at most 256 are taken"),
    ] {
        check(with(STATE, "\"a1\"", agent), &format!("AgentStateChange: `agent_id` {reason}"));
    }
    assert!(decode(with(STATE, "\"a1\"", &long.replacen('a', "", 1)).as_bytes()).is_ok());
    check(
        with(STATE, ",\"agent_id\":\"a1\"", ""),
        "AgentStateChange: `agent_id` is missing; it must be text",
    );
    check(
        with(STATE, "\"on-call\"", "null"),
        "AgentStateChange: `new_state` must be text, not null",
    );
    check(
        with(STATE, "\"on-call\"", "\"on-call\",\"queue_id\":4"),
        "AgentStateChange: `queue_id` must be text, not a number",
    );
    check(
        with(STATE, "\"on-call\"", "\"on-call\",\"queue_id\":\" \""),
        "AgentStateChange: `queue_id` must not be empty",
    );
    let reason = "r".repeat(1025);
    check(
        with(STATE, "\"on-call\"", &format!("\"on-call\",\"state_reason\":\"{reason}\"")),
        "AgentStateChange: `state_reason` has 1025 bytes, at most 1024 are taken",
    );
    check(
        with(COMPLETE, "false", "\"no\""),
        "ContactComplete: `transfer` must be true or false, not text",
    );
}

#[test]
fn numbers() {
    for (number, reason) in [
        ("\"6\"", "must be a number, not text"),
        ("null", "must be a number, not null"),
        ("-1", "must be between 0 and 100000000000"),
        ("100000000001", "must be between 0 and 100000000000"),
        ("9223372036854775807", "must be between 0 and 100000000000"),
        ("18446744073709551615", "must be between 0 and 100000000000"),
        ("1e300", "must be between 0 and 100000000000"),
        ("-1e300", "must be between 0 and 100000000000"),
    ] {
        check(
            with(COMPLETE, ":6", &format!(":{number}")),
            &format!("ContactComplete: `handle_time_ms` {reason}"),
        );
    }
    for (number, reason) in [
        ("7.5", "must be a whole number"),
        ("1e300", "must be a whole number"),
        ("-1", "must be between 0 and 100000000000"),
        ("\"7\"", "must be a whole number, not text"),
    ] {
        check(
            with(UPDATE, ":7,", &format!(":{number},")),
            &format!("QueueUpdate: `contacts_waiting` {reason}"),
        );
    }
    for share in ["78", "-0.1", "1.000001", "1e300"] {
        check(
            with(UPDATE, "0.78", share),
            "QueueUpdate: `service_level_current` must be between 0 and 1",
        );
    }
    check(
        with(SCHEDULE, ":3,", ":-3,"),
        "ScheduleUpdate: `version` must be between 0 and 9223372036854775807",
    );
    check(with(SCHEDULE, ":3,", ":1.8e18,"), "ScheduleUpdate: `version` must be a whole number");
    check(
        with(FORECAST, "8.5", "100000001"),
        "ForecastUpdate: `volume` must be between 0 and 100000000",
    );
}

#[test]
fn lists_and_objects() {
    check(
        with(PROFILE, "[\"q1\",\"q2\"]", "\"q1\""),
        "AgentProfile: `skills` must be a list, not text",
    );
    check(with(PROFILE, "\"q2\"", "2"), "AgentProfile: `skills[1]` must be text, not a number");
    check(with(PROFILE, "\"q2\"", "\"\""), "AgentProfile: `skills[1]` must not be empty");
    check(
        with(PROFILE, ",\"skills\":[\"q1\",\"q2\"]", ""),
        "AgentProfile: `skills` is missing; it must be a list",
    );
    let many = format!("[\"q\"{}]", ",\"q\"".repeat(1000));
    check(
        with(PROFILE, "[\"q1\",\"q2\"]", &many),
        "AgentProfile: `skills` has 1001 items; split it, at most 1000 are taken",
    );

    let end = "\"2026-05-15T09:00:00Z\"";
    for (piece, by, reason) in [
        (
            end,
            "\"2026-05-15T08:00:00Z\"",
            "`activities[0].end` must be after `activities[0].start`",
        ),
        (
            end,
            "\"2026-05-15T07:59:59Z\"",
            "`activities[0].end` must be after `activities[0].start`",
        ),
        (
            end,
            "\"2027-06-15T09:00:00Z\"",
            "`activities[0].end` must be at most 366 days after `activities[0].start`",
        ),
        (
            end,
            "8",
            "`activities[0].end` must be an RFC 3339 instant such as 2026-05-15T14:32:07.123Z, not a number",
        ),
        ("\"break\"", "\"--\"", "`activities[0].activity_code` must hold a letter or a digit"),
        (
            ",\"activity_code\":\"break\"",
            "",
            "`activities[0].activity_code` is missing; it must be text",
        ),
        (
            "\"break\"",
            "\"break\",\"end\":\"2026-05-15T09:30:00Z\"",
            "`activities[0].end` appears more than once; send it once",
        ),
        ("[{", "[7,{", "`activities[0]` must be an object, not a number"),
    ] {
        check(with(SCHEDULE, piece, by), &format!("ScheduleUpdate: {reason}"));
    }
    check(
        with(MAPPING, "\"activity_code\":\"break\",", ""),
        "ActivityMapping: `activity_code` is missing; it must be text",
    );
    check(
        with(MAPPING, "\"break\"", "null"),
        "ActivityMapping: `activity_code` must name an activity, not null: time in which nothing is scheduled is \
         always unscheduled, whatever the state; leave this mapping out",
    );
    check(
        with(FORECAST, "T08:15", "T07:15"),
        "ForecastUpdate: `interval_end` must be after `interval_start`",
    );
}

#[test]
fn opening_hours() {
    for (piece, by, reason) in [
        (
            "\"UTC\"",
            "\"Europe/Berln\"",
            "`opening.time_zone` must be an IANA time zone such as Europe/Berlin, not \"Europe/Berln\"",
        ),
        (
            "\"mon\"",
            "\"mon\",\"day\"",
            "`opening.weekdays[1]` must be a weekday such as mon, not \"day\"",
        ),
        ("[\"mon\"]", "\"mon\"", "`opening.weekdays` must be a list, not text"),
        (
            "\"08:00\"",
            "\"8:00\"",
            "`opening.opens` must be a time of day such as 08:00, not \"8:00\"",
        ),
        (
            "\"08:00\"",
            "\"08:60\"",
            "`opening.opens` must be a time of day such as 08:00, not \"08:60\"",
        ),
        ("\"08:00\"", "\"24:00\"", "`opening.opens` must be before 24:00"),
        (
            "\"20:00\"",
            "\"24:01\"",
            "`opening.closes` must be a time of day such as 08:00, not \"24:01\"",
        ),
        ("\"20:00\"", "20", "`opening.closes` must be text, not a number"),
        (",\"closes\":\"20:00\"", "", "`opening.closes` is missing; it must be text"),
    ] {
        check(with(QUEUE, piece, by), &format!("QueueProfile: {reason}"));
    }
    let (head, _) = QUEUE.split_once("{\"time_zone").unwrap();
    check(format!("{head}true}}"), "QueueProfile: `opening` must be an object, not true or false");
}

#[test]
fn rules() {
    check(with(RULE, "\"team_drift\"", "7"), "RuleUpdate: `rule` must be text, not a number");
    check(with(RULE, "true", "1"), "RuleUpdate: `enabled` must be true or false, not a number");
    check(
        with(RULE, "{\"lasting_s\":60}", "[60]"),
        "RuleUpdate: `parameters` must be an object, not a list",
    );
    check(
        with(RULE, "60", "\"60\""),
        "RuleUpdate: `parameters.lasting_s` must be a number, not text",
    );
    check(
        with(RULE, "60", "1e12"),
        "RuleUpdate: `parameters.lasting_s` must be between -100000000 and 100000000",
    );
    check(
        with(RULE, "60", "60,\"lasting_s\":61"),
        "RuleUpdate: `parameters` has \"lasting_s\" more than once; send it once",
    );
    check(with(RULE, "lasting_s", " "), "RuleUpdate: `parameters[0]` must not be empty");
}
