//! Temporal joins: each left row with the right version valid at its time, said once the watermark has passed the row.
//!
//! ```text
//! {"left": [{"ts","v","k"?,"op"?}]}   {"right": [{"ts","v","k"?,"op"?}]}
//! {"watermark": t}   {"watermarks": [left, right] or {"left", "right"}}   {"left_watermark": t}   {"right_watermark": t}
//!     ──►  {"k", "ts", "left", "right", "right_ts", "values", "retract"}
//! ```
//!
//! A right row with `op` (or `kind`) `delete`, or without a value, ends the version before it; `update_before` says
//! nothing that the update itself does not; of versions with one time the last that came holds. Rows without a version
//! are said with `right: null` if the join is outer. A left row that is behind the watermark already is said when the
//! watermark moves on, with the version that is known then; one that was said is final, whatever versions come later,
//! so that its deletion is dropped.

use highwater_dataflow::testing::Bench;
use highwater_dataflow::window::{Accumulation, Collect, FixedWindows, Panes};
use highwater_dataflow::{BEGINNING, EventTime, FOREVER, Point, Signal, Table};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::case::{Datum, instant, write_instant};
use super::run::{Outcome, key, list};

/// A row of either side. A right row knows which one it is, and ends its predecessor if it has no value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Row {
    Left(Datum, EventTime, Datum),
    Right(Datum, EventTime, u64, Option<Datum>),
}

/// What the join says: key, time and value of the left row; time and value of the version.
type Said = (Datum, EventTime, Datum, Option<(EventTime, Datum)>);

pub(crate) fn run(case: &Value) -> Result<Outcome, String> {
    let outer = is_outer(&case["config"]);
    let mut bench = Bench::start(1, move |rows| joined(rows, outer));
    // A side that has not spoken holds the watermark.
    let mut bounds = [BEGINNING, BEGINNING];
    bench.step(Vec::new(), signals(bounds));
    let mut outcome = Outcome { steps: Vec::new(), dropped: 0, ignored: Vec::new() };
    let mut nth = 0;
    // Left rows behind the watermark, until it moves on.
    let mut waiting = Vec::new();
    for step in case["steps"].as_array().ok_or("steps is not a list")? {
        let mut said = Vec::new();
        for (name, given) in step.as_object().ok_or("a step is not an object")? {
            let before = bounds[0].min(bounds[1]);
            match name.as_str() {
                "left" => {
                    let (late, timely) = rows(given, left)?
                        .into_iter()
                        .partition(|(row, _)| matches!(row, Row::Left(_, at, _) if *at < before));
                    let late: Vec<(Row, isize)> = late;
                    outcome.dropped += late.iter().filter(|(_, diff)| *diff < 0).count() as isize;
                    waiting.extend(late.into_iter().filter(|(_, diff)| *diff > 0));
                    bench.step(timely, Vec::new());
                }
                "right" => {
                    bench.step(rows(given, |row| right(row, &mut nth))?, Vec::new());
                }
                "watermark" | "watermarks" => bounds = watermarks(given, bounds)?,
                "left_watermark" | "watermark_left" => bounds[0] = instant(given)?,
                "right_watermark" | "watermark_right" => bounds[1] = instant(given)?,
                "clock" => continue,
                expectation if expectation.starts_with("expect") => continue,
                other => {
                    outcome.ignored.push(format!("steps.{other}"));
                    continue;
                }
            }
            if name.contains("watermark") {
                let moved = bounds[0].min(bounds[1]) > before;
                let due = if moved { std::mem::take(&mut waiting) } else { Vec::new() };
                bench.step(due, signals(bounds));
            }
            for ((key, at, left, right), diff) in bench.emitted() {
                let shown = show(key, *at, left, right.as_ref(), *diff < 0);
                said.extend(std::iter::repeat_n(shown, diff.unsigned_abs()));
            }
        }
        outcome.steps.push(said);
    }
    bench.finish();
    Ok(outcome)
}

fn joined(rows: Table<'_, Row>, outer: bool) -> Table<'_, Said> {
    let left = rows.clone().flat_map(|row| match row {
        Row::Left(key, at, value) => Some((key, (at, value))),
        Row::Right(..) => None,
    });
    let versions = rows.flat_map(|row| match row {
        Row::Right(key, at, nth, value) => {
            Some((key, Point { at, value: (nth, value.map(|value| (at, value))), seq: nth }))
        }
        Row::Left(..) => None,
    });
    // A window of one instant holds rows back until the watermark has passed them, and lets later ones through.
    let Panes { panes, .. } = left
        .window_into("complete", FixedWindows::of(1))
        .allowed_lateness(FOREVER)
        .accumulation(Accumulation::Discarding)
        .aggregate(Collect);
    let complete = panes.flat_map(|(key, pane)| {
        let at = pane.window.start;
        pane.value.into_iter().map(move |value| (key.clone(), (at, value)))
    });
    // No horizon: what the watermark has passed is final.
    let versions = versions.intervals("versions", 0);
    complete
        .as_of_join("as of", versions, 0, |key, at, left, right| {
            let version = right.and_then(|(_, version)| version.clone());
            (key.clone(), at, left.clone(), version)
        })
        .filter(move |(.., version)| outer || version.is_some())
}

/// Whether the configuration says so, in whatever field: `"join": "left"`, `"left_outer": true`, …
fn is_outer(config: &Value) -> bool {
    let says = |word: &str| word.to_ascii_lowercase().contains("left") || word.contains("outer");
    let mut fields = config.as_object().into_iter().flatten();
    fields.any(|(name, value)| (says(name) && *value == true) || value.as_str().is_some_and(says))
}

fn signals(bounds: [EventTime; 2]) -> Vec<Signal> {
    (0..).zip(bounds).map(|(partition, bound)| Signal::Bound { partition, bound }).collect()
}

/// What each side says now: both the same, a pair, or by name. A side that is not given says what it said `before`.
fn watermarks(given: &Value, before: [EventTime; 2]) -> Result<[EventTime; 2], String> {
    let sides = match given {
        Value::Array(both) if both.len() == 2 => [&both[0], &both[1]],
        Value::Object(_) => [&given["left"], &given["right"]],
        both => [both, both],
    };
    let mut bounds = before;
    for (bound, side) in bounds.iter_mut().zip(sides) {
        if !side.is_null() {
            *bound = instant(side)?;
        }
    }
    Ok(bounds)
}

/// A row that comes or goes, if it says anything.
type Edit = Option<(Row, isize)>;

fn rows(
    given: &Value,
    row: impl FnMut(&Value) -> Result<Edit, String>,
) -> Result<Vec<(Row, isize)>, String> {
    let rows: Result<Vec<Edit>, String> = list(given).iter().map(row).collect();
    Ok(rows?.into_iter().flatten().collect())
}

/// What becomes of a row.
enum Change {
    Comes,
    Goes,
    /// The next row says it better.
    Replaced,
}

/// What the row says happens, by whatever name; it comes unless it says otherwise.
fn change(row: &Value) -> Result<Change, String> {
    let named = ["op", "kind", "row_kind", "change"].iter().find_map(|name| row[name].as_str());
    match named.unwrap_or("insert").to_ascii_lowercase().as_str() {
        "insert" | "+i" | "update_after" | "+u" | "upsert" => Ok(Change::Comes),
        "delete" | "-d" | "retract" => Ok(Change::Goes),
        "update_before" | "-u" => Ok(Change::Replaced),
        other => Err(format!("a row that does {other:?} is not known")),
    }
}

fn left(row: &Value) -> Result<Edit, String> {
    let diff = match change(row)? {
        Change::Comes => 1,
        Change::Goes => -1,
        Change::Replaced => return Ok(None),
    };
    Ok(Some((Row::Left(key(row), instant(&row["ts"])?, Datum::read(&row["v"])), diff)))
}

fn right(row: &Value, nth: &mut u64) -> Result<Edit, String> {
    let value = match change(row)? {
        Change::Comes => Some(&row["v"]).filter(|value| !value.is_null()).map(Datum::read),
        Change::Goes => None,
        Change::Replaced => return Ok(None),
    };
    *nth += 1;
    Ok(Some((Row::Right(key(row), instant(&row["ts"])?, *nth, value), 1)))
}

fn show(
    key: &Datum,
    at: EventTime,
    left: &Datum,
    right: Option<&(EventTime, Datum)>,
    retract: bool,
) -> Value {
    let (left, right_ts) = (left.write(), right.map(|(at, _)| write_instant(*at)));
    let right = right.map(|(_, value)| value.write());
    json!({
        "k": key.write(),
        "ts": write_instant(at),
        "left_ts": write_instant(at),
        "values": [left, right],
        "left": left,
        "right": right,
        "right_ts": right_ts,
        "retract": retract,
    })
}
