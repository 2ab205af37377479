//! The five samples of the sources and one of each event of our own: every field lands where it belongs.

use highwater_model::{
    AbandonStage, Activity, ActivityMapping, AgentProfile, AgentState, AgentStateChange, Channel,
    ContactAbandoned, ContactArrival, ContactComplete, Envelope, Event, EventKey, ForecastRefresh,
    ForecastUpdate, Opening, QueueProfile, QueueUpdate, RuleParameter, RuleUpdate, ScheduleUpdate,
    ServiceLevel, Verdict, encode, parse_ms,
};

use crate::decoded;

/// Decodes to `event` with nothing unknown, and what is encoded from that decodes to the same.
#[track_caller]
fn check(json: &str, event_id: &str, timestamp: &str, event: Event) {
    let at = parse_ms(timestamp).unwrap();
    let envelope = Envelope { seq: 0, key: EventKey::of(event_id), at, event };
    let decoded_once = decoded(json);
    assert_eq!(decoded_once.envelope, envelope);
    assert_eq!((decoded_once.unknown_fields, decoded_once.unknown_values), (0, 0));
    let again = encode(&envelope, event_id);
    assert_eq!(decoded(&again).envelope, envelope, "{again}");
}

#[test]
fn agent_state_change() {
    let json = r#"{
        "event_type": "AgentStateChange",
        "event_id": "evt-20260515-143207-a4821",
        "timestamp": "2026-05-15T14:32:07.123Z",
        "agent_id": "agent-4821",
        "previous_state": "available",
        "new_state": "on-call",
        "state_reason": null,
        "queue_id": "queue-billing-voice",
        "contact_id": "contact-99281",
        "source": "genesys-cloud"
    }"#;
    let event = AgentStateChange {
        agent: "agent-4821".into(),
        previous: AgentState::Available,
        new: AgentState::OnCall,
        reason: None,
        queue: Some("queue-billing-voice".into()),
        contact: Some("contact-99281".into()),
        source: Some("genesys-cloud".into()),
    };
    let at = "2026-05-15T14:32:07.123Z";
    check(json, "evt-20260515-143207-a4821", at, Event::AgentStateChange(event));

    // Encoded, it is the sample itself without its white space.
    let compact: String = json.split_whitespace().collect();
    assert_eq!(encode(&decoded(json).envelope, "evt-20260515-143207-a4821"), compact);
}

#[test]
fn contact_arrival() {
    let json = r#"{
        "event_type": "ContactArrival",
        "event_id": "evt-20260515-143208-c99282",
        "timestamp": "2026-05-15T14:32:08.456Z",
        "contact_id": "contact-99282",
        "queue_id": "queue-billing-voice",
        "channel": "voice",
        "ani": "+1555XXXX789",
        "ivr_path": ["main-menu", "billing", "agent"],
        "estimated_handle_time": 285
    }"#;
    let event = ContactArrival {
        contact: "contact-99282".into(),
        queue: "queue-billing-voice".into(),
        channel: Channel::Voice,
        estimated_handle_s: Some(285),
    };
    let at = "2026-05-15T14:32:08.456Z";
    check(json, "evt-20260515-143208-c99282", at, Event::ContactArrival(event));
}

#[test]
fn contact_complete() {
    let json = r#"{
        "event_type": "ContactComplete",
        "event_id": "evt-20260515-143845-c99281",
        "timestamp": "2026-05-15T14:38:45.789Z",
        "contact_id": "contact-99281",
        "queue_id": "queue-billing-voice",
        "agent_id": "agent-4821",
        "handle_time_ms": 285432,
        "talk_time_ms": 221000,
        "hold_time_ms": 18000,
        "acw_time_ms": 46432,
        "disposition": "resolved",
        "transfer": false
    }"#;
    let event = ContactComplete {
        contact: "contact-99281".into(),
        queue: "queue-billing-voice".into(),
        agent: "agent-4821".into(),
        handle_ms: 285_432,
        talk_ms: 221_000,
        hold_ms: 18_000,
        acw_ms: 46_432,
        disposition: Some("resolved".into()),
        transfer: false,
        wait_ms: None,
    };
    let at = "2026-05-15T14:38:45.789Z";
    check(json, "evt-20260515-143845-c99281", at, Event::ContactComplete(event.clone()));

    let compact: String = json.split_whitespace().collect();
    assert_eq!(encode(&decoded(json).envelope, "evt-20260515-143845-c99281"), compact);

    let json = json.replace("\"transfer\": false", "\"transfer\": true, \"wait_ms\": 4200");
    let event = ContactComplete { transfer: true, wait_ms: Some(4200), ..event };
    check(&json, "evt-20260515-143845-c99281", at, Event::ContactComplete(event));
}

#[test]
fn queue_update() {
    let json = r#"{
        "event_type": "QueueUpdate",
        "event_id": "evt-20260515-143210-q001",
        "timestamp": "2026-05-15T14:32:10.000Z",
        "queue_id": "queue-billing-voice",
        "contacts_waiting": 7,
        "longest_wait_seconds": 42,
        "agents_available": 12,
        "agents_on_call": 23,
        "agents_acw": 5,
        "agents_aux": 3,
        "service_level_current": 0.78,
        "interval_volume_so_far": 87,
        "interval_aht_so_far": 292.4
    }"#;
    let event = QueueUpdate {
        queue: "queue-billing-voice".into(),
        contacts_waiting: 7,
        longest_wait_s: 42,
        agents_available: 12,
        agents_on_call: 23,
        agents_acw: 5,
        agents_aux: 3,
        service_level_ppm: Some(780_000),
        interval_volume: Some(87),
        interval_aht_ms: Some(292_400),
    };
    let at = "2026-05-15T14:32:10.000Z";
    check(json, "evt-20260515-143210-q001", at, Event::QueueUpdate(event));

    let compact: String = json.split_whitespace().collect();
    assert_eq!(encode(&decoded(json).envelope, "evt-20260515-143210-q001"), compact);
}

#[test]
fn forecast_refresh() {
    let json = r#"{
        "event_type": "ForecastRefresh",
        "event_id": "evt-20260515-143500-f001",
        "timestamp": "2026-05-15T14:35:00.000Z",
        "forecast_version": "intraday-20260515-1435",
        "queue_id": "queue-billing-voice",
        "intervals_updated": 38,
        "trigger": "scheduled_15min",
        "method": "bayesian_update",
        "volume_change_pct": 4.2,
        "confidence": 0.85
    }"#;
    let event = ForecastRefresh {
        forecast_version: "intraday-20260515-1435".into(),
        queue: "queue-billing-voice".into(),
        intervals_updated: 38,
        trigger: "scheduled_15min".into(),
        method: "bayesian_update".into(),
        volume_change_mpct: 4200,
        confidence_ppm: 850_000,
    };
    let at = "2026-05-15T14:35:00.000Z";
    check(json, "evt-20260515-143500-f001", at, Event::ForecastRefresh(event.clone()));

    let compact: String = json.split_whitespace().collect();
    assert_eq!(encode(&decoded(json).envelope, "evt-20260515-143500-f001"), compact);

    let event = ForecastRefresh { volume_change_mpct: -12_500, ..event };
    let json = json.replace("4.2", "-12.5");
    check(&json, "evt-20260515-143500-f001", at, Event::ForecastRefresh(event));
}

#[test]
fn contact_abandoned() {
    let event = ContactAbandoned {
        contact: "c1".into(),
        queue: "q1".into(),
        wait_ms: 12_345,
        stage: AbandonStage::Queue,
    };
    let json = r#"{"event_type": "ContactAbandoned", "event_id": "e", "timestamp": "1999-02-01T08:00:00Z",
        "contact_id": "c1", "queue_id": "q1", "wait_ms": 12345}"#;
    check(json, "e", "1999-02-01T08:00:00Z", Event::ContactAbandoned(event.clone()));

    let event = ContactAbandoned { stage: AbandonStage::Ivr, ..event };
    let json = json.replace("12345", r#"12345, "stage": "IVR""#);
    check(&json, "e", "1999-02-01T08:00:00Z", Event::ContactAbandoned(event));
}

#[test]
fn agent_profile() {
    let json = r#"{"event_type": "AgentProfile", "event_id": "e", "timestamp": "2026-05-15T00:00:00+02:00",
        "agent_id": "agent-1", "name": "Zo\u00eb \"Zo\" \ud83d\ude00", "team_id": "t1", "site_id": "s1",
        "skills": ["billing", "sales"]}"#;
    let event = AgentProfile {
        agent: "agent-1".into(),
        name: Some("Zoë \"Zo\" 😀".into()),
        team: "t1".into(),
        site: "s1".into(),
        skills: vec!["billing".into(), "sales".into()],
    };
    check(json, "e", "2026-05-14T22:00:00Z", Event::AgentProfile(event));
}

#[test]
fn schedule_update() {
    let json = r#"{"event_type": "ScheduleUpdate", "event_id": "e", "timestamp": "2026-05-14T17:00:00Z",
        "agent_id": "agent-1", "shift_id": "agent-1/2026-05-15", "version": 1778855527123456789, "activities": [
        {"start": "2026-05-15T08:00:00Z", "end": "2026-05-15T10:00:00Z", "activity_code": "ON_QUEUE"},
        {"start": "2026-05-15T12:00:00+02:00", "end": "2026-05-15T10:15:00Z", "activity_code": "Break"}]}"#;
    let activity = |start: &str, end: &str, code: &str| Activity {
        start_at: parse_ms(start).unwrap(),
        end_at: parse_ms(end).unwrap(),
        code: code.into(),
    };
    let event = ScheduleUpdate {
        agent: "agent-1".into(),
        shift: "agent-1/2026-05-15".into(),
        version: 1_778_855_527_123_456_789,
        activities: vec![
            activity("2026-05-15T08:00:00Z", "2026-05-15T10:00:00Z", "on-queue"),
            activity("2026-05-15T10:00:00Z", "2026-05-15T10:15:00Z", "break"),
        ],
    };
    check(json, "e", "2026-05-14T17:00:00Z", Event::ScheduleUpdate(event));

    let deleted = r#"{"event_type": "ScheduleUpdate", "event_id": "e", "timestamp": "2026-05-14T17:00:00Z",
        "agent_id": "a", "shift_id": "s", "version": 2, "activities": []}"#;
    let event =
        ScheduleUpdate { agent: "a".into(), shift: "s".into(), version: 2, activities: Vec::new() };
    check(deleted, "e", "2026-05-14T17:00:00Z", Event::ScheduleUpdate(event));
}

#[test]
fn activity_mapping() {
    let json = r#"{"event_type": "ActivityMapping", "event_id": "e", "timestamp": "2026-01-01T00:00:00Z",
        "activity_code": "On Queue", "state": "NOT_RESPONDING", "verdict": "out"}"#;
    let event = ActivityMapping {
        activity: "on-queue".into(),
        state: AgentState::NotResponding,
        verdict: Verdict::Out,
    };
    check(json, "e", "2026-01-01T00:00:00Z", Event::ActivityMapping(event));
}

#[test]
fn queue_profile() {
    let json = r#"{"event_type": "QueueProfile", "event_id": "e", "timestamp": "2026-01-01T00:00:00Z",
        "queue_id": "q1", "channel": "VOICE", "service_level_target": 0.8, "service_level_threshold_s": 20,
        "short_abandon_s": 2.5, "service_level_definition": "short_abandons_excluded",
        "overflow_threshold": 10, "opening": {"time_zone": "Europe/Berlin",
        "weekdays": ["mon", "Tuesday", "SAT"], "opens": "08:00", "closes": "24:00"}}"#;
    let event = QueueProfile {
        queue: "q1".into(),
        channel: Channel::Voice,
        target_ppm: 800_000,
        threshold_ms: 20_000,
        short_abandon_ms: 2500,
        service_level: ServiceLevel::ShortAbandonsExcluded,
        overflow_threshold: Some(10),
        opening: Some(Opening {
            time_zone: "Europe/Berlin".into(),
            weekdays: 0b010_0011,
            opens_min: 480,
            closes_min: 0,
        }),
    };
    check(json, "e", "2026-01-01T00:00:00Z", Event::QueueProfile(event.clone()));

    let short = r#"{"event_type": "QueueProfile", "event_id": "e", "timestamp": "2026-01-01T00:00:00Z",
        "queue_id": "q1", "channel": "voice", "service_level_target": 1, "service_level_threshold_s": 20.0,
        "opening": null}"#;
    let event = QueueProfile {
        target_ppm: 1_000_000,
        short_abandon_ms: 5000,
        service_level: ServiceLevel::Offered,
        overflow_threshold: None,
        opening: None,
        ..event
    };
    check(short, "e", "2026-01-01T00:00:00Z", Event::QueueProfile(event));
}

#[test]
fn forecast_update() {
    let json = r#"{"event_type": "ForecastUpdate", "event_id": "e", "timestamp": "2026-01-01T00:00:00Z",
        "queue_id": "q1", "interval_start": "2026-01-01T08:00:00Z", "interval_end": "2026-01-01T08:15:00Z",
        "volume": 87.125, "aht_s": 292.4}"#;
    let start = parse_ms("2026-01-01T08:00:00Z").unwrap();
    let event = ForecastUpdate {
        queue: "q1".into(),
        interval_start_at: start,
        interval_end_at: start + 900_000,
        volume_milli: 87_125,
        aht_ms: 292_400,
        version: 0,
    };
    check(json, "e", "2026-01-01T00:00:00Z", Event::ForecastUpdate(event));
}

#[test]
fn rule_update() {
    let json = r#"{"event_type": "RuleUpdate", "event_id": "e", "timestamp": "2026-05-15T14:00:00Z",
        "rule": "team_drift", "scope": "team-1", "enabled": true,
        "parameters": {"lasting_s": 0, "agents_out_min": 2, "a \"b\"": -0.125}}"#;
    let parameter = |name: &str, value_milli| RuleParameter { name: name.into(), value_milli };
    let event = RuleUpdate {
        rule: "team_drift".into(),
        scope: Some("team-1".into()),
        enabled: Some(true),
        parameters: vec![
            parameter("a \"b\"", -125),
            parameter("agents_out_min", 2000),
            parameter("lasting_s", 0),
        ],
    };
    check(json, "e", "2026-05-15T14:00:00Z", Event::RuleUpdate(event));

    for rest in ["", r#", "scope": null, "enabled": null, "parameters": {}"#] {
        let json = format!(
            r#"{{"event_type": "RuleUpdate", "event_id": "e", "timestamp": "2026-05-15T14:00:00Z",
            "rule": "team_drift"{rest}}}"#
        );
        let event = RuleUpdate {
            rule: "team_drift".into(),
            scope: None,
            enabled: None,
            parameters: Vec::new(),
        };
        check(&json, "e", "2026-05-15T14:00:00Z", Event::RuleUpdate(event));
    }
}
