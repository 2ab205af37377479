//! Snapshot, deltas, gaps and parts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use highwater_dataflow::latency::{Latency, Path, Stage};
use highwater_dataflow::view::Row;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use super::rig::*;
use crate::wallboard::Shown;
use crate::wallboard::board::{Board, Table};

#[tokio::test]
async fn a_page_gets_a_snapshot_and_then_what_changed() {
    let mut rig = Rig::new(open());
    let start = 90 * MINUTE;
    rig.apply(vec![
        changes(&INTERVALS, [(interval("q1", start, 4, "open"), 1)]),
        changes(&AGENTS, [(agent("a1", "in"), 1), (agent("a2", "out"), 1)]),
    ]);
    let address = rig.loopback().await;
    let mut page = page(address, &[("Sec-WebSocket-Protocol", "highwater.v1")]).await;
    assert!(page.head.to_lowercase().contains("sec-websocket-protocol: highwater.v1"));

    let snapshot = page.next().await;
    assert_eq!(snapshot["type"], "snapshot");
    assert_eq!((&snapshot["seq"], &snapshot["epoch"]), (&json!(1), &json!(9)));
    assert_eq!(snapshot["watermark"], json!(100 * MINUTE));
    assert_eq!(snapshot["sources"][0]["name"], "acd");
    assert_eq!(snapshot["site"]["time_zone"], "UTC");
    assert_eq!(snapshot["views"]["queue_interval"]["key"], 2);
    assert_eq!(snapshot["views"]["adherence_now"]["columns"], json!(["agent_id", "status"]));
    let row = json!(["q1", start, 5, 5, 4, 0, 1, 80.5, "open"]);
    assert_eq!(snapshot["views"]["queue_interval"]["rows"], json!([row]));

    rig.apply(vec![changes(
        &AGENTS,
        [(agent("a1", "in"), -1), (agent("a2", "out"), -1), (agent("a2", "in"), 1)],
    )]);
    let delta = page.next().await;
    assert_eq!(
        (&delta["type"], &delta["from"], &delta["seq"]),
        (&json!("delta"), &json!(1), &json!(2))
    );
    let rows = json!([[-1, ["a1"]], [1, ["a2", "in"]]]);
    assert_eq!(delta["changes"], json!([{ "view": "adherence_now", "rows": rows }]));
}

#[tokio::test]
async fn a_page_that_missed_something_starts_over() {
    let mut rig = Rig::new(open());
    rig.apply(vec![changes(&AGENTS, [(agent("a1", "in"), 1)])]);
    let address = rig.loopback().await;
    let mut page = page(address, &[]).await;
    let mut copy = Copy::default();
    assert!(copy.take(&page.next().await));
    // As if a message had been lost on the way.
    copy.seq = 0;
    rig.apply(vec![changes(&AGENTS, [(agent("a2", "out"), 1)])]);
    assert!(!copy.take(&page.next().await));
    page.say(r#"{"type":"resync"}"#).await;
    let snapshot = page.next().await;
    assert_eq!(snapshot["type"], "snapshot");
    copy.take(&snapshot);
    // A snapshot may be a second old: a delta follows then.
    while copy.seq < 2 {
        assert!(copy.take(&page.next().await));
    }
    assert_eq!(copy.views["adherence_now"].len(), 2);
}

#[tokio::test]
async fn a_correction_after_the_watermark_is_told_with_both_values() {
    let mut rig = Rig::new(open());
    let start = 60 * MINUTE;
    rig.apply(vec![changes(
        &INTERVALS,
        [
            (interval("q1", start, 41, "final"), 1),
            (interval("q1", start + 15 * MINUTE, 3, "open"), 1),
        ],
    )]);
    let address = rig.loopback().await;
    let mut page = page(address, &[]).await;
    page.next().await;
    let mut settled = interval("q1", start, 42, "final");
    // Arrivals stay, one contact less in progress: it only settled.
    settled[2] = 42.into();
    settled[6] = 0.into();
    rig.apply(vec![changes(
        &INTERVALS,
        [
            (interval("q1", start, 41, "final"), -1),
            (interval("q1", start + 15 * MINUTE, 3, "open"), -1),
            (settled.clone(), 1),
            (interval("q1", start + 15 * MINUTE, 9, "open"), 1),
        ],
    )]);
    assert_eq!(page.next().await.get("corrections"), None);
    rig.apply(vec![changes(&INTERVALS, [(settled, -1), (interval("q1", start, 43, "final"), 1)])]);
    let delta = page.next().await;
    let told: Vec<_> = delta["corrections"].as_array().unwrap().iter().collect();
    assert_eq!(told.len(), 3, "arrivals, offered and answered: {told:?}");
    assert_eq!(told[2]["column"], "answered");
    assert_eq!((&told[2]["was"], &told[2]["now"]), (&json!(42), &json!(43)));
    assert_eq!(told[2]["key"], json!(["q1", start]));
    assert_eq!(told[2]["status"], "final");
}

#[tokio::test]
async fn a_large_snapshot_comes_in_parts_that_make_a_whole() {
    let mut rig = Rig::new(open());
    let rows = (0..10_000).map(|n| (agent(&format!("agent-{n:05} of a large center"), "in"), 1));
    rig.apply(vec![changes(&AGENTS, rows)]);
    let address = rig.loopback().await;
    let mut page = page(address, &[]).await;
    let mut copy = Copy::default();
    let mut parts = 0;
    loop {
        let heard = page.hear().await;
        let Heard::Text(text) = &heard else { panic!("{heard:?}") };
        assert!(text.len() < 130 * 1024, "a part of {} bytes", text.len());
        assert_eq!(heard.json()["part"], parts);
        copy.take(&heard.json());
        parts += 1;
        if heard.json()["more"] == false {
            break;
        }
    }
    assert!(1 < parts);
    assert_eq!(copy.views["adherence_now"].len(), 10_000);
    assert_eq!(copy.seq, 1);
}

#[tokio::test]
async fn the_time_to_the_first_page_is_measured_once() {
    let mut rig = Rig::new(open());
    let count = |latency: &Arc<Latency>| latency.histogram(Path::Queue, Stage::Pushed).len();
    // Nobody looks: nothing to measure.
    rig.apply_received(vec![changes(&AGENTS, [(agent("a0", "in"), 1)])], Duration::from_secs(1));
    let latency = rig.latency.clone();
    let address = rig.loopback().await;
    let mut first = page(address, &[]).await;
    let mut second = page(address, &[]).await;
    first.next().await;
    second.next().await;
    assert_eq!(count(&latency), 0);
    rig.apply_received(vec![changes(&AGENTS, [(agent("a1", "in"), 1)])], Duration::from_secs(3));
    first.next().await;
    second.next().await;
    // Both have the first change and the second comes after it: by then the first has been counted.
    rig.apply(vec![changes(&AGENTS, [(agent("a2", "in"), 1)])]);
    first.next().await;
    second.next().await;
    assert_eq!(count(&latency), 1);
    let max = latency.histogram(Path::Queue, Stage::Pushed).max();
    assert!((2_990_000..3_010_000).contains(&max), "{max}");
}

#[tokio::test]
async fn closing_sends_pages_away() {
    let mut rig = Rig::new(open());
    let address = rig.loopback().await;
    let mut page = page(address, &[]).await;
    page.next().await;
    rig.wallboard.close();
    assert_eq!(page.closed().await.code(), 1001);
}

/// Whatever a client has seen, what the board says it lacks brings it level.
#[test]
fn deltas_from_any_point_lead_to_the_current_rows() {
    for seed in 0..20 {
        let mut random = StdRng::seed_from_u64(seed);
        let shown = Shown { aged_by: None, horizon_ms: None, ..Shown::page(40)[0] };
        let mut board = Board::new(vec![Table::new(&INTERVALS, shown)]);
        let mut truth: BTreeMap<String, Row> = BTreeMap::new();
        let mut history: Vec<BTreeMap<String, String>> = vec![BTreeMap::new()];
        for _ in 0..200 {
            let mut rows = Vec::new();
            for _ in 0..random.random_range(1..6) {
                let queue = format!("q{}", random.random_range(0..30));
                let fresh = random
                    .random_bool(0.7)
                    .then(|| interval(&queue, 0, random.random_range(0..50), "open"));
                if rows.iter().any(|(row, _): &(Row, i8)| row[0] == queue.as_str().into()) {
                    continue;
                }
                if let Some(old) = truth.remove(&queue) {
                    rows.push((old, -1));
                }
                if let Some(fresh) = fresh {
                    truth.insert(queue, fresh.clone());
                    rows.push((fresh, 1));
                }
            }
            rows.sort_by_key(|(_, diff)| *diff);
            board.apply([&commit(vec![changes(&INTERVALS, rows)])]);
            history.truncate(board.seq as usize);
            history.push(rows_of(&board));
        }
        let expected: BTreeMap<_, _> = truth.values().map(text).collect();
        assert_eq!(rows_of(&board), expected, "seed {seed}");
        for (since, mut seen) in history.into_iter().enumerate() {
            let lacking = board.since(since as u64).unwrap();
            for part in &lacking.tables {
                part.gone.iter().for_each(|key| drop(seen.remove(&**key)));
                seen.extend(part.come.iter().map(|row| (key(row), row.to_string())));
            }
            assert_eq!(seen, expected, "seed {seed}, since {since}");
        }
    }
}

#[test]
fn a_client_older_than_the_remembered_removals_needs_a_snapshot() {
    let mut board = Board::new(vec![Table::new(&AGENTS, Shown::whole("adherence_now", 20_000))]);
    let all = |diff| (0..10_001).map(move |n| (agent(&format!("a{n}"), "in"), diff));
    board.apply([&commit(vec![changes(&AGENTS, all(1))])]);
    board.apply([&commit(vec![changes(&AGENTS, [(agent("b", "in"), 1)])])]);
    assert!(board.since(1).is_some());
    board.apply([&commit(vec![changes(&AGENTS, all(-1))])]);
    assert!(board.since(2).is_none());
    assert!(board.since(3).is_some());
    assert_eq!(board.snapshot().tables[0].come.len(), 1);
}

#[test]
fn rows_are_aged_out_and_capped_and_open_ones_kept() {
    let shown = Shown {
        rows_max: 3,
        aged_by: Some("interval_start_ms"),
        horizon_ms: Some(60 * MINUTE),
        keeps: Some(("status", "open")),
        ..Shown::whole("queue_interval", 3)
    };
    let mut board = Board::new(vec![Table::new(&INTERVALS, shown)]);
    let mut insert = |start: i64, status| {
        let row = interval("q", start * MINUTE, 1, status);
        board.apply([&commit(vec![changes(&INTERVALS, [(row, 1)])])]);
        let snapshot = board.snapshot();
        let mut starts: Vec<_> = snapshot.tables[0].come.iter().map(|row| start_of(row)).collect();
        starts.sort_unstable();
        starts
    };
    assert_eq!(insert(5, "open"), [5]);
    assert_eq!(insert(10, "final"), [5, 10]);
    assert_eq!(insert(40, "final"), [5, 10, 40]);
    // Full: the oldest that is not kept goes.
    assert_eq!(insert(50, "final"), [5, 40, 50]);
    // An hour after 40 it goes as well, and 5 stays because it is open.
    assert_eq!(insert(101, "final"), [5, 50, 101]);
    // Older than all: it is not shown.
    assert_eq!(insert(45, "final"), [5, 50, 101]);
}

fn rows_of(board: &Board) -> BTreeMap<String, String> {
    board.snapshot().tables[0].come.iter().map(|row| (key(row), row.to_string())).collect()
}

fn text(row: &Row) -> (String, String) {
    let text = serde_json::to_string(row).unwrap();
    (key(&text), text)
}

fn key(row: &str) -> String {
    let cells: Vec<serde_json::Value> = serde_json::from_str(row).unwrap();
    serde_json::to_string(&cells[..2]).unwrap()
}

fn start_of(row: &str) -> i64 {
    let cells: Vec<serde_json::Value> = serde_json::from_str(row).unwrap();
    cells[1].as_i64().unwrap() / MINUTE
}
