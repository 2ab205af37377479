//! A real month of calls through the program, against what was published of it.
//!
//! The data are read in place: `HIGHWATER_DATA`, or `../shared/data` beside the workspace. Without them the test says
//! that it skipped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::{Connection, OpenFlags};

/// 1 February 1999, 00:00 UTC.
const FEBRUARY: i64 = 917_827_200_000;
const BIN: i64 = 6 * 60_000;
const BINS: i64 = 28 * 240;

pub(crate) fn data(name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let data = std::env::var_os("HIGHWATER_DATA").map_or(beside, PathBuf::from);
    let path = data.join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is not there; set HIGHWATER_DATA to the data folder", path.display());
    None
}

/// Replays February into a view database with six-minute intervals.
fn replayed(log: &Path, dir: &Path, closed: &str) -> Connection {
    replayed_for(log, dir, closed, &["--query", "queue_interval"])
}

fn replayed_for(log: &Path, dir: &Path, closed: &str, queries: &[&str]) -> Connection {
    let views = dir.join(format!("{closed}.sqlite"));
    let ran = Command::new(env!("CARGO_BIN_EXE_highwater"))
        .args(["replay", "--source", "anonymous-bank"])
        .arg(log)
        .arg("--views")
        .arg(&views)
        .args(["--interval", "6m", "--closed", closed])
        .args(queries)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "the replay failed: {errors}");
    Connection::open_with_flags(views, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

/// Arrivals of all queues per bin of the month; bins without a row have none.
fn arrivals(views: &Connection) -> Vec<i64> {
    let mut query = views
        .prepare("SELECT interval_start_ms, sum(arrivals) FROM queue_interval GROUP BY 1")
        .unwrap();
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let counts: BTreeMap<i64, i64> = rows.map(Result::unwrap).collect();
    let total: i64 = counts.values().sum();
    // A call at midnight of the first falls into a bin of January when bins are right-closed: there is none.
    assert!(counts.iter().all(|(start, n)| *n == 0 || bin(*start).is_some()), "{total} calls");
    (0..BINS).map(|n| counts.get(&(FEBRUARY + n * BIN)).copied().unwrap_or(0)).collect()
}

fn bin(start: i64) -> Option<i64> {
    Some((start - FEBRUARY) / BIN).filter(|n| start >= FEBRUARY && *n < BINS)
}

/// The published counts of February, bin by bin.
fn published(path: &Path) -> Vec<i64> {
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().filter(|line| line.trim_start_matches('"').starts_with("1999-02-"));
    let calls = rows.map(|line| line.rsplit(',').next().unwrap().trim().parse().unwrap());
    calls.collect()
}

/// February's log, and the published counts of its bins.
fn february() -> Option<(PathBuf, Vec<i64>)> {
    let log = data("anonymous_bank_feb1999/calls_february.tsv")?;
    let published = published(&data("anonymous_bank_1999_6min/callcenter_6min_1999.csv")?);
    assert_eq!(published.len() as i64, BINS);
    Some((log, published))
}

#[test]
fn acceptance_5_and_6_five_service_levels_and_all_bins_of_february_right_closed() {
    let Some((log, published)) = february() else { return };
    let dir = tempfile::tempdir().unwrap();
    let right = replayed(&log, dir.path(), "right");
    let ours = arrivals(&right);
    assert_eq!(ours.iter().sum::<i64>(), 33_344);
    assert_eq!(different(&ours, &published), 0, "right-closed bins that differ");
    service_levels(&right);
}

#[test]
fn acceptance_6_left_closed_bins_of_february_differ_in_172() {
    let Some((log, published)) = february() else { return };
    let dir = tempfile::tempdir().unwrap();
    let left = replayed(&log, dir.path(), "left");
    assert_eq!(different(&arrivals(&left), &published), 172, "left-closed bins that differ");
}

/// A recording is as old as it is, and nobody waits for more of it.
#[test]
fn a_month_of_1999_is_neither_late_nor_silent() {
    let Some((log, _)) = february() else { return };
    let dir = tempfile::tempdir().unwrap();
    let rules = ["--query", "consumer_lag", "--query", "feed_silent", "--query", "source_lag"];
    let views = replayed_for(&log, dir.path(), "right", &rules);
    let count = |sql: &str| views.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM alerts"), 0);
    assert!(count("SELECT sum(events) FROM source_lag") > 33_344, "all of it came");
}

fn different(ours: &[i64], published: &[i64]) -> usize {
    ours.iter().zip(published).filter(|(ours, published)| ours != published).count()
}

/// The month's service level by each of the five definitions, T = 20 s, short abandons up to 5 s.
fn service_levels(views: &Connection) {
    let sums: [f64; 5] = views
        .query_row(
            "SELECT sum(answered), sum(abandoned), sum(answered_in_time), sum(abandoned_in_time), \
             sum(abandoned_short) FROM queue_interval",
            [],
            |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?]),
        )
        .unwrap();
    let [answered, abandoned, in_time, abandoned_in_time, short] = sums;
    let offered = answered + abandoned;
    let levels = [
        ("of all offered", in_time / offered, 52.08),
        ("of the answered", in_time / answered, 59.68),
        ("either way in time", (in_time + abandoned_in_time) / offered, 56.12),
        ("without those abandoned in time", in_time / (offered - abandoned_in_time), 54.27),
        ("without short abandons", in_time / (offered - short), 52.54),
    ];
    for (name, share, known) in levels {
        let percent = share * 100.0;
        assert!((percent - known).abs() < 0.005 + 1e-9, "{name}: {percent:.3} %, not {known} %");
    }
}
