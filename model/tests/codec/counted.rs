//! What is unknown is counted, and what may vary is read alike.

use highwater_model::{AbandonStage, AgentState, Channel, Event, Verdict};

use crate::decoded;

#[track_caller]
fn counts(json: &str) -> (u32, u32) {
    let decoded = decoded(json);
    (decoded.unknown_fields, decoded.unknown_values)
}

const HEAD: &str = r#""event_id": "e", "timestamp": "2026-05-15T14:32:07Z""#;

fn arrival(fields: &str) -> String {
    format!(
        r#"{{"event_type": "ContactArrival", {HEAD}, "contact_id": "c", "queue_id": "q", {fields}}}"#
    )
}

#[test]
fn unknown_fields() {
    let deep = format!(r#""channel": "chat", "x": {}{}"#, "[".repeat(5000), "]".repeat(5000));
    for (fields, unknown) in [
        (r#""channel": "chat""#, 0),
        (r#""channel": "chat", "colour": "red""#, 1),
        (r#""channel": "chat", "x": {"y": [1, {"z": null}]}, "": 1, "é": 2"#, 3),
        // Twice the same unknown field is none of our business.
        (r#""channel": "chat", "x": 1, "x": 2"#, 2),
        // Fields of other event types, whatever their value.
        (r#""channel": "chat", "skills": 5, "handle_time_ms": "soon", "opening": [[]]"#, 3),
        // Known, and of no use to us.
        (r#""channel": "chat", "ani": {"a": 1}, "ivr_path": "main/2""#, 0),
        // Skipped without recursion.
        (&deep, 1),
    ] {
        assert_eq!(counts(&arrival(fields)), (unknown, 0), "{fields}");
    }
    // Nested ones count too.
    let schedule = format!(
        r#"{{"event_type": "ScheduleUpdate", {HEAD}, "agent_id": "a", "shift_id": "s", "version": 1.0,
        "activities": [{{"start": "2026-05-15T08:00:00Z", "end": "2026-05-15T09:00:00Z", "paid": true,
        "activity_code": "break", "note": {{"by": "me"}}}}]}}"#
    );
    assert_eq!(counts(&schedule), (2, 0));
}

#[test]
fn unknown_values() {
    let json = arrival(r#""channel": "carrier pigeon""#);
    assert_eq!(counts(&json), (0, 1));
    let Event::ContactArrival(event) = decoded(&json).envelope.event else { panic!() };
    assert_eq!(event.channel, Channel::Unknown);
    assert_eq!(counts(&arrival(r#""channel": "unknown""#)), (0, 0));

    let json = format!(
        r#"{{"event_type": "AgentStateChange", {HEAD}, "agent_id": "a", "previous_state": "dancing",
        "new_state": ""}}"#
    );
    assert_eq!(counts(&json), (0, 2));
    let Event::AgentStateChange(event) = decoded(&json).envelope.event else { panic!() };
    assert_eq!((event.previous, event.new), (AgentState::Unknown, AgentState::Unknown));

    let json = format!(
        r#"{{"event_type": "ActivityMapping", {HEAD}, "activity_code": "break", "state": "juggling",
        "verdict": "maybe"}}"#
    );
    assert_eq!(counts(&json), (0, 2));
    let Event::ActivityMapping(event) = decoded(&json).envelope.event else { panic!() };
    assert_eq!((event.state, event.verdict), (AgentState::Unknown, Verdict::Unmapped));

    let json = format!(
        r#"{{"event_type": "ContactAbandoned", {HEAD}, "contact_id": "c", "queue_id": "q", "wait_ms": 1,
        "stage": "lift"}}"#
    );
    assert_eq!(counts(&json), (0, 1));
    let Event::ContactAbandoned(event) = decoded(&json).envelope.event else { panic!() };
    assert_eq!(event.stage, AbandonStage::Queue);
}

#[test]
fn absent_null_and_empty_optionals_are_none() {
    for fields in [
        "",
        r#", "previous_state": null, "state_reason": null, "queue_id": null, "contact_id": null, "source": null"#,
        r#", "state_reason": "", "queue_id": "", "contact_id": "", "source": """#,
    ] {
        let json = format!(
            r#"{{"event_type": "AgentStateChange", {HEAD}, "agent_id": "a", "new_state": "ON_QUEUE"{fields}}}"#
        );
        assert_eq!(counts(&json), (0, 0));
        let Event::AgentStateChange(event) = decoded(&json).envelope.event else { panic!() };
        assert_eq!((event.previous, event.new), (AgentState::Unknown, AgentState::OnQueue));
        assert_eq!((event.reason, event.queue, event.contact, event.source), Default::default());
    }
}

#[test]
fn numbers_as_floats() {
    for (number, seconds) in
        [("285", 285), ("285.0", 285), ("2.85e2", 285), ("285.4", 285), ("285.5", 286), ("-0.0", 0)]
    {
        let json = arrival(&format!(r#""channel": "chat", "estimated_handle_time": {number}"#));
        let Event::ContactArrival(event) = decoded(&json).envelope.event else { panic!() };
        assert_eq!(event.estimated_handle_s, Some(seconds), "{number}");
    }
}

/// The type may come last, and field names and values may be escaped: the journal takes what JSON allows.
#[test]
fn order_and_escapes() {
    let json = r#" {"queue_id": "q\u0031", "ch\u0061nnel": "\u0056oice", "contact_id": "c\/1", "event_id": "\u0065",
        "timestamp": "2026-05-15T14:32:07\u005a", "event_type": "Contact\u0041rrival"} "#;
    let plain = r#"{"event_type": "ContactArrival", "event_id": "e", "timestamp": "2026-05-15T14:32:07Z",
        "contact_id": "c/1", "queue_id": "q1", "channel": "voice"}"#;
    assert_eq!(decoded(json), decoded(plain));
}
