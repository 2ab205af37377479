//! Tests of explanations: from what a view holds and the journal knows to sentences.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::time::Duration;

use highwater_dataflow::explain::Cause;
use highwater_queries::AdherenceNow;

use super::*;

/// 2026-05-15T14:00:00Z, where an interval ends.
const TWO: EventTime = 1_778_853_600_000;
const S: Millis = 1_000;

fn partition(name: &str, bound: EventTime, live: bool, silent_s: u64) -> PartitionStatus {
    PartitionStatus {
        id: 1,
        name: name.into(),
        kind: "test".into(),
        position: None,
        bound,
        idle: false,
        live,
        disorder_ms: 5 * S,
        silent: Some(Duration::from_secs(silent_s)),
    }
}

/// Ten seconds before the hour, with this partition.
fn why(view: &'static View, key: &[Value], rows: &[(&str, EventTime)], it: PartitionStatus) -> Why {
    let heard = SourceStatus {
        name: it.name.clone(),
        last_event_ms: Some(it.bound + 5 * S),
        ..SourceStatus::default()
    };
    let watermark = if it.idle { TWO - 12 * S } else { it.bound };
    let situation = Situation {
        now: TWO - 10 * S,
        watermark,
        idle_after: 5 * S,
        quiet_delay: 2 * S,
        partitions: voices(&[it], &[heard]),
    };
    let rows: Vec<_> = rows.iter().map(|(status, end)| ((*status).to_owned(), *end)).collect();
    tell(view, key, steps(view, &rows, watermark, &Settings::default()), &situation)
}

#[test]
fn a_healthy_source() {
    let healthy = partition("acd", TWO - 20 * S, true, 1);
    let told = why(QueueInterval::VIEW, &["billing".into()], &[("open", TWO)], healthy);
    assert_eq!(
        told.next,
        "queue_interval of billing: next, the window that ends at 2026-05-15T14:00:00.000Z is complete."
    );
    let waits = told.waits_for.unwrap();
    assert_eq!((waits.cause, waits.awaits_ms), (Cause::Speaking, TWO));
    assert_eq!(waits.last_event_ms, Some(TWO - 15 * S));
    assert_eq!(waits.by_itself_at_ms, Some(TWO + 2 * S));
    assert!(waits.text.contains("acd holds it: its newest event is of 2026-05-15T13:59:45Z"));
}

#[test]
fn an_idle_source() {
    let idle = PartitionStatus { idle: true, ..partition("acd", TWO - 600 * S, true, 600) };
    let told = why(QueueRolling::VIEW, &[], &[("closing", TWO - 30 * S)], idle);
    assert_eq!(
        told.next,
        "queue_rolling: next, the window that ends at 2026-05-15T14:00:00.000Z, if anything happened in it."
    );
    let waits = told.waits_for.unwrap();
    assert_eq!((waits.cause, waits.idle), (Cause::Idle, true));
    assert_eq!(waits.by_itself_at_ms, Some(TWO + 2 * S));
    assert!(waits.text.contains("The watermark follows the clock 2 s behind"), "{}", waits.text);
}

#[test]
fn a_stalled_source() {
    let stalled = partition("january.jsonl", TWO - 86_400 * S, false, 900);
    let end = TWO - 86_400 * S + 300 * S;
    let told = why(QueueInterval::VIEW, &[], &[("open", end)], stalled);
    let waits = told.waits_for.unwrap();
    assert_eq!((waits.cause, waits.by_itself_at_ms), (Cause::Stalled, None));
    assert!(waits.text.contains("january.jsonl holds it"), "{}", waits.text);
    assert!(waits.text.contains("It is a recording and has said nothing for 15 min"));
    assert!(waits.text.ends_with("it does not come by itself."), "{}", waits.text);
}

#[test]
fn rows_that_late_events_may_correct_wait_for_their_lateness() {
    let healthy = partition("acd", TWO, true, 0);
    let rows = [("closing", TWO - 3_600 * S), ("open", TWO + 900 * S)];
    let told = why(QueueInterval::VIEW, &[], &rows, healthy.clone());
    assert_eq!(told.waits_for.unwrap().awaits_ms, TWO + 900 * S);
    let told = why(QueueInterval::VIEW, &[], &[("closing", TWO - 7_190 * S)], healthy);
    assert_eq!(told.waits_for.unwrap().awaits_ms, TWO + 10 * S);
    assert!(told.next.ends_with("is final."), "{}", told.next);
}

#[test]
fn what_follows_events_waits_for_none() {
    let told = why(AdherenceNow::VIEW, &["A1".into()], &[], partition("acd", TWO, true, 0));
    assert!(told.next.starts_with("adherence_now of A1 follows every event at once"));
    assert_eq!(told.waits_for.unwrap().partition.as_deref(), Some("acd"));
}
