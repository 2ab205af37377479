//! The store: coalesced writes, the conditional marker, and every way in which stored views may differ from desired.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;

use highwater_dataflow::view::{Changes, Column, Commit, Stamps, Value, View};
use tempfile::TempDir;

use super::*;
use crate::reader::{Select, ViewReader};
use crate::sqlite::{marker, plan};
use crate::writer::tests::TestClock;

pub(crate) static SCORES: View = View {
    name: "scores",
    doc: "One row per name.",
    key: 1,
    columns: &[
        Column::text("name", "Whose."),
        Column::int("score", "How much."),
        Column::real("share", "Of all."),
    ],
};

/// Two key columns of different kinds.
pub(crate) static CELLS: View = View {
    name: "cells",
    doc: "A real in the key.",
    key: 3,
    columns: &[Column::int("n", ""), Column::text("k", ""), Column::real("x", "")],
};

static TOTAL: View =
    View { name: "total", doc: "One row.", key: 0, columns: &[Column::int("sum", "")] };

/// `scores` as a later version of the program defines it.
static SCORES_WIDER: View = View {
    name: "scores",
    doc: "One row per name.",
    key: 1,
    columns: &[Column::text("name", ""), Column::int("score", ""), Column::text("note", "")],
};

pub(crate) fn score(name: &str, score: i64, share: f64) -> Row {
    vec![name.into(), score.into(), share.into()]
}

pub(crate) fn cell(n: i64, k: &str, x: f64) -> Row {
    vec![n.into(), k.into(), x.into()]
}

/// A commit of `scores`.
pub(crate) fn commit(epoch: Epoch, rows: &[(Row, i8)]) -> Commit {
    Commit {
        epoch,
        changes: vec![Changes { view: &SCORES, rows: rows.to_vec() }],
        notifications: Vec::new(),
        watermark: epoch as i64 * 10,
        stamps: Arc::new(Stamps::default()),
    }
}

pub(crate) fn batch(commits: Vec<Commit>) -> Batch {
    let mut batch = Batch::default();
    for commit in commits {
        batch.absorb(commit);
    }
    batch
}

fn desired(views: &[&'static View], commits: &[Commit]) -> Desired {
    let mut desired = Desired::of(views);
    for commit in commits {
        desired.absorb(commit);
    }
    desired
}

fn store(dir: &TempDir, views: &[&'static View]) -> Store {
    Store::open(&dir.path().join("views.db"), views, 1, u64::MAX).unwrap().0
}

fn rows(dir: &TempDir, view: &str) -> Vec<Row> {
    let reader = ViewReader::open(&dir.path().join("views.db"), TestClock::at(0)).unwrap();
    reader.rows(view, &Select::default()).unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "stands in for what may fail")]
fn nothing(_: &Connection) -> Result<(), SinkError> {
    Ok(())
}

#[test]
fn a_batch_and_its_marker_are_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir, &[&SCORES]);
    let first = vec![
        commit(1, &[(score("a", 1, 0.0), 1), (score("b", 1, 0.0), 1)]),
        commit(2, &[(score("a", 1, 0.0), -1), (score("a", 2, 0.0), 1)]),
    ];
    store.apply(&batch(first), 5, nothing).unwrap();
    store.apply(&batch(vec![commit(3, &[(score("b", 1, 0.0), -1)])]), 5, nothing).unwrap();
    assert_eq!(rows(&dir, "scores"), [score("a", 2, 0.0)]);
    assert_eq!(marker(&dir.path().join("views.db")).unwrap(), Some(3));

    let failed = store
        .apply(&batch(vec![commit(4, &[(score("c", 1, 0.0), 1)])]), 5, |_| Err(SinkError::Stopped));
    assert!(failed.is_err());
    assert_eq!(rows(&dir, "scores"), [score("a", 2, 0.0)]);
    assert_eq!(marker(&dir.path().join("views.db")).unwrap(), Some(3));
}

#[test]
fn a_marker_that_somebody_moved_stops_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir, &[&SCORES]);
    store.apply(&batch(vec![commit(1, &[])]), 5, nothing).unwrap();
    store.conn.execute("UPDATE _progress SET epoch = 9", []).unwrap();
    let moved = store.apply(&batch(vec![commit(2, &[(score("a", 1, 0.0), 1)])]), 5, nothing);
    assert!(matches!(moved, Err(SinkError::MarkerMoved { expected: Some(1) })));
    assert!(rows(&dir, "scores").is_empty());
}

#[test]
fn odd_cells_compare_as_they_are_stored() {
    let dir = tempfile::tempdir().unwrap();
    let odd = |name: &str, share: Value| vec![name.into(), 1.into(), share];
    let commits = [commit(
        1,
        &[
            (odd("nan", f64::NAN.into()), 1),
            (odd("minus zero", (-0.0).into()), 1),
            (odd("integer", 3.into()), 1),
            (odd("null", Value::Null), 1),
            (odd("é\u{10000}\u{ffff}\0", 1e300.into()), 1),
            (odd("", (0.1 + 0.2).into()), 1),
        ],
    )];
    let store = store(&dir, &[&SCORES]);
    store.apply(&batch(commits.to_vec()), 5, nothing).unwrap();
    let reports = store.reconcile(&desired(&[&SCORES], &commits), None, 6, nothing).unwrap();
    assert!(reports.iter().all(Reconciled::is_level), "{reports:?}");
}

#[test]
fn keys_of_every_kind_merge_in_the_order_of_the_table() {
    let dir = tempfile::tempdir().unwrap();
    let keys = [-5, 0, 3, 1000].into_iter().flat_map(|n| {
        ["", "A", "a", "ab", "é", "\u{ffff}", "\u{10000}"]
            .into_iter()
            .flat_map(move |k| [-1.5, 0.0, 2.0, 1e18].into_iter().map(move |x| (cell(n, k, x), 1)))
    });
    let keys: Vec<_> = keys.collect();
    let of = |rows: Vec<(Row, i8)>| Commit {
        changes: vec![Changes { view: &CELLS, rows }],
        ..commit(1, &[])
    };
    let store = store(&dir, &[&CELLS]);
    let half = keys.iter().step_by(2).cloned().collect();
    store.apply(&batch(vec![of(half)]), 5, nothing).unwrap();
    let other = keys.iter().skip(1).step_by(2).cloned().chain([keys[0].clone()]).collect();
    let reports = store.reconcile(&desired(&[&CELLS], &[of(other)]), None, 6, nothing).unwrap();
    let half = keys.len() as u64 / 2;
    assert_eq!((reports[0].added, reports[0].changed, reports[0].removed), (half, 0, half - 1));
    assert_eq!(rows(&dir, "cells").len() as u64, half + 1);
}

#[test]
fn a_restart_writes_only_what_differs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("views.db");
    let history = [
        commit(1, &[(score("a", 1, 0.0), 1), (score("b", 2, 0.0), 1)]),
        commit(2, &[(score("c", 3, 0.0), 1)]),
    ];
    let first = store(&dir, &[&SCORES]);
    first.apply(&batch(history.to_vec()), 5, nothing).unwrap();
    // A wrong row, a missing one, and one too many.
    let spoil = "UPDATE scores SET score = 9 WHERE name = 'a'; DELETE FROM scores WHERE name = 'b'; \
                 INSERT INTO scores VALUES ('z', 1, 0.0);";
    first.conn.execute_batch(spoil).unwrap();
    drop(first);

    let again = store(&dir, &[&SCORES]);
    let reader = ViewReader::open(&path, TestClock::at(0)).unwrap();
    assert!(reader.progress().unwrap().catching_up);
    assert_eq!(reader.rows("scores", &Select::default()).unwrap().len(), 3);
    let desired = desired(&[&SCORES], &history);
    let expected =
        Reconciled { view: "scores".into(), added: 1, changed: 1, removed: 1, rebuilt: false };
    let expected = [expected];
    assert_eq!(plan(&path, &desired).unwrap(), expected);
    assert_eq!(plan(&path, &desired).unwrap(), expected, "a plan changes nothing");
    assert_eq!(again.reconcile(&desired, None, 6, nothing).unwrap(), expected);
    let all = [score("a", 1, 0.0), score("b", 2, 0.0), score("c", 3, 0.0)];
    assert_eq!(rows(&dir, "scores"), all);
    assert!(!reader.progress().unwrap().catching_up);
    assert!(plan(&path, &desired).unwrap().iter().all(Reconciled::is_level));
    // From here on it goes by change again.
    again.apply(&batch(vec![commit(3, &[(score("c", 3, 0.0), -1)])]), 7, nothing).unwrap();
    assert_eq!(rows(&dir, "scores"), all[..2]);
}

#[test]
fn changed_and_forgotten_definitions_converge() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("views.db");
    let first = store(&dir, &[&SCORES, &TOTAL]);
    let mut both = commit(1, &[(score("a", 1, 0.0), 1)]);
    both.changes.push(Changes { view: &TOTAL, rows: vec![(vec![1.into()], 1)] });
    first.apply(&batch(vec![both]), 5, nothing).unwrap();
    first.close().unwrap();

    let wider = Commit {
        changes: vec![Changes {
            view: &SCORES_WIDER,
            rows: vec![(vec!["a".into(), 1.into(), "new".into()], 1)],
        }],
        ..commit(1, &[])
    };
    let again = store(&dir, &[&SCORES_WIDER]);
    assert_eq!(rows(&dir, "scores"), [score("a", 1, 0.0)], "readable until it is level");
    let desired = desired(&[&SCORES_WIDER], &[wider]);
    let reports = again.reconcile(&desired, None, 6, nothing).unwrap();
    let of = |name: &str| reports.iter().find(|report| report.view == name).unwrap();
    assert_eq!((of("total").rebuilt, of("total").removed), (true, 1));
    let scores = of("scores");
    assert_eq!((scores.rebuilt, scores.added, scores.removed), (true, 1, 1));
    assert_eq!(rows(&dir, "scores")[0][2], "new".into());
    let reader = ViewReader::open(&path, TestClock::at(0)).unwrap();
    assert_eq!(reader.views().unwrap().len(), 1);
}

#[test]
fn a_view_without_a_key_has_one_row() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir, &[&TOTAL]);
    let total = |epoch, rows: &[(i64, i8)]| Commit {
        changes: vec![Changes {
            view: &TOTAL,
            rows: rows.iter().map(|(n, diff)| (vec![(*n).into()], *diff)).collect(),
        }],
        ..commit(epoch, &[])
    };
    store.apply(&batch(vec![total(1, &[(5, 1)])]), 5, nothing).unwrap();
    store.apply(&batch(vec![total(2, &[(5, -1), (6, 1)])]), 5, nothing).unwrap();
    assert_eq!(rows(&dir, "total"), [vec![Value::Int(6)]]);
    store.apply(&batch(vec![total(3, &[(6, -1)])]), 5, nothing).unwrap();
    assert!(rows(&dir, "total").is_empty());
}

#[test]
fn a_full_disk_writes_nothing_and_the_next_try_everything() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir, &[&SCORES]);
    let limit = |pages: i64| {
        let sql = format!("PRAGMA max_page_count = {pages}");
        store.conn.query_row(&sql, [], |_| Ok(())).unwrap();
    };
    limit(1);
    let many = (0..20_000).map(|n| (score(&format!("name {n}"), n, 0.0), 1)).collect::<Vec<_>>();
    let batch = batch(vec![commit(1, &many)]);
    let full = store.apply(&batch, 5, nothing);
    assert!(full.as_ref().is_err_and(SinkError::retry), "{full:?}");
    assert!(rows(&dir, "scores").is_empty());
    limit(1_000_000);
    store.apply(&batch, 5, nothing).unwrap();
    assert_eq!(rows(&dir, "scores").len(), 20_000);
}

#[test]
fn damage_is_set_aside_and_a_foreign_file_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("views.db");
    std::fs::write(
        &path,
        "this is not a database, but it is long enough to be taken for one".repeat(99),
    )
    .unwrap();
    let (store, aside) = Store::open(&path, &[&SCORES], 77, u64::MAX).unwrap();
    assert_eq!(aside.unwrap(), dir.path().join("views.db.damaged-77"));
    assert_eq!(store.marker(), None);

    let foreign = dir.path().join("foreign.db");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE mine (x)").unwrap();
    assert!(matches!(
        Store::open(&foreign, &[&SCORES], 1, u64::MAX),
        Err(SinkError::Foreign { .. })
    ));
    store.conn.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(store);
    assert!(matches!(Store::open(&path, &[&SCORES], 1, u64::MAX), Err(SinkError::Foreign { .. })));
}

#[test]
fn a_page_that_rotted_is_found_after_an_unclean_stop() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("views.db");
    let first = store(&dir, &[&SCORES]);
    let many = (0..2_000).map(|n| (score(&format!("name {n}"), n, 0.0), 1)).collect::<Vec<_>>();
    first.apply(&batch(vec![commit(1, &many)]), 5, nothing).unwrap();
    first.truncate_log().unwrap();
    drop(first);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 64].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let (again, aside) = Store::open(&path, &[&SCORES], 2, u64::MAX).unwrap();
    assert!(aside.is_some());
    assert_eq!(again.marker(), None);
}

#[test]
fn the_log_is_moved_each_sixteen_megabytes_and_emptied_when_quiet() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir, &[&SCORES]);
    let long = "x".repeat(2_000);
    let mut left = None;
    for epoch in 1..=12 {
        let many = (0..1_000).map(|n| (score(&format!("{epoch} {n} {long}"), n, 0.0), 1));
        store.apply(&batch(vec![commit(epoch, &many.collect::<Vec<_>>())]), 5, nothing).unwrap();
        left = left.or(store.checkpoint_when_due(0).unwrap());
    }
    assert_eq!(left, Some(0));
    store.truncate_log().unwrap();
    let log = dir.path().join("views.db-wal");
    assert_eq!(std::fs::metadata(log).unwrap().len(), 0);
}
